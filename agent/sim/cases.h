// SPDX-License-Identifier: Apache-2.0
// cases.h - conformance cases: a cluster's state and what must pass in it, one JSON object a line.
//
// World: host, one thread. Pure: reads the file, nothing else. Owns: an index of the file; each
// struct sim_case its JSON, which every text in it is borrowed from.
//
// Cases are handed out in running order: the file's own, but the steps of a sequence follow each other
// by number from where its first one stands. Each step is a whole state; who wants to test updates
// applies case_difference() from the step before.
#pragma once

#include "agent/object/object.h"

struct cases;

#define CASE_LINE_BYTES (64u << 20)

enum case_family { CASE_IPV4 = 1 << 0, CASE_IPV6 = 1 << 1 };

struct case_port {
	const char *name; // NULL: unnamed
	uint16_t port;
	uint8_t protocol;
};

struct case_pod {
	const char *ns, *name;
	const char *node; // NULL: the case does not say
	const char *ipv4, *ipv6; // NULL: none of the family
	size_t nports;
	struct case_port *ports;
};

struct case_node {
	const char *name, *ipv4, *ipv6;
};

// A new connection from one end to a listening port of the other. Ends are "NS/POD", "ip:ADDRESS" or
// "node:NAME".
struct case_expect {
	const char *from, *to;
	uint16_t port;
	uint8_t protocol;
	bool allow;
	bool loopback; // from and to are one pod: always allowed, reported apart
	bool external; // of expectExternal: an end may be no pod
};

// One object of the state, as a manifest for the API or a file.
struct case_object {
	enum kind kind;
	const char *ns; // NULL: not namespaced
	const char *name;
	struct json_object *json; // whole object with apiVersion, kind, metadata
};

struct sim_case {
	const char *name;
	unsigned families; // enum case_family, or-ed
	bool noncanonical; // tag: CIDRs carry host bits
	const char *sequence; // id; NULL: stands alone
	unsigned step, of;
	size_t npods, nnodes, nexpects, nobjects;
	struct case_pod *pods;
	struct case_node *nodes;
	struct case_expect *expects;
	struct case_object *objects; // sorted by kind, ns, name
	struct json_object *json; // what the texts are borrowed from
};

// What takes one state to another.
struct case_change {
	bool remove; // false: add or replace
	const struct case_object *object; // of `after`; of `before` when it is removed
};

// Indexes a file. -EINVAL / -errno with a sentence.
int cases_open(const char *path, struct cases **ret, struct err *reterr);
void cases_close(struct cases *cases);
DEFINE_CLEANUP(struct cases *, cases_close)
size_t cases_count(const struct cases *cases);

// Reads the index'th case of the running order. -EBADMSG: the line is no case, reterr says why.
int case_read(struct cases *cases, size_t index, struct sim_case **ret, struct err *reterr);
// Same from one line of text, without a file.
int case_parse(const char *text, size_t len, struct sim_case **ret, struct err *reterr);
void case_free(struct sim_case *c);
DEFINE_CLEANUP(struct sim_case *, case_free)

// "line 12" or, where it can be read, the case's name: for messages about a case that cannot be read.
const char *case_title(struct cases *cases, size_t index, char *buf, size_t bytes);

// Whether `after` is a later step of the sequence that `before` (NULL: no) belongs to.
bool case_follows(const struct sim_case *before, const struct sim_case *after);

// The changes from before (NULL: nothing there) to after: first what is added or replaced, in the
// order of objects[], then what is removed, in the reverse order. *ret is malloc'd, its objects are
// borrowed from both cases. Equal objects are in no list. 0 or -ENOMEM.
int case_difference(const struct sim_case *before, const struct sim_case *after,
		    struct case_change **ret, size_t *retn);

// Finds a pod or node of the state by the text of an end; NULL: none.
const struct case_pod *case_pod_find(const struct sim_case *c, const char *end);
const struct case_node *case_node_find(const struct sim_case *c, const char *end);
