// SPDX-License-Identifier: Apache-2.0
// sweep_test.c - sweeping takes what is too old and nothing else, keeps the counts right; seeds come second.
#include "tests/bpf/rig.h"

#include <netinet/in.h>
#include <pthread.h>

#include <bpf/bpf.h>

#define IDENT BH_IDENT(5, 3)
#define OTHER BH_IDENT(6, 1)

static uint32_t seconds(uint32_t sec)
{
	return sec * (uint32_t)BH_TIME_HZ;
}

static struct ct_entry entry_of(uint32_t i, uint8_t proto, uint8_t state, bool v6)
{
	struct ct_entry entry = { .ident = IDENT,
				  .remote = rig_addr(v6 ? "fd00::1" : "10.0.0.1"),
				  .remote_port = (uint16_t)i,
				  .local_port = 80,
				  .proto = proto,
				  .v6 = v6 };

	entry.value.state = state;
	entry.value.last = tables_now();
	return entry;
}

static void add(struct tables *tables, const struct ct_entry *entry)
{
	assert_ok(tables_ct_seed(tables, entry));
}

static volatile struct bh_endpoint *endpoints_ready(struct tables *tables)
{
	tables_endpoint(tables, 5)->ident = IDENT;
	tables_endpoint(tables, 6)->ident = OTHER;
	tables_endpoint(tables, 5)->state = tables_endpoint(tables, 6)->state = BH_STATE_ACTIVE;
	return tables_endpoint(tables, 5);
}

static struct ct_sweep_stats sweep(struct tables *tables)
{
	struct ct_sweep_stats stats = { 0 };

	assert_ok(tables_ct_sweep(tables, NULL, &stats));
	return stats;
}

struct found {
	struct ct_entry last;
	uint32_t n;
};

static int find(void *arg, const struct ct_entry *entry)
{
	struct found *found = arg;

	found->last = *entry;
	found->n++;
	return 0;
}

static struct found all(struct tables *tables)
{
	struct found found = { 0 };

	assert_ok(tables_ct_each(tables, find, &found));
	return found;
}

// Each state of each protocol, two seconds before and after its time.
static void sweeps_by_the_shared_rule(struct tables *tables)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP,
					     47 };
	volatile struct bh_endpoint *endpoint = endpoints_ready(tables);
	struct ct_sweep_stats stats;
	uint32_t n = 0;

	for (size_t p = 0; p < ARRAY_SIZE(protocols); p++) {
		for (uint8_t state = 0; state < BH_CT_STATE_MAX; state++) {
			for (int old = 0; old < 4; old++) {
				struct ct_entry entry = entry_of(n++, protocols[p], state, old & 2);
				uint32_t age = bh_ct_timeout(&entry.value, protocols[p], 0);

				entry.value.last -= old & 1 ? age + seconds(2) : age - seconds(2);
				add(tables, &entry);
			}
		}
	}
	assert_int_equal(endpoint->ct_count, n);
	stats = sweep(tables);
	assert_int_equal(stats.seen, n);
	assert_int_equal(stats.expired, n / 2);
	assert_int_equal(stats.orphans, 0);
	assert_int_equal(stats.live_per_slot_max, n / 2);
	assert_int_equal(endpoint->ct_count, n / 2);
	stats = sweep(tables);
	assert_int_equal(stats.seen, n / 2);
	assert_int_equal(stats.expired + stats.corrected, 0);
}

static void test_sweeps_by_the_shared_rule(void **state)
{
	sweeps_by_the_shared_rule(*state);
}

static void test_sweeps_without_batches(void **state)
{
	feature_force_mask(FEATURE_BIT(FEATURE_BATCH));
	sweeps_by_the_shared_rule(*state);
}

static void test_scaled_times_are_swept_earlier(void **state)
{
	struct tables_config config = rig_config;
	struct ct_entry entry = entry_of(1, IPPROTO_UDP, BH_CT_NEW, false);
	struct tables *tables = NULL;
	struct err err = { 0 };
	bool adopted;

	endpoints_ready(*state);
	entry.value.last -= seconds(8); // 60 s halved three times: 7.5 s
	add(*state, &entry);
	assert_int_equal(sweep(*state).expired, 0);
	config.ct_scale = 3;
	tables_close(*state);
	*state = NULL;
	assert_ok_err(tables_open(&config, &tables, &adopted, &err), &err);
	*state = tables;
	assert_int_equal(sweep(tables).expired, 1);
}

