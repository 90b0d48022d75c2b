// SPDX-License-Identifier: Apache-2.0
// record_test.c - what passes of a flow is counted with it, exactly, wherever it lives; flows that the datapath ends
// are told; recording changes no verdict.
#include "tests/bpf/scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <bulkhead/half.h>
#include <bulkhead/wire.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS

static const struct flow web4 = { WEB4, 40000, 80, IPPROTO_TCP }; // in
static const struct flow web6 = { WEB6, 40000, 80, IPPROTO_TCP };
static const struct flow dns4 = { FRIEND4, 53, 40000, IPPROTO_UDP }; // out
static const struct flow dns6 = { FRIEND6, 53, 40000, IPPROTO_UDP };

static struct bpfprog *recording(struct bpfprog_options options)
{
	struct bpfprog *prog;

	options.features = BH_FEATURE_TRACK | BH_FEATURE_RECORD;
	prog = prog_new(&options);
	isolate_both(prog);
	bpfprog_node(prog, BH_NODE_RECORD);
	return prog;
}

static int record_setup(void **state)
{
	*state = recording((struct bpfprog_options){ 0 });
	return 0;
}

// ---- what should have been counted --------------------------------------------------------------------------------
struct sum {
	uint64_t packets[BH_DIR_MAX], bytes[BH_DIR_MAX];
};

// L3 bytes; `segments` of one packet as the host's stack passes it.
static bool send_many(struct bpfprog *prog, enum bh_dir dir, const struct flow *f, uint8_t flags, uint32_t payload,
		      uint32_t segments, struct sum *sum)
{
	struct bpfprog_ctx gso = { 1, segments > 1 ? 100 : 0, segments, 0 };
	struct packet p;
	bool pass;

	segment(&p, dir, f, flags, payload);
	pass = bpfprog_run(prog, dir, &p, &gso).pass;
	if (pass) {
		sum->packets[dir] += segments;
		sum->bytes[dir] += p.len - 14;
	}
	return pass;
}

static bool send_one(struct bpfprog *prog, enum bh_dir dir, const struct flow *f, uint8_t flags, struct sum *sum)
{
	return send_many(prog, dir, f, flags, 0, 1, sum);
}

static void assert_counted(const struct sum *want, const __u64 packets[2], const __u64 bytes[2])
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		assert_int_equal(packets[dir], want->packets[dir]);
		assert_int_equal(bytes[dir], want->bytes[dir]);
	}
}

// ---- what was counted ---------------------------------------------------------------------------------------------
static bool is_of(const struct bh_half *half, const struct flow *f)
{
	struct bh_addr remote = packet_addr(f->remote);

	return !memcmp(half->key.remote, &remote, sizeof(remote)) && half->key.proto == f->proto &&
	       half->key.remote_port == htons(f->remote_port) && half->key.local_port == htons(f->local_port);
}

// The flow's place, if it is half open.
static bool half_of(struct bpfprog *prog, const struct flow *f, struct bh_half *ret, struct bh_half_count *retcount)
{
	struct bh_half_counts counts;
	struct bh_half_bucket bucket;

	for (uint32_t i = 0; bpf_map_lookup_elem(bpfprog_map(prog, "bh_half"), &i, &bucket) == 0; i++)
		for (int way = 0; way < BH_HALF_WAYS; way++) {
			if (!bucket.tag[way] || !is_of(&bucket.place[way], f))
				continue;
			assert_ok(bpf_map_lookup_elem(bpfprog_map(prog, "bh_half_count"), &i, &counts));
			*ret = bucket.place[way];
			*retcount = counts.place[way];
			return true;
		}
	return false;
}

static uint64_t evicted(struct bpfprog *prog)
{
	struct bh_half_bucket bucket;
	uint64_t n = 0;

	for (uint32_t i = 0; bpf_map_lookup_elem(bpfprog_map(prog, "bh_half"), &i, &bucket) == 0; i++)
		for (int way = 0; way < BH_HALF_WAYS; way++)
			n += bucket.evicted[way];
	return n;
}

static void assert_half(struct bpfprog *prog, const struct flow *f, const struct sum *want)
{
	struct bh_half_count count;
	struct bh_half half;

	assert_true(half_of(prog, f, &half, &count));
	assert_counted(want, count.packets, count.bytes);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
}

static struct bh_ct entry_of(struct bpfprog *prog, const struct flow *f)
{
	struct bh_ct ct;

