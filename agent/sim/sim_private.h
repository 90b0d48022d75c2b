// SPDX-License-Identifier: Apache-2.0
// sim_private.h - what the files of the simulator share.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include "agent/sim/sim.h"

// Compiles what changed. 0 or -errno.
int sim_compile(struct sim *sim);

// Makes a pod an endpoint, before sim_compile(). 0 or -errno.
int sim_enroll(struct sim *sim, const struct pod *pod);

// Whose node's view is asked: its NodePorts, the hostPorts of its pods, its own addresses.
int sim_view(struct sim *sim, const struct pod *pod);

// The endpoint's slot of a pod, or -ENOENT.
int sim_slot(const struct sim *sim, const struct pod *pod);
