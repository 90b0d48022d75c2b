// SPDX-License-Identifier: Apache-2.0
// bpfprog.h - a pod's programs without an agent: loaded with given knobs, tables set by hand, packets run
// through them by BPF_PROG_TEST_RUN, verdict and reason read back.
//
// World: host, tests; root. Pure: no. Owns: a struct bpfprog its object, maps and mappings; nothing is
// pinned, so tests run in parallel. Setters abort the process with a sentence when the kernel refuses:
// a test has nothing to say about that.
//
// The scene that bpfprog_new() sets unless told otherwise: one active endpoint with the addresses below,
// its policies BH_POLICY_ALLOW in both directions.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>
#include <bulkhead/conntrack.h>
#include <bulkhead/fragment.h>
#include <bulkhead/policy.h>
#include <bulkhead/reason.h>

#include "tests/harness/packet.h"

#define POD4 "10.1.0.5"
#define POD6 "fd00:1::5"
#define GATEWAY4 "10.1.0.1"
#define GATEWAY6 "fe80::1"
#define PEER4 "10.2.0.9" // any other pod
#define PEER6 "fd00:2::9"
#define NODE4 "192.168.7.2" // of this host; known to bh_host only if a test says so
#define NODE6 "fd00:7::2"
#define POD_IFINDEX 42
extern const uint8_t pod_mac[6], peer_mac[6];

struct bpfprog;

#define BPFPROG_HALF 1024 // places for half-open flows unless told otherwise
#define BPFPROG_GONE 65536 // bytes of bh_gone unless told otherwise
#define BPFPROG_FRAGS 1024 // elements of bh_frag unless told otherwise

struct bpfprog_options { // 0: the default
	uint32_t slot; // 3
	uint32_t incarnation; // 7
	uint32_t features; // enum bh_feature; BH_FEATURE_TRACK
	bool open; // no features: the open variant
	uint32_t ct_scale, ct_quota, denied_quota; // rodata
	bool settles; // half-open flows without a handshake stay so for BH_HALF_SETTLE_SEC, as in production
	uint32_t half; // half-open flows; 1024
	uint32_t gone; // bytes of bh_gone
	uint32_t ct, frags, denied, totals, peers, cidrs; // elements: 1024 each (ct: 4096)
	// Another pod of the same node: its maps and its judges, with its features and knobs; is freed later.
	struct bpfprog *share;
	uint32_t log_level; // of the verifier, to stderr
};

int bpfprog_new(const struct bpfprog_options *options, struct bpfprog **ret); // options may be NULL
void bpfprog_free(struct bpfprog *prog);

int bpfprog_fd(const struct bpfprog *prog, enum bh_dir dir); // borrowed
int bpfprog_map(const struct bpfprog *prog, const char *name); // borrowed
uint32_t bpfprog_ident(const struct bpfprog *prog);

// ---- tables ------------------------------------------------------------------------------------------------------------
struct bh_endpoint *
bpfprog_endpoint(const struct bpfprog *prog); // mapped: plain stores take effect
void bpfprog_peer(const struct bpfprog *prog, const char *addr, uint32_t cls);
void bpfprog_cidr(const struct bpfprog *prog, const char *addr, uint32_t len,
		  uint32_t cls); // len: of the family
void bpfprog_port(const struct bpfprog *prog, uint8_t proto, uint16_t lo, uint16_t hi,
		  uint16_t cls);
void bpfprog_host(const struct bpfprog *prog, const char *addr, uint32_t flags);
void bpfprog_extra(const struct bpfprog *prog, const char *addr, uint32_t len, uint16_t number);

// ---- Services ------------------------------------------------------------------------------------------------------
// bh_node.flags; with BH_NODE_SERVICES every port may be one of a key of every address, unless it is said which.
void bpfprog_node(const struct bpfprog *prog, uint32_t flags);
void bpfprog_any_ports(const struct bpfprog *prog, uint16_t lo, uint16_t hi);
// addr NULL: every address of the host. word: class, BH_SERVICE_EMPTY.
void bpfprog_service(const struct bpfprog *prog, const char *addr, uint8_t proto, uint16_t port,
		     uint32_t word);
