// SPDX-License-Identifier: Apache-2.0
// expect.c - see expect.h.
#include "tests/packets/expect.h"

#include <stdlib.h>
#include <string.h>

#include "tests/harness/bpfprog.h"

static bool same(const struct bh_pkt *fast, const struct bh_pkt *any)
{
	return bh_addr_equal(&fast->src, &any->src) && bh_addr_equal(&fast->dst, &any->dst) &&
	       !memcmp(fast->smac, any->smac, sizeof(fast->smac)) && fast->ports == any->ports &&
	       fast->flags == any->flags && fast->proto == any->proto && fast->tcp == any->tcp &&
	       fast->bytes == any->bytes;
}

static bool is(const struct bh_addr *addr, const char *text)
{
	struct bh_addr other = packet_addr(text);

	return bh_addr_equal(addr, &other);
}

static bool is_pods(const struct bh_addr *addr)
{
	return is(addr, POD4) || is(addr, POD6);
}

static bool is_zero(const struct bh_addr *addr)
{
	return is(addr, "0.0.0.0") || is(addr, "::");
}

// ---- the pod's door, outwards ----------------------------------------------------------------------------------------
static bool may_claim(const struct bh_addr *addr)
{
	return is_pods(addr) || (bh_addr6_linklocal(addr) && !is(addr, GATEWAY6));
}

// Who can be reached without passing the node: the link's groups, link-local and the pod's /64.
static bool is_near(const struct bh_addr *addr)
{
	struct bh_addr own = packet_addr(POD6);

	return BH_HOST32(addr->w[0]) >> 16 == 0xff02 || bh_addr6_linklocal(addr) ||
	       !memcmp(addr, &own, 8);
}

static enum bh_reason link_from_pod(const struct bh_pkt *pkt)
{
	if (pkt->flags & BH_PKT_ARP)
		return !(pkt->flags & BH_PKT_CLAIM) && (is_zero(&pkt->src) || is_pods(&pkt->src)) ?
			       BH_REASON_CONTROL :
			       BH_REASON_SPOOFED_ARP;
	if (pkt->flags & (BH_PKT_ND | BH_PKT_MLD)) {
		if (!is_zero(&pkt->src) && !may_claim(&pkt->src))
			return BH_REASON_SPOOFED_ADDR;
		if ((pkt->flags & BH_PKT_CLAIM) && !may_claim(&pkt->inner))
			return BH_REASON_SPOOFED_ARP;
		return (pkt->flags & BH_PKT_MLD) || is_near(&pkt->dst) ? BH_REASON_CONTROL :
									 BH_REASON_NONE;
	}
	if (!(pkt->flags & BH_PKT_DHCP))
		return BH_REASON_NONE;
	if (is(&pkt->dst, "255.255.255.255") && (is_zero(&pkt->src) || is(&pkt->src, POD4)))
		return BH_REASON_CONTROL;
	if (is(&pkt->dst, "ff02::1:2") && bh_addr6_linklocal(&pkt->src) && may_claim(&pkt->src))
		return BH_REASON_CONTROL;
	return BH_REASON_NONE;
}

static enum bh_reason door_from_pod(struct bh_pkt *pkt)
{
	enum bh_reason reason;

	if (memcmp(pkt->smac, pod_mac, sizeof(pkt->smac)))
		return BH_REASON_SPOOFED_MAC;
	reason = link_from_pod(pkt);
	if (reason)
		return reason;
	if (!is_pods(&pkt->src))
		return BH_REASON_SPOOFED_ADDR;
	if ((pkt->flags & BH_PKT_LINK_GROUP) && !is_pods(&pkt->dst))
		pkt->flags |= BH_PKT_GROUP;
	if ((pkt->flags & BH_PKT_ERROR) && !is_pods(&pkt->inner))
		pkt->flags |= BH_PKT_ERROR_ODD;
	return BH_REASON_NONE;
}

// ---- inwards -------------------------------------------------------------------------------------------------------------
static enum bh_reason link_to_pod(const struct bh_pkt *pkt)
{
	if (pkt->flags & (BH_PKT_ARP | BH_PKT_MLD))
		return BH_REASON_CONTROL;
	if (pkt->flags & BH_PKT_ND)
		return (pkt->flags & BH_PKT_GROUP) || bh_addr6_linklocal(&pkt->dst) ||
				       is_pods(&pkt->dst) ?
			       BH_REASON_CONTROL :
			       BH_REASON_NOT_MINE;
	if (!(pkt->flags & BH_PKT_DHCP))
		return BH_REASON_NONE;
	if (is(&pkt->dst, "255.255.255.255") ||
	    (is(&pkt->src, GATEWAY4) && is(&pkt->dst, POD4)))
		return BH_REASON_CONTROL;
	if (bh_addr6_linklocal(&pkt->src) && bh_addr6_linklocal(&pkt->dst))
		return BH_REASON_CONTROL;
	return BH_REASON_NONE;
}

static enum bh_reason door_to_pod(struct bh_pkt *pkt)
{
	enum bh_reason reason = link_to_pod(pkt);

	if (reason)
		return reason;
	if (is_zero(&pkt->src))
		return BH_REASON_BAD_ADDR;
	if (!is_pods(&pkt->dst)) {
		if (pkt->flags & BH_PKT_LINK_GROUP)
			pkt->flags |= BH_PKT_GROUP;
		if (!(pkt->flags & BH_PKT_GROUP))
			return BH_REASON_NOT_MINE;
	}
	return is_pods(&pkt->src) ? BH_REASON_SPOOFED_ADDR : BH_REASON_NONE;
}

bool expect_frame(const uint8_t *data, uint32_t bytes, enum bh_dir dir, bool gso,
		  struct expect *ret)
{
	// without slack, so that a sanitizer sees every byte read too far
	uint8_t *copy = malloc(bytes ? bytes : 1);
	struct bh_frame frame = { .data = copy, .bytes = bytes };
	struct bh_pkt fast = { .bytes = bytes - BH_L2_BYTES, .flags = gso ? BH_PKT_GSO : 0 };
	bool agree;

	memcpy(copy, data, bytes);
	*ret = (struct expect){ .pkt = fast };
	ret->parse = bh_parse_any(&frame, dir, &ret->pkt);
	agree = bytes < BH_L2_BYTES || !bh_parse_fast(copy, copy + bytes, &fast) ||
		(!ret->parse && same(&fast, &ret->pkt));
	free(copy);
	if (!ret->parse)
		ret->door = dir == BH_EGRESS ? door_from_pod(&ret->pkt) : door_to_pod(&ret->pkt);
	ret->stateless = ret->pkt.flags & (BH_PKT_GROUP | BH_PKT_ERROR_ODD);
	return agree;
}

void expect_key(const struct expect *expect, enum bh_dir dir, uint32_t ident,
		union expect_key *ret, uint32_t *retcheck)
{
	memset(ret, 0, sizeof(*ret));
	if (expect->pkt.flags & BH_PKT_V4) {
		bh_ct_key_of(&expect->pkt, dir, ident, /* local= */ 0, &ret->v4);
		*retcheck = bh_ct_check(&ret->v4);
	} else {
		bh_ct6_key_of(&expect->pkt, dir, ident, /* local= */ 0, &ret->v6);
		*retcheck = bh_ct6_check(&ret->v6);
	}
}
