// SPDX-License-Identifier: Apache-2.0
// slot.c - elements of the node and of one endpoint, who it is, counters; host addresses, further ones of pods.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include <bulkhead/service.h>

#include "agent/base/vec.h"
#include "agent/bpf/state.h"

#define INCARNATIONS (1u << (32 - BH_SLOT_BITS))

volatile struct bh_endpoint *tables_endpoint(struct tables *tables, uint32_t slot)
{
	return slot < tables_nendpoints(tables) ? &tables->endpoints[slot] : NULL;
}

int tables_identity_get(const struct tables *tables, uint32_t slot, struct bh_identity *ret)
{
	struct bh_identity identity;
	int r = bpf_map_lookup_elem(tables->maps[TABLE_IDENTITY].fd, &slot, &identity);

	if (r == 0)
		*ret = identity;
	return r;
}

bool tables_addrs_get(struct tables *tables, uint32_t ident, struct bh_addr ret[2])
{
	volatile struct bh_endpoint *endpoint = tables_endpoint(tables, BH_SLOT(ident));

	if (!endpoint || endpoint->ident != ident)
		return false;
	ret[0] = bh_addr_from4(endpoint->addr4);
	for (int i = 0; i < 4; i++)
		ret[1].w[i] = endpoint->addr6[i];
	return endpoint->ident == ident;
}

void tables_on_left(struct tables *tables, tables_left_fn fn, void *arg)
{
	tables->left.fn = fn;
	tables->left.arg = arg;
}

// ident: who comes; 0: nobody.
static void tell_left(struct tables *tables, uint32_t slot, uint32_t ident)
{
	struct bh_addr addr[2] = { 0 };
	struct bh_identity before;

	if (!tables->left.fn || tables_identity_get(tables, slot, &before) < 0 || before.ident == ident)
		return;
	tables_addrs_get(tables, before.ident, addr);
	tables->left.fn(tables->left.arg, &before, addr);
}

int tables_identity_set(struct tables *tables, uint32_t slot, const struct bh_identity *identity)
{
	if (slot >= tables_nendpoints(tables))
		return -ERANGE;
	tell_left(tables, slot, identity->ident);
	return bpf_map_update_elem(tables->maps[TABLE_IDENTITY].fd, &slot, identity, BPF_ANY);
}

int tables_identity_del(struct tables *tables, uint32_t slot)
{
	int r;

	tell_left(tables, slot, 0);
	r = bpf_map_delete_elem(tables->maps[TABLE_IDENTITY].fd, &slot);

	return r == -ENOENT ? 0 : r;
}

// Written before it is handed out: a crash skips a number, never repeats one.
uint32_t tables_next_incarnation(struct tables *tables)
{
	uint32_t incarnation = tables->node->next_incarnation % INCARNATIONS;

	if (!incarnation)
		incarnation = 1;
	__atomic_store_n(&tables->node->next_incarnation, incarnation + 1, __ATOMIC_RELAXED);
	return incarnation;
}

uint32_t tables_told(const struct tables *tables)
{
	return __atomic_load_n(&tables->node->told, __ATOMIC_RELAXED);
}

void tables_set_told(struct tables *tables, uint32_t told)
{
	__atomic_store_n(&tables->node->told, told, __ATOMIC_RELAXED);
}

void tables_node_flag(struct tables *tables, enum bh_node_flag flag, bool on)
{
	if (on)
		__atomic_fetch_or(&tables->node->flags, flag, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&tables->node->flags, ~(__u32)flag, __ATOMIC_SEQ_CST);
}

bool tables_node_has(const struct tables *tables, enum bh_node_flag flag)
{
	return __atomic_load_n(&tables->node->flags, __ATOMIC_RELAXED) & flag;
}

// ---- host addresses ---------------------------------------------------------------------------------

int tables_host_set(struct tables *tables, const struct bh_addr *addr, uint32_t flags)
{
	struct bh_host host = { flags, bh_addr_check(addr) };
	int fd = tables->maps[TABLE_HOST].fd, r;

	if (flags)
		return bpf_map_update_elem(fd, addr, &host, BPF_ANY);
	r = bpf_map_delete_elem(fd, addr);
	return r == -ENOENT ? 0 : r;
}

