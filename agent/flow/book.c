// SPDX-License-Identifier: Apache-2.0
// book.c - an index of addresses to objects, cards made of them when somebody asks, and the past.
#include "agent/flow/book.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"

// Someone who left an address, or is not what it was: one entry for each address.
struct past {
	struct bh_addr addr;
	int64_t until_ns;
	struct object *object; // held until it has lingered: the card can still be made
	struct flow_card *card; // NULL: nobody asked
	struct past *next; // of those that left later
};

struct queue {
	struct past *first, **last;
	uint32_t n;
};

struct held { // the card of an object of the present
	const struct object *object;
	struct flow_card *card;
};

struct book {
	pthread_mutex_t lock; // of all below
	struct book_limits limits;
	struct hash owners; // struct object *, once for each of its addresses
	struct hash cards; // struct held *, by object
	struct hash gone; // struct past *, by address
	struct queue lingering, past; // in the order in which they left
	VEC(struct bh_addr) hosts;
	struct flow_card *world, *node; // node: of hosts; NULL: not known
	uint64_t forgotten, cut;
};

// ---- what an object is to flows --------------------------------------------------------------------------------

static uint32_t addrs_of(const struct object *object, const struct bh_addr **ret)
{
	const struct pod *pod = (const struct pod *)object;

	switch (object->kind) {
	case KIND_POD: // a host-network pod's addresses are its node's, a finished one's may be another's by now
		*ret = pod->addrs;
		return pod->host_network || pod->finished ? 0 : pod->naddrs;
	case KIND_NODE:
		*ret = ((const struct node *)object)->addrs;
		return ((const struct node *)object)->naddrs;
	case KIND_SERVICE:
		*ret = ((const struct service *)object)->addrs;
		return ((const struct service *)object)->naddrs;
	default:
		return 0;
	}
}

static bool has_addr(const struct object *object, const struct bh_addr *addr)
{
	const struct bh_addr *addrs;
	uint32_t n = addrs_of(object, &addrs);

	for (uint32_t i = 0; i < n; i++)
		if (bh_addr_equal(&addrs[i], addr))
			return true;
	return false;
}

// Labels that differ from rollout to rollout or from pod to pod of one workload.
static bool is_fleeting(const char *key)
{
	static const char *const keys[] = {
		"apps.kubernetes.io/pod-index",
		"batch.kubernetes.io/controller-uid",
		"batch.kubernetes.io/job-completion-index",
		"batch.kubernetes.io/job-name",
		"controller-revision-hash",
		"controller-uid",
		"job-name",
		"pod-template-generation",
		"pod-template-hash",
		"statefulset.kubernetes.io/pod-name",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!strcmp(key, keys[i]))
			return true;
	return false;
}

// In the order of their keys, each that still fits.
static void choose_labels(struct book *book, const struct pod *pod, struct label *labels, struct flow_card *model)
{
	size_t room = book->limits.labels;

	for (uint32_t i = 0; i < pod->labels.n; i++) {
		const struct label *label = &pod->labels.v[i];
		size_t bytes = strlen(label->key) + strlen(label->value) + sizeof(*label);

		if (is_fleeting(label->key))
			continue;
		if (bytes > room) {
			model->labels_cut++;
			continue;
		}
		room -= bytes;
		labels[model->nlabels++] = *label;
	}
	book->cut += model->labels_cut != 0;
}

static struct flow_card *pod_card(struct book *book, const struct pod *pod)
{
	struct label *labels = calloc(pod->labels.n + 1, sizeof(*labels));
	struct flow_card model = { .who = FLOW_POD, .ns = pod->object.ns, .name = pod->object.name,
				   .uid = pod->object.uid, .node = pod->node, .labels = labels };
	char buf[POD_WORKLOAD_BYTES];
	struct flow_card *card;

	if (!labels)
		return NULL;
	choose_labels(book, pod, labels, &model);
	model.workload_kind = pod_workload(pod, buf, &model.workload_name);
	card = flow_card_new(&model);
	free(labels);
	return card;
}

