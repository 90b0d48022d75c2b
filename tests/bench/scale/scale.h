// SPDX-License-Identifier: Apache-2.0
// scale.h - a cluster in a compiler, as the agent of one node has it.
//
// World: host, benchmark. Owns: see struct. Every failure ends the process with a sentence.
#pragma once

#include "agent/policy/policy.h"
#include "tests/bench/scale/shape.h"

struct scale {
	const struct shape *shape;
	struct store *store;
	struct policy *policy;
	struct object *
		*objects; // as parsed, in the order of shape_each(); the store takes them over
	uint32_t nobjects, slots;
	double parse_ms, put_ms;
};

__attribute__((noreturn)) void scale_die(const char *what);
double scale_cpu_ms(void); // of this thread
double scale_rss_mib(const char *field); // of /proc/self/status: "VmRSS", "VmHWM"

struct object *scale_parse(enum kind kind, const char *text);

void scale_open(struct scale *scale, const struct shape *shape); // parses everything
void scale_feed(struct scale *scale); // gives it to the store and so to the compiler
void scale_close(struct scale *scale);

// Every step-th pod from the first on becomes an endpoint, in slots from 0, at most n. And leaves again.
void scale_enroll(struct scale *scale, uint32_t first, uint32_t step, uint32_t n);
void scale_dismiss(struct scale *scale);
struct plan *scale_compile(struct scale *scale);

// manifests.c: the cluster's objects as files.
enum manifest_form { MANIFEST_FILES, MANIFEST_DOCS, MANIFEST_LIST };
void scale_write(const struct shape *shape, const char *folder, enum manifest_form form);

// events.c: what single changes cost on a node of this cluster, applied to tables of the kernel.
void scale_events_head(void);
void scale_events(const struct shape *shape, uint32_t count);
