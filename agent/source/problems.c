// SPDX-License-Identifier: Apache-2.0
// problems.c - what is wrong with inputs now.
#include "agent/source/problems.h"

#include <errno.h>
#include <string.h>

struct problem {
	char *where;
	char *text;
};

static bool problem_equal(const void *item, const void *key)
{
	return !strcmp(((const struct problem *)item)->where, key);
}

static void problem_free(struct problem *problem)
{
	free(problem->where);
	free(problem->text);
	free(problem);
}
DEFINE_CLEANUP(struct problem *, problem_free)

void problems_fini(struct problems *problems)
{
	struct problem *problem;
	size_t at = 0;

	while ((problem = hash_next(&problems->table, &at)))
		problem_free(problem);
	hash_fini(&problems->table);
}

static void tell(const struct problems *problems, const char *where, const char *text)
{
	if (problems->events && problems->events->problem)
		problems->events->problem(problems->events->arg, where, text);
}

static int add(struct problems *problems, const char *where, const char *text)
{
	_cleanup_(problem_freep) struct problem *problem = calloc(1, sizeof(*problem));

	if (!problem)
		return -ENOMEM;
	problem->where = strdup(where);
	problem->text = strdup(text);
	if (!problem->where || !problem->text)
		return -ENOMEM;
	if (hash_add(&problems->table, hash_string(where), problem) < 0)
		return -ENOMEM;
	TAKE_PTR(problem);
	tell(problems, where, text);
	return 0;
}

int problems_set(struct problems *problems, const char *where, const char *text)
{
	uint64_t hash = hash_string(where);
	struct problem *problem = hash_find(&problems->table, hash, problem_equal, where);
	char *copy;

	if (!problem)
		return text ? add(problems, where, text) : 0;
	if (!text) {
		hash_remove(&problems->table, hash, problem);
		tell(problems, where, NULL);
		problem_free(problem);
		return 0;
	}
	if (!strcmp(problem->text, text))
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(problem->text);
	problem->text = copy;
	tell(problems, where, text);
	return 0;
}

static int compare_json(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a,
			   *y = *(struct json_object *const *)b;

	return strcmp(json_object_get_string(json_object_object_get(x, "where")),
		      json_object_get_string(json_object_object_get(y, "where")));
}

struct json_object *problems_describe(const struct problems *problems)
{
	struct json_object *list = json_object_new_array();
	const struct problem *problem;
	size_t at = 0;

	while (list && (problem = hash_next(&problems->table, &at))) {
		struct json_object *json = json_object_new_object();

		json_object_object_add(json, "where", json_object_new_string(problem->where));
		json_object_object_add(json, "text", json_object_new_string(problem->text));
		json_object_array_add(list, json);
	}
	if (list)
		json_object_array_sort(list, compare_json);
	return list;
}
