#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent is killed again and again while policies change, at moments that nobody chose: each next one takes
# the tables over as they were left and ends up right, and a flow that every version allows loses nothing.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

rounds=${ROUNDS:-12}
node_up
namespace shop
pod web shop
pod job shop
pod api shop
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
policy job shop <<<'{podSelector: {matchLabels: {app: job}}, policyTypes: [Egress], egress: [{}]}'
api() { # PORT: web may always come on 80, job on the port of this round
	policy api shop <<-EOT
		podSelector: {matchLabels: {app: api}}
		policyTypes: [Ingress]
		ingress:
		- {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}
		- {from: [{podSelector: {matchLabels: {app: job}}}], ports: [{port: $1}]}
		- {from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.$NET_A.$NET_B.0/24]}}, {ipBlock: {cidr: 192.0.2.$(($1 % 256))/32}}]}
	EOT
}
api 81
agent_start
sync
stream s web api 80 tcp 4 -i 1

for ((round = 1; round <= rounds; round++)); do
	port=$((round % 2 ? 8080 : 81)) other=$((round % 2 ? 81 : 8080))
	api $port
	[ $((round % 3)) != 0 ] || api $other
	[ $((round % 3)) != 0 ] || api $port
	tool_ask s "echoed $((round * 7 % 40)) 5000" # a time that differs from round to round
	agent_kill
	agent_start
	sync
	PROBE_MS=300 expect "round $round" <<-EOT
		open   job api $port tcp
		silent job api $other tcp
		open   web api 80 tcp
		silent api web 80 tcp
	EOT
done
tool_ask s "drain 3000"
equal "the flow lost nothing" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"
equal "no agent complained" "$(grep -E ' error ' "$WORK/agent.log")" ""
