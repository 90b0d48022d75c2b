// SPDX-License-Identifier: Apache-2.0
// memo.h - the part of a signature that one list of rules refers to, and the row or column it came to.
//
// World: host, one thread. Pure: yes. Owns: what stands in the table.
#pragma once

#include "agent/base/hash.h"
#include "agent/policy/class.h"
#include "agent/policy/space.h"

#define MEMO_NONE UINT32_MAX

// Position of an id in an ascending list, or n.
size_t sig_position(const uint32_t *v, size_t n, uint32_t id);

// Appends the positions in known[] of what of a signature stands there.
void sig_restrict(const uint32_t *sig, size_t nsig, const uint32_t *known, size_t n, atom_ids *out);

uint32_t memo_find(const struct hash *table, const atom_ids *sig); // MEMO_NONE
void memo_add(struct hash *table, const atom_ids *sig, uint32_t number);
void memo_fini(struct hash *table);
