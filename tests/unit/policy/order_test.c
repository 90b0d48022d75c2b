// SPDX-License-Identifier: Apache-2.0
// order_test.c - where a plan waits for readers, and where it need not.
#include "tests/harness/test.h"

#include "tests/harness/judge.h"

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
	judge_put(j, KIND_NETPOL,
		  "{'metadata':{'name':'p','namespace':'x'},'spec':{'podSelector':{'matchLabels':{'app':'web'}},"
		  "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'c'}}}]}]}}");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_generation_follows_the_move_that_it_tells_of),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
