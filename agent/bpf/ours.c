// SPDX-License-Identifier: Apache-2.0
// ours.c - programs known by their names.
#include "agent/bpf/ours.h"

#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/sys.h"

static const struct {
	const char *name;
	enum ours is;
} names[] = {
	{ "bh_from_pod", OURS_GATE },
	{ "bh_to_pod", OURS_GATE },
	{ "bh_shut", OURS_SHUT },
	{ "bh_pass", OURS_PASS },
};

enum ours ours_named(const char *name)
{
	size_t len = strcspn(name, ":");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (len == strlen(names[i].name) && !strncmp(name, names[i].name, len))
			return names[i].is;
	return OURS_NOT;
}

enum ours ours_program(uint32_t id)
{
	char name[BPF_OBJ_NAME_LEN];

	return sys_program_name(id, name) < 0 ? OURS_NOT : ours_named(name);
}