	assert_true(bpfprog_ct(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct));
	return ct;
}

static void assert_entry(struct bpfprog *prog, const struct flow *f, const struct sum *want)
{
	struct bh_ct ct = entry_of(prog, f);

	assert_counted(want, ct.packets, ct.bytes);
}

// ---- what was told ------------------------------------------------------------------------------------------------
struct told {
	struct bh_gone last;
	uint64_t n, packets;
};

static int hear(void *arg, void *data, size_t bytes)
{
	struct told *told = arg;

	assert_true(bytes >= sizeof(told->last));
	memcpy(&told->last, data, sizeof(told->last));
	told->n++;
	told->packets += told->last.flow.packets[IN] + told->last.flow.packets[OUT];
	return 0;
}

static struct told heard(struct bpfprog *prog)
{
	struct told told = { 0 };
	struct ring_buffer *ring = ring_buffer__new(bpfprog_map(prog, "bh_gone"), hear, &told, NULL);

	int n;

	assert_non_null(ring);
	n = ring_buffer__consume(ring);
	assert_int_equal(n, told.n);
	ring_buffer__free(ring);
	return told;
}

// ---- one flow -----------------------------------------------------------------------------------------------------
static void from_half_open_to_replaced(struct bpfprog *prog, const struct flow *f)
{
	struct sum sum = { 0 }, next = { 0 };
	struct bh_addr remote = packet_addr(f->remote);
	struct told told;

	assert_true(send_one(prog, IN, f, P_SYN, &sum));
	assert_true(send_one(prog, IN, f, P_SYN, &sum));
	assert_half(prog, f, &sum);
	assert_true(send_one(prog, OUT, f, P_SYN | P_ACK, &sum));
	assert_half(prog, f, &sum);
	assert_true(send_many(prog, IN, f, P_ACK, 300, 3, &sum));
	assert_entry(prog, f, &sum);
	assert_int_equal(bpfprog_half_open(prog), 0);
	for (uint32_t i = 1; i < 9; i++) {
		assert_true(send_many(prog, i & 1, f, P_ACK, 100 * i, i, &sum));
		assert_entry(prog, f, &sum);
	}
	assert_true(send_one(prog, OUT, f, P_FIN | P_ACK, &sum));
	assert_true(send_one(prog, IN, f, P_FIN | P_ACK, &sum));
	assert_true(send_one(prog, OUT, f, P_ACK, &sum));
	assert_int_equal(entry_of(prog, f).state, BH_CT_CLOSED);
	assert_true(send_one(prog, IN, f, P_SYN, &next)); // its ports again
	assert_entry(prog, f, &sum);
	assert_int_equal(heard(prog).n, 0);
	assert_true(send_one(prog, OUT, f, P_SYN | P_ACK, &next));
	assert_entry(prog, f, &next);
	told = heard(prog);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.last.why, BH_GONE_REPLACED);
	assert_memory_equal(told.last.key.remote, &remote, sizeof(remote));
	assert_int_equal(told.last.key.remote_port, htons(f->remote_port));
	assert_int_equal(told.last.key.local_port, htons(f->local_port));
	assert_int_equal(told.last.key.ident, bpfprog_ident(prog));
	assert_int_equal(told.last.flow.state, BH_CT_CLOSED);
	assert_counted(&sum, told.last.flow.packets, told.last.flow.bytes);
	assert_true(send_one(prog, IN, f, P_ACK, &next));
	assert_entry(prog, f, &next);
	assert_int_equal(heard(prog).n, 0);
}

static void a_connection_is_counted_from_its_first_packet_to_its_last(void **state)
{
	from_half_open_to_replaced(*state, &web4);
	bpfprog_endpoint(*state)->ct_count = 0;
	from_half_open_to_replaced(*state, &web6);
}

static void datagrams_are_counted_half_open_and_after(void **state)
{
	static const struct flow *const flows[] = { &dns4, &dns6 };
	struct bpfprog *prog = *state;

	for (int i = 0; i < 2; i++) {
		struct sum sum = { 0 };

		bpfprog_endpoint(prog)->ct_count = 0;
		for (uint32_t n = 0; n < 20; n++)
			assert_true(send_many(prog, OUT, flows[i], 0, n, 1 + (n == 7) * 4, &sum));
		assert_half(prog, flows[i], &sum);
		assert_true(send_one(prog, IN, flows[i], 0, &sum));
		assert_half(prog, flows[i], &sum);
		assert_true(send_one(prog, IN, flows[i], 0, &sum)); // it goes on: an entry, as it need not get older here
		assert_entry(prog, flows[i], &sum);
		assert_true(send_many(prog, OUT, flows[i], 0, 99, 2, &sum));
		assert_entry(prog, flows[i], &sum);
	}
}

