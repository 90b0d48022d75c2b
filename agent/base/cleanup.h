// SPDX-License-Identifier: Apache-2.0
// cleanup.h - ownership that the compiler keeps: cleanup attributes and transfers.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

// Hands a pointer or fd on: the variable no longer owns it.
#define TAKE_PTR(p)                      \
	({                               \
		__typeof__(p) _p = (p);  \
		(p) = NULL;              \
		_p;                      \
	})
#define TAKE_FD(fd)            \
	({                     \
		int _f = (fd); \
		(fd) = -1;     \
		_f;            \
	})

// Defines x_freep() for x_free(T *): beside each destructor.
#define DEFINE_CLEANUP(type, func)                   \
	static inline void func##p(type *p)          \
	{                                            \
		if (*p)                              \
			func(*p);                    \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void json_putp(struct json_object **json)
{
	json_object_put(*json);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
#define _cleanup_json_ _cleanup_(json_putp)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
