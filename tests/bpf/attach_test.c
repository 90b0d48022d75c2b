// SPDX-License-Identifier: Apache-2.0
// attach_test.c - programs on a real veth, by tcx and by clsact: replaced under traffic, outliving the agent.
#include "tests/bpf/pod.h"

#include <linux/bpf.h>
#include <pthread.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/bpf/attach.h"
#include "tests/bpf/foreign.h"

static void assert_no_filters(void)
{
	net_run("! tc filter show dev " DEVICE " ingress | grep -q .");
	net_run("! tc filter show dev " DEVICE " egress | grep -q .");
}

static void attaches_judges_detaches(struct tables *tables, enum bh_attach mode)
{
	struct bh_count count = { 0 };
	struct err err;

	assert_err(check(tables, mode, &err), -ENOENT);
	attach(tables, mode, 1);
	assert_in_force(tables, mode);
	assert_passes(true);
	assert_ok(tables_count_get(tables, SLOT, BH_INGRESS, &count));
	assert_true(count.packets >= 1);
	assert_ok(tables_count_get(tables, SLOT, BH_EGRESS, &count));
	assert_true(count.packets >= 1);
	attach(tables, mode, 2); // another pod's programs: they drop
	assert_in_force(tables, mode);
	assert_passes(false);
	detach(tables, mode);
	assert_err(check(tables, mode, &err), -ENOENT);
	assert_passes(true);
	detach(tables, mode); // again: fine
	net_run("test ! -e " RIG_DIR "/ep/3");
}

static void test_tcx_attaches_judges_detaches(void **state)
{
	attaches_judges_detaches(*state, BH_ATTACH_TCX);
}

static void test_clsact_attaches_judges_detaches(void **state)
{
	attaches_judges_detaches(*state, BH_ATTACH_CLSACT);
	assert_no_filters();
}

// Filters, unless they could not be in front or not be there at all, and the kernel has another way.
static void test_the_way_to_begin(void **state)
{
	struct foreign foreign;
	int ifindex = net_ifindex(DEVICE);

	assert_int_equal(program_attach_first(ifindex, false), BH_ATTACH_CLSACT);
	net_run("tc qdisc add dev " DEVICE " clsact");
	assert_int_equal(program_attach_first(ifindex, false), BH_ATTACH_CLSACT);
	net_run("tc qdisc del dev " DEVICE " clsact && tc qdisc add dev " DEVICE " ingress");
	assert_int_equal(program_attach_first(ifindex, false), BH_ATTACH_TCX);
	attach(*state, BH_ATTACH_TCX, 1);
	assert_in_force(*state, BH_ATTACH_TCX);
	net_run("tc qdisc show dev " DEVICE " | grep -q ingress && tc qdisc del dev " DEVICE " ingress");
	detach(*state, BH_ATTACH_TCX);

	for (int side = 0; side < 2; side++) {
		net_run("tc qdisc add dev " DEVICE " clsact");
		net_run(side ? "tc filter add dev " DEVICE " egress prio 1 u32 match u32 0 0 classid 1:1" :
			       "tc filter add dev " DEVICE " ingress prio 1 u32 match u32 0 0 classid 1:1");
		assert_int_equal(program_attach_first(ifindex, false), BH_ATTACH_TCX);
		attach(*state, BH_ATTACH_TCX, 1);
		assert_in_force(*state, BH_ATTACH_TCX);
		detach(*state, BH_ATTACH_TCX);
		net_run("tc qdisc del dev " DEVICE " clsact");
	}

	assert_int_equal(program_attach_first(ifindex, true), BH_ATTACH_TCX); // a pod that runs
	foreign = foreign_tcx(SYS_TCX_EGRESS);
	assert_int_equal(program_attach_first(ifindex, false), BH_ATTACH_TCX);
	feature_force_mask(FEATURE_BIT(FEATURE_TCX));
	assert_false(program_can_move());
	assert_int_equal(program_attach_first(ifindex, false), BH_ATTACH_CLSACT);
	foreign_end(&foreign);
}

