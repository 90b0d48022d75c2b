// SPDX-License-Identifier: Apache-2.0
// cmd_endpoint.c - `bulkhead endpoint list|get`: the pods of this node and what judges them.
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
	  "only pods of this namespace", .complete = "namespaces" },
	{ NULL },
};
static const struct option *const list_tables[] = { list_options, cli_common_options, NULL };

static const struct option_page list_page = {
	.program = "bulkhead",
	.verb = "endpoint list",
	.summary = "list the pods of this node, how they are enforced and by which policies",
	.text = "States: enforce (policy judges every new connection), open (no policy selects the pod), "
		"quarantine (nothing passes until its policy is known), waiting (the pod or its "
		"interface was not found yet, or attaching failed).",
	.tables = list_tables,
	.notes = cli_exit_notes,
	.section = 1,
};

static enum cli_colour state_colour(const char *state)
{
	if (!strcmp(state, "enforce"))
		return CLI_GOOD;
	return strcmp(state, "open") ? CLI_BAD : CLI_PLAIN;
}

static void direction_cell(struct table *table, struct json_object *endpoint, const char *name)
{
	struct json_object *side = json_at(endpoint, name);
	char text[1024];

	table_cell(table, CLI_PLAIN, "%s",
		   json_true(side, "isolated") ? json_joined(side, "policies", text, sizeof(text)) :
						 "open");
}

static void list_row(struct table *table, struct json_object *endpoint)
{
	const char *state = json_text(endpoint, "state");
	char text[512];

	table_cell(table, CLI_PLAIN, "%s/%s", json_text(endpoint, "namespace"),
		   json_text(endpoint, "name"));
	table_cell(table, state_colour(state), "%s", state);
	table_cell(table, CLI_PLAIN, "%s", json_joined(endpoint, "addresses", text, sizeof(text)));
	table_cell(table, CLI_PLAIN, "%s", json_text(endpoint, "interface"));
	direction_cell(table, endpoint, "ingress");
	direction_cell(table, endpoint, "egress");
	table_cell(table, CLI_PLAIN, "%" PRId64, json_number(endpoint, "connections"));
	table_cell(table, json_number(endpoint, "denied_packets") ? CLI_BAD : CLI_PLAIN, "%" PRId64,
		   json_number(endpoint, "denied_packets"));
}

static void list_show(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "POD",         "STATE",   "ADDRESSES",
					     "INTERFACE",   "INGRESS", "EGRESS",
					     "CONNECTIONS", "DENIED",  NULL };
	struct table *table = table_new(heads);

	for (size_t i = 0; i < json_length(answer, "endpoints"); i++)
		list_row(table, json_item(answer, "endpoints", i));
	table_end(table, cli);
}

static int list_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct list_options *list = arg;
	_cleanup_json_ struct json_object *answer = NULL;
	int r = cli_ask(cli, cli_request("endpoint.list"), &answer);

	if (r != CLI_OK)
		return r;
	cli_keep_namespace(answer, "endpoints", list->namespace);
	if (cli->common->output == CLI_JSON)
		cli_json(cli, answer);
	else
		list_show(cli, answer);
	return CLI_OK;
}

const struct cli_verb cmd_endpoint_list = { &list_page, sizeof(struct list_options), list_run,
					    false };

// ---- get ---------------------------------------------------------------------------------------

static const struct option *const get_tables[] = { cli_common_options, NULL };

static const struct option_page get_page = {
	.program = "bulkhead",
	.verb = "endpoint get",
	.arguments = "NAMESPACE/POD",
	.summary =
		"show one pod of this node: its policies, what passed and what was denied, by reason",
	.tables = get_tables,
	.notes = cli_exit_notes,
	.complete = "pods",
	.min_args = 1,
	.max_args = 1,
	.section = 1,
};

