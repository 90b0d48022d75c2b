// SPDX-License-Identifier: Apache-2.0
// verdicts.c - one record by direction, reason and rule of what is there and what is gone, one sum by policy.
#include "agent/metrics/verdicts.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"

// Counters of one key: those of endpoints that are there as they were read, of all that are gone, and what of both is
// in the sums.
struct tally {
	struct bh_total_key key; // without an ident
	struct bh_count live, gone, told;
};

struct label {
	char *kind, *policy, *rule;
	struct bh_count sums[BH_DIR_MAX][BH_REASON_MAX];
};

struct verdicts {
	pthread_mutex_t lock;
	uint32_t policies;
	struct hash by_key; // of tallies
	struct hash by_name; // of labels
	VEC(struct label *) labels; // in the order in which they came
	struct label other;
	struct bh_count sums[BH_DIR_MAX][BH_REASON_MAX];
};

// ---- making and freeing --------------------------------------------------------------------------------------------

static void label_free(struct label *label)
{
	free(label->kind);
	free(label->policy);
	free(label->rule);
	free(label);
}

int verdicts_new(uint32_t policies, struct verdicts **ret)
{
	struct verdicts *verdicts = calloc(1, sizeof(*verdicts));

	if (!verdicts)
		return -ENOMEM;
	verdicts->policies = policies;
	pthread_mutex_init(&verdicts->lock, NULL);
	*ret = verdicts;
	return 0;
}

void verdicts_free(struct verdicts *verdicts)
{
	struct tally *tally;
	size_t at = 0;

	if (!verdicts)
		return;
	while ((tally = hash_next(&verdicts->by_key, &at)))
		free(tally);
	vec_each(struct label *, label, &verdicts->labels)
		label_free(*label);
	vec_fini(&verdicts->labels);
	hash_fini(&verdicts->by_key);
	hash_fini(&verdicts->by_name);
	pthread_mutex_destroy(&verdicts->lock);
	free(verdicts);
}

void verdicts_lock(struct verdicts *verdicts)
{
	pthread_mutex_lock(&verdicts->lock);
}

void verdicts_unlock(struct verdicts *verdicts)
{
	pthread_mutex_unlock(&verdicts->lock);
}

static void add(struct bh_count *sum, const struct bh_count *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
}

// ---- what was read -------------------------------------------------------------------------------------------------

static bool same_key(const void *item, const void *key)
{
	return memcmp(&((const struct tally *)item)->key, key, sizeof(struct bh_total_key)) == 0;
}

static struct tally *tally_of(struct verdicts *verdicts, const struct bh_total_key *of)
{
	struct bh_total_key key = { .reason = of->reason, .dir = of->dir, .rule = of->rule };
	uint64_t hash = hash_bytes(&key, sizeof(key));
	struct tally *tally = hash_find(&verdicts->by_key, hash, same_key, &key);

	if (tally || key.dir >= BH_DIR_MAX || key.reason >= BH_REASON_MAX)
		return tally;
	tally = calloc(1, sizeof(*tally));
	if (!tally)
		return NULL;
	tally->key = key;
	if (hash_add(&verdicts->by_key, hash, tally) < 0) {
		free(tally);
		return NULL;
	}
	return tally;
}

void verdicts_begin(struct verdicts *verdicts)
{
	struct tally *tally;
	size_t at = 0;

	while ((tally = hash_next(&verdicts->by_key, &at)))
		tally->live = (struct bh_count){ 0 };
}

void verdicts_add(struct verdicts *verdicts, const struct bh_total_key *key, const struct bh_count *count)
{
	struct tally *tally = tally_of(verdicts, key);

	if (tally)
		add(&tally->live, count);
}

void verdicts_gone(struct verdicts *verdicts, const struct bh_total_key *key, const struct bh_count *count)
{
	struct tally *tally = tally_of(verdicts, key);

	if (tally)
		add(&tally->gone, count);
}

// ---- sums ----------------------------------------------------------------------------------------------------------

static bool same_name(const void *item, const void *key)
{
	const struct verdict_name *name = key;
	const struct label *label = item;

	return !strcmp(label->policy, name->policy) && !strcmp(label->kind, name->kind) &&
	       !strcmp(label->rule, name->rule);
}

