// SPDX-License-Identifier: Apache-2.0
// lint_test.c - `bulkhead lint` as a pipeline calls it: exit statuses, formats, standard input.
#include "tests/harness/test.h"

#include <ctype.h>
#include <fcntl.h>

#include "agent/cli/cli.h"
#include "tests/harness/bulkhead.h"

static char folder[PATH_MAX];

#define POLICY(name, spec)                                                                         \
	"---\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {namespace: shop, name: " name \
	"}\nspec: {" spec "}\n"
#define WEB                                                                                        \
	"---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {namespace: shop, name: web}\n"     \
	"spec: {template: {metadata: {labels: {app: web}}, spec: {}}}\n"

static int make_files(void **state)
{
	test_mkdir(folder);
	test_write(folder, "clean.yaml", WEB POLICY("p", "podSelector: {matchLabels: {app: web}}"));
	test_write(folder, "note.yaml", POLICY("p", "podSelector: {}"));
	test_write(folder, "warn.yaml", WEB POLICY("p", "podSelector: {}, ingress: [{}]"));
	test_write(folder, "error.yaml", WEB POLICY("p", "podSelector: {}, ingress: [7]"));
	test_write(folder, "broken.yaml", "{ [ no yaml\n");
	test_write(folder, "odd%.yaml", POLICY("q", "podSelector: {}, ingress: [7]"));
	test_write(folder, "a:b\xff?#[é].yaml", POLICY("q", "podSelector: {}, ingress: [7]"));
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
	expect("bulkhead lint @clean.yaml", 0, "0 errors, 0 warnings, 0 notes\n", "");
	expect("bulkhead lint @note.yaml", 0, "info BH103 no-pods-given: NetworkPolicy shop/p: ", "");
	expect("bulkhead lint --fail-on info @note.yaml", 1, "BH103", "");
	expect("bulkhead lint --fail-on warning @note.yaml", 0, "BH103", "");
	expect("bulkhead lint @warn.yaml", 0, "warning BH201 allows-everything", "");
	expect("bulkhead lint --fail-on warning @warn.yaml", 1, "spec.ingress[0]: ", "");
	expect("bulkhead lint @error.yaml", 1, "error BH101 invalid-object", "");
	expect("bulkhead lint --fail-on never @error.yaml", 0, "1 errors", "");
	expect("bulkhead lint @broken.yaml", 1, "/broken.yaml:1: error BH101", "");
	expect("bulkhead lint @warn.yaml @clean.yaml", 0, "written-twice", "");
}

static void codes_are_left_out(void **state)
{
	expect("bulkhead lint --fail-on info -d BH103 @note.yaml", 0, "0 notes", "");
	expect("bulkhead lint --fail-on info --disable no-pods-given @note.yaml", 0, "0 notes", "");
	expect("bulkhead lint -d BH999 @note.yaml", 2, "", "there is no code 'BH999'");
}

static void wrong_usage_exits_with_2(void **state)
{
	expect("bulkhead lint", 2, "", "lint --help");
	expect("bulkhead lint @nowhere", 2, "", "/nowhere': No such file");
	expect("bulkhead lint --fail-on often @note.yaml", 2, "", "--fail-on");
	expect("bulkhead lint -o xml @note.yaml", 2, "", "output");
}

static struct json_object *json_of(const char *line)
{
	_cleanup_result_ struct result result = bulkhead_run(line, folder);
	struct json_object *json = json_tokener_parse(result.out);

	assert_non_null(json);
	return json;
}

static void json_names_object_field_and_place(void **state)
{
	_cleanup_json_ struct json_object *json = json_of("bulkhead lint -o json @warn.yaml");
	struct json_object *finding = json_item(json, "findings", 0);

	assert_int_equal(json_number(json, "warnings"), 1);
	assert_str(json_text(finding, "code"), "BH201");
	assert_str(json_text(finding, "severity"), "warning");
	assert_str(json_text(finding, "object.kind"), "NetworkPolicy");
	assert_str(json_text(finding, "object.namespace"), "shop");
	assert_str(json_text(finding, "object.name"), "p");
	assert_str(json_text(finding, "field"), "spec.ingress[0]");
	assert_int_equal(json_number(finding, "line"), 7);
}

static void sarif_results_point_to_rules_and_lines(void **state)
{
	_cleanup_json_ struct json_object *json = json_of("bulkhead lint -o sarif @warn.yaml @odd%.yaml");
	struct json_object *run, *result, *rule;

	run = json_item(json, "runs", 0);
	result = json_item(run, "results", 0);
	assert_str_contains(json_text(json_item(result, "locations", 0), "physicalLocation.artifactLocation.uri"), "odd%25.yaml");
	result = json_item(run, "results", 1);
	rule = json_item(run, "tool.driver.rules", (size_t)json_number(result, "ruleIndex"));
	assert_str(json_text(json, "version"), "2.1.0");
	assert_str(json_text(result, "ruleId"), "BH201");
	assert_str(json_text(rule, "id"), "BH201");
	assert_str(json_text(result, "level"), "warning");
	assert_int_equal(json_number(json_item(result, "locations", 0), "physicalLocation.region.startLine"), 7);
}

