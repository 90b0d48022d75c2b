// SPDX-License-Identifier: Apache-2.0
// bench.c - what a packet costs in the programs, beside an empty program and the least a stateful filter can do
// (floor). BPF_PROG_TEST_RUN, every case in every round, forwards and backwards; medians.
//
// World: host; root. Usage: bench EMPTY.bpf.o FLOOR.bpf.o [ROUNDS [FILTER]]
// Only differences within one run mean something: net is minus the empty program in the same mode.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <netinet/in.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bench/rotate.skel.h"
#include "tests/harness/bpfprog.h"

#define ROUNDS_MAX 101
#define CASES_MAX 48
#define REPEAT 400000
#define NEW_FLOWS 8192
#define WARM_FLOWS 32768

enum mode { MODE_SAME, MODE_WARM, MODE_NEW, MODE_MAX };
static const char *const mode_names[] = { "same packet", "32k flows", "new flows" };

struct bench {
	const char *name;
	enum mode mode;
	int fd; // of the program that is run
	struct packet packet;
	int tables[2]; // emptied before each run of MODE_NEW; -1: none
	struct bh_endpoint *ep;
	double aim_ns, aim_floor; // 0: none
	double ns[ROUNDS_MAX];
	double median, spread;
};

static struct bench cases[CASES_MAX];
static int ncases;
static const char *filter = "";

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int load_file(const char *path, const char *table, enum bpf_map_type type, int *rettable)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_map *map;

	if (!obj)
		die(path);
	map = table ? bpf_object__find_map_by_name(obj, table) : NULL;
	if (map && type)
		bpf_map__set_type(map, type);
	if (bpf_object__load(obj))
		die(path);
	if (map)
		*rettable = bpf_map__fd(map);
	return bpf_program__fd(bpf_object__next_program(obj, NULL)); // lives as long as the process
}

static int rotating(int target, enum mode mode, bool v6)
{
	struct rotate_bpf *skel = rotate_bpf__open();
	uint32_t key = 0;

	if (!skel)
		die("rotate");
	skel->rodata->flows = mode == MODE_NEW ? NEW_FLOWS : WARM_FLOWS;
	skel->rodata->offset = v6 ? 54 : 34;
	if (rotate_bpf__load(skel) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.target), &key, &target, BPF_ANY))
		die("rotate");
	return bpf_program__fd(skel->progs.rotate);
}

static struct bench *add(const char *name, enum mode mode, int fd, const struct packet *packet)
{
	struct bench *b = &cases[ncases];

	if (mode != MODE_SAME)
		fd = rotating(fd, mode, packet->v6);
	*b = (struct bench){ .name = name, .mode = mode, .fd = fd, .packet = *packet,
			     .tables = { -1, -1 } };
	if (strncmp(name, "empty", 5) && strncmp(name, "floor", 5) && !strstr(name, filter))
		return b;
	if (++ncases == CASES_MAX)
		die("too many cases");
	return b;
}

// ---- running --------------------------------------------------------------------------------------------------------------
static void empty_table(int fd)
{
	static char keys[NEW_FLOWS * 32], values[NEW_FLOWS * 64];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t batch, n;
	void *from = NULL;
	int r;

	if (fd < 0)
		return;
	do {
		n = NEW_FLOWS;
		r = bpf_map_lookup_and_delete_batch(fd, from, &batch, keys, values, &n, &opts);
		from = &batch;
	} while (!r);
	if (r != -ENOENT)
		die("emptying a table");
}

static double run(struct bench *b, uint32_t repeat)
{
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = b->packet.data,
		    .data_size_in = b->packet.len, .repeat = repeat, .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb));
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	if (bpf_prog_test_run_opts(b->fd, &opts))
		die(b->name);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / repeat;
}

