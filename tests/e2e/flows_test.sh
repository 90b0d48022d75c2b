#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Flows are recorded as they were: who, with whom, by which rule, how much. Each begins once and ends once, also beside a
# restart of the agent; names stay when the policy and the pod are gone; denies are told to the packet, audit as what it is.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

SEEN=$WORK/flows.json NEXT=$WORK/next # records that were read, where to go on: files, as checks run in shells of their own
forget() { : >"$SEEN"; }
# seen PROGRAM: what jq makes of the array of them.
seen() { jq -cs "$1" "$SEEN"; }
# Waits until that is `true`, reading on.
seen_until() { # PROGRAM
	local page end=$((SECONDS + 30))
	while [ "$(seen "$1")" != true ]; do
		[ $SECONDS -lt $end ] || return 1
		page=$(ask "{\"op\":\"flows\",\"after\":$(cat "$NEXT"),\"wait_ms\":5000}") || return 1
		jq .next <<<"$page" >"$NEXT"
		jq -c '.records[]' <<<"$page" >>"$SEEN"
	done
}
flush() { ask '{"op":"ct.flush"}' >/dev/null; } # all flows end
# What a pod's kernel counts of TCP port 80: "packets bytes" of one direction.
counted() { # POD output|input
	in_ns "$1" nft -j list counter ip flows "$2" | jq -r '.nftables[] | .counter // empty | "\(.packets) \(.bytes)"'
}

node_up
namespace shop
namespace trial 'bulkhead.io/audit: "true"'
pod web shop
pod api shop
pod job trial
default_deny shop
default_deny trial
policy out shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}'
policy api shop <<-EOT
	podSelector: {matchLabels: {app: api}}
	policyTypes: [Ingress]
	ingress:
	- {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}
	- {from: [{namespaceSelector: {}}], ports: [{port: 8080}]}
EOT
in_ns web nft -f - <<-EOT
	table ip flows {
		counter output { }
		counter input { }
		chain out { type filter hook output priority 0; tcp dport 80 counter name output; }
		chain in { type filter hook input priority 0; tcp sport 80 counter name input; }
	}
EOT
agent_start --sweep-interval 1 --flow-sinks "json+file://$WORK/sink.json json+file://$WORK/denies.json?filter=type%3Ddeny"
sync
echo 0 >"$NEXT"
forget

# ---- what passed --------------------------------------------------------------------------------------------------------
for ((i = 0; i < 20; i++)); do probe web api 80 tcp 4 >/dev/null; done
flush
check "each connection is told, by both of its pods" seen_until '[.[] | select(.type == "end")] | length >= 40'
equal "each begins once and ends once" \
	"$(seen 'group_by(.id) | map(map(.type) - ["update"]) | unique')" '[["start","end"]]'
equal "as many as there were" "$(seen '[.[] | .id] | unique | length')" 40
of() { # DIRECTION forward|reverse: "packets bytes" of all ends
	seen "[.[] | select(.type == \"end\" and .direction == \"$1\")] | \"\(map(.packets.$2) | add) \(map(.bytes.$2) | add)\"" | tr -d '"'
}
for d in egress ingress; do
	equal "to the packet and byte, $d" "$(of $d forward) $(of $d reverse)" "$(counted web output) $(counted web input)"
done
equal "by the rule that decided, as each pod sees it" \
	"$(seen '[.[] | "\(.direction) \(.policy.policies[0]) \(.policy.rule)"] | unique')" \
	'["egress shop/out 0","ingress shop/api 0"]'
equal "with both ends" \
	"$(seen '[.[] | "\(.source.namespace)/\(.source.pod) \(.destination.namespace)/\(.destination.pod):\(.destination.port)"] | unique')" \
	'["shop/web shop/api:80"]'
equal "and how they ended" "$(seen '[.[] | select(.type == "end") | .over] | unique')" '["closed"]'

# ---- what was denied --------------------------------------------------------------------------------------------------------
forget
for ((i = 0; i < 3; i++)); do PROBE_MS=50 probe web api 81 tcp 4 >/dev/null; done
PROBE_MS=50 probe api web 80 udp 4 >/dev/null
denied() { total "$1" "$2" policy-denied; }
told() { seen "[.[] | select(.type == \"deny\" and .direction == \"$2\" and .reason == \"policy-denied\" and .$3.pod == \"$1\") | .packets.forward] | add // 0"; }
check "denies are told" seen_until "[.[] | select(.type == \"deny\") | .packets.forward] | add == $(($(denied api ingress) + $(denied api egress)))"
equal "to the packet at the pod that denies, coming" "$(told api ingress destination)" "$(denied api ingress)"
equal "and going" "$(told api egress source)" "$(denied api egress)"
equal "by the policies that isolate it" \
	"$(seen '[.[] | select(.type == "deny" and .direction == "ingress") | "\(.policy.kind) \(.policy.policies | join(" "))"] | unique')" \
	'["default-deny shop/api shop/default-deny"]'

