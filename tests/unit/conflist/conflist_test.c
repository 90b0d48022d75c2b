// SPDX-License-Identifier: Apache-2.0
// conflist_test.c - the entry goes into configurations of the shapes that network plugins write, and comes out
// again, and no other byte changes.
#include "tests/harness/test.h"

#include "agent/conflist/conflist.h"

#define ENTRY "{ \"type\": \"bulkhead-cni\" }"

// As the plugins' own installers write them.
static const char flannel[] = "{\n"
			      "  \"name\": \"cbr0\",\n"
			      "  \"cniVersion\": \"0.3.1\",\n"
			      "  \"plugins\": [\n"
			      "    {\n"
			      "      \"type\": \"flannel\",\n"
			      "      \"delegate\": {\n"
			      "        \"hairpinMode\": true,\n"
			      "        \"isDefaultGateway\": true\n"
			      "      }\n"
			      "    },\n"
			      "    {\n"
			      "      \"type\": \"portmap\",\n"
			      "      \"capabilities\": {\n"
			      "        \"portMappings\": true\n"
			      "      }\n"
			      "    }\n"
			      "  ]\n"
			      "}\n";
static const char k3s[] =
	"{\n  \"name\":\"cbr0\",\n  \"cniVersion\":\"1.0.0\",\n  \"plugins\":[\n    {\n"
	"      \"type\":\"flannel\",\n      \"delegate\":{\n        \"hairpinMode\":true,\n"
	"        \"forceAddress\":true,\n        \"isDefaultGateway\":true\n      }\n    },\n    {\n"
	"      \"type\":\"portmap\",\n      \"capabilities\":{\n        \"portMappings\":true\n"
	"      }\n    },\n    {\n      \"type\":\"bandwidth\",\n      \"capabilities\":{\n"
	"        \"bandwidth\":true\n      }\n    }\n  ]\n}\n";
static const char calico[] =
	"{\"name\": \"k8s-pod-network\", \"cniVersion\": \"0.3.1\", \"plugins\": [{\"type\": \"calico\", "
	"\"log_level\": \"info\", \"mtu\": 0, \"ipam\": {\"type\": \"calico-ipam\"}, \"policy\": {\"type\": "
	"\"k8s\"}, \"kubernetes\": {\"kubeconfig\": \"/etc/cni/net.d/calico-kubeconfig\"}}, {\"type\": "
	"\"portmap\", \"snat\": true, \"capabilities\": {\"portMappings\": true}}, {\"type\": \"bandwidth\", "
	"\"capabilities\": {\"bandwidth\": true}}]}";
static const char aws[] =
	"{\n  \"cniVersion\": \"0.4.0\",\n  \"name\": \"aws-cni\",\n  \"disableCheck\": true,\n"
	"  \"plugins\": [\n    {\n      \"name\": \"aws-cni\",\n      \"type\": \"aws-cni\",\n"
	"      \"vethPrefix\": \"eni\",\n      \"mtu\": \"9001\",\n      \"podSGEnforcingMode\": "
	"\"strict\",\n      \"pluginLogFile\": \"/var/log/aws-routed-eni/plugin.log\"\n    },\n"
	"    {\n      \"name\": \"egress-cni\",\n      \"type\": \"egress-cni\",\n      \"enabled\": "
	"\"false\",\n      \"ipam\": {\n         \"type\": \"host-local\",\n         \"ranges\": "
	"[[{\"subnet\": \"fd00::ac:00/118\"}]]\n      }\n    },\n    {\n      \"type\": \"portmap\",\n"
	"      \"capabilities\": {\"portMappings\": true},\n      \"snat\": true\n    }\n  ]\n}";
static const char microk8s[] =
	"{\n    \"name\": \"microk8s-flannel-network\",\n    \"cniVersion\": \"0.3.1\",\n"
	"    \"plugins\": [\n      {\n        \"type\": \"flannel\",\n        \"name\": "
	"\"flannel-plugin\",\n        \"subnetFile\": \"/var/snap/microk8s/common/run/flannel/"
	"subnet.env\",\n        \"dataDir\": \"/var/snap/microk8s/common/var/lib/cni/flannel\"\n"
	"      }\n    ]\n}\n";
