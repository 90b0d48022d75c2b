// SPDX-License-Identifier: Apache-2.0
// check.c - the suggestion asked about all that was seen, by the compiler and the matrices of the agent, and the report.
#include "agent/suggest/suggest_private.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "agent/sim/sim.h"

#define POD_BLOCK 0xf0000000u // 240.0.0.0/4: nothing that was seen has such an address

// ---- a cluster of what was seen ------------------------------------------------------------------------------------

static int put_object(struct sim *sim, enum kind kind, struct json_object *json, struct err *reterr)
{
	struct object *object;
	int r = object_parse(kind, json, &object, reterr);

	if (r < 0)
		return r;
	if (object->problem) {
		err_set(reterr, -E2BIG, "a policy for %s cannot be written: %s", object->ns, object->problem);
		object_put(object);
		return -E2BIG;
	}
	return sim_put(sim, object);
}

static struct json_object *manifest(const char *ns, const char *name)
{
	struct json_object *json = json_object_new_object(), *metadata = json_object_new_object();

	put_text(metadata, "name", name);
	if (ns)
		put_text(metadata, "namespace", ns);
	put(json, "metadata", metadata);
	return json;
}

// Addresses of their own: one that several pods had after each other would be the last one's alone.
static struct json_object *addresses(uint32_t number)
{
	struct json_object *list = json_object_new_array();
	struct bh_addr addrs[2] = { bh_addr_from4(htonl(POD_BLOCK + number)) };
	char text[64];

	addrs[1] = (struct bh_addr){ { htonl(0x01000000), 0, 0, htonl(number) } }; // 100::/64
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		struct json_object *ip = json_object_new_object();

		put_text(ip, "ip", addr_format(&addrs[i], text, sizeof(text)));
		json_object_array_add(list, ip);
	}
	return list;
}

static int put_pod(struct sim *sim, const struct pod_seen *pod, uint32_t number, struct err *reterr)
{
	_cleanup_json_ struct json_object *json = manifest(pod->card->ns, pod->card->name);
	struct json_object *labels = json_object_new_object(), *status = json_object_new_object();

	for (uint32_t i = 0; i < pod->card->nlabels; i++)
		put_text(labels, pod->card->labels[i].key, pod->card->labels[i].value);
	put(json_object_object_get(json, "metadata"), "labels", labels);
	put(status, "podIPs", addresses(number));
	put(json, "status", status);
	return put_object(sim, KIND_POD, json, reterr);
}

static int put_namespace(struct sim *sim, const char *name, struct err *reterr)
{
	_cleanup_json_ struct json_object *json = manifest(NULL, name);

	return put_object(sim, KIND_NAMESPACE, json, reterr);
}

static int build(const struct suggest *suggest, struct json_object *policies, struct sim *sim, struct err *reterr)
{
	const char *ns = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < suggest->pods.n; i++) {
		const struct pod_seen *pod = suggest->pods.v[i];

		if (!ns || strcmp(ns, pod->card->ns))
			r = put_namespace(sim, pod->card->ns, reterr);
		ns = pod->card->ns;
		if (r == 0)
			r = put_pod(sim, pod, (uint32_t)i + 1, reterr);
	}
	for (size_t i = 0; r == 0 && i < json_object_array_length(policies); i++)
		r = put_object(sim, KIND_NETPOL, json_object_array_get_idx(policies, i), reterr);
	return r;
}

// ---- asking --------------------------------------------------------------------------------------------------------

static void name_end(const struct pod_seen *pod, const struct bh_addr *addr, const char *prefix, char *buf, size_t bytes)
{
	char text[64];

	if (pod)
		snprintf(buf, bytes, "%s/%s", pod->card->ns, pod->card->name);
	else
		snprintf(buf, bytes, "%s%s", prefix, addr_format(addr, text, sizeof(text)));
}

static int ask(struct sim *sim, const struct tuple *tuple, bool *retallow, struct err *reterr)
{
	const struct sim_end *from, *to;
	struct sim_end self, peer;
	struct sim_answer answer;
	char text[600];
	int r;

	name_end(tuple->self, NULL, "", text, sizeof(text));
	r = sim_end_parse(sim, text, &self, reterr);
	name_end(tuple->peer, &tuple->addr, "ip:", text, sizeof(text));
	if (r == 0)
		r = sim_end_parse(sim, text, &peer, reterr);
	if (r < 0)
		return r;
	from = tuple->dir == BH_EGRESS ? &self : &peer;
	to = tuple->dir == BH_EGRESS ? &peer : &self;
	r = sim_ask(sim, from, to, tuple->proto, tuple->port, bh_addr_is4(&tuple->addr) ? 4 : 6, &answer, reterr);
	if (r < 0)
		return r;
	*retallow = answer.allow;
	sim_answer_fini(&answer);
	return 0;
}

