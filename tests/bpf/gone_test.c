// SPDX-License-Identifier: Apache-2.0
// gone_test.c - what the agent reads of flows while they live, and is told of them when they are over: by whom, why,
// with which numbers.
#include "tests/bpf/rig.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bulkhead/half.h>

#include "tests/harness/live.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS
#define PACKET_BYTES 56 // TCP: live_frame() puts 16 bytes into a segment
#define REMOTE "10.2.0.1"

static struct live live;
static uint32_t pod;

static const struct tables_config config = {
	.pin_dir = RIG_DIR,
	.endpoints = 64,
	.ct = 4096,
	.half = 1024,
	.gone = 65536,
	.denied = 64,
	.totals = 64,
};

static int start(const struct tables_config *how)
{
	volatile struct bh_endpoint *ep;

	if (net_fresh(NULL))
		return -1;
	live_start(&live, how);
	live.record = true;
	pod = live_pod(&live, "team", "web", "'app':'web'", "10.1.0.5", "fd00:1::5");
	ep = tables_endpoint(live.tables, pod);
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		ep->policy[dir] = BH_POLICY_ALLOW;
		ep->gen[dir] = BH_GEN_OF(BH_POLICY_ALLOW);
	}
	return 0;
}

static int live_setup(void **state)
{
	return start(&config);
}

static int live_teardown(void **state)
{
	live_stop(&live);
	return 0;
}

static struct live_flow tcp(uint16_t port)
{
	return (struct live_flow){ pod, OUT, REMOTE, IPPROTO_TCP, 443, port };
}

static void sends(const struct live_flow *flow, enum bh_dir dir, uint8_t flags)
{
	assert_true(live_send(&live, flow, dir, flags));
}

// ---- who is told --------------------------------------------------------------------------------------------------
struct told {
	struct ct_entry last;
	enum ct_over why;
	uint32_t n, by[CT_OVER_MAX];
	uint64_t packets;
};

static void hear(void *arg, const struct ct_entry *entry, enum ct_over why)
{
	struct told *told = arg;

	told->last = *entry;
	told->why = why;
	told->n++;
	told->by[why]++;
	told->packets += entry->value.packets[IN] + entry->value.packets[OUT];
}

static struct told sweep(void)
{
	struct ct_sweep_stats stats;
	struct told told = { 0 };

	tables_on_gone(live.tables, hear, &told);
	assert_ok(tables_ct_sweep(live.tables, NULL, &stats));
	tables_on_gone(live.tables, NULL, NULL);
	return told;
}

static struct told flush(uint32_t ident)
{
	struct told told = { 0 };

	tables_on_gone(live.tables, hear, &told);
	assert_true(tables_ct_flush(live.tables, ident) >= 0);
	tables_on_gone(live.tables, NULL, NULL);
	return told;
}

static int note(void *arg, const struct ct_entry *entry)
{
	hear(arg, entry, CT_OVER_IDLE);
	return 0;
}

static struct told half_open(void)
{
	struct told told = { 0 };

	assert_ok(tables_half_each(live.tables, note, &told));
	return told;
}

static struct told entries(void)
{
	struct told told = { 0 };

	assert_ok(tables_ct_each(live.tables, note, &told));
	return told;
}

// So long ago was the last packet of all flows.
static int grow_old(void *arg, const struct ct_entry *entry)
{
	struct bh_ct_key key = { .ident = entry->ident,
				 .remote = entry->remote.w[3],
				 .remote_port = htons(entry->remote_port),
				 .local_port = htons(entry->local_port),
				 .proto = entry->proto };
	struct bh_ct ct = entry->value;

	ct.last -= *(const uint32_t *)arg * (uint32_t)BH_TIME_HZ;
	return bpf_map_update_elem(tables_fd(live.tables, "bh_ct"), &key, &ct, BPF_EXIST);
}

static void age(uint32_t seconds)
{
	int fd = tables_fd(live.tables, "bh_half");
	struct bh_half_bucket bucket;

	assert_ok(tables_ct_each(live.tables, grow_old, &seconds));
	for (uint32_t i = 0; bpf_map_lookup_elem(fd, &i, &bucket) == 0; i++) {
		for (int way = 0; way < BH_HALF_WAYS; way++)
			bucket.last[way] -= seconds * (uint32_t)BH_TIME_HZ;
		assert_ok(bpf_map_update_elem(fd, &i, &bucket, BPF_ANY));
	}
}

