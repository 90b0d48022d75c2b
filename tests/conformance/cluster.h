// SPDX-License-Identifier: Apache-2.0
// cluster.h - a rig with an agent on every node: takes states, answers questions by packets.
//
// World: host, tests. Pure: no. Owns: rig, agents, manifests.
#pragma once

#include "tests/conformance/kernel.h"
#include "tests/conformance/probe.h"

struct cluster;

int cluster_new(const struct kernel_config *config, struct cluster **ret, struct err *reterr);
void cluster_free(struct cluster *cluster);
DEFINE_CLEANUP(struct cluster *, cluster_free)

// Brings the state of a case into force on every node that it has.
int cluster_apply(struct cluster *cluster, const struct sim_case *c, struct err *reterr);

struct verdict {
	bool asked; // false: an end has no address of this family
	bool allow;
	const char *wrong; // what else is wrong, or NULL
};

// One verdict per expectation, in one family (0 IPv4, 1 IPv6).
int cluster_ask(struct cluster *cluster, const struct sim_case *c, int family,
		struct verdict *verdicts, struct err *reterr);
