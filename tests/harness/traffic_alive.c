// SPDX-License-Identifier: Apache-2.0
// traffic_alive.c - which of the kernel's BPF objects still exist, without touching them.
//
// World: host, tests. Pure: no (bpf(2)). Owns: nothing.
// Asks for the next id only. To open a table of programs that is just going away, as bpftool does, makes Linux
// schedule its emptying a second time and lose count of it: the table then stays for ever.
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

static const struct {
	const char *name;
	enum bpf_cmd next;
} kinds[] = {
	{ "map", BPF_MAP_GET_NEXT_ID },
	{ "prog", BPF_PROG_GET_NEXT_ID },
	{ "link", BPF_LINK_GET_NEXT_ID },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static enum bpf_cmd kind_next(const char *name)
{
	for (size_t i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i].name, name))
			return kinds[i].next;
	die("alive: '%s' is none of map, prog, link", name);
}

int alive_main(int argc, char **argv)
{
	if (argc % 2 == 0)
		die("alive: [KIND ID]...");
	for (int i = 1; i < argc; i += 2) {
		unsigned long id = number_parse(argv[i + 1], UINT32_MAX);
		union bpf_attr attr = { 0 };

		attr.start_id = (uint32_t)id - 1;
		if (!syscall(SYS_bpf, kind_next(argv[i]), &attr, sizeof(attr)) && attr.next_id == id)
			printf("%s %lu\n", argv[i], id);
	}
	return 0;
}
