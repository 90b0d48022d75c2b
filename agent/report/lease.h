// SPDX-License-Identifier: Apache-2.0
// lease.h - who of all agents speaks for them: the state of one Lease (coordination.k8s.io/v1) as this agent knows it.
//
// World: host. Pure: yes; clocks are parameters. Owns: the Lease as last read.
//
// Clocks of machines differ, so times in the Lease are for people. A holder is gone when its record has not changed
// for the time that the record itself grants, by the clock of who looks; whoever holds it stops believing so a third
// of that time earlier. Writing is safe by resourceVersion: of two who try, one gets a conflict and looks again. The
// rest of the object (labels, owners) stays as others wrote it.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/cleanup.h"

#define LEASE_NAME "bulkhead"
#define LEASE_SEC_MAX 3600 // what the record of another one may grant itself

// Agents that hold nothing look so often at most, all together; 5,000 of them each every 250 s.
#define LEASE_LOOKS_PER_SEC 20

enum lease_step {
	LEASE_WAIT, // until lease_due()
	LEASE_LOOK, // GET
	LEASE_CREATE, // POST lease_body()
	LEASE_WRITE, // PUT lease_body(): takes it or renews it
};

struct lease {
	const char *identity; // borrowed
	const char *namespace; // borrowed
	unsigned duration_sec;
	bool known; // what is below is what the server said last
	struct json_object *object; // NULL: there is none
	int64_t since_ms; // its record is as it is since then, or longer
	int64_t renewed_ms; // when the last write that succeeded was sent; 0: it is not ours
	int64_t next_ms; // no step before this
};

void lease_fini(struct lease *lease);

enum lease_step lease_step(const struct lease *lease, int64_t now_ms);

// True for as long as nobody else can have taken it.
bool lease_held(const struct lease *lease, int64_t now_ms);

// What to write in this step; wall: seconds and microseconds since 1970. A new object, NULL for lack of memory.
struct json_object *lease_body(const struct lease *lease, int64_t wall_us);
// What a holder writes that leaves.
struct json_object *lease_farewell(const struct lease *lease, int64_t wall_us);

// The answer to LEASE_LOOK; object NULL: there is none.
void lease_seen(struct lease *lease, struct json_object *object, int64_t now_ms);
// The answer to LEASE_CREATE and LEASE_WRITE, which was sent at sent_ms.
void lease_written(struct lease *lease, struct json_object *object, int64_t sent_ms);
// Somebody was faster, or it is gone: look again.
void lease_conflicted(struct lease *lease, int64_t now_ms);

// Sets when the next step is: `nodes` agents share the looks, chance is uniform in 0..999. After a failure a holder
// tries again soon, the others at their next look.
void lease_plan(struct lease *lease, size_t nodes, unsigned chance, bool failed, int64_t now_ms);
// The first look of an agent that starts among so many.
void lease_begin(struct lease *lease, size_t nodes, unsigned chance, int64_t now_ms);

const char *lease_holder(const struct lease *lease); // "": nobody, or not known
