// SPDX-License-Identifier: Apache-2.0
// map.c - batched map operations and their fallbacks.
#include "agent/bpf/map.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/feature.h"

#define KERNEL_ENOTSUPP 524 // what map types without an operation answer
#define MEMORY_TRIES 50 // times 1 ms: the kernel refills its element caches in the background

int map_info(int fd, struct map *ret)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &bytes);

	if (r < 0)
		return r;
	*ret = (struct map){ .fd = fd,
			     .type = info.type,
			     .key_bytes = info.key_size,
			     .value_bytes = info.value_size,
			     .max_entries = info.max_entries };
	if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY || info.type == BPF_MAP_TYPE_PERCPU_HASH ||
	    info.type == BPF_MAP_TYPE_LRU_PERCPU_HASH) {
		int cpus = libbpf_num_possible_cpus();

		if (cpus < 0)
			return cpus;
		ret->value_bytes = ((info.value_size + 7) & ~7u) * (uint32_t)cpus;
	}
	return 0;
}

static bool unsupported(int r)
{
	return r == -EINVAL || r == -KERNEL_ENOTSUPP || r == -EOPNOTSUPP;
}

static void *at(const void *base, uint32_t bytes, uint32_t index)
{
	return (char *)base + (size_t)bytes * index;
}

// ---- walking ----------------------------------------------------------------------------------------

struct walk {
	const struct map *map;
	map_fn fn;
	void *arg;
	uint32_t cap; // elements that the buffers hold
	void *keys, *values;
	void *mark[2]; // where the last batch ended, where the next one will
};

static int walk_buffers(struct walk *walk, uint32_t cap)
{
	uint32_t mark_bytes = walk->map->key_bytes > 8 ? walk->map->key_bytes : 8;
	void *keys = reallocarray(walk->keys, cap, walk->map->key_bytes);
	void *values;

	if (!keys)
		return -ENOMEM;
	walk->keys = keys;
	values = reallocarray(walk->values, cap, walk->map->value_bytes);
	if (!values)
		return -ENOMEM;
	walk->values = values;
	walk->cap = cap;
	for (int i = 0; i < 2; i++) {
		if (!walk->mark[i])
			walk->mark[i] = calloc(1, mark_bytes);
		if (!walk->mark[i])
			return -ENOMEM;
	}
	return 0;
}

static void walk_fini(struct walk *walk)
{
	free(walk->keys);
	free(walk->values);
	free(walk->mark[0]);
	free(walk->mark[1]);
}

static int walk_batches(struct walk *walk)
{
	bool first = true;

	for (;;) {
		uint32_t n = walk->cap;
		void *swap = walk->mark[0];
		int r, done;

		r = bpf_map_lookup_batch(walk->map->fd, first ? NULL : walk->mark[0], walk->mark[1],
					 walk->keys, walk->values, &n, NULL);
		if (r == -ENOSPC && walk->cap < walk->map->max_entries) { // a bucket of many
			r = walk_buffers(walk, walk->cap * 2);
			if (r < 0)
				return r;
			continue;
		}
		if (r < 0 && r != -ENOENT)
			return first ? r : (unsupported(r) ? -EIO : r);
		for (uint32_t i = 0; i < n; i++) {
			done = walk->fn(walk->arg, at(walk->keys, walk->map->key_bytes, i),
					at(walk->values, walk->map->value_bytes, i));
			if (done)
				return done;
		}
		if (r == -ENOENT)
			return 0;
		walk->mark[0] = walk->mark[1];
		walk->mark[1] = swap;
		first = false;
	}
}

// The next key is taken before fn may delete this one. When a key vanishes meanwhile, the kernel starts
// over: the count of steps bounds that.
static int walk_single(struct walk *walk)
{
	const struct map *map = walk->map;
	void *key = walk->mark[0], *next = walk->mark[1];
	uint64_t steps = 2ull * map->max_entries + 2;
	int r = bpf_map_get_next_key(map->fd, NULL, key);

	while (r == 0 && steps--) {
		void *swap = key;
		int end = bpf_map_get_next_key(map->fd, key, next);

		if (bpf_map_lookup_elem(map->fd, key, walk->values) == 0) {
			r = walk->fn(walk->arg, key, walk->values);
			if (r)
				return r;
		}
		r = end;
		key = next;
		next = swap;
	}
	return r == -ENOENT ? 0 : r;
}

int map_each(const struct map *map, map_fn fn, void *arg)
{
	uint32_t cap = map->max_entries < MAP_BATCH ? map->max_entries : MAP_BATCH;
	_cleanup_(walk_fini) struct walk walk = { .map = map, .fn = fn, .arg = arg };
	int r = walk_buffers(&walk, cap);

	if (r < 0)
		return r;
	if (feature_have(FEATURE_BATCH)) {
		r = walk_batches(&walk);
		if (!unsupported(r))
			return r;
	}
	return walk_single(&walk);
}

// ---- writing ----------------------------------------------------------------------------------------

static void wait_for_memory(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static int write_single(const struct map *map, const void *key, const void *value)
{
	int r = -ENOMEM;

	for (int i = 0; i < MEMORY_TRIES && r == -ENOMEM; i++) {
		if (i)
			wait_for_memory();
		r = bpf_map_update_elem(map->fd, key, value, BPF_ANY);
	}
	return r == -E2BIG ? -ENOSPC : r;
}

// A batch that stopped goes on one by one over the element that stopped it, so that a full cache of the
// kernel is waited for, and then in batches again.
int map_write(const struct map *map, const void *keys, const void *values, uint32_t n,
	      uint32_t *retdone)
{
	bool batches = feature_have(FEATURE_BATCH);
	uint32_t done = 0;
	int r = 0;

	while (done < n && r == 0) {
		const void *key = at(keys, map->key_bytes, done);
		const void *value = at(values, map->value_bytes, done);
		uint32_t count = n - done < MAP_BATCH ? n - done : MAP_BATCH;

		if (batches && count > 1) {
			r = bpf_map_update_batch(map->fd, key, value, &count, NULL);
			if (unsupported(r)) {
				batches = false;
				r = 0;
				continue;
			}
			done += count;
			if (r == 0 || done == n)
				continue;
			key = at(keys, map->key_bytes, done);
			value = at(values, map->value_bytes, done);
		}
		r = write_single(map, key, value);
		done += r == 0;
	}
	*retdone = done;
	return r;
}

int map_delete(const struct map *map, const void *keys, uint32_t n, uint32_t *retdone)
{
	bool batches = feature_have(FEATURE_BATCH);
	uint32_t done = 0;
	int r = 0;

	while (done < n && r == 0) {
		uint32_t count = n - done < MAP_BATCH ? n - done : MAP_BATCH;

		if (batches && count > 1) {
			r = bpf_map_delete_batch(map->fd, at(keys, map->key_bytes, done), &count,
						 NULL);
			if (unsupported(r)) {
				batches = false;
				r = 0;
				continue;
			}
			done += count; // up to the one that was not there
			if (r == 0 || done == n)
				continue;
		}
		r = bpf_map_delete_elem(map->fd, at(keys, map->key_bytes, done));
		if (r == -ENOENT)
			r = 0;
		done += r == 0;
	}
	*retdone = done;
	return r;
}
