// SPDX-License-Identifier: Apache-2.0
// cli.c - from argv to a verb, and how every verb speaks to the agent and fails.
#include "agent/cli/cli.h"

#include <errno.h>
#include <string.h>

#include <bulkhead/abi.h>

#include "agent/control/control.h"


#define AGENT_OPTIONS                                                                              \
	{ "socket", 0, OPTION_TEXT, offsetof(struct cli_common, socket), "PATH",                   \
	  "the agent's control socket", CLI_SOCKET, "BULKHEAD_SOCKET", .complete = "file" },       \
	{ "timeout", 0, OPTION_NUMBER, offsetof(struct cli_common, timeout_sec), "SECONDS",        \
	  "how long to wait for the agent's answer", "30", .min = 1, .max = 3600 },                \
	{ "help", 'h', OPTION_HELP, .help = "print this help" }

const struct option cli_common_options[] = {
	{ "output", 'o', OPTION_CHOICE, offsetof(struct cli_common, output), "FORMAT",
	  "print text for people or JSON for programs", "text", .choices = "text|json" },
	AGENT_OPTIONS,
	{ NULL },
};

const struct option cli_agent_options[] = { AGENT_OPTIONS, { NULL } };

const struct option_note cli_exit_notes[] = {
	{ "EXIT STATUS", CLI_EXIT_TEXT },
	{ "FILES", "  " CLI_SOCKET "  the control socket; only root may use it" },
	{ "SEE ALSO", "bulkhead(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option *const program_tables[] = { cli_common_options, NULL };

const struct option_page cli_page = {
	.program = "bulkhead",
	.arguments = "VERB [ARGUMENT...]",
	.summary = "ask the agent that enforces Kubernetes NetworkPolicy on this node",
	.text = "Verbs ask the running agent over its control socket, so they need root. "
		"simulate, lint and report read manifests and need neither agent nor cluster.\n\n"
		"`bulkhead help VERB` explains one verb.",
	.tables = program_tables,
	.notes = cli_exit_notes,
	.max_args = OPTION_LIST_MAX,
	.section = 1,
};

int cli_fail(const struct cli *cli, enum cli_exit status, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	fprintf(cli->err, "bulkhead: %s\n", text);
	return (int)status;
}

// ---- verbs -------------------------------------------------------------------------------------

// The verb whose name is argv[at], or argv[at] and argv[at + 1].
static const struct cli_verb *find_verb(int argc, char *const *argv, int at, int *retwords)
{
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		const char *name = (*verb)->page->verb, *space = strchr(name, ' ');
		size_t first = space ? (size_t)(space - name) : strlen(name);

		if (strlen(argv[at]) != first || memcmp(argv[at], name, first))
			continue;
		if (space && (at + 1 >= argc || strcmp(argv[at + 1], space + 1)))
			continue;
		*retwords = space ? 2 : 1;
		return *verb;
	}
	return NULL;
}

// "endpoint" alone: what could follow.
static int unknown_verb(const struct cli *cli, const char *word)
{
	char follow[256] = "";
	size_t len = 0;

	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		const char *name = (*verb)->page->verb;
		size_t first = strcspn(name, " ");

		if (!name[first] || strlen(word) != first || memcmp(word, name, first))
			continue;
		len += (size_t)snprintf(follow + len, sizeof(follow) - len, "%s%s",
					len ? " or " : "", name + first + 1);
	}
	if (len)
		return cli_fail(cli, CLI_USAGE, "'%s' wants another word: %s", word, follow);
	return cli_fail(cli, CLI_USAGE, "there is no verb '%s': see 'bulkhead help'", word);
}

static void print_help(const struct cli *cli)
{
	struct option_page brief = cli_page;

	brief.notes = NULL;
	option_help(cli->out, &brief);
	fputs("\nVerbs:\n", cli->out);
	for (const struct cli_verb *const *verb = cli_verbs(); *verb; verb++) {
		if (!(*verb)->hidden)
			fprintf(cli->out, "  %-16s %s\n", (*verb)->page->verb,
				(*verb)->page->summary);
	}
}

// Where the verb stands: behind common options. argc: there is none.
static int verb_position(int argc, char *const *argv)
{
	int at = 1;

	while (at < argc && argv[at][0] == '-') {
		const char *name = argv[at];
		const struct option *option =
			name[1] == '-' ? option_find(program_tables, name) : NULL;
		bool value = (option && option->arg) || !strcmp(name, "-o");

		at += value ? 2 : 1;
	}
	return at < argc ? at : argc;
}

static int run_verb(struct cli *cli, const struct cli_verb *verb, int argc, char *const *argv)
{
	_cleanup_free_ void *options = calloc(1, verb->bytes);
	_cleanup_free_ struct option_list *args = calloc(1, sizeof(*args));
	struct err err = { 0 };
	int r;

	if (!options || !args)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	r = option_defaults(verb->page->tables, options, &err);
	if (r == 0)
		r = option_parse(verb->page, argc, argv, options, args, &err);
	if (r == OPTION_WANTS_HELP) {
		option_help(cli->out, verb->page);
		return CLI_OK;
	}
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, "%s: see 'bulkhead %s --help'", err.text,
				verb->page->verb);
	cli->common = options;
	return verb->run(cli, options, args);
}