// ---- reading ------------------------------------------------------------------------------------------------------
static void flows_are_read_with_their_numbers(void **state)
{
	struct live_flow flow = tcp(40000);
	struct told told;

	sends(&flow, OUT, P_SYN);
	sends(&flow, OUT, P_SYN);
	sends(&flow, IN, P_SYN | P_ACK);
	told = half_open();
	assert_int_equal(told.n, 1);
	assert_true(told.last.half);
	assert_int_equal(told.last.value.state, BH_CT_REPLY);
	assert_int_equal(told.last.value.packets[OUT], 2);
	assert_int_equal(told.last.value.bytes[OUT], 2 * PACKET_BYTES);
	assert_int_equal(told.last.value.packets[IN], 1);
	assert_int_equal(entries().n, 0);
	sends(&flow, OUT, P_ACK);
	told = entries();
	assert_int_equal(told.n, 1);
	assert_int_equal(told.last.value.packets[OUT], 3);
	assert_int_equal(told.last.value.bytes[OUT], 3 * PACKET_BYTES);
	assert_int_equal(told.last.value.bytes[IN], PACKET_BYTES);
	assert_int_equal(half_open().n, 0);
}

// ---- taken out by the host ----------------------------------------------------------------------------------------
static void sweeping_tells_how_each_flow_ended(void **state)
{
	struct live_flow idle = tcp(1), closed = tcp(2), reset = tcp(3), refused = tcp(4), unanswered = tcp(5);
	struct told told;

	live_establish(&live, &idle);
	live_establish(&live, &closed);
	sends(&closed, OUT, P_FIN | P_ACK);
	sends(&closed, IN, P_FIN | P_ACK);
	live_establish(&live, &reset);
	sends(&reset, IN, P_RST);
	sends(&refused, OUT, P_SYN);
	sends(&refused, IN, P_SYN | P_ACK);
	sends(&refused, OUT, P_RST);
	sends(&unanswered, OUT, P_SYN);
	assert_int_equal(sweep().n, 0);
	age(24 * 3600 + 2);
	told = sweep();
	assert_int_equal(told.n, 5);
	assert_int_equal(told.packets, 3 + 5 + 4 + 3 + 1);
	assert_int_equal(told.by[CT_OVER_CLOSED], 1);
	assert_int_equal(told.by[CT_OVER_RESET], 2);
	assert_int_equal(told.by[CT_OVER_IDLE], 2);
	assert_int_equal(sweep().n, 0);
	assert_int_equal(tables_endpoint(live.tables, pod)->ct_count, 0);
}

static void a_flow_that_was_cut_ends_as_cut(void **state)
{
	volatile struct bh_endpoint *ep = tables_endpoint(live.tables, pod);
	struct live_flow flow = tcp(40000);
	struct told told;

	live_establish(&live, &flow);
	ep->policy[OUT] = BH_POLICY_DENY;
	ep->gen[OUT] = BH_GEN_OF(BH_POLICY_DENY);
	assert_false(live_send(&live, &flow, OUT, P_ACK));
	age(BH_CT_CUT_SEC + 2);
	told = sweep();
	assert_int_equal(told.n, 1);
	assert_int_equal(told.why, CT_OVER_CUT);
	assert_int_equal(told.packets, 3); // what was dropped is none of its
}

static void flushing_tells_what_it_takes(void **state)
{
	struct live_flow flow = tcp(1), half = tcp(2);
	struct told told;

	live_establish(&live, &flow);
	sends(&half, OUT, P_SYN);
	told = flush(live.pods[pod].ident);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.by[CT_OVER_FORGOTTEN], 2);
	assert_int_equal(told.packets, 4);
	assert_int_equal(half_open().n + entries().n, 0);
}

static void flows_of_a_pod_that_is_gone_end_with_it(void **state)
{
	struct live_flow flow = tcp(1), half = tcp(2);
	struct told told;

	live_establish(&live, &flow);
	sends(&half, OUT, P_SYN);
	tables_endpoint(live.tables, pod)->ident = 0;
	told = sweep();
	assert_int_equal(told.n, 2);
	assert_int_equal(told.by[CT_OVER_POD_GONE], 2);
	assert_int_equal(told.packets, 4);
}

// Two of each kind are due, and with the first that is taken out somebody gets into a hurry: the other one stays, and
// goes with the next sweep.
static bool hurry;

static void get_into_a_hurry(void *arg, const struct ct_entry *entry, enum ct_over why)
{
	hear(arg, entry, why);
	hurry = true;
}

