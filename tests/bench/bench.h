// SPDX-License-Identifier: Apache-2.0
// bench.h - one case of the benchmark: a program, a packet, a mode.
//
// World: host, benchmark. Owns: cases live as long as the process. Every failure ends it with a sentence.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/bpfprog.h"

#define BENCH_ROUNDS_MAX 101
#define BENCH_NEW_FLOWS 8192
#define BENCH_WARM_FLOWS 32768

enum bench_mode {
	BENCH_SAME, // one packet again and again
	BENCH_WARM, // 32,768 flows in turn
	BENCH_NEW, // each packet a new flow; tables are emptied between runs
	BENCH_MODE_MAX,
};

struct bench {
	const char *name;
	enum bench_mode mode;
	int fd; // of the program that is run
	struct packet packet;
	int table; // emptied before each run of BENCH_NEW; -1: none
	struct bh_endpoint *ep; // its counts go with the table
	double aim_ns, aim_floor; // net ns, times floor in the same mode; 0: none
	double ns[BENCH_ROUNDS_MAX];
	double median, spread;
};

// A case of this program; the caller sets what it returns further. `empty` and `floor` are the yardsticks.
struct bench *bench_add(const char *name, enum bench_mode mode, int fd,
			const struct packet *packet);
__attribute__((noreturn)) void bench_die(const char *what);

// cases.c: adds them all.
void bench_cases(const char *empty, const char *floor);
