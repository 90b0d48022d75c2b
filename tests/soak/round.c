// SPDX-License-Identifier: Apache-2.0
// round.c - one round: change, show, sometimes end or kill the agent, sometimes wait and look at everything.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/soak/soak.h"

#define RESTART_PERCENT 12

int round_show(struct soak *soak, struct err *reterr)
{
	static struct state shown;

	// No API server holds what it cannot make sense of.
	cast_state(&soak->cast, !soak->stage.api, &shown);
	soak->calm = false;
	return stage_show(&soak->stage, &shown, reterr);
}

// Who must be enforced: each device's youngest pod that runs.
static size_t wanted(struct soak *soak, char want[][128])
{
	size_t n = 0;

	for (unsigned i = 0; soak->cast.kept && i < CAST_KEEPERS; i++)
		snprintf(want[n++], 128, "%s/%s", cast_keepers[i].ns, cast_keepers[i].name);
	for (unsigned i = 0; i < CAST_SEATS; i++) {
		const struct seat_pod *owner = cast_owner(&soak->cast.seats[i]);

		if (owner && soak->cast.seats[i].device)
			snprintf(want[n++], 128, "%s/%s", owner->ns, owner->name);
	}
	return n;
}

int round_sync(struct soak *soak, struct err *reterr)
{
	char want[CAST_SEATS + CAST_KEEPERS][128];
	size_t n = wanted(soak, want);
	int r = stage_sync(&soak->stage, want, n, reterr);

	soak->calm = r == 0;
	return r;
}

static int check_tables(struct soak *soak, struct fresh *fresh, struct err *reterr)
{
	struct compared compared;
	int r = compare_tables(&soak->stage, fresh, &soak->rng, &compared, reterr);

	if (r < 0)
		return r;
	soak->questions += compared.questions;
	soak_result(soak, "verdicts and rules are those of a fresh compile", !compared.different,
		    "%llu of %llu: %s", (unsigned long long)compared.different,
		    (unsigned long long)compared.questions, compared.first);
	soak_result(soak, "verdicts are those of the naive evaluator", !compared.wrong,
		    "%llu of %llu: %s", (unsigned long long)compared.wrong,
		    (unsigned long long)compared.questions, compared.first);
	soak_result(soak, "classes and prefixes are as many as a fresh compile needs",
		    compared.same_sizes, "%s", compared.sizes);
	return 0;
}

static int check_held(struct soak *soak, struct err *reterr)
{
	struct held held;
	int r = held_compare(&soak->stage, &held, reterr);

	if (r < 0)
		return r;
	soak->compared += held.objects;
	soak_result(soak, "what the agent holds is what the server has", held.same, "%s", held.first);
	return 0;
}

// What is gone without a word must be missed in the new lists: the next check sees. Before they have come no pod may
// be open: `forbidden` is sent all the time.
static int list_again(struct soak *soak, struct err *reterr)
{
	int r;

	api_ghosts(soak->stage.api);
	r = check_held(soak, reterr);
	if (r == 0)
		api_list_again(soak->stage.api);
	return r;
}

int round_check(struct soak *soak, struct err *reterr)
{
	static struct state force;
	_cleanup_free_ struct live *live = NULL;
	struct err lost = { 0 };
	struct fresh fresh;
	size_t nlive;
	int r;

	soak->checks++;
	cast_state(&soak->cast, false, &force);
	r = stage_live(&soak->stage, &live, &nlive, reterr);
	if (r < 0)
		return r;
	if (soak->stage.api)
		r = check_held(soak, reterr);
	if (r < 0)
		return r;
	r = fresh_open(&fresh, &force, live, nlive, reterr);
	if (r == 0)
		r = check_tables(soak, &fresh, reterr);
	if (r == 0)
		r = packets_check(soak, &force, &fresh, reterr);
	fresh_close(&fresh);
	soak_result(soak, "flows that are always allowed lose nothing",
		    keeper_check(&soak->keeper, &lost) == 0, "%s", lost.text);
	kernel_ids_prune(&soak->seen);
	if (r == 0)
		r = kernel_ids_add(&soak->seen, agent_pid(soak->stage.agent), STAGE_PINS);
	return r == 0 && soak->stage.api ? list_again(soak, reterr) : r;
}

// Ends or kills the agent in the middle of what it does; things may change while it is away.
static int restart(struct soak *soak, struct err *reterr)
{
	bool killed = rng_chance(&soak->rng, 70);
	int status = stage_agent_end(&soak->stage, killed ? SIGKILL : SIGTERM), r = 0;

	soak_result(soak, "an agent that is asked to end leaves with 0",
		    status == (killed ? SIGKILL : 0), "status %#x", status);
	*(killed ? &soak->kills : &soak->stops) += 1;
	if (rng_chance(&soak->rng, 50)) {
		cast_churn(&soak->cast, false);
		r = round_show(soak, reterr);
	}
	if (r == 0)
		r = packets_keepers(soak, reterr);
	return r < 0 ? r : stage_agent_start(&soak->stage, reterr);
}

int round_run(struct soak *soak, bool may_restart, struct err *reterr)
{
	int r;

	soak->rounds++;
	cast_churn(&soak->cast, soak->calm);
	r = round_show(soak, reterr);
	if (r == 0 && may_restart && rng_chance(&soak->rng, RESTART_PERCENT))
		r = restart(soak, reterr);
	if (r == 0)
		r = packets_keepers(soak, reterr);
	if (r < 0 || soak->rounds % soak->flags.every)
		return r;
	r = round_sync(soak, reterr);
	return r < 0 ? r : round_check(soak, reterr);
}
