// SPDX-License-Identifier: Apache-2.0
// ask_test.c - what a program would read is what the agent is told; a wait outlasts the programs that run.
#include "tests/bpf/rig.h"

#include <pthread.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "tests/bpf/slow.skel.h"

// ---- waiting ----------------------------------------------------------------------------------------

static void *run_slow(void *arg)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	bpf_prog_test_run_opts(*(int *)arg, &opts);
	return NULL;
}

static void wait_outlasts_a_reader(struct tables *tables)
{
	struct slow_bpf *skel = slow_bpf__open_and_load();
	volatile uint64_t *steps;
	bool inside = false;
	pthread_t thread;
	int fd;

	assert_non_null(skel);
	fd = bpf_program__fd(skel->progs.slow);
	steps = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(skel->maps.steps),
		     0);
	assert_true(steps != MAP_FAILED);
	for (int i = 0; i < 100 && !inside; i++) { // a busy machine may look too late
		steps[0] = steps[1] = 0;
		assert_int_equal(pthread_create(&thread, NULL, run_slow, &fd), 0);
		while (!steps[0])
			;
		inside = !steps[1];
		assert_ok(tables_wait(tables));
		assert_int_equal(steps[1], 1);
		pthread_join(thread, NULL);
	}
	assert_true(inside);
	munmap((void *)steps, 16);
	slow_bpf__destroy(skel);
}

static void test_a_wait_outlasts_a_stalled_reader(void **state)
{
	wait_outlasts_a_reader(*state);
}

static void test_a_wait_without_membarrier_does_too(void **state)
{
	feature_force_mask(FEATURE_BIT(FEATURE_MEMBARRIER));
	wait_outlasts_a_reader(*state);
}

// ---- asking -----------------------------------------------------------------------------------------

// Two rows (classes 1 and 2), two columns (port classes 0 and 1).
static void fill_matrix(union bh_unit units[5], bool sparse)
{
	static const uint16_t none[8] = { BH_ROW_NONE, BH_ROW_NONE, BH_ROW_NONE, BH_ROW_NONE,
					  BH_ROW_NONE, BH_ROW_NONE, BH_ROW_NONE, BH_ROW_NONE };

	memset(units, 0, sizeof(union bh_unit) * 5);
	units[0].head = (struct bh_matrix_head){ 7, 2 | (sparse ? BH_MATRIX_SPARSE : 0), 2, 3 };
	memcpy(units[1].lane, none, sizeof(none));
	units[1].lane[1] = 0;
	units[1].lane[2] = 1;
	units[2].lane[1] = 1;
	for (uint32_t i = 0; i < 4; i++)
		units[3 + i / 2].cell[i % 2].verdict = BH_CELL_WORD(i & 1, 10 + i);
}

static void install_scene(struct tables *tables, bool sparse)
{
	union bh_unit units[5];
	struct step steps[] = {
		{ .kind = STEP_CELL_SET, .cell = { { 9, 1, 1 }, { BH_CELL_WORD(1, 77), 0 } } },
		{ .kind = STEP_MATRIX_NEW, .matrix = { .policy = 9, .nunits = 5, .units = units } },
		{ .kind = STEP_PEER_SET, .peer = { { 128, rig_addr("10.0.0.1") }, 1 } },
		{ .kind = STEP_CIDR_SET, .peer = { { 96 + 24, rig_addr("11.0.0.0") }, 2 } },
		{ .kind = STEP_PORT_SET, .port = { 80, 80, 1, BH_PORT_TCP } },
		{ .kind = STEP_ENDPOINT,
		  .endpoint = { 3, { BH_POLICY_ALLOW, 9 }, { BH_GEN_OF(BH_POLICY_ALLOW), 7 } } },
	};
	struct plan plan = { .nsteps = ARRAY_SIZE(steps), .steps = steps };

	fill_matrix(units, sparse);
	tables_endpoint(tables, 3)->ident = BH_IDENT(3, 1);
	assert_ok(tables_apply(tables, &plan, NULL, NULL));
}

static void ask(struct tables *tables, const struct bh_addr *remote, uint16_t port,
		enum bh_reason want, uint32_t rule)
{
	struct tables_answer answer;

	assert_int_equal(tables_ask(tables, 3, BH_EGRESS, remote, 6, port, &answer), want);
	if (want != BH_REASON_CLASS_UNKNOWN)
		assert_int_equal(BH_CELL_RULE(answer.judgement.verdict), rule);
	assert_int_equal(answer.policy, 9);
	assert_int_equal(answer.judgement.gen, 7);
}

static void test_the_kernel_answers_as_a_program_reads(void **state)
{
	struct bh_addr exact = rig_addr("10.0.0.1"), inside = rig_addr("11.0.0.200");
	struct bh_addr foreign = rig_addr("9.9.9.9");
	struct tables_answer answer;

	install_scene(*state, false);
	ask(*state, &exact, 443, BH_REASON_POLICY_DENIED, 10);
	ask(*state, &exact, 80, BH_REASON_ALLOWED, 11);
	ask(*state, &inside, 80, BH_REASON_ALLOWED, 13);
	ask(*state, &foreign, 80, BH_REASON_CLASS_UNKNOWN, 0);
	assert_int_equal(tables_ask(*state, 3, BH_INGRESS, &foreign, 6, 80, &answer),
			 BH_REASON_ALLOWED);
	assert_int_equal(tables_ask(*state, 4, BH_INGRESS, &foreign, 6, 80, &answer),
			 BH_REASON_NO_POLICY);
	tables_ask(*state, 3, BH_EGRESS, &exact, 6, 80, &answer);
	assert_true(answer.exact && answer.cls == 1 && answer.pcls == 1);
}

static void test_the_kernel_answers_for_a_sparse_matrix(void **state)
{
	struct bh_addr exact = rig_addr("10.0.0.1"), inside = rig_addr("11.0.0.200");

	install_scene(*state, true);
	ask(*state, &exact, 80, BH_REASON_POLICY_DENIED, 10); // the row's default
	ask(*state, &inside, 80, BH_REASON_ALLOWED, 77); // the exception
}

// A freed slot denies, under whatever endpoint still points to it.
static void test_a_freed_matrix_denies(void **state)
{
	struct step step = { .kind = STEP_MATRIX_FREE, .matrix.policy = 9 };
	struct plan plan = { .nsteps = 1, .steps = &step };
	struct bh_addr exact = rig_addr("10.0.0.1");
	struct tables_answer answer;

	install_scene(*state, false);
	assert_ok(tables_apply(*state, &plan, NULL, NULL));
	assert_int_equal(tables_ask(*state, 3, BH_EGRESS, &exact, 6, 80, &answer),
			 BH_REASON_CLASS_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_wait_outlasts_a_stalled_reader),
		TEST(test_a_wait_without_membarrier_does_too),
		TEST(test_the_kernel_answers_as_a_program_reads),
		TEST(test_the_kernel_answers_for_a_sparse_matrix),
		TEST(test_a_freed_matrix_denies),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
