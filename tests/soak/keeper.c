// SPDX-License-Identifier: Apache-2.0
// keeper.c - the traffic tool as a child, spoken to over pipes.
#include "tests/soak/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/sandbox.h"

#define SERVER CAST_KEEP "/a"
#define CLIENT CAST_KEEP "/b"
#define DRAIN "drain 3000\n"

static void tool_run(int netns, const char *const *argv, int in, int out)
{
	cpu_set_t all;
	sigset_t none;

	memset(&all, 0xff, sizeof(all)); // only the prober is bound to a CPU
	sched_setaffinity(0, sizeof(all), &all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (sandbox_enter(netns) == 0)
		execv(argv[0], (char *const *)argv);
	_exit(127);
}

static int tool_line(struct tool *tool, char *buf, int bytes, struct err *reterr)
{
	if (!fgets(buf, bytes, tool->out))
		return err_set(reterr, -EPIPE, "the traffic tool has ended");
	return 0;
}

static int tool_open(struct tool *tool, int netns, const char *const *argv, struct err *reterr)
{
	int in[2], out[2], r;
	char line[256];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return err_set(reterr, -errno, "pipe: %s", strerror(errno));
	tool->pid = fork();
	if (tool->pid == 0)
		tool_run(netns, argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	tool->in = fdopen(in[1], "w");
	tool->out = fdopen(out[0], "r");
	if (tool->pid < 0 || !tool->in || !tool->out)
		return err_set(reterr, -errno, "%s: %s", argv[0], strerror(errno));
	r = tool_line(tool, line, sizeof(line), reterr);
	if (r == 0 && strcmp(line, "ready\n"))
		r = err_set(reterr, -EPROTO, "the traffic tool says %s", line);
	return r;
}

static void tool_close(struct tool *tool)
{
	if (tool->pid <= 0)
		return;
	kill(tool->pid, SIGKILL);
	waitpid(tool->pid, NULL, 0);
	fclose(tool->in);
	fclose(tool->out);
	tool->pid = 0;
}

int keeper_open(struct keeper *keeper, struct rig *rig, const struct state *state,
		const char *traffic, struct err *reterr)
{
	const char *const serve[] = { traffic, "serve", "80/tcp", "80/udp", NULL };
	static const char *const protos[KEEPER_FLOWS] = { "tcp", "udp" };
	int r = 0;

	memset(keeper, 0, sizeof(*keeper));
	for (int i = 0; r == 0 && i < KEEPER_FLOWS; i++) {
		const char *argv[] = { traffic, "stream", "-i", "5", NULL, "80", protos[i], NULL };
		struct bh_addr addr, own;
		struct probe_end *from, *to;
		char text[64];

		r = rig_end(rig, &state->c, SERVER, i, &to, &addr, reterr);
		if (r == 0)
			r = rig_end(rig, &state->c, CLIENT, i, &from, &own, reterr);
		if (r == 0 && !keeper->server.pid)
			r = tool_open(&keeper->server, to->netns, serve, reterr);
		argv[4] = addr_format(&addr, text, sizeof(text));
		if (r == 0)
			r = tool_open(&keeper->flows[i], from->netns, argv, reterr);
	}
	return r;
}

static int check_flow(struct tool *tool, struct err *reterr)
{
	unsigned long long sent, echoed, gaps, disorder, heard, heard_gaps;
	char line[256], state[32];
	int r;

	if (fputs(DRAIN, tool->in) < 0 || fflush(tool->in))
		return err_set(reterr, -EPIPE, "the traffic tool does not listen");
	r = tool_line(tool, line, sizeof(line), reterr);
	if (r < 0)
		return r;
	if (sscanf(line,
		   "sent=%llu echoed=%llu gaps=%llu disorder=%llu heard=%llu heard_gaps=%llu "
		   "retrans=%*u state=%31s",
		   &sent, &echoed, &gaps, &disorder, &heard, &heard_gaps, state) != 7 ||
	    sent != echoed || gaps || heard_gaps || strcmp(state, "open"))
		return err_set(reterr, -EPIPE, "a flow that was always allowed lost something: %s",
			       line);
	return 0;
}

int keeper_check(struct keeper *keeper, struct err *reterr)
{
	int r = 0;

	for (int i = 0; i < KEEPER_FLOWS; i++) {
		int one = check_flow(&keeper->flows[i], reterr);

		r = r < 0 ? r : one;
	}
	return r;
}

void keeper_close(struct keeper *keeper)
{
	for (int i = 0; i < KEEPER_FLOWS; i++)
		tool_close(&keeper->flows[i]);
	tool_close(&keeper->server);
}
