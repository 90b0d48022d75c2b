// SPDX-License-Identifier: Apache-2.0
// ours.c - programs known by their names.
#include "agent/bpf/ours.h"

#include <string.h>

#include <bpf/bpf.h>

#include "agent/base/cleanup.h"

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
	_cleanup_close_ int program = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = { 0 };
	uint32_t bytes = sizeof(info);

	if (program < 0 || bpf_obj_get_info_by_fd(program, &info, &bytes) < 0)
		return OURS_NOT;
	return ours_named(info.name);
}
