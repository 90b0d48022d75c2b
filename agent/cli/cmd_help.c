// SPDX-License-Identifier: Apache-2.0
// cmd_help.c - `bulkhead help [VERB]`, and the man pages.
#include "agent/cli/verbs.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static const struct option *const tables[] = { cli_common_options, NULL };

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "help",
	.arguments = "[VERB]",
	.summary = "explain a verb, or list all of them",
	.tables = tables,
	.notes = cli_exit_notes,
	.complete = "verbs",
	.max_args = 2,
	.section = 1,
};

// "bulkhead help endpoint get" is "bulkhead endpoint get --help".
static int run(struct cli *cli, const void *options, const struct option_list *args)
{
	char *argv[] = { (char *)"bulkhead", NULL, NULL, NULL, NULL };
	int argc = 1;

	for (size_t i = 0; i < args->n; i++)
		argv[argc++] = (char *)args->v[i];
	argv[argc++] = (char *)"--help";
	return cli_run(argc, argv, cli->out, cli->err, cli->commit);
}

const struct cli_verb cmd_help = { &page, sizeof(struct cli_common), run, false };

// ---- __man -------------------------------------------------------------------------------------

static const struct option_page man_page = {
	.program = "bulkhead",
	.verb = "__man",
	.arguments = "FOLDER",
	.summary = "write a man page for the program and for each verb into a folder",
	.tables = tables,
	.min_args = 1,
	.max_args = 1,
	.section = 1,
};

static void list_verbs(FILE *out)
{
	fputs(".SH VERBS\n", out);
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		const struct option_page *verb_page = (*verb)->page;
		char name[128];

		if ((*verb)->hidden)
			continue;
		option_page_name(verb_page, name, sizeof(name));
		fprintf(out, ".TP\n\\fB%s\\fR%s%s\n%s; see \\fB%s\\fR(1).\n", verb_page->verb,
			verb_page->arguments ? " " : "",
			verb_page->arguments ? verb_page->arguments : "", verb_page->summary, name);
	}
}

static int write_page(struct cli *cli, const char *folder, const struct option_page *which)
{
	_cleanup_fclose_ FILE *out = NULL;
	char path[PATH_MAX], name[128];

	snprintf(path, sizeof(path), "%s/%s.%d", folder,
		 option_page_name(which, name, sizeof(name)), which->section);
	out = fopen(path, "we");
	if (!out)
		return cli_fail(cli, CLI_USAGE, "cannot write '%s': %s", path, strerror(errno));
	option_man(out, which, VERSION);
	if (which == &cli_page)
		list_verbs(out);
	return CLI_OK;
}

static int man_run(struct cli *cli, const void *options, const struct option_list *args)
{
	int r = write_page(cli, args->v[0], &cli_page);

	for (const struct cli_verb *const *verb = cli_verbs(); r == CLI_OK && *verb; verb++) {
		if (!(*verb)->hidden)
			r = write_page(cli, args->v[0], (*verb)->page);
	}
	return r;
}

const struct cli_verb cmd_man = { &man_page, sizeof(struct cli_common), man_run, true };
