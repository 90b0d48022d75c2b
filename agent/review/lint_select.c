// SPDX-License-Identifier: Apache-2.0
// lint_select.c - selectors: whom they mean among those who are given.
#include <string.h>

#include "agent/review/lint_private.h"

// ---- near words --------------------------------------------------------------------------------

#define NEAR_MAX 64 // longest word that is compared: a label's value has 63

static size_t smallest(size_t a, size_t b, size_t c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

// Letters to add, drop or change.
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAR_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > NEAR_MAX || nb > NEAR_MAX || na > nb + 2 || nb > na + 2)
		return NEAR_MAX;
	for (size_t i = 0; i <= nb; i++)
		row[i] = i;
	for (size_t i = 1; i <= na; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t k = 1; k <= nb; k++) {
			size_t above = row[k];

			row[k] = smallest(row[k] + 1, row[k - 1] + 1, corner + (a[i - 1] != b[k - 1]));
			corner = above;
		}
	}
	return row[nb];
}

// Two letters that follow each other are exchanged.
static bool is_swapped(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a && *b && a[0] == b[1] && a[1] == b[0] && !strcmp(a + 2, b + 2);
}

// One letter in words of four or five, two in longer ones; or another case.
static bool is_near(const char *a, const char *b)
{
	size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return !strcasecmp(a, b) || is_swapped(a, b) || (n >= 4 && distance(a, b) <= (n >= 6 ? 2 : 1));
}

// ---- labels that nobody bears ------------------------------------------------------------------

struct near_search {
	const struct selector_term *term;
	const char *word; // a value of the term; NULL: its key
	const char *near; // NULL: none
	bool found; // somebody bears the word itself
};

static void compare_label(struct near_search *search, const struct label *label)
{
	const char *want = search->word ? search->word : search->term->key;
	const char *have = search->word ? label->value : label->key;

	if (search->word && label->key != search->term->key)
		return;
	if (have == want)
		search->found = true;
	else if (!search->near && is_near(want, have))
		search->near = have;
}

static void compare_labels(struct near_search *search, const struct labels *labels)
{
	for (uint32_t i = 0; !search->found && i < labels->n; i++)
		compare_label(search, &labels->v[i]);
}

// Where labels are looked for: pods of a namespace, of all, or namespaces.
struct bearers {
	const struct crowd *crowd;
	const struct realm *realm;
	bool realms;
};

static void search_all(const struct bearers *bearers, struct near_search *search)
{
	const struct crowd *crowd = bearers->crowd;

	for (size_t i = 0; bearers->realms && !search->found && i < crowd->realms.n; i++)
		compare_labels(search, &crowd->realms.v[i]->labels);
	for (size_t i = 0; bearers->realm && !search->found && i < bearers->realm->groups.n; i++)
		compare_labels(search, &bearers->realm->groups.v[i]->pod->labels);
	for (size_t i = 0;
	     !bearers->realm && !bearers->realms && !search->found && i < crowd->groups.n; i++)
		compare_labels(search, &crowd->groups.v[i]->pod->labels);
}

static void hint_word(struct lint *lint, const struct subject *subject, const char *field,
		      const struct bearers *bearers, struct near_search search)
{
	search_all(bearers, &search);
	if (search.found || !search.near)
		return;
	if (search.word)
		lint_add(lint, subject, LINT_LABEL_TYPO, SEVERITY_WARNING, field,
			 "%s=%s is on none, %s=%s is: a typing error?", search.term->key, search.word,
			 search.term->key, search.near);
	else
		lint_add(lint, subject, LINT_LABEL_TYPO, SEVERITY_WARNING, field,
			 "the label %s is on none, %s is: a typing error?", search.term->key, search.near);
}

static void hint(struct lint *lint, const struct subject *subject, const char *field,
		 const struct selector *selector, const struct bearers *bearers)
{
	for (uint32_t i = 0; i < selector->nterms; i++) {
		const struct selector_term *term = &selector->terms[i];

		if (term->op != SELECTOR_IN && term->op != SELECTOR_EXISTS)
			continue;
		hint_word(lint, subject, field, bearers, (struct near_search){ .term = term });
		for (uint32_t k = 0; term->op == SELECTOR_IN && k < term->nvalues; k++)
			hint_word(lint, subject, field, bearers,
				  (struct near_search){ .term = term, .word = term->values[k] });
	}
}

// ---- whom a policy selects ---------------------------------------------------------------------

static void selects_nothing(struct lint *lint, const struct subject *subject)
{
	const struct bearers bearers = { &lint->crowd, subject->realm, false };
	const struct bearers spaces = { &lint->crowd, NULL, true };

	if (subject->netpol) {
		lint_add(lint, subject, LINT_SELECTS_NOTHING, SEVERITY_WARNING, "spec.podSelector",
			 "selects none of the pods of namespace %s", subject->realm->name);
		hint(lint, subject, "spec.podSelector", &subject->netpol->pods, &bearers);
		return;
	}
	lint_add(lint, subject, LINT_SELECTS_NOTHING, SEVERITY_WARNING, "spec.subject",
		 "selects no pod of any namespace");
	hint(lint, subject, "spec.subject", &subject->cluster->namespaces, &spaces);
	hint(lint, subject, "spec.subject", &subject->cluster->pods, &bearers);
}

