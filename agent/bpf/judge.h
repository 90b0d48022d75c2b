// SPDX-License-Identifier: Apache-2.0
// judge.h - the programs that all pods share: loaded once for every set of features, jumped to by gates.
//
// World: host. Pure: no. Owns: nothing; the table bh_judge holds the programs.
#pragma once

#include <stdint.h>

#include "agent/base/err.h"
#include "agent/bpf/tables.h"

// Loads the judges of these features (enum bh_feature) if this process has not yet, and puts them where
// gates jump to, in the place of a previous agent's: every pod of these features is judged by them from
// its next packet on. On failure the previous ones stay. Helper thread.
int judge_need(struct tables *tables, uint32_t features, struct err *reterr);
