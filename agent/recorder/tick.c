// SPDX-License-Identifier: Apache-2.0
// tick.c - one reading of the tables: flows that began, last and are over.
#include "agent/recorder/private.h"

#include <string.h>
#include <time.h>

#define MOMENT_CLOSE_NS 100000 // between readings of two clocks that are taken for one moment
#define MOMENT_TRIES 8

// ---- time --------------------------------------------------------------------------------------------------------

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t mono_of(const struct recorder *recorder, int64_t moment)
{
	return recorder->moment.mono_ns - (recorder->moment.now - moment) * NS_PER_UNIT;
}

int64_t recorder_mono(const struct recorder *recorder, uint32_t t)
{
	return mono_of(recorder, when_of(t, recorder->moment.now));
}

int64_t recorder_real(const struct recorder *recorder, uint32_t t)
{
	return recorder_mono(recorder, t) + recorder->moment.real_ns - recorder->moment.mono_ns;
}

// Both clocks at one time, as far as nothing comes between.
static void moment_take(struct moment *ret)
{
	int tries = MOMENT_TRIES;
	int64_t after;

	do {
		ret->mono_ns = clock_ns(CLOCK_MONOTONIC);
		ret->real_ns = clock_ns(CLOCK_REALTIME);
		after = clock_ns(CLOCK_MONOTONIC);
	} while (after - ret->mono_ns > MOMENT_CLOSE_NS && --tries);
	ret->now = ret->mono_ns >> BH_TIME_SHIFT;
}

// ---- a flow's record ---------------------------------------------------------------------------------------------

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ b) * 0x9e3779b97f4a7c15ull;

	x ^= x >> 32;
	x *= 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 29;
}

// The same after a restart of the agent, another for the next flow of the same ports. Never 0.
static uint64_t flow_id(const struct recorder *recorder, const struct ct_entry *entry)
{
	const uint32_t *remote = entry->remote.w;
	uint64_t id = mix(recorder->boot, (uint64_t)entry->ident << 32 | entry->value.created);

	id = mix(id, (uint64_t)remote[0] << 32 | remote[1]);
	id = mix(id, (uint64_t)remote[2] << 32 | remote[3]);
	id = mix(id, (uint64_t)entry->remote_port << 48 | (uint64_t)entry->local_port << 32 |
			     (uint64_t)entry->local << 16 | entry->proto);
	return id ? id : 1;
}

// When it began.
static int64_t began(struct recorder *recorder, const struct ct_entry *entry)
{
	uint32_t created = entry->value.created;
	int64_t now = recorder->moment.now;

	return aged_concerns(&recorder->aged, created, now) ?
		       aged_began(&recorder->aged, flow_id(recorder, entry), created, now) :
		       when_of(created, now);
}

static enum bh_reason reason_of(const struct ct_entry *entry, const struct flow_end *own)
{
	if (entry->value.flags & BH_CT_CUT)
		return BH_REASON_CUT;
	if (entry->value.flags & BH_CT_NODE)
		return bh_addr_equal(&own->addr, &entry->remote) ? BH_REASON_HAIRPIN : BH_REASON_OWN_NODE;
	if (!entry->value.gen && entry->value.flags & BH_CT_SEEDED)
		return BH_REASON_ADOPTED;
	switch (BH_CELL_VERDICT(entry->value.rule)) {
	case BH_VERDICT_MIXED:
		return BH_REASON_SERVICE;
	case BH_VERDICT_ALLOW:
		return BH_REASON_ALLOWED;
	default: // half open and not answered: no entry was made of it that could be marked
		return entry->value.gen ? BH_REASON_CUT : BH_REASON_ALLOWED;
	}
}

// Whether policies in audit mode would deny what passes; the own node passes the NetworkPolicy tier.
static bool audited(const struct ct_entry *entry, enum bh_reason reason)
{
	enum bh_verdict shadow = BH_CELL_VERDICT(entry->value.shadow);

	if (!entry->value.gen || entry->value.shadow == entry->value.rule || reason == BH_REASON_CUT)
		return false;
	if (shadow == BH_VERDICT_DENY)
		return !(entry->value.flags & BH_CT_NODE);
	return shadow == BH_VERDICT_DENY_CLUSTER;
}

static void fill_verdict(struct recorder *recorder, const struct ct_entry *entry, const struct flow_end *own,
			 struct flow_record *ret)
{
	uint32_t rule = BH_CELL_RULE(entry->value.rule);

