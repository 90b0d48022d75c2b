// SPDX-License-Identifier: Apache-2.0
// conf.c - reading a network configuration.
#include "cni/conf.h"

#include <stddef.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "cni/env.h"
#include "cni/member.h"
#include "cni/result.h"

const char *const conf_versions[CONF_VERSIONS] = { "1.1.0", "1.0.0", "0.4.0", "0.3.1", "0.3.0" };

#define KEY(field) offsetof(struct conf, field)
const struct option conf_keys[] = {
	{ "socket", 0, OPTION_TEXT, KEY(socket), "PATH", "the agent's control socket",
	  .fallback = "/run/bulkhead/control.sock" },
	{ "records", 0, OPTION_TEXT, KEY(records), "FOLDER",
	  "where pods that were added are written down, for an agent that starts later; root's own, no symlink on the way",
	  .fallback = "/run/bulkhead/cni" },
	{ "timeoutSeconds", 0, OPTION_NUMBER, KEY(timeout_sec), "N",
	  "how long ADD waits until the pod's policy is in force", .fallback = "10", .min = 1,
	  .max = CONF_SECONDS },
	{ "onAgentDown", 0, OPTION_CHOICE, KEY(on_agent_down), "fail|quarantine",
	  "no agent answers: ADD fails with error 11, or the pod starts closed and is taken over later",
	  .fallback = "fail", .choices = "fail|quarantine" },
	{ "onTimeout", 0, OPTION_CHOICE, KEY(on_timeout), "quarantine|fail",
	  "the wait is over: the pod starts closed until its policy is in force, or ADD fails with error 11",
	  .fallback = "quarantine", .choices = "quarantine|fail" },
	{ "onOtherInterface", 0, OPTION_CHOICE, KEY(on_other), "fail|pass",
	  "the pod's interface is no veth of this node: ADD fails, or leaves it alone and says so on standard error",
	  .fallback = "fail", .choices = "fail|pass" },
	{ NULL },
};
static const struct option *const tables[] = { conf_keys, NULL };

// ---- single members ---------------------------------------------------------------------------------

static int text_of(const struct member *member, const char **ret, struct err *reterr)
{
	const char *text = json_object_get_string(member->value);

	if (!json_object_is_type(member->value, json_type_string))
		return err_set(reterr, -CNI_CONFIG, "'%.64s' is no text", member->key);
	if (strlen(text) != (size_t)json_object_get_string_len(member->value))
		return err_set(reterr, -CNI_CONFIG, "'%.64s' holds a zero byte", member->key);
	*ret = text;
	return 0;
}

static int set_path(const struct option *key, struct conf *conf, const struct member *member,
		    struct err *reterr)
{
	const char *path;
	int r = text_of(member, &path, reterr);

	if (r < 0)
		return r;
	if (path[0] != '/')
		return err_set(reterr, -CNI_CONFIG, "'%s': '%.64s' is no path from the root",
			       key->name, path);
	if (strlen(path) >= CONF_PATH_BYTES)
		return err_set(reterr, -CNI_CONFIG, "'%s' is longer than %d bytes", key->name,
			       CONF_PATH_BYTES - 1);
	return option_set(key, conf, path, reterr);
}

static int set_number(const struct option *key, struct conf *conf, const struct member *member,
		      struct err *reterr)
{
	if (json_object_is_type(member->value, json_type_int) &&
	    option_set(key, conf, json_object_get_string(member->value), NULL) == 0)
		return 0;
	return err_set(reterr, -CNI_CONFIG, "'%s': %.*s is no whole number in %d..%d", key->name,
		       member->len < 64 ? (int)member->len : 64, member->text, (int)key->min,
		       (int)key->max);
}

static int set_choice(const struct option *key, struct conf *conf, const struct member *member,
		      struct err *reterr)
{
	const char *choice;
	int r = text_of(member, &choice, reterr);

	if (r < 0)
		return r;
	if (option_set(key, conf, choice, NULL) == 0)
		return 0;
	return err_set(reterr, -CNI_CONFIG, "'%s': '%.64s' is none of %s", key->name, choice,
		       key->choices);
}

static int set_key(const struct option *key, struct conf *conf, const struct member *member,
		   struct err *reterr)
{
	switch (key->kind) {
	case OPTION_TEXT:
		return set_path(key, conf, member, reterr);
	case OPTION_NUMBER:
		return set_number(key, conf, member, reterr);
	default:
		return set_choice(key, conf, member, reterr);
	}
}

