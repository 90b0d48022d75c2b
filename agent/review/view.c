// SPDX-License-Identifier: Apache-2.0
// view.c - what passes in and out of somebody, by where from and where to.
#include <string.h>

#include "agent/policy/must.h"
#include "agent/review/posture_private.h"

void link_add(struct links *links, uint32_t to, const struct reach *reach)
{
	if (!reach->n)
		return;
	if (!links->n || links->v[links->n - 1].to != to)
		must_push(links, (struct link){ .to = to });
	reach_union(&links->v[links->n - 1].reach, reach);
}

// Both ascend.
static void links_union(struct links *links, const struct links *other)
{
	for (size_t i = 0; i < other->n; i++) {
		const struct link *link = &other->v[i];
		size_t at = 0;

		while (at < links->n && links->v[at].to < link->to)
			at++;
		if (at == links->n || links->v[at].to != link->to) {
			must_push(links, (struct link){ .to = link->to });
			memmove(links->v + at + 1, links->v + at, (links->n - 1 - at) * sizeof(*links->v));
			links->v[at] = (struct link){ .to = link->to };
		}
		reach_union(&links->v[at].reach, &link->reach);
	}
}

static void links_fini(struct links *links)
{
	vec_each(struct link, link, links)
		reach_fini(&link->reach);
	vec_fini(links);
}

void view_fini(struct view *view)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		links_fini(&view->realms[dir]);
		links_fini(&view->blocks[dir]);
	}
}

void view_union(struct view *view, const struct view *other)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		links_union(&view->realms[dir], &other->realms[dir]);
		links_union(&view->blocks[dir], &other->blocks[dir]);
	}
}
