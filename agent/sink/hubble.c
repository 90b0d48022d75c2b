// SPDX-License-Identifier: Apache-2.0
// hubble.c - records in the shape of Hubble's exporter: {"flow":{...},"node_name":...,"time":...}, one a line.
//
// Names and numbers are those of its protocol, as proto3 writes them in JSON. What it has no word for (packets, bytes, end
// reasons, what the record's own reason is) stands in `extensions`, as a Struct. A destination is the backend where it is
// known, since that is what a packet of Hubble's shows; the Service is in destination_service.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/base/jsonw.h"
#include "agent/base/moment.h"
#include "agent/sink/private.h"

#define TYPE_DROP 1 // kinds of its events
#define TYPE_TRACE 4
#define TYPE_POLICY_VERDICT 5

#define IDENTITY_HOST 1 // its reserved identities
#define IDENTITY_WORLD 2
#define IDENTITY_REMOTE_NODE 6

#define LABEL_BYTES 512

// ---- reasons -----------------------------------------------------------------------------------------------------------

struct drop {
	uint16_t number;
	const char *name;
};

#define UNKNOWN { 0, "DROP_REASON_UNKNOWN" }
#define POLICY_DENIED { 133, "POLICY_DENIED" }
#define INVALID { 134, "INVALID_PACKET_DROPPED" }
#define BAD_HEADER { 135, "CT_TRUNCATED_OR_INVALID_HEADER" }
#define CT_FULL { 155, "CT_MAP_INSERTION_FAILED" }
#define CT_UNKNOWN { 163, "UNKNOWN_CONNECTION_TRACKING_STATE" }
#define NO_CONFIG { 165, "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION" }
#define NO_FRAGMENT { 175, "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND" }

static const struct drop drops[BH_REASON_MAX] = {
	[BH_REASON_POLICY_DENIED] = POLICY_DENIED,
	[BH_REASON_CUT] = POLICY_DENIED,
	[BH_REASON_QUARANTINE] = NO_CONFIG,
	[BH_REASON_STALE_PROGRAM] = NO_CONFIG,
	[BH_REASON_SPOOFED_MAC] = { 130, "INVALID_SOURCE_MAC" },
	[BH_REASON_SPOOFED_ADDR] = { 132, "INVALID_SOURCE_IP" },
	[BH_REASON_SPOOFED_ARP] = { 132, "INVALID_SOURCE_IP" },
	[BH_REASON_NOT_MINE] = { 152, "NO_MATCHING_LOCAL_CONTAINER_FOUND" },
	[BH_REASON_LINK_CONTROL] = INVALID,
	[BH_REASON_VLAN] = { 182, "VLAN_FILTERED" },
	[BH_REASON_ETHERTYPE] = { 166, "UNSUPPORTED_L2_PROTOCOL" },
	[BH_REASON_SHORT] = BAD_HEADER,
	[BH_REASON_BAD_HEADER] = BAD_HEADER,
	[BH_REASON_BAD_LENGTH] = BAD_HEADER,
	[BH_REASON_BAD_ADDR] = INVALID,
	[BH_REASON_EXT_CHAIN] = { 156, "INVALID_IPV6_EXTENSION_HEADER" },
	[BH_REASON_FRAG_UNKNOWN] = NO_FRAGMENT,
	[BH_REASON_FRAG_OVERLAP] = INVALID,
	[BH_REASON_FRAG_FULL] = NO_FRAGMENT,
	[BH_REASON_NOT_SYN] = CT_UNKNOWN,
	[BH_REASON_ICMP_UNRELATED] = CT_UNKNOWN,
	[BH_REASON_CT_FULL] = CT_FULL,
	[BH_REASON_CT_QUOTA] = CT_FULL,
	[BH_REASON_CLASS_UNKNOWN] = NO_CONFIG,
	[BH_REASON_NO_POLICY] = NO_CONFIG,
	[BH_REASON_SOURCE_ROUTE] = INVALID,
	[BH_REASON_SERVICE_MIXED] = POLICY_DENIED,
	[BH_REASON_SERVICE_EMPTY] = { 158, "SERVICE_BACKEND_NOT_FOUND" },
	[BH_REASON_BACKEND_UNKNOWN] = POLICY_DENIED,
	[BH_REASON_SERVICE_UNASKED] = CT_UNKNOWN,
};

