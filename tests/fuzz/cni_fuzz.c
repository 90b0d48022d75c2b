// SPDX-License-Identifier: Apache-2.0
// cni_fuzz.c - any CNI_ARGS (up to the first zero byte) and any standard input (behind it) of the CNI plugin: no crash, no
// leak; what is taken for prevResult is a slice of the input that says the same; what is told of errors is JSON.
#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "cni/conf.h"
#include "cni/env.h"
#include "cni/prev.h"
#include "cni/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct err *err, const char *version)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct json_object *json;

	assert(out && err->code < 0 && err->text[0]);
	result_error(out, version, err);
	fclose(out);
	json = json_tokener_parse(text);
	assert(json_object_is_type(json, json_type_object));
	json_object_put(json);
}

static void check_prev(const struct conf *conf, const char *text, size_t len)
{
	_cleanup_free_ char *slice = strndup(conf->prev_text, conf->prev_len);
	_cleanup_json_ struct json_object *again = json_tokener_parse(slice);
	unsigned char address[16];
	struct err err = { 0 };
	struct prev prev;

	assert(conf->prev_text >= text && conf->prev_text + conf->prev_len <= text + len);
	assert(slice[0] == '{' && slice[conf->prev_len - 1] == '}');
	assert(json_object_is_type(again, json_type_object));
	assert(json_object_object_length(again) == json_object_object_length(conf->prev));
	if (prev_read(conf->prev, "eth0", &prev, &err) < 0) {
		check_error(&err, NULL);
		return;
	}
	for (unsigned int i = 0; i < prev.naddresses; i++)
		assert(inet_pton(AF_INET, prev.addresses[i], address) == 1 ||
		       inet_pton(AF_INET6, prev.addresses[i], address) == 1);
	for (unsigned int i = 0; i < prev.nhost; i++)
		assert(env_is_ifname(prev.host[i]));
}

static void check_args(const char *text)
{
	struct err err = { 0 };
	struct pod pod;

	if (env_parse_args(text, &pod, &err) < 0) {
		check_error(&err, NULL);
		return;
	}
	assert(!pod.namespace[0] || env_is_name(pod.namespace));
	assert(!pod.name[0] || env_is_name(pod.name));
	assert(!pod.uid[0] || env_is_name(pod.uid));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *args = strndup((const char *)data, size);
	size_t skip = strlen(args) < size ? strlen(args) + 1 : 0;
	_cleanup_free_ char *text = calloc(1, size - skip + 1);
	struct err err = { 0 };
	struct conf conf;

	if (skip)
		check_args(args);
	memcpy(text, data + skip, size - skip);
	if (conf_parse(text, size - skip, &conf, &err) < 0)
		check_error(&err, conf.version_text);
	else if (conf.prev)
		check_prev(&conf, text, size - skip);
	conf_fini(&conf);
	return 0;
}
