// SPDX-License-Identifier: Apache-2.0
// cases.c - what is measured: packets of known flows, of open pods, new flows by size and shape of the
// policy, denied packets, and the two yardsticks.
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include <netinet/in.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

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

static void add_established(void)
{
	struct bpfprog_options record = { .features = BH_FEATURE_TRACK | BH_FEATURE_RECORD };
	struct bpfprog_options big = { .ct = 131072,
				       .ct_quota = 131072,
				       .ct_unreplied_quota = 131072 };
	struct bpfprog *prog = pod(&big, 600, 1), *recording = pod(&record, 600, 1);
	struct packet p, back;

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
		bench_add(v6 ? "established TCP v6, to pod" : "established TCP v4, to pod",
			  BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p)
			->aim_floor = 1.5;
		bench_add(v6 ? "established TCP v6, from pod" : "established TCP v4, from pod",
			  BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &back)
			->aim_floor = 1.5;
		if (!v6)
			bench_add("established TCP v4, recording", BENCH_SAME,
				  bpfprog_fd(recording, BH_INGRESS), &p);
	}
	frame(&p, BH_INGRESS, false, false, 0);
	must_pass(prog, BH_INGRESS, &p, true);
	bench_add("established UDP v4, to pod", BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p)
		->aim_floor = 1.5;
	bench_add("established UDP v4, to pod", BENCH_WARM, bpfprog_fd(prog, BH_INGRESS), &p)
		->aim_floor = 1.5;
}

static void add_open(void)
{
	struct bpfprog_options options = { .open = true };
	struct bpfprog *prog;
	struct packet p;

	if (bpfprog_new(&options, &prog))
		bench_die("load");
	frame(&p, BH_INGRESS, false, true, P_ACK);
	bench_add("unselected pod v4, to pod", BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p)
		->aim_ns = 15;
	frame(&p, BH_EGRESS, false, true, P_ACK);
	bench_add("unselected pod v4, from pod", BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &p)
		->aim_ns = 15;
	frame(&p, BH_EGRESS, true, true, P_ACK);
	bench_add("unselected pod v6, from pod", BENCH_SAME, bpfprog_fd(prog, BH_EGRESS), &p)
		->aim_ns = 15;
}

static void add_new(const char *name, const struct bpfprog_options *options, uint32_t rows,
		    uint32_t columns, enum bh_dir dir)
{
	struct bpfprog *prog = pod(options, rows, columns);
	struct packet p;
	struct bench *b;

	frame(&p, dir, false, true, P_SYN);
	if (columns > 1) // the last port
		p.data[p.l4 + 2] = (columns - 1) >> 8, p.data[p.l4 + 3] = (columns - 1) & 255;
	bpfprog_peer(prog, PEER4, rows - 1);
	must_pass(prog, dir, &p, true);
	b = bench_add(name, BENCH_NEW, bpfprog_fd(prog, dir), &p);
	b->table = bpfprog_map(prog, "bh_ct");
	b->ep = bpfprog_endpoint(prog);
	if (!options->ct_type && !options->ct_flags)
		b->aim_ns = 200;
}

static void add_cidrs(const char *name, uint32_t n)
{
	struct bpfprog_options options = {
		.ct = 131072, .cidrs = 16384, .ct_quota = 131072, .ct_unreplied_quota = 131072
	};
	struct bpfprog *prog = pod(&options, 10, 1);
	struct packet p;
	struct bench *b;
	char addr[32];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(addr, sizeof(addr), "10.%u.%u.%u", 20 + (i * 7 >> 16), i * 7 >> 8 & 255,
			 (i * 7 & 255) & ~3u);
		bpfprog_cidr(prog, addr, 30, 1 + i % 9);
	}
	bpfprog_cidr(prog, "10.3.0.0", 30, 1);
	packet_eth(&p, peer_mac, pod_mac, 0);
	packet_ip(&p, "10.3.0.1", POD4, IPPROTO_TCP);
	packet_tcp(&p, 20000, 80, P_SYN);
	packet_end(&p);
	must_pass(prog, BH_INGRESS, &p, true);
	b = bench_add(name, BENCH_NEW, bpfprog_fd(prog, BH_INGRESS), &p);
	b->table = bpfprog_map(prog, "bh_ct");
	b->ep = bpfprog_endpoint(prog);
}

static void add_denied(void)
{
	struct bpfprog *prog = pod(NULL, 10, 1);
	struct packet p;

	bpfprog_enforce(prog, BH_INGRESS, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	frame(&p, BH_INGRESS, false, true, P_SYN);
	must_pass(prog, BH_INGRESS, &p, false);
	bench_add("denied by deny-all", BENCH_SAME, bpfprog_fd(prog, BH_INGRESS), &p);
	bpfprog_enforce(prog, BH_EGRESS, 10, 100);
	packet_eth(&p, pod_mac, peer_mac, 0);
	packet_ip(&p, POD4, "203.0.113.1", IPPROTO_TCP);
	packet_tcp(&p, 20000, 80, P_SYN);
	packet_end(&p);
	must_pass(prog, BH_EGRESS, &p, false);
	bench_add("denied after peer and prefix lookups", BENCH_SAME, bpfprog_fd(prog, BH_EGRESS),
		  &p);
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
		bench_add("empty", mode, fd, &p);
	for (int i = 0; i < 2; i++) {
		fd = load_file(floor, "ct", floors[i].type, &table);
		for (int mode = 0; mode < BENCH_MODE_MAX; mode++)
			bench_add(floors[i].name, mode, fd, &p)->table = table;
	}
}

void bench_cases(const char *empty, const char *floor)
{
	struct bpfprog_options big = { .ct = 131072, .peers = 16384, .ct_quota = 131072 };
	struct bpfprog_options lru, grow;

	big.ct_unreplied_quota = big.ct_quota;
	lru = grow = big;
	lru.ct_type = BPF_MAP_TYPE_LRU_HASH;
	grow.ct_flags = BPF_F_NO_PREALLOC;
	add_yardsticks(empty, floor);
	add_established();
	add_open();
	add_new("new flow, 10 peers, to pod", &big, 10, 1, BH_INGRESS);
	add_new("new flow, 10,000 peers, to pod", &big, 10000, 1, BH_INGRESS);
	add_new("new flow, 10,000 peers, from pod", &big, 10000, 1, BH_EGRESS);
	add_new("new flow, 4,000 ports, to pod", &big, 10, 4000, BH_INGRESS);
	add_new("new flow, 10 peers, connections in an LRU", &lru, 10, 1, BH_INGRESS);
	add_new("new flow, 10 peers, connections on demand", &grow, 10, 1, BH_INGRESS);
	add_cidrs("new flow, 10 prefixes", 10);
	add_cidrs("new flow, 10,000 prefixes", 10000);
	add_denied();
}