static struct flow_card *card_of(struct book *book, const struct object *object)
{
	struct flow_card model = { .who = object->kind == KIND_NODE ? FLOW_NODE : FLOW_SERVICE, .ns = object->ns,
				   .name = object->name };

	if (object->kind == KIND_POD)
		return pod_card(book, (const struct pod *)object);
	return flow_card_new(&model);
}

// Told the same: what else changed is no matter here.
static bool same_card(const struct object *a, const struct object *b)
{
	const struct pod *p = (const struct pod *)a, *q = (const struct pod *)b;

	if (a->kind != KIND_POD)
		return true; // the name says it all
	if (p->labels.n != q->labels.n || p->node != q->node || p->owner_kind != q->owner_kind ||
	    p->owner_name != q->owner_name)
		return false;
	if ((a->uid != b->uid) && (!a->uid || !b->uid || strcmp(a->uid, b->uid) != 0))
		return false;
	for (uint32_t i = 0; i < p->labels.n; i++) // interned
		if (p->labels.v[i].key != q->labels.v[i].key || p->labels.v[i].value != q->labels.v[i].value)
			return false;
	return true;
}

// ---- cards of the present --------------------------------------------------------------------------------------

static uint64_t addr_hash(const struct bh_addr *addr)
{
	return hash_bytes(addr, sizeof(*addr));
}

static bool held_is(const void *item, const void *key)
{
	return ((const struct held *)item)->object == key;
}

static struct held *held_find(const struct book *book, const struct object *object)
{
	return hash_find(&book->cards, hash_pointer(object), held_is, object);
}

// Its card is the caller's now.
static struct flow_card *held_take(struct book *book, const struct object *object)
{
	struct held *held = held_find(book, object);
	struct flow_card *card = held ? held->card : NULL;

	if (held) {
		hash_remove(&book->cards, hash_pointer(object), held);
		free(held);
	}
	return card;
}

static void held_put(struct book *book, const struct object *object, struct flow_card *card)
{
	struct held *held = malloc(sizeof(*held));

	if (held)
		*held = (struct held){ object, card };
	if (!held || hash_add(&book->cards, hash_pointer(object), held) < 0) {
		flow_card_put(card);
		free(held);
	}
}

// All go when there are too many: those that matter are made again.
static void held_clear(struct book *book)
{
	struct held *held;

	for (size_t at = 0; (held = hash_next(&book->cards, &at));) {
		flow_card_put(held->card);
		free(held);
	}
	hash_fini(&book->cards);
	memset(&book->cards, 0, sizeof(book->cards));
}

static struct flow_card *held_get(struct book *book, const struct object *object)
{
	struct held *held = held_find(book, object);
	struct flow_card *card = held ? held->card : card_of(book, object);

	if (held || !card)
		return flow_card_get(card);
	if (book->cards.n >= book->limits.cards)
		held_clear(book);
	held_put(book, object, flow_card_get(card));
	return card;
}

// ---- the past ------------------------------------------------------------------------------------------------

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .last = &queue->first };
}

static void queue_push(struct queue *queue, struct past *past)
{
	past->next = NULL;
	*queue->last = past;
	queue->last = &past->next;
	queue->n++;
}

static struct past *queue_pop(struct queue *queue)
{
	struct past *past = queue->first;

	queue->first = past->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->n--;
	return past;
}

static void past_free(struct book *book, struct past *past)
{
	hash_remove(&book->gone, addr_hash(&past->addr), past);
	flow_card_put(past->card);
	object_put(past->object);
	free(past);
}

// It has lingered: it stays if it has a card, as somebody speaks of it.
static void settle(struct book *book)
{
	struct past *past = queue_pop(&book->lingering);

	object_put(past->object);
	past->object = NULL;
	if (past->card)
		queue_push(&book->past, past);
	else
		past_free(book, past);
}

static void trim(struct book *book, int64_t now_ns)
{
	while (book->lingering.n > book->limits.linger) {
		book->forgotten += !book->lingering.first->card;
		settle(book);
	}
	while (book->lingering.n && now_ns - book->lingering.first->until_ns > BOOK_LINGER_NS)
		settle(book);
	while (book->past.n > book->limits.past) {
		book->forgotten++;
		past_free(book, queue_pop(&book->past));
	}
}

