// SPDX-License-Identifier: Apache-2.0
// place.c - the files of a node's CNI folders.
#include "agent/conflist/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/base/vec.h"
#include "agent/conflist/conflist.h"

#define PLUGIN_BYTES (64 * 1024 * 1024)

struct folder {
	const char *path;
	VEC(char *) names; // of configurations, in a runtime's order; ours among them
};

static void folder_fini(struct folder *folder)
{
	vec_each(char *, name, &folder->names)
		free(*name);
	vec_fini(&folder->names);
}

// A configuration as it was read.
struct conf {
	char path[PATH_MAX]; // where a link leads to
	bool linked;
	struct stat st;
	char *text;
	size_t len;
};

static void conf_fini(struct conf *conf)
{
	free(conf->text);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// Runtimes leave folders out, and nothing else.
static int folder_read(struct folder *folder, const char *path, struct err *reterr)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	folder->path = path;
	while ((entry = readdir(dir))) {
		struct stat st;
		char *name;

		if (!conflist_is_name(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    S_ISDIR(st.st_mode))
			continue;
		name = strdup(entry->d_name);
		if (!name || vec_push(&folder->names, name) < 0) {
			free(name);
			return err_set(reterr, -ENOMEM, "out of memory");
		}
	}
	vec_sort(&folder->names, by_bytes);
	return 0;
}

static const char *first_of_others(const struct folder *folder)
{
	vec_each(char *, name, &folder->names) {
		if (!conflist_is_made(*name))
			return *name;
	}
	return NULL;
}

// ---- one configuration -------------------------------------------------------------------------

// -ENOENT is for a folder without configurations.
static int unreadable(const struct conf *conf, struct err *reterr)
{
	if (errno != ENOENT)
		return err_set(reterr, -errno, "%s: %s", conf->path, strerror(errno));
	if (conf->linked)
		return err_set(reterr, -EINVAL, "%s is not there, but a symbolic link leads to it",
			       conf->path);
	return err_set(reterr, -ESTALE, "%s was removed meanwhile", conf->path);
}

// Where a link leads to, if that is a file of this folder.
static int follow(const char *folder, struct conf *conf, struct err *reterr)
{
	char target[NAME_MAX + 2];
	ssize_t n = readlink(conf->path, target, sizeof(target) - 1);

	if (n < 0)
		return errno == EINVAL ? 0 : unreadable(conf, reterr);
	conf->linked = true;
	target[n] = '\0';
	if (strchr(target, '/') || (size_t)n >= sizeof(target) - 1)
		return err_set(
			reterr, -EINVAL,
			"%s is a symbolic link out of its folder, which is not followed: put the file "
			"itself there",
			conf->path);
	if ((size_t)snprintf(conf->path, sizeof(conf->path), "%s/%s", folder, target) >=
	    sizeof(conf->path))
		return err_set(reterr, -ENAMETOOLONG, "%s: the name is too long", folder);
	return 0;
}

static int conf_read(const char *folder, const char *name, struct conf *conf, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	int r;

	if ((size_t)snprintf(conf->path, sizeof(conf->path), "%s/%s", folder, name) >=
	    sizeof(conf->path))
		return err_set(reterr, -ENAMETOOLONG, "%s: the name is too long", folder);
	r = follow(folder, conf, reterr);
	if (r < 0)
		return r;
	fd = open(conf->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &conf->st) < 0)
		return unreadable(conf, reterr);
	if (!S_ISREG(conf->st.st_mode))
		return err_set(reterr, -EINVAL, "%s is no file", conf->path);
	r = file_read_fd(fd, CONFLIST_BYTES, &conf->text, &conf->len);
	if (r == -EFBIG)
		return err_set(reterr, -EINVAL, "%s is longer than %d bytes", conf->path,
			       CONFLIST_BYTES);
	return r < 0 ? err_set(reterr, r, "%s: %s", conf->path, strerror(-r)) : 0;
}

