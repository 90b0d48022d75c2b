// SPDX-License-Identifier: Apache-2.0
// exposure.c - cohorts and cuts, and the questions to the matrices.
#include "agent/review/exposure.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"

typedef VEC(uint32_t) cut_list; // proto << 16 | first port, ascending

struct member { // what a cohort is found by
	struct cohort cohort;
	uint64_t hash;
	const struct pod *lone; // a pod that shares an address with another: a cohort of its own
	const struct block *in[2];
	cut_list cuts[BH_DIR_MAX];
	VEC(struct reach *) rows[BH_DIR_MAX]; // what passes by each row of its matrix; NULL: not asked yet
};

// A compiled policy in which some cohorts are endpoints, and under which classes it knows the addresses of all.
struct judge {
	struct policy *policy;
	uint32_t (*classes)[2];
};

struct exposure {
	struct review *review;
	struct crowd crowd;
	VEC(struct judge) judges; // each with as many cohorts as a node has endpoints, in the order of their numbers
	struct hash keys; // labels' keys that selectors of pods mention: interned strings
	struct hash by_content;
	struct blocks blocks;
	VEC(struct member *) members;
	VEC(struct cohort) cohorts; // the same, for those who ask
	VEC(const struct cohort *) cohort_of; // of pods, by their index in `pods`
	VEC(const struct pod *) pods; // by namespace and name
};

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

// ---- cuts ----------------------------------------------------------------------------------------

static void cut(cut_list *cuts, enum reach_proto proto, uint32_t port)
{
	if (port <= UINT16_MAX)
		must_push(cuts, (uint32_t)proto << 16 | (port ? port : 1));
}

static void cut_range(cut_list *cuts, uint8_t protocol, uint32_t lo, uint32_t hi)
{
	for (int proto = 0; proto < REACH_OTHER; proto++) {
		if (protocol && protocol != reach_protocol((enum reach_proto)proto))
			continue;
		cut(cuts, (enum reach_proto)proto, lo);
		cut(cuts, (enum reach_proto)proto, hi + 1);
	}
}

// What the name means somewhere: each pod has its own.
static void cut_name(const struct exposure *exposure, cut_list *cuts, const struct port *port)
{
	vec_each(struct group *const, group, &exposure->crowd.groups) {
		const struct pod *pod = (*group)->pod;

		for (uint32_t i = 0; i < pod->nports; i++)
			if (pod->ports[i].name == port->name)
				cut_range(cuts, pod->ports[i].protocol, pod->ports[i].port,
					  pod->ports[i].port);
	}
}

static void cut_rules(const struct exposure *exposure, cut_list *cuts, const struct rules *rules)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		for (uint32_t k = 0; k < rules->v[i].nports; k++) {
			const struct port *port = &rules->v[i].ports[k];

			if (port->name)
				cut_name(exposure, cuts, port);
			else if (port->lo)
				cut_range(cuts, port->protocol, port->lo, port->hi);
		}
	}
}

static int compare_cuts(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void settle_cuts(cut_list *cuts)
{
	size_t n = 0;

	vec_sort(cuts, compare_cuts);
	for (size_t i = 0; i < cuts->n; i++)
		if (!n || cuts->v[n - 1] != cuts->v[i])
			cuts->v[n++] = cuts->v[i];
	cuts->n = n;
}

static void find_cuts(const struct exposure *exposure, struct member *member)
{
	const struct realm *realm = member->cohort.realm;
	const struct labels *labels = &member->cohort.pod->labels;

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		cut_list *cuts = &member->cuts[dir];

		for (int proto = 0; proto < REACH_PROTO_MAX; proto++)
			cut(cuts, (enum reach_proto)proto, 1);
		vec_each(const struct netpol *const, netpol, &realm->policies) {
			if (!selector_match(&(*netpol)->pods, labels))
				continue;
			cut_rules(exposure, cuts, &(*netpol)->rules[dir]);
			member->cohort.isolated[dir] |=
				(*netpol)->isolates[dir] && !(*netpol)->audit &&
				!(realm->object && realm->object->audit);
		}
		vec_each(const struct clusternetpol *const, policy, &exposure->crowd.policies)
			if (selector_match(&(*policy)->namespaces, &realm->labels) &&
			    selector_match(&(*policy)->pods, labels))
				cut_rules(exposure, cuts, &(*policy)->rules[dir]);
		settle_cuts(cuts);
	}
}

