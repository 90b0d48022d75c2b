// SPDX-License-Identifier: Apache-2.0
// env.c - the variables of a runtime, each checked before it is used.
#include "cni/env.h"

#include <ctype.h>
#include <net/if.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cni/result.h"

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool env_is_name(const char *text)
{
	if (!is_word(text[0]))
		return false;
	for (; *text; text++)
		if (!is_word(*text) && !strchr("_.-", *text))
			return false;
	return true;
}

// As the kernel has it, and printable, since it becomes part of a file's name.
bool env_is_ifname(const char *text)
{
	size_t len = strlen(text);

	if (!len || len >= IFNAMSIZ || !strcmp(text, ".") || !strcmp(text, ".."))
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || *text == '/' || *text == ':')
			return false;
	return true;
}

// ---- CNI_ARGS ---------------------------------------------------------------------------------------

struct args {
	struct pod pod;
	bool ignore_unknown;
	char unknown[64]; // the first
	unsigned int seen; // by place in the table
};

static const struct arg {
	const char *key;
	size_t offset, bytes; // in struct pod; 0 bytes: not kept
} known[] = {
	{ "K8S_POD_NAMESPACE", offsetof(struct pod, namespace), ENV_NAMESPACE_BYTES },
	{ "K8S_POD_NAME", offsetof(struct pod, name), ENV_POD_BYTES },
	{ "K8S_POD_UID", offsetof(struct pod, uid), ENV_UID_BYTES },
	{ "K8S_POD_INFRA_CONTAINER_ID" },
	{ "IgnoreUnknown" },
	{ NULL },
};

static const struct arg *find_arg(const char *key, size_t len)
{
	const struct arg *arg = known;

	while (arg->key && (strlen(arg->key) != len || memcmp(arg->key, key, len) != 0))
		arg++;
	return arg;
}

static int keep(const struct arg *arg, struct args *args, const char *value, size_t len,
		struct err *reterr)
{
	char *field = (char *)&args->pod + arg->offset;

	if (len > arg->bytes)
		return err_set(reterr, -CNI_ENVIRONMENT, "CNI_ARGS: %s is longer than %zu bytes",
			       arg->key, arg->bytes);
	memcpy(field, value, len);
	field[len] = '\0';
	if (len && !env_is_name(field))
		return err_set(
			reterr, -CNI_ENVIRONMENT,
			"CNI_ARGS: %s '%.64s' must begin with a letter or digit and have only those and _ . -",
			arg->key, field);
	return 0;
}

static int set_ignore(struct args *args, const char *value, size_t len, struct err *reterr)
{
	bool yes = (len == 1 && *value == '1') || (len == 4 && !strncasecmp(value, "true", 4));
	bool no = (len == 1 && *value == '0') || (len == 5 && !strncasecmp(value, "false", 5));

	args->ignore_unknown = yes;
	if (yes || no)
		return 0;
	return err_set(reterr, -CNI_ENVIRONMENT,
		       "CNI_ARGS: IgnoreUnknown '%.*s' is none of 1, true, 0, false",
		       len < 64 ? (int)len : 64, value);
}

static int take_pair(struct args *args, const char *pair, size_t len, struct err *reterr)
{
	const char *equals = memchr(pair, '=', len);
	size_t key = equals ? (size_t)(equals - pair) : len, value = equals ? len - key - 1 : 0;
	const struct arg *arg = find_arg(pair, key);
	unsigned int bit = 1u << (arg - known);

	if (!equals || !key)
		return err_set(reterr, -CNI_ENVIRONMENT, "CNI_ARGS: '%.*s' is no KEY=VALUE",
			       len < 64 ? (int)len : 64, pair);
	if (!arg->key) {
		if (!args->unknown[0])
			snprintf(args->unknown, sizeof(args->unknown), "%.*s",
				 key < 63 ? (int)key : 63, pair);
		return 0;
	}
	if (args->seen & bit)
		return err_set(reterr, -CNI_ENVIRONMENT, "CNI_ARGS: %s is there twice", arg->key);
	args->seen |= bit;
	if (!strcmp(arg->key, "IgnoreUnknown"))
		return set_ignore(args, equals + 1, value, reterr);
	return arg->bytes ? keep(arg, args, equals + 1, value, reterr) : 0;
}

