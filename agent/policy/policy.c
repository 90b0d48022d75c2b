// SPDX-License-Identifier: Apache-2.0
// policy.c - what is told, what it makes dirty, and one compile over all that is.
#include "agent/policy/policy.h"

#include <assert.h>
#include <errno.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/policy/publish.h"

static void default_limits(struct policy_limits *limits)
{
	static const struct policy_limits defaults = {
		.endpoints = BH_LIMIT_ENDPOINTS,
		.peers = BH_LIMIT_PEERS,
		.cidrs = BH_LIMIT_CIDRS,
		.peer_classes = BH_LIMIT_PEER_CLASSES,
		.port_classes = BH_LIMIT_PORT_CLASSES,
		.policies = BH_LIMIT_POLICIES,
		.dense_cells = BH_LIMIT_DENSE_CELLS,
		.dense_total = BH_LIMIT_DENSE_TOTAL,
		.sparse_cells = BH_LIMIT_SPARSE_CELLS,
		.services = BH_LIMIT_SERVICES,
		.selves = BH_LIMIT_SELF,
		.object_share = BH_LIMIT_SHARE,
		.namespace_share = BH_LIMIT_SHARE,
	};
	const uint32_t *from = (const uint32_t *)&defaults;
	uint32_t *to = (uint32_t *)limits;

	_Static_assert(sizeof(defaults) % sizeof(*from) == 0, "limits are u32");
	for (size_t i = 0; i < sizeof(defaults) / sizeof(*from); i++)
		to[i] = to[i] ? to[i] : from[i];
}

static int tell(void *arg, const struct object *object)
{
	policy_changed(arg, NULL, object);
	return 0;
}

int policy_new(const struct store *store, const struct policy_limits *limits, struct policy **ret)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return -ENOMEM;
	policy->store = store;
	if (limits)
		policy->limits = *limits;
	default_limits(&policy->limits);
	cluster_init(&policy->cluster);
	// ids above the limit serve the moments in which old and new classes live side by side
	portset_init(&policy->ports, UINT16_MAX);
	classes_init(&policy->classes, BH_CLASS_NONE + 1, BH_MAX_CLASSES);
	ids_init(&policy->policy_ids, BH_POLICY_FIRST, policy->limits.policies);
	policy->last_gen = BH_GEN_FIRST - 1;
	for (uint32_t i = 0; i < ARRAY_SIZE(policy->fixed); i++)
		policy->fixed[i] = (struct matrix){
			.id = i, .gen = BH_GEN_OF(i), .keyed = true, .installed = true
		};
	for (int kind = 0; kind < KIND_MAX; kind++)
		store_each(store, kind, NULL, tell, policy);
	*ret = policy;
	return 0;
}

void policy_free(struct policy *policy)
{
	struct polent *polent;
	size_t at = 0;

	if (!policy)
		return;
	vec_each(struct endpoint *, endpoint, &policy->slots)
		endpoint_free(policy, *endpoint);
	vec_each(struct matrix *, matrix, &policy->matrices)
		matrix_drop(policy, *matrix);
	services_fini(policy);
	intern_put(policy->node);
	while ((polent = hash_next(&policy->polents, &at)))
		polent_free(polent);
	hash_fini(&policy->polents);
	hash_fini(&policy->by_key);
	budget_fini(policy);
	vec_fini(&policy->admin);
	vec_fini(&policy->baseline);
	vec_fini(&policy->dirty_polents);
	vec_fini(&policy->idle);
	vec_fini(&policy->named);
	vec_fini(&policy->slots);
	vec_fini(&policy->dirty_endpoints);
	vec_fini(&policy->matrices);
	vec_fini(&policy->held_gens);
	ids_fini(&policy->policy_ids);
	classes_fini(&policy->classes);
	portset_fini(&policy->ports);
	cluster_fini(&policy->cluster);
	ruleids_fini(&policy->ruleids);
	free(policy);
}

// ---- what is told -------------------------------------------------------------------------------------------

static void pod_changed(struct policy *policy, const struct pod *before, const struct pod *after)
{
	const struct object *object = before ? &before->object : &after->object;
	struct podent *pod = cluster_pod_find(&policy->cluster, object->ns, object->name);

	if (pod && pod->endpoint)
		endpoint_touch(policy, pod->endpoint);
	cluster_pod(&policy->cluster, before, after);
	pod = cluster_pod_find(&policy->cluster, object->ns, object->name);
	if (pod && pod->endpoint)
		services_endpoint(policy, pod->endpoint);
}

