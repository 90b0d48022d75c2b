// SPDX-License-Identifier: Apache-2.0
// compare.c - questions to both, answers side by side.
#include "tests/soak/compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/vec.h"
#include "agent/bpf/tables.h"
#include "tests/diff/world_private.h"

#define PORTS 10 // (protocol, port) pairs an address
#define NEARBY 8 // addresses at which rules end, a family
#define RULE_TEXT 256

struct rule_text {
	uint32_t rule;
	char text[RULE_TEXT];
};

struct comparing {
	struct stage *stage;
	struct tables *tables;
	struct fresh *fresh;
	struct rng *rng;
	struct compared *ret;
	VEC(struct rule_text) rules; // of the live tables, as the agent names them
	struct err *err;
};

struct asked {
	const struct live *live;
	enum bh_dir dir;
	struct bh_addr remote;
	uint8_t proto;
	uint16_t port;
};

// ---- the live rule's name ---------------------------------------------------------------------------------------

static int explain(struct comparing *comparing, const struct asked *asked, struct rule_text *ret)
{
	_cleanup_json_ struct json_object *request = json_object_new_object(), *answer = NULL;
	bool out = asked->dir == BH_EGRESS;
	struct json_object *rule;
	char pod[130], remote[64], proto[8];
	int r;

	snprintf(pod, sizeof(pod), "%s/%s", asked->live->ns, asked->live->name);
	addr_format(&asked->remote, remote, sizeof(remote));
	snprintf(proto, sizeof(proto), "%u", asked->proto);
	json_object_object_add(request, "op", json_object_new_string("explain"));
	json_object_object_add(request, "from", json_object_new_string(out ? pod : remote));
	json_object_object_add(request, "to", json_object_new_string(out ? remote : pod));
	json_object_object_add(request, "port", json_object_new_int(asked->port));
	json_object_object_add(request, "protocol", json_object_new_string(proto));
	r = agent_call(comparing->stage->agent, request, &answer, comparing->err);
	if (r < 0)
		return err_wrap(comparing->err, "explain %s", json_object_to_json_string(request));
	rule = world_get(world_get(answer, out ? "egress" : "ingress"), "rule");
	ret->rule = (uint32_t)json_object_get_int64(world_get(rule, "id"));
	snprintf(ret->text, sizeof(ret->text), "%s",
		 json_object_get_string(world_get(rule, "text")));
	return 0;
}

static int rule_name(struct comparing *comparing, const struct asked *asked, uint32_t rule,
		     const char **ret)
{
	struct rule_text one;
	int r;

	vec_each(struct rule_text, known, &comparing->rules)
		if (known->rule == rule) {
			*ret = known->text;
			return 0;
		}
	r = explain(comparing, asked, &one);
	if (r < 0)
		return r;
	if (one.rule != rule)
		return err_set(comparing->err, -EBADMSG, "explain says rule %u, the tables %u",
			       one.rule, rule);
	if (vec_push(&comparing->rules, one) < 0)
		return err_set(comparing->err, -ENOMEM, "out of memory");
	*ret = comparing->rules.v[comparing->rules.n - 1].text;
	return 0;
}

// ---- questions --------------------------------------------------------------------------------------------------

static void tell(struct comparing *comparing, const struct asked *asked, const char *who,
		 uint32_t live, const char *live_rule, uint32_t other, const char *other_rule)
{
	char remote[64];

	if (comparing->ret->first[0])
		return;
	snprintf(comparing->ret->first, sizeof(comparing->ret->first),
		 "%s/%s slot %u %s %s %u/%u: the kernel says %d by '%s', %s %d by '%s'",
		 asked->live->ns, asked->live->name, asked->live->slot,
		 asked->dir == BH_INGRESS ? "from" : "to",
		 addr_format(&asked->remote, remote, sizeof(remote)), asked->port, asked->proto,
		 BH_CELL_VERDICT(live), live_rule, who, BH_CELL_VERDICT(other), other_rule);
}

static void ask_naive(struct comparing *comparing, const struct asked *asked,
		      const struct bh_judgement *live)
{
	for (int shadow = 0; shadow < 2; shadow++) {
		uint32_t word = shadow ? live->shadow : live->verdict;
		enum bh_verdict want;

		want = naive_verdict(&comparing->fresh->naive, asked->live->ns, asked->live->name,
				     asked->dir, &asked->remote, asked->proto, asked->port, shadow);
		if (BH_CELL_VERDICT(word) == want)
			continue;
		comparing->ret->wrong++;
		tell(comparing, asked, shadow ? "naive, with audit," : "naive", word, "-",
		     BH_CELL_WORD(want, 0), "-");
	}
}

