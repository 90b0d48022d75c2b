// SPDX-License-Identifier: Apache-2.0
// sandbox.c - new namespaces, and the mounts that belong to them.
#include "tests/conformance/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "tests/conformance/netlink.h"

static const struct {
	const char *path, *value;
} settings[] = {
	{ "/proc/sys/net/ipv4/ip_forward", "1" },
	{ "/proc/sys/net/ipv4/conf/all/rp_filter", "0" },
	{ "/proc/sys/net/ipv4/conf/default/rp_filter", "0" },
	{ "/proc/sys/net/ipv4/conf/all/send_redirects", "0" },
	{ "/proc/sys/net/ipv4/conf/default/send_redirects", "0" },
	{ "/proc/sys/net/ipv6/conf/all/forwarding", "1" },
	{ "/proc/sys/net/ipv6/conf/default/forwarding", "1" },
	{ "/proc/sys/net/ipv6/conf/default/accept_dad", "0" },
	{ "/proc/sys/net/ipv6/conf/default/accept_ra", "0" },
	{ "/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1" },
};

static int setting_write(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return -errno;
	return 0;
}

int sandbox_netns_init(struct err *reterr)
{
	_cleanup_close_ int nl = -1;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		r = setting_write(settings[i].path, settings[i].value);
		if (r < 0)
			return err_set(reterr, r, "%s: %s", settings[i].path, strerror(-r));
	}
	nl = netlink_open();
	r = nl < 0 ? nl : netlink_link_up(nl, 1);
	return r < 0 ? err_set(reterr, r, "lo: %s", strerror(-r)) : 0;
}

int sandbox_enter(int netns)
{
	return setns(netns, CLONE_NEWNET) < 0 ? -errno : 0;
}

int sandbox_here(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

// Names the namespace that the caller is in.
static int netns_pin(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	close(fd);
	if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0)
		return -errno;
	return sandbox_here();
}

int sandbox_netns(const char *name, struct err *reterr)
{
	_cleanup_close_ int home = sandbox_here();
	_cleanup_close_ int fd = -1;
	int r, back;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return err_set(reterr, -errno, "namespace %s: %s", name, strerror(errno));
	r = sandbox_netns_init(reterr);
	if (r == 0) {
		fd = netns_pin(name);
		if (fd < 0)
			r = err_set(reterr, fd, "/run/netns/%s: %s", name, strerror(-fd));
	}
	back = sandbox_enter(home);
	if (r == 0 && back < 0)
		r = err_set(reterr, back, "back from %s: %s", name, strerror(-back));
	return r < 0 ? r : TAKE_FD(fd);
}

static int mounts_make(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ||
	    mkdir("/run/netns", 0755) < 0)
		return -errno;
	return 0;
}

static int child_main(sandbox_fn fn, void *arg, int gate)
{
	struct err err = { 0 };
	sigset_t none;
	char go;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(gate, &go, 1) != 1) // the parent died before the line above was in force
		return 2;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	r = mounts_make();
	if (r < 0)
		err_set(&err, r, "mounts of the sandbox: %s", strerror(-r));
	else
		r = sandbox_netns_init(&err);
	if (r < 0) {
		fprintf(stderr, "conformance: %s\n", err.text);
		return 2;
	}
	return fn(arg);
}

pid_t sandbox_start(sandbox_fn fn, void *arg)
{
	int gate[2];
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = (pid_t)syscall(SYS_clone,
			     CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | SIGCHLD,
			     NULL, NULL, NULL, NULL);
	if (pid == 0) {
		int r;

		close(gate[1]);
		r = child_main(fn, arg, gate[0]);
		fflush(NULL);
		_exit(r);
	}
	close(gate[0]);
	if (pid < 0)
		pid = -errno;
	else if (write(gate[1], "", 1) != 1)
		pid = -errno;
	close(gate[1]);
	return pid;
}
