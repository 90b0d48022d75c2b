// SPDX-License-Identifier: Apache-2.0
// nslabel.c - the namespaces that have a label, so that a namespace selector need not look at all of them.
#include "agent/policy/nslabel.h"

#include "agent/base/intern.h"
#include "agent/policy/must.h"

struct ns_label {
	struct label label;
	VEC(struct nsent *) list;
};

static uint64_t label_hash(const struct label *label)
{
	return hash_mix(hash_pointer(label->key), hash_pointer(label->value));
}

static bool is_label(const void *item, const void *key)
{
	const struct label *have = &((const struct ns_label *)item)->label, *want = key;

	return have->key == want->key && have->value == want->value;
}

static struct ns_label *find(const struct cluster *cluster, const struct label *label)
{
	return hash_find(&cluster->ns_labels, label_hash(label), is_label, label);
}

static struct ns_label *get(struct cluster *cluster, const struct label *label)
{
	struct ns_label *entry = find(cluster, label);

	if (entry)
		return entry;
	entry = must_new(sizeof(*entry));
	entry->label = (struct label){ intern_get(label->key), intern_get(label->value) };
	must_ok(hash_add(&cluster->ns_labels, label_hash(label), entry));
	return entry;
}

static void entry_free(struct ns_label *entry)
{
	intern_put(entry->label.key);
	intern_put(entry->label.value);
	vec_fini(&entry->list);
	free(entry);
}

void nslabels_fini(struct cluster *cluster)
{
	struct ns_label *entry;
	size_t at = 0;

	while ((entry = hash_next(&cluster->ns_labels, &at)))
		entry_free(entry);
	hash_fini(&cluster->ns_labels);
}

// Nearly every namespace has this label and no other has its value: the table of names will do.
static bool by_name(const struct cluster *cluster, const struct nsent *ns,
		    const struct label *label)
{
	return label->key == cluster->name_label && label->value == ns->name;
}

static bool named_so(const struct cluster *cluster, const struct nsent *ns)
{
	struct labels labels = nsent_labels(ns);

	return labels_find(&labels, cluster->name_label) == ns->name;
}

void nslabel_enter(struct cluster *cluster, struct nsent *ns)
{
	struct labels labels = nsent_labels(ns);

	for (uint32_t i = 0; i < labels.n; i++) {
		struct ns_label *entry;

		if (by_name(cluster, ns, &labels.v[i]))
			continue;
		entry = get(cluster, &labels.v[i]);
		must_push(&ns->places, (struct ns_place){ entry, entry->list.n });
		must_push(&entry->list, ns);
	}
}

static void move_place(struct nsent *ns, const struct ns_label *entry, size_t at)
{
	vec_each(struct ns_place, place, &ns->places)
		if (place->entry == entry)
			place->at = at;
}

void nslabel_leave(struct cluster *cluster, struct nsent *ns)
{
	vec_each(struct ns_place, place, &ns->places) {
		struct ns_label *entry = place->entry;
		struct nsent *last = entry->list.v[entry->list.n - 1];

		vec_drop(&entry->list, place->at);
		move_place(last, entry, place->at);
		if (entry->list.n)
			continue;
		hash_remove(&cluster->ns_labels, label_hash(&entry->label), entry);
		entry_free(entry);
	}
	vec_fini(&ns->places);
}

// ---- asking ---------------------------------------------------------------------------------------------

static void all_with(const struct cluster *cluster, const struct label *label, ns_list *out)
{
	const struct ns_label *entry = find(cluster, label);
	struct nsent *named = NULL;

	if (label->key == cluster->name_label)
		named = cluster_ns_find(cluster, label->value);
	if (named && named_so(cluster, named))
		must_push(out, named);
	for (size_t i = 0; entry && i < entry->list.n; i++)
		must_push(out, entry->list.v[i]);
}

static size_t count_with(const struct cluster *cluster, const struct selector_term *term)
{
	size_t n = 0;

	for (uint32_t i = 0; i < term->nvalues; i++) {
		const struct ns_label *entry =
			find(cluster, &(struct label){ term->key, term->values[i] });

		n += 1 + (entry ? entry->list.n : 0);
	}
	return n;
}

// The term that the fewest namespaces can meet; NULL: none names what to look for.
static const struct selector_term *narrowest(const struct cluster *cluster,
					     const struct selector *selector)
{
	const struct selector_term *best = NULL;
	size_t least = 0;

	for (uint32_t i = 0; i < selector->nterms; i++) {
		const struct selector_term *term = &selector->terms[i];
		size_t n = term->op == SELECTOR_IN ? count_with(cluster, term) : 0;

		if (!n || (best && n >= least))
			continue;
		best = term;
		least = n;
	}
	return best;
}

void nslabel_suspects(const struct cluster *cluster, const struct selector *selector, ns_list *out)
{
	const struct selector_term *term = narrowest(cluster, selector);
	struct nsent *ns;
	size_t at = 0;

	for (uint32_t i = 0; term && i < term->nvalues; i++)
		all_with(cluster, &(struct label){ term->key, term->values[i] }, out);
	while (!term && (ns = hash_next(&cluster->namespaces, &at)))
		must_push(out, ns);
}
