// SPDX-License-Identifier: Apache-2.0
// endpoint_test.c - the registry of endpoints against real tables: what objects and scans do to slots.
#include "tests/harness/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/intern.h"
#include "agent/endpoint/endpoint.h"

struct world {
	char pins[64];
	struct tables *tables;
	struct store *store;
	struct endpoints *endpoints;
	unsigned joined, left;
	char problem[256];
};

static void joined(void *arg, const struct endpoint *e)
{
	((struct world *)arg)->joined++;
}

static void left(void *arg, const struct endpoint *e)
{
	((struct world *)arg)->left++;
}

static void problem(void *arg, const char *where, const char *text)
{
	struct world *world = arg;

	snprintf(world->problem, sizeof(world->problem), "%s: %s", where, text ? text : "gone");
}

static void changed(void *arg, const struct object *before, const struct object *after)
{
	endpoints_changed(((struct world *)arg)->endpoints, before, after);
}

static void open_tables(struct world *world)
{
	struct tables_config config = { .pin_dir = world->pins, .endpoints = 4, .peers = 64, .cidrs = 64,
					.policies = 16, .sparse_cells = 16, .ct = 64, .frags = 16,
					.denied = 16, .totals = 64 };
	struct err err = { 0 };
	bool adopted;

	assert_ok_err(tables_open(&config, &world->tables, &adopted, &err), &err);
}

static void open_registry(struct world *world)
{
	struct endpoint_events events = { world, joined, left, problem };

	struct endpoint_config config = { .node = "n1", .attach = BH_ATTACH_TCX };

	assert_ok(endpoints_new(world->tables, world->store, &config, &events, &world->endpoints));
}

static int setup(void **state)
{
	static unsigned count;
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->pins, sizeof(world->pins), "/sys/fs/bpf/bulkhead-endpoint-%d-%u", getpid(),
		 count++);
	open_tables(world);
	assert_ok(store_new(&world->store));
	open_registry(world);
	assert_ok(store_subscribe(world->store, changed, world));
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	struct err err = { 0 };

	endpoints_free(world->endpoints);
	store_free(world->store);
	tables_close(world->tables);
	assert_ok_err(tables_unpin(world->pins, &err), &err);
	free(world);
	return 0;
}

static void put(struct world *world, enum kind kind, const char *json)
{
	_cleanup_json_ struct json_object *parsed = json_tokener_parse(json);
	struct object *object;
	struct err err = { 0 };

	assert_non_null(parsed);
	assert_ok_err(object_parse(kind, parsed, &object, &err), &err);
	assert_ok(store_put(world->store, object));
}

static void put_pod(struct world *world, const char *name, const char *node, const char *ip,
		    const char *phase)
{
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\"},\"spec\":{\"nodeName\":\"%s\","
		 "\"containers\":[{\"name\":\"c\"}]},\"status\":{\"phase\":\"%s\",\"podIP\":\"%s\","
		 "\"podIPs\":[{\"ip\":\"%s\"}]}}",
		 name, node, phase, ip, ip);
	put(world, KIND_POD, json);
}

static struct link_pod link_at(const char *ip, int ifindex, uint64_t netns)
{
	struct link_pod link = { .netns = netns, .ifindex = ifindex, .peer_ifindex = 2, .naddrs = 1,
				 .mac = { 2, 0, 0, 0, 0, (uint8_t)ifindex } };

	assert_ok(addr_parse(ip, &link.addrs[0]));
	return link;
}

static void a_pod_of_this_node_waits_then_gets_a_slot(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	assert_true(endpoints_want_scan(world->endpoints));
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	endpoints_scanned(world->endpoints, NULL, 0);
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	assert_int_equal(e->phase, ENDPOINT_FOUND);
	assert_int_equal(world->joined, 1);
	assert_ptr_equal(endpoints_by_ident(world->endpoints, e->ident), e);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->state, BH_STATE_ACTIVE);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->policy[BH_INGRESS],
			 BH_POLICY_ALLOW);
}

static void others_are_no_endpoints(void **state)
{
	struct world *world = *state;

	put_pod(world, "elsewhere", "n2", "10.0.0.2", "Running");
	put_pod(world, "done", "n1", "10.0.0.3", "Succeeded");
	put(world, KIND_POD,
	    "{\"metadata\":{\"name\":\"host\",\"namespace\":\"x\"},\"spec\":{\"nodeName\":\"n1\","
	    "\"hostNetwork\":true,\"containers\":[{\"name\":\"c\"}]},\"status\":{\"phase\":\"Running\","
	    "\"podIP\":\"10.0.0.4\"}}");
	assert_null(endpoints_at(world->endpoints, 0));
}

