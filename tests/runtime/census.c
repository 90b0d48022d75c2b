// SPDX-License-Identifier: Apache-2.0
// census.c - census PID PIN_DIR: what an agent holds, a line each, and last its resident memory in KiB.
//
// World: host, tests; root. Pure: no. Owns: nothing.
#include "tests/soak/census.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct census census;
	struct err err = { 0 };

	if (argc != 3) {
		fprintf(stderr, "usage: census PID PIN_DIR\n");
		return 2;
	}
	if (census_take((pid_t)strtol(argv[1], NULL, 10), argv[2], &census, &err) < 0) {
		fprintf(stderr, "census: %s\n", err.text);
		return 1;
	}
	vec_each(char *, line, &census.lines)
		puts(*line);
	printf("%" PRIu64 "\n", census.rss_bytes / 1024);
	census_free(&census);
	return 0;
}
