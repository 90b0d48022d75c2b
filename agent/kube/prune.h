// SPDX-License-Identifier: Apache-2.0
// prune.h - leaves out of an object's text what nobody here reads, before it is parsed.
//
// World: host. Pure: yes. Owns: nothing.
//
// Most of a pod's bytes are managed fields, mounts, environments and states of containers: to parse them costs more
// than all that is done with the rest.
#pragma once

#include <stddef.h>

// Copies an object, or an event of a watch with one inside, to `out`, which has room for len bytes. Returns how many were
// copied; 0: the text is no JSON as far as was looked at (its parser says what is wrong).
size_t prune(const char *text, size_t len, char *out);
