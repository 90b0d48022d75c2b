#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A tighter policy cuts live flows at once, both ways, and no other flow loses a message; loosening disturbs nothing.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod job shop
pod api shop
default_deny shop
policy out shop <<<'{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}'
allow() { # apps that may reach api
	policy api shop <<-EOT
		podSelector: {matchLabels: {app: api}}
		policyTypes: [Ingress]
		ingress:
		- from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [$1]}]}}]
	EOT
}
allow "web, job"
agent_start
sync

# Streams of the pod that stays (web) go to port 80, of the pod that is cut (job) to 81 and 8080 by TCP, 53 by UDP.
for f in 4 6; do
	stream keep-tcp$f web api 80 tcp $f -i 2
	stream keep-udp$f web api 80 udp $f -i 2
done
stream cut-tcp4 job api 81 tcp 4 -i 5
stream cut-tcp6 job api 8080 tcp 6 -i 5
stream cut-udp4 job api 53 udp 4 -i 5
for s in keep-tcp4 keep-tcp6 keep-udp4 keep-udp6 cut-tcp4 cut-tcp6 cut-udp4; do
	tool_ask $s "echoed 20 5000"
done
all_keep() { # WHAT: nothing was lost, nothing hangs
	local s
	for s in keep-tcp4 keep-tcp6 keep-udp4 keep-udp6; do
		tool_ask $s "echoed 20 5000"
		tool_ask $s "drain 3000"
		equal "$1: $s lost nothing either way" \
			"${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]} ${R[heard_gaps]}" "open lost 0 gaps 0 0"
	done
}
# Nothing crosses any more: neither do the client's numbers reach the server nor the server's the client.
is_cut() { # STREAM PORT
	local heard got
	tool_ask "$1" report
	heard=${R[heard]} echoed=${R[echoed]}
	server_report api "$2"
	got=${R[got]}
	tool_ask "$1" "sent 20"
	equal "R6 $1: the client hears nothing more" "${R[heard]} ${R[echoed]}" "$heard $echoed"
	server_report api "$2"
	equal "R6 $1: the server gets nothing more" "${R[got]}" "$got"
}

allow web
sync
is_cut cut-tcp4 81
is_cut cut-tcp6 8080
is_cut cut-udp4 53
all_keep "tightened"
expect "and no new flow of the denied pod" <<<'silent job api 80 tcp'

# The other end's own policy cuts as well: egress of web to api goes, by a relabelled peer.
allow "web, other"
policy more shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}'
sync
all_keep "R6 loosened"
policy_rm more shop
allow "web"
sync
all_keep "tightened elsewhere"

pod_manifest web shop "app: stranger"
sync
is_cut keep-tcp4 80
is_cut keep-udp6 80
end
