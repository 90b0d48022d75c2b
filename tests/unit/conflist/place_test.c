// SPDX-License-Identifier: Apache-2.0
// place_test.c - the files of a node's CNI folders: which one is chosen, what stays of it, and what is refused.
#include "tests/harness/test.h"

#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/conflist/conflist.h"
#include "agent/conflist/pace.h"
#include "agent/conflist/place.h"

#define ENTRY "{ \"type\": \"bulkhead-cni\" }"
#define LIST "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\"}]}\n"
#define WITH                                                                                       \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\"}," ENTRY "]}\n"
#define CONF "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"ptp\"}\n"

static char dir[PATH_MAX];

static int folder(void **state)
{
	test_mkdir(dir);
	return 0;
}

static int no_folder(void **state)
{
	test_rmdir(dir);
	return 0;
}

static const char *at(const char *name)
{
	static char paths[4][PATH_MAX + 64];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	assert_ok(file_write(at(name), text, strlen(text), 0644));
}

static void holds(const char *name, const char *text)
{
	_cleanup_free_ char *now = test_read(at(name), NULL);

	assert_str(now, text);
}

static void absent(const char *name)
{
	assert_int_not_equal(access(at(name), F_OK), 0);
}

static struct placed place(void)
{
	struct err err = { 0 };
	struct placed placed;

	assert_ok_err(place_entry(dir, ENTRY, false, &placed, &err), &err);
	return placed;
}

static unsigned to_do(const char *entry)
{
	struct err err = { 0 };
	struct placed placed;

	assert_ok_err(place_entry(dir, entry, true, &placed, &err), &err);
	return placed.changes;
}

static void refused(int code, const char *part)
{
	struct err err = { 0 };
	struct placed placed;

	assert_err(place_entry(dir, ENTRY, false, &placed, &err), code);
	assert_str_contains(err.text, part);
	assert_int_equal(placed.changes, 0);
}

static void unplace(unsigned changes)
{
	struct err err = { 0 };
	struct placed placed;

	assert_ok_err(place_remove(dir, NULL, &placed, &err), &err);
	assert_int_equal(placed.changes, changes);
}

static void the_first_name_is_chosen(void **state)
{
	struct placed placed;

	put("20-b.conflist", LIST);
	put("100-a.conflist", LIST); // by bytes, not by number
	put("00-first.conflist.bak", LIST);
	assert_int_equal(mkdir(at("00-folder.conflist"), 0700), 0);
	placed = place();
	assert_str(placed.file, "100-a.conflist");
	assert_int_equal(placed.changes, 1);
	holds("100-a.conflist", WITH);
	holds("20-b.conflist", LIST);
	assert_int_equal(place().changes, 0);
	unplace(1);
	holds("100-a.conflist", LIST);
	unplace(0);
}

static void it_moves_to_what_comes_before(void **state)
{
	put("20-b.conflist", LIST);
	place();
	put("10-a.conflist", LIST);
	assert_int_equal(to_do(ENTRY), 2);
	assert_str(place().file, "10-a.conflist");
	holds("10-a.conflist", WITH);
	holds("20-b.conflist", LIST);
	assert_int_equal(unlink(at("10-a.conflist")), 0);
	assert_str(place().file, "20-b.conflist");
	holds("20-b.conflist", WITH);
}

static void looking_changes_nothing(void **state)
{
	put("10-a.conflist", LIST);
	assert_int_equal(to_do(NULL), 1);
	assert_int_equal(to_do(ENTRY), 1);
	holds("10-a.conflist", LIST);
	put("10-a.conflist",
	    "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"},{\"type\":\"bulkhead-cni\"}]}");
	assert_int_equal(to_do(NULL), 0);
	assert_int_equal(to_do(ENTRY), 1);
}

