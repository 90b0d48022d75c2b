// SPDX-License-Identifier: Apache-2.0
// pod.h - one pod on a veth pair, the programs on it, and traffic through them.
//
// World: host, tests; root. Owns: nothing; cmocka's state is the struct tables.
#pragma once

#include "tests/bpf/rig.h"

#include <sys/socket.h>

#include "agent/bpf/program.h"

#define SLOT 3
#define NET 31
#define HERE "10.31.0.1"
#define THERE "10.31.0.2"
#define DEVICE "vpod"

static const enum bh_attach modes[] = { BH_ATTACH_TCX, BH_ATTACH_CLSACT };

// ---- a pod and its programs -------------------------------------------------------------------------

static inline uint32_t ident_of(uint32_t incarnation)
{
	return BH_IDENT(SLOT, incarnation);
}

// An open endpoint whose programs pass everything of its own.
static inline void endpoint_ready(struct tables *tables, uint32_t incarnation)
{
	struct bh_addr addr4 = rig_addr(THERE), addr6 = rig_addr("fd00:1f::2");
	static const uint8_t mac[6] = { 2, 0, 0, 0, NET, 2 };
	struct bh_endpoint *e = (void *)tables_endpoint(tables, SLOT);

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		e->policy[dir] = BH_POLICY_ALLOW;
		e->gen[dir] = BH_GEN_OF(BH_POLICY_ALLOW);
	}
	memcpy(e->mac, mac, sizeof(mac));
	e->addr4 = addr4.w[3];
	memcpy(e->addr6, &addr6, sizeof(e->addr6));
	e->ifindex = (uint32_t)net_ifindex(DEVICE);
	e->state = BH_STATE_ACTIVE;
	e->ident = ident_of(incarnation);
}

static inline struct program_pair load(struct tables *tables, uint32_t incarnation)
{
	struct program_config config = { .variant = PROGRAM_TRACK, .ident = ident_of(incarnation) };
	struct program_pair pair = { -1, -1 };
	struct err err = { 0 };

	assert_ok_err(program_load(tables, &config, &pair, &err), &err);
	return pair;
}

static inline void attach(struct tables *tables, enum bh_attach mode, uint32_t incarnation)
{
	struct program_pair pair = load(tables, incarnation);
	struct err err = { 0 };

	assert_ok_err(program_attach(tables, SLOT, net_ifindex(DEVICE), mode, &pair, &err), &err);
	program_pair_close(&pair);
}

static inline void detach(struct tables *tables, enum bh_attach mode)
{
	struct err err = { 0 };

	assert_ok_err(program_detach(tables, SLOT, net_ifindex(DEVICE), mode, &err), &err);
}

static inline int check(struct tables *tables, enum bh_attach mode, struct err *reterr)
{
	memset(reterr, 0, sizeof(*reterr));
	return program_check(tables, SLOT, net_ifindex(DEVICE), mode, reterr);
}

static inline void assert_in_force(struct tables *tables, enum bh_attach mode)
{
	struct err err = { 0 };

	assert_ok_err(check(tables, mode, &err), &err);
}

// ---- traffic ----------------------------------------------------------------------------------------

struct pair {
	int sock[2]; // here, there
};

// For what comes a machine may take its time; what does not come is waited for a moment.
static inline void traffic_wait(const struct pair *pair, struct timeval wait)
{
	for (int i = 0; i < 2; i++)
		setsockopt(pair->sock[i], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

static inline struct pair traffic(void)
{
	_cleanup_close_ int pod = net_open("pod");
	struct pair pair;

	net_udp(pod, HERE, THERE, pair.sock);
	traffic_wait(&pair, (struct timeval){ .tv_usec = 200000 });
	return pair;
}

static inline void traffic_end(struct pair *pair)
{
	close(pair->sock[0]);
	close(pair->sock[1]);
}

// One datagram to the pod (from 0) or from it (from 1); whether it came through.
static inline bool passes(const struct pair *pair, int from)
{
	char buf[8];

	assert_int_equal(send(pair->sock[from], "x", 1, 0), 1);
	return recv(pair->sock[!from], buf, sizeof(buf), 0) == 1;
}

static inline void assert_passes(bool want)
{
	struct pair pair = traffic();

	if (want)
		traffic_wait(&pair, (struct timeval){ .tv_sec = 5 });
	assert_int_equal(passes(&pair, 0), want);
	assert_int_equal(passes(&pair, 1), want);
	traffic_end(&pair);
}

static inline int pod_setup(void **state)
{
	if (rig_setup(state))
		return -1;
	net_pod("pod", DEVICE, NET);
	endpoint_ready(*state, 1);
	assert_passes(true); // also settles the neighbours
	return 0;
}