// ---- asking --------------------------------------------------------------------------------------

static const struct judge *judge_of(const struct exposure *exposure, const struct cohort *cohort)
{
	return &exposure->judges.v[cohort->index / BH_MAX_ENDPOINTS];
}

static bool passes(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		   const struct bh_addr *remote, uint32_t from)
{
	struct bh_judgement judgement;

	return policy_eval(judge_of(exposure, cohort)->policy, cohort->index % BH_MAX_ENDPOINTS, dir, remote,
			   reach_protocol((enum reach_proto)(from >> 16)), (uint16_t)from, false,
			   &judgement) < BH_REASON_DROP;
}

static struct reach_span span_until(uint32_t from, uint32_t next)
{
	uint8_t proto = (uint8_t)(from >> 16);
	uint16_t hi = proto == REACH_OTHER ? 1 : UINT16_MAX;

	if (next >> 16 == proto)
		hi = (uint16_t)(next - 1);
	return (struct reach_span){ proto, (uint16_t)from, hi };
}

// One end alone.
static void ask(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		const struct bh_addr *remote, struct reach *ret)
{
	const struct member *member = exposure->members.v[cohort->index];
	struct reach found = { 0 };

	for (size_t i = 0; i < member->cuts[dir].n; i++) {
		uint32_t from = member->cuts[dir].v[i];
		uint32_t next = i + 1 < member->cuts[dir].n ? member->cuts[dir].v[i + 1] : UINT32_MAX;

		if (passes(exposure, cohort, dir, remote, from))
			must_push(&found, span_until(from, next));
	}
	reach_union(ret, &found);
	reach_fini(&found);
}

static const struct reach *ask_once(const struct exposure *exposure, const struct cohort *cohort,
				    enum bh_dir dir, const struct cohort *other, int family)
{
	static const struct reach nothing;
	const struct judge *judge = judge_of(exposure, cohort);
	struct member *member = exposure->members.v[cohort->index];
	uint32_t row = policy_row(judge->policy, cohort->index % BH_MAX_ENDPOINTS, dir,
				  judge->classes[other->index][family]);

	if (row == BH_ROW_NONE)
		return &nothing;
	while (member->rows[dir].n <= row)
		must_push(&member->rows[dir], NULL);
	if (!member->rows[dir].v[row]) {
		member->rows[dir].v[row] = must_new(sizeof(struct reach));
		ask(exposure, cohort, dir, &other->addr[family], member->rows[dir].v[row]);
	}
	return member->rows[dir].v[row];
}

void exposure_pair(const struct exposure *exposure, const struct cohort *from, const struct cohort *to,
		   int family, struct reach *ret)
{
	const struct reach *out, *in;

	if (!from->has[family] || !to->has[family])
		return;
	out = ask_once(exposure, from, BH_EGRESS, to, family);
	if (!out->n)
		return;
	in = ask_once(exposure, to, BH_INGRESS, from, family);
	if (in->n)
		reach_common(out, in, ret);
}

void exposure_outside(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		      const struct block *block, struct reach *ret)
{
	if (cohort->has[block->family] && !block->empty)
		ask(exposure, cohort, dir, &block->addr, ret);
}

void exposure_isolating(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
			exposure_fn fn, void *arg)
{
	const struct realm *realm = cohort->realm;

	if (!cohort->isolated[dir])
		return;
	vec_each(const struct netpol *const, netpol, &realm->policies)
		if ((*netpol)->isolates[dir] && !(*netpol)->audit &&
		    selector_match(&(*netpol)->pods, &cohort->pod->labels))
			fn(arg, *netpol);
}

