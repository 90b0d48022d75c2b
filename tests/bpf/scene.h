// SPDX-License-Identifier: Apache-2.0
// scene.h - packets in one call, and the policy that most tests of the datapath use.
//
// World: host, tests; root. Owns: nothing; cmocka's state is the struct bpfprog.
#pragma once

#include "tests/harness/test.h"

#include <netinet/in.h>

#include "tests/harness/bpfprog.h"

// Classes, port classes and rules of isolate(). A cell's rule id is 100 * direction + 10 * class + port class.
#define FRIEND4 "10.2.0.1" // class 1: everything
#define FRIEND6 "fd00:2::1"
#define WEB4 "10.2.0.2" // class 2: port 80 of TCP, 53 of UDP, 7 of SCTP
#define WEB6 "fd00:2::2"
#define FOE4 "10.2.0.3" // class 3: nothing, by a NetworkPolicy
#define FOE6 "fd00:2::3"
#define BANNED4 "10.2.0.4" // class 4: nothing, by a ClusterNetworkPolicy
#define BANNED6 "fd00:2::4"
#define PORT_CLASS_WEB 1

static inline uint32_t rule_of(enum bh_dir dir, uint32_t cls, uint32_t pcls)
{
	return 1000 + 100 * dir + 10 * cls + pcls;
}

static inline struct bpfprog *prog_new(const struct bpfprog_options *options)
{
	struct bpfprog *prog = NULL;

	assert_ok(bpfprog_new(options, &prog));
	return prog;
}

static inline int scene_setup(void **state)
{
	*state = prog_new(NULL);
	return 0;
}

static inline int scene_teardown(void **state)
{
	bpfprog_free(*state);
	return 0;
}

static inline uint32_t word_of(enum bh_dir dir, uint32_t cls, uint32_t pcls, bool tight)
{
	enum bh_verdict verdict = BH_VERDICT_DENY;

	if (cls == 4)
		verdict = BH_VERDICT_DENY_CLUSTER;
	else if (!tight && (cls == 1 || (cls == 2 && pcls == PORT_CLASS_WEB)))
		verdict = BH_VERDICT_ALLOW;
	return BH_CELL_WORD(verdict, rule_of(dir, cls, pcls));
}

// A matrix of 5 classes x 2 port classes under `policy`; tight: nothing is allowed. Class 0 has no row.
static inline void install(struct bpfprog *prog, enum bh_dir dir, uint32_t policy, uint32_t gen,
			   bool tight)
{
	uint32_t words[10] = { BPFPROG_NO_ROW, BPFPROG_NO_ROW };

	for (uint32_t cls = 1; cls < 5; cls++)
		for (uint32_t pcls = 0; pcls < 2; pcls++)
			words[cls * 2 + pcls] = word_of(dir, cls, pcls, tight);
	bpfprog_dense(prog, policy, gen, 5, 2, words);
}

static inline void install_classes(struct bpfprog *prog)
{
	static const char *const addrs[][2] = {
		{ FRIEND4, FRIEND6 },
		{ WEB4, WEB6 },
		{ FOE4, FOE6 },
		{ BANNED4, BANNED6 },
	};

	for (uint32_t i = 0; i < 4; i++) {
		bpfprog_peer(prog, addrs[i][0], i + 1);
		bpfprog_peer(prog, addrs[i][1], i + 1);
	}
	bpfprog_port(prog, IPPROTO_TCP, 80, 80, PORT_CLASS_WEB);
	bpfprog_port(prog, IPPROTO_UDP, 53, 53, PORT_CLASS_WEB);
	bpfprog_port(prog, IPPROTO_SCTP, 7, 7, PORT_CLASS_WEB);
	// everything else is a foe
	bpfprog_cidr(prog, "0.0.0.0", 0, 3);
	bpfprog_cidr(prog, "::", 0, 3);
}

#define GEN(dir, n) (100 + 10 * (n) + (dir))

static inline void isolate(struct bpfprog *prog, enum bh_dir dir)
{
	install_classes(prog);
	install(prog, dir, 10 + dir, GEN(dir, 0), false);
	bpfprog_enforce(prog, dir, 10 + dir, GEN(dir, 0));
}

static inline void isolate_both(struct bpfprog *prog)
{
	isolate(prog, BH_INGRESS);
	isolate(prog, BH_EGRESS);
}