static double measure(struct bench *b)
{
	double sum = 0;
	int batches = 4;

	if (b->mode != MODE_NEW)
		return run(b, REPEAT);
	for (int i = 0; i < batches; i++) {
		empty_table(b->tables[0]);
		empty_table(b->tables[1]);
		if (b->ep)
			b->ep->ct_count = b->ep->ct_unreplied = 0;
		sum += run(b, NEW_FLOWS);
	}
	return sum / batches;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void summarize(struct bench *b, int rounds)
{
	qsort(b->ns, rounds, sizeof(*b->ns), by_value);
	b->median = b->ns[rounds / 2];
	b->spread = (b->ns[rounds * 3 / 4] - b->ns[rounds / 4]) / 2;
}

static const struct bench *reference(const char *name, enum mode mode)
{
	for (int i = 0; i < ncases; i++)
		if (!strcmp(cases[i].name, name) && cases[i].mode == mode)
			return &cases[i];
	return NULL;
}

static void report(void)
{
	printf("%-46s %-12s %8s %6s %8s   %s\n", "case", "mode", "net ns", "+-", "x floor", "aim");
	for (int i = 0; i < ncases; i++) {
		const struct bench *b = &cases[i], *empty = reference("empty", b->mode);
		const struct bench *floor = reference("floor", b->mode);
		double net = b->median - empty->median, least = floor->median - empty->median;

		printf("%-46s %-12s %8.1f %6.1f %8.2f", b->name, mode_names[b->mode],
		       b == empty ? b->median : net, b->spread, net / least);
		if (b->aim_floor)
			printf("   <= %.2f x floor: %s", b->aim_floor,
			       net <= b->aim_floor * least ? "met" : "MISSED");
		if (b->aim_ns)
			printf("   <= %.0f ns: %s", b->aim_ns, net <= b->aim_ns ? "met" : "MISSED");
		putchar('\n');
	}
}

// ---- cases ------------------------------------------------------------------------------------------------------------------
// A pod with a policy of n rules towards n peers (row shape) and n ports (column shape), both directions.
static struct bpfprog *pod(const struct bpfprog_options *options, uint32_t rows, uint32_t columns)
{
	struct bpfprog *prog;
	uint32_t *words = calloc(rows * columns, sizeof(*words));
	char addr[32];

	if (!words || bpfprog_new(options, &prog))
		die("load");
	for (uint32_t i = 0; i < rows * columns; i++)
		words[i] = i < columns && rows > 1 ? BPFPROG_NO_ROW : BH_CELL_WORD(BH_VERDICT_ALLOW, 1 + i);
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

	packet_eth(p, dir == BH_EGRESS ? pod_mac : peer_mac, dir == BH_EGRESS ? peer_mac : pod_mac, 0);
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
	struct bpfprog_options big = { .ct = 131072, .ct_quota = 131072, .ct_unreplied_quota = 131072 };
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
		add(v6 ? "established TCP v6, to pod" : "established TCP v4, to pod", MODE_SAME,
		    bpfprog_fd(prog, BH_INGRESS), &p)->aim_floor = 1.5;
		add(v6 ? "established TCP v6, from pod" : "established TCP v4, from pod",
		    MODE_SAME, bpfprog_fd(prog, BH_EGRESS), &back)->aim_floor = 1.5;
		if (!v6)
			add("established TCP v4, recording", MODE_SAME,
			    bpfprog_fd(recording, BH_INGRESS), &p);
	}
	frame(&p, BH_INGRESS, false, false, 0);
	must_pass(prog, BH_INGRESS, &p, true);
	add("established UDP v4, to pod", MODE_SAME, bpfprog_fd(prog, BH_INGRESS), &p)->aim_floor = 1.5;
	add("established UDP v4, to pod", MODE_WARM, bpfprog_fd(prog, BH_INGRESS), &p)->aim_floor = 1.5;
}

static void add_open(void)
{
	struct bpfprog_options options = { .open = true };
	struct bpfprog *prog;
	struct packet p;

	if (bpfprog_new(&options, &prog))
		die("load");
	frame(&p, BH_INGRESS, false, true, P_ACK);
	add("unselected pod v4, to pod", MODE_SAME, bpfprog_fd(prog, BH_INGRESS), &p)->aim_ns = 15;
	frame(&p, BH_EGRESS, false, true, P_ACK);
	add("unselected pod v4, from pod", MODE_SAME, bpfprog_fd(prog, BH_EGRESS), &p)->aim_ns = 15;
	frame(&p, BH_EGRESS, true, true, P_ACK);
	add("unselected pod v6, from pod", MODE_SAME, bpfprog_fd(prog, BH_EGRESS), &p)->aim_ns = 15;
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
	b = add(name, MODE_NEW, bpfprog_fd(prog, dir), &p);
	b->tables[0] = bpfprog_map(prog, "bh_ct");
	b->ep = bpfprog_endpoint(prog);
	if (!options->ct_type && !options->ct_flags)
		b->aim_floor = 200. / 128; // 200 ns where floor's new flow takes 128
}

