// SPDX-License-Identifier: Apache-2.0
// diff.c - the kernel against the naive evaluator: random objects, random packets, the same verdicts.
//
// One set of tables lives through all rounds. Each round changes some objects, compiles, runs the plan,
// and asks; now and then a new compiler adopts the tables, as a new agent would.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/option.h"
#include "tests/diff/expect.h"
#include "tests/diff/frame.h"
#include "tests/diff/reduce.h"
#include "tests/harness/net.h"

#define ROUND_QUESTIONS 2400
#define PORT_FIRST 20000 // source ports: above all ports that rules name, but the last
#define RESTART_EVERY 12
#define WRONG_ROUNDS 3 // then it ends

struct flags {
	uint64_t verdicts, seed;
	bool verbose;
};

static const struct option options[] = {
	{ "verdicts", 'n', OPTION_NUMBER, offsetof(struct flags, verdicts), "N",
	  "how many verdicts to compare", .fallback = "100000", .min = 1 },
	{ "seed", 's', OPTION_NUMBER, offsetof(struct flags, seed), "S",
	  "the same seed asks the same questions", .fallback = "1" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct flags, verbose),
	  .help = "a line per round" },
	{ "help", 'h', OPTION_HELP, .help = "this text" },
	{ NULL },
};
static const struct option *const tables[] = { options, NULL };
static const struct option_page page = {
	.program = "diff",
	.summary = "compare the kernel's verdicts with those of a naive evaluator",
	.text = "Compiles random objects, runs the plans on real tables and random packets through the real "
		"programs. A mismatch is printed with its objects, as few as it takes.",
	.tables = tables,
	.section = 1,
};

struct diff {
	struct flags flags;
	struct rng rng;
	struct world world;
	struct scene *scene;
	uint64_t round, verdicts, wrong, reasons, allowed;
	unsigned wrong_rounds;
};

// ---- a round ----------------------------------------------------------------------------------------------------

// Everything at first and sometimes, a handful mostly, nothing sometimes.
static void change_world(struct diff *diff)
{
	bool all = diff->round % 16 == 0;
	size_t some = rng_below(&diff->rng, 8);

	for (size_t i = 0; all && i < WORLD_ITEMS; i++)
		world_roll(&diff->world, &diff->rng, i);
	for (size_t i = 0; !all && i < some; i++)
		world_roll(&diff->world, &diff->rng, rng_below(&diff->rng, WORLD_ITEMS));
}

static int bring_into_force(struct diff *diff, struct err *reterr)
{
	bool restart = diff->round % RESTART_EVERY == RESTART_EVERY - 1;
	int r;

	r = restart ? scene_restart(diff->scene, &diff->world, rng_chance(&diff->rng, 50), reterr) :
		      scene_apply(diff->scene, &diff->world, /* all= */ false, reterr);
	world_settle(&diff->world);
	return r;
}

// Protocols without ports have one connection per address: each is asked once a round.
static bool was_asked(const struct question *asked, size_t n, const struct question *question)
{
	if (question->port || question->proto == 1 || question->proto == 58)
		return false;
	for (size_t i = 0; i < n; i++)
		if (asked[i].slot == question->slot && asked[i].proto == question->proto &&
		    bh_addr_equal(&asked[i].remote, &question->remote))
			return true;
	return false;
}

static int ask_one(struct diff *diff, const struct question *question, bool *retright,
		   struct err *reterr)
{
	bool passed;
	int r = scene_ask(diff->scene, question, &passed, reterr);

	if (r < 0)
		return r;
	diff->verdicts++;
	diff->allowed += passed;
	*retright = passed == expect_pass(diff->scene, question);
	if (*retright)
		return 0;
	diff->wrong++;
	printf("seed %" PRIu64 ", round %" PRIu64 ", verdict %" PRIu64 "\n", diff->flags.seed,
	       diff->round, diff->verdicts);
	reduce_print(stdout, diff->scene, &diff->world, question, passed);
	fflush(stdout);
	return 0;
}

