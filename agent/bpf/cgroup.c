// SPDX-License-Identifier: Apache-2.0
// cgroup.c - which pod a control group is of, by its path.
#include <string.h>

#include "agent/bpf/link.h"

#define SLICE ".slice"

static bool is_uid(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
	       c == '_';
}

// One component of the path: "pod<uid>" or "kubepods[-burstable]-pod<uid>.slice".
static bool component_uid(const char *part, size_t len, char ret[static LINK_UID_BYTES])
{
	const char *uid = part, *end = part + len;
	size_t n = 0;

	if (len > strlen(SLICE) && !strncmp(end - strlen(SLICE), SLICE, strlen(SLICE))) {
		end -= strlen(SLICE);
		uid = strncmp(part, "kubepods", 8) ? NULL : memmem(part, (size_t)(end - part), "-pod", 4);
		uid = uid ? uid + 1 : NULL;
	}
	if (!uid || end - uid < 4 || strncmp(uid, "pod", 3) != 0)
		return false;
	for (uid += 3; uid < end; uid++) {
		if (!is_uid(*uid) || n + 1 == LINK_UID_BYTES)
			return false;
		ret[n++] = *uid == '_' ? '-' : *uid;
	}
	ret[n] = 0;
	return true;
}

bool link_cgroup_uid(const char *line, char ret[static LINK_UID_BYTES])
{
	const char *part = strchr(line, '/');

	while (part) {
		size_t len = strcspn(++part, "/\n");

		if (component_uid(part, len, ret))
			return true;
		part = part[len] == '/' ? part + len : NULL;
	}
	return false;
}
