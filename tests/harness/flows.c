// SPDX-License-Identifier: Apache-2.0
// flows.c - record number n.
#include "tests/harness/flows.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define EPOCH_NS 1790000000000000000LL // 2026-09-21T14:13:20Z

static struct bh_addr address(uint32_t n, uint8_t net)
{
	if (n % 2)
		return bh_addr_from4(htonl((uint32_t)net << 24 | n));
	return (struct bh_addr){ { htonl(0xfd000000 | net), 0, 0, htonl(n) } };
}

static void cards(struct flows *flows, uint32_t n)
{
	snprintf(flows->src_name, sizeof(flows->src_name), "web-%u", n);
	snprintf(flows->dst_name, sizeof(flows->dst_name), "db-%u", n);
	flows->label = (struct label){ "app", "web" };
	flows->src = (struct flow_card){
		.who = FLOW_POD, .ns = "shop", .name = flows->src_name, .uid = "uid-web", .workload_kind = "Deployment",
		.workload_name = "web", .node = "node-1", .nlabels = 1, .labels = &flows->label,
	};
	flows->dst = (struct flow_card){
		.who = FLOW_POD, .ns = "data", .name = flows->dst_name, .workload_kind = "StatefulSet",
		.workload_name = "db", .node = "node-2",
	};
	flows->backend = flows->dst;
	flows->service = (struct flow_card){ .who = FLOW_SERVICE, .ns = "data", .name = "db" };
	flows->policies[0] = "shop/web-out";
	flows->policy = (struct flow_policy){
		.id = 7, .kind = FLOW_POLICY_NETPOL, .dir = BH_EGRESS, .npolicies = 1, .policies = flows->policies, .index = 2,
	};
}

static void end_record(struct flows *flows, uint32_t n)
{
	flows->record = (struct flow_record){
		.id = 1000000ull + n, .seq = n, .type = FLOW_END, .verdict = FLOW_ALLOWED, .reason = BH_REASON_ALLOWED,
		.over = FLOW_CLOSED, .dir = BH_EGRESS, .proto = IPPROTO_TCP,
		.time_ns = EPOCH_NS + 5000000000LL, .first_ns = EPOCH_NS + n * 1000000LL,
		.last_ns = EPOCH_NS + 2000000000LL + n * 1000000LL,
		.src = { address(n, 10), (uint16_t)(10000 + n), &flows->src },
		.dst = { address(n, 20), 5432, &flows->dst },
		.packets = { 10 + n, 20 + n }, .bytes = { 1000 + 7 * n, 5000000000ull + n },
		.tcp = { FLOW_TCP_SYN | FLOW_TCP_ACK | FLOW_TCP_FIN, FLOW_TCP_SYN | FLOW_TCP_ACK },
		.policy = &flows->policy,
	};
}

const struct flow_record *flows_record(struct flows *flows, uint32_t n)
{
	struct flow_record *record = &flows->record;

	cards(flows, n);
	end_record(flows, n);
	if (n % 3 == 0) {
		flows->dst = flows->service;
		record->service = &flows->service;
		record->backend = (struct flow_end){ address(n, 30), 15432, &flows->backend };
	}
	if (n % 5 == 0) {
		record->id = 0;
		record->type = FLOW_DENY;
		record->verdict = FLOW_DENIED;
		record->reason = BH_REASON_POLICY_DENIED;
		record->over = FLOW_NOT_OVER;
		record->src.port = 0;
		record->packets[FLOW_REVERSE] = record->bytes[FLOW_REVERSE] = 0;
		record->tcp[FLOW_FORWARD] = record->tcp[FLOW_REVERSE] = 0;
		flows->policy.kind = FLOW_POLICY_DEFAULT_DENY;
	}
	return record;
}
