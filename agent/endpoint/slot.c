// SPDX-License-Identifier: Apache-2.0
// slot.c - stores into one element of the endpoint table.
#include "agent/endpoint/slot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bulkhead/conntrack.h>

// Both directions change by one store, as readers expect.
static void store_pair(volatile __u32 pair[BH_DIR_MAX], uint32_t value)
{
	uint64_t both = (uint64_t)value << 32 | value;

	__atomic_store_n((uint64_t *)(uintptr_t)pair, both, __ATOMIC_RELEASE);
}

static void set_policy(volatile struct bh_endpoint *slot, uint32_t policy)
{
	store_pair(slot->policy, policy);
	store_pair(slot->gen, BH_GEN_OF(policy));
}

static void set_addrs(volatile struct bh_endpoint *slot, const struct pod *pod)
{
	const struct bh_addr *addr4 = NULL, *addr6 = NULL;

	for (uint32_t i = 0; i < pod->naddrs; i++) {
		if (bh_addr_is4(&pod->addrs[i]))
			addr4 = addr4 ? addr4 : &pod->addrs[i];
		else
			addr6 = addr6 ? addr6 : &pod->addrs[i];
	}
	slot->addr4 = addr4 ? addr4->w[3] : 0;
	for (int i = 0; i < 4; i++)
		slot->addr6[i] = addr6 ? addr6->w[i] : 0;
}

void slot_refresh(struct tables *tables, const struct endpoint *endpoint, const struct pod *pod)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, endpoint->slot);
	const struct link_pod *link = &endpoint->link;

	set_addrs(slot, pod);
	slot->flags = endpoint->flags | (slot->flags & BH_EP_EXTRA);
	for (int i = 0; i < 6; i++)
		slot->mac[i] = link->mac[i];
	slot->ifindex = (uint32_t)link->ifindex;
	slot->ephemeral_lo = link->ephemeral_lo;
	slot->ephemeral_hi = link->ephemeral_hi;
	slot->gateway4 = bh_addr_is4(&link->gateway4) ? link->gateway4.w[3] : 0;
	for (int i = 0; i < 4; i++)
		slot->gateway6[i] = link->gateway6.w[i];
}

int slot_open(struct tables *tables, const struct endpoint *endpoint, const struct pod *pod)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, endpoint->slot);
	int r;

	r = slot_identify(tables, endpoint);
	if (r < 0)
		return r;
	slot->state = BH_STATE_NONE;
	slot->flags = 0;
	slot->adopt_until = 0;
	slot->ct_count = 0;
	slot->denied_count = 0;
	slot_refresh(tables, endpoint, pod);
	set_policy(slot, BH_POLICY_ALLOW);
	slot->ident = endpoint->ident;
	__atomic_store_n((uint8_t *)(uintptr_t)&slot->state, BH_STATE_ACTIVE, __ATOMIC_RELEASE);
	return 0;
}

void slot_adopt_window(struct tables *tables, uint32_t index)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, index);
	uint32_t until = tables_now() + (uint32_t)(ENDPOINT_ADOPT_SEC * BH_TIME_HZ);

	slot->adopt_until = until ? until : 1;
}

void slot_quarantine(struct tables *tables, uint32_t slot)
{
	tables_endpoint(tables, slot)->state = BH_STATE_QUARANTINE;
}

void slot_reopen(struct tables *tables, const struct endpoint *endpoint)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, endpoint->slot);

	set_policy(slot, BH_POLICY_DENY);
	__atomic_store_n((uint8_t *)(uintptr_t)&slot->state, BH_STATE_ACTIVE, __ATOMIC_RELEASE);
}

void slot_close(struct tables *tables, uint32_t slot)
{
	tables_endpoint(tables, slot)->state = BH_STATE_NONE;
}

bool slot_is_open(struct tables *tables, uint32_t index, uint32_t ident)
{
	const volatile struct bh_endpoint *slot = tables_endpoint(tables, index);

	return slot->state != BH_STATE_NONE && slot->ident == ident;
}

int slot_identify(struct tables *tables, const struct endpoint *endpoint)
{
	struct bh_identity identity = {
		.netns = endpoint->link.netns,
		.ident = endpoint->ident,
		.ifindex = (uint32_t)endpoint->link.ifindex,
		.peer_ifindex = (uint32_t)endpoint->link.peer_ifindex,
		.attach = endpoint->attach,
	};

	snprintf(identity.uid, sizeof(identity.uid), "%s", endpoint->uid ? endpoint->uid : "");
	snprintf(identity.ns, sizeof(identity.ns), "%s", endpoint->ns);
	snprintf(identity.name, sizeof(identity.name), "%s", endpoint->name);
	return tables_identity_set(tables, endpoint->slot, &identity);
}

void slot_inherit(struct tables *tables, uint32_t index, const struct bh_identity *identity,
		  struct endpoint *ret)
{
	const volatile struct bh_endpoint *slot = tables_endpoint(tables, index);

	ret->slot = index;
	ret->ident = identity->ident;
	ret->inherited = true;
	ret->refresh = true;
	ret->phase = slot->state == BH_STATE_QUARANTINE ? ENDPOINT_ORPHAN : ENDPOINT_ATTACHED;
	ret->attach = (enum bh_attach)identity->attach;
	ret->variant = slot->policy[BH_INGRESS] == BH_POLICY_ALLOW &&
				       slot->policy[BH_EGRESS] == BH_POLICY_ALLOW ?
			       PROGRAM_OPEN :
			       PROGRAM_TRACK;
	ret->extra = slot->flags & BH_EP_EXTRA;
	ret->link.netns = identity->netns;
	ret->link.ifindex = (int)identity->ifindex;
	ret->link.peer_ifindex = (int)identity->peer_ifindex;
	for (int i = 0; i < 6; i++)
		ret->link.mac[i] = slot->mac[i];
	ret->link.gateway4 = slot->gateway4 ? bh_addr_from4(slot->gateway4) : (struct bh_addr){ 0 };
	for (int i = 0; i < 4; i++)
		ret->link.gateway6.w[i] = slot->gateway6[i];
}
