// SPDX-License-Identifier: Apache-2.0
// ct.c - connections: walk, sweep what is too old, seed what was there before us, keep the counts right.
//
// An endpoint's counts are shared with the programs, which add; this file subtracts what it deletes. Races
// (an entry deleted while a program replaces it) leave small drifts; a walk counts again, and what two
// walks in a row agree on is set right.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "agent/bpf/state.h"

#define QUOTA_SHARE 8 // the part of a table that one endpoint may have; its seeds stop there as well

uint32_t tables_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)(((uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec) >>
			  BH_TIME_SHIFT);
}

// ---- keys -------------------------------------------------------------------------------------------

union key {
	struct bh_ct_key v4;
	struct bh_ct6_key v6;
};

static enum table ct_table(bool v6)
{
	return v6 ? TABLE_CT6 : TABLE_CT;
}

static void entry_of(const void *key, const void *value, bool v6, struct ct_entry *ret)
{
	const struct bh_ct_key *k4 = key;
	const struct bh_ct6_key *k6 = key;

	*ret = (struct ct_entry){ .ident = k4->ident, .v6 = v6 };
	memcpy(&ret->value, value, sizeof(ret->value));
	if (v6)
		memcpy(&ret->remote, k6->remote, sizeof(ret->remote));
	else
		ret->remote = bh_addr_from4(k4->remote);
	ret->remote_port = ntohs(v6 ? k6->remote_port : k4->remote_port);
	ret->local_port = ntohs(v6 ? k6->local_port : k4->local_port);
	ret->local = v6 ? k6->local : k4->local;
	ret->proto = v6 ? k6->proto : k4->proto;
}

// The key, and its repetition in the value.
static uint32_t key_of(const struct ct_entry *entry, union key *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (entry->v6) {
		ret->v6.ident = entry->ident;
		memcpy(ret->v6.remote, &entry->remote, sizeof(ret->v6.remote));
		ret->v6.remote_port = htons(entry->remote_port);
		ret->v6.local_port = htons(entry->local_port);
		ret->v6.local = entry->local;
		ret->v6.proto = entry->proto;
		return bh_ct6_check(&ret->v6);
	}
	ret->v4.ident = entry->ident;
	ret->v4.remote = entry->remote.w[3];
	ret->v4.remote_port = htons(entry->remote_port);
	ret->v4.local_port = htons(entry->local_port);
	ret->v4.local = entry->local;
	ret->v4.proto = entry->proto;
	return bh_ct_check(&ret->v4);
}

// ---- counts -----------------------------------------------------------------------------------------

// The endpoint that bears the ident now, or NULL. A slot that was given back keeps the ident of its last pod until the next
// one comes.
static struct bh_endpoint *owner(const struct tables *tables, uint32_t ident)
{
	uint32_t slot = BH_SLOT(ident);
	struct bh_endpoint *endpoint;

	if (slot >= tables_nendpoints(tables) || !ident)
		return NULL;
	endpoint = &tables->endpoints[slot];
	if (__atomic_load_n(&endpoint->state, __ATOMIC_ACQUIRE) == BH_STATE_NONE)
		return NULL;
	return __atomic_load_n(&endpoint->ident, __ATOMIC_ACQUIRE) == ident ? endpoint : NULL;
}

