// SPDX-License-Identifier: Apache-2.0
// cmd_top.c - `bulkhead top`: the busiest talkers and who is denied most, live.
#include "agent/cli/verbs.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "agent/cli/records.h"
#include "agent/cli/talkers.h"

#define CLEAR "\033[H\033[J" // a terminal's cursor goes home, and what stands below it goes
#define SEC_NS 1000000000LL

struct top_options {
	struct records_options records;
	int by, sort;
	bool once;
	uint64_t window_sec, interval_sec, rows;
};

static const struct option options[] = {
	{ "by", 'b', OPTION_CHOICE, offsetof(struct top_options, by), "WHAT",
	  "whom to put together", "workload", .choices = "pod|workload|namespace|address" },
	{ "sort", 's', OPTION_CHOICE, offsetof(struct top_options, sort), "BY",
	  "what makes a talker busy", "bytes", .choices = "bytes|packets|flows" },
	{ "window", 'w', OPTION_NUMBER, offsetof(struct top_options, window_sec), "SECONDS",
	  "sum up the last seconds; flows that last are told every 60 s by default", "60", .min = 1, .max = 86400 },
	{ "interval", 0, OPTION_NUMBER, offsetof(struct top_options, interval_sec), "SECONDS",
	  "how often to print", "2", .min = 1, .max = 3600 },
	{ "rows", 'r', OPTION_NUMBER, offsetof(struct top_options, rows), "N",
	  "rows of each list", "10", .min = 1, .max = 1000 },
	{ "once", '1', OPTION_FLAG, offsetof(struct top_options, once), .help = "print once, out of the history" },
	{ NULL },
};
static const struct option output[] = {
	{ "output", 'o', OPTION_CHOICE, offsetof(struct top_options, records.common.output), "FORMAT",
	  "print text for people or JSON for programs, one object a line", "text", .choices = "text|json" },
	{ NULL },
};
static const struct option *const tables[] = { options, output, records_input_options, records_term_options,
					       cli_agent_options, NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES", "  bulkhead top\n"
		      "  bulkhead top --by pod --sort flows --namespace shop\n"
		      "  bulkhead top --once -o json --window 300\n"
		      "  bulkhead top --input flows.json" },
	{ "EXIT STATUS", CLI_EXIT_TEXT },
	{ "SEE ALSO", "bulkhead(1), bulkhead-flows(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "top",
	.summary = "show who of this node's pods speaks most to whom, and who is denied most",
	.text = "Sums over a window of the records that the agent tells: bytes and packets of both ways, flows that began. "
		"With --input: over all records of the files. Filters are those of `bulkhead flows`.",
	.tables = tables,
	.notes = notes,
	.section = 1,
};

// ---- text --------------------------------------------------------------------------------------

struct top {
	struct cli *cli;
	const struct top_options *options;
	struct talkers *talkers;
	struct records_reader reader;
	double seconds; // of the window
};

static void busy_rows(struct top *top, const struct cli *cli)
{
	static const char *const heads[] = { "SOURCE",    "DESTINATION", "BYTES",   "BYTES/S",
					     "PACKETS", "FLOWS",       "FLOWS/S", NULL };
	struct table *table = table_new(heads);
	const struct talker *const *list;
	size_t n;

	list = talkers_top(top->talkers, false, (enum talkers_sort)top->options->sort, top->options->rows, &n);
	for (size_t i = 0; i < n; i++) {
		char bytes[32], rate[32];

		table_cell(table, CLI_PLAIN, "%s", list[i]->source);
		table_cell(table, CLI_PLAIN, "%s", list[i]->destination);
		table_cell(table, CLI_PLAIN, "%s", format_bytes(list[i]->bytes, bytes, sizeof(bytes)));
		table_cell(table, CLI_PLAIN, "%s",
			   format_bytes((uint64_t)((double)list[i]->bytes / top->seconds), rate, sizeof(rate)));
		table_cell(table, CLI_PLAIN, "%" PRIu64, list[i]->packets);
		table_cell(table, CLI_PLAIN, "%" PRIu64, list[i]->flows);
		table_cell(table, CLI_PLAIN, "%.1f", (double)list[i]->flows / top->seconds);
	}
	table_end(table, cli);
}

static void denied_rows(struct top *top, const struct cli *cli)
{
	static const char *const heads[] = { "DENIED SOURCE", "DESTINATION", "PACKETS", "WHAT", NULL };
	struct table *table = table_new(heads);
	const struct talker *const *list;
	size_t n;

	list = talkers_top(top->talkers, true, SORT_PACKETS, top->options->rows, &n);
	for (size_t i = 0; i < n; i++) {
		table_cell(table, CLI_PLAIN, "%s", list[i]->source);
		table_cell(table, CLI_PLAIN, "%s", list[i]->destination);
		table_cell(table, CLI_BAD, "%" PRIu64, list[i]->packets);
		table_cell(table, CLI_PLAIN, "%s", list[i]->what);
	}
	table_end(table, cli);
}

