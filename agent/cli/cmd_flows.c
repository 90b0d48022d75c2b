// SPDX-License-Identifier: Apache-2.0
// cmd_flows.c - `bulkhead flows`: who speaks to whom, and what was decided.
#include "agent/cli/verbs.h"

#include <inttypes.h>
#include <string.h>

#include "agent/base/moment.h"
#include "agent/base/vec.h"
#include "agent/cli/records.h"

#define WAIT_MS 10000 // of one question that follows: then the output is looked at

enum { FLOWS_TABLE = 2 }; // behind enum cli_output

struct flows_options {
	struct records_options records;
	bool follow, only_new;
	uint64_t last; // 0: all
};

static const struct option options[] = {
	{ "follow", 'f', OPTION_FLAG, offsetof(struct flows_options, follow),
	  .help = "go on with what comes, until interrupted" },
	{ "last", 'l', OPTION_NUMBER, offsetof(struct flows_options, last), "N",
	  "of the history only the last N records", .min = 1 },
	{ "new", 0, OPTION_FLAG, offsetof(struct flows_options, only_new),
	  .help = "with --follow: nothing of the history" },
	{ "output", 'o', OPTION_CHOICE, offsetof(struct flows_options, records.common.output), "FORMAT",
	  "a line each, JSON (one object a line, as sinks write it), or a table", "text", .choices = "text|json|table" },
	{ NULL },
};
static const struct option *const tables[] = { options, records_input_options, records_term_options, cli_agent_options,
					       NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES", "  bulkhead flows --last 20\n"
		      "  bulkhead flows -f --verdict denied --not --namespace kube-system\n"
		      "  bulkhead flows --from-workload Deployment/web --to-port 5432 --since 10m\n"
		      "  bulkhead flows -o json --pod shop/web | jq .bytes\n"
		      "  zcat flows.json.1.gz | bulkhead flows --input - --cidr 192.0.2.0/24 -o table" },
	{ "EXIT STATUS", CLI_EXIT_TEXT },
	{ "SEE ALSO", "bulkhead(1), bulkhead-top(1), bulkhead-policy-suggest(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "flows",
	.summary = "show the flows of this node's pods: both ends, verdict, reason, policy, bytes",
	.text = "Without --input: the records that the agent keeps (bulkheadd --flow-history), oldest first. A flow of two "
		"pods of this node is told twice, as each of them sees it.\n\n"
		"A record has to pass every filter that is given. Of one filter that is given several times, or whose value is a "
		"list parted by commas, one value must fit. Names may end in *.",
	.tables = tables,
	.notes = notes,
	.section = 1,
};

// ---- one record --------------------------------------------------------------------------------

static const char *format_time(int64_t ns, char buf[static MOMENT_BYTES])
{
	moment_format(ns, buf);
	snprintf(buf + strlen("2026-01-31T12:00:00.000"), 2, "Z");
	return buf;
}

static uint64_t both(const uint64_t counts[FLOW_WAY_MAX])
{
	return counts[FLOW_FORWARD] + counts[FLOW_REVERSE];
}

// What decided: the reason, but where it says no more than the verdict, and the rule; and what audit would do.
static const char *format_why(const struct flow_record *record, char buf[static RECORD_TEXT_BYTES])
{
	bool plain = record->reason == BH_REASON_ALLOWED || record->reason == BH_REASON_POLICY_DENIED;
	char policy[RECORD_TEXT_BYTES], audit[RECORD_TEXT_BYTES];
	size_t len;

	record_policy(record->policy, policy);
	if (plain)
		snprintf(buf, RECORD_TEXT_BYTES, "%s", *policy ? policy : "no policy");
	else
		snprintf(buf, RECORD_TEXT_BYTES, "%s%s%.400s", flow_reason_name(record->reason), *policy ? ", " : "", policy);
	if (!record->audit)
		return buf;
	record_policy(record->audit, audit);
	len = strlen(buf);
	snprintf(buf + len, RECORD_TEXT_BYTES - len, "; audit would deny: %.400s", audit);
	return buf;
}

static void print_line(const struct cli *cli, const struct flow_record *record)
{
	char time[MOMENT_BYTES], src[RECORD_TEXT_BYTES], dst[RECORD_TEXT_BYTES], why[RECORD_TEXT_BYTES], bytes[32];

	cli_text(cli, CLI_FAINT, "%s ", format_time(record->time_ns, time));
	cli_text(cli, CLI_PLAIN, "%-6s %s -> %s %s %s ", flow_type_name(record->type),
		 record_end(record, &record->src, src), record_destination(record, dst), protocol_name(record->proto),
		 record->dir == BH_EGRESS ? "egress" : "ingress");
	cli_text(cli, record_colour(record), "%s", flow_verdict_name(record->verdict));
	cli_text(cli, CLI_PLAIN, " %s", format_why(record, why));
	if (both(record->packets))
		cli_text(cli, CLI_FAINT, ", %" PRIu64 " packets %s", both(record->packets),
			 format_bytes(both(record->bytes), bytes, sizeof(bytes)));
	if (record->over)
		cli_text(cli, CLI_FAINT, ", %s", flow_over_name(record->over));
	cli_text(cli, CLI_PLAIN, "\n");
}