static void echoes_are_counted(void **state)
{
	static const char *const remotes[] = { FRIEND4, FRIEND6 };
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		struct flow f = { remotes[v6], 0, 77, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP };
		uint8_t request = v6 ? 128 : 8, reply = v6 ? 129 : 0;
		uint32_t bytes = (v6 ? 40 : 20) + 8 + 32;
		struct sum half = { { 0, 2 }, { 0, 2 * bytes } }, sum = { { 2, 3 }, { 2 * bytes, 3 * bytes } };

		bpfprog_endpoint(prog)->ct_count = 0;
		assert_passes(send_icmp(prog, OUT, f.remote, request, 77), ALLOWED);
		assert_silent(send_icmp(prog, OUT, f.remote, request, 77));
		assert_half(prog, &f, &half);
		assert_silent(send_icmp(prog, IN, f.remote, reply, 77));
		assert_silent(send_icmp(prog, OUT, f.remote, request, 77));
		assert_silent(send_icmp(prog, IN, f.remote, reply, 77));
		assert_entry(prog, &f, &sum);
	}
}

// What is dropped is told by the denies; numbers of a flow are what passed.
static void what_is_dropped_is_not_counted(void **state)
{
	struct bpfprog *prog = *state;
	struct sum sum = { 0 };

	assert_true(send_one(prog, OUT, &dns4, 0, &sum));
	assert_true(send_one(prog, IN, &dns4, 0, &sum));
	change(prog, OUT, 1, true);
	assert_false(send_one(prog, IN, &dns4, 0, &sum)); // becomes an entry that is cut
	assert_true(entry_of(prog, &dns4).flags & BH_CT_CUT);
	assert_entry(prog, &dns4, &sum);
	assert_false(send_one(prog, OUT, &dns4, 0, &sum));
	assert_entry(prog, &dns4, &sum);
	change(prog, OUT, 2, false);
	assert_true(send_one(prog, OUT, &dns4, 0, &sum));
	assert_entry(prog, &dns4, &sum);
}

static void without_room_for_an_entry_a_flow_is_counted_where_it_is(void **state)
{
	struct bpfprog *prog = recording((struct bpfprog_options){ .ct_quota = 1 });
	struct sum sum = { 0 }, other = { 0 };

	bpfprog_endpoint(prog)->ct_count = 1;
	assert_true(send_one(prog, OUT, &dns4, 0, &sum));
	for (int i = 0; i < 5; i++)
		assert_true(send_one(prog, i & 1, &dns4, 0, &sum));
	assert_true(send_one(prog, IN, &web4, P_SYN, &other));
	assert_true(send_one(prog, OUT, &web4, P_SYN | P_ACK, &other));
	assert_false(send_one(prog, IN, &web4, P_ACK, &other)); // dropped for want of room
	bpfprog_endpoint(prog)->ct_count = 0;
	assert_half(prog, &dns4, &sum);
	assert_half(prog, &web4, &other);
	assert_true(send_one(prog, IN, &dns4, 0, &sum));
	assert_entry(prog, &dns4, &sum);
	bpfprog_free(prog);
}

static void without_room_a_pod_without_policies_goes_on_and_the_flow_is_lost(void **state)
{
	struct bpfprog *prog = recording((struct bpfprog_options){ .ct_quota = 1 });
	struct sum sum = { 0 };

	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		bpfprog_enforce(prog, (enum bh_dir)dir, BH_POLICY_ALLOW, BH_GEN_OF(BH_POLICY_ALLOW));
	bpfprog_endpoint(prog)->ct_count = 1;
	assert_true(send_one(prog, IN, &web4, P_SYN, &sum));
	assert_true(send_one(prog, OUT, &web4, P_SYN | P_ACK, &sum));
	assert_true(send_one(prog, IN, &web4, P_ACK, &sum));
	assert_true(send_one(prog, IN, &web4, P_ACK, &sum));
	assert_int_equal(bpfprog_stat(prog, BH_STAT_FLOW_LOST), 1);
	bpfprog_free(prog);
}

