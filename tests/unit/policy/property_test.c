// SPDX-License-Identifier: Apache-2.0
// property_test.c - random clusters, random changes: the compiled verdict is the naive one, and at every step
// of every plan, for readers stalled anywhere, a verdict is wholly the old or wholly the new.
#include "tests/harness/test.h"

#include "agent/policy/policy.h"
#include "tests/harness/tables.h"
#include "tests/harness/world.h"

#define FLOWS 160
#define READERS 48

#define ALLOWED 64

// A reader in the middle of its loads, maybe since several plans ago, and what it may come to.
struct reader {
	struct world_flow flow;
	bool service, rerouted; // see struct watch
	struct memread read;
	uint32_t n;
	struct bh_judgement allowed[ALLOWED];
};

struct rig {
	struct world *world;
	struct policy *policy;
	struct memtables *tables;
	uint64_t seed;
	uint32_t change;
	struct reader readers[READERS];
};

static void changed(void *arg, const struct object *before, const struct object *after)
{
	struct rig *rig = arg;

	if (rig->policy)
		policy_changed(rig->policy, before, after);
}

static void add_endpoints(struct policy *policy)
{
	char name[16];

	for (uint32_t i = 0; i < WORLD_LOCAL; i++)
		assert_ok(policy_endpoint_add(policy, world_pod_ns(i), world_pod_name(i, name), i));
}

static void rig_start(struct rig *rig, uint64_t seed, const struct policy_limits *limits)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;

	*rig = (struct rig){ .seed = seed };
	rig->world = world_new(seed, changed, rig);
	world_fill(rig->world);
	assert_ok(policy_new(rig->world->store, limits, &rig->policy));
	policy_set_node(rig->policy, WORLD_OWN_NODE);
	rig->tables = memtables_new();
	rig->tables->is_host = world_is_host;
	add_endpoints(rig->policy);
	assert_ok(policy_compile(rig->policy, &plan));
	memtables_run(rig->tables, plan);
}

static void rig_stop(struct rig *rig)
{
	policy_free(rig->policy);
	memtables_free(rig->tables);
	world_free(rig->world);
}

static struct bh_judgement eval(const struct policy *policy, const struct world_flow *flow)
{
	struct bh_judgement judgement;

	policy_eval(policy, flow->slot, flow->dir, &flow->remote, flow->proto, flow->port,
		    world_is_host(&flow->remote), &judgement);
	return judgement;
}

static bool same(const struct bh_judgement *a, const struct bh_judgement *b)
{
	return a->verdict == b->verdict && a->shadow == b->shadow;
}

#define fail_at(rig, flow, fmt, ...)                                                               \
	do {                                                                                       \
		char addr_[64];                                                                    \
		fail_msg("seed %llu change %u: slot %u %s %s proto %u port %u: " fmt,              \
			 (unsigned long long)(rig)->seed, (rig)->change, (flow)->slot,             \
			 (flow)->dir ? "to" : "from",                                              \
			 addr_format(&(flow)->remote, addr_, sizeof(addr_)), (flow)->proto,        \
			 (flow)->port, __VA_ARGS__);                                               \
	} while (0)

static void check_naive(struct rig *rig, const struct policy *policy, const struct world_flow *flow)
{
	struct bh_judgement got = eval(policy, flow);
	enum bh_verdict want = world_naive(rig->world, flow, false);
	enum bh_verdict shadow = world_naive(rig->world, flow, true);

	if (BH_CELL_VERDICT(got.verdict) != want)
		fail_at(rig, flow, "verdict %d, naively %d", BH_CELL_VERDICT(got.verdict), want);
	if (BH_CELL_VERDICT(got.shadow) != shadow)
		fail_at(rig, flow, "shadow %d, naively %d", BH_CELL_VERDICT(got.shadow), shadow);
}

// ---- one plan, step by step -----------------------------------------------------------------------------------

