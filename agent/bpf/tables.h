// SPDX-License-Identifier: Apache-2.0
// tables.h - the kernel's tables: pinned, sized, checked, mapped; and what may be read from or written to them.
//
// World: host. Pure: no. Owns: the fds and mappings of every bh_* map. What survives a restart of the agent:
// the pins (maps, programs, links), and with them everything the datapath knows; fds and mappings do not.
// Threads: the plan runner and the sweeper work on the helper thread, reads come from the loop's thread;
// each function says if it may only be called from one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/conntrack.h>
#include <bulkhead/policy.h>
#include <bulkhead/service.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/policy/plan.h"

struct tables;

struct tables_config {
	const char *pin_dir; // created 0700 when missing, a bpffs mounted when it is on none
	// Sizes; 0: default.
	uint32_t endpoints, peers, cidrs, policies, sparse_cells, ct, half, frags, denied, totals;
	uint32_t services, selves, backends;
	uint32_t gone; // bytes: a power of two, and of whole pages
	bool beside; // another process has them and keeps them: they must be there (tests, to look at them)
	uint32_t ct_scale; // time-outs are halved this many times (tests; 0 in production)
};

// Opens the pinned tables, or creates and pins them. *retadopted: they were there before, of this ABI
// version, layout, size and boot, and hold a previous agent's state. Tables of another layout are refused with a
// sentence that says what to do (-ESTALE) unless they are empty of endpoints. No second agent can open them
// before tables_close() or the end of this process (-EBUSY).
int tables_open(const struct tables_config *config, struct tables **ret, bool *retadopted,
		struct err *reterr);
void tables_close(struct tables *tables); // pins stay
DEFINE_CLEANUP(struct tables *, tables_close)

// Pins of tables that are gone are made again, in whatever folder is at the place now. How many, or -errno.
// tables_repinned(): all links are pinned there too. Helper thread.
int tables_repin(struct tables *tables, struct err *reterr);
void tables_repinned(struct tables *tables);

// Unpins everything of ours under pin_dir and removes the folder if it is empty then. Idempotent; -EBUSY: the
// tables are open somewhere.
int tables_unpin(const char *pin_dir, struct err *reterr);

int tables_fd(const struct tables *tables, const char *map_name); // borrowed; -ENOENT

// Sets or clears a flag of bh_node, for every program at once. Any thread.
void tables_node_flag(struct tables *tables, enum bh_node_flag flag, bool on);
bool tables_node_has(const struct tables *tables, enum bh_node_flag flag);

// bh_node.told: until when flows that began were told, for the agent after this one; 0: none ever. Any thread.
uint32_t tables_told(const struct tables *tables);
void tables_set_told(struct tables *tables, uint32_t told);

// ---- endpoints: plain stores into the mapping -------------------------------------------------------------------
// NULL beyond the end.
volatile struct bh_endpoint *tables_endpoint(struct tables *tables, uint32_t slot);
int tables_identity_get(const struct tables *tables, uint32_t slot, struct bh_identity *ret);
int tables_identity_set(struct tables *tables, uint32_t slot, const struct bh_identity *identity);
int tables_identity_del(struct tables *tables, uint32_t slot);
// Who is told who an ident was, and its addresses by family, before the table forgets it: on the thread that writes.
typedef void (*tables_left_fn)(void *arg, const struct bh_identity *identity, const struct bh_addr addr[2]);
void tables_on_left(struct tables *tables, tables_left_fn fn, void *arg);
// The addresses that an ident has in its slot; false: it is not the slot's any more.
bool tables_addrs_get(struct tables *tables, uint32_t ident, struct bh_addr ret[2]);
uint32_t tables_next_incarnation(struct tables *tables); // 20 bits, never 0, persisted

// ---- whose address: bh_local, for the netfilter program ------------------------------------------------------------
int tables_local_set(struct tables *tables, const struct bh_addr *addr, uint32_t ident);
int tables_local_del(struct tables *tables, const struct bh_addr *addr, uint32_t ident); // if it is that ident's
int tables_local_prune(struct tables *tables); // of idents that no endpoint has

// ---- plans ---------------------------------------------------------------------------------------------------------
struct apply_stats {
	uint32_t steps, waits;
	uint64_t work_ns, wait_ns; // waits are grace periods, apart from work
};

// Runs a plan to its end, in order, on the calling (helper) thread. On an error the steps before it are in
// force and tables are never left weaker than the old state: reterr names the step and
// retstats->steps says how many are done. The caller goes on behind them; from the start again, readers would
// pass through the old policy once more.
int tables_apply(struct tables *tables, const struct plan *plan, struct apply_stats *retstats,
		 struct err *reterr);

