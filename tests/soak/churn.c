// SPDX-License-Identifier: Apache-2.0
// churn.c - churn N: endpoints, slots and classes come and go N times, without links: does all of it come back?
//
// World: host, tests; root. Pure: no. Owns: its tables, store, registry and compiler.
//
// The rooms are the agent's own, by the agent's own cycle; only devices are made up, so no program is attached. Each
// round starts a batch of pods, each with a label of its own that a rule of one policy selects, so each takes an endpoint, a
// slot and a class, and then ends them.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/daemon/cycle.h"
#include "tests/harness/net.h"
#include "tests/harness/test.h"
#include "tests/soak/census.h"

#define PINS "/run/bpf/bulkhead"
#define BATCH 100
#define WARM 3 // rounds, until the allocator has what it keeps
#define DEVICES 1000000 // the first made-up device
#define RSS_GROWTH_BYTES (3u << 20)

struct churn {
	struct tables *tables;
	struct store *store;
	struct endpoints *endpoints;
	struct policy *policy;
	struct meter meter;
	unsigned joined;
};

static void on_joined(void *arg, const struct endpoint *e)
{
	struct churn *churn = arg;

	churn->joined++;
	assert_ok(policy_endpoint_add(churn->policy, e->ns, e->name, e->slot));
}

static void on_left(void *arg, const struct endpoint *e)
{
	assert_ok(policy_endpoint_remove(((struct churn *)arg)->policy, e->slot));
}

static void on_problem(void *arg, const char *where, const char *text)
{
	if (text)
		fail_msg("%s: %s", where, text);
}

static void on_change(void *arg, const struct object *before, const struct object *after)
{
	struct churn *churn = arg;

	policy_changed(churn->policy, before, after);
	endpoints_changed(churn->endpoints, before, after);
}

static void start(struct churn *churn)
{
	struct tables_config tables = { .pin_dir = PINS };
	struct endpoint_events events = { churn, on_joined, on_left, on_problem };
	struct endpoint_config config = { .node = "n", .attach = BH_ATTACH_CLSACT };
	struct policy_limits limits = { 0 };
	struct err err = { 0 };
	bool adopted;

	assert_ok_err(tables_open(&tables, &churn->tables, &adopted, &err), &err);
	assert_ok(meter_open(&churn->meter, churn->tables, 10));
	assert_ok(store_new(&churn->store));
	assert_ok(policy_new(churn->store, &limits, &churn->policy));
	assert_ok(endpoints_new(churn->tables, churn->store, &config, &events, &churn->endpoints));
	assert_ok(store_subscribe(churn->store, on_change, churn));
}

static void stop(struct churn *churn)
{
	struct err err = { 0 };

	endpoints_free(churn->endpoints);
	policy_free(churn->policy);
	store_free(churn->store);
	meter_close(&churn->meter);
	tables_close(churn->tables);
	assert_ok_err(tables_unpin(PINS, &err), &err);
}

static void put(struct churn *churn, enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = json_tokener_parse(text);
	struct object *object;
	struct err err = { 0 };

	assert_non_null(json);
	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	assert_ok(store_put(churn->store, object));
}

// One policy whose rules tell every pod of the batch from every other.
static void put_policy(struct churn *churn)
{
	static char text[BATCH * 128];
	size_t n = (size_t)snprintf(text, sizeof(text), "{\"metadata\":{\"namespace\":\"x\",\"name\":\"p\"},\"spec\":{"
					     "\"podSelector\":{},\"ingress\":[");

	for (unsigned i = 0; i < BATCH; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s{\"from\":[{\"podSelector\":{\"matchLabels\":{\"n\":\"%u\"}}}],"
				      "\"ports\":[{\"port\":%u}]}",
				      i ? "," : "", i, 1000 + i);
	snprintf(text + n, sizeof(text) - n, "]}}");
	put(churn, KIND_NETPOL, text);
}

static void put_pod(struct churn *churn, uint64_t round, unsigned i)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"namespace\":\"x\",\"name\":\"p%" PRIu64 "-%u\",\"uid\":\"u%" PRIu64 "-%u\","
		 "\"labels\":{\"n\":\"%u\"}},\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\"}]},"
		 "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.%u\"},{\"ip\":\"fd00::%x\"}]}}",
		 round, i, round, i, i, i + 1, i + 1);
	put(churn, KIND_POD, text);
}

