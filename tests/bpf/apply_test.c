// SPDX-License-Identifier: Apache-2.0
// apply_test.c - every step of a plan reaches the kernel as a model in memory says, by every fallback.
#include "tests/bpf/rig.h"

#include "agent/base/vec.h"

#define PEERS 64
#define MATRICES 12
#define UNITS 24

// What the tables should hold; class 0: absent.
struct model {
	uint32_t peers[PEERS], cidrs[PEERS];
	struct bh_cell cells[PEERS]; // all 0: absent
	union bh_unit matrices[MATRICES][UNITS];
	uint32_t nunits[MATRICES]; // 0: free
	struct bh_port ports[65536];
	uint32_t endpoints[8][4];
};

typedef VEC(struct step) steps_t;

static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

static struct bh_cidr peer_of(uint32_t i)
{
	return (struct bh_cidr){ 128, bh_addr_from4(htonl(0x0a000000 + i)) };
}

static struct bh_cidr cidr_of(uint32_t i)
{
	struct bh_cidr cidr = { 96 + 24, bh_addr_from4(htonl(0x0b000000 + (i << 8))) };

	if (i & 1)
		cidr = (struct bh_cidr){ 48, rig_addr("fd00::") };
	if (i & 1)
		cidr.addr.w[1] = htonl(i << 16);
	return cidr;
}

static struct bh_cell_key cell_of(uint32_t i)
{
	return (struct bh_cell_key){ BH_POLICY_FIRST + i % 4, (uint16_t)(i / 4), (uint16_t)i };
}

static void random_units(union bh_unit *units, uint32_t n)
{
	for (uint32_t i = 0; i < n * 4; i++)
		units[i / 4].w[i % 4] = pick(UINT32_MAX) | 1;
}

// One random step of a kind that is possible now, done to the model, too.
static struct step step_of(struct model *model, enum step_kind kind)
{
	uint32_t i = pick(PEERS), m = pick(MATRICES);
	struct step step = { .kind = kind };

	switch (kind) {
	case STEP_MATRIX_NEW:
		model->nunits[m] = 4 + pick(UNITS - 4);
		random_units(model->matrices[m], model->nunits[m]);
		step.matrix.nunits = model->nunits[m];
		step.matrix.units = malloc(sizeof(union bh_unit) * model->nunits[m]);
		memcpy(step.matrix.units, model->matrices[m],
		       sizeof(union bh_unit) * model->nunits[m]);
		step.matrix.policy = BH_POLICY_FIRST + m;
		break;
	case STEP_MATRIX_UNIT:
		if (!model->nunits[m])
			return (struct step){ .kind = STEP_WAIT };
		step.matrix.policy = BH_POLICY_FIRST + m;
		step.matrix.index = pick(model->nunits[m]);
		step.matrix.unit = model->matrices[m][step.matrix.index];
		step.matrix.unit.lane[pick(8)] ^= 2;
		model->matrices[m][step.matrix.index] = step.matrix.unit;
		break;
	case STEP_MATRIX_FREE:
		step.matrix.policy = BH_POLICY_FIRST + m;
		model->nunits[m] = 0;
		break;
	case STEP_CELL_SET:
	case STEP_CELL_DEL:
		step.cell.key = cell_of(i);
		step.cell.cell = (struct bh_cell){ pick(1000) + 1, pick(1000) };
		model->cells[i] = kind == STEP_CELL_SET ? step.cell.cell : (struct bh_cell){ 0 };
		break;
	case STEP_PEER_SET:
	case STEP_PEER_DEL:
		step.peer.cidr = peer_of(i);
		step.peer.cls = 1 + pick(100);
		model->peers[i] = kind == STEP_PEER_SET ? step.peer.cls : 0;
		break;
	case STEP_CIDR_SET:
	case STEP_CIDR_DEL:
		step.peer.cidr = cidr_of(i);
		step.peer.cls = 1 + pick(100);
		model->cidrs[i] = kind == STEP_CIDR_SET ? step.peer.cls : 0;
		break;
	case STEP_PORT_SET:
		step.port.proto = (uint8_t)pick(BH_PORT_PROTO_MAX);
		step.port.lo = (uint16_t)pick(65536);
		step.port.hi = (uint16_t)(step.port.lo + pick(65536u - step.port.lo));
		step.port.cls = (uint16_t)pick(4096);
		for (uint32_t port = step.port.lo; port <= step.port.hi; port++)
			model->ports[port].cls[step.port.proto] = step.port.cls;
		break;
	case STEP_ENDPOINT:
		step.endpoint.slot = pick(8);
		for (int k = 0; k < 4; k++)
			model->endpoints[step.endpoint.slot][k] = pick(9999);
		memcpy(step.endpoint.policy, model->endpoints[step.endpoint.slot], 8);
		memcpy(step.endpoint.gen, model->endpoints[step.endpoint.slot] + 2, 8);
		break;
	default:
		break;
	}
	return step;
}

