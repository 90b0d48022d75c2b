// SPDX-License-Identifier: Apache-2.0
// condition_test.c - what status says of one ClusterNetworkPolicy, and when it has to be said.
#include "tests/harness/test.h"

#include "agent/report/condition.h"

#define NOON 1767268800000000ll // 2026-01-01T12:00:00Z
#define POLICY(rest) "{'metadata':{'name':'p','uid':'u','generation':3},'spec':{'tier':'Admin','priority':1," rest

static struct condition verdict(const char *text, const char *refused)
{
	_cleanup_json_ struct json_object *item = test_json(text);
	struct condition condition;

	assert_true(condition_of(item, refused, "node-a", &condition));
	return condition;
}

static void verdicts(void **state)
{
	struct condition good = verdict(POLICY("'subject':{'namespaces':{}}}}"), NULL);
	struct condition over = verdict(POLICY("'subject':{'namespaces':{}}}}"), "needs 9 of 8 peers");
	struct condition odd = verdict(POLICY("'subject':{'namespaces':{}},'ingress':[{'action':'Maybe'}]}}"), "over");
	struct condition none = verdict(POLICY("'subject':{}}}"), NULL);

	assert_true(good.accepted);
	assert_str(good.reason, "Accepted");
	assert_false(over.accepted);
	assert_str(over.reason, "OverLimit");
	assert_str_starts(over.message, "on node node-a: needs 9 of 8 peers; ");
	assert_str(odd.reason, "NotEnforcedAsWritten"); // the object's own trouble goes first
	assert_str_contains(odd.message, "spec.ingress[0].action");
	assert_str(none.reason, "NotEnforcedAsWritten");
	assert_str_contains(none.message, "spec.subject");
}

// Odd objects are somebody's: each yields a verdict, or at least no harm.
static void odd_objects_are_judged(void **state)
{
	static const char *const odd[] = { "{}", "[]", "{'metadata':[],'spec':7,'status':'x'}",
					   "{'metadata':{'name':7},'status':{'conditions':{'type':1}}}",
					   "{'metadata':{'name':'p'},'status':{'conditions':[7,null,{'type':"
					   "'bulkhead.io/Accepted','status':1,'observedGeneration':'x'}]}}" };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		_cleanup_json_ struct json_object *item = test_json(odd[i]), *body = NULL;
		struct condition condition;

		assert_true(condition_of(item, NULL, "n", &condition));
		assert_false(condition.accepted);
		assert_false(condition_is_said(item, &condition));
		body = condition_apply(item, &condition, NOON);
		assert_non_null(body);
	}
}

static bool said(const char *status, const char *reason, const char *message, int generation)
{
	_cleanup_json_ struct json_object *item = NULL;
	struct condition condition = { .accepted = true, .reason = "Accepted", .message = "m" };
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'generation':3},'status':{'conditions':[{'type':'Other','status':'False'},{'type':"
		 "'bulkhead.io/Accepted','status':'%s','reason':'%s','message':'%s','observedGeneration':%d}]}}",
		 status, reason, message, generation);
	item = test_json(text);
	return condition_is_said(item, &condition);
}

static void each_part_counts(void **state)
{
	assert_true(said("True", "Accepted", "m", 3));
	assert_false(said("False", "Accepted", "m", 3));
	assert_false(said("True", "Other", "m", 3));
	assert_false(said("True", "Accepted", "other", 3));
	assert_false(said("True", "Accepted", "m", 2));
}

static void only_our_condition_is_applied(void **state)
{
	_cleanup_json_ struct json_object *item = test_json(
		"{'metadata':{'name':'p','uid':'u','generation':3,'resourceVersion':'9'},'spec':{'tier':'Admin'},'status':"
		"{'conditions':[{'type':'Other','status':'True'},{'type':'bulkhead.io/Accepted','status':'False',"
		"'lastTransitionTime':'2020-01-01T00:00:00Z'}]}}"), *same = NULL, *turned = NULL;
	struct condition no = { .reason = "R", .message = "m" }, yes = { .accepted = true, .reason = "R", .message = "m" };

	same = condition_apply(item, &no, NOON);
	assert_str(json_object_to_json_string_ext(same, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		   "{\"apiVersion\":\"policy.networking.k8s.io/v1alpha2\",\"kind\":\"ClusterNetworkPolicy\","
		   "\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"status\":{\"conditions\":[{\"type\":"
		   "\"bulkhead.io/Accepted\",\"status\":\"False\",\"reason\":\"R\",\"message\":\"m\","
		   "\"lastTransitionTime\":\"2020-01-01T00:00:00Z\",\"observedGeneration\":3}]}}");
	turned = condition_apply(item, &yes, NOON);
	assert_str_contains(json_object_to_json_string(turned), "2026-01-01T12:00:00Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(odd_objects_are_judged),
		cmocka_unit_test(each_part_counts),
		cmocka_unit_test(only_our_condition_is_applied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
