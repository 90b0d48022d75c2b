// SPDX-License-Identifier: Apache-2.0
// base_test.c - err, intern, hash, vec, bitset, file.
#include "tests/harness/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "agent/base/utf8.h"
#include "agent/base/bitset.h"
#include "agent/base/file.h"
#include "agent/base/hash.h"
#include "agent/base/intern.h"
#include "agent/base/vec.h"

static void errors_carry_a_sentence(void **state)
{
	struct err err = { 0 };

	assert_err(err_set(&err, -EINVAL, "%s is %d", "it", 7), -EINVAL);
	assert_str(err.text, "it is 7");
	assert_err(err_wrap(&err, "file %s", "x"), -EINVAL);
	assert_str(err.text, "file x: it is 7");
	assert_err(err_set(NULL, -ENOENT, "nobody reads this"), -ENOENT);
	assert_int_equal(err_wrap(NULL, "x"), 0);
	for (int i = 0; i < 200; i++)
		err_wrap(&err, "context %d", i);
	assert_true(strlen(err.text) < ERR_TEXT_BYTES);
}

static void equal_strings_are_one(void **state)
{
	char text[] = "namespace";
	const char *a = intern("namespace"), *b = intern(text), *c = intern_n("namespaces", 9);
	size_t strings, bytes;

	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	assert_ptr_not_equal(a, text);
	assert_ptr_equal(intern_find(text), a);
	assert_null(intern_find("name"));
	assert_ptr_equal(intern_get(a), a);
	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 1);
	for (int i = 0; i < 4; i++)
		intern_put(a);
	intern_put(NULL);
	assert_null(intern_get(NULL));
	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	assert_int_equal(bytes, 0);
}

static bool same_int(const void *item, const void *key)
{
	return *(const int *)item == *(const int *)key;
}

// Few distinct hashes, so that runs collide, wrap and are closed again.
static uint64_t poor_hash(int value)
{
	return (uint64_t)(value % 13) + 0xfff0;
}

static void tables_survive_collisions(void **state)
{
	static int values[500];
	struct hash table = { 0 };
	size_t at = 0, n = 0;
	int key;

	for (int i = 0; i < 500; i++) {
		values[i] = i;
		assert_ok(hash_add(&table, poor_hash(i), &values[i]));
	}
	for (int i = 0; i < 500; i += 3)
		assert_true(hash_remove(&table, poor_hash(i), &values[i]));
	assert_false(hash_remove(&table, poor_hash(0), &values[0]));
	for (key = 0; key < 500; key++)
		assert_ptr_equal(hash_find(&table, poor_hash(key), same_int, &key),
				 key % 3 ? &values[key] : NULL);
	while (hash_next(&table, &at))
		n++;
	assert_int_equal(n, table.n);
	assert_int_equal(n, 333);
	hash_fini(&table);
	assert_null(hash_find(&table, 1, same_int, &key));
	at = 0;
	assert_null(hash_next(&table, &at));
}

static void items_can_be_replaced(void **state)
{
	struct hash table = { 0 };
	int a = 1, b = 1;

	assert_ok(hash_add(&table, 9, &a));
	hash_replace(&table, 9, &a, &b);
	assert_ptr_equal(hash_find(&table, 9, same_int, &a), &b);
	assert_int_equal(table.n, 1);
	hash_fini(&table);
}

