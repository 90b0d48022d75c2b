// SPDX-License-Identifier: Apache-2.0
// map.h - many elements of one kernel map at once: by batches where the kernel has them, else one by one.
//
// World: host. Pure: no. Owns: nothing between calls. Callable from every thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_BATCH 1024 // elements of one system call

struct map {
	int fd;
	uint32_t type; // enum bpf_map_type
	uint32_t key_bytes;
	uint32_t value_bytes; // as system calls move it: of all CPUs together in per-CPU maps
	uint32_t max_entries;
};

// Fills what the kernel says about fd. 0 or -errno.
int map_info(int fd, struct map *ret);

// Each element once, if it is there throughout; others may be missed or seen. fn may delete the element it
// is given. Non-zero from fn stops the walk and is returned.
typedef int (*map_fn)(void *arg, const void *key, const void *value);
int map_each(const struct map *map, map_fn fn, void *arg);

// Writes n elements in order, over existing ones. *retdone: how many are written. -ENOSPC: the map is full.
int map_write(const struct map *map, const void *keys, const void *values, uint32_t n,
	      uint32_t *retdone);

// Deletes n elements in order; what is not there is fine.
int map_delete(const struct map *map, const void *keys, uint32_t n, uint32_t *retdone);
