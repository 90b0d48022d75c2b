// SPDX-License-Identifier: Apache-2.0
// lint.c - the codes, the subjects and the order of findings.
#include "agent/review/lint.h"

#include <stdarg.h>
#include <string.h>

#include "agent/review/lint_private.h"

const struct lint_rule lint_rules[LINT_MAX] = {
#define LINT_RULE(sym, id, name, severity, advice)                                                 \
	[LINT_##sym] = { id, name, advice, SEVERITY_##severity },
	LINT_CODES(LINT_RULE)
#undef LINT_RULE
};

static const char *const severities[SEVERITY_MAX] = { "info", "warning", "error" };

const char *severity_name(enum severity severity)
{
	return severities[severity];
}

enum lint_code lint_code_find(const char *id)
{
	for (int i = 0; i < LINT_MAX; i++)
		if (!strcasecmp(lint_rules[i].id, id) || !strcasecmp(lint_rules[i].name, id))
			return (enum lint_code)i;
	return LINT_MAX;
}

// ---- findings ----------------------------------------------------------------------------------

// "BH101, all-namespaces" or "all"
static bool ignores(const char *list, enum lint_code code)
{
	while (list && *list) {
		size_t len;
		char word[64];

		list += strspn(list, ", ");
		len = strcspn(list, ", ");
		snprintf(word, sizeof(word), "%.*s", (int)len, list);
		if (!strcmp(word, "all") || lint_code_find(word) == code)
			return true;
		list += len;
	}
	return false;
}

static void add(struct lint *lint, struct finding finding, const struct review_place *place)
{
	if (lint->disabled && lint->disabled[finding.code])
		goto out;
	if (place && ignores(place->ignore, finding.code)) {
		lint->findings->ignored++;
		goto out;
	}
	finding.path = place ? place->path : finding.path ? finding.path : "";
	finding.line = place ? place->line : finding.line;
	must_push(lint->findings, finding);
	return;
out:
	free(finding.field);
	free(finding.text);
}

void lint_add(struct lint *lint, const struct subject *subject, enum lint_code code,
	      enum severity severity, const char *field, const char *fmt, ...)
{
	const struct object *object = subject->object;
	const char *kind = object_kind(object->kind)->name;
	struct finding finding = { code, severity, kind, object->ns, object->name };
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&finding.text, fmt, args) < 0)
		abort();
	va_end(args);
	finding.field = must(strdup(field));
	add(lint, finding, review_place(lint->review, kind, object->ns, object->name));
}

static const char *rule_field(char *buf, const struct subject *subject, enum bh_dir dir, uint32_t rule,
			      const char *list, int64_t index)
{
	int n = snprintf(buf, LINT_FIELD_BYTES, "spec.%s[%u]", dir == BH_INGRESS ? "ingress" : "egress",
			 rule);

	if (index >= 0 && subject->netpol)
		snprintf(buf + n, LINT_FIELD_BYTES - (size_t)n, ".%s[%lld]", list, (long long)index);
	return buf;
}

const char *lint_peer_field(char *buf, const struct subject *subject, enum bh_dir dir, uint32_t rule,
			    int64_t peer)
{
	return rule_field(buf, subject, dir, rule, dir == BH_INGRESS ? "from" : "to", peer);
}

const char *lint_port_field(char *buf, const struct subject *subject, enum bh_dir dir, uint32_t rule,
			    int64_t port)
{
	return rule_field(buf, subject, dir, rule, "ports", port);
}

const char *lint_title(const struct group *group, char *buf, size_t bytes)
{
	return review_workload_title(group->pod, buf, bytes);
}

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	int r = compare_text(x->path, y->path);

	if (!r && x->line != y->line)
		r = x->line < y->line ? -1 : 1;
	if (!r)
		r = compare_text(x->kind, y->kind);
	if (!r)
		r = compare_text(x->ns, y->ns);
	if (!r)
		r = compare_text(x->name, y->name);
	if (!r)
		r = (int)x->code - (int)y->code;
	return r ? r : compare_text(x->field, y->field);
}

