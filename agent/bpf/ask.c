// SPDX-License-Identifier: Apache-2.0
// ask.c - what a program would read now for a new flow: the programs' own reader over system calls.
//
// Callable from the loop's thread while a plan runs on the helper: it shares nothing but the kernel.
#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <bulkhead/service.h>

#include "agent/bpf/state.h"

struct asking {
	const struct tables *tables;
	uint32_t slot;
	enum bh_dir dir;
	int matrix;
	union bh_unit unit; // the one read last
	struct bh_cell cell;
};

static const union bh_unit *ask_unit(struct asking *asking, __u32 index)
{
	if (bpf_map_lookup_elem(asking->matrix, &index, &asking->unit) < 0)
		return NULL;
	return &asking->unit;
}

static const struct bh_cell *ask_cell(struct asking *asking, const struct bh_cell_key *key)
{
	if (bpf_map_lookup_elem(asking->tables->maps[TABLE_CELL].fd, key, &asking->cell) < 0)
		return NULL;
	return &asking->cell;
}

BH_DEFINE_MATRIX_READ(ask_matrix, struct asking *, ask_unit, ask_cell)

static uint32_t peer_class(const struct tables *tables, const struct bh_addr *addr,
			   struct tables_answer *ret)
{
	struct bh_cidr whole = { 128, *addr };
	struct bh_peer peer;
	uint32_t cls;

	ret->exact = bpf_map_lookup_elem(tables->maps[TABLE_PEER].fd, addr, &peer) == 0;
	if (ret->exact) {
		ret->prefix = whole;
		return peer.cls;
	}
	if (bpf_map_lookup_elem(tables->maps[TABLE_CIDR].fd, &whole, &cls) < 0)
		return BH_CLASS_NONE;
	return cls;
}

static uint32_t port_class(const struct tables *tables, uint8_t proto, uint16_t port)
{
	static const uint8_t protocols[BH_PORT_PROTO_MAX] = {
		[BH_PORT_TCP] = BH_PROTO_TCP,
		[BH_PORT_UDP] = BH_PROTO_UDP,
		[BH_PORT_SCTP] = BH_PROTO_SCTP,
	};

	for (int i = 0; i < BH_PORT_PROTO_MAX; i++)
		if (protocols[i] == proto)
			return __atomic_load_n(&tables->ports[port].cls[i], __ATOMIC_ACQUIRE);
	return BH_PORT_CLASS_NONE;
}

static enum bh_reason fixed(uint32_t policy, struct bh_judgement *ret)
{
	bool allow = policy == BH_POLICY_ALLOW;

	ret->gen = BH_GEN_OF(policy);
	ret->verdict = BH_CELL_WORD(allow ? BH_VERDICT_ALLOW : BH_VERDICT_DENY, BH_RULE_NONE);
	ret->shadow = ret->verdict;
	return allow ? BH_REASON_ALLOWED : BH_REASON_POLICY_DENIED;
}

// ---- Services -----------------------------------------------------------------------------------------------

// Is there an element? Its class and flags.
static bool service_word(const struct tables *tables, const struct bh_service_key *key, uint32_t *ret)
{
	struct bh_service service;

	if (bpf_map_lookup_elem(tables->maps[TABLE_SERVICE].fd, key, &service) < 0)
		return false;
	*ret = service.cls;
	return true;
}

static bool is_host(const struct tables *tables, const struct bh_addr *addr)
{
	struct bh_host host;

	return bpf_map_lookup_elem(tables->maps[TABLE_HOST].fd, addr, &host) == 0;
}

static bool find_service(const struct tables *tables, const struct bh_addr *remote, uint8_t proto,
			 uint16_t port, struct bh_service_key *ret, uint32_t *retword)
{
	*ret = (struct bh_service_key){ .port = htons(port), .proto = proto };
	memcpy(ret->addr, remote, sizeof(ret->addr));
	if (service_word(tables, ret, retword))
		return true;
	memset(ret->addr, 0, sizeof(ret->addr));
	return is_host(tables, remote) && service_word(tables, ret, retword) &&
	       bh_service_has(*retword, bh_addr_is4(remote));
}

