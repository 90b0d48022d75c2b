// SPDX-License-Identifier: Apache-2.0
// reduce.h - a mismatch, made small and written down so that it can be repeated.
//
// World: host, tests; root. Pure: no. Owns: nothing between calls.
#pragma once

#include <stdio.h>

#include "tests/diff/scene.h"

// Prints the question, all answers, and the objects as JSON. When tables that are new answer as wrongly
// as those that went through all rounds, every object goes that the mismatch does not need.
void reduce_print(FILE *out, struct scene *scene, const struct world *world,
		  const struct question *question, bool passed);
