// SPDX-License-Identifier: Apache-2.0
// stall_scene.h - what changes around the pods p, q and r, for readers to be held in.
//
// World: host, tests; root. Owns: `live`. A scenario goes round through its states; each state's rules
// have names of their own, so that a verdict tells by its rule whose it is.
#pragma once

#include "tests/bpf/rig.h"

#include "agent/policy/room.h"
#include "tests/harness/live.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

static struct live live;

static inline void peer(const char *name, const char *labels, const char *addr)
{
	judge_pod(&live.judge, "a", name, labels, addr, "");
}

struct scenario {
	void (*put)(uint32_t state);
	uint32_t states, starts; // readers begin in each of the first `starts`
	uint32_t dense_cells; // 0: the default
	bool flips; // the pod's switch is the only moment at which its verdicts change
	struct live_flow flows[4];
	uint32_t nflows;
};

// The policy of `app` in this state, in place of that in the other.
static inline void replace_of(const char *app, enum bh_dir dir, uint32_t state, const char *rules)
{
	char name[16];

	snprintf(name, sizeof(name), "%s%u", app, !state);
	store_remove(live.judge.store, KIND_NETPOL, "a", name);
	snprintf(name, sizeof(name), "%s%u", app, state);
	live_policy(&live, "a", name, app, dir, rules);
}

static inline void replace(const char *app, uint32_t state, const char *rules)
{
	replace_of(app, IN, state, rules);
}

#define FROM(labels, ports)                                                                        \
	"{'from':[{'podSelector':{'matchLabels':{" labels "}}}],'ports':[" ports "]}"
#define BLOCK(block, ports) "{'from':[{'ipBlock':{" block "}}],'ports':[" ports "]}"
#define PORT(n) "{'port':" #n "}"
#define PORTS(lo, hi) "{'port':" #lo ",'endPort':" #hi "}"

#define TCP(slot, remote, port)                                                                    \
	{                                                                                          \
		slot, IN, remote, IPPROTO_TCP, 0, port                                             \
	}

static inline void put_split(uint32_t state)
{
	replace("p", state,
		state ? FROM("'g':'1','h':'1'", PORT(80)) "," FROM("'g':'1','h':'2'", PORT(81)) :
			FROM("'g':'1'", PORT(80)));
}

static const struct scenario split = {
	put_split, 2,
	2,         0,
	true,      { TCP(0, "10.2.0.1", 80), TCP(0, "10.2.0.2", 80), TCP(0, "fd00:2::2", 81) },
	3,
};

static inline void put_cross(uint32_t state)
{
	replace("p", state,
		state ? FROM("'h':'1'", PORT(81)) "," FROM("'h':'2'", PORTS(79, 80)) :
			FROM("'g':'1'", PORT(80)) "," FROM("'g':'2'", PORTS(81, 90)));
}

#define CROSS_FLOWS                                                                                \
	{                                                                                          \
		TCP(0, "10.2.0.1", 80), TCP(0, "10.2.0.2", 80), TCP(0, "10.2.0.3", 81),            \
			TCP(0, "fd00:2::4", 81)                                                    \
	}

static const struct scenario cross = { put_cross, 2, 2, 0, true, CROSS_FLOWS, 4 };
static const struct scenario sparse = { put_cross, 2, 2, 1, true, CROSS_FLOWS, 4 };

static inline void put_verdicts(uint32_t state)
{
	replace("p", state,
		state ? FROM("'g':'2'", PORT(80)) "," FROM("'g':'1'", PORT(81)) :
			FROM("'g':'1'", PORT(80)) "," FROM("'g':'2'", PORT(81)));
}

static const struct scenario verdicts = {
	put_verdicts, 2, 2, 0, true, { TCP(0, "10.2.0.1", 80), TCP(0, "10.2.0.3", 80) }, 2,
};

static inline void put_ports(uint32_t state)
{
	replace("p", state,
		state ? FROM("'g':'1'", PORTS(80, 85)) "," FROM("'g':'2'", PORTS(84, 90)) :
			FROM("'g':'1'", PORTS(80, 90)));
}

static const struct scenario ports = {
	put_ports,
	2,
	2,
	0,
	true,
	{ TCP(0, "10.2.0.1", 80), TCP(0, "10.2.0.1", 84), TCP(0, "10.2.0.1", 86),
	  TCP(0, "10.2.0.3", 88) },
	4,
};

// Prefixes that appear first and go again, with an exact address in them that had none of its own.
static inline void put_nested(uint32_t state)
{
	peer("n1", "'n':'1'", "10.9.1.1");
	replace("p", state,
		state ? BLOCK("'cidr':'10.9.0.0/16','except':['10.9.1.0/24']", PORT(80)) "," //
			BLOCK("'cidr':'10.9.1.0/25'", PORT(81)) "," FROM("'n':'1'", PORT(82)) :
			BLOCK("'cidr':'10.9.0.0/16'", PORT(80)));
}

static const struct scenario nested = {
	put_nested,
	2,
	2,
	0,
	true,
	{ TCP(0, "10.9.1.1", 80), TCP(0, "10.9.1.2", 80), TCP(0, "10.9.1.129", 80),
	  TCP(0, "10.9.2.1", 80) },
	4,
};

// A peer changes its label under a policy that stays.
static inline void put_relabel(uint32_t state)
{
	replace("p", 0, FROM("'g':'1'", PORT(80)) "," FROM("'g':'2'", PORT(81)));
	peer("a1", state ? "'g':'2','h':'1'" : "'g':'1','h':'1'", "10.2.0.1");
}