struct keep {
	struct tables *tables;
	const struct bh_addr *addrs;
	uint32_t n;
};

static int keep_host(void *arg, const void *key, const void *value)
{
	struct keep *keep = arg;

	for (uint32_t i = 0; i < keep->n; i++)
		if (bh_addr_equal(&keep->addrs[i], key))
			return 0;
	return tables_host_set(keep->tables, key, 0);
}

int tables_host_keep(struct tables *tables, const struct bh_addr *addrs, uint32_t n)
{
	struct keep keep = { tables, addrs, n };

	return map_each(&tables->maps[TABLE_HOST], keep_host, &keep);
}

// ---- addresses of endpoints ---------------------------------------------------------------------------

int tables_local_set(struct tables *tables, const struct bh_addr *addr, uint32_t ident)
{
	struct bh_local local = { ident, bh_addr_check(addr) };

	return bpf_map_update_elem(tables->maps[TABLE_LOCAL].fd, addr, &local, BPF_ANY);
}

int tables_local_del(struct tables *tables, const struct bh_addr *addr, uint32_t ident)
{
	int fd = tables->maps[TABLE_LOCAL].fd, r;
	struct bh_local local;

	r = bpf_map_lookup_elem(fd, addr, &local);
	if (r == 0 && local.ident == ident)
		r = bpf_map_delete_elem(fd, addr);
	return r == -ENOENT ? 0 : r;
}

static int prune_local(void *arg, const void *key, const void *value)
{
	const struct bh_local *local = value;
	struct tables *tables = arg;
	uint32_t slot = BH_SLOT(local->ident);

	if (slot < tables_nendpoints(tables) && tables->endpoints[slot].ident == local->ident &&
	    tables->endpoints[slot].state != BH_STATE_NONE)
		return 0;
	return tables_local_del(tables, key, local->ident);
}

int tables_local_prune(struct tables *tables)
{
	return map_each(&tables->maps[TABLE_LOCAL], prune_local, tables);
}

// ---- further addresses of a pod ---------------------------------------------------------------------

// Each address of a small prefix has its own number; those of a large one share theirs.
int tables_extra_set(struct tables *tables, uint32_t ident, const struct bh_cidr *cidr,
		     uint32_t number)
{
	struct bh_extra_key key = { .prefixlen = 32 + cidr->prefixlen, .ident = ident };
	uint32_t host_bits = 128 - cidr->prefixlen;
	uint32_t mask = host_bits < 16 ? (1u << host_bits) - 1 : 0;
	struct bh_extra extra;

	if (!number || number > UINT16_MAX || cidr->prefixlen > 128)
		return -ERANGE;
	if (number + mask > UINT16_MAX)
		mask = 0;
	extra = (struct bh_extra){ (__u16)number, (__u16)mask };
	memcpy(key.addr, &cidr->addr, sizeof(key.addr));
	return bpf_map_update_elem(tables->maps[TABLE_EXTRA].fd, &key, &extra, BPF_ANY);
}

typedef VEC(struct bh_extra_key) extras_t;
struct extras {
	uint32_t ident;
	extras_t keys;
};

static int collect_extra(void *arg, const void *key, const void *value)
{
	const struct bh_extra_key *extra = key;
	struct extras *extras = arg;

	return extra->ident == extras->ident ? vec_push(&extras->keys, *extra) : 0;
}

// Collected first: a trie starts its walk over when the element it stands on goes.
int tables_extra_clear(struct tables *tables, uint32_t ident)
{
	const struct map *map = &tables->maps[TABLE_EXTRA];
	struct extras extras = { .ident = ident };
	uint32_t done;
	int r = map_each(map, collect_extra, &extras);

	if (r == 0)
		r = map_delete(map, extras.keys.v, (uint32_t)extras.keys.n, &done);
	vec_fini(&extras.keys);
	return r;
}
