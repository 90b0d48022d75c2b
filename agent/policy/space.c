// SPDX-License-Identifier: Apache-2.0
// space.c - a path-compressed binary trie over mapped addresses.
#include "agent/policy/space.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/policy/must.h"

static unsigned int bit_at(const struct bh_addr *addr, uint32_t i)
{
	const uint8_t *bytes = (const uint8_t *)addr;

	return bytes[i / 8] >> (7 - i % 8) & 1;
}

// Length of the common prefix, at most max.
static uint32_t common(const struct bh_addr *a, const struct bh_addr *b, uint32_t max)
{
	for (uint32_t i = 0; i < 4 && i * 32 < max; i++) {
		uint32_t diff = ntohl(a->w[i] ^ b->w[i]);

		if (diff) {
			uint32_t n = i * 32 + (uint32_t)__builtin_clz(diff);

			return n < max ? n : max;
		}
	}
	return max;
}

static struct bh_addr truncate_to(const struct bh_addr *addr, uint32_t len)
{
	struct bh_addr kept;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t keep = len <= i * 32 ? 0 : len - i * 32;
		uint32_t mask = keep >= 32 ? UINT32_MAX : keep ? ~(UINT32_MAX >> keep) : 0;

		kept.w[i] = addr->w[i] & htonl(mask);
	}
	return kept;
}

static struct spot *spot_new(const struct bh_addr *addr, uint32_t len)
{
	struct spot *spot = must_new(len == 128 ? sizeof(struct exact) : sizeof(struct fork));

	spot->addr = truncate_to(addr, len);
	spot->len = (uint8_t)len;
	if (len == 128)
		spot_exact(spot)->loc.kind = LOC_EXACT;
	return spot;
}

const struct spot_more spot_nothing;

struct spot_more *spot_extend(struct spot *spot)
{
	if (!spot->more) {
		spot->more = must_new(sizeof(*spot->more));
		spot->more->spot = spot;
	}
	return spot->more;
}

static void more_free(struct spot *spot)
{
	if (!spot->more)
		return;
	vec_fini(&spot->more->marks);
	vec_fini(&spot->more->rivals);
	vec_fini(&spot->more->nodes);
	vec_fini(&spot->more->fronts);
	free(TAKE_PTR(spot->more));
}

static void spot_free(struct spot *spot)
{
	more_free(spot);
	free(spot);
}

static void set_child(struct spot *up, int i, struct spot *spot)
{
	((struct fork *)up)->child[i] = spot;
	if (spot)
		spot->up = up;
}

static void attach(struct spot *up, struct spot *spot)
{
	set_child(up, bit_at(&spot->addr, up->len), spot);
}

void space_init(struct space *space)
{
	struct bh_addr any4 = bh_addr_from4(0);

	*space = (struct space){ .round = 1 };
	space->root = spot_new(&(struct bh_addr){ 0 }, 0);
	space->root4 = space_get(space, &(struct bh_cidr){ BH_V4_PREFIX, any4 });
	spot_extend(space->root)->prefix.live = true;
	spot_extend(space->root4)->prefix.live = true;
	space_touch(space, space->root);
	space_touch(space, space->root4);
}

static void free_below(struct spot *spot)
{
	if (!spot)
		return;
	free_below(spot_child(spot, 0));
	free_below(spot_child(spot, 1));
	spot_free(spot);
}

void space_fini(struct space *space)
{
	free_below(space->root);
	vec_fini(&space->dirty);
	vec_fini(&space->changed);
}

const struct spot *space_reach(const struct space *space, const struct bh_addr *addr)
{
	const struct spot *spot = space->root;

	while (spot->len < 128) {
		const struct spot *next = spot_child(spot, bit_at(addr, spot->len));

		if (!next || common(&next->addr, addr, 128) < next->len)
			break;
		spot = next;
	}
	return spot;
}

struct spot *space_find(const struct space *space, const struct bh_addr *addr)
{
	const struct spot *spot = space_reach(space, addr);

	return spot->len == 128 ? (struct spot *)spot : NULL;
}

struct spot *space_get(struct space *space, const struct bh_cidr *cidr)
{
	struct spot *at = space->root, *spot, *fork, *next;
	uint32_t len = cidr->prefixlen, shared;

	for (;; at = next) {
		if (at->len == len)
			return at;
		next = spot_child(at, bit_at(&cidr->addr, at->len));
		if (!next)
			break;
		shared = common(&next->addr, &cidr->addr, len < next->len ? len : next->len);
		if (shared == next->len)
			continue;
		fork = spot_new(&cidr->addr, shared);
		attach(at, fork);
		attach(fork, next);
		if (shared == len)
			return fork;
		at = fork;
		break;
	}
	spot = spot_new(&cidr->addr, len);
	attach(at, spot);
	return spot;
}

struct spot *spot_of(struct loc *loc)
{
	if (loc->kind == LOC_EXACT)
		return &((struct exact *)((char *)loc - offsetof(struct exact, loc)))->spot;
	return ((struct spot_more *)((char *)loc - offsetof(struct spot_more, prefix)))->spot;
}

static void unlink_loc(struct loc *loc)
{
	*loc->back = loc->next;
	if (loc->next)
		loc->next->back = loc->back;
}