static void sweep_in_a_hurry(uint32_t entries_left, uint32_t half_left)
{
	struct ct_sweep_stats stats = { 0 };
	struct told told = { 0 };

	hurry = false;
	tables_on_gone(live.tables, get_into_a_hurry, &told);
	assert_int_equal(tables_ct_sweep(live.tables, &hurry, &stats), -ECANCELED);
	tables_on_gone(live.tables, NULL, NULL);
	assert_int_equal(told.n, 1);
	assert_int_equal(stats.seen, 0); // nothing is told of half a walk
	assert_int_equal(entries().n, entries_left);
	assert_int_equal(half_open().n, half_left);
}

static void sweeping_gives_way(void **state)
{
	volatile struct bh_endpoint *ep = tables_endpoint(live.tables, pod);
	uint32_t ident = ep->ident;
	struct told told;

	for (uint16_t i = 1; i <= 2; i++) {
		struct live_flow flow = tcp(i), half = tcp(10 + i);

		live_establish(&live, &flow);
		sends(&half, OUT, P_SYN);
	}
	ep->ident = 0;
	sweep_in_a_hurry(1, 2);
	sweep_in_a_hurry(0, 2);
	sweep_in_a_hurry(0, 1);
	told = sweep();
	assert_int_equal(told.n, 1);
	assert_int_equal(half_open().n, 0);
	ep->ident = ident;
}

// ---- ended by the datapath ----------------------------------------------------------------------------------------
static void the_ring_tells_what_the_datapath_ended(void **state)
{
	_cleanup_(tables_ring_closep) struct tables_ring *ring = NULL;
	struct live_flow flow = tcp(40000);
	struct told told = { 0 };

	live_establish(&live, &flow);
	sends(&flow, IN, P_RST);
	sends(&flow, OUT, P_SYN);
	sends(&flow, IN, P_SYN | P_ACK); // nobody reads yet
	assert_ok(tables_ring_open(live.tables, hear, &told, &ring));
	assert_int_equal(tables_ring_read(ring), 0);
	sends(&flow, OUT, P_ACK);
	sends(&flow, OUT, P_RST);
	sends(&flow, OUT, P_SYN);
	sends(&flow, IN, P_SYN | P_ACK);
	assert_int_equal(tables_ring_read(ring), 1);
	assert_int_equal(told.why, CT_OVER_RESET);
	assert_int_equal(told.packets, 4);
	assert_int_equal(told.last.ident, live.pods[pod].ident);
	assert_int_equal(told.last.remote_port, 443);
	assert_int_equal(told.last.local_port, 40000);
	assert_int_equal(told.last.value.tcp_seen[0], BH_CT_SEEN_RST);
	assert_false(told.last.half || told.last.v6);
	tables_ring_close(TAKE_PTR(ring));
	assert_true(tables_node_has(live.tables, BH_NODE_RECORD)); // for the next reader
	tables_ring_off(live.tables);
	assert_false(tables_node_has(live.tables, BH_NODE_RECORD));
}

