// SPDX-License-Identifier: Apache-2.0
// live.c - the rooms of the agent, wired for one thread; packets may be sent by others.
#include "tests/harness/test.h"

#include "tests/harness/live.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bulkhead/half.h>

#include "tests/harness/bpfprog.h"

void live_start(struct live *live, const struct tables_config *config)
{
	struct err err = { 0 };
	bool adopted;

	*live = (struct live){ .pin_dir = config->pin_dir };
	judge_start(&live->judge, NULL);
	assert_ok_err(tables_open(config, &live->tables, &adopted, &err), &err);
	assert_false(adopted);
	for (int i = 0; i < LIVE_PODS; i++)
		live->pods[i].programs = (struct program_pair){ -1, -1 };
}

void live_stop(struct live *live)
{
	struct err err = { 0 };

	for (int i = 0; i < LIVE_PODS; i++)
		program_pair_close(&live->pods[i].programs);
	judge_stop(&live->judge);
	tables_close(live->tables);
	assert_ok_err(tables_unpin(live->pin_dir, &err), &err);
}

static void ready(struct live *live, uint32_t slot)
{
	struct bh_endpoint *ep = (void *)tables_endpoint(live->tables, slot);
	struct bh_addr addr6 = packet_addr(live->pods[slot].addr[1]);

	memcpy(ep->mac, pod_mac, sizeof(ep->mac));
	ep->addr4 = packet_addr(live->pods[slot].addr[0]).w[3];
	memcpy(ep->addr6, &addr6, sizeof(ep->addr6));
	ep->ifindex = POD_IFINDEX;
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		ep->policy[dir] = BH_POLICY_DENY;
		ep->gen[dir] = BH_GEN_OF(BH_POLICY_DENY);
	}
	ep->ident = live->pods[slot].ident;
	ep->state = BH_STATE_ACTIVE;
}

uint32_t live_pod(struct live *live, const char *ns, const char *name, const char *labels,
		  const char *addr4, const char *addr6)
{
	struct program_config config = { .variant = PROGRAM_TRACK, .record = live->record };
	struct err err = { 0 };
	char addrs[128];
	uint32_t slot;

	snprintf(addrs, sizeof(addrs), "%s %s", addr4, addr6);
	slot = judge_local(&live->judge, ns, name, labels, addrs, "");
	assert_true(slot < LIVE_PODS);
	config.ident = BH_IDENT(slot, tables_next_incarnation(live->tables));
	live->pods[slot] =
		(struct live_pod){ config.ident, { addr4, addr6 }, ns, name, { -1, -1 } };
	ready(live, slot);
	assert_ok_err(program_load(live->tables, &config, &live->pods[slot].programs, &err), &err);
	return slot;
}

void live_policy(struct live *live, const char *ns, const char *name, const char *app,
		 enum bh_dir dir, const char *rules)
{
	judge_put(&live->judge, KIND_NETPOL,
		  "{'metadata':{'namespace':'%s','name':'%s'},'spec':{'podSelector':{'matchLabels':"
		  "{'app':'%s'}},'policyTypes':['%s'],'%s':[%s]}}",
		  ns, name, app, dir == BH_EGRESS ? "Egress" : "Ingress",
		  dir == BH_EGRESS ? "egress" : "ingress", rules);
}

struct plan *live_plan(struct live *live)
{
	struct plan *plan = NULL;

	assert_ok(policy_compile(live->judge.policy, &plan));
	return plan;
}

uint32_t live_apply(struct live *live)
{
	_cleanup_(plan_freep) struct plan *plan = live_plan(live);
	struct err err = { 0 };

	assert_ok_err(tables_apply(live->tables, plan, NULL, &err), &err);
	return plan->nsteps;
}

uint32_t live_restart(struct live *live)
{
	struct judge *judge = &live->judge;
	struct policy_tables held = { 0 };

	assert_ok(tables_dump(live->tables, &held));
	policy_free(TAKE_PTR(judge->policy));
	assert_ok(policy_new(judge->store, NULL, &judge->policy));
	for (uint32_t slot = 0; slot < judge->slots; slot++)
		assert_ok(policy_endpoint_add(judge->policy, live->pods[slot].ns,
					      live->pods[slot].name, slot));
	assert_ok(policy_adopt(judge->policy, &held));
	policy_tables_fini(&held);
	return live_apply(live);
}

struct bh_judgement live_eval(const struct live *live, const struct live_flow *flow)
{
	struct bh_addr remote = packet_addr(flow->remote);
	struct bh_judgement judgement = { 0 };

	policy_eval(live->judge.policy, flow->slot, flow->dir, &remote, flow->proto,
		    flow->dir == BH_EGRESS ? flow->remote_port : flow->local_port, false,
		    &judgement);
	return judgement;
}

// ---- packets --------------------------------------------------------------------------------------------------

void live_frame(const struct live *live, const struct live_flow *flow, enum bh_dir dir,
		uint8_t flags, struct packet *ret)
{
	const char *pod = live->pods[flow->slot].addr[strchr(flow->remote, ':') != NULL];
	bool out = dir == BH_EGRESS;
	uint16_t sport = out ? flow->local_port : flow->remote_port;
	uint16_t dport = out ? flow->remote_port : flow->local_port;

	packet_eth(ret, out ? pod_mac : peer_mac, out ? peer_mac : pod_mac, 0);
	packet_ip(ret, out ? pod : flow->remote, out ? flow->remote : pod, flow->proto);
	if (flow->proto == IPPROTO_TCP)
		packet_tcp(ret, sport, dport, flags);
	else
		packet_udp(ret, sport, dport);
	packet_data(ret, 16);
	packet_end(ret);
}

