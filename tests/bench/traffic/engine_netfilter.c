// SPDX-License-Identifier: Apache-2.0
// engine_netfilter.c - the same policy by nftables and by iptables, in the shapes that other products give it.
// Modelled on them, not made by them.
#include "tests/bench/traffic/traffic.h"

#include <stdio.h>
#include <stdlib.h>

#define PODS 110
#define PAIRS 10000
#define LINE 1000
#define PEERS 1000

static FILE *feed(const char *command)
{
	FILE *f = popen(command, "we");

	if (!f)
		traffic_die(command);
	return f;
}

// ---- nftables ------------------------------------------------------------------------------------------------------------
#define NFT_HEAD                                                                                   \
	"table ip bench {\n"                                                                       \
	"chain forward { type filter hook forward priority 0; policy drop;\n"                      \
	"ct state established,related accept\n"

// A new connection asks a map for its source's chain and for its destination's; both ask the set.
bool engine_put_nft_sets(struct bed *bed, const struct engine *engine)
{
	FILE *f = feed("nft -f -");

	fprintf(f, "table ip bench {\nset pairs { type ipv4_addr . ipv4_addr; elements = {\n" POD_A
		   " . " POD_B ", " POD_B " . " POD_A);
	for (int i = 2; i < PAIRS; i++)
		fprintf(f, ",\n10.64.%d.%d . 10.3.0.%d", i / 256, i % 256, i % PODS);
	fprintf(f, "}\n}\nchain pod { ip saddr . ip daddr @pairs return; drop; }\n"
		   "map pods { type ipv4_addr : verdict; elements = {\n" POD_A " : jump pod, " POD_B
		   " : jump pod");
	for (int i = 2; i < PODS; i++)
		fprintf(f, ",\n10.3.0.%d : jump pod", i);
	fprintf(f, "}\n}\n}\n" NFT_HEAD "ip saddr vmap @pods; ip daddr vmap @pods; accept\n}\n}\n");
	return pclose(f) == 0;
}

bool engine_put_nft_line(struct bed *bed, const struct engine *engine)
{
	FILE *f = feed("nft -f -");

	fprintf(f, NFT_HEAD);
	for (int i = 1; i < LINE; i++)
		fprintf(f, "ip saddr 10.64.%d.%d ip daddr 10.3.0.%d accept\n", i / 256, i % 256,
			i % PODS);
	fprintf(f, "ip saddr " POD_A " ip daddr " POD_B " accept\n}\n}\n");
	return pclose(f) == 0;
}

// ---- iptables and ipset, as kube-router lays them out --------------------------------------------------------------
static bool put_ipsets(void)
{
	FILE *f = feed("ipset restore");

	fprintf(f, "create peers hash:ip\ncreate pods hash:ip\n");
	fprintf(f, "add peers " POD_A "\nadd peers " POD_B "\nadd pods " POD_A "\nadd pods " POD_B
		   "\n");
	for (int i = 2; i < PEERS; i++)
		fprintf(f, "add peers 10.64.%d.%d\n", i / 256, i % 256);
	for (int i = 2; i < PODS; i++)
		fprintf(f, "add pods 10.3.0.%d\n", i);
	return pclose(f) == 0;
}

// The two pods stand in the middle of all.
static void name_pod(int i, char name[static 16])
{
	if (i == PODS / 2 || i == PODS / 2 + 1)
		snprintf(name, 16, "%s", i == PODS / 2 ? POD_A : POD_B);
	else
		snprintf(name, 16, "10.3.0.%d", i + 1);
}

static void put_chains(FILE *f, int i)
{
	char pod[16];

	name_pod(i, pod);
	fprintf(f, ":POD-FW-%d -\n:NWPLCY-%d -\n", i, i);
	fprintf(f, "-A ROUTER -d %s -j POD-FW-%d\n-A ROUTER -s %s -j POD-FW-%d\n", pod, i, pod, i);
	fprintf(f, "-A POD-FW-%d -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", i);
	fprintf(f, "-A POD-FW-%d -m conntrack --ctstate INVALID -j DROP\n", i);
	fprintf(f, "-A POD-FW-%d -m addrtype --src-type LOCAL -d %s -j ACCEPT\n", i, pod);
	fprintf(f, "-A POD-FW-%d -j NWPLCY-%d\n", i, i);
	fprintf(f, "-A POD-FW-%d -m mark ! --mark 0x10000/0x10000 -j REJECT\n", i);
	fprintf(f, "-A POD-FW-%d -j MARK --set-mark 0x0/0x10000\n", i);
	fprintf(f, "-A POD-FW-%d -j MARK --set-mark 0x20000/0x20000\n", i);
	fprintf(f,
		"-A NWPLCY-%d -m set --match-set peers src -m set --match-set pods dst "
		"-j MARK --set-mark 0x10000/0x10000\n",
		i);
	fprintf(f, "-A NWPLCY-%d -m mark --mark 0x10000/0x10000 -j RETURN\n", i);
}

bool engine_put_iptables(struct bed *bed, const struct engine *engine)
{
	FILE *f;

	if (!put_ipsets())
		return false;
	f = feed("iptables-legacy-restore");
	fprintf(f, "*filter\n:FORWARD ACCEPT\n:ROUTER -\n-A FORWARD -j ROUTER\n");
	for (int i = 0; i < PODS; i++)
		put_chains(f, i);
	fprintf(f, "-A FORWARD -m mark --mark 0x20000/0x20000 -j ACCEPT\nCOMMIT\n");
	return pclose(f) == 0;
}