static void remove_pod(struct churn *churn, uint64_t round, unsigned i)
{
	char name[32];

	snprintf(name, sizeof(name), "p%" PRIu64 "-%u", round, i);
	store_remove(churn->store, KIND_POD, "x", name);
}

// What a scan would have found: a device for each pod of the round, or none.
static void scan(struct churn *churn, uint64_t round, unsigned devices)
{
	struct link_view view = { .ephemeral_lo = 32768, .ephemeral_hi = 60999 };
	char text[16];

	for (unsigned i = 0; i < devices; i++) {
		struct link_pod pod = { .ifindex = DEVICES + (int)i, .peer_ifindex = 2, .naddrs = 2, .nuids = 1 };

		snprintf(pod.uids[0], LINK_UID_BYTES, "u%" PRIu64 "-%u", round, i);
		snprintf(text, sizeof(text), "10.0.0.%u", i + 1);
		assert_ok(addr_parse(text, &pod.addrs[0]));
		snprintf(text, sizeof(text), "fd00::%x", i + 1);
		assert_ok(addr_parse(text, &pod.addrs[1]));
		assert_ok(vec_push(&view.devices, pod.ifindex));
		assert_ok(vec_push(&view.pods, pod));
	}
	endpoints_scanned(churn->endpoints, &view, 1);
	link_view_fini(&view);
}

static void cycle(struct churn *churn)
{
	struct cycle_job job = { .tables = churn->tables, .meter = &churn->meter };
	struct endpoint_leaving leaving;

	assert_ok(policy_compile(churn->policy, &job.plan));
	while (endpoints_take_leaving(churn->endpoints, &leaving))
		assert_ok(vec_push(&job.leaving, leaving));
	cycle_job_run(&job);
	assert_ok_err(job.r, &job.err);
	vec_each(struct endpoint_leaving, gone, &job.leaving)
		endpoints_released(churn->endpoints, gone->slot);
	vec_fini(&job.leaving);
	plan_free(job.plan);
}

static void go_round(struct churn *churn, uint64_t round)
{
	for (unsigned i = 0; i < BATCH; i++)
		put_pod(churn, round, i);
	churn->joined = 0;
	scan(churn, round, BATCH);
	assert_int_equal(churn->joined, BATCH);
	cycle(churn);
	for (unsigned i = 0; i < BATCH; i++)
		remove_pod(churn, round, i);
	scan(churn, round, 0);
	cycle(churn);
}

static void take(struct census *ret, struct policy_stats *retstats, struct churn *churn)
{
	struct err err = { 0 };

	cycle(churn); // what waits for a later plan
	assert_ok_err(census_take(getpid(), PINS, ret, &err), &err);
	policy_stats(churn->policy, retstats);
}

static uint64_t rounds;

static void r33_endpoint_slot_and_class_cycles_leave_nothing(void **state)
{
	struct churn churn = { 0 };
	struct census before, after;
	struct policy_stats stats, stats_after;
	size_t strings, bytes, strings_after, bytes_after;
	char difference[800];
	uint64_t round = 0;

	start(&churn);
	put(&churn, KIND_NAMESPACE, "{\"metadata\":{\"name\":\"x\"}}");
	put_policy(&churn);
	for (; round < WARM; round++)
		go_round(&churn, round);
	take(&before, &stats, &churn);
	intern_stats(&strings, &bytes);
	for (; round < WARM + rounds; round++)
		go_round(&churn, round);
	take(&after, &stats_after, &churn);
	intern_stats(&strings_after, &bytes_after);
	printf("%" PRIu64 " cycles, %" PRIu64 " KiB resident, before %" PRIu64 " KiB\n", rounds * BATCH,
	       after.rss_bytes / 1024, before.rss_bytes / 1024);
	assert_string_equal(census_difference(&before, &after, difference, sizeof(difference)), "");
	assert_int_equal(stats_after.peer_classes, stats.peer_classes);
	assert_int_equal(stats_after.port_classes, stats.port_classes);
	assert_int_equal(stats_after.peers, stats.peers);
	assert_int_equal(stats_after.matrices, stats.matrices);
	assert_int_equal(stats_after.endpoints, stats.endpoints);
	assert_int_equal(strings_after, strings);
	assert_true(after.rss_bytes <= before.rss_bytes + RSS_GROWTH_BYTES);
	census_free(&before);
	census_free(&after);
	stop(&churn);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r33_endpoint_slot_and_class_cycles_leave_nothing),
	};

	log_set_levels("warn");
	rounds = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1000) / BATCH;
	return net_private() ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
