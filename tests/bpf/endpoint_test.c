// SPDX-License-Identifier: Apache-2.0
// endpoint_test.c - the registry of endpoints against real tables: what objects and scans do to slots.
#include "tests/bpf/registry.h"

#include "agent/base/intern.h"

// A cycle: its plan is in force, its programs are attached.
static void cycle(struct world *world, struct endpoint *e)
{
	if (e->phase != ENDPOINT_ORPHAN)
		slot_arm(world->tables, e->slot);
	slot_activate(world->tables, e->slot, e->ident);
	endpoints_attached(world->endpoints, e->ident, PROGRAM_TRACK, BH_ATTACH_TCX, 0, NULL);
}

static void a_pod_of_this_node_waits_then_gets_a_slot_in_quarantine(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	assert_true(endpoints_want_scan(world->endpoints));
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	scan(world, NULL, 0);
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	scan(world, &link, 1);
	e = endpoint_of(world, "a");
	assert_int_equal(e->phase, ENDPOINT_FOUND);
	assert_int_equal(world->joined, 1);
	assert_ptr_equal(endpoints_by_ident(world->endpoints, e->ident), e);
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->policy[BH_INGRESS], BH_POLICY_DENY);
	cycle(world, e);
	assert_int_equal(state_of(world, e), BH_STATE_ACTIVE);
	assert_int_equal(e->phase, ENDPOINT_ATTACHED);
}

// The plan that was on its way when the pod went is not the one that judges it when it is back.
static void quarantine_that_begins_while_a_plan_runs_stays(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;

	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	scan(world, &link, 1);
	e = endpoint_of(world, "a");
	slot_arm(world->tables, e->slot);
	store_remove(world->store, KIND_POD, "x", "a");
	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	slot_activate(world->tables, e->slot, e->ident);
	endpoints_attached(world->endpoints, e->ident, PROGRAM_TRACK, BH_ATTACH_TCX, 0, NULL);
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
	assert_int_equal(e->phase, ENDPOINT_FOUND); // the next plan's
	assert_true(e->attached);
	cycle(world, e);
	assert_int_equal(state_of(world, e), BH_STATE_ACTIVE);
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
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint_leaving leaving;
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	e = endpoint_of(world, "a");
	cycle(world, e);
	store_remove(world->store, KIND_POD, "x", "a");
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
	assert_int_equal(world->left, 1);
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
	scan(world, &link, 1);
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
	assert_false(endpoints_take_leaving(world->endpoints, &leaving));
	scan(world, NULL, 0);
	assert_null(endpoint_of(world, "a"));
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	assert_int_equal(leaving.ifindex, 7);
	assert_false(leaving.stays);
}

static void r35_a_failed_pod_is_shut_until_its_device_goes(void **state)
{
	static const char *const phases[] = { "Failed", "Succeeded" };
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint_leaving leaving;
	struct endpoint *e;

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		put_pod(world, "a", "n1", "10.0.0.1", "Running");
		scan(world, &link, 1);
		e = endpoint_of(world, "a");
		cycle(world, e);
		assert_int_equal(state_of(world, e), BH_STATE_ACTIVE);
		put_pod(world, "a", "n1", "10.0.0.1", phases[i]);
		assert_int_equal(world->left, i + 1);
		assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
		scan(world, &link, 1);
		assert_int_equal(e->phase, ENDPOINT_ORPHAN);
		assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
		scan(world, NULL, 0);
		assert_null(endpoint_of(world, "a"));
		assert_true(endpoints_take_leaving(world->endpoints, &leaving));
		endpoints_released(world->endpoints, leaving.slot);
	}
}