static bool readable(const struct tables_ring *ring)
{
	struct pollfd fd = { .fd = tables_ring_fd(ring), .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

// Four places and a page of ring: newcomers end what was there.
static void the_reader_is_woken_when_half_of_the_ring_is_full(void **state)
{
	_cleanup_(tables_ring_closep) struct tables_ring *ring = NULL;
	uint64_t stats[BH_STAT_MAX] = { 0 };
	struct told told = { 0 };
	uint16_t port = 1;
	uint32_t told_of;

	assert_ok(tables_ring_open(live.tables, hear, &told, &ring));
	assert_false(readable(ring));
	for (; port < 100 && !readable(ring); port++)
		sends(&(struct live_flow){ pod, OUT, REMOTE, IPPROTO_UDP, 53, port }, OUT, 0);
	told_of = (uint32_t)tables_ring_read(ring);
	assert_in_range(told_of, 4096 / 2 / 128, 4096 / 2 / 104 + 2);
	assert_int_equal(told_of, port - 1 - BH_HALF_WAYS);
	assert_int_equal(told.by[CT_OVER_EVICTED], told.n);
	assert_true(told.last.half);
	assert_false(readable(ring));
	for (port = 1; port <= 500; port++)
		sends(&(struct live_flow){ pod, OUT, REMOTE, IPPROTO_UDP, 54, port }, OUT, 0);
	assert_true(readable(ring));
	assert_true(tables_ring_read(ring) > 0);
	assert_ok(tables_stats_get(live.tables, stats));
	assert_int_equal(told.n - told_of + stats[BH_STAT_FLOW_LOST], 500);
	assert_true(stats[BH_STAT_FLOW_LOST] > 400);
}

static int tiny_setup(void **state)
{
	struct tables_config tiny = config;

	tiny.half = BH_HALF_WAYS;
	tiny.gone = 4096;
	return start(&tiny);
}

// ---- two threads --------------------------------------------------------------------------------------------------
struct reader {
	_Atomic bool stop;
	uint64_t rounds, seen;
	struct told told;
};

static int check(void *arg, const struct ct_entry *entry)
{
	struct reader *reader = arg;

	reader->seen += entry->value.packets[OUT];
	return 0;
}

static void *read_on(void *arg)
{
	_cleanup_(tables_ring_closep) struct tables_ring *ring = NULL;
	struct reader *reader = arg;

	if (tables_ring_open(live.tables, hear, &reader->told, &ring))
		abort();
	while (!reader->stop) {
		if (tables_ct_each(live.tables, check, reader) || tables_half_each(live.tables, check, reader) ||
		    tables_ring_read(ring) < 0)
			abort();
		reader->rounds++;
	}
	tables_ring_read(ring);
	return NULL;
}

// A reader on a thread of its own, while this one sends and sweeps: every flow is told once, with all its packets.
static void each_flow_is_told_once_while_another_thread_reads(void **state)
{
	struct reader reader = { 0 };
	struct told told = { 0 };
	uint64_t sent = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
	while (!tables_node_has(live.tables, BH_NODE_RECORD))
		sched_yield();
	tables_on_gone(live.tables, hear, &told);
	for (uint16_t i = 0; i < 500; i++) {
		struct live_flow flow = tcp((uint16_t)(1000 + i % 50));

		live_establish(&live, &flow);
		sends(&flow, OUT, P_RST);
		sent += 4;
		if (i % 100 == 99)
			assert_true(tables_ct_flush(live.tables, 0) >= 0);
	}
	tables_on_gone(live.tables, NULL, NULL);
	reader.stop = true;
	pthread_join(thread, NULL);
	assert_true(reader.rounds > 0);
	assert_true(reader.seen > 0);
	assert_int_equal(told.n + reader.told.n, 500);
	assert_int_equal(told.packets + reader.told.packets, sent);
}

// ---- how long it takes --------------------------------------------------------------------------------------------
static double walk_ms(void)
{
	struct timespec from, to;
	struct told told = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	assert_ok(tables_ct_each(live.tables, note, &told));
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	assert_int_equal(told.n, 100000);
	return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
}

static int large_setup(void **state)
{
	struct tables_config large = config;

	large.ct = large.half = 0; // the defaults
	return start(&large);
}

static void walks_at_full_size(void **state)
{
	struct timespec from, to;
	struct ct_entry entry = { .remote = rig_addr(REMOTE), .proto = IPPROTO_TCP };
	double least = 1e9;

	entry.value.state = BH_CT_ESTABLISHED;
	entry.value.last = tables_now();
	for (uint32_t i = 0; i < 100000; i++) {
		entry.ident = BH_IDENT(100 + i / 10000, 1); // nobody's: no share
		entry.remote_port = (uint16_t)(i % 10000);
		assert_ok(tables_ct_seed(live.tables, &entry));
	}
	for (int i = 0; i < 5; i++) {
		double ms = walk_ms();

		least = ms < least ? ms : least;
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	half_open();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	printf("walks: 100,000 entries %.1f ms, 65,536 places %.1f ms\n", least,
	       (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
}

int main(void)
{
#define SIZED(name, setup) cmocka_unit_test_setup_teardown(name, setup, live_teardown)
#define TEST(name) SIZED(name, live_setup)
	const struct CMUnitTest tests[] = {
		TEST(flows_are_read_with_their_numbers),
		TEST(sweeping_tells_how_each_flow_ended),
		TEST(a_flow_that_was_cut_ends_as_cut),
		TEST(flushing_tells_what_it_takes),
		TEST(flows_of_a_pod_that_is_gone_end_with_it),
		TEST(sweeping_gives_way),
		TEST(the_ring_tells_what_the_datapath_ended),
		SIZED(the_reader_is_woken_when_half_of_the_ring_is_full, tiny_setup),
		TEST(each_flow_is_told_once_while_another_thread_reads),
		SIZED(walks_at_full_size, large_setup),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests_name("gone", tests, NULL, NULL);
}