static void remember(struct book *book, const struct bh_addr *addr, const struct object *object,
		     struct flow_card *card, int64_t now_ns)
{
	struct past *past = calloc(1, sizeof(*past));

	if (!past || hash_add(&book->gone, addr_hash(addr), past) < 0) {
		book->forgotten++;
		free(past);
		return;
	}
	*past = (struct past){ .addr = *addr, .until_ns = now_ns, .object = object_get((struct object *)object),
			       .card = flow_card_get(card) };
	queue_push(&book->lingering, past);
}

// ---- changes ---------------------------------------------------------------------------------------------------

static void leave(struct book *book, const struct object *before, const struct object *after, int64_t now_ns)
{
	bool same = after && same_card(before, after);
	struct flow_card *card = held_take(book, before);
	const struct bh_addr *addrs;
	uint32_t n = addrs_of(before, &addrs);

	for (uint32_t i = 0; i < n; i++) {
		hash_remove(&book->owners, addr_hash(&addrs[i]), before);
		if (!same || !has_addr(after, &addrs[i]))
			remember(book, &addrs[i], before, card, now_ns);
	}
	if (same && card)
		held_put(book, after, card);
	else
		flow_card_put(card);
}

static void come(struct book *book, const struct object *after)
{
	const struct bh_addr *addrs;
	uint32_t n = addrs_of(after, &addrs);

	for (uint32_t i = 0; i < n; i++)
		if (hash_add(&book->owners, addr_hash(&addrs[i]), (void *)after) < 0)
			book->forgotten++;
}

void book_changed(struct book *book, const struct object *before, const struct object *after, int64_t now_ns)
{
	enum kind kind = after ? after->kind : before->kind;

	if (kind != KIND_POD && kind != KIND_NODE && kind != KIND_SERVICE)
		return;
	pthread_mutex_lock(&book->lock);
	if (before)
		leave(book, before, after, now_ns);
	if (after)
		come(book, after);
	trim(book, now_ns);
	pthread_mutex_unlock(&book->lock);
}

void book_host(struct book *book, const char *node, const struct bh_addr *addr, bool present)
{
	size_t i = 0;

	pthread_mutex_lock(&book->lock);
	if (!book->node)
		book->node = flow_card_new(&(struct flow_card){ .who = FLOW_NODE, .name = node, .node = node });
	while (i < book->hosts.n && !bh_addr_equal(&book->hosts.v[i], addr))
		i++;
	if (present && i == book->hosts.n)
		book->forgotten += vec_push(&book->hosts, *addr) < 0;
	else if (!present && i < book->hosts.n)
		vec_drop(&book->hosts, i);
	pthread_mutex_unlock(&book->lock);
}

// ---- questions ---------------------------------------------------------------------------------------------------

struct search {
	const struct bh_addr *addr;
	const char *ns, *name; // only this pod; NULL: anybody
	int64_t when_ns;
	struct object *owner; // the best so far
	struct past *past; // the first that left after `when`
};

static bool is_asked(const struct search *search, const struct object *object)
{
	return !search->ns || (object->kind == KIND_POD && !strcmp(object->name, search->name) &&
			       !strcmp(object->ns, search->ns));
}

// A pod before a Service before a node; of two pods the one that policy takes.
static bool is_better(const struct object *object, const struct object *than)
{
	static const int ranks[KIND_MAX] = { [KIND_POD] = 3, [KIND_SERVICE] = 2, [KIND_NODE] = 1 };

	if (!than || object->kind != than->kind)
		return !than || ranks[object->kind] > ranks[than->kind];
	return object->kind == KIND_POD && pod_outranks((const struct pod *)object, (const struct pod *)than);
}

// These look at all that the table has under one hash, and never say that they found it.
static bool weigh_owner(const void *item, const void *key)
{
	struct search *search = (struct search *)key;
	struct object *object = (struct object *)item;

	if (has_addr(object, search->addr) && is_asked(search, object) && is_better(object, search->owner))
		search->owner = object;
	return false;
}

