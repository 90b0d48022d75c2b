// SPDX-License-Identifier: Apache-2.0
// test.c - files, folders and JSON for tests.
#include "tests/harness/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

const char *test_shared(char buf[static PATH_MAX], const char *path)
{
	const char *root = getenv("BULKHEAD_SHARED");
	char name[PATH_MAX];

	if (!root || !*root)
		root = "../shared";
	if (access(root, F_OK) < 0) {
		print_message("no folder '%s' of shared fixtures: skipped (BULKHEAD_SHARED)\n", root);
		skip();
	}
	snprintf(name, sizeof(name), "%s/%s", root, path);
	if (!realpath(name, buf))
		fail_msg("%s: %s; set BULKHEAD_SHARED to the folder of shared fixtures", name,
			 strerror(errno));
	return buf;
}

const char *test_mkdir(char buf[static PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(buf, PATH_MAX, "%s/bulkhead-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(buf))
		fail_msg("%s: %s", buf, strerror(errno));
	return buf;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void test_rmdir(const char *dir)
{
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void test_write(const char *dir, const char *name, const char *text)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f || fputs(text, f) < 0 || fflush(f))
		fail_msg("%s: %s", path, strerror(errno));
}

void test_write_atomic(const char *dir, const char *name, const char *text)
{
	char from[PATH_MAX], to[PATH_MAX], temp[NAME_MAX + 1];

	snprintf(temp, sizeof(temp), ".%s.tmp", name);
	test_write(dir, temp, text);
	snprintf(from, sizeof(from), "%s/%s", dir, temp);
	snprintf(to, sizeof(to), "%s/%s", dir, name);
	if (rename(from, to))
		fail_msg("%s: %s", to, strerror(errno));
}

char *test_read(const char *path, size_t *retlen)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int c;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	out = open_memstream(&text, &len);
	assert_non_null(out);
	while ((c = getc_unlocked(f)) != EOF)
		putc_unlocked(c, out);
	fclose(out);
	if (retlen)
		*retlen = len;
	return text;
}

struct json_object *test_json(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	struct json_object *json;

	assert_non_null(copy);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	json = json_tokener_parse(copy);
	if (!json)
		fail_msg("not JSON: %s", copy);
	return json;
}
