// SPDX-License-Identifier: Apache-2.0
// report.c - the tables of trials: medians over rounds, each round compared with itself, and what is aimed at.
#include "tests/bench/traffic/traffic.h"

#include <stdio.h>
#include <string.h>

#define AIM_RATIO 1.05 // ours to no policy: udp and rr
// The floor that writes to the one that does not, where the CPUs have two caches; one in so many rounds is such.
#define SHARED_MIN 1.5
#define SHARED_SHARE 5

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

// A virtual machine's CPUs may be threads of one core for a while: both ends have the same caches then, and nothing
// is fought over. Told are the rounds in which the floor's writing did cost something.
static void print_shared(const struct trial *trial, int load, int empty)
{
	int ours = find(trial, ENGINE_OURS), writes = find(trial, ENGINE_FLOOR);
	int reads = find(trial, ENGINE_FLOOR_READS), n = 0;
	double ratios[TRAFFIC_ROUNDS_MAX];
	char what[96];

	if (ours < 0 || writes < 0 || reads < 0)
		return;
	for (int round = 0; round < trial->rounds; round++) {
		double none = trial->values[load][empty][round];
		double floor = trial->values[load][writes][round] - none;

		if (floor >= SHARED_MIN * (trial->values[load][reads][round] - none))
			ratios[n++] = (trial->values[load][ours][round] - none) / floor;
	}
	snprintf(what, sizeof(what),
		 "%s, own time to the floor's in %d of %d rounds with two caches,",
		 trial->loads[load]->name, n, trial->rounds);
	if (n * SHARED_SHARE >= trial->rounds)
		print_aim(what, measure_of(ratios, n).median, 1);
	else
		printf("aim: %s cannot be told\n", what);
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
