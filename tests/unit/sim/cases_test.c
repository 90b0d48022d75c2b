// SPDX-License-Identifier: Apache-2.0
// cases_test.c - lines of cases, their manifests, the order of sequences and what differs between steps.
#include "tests/harness/test.h"

#include "agent/sim/cases.h"

#define HEAD                                                                                       \
	"'name': 'c', 'families': ['IPv4', 'IPv6'], 'namespaces': [{'name': 'x', 'labels': {'ns': 'x'}}], "
#define PODS                                                                                               \
	"'pods': [{'ns': 'x', 'name': 'b', 'labels': {'pod': 'b'}, 'ipv4': '10.0.0.2', 'ipv6': 'fd00::2'," \
	" 'node': 'n1', 'containerPorts': [{'name': 'web', 'port': 80, 'protocol': 'TCP'}, {'port': 53, "  \
	"'protocol': 'UDP'}]},"                                                                            \
	" {'ns': 'x', 'name': 'a', 'labels': {}, 'ipv4': '10.0.0.1'}], "
#define EXPECT                                                                                     \
	"'expect': [{'from': 'x/a', 'to': 'x/b', 'port': 80, 'protocol': 'TCP', 'verdict': 'deny'}]"

static int parse(const char *text, struct sim_case **ret, struct err *err)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	const char *line = json_object_to_json_string(json);

	return case_parse(line, strlen(line), ret, err);
}

static struct sim_case *parsed(const char *text)
{
	struct sim_case *c = NULL;
	struct err err = { 0 };

	assert_ok_err(parse(text, &c, &err), &err);
	return c;
}

static void a_line_is_read_whole(void **state)
{
	_cleanup_(case_freep) struct sim_case *c = parsed(
		"{" HEAD PODS
		"'tags': ['noncanonical'], 'sequence': {'id': 's', 'step': 2, 'of': 3},"
		"'nodes': [{'name': 'n1', 'labels': {}, 'ipv4': '172.18.0.2', 'ipv6': 'fc00::2'}],"
		"'policies': [{'kind': 'NetworkPolicy', 'metadata': {'name': 'p', 'namespace': 'x'}}],"
		"'clusterPolicies': [{'metadata': {'name': 'cp'}}]," EXPECT
		", 'expectExternal': [{'from': 'ip:192.0.2.1', 'to': 'x/a', 'port': 1, 'protocol': 'SCTP',"
		" 'verdict': 'allow'}, {'from': 'node:n1', 'to': 'x/a', 'port': 1, 'protocol': 'UDP',"
		" 'verdict': 'allow'}]}");
	static const enum kind order[] = { KIND_NAMESPACE, KIND_NODE,   KIND_POD,
					   KIND_POD,       KIND_NETPOL, KIND_CLUSTERNETPOL };

	assert_str(c->name, "c");
	assert_int_equal(c->families, CASE_IPV4 | CASE_IPV6);
	assert_true(c->noncanonical);
	assert_str(c->sequence, "s");
	assert_int_equal(c->step, 2);
	assert_int_equal(c->npods, 2);
	assert_int_equal(c->pods[0].nports, 2);
	assert_null(c->pods[0].ports[1].name);
	assert_null(c->pods[1].node);
	assert_int_equal(c->nobjects, ARRAY_SIZE(order));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(c->objects[i].kind, order[i]);
	assert_str(c->objects[2].name, "a");
	assert_int_equal(c->nexpects, 3);
	assert_false(c->expects[0].allow);
	assert_true(c->expects[2].external);
	assert_non_null(case_node_find(c, "node:n1"));
	assert_null(case_pod_find(c, "x/c"));
}

