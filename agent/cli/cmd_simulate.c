// SPDX-License-Identifier: Apache-2.0
// cmd_simulate.c - `bulkhead simulate`: the same question to manifests, and files of cases.
#include "agent/cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/cli/flow.h"
#include "agent/sim/run.h"
#include "agent/sim/sim.h"

struct simulate_options {
	struct cli_common common;
	struct flow_options flow;
	struct option_list cases, manifests;
	const char *filter;
};

static const struct option options[] = {
	{ "manifests", 'm', OPTION_LIST, offsetof(struct simulate_options, manifests), "PATH",
	  "a file or folder of manifests (YAML or JSON); may be given many times",
	  .complete = "file" },
	FLOW_OPTIONS(struct simulate_options),
	{ "cases", 'c', OPTION_LIST, offsetof(struct simulate_options, cases), "FILE",
	  "run a file of conformance cases; may be given many times", .complete = "file" },
	{ "filter", 0, OPTION_TEXT, offsetof(struct simulate_options, filter), "TEXT",
	  .help = "only cases whose name contains TEXT" },
	{ NULL },
};
static const struct option *const tables[] = { options, cli_common_options, NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES",
	  "  bulkhead simulate -m cluster/ --from shop/web-0 --to shop/db-0 --port 5432\n"
	  "  bulkhead simulate -m cluster/ --from node:n1 --to shop/db-0 --port 5432 -o json\n"
	  "  bulkhead simulate --cases cases.jsonl" },
	{ "EXIT STATUS", "  0  answered; a verdict of deny is an answer, too\n"
			 "  1  cases failed\n"
			 "  2  wrong usage, unreadable input, or no such pod" },
	{ "SEE ALSO", "bulkhead(1), bulkhead-explain(1)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "simulate",
	.arguments = "[PATH...]",
	.summary = "tell what policies in files would do, without agent or cluster",
	.text = "With --manifests: one question. Further paths may follow. An end is NAMESPACE/POD, an "
		"address (the pod or node that has it), ip:ADDRESS (the address alone) or node:NAME. "
		"Every pod of the manifests is judged as by the agent of its own node.\n\n"
		"With --cases: every question of every case, one line per answer that is not the "
		"expected one, last the line 'N passed, N failed' that counts cases.",
	.tables = tables,
	.notes = notes,
	.complete = "file",
	.max_args = OPTION_LIST_MAX,
	.section = 1,
};

// ---- one question ------------------------------------------------------------------------------

static void warn(void *arg, const char *where, const char *text)
{
	const struct cli *cli = arg;

	cli_fail(cli, CLI_OK, "%s: %s", where, text);
}

static int load_all(const struct cli *cli, struct sim *sim, const struct option_list *paths)
{
	struct err err = { 0 };

	for (size_t i = 0; i < paths->n; i++) {
		if (sim_load(sim, paths->v[i], &err) < 0)
			return cli_fail(cli, CLI_USAGE, "%s", err.text);
	}
	return CLI_OK;
}

static int ask(const struct cli *cli, struct sim *sim, const struct flow_options *flow,
	       const struct flow_question *question, struct json_object **ret)
{
	struct sim_end from, to;
	struct sim_answer answer;
	struct err err = { 0 };
	int r;

	r = sim_end_parse(sim, flow->from, &from, &err);
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, "--from: %s", err.text);
	r = sim_end_parse(sim, flow->to, &to, &err);
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, "--to: %s", err.text);
	r = sim_ask(sim, &from, &to, question->protocol, question->port, question->family, &answer,
		    &err);
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	*ret = sim_answer_json(sim, &answer);
	sim_answer_fini(&answer);
	return CLI_OK;
}

static int run_question(struct cli *cli, const struct simulate_options *simulate,
			const struct option_list *more)
{
	_cleanup_(sim_freep) struct sim *sim = NULL;
	_cleanup_json_ struct json_object *answer = NULL;
	struct flow_question question;
	int r;

	r = flow_check(cli, &simulate->flow, &question);
	if (r != CLI_OK)
		return r;
	if (sim_new(&sim) < 0)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	r = load_all(cli, sim, &simulate->manifests);
	if (r == CLI_OK)
		r = load_all(cli, sim, more);
	if (r != CLI_OK)
		return r;
	r = ask(cli, sim, &simulate->flow, &question, &answer);
	sim_problem_each(sim, warn, cli);
	if (r != CLI_OK)
		return r;
	if (cli->common->output == CLI_JSON)
		cli_json(cli, answer);
	else
		cli_verdict(cli, question.text, answer);
	return CLI_OK;
}

// ---- cases -------------------------------------------------------------------------------------

struct cases_run {
	const struct cli *cli;
	struct json_object *mismatches; // NULL: printed as text
};