// ---- SARIF 2.1.0 by its specification (section 3) --------------------------------------------------

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(*words, text))
			return true;
	return false;
}

// A relative or absolute reference (RFC 3986) without a scheme: nothing in it that would have to be escaped.
static void check_uri(const char *uri)
{
	size_t first = strcspn(uri, "/");

	assert_true(*uri);
	assert_null(memchr(uri, ':', first));
	for (const char *c = uri; *c; c++) {
		bool escaped = *c == '%' && isxdigit((unsigned char)c[1]) && isxdigit((unsigned char)c[2]);

		if (!escaped && !isalnum((unsigned char)*c) && !strchr("-._~/!$&'()*+,;=:@", *c))
			fail_msg("'%s' is no reference: '%c'", uri, *c);
	}
}

static void check_rules(struct json_object *run)
{
	static const char *const levels[] = { "none", "note", "warning", "error", NULL };
	size_t n = json_length(run, "tool.driver.rules");

	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		struct json_object *rule = json_item(run, "tool.driver.rules", i);

		assert_str_lacks(json_text(rule, "id"), "-"); // "-": there is none
		assert_true(is_one_of(json_text(rule, "defaultConfiguration.level"), levels));
		assert_true(strlen(json_text(rule, "shortDescription.text")) > 1);
		assert_true(strlen(json_text(rule, "help.text")) > 1);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(json_text(rule, "id"),
						json_text(json_item(run, "tool.driver.rules", k), "id"));
	}
}

static void check_result(struct json_object *run, struct json_object *result)
{
	static const char *const levels[] = { "none", "note", "warning", "error", NULL };
	struct json_object *index = json_at(result, "ruleIndex"), *place;

	assert_true(json_object_is_type(index, json_type_int));
	assert_true(json_object_get_int64(index) >= 0);
	assert_true((size_t)json_object_get_int64(index) < json_length(run, "tool.driver.rules"));
	assert_str(json_text(result, "ruleId"),
		   json_text(json_item(run, "tool.driver.rules", (size_t)json_object_get_int64(index)), "id"));
	assert_true(is_one_of(json_text(result, "level"), levels));
	assert_true(strlen(json_text(result, "message.text")) > 1);
	assert_int_equal(json_length(result, "locations"), 1);
	place = json_item(result, "locations", 0);
	check_uri(json_text(place, "physicalLocation.artifactLocation.uri"));
	assert_true(json_number(place, "physicalLocation.region.startLine") >= 1);
}

static void check_sarif(const char *line, size_t least)
{
	_cleanup_json_ struct json_object *json = json_of(line);
	struct json_object *run = json_item(json, "runs", 0);

	assert_str(json_text(json, "version"), "2.1.0");
	assert_str_contains(json_text(json, "$schema"), "sarif-2.1.0.json");
	assert_int_equal(json_length(json, "runs"), 1);
	assert_str(json_text(run, "tool.driver.name"), "bulkhead lint");
	assert_true(json_object_is_type(json_at(run, "results"), json_type_array));
	assert_true(json_length(run, "results") >= least);
	check_rules(run);
	for (size_t i = 0; i < json_length(run, "results"); i++)
		check_result(run, json_item(run, "results", i));
}

static void sarif_has_what_its_specification_requires(void **state)
{
	check_sarif("bulkhead lint -o sarif @clean.yaml", 0);
	check_sarif("bulkhead lint -o sarif @note.yaml", 1);
	check_sarif("bulkhead lint -o sarif @broken.yaml", 1); // of a file without an object
	check_sarif("bulkhead lint -o sarif @warn.yaml @error.yaml @odd%.yaml @clean.yaml", 4);
	check_sarif("bulkhead lint -o sarif @a:b\xff?#[é].yaml", 1);
}

// A path of standard input, which is put back.
static void standard_input_is_a_file(void **state)
{
	char path[PATH_MAX + 64];
	int saved = dup(STDIN_FILENO), fd;

	snprintf(path, sizeof(path), "%s/warn.yaml", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_ok(fd);
	assert_ok(dup2(fd, STDIN_FILENO));
	expect("bulkhead lint --fail-on warning -", 1, "-:7: warning BH201", "");
	assert_ok(dup2(saved, STDIN_FILENO));
	close(saved);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_files, remove_files)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(severities_make_the_exit_status),
		TEST(codes_are_left_out),
		TEST(wrong_usage_exits_with_2),
		TEST(json_names_object_field_and_place),
		TEST(sarif_results_point_to_rules_and_lines),
		TEST(sarif_has_what_its_specification_requires),
		TEST(standard_input_is_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
