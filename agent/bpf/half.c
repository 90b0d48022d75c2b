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
	const struct bh_half_counts *counts;
	uint32_t now, scale;
};

// NULL: errno says why.
static void *memory_of(const struct map *map)
{
	void *memory = mmap(NULL, (size_t)map->value_bytes * map->max_entries, PROT_READ | PROT_WRITE,
			    MAP_SHARED, map->fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void memory_free(const struct map *map, void *memory)
{
	if (memory)
		munmap(memory, (size_t)map->value_bytes * map->max_entries);
}

static void entry_of(const struct bh_half *half, uint32_t last, const struct bh_half_count *count,
		     struct ct_entry *ret)
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
			   .flags = (uint8_t)half->flow.flags,
			   .tcp_seen = { half->tcp_seen[0], half->tcp_seen[1] } },
	};
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		ret->value.packets[dir] = __atomic_load_n(&count->packets[dir], __ATOMIC_RELAXED);
		ret->value.bytes[dir] = __atomic_load_n(&count->bytes[dir], __ATOMIC_RELAXED);
	}
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
		entry_of(half, bucket->last[i], &telling->counts[*(const uint32_t *)key].place[i], &entry);
		r = telling->fn(telling->arg, &entry);
	}
	return r;
}

int tables_half_each(struct tables *tables, ct_each_fn fn, void *arg)
{
	const struct map *counts = &tables->maps[TABLE_HALF_COUNT];
	void *memory = memory_of(counts);
	struct telling telling = { fn, arg, memory, tables_now(), tables->ct_scale };
	int r;

	if (!memory)
		return -errno;
	r = map_each(&tables->maps[TABLE_HALF], tell_bucket, &telling);
	memory_free(counts, memory);
	return r;
}

// ---- taking out -------------------------------------------------------------------------------------

struct clearing {
	const struct tables *tables;
	struct bh_half_bucket *buckets; // mappings, for as long as it takes; NULL: nothing was to clear yet
	struct bh_half_counts *counts;
	half_fn fn;
	void *arg;
	enum ct_over why;
	int cleared;
};

static int clearing_map(struct clearing *c)
{
	if (!c->buckets)
		c->buckets = memory_of(&c->tables->maps[TABLE_HALF]);
	if (!c->counts)
		c->counts = memory_of(&c->tables->maps[TABLE_HALF_COUNT]);
	return c->buckets && c->counts ? 0 : -errno;
}

// Looked at again where it is: its flow may have been heard of since, or be another one.
static void clear_place(struct clearing *c, uint32_t at, int i, uint32_t tag)
{
	struct bh_half_bucket *bucket = &c->buckets[at];
	const struct bh_half half = bucket->place[i];
	const struct bh_half_count count = c->counts[at].place[i];
	uint32_t last = bucket->last[i];
	struct ct_entry entry;

	if (!c->fn(c->arg, &half, last) ||
	    !__atomic_compare_exchange_n(&bucket->tag[i], &tag, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return;
	c->cleared++;
	if (half.check != bh_half_check(&half.key, &half.flow))
		return; // two newcomers mixed: nobody's
	entry_of(&half, last, &count, &entry);
	gone_tell(c->tables, &entry, c->why);
}

static int clear_bucket(void *arg, const void *key, const void *value)
{
	const struct bh_half_bucket *seen = value;
	struct clearing *c = arg;
	int r;

	for (int i = 0; i < BH_HALF_WAYS; i++) {
		if (!seen->tag[i] || !c->fn(c->arg, &seen->place[i], seen->last[i]))
			continue;
		r = clearing_map(c);
		if (r < 0)
			return r;
		clear_place(c, *(const uint32_t *)key, i, seen->tag[i]);
	}
	return 0;
}

int half_clear(struct tables *tables, half_fn fn, void *arg, enum ct_over why)
{
	struct clearing c = { .tables = tables, .fn = fn, .arg = arg, .why = why };
	int r = map_each(&tables->maps[TABLE_HALF], clear_bucket, &c);

	memory_free(&tables->maps[TABLE_HALF], c.buckets);
	memory_free(&tables->maps[TABLE_HALF_COUNT], c.counts);
	return r < 0 ? r : c.cleared;
}