static int set_prev(struct conf *conf, const struct member *member, struct err *reterr)
{
	if (!json_object_is_type(member->value, json_type_object))
		return err_set(reterr, -CNI_CONFIG, "'prevResult' is no object");
	conf->prev = member->value;
	conf->prev_text = member->text;
	conf->prev_len = member->len;
	return 0;
}

// null is how Go writes a list that is empty: none is valid any more.
static int set_valid(struct conf *conf, const struct member *member, struct err *reterr)
{
	struct json_object *none;

	if (member->value && !json_object_is_type(member->value, json_type_array))
		return err_set(reterr, -CNI_CONFIG, "'cni.dev/valid-attachments' is no list");
	conf->valid = member->value;
	if (conf->valid)
		return 0;
	none = json_object_new_array();
	if (!none || json_object_array_add(conf->json, none) < 0) {
		json_object_put(none);
		return err_set(reterr, -CNI_IO, "out of memory");
	}
	conf->valid = none;
	return 0;
}

// Keys of others, and those that are for the runtime, are none of ours.
static int take_member(void *arg, const struct member *member, struct err *reterr)
{
	struct conf *conf = arg;
	const struct option *key;

	if (json_object_array_add(conf->json, json_object_get(member->value)) < 0) // keeps it
		return err_set(reterr, -CNI_IO, "out of memory");
	if (!strcmp(member->key, "cniVersion"))
		return text_of(member, &conf->version_text, reterr);
	if (!strcmp(member->key, "name"))
		return text_of(member, &conf->name, reterr);
	if (!strcmp(member->key, "prevResult") && member->value)
		return set_prev(conf, member, reterr);
	if (!strcmp(member->key, "cni.dev/valid-attachments"))
		return set_valid(conf, member, reterr);
	key = member->key[0] == '-' ? NULL : option_find(tables, member->key);
	return key ? set_key(key, conf, member, reterr) : 0;
}

// ---- the whole --------------------------------------------------------------------------------------

static int find_version(struct conf *conf, struct err *reterr)
{
	const char *text = conf->version_text;

	conf->version_text = NULL;
	if (!text)
		return err_set(
			reterr, -CNI_INCOMPATIBLE,
			"the configuration has no 'cniVersion': 0.3.0 to 1.1.0 are understood");
	for (int i = 0; i < CONF_VERSIONS; i++) {
		if (!strcmp(text, conf_versions[i])) {
			conf->version = (enum conf_version)i;
			conf->version_text = conf_versions[i];
			return 0;
		}
	}
	return err_set(reterr, -CNI_INCOMPATIBLE,
		       "'cniVersion': '%.64s' is none of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0", text);
}

int conf_parse(const char *text, size_t len, struct conf *ret, struct err *reterr)
{
	int r;

	*ret = (struct conf){ .json = json_object_new_array() };
	if (!ret->json)
		return err_set(reterr, -CNI_IO, "out of memory");
	r = option_defaults(tables, ret, reterr);
	if (r < 0)
		return err_set(reterr, -CNI_CONFIG, "the defaults are wrong");
	r = member_each(text, len, CONF_DEPTH, take_member, ret, reterr);
	if (r < 0) {
		find_version(ret, NULL);
		return r;
	}
	r = find_version(ret, reterr);
	if (r < 0)
		return r;
	if (!ret->name)
		return err_set(reterr, -CNI_CONFIG, "the configuration has no 'name'");
	if (strlen(ret->name) > CONF_NAME_BYTES)
		return err_set(reterr, -CNI_CONFIG, "'name' is longer than %d bytes",
			       CONF_NAME_BYTES);
	if (!env_is_name(ret->name))
		return err_set(
			reterr, -CNI_CONFIG,
			"'name': '%.64s' must begin with a letter or digit and have only those and _ . -",
			ret->name);
	return 0;
}

void conf_fini(struct conf *conf)
{
	json_object_put(conf->json);
	*conf = (struct conf){ 0 };
}

const char *conf_version_of(const char *text, size_t len)
{
	struct conf conf;
	const char *version;

	conf_parse(text, len, &conf, NULL);
	version = conf.version_text; // a constant of ours
	conf_fini(&conf);
	return version;
}
