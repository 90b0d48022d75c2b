// SPDX-License-Identifier: Apache-2.0
// counter.c - what the programs counted: totals, denies in detail, packets that passed, node-wide numbers.
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "agent/bpf/state.h"

// Sums the copies of all CPUs.
static struct bh_count sum(const void *value, uint32_t bytes)
{
	const struct bh_count *of_cpu = value;
	struct bh_count all = { 0 };

	for (uint32_t i = 0; i < bytes / sizeof(*of_cpu); i++) {
		all.packets += of_cpu[i].packets;
		all.bytes += of_cpu[i].bytes;
	}
	return all;
}

// ---- totals -----------------------------------------------------------------------------------------

struct totals {
	struct tables *tables;
	total_each_fn fn;
	void *arg;
	uint32_t ident; // to clear
};

static int tell_total(void *arg, const void *key, const void *value)
{
	const struct totals *totals = arg;
	struct bh_count all = sum(value, totals->tables->maps[TABLE_TOTAL].value_bytes);
	struct total_entry entry = { .packets = all.packets, .bytes = all.bytes };

	memcpy(&entry.key, key, sizeof(entry.key));
	return totals->fn(totals->arg, &entry);
}

int tables_total_each(struct tables *tables, total_each_fn fn, void *arg)
{
	struct totals totals = { .tables = tables, .fn = fn, .arg = arg };

	return map_each(&tables->maps[TABLE_TOTAL], tell_total, &totals);
}

static int clear_total(void *arg, const void *key, const void *value)
{
	const struct totals *totals = arg;

	if (((const struct bh_total_key *)key)->ident == totals->ident)
		bpf_map_delete_elem(totals->tables->maps[TABLE_TOTAL].fd, key);
	return 0;
}

int tables_total_clear(struct tables *tables, uint32_t ident)
{
	struct totals totals = { .tables = tables, .ident = ident };

	return map_each(&tables->maps[TABLE_TOTAL], clear_total, &totals);
}

// ---- denies -----------------------------------------------------------------------------------------

struct denies {
	struct tables *tables;
	denied_each_fn fn;
	void *arg;
	uint32_t ident, older_than; // to clear
	int cleared, most;
};

static int tell_denied(void *arg, const void *key, const void *value)
{
	const struct denies *denies = arg;
	struct denied_entry entry;

	memcpy(&entry.key, key, sizeof(entry.key));
	memcpy(&entry.value, value, sizeof(entry.value));
	return denies->fn(denies->arg, &entry);
}

int tables_denied_each(struct tables *tables, denied_each_fn fn, void *arg)
{
	struct denies denies = { .tables = tables, .fn = fn, .arg = arg };

	return map_each(&tables->maps[TABLE_DENIED], tell_denied, &denies);
}