# ---- sinks say the same ---------------------------------------------------------------------------------------------------------
ended() { jq -cs 'map(select(.type == "end")) | [length, (map(.packets.forward, .packets.reverse) | add), (map(.bytes.forward, .bytes.reverse) | add)]' "$1"; }
ask '{"op":"flows"}' | jq -c '.records[]' >"$WORK/history.json"
equal "a file has what the history has" "$(ended "$WORK/sink.json")" "$(ended "$WORK/history.json")"
equal "and behind a filter what it lets through" "$(jq -s 'map(.packets.forward) | add' "$WORK/denies.json")" \
	"$(jq -s 'map(select(.type == "deny") | .packets.forward) | add' "$WORK/history.json")"

# ---- audit ------------------------------------------------------------------------------------------------------------------
probe job api 8080 tcp 4 >/dev/null
check "what audit would deny is told" seen_until 'any(.[]; .verdict == "audit")'
equal "with the policy that would" \
	"$(seen '[.[] | select(.verdict == "audit") | "\(.direction) \(.source.pod) \(.audit.kind) \(.audit.policies[0])"] | unique')" \
	'["egress job default-deny trial/default-deny"]'

# ---- at a terminal ----------------------------------------------------------------------------------------------------------
coloured() { # VERDICT [VARIABLE=VALUE]: how a terminal is told of it
	in_ns node env TERM=xterm "${@:2}" script -qec "$B/bulkhead --socket $SOCKET flows --verdict $1 --last 1" /dev/null </dev/null |
		grep -aoE " $E*$1$E*" | head -n 1 | sed 's/\x1b/ESC/g'
}
E=$'(\e\\[[0-9;]*m)'
equal "denied is red" "$(coloured denied)" ' ESC[31mdeniedESC[0m'
equal "allowed is green" "$(coloured allowed)" ' ESC[32mallowedESC[0m'
equal "audit is yellow" "$(coloured audit)" ' ESC[33mauditESC[0m'
equal "and nothing is for who wants no colour" "$(coloured denied NO_COLOR=1)" ' denied'

# ---- beside a restart of the agent -----------------------------------------------------------------------------------------------
stream kept web api 80 tcp 4
stream talk web api 80 udp 4
tool_ask kept "echoed 5 5000"
tool_ask talk "echoed 5 5000"
check "they begin" seen_until '[.[] | select(.type == "start" and .destination.port == 80)] | length >= 4'
ids=$(seen '[.[] | select(.type == "start" and .destination.port == 80) | .id] | unique')
agent_stop
agent_start --sweep-interval 1 --flow-sinks "json+file://$WORK/sink.json"
sync
forget
echo 0 >"$NEXT"
probe web api 80 tcp 4 >/dev/null
check "the next agent tells what begins" seen_until 'any(.[]; .type == "start")'
equal "no deny of before" "$(seen '[.[] | select(.type == "deny")] | length')" 0
equal "and not what its predecessor told" "$(seen "[.[] | select(.type == \"start\") | .id] as \$now | \$now - (\$now - $ids) | length")" 0

# ---- names of what is gone -----------------------------------------------------------------------------------------------------------
tool_stop kept
tool_stop talk
tool_stop serve-api # it goes on talking, and would be cut by what comes
policy_rm api shop
manifest_rm pod-api
link_down api
sync
check "they end with their pod" seen_until '[.[] | select(.over == "pod-gone") | .direction] | unique == ["ingress"]'
flush
check "or when they are flushed" seen_until "[.[] | select(.type == \"end\") | .id] | $ids - . == []"
equal "each once" "$(seen "[.[] | select(.type == \"end\") | .id] | length == (unique | length)")" true
equal "with the names of then" \
	"$(seen "[.[] | select(.type == \"end\" and .destination.port == 80) | \"\(.direction) \(.destination.pod) \(.policy.policies[0])\"] | unique")" \
	'["egress api shop/out","ingress api shop/api"]'
equal "nothing is lost" "$(ask '{"op":"status"}' | jq -c .flows.lost)" '{"ends":0,"denies":0,"names":0,"backends":0,"memory":0}'
agent_stop # it hands on what waits
equal "the file has records of each kind" \
	"$(jq -cs '[any(.verdict == "audit"), any(.over == "pod-gone"), any(.type == "deny"), any(.over == "closed")]' "$WORK/sink.json")" \
	'[true,true,true,true]'
all_valid "$WORK/sink.json"
agent_start --flows off
matches "a sink that is none is refused in one sentence" \
	"$("$BULKHEADD" --source "dir:$MANIFESTS" --node "$NODE" --flow-sinks "json+nowhere:" 2>&1)" '^bulkheadd: --flow-sinks'
equal "off: nobody is told anything" "$(ask '{"op":"flows"}' | jq -r .code)" EOPNOTSUPP
