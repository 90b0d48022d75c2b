#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R11: a pod that floods, from many ports to many addresses, uses up nothing: what nobody answers is no connection.
# Other pods' flows lose nothing, new ones open, meanwhile and after, the flooder's too, and what is denied is counted by
# its reason. What an opening takes beside a flood is printed; only what no busy machine explains fails.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up bridged
namespace shop
pod job shop # the flooder: may reach anything
pod api shop
pod web shop
link_up wire
policy open shop <<<'{podSelector: {matchLabels: {app: job}}, policyTypes: [Ingress, Egress], egress: [{}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [web, job]}]}}], ports: [{port: 80}, {port: 53, protocol: UDP}, {port: 5353, protocol: UDP}]}]}'
# Fewer connections than the floods have flows: a pod's share is 512.
agent_start --max-connections 4096
sync
wire job wire
job=$(mac job) wire=$(mac wire) api=$(mac api) job4=${POD4[job]} job6=${POD6[job]} api4=${POD4[api]}
for f in 4 6; do
	stream tcp$f web api 80 tcp $f -i 2
	stream udp$f web api 53 udp $f -i 2
done
live() { # WHAT
	local s
	for s in tcp4 udp4 tcp6 udp6; do
		tool_ask "$s" "echoed 30 10000"
		tool_ask "$s" "drain 5000"
		equal "r11_$1: established $s loses nothing" \
			"${R[state]} $((R[sent] - R[echoed])) ${R[gaps]} ${R[heard_gaps]}" "open 0 0 0"
	done
	expect "r11_$1: new flows open" <<-EOT
		open web api 80 tcp
		open web api 53 udp
	EOT
}

ROUNDS=100
openings() { # WHAT: new flows of the other pod, one after another, now; the medians into MEDIAN
	local way pair
	local -A got
	MEDIAN=()
	for way in "4 80 tcp" "6 53 udp"; do
		# shellcheck disable=SC2086 # a list of words
		set -- "$1" $way
		got=()
		for pair in $(in_ns web "$TRAFFIC" probe -n $ROUNDS -t 10000 "$(address api "$2")" "$3" "$4"); do got[${pair%%=*}]=${pair#*=}; done
		equal "r11_$1: every new flow opens ($4 v$2)" "${got[open]:-}" $ROUNDS
		MEDIAN+=("${got[median_us]:-}")
	done
}
openings quiet
QUIET=("${MEDIAN[@]}")

# flood_on WHO FRAME: WHO sends frames, each the first of a flow (PORT is another one every time), until flood_off.
flood_on() {
	: >"$WORK/flooding"
	rm -f "$WORK/flooded"
	(
		sent=0
		while [ -e "$WORK/flooding" ]; do
			tool_ask "wire-$1" "spray 2000 256 ${2/PORT/$((1024 + sent % 60000))}"
			sent=$((sent + R[sent]))
			echo $sent >"$WORK/flooded"
		done
	) &
	FLOODER=$!
	until_true 20 test -s "$WORK/flooded" || die "nothing floods"
}
flood_off() {
	rm "$WORK/flooding"
	wait $FLOODER || die "the flood broke off"
}
beside() { # WHAT WHO FRAME: new flows while it floods
	local i bound before protos=(TCP UDP)
	flood_on "$2" "$3"
	before=$(<"$WORK/flooded")
	openings "$1"
	flood_off
	for i in 0 1; do
		bound=$((QUIET[i] * 20 > 2000000 ? QUIET[i] * 20 : 2000000))
		check "r11_$1: beside $(($(<"$WORK/flooded") - before)) frames a ${protos[i]} flow opens within ${MEDIAN[i]} us, ${QUIET[i]} without (medians)" \
			test "${MEDIAN[i]}" -le $bound
	done
}

# Ports and addresses by the thousand: each frame is a flow of its own.
flood() { tool_ask wire-job "spray $1 256 $2"; } # FRAMES FRAME
flood 3000 "eth $job $wire 0x0800 ip $job4 172.31.0.1 6 tcp 1024 1024 2 1 0"
live syn_flood
flood 3000 "eth $job $wire 0x0800 ip $job4 172.31.0.1 17 udp 1024 1024 data 8"
flood 3000 "eth $job $wire 0x86dd ip $job6 fd02::1 17 udp 1024 1024 data 8"
live udp_flood
beside beside_a_syn_flood job "eth $job $wire 0x0800 ip $job4 172.31.0.1 6 tcp PORT 1024 2 1 0"
beside beside_a_udp_flood job "eth $job $wire 0x86dd ip $job6 fd02::1 17 udp PORT 1024 data 8"
equal "r11_flooders_share: 9,000 flows that nobody answers are no connections, and none is refused" \
	"$(connections job '.direction == "egress"') $(total job egress 'connection-(quota|table-full)')" "0 0"
expect "r11_flooders_share: it may go on" <<<"open job api 80 tcp"

# Against the victim itself: what the policy denies, and what it allows at a port where nobody answers.
denied_before=$(total api ingress policy-denied)
tool_ask wire-wire "spray 3000 1 eth $wire $api 0x0800 ip ${POD4[wire]} $api4 6 tcp 1024 80 2 1 0"
check "r11_denied_flood: each frame is counted as denied" until_true 5 reaches api ingress policy-denied $((denied_before + 3000))
equal "r11_denied_flood: and makes no connection" "$(connections api ".remote == \"${POD4[wire]}\"")" 0
tool_ask wire-job "spray 3000 1 eth $job $api 0x0800 ip $job4 $api4 17 udp 1024 5353 data 8"
live flood_of_the_server
beside beside_a_flood_of_the_server wire "eth $wire $api 0x0800 ip ${POD4[wire]} $api4 6 tcp PORT 80 2 1 0"
equal "r11_others_share: untouched" "$(total web egress connection-quota) $(total api ingress 'connection-(quota|table-full)')" "0 0"
end