static int ask(struct comparing *comparing, const struct asked *asked)
{
	struct policy *policy = comparing->fresh->policy;
	const char *live_rule = "no policy";
	struct bh_judgement want = { 0 };
	struct tables_answer live;
	char want_rule[RULE_TEXT];
	uint32_t rule;
	int r = 0;

	comparing->ret->questions++;
	tables_ask(comparing->tables, asked->live->slot, asked->dir, &asked->remote, asked->proto,
		   asked->port, &live);
	policy_eval(policy, asked->live->slot, asked->dir, &asked->remote, asked->proto,
		    asked->port,
		    /* as_node= */ false, &want);
	policy_rule_text(policy, BH_CELL_RULE(want.verdict), want_rule, sizeof(want_rule));
	rule = BH_CELL_RULE(live.judgement.verdict);
	if (rule != BH_RULE_NONE)
		r = rule_name(comparing, asked, rule, &live_rule);
	if (r < 0)
		return r;
	if (BH_CELL_VERDICT(live.judgement.verdict) != BH_CELL_VERDICT(want.verdict) ||
	    BH_CELL_VERDICT(live.judgement.shadow) != BH_CELL_VERDICT(want.shadow) ||
	    strcmp(live_rule, want_rule)) {
		comparing->ret->different++;
		tell(comparing, asked, "a fresh compile", live.judgement.verdict, live_rule,
		     want.verdict, want_rule);
	}
	ask_naive(comparing, asked, &live.judgement);
	return 0;
}

static int ask_address(struct comparing *comparing, const struct live *live,
		       const struct bh_addr *remote)
{
	static const uint8_t protos[] = { 6, 6, 6, 17, 17, 132, 1, 58, 47 };
	int r = 0;

	for (int i = 0; r == 0 && i < PORTS; i++) {
		struct asked asked = { .live = live,
				       .remote = *remote,
				       .proto = rng_pick(comparing->rng, protos) };

		if (asked.proto == 6 || asked.proto == 17 || asked.proto == 132)
			asked.port = world_some_port(comparing->rng);
		for (asked.dir = 0; r == 0 && asked.dir < BH_DIR_MAX; asked.dir++)
			r = ask(comparing, &asked);
	}
	return r;
}

static int ask_family(struct comparing *comparing, const struct live *live, int family)
{
	struct bh_addr addrs[CAST_SEATS + CAST_KEEPERS + WORLD_NODES + 2 * WORLD_REMOTE + NEARBY];
	size_t n = 0;
	int r = 0;

	for (unsigned i = 0; i < CAST_SEATS; i++)
		addrs[n++] = cast_addr(i, family);
	for (unsigned i = 0; i < CAST_KEEPERS; i++)
		addrs[n++] = cast_keeper_addr(i, family);
	for (unsigned i = 0; i < WORLD_NODES; i++)
		addrs[n++] = world_node_addr(i, family);
	for (unsigned i = 0; i < 2 * WORLD_REMOTE; i++)
		addrs[n++] = world_pod_addr(WORLD_LOCAL + i / 2, i % 2, family);
	for (unsigned i = 0; i < NEARBY; i++)
		addrs[n++] = world_some_addr(comparing->rng, family);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = ask_address(comparing, live, &addrs[i]);
	return r;
}

// ---- sizes ------------------------------------------------------------------------------------------------------

static int compare_sizes(struct comparing *comparing)
{
	struct policy_tables held = { 0 };
	struct sizes live, want;
	char text[200], want_text[200];
	int r = tables_dump(comparing->tables, &held);

	if (r < 0)
		return err_set(comparing->err, r, "reading the tables: %s", strerror(-r));
	live = sizes_of(&held);
	policy_tables_fini(&held);
	memset(&held, 0, sizeof(held));
	memtables_dump(comparing->fresh->tables, &held);
	want = sizes_of(&held);
	policy_tables_fini(&held);
	comparing->ret->same_sizes = !memcmp(&live, &want, sizeof(live));
	if (!comparing->ret->same_sizes)
		snprintf(comparing->ret->sizes, sizeof(comparing->ret->sizes), "live %s; fresh %s",
			 sizes_text(&live, text, sizeof(text)),
			 sizes_text(&want, want_text, sizeof(want_text)));
	return 0;
}

int compare_tables(struct stage *stage, struct fresh *fresh, struct rng *rng, struct compared *ret,
		   struct err *reterr)
{
	struct tables_config config = { .pin_dir = STAGE_PINS, .beside = true };
	struct comparing comparing = {
		.stage = stage, .fresh = fresh, .rng = rng, .ret = ret, .err = reterr
	};
	_cleanup_(tables_closep) struct tables *tables = NULL;
	bool adopted;
	int r = tables_open(&config, &tables, &adopted, reterr);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	comparing.tables = tables;
	for (size_t i = 0; r == 0 && i < fresh->nlive; i++)
		for (int family = 0; r == 0 && family < 2 && live_is_judged(&fresh->live[i]);
		     family++)
			r = ask_family(&comparing, &fresh->live[i], family);
	if (r == 0)
		r = compare_sizes(&comparing);
	vec_fini(&comparing.rules);
	return r;
}
