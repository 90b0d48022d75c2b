// SPDX-License-Identifier: Apache-2.0
// cases.c - what is measured: packets of known flows, of open pods, new flows by size and shape of the
// policy, denied packets, and the two yardsticks.
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/cleanup.h"
#include "tests/bench/node.h"

static int load_file(const char *path, const char *table, enum bpf_map_type type, int *rettable)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_map *map;

	if (!obj)
		bench_die(path);
	map = table ? bpf_object__find_map_by_name(obj, table) : NULL;
	if (map && type)
		bpf_map__set_type(map, type);
	if (bpf_object__load(obj))
		bench_die(path);
	if (map)
		*rettable = bpf_map__fd(map);
	return bpf_program__fd(bpf_object__next_program(obj, NULL)); // lives as long as the process
}

// A pod with a policy of n rules towards n peers (row shape) and n ports (column shape), both directions.
static struct bpfprog *pod(const struct bpfprog_options *options, uint32_t rows, uint32_t columns)
{
	struct bpfprog *prog;
	uint32_t *words = calloc(rows * columns, sizeof(*words));
	char addr[32];

	if (!words || bpfprog_new(options, &prog))
		bench_die("load");
	for (uint32_t i = 0; i < rows * columns; i++)
		words[i] = i < columns && rows > 1 ? BPFPROG_NO_ROW :
						     BH_CELL_WORD(BH_VERDICT_ALLOW, 1 + i);
	bpfprog_dense(prog, 10, 100, rows, columns, words);
	bpfprog_enforce(prog, BH_INGRESS, 10, 100);
	bpfprog_enforce(prog, BH_EGRESS, 10, 100);
	for (uint32_t i = 1; i < rows; i++) {
		snprintf(addr, sizeof(addr), "10.%u.%u.%u", 2 + (i >> 16), i >> 8 & 255, i & 255);
		bpfprog_peer(prog, addr, i);
	}
	for (uint32_t i = 1; i < columns; i++)
		bpfprog_port(prog, IPPROTO_TCP, i, i, i);
	bpfprog_peer(prog, PEER6, 1);
	free(words);
	return prog;
}

static void frame(struct packet *p, enum bh_dir dir, bool v6, bool tcp, uint8_t flags)
{
	const char *own = v6 ? POD6 : POD4, *peer = v6 ? PEER6 : PEER4;

	packet_eth(p, dir == BH_EGRESS ? pod_mac : peer_mac, dir == BH_EGRESS ? peer_mac : pod_mac,
		   0);
	packet_ip(p, dir == BH_EGRESS ? own : peer, dir == BH_EGRESS ? peer : own,
		  tcp ? IPPROTO_TCP : IPPROTO_UDP);
	if (tcp)
		packet_tcp(p, 20000, 80, flags);
	else
		packet_udp(p, 20000, 80);
	packet_data(p, 18);
	packet_end(p);
}

static void must_pass(struct bpfprog *prog, enum bh_dir dir, const struct packet *p, bool pass)
{
	struct bpfprog_result result = bpfprog_run(prog, dir, p, NULL);

	if (result.pass == pass)
		return;
	fprintf(stderr, "bench: a packet had reason %d\n", result.reason);
	exit(1);
}

// The flows that BENCH_WARM meets, in the order of rotate.bpf.c, as packets make the floor's.
static void put_flows(struct bpfprog *prog, bool v6, bool tcp)
{
	struct bh_ct ct = { .gen = 100,
			    .rule = BH_CELL_WORD(BH_VERDICT_ALLOW, 1),
			    .last = bpfprog_now(),
			    .state = tcp ? BH_CT_ESTABLISHED : BH_CT_REPLY };
	uint32_t walk = 0;

	for (uint32_t i = 0; i < BENCH_WARM_FLOWS; i++) {
		walk = (walk * 5 + 12345) & (BENCH_WARM_FLOWS - 1);
		bpfprog_ct_set(prog, tcp ? IPPROTO_TCP : IPPROTO_UDP, v6 ? PEER6 : PEER4, (uint16_t)(20000 + walk), 80, &ct);
	}
}