static void link_loc(struct loc *loc, struct loc **head)
{
	loc->next = *head;
	loc->back = head;
	if (loc->next)
		loc->next->back = &loc->next;
	*head = loc;
}

void loc_show(struct classes *classes, struct loc *loc, struct cls *cls)
{
	if (loc->cls) {
		unlink_loc(loc);
		cls_leave(classes, loc->cls);
	}
	loc->cls = cls;
	if (!cls)
		return;
	cls_join(cls);
	link_loc(loc, &cls->locs[loc->kind]);
}

static bool used(const struct loc *loc)
{
	return loc->live || loc->in_table || loc->cls;
}

static void shed_more(struct spot *spot)
{
	const struct spot_more *more = spot_more(spot);

	if (!more->marks.n && !more->rivals.n && !more->nodes.n && !more->fronts.n && !used(&more->prefix))
		more_free(spot);
}

static bool idle(const struct spot *spot)
{
	const struct exact *exact = spot_exact(spot);

	return !spot->dirty && !spot->more && !(exact && (exact->pod || used(&exact->loc)));
}

void space_put(struct space *space, struct spot *spot)
{
	while (spot != space->root) {
		struct spot *up = spot->up, *first = spot_child(spot, 0), *second = spot_child(spot, 1);

		shed_more(spot);
		if (!idle(spot) || (first && second))
			return;
		set_child(up, bit_at(&spot->addr, up->len), first ? first : second);
		spot_free(spot);
		spot = up;
	}
}

void space_touch(struct space *space, struct spot *spot)
{
	if (!spot->dirty)
		must_push(&space->dirty, spot);
	spot->dirty = true;
}

void space_stir(struct space *space, struct spot *spot)
{
	space_touch(space, spot);
	must_push(&space->changed, spot);
}

void space_mark(struct space *space, const struct bh_cidr *cidr, struct mark mark)
{
	struct spot *spot = space_get(space, cidr);
	struct spot_more *more = spot_extend(spot);

	must_push(&more->marks, mark);
	space->guarded += mark.atom->port_name != NULL;
	more->prefix.live = true;
	space_stir(space, spot);
}

void space_unmark(struct space *space, const struct bh_cidr *cidr, struct mark mark)
{
	struct spot *spot = space_get(space, cidr);
	struct spot_more *more = spot_extend(spot);

	for (size_t i = 0; i < more->marks.n; i++) {
		if (more->marks.v[i].atom != mark.atom || more->marks.v[i].peer != mark.peer ||
		    more->marks.v[i].except != mark.except)
			continue;
		vec_drop(&more->marks, i);
		break;
	}
	space->guarded -= mark.atom->port_name != NULL;
	more->prefix.live = more->marks.n || spot == space->root || spot == space->root4;
	space_touch(space, spot);
}

static bool depends(const struct spot *spot)
{
	const struct loc *prefix = spot_loc(spot, false), *exact = spot_loc(spot, true);

	return (prefix && (prefix->live || prefix->in_table)) ||
	       (exact && (exact->live || exact->in_table)) || spot_more(spot)->fronts.n;
}

static void touch_below(struct space *space, struct spot *spot)
{
	if (!spot || spot->swept == space->round)
		return;
	spot->swept = space->round;
	if (depends(spot))
		space_touch(space, spot);
	for (int i = 0; i < 2; i++)
		if (spot_child(spot, i) != space->root4)
			touch_below(space, spot_child(spot, i));
}

void space_sweep(struct space *space)
{
	vec_each(struct spot *, spot, &space->changed)
		touch_below(space, *spot);
	vec_clear(&space->changed);
	space->round++;
}

struct loc *space_live_above(struct spot *spot, bool self)
{
	for (spot = self ? spot : spot->up; spot; spot = spot->up)
		if (spot->more && spot->more->prefix.live)
			return &spot->more->prefix;
	return NULL;
}

struct loc *space_shown_above(struct spot *spot, bool self)
{
	for (spot = self ? spot : spot->up; spot; spot = spot->up)
		if (spot->more && spot->more->prefix.in_table)
			return &spot->more->prefix;
	return NULL;
}

static int by_atom(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	if (x->atom != y->atom)
		return x->atom->id < y->atom->id ? -1 : 1;
	if (x->peer != y->peer)
		return x->peer < y->peer ? -1 : 1;
	return (int)y->except - (int)x->except;
}

typedef VEC(struct mark) mark_list;

static void push_matches(const mark_list *list, const struct pod *pod, atom_ids *out)
{
	const struct mark *last = NULL;

	// an except sorts before its own block and speaks for this peer only
	vec_each(const struct mark, m, list) {
		bool first = !last || last->atom != m->atom || last->peer != m->peer;

		if (!first)
			continue;
		last = m;
		if (m->except)
			continue;
		if (m->atom->port_name && !(pod && atom_port_holds(m->atom, pod)))
			continue;
		must_push(out, m->atom->id);
	}
}

void space_blocks(const struct space *space, const struct spot *spot, const struct pod *pod,
		  atom_ids *out)
{
	mark_list list = { 0 };

	for (; spot; spot = spot == space->root4 ? NULL : spot->up)
		vec_each(struct mark, m, &spot_more(spot)->marks)
			must_push(&list, *m);
	vec_sort(&list, by_atom);
	push_matches(&list, pod, out);
	vec_fini(&list);
}
