// SPDX-License-Identifier: Apache-2.0
// places_test.c - half-open flows read where they are: in every part of a large table, nothing torn, little mapped.
#include "tests/bpf/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bulkhead/half.h>

#include "tests/harness/live.h"

#define REMOTE "10.2.0.1"
#define BUCKETS 2058 // more than two windows of 1,024, the last one not whole
#define WINDOW_KB (1024 * (sizeof(struct bh_half_bucket) + sizeof(struct bh_half_counts)) / 1024)

static struct live live;
static uint32_t pod;

static const uint32_t places[] = { 0, 1, 1023, 1024, 2047, 2048, BUCKETS - 1 };

static int live_setup(void **state)
{
	static const struct tables_config config = {
		.pin_dir = RIG_DIR,
		.endpoints = 64,
		.ct = 4096,
		.half = BUCKETS * BH_HALF_WAYS,
		.gone = 65536,
		.denied = 64,
		.totals = 64,
	};

	if (net_fresh(NULL))
		return -1;
	live_start(&live, &config);
	pod = live_pod(&live, "team", "web", "'app':'web'", "10.1.0.5", "fd00:1::5");
	return 0;
}

static int live_teardown(void **state)
{
	live_stop(&live);
	return 0;
}

// A flow of port `bucket + 1` with `bucket + 1` packets in each place named above, in another way of its bucket each.
static void fill(void)
{
	struct bh_addr remote = rig_addr(REMOTE);

	for (uint32_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint32_t at = places[i], way = i % BH_HALF_WAYS;
		struct bh_half_counts counts = { 0 };
		struct bh_half_bucket bucket = { 0 };
		struct bh_half *half = &bucket.place[way];

		half->key = (struct bh_ct6_key){ .ident = tables_endpoint(live.tables, pod)->ident,
						 .local_port = htons((uint16_t)(at + 1)),
						 .proto = BH_PROTO_UDP };
		memcpy(half->key.remote, &remote, sizeof(remote));
		half->flow = (struct bh_half_flow){ .gen = 3, .created = tables_now() };
		half->check = bh_half_check(&half->key, &half->flow);
		bucket.tag[way] = 2 * at + 1;
		bucket.last[way] = tables_now();
		counts.place[way].packets[BH_EGRESS] = at + 1;
		assert_ok(bpf_map_update_elem(tables_fd(live.tables, "bh_half"), &at, &bucket, BPF_ANY));
		assert_ok(bpf_map_update_elem(tables_fd(live.tables, "bh_half_count"), &at, &counts, BPF_ANY));
	}
}

// Of mapped tables, as the kernel counts what is resident.
static long tables_kb(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/smaps", "re");
	bool is_table = false;
	char line[512];
	long sum = 0, kb;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] < 'A' || line[0] > 'Z') // begins a mapping
			is_table = strstr(line, "bpf-map");
		if (is_table && sscanf(line, "Rss: %ld kB", &kb) == 1)
			sum += kb;
	}
	return sum;
}

struct read {
	uint32_t n;
	long most_kb;
	uint64_t sum;
};

static void add(struct read *read, const struct ct_entry *entry)
{
	long kb = tables_kb();

	read->n++;
	read->most_kb = kb > read->most_kb ? kb : read->most_kb;
	read->sum += entry->local_port;
	assert_int_equal(entry->value.packets[BH_EGRESS], entry->local_port);
}

static int meet(void *arg, const struct ct_entry *entry)
{
	add(arg, entry);
	return 0;
}

static void hear(void *arg, const struct ct_entry *entry, enum ct_over why)
{
	add(arg, entry);
}

static uint64_t sum_of_all(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(places); i++)
		sum += places[i] + 1;
	return sum;
}

static void flows_in_every_part_of_the_table_are_told(void **state)
{
	struct read read = { 0 };

	fill();
	assert_ok(tables_half_each(live.tables, meet, &read));
	assert_int_equal(read.n, ARRAY_SIZE(places));
	assert_int_equal(read.sum, sum_of_all());
}

static void a_reading_has_no_more_than_a_window_mapped(void **state)
{
	struct read read = { 0 };
	long before = tables_kb();

	fill();
	assert_true(before > 0);
	assert_ok(tables_half_each(live.tables, meet, &read));
	assert_in_range(read.most_kb - before, 1, WINDOW_KB);
	assert_int_equal(tables_kb(), before);
}

static void flows_in_every_part_of_the_table_are_taken_out(void **state)
{
	struct read taken = { 0 }, left = { 0 };

	fill();
	tables_on_gone(live.tables, hear, &taken);
	assert_int_equal(tables_ct_flush(live.tables, 0), 0); // of entries
	tables_on_gone(live.tables, NULL, NULL);
	assert_int_equal(taken.n, ARRAY_SIZE(places));
	assert_int_equal(taken.sum, sum_of_all());
	assert_ok(tables_half_each(live.tables, meet, &left));
	assert_int_equal(left.n, 0);
}

// Two newcomers that wrote one place, or one that is still writing: nobody's, and it may be taken out.
static void a_torn_place_is_told_of_nowhere(void **state)
{
	int fd = tables_fd(live.tables, "bh_half");
	struct read read = { 0 }, taken = { 0 };
	struct bh_half_bucket bucket;
	uint32_t at = 1024;

	fill();
	assert_ok(bpf_map_lookup_elem(fd, &at, &bucket));
	for (int way = 0; way < BH_HALF_WAYS; way++)
		bucket.place[way].key.local_port ^= htons(1);
	assert_ok(bpf_map_update_elem(fd, &at, &bucket, BPF_ANY));
	assert_ok(tables_half_each(live.tables, meet, &read));
	assert_int_equal(read.n, ARRAY_SIZE(places) - 1);
	assert_int_equal(read.sum, sum_of_all() - (at + 1));
	tables_on_gone(live.tables, hear, &taken);
	assert_true(tables_ct_flush(live.tables, 0) >= 0);
	tables_on_gone(live.tables, NULL, NULL);
	assert_int_equal(taken.n, read.n);
	assert_ok(bpf_map_lookup_elem(fd, &at, &bucket));
	for (int way = 0; way < BH_HALF_WAYS; way++)
		assert_int_equal(bucket.tag[way], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, live_setup, live_teardown)
	const struct CMUnitTest tests[] = {
		TEST(flows_in_every_part_of_the_table_are_told),
		TEST(a_reading_has_no_more_than_a_window_mapped),
		TEST(flows_in_every_part_of_the_table_are_taken_out),
		TEST(a_torn_place_is_told_of_nowhere),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