// text NULL: it is as it should be.
static int conf_change(struct conf *conf, const char *text, size_t len, bool only_look,
		       struct placed *placed, struct err *reterr)
{
	int r;

	if (!text)
		return 0;
	placed->changes++;
	if (only_look)
		return 0;
	r = file_replace(conf->path, &conf->st, text, len);
	if (r == -ESTALE)
		return err_set(reterr, r, "%s was changed meanwhile", conf->path);
	if (r == -EPERM && (conf->st.st_uid != geteuid() || conf->st.st_gid != getegid()))
		return err_set(reterr, r,
			       "%s belongs to %u:%u, which cannot be kept without CAP_CHOWN",
			       conf->path, conf->st.st_uid, conf->st.st_gid);
	return r < 0 ? err_set(reterr, r, "%s cannot be replaced: %s", conf->path, strerror(-r)) :
		       0;
}

static int insert(const struct folder *folder, const char *name, const char *entry, bool only_look,
		  struct placed *placed, struct err *reterr)
{
	_cleanup_(conf_fini) struct conf conf = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	r = conf_read(folder->path, name, &conf, reterr);
	if (r < 0)
		return r;
	r = conflist_insert(conf.text, conf.len, entry, &text, &len, reterr);
	if (r == -ENOENT) {
		placed->changes++;
		return 0;
	}
	if (r < 0)
		return err_wrap(reterr, "%s", conf.path);
	return conf_change(&conf, text, len, only_look, placed, reterr);
}

// The list that stands for a single configuration. Others may have chained theirs to it, as to any list; a link in its
// place leads to what is theirs.
static int make(const struct folder *folder, const char *name, const char *made, const char *entry,
		bool only_look, struct placed *placed, struct err *reterr)
{
	_cleanup_(conf_fini) struct conf conf = { 0 }, old = { 0 };
	_cleanup_free_ char *text = NULL;
	struct err ignored = { 0 };
	char path[PATH_MAX];
	size_t len;
	int r;

	r = conf_read(folder->path, name, &conf, reterr);
	if (r < 0)
		return r;
	r = conflist_wrap(conf.text, conf.len, entry ? entry : "{}", &text, &len, reterr);
	if (r < 0)
		return err_wrap(reterr, "%s", conf.path);
	if (conf_read(folder->path, made, &old, &ignored) >= 0 && !old.linked &&
	    conflist_stands_for(old.text, old.len, conf.text, conf.len))
		return insert(folder, made, entry, only_look, placed, reterr);
	placed->changes++;
	if (only_look)
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder->path, made) >= sizeof(path))
		return err_set(reterr, -ENAMETOOLONG, "%s: the name is too long", folder->path);
	r = file_write(path, text, len, conf.st.st_mode);
	return r < 0 ? err_set(reterr, r, "%s cannot be written: %s", path, strerror(-r)) : 0;
}

// Out of a configuration of others. What cannot be read as one has no entry, as far as a runtime goes; it is an
// error where it holds our name all the same.
static int take_out(const struct folder *folder, const char *name, bool only_look,
		    struct placed *placed, struct err *reterr)
{
	_cleanup_(conf_fini) struct conf conf = { 0 };
	_cleanup_free_ char *text = NULL;
	struct err ignored = { 0 };
	size_t len = 0;
	int r;

	if (!conflist_is_list(name) || conf_read(folder->path, name, &conf, &ignored) < 0 ||
	    !memmem(conf.text, conf.len, CONFLIST_PLUGIN, strlen(CONFLIST_PLUGIN)))
		return 0;
	r = conflist_remove(conf.text, conf.len, &text, &len, reterr);
	if (r < 0)
		return err_wrap(reterr, "%s", conf.path);
	return conf_change(&conf, text, len, only_look, placed, reterr);
}

static int unmake(const struct folder *folder, const char *name, bool only_look,
		  struct placed *placed, struct err *reterr)
{
	char path[PATH_MAX];

