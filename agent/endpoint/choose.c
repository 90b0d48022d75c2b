// SPDX-License-Identifier: Apache-2.0
// choose.c - pairs pods and devices, best evidence first.
#include "agent/endpoint/choose.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/vec.h"

struct pair {
	struct claim *claim;
	struct candidate *candidate;
	enum evidence evidence;
	uint32_t routed, addrs;
};

static uint32_t common(const struct pod *pod, const struct bh_addr *addrs, uint32_t n)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < pod->naddrs; i++)
		for (uint32_t k = 0; k < n; k++)
			found += bh_addr_equal(&pod->addrs[i], &addrs[k]);
	return found;
}

// A static pod's processes bear a hash that the API does not know: it speaks for and against nobody.
enum evidence evidence_of(const struct pod *pod, const struct link_pod *link,
			  const struct attachment *attachment)
{
	const char *uid = pod->object.uid;
	bool others = false;

	if (attachment)
		return attachment_fits(attachment, pod) ? EVIDENCE_ATTACHMENT : EVIDENCE_NONE;
	for (uint32_t i = 0; uid && i < link->nuids; i++) {
		if (strcmp(uid, link->uids[i]) == 0)
			return EVIDENCE_UID;
		others |= !uid_is_static(link->uids[i]);
	}
	if (others)
		return EVIDENCE_NONE;
	if (common(pod, link->routed, link->nrouted))
		return EVIDENCE_ROUTE;
	return common(pod, link->addrs, link->naddrs) ? EVIDENCE_ADDRESS : EVIDENCE_NONE;
}

static bool is_successor(const struct pod *pod, const struct pod *holder)
{
	return pod->created && holder->created && pod->created > holder->created &&
	       common(pod, holder->addrs, holder->naddrs);
}

static bool counts(const struct pair *pair)
{
	const struct candidate *candidate = pair->candidate;
	const struct pod *holder = candidate->holder;

	if (!pair->evidence || pair->evidence < candidate->needs)
		return false;
	if (!holder || candidate->attachment)
		return true;
	return evidence_of(holder, candidate->link, NULL) < EVIDENCE_UID &&
	       (pair->evidence == EVIDENCE_UID || is_successor(pair->claim->pod, holder));
}

static int evidence_order(const struct pair *x, const struct pair *y)
{
	if (x->evidence != y->evidence)
		return x->evidence > y->evidence ? -1 : 1;
	if (x->routed != y->routed)
		return x->routed > y->routed ? -1 : 1;
	if (x->addrs != y->addrs)
		return x->addrs > y->addrs ? -1 : 1;
	return 0;
}

static int pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int r = evidence_order(x, y);

	if (r)
		return r;
	if (x->claim != y->claim)
		return pod_outranks(x->claim->pod, y->claim->pod) ? -1 : 1;
	return x->candidate->link->ifindex - y->candidate->link->ifindex;
}

typedef VEC(struct pair) pairs_t;

static int make_pairs(struct claim *claims, size_t nclaims, struct candidate *candidates,
		      size_t ncandidates, pairs_t *pairs)
{
	int r = 0;

	for (size_t i = 0; i < nclaims; i++) {
		for (size_t k = 0; k < ncandidates && r == 0; k++) {
			const struct link_pod *link = candidates[k].link;
			struct pair pair = { &claims[i], &candidates[k],
					     evidence_of(claims[i].pod, link, candidates[k].attachment),
					     common(claims[i].pod, link->routed, link->nrouted),
					     common(claims[i].pod, link->addrs, link->naddrs) };

			if (counts(&pair))
				r = vec_push(pairs, pair);
		}
	}
	vec_sort(pairs, pair_order);
	return r;
}

static bool is_rival(const struct pair *pair, const struct pair *other)
{
	return other != pair && other->claim == pair->claim && !other->candidate->taker &&
	       evidence_order(other, pair) == 0;
}

static bool has_rival(const struct pair *pair, const pairs_t *pairs)
{
	vec_each(const struct pair, other, pairs)
		if (is_rival(pair, other))
			return true;
	return false;
}

// All devices that are as good for the pod as the one that it takes.
static void take(const struct pair *pair, const pairs_t *pairs)
{
	pair->claim->link = pair->candidate->link;
	vec_each(const struct pair, other, pairs) {
		if (!is_rival(pair, other))
			continue;
		other->candidate->taker = pair->claim;
		other->candidate->contested = pair->candidate->contested = pair->claim->contested = true;
	}
	pair->candidate->taker = pair->claim;
}

// The next pod that has one best device; else, if any may be contested, the next pod.
static bool take_next(const pairs_t *pairs, struct candidate *candidates, size_t n, bool contested)
{
	for (size_t i = 0; i < n; i++)
		candidates[i].kept = EVIDENCE_NONE;
	vec_each(const struct pair, pair, pairs) {
		if (pair->claim->link || pair->candidate->taker || pair->evidence < pair->candidate->kept)
			continue;
		if (contested || !has_rival(pair, pairs)) {
			take(pair, pairs);
			return true;
		}
		pair->candidate->kept = pair->evidence;
	}
	return false;
}

static void name_winners(const pairs_t *pairs)
{
	vec_each(const struct pair, pair, pairs) {
		if (pair->claim->link || pair->claim->winner || !pair->candidate->taker)
			continue;
		pair->claim->winner = pair->candidate->taker->pod;
		pair->claim->lost = pair->candidate->link;
	}
}

int choose(struct claim *claims, size_t nclaims, struct candidate *candidates, size_t ncandidates)
{
	pairs_t pairs = { 0 };
	int r = make_pairs(claims, nclaims, candidates, ncandidates, &pairs);

	while (r == 0 && (take_next(&pairs, candidates, ncandidates, false) ||
			  take_next(&pairs, candidates, ncandidates, true)))
		;
	name_winners(&pairs);
	vec_fini(&pairs);
	return r;
}