static void on_host_network(struct lint *lint, const struct subject *subject)
{
	const struct group *one = NULL;
	size_t n = 0;
	char title[640];

	vec_each(struct group *const, group, &subject->selected) {
		if (!(*group)->pod->host_network)
			continue;
		one = one ? one : *group;
		n++;
	}
	// Who selects everybody means those for whom it can hold.
	if (!n || (subject->cluster && n < subject->selected.n))
		return;
	lint_add(lint, subject, LINT_HOST_NETWORK,
		 n == subject->selected.n ? SEVERITY_WARNING : SEVERITY_INFO, "",
		 "selects %s on the host's network, where it is not enforced",
		 lint_title(one, title, sizeof(title)));
}

static void directions(struct lint *lint, const struct subject *subject)
{
	static const char *const names[BH_DIR_MAX] = { [BH_INGRESS] = "ingress", [BH_EGRESS] = "egress" };
	const struct netpol *netpol = subject->netpol;
	const struct review_place *place;
	struct json_object *spec = NULL, *types = NULL;
	char field[32];

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		if (netpol->isolates[dir] || !netpol->rules[dir].n)
			continue;
		snprintf(field, sizeof(field), "spec.%s", names[dir]);
		lint_add(lint, subject, LINT_RULES_IGNORED, SEVERITY_WARNING, field,
			 "policyTypes lacks the direction of these %s rules: they say nothing",
			 names[dir]);
	}
	place = review_place(lint->review, "NetworkPolicy", subject->object->ns, subject->object->name);
	if (!place || !place->json || !netpol->rules[BH_EGRESS].n || netpol->rules[BH_INGRESS].n)
		return;
	json_object_object_get_ex(place->json, "spec", &spec);
	if (json_object_object_get_ex(spec, "policyTypes", &types) && types)
		return;
	if (json_object_object_get_ex(spec, "ingress", &types))
		return;
	lint_add(lint, subject, LINT_IMPLIED_INGRESS, SEVERITY_WARNING, "spec.policyTypes",
		 "is absent, so ingress to the selected pods is denied as well");
}

void lint_selection(struct lint *lint, const struct subject *subject)
{
	if (subject->netpol)
		directions(lint, subject);
	if (subject->selected.n)
		on_host_network(lint, subject);
	else if (subject->pods_known)
		selects_nothing(lint, subject);
	else if (subject->netpol)
		lint_add(lint, subject, LINT_NO_PODS_GIVEN, SEVERITY_INFO, "",
			 "no pod of namespace %s is given, so nothing can be said of whom it selects",
			 subject->realm->name);
}

// ---- whom its rules mean -----------------------------------------------------------------------

static bool is_one(void *arg, struct group *group)
{
	return true;
}

static bool namespace_unknown(struct lint *lint, const struct subject *subject, const char *field,
			      const struct selector *namespaces)
{
	const struct bearers bearers = { &lint->crowd, NULL, true };

	if (crowd_has_realm(&lint->crowd, namespaces))
		return false;
	if (!store_count(review_store(lint->review), KIND_NAMESPACE))
		return true; // those of other people, all of them
	lint_add(lint, subject, LINT_NO_SUCH_NAMESPACE, SEVERITY_WARNING, field,
		 "its namespaceSelector matches no namespace that is given");
	hint(lint, subject, field, namespaces, &bearers);
	return true;
}

static void check_peer(struct lint *lint, const struct subject *subject, const struct peer *peer,
		       const char *field)
{
	const struct bearers own = { &lint->crowd, subject->realm, false };
	const struct bearers all = { &lint->crowd, NULL, false };
	struct peer anybody = *peer;

	if (!peer->own_namespace && namespace_unknown(lint, subject, field, &peer->namespaces))
		return;
	if (crowd_peer_any(&lint->crowd, subject->object->ns, peer, is_one, NULL))
		return;
	anybody.pods = (struct selector){ 0 };
	if (!crowd_peer_any(&lint->crowd, subject->object->ns, &anybody, is_one, NULL))
		return; // no pod of these namespaces is given
	lint_add(lint, subject, LINT_NO_SUCH_PEER, SEVERITY_WARNING, field,
		 "its podSelector matches no pod of these namespaces");
	hint(lint, subject, field, &peer->pods, peer->own_namespace ? &own : &all);
}

void lint_peers(struct lint *lint, const struct subject *subject)
{
	char field[LINT_FIELD_BYTES];

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		for (uint32_t i = 0; i < subject->rules[dir].n; i++) {
			const struct rule *rule = &subject->rules[dir].v[i];

			for (uint32_t k = 0; k < rule->npeers; k++)
				if (rule->peers[k].kind == PEER_PODS)
					check_peer(lint, subject, &rule->peers[k],
						   lint_peer_field(field, subject, (enum bh_dir)dir, i, k));
		}
	}
}
