// SPDX-License-Identifier: Apache-2.0
// frame.h - a question as the frame that asks it, and as one line of text.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include "tests/diff/scene.h"
#include "tests/harness/packet.h"

extern const uint8_t frame_pod_mac[6];

struct bh_addr frame_gateway(int family); // of every pod

// Whether the remote is the pod's own node (design: ingress what the host made, egress its Node's
// addresses and the gateway).
bool question_as_node(const struct question *question);

void frame_build(struct packet *frame, const struct question *question);

// "a/p0 ingress from 10.1.0.3 port 80/TCP".
const char *question_text(const struct question *question, char *buf, size_t bytes);

// A random question that a new flow can ask, and that no source check refuses.
struct question question_roll(struct rng *rng, uint32_t slot, int family, uint16_t other_port);
