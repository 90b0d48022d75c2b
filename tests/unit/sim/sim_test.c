// SPDX-License-Identifier: Apache-2.0
// sim_test.c - what each kind of end means, and whole files of cases.
#include "tests/harness/test.h"

#include "agent/sim/run.h"
#include "agent/sim/sim.h"

static void put(struct sim *sim, enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct object *object = NULL;
	struct err err = { 0 };

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	assert_ok(sim_put(sim, object));
}

static void put_pod(struct sim *sim, const char *name, const char *ips, const char *spec,
		    const char *phase)
{
	char text[1024];

	snprintf(
		text, sizeof(text),
		"{'metadata': {'namespace': 'x', 'name': '%s', 'labels': {'pod': '%s'}}, 'spec': {%s},"
		" 'status': {'phase': '%s', 'podIPs': [%s]}}",
		name, name, spec, phase, ips);
	put(sim, KIND_POD, text);
}

#define DENY_ALL                                                                                   \
	"{'metadata': {'namespace': 'x', 'name': 'deny'}, 'spec': {'podSelector': {},"             \
	" 'policyTypes': ['Ingress']}}"

static struct sim *cluster(void)
{
	struct sim *sim = NULL;

	assert_ok(sim_new(&sim));
	put(sim, KIND_NAMESPACE, "{'metadata': {'name': 'x', 'labels': {'ns': 'x'}}}");
	put(sim, KIND_NODE,
	    "{'metadata': {'name': 'n1'}, 'status': {'addresses': ["
	    "{'type': 'InternalIP', 'address': '172.18.0.2'},"
	    "{'type': 'InternalIP', 'address': 'fc00::2'}]}}");
	put(sim, KIND_NODE,
	    "{'metadata': {'name': 'n2'}, 'status': {'addresses': ["
	    "{'type': 'InternalIP', 'address': '172.18.0.3'}]}}");
	put_pod(sim, "a", "{'ip': '10.0.0.1'}, {'ip': 'fd00::1'}", "'nodeName': 'n1'", "Running");
	put_pod(sim, "b", "{'ip': '10.0.0.2'}", "'nodeName': 'n2'", "Running");
	put_pod(sim, "six", "{'ip': 'fd00::6'}", "'nodeName': 'n1'", "Running");
	put_pod(sim, "host", "{'ip': '172.18.0.2'}", "'nodeName': 'n1', 'hostNetwork': true",
		"Running");
	put_pod(sim, "done", "{'ip': '10.0.0.9'}", "'nodeName': 'n1'", "Succeeded");
	return sim;
}

static int ask(struct sim *sim, const char *from, const char *to, int family,
	       struct sim_answer *ret, struct err *err)
{
	struct sim_end ends[2];
	int r = sim_end_parse(sim, from, &ends[0], err);

	if (r == 0)
		r = sim_end_parse(sim, to, &ends[1], err);
	return r < 0 ? r : sim_ask(sim, &ends[0], &ends[1], PROTOCOL_TCP, 80, family, ret, err);
}

static void expect(struct sim *sim, const char *from, const char *to, bool allow)
{
	struct sim_answer answer;
	struct err err = { 0 };

	assert_ok_err(ask(sim, from, to, 0, &answer, &err), &err);
	sim_answer_fini(&answer);
	if (answer.allow != allow)
		fail_msg("%s -> %s: expected %s", from, to, allow ? "allow" : "deny");
}

static void every_kind_of_end_is_judged(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = cluster();

	expect(sim, "x/b", "x/a", true);
	put(sim, KIND_NETPOL, DENY_ALL);
	expect(sim, "x/b", "x/a", false);
	expect(sim, "x/a", "x/a", true);
	expect(sim, "10.0.0.2", "10.0.0.1", false);
	expect(sim, "ip:10.0.0.2", "ip:10.0.0.1", true); // no pod at either end
	expect(sim, "192.0.2.1", "x/a", false);
	expect(sim, "node:n1", "x/a", true);
	expect(sim, "172.18.0.2", "x/a", true);
	expect(sim, "x/host", "x/a", true);
	expect(sim, "node:n2", "x/a", false);
	expect(sim, "node:n2", "x/b", true);
	expect(sim, "ip:172.18.0.2", "x/a", false); // the address alone proves nothing
	expect(sim, "x/a", "node:n1", true);
	expect(sim, "x/a", "x/host", true);
	assert_ok(sim_remove(sim, KIND_NETPOL, "x", "deny"));
	expect(sim, "x/b", "x/a", true);
}

