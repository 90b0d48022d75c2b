// SPDX-License-Identifier: Apache-2.0
// budget.c - how much of the tables a policy, a namespace and all together may use, and who is refused.
//
// A policy over its share keeps its isolation and loses every allow; of a ClusterNetworkPolicy Accept
// rules vanish and the rest denies, and when even that is too much its rules deny everything: the
// smallest thing that is not weaker. Nobody else is touched.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/policy/room.h"

struct ns_budget {
	const char *ns;
	struct usage usage;
};

static bool is_budget(const void *item, const void *key)
{
	return ((const struct ns_budget *)item)->ns == key;
}

static struct ns_budget *ns_budget(struct policy *policy, const char *ns)
{
	struct ns_budget *budget = hash_find(&policy->ns_usage, hash_pointer(ns), is_budget, ns);

	if (budget)
		return budget;
	budget = must_new(sizeof(*budget));
	budget->ns = intern_get(ns);
	must_ok(hash_add(&policy->ns_usage, hash_pointer(ns), budget));
	return budget;
}

void budget_fini(struct policy *policy)
{
	struct ns_budget *budget;
	size_t at = 0;

	while ((budget = hash_next(&policy->ns_usage, &at))) {
		intern_put(budget->ns);
		free(budget);
	}
	hash_fini(&policy->ns_usage);
	vec_fini(&policy->refused);
}

// ---- counting -----------------------------------------------------------------------------------------------

static void count_blocks(const struct rule *rule, struct usage *usage)
{
	for (uint32_t i = 0; i < rule->npeers; i++)
		if (rule->peers[i].kind == PEER_CIDR)
			usage->cidrs += 1 + rule->peers[i].nexcepts;
}

// Where a rule's ports begin (1) or end (-1).
struct edge {
	uint32_t at;
	uint32_t rule;
	int delta;
};
typedef VEC(struct edge) edges;
typedef VEC(uint64_t) sets;

static void list_edges(const struct rule *rule, uint32_t index, edges *out)
{
	for (uint32_t i = 0; i < rule->nports; i++) {
		const struct port *port = &rule->ports[i];
		uint32_t base = (uint32_t)port->protocol << 17;
		bool all = !port->lo && !port->hi;

		if (port->name)
			continue;
		must_push(out, (struct edge){ base + (all ? 0 : port->lo), index, 1 });
		must_push(out, (struct edge){ base + (all ? 65535u : port->hi) + 1, index, -1 });
	}
}

static int by_place(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

// How many different sets of rules hold somewhere; a set is known by the sum of its rules' hashes.
static uint32_t count_sets(edges *list, uint32_t nrules)
{
	int *depth = must_new(nrules * sizeof(*depth));
	sets seen = { 0 };
	uint64_t now = 0;
	uint32_t n = 0;

	vec_sort(list, by_place);
	for (size_t i = 0; i < list->n; i++) {
		const struct edge *edge = &list->v[i];
		uint64_t hash = hash_mix(edge->rule + 1, 0x9e3779b97f4a7c15ull);
		bool before = depth[edge->rule] > 0;

		depth[edge->rule] += edge->delta;
		if (before != (depth[edge->rule] > 0))
			now += before ? -hash : hash;
		if (now && (i + 1 == list->n || list->v[i + 1].at != edge->at))
			must_push(&seen, now);
	}
	vec_sort(&seen, by_value);
	for (size_t i = 0; i < seen.n; i++)
		n += !i || seen.v[i] != seen.v[i - 1];
	vec_fini(&seen);
	free(depth);
	return n;
}

static bool counted(const struct polent *polent, const struct rule *rule, enum refusal refusal)
{
	if (refusal == REFUSAL_NONE)
		return true;
	return refusal == REFUSAL_ACCEPTS && polent->kind == KIND_CLUSTERNETPOL &&
	       rule->action != ACTION_ACCEPT;
}

static struct usage count(const struct polent *polent, enum refusal refusal)
{
	const struct rules *rules = polent->kind == KIND_NETPOL ?
					    ((const struct netpol *)polent->source)->rules :
					    ((const struct clusternetpol *)polent->source)->rules;
	struct usage usage = { 0 };

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		edges list = { 0 };

		for (uint32_t i = 0; i < rules[dir].n; i++) {
			if (!counted(polent, &rules[dir].v[i], refusal))
				continue;
			count_blocks(&rules[dir].v[i], &usage);
			list_edges(&rules[dir].v[i], i, &list);
		}
		usage.port_classes += count_sets(&list, rules[dir].n);
		vec_fini(&list);
	}
	return usage;
}

// ---- admitting ----------------------------------------------------------------------------------------------

static uint32_t share(uint32_t of, uint32_t percent)
{
	return (uint32_t)((uint64_t)of * percent / 100);
}