// Options before the verb belong to it as well: they are put behind it.
static int dispatch(struct cli *cli, int argc, char *const *argv, int at)
{
	_cleanup_free_ char **moved = calloc((size_t)argc + 1, sizeof(*moved));
	const struct cli_verb *verb;
	int words = 0, n = 1;

	verb = find_verb(argc, argv, at, &words);
	if (!verb)
		return unknown_verb(cli, argv[at]);
	if (!moved)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	moved[0] = argv[0];
	for (int i = 1; i < argc; i++) {
		if (i < at || i >= at + words)
			moved[n++] = argv[i];
	}
	return run_verb(cli, verb, n, moved);
}

// A program's own --help and --version, without a verb.
static int run_plain(struct cli *cli, int argc, char *const *argv)
{
	struct cli_common common = { 0 };
	struct option_list args;
	struct err err = { 0 };
	int r;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--version")) {
			fprintf(cli->out, "bulkhead %s (%s)\n", VERSION, cli->commit);
			return CLI_OK;
		}
	}
	r = option_parse(&cli_page, argc, argv, &common, &args, &err);
	if (r == OPTION_WANTS_HELP) {
		print_help(cli);
		return CLI_OK;
	}
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, "%s: see 'bulkhead help'", err.text);
	return cli_fail(cli, CLI_USAGE, "a verb is missing: see 'bulkhead help'");
}

static bool wants_colour(FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && isatty(fileno(out)) && !(term && !strcmp(term, "dumb"));
}

int cli_run(int argc, char *const *argv, FILE *out, FILE *err, const char *commit)
{
	struct cli cli = { .out = out, .err = err, .commit = commit };
	int at = verb_position(argc, argv), status;

	cli.colour = wants_colour(out);
	status = at < argc ? dispatch(&cli, argc, argv, at) : run_plain(&cli, argc, argv);
	if (fflush(out) != 0 || ferror(out))
		return cli_fail(&cli, CLI_USAGE, "cannot write the answer: %s", strerror(errno));
	return status;
}

// ---- the agent ---------------------------------------------------------------------------------

void cli_put_text(struct json_object *json, const char *field, const char *text)
{
	json_object_object_add(json, field, json_object_new_string(text));
}

struct json_object *cli_request(const char *op)
{
	struct json_object *request = json_object_new_object();

	cli_put_text(request, "op", op);
	return request;
}

int cli_ask(const struct cli *cli, struct json_object *request, struct json_object **ret)
{
	_cleanup_json_ struct json_object *owned = request;
	_cleanup_close_ int fd = -1;
	struct err err = { 0 };
	int r;

	fd = control_open(cli->common->socket, &err);
	if (fd < 0)
		return cli_fail(cli, CLI_UNREACHABLE, "%s", err.text);
	r = control_ask(fd, owned, (int)cli->common->timeout_sec, ret, &err);
	if (r == -ECONNABORTED || r == -ETIMEDOUT || r == -EPERM || r == -ECANCELED) // the last: it is leaving
		return cli_fail(cli, CLI_UNREACHABLE, "%s", err.text);
	return r < 0 ? cli_fail(cli, CLI_AGENT, "%s", err.text) : CLI_OK;
}

int cli_show(struct cli *cli, struct json_object *request,
	     void (*show)(struct cli *cli, struct json_object *answer))
{
	_cleanup_json_ struct json_object *answer = NULL;
	int status = cli_ask(cli, request, &answer);

	if (status != CLI_OK)
		return status;
	if (cli->common->output == CLI_JSON)
		cli_json(cli, answer);
	else
		show(cli, answer);
	return CLI_OK;
}

int cli_put_name(const struct cli *cli, struct json_object *request, const char *text, bool bare)
{
	const char *slash = strchr(text, '/');

	if (!slash && bare && *text) {
		cli_put_text(request, "name", text);
		return CLI_OK;
	}
	if (!slash || slash == text || !slash[1] || strchr(slash + 1, '/'))
		return cli_fail(cli, CLI_USAGE, "'%s' is no %s", text,
				bare ? "[NAMESPACE/]NAME" : "NAMESPACE/NAME");
	json_object_object_add(request, "namespace",
			       json_object_new_string_len(text, (int)(slash - text)));
	cli_put_text(request, "name", slash + 1);
	return CLI_OK;
}

void cli_keep_namespace(struct json_object *answer, const char *list, const char *namespace)
{
	struct json_object *kept;

	if (!namespace)
		return;
	kept = json_object_new_array();
	for (size_t i = 0; i < json_length(answer, list); i++) {
		struct json_object *item = json_item(answer, list, i);

		if (!strcmp(json_text(item, "namespace"), namespace))
			json_object_array_add(kept, json_object_get(item));
	}
	json_object_object_add(answer, list, kept);
}