// One grace period for every running program (membarrier, else a map-in-map update that waits).
int tables_wait(struct tables *tables);

// Reads peers, cidrs, ports, matrices, cells and endpoint words, for policy_adopt().
int tables_dump(struct tables *tables, struct policy_tables *ret);

// ---- asking the kernel: explain --------------------------------------------------------------------------------------
struct tables_answer {
	uint32_t policy, cls, pcls;
	struct bh_judgement judgement;
	bool exact; // the class came from bh_peer, else from bh_cidr
	bool service; // it came from bh_service: cls is its class
	// The address itself when exact, else empty: the kernel does not say which prefix matched.
	struct bh_cidr prefix;
};
// What a program of this endpoint would read now for a new flow; the same order, the same code. BH_REASON_SERVICE: it
// passes unjudged, to be judged when a backend is chosen.
enum bh_reason tables_ask(struct tables *tables, uint32_t slot, enum bh_dir dir,
			  const struct bh_addr *remote, uint8_t proto, uint16_t port,
			  struct tables_answer *ret);

// ---- host addresses, extra addresses ---------------------------------------------------------------------------------
// 0 flags: remove.
int tables_host_set(struct tables *tables, const struct bh_addr *addr, uint32_t flags);
// Removes every host address but these.
int tables_host_keep(struct tables *tables, const struct bh_addr *addrs, uint32_t n);
// number: of the prefix's first address, 1..65535; a prefix of less than 65,536 addresses takes as many
// numbers if they fit below 65,536, any other one.
int tables_extra_set(struct tables *tables, uint32_t ident, const struct bh_cidr *cidr,
		     uint32_t number);
int tables_extra_clear(struct tables *tables, uint32_t ident);

// ---- connections ---------------------------------------------------------------------------------------------------------
struct ct_entry {
	uint32_t ident;
	struct bh_addr remote;
	uint16_t remote_port, local_port, local; // host order
	uint8_t proto;
	bool v6; // which table
	bool half; // only half open: the state is NEW or REPLY, the check word is not filled in
	struct bh_ct value; // with what was counted, where judges record: what passed, L3 bytes
};
typedef int (*ct_each_fn)(void *arg, const struct ct_entry *entry); // non-zero stops
// Each entry once that is there throughout; others may be missed or seen. fn is given a copy. Any thread, beside every
// other function.
int tables_ct_each(struct tables *tables, ct_each_fn fn, void *arg);
// The same of half-open flows. What another CPU counts at this moment may be in one number and not in the other.
int tables_half_each(struct tables *tables, ct_each_fn fn, void *arg);

// Half-open flows that lost their place to others before their time, since the tables were made. As much work as reading them.
int tables_half_evicted(const struct tables *tables, uint64_t *ret);

struct ct_sweep_stats {
	uint32_t seen, expired, orphans; // orphans: of endpoints that are gone
	uint32_t live_per_slot_max;
	uint32_t live[2]; // entries that are left in bh_ct and in bh_ct6
	uint32_t half; // half-open flows that are left
	uint64_t half_evicted; // as tables_half_evicted()
	uint32_t corrected; // per-endpoint counts that had drifted and were set right
};
// Deletes what is expired by the table's own rule (bulkhead/conntrack.h) at deletion time, and entries of
// idents that no endpoint has; never a live flow: an entry is looked at again under its key before it
// goes. *hurry (NULL: none): set by another thread, it gives up with -ECANCELED. Helper thread.
int tables_ct_sweep(struct tables *tables, const bool *hurry, struct ct_sweep_stats *ret);

// Deletes the entries of one ident (0: of all) and its half-open flows. How many entries, or -errno.
int tables_ct_flush(struct tables *tables, uint32_t ident);

// Writes an entry with generation 0 (judged at its first packet), never over an existing one:
// 0, -EEXIST, -ENOSPC.
int tables_ct_seed(struct tables *tables, const struct ct_entry *entry);

// Seeds what the host's connection tracking knows of these endpoints' flows (bh_local says whose an address is). Helper
// thread; reads its whole table.
int tables_seed_tracked(struct tables *tables, const uint32_t *idents, uint32_t n);

// ---- flows that are over -------------------------------------------------------------------------------------------------
// By what the entry was last, else by who took it out.
enum ct_over {
	CT_OVER_CLOSED, // both sides closed it
	CT_OVER_RESET,
	CT_OVER_IDLE, // nobody spoke for longer than its state allows
	CT_OVER_CUT, // a policy change cut it
	CT_OVER_REPLACED, // another flow of its key took its place
	CT_OVER_EVICTED, // half open, and a newcomer took its place
	CT_OVER_FORGOTTEN, // the agent took it out: its next packet is judged as if it began
	CT_OVER_POD_GONE,
	CT_OVER_MAX,
};
typedef void (*tables_gone_fn)(void *arg, const struct ct_entry *entry, enum ct_over why);