// What a plan wrote stays: the compiler knows what it wrote, and would not write it again.
static void a_pod_that_comes_back_to_its_device_keeps_its_words_and_waits_for_a_plan(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;
	uint32_t ident;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	e = endpoint_of(world, "a");
	ident = e->ident;
	cycle(world, e);
	tables_endpoint(world->tables, e->slot)->policy[BH_EGRESS] = 5;
	store_remove(world->store, KIND_POD, "x", "a");
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	assert_ptr_equal(endpoint_of(world, "a"), e);
	assert_int_equal(e->ident, ident);
	assert_int_equal(e->phase, ENDPOINT_FOUND);
	assert_int_equal(world->joined, 2);
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->policy[BH_EGRESS], 5);
	cycle(world, e);
	assert_int_equal(e->phase, ENDPOINT_ATTACHED);
}

// Whatever a pod does behind its veth: moves the device, hides it, changes its addresses.
static void only_the_hosts_list_ends_an_endpoint(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint_leaving leaving;
	struct endpoint *e;
	uint8_t mac[6];

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	e = endpoint_of(world, "a");
	cycle(world, e);
	memcpy(mac, e->mac, sizeof(mac));
	link.naddrs = 0;
	link.nsid++;
	link.peer_ifindex++;
	link.mac[5]++;
	scan(world, &link, 1);
	assert_int_equal(e->phase, ENDPOINT_ATTACHED);
	assert_memory_equal(e->mac, mac, sizeof(mac));
	link.unread = true;
	scan(world, &link, 1);
	assert_int_equal(e->phase, ENDPOINT_ATTACHED);
	assert_true(endpoints_want_scan(world->endpoints)); // it was not all
	assert_int_equal(state_of(world, e), BH_STATE_ACTIVE);
	assert_false(endpoints_take_leaving(world->endpoints, &leaving));
	endpoints_device_gone(world->endpoints, 8);
	assert_int_equal(e->phase, ENDPOINT_ATTACHED);
	endpoints_device_gone(world->endpoints, 7);
	assert_int_equal(e->phase, ENDPOINT_WAITING);
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
}

static void r09_an_address_that_moves_to_a_new_pod_gets_a_new_ident(void **state)
{
	struct world *world = *state;
	struct link_pod old = link_at("10.0.0.1", 7), new = link_at("10.0.0.1", 9);
	uint32_t before;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &old, 1);
	before = endpoint_of(world, "a")->ident;
	store_remove(world->store, KIND_POD, "x", "a");
	put_pod(world, "b", "n1", "10.0.0.1", "Running");
	scan(world, &new, 1);
	assert_null(endpoint_of(world, "a"));
	assert_int_not_equal(endpoint_of(world, "b")->ident, before);
	assert_null(endpoints_by_ident(world->endpoints, before));
}

// A pod that is gone may be told of as running for a while: the device is the younger one's and stays it.
static void r09_of_two_pods_with_one_address_the_younger_has_the_device(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *young, *old;
	uint32_t ident;

	put_pod_uid(world, "b-old", "u9", "10.0.0.1", 1);
	scan(world, &link, 1);
	ident = endpoint_of(world, "b-old")->ident;
	cycle(world, endpoint_of(world, "b-old"));
	put_pod_uid(world, "a-young", "u1", "10.0.0.1", 2);
	scan(world, &link, 1);
	young = endpoint_of(world, "a-young");
	old = endpoint_of(world, "b-old");
	assert_int_equal(young->phase, ENDPOINT_FOUND);
	assert_int_equal(old->phase, ENDPOINT_WAITING);
	assert_int_equal(young->slot, BH_SLOT(ident)); // programs are replaced in their place
	assert_int_not_equal(young->ident, ident);
	assert_true(young->attached && young->refresh);
	assert_int_equal(state_of(world, young), BH_STATE_QUARANTINE);
	assert_non_null(strstr(world->problem, "pod x/b-old device: waits"));
	assert_non_null(strstr(world->problem, "x/a-young"));
	cycle(world, young);
	ident = young->ident;
	scan(world, &link, 1);
	assert_int_equal(young->ident, ident);
	assert_int_equal(young->phase, ENDPOINT_ATTACHED);
	assert_int_equal(old->phase, ENDPOINT_WAITING);
}

