// SPDX-License-Identifier: Apache-2.0
// complaint.h - what is wrong by one way of looking: said again at each look, withdrawn when a look does not
// find it any more. Private to this room.
//
// World: host. Pure: yes but for the callback. Owns: the names of the places.
#pragma once

#include "agent/endpoint/endpoint.h"

struct complaint {
	char *where;
	bool fresh; // said at this look
};

struct complaints {
	VEC(struct complaint) all;
};

void complaints_fini(struct complaints *complaints);
void complaints_begin(struct complaints *complaints);
// The first thing that a look says of a place counts.
void complaints_say(struct complaints *complaints, const struct endpoint_events *events, const char *where,
		    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void complaints_end(struct complaints *complaints, const struct endpoint_events *events);
