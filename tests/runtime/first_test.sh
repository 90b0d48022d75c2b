#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R2, R3, R1: the first packet of containers that no policy selects, or one that allows all; answers to those that a policy
# isolates; and what others send to a container while it starts.
# shellcheck source=tests/runtime/_podman.sh
. "$(dirname "$0")/_podman.sh"

node_up
podman_up
network bare 0.4.0 "$(bridge_plugin)"
for version in 0.3.1 0.4.0 1.0.0; do
	network "bridged-$version" $version "$(bridge_plugin)" "$(our_plugin)"
	network "routed-$version" $version "$(ptp_plugin)" "$(our_plugin)"
done
serve world 53/udp 80/tcp
agent_start

# first WHAT NAME NETWORK: one datagram and one connection a family, nothing sent twice, all are answered;
# podman may lose what so short a process prints, but not how it ended.
first() {
	local what=$1 name=$2 network=$3 to="$WORLD4 53 udp $WORLD4 80 tcp"
	shift 3
	[[ $network = routed* ]] || to+=" $WORLD6 53 udp $WORLD6 80 tcp"
	# shellcheck disable=SC2086 # a list of words
	check "$what" container "$name" "$network" "$@" -- /traffic burst $to
}

container_object open "app: open"
container_object all "app: all"
policy all all <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}'
container_object shut "app: shut"
default_deny shut
policy out shut <<<'{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}, {port: 80}]}]}'
sync
for version in 0.3.1 0.4.0 1.0.0; do
	for kind in bridged routed; do
		first "r2_unselected_sends_at_once ($kind, $version)" open $kind-$version
		first "r2_allow_all_sends_at_once ($kind, $version)" all $kind-$version
		first "r3_an_answer_passes_at_once ($kind, $version)" shut $kind-$version
	done
done

# ---- what others send meanwhile ------------------------------------------------------------------------------------------
# Its addresses are known beforehand, so that datagrams are on their way to it before its device is there.
ip=10.$NET_A.$NET_B.99 mac=02:00:00:00:00:63
in_ns node ip neigh replace $ip lladdr $mac dev cni0 nud permanent
in_ns world bash -c 'while :; do "$1" flood -n 3 "$2" 9 9; done' _ "$TRAFFIC" $ip >"$WORK/flood" 2>&1 &
flood=$!
# shellcheck disable=SC2317 # called by until_true
unasked() { # NETWORK CODE: its first process listens while it talks to the world, and ends with this code
	container shut "$1" --ip "$ip" --mac-address "$mac" -- /traffic burst -n 200 -l 9 "$WORLD4" 53 udp >"$WORK/unasked" 2>&1
	[ $? = "$2" ]
}
check "without the plugin it is heard" until_true 60 unasked bare 4
for round in {1..5}; do
	check "r1_nothing_forbidden_comes_in ($round)" unasked bridged-0.4.0 0
done
check "and the same is still on its way" until_true 60 unasked bare 4
kill $flood
wait $flood 2>/dev/null || true
end
