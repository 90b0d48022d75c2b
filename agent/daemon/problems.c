// SPDX-License-Identifier: Apache-2.0
// problems.c - what is not enforced as written, one sentence by place: for the log once, for status always.
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon.h"

LOG_ROOM("daemon");

static struct problem *find(struct daemon *daemon, const char *where)
{
	vec_each(struct problem, p, &daemon->problems) {
		if (strcmp(p->where, where) == 0)
			return p;
	}
	return NULL;
}

static void drop(struct daemon *daemon, struct problem *problem)
{
	free(problem->where);
	free(problem->text);
	vec_drop(&daemon->problems, (size_t)(problem - daemon->problems.v));
}

void daemon_problem(struct daemon *daemon, const char *where, const char *text)
{
	struct problem *old = find(daemon, where), new;

	if (old && text && strcmp(old->text, text) == 0)
		return;
	if (old)
		drop(daemon, old);
	if (!text) {
		daemon->problems_more = daemon->problems_more && daemon->problems.n;
		return;
	}
	if (daemon->problems.n == PROBLEMS_MAX) {
		if (!daemon->problems_more)
			log_warn("more than %d problems: the others are not told", PROBLEMS_MAX);
		daemon->problems_more = true;
		return;
	}
	log_warn("%s: %s", where, text);
	new = (struct problem){ strdup(where), strdup(text) };
	if (!new.where || !new.text || vec_push(&daemon->problems, new) < 0) {
		free(new.where);
		free(new.text);
	}
}
