// SPDX-License-Identifier: Apache-2.0
// suggest.c - what is kept of records: pods, and flows that policies cannot tell apart.
#include "agent/suggest/suggest_private.h"

#include <assert.h>
#include <string.h>

int suggest_new(const struct suggest_options *options, struct suggest **ret)
{
	struct suggest *suggest = calloc(1, sizeof(*suggest));

	if (!suggest)
		return -ENOMEM;
	suggest->options = options;
	*ret = suggest;
	return 0;
}

static void pod_free(struct pod_seen *pod)
{
	flow_card_put(pod->card);
	free(pod);
}

void suggest_free(struct suggest *suggest)
{
	if (!suggest)
		return;
	vec_each(struct pod_seen *, pod, &suggest->pods)
		pod_free(*pod);
	vec_each(struct tuple *, tuple, &suggest->tuples)
		free(*tuple);
	vec_each(struct group *, group, &suggest->groups)
		group_free(*group);
	vec_each(char *, node, &suggest->nodes)
		free(*node);
	vec_fini(&suggest->pods);
	vec_fini(&suggest->tuples);
	vec_fini(&suggest->groups);
	vec_fini(&suggest->nodes);
	vec_each(struct decider, decider, &suggest->deciders)
		free(decider->name);
	vec_fini(&suggest->deciders);
	hash_fini(&suggest->pods_by_name);
	hash_fini(&suggest->tuples_by_value);
	hash_fini(&suggest->ids);
	free(suggest);
}

bool suggest_wants(const struct suggest *suggest, const char *ns)
{
	const struct suggest_options *options = suggest->options;

	for (size_t i = 0; i < options->nnamespaces; i++) {
		if (!strcmp(options->namespaces[i], ns))
			return true;
	}
	return options->nnamespaces == 0;
}

bool proto_has_ports(uint8_t proto)
{
	return proto == PROTOCOL_TCP || proto == PROTOCOL_UDP || proto == PROTOCOL_SCTP;
}

int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

int compare_pods(const struct pod_seen *a, const struct pod_seen *b)
{
	int order = compare_text(a->card->ns, b->card->ns);

	return order ? order : compare_text(a->card->name, b->card->name);
}

// ---- pods ----------------------------------------------------------------------------------------------------------

static bool same_pod(const void *item, const void *key)
{
	const struct pod_seen *pod = item;
	const struct flow_card *card = key;

	return !strcmp(pod->card->ns, card->ns) && !strcmp(pod->card->name, card->name);
}

static bool is_pod(const struct flow_card *card)
{
	return card && card->who == FLOW_POD && card->ns && card->name;
}

static int new_pod(struct suggest *suggest, const struct flow_card *card, uint64_t hash, struct pod_seen **ret)
{
	struct pod_seen *pod;

	if (vec_reserve(&suggest->pods, 1) < 0 || hash_reserve(&suggest->pods_by_name, 1) < 0)
		return -ENOMEM;
	pod = calloc(1, sizeof(*pod));
	if (!pod)
		return -ENOMEM;
	pod->card = flow_card_get(card);
	vec_push(&suggest->pods, pod);
	hash_add(&suggest->pods_by_name, hash, pod);
	*ret = pod;
	return 0;
}

// Labels are those of the record that came last.
static int find_pod(struct suggest *suggest, const struct flow_card *card, struct pod_seen **ret)
{
	uint64_t hash = hash_mix(hash_string(card->ns), hash_string(card->name));
	struct pod_seen *pod = hash_find(&suggest->pods_by_name, hash, same_pod, card);
	int r = pod ? 0 : new_pod(suggest, card, hash, &pod);

	if (r < 0)
		return r;
	flow_card_get(card);
	flow_card_put(pod->card);
	pod->card = card;
	*ret = pod;
	return 0;
}

// ---- tuples --------------------------------------------------------------------------------------------------------

static bool same_tuple(const void *item, const void *key)
{
	const struct tuple *a = item, *b = key;

	return a->self == b->self && a->peer == b->peer && a->dir == b->dir && a->proto == b->proto &&
	       a->port == b->port && a->fate == b->fate && bh_addr_equal(&a->addr, &b->addr);
}

