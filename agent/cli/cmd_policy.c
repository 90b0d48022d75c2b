// SPDX-License-Identifier: Apache-2.0
// cmd_policy.c - `bulkhead policy list|show`: the policies that the agent read, and what they do here.
#include "agent/cli/verbs.h"

#include <inttypes.h>
#include <string.h>

// ---- list --------------------------------------------------------------------------------------

struct list_options {
	struct cli_common common;
	const char *namespace;
};

static const struct option list_options[] = {
	{ "namespace", 'n', OPTION_TEXT, offsetof(struct list_options, namespace), "NAMESPACE",
	  "only policies of this namespace", .complete = "namespaces" },
	{ NULL },
};
static const struct option *const list_tables[] = { list_options, cli_common_options, NULL };

static const struct option_page list_page = {
	.program = "bulkhead",
	.verb = "policy list",
	.summary =
		"list the policies that the agent read, the pods of this node they select, and problems",
	.tables = list_tables,
	.notes = cli_exit_notes,
	.section = 1,
};

static void name_cell(struct table *table, struct json_object *policy)
{
	const char *ns = json_text(policy, "namespace");
	bool named = strcmp(ns, "-") != 0;

	table_cell(table, CLI_PLAIN, "%s%s%s", named ? ns : "", named ? "/" : "",
		   json_text(policy, "name"));
}

static void list_row(struct table *table, struct json_object *policy)
{
	const char *problem = json_text(policy, "problem");
	char text[256];

	name_cell(table, policy);
	table_cell(table, CLI_PLAIN, "%s", json_text(policy, "kind"));
	if (json_at(policy, "priority"))
		table_cell(table, CLI_PLAIN, "%s %" PRId64, json_text(policy, "tier"),
			   json_number(policy, "priority"));
	else
		table_cell(table, CLI_PLAIN, "-");
	table_cell(table, CLI_PLAIN, "%s", json_joined(policy, "directions", text, sizeof(text)));
	table_cell(table, CLI_PLAIN, "%" PRId64 " in, %" PRId64 " out",
		   json_number(policy, "rules.ingress"), json_number(policy, "rules.egress"));
	table_cell(table, CLI_PLAIN, "%zu", json_length(policy, "endpoints"));
	table_cell(table, CLI_PLAIN, "%s", json_true(policy, "audit") ? "audit" : "enforce");
	table_cell(table, strcmp(problem, "-") ? CLI_BAD : CLI_PLAIN, "%s", problem);
}

static void list_show(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "POLICY", "KIND", "TIER",    "DIRECTIONS", "RULES",
					     "PODS",   "MODE", "PROBLEM", NULL };
	struct table *table = table_new(heads);

	for (size_t i = 0; i < json_length(answer, "policies"); i++)
		list_row(table, json_item(answer, "policies", i));
	table_end(table, cli);
}

static int list_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct list_options *list = arg;
	_cleanup_json_ struct json_object *answer = NULL;
	int r = cli_ask(cli, cli_request("policy.list"), &answer);

	if (r != CLI_OK)
		return r;
	cli_keep_namespace(answer, "policies", list->namespace);
	if (cli->common->output == CLI_JSON)
		cli_json(cli, answer);
	else
		list_show(cli, answer);
	return CLI_OK;
}

const struct cli_verb cmd_policy_list = { &list_page, sizeof(struct list_options), list_run,
					  false };

// ---- show --------------------------------------------------------------------------------------

static const struct option *const show_tables[] = { cli_common_options, NULL };

static const struct option_page show_page = {
	.program = "bulkhead",
	.verb = "policy show",
	.arguments = "[NAMESPACE/]NAME",
	.summary =
		"show one policy: the pods of this node that it selects and what its rules decided",
	.text = "A name without a namespace is a ClusterNetworkPolicy.",
	.tables = show_tables,
	.notes = cli_exit_notes,
	.complete = "policies",
	.min_args = 1,
	.max_args = 1,
	.section = 1,
};

static void show_totals(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = {
		"DIRECTION", "RULE", "REASON", "PACKETS", "BYTES", NULL
	};
	struct table *table = table_new(heads);

	for (size_t i = 0; i < json_length(answer, "rule_totals"); i++) {
		struct json_object *total = json_item(answer, "rule_totals", i);

		table_cell(table, CLI_PLAIN, "%s", json_text(total, "direction"));
		table_cell(table, CLI_PLAIN, "%s", json_text(total, "rule.text"));
		table_cell(table, CLI_PLAIN, "%s", json_text(total, "reason"));
		table_cell(table, CLI_PLAIN, "%" PRId64, json_number(total, "packets"));
		table_cell(table, CLI_PLAIN, "%" PRId64, json_number(total, "bytes"));
	}
	cli_text(cli, CLI_PLAIN, "\n");
	table_end(table, cli);
}

static void show_show(struct cli *cli, struct json_object *answer)
{
	struct json_object *list = json_object_new_object(), *policies = json_object_new_array();

	json_object_array_add(policies, json_object_get(answer));
	json_object_object_add(list, "policies", policies);
	list_show(cli, list);
	json_object_put(list);
	for (size_t i = 0; i < json_length(answer, "endpoints"); i++)
		cli_text(cli, CLI_PLAIN, "%s%s", i ? ", " : "\nselects ",
			 json_text(json_item(answer, "endpoints", i), ""));
	cli_text(cli, CLI_PLAIN, "%s\n",
		 json_length(answer, "endpoints") ? "" : "\nselects no pod of this node");
	if (json_length(answer, "rule_totals"))
		show_totals(cli, answer);
}

static int show_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	struct json_object *request = cli_request("policy.show");
	int r = cli_put_name(cli, request, args->v[0], true);

	if (r != CLI_OK) {
		json_object_put(request);
		return r;
	}
	return cli_show(cli, request, show_show);
}

const struct cli_verb cmd_policy_show = { &show_page, sizeof(struct cli_common), show_run, false };
