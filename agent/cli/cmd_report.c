// SPDX-License-Identifier: Apache-2.0
// cmd_report.c - `bulkhead report`: how well the cluster is separated that the agent knows, or that files hold.
#include "agent/cli/verbs.h"

#include <string.h>
#include <time.h>

#include "agent/cli/held.h"
#include "agent/cli/report_html.h"
#include "agent/review/posture.h"

enum report_output { REPORT_TEXT, REPORT_JSON, REPORT_HTML };

struct report_options {
	struct cli_common common;
	struct option_list manifests, ignored;
	int fail_on;
};

static const struct option options[] = {
	{ "manifests", 'm', OPTION_LIST, offsetof(struct report_options, manifests), "PATH",
	  "a file or folder of manifests, or - for standard input, and not the agent; may be given many times",
	  .complete = "file" },
	{ "ignore-namespace", 'i', OPTION_LIST, offsetof(struct report_options, ignored), "NAMESPACE",
	  "judge nothing in this namespace, such as kube-system; may be given many times" },
	{ "fail-on", 0, OPTION_CHOICE, offsetof(struct report_options, fail_on), "SEVERITY",
	  "exit with 1 if a control of this severity or a graver one fails", "error",
	  .choices = "info|warning|error|never" },
	{ "output", 'o', OPTION_CHOICE, offsetof(struct report_options, common.output), "FORMAT",
	  "print text for people, JSON for programs, or a page with a picture", "text",
	  .choices = "text|json|html" },
	{ NULL },
};
static const struct option *const tables[] = { options, cli_agent_options, NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES", "  bulkhead report -i kube-system -o html > report.html\n"
		      "  bulkhead report -i kube-system cluster/\n"
		      "  kubectl get namespaces,pods,networkpolicies -A -o yaml | bulkhead report -o html - > report.html" },
	{ "EXIT STATUS", "  0  no control that fails is as grave as --fail-on says\n"
			 "  1  one is, or an object is not enforced as written\n"
			 "  2  wrong usage, or a PATH that cannot be read\n"
			 "  3  the agent cannot be reached\n"
			 "  4  the agent answered with an error" },
	{ "SEE ALSO", "bulkhead(1), bulkhead-lint(1), bulkhead-simulate(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "report",
	.arguments = "[PATH...]",
	.summary = "report who may reach whom, held against hardening guides",
	.text = "Without a PATH: what the running agent holds of the cluster, all of one moment; the report's first lines say what "
		"that is and what it is not. Else namespaces, pods or workloads, and policies of manifests, as `bulkhead lint` reads "
		"them. Compiles them as the agent does, and tells for each workload what isolates it, who may reach it and whom it may "
		"reach, on which ports. "
		"The result is held against the CIS Kubernetes Benchmark (5.3.2), the Kubernetes Hardening Guide of NSA and "
		"CISA, and requirement 1 of PCI DSS 4.0.1.",
	.tables = tables,
	.notes = notes,
	.complete = "file",
	.max_args = OPTION_LIST_MAX,
	.section = 1,
};

// ---- text ----------------------------------------------------------------------------------------

#define SHOWN_MAX 8 // objects of a control, ends of a workload

static enum cli_colour status_colour(const char *status)
{
	return !strcmp(status, "pass") ? CLI_GOOD : !strcmp(status, "fail") ? CLI_BAD : CLI_FAINT;
}

static void print_objects(const struct cli *cli, struct json_object *control)
{
	size_t n = json_length(control, "objects");

	if (!n)
		return;
	cli_text(cli, CLI_PLAIN, "    %s:\n", json_text(control, "text"));
	for (size_t i = 0; i < n && i < SHOWN_MAX; i++)
		cli_text(cli, CLI_PLAIN, "      %s\n", json_text(json_item(control, "objects", i), ""));
	if (n > SHOWN_MAX)
		cli_text(cli, CLI_FAINT, "      and %zu more\n", n - SHOWN_MAX);
}

static void print_controls(const struct cli *cli, struct json_object *report)
{
	for (size_t i = 0; i < json_length(report, "controls"); i++) {
		struct json_object *control = json_item(report, "controls", i);
		const char *status = json_text(control, "status");
		bool fails = !strcmp(status, "fail");

		cli_text(cli, status_colour(status), "%-6s ", status);
		cli_text(cli, CLI_PLAIN, "%s %s: %s%s%s%s\n", json_text(control, "framework"),
			 json_text(control, "id"), json_text(control, "title"), fails ? " (" : "",
			 fails ? json_text(control, "severity") : "", fails ? ")" : "");
		print_objects(cli, control);
	}
}

static void print_links(const struct cli *cli, struct json_object *side, const char *list, const char *name)
{
	size_t n = json_length(side, list);

	for (size_t i = 0; i < n && i < SHOWN_MAX; i++) {
		struct json_object *link = json_item(side, list, i);

		cli_text(cli, CLI_PLAIN, "      %s: ", json_text(link, name));
		cli_text(cli, json_true(link, "whole") ? CLI_BAD : CLI_PLAIN, "%s\n",
			 json_text(link, "ports"));
	}
	if (n > SHOWN_MAX)
		cli_text(cli, CLI_FAINT, "      and %zu more\n", n - SHOWN_MAX);
}