// A policy beyond the bound, or without memory, is one of the others.
static struct label *label_of(struct verdicts *verdicts, const struct verdict_name *name)
{
	uint64_t hash = hash_mix(hash_mix(hash_string(name->policy), hash_string(name->kind)),
				 hash_string(name->rule));
	struct label *label = hash_find(&verdicts->by_name, hash, same_name, name);

	if (label)
		return label;
	if (verdicts->labels.n >= verdicts->policies || vec_reserve(&verdicts->labels, 1) < 0 ||
	    hash_reserve(&verdicts->by_name, 1) < 0)
		return &verdicts->other;
	label = calloc(1, sizeof(*label));
	if (!label)
		return &verdicts->other;
	label->kind = strdup(name->kind);
	label->policy = strdup(name->policy);
	label->rule = strdup(name->rule);
	if (!label->kind || !label->policy || !label->rule) {
		label_free(label);
		return &verdicts->other;
	}
	vec_push(&verdicts->labels, label);
	hash_add(&verdicts->by_name, hash, label);
	return label;
}

// What came since the last time. Never less than nothing: a counter that was not found this time is told with the next.
static struct bh_count news(struct tally *tally)
{
	struct bh_count all = tally->live, more = { 0 };

	add(&all, &tally->gone);
	if (all.packets < tally->told.packets || all.bytes < tally->told.bytes)
		return more;
	more.packets = all.packets - tally->told.packets;
	more.bytes = all.bytes - tally->told.bytes;
	tally->told = all;
	return more;
}

static void tell(struct verdicts *verdicts, struct tally *tally, verdict_name_fn fn, void *arg)
{
	enum bh_reason reason = (enum bh_reason)tally->key.reason;
	struct verdict_name name = { "", "", "" };
	struct bh_count more = news(tally);

	if (!more.packets && !more.bytes)
		return;
	add(&verdicts->sums[tally->key.dir][reason], &more);
	if (tally->key.rule == 0)
		return;
	fn(arg, reason, tally->key.rule, &name);
	add(&label_of(verdicts, &name)->sums[tally->key.dir][reason], &more);
}

// All of it is told, and nothing is there that may count on.
static bool is_over(const struct tally *tally)
{
	return !tally->live.packets && tally->gone.packets == tally->told.packets &&
	       tally->gone.bytes == tally->told.bytes;
}

static void forget_over(struct verdicts *verdicts)
{
	VEC(struct tally *) over = { 0 };
	struct tally *tally;
	size_t at = 0;

	while ((tally = hash_next(&verdicts->by_key, &at)))
		if (is_over(tally) && vec_push(&over, tally) < 0)
			break;
	vec_each(struct tally *, each, &over) {
		hash_remove(&verdicts->by_key, hash_bytes(&(*each)->key, sizeof((*each)->key)), *each);
		free(*each);
	}
	vec_fini(&over);
}

void verdicts_end(struct verdicts *verdicts, verdict_name_fn name, void *arg)
{
	struct tally *tally;
	size_t at = 0;

	while ((tally = hash_next(&verdicts->by_key, &at)))
		tell(verdicts, tally, name, arg);
	forget_over(verdicts);
}

void verdicts_start(struct verdicts *verdicts)
{
	struct tally *tally;
	size_t at = 0;

	while ((tally = hash_next(&verdicts->by_key, &at)))
		news(tally);
}

struct bh_count verdicts_sum(const struct verdicts *verdicts, enum bh_dir dir, enum bh_reason reason)
{
	return verdicts->sums[dir][reason];
}

static void each_sum(const struct label *label, const struct verdict_name *name, verdict_fn fn, void *arg)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		for (int reason = 0; reason < BH_REASON_MAX; reason++)
			if (label->sums[dir][reason].packets || label->sums[dir][reason].bytes)
				fn(arg, (enum bh_dir)dir, (enum bh_reason)reason, name, &label->sums[dir][reason]);
}

void verdicts_each(const struct verdicts *verdicts, verdict_fn fn, void *arg)
{
	const struct verdict_name other = { VERDICTS_OTHER, VERDICTS_OTHER, VERDICTS_OTHER };

	vec_each(struct label *, label, &verdicts->labels) {
		struct verdict_name name = { (*label)->kind, (*label)->policy, (*label)->rule };

		each_sum(*label, &name, fn, arg);
	}
	each_sum(&verdicts->other, &other, fn, arg);
}
