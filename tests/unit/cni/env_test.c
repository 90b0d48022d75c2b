// SPDX-License-Identifier: Apache-2.0
// env_test.c - a runtime's variables: names that become parts of paths, and CNI_ARGS in any order.
#include "tests/harness/test.h"

#include "cni/env.h"
#include "cni/result.h"

static struct pod pod;
static struct err err;

static int args(const char *text)
{
	err = (struct err){ 0 };
	return env_parse_args(text, &pod, &err);
}

static void names(void **state)
{
	assert_true(env_is_name("a"));
	assert_true(env_is_name("0A_z.-9"));
	assert_false(env_is_name(""));
	assert_false(env_is_name(".a"));
	assert_false(env_is_name("-a"));
	assert_false(env_is_name("a/b"));
	assert_false(env_is_name("a@b"));
	assert_false(env_is_name("a\xc3\xa9"));
	assert_true(env_is_ifname("eth0"));
	assert_true(env_is_ifname("a@b"));
	assert_true(env_is_ifname("...fifteen.long"));
	assert_false(env_is_ifname("sixteen.are.more"));
	assert_false(env_is_ifname(""));
	assert_false(env_is_ifname("."));
	assert_false(env_is_ifname(".."));
	assert_false(env_is_ifname("a\x7f"));
}

static void any_order(void **state)
{
	assert_ok_err(
		args("K8S_POD_UID=u;X=1;K8S_POD_NAME=p;IgnoreUnknown=TRUE;K8S_POD_NAMESPACE=n;;"),
		&err);
	assert_str(pod.namespace, "n");
	assert_str(pod.name, "p");
	assert_str(pod.uid, "u");
	assert_ok_err(args(""), &err);
	assert_str(pod.name, "");
	assert_ok_err(args("K8S_POD_UID=;K8S_POD_INFRA_CONTAINER_ID=anything at all"), &err);
	assert_ok_err(args("IgnoreUnknown=0"), &err);
	assert_ok_err(args("IgnoreUnknown=1;PATHS=a=b"), &err); // others' values are others'
}

static void refuses(const char *text, const char *sentence)
{
	assert_err(args(text), -CNI_ENVIRONMENT);
	assert_str_contains(err.text, sentence);
}

static void refusals(void **state)
{
	char text[ENV_ARGS_BYTES + 2];

	refuses("X=1", "'X' is unknown");
	refuses("IgnoreUnknown=false;X=1", "'X' is unknown");
	refuses("=1", "KEY=VALUE");
	refuses("K8S_POD_NAME", "KEY=VALUE");
	refuses("K8S_POD_NAME=a;K8S_POD_NAME=a", "K8S_POD_NAME is there twice");
	refuses("K8S_POD_NAME=../a", "K8S_POD_NAME '../a'");
	refuses("K8S_POD_UID=a b", "K8S_POD_UID 'a b'");
	refuses("IgnoreUnknown=yes", "IgnoreUnknown 'yes'");
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	refuses(text, "CNI_ARGS is longer than");
	memcpy(text, "K8S_POD_NAME=", 13);
	text[13 + ENV_POD_BYTES] = '\0';
	assert_ok_err(args(text), &err);
	text[13 + ENV_POD_BYTES] = 'a';
	text[14 + ENV_POD_BYTES] = '\0';
	refuses(text, "longer than 253 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(any_order),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