void bpfprog_service_del(const struct bpfprog *prog, const char *addr, uint8_t proto, uint16_t port);
void bpfprog_self(const struct bpfprog *prog, const char *addr, uint8_t proto, uint16_t port,
		  uint32_t how);
void bpfprog_local(const struct bpfprog *prog, const char *addr, uint32_t ident);
// The backend of a flow seen from the pod, judged by nobody; addr NULL: not known.
void bpfprog_backend(const struct bpfprog *prog, uint8_t proto, const char *remote,
		     uint16_t remote_port, uint16_t local_port, const char *addr, uint16_t port);

// Installs units as matrix `policy` (>= BH_POLICY_FIRST).
void bpfprog_matrix(const struct bpfprog *prog, uint32_t policy, const union bh_unit *units,
		    uint32_t nunits);

// A dense matrix whose rows are the classes 0..rows-1 and whose columns are the port classes
// 0..columns-1; words: BH_CELL_WORD row by row. A row of BPFPROG_NO_ROW first is unknown to it.
#define BPFPROG_NO_ROW 0xffffffffu
void bpfprog_dense(const struct bpfprog *prog, uint32_t policy, uint32_t gen, uint32_t rows,
		   uint32_t columns, const uint32_t *words);
// The same, sparse: one default word per row; exceptions by bpfprog_cell().
void bpfprog_sparse(const struct bpfprog *prog, uint32_t policy, uint32_t gen, uint32_t rows,
		    uint32_t columns, const uint32_t *defaults);
void bpfprog_cell(const struct bpfprog *prog, uint32_t policy, uint16_t row, uint16_t col,
		  uint32_t word);

// The endpoint's policy and generation of one direction: the last two steps of a plan.
void bpfprog_enforce(const struct bpfprog *prog, enum bh_dir dir, uint32_t policy, uint32_t gen);

// ---- packets ------------------------------------------------------------------------------------------------------------
struct bpfprog_ctx { // of the skb
	uint32_t ingress_ifindex; // 0: made by the host
	uint32_t gso_size, gso_segs;
	uint32_t linear; // bytes in the linear part; 0: all. Only where bpfprog_can_split()
};

// Can this kernel's test run make non-linear packets? Linux 6.19 and later.
bool bpfprog_can_split(const struct bpfprog *prog);

struct bpfprog_result {
	bool pass;
	enum bh_reason
		reason; // of the drop, or of the judgement that allowed; NONE: passed and judged nothing
	uint32_t rule;
	uint64_t packets, bytes; // that the total grew by
};

// ctx NULL: the packet came in by a device that is nobody's (ingress_ifindex 1).
struct bpfprog_result bpfprog_run(struct bpfprog *prog, enum bh_dir dir, const struct packet *p,
				  const struct bpfprog_ctx *ctx);

// ---- what the programs left --------------------------------------------------------------------------------------------
// The entry of a flow seen from the pod; false: none.
bool bpfprog_ct(const struct bpfprog *prog, uint8_t proto, const char *remote, uint16_t remote_port,
		uint16_t local_port, struct bh_ct *ret);
// Writes it (as the agent seeds, or to make it old: with tick 0); the check word is filled in.
void bpfprog_ct_set(const struct bpfprog *prog, uint8_t proto, const char *remote,
		    uint16_t remote_port, uint16_t local_port, const struct bh_ct *ct);
// How many flows are half open.
uint32_t bpfprog_half_open(const struct bpfprog *prog);
struct bh_count bpfprog_total(const struct bpfprog *prog, enum bh_dir dir, enum bh_reason reason,
			      uint32_t rule);
struct bh_count bpfprog_count(const struct bpfprog *prog, enum bh_dir dir);
uint64_t bpfprog_stat(const struct bpfprog *prog, enum bh_stat stat);
uint32_t bpfprog_now(void); // bh_now() of the programs
