// SPDX-License-Identifier: Apache-2.0
// nslabel.h - the namespaces that have a label, so that a namespace selector need not look at all of them.
//
// World: host, one thread. Pure: yes. Owns: the lists.
#pragma once

#include "agent/policy/cluster.h"

typedef VEC(struct nsent *) ns_list;

void nslabels_fini(struct cluster *cluster);

// Whenever labels of a namespace begin to hold, and before they cease to.
void nslabel_enter(struct cluster *cluster, struct nsent *ns);
void nslabel_leave(struct cluster *cluster, struct nsent *ns);

// Appends every namespace that the selector may match, each once, and as few others as the labels tell.
void nslabel_suspects(const struct cluster *cluster, const struct selector *selector, ns_list *out);