// ---- report: flows -------------------------------------------------------------------------------------------------

static struct json_object *tuple_json(const struct tuple *tuple)
{
	struct json_object *json = json_object_new_object();
	bool out = tuple->dir == BH_EGRESS;
	char self[600], peer[600];

	name_end(tuple->self, NULL, "", self, sizeof(self));
	name_end(tuple->peer, &tuple->addr, "", peer, sizeof(peer));
	put_text(json, "direction", out ? "egress" : "ingress");
	put_text(json, "source", out ? self : peer);
	put_text(json, "destination", out ? peer : self);
	put_text(json, "protocol", protocol_name(tuple->proto));
	if (proto_has_ports(tuple->proto))
		put_number(json, "port", tuple->port);
	put_number(json, "flows", tuple->flows);
	if (tuple->packets)
		put_number(json, "denied_packets", tuple->packets);
	if (tuple->why)
		put_text(json, "why", tuple->why);
	return json;
}

static int by_value(const void *a, const void *b)
{
	const struct tuple *x = *(struct tuple *const *)a, *y = *(struct tuple *const *)b;
	int order = compare_pods(x->self, y->self);

	if (!order)
		order = (int)x->dir - (int)y->dir;
	if (!order && (!x->peer || !y->peer))
		order = !!y->peer - !!x->peer;
	if (!order && x->peer)
		order = compare_pods(x->peer, y->peer);
	if (!order)
		order = memcmp(&x->addr, &y->addr, sizeof(x->addr));
	if (!order)
		order = (int)x->proto - (int)y->proto;
	if (!order)
		order = (int)x->port - (int)y->port;
	return order ? order : (int)x->fate - (int)y->fate;
}

static struct json_object *count_json(const struct suggest *suggest, enum fate fate)
{
	struct json_object *json = json_object_new_object();
	uint64_t different = 0, flows = 0, packets = 0;

	vec_each(struct tuple *, at, &suggest->tuples) {
		if ((*at)->fate != fate || !(*at)->told)
			continue;
		different++;
		flows += (*at)->flows;
		packets += (*at)->packets;
	}
	put_number(json, "different", different);
	put_number(json, "flows", flows);
	if (packets)
		put_number(json, "denied_packets", packets);
	return json;
}

static struct json_object *counts_json(const struct suggest *suggest)
{
	static const char *const names[] = { "covered", "own_node", "self", "denied", "not_expressed" };
	struct json_object *json = json_object_new_object();

	for (enum fate fate = 0; fate < FATE_MAX; fate++)
		put(json, names[fate], count_json(suggest, fate));
	return json;
}

// What the policies say to each flow: denied though it was seen, allowed though it was denied, not expressed.
static int ask_all(const struct suggest *suggest, struct sim *sim, struct json_object *report, struct err *reterr)
{
	struct json_object *denies = json_object_new_array(), *allows = json_object_new_array();
	struct json_object *unknown = json_object_new_array();
	int r = 0;

	put(report, "would_deny", denies);
	put(report, "would_allow", allows);
	put(report, "not_expressed", unknown);
	for (size_t i = 0; r == 0 && i < suggest->tuples.n; i++) {
		const struct tuple *tuple = suggest->tuples.v[i];
		bool allow = tuple->fate == FATE_COVERED;

		if (tuple->told && tuple->fate == FATE_UNKNOWN)
			json_object_array_add(unknown, tuple_json(tuple));
		if (!tuple->told || (tuple->fate != FATE_COVERED && tuple->fate != FATE_DENIED) || tuple->why)
			continue;
		r = ask(sim, tuple, &allow, reterr);
		if (r == 0 && allow != (tuple->fate == FATE_COVERED))
			json_object_array_add(allow ? allows : denies, tuple_json(tuple));
	}
	return r;
}

// ---- report: policies ----------------------------------------------------------------------------------------------

static void note(struct json_object *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct json_object *notes, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_object_array_add(notes, json_object_new_string(text));
}

static bool told_by(const struct suggest *suggest, const char *node)
{
	for (size_t i = 0; node && i < suggest->nodes.n; i++) {
		if (!strcmp(suggest->nodes.v[i], node))
			return true;
	}
	return !node;
}

