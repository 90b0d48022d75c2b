// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "tests/harness/standin.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ARGS_MAX 32

static void run(const struct standin *standin, int out, va_list args)
{
	const char *build = getenv("B"), *argv[ARGS_MAX] = { "apiserver", "--dir", standin->dir };
	char program[PATH_MAX];
	size_t n = 3;

	snprintf(program, sizeof(program), "%s/tests/apiserver/apiserver", build ? build : "build");
	while (n < ARGS_MAX - 1 && (argv[n] = va_arg(args, const char *)))
		n++;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(out, STDOUT_FILENO);
	execv(program, (char *const *)argv);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

void standin_start(struct standin *standin, ...)
{
	_cleanup_fclose_ FILE *ready = NULL;
	unsigned int port = 0;
	va_list args;
	int pipes[2];

	*standin = (struct standin){ 0 };
	test_mkdir(standin->dir);
	assert_ok(pipe2(pipes, O_CLOEXEC));
	va_start(args, standin);
	standin->pid = fork();
	if (standin->pid == 0)
		run(standin, pipes[1], args);
	va_end(args);
	close(pipes[1]);
	ready = fdopen(pipes[0], "r");
	if (fscanf(ready, "ready https://%*[^:]:%u", &port) != 1)
		fail_msg("the stand-in server does not start");
	standin->port = (uint16_t)port;
	snprintf(standin->url, sizeof(standin->url), "https://127.0.0.1:%u", port);
}

void standin_stop(struct standin *standin)
{
	int status = 0;

	kill(standin->pid, SIGTERM);
	waitpid(standin->pid, &status, 0);
	test_rmdir(standin->dir);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("the stand-in server ended with status %#x", (unsigned int)status);
}

const char *standin_path(const struct standin *standin, const char *name, char buf[static PATH_MAX])
{
	if (snprintf(buf, PATH_MAX, "%s/%s", standin->dir, name) >= PATH_MAX)
		fail_msg("the stand-in's folder has a long name");
	return buf;
}

static struct json_object *ask(const struct standin *standin, const char *fmt, va_list args)
{
	struct json_object *request, *answer = NULL;
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	struct err err = { 0 };
	int r;

	assert_true(vasprintf(&text, fmt, args) >= 0);
	request = test_json(text);
	r = control_call(standin_path(standin, "control.sock", path), request, 30, &answer, &err);
	json_object_put(request);
	if (r < 0)
		fail_msg("%s: %s", text, err.text);
	return answer;
}

struct json_object *standin_ask(const struct standin *standin, const char *fmt, ...)
{
	struct json_object *answer;
	va_list args;

	va_start(args, fmt);
	answer = ask(standin, fmt, args);
	va_end(args);
	return answer;
}

void standin_do(const struct standin *standin, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	json_object_put(ask(standin, fmt, args));
	va_end(args);
}

int64_t standin_number(const struct standin *standin, const char *op, const char *field)
{
	_cleanup_json_ struct json_object *answer = standin_ask(standin, "{'op':'%s'}", op);

	return json_object_get_int64(json_object_object_get(answer, field));
}
