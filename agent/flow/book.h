// SPDX-License-Identifier: Apache-2.0
// book.h - who has an address, and who had it: pods, Services and nodes, as the store's changes tell them.
//
// World: host. Pure: yes, the clock is a parameter (CLOCK_MONOTONIC in ns). Owns: an index of addresses, cards of those
// that were asked for, references on objects that are gone for a while.
// Threads: changes come from the loop's thread, questions from any; a lock is held for moments.
//
// Of 50,000 pods a node talks to few: what is kept of each is its place in the index (12 bytes); its card is made when
// somebody asks. Who leaves, or is labelled anew, stays as it was: with a card as long as BOOK_PAST others that left
// later do not need the room, without one for BOOK_LINGER_NS, as a flow may not have been told yet.
// An address that nobody had is told as its next owner's: pods begin to speak before their address is known.
#pragma once

#include "agent/base/cleanup.h"
#include "agent/flow/record.h"
#include "agent/object/object.h"

#define BOOK_PAST 8192 // cards of the past that are kept
#define BOOK_LINGER 4096 // objects that left and have no card
#define BOOK_LINGER_NS 30000000000ll // and for how long
#define BOOK_CARDS 8192 // cards of the present that are kept made
#define BOOK_LABELS 1024 // bytes of a card's labels: key, value and 16 for each; those that do not fit are left out

struct book;

struct book_limits { // 0: the defaults above
	uint32_t past, linger, cards, labels;
};

int book_new(const struct book_limits *limits, struct book **ret);
void book_free(struct book *book); // the loop's thread: objects are put
DEFINE_CLEANUP(struct book *, book_free)

// The store's changes. The loop's thread.
void book_changed(struct book *book, const struct object *before, const struct object *after, int64_t now_ns);
// An address of this host came or went: it is told as this node's, if it is no Node's, pod's or Service's.
void book_host(struct book *book, const char *node, const struct bh_addr *addr, bool present);

// Who had an address at a time: a new reference, never NULL but for lack of memory. World: nobody that is known.
struct flow_card *book_find(struct book *book, const struct bh_addr *addr, int64_t when_ns);
// The same of a pod that is known to have had it; NULL: the book does not know it.
struct flow_card *book_find_pod(struct book *book, const char *ns, const char *name, const struct bh_addr *addr,
				int64_t when_ns);

struct book_stats {
	uint32_t addresses, cards, past; // past: with and without card
	uint64_t forgotten; // of the past, for lack of room
	uint64_t cut; // cards that were made without some of their labels
};
void book_stats(struct book *book, struct book_stats *ret);