void findings_fini(struct findings *findings)
{
	vec_each(struct finding, finding, findings) {
		free(finding->field);
		free(finding->text);
	}
	vec_fini(findings);
}

// ---- subjects ----------------------------------------------------------------------------------

static void select_from(struct subject *subject, const struct realm *realm,
			const struct selector *pods)
{
	subject->pods_known |= realm->groups.n > 0;
	vec_each(struct group *, group, &realm->groups)
		if (selector_match(pods, &(*group)->pod->labels))
			must_push(&subject->selected, *group);
}

static struct subject *add_subject(struct lint *lint, const struct object *object)
{
	struct subject *subject = must_new(sizeof(*subject));

	subject->object = object;
	must_push(&lint->subjects, subject);
	return subject;
}

static void add_netpol(struct lint *lint, struct realm *realm, const struct netpol *netpol)
{
	struct subject *subject = add_subject(lint, &netpol->object);

	subject->netpol = netpol;
	subject->realm = realm;
	subject->rules = netpol->rules;
	select_from(subject, realm, &netpol->pods);
	subject->dns = lint_dns_of(lint, subject);
}

static void add_cluster(struct lint *lint, const struct clusternetpol *policy)
{
	struct subject *subject = add_subject(lint, &policy->object);

	subject->cluster = policy;
	subject->rules = policy->rules;
	vec_each(struct realm *, realm, &lint->crowd.realms)
		if (selector_match(&policy->namespaces, &(*realm)->labels))
			select_from(subject, *realm, &policy->pods);
	subject->pods_known = lint->crowd.groups.n > 0;
	subject->dns = lint_dns_of(lint, subject);
}

static void add_subjects(struct lint *lint)
{
	vec_each(struct realm *, realm, &lint->crowd.realms)
		vec_each(const struct netpol *, netpol, &(*realm)->policies)
			add_netpol(lint, *realm, *netpol);
	vec_each(const struct clusternetpol *, policy, &lint->crowd.policies)
		add_cluster(lint, *policy);
}

// ---- the run -----------------------------------------------------------------------------------

static void add_problems(struct lint *lint)
{
	const struct review_problem *problems;
	size_t n = review_problems(lint->review, &problems);

	for (size_t i = 0; i < n; i++) {
		const struct review_problem *problem = &problems[i];
		enum lint_code code = problem->twice ? LINT_WRITTEN_TWICE : LINT_INVALID;
		struct finding finding = { code,	  lint_rules[code].severity, problem->kind,
					   problem->ns,	  problem->name,	     problem->path,
					   problem->line, must(strdup("")), must(strdup(problem->text)) };

		add(lint, finding, NULL);
	}
}

static void check(struct lint *lint, const struct subject *subject)
{
	if (subject->object->problem) {
		lint_add(lint, subject, LINT_INVALID, SEVERITY_ERROR, "", "%s", subject->object->problem);
		return;
	}
	lint_selection(lint, subject);
	lint_peers(lint, subject);
	lint_openness(lint, subject);
	lint_ports(lint, subject);
	lint_blocks(lint, subject);
}

static void lint_fini(struct lint *lint)
{
	void *item;
	size_t at = 0;

	vec_each(struct subject *, subject, &lint->subjects) {
		vec_fini(&(*subject)->selected);
		free(*subject);
	}
	vec_fini(&lint->subjects);
	while ((item = hash_next(&lint->group_dns, &at)))
		free(item);
	hash_fini(&lint->group_dns);
	crowd_fini(&lint->crowd);
}

void lint_run(const struct review *review, const bool *disabled, struct findings *ret)
{
	struct lint lint = { .review = review, .disabled = disabled, .findings = ret };

	*ret = (struct findings){ 0 };
	crowd_init(&lint.crowd, review_store(review));
	add_subjects(&lint);
	add_problems(&lint);
	vec_each(struct subject *, subject, &lint.subjects)
		check(&lint, *subject);
	lint_shadows(&lint);
	lint_dns(&lint);
	lint_fini(&lint);
	vec_sort(ret, compare);
}