static void a_cluster_policy_binds_the_own_node_too(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = cluster();

	put(sim, KIND_CLUSTERNETPOL,
	    "{'metadata': {'name': 'c'}, 'spec': {'tier': 'Admin', 'priority': 1, 'subject': {'namespaces': {}},"
	    " 'egress': [{'name': 'no', 'action': 'Deny', 'to': [{'networks': ['172.18.0.0/16']}]}]}}");
	expect(sim, "x/a", "node:n1", false);
	expect(sim, "x/a", "x/b", true);
	expect(sim, "node:n1", "x/a", true);
}

static void families_are_picked_or_missed(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = cluster();
	struct sim_answer answer;
	struct err err = { 0 };

	assert_ok(ask(sim, "x/a", "x/b", 0, &answer, &err));
	assert_int_equal(answer.family, 4);
	assert_ok(ask(sim, "x/a", "x/six", 0, &answer, &err));
	assert_int_equal(answer.family, 6);
	assert_err(ask(sim, "x/a", "x/b", 6, &answer, &err), -EADDRNOTAVAIL);
	assert_str(err.text, "'x/b' has no IPv6 address");
	assert_err(ask(sim, "x/b", "x/six", 0, &answer, &err), -EADDRNOTAVAIL);
	assert_err(ask(sim, "x/a", "192.0.2.1", 6, &answer, &err), -EADDRNOTAVAIL);
}

static const char *text_at(struct json_object *json, const char *side, const char *field)
{
	return json_object_get_string(
		json_object_object_get(json_object_object_get(json, side), field));
}

// b is allowed to nobody; a may speak to six's port only.
static void services_are_judged_on_their_backends(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = cluster();
	_cleanup_json_ struct json_object *json = NULL;
	struct json_object *egress, *backends;
	struct sim_answer answer;
	struct err err = { 0 };

	put(sim, KIND_SERVICE,
	    "{'metadata': {'namespace': 'x', 'name': 's'}, 'spec': {'clusterIPs': ['10.96.0.1'],"
	    " 'ports': [{'name': 'http', 'port': 80, 'nodePort': 30080}]}}");
	put(sim, KIND_ENDPOINTSLICE,
	    "{'metadata': {'namespace': 'x', 'name': 's-1', 'labels': {'kubernetes.io/service-name': 's'}},"
	    " 'addressType': 'IPv4', 'ports': [{'name': 'http', 'port': 8080}], 'endpoints': ["
	    "{'addresses': ['10.0.0.2']}, {'addresses': ['172.18.0.2']}]}");
	put(sim, KIND_NETPOL,
	    "{'metadata': {'namespace': 'x', 'name': 'out'}, 'spec': {'podSelector': {'matchLabels': {'pod': 'a'}},"
	    " 'policyTypes': ['Egress'], 'egress': [{'to': [{'podSelector': {'matchLabels': {'pod': 'six'}}}]}]}}");
	assert_ok_err(ask(sim, "x/a", "10.96.0.1", 4, &answer, &err), &err); // b, and a's own node
	assert_true(answer.is_service && answer.mixed);
	assert_false(answer.allow);
	json = sim_answer_json(sim, &answer);
	egress = json_object_object_get(json, "egress");
	backends = json_object_object_get(egress, "backends");
	assert_str(text_at(json, "egress", "reason"), "service-mixed");
	assert_true(json_object_get_boolean(json_object_object_get(egress, "mixed")));
	assert_str(text_at(egress, "service", "name"), "s");
	assert_int_equal(json_object_array_length(backends), 2);
	assert_str(json_object_get_string(json_object_object_get(
			   json_object_array_get_idx(backends, 0), "verdict")), "deny");
	assert_str(json_object_get_string(json_object_object_get(
			   json_object_array_get_idx(backends, 1), "verdict")), "allow");
	sim_answer_fini(&answer);
	put(sim, KIND_NETPOL,
	    "{'metadata': {'namespace': 'x', 'name': 'out'}, 'spec': {'podSelector': {'matchLabels': {'pod': 'a'}},"
	    " 'policyTypes': ['Egress'], 'egress': [{'to': [{'podSelector': {}}], 'ports': [{'port': 8080}]}]}}");
	expect(sim, "x/a", "10.96.0.1", true);
	put(sim, KIND_NETPOL, DENY_ALL); // b's own policy counts as well
	expect(sim, "x/a", "10.96.0.1", false);
}

static void unknown_ends_are_named(void **state)
{
	static const struct {
		const char *text, *part;
		int code;
	} ends[] = {
		{ "x/zz", "no pod 'x/zz'", -ENOENT },
		{ "node:zz", "no node 'zz'", -ENOENT },
		{ "ip:zz", "'zz' is no address", -EINVAL },
		{ "zz", "neither NS/POD", -EINVAL },
		{ "/a", "no NS/POD", -EINVAL },
		{ "x/", "no NS/POD", -EINVAL },
		{ "x/done", "has finished", -EADDRNOTAVAIL },
	};
	_cleanup_(sim_freep) struct sim *sim = cluster();
	struct sim_end end;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct err err = { 0 };

		assert_err(sim_end_parse(sim, ends[i].text, &end, &err), ends[i].code);
		assert_str_contains(err.text, ends[i].part);
	}
}

