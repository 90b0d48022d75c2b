// SPDX-License-Identifier: Apache-2.0
// ops_cni.c - cni.add, cni.del, cni.check, cni.gc and cni.status: what the CNI plugin asks and tells.
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "agent/daemon/health.h"
#include "agent/daemon/json.h"

#define VALID_MAX 65536

int op_cni_add(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct attachment attachment;
	int64_t wait_ms;
	int r = attachment_parse(request, &attachment, reterr);

	if (r >= 0)
		r = control_number(request, "wait_ms", 0, CNI_WAIT_MAX_MS, 0, &wait_ms, reterr);
	return r < 0 ? r : daemon_cni_add(arg, &attachment, wait_ms, reterr);
}

int op_cni_del(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	struct attachment name;
	int r = attachment_parse_name(request, &name, reterr);

	if (r < 0)
		return r;
	if (endpoints_attachment_remove(daemon->endpoints, &name))
		daemon_kick(daemon);
	return 0;
}

int op_cni_check(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	const struct attachment *attachment;
	struct attachment name;
	int64_t ifindex;
	int r = attachment_parse_name(request, &name, reterr);

	if (r >= 0)
		r = control_number(request, "ifindex", 0, INT32_MAX, 0, &ifindex, reterr);
	if (r < 0)
		return r;
	attachment = endpoints_attachment_find(daemon->endpoints, &name);
	if (!attachment)
		return err_set(reterr, -ENOENT, "container %.64s: no attachment %s is known", name.container,
			       name.ifname);
	if (ifindex && ifindex != attachment->ifindex)
		return err_set(reterr, -ENODEV, "container %.64s: %s was given device %d, not %lld",
			       name.container, name.ifname, attachment->ifindex, (long long)ifindex);
	*ret = attachment_state_json(daemon, attachment);
	return 0;
}

// ---- what is valid ----------------------------------------------------------------------------------------------

typedef VEC(struct attachment) names_t;

static int read_valid(struct json_object *request, names_t *ret, struct err *reterr)
{
	struct json_object *list = json_object_object_get(request, "valid");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : VALID_MAX + 1;
	struct attachment name;

	if (n > VALID_MAX)
		return err_set(reterr, -EINVAL, "'valid' is no list of at most %d names", VALID_MAX);
	for (size_t i = 0; i < n; i++) {
		if (attachment_parse_name(json_object_array_get_idx(list, i), &name, reterr) < 0)
			return err_wrap(reterr, "valid[%zu]", i);
		if (vec_push(ret, name) < 0)
			return err_set(reterr, -ENOMEM, "out of memory");
	}
	return 0;
}

struct recorded {
	names_t *names;
	struct err err; // of the first record that cannot be read
};

static int add_recorded(void *arg, const struct attachment *attachment)
{
	return vec_push(((struct recorded *)arg)->names, *attachment);
}

static void note_unread(void *arg, const char *where, const char *text)
{
	struct recorded *recorded = arg;

	if (!recorded->err.code)
		err_set(&recorded->err, -EIO, "%s: %s", where, text);
}

// No list: those are valid that are recorded. One that cannot be read might be valid, too.
static int read_recorded(struct daemon *daemon, names_t *ret, struct err *reterr)
{
	struct recorded recorded = { .names = ret };
	char folder[PATH_MAX];
	int r = records_read(daemon_cni_folder(daemon->config, folder, sizeof(folder)), add_recorded,
			     note_unread, &recorded);

	if (r < 0)
		return err_set(reterr, r, "the records: %s", strerror(-r));
	return recorded.err.code ? err_set(reterr, recorded.err.code, "%s", recorded.err.text) : 0;
}

static bool is_valid(const names_t *names, const struct attachment *attachment)
{
	vec_each(const struct attachment, name, names)
		if (attachment_same(name, attachment))
			return true;
	return false;
}

static uint64_t drop_others(struct daemon *daemon, const names_t *names)
{
	const struct attachment *attachment;
	uint64_t dropped = 0;
	size_t at = 0;

	while ((attachment = endpoints_attachment_at(daemon->endpoints, at))) {
		struct attachment name = *attachment;

		if (is_valid(names, attachment))
			at++;
		else
			dropped += endpoints_attachment_remove(daemon->endpoints, &name);
	}
	return dropped;
}

int op_cni_gc(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	names_t names = { 0 };
	int r = json_object_object_get(request, "valid") ? read_valid(request, &names, reterr) :
							  read_recorded(daemon, &names, reterr);

	if (r >= 0) {
		*ret = json_object_new_object();
		add_number(*ret, "dropped", drop_others(daemon, &names));
		daemon_kick(daemon);
	}
	vec_fini(&names);
	return r < 0 ? r : 0;
}

// ---- whether pods may come ----------------------------------------------------------------------------------------

#define CNI_UNAVAILABLE 50
#define CNI_LIMITED 51 // and pods that are there suffer, too

static const char *why_unavailable(const struct daemon *daemon)
{
	if (!daemon->source || !source_synced(daemon->source))
		return "the agent has not read yet what is there: new pods stay shut until it has";
	if (daemon_hung(daemon))
		return "the agent's work does not come back: new pods stay shut";
	if (daemon->stopped || !daemon->tables_adopted)
		return "the kernel's tables do not hold what was compiled: new pods stay shut";
	return NULL;
}

int op_cni_status(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	const char *why = why_unavailable(daemon);
	bool limited = daemon->lacking || endpoints_unowned(daemon->endpoints);
	struct json_object *json = json_object_new_object();

	add_bool(json, "ready", !why);
	add_number(json, "code", !why ? 0 : limited ? CNI_LIMITED : CNI_UNAVAILABLE);
	add_text(json, "text", why ? why : "ready");
	*ret = json;
	return 0;
}
