#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Things arrive in any order: pod after its object, object after its namespace, address used again.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
agent_start
sync
state() { ask '{"op":"endpoint.list"}' | jq -r --arg n "$1" '.endpoints[] | select(.name == $n) | .state'; }

# The object first, as the API does it; the pod's link appears later.
pods=$((pods + 1)) n=$((pods + 9))
POD4[late]=10.$NET_A.$NET_B.$n POD6[late]=fd00:$HEX::$(printf %x $n)
pod_manifest late shop
pods=$((pods - 1))
sync
equal "an object without its pod waits" "$(state late)" waiting
link_up late
serve late 80/tcp 53/udp
until_true 10 sh -c "'$TRAFFIC' ask '$SOCKET' '{\"op\":\"endpoint.list\"}' | jq -e '.endpoints[] | select(.name == \"late\" and .state == \"enforce\")'"
equal "the pod was found by itself" "$(state late)" enforce
expect "and is isolated" <<-EOT
	silent web late 80 tcp
	open   node late 80 tcp
EOT

# The link first, its object later; the namespace last of all.
link_up early
serve early 80/tcp 53/udp
pod_manifest early depot "app: early"
sync
expect "a pod of an unknown namespace: no policy selects it" <<<'open web early 80 tcp'
policy in depot <<<'{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: shop}}}]}]}'
sync
expect "its policy isolates it before its namespace object came" <<<'silent web early 80 tcp'
namespace shop "name: shop"
namespace depot
sync
expect "namespaces with labels: allowed" <<<'open web early 80 tcp'

# The pod dies, another one gets its address at once.
stream s web early 53 udp 4
tool_ask s "echoed 5 3000"
tool_stop serve-early
link_down early
manifest_rm pod-early
pods=$((pods - 1))
link_up other
serve other 80/tcp
pod_manifest other shop "app: other"
sync
expect "R9 a new pod on a used address has its own policy" <<-EOT
	silent web other 80 tcp
	open   node other 80 tcp
EOT
manifest_rm pod-late
sync
equal "a pod that runs on without its object is quarantined" "$(state late)" quarantine
expect "nothing says any more what it may do" <<-EOT
	silent world late 80 tcp
	silent late world 80 tcp
	open   node late 80 tcp
EOT
tool_stop serve-late
link_down late
until_true 10 sh -c "! '$TRAFFIC' ask '$SOCKET' '{\"op\":\"endpoint.list\"}' | grep -q '\"late\"'"
equal "its device is gone, and so is the endpoint" "$(state late)" ""
end