static void an_attached_pod_keeps_its_device_from_objects_that_are_not_younger(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;
	uint32_t ident;

	put_pod_uid(world, "b", "u1", "10.0.0.1", 5);
	scan(world, &link, 1);
	e = endpoint_of(world, "b");
	ident = e->ident;
	put_pod_uid(world, "a", "u2", "10.0.0.1", 4);
	put_pod_uid(world, "c", "u3", "10.0.0.1", 5);
	put_pod(world, "d", "n1", "10.0.0.1", "Running"); // of no known age
	for (int i = 0; i < 3; i++)
		scan(world, &link, 1);
	assert_int_equal(e->ident, ident);
	assert_int_equal(endpoints_waiting(world->endpoints), 3);
	assert_non_null(strstr(world->problem, "pod x/d device: waits: its address 10.0.0.1 is also pod x/b's"));
	store_remove(world->store, KIND_POD, "x", "d");
	scan(world, &link, 1);
	assert_string_equal(world->problem, "pod x/d device: gone");
}

// The kernel knows better whose device it is than who is younger.
static void a_pod_whose_processes_live_there_keeps_its_device(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);

	link_uid(&link, "u1");
	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	scan(world, &link, 1);
	put_pod_uid(world, "b", "u2", "10.0.0.1", 2);
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "a")->phase, ENDPOINT_FOUND);
	assert_int_equal(endpoint_of(world, "b")->phase, ENDPOINT_WAITING);
}

static void a_second_device_with_a_pods_address_is_told_and_takes_nothing(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.2", 6), link_at("10.0.0.1", 7) };
	struct endpoint *victim;
	uint32_t ident;

	put_pod(world, "a-evil", "n1", "10.0.0.2", "Running");
	put_pod(world, "db", "n1", "10.0.0.1", "Running");
	scan(world, links, 2);
	victim = endpoint_of(world, "db");
	ident = victim->ident;
	links[0].addrs[links[0].naddrs++] = links[1].addrs[0];
	scan(world, links, 2);
	scan(world, links, 2);
	assert_int_equal(victim->ident, ident);
	assert_int_equal(victim->ifindex, 7);
	assert_non_null(strstr(world->problem, "device 6: "));
	assert_non_null(strstr(world->problem, "of x/a-evil carries 10.0.0.1, the address of pod x/db"));
	links[0].naddrs = 1;
	scan(world, links, 2);
	assert_string_equal(world->problem, "device 6: gone");
}

static void a_new_uid_of_the_same_name_has_a_slot_beside_the_old_ones(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 7), link_at("10.0.0.2", 8) };
	struct endpoint_leaving leaving;
	struct endpoint *old, *new;

	put_pod_uid(world, "db-0", "u1", "10.0.0.1", 1);
	scan(world, links, 1);
	old = endpoint_of(world, "db-0");
	cycle(world, old);
	put_pod_uid(world, "db-0", "u2", "10.0.0.2", 2); // force-deleted and made again
	assert_int_equal(old->phase, ENDPOINT_ORPHAN);
	assert_int_equal(state_of(world, old), BH_STATE_QUARANTINE);
	scan(world, links, 2);
	new = endpoint_of(world, "db-0");
	assert_ptr_not_equal(new, old);
	assert_int_equal(new->ifindex, 8);
	assert_ptr_equal(endpoints_by_slot(world->endpoints, old->slot), old);
	assert_false(endpoints_take_leaving(world->endpoints, &leaving));
	cycle(world, new);
	scan(world, links + 1, 1);
	assert_ptr_equal(endpoint_of(world, "db-0"), new);
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	assert_int_equal(leaving.ifindex, 7);
	assert_int_equal(new->phase, ENDPOINT_ATTACHED);
}

