// SPDX-License-Identifier: Apache-2.0
// raw_client.h - a client of a unix socket that sends whatever a test likes.
//
// World: host, tests. Pure: no (a socket). Owns: nothing; the fd is the caller's.
#pragma once

#include <stddef.h>

int raw_open(const char *path);
// Sends all; stops in silence when the other side closes.
void raw_send(int fd, const char *text, size_t len);
void raw_say(int fd, const char *text);
// One line without its end, malloc'd; NULL: the connection ended. Fails the test if none comes.
char *raw_line(int fd);
// The next line contains part; there is no next line.
void raw_expect(int fd, const char *part);
void raw_expect_end(int fd);
