// SPDX-License-Identifier: Apache-2.0
// gate_test.c - a pod's gates and the judges behind them: who is judged by whom, and what a change of judges does.
#include "tests/bpf/pod.h"

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <pthread.h>

#include "tests/harness/packet.h"

static uint32_t judge_id(const struct tables *tables, uint32_t features, enum bh_dir dir)
{
	uint32_t index = BH_JUDGE(features, dir), id = 0;

	return bpf_map_lookup_elem(tables_fd(tables, "bh_judge"), &index, &id) ? 0 : id;
}

static uint64_t dropped_without_judge(const struct tables *tables)
{
	uint64_t stats[BH_STAT_MAX];

	assert_ok(tables_stats_get(tables, stats));
	return stats[BH_STAT_NO_JUDGE];
}

static void each_set_of_features_has_its_judges_once(void **state)
{
	struct program_config open = { .variant = PROGRAM_OPEN, .ident = ident_of(1) };
	struct program_pair one = load(*state, 1), two, three;
	struct err err = { 0 };
	uint32_t track[BH_DIR_MAX];

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		track[dir] = judge_id(*state, BH_FEATURE_TRACK, dir);
		assert_int_not_equal(track[dir], 0);
		assert_int_equal(judge_id(*state, 0, dir), 0);
	}
	two = load(*state, 2);
	assert_ok_err(program_load(*state, &open, &three, &err), &err);
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		assert_int_equal(judge_id(*state, BH_FEATURE_TRACK, dir), track[dir]);
		assert_int_not_equal(judge_id(*state, 0, dir), 0);
	}
	program_pair_close(&one);
	program_pair_close(&two);
	program_pair_close(&three);
}

// What a pod costs the verifier, whatever the judges grow to.
static void a_gate_is_a_few_instructions(void **state)
{
	struct program_pair pair = load(*state, 1);
	int fds[] = { pair.from_pod, pair.to_pod };

	for (int i = 0; i < 2; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		assert_ok(bpf_obj_get_info_by_fd(fds[i], &info, &len));
		assert_in_range(info.verified_insns, 5, 64);
	}
	program_pair_close(&pair);
}

static void a_gate_without_a_judge_drops_and_counts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		uint64_t before = dropped_without_judge(*state);
		uint32_t index[] = { BH_JUDGE(BH_FEATURE_TRACK, BH_INGRESS),
				     BH_JUDGE(BH_FEATURE_TRACK, BH_EGRESS) };
		uint32_t id[2];
		int fd[2];

		attach(*state, modes[i], 1);
		for (int dir = 0; dir < 2; dir++) {
			id[dir] = judge_id(*state, BH_FEATURE_TRACK, dir);
			fd[dir] = bpf_prog_get_fd_by_id(id[dir]);
			assert_ok(bpf_map_delete_elem(tables_fd(*state, "bh_judge"), &index[dir]));
		}
		assert_passes(false);
		assert_true(dropped_without_judge(*state) >= before + 2);
		for (int dir = 0; dir < 2; dir++) {
			assert_ok(bpf_map_update_elem(tables_fd(*state, "bh_judge"), &index[dir],
						      &fd[dir], BPF_ANY));
			close(fd[dir]);
		}
		assert_passes(true);
		detach(*state, modes[i]);
	}
}

// What stands in front of the gate cannot say who the pod is.
static void nobody_but_the_gate_names_the_pod(void **state)
{
	static const uint8_t any_mac[6] = { 2 };
	struct program_pair pair = load(*state, 2); // not the endpoint's incarnation
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	struct packet packet;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &skb, .ctx_size_in = sizeof(skb));
	struct bh_total_key key = { .ident = ident_of(2), .reason = BH_REASON_STALE_PROGRAM };
	static struct bh_count counts[1024];

	for (int i = 0; i < 5; i++)
		skb.cb[i] = ident_of(1);
	packet_eth(&packet, any_mac, any_mac, 0);
	packet_ip(&packet, HERE, THERE, IPPROTO_UDP);
	packet_udp(&packet, 1000, 1000);
	packet_end(&packet);
	opts.data_in = packet.data;
	opts.data_size_in = packet.len;
	assert_ok(bpf_prog_test_run_opts(pair.to_pod, &opts));
	assert_int_equal(opts.retval, TC_ACT_SHOT);
	assert_ok(bpf_map_lookup_elem(tables_fd(*state, "bh_total"), &key, counts));
	program_pair_close(&pair);
}

struct restarts {
	volatile bool stop;
	int n;
	struct err err;
};

// The next agent: opens the tables, brings its own judges; pods keep the gates that they have.
static void *restart(void *arg)
{
	struct program_config config = { .variant = PROGRAM_TRACK, .ident = ident_of(1) };
	struct tables_config beside = rig_config;
	struct restarts *r = arg;

	beside.beside = true;

	for (; !r->stop && !r->err.code; r->n++) {
		struct tables *tables = NULL;
		struct program_pair pair = { -1, -1 };
		bool adopted;

		if (tables_open(&beside, &tables, &adopted, &r->err) == 0 && adopted)
			program_load(tables, &config, &pair, &r->err);
		program_pair_close(&pair);
		tables_close(tables);
	}
	return NULL;
}

static void r4_judges_are_replaced_under_traffic_without_loss(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct restarts restarts = { 0 };
		struct pair pair = traffic();
		uint32_t before;
		pthread_t thread;

		attach(*state, modes[i], 1);
		before = judge_id(*state, BH_FEATURE_TRACK, BH_INGRESS);
		assert_int_equal(pthread_create(&thread, NULL, restart, &restarts), 0);
		for (int n = 0; n < 2000 || restarts.n < 10; n++)
			assert_true(passes(&pair, n & 1));
		restarts.stop = true;
		pthread_join(thread, NULL);
		assert_ok_err(restarts.err.code, &restarts.err);
		assert_int_not_equal(judge_id(*state, BH_FEATURE_TRACK, BH_INGRESS), before);
		traffic_end(&pair);
		detach(*state, modes[i]);
	}
}

// Pins hold the judges: without any agent, and with its descriptors closed, pods are judged.
static void r4_judges_stay_when_the_agent_is_gone(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		attach(*state, modes[i], 1);
		tables_close(*state);
		*state = NULL;
		assert_passes(true);
		*state = rig_open(NULL);
		detach(*state, modes[i]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pod_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_set_of_features_has_its_judges_once),
		TEST(a_gate_is_a_few_instructions),
		TEST(a_gate_without_a_judge_drops_and_counts),
		TEST(nobody_but_the_gate_names_the_pod),
		TEST(r4_judges_are_replaced_under_traffic_without_loss),
		TEST(r4_judges_stay_when_the_agent_is_gone),
	};

	if (net_private())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
