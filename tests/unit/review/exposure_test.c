// SPDX-License-Identifier: Apache-2.0
// exposure_test.c - what cohorts, blocks and cuts say of random clusters is what the simulator says, pod by pod.
#include "tests/harness/test.h"

#include "agent/review/exposure.h"
#include "agent/sim/sim.h"
#include "tests/harness/world.h"

#define WORLDS 24
#define PORTS 3

struct rig {
	struct world *world;
	struct sim *sim;
	struct review *review;
	struct exposure *exposure;
	uint64_t allowed, denied;
};

static int copy(void *arg, const struct object *object)
{
	struct rig *rig = arg;

	// Services translate, which an exposure leaves out.
	if (object->kind == KIND_SERVICE || object->kind == KIND_ENDPOINTSLICE)
		return 0;
	review_put(rig->review, object_get((struct object *)(uintptr_t)object));
	return sim_put(rig->sim, object_get((struct object *)(uintptr_t)object));
}

#define TWINS 24

// Pods that differ by labels at most, and by those that nobody asks for: of few kinds, so that some are told as one.
static void put_twins(struct rig *rig)
{
	static const char *const labels[] = { "'k':'x'", "'k':'y'", "'k':'x','t':'1'", "'k':'y','t':'2'" };

	for (uint32_t i = 0; i < TWINS; i++) {
		char text[512];
		struct object *object = NULL;
		struct err err = { 0 };

		snprintf(text, sizeof(text),
			 "{'metadata':{'namespace':'%s','name':'twin%u','labels':{%s,'own':'v%u'}},'spec':{},"
			 "'status':{'podIPs':[{'ip':'198.18.0.%u'}]}}",
			 world_pod_ns(i % 2), i, labels[i % 4], i, i + 1);
		_cleanup_json_ struct json_object *json = test_json(text);
		assert_ok_err(object_parse(KIND_POD, json, &object, &err), &err);
		review_put(rig->review, object_get(object));
		assert_ok(sim_put(rig->sim, object));
	}
}

static void rig_start(struct rig *rig, uint64_t seed)
{
	rig->world = world_new(seed, NULL, NULL);
	world_fill(rig->world);
	for (int i = 0; i < 30; i++)
		world_change(rig->world, WORLD_POLICY | WORLD_POD | WORLD_NAMESPACE);
	rig->review = review_new();
	assert_ok(sim_new(&rig->sim));
	for (int kind = 0; kind < KIND_MAX; kind++)
		assert_ok(store_each(rig->world->store, (enum kind)kind, NULL, copy, rig));
	put_twins(rig);
	rig->exposure = exposure_new(rig->review);
}

static void rig_end(struct rig *rig)
{
	exposure_free(rig->exposure);
	review_free(rig->review);
	sim_free(rig->sim);
	world_free(rig->world);
}

static uint16_t some_port(struct rig *rig)
{
	struct world_flow flow = world_flow(rig->world);

	return flow.port && world_below(rig->world, 4) ? flow.port :
							 (uint16_t)(1 + world_below(rig->world, UINT16_MAX));
}

static bool ask(struct rig *rig, const struct sim_end *from, const struct sim_end *to,
		enum reach_proto proto, uint16_t port, int family)
{
	struct sim_answer answer;
	struct err err = { 0 };

	assert_ok_err(sim_ask(rig->sim, from, to, reach_protocol(proto), port, family ? 6 : 4, &answer, &err),
		      &err);
	sim_answer_fini(&answer);
	return answer.allow;
}

static void compare(struct rig *rig, const struct sim_end *from, const struct sim_end *to,
		    const struct reach *reach, int family)
{
	for (int i = 0; i < PORTS; i++) {
		enum reach_proto proto = (enum reach_proto)world_below(rig->world, REACH_PROTO_MAX);
		uint16_t port = proto == REACH_OTHER ? 1 : some_port(rig);
		bool want = ask(rig, from, to, proto, port, family);

		if (reach_has(reach, proto, port) != want)
			fail_msg("%s -> %s %u/%u IPv%d: the simulator says %s", from->text, to->text, port,
				 reach_protocol(proto), family ? 6 : 4, want ? "allow" : "deny");
		*(want ? &rig->allowed : &rig->denied) += 1;
	}
}

static struct sim_end end_of(const struct pod *pod)
{
	struct sim_end end = { .pod = pod };

	object_title(&pod->object, end.text, sizeof(end.text));
	return end;
}

static void compare_pods(struct rig *rig, const struct pod *a, const struct pod *b)
{
	const struct cohort *from = exposure_cohort(rig->exposure, a), *to = exposure_cohort(rig->exposure, b);
	const struct sim_end ends[2] = { end_of(a), end_of(b) };

	assert_non_null(from);
	assert_non_null(to);
	for (int family = 0; family < 2; family++) {
		struct reach reach = { 0 };

		if (a == b || !from->has[family] || !to->has[family])
			continue;
		exposure_pair(rig->exposure, from, to, family, &reach);
		compare(rig, &ends[0], &ends[1], &reach, family);
		reach_fini(&reach);
	}
}