static void note_absent(const struct suggest *suggest, const struct group *group, struct json_object *notes)
{
	size_t absent = 0;

	vec_each(struct pod_seen *, pod, &group->pods)
		absent += !told_by(suggest, (*pod)->card->node);
	if (absent)
		note(notes, "%zu of its %zu pods are on nodes whose records are missing here", absent, group->pods.n);
}

static void note_replaced(const struct suggest *suggest, const struct group *group, struct json_object *notes)
{
	char name[600];

	snprintf(name, sizeof(name), "%s/%s", group->ns, group->policy);
	vec_each(const struct decider, decider, &suggest->deciders)
		if (!strcmp(decider->name, name))
			note(notes, "a policy of this name is in force and let %" PRIu64 " flows pass: applied, this one takes its place",
			     decider->flows);
}

// Rules that say more than what was seen.
static void note_broad(const struct suggest *suggest, const struct group *group, struct json_object *notes)
{
	const struct group *last = NULL;

	vec_each(struct tuple *, at, &suggest->tuples) {
		const struct tuple *tuple = *at;
		char peer[600];

		if (tuple->self->group != group || tuple->fate != FATE_COVERED)
			continue;
		name_end(tuple->peer, &tuple->addr, "", peer, sizeof(peer));
		if (!proto_has_ports(tuple->proto))
			note(notes, "%s %s %s was seen: a rule that allows it has no ports, so it allows every protocol and port",
			     protocol_name(tuple->proto), tuple->dir == BH_EGRESS ? "to" : "from", peer);
		if (tuple->peer && tuple->peer->group != last && group_selects_all(tuple->peer->group))
			note(notes, "%s has no labels that tell it from others: its peer selector takes every pod of namespace %s",
			     peer, tuple->peer->card->ns);
		last = tuple->peer ? tuple->peer->group : last;
	}
}

static struct json_object *policy_report(const struct suggest *suggest, const struct group *group)
{
	struct json_object *json = json_object_new_object(), *workloads = json_object_new_array();
	struct json_object *notes = json_object_new_array();

	put_text(json, "namespace", group->ns);
	put_text(json, "name", group->policy);
	vec_each(char *, workload, &group->workloads)
		json_object_array_add(workloads, json_object_new_string(*workload));
	put(json, "workloads", workloads);
	put_number(json, "pods", group->pods.n);
	if (group->workloads.n > 1)
		note(notes, "its %zu workloads have the same labels: they share the policy", group->workloads.n);
	if (group_selects_all(group))
		note(notes, "its pods have no labels in common: it selects every pod of namespace %s", group->ns);
	note_replaced(suggest, group, notes);
	note_absent(suggest, group, notes);
	note_broad(suggest, group, notes);
	put(json, "notes", notes);
	return json;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct decider *)a)->name, ((const struct decider *)b)->name);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct json_object *report_head(struct suggest *suggest)
{
	struct json_object *json = json_object_new_object(), *nodes = json_object_new_array();
	struct json_object *policies = json_object_new_array(), *deciders = json_object_new_array();

	vec_sort(&suggest->nodes, by_text);
	vec_sort(&suggest->deciders, by_name);
	put_number(json, "records", suggest->records);
	put_number(json, "nameless", suggest->nameless);
	vec_each(char *, node, &suggest->nodes)
		json_object_array_add(nodes, json_object_new_string(*node));
	put(json, "nodes", nodes);
	put(json, "flows", counts_json(suggest));
	vec_each(struct group *, group, &suggest->groups) {
		if (group_has_policy(suggest, *group))
			json_object_array_add(policies, policy_report(suggest, *group));
	}
	put(json, "policies", policies);
	vec_each(struct decider, decider, &suggest->deciders) {
		struct json_object *item = json_object_new_object();

		put_text(item, "policy", decider->name);
		put_number(item, "flows", decider->flows);
		json_object_array_add(deciders, item);
	}
	put(json, "existing", deciders);
	return json;
}

int suggest_check(struct suggest *suggest, struct json_object *policies, struct json_object **ret, struct err *reterr)
{
	_cleanup_json_ struct json_object *report = NULL;
	_cleanup_(sim_freep) struct sim *sim = NULL;
	int r = sim_new(&sim);

	if (r < 0)
		return err_set(reterr, r, "out of memory");
	vec_sort(&suggest->tuples, by_value);
	report = report_head(suggest);
	r = build(suggest, policies, sim, reterr);
	if (r == 0)
		r = ask_all(suggest, sim, report, reterr);
	if (r == 0)
		*ret = TAKE_PTR(report);
	return r;
}