struct watch {
	struct rig *rig;
	struct world_flow flows[FLOWS];
	struct bh_judgement before[FLOWS], after[FLOWS];
	bool flipped[WORLD_LOCAL];
	// The address began or ceased to be a Service's: if policies change as well, that is one after the other.
	bool service[FLOWS], rerouted[FLOWS]; // service: after the plan
	bool policy_only;
};

static void start_reader(struct watch *watch, struct reader *reader)
{
	uint32_t of = world_below(watch->rig->world, FLOWS);

	*reader = (struct reader){ .flow = watch->flows[of],
				   .service = watch->service[of],
				   .rerouted = watch->rerouted[of],
				   .n = 2 };
	reader->allowed[0] = watch->before[of];
	reader->allowed[1] = watch->after[of];
	reader->read = (struct memread){ .slot = reader->flow.slot,
					 .dir = reader->flow.dir,
					 .remote = reader->flow.remote,
					 .proto = reader->flow.proto,
					 .port = reader->flow.port };
}

static void finish_reader(struct watch *watch, struct reader *reader)
{
	const struct bh_judgement *got = &reader->read.judgement;
	bool fits = false;

	while (memread_step(watch->rig->tables, &reader->read))
		;
	for (uint32_t i = 0; i < reader->n; i++)
		fits |= same(got, &reader->allowed[i]);
	if (!fits && !reader->rerouted)
		fail_at(watch->rig, &reader->flow,
			"a stalled reader got %x/%x (reason %d), old %x/%x, new %x/%x",
			got->verdict, got->shadow, reader->read.reason, reader->allowed[0].verdict,
			reader->allowed[0].shadow, reader->allowed[reader->n - 1].verdict,
			reader->allowed[reader->n - 1].shadow);
	start_reader(watch, reader);
}

static bool is_service(const struct rig *rig, const struct world_flow *flow)
{
	struct policy_service service;

	return flow->dir == BH_EGRESS &&
	       policy_service_find(rig->policy, &flow->remote, flow->proto, flow->port,
				   world_is_host(&flow->remote), &service);
}

// What comes or goes within the plan has both.
static void extend_reader(struct watch *watch, struct reader *reader)
{
	reader->rerouted |= reader->service != is_service(watch->rig, &reader->flow);
	reader->service = is_service(watch->rig, &reader->flow);
	reader->allowed[reader->n++] = eval(watch->rig->policy, &reader->flow);
}

// Readers of the plans before are still there when nothing waited for them.
static void keep_readers(struct watch *watch)
{
	for (uint32_t i = 0; i < READERS; i++) {
		struct reader *reader = &watch->rig->readers[i];

		if (!reader->n || reader->n == ALLOWED)
			start_reader(watch, reader);
		else
			extend_reader(watch, reader);
	}
}

static void finish_readers(struct watch *watch)
{
	for (uint32_t i = 0; i < READERS; i++)
		finish_reader(watch, &watch->rig->readers[i]);
}

static void stir_readers(struct watch *watch)
{
	for (uint32_t i = 0; i < READERS; i += 1 + world_below(watch->rig->world, 3)) {
		struct reader *reader = &watch->rig->readers[i];
		uint32_t loads = world_below(watch->rig->world, 3);

		while (loads--)
			if (!memread_step(watch->rig->tables, &reader->read))
				break;
		if (reader->read.stage == MEMREAD_DONE)
			finish_reader(watch, reader);
	}
}