// A rule that denies is another thing than no rule that allows.
static struct drop drop_of(const struct flow_record *record)
{
	static const struct drop by_rule = { 181, "POLICY_DENY" }, unknown = UNKNOWN;
	bool rule = record->policy && record->policy->kind == FLOW_POLICY_CLUSTERNETPOL;

	if (record->reason == BH_REASON_POLICY_DENIED && rule)
		return by_rule;
	return record->reason < BH_REASON_MAX && drops[record->reason].name ? drops[record->reason] : unknown;
}

// ---- ends --------------------------------------------------------------------------------------------------------------

static const struct flow_end *destination(const struct flow_record *record)
{
	return record->backend.card ? &record->backend : &record->dst;
}

static void write_addresses(struct jsonw *w, const struct flow_record *record)
{
	char text[INET6_ADDRSTRLEN];

	jsonw_open(w, "IP", '{');
	jsonw_text(w, "source", addr_format(&record->src.addr, text, sizeof(text)));
	jsonw_text(w, "destination", addr_format(&destination(record)->addr, text, sizeof(text)));
	jsonw_text(w, "ipVersion", bh_addr_is4(&record->src.addr) ? "IPv4" : "IPv6");
	jsonw_close(w, '}');
}

static void write_flags(struct jsonw *w, uint8_t flags)
{
	static const char *const names[] = { "SYN", "ACK", "FIN", "RST" };

	if (!flags)
		return;
	jsonw_open(w, "flags", '{');
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & 1 << i)
			jsonw_bool(w, names[i], true);
	jsonw_close(w, '}');
}

static const char *l4_name(uint8_t proto)
{
	return proto == PROTOCOL_TCP  ? "TCP" :
	       proto == PROTOCOL_UDP  ? "UDP" :
	       proto == PROTOCOL_SCTP ? "SCTP" :
	       proto == IPPROTO_ICMP  ? "ICMPv4" :
	       proto == IPPROTO_ICMPV6 ? "ICMPv6" :
					 NULL;
}

static bool has_ports(uint8_t proto)
{
	return proto == PROTOCOL_TCP || proto == PROTOCOL_UDP || proto == PROTOCOL_SCTP;
}

static void write_l4(struct jsonw *w, const struct flow_record *record)
{
	if (!l4_name(record->proto))
		return;
	jsonw_open(w, "l4", '{');
	jsonw_open(w, l4_name(record->proto), '{');
	if (has_ports(record->proto) && record->src.port)
		jsonw_number(w, "source_port", record->src.port);
	if (has_ports(record->proto) && destination(record)->port)
		jsonw_number(w, "destination_port", destination(record)->port);
	if (record->proto == PROTOCOL_TCP)
		write_flags(w, record->tcp[FLOW_FORWARD]);
	jsonw_close(w, '}');
	jsonw_close(w, '}');
}

// "k8s:app=web", and what Hubble's page groups by.
static void write_labels(struct jsonw *w, const struct flow_card *card)
{
	char text[LABEL_BYTES];

	jsonw_open(w, "labels", '[');
	for (uint32_t i = 0; i < card->nlabels; i++) {
		snprintf(text, sizeof(text), "k8s:%s=%s", card->labels[i].key, card->labels[i].value);
		jsonw_text(w, NULL, text);
	}
	if (card->ns) {
		snprintf(text, sizeof(text), "k8s:io.kubernetes.pod.namespace=%s", card->ns);
		jsonw_text(w, NULL, text);
	}
	jsonw_close(w, ']');
}

static void write_reserved(struct jsonw *w, unsigned int identity, const char *label)
{
	jsonw_number(w, "identity", identity);
	jsonw_open(w, "labels", '[');
	jsonw_text(w, NULL, label);
	jsonw_close(w, ']');
}

