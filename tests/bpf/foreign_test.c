// SPDX-License-Identifier: Apache-2.0
// foreign_test.c - programs of others on the same veth are neither removed nor skipped, nor let in front.
#include "tests/bpf/foreign.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static struct foreign foreign_clsact(enum bpf_tc_attach_point point, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = net_ifindex(DEVICE), .attach_point = point);
	struct foreign foreign = foreign_new();
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = 1,
		    .prog_fd = bpf_program__fd(foreign.skel->progs.foreign));

	bpf_tc_hook_create(&hook);
	assert_ok(bpf_tc_attach(&hook, &opts));
	return foreign;
}

// Packets that it saw since it was last asked.
static uint64_t foreign_saw(struct foreign *foreign)
{
	uint32_t zero = 0;
	uint64_t before = foreign->seen;

	assert_ok(
		bpf_map_lookup_elem(bpf_map__fd(foreign->skel->maps.seen), &zero, &foreign->seen));
	return foreign->seen - before;
}

// R40: a foreign program that was there first keeps running, behind ours; one that comes in front is
// noticed, and put behind without being touched; all outlive ours.
static void test_r40_foreign_tcx_programs_stay(void **state)
{
	struct foreign first = foreign_tcx(SYS_TCX_INGRESS), second;
	struct err err;

	attach(*state, BH_ATTACH_TCX, 1);
	assert_in_force(*state, BH_ATTACH_TCX);
	assert_passes(true);
	assert_true(foreign_saw(&first) > 0);

	second = foreign_tcx(SYS_TCX_EGRESS);
	assert_err(check(*state, BH_ATTACH_TCX, &err), -EXDEV);
	assert_str_contains(err.text, "'" DEVICE "'");
	assert_str_contains(err.text, "egress");
	attach(*state, BH_ATTACH_TCX, 1);
	assert_in_force(*state, BH_ATTACH_TCX);
	assert_passes(true);
	assert_true(foreign_saw(&first) > 0 && foreign_saw(&second) > 0);

	attach(*state, BH_ATTACH_TCX, 2); // ours drop: the ones behind see nothing of the pod's
	foreign_saw(&first);
	assert_passes(false);
	assert_int_equal(foreign_saw(&first), 0);

	detach(*state, BH_ATTACH_TCX);
	assert_passes(true);
	assert_true(foreign_saw(&first) > 0 && foreign_saw(&second) > 0);
	foreign_end(&first);
	foreign_end(&second);
}

static void test_r40_foreign_filters_stay(void **state)
{
	struct foreign first = foreign_clsact(BPF_TC_INGRESS, 1), second;
	struct err err;

	attach(*state, BH_ATTACH_CLSACT, 1);
	assert_in_force(*state, BH_ATTACH_CLSACT);
	assert_passes(true);
	assert_true(foreign_saw(&first) > 0);

	second = foreign_clsact(BPF_TC_INGRESS, 2); // the newest of a priority runs first
	assert_err(check(*state, BH_ATTACH_CLSACT, &err), -EXDEV);
	assert_str_contains(err.text, "ingress");
	attach(*state, BH_ATTACH_CLSACT, 1);
	assert_in_force(*state, BH_ATTACH_CLSACT);
	attach(*state, BH_ATTACH_CLSACT, 1); // in place, under the other handle
	assert_in_force(*state, BH_ATTACH_CLSACT);
	assert_passes(true);
	assert_true(foreign_saw(&first) > 0 && foreign_saw(&second) > 0);

	detach(*state, BH_ATTACH_CLSACT);
	assert_passes(true);
	assert_true(foreign_saw(&first) > 0 && foreign_saw(&second) > 0);
	net_run("tc qdisc show dev " DEVICE " | grep -q clsact"); // not ours
	net_run("! tc filter show dev " DEVICE " ingress | grep -q bh_");
	foreign_end(&first);
	foreign_end(&second);
}

// Our qdisc stays for as long as somebody else has a filter on it.
static void test_r40_our_qdisc_stays_under_a_foreign_filter(void **state)
{
	struct foreign foreign;

	attach(*state, BH_ATTACH_CLSACT, 1);
	foreign = foreign_clsact(BPF_TC_EGRESS, 1);
	detach(*state, BH_ATTACH_CLSACT);
	assert_passes(true);
	assert_true(foreign_saw(&foreign) > 0);
	foreign_end(&foreign);
}

static void test_tcx_in_front_of_our_filter_is_noticed(void **state)
{
	struct foreign foreign;
	struct err err;

	attach(*state, BH_ATTACH_CLSACT, 1);
	foreign = foreign_tcx(SYS_TCX_INGRESS);
	assert_err(check(*state, BH_ATTACH_CLSACT, &err), -EXDEV);
	assert_str_contains(err.text, "tcx");
	foreign_end(&foreign);
	assert_in_force(*state, BH_ATTACH_CLSACT);
	detach(*state, BH_ATTACH_CLSACT);
}

static void test_a_priority_held_by_another_kind_is_told(void **state)
{
	struct program_pair pair = load(*state, 1);
	struct err err = { 0 };

	net_run("tc qdisc add dev " DEVICE " clsact && tc filter add dev " DEVICE
		" ingress prio 1 protocol ip u32 match u32 0 0 classid 1:1");
	assert_err(program_attach(*state, SLOT, net_ifindex(DEVICE), BH_ATTACH_CLSACT, &pair, &err),
		   -EXDEV);
	assert_str_contains(err.text, "'u32'");
	program_pair_close(&pair);
	detach(*state, BH_ATTACH_CLSACT);
	net_run("tc filter show dev " DEVICE " ingress | grep -q u32");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pod_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_r40_foreign_tcx_programs_stay),
		TEST(test_r40_foreign_filters_stay),
		TEST(test_r40_our_qdisc_stays_under_a_foreign_filter),
		TEST(test_tcx_in_front_of_our_filter_is_noticed),
		TEST(test_a_priority_held_by_another_kind_is_told),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
