// SPDX-License-Identifier: Apache-2.0
// slot.h - one element of the endpoint table through an endpoint's life; private to this room.
//
// World: host. Pure: no (stores into the mapped table). Owns: nothing.
#pragma once

#include "agent/endpoint/endpoint.h"

// A fresh slot, or one that changes hands and then keeps its policy words, which are the plans': in quarantine.
int slot_open(struct tables *tables, const struct endpoint *endpoint, bool fresh);

// Addresses, gateways, port range and switches anew; nothing that judges changes. pod NULL: it has no
// addresses (a device of nobody).
void slot_refresh(struct tables *tables, const struct endpoint *endpoint, const struct pod *pod);
void slot_refresh_as(struct tables *tables, const struct endpoint *endpoint, const struct bh_addr *addrs,
		     uint32_t naddrs); // the same with addresses that no object tells of

// Connections older than this moment may be adopted for ENDPOINT_ADOPT_SEC. Expired windows are closed:
// the clock of the programs wraps, and they would open again.
void slot_adopt_window(struct tables *tables, uint32_t slot);
void slot_adopt_expire(struct tables *tables, uint32_t slot);

void slot_quarantine(struct tables *tables, uint32_t slot);

// Out of quarantine, in two steps: the loop's thread says that the plan which is about to run judges this
// endpoint, the helper thread says that it has run. A quarantine that is ordered in between stays.
void slot_arm(struct tables *tables, uint32_t slot);
void slot_activate(struct tables *tables, uint32_t slot, uint32_t ident);

// No programs of this incarnation pass anything from now on.
void slot_close(struct tables *tables, uint32_t slot);

// The record for the next agent.
int slot_identify(struct tables *tables, const struct endpoint *endpoint);

bool slot_is_open(struct tables *tables, uint32_t slot);

// Fills a record from what the previous agent left. One that changed hands while its agent ended stays shut.
void slot_inherit(struct tables *tables, uint32_t slot, const struct bh_identity *identity,
		  struct endpoint *ret);
