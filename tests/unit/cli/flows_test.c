// SPDX-License-Identifier: Apache-2.0
// flows_test.c - `bulkhead flows` and `bulkhead top`: filters, files, history, follow, loss.
#include "tests/harness/test.h"

#include <event2/buffer.h>
#include <inttypes.h>

#include "agent/cli/cli.h"
#include "agent/flow/json.h"
#include "tests/harness/record.h"
#include "tests/harness/stub_agent.h"

#define RECORDS 3000 // more than one answer holds
#define RECORDS_TEXT "3000"

static char folder[PATH_MAX], path[PATH_MAX + 32];

// ---- records -----------------------------------------------------------------------------------

// Odd ones are denied; of a hundred, port 8000 and up.
static char *record_line(uint64_t seq)
{
	struct evbuffer *out = evbuffer_new();
	struct flow_record record;
	char *text;
	size_t len;

	record_full(&record);
	record.seq = record.id = seq;
	if (seq % 2) {
		record.type = FLOW_DENY;
		record.verdict = FLOW_DENIED;
		record.reason = BH_REASON_POLICY_DENIED;
		record.over = FLOW_NOT_OVER;
		record.src.port = 0;
	}
	record.backend.port = (uint16_t)(8000 + seq % 100);
	assert_ok(flow_json(out, &record, "node-a"));
	flow_record_fini(&record);
	len = evbuffer_get_length(out);
	text = calloc(1, len + 1);
	evbuffer_remove(out, text, len);
	evbuffer_free(out);
	return text;
}

static int make_file(void **state)
{
	FILE *file;

	snprintf(path, sizeof(path), "%s/flows.json", test_mkdir(folder));
	file = fopen(path, "w");
	assert_non_null(file);
	for (uint64_t seq = 1; seq <= RECORDS; seq++) {
		_cleanup_free_ char *line = record_line(seq);

		fprintf(file, "%s\n", line);
	}
	assert_int_equal(fclose(file), 0);
	return 0;
}

static int remove_file(void **state)
{
	test_rmdir(folder);
	return 0;
}

// ---- running -----------------------------------------------------------------------------------

struct result {
	int status;
	char *out, *err;
	size_t lines;
};

static void result_fini(struct result *result)
{
	free(result->out);
	free(result->err);
}

#define _cleanup_result_ _cleanup_(result_fini)

// Words are parted by blanks; '@' is the file of records.
static struct result run(const char *line)
{
	struct result result = { 0 };
	_cleanup_free_ char *copy = strdup(line);
	char *argv[64], *rest = copy;
	size_t out_len, err_len;
	FILE *out = open_memstream(&result.out, &out_len), *err = open_memstream(&result.err, &err_len);
	int argc = 0;

	for (char *word; (word = strsep(&rest, " "));)
		argv[argc++] = strcmp(word, "@") ? word : path;
	argv[argc] = NULL;
	result.status = cli_run(argc, argv, out, err, "abc");
	fclose(out);
	fclose(err);
	for (const char *c = result.out; *c; c++)
		result.lines += *c == '\n';
	return result;
}

static void expect_lines(const char *line, size_t want)
{
	_cleanup_result_ struct result result = run(line);

	if (result.status != CLI_OK || result.lines != want)
		fail_msg("%s: status %d, %zu lines, expected %zu: %s", line, result.status, result.lines, want, result.err);
	assert_str_lacks(result.out, "\033");
}

static void expect_error(const char *line, int status, const char *part)
{
	_cleanup_result_ struct result result = run(line);

	if (result.status != status)
		fail_msg("%s: status %d, expected %d: %s", line, result.status, status, result.err);
	assert_str_contains(result.err, part);
	assert_str(result.out, "");
}

// ---- files -------------------------------------------------------------------------------------

static void a_file_is_replayed(void **state)
{
	_cleanup_result_ struct result json = run("bulkhead flows -o json --input @");
	_cleanup_result_ struct result text = run("bulkhead flows --input @ --last 2");
	_cleanup_free_ char *file = NULL;
	size_t len;

	file = test_read(path, &len);
	assert_str(json.out, file);
	assert_str(text.out,
		   "2026-11-21T01:00:03.000Z deny   shop/web-7d4b9 -> shop/db-0:8099 (service:shop/db:5432) TCP egress denied "
		   "ClusterNetworkPolicy databases rule 3 (to-db), 7 packets 900 B\n"
		   "2026-11-21T01:00:03.000Z end    shop/web-7d4b9:43210 -> shop/db-0:8000 (service:shop/db:5432) TCP egress allowed "
		   "ClusterNetworkPolicy databases rule 3 (to-db), 13 packets 2.3 KiB, closed\n");
}

