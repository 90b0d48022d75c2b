// SPDX-License-Identifier: Apache-2.0
// write_test.c - an object that is written and read again is the same, whatever was wrong with it.
#include "tests/unit/object/parse.h"

#include "agent/object/write.h"

static struct json_object *written(const struct object *object)
{
	struct json_object *json;
	struct jsonw w;
	size_t len;
	char *text;

	jsonw_init(&w);
	object_write(&w, object);
	assert_non_null(jsonw_get(&w, &len));
	text = strndup(jsonw_get(&w, &len), len);
	json = json_tokener_parse(text);
	if (!json)
		fail_msg("no JSON: %s", text);
	free(text);
	jsonw_fini(&w);
	return json;
}

// Returns what was written.
static struct json_object *same_again(enum kind kind, const char *text)
{
	struct object *object = parse(kind, text), *again = NULL;
	struct json_object *json = written(object);
	struct err err = { 0 };

	assert_ok_err(object_read(json, &again, &err), &err);
	if (!object_equal(object, again))
		fail_msg("%s became %s", text, json_object_to_json_string(json));
	object_put(object);
	object_put(again);
	return json;
}

static void says(struct json_object *json, const char *want)
{
	_cleanup_json_ struct json_object *wanted = test_json(want);

	if (!json_object_equal(json, wanted))
		fail_msg("%s is not %s", json_object_to_json_string(json), want);
	json_object_put(json);
}

#define META "'metadata':{'name':'a','namespace':'b'}"
#define NETPOL(spec) "{" META ",'spec':{" spec "}}"
#define CLUSTER(spec) "{'metadata':{'name':'a'},'spec':{" spec "}}"
#define RANK "'tier':'Baseline','priority':7,'subject':{'namespaces':{}}"

static void in_the_words_of_the_api(void **state)
{
	says(same_again(KIND_POD,
			"{'metadata':{'name':'a','namespace':'b','uid':'u','labels':{'app':'x'},'creationTimestamp':'2026-11-21T00:02:29Z',"
			"'ownerReferences':[{'kind':'No','name':'n'},{'controller':true,'kind':'ReplicaSet','name':'r'}],'resourceVersion':'7'},"
			"'spec':{'nodeName':'n','containers':[{'name':'c','ports':[{'name':'http','containerPort':80},{'containerPort':9}]}]},"
			"'status':{'phase':'Running','podIPs':[{'ip':'10.0.0.1'},{'ip':'fd00::1'}]}}"),
	     "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','namespace':'b','uid':'u','labels':{'app':'x'},"
	     "'ownerReferences':[{'controller':true,'kind':'ReplicaSet','name':'r'}],'creationTimestamp':'2026-11-21T00:02:29Z'},"
	     "'spec':{'nodeName':'n','containers':[{'ports':[{'name':'http','containerPort':80,'protocol':'TCP'}]}]},"
	     "'status':{'podIPs':[{'ip':'10.0.0.1'},{'ip':'fd00::1'}]}}");
	says(same_again(KIND_NETPOL, NETPOL("'podSelector':{'matchLabels':{'app':'x'}},'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8',"
					    "'except':['10.1.0.0/16']}}],'ports':[{'port':53,'protocol':'UDP'}]}]")),
	     "{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy'," META ",'spec':{'podSelector':{'matchExpressions':"
	     "[{'key':'app','operator':'In','values':['x']}]},'policyTypes':['Ingress','Egress'],'egress':[{'to':[{'ipBlock':"
	     "{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}],'ports':[{'protocol':'UDP','port':53}]}]}}");
	says(same_again(KIND_NODE, "{'metadata':{'name':'n'},'status':{'addresses':[{'type':'ExternalIP','address':'192.0.2.1'},"
				   "{'type':'Hostname','address':'n'}]}}"),
	     "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n'},'status':{'addresses':[{'type':'InternalIP','address':'192.0.2.1'}]}}");
}

