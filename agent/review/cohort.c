// SPDX-License-Identifier: Apache-2.0
// cohort.c - pods to cohorts: those that nothing tells apart which policies mention.
#include <arpa/inet.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/review/exposure_private.h"

// ---- keys and blocks that policies mention -----------------------------------------------------

static bool is_same(const void *item, const void *key)
{
	return item == key;
}

static void mention(struct exposure *exposure, const struct selector *pods)
{
	for (uint32_t i = 0; i < pods->nterms; i++) {
		const char *key = pods->terms[i].key;

		if (!hash_find(&exposure->keys, hash_pointer(key), is_same, key))
			must_ok(hash_add(&exposure->keys, hash_pointer(key), (void *)(uintptr_t)key));
	}
}

static void read_rules(struct exposure *exposure, const struct rules *rules)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		for (uint32_t k = 0; k < rules->v[i].npeers; k++) {
			const struct peer *peer = &rules->v[i].peers[k];

			mention(exposure, &peer->pods);
			if (peer->kind != PEER_CIDR)
				continue;
			blocks_add(&exposure->blocks, &peer->cidr);
			for (uint32_t e = 0; e < peer->nexcepts; e++)
				blocks_add(&exposure->blocks, &peer->excepts[e]);
		}
	}
}

static int read_netpol(void *arg, const struct object *object)
{
	const struct netpol *netpol = (const struct netpol *)object;

	mention(arg, &netpol->pods);
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		read_rules(arg, &netpol->rules[dir]);
	return 0;
}

static int read_cluster(void *arg, const struct object *object)
{
	const struct clusternetpol *policy = (const struct clusternetpol *)object;

	mention(arg, &policy->pods);
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		read_rules(arg, &policy->rules[dir]);
	return 0;
}

static void read_policies(struct exposure *exposure)
{
	static const struct bh_cidr roots[] = { { BH_V4_PREFIX, { { 0, 0, BH_ADDR_V4_WORD, 0 } } }, { 0 } };
	const struct store *store = review_store(exposure->review);

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		blocks_add(&exposure->blocks, &roots[i]);
	store_each(store, KIND_NETPOL, NULL, read_netpol, exposure);
	store_each(store, KIND_CLUSTERNETPOL, NULL, read_cluster, exposure);
	blocks_settle(&exposure->blocks, &exposure->crowd);
}

// ---- pods ----------------------------------------------------------------------------------------

static int compare_pods(const void *a, const void *b)
{
	const struct object *x = *(const struct object *const *)a, *y = *(const struct object *const *)b;
	int r = strcmp(x->ns, y->ns);

	return r ? r : strcmp(x->name, y->name);
}

static int gather_pod(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct exposure *exposure = arg;

	if (!pod->host_network && !pod->finished)
		must_push(&exposure->pods, pod);
	return 0;
}

static void gather_pods(struct exposure *exposure)
{
	vec_clear(&exposure->pods);
	store_each(review_store(exposure->review), KIND_POD, NULL, gather_pod, exposure);
	vec_sort(&exposure->pods, compare_pods);
}

static void give_addresses(struct exposure *exposure)
{
	uint32_t next = 0xf0000001;

	vec_each(const struct pod *, pod, &exposure->pods) {
		struct bh_addr addr = bh_addr_from4(htonl(next));

		if ((*pod)->naddrs)
			continue;
		next++;
		review_put(exposure->review, must(pod_with_addrs(*pod, &addr, 1, false)));
	}
}

// ---- cohorts -------------------------------------------------------------------------------------

static bool is_mentioned(const struct exposure *exposure, const char *key)
{
	return hash_find(&exposure->keys, hash_pointer(key), is_same, key);
}

static bool shares_address(const struct exposure *exposure, const struct pod *pod)
{
	for (uint32_t i = 0; i < pod->naddrs; i++)
		if (crowd_claims(&exposure->crowd, &pod->addrs[i]) > 1)
			return true;
	return false;
}

