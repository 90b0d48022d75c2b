// SPDX-License-Identifier: Apache-2.0
// cmd_ct.c - `bulkhead ct list|flush`: the connections that the agent remembers.
#include "agent/cli/verbs.h"

#include <inttypes.h>

// ---- list --------------------------------------------------------------------------------------

struct list_options {
	struct cli_common common;
	uint64_t limit;
};

static const struct option list_options[] = {
	{ "limit", 'l', OPTION_NUMBER, offsetof(struct list_options, limit), "N",
	  "show at most N connections", "1000", .min = 1, .max = 1000000 },
	{ NULL },
};
static const struct option *const list_tables[] = { list_options, cli_common_options, NULL };

static const struct option_page list_page = {
	.program = "bulkhead",
	.verb = "ct list",
	.arguments = "[NAMESPACE/POD]",
	.summary = "list known connections, of one pod or of all pods of this node",
	.tables = list_tables,
	.notes = cli_exit_notes,
	.complete = "pods",
	.max_args = 1,
	.section = 1,
};

// Of a flow to a Service: where it really goes.
static void cell_backend(struct table *table, struct json_object *ct)
{
	struct json_object *backend = json_at(ct, "backend");

	if (backend)
		table_cell(table, CLI_PLAIN, "%s %" PRId64, json_text(backend, "address"),
			   json_number(backend, "port"));
	else
		table_cell(table, CLI_FAINT, "%s", json_true(ct, "unjudged") ? "not judged yet" : "");
}

static void list_row(struct table *table, struct json_object *ct)
{
	char flags[128], age[32], idle[32];

	table_cell(table, CLI_PLAIN, "%s/%s", json_text(ct, "namespace"), json_text(ct, "name"));
	table_cell(table, CLI_PLAIN, "%s", json_text(ct, "direction"));
	table_cell(table, CLI_PLAIN, "%s", json_text(ct, "protocol"));
	table_cell(table, CLI_PLAIN, "%" PRId64, json_number(ct, "local_port"));
	table_cell(table, CLI_PLAIN, "%s", json_text(ct, "remote"));
	table_cell(table, CLI_PLAIN, "%" PRId64, json_number(ct, "remote_port"));
	cell_backend(table, ct);
	table_cell(table, CLI_PLAIN, "%s", json_text(ct, "state"));
	table_cell(table, CLI_PLAIN, "%s", json_joined(ct, "flags", flags, sizeof(flags)));
	table_cell(table, CLI_PLAIN, "%s", json_text(ct, "rule.text"));
	table_cell(table, CLI_PLAIN, "%s",
		   format_age(json_number(ct, "age_sec"), age, sizeof(age)));
	table_cell(table, CLI_PLAIN, "%s",
		   format_age(json_number(ct, "idle_sec"), idle, sizeof(idle)));
}

static void list_show(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "POD",    "INITIATED", "PROTOCOL", "PORT",
					     "REMOTE", "PORT",      "BACKEND",  "STATE",
					     "FLAGS",  "RULE",      "AGE",      "IDLE",
					     NULL };
	struct table *table = table_new(heads);

	for (size_t i = 0; i < json_length(answer, "connections"); i++)
		list_row(table, json_item(answer, "connections", i));
	table_end(table, cli);
	if (json_number(answer, "shown") < json_number(answer, "total"))
		cli_text(cli, CLI_FAINT, "%" PRId64 " of %" PRId64 " shown: --limit shows more\n",
			 json_number(answer, "shown"), json_number(answer, "total"));
}

static int put_pod(struct cli *cli, struct json_object *request, const struct option_list *args)
{
	return args->n ? cli_put_name(cli, request, args->v[0], false) : CLI_OK;
}

static int list_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct list_options *list = arg;
	struct json_object *request = cli_request("ct.list");
	int r = put_pod(cli, request, args);

	if (r != CLI_OK) {
		json_object_put(request);
		return r;
	}
	json_object_object_add(request, "limit", json_object_new_int64((int64_t)list->limit));
	return cli_show(cli, request, list_show);
}

const struct cli_verb cmd_ct_list = { &list_page, sizeof(struct list_options), list_run, false };

// ---- flush -------------------------------------------------------------------------------------

static const struct option *const flush_tables[] = { cli_common_options, NULL };

static const struct option_page flush_page = {
	.program = "bulkhead",
	.verb = "ct flush",
	.arguments = "[NAMESPACE/POD]",
	.summary = "forget known connections, of one pod or of all pods of this node",
	.text = "A forgotten connection is judged again by its next packet; a TCP connection whose next "
		"packet is no SYN is then dropped, so flushing cuts TCP connections.",
	.tables = flush_tables,
	.notes = cli_exit_notes,
	.complete = "pods",
	.max_args = 1,
	.section = 1,
};

static void flush_show(struct cli *cli, struct json_object *answer)
{
	cli_text(cli, CLI_PLAIN, "%" PRId64 " connections forgotten\n",
		 json_number(answer, "flushed"));
}

static int flush_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	struct json_object *request = cli_request("ct.flush");
	int r = put_pod(cli, request, args);

	if (r != CLI_OK) {
		json_object_put(request);
		return r;
	}
	return cli_show(cli, request, flush_show);
}

const struct cli_verb cmd_ct_flush = { &flush_page, sizeof(struct cli_common), flush_run, false };
