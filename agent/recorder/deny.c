// SPDX-License-Identifier: Apache-2.0
// deny.c - what was denied since the last reading: the kernel's sums, less what was told of them.
#include "agent/recorder/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/base/log.h"

LOG_ROOM("recorder");

struct deny {
	struct bh_denied_key key;
	uint64_t packets, bytes; // told
	uint32_t first; // of the sum: another one is another sum
	uint32_t round; // in which it was met
};

static uint64_t key_hash(const struct bh_denied_key *key)
{
	return hash_bytes(key, sizeof(*key));
}

static bool deny_is(const void *item, const void *key)
{
	return memcmp(&((const struct deny *)item)->key, key, sizeof(struct bh_denied_key)) == 0;
}

static struct deny *deny_get(struct recorder *recorder, const struct denied_entry *entry)
{
	uint64_t hash = key_hash(&entry->key);
	struct deny *deny = hash_find(&recorder->denied, hash, deny_is, &entry->key);

	if (deny)
		return deny;
	deny = calloc(1, sizeof(*deny));
	if (!deny || hash_add(&recorder->denied, hash, deny) < 0) {
		free(deny);
		return NULL;
	}
	deny->key = entry->key;
	return deny;
}

static void touch(struct recorder *recorder, const struct bh_denied_key *key)
{
	if (vec_push(&recorder->denied_touched, *key) < 0)
		recorder->denied_unkept = true;
}

// What an earlier agent told.
static int inherit_one(void *arg, const struct denied_entry *entry)
{
	struct recorder *recorder = arg;
	struct deny *deny = deny_get(recorder, entry);

	if (deny)
		*deny = (struct deny){ entry->key, entry->value.packets, entry->value.bytes, entry->value.first,
				       recorder->round };
	return deny ? 0 : -ENOMEM;
}

static void fill(struct recorder *recorder, const struct denied_entry *entry, struct flow_record *ret)
{
	const struct bh_denied_key *key = &entry->key;
	uint32_t last = entry->value.last ? entry->value.last : entry->value.first; // just made
	int64_t when_ns = recorder_mono(recorder, last);
	struct flow_end *own = key->dir == BH_EGRESS ? &ret->src : &ret->dst;
	struct flow_end *peer = key->dir == BH_EGRESS ? &ret->dst : &ret->src;
	struct bh_addr remote;

	memcpy(&remote, key->remote, sizeof(remote));
	ret->type = FLOW_DENY;
	ret->verdict = FLOW_DENIED;
	ret->reason = (enum bh_reason)key->reason;
	ret->dir = (enum bh_dir)key->dir;
	ret->proto = key->proto;
	ret->first_ns = recorder_real(recorder, entry->value.first);
	ret->last_ns = recorder_real(recorder, last);
	*own = recorder_own(recorder, key->ident, !bh_addr_is4(&remote), when_ns);
	*peer = recorder_peer(recorder, &remote, 0, when_ns);
	ret->dst.port = ntohs(key->port);
	if (key->dir == BH_EGRESS && peer->card && peer->card->who == FLOW_SERVICE)
		ret->service = flow_card_get(peer->card);
	if (key->rule)
		ret->policy = recorder_policy(recorder, key->rule);
}

static int deny_one(void *arg, const struct denied_entry *entry)
{
	struct recorder *recorder = arg;
	struct flow_record record = { 0 };
	struct deny *deny = deny_get(recorder, entry);

	if (!deny) {
		recorder_count(recorder, &recorder->stats.lost_memory);
		return 0;
	}
	deny->round = recorder->round;
	if (deny->first != entry->value.first || entry->value.packets < deny->packets)
		deny->packets = deny->bytes = 0;
	if (entry->value.packets == deny->packets && entry->value.bytes == deny->bytes)
		return 0;
	fill(recorder, entry, &record);
	record.packets[FLOW_FORWARD] = entry->value.packets - deny->packets;
	record.bytes[FLOW_FORWARD] = entry->value.bytes - deny->bytes;
	deny->packets = entry->value.packets;
	deny->bytes = entry->value.bytes;
	deny->first = entry->value.first;
	touch(recorder, &entry->key);
	recorder_tell(recorder, &record);
	return 0;
}

