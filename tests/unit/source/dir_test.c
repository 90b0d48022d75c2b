// SPDX-License-Identifier: Apache-2.0
// dir_test.c - a directory that changes under the source: the loop runs until the batch is told.
#include "tests/harness/test.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/source/source.h"

#define DEADLINE_SEC 10

struct rig {
	char dir[PATH_MAX];
	struct event_base *base;
	struct store *store;
	struct source *source;
	int batches; // told since the last wait
	int problems; // changes of problems told
	char story[1024]; // what the store told: "+ns/name -ns/name"
	char last_where[PATH_MAX], last_text[1024];
};

static void on_batch(void *arg)
{
	struct rig *rig = arg;

	rig->batches++;
	event_base_loopbreak(rig->base);
}

static void on_problem(void *arg, const char *where, const char *text)
{
	struct rig *rig = arg;

	rig->problems++;
	snprintf(rig->last_where, sizeof(rig->last_where), "%s", where);
	snprintf(rig->last_text, sizeof(rig->last_text), "%s", text ? text : "");
	event_base_loopbreak(rig->base);
}

static void on_changed(void *arg, const struct object *before, const struct object *after)
{
	struct rig *rig = arg;
	size_t len = strlen(rig->story);
	char title[512];

	snprintf(rig->story + len, sizeof(rig->story) - len, "%s%s%s", len ? " " : "",
		 !before ? "+" :
		 !after  ? "-" :
			   "~",
		 object_title(after ? after : before, title, sizeof(title)));
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

// Runs the loop until *counter moves.
static void wait_for(struct rig *rig, int *counter)
{
	const struct timeval deadline = { DEADLINE_SEC, 0 };
	bool late = false;
	struct event *timer = evtimer_new(rig->base, on_deadline, &late);
	int before = *counter;

	event_add(timer, &deadline);
	while (*counter == before && !late)
		assert_true(event_base_loop(rig->base, EVLOOP_ONCE) >= 0);
	event_free(timer);
	if (late)
		fail_msg("nothing happened in %d s; story: %s", DEADLINE_SEC, rig->story);
}

static void wait_story(struct rig *rig, const char *want)
{
	rig->story[0] = '\0';
	wait_for(rig, &rig->batches);
	assert_str(rig->story, want);
}

static void write_pod(struct rig *rig, const char *file, const char *name, const char *address)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nstatus: {podIP: %s}\n", name,
		 address);
	test_write(rig->dir, file, text);
}

static bool pod_is(const struct rig *rig, const char *name, const char *address)
{
	const struct pod *pod =
		(const struct pod *)store_find(rig->store, KIND_POD, "default", name);
	char buf[64];

	return pod && pod->naddrs && !strcmp(addr_format(pod->addrs, buf, sizeof(buf)), address);
}

static void open_source(struct rig *rig)
{
	const struct source_events events = { rig, on_batch, on_problem };
	char spec[PATH_MAX + 8];
	struct err err = { 0 };

	snprintf(spec, sizeof(spec), "dir:%s/", rig->dir);
	assert_ok_err(source_open(spec, rig->base, rig->store, &events, &rig->source, &err), &err);
	assert_true(rig->source->ops->synced(rig->source));
	wait_for(rig, &rig->batches);
}

static void change_name(struct rig *rig, const char *from, const char *to)
{
	char a[PATH_MAX + 64], b[PATH_MAX + 64];

	snprintf(a, sizeof(a), "%s/%s", rig->dir, from);
	snprintf(b, sizeof(b), "%s/%s", rig->dir, to);
	assert_int_equal(rename(a, b), 0);
}

static void remove_name(struct rig *rig, const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	assert_int_equal(remove(path), 0);
}