// Runs of one kind, as a planner makes them.
static void random_plan(struct model *model, uint32_t runs, steps_t *ret)
{
	for (uint32_t i = 0; i < runs; i++) {
		enum step_kind kind = pick(STEP_MAX);
		uint32_t n = kind == STEP_WAIT ? 1 : 1 + pick(kind == STEP_MATRIX_NEW ? 3 : 30);

		for (uint32_t k = 0; k < n; k++)
			assert_ok(vec_push(ret, step_of(model, kind)));
	}
}

static struct plan plan_of(const steps_t *steps)
{
	return (struct plan){ .nsteps = (uint32_t)steps->n, .steps = steps->v };
}

static struct apply_stats apply(struct tables *tables, const steps_t *steps)
{
	struct plan plan = plan_of(steps);
	struct apply_stats stats = { 0 };
	struct err err = { 0 };

	assert_ok_err(tables_apply(tables, &plan, &stats, &err), &err);
	assert_int_equal(stats.steps, plan.nsteps);
	return stats;
}

static void steps_fini(steps_t *steps)
{
	vec_each(struct step, step, steps)
		if (step->kind == STEP_MATRIX_NEW)
			free(step->matrix.units);
	vec_fini(steps);
}

// ---- comparing --------------------------------------------------------------------------------------

static uint32_t class_in(const struct policy_tables_peer *peers, uint32_t n,
			 const struct bh_cidr *cidr)
{
	for (uint32_t i = 0; i < n; i++)
		if (peers[i].cidr.prefixlen == cidr->prefixlen &&
		    bh_addr_equal(&peers[i].cidr.addr, &cidr->addr))
			return peers[i].cls;
	return 0;
}

static void compare_peers(const struct policy_tables *dump, const struct model *model)
{
	uint32_t npeers = 0, ncidrs = 0, ncells = 0;

	for (uint32_t i = 0; i < PEERS; i++) {
		struct bh_cidr peer = peer_of(i), cidr = cidr_of(i);
		struct bh_cell_key key = cell_of(i);

		assert_int_equal(class_in(dump->peers, dump->npeers, &peer), model->peers[i]);
		assert_int_equal(class_in(dump->cidrs, dump->ncidrs, &cidr), model->cidrs[i]);
		npeers += model->peers[i] != 0;
		ncidrs += model->cidrs[i] != 0;
		if (!model->cells[i].verdict)
			continue;
		ncells++;
		for (uint32_t k = 0; k < dump->ncells; k++)
			if (!memcmp(&dump->cells[k].key, &key, sizeof(key)))
				assert_memory_equal(&dump->cells[k].cell, &model->cells[i], 8);
	}
	assert_int_equal(dump->npeers, npeers);
	assert_int_equal(dump->ncidrs, ncidrs);
	assert_int_equal(dump->ncells, ncells);
}