static void an_adopted_connection_is_counted_from_then_on(void **state)
{
	struct bpfprog *prog = *state;
	struct sum sum = { 0 };

	bpfprog_endpoint(prog)->adopt_until = bpfprog_now() + 600 * (uint32_t)BH_TIME_HZ;
	assert_true(send_many(prog, IN, &web4, P_ACK, 200, 2, &sum));
	assert_true(send_many(prog, OUT, &web4, P_ACK, 100, 1, &sum));
	assert_entry(prog, &web4, &sum);
}

static void who_sent_a_reset_is_known(void **state)
{
	struct bpfprog *prog = *state;
	struct bh_half_count count;
	struct sum sum = { 0 };
	struct bh_half half;

	assert_true(send_one(prog, IN, &web4, P_SYN, &sum));
	assert_true(send_one(prog, OUT, &web4, P_RST | P_ACK, &sum));
	assert_half(prog, &web4, &sum);
	assert_true(half_of(prog, &web4, &half, &count));
	assert_int_equal(half.tcp_seen[0], 0);
	assert_int_equal(half.tcp_seen[1], BH_CT_SEEN_RST);

	assert_true(send_one(prog, IN, &web6, P_SYN, &sum));
	assert_true(send_one(prog, OUT, &web6, P_SYN | P_ACK, &sum));
	assert_true(send_one(prog, IN, &web6, P_ACK, &sum));
	assert_true(send_one(prog, IN, &web6, P_RST, &sum));
	assert_int_equal(entry_of(prog, &web6).state, BH_CT_CLOSED);
	assert_int_equal(entry_of(prog, &web6).tcp_seen[0], BH_CT_SEEN_RST);
	assert_int_equal(entry_of(prog, &web6).tcp_seen[1], 0);
}

// ---- places that newcomers take -----------------------------------------------------------------------------------
static struct flow nth(uint32_t i)
{
	return (struct flow){ FRIEND4, (uint16_t)(1000 + i), 9000, IPPROTO_UDP };
}

static void a_half_open_flow_that_loses_its_place_is_told(void **state)
{
	struct bpfprog *prog = recording((struct bpfprog_options){ .half = BH_HALF_WAYS });
	struct sum sums[BH_HALF_WAYS + 1] = { 0 };
	struct flow f, gone = { FRIEND4, 0, 9000, IPPROTO_UDP };
	struct told told;

	for (uint32_t i = 0; i <= BH_HALF_WAYS; i++) {
		f = nth(i);
		for (uint32_t n = 0; n <= i; n++)
			assert_true(send_many(prog, OUT, &f, 0, 10 * i, 1, &sums[i]));
		if (i < BH_HALF_WAYS)
			assert_int_equal(heard(prog).n + evicted(prog), 0);
	}
	told = heard(prog);
	assert_int_equal(told.n, 1);
	assert_int_equal(evicted(prog), 1);
	assert_int_equal(told.last.why, BH_GONE_EVICTED);
	assert_int_equal(told.last.flow.state, BH_CT_NEW);
	assert_true(told.last.flow.flags & BH_CT_EGRESS);
	assert_int_equal(BH_CELL_RULE(told.last.flow.rule), rule_of(OUT, 1, 0));
	gone.remote_port = ntohs(told.last.key.remote_port);
	assert_in_range(gone.remote_port, 1000, 1000 + BH_HALF_WAYS - 1);
	assert_counted(&sums[gone.remote_port - 1000], told.last.flow.packets, told.last.flow.bytes);
	f = nth(BH_HALF_WAYS);
	assert_half(prog, &f, &sums[BH_HALF_WAYS]);
	bpfprog_free(prog);
}

// The same key again, after its time: another flow.
static void a_flow_that_was_silent_for_too_long_is_told_when_it_begins_anew(void **state)
{
	struct bpfprog *prog = recording((struct bpfprog_options){ .half = BH_HALF_WAYS });
	struct sum sum = { 0 }, next = { 0 };
	struct bh_half_bucket bucket;
	uint32_t zero = 0;
	struct told told;

	assert_true(send_one(prog, OUT, &dns4, 0, &sum));
	assert_true(send_one(prog, OUT, &dns4, 0, &sum));
	assert_ok(bpf_map_lookup_elem(bpfprog_map(prog, "bh_half"), &zero, &bucket));
	for (int way = 0; way < BH_HALF_WAYS; way++)
		bucket.last[way] -= (BH_HALF_SEC + 2) * (uint32_t)BH_TIME_HZ;
	assert_ok(bpf_map_update_elem(bpfprog_map(prog, "bh_half"), &zero, &bucket, BPF_ANY));
	assert_true(send_one(prog, OUT, &dns4, 0, &next));
	told = heard(prog);
	assert_int_equal(told.n, 1);
	assert_counted(&sum, told.last.flow.packets, told.last.flow.bytes);
	assert_true(told.last.now - told.last.flow.last > BH_HALF_SEC * BH_TIME_HZ);
	assert_int_equal(evicted(prog), 0);
	assert_half(prog, &dns4, &next);
	bpfprog_free(prog);
}

