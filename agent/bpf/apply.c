// SPDX-License-Identifier: Apache-2.0
// apply.c - run a plan: neighbouring steps of one kind are one call, the order between kinds is kept.
//
// The order itself is the planner's (see THE PUBLISHING ORDER in agent/policy/plan.h); what this file owes
// it: a step is visible before the next one starts, waits really wait, and each endpoint, lane, cell and
// generation changes by one store.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include <bpf/bpf.h>

#include "agent/bpf/feature.h"
#include "agent/bpf/state.h"
#include "agent/bpf/sys.h"

#include <bulkhead/service.h>

// ---- waiting ----------------------------------------------------------------------------------------

static int array_of(uint32_t type, uint32_t value_bytes, int inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);

	if (inner >= 0)
		opts.inner_map_fd = (uint32_t)inner;
	return bpf_map_create(type, "bh_wait", sizeof(uint32_t), value_bytes, 1, &opts);
}

// The kernel returns from an update of an array of maps when no program can see the old element any more.
static int wait_by_map(struct tables *tables)
{
	uint32_t zero = 0;

	if (tables->wait_inner < 0)
		tables->wait_inner = array_of(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), -1);
	if (tables->wait_inner < 0)
		return tables->wait_inner;
	if (tables->wait_outer < 0)
		tables->wait_outer =
			array_of(BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(uint32_t), tables->wait_inner);
	if (tables->wait_outer < 0)
		return tables->wait_outer;
	return bpf_map_update_elem(tables->wait_outer, &zero, &tables->wait_inner, BPF_ANY);
}

// Membarrier is refused where some CPUs run without a tick (nohz_full).
int tables_wait(struct tables *tables)
{
	if (feature_have(FEATURE_MEMBARRIER) && sys_membarrier() == 0)
		return 0;
	return wait_by_map(tables);
}

static int run_wait(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	int r = tables_wait(tables);

	*retdone = r < 0 ? 0 : n; // waits in a row are one
	return r;
}

// ---- elements of hashes and tries -------------------------------------------------------------------

struct element {
	union {
		struct bh_addr addr;
		struct bh_cidr cidr;
		struct bh_cell_key cell_key;
		struct bh_service_key service_key;
		struct bh_self_key self_key;
	};
	union {
		struct bh_peer peer;
		uint32_t cls;
		struct bh_cell cell;
		struct bh_service service;
		struct bh_self self;
	};
};

static void fill_peer(const struct step *step, struct element *ret)
{
	ret->addr = step->peer.cidr.addr;
	ret->peer = (struct bh_peer){ step->peer.cls, bh_addr_check(&ret->addr) };
}

static void fill_cidr(const struct step *step, struct element *ret)
{
	ret->cidr = step->peer.cidr;
	ret->cls = step->peer.cls;
}

static void fill_cell(const struct step *step, struct element *ret)
{
	ret->cell_key = step->cell.key;
	ret->cell = step->cell.cell;
}

static void fill_service(const struct step *step, struct element *ret)
{
	ret->service_key = step->service.key;
	ret->service = (struct bh_service){ step->service.word,
					    bh_service_check(&step->service.key) };
}

static void fill_self(const struct step *step, struct element *ret)
{
	ret->self_key = (struct bh_self_key){ step->service.slot, step->service.key };
	ret->self = (struct bh_self){ step->service.how, bh_self_check(&ret->self_key) };
}

