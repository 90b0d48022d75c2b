#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A flow to a Service is recorded with all of it: the ClusterIP that the pod addressed, the Service that this is, and the
# backend that conntrack (of a mixed Service: the netfilter program) knows, at its start and at its end, also when conntrack
# forgot it in between and when another agent tells the end. With kube-proxy's rules of either kind.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

SEEN=$WORK/flows.json NEXT=$WORK/next # records that were read, where to go on: files, as checks run in shells of their own
SYSLOG=5514
seen_until() { # PROGRAM: reads on until jq makes `true` of the array of them
	local page end=$((SECONDS + 40))
	while [ "$(jq -cs "$1" "$SEEN")" != true ]; do
		[ $SECONDS -lt $end ] || return 1
		page=$(ask "{\"op\":\"flows\",\"after\":$(cat "$NEXT"),\"wait_ms\":5000,\"filter\":\"direction=egress from-pod=shop/web\"}") || return 1
		jq .next <<<"$page" >"$NEXT"
		jq -c '.records[]' <<<"$page" >>"$SEEN"
	done
}
read_anew() { # a new agent's records, or a new round's
	: >"$SEEN"
	[ -z "${1:-}" ] || echo 0 >"$NEXT"
}

# ---- a round of flows --------------------------------------------------------------------------------------------
declare -a ROUND=() # streams: ID
WANT=$WORK/want
# open ID SERVICE PORT PROTO FAMILY BACKEND BACKEND-PORT NODE: a stream, and what should be told of it
open() {
	flow "$1" web "$2" "$3" "$4" "$5" "$6" "$7"
	ROUND+=("$1")
	echo "$VIA ${4^^} $(address "$2" "$5") $3 service shop/$2 $(address "$6" "$5") $7 pod shop/$6@$8 allowed allowed shop/web 0" >>"$WANT"
}
open_db() { # ID
	open "$1-t4" db 5432 tcp 4 near 8080 "$NODE"
	open "$1-t6" db 5432 tcp 6 far 8080 remote
	open "$1-u4" db 53 udp 4 far 80 remote
	open "$1-u6" db 53 udp 6 near 80 "$NODE"
}
open_part() { # ID
	open "$1-t4" part 5432 tcp 4 near 8080 "$NODE"
	open "$1-u6" part 53 udp 6 near 80 "$NODE"
}
ports() { cut -d' ' -f1 "$WANT" | jq -cs .; }
# Its first records of a type, by source port: packets that nobody translates any more may begin others with the same.
told() { # TYPE
	jq -rs --arg t "$1" --argjson ports "$(ports)" '
		map(select(.type == $t and (.source.port | IN($ports[])))) | group_by(.source.port)[] | min_by(.seq)
		| .destination as $d | [.source.port, .protocol, $d.address, $d.port, $d.kind,
			"\(.service.namespace)/\(.service.name)", $d.backend.address // "-", $d.backend.port // "-", $d.backend.kind // "-",
			"\($d.backend.namespace)/\($d.backend.pod)@\($d.backend.node)", .verdict, .reason, .policy.policies[0], .policy.rule]
		| map(tostring) | join(" ")' "$SEEN" | sort
}
all() { seen_until "[.[] | select(.type == \"$1\") | .source.port] | $(ports) - . == []"; } # TYPE
leave() {
	local s
	for s in "${ROUND[@]}"; do tool_stop "$s"; done
	ROUND=()
	: >"$WANT"
}
over() { ask '{"op":"ct.flush"}' >/dev/null; } # all flows end
as_wanted() { equal "$1" "$(told "$2")" "$(sort "$WANT")"; } # WHAT TYPE
conntrack_forgets() { # and nobody translates what comes
	proxy off
	in_ns node nft flush ruleset
	in_ns node conntrack -F >/dev/null 2>&1
}

