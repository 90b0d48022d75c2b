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
mode() { bh status -o json | jq -r .mode; }

node_up
namespace shop
namespace trial "bulkhead.io/audit: \"true\""
pod web shop
pod api shop
pod job trial
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
equal "its policies are said to be in audit mode" "$(audited)" "trial/default-deny"
equal "the node is not" "$(mode)" enforce
# one flow each over IPv4 and IPv6
equal "its would-be denies are counted: in, and out, also of what its peer drops" "$(denies trial/default-deny)" 6
equal "those of policies that are enforced are none" "$(denies shop/default-deny)" 0
equal "explain tells both" "$(bh explain --from "ip:$WORLD4" --to trial/job --port 80 -o json |
	jq -r '.ingress | "\(.verdict) \(.audit.verdict) \(.audit.rule.policy)"')" "allow deny trial/default-deny"
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
equal "all are said to be in audit mode" "$(audited)" "-/closed shop/cross shop/default-deny trial/default-deny"
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
end
