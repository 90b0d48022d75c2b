// SPDX-License-Identifier: Apache-2.0
// option.c - reading a command line by its table.
#include "agent/base/option.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/moment.h"

struct parse {
	const struct option_page *page;
	void *values;
	struct option_list *args;
	struct err *err;
	int argc;
	char *const *argv;
	int at;
	uint64_t seen[4]; // by position over all tables, for `required`
};

static void *value_of(const struct option *option, void *values)
{
	return (char *)values + option->offset;
}

static bool takes_value(const struct option *option)
{
	if (option->kind == OPTION_NAMED)
		return option->arg;
	return option->kind != OPTION_FLAG && option->kind != OPTION_HELP;
}

const struct option *option_find(const struct option *const *tables, const char *name)
{
	while (*name == '-')
		name++;
	for (; *tables; tables++) {
		for (const struct option *option = *tables; option->name; option++) {
			if (!strcmp(option->name, name))
				return option;
		}
	}
	return NULL;
}

static const struct option *find_letter(const struct option *const *tables, char letter)
{
	for (; *tables; tables++) {
		for (const struct option *option = *tables; option->name; option++) {
			if (option->letter && option->letter == letter)
				return option;
		}
	}
	return NULL;
}

static int set_flag(const struct option *option, void *values, const char *text, struct err *reterr)
{
	bool *value = value_of(option, values);

	if (strcmp(text, "true") && strcmp(text, "false"))
		return err_set(reterr, -EINVAL, "--%s: '%s' is neither true nor false",
			       option->name, text);
	*value = text[0] == 't';
	return 0;
}

static int set_bounded(const struct option *option, void *values, const char *text, uint64_t number, struct err *reterr)
{
	uint64_t max = option->max ? option->max : UINT64_MAX;

	if (number < option->min || number > max)
		return err_set(reterr, -EINVAL, "--%s: %s is not in %llu..%llu", option->name, text,
			       (unsigned long long)option->min, (unsigned long long)max);
	*(uint64_t *)value_of(option, values) = number;
	return 0;
}

static int set_number(const struct option *option, void *values, const char *text,
		      struct err *reterr)
{
	unsigned long long number;
	char *end = NULL;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		return err_set(reterr, -EINVAL, "--%s: '%s' is not a whole number", option->name,
			       text);
	return set_bounded(option, values, text, number, reterr);
}

static int set_size(const struct option *option, void *values, const char *text, struct err *reterr)
{
	static const char units[] = "KMG";
	unsigned long long number;
	const char *unit;
	char *end = NULL;

	errno = 0;
	number = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (!isdigit((unsigned char)text[0]) || errno || (*end && (!unit || end[1])) || number > UINT64_MAX >> 30)
		return err_set(reterr, -EINVAL, "--%s: '%s' is not a number of bytes (K, M, G may follow)", option->name, text);
	return set_bounded(option, values, text, unit ? number << 10 * (unit - units + 1) : number, reterr);
}

static int set_duration(const struct option *option, void *values, const char *text, struct err *reterr)
{
	int64_t ns = 0;

	if (strcmp(text, "0") && duration_parse(text, &ns) < 0)
		return err_set(reterr, -EINVAL, "--%s: '%s' is not a duration (30s, 5m, 2h, 7d)", option->name, text);
	return set_bounded(option, values, text, (uint64_t)(ns / MOMENT_SEC_NS), reterr);
}

static int set_choice(const struct option *option, void *values, const char *text,
		      struct err *reterr)
{
	int *value = value_of(option, values);
	const char *choice = option->choices;
	size_t len = strlen(text);

	for (int i = 0; choice; i++) {
		const char *end = strchrnul(choice, '|');

		if ((size_t)(end - choice) == len && !memcmp(choice, text, len)) {
			*value = i;
			return 0;
		}
		choice = *end ? end + 1 : NULL;
	}
	return err_set(reterr, -EINVAL, "--%s: '%s' is none of %s", option->name, text,
		       option->choices);
}

static int list_add(struct option_list *list, const char *text)
{
	if (list->n == OPTION_LIST_MAX)
		return -ENOSPC;
	list->v[list->n++] = text;
	return 0;
}

static int too_often(const struct option *option, struct err *reterr)
{
	return err_set(reterr, -EINVAL, "--%s is given more than %d times", option->name, OPTION_LIST_MAX);
}

static int add_named(const struct option *option, struct option_named *named, const char *text, struct err *reterr)
{
	if (named->n == OPTION_LIST_MAX)
		return too_often(option, reterr);
	named->v[named->n].name = option->name;
	named->v[named->n++].value = option->arg ? text : NULL;
	return 0;
}

int option_set(const struct option *option, void *values, const char *text, struct err *reterr)
{
	switch (option->kind) {
	case OPTION_FLAG:
		return set_flag(option, values, text, reterr);
	case OPTION_TEXT:
		*(const char **)value_of(option, values) = text;
		return 0;
	case OPTION_NUMBER:
		return set_number(option, values, text, reterr);
	case OPTION_SIZE:
		return set_size(option, values, text, reterr);
	case OPTION_DURATION:
		return set_duration(option, values, text, reterr);
	case OPTION_CHOICE:
		return set_choice(option, values, text, reterr);
	case OPTION_LIST:
		if (list_add(value_of(option, values), text) < 0)
			return too_often(option, reterr);
		return 0;
	case OPTION_NAMED:
		return add_named(option, value_of(option, values), text, reterr);
	case OPTION_HELP:
		break;
	}
	return err_set(reterr, -EINVAL, "--%s has no value", option->name);
}