static void add_cidrs(const char *name, uint32_t n)
{
	struct bpfprog_options options = { .ct = 131072, .cidrs = 16384, .ct_quota = 131072, .ct_unreplied_quota = 131072 };
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
	b = add(name, MODE_NEW, bpfprog_fd(prog, BH_INGRESS), &p);
	b->tables[0] = bpfprog_map(prog, "bh_ct");
	b->ep = bpfprog_endpoint(prog);
}

static void add_denied(void)
{
	struct bpfprog *prog = pod(NULL, 10, 1);
	struct packet p;

	bpfprog_enforce(prog, BH_INGRESS, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	frame(&p, BH_INGRESS, false, true, P_SYN);
	must_pass(prog, BH_INGRESS, &p, false);
	add("denied by deny-all", MODE_SAME, bpfprog_fd(prog, BH_INGRESS), &p);
	bpfprog_enforce(prog, BH_EGRESS, 10, 100);
	packet_eth(&p, pod_mac, peer_mac, 0);
	packet_ip(&p, POD4, "203.0.113.1", IPPROTO_TCP);
	packet_tcp(&p, 20000, 80, P_SYN);
	packet_end(&p);
	must_pass(prog, BH_EGRESS, &p, false);
	add("denied after peer and prefix lookups", MODE_SAME, bpfprog_fd(prog, BH_EGRESS), &p);
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
	for (int mode = 0; mode < MODE_MAX; mode++)
		add("empty", mode, fd, &p);
	for (int i = 0; i < 2; i++) {
		fd = load_file(floor, "ct", floors[i].type, &table);
		for (int mode = 0; mode < MODE_MAX; mode++)
			add(floors[i].name, mode, fd, &p)->tables[0] = table;
	}
}

// What the agent pays per pod: both programs against tables that are there.
static void report_load(const char *name, bool open)
{
	struct bpfprog_options options = { .open = open };
	struct bpfprog *first, *next;
	struct bpf_prog_info info[2];
	struct timespec from, to;
	double ms[9];

	if (bpfprog_new(&options, &first))
		die("load");
	options.share = first;
	for (int i = 0; i < 9; i++) {
		options.slot = 4 + i;
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (bpfprog_new(&options, &next))
			die("load");
		clock_gettime(CLOCK_MONOTONIC, &to);
		ms[i] = (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6;
		for (int dir = 0; dir < 2; dir++) {
			uint32_t len = sizeof(info[dir]);

			memset(&info[dir], 0, sizeof(info[dir]));
			bpf_obj_get_info_by_fd(bpfprog_fd(next, dir), &info[dir], &len);
		}
		bpfprog_free(next);
	}
	qsort(ms, 9, sizeof(*ms), by_value);
	printf("load %-8s both programs %.2f ms (open, BTF, maps reused, verify, JIT); per program %u instructions, "
	       "%u verified, %u bytes of code\n", name, ms[4], info[1].xlated_prog_len / 8,
	       info[1].verified_insns, info[1].jited_prog_len);
	bpfprog_free(first);
}

int main(int argc, char **argv)
{
	struct bpfprog_options big = { .ct = 131072, .peers = 16384, .ct_quota = 131072, .ct_unreplied_quota = 131072 };
	struct bpfprog_options lru = big, grow = big;
	int rounds = argc > 3 ? atoi(argv[3]) : 15;

	if (argc < 3 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench EMPTY.bpf.o FLOOR.bpf.o [ROUNDS [FILTER]]\n");
		return 2;
	}
	filter = argc > 4 ? argv[4] : "";
	lru.ct_type = BPF_MAP_TYPE_LRU_HASH;
	grow.ct_flags = BPF_F_NO_PREALLOC;
	add_yardsticks(argv[1], argv[2]);
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
	for (int i = 0; i < ncases; i++)
		measure(&cases[i]); // warm
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < ncases; i++) {
			int at = round % 2 ? ncases - 1 - i : i;

			cases[at].ns[round] = measure(&cases[at]);
		}
	for (int i = 0; i < ncases; i++)
		summarize(&cases[i], rounds);
	report();
	report_load("track", false);
	report_load("open", true);
	return 0;
}
