// SPDX-License-Identifier: Apache-2.0
// atomic_test.c - policies change under continuous packets, and each packet is judged wholly by the old or wholly
// by the new one: its verdict and the rule that gave it, of new flows and of live ones, in both directions.
//
// The two policies of a pod tell the same addresses and ports apart in different ways, so that an old class
// read with new cells, or a new one with old cells, gives a rule that this flow has under neither.
#include "tests/bpf/rig.h"

#include <pthread.h>
#include <sched.h>

#include "tests/harness/live.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

#define PODS 4
#define STATES 2

static struct live live;

static const struct tables_config config = {
	.pin_dir = RIG_DIR,
	.endpoints = 64,
	.peers = 65536,
	.cidrs = 65536,
	.policies = 512,
	.ct = 16384,
	.denied = 4096,
	.totals = 4096,
};

static int live_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	live_start(&live, &config);
	return 0;
}

static int live_teardown(void **state)
{
	live_stop(&live);
	return 0;
}

// ---- packets, on a thread of their own ----------------------------------------------------------------------------

struct stream {
	struct live_flow flow;
	uint32_t word[STATES]; // verdict and rule by each policy
};

// What is in force: a bit per pod, and a count that is odd while a plan runs.
struct force {
	_Atomic uint64_t word;
};

#define FORCE(count, bits) ((uint64_t)(count) << 32 | (bits))
#define FORCE_RUNS(word) ((word) >> 32 & 1)

struct run {
	struct force force;
	struct stream *streams;
	uint32_t nstreams;
	_Atomic bool stop;
	_Atomic uint64_t rounds; // of all streams
	uint64_t packets, passed, dropped, settled,
		switched; // settled: no plan ran; switched: one did
	struct wrong {
		const struct stream *stream;
		uint64_t force;
		uint32_t word;
		const char *what;
	} wrong;
	uint64_t wrongs;
};

static void wrong(struct run *run, const struct stream *stream, uint32_t word, const char *what)
{
	if (!run->wrongs++)
		run->wrong = (struct wrong){ stream, run->force.word, word, what };
}

// word 0: nothing tells the rule, only the verdict counts.
static void check(struct run *run, const struct stream *stream, uint64_t before, bool pass,
		  uint32_t word)
{
	uint64_t after = run->force.word;
	bool settled = before == after && !FORCE_RUNS(before), fits = false;
	uint32_t now = before >> stream->flow.slot & 1;

	run->packets++;
	*(pass ? &run->passed : &run->dropped) += 1;
	*(settled ? &run->settled : &run->switched) += 1;
	if (word && pass != (BH_CELL_VERDICT(word) == BH_VERDICT_ALLOW))
		wrong(run, stream, word, "the verdict is not that of its rule");
	for (uint32_t state = 0; state < STATES; state++)
		if (!settled || state == now)
			fits |= word ? word == stream->word[state] :
				       pass == (BH_CELL_VERDICT(stream->word[state]) ==
						BH_VERDICT_ALLOW);
	if (!fits)
		wrong(run, stream, word, settled ? "not what is in force" : "neither old nor new");
}

// A flow that begins: allowed, its entry tells the rule; denied, bh_denied does at the end.
static void send_new(struct run *run, const struct stream *stream, uint16_t port)
{
	struct stream fresh = *stream;
	uint64_t before = run->force.word;
	struct bh_ct ct = { 0 };
	bool pass;

	*(fresh.flow.dir == OUT ? &fresh.flow.local_port : &fresh.flow.remote_port) = port;
	pass = live_send(&live, &fresh.flow, fresh.flow.dir, 0);
	if (pass && !live_entry(&live, &fresh.flow, &ct))
		wrong(run, stream, 0, "passed without an entry");
	check(run, stream, before, pass, ct.rule);
	if (pass)
		live_forget(&live, &fresh.flow);
}

// A flow that lives, or is cut: its entry tells the rule of each packet.
static void send_known(struct run *run, const struct stream *stream, enum bh_dir dir)
{
	uint64_t before = run->force.word;
	struct bh_ct ct = { 0 };
	bool pass = live_send(&live, &stream->flow, dir, 0);

	if (!live_entry(&live, &stream->flow, &ct))
		wrong(run, stream, 0, "the entry is gone");
	check(run, stream, before, pass, ct.rule);
}

static void *send_all(void *arg)
{
	struct run *run = arg;
	uint16_t port = 0;

	for (; !run->stop; run->rounds++)
		for (uint32_t i = 0; i < run->nstreams; i++) {
			const struct stream *stream = &run->streams[i];

			send_known(run, stream, (i + run->rounds) & 1);
			send_new(run, stream, (uint16_t)(30000 + port++ % 20000));
		}
	return NULL;
}

