// SPDX-License-Identifier: Apache-2.0
// attachment_test.c - what the CNI plugin says of devices, against all else that speaks for them.
#include "tests/bpf/registry.h"

#include "agent/endpoint/choose.h"

static struct attachment given(const char *container, const char *name, const char *uid, const char *ip, int ifindex)
{
	struct attachment a = { .ns = "x", .ifname = "eth0", .ifindex = ifindex };

	snprintf(a.container, sizeof(a.container), "%s", container);
	snprintf(a.name, sizeof(a.name), "%s", name);
	snprintf(a.uid, sizeof(a.uid), "%s", uid);
	if (ip)
		assert_ok(addr_parse(ip, &a.addrs[a.naddrs++]));
	return a;
}

// As cni.add does.
static void tell(struct world *world, const struct attachment *attachment)
{
	struct attachment told = *attachment;

	told.told = told.due = true;
	assert_ok(endpoints_attachment_add(world->endpoints, &told));
}

// The devices of attachments are looked at; these of them are there.
static void look(struct world *world, const struct link_pod *links, size_t n)
{
	struct link_known known;
	struct link_view view;

	assert_true(endpoints_want_look(world->endpoints));
	assert_ok(endpoints_look_at(world->endpoints, &known));
	assert_true(known.only.n > 0);
	link_known_fini(&known);
	see(&view, links, n);
	endpoints_looked(world->endpoints, &view);
	link_view_fini(&view);
	assert_false(endpoints_want_look(world->endpoints));
}

static struct bh_addr addr_of(struct world *world, const char *name)
{
	const struct endpoint *e = endpoint_of(world, name);

	return bh_addr_from4(tables_endpoint(world->tables, e->slot)->addr4);
}

static bool has_addr(struct world *world, const char *name, const char *text)
{
	struct bh_addr want, is = addr_of(world, name);

	assert_ok(addr_parse(text, &want));
	return bh_addr_equal(&want, &is);
}

static void the_hosts_word_is_the_best_evidence(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "mine", "u1", NULL, 9), other = given("d", "mine", "u2", NULL, 9);
	struct link_pod link = link_at("10.0.0.5", 9);
	const struct pod *pod;

	put_pod_uid(world, "mine", "u1", "10.0.0.5", 1);
	pod = (const struct pod *)store_find(world->store, KIND_POD, "x", "mine");
	assert_int_equal(evidence_of(pod, &link, NULL), EVIDENCE_ADDRESS);
	link_uid(&link, "u1");
	assert_int_equal(evidence_of(pod, &link, NULL), EVIDENCE_UID);
	assert_int_equal(evidence_of(pod, &link, &a), EVIDENCE_ATTACHMENT);
	assert_int_equal(evidence_of(pod, &link, &other), EVIDENCE_NONE); // whatever lives there
}

static void a_device_that_was_given_is_found_without_a_scan(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);
	struct endpoint *e;

	put_pod_uid(world, "new", "u1", "", 1);
	assert_null(endpoint_of(world, "new")); // it has no address
	tell(world, &a);
	assert_int_equal(endpoint_of(world, "new")->phase, ENDPOINT_WAITING);
	assert_false(endpoints_want_scan(world->endpoints));
	look(world, &link, 1);
	e = endpoint_of(world, "new");
	assert_int_equal(e->phase, ENDPOINT_FOUND);
	assert_true(e->added);
	assert_true(endpoints_adding(world->endpoints));
	assert_int_equal(state_of(world, e), BH_STATE_QUARANTINE);
	assert_true(has_addr(world, "new", "10.0.0.5"));
	assert_int_equal(world->joined, 1);
}

static void the_objects_addresses_win(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	put_pod_uid(world, "new", "u1", "", 1);
	tell(world, &a);
	look(world, &link, 1);
	put_pod_uid(world, "new", "u1", "10.0.0.6", 1);
	assert_true(has_addr(world, "new", "10.0.0.6"));
	assert_true(endpoints_attachment_remove(world->endpoints, &a));
	assert_true(has_addr(world, "new", "10.0.0.6"));
	assert_false(endpoints_attachment_remove(world->endpoints, &a));
}

