// SPDX-License-Identifier: Apache-2.0
// kernel.c - the cases of one worker, one after another, never from an empty state.
#include "tests/conformance/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/conformance/cluster.h"

// An agent that cannot keep up will not get better: give up after so many cases in a row.
#define BROKEN_MAX 3

struct kernel {
	const struct kernel_config *config;
	const struct kernel_events *events;
	struct run_report *report;
	struct cluster *cluster;
	size_t unit; // sequences and single cases so far
	unsigned broken; // cases in a row that could not be asked
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// False: it fails the case.
static bool check(struct kernel *kernel, const struct sim_case *c, const struct case_expect *expect,
		  int family, const struct verdict *verdict)
{
	struct run_report *report = kernel->report;
	const struct kernel_events *events = kernel->events;

	if (!verdict->asked) {
		report->skipped++;
		return true;
	}
	if (expect->loopback) {
		report->loopback++;
		report->loopback_mismatches += verdict->allow != expect->allow;
		return true;
	}
	report->questions++;
	if (verdict->allow == expect->allow && !verdict->wrong)
		return true;
	report->mismatches++;
	if (verdict->wrong)
		events->wrong(events->run.arg, c, expect, family ? 6 : 4, verdict->allow,
			      verdict->wrong);
	else
		events->run.mismatch(events->run.arg, c, expect, family ? 6 : 4, verdict->allow);
	return false;
}

// 1: as expected; 0: not; -errno.
static int ask_all(struct kernel *kernel, const struct sim_case *c, struct err *reterr)
{
	int passed = 1;

	for (int family = 0; family < 2; family++) {
		_cleanup_free_ struct verdict *verdicts =
			calloc(c->nexpects + 1, sizeof(*verdicts));
		int r;

		if (!(c->families & kernel->config->families & (family ? CASE_IPV6 : CASE_IPV4)))
			continue;
		if (!verdicts)
			return err_set(reterr, -ENOMEM, "out of memory");
		r = cluster_ask(kernel->cluster, c, family, verdicts, reterr);
		if (r < 0)
			return r;
		for (size_t i = 0; i < c->nexpects; i++)
			passed &= check(kernel, c, &c->expects[i], family, &verdicts[i]);
	}
	return passed;
}

static void unusable(struct kernel *kernel, const char *title, const char *text)
{
	kernel->report->failed++;
	kernel->events->run.unusable(kernel->events->run.arg, title, text);
}

// With no agent everything must pass.
static void expect_all(struct sim_case *c)
{
	for (size_t i = 0; i < c->nexpects; i++)
		c->expects[i].allow = true;
}

static void run_case(struct kernel *kernel, struct sim_case *c)
{
	double start = now_ms(), applied;
	struct err err = { 0 };
	int r;

	if (!kernel->config->bulkheadd)
		expect_all(c);
	r = cluster_apply(kernel->cluster, c, &err);
	applied = now_ms();
	if (r == 0)
		r = ask_all(kernel, c, &err);
	if (r < 0) {
		kernel->broken++;
		unusable(kernel, c->name, err.text);
	} else {
		kernel->broken = 0;
		kernel->report->passed += (uint64_t)r;
		kernel->report->failed += (uint64_t)!r;
	}
	kernel->events->done(kernel->events->run.arg, c->name, r > 0, applied - start,
			     now_ms() - applied);
}

// Whether this worker has the case to do; previous is the case before it in the file.
static bool is_ours(struct kernel *kernel, const struct sim_case *previous,
		    const struct sim_case *c)
{
	const struct kernel_config *config = kernel->config;

	if (config->filter && !strstr(c->name, config->filter))
		return false;
	kernel->unit += !case_follows(previous, c);
	return kernel->unit % config->workers == config->worker;
}

int kernel_run(struct cases *cases, const struct kernel_config *config,
	       const struct kernel_events *events, struct run_report *report, struct err *reterr)
{
	_cleanup_(cluster_freep) struct cluster *cluster = NULL;
	_cleanup_(case_freep) struct sim_case *previous = NULL;
	struct kernel kernel = { .config = config, .events = events, .report = report };
	int r = cluster_new(config, &cluster, reterr);

	kernel.cluster = cluster;
	for (size_t i = 0; r == 0 && i < cases_count(cases); i++) {
		struct sim_case *c = NULL;
		struct err err = { 0 };
		char title[512];

		if (case_read(cases, i, &c, &err) < 0) {
			if (config->worker == 0)
				unusable(&kernel, case_title(cases, i, title, sizeof(title)),
					 err.text);
			continue;
		}
		if (is_ours(&kernel, previous, c)) {
			if (kernel.broken < BROKEN_MAX)
				run_case(&kernel, c);
			else
				unusable(&kernel, c->name, "not run: the cases before it broke");
		}
		case_free(previous);
		previous = c;
	}
	return r;
}
