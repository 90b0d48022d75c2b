// SPDX-License-Identifier: Apache-2.0
// order_test.c - where a plan waits for readers, and where it need not.
#include "tests/harness/test.h"

#include "tests/harness/judge.h"

static void policy_from(struct judge *j, const char *labels)
{
	judge_put(j, KIND_NETPOL,
		  "{'metadata':{'name':'p','namespace':'x'},'spec':{'podSelector':{'matchLabels':{'app':'web'}},"
		  "'ingress':[{'from':[{'podSelector':{'matchLabels':{%s}}}]}]}}", labels);
}

// The plan of a relabel that tightens under a matrix that stays; the caller frees it.
static struct plan *relabel(struct judge *j, bool loads_reorder)
{
	struct policy_limits limits = { .loads_reorder = loads_reorder };
	struct plan *plan;

	judge_start(j, &limits);
	judge_put(j, KIND_NAMESPACE, "{'metadata':{'name':'x'}}");
	judge_local(j, "x", "web", "'app':'web'", "10.0.0.1", "");
	judge_pod(j, "x", "c", "'app':'c'", "10.0.0.5", "");
	judge_pod(j, "x", "d", "'app':'d'", "10.0.0.6", "");
	policy_from(j, "'app':'c'");
	judge_compile(j);
	judge_pod(j, "x", "c", "'app':'d'", "10.0.0.5", "");
	assert_ok(policy_compile(j->policy, &plan));
	return plan;
}

// The first step of a kind from `at` on.
static uint32_t find(const struct plan *plan, enum step_kind kind, uint32_t at)
{

	while (at < plan->nsteps && plan->steps[at].kind != kind)
		at++;
	return at;
}

static void a_generation_follows_the_move_that_it_tells_of(void **state)
{
	for (int reorder = 0; reorder < 2; reorder++) {
		struct judge j;
		struct plan *plan = relabel(&j, reorder);
		uint32_t move = find(plan, STEP_PEER_DEL, 0);
		uint32_t gen = find(plan, STEP_MATRIX_UNIT, move); // of the head
		uint32_t flip = find(plan, STEP_ENDPOINT, gen), wait = find(plan, STEP_WAIT, move);

		assert_true(move < gen && gen < flip && flip < plan->nsteps);
		if (reorder) // nobody has the old class any more who may read the new generation
			assert_true(move < wait && wait < gen);
		else // readers load in order: none can
			assert_true(wait > flip);
		plan_free(plan);
		judge_stop(&j);
	}
}

// Installing ends with a grace period: it comes behind the moves, and no other wait stands before the flip.
static void a_new_matrix_comes_behind_the_moves(void **state)
{
	uint32_t moves = 0, installs, flip;
	struct plan *plan;
	struct judge j;

	judge_start(&j, &(struct policy_limits){ 0 });
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'x'}}");
	judge_local(&j, "x", "web", "'app':'web'", "10.0.0.1", "");
	judge_pod(&j, "x", "c", "'app':'c'", "10.0.0.5", "");
	policy_from(&j, "'app':'c'");
	judge_compile(&j);
	judge_pod(&j, "x", "d", "'app':'d','tier':'1'", "10.0.0.6", "");
	policy_from(&j, "'tier':'1'");
	assert_ok(policy_compile(j.policy, &plan));
	installs = find(plan, STEP_MATRIX_NEW, 0);
	flip = find(plan, STEP_ENDPOINT, 0);
	assert_true(installs < flip && flip < plan->nsteps);
	for (uint32_t i = 0; i < plan->nsteps; i++) {
		bool move = plan->steps[i].kind == STEP_PEER_SET || plan->steps[i].kind == STEP_PORT_SET;

		moves += move;
		assert_false(move && i > installs);
		assert_false(plan->steps[i].kind == STEP_WAIT && i < flip);
	}
	assert_true(moves);
	plan_free(plan);
	judge_stop(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_matrix_comes_behind_the_moves),
		cmocka_unit_test(a_generation_follows_the_move_that_it_tells_of),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