// Filters for egress would run at ingress: nothing of it is taken for in force.
static void test_an_ingress_qdisc_has_no_egress(void **state)
{
	struct program_pair pair;
	struct err err = { 0 };

	net_run("tc qdisc add dev " DEVICE " ingress");
	pair = load(*state, 1);
	assert_err(program_attach(*state, SLOT, net_ifindex(DEVICE), BH_ATTACH_CLSACT, &pair, &err), -EXDEV);
	assert_non_null(strstr(err.text, "'ingress' qdisc"));
	program_pair_close(&pair);
	assert_true(check(*state, BH_ATTACH_CLSACT, &err) < 0);
	net_run("tc qdisc del dev " DEVICE " ingress && tc qdisc add dev " DEVICE " clsact");
	attach(*state, BH_ATTACH_CLSACT, 1);
	assert_in_force(*state, BH_ATTACH_CLSACT);
	net_run("tc qdisc del dev " DEVICE " clsact && tc qdisc add dev " DEVICE " ingress");
	assert_true(check(*state, BH_ATTACH_CLSACT, &err) < 0);
	net_run("tc qdisc del dev " DEVICE " ingress");
	detach(*state, BH_ATTACH_CLSACT);
}

struct flood {
	struct pair pair;
	volatile bool stop;
	uint64_t sent;
};

static void *flood(void *arg)
{
	struct flood *f = arg;

	while (!f->stop)
		f->sent += send(f->pair.sock[0], "x", 1, MSG_DONTWAIT) == 1;
	return NULL;
}

// Programs that drop are replaced by programs that drop: a packet that gets through met a gap.
static void no_gap(struct tables *tables, enum bh_attach mode)
{
	struct flood f = { .pair = traffic() };
	struct program_pair pairs[2] = { load(tables, 2), load(tables, 3) };
	struct err err = { 0 };
	pthread_t thread;
	char buf[8];

	assert_ok_err(program_attach(tables, SLOT, net_ifindex(DEVICE), mode, &pairs[0], &err),
		      &err);
	assert_int_equal(pthread_create(&thread, NULL, flood, &f), 0);
	for (int i = 1; i <= 400; i++)
		assert_ok_err(program_attach(tables, SLOT, net_ifindex(DEVICE), mode, &pairs[i & 1],
					     &err),
			      &err);
	f.stop = true;
	pthread_join(thread, NULL);
	assert_true(f.sent > 1000);
	assert_int_equal(recv(f.pair.sock[1], buf, sizeof(buf), 0), -1);
	print_message("400 replacements, %lu packets, none through\n", f.sent);
	traffic_end(&f.pair);
	program_pair_close(&pairs[0]);
	program_pair_close(&pairs[1]);
	detach(tables, mode);
}

struct updates {
	struct tables *tables;
	enum bh_attach mode;
	int ifindex;
	struct program_pair pairs[2];
	volatile bool stop;
	volatile int n, r;
};

static void *update(void *arg)
{
	struct updates *u = arg;

	while (!u->stop && u->r == 0)
		u->r = program_attach(u->tables, SLOT, u->ifindex, u->mode, &u->pairs[u->n++ & 1],
				      NULL);
	return NULL;
}

// R4: programs that pass are replaced by programs that pass: nothing is lost.
static void no_loss(struct tables *tables, enum bh_attach mode)
{
	struct updates u = { .tables = tables,
			     .mode = mode,
			     .ifindex = net_ifindex(DEVICE),
			     .pairs = { load(tables, 1), load(tables, 1) } };
	struct pair pair = traffic();
	pthread_t thread;

	attach(tables, mode, 1);
	assert_int_equal(pthread_create(&thread, NULL, update, &u), 0);
	for (int i = 0; i < 2000 || (u.n <= 10 && u.r == 0); i++) // also where the machine is busy
		assert_true(passes(&pair, i & 1));
	u.stop = true;
	pthread_join(thread, NULL);
	assert_ok(u.r);
	assert_true(u.n > 10);
	traffic_end(&pair);
	program_pair_close(&u.pairs[0]);
	program_pair_close(&u.pairs[1]);
	detach(tables, mode);
}

static void test_r4_replacing_leaves_no_gap(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		no_gap(*state, modes[i]);
}

static void test_r4_replacing_loses_nothing(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		no_loss(*state, modes[i]);
}

// ---- from filters to tcx ----------------------------------------------------------------------------------