static void filters_choose(void **state)
{
	expect_lines("bulkhead flows --input @", RECORDS);
	expect_lines("bulkhead flows --input @ -o json --verdict denied", RECORDS / 2);
	expect_lines("bulkhead flows --input @ --verdict denied --verdict allowed", RECORDS);
	expect_lines("bulkhead flows --input @ --not --verdict denied", RECORDS / 2);
	expect_lines("bulkhead flows --input @ --verdict !denied", RECORDS / 2);
	expect_lines("bulkhead flows --input @ --not --verdict !denied", RECORDS / 2);
	expect_lines("bulkhead flows --input @ --not --not --verdict denied --last 7", 7);
	// Of one filter any value, of several filters all.
	expect_lines("bulkhead flows --input @ --to-port 8004", RECORDS / 100);
	expect_lines("bulkhead flows --input @ --to-port 8004,8006", RECORDS / 50);
	expect_lines("bulkhead flows --input @ --to-port 8004 --to-port 8006-8007", 3 * RECORDS / 100);
	expect_lines("bulkhead flows --input @ --to-port 8004-8007 --verdict denied", RECORDS / 50);
	expect_lines("bulkhead flows --input @ --not --to-port 8004 --not --to-port 8006", RECORDS - RECORDS / 50);
	expect_lines("bulkhead flows --input @ --from-port 8004", 0);
	expect_lines("bulkhead flows --input @ --pod shop/db-0 --from-workload Deployment/web --label tier:front", RECORDS);
	expect_lines("bulkhead flows --input @ --from-namespace shop --to-service db --cidr 10.0.0.0/16 --node node-b", RECORDS);
	expect_lines("bulkhead flows --input @ --from-pod db-0", 0);
	expect_lines("bulkhead flows --input @ --type deny --reason policy-denied --direction egress --protocol tcp", RECORDS / 2);
	expect_lines("bulkhead flows --input @ --policy databases --kind service --address 10.0.1.5 --over closed", RECORDS / 2);
	expect_lines("bulkhead flows --input @ --since 2026-11-21T01:00:03Z --until 2026-11-21T01:00:04Z", RECORDS);
	expect_lines("bulkhead flows --input @ --until 2026-11-21T01:00:03Z", 0);
	expect_lines("bulkhead flows --input @ --last 10 --filter verdict=denied,audit", 10);
	expect_lines("bulkhead flows --input @ -o table --last 4", 5);
}

static void wrong_filters_are_one_sentence(void **state)
{
	expect_error("bulkhead flows --input @ --verdict maybe", CLI_USAGE, "verdict: 'maybe' is not allowed, denied or audit");
	expect_error("bulkhead flows --input @ --port 80x", CLI_USAGE, "port: '80x' is not");
	expect_error("bulkhead flows --input @ --pod !", CLI_USAGE, "--pod: '' is empty");
	expect_error("bulkhead flows --input @ --pod a --not", CLI_USAGE, "--not stands before the filter");
	expect_error("bulkhead flows --input @ --filter nonsense", CLI_USAGE, "'nonsense' is no term");
	expect_error("bulkhead flows --input @ --since soon", CLI_USAGE, "since: 'soon' is not a time");
	expect_error("bulkhead flows --input @ -f", CLI_USAGE, "excludes --input");
	expect_error("bulkhead flows -f -o table", CLI_USAGE, "--follow excludes --output table");
	expect_error("bulkhead flows --new", CLI_USAGE, "--new wants --follow");
	expect_error("bulkhead flows --socket /nonexistent", CLI_UNREACHABLE, "start bulkheadd");
}

static void expect_bad_file(const char *text, size_t len, const char *part)
{
	char bad[PATH_MAX + 16], line[2 * PATH_MAX];
	FILE *file;

	snprintf(bad, sizeof(bad), "%s/bad", folder);
	file = fopen(bad, "w");
	assert_non_null(file);
	fwrite(text, 1, len, file);
	fclose(file);
	snprintf(line, sizeof(line), "bulkhead flows --input %s", bad);
	expect_error(line, CLI_USAGE, part);
}