static void write_pod(struct jsonw *w, const struct flow_card *card)
{
	jsonw_text(w, "namespace", card->ns);
	write_labels(w, card);
	jsonw_text(w, "pod_name", card->name);
	if (!card->workload_name)
		return;
	jsonw_open(w, "workloads", '[');
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "name", card->workload_name);
	jsonw_text(w, "kind", card->workload_kind);
	jsonw_close(w, '}');
	jsonw_close(w, ']');
}

static void write_end(struct jsonw *w, const char *key, const struct flow_card *card, const char *node)
{
	if (!card)
		return;
	jsonw_open(w, key, '{');
	if (card->who == FLOW_POD)
		write_pod(w, card);
	else if (card->who == FLOW_SERVICE)
		jsonw_text(w, "namespace", card->ns);
	else if (card->who == FLOW_WORLD)
		write_reserved(w, IDENTITY_WORLD, "reserved:world");
	else if (card->name && !strcmp(card->name, node))
		write_reserved(w, IDENTITY_HOST, "reserved:host");
	else
		write_reserved(w, IDENTITY_REMOTE_NODE, "reserved:remote-node");
	jsonw_close(w, '}');
}

static void write_service(struct jsonw *w, const struct flow_card *service)
{
	if (!service)
		return;
	jsonw_open(w, "destination_service", '{');
	jsonw_text(w, "name", service->name);
	jsonw_text(w, "namespace", service->ns);
	jsonw_close(w, '}');
}

// ---- verdicts ----------------------------------------------------------------------------------------------------------

static void write_verdict(struct jsonw *w, const struct flow_record *record)
{
	static const char *const names[] = { "FORWARDED", "DROPPED", "AUDIT" };
	struct drop drop;

	jsonw_text(w, "verdict", record->verdict < ARRAY_SIZE(names) ? names[record->verdict] : "VERDICT_UNKNOWN");
	if (record->verdict != FLOW_DENIED)
		return;
	drop = drop_of(record);
	jsonw_number(w, "drop_reason", drop.number);
	jsonw_text(w, "drop_reason_desc", drop.name);
}

// "ns/name" in two fields.
static void write_policy_name(struct jsonw *w, const char *path)
{
	const char *slash = strchr(path, '/');
	char ns[LABEL_BYTES];

	jsonw_open(w, NULL, '{');
	jsonw_text(w, "name", slash ? slash + 1 : path);
	if (slash) {
		snprintf(ns, sizeof(ns), "%.*s", (int)(slash - path), path);
		jsonw_text(w, "namespace", ns);
	}
	jsonw_text(w, "kind", slash ? "NetworkPolicy" : "ClusterNetworkPolicy");
	jsonw_close(w, '}');
}

static void write_policies(struct jsonw *w, const struct flow_policy *policy, bool denies)
{
	static const char *const keys[BH_DIR_MAX][2] = {
		[BH_INGRESS] = { "ingress_allowed_by", "ingress_denied_by" },
		[BH_EGRESS] = { "egress_allowed_by", "egress_denied_by" },
	};

	if (!policy || !policy->npolicies)
		return;
	jsonw_open(w, keys[policy->dir == BH_EGRESS ? BH_EGRESS : BH_INGRESS][denies], '[');
	for (uint32_t i = 0; i < policy->npolicies; i++)
		write_policy_name(w, policy->policies[i]);
	jsonw_close(w, ']');
}

static void write_event(struct jsonw *w, const struct flow_record *record)
{
	unsigned int type = record->verdict == FLOW_DENIED ? TYPE_DROP :
			    record->verdict == FLOW_AUDIT  ? TYPE_POLICY_VERDICT :
							     TYPE_TRACE;

	jsonw_open(w, "event_type", '{');
	jsonw_number(w, "type", type);
	if (type == TYPE_DROP)
		jsonw_number(w, "sub_type", drop_of(record).number);
	jsonw_close(w, '}');
	if (type != TYPE_TRACE)
		return;
	jsonw_text(w, "trace_observation_point", record->dir == BH_EGRESS ? "FROM_ENDPOINT" : "TO_ENDPOINT");
	jsonw_text(w, "trace_reason", record->type == FLOW_START ? "NEW" : "ESTABLISHED");
}

