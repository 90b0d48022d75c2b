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

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bench/bench.h"
#include "tests/bench/rotate.skel.h"

#define CASES_MAX 48
#define REPEAT 400000

static const char *const mode_names[] = { "same packet", "32k flows", "new flows" };

static struct bench cases[CASES_MAX];
static int ncases;
static const char *filter = "";

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int rotating(int target, enum bench_mode mode, bool v6)
{
	struct rotate_bpf *skel = rotate_bpf__open();
	uint32_t key = 0;

	if (!skel)
		bench_die("rotate");
	skel->rodata->flows = mode == BENCH_NEW ? BENCH_NEW_FLOWS : BENCH_WARM_FLOWS;
	skel->rodata->offset = v6 ? 54 : 34;
	if (rotate_bpf__load(skel) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.target), &key, &target, BPF_ANY))
		bench_die("rotate");
	return bpf_program__fd(skel->progs.rotate);
}

struct bench *bench_add(const char *name, enum bench_mode mode, int fd, const struct packet *packet)
{
	struct bench *b = &cases[ncases];

	if (mode != BENCH_SAME)
		fd = rotating(fd, mode, packet->v6);
	*b = (struct bench){ .name = name, .mode = mode, .fd = fd, .packet = *packet, .table = -1 };
	if (strncmp(name, "empty", 5) && strncmp(name, "floor", 5) && !strstr(name, filter))
		return b;
	if (++ncases == CASES_MAX)
		bench_die("too many cases");
	return b;
}

// ---- running --------------------------------------------------------------------------------------------------------------
static void empty_table(int fd)
{
	static char keys[BENCH_NEW_FLOWS * 32], values[BENCH_NEW_FLOWS * 64];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t batch, n;
	void *from = NULL;
	int r;

	if (fd < 0)
		return;
	do {
		n = BENCH_NEW_FLOWS;
		r = bpf_map_lookup_and_delete_batch(fd, from, &batch, keys, values, &n, &opts);
		from = &batch;
	} while (!r);
	if (r != -ENOENT)
		bench_die("emptying a table");
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
		bench_die(b->name);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / repeat;
}

static double measure(struct bench *b)
{
	double sum = 0;
	int batches = 4;

	if (b->mode != BENCH_NEW)
		return run(b, REPEAT);
	for (int i = 0; i < batches; i++) {
		empty_table(b->table);
		if (b->ep)
			b->ep->ct_count = b->ep->ct_unreplied = 0;
		sum += run(b, BENCH_NEW_FLOWS);
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

static const struct bench *reference(const char *name, enum bench_mode mode)
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

static double ms_since(const struct timespec *from)
{
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from->tv_sec) * 1e3 + (to.tv_nsec - from->tv_nsec) / 1e6;
}

static struct bpf_prog_info info_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		bench_die("program info");
	return info;
}

#define LOADS 15

// What the agent pays for the judges once, and for the gates of each pod.
static void report_load(const char *name, bool open)
{
	struct bpfprog_options options = { .open = open };
	struct bpfprog *first, *next;
	struct bpf_prog_info info;
	struct timespec from;
	double once, ms[LOADS];

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (bpfprog_new(&options, &first))
		bench_die("load");
	once = ms_since(&from);
	options.share = first;
	for (int i = 0; i < LOADS; i++) {
		options.slot = 4 + i;
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (bpfprog_new(&options, &next))
			bench_die("load");
		ms[i] = ms_since(&from);
		info = info_of(bpfprog_fd(next, BH_INGRESS));
		bpfprog_free(next);
	}
	qsort(ms, LOADS, sizeof(*ms), by_value);
	printf("load %-6s judges and tables, once: %.1f ms; a pod's two gates: %.2f ms (slowest %.2f); a gate: %u instructions verified, "
	       "%u bytes of code\n",
	       name, once, ms[LOADS / 2], ms[LOADS - 1], info.verified_insns, info.jited_prog_len);
	if (!open)
		printf("%-38s<= 2 ms a pod: %s\n", "", ms[LOADS / 2] <= 2 ? "met" : "MISSED");
	bpfprog_free(first);
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[3]) : 15;

	if (argc < 3 || rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
		fprintf(stderr, "usage: bench EMPTY.bpf.o FLOOR.bpf.o [ROUNDS [FILTER]]\n");
		return 2;
	}
	filter = argc > 4 ? argv[4] : "";
	bench_cases(argv[1], argv[2]);
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