static void namespace_changed(struct policy *policy, const struct namespace_ *before,
			      const struct namespace_ *after)
{
	const char *name = before ? before->object.name : after->object.name;
	struct nsent *ns = cluster_ns(&policy->cluster, name);

	vec_each(struct podent *, pod, &ns->pods)
		if ((*pod)->endpoint)
			endpoint_touch(policy, (*pod)->endpoint);
	cluster_namespace(&policy->cluster, before, after);
}

void policy_changed(struct policy *policy, const struct object *before, const struct object *after)
{
	const struct object *object = after ? after : before;

	assert(object);

	switch (object->kind) {
	case KIND_POD:
		pod_changed(policy, (const struct pod *)before, (const struct pod *)after);
		break;
	case KIND_NAMESPACE:
		namespace_changed(policy, (const struct namespace_ *)before,
				  (const struct namespace_ *)after);
		break;
	case KIND_NODE:
		cluster_node(&policy->cluster, (const struct node *)before,
			     (const struct node *)after);
		break;
	case KIND_SERVICE:
		services_service(policy, (const struct service *)before,
				 (const struct service *)after);
		break;
	case KIND_ENDPOINTSLICE:
		services_slice(policy, (const struct endpointslice *)before,
			       (const struct endpointslice *)after);
		break;
	case KIND_NETPOL:
	case KIND_CLUSTERNETPOL:
		polent_changed(policy, before, after);
		break;
	default:
		break;
	}
}

// ---- endpoints ----------------------------------------------------------------------------------------------

int policy_endpoint_add(struct policy *policy, const char *ns, const char *name, uint32_t slot)
{
	struct endpoint *endpoint;
	struct podent *pod;

	if (slot >= policy->limits.endpoints || slot >= BH_MAX_ENDPOINTS)
		return -ENOSPC;
	while (policy->slots.n <= slot)
		must_push(&policy->slots, NULL);
	endpoint = policy->slots.v[slot];
	pod = cluster_podent(&policy->cluster, ns, name);
	if (pod->endpoint || (endpoint && !endpoint->gone)) {
		cluster_pod_drop(&policy->cluster, pod);
		return -EEXIST;
	}
	if (!endpoint)
		endpoint = policy->slots.v[slot] = must_new(sizeof(*endpoint));
	endpoint->slot = slot;
	endpoint->gone = false;
	endpoint->pod = pod;
	pod->endpoint = endpoint;
	cluster_pod_touch(&policy->cluster, pod);
	services_endpoint(policy, endpoint);
	endpoint_touch(policy, endpoint);
	return 0;
}

int policy_endpoint_remove(struct policy *policy, uint32_t slot)
{
	struct endpoint *endpoint = slot < policy->slots.n ? policy->slots.v[slot] : NULL;
	struct podent *pod;

	if (!endpoint || endpoint->gone)
		return -ENOENT;
	pod = endpoint->pod;
	pod->endpoint = NULL;
	endpoint->pod = NULL;
	endpoint->gone = true;
	cluster_pod_touch(&policy->cluster, pod);
	services_endpoint(policy, endpoint);
	cluster_pod_drop(&policy->cluster, pod);
	endpoint_touch(policy, endpoint);
	return 0;
}

bool policy_endpoint_open(const struct policy *policy, uint32_t slot)
{
	const struct endpoint *endpoint = slot < policy->slots.n ? policy->slots.v[slot] : NULL;

	return endpoint && !endpoint->gone &&
	       endpoint->shown[BH_INGRESS] == &policy->fixed[BH_POLICY_ALLOW] &&
	       endpoint->shown[BH_EGRESS] == &policy->fixed[BH_POLICY_ALLOW];
}

void policy_set_node(struct policy *policy, const char *name)
{
	const char *before = policy->node;

	policy->node = name ? must((void *)intern(name)) : NULL;
	if (policy->node != before) {
		cluster_node_touch(&policy->cluster, before);
		cluster_node_touch(&policy->cluster, policy->node);
		vec_each(struct endpoint *, endpoint, &policy->slots)
			if (*endpoint)
				services_endpoint(policy, *endpoint);
		services_node(&policy->services);
	}
	intern_put(before);
}

