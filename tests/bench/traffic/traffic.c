// SPDX-License-Identifier: Apache-2.0
// traffic.c - what policy costs real traffic between two pods, beside no policy, the yardsticks and other engines.
//
// World: host; root; two CPUs. Usage: traffic OBJECTS [ROUNDS [MS [FILTER]]]
// Every engine has namespaces of its own, and this one process has sockets in all of them. It visits them in
// random order for a few milliseconds each, round by round, so that all see the same machine; a round's value
// is compared with the same round's alone. FILTER: a load, a part of engines' names, or both as LOAD/PART.
#include "tests/bench/traffic/traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/harness/net.h"

void traffic_die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	_exit(1); // the partner may be anywhere
}

// ---- rounds --------------------------------------------------------------------------------------------------------------
static void shuffle(int *order, int n)
{
	for (int i = n - 1; i > 0; i--) {
		int other = (int)(random() % (i + 1)), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
}

static void run_round(struct trial *trial, int round)
{
	int order[TRAFFIC_ENGINES_MAX];

	for (int bed = 0; bed < trial->nbeds; bed++)
		order[bed] = bed;
	for (int load = 0; load < trial->nloads; load++) {
		shuffle(order, trial->nbeds);
		for (int i = 0; i < trial->nbeds; i++)
			trial->values[load][order[i]][round] =
				trial->slice(trial->loads[load], trial->beds[order[i]], trial->ms);
	}
	for (int bed = 0; bed < trial->nbeds; bed++)
		engine_tidy(trial->beds[bed]);
}

static void run(struct trial *trial)
{
	run_round(trial, 0); // warm
	for (int round = 0; round < trial->rounds; round++)
		run_round(trial, round);
}

// ---- what is run ----------------------------------------------------------------------------------------------------------
struct choice {
	int rounds;
	double ms;
	const struct load *load; // NULL: all
	const char *engine; // part of the name
};

static struct choice choice_of(int argc, char **argv)
{
	struct choice choice = { .rounds = argc > 2 ? atoi(argv[2]) : 100,
				 .ms = argc > 3 ? atof(argv[3]) : 5 };
	char *filter = argc > 4 ? argv[4] : "", *slash = strchr(filter, '/');

	if (slash)
		*slash = 0;
	choice.load = load_find(filter);
	choice.engine = slash ? slash + 1 : choice.load ? "" : filter;
	return choice;
}

static bool wanted(const struct engine *engine, const char *filter)
{
	return engine->role == ENGINE_NONE || engine->role == ENGINE_EMPTY ||
	       strstr(engine->name, filter);
}

static int make_beds(struct bed *beds, const char *objects, const char *filter)
{
	int n, made = 0;
	const struct engine *engines = engine_list(objects, &n);

	for (int i = 0; i < n; i++) {
		if (!wanted(&engines[i], filter))
			continue;
		if (bed_make(&beds[made], &engines[i]))
			made++;
		else
			printf("%s: left out, this machine cannot\n", engines[i].name);
	}
	return made;
}

static struct trial *trial_new(const struct choice *choice, const struct bed *beds, int nbeds,
			       bool timed)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	int n;
	const struct load *loads = load_list(&n);

	if (!trial)
		traffic_die("memory");
	trial->rounds = choice->rounds;
	trial->ms = choice->ms;
	trial->slice = timed ? own_slice : load_slice;
	for (int i = 0; i < nbeds; i++)
		if (timed ? beds[i].engine->timed : !beds[i].engine->only_timed)
			trial->beds[trial->nbeds++] = &beds[i];
	for (int i = 0; i < n; i++)
		if ((!choice->load || choice->load == &loads[i]) && !(timed && loads[i].bulk))
			trial->loads[trial->nloads++] = &loads[i];
	return trial;
}

static void run_trials(const struct choice *choice, const struct bed *beds, int nbeds)
{
	struct trial *trial = trial_new(choice, beds, nbeds, false);

	run(trial);
	report_ratios(trial);
	free(trial);
	trial = trial_new(choice, beds, nbeds, true);
	own_count();
	if (trial->nloads) {
		run(trial);
		report_own(trial);
	}
	free(trial);
}

int main(int argc, char **argv)
{
	static struct bed beds[TRAFFIC_ENGINES_MAX];
	struct choice choice = choice_of(argc, argv);

	if (argc < 2 || choice.rounds < 1 || choice.rounds > TRAFFIC_ROUNDS_MAX || choice.ms < 1 ||
	    choice.ms > 1000) {
		fprintf(stderr, "usage: traffic OBJECTS [ROUNDS [MS [FILTER]]]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	setpriority(PRIO_PROCESS, 0, -20); // threads of others only add noise
	if (net_private())
		traffic_die("a private network");
	run_trials(&choice, beds, make_beds(beds, argv[1], choice.engine));
	_exit(0); // the partner waits for more
}
