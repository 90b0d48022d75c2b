// SPDX-License-Identifier: Apache-2.0
// lint_shadow.c - policies and rules without which nothing changes.
#include <string.h>

#include "agent/object/kind.h" // rules_equal()
#include "agent/review/lint_private.h"

// ---- rules of one policy -----------------------------------------------------------------------

// The rule that makes another of its list needless: an earlier one, or a later one that allows more.
static const struct rule *covering(const struct rules *rules, uint32_t index)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		if (i == index || !rule_covers(&rules->v[i], &rules->v[index]))
			continue;
		if (i < index || !rule_covers(&rules->v[index], &rules->v[i]))
			return &rules->v[i];
	}
	return NULL;
}

static void repeated(struct lint *lint, const struct subject *subject)
{
	char field[LINT_FIELD_BYTES];

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		const struct rules *rules = &subject->rules[dir];

		for (uint32_t i = 0; i < rules->n; i++) {
			const struct rule *by = covering(rules, i);

			if (by)
				lint_add(lint, subject, LINT_REPEATED_RULE, SEVERITY_WARNING,
					 lint_peer_field(field, subject, (enum bh_dir)dir, i, -1),
					 "rule %zu of the same list allows all of it", (size_t)(by - rules->v));
		}
	}
}

// ---- NetworkPolicies ---------------------------------------------------------------------------

static bool has_rules(const struct netpol *netpol)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		if (netpol->isolates[dir] && netpol->rules[dir].n)
			return true;
	return false;
}

// Holds for all pods of `netpol`, in the same way. A bare default deny is written to stand under other policies, so only
// another one makes it needless.
static bool stands_over(const struct netpol *other, const struct netpol *netpol)
{
	return other != netpol && !other->object.problem && other->audit == netpol->audit &&
	       (has_rules(netpol) || !has_rules(other)) && selector_implies(&netpol->pods, &other->pods);
}

static bool policies_equal(const struct netpol *a, const struct netpol *b)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		if (a->isolates[dir] != b->isolates[dir])
			return false;
		if (a->isolates[dir] && !rules_equal(&a->rules[dir], &b->rules[dir]))
			return false;
	}
	return selector_equal(&a->pods, &b->pods);
}

// Those that stay if all that was told before is removed.
typedef VEC(const struct netpol *) netpol_list;

static const struct netpol *covered_by(const netpol_list *list, enum bh_dir dir, const struct rule *rule)
{
	vec_each(const struct netpol *const, other, list)
		for (uint32_t i = 0; (*other)->isolates[dir] && i < (*other)->rules[dir].n; i++)
			if (rule_covers(&(*other)->rules[dir].v[i], rule))
				return *other;
	return NULL;
}

static const struct netpol *isolated_by(const netpol_list *list, enum bh_dir dir)
{
	vec_each(const struct netpol *const, other, list)
		if ((*other)->isolates[dir])
			return *other;
	return NULL;
}

// Names of policies, each once.
struct names {
	char text[256];
	const struct netpol *last;
};

static void names_add(struct names *names, const struct netpol *netpol)
{
	size_t len = strlen(names->text);

	if (names->last == netpol)
		return;
	names->last = netpol;
	snprintf(names->text + len, sizeof(names->text) - len, "%s%s", len ? ", " : "",
		 netpol->object.name);
}

static bool direction_covered(const netpol_list *over, const struct netpol *netpol, enum bh_dir dir,
			      struct names *names)
{
	const struct netpol *by = isolated_by(over, dir);

	if (!by)
		return false;
	if (!netpol->rules[dir].n)
		names_add(names, by);
	for (uint32_t i = 0; i < netpol->rules[dir].n; i++) {
		by = covered_by(over, dir, &netpol->rules[dir].v[i]);
		if (!by)
			return false;
		names_add(names, by);
	}
	return true;
}

static bool shadowed(const netpol_list *over, const struct netpol *netpol, struct names *names)
{
	if (!over->n || (!netpol->isolates[BH_INGRESS] && !netpol->isolates[BH_EGRESS]))
		return false;
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		if (netpol->isolates[dir] && !direction_covered(over, netpol, (enum bh_dir)dir, names))
			return false;
	return true;
}

static const struct netpol *equal_to(const netpol_list *over, const struct netpol *netpol)
{
	vec_each(const struct netpol *const, other, over)
		if (policies_equal(*other, netpol))
			return *other;
	return NULL;
}

