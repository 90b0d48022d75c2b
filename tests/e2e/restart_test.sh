#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent dies, ends and returns under traffic: allowed flows lose nothing, denied ones never pass.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod job shop
pod api shop
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
agent_start
sync
stream tcp web api 80 tcp 4 -i 1
stream udp web api 80 udp 6 -i 1
stream udp4 web api 53 udp 4 -i 1
flows_live() { # WHAT
	local s
	for s in tcp udp udp4; do
		tool_ask $s "echoed 50 5000"
		tool_ask $s "drain 3000"
		equal "R4 $1: $s lost nothing" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]} ${R[heard_gaps]}" "open lost 0 gaps 0 0"
	done
}
enforced() { # WHAT
	expect "R4 $1: denied stays silent, allowed opens" <<-EOT
		silent job api 80 tcp
		silent api web 80 tcp
		silent world api 80 tcp
		open   web api 8080 tcp
		open   web api 53 udp
		open   node api 80 tcp
	EOT
}
enforced "before"

# One more client hammers all the time with connections that may never open.
in_ns job bash -c 'while :; do "$1" probe -t 50 "$2" 80 tcp "$3" 80 udp; done' _ "$TRAFFIC" "${POD4[api]}" "${POD6[api]}" >"$WORK/hammer" 2>&1 &
hammer=$!

ids=$(pinned_ids)
agent_kill
flows_live "killed"
enforced "killed"
agent_start
sync
flows_live "started again"
enforced "started again"
equal "the new agent took over every table and attachment" "$(comm -23 <(echo "$ids" | grep -E '^(map|link)') <(pinned_ids))" ""

agent_stop
enforced "ended"
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: job}}}]}]}'
flows_live "ended: the old policy stays in force"
agent_start
sync
tool_ask tcp report
before=${R[heard]}
tool_ask tcp "sent 50"
equal "what changed while it was away cuts at once" "${R[heard]}" "$before"

kill $hammer
wait $hammer 2>/dev/null
equal "no probe of the denied pod ever came through" "$(grep -c open "$WORK/hammer")" 0
matches "and it did try" "$(grep -c silent "$WORK/hammer")" '^[1-9]'
end
