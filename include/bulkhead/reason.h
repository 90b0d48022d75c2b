/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * reason.h - why a packet passed or was dropped: number, name, sentence. Append-only.
 *
 * World: shared. Pure: yes. Owns: nothing.
 * One number space serves the datapath, counters, flow records, metrics and the command line. A retired
 * reason stays as a tombstone. Numbers below BH_REASON_DROP pass, the others drop.
 */
#pragma once

#define BH_REASON_DROP 32

/* X(symbol, number, name, sentence) */
#define BH_REASONS(X)                                                                               \
	X(NONE, 0, "none", "not judged yet")                                                        \
	X(ALLOWED, 1, "allowed", "a rule allows it, or no policy isolates the pod in this direction") \
	X(ESTABLISHED, 2, "established", "it belongs to a connection that was allowed")             \
	X(RELATED, 3, "related", "an ICMP error about a connection that was allowed")               \
	X(OWN_NODE, 4, "own-node", "the pod's own node always reaches it, and is reached by it")    \
	X(HAIRPIN, 5, "hairpin", "the pod's own packet came back to it")                            \
	X(CONTROL, 6, "control", "ARP, neighbour discovery, MLD, DHCP: the link works")             \
	X(OPEN, 7, "open", "no policy selects the pod")                                             \
	X(ADOPTED, 8, "adopted", "a connection older than enforcement, judged in one direction")    \
	X(SERVICE, 9, "service", "to a Service of which only some backends are allowed: judged when one is chosen") \
	X(AUDIT, 10, "audit", "it passes, and would not if the policies in audit mode were enforced")    \
	X(POLICY_DENIED, 32, "policy-denied", "a rule denies it, or no rule of the isolating policies allows it") \
	X(CUT, 33, "cut", "a policy change cut this connection")                                    \
	X(QUARANTINE, 34, "quarantine", "the pod's policy is not known yet, or its programs cannot judge by it yet")                        \
	X(STALE_PROGRAM, 35, "stale-program", "the program belongs to an earlier pod in this slot") \
	X(SPOOFED_MAC, 36, "spoofed-mac", "the source MAC address is not the pod's")                \
	X(SPOOFED_ADDR, 37, "spoofed-address", "the source address is not the pod's")               \
	X(SPOOFED_ARP, 38, "spoofed-neighbour", "an ARP or neighbour advertisement claims an address that is not the pod's") \
	X(NOT_MINE, 39, "not-mine", "a unicast destination that is not the pod's address")          \
	X(LINK_CONTROL, 40, "link-control", "a frame that only network equipment may send: RA, redirect, DHCP server, STP, LLDP") \
	X(VLAN, 41, "vlan", "a VLAN tag, which a pod's veth never carries")                         \
	X(ETHERTYPE, 42, "ethertype", "an unknown link protocol")                                   \
	X(SHORT, 43, "short", "headers are cut off")                                                \
	X(BAD_HEADER, 44, "bad-header", "an IP header contradicts itself")                          \
	X(BAD_LENGTH, 45, "bad-length", "a header's length is beyond the packet")                   \
	X(BAD_ADDR, 46, "bad-address", "an address that may not stand there on the wire")           \
	X(EXT_CHAIN, 47, "extension-chain", "too many or malformed IPv6 extension headers")         \
	X(FRAG_UNKNOWN, 48, "fragment-unknown", "a later fragment whose first one was not seen or not allowed") \
	X(FRAG_OVERLAP, 49, "fragment-overlap", "a later fragment that overlaps the transport header") \
	X(FRAG_FULL, 50, "fragment-full", "no room to remember a fragmented datagram")              \
	X(NOT_SYN, 51, "not-syn", "a TCP segment of no known connection that is no SYN")            \
	X(ICMP_UNRELATED, 52, "icmp-unrelated", "an ICMP error about no known connection")          \
	X(CT_FULL, 53, "connection-table-full", "the connection table is full")                     \
	X(CT_QUOTA, 54, "connection-quota", "the pod's share of the connection table is used up")   \
	X(CLASS_UNKNOWN, 55, "class-unknown", "an address class that the pod's policy does not know") \
	X(NO_POLICY, 56, "no-policy", "the pod's policy is missing from the tables")                \
	X(INTERNAL, 57, "internal", "a table lookup failed that never may")                         \
	X(SOURCE_ROUTE, 58, "source-route", "the packet says itself by whom it goes on: its destination is not its last one") \
	X(SERVICE_MIXED, 59, "service-mixed", "only some backends of the Service are allowed, and nothing here can judge which one it gets") \
	X(SERVICE_EMPTY, 60, "service-empty", "the Service has no endpoints") \
	X(BACKEND_UNKNOWN, 61, "backend-unknown", "only some backends of the Service are allowed, and which one this came from or goes to is not known") \
	X(SERVICE_UNASKED, 62, "service-unasked", "from a Service's ClusterIP, of no known flow: a Service answers, it begins nothing")

enum bh_reason {
#define BH_REASON_ENUM(sym, num, name, text) BH_REASON_##sym = (num),
	BH_REASONS(BH_REASON_ENUM)
#undef BH_REASON_ENUM
	BH_REASON_MAX = 63,
};