// What is exceeded, or NULL.
static const char *exceeded(const struct usage *used, const struct usage *more, uint32_t cidrs,
			    uint32_t port_classes)
{
	if ((uint64_t)used->cidrs + more->cidrs > cidrs)
		return "address blocks";
	if ((uint64_t)used->port_classes + more->port_classes > port_classes)
		return "port classes";
	return NULL;
}

static const char *find_excess(struct policy *policy, const struct polent *polent,
			       const struct usage *more, const char **retwhose)
{
	const struct policy_limits *limits = &policy->limits;
	const struct usage none = { 0 };
	const char *what = exceeded(&none, more, share(limits->cidrs, limits->object_share),
				    share(limits->port_classes, limits->object_share));

	*retwhose = "one policy's share";
	if (!what && polent->ns) {
		*retwhose = "its namespace's share";
		what = exceeded(&ns_budget(policy, polent->ns)->usage, more,
				share(limits->cidrs, limits->namespace_share),
				share(limits->port_classes, limits->namespace_share));
	}
	if (!what) {
		*retwhose = "the whole";
		what = exceeded(&policy->usage, more, limits->cidrs, limits->port_classes);
	}
	return what;
}

static void charge(struct policy *policy, const struct polent *polent, int sign)
{
	struct usage *of[] = { &policy->usage,
			       polent->ns ? &ns_budget(policy, polent->ns)->usage : NULL };

	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		if (!of[i])
			continue;
		of[i]->cidrs += (uint32_t)sign * polent->usage.cidrs;
		of[i]->port_classes += (uint32_t)sign * polent->usage.port_classes;
	}
}

// Nothing stays of a namespace without policies in force.
static void tidy(struct policy *policy, const char *ns)
{
	struct ns_budget *budget = ns ? ns_budget(policy, ns) : NULL;

	if (!budget || budget->usage.cidrs || budget->usage.port_classes)
		return;
	hash_remove(&policy->ns_usage, hash_pointer(budget->ns), budget);
	intern_put(budget->ns);
	free(budget);
}

static void explain(struct polent *polent, const char *what, const char *whose)
{
	free(polent->problem);
	if (asprintf(&polent->problem,
		     "needs more %s than %s of the table allows: it isolates and allows nothing",
		     what, whose) < 0)
		abort();
}

void budget_admit(struct policy *policy, struct polent *polent)
{
	const char *what, *whose;

	for (int refusal = (int)polent->forced;; refusal++) {
		polent->refusal = refusal;
		polent->usage = count(polent, refusal);
		what = find_excess(policy, polent, &polent->usage, &whose);
		if (!what || refusal == REFUSAL_ALL)
			break;
		if (refusal == REFUSAL_NONE)
			explain(polent, what, whose);
	}
	if (polent->refusal)
		must_push(&policy->refused, polent);
	charge(policy, polent, 1);
}

void budget_leave(struct policy *policy, struct polent *polent)
{
	for (size_t i = 0; i < policy->refused.n; i++)
		if (policy->refused.v[i] == polent) {
			vec_drop(&policy->refused, i);
			break;
		}
	charge(policy, polent, -1);
	tidy(policy, polent->ns);
	if (polent->usage.cidrs || polent->usage.port_classes)
		policy->room_came = true;
	polent->usage = (struct usage){ 0 };
	polent->refusal = REFUSAL_NONE;
}

// True if a refused policy would fit now.
static bool fits(struct policy *policy, struct polent *polent)
{
	struct usage usage = count(polent, REFUSAL_NONE);
	const char *whose;
	bool ok;

	charge(policy, polent, -1);
	ok = !find_excess(policy, polent, &usage, &whose);
	charge(policy, polent, 1);
	return ok;
}

bool budget_retry(struct policy *policy)
{
	bool any = false;

	if (!policy->room_came)
		return false;
	policy->room_came = false;
	vec_each(struct polent *, polent, &policy->refused)
		if (!(*polent)->dirty && !(*polent)->forced && fits(policy, *polent)) {
			polent_touch(policy, *polent);
			any = true;
		}
	return any;
}

bool budget_force(struct policy *policy, struct polent *polent, enum scarce scarce, uint64_t excess)
{
	static const char *const names[SCARCE_MAX] = {
		[SCARCE_CLASSES] = "peer classes",
		[SCARCE_PEERS] = "peers",
		[SCARCE_CIDRS] = "address blocks",
		[SCARCE_PORT_CLASSES] = "port classes",
		[SCARCE_CELLS] = "cells",
		[SCARCE_DENSE] = "dense cells",
	};

	if (!polent->lowered || polent->refusal == REFUSAL_ALL)
		return false;
	explain(polent, names[scarce], "the whole");
	polent->forced = polent->kind == KIND_CLUSTERNETPOL && !polent->refusal ? REFUSAL_ACCEPTS :
										  REFUSAL_ALL;
	polent->shortage = (struct shortage){ .scarce = scarce, .excess = excess };
	policy->retry_failed |= polent == policy->retried;
	polent_touch(policy, polent);
	return true;
}
