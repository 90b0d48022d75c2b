// SPDX-License-Identifier: Apache-2.0
// slot.h - one element of the endpoint table through an endpoint's life; private to this room.
//
// World: host. Pure: no (stores into the mapped table). Owns: nothing.
#pragma once

#include "agent/endpoint/endpoint.h"

// A fresh slot: passes everything (BH_POLICY_ALLOW both ways) until its first plan has run.
int slot_open(struct tables *tables, const struct endpoint *endpoint, const struct pod *pod);

// Addresses, gateways, port range and switches anew; nothing that judges changes.
void slot_refresh(struct tables *tables, const struct endpoint *endpoint, const struct pod *pod);

// Connections older than this moment may be adopted for ENDPOINT_ADOPT_SEC.
void slot_adopt_window(struct tables *tables, uint32_t slot);

void slot_quarantine(struct tables *tables, uint32_t slot);

// Out of quarantine, denying everything until the next plan has run.
void slot_reopen(struct tables *tables, const struct endpoint *endpoint);

// No programs of this incarnation pass anything from now on.
void slot_close(struct tables *tables, uint32_t slot);

// The record for the next agent.
int slot_identify(struct tables *tables, const struct endpoint *endpoint);

bool slot_is_open(struct tables *tables, uint32_t slot, uint32_t ident);

// Fills a record from what the previous agent left.
void slot_inherit(struct tables *tables, uint32_t slot, const struct bh_identity *identity,
		  struct endpoint *ret);
