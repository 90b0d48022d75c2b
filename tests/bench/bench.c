// SPDX-License-Identifier: Apache-2.0
// bench.c - what a packet costs in the programs, beside an empty program and the least a stateful filter can do
// (floor). BPF_PROG_TEST_RUN, every case in every round, forwards and backwards; medians of paired differences.
//
// World: host; root. Usage: bench EMPTY.bpf.o FLOOR.bpf.o [ROUNDS [FILTER]]
// Only differences within one round mean something: net is minus the empty program, x floor divides by the floor,
// both of the same mode and round.
#include "tests/bench/bench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <bulkhead/half.h>

#include "tests/bench/measure.h"
#include "tests/bench/rotate.skel.h"
#include "tests/harness/net.h"

#define CASES_MAX 80
#define REPEAT 400000

static const char *const mode_names[] = { "same packet", "two CPUs", "32k flows", "new flows" };

static struct bench cases[CASES_MAX];
static int ncases;
static const char *filter = "";

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

double bench_ms_since(const struct timespec *from)
{
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from->tv_sec) * 1e3 + (to.tv_nsec - from->tv_nsec) / 1e6;
}

static int rotating(int target, enum bench_mode mode, bool v6, const struct bench_turns *turns)
{
	struct rotate_bpf *skel = rotate_bpf__open();
	uint32_t key = 0;

	if (!skel)
		bench_die("rotate");
	skel->rodata->flows = mode == BENCH_NEW ? BENCH_NEW_FLOWS : BENCH_WARM_FLOWS;
	skel->rodata->offset = v6 ? 54 : 34;
	if (turns) {
		skel->rodata->peers = turns->peers;
		skel->rodata->peer_step = turns->peer_step;
		skel->rodata->first_peer = turns->first_peer;
		skel->rodata->ports = turns->ports;
		skel->rodata->first_port = turns->first_port;
	}
	if (rotate_bpf__load(skel) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.target), &key, &target, BPF_ANY))
		bench_die("rotate");
	return bpf_program__fd(skel->progs.rotate);
}

struct bench *bench_add(const char *name, enum bench_mode mode, int fd,
			const struct packet *packet, const struct bench_turns *turns)
{
	struct bench *b = &cases[ncases];

	if (mode == BENCH_WARM || mode == BENCH_NEW)
		fd = rotating(fd, mode, packet->v6, turns);
	*b = (struct bench){ .name = name, .mode = mode, .fd = fd, .packet = *packet, .table = -1 };
	if (strncmp(name, "empty", 5) && strncmp(name, "floor", 5) && !strstr(name, filter))
		return b;
	if (++ncases == CASES_MAX)
		bench_die("too many cases");
	return b;
}

