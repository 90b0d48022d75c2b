// SPDX-License-Identifier: Apache-2.0
// polent.c - policies: which pods they select, and their rules lowered to atoms.
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/policy/room.h"

struct polent_name {
	enum kind kind;
	const char *ns, *name;
};

static uint64_t name_hash(enum kind kind, const char *ns, const char *name)
{
	return hash_mix(hash_mix(ns ? hash_string(ns) : 0, hash_string(name)), kind);
}

uint64_t polent_hash(const struct polent *polent)
{
	return name_hash(polent->kind, polent->ns, polent->name);
}

static bool is_polent(const void *item, const void *arg)
{
	const struct polent *polent = item;
	const struct polent_name *key = arg;

	return polent->kind == key->kind && !strcmp(polent->name, key->name) &&
	       (key->ns ? polent->ns && !strcmp(polent->ns, key->ns) : !polent->ns);
}

static const struct clusternetpol *cnp_of(const struct polent *polent)
{
	return (const struct clusternetpol *)polent->object;
}

static int order(const struct polent *a, const struct polent *b)
{
	if (a->kind == KIND_CLUSTERNETPOL && cnp_of(a)->priority != cnp_of(b)->priority)
		return cnp_of(a)->priority - cnp_of(b)->priority;
	return strcmp(a->name, b->name);
}

typedef VEC(struct polent *) polents;

static void insert_ordered(polents *list, struct polent *polent)
{
	size_t at = list->n;

	must_push(list, polent);
	for (; at && order(list->v[at - 1], polent) > 0; at--)
		list->v[at] = list->v[at - 1];
	list->v[at] = polent;
}

static void take_out(polents *list, const struct polent *polent)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i] == polent) {
			vec_cut(list, i);
			return;
		}
}

static polents *list_of(struct policy *policy, const struct polent *polent)
{
	if (polent->kind == KIND_NETPOL)
		return (polents *)&cluster_ns(&policy->cluster, polent->ns)->netpols;
	return (polents *)(cnp_of(polent)->tier == TIER_ADMIN ? &policy->admin : &policy->baseline);
}

static struct polent *polent_get(struct policy *policy, const struct object *object)
{
	struct polent_name key = { object->kind, object->ns, object->name };
	uint64_t hash = name_hash(key.kind, key.ns, key.name);
	struct polent *polent = hash_find(&policy->polents, hash, is_polent, &key);

	if (polent)
		return polent;
	polent = must_new(sizeof(*polent));
	polent->kind = object->kind;
	polent->ns = intern_get(object->ns);
	polent->name = intern_get(object->name);
	must_ok(hash_add(&policy->polents, hash, polent));
	return polent;
}

void polent_touch(struct policy *policy, struct polent *polent)
{
	if (!polent->dirty)
		must_push(&policy->dirty_polents, polent);
	polent->dirty = true;
}

void polent_changed(struct policy *policy, const struct object *before, const struct object *after)
{
	struct polent *polent = polent_get(policy, after ? after : before);

	if (polent->object) {
		take_out(list_of(policy, polent), polent);
		object_put((struct object *)polent->object);
	}
	polent->object = after ? object_get((struct object *)after) : NULL;
	if (after)
		insert_ordered(list_of(policy, polent), polent);
	polent->forced = REFUSAL_NONE;
	polent_touch(policy, polent);
}

bool polent_selects(const struct polent *polent, const struct podent *pod, enum bh_dir dir)
{
	struct labels ns_labels;

	if (!polent->object || !pod->object || pod->object->host_network)
		return false;
	if (polent->kind == KIND_NETPOL) {
		const struct netpol *netpol = (const struct netpol *)polent->object;

		return netpol->isolates[dir] && polent->ns == pod->ns->name &&
		       selector_match(&netpol->pods, &pod->object->labels);
	}
	ns_labels = nsent_labels(pod->ns);
	return cnp_of(polent)->rules[dir].n &&
	       selector_match(&cnp_of(polent)->namespaces, &ns_labels) &&
	       selector_match(&cnp_of(polent)->pods, &pod->object->labels);
}

bool polent_audit(const struct policy *policy, const struct polent *polent, const struct nsent *ns)
{
	if (policy->limits.audit)
		return true;
	if (polent->kind == KIND_CLUSTERNETPOL)
		return cnp_of(polent)->audit;
	return ((const struct netpol *)polent->object)->audit || (ns->object && ns->object->audit);
}

// ---- lowering -----------------------------------------------------------------------------------------------

struct lowering {
	struct policy *policy;
	struct polent *polent;
	const struct rule *rule;
	enum bh_dir dir;
	struct ruleid *id;
	enum action action;
	bool any_peer;
};

static void add_part(struct lowering *l, struct atom *peer, struct port_atom *ports,
		     const struct rule *named)
{
	ruleid_ref(l->id);
	must_push(&l->polent->rules[l->dir],
		  (struct lowered){ peer, ports, named, l->id, l->action });
}

static struct atom *peer_of(struct lowering *l)
{
	struct atom_spec spec = { .owner = l->polent->source,
				   .rule = l->rule,
				   .dir = l->dir };

	return l->any_peer ? NULL : atom_get(&l->policy->cluster.atoms, &spec);
}