static const struct {
	enum table table;
	bool removes;
	void (*fill)(const struct step *step, struct element *ret);
} elements[STEP_MAX] = {
	[STEP_PEER_SET] = { TABLE_PEER, false, fill_peer },
	[STEP_PEER_DEL] = { TABLE_PEER, true, fill_peer },
	[STEP_CIDR_SET] = { TABLE_CIDR, false, fill_cidr },
	[STEP_CIDR_DEL] = { TABLE_CIDR, true, fill_cidr },
	[STEP_CELL_SET] = { TABLE_CELL, false, fill_cell },
	[STEP_CELL_DEL] = { TABLE_CELL, true, fill_cell },
	[STEP_SERVICE_SET] = { TABLE_SERVICE, false, fill_service },
	[STEP_SERVICE_DEL] = { TABLE_SERVICE, true, fill_service },
	[STEP_SELF_SET] = { TABLE_SELF, false, fill_self },
	[STEP_SELF_DEL] = { TABLE_SELF, true, fill_self },
};

struct batch {
	char keys[MAP_BATCH * sizeof(struct bh_self_key)];
	char values[MAP_BATCH * sizeof(struct bh_cell)];
};

static int run_batch(const struct map *map, const struct step *steps, uint32_t n,
		     struct batch *batch, uint32_t *retdone)
{
	enum step_kind kind = steps[0].kind;

	for (uint32_t i = 0; i < n; i++) {
		struct element element;

		elements[kind].fill(&steps[i], &element);
		memcpy(batch->keys + i * map->key_bytes, &element.addr, map->key_bytes);
		memcpy(batch->values + i * map->value_bytes, &element.peer, map->value_bytes);
	}
	if (elements[kind].removes)
		return map_delete(map, batch->keys, n, retdone);
	return map_write(map, batch->keys, batch->values, n, retdone);
}

static int run_elements(struct tables *tables, const struct step *steps, uint32_t n,
			uint32_t *retdone)
{
	const struct map *map = &tables->maps[elements[steps[0].kind].table];
	_cleanup_free_ struct batch *batch = malloc(sizeof(*batch));
	uint32_t done = 0;
	int r = batch ? 0 : -ENOMEM;

	while (r == 0 && done < n) {
		uint32_t some = 0, count = n - done < MAP_BATCH ? n - done : MAP_BATCH;

		r = run_batch(map, steps + done, count, batch, &some);
		done += some;
	}
	*retdone = done;
	return r;
}

// Programs look for Services at all, and for ports of this node, only where the node says that there may be some.
static int run_services(struct tables *tables, const struct step *steps, uint32_t n,
			uint32_t *retdone)
{
	uint32_t ports = __atomic_load_n(&tables->node->any_ports, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < n; i++) {
		const struct bh_service_key *key = &steps[i].service.key;

		if (!(key->addr[0] | key->addr[1] | key->addr[2] | key->addr[3]))
			ports = bh_any_ports_add(ports, ntohs(key->port));
	}
	__atomic_store_n(&tables->node->any_ports, ports, __ATOMIC_SEQ_CST);
	tables_node_flag(tables, BH_NODE_SERVICES, true);
	return run_elements(tables, steps, n, retdone);
}

// ---- plain stores -----------------------------------------------------------------------------------

static int run_units(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	int r = 0;

	for (*retdone = 0; *retdone < n && r == 0; *retdone += r == 0) {
		const struct step *step = &steps[*retdone];

		r = inner_store(tables, step->matrix.policy, step->matrix.index,
				&step->matrix.unit);
	}
	return r;
}

static int run_ports(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	for (*retdone = 0; *retdone < n; ++*retdone) {
		const struct step *step = &steps[*retdone];

		if (step->port.proto >= BH_PORT_PROTO_MAX)
			return -ERANGE;
		for (uint32_t port = step->port.lo; port <= step->port.hi; port++)
			__atomic_store_n(&tables->ports[port].cls[step->port.proto], step->port.cls,
					 __ATOMIC_RELEASE);
	}
	return 0;
}

// {policy in, policy out} is one store and {generation in, out} the next: the switch of an endpoint.
static void store_pair(uint32_t to[2], const uint32_t want[2])
{
	uint64_t word;

	memcpy(&word, want, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)to, word, __ATOMIC_RELEASE);
}

static int run_forget(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	int r = ct_forget(tables);

	*retdone = r < 0 ? 0 : n; // once is enough
	return r;
}

