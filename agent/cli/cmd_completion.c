// SPDX-License-Identifier: Apache-2.0
// cmd_completion.c - `bulkhead completion bash`, and the words it asks for while typing.
#include "agent/cli/verbs.h"

#include <string.h>

#include "agent/base/vec.h"
#include "agent/control/control.h"

static const struct option *const tables[] = { cli_common_options, NULL };

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "completion",
	.arguments = "bash",
	.summary = "print the completion script of a shell",
	.text = "  source <(bulkhead completion bash)",
	.tables = tables,
	.notes = cli_exit_notes,
	.min_args = 1,
	.max_args = 1,
	.section = 1,
};

static int run(struct cli *cli, const void *options, const struct option_list *args)
{
	VEC(const struct option_page *) pages = { 0 };
	int r = 0;

	if (strcmp(args->v[0], "bash"))
		return cli_fail(cli, CLI_USAGE, "there is no completion for '%s', only for bash",
				args->v[0]);
	r = vec_push(&pages, &cli_page);
	for (const struct cli_verb *const *verb = cli_verbs(); r == 0 && *verb; verb++) {
		if (!(*verb)->hidden)
			r = vec_push(&pages, (*verb)->page);
	}
	if (r == 0)
		option_completion(cli->out, pages.v, pages.n);
	vec_fini(&pages);
	return r < 0 ? cli_fail(cli, CLI_USAGE, "out of memory") : CLI_OK;
}

const struct cli_verb cmd_completion = { &page, sizeof(struct cli_common), run, false };

// ---- __complete --------------------------------------------------------------------------------

static const struct option_page complete_page = {
	.program = "bulkhead",
	.verb = "__complete",
	.arguments = "pods|policies|namespaces|verbs",
	.summary = "print the words that may stand on a command line",
	.tables = tables,
	.min_args = 1,
	.max_args = 1,
	.section = 1,
};

static const struct words {
	const char *word, *op, *list;
	bool name; // the object's name, too, not its namespace alone
} words[] = {
	{ "pods", "endpoint.list", "endpoints", true },
	{ "policies", "policy.list", "policies", true },
	{ "namespaces", "endpoint.list", "endpoints", false },
};

// A word that the shell would take for more than a word is left out.
static bool is_plain(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 ".-_")] == '\0';
}

static void print_word(const struct cli *cli, const struct words *word, struct json_object *item)
{
	const char *ns = json_text(item, "namespace"), *name = json_text(item, "name");
	bool namespaced = strcmp(ns, "-") != 0;

	if (!is_plain(ns) || !is_plain(name))
		return;
	fprintf(cli->out, "%s%s%s\n", namespaced ? ns : "", namespaced && word->name ? "/" : "",
		word->name ? name : "");
}

// Silent when there is no agent: a shell is waiting for the next key.
static int complete_run(struct cli *cli, const void *options, const struct option_list *args)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_json_ struct json_object *request = NULL, *answer = NULL;

		if (strcmp(words[i].word, args->v[0]))
			continue;
		request = cli_request(words[i].op);
		if (control_call(cli->common->socket, request, 1, &answer, NULL) < 0)
			return CLI_UNREACHABLE;
		for (size_t n = 0; n < json_length(answer, words[i].list); n++)
			print_word(cli, &words[i], json_item(answer, words[i].list, n));
		return CLI_OK;
	}
	if (strcmp(args->v[0], "verbs"))
		return CLI_USAGE;
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		if (!(*verb)->hidden)
			fprintf(cli->out, "%s\n", (*verb)->page->verb);
	}
	return CLI_OK;
}

const struct cli_verb cmd_complete = { &complete_page, sizeof(struct cli_common), complete_run,
				       true };
