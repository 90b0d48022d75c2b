// SPDX-License-Identifier: Apache-2.0
// process.c - from /proc/self and the process's own limits.
#include "agent/metrics/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"

uint64_t process_rss_bytes(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long pages = 0;
	size_t len;

	if (file_read("/proc/self/statm", 4096, &text, &len) < 0)
		return 0;
	if (sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ns_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

// Since Linux 6.2 the folder's size is their number; before, they are counted.
static uint64_t open_fds(void)
{
	struct stat st;
	uint64_t n = 0;
	DIR *dir;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	dir = opendir("/proc/self/fd");
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 3 ? n - 3 : 0; // ".", ".." and the folder's own
}

void process_use(struct process_use *ret)
{
	struct rlimit limit = { 0 };
	struct rusage use = { 0 };

	getrusage(RUSAGE_SELF, &use);
	getrlimit(RLIMIT_NOFILE, &limit);
	ret->cpu_ns = ns_of(use.ru_utime) + ns_of(use.ru_stime);
	ret->rss_bytes = process_rss_bytes();
	ret->fds = open_fds();
	ret->fds_max = limit.rlim_cur;
}
