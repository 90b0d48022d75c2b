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

static const char *verdict_name(bool allow)
{
	return allow ? "allow" : "deny";
}

static void put_text(struct json_object *json, const char *field, const char *text)
{
	put(json, field, text ? json_object_new_string(text) : NULL);
}

static void put_unjudged(struct json_object *json, const char *text)
{
	put_text(json, "verdict", "unjudged");
	put(json, "policy", NULL);
	put(json, "rule", NULL);
	put_text(json, "reason", "unjudged");
	put_text(json, "text", text);
}

static struct json_object *policies_json(const struct rule_info *info)
{
	struct json_object *json = json_object_new_array();

	for (uint32_t i = 0; i < info->npolicies; i++)
		json_object_array_add(json, json_object_new_string(info->policies[i]));
	return json;
}

static struct json_object *rule_json(const struct policy *policy, uint32_t rule)
{
	struct json_object *json = json_object_new_object();
	struct rule_info info = { .kind = RULE_UNKNOWN };
	char text[512];

	policy_rule_info(policy, rule, &info);
	put(json, "id", json_object_new_int64(rule));
	put_text(json, "kind", rule_kinds[info.kind]);
	put_text(json, "policy", info.npolicies ? info.policies[0] : NULL);
	put(json, "policies", policies_json(&info));
	if (info.kind == RULE_NETPOL || info.kind == RULE_CLUSTERNETPOL)
		put(json, "index", json_object_new_int64(info.index));
	if (info.name)
		put_text(json, "name", info.name);
	put_text(json, "text", policy_rule_text(policy, rule, text, sizeof(text)));
	return json;
}

// What policies in audit mode would have made of it.
static void put_audit(struct json_object *json, const struct policy *policy,
		      const struct bh_judgement *judgement)
{
	struct json_object *audit;
	bool allow = BH_CELL_VERDICT(judgement->shadow) == BH_VERDICT_ALLOW;

	if (judgement->shadow == judgement->verdict)
		return;
	audit = json_object_new_object();
	put_text(audit, "verdict", verdict_name(allow));
	put(audit, "rule", rule_json(policy, BH_CELL_RULE(judgement->shadow)));
	put(json, "audit", audit);
}

static void put_judged(struct json_object *json, const struct policy *policy,
		       const struct sim_side *side)
{
	struct json_object *rule = rule_json(policy, BH_CELL_RULE(side->judgement.verdict));

	put_text(json, "verdict", verdict_name(side->reason < BH_REASON_DROP));
	put(json, "policy", json_object_get(json_object_object_get(rule, "policy")));
	put(json, "policies", json_object_get(json_object_object_get(rule, "policies")));
	put(json, "text", json_object_get(json_object_object_get(rule, "text")));
	put(json, "rule", rule);
	put_text(json, "reason", reasons[side->reason].name);
	put_text(json, "why", reasons[side->reason].text);
	put_audit(json, policy, &side->judgement);
}

struct json_object *sim_side_json(struct sim *sim, const struct sim_side *side)
{
	const struct policy *policy = side->judged ? sim_policy(sim) : NULL;
	struct json_object *json = json_object_new_object();

	if (policy)
		put_judged(json, policy, side);
	else
		put_unjudged(json, "no pod: nothing to judge");
	return json;
}

static struct json_object *backend_json(struct sim *sim, const struct sim_backend *backend)
{
	struct json_object *json = json_object_new_object();
	char addr[64], pod[512];

	put_text(json, "address", addr_format(&backend->addr, addr, sizeof(addr)));
	put(json, "port", json_object_new_int(backend->port));
	put_text(json, "pod", backend->pod ? object_title(&backend->pod->object, pod, sizeof(pod)) : NULL);
	put_text(json, "verdict", verdict_name(backend->allow));
	put(json, "egress", sim_side_json(sim, &backend->side[BH_EGRESS]));
	put(json, "ingress", sim_side_json(sim, &backend->side[BH_INGRESS]));
	return json;
}

static void put_service(struct json_object *json, struct sim *sim, const struct sim_answer *answer)
{
	struct json_object *service = json_object_new_object();
	struct json_object *backends = json_object_new_array();

	put_text(service, "kind", object_kind(answer->service.kind)->name);
	put_text(service, "namespace", answer->service.ns);
	put_text(service, "name", answer->service.name);
	put_text(service, "port", answer->service.port);
	put(json, "service", service);
	put(json, "mixed", json_object_new_boolean(answer->mixed));
	for (uint32_t i = 0; i < answer->nbackends; i++)
		json_object_array_add(backends, backend_json(sim, &answer->backends[i]));
	put(json, "backends", backends);
}

static struct json_object *side_json(struct sim *sim, const struct sim_answer *answer,
				     enum bh_dir dir)
{
	struct json_object *json;

	if (!answer->loopback)
		return sim_side_json(sim, &answer->side[dir]);
	json = json_object_new_object();
	put_unjudged(json, "a pod's traffic to itself never leaves it");
	return json;
}

struct json_object *sim_answer_json(struct sim *sim, const struct sim_answer *answer)
{
	struct json_object *json = json_object_new_object(), *egress;

	put(json, "verdict", json_object_new_string(verdict_name(answer->allow)));
	put(json, "family", json_object_new_int(answer->family));
	egress = side_json(sim, answer, BH_EGRESS);
	if (answer->is_service)
		put_service(egress, sim, answer);
	put(json, "egress", egress);
	put(json, "ingress", side_json(sim, answer, BH_INGRESS));
	return json;
}