static const char ptp_crlf[] =
	"{\r\n\t\"cniVersion\": \"0.3.1\",\r\n\t\"name\": \"gke-pod-network\",\r\n"
	"\t\"plugins\": [\r\n\t\t{ \"type\": \"ptp\", \"mtu\": 1460 },\r\n"
	"\t\t{ \"type\": \"portmap\", \"snat\": true }\r\n\t]\r\n}\r\n";
// Keys after the list, a list and brackets within texts, numbers that a double cannot hold, odd space.
static const char odd[] =
	" {\"plugins\" :\n[ {\"type\":\"x\",\"n\":12345678901234567890.10,\"t\":\"]},{\\\"\\\\\"}\t,"
	"{\"plugins\":[[],{}],\"type\":\"\\u0079\"} ] ,\"x-unknown\":[{\"type\":\"bulkhead-cni\"}],"
	"\"cniVersion\":\"1.1.0\",\"name\":\"n\"} \n\n";

static const struct {
	const char *name, *text;
} shapes[] = { { "flannel", flannel },   { "k3s", k3s },      { "calico", calico }, { "aws", aws },
	       { "microk8s", microk8s }, { "ptp", ptp_crlf }, { "odd", odd } };

static char *insert(const char *text, const char *entry)
{
	struct err err = { 0 };
	char *out = NULL;
	size_t len = 0;

	assert_ok_err(conflist_insert(text, strlen(text), entry, &out, &len, &err), &err);
	if (out)
		assert_int_equal(strlen(out), len);
	return out;
}

static char *take(const char *text)
{
	struct err err = { 0 };
	char *out = NULL;
	size_t len = 0;

	assert_ok_err(conflist_remove(text, strlen(text), &out, &len, &err), &err);
	return out;
}

static void refuses(const char *text, const char *part)
{
	struct err err = { 0 };
	char *out = NULL;
	size_t len = 0;

	assert_err(conflist_insert(text, strlen(text), ENTRY, &out, &len, &err), -EINVAL);
	assert_str_contains(err.text, part);
	assert_null(out);
}

// The last plugin of a text, by json-c and nothing of what is tested.
static const char *last_type(const char *text)
{
	static char type[64];
	_cleanup_json_ struct json_object *json = json_tokener_parse(text);
	struct json_object *plugins = NULL, *value = NULL;

	assert_true(json_object_object_get_ex(json, "plugins", &plugins));
	assert_true(json_object_object_get_ex(
		json_object_array_get_idx(plugins, json_object_array_length(plugins) - 1), "type",
		&value));
	snprintf(type, sizeof(type), "%s", json_object_get_string(value));
	return type;
}

static void lists_get_it_last_and_give_it_back(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		_cleanup_free_ char *with = insert(shapes[i].text, ENTRY), *again = NULL,
				    *back = NULL;

		print_message("%s\n", shapes[i].name);
		assert_str(last_type(with), "bulkhead-cni");
		again = insert(with, ENTRY);
		assert_null(again);
		back = take(with);
		assert_str(back, shapes[i].text);
	}
}

static void it_looks_like_its_neighbours(void **state)
{
	_cleanup_free_ char *lines = insert(flannel, ENTRY), *one = insert(calico, ENTRY),
			    *crlf = insert(ptp_crlf, ENTRY);

	assert_str_contains(lines, "    },\n    " ENTRY "\n  ]\n}\n");
	assert_str_contains(one, "true}}, " ENTRY "]}");
	assert_str_contains(crlf, "true },\r\n\t\t" ENTRY "\r\n\t]\r\n");
}

static void what_others_changed_stays(void **state)
{
	_cleanup_free_ char *with = insert(flannel, ENTRY), *changed = NULL, *back = NULL;
	char *at = strstr(with, "cbr0");

	assert_true(asprintf(&changed, "%.*smine%s", (int)(at - with), with, at + 4) > 0);
	back = take(changed);
	assert_str_contains(back, "\"name\": \"mine\"");
	assert_str_lacks(back, "bulkhead");
	assert_int_equal(strlen(back), strlen(flannel));
}

static void it_moves_behind_what_came_later(void **state)
{
	_cleanup_free_ char *a = insert(
		"{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"bulkhead-cni\"},{\"type\":\"a\"},"
		"{\"type\":\"bulkhead-cni\",\"socket\":\"/x\"}, {\"type\":\"b\"}]}",
		ENTRY);
	_cleanup_free_ char *none = take(a);

	assert_str(
		a,
		"{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}, {\"type\":\"b\"}, " ENTRY
		"]}");
	assert_str(none,
		   "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}, {\"type\":\"b\"}]}");
}

