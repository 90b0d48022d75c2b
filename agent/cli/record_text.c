// SPDX-License-Identifier: Apache-2.0
// record_text.c - a flow record in words.
#include "agent/cli/records.h"

#include <string.h>

static bool has_ports(uint8_t proto)
{
	return proto == PROTOCOL_TCP || proto == PROTOCOL_UDP || proto == PROTOCOL_SCTP;
}

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void name_end(const struct flow_end *end, const struct flow_card *card, char *buf, size_t bytes)
{
	char address[64];

	addr_format(&end->addr, address, sizeof(address));
	if (card->who == FLOW_POD && card->name)
		snprintf(buf, bytes, "%s/%s", or_dash(card->ns), card->name);
	else if (card->who == FLOW_NODE && card->name)
		snprintf(buf, bytes, "node:%s", card->name);
	else if (card->who == FLOW_SERVICE && card->name)
		snprintf(buf, bytes, "service:%s/%s", or_dash(card->ns), card->name);
	else
		snprintf(buf, bytes, strchr(address, ':') ? "[%s]" : "%s", address);
}

// Of an ICMP echo the port is its id, which says nothing to people.
static const char *write_end(const struct flow_record *record, const struct flow_end *end, const struct flow_card *card,
			     char *buf)
{
	size_t len;

	name_end(end, card, buf, RECORD_TEXT_BYTES);
	len = strlen(buf);
	if (end->port && has_ports(record->proto))
		snprintf(buf + len, RECORD_TEXT_BYTES - len, ":%u", end->port);
	return buf;
}

const char *record_end(const struct flow_record *record, const struct flow_end *end, char buf[static RECORD_TEXT_BYTES])
{
	return write_end(record, end, end->card, buf);
}

const struct flow_end *record_answers(const struct flow_record *record)
{
	return record->backend.card ? &record->backend : &record->dst;
}

const char *record_destination(const struct flow_record *record, char buf[static RECORD_TEXT_BYTES])
{
	char service[RECORD_TEXT_BYTES];
	size_t len;

	if (!record->backend.card)
		return write_end(record, &record->dst, record->service ? record->service : record->dst.card, buf);
	record_end(record, &record->backend, buf);
	if (!record->service)
		return buf;
	write_end(record, &record->dst, record->service, service);
	len = strlen(buf);
	snprintf(buf + len, RECORD_TEXT_BYTES - len, " (%s)", service);
	return buf;
}

static void join(const struct flow_policy *policy, char *buf, size_t bytes)
{
	size_t len = 0;

	*buf = '\0';
	for (uint32_t i = 0; i < policy->npolicies && len < bytes; i++)
		len += (size_t)snprintf(buf + len, bytes - len, "%s%s", i ? ", " : "", policy->policies[i]);
}

const char *record_policy(const struct flow_policy *policy, char buf[static RECORD_TEXT_BYTES])
{
	char names[RECORD_TEXT_BYTES / 2];

	*buf = '\0';
	if (!policy || policy->kind == FLOW_POLICY_NONE)
		return buf;
	join(policy, names, sizeof(names));
	if (policy->kind == FLOW_POLICY_DEFAULT_DENY)
		snprintf(buf, RECORD_TEXT_BYTES, "default deny (%s)", names);
	else if (policy->kind == FLOW_POLICY_UNKNOWN)
		snprintf(buf, RECORD_TEXT_BYTES, "a rule that is not known any more");
	else
		snprintf(buf, RECORD_TEXT_BYTES, "%s %s rule %u%s%s%s", flow_policy_kind_name(policy->kind), names,
			 policy->index, policy->rule_name ? " (" : "", policy->rule_name ? policy->rule_name : "",
			 policy->rule_name ? ")" : "");
	return buf;
}

enum cli_colour record_colour(const struct flow_record *record)
{
	static const enum cli_colour colours[] = {
		[FLOW_ALLOWED] = CLI_GOOD,
		[FLOW_DENIED] = CLI_BAD,
		[FLOW_AUDIT] = CLI_WARN,
	};

	return colours[record->verdict];
}