static void what_lives_there_beats_the_route_beats_the_address(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 6), link_at("10.0.0.1", 7), link_at("10.0.0.1", 8) };

	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	link_route(&links[1], "10.0.0.1");
	scan(world, links, 2);
	assert_int_equal(endpoint_of(world, "a")->ifindex, 7);
	scan(world, links, 1);
	assert_int_equal(endpoint_of(world, "a")->ifindex, 6);
	scan(world, NULL, 0);
	link_uid(&links[2], "u1");
	scan(world, links, 3);
	assert_int_equal(endpoint_of(world, "a")->ifindex, 8);
}

// The agent starts beside a pod that has given itself its neighbour's address.
static void a_device_where_another_pod_lives_is_not_taken_by_address(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 6), link_at("10.0.0.1", 7) };

	put_pod_uid(world, "evil", "u2", "10.0.0.2", 1);
	put_pod_uid(world, "db", "u1", "10.0.0.1", 2);
	link_uid(&links[0], "u2");
	link_uid(&links[1], "u1");
	scan(world, links, 1);
	assert_int_equal(endpoint_of(world, "evil")->ifindex, 6);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_WAITING);
	scan(world, links, 2);
	assert_int_equal(endpoint_of(world, "db")->ifindex, 7);
}

// Of a pod that nobody knows any more. A static pod's processes bear no UID that the API knows.
static void a_device_where_a_strangers_processes_live_is_nobodys(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 6);

	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	link_uid(&link, "0d6e7d3c-95a5-4d7a-8b1d-000000000001");
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "a")->phase, ENDPOINT_WAITING);
	link.nuids = 0;
	link_uid(&link, "0d6e7d3c95a54d7a8b1d000000000001");
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "a")->phase, ENDPOINT_FOUND);
}

static void devices_between_which_nothing_decides_are_all_quarantined(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 6), link_at("10.0.0.1", 7) };
	struct endpoint *e, *first, *second;

	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	scan(world, links, 2);
	first = endpoints_by_slot(world->endpoints, 0);
	second = endpoints_by_slot(world->endpoints, 1);
	assert_true(first && first->contested && first->phase == ENDPOINT_ORPHAN && !first->attached);
	assert_true(second && second->contested);
	assert_int_equal(state_of(world, first), BH_STATE_QUARANTINE);
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	assert_non_null(strstr(world->problem, "pod x/a device: device ifindex"));
	assert_non_null(strstr(world->problem, "nothing decides"));
	cycle(world, first);
	assert_true(first->attached && first->phase == ENDPOINT_ORPHAN);
	assert_int_equal(state_of(world, first), BH_STATE_QUARANTINE);
	scan(world, links, 2);
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	assert_null(endpoints_by_slot(world->endpoints, 2)); // quarantined once
	link_route(&links[1], "10.0.0.1");
	scan(world, links, 2);
	e = endpoint_of(world, "a");
	assert_int_equal(e->ifindex, 7);
	assert_int_equal(e->slot, 1);
	assert_int_equal(e->phase, ENDPOINT_FOUND);
	assert_int_equal(first->phase, ENDPOINT_ORPHAN);
}

static void a_contested_device_that_is_alone_by_now_is_the_pods(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 6), link_at("10.0.0.1", 7) };

	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	scan(world, links, 2);
	scan(world, links, 1);
	assert_int_equal(endpoint_of(world, "a")->ifindex, 6);
	assert_int_equal(endpoint_of(world, "a")->phase, ENDPOINT_FOUND);
}

static void a_quarantined_device_passes_only_to_whom_the_host_names(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 6);
	struct endpoint_leaving leaving;
	uint32_t ident;

	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	scan(world, &link, 1);
	ident = endpoint_of(world, "a")->ident;
	cycle(world, endpoint_of(world, "a"));
	store_remove(world->store, KIND_POD, "x", "a");
	put_pod_uid(world, "b", "u2", "10.0.0.1", 2);
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "b")->phase, ENDPOINT_WAITING);
	link_route(&link, "10.0.0.1");
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "b")->phase, ENDPOINT_FOUND);
	assert_null(endpoint_of(world, "a"));
	assert_int_not_equal(endpoint_of(world, "b")->ident, ident);
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	assert_true(leaving.stays); // nothing is taken off
	assert_int_equal(leaving.ident, ident);
}