static void nothing_is_sent_while_nobody_reads(void **state)
{
	struct bpfprog *prog = recording((struct bpfprog_options){ .half = BH_HALF_WAYS });
	struct sum sum = { 0 };
	struct flow f;

	bpfprog_node(prog, 0);
	for (uint32_t i = 0; i < 100; i++) {
		f = nth(i);
		assert_true(send_one(prog, OUT, &f, 0, &sum));
	}
	assert_int_equal(heard(prog).n, 0);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_FLOW_LOST), 0);
	bpfprog_free(prog);
}

// Whatever comes, each flow that ended was told or is counted as lost, none twice.
static void told_and_lost_are_all_when_the_ring_is_full(void **state)
{
	struct bpfprog *prog = recording((struct bpfprog_options){ .half = BH_HALF_WAYS, .gone = 4096 });
	struct sum sum = { 0 };
	struct told told, more;
	struct flow f;

	for (uint32_t i = 0; i < 1000; i++) {
		f = nth(i);
		assert_true(send_one(prog, OUT, &f, 0, &sum));
	}
	told = heard(prog);
	assert_in_range(told.n, 4096 / 128, 4096 / 104);
	assert_int_equal(told.n + bpfprog_stat(prog, BH_STAT_FLOW_LOST), 1000 - BH_HALF_WAYS);
	for (uint32_t i = 1000; i < 1010; i++) { // there is room again
		f = nth(i);
		assert_true(send_one(prog, OUT, &f, 0, &sum));
	}
	more = heard(prog);
	assert_int_equal(more.n, 10);
	assert_int_equal(more.packets, 10);
	assert_int_equal(told.n + bpfprog_stat(prog, BH_STAT_FLOW_LOST), 1000 - BH_HALF_WAYS);
	bpfprog_free(prog);
}

// ---- verdicts -----------------------------------------------------------------------------------------------------
static uint32_t roll(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % n;
}

// The same packets, through judges that record and through judges that do not: the same verdicts for the same reasons,
// and the same tables.
static void verdicts_are_those_without_recording(void **state)
{
	static const char *const remotes[] = { FRIEND4, WEB4, FOE4, FRIEND6, WEB6, BANNED6 };
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	static const uint8_t flags[] = { P_SYN, P_SYN | P_ACK, P_ACK, P_ACK, P_FIN | P_ACK, P_RST };
	static const uint8_t chunks[] = { BH_SCTP_INIT, BH_SCTP_INIT_ACK, 10, 0, 6, 6 };
	struct bpfprog *recorder = *state, *plain = prog_new(NULL);
	uint32_t seed = 1, passed = 0, dropped = 0, changes = 0;

	isolate_both(plain);
	for (int i = 0; i < 3000; i++) {
		struct flow f = { remotes[roll(&seed, 6)], (uint16_t)(7 + roll(&seed, 3)),
				  (uint16_t)(79 + roll(&seed, 3)), protos[roll(&seed, 5)] };
		enum bh_dir dir = roll(&seed, 2);
		uint32_t what = roll(&seed, 6);
		struct bpfprog_result a, b;
		struct packet p;

		if (roll(&seed, 250) == 0) {
			changes++;
			change(recorder, dir, changes % 8 + 1, changes & 1);
			change(plain, dir, changes % 8 + 1, changes & 1);
		}
		segment(&p, dir, &f, f.proto == IPPROTO_SCTP ? chunks[what] : flags[what], roll(&seed, 2) * 20);
		a = bpfprog_run(recorder, dir, &p, NULL);
		b = bpfprog_run(plain, dir, &p, NULL);
		passed += a.pass;
		dropped += !a.pass;
		if (a.pass != b.pass || a.reason != b.reason || a.rule != b.rule)
			fail_msg("packet %d: %s, %s without recording", i, reason_text(a.reason),
				 reason_text(b.reason));
		assert_int_equal(bpfprog_endpoint(recorder)->ct_count, bpfprog_endpoint(plain)->ct_count);
	}
	assert_int_equal(bpfprog_half_open(recorder), bpfprog_half_open(plain));
	assert_true(passed > 500 && dropped > 500 && changes > 3 && bpfprog_endpoint(plain)->ct_count > 5);
	bpfprog_free(plain);
}