static void test_entries_of_nobody_go(void **state)
{
	volatile struct bh_endpoint *endpoint = endpoints_ready(*state);
	struct ct_entry mine = entry_of(1, IPPROTO_TCP, BH_CT_ESTABLISHED, false);
	struct ct_entry before = entry_of(2, IPPROTO_TCP, BH_CT_ESTABLISHED, false);
	struct ct_entry before6 = entry_of(3, IPPROTO_TCP, BH_CT_ESTABLISHED, true);
	struct ct_sweep_stats stats;

	before.ident = before6.ident = BH_IDENT(5, 2); // the pod that had the slot
	add(*state, &mine);
	add(*state, &before);
	add(*state, &before6);
	assert_int_equal(endpoint->ct_count, 1);
	stats = sweep(*state);
	assert_int_equal(stats.orphans, 2);
	assert_int_equal(endpoint->ct_count, 1);
	assert_int_equal(all(*state).last.remote_port, 1);
	endpoint->state = BH_STATE_NONE; // given back, and nobody has it yet
	assert_int_equal(sweep(*state).orphans, 1);
}

static void test_entries_are_read_as_written(void **state)
{
	endpoints_ready(*state);
	for (int v6 = 0; v6 < 2; v6++) {
		struct ct_entry entry = entry_of(1234, IPPROTO_SCTP, BH_CT_REPLY, v6);
		struct found found;

		entry.local = 7;
		entry.local_port = 4321;
		entry.value.rule = BH_CELL_WORD(BH_VERDICT_ALLOW, 99);
		entry.value.gen = 5;
		add(*state, &entry);
		found = all(*state);
		assert_int_equal(found.n, 1);
		assert_true(bh_addr_equal(&found.last.remote, &entry.remote));
		assert_int_equal(found.last.remote_port, 1234);
		assert_int_equal(found.last.local_port, 4321);
		assert_int_equal(found.last.local, 7);
		assert_int_equal(found.last.proto, IPPROTO_SCTP);
		assert_int_equal(found.last.v6, v6);
		assert_int_equal(found.last.value.gen, 0); // judged at its first packet
		assert_true(found.last.value.check != 0);
		assert_int_equal(tables_ct_flush(*state, 0), 1);
	}
}

static void test_a_seed_never_replaces_an_entry(void **state)
{
	volatile struct bh_endpoint *endpoint = endpoints_ready(*state);
	struct ct_entry entry = entry_of(1, IPPROTO_TCP, BH_CT_ESTABLISHED, false);

	add(*state, &entry);
	entry.value.state = BH_CT_CLOSED;
	assert_err(tables_ct_seed(*state, &entry), -EEXIST);
	assert_int_equal(all(*state).last.value.state, BH_CT_ESTABLISHED);
	assert_int_equal(endpoint->ct_count, 1);
}

static void test_seeds_stop_at_the_share_of_an_endpoint(void **state)
{
	struct ct_entry entry;
	uint32_t n = 0;
	int r = 0;

	endpoints_ready(*state);
	for (; r == 0 && n < rig_config.ct; n++) {
		entry = entry_of(n, IPPROTO_TCP, BH_CT_ESTABLISHED, false);
		r = tables_ct_seed(*state, &entry);
	}
	assert_err(r, -ENOSPC);
	assert_int_equal(n, rig_config.ct / 8 + 1);
	entry.ident = OTHER;
	assert_ok(tables_ct_seed(*state, &entry));
}

static void test_flush_takes_one_endpoints_entries(void **state)
{
	volatile struct bh_endpoint *endpoint = endpoints_ready(*state);

	for (uint32_t i = 0; i < 40; i++) {
		struct ct_entry entry = entry_of(i, IPPROTO_UDP, BH_CT_NEW, i & 1);

		if (i >= 30)
			entry.ident = OTHER;
		add(*state, &entry);
	}
	assert_int_equal(tables_ct_flush(*state, IDENT), 30);
	assert_int_equal(endpoint->ct_count, 0);
	assert_int_equal(tables_endpoint(*state, 6)->ct_count, 10);
	assert_int_equal(tables_ct_flush(*state, IDENT), 0);
	assert_int_equal(tables_ct_flush(*state, 0), 10);
	assert_int_equal(tables_endpoint(*state, 6)->ct_count, 0);
}

static void test_drift_that_two_walks_see_is_set_right(void **state)
{
	volatile struct bh_endpoint *endpoint = endpoints_ready(*state);

	for (uint32_t i = 0; i < 10; i++) {
		struct ct_entry entry = entry_of(i, IPPROTO_TCP, BH_CT_ESTABLISHED, false);

		add(*state, &entry);
	}
	endpoint->ct_count = 25;
	assert_int_equal(sweep(*state).corrected, 0); // once may be traffic
	assert_int_equal(endpoint->ct_count, 25);
	assert_int_equal(sweep(*state).corrected, 1);
	assert_int_equal(endpoint->ct_count, 10);
	assert_int_equal(sweep(*state).corrected, 0);

	endpoint->ct_count = 12; // one way, then the other: no drift
	sweep(*state);
	endpoint->ct_count = 8;
	assert_int_equal(sweep(*state).corrected, 0);
	assert_int_equal(endpoint->ct_count, 8);
}