static void move(struct tables *tables)
{
	struct err err = { 0 };

	assert_ok_err(program_move(tables, SLOT, net_ifindex(DEVICE), &err), &err);
	assert_in_force(tables, BH_ATTACH_TCX);
	assert_no_filters();
	net_run("test ! -e " RIG_DIR "/ep/3/from_program -a ! -e " RIG_DIR "/ep/3/to_program");
}

// Programs that drop are moved under a flood: a packet that gets through met neither.
static void test_r4_moving_leaves_no_gap(void **state)
{
	struct flood f = { .pair = traffic() };
	pthread_t thread;
	char buf[8];

	attach(*state, BH_ATTACH_CLSACT, 2);
	assert_int_equal(pthread_create(&thread, NULL, flood, &f), 0);
	for (int i = 0; i < 10; i++) {
		move(*state);
		attach(*state, BH_ATTACH_CLSACT, 2);
	}
	f.stop = true;
	pthread_join(thread, NULL);
	assert_true(f.sent > 1000);
	assert_int_equal(recv(f.pair.sock[1], buf, sizeof(buf), 0), -1);
	print_message("10 moves there and back, %lu packets, none through\n", f.sent);
	traffic_end(&f.pair);
	detach(*state, BH_ATTACH_CLSACT);
}

static void *move_back_and_forth(void *arg)
{
	struct updates *u = arg;

	while (!u->stop && u->r == 0) {
		u->r = program_attach(u->tables, SLOT, u->ifindex, BH_ATTACH_CLSACT, &u->pairs[u->n++ & 1], NULL);
		if (u->r == 0)
			u->r = program_move(u->tables, SLOT, u->ifindex, NULL);
	}
	return NULL;
}

// Programs that pass are moved: nothing is lost. What met both is counted twice.
static void test_r4_moving_loses_nothing(void **state)
{
	struct updates u = { .tables = *state,
			     .ifindex = net_ifindex(DEVICE),
			     .pairs = { load(*state, 1), load(*state, 1) } };
	struct bh_count before = { 0 }, count = { 0 };
	struct pair pair = traffic();
	uint64_t sent = 0;
	pthread_t thread;

	attach(*state, BH_ATTACH_CLSACT, 1); // the qdisc that comes with it loses what is on its way
	attach(*state, BH_ATTACH_TCX, 1);
	assert_ok(tables_count_get(*state, SLOT, BH_INGRESS, &before));
	assert_int_equal(pthread_create(&thread, NULL, move_back_and_forth, &u), 0);
	for (; sent < 1000 || (u.n <= 10 && u.r == 0); sent++) {
		assert_true(passes(&pair, 0));
		assert_true(passes(&pair, 1));
	}
	u.stop = true;
	pthread_join(thread, NULL);
	assert_ok(u.r);
	assert_ok(tables_count_get(*state, SLOT, BH_INGRESS, &count));
	assert_true(count.packets - before.packets >= sent);
	print_message("%d moves there and back, %lu packets each way, none lost, %lu counted twice\n", u.n, sent,
		      (uint64_t)(count.packets - before.packets) - sent);
	traffic_end(&pair);
	program_pair_close(&u.pairs[0]);
	program_pair_close(&u.pairs[1]);
	detach(*state, BH_ATTACH_TCX);
}

// Links that have a place but no program of ours yet judge and count nothing, and one that ended at this point leaves
// nothing that the next one does not put right.
static void test_a_move_that_stopped_half_way(void **state)
{
	struct bh_count before = { 0 }, count = { 0 };
	struct sys_tcx_order order;
	struct err err = { 0 };

	attach(*state, BH_ATTACH_CLSACT, 1);
	for (int egress = 0; egress < 2; egress++) {
		struct hook hook = { RIG_DIR "/ep/3", net_ifindex(DEVICE), egress };

		assert_ok_err(attach_tcx.place(&hook, &err), &err);
	}
	assert_ok(tables_count_get(*state, SLOT, BH_INGRESS, &before));
	assert_passes(true);
	assert_ok(tables_count_get(*state, SLOT, BH_INGRESS, &count));
	assert_int_equal(count.packets, before.packets + 1);
	attach(*state, BH_ATTACH_CLSACT, 1); // the next agent, by what the record says
	assert_in_force(*state, BH_ATTACH_CLSACT);
	assert_ok(sys_tcx_order(net_ifindex(DEVICE), SYS_TCX_INGRESS, &order));
	assert_int_equal(order.n, 0);
	move(*state);
	assert_err(program_move(*state, SLOT, net_ifindex(DEVICE), &err), -ENOENT); // there is nothing more to move
	assert_in_force(*state, BH_ATTACH_TCX);
	detach(*state, BH_ATTACH_TCX);
}

