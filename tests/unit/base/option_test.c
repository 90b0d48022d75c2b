// SPDX-License-Identifier: Apache-2.0
// option_test.c - command lines read by a table, and the pages made of it.
#include "tests/harness/test.h"

#include "agent/base/option.h"

struct values {
	bool follow, quiet;
	const char *node;
	uint64_t port;
	int format;
	struct option_list paths;
	struct option_named terms;
};

#define FIELD(field) offsetof(struct values, field)

static const struct option own[] = {
	{ "follow", 'f', OPTION_FLAG, FIELD(follow), .help = "go on printing" },
	{ "quiet", 'q', OPTION_FLAG, FIELD(quiet), .help = "say less" },
	{ "node", 'n', OPTION_TEXT, FIELD(node), "NAME", "this node's name",
	  .env = "OPTION_TEST_NODE" },
	{ "port", 'p', OPTION_NUMBER, FIELD(port), "N", "the port", "80", .min = 1, .max = 65535 },
	{ "path", 0, OPTION_LIST, FIELD(paths), "PATH", "a path. \\ 'quoted'", .complete = "file" },
	{ "from", 0, OPTION_NAMED, FIELD(terms), "END", "a source" },
	{ "to", 0, OPTION_NAMED, FIELD(terms), "END", "a destination" },
	{ "not", 0, OPTION_NAMED, FIELD(terms), .help = "none of the next" },
	{ "secret", 0, OPTION_FLAG, FIELD(quiet), .help = "not shown", .hidden = true },
	{ NULL },
};
static const struct option common[] = {
	{ "output", 'o', OPTION_CHOICE, FIELD(format), "FORMAT", "text or JSON", "text",
	  .choices = "text|json" },
	{ "help", 'h', OPTION_HELP, .help = "this help" },
	{ NULL },
};
static const struct option *const tables[] = { own, common, NULL };

static const struct option_note notes[] = { { "EXAMPLES", "  prog list x" }, { NULL } };

static const struct option_page page = {
	.program = "prog",
	.verb = "list all",
	.arguments = "[ARG]",
	.summary = "list things",
	.text = "First.\n\n.second starts with a dot\n\n'third with a quote",
	.tables = tables,
	.notes = notes,
	.complete = "things",
	.max_args = 2,
	.section = 1,
};

static int parse(const struct option_page *which, const char *line, struct values *values,
		 struct option_list *args, struct err *err)
{
	char copy[512], *argv[32] = { (char *)"prog" }, *rest = copy;
	// Texts are borrowed from the line: it outlives the call.
	static char kept[16][512];
	static unsigned next;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	rest = memcpy(kept[next++ % 16], copy, sizeof(copy));
	for (char *word; (word = strsep(&rest, " "));) {
		if (*word)
			argv[argc++] = word;
	}
	*values = (struct values){ 0 };
	assert_ok(option_defaults(which->tables, values, err));
	return option_parse(which, argc, argv, values, args, err);
}

static void reads_every_form(void **state)
{
	struct option_list args;
	struct values values;
	struct err err = { 0 };

	assert_ok_err(parse(&page, "-fq one --node=n1 -p 7 --output json two --path a --path=b",
			    &values, &args, &err),
		      &err);
	assert_true(values.follow && values.quiet);
	assert_str(values.node, "n1");
	assert_int_equal(values.port, 7);
	assert_int_equal(values.format, 1);
	assert_int_equal(values.paths.n, 2);
	assert_str(values.paths.v[1], "b");
	assert_int_equal(args.n, 2);
	assert_str(args.v[1], "two");

	assert_ok_err(parse(&page, "-fp81 -ojson -- -x", &values, &args, &err), &err);
	assert_int_equal(values.port, 81);
	assert_str(args.v[0], "-x");
	assert_ok_err(parse(&page, "-", &values, &args, &err), &err);
	assert_str(args.v[0], "-");
}

static void defaults_come_from_environment_first(void **state)
{
	struct option_list args;
	struct values values;
	struct err err = { 0 };

	assert_ok(parse(&page, "", &values, &args, &err));
	assert_null(values.node);
	assert_int_equal(values.port, 80);
	setenv("OPTION_TEST_NODE", "from-env", 1);
	assert_ok(parse(&page, "", &values, &args, &err));
	assert_str(values.node, "from-env");
	assert_ok(parse(&page, "--node given", &values, &args, &err));
	assert_str(values.node, "given");
	unsetenv("OPTION_TEST_NODE");
}

