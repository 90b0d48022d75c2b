#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line against a live agent: status, endpoint, policy, explain, ct, and its answers to nonsense.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

field() { jq -r "$1" <<<"$out"; } # of the last JSON answer
json() { # WHAT ARGUMENTS...: the answer into out
	local what=$1
	shift
	if out=$(bh "$@" -o json 2>&1); then pass "$what answers"; else fail "$what answers" "$out"; fi
}
refused() { # WHAT CODE PATTERN ARGUMENTS...
	local what=$1 code=$2 pattern=$3 said
	shift 3
	said=$(bh "$@" 2>&1)
	equal "$what: exit status" $? "$code"
	matches "$what: one sentence" "$said" "$pattern"
}

node_up
refused "no agent" 3 'bulkheadd|agent|listen' status
namespace shop
pod web shop
pod api shop
pod job shop
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<-EOT
	podSelector: {matchLabels: {app: api}}
	ingress:
	- from: [{podSelector: {matchLabels: {app: nobody}}}]
	- from: [{podSelector: {matchLabels: {app: web}}}]
	  ports: [{port: 80}]
EOT
agent_start
sync
stream s web api 80 tcp 4
tool_ask s "echoed 5 3000"
expect "some denied traffic to count" <<-EOT
	silent job api 80 tcp
	silent web api 8080 tcp
EOT

json "status" status
equal "status: all that was seen is in force" "$(field '.ready and .synced and .generation.seen == .generation.applied')" true
equal "status: endpoints" "$(field '.endpoints | "\(.total) \(.enforce)"')" "3 3"
equal "status: the node" "$(field .node)" "$NODE"
check "status for people" bh status

json "endpoint list" endpoint list
equal "endpoint list: pods" "$(field '[.endpoints[].name] | sort | join(" ")')" "api job web"
json "endpoint get" endpoint get shop/api
equal "endpoint get: isolated by both" "$(field '.ingress.policies | sort | map(sub(".*/"; "")) | join(" ")')" "api default-deny"
equal "endpoint get: attached as asked" "$(field .attach)" "${ATTACH/auto/$(field .attach)}"
matches "endpoint get: what was denied, by whom" "$(field '.denied[] | "\(.reason) \(.remote_name) \(.port) \(.protocol)"')" \
	'policy-denied shop/web 8080 TCP'
matches "endpoint get: totals are exact and have a rule" "$(field '.totals[] | "\(.direction) \(.reason) \(.rule.kind) \(.packets)"')" \
	'ingress policy-denied default-deny [1-9]'
check "endpoint get for people" bh endpoint get shop/api

json "policy list" policy list
equal "policy list: three" "$(field '.policies | length')" 3
json "policy show" policy show shop/api
matches "policy show: its pods" "$(field '.endpoints | tostring')" 'api'
matches "policy show: which rule was used" "$(field '.rule_totals[] | "\(.direction) \(.rule.index) \(.reason) \(.packets)"')" 'ingress 1 allowed [1-9]'

json "explain" explain --from shop/web --to shop/api --port 80
equal "explain: allowed, by which rule" "$(field '"\(.verdict) \(.ingress.policy) \(.ingress.rule.index) \(.egress.policy)"')" "allow shop/api 1 shop/web"
json "explain" explain --from shop/job --to shop/api --port 80
equal "explain: denied at both ends" "$(field '"\(.verdict) \(.egress.verdict) \(.ingress.verdict)"')" "deny deny deny"
matches "explain: who isolates" "$(field '.ingress.policies | join(" ")')" 'shop/default-deny'
json "explain" explain --from "${POD6[web]}" --to shop/api --port 80 --protocol UDP
equal "explain: an address, another protocol" "$(field .verdict)" deny
json "explain" explain --from shop/web --to "$WORLD4" --port 80
equal "explain: the far end is not judged here" "$(field '"\(.verdict) \(.egress.verdict)"')" "deny deny"

json "ct list" ct list shop/api
matches "ct list: the stream" "$(field '.connections[] | "\(.direction) \(.protocol) \(.local_port) \(.state)"')" 'ingress TCP 80 established'
json "ct flush" ct flush shop/job

refused "a verb that is none" 2 'no verb|unknown|frobnicate' frobnicate
refused "a pod that is none" 4 'shop/nobody|nobody' endpoint get shop/nobody
refused "a port that is none" 2 'port|70000' explain --from shop/web --to shop/api --port 70000
refused "an end that is none" 4 'nowhere' explain --from nowhere --to shop/api --port 80
matches "the socket says no to nonsense" "$("$TRAFFIC" ask "$SOCKET" 'nonsense')" '"ok": ?false'
matches "the socket says no to an unknown operation" "$(ask '{"op":"reboot"}')" '"ok": ?false.*reboot'

before_odd=$(bh status -o json | jq -c '[.ready, .endpoints.total, (.problems | length)]')
# Fields of every kind but the right one; `sync` waits for what it is asked for.
odd_fields() { # OPERATION
	local value field request
	for value in 7 -1 1e30 null true '[]' '[{}]' '{}' '""' '"\u0000"' '"a/b/c"' "\"$(printf '%05000d' 0)\""; do
		request="{\"op\":\"$1\""
		for field in namespace name from to port protocol family limit filter snapshot after max wait_ms \
			container ifname ifindex netns uid attachments; do
			request+=",\"$field\":$value"
		done
		ask "$request}" | jq -c 'has("ok")'
	done | sort | uniq -c | xargs
}
for op in status version endpoint.list endpoint.get policy.list policy.show explain ct.list ct.flush flows objects \
	cni.add cni.del cni.check cni.gc cni.status; do
	equal "odd fields of $op are answered" "$(odd_fields $op)" "12 true"
done
equal "and change nothing" "$(bh status -o json | jq -c '[.ready, .endpoints.total, (.problems | length)]')" "$before_odd"
check "and answers still" bh version
end