// True if the policy can go.
static bool judge(struct lint *lint, const struct subject *subject, const netpol_list *over)
{
	const struct netpol *equal = equal_to(over, subject->netpol);
	struct names names = { "" };

	if (equal)
		lint_add(lint, subject, LINT_EQUAL, SEVERITY_WARNING, "",
			 "selects the same pods and has the same rules as %s", equal->object.name);
	else if (shadowed(over, subject->netpol, &names))
		lint_add(lint, subject, LINT_SHADOWED, SEVERITY_WARNING, "",
			 "all that it says of its pods is said by %s", names.text);
	else
		return false;
	return true;
}

// From the last name to the first, so that of two that say the same the first one stays.
static void shadows_of_realm(struct lint *lint, struct subject **subjects, size_t n)
{
	_cleanup_free_ bool *gone = must_new(n * sizeof(*gone));
	netpol_list over = { 0 };

	for (size_t i = n; i--;) {
		const struct netpol *netpol = subjects[i]->netpol;

		if (netpol->object.problem)
			continue;
		vec_clear(&over);
		for (size_t k = 0; k < n; k++)
			if (!gone[k] && stands_over(subjects[k]->netpol, netpol))
				must_push(&over, subjects[k]->netpol);
		gone[i] = judge(lint, subjects[i], &over);
	}
	vec_fini(&over);
}

// ---- ClusterNetworkPolicies ----------------------------------------------------------------------

// What `other` decides before, `policy` does not see.
static bool comes_before(const struct clusternetpol *other, const struct clusternetpol *policy)
{
	return other->tier == policy->tier && !other->object.problem &&
	       (!other->audit || policy->audit) &&
	       selector_implies(&policy->namespaces, &other->namespaces) &&
	       selector_implies(&policy->pods, &other->pods);
}

static bool tell_hidden(struct lint *lint, const struct subject *subject, enum bh_dir dir, uint32_t index,
			const struct clusternetpol *other, uint32_t by)
{
	char field[LINT_FIELD_BYTES];

	if (!rule_covers(&other->rules[dir].v[by], &subject->rules[dir].v[index]))
		return false;
	lint_add(lint, subject, LINT_NEVER_MATCHES, SEVERITY_WARNING,
		 lint_peer_field(field, subject, dir, index, -1),
		 "never matches: rule %u of %s decides before", by, other->object.name);
	return true;
}

static void find_hidden(struct lint *lint, const struct subject *subject, struct subject **before,
			enum bh_dir dir, uint32_t index)
{
	const struct clusternetpol *policy = subject->cluster;

	for (; (*before)->cluster != policy; before++) {
		const struct clusternetpol *other = (*before)->cluster;

		if (!comes_before(other, policy))
			continue;
		for (uint32_t i = 0; i < other->rules[dir].n; i++)
			if (tell_hidden(lint, subject, dir, index, other, i))
				return;
	}
	for (uint32_t i = 0; i < index; i++)
		if (tell_hidden(lint, subject, dir, index, policy, i))
			return;
}

static void cluster_subject(struct lint *lint, struct subject **all, size_t at)
{
	const struct clusternetpol *policy = all[at]->cluster;

	if (policy->object.problem)
		return;
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		for (uint32_t i = 0; i < policy->rules[dir].n; i++)
			find_hidden(lint, all[at], all, (enum bh_dir)dir, i);
	if (at && all[at - 1]->cluster->tier == policy->tier &&
	    all[at - 1]->cluster->priority == policy->priority)
		lint_add(lint, all[at], LINT_PRIORITY_TIE, SEVERITY_WARNING, "spec.priority",
			 "%d is also that of %s: the API does not say which comes first",
			 policy->priority, all[at - 1]->cluster->object.name);
}

void lint_shadows(struct lint *lint)
{
	struct subject **subjects = lint->subjects.v;
	size_t n = lint->subjects.n, at = 0;

	while (at < n && subjects[at]->netpol) {
		size_t end = at;

		for (; end < n && subjects[end]->realm == subjects[at]->realm; end++)
			if (!subjects[end]->object->problem)
				repeated(lint, subjects[end]);
		shadows_of_realm(lint, subjects + at, end - at);
		at = end;
	}
	for (size_t i = at; i < n; i++)
		cluster_subject(lint, subjects + at, i - at);
}