static int run_resolve(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	_cleanup_free_ struct bh_service_key *keys = calloc(n, sizeof(*keys));
	int r = keys ? 0 : -ENOMEM;

	for (uint32_t i = 0; keys && i < n; i++)
		keys[i] = steps[i].service.key;
	if (r == 0)
		r = tables_resolve(tables, keys, n);
	*retdone = r < 0 ? 0 : n;
	return r;
}

static int run_endpoints(struct tables *tables, const struct step *steps, uint32_t n,
			 uint32_t *retdone)
{
	for (*retdone = 0; *retdone < n; ++*retdone) {
		const struct step *step = &steps[*retdone];
		struct bh_endpoint *endpoint;

		if (step->endpoint.slot >= tables_nendpoints(tables))
			return -ERANGE;
		endpoint = &tables->endpoints[step->endpoint.slot];
		store_pair(endpoint->policy, step->endpoint.policy);
		store_pair(endpoint->gen, step->endpoint.gen);
	}
	return 0;
}

// ---- the plan ---------------------------------------------------------------------------------------

// waits: the call spends its time in grace periods.
static const struct {
	int (*run)(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone);
	bool waits;
} runs[STEP_MAX] = {
	[STEP_WAIT] = { run_wait, true },          [STEP_MATRIX_NEW] = { inner_install, true },
	[STEP_MATRIX_UNIT] = { run_units, false }, [STEP_MATRIX_FREE] = { inner_free, true },
	[STEP_CELL_SET] = { run_elements, false }, [STEP_CELL_DEL] = { run_elements, false },
	[STEP_PEER_SET] = { run_elements, false }, [STEP_PEER_DEL] = { run_elements, false },
	[STEP_CIDR_SET] = { run_elements, false }, [STEP_CIDR_DEL] = { run_elements, false },
	[STEP_PORT_SET] = { run_ports, false },    [STEP_ENDPOINT] = { run_endpoints, false },
	[STEP_FORGET] = { run_forget, false },     [STEP_RESOLVE] = { run_resolve, false },
	[STEP_SERVICE_SET] = { run_services, false }, [STEP_SERVICE_DEL] = { run_elements, false },
	[STEP_SELF_SET] = { run_elements, false }, [STEP_SELF_DEL] = { run_elements, false },
};

static uint32_t run_of(const struct plan *plan, uint32_t from)
{
	uint32_t n = 1;

	while (from + n < plan->nsteps && plan->steps[from + n].kind == plan->steps[from].kind)
		n++;
	return n;
}

static int step_failed(const struct plan *plan, uint32_t step, int r, struct err *reterr)
{
	const char *why = r == -ENOSPC ? "the table is full" : strerror(-r);

	return err_set(reterr, r, "step %u of %u (%s): %s", step + 1, plan->nsteps,
		       step_kind_name(plan->steps[step].kind), why);
}

int tables_apply(struct tables *tables, const struct plan *plan, struct apply_stats *retstats,
		 struct err *reterr)
{
	struct apply_stats stats = { 0 };
	int r = 0;

	tables_node_flag(tables, BH_NODE_PLAN, true);
	while (stats.steps < plan->nsteps && r == 0) {
		enum step_kind kind = plan->steps[stats.steps].kind;
		uint32_t done = 0, n = run_of(plan, stats.steps);
		uint64_t start = sys_now_ns();

		r = runs[kind].run(tables, plan->steps + stats.steps, n, &done);
		stats.steps += done;
		stats.waits += runs[kind].waits;
		*(runs[kind].waits ? &stats.wait_ns : &stats.work_ns) += sys_now_ns() - start;
	}
	if (r == 0)
		tables_node_flag(tables, BH_NODE_PLAN, false);
	if (retstats)
		*retstats = stats;
	return r < 0 ? step_failed(plan, stats.steps, r, reterr) : 0;
}
