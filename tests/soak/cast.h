// SPDX-License-Identifier: Apache-2.0
// cast.h - who is on stage: random objects and the pods' devices, round after round. Same seed, same rounds.
//
// World: host, tests. Pure: yes. Owns: the objects' JSON.
// Namespaces, nodes, pods of another node and policies are those of tests/diff/world.h. The pods of this node
// live on seats: an address that one pod after the other is given, each with a device of its own. An object may
// come without its device and a device outlive its object; the pod before may still be told of,
// finished or not, when the next one sits in its place.
//
// The keepers never change. The first rule of all lets a and b talk to each other and nobody talk to them
// else, c not either. d is held by a NetworkPolicy alone, as a rule passes by all that stands in front of it: whoever
// it is, only UDP 53. That policy is written anew at each change, in other words that say the same.
#pragma once

#include "agent/sim/cases.h"
#include "tests/diff/world.h"

#define CAST_NODE "n0"
#define CAST_SEATS 8
#define CAST_KEEPERS 4
#define CAST_KEEP "keep" // namespace of a, b and c
#define CAST_HOLD "hold" // of d
#define CAST_STILL 5 // objects that are there with the keepers
#define CAST_OBJECTS (WORLD_ITEMS + 2 * CAST_SEATS + CAST_KEEPERS + CAST_STILL + 2)
#define CAST_DEVICES (WORLD_PODS + CAST_SEATS + CAST_KEEPERS)

struct seat_pod {
	char name[24];
	const char *ns;
	struct json_object *json; // NULL: nobody
	bool running;
};

struct seat {
	unsigned device; // a number that no other device had; 0: none
	struct seat_pod now, late; // late: the one before, whose removal was not told yet
};

struct cast_name {
	enum kind kind;
	const char *ns, *name;
};
extern const struct cast_name cast_keepers[CAST_KEEPERS], cast_still[CAST_STILL];

// What a round shows. Texts are borrowed from the cast until its next change.
struct state {
	struct sim_case c; // pods are devices
	struct case_object objects[CAST_OBJECTS];
	struct case_pod pods[CAST_DEVICES];
	struct case_node nodes[WORLD_NODES];
	char addrs[CAST_DEVICES + WORLD_NODES][2][48];
	char names[CAST_DEVICES][24];
};

struct cast {
	struct rng rng;
	struct world world; // its local pods are not used
	struct json_object
		*broken[WORLD_ITEMS]; // what is shown of an item that cannot be made sense of
	struct seat seats[CAST_SEATS];
	struct json_object *keepers[CAST_KEEPERS], *still[CAST_STILL];
	bool kept; // the keepers are there
	unsigned turn; // of d's policy
	unsigned lives;
	int64_t clock; // creation times
};

void cast_init(struct cast *cast, uint64_t seed);
void cast_fini(struct cast *cast);

// A handful of changes, or many. calm: all before is in force; only then an object may be shown that cannot be
// made sense of, since the one before it stays.
void cast_churn(struct cast *cast, bool calm);
// A new pod on every seat.
void cast_fill(struct cast *cast);
// Only the keepers and the nodes stay.
void cast_clear(struct cast *cast);

// What is in force, or (shown) what the files say.
void cast_state(struct cast *cast, bool shown, struct state *ret);

// The pod that has the seat's device, or NULL: the youngest that runs.
const struct seat_pod *cast_owner(const struct seat *seat);
struct bh_addr cast_addr(unsigned seat, int family);
struct bh_addr cast_keeper_addr(unsigned keeper, int family);
