#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the link needs passes under default deny, what a pod may not send does not leave it, what is not for it
# does not reach it: a line per frame, on a real bridge, each with the reason that is counted.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up bridged
namespace shop
pod web shop
pod api shop
link_up wire # a port of the bridge that is no pod: nothing filters what it sends and gets
default_deny shop
agent_start
sync
wire web wire

all4=ff:ff:ff:ff:ff:ff all6=33:33:00:00:00:01 stp=01:80:c2:00:00:00
web=$(mac web) api=$(mac api) other=$(mac wire) stranger=02:00:00:00:00:99
web4=${POD4[web]} web6=${POD6[web]} api4=${POD4[api]} api6=${POD6[api]} wire4=${POD4[wire]} wire6=${POD6[wire]}
host_link=$(ip -n "$NODE_NS" -j -6 addr show dev cbr0 scope link | jq -r '.[].addr_info[].local | strings')
web_link=fe80::9:1
arp="eth $web $all4 0x0806 arp"
nd="eth $web $all6 0x86dd ip"
out4="eth $web $other 0x0800 ip"
out6="eth $web $other 0x86dd ip"

frames web wire web egress <<-EOT
	pass              | its own ARP request                      | $arp 1 $web $web4 $wire4
	pass              | its own gratuitous ARP                   | $arp 2 $web $web4 $web4
	pass              | an ARP probe                             | $arp 1 $web 0.0.0.0 $web4
	spoofed-neighbour | ARP request in another pod's name        | $arp 1 $web $api4 $wire4
	spoofed-neighbour | ARP reply in another pod's name          | $arp 2 $web $api4 $wire4
	spoofed-neighbour | ARP reply in the gateway's name          | $arp 2 $web $GW4 $wire4
	spoofed-neighbour | ARP that names another MAC               | $arp 2 $api $web4 $wire4
	spoofed-mac       | ARP from another MAC                     | eth $api $all4 0x0806 arp 2 $api $web4 $wire4
	pass              | neighbour solicitation                   | $nd $web6 ff02::1 58 hops 255 icmp 135 0 0 address $wire6 option 1 $web
	pass              | neighbour solicitation, link-local       | $nd $web_link ff02::1 58 hops 255 icmp 135 0 0 address $wire6 option 1 $web
	pass              | neighbour advertisement of its own       | $nd $web6 ff02::1 58 hops 255 icmp 136 0 0 address $web6 option 2 $web
	pass              | duplicate address detection              | $nd :: ff02::1 58 hops 255 icmp 135 0 0 address $web6
	pass              | duplicate address detection, link-local  | $nd :: ff02::1 58 hops 255 icmp 135 0 0 address $web_link
	pass              | router solicitation                      | $nd $web_link ff02::2 58 hops 255 icmp 133 0 0
	spoofed-neighbour | detection of another pod's address       | $nd :: ff02::1 58 hops 255 icmp 135 0 0 address $api6
	spoofed-neighbour | advertisement of another pod's address   | $nd $web6 ff02::1 58 hops 255 icmp 136 0 0 address $api6 option 2 $web
	spoofed-neighbour | advertisement of the gateway's address   | $nd $web6 ff02::1 58 hops 255 icmp 136 0 0 address $GW6 option 2 $web
	spoofed-neighbour | advertisement of the host's link address | $nd $web_link ff02::1 58 hops 255 icmp 136 0 0 address $host_link option 2 $web
	spoofed-address   | solicitation from another pod's address  | $nd $api6 ff02::1 58 hops 255 icmp 135 0 0 address $wire6 option 1 $web
	spoofed-address   | solicitation from the gateway's address  | $nd $GW6 ff02::1 58 hops 255 icmp 135 0 0 address $wire6 option 1 $web
	spoofed-address   | solicitation from the host's link address | $nd $host_link ff02::1 58 hops 255 icmp 135 0 0 address $wire6 option 1 $web
	spoofed-address   | router solicitation, the host's link address | $nd $host_link ff02::2 58 hops 255 icmp 133 0 0 option 1 $web
	bad-header        | neighbour discovery from afar            | $nd $web6 ff02::1 58 hops 254 icmp 135 0 0 address $wire6
	pass              | solicitation to a neighbour              | $out6 $web6 $wire6 58 hops 255 icmp 135 0 0 address $wire6 option 1 $web
	policy-denied     | solicitation to who is beyond the link   | $out6 $web6 $WORLD6 58 hops 255 icmp 135 0 0 address $WORLD6 data 64
	policy-denied     | advertisement to who is beyond the link  | $out6 $web6 2001:db8::1 58 hops 255 icmp 136 0 0 address $web6 data 64
	policy-denied     | solicitation to a group beyond the link  | $nd $web6 ff0e::1 58 hops 255 icmp 135 0 0 address $web6
	policy-denied     | MLD report to one neighbour              | $out6 $web6 $wire6 58 hops 1 icmp 143 0 0 data 4
	link-control      | router advertisement                     | $nd $web_link ff02::1 58 hops 255 icmp 134 0 0 data 8
	link-control      | IPv6 redirect                            | $out6 $web_link $wire6 58 hops 255 icmp 137 0 0 address $GW6 address $wire6
	link-control      | IPv4 redirect                            | $out4 $web4 $wire4 1 icmp 5 1 0 data 28
	pass              | MLDv2 report                             | $nd $web_link ff02::16 0x3a hops 1 alert icmp 143 0 0 data 4
	pass              | MLD report, no address yet               | $nd :: ff02::1 58 hops 1 alert icmp 131 0 0 address ff02::1:ff00:5
	link-control      | MLD query: only routers ask              | $nd $web_link ff02::1 58 hops 1 alert icmp 130 0 0 address ::
	spoofed-address   | MLD report in the host's name            | $nd $host_link ff02::16 58 hops 1 alert icmp 143 0 0 data 4
	pass              | DHCP client                              | eth $web $all4 0x0800 ip 0.0.0.0 255.255.255.255 17 udp 68 67 data 240
	pass              | DHCPv6 client                            | $nd $web_link ff02::1:2 17 udp 546 547 data 40
	link-control      | DHCP server                              | $out4 $web4 $wire4 17 udp 67 68 data 240
	link-control      | DHCP server, to everyone                 | eth $web $all4 0x0800 ip $web4 255.255.255.255 17 udp 67 68 data 240
	link-control      | DHCPv6 server                            | $out6 $web_link $wire6 17 udp 547 546 data 40
	spoofed-address   | DHCP client ports are no way out         | $out4 0.0.0.0 $wire4 17 udp 68 67 data 240
	spoofed-mac       | another MAC                              | eth $stranger $other 0x0800 ip $web4 $wire4 17 udp 5 5 data 8
	spoofed-mac       | another pod's MAC                        | eth $api $other 0x86dd ip $web6 $wire6 17 udp 5 5 data 8
	spoofed-address   | another pod's address                    | $out4 $api4 $wire4 17 udp 5 5 data 8
	spoofed-address   | another pod's address, v6                | $out6 $api6 $wire6 17 udp 5 5 data 8
	spoofed-address   | the gateway's address                    | $out4 $GW4 $wire4 6 tcp 80 5 0x12 1 1
	spoofed-address   | a link-local address for more than the link | $out6 $web_link $wire6 17 udp 5 5 data 8
	link-control      | STP                                      | eth $web $stp 38 data 38
	link-control      | LLDP                                     | eth $web 01:80:c2:00:00:0e 0x88cc data 46
	link-control      | LACP                                     | eth $web 01:80:c2:00:00:02 0x8809 data 46
	link-control      | EAPOL                                    | eth $web 01:80:c2:00:00:03 0x888e data 46
	link-control      | PAUSE                                    | eth $web 01:80:c2:00:00:01 0x8808 data 46
	vlan              | a VLAN tag                               | eth $web $other 0x8100 word 5 word 0x0800 data 46
	vlan              | a priority tag before IP                 | eth $web $other 0x8100 word 0x2000 word 0x86dd data 46
	vlan              | two tags                                 | eth $web $other 0x88a8 word 5 word 0x8100 word 6 word 0x0800 data 46
	ethertype         | MPLS                                     | eth $web $other 0x8847 data 46
	ethertype         | PPPoE                                    | eth $web $other 0x8863 data 46
	ethertype         | a local experiment                       | eth $web $other 0x88b5 data 46
	policy-denied     | ordinary UDP, as the policy says         | $out4 $web4 $wire4 17 udp 5 5 data 8
	policy-denied     | ordinary echo, as the policy says        | $out6 $web6 $wire6 58 hops 255 icmp 128 0 7