// The endpoint's count is shared with the programs and never goes below 0.
static void denied_uncount(struct tables *tables, uint32_t ident)
{
	uint32_t slot = BH_SLOT(ident), seen;
	struct bh_endpoint *endpoint;

	if (slot >= tables_nendpoints(tables))
		return;
	endpoint = &tables->endpoints[slot];
	if (__atomic_load_n(&endpoint->ident, __ATOMIC_ACQUIRE) != ident)
		return;
	seen = __atomic_load_n(&endpoint->denied_count, __ATOMIC_RELAXED);
	while (seen && !__atomic_compare_exchange_n(&endpoint->denied_count, &seen, seen - 1, true,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void tables_on_denied_gone(struct tables *tables, denied_each_fn fn, void *arg)
{
	tables->denied_gone.fn = fn;
	tables->denied_gone.arg = arg;
}

static int clear_denied(void *arg, const void *key, const void *value)
{
	struct denies *denies = arg;
	struct tables *tables = denies->tables;
	struct denies tell = { .fn = tables->denied_gone.fn, .arg = tables->denied_gone.arg };
	const struct bh_denied *denied = value;
	struct bh_denied final;
	uint32_t ident = ((const struct bh_denied_key *)key)->ident;
	uint32_t last = denied->last ? denied->last : denied->first; // just made

	if (denies->ident && ident != denies->ident)
		return 0;
	if (denies->older_than && (int32_t)(last - denies->older_than) >= 0)
		return 0;
	if (bpf_map_lookup_and_delete_elem(tables->maps[TABLE_DENIED].fd, key, &final) < 0)
		return 0;
	denied_uncount(tables, ident);
	if (tell.fn)
		tell_denied(&tell, key, &final);
	return ++denies->cleared == denies->most;
}

int tables_denied_clear(struct tables *tables, uint32_t ident, uint32_t older_than)
{
	struct denies denies = { .tables = tables, .ident = ident, .older_than = older_than };

	return map_each(&tables->maps[TABLE_DENIED], clear_denied, &denies);
}

int tables_denied_age(struct tables *tables, uint32_t silent_sec, int most)
{
	uint32_t since = tables_now() - silent_sec * (uint32_t)BH_TIME_HZ;
	struct denies denies = { .tables = tables, .older_than = since + !since, .most = most };
	int r = map_each(&tables->maps[TABLE_DENIED], clear_denied, &denies);

	return r < 0 ? r : denies.cleared;
}

// ---- what was told of them ----------------------------------------------------------------------------

int tables_denied_told_set(struct tables *tables, const struct denied_entry *entries, uint32_t n)
{
	const struct map *map = &tables->maps[TABLE_DENIED_TOLD];
	_cleanup_free_ struct bh_denied_key *keys = calloc((size_t)n + 1, sizeof(*keys));
	_cleanup_free_ struct bh_denied_key *gone = calloc((size_t)n + 1, sizeof(*gone));
	_cleanup_free_ struct bh_denied *values = calloc((size_t)n + 1, sizeof(*values));
	uint32_t kept = 0, left = 0, done;
	int r;

	if (!keys || !gone || !values)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (entries[i].value.packets) {
			keys[kept] = entries[i].key;
			values[kept++] = entries[i].value;
		} else {
			gone[left++] = entries[i].key;
		}
	}
	r = map_delete(map, gone, left, &done); // first: it makes room
	return r < 0 ? r : map_write(map, keys, values, kept, &done);
}

int tables_denied_told_each(struct tables *tables, denied_each_fn fn, void *arg)
{
	struct denies denies = { .tables = tables, .fn = fn, .arg = arg };

	return map_each(&tables->maps[TABLE_DENIED_TOLD], tell_denied, &denies);
}

struct seed {
	struct map map; // to write
	uint32_t told;
};

static int seed_one(void *arg, const void *key, const void *value)
{
	const struct seed *seed = arg;
	struct bh_denied denied;
	uint32_t done;

	memcpy(&denied, value, sizeof(denied));
	if (!denied.last || (int32_t)(denied.last - seed->told) > 0) // 0: just made
		return 0;
	denied.last = 0;
	return map_write(&seed->map, key, &denied, 1, &done);
}

int denied_told_seed(const struct tables *tables, int fd)
{
	struct bh_node node;
	struct seed seed;
	uint32_t zero = 0;
	int r = bpf_map_lookup_elem(tables->maps[TABLE_NODE].fd, &zero, &node);

	if (r < 0 || !node.told) // nobody told anything
		return r;
	seed.told = node.told;
	r = map_info(fd, &seed.map);
	return r < 0 ? r : map_each(&tables->maps[TABLE_DENIED], seed_one, &seed);
}

// ---- passes and node-wide numbers -------------------------------------------------------------------

int tables_count_get(const struct tables *tables, uint32_t slot, enum bh_dir dir,
		     struct bh_count *ret)
{
	const struct map *map = &tables->maps[TABLE_COUNT];
	_cleanup_free_ void *value = malloc(map->value_bytes);
	uint32_t key = slot * BH_DIR_MAX + dir;
	int r;

	if (!value)
		return -ENOMEM;
	r = bpf_map_lookup_elem(map->fd, &key, value);
	if (r == 0)
		*ret = sum(value, map->value_bytes);
	return r;
}

struct counts {
	const struct map *map;
	count_each_fn fn;
	void *arg;
};

static int tell_count(void *arg, const void *key, const void *value)
{
	const struct counts *counts = arg;
	struct bh_count all = sum(value, counts->map->value_bytes);
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	return counts->fn(counts->arg, index / BH_DIR_MAX, (enum bh_dir)(index % BH_DIR_MAX), &all);
}

int tables_count_each(const struct tables *tables, count_each_fn fn, void *arg)
{
	struct counts counts = { &tables->maps[TABLE_COUNT], fn, arg };

	return map_each(counts.map, tell_count, &counts);
}

int tables_count_clear(struct tables *tables, uint32_t slot)
{
	const struct map *map = &tables->maps[TABLE_COUNT];
	_cleanup_free_ void *zero = calloc(1, map->value_bytes);
	int r = 0;

	if (!zero)
		return -ENOMEM;
	for (uint32_t dir = 0; dir < BH_DIR_MAX && r == 0; dir++) {
		uint32_t key = slot * BH_DIR_MAX + dir;

		r = bpf_map_update_elem(map->fd, &key, zero, BPF_ANY);
	}
	return r;
}

int tables_stats_get(const struct tables *tables, uint64_t ret[BH_STAT_MAX])
{
	const struct map *map = &tables->maps[TABLE_STAT];
	_cleanup_free_ uint64_t *value = malloc(map->value_bytes);
	int r = value ? 0 : -ENOMEM;

	for (uint32_t stat = 0; stat < BH_STAT_MAX && r == 0; stat++) {
		r = bpf_map_lookup_elem(map->fd, &stat, value);
		ret[stat] = 0;
		for (uint32_t i = 0; r == 0 && i < map->value_bytes / sizeof(*value); i++)
			ret[stat] += value[i];
	}
	return r;
}
