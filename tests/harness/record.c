// SPDX-License-Identifier: Apache-2.0
// record.c - records for tests.
#include "tests/harness/record.h"

#include <assert.h>
#include <string.h>

#define BEGAN_NS 1795222800000000000LL // 2026-11-21T01:00:00Z
#define TEXT_BYTES 24
#define LIST_MAX 4

// ---- one that has everything -----------------------------------------------------------------------------------------

static struct bh_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	uint8_t bytes[4] = { a, b, c, d };
	__be32 word;

	memcpy(&word, bytes, sizeof(word));
	return bh_addr_from4(word);
}

static struct flow_card *card(struct flow_card model)
{
	struct flow_card *made = flow_card_new(&model);

	assert(made);
	return made;
}

static struct flow_policy *policy(struct flow_policy model)
{
	struct flow_policy *made = flow_policy_new(&model);

	assert(made);
	return made;
}

void record_full(struct flow_record *ret)
{
	static const struct label web[] = { { "app", "web" }, { "tier", "front" } }, db[] = { { "app", "db" } };

	*ret = (struct flow_record){
		.id = 0xfeed0000beef0001,
		.seq = 42,
		.type = FLOW_END,
		.verdict = FLOW_ALLOWED,
		.reason = BH_REASON_ALLOWED,
		.over = FLOW_CLOSED,
		.dir = BH_EGRESS,
		.proto = PROTOCOL_TCP,
		.time_ns = BEGAN_NS + 3000000042,
		.first_ns = BEGAN_NS,
		.last_ns = BEGAN_NS + 2500000000,
		.src = { v4(10, 0, 1, 5), 43210,
			 card((struct flow_card){ .who = FLOW_POD, .ns = "shop", .name = "web-7d4b9", .uid = "uid-web",
						  .workload_kind = "Deployment", .workload_name = "web",
						  .node = "node-a", .nlabels = 2, .labels = web }) },
		.dst = { v4(10, 96, 0, 10), 5432,
			 card((struct flow_card){ .who = FLOW_SERVICE, .ns = "shop", .name = "db" }) },
		.backend = { v4(10, 0, 2, 7), 15432,
			     card((struct flow_card){ .who = FLOW_POD, .ns = "shop", .name = "db-0", .uid = "uid-db",
						      .workload_kind = "StatefulSet", .workload_name = "db",
						      .node = "node-b", .nlabels = 1, .labels = db, .labels_cut = 3 }) },
		.packets = { 7, 6 },
		.bytes = { 900, 1500 },
		.tcp = { FLOW_TCP_SYN | FLOW_TCP_ACK | FLOW_TCP_FIN, FLOW_TCP_ACK | FLOW_TCP_FIN },
		.policy = policy((struct flow_policy){ .id = 17, .kind = FLOW_POLICY_CLUSTERNETPOL, .dir = BH_EGRESS,
						       .npolicies = 1, .policies = (const char *[]){ "databases" },
						       .index = 3, .rule_name = "to-db", .tier = "Admin" }),
	};
	ret->service = flow_card_get(ret->dst.card);
}

// ---- any -------------------------------------------------------------------------------------------------------------

static unsigned int any(unsigned int *seed, unsigned int below)
{
	return (unsigned int)rand_r(seed) % below;
}

static const char *any_text(unsigned int *seed, char buf[static TEXT_BYTES])
{
	static const char *const parts[] = { "\"", "\\", "\n", "\t", "\x01", "\x1f", "\x7f", "\xff", "\xc3\x28", "\xe2\x82",
					     "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3\xa9", "\xf0\x9f\x98\x80", "/", "a", "}", "," };
	size_t n = any(seed, 6);

	buf[0] = 0;
	for (size_t i = 0; i < n; i++)
		strncat(buf, parts[any(seed, ARRAY_SIZE(parts))], TEXT_BYTES - strlen(buf) - 1);
	return buf;
}

static const char *maybe_text(unsigned int *seed, char buf[static TEXT_BYTES])
{
	return any(seed, 2) ? any_text(seed, buf) : NULL;
}

static const struct flow_card *any_card(unsigned int *seed, enum flow_who who)
{
	char texts[6][TEXT_BYTES], keys[LIST_MAX][TEXT_BYTES], values[LIST_MAX][TEXT_BYTES];
	struct label labels[LIST_MAX];
	struct flow_card model = { .who = who, .labels = labels };

	if (who != FLOW_WORLD)
		model.name = any_text(seed, texts[0]);
	if (who == FLOW_POD || who == FLOW_SERVICE)
		model.ns = any_text(seed, texts[1]);
	if (who != FLOW_POD)
		return card(model);
	model.uid = maybe_text(seed, texts[2]);
	model.workload_name = maybe_text(seed, texts[3]);
	if (model.workload_name)
		model.workload_kind = any_text(seed, texts[4]);
	model.node = maybe_text(seed, texts[5]);
	model.nlabels = any(seed, LIST_MAX);
	for (uint32_t i = 0; i < model.nlabels; i++)
		labels[i] = (struct label){ any_text(seed, keys[i]), any_text(seed, values[i]) };
	model.labels_cut = who == FLOW_POD ? any(seed, 3) : 0;
	return card(model);
}

