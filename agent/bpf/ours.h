// SPDX-License-Identifier: Apache-2.0
// ours.h - which programs on a device are Bulkhead's: a pod's gates, their place, and the quarantine of its start.
//
// World: host. Pure: no. Owns: nothing.
#pragma once

#include <stdint.h>

enum ours {
	OURS_NOT,
	OURS_GATE,
	OURS_SHUT, // put there by the CNI plugin, to be replaced or taken off
	OURS_PASS, // holds a gate's place for a moment, and passes on
};

// By the name of a program, also as libbpf tells it of a filter: "bh_to_pod:[7]".
enum ours ours_named(const char *name);

// By a program's id; one that is gone is not ours.
enum ours ours_program(uint32_t id);
