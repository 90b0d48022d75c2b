#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A record names what decided when it was decided: of rules that were renamed, replaced or deleted before anybody read the
# flow; of a half-open flow that a change cut; of flows that are older than the first agent that records.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

RECORDS=$WORK/flows.json
cnp() { # RULE-NAME PORT: what the ClusterNetworkPolicy says
	manifest cnp <<-EOT
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: {name: gate}
		spec:
		  tier: Admin
		  priority: 10
		  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}
		  ingress:
		  - {name: "$1", action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
		  - {name: "no-$1", action: Deny, from: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: $2}}}]}
	EOT
}
allow() { policy api shop <<<"{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: $1}]}]}"; }
knock() { # one connection, one datagram to PORT
	[ "$(probe web api 80 tcp 4)" = open ] || fail "web reaches api"
	in_ns web "$TRAFFIC" flood "${POD4[api]}" "$1" "$1" >/dev/null
}
closed() { [ -z "$(in_ns web ss -Htn state established state fin-wait-1 state fin-wait-2 state last-ack state closing; in_ns api ss -Htn state established state fin-wait-1 state close-wait state last-ack)" ]; }
flush() { ask '{"op":"ct.flush"}' >/dev/null; } # all flows end
# FILTER: lines TYPE KIND POLICY RULE NAME TIER, in the order of their flows
says() {
	jq -rs "map(select($1)) | sort_by(.first, .seq)[] | .policy | \"\(.kind) \(.policies[0]) \(.rule // \"-\") \(.rule_name // \"-\") \(.tier // \"-\")\"" "$RECORDS"
}
said() { [ "$(says "$1" | wc -l)" -ge "$2" ]; }

# ---- an agent that does not record, and flows that outlive it --------------------------------------------------
node_up
namespace shop
pod web shop
pod api shop
allow 80
agent_start --flows off
sync
stream kept web api 80 tcp 4
tool_ask kept "echoed 5 5000"
PROBE_MS=50 probe web api 81 tcp 4 >/dev/null
agent_stop
agent_start --sweep-interval 1 --flow-sinks "json+file://$RECORDS?filter=direction%3Dingress"
sync
check "a flow that is older than recording is told as begun" until_true 20 said '.type == "start"' 1
tool_ask kept "echoed 20 5000"
tool_ask kept "drain 5000"
sent=${R[sent]} echoed=${R[echoed]}
equal "it goes on undisturbed" "${R[state]} $echoed ${R[gaps]}" "open $sent 0"
tool_stop kept
check "it is closed by both" until_true 20 closed # what came behind the flush would be another flow
flush
check "and as over" until_true 20 said '.type == "end"' 1
equal "once, by its rule" "$(says '.type == "start" or .type == "end"' | sort | uniq -c | xargs)" "2 NetworkPolicy shop/api 0 - -"
equal "with what was counted since, and no more than there was" \
	"$(jq -s 'map(select(.type == "end")) | .[0].packets.forward > 0' "$RECORDS")" true
equal "what was denied before is told" "$(says '.type == "deny"' | sort -u)" "default-deny shop/api - - -"

# ---- rules that are others when the flow is read ----------------------------------------------------------------
cp "$RECORDS" "$WORK/before.json"
: >"$RECORDS"
cnp first 8100
sync
knock 8100
cnp second 8200
sync
knock 8200
manifest_rm cnp
sync
knock 8300
policy_rm api shop
sync
knock 8300 # nobody isolates api any more: passes
check "these are closed" until_true 20 closed
flush
check "all are told" until_true 20 said '.type == "end" and .protocol == "TCP"' 3
of_rules='ClusterNetworkPolicy gate 0 first Admin
ClusterNetworkPolicy gate 0 second Admin
NetworkPolicy shop/api 0 - -'
equal "flows by the rules of their time, when they begin" "$(says '.type == "start" and .protocol == "TCP"')" "$of_rules"
equal "and when they are over" "$(says '.type == "end" and .protocol == "TCP"')" "$of_rules"
equal "denies as well" "$(says '.type == "deny"')" 'ClusterNetworkPolicy gate 1 no-first Admin
ClusterNetworkPolicy gate 1 no-second Admin
default-deny shop/api - - -'

# ---- half open, and cut -------------------------------------------------------------------------------------------
in_ns world nft -f - <<<'table ip quiet { chain in { type filter hook input priority 0; tcp dport 7777 drop; }; }'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 7777}]}]}'
sync
agent_stop
agent_start --sweep-interval 1 --flow-sinks "json+file://$RECORDS?filter=direction%3Degress"
sync
PROBE_MS=60000 probe web world 7777 tcp 4 >"$WORK/knocking" &
knocking=$!
half() { ask '{"op":"ct.list","namespace":"shop","name":"web"}' | jq -e '.connections | any(.state == "half-open")'; }
check "a connection is half open" until_true 10 half
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 7778}]}]}'
sync
check "a change denies it" until_true 20 reaches web egress cut 1
kill $knocking
flush
check "it is told as over" until_true 20 said '.type == "end" and .destination.port == 7777' 1
equal "as cut" "$(jq -r 'select(.type == "end" and .destination.port == 7777) | "\(.over) \(.verdict) \(.reason)"' "$RECORDS")" "cut denied cut"
equal "what was dropped of it is told with the policy that denies" \
	"$(jq -r 'select(.type == "deny" and .reason == "cut") | "\(.policy.kind) \(.policy.policies[0])"' "$RECORDS" | sort -u)" "default-deny shop/web"
agent_stop # it hands on what waits
equal "the files have records of each kind" \
	"$(jq -cs '[any(.policy.tier == "Admin"), any(.reason == "cut"), any(.over == "cut"), any(.policy.kind == "default-deny")]' "$RECORDS")" \
	'[true,true,true,true]'
all_valid "$WORK/before.json" "$RECORDS"
