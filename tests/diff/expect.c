// SPDX-License-Identifier: Apache-2.0
// expect.c - verdicts by the naive evaluator, reasons by looking the policies up.
#include "tests/diff/expect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/diff/frame.h"
#include "tests/harness/naive.h"

static bool is_local(void *arg, const struct pod *pod)
{
	return pod->node && !strcmp(pod->node, "n0");
}

static bool is_host(void *arg, const struct bh_addr *addr)
{
	return question_as_node(&(struct question){ .dir = BH_EGRESS, .remote = *addr });
}

static struct naive naive_of(const struct scene *scene)
{
	return (struct naive){
		.store = scene_store(scene), .local = is_local, .host = is_host, .node = "n0"
	};
}

// Without the netfilter program: of several backends each must be allowed, and only itself a pod is never denied.
static struct naive_service service_of(const struct scene *scene, const struct question *question)
{
	struct naive naive = naive_of(scene);
	char name[16];

	if (question->dir != BH_EGRESS)
		return (struct naive_service){ 0 };
	return naive_service_of(&naive, world_pod_ns(question->slot),
				world_pod_name(question->slot, name), &question->remote,
				question->proto, question->port);
}

static bool is_self(const struct naive_service *service)
{
	return service->backends && service->selves == service->backends;
}

// shadow: as if policies in audit mode were enforced.
static enum bh_verdict ask_naive(const struct scene *scene, const struct question *question,
				 bool shadow)
{
	struct naive naive = naive_of(scene);
	char name[16];

	return naive_verdict(&naive, world_pod_ns(question->slot),
			     world_pod_name(question->slot, name), question->dir, &question->remote,
			     question->proto, question->port, shadow);
}

bool expect_pass(const struct scene *scene, const struct question *question)
{
	enum bh_verdict verdict = ask_naive(scene, question, false);

	struct naive_service service = service_of(scene, question);

	if (verdict == BH_VERDICT_DENY && service.is_service)
		return is_self(&service);
	if (verdict == BH_VERDICT_DENY)
		return question_as_node(question);
	return verdict == BH_VERDICT_ALLOW;
}

// ---- reasons ----------------------------------------------------------------------------------------------------

// One judgement that the kernel wrote down.
struct judged {
	struct scene *scene;
	struct question question;
	uint32_t rule;
	uint32_t shadow; // BH_CELL_WORD, of connections
	bool allowed;
	uint64_t seen;
	struct err *err;
};

static const struct pod *pod_of(const struct judged *judged)
{
	char name[16];

	return (const struct pod *)store_find(scene_store(judged->scene), KIND_POD,
					      world_pod_ns(judged->question.slot),
					      world_pod_name(judged->question.slot, name));
}

static bool is_audited(const struct judged *judged, const struct netpol *policy)
{
	const struct namespace_ *ns = (const struct namespace_ *)store_find(
		scene_store(judged->scene), KIND_NAMESPACE, NULL, policy->object.ns);

	return policy->audit || (ns && ns->audit);
}

// "ns/name" of a NetworkPolicy that isolates the pod in this direction; NULL: it is none.
static const struct netpol *isolating(const struct judged *judged, const char *title)
{
	const struct pod *pod = pod_of(judged);
	const struct netpol *policy;
	char ns[64];
	int at = 0;

	if (sscanf(title, "%63[^/]/%n", ns, &at) != 1 || !at || strcmp(ns, pod->object.ns))
		return NULL;
	policy = (const struct netpol *)store_find(scene_store(judged->scene), KIND_NETPOL, ns,
						   title + at);
	if (!policy || !policy->isolates[judged->question.dir] || is_audited(judged, policy) ||
	    !selector_match(&policy->pods, &pod->labels))
		return NULL;
	return policy;
}

static int is_isolating(void *arg, const struct object *object)
{
	const struct judged *judged = arg;
	char title[128];

	object_title(object, title, sizeof(title));
	return isolating(judged, title) != NULL;
}

static bool cluster_rule_fits(const struct judged *judged, const struct rule_info *info)
{
	const struct store *store = scene_store(judged->scene);
	const struct pod *pod = pod_of(judged);
	const struct clusternetpol *policy = (const struct clusternetpol *)store_find(
		store, KIND_CLUSTERNETPOL, NULL, info->policies[0]);
	const struct namespace_ *ns =
		(const struct namespace_ *)store_find(store, KIND_NAMESPACE, NULL, pod->object.ns);

	return policy && ns && !policy->audit && selector_match(&policy->namespaces, &ns->labels) &&
	       selector_match(&policy->pods, &pod->labels) &&
	       info->index < policy->rules[judged->question.dir].n &&
	       policy->rules[judged->question.dir].v[info->index].action == info->action &&
	       judged->allowed != (info->action == ACTION_DENY);
}

