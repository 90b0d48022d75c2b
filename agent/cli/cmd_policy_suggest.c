// SPDX-License-Identifier: Apache-2.0
// cmd_policy_suggest.c - `bulkhead policy suggest`: the least policies that would allow what was seen.
#include "agent/cli/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/cli/records.h"
#include "agent/source/yaml_write.h"
#include "agent/suggest/suggest.h"

enum { SUGGEST_YAML, SUGGEST_JSON };
enum { REPORT_TEXT, REPORT_JSON };

struct suggest_verb_options {
	struct records_options records;
	struct option_list namespaces;
	uint64_t prefix4, prefix6;
	const char *report;
	int report_format;
	bool include_denied, audit;
};

static const struct option options[] = {
	{ "namespace", 'n', OPTION_LIST, offsetof(struct suggest_verb_options, namespaces), "NAMESPACE",
	  "policies of this namespace alone; may be given many times", .complete = "namespaces" },
	{ "aggregate", 0, OPTION_NUMBER, offsetof(struct suggest_verb_options, prefix4), "BITS",
	  "let through IPv4 peers that are no pods by blocks of this prefix length", "32", .min = 1, .max = 32 },
	{ "aggregate6", 0, OPTION_NUMBER, offsetof(struct suggest_verb_options, prefix6), "BITS",
	  "the same for IPv6", "128", .min = 1, .max = 128 },
	{ "include-denied", 0, OPTION_FLAG, offsetof(struct suggest_verb_options, include_denied),
	  .help = "allow denied flows as well" },
	{ "audit", 0, OPTION_FLAG, offsetof(struct suggest_verb_options, audit),
	  .help = "write policies in audit mode: they tell what they would deny and deny nothing" },
	{ "report", 'r', OPTION_TEXT, offsetof(struct suggest_verb_options, report), "FILE",
	  "write the report there and not to standard error", .complete = "file" },
	{ "report-format", 0, OPTION_CHOICE, offsetof(struct suggest_verb_options, report_format), "FORMAT",
	  "report for people or for programs", "text", .choices = "text|json" },
	{ "output", 'o', OPTION_CHOICE, offsetof(struct suggest_verb_options, records.common.output), "FORMAT",
	  "policies as YAML documents or as one JSON List", "yaml", .choices = "yaml|json" },
	{ NULL },
};
static const struct option *const tables[] = { options, records_input_options, cli_agent_options, NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES", "  bulkhead policy suggest --namespace shop > shop.yaml\n"
		      "  cat node-*/flows.json | bulkhead policy suggest --input - --audit\n"
		      "  bulkhead simulate -m cluster/ -m shop.yaml --from shop/web-0 --to shop/db-0 --port 5432" },
	{ "EXIT STATUS", CLI_EXIT_TEXT },
	{ "SEE ALSO", "bulkhead(1), bulkhead-flows(1), bulkhead-simulate(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "policy suggest",
	.summary = "write the least NetworkPolicies that would allow exactly the flows that were seen",
	.text = "One policy for each workload that told flows, for both directions: what it was not seen to do is denied. A "
		"workload's pods are selected by the labels that they share, peers that are no pods by their addresses, ports "
		"are those of the pod that answers. Flows with the pod's own node need no rule. Protocols without ports (ICMP) "
		"need a rule without ports.\n\n"
		"An agent knows the flows of its own node: for workloads on several nodes give the records of all of them by "
		"--input. The report tells what was seen, what could not be expressed, and what the policies would deny: each "
		"flow is asked of them as `bulkhead simulate` would.",
	.tables = tables,
	.notes = notes,
	.section = 1,
};

// ---- report for people -------------------------------------------------------------------------

static void write_count(FILE *out, struct json_object *report, const char *way, const char *text)
{
	struct json_object *count = json_at(report, way);

	if (!json_number(count, "different"))
		return;
	fprintf(out, "  %-34s %6" PRId64 " kinds, %" PRId64 " flows", text, json_number(count, "different"),
		json_number(count, "flows"));
	if (json_number(count, "denied_packets"))
		fprintf(out, ", %" PRId64 " packets denied", json_number(count, "denied_packets"));
	fputc('\n', out);
}

static void write_flows(FILE *out, struct json_object *report, const char *list, const char *title)
{
	if (!json_length(report, list))
		return;
	fprintf(out, "%s\n", title);
	for (size_t i = 0; i < json_length(report, list); i++) {
		struct json_object *flow = json_item(report, list, i);

		fprintf(out, "  %s -> %s %s", json_text(flow, "source"), json_text(flow, "destination"),
			json_text(flow, "protocol"));
		if (json_at(flow, "port"))
			fprintf(out, " %" PRId64, json_number(flow, "port"));
		fprintf(out, " (%s)", json_text(flow, "direction"));
		if (json_at(flow, "why"))
			fprintf(out, ": %s", json_text(flow, "why"));
		fputc('\n', out);
	}
}

static void write_policies(FILE *out, struct json_object *report)
{
	if (!json_length(report, "policies"))
		fputs("No pod told any flow: there is nothing to suggest\n", out);
	for (size_t i = 0; i < json_length(report, "policies"); i++) {
		struct json_object *policy = json_item(report, "policies", i);
		char workloads[1024];

		fprintf(out, "Policy %s/%s: %s, %" PRId64 " pods\n", json_text(policy, "namespace"),
			json_text(policy, "name"), json_joined(policy, "workloads", workloads, sizeof(workloads)),
			json_number(policy, "pods"));
		for (size_t n = 0; n < json_length(policy, "notes"); n++)
			fprintf(out, "  note: %s\n", json_text(json_item(policy, "notes", n), ""));
	}
}

