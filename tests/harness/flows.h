// SPDX-License-Identifier: Apache-2.0
// flows.h - flow records with known numbers and names.
//
// World: host, tests. Pure: yes. Owns: what a record borrows.
#pragma once

#include "agent/flow/record.h"

struct flows {
	struct flow_card src, dst, backend, service;
	struct flow_policy policy;
	struct label label;
	const char *policies[1];
	char src_name[32], dst_name[32];
	struct flow_record record;
};

// Record number n, from 1: an END whose numbers all follow from n. Odd ones are IPv4, each third goes to a Service,
// each fifth is a deny. Lives as long as *flows.
const struct flow_record *flows_record(struct flows *flows, uint32_t n);
