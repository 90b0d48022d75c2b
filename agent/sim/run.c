// SPDX-License-Identifier: Apache-2.0
// run.c - states applied one after another, every question asked in every family.
#include "agent/sim/run.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/sim/sim.h"

struct run {
	const struct run_events *events;
	struct run_report *report;
	struct sim *sim; // holds the state of `applied`
	struct sim_case *applied; // NULL: nothing
};

static void unusable(struct run *run, const char *title, const char *text)
{
	run->report->failed++;
	if (run->events->unusable)
		run->events->unusable(run->events->arg, title, text);
}

static void forget(struct run *run)
{
	sim_free(TAKE_PTR(run->sim));
	case_free(TAKE_PTR(run->applied));
}

// An object of which nothing can be made leaves its predecessor in force, as in the agent.
static int apply_change(struct sim *sim, const struct case_change *change)
{
	const struct case_object *object = change->object;
	struct object *parsed;

	if (change->remove)
		return sim_remove(sim, object->kind, object->ns, object->name);
	if (object_parse(object->kind, object->json, &parsed, NULL) < 0)
		return 0;
	return sim_put(sim, parsed);
}

// Brings the simulator to the case's state; of a later step only the difference is applied. Takes the case.
static int apply(struct run *run, struct sim_case *c)
{
	_cleanup_(case_freep) struct sim_case *after = c;
	_cleanup_free_ struct case_change *changes = NULL;
	size_t n = 0;
	int r = 0;

	if (!case_follows(run->applied, after))
		forget(run);
	if (!run->sim)
		r = sim_new(&run->sim);
	if (r == 0)
		r = case_difference(run->applied, after, &changes, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = apply_change(run->sim, &changes[i]);
	if (r < 0)
		return r;
	case_free(run->applied);
	run->applied = TAKE_PTR(after);
	return 0;
}

// ---- asking ------------------------------------------------------------------------------------

// A pod of the case, not what an address belongs to: "ip:" stays an address.
static int ask(struct run *run, const struct case_expect *expect, int family, bool *retallow,
	       struct err *reterr)
{
	struct sim_end from, to;
	struct sim_answer answer = { 0 };
	int r;

	r = sim_end_parse(run->sim, expect->from, &from, reterr);
	if (r == 0)
		r = sim_end_parse(run->sim, expect->to, &to, reterr);
	if (r == 0)
		r = sim_ask(run->sim, &from, &to, expect->protocol, expect->port, family, &answer,
			    reterr);
	if (r == 0)
		*retallow = answer.allow;
	sim_answer_fini(&answer);
	return r;
}

// 1: as expected, or of no account; 0: not; -errno.
static int check(struct run *run, const struct case_expect *expect, int family, struct err *reterr)
{
	struct run_report *report = run->report;
	bool allow = false;
	int r = ask(run, expect, family, &allow, reterr);

	if (r == -EADDRNOTAVAIL) {
		report->skipped++;
		return 1;
	}
	if (r < 0)
		return r;
	if (expect->loopback) {
		report->loopback++;
		report->loopback_mismatches += allow != expect->allow;
		return 1;
	}
	report->questions++;
	if (allow == expect->allow)
		return 1;
	report->mismatches++;
	if (run->events->mismatch)
		run->events->mismatch(run->events->arg, run->applied, expect, family, allow);
	return 0;
}

static int check_all(struct run *run, struct err *reterr)
{
	const struct sim_case *c = run->applied;
	int failed = 0;

	for (int family = 4; family <= 6; family += 2) {
		if (!(c->families & (family == 4 ? CASE_IPV4 : CASE_IPV6)))
			continue;
		for (size_t i = 0; i < c->nexpects; i++) {
			int r = check(run, &c->expects[i], family, reterr);

			if (r < 0) {
				err_wrap(reterr, "%s -> %s", c->expects[i].from, c->expects[i].to);
				return r;
			}
			failed |= !r;
		}
	}
	return failed;
}

// ---- a file ------------------------------------------------------------------------------------

static int run_case(struct run *run, struct sim_case *c, struct err *reterr)
{
	int r = apply(run, c);

	if (r < 0)
		return err_set(reterr, r, "cannot apply the state: %s", strerror(-r));
	r = check_all(run, reterr);
	if (r == 0)
		run->report->passed++;
	else if (r > 0)
		run->report->failed++;
	return r;
}

static int run_index(struct run *run, struct cases *cases, size_t index, const char *filter)
{
	struct err err = { 0 };
	struct sim_case *c = NULL;
	char title[512];
	int r;

	r = case_read(cases, index, &c, &err);
	if (r == 0 && filter && !strstr(c->name, filter)) {
		case_free(c);
		return 0;
	}
	if (r < 0) {
		unusable(run, case_title(cases, index, title, sizeof(title)), err.text);
		return r == -ENOMEM ? r : 0;
	}
	snprintf(title, sizeof(title), "%s", c->name);
	r = run_case(run, c, &err);
	if (r < 0) {
		unusable(run, title, err.text);
		forget(run);
	}
	return r == -ENOMEM ? r : 0;
}

int run_cases(struct cases *cases, const char *filter, const struct run_events *events,
	      struct run_report *report, struct err *reterr)
{
	struct run run = { .events = events, .report = report };
	int r = 0;

	assert(cases);
	assert(report);

	for (size_t i = 0; r == 0 && i < cases_count(cases); i++)
		r = run_index(&run, cases, i, filter);
	forget(&run);
	return r < 0 ? err_set(reterr, r, "out of memory") : 0;
}
