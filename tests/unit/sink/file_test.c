// SPDX-License-Identifier: Apache-2.0
// Sinks to files: what rotates, compresses, fills its disk or is moved away by others holds each record once, in order.
#include "tests/unit/sink/rig.h"

#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#define FULL_DISK "size=64k"

// The clock of what is tested: the file's age is the wall's.
static time_t later_sec;

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec + later_sec;
	return now.tv_sec + later_sec;
}

static const char *path_of(const struct rig *rig, const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	return path;
}

static bool is_there(const struct rig *rig, const char *name)
{
	return access(path_of(rig, name), F_OK) == 0;
}

// Lines of a file, compressed or not (gzread takes both); each is a record with the next seq.
static unsigned int read_file(const struct rig *rig, const char *name, uint64_t *seq)
{
	gzFile file = gzopen(path_of(rig, name), "rb");
	unsigned int lines = 0;
	char line[8192];

	assert_non_null(file);
	for (; gzgets(file, line, sizeof(line)); lines++) {
		_cleanup_json_ struct json_object *json = json_tokener_parse(line);
		struct json_object *found = NULL;

		assert_true(json_object_object_get_ex(json, "seq", &found));
		if (json_object_get_uint64(found) != *seq)
			fail_msg("%s: seq %s, not %llu", name, json_object_get_string(found), (unsigned long long)*seq);
		*seq += 1;
	}
	assert_int_equal(gzclose(file), Z_OK);
	return lines;
}

// All records of "flows.N" to "flows", oldest first.
static unsigned int read_files(const struct rig *rig, uint64_t seq)
{
	unsigned int lines = 0;
	char name[64];

	for (int i = 99; i > 0; i--) {
		snprintf(name, sizeof(name), "flows.%d", i);
		if (is_there(rig, name))
			lines += read_file(rig, name, &seq);
		snprintf(name, sizeof(name), "flows.%d.gz", i);
		if (is_there(rig, name))
			lines += read_file(rig, name, &seq);
	}
	return lines + read_file(rig, "flows", &seq);
}

static unsigned int count(const struct rig *rig, const char *pattern)
{
	glob_t found;
	unsigned int n;

	if (glob(path_of(rig, pattern), 0, NULL, &found) != 0)
		return 0;
	n = (unsigned int)found.gl_pathc;
	globfree(&found);
	return n;
}

static void assert_mode(const struct rig *rig, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(path_of(rig, name), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void a_file_is_its_owners_and_is_added_to(void **state)
{
	struct rig *rig = *state;

	test_write(rig->dir, "flows", "{\"seq\":41}");
	assert_int_equal(chmod(path_of(rig, "flows"), 0644), 0);
	rig_open(rig, "json+file", "flows");
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(read_files(rig, 41), 4); // half a line has been ended
	assert_int_equal(rig_stats(rig)->delivered, 3);
	assert_mode(rig, "flows");
}

static void rotation_by_size_loses_nothing(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	rig_open(rig, "json+file", "flows?max-size=16K&max-files=99");
	rig_put(rig, 500);
	sink_flush(rig->sink);
	assert_int_equal(read_files(rig, 42), 500);
	assert_int_equal(rig_stats(rig)->delivered, 500);
	assert_true(count(rig, "flows.*") >= 20);
	for (int i = 1; i <= 20; i++) {
		char name[32];

		snprintf(name, sizeof(name), "flows.%d", i);
		assert_mode(rig, name);
		assert_int_equal(stat(path_of(rig, name), &st), 0);
		assert_true(st.st_size <= 16384 && st.st_size > 12288);
	}
}

static void so_many_are_kept(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, "json+file", "flows?max-size=4K&max-files=3");
	rig_put(rig, 100);
	sink_flush(rig->sink);
	assert_int_equal(count(rig, "flows.*"), 3);
	assert_int_equal(rig_stats(rig)->delivered, 100);
	sink_free(rig->sink);
	rig_open(rig, "json+file", "none?max-size=4K&max-files=0");
	rig_put(rig, 100);
	sink_flush(rig->sink);
	assert_int_equal(count(rig, "none*"), 1);
}

static void rotation_by_age(void **state)
{
	struct rig *rig = *state;

	later_sec = 0;
	rig_open(rig, "json+file", "flows?max-age=1h");
	rig_put(rig, 3);
	sink_flush(rig->sink);
	later_sec = 3500;
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(count(rig, "flows.*"), 0);
	later_sec = 3700;
	rig_put(rig, 3);
	sink_flush(rig->sink);
	later_sec = 0;
	assert_int_equal(count(rig, "flows.*"), 1);
	assert_int_equal(read_files(rig, 42), 9);
}

static bool is_compressed(struct rig *rig)
{
	return count(rig, "flows.*") == count(rig, "flows.*.gz");
}

// Rotation waits for the compression before it: more than max-size may be in a file, never is one of them missing.
static void compressed_files_hold_the_same(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, "json+file", "flows?max-size=16K&max-files=99&compress=true");
	for (int i = 0; i < 10; i++) {
		rig_put(rig, 50);
		sink_flush(rig->sink);
		rig_run(rig, is_compressed, "compression");
	}
	assert_int_equal(read_files(rig, 42), 500);
	assert_true(count(rig, "flows.*.gz") >= 2);
	assert_mode(rig, "flows.1.gz");
	assert_int_equal(count(rig, "flows*.tmp"), 0);
	sink_free(rig->sink);
	rig->sink = NULL;
	assert_int_equal(read_files(rig, 42), 500);
}

