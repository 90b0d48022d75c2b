#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R32, by way of an API server: what policies isolate is open again once they are gone, whether one by one, with their
# resource or with their namespace, and no program, entry or pin of theirs is left.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# open_again WHAT POD...: no policy selects them any more, and nothing keeps track of what they do.
open_again() {
	local what=$1 p
	shift
	for p; do check "$what: $p is open" until_true 20 eval '[ "$(state_of '"$p"')" = open ]'; done
	tracked "$@" >"$WORK/before"
	for p; do echo "open $1 $p 80 tcp"; echo "open $p world 53 udp"; done | grep -v "$1 $1" | expect "$what: everything passes"
	equal "$what: and no flow is tracked" "$(tracked "$@" | comm -13 "$WORK/before" -)" ""
}
slot_of() { bh endpoint list -o json | jq -r ".endpoints[] | select(.name == \"$1\") | .slot"; }
listed() { bh "$1" list -o json | jq "[.. | objects | select(.namespace? == \"$2\")] | length"; } # endpoint|policy NAMESPACE
# shellcheck disable=SC2317 # called by until_true
none_listed() { [ "$(listed endpoint "$1") $(listed policy "$1")" = "0 0" ]; }

node_up
namespace shop "team: shop"
namespace other "team: other"
pod web shop
pod api shop
pod job other
pod tool other
serve world 80/tcp 53/udp
cluster_deny() { # NAME TEAM: nobody may begin anything with pods of that team
	manifest "cnp-$1" <<-EOT
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: {name: $1}
		spec:
		  tier: Admin
		  priority: 10
		  subject: {namespaces: {matchLabels: {team: $2}}}
		  ingress: [{action: Deny, from: [{namespaces: {}}]}]
	EOT
}
cluster_deny shut shop
default_deny other
policy job other <<<'{podSelector: {matchLabels: {app: job}}, ingress: [{from: [{podSelector: {matchLabels: {app: tool}}}]}]}'
policy tool other <<<'{podSelector: {matchLabels: {app: tool}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: job}}}]}]}'
api_start
agent_start_kube
api_sync
expect "r32_before: what the policies say" <<-EOT
	silent web api 80 tcp
	silent job web 80 tcp
	open   world api 80 tcp
	open   tool job 80 tcp
	silent tool world 53 udp
EOT
matches "r32_before: their flows are kept track of" "$(tracked api)" "^api TCP 80 "
equal "r32_before: pods and policies are known" "$(listed endpoint other) $(listed policy other)" "2 3"

# ---- the resource: with its definition go all of its objects ------------------------------------------------------------------
api '{"op":"crd","resource":"clusternetworkpolicies","present":false}' >/dev/null
open_again r32_the_resource_is_gone web api
expect "r32_the_resource_is_gone: other policies hold" <<-EOT
	open   tool job 80 tcp
	silent tool world 53 udp
	silent web job 80 tcp
EOT

# ---- a namespace: what it holds goes first, its pods run on for a while, then they end, then it is gone --------------------------
for name in default-deny job tool; do
	policy_rm $name other
	api_delete networkpolicies other $name
done
open_again r32_the_policies_are_gone job tool
slots="$(slot_of job) $(slot_of tool)"
ids=$(for slot in $slots; do PIN=$PIN/ep/$slot pinned_ids; done)
matches "r32_the_namespace_is_gone: there were programs and links" "$ids" "^(prog|link) "
for name in job tool; do
	tool_stop serve-$name
	link_down $name
	manifest_rm pod-$name
	api_delete pods other $name
done
manifest_rm ns-other
api_delete namespaces "" other
check "r32_the_namespace_is_gone: neither pods nor policies of it are known" until_true 20 none_listed other
check "r32_the_namespace_is_gone: the kernel has nothing of them" until_true 20 gone "$ids"
equal "r32_the_namespace_is_gone: nor are pins left" "$(for slot in $slots; do find "$PIN/ep/$slot" 2>/dev/null; done)" ""
equal "r32_the_namespace_is_gone: nor connections" \
	"$(ask '{"op":"ct.list"}' | jq '[.connections[] | select(.namespace == "other")] | length')" 0
equal "and nothing is wrong" "$(bh status -o json | jq -c '[.problems[].text]')" "[]"
expect "others are as they were" <<<'open web api 80 tcp'
end
