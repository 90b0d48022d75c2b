// SPDX-License-Identifier: Apache-2.0
// cover.h - whether what one part of a policy matches is matched by another's, whatever pods there are.
//
// World: host, one thread. Pure: yes. Owns: nothing. Each is sound and not complete: true is a proof, false is none.
#pragma once

#include "agent/object/object.h"

// What matches `narrow` matches `wide`.
bool selector_implies(const struct selector *narrow, const struct selector *wide);

// Both are of policies of one namespace, or both of the cluster.
bool peer_covers(const struct peer *wide, const struct peer *narrow);
bool rule_covers(const struct rule *wide, const struct rule *narrow);