	placed->changes++;
	if (only_look)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(reterr, -errno, "%s cannot be removed: %s", path, strerror(errno));
	return 0;
}

// Whether both names are, or lead to, one file.
static bool same_file(const struct folder *folder, const char *a, const char *b)
{
	_cleanup_close_ int dir = open(folder->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat sta, stb;

	return strcmp(a, b) == 0 ||
	       (fstatat(dir, a, &sta, 0) == 0 && fstatat(dir, b, &stb, 0) == 0 &&
		sta.st_dev == stb.st_dev && sta.st_ino == stb.st_ino);
}

// Out of all but `keep` (NULL: none is kept). Goes on past what fails, and says the first.
static int take_out_others(const struct folder *folder, const char *keep, const char *made,
			   bool only_look, struct placed *placed, struct err *reterr)
{
	int first = 0;

	vec_each(char *, name, &folder->names) {
		struct err err = { 0 };
		int r;

		if ((keep && same_file(folder, *name, keep)) ||
		    (made && same_file(folder, *name, made)))
			continue;
		if (conflist_is_made(*name))
			r = unmake(folder, *name, only_look, placed, &err);
		else
			r = take_out(folder, *name, only_look, placed, &err);
		if (r < 0 && first == 0)
			first = err_set(reterr, r, "%s", err.text);
	}
	return first;
}

// Into the first of the folder, which a runtime takes. *retmade: the list that stands for it, NULL: it is one itself.
static int put_first(const struct folder *folder, const char *name, const char *entry, bool only_look,
		     char made[static NAME_MAX + 1], const char **retmade, struct placed *placed,
		     struct err *reterr)
{
	*retmade = NULL;
	if (conflist_is_list(name))
		return insert(folder, name, entry, only_look, placed, reterr);
	*retmade = conflist_made_name(name, made, NAME_MAX + 1);
	if (!*retmade)
		return err_set(reterr, -ENAMETOOLONG, "%s/%s: the name is too long", folder->path, name);
	return make(folder, name, *retmade, entry, only_look, placed, reterr);
}

// After all was written: a runtime that looks now finds the entry.
static int look_again(const char *conf_dir, const char *entry, struct err *reterr)
{
	_cleanup_(folder_fini) struct folder folder = { 0 };
	struct placed placed = { 0 };
	char buf[NAME_MAX + 1];
	const char *name, *made;
	int r = folder_read(&folder, conf_dir, reterr);

	if (r < 0)
		return r;
	name = first_of_others(&folder);
	r = name ? put_first(&folder, name, entry, true, buf, &made, &placed, reterr) : -ESTALE;
	if (r == 0 && placed.changes)
		r = -ESTALE;
	return r == -ESTALE ? err_set(reterr, r, "%s was changed meanwhile", conf_dir) : r;
}

int place_entry(const char *conf_dir, const char *entry, bool only_look, struct placed *ret,
		struct err *reterr)
{
	_cleanup_(folder_fini) struct folder folder = { 0 };
	char buf[NAME_MAX + 1];
	const char *name, *made;
	struct err ignored = { 0 };
	int r;

	*ret = (struct placed){ 0 };
	r = folder_read(&folder, conf_dir, reterr);
	if (r < 0)
		return r;
	name = first_of_others(&folder);
	if (!name) { // what stood for a configuration must not outlive it
		r = take_out_others(&folder, NULL, NULL, only_look, ret, reterr);
		return r < 0 ? r :
			       err_set(reterr, -ENOENT, "%s has no network configuration yet",
				       conf_dir);
	}
	snprintf(ret->file, sizeof(ret->file), "%s", name);
	r = put_first(&folder, name, entry, only_look, buf, &made, ret, reterr);
	if (r < 0)
		return r;
	// What a runtime does not take does no harm: the next one that looks tries again.
	take_out_others(&folder, name, made, only_look, ret, &ignored);
	return only_look || !ret->changes ? 0 : look_again(conf_dir, entry, reterr);
}

// ---- the program -------------------------------------------------------------------------------

static int plugin_path(const char *bin_dir, char *path, size_t bytes, struct err *reterr)
{
	if ((size_t)snprintf(path, bytes, "%s/" CONFLIST_PLUGIN, bin_dir) >= bytes)
		return err_set(reterr, -ENAMETOOLONG, "%s: the name is too long", bin_dir);
	return 0;
}

// The folder of the program that runs, and the plugin's name; "" when it cannot be told.
static void beside_us(char *path, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", path, bytes - 1);
	char *slash;

	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)snprintf(slash + 1, bytes - (size_t)(slash + 1 - path),
				       CONFLIST_PLUGIN) >= bytes - (size_t)(slash + 1 - path))
		path[0] = '\0';
}