static bool is_anybodys(const struct rig *rig, const struct bh_addr *addr)
{
	struct sim_end end;
	struct err err;
	char text[64];

	addr_format(addr, text, sizeof(text));
	assert_ok_err(sim_end_parse(rig->sim, text, &end, &err), &err);
	return end.pod || end.node;
}

static void compare_outside(struct rig *rig, const struct pod *pod)
{
	struct world_flow flow = world_flow(rig->world);
	struct sim_end there = { .addr = flow.remote }, here = end_of(pod);
	const struct cohort *cohort = exposure_cohort(rig->exposure, pod);
	const struct block *block = exposure_block(rig->exposure, &flow.remote);
	int family = !bh_addr_is4(&flow.remote);

	addr_format(&flow.remote, there.text, sizeof(there.text));
	if (!cohort->has[family] || is_anybodys(rig, &flow.remote))
		return;
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		struct reach reach = { 0 };

		exposure_outside(rig->exposure, cohort, (enum bh_dir)dir, block, &reach);
		compare(rig, dir == BH_INGRESS ? &there : &here, dir == BH_INGRESS ? &here : &there, &reach,
			family);
		reach_fini(&reach);
	}
}

struct pods {
	const struct exposure *exposure;
	const struct pod *v[64];
	size_t n;
};

// An address that two claim is the endpoint's: to the simulator of whom is asked, here of both.
static bool is_contested(const struct pods *pods, const struct pod *pod)
{
	for (uint32_t i = 0; i < pod->naddrs; i++)
		if (crowd_claims(exposure_crowd(pods->exposure), &pod->addrs[i]) > 1)
			return true;
	return false;
}

static int gather(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct pods *pods = arg;

	if (!pod->host_network && !pod->finished && pod->naddrs && !is_contested(pods, pod) &&
	    pods->n < ARRAY_SIZE(pods->v))
		pods->v[pods->n++] = pod;
	return 0;
}

static void every_pair_is_as_the_simulator_says(void **state)
{
	uint64_t allowed = 0, denied = 0, merged = 0;

	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		struct rig rig = { 0 };
		struct pods pods = { .n = 0 };
		const struct cohort *cohorts;

		rig_start(&rig, seed);
		pods.exposure = rig.exposure;
		store_each(sim_store(rig.sim), KIND_POD, NULL, gather, &pods);
		for (size_t a = 0; a < pods.n; a++) {
			for (size_t b = 0; b < pods.n; b++)
				compare_pods(&rig, pods.v[a], pods.v[b]);
			for (int i = 0; i < 8; i++)
				compare_outside(&rig, pods.v[a]);
		}
		merged += WORLD_PODS + TWINS - exposure_cohorts(rig.exposure, &cohorts);
		allowed += rig.allowed;
		denied += rig.denied;
		rig_end(&rig);
	}
	print_message("%llu allowed, %llu denied, %llu pods without a cohort of their own\n", (unsigned long long)allowed,
		      (unsigned long long)denied, (unsigned long long)merged);
	assert_true(allowed > 1000 && denied > 1000 && merged > 100);
}

static void ports_are_told_in_few_words(void **state)
{
	struct reach reach = { 0 };
	char text[256], little[96];

	assert_str(reach_text(&reach, text, sizeof(text)), "");
	reach_add(&reach, (struct reach_span){ REACH_UDP, 53, 53 });
	reach_add(&reach, (struct reach_span){ REACH_TCP, 443, 443 });
	reach_add(&reach, (struct reach_span){ REACH_TCP, 80, 81 });
	reach_add(&reach, (struct reach_span){ REACH_TCP, 82, 90 });
	assert_str(reach_text(&reach, text, sizeof(text)), "TCP 80-90, 443; UDP 53");
	assert_false(reach_is_whole(&reach));
	for (uint16_t i = 1000; i < 1100; i += 2)
		reach_add(&reach, (struct reach_span){ REACH_TCP, i, i });
	assert_str_contains(reach_text(&reach, little, sizeof(little)), ", ...");
	reach_add(&reach, (struct reach_span){ REACH_TCP, 1, UINT16_MAX });
	assert_str(reach_text(&reach, text, sizeof(text)), "TCP any port; UDP 53");
	assert_true(reach_is_whole(&reach));
	reach_add(&reach, (struct reach_span){ REACH_UDP, 1, UINT16_MAX });
	reach_add(&reach, (struct reach_span){ REACH_SCTP, 1, UINT16_MAX });
	assert_false(reach_is_all(&reach));
	reach_add(&reach, (struct reach_span){ REACH_OTHER, 1, 1 });
	assert_str(reach_text(&reach, text, sizeof(text)), "everything");
	reach_fini(&reach);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_is_as_the_simulator_says),
		cmocka_unit_test(ports_are_told_in_few_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
