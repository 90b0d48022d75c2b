// SPDX-License-Identifier: Apache-2.0
// judge.c - objects in, verdicts out.
#include "tests/harness/test.h"

#include "tests/harness/judge.h"

static void changed(void *arg, const struct object *before, const struct object *after)
{
	struct judge *judge = arg;

	policy_changed(judge->policy, before, after);
}

void judge_start(struct judge *judge, const struct policy_limits *limits)
{
	*judge = (struct judge){ 0 };
	assert_ok(store_new(&judge->store));
	assert_ok(policy_new(judge->store, limits, &judge->policy));
	assert_ok(store_subscribe(judge->store, changed, judge));
	judge->tables = memtables_new();
}

void judge_stop(struct judge *judge)
{
	store_free(judge->store);
	policy_free(judge->policy);
	memtables_free(judge->tables);
}

void judge_put(struct judge *judge, enum kind kind, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *json = NULL;
	struct object *object;
	struct err err = { 0 };
	va_list args;

	va_start(args, fmt);
	assert_true(vasprintf(&text, fmt, args) > 0);
	va_end(args);
	json = test_json(text);
	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	assert_ok(store_put(judge->store, object));
}

void judge_remove(struct judge *judge, enum kind kind, const char *ns, const char *name)
{
	assert_int_equal(store_remove(judge->store, kind, ns, name), 1);
}

void judge_pod(struct judge *judge, const char *ns, const char *name, const char *labels,
	       const char *addrs, const char *spec)
{
	char first[64] = "", second[64] = "";

	sscanf(addrs, "%63s %63s", first, second);
	judge_put(judge, KIND_POD,
		  "{'metadata':{'namespace':'%s','name':'%s','labels':{%s}},'spec':{'nodeName':'n'"
		  "%s%s},'status':{'phase':'Running','podIPs':[{'ip':'%s'}%s%s%s]}}",
		  ns, name, labels, *spec ? "," : "", spec, first, *second ? ",{'ip':'" : "",
		  second, *second ? "'}" : "");
}

uint32_t judge_local(struct judge *judge, const char *ns, const char *name, const char *labels,
		     const char *addrs, const char *spec)
{
	judge_pod(judge, ns, name, labels, addrs, spec);
	assert_ok(policy_endpoint_add(judge->policy, ns, name, judge->slots));
	return judge->slots++;
}

uint32_t judge_compile(struct judge *judge)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;

	assert_ok(policy_compile(judge->policy, &plan));
	memtables_run(judge->tables, plan);
	judge->steps = plan->nsteps;
	return plan->nsteps;
}

enum bh_verdict judge_verdict(struct judge *judge, uint32_t slot, enum bh_dir dir,
			      const char *remote, const char *proto, uint16_t port,
			      struct bh_judgement *ret)
{
	struct bh_judgement compiled, shown;
	struct bh_addr addr;
	uint8_t protocol;

	judge_compile(judge);
	assert_ok(addr_parse(remote, &addr));
	assert_ok(protocol_parse(proto, &protocol));
	policy_eval(judge->policy, slot, dir, &addr, protocol, port, false, &compiled);
	memtables_ask(judge->tables, slot, dir, &addr, protocol, port, &shown);
	assert_memory_equal(&compiled, &shown, sizeof(shown));
	if (ret)
		*ret = compiled;
	return BH_CELL_VERDICT(compiled.verdict);
}

const char *judge_rule(struct judge *judge, uint32_t slot, enum bh_dir dir, const char *remote,
		       const char *proto, uint16_t port)
{
	static char text[256];
	struct bh_judgement judgement;

	judge_verdict(judge, slot, dir, remote, proto, port, &judgement);
	return policy_rule_text(judge->policy, BH_CELL_RULE(judgement.verdict), text, sizeof(text));
}