	ret->reason = reason_of(entry, own);
	ret->verdict = ret->reason == BH_REASON_CUT ? FLOW_DENIED : FLOW_ALLOWED;
	if (rule || ret->reason == BH_REASON_ALLOWED)
		ret->policy = recorder_policy(recorder, rule);
	if (!audited(entry, ret->reason))
		return;
	ret->verdict = FLOW_AUDIT;
	ret->audit = recorder_policy(recorder, BH_CELL_RULE(entry->value.shadow));
}

static void fill_service(struct recorder *recorder, const struct ct_entry *entry, int64_t when_ns,
			 struct flow_record *ret)
{
	if (ret->dir != BH_EGRESS || !ret->dst.card || ret->dst.card->who != FLOW_SERVICE)
		return;
	ret->service = flow_card_get(ret->dst.card);
	recorder_via(recorder, entry, when_ns, ret);
}

// What the table remembers of both sides' flags.
static void fill_tcp(const struct bh_ct *ct, struct flow_record *ret)
{
	bool met = !(ct->flags & BH_CT_SEEDED);

	for (int way = 0; way < FLOW_WAY_MAX; way++)
		ret->tcp[way] = (ct->tcp_seen[way] & BH_CT_SEEN_FIN ? FLOW_TCP_FIN : 0) |
				(ct->tcp_seen[way] & BH_CT_SEEN_RST ? FLOW_TCP_RST : 0);
	if (met)
		ret->tcp[FLOW_FORWARD] |= FLOW_TCP_SYN;
	if (ct->state >= BH_CT_REPLY && met)
		ret->tcp[FLOW_REVERSE] |= FLOW_TCP_SYN | FLOW_TCP_ACK;
	if (ct->state >= BH_CT_ESTABLISHED)
		ret->tcp[FLOW_FORWARD] |= FLOW_TCP_ACK;
}

static void fill(struct recorder *recorder, const struct ct_entry *entry, struct flow_record *ret)
{
	const struct bh_ct *ct = &entry->value;
	int64_t when_ns = mono_of(recorder, began(recorder, entry));
	bool egress = ct->flags & BH_CT_EGRESS;
	struct flow_end *own = egress ? &ret->src : &ret->dst, *peer = egress ? &ret->dst : &ret->src;

	ret->id = flow_id(recorder, entry);
	ret->dir = egress ? BH_EGRESS : BH_INGRESS;
	ret->proto = entry->proto;
	ret->first_ns = when_ns + recorder->moment.real_ns - recorder->moment.mono_ns;
	ret->last_ns = recorder_real(recorder, ct->last);
	*own = recorder_own(recorder, entry->ident, entry->v6, when_ns);
	own->port = entry->local_port;
	*peer = recorder_peer(recorder, &entry->remote, entry->remote_port, when_ns);
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		enum flow_way way = dir == (int)ret->dir ? FLOW_FORWARD : FLOW_REVERSE;

		ret->packets[way] = ct->packets[dir];
		ret->bytes[way] = ct->bytes[dir];
	}
	fill_verdict(recorder, entry, own, ret);
	fill_service(recorder, entry, when_ns, ret);
	if (entry->proto == BH_PROTO_TCP)
		fill_tcp(ct, ret);
}

static void tell(struct recorder *recorder, const struct ct_entry *entry, enum flow_type type, enum flow_over over)
{
	struct flow_record record = { .type = type, .over = over };

	fill(recorder, entry, &record);
	recorder_tell(recorder, &record);
}

#define RING_EACH 1024 // flows met between two looks at the ring

// ---- flows that are there ------------------------------------------------------------------------------------------

static bool same_id(const void *item, const void *key)
{
	return item == key;
}

static bool was_told_now(const struct recorder *recorder, uint64_t id)
{
	return hash_find(&recorder->begun_now, id, same_id, (const void *)(uintptr_t)id);
}

static void begin(struct recorder *recorder, const struct ct_entry *entry)
{
	uint64_t id = flow_id(recorder, entry);

	if (was_told_now(recorder, id))
		return;
	if (hash_add(&recorder->begun_now, id, (void *)(uintptr_t)id) < 0) {
		recorder_count(recorder, &recorder->stats.lost_memory);
		return;
	}
	tell(recorder, entry, FLOW_START, FLOW_NOT_OVER);
}

