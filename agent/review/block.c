// SPDX-License-Identifier: Apache-2.0
// block.c - prefixes that policies name, and an address of each one's own.
#include "agent/review/block.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/policy/must.h"

static bool is4(const struct bh_cidr *cidr)
{
	return cidr->prefixlen >= BH_V4_PREFIX && bh_addr_is4(&cidr->addr);
}

void blocks_add(struct blocks *blocks, const struct bh_cidr *cidr)
{
	must_push(blocks, (struct block){ .cidr = *cidr, .family = !is4(cidr) });
	blocks->lengths[cidr->prefixlen] = true;
}

static int compare_blocks(const void *a, const void *b)
{
	const struct bh_cidr *x = &((const struct block *)a)->cidr, *y = &((const struct block *)b)->cidr;

	if (x->prefixlen != y->prefixlen)
		return x->prefixlen < y->prefixlen ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

static void sort(struct blocks *blocks)
{
	size_t n = 0;

	vec_sort(blocks, compare_blocks);
	for (size_t i = 0; i < blocks->n; i++)
		if (!n || compare_blocks(&blocks->v[n - 1], &blocks->v[i]))
			blocks->v[n++] = blocks->v[i];
	blocks->n = n;
}

static struct bh_addr masked(const struct bh_addr *addr, uint32_t len)
{
	struct bh_addr ret = *addr;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t bits = len >= 32 * (i + 1) ? 32 : len > 32 * i ? len - 32 * i : 0;

		ret.w[i] &= htonl(bits ? ~0u << (32 - bits) : 0);
	}
	return ret;
}

const struct block *blocks_find(const struct blocks *blocks, const struct bh_addr *addr)
{
	const struct block *block;

	for (uint32_t len = 129; len--;) {
		struct block key = { .cidr = { len, masked(addr, len) } };

		if (!blocks->lengths[len])
			continue;
		block = bsearch(&key, blocks->v, blocks->n, sizeof(key), compare_blocks);
		if (block && cidr_contains(&block->cidr, addr))
			return block;
	}
	return NULL;
}

// ---- an address of a block's own ---------------------------------------------------------------

typedef unsigned __int128 wide;

static wide widen(const struct bh_addr *addr)
{
	wide ret = 0;

	for (int i = 0; i < 4; i++)
		ret = ret << 32 | ntohl(addr->w[i]);
	return ret;
}

static struct bh_addr narrow(wide value)
{
	struct bh_addr addr;

	for (int i = 4; i--; value >>= 32)
		addr.w[i] = htonl((uint32_t)value);
	return addr;
}

static wide last_of(const struct bh_cidr *cidr)
{
	return widen(&cidr->addr) | (cidr->prefixlen ? ((wide)1 << (128 - cidr->prefixlen)) - 1 : ~(wide)0);
}

static bool is_pods(const struct crowd *crowd, const struct bh_addr *addr)
{
	const struct peer one = { .kind = PEER_CIDR, .cidr = { 128, *addr } };

	return crowd_has_address(crowd, &one);
}

// Of a whole family one that somebody could have.
static wide first_try(const struct block *block)
{
	if (block->cidr.prefixlen == 0)
		return (wide)0x2000 << 112;
	return widen(&block->cidr.addr) + (block->cidr.prefixlen == BH_V4_PREFIX && !block->family ? 1 << 24 : 0);
}

static void find_own(const struct blocks *blocks, const struct crowd *crowd, struct block *block)
{
	wide end = last_of(&block->cidr);
	wide at = first_try(block);

	for (;; at++) {
		const struct block *inner;

		block->addr = narrow(at);
		inner = blocks_find(blocks, &block->addr);
		if (inner == block && !is_pods(crowd, &block->addr))
			return;
		if (inner != block && inner)
			at = last_of(&inner->cidr);
		if (at >= end)
			break;
	}
	block->empty = true;
}

void blocks_settle(struct blocks *blocks, const struct crowd *crowd)
{
	sort(blocks);
	vec_each(struct block, block, blocks)
		find_own(blocks, crowd, block);
}

void blocks_fini(struct blocks *blocks)
{
	vec_fini(blocks);
}