static void make_folder(struct rig *rig, const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void files_come_change_and_go(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	open_source(rig);
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	write_pod(rig, "b.yml", "b", "10.0.0.2");
	wait_story(rig, "+default/b");
	write_pod(rig, "a.yaml", "a", "10.0.0.9");
	wait_story(rig, "~default/a");
	assert_true(pod_is(rig, "a", "10.0.0.9"));
	remove_name(rig, "b.yml");
	wait_story(rig, "-default/b");
	test_write_atomic(rig->dir, "a.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: c}}");
	wait_story(rig, "+default/c -default/a");
	change_name(rig, "a.yaml", "a.txt");
	wait_story(rig, "-default/c");
	assert_int_equal(rig->problems, 0);
}

static void one_burst_is_one_batch(void **state)
{
	struct rig *rig = *state;
	char file[32], name[32];

	open_source(rig);
	for (int i = 0; i < 100; i++) {
		snprintf(file, sizeof(file), "f%d.yaml", i);
		snprintf(name, sizeof(name), "p%d", i);
		write_pod(rig, file, name, "10.0.0.1");
	}
	rig->batches = 0;
	wait_for(rig, &rig->batches);
	assert_int_equal(store_count(rig->store, KIND_POD), 100);
	assert_int_equal(rig->batches, 1);
}

static void a_moved_object_is_never_gone(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	open_source(rig);
	change_name(rig, "a.yaml", "b.yaml");
	write_pod(rig, "c.yaml", "c", "10.0.0.3");
	wait_story(rig, "+default/c");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
}

static void a_broken_file_keeps_what_it_held(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	open_source(rig);
	test_write(rig->dir, "a.yaml", "apiVersion: v1\nkind: [\n");
	wait_for(rig, &rig->problems);
	assert_str_contains(rig->last_where, "/a.yaml");
	assert_str_contains(rig->last_text, "line 3: ");
	assert_str_contains(rig->last_text, "the objects that it held stay");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	write_pod(rig, "a.yaml", "a", "10.0.0.2");
	wait_story(rig, "~default/a");
	assert_int_equal(rig->problems, 2);
	assert_str(rig->last_text, "");
}

static void a_refused_object_keeps_its_predecessor(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	open_source(rig);
	test_write(rig->dir, "a.yaml",
		   "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {x: 1}}}\n---\n"
		   "{apiVersion: v1, kind: Pod, metadata: {name: b}}\n");
	wait_story(rig, "+default/b");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	assert_str_contains(rig->last_where, "/a.yaml: Pod default/a");
	assert_str_starts(rig->last_text, "metadata.labels: ");
}

static void of_two_files_the_last_path_counts(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, "b.yaml", "a", "10.0.0.2");
	open_source(rig);
	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	wait_for(rig, &rig->problems);
	assert_true(pod_is(rig, "a", "10.0.0.2"));
	assert_str_contains(rig->last_where, "/a.yaml: Pod default/a: duplicate");
	assert_str_contains(rig->last_text, "/b.yaml, which is used");
	remove_name(rig, "b.yaml");
	wait_story(rig, "~default/a");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	assert_int_equal(rig->problems, 2);
	assert_str(rig->last_text, "");
}

static void an_object_twice_in_a_file(void **state)
{
	struct rig *rig = *state;

	test_write(
		rig->dir, "a.yaml",
		"{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIP: 10.0.0.1}}\n---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIP: 10.0.0.2}}\n");
	open_source(rig);
	assert_true(pod_is(rig, "a", "10.0.0.2"));
	assert_str_contains(rig->last_text, "stands twice in the file");
}

static void folders_are_followed(void **state)
{
	struct rig *rig = *state;

	make_folder(rig, "one");
	write_pod(rig, "one/a.yaml", "a", "10.0.0.1");
	open_source(rig);
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	make_folder(rig, "two");
	make_folder(rig, "two/three");
	write_pod(rig, "two/three/b.yaml", "b", "10.0.0.2");
	wait_story(rig, "+default/b");
	write_pod(rig, "two/three/c.yaml", "c", "10.0.0.3");
	wait_story(rig, "+default/c");
	remove_name(rig, "one/a.yaml");
	remove_name(rig, "one");
	wait_story(rig, "-default/a");
	change_name(rig, "two", "four");
	write_pod(rig, "four/three/c.yaml", "c", "10.0.0.4");
	wait_story(rig, "~default/c");
}

static void link_name(struct rig *rig, const char *target, const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	assert_int_equal(symlink(target, path), 0);
}

