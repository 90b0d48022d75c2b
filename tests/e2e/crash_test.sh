#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent is killed again and again while policies change, at moments that nobody chose, and the next one is of another
# build, forward and back: each takes the tables over as they were left and ends up right, flows that every version
# allows lose nothing, and what none allows never passes. A build of another layout refuses, and all stays in force.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

rounds=${ROUNDS:-20}
node_up
namespace shop
pod web shop
pod job shop
pod api shop
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
policy job shop <<<'{podSelector: {matchLabels: {app: job}}, policyTypes: [Egress], egress: [{}]}'
api() { # PORT: web may always come on 80, job on the port of this round
	policy api shop <<-EOT
		podSelector: {matchLabels: {app: api}}
		policyTypes: [Ingress]
		ingress:
		- {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}
		- {from: [{podSelector: {matchLabels: {app: job}}}], ports: [{port: $1}]}
		- {from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.$NET_A.$NET_B.0/24]}}, {ipBlock: {cidr: 192.0.2.$(($1 % 256))/32}}]}
	EOT
}
api 81
agent_start
sync
stream s web api 80 tcp 4 -i 1
stream u web api 80 udp 6 -i 1
builds=("$B/bulkheadd" "$B/next/bulkheadd")
judges() { # what they are made of
	bpftool -j map dump pinned "$PIN/bh_judge" | jq '.[] | .value | if type == "array" then [.[] | ltrimstr("0x")] | reverse | join("") | "0x" + . else . end' -r |
		while read -r id; do bpftool -j prog show id $((id)) | jq -r '"\(.name) \(.tag)"'; done | sort -u
}
# Tables and links by their ids, and which program each link runs.
kept() { pinned_ids | grep -E '^(map|link) '; }
linked() { find "$PIN/ep" -name '*_link' | sort | while read -r link; do bpftool -j link show pinned "$link" | jq .prog_id; done; }
before=$(judges) tables=$(kept) gates=$(linked)
# A client that may never come through tries all the time.
in_ns job bash -c 'while :; do "$1" probe -t 50 "$2" 80 tcp "$3" 80 udp; done' _ "$TRAFFIC" "${POD4[api]}" "${POD6[api]}" >"$WORK/hammer" 2>&1 &
hammer=$!

for ((round = 1; round <= rounds; round++)); do
	port=$((round % 2 ? 8080 : 81)) denied=$((round % 2 ? 81 : 8080))
	api $port
	[ $((round % 3)) != 0 ] || api $denied
	[ $((round % 3)) != 0 ] || api $port
	tool_ask s "echoed $((round * 7 % 40)) 5000" # a time that differs from round to round
	if [ $((round % 4)) = 0 ]; then agent_stop; else agent_kill; fi
	BULKHEADD=${builds[round % 2]}
	agent_start
	sync
	[ $round != 1 ] || { after=$(judges) replaced=$(comm -23 <(echo "$tables") <(kept)) updated=$(linked); }
	[ $round != 1 ] || other=$(bh status -o json | jq -r .version,.commit)
	PROBE_MS=300 expect "round $round" <<-EOT
		open   job api $port tcp
		silent job api $denied tcp
		open   web api 80 tcp
		silent api web 80 tcp
	EOT
done
matches "r4_upgrade: the other build is another version" "$other" '-next$'
equal "r4_upgrade: its judges are other programs" "$(comm -12 <(echo "$before") <(echo "$after"))" ""
matches "r4_upgrade: as many" "$(wc -l <<<"$before") $(wc -l <<<"$after")" '^([1-9][0-9]*) \1$'
equal "r4_upgrade: back again" "$(judges)" "$before"
equal "r4_upgrade: it took over every table and link" "$replaced" ""
equal "r4_upgrade: and all others after it" "$(comm -23 <(echo "$tables") <(kept))" ""
if [ -n "$gates" ]; then # filters are no object with an id
	equal "r4_upgrade: links of all pods" "$(wc -l <<<"$gates") $(wc -l <<<"$updated")" "6 6"
	equal "r4_upgrade: each was updated to another program" "$(comm -12 <(sort -u <<<"$gates") <(sort -u <<<"$updated"))" ""
fi
for f in s u; do
	tool_ask $f "drain 3000"
	equal "r4_upgrade: flow $f lost nothing in $rounds changes of build" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]} ${R[heard_gaps]}" "open lost 0 gaps 0 0"
done
equal "no agent complained" "$(grep -E ' error ' "$WORK/agent.log")" ""

agent_stop
said=$(in_ns node "$B/next/bulkheadd-abi" --source "dir:$MANIFESTS" --node "$NODE" --pin-dir "$PIN" --run-dir "$RUN" 2>&1)
equal "another layout: that build does not start" $? 1
matches "another layout: and says what to do" "$said" "layout [0-9]+, .* [0-9]+.*start the version that made them.*--cleanup"
PROBE_MS=300 expect "another layout: the old keeps enforcing" <<-EOT
	silent api web 80 tcp
	silent job api 80 tcp
	open   web api 80 tcp
EOT
BULKHEADD=$B/bulkheadd
agent_start
sync
for f in s u; do
	tool_ask $f "echoed 20 5000"
	tool_ask $f "drain 3000"
	equal "another layout: flow $f lost nothing" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"
done
kill $hammer
wait $hammer 2>/dev/null
equal "r4_upgrade: nothing of the denied client ever came through" "$(grep -c open "$WORK/hammer")" 0
matches "r4_upgrade: and it did try" "$(grep -c silent "$WORK/hammer")" '^[1-9]'
end
