// SPDX-License-Identifier: Apache-2.0
// report_test.c - `bulkhead report`: what it tells of a small shop, its exit statuses, and the page by a real parser.
#include "tests/harness/test.h"

#include "agent/cli/cli.h"
#include "tests/harness/bulkhead.h"

static char folder[PATH_MAX];

#define NS(name) "---\nkind: Namespace\napiVersion: v1\nmetadata: {name: " name "}\n"
#define APP(ns, name)                                                                              \
	"---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {namespace: " ns ", name: " name "}\n" \
	"spec: {template: {metadata: {labels: {app: " name "}}, spec: {}}}\n"
#define POLICY(ns, name, spec)                                                                     \
	"---\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {namespace: " ns ", name: " name \
	"}\nspec: {" spec "}\n"
#define DENY(ns) POLICY(ns, "deny", "podSelector: {}, policyTypes: [Ingress, Egress]")
#define SHOP                                                                                       \
	NS("shop") NS("bank") APP("shop", "web") APP("shop", "db") APP("bank", "till") DENY("shop")     \
	POLICY("shop", "web", "podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], "       \
	       "ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}], "                     \
	       "egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]")             \
	POLICY("shop", "db", "podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: " \
	       "{app: web}}}], ports: [{port: 5432}]}]")

static void many_namespaces(void)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (int i = 0; i < 100; i++)
		fprintf(out, NS("n%02d") APP("n%02d", "app"), i, i);
	fclose(out);
	test_write(folder, "many.yaml", text);
}

static int make_files(void **state)
{
	test_mkdir(folder);
	test_write(folder, "shop.yaml", SHOP);
	test_write(folder, "tight.yaml", SHOP DENY("bank"));
	test_write(folder, "hostile.yaml",
		   SHOP POLICY("shop", "odd", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "
			       "'<script>alert(1)</script>'}}]}]")
		   "---\nkind: Pod\napiVersion: v1\nmetadata: {namespace: shop, name: p, ownerReferences: "
		   "[{controller: true, kind: '</td></table><img src=x onerror=alert(1)>', name: \"'\\\"&amp;\\u2028<b\\x07\"}]}\n"
		   "spec: {}\nstatus: {podIPs: [{ip: 10.0.0.1}]}\n");
	test_write(folder, "broken.yaml", "{ [\n");
	many_namespaces();
	return 0;
}

static int remove_files(void **state)
{
	test_rmdir(folder);
	return 0;
}

static void expect(const char *line, int status, const char *out, const char *err)
{
	_cleanup_result_ struct result result = bulkhead_run(line, folder);

	if (result.status != status)
		fail_msg("%s: %d: %s%s", line, result.status, result.out, result.err);
	assert_str_contains(result.out, out);
	assert_str_contains(result.err, err);
}

static void severities_make_the_exit_status(void **state)
{
	expect("bulkhead report @shop.yaml", 1, "Namespace bank\n", "");
	expect("bulkhead report -i bank @shop.yaml", 0, "deny by default (deny, web)", "");
	expect("bulkhead report @tight.yaml", 0, "pass ", "");
	expect("bulkhead report --fail-on info --manifests @tight.yaml", 0, "0.0.0.0/0: TCP 443\n", "");
	expect("bulkhead report --fail-on never @shop.yaml", 0, "fail ", "");
	expect("bulkhead report @tight.yaml @broken.yaml", 1, "not enforced as written: ", "");
	expect("bulkhead report --socket @nobody", 3, "", "no agent listens");
	expect("bulkhead report @tight.yaml", 0, "Scope: what the manifests say that were given\n  - what they leave out is not known\n", "");
	expect("bulkhead report @nowhere", 2, "", "/nowhere': No such file");
}

static struct json_object *report_of(const char *line)
{
	_cleanup_result_ struct result result = bulkhead_run(line, folder);
	struct json_object *json = json_tokener_parse(result.out);

	assert_non_null(json);
	return json;
}

static struct json_object *named(struct json_object *json, const char *list, const char *field,
				 const char *name)
{
	for (size_t i = 0; i < json_length(json, list); i++)
		if (!strcmp(json_text(json_item(json, list, i), field), name))
			return json_item(json, list, i);
	return NULL;
}

