// SPDX-License-Identifier: Apache-2.0
// feed.h - a folder of manifests that follows the cases: one file per object, changed only where it differs.
//
// World: host, tests. Pure: no (files). Owns: the folder's files.
#pragma once

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/sim/cases.h"

struct feed;

// temp_dir: where files are written before they are renamed into dir; on the same file system. Both exist.
int feed_new(const char *dir, const char *temp_dir, struct feed **ret, struct err *reterr);
void feed_free(struct feed *feed);
DEFINE_CLEANUP(struct feed *, feed_free)

// Writes what the case has, then removes what it has not, and last of all a Namespace whose name is new
// each time: who has seen it has seen everything. Pods without a node are given default_node.
// *retmarker: its name, borrowed until the next call.
int feed_apply(struct feed *feed, const struct sim_case *c, const char *default_node,
	       const char **retmarker, struct err *reterr);