static void check_flow(struct watch *watch, uint32_t i, uint32_t step)
{
	const struct world_flow *flow = &watch->flows[i];
	struct bh_judgement got;
	bool old, new;

	memtables_ask(watch->rig->tables, flow->slot, flow->dir, &flow->remote, flow->proto,
		      flow->port, &got);
	old = same(&got, &watch->before[i]);
	new = same(&got, &watch->after[i]);
	if (watch->policy_only && !(watch->flipped[flow->slot] ? new : old))
		fail_at(watch->rig, flow, "step %u: %x/%x, %s flip, old %x/%x new %x/%x", step,
			got.verdict, got.shadow, watch->flipped[flow->slot] ? "after" : "before",
			watch->before[i].verdict, watch->before[i].shadow, watch->after[i].verdict,
			watch->after[i].shadow);
	if (!old && !new && !watch->rerouted[i])
		fail_at(watch->rig, flow, "step %u: %x/%x, neither old %x/%x nor new %x/%x", step,
			got.verdict, got.shadow, watch->before[i].verdict, watch->before[i].shadow,
			watch->after[i].verdict, watch->after[i].shadow);
}

// An endpoint that the plan never flips has the same verdicts before and after.
static void find_flips(struct watch *watch, const struct plan *plan)
{
	bool flips[WORLD_LOCAL] = { 0 };

	for (uint32_t i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].kind == STEP_ENDPOINT)
			flips[plan->steps[i].endpoint.slot] = true;
	for (uint32_t i = 0; i < WORLD_LOCAL; i++)
		watch->flipped[i] = !flips[i];
}

static void run_watched(struct watch *watch, const struct plan *plan)
{
	find_flips(watch, plan);
	keep_readers(watch);
	for (uint32_t step = 0; step < plan->nsteps; step++) {
		const struct step *s = &plan->steps[step];

		if (s->kind == STEP_WAIT)
			finish_readers(watch);
		memtables_step(watch->rig->tables, s);
		if (s->kind == STEP_ENDPOINT) {
			// a flip to a larger image of the same matrix is none: the last one counts
			bool later = false;

			for (uint32_t j = step + 1; j < plan->nsteps; j++)
				later |= plan->steps[j].kind == STEP_ENDPOINT &&
					 plan->steps[j].endpoint.slot == s->endpoint.slot;
			watch->flipped[s->endpoint.slot] = !later;
		}
		if (s->kind == STEP_MATRIX_NEW && (step + 1 == plan->nsteps || s[1].kind != s->kind))
			finish_readers(watch); // of a run of them the kernel waits once
		stir_readers(watch);
		for (uint32_t i = 0; i < FLOWS; i += 1 + world_below(watch->rig->world, 4))
			check_flow(watch, i, step);
	}
}

static bool passes(const struct bh_judgement *judgement)
{
	return BH_CELL_VERDICT(judgement->verdict) == BH_VERDICT_ALLOW;
}

static void check_end(struct watch *watch)
{
	struct rig *rig = watch->rig;

	for (uint32_t i = 0; i < FLOWS; i++) {
		struct bh_judgement got;

		memtables_ask(rig->tables, watch->flows[i].slot, watch->flows[i].dir,
			      &watch->flows[i].remote, watch->flows[i].proto, watch->flows[i].port,
			      &got);
		if (!same(&got, &watch->after[i]) || got.gen != watch->after[i].gen)
			fail_at(rig, &watch->flows[i], "at the end %x gen %u, compiled %x gen %u",
				got.verdict, got.gen, watch->after[i].verdict, watch->after[i].gen);
		if (passes(&watch->before[i]) && !passes(&got) && watch->before[i].gen == got.gen)
			fail_at(rig, &watch->flows[i], "connections under generation %u are not judged anew",
				got.gen);
		check_naive(rig, rig->policy, &watch->flows[i]);
	}
}

static void look_before(struct watch *watch)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		watch->flows[i] = world_flow(watch->rig->world);
		watch->before[i] = eval(watch->rig->policy, &watch->flows[i]);
		watch->service[i] = is_service(watch->rig, &watch->flows[i]);
	}
}

static void look_after(struct watch *watch)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		bool before = watch->service[i];

		watch->after[i] = eval(watch->rig->policy, &watch->flows[i]);
		watch->service[i] = is_service(watch->rig, &watch->flows[i]);
		watch->rerouted[i] = before != watch->service[i];
	}
}