static void read_member(const struct exposure *exposure, const struct pod *pod, struct member *ret)
{
	*ret = (struct member){ .cohort = { .pod = pod, .npods = 1 } };
	ret->cohort.realm = crowd_realm(&exposure->crowd, pod->object.ns);
	ret->lone = shares_address(exposure, pod) ? pod : NULL;
	for (uint32_t i = 0; i < pod->naddrs; i++) {
		int family = !bh_addr_is4(&pod->addrs[i]);

		if (ret->cohort.has[family])
			continue;
		ret->cohort.has[family] = true;
		ret->cohort.addr[family] = pod->addrs[i];
		ret->in[family] = blocks_find(&exposure->blocks, &pod->addrs[i]);
	}
	ret->hash = hash_mix(hash_pointer(pod->object.ns), hash_pointer(pod->ports));
	for (int family = 0; family < 2; family++)
		ret->hash = hash_mix(ret->hash, hash_pointer(ret->in[family]));
	ret->hash = hash_mix(ret->hash, hash_pointer(ret->lone));
	for (uint32_t i = 0; i < pod->labels.n; i++)
		if (is_mentioned(exposure, pod->labels.v[i].key))
			ret->hash = hash_mix(ret->hash, hash_mix(hash_pointer(pod->labels.v[i].key),
								 hash_pointer(pod->labels.v[i].value)));
}

struct member_key {
	const struct exposure *exposure;
	const struct member *member;
};

static uint32_t next_mentioned(const struct exposure *exposure, const struct labels *labels, uint32_t i)
{
	while (i < labels->n && !is_mentioned(exposure, labels->v[i].key))
		i++;
	return i;
}

static bool labels_alike(const struct exposure *exposure, const struct labels *a, const struct labels *b)
{
	uint32_t i = 0, k = 0;

	for (;; i++, k++) {
		i = next_mentioned(exposure, a, i);
		k = next_mentioned(exposure, b, k);
		if (i == a->n || k == b->n)
			return i == a->n && k == b->n;
		if (a->v[i].key != b->v[k].key || a->v[i].value != b->v[k].value)
			return false;
	}
}

static bool is_alike(const void *item, const void *key)
{
	const struct member *a = item, *b = ((const struct member_key *)key)->member;
	const struct pod *x = a->cohort.pod, *y = b->cohort.pod;

	return x->object.ns == y->object.ns && x->ports == y->ports && a->lone == b->lone &&
	       a->in[0] == b->in[0] && a->in[1] == b->in[1] &&
	       labels_alike(((const struct member_key *)key)->exposure, &x->labels, &y->labels);
}

static struct member *member_of(struct exposure *exposure, const struct pod *pod)
{
	struct member model, *member;
	const struct member_key key = { exposure, &model };

	read_member(exposure, pod, &model);
	member = hash_find(&exposure->by_content, model.hash, is_alike, &key);
	if (member) {
		member->cohort.npods++;
		return member;
	}
	member = must_new(sizeof(*member));
	*member = model;
	member->cohort.index = (uint32_t)exposure->members.n;
	must_ok(hash_add(&exposure->by_content, model.hash, member));
	must_push(&exposure->members, member);
	return member;
}

const struct cohort *exposure_cohort(const struct exposure *exposure, const struct pod *pod)
{
	const struct pod **at = bsearch(&pod, exposure->pods.v, exposure->pods.n, sizeof(pod), compare_pods);

	return at ? exposure->cohort_of.v[at - exposure->pods.v] : NULL;
}

void cohorts_find(struct exposure *exposure)
{
	VEC(uint32_t) index = { 0 };

	gather_pods(exposure);
	give_addresses(exposure);
	gather_pods(exposure);
	crowd_init(&exposure->crowd, review_store(exposure->review));
	read_policies(exposure);
	vec_each(const struct pod *, pod, &exposure->pods)
		must_push(&index, member_of(exposure, *pod)->cohort.index);
	vec_each(struct member *, member, &exposure->members) {
		cuts_find(exposure, *member);
		must_push(&exposure->cohorts, (*member)->cohort);
	}
	vec_each(uint32_t, i, &index)
		must_push(&exposure->cohort_of, &exposure->cohorts.v[*i]);
	vec_fini(&index);
}

static void member_free(struct member *member)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		vec_each(struct reach *, reach, &member->rows[dir]) {
			if (*reach)
				reach_fini(*reach);
			free(*reach);
		}
		vec_fini(&member->rows[dir]);
		vec_fini(&member->cuts[dir]);
	}
	free(member);
}

void cohorts_fini(struct exposure *exposure)
{
	vec_each(struct member *, member, &exposure->members)
		member_free(*member);
	vec_fini(&exposure->members);
	vec_fini(&exposure->cohorts);
	vec_fini(&exposure->cohort_of);
	vec_fini(&exposure->pods);
	blocks_fini(&exposure->blocks);
	hash_fini(&exposure->keys);
	hash_fini(&exposure->by_content);
	crowd_fini(&exposure->crowd);
}