static int meet(void *arg, const struct ct_entry *entry)
{
	struct recorder *recorder = arg;
	uint32_t period = recorder->config.update_sec * (uint32_t)BH_TIME_HZ;
	int64_t created = began(recorder, entry);

	if (++recorder->flows % RING_EACH == 0)
		tables_ring_read(recorder->ring); // it fills meanwhile
	if (when_begins(&recorder->when, created))
		begin(recorder, entry);
	else if (when_due(&recorder->when, created, when_of(entry->value.last, recorder->when.now), period))
		tell(recorder, entry, FLOW_UPDATE, FLOW_NOT_OVER);
	return 0;
}

// ---- flows that are over -------------------------------------------------------------------------------------------

// Its start was told if it began before the last reading's end, and that reading, had it begun just then, met it.
static void end(struct recorder *recorder, const struct gone *gone, const struct when *last)
{
	static const enum flow_over overs[CT_OVER_MAX] = {
		[CT_OVER_CLOSED] = FLOW_CLOSED,	    [CT_OVER_RESET] = FLOW_RESET,
		[CT_OVER_IDLE] = FLOW_IDLE,	    [CT_OVER_CUT] = FLOW_CUT,
		[CT_OVER_REPLACED] = FLOW_REPLACED, [CT_OVER_EVICTED] = FLOW_EVICTED,
		[CT_OVER_FORGOTTEN] = FLOW_FORGOTTEN, [CT_OVER_POD_GONE] = FLOW_POD_GONE,
	};
	int64_t created = began(recorder, &gone->entry);
	bool told = when_told(&recorder->when, created);

	if (told && last->now && when_begins(last, created))
		told = was_told_now(recorder, flow_id(recorder, &gone->entry));
	if (!told)
		tell(recorder, &gone->entry, FLOW_START, FLOW_NOT_OVER);
	tell(recorder, &gone->entry, FLOW_END, overs[gone->why]);
}

static void take_gone(struct recorder *recorder, const struct when *last)
{
	VEC(struct gone) taken;

	pthread_mutex_lock(&recorder->lock);
	memcpy(&taken, &recorder->queue, sizeof(taken));
	memset(&recorder->queue, 0, sizeof(recorder->queue));
	recorder->congested = false;
	pthread_cond_broadcast(&recorder->room);
	pthread_mutex_unlock(&recorder->lock);
	vec_each(const struct gone, gone, &taken)
		end(recorder, gone, last);
	vec_fini(&taken);
}

// ---- a reading -----------------------------------------------------------------------------------------------------

void recorder_tick_fini(struct recorder *recorder)
{
	hash_fini(&recorder->begun_now);
	memset(&recorder->begun_now, 0, sizeof(recorder->begun_now));
}

// From the end of the last reading to what is settled now. An earlier agent's last one is known by its end alone.
static void when_next(struct recorder *recorder)
{
	struct when *when = &recorder->when;
	uint32_t told = tables_told(recorder->config.tables);

	when->now = recorder->moment.now;
	when->from = when_of(told, when->now);
	when->ever = told != 0;
	when->to = when->now - WHEN_SETTLED;
	when->to += !(uint32_t)when->to; // 0 is "never"
}

// Half-open flows first: one that becomes a connection meanwhile is met in one table or in both.
void recorder_tick(struct recorder *recorder)
{
	struct when last = recorder->when; // all 0: there was none
	struct tables *tables = recorder->config.tables;
	int r;

	moment_take(&recorder->moment);
	when_next(recorder);
	last.now = last.now ? recorder->when.now : 0;
	aged_next(&recorder->aged, recorder->whole);
	recorder_names_settle(recorder);
	tables_ring_read(recorder->ring);
	take_gone(recorder, &last);
	if (recorder->whole)
		recorder_tick_fini(recorder);
	recorder->flows = 0;
	r = tables_half_each(tables, meet, recorder);
	if (r == 0)
		r = tables_ct_each(tables, meet, recorder);
	recorder->whole = r == 0; // else the next one reads the same again, and knows what was told
	recorder_denies(recorder);
}

// Not before sinks have it: of what is killed in between the next agent tells again, rather twice than never.
void recorder_tick_keep(struct recorder *recorder)
{
	if (recorder->whole)
		tables_set_told(recorder->config.tables, (uint32_t)recorder->when.to);
	recorder_denies_keep(recorder);
}