static void a_pod_that_vanishes_while_its_device_stays_is_quarantined(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint_leaving leaving;
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	endpoints_attached(world->endpoints, e->slot, e->ident, PROGRAM_TRACK, BH_ATTACH_TCX, 0, NULL);
	store_remove(world->store, KIND_POD, "x", "a");
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
	assert_int_equal(world->left, 1);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->state, BH_STATE_QUARANTINE);
	endpoints_scanned(world->endpoints, &link, 1);
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
	endpoints_scanned(world->endpoints, NULL, 0);
	assert_null(endpoints_find(world->endpoints, "x", "a"));
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	assert_int_equal(leaving.ifindex, 7);
}

static void a_pod_that_comes_back_to_its_device_denies_until_compiled(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint *e;
	uint32_t ident;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	ident = e->ident;
	store_remove(world->store, KIND_POD, "x", "a");
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	assert_int_equal(e->ident, ident);
	assert_int_equal(world->joined, 2);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->policy[BH_EGRESS], BH_POLICY_DENY);
}

static void r09_an_address_that_moves_to_a_new_pod_gets_a_new_ident(void **state)
{
	struct world *world = *state;
	struct link_pod old = link_at("10.0.0.1", 7, 100), new = link_at("10.0.0.1", 9, 200);
	uint32_t before;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &old, 1);
	before = endpoints_find(world->endpoints, "x", "a")->ident;
	store_remove(world->store, KIND_POD, "x", "a");
	put_pod(world, "b", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &new, 1);
	assert_null(endpoints_find(world->endpoints, "x", "a"));
	assert_int_not_equal(endpoints_find(world->endpoints, "x", "b")->ident, before);
	assert_null(endpoints_by_ident(world->endpoints, before));
}

static void put_pod_created(struct world *world, const char *name, const char *created)
{
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\",\"creationTimestamp\":\"%s\"},"
		 "\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\"}]},"
		 "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}",
		 name, created);
	put(world, KIND_POD, json);
}

// A pod that is gone may be told of as running for a while: the device is the younger one's and stays it.
static void r09_of_two_pods_with_one_address_the_younger_has_the_device(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint *young, *old;
	uint32_t ident;

	put_pod_created(world, "b-old", "2026-01-01T00:00:00Z");
	endpoints_scanned(world->endpoints, &link, 1);
	put_pod_created(world, "a-young", "2026-01-01T00:00:01Z");
	endpoints_scanned(world->endpoints, &link, 1);
	young = endpoints_find(world->endpoints, "x", "a-young");
	old = endpoints_find(world->endpoints, "x", "b-old");
	assert_int_equal(young->phase, ENDPOINT_FOUND);
	assert_int_equal(old->phase, ENDPOINT_WAITING);
	ident = young->ident;
	endpoints_scanned(world->endpoints, &link, 1);
	assert_int_equal(young->ident, ident);
	assert_int_equal(old->phase, ENDPOINT_WAITING);
	store_remove(world->store, KIND_POD, "x", "a-young");
	endpoints_scanned(world->endpoints, &link, 1);
	assert_int_equal(endpoints_find(world->endpoints, "x", "b-old")->phase, ENDPOINT_FOUND);
}

// A pod that puts another pod's address on its own device gets neither that pod's policy nor its place.
static void an_address_that_another_pod_carries_as_well_changes_nothing(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.9", 7, 100), link_at("10.0.0.1", 9, 200) };

	assert_ok(addr_parse("10.0.0.1", &links[0].addrs[links[0].naddrs++])); // the thief's
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	put_pod(world, "thief", "n1", "10.0.0.9", "Running");
	for (int i = 0; i < 2; i++) { // the first scan, and one that finds both attached
		endpoints_scanned(world->endpoints, links, 2);
		assert_int_equal(endpoints_find(world->endpoints, "x", "a")->link.ifindex, 9);
		assert_int_equal(endpoints_find(world->endpoints, "x", "thief")->link.ifindex, 7);
	}
	links[0].addrs[0] = links[0].addrs[1]; // now it carries nothing else
	links[0].naddrs = 1;
	store_remove(world->store, KIND_POD, "x", "a");
	endpoints_scanned(world->endpoints, links, 1); // a's device is gone
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, links, 1);
	assert_int_equal(endpoints_find(world->endpoints, "x", "a")->phase, ENDPOINT_WAITING);
	assert_int_equal(endpoints_find(world->endpoints, "x", "thief")->link.ifindex, 7);
}

static void two_free_devices_with_one_address_are_told(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 7, 100), link_at("10.0.0.1", 9, 200) };

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, links, 2);
	assert_int_equal(world->joined, 0);
	assert_non_null(strstr(world->problem, "more than one carries its address"));
	endpoints_scanned(world->endpoints, links, 1);
	assert_int_equal(world->joined, 1);
}