// A change: the direction's policy becomes a fresh matrix with generation GEN(dir, n), n > 0.
static inline void change(struct bpfprog *prog, enum bh_dir dir, uint32_t n, bool tight)
{
	install(prog, dir, 20 + 2 * n + dir, GEN(dir, n), tight);
	bpfprog_enforce(prog, dir, 20 + 2 * n + dir, GEN(dir, n));
}

// ---- frames ----------------------------------------------------------------------------------------------------------------
// Ethernet and IP headers of a packet between the pod and `remote`, in direction `dir`.
static inline void frame(struct packet *p, enum bh_dir dir, const char *remote, uint8_t proto)
{
	const char *pod = strchr(remote, ':') ? POD6 : POD4;

	packet_eth(p, dir == BH_EGRESS ? pod_mac : peer_mac, dir == BH_EGRESS ? peer_mac : pod_mac,
		   0);
	packet_ip(p, dir == BH_EGRESS ? pod : remote, dir == BH_EGRESS ? remote : pod, proto);
}

struct flow {
	const char *remote;
	uint16_t remote_port, local_port;
	uint8_t proto;
};

static inline void segment(struct packet *p, enum bh_dir dir, const struct flow *f, uint8_t flags,
			   uint32_t payload)
{
	uint16_t sport = dir == BH_EGRESS ? f->local_port : f->remote_port;
	uint16_t dport = dir == BH_EGRESS ? f->remote_port : f->local_port;

	frame(p, dir, f->remote, f->proto);
	if (f->proto == IPPROTO_TCP)
		packet_tcp(p, sport, dport, flags);
	else if (f->proto == IPPROTO_UDP)
		packet_udp(p, sport, dport);
	else if (f->proto == IPPROTO_SCTP)
		packet_sctp(p, sport, dport, flags);
	packet_data(p, payload);
	packet_end(p);
}

static inline struct bpfprog_result send_tcp(struct bpfprog *prog, enum bh_dir dir,
					     const struct flow *f, uint8_t flags)
{
	struct packet p;

	segment(&p, dir, f, flags, 0);
	return bpfprog_run(prog, dir, &p, NULL);
}

static inline struct bpfprog_result send_data(struct bpfprog *prog, enum bh_dir dir,
					      const struct flow *f)
{
	struct packet p;

	segment(&p, dir, f, P_ACK, 32);
	return bpfprog_run(prog, dir, &p, NULL);
}

// ICMP or ICMPv6 by the remote's family.
static inline struct bpfprog_result send_icmp(struct bpfprog *prog, enum bh_dir dir,
					      const char *remote, uint8_t type, uint16_t id)
{
	struct packet p;

	frame(&p, dir, remote, strchr(remote, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	packet_icmp(&p, type, 0, id);
	packet_data(&p, 32);
	packet_end(&p);
	return bpfprog_run(prog, dir, &p, NULL);
}

// ---- asserts --------------------------------------------------------------------------------------------------------------
static inline const char *reason_text(enum bh_reason reason)
{
	switch (reason) {
#define REASON_CASE(sym, num, name, text)                                                          \
	case BH_REASON_##sym:                                                                      \
		return name;
		BH_REASONS(REASON_CASE)
#undef REASON_CASE
	default:
		return "?";
	}
}

#define assert_passes(result, why)                                                                 \
	do {                                                                                       \
		struct bpfprog_result r_ = (result);                                               \
		if (!r_.pass || r_.reason != BH_REASON_##why)                                      \
			fail_msg("%s: %s by %s, expected to pass by %s", #result,                  \
				 r_.pass ? "passed" : "dropped", reason_text(r_.reason),           \
				 reason_text(BH_REASON_##why));                                    \
	} while (0)

// Passed without any judgement: a hit, link control, an open pod.
#define assert_silent(result) assert_passes(result, NONE)

#define assert_drops(result, why)                                                                  \
	do {                                                                                       \
		struct bpfprog_result r_ = (result);                                               \
		if (r_.pass || r_.reason != BH_REASON_##why)                                       \
			fail_msg("%s: %s by %s, expected to be dropped by %s", #result,            \
				 r_.pass ? "passed" : "dropped", reason_text(r_.reason),           \
				 reason_text(BH_REASON_##why));                                    \
	} while (0)
