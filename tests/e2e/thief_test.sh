#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod on the same bridge wants another pod's traffic, or the gateway's: it sends with their MAC, claims their
# addresses by ARP and ND, takes MAC, address and routes for its own device. The victims' flows lose nothing,
# and the thief gets nothing, neither packets nor what others are allowed.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up bridged
namespace shop
pod job shop # the thief: no policy allows it anything; found first where all are looked for
pod api shop
pod web shop
serve world 80/tcp 53/udp
default_deny shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], egress: [{}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
agent_start
sync
wire job
web=$(mac web) api=$(mac api) job=$(mac job) gateway=02:00:00:00:00:01 all4=ff:ff:ff:ff:ff:ff all6=33:33:00:00:00:01
web4=${POD4[web]} web6=${POD6[web]} api4=${POD4[api]} api6=${POD6[api]} job6=${POD6[job]}
host_link=$(ip -n "$NODE_NS" -j -6 addr show dev cbr0 scope link | jq -r '.[].addr_info[].local | strings')
device() { echo "v${NUMBER[$1]}"; }

streams="tcp4 udp4 tcp6 udp6 world4 world6"
stream tcp4 web api 80 tcp 4 -i 2
stream udp4 web api 53 udp 4 -i 2
stream tcp6 web api 80 tcp 6 -i 2
stream udp6 web api 53 udp 6 -i 2
stream world4 web world 80 tcp 4 -i 2
stream world6 web world 53 udp 6 -i 2
flows_live() { # WHAT
	local s lost=''
	for s in $streams; do
		tool_ask "$s" "echoed 30 5000"
		tool_ask "$s" "drain 3000"
		[ "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]} ${R[heard_gaps]}" = "open 0 0 0" ] ||
			lost+="$s: ${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]} ${R[heard_gaps]}"$'\n'
	done
	equal "$1: the victim's flows lose nothing" "$lost" ""
}
stolen() { # of neighbour entries: victims' addresses with the thief's MAC
	grep -i "$job" | grep -E "^($web4|$web6|$api4|$api6|$GW4|$GW6|$host_link) "
}
# What the bridge and the neighbours believe.
believed() { # WHAT
	local pod
	for pod in web api; do
		equal "$1: the bridge knows $pod where it is" \
			"$(bridge -n "$NODE_NS" -j fdb show br cbr0 | jq -r --arg m "$(mac $pod)" \
				'[.[] | select(.mac == $m and .ifname != "cbr0" and .master) | .ifname] | unique | join(" ")')" "$(device $pod)"
	done
	equal "$1: neighbours know the victims and the gateway" \
		"$(for pod in web api; do ip -n "$P-$pod" neigh show dev eth0; done | stolen)" ""
	equal "$1: so does the node" "$(ip -n "$NODE_NS" neigh show dev cbr0 | stolen)" ""
}
steal() { # WHAT FRAME...: many times, while the flows go on
	local what=$1 frame before
	shift
	before=$(total job egress 'spoofed-.*')
	for frame; do tool_ask wire-job "send 200 $frame"; done
	check "$what: each frame is counted as spoofed" \
		until_true 5 reaches job egress 'spoofed-.*' $((before + 200 * $#))
	flows_live "$what"
	believed "$what"
}

tool_ask wire-job "watch eth $api $web 0x0800"
steal "the victim's MAC" \
	"eth $web $api 0x0800 ip $web4 $api4 17 udp 5 53 data 8" "eth $web $all4 0x0806 arp 1 $web $web4 $api4" \
	"eth $web $api 0x86dd ip $web6 $api6 17 udp 5 53 data 8"
steal "the gateway's MAC" "eth $gateway $all4 0x0806 arp 2 $gateway $GW4 $GW4" \
	"eth $gateway $web 0x0800 ip $WORLD4 $web4 17 udp 53 5 data 8"
steal "ARP for others" \
	"eth $job $web 0x0806 arp 2 $job $api4 $web4" "eth $job $api 0x0806 arp 2 $job $web4 $api4" \
	"eth $job $all4 0x0806 arp 1 $job $web4 $web4" "eth $job $web 0x0806 arp 2 $job $GW4 $web4" \
	"eth $job $gateway 0x0806 arp 2 $job $web4 $GW4"
nd="58 hops 255 icmp"
steal "ND for others" \
	"eth $job $web 0x86dd ip $job6 $web6 $nd 136 0 0x6000 address $api6 option 2 $job" \
	"eth $job $all6 0x86dd ip $job6 ff02::1 $nd 136 0 0x2000 address $web6 option 2 $job" \
	"eth $job $web 0x86dd ip $job6 $web6 $nd 136 0 0xe000 address $GW6 option 2 $job" \
	"eth $job $web 0x86dd ip $GW6 $web6 $nd 135 0 0 address $web6 option 1 $job" \
	"eth $job $web 0x86dd ip $api6 $web6 $nd 135 0 0 address $web6 option 1 $job" \
	"eth $job $web 0x86dd ip $host_link $web6 $nd 135 0 0 address $web6 option 1 $job"
tool_ask wire-job "got 1 0"
equal "no frame of the flow reached the thief" "${R[got]}" 0

# The same by its own device, as a process with the right to change it would; then a scan of all pods.
rescan() {
	local log
	log=$(grep -c "its device is gone\|found behind" "$WORK/agent.log")
	pod "scan$1" shop "app: scan"
	until_true 10 sh -c "[ \"\$(grep -c 'its device is gone\|found behind' '$WORK/agent.log')\" -gt $log ]"
	sync
}
ip -n "$P-job" -b - <<-EOT
	addr add $web4/24 dev eth0
	addr add $web6/64 dev eth0 nodad
EOT
rescan 1
expect "with the victim's addresses it has not the victim's rights" <<-EOT
	silent job api 80 tcp
	silent job world 80 tcp
	open   web api 8080 tcp
	silent api web 80 tcp
	open   node job 80 tcp
EOT
for f in 4 6; do
	victim=$web4
	[ $f = 4 ] || victim=$web6
	equal "nor by the victim's address, v$f" "$(probe job world 53 udp $f -s "$victim")" silent
done
flows_live "its device has the victim's addresses"
believed "its device has the victim's addresses"

ip -n "$P-job" -b - <<-EOT
	addr del $web4/24 dev eth0
	addr del $web6/64 dev eth0
EOT
ip -n "$P-job" neigh flush dev eth0 # it failed to resolve by addresses not its own
ip -n "$P-job" route replace default via "$api4"
ip -n "$P-job" -6 route replace default via "$api6"
rescan 2
expect "a victim for a gateway is no gateway" <<-EOT
	silent job api 80 tcp
	silent job api 53 udp
EOT
ip -n "$P-job" link set eth0 address "$web"
rescan 3
before=$(total job egress spoofed-mac)
expect "the victim's MAC on its device" <<<'silent job api 53 udp'
check "is foreign still" reaches job egress spoofed-mac $((before + 1))
flows_live "its device has the victim's MAC"
believed "its device has the victim's MAC"

ip -n "$P-job" -b - <<-EOT
	addr add $web4/24 dev eth0
	addr add $web6/64 dev eth0 nodad
EOT
# The next agent looks at all of it with fresh eyes.
agent_kill
agent_start
sync
expect "an agent that starts now is not fooled" <<<'open web api 8080 tcp'
wire api
NOISY=1 frames job api job egress <<-EOT
	policy-denied   | the thief as itself                | eth $job $api 0x0800 ip ${POD4[job]} $api4 6 tcp 5 80 2 1 0
	spoofed-address | the thief with its stolen address  | eth $job $api 0x0800 ip $web4 $api4 6 tcp 5 80 2 1 0
	spoofed-mac     | the thief with its stolen MAC      | eth $web $api 0x86dd ip $job6 $api6 6 tcp 5 80 2 1 0
EOT
flows_live "a new agent"
end