void exposure_problems(const struct exposure *exposure, policy_problem_fn fn, void *arg)
{
	if (exposure->judges.n)
		policy_problem_each(exposure->judges.v[0].policy, fn, arg);
}

// ---- life ----------------------------------------------------------------------------------------

// A node full of cohorts, as if it had them all; nothing is refused for its share.
static void compile(struct exposure *exposure, size_t first, size_t end)
{
	static const struct policy_limits limits = { .object_share = 100, .namespace_share = 100 };
	struct judge judge = { .classes = must_new(exposure->members.n * sizeof(*judge.classes)) };
	struct plan *plan = NULL;

	must_ok(policy_new(review_store(exposure->review), &limits, &judge.policy));
	must_push(&exposure->judges, judge);
	for (size_t i = first; i < end; i++) {
		const struct object *pod = &exposure->members.v[i]->cohort.pod->object;

		must_ok(policy_endpoint_add(judge.policy, pod->ns, pod->name, (uint32_t)(i - first)));
	}
	must_ok(policy_compile(judge.policy, &plan));
	plan_free(plan);
	vec_each(struct member *, member, &exposure->members)
		for (int family = 0; family < 2; family++)
			judge.classes[(*member)->cohort.index][family] =
				policy_peer_class(judge.policy, &(*member)->cohort.addr[family]);
}

static void compile_all(struct exposure *exposure)
{
	size_t n = exposure->members.n, end;

	for (size_t first = 0; first < n; first = end) {
		end = n - first > BH_MAX_ENDPOINTS ? first + BH_MAX_ENDPOINTS : n;
		compile(exposure, first, end);
	}
}

struct exposure *exposure_new(struct review *review)
{
	struct exposure *exposure = must_new(sizeof(*exposure));

	exposure->review = review;
	gather_pods(exposure);
	give_addresses(exposure);
	gather_pods(exposure);
	crowd_init(&exposure->crowd, review_store(review));
	read_policies(exposure);
	VEC(uint32_t) index = { 0 };
	vec_each(const struct pod *, pod, &exposure->pods)
		must_push(&index, member_of(exposure, *pod)->cohort.index);
	vec_each(struct member *, member, &exposure->members) {
		find_cuts(exposure, *member);
		must_push(&exposure->cohorts, (*member)->cohort);
	}
	vec_each(uint32_t, i, &index)
		must_push(&exposure->cohort_of, &exposure->cohorts.v[*i]);
	vec_fini(&index);
	compile_all(exposure);
	return exposure;
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

void exposure_free(struct exposure *exposure)
{
	if (!exposure)
		return;
	vec_each(struct judge, judge, &exposure->judges) {
		policy_free(judge->policy);
		free(judge->classes);
	}
	vec_fini(&exposure->judges);
	vec_each(struct member *, member, &exposure->members) {
		member_free(*member);
	}
	vec_fini(&exposure->members);
	vec_fini(&exposure->cohorts);
	vec_fini(&exposure->cohort_of);
	vec_fini(&exposure->pods);
	blocks_fini(&exposure->blocks);
	hash_fini(&exposure->keys);
	hash_fini(&exposure->by_content);
	crowd_fini(&exposure->crowd);
	free(exposure);
}

const struct block *exposure_block(const struct exposure *exposure, const struct bh_addr *addr)
{
	return blocks_find(&exposure->blocks, addr);
}

const struct crowd *exposure_crowd(const struct exposure *exposure)
{
	return &exposure->crowd;
}

size_t exposure_cohorts(const struct exposure *exposure, const struct cohort **ret)
{
	*ret = exposure->cohorts.v;
	return exposure->cohorts.n;
}

size_t exposure_blocks(const struct exposure *exposure, const struct block **ret)
{
	*ret = exposure->blocks.v;
	return exposure->blocks.n;
}