static void add_udp(struct bpfprog *prog, struct bpfprog *recording)
{
	struct bench *b, *plain;
	struct packet p;

	frame(&p, BH_INGRESS, false, false, 0);
	bench_add("UDP v4 that nobody answers, to pod", BENCH_SAME,
		  bpfprog_fd(pod(NULL, 600, 1), BH_INGRESS), &p, NULL);
	put_flows(prog, false, false);
	put_flows(recording, false, false);
	bench_add("established UDP v4, to pod", BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p, NULL)
		->aim_floor = 1.5;
	plain = bench_add("established UDP v4, to pod", BENCH_WARM, bpfprog_fd(prog, BH_INGRESS), &p, NULL);
	plain->aim_floor = 1.5;
	b = bench_add("established UDP v4, recording", BENCH_WARM, bpfprog_fd(recording, BH_INGRESS), &p, NULL);
	b->flat = plain;
	b->aim_flat = 1.03;
	b = bench_add("established UDP v4, recording, followed", BENCH_WARM, bpfprog_fd(recording, BH_INGRESS), &p, NULL);
	b->followed = bpfprog_map(recording, "bh_ct");
	b->flat = plain;
}

// Each with tables of its own, as full as those of UDP v4.
static void add_many_known(const struct bpfprog_options *big)
{
	static const struct {
		const char *name;
		bool v6, tcp;
	} cases[] = {
		{ "established TCP v4, to pod", false, true },
		{ "established TCP v6, to pod", true, true },
		{ "established UDP v6, to pod", true, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bpfprog *prog = pod(big, 600, 1);
		struct packet p;

		put_flows(prog, cases[i].v6, cases[i].tcp);
		frame(&p, BH_INGRESS, cases[i].v6, cases[i].tcp, P_ACK);
		must_pass(prog, BH_INGRESS, &p, true);
		bench_add(cases[i].name, BENCH_WARM, bpfprog_fd(prog, BH_INGRESS), &p, NULL)->aim_floor = 1.5;
	}
}

static void add_established(void)
{
	struct bpfprog_options big = { .ct = 131072,
				       .ct_quota = 131072,
				       .half = 131072 };
	struct bpfprog *prog = pod(&big, 600, 1), *recording;
	struct bench *b, *plain;
	struct packet p, back;

	add_many_known(&big);
	big.features = BH_FEATURE_TRACK | BH_FEATURE_RECORD;
	recording = pod(&big, 600, 1);

	for (int v6 = 0; v6 < 2; v6++) {
		frame(&p, BH_INGRESS, v6, true, P_SYN);
		must_pass(prog, BH_INGRESS, &p, true);
		must_pass(recording, BH_INGRESS, &p, true);
		packet_eth(&back, pod_mac, peer_mac, 0);
		packet_ip(&back, v6 ? POD6 : POD4, v6 ? PEER6 : PEER4, IPPROTO_TCP);
		packet_tcp(&back, 80, 20000, P_SYN | P_ACK);
		packet_data(&back, 18);
		packet_end(&back);
		must_pass(prog, BH_EGRESS, &back, true);
		must_pass(recording, BH_EGRESS, &back, true);
		frame(&p, BH_INGRESS, v6, true, P_ACK);
		back.data[back.l4 + 13] = P_ACK;
		must_pass(prog, BH_INGRESS, &p, true);
		must_pass(recording, BH_INGRESS, &p, true);
		plain = bench_add(v6 ? "established TCP v6, to pod" : "established TCP v4, to pod",
				  BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p, NULL);
		plain->aim_floor = 1.5;
		bench_add(v6 ? "established TCP v6, from pod" : "established TCP v4, from pod",
			  BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &back, NULL)
			->aim_floor = 1.5;
		if (v6)
			continue;
		b = bench_add("established TCP v4, recording", BENCH_SAME,
			      bpfprog_fd(recording, BH_INGRESS), &p, NULL);
		b->flat = plain;
		b->aim_flat = 1.03;
		b = bench_add("established TCP v4, recording, followed", BENCH_SAME,
			      bpfprog_fd(recording, BH_INGRESS), &p, NULL);
		b->followed = bpfprog_map(recording, "bh_ct");
		b->flat = plain;
		plain = bench_add("established TCP v4, both ways at once", BENCH_PAIR,
				  bpfprog_fd(prog, BH_INGRESS), &p, NULL);
		plain->other_fd = bpfprog_fd(prog, BH_EGRESS);
		plain->other = back;
		plain->aim_floor = 1;
		b = bench_add("established TCP v4, both ways at once, recording", BENCH_PAIR,
			      bpfprog_fd(recording, BH_INGRESS), &p, NULL);
		b->other_fd = bpfprog_fd(recording, BH_EGRESS);
		b->other = back;
		b->flat = plain;
	}
	add_udp(prog, recording);
}

static void add_open(void)
{
	struct bpfprog_options options = { .open = true };
	struct bpfprog *prog;
	struct packet p;

	if (bpfprog_new(&options, &prog))
		bench_die("load");
	frame(&p, BH_INGRESS, false, true, P_ACK);
	bench_add("unselected pod v4, to pod", BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p, NULL)
		->aim_ns = 15;
	frame(&p, BH_EGRESS, false, true, P_ACK);
	bench_add("unselected pod v4, from pod", BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &p, NULL)
		->aim_ns = 15;
	frame(&p, BH_EGRESS, true, true, P_ACK);
	bench_add("unselected pod v6, from pod", BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &p, NULL)
		->aim_ns = 15;
}

static uint32_t addr4(const char *text)
{
	struct in_addr addr;

	inet_pton(AF_INET, text, &addr);
	return ntohl(addr.s_addr);
}

// A case of new flows measures what it says only if all of them pass.
static void all_pass(const struct bench *b)
{
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = b->packet.data,
		    .data_size_in = b->packet.len, .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	for (int i = 0; i < BENCH_NEW_FLOWS; i++)
		if (bpf_prog_test_run_opts(b->fd, &opts) || (int)opts.retval != TC_ACT_UNSPEC) {
			fprintf(stderr, "bench: %s: flow %d does not pass\n", b->name, i);
			exit(1);
		}
}

static struct bench_turns turns_of(enum node_rules rules, uint32_t n)
{
	switch (rules) {
	case NODE_SELECTORS:
		return (struct bench_turns){ .peers = n, .peer_step = 1, .first_peer = addr4("10.64.0.0") };
	case NODE_PORTS:
		return (struct bench_turns){ .ports = n, .first_port = NODE_PORT };
	default:
		return (struct bench_turns){ .peers = n, .peer_step = 256, .first_peer = addr4("10.128.0.1") };
	}
}

// New flows of a pod with `n` rules: all by one of them, or by each in turn, when what the rules take in the
// caches shows.
static struct bench *add_rules(enum node_rules rules, uint32_t n, bool in_turn)
{
	static const char *const kinds[] = { "selector", "port", "CIDR" };
	struct bench_turns turns = turns_of(rules, in_turn ? n : 1);
	struct node_pod node;
	struct packet p;
	struct bench *b;
	char *name;

	node_pod(rules, n, &node);
	packet_eth(&p, peer_mac, node.mac, 0);
	packet_ip(&p, "10.64.0.0", NODE_POD, IPPROTO_TCP);
	packet_tcp(&p, 20000, NODE_PORT, P_SYN);
	packet_data(&p, 18);
	packet_end(&p);
	if (asprintf(&name, "new flow, %u rules by %s%s", n, kinds[rules], in_turn ? ", in turn" : "") < 0)
		bench_die("memory");
	b = bench_add(name, BENCH_NEW, node.fd, &p, &turns);
	bench_begins_in(b, node.half);
	b->matrix_bytes = node.matrix_bytes;
	if (rules != NODE_CIDRS && !in_turn)
		b->aim_ns = 200;
	all_pass(b);
	return b;
}

static void add_curve(enum node_rules rules, bool in_turn)
{
	static const uint32_t sizes[] = { 10, 100, 1000, 10000 };
	const struct bench *least = NULL;

	for (int i = 0; i < 4; i++) {
		struct bench *b = add_rules(rules, sizes[i], in_turn);

		b->flat = least;
		b->aim_flat = rules == NODE_CIDRS ? 3 : 1.15;
		least = least ? least : b;
	}
}

static void add_denied(void)
{
	struct bpfprog *prog = pod(NULL, 10, 1);
	struct packet p;

	bpfprog_enforce(prog, BH_INGRESS, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	frame(&p, BH_INGRESS, false, true, P_SYN);
	must_pass(prog, BH_INGRESS, &p, false);
	bench_add("denied by deny-all", BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p, NULL);
	bpfprog_enforce(prog, BH_EGRESS, 10, 100);
	packet_eth(&p, pod_mac, peer_mac, 0);
	packet_ip(&p, POD4, "203.0.113.1", IPPROTO_TCP);
	packet_tcp(&p, 20000, 80, P_SYN);
	packet_end(&p);
	must_pass(prog, BH_EGRESS, &p, false);
	bench_add("denied after peer and prefix lookups", BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &p, NULL);
}

// What recording and Services cost who begins a flow: Services one lookup where there are any, and less where the flow
// is to one.
static void add_services(void)
{
	static const struct {
		const char *name, *remote;
		bool services, records;
	} cases[] = {
		{ "new flow from pod, no Services", PEER4, false, false },
		{ "new flow from pod, recording", PEER4, false, true },
		{ "new flow from pod, beside Services", PEER4, true, false },
		{ "new flow from pod, to a Service", "10.96.0.1", true, false },
	};
	struct bpfprog_options big = { .half = BH_LIMIT_HALF };
	const uint32_t words[] = { BPFPROG_NO_ROW, BH_CELL_WORD(BH_VERDICT_ALLOW, 7) };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bpfprog *prog;
		struct packet p;
		struct bench *b;

		big.features = BH_FEATURE_TRACK | (cases[i].records ? BH_FEATURE_RECORD : 0);
		if (bpfprog_new(&big, &prog))
			bench_die("load");
		bpfprog_dense(prog, 10, 100, 2, 1, words);
		bpfprog_enforce(prog, BH_EGRESS, 10, 100);
		bpfprog_peer(prog, PEER4, 1);
		bpfprog_service(prog, "10.96.0.1", IPPROTO_TCP, 80, 1);
		bpfprog_node(prog, cases[i].services ? BH_NODE_SERVICES : 0);
		bpfprog_any_ports(prog, 30000, 32767); // NodePorts
		packet_eth(&p, pod_mac, peer_mac, 0);
		packet_ip(&p, POD4, cases[i].remote, IPPROTO_TCP);
		packet_tcp(&p, 20000, 80, P_SYN);
		packet_data(&p, 18);
		packet_end(&p);
		b = bench_add(cases[i].name, BENCH_NEW, bpfprog_fd(prog, BH_EGRESS), &p, NULL);
		bench_begins_in(b, bpfprog_map(prog, "bh_half"));
		all_pass(b);
	}
}

// The floor's entry is one for both directions: the same packet meets it from both CPUs.
static void add_yardstick(const char *name, enum bench_mode mode, int fd, int table,
			  const struct packet *p)
{
	struct bench *b = bench_add(name, mode, fd, p, NULL);

	b->table = table;
	b->other_fd = fd;
	b->other = *p;
}

static void add_yardsticks(const char *empty, const char *floor)
{
	static const struct {
		const char *name;
		enum bpf_map_type type;
	} floors[] = { { "floor", 0 }, { "floor, preallocated hash", BPF_MAP_TYPE_HASH } };
	int fd = load_file(empty, NULL, 0, NULL), table = -1;
	struct packet p;

	frame(&p, BH_INGRESS, false, true, P_ACK);
	for (int mode = 0; mode < BENCH_MODE_MAX; mode++)
		add_yardstick("empty", mode, fd, -1, &p);
	for (int i = 0; i < 2; i++) {
		fd = load_file(floor, "ct", floors[i].type, &table);
		for (int mode = 0; mode < BENCH_MODE_MAX; mode++)
			add_yardstick(floors[i].name, mode, fd, table, &p);
	}
}

void bench_cases(const char *empty, const char *floor)
{
	add_yardsticks(empty, floor);
	add_established();
	add_open();
	for (int i = 0; i < NODE_RULES_MAX; i++)
		for (int in_turn = 0; in_turn < 2; in_turn++)
			add_curve(i, in_turn);
	add_services();
	add_denied();
}
