// SPDX-License-Identifier: Apache-2.0
// prev_test.c - which addresses and devices a prevResult tells of, in the forms of every version.
#include "tests/harness/test.h"

#include "cni/prev.h"
#include "cni/result.h"

static struct prev prev;
static struct err err;

static int read_as(const char *text, const char *ifname)
{
	static struct json_object *json;

	json_object_put(json); // texts of the last one were borrowed until now
	json = text ? json_tokener_parse(text) : NULL;
	err = (struct err){ 0 };
	return text ? prev_read(json, ifname, &prev, &err) : 0;
}

static void bridge(void **state)
{
	assert_ok_err(
		read_as("{\"interfaces\":[{\"name\":\"cni0\",\"mac\":\"0a:00\"},{\"name\":\"veth1\"},"
			"{\"name\":\"eth0\",\"sandbox\":\"/x\"}],"
			"\"ips\":[{\"interface\":2,\"address\":\"10.1.0.5/16\"},"
			"{\"version\":\"6\",\"interface\":2,\"address\":\"FD00:0::5/64\"}]}",
			"eth0"),
		&err);
	assert_int_equal(prev.nhost, 2);
	assert_str(prev.host[1], "veth1");
	assert_int_equal(prev.nothers, 0);
	assert_int_equal(prev.naddresses, 2);
	assert_str(prev.addresses[0], "10.1.0.5");
	assert_str(prev.addresses[1], "fd00::5");
}

static void several_interfaces(void **state)
{
	const char *text =
		"{\"interfaces\":[{\"name\":\"eth0\"},{\"name\":\"eth0\",\"sandbox\":\"/x\"},"
		"{\"name\":\"net1\",\"sandbox\":\"/x\"}],"
		"\"ips\":[{\"interface\":0,\"address\":\"10.0.0.1/24\"},{\"interface\":1,\"address\":\"10.0.0.2/24\"},"
		"{\"interface\":2,\"address\":\"10.0.0.3/24\"},{\"address\":\"10.0.0.4/24\"},"
		"{\"interface\":null,\"address\":\"10.0.0.5\"}]}";

	assert_ok_err(read_as(text, "eth0"), &err);
	assert_int_equal(prev.nhost, 1); // the host may have a device of the pod's name
	assert_int_equal(prev.nothers, 1);
	assert_str(prev.others[0], "net1");
	assert_int_equal(prev.naddresses, 3);
	assert_str(prev.addresses[0], "10.0.0.2");
	assert_str(prev.addresses[1], "10.0.0.4");
	assert_str(prev.addresses[2], "10.0.0.5");
	assert_ok_err(read_as(text, "net1"), &err);
	assert_str(prev.addresses[0], "10.0.0.3");
	assert_str(prev.others[0], "eth0");
}

static void empty_is_fine(void **state)
{
	assert_ok_err(read_as("{}", "eth0"), &err);
	assert_ok_err(read_as("{\"interfaces\":null,\"ips\":null}", "eth0"), &err);
	assert_int_equal(prev.nhost + prev.nothers + prev.naddresses, 0);
}

static void refuses(const char *text, const char *sentence)
{
	assert_err(read_as(text, "eth0"), -CNI_CONFIG);
	assert_str_contains(err.text, sentence);
}

static void refusals(void **state)
{
	refuses("{\"interfaces\":[1]}", "interfaces[0].name");
	refuses("{\"interfaces\":[{\"name\":\"a/b\"}]}", "interfaces[0].name");
	refuses("{\"interfaces\":[{\"name\":7}]}", "interfaces[0].name");
	refuses("{\"ips\":[{}]}", "ips[0].address");
	refuses("{\"ips\":[null]}", "ips[0].address");
	refuses("{\"ips\":[{\"address\":\"10.0.0.1/24\"},{\"address\":\"::g\"}]}",
		"ips[1].address");
	refuses("{\"ips\":[{\"address\":\"a\",\"interface\":\"0\"}]}", "ips[0].interface");
	refuses("{\"ips\":[{\"address\":\"a\",\"interface\":9223372036854775807}]}",
		"ips[0].interface");
	refuses("{\"ips\":[{\"address\":\"1111111111111111111111111111111111111111111111111111/1\"}]}",
		"no address");
}

static int teardown(void **state)
{
	return read_as(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bridge),
		cmocka_unit_test(several_interfaces),
		cmocka_unit_test(empty_is_fine),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
