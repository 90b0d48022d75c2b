// SPDX-License-Identifier: Apache-2.0
// sink.c - what a record costs on its way out: filter, format, queue, file. FOLDER COUNT.
//
// CPU time of the process, kernel included: that is what the agent spends. The formats take turns, so that a machine that
// is slow for a while is slow for all.
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/sink/sink.h"
#include "tests/harness/record.h"

#define ROUNDS 11
#define BATCH 2000 // records between two flushes

struct way {
	const char *name, *scheme, *options;
	double ns[ROUNDS];
	uint64_t bytes;
};

static struct way ways[] = {
	{ "filtered out (four terms)", "json+file", "?filter=verdict%3Ddenied,allowed%20to-port%3D15432%20to-cidr%3D10.0.0.0/8%20pod%3Dkube-system/*" },
	{ "json, to a file", "json+file", "" },
	{ "hubble, to a file", "hubble+file", "" },
};

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int measure(struct way *way, int round, const char *folder, unsigned int count)
{
	struct event_base *base = event_base_new();
	struct flow_record record;
	struct sink *sink = NULL;
	struct err err = { 0 };
	char url[512];
	double start;

	snprintf(url, sizeof(url), "%s://%s/records%s", way->scheme, folder, way->options);
	if (sink_new(base, url, "node-a", &sink, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	record_full(&record);
	start = cpu_ns();
	for (unsigned int i = 1; i <= count; i++) {
		sink_put(sink, &record);
		if (i % BATCH == 0)
			sink_flush(sink);
	}
	sink_flush(sink);
	way->ns[round] = (cpu_ns() - start) / count;
	way->bytes = sink_stats(sink)->bytes / count;
	if (sink_stats(sink)->delivered != sink_stats(sink)->offered)
		fprintf(stderr, "%s: %s\n", way->name, sink_stats(sink)->problem);
	sink_free(sink);
	flow_record_fini(&record);
	event_base_free(base);
	snprintf(url, sizeof(url), "%s/records", folder);
	return remove(url);
}

static int by_size(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 20000;

	if (argc < 2 || !count)
		return 2;
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
			if (measure(&ways[i], round, argv[1], count) < 0)
				return 1;
	printf("%-28s %14s %14s %10s\n", "a record", "median ns", "least ns", "bytes");
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		qsort(ways[i].ns, ROUNDS, sizeof(*ways[i].ns), by_size);
		printf("%-28s %14.0f %14.0f %10llu\n", ways[i].name, ways[i].ns[ROUNDS / 2], ways[i].ns[0],
		       (unsigned long long)ways[i].bytes);
	}
	return 0;
}