// Every rule that a flow's packets were denied by is one of its own.
static int check_denied(void *arg, const struct denied_entry *denied)
{
	struct run *run = arg;
	bool fits = false, mine = false;

	for (uint32_t i = 0; i < run->nstreams && !fits; i++) {
		const struct stream *stream = &run->streams[i];
		const struct live_flow *flow = &stream->flow;
		struct bh_addr remote = packet_addr(flow->remote);
		uint16_t port = flow->dir == OUT ? flow->remote_port : flow->local_port;

		if (live.pods[flow->slot].ident != denied->key.ident ||
		    memcmp(&remote, denied->key.remote, sizeof(remote)) ||
		    htons(port) != denied->key.port)
			continue;
		mine = true;
		for (uint32_t state = 0; state < STATES; state++)
			fits |= stream->word[state] ==
				BH_CELL_WORD(BH_VERDICT_DENY, denied->key.rule);
	}
	if (!mine || !fits ||
	    (denied->key.reason != BH_REASON_POLICY_DENIED && denied->key.reason != BH_REASON_CUT))
		fail_msg("rule %u, reason %u: %s", denied->key.rule, denied->key.reason,
			 mine ? "not a rule that denies this flow" : "nobody's flow");
	return 0;
}

static void check_run(struct run *run)
{
	const struct wrong *first = &run->wrong;

	if (run->wrongs)
		fail_msg("%llu of %llu packets, first: pod %u %s %s port %u: %s (%x; %x or %x)",
			 (unsigned long long)run->wrongs, (unsigned long long)run->packets,
			 first->stream->flow.slot, first->stream->flow.dir ? "to" : "from",
			 first->stream->flow.remote, first->stream->flow.local_port, first->what,
			 first->word, first->stream->word[0], first->stream->word[1]);
	assert_ok(tables_denied_each(live.tables, check_denied, run));
	print_message(
		"%llu packets: %llu passed, %llu dropped; %llu beside a plan, %llu between plans\n",
		(unsigned long long)run->packets, (unsigned long long)run->passed,
		(unsigned long long)run->dropped, (unsigned long long)run->switched,
		(unsigned long long)run->settled);
	assert_true(run->passed && run->dropped && run->settled && run->switched);
}

// ---- changes ----------------------------------------------------------------------------------------------------

// What the policies of the pods say is learnt in each state; each flow gets an entry that nobody has judged.
static void learn(struct run *run, void (*put)(uint32_t pod, uint32_t state))
{
	for (uint32_t state = 0; state < STATES; state++) {
		for (uint32_t pod = 0; pod < live.judge.slots; pod++)
			put(pod, state);
		live_apply(&live);
		for (uint32_t i = 0; i < run->nstreams; i++) {
			struct stream *stream = &run->streams[i];

			stream->word[state] = live_eval(&live, &stream->flow).verdict;
		}
	}
	for (uint32_t i = 0; i < run->nstreams; i++) {
		const struct stream *stream = &run->streams[i];

		live_seed(&live, &stream->flow);
		assert_int_not_equal(stream->word[0], stream->word[1]);
		assert_true(BH_CELL_VERDICT(stream->word[0]) == BH_VERDICT_ALLOW ||
			    BH_CELL_VERDICT(stream->word[1]) == BH_VERDICT_ALLOW);
	}
	run->force.word = FORCE(0, (1u << live.judge.slots) - 1);
}

// The pods of the mask get their other policy.
static void flip(struct run *run, uint32_t mask, void (*put)(uint32_t pod, uint32_t state))
{
	uint64_t word = run->force.word;
	uint32_t bits = (uint32_t)word ^ mask;

	run->force.word = word + FORCE(1, 0);
	for (uint32_t pod = 0; pod < live.judge.slots; pod++)
		if (mask >> pod & 1)
			put(pod, bits >> pod & 1);
	live_apply(&live);
	run->force.word = FORCE((word >> 32) + 2, bits);
}

// Each stream has a packet that begins after the plan has ended, and is to be judged by what is in force.
static void settle(struct run *run)
{
	uint64_t rounds = run->rounds;

	while (run->rounds < rounds + 2)
		sched_yield();
}

static uint32_t wanted(const char *name, uint32_t fallback)
{
	const char *text = getenv(name);

	return text ? (uint32_t)strtoul(text, NULL, 10) : fallback;
}

static void flips_under_packets(struct run *run, uint32_t flips,
				void (*put)(uint32_t pod, uint32_t state)) // a plan each
{
	static const uint32_t masks[] = { 0xf, 0xf, 0x3, 0xc, 0xf, 0x5 };
	uint32_t all = (1u << live.judge.slots) - 1, done = 0, plans = 0;
	pthread_t thread;

	learn(run, put);
	assert_int_equal(pthread_create(&thread, NULL, send_all, run), 0);
	for (; plans < flips; plans++) {
		uint32_t mask = (masks[plans % ARRAY_SIZE(masks)] & all) ?: all;

		flip(run, mask, put);
		settle(run);
		done += (uint32_t)__builtin_popcount(mask);
	}
	run->stop = true;
	pthread_join(thread, NULL);
	print_message("%u policies changed by %u plans\n", done, plans);
	check_run(run);
}

// ---- a thousand changes -------------------------------------------------------------------------------------------

#define PEER(label, value) "{'podSelector':{'matchLabels':{'" label "':'" value "'}}}"
#define RULES(key, one, two)                                                                       \
	"{'" key "':[" one "],'ports':[{'protocol':'UDP','port':%u}]},"                            \
	"{'" key "':[" two "],'ports':[{'protocol':'UDP','port':%u,'endPort':%u}]}"