static const char *verdict(bool allow)
{
	return allow ? "allow" : "deny";
}

static void mismatch_json(struct json_object *list, const struct sim_case *c,
			  const struct case_expect *expect, int family, bool allowed)
{
	struct json_object *json = json_object_new_object();

	cli_put_text(json, "case", c->name);
	cli_put_text(json, "from", expect->from);
	cli_put_text(json, "to", expect->to);
	json_object_object_add(json, "port", json_object_new_int(expect->port));
	cli_put_text(json, "protocol", protocol_name(expect->protocol));
	json_object_object_add(json, "family", json_object_new_int(family));
	cli_put_text(json, "want", verdict(expect->allow));
	cli_put_text(json, "got", verdict(allowed));
	json_object_array_add(list, json);
}

static void on_mismatch(void *arg, const struct sim_case *c, const struct case_expect *expect,
			int family, bool allowed)
{
	const struct cases_run *run = arg;

	if (run->mismatches)
		mismatch_json(run->mismatches, c, expect, family, allowed);
	else
		cli_text(run->cli, CLI_PLAIN, "case %s: %s -> %s %u/%s want %s got %s\n", c->name,
			 expect->from, expect->to, expect->port, protocol_name(expect->protocol),
			 verdict(expect->allow), verdict(allowed));
}

static void on_unusable(void *arg, const char *title, const char *text)
{
	const struct cases_run *run = arg;

	cli_fail(run->cli, CLI_USAGE, "case %s: %s", title, text);
}

static int run_file(struct cases_run *run, const char *path, const char *filter,
		    struct run_report *report)
{
	struct run_events events = { run, on_mismatch, on_unusable };
	_cleanup_(cases_closep) struct cases *cases = NULL;
	struct err err = { 0 };

	if (cases_open(path, &cases, &err) < 0)
		return cli_fail(run->cli, CLI_USAGE, "%s", err.text);
	if (run_cases(cases, filter, &events, report, &err) < 0)
		return cli_fail(run->cli, CLI_USAGE, "%s: %s", path, err.text);
	return CLI_OK;
}

static void report_text(const struct cli *cli, const struct run_report *report)
{
	cli_text(cli, CLI_FAINT,
		 "%" PRIu64 " questions, %" PRIu64 " answered otherwise; loopback apart: %" PRIu64
		 ", %" PRIu64 " otherwise; %" PRIu64 " not askable in that family\n",
		 report->questions, report->mismatches, report->loopback,
		 report->loopback_mismatches, report->skipped);
	cli_text(cli, CLI_PLAIN, "%" PRIu64 " passed, %" PRIu64 " failed\n", report->passed,
		 report->failed);
}

static void report_json(const struct cli *cli, const struct run_report *report,
			struct json_object *mismatches)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "passed", report->passed },
		{ "failed", report->failed },
		{ "questions", report->questions },
		{ "loopback", report->loopback },
		{ "loopback_mismatches", report->loopback_mismatches },
		{ "skipped", report->skipped },
	};
	_cleanup_json_ struct json_object *json = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_object_add(json, numbers[i].name,
				       json_object_new_int64((int64_t)numbers[i].value));
	json_object_object_add(json, "mismatches", json_object_get(mismatches));
	cli_json(cli, json);
}

static int run_all(struct cli *cli, const struct simulate_options *simulate,
		   const struct option_list *more)
{
	_cleanup_json_ struct json_object *mismatches =
		cli->common->output == CLI_JSON ? json_object_new_array() : NULL;
	struct cases_run run = { cli, mismatches };
	struct run_report report = { 0 };
	int r = CLI_OK;

	for (size_t i = 0; r == CLI_OK && i < simulate->cases.n; i++)
		r = run_file(&run, simulate->cases.v[i], simulate->filter, &report);
	for (size_t i = 0; r == CLI_OK && i < more->n; i++)
		r = run_file(&run, more->v[i], simulate->filter, &report);
	if (r != CLI_OK)
		return r;
	if (mismatches)
		report_json(cli, &report, mismatches);
	else
		report_text(cli, &report);
	return report.failed ? CLI_NEGATIVE : CLI_OK;
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct simulate_options *simulate = arg;

	if (simulate->cases.n && simulate->manifests.n)
		return cli_fail(cli, CLI_USAGE, "--cases and --manifests exclude each other");
	if (simulate->cases.n)
		return run_all(cli, simulate, args);
	if (simulate->manifests.n || args->n)
		return run_question(cli, simulate, args);
	return cli_fail(cli, CLI_USAGE,
			"--manifests PATH or --cases FILE is missing: see 'bulkhead "
			"simulate --help'");
}

const struct cli_verb cmd_simulate = { &page, sizeof(struct simulate_options), run, false };
