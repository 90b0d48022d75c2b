#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R6: a flow that a tighter policy cuts stays cut while its far end keeps talking, whichever end has the policy and
# though the far end's own direction is open; loosening brings it back or disturbs nothing.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
namespace depot
pod api shop
pod job depot # no policy selects it: what it sends is allowed by its own side at all times
pod web depot
serve world 80/tcp 53/udp
wire api
ingress() { # apps that may reach api; its egress is nobody's business
	policy api shop <<-EOT
		podSelector: {}
		policyTypes: [Ingress]
		ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: In, values: [$1]}]}}]}]
	EOT
}
egress() { # addresses that web may reach; its ingress is nobody's business
	policy web depot <<-EOT
		podSelector: {matchLabels: {app: web}}
		policyTypes: [Egress]
		egress: [{to: [{podSelector: {}, namespaceSelector: {}}, $1]}]
	EOT
}
world="{ipBlock: {cidr: $WORLD4/32}}, {ipBlock: {cidr: $WORLD6/128}}"
ingress "job, web"
egress "$world"
agent_start
sync

# What is cut is tried again within a second, however long it was cut (Linux 6.15; before, in up to two minutes), and
# not given up after so many tries.
for ns in api job web world; do
	in_ns "$ns" sysctl -qw net.ipv4.tcp_retries2=255
	in_ns "$ns" sysctl -qw net.ipv4.tcp_rto_max_ms=1000 2>/dev/null || true
done

# api answers its clients, and talks by itself every 10 ms; so does the world.
declare -A where=([in4]="api 8080" [inu4]="api 53" [inu6]="api 53" [out4]="world 80" [outu6]="world 53")
stream in4 job api 8080 tcp 4 -i 2
stream inu4 job api 53 udp 4 -i 2
stream inu6 job api 53 udp 6 -i 2
stream out4 web world 80 tcp 4 -i 2
stream outu6 web world 53 udp 6 -i 2
stream keep4 web api 81 tcp 4 -i 2
stream keep6 web api 80 udp 6 -i 2
cut="in4 inu4 inu6 out4 outu6"
for s in $cut keep4 keep6; do
	tool_ask "$s" "echoed 20 5000"
done
alive() { # WHAT STREAM...
	local what=$1 s
	shift
	for s; do
		tool_ask "$s" "echoed 20 5000"
		tool_ask "$s" "drain 40000" # TCP that was cut for long has a queue to clear
		equal "$what: $s lost nothing" "${R[state]} $((R[sent] - R[echoed]))" "open 0"
	done
}
tally() { # STREAM: what crossed so far, both ways, into CROSSED; what the server tried to say, into SAID
	local server
	tool_ask "$1" report
	CROSSED="${R[heard]} ${R[echoed]}"
	read -ra server <<<"${where[$1]}"
	server_report "${server[@]}"
	CROSSED+=" ${R[got]}" SAID=${R[said]}
}
still() { # WHAT: both ends keep sending, for many packets, and nothing crosses
	local what=$1 s said
	local -A before
	for s in $cut; do
		tally "$s"
		before[$s]=$CROSSED said=$SAID
	done
	for s in $cut; do tool_ask "$s" "sent 200"; done
	for s in $cut; do
		tally "$s"
		equal "r6_cut_stays_cut $what: $s" "$CROSSED" "${before[$s]}"
	done
	check "r6_cut_stays_cut $what: the server did talk on" test "$SAID" -gt $((said + 50))
}

ingress web
egress "{ipBlock: {cidr: 192.0.2.0/24}}"
sync
still "tightened"
still "and later"
equal "r6_cut_flows_are_known_as_cut" "$(connections api '.flags | index("cut")') $(connections web '.flags | index("cut")')" "3 2"
alive "r6_tightening_leaves_others" keep4 keep6

# The server's kernel retransmits; a segment or a datagram of the server's, made by hand, is no better; and no
# new flow from the server's side revives the old one.
tcp=$(ask '{"op":"ct.list","namespace":"shop","name":"api"}' |
	jq -r '.connections[] | select(.protocol == "TCP" and .local_port == 8080 and (.flags | index("cut"))) | .remote_port')
udp=$(ask '{"op":"ct.list","namespace":"shop","name":"api"}' |
	jq -r '.connections[] | select(.protocol == "UDP" and .local_port == 53 and (.flags | index("cut")) and (.remote | contains(":") | not)) | .remote_port')
host=$(ip -n "$NODE_NS" -j link show "v${NUMBER[api]}" | jq -r '.[0].address')
insisted=$(total api ingress cut)
tool_ask wire-api "send 300 eth $(mac api) $host 0x0800 ip ${POD4[api]} ${POD4[job]} 6 tcp 8080 $tcp 0x18 1 1 data 16"
tool_ask wire-api "send 300 eth $(mac api) $host 0x0800 ip ${POD4[api]} ${POD4[job]} 17 udp 53 $udp data 16"
check "r6_server_that_insists: each packet is counted as cut" until_true 5 reaches api ingress cut $((insisted + 600))
still "insisted"

# Any other change, and an agent that starts anew, judge it again: still denied.
ingress "web, other"
egress "{ipBlock: {cidr: 198.51.100.0/24}}"
sync
still "other changes"
agent_kill
still "no agent"
agent_start
sync
still "a new agent"
alive "r6_tightening_leaves_others at the end" keep4 keep6

# Loosened, the same flows go on where they stopped; others do not notice.
ingress "job, web"
egress "$world"
sync
alive "r6_loosening_disturbs_nothing" keep4 keep6
for s in $cut; do tool_ask "$s" "echoed 20 40000"; equal "r6_loosening_revives: $s" "${R[state]}" open; done
ingress "job, web, more"
policy_rm web depot
sync
alive "r6_loosening_disturbs_nothing further" keep4 keep6 in4 out4
for s in inu4 inu6 outu6; do tool_ask "$s" "echoed 20 40000"; equal "r6_loosening_disturbs_nothing further: $s" "${R[state]}" open; done
end
