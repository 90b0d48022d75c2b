// SPDX-License-Identifier: Apache-2.0
// cmd_status.c - `bulkhead status`: is what was read in force, and what does it cost.
#include "agent/cli/verbs.h"

#include <inttypes.h>
#include <string.h>

struct status_options {
	struct cli_common common;
	bool check;
};

static const struct option options[] = {
	{ "check", 'c', OPTION_FLAG, offsetof(struct status_options, check),
	  .help = "exit with 1 unless the agent is ready and all that it read is in force" },
	{ NULL },
};
static const struct option *const tables[] = { options, cli_common_options, NULL };

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "status",
	.summary = "show whether the agent is ready and all policy is in force",
	.text = "generation.seen counts the changes that the agent read, generation.applied is the one "
		"that the kernel enforces: they are equal when nothing is on its way.",
	.tables = tables,
	.notes = cli_exit_notes,
	.section = 1,
};

static bool in_force(struct json_object *answer)
{
	return json_true(answer, "ready") &&
	       json_number(answer, "generation.seen") == json_number(answer, "generation.applied");
}

static void row(struct table *table, const char *name, enum cli_colour colour, const char *text)
{
	table_cell(table, CLI_FAINT, "%s", name);
	table_cell(table, colour, "%s", text);
}

// Each reason why not on a line of its own.
static void row_ready(struct table *table, struct json_object *answer)
{
	size_t n = json_length(answer, "unready");

	if (json_true(answer, "ready"))
		row(table, "ready", CLI_GOOD, "yes");
	else if (n == 0)
		row(table, "ready", CLI_BAD, "no");
	for (size_t i = 0; i < n; i++) {
		char text[256];

		snprintf(text, sizeof(text), "no, %s: %s", json_text(json_item(answer, "unready", i), "name"),
			 json_text(json_item(answer, "unready", i), "text"));
		row(table, i == 0 ? "ready" : "", CLI_BAD, text);
	}
}

// What is in force is as old as it is cut off.
static void row_source(struct table *table, struct json_object *answer)
{
	const char *kind = json_text(answer, "source.kind"), *path = json_text(answer, "source.path");
	bool cut_off = json_true(answer, "source.cut_off");
	char text[512], age[32];

	if (cut_off)
		snprintf(text, sizeof(text), "%s %s, cut off for %s", kind, path,
			 format_age(json_number(answer, "source.cut_off_sec"), age, sizeof(age)));
	else
		snprintf(text, sizeof(text), "%s %s", kind, path);
	row(table, "source", cut_off ? CLI_BAD : CLI_PLAIN, text);
}

static void row_agent(struct table *table, struct json_object *answer)
{
	char text[256], age[32];

	row(table, "node", CLI_BOLD, json_text(answer, "node"));
	snprintf(text, sizeof(text), "%s (%s), up %s", json_text(answer, "version"),
		 json_text(answer, "commit"),
		 format_age(json_number(answer, "uptime_sec"), age, sizeof(age)));
	row(table, "agent", CLI_PLAIN, text);
	row_ready(table, answer);
	row_source(table, answer);
}

// Who reports to the API server, and what this agent has written.
static void row_report(struct table *table, struct json_object *answer)
{
	const char *leader = json_text(answer, "report.leader");
	char text[512], age[32];

	if (!json_at(answer, "report"))
		return;
	snprintf(text, sizeof(text), "%s, seen %s ago; %" PRId64 " conditions and %" PRId64 " events written here",
		 json_true(answer, "report.leading") ? "this agent for all" :
		 *leader			     ? leader :
						       "nobody for all yet",
		 format_age(json_number(answer, "report.lease_age_sec"), age, sizeof(age)),
		 json_number(answer, "report.conditions.writes"), json_number(answer, "report.events.sent"));
	row(table, "reports", CLI_PLAIN, text);
}

static void row_policy(struct table *table, struct json_object *answer)
{
	int64_t seen = json_number(answer, "generation.seen");
	int64_t applied = json_number(answer, "generation.applied");
	char text[256], age[32];

	snprintf(text, sizeof(text), "generation %" PRId64 "%s", applied,
		 seen == applied ? ", all that was read" : "");
	if (seen != applied)
		snprintf(text, sizeof(text), "generation %" PRId64 ", %" PRId64 " was read",
			 applied, seen);
	row(table, "in force", seen == applied ? CLI_GOOD : CLI_BAD, text);
	if (!strcmp(json_text(answer, "mode"), "audit"))
		row(table, "mode", CLI_BAD, "audit: policies are compiled, and nothing is denied by them");
	snprintf(text, sizeof(text),
		 "%" PRId64 " steps, %" PRId64 " waits, %.1f ms work, %.1f ms waiting, %s ago",
		 json_number(answer, "last_apply.steps"), json_number(answer, "last_apply.waits"),
		 (double)json_number(answer, "last_apply.work_us") / 1000,
		 (double)json_number(answer, "last_apply.wait_us") / 1000,
		 format_age(json_number(answer, "last_apply.age_sec"), age, sizeof(age)));
	row(table, "last change", CLI_PLAIN, json_at(answer, "last_apply.age_sec") ? text : "none");
}

