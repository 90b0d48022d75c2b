// SPDX-License-Identifier: Apache-2.0
// meter.c - times and sums. The datapath's counters go with their endpoint, and come with the tables of an agent before:
// verdicts.h makes sums of them that only grow.
#include "agent/daemon/meter.h"

#include <errno.h>
#include <time.h>

#include "agent/daemon/daemon.h"

int64_t meter_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void meter_since(struct histogram *histogram, int64_t start_ns)
{
	histogram_add(histogram, (uint64_t)(meter_now_ns() - start_ns));
}

// ---- from a change until it is in force --------------------------------------------------------------------------------

void meter_changed(struct meter *meter, uint64_t generation, enum kind kind)
{
	struct meter_event event = { generation, meter_now_ns(), kind };

	if (meter->events.n >= METER_EVENTS || vec_push(&meter->events, event) < 0)
		meter->events_untimed++;
}

void meter_in_force(struct meter *meter, uint64_t generation)
{
	size_t n = 0;

	while (n < meter->events.n && meter->events.v[n].generation <= generation) {
		meter_since(&meter->delays[meter->events.v[n].kind], meter->events.v[n].ns);
		n++;
	}
	if (!n)
		return;
	meter->events.n -= n;
	memmove(meter->events.v, meter->events.v + n, meter->events.n * sizeof(*meter->events.v));
}

// ---- the programs' counters --------------------------------------------------------------------------------------------

// Passes have no rule: they are sums of BH_REASON_NONE.
static int add_passed(void *arg, uint32_t slot, enum bh_dir dir, const struct bh_count *count)
{
	const struct bh_total_key key = { .reason = BH_REASON_NONE, .dir = (uint8_t)dir };
	struct meter *meter = arg;

	verdicts_add(meter->verdicts, &key, count);
	return 0;
}

static int add_total(void *arg, const struct total_entry *entry)
{
	const struct bh_count count = { entry->packets, entry->bytes };
	struct meter *meter = arg;

	verdicts_add(meter->verdicts, &entry->key, &count);
	meter->totals++;
	return 0;
}

// Under the lock.
static void read_all(struct meter *meter, struct tables *tables)
{
	verdicts_begin(meter->verdicts);
	meter->totals = 0;
	tables_count_each(tables, add_passed, meter);
	tables_total_each(tables, add_total, meter);
}

struct naming {
	const struct policy *policy;
	char policy_text[400], rule_text[300];
};

// "ns/name" of the one that isolates, "ns/*" of several.
static void name_deny(struct naming *naming, const struct rule_info *info, struct verdict_name *ret)
{
	const char *first = info->npolicies ? info->policies[0] : "";

	ret->kind = "default-deny";
	ret->policy = first;
	if (info->npolicies < 2)
		return;
	snprintf(naming->policy_text, sizeof(naming->policy_text), "%.*s/*", (int)strcspn(first, "/"), first);
	ret->policy = naming->policy_text;
}

static const char *rule_word(struct naming *naming, const struct rule_info *info)
{
	if (info->name && *info->name)
		return info->name;
	snprintf(naming->rule_text, sizeof(naming->rule_text), "%u", info->index);
	return naming->rule_text;
}

static void name_rule(void *arg, enum bh_reason reason, uint32_t rule, struct verdict_name *ret)
{
	struct naming *naming = arg;
	struct rule_info info;

	*ret = (struct verdict_name){ "unknown", "unknown", "" };
	if (!policy_rule_info(naming->policy, rule, &info) || info.kind == RULE_UNKNOWN || !info.npolicies)
		return;
	if (info.kind == RULE_DEFAULT_DENY) {
		name_deny(naming, &info, ret);
		return;
	}
	ret->kind = info.kind == RULE_NETPOL ? "NetworkPolicy" : "ClusterNetworkPolicy";
	ret->policy = info.policies[0];
	if (reason == BH_REASON_AUDIT)
		ret->rule = rule_word(naming, &info);
}

void meter_read(struct meter *meter, struct daemon *daemon)
{
	struct naming naming = { .policy = daemon->policy };
	int64_t start = meter_now_ns();

	if (meter->read_ns && start - meter->read_ns < meter->reading_ns * METER_READ_SHARE)
		return;
	verdicts_lock(meter->verdicts);
	read_all(meter, daemon->tables);
	verdicts_end(meter->verdicts, name_rule, &naming);
	verdicts_unlock(meter->verdicts);
	meter->read_ns = meter_now_ns();
	meter->reading_ns = meter->read_ns - start;
}

struct leaver {
	struct meter *meter;
	uint32_t ident;
};

static int total_gone(void *arg, const struct total_entry *entry)
{
	const struct bh_count count = { entry->packets, entry->bytes };
	const struct leaver *leaver = arg;

	if (entry->key.ident == leaver->ident)
		verdicts_gone(leaver->meter->verdicts, &entry->key, &count);
	return 0;
}

static void passed_gone(struct meter *meter, const struct tables *tables, uint32_t slot)
{
	struct bh_count count;

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		const struct bh_total_key key = { .reason = BH_REASON_NONE, .dir = (uint8_t)dir };

		if (tables_count_get(tables, slot, (enum bh_dir)dir, &count) == 0)
			verdicts_gone(meter->verdicts, &key, &count);
	}
}

void meter_forget(struct meter *meter, struct tables *tables, const struct endpoint_leaving *leaving)
{
	struct leaver leaver = { meter, leaving->ident };

	verdicts_lock(meter->verdicts);
	tables_total_each(tables, total_gone, &leaver);
	tables_total_clear(tables, leaving->ident);
	if (!leaving->stays) {
		passed_gone(meter, tables, leaving->slot);
		tables_count_clear(tables, leaving->slot);
	}
	verdicts_unlock(meter->verdicts);
}

// ---- life --------------------------------------------------------------------------------------------------------------

// What an agent before counted is where this one begins.
int meter_open(struct meter *meter, struct tables *tables, uint32_t policies)
{
	int r = verdicts_new(policies, &meter->verdicts);

	if (r < 0)
		return r;
	meter->started_sec = (int64_t)time(NULL);
	tables_stats_get(tables, meter->stats);
	tables_half_evicted(tables, &meter->half_evicted);
	verdicts_lock(meter->verdicts);
	read_all(meter, tables);
	verdicts_start(meter->verdicts);
	verdicts_unlock(meter->verdicts);
	return 0;
}

void meter_close(struct meter *meter)
{
	verdicts_free(meter->verdicts);
	meter->verdicts = NULL;
	vec_fini(&meter->events);
}
