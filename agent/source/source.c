// SPDX-License-Identifier: Apache-2.0
// source.c - the sources by their scheme.
#include "agent/source/source.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const struct source_ops *const sources[] = { &source_dir, &source_kube };

int source_open(const char *spec, struct event_base *base, struct store *store,
		const struct source_events *events, struct source **ret, struct err *reterr)
{
	size_t len = strcspn(spec, ":");

	assert(base && store && ret);

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (strlen(sources[i]->scheme) == len && !strncmp(sources[i]->scheme, spec, len))
			return sources[i]->open(spec[len] ? spec + len + 1 : "", base, store,
						events, ret, reterr);
	return err_set(reterr, -EINVAL, "unknown source \"%.*s\"; there are: dir:PATH, kube, kube:KUBECONFIG", (int)len,
		       spec);
}

void source_close(struct source *source)
{
	if (source)
		source->ops->close(source);
}