int env_parse_args(const char *text, struct pod *ret, struct err *reterr)
{
	struct args args = { 0 };
	int r;

	if (strlen(text) > ENV_ARGS_BYTES)
		return err_set(reterr, -CNI_ENVIRONMENT, "CNI_ARGS is longer than %d bytes",
			       ENV_ARGS_BYTES);
	while (*text) {
		size_t len = strcspn(text, ";");

		r = len ? take_pair(&args, text, len, reterr) : 0;
		if (r < 0)
			return r;
		text += len;
		text += *text == ';';
	}
	if (args.unknown[0] && !args.ignore_unknown)
		return err_set(reterr, -CNI_ENVIRONMENT,
			       "CNI_ARGS: '%s' is unknown, and IgnoreUnknown=1 is not there",
			       args.unknown);
	*ret = args.pod;
	return 0;
}

// ---- all of them ------------------------------------------------------------------------------------

static const char *get(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int missing(const char *name, struct err *reterr)
{
	return err_set(reterr, -CNI_ENVIRONMENT, "%s is not set", name);
}

static int check_container(const char *text, struct err *reterr)
{
	if (strlen(text) > ENV_CONTAINER_BYTES)
		return err_set(reterr, -CNI_ENVIRONMENT, "CNI_CONTAINERID is longer than %d bytes",
			       ENV_CONTAINER_BYTES);
	if (!env_is_name(text))
		return err_set(
			reterr, -CNI_ENVIRONMENT,
			"CNI_CONTAINERID '%.64s' must begin with a letter or digit and have only those and _ . -",
			text);
	return 0;
}

// A runtime that knows no namespaces, as podman, tells the name alone: its pods are each in a namespace of that name.
static int check_pod(struct pod *pod, struct err *reterr)
{
	if (!pod->name[0])
		return err_set(reterr, -CNI_ENVIRONMENT,
			       "CNI_ARGS has no K8S_POD_NAME: which pod this is is not known");
	if (pod->namespace[0])
		return 0;
	if (strlen(pod->name) > ENV_NAMESPACE_BYTES)
		return err_set(
			reterr, -CNI_ENVIRONMENT,
			"CNI_ARGS: K8S_POD_NAME is longer than %d bytes, and K8S_POD_NAMESPACE is not there",
			ENV_NAMESPACE_BYTES);
	memcpy(pod->namespace, pod->name, strlen(pod->name) + 1);
	return 0;
}

int env_read(unsigned int needed, struct env *ret, struct err *reterr)
{
	const char *args = get("CNI_ARGS");
	int r = 0;

	*ret = (struct env){ get("CNI_CONTAINERID"), get("CNI_NETNS"), get("CNI_IFNAME") };
	if ((needed & ENV_CONTAINER) && !ret->container)
		return missing("CNI_CONTAINERID", reterr);
	if ((needed & ENV_NETNS) && !ret->netns)
		return missing("CNI_NETNS", reterr);
	if ((needed & ENV_IFNAME) && !ret->ifname)
		return missing("CNI_IFNAME", reterr);
	if (ret->container)
		r = check_container(ret->container, reterr);
	if (r == 0 && ret->ifname && !env_is_ifname(ret->ifname))
		r = err_set(reterr, -CNI_ENVIRONMENT,
			    "CNI_IFNAME '%.64s' is no name of an interface", ret->ifname);
	if (r == 0 && ret->netns && strlen(ret->netns) >= ENV_PATH_BYTES)
		r = err_set(reterr, -CNI_ENVIRONMENT, "CNI_NETNS is longer than %d bytes",
			    ENV_PATH_BYTES - 1);
	if (r == 0 && args && (needed & ENV_POD))
		r = env_parse_args(args, &ret->pod, reterr);
	if (r == 0 && (needed & ENV_POD))
		r = check_pod(&ret->pod, reterr);
	return r;
}
