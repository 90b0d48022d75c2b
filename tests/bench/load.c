// SPDX-License-Identifier: Apache-2.0
// load.c - what a pod costs before its first packet: time and memory to load its programs and to attach them.
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/bpf/program.h"
#include "tests/harness/net.h"

#define PODS 20
#define DIR_NAME "/run/bpf/load"
#define LOAD_AIM_MS 2.0

static const char *const way_names[] = {
	[BH_ATTACH_TCX] = "tcx",
	[BH_ATTACH_CLSACT] = "clsact",
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench: %s\n", err->text);
	exit(1);
}

static struct tables *open_tables(void)
{
	struct tables_config config = { .pin_dir = DIR_NAME };
	struct tables *tables;
	struct err err = { 0 };
	bool adopted;

	check(tables_open(&config, &tables, &adopted, &err), &err);
	return tables;
}

// Bytes the kernel charges for a program, and for the maps of its own (read-only data).
static uint64_t memlock_of(int fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

static double load(struct tables *tables, uint32_t slot, struct program_pair *ret)
{
	struct program_config config = { .variant = PROGRAM_TRACK, .ident = BH_IDENT(slot, 1) };
	struct timespec from;
	struct err err = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &from);
	check(program_load(tables, &config, ret, &err), &err);
	return bench_ms_since(&from);
}

static void report_load(struct tables *tables)
{
	struct program_pair pairs[PODS + 1];
	double once = load(tables, PODS, &pairs[PODS]), ms[PODS];
	uint64_t bytes;

	for (uint32_t i = 0; i < PODS; i++)
		ms[i] = load(tables, i, &pairs[i]);
	bytes = memlock_of(pairs[0].from_pod) + memlock_of(pairs[0].to_pod);
	qsort(ms, PODS, sizeof(*ms), by_value);
	printf("\nloading      judges, once for all pods: %.1f ms; a pod's gates: median %.2f ms, slowest of %d %.2f ms, %llu bytes"
	       "  <= %.0f ms: %s\n",
	       once - ms[PODS / 2], ms[PODS / 2], PODS, ms[PODS - 1], (unsigned long long)bytes,
	       LOAD_AIM_MS, ms[PODS / 2] <= LOAD_AIM_MS ? "met" : "MISSED");
	for (int i = 0; i <= PODS; i++)
		program_pair_close(&pairs[i]);
}

static void report_attach(struct tables *tables, enum bh_attach mode)
{
	double put[PODS], again[PODS], off[PODS];
	struct program_pair pair;
	struct err err = { 0 };
	char device[16], pod[16];
	struct timespec from;

	for (uint32_t i = 0; i < PODS; i++) {
		snprintf(device, sizeof(device), "h%d-%u", mode, i);
		snprintf(pod, sizeof(pod), "p%d-%u", mode, i);
		net_pod(pod, device, 10 + i + PODS * mode);
		load(tables, i, &pair);
		clock_gettime(CLOCK_MONOTONIC, &from);
		check(program_attach(tables, i, net_ifindex(device), mode, &pair, &err), &err);
		put[i] = bench_ms_since(&from);
		clock_gettime(CLOCK_MONOTONIC, &from);
		check(program_attach(tables, i, net_ifindex(device), mode, &pair, &err), &err);
		again[i] = bench_ms_since(&from);
		clock_gettime(CLOCK_MONOTONIC, &from);
		check(program_detach(tables, i, net_ifindex(device), mode, &err), &err);
		off[i] = bench_ms_since(&from);
		program_pair_close(&pair);
	}
	qsort(put, PODS, sizeof(*put), by_value);
	qsort(again, PODS, sizeof(*again), by_value);
	qsort(off, PODS, sizeof(*off), by_value);
	printf("attaching    %-6s a pod's two programs: median %.2f ms, slowest of %d %.2f; replaced in place %.3f; taken off %.2f\n",
	       way_names[mode], put[PODS / 2], PODS, put[PODS - 1], again[PODS / 2], off[PODS / 2]);
}

void bench_load(void)
{
	struct tables *tables = open_tables();

	report_load(tables);
	for (int mode = BH_ATTACH_TCX; mode < BH_ATTACH_MAX; mode++)
		report_attach(tables, mode);
	tables_close(tables);
}
