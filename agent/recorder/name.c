// SPDX-License-Identifier: Apache-2.0
// name.c - who the ends of a flow are, and what its rule is called.
#include "agent/recorder/private.h"

#include <string.h>

// A pod of this node, as the tables have it; kept when it is gone, as its flows are told later.
struct own {
	uint32_t ident;
	struct bh_addr addr[2]; // by family
	struct flow_card *card; // what can be said without the book
};

static uint64_t number_hash(uint32_t number)
{
	return hash_bytes(&number, sizeof(number));
}

// ---- own pods --------------------------------------------------------------------------------------------------

static bool own_is(const void *item, const void *key)
{
	return ((const struct own *)item)->ident == *(const uint32_t *)key;
}

static void own_free(struct own *own)
{
	if (own)
		flow_card_put(own->card);
	free(own);
}

static void own_clear(struct hash *hash)
{
	struct own *own;

	for (size_t at = 0; (own = hash_next(hash, &at));)
		own_free(own);
	hash_fini(hash);
	*hash = (struct hash){ 0 };
}

static struct own *own_new(const struct recorder *recorder, const struct bh_identity *identity,
			   const struct bh_addr addr[2])
{
	struct own *own = calloc(1, sizeof(*own));

	if (!own)
		return NULL;
	own->ident = identity->ident;
	memcpy(own->addr, addr, sizeof(own->addr));
	own->card = flow_card_new(&(struct flow_card){ .who = FLOW_POD, .ns = identity->ns, .name = identity->name,
						       .uid = *identity->uid ? identity->uid : NULL,
						       .node = recorder->node });
	if (own->card)
		return own;
	free(own);
	return NULL;
}

// What the tables say now of an ident; NULL: they do not know it any more.
static struct own *own_look(struct recorder *recorder, uint32_t ident)
{
	struct bh_identity identity;
	struct bh_addr addr[2];

	if (tables_identity_get(recorder->config.tables, BH_SLOT(ident), &identity) < 0 || identity.ident != ident ||
	    !tables_addrs_get(recorder->config.tables, ident, addr))
		return NULL;
	return own_new(recorder, &identity, addr);
}

static struct own *own_known(const struct recorder *recorder, uint32_t ident)
{
	struct own *own = hash_find(&recorder->own, number_hash(ident), own_is, &ident);

	return own ? own : hash_find(&recorder->own_before, number_hash(ident), own_is, &ident);
}

// Of those that are kept the older half goes when there are too many.
static struct own *own_keep(struct recorder *recorder, struct own *own)
{
	if (own && recorder->own.n >= OWN_MAX) {
		own_clear(&recorder->own_before);
		recorder->own_before = recorder->own;
		recorder->own = (struct hash){ 0 };
	}
	if (own && hash_add(&recorder->own, number_hash(own->ident), own) == 0)
		return own;
	own_free(own);
	return NULL;
}

void recorder_left(void *arg, const struct bh_identity *identity, const struct bh_addr addr[2])
{
	struct recorder *recorder = arg;
	struct own *own = own_new(recorder, identity, addr);

	pthread_mutex_lock(&recorder->lock);
	if (own && recorder->left.n < OWN_MAX && vec_push(&recorder->left, own) == 0)
		own = NULL;
	pthread_mutex_unlock(&recorder->lock);
	own_free(own); // its flows will lack a name, and are counted then
}

void recorder_names_settle(struct recorder *recorder)
{
	VEC(struct own *) left;

	pthread_mutex_lock(&recorder->lock);
	memcpy(&left, &recorder->left, sizeof(left));
	memset(&recorder->left, 0, sizeof(recorder->left));
	pthread_mutex_unlock(&recorder->lock);
	vec_each(struct own *, own, &left) {
		if (own_known(recorder, (*own)->ident))
			own_free(*own);
		else
			own_keep(recorder, *own);
	}
	vec_fini(&left);
}

// The tables first: what they do not have any more has been handed over by then.
static struct own *own_find(struct recorder *recorder, uint32_t ident)
{
	struct own *own = own_known(recorder, ident);

	if (!own)
		own = own_keep(recorder, own_look(recorder, ident));
	if (own)
		return own;
	recorder_names_settle(recorder);
	return own_known(recorder, ident);
}

static struct flow_end nobody(struct recorder *recorder)
{
	static const struct bh_addr none;

	recorder_count(recorder, &recorder->stats.lost_names);
	return (struct flow_end){ .card = book_find(recorder->book, &none, INT64_MAX) };
}

struct flow_end recorder_own(struct recorder *recorder, uint32_t ident, bool v6, int64_t when_ns)
{
	struct own *own = own_find(recorder, ident);
	struct flow_end end = { 0 };

	if (!own)
		return nobody(recorder);
	end.addr = own->addr[v6];
	end.card = book_find_pod(recorder->book, own->card->ns, own->card->name, &end.addr, when_ns);
	if (!end.card)
		end.card = flow_card_get(own->card);
	return end;
}

struct flow_end recorder_peer(struct recorder *recorder, const struct bh_addr *addr, uint16_t port, int64_t when_ns)
{
	return (struct flow_end){ *addr, port, book_find(recorder->book, addr, when_ns) };
}

// ---- rules -----------------------------------------------------------------------------------------------------

static bool name_is(const void *item, const void *key)
{
	return ((const struct flow_policy *)item)->id == *(const uint32_t *)key;
}

static void names_clear(struct recorder *recorder)
{
	struct flow_policy *policy;

	for (size_t at = 0; (policy = hash_next(&recorder->names, &at));)
		flow_policy_put(policy);
	hash_fini(&recorder->names);
	memset(&recorder->names, 0, sizeof(recorder->names));
}

// A number stands for the same name as long as anybody knows it: what was learned stays right when the policy is gone.
const struct flow_policy *recorder_policy(struct recorder *recorder, uint32_t rule)
{
	struct flow_policy *policy = hash_find(&recorder->names, number_hash(rule), name_is, &rule);

	if (policy)
		return flow_policy_get(policy);
	policy = recorder->config.policy(recorder->config.arg, rule);
	if (!policy)
		return flow_policy_new(&(struct flow_policy){ .id = rule, .kind = FLOW_POLICY_UNKNOWN });
	if (recorder->names.n >= NAMES_MAX)
		names_clear(recorder);
	if (policy->kind != FLOW_POLICY_UNKNOWN && hash_add(&recorder->names, number_hash(rule), policy) == 0)
		flow_policy_get(policy);
	return policy;
}

void recorder_names_fini(struct recorder *recorder)
{
	recorder_names_settle(recorder);
	own_clear(&recorder->own);
	own_clear(&recorder->own_before);
	names_clear(recorder);
}
