// SPDX-License-Identifier: Apache-2.0
// attachment_test.c - what the CNI plugin sends and writes: read as it is meant, and refused by the field.
#include "tests/harness/test.h"

#include <sys/stat.h>

#include "agent/endpoint/attachment.h"

#define GOOD \
	"'container':'c1','ifname':'eth0','namespace':'shop','name':'web','uid':'u-1','ifindex':7," \
	"'addresses':['10.1.0.5','fd00:1::5'],'netns':'/run/netns/x','device':'v7'"

static void a_request_is_read(void **state)
{
	_cleanup_json_ struct json_object *json = test_json("{" GOOD "}");
	struct attachment a;
	struct err err = { 0 };

	assert_ok_err(attachment_parse(json, &a, &err), &err);
	assert_str(a.container, "c1");
	assert_str(a.ns, "shop");
	assert_str(a.uid, "u-1");
	assert_int_equal(a.ifindex, 7);
	assert_int_equal(a.naddrs, 2);
	assert_false(a.due);
}

static void a_static_pods_uid_is_none(void **state)
{
	_cleanup_json_ struct json_object *json = test_json("{" GOOD ",'uid':'0123456789abcdef0123456789abcdef'}");
	struct attachment a;
	struct err err = { 0 };

	assert_ok_err(attachment_parse(json, &a, &err), &err);
	assert_str(a.uid, "");
	assert_true(a.is_static);
	attachment_bind(&a, "u-2");
	assert_str(a.uid, "");
}

// Of two fields with one name the later counts.
static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *change, *why;
	} cases[] = {
		{ "'container':'../x'", "container: \"../x\" is no such name" },
		{ "'container':''", "container: \"\" is no such name" },
		{ "'container':7", "container: is an integer, not a string" },
		{ "'container':null", "container: is missing" },
		{ "'ifname':'a/b'", "ifname: \"a/b\" is no such name" },
		{ "'ifname':'..'", "ifname: \"..\" is no such name" },
		{ "'ifname':'0123456789abcdef'", "ifname: has more than 15 bytes" },
		{ "'namespace':'a b'", "namespace: \"a b\" is no such name" },
		{ "'name':'.hidden'", "name: \".hidden\" is no such name" },
		{ "'name':'a?watch=1'", "name: \"a?watch=1\" is no such name" },
		{ "'uid':'a/b'", "uid: \"a/b\" is no such name" },
		{ "'ifindex':0", "ifindex: " },
		{ "'ifindex':'7'", "ifindex: is a string, not an integer" },
		{ "'ifindex':null", "ifindex: is missing" },
		{ "'addresses':'10.0.0.1'", "addresses: is a string, not a list" },
		{ "'addresses':['10.0.0']", "addresses[0]: \"10.0.0\" is no address" },
		{ "'addresses':['1.1.1.1','1.1.1.1','1.1.1.1','1.1.1.1','1.1.1.1','1.1.1.1','1.1.1.1','1.1.1.1','1.1.1.1']",
		  "addresses: has 9 elements, at most 8 are allowed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *json = NULL;
		struct attachment a;
		struct err err = { 0 };
		char text[1024];

		snprintf(text, sizeof(text), "{" GOOD ",%s}", cases[i].change);
		json = test_json(text);
		assert_int_equal(attachment_parse(json, &a, &err), -EINVAL);
		assert_str_contains(err.text, cases[i].why);
	}
}

// ---- records ------------------------------------------------------------------------------------------------------

struct heard {
	int found;
	char containers[64]; // in the order in which they are told
	char problems[4096];
};

static int on_found(void *arg, const struct attachment *attachment)
{
	struct heard *heard = arg;
	size_t len = strlen(heard->containers);

	heard->found++;
	snprintf(heard->containers + len, sizeof(heard->containers) - len, "%s ", attachment->container);
	return 0;
}

static void on_problem(void *arg, const char *where, const char *text)
{
	struct heard *heard = arg;
	size_t len = strlen(heard->problems);

	snprintf(heard->problems + len, sizeof(heard->problems) - len, "%s: %s\n", where, text);
}

static struct heard read_folder(const char *folder)
{
	struct heard heard = { 0 };

	assert_ok(records_read(folder, on_found, on_problem, &heard));
	return heard;
}

// Of two fields with one name the later counts.
static void write_record(const char *folder, const char *container, const char *boot, int made)
{
	char text[1024], name[32];

	snprintf(name, sizeof(name), "%s@eth0", container);
	snprintf(text, sizeof(text), "{'version':1,'boot':'%s','made':%d," GOOD ",'container':'%s'}", boot, made, container);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	test_write(folder, name, text);
}

static void a_folder_that_others_may_write_is_not_read(void **state)
{
	char folder[] = "/tmp/bulkhead-records-XXXXXX", link[64], path[64];
	struct heard heard;
	struct err err = { 0 };

	assert_non_null(mkdtemp(folder));
	write_record(folder, "c1", "another", 0);
	assert_ok(chmod(folder, 0777));
	heard = read_folder(folder);
	assert_str_contains(heard.problems, "others than root may write it (mode 0777)");
	snprintf(path, sizeof(path), "%s/c1@eth0", folder);
	assert_ok(access(path, F_OK)); // nothing was removed either
	assert_ok(chmod(folder, 0700));
	snprintf(link, sizeof(link), "%s-link", folder);
	assert_ok(symlink(folder, link));
	heard = read_folder(link);
	assert_str_contains(heard.problems, "a link leads there");
	assert_true(records_remove(link, &err) < 0);
	assert_ok(unlink(link));
	heard = read_folder(folder);
	assert_str(heard.problems, "");
	assert_int_equal(heard.found, 0);
	assert_int_equal(access(path, F_OK), -1); // of another boot
	assert_ok(records_remove(folder, &err));
	assert_int_equal(access(folder, F_OK), -1);
	assert_ok(records_remove(folder, &err));
}

// Of two records of one pod the last that is told is right.
static void records_are_told_by_their_age(void **state)
{
	char folder[] = "/tmp/bulkhead-records-XXXXXX", boot[64] = "", container[8];
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	static const int made[] = { 5, 0, 900, 30 }; // 0: not said, by a plugin before this one
	struct heard heard;
	struct err err = { 0 };

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%63s", boot), 1);
	fclose(f);
	assert_non_null(mkdtemp(folder));
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 4; i++) {
			snprintf(container, sizeof(container), "c%d", i);
			write_record(folder, container, boot, made[turn ? 3 - i : i]);
		}
		heard = read_folder(folder);
		assert_str(heard.problems, "");
		assert_str(heard.containers, turn ? "c2 c3 c0 c1 " : "c1 c0 c3 c2 ");
	}
	assert_ok_err(records_remove(folder, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read),
		cmocka_unit_test(a_static_pods_uid_is_none),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_folder_that_others_may_write_is_not_read),
		cmocka_unit_test(records_are_told_by_their_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
