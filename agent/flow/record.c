// SPDX-License-Identifier: Apache-2.0
// record.c - copies and names of records, cards and verdicts.
#include "agent/flow/record.h"

#include <stdlib.h>
#include <string.h>


// ---- copies of strings, all or none ------------------------------------------------------------------------------

struct copier {
	bool failed;
};

static const char *copy(struct copier *copier, const char *text)
{
	char *copied = text ? strdup(text) : NULL;

	copier->failed |= text && !copied;
	return copied;
}

static void *copy_array(struct copier *copier, size_t n, size_t bytes)
{
	void *copied = n ? calloc(n, bytes) : NULL;

	copier->failed |= n && !copied;
	return copied;
}

static void drop(const void *text)
{
	free((void *)text);
}

// ---- cards ---------------------------------------------------------------------------------------------------------

static void card_free(struct flow_card *card)
{
	drop(card->labels);
	drop(card->ns);
	drop(card->name);
	drop(card->uid);
	drop(card->workload_kind);
	drop(card->workload_name);
	drop(card->node);
	free(card);
}

static const char *append(char **end, const char *text)
{
	char *copied = *end;

	*end = stpcpy(copied, text) + 1;
	return copied;
}

// With their text behind them, in one piece of memory.
static const struct label *copy_labels(struct copier *copier, const struct label *from, uint32_t n)
{
	size_t bytes = n * sizeof(*from);
	struct label *labels;
	char *end;

	for (uint32_t i = 0; i < n; i++)
		bytes += strlen(from[i].key) + strlen(from[i].value) + 2;
	labels = copy_array(copier, bytes, 1);
	if (!labels)
		return NULL;
	end = (char *)(labels + n);
	for (uint32_t i = 0; i < n; i++) {
		labels[i].key = append(&end, from[i].key);
		labels[i].value = append(&end, from[i].value);
	}
	return labels;
}

struct flow_card *flow_card_new(const struct flow_card *model)
{
	struct flow_card *card = calloc(1, sizeof(*card));
	struct copier copier = { 0 };

	if (!card)
		return NULL;
	*card = (struct flow_card){
		.refs = 1,
		.who = model->who,
		.ns = copy(&copier, model->ns),
		.name = copy(&copier, model->name),
		.uid = copy(&copier, model->uid),
		.workload_kind = copy(&copier, model->workload_kind),
		.workload_name = copy(&copier, model->workload_name),
		.node = copy(&copier, model->node),
		.nlabels = model->nlabels,
		.labels_cut = model->labels_cut,
	};
	card->labels = copy_labels(&copier, model->labels, model->nlabels);
	if (copier.failed) {
		card_free(card);
		return NULL;
	}
	return card;
}

struct flow_card *flow_card_get(const struct flow_card *card)
{
	if (card)
		__atomic_fetch_add((int *)&card->refs, 1, __ATOMIC_RELAXED);
	return (struct flow_card *)card;
}

void flow_card_put(const struct flow_card *card)
{
	if (card && __atomic_fetch_sub((int *)&card->refs, 1, __ATOMIC_ACQ_REL) == 1)
		card_free((struct flow_card *)card);
}

// ---- verdicts ------------------------------------------------------------------------------------------------------

static void policy_free_(struct flow_policy *policy)
{
	for (uint32_t i = 0; policy->policies && i < policy->npolicies; i++)
		drop(policy->policies[i]);
	drop(policy->policies);
	drop(policy->rule_name);
	drop(policy->tier);
	free(policy);
}

struct flow_policy *flow_policy_new(const struct flow_policy *model)
{
	struct flow_policy *policy = malloc(sizeof(*policy));
	struct copier copier = { 0 };

	if (!policy)
		return NULL;
	*policy = *model;
	policy->refs = 1;
	policy->rule_name = copy(&copier, model->rule_name);
	policy->tier = copy(&copier, model->tier);
	policy->policies = copy_array(&copier, model->npolicies, sizeof(*policy->policies));
	for (uint32_t i = 0; policy->policies && i < model->npolicies; i++)
		policy->policies[i] = copy(&copier, model->policies[i]);
	if (copier.failed) {
		policy_free_(policy);
		return NULL;
	}
	return policy;
}

struct flow_policy *flow_policy_get(const struct flow_policy *policy)
{
	if (policy)
		__atomic_fetch_add((int *)&policy->refs, 1, __ATOMIC_RELAXED);
	return (struct flow_policy *)policy;
}

void flow_policy_put(const struct flow_policy *policy)
{
	if (policy && __atomic_fetch_sub((int *)&policy->refs, 1, __ATOMIC_ACQ_REL) == 1)
		policy_free_((struct flow_policy *)policy);
}

// ---- records -------------------------------------------------------------------------------------------------------

void flow_record_copy(struct flow_record *to, const struct flow_record *from)
{
	*to = *from;
	flow_card_get(to->src.card);
	flow_card_get(to->dst.card);
	flow_card_get(to->backend.card);
	flow_card_get(to->service);
	flow_policy_get(to->policy);
	flow_policy_get(to->audit);
}

void flow_record_fini(struct flow_record *record)
{
	flow_card_put(record->src.card);
	flow_card_put(record->dst.card);
	flow_card_put(record->backend.card);
	flow_card_put(record->service);
	flow_policy_put(record->policy);
	flow_policy_put(record->audit);
	memset(record, 0, sizeof(*record));
}

// ---- names ---------------------------------------------------------------------------------------------------------

#define NAMED(table, i) ((size_t)(i) < ARRAY_SIZE(table) && table[i] ? table[i] : "unknown")

const char *flow_type_name(enum flow_type type)
{
	static const char *const names[] = { "start", "update", "end", "deny" };

	return NAMED(names, type);
}

const char *flow_verdict_name(enum flow_verdict verdict)
{
	static const char *const names[] = { "allowed", "denied", "audit" };

	return NAMED(names, verdict);
}

const char *flow_over_name(enum flow_over over)
{
	static const char *const names[] = { "", "closed", "reset", "idle", "cut", "replaced", "evicted", "pod-gone", "forgotten" };

	return NAMED(names, over);
}

const char *flow_who_name(enum flow_who who)
{
	static const char *const names[] = { "pod", "node", "service", "world" };

	return NAMED(names, who);
}

const char *flow_policy_kind_name(enum flow_policy_kind kind)
{
	static const char *const names[] = { "none", "NetworkPolicy", "ClusterNetworkPolicy", "default-deny", "unknown" };

	return NAMED(names, kind);
}

const char *flow_reason_name(enum bh_reason reason)
{
	static const char *const names[] = {
#define NAME(sym, num, name, text) [num] = name,
		BH_REASONS(NAME)
#undef NAME
	};

	return NAMED(names, reason);
}