static void change_and_run(struct rig *rig, unsigned int kinds, uint32_t n)
{
	static struct watch watch;
	_cleanup_(plan_freep) struct plan *plan = NULL;

	rig->change++;
	watch = (struct watch){ .rig = rig, .policy_only = kinds == WORLD_POLICY };
	look_before(&watch);
	while (n--)
		world_change(rig->world, kinds);
	assert_ok(policy_compile(rig->policy, &plan));
	look_after(&watch);
	run_watched(&watch, plan);
	check_end(&watch);
}

// The same objects compiled from nothing give the same words, and as many of everything: nothing is left over
// and nothing is missing of what came and went.
static void check_fresh(struct rig *rig, const struct policy_limits *limits)
{
	_cleanup_(policy_freep) struct policy *fresh = NULL;
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct policy_stats got, want;

	assert_ok(policy_new(rig->world->store, limits, &fresh));
	policy_set_node(fresh, WORLD_OWN_NODE);
	add_endpoints(fresh);
	assert_ok(policy_compile(fresh, &plan));
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct world_flow flow = world_flow(rig->world);
		struct bh_judgement a = eval(rig->policy, &flow), b = eval(fresh, &flow);

		if (!same(&a, &b))
			fail_at(rig, &flow, "incrementally %x, from scratch %x", a.verdict,
				b.verdict);
	}
	policy_stats(rig->policy, &got);
	policy_stats(fresh, &want);
	if (got.service_keys != want.service_keys || got.selves != want.selves || got.mixed != want.mixed)
		fail_msg("seed %llu change %u: %u keys, %u selves, %u mixed, from scratch %u, %u, %u",
			 (unsigned long long)rig->seed, rig->change, got.service_keys, got.selves,
			 got.mixed, want.service_keys, want.selves, want.mixed);
	if (got.peer_classes != want.peer_classes || got.port_classes != want.port_classes ||
	    got.peers != want.peers || got.cidrs != want.cidrs || got.matrices != want.matrices)
		fail_msg(
			"seed %llu change %u: %u peer classes, %u port classes, %u peers, %u cidrs, "
			"%u matrices, from scratch %u, %u, %u, %u, %u",
			(unsigned long long)rig->seed, rig->change, got.peer_classes,
			got.port_classes, got.peers, got.cidrs, got.matrices, want.peer_classes,
			want.port_classes, want.peers, want.cidrs, want.matrices);
}

static uint32_t rounds(void)
{
	const char *text = getenv("PROPERTY_ROUNDS");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 16;
}

static void run_kind(uint64_t base, unsigned int kinds, uint32_t n,
		     const struct policy_limits *limits)
{
	for (uint64_t seed = base; seed < base + rounds(); seed++) {
		struct rig rig;

		rig_start(&rig, seed, limits);
		for (uint32_t i = 0; i < 30; i++) {
			change_and_run(&rig, kinds, n ? n : 1 + world_below(rig.world, 4));
			check_fresh(&rig, limits);
		}
		rig_stop(&rig);
	}
}

static void policy_changes_are_atomic_per_endpoint(void **state)
{
	run_kind(1000, WORLD_POLICY, 1, NULL);
}

static void several_policy_changes_at_once_are_atomic(void **state)
{
	run_kind(2000, WORLD_POLICY, 3, NULL);
}

static void service_changes_switch_at_their_own_step(void **state)
{
	run_kind(3500, WORLD_SERVICE, 1, NULL);
}

static void pod_changes_switch_at_their_own_step(void **state)
{
	run_kind(3000, WORLD_POD, 1, NULL);
}

static void mixed_changes_are_old_or_new(void **state)
{
	run_kind(4000, WORLD_ANY, 0, NULL);
}

static void sparse_matrices_keep_the_order(void **state)
{
	struct policy_limits limits = { .dense_cells = 4 };

	run_kind(5000, WORLD_ANY, 0, &limits);
}

