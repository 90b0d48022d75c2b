#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Suggested policies close the loop: an open world is recorded, the suggestion applied; all that was seen passes, and of
# all other pairs and ports nothing does. Also the other readers of records: flows and top.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

PODS="web api db tool"
PORTS="80/tcp 81/tcp 8080/tcp 53/udp 80/udp 0/icmp"
SEEN="web>api:8080/tcp web>db:80/tcp api>db:80/tcp api>db:81/tcp tool>api:53/udp world>web:80/tcp web>world:80/tcp tool>db:0/icmp"
# ICMP has no ports: the rule for it lets everything of the pair through.
WHOLE="tool>db"

lines() { # OUTCOME FLOW...: as `expect` reads them
	local outcome=$1 flow
	shift
	for flow; do
		[[ $flow =~ ^(.*)\>(.*):(.*)/(.*)$ ]]
		echo "$outcome ${BASH_REMATCH[*]:1}"
	done
}
all_pairs() { # every pair and port of the scene, by what is expected of it
	local from to port flow outcome
	for from in $PODS world; do
		for to in $PODS world; do
			[ "$from" != "$to" ] || continue
			for port in $PORTS; do
				flow="$from>$to:$port" outcome=silent
				[[ " $SEEN " = *" $flow "* || " $WHOLE " = *" $from>$to "* ]] && outcome=open
				lines $outcome "$flow"
			done
		done
	done
}
# Every flow of the scene, in both families, at each end that is a pod.
told() { [ "$(bh flows -o json --type start | jq -s "$KINDS | unique | length")" = "$1" ]; }
KINDS='map([.direction, .protocol, .source.pod // .source.address, .destination.pod // .destination.address, .source.address, if (.protocol | startswith("ICMP")) then 0 else .destination.port end])'

node_up
namespace shop
namespace ops
pod web shop "app: web, tier: front"
pod api shop "app: api"
pod db shop "app: db"
pod tool ops "app: tool"
serve world 80/tcp 81/tcp 8080/tcp 53/udp 80/udp
agent_start --flows all
sync
# shellcheck disable=SC2086 # a list of words
expect "an open world" < <(lines open $SEEN)

# 6 flows have a pod at both ends, 2 at one: 14 ends, of two families.
until_true 20 told 28 || die "not all of it is told: $(bh flows)"
equal "flows of one pod and port" "$(bh flows -o json --from-pod shop/api --to-port 81 --type start | jq -s 'length')" 4
matches "a flow in words" "$(bh flows --from-pod api --direction egress --to-port 81 --type start --cidr "$SUBNET4")" \
	'start +shop/api:[0-9]+ -> shop/db:81 TCP egress allowed no policy'
matches "top" "$(bh top --once --by pod --namespace ops --rows 20 --sort flows)" 'ops/tool +shop/db .* [12] '
equal "records end at a reader that leaves" "$(bh flows --follow | head -n 2 | wc -l)" 2

bh policy suggest --report "$WORK/report.json" --report-format json >"$WORK/suggested.yaml"
equal "a policy for each pod" "$(grep -c '^kind: NetworkPolicy' "$WORK/suggested.yaml")" 4
equal "nothing that was seen would be denied" "$(jq -c '[.would_deny, .not_expressed]' "$WORK/report.json")" '[[],[]]'
bh flows -o json >"$WORK/flows.json"
bh policy suggest --input "$WORK/flows.json" 2>"$WORK/report.txt" | cmp - "$WORK/suggested.yaml"
equal "the same from a file of these records" "${PIPESTATUS[*]}" "0 0"
matches "the report" "$(cat "$WORK/report.txt")" 'Policy ops/suggested-pod-tool: Pod/tool, 1 pods'

manifest suggested <"$WORK/suggested.yaml"
sync
equal "the agent takes them all" "$(bh policy list -o json | jq -c '[.policies[] | .problem] | [length, (map(. // empty) | length)]')" '[4,0]'
expect "what was seen passes, and nothing else" < <(all_pairs)
sim=$(bh simulate -m "$MANIFESTS" --from shop/web --to shop/db --port 80 -o json | jq -r .verdict)
sim+=$(bh simulate -m "$MANIFESTS" --from shop/web --to shop/db --port 81 -o json | jq -r .verdict)
equal "simulate reads them" "$sim" allowdeny