static void show_directions(struct cli *cli, struct json_object *answer)
{
	static const char *const names[] = { "ingress", "egress" };
	static const char *const heads[] = { "DIRECTION", "POLICIES", "PACKETS", "BYTES", NULL };
	struct table *table = table_new(heads);
	char way[64], bytes[32];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		table_cell(table, CLI_PLAIN, "%s", names[i]);
		direction_cell(table, answer, names[i]);
		snprintf(way, sizeof(way), "passed.%s.packets", names[i]);
		table_cell(table, CLI_PLAIN, "%" PRId64, json_number(answer, way));
		snprintf(way, sizeof(way), "passed.%s.bytes", names[i]);
		table_cell(table, CLI_PLAIN, "%s",
			   format_bytes((uint64_t)json_number(answer, way), bytes, sizeof(bytes)));
	}
	cli_text(cli, CLI_PLAIN, "\n");
	table_end(table, cli);
}

static void show_denied(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "DENIED", "REMOTE",  "PORT", "REASON",
					     "RULE",   "PACKETS", "LAST", NULL };
	struct table *table = table_new(heads);
	char age[32];

	for (size_t i = 0; i < json_length(answer, "denied"); i++) {
		struct json_object *denied = json_item(answer, "denied", i);
		bool named = strcmp(json_text(denied, "remote_name"), "-") != 0;

		table_cell(table, CLI_PLAIN, "%s", json_text(denied, "direction"));
		table_cell(table, CLI_PLAIN, "%s%s%s%s", json_text(denied, "remote"),
			   named ? " (" : "", named ? json_text(denied, "remote_name") : "",
			   named ? ")" : "");
		table_cell(table, CLI_PLAIN, "%" PRId64 "/%s", json_number(denied, "port"),
			   json_text(denied, "protocol"));
		table_cell(table, CLI_PLAIN, "%s", json_text(denied, "reason"));
		table_cell(table, CLI_PLAIN, "%s", json_text(denied, "rule.text"));
		table_cell(table, CLI_PLAIN, "%" PRId64, json_number(denied, "packets"));
		table_cell(table, CLI_PLAIN, "%s ago",
			   format_age(json_number(denied, "age_sec"), age, sizeof(age)));
	}
	cli_text(cli, CLI_PLAIN, "\n");
	table_end(table, cli);
}

static void show_totals(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "TOTAL", "REASON", "RULE", "PACKETS", "BYTES", NULL };
	struct table *table = table_new(heads);

	for (size_t i = 0; i < json_length(answer, "totals"); i++) {
		struct json_object *total = json_item(answer, "totals", i);

		table_cell(table, CLI_PLAIN, "%s", json_text(total, "direction"));
		table_cell(table, CLI_PLAIN, "%s", json_text(total, "reason"));
		table_cell(table, CLI_PLAIN, "%s", json_text(total, "rule.text"));
		table_cell(table, CLI_PLAIN, "%" PRId64, json_number(total, "packets"));
		table_cell(table, CLI_PLAIN, "%" PRId64, json_number(total, "bytes"));
	}
	cli_text(cli, CLI_PLAIN, "\n");
	table_end(table, cli);
}

static void get_show(struct cli *cli, struct json_object *answer)
{
	const char *state = json_text(answer, "state");
	char text[512];

	cli_text(cli, CLI_BOLD, "%s/%s", json_text(answer, "namespace"), json_text(answer, "name"));
	cli_text(cli, state_colour(state), " %s\n", state);
	cli_text(cli, CLI_PLAIN, "addresses %s, interface %s (%s), %" PRId64 " connections\n",
		 json_joined(answer, "addresses", text, sizeof(text)),
		 json_text(answer, "interface"), json_text(answer, "attach"),
		 json_number(answer, "connections"));
	if (strcmp(json_text(answer, "cni.container"), "-") != 0)
		cli_text(cli, CLI_PLAIN, "by the CNI plugin: container %s, %s\n", json_text(answer, "cni.container"),
			 json_text(answer, "cni.ifname"));
	show_directions(cli, answer);
	if (json_length(answer, "totals"))
		show_totals(cli, answer);
	if (json_length(answer, "denied"))
		show_denied(cli, answer);
}

static int get_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	struct json_object *request = cli_request("endpoint.get");
	int r = cli_put_name(cli, request, args->v[0], false);

	if (r != CLI_OK) {
		json_object_put(request);
		return r;
	}
	return cli_show(cli, request, get_show);
}

const struct cli_verb cmd_endpoint_get = { &get_page, sizeof(struct cli_common), get_run, false };
