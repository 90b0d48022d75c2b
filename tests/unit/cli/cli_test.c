// SPDX-License-Identifier: Apache-2.0
// cli_test.c - every verb against canned answers through a real socket: text, JSON, errors, statuses.
#include "tests/harness/test.h"

#include "agent/cli/cli.h"
#include "tests/harness/stub_agent.h"

#define RULE                                                                                       \
	"{'id': 7, 'kind': 'networkpolicy', 'policy': 'x/p', 'policies': ['x/p'], 'index': 0,"     \
	" 'text': 'NetworkPolicy x/p rule 0'}"
#define ENDPOINT                                                                                     \
	"{'slot': 1, 'namespace': 'x', 'name': 'a', 'uid': 'u', 'interface': 'veth1', 'ifindex': 5," \
	" 'addresses': ['10.0.0.1', 'fd00::1'], 'state': 'enforce', 'attach': 'tcx',"                \
	" 'ingress': {'isolated': true, 'policies': ['x/p', 'x/q']}, 'egress': {'isolated': false,"  \
	" 'policies': []}, 'connections': 3, 'passed': {'ingress': {'packets': 10, 'bytes': 2048},"  \
	" 'egress': {'packets': 1, 'bytes': 60}}, 'denied_packets': 4"
#define POLICY                                                                                     \
	"{'kind': 'NetworkPolicy', 'namespace': 'x', 'name': 'p', 'audit': false,"                 \
	" 'directions': ['ingress'], 'rules': {'ingress': 2, 'egress': 0}, 'endpoints': ['x/a'],"  \
	" 'problem': 'spec is \\u001b[31mred'"

static const struct stub_answer answers[] = {
	{ "status",
	  "{'version': '0.1.0', 'commit': 'abc', 'node': 'n1', 'uptime_sec': 3700, 'synced': true,"
	  " 'ready': true, 'generation': {'seen': 12, 'applied': 12}, 'last_apply': {'steps': 5, 'waits': 2,"
	  " 'work_us': 1500, 'wait_us': 16000, 'age_sec': 4}, 'source': {'kind': 'dir', 'path': '/m'},"
	  " 'endpoints': {'total': 3, 'quarantine': 0, 'open': 1, 'enforce': 2, 'waiting': 0},"
	  " 'attach': 'tcx', 'tables': {'bh_ct': 1048576, 'bh_peer': 1048576}, 'rss_bytes': 5242880,"
	  " 'stats': {'connections_cut': 9, 'class_retries': 0},"
	  " 'problems': [{'where': 'NetworkPolicy x/p', 'text': 'bad port'}]}" },
	{ "endpoint.list",
	  "{'endpoints': [" ENDPOINT
	  "}, {'namespace': 'y', 'name': 'b', 'state': 'waiting', 'addresses': []}]}" },
	{ "endpoint.get", ENDPOINT
	  ", 'totals': [{'direction': 'ingress', 'reason': 'policy-denied', 'rule': " RULE
	  ", 'packets': 4, 'bytes': 240}], 'denied': [{'direction': 'ingress', 'reason': 'policy-denied',"
	  " 'remote': '10.0.0.2', 'remote_name': 'y/b', 'port': 80, 'protocol': 'TCP', 'rule': " RULE
	  ", 'packets': 4, 'bytes': 240, 'age_sec': 65}]}" },
	{ "policy.list",
	  "{'policies': [" POLICY
	  "}, {'kind': 'ClusterNetworkPolicy', 'name': 'c', 'tier': 'Admin', 'priority': 5, 'audit': true,"
	  " 'directions': [], 'rules': {}, 'endpoints': []}]}" },
	{ "policy.show", POLICY ", 'rule_totals': [{'direction': 'ingress', 'rule': " RULE
				", 'reason': 'allowed', 'packets': 8, 'bytes': 900}]}" },
	{ "explain",
	  "{'verdict': 'deny', 'egress': {'verdict': 'unjudged', 'policy': null, 'rule': null,"
	  " 'reason': 'unjudged', 'text': 'not a pod of this node'}, 'ingress': {'verdict': 'deny',"
	  " 'policy': 'x/p', 'policies': ['x/p'], 'rule': {'kind': 'default-deny'}, 'reason': 'policy-denied',"
	  " 'text': 'default deny (x/p)', 'why': 'w', 'matrix': 4}}" },
	{ "ct.list",
	  "{'connections': [{'namespace': 'x', 'name': 'a', 'direction': 'egress', 'protocol': 'TCP',"
	  " 'remote': '10.0.0.2', 'remote_port': 80, 'local_port': 40000, 'state': 'established',"
	  " 'flags': ['node', 'seeded'], 'rule': " RULE ", 'age_sec': 90000, 'idle_sec': 3}],"
	  " 'total': 2, 'shown': 1}" },
	{ "ct.flush", "{'flushed': 17}" },
	{ "version", "{'version': '0.2.0', 'commit': 'def', 'abi': 1}" },
	{ NULL },
};

