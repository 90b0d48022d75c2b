// SPDX-License-Identifier: Apache-2.0
// match.h - which atoms match which addresses: what signatures and the indexes of candidates share.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include "agent/policy/cluster.h"

bool peer_in_namespace(const struct atom *atom, const struct peer *peer, const struct nsent *ns);
bool peer_is_wide(const struct peer *peer); // of the pods of every namespace

struct candidate candidate_of(struct atom *atom, const struct peer *peer);
int candidate_by_need(const void *a, const void *b);

// Appends the atoms of candidates that match. The list is sorted by need, so only those are tested whose
// label the pod has.
void match_pod(const candidate_list *list, const struct pod *pod, atom_ids *out);
