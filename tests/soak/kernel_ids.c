// SPDX-License-Identifier: Apache-2.0
// kernel_ids.c - ids from fdinfo and bh_policy, and whether the kernel still knows them.
#include "tests/soak/kernel_ids.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/map.h"
#include "tests/soak/holding.h"

#define GONE_MS 5000
#define POLL_MS 5

enum id_kind { ID_MAP, ID_PROGRAM, ID_LINK };

static int add_id(struct kernel_ids *ids, enum id_kind kind, uint32_t id)
{
	uint64_t word = (uint64_t)kind << 32 | id;

	vec_each(uint64_t, known, &ids->v)
		if (*known == word)
			return 0;
	return vec_push(&ids->v, word);
}

static int add_matrices(struct kernel_ids *ids, int fd, uint32_t max)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < max; i++) {
		uint32_t id;

		if (bpf_map_lookup_elem(fd, &i, &id) == 0)
			r = add_id(ids, ID_MAP, id);
	}
	return r;
}

// By the number that fdinfo has: another process's descriptor cannot be asked.
static int add_fdinfo(struct kernel_ids *ids, const char *process, const char *fd)
{
	static const char *const names[] = { "map_id:", "prog_id:", "link_id:" };
	char path[128], line[256];
	_cleanup_fclose_ FILE *f = NULL;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", process, fd);
	f = fopen(path, "re");
	while (r == 0 && f && fgets(line, sizeof(line), f))
		for (int kind = ID_MAP; r == 0 && kind <= ID_LINK; kind++)
			if (!strncmp(line, names[kind], strlen(names[kind])))
				r = add_id(ids, kind,
					   (uint32_t)strtoul(line + strlen(names[kind]), NULL, 10));
	return r;
}

static int add_pinned(void *arg, const char *path, const char *end)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct map map;
	char text[16];
	int r;

	if (fd < 0)
		return 0; // gone meanwhile
	snprintf(text, sizeof(text), "%d", fd);
	r = add_fdinfo(arg, "self", text);
	if (r == 0 && !strcmp(end, "bh_policy") && map_info(fd, &map) == 0)
		r = add_matrices(arg, fd, map.max_entries);
	return r;
}

struct holder {
	struct kernel_ids *ids;
	char process[16];
};

static int add_held(void *arg, const char *fd, const char *target)
{
	struct holder *holder = arg;

	return strncmp(target, "anon_inode:bpf", 14) ? 0 :
						       add_fdinfo(holder->ids, holder->process, fd);
}

int kernel_ids_add(struct kernel_ids *ids, pid_t pid, const char *pin_dir)
{
	struct holder holder = { .ids = ids };
	int r = holding_pins(pin_dir, add_pinned, ids);

	snprintf(holder.process, sizeof(holder.process), "%d", pid);
	return r == 0 && pid ? holding_fds(pid, add_held, &holder) : r;
}

// Without opening it: a prog array that is opened while its last user reference goes stays for ever.
static bool lives(uint64_t word)
{
	uint32_t id = (uint32_t)word, next = 0;
	int r;

	switch (word >> 32) {
	case ID_MAP:
		r = bpf_map_get_next_id(id - 1, &next);
		break;
	case ID_PROGRAM:
		r = bpf_prog_get_next_id(id - 1, &next);
		break;
	default:
		r = bpf_link_get_next_id(id - 1, &next);
	}
	return r == 0 && next == id;
}

static void describe(uint64_t word, char *buf, size_t bytes)
{
	static const char *const kinds[] = { "map", "program", "link" };

	snprintf(buf, bytes, "%s %u", kinds[word >> 32], (uint32_t)word);
}

static bool has_id(const struct kernel_ids *ids, uint64_t word)
{
	for (size_t i = 0; ids && i < ids->v.n; i++)
		if (ids->v.v[i] == word)
			return true;
	return false;
}

size_t kernel_ids_alive(const struct kernel_ids *seen, const struct kernel_ids *held,
			char *retfirst, size_t bytes)
{
	size_t n = 0;

	for (int waited = 0; waited <= GONE_MS; waited += POLL_MS) {
		n = 0;
		for (size_t i = 0; i < seen->v.n; i++) {
			if (has_id(held, seen->v.v[i]) || !lives(seen->v.v[i]))
				continue;
			if (!n++)
				describe(seen->v.v[i], retfirst, bytes);
		}
		if (!n)
			break;
		poll(NULL, 0, POLL_MS);
	}
	return n;
}

void kernel_ids_prune(struct kernel_ids *ids)
{
	for (size_t i = ids->v.n; i-- > 0;)
		if (!lives(ids->v.v[i]))
			vec_drop(&ids->v, i);
}

void kernel_ids_fini(struct kernel_ids *ids)
{
	vec_fini(&ids->v);
}
