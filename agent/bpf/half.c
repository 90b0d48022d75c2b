// SPDX-License-Identifier: Apache-2.0
// half.c - half-open flows: told, taken out. The tables are looked at where they are, through a window that moves: what
// is mapped counts as resident, and copying all of it costs ten times as much where nothing is there. A place is copied
// before it is believed, and its check word tells of one that was written meanwhile; it is freed by one store to its
// tag, so that what programs do in its bucket meanwhile stays.
#include "agent/bpf/state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <bulkhead/half.h>

// ---- the window ----------------------------------------------------------------------------------------

#define WINDOW_BUCKETS 1024
#define PAGE_MAX 65536 // of any machine: where a window may begin
_Static_assert(WINDOW_BUCKETS * sizeof(struct bh_half_bucket) % PAGE_MAX == 0 &&
		       WINDOW_BUCKETS * sizeof(struct bh_half_counts) % PAGE_MAX == 0,
	       "windows begin with a page");

struct window {
	const struct tables *tables;
	int prot; // PROT_
	uint32_t first, n; // buckets
	struct bh_half_bucket *buckets;
	struct bh_half_counts *counts; // NULL: nobody has asked yet
};

// A place as it was at one moment, if its check word says so.
struct seen {
	uint32_t bucket, way; // in the window
	uint32_t tag, last;
	struct bh_half half;
};

typedef int (*seen_fn)(void *arg, struct window *window, const struct seen *seen);
typedef int (*window_fn)(void *arg, struct window *window);

// NULL: errno says why.
static void *window_map(const struct window *window, enum table table)
{
	const struct map *map = &window->tables->maps[table];
	void *memory = mmap(NULL, (size_t)map->value_bytes * window->n, window->prot, MAP_SHARED, map->fd,
			    (off_t)map->value_bytes * window->first);

	return memory == MAP_FAILED ? NULL : memory;
}

static void window_unmap(struct window *window)
{
	if (window->buckets)
		munmap(window->buckets, sizeof(*window->buckets) * window->n);
	if (window->counts)
		munmap(window->counts, sizeof(*window->counts) * window->n);
	window->buckets = NULL;
	window->counts = NULL;
}

// What passed in a place. NULL: errno says why.
static const struct bh_half_count *window_count(struct window *window, const struct seen *seen)
{
	if (!window->counts)
		window->counts = window_map(window, TABLE_HALF_COUNT);
	return window->counts ? &window->counts[seen->bucket].place[seen->way] : NULL;
}

// Whether the place is in use.
static bool see(const struct window *window, uint32_t at, uint32_t way, struct seen *ret)
{
	const struct bh_half_bucket *bucket = &window->buckets[at];

	ret->bucket = at;
	ret->way = way;
	ret->tag = __atomic_load_n(&bucket->tag[way], __ATOMIC_ACQUIRE);
	if (!ret->tag)
		return false;
	ret->last = __atomic_load_n(&bucket->last[way], __ATOMIC_RELAXED);
	ret->half = *(const volatile struct bh_half *)&bucket->place[way];
	return true;
}

static int each_window(const struct tables *tables, int prot, window_fn fn, void *arg)
{
	uint32_t nbuckets = tables->maps[TABLE_HALF].max_entries;
	int r = 0;

	for (uint32_t first = 0; first < nbuckets && r == 0; first += WINDOW_BUCKETS) {
		struct window window = { .tables = tables, .prot = prot, .first = first, .n = nbuckets - first };

		window.n = window.n < WINDOW_BUCKETS ? window.n : WINDOW_BUCKETS;
		window.buckets = window_map(&window, TABLE_HALF);
		r = window.buckets ? fn(arg, &window) : -errno;
		window_unmap(&window);
	}
	return r;
}

struct reading {
	seen_fn fn;
	void *arg;
};

