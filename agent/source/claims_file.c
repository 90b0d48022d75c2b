// SPDX-License-Identifier: Apache-2.0
// claims_file.c - reads one file and turns the difference to its last reading into claims.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/source/claims_private.h"
#include "agent/source/keep.h"
#include "agent/source/manifest.h"

#define KEPT "the objects that it held stay"
#define NOTHING_HELD "nothing of it is in force"
#define NOTHING_KNOWN "nothing is known of what it held"
#define LARGE_BYTES (256u << 10) // of text: the memory that it took to read is given back

// A reading of a file, before it is in force.
struct reading {
	struct claims *claims;
	struct file *file;
	struct hash objects;
	text_vec wheres;
	bool silent; // of a text that was read before
	bool policies; // or namespaces
	bool refused; // an object
	bool held; // in its place the one before is used
	bool unknown; // an object that nobody has read before
};

struct place {
	enum kind kind;
	const char *ns;
	const char *name; // both interned
};

static bool file_equal(const void *item, const void *key)
{
	return !strcmp(((const struct file *)item)->path, key);
}

static struct file *file_find(const struct claims *claims, const char *path)
{
	return hash_find(&claims->files, hash_string(path), file_equal, path);
}

static uint64_t place_hash(const struct place *place)
{
	uintptr_t words[3] = { place->kind, (uintptr_t)place->ns, (uintptr_t)place->name };

	return hash_bytes(words, sizeof(words));
}

static bool place_equal(const void *item, const void *key)
{
	const struct object *object = item;
	const struct place *place = key;

	return object->kind == place->kind && object->ns == place->ns &&
	       object->name == place->name;
}

static struct object *find_object(const struct hash *objects, const struct place *place)
{
	return hash_find(objects, place_hash(place), place_equal, place);
}

static void objects_fini(struct hash *objects)
{
	struct object *object;
	size_t at = 0;

	while ((object = hash_next(objects, &at)))
		object_put(object);
	hash_fini(objects);
}

static void texts_fini(text_vec *texts)
{
	vec_each(char *, text, texts)
		free(*text);
	vec_fini(texts);
}

void file_free(struct file *file)
{
	objects_fini(&file->objects);
	texts_fini(&file->wheres);
	free(file->path);
	free(file);
}

static void file_set_busy(struct claims *claims, struct file *file, bool busy)
{
	claims->nbusy += busy;
	claims->nbusy -= file->busy;
	file->busy = busy;
}

bool claims_waiting(const struct claims *claims)
{
	return claims->nbusy > 0;
}

