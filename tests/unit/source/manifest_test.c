// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include <sys/stat.h>

#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/source/manifest.h"

static char dir[PATH_MAX];
static char seen[4096], problems[8192];

static int keep(void *arg, struct object *object)
{
	char title[512];
	size_t len = strlen(seen);

	snprintf(seen + len, sizeof(seen) - len, "%s%s %s", len ? ", " : "",
		 object_kind(object->kind)->name, object_title(object, title, sizeof(title)));
	object_put(object);
	return 0;
}

static void on_problem(void *arg, const char *where, const char *text)
{
	size_t len = strlen(problems);

	if (!strncmp(where, dir, strlen(dir)))
		where += strlen(dir) + 1;
	snprintf(problems + len, sizeof(problems) - len, "%s%s: %s", len ? "\n" : "", where, text);
}

static const struct source_events events = { .problem = on_problem };

static void read_path(const char *name, struct err *err, int want)
{
	char path[PATH_MAX + 64];

	seen[0] = problems[0] = '\0';
	snprintf(path, sizeof(path), "%s%s%s", dir, *name ? "/" : "", name);
	assert_err(manifest_read(path, &events, keep, NULL, err), want);
}

static void check(const char *name, const char *text, const char *want)
{
	struct err err = { 0 };

	test_write(dir, name, text);
	read_path(name, &err, 0);
	assert_str(seen, want);
}

static void documents_and_lists_of_both_kinds(void **state)
{
	check("a.yaml",
	      "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n---\n# empty\n---\n"
	      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n"
	      "- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n"
	      "- apiVersion: v1\n  kind: PodList\n  items: [{metadata: {name: q, namespace: shop}}]\n",
	      "Namespace shop, Pod default/p, Pod shop/q");
	assert_str(problems, "");
	check("b.json",
	      "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicyList\",\"items\":["
	      "{\"metadata\":{\"name\":\"a\"},\"spec\":{}},{\"metadata\":{\"name\":\"b\"}}]}",
	      "NetworkPolicy default/a, NetworkPolicy default/b");
	check("none.json", "{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":null}", "");
	check("old.yaml",
	      "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\n"
	      "metadata: {name: x}\n",
	      "");
	assert_str(problems, "");
}

static void problems_name_file_object_and_field(void **state)
{
	check("p.yaml",
	      "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: 1}}\n---\n"
	      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: n, namespace: shop}\n"
	      "spec: {ingress: [{ports: [{port: 0}]}]}\n---\n[]\n---\nkind: Pod\n---\n{apiVersion: v1}\n",
	      "NetworkPolicy shop/n");
	assert_str(
		problems,
		"p.yaml: Pod default/p: metadata.labels: the value of \"a\" is an integer, not a string\n"
		"p.yaml: NetworkPolicy shop/n: spec.ingress[0].ports[0].port: 0 is not in 1..65535\n"
		"p.yaml:10: is not an object with apiVersion and kind\n"
		"p.yaml:12: apiVersion: is missing\n"
		"p.yaml:14: kind: is missing");
	check("p.json", "{}\n[]\n\n{\"kind\":\"Pod\"}\n", "");
	assert_str(problems, "p.json:1: kind: is missing\n"
			     "p.json:2: is not an object with apiVersion and kind\n"
			     "p.json:4: apiVersion: is missing");
}

static void a_broken_file_gives_nothing(void **state)
{
	struct err err = { 0 };

	test_write(dir, "x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n---\na: [\n");
	read_path("x.yaml", &err, -EBADMSG);
	assert_str(seen, "");
	assert_str_contains(err.text, "x.yaml: line 6: ");
	test_write(dir, "x.json",
		   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"}}\n{}\n\n[}\n");
	read_path("x.json", &err, -EBADMSG);
	assert_str(seen, "");
	assert_str(problems, "");
	assert_str_contains(err.text, "x.json: line 4: ");
	unlink("x.json");
	read_path("none.yaml", &err, -ENOENT);
	assert_str_contains(err.text, "none.yaml: No such file");
	unlink("x.yaml");
}

static void folders_are_read_in_the_order_of_paths(void **state)
{
	char sub[PATH_MAX + 8];
	struct err err = { 0 };

	snprintf(sub, sizeof(sub), "%s/m", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	test_write(dir, "z.yml", "{apiVersion: v1, kind: Pod, metadata: {name: z}}");
	test_write(sub, "y.json",
		   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"y\"}}");
	test_write(dir, "b.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: b}}");
	test_write(dir, ".hidden.yaml", "nonsense: [");
	test_write(dir, "README", "nonsense: [");
	read_path("", &err, 0);
	assert_str(seen, "Pod default/b, Pod default/y, Pod default/z");
}

static int keep_document(void *arg, const struct manifest_document *document)
{
	size_t len = strlen(seen);

	snprintf(seen + len, sizeof(seen) - len, "%s:%zu %s %s %d; ", document->path, document->line,
		 document->api_version, document->kind, json_object_object_length(document->json));
	return 0;
}

static void documents_of_any_kind_are_told_before_their_objects(void **state)
{
	static const char text[] = "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\n---\n"
				   "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: q}}]\n";
	const struct manifest_sink sink = { .object = keep, .document = keep_document };
	struct err err = { 0 };

	seen[0] = '\0';
	assert_ok_err(manifest_parse("f", text, sizeof(text) - 1, &sink, &err), &err);
	assert_str(seen, "f:1 apps/v1 Deployment 3; f:5 v1 Pod 1; , Pod default/q");
	seen[0] = '\0';
	assert_err(manifest_parse("f", "kind: A\napiVersion: v1\n---\n{", 28, &sink, &err), -EBADMSG);
	assert_str(seen, "");
}

static int count(void *arg, struct object *object)
{
	(*(int *)arg)++;
	object_put(object);
	return 0;
}

static void recorded_inputs_parse(void **state)
{
	char path[PATH_MAX];
	struct err err = { 0 };
	int n = 0;

	problems[0] = '\0';
	assert_ok_err(manifest_read(test_shared(path, "fixtures/apiserver/input"), &events, count,
				    &n, &err),
		      &err);
	assert_int_equal(n, 3 + 3 + 9 + 6 + 6 + 2 + 2);
	assert_str_contains(
		problems,
		"ClusterNetworkPolicy tenants-isolated: spec.egress[2].to[0].domainNames");
	n = 0;
	assert_ok_err(
		manifest_read(test_shared(path, "fixtures/apiserver/list"), NULL, count, &n, &err),
		&err);
	assert_true(n > 60);
}

static int setup(void **state)
{
	test_mkdir(dir);
	return 0;
}

static int teardown(void **state)
{
	size_t strings, bytes;

	test_rmdir(dir);
	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(documents_and_lists_of_both_kinds),
		TEST(documents_of_any_kind_are_told_before_their_objects),
		TEST(problems_name_file_object_and_field),
		TEST(a_broken_file_gives_nothing),
		TEST(folders_are_read_in_the_order_of_paths),
		TEST(recorded_inputs_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