// As the kubelet writes a ConfigMap volume.
static void volumes_swap_by_link(void **state)
{
	struct rig *rig = *state;

	make_folder(rig, "..v1");
	write_pod(rig, "..v1/a.yaml", "a", "10.0.0.1");
	link_name(rig, "..v1", "..data");
	link_name(rig, "..data/a.yaml", "a.yaml");
	open_source(rig);
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	assert_int_equal(store_count(rig->store, KIND_POD), 1);
	make_folder(rig, "..v2");
	write_pod(rig, "..v2/a.yaml", "a", "10.0.0.2");
	link_name(rig, "..v2", "..data_tmp");
	change_name(rig, "..data_tmp", "..data");
	wait_story(rig, "~default/a");
	assert_true(pod_is(rig, "a", "10.0.0.2"));
	assert_int_equal(rig->problems, 0);
}

static void the_target_of_a_link_is_written_goes_and_returns(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, ".there.yaml", "a", "10.0.0.1");
	link_name(rig, ".there.yaml", "a.yaml");
	open_source(rig);
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	write_pod(rig, ".there.yaml", "a", "10.0.0.20");
	wait_story(rig, "~default/a");
	assert_true(pod_is(rig, "a", "10.0.0.20"));
	change_name(rig, ".there.yaml", ".away.yaml");
	wait_story(rig, "-default/a");
	change_name(rig, ".away.yaml", ".there.yaml");
	wait_story(rig, "+default/a");
}

static void a_folder_too_deep_is_named(void **state)
{
	char path[256] = "d0", file[300];
	struct rig *rig = *state;

	make_folder(rig, path);
	for (int i = 1; i < 9; i++) {
		size_t len = strlen(path);

		snprintf(path + len, sizeof(path) - len, "/d%d", i);
		make_folder(rig, path);
	}
	snprintf(file, sizeof(file), "%s/a.yaml", path);
	write_pod(rig, file, "a", "10.0.0.1");
	open_source(rig);
	assert_int_equal(store_count(rig->store, KIND_POD), 0);
	assert_int_equal(rig->problems, 1);
	assert_str_contains(rig->last_where, path);
	assert_str_contains(rig->last_text, "too deep");
	snprintf(file, sizeof(file), "%s", path);
	change_name(rig, file, "d9");
	wait_story(rig, "+default/a");
	assert_str(rig->last_text, "");
}

static void set_mode(struct rig *rig, const char *name, mode_t mode)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	assert_int_equal(chmod(path, mode), 0);
}

// As somebody to whom modes matter.
static void an_unreadable_folder_keeps_what_it_held(void **state)
{
	struct rig *rig = *state;

	make_folder(rig, "in");
	set_mode(rig, "", 0755);
	set_mode(rig, "in", 0755);
	write_pod(rig, "in/a.yaml", "a", "10.0.0.1");
	setfsuid(65534);
	open_source(rig);
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	setfsuid(0);
	set_mode(rig, "in", 0700); // it cannot be opened
	write_pod(rig, "in/a.yaml", "a", "10.0.0.2");
	setfsuid(65534);
	wait_for(rig, &rig->problems);
	setfsuid(0);
	make_folder(rig, "more");
	setfsuid(65534);
	wait_for(rig, &rig->problems);
	assert_str_contains(rig->last_where, "/in");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	setfsuid(0);
	set_mode(rig, "in", 0755);
	setfsuid(65534);
	wait_story(rig, "~default/a");
	setfsuid(0);
	assert_true(pod_is(rig, "a", "10.0.0.2"));
	assert_str(rig->last_text, "");
}

static void a_removed_directory_keeps_its_objects(void **state)
{
	struct rig *rig = *state;

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	open_source(rig);
	test_rmdir(rig->dir);
	wait_for(rig, &rig->problems);
	assert_str(rig->last_where, rig->dir);
	assert_str_contains(rig->last_text, "what was read of the folder stays in force");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	assert_int_equal(mkdir(rig->dir, 0700), 0);
	write_pod(rig, "a.yaml", "a", "10.0.0.5");
	wait_story(rig, "~default/a");
	write_pod(rig, "a.yaml", "a", "10.0.0.6");
	wait_story(rig, "~default/a");
	assert_str(rig->last_text, "");
}

