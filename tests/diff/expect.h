// SPDX-License-Identifier: Apache-2.0
// expect.h - what the naive evaluator says, and whether the reasons that the kernel gave can be true.
//
// World: host, tests. Pure: yes, but for reading the kernel's tables. Owns: nothing.
#pragma once

#include "tests/diff/scene.h"

bool expect_pass(const struct scene *scene, const struct question *question);

// Looks at every connection and every deny that the tables hold: the rule named must be the one that the
// compiled matrix gives, its policy must exist, select the pod and speak of that direction, and decide
// as it was decided; a connection's shadow verdict must be the naive one. *retseen: how many were looked at. 0, or -EBADMSG with a sentence.
int expect_reasons(struct scene *scene, uint64_t *retseen, struct err *reterr);
