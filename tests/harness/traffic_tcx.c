// SPDX-License-Identifier: Apache-2.0
// traffic_tcx.c - puts a foreign program on a device's tcx hook, as some other product would; lists what is there.
//
// World: host, tests. Pure: no (bpf(2)). Owns: nothing; the link lives by its pin.
// Debian's bpftool knows no tcx yet, so this is the system call itself, with its own layout.
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

enum { CMD_OBJ_PIN = 6, CMD_OBJ_GET = 7, CMD_QUERY = 16, CMD_LINK_CREATE = 28 };
enum { PROGRAMS = 64 }; // BPF_MPROG_MAX
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, TCX_BEFORE = 1 << 3, TCX_AFTER = 1 << 4 };

struct obj_attr {
	uint64_t path;
	uint32_t fd;
	uint32_t flags;
};

struct link_attr {
	uint32_t prog_fd;
	uint32_t ifindex;
	uint32_t attach_type;
	uint32_t flags;
	uint32_t relative;
	uint32_t pad;
	uint64_t revision;
};

struct query_attr {
	uint32_t ifindex;
	uint32_t attach_type;
	uint32_t query_flags;
	uint32_t attach_flags;
	uint64_t programs;
	uint32_t count;
	uint32_t pad;
	uint64_t program_flags, links, link_flags, revision;
};

static int bpf(int cmd, void *attr, size_t bytes)
{
	return (int)syscall(SYS_bpf, cmd, attr, bytes);
}

// The ids of the programs, first to last, each on its line.
static int list(const char *device, uint32_t hook)
{
	uint32_t ids[PROGRAMS];
	struct query_attr query = { .ifindex = if_nametoindex(device),
				    .attach_type = hook,
				    .programs = (uint64_t)(uintptr_t)ids,
				    .count = PROGRAMS };

	if (bpf(CMD_QUERY, &query, sizeof(query))) {
		if (errno != ENOENT) // nothing was ever there
			die("tcx on %s: %s", device, strerror(errno));
		query.count = 0;
	}
	for (uint32_t i = 0; i < query.count && i < PROGRAMS; i++)
		printf("%u\n", ids[i]);
	return 0;
}

int tcx_main(int argc, char **argv)
{
	uint32_t hook = argc > 2 && !strcmp(argv[2], "ingress") ? TCX_INGRESS : TCX_EGRESS;
	struct obj_attr get = { 0 }, pin = { 0 };
	struct link_attr link = { 0 };
	int prog, fd;

	if (argc == 4 && !strcmp(argv[3], "list"))
		return list(argv[1], hook);
	if (argc != 6)
		die("tcx: DEVICE ingress|egress first|last PROGRAM-PIN LINK-PIN, or list");
	get.path = (uint64_t)(uintptr_t)argv[4];
	prog = bpf(CMD_OBJ_GET, &get, sizeof(get));
	if (prog < 0)
		die("%s: %s", argv[4], strerror(errno));
	link.prog_fd = (uint32_t)prog;
	link.ifindex = if_nametoindex(argv[1]);
	link.attach_type = hook;
	link.flags = strcmp(argv[3], "first") ? TCX_AFTER : TCX_BEFORE;
	fd = bpf(CMD_LINK_CREATE, &link, sizeof(link));
	if (fd < 0)
		die("tcx on %s %s: %s", argv[1], argv[2], strerror(errno));
	pin.path = (uint64_t)(uintptr_t)argv[5];
	pin.fd = (uint32_t)fd;
	if (bpf(CMD_OBJ_PIN, &pin, sizeof(pin)))
		die("%s: %s", argv[5], strerror(errno));
	return 0;
}