static void write_existing(FILE *out, struct json_object *report)
{
	if (!json_length(report, "existing"))
		return;
	fputs("Policies that are in force and let some of it pass; as long as they are, they allow what else they allow:\n",
	      out);
	for (size_t i = 0; i < json_length(report, "existing"); i++) {
		struct json_object *item = json_item(report, "existing", i);

		fprintf(out, "  %s: %" PRId64 " flows\n", json_text(item, "policy"), json_number(item, "flows"));
	}
}

static void write_text(FILE *out, struct json_object *report)
{
	char nodes[1024];

	fprintf(out, "%" PRId64 " records of %s\n", json_number(report, "records"),
		json_joined(report, "nodes", nodes, sizeof(nodes)));
	write_count(out, report, "flows.covered", "allowed by the suggestion");
	write_count(out, report, "flows.own_node", "with the pod's own node: no rule");
	write_count(out, report, "flows.self", "of a pod with itself: no rule");
	write_count(out, report, "flows.denied", "denied, left out");
	write_count(out, report, "flows.not_expressed", "that no policy can express");
	if (json_number(report, "nameless"))
		fprintf(out, "  %" PRId64 " records of pods whose name is not known are left out\n",
			json_number(report, "nameless"));
	write_policies(out, report);
	write_existing(out, report);
	write_flows(out, report, "would_deny", "Seen, and denied by the suggestion:");
	write_flows(out, report, "not_expressed", "Seen, and no policy can express it:");
	write_flows(out, report, "would_allow", "Was denied, and the suggestion would allow it:");
}

// Texts come from objects that tenants wrote.
static int write_report(const struct cli *cli, const struct suggest_verb_options *verb, struct json_object *report)
{
	_cleanup_fclose_ FILE *file = verb->report ? fopen(verb->report, "we") : NULL;
	struct cli to = *cli;

	if (verb->report && !file)
		return cli_fail(cli, CLI_USAGE, "cannot write '%s': %s", verb->report, strerror(errno));
	to.out = file ? file : cli->err;
	to.colour = false;
	if (verb->report_format == REPORT_JSON) {
		cli_json(&to, report);
	} else {
		_cleanup_free_ char *text = NULL;
		size_t len;
		FILE *memory = open_memstream(&text, &len);

		if (!memory)
			return cli_fail(cli, CLI_USAGE, "out of memory");
		write_text(memory, report);
		fclose(memory);
		cli_text(&to, CLI_PLAIN, "%s", text);
	}
	if (fflush(to.out) != 0 || ferror(to.out))
		return cli_fail(cli, CLI_USAGE, "cannot write the report: %s", strerror(errno));
	return CLI_OK;
}

// ---- policies ----------------------------------------------------------------------------------

static int write_yaml(const struct cli *cli, struct json_object *policies)
{
	for (size_t i = 0; i < json_object_array_length(policies); i++) {
		if (yaml_write(cli->out, json_object_array_get_idx(policies, i)) < 0)
			return cli_fail(cli, CLI_USAGE, "cannot write the policies: %s", strerror(errno));
	}
	return CLI_OK;
}

static int print(const struct cli *cli, struct json_object *policies)
{
	_cleanup_json_ struct json_object *list = NULL;

	if (cli->common->output == SUGGEST_YAML)
		return write_yaml(cli, policies);
	list = json_object_new_object();
	cli_put_text(list, "apiVersion", "v1");
	cli_put_text(list, "kind", "List");
	json_object_object_add(list, "items", json_object_get(policies));
	cli_json(cli, list);
	return CLI_OK;
}

struct collecting {
	const struct cli *cli;
	struct suggest *suggest;
};

static int take(void *arg, struct json_object *json, const struct flow_record *record, const char *node)
{
	struct collecting *collecting = arg;
	struct err err = { 0 };

	if (suggest_add(collecting->suggest, record, node, &err) < 0)
		return cli_fail(collecting->cli, CLI_USAGE, "%s", err.text);
	return CLI_OK;
}

static int make(struct cli *cli, const struct suggest_verb_options *verb, struct suggest *suggest)
{
	_cleanup_json_ struct json_object *policies = NULL, *report = NULL;
	struct err err = { 0 };
	int r;

	if (suggest_make(suggest, &policies, &report, &err) < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	r = write_report(cli, verb, report);
	return r == CLI_OK ? print(cli, policies) : r;
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct suggest_verb_options *verb = arg;
	const struct suggest_options wants = {
		.include_denied = verb->include_denied,
		.audit = verb->audit,
		.prefix4 = (unsigned)verb->prefix4,
		.prefix6 = (unsigned)verb->prefix6,
		.namespaces = verb->namespaces.v,
		.nnamespaces = verb->namespaces.n,
	};
	_cleanup_(suggest_freep) struct suggest *suggest = NULL;
	_cleanup_free_ char *filter = NULL;
	struct collecting collecting = { cli };
	struct records_reader reader = { take, &collecting };
	int r = records_filter(cli, &verb->records, &filter);

	if (r != CLI_OK)
		return r;
	if (suggest_new(&wants, &suggest) < 0)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	collecting.suggest = suggest;
	r = records_read(cli, &verb->records, filter, &reader);
	return r == CLI_OK ? make(cli, verb, suggest) : r;
}

const struct cli_verb cmd_policy_suggest = { &page, sizeof(struct suggest_verb_options), run, false };
