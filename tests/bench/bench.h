// SPDX-License-Identifier: Apache-2.0
// bench.h - one case of the benchmark: a program, a packet, a mode.
//
// World: host, benchmark. Owns: cases live as long as the process. Every failure ends it with a sentence.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "tests/harness/bpfprog.h"

#define BENCH_ROUNDS_MAX 101
#define BENCH_NEW_FLOWS 4096 // what one pod may have unanswered
#define BENCH_WARM_FLOWS 32768

enum bench_mode {
	BENCH_SAME, // one packet again and again
	BENCH_PAIR, // the same, while another CPU runs the answers of the same flow
	BENCH_WARM, // 32,768 flows in turn
	BENCH_NEW, // each packet a new flow; tables are emptied between runs
	BENCH_MODE_MAX,
};

// What BENCH_NEW varies besides the source port; all 0: nothing.
struct bench_turns {
	uint32_t peers, peer_step, first_peer; // host order
	uint32_t ports, first_port;
};

struct bench {
	const char *name;
	enum bench_mode mode;
	int fd; // of the program that is run
	struct packet packet;
	int other_fd; // BENCH_PAIR: of the answers
	struct packet other;
	int followed; // the flows, which another CPU reads meanwhile without a pause; 0: nobody does
	int table; // of the floor's connections, emptied before each run of BENCH_NEW; -1: none
	struct bh_half_bucket *halves; // ours, where flows begin; emptied as well
	uint32_t nhalves;
	uint32_t matrix_bytes; // 0: none to tell
	double aim_ns, aim_floor; // net ns, times floor in the same mode; 0: none
	const struct bench *flat; // aim_flat: at most so many times this case
	double aim_flat;
	double ns[BENCH_ROUNDS_MAX];
	double net, spread; // medians over the empty program of the same round; half the middle half
	double ratio, ratio_spread; // to the floor of the same round
};

// A case of this program; the caller sets what it returns further. `empty` and `floor` are the yardsticks.
struct bench *bench_add(const char *name, enum bench_mode mode, int fd,
			const struct packet *packet, const struct bench_turns *turns);
// The case begins flows in this table of half-open ones.
void bench_begins_in(struct bench *b, int fd);
__attribute__((noreturn)) void bench_die(const char *what);

double bench_ms_since(const struct timespec *from);

// cases.c: adds them all.
void bench_cases(const char *empty, const char *floor);
// load.c: what a pod's programs cost to load and to attach.
void bench_load(void);