EOT

# The other way: what the bridge floods, what the link needs, groups.
known=$(connections web)
in4="eth $other $web 0x0800 ip"
in6="eth $other $web 0x86dd ip"
frames wire web web ingress <<-EOT
	pass          | ARP to everyone                          | eth $other $all4 0x0806 arp 1 $other $wire4 $web4
	pass          | solicitation of its address              | eth $other $all6 0x86dd ip $wire6 ff02::1 58 hops 255 icmp 135 0 0 address $web6 option 1 $other
	pass          | advertisement to it                      | $in6 $wire6 $web6 58 hops 255 icmp 136 0 0 address $wire6 option 2 $other
	pass          | router advertisement                     | eth $other $all6 0x86dd ip fe80::1 ff02::1 58 hops 255 icmp 134 0 0 data 8
	pass          | MLD query                                | eth $other $all6 0x86dd ip fe80::1 ff02::1 58 hops 1 alert icmp 130 0 0 address ::
	bad-header    | neighbour discovery from afar            | $in6 $wire6 $web6 58 hops 64 icmp 136 0 0 address $wire6
	not-mine      | flooded: another's address               | eth $other $stranger 0x0800 ip $wire4 $api4 17 udp 5 5 data 8
	not-mine      | flooded: nobody's address                | eth $other $stranger 0x86dd ip $wire6 fd00:$HEX::ff 6 tcp 5 80 2 1 0
	not-mine      | its MAC, another's address               | $in4 $wire4 $api4 17 udp 5 5 data 8
	not-mine      | advertisement to another                 | eth $other $stranger 0x86dd ip $wire6 $api6 58 hops 255 icmp 136 0 0 address $wire6
	spoofed-address | its own address, from elsewhere        | $in4 $web4 $web4 17 udp 5 5 data 8
	bad-address   | from nowhere                             | $in4 0.0.0.0 $web4 17 udp 5 5 data 8
	policy-denied | ordinary UDP                             | $in4 $wire4 $web4 17 udp 5 5 data 8
	policy-denied | multicast                                | eth $other 01:00:5e:00:00:fb 0x0800 ip $wire4 224.0.0.251 17 udp 5353 5353 data 8
	policy-denied | multicast, v6                            | eth $other 33:33:00:00:00:fb 0x86dd ip $wire6 ff02::fb 17 udp 5353 5353 data 8
	policy-denied | broadcast                                | eth $other $all4 0x0800 ip $wire4 255.255.255.255 17 udp 5 5 data 8
	policy-denied | broadcast of the subnet                  | eth $other $all4 0x0800 ip $wire4 10.$NET_A.$NET_B.255 17 udp 5 5 data 8
	vlan          | a VLAN tag                               | eth $other $web 0x8100 word 5 word 0x0800 data 46
	ethertype     | MPLS                                     | eth $other $web 0x8847 data 46