static void a_pod_that_waits_too_long_is_a_problem(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.9", 6);

	put_pod(world, "vm", "n1", "10.0.0.1", "Running");
	put_pod(world, "done", "n1", "10.0.0.3", "Succeeded");
	scan(world, &link, 1);
	endpoints_check(world->endpoints, 1000);
	endpoints_check(world->endpoints, 1000 + ENDPOINT_WAIT_MS - 1);
	assert_false(endpoints_overdue(world->endpoints));
	assert_string_equal(world->problem, "");
	endpoints_check(world->endpoints, 1000 + ENDPOINT_WAIT_MS);
	assert_true(endpoints_overdue(world->endpoints));
	assert_non_null(strstr(world->problem, "pod x/vm waiting: "));
	assert_non_null(strstr(world->problem, "nothing is enforced"));
	link = link_at("10.0.0.1", 6);
	scan(world, &link, 1);
	endpoints_check(world->endpoints, 2000 + ENDPOINT_WAIT_MS);
	assert_false(endpoints_overdue(world->endpoints));
	assert_string_equal(world->problem, "pod x/vm waiting: gone");
}

// An object that goes before its programs are on leaves a device that is open: it is not to be forgotten.
static void a_quarantine_without_programs_is_known_to_be_none(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 6);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	e = endpoint_of(world, "a");
	endpoints_attached(world->endpoints, e->ident, PROGRAM_TRACK, BH_ATTACH_TCX, -EBUSY, "no");
	store_remove(world->store, KIND_POD, "x", "a");
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
	assert_false(e->attached);
	cycle(world, e);
	assert_true(e->attached);
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
}

static void only_pods_found_at_the_start_are_early(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.1", 6), link_at("10.0.0.2", 7) };

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, links, 1);
	put_pod(world, "b", "n1", "10.0.0.2", "Running");
	scan(world, links, 2);
	assert_true(endpoint_of(world, "a")->early);
	assert_false(endpoint_of(world, "b")->early);
	cycle(world, endpoint_of(world, "a"));
	assert_false(endpoint_of(world, "a")->early); // once
}

static void r10_an_adoption_window_is_closed_when_it_has_passed(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 6);
	volatile struct bh_endpoint *slot;
	uint32_t open;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	slot = tables_endpoint(world->tables, endpoint_of(world, "a")->slot);
	slot_adopt_window(world->tables, endpoint_of(world, "a")->slot);
	open = slot->adopt_until;
	endpoints_check(world->endpoints, 1);
	assert_int_equal(slot->adopt_until, open);
	slot->adopt_until = tables_now() - 1;
	endpoints_check(world->endpoints, 1);
	assert_int_equal(slot->adopt_until, 0);
	slot->adopt_until = tables_now() + (1u << 30); // half a turn of the clock later
	endpoints_check(world->endpoints, 1);
	assert_int_equal(slot->adopt_until, 0);
}

// A pod that puts another pod's address on its own device gets neither that pod's policy nor its place.
static void an_address_that_another_pod_carries_as_well_changes_nothing(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.9", 7), link_at("10.0.0.1", 9) };

	assert_ok(addr_parse("10.0.0.1", &links[0].addrs[links[0].naddrs++])); // the thief's
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	put_pod(world, "thief", "n1", "10.0.0.9", "Running");
	for (int i = 0; i < 2; i++) { // the first scan, and one that finds both
		scan(world, links, 2);
		assert_int_equal(endpoint_of(world, "a")->ifindex, 9);
		assert_int_equal(endpoint_of(world, "thief")->ifindex, 7);
	}
	links[0].addrs[0] = links[0].addrs[1]; // now it carries nothing else
	links[0].naddrs = 1;
	store_remove(world->store, KIND_POD, "x", "a");
	scan(world, links, 1); // a's device is gone
	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, links, 1);
	assert_int_equal(endpoint_of(world, "a")->phase, ENDPOINT_WAITING);
	assert_int_equal(endpoint_of(world, "thief")->ifindex, 7);
}