// ---- several CPUs -------------------------------------------------------------------------------------------------
struct runner {
	struct bpfprog *prog;
	struct packet packet;
	enum bh_dir dir;
	int cpu;
	uint32_t repeat;
	pthread_barrier_t *start;
};

static void *run_runner(void *arg)
{
	struct runner *runner = arg;
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = runner->packet.data, .data_size_in = runner->packet.len,
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb), .repeat = (int)runner->repeat);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(runner->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	pthread_barrier_wait(runner->start);
	if (bpf_prog_test_run_opts(bpfprog_fd(runner->prog, runner->dir), &opts) ||
	    (int)opts.retval != TC_ACT_UNSPEC)
		abort();
	return NULL;
}

// The flow's packets in directions a and b, `repeat` of each, at the same time on two CPUs.
static void run_both(struct bpfprog *prog, const struct flow *f, uint8_t flags, enum bh_dir a, enum bh_dir b,
		     uint32_t repeat, struct sum *sum)
{
	pthread_barrier_t start;
	struct runner runners[2] = { { .dir = a, .cpu = 0 }, { .dir = b, .cpu = 1 } };
	pthread_t threads[2];

	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		struct runner *runner = &runners[i];

		runner->prog = prog;
		runner->repeat = repeat;
		runner->start = &start;
		segment(&runner->packet, runner->dir, f, flags, 50);
		sum->packets[runner->dir] += repeat;
		sum->bytes[runner->dir] += (uint64_t)repeat * (runner->packet.len - 14);
		assert_int_equal(pthread_create(&threads[i], NULL, run_runner, runner), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
}

static void two_cpus_count_one_flow_exactly(void **state)
{
	struct bpfprog *prog = *state;
	struct sum sum = { 0 }, half = { 0 };

	assert_true(send_one(prog, IN, &web4, P_SYN, &sum));
	assert_true(send_one(prog, OUT, &web4, P_SYN | P_ACK, &sum));
	assert_true(send_one(prog, IN, &web4, P_ACK, &sum));
	run_both(prog, &web4, P_ACK, IN, IN, 50000, &sum);
	run_both(prog, &web4, P_ACK, IN, OUT, 50000, &sum);
	assert_entry(prog, &web4, &sum);

	bpfprog_endpoint(prog)->ct_count = 0;
	assert_true(send_one(prog, OUT, &dns4, 0, &half));
	run_both(prog, &dns4, 0, OUT, OUT, 50000, &half);
	assert_half(prog, &dns4, &half);
}

// The packet with which a flow becomes an entry, while another CPU counts in its place.
static void none_is_lost_while_a_flow_becomes_an_entry(void **state)
{
	struct bpfprog *prog = *state;

	for (uint32_t i = 0; i < 150; i++) {
		struct flow f = nth(i);
		struct sum sum = { 0 };

		assert_true(send_one(prog, OUT, &f, 0, &sum));
		run_both(prog, &f, 0, OUT, IN, 200, &sum);
		assert_entry(prog, &f, &sum);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, record_setup, scene_teardown)
#define OWN(name) cmocka_unit_test(name) // makes what it needs
	const struct CMUnitTest tests[] = {
		TEST(a_connection_is_counted_from_its_first_packet_to_its_last),
		TEST(datagrams_are_counted_half_open_and_after),
		TEST(echoes_are_counted),
		TEST(what_is_dropped_is_not_counted),
		OWN(without_room_for_an_entry_a_flow_is_counted_where_it_is),
		OWN(without_room_a_pod_without_policies_goes_on_and_the_flow_is_lost),
		TEST(an_adopted_connection_is_counted_from_then_on),
		TEST(who_sent_a_reset_is_known),
		OWN(a_half_open_flow_that_loses_its_place_is_told),
		OWN(a_flow_that_was_silent_for_too_long_is_told_when_it_begins_anew),
		OWN(nothing_is_sent_while_nobody_reads),
		OWN(told_and_lost_are_all_when_the_ring_is_full),
		TEST(verdicts_are_those_without_recording),
		TEST(two_cpus_count_one_flow_exactly),
		TEST(none_is_lost_while_a_flow_becomes_an_entry),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
