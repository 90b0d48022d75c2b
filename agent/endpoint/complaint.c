// SPDX-License-Identifier: Apache-2.0
// complaint.c - says, remembers, withdraws.
#include "agent/endpoint/complaint.h"

#include <stdarg.h>
#include <stdio.h>

void complaints_fini(struct complaints *complaints)
{
	vec_each(struct complaint, c, &complaints->all)
		free(c->where);
	vec_fini(&complaints->all);
}

void complaints_begin(struct complaints *complaints)
{
	vec_each(struct complaint, c, &complaints->all)
		c->fresh = false;
}

// False: this look has something to say of it already. A place too many to remember is said, and never
// withdrawn: better than not said.
static bool remember(struct complaints *complaints, const char *where)
{
	struct complaint c = { .fresh = true };

	vec_each(struct complaint, old, &complaints->all) {
		bool known = old->fresh;

		if (strcmp(old->where, where) != 0)
			continue;
		old->fresh = true;
		return !known;
	}
	c.where = strdup(where);
	if (!c.where || vec_push(&complaints->all, c) < 0)
		free(c.where);
	return true;
}

void complaints_say(struct complaints *complaints, const struct endpoint_events *events, const char *where,
		    const char *fmt, ...)
{
	char text[1024];
	va_list args;

	if (!remember(complaints, where))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	events->problem(events->arg, where, text);
}

void complaints_end(struct complaints *complaints, const struct endpoint_events *events)
{
	for (size_t i = 0; i < complaints->all.n; i++) {
		char *where = complaints->all.v[i].where;

		if (complaints->all.v[i].fresh)
			continue;
		events->problem(events->arg, where, NULL);
		free(where);
		vec_drop(&complaints->all, i--);
	}
}
