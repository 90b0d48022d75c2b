#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R8: nobody makes an entry that opens what a policy closes: not a neighbour with a forged source, not a frame
# that the bridge floods, not multicast, not the responder of an allowed flow; and nobody ends a flow by a forged
# reset. Real frames on a bridge, from a neighbour that nothing filters.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up bridged
namespace shop
pod api shop
pod web shop
pod tool shop # no policy selects it
link_up wire # a port of the bridge that is no pod: sends whatever it likes
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 53, protocol: UDP}]}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 80}, {port: 53, protocol: UDP}]}]}'
agent_start
sync
wire wire api web tool
api=$(mac api) web=$(mac web) tool=$(mac tool) wire=$(mac wire) stranger=02:00:00:00:00:99
api4=${POD4[api]} web4=${POD4[web]} tool4=${POD4[tool]} wire4=${POD4[wire]} api6=${POD6[api]} web6=${POD6[web]}
quiet() { equal "r8_$1: no connection of $2 was made" "$(connections "$2")" "$3"; }

# Forged sources: an unselected pod's lies stop at its own veth, an unfiltered neighbour's are judged as what they
# claim and give it no answer; neither leaves an entry behind that would let more in.
frames tool api tool egress <<-EOT
	spoofed-address | r8_forged_source: an unselected pod as an allowed one       | eth $tool $api 0x0800 ip $web4 $api4 6 tcp 7000 80 2 1 0
	spoofed-address | r8_forged_source: its segment of a connection not its own   | eth $tool $api 0x0800 ip $web4 $api4 6 tcp 7000 22 0x10 1 1
	spoofed-mac     | r8_forged_source: an unselected pod with an allowed one's MAC | eth $web $api 0x86dd ip $web6 $api6 17 udp 7000 53 data 8
EOT
frames wire api api ingress <<-EOT
	policy-denied   | r8_forged_source: a stranger's SYN                          | eth $wire $api 0x0800 ip $wire4 $api4 6 tcp 7001 80 2 1 0
	policy-denied   | r8_forged_source: a segment of an older connection, it says | eth $wire $api 0x0800 ip $wire4 $api4 6 tcp 7001 80 0x10 1 1
	not-syn         | r8_forged_source: SYN and ACK of no connection              | eth $wire $api 0x0800 ip $web4 $api4 6 tcp 80 7002 0x12 1 1
	policy-denied   | r8_forged_source: an allowed pod's address, another port    | eth $wire $api 0x0800 ip $web4 $api4 6 tcp 7001 22 2 1 0
	spoofed-address | r8_forged_source: the pod's own address                     | eth $wire $api 0x0800 ip $api4 $api4 6 tcp 7001 80 2 1 0
	not-mine        | r8_flooded_frame: an allowed port of another's address      | eth $wire $stranger 0x0800 ip $web4 $wire4 6 tcp 7001 80 2 1 0
	not-mine        | r8_flooded_frame: with the pod's MAC                        | eth $wire $api 0x0800 ip $web4 $wire4 17 udp 7001 53 data 8
	policy-denied   | r8_multicast: to a group, from a stranger                   | eth $wire 01:00:5e:00:00:fb 0x0800 ip $wire4 224.0.0.251 17 udp 53 53 data 8
EOT
quiet forged_source api 0
frames wire api api ingress <<-EOT
	pass | r8_multicast: from an allowed address, to an allowed port | eth $wire 01:00:5e:00:00:fb 0x0800 ip $web4 224.0.0.251 17 udp 53 53 data 8
EOT
quiet multicast api 0
frames wire tool tool ingress <<<"pass | r8_multicast: to an open pod | eth $wire $tool 0x0800 ip $wire4 $tool4 17 udp 53 53 data 8"

# The responder of an allowed flow begins one over the same ports; the requester's echo id is shared.
stream tcp web api 80 tcp 4 -i 2 -p 40001
stream udp web api 53 udp 4 -i 2 -p 40002
tool_ask tcp "echoed 20 5000"
tool_ask udp "echoed 20 5000"
frames api web web ingress <<-EOT
	policy-denied | r8_syn_from_the_responder: over the flow's own ports | eth $api $web 0x0800 ip $api4 $web4 6 tcp 80 40001 2 1 0
	policy-denied | r8_syn_from_the_responder: to another port           | eth $api $web 0x0800 ip $api4 $web4 6 tcp 80 40003 2 1 0
	policy-denied | r8_syn_from_the_responder: UDP to another port       | eth $api $web 0x0800 ip $api4 $web4 17 udp 53 40003 data 8
EOT
policy icmp shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Egress]
	egress: [{to: [{podSelector: {matchLabels: {app: tool}}}, {ipBlock: {cidr: $wire4/32}}]}]
EOT
sync
frames web wire web egress <<<"pass | an allowed echo request | eth $web $wire 0x0800 ip $web4 $wire4 1 icmp 8 0 77"
frames wire web web ingress <<-EOT
	pass           | its reply                                             | eth $wire $web 0x0800 ip $wire4 $web4 1 icmp 0 0 77
	policy-denied  | r8_shared_echo_id: the responder's request by that id | eth $wire $web 0x0800 ip $wire4 $web4 1 icmp 8 0 77
	icmp-unrelated | r8_shared_echo_id: a reply by another id              | eth $wire $web 0x0800 ip $wire4 $web4 1 icmp 0 0 78
	icmp-unrelated | r8_shared_echo_id: a reply of another's               | eth $wire $web 0x0800 ip $api4 $web4 1 icmp 0 0 77
EOT

# Forged resets and ends, by an unfiltered neighbour and in the server's name: the ends know better by their
# sequence numbers, and the entry must not be lost for it.
for flags in 0x04 0x14 0x11; do
	tool_ask wire-wire "send 50 eth $wire $web 0x0800 ip $api4 $web4 6 tcp 80 40001 $flags 1 1"
	tool_ask wire-wire "send 50 eth $wire $api 0x0800 ip $web4 $api4 6 tcp 40001 80 $flags 1 1"
done
# SYNs of a stranger in the requester's name, over the live connection
tool_ask wire-wire "send 5 eth $wire $api 0x0800 ip $web4 $api4 6 tcp 40001 80 2 99 0"
for s in tcp udp; do
	tool_ask "$s" "echoed 100 10000"
	tool_ask "$s" "drain 5000"
	equal "r8_spoofed_reset: the $s flow goes on" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
done
equal "r8_spoofed_reset: its entry lives as before" \
	"$(ask '{"op":"ct.list","namespace":"shop","name":"web"}' |
		jq -r '.connections[] | select(.local_port == 40001) | "\(.state) \(.direction)"')" "established egress"
frames wire api api ingress <<<"policy-denied | r8_forged_source: still closed to a stranger | eth $wire $api 0x0800 ip $wire4 $api4 6 tcp 7005 80 2 1 0"
expect "and what is allowed opens still" <<-EOT
	open   web api 80 tcp
	open   web api 53 udp
	silent tool api 80 tcp
	silent api web 80 tcp
EOT
end
