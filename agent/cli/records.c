// SPDX-License-Identifier: Apache-2.0
// records.c - where flow records come from, and the options that choose among them.
#include "agent/cli/records.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "agent/control/control.h"
#include "agent/flow/filter.h"
#include "agent/flow/json.h"

#define PAGE_RECORDS 1000 // of one answer
#define LINE_BYTES (1u << 20) // of a file; longer is no record
#define LINE_DEPTH 16

// ---- options -----------------------------------------------------------------------------------

#define TERM(name, arg, help) { name, 0, OPTION_NAMED, offsetof(struct records_options, terms), arg, help }
#define TERM_OF(name, arg, help, ...)                                                              \
	{ name, 0, OPTION_NAMED, offsetof(struct records_options, terms), arg, help, __VA_ARGS__ }
#define TERM_OF_END(name, arg, help, ...)                                                          \
	TERM_OF(name, arg, help " of either end", __VA_ARGS__),                                    \
	TERM_OF("from-" name, arg, help " of the source", __VA_ARGS__),                            \
	TERM_OF("to-" name, arg, help " of the destination", __VA_ARGS__)

const struct option records_input_options[] = {
	{ "input", 'i', OPTION_LIST, offsetof(struct records_options, inputs), "FILE",
	  "read records from a file of JSON lines, '-' is standard input, and not from the agent; may be given many times",
	  .complete = "file" },
	TERM("since", "TIME", "records told since then: 2026-01-31T12:00:00Z, or a duration before now (5m, 2h)"),
	TERM("until", "TIME", "records told until then"),
	{ "filter", 0, OPTION_TEXT, offsetof(struct records_options, filter), "TEXT",
	  .help = "a filter in the words of sinks, as 'verdict=denied !namespace=kube-system'" },
	{ NULL },
};

const struct option records_term_options[] = {
	TERM_OF("verdict", "VERDICT", "verdict", .choices = "allowed|denied|audit"),
	TERM("reason", "REASON", "why it passed or was dropped, as policy-denied"),
	TERM_OF("type", "TYPE", "type of record", .choices = "start|update|end|deny"),
	TERM_OF("direction", "DIRECTION", "as the pod sees it", .choices = "ingress|egress"),
	TERM_OF("protocol", "PROTOCOL", "protocol or its number", .choices = "TCP|UDP|SCTP|ICMP|ICMPv6"),
	TERM("over", "WORD", "how it ended, as reset or idle"),
	TERM_OF("policy", "[NS/]NAME", "policy that decided, or would by audit", .complete = "policies"),
	TERM_OF_END("pod", "[NS/]POD", "pod", .complete = "pods"),
	TERM_OF_END("namespace", "NAMESPACE", "namespace", .complete = "namespaces"),
	TERM_OF_END("workload", "[KIND/]NAME", "workload", .complete = NULL),
	TERM_OF_END("label", "KEY[:VALUE]", "label", .complete = NULL),
	TERM_OF_END("node", "NODE", "node", .complete = NULL),
	TERM_OF_END("service", "[NS/]NAME", "Service", .complete = NULL),
	TERM_OF_END("kind", "KIND", "kind", .choices = "pod|node|service|world"),
	TERM_OF_END("address", "ADDRESS", "address", .complete = NULL),
	TERM_OF_END("cidr", "CIDR", "prefix", .complete = NULL),
	TERM_OF_END("port", "PORT[-PORT]", "port", .complete = NULL),
	{ "not", 0, OPTION_NAMED, offsetof(struct records_options, terms), NULL,
	  "turn the next filter round; a '!' before a value does the same" },
	{ NULL },
};

// ---- filter ------------------------------------------------------------------------------------

struct term {
	const char *name, *value;
	bool not, written;
};

// Values of one name and sense are one term, of which one must hold.
static void write_term(FILE *out, struct term *terms, size_t n, size_t first)
{
	const struct term *term = &terms[first];

	fprintf(out, " %s%s=%s", term->not ? "!" : "", term->name, term->value);
	for (size_t i = first + 1; i < n; i++) {
		struct term *other = &terms[i];

		if (other->written || other->not != term->not || strcmp(other->name, term->name))
			continue;
		fprintf(out, ",%s", other->value);
		other->written = true;
	}
}