// Who is told of every entry that the host takes out (sweep, flush, forget), with its last value: on the helper thread,
// while it works, so fn must be quick and must not call back. NULL: nobody any more. Called on the helper thread, or
// while it is idle.
void tables_on_gone(struct tables *tables, tables_gone_fn fn, void *arg);

// Flows that the datapath itself ends (CT_OVER_REPLACED, CT_OVER_EVICTED, or what the flow says) come through a ring,
// from the first tables_ring_open() until tables_ring_off(), whether somebody reads it or not; what finds no room there is counted (BH_STAT_FLOW_LOST). What was in it before is told,
// too. One reader at a time. tables_ring_*() belong to one thread, any one.
struct tables_ring;
int tables_ring_open(struct tables *tables, tables_gone_fn fn, void *arg, struct tables_ring **ret);
// Readable when half of it is full. Before that nobody is woken: read at intervals as well.
int tables_ring_fd(const struct tables_ring *ring); // borrowed
int tables_ring_read(struct tables_ring *ring); // calls fn with each; how many, or -errno
void tables_ring_close(struct tables_ring *ring); // what is in it, and what comes, waits for the next reader
void tables_ring_off(struct tables *tables); // the datapath tells no more
DEFINE_CLEANUP(struct tables_ring *, tables_ring_close)

// ---- backends ------------------------------------------------------------------------------------------------------------
// The flows of this node's pods to these Services: their backends, as conntrack tells them, replace what bh_backend
// held of these Services. Where conntrack cannot be asked nothing is known of them then. Helper thread.
int tables_resolve(struct tables *tables, const struct bh_service_key *keys, uint32_t n);

// What bh_backend holds of an entry's flow. -ENOENT: nothing. Any thread.
int tables_backend(const struct tables *tables, const struct ct_entry *entry, struct bh_backend *ret);

// ---- counters -------------------------------------------------------------------------------------------------------------
struct total_entry {
	struct bh_total_key key;
	uint64_t packets, bytes;
};
typedef int (*total_each_fn)(void *arg, const struct total_entry *entry);
int tables_total_each(struct tables *tables, total_each_fn fn, void *arg);
int tables_total_clear(struct tables *tables, uint32_t ident); // an endpoint that is gone

struct denied_entry {
	struct bh_denied_key key;
	struct bh_denied value;
};
typedef int (*denied_each_fn)(void *arg, const struct denied_entry *entry);
int tables_denied_each(struct tables *tables, denied_each_fn fn, void *arg);
// ident 0: of every endpoint; older_than (bh_now() units) 0: of every age.
int tables_denied_clear(struct tables *tables, uint32_t ident, uint32_t older_than);
// Clears those that were not heard of for so long (up to 20 days), `most` of them; how many, or -errno. Helper thread.
int tables_denied_age(struct tables *tables, uint32_t silent_sec, int most);
// Who is told of each that is cleared, with its last value; as tables_on_gone().
void tables_on_denied_gone(struct tables *tables, denied_each_fn fn, void *arg);

// What of the sums somebody was told, for the agent after this one: written, or (packets 0) no more. One thread.
int tables_denied_told_set(struct tables *tables, const struct denied_entry *entries, uint32_t n);
int tables_denied_told_each(struct tables *tables, denied_each_fn fn, void *arg);

int tables_count_get(const struct tables *tables, uint32_t slot, enum bh_dir dir,
		     struct bh_count *ret);
// Of every slot, used or not.
typedef int (*count_each_fn)(void *arg, uint32_t slot, enum bh_dir dir, const struct bh_count *count);
int tables_count_each(const struct tables *tables, count_each_fn fn, void *arg);
int tables_count_clear(struct tables *tables, uint32_t slot);
int tables_stats_get(const struct tables *tables, uint64_t ret[BH_STAT_MAX]);

// Kernel bytes of each table (fdinfo memlock), for status: {"bh_ct": n, ...}; caller puts it.
struct json_object *tables_memory(const struct tables *tables);

// Of one table, counted from 0. false: there is none.
struct table_use {
	const char *name;
	uint32_t max_entries;
};
bool tables_use(const struct tables *tables, int index, struct table_use *ret);
uint64_t tables_use_bytes(const struct tables *tables, int index); // as tables_memory() has it
uint32_t tables_ct_quota(const struct tables *tables); // connections that one endpoint may have

uint32_t tables_now(void); // bh_now()
