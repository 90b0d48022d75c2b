#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R39: an agent comes to a node whose connections are older than it. What its policies allow goes on without a
# loss, seeded from the pods' own sockets, judged in the direction in which it began; what they deny is cut.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod job shop
pod api shop
serve world 80/tcp 53/udp
default_deny shop # api may begin nothing, web may not be begun with: a wrong direction would be denied
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
keep="tcp4 tcp6 idle6" cut="job4 world4 out4"
stream tcp4 web api 80 tcp 4 -i 2
stream tcp6 web api 8080 tcp 6 -i 2
stream idle6 web api 81 tcp 6 -i 900
stream job4 job api 80 tcp 4 -i 2
stream world4 world api 8080 tcp 4 -i 2
stream out4 web world 80 tcp 4 -i 2
for s in tcp4 tcp6 $cut; do tool_ask "$s" "echoed 20 5000"; done
agent_start
sync
for s in $keep; do
	tool_ask "$s" "echoed 3 10000"
	tool_ask "$s" "drain 5000"
	equal "r39_allowed_older_connections_go_on: $s" \
		"${R[state]} $((R[sent] - R[echoed])) ${R[gaps]} ${R[heard_gaps]}" "open 0 0 0"
done
for s in $cut; do
	tool_ask "$s" report
	heard="${R[heard]} ${R[echoed]}"
	tool_ask "$s" "sent 100"
	equal "r39_denied_older_connections_are_cut: $s" "${R[heard]} ${R[echoed]} ${R[state]}" "$heard open"
done
equal "r39_seeded_from_the_pods_sockets: by who began" \
	"$(for p in web api; do connections $p '(.flags | index("seeded")) and (.flags | index("cut") | not) and .direction == "egress"'; done | xargs)" "3 0"
expect "r39_new_connections_are_judged_as_ever" <<-EOT
	open   web api 80 tcp
	silent api web 80 tcp
	silent job api 80 tcp
EOT

# A policy that comes later to a pod that had none: the same, without the agent having watched its flows.
namespace depot
pod free depot
pod guest depot
stream old free guest 80 tcp 4 -i 2
stream old6 free guest 81 tcp 6 -i 2
sync
default_deny depot
policy guest depot <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: free}}}]}], egress: [{to: [{podSelector: {matchLabels: {app: guest}}}]}]}'
sync
for s in old old6; do
	tool_ask "$s" "echoed 20 5000"
	tool_ask "$s" "drain 5000"
	equal "r39_becoming_isolated_loses_nothing: $s" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
done
end
