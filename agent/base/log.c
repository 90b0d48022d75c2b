// SPDX-License-Identifier: Apache-2.0
// log.c - formats a line and writes it with one write(2), so lines of threads never mix.
#include "agent/base/log.h"

#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/cleanup.h"

#define LOG_LINE_BYTES 4096
#define LOG_ROOMS_MAX 32
#define LOG_ROOM_NAME_BYTES 24
#define LOG_TIME_BYTES 40

static const char *const level_names[LOG_LEVEL_MAX] = {"error", "warn", "info", "debug"};

// What log_set_levels said, also for rooms that have not logged yet.
struct levels {
	int fallback;
	size_t n;
	struct {
		char name[LOG_ROOM_NAME_BYTES];
		int level;
	} rooms[LOG_ROOMS_MAX];
};

// Rooms are linked at their first line; afterwards only their level changes.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct levels levels = {.fallback = LOG_INFO};
static struct log_room *rooms;
static bool json_lines;

static int level_find(const char *name)
{
	for (int i = 0; i < LOG_LEVEL_MAX; i++)
		if (!strcmp(level_names[i], name))
			return i;
	return -EINVAL;
}

static int room_level(const struct levels *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->rooms[i].name, name))
			return l->rooms[i].level;
	return l->fallback;
}

static int levels_add(struct levels *l, char *item)
{
	char *equals = strchr(item, '=');
	int level = level_find(equals ? equals + 1 : item);

	if (level < 0)
		return level;
	if (!equals) {
		l->fallback = level;
		return 0;
	}
	*equals = '\0';
	if (!*item || strlen(item) >= LOG_ROOM_NAME_BYTES || l->n == LOG_ROOMS_MAX)
		return -EINVAL;
	memcpy(l->rooms[l->n].name, item, strlen(item) + 1);
	l->rooms[l->n++].level = level;
	return 0;
}

int log_set_levels(const char *spec)
{
	_cleanup_free_ char *copy = strdup(spec);
	struct levels next = {.fallback = LOG_INFO};
	char *state = NULL;
	int r;

	if (!copy)
		return -ENOMEM;
	for (char *item = strtok_r(copy, ",", &state); item; item = strtok_r(NULL, ",", &state)) {
		r = levels_add(&next, item);
		if (r < 0)
			return r;
	}

	pthread_mutex_lock(&lock);
	levels = next;
	for (struct log_room *room = rooms; room; room = room->next)
		__atomic_store_n(&room->level, room_level(&levels, room->name), __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	return 0;
}

void log_set_json(bool json)
{
	__atomic_store_n(&json_lines, json, __ATOMIC_RELAXED);
}

static int room_learn(struct log_room *room)
{
	int level;

	pthread_mutex_lock(&lock);
	if (room->level < 0) {
		room->next = rooms;
		rooms = room;
		__atomic_store_n(&room->level, room_level(&levels, room->name), __ATOMIC_RELAXED);
	}
	level = room->level;
	pthread_mutex_unlock(&lock);
	return level;
}

bool log_enabled(struct log_room *room, enum log_level level)
{
	int limit = __atomic_load_n(&room->level, __ATOMIC_RELAXED);

	if (limit < 0)
		limit = room_learn(room);
	return (int)level <= limit;
}

static void format_time(char buf[static LOG_TIME_BYTES])
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(buf, LOG_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, LOG_TIME_BYTES - len, ".%03ldZ", now.tv_nsec / 1000000);
}

static void write_all(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

// Text that others wrote must not forge lines or steer a terminal.
static void blank_control_characters(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
}

static void write_human(const char *time, const char *room, enum log_level level, char *text)
{
	char line[LOG_LINE_BYTES + 128];
	int len;

	blank_control_characters(text);
	len = snprintf(line, sizeof(line), "%s %-5s %s: %s\n", time, level_names[level], room,
		       text);
	write_all(line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

static void write_json(const char *time, const char *room, enum log_level level, const char *text)
{
	_cleanup_json_ struct json_object *line = json_object_new_object();
	_cleanup_free_ char *copy = NULL;
	int len;

	json_object_object_add(line, "time", json_object_new_string(time));
	json_object_object_add(line, "level", json_object_new_string(level_names[level]));
	json_object_object_add(line, "room", json_object_new_string(room));
	json_object_object_add(line, "text", json_object_new_string(text));
	len = asprintf(&copy, "%s\n",
		       json_object_to_json_string_ext(
			       line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (len > 0)
		write_all(copy, (size_t)len);
}

void log_write(struct log_room *room, enum log_level level, const char *fmt, ...)
{
	char text[LOG_LINE_BYTES], time[LOG_TIME_BYTES];
	int saved = errno;
	va_list args;

	if (!log_enabled(room, level))
		return;
	errno = saved;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	format_time(time);
	if (__atomic_load_n(&json_lines, __ATOMIC_RELAXED))
		write_json(time, room->name, level, text);
	else
		write_human(time, room->name, level, text);
	errno = saved;
}
