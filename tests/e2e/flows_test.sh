#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Flows are recorded as they were: who, with whom, by which rule, how much; each begun and ended once; denies to the packet.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# Records that `filter` lets through, from the beginning, as one JSON array.
flows() { ask "$(jq -nc --arg f "$1" '{op: "flows", filter: $f}')" | jq -c .records; }
# Waits until the flows of a filter, seen by a jq program, say `true`.
flows_until() { # FILTER PROGRAM
	local after=0 page all='[]' end=$((SECONDS + 20))
	while [ $SECONDS -lt $end ]; do
		page=$(ask "$(jq -nc --arg f "$1" --argjson a "$after" '{op: "flows", filter: $f, after: $a, wait_ms: 5000}')") || return 1
		after=$(jq .next <<<"$page")
		all=$(jq -c --argjson page "$page" '. + $page.records' <<<"$all")
		[ "$(jq "$2" <<<"$all")" = true ] && return 0
	done
	echo "$all"
	return 1
}

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
policy out shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
agent_start
sync
probe web api 80 tcp 4
probe web api 81 tcp 4
check "a flow's start" flows_until 'type=start' 'length >= 2'
check "denies" flows_until 'type=deny' 'length >= 1'
flows '' | jq -c '.[]'
ask '{"op":"status"}' | jq -c .flows