static void read_as_the_same(void **state)
{
	static const struct {
		enum kind kind;
		const char *text;
	} objects[] = {
		{ KIND_NAMESPACE, "{'metadata':{'name':'a','labels':{'bulkhead.io/audit':'true'},'annotations':"
				  "{'bulkhead.io/allowed-addresses':'10.0.0.0/8'}}}" },
		{ KIND_POD, "{" META ",'spec':{'hostNetwork':true},'status':{'phase':'Failed'}}" },
		{ KIND_POD, "{" META "}" },
		{ KIND_NETPOL, "{'metadata':{'name':'a','namespace':'b','annotations':{'bulkhead.io/audit':'true'}},'spec':{'podSelector':{}}}" },
		{ KIND_NETPOL, NETPOL("'policyTypes':['Egress'],'ingress':[{}],'egress':[{'to':[{'podSelector':{}},{'namespaceSelector':{}},"
				      "{'namespaceSelector':{},'podSelector':{'matchLabels':{'x':''}}}],'ports':[{'port':'http'},{'port':1,'endPort':9},"
				      "{'protocol':'SCTP'}]}]") },
		{ KIND_NETPOL, NETPOL("'podSelector':{'matchExpressions':[{'key':'a','operator':'NotIn','values':['x','y']},"
				      "{'key':'b','operator':'Exists'},{'key':'c','operator':'DoesNotExist'}]},'ingress':[{'from':[{'ipBlock':{'cidr':'::/0'}}]}]") },
		{ KIND_CLUSTERNETPOL, CLUSTER(RANK ",'ingress':[{'name':'r','action':'Pass','from':[{'pods':{'namespaceSelector':{},'podSelector':{}}}],"
						   "'protocols':[{'tcp':{'destinationPort':{'number':1}}},{'udp':{'destinationPort':{'range':{'start':1,'end':2}}}},"
						   "{'destinationNamedPort':'x'}]}]") },
		{ KIND_CLUSTERNETPOL, CLUSTER(RANK ",'egress':[{'action':'Accept','to':[{'networks':['10.0.0.0/8','fd00::/8']},{'nodes':{}},{'networks':['::/0']}]}]") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		json_object_put(same_again(objects[i].kind, objects[i].text));
}

// What was made of them stays, and why.
static void what_is_not_enforced_as_written(void **state)
{
	static const struct {
		enum kind kind;
		const char *text;
	} objects[] = {
		{ KIND_NAMESPACE, "{'metadata':{'name':'a','annotations':{'bulkhead.io/allowed-addresses':'none'}}}" },
		{ KIND_NETPOL, NETPOL("'podSelector':{},'ingress':[{'ports':[{'port':0}]}]") },
		{ KIND_NETPOL, NETPOL("'podSelector':{},'policyTypes':['Both']") },
		// unknown peers close their rule
		{ KIND_CLUSTERNETPOL, CLUSTER(RANK ",'ingress':[{'action':'Accept','from':[{'who':{}}]},{'action':'Deny','from':[{'who':{}}]},"
						   "{'action':'Pass','from':[{'networks':['::/0']}],'protocols':[{'tcp':{'destinationPort':{'number':1}}}]}]") },
		{ KIND_CLUSTERNETPOL, CLUSTER(RANK ",'egress':[{'action':'Accept','to':[{'domainNames':['x.org']},{'namespaces':{}}],"
						   "'protocols':[{'tcp':{'destinationPort':{'number':1}}}]},{'action':'Deny','to':[{'domainNames':['x.org']}]}]") },
		// refused: only denies are left
		{ KIND_CLUSTERNETPOL, CLUSTER("'tier':'Top','priority':-1,'subject':{'pods':{'podSelector':{}}},'ingress':7,'egress':[{'action':'Accept',"
					      "'to':[{'namespaces':{}}]},{'action':'Pass','to':[{'networks':['x']},{'namespaces':{}}],'protocols':[{'udp':"
					      "{'destinationPort':{}}},{'tcp':{'destinationPort':{'number':1}}}]}]") },
		{ KIND_CLUSTERNETPOL, CLUSTER(RANK ",'egress':[{'action':'Deny','to':[],'protocols':[{}]},{'action':'Deny','to':[7,{'nodes':{}}]}]") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		struct json_object *json = same_again(objects[i].kind, objects[i].text);

		if (!json_object_object_get(json, "problem"))
			fail_msg("%s has no problem", objects[i].text);
		json_object_put(json);
	}
}

// As many as a policy may have, in other peers than they were written in.
static void many_networks(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out, "{'metadata':{'name':'a'},'spec':{" RANK ",'egress':[{'action':'Deny','to':[");
	for (int peer = 0; peer < 25; peer++) {
		fprintf(out, "%s{'networks':[", peer ? "," : "");
		for (int i = 0; i < 13 + peer % 2; i++)
			fprintf(out, "%s'10.%d.%d.0/24'", i ? "," : "", peer, i);
		fprintf(out, "]}");
	}
	fprintf(out, "]}]}}");
	fclose(out);
	json_object_put(same_again(KIND_CLUSTERNETPOL, text));
}

static void what_is_no_object_is_refused(void **state)
{
	static const char *const texts[] = { "[]", "{}", "{'apiVersion':'v1','kind':'Secret'}",
					     "{'apiVersion':'v1','kind':'Pod'}" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ struct json_object *json = test_json(texts[i]);
		struct object *object = NULL;
		struct err err = { 0 };

		assert_err(object_read(json, &object, &err), -EBADMSG);
		assert_null(object);
		assert_true(err.text[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_words_of_the_api),
		cmocka_unit_test(read_as_the_same),
		cmocka_unit_test(what_is_not_enforced_as_written),
		cmocka_unit_test(many_networks),
		cmocka_unit_test(what_is_no_object_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
