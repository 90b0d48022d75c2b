#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R4: the agent dies, ends and returns while a Service is mixed: its allowed backends lose nothing, the others never open.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
pod web shop
pod near shop
pod other shop
remote_pod far shop
remote_pod wrong shop
service db shop "sql:5432/tcp:8080 dns:53/udp:80"
slice db shop db "sql:8080/tcp dns:80/udp" near other far wrong
allow() { # apps that web may reach
	policy web shop <<-EOT
		podSelector: {matchLabels: {app: web}}
		policyTypes: [Egress]
		egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [$1]}]}}]}]
	EOT
}
allow "near, far"
proxy iptables
agent_start
sync
flow t4 web db 5432 tcp 4 near 8080
flow t6 web db 5432 tcp 6 far 8080
flow u4 web db 53 udp 4 far 80
flow u6 web db 53 udp 6 near 80
enforced() { # WHAT
	PROBE_MS=400 expect "r4_service_mixed $1" <<-EOT
		open   web db 5432@near tcp
		open   web db 53@far udp
		silent web db 5432@other tcp
		silent web db 5432@wrong tcp
		silent web db 53@other udp
		silent web db 53@wrong udp
	EOT
}
enforced "before"

# One more client tries what is forbidden all the time: other ports of the hundreds that lead to these backends.
in_ns web bash -c 'port=0; while :; do
	port=$(((port + 1) % 100)); o=$(($4 + 100 + port)) w=$(($5 + 100 + port))
	"$1" probe -t 50 "$2" "5432@$o" tcp "$2" "53@$o" udp "$3" "5432@$w" tcp "$3" "53@$w" udp
done' _ "$TRAFFIC" "${POD4[db]}" "${POD6[db]}" $((20000 + 200 * NUMBER[other])) $((20000 + 200 * NUMBER[wrong])) \
	>"$WORK/hammer" 2>&1 &
hammer=$!
ids=$(pinned_ids | grep -vxF "$(hook_links)") # each agent attaches a netfilter program of its own
agent_kill
flows_live "r4_service_flows killed" t4 t6 u4 u6
enforced "killed"
agent_start
sync
flows_live "r4_service_flows started again" t4 t6 u4 u6
enforced "started again"
equal "the new agent took over every table and attachment" "$(comm -23 <(echo "$ids" | grep -E '^(map|link)') <(pinned_ids))" ""
agent_stop
enforced "ended"
allow "near"
flows_live "r4_service_flows ended: the old policy stays in force" t4 t6 u4 u6
agent_start
sync
flows_cut "r4_service_what_changed_while_it_was_away" t6 u4
flows_live "r4_service_what_stayed_allowed" t4 u6

kill $hammer
wait $hammer 2>/dev/null
equal "no probe of a forbidden backend ever came through" "$(grep -c open "$WORK/hammer")" 0
matches "and it did try" "$(grep -c silent "$WORK/hammer")" '^[1-9]'
end
