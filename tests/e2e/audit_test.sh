#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Policies in audit mode deny nothing: one by its annotation, a namespace's by its label, all by the agent's mode. What
# else there is goes on being enforced, and leaving audit mode enforces at once.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

audited() { bh policy list -o json | jq -r '[.policies[] | select(.audit) | "\(.namespace // "-")/\(.name)"] | sort | join(" ")'; }
# denies POLICY [RULE]: flows that pass and that it would deny, as /metrics counts them
denies() {
	in_ns node curl -s --max-time 10 http://127.0.0.1:9964/metrics | awk -v want="policy=\"$1\",rule=\"${2:-}\"" '
		/^bulkhead_audit_denies_total/ && index($0, want) { sum += $NF } END { print sum + 0 }'
}
ANNOTATED=', annotations: {bulkhead.io/audit: "true"}'
# trials [ANNOTATED]: of lab/tool, what it sends (tight), what may come besides (wide), what may not (gate), on trial or not.
trials() {
	manifest trials <<-EOT
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: tight, namespace: lab${1:-}}
		spec: {podSelector: {matchLabels: {app: tool}}, policyTypes: [Egress]}
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: wide, namespace: lab${1:-}}
		spec: {podSelector: {matchLabels: {app: tool}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}
		---
		$(cluster gate 5 8080 "${1:-}")
	EOT
}
# cluster NAME PRIORITY PORT [ANNOTATED]: a ClusterNetworkPolicy that lets nobody reach lab/tool there.
cluster() {
	cat <<-EOT
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: {name: $1${4:-}}
		spec:
		  tier: Admin
		  priority: $2
		  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: tool}}}}
		  ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: $3}}}]}]
	EOT
}
mode() { bh status -o json | jq -r .mode; }

node_up
namespace shop
namespace trial "bulkhead.io/audit: \"true\""
pod web shop
pod api shop
namespace lab
pod job trial
pod tool lab
pod client lab
default_deny shop
default_deny trial
policy cross shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}]}]}'
manifest cnp <<-EOT
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: closed}
	spec:
	  tier: Admin
	  priority: 10
	  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}
	  ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 81}}}]}]
EOT

policy base lab <<<'{podSelector: {matchLabels: {app: tool}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}'
cluster shut 10 81 | manifest cnp-shut
trials "$ANNOTATED"

# ---- a namespace, in a node that enforces ---------------------------------------------------------------------------------
agent_start
sync
expect "a namespace's label: its policies deny nothing, others' do" <<-EOT
	open   world job 80 tcp
	open   job   api 80 tcp
	silent world web 80 tcp
	silent web   api 80 tcp
	silent job   api 81 tcp
EOT
equal "its policies are said to be in audit mode, and those with the annotation" "$(audited)" \
	"-/gate lab/tight lab/wide trial/default-deny"
equal "the node is not" "$(mode)" enforce
# one flow each over IPv4 and IPv6
equal "its would-be denies are counted: in, and out, also of what its peer drops" "$(denies trial/default-deny)" 6
equal "those of policies that are enforced are none" "$(denies shop/default-deny)" 0
equal "explain tells both" "$(bh explain --from "ip:$WORLD4" --to trial/job --port 80 -o json |
	jq -r '.ingress | "\(.verdict) \(.audit.verdict) \(.audit.rule.policy)"')" "allow deny trial/default-deny"
# what lab/tool's policies do: those on trial neither deny nor allow, those beside them do
on_trial() {
	expect "$1" <<-EOT
		open   client tool 80 tcp
		open   client tool 8080 tcp
		silent client tool 81 tcp
		silent world  tool 80 tcp
		open   tool   api 80 tcp
	EOT
	equal "two flows each would be denied, by gate's rule and by tight" "$(denies gate 0) $(denies lab/tight)" "2 2"
	equal "and none by those that are enforced, nor by what would allow more" \
		"$(denies shut 0) $(denies lab/base) $(denies lab/wide)" "0 0 0"
}
on_trial "by annotation: the policies that have it deny nothing, those beside them do"
stream kept job api 80 tcp 4
tool_ask kept "echoed 10 5000"
agent_stop
agent_start
sync
expect "and so it is with the next agent" <<-EOT
	open   world job 80 tcp
	silent world web 80 tcp
	silent job   api 81 tcp
EOT
equal "which counts anew" "$(denies trial/default-deny)" 4
on_trial "and so it is by annotation"
agent_stop

# ---- the whole node ---------------------------------------------------------------------------------------------------------
agent_start --mode audit
sync
expect "audit mode: nothing is denied by any policy" <<-EOT
	open world web 80 tcp
	open web   api 80 tcp
	open api   web 80 udp
	open job   api 81 tcp
EOT
equal "all are said to be in audit mode" "$(audited)" \
	"-/closed -/gate -/shut lab/base lab/tight lab/wide shop/cross shop/default-deny trial/default-deny"
equal "and the node" "$(mode)" audit
matches "status says so to people" "$(bh status)" 'audit: policies are compiled'
equal "a rule's would-be denies are its own" "$(denies closed 0)" 2
equal "explain agrees" "$(bh explain --from shop/web --to shop/api --port 81 -o json | jq -r .verdict)" allow
stream passing web api 80 tcp 6
tool_ask passing "echoed 10 5000"
agent_stop
expect "and it stays so without an agent" <<<'open world web 80 tcp'

agent_start
sync
expect "enforced again" <<-EOT
	open   world job 80 tcp
	silent world web 80 tcp
	silent web   api 80 tcp
	silent job   api 81 tcp
EOT
tool_ask passing report
before=${R[heard]}
tool_ask passing "sent 20"
equal "what was never allowed is cut" "${R[heard]}" "$before"
tool_ask kept "echoed 10 5000"
tool_ask kept "drain 3000"
equal "what was allowed all the time lost nothing" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
namespace trial
sync
expect "a namespace that loses its label is enforced" <<<'silent world job 80 tcp'
trials
sync
expect "so are policies that lose their annotation" <<-EOT
	open   client tool 80 tcp
	silent client tool 8080 tcp
	silent client tool 81 tcp
	open   world  tool 80 tcp
	silent tool   api 80 tcp
EOT
equal "nothing is on trial any more" "$(audited)" ""
end
