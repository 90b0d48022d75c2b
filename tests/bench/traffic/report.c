// SPDX-License-Identifier: Apache-2.0
// report.c - the tables of trials: medians over rounds, each round compared with itself, and what is aimed at.
#include "tests/bench/traffic/traffic.h"

#include <stdio.h>
#include <string.h>

#define AIM_RATIO 1.05 // ours to no policy: udp and rr
#define SHARED_MIN                                                                                 \
	1.25 // the floor that writes to the one that does not, where two CPUs have caches of their own

static int find(const struct trial *trial, enum engine_role role)
{
	for (int bed = 0; bed < trial->nbeds; bed++)
		if (trial->beds[bed]->engine->role == role)
			return bed;
	return -1;
}

static void print_head(const struct trial *trial, const char *title)
{
	printf("\n%-36s", title);
	for (int load = 0; load < trial->nloads; load++)
		printf(" %14s", trial->loads[load]->name);
	putchar('\n');
}

static struct measure alone(const struct trial *trial, int load, int bed)
{
	double values[TRAFFIC_ROUNDS_MAX];

	memcpy(values, trial->values[load][bed], sizeof(values));
	return measure_of(values, trial->rounds);
}

static void print_aim(const char *what, double value, double aim)
{
	printf("aim: %s %.3f <= %.3f: %s\n", what, value, aim, value <= aim ? "met" : "MISSED");
}

// ---- ratios --------------------------------------------------------------------------------------------------------------
static struct measure ratio_to(const struct trial *trial, int load, int bed, int base)
{
	double values[TRAFFIC_ROUNDS_MAX];

	for (int round = 0; round < trial->rounds; round++)
		values[round] = trial->values[load][bed][round] / trial->values[load][base][round];
	return measure_of(values, trial->rounds);
}

static void print_ratios(const struct trial *trial, int bed, int base)
{
	printf("%-36s", trial->beds[bed]->engine->name);
	for (int load = 0; load < trial->nloads; load++) {
		struct measure ratio = ratio_to(trial, load, bed, base);

		printf(" %6.3f +-%5.3f", ratio.median, ratio.sure);
	}
	putchar('\n');
}

void report_ratios(struct trial *trial)
{
	int base = find(trial, ENGINE_NONE), ours = find(trial, ENGINE_OURS);
	char what[64];

	print_head(trial, "ratio to no policy, +- of the median");
	printf("%-36s", "no policy itself");
	for (int load = 0; load < trial->nloads; load++)
		printf(" %7.2f %-6s", alone(trial, load, base).median / 1e3,
		       trial->loads[load]->unit);
	putchar('\n');
	for (int bed = 0; bed < trial->nbeds; bed++)
		if (bed != base)
			print_ratios(trial, bed, base);
	for (int load = 0; load < trial->nloads && ours >= 0; load++)
		if (trial->loads[load]->aimed) {
			snprintf(what, sizeof(what), "%s under bulkhead, to no policy,",
				 trial->loads[load]->name);
			print_aim(what, ratio_to(trial, load, ours, base).median, AIM_RATIO);
		}
}

// ---- the programs' own time -------------------------------------------------------------------------------------------
static struct measure net_of(const struct trial *trial, int load, int bed, int empty)
{
	double values[TRAFFIC_ROUNDS_MAX];

	for (int round = 0; round < trial->rounds; round++)
		values[round] = trial->values[load][bed][round] -
				(bed == empty ? 0 : trial->values[load][empty][round]);
	return measure_of(values, trial->rounds);
}

// Where the floor's writing costs nothing, the machine's two CPUs are threads of one core just now: both ends
// have the same caches, and nothing is shared that could be fought over.
static void print_shared(const struct trial *trial, int load, int empty)
{
	int ours = find(trial, ENGINE_OURS), writes = find(trial, ENGINE_FLOOR);
	int reads = find(trial, ENGINE_FLOOR_READS);
	const char *name = trial->loads[load]->name;
	double floor;
	char what[64];

	if (ours < 0 || writes < 0 || reads < 0)
		return;
	floor = net_of(trial, load, writes, empty).median;
	if (floor < SHARED_MIN * net_of(trial, load, reads, empty).median) {
		printf("aim: %s, own time to the floor's: not to be told, the CPUs share their caches\n",
		       name);
		return;
	}
	snprintf(what, sizeof(what), "%s, bulkhead's own time to the floor's,", name);
	print_aim(what, net_of(trial, load, ours, empty).median / floor, 1);
}

void report_own(struct trial *trial)
{
	int empty = find(trial, ENGINE_EMPTY);

	print_head(trial, "ns of a program's run, over the empty");
	for (int bed = 0; bed < trial->nbeds; bed++) {
		printf("%-36s", trial->beds[bed]->engine->name);
		for (int load = 0; load < trial->nloads; load++) {
			struct measure net = net_of(trial, load, bed, empty);

			printf(" %6.1f +-%5.1f", net.median, net.sure);
		}
		puts(bed == empty ? "  (itself)" : "");
	}
	for (int load = 0; load < trial->nloads; load++)
		if (trial->loads[load]->shared)
			print_shared(trial, load, empty);
}