// A pod with better evidence that cannot decide yet loses nothing to one with less.
static void who_cannot_decide_yet_loses_nothing(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.9", 7), link_at("10.0.0.1", 9) };

	link_route(&links[0], "10.0.0.1");
	link_route(&links[1], "10.0.0.1");
	links[1].addrs[0] = links[0].addrs[0];
	links[0].naddrs = 1;
	links[1].naddrs = 0;
	put_pod_uid(world, "a", "u1", "10.0.0.1", 1);
	put_pod(world, "thief", "n1", "10.0.0.9", "Running"); // it has one device only
	scan(world, links, 2);
	assert_int_equal(endpoint_of(world, "thief")->phase, ENDPOINT_WAITING);
	assert_true(endpoints_by_slot(world->endpoints, 0)->contested);
	assert_true(endpoints_by_slot(world->endpoints, 1)->contested);
}

static void the_mac_is_learned_once(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	volatile struct bh_endpoint *slot;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	cycle(world, endpoint_of(world, "a"));
	link.mac[5] = 99;
	for (int i = 0; i < 2; i++) {
		scan(world, &link, 1);
		slot = tables_endpoint(world->tables, endpoint_of(world, "a")->slot);
		assert_int_equal(slot->mac[5], 7);
		assert_non_null(strstr(world->problem, "pod x/a MAC address: it has changed"));
		world->problem[0] = 0;
		endpoints_free(world->endpoints); // the next agent goes on with what this one knew
		open_registry(world);
		assert_ok(endpoints_inherit(world->endpoints));
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
		links[i] = link_at(ip, 10 + i);
	}
	scan(world, links, 5);
	assert_int_equal(world->joined, 4);
	assert_int_equal(endpoints_waiting(world->endpoints), 1);
	assert_non_null(strstr(world->problem, "no free slot of 4"));
	store_remove(world->store, KIND_POD, "x", "p0");
	scan(world, links + 1, 4);
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	endpoints_released(world->endpoints, leaving.slot);
	scan(world, links + 1, 4);
	assert_int_equal(endpoints_waiting(world->endpoints), 0);
	assert_string_equal(world->problem, "pod x/p4 slot: gone");
}

static void what_was_told_of_a_failed_attachment_goes_with_the_pod(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	world->problem[0] = 0;
	endpoints_attached(world->endpoints, e->ident, PROGRAM_OPEN, BH_ATTACH_TCX, -ENODEV,
			   "no device");
	assert_string_equal(world->problem, ""); // it goes: nobody is to blame
	endpoints_attached(world->endpoints, e->ident, PROGRAM_OPEN, BH_ATTACH_TCX, -ENOMEM,
			   "no memory");
	assert_string_equal(world->problem, "endpoint x/a: no memory");
	store_remove(world->store, KIND_POD, "x", "a");
	assert_string_equal(world->problem, "endpoint x/a: gone");
}

static void the_next_agent_inherits_slots_and_idents(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;
	uint32_t ident;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
	e = endpoints_find(world->endpoints, "x", "a");
	ident = e->ident;
	tables_endpoint(world->tables, e->slot)->policy[BH_INGRESS] = 5;
	endpoints_free(world->endpoints);
	open_registry(world);
	assert_ok(endpoints_inherit(world->endpoints));
	e = endpoints_find(world->endpoints, "x", "a");
	assert_true(e->inherited);
	assert_int_equal(e->variant, PROGRAM_TRACK);
	scan(world, &link, 1);
	assert_false(e->inherited);
	assert_int_equal(e->ident, ident);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->policy[BH_INGRESS], 5);
	assert_int_equal(world->joined, 2);
}