// A rescan meets a file in the middle of its writing: what it held stays until the writer closes it.
static void a_file_in_the_middle_of_writing(void **state)
{
	struct rig *rig = *state;
	char path[PATH_MAX + 16];
	FILE *f;

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	open_source(rig);
	snprintf(path, sizeof(path), "%s/a.yaml", rig->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	make_folder(rig, "sub"); // a rescan
	write_pod(rig, "b.yaml", "b", "10.0.0.2");
	wait_story(rig, "+default/b");
	assert_true(pod_is(rig, "a", "10.0.0.1"));
	fputs("{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIP: 10.0.0.7}}\n", f);
	fclose(f);
	wait_story(rig, "~default/a");
	assert_true(pod_is(rig, "a", "10.0.0.7"));
	assert_str(rig->last_text, "");
}

static long queue_length(void)
{
	_cleanup_free_ char *text = test_read("/proc/sys/fs/inotify/max_queued_events", NULL);

	return strtol(text, NULL, 10);
}

// More events than the kernel queues: the last ones are lost, their files' contents are not.
static void lost_events_lose_nothing(void **state)
{
	struct rig *rig = *state;
	long events = queue_length();

	write_pod(rig, "a.yaml", "a", "10.0.0.1");
	write_pod(rig, "b.yaml", "b", "10.0.0.1");
	open_source(rig);
	if (events > 65536)
		skip();
	for (long i = 0; i < events / 2 + 8; i++) {
		write_pod(rig, "a.yaml", "a", "10.0.0.2");
		write_pod(rig, "b.yaml", "b", "10.0.0.3");
	}
	write_pod(rig, "c.yaml", "c", "10.0.0.4");
	while (!pod_is(rig, "c", "10.0.0.4"))
		wait_for(rig, &rig->batches);
	assert_true(pod_is(rig, "a", "10.0.0.2"));
	assert_true(pod_is(rig, "b", "10.0.0.3"));
}

static void the_source_describes_itself(void **state)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct rig *rig = *state;

	test_write(rig->dir, "a.yaml", "a: [");
	test_write(rig->dir, "b.yaml", "{apiVersion: v1, kind: ConfigMap}");
	open_source(rig);
	json = rig->source->ops->describe(rig->source);
	assert_str(json_object_get_string(json_object_object_get(json, "kind")), "dir");
	assert_str(json_object_get_string(json_object_object_get(json, "path")), rig->dir);
	assert_int_equal(json_object_get_int(json_object_object_get(json, "files")), 2);
	assert_int_equal(json_object_array_length(json_object_object_get(json, "problems")), 1);
}

static void bad_specs_have_a_sentence(void **state)
{
	struct rig *rig = *state;
	struct source *source = NULL;
	struct err err = { 0 };

	assert_err(source_open("ftp:x", rig->base, rig->store, NULL, &source, &err), -EINVAL);
	assert_str_contains(err.text, "unknown source \"ftp\"");
	assert_err(source_open("dir:", rig->base, rig->store, NULL, &source, &err), -EINVAL);
	assert_err(source_open("dir:/no/such", rig->base, rig->store, NULL, &source, &err),
		   -ENOENT);
	assert_str(err.text, "/no/such: No such file or directory");
	assert_err(source_open("dir:/dev/null", rig->base, rig->store, NULL, &source, &err),
		   -ENOTDIR);
	assert_null(source);
	source_close(NULL);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	test_mkdir(rig->dir);
	rig->base = event_base_new();
	assert_non_null(rig->base);
	assert_ok(store_new(&rig->store));
	assert_ok(store_subscribe(rig->store, on_changed, rig));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	size_t strings, bytes;

	source_close(rig->source);
	store_free(rig->store);
	event_base_free(rig->base);
	test_rmdir(rig->dir);
	free(rig);
	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_come_change_and_go),
		TEST(one_burst_is_one_batch),
		TEST(a_moved_object_is_never_gone),
		TEST(a_broken_file_keeps_what_it_held),
		TEST(a_refused_object_keeps_its_predecessor),
		TEST(of_two_files_the_last_path_counts),
		TEST(an_object_twice_in_a_file),
		TEST(folders_are_followed),
		TEST(volumes_swap_by_link),
		TEST(the_target_of_a_link_is_written_goes_and_returns),
		TEST(a_folder_too_deep_is_named),
		TEST(an_unreadable_folder_keeps_what_it_held),
		TEST(a_removed_directory_keeps_its_objects),
		TEST(a_file_in_the_middle_of_writing),
		TEST(lost_events_lose_nothing),
		TEST(the_source_describes_itself),
		TEST(bad_specs_have_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