static struct file *file_get(struct claims *claims, const char *path)
{
	struct file *file = file_find(claims, path);

	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->path = strdup(path);
	if (!file->path || hash_add(&claims->files, hash_string(path), file) < 0) {
		file_free(file);
		return NULL;
	}
	return file;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// Forgets problems of the last reading that this one did not repeat.
static void settle_problems(struct claims *claims, struct file *file, text_vec *wheres)
{
	vec_sort(wheres, compare_texts);
	vec_each(char *, old, &file->wheres)
		if (!wheres->n ||
		    !bsearch(old, wheres->v, wheres->n, sizeof(*wheres->v), compare_texts))
			problems_set(&claims->problems, *old, NULL);
	texts_fini(&file->wheres);
	file->wheres.v = wheres->v;
	file->wheres.n = wheres->n;
	file->wheres.cap = wheres->cap;
	*wheres = (text_vec){ 0 };
}

static const char *keep_folder(const struct claims *claims)
{
	return claims->problems.events ? claims->problems.events->keep : NULL;
}

static void file_set_state(struct claims *claims, struct file *file, bool recalled, bool unknown)
{
	claims->nrecalled += recalled;
	claims->nrecalled -= file->recalled;
	claims->nunknown += unknown;
	claims->nunknown -= file->unknown;
	file->recalled = recalled;
	file->unknown = unknown;
}

size_t claims_unknown(const struct claims *claims)
{
	return claims->nunknown;
}

size_t claims_recalled(const struct claims *claims)
{
	return claims->nrecalled;
}

static void file_empty(struct claims *claims, struct file *file)
{
	text_vec none = { 0 };
	struct object *object;
	size_t at = 0;

	while ((object = hash_next(&file->objects, &at)))
		slot_unclaim(claims, file, object);
	objects_fini(&file->objects);
	settle_problems(claims, file, &none);
	file_set_busy(claims, file, false);
	file_set_state(claims, file, false, false);
	if (keep_folder(claims))
		keep_forget(keep_folder(claims), file->path);
	file->kept = false;
}

static void file_gone(struct claims *claims, struct file *file)
{
	file_empty(claims, file);
	hash_remove(&claims->files, hash_string(file->path), file);
	file_free(file);
}

static void note(void *arg, const char *where, const char *text)
{
	struct reading *reading = arg;
	char *copy;

	if (reading->silent)
		return;
	copy = strdup(where);
	if (copy && vec_push(&reading->wheres, copy) < 0)
		free(copy);
	problems_set(&reading->claims->problems, where, text);
}

static void say_twice(struct reading *reading, const struct object *object)
{
	char where[PATH_MAX + 512], title[512];

	snprintf(where, sizeof(where), "%s: %s %s: twice", reading->file->path,
		 object_kind(object->kind)->name, object_title(object, title, sizeof(title)));
	note(reading, where, "stands twice in the file; the last one is used");
}

// What isolates hangs on them.
static bool isolates(enum kind kind)
{
	return kind == KIND_NETPOL || kind == KIND_CLUSTERNETPOL || kind == KIND_NAMESPACE;
}

// Of two in one file the last counts, as with kubectl apply.
static int take_object(void *arg, struct object *object)
{
	struct reading *reading = arg;
	struct place place = { object->kind, object->ns, object->name };
	struct object *first = find_object(&reading->objects, &place);

	reading->policies |= isolates(object->kind);
	if (first) {
		say_twice(reading, object);
		hash_replace(&reading->objects, place_hash(&place), first, object);
		object_put(first);
		return 0;
	}
	if (hash_add(&reading->objects, place_hash(&place), object) < 0) {
		object_put(object);
		return -ENOMEM;
	}
	return 0;
}

static int settle_objects(struct reading *reading)
{
	struct file *file = reading->file;
	struct object *object;
	size_t at = 0;

	while ((object = hash_next(&reading->objects, &at)))
		if (slot_claim(reading->claims, file, object) < 0)
			return -ENOMEM;
	at = 0;
	while ((object = hash_next(&file->objects, &at))) {
		struct place place = { object->kind, object->ns, object->name };

		if (!find_object(&reading->objects, &place))
			slot_unclaim(reading->claims, file, object);
	}
	objects_fini(&file->objects);
	file->objects = reading->objects;
	reading->objects = (struct hash){ 0 };
	return 0;
}

// At the first reading of a file that cannot be read as it is: what an agent before has read of it. Where all is
// kept, a file that is not is new.
static int recall(struct claims *claims, struct file *file)
{
	struct reading before = { .claims = claims, .file = file, .silent = true };
	const struct manifest_sink sink = { .arg = &before, .object = take_object };
	_cleanup_free_ char *text = NULL;
	struct err ignored = { 0 };
	size_t at, len;
	int r = -ENOENT;

	if (file->known)
		return 0;
	if (keep_folder(claims))
		r = keep_load(keep_folder(claims), file->path, &text, &at, &len);
	if (r == -ENOENT && claims->whole) {
		file->known = true;
		return 0;
	}
	if (r >= 0)
		r = manifest_parse(file->path, text + at, len, &sink, &ignored);
	if (r >= 0)
		r = settle_objects(&before);
	objects_fini(&before.objects);
	file->known = file->kept = r >= 0;
	file_set_state(claims, file, r >= 0 && (file->objects.n || !len), false);
	return r == -ENOMEM ? r : 0;
}

static int take_refused(void *arg, enum kind kind, const char *ns, const char *name)
{
	struct reading *reading = arg;
	int r = recall(reading->claims, reading->file);
	struct place place = { kind, ns ? intern_find(ns) : NULL, intern_find(name) };
	struct object *held;

	reading->refused = true;
	reading->policies |= isolates(kind);
	reading->unknown |= !reading->file->known;
	if (r < 0 || !place.name || (ns && !place.ns))
		return r;
	held = find_object(&reading->file->objects, &place);
	if (!held || find_object(&reading->objects, &place))
		return 0;
	reading->held = true;
	return take_object(reading, object_get(held));
}

static int say_kept(struct reading *reading, const char *text)
{
	struct file *file = reading->file;
	char sentence[ERR_TEXT_BYTES + 64];
	int r = recall(reading->claims, file);

	file_set_state(reading->claims, file, file->recalled, !file->known);
	snprintf(sentence, sizeof(sentence), "%s; %s", text,
		 !file->known ? NOTHING_KNOWN : file->objects.n ? KEPT : NOTHING_HELD);
	note(reading, file->path, sentence);
	return r;
}

// An object that was refused is still the one of before: what is kept of the file stays, too. Of one that was never
// read without a mistake, what could be read counts.
static void keep(struct reading *reading, const char *text, size_t len)
{
	const char *folder = keep_folder(reading->claims);
	struct file *file = reading->file;
	char sentence[ERR_TEXT_BYTES];
	int r;

	file_set_state(reading->claims, file, file->recalled && reading->held, reading->unknown);
	if (reading->refused && (file->kept || reading->unknown))
		return;
	file->known = true;
	if (!folder)
		return;
	r = keep_save(folder, file->path, text, reading->policies ? len : 0);
	file->kept = r >= 0;
	if (r < 0) {
		reading->claims->lossy = true;
		keep_set_whole(folder, NULL, false);
	}
	snprintf(sentence, sizeof(sentence),
		 "cannot be written: %s; a file that is broken at the next start is waited for",
		 strerror(-r));
	problems_set(&reading->claims->problems, folder, r < 0 ? sentence : NULL);
}

static int read_text(struct reading *reading, const char *text, size_t len)
{
	const struct manifest_sink sink = { reading, take_object, take_refused, note };
	struct err err = { 0 };
	int r = manifest_parse(reading->file->path, text, len, &sink, &err);

	if (r == -EBADMSG) {
		r = say_kept(reading, err.text);
	} else if (r == 0) {
		r = settle_objects(reading);
		if (r == 0)
			keep(reading, text, len);
	}
	objects_fini(&reading->objects);
	if (r != -ENOMEM)
		settle_problems(reading->claims, reading->file, &reading->wheres);
	texts_fini(&reading->wheres);
	return r == -ENOMEM ? r : 0;
}

// A lease keeps writers out while the file is read; -EAGAIN: one is at it now, and its close is an event.
// Where the file system knows no leases, an unreadable half file is still recognized.
static int keep_writers_out(int fd)
{
	fcntl(fd, F_SETSIG,
	      SIGURG); // whoever waits for the lease is told of by SIGIO else, which kills
	return fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

static int read_open(struct reading *reading, int fd, const struct stat *st)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (st->st_size > (off_t)MANIFEST_MAX_BYTES)
		r = -EFBIG;
	else
		r = keep_writers_out(fd);
	file_set_busy(reading->claims, reading->file, r == -EAGAIN);
	if (r >= 0)
		r = file_read_fd(fd, MANIFEST_MAX_BYTES, &text, &len);
	if (r >= 0) {
		r = read_text(reading, text, len);
		if (len >= LARGE_BYTES)
			malloc_trim(0);
		return r;
	}
	if (r == -EAGAIN)
		reading->file->stamp = (struct stamp){ 0 };
	r = say_kept(reading,
		     r == -EAGAIN ? "is being written, waiting for its close" : strerror(-r));
	settle_problems(reading->claims, reading->file, &reading->wheres);
	return r;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

// Not the file's fault: it is read again soon.
static bool is_lack(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

// A link may get its target back, and nothing else would tell.
static int read_nothing(struct claims *claims, const char *path, struct file *file)
{
	if (!is_link(path)) {
		if (file)
			file_gone(claims, file);
		return 0;
	}
	file = file_get(claims, path);
	if (!file)
		return -ENOMEM;
	file_empty(claims, file);
	file->stamp = (struct stamp){ 0 };
	file->seen = file->afar = file->absent = true;
	file->known = false;
	return 0;
}

static int read_failed(struct reading *reading, int error)
{
	struct file *file = reading->file;
	int r = say_kept(reading, error ? strerror(error) : "is no regular file");

	file_set_busy(reading->claims, file, is_lack(error));
	file->afar = error;
	if (error)
		file->stamp = (struct stamp){ 0 };
	settle_problems(reading->claims, file, &reading->wheres);
	return r;
}

static bool is_below(const void *folder, const char *path)
{
	size_t len = strlen(folder);

	return !strncmp(path, folder, len) && path[len] == '/';
}

int claims_skipped(struct claims *claims, const char *path, int error)
{
	struct reading reading = { .claims = claims, .file = file_get(claims, path) };
	char sentence[ERR_TEXT_BYTES];
	const char *folder = keep_folder(claims);
	bool known = error == ELOOP || // never anything was
		     (claims->whole && !(folder && keep_any(folder, is_below, path)));
	struct file *file;
	size_t at = 0;

	if (!reading.file)
		return -ENOMEM;
	reading.file->seen = true;
	reading.file->afar = error != ELOOP;
	reading.file->absent = !reading.file->known;
	reading.file->stamp = (struct stamp){ 0 };
	file_set_busy(claims, reading.file, is_lack(error));
	while ((file = hash_next(&claims->files, &at))) {
		if (!is_below(path, file->path))
			continue;
		file->seen = known = true;
	}
	file_set_state(claims, reading.file, reading.file->recalled,
		       !known && !reading.file->known);
	snprintf(sentence, sizeof(sentence), "%s: what it holds is not read; what was stays",
		 manifest_skip_text(error));
	note(&reading, path, sentence);
	settle_problems(claims, reading.file, &reading.wheres);
	return 0;
}

bool claims_stale(const struct claims *claims)
{
	const struct file *file;
	size_t at = 0;

	while ((file = hash_next(&claims->files, &at))) {
		struct stamp stamp = { 0 };
		struct stat st;

		if (!file->afar)
			continue;
		if (stat(file->path, &st) == 0)
			stamp = stamp_of(&st);
		if (!same_stamp(&stamp, &file->stamp))
			return true;
	}
	return false;
}

int claims_read(struct claims *claims, const char *path, bool force)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct file *file = file_find(claims, path);
	struct reading reading = { .claims = claims };
	struct stamp stamp;
	struct stat st;
	int error;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return read_nothing(claims, path, file);
	error = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
	reading.file = file_get(claims, path);
	if (!reading.file)
		return -ENOMEM;
	reading.file->seen = true;
	reading.file->absent = false;
	if (error || !S_ISREG(st.st_mode))
		return read_failed(&reading, error);
	reading.file->afar = st.st_nlink > 1 || is_link(path);
	stamp = stamp_of(&st);
	if (!force && same_stamp(&stamp, &reading.file->stamp))
		return 0;
	reading.file->stamp = stamp;
	return read_open(&reading, fd, &st);
}

void claims_scan_begin(struct claims *claims)
{
	struct file *file;
	size_t at = 0;

	while ((file = hash_next(&claims->files, &at)))
		file->seen = false;
}

static struct file *find_unseen(const struct claims *claims)
{
	struct file *file;
	size_t at = 0;

	while ((file = hash_next(&claims->files, &at)))
		if (!file->seen)
			return file;
	return NULL;
}

static bool is_file(const void *claims, const char *path)
{
	return file_find(claims, path);
}

void claims_settled(struct claims *claims)
{
	claims->whole = true;
	if (keep_folder(claims) && !claims->lossy)
		keep_set_whole(keep_folder(claims), claims->root, true);
}

void claims_scan_end(struct claims *claims)
{
	struct file *file;

	while ((file = find_unseen(claims)))
		file_gone(claims, file);
	if (claims->pruned || claims->nunknown) // a folder that was not looked into may have them
		return;
	if (keep_folder(claims))
		keep_prune(keep_folder(claims), is_file, claims);
	claims->pruned = true;
}