// ---- running -----------------------------------------------------------------------------------

struct result {
	int status;
	char *out, *err;
};

static void result_fini(struct result *result)
{
	free(result->out);
	free(result->err);
}

#define _cleanup_result_ _cleanup_(result_fini)

// Words are parted by blanks.
static struct result run(const char *line)
{
	struct result result = { 0 };
	_cleanup_free_ char *copy = strdup(line);
	char *argv[64], *rest = copy;
	size_t out_len, err_len;
	FILE *out = open_memstream(&result.out, &out_len);
	FILE *err = open_memstream(&result.err, &err_len);
	int argc = 0;

	for (char *word; (word = strsep(&rest, " "));) {
		if (*word)
			argv[argc++] = word;
	}
	argv[argc] = NULL;
	result.status = cli_run(argc, argv, out, err, "abc");
	fclose(out);
	fclose(err);
	return result;
}

static struct stub_agent *agent;

static int start(void **state)
{
	agent = stub_agent_canned(answers);
	setenv("BULKHEAD_SOCKET", stub_agent_path(agent), 1);
	return 0;
}

static int stop(void **state)
{
	unsetenv("BULKHEAD_SOCKET");
	stub_agent_stop(agent);
	return 0;
}

static void expect_text(const char *line, const char *const *parts)
{
	_cleanup_result_ struct result result = run(line);

	if (result.status != CLI_OK)
		fail_msg("%s: %d: %s", line, result.status, result.err);
	for (; *parts; parts++)
		assert_str_contains(result.out, *parts);
	// No terminal, no colour; what tenants wrote obeys nobody.
	assert_str_lacks(result.out, "\033");
}

#define EXPECT_TEXT(line, ...) expect_text(line, (const char *const[]){ __VA_ARGS__, NULL })

// -o json is the agent's answer as it came.
static void expect_json(const char *line, const char *op)
{
	_cleanup_result_ struct result result = run(line);
	_cleanup_json_ struct json_object *got = NULL, *want = NULL;

	assert_int_equal(result.status, CLI_OK);
	got = json_tokener_parse(result.out);
	for (const struct stub_answer *answer = answers; answer->op; answer++) {
		if (!strcmp(answer->op, op))
			want = test_json(answer->json);
	}
	assert_true(json_object_equal(got, want));
}

static void expect_request(const char *text)
{
	_cleanup_json_ struct json_object *got = stub_agent_request(agent);
	_cleanup_json_ struct json_object *want = test_json(text);

	if (!json_object_equal(got, want))
		fail_msg("request %s, expected %s", json_object_to_json_string(got),
			 json_object_to_json_string(want));
}

static void expect_error(const char *line, int status, const char *part)
{
	_cleanup_result_ struct result result = run(line);

	if (result.status != status)
		fail_msg("%s: status %d, expected %d: %s", line, result.status, status, result.err);
	assert_str_starts(result.err, "bulkhead: ");
	assert_str_contains(result.err, part);
	// One sentence, one line.
	assert_ptr_equal(strchr(result.err, '\n'), result.err + strlen(result.err) - 1);
	assert_str(result.out, "");
}

