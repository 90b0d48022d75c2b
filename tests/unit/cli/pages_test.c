// SPDX-License-Identifier: Apache-2.0
// pages_test.c - help, man pages and completion cover every verb and every option.
#include "tests/harness/test.h"

#include "agent/cli/cli.h"

static int run(char *const *argv, char **ret)
{
	size_t len, err_len;
	_cleanup_free_ char *errors = NULL;
	FILE *out = open_memstream(ret, &len), *err = open_memstream(&errors, &err_len);
	int argc = 0, status;

	while (argv[argc])
		argc++;
	status = cli_run(argc, argv, out, err, "abc");
	fclose(out);
	fclose(err);
	return status;
}

#define RUN(ret, ...) run((char *const[]){ (char *)"bulkhead", __VA_ARGS__, NULL }, ret)

// Calls fn for every option of every verb that people see.
static void each_option(void (*fn)(void *arg, const struct option_page *, const struct option *),
			void *arg)
{
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		const struct option_page *page = (*verb)->page;

		for (const struct option *const *table = page->tables; *table; table++) {
			for (const struct option *o = *table; o->name; o++) {
				if (!(*verb)->hidden)
					fn(arg, page, o);
			}
		}
	}
}

static void is_in_help(void *arg, const struct option_page *page, const struct option *option)
{
	char copy[64], *argv[8] = { (char *)"bulkhead" }, *rest = copy, want[64];
	_cleanup_free_ char *text = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", page->verb);
	for (char *word; (word = strsep(&rest, " "));)
		argv[argc++] = word;
	argv[argc] = (char *)"-h";
	assert_int_equal(run(argv, &text), CLI_OK);
	snprintf(want, sizeof(want), "--%s", option->name);
	assert_str_contains(text, want);
	assert_str_contains(text, page->summary);
}

static void help_covers_everything(void **state)
{
	_cleanup_free_ char *text = NULL, *same = NULL;

	each_option(is_in_help, NULL);
	assert_int_equal(RUN(&text, (char *)"help"), CLI_OK);
	assert_int_equal(RUN(&same, (char *)"--help"), CLI_OK);
	assert_str(text, same);
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		if ((*verb)->hidden)
			assert_str_lacks(text, (*verb)->page->verb);
		else
			assert_str_contains(text, (*verb)->page->verb);
	}
}

// Man pages write '-' as "\-".
static void is_in_man(void *arg, const struct option_page *page, const struct option *option)
{
	char path[PATH_MAX], name[128], want[128] = "\\-\\-";
	_cleanup_free_ char *text = NULL;
	size_t len, at = strlen(want);

	snprintf(path, sizeof(path), "%.3000s/%s.1", (char *)arg,
		 option_page_name(page, name, sizeof(name)));
	text = test_read(path, &len);
	for (const char *c = option->name; *c; c++)
		at += (size_t)snprintf(want + at, sizeof(want) - at, *c == '-' ? "\\-" : "%c", *c);
	assert_str_contains(text, want);
	assert_str_contains(text, ".SH \"EXIT STATUS\"");
}

static void man_covers_everything(void **state)
{
	char folder[PATH_MAX], path[PATH_MAX + 32];
	_cleanup_free_ char *text = NULL, *none = NULL;
	size_t len;

	test_mkdir(folder);
	assert_int_equal(RUN(&none, (char *)"__man", folder), CLI_OK);
	each_option(is_in_man, folder);
	snprintf(path, sizeof(path), "%s/bulkhead.1", folder);
	text = test_read(path, &len);
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		if (!(*verb)->hidden)
			assert_str_contains(text, (*verb)->page->verb);
	}
	assert_str_lacks(text, "__");
	test_rmdir(folder);
}

static void is_in_completion(void *arg, const struct option_page *page, const struct option *option)
{
	char arm[128], want[64];
	const char *line, *end, *found;

	snprintf(arm, sizeof(arm), "\t\"%s\") opts=\"", page->verb);
	line = strstr(arg, arm);
	assert_non_null(line);
	end = strchr(line, '\n');
	snprintf(want, sizeof(want), "--%s ", option->name);
	found = strstr(line, want);
	assert_true(found && found < end);
}

static void completion_covers_everything(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, (char *)"completion", (char *)"bash"), CLI_OK);
	each_option(is_in_completion, text);
	assert_str_lacks(text, "__man");
}

// What a shell makes of it, key by key.
static void complete(const char *script, const char *words, const char *want)
{
	char command[PATH_MAX + 512], got[512] = "";
	FILE *shell;

	snprintf(
		command, sizeof(command),
		"bash -c '. %s; compopt() { :; }; bulkhead() { echo from-agent; }; COMP_WORDS=(%s); "
		"COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _bulkhead; echo \"${COMPREPLY[*]}\"'",
		script, words);
	shell = popen(command, "r");
	assert_non_null(shell);
	assert_non_null(fgets(got, sizeof(got), shell));
	assert_int_equal(pclose(shell), 0);
	got[strcspn(got, "\n")] = '\0';
	assert_str(got, want);
}

static void a_shell_completes(void **state)
{
	char folder[PATH_MAX], path[PATH_MAX + 16];
	_cleanup_free_ char *text = NULL;

	assert_int_equal(RUN(&text, (char *)"completion", (char *)"bash"), CLI_OK);
	test_mkdir(folder);
	test_write(folder, "c.bash", text);
	snprintf(path, sizeof(path), "%s/c.bash", folder);
	complete(path, "bulkhead \"\"",
		 "status endpoint policy flows top explain simulate lint report ct cni version completion help");
	complete(path, "bulkhead en", "endpoint");
	complete(path, "bulkhead endpoint \"\"", "list get");
	complete(path, "bulkhead -o json st", "status");
	complete(path, "bulkhead status --ch", "--check");
	complete(path, "bulkhead status -o \"\"", "text json");
	complete(path, "bulkhead explain --protocol U", "UDP");
	complete(path, "bulkhead flows --from-kind \"\"", "pod node service world");
	complete(path, "bulkhead policy suggest -o \"\"", "yaml json");
	complete(path, "bulkhead endpoint get \"\"", "from-agent");
	complete(path, "bulkhead ct flush --", "--output --socket --timeout --help");
	test_rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_covers_everything),
		cmocka_unit_test(man_covers_everything),
		cmocka_unit_test(completion_covers_everything),
		cmocka_unit_test(a_shell_completes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