static void mac_and_gateway_are_learned_once(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	volatile struct bh_endpoint *slot;
	uint32_t gateway;

	assert_ok(addr_parse("10.0.0.254", &link.gateway4));
	gateway = link.gateway4.w[3];
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	for (int i = 0; i < 3; i++) {
		endpoints_scanned(world->endpoints, &link, 1);
		slot = tables_endpoint(world->tables,
				       endpoints_find(world->endpoints, "x", "a")->slot);
		assert_int_equal(slot->mac[5], 7);
		assert_int_equal(slot->gateway4, gateway);
		link.mac[5] = 99;
		assert_ok(addr_parse("10.0.0.2", &link.gateway4));
		if (i == 1) { // the next agent goes on with what this one knew
			endpoints_free(world->endpoints);
			open_registry(world);
			assert_ok(endpoints_inherit(world->endpoints));
		}
	}
}

static void slots_run_out_with_a_sentence(void **state)
{
	struct world *world = *state;
	struct endpoint_leaving leaving;
	struct link_pod links[5];
	char name[8], ip[16];

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(ip, sizeof(ip), "10.0.0.%d", i + 1);
		put_pod(world, name, "n1", ip, "Running");
		links[i] = link_at(ip, 10 + i, 100 + (uint64_t)i);
	}
	endpoints_scanned(world->endpoints, links, 5);
	assert_int_equal(world->joined, 4);
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	assert_non_null(strstr(world->problem, "no free slot of 4"));
	store_remove(world->store, KIND_POD, "x", "p0");
	endpoints_scanned(world->endpoints, links + 1, 4);
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	endpoints_released(world->endpoints, leaving.slot);
	endpoints_scanned(world->endpoints, links + 1, 4);
	assert_int_equal(endpoints_waiting(world->endpoints), 0);
	assert_string_equal(world->problem, "endpoints: gone");
}

static void what_was_told_of_a_failed_attachment_goes_with_the_pod(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	world->problem[0] = 0;
	endpoints_attached(world->endpoints, e->slot, e->ident, PROGRAM_OPEN, BH_ATTACH_TCX, -ENODEV,
			   "no device");
	assert_string_equal(world->problem, ""); // it goes: nobody is to blame
	endpoints_attached(world->endpoints, e->slot, e->ident, PROGRAM_OPEN, BH_ATTACH_TCX, -ENOMEM,
			   "no memory");
	assert_string_equal(world->problem, "endpoint x/a: no memory");
	store_remove(world->store, KIND_POD, "x", "a");
	assert_string_equal(world->problem, "endpoint x/a: gone");
}

static void the_next_agent_inherits_slots_and_idents(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint *e;
	uint32_t ident;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	ident = e->ident;
	tables_endpoint(world->tables, e->slot)->policy[BH_INGRESS] = 5;
	endpoints_free(world->endpoints);
	open_registry(world);
	assert_ok(endpoints_inherit(world->endpoints));
	e = endpoints_find(world->endpoints, "x", "a");
	assert_true(e->inherited);
	assert_int_equal(e->variant, PROGRAM_TRACK);
	endpoints_scanned(world->endpoints, &link, 1);
	assert_false(e->inherited);
	assert_int_equal(e->ident, ident);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->policy[BH_INGRESS], 5);
	assert_int_equal(world->joined, 2);
}

static void extra_addresses_come_from_the_namespace(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7, 100);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	endpoints_scanned(world->endpoints, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	put(world, KIND_NAMESPACE,
	    "{\"metadata\":{\"name\":\"x\",\"annotations\":{\"bulkhead.io/allowed-addresses\":"
	    "\"10.9.9.9/32, fd00::/120\"}}}");
	assert_true(e->extra && e->refresh);
	assert_true(tables_endpoint(world->tables, e->slot)->flags & BH_EP_EXTRA);
	put(world, KIND_NAMESPACE,
	    "{\"metadata\":{\"name\":\"x\",\"annotations\":{\"bulkhead.io/allowed-addresses\":"
	    "\"10.0.0.0/8\"}}}");
	assert_non_null(strstr(world->problem, "10.0.0.0/8"));
	assert_true(e->extra);
	put(world, KIND_NAMESPACE, "{\"metadata\":{\"name\":\"x\"}}");
	assert_false(e->extra);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_of_this_node_waits_then_gets_a_slot),
		TEST(others_are_no_endpoints),
		TEST(a_pod_that_vanishes_while_its_device_stays_is_quarantined),
		TEST(a_pod_that_comes_back_to_its_device_denies_until_compiled),
		TEST(r09_an_address_that_moves_to_a_new_pod_gets_a_new_ident),
		TEST(r09_of_two_pods_with_one_address_the_younger_has_the_device),
		TEST(an_address_that_another_pod_carries_as_well_changes_nothing),
		TEST(two_free_devices_with_one_address_are_told),
		TEST(mac_and_gateway_are_learned_once),
		TEST(slots_run_out_with_a_sentence),
		TEST(what_was_told_of_a_failed_attachment_goes_with_the_pod),
		TEST(the_next_agent_inherits_slots_and_idents),
		TEST(extra_addresses_come_from_the_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