static void without_its_attachment_a_pod_without_address_is_shut_in(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	put_pod_uid(world, "new", "u1", "", 1);
	tell(world, &a);
	look(world, &link, 1);
	endpoints_attachment_remove(world->endpoints, &a);
	assert_int_equal(endpoint_of(world, "new")->phase, ENDPOINT_ORPHAN);
	assert_int_equal(world->left, 1);
}

static void a_device_that_another_pod_was_taken_to_have_passes(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u2", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);
	uint32_t ident;

	put_pod_uid(world, "old", "u1", "10.0.0.5", 1);
	scan(world, &link, 1);
	ident = endpoint_of(world, "old")->ident;
	put_pod_uid(world, "new", "u2", "", 2);
	tell(world, &a);
	look(world, &link, 1);
	assert_int_equal(endpoint_of(world, "old")->phase, ENDPOINT_WAITING);
	assert_int_equal(endpoint_of(world, "new")->phase, ENDPOINT_FOUND);
	assert_int_not_equal(endpoint_of(world, "new")->ident, ident);
	scan(world, &link, 1); // nor does a scan give it back, though the address is there
	assert_int_equal(endpoint_of(world, "old")->phase, ENDPOINT_WAITING);
}

static void a_scan_that_was_faster_gets_its_programs_put_again(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);
	struct endpoint *e;
	uint32_t ident;

	put_pod_uid(world, "new", "u1", "10.0.0.5", 1);
	scan(world, &link, 1);
	e = endpoint_of(world, "new");
	ident = e->ident;
	assert_false(e->missing);
	tell(world, &a);
	look(world, &link, 1);
	assert_true(e->missing && e->refresh);
	assert_int_equal(e->ident, ident);
}

static void a_device_that_is_not_there_is_refused(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9);

	put_pod_uid(world, "new", "u1", "", 1);
	tell(world, &a);
	look(world, NULL, 0);
	assert_int_equal(world->refused, -ENODEV);
	assert_null(endpoints_attachment_find(world->endpoints, &a));
	assert_null(endpoint_of(world, "new"));
}

// What a pod may do behind its veth: moves its end, so that it has another index in another namespace, and gives it
// the address of a pod that waits.
static void move_end(struct link_pod *link, const char *ip)
{
	link->peer_ifindex++;
	link->nsid++;
	assert_ok(addr_parse(ip, &link->addrs[0]));
}

static void only_the_hosts_list_ends_an_attachment(void **state)
{
	struct world *world = *state;
	struct attachment told = given("c", "evil", "u1", "10.0.0.5", 8), recorded = given("d", "bad", "u2", "10.0.0.6", 9);
	struct link_pod links[] = { link_at("10.0.0.5", 8), link_at("10.0.0.6", 9) };

	assert_ok(endpoints_attachment_add(world->endpoints, &recorded));
	tell(world, &told);
	look(world, links, 2);
	put_pod_uid(world, "victim", "u7", "10.0.0.7", 1);
	put_pod_uid(world, "other", "u8", "10.0.0.8", 1);
	move_end(&links[0], "10.0.0.7");
	move_end(&links[1], "10.0.0.8");
	scan(world, links, 2);
	scan(world, links, 2);
	assert_int_equal(endpoint_of(world, "victim")->phase, ENDPOINT_WAITING);
	assert_int_equal(endpoint_of(world, "other")->phase, ENDPOINT_WAITING);
	assert_non_null(endpoints_attachment_find(world->endpoints, &told));
	assert_non_null(endpoints_attachment_find(world->endpoints, &recorded));
	put_pod_uid(world, "evil", "u1", "", 2); // its object, at last
	look(world, links, 2);
	assert_int_equal(endpoint_of(world, "evil")->ifindex, 8);
	assert_int_equal(world->refused, 0);
	scan(world, &links[0], 1);
	assert_null(endpoints_attachment_find(world->endpoints, &recorded));
}

