// SPDX-License-Identifier: Apache-2.0
// combine.h - one cell for all backends of a Service.
//
// World: host. Pure: yes. Owns: nothing.
// ALLOW when every backend is allowed, DENY when none is (DENY_CLUSTER when ClusterNetworkPolicies deny them
// all), else MIXED with the rule of a denied one; no backends: what the caller says. Of several rules it is the one with the
// smallest id, which does not depend on an order. The own node passes the NetworkPolicy tier, as backend too.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/policy.h>

// The smallest word of each verdict that was there.
struct combine_view {
	bool has[BH_VERDICT_MIXED];
	uint32_t word[BH_VERDICT_MIXED];
};

struct combine {
	struct combine_view enforced, shadow;
};

void combine_add(struct combine *sum, struct bh_cell cell, bool own_node);
void combine_refuse(struct combine *sum); // denied by nobody's rule
struct bh_cell combine_end(const struct combine *sum, struct bh_cell none);