// Never below 0: a count that wrapped would refuse every flow.
static void count_add(uint32_t *count, int32_t delta)
{
	uint32_t seen = __atomic_load_n(count, __ATOMIC_RELAXED), next;

	do {
		int64_t sum = (int64_t)seen + delta;

		next = sum < 0 ? 0 : (uint32_t)sum;
	} while (!__atomic_compare_exchange_n(count, &seen, next, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
}

static void count_entry(const struct tables *tables, uint32_t ident, int32_t delta)
{
	struct bh_endpoint *endpoint = owner(tables, ident);

	if (endpoint)
		count_add(&endpoint->ct_count, delta);
}

// ---- walking ----------------------------------------------------------------------------------------

struct each {
	bool v6;
	ct_each_fn fn;
	void *arg;
};

static int each_entry(void *arg, const void *key, const void *value)
{
	struct each *each = arg;
	struct ct_entry entry;

	entry_of(key, value, each->v6, &entry);
	return each->fn(each->arg, &entry);
}

int tables_ct_each(struct tables *tables, ct_each_fn fn, void *arg)
{
	int r = 0;

	for (int v6 = 0; v6 < 2 && r == 0; v6++) {
		struct each each = { v6, fn, arg };

		r = map_each(&tables->maps[ct_table(v6)], each_entry, &each);
	}
	return r;
}

// One that was taken out.
static void tell(const struct tables *tables, enum table table, const void *key, const struct bh_ct *value,
		 enum ct_over fallback)
{
	struct ct_entry entry;

	entry_of(key, value, table == TABLE_CT6, &entry);
	gone_tell(tables, &entry, fallback);
}

// ---- seeding ----------------------------------------------------------------------------------------

int tables_ct_seed(struct tables *tables, const struct ct_entry *entry)
{
	const struct map *map = &tables->maps[ct_table(entry->v6)];
	struct bh_endpoint *endpoint = owner(tables, entry->ident);
	struct bh_ct value = entry->value;
	union key key;
	int r;

	if (endpoint && endpoint->ct_count >= map->max_entries / QUOTA_SHARE)
		return -ENOSPC;
	value.check = key_of(entry, &key);
	value.gen = 0; // judged at its first packet
	r = bpf_map_update_elem(map->fd, &key, &value, BPF_NOEXIST);
	if (r < 0)
		return r == -E2BIG ? -ENOSPC : r;
	count_entry(tables, entry->ident, 1);
	return 0;
}

// ---- sweeping ---------------------------------------------------------------------------------------

struct tally {
	uint32_t count; // live entries of a slot, as walked
	uint32_t start; // what the endpoint said before, less what was deleted
};

struct sweep {
	struct tables *tables;
	struct tally *tallies; // by slot
	struct ct_sweep_stats stats;
	const bool *hurry;
	enum table table;
	uint32_t now;
};

static bool expired(const struct sweep *sweep, const struct bh_ct *ct, uint8_t proto, uint32_t now)
{
	return bh_ct_expired(ct, proto, now, sweep->tables->ct_scale);
}

static void tally_drop(struct sweep *sweep, uint32_t ident)
{
	struct tally *tally = &sweep->tallies[BH_SLOT(ident)];

	count_entry(sweep->tables, ident, -1);
	tally->start -= tally->start > 0;
}

// Looked at again under its key, then taken out together with its last value: had a packet come in
// between, that value is live and goes back, unless a program wrote a newer one.
static void drop_expired(struct sweep *sweep, const void *key, const struct ct_entry *entry)
{
	int fd = sweep->tables->maps[sweep->table].fd;
	struct bh_ct ct;

	if (bpf_map_lookup_elem(fd, key, &ct) < 0 ||
	    !expired(sweep, &ct, entry->proto, tables_now()))
		return;
	if (bpf_map_lookup_and_delete_elem(fd, key, &ct) < 0)
		return;
	if (!expired(sweep, &ct, entry->proto, tables_now()) &&
	    bpf_map_update_elem(fd, key, &ct, BPF_NOEXIST) == 0)
		return;
	tally_drop(sweep, entry->ident);
	sweep->stats.expired++;
	tell(sweep->tables, sweep->table, key, &ct, CT_OVER_IDLE);
}

static void drop_orphan(struct sweep *sweep, const void *key)
{
	struct bh_ct ct;

	if (bpf_map_lookup_and_delete_elem(sweep->tables->maps[sweep->table].fd, key, &ct) < 0)
		return;
	sweep->stats.orphans++;
	tell(sweep->tables, sweep->table, key, &ct, CT_OVER_POD_GONE);
}

static int sweep_entry(void *arg, const void *key, const void *value)
{
	struct sweep *sweep = arg;
	struct ct_entry entry;
	struct tally *tally;

	entry_of(key, value, sweep->table == TABLE_CT6, &entry);
	if (is_hurried(sweep->hurry))
		return -ECANCELED;
	sweep->stats.seen++;
	if (!owner(sweep->tables, entry.ident)) {
		drop_orphan(sweep, key);
		return 0;
	}
	if (expired(sweep, &entry.value, entry.proto, sweep->now)) {
		drop_expired(sweep, key, &entry);
		return 0;
	}
	tally = &sweep->tallies[BH_SLOT(entry.ident)];
	tally->count++;
	sweep->stats.live[sweep->table == TABLE_CT6]++;
	if (tally->count > sweep->stats.live_per_slot_max)
		sweep->stats.live_per_slot_max = tally->count;
	return 0;
}

// How far a walked number lies outside of what was said before and after: entries that came and went
// meanwhile are no drift.
static int32_t outside(uint32_t walked, uint32_t before, uint32_t after)
{
	uint32_t low = before < after ? before : after;
	uint32_t high = before < after ? after : before;

	if (walked < low)
		return -(int32_t)(low - walked);
	return walked > high ? (int32_t)(walked - high) : 0;
}

// What the last walk and this one agree on.
static int32_t agreed(int32_t last, int32_t now)
{
	if ((last > 0) != (now > 0) || !last || !now)
		return 0;
	return now > 0 ? (last < now ? last : now) : (last > now ? last : now);
}

static void correct(struct sweep *sweep, uint32_t slot)
{
	struct bh_endpoint *endpoint = &sweep->tables->endpoints[slot];
	const struct tally *tally = &sweep->tallies[slot];
	int32_t *drift = &sweep->tables->drift[slot];
	int32_t now = outside(tally->count, tally->start, endpoint->ct_count);
	int32_t count = agreed(*drift, now);

	if (count)
		count_add(&endpoint->ct_count, count);
	sweep->stats.corrected += count != 0;
	*drift = now - count;
}

// What is left alone for 52 days would be young again.
static bool half_is_over(void *arg, const struct bh_half *half, uint32_t last)
{
	struct sweep *sweep = arg;
	bool over = !owner(sweep->tables, half->key.ident) ||
		    bh_half_expired(last, half->key.proto, half->flow.replied, sweep->now, sweep->tables->ct_scale);

	sweep->stats.half += !over;
	return over;
}

uint32_t tables_ct_quota(const struct tables *tables)
{
	return tables->maps[TABLE_CT].max_entries / QUOTA_SHARE;
}

int tables_ct_sweep(struct tables *tables, const bool *hurry, struct ct_sweep_stats *ret)
{
	uint32_t slots = tables_nendpoints(tables);
	_cleanup_free_ struct tally *tallies = calloc(slots, sizeof(*tallies));
	struct sweep sweep = { .tables = tables, .tallies = tallies, .now = tables_now(), .hurry = hurry };
	int r = 0;

	if (!tallies)
		return -ENOMEM;
	for (uint32_t i = 0; i < slots; i++)
		tallies[i].start = tables->endpoints[i].ct_count;
	for (int v6 = 0; v6 < 2 && r == 0; v6++) {
		sweep.table = ct_table(v6);
		r = map_each(&tables->maps[sweep.table], sweep_entry, &sweep);
	}
	for (uint32_t i = 0; i < slots && r == 0; i++)
		if (tables->endpoints[i].ident)
			correct(&sweep, i);
	if (r == 0)
		r = half_clear(tables, half_is_over, &sweep, CT_OVER_POD_GONE, hurry);
	if (r >= 0)
		r = tables_half_evicted(tables, &sweep.stats.half_evicted);
	if (r == 0)
		*ret = sweep.stats;
	return r;
}

// ---- forgetting -------------------------------------------------------------------------------------

// flags: enum bh_ct_flag.
static bool outdated(const struct bh_endpoint *endpoint, uint32_t gen, uint32_t flags)
{
	const uint32_t *current = &endpoint->gen[flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS];

	return gen && gen != __atomic_load_n(current, __ATOMIC_ACQUIRE);
}

struct forget {
	struct tables *tables;
	const struct map *map;
};

// A packet that comes in between is judged, and so is the next one: what it left is written over.
static int forget_entry(void *arg, const void *key, const void *value)
{
	const struct forget *forget = arg;
	const struct bh_endpoint *endpoint =
		owner(forget->tables, ((const struct bh_ct_key *)key)->ident);
	struct bh_ct ct = *(const struct bh_ct *)value;

	if (!endpoint || !outdated(endpoint, ct.gen, ct.flags))
		return 0;
	if (bpf_map_lookup_elem(forget->map->fd, key, &ct) < 0 || !outdated(endpoint, ct.gen, ct.flags))
		return 0;
	ct.gen = 0;
	if (bpf_map_update_elem(forget->map->fd, key, &ct, BPF_EXIST) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

// A half-open flow is judged anew when it is not known.
static bool half_is_outdated(void *arg, const struct bh_half *half, uint32_t last)
{
	const struct bh_endpoint *endpoint = owner(arg, half->key.ident);

	return !endpoint || outdated(endpoint, half->flow.gen, half->flow.flags);
}

int ct_forget(struct tables *tables)
{
	int r = half_clear(tables, half_is_outdated, tables, CT_OVER_FORGOTTEN, NULL);

	r = r < 0 ? r : 0;

	for (int v6 = 0; v6 < 2 && r == 0; v6++) {
		struct forget forget = { tables, &tables->maps[ct_table(v6)] };

		r = map_each(forget.map, forget_entry, &forget);
	}
	return r;
}

// ---- flushing ---------------------------------------------------------------------------------------

struct flush {
	struct tables *tables;
	enum table table;
	uint32_t ident;
	int deleted;
};

static int flush_entry(void *arg, const void *key, const void *value)
{
	struct flush *flush = arg;
	uint32_t ident = ((const struct bh_ct_key *)key)->ident;
	struct bh_ct ct;

	if (flush->ident && ident != flush->ident)
		return 0;
	if (bpf_map_lookup_and_delete_elem(flush->tables->maps[flush->table].fd, key, &ct) < 0)
		return 0;
	count_entry(flush->tables, ident, -1);
	flush->deleted++;
	tell(flush->tables, flush->table, key, &ct, owner(flush->tables, ident) ? CT_OVER_FORGOTTEN : CT_OVER_POD_GONE);
	return 0;
}

static bool half_is_of(void *arg, const struct bh_half *half, uint32_t last)
{
	const struct flush *flush = arg;

	return !flush->ident || half->key.ident == flush->ident;
}

int tables_ct_flush(struct tables *tables, uint32_t ident)
{
	struct flush flush = { .tables = tables, .ident = ident };
	int r = half_clear(tables, half_is_of, &flush, CT_OVER_FORGOTTEN, NULL);

	r = r < 0 ? r : 0;

	for (int v6 = 0; v6 < 2 && r == 0; v6++) {
		flush.table = ct_table(v6);
		r = map_each(&tables->maps[flush.table], flush_entry, &flush);
	}
	return r < 0 ? r : flush.deleted;
}