bool place_has_plugin(const char *bin_dir)
{
	struct err ignored = { 0 };
	char path[PATH_MAX];
	struct stat st;

	return plugin_path(bin_dir, path, sizeof(path), &ignored) == 0 && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static bool same_as(const char *path, const char *data, size_t len)
{
	_cleanup_free_ char *old = NULL;
	size_t old_len;

	return file_read(path, PLUGIN_BYTES, &old, &old_len) == 0 && old_len == len &&
	       memcmp(old, data, len) == 0;
}

int place_plugin(const char *bin_dir, const char *source, bool only_look, bool *retchanged,
		 struct err *reterr)
{
	_cleanup_free_ char *data = NULL;
	char path[PATH_MAX], own[PATH_MAX];
	size_t len;
	int r;

	*retchanged = false;
	r = plugin_path(bin_dir, path, sizeof(path), reterr);
	if (r < 0)
		return r;
	if (!source)
		beside_us(own, sizeof(own));
	r = file_read(source ? source : own, PLUGIN_BYTES, &data, &len);
	if (r == -ENOENT && !source && place_has_plugin(bin_dir))
		return 0;
	if (r < 0)
		return err_set(reterr, r, "%s: %s", source ? source : own, strerror(-r));
	if (place_has_plugin(bin_dir) && same_as(path, data, len))
		return 0;
	*retchanged = true;
	r = only_look ? 0 : file_write(path, data, len, 0755);
	return r < 0 ? err_set(reterr, r, "%s cannot be written: %s", path, strerror(-r)) : 0;
}

// Somewhere else than among the plugins of a list: others copy configurations into their own.
static int named_still(const struct folder *folder, struct err *reterr)
{
	vec_each(char *, name, &folder->names) {
		_cleanup_(conf_fini) struct conf conf = { 0 };
		struct err ignored = { 0 };

		if (conf_read(folder->path, *name, &conf, &ignored) >= 0 &&
		    memmem(conf.text, conf.len, CONFLIST_PLUGIN, strlen(CONFLIST_PLUGIN)))
			return err_set(
				reterr, -EBUSY,
				"%s names " CONFLIST_PLUGIN
				" still: whoever wrote it must take it out, and until then the "
				"program stays",
				conf.path);
	}
	return 0;
}

int place_remove(const char *conf_dir, const char *bin_dir, struct placed *ret, struct err *reterr)
{
	_cleanup_(folder_fini) struct folder folder = { 0 };
	char path[PATH_MAX];
	int r = 0;

	*ret = (struct placed){ 0 };
	if (conf_dir && access(conf_dir, F_OK) == 0)
		r = folder_read(&folder, conf_dir, reterr);
	if (r >= 0 && folder.path)
		r = take_out_others(&folder, NULL, NULL, false, ret, reterr);
	if (r >= 0 && folder.path)
		r = named_still(&folder, reterr);
	if (r < 0 || !bin_dir)
		return r;
	r = plugin_path(bin_dir, path, sizeof(path), reterr);
	if (r < 0)
		return r;
	if (unlink(path) == 0)
		ret->changes++;
	else if (errno != ENOENT)
		return err_set(reterr, -errno, "%s cannot be removed: %s", path, strerror(errno));
	return 0;
}
