// SPDX-License-Identifier: Apache-2.0
// log.h - one line per fact, to standard error, with a level per room that can change while running.
//
// World: host. Pure: no (writes standard error). Owns: the table of rooms.
// Line: "2026-11-21T01:03:32.123Z info  bpf: text". Under systemd or with --log-format json other
// shapes; the facts are the same.
#pragma once

#include <stdarg.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_MAX };

struct log_room {
	const char *name;
	int level; // enum log_level, or -1: the default level
	struct log_room *next;
};

// At the top of a file: LOG_ROOM("bpf"). Files of one room may share its name.
#define LOG_ROOM(room) static struct log_room log_room_ = { .name = (room), .level = -1 }

#define log_error(...) log_write(&log_room_, LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(&log_room_, LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(&log_room_, LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(&log_room_, LOG_DEBUG, __VA_ARGS__)

// Callable from every thread.
void log_write(struct log_room *room, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Whether a line of this level would be written: for lines that cost something to prepare.
bool log_enabled(struct log_room *room, enum log_level level);

// spec: "info" or "bpf=debug,policy=warn,info"; 0 or -EINVAL. Applies to rooms not yet seen, too.
int log_set_levels(const char *spec);

void log_set_json(bool json);