static int take_terms(const struct cli *cli, const struct option_named *given, struct term *terms, size_t *retn)
{
	bool not = false;

	for (size_t i = 0; i < given->n; i++) {
		const char *name = given->v[i].name, *value = given->v[i].value;
		bool turned = value && *value == '!';

		if (!value) {
			not = !not;
			continue;
		}
		value += turned;
		if (!*value || value[strcspn(value, " \t\n")])
			return cli_fail(cli, CLI_USAGE, "--%s: '%s' is empty or holds a blank", name, value);
		terms[(*retn)++] = (struct term){ name, value, not != turned, false };
		not = false;
	}
	return not ? cli_fail(cli, CLI_USAGE, "--not stands before the filter that it turns round") : CLI_OK;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int check_filter(const struct cli *cli, const char *text, struct flow_filter **ret)
{
	struct err err = { 0 };

	return flow_filter_parse(text, now_ns(), ret, &err) < 0 ? cli_fail(cli, CLI_USAGE, "%s", err.text) : CLI_OK;
}

int records_filter(const struct cli *cli, const struct records_options *options, char **ret)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	_cleanup_free_ char *text = NULL;
	struct term terms[OPTION_LIST_MAX];
	size_t n = 0, len;
	FILE *out;
	int r = take_terms(cli, &options->terms, terms, &n);

	if (r != CLI_OK)
		return r;
	out = open_memstream(&text, &len);
	if (!out)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	fprintf(out, "%s", options->filter ? options->filter : "");
	for (size_t i = 0; i < n; i++) {
		if (!terms[i].written)
			write_term(out, terms, n, i);
	}
	fclose(out);
	r = check_filter(cli, text, &filter);
	if (r == CLI_OK)
		*ret = TAKE_PTR(text);
	return r;
}

// ---- one record --------------------------------------------------------------------------------

static int hand_on(struct records_reader *reader, struct json_object *json, const struct flow_filter *filter,
		   struct err *reterr)
{
	struct flow_record record = { 0 };
	const char *node;
	int r;

	if (reader->raw && !filter)
		return reader->take(reader->arg, json, NULL, NULL);
	if (flow_json_read(json, &record, &node, reterr) < 0)
		return -1;
	r = flow_filter_match(filter, &record) ? reader->take(reader->arg, json, &record, node) : CLI_OK;
	flow_record_fini(&record);
	return r;
}

// ---- files -------------------------------------------------------------------------------------

struct file {
	const struct cli *cli;
	const char *path;
	FILE *in;
	size_t line;
};

static int bad_line(const struct file *file, const char *text)
{
	return cli_fail(file->cli, CLI_USAGE, "%s:%zu: %s", file->path, file->line, text);
}

// A line without an end may be one that is just being written.
static int take_line(struct file *file, char *text, size_t len, const struct flow_filter *filter,
		     struct records_reader *reader)
{
	_cleanup_json_ struct json_object *json = NULL;
	bool whole = text[len - 1] == '\n';
	struct err err = { 0 };
	int r;

	if (file->line == 1 && len > 1 && !memcmp(text, "\x1f\x8b", 2))
		return bad_line(file, "the file is compressed: zcat it into --input -");
	if (len > LINE_BYTES)
		return bad_line(file, "longer than a record can be");
	if (control_json(text, len, LINE_DEPTH, &json, &err) < 0) {
		if (whole)
			return bad_line(file, err.text);
		cli_fail(file->cli, CLI_OK, "%s:%zu: left out: its end is missing", file->path, file->line);
		return CLI_OK;
	}
	r = hand_on(reader, json, filter, &err);
	return r < 0 ? bad_line(file, err.text) : r;
}

