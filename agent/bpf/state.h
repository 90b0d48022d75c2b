// SPDX-License-Identifier: Apache-2.0
// state.h - what struct tables is made of; for the files of this room only.
//
// World: host. Pure: no. Owns: see each field.
// Threads: fds, sizes and the two mappings never change while open. `matrices` and `drift` belong to the
// helper thread.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/libbpf.h>

#include <bulkhead/half.h>

#include "agent/bpf/map.h"
#include "agent/bpf/pin.h"
#include "agent/bpf/tables.h"

enum table {
	TABLE_NODE,
	TABLE_ENDPOINT,
	TABLE_POLICY,
	TABLE_PEER,
	TABLE_CIDR,
	TABLE_PORT,
	TABLE_CELL,
	TABLE_CT,
	TABLE_CT6,
	TABLE_HALF,
	TABLE_HALF_COUNT,
	TABLE_GONE,
	TABLE_FRAG,
	TABLE_EXTRA,
	TABLE_HOST,
	TABLE_SERVICE,
	TABLE_SELF,
	TABLE_LOCAL,
	TABLE_BACKEND,
	TABLE_IDENTITY,
	TABLE_TOTAL,
	TABLE_DENIED,
	TABLE_DENIED_TOLD,
	TABLE_COUNT,
	TABLE_STAT,
	TABLE_JUDGE,
	TABLE_MAX,
};

extern const char *const table_names[TABLE_MAX];

// A mapping of a matrix's units.
struct matrix {
	union bh_unit *units; // NULL: not mapped
	uint32_t nunits;
	uint32_t id; // of the inner map
};

enum hook_state { HOOK_UNSAID, HOOK_WANTED, HOOK_UNWANTED };

struct tables {
	char pin_dir[PIN_DIR_BYTES];
	int lock; // of the pin folder: keeps other agents out
	int lock_before; // of the folder that was there before, while links are pinned in it alone; -1: none
	struct map maps[TABLE_MAX]; // fd -1: none
	struct bh_node *node; // mapping
	struct bh_endpoint *endpoints; // mapping
	struct bh_port *ports; // mapping
	uint32_t ct_scale;
	uint32_t judges; // bit by features: loaded by this process; helper thread

	struct matrix *matrices; // by policy id
	int empty; // the inner map of free policy slots, -1: not made yet
	int wait_outer, wait_inner; // for waits without membarrier, -1: not made yet

	// hook.c; helper thread
	enum hook_state hook;
	bool hook_ours; // what is attached is this process's
	uint64_t hook_unwanted_ns; // since then

	struct {
		tables_gone_fn fn;
		void *arg;
	} gone; // helper thread
	struct {
		denied_each_fn fn;
		void *arg;
	} denied_gone; // helper thread
	struct {
		tables_left_fn fn;
		void *arg;
	} left;

	int32_t *drift; // by slot: entries counted in the last walk minus what the endpoint said
};

// Gives every map of an object the fd of the table of its name, so that loading makes none.
int tables_reuse(const struct tables *tables, struct bpf_object *object);

static inline uint32_t tables_nendpoints(const struct tables *tables)
{
	return tables->maps[TABLE_ENDPOINT].max_entries;
}

// Is something more urgent than this walk?
static inline bool is_hurried(const bool *hurry)
{
	return hurry && __atomic_load_n(hurry, __ATOMIC_RELAXED);
}

// ---- ct.c; helper thread ----

// Every connection that is not judged under its endpoint's generation gets generation 0.
int ct_forget(struct tables *tables);

// ---- counter.c ----

// What an agent told that kept no bh_denied_told: sums that were last seen before bh_node.told go into the map of this fd,
// whole. Those that went on since are told whole again, rather twice than never. bh_node and bh_denied are open.
int denied_told_seed(const struct tables *tables, int fd);

// ---- gone.c ----

// Tells of an entry that the host has taken out. fallback: why, where the entry itself does not say. Helper thread.
void gone_tell(const struct tables *tables, const struct ct_entry *entry, enum ct_over fallback);

// ---- half.c ----

// Takes the half-open flows out that fn says true of, and tells of them. *fn may set the reason that is told where
// the flow itself says none. *hurry (NULL: none): set by another thread, it gives up with -ECANCELED. How many, or -errno.
// Helper thread.
typedef bool (*half_fn)(void *arg, const struct bh_half *half, uint32_t last);
int half_clear(struct tables *tables, half_fn fn, void *arg, enum ct_over why, const bool *hurry);

// ---- inner.c: the inner maps of bh_policy; helper thread ----

// Makes one inner map per step and puts all into bh_policy. *retdone: how many are in force.
int inner_install(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone);
int inner_free(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone);
int inner_store(struct tables *tables, uint32_t policy, uint32_t index, const union bh_unit *unit);

// A copy of the units that the kernel holds; -ENOENT when the slot is free. Any thread.
int inner_copy(const struct tables *tables, uint32_t policy, union bh_unit **ret,
	       uint32_t *retnunits);
// fd of the inner map, or -ENOENT. Any thread.
int inner_open(const struct tables *tables, uint32_t policy);
void inner_unmap_all(struct tables *tables);