EOT
policy groups shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Ingress, Egress]
	ingress: [{from: [{ipBlock: {cidr: $wire4/32}}, {ipBlock: {cidr: $wire6/128}}]}]
	egress: [{to: [{ipBlock: {cidr: 224.0.0.0/4}}, {ipBlock: {cidr: "ff00::/8"}}, {ipBlock: {cidr: 255.255.255.255/32}}]}]
EOT
sync
frames wire web web ingress <<-EOT
	pass | allowed multicast          | eth $other 01:00:5e:00:00:fb 0x0800 ip $wire4 224.0.0.251 17 udp 5353 5353 data 8
	pass | allowed multicast, v6      | eth $other 33:33:00:00:00:fb 0x86dd ip $wire6 ff02::fb 17 udp 5353 5353 data 8
	pass | allowed broadcast          | eth $other $all4 0x0800 ip $wire4 255.255.255.255 17 udp 5 5 data 8
	not-mine | flooded, though allowed | eth $other $stranger 0x0800 ip $wire4 $api4 17 udp 5 5 data 8
EOT
frames web wire web egress <<-EOT
	pass | multicast of its own       | eth $web 01:00:5e:00:00:fb 0x0800 ip $web4 224.0.0.251 17 udp 5353 5353 data 8
	pass | multicast of its own, v6   | eth $web 33:33:00:00:00:fb 0x86dd ip $web6 ff02::fb 17 udp 5353 5353 data 8
	pass | broadcast of its own       | eth $web $all4 0x0800 ip $web4 255.255.255.255 17 udp 6 6 data 8
	policy-denied | an answer to multicast is a flow of its own | $out4 $web4 $wire4 17 udp 5353 5353 data 8
EOT
equal "none of these made a connection" "$(connections web)" "$known"

# Checks that the operator turned off.
agent_stop
agent_start --router-advertisements drop --source-checks report
sync
frames wire web web ingress <<-EOT
	link-control | a router advertisement, configured off | eth $other $all6 0x86dd ip fe80::1 ff02::1 58 hops 255 icmp 134 0 0 data 8
	link-control | a redirect, configured off             | $in6 fe80::1 $web6 58 hops 255 icmp 137 0 0 address $GW6 address $wire6
	pass         | other neighbour discovery              | $in6 $wire6 $web6 58 hops 255 icmp 136 0 0 address $wire6 option 2 $other
EOT
before=$(total web egress spoofed-neighbour)
frames web wire web egress <<<"pass | a foreign ARP where checks only report | $arp 1 $web $api4 $wire4"
check "and it is counted" reaches web egress spoofed-neighbour $((before + 1))
# What can be nobody's wish, and what belongs to nobody here, drops all the same.
frames web wire web egress <<-EOT
	link-control | a router advertisement of a pod, where checks only report | $nd $web_link ff02::1 58 hops 255 icmp 134 0 0 data 8
	link-control | a DHCP server, where checks only report                   | $out4 $web4 $wire4 17 udp 67 68 data 240
EOT
frames wire web web ingress <<<"not-mine | flooded, where checks only report | eth $other $stranger 0x0800 ip $wire4 $api4 17 udp 5 5 data 8"
end