static uint32_t self_how(const struct tables *tables, uint32_t slot, const struct bh_service_key *key)
{
	struct bh_self_key self_key = { slot, *key };
	struct bh_self self;

	if (bpf_map_lookup_elem(tables->maps[TABLE_SELF].fd, &self_key, &self) < 0)
		return BH_SELF_NOT;
	return self.how;
}

// What the row leaves open.
static enum bh_reason judge_row(const struct asking *asking, const struct bh_service_key *key,
				uint32_t word, enum bh_reason reason, struct tables_answer *ret)
{
	enum bh_verdict verdict = BH_CELL_VERDICT(ret->judgement.verdict);
	uint32_t how = BH_SELF_ONE;

	if (reason != BH_REASON_POLICY_DENIED || verdict == BH_VERDICT_DENY_CLUSTER)
		return reason;
	if (verdict == BH_VERDICT_DENY)
		how = self_how(asking->tables, asking->slot, key);
	if (how == BH_SELF_ONLY)
		return BH_REASON_HAIRPIN;
	if (how != BH_SELF_ONE)
		return word & BH_SERVICE_EMPTY ? BH_REASON_SERVICE_EMPTY : reason;
	return tables_node_has(asking->tables, BH_NODE_HOOK) ? BH_REASON_SERVICE :
							       BH_REASON_SERVICE_MIXED;
}

// The head first, then the classes, as programs read them.
static enum bh_reason judge(struct asking *asking, const struct bh_addr *remote, uint8_t proto,
			    uint16_t port, struct tables_answer *ret)
{
	struct bh_service_key key;
	struct bh_matrix_head head;
	enum bh_reason reason;
	uint32_t word;

	if (ret->policy >= BH_POLICY_FIRST && (asking->matrix < 0 || !ask_unit(asking, 0)))
		return BH_REASON_NO_POLICY;
	head = asking->unit.head;
	ret->judgement.gen = head.gen;
	ret->service = asking->dir == BH_EGRESS && ret->policy != BH_POLICY_ALLOW &&
		       find_service(asking->tables, remote, proto, port, &key, &word);
	if (ret->service) {
		ret->cls = BH_SERVICE_CLASS(word);
		reason = ret->policy < BH_POLICY_FIRST ?
				 fixed(ret->policy, &ret->judgement) :
				 ask_matrix(asking, &head, ret->policy, ret->cls,
					    BH_PORT_CLASS_NONE, &ret->judgement);
		return judge_row(asking, &key, word, reason, ret);
	}
	ret->cls = peer_class(asking->tables, remote, ret);
	ret->pcls = port_class(asking->tables, proto, port);
	if (ret->policy < BH_POLICY_FIRST)
		return fixed(ret->policy, &ret->judgement);
	return ask_matrix(asking, &head, ret->policy, ret->cls, ret->pcls, &ret->judgement);
}

enum bh_reason tables_ask(struct tables *tables, uint32_t slot, enum bh_dir dir,
			  const struct bh_addr *remote, uint8_t proto, uint16_t port,
			  struct tables_answer *ret)
{
	struct asking asking = { .tables = tables, .slot = slot, .dir = dir };
	enum bh_reason reason;

	memset(ret, 0, sizeof(*ret));
	if (slot >= tables_nendpoints(tables) || !tables->endpoints[slot].ident)
		return BH_REASON_NO_POLICY;
	ret->policy = __atomic_load_n(&tables->endpoints[slot].policy[dir], __ATOMIC_ACQUIRE);
	asking.matrix = ret->policy < BH_POLICY_FIRST ? -1 : inner_open(tables, ret->policy);
	reason = judge(&asking, remote, proto, port, ret);
	closep(&asking.matrix);
	return reason;
}