static void compare_matrices(const struct policy_tables *dump, const struct model *model)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < MATRICES; i++) {
		if (!model->nunits[i])
			continue;
		assert_true(at < dump->nmatrices);
		assert_int_equal(dump->matrices[at].policy, BH_POLICY_FIRST + i);
		assert_int_equal(dump->matrices[at].nunits, model->nunits[i]);
		assert_memory_equal(dump->matrices[at].units, model->matrices[i],
				    sizeof(union bh_unit) * model->nunits[i]);
		at++;
	}
	assert_int_equal(dump->nmatrices, at);
}

static void compare(struct tables *tables, const struct model *model)
{
	struct policy_tables dump = { 0 };

	assert_ok(tables_dump(tables, &dump));
	compare_peers(&dump, model);
	compare_matrices(&dump, model);
	assert_memory_equal(dump.ports, model->ports, sizeof(model->ports));
	assert_int_equal(dump.nendpoints, 8);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(dump.endpoints[i].slot, i);
		assert_memory_equal(dump.endpoints[i].policy, model->endpoints[i], 8);
		assert_memory_equal(dump.endpoints[i].gen, model->endpoints[i] + 2, 8);
	}
	policy_tables_fini(&dump);
}

static void name_endpoints(struct tables *tables)
{
	for (uint32_t i = 0; i < 8; i++)
		tables_endpoint(tables, i)->ident = BH_IDENT(i, 1);
}

static void random_plans(void **state, uint32_t force_off)
{
	_cleanup_free_ struct model *model = calloc(1, sizeof(*model));

	feature_force_mask(force_off);
	name_endpoints(*state);
	for (uint64_t round = 1; round <= 4; round++) {
		steps_t steps = { 0 };

		seed = round * 7919 + force_off;
		random_plan(model, 60, &steps);
		apply(*state, &steps);
		compare(*state, model);
		if (round == 2) { // another agent goes on: nothing is mapped yet
			tables_close(*state);
			*state = rig_open(NULL);
		}
		steps_fini(&steps);
	}
}

static void test_random_plans_match_the_model(void **state)
{
	random_plans(state, 0);
}

static void test_random_plans_without_batches(void **state)
{
	random_plans(state, FEATURE_BIT(FEATURE_BATCH));
}

static void test_random_plans_without_batched_matrices(void **state)
{
	random_plans(state, FEATURE_BIT(FEATURE_BATCH_POLICY) | FEATURE_BIT(FEATURE_MEMBARRIER));
}

// ---- running again, failing -------------------------------------------------------------------------

static void test_a_plan_run_twice_changes_nothing(void **state)
{
	_cleanup_free_ struct model *model = calloc(1, sizeof(*model));
	static const enum step_kind kinds[] = { STEP_MATRIX_NEW, STEP_PEER_SET, STEP_PEER_DEL,
						STEP_CIDR_SET,   STEP_CIDR_DEL, STEP_CELL_SET,
						STEP_CELL_DEL,   STEP_PORT_SET, STEP_ENDPOINT,
						STEP_MATRIX_FREE };
	steps_t steps = { 0 };

	seed = 42;
	name_endpoints(*state);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (uint32_t k = 0; k < 20; k++)
			assert_ok(vec_push(&steps, step_of(model, kinds[i])));
	apply(*state, &steps);
	compare(*state, model);
	apply(*state, &steps);
	compare(*state, model);
	steps_fini(&steps);
}

static void test_a_full_table_stops_the_plan_at_its_step(void **state)
{
	struct policy_tables dump = { 0 };
	const uint32_t room = 2 * rig_config.peers; // with headroom for a plan that replaces everything
	struct apply_stats stats;
	steps_t steps = { 0 };
	struct err err = { 0 };
	struct plan plan;

	for (uint32_t i = 0; i < room + 10; i++)
		assert_ok(vec_push(
			&steps, (struct step){ .kind = STEP_PEER_SET, .peer = { peer_of(i), 1 } }));
	plan = plan_of(&steps);
	assert_err(tables_apply(*state, &plan, &stats, &err), -ENOSPC);
	assert_int_equal(stats.steps, room);
	assert_str_contains(err.text, "step 8193 of 8202");
	assert_str_contains(err.text, "full");
	assert_ok(tables_dump(*state, &dump));
	assert_int_equal(dump.npeers, room);
	policy_tables_fini(&dump);
	vec_fini(&steps);
}

