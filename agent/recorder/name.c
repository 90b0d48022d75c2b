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

static void own_clear(struct recorder *recorder)
{
	struct own *own;

	for (size_t at = 0; (own = hash_next(&recorder->own, &at));) {
		flow_card_put(own->card);
		free(own);
	}
	hash_fini(&recorder->own);
	memset(&recorder->own, 0, sizeof(recorder->own));
}

// What the tables say now of an ident; false: they do not know it any more.
static bool own_look(struct recorder *recorder, uint32_t ident, struct own *ret)
{
	volatile struct bh_endpoint *endpoint = tables_endpoint(recorder->config.tables, BH_SLOT(ident));
	struct bh_identity identity;

	if (!endpoint || endpoint->ident != ident ||
	    tables_identity_get(recorder->config.tables, BH_SLOT(ident), &identity) < 0 || identity.ident != ident)
		return false;
	ret->ident = ident;
	ret->addr[0] = bh_addr_from4(endpoint->addr4);
	for (int i = 0; i < 4; i++)
		ret->addr[1].w[i] = endpoint->addr6[i];
	ret->card = flow_card_new(&(struct flow_card){ .who = FLOW_POD, .ns = identity.ns, .name = identity.name,
						       .uid = *identity.uid ? identity.uid : NULL,
						       .node = recorder->node });
	return ret->card && endpoint->ident == ident;
}

static struct own *own_find(struct recorder *recorder, uint32_t ident)
{
	struct own *own = hash_find(&recorder->own, number_hash(ident), own_is, &ident);

	if (own)
		return own;
	own = calloc(1, sizeof(*own));
	if (!own || !own_look(recorder, ident, own)) {
		flow_card_put(own ? own->card : NULL);
		free(own);
		return NULL;
	}
	if (recorder->own.n >= OWN_MAX)
		own_clear(recorder);
	if (hash_add(&recorder->own, number_hash(ident), own) == 0)
		return own;
	flow_card_put(own->card);
	free(own);
	return NULL;
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
	own_clear(recorder);
	names_clear(recorder);
}
