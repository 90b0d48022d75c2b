// SPDX-License-Identifier: Apache-2.0
// record.c - the plugin's folder of records: read with suspicion, emptied of other boots' and at the end.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/base/vec.h"
#include "agent/endpoint/attachment.h"
#include "agent/object/at.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_BYTES 64
#define JSON_DEPTH 4
#define WHERE_BYTES 320

struct reading {
	int folder;
	char boot[BOOT_BYTES];
	VEC(struct attachment) found;
	record_problem_fn problem;
	void *arg;
};

// Root's, and nobody else may write it.
static int check_owner(int fd, struct stat *ret, struct err *reterr)
{
	if (fstat(fd, ret) < 0)
		return err_set(reterr, -errno, "%s", strerror(errno));
	if (ret->st_uid)
		return err_set(reterr, -EPERM, "belongs to user %u, not to root", ret->st_uid);
	if (ret->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(reterr, -EPERM, "others than root may write it (mode %04o)",
			       ret->st_mode & 07777u);
	return 0;
}

static int folder_open(const char *path, int *ret, struct err *reterr)
{
	_cleanup_close_ int fd = file_open_plain(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	int r;

	if (fd == -ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_set(reterr, fd, "%s",
			       fd == -ELOOP ? "a link leads there: links are not followed" : strerror(-fd));
	r = check_owner(fd, &st, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_FD(fd);
	return 0;
}

// ---- one record ---------------------------------------------------------------------------------------------

static int record_text(int folder, const char *name, char **ret, size_t *retlen, struct err *reterr)
{
	_cleanup_close_ int fd = file_open_plain(folder, name, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	int r;

	if (fd == -ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_set(reterr, fd, "%s", fd == -ELOOP ? "is a link: links are not followed" : strerror(-fd));
	r = check_owner(fd, &st, reterr);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "is no file");
	r = file_read_fd(fd, RECORD_BYTES, ret, retlen);
	if (r == -EFBIG)
		return err_set(reterr, r, "has more than %d bytes", RECORD_BYTES);
	return r < 0 ? err_set(reterr, r, "%s", strerror(-r)) : 0;
}

static int record_json(const char *text, size_t len, struct json_object **ret, struct err *reterr)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *json;
	enum json_tokener_error error;

	if (!tokener)
		return err_set(reterr, -ENOMEM, "out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	json = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (error == json_tokener_success && json_object_is_type(json, json_type_object)) {
		*ret = json;
		return 0;
	}
	json_object_put(json);
	return err_set(reterr, -EBADMSG, "no JSON object: %s",
		       error == json_tokener_success ? "it is something else" : json_tokener_error_desc(error));
}

static int check_version(const struct at *root, struct err *reterr)
{
	struct at at = at_field(root, "version");
	int64_t version = 0;
	int r = at_int(&at, 0, INT32_MAX, &version, reterr);

	if (r >= 0 && version != RECORD_VERSION)
		r = at_fail(&at, reterr, "%lld is not known here", (long long)version);
	return r;
}

static int record_boot(const struct at *root, const char **ret, struct err *reterr)
{
	struct at at = at_field(root, "boot");
	int r = at_string(&at, ret, reterr);

	return r ? r : at_fail(&at, reterr, "is missing");
}

// 0: of this boot; 1: of another.
static int record_parse(const struct reading *reading, const char *name, struct json_object *json,
			struct attachment *ret, struct err *reterr)
{
	struct at root = at_root(json);
	char own[ATTACHMENT_CONTAINER_BYTES + IFNAMSIZ + 1];
	const char *boot = "";
	int r = check_version(&root, reterr);

	if (r >= 0)
		r = record_boot(&root, &boot, reterr);
	if (r < 0)
		return r;
	if (strcmp(boot, reading->boot) != 0)
		return 1;
	r = attachment_parse(json, ret, reterr);
	if (r < 0)
		return r;
	snprintf(own, sizeof(own), "%s@%s", ret->container, ret->ifname);
	return strcmp(own, name) ? err_set(reterr, -EINVAL, "is the record of %s, by another name", own) : 0;
}

static int record_read(const struct reading *reading, const char *name, struct attachment *ret,
		       struct err *reterr)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = record_text(reading->folder, name, &text, &len, reterr);

	if (r >= 0)
		r = record_json(text, len, &json, reterr);
	return r < 0 ? r : record_parse(reading, name, json, ret, reterr);
}

static int read_one(struct reading *reading, const char *name)
{
	struct attachment attachment;
	char where[WHERE_BYTES], text[ERR_TEXT_BYTES + 64];
	struct err err = { 0 };
	int r = record_read(reading, name, &attachment, &err);

	if (r == 0)
		return vec_push(&reading->found, attachment);
	if (r > 0) // of another boot: nobody's device
		r = unlinkat(reading->folder, name, 0) < 0 ? err_set(&err, -errno, "%s", strerror(errno)) : 0;
	if (r == 0 || r == -ENOENT)
		return 0;
	snprintf(where, sizeof(where), "record %s", name);
	for (char *c = where; *c; c++)
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	snprintf(text, sizeof(text), "%s: it is not used, its device stays as it is", err.text);
	reading->problem(reading->arg, where, text);
	return 0;
}

// ---- the folder ---------------------------------------------------------------------------------------------

static int boot_read(char ret[static BOOT_BYTES])
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(BOOT_ID, BOOT_BYTES - 1, &text, &len);

	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	snprintf(ret, BOOT_BYTES, "%s", text);
	return 0;
}

// A name that begins with a dot is one that is being written.
static int each(int folder, int (*fn)(void *arg, const char *name), void *arg)
{
	DIR *dir = fdopendir(folder);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		close(folder);
		return -errno;
	}
	while (r >= 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = fn(arg, entry->d_name);
	closedir(dir);
	return r;
}

static int read_visible(void *arg, const char *name)
{
	return *name == '.' ? 0 : read_one(arg, name);
}

static int age_order(const void *a, const void *b)
{
	const struct attachment *x = a, *y = b;

	return x->made_ms < y->made_ms ? -1 : x->made_ms > y->made_ms;
}

static int tell(struct reading *reading, record_fn found)
{
	int r = 0;

	vec_sort(&reading->found, age_order);
	vec_each(const struct attachment, attachment, &reading->found)
		r = r < 0 ? r : found(reading->arg, attachment);
	return r;
}

int records_read(const char *folder, record_fn found, record_problem_fn problem, void *arg)
{
	struct reading reading = { .folder = -1, .problem = problem, .arg = arg };
	char text[ERR_TEXT_BYTES + 64];
	struct err err = { 0 };
	int r = folder_open(folder, &reading.folder, &err);

	if (r == -ENOENT)
		return 0;
	if (r >= 0) {
		r = boot_read(reading.boot);
		r = r < 0 ? err_set(&err, r, BOOT_ID ": %s", strerror(-r)) : each(reading.folder, read_visible, &reading);
	}
	r = r < 0 ? r : tell(&reading, found);
	vec_fini(&reading.found);
	if (r >= 0 || r == -ENOMEM)
		return r;
	snprintf(text, sizeof(text), "%s: %s: what the CNI plugin recorded is not used", folder, err.text);
	problem(arg, "records", text);
	return 0;
}

static int remove_one(void *arg, const char *name)
{
	return unlinkat(*(const int *)arg, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int records_remove(const char *folder, struct err *reterr)
{
	int fd = -1, r = folder_open(folder, &fd, reterr);

	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = each(fd, remove_one, &fd);
	if (r >= 0 && rmdir(folder) < 0)
		r = -errno;
	if (r < 0 && !reterr->code)
		err_set(reterr, r, "%s", strerror(-r));
	return r < 0 ? err_wrap(reterr, "%s", folder) : 0;
}