static void print_side(const struct cli *cli, struct json_object *side, const char *word)
{
	bool isolated = json_true(side, "isolated");
	char policies[512];

	cli_text(cli, CLI_PLAIN, "    %s ", word);
	cli_text(cli, isolated ? CLI_GOOD : CLI_BAD, "%s", isolated ? "deny by default" : "open by default");
	if (isolated)
		cli_text(cli, CLI_FAINT, " (%s)", json_joined(side, "policies", policies, sizeof(policies)));
	cli_text(cli, CLI_PLAIN, "\n");
	print_links(cli, side, "namespaces", "name");
	print_links(cli, side, "blocks", "block");
}

static void print_scope(const struct cli *cli, struct json_object *report)
{
	cli_text(cli, CLI_PLAIN, "Scope: %s\n", json_text(report, "scope.text"));
	for (size_t i = 0; i < json_length(report, "scope.notes"); i++)
		cli_text(cli, CLI_FAINT, "  - %s\n", json_text(json_item(report, "scope.notes", i), ""));
}

static void print_text(const struct cli *cli, struct json_object *report)
{
	print_scope(cli, report);
	for (size_t i = 0; i < json_length(report, "problems"); i++)
		cli_text(cli, CLI_BAD, "not enforced as written: %s: %s\n",
			 json_text(json_item(report, "problems", i), "object"),
			 json_text(json_item(report, "problems", i), "text"));
	print_controls(cli, report);
	for (size_t i = 0; i < json_length(report, "namespaces"); i++) {
		struct json_object *namespace = json_item(report, "namespaces", i);

		cli_text(cli, CLI_BOLD, "\n%s", json_text(namespace, "name"));
		cli_text(cli, CLI_FAINT, "  %d pods, %d policies\n", (int)json_number(namespace, "pods"),
			 (int)json_number(namespace, "policies"));
		for (size_t k = 0; k < json_length(namespace, "workloads"); k++) {
			struct json_object *workload = json_item(namespace, "workloads", k);

			cli_text(cli, CLI_PLAIN, "  %s %s\n", json_text(workload, "kind"),
				 json_text(workload, "name"));
			print_side(cli, json_at(workload, "ingress"), "in: ");
			print_side(cli, json_at(workload, "egress"), "out:");
		}
	}
}

// ---- the verb --------------------------------------------------------------------------------------

static int load_all(const struct cli *cli, struct review *review, const struct option_list *paths)
{
	struct err err = { 0 };

	for (size_t i = 0; i < paths->n; i++)
		if (review_load(review, paths->v[i], &err) < 0)
			return cli_fail(cli, CLI_USAGE, "%s", err.text);
	return CLI_OK;
}

static struct json_object *files_scope(void)
{
	struct json_object *json = json_object_new_object(), *list = json_object_new_array();

	cli_put_text(json, "of", "files");
	cli_put_text(json, "text", "what the manifests say that were given");
	json_object_array_add(list, json_object_new_string("what they leave out is not known"));
	json_object_object_add(json, "notes", list);
	return json;
}

static int load(const struct cli *cli, const struct report_options *asked, const struct option_list *args,
		struct review *review, struct json_object **retscope)
{
	int r;

	if (!asked->manifests.n && !args->n)
		return held_load(cli, review, retscope);
	r = load_all(cli, review, &asked->manifests);
	if (r == CLI_OK)
		r = load_all(cli, review, args);
	if (r == CLI_OK)
		*retscope = files_scope();
	return r;
}

// What the agent could not read is no object, and as grave as one that is not enforced as written.
static void put_scope(struct json_object *report, struct json_object *scope)
{
	struct json_object *problems = json_object_object_get(report, "problems");

	for (size_t i = 0; i < json_length(scope, "problems"); i++)
		json_object_array_add(problems, json_object_get(json_item(scope, "problems", i)));
	json_object_object_del(scope, "problems");
	json_object_object_add(report, "scope", json_object_get(scope));
}

static void put_time(struct json_object *report)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64];

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	cli_put_text(report, "written", text);
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	_cleanup_(review_freep) struct review *review = review_new();
	const struct report_options *asked = arg;
	_cleanup_json_ struct json_object *report = NULL, *scope = NULL;
	int r = load(cli, asked, args, review, &scope);

	if (r != CLI_OK)
		return r;
	report = posture(review, asked->ignored.n, asked->ignored.v);
	put_scope(report, scope);
	put_time(report);
	if (asked->common.output == REPORT_JSON)
		cli_json(cli, report);
	else if (asked->common.output == REPORT_HTML)
		report_html(cli->out, report);
	else
		print_text(cli, report);
	return posture_severity(report) >= asked->fail_on ? CLI_NEGATIVE : CLI_OK;
}

const struct cli_verb cmd_report = { &page, sizeof(struct report_options), run, false };