static void another_entry_takes_its_place(void **state)
{
	static const struct conflist_entry options = { .socket = "/run/x/control.sock",
						       .records = "/run/x/cni",
						       .quarantine = true,
						       .pass = true,
						       .timeout_sec = 7 };
	static const struct conflist_entry plain = { 0 };
	_cleanup_free_ char *entry = conflist_entry(&options), *usual = conflist_entry(&plain);
	_cleanup_free_ char *with = insert(calico, usual), *changed = insert(with, entry);
	struct err err = { 0 };
	char *out = NULL;
	size_t len;

	assert_str(usual, ENTRY);
	assert_str(
		entry,
		"{ \"type\": \"bulkhead-cni\", \"socket\": \"/run/x/control.sock\", \"records\": "
		"\"/run/x/cni\", \"onAgentDown\": \"quarantine\", \"onOtherInterface\": \"pass\", \"timeoutSeconds\": 7 }");
	assert_str_contains(changed, entry);
	assert_str_lacks(changed, ENTRY);
	// Whatever it says, it is there; and it is not.
	assert_ok(conflist_insert(changed, strlen(changed), NULL, &out, &len, &err));
	assert_null(out);
	assert_err(conflist_insert(calico, strlen(calico), NULL, &out, &len, &err), -ENOENT);
}

static void broken_lists_are_refused(void **state)
{
	refuses("", "empty");
	refuses(" \n", "empty");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}", "ends too early");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"},]}", "no JSON");
	refuses("{\"cniVersion\":\"1.0.0\", // c\n\"plugins\":[{\"type\":\"a\"}]}", "no JSON");
	refuses("{\"cniVersion\":\"1.0.0\", /* c */\"plugins\":[{\"type\":\"a\"}]}", "no JSON");
	refuses("{'cniVersion':'1.0.0','plugins':[{'type':'a'}]}", "no JSON");
	refuses("\xef\xbb\xbf{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}]}", "no JSON");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}]} {}", "no JSON");
	refuses("[]", "no JSON object");
	refuses("{\"cniVersion\":\"1.0.0\",\"type\":\"a\"}", "no list of plugins");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":{}}", "no list of plugins");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[]}", "no plugin to be chained to");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[" ENTRY "]}", "no plugin to be chained to");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"},7]}",
		"plugins[1] has no type");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":4}]}", "plugins[0] has no type");
	refuses("{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}],\"plugins\":[{\"type\":\"b\"}]}",
		"more than once");
	refuses("{\"cniVersion\":\"1.0.0\",\"plu\\u0067ins\":[{\"type\":\"a\"}]}", "spelled oddly");
}

static void versions_bound_what_can_be_chained(void **state)
{
	refuses("{\"plugins\":[{\"type\":\"a\"}]}", "below 0.3.0");
	refuses("{\"cniVersion\":\"0.2.0\",\"plugins\":[{\"type\":\"a\"}]}", "below 0.3.0");
	refuses("{\"cniVersion\":\"1.2.0\",\"plugins\":[{\"type\":\"a\"}]}", "above 1.1.0");
	refuses("{\"cniVersion\":\"0.4.0\",\"cniVersions\":[\"1.0.0\",\"2.0.0\"],\"plugins\":[{\"type\":\"a\"}]}",
		"above 1.1.0");
	refuses("{\"cniVersion\":\"new\",\"plugins\":[{\"type\":\"a\"}]}", "'new' is no version");
	refuses("{\"cniVersion\":\"1.0\",\"plugins\":[{\"type\":\"a\"}]}", "'1.0' is no version");
	refuses("{\"cniVersion\":1,\"plugins\":[{\"type\":\"a\"}]}", "cniVersion is no text");
	free(insert(
		"{\"cniVersion\":\"0.2.0\",\"cniVersions\":[\"0.2.0\",\"1.1.0\"],\"plugins\":[{\"type\":\"a\"}]}",
		ENTRY));
	free(insert("{\"cniVersion\":\"0.3.0\",\"plugins\":[{\"type\":\"a\"}]}", ENTRY));
}

