// SPDX-License-Identifier: Apache-2.0
// stall_reader.h - one packet on a CPU of its own, held before a load of its judgement; what it came to.
//
// World: host, tests; root. Owns: the judges.
#pragma once

#include "tests/bpf/stall.h"
#include "tests/bpf/stall_scene.h"

#include <bpf/bpf.h>
#include <pthread.h>
#include <sched.h>

#include "tests/bpf/stall.skel.h"

static int cpus[2]; // who changes, who reads
static struct stall_bpf *skel;
static volatile struct stall *stall; // shared with the judges

// The pods of `live` are judged by programs that can be held. half_scale: of datapath/config.bpf.h.
static inline void load_judges(uint32_t half_scale)
{
	struct bpf_program *judges[BH_DIR_MAX];
	struct bpf_map *map;

	skel = stall_bpf__open();
	assert_non_null(skel);
	skel->rodata->half_scale = half_scale;
	bpf_object__for_each_map(map, skel->obj)
	{
		int fd = tables_fd(live.tables, bpf_map__name(map));

		if (fd >= 0)
			assert_ok(bpf_map__reuse_fd(map, fd));
	}
	assert_ok(stall_bpf__load(skel));
	judges[IN] = skel->progs.bh_judge_to;
	judges[OUT] = skel->progs.bh_judge_from;
	for (uint32_t dir = 0; dir < BH_DIR_MAX; dir++) {
		uint32_t index = BH_JUDGE(BH_FEATURE_TRACK, dir);
		int fd = bpf_program__fd(judges[dir]);

		assert_ok(bpf_map_update_elem(tables_fd(live.tables, "bh_judge"), &index, &fd, 0));
	}
	stall = &skel->bss->stall;
}

static inline int find_cpus(void)
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	return n;
}

// First of all in a test's main(): a CPU for who changes, one for who reads, a namespace of its own.
static inline int reader_main(void)
{
	cpu_set_t set;

	if (find_cpus() < 2) {
		fprintf(stderr,
			"one CPU for who changes and one for who reads: there are not two\n");
		return -1;
	}
	CPU_ZERO(&set);
	CPU_SET(cpus[0], &set);
	sched_setaffinity(0, sizeof(set), &set);
	return net_private();
}

struct reader {
	pthread_t thread;
	struct live_flow flow;
	bool known; // of a connection that is to be judged again, else of a new one
	enum bh_dir dir; // of the packet
	bool pass, done;
};

static inline void *read_once(void *arg)
{
	struct reader *reader = arg;

	reader->pass = live_send(&live, &reader->flow, reader->dir, reader->known ? P_ACK : P_SYN);
	__atomic_store_n(&reader->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline void on_cpu(pthread_attr_t *attr, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_attr_init(attr);
	pthread_attr_setaffinity_np(attr, sizeof(set), &set);
}

static inline bool is_done(struct reader *reader)
{
	return __atomic_load_n(&reader->done, __ATOMIC_ACQUIRE);
}

static inline void reader_init(struct reader *reader, const struct live_flow *flow, bool known)
{
	static uint16_t port;

	*reader = (struct reader){ .flow = *flow, .known = known, .dir = flow->dir };
	*(flow->dir == IN ? &reader->flow.remote_port : &reader->flow.local_port) =
		(uint16_t)(20000 + port++ % 20000);
	if (known) {
		live_seed(&live, &reader->flow);
		reader->dir = port % 4 < 2 ? IN : OUT;
	}
}

static inline bool reader_send(struct reader *reader)
{
	pthread_attr_t attr;

	on_cpu(&attr, cpus[1]);
	assert_int_equal(pthread_create(&reader->thread, &attr, read_once, reader), 0);
	pthread_attr_destroy(&attr);
	while (!stall->here && !is_done(reader))
		sched_yield();
	return stall->here;
}

// True: it stands before its load number `at`. False: it makes fewer.
static inline bool reader_start(struct reader *reader, uint32_t at)
{
	memset((void *)stall, 0, sizeof(*stall));
	stall->at = at;
	stall->armed = 1;
	return reader_send(reader);
}

// True: it stands between the table of connections, which has no entry for it, and that of half-open flows.
static inline bool reader_start_between(struct reader *reader)
{
	memset((void *)stall, 0, sizeof(*stall));
	stall->between = 1;
	return reader_send(reader);
}

// False: nobody let it go in time, it gave up to save the machine and tells nothing.
static inline bool reader_end(struct reader *reader)
{
	stall->go = 1;
	pthread_join(reader->thread, NULL);
	stall->armed = 0;
	return !stall->lost;
}

static inline int find_denied(void *arg, const struct denied_entry *entry)
{
	*(struct denied_entry *)arg = *entry;
	return 0;
}

// Verdict and rule as the product accounts for them; 0 where no policy gave one.
static inline uint32_t reader_word(const struct reader *reader)
{
	struct denied_entry denied = { 0 };
	struct bh_ct ct = { 0 };

	assert_ok(tables_denied_each(live.tables, find_denied, &denied));
	assert_ok(tables_denied_clear(live.tables, 0, 0));
	if (live_entry(&live, &reader->flow, &ct)) {
		assert_int_equal(reader->pass, BH_CELL_VERDICT(ct.rule) == BH_VERDICT_ALLOW);
		return ct.gen ? ct.rule : 0;
	}
	assert_false(reader->pass || reader->known);
	if (denied.key.reason != BH_REASON_POLICY_DENIED)
		return 0;
	return BH_CELL_WORD(BH_VERDICT_DENY, denied.key.rule);
}

// What the next packet says, once all is done: of the same connection if there is one.
static inline uint32_t next_word(const struct reader *before)
{
	struct reader next = *before;

	if (next.known)
		next.dir = !next.dir;
	else
		live_forget(&live, &next.flow);
	read_once(&next);
	return reader_word(&next);
}
