// SPDX-License-Identifier: Apache-2.0
// agent.c - start bulkheadd, talk to it over its control socket, stop it.
#include "tests/conformance/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/control/control.h"
#include "tests/conformance/sandbox.h"

#define START_SEC 60
#define SYNC_SEC 60
#define STOP_MS 5000
#define OPTIONS_MAX 32
#define LOG_TAIL 600

struct agent {
	char node[256];
	char run_dir[64], pin_dir[64], log[80], socket[80];
	pid_t pid; // 0: not running
	int status; // how it ended
	bool ended; // by agent_end()
};

// ---- its process ----------------------------------------------------------------------------------------------

// Adds the words of a text to argv; the text is cut up.
static void add_words(const char **argv, size_t *n, char *text)
{
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word && *n < OPTIONS_MAX - 1;
	     word = strtok_r(NULL, " ", &save))
		argv[(*n)++] = word;
}

static void child_run(const struct agent *agent, const struct kernel_config *config, int netns,
		      const char *manifests)
{
	char source[PATH_MAX],
		*options = strdup(config->agent_options ? config->agent_options : "");
	const char *argv[OPTIONS_MAX] = { config->bulkheadd, "--source",  source,
					  "--node",          agent->node, "--pin-dir",
					  agent->pin_dir,    "--run-dir", agent->run_dir };
	size_t n = 9;
	cpu_set_t all;
	int log;

	snprintf(source, sizeof(source), "dir:%s", manifests);
	add_words(argv, &n, options);
	memset(&all, 0xff, sizeof(all)); // only the prober is bound to a CPU
	sched_setaffinity(0, sizeof(all), &all);
	log = open(agent->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (log >= 0 && !config->verbose)
		dup2(log, STDERR_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	setenv("BULKHEAD_STATE_DIR", agent->run_dir, 1);
	if (sandbox_enter(netns) == 0)
		execv(config->bulkheadd, (char *const *)argv);
	fprintf(stderr, "%s: %s\n", config->bulkheadd, strerror(errno));
	_exit(127);
}

// The last lines of the agent's log onto the error.
static int with_log(const struct agent *agent, int r, struct err *reterr)
{
	_cleanup_close_ int fd = open(agent->log, O_RDONLY | O_CLOEXEC);
	char tail[LOG_TAIL + 1];
	off_t size;
	ssize_t n;

	err_wrap(reterr, "agent of node %s", agent->node);
	if (fd < 0)
		return r;
	size = lseek(fd, 0, SEEK_END);
	n = pread(fd, tail, LOG_TAIL, size > LOG_TAIL ? size - LOG_TAIL : 0);
	if (n > 0) {
		tail[n] = 0;
		fprintf(stderr, "log of node %s ends with\n%s\n", agent->node, tail);
	}
	return r;
}

static bool agent_gone(struct agent *agent)
{
	if (agent->pid && waitpid(agent->pid, &agent->status, WNOHANG) == agent->pid)
		agent->pid = 0;
	return !agent->pid;
}

bool agent_lives(struct agent *agent)
{
	return !agent_gone(agent);
}

// Waits for the control socket's file to appear in the run folder.
static int wait_socket(struct agent *agent, int watch, struct err *reterr)
{
	struct timespec now;
	time_t deadline;

	clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = now.tv_sec + START_SEC;
	while (access(agent->socket, F_OK) < 0) {
		struct pollfd fd = { .fd = watch, .events = POLLIN };
		char events[4096];

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (agent_gone(agent))
			return err_set(reterr, -ECHILD, "left at start (status %#x)",
				       agent->status);
		if (now.tv_sec > deadline)
			return err_set(reterr, -ETIMEDOUT, "has no control socket after %d s",
				       START_SEC);
		if (poll(&fd, 1, 200) > 0 && read(watch, events, sizeof(events)) < 0)
			return err_set(reterr, -errno, "inotify: %s", strerror(errno));
	}
	return 0;
}

int agent_start(const struct kernel_config *config, const char *node, unsigned id, int netns,
		const char *manifests, struct agent **ret, struct err *reterr)
{
	_cleanup_(agent_freep) struct agent *agent = calloc(1, sizeof(*agent));
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC);
	int r;

	if (!agent)
		return err_set(reterr, -ENOMEM, "out of memory");
	snprintf(agent->node, sizeof(agent->node), "%s", node);
	snprintf(agent->run_dir, sizeof(agent->run_dir), "/run/node%u", id);
	snprintf(agent->pin_dir, sizeof(agent->pin_dir), "/sys/fs/bpf/node%u", id);
	snprintf(agent->log, sizeof(agent->log), "/run/node%u.log", id);
	snprintf(agent->socket, sizeof(agent->socket), "%s/control.sock", agent->run_dir);
	unlink(agent->socket); // of one that crashed
	if ((mkdir(agent->run_dir, 0700) < 0 && errno != EEXIST) ||
	    inotify_add_watch(watch, agent->run_dir, IN_CREATE | IN_MOVED_TO) < 0)
		return err_set(reterr, -errno, "%s: %s", agent->run_dir, strerror(errno));
	agent->pid = fork();
	if (agent->pid == 0)
		child_run(agent, config, netns, manifests);
	if (agent->pid < 0) {
		agent->pid = 0;
		return err_set(reterr, -errno, "fork: %s", strerror(errno));
	}
	r = wait_socket(agent, watch, reterr);
	if (r < 0)
		return with_log(agent, r, reterr);
	*ret = TAKE_PTR(agent);
	return 0;
}

pid_t agent_pid(const struct agent *agent)
{
	return agent->pid;
}

int agent_end(struct agent *agent, int signal)
{
	struct timespec deadline = { .tv_sec = STOP_MS / 1000 };
	sigset_t child;

	agent->ended = true;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if (agent_gone(agent))
		return agent->status;
	kill(agent->pid, signal);
	while (!agent_gone(agent)) {
		if (sigtimedwait(&child, NULL, &deadline) >= 0 || errno == EINTR)
			continue;
		fprintf(stderr, "agent of node %s does not stop\n", agent->node);
		kill(agent->pid, SIGKILL);
	}
	return agent->status;
}

void agent_free(struct agent *agent)
{
	if (!agent)
		return;
	if (!agent->ended && agent_end(agent, SIGTERM))
		fprintf(stderr, "agent of node %s ended with status %#x\n", agent->node,
			agent->status);
	free(agent);
}

// ---- its control socket -----------------------------------------------------------------------------------------

int agent_call(struct agent *agent, struct json_object *request, struct json_object **ret,
	       struct err *reterr)
{
	if (agent_gone(agent))
		return err_set(reterr, -ECHILD, "left (status %#x)", agent->status);
	return control_call(agent->socket, request, SYNC_SEC, ret, reterr);
}

static struct json_object *request_new(const char *op)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "op", json_object_new_string(op));
	return request;
}

