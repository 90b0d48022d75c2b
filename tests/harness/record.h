// SPDX-License-Identifier: Apache-2.0
// record.h - flow records for tests: one that has everything, and any.
//
// World: host, tests. Pure: yes. Owns: nothing; flow_record_fini() drops what a record holds.
#pragma once

#include "agent/flow/record.h"

// A pod's HTTP flow to a Service, ended: every field of a record and of its cards is set but the audit verdict.
//   shop/web-7d4b9 (Deployment web) 10.0.1.5:43210 -> shop/db 10.96.0.10:5432 -> shop/db-0 (StatefulSet db) 10.0.2.7:15432
// Began 2026-11-21T01:00:00Z, lasted 2.5 s; 7/6 packets, 900/1500 bytes; told 2026-11-21T01:00:03.000000042Z.
void record_full(struct flow_record *ret);

// Any record: each optional part is there or not; texts hold quotes, control characters and bytes that are no UTF-8.
// *seed moves on.
void record_random(unsigned int *seed, struct flow_record *ret);
