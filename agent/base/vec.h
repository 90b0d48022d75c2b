// SPDX-License-Identifier: Apache-2.0
// vec.h - a typed array that grows.
//
// World: host. Pure: yes. Owns: the array, never what its elements point to.
//
//	VEC(struct label) labels = { 0 };
//	if (vec_push(&labels, label) < 0) return -ENOMEM;
//	vec_each(struct label, l, &labels) ...
//	vec_fini(&labels);
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		size_t n;                                                                          \
		size_t cap;                                                                        \
		type *v;                                                                           \
	}

#define VEC_FIRST_BYTES 24 // what malloc's smallest piece holds

// Room for `want` elements. 0 or -ENOMEM.
static inline int vec_grow_(void **v, size_t *cap, size_t want, size_t bytes)
{
	size_t next = *cap;
	void *grown;

	if (want <= *cap)
		return 0;
	if (!next)
		next = want * bytes < VEC_FIRST_BYTES ? VEC_FIRST_BYTES / bytes : want;
	while (next < want)
		next = next > SIZE_MAX / 2 ? want : next * 2;
	grown = reallocarray(*v, next, bytes);
	if (!grown)
		return -ENOMEM;
	*v = grown;
	*cap = next;
	return 0;
}

#define vec_reserve(vec, more)                                                                     \
	({                                                                                         \
		void *v_ = (vec)->v;                                                               \
		int r_ = vec_grow_(&v_, &(vec)->cap, (vec)->n + (more), sizeof(*(vec)->v));        \
		(vec)->v = v_;                                                                     \
		r_;                                                                                \
	})

// Appends a copy of the value. 0 or -ENOMEM.
#define vec_push(vec, ...)                                                                         \
	({                                                                                         \
		int p_ = vec_reserve(vec, 1);                                                      \
		if (p_ == 0)                                                                       \
			(vec)->v[(vec)->n++] = (__VA_ARGS__);                                      \
		p_;                                                                                \
	})

// Removes one element by moving the last into its place.
#define vec_drop(vec, index) ((vec)->v[index] = (vec)->v[--(vec)->n])

// Removes one element and keeps the order.
#define vec_cut(vec, index)                                                                        \
	({                                                                                         \
		size_t i_ = (index);                                                               \
		(vec)->n--;                                                                        \
		memmove((vec)->v + i_, (vec)->v + i_ + 1, ((vec)->n - i_) * sizeof(*(vec)->v));    \
	})

#define vec_clear(vec) ((vec)->n = 0)

#define vec_each(type, item, vec)                                                                  \
	for (type *item = (vec)->v; item && item < (vec)->v + (vec)->n; item++)

#define vec_sort(vec, compare)                                                                     \
	({                                                                                         \
		if ((vec)->n > 1)                                                                  \
			qsort((vec)->v, (vec)->n, sizeof(*(vec)->v), (compare));                   \
	})

#define vec_fini(vec)                                                                              \
	({                                                                                         \
		free((vec)->v);                                                                    \
		(vec)->v = NULL;                                                                   \
		(vec)->n = (vec)->cap = 0;                                                         \
	})
