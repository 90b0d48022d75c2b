// SPDX-License-Identifier: Apache-2.0
// simulate_test.c - `bulkhead simulate` as checks from outside call it.
#include "tests/harness/test.h"

#include "agent/cli/cli.h"
#include "tests/harness/bulkhead.h"

static char folder[PATH_MAX];

static struct result run(const char *line)
{
	return bulkhead_run(line, folder);
}

#define POD(ns, name, node, ip4, ip6)                                                              \
	"---\nkind: Pod\napiVersion: v1\nmetadata: {namespace: " ns ", name: " name                \
	", labels: {pod: " name "}}\nspec: {nodeName: " node                                       \
	"}\nstatus: {phase: Running, podIPs: [{ip: " ip4 "}, {ip: '" ip6 "'}]}\n"
#define CASE(name, verdict)                                                                              \
	"{\"name\":\"" name                                                                              \
	"\",\"families\":[\"IPv4\"],\"namespaces\":[{\"name\":\"x\"}],\"pods\":["                        \
	"{\"ns\":\"x\",\"name\":\"a\",\"ipv4\":\"10.0.0.1\"},{\"ns\":\"x\",\"name\":\"b\",\"ipv4\":"     \
	"\"10.0.0.2\"}],\"expect\":[{\"from\":\"x/a\",\"to\":\"x/b\",\"port\":80,\"protocol\":\"SCTP\"," \
	"\"verdict\":\"" verdict "\"}]}\n"

static int make_files(void **state)
{
	test_mkdir(folder);
	test_write(folder, "cluster.yaml",
		   "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n"
		   "---\nkind: Node\napiVersion: v1\nmetadata: {name: n1}\n"
		   "status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}\n" POD(
			   "shop", "web", "n1", "10.0.0.1", "fd00::1")
			   POD("shop", "db", "n2", "10.0.0.2", "fd00::2"));
	test_write(
		folder, "policy.json",
		"{\"kind\":\"NetworkPolicy\",\"apiVersion\":\"networking.k8s.io/v1\",\"metadata\":"
		"{\"namespace\":\"shop\",\"name\":\"db\"},\"spec\":{\"podSelector\":{\"matchLabels\":"
		"{\"pod\":\"db\"}},\"ingress\":[{\"ports\":[{\"port\":5432}]}]}}");
	test_write(folder, "pass.jsonl", CASE("good", "allow"));
	test_write(folder, "fail.jsonl", CASE("good", "allow") CASE("bad", "deny"));
	test_write(folder, "broken.jsonl", "{}\n" CASE("good", "allow"));
	test_write(folder, "broken.yaml", "{ [ no yaml\n");
	return 0;
}

static int remove_files(void **state)
{
	test_rmdir(folder);
	return 0;
}

static const char *at(struct json_object *json, const char *side, const char *field)
{
	return json_object_get_string(
		json_object_object_get(json_object_object_get(json, side), field));
}

static void json_has_both_sides(void **state)
{
	_cleanup_result_ struct result result =
		run("bulkhead simulate --manifests @cluster.yaml @policy.json --from shop/web --to "
		    "shop/db --port 80 --protocol TCP -o json");
	_cleanup_json_ struct json_object *json = json_tokener_parse(result.out);

	assert_int_equal(result.status, CLI_OK);
	assert_str(json_object_get_string(json_object_object_get(json, "verdict")), "deny");
	assert_str(at(json, "egress", "verdict"), "allow");
	assert_str(at(json, "ingress", "verdict"), "deny");
	assert_str(at(json, "ingress", "policy"), "shop/db");
	assert_str(at(json, "ingress", "reason"), "policy-denied");
	assert_non_null(json_object_object_get(json_object_object_get(json, "ingress"), "rule"));
	assert_str(result.err, "");
}

static void expect_verdict(const char *line, const char *part)
{
	_cleanup_result_ struct result result = run(line);

	if (result.status != CLI_OK)
		fail_msg("%s: %d: %s", line, result.status, result.err);
	assert_str_contains(result.out, part);
}

#define ASK "bulkhead simulate --manifests @cluster.yaml --manifests @policy.json "

