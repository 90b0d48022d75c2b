// SPDX-License-Identifier: Apache-2.0
// hook_test.c - the netfilter program where another bpffs is mounted over its pins: none is lost, none is doubled.
#include "tests/bpf/rig.h"

#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/bpf/hook.h"
#include "agent/bpf/state.h"
#include "agent/bpf/sys.h"

#define KEPT "/run/kept" // leads to the folder that is covered

static const char *const pins[HOOK_PLACES] = { "post4", "in4", "post6", "in6" };

static int setup(void **state)
{
	if (rig_setup(state))
		return -1;
	net_run("mkdir -p " KEPT);
	net_run("nft 'table inet t { chain c { type filter hook forward priority 0; ct state new counter; }; }'");
	return 0;
}

static int teardown(void **state)
{
	struct err err = { 0 };

	tables_close(*state);
	*state = NULL;
	assert_ok_err(tables_unpin(RIG_DIR, &err), &err);
	net_run("umount " RIG_DIR " && umount " KEPT);
	return rig_teardown(state);
}

static void want(struct tables *tables)
{
	struct err err = { 0 };

	assert_ok_err(hook_want(tables, true, &err), &err);
}

// As the watchdog looks. Whether something was attached again.
static bool watch(struct tables *tables)
{
	struct err err = { 0 };
	bool repaired;
	int r = tables_repin(tables, &err);

	assert_true(r >= 0);
	assert_ok_err(hook_watch(tables, 60, &repaired, &err), &err);
	if (r == 0)
		tables_repinned(tables);
	return repaired;
}

static int open_link(const char *folder, int i)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/bh_hook/%s", folder, pins[i]);
	return bpf_obj_get(path);
}

static void links_of(const char *folder, struct sys_link ret[static HOOK_PLACES])
{
	for (int i = 0; i < HOOK_PLACES; i++) {
		_cleanup_close_ int link = open_link(folder, i);

		assert_true(link >= 0);
		assert_ok(sys_link_info(link, &ret[i]));
	}
}

static void cover(void)
{
	net_run("mount --bind " RIG_DIR " " KEPT " && mount -t bpf bpf " RIG_DIR);
}

static void test_links_are_pinned_again(void **state)
{
	struct sys_link before[HOOK_PLACES], after[HOOK_PLACES];

	want(*state);
	links_of(RIG_DIR, before);
	cover();
	assert_false(watch(*state));
	links_of(RIG_DIR, after);
	for (int i = 0; i < HOOK_PLACES; i++)
		assert_int_equal(after[i].id, before[i].id);
	assert_true(tables_node_has(*state, BH_NODE_HOOK)); // not for a moment was what is mixed denied
	assert_false(watch(*state));
	links_of(RIG_DIR, after);
	assert_int_equal(after[0].id, before[0].id);
}

// A plan needs the program before the watchdog has looked: it is attached anew, and the one that nobody finds goes.
static void test_a_link_that_was_replaced_meanwhile_goes(void **state)
{
	struct hook_place first[HOOK_PLACES], now[HOOK_PLACES];

	want(*state);
	hook_places(*state, first);
	cover();
	want(*state);
	hook_places(*state, now);
	assert_int_not_equal(now[0].priority, first[0].priority);
	watch(*state);
	for (int i = 0; i < HOOK_PLACES; i++) {
		_cleanup_close_ int old = open_link(KEPT, i), program = -1, link = -1;
		struct sys_netfilter where;
		struct sys_link info;

		assert_true(old >= 0);
		assert_ok(sys_netfilter_info(old, &where));
		assert_int_equal(where.priority, first[i].priority);
		assert_ok(sys_link_info(old, &info));
		program = bpf_prog_get_fd_by_id(info.program);
		link = sys_netfilter_attach(program, &where);
		assert_true(link >= 0); // its place is free
	}
}

// The links are gone and cannot be pinned: nothing is let pass to them, and that is told.
static void test_what_cannot_be_pinned_again_lets_nothing_pass(void **state)
{
	struct tables *tables = *state;
	struct err err = { 0 };
	bool repaired;

	want(tables);
	assert_true(tables_node_has(tables, BH_NODE_HOOK));
	cover();
	assert_true(tables_repin(tables, &err) >= 0);
	assert_ok(bpf_obj_pin(tables->maps[TABLE_NODE].fd, RIG_DIR "/bh_hook")); // no folder
	for (int i = 0; i < HOOK_PLACES; i++) {
		_cleanup_close_ int old = open_link(KEPT, i);

		assert_true(old >= 0);
		assert_ok(bpf_link_detach(old));
	}
	assert_true(hook_watch(tables, 60, &repaired, &err) < 0);
	assert_true(err.text[0]);
	assert_false(tables_node_has(tables, BH_NODE_HOOK));
	assert_ok(unlink(RIG_DIR "/bh_hook"));
	assert_true(watch(tables));
	assert_true(tables_node_has(tables, BH_NODE_HOOK));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_links_are_pinned_again),
		TEST(test_a_link_that_was_replaced_meanwhile_goes),
		TEST(test_what_cannot_be_pinned_again_lets_nothing_pass),
	};

	if (net_private() < 0)
		return 1;
	if (!feature_have(FEATURE_NETFILTER_LINK)) {
		puts("this kernel has no netfilter links: 1 passed, 0 failed");
		return 0;
	}
	return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}