static struct flow_end any_end(unsigned int *seed, enum flow_who who)
{
	struct flow_end end = { .addr = v4(10, 0, 0, (uint8_t)any(seed, 256)), .port = (uint16_t)any(seed, 3) };

	if (any(seed, 2))
		end.addr.w[0] = 0xfc;
	end.card = any_card(seed, who);
	return end;
}

static const struct flow_policy *any_policy(unsigned int *seed)
{
	char texts[2][TEXT_BYTES], names[LIST_MAX][TEXT_BYTES];
	const char *policies[LIST_MAX];
	struct flow_policy model = {
		.kind = any(seed, FLOW_POLICY_KIND_MAX), .dir = any(seed, BH_DIR_MAX), .policies = policies, .index = any(seed, 9)
	};

	if (model.kind == FLOW_POLICY_NETPOL || model.kind == FLOW_POLICY_CLUSTERNETPOL)
		model.npolicies = 1;
	if (model.kind == FLOW_POLICY_DEFAULT_DENY)
		model.npolicies = 1 + any(seed, LIST_MAX);
	for (uint32_t i = 0; i < model.npolicies; i++)
		policies[i] = any_text(seed, names[i]);
	if (model.kind == FLOW_POLICY_CLUSTERNETPOL) {
		model.rule_name = maybe_text(seed, texts[0]);
		model.tier = any(seed, 2) ? "Admin" : "Baseline";
	}
	return policy(model);
}

static enum bh_reason any_reason(unsigned int *seed)
{
	static const enum bh_reason reasons[] = {
#define NUMBER(sym, num, name, text) num,
		BH_REASONS(NUMBER)
#undef NUMBER
	};

	return reasons[any(seed, ARRAY_SIZE(reasons))];
}

static void any_numbers(unsigned int *seed, struct flow_record *record)
{
	record->first_ns = BEGAN_NS - any(seed, 1u << 30) * 1000000000LL;
	record->last_ns = record->first_ns + any(seed, 1u << 30) * 1000LL;
	record->time_ns = record->last_ns + any(seed, 1u << 30);
	for (int way = 0; way < (record->type == FLOW_DENY ? 1 : FLOW_WAY_MAX); way++) {
		record->packets[way] = (uint64_t)any(seed, 1u << 31) << any(seed, 33);
		record->bytes[way] = record->packets[way] | UINT64_MAX >> any(seed, 64);
	}
	if (record->type != FLOW_DENY && record->proto == PROTOCOL_TCP)
		for (int way = 0; way < FLOW_WAY_MAX; way++)
			record->tcp[way] = (uint8_t)any(seed, 16);
}

void record_random(unsigned int *seed, struct flow_record *ret)
{
	static const uint8_t protocols[] = { 1, 6, 17, 58, 132, 47, 255, 0 };
	enum flow_type type = any(seed, FLOW_TYPE_MAX);
	enum flow_who to = any(seed, FLOW_WHO_MAX);

	*ret = (struct flow_record){
		.id = type == FLOW_DENY ? 0 : ((uint64_t)any(seed, 1u << 31) << 33 | 1),
		.seq = 1 + any(seed, 1u << 20),
		.type = type,
		.verdict = type == FLOW_DENY ? FLOW_DENIED : any(seed, FLOW_VERDICT_MAX),
		.reason = any_reason(seed),
		.over = type == FLOW_END ? 1 + any(seed, FLOW_OVER_MAX - 1) : FLOW_NOT_OVER,
		.dir = any(seed, BH_DIR_MAX),
		.proto = protocols[any(seed, ARRAY_SIZE(protocols))],
		.src = any_end(seed, any(seed, FLOW_WHO_MAX)),
		.dst = any_end(seed, to),
	};
	any_numbers(seed, ret);
	if (to == FLOW_SERVICE)
		ret->service = flow_card_get(ret->dst.card);
	if (to == FLOW_SERVICE && any(seed, 2))
		ret->backend = any_end(seed, any(seed, 2) ? FLOW_POD : FLOW_WORLD);
	if (any(seed, 2))
		ret->policy = any_policy(seed);
	if (ret->verdict == FLOW_AUDIT)
		ret->audit = any_policy(seed);
}