static void sizes_and_durations(void **state)
{
	static const struct {
		enum option_kind kind;
		const char *text;
		uint64_t want;
	} cases[] = {
		{ OPTION_SIZE, "7", 7 }, { OPTION_SIZE, "64K", 65536 }, { OPTION_SIZE, "1M", 1 << 20 }, { OPTION_SIZE, "2G", 2ull << 30 },
		{ OPTION_DURATION, "0", 0 }, { OPTION_DURATION, "90", 90 }, { OPTION_DURATION, "1h30m", 5400 }, { OPTION_DURATION, "7d", 604800 },
	};
	static const struct {
		enum option_kind kind;
		const char *text, *want;
	} bad[] = {
		{ OPTION_SIZE, "", "--x: '' is not a number of bytes (K, M, G may follow)" }, { OPTION_SIZE, "1T", "--x: '1T' is not" },
		{ OPTION_SIZE, "1KB", "--x: '1KB' is not" }, { OPTION_SIZE, "-1", "--x: '-1' is not" }, { OPTION_SIZE, "M", "--x: 'M' is not" },
		{ OPTION_SIZE, "99999999999999999G", "--x: '99999999999999999G' is not" }, { OPTION_SIZE, "3G", "--x: 3G is not in 0..2147483648" },
		{ OPTION_DURATION, "5x", "--x: '5x' is not a duration (30s, 5m, 2h, 7d)" }, { OPTION_DURATION, "", "--x: '' is not" },
	};
	struct option option = { .name = "x", .max = 2ull << 30 };
	struct err err = { 0 };
	uint64_t value = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		option.kind = cases[i].kind;
		assert_ok_err(option_set(&option, &value, cases[i].text, &err), &err);
		assert_int_equal(value, cases[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		option.kind = bad[i].kind;
		assert_err(option_set(&option, &value, bad[i].text, &err), -EINVAL);
		assert_str_starts(err.text, bad[i].want);
	}
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ "--folow", "did you mean '--follow'" },
		{ "--zzz", "unknown option '--zzz'" },
		{ "-z", "unknown option '-z'" },
		{ "-fz", "unknown option '-fz'" },
		{ "--node", "--node wants a value: NAME" },
		{ "-n", "--node wants a value" },
		{ "--follow=yes", "takes no value" },
		{ "--help=yes", "takes no value" },
		{ "--port 0", "not in 1..65535" },
		{ "--port 65536", "not in 1..65535" },
		{ "--port -1", "not a whole number" },
		{ "--port 1x", "not a whole number" },
		{ "--port=", "not a whole number" },
		{ "--port 99999999999999999999", "not a whole number" },
		{ "-o xml", "none of text|json" },
		{ "-o jso", "none of" },
		{ "-o=json", "none of" },
		{ "a b c", "unexpected argument 'c'" },
		{ "--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "unknown option" },
	};
	struct option_list args;
	struct values values;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = { 0 };

		assert_err(parse(&page, cases[i].line, &values, &args, &err), -EINVAL);
		assert_str_contains(err.text, cases[i].part);
	}
}

static void required_things_are_asked_for(void **state)
{
	static const struct option needs[] = {
		{ "from", 0, OPTION_TEXT, FIELD(node), "END", "where from", .required = true },
		{ NULL },
	};
	static const struct option *const need_tables[] = { needs, common, NULL };
	const struct option_page need = { .program = "prog",
					  .arguments = "NAME",
					  .summary = "x",
					  .tables = need_tables,
					  .min_args = 1,
					  .max_args = 1 };
	struct option_list args;
	struct values values;
	struct err err = { 0 };

	assert_err(parse(&need, "x", &values, &args, &err), -EINVAL);
	assert_str(err.text, "--from END is missing");
	assert_err(parse(&need, "--from x", &values, &args, &err), -EINVAL);
	assert_str(err.text, "NAME is missing");
	assert_ok(parse(&need, "--from x y", &values, &args, &err));
	assert_int_equal(parse(&need, "--help", &values, &args, &err), OPTION_WANTS_HELP);
}

