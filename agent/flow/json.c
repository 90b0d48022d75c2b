// SPDX-License-Identifier: Apache-2.0
// json.c - records as JSON. What is not known is absent, never null.
#include "agent/flow/json.h"

#include <errno.h>
#include <netinet/in.h>

#include "agent/base/moment.h"

#define ID_DIGITS 16

static void write_time(struct jsonw *w, const char *key, int64_t ns)
{
	char text[MOMENT_BYTES];

	jsonw_text(w, key, moment_format(ns, text));
}

static void write_id(struct jsonw *w, uint64_t id)
{
	char text[ID_DIGITS + 1];

	if (!id)
		return;
	for (int i = ID_DIGITS - 1; i >= 0; i--, id >>= 4)
		text[i] = "0123456789abcdef"[id & 15];
	text[ID_DIGITS] = 0;
	jsonw_text(w, "id", text);
}

static void write_pod(struct jsonw *w, const struct flow_card *card)
{
	jsonw_text(w, "namespace", card->ns);
	jsonw_text(w, "pod", card->name);
	jsonw_text(w, "uid", card->uid);
	if (card->workload_name) {
		jsonw_open(w, "workload", '{');
		jsonw_text(w, "kind", card->workload_kind);
		jsonw_text(w, "name", card->workload_name);
		jsonw_close(w, '}');
	}
	if (card->nlabels) {
		jsonw_open(w, "labels", '{');
		for (uint32_t i = 0; i < card->nlabels; i++)
			jsonw_text(w, card->labels[i].key, card->labels[i].value);
		jsonw_close(w, '}');
	}
	if (card->labels_cut)
		jsonw_number(w, "labels_cut", card->labels_cut);
	jsonw_text(w, "node", card->node);
}

static void write_service(struct jsonw *w, const struct flow_card *card)
{
	jsonw_text(w, "namespace", card->ns);
	jsonw_text(w, "name", card->name);
}

static void write_card(struct jsonw *w, const struct flow_card *card)
{
	jsonw_text(w, "kind", flow_who_name(card->who));
	if (card->who == FLOW_POD)
		write_pod(w, card);
	else if (card->who == FLOW_NODE)
		jsonw_text(w, "node", card->name);
}

// Leaves the object open.
static void write_end(struct jsonw *w, const char *key, const struct flow_end *end)
{
	char text[INET6_ADDRSTRLEN];

	jsonw_open(w, key, '{');
	jsonw_text(w, "address", addr_format(&end->addr, text, sizeof(text)));
	if (end->port)
		jsonw_number(w, "port", end->port);
	if (end->card)
		write_card(w, end->card);
}

static void write_ends(struct jsonw *w, const struct flow_record *record)
{
	write_end(w, "source", &record->src);
	jsonw_close(w, '}');
	write_end(w, "destination", &record->dst);
	if (record->backend.card) {
		write_end(w, "backend", &record->backend);
		jsonw_close(w, '}');
	}
	jsonw_close(w, '}');
	if (record->service) {
		jsonw_open(w, "service", '{');
		write_service(w, record->service);
		jsonw_close(w, '}');
	}
}

// Denies are counted one way only: what nobody let through has no answer.
static void write_counts(struct jsonw *w, const char *key, const struct flow_record *record, const uint64_t *counts)
{
	jsonw_open(w, key, '{');
	jsonw_number(w, "forward", counts[FLOW_FORWARD]);
	if (record->type != FLOW_DENY)
		jsonw_number(w, "reverse", counts[FLOW_REVERSE]);
	jsonw_close(w, '}');
}

static void write_flags(struct jsonw *w, const char *key, uint8_t flags)
{
	static const char *const names[] = { "SYN", "ACK", "FIN", "RST" };

	jsonw_open(w, key, '[');
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & 1 << i)
			jsonw_text(w, NULL, names[i]);
	jsonw_close(w, ']');
}

static void write_tcp(struct jsonw *w, const struct flow_record *record)
{
	if (record->proto != PROTOCOL_TCP || !(record->tcp[FLOW_FORWARD] | record->tcp[FLOW_REVERSE]))
		return;
	jsonw_open(w, "tcp_flags", '{');
	write_flags(w, "forward", record->tcp[FLOW_FORWARD]);
	write_flags(w, "reverse", record->tcp[FLOW_REVERSE]);
	jsonw_close(w, '}');
}

static void write_times(struct jsonw *w, const struct flow_record *record)
{
	int64_t ns = record->last_ns > record->first_ns ? record->last_ns - record->first_ns : 0;

	write_time(w, "first", record->first_ns);
	write_time(w, "last", record->last_ns);
	if (record->type == FLOW_UPDATE || record->type == FLOW_END)
		jsonw_number(w, "duration_ms", (uint64_t)ns / 1000000);
}

static bool is_rule(const struct flow_policy *policy)
{
	return policy->kind == FLOW_POLICY_NETPOL || policy->kind == FLOW_POLICY_CLUSTERNETPOL;
}

static void write_policy(struct jsonw *w, const char *key, const struct flow_policy *policy)
{
	if (!policy)
		return;
	jsonw_open(w, key, '{');
	jsonw_text(w, "kind", flow_policy_kind_name(policy->kind));
	jsonw_text(w, "direction", policy->dir == BH_EGRESS ? "egress" : "ingress");
	if (policy->npolicies) {
		jsonw_open(w, "policies", '[');
		for (uint32_t i = 0; i < policy->npolicies; i++)
			jsonw_text(w, NULL, policy->policies[i]);
		jsonw_close(w, ']');
	}
	if (is_rule(policy))
		jsonw_number(w, "rule", policy->index);
	jsonw_text(w, "rule_name", policy->rule_name);
	jsonw_text(w, "tier", policy->tier);
	jsonw_close(w, '}');
}

void flow_json_write(struct jsonw *w, const struct flow_record *record, const char *node)
{
	jsonw_open(w, NULL, '{');
	jsonw_number(w, "version", FLOW_SCHEMA_VERSION);
	jsonw_number(w, "seq", record->seq);
	jsonw_text(w, "type", flow_type_name(record->type));
	write_time(w, "time", record->time_ns);
	write_id(w, record->id);
	jsonw_text(w, "node", node);
	jsonw_text(w, "verdict", flow_verdict_name(record->verdict));
	jsonw_text(w, "reason", flow_reason_name(record->reason));
	jsonw_text(w, "direction", record->dir == BH_EGRESS ? "egress" : "ingress");
	jsonw_text(w, "protocol", protocol_name(record->proto));
	write_ends(w, record);
	write_counts(w, "packets", record, record->packets);
	write_counts(w, "bytes", record, record->bytes);
	write_times(w, record);
	write_tcp(w, record);
	if (record->type == FLOW_END && record->over != FLOW_NOT_OVER)
		jsonw_text(w, "over", flow_over_name(record->over));
	write_policy(w, "policy", record->policy);
	write_policy(w, "audit", record->audit);
	jsonw_close(w, '}');
}

int flow_json(struct evbuffer *out, const struct flow_record *record, const char *node)
{
	struct jsonw w;
	const char *text;
	size_t len;
	int r;

	jsonw_init(&w);
	flow_json_write(&w, record, node);
	text = jsonw_get(&w, &len);
	r = text && evbuffer_add(out, text, len) == 0 ? 0 : -ENOMEM;
	jsonw_fini(&w);
	return r;
}