// Sums that the tables have no more, nor had in the reading before: who cleared one tells of it in between.
static void forget(struct recorder *recorder, bool all)
{
	VEC(struct deny *) gone = { 0 };
	struct deny *deny;

	for (size_t at = 0; (deny = hash_next(&recorder->denied, &at));)
		if ((all || recorder->round - deny->round > 1) && vec_push(&gone, deny) < 0)
			break;
	vec_each(struct deny *, one, &gone) {
		touch(recorder, &(*one)->key);
		hash_remove(&recorder->denied, key_hash(&(*one)->key), *one);
		free(*one);
	}
	vec_fini(&gone);
}

static void drop(struct recorder *recorder, const struct denied_entry *entry)
{
	struct deny *deny = hash_find(&recorder->denied, key_hash(&entry->key), deny_is, &entry->key);

	if (!deny)
		return;
	touch(recorder, &deny->key);
	hash_remove(&recorder->denied, key_hash(&deny->key), deny);
	free(deny);
}

// Sums that were cleared: what nobody was told of them yet.
static void take_gone(struct recorder *recorder)
{
	VEC(struct denied_entry) taken;

	pthread_mutex_lock(&recorder->lock);
	memcpy(&taken, &recorder->denied_gone, sizeof(taken));
	memset(&recorder->denied_gone, 0, sizeof(recorder->denied_gone));
	pthread_mutex_unlock(&recorder->lock);
	vec_each(const struct denied_entry, entry, &taken) {
		deny_one(recorder, entry);
		drop(recorder, entry);
	}
	vec_fini(&taken);
}

void recorder_denies(struct recorder *recorder)
{
	if (!recorder->round++)
		tables_denied_told_each(recorder->config.tables, inherit_one, recorder);
	take_gone(recorder);
	if (tables_denied_each(recorder->config.tables, deny_one, recorder) == 0)
		forget(recorder, false);
}

static int touch_one(void *arg, const struct denied_entry *entry)
{
	touch(arg, &entry->key);
	return 0;
}

// All that is known, and all that the table says: so long as it cannot be written, nothing grows.
static int touch_all(struct recorder *recorder)
{
	const struct deny *deny;

	vec_fini(&recorder->denied_touched);
	for (size_t at = 0; (deny = hash_next(&recorder->denied, &at));)
		touch(recorder, &deny->key);
	return tables_denied_told_each(recorder->config.tables, touch_one, recorder);
}

static int write_touched(struct recorder *recorder)
{
	VEC(struct denied_entry) kept = { 0 };
	int r = vec_reserve(&kept, recorder->denied_touched.n);

	if (r < 0)
		return r;
	vec_each(const struct bh_denied_key, key, &recorder->denied_touched) {
		const struct deny *deny = hash_find(&recorder->denied, key_hash(key), deny_is, key);
		struct denied_entry entry = { .key = *key };

		if (deny)
			entry.value = (struct bh_denied){ deny->packets, deny->bytes, deny->first, 0 };
		kept.v[kept.n++] = entry;
	}
	r = tables_denied_told_set(recorder->config.tables, kept.v, (uint32_t)kept.n);
	vec_fini(&kept);
	return r;
}

// What fails is tried again in the next turn, whole.
void recorder_denies_keep(struct recorder *recorder)
{
	bool again = recorder->denied_unkept;
	int r = 0;

	recorder->denied_unkept = false;
	if (again)
		r = touch_all(recorder);
	if (r == 0 && recorder->denied_touched.n)
		r = write_touched(recorder);
	vec_fini(&recorder->denied_touched);
	if (r < 0)
		recorder->denied_unkept = true;
	if (r < 0 && !again)
		log_warn("cannot keep what was told of denies, the next agent may tell it again: %s", strerror(-r));
	if (again && !recorder->denied_unkept)
		log_info("what was told of denies is kept again");
}

void recorder_denies_fini(struct recorder *recorder)
{
	forget(recorder, true);
	vec_fini(&recorder->denied_touched);
	hash_fini(&recorder->denied);
}
