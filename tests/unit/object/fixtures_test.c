// SPDX-License-Identifier: Apache-2.0
// fixtures_test.c - what a real API server sent: its lists, its watches, and its verdicts on bad policies.
#include "tests/unit/object/parse.h"

#include <bulkhead/abi.h>
#include <dirent.h>

#include "agent/base/intern.h"
#include "agent/base/vec.h"
#include "agent/object/at.h"

#define FIXTURES "fixtures/apiserver/"

static const char *text_of(struct json_object *json, const char *field)
{
	struct at root = at_root(json);
	struct at at = at_field(&root, field);
	const char *text = NULL;

	at_string(&at, &text, NULL);
	return text;
}

// Parses one object that the server holds: nothing can be wrong with it but domain names.
static void check_stored(enum kind kind, struct json_object *json)
{
	struct object *object = NULL;
	struct err err = { 0 };

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	if (object->problem)
		assert_str_contains(object->problem, "domain names are not supported");
	object_put(object);
}

static size_t check_list(const char *path, struct json_object *list)
{
	const char *kind_text = text_of(list, "kind");
	struct at root = at_root(list);
	struct at items = at_field(&root, "items");
	uint32_t n = 0;
	char name[64];
	enum kind kind;

	if (!items.json) { // one object
		kind = object_kind_find(text_of(list, "apiVersion"), kind_text);
		if (kind == KIND_MAX)
			return 0;
		check_stored(kind, list);
		return 1;
	}
	snprintf(name, sizeof(name), "%.*s", (int)strlen(kind_text) - 4, kind_text);
	kind = object_kind_find(text_of(list, "apiVersion"), name);
	if (kind == KIND_MAX)
		return 0;
	assert_true(at_list(&items, UINT32_MAX, &n, NULL) >= 0);
	for (uint32_t i = 0; i < n; i++)
		check_stored(kind, at_item(&items, i).json);
	return n;
}

static struct json_object *read_json(const char *path)
{
	_cleanup_free_ char *text = test_read(path, NULL);
	struct json_object *json = json_tokener_parse(text);

	if (!json)
		fail_msg("%s is no JSON", path);
	return json;
}

typedef size_t (*check_fn)(const char *path, const char *name);

// Calls check for each file of the folder with this ending; returns the sum.
static size_t each_file(const char *folder, const char *end, check_fn check)
{
	char dir[PATH_MAX], path[PATH_MAX + 260];
	struct dirent **names;
	size_t sum = 0;
	int n;

	n = scandir(test_shared(dir, folder), &names, NULL, alphasort);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		const char *dot = strrchr(names[i]->d_name, '.');

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (dot && !strcmp(dot, end))
			sum += check(path, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return sum;
}

static size_t check_list_file(const char *path, const char *name)
{
	_cleanup_json_ struct json_object *list = read_json(path);

	return check_list(path, list);
}

static void lists_parse(void **state)
{
	assert_true(each_file(FIXTURES "list", ".json", check_list_file) > 60);
	assert_true(each_file(FIXTURES "policyapi", ".json", check_list_file) >= 2);
}

static size_t check_watch_file(const char *path, const char *name)
{
	_cleanup_free_ char *text = test_read(path, NULL);
	char *state = NULL;
	size_t n = 0;

	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		_cleanup_json_ struct json_object *event = json_tokener_parse(line);
		struct at root = at_root(event);
		struct at object = at_field(&root, "object");

		if (!strcmp(text_of(event, "type"), "BOOKMARK"))
			continue;
		n += check_list(path, object.json);
	}
	return n;
}

static void watches_parse(void **state)
{
	assert_true(each_file(FIXTURES "watch", ".jsonl", check_watch_file) > 30);
	assert_true(each_file(FIXTURES "watchlist", ".jsonl", check_watch_file) > 20);
	assert_true(each_file(FIXTURES "policyapi", ".jsonl", check_watch_file) > 0);
}