static void exposure_is_told_per_workload(void **state)
{
	_cleanup_json_ struct json_object *report = report_of("bulkhead report -o json @shop.yaml");
	struct json_object *shop = named(report, "namespaces", "name", "shop");
	struct json_object *web = named(shop, "workloads", "name", "web");
	struct json_object *db = named(shop, "workloads", "name", "db");
	struct json_object *till =
		named(named(report, "namespaces", "name", "bank"), "workloads", "name", "till");

	assert_str(json_text(web, "kind"), "Deployment");
	assert_true(json_true(web, "ingress.isolated"));
	assert_false(json_true(till, "ingress.isolated"));
	assert_str(json_text(json_item(web, "ingress.blocks", 0), "block"), "0.0.0.0/0");
	assert_str(json_text(json_item(web, "ingress.blocks", 0), "ports"), "TCP 443");
	// The template pods have addresses of that block, as pods have.
	assert_str(json_text(named(web, "ingress.namespaces", "name", "bank"), "ports"), "TCP 443");
	assert_str(json_text(named(web, "egress.namespaces", "name", "shop"), "ports"), "TCP 5432");
	assert_str(json_text(json_item(db, "ingress.namespaces", 0), "ports"), "TCP 5432");
	assert_int_equal(json_length(db, "ingress.namespaces"), 1);
	assert_int_equal(json_length(db, "ingress.blocks"), 0);
	assert_int_equal(json_length(db, "egress.namespaces"), 0);
	assert_null(named(till, "ingress.namespaces", "name", "shop"));
	assert_str(json_text(json_item(till, "egress.blocks", 0), "ports"), "everything");
}

static const char *status(struct json_object *report, const char *id)
{
	return json_text(named(report, "controls", "id", id), "status");
}

static void controls_follow_the_exposure(void **state)
{
	_cleanup_json_ struct json_object *open = report_of("bulkhead report -o json @shop.yaml");
	_cleanup_json_ struct json_object *tight = report_of("bulkhead report -o json @tight.yaml");
	static const struct {
		const char *id, *open, *tight;
	} want[] = {
		{ "5.3.2", "fail", "pass" },
		{ "default deny, ingress", "fail", "pass" },
		{ "default deny, egress", "fail", "pass" },
		{ "separation", "pass", "pass" },
		{ "1.2.5", "fail", "pass" },
		{ "1.2.6", "fail", "pass" },
		{ "1.3.1", "fail", "pass" },
		{ "1.3.2", "fail", "pass" },
		{ "1.4.1", "fail", "pass" },
		{ "1.4.2", "review", "review" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		if (strcmp(status(open, want[i].id), want[i].open) || strcmp(status(tight, want[i].id), want[i].tight))
			fail_msg("%s: %s and %s", want[i].id, status(open, want[i].id), status(tight, want[i].id));
	}
	assert_str(json_text(json_item(named(tight, "controls", "id", "1.4.2"), "objects", 0), ""),
		   "Deployment shop/web");
	assert_int_equal(json_length(named(tight, "controls", "id", "1.4.2"), "objects"), 1);
}

// The page as a parser reads it: what it says of elements, arrows and boxes.
static void parse_page(const char *line, const char *want)
{
	_cleanup_result_ struct result result = bulkhead_run(line, folder);
	char path[PATH_MAX + 64], command[2 * PATH_MAX], said[4096] = "";
	FILE *parser;

	test_write(folder, "page.html", result.out);
	snprintf(path, sizeof(path), "%s/page.html", folder);
	snprintf(command, sizeof(command), "tests/harness/page.py <'%s'", path);
	parser = popen(command, "re");
	assert_non_null(parser);
	assert_true(fread(said, 1, sizeof(said) - 1, parser) > 0);
	if (pclose(parser))
		fail_msg("%s: %s", line, said);
	assert_str_contains(said, want);
}

static void pages_need_nothing_and_obey_nobody(void **state)
{
	_cleanup_result_ struct result result = bulkhead_run("bulkhead report -o html @hostile.yaml", folder);

	assert_str_lacks(result.out, "<script");
	assert_str_lacks(result.out, "<img");
	assert_str_lacks(result.out, "http");
	assert_str_contains(result.out, "&lt;script&gt;");
	parse_page("bulkhead report -o html @hostile.yaml", "boxes 3");
	parse_page("bulkhead report -o html @shop.yaml", "arrows 4, boxes 3");
	parse_page("bulkhead report -o html @tight.yaml", "arrows 1, boxes 3");
}

// Open to each other and to the outside, both ways.
static void a_hundred_namespaces_are_drawn(void **state)
{
	parse_page("bulkhead report -o html @many.yaml", "arrows 10100, boxes 101");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_files, remove_files)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(severities_make_the_exit_status),
		TEST(exposure_is_told_per_workload),
		TEST(controls_follow_the_exposure),
		TEST(pages_need_nothing_and_obey_nobody),
		TEST(a_hundred_namespaces_are_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
