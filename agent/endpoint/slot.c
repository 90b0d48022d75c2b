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

// The netfilter program knows an endpoint by these; what it does not know passes no mixed Service.
typedef int (*tell_fn)(struct tables *tables, const struct bh_addr *addr, uint32_t ident);

static void tell_addrs(struct tables *tables, const volatile struct bh_endpoint *slot, tell_fn tell)
{
	struct bh_addr addr4 = bh_addr_from4(slot->addr4), addr6;

	for (int i = 0; i < 4; i++)
		addr6.w[i] = slot->addr6[i];
	if (slot->addr4)
		tell(tables, &addr4, slot->ident);
	if (addr6.w[0])
		tell(tables, &addr6, slot->ident);
}

static bool same_addrs(const volatile struct bh_endpoint *a, const struct bh_endpoint *b)
{
	return a->addr4 == b->addr4 && a->addr6[0] == b->addr6[0] && a->addr6[1] == b->addr6[1] &&
	       a->addr6[2] == b->addr6[2] && a->addr6[3] == b->addr6[3];
}

static void set_addrs(volatile struct bh_endpoint *slot, const struct bh_addr *addrs, uint32_t naddrs)
{
	const struct bh_addr *addr4 = NULL, *addr6 = NULL;

	for (uint32_t i = 0; i < naddrs; i++) {
		if (bh_addr_is4(&addrs[i]))
			addr4 = addr4 ? addr4 : &addrs[i];
		else
			addr6 = addr6 ? addr6 : &addrs[i];
	}
	slot->addr4 = addr4 ? addr4->w[3] : 0;
	for (int i = 0; i < 4; i++)
		slot->addr6[i] = addr6 ? addr6->w[i] : 0;
}

void slot_refresh(struct tables *tables, const struct endpoint *endpoint, const struct pod *pod)
{
	slot_refresh_as(tables, endpoint, pod ? pod->addrs : NULL, pod ? pod->naddrs : 0);
}

void slot_refresh_as(struct tables *tables, const struct endpoint *endpoint, const struct bh_addr *addrs,
		     uint32_t naddrs)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, endpoint->slot);
	const struct bh_endpoint before = *slot;

	set_addrs(slot, addrs, naddrs);
	if (!same_addrs(slot, &before))
		tell_addrs(tables, &before, tables_local_del);
	tell_addrs(tables, slot, tables_local_set);
	slot->flags = endpoint->flags | (slot->flags & BH_EP_EXTRA);
	for (int i = 0; i < 6; i++)
		slot->mac[i] = endpoint->mac[i];
	slot->ifindex = (uint32_t)endpoint->ifindex;
	slot->ephemeral_lo = endpoint->ephemeral_lo;
	slot->ephemeral_hi = endpoint->ephemeral_hi;
	slot->gateway4 = bh_addr_is4(&endpoint->gateway4) ? endpoint->gateway4.w[3] : 0;
	for (int i = 0; i < 4; i++)
		slot->gateway6[i] = endpoint->gateway6.w[i];
}

static void set_state(volatile struct bh_endpoint *slot, uint8_t state)
{
	__atomic_store_n((uint8_t *)(uintptr_t)&slot->state, state, __ATOMIC_RELEASE);
}

static bool state_was(volatile struct bh_endpoint *slot, uint8_t before, uint8_t after)
{
	return __atomic_compare_exchange_n((uint8_t *)(uintptr_t)&slot->state, &before, after, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int slot_open(struct tables *tables, const struct endpoint *endpoint, bool fresh)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, endpoint->slot);
	int r;

	r = slot_identify(tables, endpoint);
	if (r < 0)
		return r;
	if (!fresh)
		set_state(slot, BH_STATE_QUARANTINE);
	tell_addrs(tables, slot, tables_local_del);
	slot->flags = 0;
	slot->adopt_until = 0;
	slot->ct_count = 0;
	slot->denied_count = 0;
	if (fresh)
		set_policy(slot, BH_POLICY_DENY);
	slot->ident = endpoint->ident;
	set_state(slot, BH_STATE_QUARANTINE);
	return 0;
}

void slot_adopt_window(struct tables *tables, uint32_t index)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, index);
	uint32_t until = tables_now() + (uint32_t)(ENDPOINT_ADOPT_SEC * BH_TIME_HZ);

	slot->adopt_until = until ? until : 1;
}

void slot_adopt_expire(struct tables *tables, uint32_t index)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, index);

	if (slot->adopt_until &&
	    slot->adopt_until - tables_now() - 1 >= (uint32_t)(ENDPOINT_ADOPT_SEC * BH_TIME_HZ))
		slot->adopt_until = 0;
}

void slot_quarantine(struct tables *tables, uint32_t slot)
{
	set_state(tables_endpoint(tables, slot), BH_STATE_QUARANTINE);
}

void slot_arm(struct tables *tables, uint32_t slot)
{
	state_was(tables_endpoint(tables, slot), BH_STATE_QUARANTINE, BH_STATE_OPENING);
}

void slot_activate(struct tables *tables, uint32_t index, uint32_t ident)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, index);

	if (slot->ident == ident)
		state_was(slot, BH_STATE_OPENING, BH_STATE_ACTIVE);
}

void slot_close(struct tables *tables, uint32_t index)
{
	volatile struct bh_endpoint *slot = tables_endpoint(tables, index);

	set_state(slot, BH_STATE_NONE);
	tell_addrs(tables, slot, tables_local_del);
}

bool slot_is_open(struct tables *tables, uint32_t slot)
{
	return tables_endpoint(tables, slot)->state != BH_STATE_NONE;
}

int slot_identify(struct tables *tables, const struct endpoint *endpoint)
{
	struct bh_identity identity = {
		.ident = endpoint->ident,
		.ifindex = (uint32_t)endpoint->ifindex,
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
	volatile struct bh_endpoint *slot = tables_endpoint(tables, index);

	if (slot->ident != identity->ident || slot->state != BH_STATE_ACTIVE)
		set_state(slot, BH_STATE_QUARANTINE);
	slot->ident = identity->ident;
	ret->slot = index;
	ret->ident = identity->ident;
	ret->inherited = true;
	ret->refresh = true;
	ret->attached = slot->state == BH_STATE_ACTIVE;
	ret->phase = ret->attached ? ENDPOINT_ATTACHED : ENDPOINT_ORPHAN;
	ret->attach = (enum bh_attach)identity->attach;
	ret->variant = slot->policy[BH_INGRESS] == BH_POLICY_ALLOW &&
				       slot->policy[BH_EGRESS] == BH_POLICY_ALLOW ?
			       PROGRAM_OPEN :
			       PROGRAM_TRACK;
	ret->extra = slot->flags & BH_EP_EXTRA;
	ret->ifindex = (int)identity->ifindex;
	for (int i = 0; i < 6; i++)
		ret->mac[i] = slot->mac[i];
}
