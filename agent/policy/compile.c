// SPDX-License-Identifier: Apache-2.0
// compile.c - one endpoint's rule list in each direction, and the matrix that stands for it.
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/front.h"
#include "agent/policy/must.h"
#include "agent/policy/room.h"

void endpoint_touch(struct policy *policy, struct endpoint *endpoint)
{
	if (!endpoint->dirty)
		must_push(&policy->dirty_endpoints, endpoint);
	endpoint->dirty = true;
}

void endpoint_free(struct policy *policy, struct endpoint *endpoint)
{
	if (!endpoint)
		return;
	fronts_free(policy, &endpoint->fronts);
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		vec_fini(&endpoint->selecting[dir]);
	free(endpoint);
}

// ---- which policies -----------------------------------------------------------------------------------------

typedef VEC(struct polent *) polents;

static void select_from(const polents *list, const struct podent *pod, enum bh_dir dir,
			polents *out)
{
	vec_each(struct polent *, polent, list) {
		if (!polent_selects(*polent, pod, dir))
			continue;
		must_push(out, *polent);
		(*polent)->users++;
	}
}

static void select_policies(struct policy *policy, struct endpoint *endpoint, enum bh_dir dir)
{
	polents *list = (polents *)&endpoint->selecting[dir];
	polents before = *list;

	*list = (polents){ 0 };
	if (!endpoint->gone) {
		select_from((polents *)&policy->admin, endpoint->pod, dir, list);
		select_from((polents *)&endpoint->pod->ns->netpols, endpoint->pod, dir, list);
		select_from((polents *)&policy->baseline, endpoint->pod, dir, list);
	}
	vec_each(struct polent *, polent, &before)
		if (!--(*polent)->users)
			must_push(&policy->idle, *polent);
	vec_fini(&before);
}

// ---- the list of rules ----------------------------------------------------------------------------------------

// Ingress named ports mean what this pod's own containers say.
static struct port_atom *own_ports(struct policy *policy, const struct rule *rule,
				   const struct pod *pod)
{
	struct port_atom *atom = NULL;
	port_ranges ranges = { 0 };

	for (uint32_t i = 0; i < rule->nports; i++) {
		const struct port *port = &rule->ports[i];
		int proto = portset_proto(port->protocol);
		bool all = !port->lo && !port->hi;

		if (!port->name && proto >= 0)
			must_push(&ranges,
				  (struct port_range){ all ? 0 : port->lo, all ? 65535 : port->hi,
						       (uint32_t)proto });
		for (uint32_t j = 0; port->name && j < pod->nports; j++) {
			const struct container_port *own = &pod->ports[j];

			proto = portset_proto(own->protocol);
			if (own->name != port->name || proto < 0 ||
			    (port->protocol != PROTOCOL_ANY && port->protocol != own->protocol))
				continue;
			must_push(&ranges,
				  (struct port_range){ own->port, own->port, (uint32_t)proto });
		}
	}
	if (ranges.n)
		atom = port_atom_get(&policy->ports, BH_INGRESS, &ranges);
	vec_fini(&ranges);
	return atom;
}

static uint32_t section_of(const struct polent *polent)
{
	if (polent->kind == KIND_NETPOL)
		return SECTION_NETPOL;
	return ((const struct clusternetpol *)polent->object)->tier == TIER_ADMIN ?
		       SECTION_ADMIN :
		       SECTION_BASELINE;
}

static void add_rules(struct policy *policy, const struct endpoint *endpoint, struct polent *polent,
		      enum bh_dir dir, struct matrix_key *key)
{
	bool audit = polent_audit(policy, polent, endpoint->pod->ns);

	vec_each(struct lowered, rule, &polent->rules[dir]) {
		struct entry entry = { .peer = rule->peer,
				       .ports = rule->ports,
				       .rule = rule->rule,
				       .section = section_of(polent),
				       .action = (uint16_t)rule->action,
				       .audit = audit };

		if (rule->named) {
			entry.ports = own_ports(policy, rule->named, endpoint->pod->object);
			if (!entry.ports)
				continue;
		} else {
			port_atom_ref(entry.ports);
		}
		atom_ref(entry.peer);
		ruleid_ref(entry.rule);
		must_push(&key->entries, entry);
	}
}

