// SPDX-License-Identifier: Apache-2.0
// check.c - is this pod's policy in force, and can the next pod's be.
#include <errno.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/control/control.h"
#include "cni/ask.h"
#include "cni/command.h"
#include "cni/result.h"
#include "cni/shut.h"

static int look(const struct device *device, struct err *reterr)
{
	enum shut_state state;
	int r = shut_look(device->ifindex, &state, reterr);

	if (r < 0 || state == SHUT_GATED)
		return r;
	if (state == SHUT_SHUT)
		return err_set(reterr, -CNI_NOT_ENFORCED,
			       "'%s' is closed: the agent has not taken it over yet", device->name);
	return err_set(reterr, -CNI_NOT_ENFORCED,
		       "the agent's programs are not on both sides of '%s'", device->name);
}

static int refused(int r, const struct err *why, struct err *reterr)
{
	switch (r) {
	case -ENOENT:
		return err_set(reterr, -CNI_UNKNOWN_CONTAINER, "%s", why->text);
	case -ECONNABORTED:
	case -ETIMEDOUT:
		return err_set(reterr, -CNI_TRY_LATER, "%s", why->text);
	default:
		return err_set(reterr, -CNI_REFUSED, "%s", why->text);
	}
}

static int ask(const struct call *call, const struct device *device, struct err *reterr)
{
	_cleanup_json_ struct json_object *request = json_object_new_object(), *reply = NULL;
	const char *state = "", *why = "its policy is not in force";
	struct err err = { 0 };
	int r;

	json_object_object_add(request, "container", json_object_new_string(call->env.container));
	json_object_object_add(request, "ifname", json_object_new_string(call->env.ifname));
	json_object_object_add(request, "ifindex", json_object_new_int(device->ifindex));
	r = ask_agent(&call->conf, "cni.check", request, &reply, &err);
	if (r < 0)
		return refused(r, &err, reterr);
	control_string_or(reply, "state", "", &state, NULL);
	control_string_or(reply, "why", why, &why, NULL);
	if (!strcmp(state, "enforced"))
		return 0;
	return err_set(reterr, -CNI_NOT_ENFORCED, "'%s' of container '%s': %s", call->env.ifname,
		       call->env.container, why);
}

// A pod that is closed may be on its way: it is asked for as long as ADD would wait.
static int ask_until_settled(const struct call *call, const struct device *device,
			     struct err *reterr)
{
	int64_t deadline = ask_now_ms() + (int64_t)call->conf.timeout_sec * 1000;
	int r;

	while ((r = ask(call, device, reterr)) == -CNI_NOT_ENFORCED && ask_now_ms() < deadline)
		ask_pause();
	return r;
}

int command_check(const struct call *call, struct err *reterr)
{
	struct device device;
	struct prev prev;
	int r = command_device(call, &prev, &device, reterr);

	if (r == -CNI_NO_VETH && call->conf.on_other == CONF_OTHER_PASS)
		return 0;
	if (r == 0)
		r = ask_until_settled(call, &device, reterr);
	return r == 0 ? look(&device, reterr) : r;
}

// ---- STATUS -------------------------------------------------------------------------------------------

// With onAgentDown "quarantine" pods do start, but closed: who is there suffers.
static int down_code(const struct call *call)
{
	return call->conf.on_agent_down == CONF_QUARANTINE ? -CNI_LIMITED : -CNI_UNAVAILABLE;
}

int command_status(const struct call *call, struct err *reterr)
{
	_cleanup_json_ struct json_object *request = json_object_new_object(), *reply = NULL;
	const char *text = "the agent is not ready";
	struct err err = { 0 };
	int64_t code = 0;
	int r = ask_agent(&call->conf, "cni.status", request, &reply, &err);

	if (r < 0)
		return err_set(reterr, down_code(call), "%s", err.text);
	r = control_number(reply, "code", 0, CNI_LIMITED, CNI_UNAVAILABLE, &code, &err);
	control_string_or(reply, "text", text, &text, NULL);
	if (r == 0 && code == 0)
		return 0;
	return err_set(reterr, code == CNI_LIMITED ? -CNI_LIMITED : -CNI_UNAVAILABLE, "%s", text);
}
