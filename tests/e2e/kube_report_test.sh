#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an agent writes to its API server: a policy's condition, an Event, the end of its node's startup taint; and that
# it leaves in time when the server is silent.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. "$(dirname "$0")/_services.sh"

get() { api "{\"op\":\"get\",\"resource\":\"$1\",\"namespace\":\"$2\",\"name\":\"$3\"}" | jq -c "$4"; } # RESOURCE NAMESPACE NAME FILTER
# shellcheck disable=SC2317 # called by check and until_true
is() { get "$1" "$2" "$3" "$4" | grep -qx true; }
condition='.status.conditions[]? | select(.type == "bulkhead.io/Accepted")'
# shellcheck disable=SC2317 # called by check and until_true
reported() { bh status -o json | jq -e ".report | $1"; } # FILTER
writes() { api '{"op":"status"}' | jq '.requests["patch clusternetworkpolicies/status"] // 0'; }

node_up
namespace shop
pod web shop
policy broken shop <<<'{podSelector: {}, ingress: [{ports: [{port: 90000}]}]}'
cnp() { # NAME EGRESS
	manifest "cnp-$1" <<-EOT
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: {name: $1, uid: uid-$1, generation: 1}
		spec: {tier: Baseline, priority: 10, subject: {namespaces: {}}, egress: $2}
	EOT
}
cnp good '[]'
cnp bad '[{action: Accept, to: [{domainNames: ["*.example.com"]}]}]'
api_start --rbac deploy/base/rbac.yaml --rbac deploy/overlays/startup-taint/rbac.yaml --no-watchlist
api_show
api "$(jq -nc --arg name "$NODE" --arg addr "$NODE4" '{op: "put", object: {apiVersion: "v1", kind: "Node",
	metadata: {name: $name, uid: "uid-node"}, status: {addresses: [{type: "InternalIP", address: $addr}]},
	spec: {taints: [{key: "mine", effect: "NoSchedule"}, {key: "bulkhead.io/agent-not-ready", effect: "NoSchedule"}]}}}')" >/dev/null
agent_start_kube --report-namespace bulkhead-system --report-lease 4 --startup-taint bulkhead.io/agent-not-ready
check "this agent holds the Lease" until_true 20 reported .leading
check "a policy that is enforced is accepted" until_true 20 is clusternetworkpolicies "" good "$condition | .status == \"True\""
check "one that is not is told why" until_true 20 is clusternetworkpolicies "" bad \
	"$condition | .status == \"False\" and (.message | contains(\"domainNames\")) and .observedGeneration == 1"
check "the startup taint is gone" until_true 20 is nodes "" "$NODE" '[.spec.taints[].key] == ["mine"]'
events() { api '{"op":"list","resource":"events"}' | jq -c '[.items[] | select(.involvedObject.name == "broken") | .message]'; }
# shellcheck disable=SC2317 # called by check and until_true
event_said() { events | grep -q 'ports.*90000'; }
check "an Event is on the policy that is broken" until_true 20 event_said
equal "and only one" "$(events | jq length)" 1
equal "two conditions, two writes" "$(writes)" 2
matches "status says who reports" "$(bh status)" 'reports +this agent for all'
# A change of its own condition is no news: a whole round later there is no further write.
rounds=$(bh status -o json | jq .report.conditions.rounds)
api "$(jq -nc '{op: "put", object: {apiVersion: "policy.networking.k8s.io/v1alpha2", kind: "ClusterNetworkPolicy",
	metadata: {name: "late"}, spec: {tier: "Admin", priority: 3, subject: {namespaces: {}}}}}')" >/dev/null
check "a policy that comes later is told, too" until_true 20 is clusternetworkpolicies "" late "$condition | .status == \"True\""
check "in a round of its own" until_true 20 reported ".conditions.rounds > $rounds"
equal "with one write" "$(writes)" 3

equal "nothing was asked that the roles do not grant" \
	"$(api '{"op":"asked"}' | jq -c '[.asked[] | select(.allowed | not) | "\(.verb) \(.resource)"]')" '[]'
equal "the overlay's role is used up" "$(api '{"op":"asked"}' | jq -c '[.unused[] | tostring | select(test("nodes"))]')" '[]'
agent_stop
equal "the Lease is given back" "$(get leases bulkhead-system bulkhead .spec.holderIdentity)" '""'
# What the node lacks is said on the Node: here, the hook that tells a Service's backends apart.
pod one shop
pod two shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress],
	egress: [{to: [{podSelector: {matchLabels: {app: one}}}]}]}'
service svc shop "http:80/tcp"
slice svc-a shop svc "http:80/tcp" one two
api_show
agent_start_kube --report-namespace bulkhead-system --report-lease 4 --force-off netfilter
check "the next agent takes it" until_true 20 reported .leading
# shellcheck disable=SC2317 # called by check and until_true
node_event() { api '{"op":"list","resource":"events"}' | jq -e --arg node "$NODE" \
	'.items[] | select(.involvedObject.kind == "Node" and .involvedObject.name == $node) | .message | test("only some backends")'; }
check "an Event on the Node says that mixed Services are denied" until_true 20 node_event
api '{"op":"fault","on":"* *","times":-1,"silent":true}' >/dev/null
agent_stop # awaits its end; with 0
check "an agent leaves though the server is silent" true

# ---- a folder has nobody to report to ------------------------------------------------------------------------------
agent_start --startup-taint bulkhead.io/agent-not-ready
sync
equal "a folder is not reported to" "$(bh status -o json | jq .report)" null
