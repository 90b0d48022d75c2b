// SPDX-License-Identifier: Apache-2.0
// conformance.c - run conformance cases with either engine and say what came of them.
//
// The kernel engine's workers live in sandboxes and report over one pipe, a line at a time.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/option.h"
#include "agent/sim/run.h"
#include "tests/conformance/kernel.h"
#include "tests/conformance/sandbox.h"

#define JOBS_MAX 16
#define LINE_BYTES 4096 // at most: what a pipe takes in one piece

enum engine { ENGINE_SIM, ENGINE_KERNEL };

struct flags {
	int engine, family;
	const char *cases, *filter, *bulkheadd, *agent_options;
	uint64_t jobs;
	bool verbose, no_agent;
};

static const struct option options[] = {
	{ "engine", 'e', OPTION_CHOICE, offsetof(struct flags, engine), "ENGINE",
	  "who answers: the compiled policy in process, or the kernel", .choices = "sim|kernel",
	  .required = true },
	{ "cases", 'c', OPTION_TEXT, offsetof(struct flags, cases), "FILE",
	  "cases, one JSON object a line", .complete = "file", .required = true },
	{ "filter", 'f', OPTION_TEXT, offsetof(struct flags, filter), "TEXT",
	  .help = "only cases whose name contains this" },
	{ "family", 0, OPTION_CHOICE, offsetof(struct flags, family), "FAMILY",
	  "kernel: only this one of the families that a case lists", .choices = "both|4|6",
	  .fallback = "both" },
	{ "jobs", 'j', OPTION_NUMBER, offsetof(struct flags, jobs), "N",
	  "kernel: so many clusters at once", .fallback = "1", .min = 1, .max = JOBS_MAX },
	{ "bulkheadd", 0, OPTION_TEXT, offsetof(struct flags, bulkheadd), "PROGRAM",
	  "kernel: the agent", .fallback = "build/bulkheadd", .env = "BULKHEADD",
	  .complete = "file" },
	// Nobody translates here: who listens has the Service's address, and what its backends may is asked for.
	{ "agent-options", 0, OPTION_TEXT, offsetof(struct flags, agent_options), "WORDS",
	  .help = "kernel: further options of the agent",
	  .fallback = "--force-off netfilter" },
	{ "no-agent", 0, OPTION_FLAG, offsetof(struct flags, no_agent),
	  .help = "kernel: tests the namespaces alone, everything must pass" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct flags, verbose),
	  .help = "a line per case with its times, and the agents' logs" },
	{ "help", 'h', OPTION_HELP, .help = "this text" },
	{ NULL },
};
static const struct option *const tables[] = { options, NULL };
static const struct option_note notes[] = {
	{ "OUTPUT",
	  "Each mismatch is a line on standard output:\n\n"
	  "  case NAME: FROM -> TO PORT/PROTOCOL want allow|deny got allow|deny\n\n"
	  "The last line counts cases: N passed, N failed. What a pod may send to itself is counted apart." },
	{ "EXIT STATUS", "0 all passed, 1 some failed, 2 nothing could be run." },
	{ NULL },
};
static const struct option_page page = {
	.program = "tests/conformance/run",
	.summary = "run conformance cases",
	.tables = tables,
	.notes = notes,
	.section = 1,
};

// ---- what a worker says ------------------------------------------------------------------------------------

// The first letter of a line says what it is.
enum line_kind {
	LINE_RESULT = '=', // for standard output
	LINE_DONE = '+', // a case is done
	LINE_REPORT = '#', // a struct run_report, the last line of a worker
};

static const char *verdict_name(bool allow)
{
	return allow ? "allow" : "deny";
}

static void tell_answer(FILE *out, const struct sim_case *c, const struct case_expect *expect,
			bool allowed)
{
	fprintf(out, "%ccase %.512s: %.256s -> %.256s %u/%s want %s got %s", LINE_RESULT, c->name,
		expect->from, expect->to, expect->port, protocol_name(expect->protocol),
		verdict_name(expect->allow), verdict_name(allowed));
}