// ---- adoption ---------------------------------------------------------------------------------------------------

static void restart(struct rig *rig, uint32_t changes, bool halfway, uint32_t *retsteps)
{
	static struct watch watch;
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct policy_tables dump;

	watch = (struct watch){ .rig = rig };
	look_before(&watch);
	// a restart takes longer than any reader
	for (uint32_t i = 0; i < READERS; i++)
		rig->readers[i].n = 0;
	memtables_dump(rig->tables, &dump);
	dump.halfway = halfway;
	policy_free(rig->policy);
	rig->policy = NULL;
	while (changes--)
		world_change(rig->world, WORLD_ANY);
	assert_ok(policy_new(rig->world->store, NULL, &rig->policy));
	policy_set_node(rig->policy, WORLD_OWN_NODE);
	add_endpoints(rig->policy);
	assert_ok(policy_adopt(rig->policy, &dump));
	policy_tables_fini(&dump);
	assert_ok(policy_compile(rig->policy, &plan));
	look_after(&watch);
	run_watched(&watch, plan);
	check_end(&watch);
	*retsteps = plan->nsteps;
}

static void adoption_of_the_same_objects_has_no_steps(void **state)
{
	for (uint64_t seed = 6000; seed < 6000 + rounds(); seed++) {
		struct rig rig;
		uint32_t steps;

		rig_start(&rig, seed, NULL);
		for (uint32_t i = 0; i < 8; i++)
			change_and_run(&rig, WORLD_ANY, 1);
		restart(&rig, 0, false, &steps);
		if (steps)
			fail_msg("seed %llu: %u steps", (unsigned long long)seed, steps);
		rig_stop(&rig);
	}
}

// An address may have moved under a matrix that stayed: connections must not outlive that.
static void adoption_half_way_judges_all_anew(void **state)
{
	for (uint64_t seed = 8000; seed < 8000 + rounds(); seed++) {
		uint32_t gens[WORLD_LOCAL][BH_DIR_MAX], steps;
		struct rig rig;

		rig_start(&rig, seed, NULL);
		for (uint32_t i = 0; i < 6; i++)
			change_and_run(&rig, WORLD_ANY, 1);
		for (uint32_t i = 0; i < WORLD_LOCAL; i++)
			memcpy(gens[i], rig.tables->endpoints[i].gen, sizeof(gens[i]));
		restart(&rig, 0, true, &steps);
		for (uint32_t i = 0; i < WORLD_LOCAL; i++)
			for (int d = 0; d < BH_DIR_MAX; d++)
				if (rig.tables->endpoints[i].policy[d] >= BH_POLICY_FIRST)
					assert_int_not_equal(rig.tables->endpoints[i].gen[d], gens[i][d]);
		rig_stop(&rig);
	}
}

static void adoption_after_changes_is_old_or_new(void **state)
{
	for (uint64_t seed = 7000; seed < 7000 + rounds(); seed++) {
		struct rig rig;
		uint32_t steps;

		rig_start(&rig, seed, NULL);
		for (uint32_t i = 0; i < 6; i++) {
			change_and_run(&rig, WORLD_ANY, 1);
			restart(&rig, 1 + i % 3, false, &steps);
		}
		rig_stop(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policy_changes_are_atomic_per_endpoint),
		cmocka_unit_test(several_policy_changes_at_once_are_atomic),
		cmocka_unit_test(service_changes_switch_at_their_own_step),
		cmocka_unit_test(pod_changes_switch_at_their_own_step),
		cmocka_unit_test(mixed_changes_are_old_or_new),
		cmocka_unit_test(sparse_matrices_keep_the_order),
		cmocka_unit_test(adoption_of_the_same_objects_has_no_steps),
		cmocka_unit_test(adoption_after_changes_is_old_or_new),
		cmocka_unit_test(adoption_half_way_judges_all_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