// ---- pins that go, links that stay ------------------------------------------------------------------------

// Another bpffs is mounted over the pins: the link that is there is pinned again, none is added.
static void test_links_without_pins_are_pinned_again(void **state)
{
	struct sys_tcx_order before, after;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		attach(*state, modes[i], 1);
		assert_ok(sys_tcx_order(net_ifindex(DEVICE), SYS_TCX_EGRESS, &before));
		net_run("mkdir /run/kept && mount --bind " RIG_DIR " /run/kept && mount -t bpf bpf " RIG_DIR);
		assert_err(check(*state, modes[i], &err), -ENOENT);
		attach(*state, modes[i], 1);
		assert_in_force(*state, modes[i]);
		assert_ok(sys_tcx_order(net_ifindex(DEVICE), SYS_TCX_EGRESS, &after));
		assert_int_equal(after.n, before.n);
		assert_int_equal(after.link[0], before.link[0]);
		net_run("rm -r /run/kept/ep && umount /run/kept && rmdir /run/kept");
		assert_in_force(*state, modes[i]);
		assert_passes(true);
		detach(*state, modes[i]);
		net_run("umount " RIG_DIR);
	}
}

// ---- the quarantine of a pod's start ----------------------------------------------------------------------

// As the CNI plugin puts it.
static void shut_by(enum bh_attach mode)
{
	static const struct bpf_insn drop[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2 }, // TC_ACT_SHOT
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int program =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bh_shut", "Apache-2.0", drop, 2, NULL);

	assert_true(program >= 0);
	for (int egress = 0; egress < 2; egress++) {
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = net_ifindex(DEVICE),
			    .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 0x62680001, .priority = 1, .prog_fd = program,
			    .flags = BPF_TC_F_REPLACE);

		if (mode == BH_ATTACH_TCX) {
			assert_ok(bpf_prog_attach(program, net_ifindex(DEVICE),
						  (enum bpf_attach_type)(egress ? SYS_TCX_EGRESS : SYS_TCX_INGRESS),
						  1 << 3));
			continue;
		}
		bpf_tc_hook_create(&hook);
		assert_ok(bpf_tc_attach(&hook, &opts));
	}
}

static void assert_bare(void)
{
	struct sys_tcx_order order;

	assert_ok(sys_tcx_order(net_ifindex(DEVICE), SYS_TCX_INGRESS, &order));
	assert_int_equal(order.n, 0);
	assert_no_filters();
	assert_passes(true);
}

static void shut_then(struct tables *tables, enum bh_attach by, enum bh_attach mode)
{
	struct err err;

	shut_by(by);
	assert_passes(false);
	assert_err(check(tables, mode, &err), -ENOENT);
	assert_str_contains(err.text, "quarantine");
	attach(tables, mode, 1);
	assert_in_force(tables, mode);
	assert_passes(true);
	shut_by(by); // a second ADD of the same device
	assert_err(check(tables, mode, &err), -ENOENT);
	attach(tables, mode, 1);
	assert_in_force(tables, mode);
	assert_passes(true);
	detach(tables, mode);
	assert_bare();
}

static void test_the_start_quarantine_is_replaced(void **state)
{
	for (size_t by = 0; by < ARRAY_SIZE(modes); by++)
		for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
			shut_then(*state, modes[by], modes[i]);
	shut_by(BH_ATTACH_TCX);
	assert_int_equal(program_attach_first(net_ifindex(DEVICE), false), BH_ATTACH_TCX); // filters would not do
	attach(*state, BH_ATTACH_CLSACT, 1); // where they are told to all the same: ours is not foreign
	detach(*state, BH_ATTACH_CLSACT);
}