static void hashes_see_every_byte(void **state)
{
	char text[40] = "";

	for (size_t len = 0; len < sizeof(text); len++) {
		uint64_t hash = hash_bytes(text, len);

		assert_true(hash == hash_bytes(text, len));
		for (size_t i = 0; i < len; i++) {
			text[i] ^= 1;
			assert_true(hash != hash_bytes(text, len));
			text[i] ^= 1;
		}
		assert_true(hash != hash_bytes(text, len + 1));
	}
	assert_true(hash_mix(1, 2) != hash_mix(2, 1));
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void vectors_grow(void **state)
{
	VEC(int) vec = { 0 };
	int sum = 0;

	vec_each(int, none, &vec)
		sum += *none;
	for (int i = 99; i >= 0; i--)
		assert_ok(vec_push(&vec, i));
	vec_sort(&vec, compare_ints);
	assert_int_equal(vec.v[42], 42);
	vec_cut(&vec, 0);
	assert_int_equal(vec.v[0], 1);
	vec_drop(&vec, 0);
	assert_int_equal(vec.v[0], 99);
	assert_int_equal(vec.n, 98);
	vec_each(int, item, &vec)
		sum += *item;
	assert_int_equal(sum, 4950 - 1);
	vec_clear(&vec);
	assert_int_equal(vec.n, 0);
	vec_fini(&vec);
	assert_null(vec.v);
}

static void bitsets_find_bits(void **state)
{
	uint64_t set[BITSET_WORDS(130)] = { 0 };

	assert_int_equal(bitset_next(set, 130, 0), 130);
	assert_int_equal(bitset_free(set, 130), 0);
	bitset_set(set, 0);
	bitset_set(set, 63);
	bitset_set(set, 64);
	bitset_set(set, 129);
	assert_int_equal(bitset_next(set, 130, 1), 63);
	assert_int_equal(bitset_next(set, 130, 64), 64);
	assert_int_equal(bitset_next(set, 130, 65), 129);
	assert_int_equal(bitset_free(set, 130), 1);
	assert_int_equal(bitset_count(set, 130), 4);
	bitset_clear(set, 63);
	assert_false(bitset_test(set, 63));
	for (size_t i = 0; i < 130; i++)
		bitset_set(set, i);
	assert_int_equal(bitset_free(set, 130), 130);
}

static void files_are_read_with_a_limit(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];
	char *text = NULL;
	size_t len = 0;

	test_mkdir(dir);
	test_write(dir, "a", "hello");
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_ok(file_read(path, 5, &text, &len));
	assert_str(text, "hello");
	assert_int_equal(len, 5);
	free(text);
	assert_err(file_read(path, 4, &text, &len), -EFBIG);
	assert_err(file_read(dir, 4, &text, &len), -EISDIR);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_err(file_read(path, 4, &text, &len), -EINVAL);
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_err(file_read(path, 4, &text, &len), -ENOENT);
	test_rmdir(dir);
}

static void files_are_replaced_whole(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];
	struct stat st;
	char *text;

	test_mkdir(dir);
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_ok(file_write(path, "one", 3, 0640));
	assert_ok(file_write(path, "second", 6, 0640));
	text = test_read(path, NULL);
	assert_str(text, "second");
	free(text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_err(file_write("/proc/none/x", "a", 1, 0600), -ENOENT);
	test_rmdir(dir);
}

static void test_any_bytes_become_json(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xff\xfe", "\\\\xff\\\\xfe" },
		{ "cut \xc3", "cut \\\\xc3" },
		{ "cut \xe2\x82", "cut \\\\xe2\\\\x82" },
		{ "overlong \xc0\xaf", "overlong \\\\xc0\\\\xaf" },
		{ "surrogate \xed\xa0\x80", "surrogate \\\\xed\\\\xa0\\\\x80" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = 0;
		_cleanup_free_ char *got = utf8_escape_json(cases[i].text, strlen(cases[i].text), &len);

		assert_string_equal(got, cases[i].want);
		assert_int_equal(len, strlen(cases[i].want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_bytes_become_json),
		cmocka_unit_test(errors_carry_a_sentence),
		cmocka_unit_test(equal_strings_are_one),
		cmocka_unit_test(tables_survive_collisions),
		cmocka_unit_test(items_can_be_replaced),
		cmocka_unit_test(hashes_see_every_byte),
		cmocka_unit_test(vectors_grow),
		cmocka_unit_test(bitsets_find_bits),
		cmocka_unit_test(files_are_read_with_a_limit),
		cmocka_unit_test(files_are_replaced_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
