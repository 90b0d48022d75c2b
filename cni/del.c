// SPDX-License-Identifier: Apache-2.0
// del.c - attachments that are gone: their records first, then the agent is told.
//
// Nothing is taken off a device: it goes with its pod, and taking the programs off first would open it.
#include <errno.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "cni/ask.h"
#include "cni/command.h"
#include "cni/device.h"
#include "cni/record.h"
#include "cni/result.h"

static int drop_record(const struct call *call, struct err *reterr)
{
	_cleanup_close_ int folder = record_folder_found(call->conf.records, reterr);

	if (folder == -ENOENT)
		return 0;
	if (folder < 0)
		return folder;
	return record_remove(folder, call->env.container, call->env.ifname, reterr);
}

// An agent that is not there sees at its start that the record is gone.
static void tell(const struct call *call, const char *op, struct json_object *request)
{
	_cleanup_json_ struct json_object *reply = NULL;
	struct err err = { 0 };
	int r = ask_agent(&call->conf, op, request, &reply, &err);

	if (r < 0 && r != -ECONNABORTED)
		command_note("%s: %s", op, err.text);
}

void command_forget(const struct call *call)
{
	_cleanup_json_ struct json_object *request = json_object_new_object();

	json_object_object_add(request, "container", json_object_new_string(call->env.container));
	json_object_object_add(request, "ifname", json_object_new_string(call->env.ifname));
	tell(call, "cni.del", request);
}

int command_del(const struct call *call, struct err *reterr)
{
	int r = drop_record(call, reterr);

	command_forget(call);
	if (r == 0 && call->env.netns)
		r = netns_not_own(call->env.netns, reterr);
	return r;
}

// ---- GC -----------------------------------------------------------------------------------------------

static const char *field(struct json_object *json, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(json, json_type_object) ||
	    !json_object_object_get_ex(json, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static int is_valid(void *arg, const char *container, const char *ifname)
{
	struct json_object *list = arg;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);

		if (!strcmp(field(item, "containerID"), container) &&
		    !strcmp(field(item, "ifname"), ifname))
			return 1;
	}
	return 0;
}

static int check_list(struct json_object *list, struct err *reterr)
{
	if (!list)
		return err_set(reterr, -CNI_CONFIG,
			       "the configuration has no 'cni.dev/valid-attachments'");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);

		if (!field(item, "containerID") || !field(item, "ifname"))
			return err_set(
				reterr, -CNI_CONFIG,
				"'cni.dev/valid-attachments[%zu]' has no 'containerID' or no 'ifname'",
				i);
	}
	return 0;
}

// Valid attachments are this network's alone: the agent goes by the records that are left, which are every network's.
int command_gc(const struct call *call, struct err *reterr)
{
	_cleanup_json_ struct json_object *request = json_object_new_object();
	_cleanup_close_ int folder = -1;
	int r = check_list(call->conf.valid, reterr);

	if (r < 0)
		return r;
	folder = record_folder_found(call->conf.records, reterr);
	if (folder >= 0)
		r = record_sweep(folder, call->conf.name, is_valid, call->conf.valid, reterr);
	else
		r = folder == -ENOENT ? 0 : folder;
	tell(call, "cni.gc", request);
	return r;
}
