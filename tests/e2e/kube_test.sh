#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Policy by way of an API server: it arrives by a watch, goes on holding when the server is gone and over a restart
# of the agent then, and a resource that the server did not have comes later.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# shellcheck disable=SC2317 # called by check and until_true
source_is() { bh status -o json | jq -e ".source | $1"; } # FILTER
# shellcheck disable=SC2317 # called by check and until_true
resource() { source_is "(.resources[] | select(.name == \"$1\")) | $2"; }
page() { in_ns node curl -s --max-time 10 "http://127.0.0.1:9964$1"; } # PATH
# shellcheck disable=SC2317 # called by check and until_true
readiness() { [ "$(in_ns node curl -s --max-time 10 -o "$WORK/readyz" -w '%{http_code}' http://127.0.0.1:9964/readyz)" = "$1" ]; } # STATUS
# shellcheck disable=SC2317 # called by check and until_true
all_ages() { # cut_off|age CONDITION ($2 is the seconds): each resource's metric, and there are such
	page /metrics | awk "/^bulkhead_watch_$1_seconds\\{/ { n++; if (!($2)) bad = 1 } END { exit !n || bad }"
}

node_up
namespace shop
namespace other "team: other"
pod web shop
pod api shop
pod job other
api_start
api '{"op":"crd","resource":"clusternetworkpolicies","present":false}' >/dev/null
API_WATCHES=6
agent_start_kube
api_sync
check "an absent resource counts as synced" resource clusternetworkpolicies.policy.networking.k8s.io \
	'.synced and .state == "absent"'
expect "open without a policy" <<<'open job api 80 tcp
	open web api 80 tcp'

default_deny shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, egress: [{}], policyTypes: [Egress]}'
api_sync
expect "what the watch brought is in force" <<<'silent job api 80 tcp
	open web api 80 tcp
	silent job web 80 tcp'
stream kept web api 80 tcp 4 -i 2
tool_ask kept "echoed 20 5000"

# ---- a watch is cut, compacted, restarted: nothing changes, and what comes next arrives -----------------------------------
undisturbed() { # WHAT
	tool_ask kept "echoed 10 5000"
	tool_ask kept "drain 3000"
	equal "$1: the allowed flow lost nothing" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
	expect "$1: what was denied stays denied" <<<'silent job api 80 tcp
		open web api 80 tcp'
}
turn=0
changes_arrive() { # WHAT: the job may, then may not
	turn=$((turn + 1))
	policy turn-$turn shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}'
	api_sync
	expect "$1: a change arrives" <<<'open job api 80 tcp'
	policy_rm turn-$turn shop
	api_delete networkpolicies shop turn-$turn
	api_sync
	expect "$1: and another one" <<<'silent job api 80 tcp'
}
for how in clean cut reset; do
	api "{\"op\":\"end\",\"how\":\"$how\"}" >/dev/null
	undisturbed "watches end ($how)"
done
api '{"op":"compact"}' >/dev/null
api '{"op":"drop"}' >/dev/null
undisturbed "compacted"
changes_arrive "compacted"
api '{"op":"down","up_ms":1500}' >/dev/null
undisturbed "the server restarts"
changes_arrive "the server restarts"

# ---- the custom resource comes, and goes ---------------------------------------------------------------------------------
api '{"op":"crd","resource":"clusternetworkpolicies","present":true}' >/dev/null
manifest cnp <<-EOT
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: job-everywhere}
	spec:
	  tier: Admin
	  priority: 10
	  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
	  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: other}}}]}]
EOT
namespace shop "kubernetes.io/metadata.name: shop"
API_WATCHES=7
api_sync
expect "a ClusterNetworkPolicy counts once there are such" <<<'open job api 80 tcp'
manifest_rm cnp
API_WATCHES=6
api '{"op":"crd","resource":"clusternetworkpolicies","present":false}' >/dev/null
# shellcheck disable=SC2317 # called by check and until_true
denied_again() { probe job api 80 tcp 4 | grep -q silent; }
check "and not when they are taken away" until_true 20 denied_again
check "which is no failure" until_true 20 resource clusternetworkpolicies.policy.networking.k8s.io '.state == "absent"'

# ---- the token expires ------------------------------------------------------------------------------------------------------
api '{"op":"token"}' >/dev/null
api '{"op":"drop"}' >/dev/null
check "an expired token is told of" until_true 20 source_is '[.problems[].text] | any(test("Unauthorized"))'
undisturbed "expired token"
api '{"op":"token","write":true}' >/dev/null
check "the token that is there now is used" until_true 20 source_is '(.cut_off | not) and (.problems == [])'
changes_arrive "new token"

# ---- cut off -----------------------------------------------------------------------------------------------------------------
api '{"op":"down"}' >/dev/null
check "it says that it is cut off" until_true 20 source_is .cut_off
undisturbed "cut off"
check "and for how long" until_true 20 source_is '.cut_off_sec >= 2'
check "without --api-cut-off it stays ready" readiness 200
agent_kill
agent_start_kube
check "a new agent says so, too" until_true 20 source_is '.cut_off and ([.resources[].synced] | any | not)'
undisturbed "restarted while cut off"
agent_stop
agent_start_kube
undisturbed "restarted in peace while cut off"
api '{"op":"up"}' >/dev/null
changes_arrive "the server is back"
undisturbed "the server is back"

# ---- ready only while it is young ---------------------------------------------------------------------------------------
agent_stop
agent_start_kube --api-cut-off 2
api_sync
check "--api-cut-off: ready while it reads" until_true 20 readiness 200
check "its age is 0" all_ages cut_off '$2 == 0'
equal "the metric says that it is current" "$(page /metrics | grep ^bulkhead_source_current)" "bulkhead_source_current 1"
api '{"op":"down"}' >/dev/null
check "--api-cut-off: not ready when it is older" until_true 20 readiness 503
matches "the reason is named" "$(cat "$WORK/readyz")" '^\[-\]source-current failed: '
equal "it is the only one" "$(grep -c '^\[-\]' "$WORK/readyz")" 1
equal "the metric says so" "$(page /metrics | grep ^bulkhead_source_current)" "bulkhead_source_current 0"
check "each resource says for how long" until_true 20 all_ages cut_off '$2 >= 2'
check "and when the server was heard last" all_ages age '$2 >= 2'
old=$(bh status -o json | jq .source.cut_off_sec)
check "the age rises" until_true 20 source_is ".cut_off_sec > $old and .heard_sec > $old and $old >= 2"
matches "status says it in words" "$(bh status)" '^source .* cut off for [0-9]+'
undisturbed "not ready"
old=$(bh status -o json | jq .source.heard_sec)
api '{"op":"up"}' >/dev/null
check "--api-cut-off: ready again when it is back" until_true 20 readiness 200
check "the age is 0 again" until_true 20 all_ages cut_off '$2 == 0'
# shellcheck disable=SC2317 # called by until_true
heard() { # SECONDS: all were heard later than so long ago
	api '{"op":"bookmark"}' >/dev/null
	all_ages age "\$2 < $1"
}
check "the server was heard" until_true 20 heard "$old"
equal "it is current again" "$(page /metrics | grep ^bulkhead_source_current)" "bulkhead_source_current 1"
equal "status says nothing of it" "$(bh status | grep -c 'cut off')" 0
changes_arrive "ready again"
end
