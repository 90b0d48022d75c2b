// SPDX-License-Identifier: Apache-2.0
// front.h - how fronts are made: shared by what is told of Services and what they come to.
//
// World: host, one thread. Pure: yes. Owns: nothing; see service.h.
#pragma once

#include "agent/policy/room.h"

// A place behind a front, before it has entries.
struct place {
	struct bh_addr addr;
	uint16_t port;
};
typedef VEC(struct place) places;

// Its backends are these from now on (sorted and made unique in place); its keys are touched if they are others.
void front_set_backends(struct policy *policy, struct front *front, places *list);

// addr NULL: every address of this node. False: there is no place for another key.
bool front_add_key(struct policy *policy, struct front *front, const struct bh_addr *addr,
		   uint16_t port);
void front_touch_keys(struct services *services, const struct front *front);
void fronts_free(struct policy *policy, front_list *list); // and empties it

void svckey_free(struct svckey *key);
void target_free(struct target *target);

// What is behind the Services whose slices have changed.
void services_remake(struct policy *policy);
