// SPDX-License-Identifier: Apache-2.0
// extra.h - further addresses that a namespace's pods may use; private to this room.
//
// World: host. Pure: no (writes bh_extra). Owns: nothing.
// They come from the namespace's annotation bulkhead.io/allowed-addresses, never from the pod's own: who
// may edit a pod must not widen what it may claim to be.
#pragma once

#include "agent/endpoint/endpoint.h"

// All prefixes of one namespace together may hold this many addresses: each needs a number of its own.
#define EXTRA_ADDRS_MAX 65535

// Brings bh_extra and the endpoint's flags in line with its namespace; sets refresh when its programs must
// be loaded anew. A list that is not understood leaves what was there and is reported.
void extra_update(struct tables *tables, const struct store *store,
		  const struct endpoint_events *events, struct endpoint *endpoint);
