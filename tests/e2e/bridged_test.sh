#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods on a bridge, as many CNIs wire them: the same verdicts, and no foreign source address passes.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up bridged
namespace shop
pod web shop
pod api shop
pod job shop
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
agent_start
sync
expect "policy on a bridge" <<-EOT
	open   web api 80 tcp
	open   web api 53 udp
	silent api web 80 tcp
	silent job api 80 tcp
	silent world api 80 tcp
	open   node api 80 tcp
EOT
stream s web api 80 tcp 6 -i 2
tool_ask s "echoed 50 5000"
tool_ask s "drain 3000"
equal "a stream loses nothing" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"

# job claims web's address.
ip -n "$P-job" -b - <<-EOT
	addr add ${POD4[web]}/32 dev eth0
	addr add ${POD6[web]}/128 dev eth0 nodad
EOT
equal "a foreign source address, v4" "$(probe job api 80 udp 4 -s "${POD4[web]}")" silent
equal "a foreign source address, v6" "$(probe job api 80 udp 6 -s "${POD6[web]}")" silent
reasons=$(ask '{"op":"endpoint.get","namespace":"shop","name":"job"}' | jq -r '.totals[].reason' | sort -u)
matches "the reason is counted" "$reasons" 'spoofed-(address|neighbour)'
expect "the owner is not hurt" <<<'open web api 80 tcp'
end