// Either its object or its card says who it was.
static bool past_is_asked(const struct search *search, const struct past *past)
{
	const struct flow_card *card = past->card;

	if (past->object || !search->ns)
		return !past->object || is_asked(search, past->object);
	return card->who == FLOW_POD && !strcmp(card->name, search->name) && !strcmp(card->ns, search->ns);
}

static bool weigh_past(const void *item, const void *key)
{
	struct search *search = (struct search *)key;
	struct past *past = (struct past *)item;

	if (bh_addr_equal(&past->addr, search->addr) && past->until_ns > search->when_ns &&
	    past_is_asked(search, past) && (!search->past || past->until_ns < search->past->until_ns))
		search->past = past;
	return false;
}

static bool is_host(const struct book *book, const struct bh_addr *addr)
{
	vec_each(const struct bh_addr, host, &book->hosts)
		if (bh_addr_equal(host, addr))
			return true;
	return false;
}

static struct flow_card *answer(struct book *book, struct search *search)
{
	uint64_t hash = addr_hash(search->addr);

	hash_find(&book->gone, hash, weigh_past, search);
	if (search->past) {
		if (!search->past->card)
			search->past->card = card_of(book, search->past->object);
		return flow_card_get(search->past->card);
	}
	hash_find(&book->owners, hash, weigh_owner, search);
	if (search->owner)
		return held_get(book, search->owner);
	if (search->ns)
		return NULL;
	return flow_card_get(book->node && is_host(book, search->addr) ? book->node : book->world);
}

struct flow_card *book_find_pod(struct book *book, const char *ns, const char *name, const struct bh_addr *addr,
				int64_t when_ns)
{
	struct search search = { .addr = addr, .ns = ns, .name = name, .when_ns = when_ns };
	struct flow_card *card;

	pthread_mutex_lock(&book->lock);
	card = answer(book, &search);
	pthread_mutex_unlock(&book->lock);
	return card;
}

struct flow_card *book_find(struct book *book, const struct bh_addr *addr, int64_t when_ns)
{
	return book_find_pod(book, NULL, NULL, addr, when_ns);
}

void book_stats(struct book *book, struct book_stats *ret)
{
	pthread_mutex_lock(&book->lock);
	*ret = (struct book_stats){ (uint32_t)book->owners.n, (uint32_t)book->cards.n,
				    book->lingering.n + book->past.n, book->forgotten, book->cut };
	pthread_mutex_unlock(&book->lock);
}

// ---- life --------------------------------------------------------------------------------------------------------

int book_new(const struct book_limits *limits, struct book **ret)
{
	_cleanup_(book_freep) struct book *book = calloc(1, sizeof(*book));

	assert(ret);

	if (!book)
		return -ENOMEM;
	pthread_mutex_init(&book->lock, NULL);
	book->limits = limits ? *limits : (struct book_limits){ 0 };
	book->limits.past = book->limits.past ? book->limits.past : BOOK_PAST;
	book->limits.linger = book->limits.linger ? book->limits.linger : BOOK_LINGER;
	book->limits.cards = book->limits.cards ? book->limits.cards : BOOK_CARDS;
	book->limits.labels = book->limits.labels ? book->limits.labels : BOOK_LABELS;
	queue_init(&book->lingering);
	queue_init(&book->past);
	book->world = flow_card_new(&(struct flow_card){ .who = FLOW_WORLD });
	if (!book->world)
		return -ENOMEM;
	*ret = TAKE_PTR(book);
	return 0;
}

void book_free(struct book *book)
{
	if (!book)
		return;
	while (book->lingering.n)
		past_free(book, queue_pop(&book->lingering));
	while (book->past.n)
		past_free(book, queue_pop(&book->past));
	held_clear(book);
	hash_fini(&book->owners);
	hash_fini(&book->gone);
	flow_card_put(book->world);
	flow_card_put(book->node);
	vec_fini(&book->hosts);
	pthread_mutex_destroy(&book->lock);
	free(book);
}
