// SPDX-License-Identifier: Apache-2.0
// workload.c - whose a pod is, as users know it: they wrote a Deployment and a CronJob, not what these make.
#include <string.h>

#include "agent/object/object.h"

static const char *label(const struct labels *labels, const char *key)
{
	for (uint32_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->v[i].key, key))
			return labels->v[i].value;
	return NULL;
}

// "web-5d9c7f" owned by "web" with the hash "5d9c7f" as a label; NULL: it is not.
static const char *without(const char *name, const char *hash, char *buf)
{
	size_t len = strlen(name), tail = hash ? strlen(hash) : 0;

	if (!tail || len < tail + 2 || len - tail - 1 >= POD_WORKLOAD_BYTES || name[len - tail - 1] != '-' ||
	    strcmp(name + len - tail, hash) != 0)
		return NULL;
	memcpy(buf, name, len - tail - 1);
	buf[len - tail - 1] = 0;
	return buf;
}

// The minutes that a CronJob puts behind its Jobs' names, "-29384712"; NULL: none.
static const char *minutes(const char *name)
{
	const char *dash = strrchr(name, '-');
	size_t digits = dash ? strspn(dash + 1, "0123456789") : 0;

	return digits >= 8 && digits <= 10 && !dash[1 + digits] ? dash + 1 : NULL;
}

const char *pod_workload(const struct pod *pod, char buf[static POD_WORKLOAD_BYTES], const char **retname)
{
	const char *kind = pod->owner_kind, *name = pod->owner_name, *top = NULL;

	*retname = NULL;
	if (!kind || !name)
		return NULL;
	if (!strcmp(kind, "ReplicaSet")) {
		top = without(name, label(&pod->labels, "pod-template-hash"), buf);
		kind = top ? "Deployment" : kind;
	} else if (!strcmp(kind, "Job")) {
		top = without(name, minutes(name), buf);
		kind = top ? "CronJob" : kind;
	}
	*retname = top ? top : name;
	return kind;
}
