// SPDX-License-Identifier: Apache-2.0
// history.h - the last records, each with its number.
//
// World: host. Pure: yes. Owns: its records. Threads: any; a lock is held for moments.
#pragma once

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"
#include "agent/flow/filter.h"
#include "agent/flow/record.h"

struct history;

int history_new(uint32_t records, struct history **ret);
void history_free(struct history *history);
DEFINE_CLEANUP(struct history *, history_free)

void history_put(struct history *history, struct flow_record *record); // sets its seq; copies it

struct history_page {
	VEC(struct flow_record) records; // copies, the caller's: history_page_fini()
	uint64_t next, lost, oldest, newest;
	bool anew; // `after` is beyond all that there was
};
// As recorder_read(). -ENOMEM.
int history_read(struct history *history, const struct flow_filter *filter, uint64_t after, uint32_t max,
		 struct history_page *ret);
void history_page_fini(struct history_page *page);