static void write_summary(struct jsonw *w, const struct flow_record *record)
{
	const char *name = l4_name(record->proto);
	uint8_t flags = record->tcp[FLOW_FORWARD];
	char text[64];

	snprintf(text, sizeof(text), "TCP Flags: %s%s%s%s", flags & FLOW_TCP_SYN ? "SYN, " : "", flags & FLOW_TCP_ACK ? "ACK, " : "",
		 flags & FLOW_TCP_FIN ? "FIN, " : "", flags & FLOW_TCP_RST ? "RST, " : "");
	text[strlen(text) - 2] = 0; // the last comma
	if (record->proto == PROTOCOL_TCP && flags)
		name = text;
	jsonw_text(w, "Summary", name ? name : protocol_name(record->proto));
}

// ---- what Hubble has no word for --------------------------------------------------------------------------------------

static void write_counts(struct jsonw *w, const char *key, const uint64_t *counts)
{
	jsonw_open(w, key, '{');
	jsonw_number(w, "forward", counts[FLOW_FORWARD]);
	jsonw_number(w, "reverse", counts[FLOW_REVERSE]);
	jsonw_close(w, '}');
}

static void write_extensions(struct jsonw *w, const struct flow_record *record)
{
	char text[MOMENT_BYTES];

	jsonw_open(w, "extensions", '{');
	jsonw_text(w, "@type", "type.googleapis.com/google.protobuf.Struct");
	jsonw_open(w, "value", '{');
	jsonw_number(w, "seq", record->seq);
	jsonw_text(w, "type", flow_type_name(record->type));
	jsonw_text(w, "reason", flow_reason_name(record->reason));
	write_counts(w, "packets", record->packets);
	write_counts(w, "bytes", record->bytes);
	jsonw_text(w, "first", moment_format(record->first_ns, text));
	jsonw_text(w, "last", moment_format(record->last_ns, text));
	if (record->type == FLOW_END)
		jsonw_text(w, "over", flow_over_name(record->over));
	jsonw_close(w, '}');
	jsonw_close(w, '}');
}

// ---- a line ------------------------------------------------------------------------------------------------------------

static void write_flow(struct jsonw *w, const struct flow_record *record, const char *time, const char *node)
{
	jsonw_open(w, "flow", '{');
	jsonw_text(w, "time", time);
	write_verdict(w, record);
	write_addresses(w, record);
	write_l4(w, record);
	write_end(w, "source", record->src.card, node);
	write_end(w, "destination", destination(record)->card, node);
	jsonw_text(w, "Type", "L3_L4");
	jsonw_text(w, "node_name", node);
	write_service(w, record->service);
	jsonw_text(w, "traffic_direction", record->dir == BH_EGRESS ? "EGRESS" : "INGRESS");
	write_event(w, record);
	jsonw_bool(w, "is_reply", false); // a record is of both ways; its source is who began
	write_summary(w, record);
	write_policies(w, record->policy, record->verdict == FLOW_DENIED);
	if (record->verdict == FLOW_AUDIT)
		write_policies(w, record->audit, true);
	write_extensions(w, record);
	jsonw_close(w, '}');
}

static int hubble_put(void *self, struct sink *sink, const struct flow_record *record)
{
	const char *node = sink_node(sink), *line;
	char time[MOMENT_BYTES];
	struct jsonw w;
	size_t len;

	moment_format(record->time_ns, time);
	jsonw_init(&w);
	jsonw_open(&w, NULL, '{');
	write_flow(&w, record, time, node);
	jsonw_text(&w, "node_name", node);
	jsonw_text(&w, "time", time);
	jsonw_close(&w, '}');
	jsonw_newline(&w);
	line = jsonw_get(&w, &len);
	if (line)
		sink_emit(sink, line, len, 1);
	jsonw_fini(&w);
	return line ? 0 : -ENOMEM;
}

const struct sink_format sink_hubble = {
	.name = "hubble",
	.over = "stdout file unix tcp tls",
	.put = hubble_put,
};