bool live_send(const struct live *live, const struct live_flow *flow, enum bh_dir dir,
	       uint8_t flags)
{
	const struct program_pair *programs = &live->pods[flow->slot].programs;
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	struct packet frame;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data, .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb));

	live_frame(live, flow, dir, flags, &frame);
	opts.data_size_in = frame.len;
	if (bpf_prog_test_run_opts(dir == BH_EGRESS ? programs->from_pod : programs->to_pod, &opts))
		abort();
	return (int)opts.retval == TC_ACT_UNSPEC;
}

void live_establish(const struct live *live, const struct live_flow *flow)
{
	assert_true(live_send(live, flow, flow->dir, P_SYN));
	assert_true(live_send(live, flow, !flow->dir, P_SYN | P_ACK));
	assert_true(live_send(live, flow, flow->dir, P_ACK));
}

bool live_flows(const struct live *live, const struct live_flow *flow, enum bh_dir first)
{
	return live_send(live, flow, first, P_ACK) && live_send(live, flow, !first, P_ACK);
}

bool live_is_cut(const struct live *live, const struct live_flow *flow, enum bh_dir first)
{
	return !live_send(live, flow, first, P_ACK) && !live_send(live, flow, !first, P_ACK);
}

// ---- entries --------------------------------------------------------------------------------------------------

union entry_key {
	struct bh_ct_key v4;
	struct bh_ct6_key v6;
};

// Fills the key, returns its table.
static int entry_key(const struct live *live, const struct live_flow *flow, union entry_key *ret)
{
	struct bh_addr remote = packet_addr(flow->remote);
	uint32_t ident = live->pods[flow->slot].ident;

	memset(ret, 0, sizeof(*ret));
	if (bh_addr_is4(&remote)) {
		ret->v4 = (struct bh_ct_key){ .ident = ident,
					      .remote = remote.w[3],
					      .remote_port = htons(flow->remote_port),
					      .local_port = htons(flow->local_port),
					      .proto = flow->proto };
		return tables_fd(live->tables, "bh_ct");
	}
	ret->v6 = (struct bh_ct6_key){ .ident = ident,
				       .remote_port = htons(flow->remote_port),
				       .local_port = htons(flow->local_port),
				       .proto = flow->proto };
	memcpy(ret->v6.remote, &remote, sizeof(remote));
	return tables_fd(live->tables, "bh_ct6");
}

// The place of a half-open flow: its bucket, whose number is *retindex. -1: it is in none.
static int half_place(const struct live *live, const struct live_flow *flow,
		      struct bh_half_bucket *ret, uint32_t *retindex)
{
	struct bh_addr remote = packet_addr(flow->remote);
	struct bh_ct6_key key = { .ident = live->pods[flow->slot].ident,
				  .remote_port = htons(flow->remote_port),
				  .local_port = htons(flow->local_port),
				  .proto = flow->proto };
	int fd = tables_fd(live->tables, "bh_half");
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), zero = 0;
	struct bh_half_place place;
	struct bh_node node;

	memcpy(key.remote, &remote, sizeof(remote));
	if (bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    bpf_map_lookup_elem(tables_fd(live->tables, "bh_node"), &zero, &node))
		abort();
	place = bh_half_place(&key, node.secret, info.max_entries);
	*retindex = place.bucket;
	if (bpf_map_lookup_elem(fd, &place.bucket, ret))
		abort();
	for (int i = 0; i < BH_HALF_WAYS; i++)
		if (ret->tag[i] == place.tag && bh_half_key_equal(&ret->place[i].key, &key))
			return i;
	return -1;
}

bool live_entry(const struct live *live, const struct live_flow *flow, struct bh_ct *ret)
{
	struct bh_half_bucket bucket;
	union entry_key key;
	int fd = entry_key(live, flow, &key), way;
	uint32_t index;

	if (bpf_map_lookup_elem(fd, &key, ret) == 0)
		return true;
	way = half_place(live, flow, &bucket, &index);
	if (way < 0)
		return false;
	*ret = (struct bh_ct){ .gen = bucket.place[way].flow.gen,
			       .rule = bucket.place[way].flow.rule,
			       .flags = (uint8_t)bucket.place[way].flow.flags };
	return true;
}

void live_forget(const struct live *live, const struct live_flow *flow)
{
	struct bh_endpoint *ep = (void *)tables_endpoint(live->tables, flow->slot);
	struct bh_half_bucket bucket;
	union entry_key key;
	int fd = entry_key(live, flow, &key), way;
	uint32_t index;

	if (bpf_map_delete_elem(fd, &key) == 0)
		__atomic_fetch_sub(&ep->ct_count, 1, __ATOMIC_RELAXED);
	way = half_place(live, flow, &bucket, &index);
	if (way < 0)
		return;
	bucket.tag[way] = 0;
	if (bpf_map_update_elem(tables_fd(live->tables, "bh_half"), &index, &bucket, BPF_ANY))
		abort();
}

void live_seed(const struct live *live, const struct live_flow *flow)
{
	struct ct_entry entry = {
		.ident = live->pods[flow->slot].ident,
		.remote = packet_addr(flow->remote),
		.remote_port = flow->remote_port,
		.local_port = flow->local_port,
		.proto = flow->proto,
		.v6 = strchr(flow->remote, ':') != NULL,
		.value = { .state = BH_CT_ESTABLISHED,
			   .last = tables_now(),
			   .flags = flow->dir == BH_EGRESS ? BH_CT_EGRESS : 0 },
	};

	assert_ok(tables_ct_seed(live->tables, &entry));
}