static void mode_and_owner_stay(void **state)
{
	struct stat st;

	put("10-a.conflist", LIST);
	assert_int_equal(chmod(at("10-a.conflist"), 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(at("10-a.conflist"), 12, 34), 0);
	place();
	assert_int_equal(stat(at("10-a.conflist"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 12);
		assert_int_equal(st.st_gid, 34);
	}
	unplace(1);
	assert_int_equal(stat(at("10-a.conflist"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void what_changed_meanwhile_is_left(void **state)
{
	struct stat st;

	put("10-a.conflist", LIST);
	assert_int_equal(stat(at("10-a.conflist"), &st), 0);
	put("10-a.conflist", LIST " ");
	assert_err(file_replace(at("10-a.conflist"), &st, WITH, strlen(WITH)), -ESTALE);
	holds("10-a.conflist", LIST " ");
	assert_int_equal(unlink(at("10-a.conflist")), 0);
	assert_err(file_replace(at("10-a.conflist"), &st, WITH, strlen(WITH)), -ESTALE);
	absent("10-a.conflist");
}

static void a_single_one_gets_a_list_before_it(void **state)
{
	_cleanup_free_ char *made = NULL, *chained = NULL;
	struct placed placed;

	put("10-a.conf", CONF);
	placed = place();
	assert_str(placed.file, "10-a.conf");
	assert_int_equal(placed.changes, 1);
	holds("10-a.conf", CONF);
	made = test_read(at("10-a.bulkhead.conflist"), NULL);
	assert_str_contains(made,
			    "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"ptp\"},\n" ENTRY);
	assert_int_equal(place().changes, 0);
	// Theirs changes, and so does the list.
	put("10-a.conf", "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"bridge\"}\n");
	assert_int_equal(place().changes, 1);
	free(made);
	made = test_read(at("10-a.bulkhead.conflist"), NULL);
	assert_str_contains(made, "\"bridge\"");
	// Others chain theirs to it, as to any list: nobody undoes that, we stay the last.
	put("10-a.bulkhead.conflist",
	    "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\",\"name\":\"n\","
	    "\"cniVersion\":\"1.0.0\"}," ENTRY ",{\"type\":\"mesh\"}]}");
	assert_int_equal(place().changes, 1);
	chained = test_read(at("10-a.bulkhead.conflist"), NULL);
	assert_str_contains(chained, "{\"type\":\"mesh\"}," ENTRY);
	assert_int_equal(place().changes, 0);
	unplace(1);
	absent("10-a.bulkhead.conflist");
}

static void what_stood_for_it_goes_with_it(void **state)
{
	struct err err = { 0 };
	struct placed placed;

	put("10-a.json", CONF);
	place();
	assert_int_equal(unlink(at("10-a.json")), 0);
	assert_err(place_entry(dir, ENTRY, false, &placed, &err), -ENOENT);
	assert_str_contains(err.text, "has no network configuration yet");
	absent("10-a.bulkhead.conflist");
	put("10-a.json", CONF);
	place();
	put("05-list.conflist", LIST);
	assert_int_equal(place().changes, 2);
	absent("10-a.bulkhead.conflist");
	holds("05-list.conflist", WITH);
}

static void links_are_followed_within_the_folder(void **state)
{
	char target[PATH_MAX];
	ssize_t n;

	put("real", LIST);
	assert_int_equal(symlink("real", at("10-a.conflist")), 0);
	assert_str(place().file, "10-a.conflist");
	holds("real", WITH);
	n = readlink(at("10-a.conflist"), target, sizeof(target));
	assert_int_equal(n, 4);
	unplace(1);
	holds("real", LIST);

	assert_int_equal(unlink(at("10-a.conflist")), 0);
	assert_int_equal(symlink(at("real"), at("10-a.conflist")), 0);
	refused(-EINVAL, "symbolic link out of its folder");
	holds("real", LIST);
	assert_int_equal(unlink(at("10-a.conflist")), 0);
	assert_int_equal(symlink("second", at("10-a.conflist")), 0);
	assert_int_equal(symlink("real", at("second")), 0);
	refused(-ELOOP, "second");
	assert_int_equal(unlink(at("second")), 0);
	refused(-EINVAL, "/second is not there");
}

static void a_link_and_its_file_are_one(void **state)
{
	put("20-b.conflist", LIST);
	assert_int_equal(symlink("20-b.conflist", at("10-a.conflist")), 0);
	assert_int_equal(place().changes, 1);
	holds("20-b.conflist", WITH);
	assert_int_equal(to_do(ENTRY), 0);
	assert_int_equal(place().changes, 0);
	holds("20-b.conflist", WITH);
	unplace(1);
	holds("20-b.conflist", LIST);
}

static void a_list_is_made_in_the_place_of_a_link(void **state)
{
	struct stat st;

	put("10-x.conf", CONF);
	assert_int_equal(symlink("10-x.conf", at("10-x.bulkhead.conflist")), 0);
	assert_int_equal(place().changes, 1);
	holds("10-x.conf", CONF);
	assert_int_equal(lstat(at("10-x.bulkhead.conflist"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(rename(at("10-x.bulkhead.conflist"), at("theirs")), 0);
	assert_int_equal(symlink("theirs", at("10-x.bulkhead.conflist")), 0);
	assert_int_equal(place().changes, 1);
	assert_int_equal(lstat(at("10-x.bulkhead.conflist"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(place().changes, 0);
}

static void what_is_broken_is_not_touched(void **state)
{
	put("10-a.conflist", "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}");
	put("20-b.conflist", WITH);
	refused(-EINVAL, "/10-a.conflist: it is no JSON");
	holds("10-a.conflist", "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}");
	holds("20-b.conflist", WITH);
	put("10-a.conflist", "{\"cniVersion\":\"0.2.0\",\"plugins\":[{\"type\":\"a\"}]}");
	refused(-EINVAL, "below 0.3.0");
	assert_int_equal(unlink(at("10-a.conflist")), 0);
	assert_int_equal(mkfifo(at("10-a.conflist"), 0600), 0);
	refused(-EINVAL, "is no file");
}

static void the_program_is_put_and_replaced(void **state)
{
	struct err err = { 0 };
	struct placed placed;
	struct stat st;
	bool changed;

	put("source", "one");
	assert_false(place_has_plugin(dir));
	assert_ok(place_plugin(dir, at("source"), false, &changed, &err));
	assert_true(changed);
	holds("bulkhead-cni", "one");
	assert_int_equal(stat(at("bulkhead-cni"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_true(place_has_plugin(dir));
	assert_ok(place_plugin(dir, at("source"), false, &changed, &err));
	assert_false(changed);
	put("source", "two");
	assert_ok(place_plugin(dir, at("source"), true, &changed, &err));
	assert_true(changed);
	holds("bulkhead-cni", "one");
	assert_ok(place_plugin(dir, at("source"), false, &changed, &err));
	assert_true(changed);
	holds("bulkhead-cni", "two");
	assert_int_equal(chmod(at("bulkhead-cni"), 0644), 0); // nobody could run it
	assert_ok(place_plugin(dir, at("source"), false, &changed, &err));
	assert_true(changed);
	assert_err(place_plugin(dir, at("none"), false, &changed, &err), -ENOENT);
	assert_ok(place_remove(NULL, dir, &placed, &err));
	absent("bulkhead-cni");
}

static void the_program_stays_while_it_is_named(void **state)
{
	struct err err = { 0 };
	struct placed placed;

	put("bulkhead-cni", "one");
	put("10-a.conflist", WITH);
	put("20-b.conflist", "{\"plugins\":[{\"type\":\"bulkhead-cni\"");
	assert_err(place_remove(dir, dir, &placed, &err), -EINVAL);
	assert_str_contains(err.text, "20-b.conflist");
	holds("10-a.conflist", LIST);
	holds("bulkhead-cni", "one");

	put("20-b.conflist", WITH);
	put("00-meta.conf", "{\"type\":\"meta\",\"delegates\":[" WITH "]}"); // a copy of ours, in another's
	assert_err(place_remove(dir, dir, &placed, &err), -EBUSY);
	assert_str_contains(err.text, "/00-meta.conf names bulkhead-cni still");
	holds("20-b.conflist", LIST);
	holds("bulkhead-cni", "one");
}

static void changes_are_paced(void **state)
{
	struct pace pace = { 0 };
	int64_t wait = 0, now = 5000;

	for (int i = 0; i < PACE_AT_ONCE; i++)
		assert_true(pace_take(&pace, now + i, &wait));
	assert_false(pace_take(&pace, now + 10, &wait));
	assert_int_equal(wait, PACE_MS - 10);
	assert_false(pace_take(&pace, now + PACE_MS - 1, &wait));
	assert_int_equal(wait, 1);
	assert_true(pace_take(&pace, now + PACE_MS, &wait)); // one more, and no other
	assert_false(pace_take(&pace, now + PACE_MS, &wait));
	assert_int_equal(wait, PACE_MS);
	now += 100 * (int64_t)PACE_MS; // all are given back, and not more than all
	for (int i = 0; i < PACE_AT_ONCE; i++)
		assert_true(pace_take(&pace, now, &wait));
	assert_false(pace_take(&pace, now, &wait));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_paced),
		cmocka_unit_test_setup_teardown(the_first_name_is_chosen, folder, no_folder),
		cmocka_unit_test_setup_teardown(it_moves_to_what_comes_before, folder, no_folder),
		cmocka_unit_test_setup_teardown(looking_changes_nothing, folder, no_folder),
		cmocka_unit_test_setup_teardown(mode_and_owner_stay, folder, no_folder),
		cmocka_unit_test_setup_teardown(what_changed_meanwhile_is_left, folder, no_folder),
		cmocka_unit_test_setup_teardown(a_single_one_gets_a_list_before_it, folder,
						no_folder),
		cmocka_unit_test_setup_teardown(what_stood_for_it_goes_with_it, folder, no_folder),
		cmocka_unit_test_setup_teardown(links_are_followed_within_the_folder, folder,
						no_folder),
		cmocka_unit_test_setup_teardown(a_link_and_its_file_are_one, folder, no_folder),
		cmocka_unit_test_setup_teardown(a_list_is_made_in_the_place_of_a_link, folder, no_folder),
		cmocka_unit_test_setup_teardown(what_is_broken_is_not_touched, folder, no_folder),
		cmocka_unit_test_setup_teardown(the_program_is_put_and_replaced, folder, no_folder),
		cmocka_unit_test_setup_teardown(the_program_stays_while_it_is_named, folder,
						no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