static int read_lines(struct file *file, const struct flow_filter *filter, struct records_reader *reader)
{
	_cleanup_free_ char *text = NULL;
	size_t cap = 0;
	ssize_t len;
	int r = CLI_OK;

	while (r == CLI_OK && (len = getline(&text, &cap, file->in)) > 0) {
		file->line++;
		if (strspn(text, " \t\r\n") != (size_t)len)
			r = take_line(file, text, (size_t)len, filter, reader);
	}
	if (r == CLI_OK && ferror(file->in))
		return cli_fail(file->cli, CLI_USAGE, "cannot read '%s': %s", file->path, strerror(errno));
	return r;
}

static int read_file(const struct cli *cli, const char *path, const struct flow_filter *filter,
		     struct records_reader *reader)
{
	_cleanup_fclose_ FILE *opened = strcmp(path, "-") ? fopen(path, "re") : NULL;
	struct file file = { cli, path, opened ? opened : stdin, 0 };

	if (strcmp(path, "-") && !opened)
		return cli_fail(cli, CLI_USAGE, "cannot read '%s': %s", path, strerror(errno));
	return read_lines(&file, filter, reader);
}

static int read_files(const struct cli *cli, const struct option_list *paths, const char *text,
		      struct records_reader *reader)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	int r = check_filter(cli, text, &filter);

	for (size_t i = 0; r == CLI_OK && i < paths->n; i++)
		r = read_file(cli, paths->v[i], text[0] ? filter : NULL, reader);
	return r;
}

// ---- the agent ---------------------------------------------------------------------------------

static struct json_object *page_request(const char *filter, int64_t wait_ms, const struct records_reader *reader)
{
	struct json_object *request = cli_request("flows");

	json_object_object_add(request, "after", json_object_new_int64((int64_t)reader->after));
	json_object_object_add(request, "max", json_object_new_int64(PAGE_RECORDS));
	if (filter[0])
		cli_put_text(request, "filter", filter);
	if (wait_ms)
		json_object_object_add(request, "wait_ms", json_object_new_int64(wait_ms));
	return request;
}

static int take_page(const struct cli *cli, struct json_object *answer, struct records_reader *reader)
{
	uint64_t lost = (uint64_t)json_number(answer, "lost");
	int r = CLI_OK;

	if (json_true(answer, "anew"))
		cli_fail(cli, CLI_OK, "the agent was started again: its records begin anew");
	// What the history had forgotten before it was asked is not lost.
	if (lost && reader->after) {
		reader->lost += lost;
		cli_fail(cli, CLI_OK, "%" PRIu64 " records were overwritten before they were read: --flow-history keeps more",
			 lost);
	}
	reader->after = (uint64_t)json_number(answer, "next");
	for (size_t i = 0; r == CLI_OK && i < json_length(answer, "records"); i++) {
		struct err err = { 0 };

		r = hand_on(reader, json_item(answer, "records", i), NULL, &err);
		if (r < 0)
			r = cli_fail(cli, CLI_AGENT, "%s", err.text);
	}
	return r;
}

// *retfull: there may be more.
static int read_page(const struct cli *cli, const char *filter, int64_t wait_ms, struct records_reader *reader,
		     bool *retfull)
{
	_cleanup_json_ struct json_object *answer = NULL;
	int r = cli_ask(cli, page_request(filter, wait_ms, reader), &answer);

	if (r != CLI_OK)
		return r;
	*retfull = json_length(answer, "records") == PAGE_RECORDS;
	return take_page(cli, answer, reader);
}

int records_wait(const struct cli *cli, const char *filter, int64_t wait_ms, struct records_reader *reader)
{
	bool full = false;
	int r = read_page(cli, filter, wait_ms, reader, &full);

	while (r == CLI_OK && full)
		r = read_page(cli, filter, 0, reader, &full);
	return r;
}

int records_read(const struct cli *cli, const struct records_options *options, const char *filter,
		 struct records_reader *reader)
{
	if (options->inputs.n)
		return read_files(cli, &options->inputs, filter, reader);
	return records_wait(cli, filter, 0, reader);
}

bool records_unread(const struct cli *cli)
{
	struct pollfd out = { .fd = fileno(cli->out) };

	return ferror(cli->out) || (out.fd >= 0 && poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)));
}
