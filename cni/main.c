// SPDX-License-Identifier: Apache-2.0
// main.c - bulkhead-cni: a runtime's request in, one command, an answer or an error out.
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "cni/command.h"
#include "cni/page.h"
#include "cni/result.h"

static const struct command {
	const char *name;
	int (*run)(const struct call *call, struct err *reterr);
	unsigned int needs; // of the environment
	enum conf_version oldest;
	bool prev; // only behind other plugins
} commands[] = {
	{ "ADD", command_add, ENV_CONTAINER | ENV_NETNS | ENV_IFNAME | ENV_POD, CONF_0_3_0, true },
	{ "DEL", command_del, ENV_CONTAINER | ENV_IFNAME, CONF_0_3_0, false },
	{ "CHECK", command_check, ENV_CONTAINER | ENV_NETNS | ENV_IFNAME, CONF_0_4, true },
	{ "GC", command_gc, 0, CONF_1_1, false },
	{ "STATUS", command_status, 0, CONF_1_1, false },
};

void command_note(const char *fmt, ...)
{
	va_list args;

	fputs("bulkhead-cni: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static int fit(const struct command *command, const struct conf *conf, struct err *reterr)
{
	if (conf->version > command->oldest) // newest first
		return err_set(reterr, -CNI_INCOMPATIBLE,
			       "%s needs cniVersion %s, the configuration has %s", command->name,
			       conf_versions[command->oldest], conf->version_text);
	if (command->prev && !conf->prev)
		return err_set(reterr, -CNI_CONFIG,
			       "must be called as chained plugin: there is no 'prevResult'");
	return 0;
}

// An environment that is wrong is told first, but in the version that the configuration asks for.
static int run(const struct command *command, const char *text, size_t len, struct call *call,
	       struct err *reterr)
{
	struct err conf_err = { 0 };
	int conf = conf_parse(text, len, &call->conf, &conf_err);
	int r = env_read(command->needs, &call->env, reterr);

	if (r < 0)
		return r;
	if (conf < 0)
		return err_set(reterr, conf, "%s", conf_err.text);
	r = fit(command, &call->conf, reterr);
	return r == 0 ? command->run(call, reterr) : r;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int read_input(char **ret, size_t *retlen, struct err *reterr)
{
	int r = file_read_fd(STDIN_FILENO, CONF_BYTES, ret, retlen);

	if (r == -EFBIG)
		return err_set(reterr, -CNI_DECODE,
			       "the configuration on standard input is longer than %u bytes",
			       CONF_BYTES);
	return r < 0 ? err_set(reterr, -CNI_IO, "cannot read standard input: %s", strerror(-r)) : 0;
}

static int serve(const char *name)
{
	_cleanup_free_ char *text = NULL;
	const struct command *command;
	struct call call = { 0 };
	struct err err = { 0 };
	size_t len = 0;
	int r = read_input(&text, &len, &err);

	if (!strcmp(name, "VERSION")) {
		result_versions(stdout, r == 0 ? conf_version_of(text, len) : NULL);
		return 0;
	}
	command = find(name);
	if (!command)
		r = err_set(&err, -CNI_ENVIRONMENT,
			    "CNI_COMMAND '%.64s' is none of ADD, DEL, CHECK, GC, STATUS, VERSION",
			    name);
	if (r == 0)
		r = run(command, text, len, &call, &err);
	if (r < 0)
		result_error(stdout, call.conf.version_text, &err);
	conf_fini(&call.conf);
	return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *name = getenv("CNI_COMMAND");

	if (name && *name)
		return serve(name);
	if (argc > 1 && !strcmp(argv[1], "__man")) { // for the build
		page_print(stdout);
		return 0;
	}
	fprintf(stderr,
		"bulkhead-cni %s: a CNI plugin that puts NetworkPolicy on a pod before it starts; versions 0.3.0 to 1.1.0\n",
		VERSION);
	return 0;
}