static void print_text(struct top *top)
{
	_cleanup_free_ char *text = NULL;
	struct cli cli = *top->cli;
	size_t len;

	cli.out = open_memstream(&text, &len);
	if (!cli.out)
		return;
	cli_text(&cli, CLI_FAINT, "last %.0f s%s\n\n", top->seconds,
		 top->reader.lost ? ", without records that were lost" : "");
	busy_rows(top, &cli);
	fputc('\n', cli.out);
	denied_rows(top, &cli);
	fclose(cli.out);
	// In one piece: nothing flickers, and an interrupt finds no half.
	if (!top->options->once && !top->options->records.inputs.n)
		fputs(top->cli->colour ? CLEAR : "", top->cli->out);
	fwrite(text, 1, len, top->cli->out);
}

// ---- JSON --------------------------------------------------------------------------------------

static void put_number(struct json_object *json, const char *field, uint64_t number)
{
	json_object_object_add(json, field, json_object_new_int64((int64_t)number));
}

static struct json_object *list_json(struct top *top, bool denied)
{
	struct json_object *json = json_object_new_array();
	const struct talker *const *list;
	size_t n;

	list = talkers_top(top->talkers, denied, denied ? SORT_PACKETS : (enum talkers_sort)top->options->sort,
			   top->options->rows, &n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_new_object();

		cli_put_text(item, "source", list[i]->source);
		cli_put_text(item, "destination", list[i]->destination);
		if (denied)
			cli_put_text(item, "what", list[i]->what);
		put_number(item, "bytes", list[i]->bytes);
		put_number(item, "packets", list[i]->packets);
		if (!denied)
			put_number(item, "flows", list[i]->flows);
		json_object_array_add(json, item);
	}
	return json;
}

static void print_json(struct top *top)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();

	json_object_object_add(json, "seconds", json_object_new_double(top->seconds));
	put_number(json, "lost", top->reader.lost);
	json_object_object_add(json, "busiest", list_json(top, false));
	json_object_object_add(json, "denied", list_json(top, true));
	fprintf(top->cli->out, "%s\n",
		json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void print(struct top *top, int64_t end_ns)
{
	double seconds = (double)(end_ns - talkers_first_ns(top->talkers)) / SEC_NS;

	top->seconds = seconds < 1 ? 1 : seconds;
	if (top->cli->common->output == CLI_JSON)
		print_json(top);
	else
		print_text(top);
}

// ---- running -----------------------------------------------------------------------------------

static int take(void *arg, struct json_object *json, const struct flow_record *record, const char *node)
{
	struct top *top = arg;

	return talkers_add(top->talkers, record, node) < 0 ? cli_fail(top->cli, CLI_USAGE, "out of memory") : CLI_OK;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * SEC_NS + now.tv_nsec;
}

// Reads what comes until it is time to print again.
static int read_on(struct top *top, const char *filter, int64_t until_ns)
{
	int r = CLI_OK;

	for (int64_t left; r == CLI_OK && (left = until_ns - now_ns()) > 0;)
		r = records_wait(top->cli, filter, left / 1000000 + 1, &top->reader);
	return r;
}

static int live(struct top *top, const char *filter)
{
	const struct top_options *options_ = top->options;
	int r = records_read(top->cli, &options_->records, filter, &top->reader);

	while (r == CLI_OK) {
		int64_t now = now_ns();

		talkers_expire(top->talkers, now - (int64_t)options_->window_sec * SEC_NS);
		print(top, now);
		if (options_->once || fflush(top->cli->out) != 0 || records_unread(top->cli))
			return r;
		r = read_on(top, filter, now + (int64_t)options_->interval_sec * SEC_NS);
	}
	return r;
}

// The window of files is what they tell of.
static int from_files(struct top *top, const char *filter)
{
	int r = records_read(top->cli, &top->options->records, filter, &top->reader);

	if (r == CLI_OK)
		print(top, talkers_last_ns(top->talkers));
	return r;
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct top_options *top_options = arg;
	bool files = top_options->records.inputs.n;
	struct talkers_config config = { .by = (enum talkers_by)top_options->by };
	_cleanup_(talkers_freep) struct talkers *talkers = NULL;
	_cleanup_free_ char *filter = NULL;
	struct top top = { .cli = cli, .options = top_options };
	int r = records_filter(cli, &top_options->records, &filter);

	if (r != CLI_OK)
		return r;
	config.begin_ns = files ? 0 : now_ns() - (int64_t)top_options->window_sec * SEC_NS;
	if (talkers_new(&config, &talkers) < 0)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	top.talkers = talkers;
	top.reader = (struct records_reader){ take, &top };
	return files ? from_files(&top, filter) : live(&top, filter);
}

const struct cli_verb cmd_top = { &page, sizeof(struct top_options), run, false };