static void test_counts_never_go_below_zero(void **state)
{
	volatile struct bh_endpoint *endpoint = endpoints_ready(*state);
	struct ct_entry entry = entry_of(1, IPPROTO_UDP, BH_CT_NEW, false);

	add(*state, &entry);
	endpoint->ct_count = 0;
	assert_int_equal(tables_ct_flush(*state, IDENT), 1);
	assert_int_equal(endpoint->ct_count, 0);
}

// ---- beside traffic ---------------------------------------------------------------------------------

#define FLOWS 256

struct revival {
	struct tables *tables;
	int fd;
	volatile bool stop;
};

static void write_flow(const struct revival *revival, uint32_t i, uint32_t age)
{
	struct bh_ct_key key = { .ident = IDENT,
				 .remote_port = htons((uint16_t)i),
				 .proto = IPPROTO_UDP };
	struct bh_ct value = { .last = tables_now() - age };

	bpf_map_update_elem(revival->fd, &key, &value, BPF_ANY);
}

// A packet of a flow that just expired begins it anew, as the programs do it, right in the sweeper's way.
static void *revive(void *arg)
{
	struct revival *revival = arg;

	while (!revival->stop) {
		for (uint32_t i = 0; i < FLOWS; i++)
			write_flow(revival, i, seconds(100));
		for (uint32_t i = 0; i < FLOWS; i++)
			write_flow(revival, i, 0);
	}
	return NULL;
}

// R10: a sweep never removes a live flow.
static void test_r10_what_lives_is_never_swept(void **state)
{
	struct revival revival = { .tables = *state, .fd = tables_fd(*state, "bh_ct") };
	uint32_t expired = 0;
	pthread_t thread;

	endpoints_ready(*state);
	assert_int_equal(pthread_create(&thread, NULL, revive, &revival), 0);
	for (int i = 0; i < 20000 && expired < 2000; i++)
		expired += sweep(*state).expired;
	revival.stop = true;
	pthread_join(thread, NULL);
	assert_true(expired >= 2000);
	sweep(*state);
	assert_int_equal(all(*state).n, FLOWS); // all were live last
}

static void test_figures(void **state)
{
	struct tables_config config = rig_config;
	struct tables *tables;
	struct timespec a, b;
	struct err err = { 0 };
	bool adopted;

	config.pin_dir = "/run/bpf/large";
	config.ct = 131072;
	assert_ok_err(tables_open(&config, &tables, &adopted, &err), &err);
	for (uint32_t slot = 0; slot < 8; slot++) {
		tables_endpoint(tables, slot)->ident = BH_IDENT(slot, 1);
		tables_endpoint(tables, slot)->state = BH_STATE_ACTIVE;
		for (uint32_t i = 0; i < 10000; i++) {
			struct ct_entry entry = entry_of(i, IPPROTO_TCP, BH_CT_NEW, false);

			entry.ident = BH_IDENT(slot, 1);
			entry.value.last -= i & 1 ? seconds(100) : 0;
			add(tables, &entry);
		}
	}
	for (int walk = 0; walk < 2; walk++) {
		struct ct_sweep_stats stats;

		clock_gettime(CLOCK_MONOTONIC, &a);
		stats = sweep(tables);
		clock_gettime(CLOCK_MONOTONIC, &b);
		print_message("sweep: %u seen, %u expired: %.1f ms\n", stats.seen, stats.expired,
			      (double)(b.tv_sec - a.tv_sec) * 1e3 +
				      (double)(b.tv_nsec - a.tv_nsec) / 1e6);
	}
	tables_close(tables);
	assert_ok(tables_unpin(config.pin_dir, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_sweeps_by_the_shared_rule),
		TEST(test_sweeps_without_batches),
		TEST(test_scaled_times_are_swept_earlier),
		TEST(test_entries_of_nobody_go),
		TEST(test_entries_are_read_as_written),
		TEST(test_a_seed_never_replaces_an_entry),
		TEST(test_seeds_stop_at_the_share_of_an_endpoint),
		TEST(test_flush_takes_one_endpoints_entries),
		TEST(test_drift_that_two_walks_see_is_set_right),
		TEST(test_counts_never_go_below_zero),
		TEST(test_r10_what_lives_is_never_swept),
		TEST(test_figures),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