static void row_endpoints(struct table *table, struct json_object *answer)
{
	int64_t waiting = json_number(answer, "endpoints.waiting");
	int64_t quarantine = json_number(answer, "endpoints.quarantine");
	char text[256];

	snprintf(text, sizeof(text),
		 "%" PRId64 ": %" PRId64 " enforced, %" PRId64 " open, %" PRId64
		 " in quarantine, %" PRId64 " waiting; %" PRId64 " by the CNI plugin; attached by %s",
		 json_number(answer, "endpoints.total"), json_number(answer, "endpoints.enforce"),
		 json_number(answer, "endpoints.open"), quarantine, waiting,
		 json_number(answer, "endpoints.attachments"),
		 json_text(answer, "attach"));
	row(table, "pods", waiting || quarantine ? CLI_BAD : CLI_PLAIN, text);
}

static void row_services(struct table *table, struct json_object *answer)
{
	int64_t mixed = json_number(answer, "policy.service_keys_mixed");
	char text[256];

	if (!json_number(answer, "policy.services"))
		return;
	snprintf(text, sizeof(text), "%" PRId64 ": %" PRId64 " addresses and ports, %" PRId64 " mixed",
		 json_number(answer, "policy.services"), json_number(answer, "policy.service_keys"), mixed);
	row(table, "Services", CLI_PLAIN, text);
}

// Only where it matters: Services of which some backends are forbidden.
static void row_hook(struct table *table, struct json_object *answer)
{
	struct json_object *hook = json_at(answer, "netfilter");
	bool in_force = json_true(hook, "in_force"), needed = json_true(hook, "needed");
	char text[256];
	size_t at;

	if (!in_force && !needed)
		return;
	at = (size_t)snprintf(text, sizeof(text), "Services judged behind their translation: %s",
			      in_force ? "yes" : "no, what is mixed is denied");
	json_object_object_foreach(json_at(hook, "priorities"), place, priority) {
		if (at < sizeof(text))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "; %s at %d", place,
					       json_object_get_int(priority));
	}
	row(table, "netfilter", in_force ? CLI_PLAIN : CLI_BAD, text);
}

static void row_memory(struct table *table, struct json_object *answer)
{
	struct json_object *tables_json = json_at(answer, "tables");
	uint64_t sum = 0;
	char text[128], rss[32], kernel[32];

	if (json_object_is_type(tables_json, json_type_object)) {
		json_object_object_foreach(tables_json, name, bytes)
		{
			sum += name ? (uint64_t)json_object_get_int64(bytes) : 0;
		}
	}
	snprintf(text, sizeof(text), "%s process, %s kernel tables",
		 format_bytes((uint64_t)json_number(answer, "rss_bytes"), rss, sizeof(rss)),
		 format_bytes(sum, kernel, sizeof(kernel)));
	row(table, "memory", CLI_PLAIN, text);
}

// Counters of what should not happen; those at 0 say nothing.
static void show_stats(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "", "", NULL };
	struct json_object *stats = json_at(answer, "stats");
	struct table *table;
	bool any = false;

	if (!json_object_is_type(stats, json_type_object))
		return;
	table = table_new(heads);
	json_object_object_foreach(stats, name, value)
	{
		if (json_object_get_int64(value) == 0)
			continue;
		any = true;
		table_cell(table, CLI_FAINT, "  %s", name);
		table_cell(table, CLI_PLAIN, "%" PRId64, json_object_get_int64(value));
	}
	if (any)
		cli_text(cli, CLI_BOLD, "Counters\n");
	table_end(table, cli);
}

static void show(struct cli *cli, struct json_object *answer)
{
	static const char *const heads[] = { "", "", NULL };
	struct table *table = table_new(heads);

	row_agent(table, answer);
	row_report(table, answer);
	row_policy(table, answer);
	row_endpoints(table, answer);
	row_services(table, answer);
	row_hook(table, answer);
	row_memory(table, answer);
	table_end(table, cli);
	show_stats(cli, answer);
	for (size_t i = 0; i < json_length(answer, "problems"); i++) {
		struct json_object *problem = json_item(answer, "problems", i);

		if (i == 0)
			cli_text(cli, CLI_BOLD, "Problems\n");
		cli_text(cli, CLI_BAD, "  %s", json_text(problem, "where"));
		cli_text(cli, CLI_PLAIN, ": %s\n", json_text(problem, "text"));
	}
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct status_options *status = arg;
	_cleanup_json_ struct json_object *answer = NULL;
	int r = cli_ask(cli, cli_request("status"), &answer);

	if (r != CLI_OK)
		return r;
	if (status->common.output == CLI_JSON)
		cli_json(cli, answer);
	else
		show(cli, answer);
	return status->check && !in_force(answer) ? CLI_NEGATIVE : CLI_OK;
}

const struct cli_verb cmd_status = { &page, sizeof(struct status_options), run, false };
