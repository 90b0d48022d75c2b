// SPDX-License-Identifier: Apache-2.0
// census.c - an agent's holdings as lines of text.
#include "tests/soak/census.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/map.h"
#include "agent/bpf/tables.h"
#include "tests/soak/holding.h"

static int add_line(struct census *census, const char *text)
{
	char *copy = strdup(text);

	if (copy && vec_push(&census->lines, copy) == 0)
		return 0;
	free(copy);
	return -ENOMEM;
}

// ---- a process --------------------------------------------------------------------------------------------------

static int add_fd(void *arg, const char *fd, const char *target)
{
	char text[PATH_MAX + 8];

	snprintf(text, sizeof(text), "fd %.*s", (int)strcspn(target, "["), target);
	return add_line(arg, text);
}

static uint64_t status_field(pid_t pid, const char *name)
{
	char path[64], line[256];
	unsigned long long value = 0;
	_cleanup_fclose_ FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %llu", &value);
	return value;
}

uint64_t census_rss(pid_t pid)
{
	return status_field(pid, "VmRSS") * 1024;
}

// ---- pins -------------------------------------------------------------------------------------------------------

static int count_one(void *arg, const void *key, const void *value)
{
	++*(uint64_t *)arg;
	return 0;
}

static bool is_counted(const char *name)
{
	static const char *const counted[] = { "bh_peer",  "bh_cidr", "bh_cell",
					       "bh_extra", "bh_host", "bh_identity" };

	for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
		if (!strcmp(counted[i], name))
			return true;
	return false;
}

static int add_pin(void *arg, const char *path, const char *end)
{
	char text[PATH_MAX + 64], name[PATH_MAX];
	_cleanup_close_ int fd = -1;
	uint64_t n = 0;
	struct map map;

	snprintf(name, sizeof(name), "%s", end);
	for (char *c = name; *c; c++) // slots differ
		if (*c >= '0' && *c <= '9' && (c == name || c[-1] == '/' || c[-1] == '#'))
			*c = '#';
	snprintf(text, sizeof(text), "pin %s", name);
	if (is_counted(end)) {
		fd = bpf_obj_get(path);
		if (fd < 0 || map_info(fd, &map) < 0)
			return -EIO;
		map_each(&map, count_one, &n);
		snprintf(text, sizeof(text), "pin %s %llu elements", name, (unsigned long long)n);
	}
	return add_line(arg, text);
}

// ---- what belongs to endpoints that are gone --------------------------------------------------------------------

struct orphans {
	struct tables *tables;
	uint64_t n;
};

static void count_orphan(struct orphans *orphans, uint32_t ident)
{
	volatile struct bh_endpoint *endpoint = tables_endpoint(orphans->tables, BH_SLOT(ident));

	orphans->n += !endpoint || endpoint->ident != ident;
}

static int orphan_ct(void *arg, const struct ct_entry *entry)
{
	count_orphan(arg, entry->ident);
	return 0;
}

static int orphan_total(void *arg, const struct total_entry *entry)
{
	count_orphan(arg, entry->key.ident);
	return 0;
}

static int orphan_denied(void *arg, const struct denied_entry *entry)
{
	count_orphan(arg, entry->key.ident);
	return 0;
}

// Free slots of bh_policy hold an empty matrix: the dump leaves them out.
static int add_matrices_held(struct census *census, struct tables *tables)
{
	struct policy_tables held = { 0 };
	char text[64];
	int r = tables_dump(tables, &held);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "matrices %u", held.nmatrices);
	policy_tables_fini(&held);
	return add_line(census, text);
}

static int add_orphans(struct census *census, const char *pin_dir, struct err *reterr)
{
	struct tables_config config = { .pin_dir = pin_dir, .beside = true };
	_cleanup_(tables_closep) struct tables *tables = NULL;
	struct orphans orphans;
	uint64_t counts[3];
	char text[128];
	bool adopted;
	int r = tables_open(&config, &tables, &adopted, reterr);

	if (r < 0)
		return r;
	orphans.tables = tables;
	for (int i = 0; i < 3; i++) {
		orphans.n = 0;
		if (i == 0)
			tables_ct_each(tables, orphan_ct, &orphans);
		else if (i == 1)
			tables_total_each(tables, orphan_total, &orphans);
		else
			tables_denied_each(tables, orphan_denied, &orphans);
		counts[i] = orphans.n;
	}
	snprintf(text, sizeof(text),
		 "of gone endpoints: %llu connections, %llu totals, %llu denies",
		 (unsigned long long)counts[0], (unsigned long long)counts[1],
		 (unsigned long long)counts[2]);
	r = add_line(census, text);
	return r < 0 ? r : add_matrices_held(census, tables);
}

// ---- the whole --------------------------------------------------------------------------------------------------

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int census_take(pid_t pid, const char *pin_dir, struct census *ret, struct err *reterr)
{
	char text[64];
	int r;

	*ret = (struct census){ .rss_bytes = pid ? census_rss(pid) : 0 };
	r = holding_pins(pin_dir, add_pin, ret);
	if (r == 0 && access(pin_dir, F_OK) == 0)
		r = add_orphans(ret, pin_dir, reterr);
	if (r == 0 && pid)
		r = holding_fds(pid, add_fd, ret);
	if (r == 0 && pid) {
		snprintf(text, sizeof(text), "threads %llu",
			 (unsigned long long)status_field(pid, "Threads"));
		r = add_line(ret, text);
	}
	vec_sort(&ret->lines, by_text);
	return r < 0 ? err_set(reterr, r, "taking a census: %s", strerror(-r)) : 0;
}

void census_free(struct census *census)
{
	vec_each(char *, line, &census->lines)
		free(*line);
	vec_fini(&census->lines);
}

const char *census_difference(const struct census *a, const struct census *b, char *buf,
			      size_t bytes)
{
	size_t i = 0, j = 0, len = 0;

	buf[0] = 0;
	while ((i < a->lines.n || j < b->lines.n) && len < bytes) {
		int order = i == a->lines.n ? 1 :
			    j == b->lines.n ? -1 :
					      strcmp(a->lines.v[i], b->lines.v[j]);

		if (order)
			len += (size_t)snprintf(buf + len, bytes - len, "%s%s'%s'", len ? ", " : "",
						order < 0 ? "missing " : "new ",
						order < 0 ? a->lines.v[i] : b->lines.v[j]);
		i += order <= 0;
		j += order >= 0;
	}
	return buf;
}