#define EXPECT_BAD_FILE(text, part) expect_bad_file(text, sizeof(text) - 1, part)

static void bad_files_are_refused_by_their_line(void **state)
{
	_cleanup_result_ struct result cut = { 0 };
	_cleanup_free_ char *line = record_line(2), *both = NULL, *command = NULL;

	EXPECT_BAD_FILE("\n{\"flow\":{}}\n", "bad:2: no flow record: version is missing");
	EXPECT_BAD_FILE("{\"version\":1,}\n", "bad:1: not JSON");
	EXPECT_BAD_FILE("\x1f\x8b\x08\x00xyz", "zcat it into --input -");
	expect_error("bulkhead flows --input /nonexistent", CLI_USAGE, "cannot read '/nonexistent'");
	// The last line of a file that is being written.
	assert_true(asprintf(&both, "%s\n%.100s", line, line) > 0);
	test_write(folder, "growing", both);
	assert_true(asprintf(&command, "bulkhead flows -o json --input %s/growing", folder) > 0);
	cut = run(command);
	assert_int_equal(cut.status, CLI_OK);
	assert_int_equal(cut.lines, 1);
	assert_str_contains(cut.err, "growing:2: left out: its end is missing");
}

// ---- the agent ---------------------------------------------------------------------------------

// A history of records, that has forgotten those up to `forgotten` and breaks off at `end`.
struct history {
	uint64_t forgotten, now, end;
	uint64_t keep; // not 0: it forgets all but so many
	char filter[256];
	int64_t waits;
};

static int serve_flows(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct json_object *records, *answer;
	struct history *history = arg;
	int64_t after, max, wait;
	const char *filter;
	uint64_t seq, lost = 0;

	assert_ok(control_number(request, "after", 0, INT64_MAX, 0, &after, reterr));
	assert_ok(control_number(request, "max", 1, 100000, 1, &max, reterr));
	assert_ok(control_number(request, "wait_ms", 0, 60000, 0, &wait, reterr));
	assert_ok(control_string_or(request, "filter", "", &filter, reterr));
	snprintf(history->filter, sizeof(history->filter), "%s", filter);
	history->waits += wait > 0;
	seq = (uint64_t)after;
	// Waiting, there is something at once; behind the end the agent has gone.
	if (wait && history->now >= history->end)
		return err_set(reterr, -ESHUTDOWN, "the end");
	if (wait)
		history->now += 1500;
	if (history->keep && history->now > history->keep)
		history->forgotten = history->now - history->keep;
	if (seq < history->forgotten) {
		lost = history->forgotten - seq;
		seq = history->forgotten;
	}
	records = json_object_new_array();
	answer = json_object_new_object();
	for (; seq < history->now && json_object_array_length(records) < (size_t)max; seq++) {
		_cleanup_free_ char *line = record_line(seq + 1);

		json_object_array_add(records, json_tokener_parse(line));
	}
	json_object_object_add(answer, "records", records);
	json_object_object_add(answer, "next", json_object_new_int64((int64_t)seq));
	json_object_object_add(answer, "lost", json_object_new_int64((int64_t)lost));
	*ret = answer;
	return 0;
}

static struct stub_agent *serve(struct history *history)
{
	static const struct control_op ops[] = { { "flows", serve_flows }, { NULL } };
	struct stub_agent *agent = stub_agent_start(ops, history);

	setenv("BULKHEAD_SOCKET", stub_agent_path(agent), 1);
	return agent;
}

static void the_history_is_read_page_by_page(void **state)
{
	struct history history = { .now = RECORDS };
	struct stub_agent *agent = serve(&history);
	_cleanup_result_ struct result json = run("bulkhead flows -o json"), last = run("bulkhead flows -o json --last 1");
	_cleanup_free_ char *file = NULL, *line = record_line(RECORDS);
	size_t len;

	file = test_read(path, &len);
	assert_str(json.out, file);
	assert_str(json.err, "");
	assert_int_equal(last.lines, 1);
	assert_memory_equal(last.out, line, strlen(line));
	expect_lines("bulkhead flows --pod a --not --pod b,c --pod d --port 80 --not --pod e --filter kind=pod", RECORDS);
	assert_str(history.filter, "kind=pod pod=a,d !pod=b,c,e port=80");
	stub_agent_stop(agent);
}

