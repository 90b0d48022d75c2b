// SPDX-License-Identifier: Apache-2.0
// add.c - a pod's interface: shut first, then written down, then given to the agent.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/control/control.h"
#include "cni/ask.h"
#include "cni/command.h"
#include "cni/record.h"
#include "cni/result.h"
#include "cni/shut.h"

#define RECORD_VERSION 1
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void add_text(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

static void add_number(struct json_object *json, const char *key, int number)
{
	json_object_object_add(json, key, json_object_new_int(number));
}

static void read_boot(char ret[static 64])
{
	_cleanup_close_ int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, 63);

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

// Of two records of one pod the younger one is right.
static int64_t since_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void add_device(struct json_object *json, const struct device *device)
{
	const uint8_t *m = device->mac;
	char mac[32];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
	add_text(json, "device", device->name);
	add_number(json, "ifindex", device->ifindex);
	add_text(json, "mac", mac);
}

// The record, which is the agent's request as well.
static struct json_object *describe(const struct call *call, const struct device *device,
				    const struct prev *prev)
{
	struct json_object *json = json_object_new_object(), *addresses = json_object_new_array();
	char boot[64];

	read_boot(boot);
	add_number(json, "version", RECORD_VERSION);
	add_text(json, "boot", boot);
	json_object_object_add(json, "made", json_object_new_int64(since_boot_ms()));
	add_text(json, "container", call->env.container);
	add_text(json, "ifname", call->env.ifname);
	add_text(json, "netns", call->env.netns);
	add_text(json, "network", call->conf.name);
	add_text(json, "namespace", call->env.pod.namespace);
	add_text(json, "name", call->env.pod.name);
	if (call->env.pod.uid[0])
		add_text(json, "uid", call->env.pod.uid);
	add_device(json, device);
	for (unsigned int i = 0; i < prev->naddresses; i++)
		json_object_array_add(addresses, json_object_new_string(prev->addresses[i]));
	json_object_object_add(json, "addresses", addresses);
	return json;
}

static int answer(const struct call *call, struct err *reterr)
{
	if (fwrite(call->conf.prev_text, 1, call->conf.prev_len, stdout) == call->conf.prev_len &&
	    fflush(stdout) == 0)
		return 0;
	return err_set(reterr, -CNI_IO, "cannot write the result: %s", strerror(errno));
}

// ---- what the agent said ------------------------------------------------------------------------------

static int not_in_time(const struct call *call, const char *why, struct err *reterr)
{
	if (call->conf.on_timeout == CONF_SLOW_FAIL)
		return err_set(reterr, -CNI_TRY_LATER,
			       "the policy of pod '%s/%s' is not in force yet: %s",
			       call->env.pod.namespace, call->env.pod.name, why);
	command_note("pod '%s/%s' starts closed, until its policy is in force: %s",
		     call->env.pod.namespace, call->env.pod.name, why);
	return 0;
}

static int no_agent(const struct call *call, const struct err *why, struct err *reterr)
{
	if (call->conf.on_agent_down == CONF_FAIL)
		return err_set(reterr, -CNI_TRY_LATER, "%s", why->text);
	command_note("pod '%s/%s' starts closed, until an agent takes it over: %s",
		     call->env.pod.namespace, call->env.pod.name, why->text);
	return 0;
}

static int refused(int r, const struct err *why, struct err *reterr)
{
	switch (r) {
	case -ENOENT:
		return err_set(reterr, -CNI_NO_POD, "%s", why->text);
	case -ENODEV:
		return err_set(reterr, -CNI_NO_VETH, "%s", why->text);
	case -EBUSY:
		return err_set(reterr, -CNI_TRY_LATER, "%s", why->text);
	default:
		return err_set(reterr, -CNI_REFUSED, "%s", why->text);
	}
}

static int ask(const struct call *call, struct json_object *request, struct err *reterr)
{
	_cleanup_json_ struct json_object *reply = NULL;
	const char *state = "", *why = "the agent did not say why";
	struct err err = { 0 };
	int r;

	add_number(request, "wait_ms", (int)call->conf.timeout_sec * 1000);
	r = ask_agent(&call->conf, "cni.add", request, &reply, &err);
	if (r == -ECONNABORTED || r == -ECANCELED) // the latter: it leaves, and says so
		return no_agent(call, &err, reterr);
	if (r == -ETIMEDOUT)
		return not_in_time(call, err.text, reterr);
	if (r < 0)
		return refused(r, &err, reterr);
	control_string_or(reply, "state", "", &state, NULL);
	control_string_or(reply, "why", why, &why, NULL);
	return strcmp(state, "enforced") != 0 ? not_in_time(call, why, reterr) : 0;
}

// ---- the command --------------------------------------------------------------------------------------

// The runtime will not start it: it stays shut, and nobody waits for it. The runtime waits for the error.
static void give_up(const struct call *call, int folder)
{
	struct call brief = *call;

	brief.conf.timeout_sec = 1;
	record_remove(folder, call->env.container, call->env.ifname, NULL);
	command_forget(&brief);
}

// Shut, written down, asked: in this order, so that whatever comes between leaves the pod closed and known.
static int attach(const struct call *call, const struct device *device, const struct prev *prev,
		  struct err *reterr)
{
	_cleanup_json_ struct json_object *record = describe(call, device, prev);
	_cleanup_close_ int folder = -1;
	int r = shut_device(device->ifindex, device->name, reterr);

	if (r < 0)
		return r;
	folder = record_folder(call->conf.records, reterr);
	if (folder < 0)
		return folder;
	r = record_write(folder, call->env.container, call->env.ifname,
			 json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN), reterr);
	if (r < 0)
		return r;
	r = ask(call, record, reterr);
	if (r < 0)
		give_up(call, folder);
	return r;
}

int command_device(const struct call *call, struct prev *retprev, struct device *ret, struct err *reterr)
{
	_cleanup_close_ int netns = netns_open(call->env.netns, reterr);
	int r = netns < 0 ? netns : prev_read(call->conf.prev, call->env.ifname, retprev, reterr);

	return r < 0 ? r : device_find(netns, call->env.ifname, retprev, ret, reterr);
}

int command_add(const struct call *call, struct err *reterr)
{
	struct device device;
	struct prev prev;
	int r = command_device(call, &prev, &device, reterr);

	if (r == -CNI_NO_VETH && call->conf.on_other == CONF_OTHER_PASS) {
		command_note("pod '%s/%s' is not protected: %s", call->env.pod.namespace,
			     call->env.pod.name, reterr->text);
		return answer(call, reterr);
	}
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < prev.nothers && !device.guessed; i++)
		command_note("policy holds on '%s' of pod '%s/%s' and not on its '%s'",
			     call->env.ifname, call->env.pod.namespace, call->env.pod.name,
			     prev.others[i]);
	r = attach(call, &device, &prev, reterr);
	return r < 0 ? r : answer(call, reterr);
}