static void tell_mismatch(void *arg, const struct sim_case *c, const struct case_expect *expect,
			  int family, bool allowed)
{
	tell_answer(arg, c, expect, allowed);
	fputs("\n", arg);
}

static void tell_wrong(void *arg, const struct sim_case *c, const struct case_expect *expect,
		       int family, bool allowed, const char *how)
{
	tell_answer(arg, c, expect, allowed);
	fprintf(arg, " (IPv%d: %s)\n", family, how);
}

static void tell_unusable(void *arg, const char *title, const char *text)
{
	fprintf(arg, "%ccase %.512s: %.1024s\n", LINE_RESULT, title, text);
}

static void tell_done(void *arg, const char *title, bool passed, double apply_ms, double ask_ms)
{
	fprintf(arg, "%c%s %6.1f ms to apply %6.1f ms to ask  %.512s\n", LINE_DONE,
		passed ? "passed" : "FAILED", apply_ms, ask_ms, title);
}

static void tell_report(FILE *out, const struct run_report *report)
{
	fprintf(out, "%c%lu %lu %lu %lu %lu %lu\n", LINE_REPORT, report->passed, report->failed,
		report->questions, report->loopback, report->loopback_mismatches, report->skipped);
}

// ---- a worker ----------------------------------------------------------------------------------------------

struct worker {
	const struct flags *flags;
	struct cases *cases; // its own: workers seek in it at the same time
	unsigned index;
	int pipe;
	pid_t pid;
};

static int run_sim(const struct worker *worker, FILE *out, struct run_report *report,
		   struct err *reterr)
{
	struct run_events events = { out, tell_mismatch, tell_unusable };

	return run_cases(worker->cases, worker->flags->filter, &events, report, reterr);
}

static int run_kernel(const struct worker *worker, FILE *out, struct run_report *report,
		      struct err *reterr)
{
	static const unsigned families[] = { CASE_IPV4 | CASE_IPV6, CASE_IPV4, CASE_IPV6 };
	const struct flags *flags = worker->flags;
	struct kernel_events events = { { out, tell_mismatch, tell_unusable },
					tell_wrong,
					tell_done };
	struct kernel_config config = {
		.bulkheadd = flags->no_agent ? NULL : flags->bulkheadd,
		.agent_options = flags->agent_options,
		.filter = flags->filter,
		.families = families[flags->family],
		.worker = worker->index,
		.workers = (unsigned)flags->jobs,
		.verbose = flags->verbose,
	};

	return kernel_run(worker->cases, &config, &events, report, reterr);
}

static int worker_run(void *arg)
{
	const struct worker *worker = arg;
	FILE *out = fdopen(worker->pipe, "w");
	struct run_report report = { 0 };
	struct err err = { 0 };
	int r;

	if (!out)
		return 2;
	setvbuf(out, NULL, _IOLBF, LINE_BYTES);
	r = worker->flags->engine == ENGINE_SIM ? run_sim(worker, out, &report, &err) :
						  run_kernel(worker, out, &report, &err);
	if (r < 0)
		fprintf(stderr, "conformance: %s\n", err.text);
	else
		tell_report(out, &report);
	fclose(out);
	return r < 0 ? 2 : 0;
}

// ---- all workers -------------------------------------------------------------------------------------------

static struct worker workers[JOBS_MAX];

