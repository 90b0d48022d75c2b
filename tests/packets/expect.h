// SPDX-License-Identifier: Apache-2.0
// expect.h - what the programs should make of a frame: the host build of the parser and of the keys, and in
// plain words the checks at the pod's door.
//
// World: host, tests. Pure: yes. Owns: nothing.
// The scene is bpfprog's, with policies that allow everything: whatever is dropped is dropped for what it is.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/key.h>
#include <bulkhead/parse.h>

struct expect {
	enum bh_reason parse; // NONE, or why the parser drops it
	// without state: CONTROL (passes as the link's own), a drop, or NONE: goes on to connections
	enum bh_reason door;
	struct bh_pkt pkt;
	bool stateless; // of no connection, judged alone
};

// Parses with both parsers, which must agree (false: they do not), and judges what needs no table.
bool expect_frame(const uint8_t *data, uint32_t bytes, enum bh_dir dir, bool gso,
		  struct expect *ret);

// The connection key in the form of its family's table, and its check word.
union expect_key {
	struct bh_ct_key v4;
	struct bh_ct6_key v6;
};
void expect_key(const struct expect *expect, enum bh_dir dir, uint32_t ident,
		union expect_key *ret, uint32_t *retcheck);
