// SPDX-License-Identifier: Apache-2.0
// half_test.c - places of half-open flows: what two writers, or a writer and a reader, mix is nobody's.
#include "tests/harness/test.h"

#include <string.h>

#include <bulkhead/half.h>
#include <bulkhead/policy.h>

#define ROUNDS 2000

// What is stored by itself: the key, each word of the flow that the check covers, the check.
enum { KEY, GEN, RULE, SHADOW, CREATED, FLAGS, CHECK, PARTS };

static uint32_t state;

static uint32_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

static bool is_somebodys(const struct bh_half *half)
{
	return half->check == bh_half_check(&half->key, &half->flow);
}

// Of `b` where `parts` says so, else of `a`.
static struct bh_half mixed(const struct bh_half *a, const struct bh_half *b, uint32_t parts)
{
#define OF(part) (parts & 1u << (part) ? b : a)
	return (struct bh_half){
		.key = OF(KEY)->key,
		.flow = { .gen = OF(GEN)->flow.gen,
			  .rule = OF(RULE)->flow.rule,
			  .shadow = OF(SHADOW)->flow.shadow,
			  .created = OF(CREATED)->flow.created,
			  .flags = OF(FLAGS)->flow.flags },
		.check = OF(CHECK)->check,
	};
}

// Each mixture of two that are written is nobody's, unless it is the one or the other.
static void mixtures_are_nobodys(const struct bh_half *a, const struct bh_half *b)
{
	for (uint32_t parts = 0; parts < 1u << PARTS; parts++) {
		struct bh_half half = mixed(a, b, parts);

		if (is_somebodys(&half) && memcmp(&half, a, sizeof(half)) && memcmp(&half, b, sizeof(half)))
			fail_msg("mixture %#x of generations %u and %u is taken for a flow", parts, a->flow.gen,
				 b->flow.gen);
	}
}

static struct bh_half drawn(void)
{
	struct bh_half half = {
		.key = { .ident = BH_IDENT(draw() % 256, 1 + draw() % 8),
			 .remote = { 0, 0, 0xffff0000, draw() },
			 .remote_port = (uint16_t)draw(),
			 .local_port = (uint16_t)draw(),
			 .proto = draw() % 2 ? 6 : 17 },
		.flow = { .gen = 1 + draw() % 4096,
			  .rule = BH_CELL_WORD(draw() % 4, draw() % 1024),
			  .shadow = draw() % 2 ? BH_CELL_WORD(draw() % 4, draw() % 1024) : 0,
			  .created = draw(),
			  .flags = draw() % 4 },
	};

	half.check = bh_half_check(&half.key, &half.flow);
	return half;
}

static int setup(void **unused)
{
	state = 0x2545f491;
	return 0;
}

static void two_newcomers(void **unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct bh_half a = drawn(), b = drawn();

		mixtures_are_nobodys(&a, &b);
	}
}

// The next generation, and often nothing but that.
static void one_flow_judged_again(void **unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct bh_half before = drawn(), after = before;

		after.flow.gen++;
		if (i % 2)
			after.flow.rule = BH_CELL_WORD(draw() % 4, draw() % 1024);
		if (i % 4 == 3)
			after.flow.shadow = BH_CELL_WORD(draw() % 4, draw() % 1024);
		after.check = bh_half_check(&after.key, &after.flow);
		mixtures_are_nobodys(&before, &after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(two_newcomers, setup),
		cmocka_unit_test_setup(one_flow_judged_again, setup),
	};

	return cmocka_run_group_tests_name("half", tests, NULL, NULL);
}