static bool rule_fits(const struct judged *judged, const struct rule_info *info)
{
	const struct netpol *policy;

	switch (info->kind) {
	case RULE_NONE:
		return judged->allowed && !store_each(scene_store(judged->scene), KIND_NETPOL, NULL,
						      is_isolating, (void *)judged);
	case RULE_NETPOL:
		policy = isolating(judged, info->policies[0]);
		return judged->allowed && policy &&
		       info->index < policy->rules[judged->question.dir].n;
	case RULE_CLUSTERNETPOL:
		return cluster_rule_fits(judged, info);
	case RULE_DEFAULT_DENY:
		for (uint32_t i = 0; i < info->npolicies; i++)
			if (!isolating(judged, info->policies[i]))
				return false;
		return !judged->allowed && info->npolicies > 0;
	default:
		return false;
	}
}

static int check(struct judged *judged)
{
	const struct policy *policy = scene_policy(judged->scene);
	char text[256], got[256], want[256];
	struct rule_info info;
	uint32_t rule;

	judged->seen++;
	scene_eval(judged->scene, &judged->question, &rule);
	if (rule == judged->rule && policy_rule_info(policy, rule, &info) &&
	    rule_fits(judged, &info))
		return 0;
	return err_set(judged->err, -EBADMSG,
		       "%s was %s by rule %u (%s); the matrix says rule %u (%s)",
		       question_text(&judged->question, text, sizeof(text)),
		       judged->allowed ? "allowed" : "denied", judged->rule,
		       policy_rule_text(policy, judged->rule, got, sizeof(got)), rule,
		       policy_rule_text(policy, rule, want, sizeof(want)));
}

// exempt: from NetworkPolicies, those in audit mode included.
static int check_shadow(struct judged *judged, bool exempt)
{
	enum bh_verdict want = ask_naive(judged->scene, &judged->question, true);
	char text[256];

	if (exempt && want == BH_VERDICT_DENY)
		want = BH_VERDICT_ALLOW;
	if (BH_CELL_VERDICT(judged->shadow) == want)
		return 0;
	return err_set(judged->err, -EBADMSG, "%s: the verdict with audited policies is %d, not %d",
		       question_text(&judged->question, text, sizeof(text)),
		       BH_CELL_VERDICT(judged->shadow), want);
}

// Some backends of the Service are allowed, or the pod is one of them; without any it is empty.
static bool service_reason_fits(const struct judged *judged, uint32_t reason)
{
	struct naive_service service = service_of(judged->scene, &judged->question);
	enum bh_verdict verdict = ask_naive(judged->scene, &judged->question, false);

	if (reason == BH_REASON_SERVICE_EMPTY)
		return service.is_service && !service.backends;
	return reason == BH_REASON_SERVICE_MIXED &&
	       (verdict == BH_VERDICT_MIXED ||
		(verdict == BH_VERDICT_DENY && service.selves && !is_self(&service)));
}

static int check_connection(void *arg, const struct ct_entry *entry)
{
	bool out = entry->value.flags & BH_CT_EGRESS;
	struct judged *judged = arg;
	struct naive_service service;
	bool exempt;
	int r;

	if (entry->value.flags & BH_CT_NODE) // passed whatever the rule said
		return 0;
	judged->question = (struct question){
		.slot = BH_SLOT(entry->ident),
		.dir = out ? BH_EGRESS : BH_INGRESS,
		.remote = entry->remote,
		.proto = entry->proto,
		.port = out ? entry->remote_port : entry->local_port,
	};
	judged->rule = BH_CELL_RULE(entry->value.rule);
	judged->shadow = entry->value.shadow;
	judged->allowed = true;
	service = service_of(judged->scene, &judged->question);
	// a pod reaches itself whatever the row says, and its own node by nobody's rule
	exempt = is_self(&service) || service.own_nodes;
	r = exempt ? 0 : check(judged);
	return r < 0 ? r : check_shadow(judged, exempt);
}

static int check_denied(void *arg, const struct denied_entry *entry)
{
	struct judged *judged = arg;

	judged->question = (struct question){
		.slot = BH_SLOT(entry->key.ident),
		.dir = entry->key.dir,
		.proto = entry->key.proto,
		.port = ntohs(entry->key.port),
	};
	memcpy(&judged->question.remote, entry->key.remote, sizeof(entry->key.remote));
	judged->rule = entry->key.rule;
	judged->allowed = false;
	if (service_reason_fits(judged, entry->key.reason))
		return 0;
	if (entry->key.reason != BH_REASON_POLICY_DENIED)
		return err_set(judged->err, -EBADMSG, "a new flow was denied by reason %u",
			       entry->key.reason);
	return check(judged);
}

int expect_reasons(struct scene *scene, uint64_t *retseen, struct err *reterr)
{
	struct judged judged = { .scene = scene, .err = reterr };
	int r = tables_ct_each(scene_tables(scene), check_connection, &judged);

	if (r == 0)
		r = tables_half_each(scene_tables(scene), check_connection, &judged);
	if (r == 0)
		r = tables_denied_each(scene_tables(scene), check_denied, &judged);
	*retseen += judged.seen;
	return r;
}