// One that returns OK, between the quarantine and our filter, would open the pod without a judge: the quarantine stays,
// and so does what we had at tcx.
static void test_the_start_quarantine_stays_in_front_of_a_foreign_tcx_program(void **state)
{
	struct program_pair pair = load(*state, 1);
	struct pair packets = traffic();
	int ifindex = net_ifindex(DEVICE);

	for (int side = 0; side < 2; side++) {
		struct foreign foreign = foreign_tcx(side ? SYS_TCX_EGRESS : SYS_TCX_INGRESS);
		struct err err = { 0 };

		shut_by(BH_ATTACH_TCX);
		assert_err(program_attach(*state, SLOT, ifindex, BH_ATTACH_CLSACT, &pair, &err), -EXDEV);
		assert_str_contains(err.text, "is in front of our filter");
		assert_false(passes(&packets, 0) || passes(&packets, 1)); // of both sides: one pod, one quarantine
		attach(*state, BH_ATTACH_TCX, 1);
		assert_in_force(*state, BH_ATTACH_TCX);
		assert_passes(true);
		attach(*state, BH_ATTACH_TCX, 2); // drop
		assert_err(program_attach(*state, SLOT, ifindex, BH_ATTACH_CLSACT, &pair, &err), -EXDEV);
		assert_false(passes(&packets, !side));
		foreign_end(&foreign);
		detach(*state, BH_ATTACH_CLSACT);
	}
	traffic_end(&packets);
	program_pair_close(&pair);
}

// What cannot be closed by filters is closed all the same where the quarantine is first, and not where it is behind.
static void test_the_start_quarantine_closes(void **state)
{
	struct program_pair closed = load(*state, 2);
	int ifindex = net_ifindex(DEVICE);
	struct foreign foreign;
	struct err err = { 0 };

	net_run("tc qdisc add dev " DEVICE " ingress");
	shut_by(BH_ATTACH_TCX);
	assert_ok_err(program_shut(*state, SLOT, ifindex, &closed, &err), &err);
	assert_passes(false);
	foreign = foreign_tcx(SYS_TCX_EGRESS);
	assert_err(program_shut(*state, SLOT, ifindex, &closed, &err), -EXDEV);
	assert_str_contains(err.text, "egress");
	foreign_end(&foreign);
	detach(*state, BH_ATTACH_CLSACT);
	program_pair_close(&closed);
	net_run("tc qdisc del dev " DEVICE " ingress");
	shut_by(BH_ATTACH_CLSACT);
	closed = load(*state, 2);
	assert_ok_err(program_shut(*state, SLOT, ifindex, &closed, &err), &err);
	assert_passes(false);
	program_pair_close(&closed);
}

// While its pod is not known.
static void test_the_start_quarantine_is_kept(void **state)
{
	int ifindex = net_ifindex(DEVICE);
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		shut_by(modes[i]);
		assert_int_equal(program_keep_shut(ifindex, &err), 0);
		if (modes[i] == BH_ATTACH_CLSACT)
			net_run("tc filter del dev " DEVICE " egress");
		else
			net_run("tc qdisc add dev " DEVICE " ingress");
		assert_int_equal(program_keep_shut(ifindex, &err), modes[i] == BH_ATTACH_CLSACT);
		assert_passes(false);
		assert_int_equal(program_keep_shut(ifindex, &err), 0);
		attach(*state, BH_ATTACH_TCX, 1);
		assert_int_equal(program_keep_shut(ifindex, &err), 0); // no more
		assert_passes(true);
		detach(*state, BH_ATTACH_TCX);
		if (modes[i] == BH_ATTACH_CLSACT)
			continue;
		assert_int_equal(program_keep_shut(ifindex, &err), 1); // filters cannot be there
		assert_passes(false);
		attach(*state, BH_ATTACH_TCX, 1);
		detach(*state, BH_ATTACH_TCX);
		net_run("tc qdisc del dev " DEVICE " ingress");
	}
	assert_err(program_keep_shut(ifindex + 100, &err), -ENODEV);
}

// Of a device that no agent has seen.
static void test_cleanup_takes_the_start_quarantine(void **state)
{
	struct err err = { 0 };

	tables_close(*state);
	*state = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		shut_by(modes[i]);
		assert_passes(false);
		assert_ok_err(program_detach_all(i ? RIG_DIR : "/run/bpf/never", &err), &err);
		assert_bare();
		net_run("! tc qdisc show dev " DEVICE " | grep -q clsact");
	}
	*state = rig_open(NULL);
}