static const struct scenario relabel = {
	put_relabel, 2, 2, 0, false, { TCP(0, "10.2.0.1", 80), TCP(0, "10.2.0.1", 81) }, 2,
};

// The pod leaves a policy that q stays under, and its peer becomes another, in one plan.
static inline void put_leave(uint32_t state)
{
	replace("s", 0, FROM("'g':'1'", PORT(80)) "," FROM("'g':'2'", PORT(82)));
	replace("t", 0, FROM("'g':'1'", PORT(81)) "," FROM("'g':'2'", PORT(80)));
	judge_pod(&live.judge, "a", "p", state ? "'app':'t'" : "'app':'s'", "10.1.0.5 fd00:1::5",
		  "");
	judge_pod(&live.judge, "a", "q", "'app':'s'", "10.1.0.6 fd00:1::6", "");
	judge_pod(&live.judge, "a", "r", "'app':'t'", "10.1.0.7 fd00:1::7", "");
	peer("a1", state ? "'g':'2'" : "'g':'1'", "10.2.0.1");
}

static const struct scenario leave = {
	put_leave, 2, 2, 0, true, { TCP(0, "10.2.0.1", 80) }, 1,
};

// Pods get labels that a policy of q tells apart: more classes than the matrix of p, which stays, has room
// for. A compiler needs that once.
static inline void put_growth(uint32_t state)
{
	char *rules = NULL, labels[32], addr[32];
	size_t bytes;
	FILE *f = open_memstream(&rules, &bytes);

	for (int i = 0; i < 300; i++) {
		snprintf(labels, sizeof(labels), "'g':'%d','u':'%d'", 1 + i % 2, state ? i : -1);
		snprintf(addr, sizeof(addr), "10.3.%d.%d", i / 100, 1 + i % 100);
		judge_pod(&live.judge, "a", addr, labels, addr, "");
		fprintf(f, "%s{'from':[{'podSelector':{'matchLabels':{'u':'%d'}}}]}", i ? "," : "",
			i);
	}
	fclose(f);
	replace("p", 0, FROM("'g':'1'", PORT(80)) "," FROM("'g':'2'", PORT(81)));
	replace("q", 0, rules);
	free(rules);
}

static const struct scenario growth = {
	put_growth, 2, 1, 0, false, { TCP(0, "10.3.2.100", 81) }, 1,
};

// A class is freed, then q switches between matrices that stay (a plan with a wait), then another address
// needs a new class, which has the freed one's id. That is so the first time.
static inline void put_reuse(uint32_t state)
{
	replace("p", 0,
		FROM("'u':'0'", PORT(80)) "," FROM("'u':'1'", PORT(81)) "," FROM("'u':'2'",
										 PORT(80)));
	replace("r", 0, FROM("'g':'2'", PORT(80)));
	peer("a1", state ? "'u':'1'" : "'u':'0'", "10.2.0.1");
	peer("a2", state == 3 ? "'u':'2'" : "'v':'0'", "10.2.0.2");
	judge_pod(&live.judge, "a", "q", state >= 2 ? "'app':'p'" : "'app':'r'",
		  "10.1.0.6 fd00:1::6", "");
}

static const struct scenario reuse = {
	put_reuse, 4, 1, 0, false, { TCP(0, "10.2.0.1", 80), TCP(0, "10.2.0.1", 81) }, 2,
};

// ---- Services: rows beside those of addresses --------------------------------------------------------------------
#define TO(labels, ports)                                                                          \
	"{'to':[{'podSelector':{'matchLabels':{" labels "}}}],'ports':[" ports "]}"
#define VIP(slot, remote, port)                                                                    \
	{                                                                                          \
		slot, OUT, remote, IPPROTO_TCP, port, 0                                            \
	}

static inline void put_service(const char *name, const char *vip, const char *backends)
{
	judge_put(&live.judge, KIND_SERVICE,
		  "{'metadata':{'namespace':'a','name':'%s'},'spec':{'clusterIPs':['%s'],"
		  "'ports':[{'port':443,'targetPort':80}]}}",
		  name, vip);
	judge_put(&live.judge, KIND_ENDPOINTSLICE,
		  "{'metadata':{'namespace':'a','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
		  "'addressType':'IPv4','ports':[{'port':80}],'endpoints':[{'addresses':[%s]}]}",
		  name, name, backends);
}

// The pod's policy changes, its Services do not.
static inline void put_services(uint32_t state)
{
	put_service("s", "10.96.0.1", "'10.2.0.1'");
	put_service("t", "10.96.0.2", "'10.2.0.3'");
	replace_of("p", OUT, state,
		   state ? TO("'g':'2'", PORT(80)) "," TO("'g':'1'", PORT(81)) :
			   TO("'g':'1'", PORT(80)) "," TO("'g':'2'", PORT(81)));
}

static const struct scenario services = {
	put_services,
	2,
	2,
	0,
	true,
	{ VIP(0, "10.96.0.1", 443), VIP(0, "10.96.0.2", 443) },
	2,
};

// Their backends change, under a policy that stays.
static inline void put_backends(uint32_t state)
{
	put_service("s", "10.96.0.1", state ? "'10.2.0.3'" : "'10.2.0.1'");
	put_service("t", "10.96.0.2", state ? "'10.2.0.1'" : "'10.2.0.3'");
	replace_of("p", OUT, 0, TO("'g':'1'", PORT(80)));
}

static const struct scenario backends = {
	put_backends,
	2,
	2,
	0,
	false,
	{ VIP(0, "10.96.0.1", 443), VIP(0, "10.96.0.2", 443) },
	2,
};