static void numbered(const struct rule *rule, port_ranges *out)
{
	for (uint32_t i = 0; i < rule->nports; i++) {
		const struct port *port = &rule->ports[i];
		int proto = portset_proto(port->protocol);
		bool all = !port->lo && !port->hi;

		if (port->name || proto < 0)
			continue;
		must_push(out, (struct port_range){ all ? 0 : port->lo, all ? 65535 : port->hi,
						    (uint32_t)proto });
	}
}

// One part per number that the name means somewhere: pods where it does, and that number.
static void add_meanings(struct lowering *l, const struct port *port, uint8_t protocol)
{
	const struct port_name *name = cluster_name_find(&l->policy->cluster, port->name, protocol);

	for (size_t i = 0; name && i < name->numbers.n; i++) {
		uint16_t number = name->numbers.v[i].number;
		struct atom_spec spec = { l->polent->source, l->rule, l->dir,
					  port->name,	     protocol, number };
		port_ranges range = { 0 };

		must_push(&range,
			  (struct port_range){ number, number, (uint32_t)portset_proto(protocol) });
		add_part(l, atom_get(&l->policy->cluster.atoms, &spec),
			 port_atom_get(&l->policy->ports, l->dir, &range), NULL);
		vec_fini(&range);
	}
}

static void add_named(struct lowering *l)
{
	static const uint8_t all[] = { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP };

	for (uint32_t i = 0; i < l->rule->nports; i++) {
		const struct port *port = &l->rule->ports[i];

		if (!port->name)
			continue;
		must_push(&l->polent->names, port->name);
		for (size_t j = 0; j < ARRAY_SIZE(all); j++)
			if (port->protocol == PROTOCOL_ANY || port->protocol == all[j])
				add_meanings(l, port, all[j]);
	}
}

static bool has_named(const struct rule *rule)
{
	for (uint32_t i = 0; i < rule->nports; i++)
		if (rule->ports[i].name)
			return true;
	return false;
}

static void lower_ports(struct lowering *l)
{
	port_ranges ranges = { 0 };

	if (l->rule->any_port) {
		add_part(l, peer_of(l), NULL, NULL);
		return;
	}
	if (has_named(l->rule) && l->dir == BH_INGRESS) {
		add_part(l, peer_of(l), NULL, l->rule);
		return;
	}
	numbered(l->rule, &ranges);
	if (ranges.n)
		add_part(l, peer_of(l), port_atom_get(&l->policy->ports, l->dir, &ranges), NULL);
	vec_fini(&ranges);
	add_named(l);
}

static void lower_rule(struct policy *policy, struct polent *polent, enum bh_dir dir,
		       const struct rule *rule, uint32_t index)
{
	struct lowering l = { policy, polent, rule, dir, NULL, rule->action, rule->any_peer };
	bool some = rule->any_peer;

	if (polent->refusal && (polent->kind == KIND_NETPOL || rule->action == ACTION_ACCEPT))
		return;
	if (polent->refusal)
		l.action = ACTION_DENY;
	for (uint32_t i = 0; i < rule->npeers; i++) {
		some |= rule->peers[i].kind != PEER_NONE;
		l.any_peer |= rule->peers[i].kind == PEER_ANY;
	}
	if (!some)
		return;
	l.id = ruleid_rule(&policy->ruleids, polent->source, dir, index, rule);
	if (polent->refusal == REFUSAL_ALL)
		add_part(&l, NULL, NULL, NULL);
	else
		lower_ports(&l);
	ruleid_put(&policy->ruleids, l.id);
}

void polent_lower(struct policy *policy, struct polent *polent)
{
	const struct rules *rules;

	if (polent->lowered)
		return;
	polent->lowered = true;
	polent->source = object_get((struct object *)polent->object);
	budget_admit(policy, polent);
	rules = polent->kind == KIND_NETPOL ? ((const struct netpol *)polent->source)->rules :
					      ((const struct clusternetpol *)polent->source)->rules;
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		for (uint32_t i = 0; i < rules[dir].n; i++)
			lower_rule(policy, polent, dir, &rules[dir].v[i], i);
	if (polent->names.n)
		must_push(&policy->named, polent);
}

static void forget_names(struct policy *policy, struct polent *polent)
{
	for (size_t i = 0; polent->names.n && i < policy->named.n; i++)
		if (policy->named.v[i] == polent) {
			vec_drop(&policy->named, i);
			break;
		}
	vec_clear(&polent->names);
}

void polent_forget(struct policy *policy, struct polent *polent)
{
	if (!polent->lowered)
		return;
	polent->lowered = false;
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		vec_each(struct lowered, rule, &polent->rules[dir]) {
			atom_put(&policy->cluster.atoms, rule->peer);
			port_atom_put(&policy->ports, rule->ports);
			ruleid_put(&policy->ruleids, rule->rule);
		}
		vec_clear(&polent->rules[dir]);
	}
	forget_names(policy, polent);
	budget_leave(policy, polent);
	object_put((struct object *)polent->source);
	polent->source = NULL;
}

void polent_free(struct polent *polent)
{
	if (!polent)
		return;
	if (polent->object)
		object_put((struct object *)polent->object);
	if (polent->source)
		object_put((struct object *)polent->source);
	intern_put(polent->ns);
	intern_put(polent->name);
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		vec_fini(&polent->rules[dir]);
	vec_fini(&polent->names);
	free(polent->problem);
	free(polent);
}