static void test_programs_taken_off_by_others_are_missed(void **state)
{
	struct err err;

	attach(*state, BH_ATTACH_CLSACT, 1);
	net_run("tc qdisc del dev " DEVICE " clsact");
	assert_err(check(*state, BH_ATTACH_CLSACT, &err), -ENOENT);
	attach(*state, BH_ATTACH_CLSACT, 1);
	assert_in_force(*state, BH_ATTACH_CLSACT);
	detach(*state, BH_ATTACH_CLSACT);

	attach(*state, BH_ATTACH_TCX, 1);
	net_run("rm " RIG_DIR "/ep/3/to_link");
	assert_err(check(*state, BH_ATTACH_TCX, &err), -ENOENT);
	attach(*state, BH_ATTACH_TCX, 1);
	assert_in_force(*state, BH_ATTACH_TCX);
	detach(*state, BH_ATTACH_TCX);
}

static void test_the_way_can_change(void **state)
{
	struct sys_tcx_order order;

	attach(*state, BH_ATTACH_CLSACT, 1);
	attach(*state, BH_ATTACH_TCX, 1);
	assert_in_force(*state, BH_ATTACH_TCX);
	assert_no_filters();
	attach(*state, BH_ATTACH_CLSACT, 1);
	assert_in_force(*state, BH_ATTACH_CLSACT);
	assert_ok(sys_tcx_order(net_ifindex(DEVICE), SYS_TCX_INGRESS, &order));
	assert_int_equal(order.n, 0);
	attach(*state, BH_ATTACH_TCX, 1);
	detach(*state, BH_ATTACH_TCX);
	assert_no_filters();
}

// Our qdisc: whoever shuts the device while its programs go must not lose that with the qdisc.
static void test_a_living_device_keeps_its_qdisc(void **state)
{
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		attach(*state, BH_ATTACH_CLSACT, 1);
		attach(*state, modes[i], 1);
		detach(*state, modes[i]);
		net_run("tc qdisc show dev " DEVICE " | grep -q clsact");
		shut_by(BH_ATTACH_CLSACT);
		detach(*state, BH_ATTACH_CLSACT);
		program_forget_gone(*state);
		assert_passes(false);
		tables_close(*state);
		*state = NULL;
		assert_ok_err(program_detach_all(RIG_DIR, &err), &err);
		net_run("! tc qdisc show dev " DEVICE " | grep -q clsact && test ! -e " RIG_DIR "/qdisc/*");
		*state = rig_open(NULL);
	}
}

static void test_records_of_qdiscs_go_with_their_devices(void **state)
{
	attach(*state, BH_ATTACH_CLSACT, 1);
	detach(*state, BH_ATTACH_CLSACT);
	net_run("test -e " RIG_DIR "/qdisc/*");
	program_forget_gone(*state);
	net_run("test -e " RIG_DIR "/qdisc/* && ip link del " DEVICE);
	program_forget_gone(*state);
	net_run("test ! -e " RIG_DIR "/qdisc/* && ip netns del pod");
	net_pod("pod", DEVICE, NET);
}

static void device_goes(struct tables *tables, enum bh_attach mode)
{
	int before = net_ifindex(DEVICE);
	struct err err = { 0 };

	attach(tables, mode, 1);
	net_run("ip link del " DEVICE);
	assert_err(program_check(tables, SLOT, before, mode, &err), -ENODEV);
	net_run("ip netns del pod");
	net_pod("pod", DEVICE, NET);
	attach(tables, mode, 1); // the same slot, another device
	assert_in_force(tables, mode);
	net_run("ip link del " DEVICE);
	assert_ok_err(program_detach(tables, SLOT, before + 1, mode, &err), &err);
	net_run("test ! -e " RIG_DIR "/ep/3 && ip netns del pod");
	net_pod("pod", DEVICE, NET);
}

static void test_a_device_that_is_gone(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		device_goes(*state, modes[i]);
}

// An agent that is gone leaves its programs in force; the clean-up needs the pins only.
static void test_programs_outlive_the_agent_until_cleaned_up(void **state)
{
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		attach(*state, modes[i], 2);
		tables_close(*state);
		*state = NULL;
		assert_passes(false);
		assert_ok_err(program_detach_all(RIG_DIR, &err), &err);
		assert_passes(true);
		net_run("! tc qdisc show dev " DEVICE " | grep -q clsact");
		assert_ok_err(program_detach_all(RIG_DIR, &err), &err);
		*state = rig_open(NULL);
	}
	assert_ok_err(program_detach_all("/run/bpf/never", &err), &err);
}

