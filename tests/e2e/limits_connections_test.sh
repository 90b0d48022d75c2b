#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The limits of what packets fill, reached through a running agent: a pod's share of the connections, all of them,
# the exact counters. Each is counted by its name, and who is not over it notices nothing.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

counted() { bh status -o json | jq ".stats.$1"; }
open() { # POD N [WAIT]: N new TCP connections to the world, each with a byte; how many bytes came back
	local i to=()
	for ((i = 0; i < $2; i++)); do to+=("$WORLD4" 80 tcp); done
	in_ns "$1" "$TRAFFIC" burst -t "${3:-20000}" -w "$2" "${to[@]}" | grep -c 'back=1'
}
idle() { # POD: a pod that serves nothing
	link_up "$1"
	pod_manifest "$1" shop
}

node_up
namespace shop
pod web shop
pod api shop
fillers=(c0 c1 c2 c3 c4 c5 c6)
for c in "${fillers[@]}"; do idle "$c"; done
serve world 80/tcp 53/udp
policy all shop <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}'
# 8 connections a pod. Nothing is swept while the test runs: one that is closed keeps its entry.
agent_start --max-connections 64 --sweep-interval 3600
sync
stream s web api 80 tcp 4 -i 2
tool_ask s "echoed 20 10000"

# ---- a pod's share -------------------------------------------------------------------------------------------------------
equal "r11_a_pods_share: as many connections as it has" "$(open c0 8) $(counted connections_over_quota) $(connections c0)" "8 0 8"
equal "r11_a_pods_share: and none beyond it" "$(open c0 2 500) $(connections c0)" "0 8"
check "r11_a_pods_share: counted in status" test "$(counted connections_over_quota)" -ge 2
check "r11_a_pods_share: and by its reason" reaches c0 egress connection-quota 2
expect "r11_a_pods_share: single exchanges need none, and another pod opens meanwhile" <<-EOT
	open c0 world 53 udp 4
	open web world 80 tcp 4
EOT
equal "r11_a_pods_share: only that pod met it" \
	"$(total web '.*' connection-quota) $(total api '.*' connection-quota) $(counted connections_table_full)" "0 0 0"

# ---- the table ---------------------------------------------------------------------------------------------------------------
filled=8
for c in "${fillers[@]:1}"; do filled=$((filled + $(open "$c" 8))); done
equal "r11_the_table: seven pods have their shares" "$filled" 56
filled=$((filled + $(connections web) + $(connections api)))
open web $((64 - filled)) >/dev/null
equal "r11_the_table: it is full, and nobody else is over a share" \
	"$(ask '{"op":"ct.list"}' | jq '[.connections[] | select(.state != "half-open")] | length') $(total web '.*' connection-quota) $(total api '.*' connection-quota)" "64 0 0"
equal "r11_the_table: no connection more" "$(open api 1 500)" 0
check "r11_the_table: counted in status" test "$(counted connections_table_full)" -ge 1
check "r11_the_table: and by its reason" reaches api egress connection-table-full 1
expect "r11_the_table: single exchanges need no room, the other family has its own" <<-EOT
	open api world 53 udp 4
	open api world 80 tcp 6
EOT
bh ct flush shop/c1 >/dev/null
equal "r11_the_table: with room there are new ones" "$(open api 1)" 1
tool_ask s "drain 5000"
equal "r11_known_connections_go_on" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"

# ---- exact counters ----------------------------------------------------------------------------------------------------------
agent_stop
agent_cleanup || die "cleanup"
policy all shop <<<'{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}'
agent_start --max-totals 2
sync
PROBE_MS=300 expect "counters: as many as there is room for" <<-EOT
	silent web api 81 tcp
	open   web api 80 tcp
EOT
for c in c0 c1 c2; do in_ns web "$TRAFFIC" probe -t 100 "$(address $c 4)" 9 udp >/dev/null; done
check "counters: what has none is counted in status" test "$(counted total_overflow)" -ge 1
PROBE_MS=300 expect "counters: verdicts do not need them" <<-EOT
	silent api c3 81 tcp
	open   api web 80 tcp
	silent c0 api 81 tcp
EOT
end
