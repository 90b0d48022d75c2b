// SPDX-License-Identifier: Apache-2.0
// cluster.c - entries by name, claims on addresses, what port names mean.
#include "agent/policy/cluster.h"

#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/policy/nslabel.h"

#define NAME_LABEL "kubernetes.io/metadata.name"

struct title {
	const char *ns, *name;
};

static uint64_t title_hash(const char *ns, const char *name)
{
	return hash_mix(ns ? hash_string(ns) : 0, hash_string(name));
}

static bool is_pod(const void *item, const void *key)
{
	const struct podent *pod = item;
	const struct title *title = key;

	return !strcmp(pod->name, title->name) && !strcmp(pod->ns->name, title->ns);
}

static bool is_node(const void *item, const void *key)
{
	return !strcmp(((const struct nodeent *)item)->object->object.name, key);
}

static bool is_name(const void *item, const void *key)
{
	const struct port_name *name = item, *want = key;

	return name->name == want->name && name->protocol == want->protocol;
}

void cluster_init(struct cluster *cluster)
{
	*cluster = (struct cluster){ .name_label = must((void *)intern(NAME_LABEL)) };
	space_init(&cluster->space);
	atoms_init(&cluster->atoms);
}

static void podent_free(struct podent *pod)
{
	if (pod->object)
		object_put((struct object *)&pod->object->object);
	intern_put(pod->name);
	free(pod);
}

static void nsent_free(struct nsent *ns)
{
	if (ns->object)
		object_put((struct object *)&ns->object->object);
	intern_put(ns->name);
	vec_fini(&ns->pods);
	vec_fini(&ns->places);
	vec_fini(&ns->candidates);
	vec_fini(&ns->netpols);
	free(ns);
}

void cluster_fini(struct cluster *cluster)
{
	struct port_name *name;
	struct podent *pod;
	struct nsent *ns;
	size_t at = 0;

	while ((pod = hash_next(&cluster->pods, &at)))
		podent_free(pod);
	for (at = 0; (ns = hash_next(&cluster->namespaces, &at));)
		nsent_free(ns);
	for (at = 0; (name = hash_next(&cluster->names, &at));) {
		intern_put(name->name);
		vec_fini(&name->numbers);
		free(name);
	}
	vec_each(struct nodeent *, node, &cluster->node_list) {
		object_put((struct object *)&(*node)->object->object);
		free(*node);
	}
	vec_fini(&cluster->node_list);
	vec_fini(&cluster->changed_names);
	vec_fini(&cluster->node_candidates);
	vec_fini(&cluster->wide);
	nslabels_fini(cluster);
	hash_fini(&cluster->pods);
	hash_fini(&cluster->namespaces);
	hash_fini(&cluster->nodes);
	hash_fini(&cluster->names);
	space_fini(&cluster->space);
	atoms_fini(&cluster->atoms);
	intern_put(cluster->name_label);
}

struct labels nsent_labels(const struct nsent *ns)
{
	if (ns->object)
		return ns->object->labels;
	return (struct labels){ 1, &ns->self };
}

struct podent *cluster_pod_find(struct cluster *cluster, const char *ns, const char *name)
{
	return hash_find(&cluster->pods, title_hash(ns, name), is_pod, &(struct title){ ns, name });
}

struct podent *cluster_podent(struct cluster *cluster, const char *ns, const char *name)
{
	struct podent *pod = cluster_pod_find(cluster, ns, name);

	if (pod)
		return pod;
	pod = must_new(sizeof(*pod));
	pod->name = must((void *)intern(name));
	pod->ns = cluster_ns(cluster, ns);
	pod->at = pod->ns->pods.n;
	must_push(&pod->ns->pods, pod);
	must_ok(hash_add(&cluster->pods, title_hash(ns, name), pod));
	return pod;
}

void cluster_pod_drop(struct cluster *cluster, struct podent *pod)
{
	struct nsent *ns = pod->ns;

	if (pod->object || pod->endpoint)
		return;
	ns->pods.v[pod->at] = ns->pods.v[--ns->pods.n];
	ns->pods.v[pod->at]->at = pod->at;
	hash_remove(&cluster->pods, title_hash(ns->name, pod->name), pod);
	podent_free(pod);
	cluster_ns_drop(cluster, ns);
}

