// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "tests/kube/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/kube/reflect.h"

#define UNTIL_MS 20000
#define LOG "access.log"

// A port that nobody else has, for a program that cannot say which one it got: bound to and not listened at.
static int hold_port(uint16_t *ret)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_ok(fd);
	assert_ok(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	assert_ok(bind(fd, (struct sockaddr *)&in, sizeof(in)));
	assert_ok(getsockname(fd, (struct sockaddr *)&in, &len));
	*ret = ntohs(in.sin_port);
	return fd;
}

static bool listens(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
}

void proxy_start(struct proxy *proxy)
{
	char from[64], to[64], access[PATH_MAX + 32], log[PATH_MAX], key[PATH_MAX], cert[PATH_MAX];
	const char *const argv[] = { "nghttpx",
				     "--conf=/dev/null",
				     from,
				     to,
				     "--insecure",
				     "--no-ocsp",
				     "--single-process",
				     "--workers=1",
				     access,
				     "--accesslog-format=$alpn $status $request",
				     "--log-level=ERROR",
				     standin_path(proxy->standin, "server.key", key),
				     standin_path(proxy->standin, "server.crt", cert),
				     NULL };
	int64_t end = reflect_now_ms() + UNTIL_MS;

	snprintf(from, sizeof(from), "--frontend=127.0.0.1,%u", proxy->port);
	snprintf(to, sizeof(to), "--backend=127.0.0.1,%u;;tls;proto=http/1.1", proxy->standin->port);
	snprintf(access, sizeof(access), "--accesslog-file=%s", standin_path(proxy->standin, LOG, log));
	proxy->pid = fork();
	if (proxy->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		execv("/usr/sbin/nghttpx", (char *const *)argv);
		_exit(127);
	}
	while (!listens(proxy->port)) {
		if (waitpid(proxy->pid, NULL, WNOHANG) == proxy->pid || reflect_now_ms() > end)
			fail_msg("nghttpx does not start");
		usleep(2000);
	}
}

// The kubeconfig with the other port.
static void write_kubeconfig(const struct proxy *proxy)
{
	char path[PATH_MAX], old[32], fresh[32];
	_cleanup_free_ char *text = test_read(standin_path(proxy->standin, "kubeconfig", path), NULL);
	char *at;

	snprintf(old, sizeof(old), ":%u\"", proxy->standin->port);
	snprintf(fresh, sizeof(fresh), ":%u\"", proxy->port);
	at = strstr(text, old);
	assert_non_null(at);
	assert_ok(asprintf(&at, "%.*s%s%s", (int)(at - text), text, fresh, at + strlen(old)));
	test_write(proxy->standin->dir, "proxy.kubeconfig", at);
	free(at);
}

void proxy_open(struct proxy *proxy, const struct standin *standin)
{
	*proxy = (struct proxy){ .standin = standin };
	proxy->held = hold_port(&proxy->port);
	test_write(standin->dir, LOG, "");
	write_kubeconfig(proxy);
	proxy_start(proxy);
}

static void end_by(struct proxy *proxy, int signal)
{
	kill(proxy->pid, signal);
	waitpid(proxy->pid, NULL, 0);
}

void proxy_kill(struct proxy *proxy)
{
	end_by(proxy, SIGKILL);
}

char *proxy_close(struct proxy *proxy)
{
	char path[PATH_MAX];

	end_by(proxy, SIGTERM);
	close(proxy->held);
	return test_read(standin_path(proxy->standin, LOG, path), NULL);
}