void bench_begins_in(struct bench *b, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		bench_die("half-open flows");
	b->nhalves = info.max_entries;
	b->halves = mmap(NULL, sizeof(*b->halves) * info.max_entries, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);
	if (b->halves == MAP_FAILED)
		bench_die("half-open flows");
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

static void test_run(int fd, const struct packet *packet, uint32_t repeat)
{
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->data, .data_size_in = packet->len,
		    .repeat = repeat, .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	if (bpf_prog_test_run_opts(fd, &opts))
		bench_die("test run");
}

static double run(const struct bench *b, uint32_t repeat)
{
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	test_run(b->fd, &b->packet, repeat);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / repeat;
}

static void stay_on(int cpu)
{
	if (!measure_stay_on(cpu))
		bench_die("a second CPU");
}

struct partner {
	const struct bench *b;
	volatile bool runs, stop;
};

static void *answer(void *arg)
{
	struct partner *partner = arg;

	stay_on(1);
	while (!partner->stop) {
		test_run(partner->b->other_fd, &partner->b->other, 20000);
		partner->runs = true;
	}
	return NULL;
}

// What the recorder does once a second for whoever follows flows.
static void *follow(void *arg)
{
	enum { N = 1024 };
	struct partner *partner = arg;
	struct bh_ct_key keys[N];
	struct bh_ct values[N];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t batch, n;
	bool begun = false;

	stay_on(1);
	while (!partner->stop) {
		n = N;
		begun = !bpf_map_lookup_batch(partner->b->followed, begun ? &batch : NULL, &batch, keys, values, &n, &opts);
		if (!begun && errno != ENOENT)
			bench_die("reading flows");
		partner->runs = true;
	}
	return NULL;
}

static double run_beside(const struct bench *b, void *(*other)(void *arg))
{
	struct partner partner = { .b = b };
	pthread_t thread;
	double ns;

	if (pthread_create(&thread, NULL, other, &partner))
		bench_die("a second thread");
	stay_on(0);
	while (!partner.runs)
		sched_yield();
	ns = run(b, REPEAT);
	partner.stop = true;
	pthread_join(thread, NULL);
	return ns;
}

static double measure(const struct bench *b)
{
	double sum = 0;
	int batches = 8;

	if (b->mode == BENCH_PAIR)
		return run_beside(b, answer);
	if (b->followed)
		return run_beside(b, follow);
	if (b->mode != BENCH_NEW)
		return run(b, REPEAT);
	for (int i = 0; i < batches; i++) {
		empty_table(b->table);
		for (uint32_t n = 0; n < b->nhalves; n++)
			memset(b->halves[n].tag, 0, sizeof(b->halves[n].tag));
		sum += run(b, BENCH_NEW_FLOWS);
	}
	return sum / batches;
}

// ---- telling --------------------------------------------------------------------------------------------------------------
static const struct bench *reference(const char *name, enum bench_mode mode)
{
	for (int i = 0; i < ncases; i++)
		if (!strcmp(cases[i].name, name) && cases[i].mode == mode)
			return &cases[i];
	bench_die("no yardstick");
}

static void summarize(struct bench *b, int rounds)
{
	const struct bench *empty = reference("empty", b->mode);
	const struct bench *floor = reference("floor", b->mode);
	double net[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];
	struct measure of_net, of_ratio;

	for (int i = 0; i < rounds; i++) {
		net[i] = b->ns[i] - (b == empty ? 0 : empty->ns[i]);
		ratio[i] = net[i] / (floor->ns[i] - empty->ns[i]);
	}
	of_net = measure_of(net, rounds);
	of_ratio = measure_of(ratio, rounds);
	b->net = of_net.median, b->spread = of_net.spread;
	b->ratio = of_ratio.median, b->ratio_spread = of_ratio.spread;
}

static void print_aims(const struct bench *b)
{
	if (b->aim_floor)
		printf("  <= %.2f x floor: %s", b->aim_floor,
		       b->ratio <= b->aim_floor ? "met" : "MISSED");
	if (b->aim_ns)
		printf("  <= %.0f ns: %s", b->aim_ns, b->net <= b->aim_ns ? "met" : "MISSED");
	if (b->flat)
		printf("  %.2f x the least", b->net / b->flat->net);
	if (b->flat && b->aim_flat)
		printf(", <= %.2f: %s", b->aim_flat,
		       b->net <= b->aim_flat * b->flat->net ? "met" : "MISSED");
}

static void report(void)
{
	printf("%-46s %-12s %8s %6s %8s %6s %10s  aim\n", "case", "mode", "net ns", "+-", "x floor",
	       "+-", "matrix");
	for (int i = 0; i < ncases; i++) {
		const struct bench *b = &cases[i];

		printf("%-46s %-12s %8.1f %6.1f %8.2f %6.2f", b->name, mode_names[b->mode], b->net,
		       b->spread, strcmp(b->name, "empty") ? b->ratio : 0, b->ratio_spread);
		if (b->matrix_bytes)
			printf(" %8u B", b->matrix_bytes);
		else
			printf(" %10s", "");
		print_aims(b);
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[3]) : 15;

	if (argc < 3 || rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
		fprintf(stderr, "usage: bench EMPTY.bpf.o FLOOR.bpf.o [ROUNDS [FILTER]]\n");
		return 2;
	}
	filter = argc > 4 ? argv[4] : "";
	if (net_private())
		bench_die("a private network");
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
	if (!*filter || strstr("load", filter))
		bench_load();
	return 0;
}