static void a_recorded_device_stays_shut_wherever_its_other_side_is(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "evil", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	assert_ok(endpoints_attachment_add(world->endpoints, &a));
	scan_early(world, &link, 1);
	move_end(&link, "10.0.0.9");
	scan_at(world, &link, 1, 1);
	scan_at(world, &link, 1, 2 + ENDPOINT_HOLD_MS);
	assert_non_null(endpoints_by_device(world->endpoints, 9));
	assert_true(endpoints_by_device(world->endpoints, 9)->unowned);
}

// DEL, GC or a refusal while a scan is under way that asked nobody about this device, since it was known.
static void a_device_that_was_taken_back_is_nobodys_until_its_processes_were_asked(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "evil", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.7", 9);

	tell(world, &a);
	look(world, &link, 1);
	put_pod_uid(world, "victim", "u7", "10.0.0.7", 1);
	link_route(&link, "10.0.0.7");
	link.unasked = true;
	assert_true(endpoints_attachment_remove(world->endpoints, &a));
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "victim")->phase, ENDPOINT_WAITING);
	assert_true(endpoints_want_scan(world->endpoints));
	link.unasked = false;
	link_uid(&link, "u1");
	scan(world, &link, 1);
	assert_int_equal(endpoint_of(world, "victim")->phase, ENDPOINT_WAITING);
	assert_false(endpoints_want_scan(world->endpoints));
}

static void a_record_whose_device_went_is_dropped_by_the_first_scan(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "gone", "u1", "10.0.0.5", 9), b = given("d", "there", "u2", "10.0.0.6", 8);
	struct link_pod link = link_at("10.0.0.6", 8);

	assert_ok(endpoints_attachment_add(world->endpoints, &a));
	assert_ok(endpoints_attachment_add(world->endpoints, &b));
	put_pod_uid(world, "gone", "u1", "", 1);
	put_pod_uid(world, "there", "u2", "", 1);
	scan(world, &link, 1);
	assert_null(endpoints_attachment_find(world->endpoints, &a));
	assert_null(endpoint_of(world, "gone"));
	assert_int_equal(endpoint_of(world, "there")->phase, ENDPOINT_FOUND);
	endpoints_device_gone(world->endpoints, 8);
	assert_null(endpoints_attachment_find(world->endpoints, &b));
	assert_null(endpoint_of(world, "there"));
}

static void a_second_interface_is_refused_and_changes_nothing(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9), second = given("c", "new", "u1", "10.9.0.5", 10);
	struct link_pod links[] = { link_at("10.0.0.5", 9), link_at("10.9.0.5", 10) };

	snprintf(second.ifname, sizeof(second.ifname), "net1");
	put_pod_uid(world, "new", "u1", "", 1);
	tell(world, &a);
	look(world, links, 2);
	tell(world, &second);
	look(world, links, 2);
	assert_int_equal(world->refused, -EEXIST);
	assert_int_equal(endpoint_of(world, "new")->ifindex, 9);
	assert_true(has_addr(world, "new", "10.0.0.5"));
	assert_null(endpoints_by_device(world->endpoints, 10));
}

static void a_new_sandbox_takes_the_pod_over(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9), b = given("d", "new", "u1", "10.0.0.6", 10);
	struct link_pod links[] = { link_at("10.0.0.5", 9), link_at("10.0.0.6", 10) };

	put_pod_uid(world, "new", "u1", "", 1);
	tell(world, &a);
	look(world, links, 2);
	tell(world, &b);
	look(world, links, 2);
	assert_int_equal(endpoints_by_device(world->endpoints, 9)->phase, ENDPOINT_ORPHAN);
	assert_int_equal(endpoints_by_device(world->endpoints, 10)->phase, ENDPOINT_FOUND);
	assert_true(has_addr(world, "new", "10.0.0.6"));
	endpoints_attachment_remove(world->endpoints, &a); // the late end of the first one
	assert_true(has_addr(world, "new", "10.0.0.6"));
}