static void test_steps_outside_the_tables_are_refused(void **state)
{
	static const struct step bad[] = {
		{ .kind = STEP_ENDPOINT, .endpoint.slot = 64 },
		{ .kind = STEP_MATRIX_UNIT, .matrix.policy = 512 },
		{ .kind = STEP_PORT_SET, .port.proto = BH_PORT_PROTO_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct step step = bad[i];
		struct plan plan = { .nsteps = 1, .steps = &step };

		assert_err(tables_apply(*state, &plan, NULL, NULL), -ERANGE);
	}
}

// ---- figures ----------------------------------------------------------------------------------------

static void timed(struct tables *tables, const char *what, uint32_t n,
		  struct step (*of)(uint32_t i))
{
	struct apply_stats stats;
	steps_t steps = { 0 };

	for (uint32_t i = 0; i < n; i++)
		assert_ok(vec_push(&steps, of(i)));
	stats = apply(tables, &steps);
	print_message("%-24s %6u steps: work %8.3f ms, waiting %8.3f ms\n", what, n,
		      (double)stats.work_ns / 1e6, (double)stats.wait_ns / 1e6);
	vec_fini(&steps);
}

static struct step timed_peer(uint32_t i)
{
	return (struct step){ .kind = STEP_PEER_SET, .peer = { peer_of(i), 1 } };
}

static struct step timed_cidr(uint32_t i)
{
	struct bh_cidr cidr = { 120, bh_addr_from4(htonl(0x0c000000 + (i << 8))) };

	return (struct step){ .kind = STEP_CIDR_SET, .peer = { cidr, 1 } };
}

static struct step timed_matrix(uint32_t i)
{
	static union bh_unit units[256] = { [0].head.gen = 1 };

	return (struct step){ .kind = STEP_MATRIX_NEW,
			      .matrix = { .policy = 2 + i, .nunits = 256, .units = units } };
}

static struct step timed_free(uint32_t i)
{
	return (struct step){ .kind = STEP_MATRIX_FREE, .matrix.policy = 2 + i };
}

static struct step timed_unit(uint32_t i)
{
	union bh_unit unit = { .lane = { (uint16_t)i } };

	return (struct step){ .kind = STEP_MATRIX_UNIT,
			      .matrix = { .policy = 2 + i % 100, .index = 9, .unit = unit } };
}

static struct step timed_ports(uint32_t i)
{
	return (struct step){ .kind = STEP_PORT_SET, .port = { 0, 65535, (uint16_t)i, 0 } };
}

static struct step timed_wait(uint32_t i)
{
	return (struct step){ .kind = STEP_WAIT };
}

static void test_figures(void **state)
{
	timed(*state, "peers", 4000, timed_peer);
	timed(*state, "prefixes", 4000, timed_cidr);
	timed(*state, "matrices of 4 KiB", 100, timed_matrix);
	timed(*state, "matrix units", 4000, timed_unit);
	timed(*state, "matrices freed", 100, timed_free);
	timed(*state, "all ports", 1, timed_ports);
	timed(*state, "a wait", 1, timed_wait);
	feature_force_mask(FEATURE_BIT(FEATURE_BATCH) | FEATURE_BIT(FEATURE_BATCH_POLICY));
	timed(*state, "peers, one by one", 4000, timed_peer);
	timed(*state, "prefixes, one by one", 4000, timed_cidr);
	timed(*state, "matrices, one by one", 10, timed_matrix);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_random_plans_match_the_model),
		TEST(test_random_plans_without_batches),
		TEST(test_random_plans_without_batched_matrices),
		TEST(test_a_plan_run_twice_changes_nothing),
		TEST(test_a_full_table_stops_the_plan_at_its_step),
		TEST(test_steps_outside_the_tables_are_refused),
		TEST(test_figures),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
