// SPDX-License-Identifier: Apache-2.0
// flow.h - options that name a flow: explain and simulate ask the same question.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include "agent/cli/cli.h"

struct flow_options {
	const char *from, *to, *protocol;
	const char *port; // NULL: not given
	int family; // index into "any|4|6"
};

// Entries of an option table; the options struct has a `struct flow_options flow`.
#define FLOW_OPTIONS(type)                                                                         \
	{ "from", 'f', OPTION_TEXT, offsetof(type, flow.from), "END",                              \
	  "who opens the connection: NAMESPACE/POD or an address", .complete = "pods" },           \
	{ "to", 't', OPTION_TEXT, offsetof(type, flow.to), "END",                                  \
	  "whom it is opened to: NAMESPACE/POD or an address", .complete = "pods" },               \
	{ "port", 'p', OPTION_TEXT, offsetof(type, flow.port), "N",                                \
	  .help = "destination port, 1..65535" },                                                  \
	{ "protocol", 'P', OPTION_TEXT, offsetof(type, flow.protocol), "PROTOCOL",                 \
	  "TCP, UDP, SCTP, ICMP or the number of another IP protocol", .fallback = "TCP",          \
	  .choices = "TCP|UDP|SCTP|ICMP|ICMPv6" },                                                 \
	{ "family", 0, OPTION_CHOICE, offsetof(type, flow.family), "FAMILY",                       \
	  "IP version, where both ends have both", "any", .choices = "any|4|6" }

struct flow_question {
	uint8_t protocol;
	uint16_t port; // 0: the protocol has none
	int family; // 4, 6, 0: any
	char text[800]; // "a/b -> c/d 80/TCP"
};

// CLI_OK, or CLI_USAGE with what is missing or wrong told on err.
int flow_check(const struct cli *cli, const struct flow_options *flow, struct flow_question *ret);
