// SPDX-License-Identifier: Apache-2.0
// clusternetpol.c - ClusterNetworkPolicy v1alpha2: tier, subject, and rules that fail closed.
//
// Two kinds of trouble. An *unknown* peer concerns its rule: it matches nothing in an Accept rule
// and makes a Deny or Pass rule deny everything. What the schema *refuses* concerns the policy:
// Accept rules vanish, Deny and Pass become Deny, and what cannot be read of them matches
// everything.
#include <errno.h>
#include <string.h>

#include <bulkhead/abi.h>

#include "agent/object/clusterrule.h"
#include "agent/object/kind.h"

static const char *const spec_fields[] = {
	"tier", "priority", "subject", "ingress", "egress", NULL
};
static const char *const subject_fields[] = { "namespaces", "pods", NULL };

// One direction that cannot be read at all: nothing passes.
static int deny_all(struct rules *rules)
{
	rules->v = calloc(1, sizeof(*rules->v));
	if (!rules->v)
		return -ENOMEM;
	rules->n = 1;
	rules->v[0] = (struct rule){ .action = ACTION_DENY, .any_peer = true, .any_port = true };
	return 0;
}

static int read_rules(struct trouble *trouble, const struct at *list, enum bh_dir dir,
		      struct rules *rules)
{
	uint32_t n = 0;
	int r = at_list(list, CNP_MAX_RULES, &n, trouble_refused(trouble));

	if (r < 0)
		return deny_all(rules);
	if (!n)
		return 0;
	rules->v = calloc(n, sizeof(*rules->v));
	if (!rules->v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);

		r = clusterrule_read(trouble, &item, dir, &rules->v[rules->n++]);
		if (r < 0)
			return r;
	}
	return 0;
}

// The design's rule for a policy that is refused.
static void close_rules(struct rules *rules)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rules->n; i++) {
		if (rules->v[i].action == ACTION_ACCEPT) {
			rule_fini(&rules->v[i]);
			continue;
		}
		rules->v[i].action = ACTION_DENY;
		rules->v[n++] = rules->v[i];
	}
	rules->n = n;
}

static int read_subject(const struct at *spec, struct clusternetpol *policy, struct err *reterr)
{
	struct at subject = at_field(spec, "subject");
	struct at namespaces = at_field(&subject, "namespaces");
	struct at pods = at_field(&subject, "pods");
	int r = at_only(&subject, subject_fields, reterr);

	if (r < 0)
		return r;
	if (!namespaces.json == !pods.json)
		return at_fail(&subject, reterr, "must be exactly one of namespaces and pods");
	if (namespaces.json)
		return selector_read(&namespaces, &policy->namespaces, reterr);
	return cluster_pods_read(&pods, &policy->namespaces, &policy->pods, reterr);
}

// What cannot be read counts as the strongest: tier Admin, priority 0.
static void read_rank(struct trouble *trouble, const struct at *spec, struct clusternetpol *policy)
{
	struct at tier = at_field(spec, "tier");
	struct at priority = at_field(spec, "priority");
	const char *text = "";
	int64_t value = 0;
	int r;

	r = at_string(&tier, &text, trouble_refused(trouble));
	policy->tier = strcmp(text, "Baseline") ? TIER_ADMIN : TIER_BASELINE;
	if (r == 0)
		at_fail(&tier, trouble_refused(trouble), "is missing");
	else if (r > 0 && policy->tier == TIER_ADMIN && strcmp(text, "Admin"))
		at_fail(&tier, trouble_refused(trouble), "\"%.80s\" is none of Admin, Baseline",
			text);

	r = at_int(&priority, 0, CNP_MAX_PRIORITY, &value, trouble_refused(trouble));
	if (r == 0)
		at_fail(&priority, trouble_refused(trouble), "is missing");
	policy->priority = (int)value;
}

static int read_spec(struct trouble *trouble, const struct at *spec, struct clusternetpol *policy)
{
	struct at ingress = at_field(spec, "ingress");
	struct at egress = at_field(spec, "egress");
	int r;

	at_only(spec, spec_fields, trouble_refused(trouble));
	read_rank(trouble, spec, policy);
	r = read_rules(trouble, &ingress, BH_INGRESS, &policy->rules[BH_INGRESS]);
	if (r < 0)
		return r;
	return read_rules(trouble, &egress, BH_EGRESS, &policy->rules[BH_EGRESS]);
}

static int clusternetpol_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct clusternetpol *policy = (struct clusternetpol *)object;
	struct at root = at_root(json);
	struct at spec = at_field(&root, "spec");
	struct trouble trouble = { 0 };
	int r;

	r = at_object(&spec, reterr);
	if (r < 0)
		return r;
	r = read_subject(&spec, policy, reterr);
	if (r < 0)
		return r;
	policy->audit = object_says_true(&root, "annotations", AUDIT_KEY);

	r = read_spec(&trouble, &spec, policy);
	if (r < 0)
		return no_memory(reterr);
	if (trouble.refused.code)
		for (int i = 0; i < BH_DIR_MAX; i++)
			close_rules(&policy->rules[i]);
	if (trouble_text(&trouble) && object_set_problem(object, trouble_text(&trouble)) < 0)
		return no_memory(reterr);
	return 0;
}

static void clusternetpol_fini(struct object *object)
{
	struct clusternetpol *policy = (struct clusternetpol *)object;

	selector_fini(&policy->namespaces);
	selector_fini(&policy->pods);
	for (int i = 0; i < BH_DIR_MAX; i++)
		rules_fini(&policy->rules[i]);
}

static bool clusternetpol_equal(const struct object *a, const struct object *b)
{
	const struct clusternetpol *x = (const struct clusternetpol *)a;
	const struct clusternetpol *y = (const struct clusternetpol *)b;

	for (int i = 0; i < BH_DIR_MAX; i++)
		if (!rules_equal(&x->rules[i], &y->rules[i]))
			return false;
	return x->tier == y->tier && x->priority == y->priority && x->audit == y->audit &&
	       selector_equal(&x->namespaces, &y->namespaces) && selector_equal(&x->pods, &y->pods);
}

const struct kind_ops clusternetpol_kind = {
	.name = "ClusterNetworkPolicy",
	.api_version = "policy.networking.k8s.io/v1alpha2",
	.plural = "clusternetworkpolicies",
	.parse = clusternetpol_parse,
	.fini = clusternetpol_fini,
	.equal = clusternetpol_equal,
	.size = sizeof(struct clusternetpol),
};