static void people_read_a_line_per_side(void **state)
{
	expect_verdict(ASK "--from shop/web --to shop/db --port 5432",
		       "shop/web -> shop/db 5432/TCP: allow");
	expect_verdict(ASK "--from shop/web --to shop/db --port 5432",
		       "NetworkPolicy shop/db rule 0");
	expect_verdict(ASK "--from 192.0.2.1 --to shop/db --port 1", "default deny (shop/db)");
	expect_verdict(ASK "--from 10.0.0.1 --to 10.0.0.2 --port 1", "deny");
	expect_verdict(ASK "--from fd00::1 --to shop/db --port 5432", "allow");
	expect_verdict(ASK "--from node:n1 --to shop/web --port 1", "no pod: nothing to judge");
	expect_verdict(ASK "--from shop/web --to shop/web --port 1", "never leaves it");
	expect_verdict(
		"bulkhead simulate @cluster.yaml --from shop/web --to shop/db --protocol ICMP",
		"allow");
}

static void expect_error(const char *line, const char *part)
{
	_cleanup_result_ struct result result = run(line);

	assert_int_equal(result.status, CLI_USAGE);
	assert_str(result.out, "");
	assert_str_contains(result.err, part);
}

static void bad_questions_exit_with_2(void **state)
{
	expect_error("bulkhead simulate", "--manifests PATH or --cases FILE is missing");
	expect_error("bulkhead simulate --cases @pass.jsonl --manifests @cluster.yaml", "exclude");
	expect_error(ASK "--from shop/web --to shop/zz --port 1",
		     "--to: there is no pod 'shop/zz'");
	expect_error(ASK "--from nowhere --to shop/db --port 1", "--from: 'nowhere' is neither");
	expect_error(ASK "--from shop/web --to 192.0.2.1 --port 1 --family 6", "no IPv6 address");
	expect_error("bulkhead simulate -m @broken.yaml -f shop/web -t shop/db -p 1",
		     "broken.yaml");
	expect_error("bulkhead simulate -m @gone -f shop/web -t shop/db -p 1", "No such file");
	expect_error("bulkhead simulate --cases @gone", "No such file");
}

static void folders_warn_of_what_is_not_used(void **state)
{
	_cleanup_result_ struct result result =
		run("bulkhead simulate -m @ -f shop/web -t shop/db -p 80 -o json");

	assert_int_equal(result.status, CLI_OK);
	assert_str_contains(result.err, "broken.yaml");
	assert_str_contains(result.out, "\"verdict\": \"deny\"");
}

static void cases_end_with_their_sum(void **state)
{
	_cleanup_result_ struct result good = run("bulkhead simulate --cases @pass.jsonl");
	_cleanup_result_ struct result bad =
		run("bulkhead simulate --cases @pass.jsonl --cases @fail.jsonl");
	_cleanup_result_ struct result broken = run("bulkhead simulate --cases @broken.jsonl");
	_cleanup_result_ struct result json = run("bulkhead simulate -c @fail.jsonl -o json");
	_cleanup_result_ struct result some = run("bulkhead simulate -c @fail.jsonl --filter good");

	assert_int_equal(good.status, CLI_OK);
	assert_str_contains(good.out, "\n1 passed, 0 failed\n");
	assert_int_equal(bad.status, CLI_NEGATIVE);
	assert_str_starts(bad.out, "case bad: x/a -> x/b 80/SCTP want deny got allow\n");
	assert_str_contains(bad.out, "\n2 passed, 1 failed\n");
	assert_int_equal(broken.status, CLI_NEGATIVE);
	assert_str_contains(broken.err, "case line 1: ");
	assert_str_contains(broken.out, "\n1 passed, 1 failed\n");
	assert_int_equal(json.status, CLI_NEGATIVE);
	assert_str_contains(json.out, "\"want\": \"deny\"");
	assert_int_equal(some.status, CLI_OK);
}

static void shared_cases_pass(void **state)
{
	static const char *const files[] = { "cases/netpol-sample.jsonl",
					     "cases/cnp-sample.jsonl" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char line[PATH_MAX + 64], path[PATH_MAX];
		_cleanup_result_ struct result result = { 0 };

		snprintf(line, sizeof(line), "bulkhead simulate --cases %s",
			 test_shared(path, files[i]));
		result = run(line);
		assert_str_contains(result.out, "passed, 0 failed\n");
		assert_int_equal(result.status, CLI_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_both_sides),
		cmocka_unit_test(people_read_a_line_per_side),
		cmocka_unit_test(bad_questions_exit_with_2),
		cmocka_unit_test(folders_warn_of_what_is_not_used),
		cmocka_unit_test(cases_end_with_their_sum),
		cmocka_unit_test(shared_cases_pass),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