static void extra_addresses_come_from_the_namespace(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.1", 7);
	struct endpoint *e;

	put_pod(world, "a", "n1", "10.0.0.1", "Running");
	scan(world, &link, 1);
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

// ---- before any pod is known -----------------------------------------------------------------------------------------

static struct endpoint *early_device(struct world *world, const struct link_pod *link)
{
	struct endpoint *e;

	scan_early(world, link, 1);
	assert_int_equal(endpoints_unowned(world->endpoints), 1);
	e = endpoints_at(world->endpoints, 0);
	endpoints_attached(world->endpoints, e->ident, PROGRAM_TRACK, BH_ATTACH_TCX, 0, NULL);
	return e;
}

static void a_device_that_comes_early_is_shut_until_its_pod_takes_it(void **state)
{
	struct world *world = *state;
	struct link_pod links[] = { link_at("10.0.0.7", 7), link_at("10.0.0.8", 8), link_at("10.0.0.9", 9) };
	struct endpoint *e;
	uint32_t ident;

	links[1].way_out = true;
	scan_early(world, links, 3);
	scan_early(world, links, 3);
	assert_int_equal(endpoints_unowned(world->endpoints), 1);
	e = endpoints_at(world->endpoints, 0);
	assert_int_equal(e->ifindex, 9);
	assert_str(e->ns, ENDPOINT_DEVICES);
	assert_int_equal(e->phase, ENDPOINT_ORPHAN);
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
	assert_int_equal(tables_endpoint(world->tables, e->slot)->addr4, links[2].addrs[0].w[3]);
	assert_int_equal(world->joined, 0);
	endpoints_attached(world->endpoints, e->ident, PROGRAM_TRACK, BH_ATTACH_TCX, 0, NULL);
	ident = e->ident;
	put_pod(world, "a", "n1", "10.0.0.9", "Running");
	scan(world, links, 3);
	assert_int_equal(endpoints_unowned(world->endpoints), 0);
	e = endpoint_of(world, "a");
	assert_int_equal(e->slot, BH_SLOT(ident));
	assert_true(e->ident != ident);
	assert_true(e->attached && e->refresh);
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
}

static void a_device_that_no_pod_can_be_behind_is_open_again(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.9", 9);
	struct endpoint_leaving leaving;
	uint32_t ident = early_device(world, &link)->ident;

	put_pod(world, "elsewhere", "n2", "10.0.0.2", "Running");
	scan(world, &link, 1);
	assert_int_equal(endpoints_unowned(world->endpoints), 0);
	assert_true(endpoints_take_leaving(world->endpoints, &leaving));
	assert_int_equal(leaving.ident, ident);
	assert_false(leaving.stays);
}

static void put_pending(struct world *world, const char *uid)
{
	char json[256];

	snprintf(json, sizeof(json),
		 "{\"metadata\":{\"name\":\"a\",\"namespace\":\"x\",\"uid\":\"%s\"},\"spec\":{\"nodeName\":\"n1\","
		 "\"containers\":[{\"name\":\"c\"}]},\"status\":{\"phase\":\"Pending\"}}",
		 uid);
	put(world, KIND_POD, json);
}

static void a_device_stays_shut_while_a_pod_without_address_may_be_behind_it(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.9", 9);

	early_device(world, &link);
	put_pending(world, "u1");
	scan_at(world, &link, 1, 5000);
	scan_at(world, &link, 1, 5000 + ENDPOINT_HOLD_MS - 1);
	assert_int_equal(endpoints_unowned(world->endpoints), 1);
	scan_at(world, &link, 1, 5000 + ENDPOINT_HOLD_MS);
	assert_int_equal(endpoints_unowned(world->endpoints), 0);
}

static void a_device_with_processes_of_a_pod_without_address_stays_shut(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.9", 9);
	struct endpoint *e;

	link_uid(&link, "u1");
	early_device(world, &link);
	put_pending(world, "u1");
	scan_at(world, &link, 1, 5000);
	scan_at(world, &link, 1, 5000 + 10 * ENDPOINT_HOLD_MS);
	assert_int_equal(endpoints_unowned(world->endpoints), 1);
	put_pod_uid(world, "a", "u1", "10.0.0.9", 1);
	scan(world, &link, 1);
	assert_int_equal(endpoints_unowned(world->endpoints), 0);
	e = endpoint_of(world, "a");
	assert_int_equal(e->phase, ENDPOINT_FOUND);
}

static void the_next_agent_inherits_what_was_shut_early(void **state)
{
	struct world *world = *state;
	struct link_pod link = link_at("10.0.0.9", 9);
	uint32_t ident = early_device(world, &link)->ident;

	endpoints_free(world->endpoints);
	open_registry(world);
	assert_ok(endpoints_inherit(world->endpoints));
	assert_int_equal(endpoints_unowned(world->endpoints), 1);
	scan_early(world, &link, 1);
	assert_ptr_equal(endpoints_by_ident(world->endpoints, ident), endpoints_at(world->endpoints, 0));
	scan_early(world, NULL, 0);
	assert_int_equal(endpoints_unowned(world->endpoints), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_of_this_node_waits_then_gets_a_slot_in_quarantine),
		TEST(quarantine_that_begins_while_a_plan_runs_stays),
		TEST(others_are_no_endpoints),
		TEST(a_pod_that_vanishes_while_its_device_stays_is_quarantined),
		TEST(r35_a_failed_pod_is_shut_until_its_device_goes),
		TEST(a_pod_that_comes_back_to_its_device_keeps_its_words_and_waits_for_a_plan),
		TEST(only_the_hosts_list_ends_an_endpoint),
		TEST(r09_an_address_that_moves_to_a_new_pod_gets_a_new_ident),
		TEST(r09_of_two_pods_with_one_address_the_younger_has_the_device),
		TEST(an_attached_pod_keeps_its_device_from_objects_that_are_not_younger),
		TEST(a_pod_whose_processes_live_there_keeps_its_device),
		TEST(a_second_device_with_a_pods_address_is_told_and_takes_nothing),
		TEST(a_new_uid_of_the_same_name_has_a_slot_beside_the_old_ones),
		TEST(what_lives_there_beats_the_route_beats_the_address),
		TEST(a_device_where_another_pod_lives_is_not_taken_by_address),
		TEST(a_device_where_a_strangers_processes_live_is_nobodys),
		TEST(devices_between_which_nothing_decides_are_all_quarantined),
		TEST(a_contested_device_that_is_alone_by_now_is_the_pods),
		TEST(a_quarantined_device_passes_only_to_whom_the_host_names),
		TEST(a_pod_that_waits_too_long_is_a_problem),
		TEST(a_quarantine_without_programs_is_known_to_be_none),
		TEST(only_pods_found_at_the_start_are_early),
		TEST(r10_an_adoption_window_is_closed_when_it_has_passed),
		TEST(an_address_that_another_pod_carries_as_well_changes_nothing),
		TEST(who_cannot_decide_yet_loses_nothing),
		TEST(the_mac_is_learned_once),
		TEST(slots_run_out_with_a_sentence),
		TEST(what_was_told_of_a_failed_attachment_goes_with_the_pod),
		TEST(the_next_agent_inherits_slots_and_idents),
		TEST(a_device_that_comes_early_is_shut_until_its_pod_takes_it),
		TEST(a_device_that_no_pod_can_be_behind_is_open_again),
		TEST(a_device_stays_shut_while_a_pod_without_address_may_be_behind_it),
		TEST(a_device_with_processes_of_a_pod_without_address_stays_shut),
		TEST(the_next_agent_inherits_what_was_shut_early),
		TEST(extra_addresses_come_from_the_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