// ---- verbs -------------------------------------------------------------------------------------

static void status_tells_what_is_in_force(void **state)
{
	EXPECT_TEXT("bulkhead status", "n1", "0.1.0 (abc), up 1h 1m",
		    "generation 12, all that was read",
		    "5 steps, 2 waits, 1.5 ms work, 16.0 ms waiting, 4s ago",
		    "3: 2 enforced, 1 open, 0 in quarantine, 0 waiting; 0 by the CNI plugin; attached by tcx",
		    "5.0 MiB process, 2.0 MiB kernel tables", "connections_cut  9",
		    "NetworkPolicy x/p: bad port", "dir /m");
	expect_json("bulkhead status -o json", "status");
	expect_json("bulkhead --output=json status", "status");
	expect_json("bulkhead -o json status --check", "status");
	expect_request("{'op': 'status'}");
}

static void endpoints_are_listed_and_shown(void **state)
{
	_cleanup_result_ struct result result = run("bulkhead endpoint list -n y -o json");

	assert_str_lacks(result.out, "veth1");
	assert_str_contains(result.out, "waiting");
	EXPECT_TEXT("bulkhead endpoint list", "POD  STATE    ADDRESSES", "x/a", "10.0.0.1, fd00::1",
		    "x/p, x/q", "y/b");
	expect_json("bulkhead endpoint list -o json", "endpoint.list");
	EXPECT_TEXT("bulkhead endpoint get x/a", "x/a enforce", "interface veth1 (tcx)",
		    "10.0.0.2 (y/b)", "80/TCP", "1m 5s ago", "NetworkPolicy x/p rule 0", "2.0 KiB");
	expect_request("{'op': 'endpoint.get', 'namespace': 'x', 'name': 'a'}");
	expect_json("bulkhead endpoint get x/a -o json", "endpoint.get");
}

static void policies_are_listed_and_shown(void **state)
{
	EXPECT_TEXT("bulkhead policy list", "x/p", "2 in, 0 out", "spec is ?[31mred", "Admin 5",
		    "audit");
	expect_json("bulkhead policy list -o json", "policy.list");
	EXPECT_TEXT("bulkhead policy show x/p", "selects x/a", "NetworkPolicy x/p rule 0",
		    "allowed");
	expect_request("{'op': 'policy.show', 'namespace': 'x', 'name': 'p'}");
	EXPECT_TEXT("bulkhead policy show c", "x/p");
	expect_request("{'op': 'policy.show', 'name': 'c'}");
	expect_json("bulkhead policy show x/p -o json", "policy.show");
}

static void explain_asks_the_tables(void **state)
{
	EXPECT_TEXT("bulkhead explain --from y/b --to x/a --port 80", "y/b -> x/a 80/TCP: deny",
		    "unjudged", "not a pod of this node", "default deny (x/p)");
	expect_request(
		"{'op': 'explain', 'from': 'y/b', 'to': 'x/a', 'port': 80, 'protocol': 'TCP'}");
	expect_json("bulkhead explain -f y/b -t x/a -p 80 -P udp --family 6 -o json", "explain");
	expect_request(
		"{'op': 'explain', 'from': 'y/b', 'to': 'x/a', 'port': 80, 'protocol': 'UDP',"
		" 'family': 6}");
	EXPECT_TEXT("bulkhead explain --from y/b --to x/a --protocol icmp", "0/ICMP: deny");
}

static void connections_are_listed_and_flushed(void **state)
{
	EXPECT_TEXT("bulkhead ct list", "established", "node, seeded", "1d 1h", "1 of 2 shown");
	expect_request("{'op': 'ct.list', 'limit': 1000}");
	expect_json("bulkhead ct list x/a --limit 5 -o json", "ct.list");
	expect_request("{'op': 'ct.list', 'namespace': 'x', 'name': 'a', 'limit': 5}");
	EXPECT_TEXT("bulkhead ct flush x/a", "17 connections forgotten");
	expect_request("{'op': 'ct.flush', 'namespace': 'x', 'name': 'a'}");
	expect_json("bulkhead ct flush -o json", "ct.flush");
	expect_request("{'op': 'ct.flush'}");
}

