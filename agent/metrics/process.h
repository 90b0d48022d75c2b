// SPDX-License-Identifier: Apache-2.0
// process.h - what this process takes of the machine.
//
// World: host. Pure: no (asks the kernel). Owns: nothing.
#pragma once

#include <stdint.h>

struct process_use {
	uint64_t cpu_ns; // user and system
	uint64_t rss_bytes;
	uint64_t fds, fds_max;
};

void process_use(struct process_use *ret); // 0 where the kernel does not say
uint64_t process_rss_bytes(void);