static void answers_name_policy_rule_and_reason(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = cluster();
	_cleanup_json_ struct json_object *denied = NULL, *allowed = NULL, *own = NULL;
	struct sim_answer answer;
	struct err err = { 0 };

	put(sim, KIND_NETPOL, DENY_ALL);
	assert_ok(ask(sim, "x/b", "x/a", 4, &answer, &err));
	denied = sim_answer_json(sim, &answer);
	assert_str(json_object_get_string(json_object_object_get(denied, "verdict")), "deny");
	assert_str(text_at(denied, "egress", "verdict"), "allow");
	assert_str(text_at(denied, "ingress", "verdict"), "deny");
	assert_str(text_at(denied, "ingress", "policy"), "x/deny");
	assert_str(text_at(denied, "ingress", "reason"), "policy-denied");
	assert_str_contains(text_at(denied, "ingress", "rule"), "default-deny");
	assert_str_contains(text_at(denied, "ingress", "text"), "default deny");

	put(sim, KIND_NETPOL,
	    "{'metadata': {'namespace': 'x', 'name': 'allow'}, 'spec': {'podSelector': {}, 'ingress': [{'ports':"
	    " [{'port': 1}]}, {'from': [{'podSelector': {'matchLabels': {'pod': 'b'}}}]}]}}");
	assert_ok(ask(sim, "x/b", "x/a", 4, &answer, &err));
	allowed = sim_answer_json(sim, &answer);
	assert_str(text_at(allowed, "ingress", "policy"), "x/allow");
	assert_str_contains(text_at(allowed, "ingress", "text"), "rule 1");
	assert_str(text_at(allowed, "ingress", "reason"), "allowed");

	assert_ok(ask(sim, "node:n1", "x/a", 4, &answer, &err));
	own = sim_answer_json(sim, &answer);
	assert_str(text_at(own, "egress", "verdict"), "unjudged");
	assert_str(text_at(own, "ingress", "verdict"), "allow");
	assert_str(text_at(own, "ingress", "reason"), "own-node");
}

static void pods_come_and_go(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = cluster();
	struct sim_end end;
	char name[32], ip[32];

	put(sim, KIND_NETPOL, DENY_ALL);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "p%d", i);
			snprintf(ip, sizeof(ip), "{'ip': '10.1.%d.%d'}", i / 250, i % 250 + 1);
			put_pod(sim, name, ip, "'nodeName': 'n1'", "Running");
			if (i == 10)
				expect(sim, "x/p1", "x/p10", false);
		}
		expect(sim, "x/p4999", "x/p0", false);
		for (int i = 1; i < 5000; i++) {
			snprintf(name, sizeof(name), "x/p%d", i - 1);
			snprintf(ip, sizeof(ip), "x/p%d", i);
			expect(sim, name, ip, false);
		}
		expect(sim, "x/p0", "x/p1", false);
		expect(sim, "x/p0", "192.0.2.1", true);
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "p%d", i);
			assert_ok(sim_remove(sim, KIND_POD, "x", name));
		}
		expect(sim, "x/a", "10.1.0.1", true);
		assert_err(sim_end_parse(sim, "x/p1", &end, NULL), -ENOENT);
	}
	put_pod(sim, "a", "{'ip': '10.0.0.1'}", "'nodeName': 'n1'", "Succeeded");
	put_pod(sim, "b", "{'ip': '10.0.0.1'}", "'nodeName': 'n2'", "Running");
	expect(sim, "10.0.0.1", "192.0.2.1", true);
	expect(sim, "192.0.2.1", "10.0.0.1", false);
}

// ---- files -------------------------------------------------------------------------------------

static void count_problem(void *arg, const char *where, const char *text)
{
	unsigned *count = arg;

	(*count)++;
}

static void folders_are_loaded_problems_told(void **state)
{
	_cleanup_(sim_freep) struct sim *sim = NULL;
	char folder[PATH_MAX], path[PATH_MAX + 16];
	struct err err = { 0 };
	unsigned problems = 0;

	test_mkdir(folder);
	test_write(
		folder, "a.yaml",
		"kind: Namespace\napiVersion: v1\nmetadata: {name: x}\n---\n"
		"kind: Pod\napiVersion: v1\nmetadata: {name: a, namespace: x}\n"
		"status: {podIPs: [{ip: 10.0.0.1}]}\n---\n"
		"kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: p, namespace: x}\n"
		"spec: {podSelector: {}, ingress: [{ports: [{port: 0}]}]}\n");
	test_write(folder, "broken.yaml", "{ this is : [no yaml\n");
	test_write(folder, "readme.txt", "not looked at");
	assert_ok(sim_new(&sim));
	assert_ok_err(sim_load(sim, folder, &err), &err);
	// The policy isolates although its rule is invalid.
	expect(sim, "192.0.2.1", "x/a", false);
	sim_problem_each(sim, count_problem, &problems);
	assert_in_range(problems, 2, 3);
	snprintf(path, sizeof(path), "%s/broken.yaml", folder);
	assert_true(sim_load(sim, path, &err) < 0);
	assert_err(sim_load(sim, "/nonexistent", &err), -ENOENT);
	assert_str_contains(err.text, "/nonexistent");
	test_rmdir(folder);
}