static void versions_of_both_are_told(void **state)
{
	EXPECT_TEXT("bulkhead version", VERSION " (abc)", "0.2.0 (def)");
	EXPECT_TEXT("bulkhead version --socket /nonexistent", "not reached");
	EXPECT_TEXT("bulkhead --version", VERSION " (abc)");
	EXPECT_TEXT("bulkhead version -o json", "\"abi\": 1", "\"agent\": {");
}

static void words_complete_from_the_agent(void **state)
{
	EXPECT_TEXT("bulkhead __complete pods", "x/a\n", "y/b\n");
	EXPECT_TEXT("bulkhead __complete policies", "x/p\n", "c\n");
	EXPECT_TEXT("bulkhead __complete verbs", "endpoint get\n");
}

// ---- errors ------------------------------------------------------------------------------------

static void wrong_usage_exits_with_2(void **state)
{
	expect_error("bulkhead", CLI_USAGE, "a verb is missing: see 'bulkhead help'");
	expect_error("bulkhead nonsense", CLI_USAGE, "there is no verb 'nonsense'");
	expect_error("bulkhead endpoint", CLI_USAGE, "'endpoint' wants another word: list or get");
	expect_error("bulkhead endpoint nonsense", CLI_USAGE, "list or get");
	expect_error("bulkhead endpoint get", CLI_USAGE, "NAMESPACE/POD is missing");
	expect_error("bulkhead endpoint get a", CLI_USAGE, "'a' is no NAMESPACE/NAME");
	expect_error("bulkhead endpoint get a/b/c", CLI_USAGE, "'a/b/c' is no");
	expect_error("bulkhead endpoint get a/b c", CLI_USAGE, "unexpected argument 'c'");
	expect_error("bulkhead policy show /p", CLI_USAGE, "'/p' is no");
	expect_error("bulkhead status --chekc", CLI_USAGE, "did you mean '--check'");
	expect_error("bulkhead status -o yaml", CLI_USAGE, "none of text|json");
	expect_error("bulkhead status --timeout 0", CLI_USAGE, "not in 1..3600");
	expect_error("bulkhead explain --to x/a --port 80", CLI_USAGE, "--from is missing");
	expect_error("bulkhead explain --from x/a --port 80", CLI_USAGE, "--to is missing");
	expect_error("bulkhead explain -f x/a -t x/b", CLI_USAGE, "--port N is missing");
	expect_error("bulkhead explain -f x/a -t x/b -p 0", CLI_USAGE, "not in 1..65535");
	expect_error("bulkhead explain -f x/a -t x/b -p http", CLI_USAGE, "not in 1..65535");
	expect_error("bulkhead explain -f x/a -t x/b -p 80 -P foo", CLI_USAGE, "'foo' is unknown");
	expect_error("bulkhead explain -f x/a -t x/b -p 80 -P ICMP", CLI_USAGE, "has no ports");
	expect_error("bulkhead completion fish", CLI_USAGE, "only for bash");
	expect_error("bulkhead help nonsense", CLI_USAGE, "there is no verb");
}

static void an_agent_that_is_not_there_exits_with_3(void **state)
{
	expect_error("bulkhead status --socket /nonexistent", CLI_UNREACHABLE, "start bulkheadd");
	expect_error("bulkhead --socket /nonexistent ct list -o json", CLI_UNREACHABLE,
		     "/nonexistent");
}

