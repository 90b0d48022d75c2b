// SPDX-License-Identifier: Apache-2.0
// ruleid.c - rule ids: FNV-1a of the rule's name, linear probing, a queue of retired ones.
#include "agent/policy/ruleid.h"

#include <string.h>

#include "agent/base/hash.h"
#include "agent/policy/must.h"

#define TRIM_SLACK 4096 // more than are kept before it is worth going through all

// Stable across restarts and builds, which the seeded hash of base is not.
static uint32_t stable_id(const char *key)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *key; key++)
		hash = (hash ^ (uint8_t)*key) * 0x100000001b3ull;
	hash = (hash ^ hash >> BH_RULE_BITS) & BH_RULE_MASK;
	return hash ? (uint32_t)hash : 1;
}

static uint64_t slot_hash(uint32_t id)
{
	return hash_mix(id, 0);
}

static bool is_id(const void *item, const void *key)
{
	return ((const struct ruleid *)item)->id == *(const uint32_t *)key;
}

struct ruleid *ruleid_find(const struct ruleids *ruleids, uint32_t id)
{
	return hash_find(&ruleids->by_id, slot_hash(id), is_id, &id);
}

static void ruleid_free(struct ruleid *ruleid)
{
	for (uint32_t i = 0; i < ruleid->info.npolicies; i++)
		free((void *)ruleid->info.policies[i]);
	free((void *)ruleid->info.policies);
	free((void *)ruleid->info.name);
	free(ruleid->key);
	free(ruleid);
}

void ruleids_fini(struct ruleids *ruleids)
{
	struct ruleid *ruleid;
	size_t at = 0;

	while ((ruleid = hash_next(&ruleids->by_id, &at)))
		ruleid_free(ruleid);
	hash_fini(&ruleids->by_id);
	vec_fini(&ruleids->retired);
}

// Takes over key.
static struct ruleid *record(struct ruleids *ruleids, char *key)
{
	uint32_t id = stable_id(key);
	struct ruleid *ruleid;

	while ((ruleid = ruleid_find(ruleids, id))) {
		if (!strcmp(ruleid->key, key)) {
			free(key);
			ruleid->refs++;
			return ruleid;
		}
		id = (id + 1) & BH_RULE_MASK;
		id = id ? id : 1;
	}
	ruleid = must_new(sizeof(*ruleid));
	ruleid->id = id;
	ruleid->key = key;
	ruleid->refs = 1;
	must_ok(hash_add(&ruleids->by_id, slot_hash(id), ruleid));
	return ruleid;
}

static char *title_of(const struct object *object)
{
	char title[512];

	return must(strdup(object_title(object, title, sizeof(title))));
}

struct ruleid *ruleid_rule(struct ruleids *ruleids, const struct object *policy, enum bh_dir dir,
			   uint32_t index, const struct rule *rule)
{
	bool cluster = policy->kind == KIND_CLUSTERNETPOL;
	const struct clusternetpol *cnp = cluster ? (const void *)policy : NULL;
	char *title = title_of(policy), *key;
	struct ruleid *ruleid;
	int r;

	if (cnp) // all that is said of it: who remembers the id remembers no other name
		r = asprintf(&key, "c%d/%s/%u/%d/%d/%s", dir, title, index, cnp->tier, rule->action,
			     rule->name ? rule->name : "");
	else
		r = asprintf(&key, "n%d/%s/%u", dir, title, index);
	if (r < 0)
		abort();
	ruleid = record(ruleids, key);
	if (!ruleid->info.policies) {
		ruleid->info.policies = must_new(sizeof(char *));
		ruleid->info.policies[0] = title;
		ruleid->info.npolicies = 1;
	} else {
		free(title);
	}
	ruleid->info.kind = cluster ? RULE_CLUSTERNETPOL : RULE_NETPOL;
	ruleid->info.dir = dir;
	ruleid->info.index = index;
	if (cluster) {
		ruleid->info.tier = ((const struct clusternetpol *)policy)->tier;
		ruleid->info.action = rule->action;
	}
	free((void *)ruleid->info.name);
	ruleid->info.name = rule->name ? must(strdup(rule->name)) : NULL;
	return ruleid;
}

struct ruleid *ruleid_deny(struct ruleids *ruleids, enum bh_dir dir,
			   const struct object *const *policies, size_t n)
{
	char *key = NULL, **titles = must_new(n * sizeof(*titles));
	struct ruleid *ruleid;
	size_t len = 0;
	FILE *out = must(open_memstream(&key, &len));

	fprintf(out, "d%d", dir);
	for (size_t i = 0; i < n; i++) {
		titles[i] = title_of(policies[i]);
		fprintf(out, "/%s", titles[i]);
	}
	if (fclose(out))
		abort();
	ruleid = record(ruleids, key);
	if (ruleid->info.policies) {
		for (size_t i = 0; i < n; i++)
			free(titles[i]);
		free(titles);
		return ruleid;
	}
	ruleid->info = (struct rule_info){ .kind = RULE_DEFAULT_DENY,
					   .dir = dir,
					   .npolicies = (uint32_t)n,
					   .policies = (const char **)titles };
	return ruleid;
}

void ruleid_ref(struct ruleid *ruleid)
{
	if (ruleid)
		ruleid->refs++;
}

void ruleid_put(struct ruleids *ruleids, struct ruleid *ruleid)
{
	if (!ruleid || --ruleid->refs || ruleid->retired)
		return;
	ruleid->retired = true;
	must_push(&ruleids->retired, ruleid);
}

void ruleids_trim(struct ruleids *ruleids)
{
	size_t kept = 0, excess;

	if (ruleids->retired.n <= POLICY_RETIRED_MAX + TRIM_SLACK)
		return;
	excess = ruleids->retired.n - POLICY_RETIRED_MAX;
	for (size_t i = 0; i < ruleids->retired.n; i++) {
		struct ruleid *ruleid = ruleids->retired.v[i];

		if (ruleid->refs) {
			ruleid->retired = false; // it came back
			continue;
		}
		if (!excess) {
			ruleids->retired.v[kept++] = ruleid;
			continue;
		}
		excess--;
		hash_remove(&ruleids->by_id, slot_hash(ruleid->id), ruleid);
		ruleid_free(ruleid);
	}
	ruleids->retired.n = kept;
}