void cluster_ns_drop(struct cluster *cluster, struct nsent *ns)
{
	if (ns->object || ns->pods.n || ns->netpols.n)
		return;
	hash_remove(&cluster->namespaces, hash_string(ns->name), ns);
	nslabel_leave(cluster, ns);
	nsent_free(ns);
}

// ---- claims ------------------------------------------------------------------------------------------

// hostNetwork pods are their node; finished pods are gone.
static bool claims(const struct pod *pod)
{
	return pod && !pod->host_network && !pod->finished;
}

static struct spot *address(struct cluster *cluster, const struct bh_addr *addr)
{
	return space_get(&cluster->space, &(struct bh_cidr){ 128, *addr });
}

static void settle_spot(struct cluster *cluster, struct spot *spot)
{
	struct exact *exact = spot_exact(spot);

	exact->loc.live = exact->pod || spot_more(spot)->nodes.n;
	space_touch(&cluster->space, spot);
}

static void add_claimant(struct spot *spot, struct podent *pod)
{
	struct exact *exact = spot_exact(spot);

	if (exact->pod)
		must_push(&spot_extend(spot)->rivals, pod);
	else
		exact->pod = pod;
}

static void drop_claimant(struct spot *spot, const struct podent *pod)
{
	struct exact *exact = spot_exact(spot);
	struct spot_more *more = spot->more;

	for (size_t i = 0; more && i < more->rivals.n; i++)
		if (more->rivals.v[i] == pod) {
			vec_drop(&more->rivals, i);
			return;
		}
	if (exact->pod == pod)
		exact->pod = more && more->rivals.n ? more->rivals.v[--more->rivals.n] : NULL;
}

static void claim(struct cluster *cluster, struct podent *pod)
{
	for (uint32_t i = 0; claims(pod->object) && i < pod->object->naddrs; i++) {
		struct spot *spot = address(cluster, &pod->object->addrs[i]);

		add_claimant(spot, pod);
		settle_spot(cluster, spot);
	}
}

static void disclaim(struct cluster *cluster, struct podent *pod)
{
	for (uint32_t i = 0; claims(pod->object) && i < pod->object->naddrs; i++) {
		struct spot *spot = address(cluster, &pod->object->addrs[i]);

		drop_claimant(spot, pod);
		settle_spot(cluster, spot);
	}
}

void cluster_pod_touch(struct cluster *cluster, struct podent *pod)
{
	for (uint32_t i = 0; claims(pod->object) && i < pod->object->naddrs; i++)
		space_touch(&cluster->space, address(cluster, &pod->object->addrs[i]));
}

static bool outranks(const struct podent *a, const struct podent *b)
{
	if (!a->endpoint != !b->endpoint)
		return a->endpoint;
	return pod_outranks(a->object, b->object);
}

struct podent *spot_winner(const struct spot *spot)
{
	struct podent *best = spot_exact(spot)->pod;

	vec_each(struct podent *, rival, &spot_more(spot)->rivals)
		if (outranks(*rival, best))
			best = *rival;
	return best;
}

// ---- port names ---------------------------------------------------------------------------------------

struct port_name *cluster_name_find(const struct cluster *cluster, const char *name,
				    uint8_t protocol)
{
	struct port_name key = { .name = name, .protocol = protocol };

	return hash_find(&cluster->names, hash_mix(hash_pointer(name), protocol), is_name, &key);
}

static struct port_name *port_name_get(struct cluster *cluster, const char *name, uint8_t protocol)
{
	struct port_name *entry = cluster_name_find(cluster, name, protocol);

	if (entry)
		return entry;
	entry = must_new(sizeof(*entry));
	entry->name = intern_get(name);
	entry->protocol = protocol;
	must_ok(hash_add(&cluster->names, hash_mix(hash_pointer(name), protocol), entry));
	return entry;
}

static void name_changed(struct cluster *cluster, struct port_name *name)
{
	if (!name->changed)
		must_push(&cluster->changed_names, name);
	name->changed = true;
}

