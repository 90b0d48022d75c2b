#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits, reached on purpose through a running agent: shares, prefixes, classes, ids, endpoints. Who goes over is
# refused and named, isolates and allows nothing; others notice nothing; what fits again comes back by itself.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_limits.sh
. "$(dirname "$0")/_limits.sh"

blocks() { # NAME COUNT: a policy of namespace evil
	local i
	{
		echo 'podSelector: {}'
		echo 'ingress:'
		for ((i = 0; i < $2; i++)); do
			echo "- {from: [{ipBlock: {cidr: 192.0.2.$i/32}}, {podSelector: {}}], ports: [{port: $((80 + i))}]}"
		done
	} | policy "$1" evil
}

node_up
namespace shop
namespace evil
pod web shop
pod api shop
pod bad evil
pod worse evil
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
agent_start --max-cidrs 40 --max-peer-classes 12 --max-port-classes 80 --max-policies 6 --max-endpoints 4
sync
stream s web api 80 tcp 4 -i 2
# ---- one policy's share ------------------------------------------------------------------------------------------------
blocks large 11
sync
check "a policy over its share is named" named 'evil/large' 'address blocks than one policy.s share'
expect "it isolates and allows nothing" <<<"silent worse bad 80 tcp"
others "over a share"
blocks large 2
sync
equal "smaller, it is in force" "$(wheres)" ""
expect "and allows" <<<"open worse bad 80 tcp"

# ---- classes: selectors that tell every pod apart --------------------------------------------------------------------------
for bit in 0 1 2 3; do
	policy "bit$bit" evil <<<"{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {b$bit: x}}}]}]}"
done
for i in {1..15}; do
	labels=''
	for bit in 0 1 2 3; do [ $((i >> bit & 1)) = 0 ] || labels+="${labels:+, }b$bit: x"; done
	manifest "far-$i" <<-EOT
		{apiVersion: v1, kind: Pod, metadata: {name: far-$i, namespace: evil, labels: {$labels}}, spec: {nodeName: far},
		 status: {phase: Running, podIPs: [{ip: 172.31.0.$i}]}}
	EOT
done
sync
check "who explodes classes is named" named 'evil/' 'peer classes than the whole'
equal "nobody else" "$(wheres | grep -c shop)" 0
check "the table keeps its limit" eval '[ "$(bh status -o json | jq .policy.peer_classes)" -le 14 ]'
others "classes"
manifest_rm far-{4..15}
sync
equal "pods went: the policies are back by themselves" "$(wheres)" ""
manifest_rm far-{1..3} np-evil-bit{0..3}

# ---- compiled policies -----------------------------------------------------------------------------------------------------
for pod in bad worse; do
	policy "only-$pod" evil <<<"{podSelector: {matchLabels: {app: $pod}}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 8080}]}], egress: [{to: [{podSelector: {matchLabels: {app: $pod}}}]}]}"
done
sync
check "a pod without a compiled policy is named" named 'Pod evil/' 'table of compiled policies is full'
others "policies"
policy_rm only-bad evil
policy_rm only-worse evil
sync
equal "ids come back" "$(wheres)" ""

# ---- endpoints ---------------------------------------------------------------------------------------------------------------
pod fifth shop
check "a pod too many is named" until_true 20 named 'shop/fifth' 'no free slot of 4'
others "endpoints"
manifest_rm pod-worse
tool_stop serve-worse
link_down worse
check "and gets the slot that is free" until_true 30 eval '[ "$(wheres)" = "" ]'
tool_ask s "drain 3000"
equal "nothing of all that touched the flow" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
sync
expect "where it is judged" <<<"silent web fifth 80 tcp"
