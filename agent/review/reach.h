// SPDX-License-Identifier: Apache-2.0
// reach.h - a set of ports: what passes between two ends.
//
// World: host, one thread. Pure: yes. Owns: its spans. Lack of memory ends the process.
#pragma once

#include "agent/base/vec.h"
#include "agent/object/object.h"

enum reach_proto { REACH_TCP, REACH_UDP, REACH_SCTP, REACH_OTHER, REACH_PROTO_MAX }; // OTHER: no ports
uint8_t reach_protocol(enum reach_proto proto); // an IP protocol that stands for it

struct reach_span {
	uint8_t proto; // enum reach_proto
	uint16_t lo, hi; // 1..65535; of OTHER 1..1
};

// Ascending, apart from each other.
struct reach {
	size_t n, cap;
	struct reach_span *v;
};

void reach_add(struct reach *reach, struct reach_span span);
void reach_union(struct reach *reach, const struct reach *other);
void reach_common(const struct reach *a, const struct reach *b, struct reach *ret); // adds what both have
void reach_fini(struct reach *reach);

bool reach_has(const struct reach *reach, enum reach_proto proto, uint16_t port);
bool reach_is_all(const struct reach *reach); // every protocol, every port
bool reach_is_whole(const struct reach *reach); // every port of some protocol

// "everything", "TCP 80, 443-445; UDP 53", "" for nothing. Ends with "..." where buf does. Returns buf.
const char *reach_text(const struct reach *reach, char *buf, size_t bytes);
