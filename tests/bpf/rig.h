// SPDX-License-Identifier: Apache-2.0
// rig.h - small tables in a pin folder of the test's own.
//
// World: host, tests; root; net_private() first. Owns: nothing; cmocka's state is the struct tables.
#pragma once

#include "tests/harness/test.h"

#include <arpa/inet.h>

#include "agent/bpf/feature.h"
#include "agent/bpf/tables.h"
#include "tests/harness/net.h"

#define RIG_DIR "/run/bpf/bulkhead"

static const struct tables_config rig_config = {
	.pin_dir = RIG_DIR,
	.endpoints = 64,
	.peers = 4096,
	.cidrs = 4096,
	.policies = 512,
	.sparse_cells = 4096,
	.ct = 4096,
	.frags = 64,
	.denied = 256,
	.totals = 256,
};

static inline struct tables *rig_open(bool *retadopted)
{
	struct tables *tables = NULL;
	struct err err = { 0 };
	bool adopted;

	assert_ok_err(tables_open(&rig_config, &tables, &adopted, &err), &err);
	if (retadopted)
		*retadopted = adopted;
	return tables;
}

static inline int rig_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	*state = rig_open(NULL);
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct err err = { 0 };

	feature_force_mask(0);
	if (*state)
		tables_close(*state);
	assert_ok_err(tables_unpin(RIG_DIR, &err), &err);
	return 0;
}

static inline struct bh_addr rig_addr(const char *text)
{
	struct bh_addr addr;
	__be32 addr4;

	if (inet_pton(AF_INET, text, &addr4) == 1)
		return bh_addr_from4(addr4);
	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}
