#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The roles in deploy/ grant what the agent asks, and nothing that it does not; what is not granted is named.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_cni.sh
. "$(dirname "$0")/_cni.sh"

problems() { bh status -o json | jq -r '.source.problems[] | "\(.where) \(.text)"'; }
# shellcheck disable=SC2317 # called by check and until_true
told() { grep -qE -- "$1" <<<"$(problems)"; } # PATTERN
refused() { api '{"op":"asked"}' | jq -c '[.asked[] | select(.allowed | not) | "\(.verb) \(.group)/\(.resource)"] | unique'; }
unused() { api '{"op":"asked"}' | jq -c '.unused'; }
# shellcheck disable=SC2317 # called by check and until_true
all_used() { [ "$(unused)" = '[]' ]; }

node_up
namespace shop
pod web shop
pod api shop
# What the agent reports, too: a policy that it cannot enforce, and one with a status.
default_deny shop
policy broken shop <<<'{podSelector: {}, ingress: [{ports: [{port: 90000}]}]}'
manifest cnp <<-EOT
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: none}
	spec: {tier: Baseline, priority: 10, subject: {namespaces: {}}, ingress: []}
EOT

# Without streaming lists, "list" is used as well as "watch".
api_start --rbac deploy/base/rbac.yaml --no-watchlist
api_show
agent_start_kube --report-namespace bulkhead-system --report-lease 2 --report-repeat 1
api_sync
expect "enforced with the roles of deploy/" <<<'silent web api 80 tcp'
matches "a pod that the watch has not shown is asked for" "$(cni_unknown web 20000)" '"ENOENT"'
until_true 20 all_used
equal "nothing is asked that is not granted" "$(refused)" '[]'
equal "nothing is granted that is not asked" "$(unused)" '[]'
agent_stop

# ---- a verb is missing --------------------------------------------------------------------------------------------------------
without() { # RESOURCE VERB: the roles without this
	yq -y --arg resource "$1" --arg verb "$2" \
		'if .kind == "ClusterRole" then .rules |= map(if (.resources | index([$resource])) then
			(.verbs -= [$verb]) else . end) else . end' deploy/base/rbac.yaml >"$WORK/rbac.yaml"
	api "{\"op\":\"rbac\",\"path\":\"$WORK/rbac.yaml\"}" >/dev/null || die "rbac"
}
without networkpolicies watch
agent_start_kube
check "R41 the missing verb and resource are named" until_true 20 told \
	'networkpolicies.networking.k8s.io.* watch .*system:serviceaccount:bulkhead-system:bulkhead'
matches "it is the only one" "$(problems | wc -l)" '^1$'
expect "what is in force stays" <<<'silent web api 80 tcp'
api '{"op":"rbac","path":"deploy/base/rbac.yaml"}' >/dev/null
# shellcheck disable=SC2317 # called by check and until_true
granted() { ! told forbidden; }
check "granted later, it is told of no more" until_true 20 granted
api_sync
expect "and in force" <<<'silent web api 80 tcp'

without pods get
matches "R41 what a single pod is asked by is named, too" "$(cni_unknown web 5000)" 'quarantine.*get pods is forbidden for system:serviceaccount:bulkhead-system:bulkhead'
check "and in status" told 'pods get get pods is forbidden'
api '{"op":"rbac","path":"deploy/base/rbac.yaml"}' >/dev/null
matches "granted later, it is asked" "$(cni_unknown web 20000)" '"ENOENT"'
check "and told of no more" until_true 20 granted
end
