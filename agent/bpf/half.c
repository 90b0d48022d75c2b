// SPDX-License-Identifier: Apache-2.0
// half.c - half-open flows: told, taken out. They are read by batches; a place is freed by one store to its tag, so
// that what programs do in its bucket meanwhile stays.
#include "agent/bpf/state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <bulkhead/half.h>

// ---- telling ----------------------------------------------------------------------------------------

struct telling {
	ct_each_fn fn;
	void *arg;
	uint32_t now, scale;
};

static void entry_of(const struct bh_half *half, uint32_t last, struct ct_entry *ret)
{
	*ret = (struct ct_entry){
		.ident = half->key.ident,
		.remote_port = ntohs(half->key.remote_port),
		.local_port = ntohs(half->key.local_port),
		.local = half->key.local,
		.proto = half->key.proto,
		.half = true,
		.value = { .last = last,
			   .gen = half->flow.gen,
			   .rule = half->flow.rule,
			   .shadow = half->flow.shadow,
			   .created = half->flow.created,
			   .state = half->flow.replied ? BH_CT_REPLY : BH_CT_NEW,
			   .flags = (uint8_t)half->flow.flags },
	};
	memcpy(&ret->remote, half->key.remote, sizeof(ret->remote));
	ret->v6 = !bh_addr_is4(&ret->remote);
}

static int tell_bucket(void *arg, const void *key, const void *value)
{
	const struct bh_half_bucket *bucket = value;
	const struct telling *telling = arg;
	struct ct_entry entry;
	int r = 0;

	for (int i = 0; i < BH_HALF_WAYS && r == 0; i++) {
		const struct bh_half *half = &bucket->place[i];

		if (!bucket->tag[i] || half->check != bh_half_check(&half->key, &half->flow) ||
		    bh_half_expired(bucket->last[i], half->key.proto, half->flow.replied, telling->now,
				    telling->scale))
			continue;
		entry_of(half, bucket->last[i], &entry);
		r = telling->fn(telling->arg, &entry);
	}
	return r;
}

int tables_half_each(struct tables *tables, ct_each_fn fn, void *arg)
{
	struct telling telling = { fn, arg, tables_now(), tables->ct_scale };

	return map_each(&tables->maps[TABLE_HALF], tell_bucket, &telling);
}

// ---- taking out -------------------------------------------------------------------------------------

struct clearing {
	const struct map *map;
	struct bh_half_bucket *buckets; // mapping, for as long as it takes; NULL: nothing was to clear yet
	half_fn fn;
	void *arg;
	int cleared;
};

static size_t map_bytes(const struct map *map)
{
	return sizeof(struct bh_half_bucket) * map->max_entries;
}

static int buckets_map(struct clearing *c)
{
	void *memory = mmap(NULL, map_bytes(c->map), PROT_READ | PROT_WRITE, MAP_SHARED, c->map->fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	c->buckets = memory;
	return 0;
}

static int clear_bucket(void *arg, const void *key, const void *value)
{
	const struct bh_half_bucket *seen = value;
	struct clearing *c = arg;
	uint32_t at = *(const uint32_t *)key;
	int r;

	for (int i = 0; i < BH_HALF_WAYS; i++) {
		uint32_t tag = seen->tag[i];

		if (!tag || !c->fn(c->arg, &seen->place[i], seen->last[i]))
			continue;
		r = c->buckets ? 0 : buckets_map(c);
		if (r < 0)
			return r;
		if (__atomic_compare_exchange_n(&c->buckets[at].tag[i], &tag, 0, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			c->cleared++;
	}
	return 0;
}

int half_clear(struct tables *tables, half_fn fn, void *arg)
{
	struct clearing c = { .map = &tables->maps[TABLE_HALF], .fn = fn, .arg = arg };
	int r = map_each(c.map, clear_bucket, &c);

	if (c.buckets)
		munmap(c.buckets, map_bytes(c.map));
	return r < 0 ? r : c.cleared;
}