int agent_ask(struct agent *agent, const char *op, struct json_object **ret, struct err *reterr)
{
	_cleanup_json_ struct json_object *request = request_new(op);
	int r = agent_call(agent, request, ret, reterr);

	return r < 0 ? with_log(agent, r, reterr) : 0;
}

static int number(struct json_object *json, const char *object, const char *field)
{
	struct json_object *inner, *value;

	if (!json_object_object_get_ex(json, object, &inner) ||
	    !json_object_object_get_ex(inner, field, &value))
		return -1;
	return json_object_get_int(value);
}

static int check_endpoints(struct agent *agent, size_t npods, struct err *reterr)
{
	_cleanup_json_ struct json_object *status = NULL;
	int total, waiting, r = agent_ask(agent, "status", &status, reterr);

	if (r < 0)
		return r;
	total = number(status, "endpoints", "total");
	waiting = number(status, "endpoints", "waiting");
	if (total < (int)npods || waiting != 0)
		return err_set(reterr, -EAGAIN, "%d endpoints, %d of them waiting, %zu pods", total,
			       waiting, npods);
	return 0;
}

int agent_sync(struct agent *agent, const char *marker, size_t npods, struct err *reterr)
{
	_cleanup_json_ struct json_object *request = request_new("sync"), *answer = NULL;
	int r;

	json_object_object_add(request, "namespace", json_object_new_string(marker));
	r = agent_call(agent, request, &answer, reterr);
	if (r == 0 && npods)
		r = check_endpoints(agent, npods, reterr);
	return r < 0 ? with_log(agent, r, reterr) : 0;
}

int agent_flush(struct agent *agent, struct err *reterr)
{
	_cleanup_json_ struct json_object *answer = NULL;

	return agent_ask(agent, "ct.flush", &answer, reterr);
}