static void put_pod(uint32_t pod, uint32_t state)
{
	char rules[512], name[16];

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		const char *format =
			dir == OUT ? (state ? RULES("to", PEER("h", "2"), PEER("h", "1")) :
					      RULES("to", PEER("g", "1"), PEER("g", "2"))) :
				     (state ? RULES("from", PEER("h", "2"), PEER("h", "1")) :
					      RULES("from", PEER("g", "1"), PEER("g", "2")));

		snprintf(rules, sizeof(rules), format, 80, 81, state ? 90 : 85);
		snprintf(name, sizeof(name), "%u%c%u", pod, dir ? 'e' : 'i', !state);
		store_remove(live.judge.store, KIND_NETPOL, "a", name);
		snprintf(name, sizeof(name), "%u%c%u", pod, dir ? 'e' : 'i', state);
		live_policy(&live, "a", name, live.pods[pod].name, dir, rules);
	}
}

static void r6_a_thousand_policy_changes_leave_no_packet_between(void **state)
{
	static const char *const addrs[PODS][2] = { { "10.1.0.1", "fd00:1::1" },
						    { "10.1.0.2", "fd00:1::2" },
						    { "10.1.0.3", "fd00:1::3" },
						    { "10.1.0.4", "fd00:1::4" } };
	static const char *const names[PODS] = { "p0", "p1", "p2", "p3" };
	// by which policies they differ in each way: g tells {1,2} from {3,4}, h {1,4} from {2,3}
	static const char *const remotes[] = { "10.2.0.1", "10.2.0.2", "fd00:2::3", "fd00:2::4" };
	static struct stream streams[PODS * BH_DIR_MAX * 4];
	struct run run = { .streams = streams };
	char labels[32];

	for (int pod = 0; pod < PODS; pod++) {
		snprintf(labels, sizeof(labels), "'app':'%s'", names[pod]);
		live_pod(&live, "a", names[pod], labels, addrs[pod][0], addrs[pod][1]);
	}
	judge_pod(&live.judge, "a", "a1", "'g':'1','h':'1'", "10.2.0.1 fd00:2::1", "");
	judge_pod(&live.judge, "a", "a2", "'g':'1','h':'2'", "10.2.0.2 fd00:2::2", "");
	judge_pod(&live.judge, "a", "a3", "'g':'2','h':'2'", "10.2.0.3 fd00:2::3", "");
	judge_pod(&live.judge, "a", "a4", "'g':'2','h':'1'", "10.2.0.4 fd00:2::4", "");
	for (uint32_t pod = 0; pod < PODS; pod++)
		for (int dir = 0; dir < BH_DIR_MAX; dir++)
			for (uint32_t i = 0; i < 4; i++) {
				uint16_t port = i < 2 ? 80 : 81;

				streams[run.nstreams++].flow = (struct live_flow){
					pod,
					dir,
					remotes[i],
					IPPROTO_UDP,
					dir == OUT ? port : 20000,
					dir == OUT ? 20000 : port,
				};
			}
	flips_under_packets(&run, wanted("FLIPS", 1000), put_pod);
}

// ---- ten thousand peers -------------------------------------------------------------------------------------------

#define PEERS 10000

static void put_many(uint32_t pod, uint32_t state)
{
	char *rules = NULL, name[16];
	size_t bytes;
	FILE *f = open_memstream(&rules, &bytes);

	fprintf(f, "{'from':[");
	for (uint32_t i = 0; i < PEERS; i++) {
		uint32_t n = 2 * i + state;

		fprintf(f, "%s{'ipBlock':{'cidr':'10.8.%u.%u/32'}}", i ? "," : "", n / 256,
			n % 256);
	}
	fprintf(f, "]}");
	fclose(f);
	snprintf(name, sizeof(name), "many%u", !state);
	store_remove(live.judge.store, KIND_NETPOL, "a", name);
	snprintf(name, sizeof(name), "many%u", state);
	live_policy(&live, "a", name, "p0", IN, rules);
	free(rules);
}

static void r31_a_policy_of_10000_peers_changes_as_one(void **state)
{
	static struct stream streams[64];
	static char remotes[64][16];
	struct run run = { .streams = streams };

	live_pod(&live, "a", "p0", "'app':'p0'", "10.1.0.1", "fd00:1::1");
	for (uint32_t i = 0; i < ARRAY_SIZE(streams); i++) {
		uint32_t n =
			i * (2 * PEERS / 64) + i % 2; // from all over the list, of both policies

		snprintf(remotes[i], sizeof(remotes[i]), "10.8.%u.%u", n / 256, n % 256);
		streams[run.nstreams++].flow =
			(struct live_flow){ 0, IN, remotes[i], IPPROTO_UDP, 20000, 80 };
	}
	flips_under_packets(&run, wanted("SWAPS", 20), put_many);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, live_setup, live_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(r6_a_thousand_policy_changes_leave_no_packet_between),
		TEST(r31_a_policy_of_10000_peers_changes_as_one),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests_name("atomic", tests, NULL, NULL);
}