// Takes the workers, and with them all that lives in their sandboxes, along.
static void on_signal(int signal)
{
	for (int i = 0; i < JOBS_MAX; i++) {
		if (workers[i].pid <= 0)
			continue;
		kill(workers[i].pid, SIGKILL);
		waitpid(workers[i].pid, NULL, 0);
	}
	raise(signal); // SA_RESETHAND: ends the process as the signal does
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static pid_t worker_fork(struct worker *worker)
{
	pid_t pid;

	if (worker->flags->engine == ENGINE_KERNEL)
		return sandbox_start(worker_run, worker);
	pid = fork();
	if (pid == 0)
		_exit(worker_run(worker));
	return pid < 0 ? -errno : pid;
}

static int start_workers(const struct flags *flags, int out, struct err *reterr)
{
	for (unsigned i = 0; i < flags->jobs; i++) {
		struct worker *worker = &workers[i];
		int r;

		*worker = (struct worker){ .flags = flags, .index = i, .pipe = out };
		r = cases_open(flags->cases, &worker->cases, reterr);
		if (r < 0)
			return r;
		worker->pid = worker_fork(worker);
		if (worker->pid < 0)
			return err_set(reterr, worker->pid, "starting a worker: %s",
				       strerror(-worker->pid));
	}
	return 0;
}

// False: a worker did not come to its end.
static bool wait_workers(void)
{
	bool good = true;
	int status;

	for (unsigned i = 0; i < JOBS_MAX; i++) {
		if (workers[i].pid <= 0)
			continue;
		good &= waitpid(workers[i].pid, &status, 0) == workers[i].pid && status == 0;
		workers[i].pid = 0;
		cases_close(workers[i].cases);
	}
	return good;
}

static void add_report(struct run_report *sum, const char *line)
{
	struct run_report one = { 0 };

	sscanf(line, "%lu %lu %lu %lu %lu %lu", &one.passed, &one.failed, &one.questions,
	       &one.loopback, &one.loopback_mismatches, &one.skipped);
	sum->passed += one.passed;
	sum->failed += one.failed;
	sum->questions += one.questions;
	sum->loopback += one.loopback;
	sum->loopback_mismatches += one.loopback_mismatches;
	sum->skipped += one.skipped;
}

static void listen(FILE *in, bool verbose, struct run_report *sum)
{
	bool progress = !verbose && isatty(STDERR_FILENO);
	static char line[LINE_BYTES + 2];
	unsigned done = 0;

	while (fgets(line, sizeof(line), in)) {
		if (line[0] == LINE_RESULT)
			fputs(line + 1, stdout);
		else if (line[0] == LINE_REPORT)
			add_report(sum, line + 1);
		else if (verbose)
			fputs(line + 1, stderr);
		else if (progress)
			fprintf(stderr, "\r%u cases ", ++done);
		fflush(stdout);
	}
	if (done)
		fputs("\r                \r", stderr);
}

static int run_all(const struct flags *flags)
{
	struct run_report sum = { 0 };
	struct err err = { 0 };
	int ends[2], r;
	bool good;
	FILE *in;

	if (pipe(ends) < 0 || !(in = fdopen(ends[0], "r"))) {
		fprintf(stderr, "conformance: pipe: %s\n", strerror(errno));
		return 2;
	}
	r = start_workers(flags, ends[1], &err);
	close(ends[1]);
	if (r < 0) {
		fprintf(stderr, "conformance: %s\n", err.text);
		on_signal(0);
		return 2;
	}
	listen(in, flags->verbose, &sum);
	fclose(in);
	good = wait_workers();
	if (!good)
		fprintf(stderr, "conformance: a worker did not come to its end\n");
	printf("%lu questions; loopback: %lu allowed, %lu not; %lu not of the family\n",
	       sum.questions, sum.loopback - sum.loopback_mismatches, sum.loopback_mismatches,
	       sum.skipped);
	printf("%lu passed, %lu failed\n", sum.passed, sum.failed);
	return !good || sum.failed + sum.passed == 0 ? 2 : sum.failed > 0;
}

static int usage_error(const char *text)
{
	fprintf(stderr, "conformance: %s; see --help\n", text);
	return 2;
}

int main(int argc, char **argv)
{
	struct flags flags = { 0 };
	struct option_list args = { 0 };
	struct err err = { 0 };
	int r;

	if (option_defaults(tables, &flags, &err) < 0)
		return usage_error(err.text);
	r = option_parse(&page, argc, argv, &flags, &args, &err);
	if (r == OPTION_WANTS_HELP) {
		option_help(stdout, &page);
		return 0;
	}
	if (r < 0)
		return usage_error(err.text);
	if (flags.engine == ENGINE_SIM)
		flags.jobs = 1;
	else if (geteuid() != 0)
		return usage_error("the kernel engine needs root");
	else if (!flags.no_agent && access(flags.bulkheadd, X_OK) < 0)
		return usage_error("the agent's program is missing: make all");
	catch_signals();
	return run_all(&flags);
}
