// SPDX-License-Identifier: Apache-2.0
// talkers.h - who spoke most to whom, and who was denied most, in a window of time.
//
// World: host, one thread. Pure: yes. Owns: its rows, samples and what it remembers of flows.
//
// Records tell a flow's totals since it began: what counts is the growth since the record before. Of a flow that began
// before the window and was not told before, the growth is not known: it counts from its next record on. Of two pods
// of one node the sender's record counts, so that a flow counts once.
#pragma once

#include "agent/base/cleanup.h"
#include "agent/flow/record.h"

#define TALKERS_MAX (1u << 20) // samples and flows remembered; beyond, the oldest samples and all flows are forgotten

struct talkers;

enum talkers_by { BY_POD, BY_WORKLOAD, BY_NAMESPACE, BY_ADDRESS };
enum talkers_sort { SORT_BYTES, SORT_PACKETS, SORT_FLOWS };

struct talkers_config {
	enum talkers_by by;
	uint32_t max; // 0: TALKERS_MAX
	int64_t begin_ns; // the window's begin at first; 0: with the first flow that is told
};

// Denied: `what` is "80/TCP" with the reason and the policy; flows is 0.
struct talker {
	const char *source, *destination, *what;
	bool denied;
	uint64_t bytes, packets, flows;
};

int talkers_new(const struct talkers_config *config, struct talkers **ret);
void talkers_free(struct talkers *talkers);
DEFINE_CLEANUP(struct talkers *, talkers_free)

int talkers_add(struct talkers *talkers, const struct flow_record *record, const char *node); // 0 or -ENOMEM
void talkers_expire(struct talkers *talkers, int64_t before_ns);

// The window as it is, to the last record.
int64_t talkers_first_ns(const struct talkers *talkers);
int64_t talkers_last_ns(const struct talkers *talkers);

// The first `max`, sorted; a list of rows that stand until the next call. *retn: how many.
const struct talker *const *talkers_top(struct talkers *talkers, bool denied, enum talkers_sort sort, size_t max, size_t *retn);
