// SPDX-License-Identifier: Apache-2.0
// naive_private.h - what the files of the second evaluator share.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include "tests/harness/naive.h"

#define NAIVE_LIST_MAX 1024

struct naive_list {
	size_t n;
	const struct object *v[NAIVE_LIST_MAX];
};

void naive_collect(const struct naive *naive, enum kind kind, const char *ns,
		   struct naive_list *ret);

// One question.
struct naive_question {
	const struct naive *naive;
	const struct pod *pod; // whose policy is asked
	const struct pod *peer; // the pod at the remote address, or NULL
	const struct bh_addr *remote;
	enum bh_dir dir;
	uint8_t protocol;
	uint16_t port;
	bool shadow;
};

// The remote as an address; finds the peer.
enum bh_verdict naive_address(struct naive_question *q);

// The remote as a Service's key: false, it is none.
bool naive_service(const struct naive_question *q, enum bh_verdict *ret);

const struct pod *naive_pod_at(const struct naive *naive, const struct bh_addr *addr);

bool naive_isolated(const struct naive_question *q); // by NetworkPolicies
bool naive_own_node(const struct naive *naive,
		    const struct bh_addr *addr); // a status address of it