static void pods_are_rendered_as_the_api_shows_them(void **state)
{
	_cleanup_(case_freep) struct sim_case *c = parsed("{" HEAD PODS EXPECT "}");
	_cleanup_json_ struct json_object *want = test_json(
		"{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'b', 'namespace': 'x', 'labels': {'pod': 'b'}},"
		" 'spec': {'nodeName': 'n1', 'containers': [{'name': 'main', 'ports': [{'name': 'web', 'containerPort': 80,"
		" 'protocol': 'TCP'}, {'containerPort': 53, 'protocol': 'UDP'}]}]},"
		" 'status': {'phase': 'Running', 'podIP': '10.0.0.2', 'podIPs': [{'ip': '10.0.0.2'}, {'ip': 'fd00::2'}]}}");
	struct object *object = NULL;
	struct err err = { 0 };

	assert_true(json_object_equal(c->objects[2].json, want));
	assert_ok_err(object_parse(KIND_POD, c->objects[2].json, &object, &err), &err);
	assert_int_equal(((struct pod *)object)->naddrs, 2);
	object_put(object);
}

static void bad_lines_say_where(void **state)
{
	static const struct {
		const char *text, *part;
	} lines[] = {
		{ "{}", "name is missing" },
		{ "{'name': 7}", "name is no string" },
		{ "{'name': 'c'}", "families is missing" },
		{ "{'name': 'c', 'families': []}", "families is empty" },
		{ "{'name': 'c', 'families': ['IPv5']}", "'IPv5'" },
		{ "{'name': 'c', 'families': ['IPv4']}", "namespaces is missing" },
		{ "{" HEAD "'pods': 3, " EXPECT "}", "pods is no array" },
		{ "{" HEAD "'pods': [3], " EXPECT "}", "pods[0]: is no object" },
		{ "{" HEAD "'pods': [{'ns': 'x'}], " EXPECT "}", "pods[0]: name is missing" },
		{ "{" HEAD "'pods': [{'ns': 'x', 'name': 'a', 'ipv4': 'fd00::1'}], " EXPECT "}",
		  "pods[0]: ipv4: 'fd00::1'" },
		{ "{" HEAD
		  "'pods': [{'ns': 'x', 'name': 'a', 'containerPorts': [{'port': 0, 'protocol': 'TCP'}]}], " EXPECT
		  "}",
		  "pods[0]: containerPorts[0]: port: 0" },
		{ "{" HEAD PODS "'policies': [{}], " EXPECT "}",
		  "policies[0]: metadata is missing" },
		{ "{" HEAD "'pods': [{'ns': 'x', 'name': 'a'}, {'ns': 'x', 'name': 'a'}], " EXPECT
		  "}",
		  "'x/a' is there twice" },
		{ "{" HEAD PODS "'x': 1}", "expect is missing" },
		{ "{" HEAD PODS
		  "'expect': [{'from': 'x/z', 'to': 'x/a', 'port': 1, 'protocol': 'TCP',"
		  " 'verdict': 'deny'}]}",
		  "expect[0]: from: 'x/z' is not in the case" },
		{ "{" HEAD PODS "'expect': [{'from': 'ip:10.0.0.9', 'to': 'x/a', 'port': 1,"
		  " 'protocol': 'TCP', 'verdict': 'deny'}]}",
		  "'ip:10.0.0.9' is not in the case" },
		{ "{" HEAD PODS
		  "'expect': [{'from': 'x/a', 'to': 'x/b', 'port': 1, 'protocol': 'TCP',"
		  " 'verdict': 'maybe'}]}",
		  "verdict: 'maybe'" },
		{ "{" HEAD PODS
		  "'expect': [{'from': 'x/a', 'to': 'x/b', 'port': 1, 'protocol': 'TCQ',"
		  " 'verdict': 'deny'}]}",
		  "protocol: 'TCQ'" },
		{ "{" HEAD PODS "'sequence': {'id': 's', 'step': 4, 'of': 3}, " EXPECT "}",
		  "sequence: step 4 is beyond of 3" },
	};
	struct sim_case *c = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct err err = { 0 };

		assert_err(parse(lines[i].text, &c, &err), -EBADMSG);
		assert_str_contains(err.text, lines[i].part);
		assert_null(c);
	}
	assert_err(case_parse("{\"name\"", 7, &c, NULL), -EBADMSG);
	assert_err(case_parse("{} {}", 5, &c, NULL), -EBADMSG);
	assert_err(case_parse("", 0, &c, NULL), -EBADMSG);
}