collector_start() { # what is sent there is in $WORK/syslog, one datagram a line
	nsenter --net="/run/netns/$NODE_NS" python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
with open(sys.argv[2], "wb", buffering=0) as out:
    while True:
        out.write(s.recv(65536) + b"\n")
' $SYSLOG "$WORK/syslog" &
	until_true 20 test -e "$WORK/syslog" || die "no collector"
}

node_up
remote_up
namespace shop
pod web shop
pod near shop
pod other shop
remote_pod far shop
service db shop "sql:5432/tcp:8080 dns:53/udp:80"
slice db shop db "sql:8080/tcp dns:80/udp" near far
policy web shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Egress]
	egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [near, far]}]}}]}]
EOT
collector_start
: >"$WANT"
read_anew agent
# Without the netfilter program nobody but conntrack knows a backend.
agent_start --force-off netfilter \
	--flow-sinks "hubble+file://$WORK/hubble?filter=type%3Dend syslog+udp://127.0.0.1:$SYSLOG?filter=type%3Dend"
sync
for mode in iptables nft; do
	proxy $mode
	read_anew
	open_db "$mode-1"
	check "$mode: flows begin" all start
	as_wanted "a start has the ClusterIP, the Service, the backend and the rule" start
	over
	check "$mode: they end" all end
	as_wanted "so has an end" end
	if [ $mode = iptables ]; then
		port=$(awk '$2 == "TCP" && $3 ~ /\./ { print $1 }' "$WANT") # of the one over IPv4
		check "a collector has it" until_true 20 grep -qE " src-port=\"$port\".*direction=\"egress\"|direction=\"egress\".* src-port=\"$port\"" "$WORK/syslog"
		check "a file has it" until_true 20 grep -qE "\"source_port\":$port\b.*EGRESS" "$WORK/hubble"
		equal "in Hubble's shape the destination is the backend, and the Service beside it" \
			"$(jq -c --argjson port "$port" '.flow | select(.l4.TCP.source_port == $port and .traffic_direction == "EGRESS")
				| [.IP.destination, .l4.TCP.destination_port, .destination.namespace, .destination.pod_name, .destination_service]' "$WORK/hubble" | head -n 1)" \
			"[\"${POD4[near]}\",8080,\"shop\",\"near\",{\"name\":\"db\",\"namespace\":\"shop\"}]"
		line=$(grep " src-port=\"$port\"" "$WORK/syslog" | grep -m1 'direction="egress"')
		matches "syslog names both" "$line" \
			"dst-address=\"${POD4[db]}\" dst-port=\"5432\" backend-address=\"${POD4[near]}\" backend-port=\"8080\""
		for word in 'dst-kind="service"' 'backend-kind="pod"' 'backend-name="near"' 'service-namespace="shop"' 'service="db"' 'policy="shop/web"'; do
			matches "and has $word" "$line" " $word"
		done
	fi
	leave

	open_db "$mode-2"
	check "$mode: others begin" all start
	conntrack_forgets
	over
	check "$mode: they end when conntrack knows none of them" all end
	as_wanted "and their backends are those that it told before" end
	leave
done

# ---- the end is told by an agent that did not tell the start -------------------------------------------------------
proxy iptables
read_anew
open_db heir
check "flows begin, and the agent ends" all start
agent_stop
agent_start
sync
read_anew agent
over
check "the next one tells their ends" all end
as_wanted "and asks conntrack itself" end
leave

# ---- a mixed Service ---------------------------------------------------------------------------------------------
service part shop "sql:5432/tcp:8080 dns:53/udp:80"
slice part shop part "sql:8080/tcp dns:80/udp" near other
for mode in iptables nft; do
	proxy $mode
	sync
	check "$mode: a mixed Service has the netfilter program" until_true 10 hook_in_force
	read_anew
	open_part "$mode-mixed"
	check "$mode: flows begin" all start
	as_wanted "a mixed Service's flow has its backend as well" start
	conntrack_forgets
	over
	check "$mode: they end when conntrack knows none of them" all end
	as_wanted "as it was told when they began" end
	leave
done
equal "no backend is lost" "$(ask '{"op":"status"}' | jq .flows.lost.backends)" 0