static void what_the_agent_refuses_exits_with_4(void **state)
{
	static const struct stub_answer refusals[] = {
		{ "endpoint.get", "no pod 'x/z' on this node\nor \033[31melsewhere", -ENOENT },
		{ "status", "{'ready': false, 'unready': [{'name': 'tables', 'text': 'not what was compiled'}],"
			    " 'report': {'leader': 'node-b', 'leading': false, 'lease_age_sec': 7, 'conditions':"
			    " {'writes': 0}, 'events': {'sent': 3}}, 'generation': {'seen': 5, 'applied': 4}}" },
		{ NULL },
	};
	struct stub_agent *refusing = stub_agent_canned(refusals);
	struct result result;

	setenv("BULKHEAD_SOCKET", stub_agent_path(refusing), 1);
	expect_error("bulkhead endpoint get x/z", CLI_AGENT, "no pod 'x/z' on this node?or ?[31m");
	expect_error("bulkhead explain -f 10.0.0.1 -t x/b -p 80", CLI_AGENT, "no canned answer");
	result = run("bulkhead status");
	assert_int_equal(result.status, CLI_OK);
	assert_str_contains(result.out, "generation 4, 5 was read");
	assert_str_contains(result.out, "no, tables: not what was compiled");
	assert_str_contains(result.out, "node-b, seen 7s ago; 0 conditions and 3 events written here");
	result_fini(&result);
	result = run("bulkhead status --check");
	assert_int_equal(result.status, CLI_NEGATIVE);
	result_fini(&result);
	setenv("BULKHEAD_SOCKET", stub_agent_path(agent), 1);
	stub_agent_stop(refusing);
}

// Answers of another version, or of none: nothing crashes, absent fields are "-".
static void strange_answers_are_shown_all_the_same(void **state)
{
	static const char *const strange[] = {
		"{}",
		"{'endpoints': 5, 'policies': {}, 'connections': 'x', 'stats': [], 'tables': 3,"
		" 'problems': [1, null], 'generation': 1, 'egress': 7, 'ingress': null, 'denied': [[]], 'totals': [2]}",
		"{'endpoints': [1, null, {}], 'policies': [null, 'x', {'endpoints': [1, 2]}],"
		" 'connections': [{'flags': [1]}, []], 'rule_totals': [4], 'flushed': 'many'}",
	};
	static const char *const lines[] = {
		"bulkhead status",           "bulkhead endpoint list",
		"bulkhead endpoint get x/a", "bulkhead policy list",
		"bulkhead policy show x/a",  "bulkhead explain -f x/a -t x/b -p 1",
		"bulkhead ct list",          "bulkhead ct flush",
		"bulkhead version",
	};
	static const char *const ops[] = { "status",      "endpoint.list", "endpoint.get",
					   "policy.list", "policy.show",   "explain",
					   "ct.list",     "ct.flush",      "version" };

	for (size_t s = 0; s < ARRAY_SIZE(strange); s++) {
		struct stub_answer list[ARRAY_SIZE(ops) + 1] = { 0 };
		struct stub_agent *odd;

		for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
			list[i] = (struct stub_answer){ ops[i], strange[s], 0 };
		odd = stub_agent_canned(list);
		setenv("BULKHEAD_SOCKET", stub_agent_path(odd), 1);
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			_cleanup_result_ struct result result = run(lines[i]);

			assert_int_equal(result.status, CLI_OK);
		}
		stub_agent_stop(odd);
	}
	setenv("BULKHEAD_SOCKET", stub_agent_path(agent), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_tells_what_is_in_force),
		cmocka_unit_test(endpoints_are_listed_and_shown),
		cmocka_unit_test(policies_are_listed_and_shown),
		cmocka_unit_test(explain_asks_the_tables),
		cmocka_unit_test(connections_are_listed_and_flushed),
		cmocka_unit_test(versions_of_both_are_told),
		cmocka_unit_test(words_complete_from_the_agent),
		cmocka_unit_test(wrong_usage_exits_with_2),
		cmocka_unit_test(an_agent_that_is_not_there_exits_with_3),
		cmocka_unit_test(what_the_agent_refuses_exits_with_4),
		cmocka_unit_test(strange_answers_are_shown_all_the_same),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
