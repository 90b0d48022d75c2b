// SPDX-License-Identifier: Apache-2.0
// sim.h - ask a set of manifests what would happen, with no cluster and no kernel.
//
// World: host, one thread. Pure: reads files, nothing else. Owns: a store and a compiled policy in which
// the pods that are asked about are endpoints, so that a whole cluster's pods need not fit one node. The
// same compiler and the same matrix reading as the agent.
#pragma once

#include <json-c/json.h>

#include "agent/base/err.h"
#include "agent/policy/policy.h"
#include "agent/source/source.h"

struct sim;

int sim_new(struct sim **ret);
void sim_free(struct sim *sim);
DEFINE_CLEANUP(struct sim *, sim_free)

// Adds a file or a directory of manifests; problems of objects are kept for sim_problem_each().
int sim_load(struct sim *sim, const char *path, struct err *reterr);
// Adds or replaces one object (takes over the reference), removes one. The next question compiles.
int sim_put(struct sim *sim, struct object *object);
int sim_remove(struct sim *sim, enum kind kind, const char *ns, const char *name);
const struct store *sim_store(const struct sim *sim);

// Inputs that are not used as written: of files, of objects and of the compiler.
typedef void (*sim_problem_fn)(void *arg, const char *where, const char *text);
void sim_problem_each(struct sim *sim, sim_problem_fn fn, void *arg);

// One end of a question. At most one of pod and node; texts and objects are borrowed until the store
// changes.
struct sim_end {
	const struct pod *pod; // a pod that has addresses of its own
	const struct node *node; // the node's own traffic; own-node exemption for pods on it
	struct bh_addr addr; // all 0: the pod's or node's address of the family asked for
	char text[320]; // as asked, for messages
};
// "NS/POD" (on its node's network: the node), "node:NAME", "ip:ADDRESS" (the address alone) or "ADDRESS" (the
// pod or node that has it, else the address alone). -ENOENT: there is no such pod or node.
int sim_end_parse(const struct sim *sim, const char *text, struct sim_end *ret, struct err *reterr);

struct sim_side { // egress of the source, ingress of the destination
	bool judged; // false: no pod at this end, or the pod talks to itself
	enum bh_reason reason;
	struct bh_judgement judgement;
};
// One backend of a Service, judged at both ends.
struct sim_backend {
	struct bh_addr addr;
	uint16_t port;
	const struct pod *pod; // NULL: none known
	bool allow;
	struct sim_side side[BH_DIR_MAX];
};

struct sim_answer {
	bool allow; // of a Service: whichever backend is chosen
	bool loopback; // from and to are one pod: nothing judges
	int family; // 4 or 6: what was asked
	struct sim_side side[BH_DIR_MAX];
	bool is_service; // `to` was a Service's address and port for `from`
	bool mixed; // some backends are allowed, some are not
	struct policy_service service;
	uint32_t nbackends;
	struct sim_backend *backends;
};
void sim_answer_fini(struct sim_answer *answer);
// family: 4, 6 or 0 (the first both ends have). -EADDRNOTAVAIL: an end has no address of it.
int sim_ask(struct sim *sim, const struct sim_end *from, const struct sim_end *to, uint8_t proto,
	    uint16_t port, int family, struct sim_answer *ret, struct err *reterr); // sim_answer_fini()

// {"verdict","egress":{"verdict","policy","rule","reason",...},"ingress":{...}}: see docs/json.md.
struct json_object *sim_answer_json(struct sim *sim, const struct sim_answer *answer);
struct json_object *sim_side_json(struct sim *sim, const struct sim_side *side);
const struct policy *sim_policy(struct sim *sim); // compiled up to now; NULL: no memory
