// SPDX-License-Identifier: Apache-2.0
// audit_test.c - what audit mode says would be denied is what is denied without it. The clusters of the conformance cases are
// compiled as written, without some of their policies, and with those in audit mode; each question is asked of all, and of
// the kernel's tables that hold the last.
#include "tests/bpf/rig.h"

#include <glob.h>
#include <inttypes.h>

#include "agent/policy/policy.h"
#include "agent/sim/cases.h"

#define ANNOTATION "bulkhead.io/audit"

// Which policies are in audit mode, and by what.
enum how { BY_MODE, BY_LABEL, BY_ANNOTATION_ALL, BY_ANNOTATION_ODD, BY_ANNOTATION_EVEN, HOW_MAX };

static const char *const how_names[] = { "the node's mode", "the namespaces' label", "every annotation", "odd annotations",
					 "even annotations" };

struct world {
	struct store *store;
	struct policy *policy;
};

static uint64_t questions, shadowed, asked; // the last: of the kernel as well

static bool is_policy(const struct case_object *object)
{
	return object->kind == KIND_NETPOL || object->kind == KIND_CLUSTERNETPOL;
}

// By label: NetworkPolicies only.
static bool is_audited(const struct case_object *object, size_t index, enum how how)
{
	if (!is_policy(object))
		return false;
	switch (how) {
	case BY_LABEL:
		return object->kind == KIND_NETPOL;
	case BY_ANNOTATION_ODD:
		return index % 2;
	case BY_ANNOTATION_EVEN:
		return index % 2 == 0;
	default:
		return true;
	}
}

// ---- clusters --------------------------------------------------------------------------------------------------------

static void changed(void *arg, const struct object *before, const struct object *after)
{
	policy_changed(((struct world *)arg)->policy, before, after);
}

static void world_new(struct world *world, bool audit)
{
	struct policy_limits limits = { .audit = audit };

	assert_ok(store_new(&world->store));
	assert_ok(policy_new(world->store, &limits, &world->policy));
	assert_ok(store_subscribe(world->store, changed, world));
}

static void world_free(struct world *world)
{
	policy_free(world->policy);
	store_free(world->store);
}

// {"metadata":{MAP:{"bulkhead.io/audit":"true"}}}
static void mark(struct json_object *json, const char *map)
{
	struct json_object *metadata, *of;

	assert_true(json_object_object_get_ex(json, "metadata", &metadata));
	if (!json_object_object_get_ex(metadata, map, &of) || !of) {
		of = json_object_new_object();
		json_object_object_add(metadata, map, of);
	}
	json_object_object_add(of, ANNOTATION, json_object_new_string("true"));
}

// What cannot be parsed is left out of all.
static void world_put(struct world *world, const struct case_object *object, const char *map)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct object *parsed;

	assert_int_equal(json_object_deep_copy(object->json, &json, NULL), 0);
	if (map)
		mark(json, map);
	if (object_parse(object->kind, json, &parsed, NULL) >= 0)
		assert_ok(store_put(world->store, parsed));
}

static const char *mark_of(const struct case_object *object, size_t index, enum how how)
{
	if (how == BY_LABEL)
		return object->kind == KIND_NAMESPACE ? "labels" : NULL;
	return how >= BY_ANNOTATION_ALL && is_audited(object, index, how) ? "annotations" : NULL;
}

static void world_fill(struct world *world, const struct sim_case *c, enum how how, bool marked, bool without)
{
	for (size_t i = 0; i < c->nobjects; i++)
		if (!without || !is_audited(&c->objects[i], i, how))
			world_put(world, &c->objects[i], marked ? mark_of(&c->objects[i], i, how) : NULL);
	for (uint32_t i = 0; i < c->npods; i++)
		assert_ok(policy_endpoint_add(world->policy, c->pods[i].ns, c->pods[i].name, i));
}

static void apply(struct world *world, struct tables *tables, size_t npods)
{
	struct plan *plan = NULL;
	struct apply_stats stats;
	struct err err = { 0 };

	assert_ok(policy_compile(world->policy, &plan));
	if (tables) {
		for (uint32_t i = 0; i < npods; i++)
			tables_endpoint(tables, i)->ident = BH_IDENT(i, 1);
		assert_ok_err(tables_apply(tables, plan, &stats, &err), &err);
	}
	plan_free(plan);
}

// ---- questions -------------------------------------------------------------------------------------------------------

struct question {
	const struct sim_case *c;
	enum how how;
	uint32_t slot;
	enum bh_dir dir;
	struct bh_addr remote;
	uint8_t proto;
	uint16_t port;
};

// Ids of rules are hashes of what they are called, but those of default denies of who isolates: compared by their text.
static void same(const struct question *q, const char *what, const struct world *got, uint32_t word,
		 const struct world *want, uint32_t wanted)
{
	char a[1024], b[1024];

	policy_rule_text(got->policy, BH_CELL_RULE(word), a, sizeof(a));
	policy_rule_text(want->policy, BH_CELL_RULE(wanted), b, sizeof(b));
	if (BH_CELL_VERDICT(word) != BH_CELL_VERDICT(wanted) || strcmp(a, b) != 0)
		fail_msg("%s, by %s: %s of %s/%s, port %u/%u: %s is %d (%s), not %d (%s)", q->c->name, how_names[q->how],
			 q->dir == BH_INGRESS ? "ingress" : "egress", q->c->pods[q->slot].ns, q->c->pods[q->slot].name,
			 q->port, q->proto, what, BH_CELL_VERDICT(word), a, BH_CELL_VERDICT(wanted), b);
}