static void what_comes_is_followed_and_loss_is_said(void **state)
{
	struct history history = { .forgotten = 100, .now = 2000, .end = 4000 };
	struct stub_agent *agent = serve(&history);
	_cleanup_result_ struct result followed = run("bulkhead flows -f -o json"), fresh = { 0 };

	// Until the agent goes away; what was forgotten before is not lost.
	assert_int_equal(followed.status, CLI_AGENT);
	assert_int_equal(followed.lines, 1900 + 2 * 1500);
	assert_int_equal(history.waits, 3);
	assert_str(followed.err, "bulkhead: the end\n");
	history = (struct history){ .now = 2000, .end = 3000 };
	fresh = run("bulkhead flows -f --new -o json");
	assert_int_equal(fresh.lines, 1500);
	stub_agent_stop(agent);
}

// What was printed and what was said to be lost is all that there was.
static void lost_records_are_counted(void **state)
{
	struct history history = { .now = 10, .end = 4000, .keep = 1000 };
	struct stub_agent *agent = serve(&history);
	_cleanup_result_ struct result result = run("bulkhead flows -f -o json");
	uint64_t lost = 0, one;

	for (const char *at = result.err; (at = strstr(at, "bulkhead: ")); at += strlen("bulkhead: ")) {
		if (sscanf(at, "bulkhead: %" SCNu64 " records were overwritten", &one) == 1)
			lost += one;
	}
	assert_int_equal(lost, 1500);
	assert_int_equal(result.lines + lost, history.now);
	stub_agent_stop(agent);
}

// ---- top ---------------------------------------------------------------------------------------

static void top_sums_up_files(void **state)
{
	_cleanup_result_ struct result text = run("bulkhead top --by pod --input @");
	_cleanup_result_ struct result json = run("bulkhead top --by workload -o json --rows 3 --input @");
	_cleanup_json_ struct json_object *got = NULL;
	struct json_object *busy, *denied;

	assert_int_equal(text.status, CLI_OK);
	assert_str_contains(text.out, "shop/web-7d4b9  shop/db-0    3.4 MiB");
	got = json_tokener_parse(json.out);
	busy = json_item(got, "busiest", 0);
	assert_str(json_text(busy, "source"), "shop/Deployment/web");
	assert_str(json_text(busy, "destination"), "shop/StatefulSet/db");
	// Each even flow has 2400 bytes in 13 packets, each odd one 7 denied packets.
	assert_int_equal(json_number(busy, "bytes"), RECORDS / 2 * 2400);
	assert_int_equal(json_number(busy, "packets"), RECORDS / 2 * 13);
	assert_int_equal(json_number(busy, "flows"), RECORDS / 2);
	assert_int_equal(json_length(got, "denied"), 3);
	denied = json_item(got, "denied", 0);
	assert_int_equal(json_number(denied, "packets"), RECORDS / 100 * 7);
	assert_str(json_text(denied, "what"), "8001/TCP policy-denied, ClusterNetworkPolicy databases rule 3 (to-db)");
}

// Records of the past are not in the window of now.
static void top_shows_the_window_of_now(void **state)
{
	struct history history = { .now = RECORDS };
	struct stub_agent *agent = serve(&history);
	_cleanup_result_ struct result result = run("bulkhead top --once -o json");
	_cleanup_json_ struct json_object *got = json_tokener_parse(result.out);

	assert_int_equal(result.status, CLI_OK);
	assert_int_equal(json_length(got, "busiest"), 0);
	assert_int_equal(json_length(got, "denied"), 0);
	assert_int_equal(json_number(got, "seconds"), 60);
	stub_agent_stop(agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_replayed),
		cmocka_unit_test(filters_choose),
		cmocka_unit_test(wrong_filters_are_one_sentence),
		cmocka_unit_test(bad_files_are_refused_by_their_line),
		cmocka_unit_test(the_history_is_read_page_by_page),
		cmocka_unit_test(what_comes_is_followed_and_loss_is_said),
		cmocka_unit_test(lost_records_are_counted),
		cmocka_unit_test(top_sums_up_files),
		cmocka_unit_test(top_shows_the_window_of_now),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