static void steps_differ_by_what_changed(void **state)
{
	_cleanup_(case_freep) struct sim_case *before =
		parsed("{" HEAD PODS "'policies': [{'metadata': {'name': 'p', 'namespace': 'x'}}, "
		       "{'metadata': {'name': 'q', 'namespace': 'x'}, 'spec': {'a': 1}}], "
		       "'sequence': {'id': 's', 'step': 1, 'of': 2}, " EXPECT "}");
	_cleanup_(case_freep) struct sim_case *after = parsed(
		"{" HEAD PODS "'policies': [{'metadata': {'name': 'q', 'namespace': 'x'},"
		" 'spec': {'a': 2}}], "
		"'nodes': [{'name': 'n'}], 'sequence': {'id': 's', 'step': 2, 'of': 2}, " EXPECT
		"}");
	_cleanup_free_ struct case_change *changes = NULL, *all = NULL;
	size_t n = 0;

	assert_true(case_follows(before, after));
	assert_false(case_follows(after, before));
	assert_false(case_follows(NULL, after));
	assert_ok(case_difference(before, after, &changes, &n));
	assert_int_equal(n, 3);
	assert_int_equal(changes[0].object->kind, KIND_NODE);
	assert_str(changes[1].object->name, "q");
	assert_false(changes[1].remove);
	assert_true(changes[2].remove);
	assert_str(changes[2].object->name, "p");
	assert_ok(case_difference(NULL, before, &all, &n));
	assert_int_equal(n, before->nobjects);
}

static void sequences_run_by_step(void **state)
{
	static const char *const want[] = { "one", "s1", "s2", "s3", "two", "line 5" };
	char folder[PATH_MAX], path[PATH_MAX + 16], title[64];
	_cleanup_(cases_closep) struct cases *cases = NULL;
	struct err err = { 0 };
	struct sim_case *c = NULL;

	test_mkdir(folder);
	test_write(
		folder, "c.jsonl",
		"{\"name\":\"one\",\"families\":[\"IPv4\"],\"namespaces\":[],\"pods\":[],\"expect\":[]}\n"
		"{\"name\":\"s2\",\"families\":[\"IPv4\"],\"namespaces\":[],\"pods\":[],\"expect\":[],"
		"\"sequence\":{\"id\":\"s\",\"step\":2,\"of\":3}}\n\n"
		"{\"name\":\"two\",\"families\":[\"IPv4\"],\"namespaces\":[],\"pods\":[],\"expect\":[]}\n"
		"{\"name\":\"sequence\n"
		"{\"name\":\"s1\",\"families\":[\"IPv4\"],\"namespaces\":[],\"pods\":[],\"expect\":[],"
		"\"sequence\":{\"id\":\"s\",\"step\":1,\"of\":3}}\n"
		"{\"name\":\"s3\",\"families\":[\"IPv4\"],\"namespaces\":[],\"pods\":[],\"expect\":[],"
		"\"sequence\":{\"id\":\"s\",\"step\":3,\"of\":3}}");
	snprintf(path, sizeof(path), "%s/c.jsonl", folder);
	assert_ok_err(cases_open(path, &cases, &err), &err);
	assert_int_equal(cases_count(cases), ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_str(case_title(cases, i, title, sizeof(title)), want[i]);
	assert_err(case_read(cases, 5, &c, &err), -EBADMSG);
	assert_str_starts(err.text, "line 5: ");
	assert_err(cases_open("/nonexistent", &cases, &err), -ENOENT);
	test_rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_read_whole),
		cmocka_unit_test(pods_are_rendered_as_the_api_shows_them),
		cmocka_unit_test(bad_lines_say_where),
		cmocka_unit_test(steps_differ_by_what_changed),
		cmocka_unit_test(sequences_run_by_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