static void count_name(struct cluster *cluster, const struct container_port *port, int delta)
{
	struct port_name *name = port_name_get(cluster, port->name, port->protocol);
	size_t i = 0;

	while (i < name->numbers.n && name->numbers.v[i].number != port->port)
		i++;
	if (i == name->numbers.n) {
		must_push(&name->numbers, (struct port_count){ port->port, 0 });
		name_changed(cluster, name);
	}
	name->numbers.v[i].pods += (uint32_t)delta;
	if (name->numbers.v[i].pods)
		return;
	vec_drop(&name->numbers, i);
	name_changed(cluster, name);
}

static void count_names(struct cluster *cluster, const struct pod *pod, int delta)
{
	for (uint32_t i = 0; claims(pod) && i < pod->nports; i++)
		count_name(cluster, &pod->ports[i], delta);
}

static void name_free(struct port_name *name)
{
	intern_put(name->name);
	vec_fini(&name->numbers);
	free(name);
}

void cluster_names_settled(struct cluster *cluster)
{
	vec_each(struct port_name *, at, &cluster->changed_names) {
		struct port_name *name = *at;

		name->changed = false;
		if (name->numbers.n)
			continue;
		hash_remove(&cluster->names, hash_mix(hash_pointer(name->name), name->protocol),
			    name);
		name_free(name);
	}
	vec_clear(&cluster->changed_names);
}

// ---- changes ------------------------------------------------------------------------------------------

void cluster_pod(struct cluster *cluster, const struct pod *before, const struct pod *after)
{
	const struct object *object = before ? &before->object : &after->object;
	struct podent *pod = cluster_podent(cluster, object->ns, object->name);

	count_names(cluster, after, 1); // first, so that a number in both never looks gone
	count_names(cluster, pod->object, -1);
	disclaim(cluster, pod);
	if (pod->object)
		object_put((struct object *)&pod->object->object);
	pod->object = after;
	if (after)
		object_get((struct object *)&after->object);
	claim(cluster, pod);
	cluster_pod_drop(cluster, pod);
}

static void node_claims(struct cluster *cluster, struct nodeent *node, bool on)
{
	for (uint32_t i = 0; i < node->object->naddrs; i++) {
		struct spot *spot = address(cluster, &node->object->addrs[i]);
		struct spot_more *more = spot_extend(spot);
		size_t j = 0;

		while (j < more->nodes.n && more->nodes.v[j] != node)
			j++;
		if (on)
			must_push(&more->nodes, node);
		else if (j < more->nodes.n)
			vec_drop(&more->nodes, j);
		settle_spot(cluster, spot);
	}
}

static void node_remove(struct cluster *cluster, struct nodeent *node)
{
	hash_remove(&cluster->nodes, hash_string(node->object->object.name), node);
	cluster->node_list.v[node->at] = cluster->node_list.v[--cluster->node_list.n];
	cluster->node_list.v[node->at]->at = node->at;
	object_put((struct object *)&node->object->object);
	free(node);
}

void cluster_node(struct cluster *cluster, const struct node *before, const struct node *after)
{
	const char *name = before ? before->object.name : after->object.name;
	struct nodeent *node = hash_find(&cluster->nodes, hash_string(name), is_node, name);

	if (node) {
		node_claims(cluster, node, false);
		node_remove(cluster, node);
	}
	if (!after)
		return;
	node = must_new(sizeof(*node));
	node->object = (const struct node *)object_get((struct object *)&after->object);
	node->at = cluster->node_list.n;
	must_push(&cluster->node_list, node);
	must_ok(hash_add(&cluster->nodes, hash_string(name), node));
	node_claims(cluster, node, true);
}

void cluster_node_touch(struct cluster *cluster, const char *name)
{
	struct nodeent *node =
		name ? hash_find(&cluster->nodes, hash_string(name), is_node, name) : NULL;

	for (uint32_t i = 0; node && i < node->object->naddrs; i++)
		space_touch(&cluster->space, address(cluster, &node->object->addrs[i]));
}