static void print_row(struct table *table, const struct flow_record *record)
{
	char text[RECORD_TEXT_BYTES], time[MOMENT_BYTES];

	table_cell(table, CLI_FAINT, "%s", format_time(record->time_ns, time));
	table_cell(table, CLI_PLAIN, "%s", flow_type_name(record->type));
	table_cell(table, CLI_PLAIN, "%s", record_end(record, &record->src, text));
	table_cell(table, CLI_PLAIN, "%s", record_destination(record, text));
	table_cell(table, CLI_PLAIN, "%s", protocol_name(record->proto));
	table_cell(table, CLI_PLAIN, "%s", record->dir == BH_EGRESS ? "egress" : "ingress");
	table_cell(table, record_colour(record), "%s", flow_verdict_name(record->verdict));
	table_cell(table, CLI_PLAIN, "%s", flow_reason_name(record->reason));
	table_cell(table, CLI_PLAIN, "%s", record_policy(record->policy, text));
	table_cell(table, CLI_PLAIN, "%" PRIu64, both(record->packets));
	table_cell(table, CLI_PLAIN, "%s", format_bytes(both(record->bytes), text, sizeof(text)));
}

// ---- all of them -------------------------------------------------------------------------------

struct kept {
	struct json_object *json;
	struct flow_record record;
};

struct printing {
	const struct cli *cli;
	struct table *table;
	uint64_t last; // of the history; 0: all
	bool history, drop; // reading the history; printing nothing
	VEC(struct kept) kept; // a ring of `last`
	uint64_t seen;
};

static int print(struct printing *printing, struct json_object *json, const struct flow_record *record)
{
	const struct cli *cli = printing->cli;

	if (cli->common->output == CLI_JSON)
		fprintf(cli->out, "%s\n",
			json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (printing->table)
		print_row(printing->table, record);
	else
		print_line(cli, record);
	return ferror(cli->out) ? CLI_USAGE : CLI_OK;
}

static void kept_fini(struct kept *kept)
{
	json_object_put(kept->json);
	flow_record_fini(&kept->record);
}

static int keep(struct printing *printing, struct json_object *json, const struct flow_record *record)
{
	struct kept kept = { 0 };

	kept.json = json_object_get(json);
	if (record)
		flow_record_copy(&kept.record, record);
	if (printing->kept.n == printing->last) {
		struct kept *oldest = &printing->kept.v[printing->seen++ % printing->last];

		kept_fini(oldest);
		*oldest = kept;
		return CLI_OK;
	}
	printing->seen++;
	return vec_push(&printing->kept, kept) < 0 ? cli_fail(printing->cli, CLI_USAGE, "out of memory") : CLI_OK;
}

static int take(void *arg, struct json_object *json, const struct flow_record *record, const char *node)
{
	struct printing *printing = arg;

	if (printing->drop)
		return CLI_OK;
	if (printing->history && printing->last)
		return keep(printing, json, record);
	return print(printing, json, record);
}

static int print_kept(struct printing *printing)
{
	size_t n = printing->kept.n;
	int r = CLI_OK;

	for (size_t i = 0; r == CLI_OK && i < n; i++) {
		struct kept *kept = &printing->kept.v[(printing->seen + i) % n];

		r = print(printing, kept->json, &kept->record);
	}
	vec_each(struct kept, kept, &printing->kept)
		kept_fini(kept);
	vec_fini(&printing->kept);
	return r;
}

// An interrupt ends the program between two lines: nothing of ours is left in between.
static int follow(const struct cli *cli, const char *filter, struct records_reader *reader)
{
	int64_t patience = (int64_t)cli->common->timeout_sec * 1000 / 2;
	int r = CLI_OK;

	while (r == CLI_OK && fflush(cli->out) == 0 && !records_unread(cli))
		r = records_wait(cli, filter, patience < WAIT_MS ? patience : WAIT_MS, reader);
	return r;
}

static int check(const struct cli *cli, const struct flows_options *flows)
{
	if (flows->follow && flows->records.inputs.n)
		return cli_fail(cli, CLI_USAGE, "--follow asks the agent: it excludes --input");
	if (flows->only_new && !flows->follow)
		return cli_fail(cli, CLI_USAGE, "--new wants --follow: without, there is only history");
	if (flows->follow && cli->common->output == FLOWS_TABLE)
		return cli_fail(cli, CLI_USAGE, "a table has an end: --follow excludes --output table");
	return CLI_OK;
}

static struct table *new_table(void)
{
	static const char *const heads[] = { "TIME",    "TYPE",   "SOURCE", "DESTINATION", "PROTOCOL", "DIRECTION",
					     "VERDICT", "REASON", "POLICY", "PACKETS",     "BYTES",    NULL };

	return table_new(heads);
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct flows_options *flows = arg;
	struct printing printing = { .cli = cli, .last = flows->last, .history = true, .drop = flows->only_new };
	struct records_reader reader = { take, &printing, .raw = cli->common->output == CLI_JSON };
	_cleanup_free_ char *filter = NULL;
	int r = check(cli, flows);

	if (r == CLI_OK)
		r = records_filter(cli, &flows->records, &filter);
	if (r != CLI_OK)
		return r;
	if (fileno(cli->out) >= 0)
		setvbuf(cli->out, NULL, _IOLBF, BUFSIZ * 8); // whole lines, whoever interrupts
	if (cli->common->output == FLOWS_TABLE)
		printing.table = new_table();
	r = records_read(cli, &flows->records, filter, &reader);
	if (r == CLI_OK)
		r = print_kept(&printing);
	if (printing.table)
		table_end(printing.table, cli);
	printing.history = printing.drop = false;
	return r == CLI_OK && flows->follow ? follow(cli, filter, &reader) : r;
}

const struct cli_verb cmd_flows = { &page, sizeof(struct flows_options), run, false };
