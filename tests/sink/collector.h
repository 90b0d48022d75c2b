// SPDX-License-Identifier: Apache-2.0
// collector.h - Debian's collectors as children of a test, on ports of the test's own network, with configuration and
// files in a folder of the test.
//
// World: host, tests (root). Pure: no (processes, files). Owns: the process until collector_stop().
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tests/harness/test.h"

#define NFCAPD_PORT 4739
#define RSYSLOG_PORT 5514 // UDP and TCP
#define RSYSLOG_TLS_PORT 6514 // wants a client's certificate
#define COLLECT_MS 20000 // to wait for what must come

struct collector {
	pid_t pid;
	char dir[PATH_MAX];
};

// Returns when it listens. The folder holds what it collects over several starts.
void nfcapd_start(struct collector *collector, const char *dir);
void rsyslog_start(struct collector *collector, const char *dir);

// Ends it; nfcapd first reads what the kernel holds for it.
void nfcapd_stop(struct collector *collector);
void rsyslog_stop(struct collector *collector);

// Into dir: a CA (ca.crt), certificates of it for the server (server.crt, server.key: 127.0.0.1 and
// logs.example) and a client (client.crt, client.key), and the certificate of another CA (other.crt).
void certificates_make(const char *dir);

// Runs a shell command in the folder and returns what it writes, malloc'd; fails the test if it fails.
char *collector_shell(const char *dir, const char *command);

// Lines of dir/name that are ended; 0: there is no such file.
size_t lines_count(const char *dir, const char *name);

typedef bool (*await_fn)(void *arg);
bool await(await_fn fn, void *arg); // asks again and again; false: not within COLLECT_MS