static void print_mismatch(void *arg, const struct sim_case *c, const struct case_expect *e,
			   int family, bool allowed)
{
	print_error("case %s: %s -> %s %u/%s IPv%d got %s\n", c->name, e->from, e->to, e->port,
		    protocol_name(e->protocol), family, allowed ? "allow" : "deny");
}

static void print_unusable(void *arg, const char *title, const char *text)
{
	print_error("case %s: %s\n", title, text);
}

static void shared_cases_all_pass(void **state)
{
	static const char *const files[] = { "cases/netpol-sample.jsonl",
					     "cases/cnp-sample.jsonl" };
	struct run_events events = { NULL, print_mismatch, print_unusable };
	struct run_report report = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(cases_closep) struct cases *cases = NULL;
		char path[PATH_MAX];

		assert_ok_err(cases_open(test_shared(path, files[i]), &cases, &err), &err);
		assert_ok_err(run_cases(cases, NULL, &events, &report, &err), &err);
	}
	assert_int_equal(report.failed, 0);
	assert_int_equal(report.passed, 91);
	assert_int_equal(report.loopback_mismatches, 0);
	assert_int_equal(report.skipped, 0);
	assert_true(report.questions > 60000);
}

// A runner that says "passed" to everything would be worse than none.
static void wrong_expectations_fail(void **state)
{
	struct run_events events = { 0 };
	struct run_report report = { 0 };
	char folder[PATH_MAX], path[PATH_MAX + 16];
	_cleanup_(cases_closep) struct cases *cases = NULL;
	struct err err = { 0 };

#define POD_A "{\"ns\":\"x\",\"name\":\"a\",\"ipv4\":\"10.0.0.1\"}"
#define POD_B "{\"ns\":\"x\",\"name\":\"b\",\"ipv4\":\"10.0.0.2\",\"ipv6\":\"fd00::2\"}"
#define LINE(name, verdict)                                                                        \
	"{\"name\":\"" name                                                                        \
	"\",\"families\":[\"IPv4\",\"IPv6\"],\"namespaces\":[{\"name\":\"x\"}],\"pods\":[" POD_A   \
	"," POD_B                                                                                  \
	"],\"expect\":[{\"from\":\"x/a\",\"to\":\"x/b\",\"port\":80,\"protocol\":\"TCP\","         \
	"\"verdict\":\"" verdict                                                                   \
	"\"},{\"from\":\"x/a\",\"to\":\"x/a\",\"port\":80,\"protocol\":\"TCP\","                   \
	"\"verdict\":\"deny\",\"loopback\":true}]}\n"
	test_mkdir(folder);
	test_write(folder, "c.jsonl", LINE("good", "allow") LINE("bad", "deny") "nonsense\n");
	snprintf(path, sizeof(path), "%s/c.jsonl", folder);
	assert_ok_err(cases_open(path, &cases, &err), &err);
	assert_ok_err(run_cases(cases, NULL, &events, &report, &err), &err);
	assert_int_equal(report.passed, 1);
	assert_int_equal(report.failed, 2);
	assert_int_equal(report.mismatches, 1);
	assert_int_equal(report.loopback, 2);
	assert_int_equal(report.loopback_mismatches, 2);
	assert_int_equal(report.skipped, 4);
	report = (struct run_report){ 0 };
	assert_ok_err(run_cases(cases, "goo", &events, &report, &err), &err);
	assert_int_equal(report.passed, 1);
	assert_int_equal(report.failed, 1); // a line that has no name cannot be left out by name
	test_rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_end_is_judged),
		cmocka_unit_test(a_cluster_policy_binds_the_own_node_too),
		cmocka_unit_test(families_are_picked_or_missed),
		cmocka_unit_test(services_are_judged_on_their_backends),
		cmocka_unit_test(unknown_ends_are_named),
		cmocka_unit_test(answers_name_policy_rule_and_reason),
		cmocka_unit_test(pods_come_and_go),
		cmocka_unit_test(folders_are_loaded_problems_told),
		cmocka_unit_test(shared_cases_all_pass),
		cmocka_unit_test(wrong_expectations_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