static void the_same_one_again_takes_its_own_place(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "u1", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	put_pod_uid(world, "new", "u1", "", 1);
	for (int i = 0; i < 5; i++) {
		tell(world, &a);
		look(world, &link, 1);
		assert_null(endpoints_attachment_at(world->endpoints, 1));
	}
	assert_int_equal(world->joined, 1);
}

static void an_object_that_comes_later_has_its_device_looked_at(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "new", "", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	tell(world, &a);
	look(world, &link, 1);
	endpoints_check(world->endpoints, 1);
	assert_str(world->problem, "");
	endpoints_check(world->endpoints, 1 + ENDPOINT_WAIT_MS);
	assert_str_contains(world->problem, "container c eth0: no pod x/new of this node is known for more than 10 s");
	put_pod_uid(world, "new", "u1", "", 1);
	look(world, &link, 1);
	assert_int_equal(endpoint_of(world, "new")->phase, ENDPOINT_FOUND);
	endpoints_check(world->endpoints, 2 + ENDPOINT_WAIT_MS);
	assert_str_contains(world->problem, "container c eth0: gone");
}

static void r09_an_address_lent_to_a_new_pod_leaves_the_old_one_nothing(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "old", "u1", "10.0.0.5", 9), b = given("d", "new", "u2", "10.0.0.5", 10);
	struct link_pod first = link_at("10.0.0.5", 9), next = link_at("10.0.0.5", 10);
	uint32_t ident;

	put_pod_uid(world, "old", "u1", "10.0.0.5", 1);
	tell(world, &a);
	look(world, &first, 1);
	ident = endpoint_of(world, "old")->ident;
	endpoints_attachment_remove(world->endpoints, &a);
	endpoints_device_gone(world->endpoints, 9);
	put_pod_uid(world, "new", "u2", "", 2);
	tell(world, &b);
	look(world, &next, 1);
	assert_int_equal(endpoint_of(world, "new")->ifindex, 10);
	assert_int_not_equal(endpoint_of(world, "new")->ident, ident);
	assert_int_equal(endpoint_of(world, "old")->phase, ENDPOINT_WAITING);
	assert_int_equal(store_remove(world->store, KIND_POD, "x", "old"), 1);
	assert_null(endpoint_of(world, "old"));
	assert_true(has_addr(world, "new", "10.0.0.5"));
}

// Where the runtime says no UID, a sandbox that is left over is not the next pod's of that name.
static void assert_heir_gets_nothing(struct world *world, const struct link_pod *link)
{
	put_pod_uid(world, "db", "u2", "", 2);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_ORPHAN); // it has no address, as nobody lends it one
	assert_false(endpoints_want_look(world->endpoints));
	put_pod_uid(world, "db", "u2", "10.0.0.5", 2);
	scan(world, link, 1);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_WAITING);
	assert_int_equal(endpoints_by_device(world->endpoints, 9)->phase, ENDPOINT_ORPHAN);
	assert_str(endpoints_by_device(world->endpoints, 9)->uid, "u1");
}

static void an_attachment_without_uid_is_its_first_pods_for_good(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "db", "", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	put_pod_uid(world, "db", "u1", "", 1);
	tell(world, &a);
	look(world, &link, 1);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_FOUND);
	assert_int_equal(store_remove(world->store, KIND_POD, "x", "db"), 1);
	assert_heir_gets_nothing(world, &link);
}

static void an_object_that_comes_later_has_it_for_good(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "db", "", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	tell(world, &a);
	look(world, &link, 1);
	put_pod_uid(world, "db", "u1", "", 1);
	look(world, &link, 1);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_FOUND);
	assert_heir_gets_nothing(world, &link); // one object follows the other
}

