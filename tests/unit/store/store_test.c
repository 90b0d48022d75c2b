// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "agent/base/intern.h"
#include "agent/store/store.h"

static struct object *pod(const char *ns, const char *name, const char *address)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct object *object = NULL;
	struct err err = { 0 };
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'namespace':'%s','name':'%s'},'status':{'podIP':'%s'}}", ns, name,
		 address);
	json = test_json(text);
	assert_ok_err(object_parse(KIND_POD, json, &object, &err), &err);
	return object;
}

struct told {
	int n;
	char before[64], after[64];
	const struct store *store;
	const struct object *in_force;
};

static void describe(const struct object *object, char *buf, size_t bytes)
{
	if (object)
		object_title(object, buf, bytes);
	else
		snprintf(buf, bytes, "-");
}

static void on_changed(void *arg, const struct object *before, const struct object *after)
{
	const struct object *object = after ? after : before;
	struct told *told = arg;

	told->n++;
	describe(before, told->before, sizeof(told->before));
	describe(after, told->after, sizeof(told->after));
	told->in_force = store_find(told->store, object->kind, object->ns, object->name);
}

static void changes_are_told_when_they_are_in_force(void **state)
{
	_cleanup_(store_freep) struct store *store = NULL;
	struct told told = { 0 };
	struct object *first = pod("shop", "web", "10.0.0.1");

	assert_ok(store_new(&store));
	told.store = store;
	assert_ok(store_subscribe(store, on_changed, &told));
	assert_int_equal(store_put(store, first), 1);
	assert_str(told.before, "-");
	assert_str(told.after, "shop/web");
	assert_ptr_equal(told.in_force, first);
	assert_int_equal(store_put(store, pod("shop", "web", "10.0.0.1")), 0);
	assert_int_equal(told.n, 1);
	assert_int_equal(store_put(store, pod("shop", "web", "10.0.0.2")), 1);
	assert_str(told.before, "shop/web");
	assert_int_equal(store_generation(store), 2);
	assert_int_equal(store_remove(store, KIND_POD, "shop", "web"), 1);
	assert_str(told.after, "-");
	assert_null(told.in_force);
	assert_int_equal(store_remove(store, KIND_POD, "shop", "web"), 0);
	assert_int_equal(told.n, 3);
	assert_int_equal(store_generation(store), 3);
}

static void objects_are_found_by_kind_namespace_and_name(void **state)
{
	_cleanup_(store_freep) struct store *store = NULL;
	char ns[] = "shop"; // not interned

	assert_ok(store_new(&store));
	store_put(store, pod("shop", "web", "10.0.0.1"));
	store_put(store, pod("other", "web", "10.0.0.2"));
	assert_non_null(store_find(store, KIND_POD, ns, "web"));
	assert_null(store_find(store, KIND_POD, ns, "db"));
	assert_null(store_find(store, KIND_SERVICE, ns, "web"));
	assert_null(store_find(store, KIND_POD, NULL, "web"));
	assert_null(store_find(store, KIND_POD, "nowhere", "web"));
	assert_int_equal(store_count(store, KIND_POD), 2);
	assert_int_equal(store_count(store, KIND_NODE), 0);
}

static int count(void *arg, const struct object *object)
{
	(*(int *)arg)++;
	return 0;
}

static int stop(void *arg, const struct object *object)
{
	return 7;
}

static void a_namespace_is_walked_alone(void **state)
{
	_cleanup_(store_freep) struct store *store = NULL;
	int n = 0;

	assert_ok(store_new(&store));
	for (int i = 0; i < 300; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%d", i);
		store_put(store, pod(i % 3 ? "a" : "b", name, "10.0.0.1"));
	}
	assert_int_equal(store_each(store, KIND_POD, "a", count, &n), 0);
	assert_int_equal(n, 200);
	n = 0;
	store_each(store, KIND_POD, NULL, count, &n);
	assert_int_equal(n, 300);
	n = 0;
	store_each(store, KIND_POD, "c", count, &n);
	assert_int_equal(n, 0);
	assert_int_equal(store_each(store, KIND_POD, "b", stop, NULL), 7);
	for (int i = 0; i < 300; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(store_remove(store, KIND_POD, i % 3 ? "a" : "b", name), 1);
	}
	assert_int_equal(store_count(store, KIND_POD), 0);
}

static bool has_addr(const struct store *store, const char *text, bool lent)
{
	const struct object *object = store_find(store, KIND_POD, "shop", "web");
	const struct pod *pod = (const struct pod *)object;
	struct bh_addr addr;

	assert_ok(addr_parse(text, &addr));
	return pod && pod->naddrs == 1 && bh_addr_equal(&pod->addrs[0], &addr) && pod->lent == lent;
}

static void addresses_are_lent_until_the_object_has_its_own(void **state)
{
	_cleanup_(store_freep) struct store *store = NULL;
	struct told told = { 0 };
	struct bh_addr addr, other;

	assert_ok(store_new(&store));
	told.store = store;
	assert_ok(store_subscribe(store, on_changed, &told));
	assert_ok(addr_parse("10.0.0.7", &addr));
	assert_ok(addr_parse("10.0.0.8", &other));
	assert_ok(store_lend(store, "shop", "web", NULL, &addr, 1));
	assert_int_equal(told.n, 0);
	assert_int_equal(store_put(store, pod("shop", "web", "")), 1);
	assert_true(has_addr(store, "10.0.0.7", true));
	assert_int_equal(store_put(store, pod("shop", "web", "")), 0); // as it was
	assert_ok(store_lend(store, "shop", "web", NULL, &other, 1));
	assert_true(has_addr(store, "10.0.0.8", true));
	assert_int_equal(store_put(store, pod("shop", "web", "10.0.0.9")), 1);
	assert_true(has_addr(store, "10.0.0.9", false));
	assert_ok(store_recall(store, "shop", "web"));
	assert_true(has_addr(store, "10.0.0.9", false));
}

static void what_is_lent_goes_back(void **state)
{
	_cleanup_(store_freep) struct store *store = NULL;
	const struct object *object;
	struct bh_addr addr;

	assert_ok(store_new(&store));
	assert_ok(addr_parse("10.0.0.7", &addr));
	store_put(store, pod("shop", "web", ""));
	assert_ok(store_lend(store, "shop", "web", "another", &addr, 1)); // its object has no such UID
	object = store_find(store, KIND_POD, "shop", "web");
	assert_int_equal(((const struct pod *)object)->naddrs, 0);
	assert_ok(store_lend(store, "shop", "web", NULL, &addr, 1));
	assert_true(has_addr(store, "10.0.0.7", true));
	assert_ok(store_recall(store, "shop", "web"));
	object = store_find(store, KIND_POD, "shop", "web");
	assert_int_equal(((const struct pod *)object)->naddrs, 0);
	assert_false(((const struct pod *)object)->lent);
}

static int nothing_is_left(void **state)
{
	size_t strings, bytes;

	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(changes_are_told_when_they_are_in_force),
		TEST(objects_are_found_by_kind_namespace_and_name),
		TEST(a_namespace_is_walked_alone),
		TEST(addresses_are_lent_until_the_object_has_its_own),
		TEST(what_is_lent_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