static int ask_round(struct diff *diff, struct err *reterr)
{
	static struct question asked[ROUND_QUESTIONS];
	bool right = true;
	int r = 0;

	for (size_t i = 0; r == 0 && right && i < ROUND_QUESTIONS; i++) {
		asked[i] = question_roll(&diff->rng, (uint32_t)(i % WORLD_LOCAL),
					 (int)rng_below(&diff->rng, 2), (uint16_t)(PORT_FIRST + i));
		if (!was_asked(asked, i, &asked[i]))
			r = ask_one(diff, &asked[i], &right, reterr);
	}
	diff->wrong_rounds += !right;
	return r;
}

static int run_round(struct diff *diff, struct err *reterr)
{
	struct err reason = { 0 };
	int r;

	change_world(diff);
	r = bring_into_force(diff, reterr);
	if (r == 0)
		r = ask_round(diff, reterr);
	if (r < 0)
		return r;
	if (expect_reasons(diff->scene, &diff->reasons, &reason) < 0) {
		diff->wrong++;
		diff->wrong_rounds++;
		printf("seed %" PRIu64 ", round %" PRIu64 ": wrong reason: %s\n", diff->flags.seed,
		       diff->round, reason.text);
	}
	r = scene_flush(diff->scene);
	return r < 0 ? err_set(reterr, r, "flushing: %s", strerror(-r)) : 0;
}

// ---- all of them ------------------------------------------------------------------------------------------------

static double now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tell_round(const struct diff *diff, double sec)
{
	struct policy_stats stats;

	policy_stats(scene_policy(diff->scene), &stats);
	fprintf(stderr,
		"round %" PRIu64 ": %" PRIu64 " verdicts, %u matrices, %u peer classes, %u port "
		"classes, %" PRIu64 " sparse cells, %.3f s\n",
		diff->round, diff->verdicts, stats.matrices, stats.peer_classes, stats.port_classes,
		stats.sparse_cells, sec);
}

static int run_all(struct diff *diff, struct err *reterr)
{
	double start = now_sec();
	int r = scene_new("/run/bpf/diff", (1u << WORLD_LOCAL) - 1, &diff->scene, reterr);

	world_init(&diff->world);
	while (r == 0 && diff->verdicts < diff->flags.verdicts &&
	       diff->wrong_rounds < WRONG_ROUNDS) {
		r = run_round(diff, reterr);
		if (r < 0)
			err_wrap(reterr, "seed %" PRIu64 ", round %" PRIu64, diff->flags.seed,
				 diff->round);
		if (r == 0 && diff->flags.verbose)
			tell_round(diff, now_sec() - start);
		diff->round++;
	}
	printf("seed %" PRIu64 ": %" PRIu64 " rounds, %" PRIu64 " allowed, %" PRIu64
	       " reasons, %.1f s\n",
	       diff->flags.seed, diff->round, diff->allowed, diff->reasons, now_sec() - start);
	scene_free(diff->scene);
	world_fini(&diff->world);
	return r;
}

int main(int argc, char **argv)
{
	static struct diff diff;
	struct option_list args = { 0 };
	struct err err = { 0 };
	int r = option_defaults(tables, &diff.flags, &err);

	if (r == 0)
		r = option_parse(&page, argc, argv, &diff.flags, &args, &err);
	if (r == OPTION_WANTS_HELP) {
		option_help(stdout, &page);
		return 0;
	}
	if (r < 0) {
		fprintf(stderr, "diff: %s; see --help\n", err.text);
		return 2;
	}
	if (net_private() < 0)
		return 2;
	diff.rng.state = diff.flags.seed;
	r = run_all(&diff, &err);
	if (r < 0) {
		printf("diff: %s\n", err.text);
		diff.wrong++;
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n",
	       diff.verdicts > diff.wrong ? diff.verdicts - diff.wrong : 0, diff.wrong);
	return diff.wrong > 0;
}