static int read_window(void *arg, struct window *window)
{
	const struct reading *reading = arg;
	struct seen seen;
	int r = 0;

	for (uint32_t at = 0; at < window->n; at++)
		for (uint32_t way = 0; way < BH_HALF_WAYS && r == 0; way++)
			if (see(window, at, way, &seen))
				r = reading->fn(reading->arg, window, &seen);
	return r;
}

// fn of each place in use.
static int each_place(const struct tables *tables, int prot, seen_fn fn, void *arg)
{
	return each_window(tables, prot, read_window, &(struct reading){ fn, arg });
}

// ---- counting ------------------------------------------------------------------------------------------

static int add_evicted(void *arg, struct window *window)
{
	uint64_t *sum = arg;

	for (uint32_t at = 0; at < window->n; at++)
		for (uint32_t way = 0; way < BH_HALF_WAYS; way++)
			*sum += __atomic_load_n(&window->buckets[at].evicted[way], __ATOMIC_RELAXED);
	return 0;
}

int tables_half_evicted(const struct tables *tables, uint64_t *ret)
{
	uint64_t sum = 0;
	int r = each_window(tables, PROT_READ, add_evicted, &sum);

	if (r == 0)
		*ret = sum;
	return r;
}

// ---- telling -------------------------------------------------------------------------------------------

struct telling {
	ct_each_fn fn;
	void *arg;
	uint32_t now, scale;
};

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

static bool is_whole(const struct bh_half *half)
{
	return half->check == bh_half_check(&half->key, &half->flow);
}

static int tell_place(void *arg, struct window *window, const struct seen *seen)
{
	const struct telling *telling = arg;
	const struct bh_half_count *count;
	struct ct_entry entry;

	if (!is_whole(&seen->half) || bh_half_expired(seen->last, seen->half.key.proto, seen->half.flow.replied,
						      telling->now, telling->scale))
		return 0;
	count = window_count(window, seen);
	if (!count)
		return -errno;
	entry_of(&seen->half, seen->last, count, &entry);
	return telling->fn(telling->arg, &entry);
}

int tables_half_each(struct tables *tables, ct_each_fn fn, void *arg)
{
	struct telling telling = { fn, arg, tables_now(), tables->ct_scale };

	return each_place(tables, PROT_READ, tell_place, &telling);
}

// ---- taking out ----------------------------------------------------------------------------------------

struct clearing {
	const struct tables *tables;
	half_fn fn;
	void *arg;
	enum ct_over why;
	const bool *hurry;
	int cleared;
};

// Looked at twice, as mapping the counts takes a while: a flow that was heard of meanwhile keeps its place. One that is
// not whole both times, and the same, is of two newcomers mixed, nobody's; else somebody is writing, and the next sweep looks.
static int clear_place(void *arg, struct window *window, const struct seen *first)
{
	struct clearing *c = arg;
	struct bh_half_count count;
	struct ct_entry entry;
	struct seen seen;
	bool whole;

	if (is_hurried(c->hurry))
		return -ECANCELED;
	if (!c->fn(c->arg, &first->half, first->last))
		return 0;
	if (!window_count(window, first))
		return -errno;
	if (!see(window, first->bucket, first->way, &seen) || !c->fn(c->arg, &seen.half, seen.last))
		return 0;
	whole = is_whole(&seen.half);
	if (!whole && memcmp(&seen.half, &first->half, sizeof(seen.half)))
		return 0;
	count = *window_count(window, &seen);
	if (!__atomic_compare_exchange_n(&window->buckets[seen.bucket].tag[seen.way], &seen.tag, 0, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return 0;
	c->cleared++;
	if (!whole)
		return 0;
	entry_of(&seen.half, seen.last, &count, &entry);
	gone_tell(c->tables, &entry, c->why);
	return 0;
}

int half_clear(struct tables *tables, half_fn fn, void *arg, enum ct_over why, const bool *hurry)
{
	struct clearing c = { .tables = tables, .fn = fn, .arg = arg, .why = why, .hurry = hurry };
	int r = each_place(tables, PROT_READ | PROT_WRITE, clear_place, &c);

	return r < 0 ? r : c.cleared;
}