// What was sent, for the verdicts below; the recording holds the answers only.
static const struct bad_policy {
	const char *name, *spec;
} bad_policies[] = {
	{ "cidr-bad", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/33'}}]}]" },
	{ "cidr-no-mask", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.1'}}]}]" },
	{ "endport-below-port", "'ingress':[{'ports':[{'port':8090,'endPort':8080}]}]" },
	{ "endport-with-named-port", "'ingress':[{'ports':[{'port':'http','endPort':8090}]}]" },
	{ "endport-without-port", "'ingress':[{'ports':[{'endPort':80}]}]" },
	{ "except-equal",
	  "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/16','except':['10.0.0.0/16']}}]}]" },
	{ "except-outside",
	  "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/16','except':['10.1.0.0/24']}}]}]" },
	{ "ipblock-and-selector",
	  "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/16'},'podSelector':{}}]}]" },
	{ "label-value-bad", "'podSelector':{'matchLabels':{'app':'bad value!'}}" },
	{ "operator-exists-with-values",
	  "'podSelector':{'matchExpressions':[{'key':'a','operator':'Exists','values':['x']}]}" },
	{ "operator-in-no-values",
	  "'podSelector':{'matchExpressions':[{'key':'a','operator':'In'}]}" },
	{ "operator-unknown",
	  "'podSelector':{'matchExpressions':[{'key':'a','operator':'Gt','values':['1']}]}" },
	{ "peer-empty", "'ingress':[{'from':[{}]}]" },
	{ "policytype-unknown", "'policyTypes':['Forward']" },
	{ "policytypes-three", "'policyTypes':['Ingress','Egress','Ingress']" },
	{ "port-name-bad", "'ingress':[{'ports':[{'port':'UPPER_case'}]}]" },
	{ "port-out-of-range", "'ingress':[{'ports':[{'port':70000}]}]" },
	{ "port-zero", "'ingress':[{'ports':[{'port':0}]}]" },
	{ "protocol-unknown", "'ingress':[{'ports':[{'protocol':'ICMP','port':80}]}]" },
};

// Strict servers refuse these; older ones stored them, so they are read (see nonstrict-*).
static const char *const tolerated[] = { "cidr-hostbits.json", "cidr-leading-zero.json",
					 "v4mapped-v6.json" };

// The problem, or the sentence of the refusal, in buf.
static void our_verdict(const char *spec, char *buf, size_t bytes)
{
	char text[1024];
	struct object *object = NULL;
	struct err err = { 0 };
	struct json_object *json;

	snprintf(text, sizeof(text), "{'metadata':{'name':'bad','namespace':'shop'},'spec':{%s}}",
		 spec);
	json = test_json(text);
	if (object_parse(KIND_NETPOL, json, &object, &err) == 0) {
		const struct netpol *np = (const struct netpol *)object;

		assert_non_null(object->problem);
		assert_true(np->isolates[BH_INGRESS]);
		assert_int_equal(np->rules[BH_INGRESS].n + np->rules[BH_EGRESS].n, 0);
		snprintf(buf, bytes, "%s", object->problem);
		object_put(object);
	} else {
		snprintf(buf, bytes, "%s", err.text);
	}
	json_object_put(json);
}

static void check_same_field(const char *name, struct json_object *status, const char *spec)
{
	struct at root = at_root(status);
	struct at details = at_field(&root, "details"), causes = at_field(&details, "causes");
	const char *field = text_of(at_item(&causes, 0).json, "field");
	char verdict[ERR_TEXT_BYTES], start[256];

	our_verdict(spec, verdict, sizeof(verdict));
	snprintf(start, sizeof(start), "%s: ", field);
	if (strncmp(verdict, start, strlen(start)))
		fail_msg("%s: \"%s\" does not name %s", name, verdict, field);
}

static size_t check_verdict(const char *path, const char *name)
{
	_cleanup_json_ struct json_object *json = read_json(path);

	if (strcmp(text_of(json, "kind"), "Status"))
		return check_list(path, json);
	for (size_t i = 0; i < ARRAY_SIZE(tolerated); i++)
		if (!strcmp(name, tolerated[i]))
			return 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad_policies); i++) {
		size_t len = strlen(bad_policies[i].name);

		if (strncmp(name, bad_policies[i].name, len) || strcmp(name + len, ".json"))
			continue;
		check_same_field(name, json, bad_policies[i].spec);
		return 1;
	}
	return 0;
}

static void verdicts_name_the_same_field(void **state)
{
	// All but those without a field (unknown-field-strict, wrong-type), an old kind, and the next test's.
	assert_int_equal(each_file(FIXTURES "invalid", ".json", check_verdict),
			 ARRAY_SIZE(bad_policies) + ARRAY_SIZE(tolerated) + 8);
}

static void fields_without_a_recorded_path(void **state)
{
	char verdict[ERR_TEXT_BYTES];

	our_verdict("'ingres':[]", verdict, sizeof(verdict));
	assert_str(verdict, "spec.ingres: unknown field");
	our_verdict("'ingress':'all'", verdict, sizeof(verdict));
	assert_str_starts(verdict, "spec.ingress: ");
}

static void a_cluster_policy_with_two_faults(void **state)
{
	struct object *object = parse(
		KIND_CLUSTERNETPOL,
		"{'metadata':{'name':'bad'},'spec':{'tier':'Admin','priority':1001,'subject':"
		"{'namespaces':{}},'egress':[{'action':'Accept','to':[{'domainNames':['a.*.com']}]}]}}");

	assert_str_starts(object->problem, "spec.priority: 1001");
	object_put(object);
	object = parse(
		KIND_CLUSTERNETPOL,
		"{'metadata':{'name':'bad'},'spec':{'tier':'Admin','priority':1,'subject':"
		"{'namespaces':{}},'egress':[{'action':'Accept','to':[{'domainNames':['a.*.com']}]}]}}");
	assert_str_starts(object->problem, "spec.egress[0].to[0].domainNames[0]: ");
	object_put(object);
}

static void nonstrict_blocks_are_masked(void **state)
{
	static const struct {
		const char *file, *want;
	} cases[] = {
		{ "nonstrict-cidr-hostbits", "10.0.0.0/8" },
		{ "nonstrict-cidr-leading-zero", "10.0.0.0/8" },
		{ "nonstrict-v4mapped-v6", "10.0.0.0/8" },
		{ "nonstrict-v6-uncompressed", "2001:db8::/64" },
	};
	char name[128], path[PATH_MAX], buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct object *object = NULL;
		struct json_object *json;
		struct err err = { 0 };
		const struct netpol *np;

		snprintf(name, sizeof(name), FIXTURES "invalid/%s.json", cases[i].file);
		json = read_json(test_shared(path, name));
		assert_ok_err(object_parse(KIND_NETPOL, json, &object, &err), &err);
		np = (const struct netpol *)object;
		assert_str(cidr_format(&np->rules[BH_INGRESS].v[0].peers[0].cidr, buf, sizeof(buf)),
			   cases[i].want);
		object_put(object);
		json_object_put(json);
	}
}

static int nothing_is_left(void **state)
{
	size_t strings, bytes;

	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists_parse),
		TEST(watches_parse),
		TEST(verdicts_name_the_same_field),
		TEST(fields_without_a_recorded_path),
		TEST(a_cluster_policy_with_two_faults),
		TEST(nonstrict_blocks_are_masked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