static void whose_it_is_outlives_the_agent(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "db", "", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	put_pod_uid(world, "db", "u1", "", 1);
	tell(world, &a);
	look(world, &link, 1);
	assert_int_equal(store_remove(world->store, KIND_POD, "x", "db"), 1);
	assert_ok(store_recall(world->store, "x", "db"));
	endpoints_free(world->endpoints);
	open_registry(world);
	assert_ok(endpoints_inherit(world->endpoints));
	assert_ok(endpoints_attachment_add(world->endpoints, &a));
	scan(world, &link, 1);
	assert_heir_gets_nothing(world, &link);
}

// Where the API server can be asked, what the watch shows still of the pod before it is not believed.
static void an_attachment_without_uid_waits_for_whose_the_name_is(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "db", "", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	a.undecided = true;
	put_pod_uid(world, "db", "u1", "", 1);
	tell(world, &a);
	assert_non_null(endpoints_attachment_ask(world->endpoints));
	assert_null(endpoints_attachment_ask(world->endpoints)); // once
	look(world, &link, 1);
	assert_null(endpoint_of(world, "db")); // no device and no address is its
	put_pod_uid(world, "db", "u2", "", 2); // the answer
	assert_non_null(endpoints_attachment_ask(world->endpoints)); // as it would if the watch had said it
	endpoints_attachment_decide(world->endpoints, "x", "other");
	assert_false(endpoints_want_look(world->endpoints));
	endpoints_attachment_decide(world->endpoints, "x", "db");
	assert_null(endpoints_attachment_ask(world->endpoints));
	look(world, &link, 1);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_FOUND);
	assert_str(endpoints_by_device(world->endpoints, 9)->uid, "u2");
	tell(world, &a); // ADD again: the device says whose it is
	assert_null(endpoints_attachment_ask(world->endpoints));
	look(world, &link, 1);
	put_pod_uid(world, "db", "u3", "", 3);
	assert_str(endpoints_by_device(world->endpoints, 9)->uid, "u2"); // for good
	assert_int_equal(endpoints_by_device(world->endpoints, 9)->phase, ENDPOINT_ORPHAN);
}

// Its object has another UID each time that it is made anew, while its sandbox lives on.
static void a_static_pods_sandbox_is_any_objects(void **state)
{
	struct world *world = *state;
	struct attachment a = given("c", "db", "", "10.0.0.5", 9);
	struct link_pod link = link_at("10.0.0.5", 9);

	a.is_static = true;
	put_pod_uid(world, "db", "u1", "", 1);
	tell(world, &a);
	look(world, &link, 1);
	put_pod_uid(world, "db", "u2", "", 2);
	look(world, &link, 1);
	assert_int_equal(endpoint_of(world, "db")->phase, ENDPOINT_FOUND);
	assert_str(endpoints_by_device(world->endpoints, 9)->uid, "u2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_hosts_word_is_the_best_evidence),
		TEST(a_device_that_was_given_is_found_without_a_scan),
		TEST(the_objects_addresses_win),
		TEST(without_its_attachment_a_pod_without_address_is_shut_in),
		TEST(a_device_that_another_pod_was_taken_to_have_passes),
		TEST(a_scan_that_was_faster_gets_its_programs_put_again),
		TEST(a_device_that_is_not_there_is_refused),
		TEST(only_the_hosts_list_ends_an_attachment),
		TEST(a_recorded_device_stays_shut_wherever_its_other_side_is),
		TEST(a_device_that_was_taken_back_is_nobodys_until_its_processes_were_asked),
		TEST(a_record_whose_device_went_is_dropped_by_the_first_scan),
		TEST(a_second_interface_is_refused_and_changes_nothing),
		TEST(a_new_sandbox_takes_the_pod_over),
		TEST(the_same_one_again_takes_its_own_place),
		TEST(an_object_that_comes_later_has_its_device_looked_at),
		TEST(an_attachment_without_uid_is_its_first_pods_for_good),
		TEST(an_object_that_comes_later_has_it_for_good),
		TEST(whose_it_is_outlives_the_agent),
		TEST(an_attachment_without_uid_waits_for_whose_the_name_is),
		TEST(a_static_pods_sandbox_is_any_objects),
		TEST(r09_an_address_lent_to_a_new_pod_leaves_the_old_one_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
