// SPDX-License-Identifier: Apache-2.0
// program.h - a pod's two programs, its gates: loaded with its ident, attached to its veth, watched, replaced in place.
//
// World: host. Pure: no. Owns: a pair owns its program fds. What survives the agent is pinned under
// <pin_dir>/ep/<slot>/: links (tcx), or programs (clsact, whose filters live with the device).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/bpf/tables.h"

enum program_variant {
	PROGRAM_OPEN, // source checks only: no policy selects the pod
	PROGRAM_TRACK, // connections and policy
	PROGRAM_VARIANT_MAX,
};

struct program_config {
	enum program_variant variant;
	uint32_t ident;
	bool extra; // the endpoint has extra addresses
	bool record; // per-flow counters
};

struct program_pair {
	int from_pod, to_pod; // fds, -1: none
};

// Loads both gates against the tables, and before them the judges that they jump to, unless those are there.
int program_load(struct tables *tables, const struct program_config *config,
		 struct program_pair *ret, struct err *reterr);
void program_pair_close(struct program_pair *pair);

// How to begin on a device: by filters, since a tcx link takes the kernel's network lock for long; by tcx where a
// foreign tcx program would be in front of them, an `ingress` qdisc or a filter of another kind is in their place, the CNI
// plugin had to begin with it, or the pod runs already: a qdisc that comes loses packets that are on their way.
enum bh_attach program_attach_first(int ifindex, bool runs);
bool program_can_move(void); // the kernel has tcx, which costs a packet less

// Puts both programs at the head of the veth's hooks (device of the agent's own namespace) and pins them.
// An attachment that this slot already has is updated in place (link update or filter replace): no packet
// goes unjudged and foreign programs stay. One that is no longer at the head comes back to it, and one of
// the other way or on another device goes, as the quarantine does that the CNI plugin began with, but only once ours is at
// the head: -EXDEV where something foreign is in front all the same. from_pod is attached first. Helper thread (tcx waits
// on RTNL).
int program_attach(struct tables *tables, uint32_t slot, int ifindex, enum bh_attach mode,
		   const struct program_pair *pair, struct err *reterr);

// From filters to tcx, the programs that are there. The links are made first, with a program that passes on; then, hook by
// hook, a link gets the program and the filter goes. Only between these two does a packet meet both (and is counted
// twice), and none meets neither. The qdisc stays, empty, as taking it off would lose packets; it costs them nothing. On failure the filters stay, or are put again. Helper thread.
int program_move(struct tables *tables, uint32_t slot, int ifindex, struct err *reterr);

// Puts both on the veth by filters, as that needs least, even where nothing can be pinned: for a pod that would
// be without programs. 0: they are in force. The next program_attach() replaces them.
int program_shut(struct tables *tables, uint32_t slot, int ifindex, const struct program_pair *closed,
		 struct err *reterr);

// A device that the CNI plugin shut and whose pod is not known yet, so that it has no slot. 0: it is shut, or has programs
// of ours by now; 1: it was not, and is again. Helper thread.
int program_keep_shut(int ifindex, struct err *reterr);

// 0: both hooks run our programs, pins lead to them and nothing stands in front of them; -ENOENT: something of this
// is missing, or the CNI plugin's quarantine is there; -EXDEV: a foreign program is in front; -ENODEV: the device is
// gone. reterr says which.
int program_check(struct tables *tables, uint32_t slot, int ifindex, enum bh_attach mode,
		  struct err *reterr);

// Takes both off and removes the pins. The qdisc that we made stays, empty, as long as the device lives: the CNI plugin
// may shut the device in that moment. Idempotent; a device that is gone is fine.
int program_detach(struct tables *tables, uint32_t slot, int ifindex, enum bh_attach mode,
		   struct err *reterr);

// Records of qdiscs on devices that are gone. Helper thread.
void program_forget_gone(struct tables *tables);

// The netfilter program, our qdiscs, every slot that has pins or filters under this pin folder, whatever the layout of its tables, and
// the CNI plugin's quarantine on whatever device: for --cleanup. A folder that is not there is fine; -EBUSY: an agent works on it.
int program_detach_all(const char *pin_dir, struct err *reterr);