int option_defaults(const struct option *const *tables, void *values, struct err *reterr)
{
	for (; *tables; tables++) {
		for (const struct option *option = *tables; option->name; option++) {
			const char *env = option->env ? getenv(option->env) : NULL;
			const char *text = env && *env ? env : option->fallback;
			int r = text ? option_set(option, values, text, reterr) : 0;

			if (r < 0 && text == env)
				err_wrap(reterr, "environment variable %s", option->env);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

// A mistyped name shares at least two first letters with what was meant, mostly.
static const char *resembling(const struct option *const *tables, const char *name, size_t len)
{
	const char *best = NULL;
	size_t most = 1;

	for (; *tables; tables++) {
		for (const struct option *option = *tables; option->name; option++) {
			size_t same = 0;

			while (same < len && option->name[same] && option->name[same] == name[same])
				same++;
			if (same > most && !option->hidden) {
				most = same;
				best = option->name;
			}
		}
	}
	return best;
}

static int unknown_option(struct parse *parse, const char *text)
{
	const char *name = text + 2;
	const char *near =
		text[1] == '-' ? resembling(parse->page->tables, name, strcspn(name, "=")) : NULL;

	if (near)
		return err_set(parse->err, -EINVAL, "unknown option '%s': did you mean '--%s'?",
			       text, near);
	return err_set(parse->err, -EINVAL, "unknown option '%s'", text);
}

static void mark_seen(struct parse *parse, const struct option *option)
{
	size_t position = 0;

	for (const struct option *const *table = parse->page->tables; *table; table++) {
		for (const struct option *o = *table; o->name; o++, position++) {
			if (o == option && position < 256)
				parse->seen[position / 64] |= 1ull << (position % 64);
		}
	}
}

// value: what stands behind '=' or the letter, NULL: nothing.
static int take_option(struct parse *parse, const struct option *option, const char *value)
{
	if (option->kind == OPTION_HELP && !value)
		return OPTION_WANTS_HELP;
	mark_seen(parse, option);
	if (!takes_value(option) && value)
		return err_set(parse->err, -EINVAL, "--%s takes no value", option->name);
	if (!takes_value(option))
		return option_set(option, parse->values, "true", parse->err);
	if (!value && parse->at + 1 >= parse->argc)
		return err_set(parse->err, -EINVAL, "--%s wants a value: %s", option->name,
			       option->arg);
	if (!value)
		value = parse->argv[++parse->at];
	return option_set(option, parse->values, value, parse->err);
}

static int take_long(struct parse *parse, const char *text)
{
	const struct option *option;
	const char *equals = strchr(text, '=');
	char name[64];
	size_t len = equals ? (size_t)(equals - text) : strlen(text);

	if (len >= sizeof(name))
		return unknown_option(parse, text);
	memcpy(name, text, len);
	name[len] = '\0';
	option = option_find(parse->page->tables, name);
	if (!option)
		return unknown_option(parse, text);
	return take_option(parse, option, equals ? equals + 1 : NULL);
}

static int take_letters(struct parse *parse, const char *text)
{
	for (const char *letter = text + 1; *letter; letter++) {
		const struct option *option = find_letter(parse->page->tables, *letter);
		int r;

		if (!option)
			return unknown_option(parse, text);
		if (takes_value(option))
			return take_option(parse, option, letter[1] ? letter + 1 : NULL);
		r = take_option(parse, option, NULL);
		if (r != 0)
			return r;
	}
	return 0;
}

static int take_argument(struct parse *parse, const char *text)
{
	if (parse->args->n >= parse->page->max_args || list_add(parse->args, text) < 0)
		return err_set(parse->err, -EINVAL, "unexpected argument '%s'", text);
	return 0;
}

static int check_required(const struct parse *parse)
{
	size_t position = 0;

	for (const struct option *const *table = parse->page->tables; *table; table++) {
		for (const struct option *o = *table; o->name; o++, position++) {
			if (!o->required || position >= 256 ||
			    parse->seen[position / 64] >> (position % 64) & 1)
				continue;
			return err_set(parse->err, -EINVAL, "--%s %s is missing", o->name, o->arg);
		}
	}
	if (parse->args->n < parse->page->min_args)
		return err_set(parse->err, -EINVAL, "%s is missing", parse->page->arguments);
	return 0;
}

int option_parse(const struct option_page *page, int argc, char *const *argv, void *values,
		 struct option_list *retargs, struct err *reterr)
{
	struct parse parse = {page, values, retargs, reterr, argc, argv, .at = 1};
	bool options = true;

	assert(page);
	assert(retargs);

	retargs->n = 0;
	for (; parse.at < argc; parse.at++) {
		const char *text = argv[parse.at];
		int r;

		if (options && !strcmp(text, "--")) {
			options = false;
			continue;
		}
		if (!options || text[0] != '-' || !text[1])
			r = take_argument(&parse, text);
		else if (text[1] == '-')
			r = take_long(&parse, text);
		else
			r = take_letters(&parse, text);
		if (r != 0)
			return r;
	}
	return check_required(&parse);
}