static void test_the_open_variant_passes_all(void **state)
{
	struct program_config config = { .variant = PROGRAM_OPEN, .ident = ident_of(1) };
	struct program_pair pair;
	struct err err = { 0 };

	assert_ok_err(program_load(*state, &config, &pair, &err), &err);
	assert_ok_err(program_attach(*state, SLOT, net_ifindex(DEVICE), BH_ATTACH_TCX, &pair, &err),
		      &err);
	program_pair_close(&pair);
	assert_passes(true);
	attach(*state, BH_ATTACH_TCX, 1); // the tracking variant takes over in place
	assert_passes(true);
	detach(*state, BH_ATTACH_TCX);
}

// ---- figures ----------------------------------------------------------------------------------------

static double since_ms(uint64_t start)
{
	return (double)(sys_now_ns() - start) / 1e6;
}

static void test_figures(void **state)
{
	uint64_t start = sys_now_ns();
	struct program_pair pair = load(*state, 1);
	int ifindex = net_ifindex(DEVICE);
	double load_ms = since_ms(start);
	struct program_config open = { .variant = PROGRAM_OPEN, .ident = ident_of(1) };
	struct program_pair open_pair;
	struct err err = { 0 };

	start = sys_now_ns();
	assert_ok(program_load(*state, &open, &open_pair, &err));
	print_message("load: tracking %.1f ms, open %.1f ms\n", load_ms, since_ms(start));
	program_pair_close(&open_pair);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		double put, again, look;

		start = sys_now_ns();
		assert_ok(program_attach(*state, SLOT, ifindex, modes[i], &pair, &err));
		put = since_ms(start);
		start = sys_now_ns();
		for (int n = 0; n < 100; n++)
			assert_ok(program_attach(*state, SLOT, ifindex, modes[i], &pair, &err));
		again = since_ms(start) / 100;
		start = sys_now_ns();
		for (int n = 0; n < 100; n++)
			assert_in_force(*state, modes[i]);
		look = since_ms(start) / 100;
		start = sys_now_ns();
		detach(*state, modes[i]);
		print_message(
			"%s: attach %.2f ms, in place %.3f ms, check %.3f ms, detach %.2f ms\n",
			modes[i] == BH_ATTACH_TCX ? "tcx" : "clsact", put, again, look,
			since_ms(start));
	}
	assert_ok(program_attach(*state, SLOT, ifindex, BH_ATTACH_CLSACT, &pair, &err));
	start = sys_now_ns();
	assert_ok_err(program_move(*state, SLOT, ifindex, &err), &err);
	print_message("move from clsact to tcx %.2f ms\n", since_ms(start));
	detach(*state, BH_ATTACH_TCX);
	program_pair_close(&pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pod_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_tcx_attaches_judges_detaches),
		TEST(test_clsact_attaches_judges_detaches),
		TEST(test_the_way_to_begin),
		TEST(test_an_ingress_qdisc_has_no_egress),
		TEST(test_r4_replacing_leaves_no_gap),
		TEST(test_r4_replacing_loses_nothing),
		TEST(test_r4_moving_leaves_no_gap),
		TEST(test_r4_moving_loses_nothing),
		TEST(test_a_move_that_stopped_half_way),
		TEST(test_links_without_pins_are_pinned_again),
		TEST(test_the_start_quarantine_is_replaced),
		TEST(test_the_start_quarantine_stays_in_front_of_a_foreign_tcx_program),
		TEST(test_the_start_quarantine_closes),
		TEST(test_the_start_quarantine_is_kept),
		TEST(test_cleanup_takes_the_start_quarantine),
		TEST(test_programs_taken_off_by_others_are_missed),
		TEST(test_the_way_can_change),
		TEST(test_a_living_device_keeps_its_qdisc),
		TEST(test_records_of_qdiscs_go_with_their_devices),
		TEST(test_a_device_that_is_gone),
		TEST(test_programs_outlive_the_agent_until_cleaned_up),
		TEST(test_the_open_variant_passes_all),
		TEST(test_figures),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
