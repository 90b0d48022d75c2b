#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What was denied is told once and wholly, whoever tells it: before, between and after agents that end or are killed, while
# packets go on coming. The records of all agents add up to the kernel's own totals, for each reason and rule.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

RECORDS=$WORK/denies.json
begin() { agent_start --flow-sinks "json+file://$RECORDS?filter=type%3Ddeny"; sync; }

# POD DIRECTION REASON KIND POLICIES RULE PACKETS BYTES, sorted: as the kernel counted it since the tables were made
counted() {
	local pod
	for pod in web api; do
		ask "{\"op\":\"endpoint.get\",\"namespace\":\"shop\",\"name\":\"$pod\"}" |
			jq -r --arg pod "$pod" '.totals[] | select(.reason == ("policy-denied", "cut", "not-syn", "quarantine")) |
				"\($pod) \(.direction) \(.reason) \(.rule.kind | if . == "none" then "-" else . end) \(.rule.index // "-") \(.packets) \(.bytes)"'
	done | sort
}
told() { # the same of all records
	jq -rs 'map({ key: "\(if .direction == "egress" then .source.pod else .destination.pod end) \(.direction) \(.reason) \(.policy.kind // "-" | ascii_downcase) \(.policy.rule // "-")",
			packets: .packets.forward, bytes: .bytes.forward })
		| group_by(.key)[] | "\(.[0].key) \(map(.packets) | add) \(map(.bytes) | add)"' "$RECORDS" | sort
}
agrees() { [ "$(told)" = "$(counted)" ]; }
going() { while :; do in_ns web "$TRAFFIC" flood "${POD4[api]}" 9000 9000; done >/dev/null; } # denied, all the time
knock() { # denied, by several rules and on both families
	local family
	for family in 4 6; do
		in_ns web "$TRAFFIC" flood -n "$1" "$(address api $family)" 9000 9003
		in_ns web "$TRAFFIC" flood -n "$1" "$(address api $family)" 8100 8101
		in_ns api "$TRAFFIC" flood -n "$1" "$(address web $family)" 9000 9001
	done >/dev/null
	tool_ask wire-web "send $1 eth $(mac web) $gw 0x0800 ip ${POD4[web]} ${POD4[api]} 6 tcp 80 7002 0x12 1 1" # an answer to nothing
}

node_up
namespace shop
pod web shop
pod api shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}]}'
manifest cnp <<-EOT
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: closed}
	spec:
	  tier: Admin
	  priority: 10
	  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}
	  ingress:
	  - {action: Deny, from: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 8100}}}]}
	  - {name: second, action: Deny, from: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 8101}}}]}
EOT
wire web
gw=$(ip -n "$NODE_NS" -j link show "v${NUMBER[web]}" | jq -r '.[0].address')
begin
knock 3
check "what was denied is told, by reason and rule" until_true 12 agrees
equal "of each kind" "$(told | cut -d' ' -f1-5)" "$(cat <<-EOT
	api egress policy-denied default-deny -
	api ingress not-syn - -
	api ingress policy-denied clusternetworkpolicy 0
	api ingress policy-denied clusternetworkpolicy 1
	api ingress policy-denied default-deny -
EOT
)"

# An agent that kept no table of what it told: its last reading's time says so. A flow that began behind the denies is told.
begun() { bh flows -o json --type start --to-port 80 | jq -se 'length > 0' >/dev/null; }
in_ns web "$TRAFFIC" flood -n 1 "${POD4[api]}" 80 80 >/dev/null
check "a reading is behind what was denied" until_true 12 begun
agent_stop
rm "$PIN/bh_denied_told"
begin
knock 2
check "what an agent of an earlier version told is not told again" until_true 12 agrees
equal "as it was counted" "$(told)" "$(counted)"
for way in kill stop kill; do
	going &
	going=$!
	if [ $way = kill ]; then agent_kill; else agent_stop; fi
	knock 5 # nobody is there to tell it
	begin
	knock 2
	kill $going && wait $going
	check "so it is beside an agent that ends by $way" until_true 12 agrees
done

manifest_rm pod-web
sync
knock 4
check "so it is with a pod that runs on without its object" until_true 12 agrees
equal "which is shut" "$(told | grep -c 'web egress quarantine - - ')" 1
pod_manifest web shop
sync

# A pod that leaves while no agent is there takes nothing with it but what its default deny was called: nobody is isolated so
# any more. Datagrams of one byte, 29 and 49 bytes long.
sums() { told | awk '{ n[$1 " " $2 " " $3] += $6; b[$1 " " $2 " " $3] += $7 } END { for (k in n) print k, n[k], b[k] }' | sort; }
want=$(sums | awk '{ m = $1 == "web" ? 0 : $3 == "not-syn" ? 1 : $2 == "egress" ? 4 : 12
	print $1, $2, $3, $4 + m, $5 + m * ($3 == "not-syn" ? 40 : 39) }')
agent_kill
knock 1
manifest_rm pod-api
tool_stop serve-api
link_down api
begin
tells() { [ "$(sums)" = "$want" ]; }
check "nor is anything lost of a pod that leaves meanwhile" until_true 12 tells
equal "name and all" "$(sums)" "$want"