static void lists_have_an_end(void **state)
{
	struct values values = { 0 };
	struct err err = { 0 };
	const struct option *path = option_find(tables, "--path");

	for (int i = 0; i < OPTION_LIST_MAX; i++)
		assert_ok(option_set(path, &values, "x", &err));
	assert_err(option_set(path, &values, "x", &err), -EINVAL);
	assert_err(option_set(option_find(tables, "follow"), &values, "maybe", &err), -EINVAL);
	assert_ok(option_set(option_find(tables, "follow"), &values, "true", &err));
	assert_true(values.follow);
	assert_null(option_find(tables, "nothing"));
}

static void named_ones_keep_their_order(void **state)
{
	static const char *const want[][2] = { { "to", "a" }, { "not", NULL }, { "from", "b" }, { "to", "c" } };
	struct values values = { 0 };
	struct option_list args;
	struct err err = { 0 };

	assert_ok(parse(&page, "--to a --not --from=b x --to c", &values, &args, &err));
	assert_int_equal(values.terms.n, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_str(values.terms.v[i].name, want[i][0]);
		if (want[i][1])
			assert_str(values.terms.v[i].value, want[i][1]);
		else
			assert_null(values.terms.v[i].value);
	}
	assert_err(parse(&page, "--not=x", &values, &args, &err), -EINVAL);
	assert_str(err.text, "--not takes no value");
	assert_err(parse(&page, "--from", &values, &args, &err), -EINVAL);
	for (size_t i = values.terms.n; i < OPTION_LIST_MAX; i++)
		assert_ok(option_set(option_find(tables, "from"), &values, "x", &err));
	assert_err(option_set(option_find(tables, "not"), &values, "true", &err), -EINVAL);
	assert_str(err.text, "--not is given more than 256 times");
}

static char *print_help(const struct option_page *which)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	option_help(out, which);
	fclose(out);
	return text;
}

static void help_tells_all_but_hidden(void **state)
{
	_cleanup_free_ char *text = print_help(&page);

	assert_str_starts(text, "usage: prog list all [OPTION...] [ARG]\n");
	assert_str_contains(text, "-f, --follow");
	assert_str_contains(text, "the port (default: 80)");
	assert_str_contains(text, "[OPTION_TEST_NODE]");
	assert_str_contains(text, "EXAMPLES:");
	assert_str_lacks(text, "secret");
}

static void pages_are_sound_roff(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	char name[64];

	option_man(out, &page, "1.2");
	fclose(out);
	assert_str(option_page_name(&page, name, sizeof(name)), "prog-list-all");
	assert_str_contains(text, ".TH \"PROG-LIST-ALL\" 1");
	assert_str_contains(text, "prog\\-list\\-all \\- list things");
	assert_str_contains(text, "\\fB\\-\\-follow\\fR");
	assert_str_contains(text, "\n\\&.second");
	assert_str_contains(text, "\n\\&'third");
	assert_str_contains(text, "\\e");
	assert_str_lacks(text, "secret");
}

static void completion_knows_every_option(void **state)
{
	const struct option_page program = { .program = "prog", .summary = "x", .tables = tables };
	const struct option_page *const pages[] = { &program, &page };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	option_completion(out, pages, 2);
	fclose(out);
	assert_str_contains(text, "|list|list all|");
	assert_str_contains(
		text,
		"\"list all --output\" | \"list all -o\") COMPREPLY=($(compgen -W \"text json\"");
	assert_str_contains(text, "compgen -f");
	assert_str_contains(text, "prog __complete things");
	assert_str_lacks(text, "secret");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_form),
		cmocka_unit_test(defaults_come_from_environment_first),
		cmocka_unit_test(sizes_and_durations),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(required_things_are_asked_for),
		cmocka_unit_test(lists_have_an_end),
		cmocka_unit_test(named_ones_keep_their_order),
		cmocka_unit_test(help_tells_all_but_hidden),
		cmocka_unit_test(pages_are_sound_roff),
		cmocka_unit_test(completion_knows_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