static struct bh_judgement eval(const struct question *q, const struct world *world)
{
	struct bh_judgement judgement = { 0 };

	policy_eval(world->policy, q->slot, q->dir, &q->remote, q->proto, q->port, false, &judgement);
	return judgement;
}

static void ask(const struct question *q, const struct world *written, const struct world *without,
		const struct world *audit, struct tables *tables)
{
	struct bh_judgement all = eval(q, written), rest = eval(q, without), got = eval(q, audit);
	struct tables_answer kernel;

	same(q, "what is enforced", audit, got.verdict, without, rest.verdict);
	same(q, "the shadow", audit, got.shadow, written, all.verdict);
	questions++;
	shadowed += BH_CELL_VERDICT(got.shadow) != BH_CELL_VERDICT(got.verdict);
	if (!tables)
		return;
	tables_ask(tables, q->slot, q->dir, &q->remote, q->proto, q->port, &kernel);
	same(q, "what the kernel enforces", audit, kernel.judgement.verdict, without, rest.verdict);
	same(q, "the kernel's shadow", audit, kernel.judgement.shadow, written, all.verdict);
	asked++;
}

static const char *end_address(const struct sim_case *c, const char *end, int family)
{
	const struct case_pod *pod = case_pod_find(c, end);

	if (pod)
		return family == 4 ? pod->ipv4 : pod->ipv6;
	return strncmp(end, "ip:", 3) == 0 ? end + 3 : NULL;
}

// Of one end of what the case expects: who judges, whom, at which port.
static bool question_of(struct question *q, const struct case_expect *expect, int family)
{
	const char *own = q->dir == BH_EGRESS ? expect->from : expect->to;
	const char *other = q->dir == BH_EGRESS ? expect->to : expect->from;
	const struct case_pod *pod = case_pod_find(q->c, own);
	const char *remote = end_address(q->c, other, family);

	if (expect->loopback || !pod || !remote || addr_parse(remote, &q->remote) < 0 ||
	    bh_addr_is4(&q->remote) != (family == 4))
		return false;
	q->slot = (uint32_t)(pod - q->c->pods);
	q->proto = expect->protocol;
	q->port = expect->port;
	return true;
}

static void ask_all(const struct sim_case *c, enum how how, const struct world *written, const struct world *without,
		    const struct world *audit, struct tables *tables)
{
	struct question q = { .c = c, .how = how };

	for (size_t i = 0; i < c->nexpects; i++)
		for (int family = 4; family <= 6; family += 2)
			for (q.dir = 0; q.dir < BH_DIR_MAX; q.dir++)
				if (question_of(&q, &c->expects[i], family))
					ask(&q, written, without, audit, tables);
}

static void check_case(const struct sim_case *c, enum how how, struct tables *tables)
{
	struct world written, without, audit;

	world_new(&written, false);
	world_new(&without, false);
	world_new(&audit, how == BY_MODE);
	world_fill(&written, c, how, false, false);
	world_fill(&without, c, how, false, true);
	world_fill(&audit, c, how, true, false);
	apply(&written, NULL, c->npods);
	apply(&without, NULL, c->npods);
	apply(&audit, tables, c->npods);
	ask_all(c, how, &written, &without, &audit, tables);
	world_free(&written);
	world_free(&without);
	world_free(&audit);
}

static void check_case_in_kernel(const struct sim_case *c, enum how how)
{
	struct tables *tables = rig_open(NULL);
	struct err err = { 0 };

	check_case(c, how, tables);
	tables_close(tables);
	assert_ok_err(tables_unpin(RIG_DIR, &err), &err);
}

static void check_file(const char *path)
{
	_cleanup_(cases_closep) struct cases *cases = NULL;
	struct err err = { 0 };

	assert_ok_err(cases_open(path, &cases, &err), &err);
	for (size_t i = 0; i < cases_count(cases); i++) {
		_cleanup_(case_freep) struct sim_case *c = NULL;

		if (case_read(cases, i, &c, &err) < 0)
			continue;
		for (enum how how = 0; how < HOW_MAX; how++)
			if (how == (enum how)(i % HOW_MAX))
				check_case_in_kernel(c, how);
			else
				check_case(c, how, NULL);
	}
}

// Each case by each of the ways; in the kernel, whose grace periods take their time, by one of them in turn.
static void audit_says_what_enforcement_would(void **state)
{
	glob_t files = { 0 };

	glob("tests/conformance/cases/*.jsonl", 0, NULL, &files);
	glob("../shared/cases/*.jsonl", GLOB_APPEND, NULL, &files);
	assert_true(files.gl_pathc >= 2);
	for (size_t i = 0; i < files.gl_pathc; i++)
		check_file(files.gl_pathv[i]);
	globfree(&files);
	print_message("%" PRIu64 " questions, %" PRIu64 " of them with another shadow, %" PRIu64 " asked of the kernel\n",
		      questions, shadowed, asked);
	assert_true(questions > 5000 && shadowed > questions / 20 && asked > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(audit_says_what_enforcement_would),
	};

	return net_private() < 0 || net_fresh(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