static void isolate(struct policy *policy, const struct endpoint *endpoint, enum bh_dir dir,
		    struct matrix_key *key)
{
	for (int view = 0; view < VIEW_MAX; view++) {
		VEC(const struct object *) isolating = { 0 };

		vec_each(struct polent *const, at, &endpoint->selecting[dir]) {
			const struct polent *polent = *at;

			if (polent->kind == KIND_NETPOL &&
			    (view == VIEW_SHADOW || !polent_audit(policy, polent, endpoint->pod->ns)))
				must_push(&isolating, polent->object);
		}
		if (isolating.n)
			key->deny[view] =
				ruleid_deny(&policy->ruleids, dir, isolating.v, isolating.n);
		vec_fini(&isolating);
	}
}

// ---- matrices -------------------------------------------------------------------------------------------------

static bool is_matrix(const void *item, const void *key)
{
	return matrix_key_equal(&((const struct matrix *)item)->key, key);
}

static void release_key(struct policy *policy, struct matrix_key *key)
{
	vec_each(struct entry, entry, &key->entries) {
		atom_put(&policy->cluster.atoms, entry->peer);
		port_atom_put(&policy->ports, entry->ports);
	}
}

static void put_rules(struct policy *policy, struct matrix_key *key)
{
	vec_each(struct entry, entry, &key->entries)
		ruleid_put(&policy->ruleids, entry->rule);
	for (int view = 0; view < VIEW_MAX; view++)
		ruleid_put(&policy->ruleids, key->deny[view]);
	vec_fini(&key->entries);
}

// Takes over the key. ns: of the endpoint.
static struct matrix *matrix_for(struct policy *policy, struct matrix_key *key, enum bh_dir dir,
				 const char *ns)
{
	uint64_t hash = matrix_key_hash(key);
	struct matrix *matrix;

	if (!key->entries.n && !key->deny[VIEW_ENFORCED] && !key->deny[VIEW_SHADOW])
		return &policy->fixed[BH_POLICY_ALLOW];
	matrix = hash_find(&policy->by_key, hash, is_matrix, key);
	if (matrix) {
		release_key(policy, key);
		put_rules(policy, key);
		return matrix;
	}
	matrix = matrix_new();
	matrix->hash = hash;
	matrix->keyed = true;
	matrix->dir = dir;
	matrix->key = *key;
	matrix->ns = intern_get(ns);
	must_ok(hash_add(&policy->by_key, hash, matrix));
	must_push(&policy->matrices, matrix);
	return matrix;
}

void matrices_release(struct policy *policy)
{
	vec_each(struct matrix *, at, &policy->matrices) {
		struct matrix *matrix = *at;

		if (matrix->users || matrix->released)
			continue;
		matrix->released = true;
		if (!matrix->keyed)
			continue;
		hash_remove(&policy->by_key, matrix->hash, matrix);
		release_key(policy, &matrix->key);
	}
}

void matrix_drop(struct policy *policy, struct matrix *matrix)
{
	if (matrix->keyed)
		put_rules(policy, &matrix->key);
	matrix_free(matrix);
}

static struct matrix *compile_direction(struct policy *policy, struct endpoint *endpoint,
					enum bh_dir dir)
{
	struct matrix_key key = { 0 };

	select_policies(policy, endpoint, dir);
	if (endpoint->gone || !endpoint->pod->object)
		return &policy->fixed[BH_POLICY_DENY];
	vec_each(struct polent *, at, &endpoint->selecting[dir]) {
		polent_lower(policy, *at);
		add_rules(policy, endpoint, *at, dir, &key);
	}
	isolate(policy, endpoint, dir, &key);
	return matrix_for(policy, &key, dir, endpoint->pod->ns->name);
}

void endpoint_compile(struct policy *policy, struct endpoint *endpoint)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		struct matrix *matrix = compile_direction(policy, endpoint, dir);

		matrix->users++;
		if (endpoint->next[dir])
			endpoint->next[dir]->users--;
		endpoint->next[dir] = matrix;
	}
}