// ---- compiling ------------------------------------------------------------------------------------------------

static bool selected_before(const struct endpoint *endpoint, const struct polent *polent)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		for (size_t i = 0; i < endpoint->selecting[dir].n; i++)
			if (endpoint->selecting[dir].v[i] == polent)
				return true;
	return false;
}

static void touch_selected(struct policy *policy, const struct polent *polent)
{
	vec_each(struct endpoint *, at, &policy->slots) {
		struct endpoint *endpoint = *at;

		if (!endpoint || endpoint->gone || endpoint->dirty)
			continue;
		if ((polent->users && selected_before(endpoint, polent)) ||
		    polent_selects(polent, endpoint->pod, BH_INGRESS) ||
		    polent_selects(polent, endpoint->pod, BH_EGRESS))
			endpoint_touch(policy, endpoint);
	}
}

// A port name that got or lost a number: the policies that use it must be lowered again.
static void spread_names(struct policy *policy)
{
	if (!policy->cluster.changed_names.n)
		return;
	vec_each(struct polent *, polent, &policy->named)
		vec_each(const char *, name, &(*polent)->names)
			vec_each(struct port_name *, changed, &policy->cluster.changed_names)
				if (*name == (*changed)->name)
					polent_touch(policy, *polent);
	cluster_names_settled(&policy->cluster);
}

// A removed policy that selects nobody any more.
static void bury_polent(struct policy *policy, struct polent *polent)
{
	struct nsent *ns;

	polent_forget(policy, polent);
	if (polent->ns) {
		ns = cluster_ns(&policy->cluster, polent->ns);
		cluster_ns_drop(&policy->cluster, ns);
	}
	hash_remove(&policy->polents, polent_hash(polent), polent);
	polent_free(polent);
}

static void compile_dirty(struct policy *policy)
{
	vec_each(struct polent *, polent, &policy->dirty_polents) {
		touch_selected(policy, *polent);
		polent_forget(policy, *polent);
	}
	vec_each(struct endpoint *, endpoint, &policy->dirty_endpoints) {
		endpoint_compile(policy, *endpoint);
		(*endpoint)->dirty = false;
	}
	vec_clear(&policy->dirty_endpoints);
}

static void drop_idle(struct policy *policy)
{
	vec_each(struct polent *, idle, &policy->idle)
		if (!(*idle)->users)
			polent_forget(policy, *idle);
	vec_clear(&policy->idle);
	vec_each(struct polent *, dirty, &policy->dirty_polents) {
		(*dirty)->dirty = false;
		if (!(*dirty)->object)
			bury_polent(policy, *dirty);
	}
	vec_clear(&policy->dirty_polents);
}

// What a policy gives back may let in another that was refused; what does not fit is refused.
static void compile_all(struct policy *policy)
{
	do {
		do {
			compile_dirty(policy);
			drop_idle(policy);
		} while (budget_retry(policy));
		matrices_release(policy);
		fade(policy);
		cluster_atoms(&policy->cluster);
		portset_cut(&policy->ports);
		publish_want(policy);
		services_want(policy);
	} while (overflow_check(policy));
}

static void drop_endpoints(struct policy *policy)
{
	vec_each(struct endpoint *, at, &policy->slots) {
		struct endpoint *endpoint = *at;

		if (!endpoint || !endpoint->gone)
			continue;
		for (int dir = 0; dir < BH_DIR_MAX; dir++)
			if (endpoint->next[dir])
				endpoint->next[dir]->users--;
		endpoint_free(policy, endpoint);
		*at = NULL;
	}
}

int policy_compile(struct policy *policy, struct plan **ret)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return -ENOMEM;
	plan->generation = store_generation(policy->store);
	spread_names(policy);
	policy->retried = NULL;
	policy->retry_failed = false;
	do {
		compile_all(policy);
	} while (!publish(policy, plan) || policy->services.deferred || overflow_retry(policy) ||
		 lanes_ids_came(policy));
	plan->mixed = svcmoves_mixed(policy);
	plan->unsettled = svcmoves_unsettled(policy, plan);
	drop_endpoints(policy);
	ruleids_trim(&policy->ruleids);
	policy->compiles++;
	*ret = plan;
	return 0;
}
