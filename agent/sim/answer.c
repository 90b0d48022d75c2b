// SPDX-License-Identifier: Apache-2.0
// answer.c - an answer as JSON: what decided at each end, and why.
#include <errno.h>
#include <string.h>

#include "agent/sim/sim_private.h"

static const struct {
	const char *name, *text;
} reasons[BH_REASON_MAX] = {
#define REASON(sym, num, id, sentence) [num] = { id, sentence },
	BH_REASONS(REASON)
#undef REASON
};

static const char *const rule_kinds[] = {
	[RULE_NONE] = "none",
	[RULE_NETPOL] = "networkpolicy",
	[RULE_CLUSTERNETPOL] = "clusternetworkpolicy",
	[RULE_DEFAULT_DENY] = "default-deny",
	[RULE_UNKNOWN] = "unknown",
};

static void put(struct json_object *json, const char *field, struct json_object *value)
{
	json_object_object_add(json, field, value);
}

static struct json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static const char *verdict_name(bool allow)
{
	return allow ? "allow" : "deny";
}

static void put_unjudged(struct json_object *json, const char *text)
{
	put(json, "verdict", json_object_new_string("unjudged"));
	put(json, "policy", NULL);
	put(json, "policies", json_object_new_array());
	put(json, "rule", NULL);
	put(json, "rule_name", NULL);
	put(json, "kind", json_object_new_string("none"));
	put(json, "reason", json_object_new_string(reasons[BH_REASON_NONE].name));
	put(json, "text", json_object_new_string(text));
}

static void put_rule(struct json_object *json, const struct rule_info *rule)
{
	struct json_object *policies = json_object_new_array();
	bool listed = rule->kind == RULE_NETPOL || rule->kind == RULE_CLUSTERNETPOL;

	for (uint32_t i = 0; i < rule->npolicies; i++)
		json_object_array_add(policies, json_object_new_string(rule->policies[i]));
	put(json, "policy", rule->npolicies ? text_or_null(rule->policies[0]) : NULL);
	put(json, "policies", policies);
	put(json, "rule", listed ? json_object_new_int64(rule->index) : NULL);
	put(json, "rule_name", listed ? text_or_null(rule->name) : NULL);
	put(json, "kind", json_object_new_string(rule_kinds[rule->kind]));
}

// What policies in audit mode would have changed.
static void put_audit(struct json_object *json, const struct policy *policy,
		      const struct bh_judgement *judgement)
{
	struct json_object *audit;
	char text[512];

	if (judgement->shadow == judgement->verdict)
		return;
	audit = json_object_new_object();
	put(audit, "verdict",
	    json_object_new_string(
		    verdict_name(BH_CELL_VERDICT(judgement->shadow) == BH_VERDICT_ALLOW)));
	policy_rule_text(policy, BH_CELL_RULE(judgement->shadow), text, sizeof(text));
	put(audit, "text", json_object_new_string(text));
	put(json, "audit", audit);
}

// The rule is what decided, except where the reason alone does: the own node passes the NetworkPolicy tier.
static void put_judged(struct json_object *json, const struct policy *policy,
		       const struct sim_side *side)
{
	struct rule_info rule = { .kind = RULE_UNKNOWN };
	uint32_t id = BH_CELL_RULE(side->judgement.verdict);
	char text[512];

	put(json, "verdict", json_object_new_string(verdict_name(side->reason < BH_REASON_DROP)));
	if (side->reason == BH_REASON_OWN_NODE)
		rule.kind = RULE_NONE;
	else
		policy_rule_info(policy, id, &rule);
	put_rule(json, &rule);
	put(json, "reason", json_object_new_string(reasons[side->reason].name));
	if (side->reason == BH_REASON_ALLOWED || side->reason == BH_REASON_POLICY_DENIED)
		policy_rule_text(policy, id, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%s", reasons[side->reason].text);
	put(json, "text", json_object_new_string(text));
	if (side->reason != BH_REASON_OWN_NODE)
		put_audit(json, policy, &side->judgement);
}

struct json_object *sim_side_json(struct sim *sim, const struct sim_side *side)
{
	const struct policy *policy = side->judged ? sim_policy(sim) : NULL;
	struct json_object *json = json_object_new_object();

	if (policy)
		put_judged(json, policy, side);
	else
		put_unjudged(json, "no pod at this end");
	return json;
}

static struct json_object *side_json(struct sim *sim, const struct sim_answer *answer,
				     enum bh_dir dir)
{
	struct json_object *json;

	if (!answer->loopback)
		return sim_side_json(sim, &answer->side[dir]);
	json = json_object_new_object();
	put_unjudged(json, "a pod always reaches itself");
	return json;
}

struct json_object *sim_answer_json(struct sim *sim, const struct sim_answer *answer)
{
	struct json_object *json = json_object_new_object();

	put(json, "verdict", json_object_new_string(verdict_name(answer->allow)));
	put(json, "family", json_object_new_int(answer->family));
	put(json, "egress", side_json(sim, answer, BH_EGRESS));
	put(json, "ingress", side_json(sim, answer, BH_INGRESS));
	return json;
}