static void size_and_depth_are_bounded(void **state)
{
	_cleanup_free_ char *deep = malloc(4096), *huge = malloc(CONFLIST_BYTES + 1), *with = NULL,
			    *back = NULL;
	char nest[101];
	size_t at;

	memset(nest, '[', 100);
	nest[100] = '\0';
	at = (size_t)sprintf(
		deep, "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\",\"x\":%s", nest);
	memset(deep + at, ']', 100);
	strcpy(deep + at + 100, "}]}");
	with = insert(deep, ENTRY);
	back = take(with);
	assert_str(back, deep);
	sprintf(deep, "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\",\"x\":%s%s", nest,
		nest);
	refuses(deep, "no JSON: nesting too deep");

	at = (size_t)sprintf(huge,
			     "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}],\"x\":\"");
	memset(huge + at, 'y', CONFLIST_BYTES - at);
	strcpy(huge + CONFLIST_BYTES - 2, "\"}");
	free(insert(huge, ENTRY));
	memmove(huge + 1, huge, CONFLIST_BYTES);
	huge[0] = ' ';
	{
		struct err err = { 0 };
		char *out = NULL;
		size_t len;

		assert_err(conflist_insert(huge, CONFLIST_BYTES + 1, ENTRY, &out, &len, &err),
			   -EINVAL);
		assert_str_contains(err.text, "too long");
	}
}

static void single_ones_become_lists(void **state)
{
	static const char conf[] =
		"{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"my/net\",\n  \"type\": \"bridge\",\n"
		"  \"x\": 1.10\n}\n\n";
	static const struct {
		const char *text, *part;
	} wrong[] = {
		{ "{\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}]}",
		  "belongs into a file .conflist" },
		{ "{\"name\":\"n\",\"cniVersion\":\"1.0.0\"}", "has no type" },
		{ "{\"type\":\"n\",\"cniVersion\":\"1.0.0\"}", "has no name" },
		{ "{\"type\":\"n\",\"name\":\"n\"}", "below 0.3.0" },
		{ "{\"type\":\"multus\",\"name\":\"n\",\"cniVersion\":\"1.0.0\"}",
		  "belongs into what it delegates to" },
		{ "{\"type\":\"n\"", "ends too early" },
	};
	_cleanup_free_ char *list = NULL;
	struct err err = { 0 };
	size_t len;

	assert_ok_err(conflist_wrap(conf, strlen(conf), ENTRY, &list, &len, &err), &err);
	assert_str(
		list,
		"{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"my/net\",\n  \"plugins\": [\n"
		"{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"my/net\",\n  \"type\": \"bridge\",\n"
		"  \"x\": 1.10\n},\n" ENTRY "\n  ]\n}\n");
	assert_true(conflist_stands_for(list, len, conf, strlen(conf)));
	assert_false(conflist_stands_for(list, len, flannel, strlen(flannel)));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char *none = NULL;

		assert_err(conflist_wrap(wrong[i].text, strlen(wrong[i].text), ENTRY, &none, &len,
					 &err),
			   -EINVAL);
		assert_str_contains(err.text, wrong[i].part);
	}
}

static void names_sort_as_runtimes_do(void **state)
{
	char buf[64], small[8];

	assert_true(conflist_is_name("10-a.conf"));
	assert_true(conflist_is_name("10-a.json"));
	assert_true(conflist_is_name("10-a.conflist"));
	assert_false(conflist_is_name("10-a.conflist.bak"));
	assert_false(conflist_is_name("10-a.conflist.tmp-123456"));
	assert_false(conflist_is_name("conf"));
	assert_false(conflist_is_list("10-a.conf"));
	assert_str(conflist_made_name("10-a.b.conf", buf, sizeof(buf)), "10-a.b.bulkhead.conflist");
	assert_true(conflist_is_made(buf));
	assert_true(strcmp(buf, "10-a.b.conf") < 0);
	assert_true(strcmp(conflist_made_name("10-a.json", buf, sizeof(buf)), "10-a.json") < 0);
	assert_null(conflist_made_name("10-a.json", small, sizeof(small)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_get_it_last_and_give_it_back),
		cmocka_unit_test(it_looks_like_its_neighbours),
		cmocka_unit_test(what_others_changed_stays),
		cmocka_unit_test(it_moves_behind_what_came_later),
		cmocka_unit_test(another_entry_takes_its_place),
		cmocka_unit_test(broken_lists_are_refused),
		cmocka_unit_test(versions_bound_what_can_be_chained),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(single_ones_become_lists),
		cmocka_unit_test(names_sort_as_runtimes_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