static void a_link_is_not_followed(void **state)
{
	struct rig *rig = *state;
	char target[PATH_MAX + 64];
	struct stat st;

	test_write(rig->dir, "target", "");
	snprintf(target, sizeof(target), "%s", path_of(rig, "target"));
	assert_int_equal(symlink(target, path_of(rig, "flows")), 0);
	rig_open(rig, "json+file", "flows");
	assert_str_contains(rig_stats(rig)->problem, "is a symbolic link, and those are not followed");
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(rig_stats(rig)->queued, 3);
	assert_int_equal(unlink(path_of(rig, "flows")), 0);
	while (sink_stats(rig->sink)->queued)
		event_base_loop(rig->base, EVLOOP_ONCE);
	assert_int_equal(read_files(rig, 42), 3);
	// ... nor when it takes the place of the file
	assert_int_equal(unlink(path_of(rig, "flows")), 0);
	assert_int_equal(symlink(target, path_of(rig, "flows")), 0);
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_str_contains(rig_stats(rig)->problem, "is a symbolic link");
	assert_int_equal(rig_stats(rig)->queued, 3);
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void what_is_no_file_is_refused(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(mkfifo(path_of(rig, "flows"), 0600), 0);
	rig_open(rig, "json+file", "flows");
	assert_str_contains(rig_stats(rig)->problem, "is no file");
}

static void two_sinks_do_not_share_a_file(void **state)
{
	struct rig *rig = *state;
	struct sink *other = NULL;
	struct err err = { 0 };

	rig_open(rig, "json+file", "flows");
	assert_ok_err(sink_new(rig->base, rig->url, "node-a", &other, &err), &err);
	assert_str_contains(sink_stats(other)->problem, "another sink writes to it");
	sink_free(other);
}

static void a_file_that_others_move_is_begun_anew(void **state)
{
	struct rig *rig = *state;
	char moved[PATH_MAX + 64];

	snprintf(moved, sizeof(moved), "%s", path_of(rig, "flows.1"));
	rig_open(rig, "json+file", "flows");
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(rename(path_of(rig, "flows"), moved), 0);
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(read_files(rig, 42), 6);
	assert_int_equal(truncate(path_of(rig, "flows"), 0), 0);
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(read_file(rig, "flows", &(uint64_t){ 48 }), 3);
	assert_int_equal(rig_stats(rig)->delivered, 9);
}

static bool has_nothing_to_do(struct rig *rig)
{
	return !sink_stats(rig->sink)->queued;
}

// A small disk of its own; root only.
static void a_full_disk_is_told_and_recovered_from(void **state)
{
	struct rig *rig = *state;
	uint64_t delivered, seq = 42;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	assert_int_equal(mount("tmpfs", rig->dir, "tmpfs", 0, FULL_DISK), 0);
	rig_open(rig, "json+file", "flows?queue=16K");
	rig_put(rig, 500);
	sink_flush(rig->sink);
	assert_str_contains(rig_stats(rig)->problem, "cannot be written: No space left on device");
	delivered = rig_stats(rig)->delivered;
	assert_true(delivered > 20 && rig_stats(rig)->lost_error > 0);
	assert_int_equal(rig_stats(rig)->lost_full, 0);
	assert_int_equal(read_file(rig, "flows", &seq), delivered); // no half line
	assert_int_equal(truncate(path_of(rig, "flows"), 0), 0);
	rig_run(rig, has_nothing_to_do, "room on the disk");
	assert_str(rig_stats(rig)->problem, "");
	assert_int_equal(read_file(rig, "flows", &seq), rig_stats(rig)->delivered - delivered);
	sink_free(rig->sink);
	rig->sink = NULL;
	assert_int_equal(umount(rig->dir), 0);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(a_file_is_its_owners_and_is_added_to),
		WITH_RIG(rotation_by_size_loses_nothing),
		WITH_RIG(so_many_are_kept),
		WITH_RIG(rotation_by_age),
		WITH_RIG(compressed_files_hold_the_same),
		WITH_RIG(a_link_is_not_followed),
		WITH_RIG(what_is_no_file_is_refused),
		WITH_RIG(two_sinks_do_not_share_a_file),
		WITH_RIG(a_file_that_others_move_is_begun_anew),
		WITH_RIG(a_full_disk_is_told_and_recovered_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
