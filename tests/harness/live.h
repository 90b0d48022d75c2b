// SPDX-License-Identifier: Apache-2.0
// live.h - from objects to the verdict on a packet, in one process: judge.h's store and compiler, the kernel's
// tables, plans run by the agent's own room, the pods' programs, packets by BPF_PROG_TEST_RUN.
//
// World: host, tests; root. Owns: what it pins in the folder of its tables. Objects are put by judge_put()
// and judge_pod(); judge.h's questions are not for it (they run plans in memory).
#pragma once

#include "agent/bpf/program.h"
#include "agent/bpf/tables.h"
#include "tests/harness/judge.h"
#include "tests/harness/packet.h"

#define LIVE_PODS 8

struct live_pod {
	uint32_t ident;
	const char *addr[2]; // v4, v6
	const char *ns, *name;
	struct program_pair programs;
};

struct live {
	struct judge judge;
	struct tables *tables;
	const char *pin_dir;
	bool record; // pods that come from now on have judges that count flows
	struct live_pod pods[LIVE_PODS]; // by slot
};

// Who began it, from where to where; seen from the pod.
struct live_flow {
	uint32_t slot;
	enum bh_dir dir; // of the first packet
	const char *remote;
	uint8_t proto;
	uint16_t remote_port, local_port;
};

// The tables are made anew under config->pin_dir.
void live_start(struct live *live, const struct tables_config *config);
void live_stop(struct live *live);

// A pod of this node: its object, endpoint and programs. Strings are borrowed. Returns its slot.
uint32_t live_pod(struct live *live, const char *ns, const char *name, const char *labels,
		  const char *addr4, const char *addr6);

// A NetworkPolicy of the pods in ns that have app=<app>, for one direction: the members of its list.
void live_policy(struct live *live, const char *ns, const char *name, const char *app,
		 enum bh_dir dir, const char *rules);

// Compiles; the caller runs the plan to its end and frees it. live_apply() does both and returns its number of steps.
struct plan *live_plan(struct live *live);
uint32_t live_apply(struct live *live);

// The agent ends and another one starts: a new compiler adopts what the tables hold. The steps of its first plan.
uint32_t live_restart(struct live *live);

// What the compiled matrices say of the flow's first packet.
struct bh_judgement live_eval(const struct live *live, const struct live_flow *flow);

// A packet of the flow in direction `dir`. flags: of TCP. frame: scratch, so that threads can send.
void live_frame(const struct live *live, const struct live_flow *flow, enum bh_dir dir,
		uint8_t flags, struct packet *ret);
bool live_send(const struct live *live, const struct live_flow *flow, enum bh_dir dir,
	       uint8_t flags);

// Begins it: the handshake of TCP, else a packet each way. Fails the test where one is dropped.
void live_establish(const struct live *live, const struct live_flow *flow);

// A segment from each side, `first` being who sends first. live_flows(): both passed; live_is_cut(): neither.
bool live_flows(const struct live *live, const struct live_flow *flow, enum bh_dir first);
bool live_is_cut(const struct live *live, const struct live_flow *flow, enum bh_dir first);

// The flow's entry, or what is known of a half-open one; false: none.
bool live_entry(const struct live *live, const struct live_flow *flow, struct bh_ct *ret);
// Takes it out, and out of its endpoint's counts, as sweeping does.
void live_forget(const struct live *live, const struct live_flow *flow);
// An established connection that nobody has judged yet.
void live_seed(const struct live *live, const struct live_flow *flow);