static uint64_t tuple_hash(const struct tuple *tuple)
{
	uint64_t hash = hash_mix(hash_pointer(tuple->self), hash_pointer(tuple->peer));

	hash = hash_mix(hash, (uint64_t)tuple->dir << 32 | (uint64_t)tuple->proto << 16 | tuple->port);
	hash = hash_mix(hash, tuple->fate);
	return hash_mix(hash, hash_bytes(&tuple->addr, sizeof(tuple->addr)));
}

static int keep_tuple(struct suggest *suggest, const struct tuple *model, struct tuple **ret, struct err *reterr)
{
	size_t max = suggest->options->max_tuples ?: SUGGEST_TUPLES_MAX;
	uint64_t hash = tuple_hash(model);
	struct tuple *tuple = hash_find(&suggest->tuples_by_value, hash, same_tuple, model);

	if (tuple) {
		tuple->told |= model->told;
		*ret = tuple;
		return 0;
	}
	if (suggest->tuples.n == max)
		return err_set(reterr, -E2BIG, "more than %zu different flows: ask for fewer, by --since or --filter", max);
	if (vec_reserve(&suggest->tuples, 1) < 0 || hash_reserve(&suggest->tuples_by_value, 1) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	tuple = malloc(sizeof(*tuple));
	if (!tuple)
		return err_set(reterr, -ENOMEM, "out of memory");
	*tuple = *model;
	vec_push(&suggest->tuples, tuple);
	hash_add(&suggest->tuples_by_value, hash, tuple);
	*ret = tuple;
	return 0;
}

// Of an address of another pod its family alone matters: pods of one workload have many.
static struct bh_addr family_alone(const struct bh_addr *addr)
{
	return bh_addr_is4(addr) ? bh_addr_from4(0) : (struct bh_addr){ 0 };
}

// The other end of a flow between pods, as if it had told it, too.
static int keep_mirror(struct suggest *suggest, const struct tuple *tuple, struct err *reterr)
{
	struct tuple mirror = *tuple, *kept;

	mirror.dir = !tuple->dir;
	mirror.self = tuple->peer;
	mirror.peer = tuple->self;
	mirror.told = false;
	mirror.flows = mirror.packets = 0;
	return keep_tuple(suggest, &mirror, &kept, reterr);
}

// ---- records -------------------------------------------------------------------------------------------------------

// Where a flow went really: policies apply there.
static const struct flow_end *answering_end(const struct flow_record *record)
{
	return record->backend.card ? &record->backend : &record->dst;
}

static bool is_own_node(const struct flow_card *card, const char *node)
{
	return card->who == FLOW_NODE && card->name && !strcmp(card->name, node);
}

static enum fate fate_of(const struct suggest *suggest, const struct flow_record *record, const struct tuple *tuple,
			 const struct flow_card *peer, const char *node)
{
	if (tuple->peer == tuple->self)
		return FATE_SELF;
	if (record->reason == BH_REASON_OWN_NODE || is_own_node(peer, node))
		return FATE_OWN_NODE;
	if (record->verdict == FLOW_DENIED && !suggest->options->include_denied)
		return FATE_DENIED;
	return tuple->why ? FATE_UNKNOWN : FATE_COVERED;
}

static const char *why_not(const struct flow_record *record, const struct flow_card *peer)
{
	if (peer->who == FLOW_SERVICE)
		return "where the Service sent it is not known";
	if (peer->who == FLOW_POD && !is_pod(peer))
		return "the pod's name is not known";
	if (proto_has_ports(record->proto) && answering_end(record)->port == 0)
		return "port 0 stands in no policy";
	return NULL;
}

static bool same_number(const void *item, const void *key)
{
	return item == key;
}

// Whether this flow was not counted yet. -ENOMEM.
static int is_new_flow(struct suggest *suggest, const struct flow_record *record, const char *node)
{
	uint64_t key = hash_mix(record->id, hash_string(node)) | 1;
	void *item = (void *)(uintptr_t)key;

	if (!record->id || hash_find(&suggest->ids, key, same_number, item))
		return 0;
	return hash_add(&suggest->ids, key, item) < 0 ? -ENOMEM : 1;
}

static int note_node(struct suggest *suggest, const char *node)
{
	char *copy;

	vec_each(char *, known, &suggest->nodes) {
		if (!strcmp(*known, node))
			return 0;
	}
	copy = strdup(node);
	if (!copy || vec_push(&suggest->nodes, copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	return 0;
}

static int note_decider(struct suggest *suggest, const char *name)
{
	struct decider decider = { strdup(name), 1 };

	vec_each(struct decider, known, &suggest->deciders) {
		if (strcmp(known->name, name))
			continue;
		known->flows++;
		free(decider.name);
		return 0;
	}
	if (!decider.name || vec_push(&suggest->deciders, decider) < 0) {
		free(decider.name);
		return -ENOMEM;
	}
	return 0;
}

// A flow that is told for the first time. Only a rule that allows is told of a policy that may go on to do so.
static int count_flow(struct suggest *suggest, const struct flow_record *record, struct tuple *tuple)
{
	const struct flow_policy *policy = record->policy;
	bool by_rule = policy && (policy->kind == FLOW_POLICY_NETPOL || policy->kind == FLOW_POLICY_CLUSTERNETPOL);

	tuple->flows++;
	return by_rule && record->type != FLOW_DENY && policy->npolicies ? note_decider(suggest, policy->policies[0]) : 0;
}

static int fill_tuple(struct suggest *suggest, const struct flow_record *record, const char *node, struct tuple *ret)
{
	const struct flow_end *answers = answering_end(record), *src = &record->src;
	const struct flow_end *self = record->dir == BH_EGRESS ? src : answers;
	const struct flow_end *peer = record->dir == BH_EGRESS ? answers : src;
	int r = find_pod(suggest, self->card, &ret->self);

	if (r == 0 && is_pod(peer->card))
		r = find_pod(suggest, peer->card, &ret->peer);
	if (r < 0)
		return r;
	ret->self->told = true;
	ret->dir = record->dir;
	ret->proto = record->proto;
	ret->port = proto_has_ports(record->proto) ? answers->port : 0;
	ret->addr = ret->peer ? family_alone(&peer->addr) : peer->addr;
	ret->told = true;
	ret->why = why_not(record, peer->card);
	ret->fate = fate_of(suggest, record, ret, peer->card, node);
	return 0;
}

int suggest_add(struct suggest *suggest, const struct flow_record *record, const char *node, struct err *reterr)
{
	const struct flow_end *answers = answering_end(record);
	struct tuple model = { 0 }, *tuple;
	int r;

	assert(record->src.card && record->dst.card);

	suggest->records++;
	if (!is_pod(record->dir == BH_EGRESS ? record->src.card : answers->card)) {
		suggest->nameless++;
		return 0;
	}
	r = note_node(suggest, node);
	if (r == 0)
		r = fill_tuple(suggest, record, node, &model);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	r = keep_tuple(suggest, &model, &tuple, reterr);
	if (r < 0)
		return r;
	if (record->type == FLOW_DENY)
		tuple->packets += record->packets[FLOW_FORWARD];
	r = is_new_flow(suggest, record, node);
	if (r > 0)
		r = count_flow(suggest, record, tuple);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	return tuple->peer && tuple->fate == FATE_COVERED ? keep_mirror(suggest, tuple, reterr) : 0;
}

int suggest_make(struct suggest *suggest, struct json_object **retpolicies, struct json_object **retreport,
		 struct err *reterr)
{
	_cleanup_json_ struct json_object *policies = NULL;
	int r = suggest_groups(suggest);

	if (r == 0)
		r = suggest_names(suggest);
	if (r == 0)
		r = suggest_rules(suggest, &policies);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	r = suggest_check(suggest, policies, retreport, reterr);
	if (r < 0)
		return r;
	*retpolicies = TAKE_PTR(policies);
	return 0;
}
