// SPDX-License-Identifier: Apache-2.0
// suggest_private.h - what the files of this room share.
//
// World: host, one thread. Pure: yes. Owns: see each struct.
//
//   records ──► tuples of pods (suggest.c) ──► groups with selectors (group.c), names (name.c) ──► policies (rules.c) ──► asked (check.c)
#pragma once

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/suggest/suggest.h"

struct group;

struct pod_seen {
	const struct flow_card *card; // the latest; a reference
	struct group *group;
	bool told; // by itself, not as a peer alone
};

enum fate {
	FATE_COVERED, // rules are made for it
	FATE_OWN_NODE, // passes by itself
	FATE_SELF,
	FATE_DENIED, // left out
	FATE_UNKNOWN, // cannot be expressed
	FATE_MAX,
};

// Flows that policies cannot tell apart.
struct tuple {
	enum bh_dir dir; // as `self` sees it
	struct pod_seen *self, *peer; // peer NULL: an address
	struct bh_addr addr; // the peer's; of a pod, of the family alone
	uint8_t proto;
	uint16_t port; // of who answers; 0: the protocol has none
	enum fate fate;
	const char *why; // FATE_UNKNOWN; static
	bool told; // false: the other end told it
	uint64_t flows, packets;
};

// Keeps pods with this label out; value NULL: with this key.
struct exclusion {
	const char *key, *value; // of cards
};

// What one selector selects: the pods of a workload, or of several that cannot be told apart.
struct group {
	const char *ns, *kind, *name; // of its first workload; of cards
	VEC(char *) workloads; // "Deployment/web", all of them
	VEC(struct pod_seen *) pods;
	VEC(struct label) common; // of cards
	VEC(struct exclusion) exclusions;
	struct group *into; // merged; NULL: it stands
	size_t place; // in the list of groups
	bool told;
	char *policy; // its name; NULL: it has none
};

// A policy that let flows pass.
struct decider {
	char *name;
	uint64_t flows;
};

struct suggest {
	const struct suggest_options *options;
	struct hash pods_by_name, tuples_by_value;
	struct hash ids; // of flows that were counted: the item is the number itself
	VEC(struct pod_seen *) pods;
	VEC(struct tuple *) tuples;
	VEC(struct group *) groups; // sorted by namespace, kind, name
	VEC(char *) nodes; // that told records
	VEC(struct decider) deciders;
	uint64_t records, nameless; // nameless: records of a pod whose own name is not known
};

// Gives every pod its group and every group a selector that matches its own pods and no other pod seen.
int suggest_groups(struct suggest *suggest);
void group_free(struct group *group);
struct json_object *group_selector(const struct group *group); // a LabelSelector
bool group_selects_all(const struct group *group); // of its namespace

// The policies, one for each group that told flows.
bool group_has_policy(const struct suggest *suggest, const struct group *group);
int suggest_names(struct suggest *suggest); // of the policies
int suggest_rules(struct suggest *suggest, struct json_object **ret);

// Asks the policies about every tuple and tells what came out.
int suggest_check(struct suggest *suggest, struct json_object *policies, struct json_object **ret, struct err *reterr);

bool suggest_wants(const struct suggest *suggest, const char *ns); // policies of this namespace
bool proto_has_ports(uint8_t proto);
int compare_text(const char *a, const char *b); // NULL first
int compare_pods(const struct pod_seen *a, const struct pod_seen *b);

static inline void put(struct json_object *json, const char *field, struct json_object *value)
{
	json_object_object_add(json, field, value);
}

static inline void put_text(struct json_object *json, const char *field, const char *text)
{
	put(json, field, json_object_new_string(text));
}

static inline void put_number(struct json_object *json, const char *field, uint64_t number)
{
	put(json, field, json_object_new_int64((int64_t)number));
}
