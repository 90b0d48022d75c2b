#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R1, R3, R33: containers whose first process sends at once. Nothing that policy forbids arrives, also if the policy is one
# second old; all that it allows arrives, the very first packet too, and is answered; and when they are gone, so is
# all that the agent held for them.
#
# Environment: STARTS, how many (200). Half of them hang on a bridge and have both families, half are routed. The last fifth is
# by links from the first packet on, where the kernel has them: an agent that chooses begins with filters, and these
# containers are gone before their turn to be moved.
# shellcheck source=tests/runtime/_podman.sh
. "$(dirname "$0")/_podman.sh"

STARTS=${STARTS:-200}
MESSAGES=5 # datagrams to each target
AHEAD=8 # so many containers' objects are known before their turn
RSS_GROWTH_KIB=3072

# What comes in from containers, told apart by ports: 53 and 80 are allowed to clients, 82 to strangers, nothing else to anyone.
watch_from() { # NAME
	in_ns "$1" nft -f - <<-EOT || die "nft"
		table inet seen {
			counter datagrams {}
			counter opened {}
			counter free {}
			counter leaked {}
			chain pods {
				udp dport 53 counter name datagrams return
				tcp dport 80 tcp flags & (syn | ack) == syn counter name opened
				tcp dport 80 return
				udp dport 82 counter name free return
				counter name leaked
			}
			chain in {
				type filter hook prerouting priority -300;
				ip saddr $SUBNET4 jump pods
				ip6 saddr $SUBNET6 meta l4proto { tcp, udp } jump pods
				ip6 saddr $SUBNET6 icmpv6 type echo-request jump pods
			}
		}
	EOT
}
counted() { # NAME: datagrams, connections, strangers' datagrams, what leaked
	in_ns "$1" nft -j list counters table inet seen |
		jq -r '[.nftables[].counter // empty | {(.name): .packets}] | add | "\(.datagrams) \(.opened) \(.free) \(.leaked)"'
}

# ---- who starts ------------------------------------------------------------------------------------------------------
network_of() { [ $(($1 % 2)) = 0 ] && echo bridged || echo routed; }
is_stranger() { [ $(($1 % 5)) = 4 ]; }
is_young() { [ $(($1 % 3)) != 0 ]; } # its policy is written one second before it starts

client_policy() { # NAME
	policy egress "$1" <<-EOT
		podSelector: {}
		policyTypes: [Egress]
		egress:
		- to: [{ipBlock: {cidr: $WORLD4/32}}, {ipBlock: {cidr: "$WORLD6/128"}}, {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: server}}}]
		  ports: [{port: 53, protocol: UDP}, {port: 80}]
	EOT
}
object_of() { # NUMBER: so that it is known before its turn
	if is_stranger "$1"; then
		container_object "s$1" "role: stranger"
	else
		container_object "s$1" "role: client"
		is_young "$1" || client_policy "s$1"
	fi
}
one_second_from() { # a time: the policy's age is what is tried here
	local left=$((${1/./} + 1000000 - ${EPOCHREALTIME/./}))
	[ $left -le 0 ] || read -rt "$(printf '0.%06d' $((left % 1000000)))" <>"$WORK/never" || true
}
targets_of() { # NUMBER: how many are waited for, and all
	local families="4" family allowed='' forbidden='' world server
	[ "$(network_of "$1")" = routed ] || families="4 6"
	for family in $families; do
		world=$(address world "$family") server=$(address server "$family")
		if is_stranger "$1"; then
			allowed+=" $world 82 udp"
			forbidden+=" $server 83 udp $server 83 tcp"
		else
			allowed+=" $world 53 udp $world 80 tcp $server 53 udp $server 80 tcp"
			forbidden+=" $world 81 udp $world 81 tcp $server 81 udp $server 81 tcp"
		fi
	done
	# shellcheck disable=SC2086 # a list of words
	set -- $allowed
	echo "$(($# / 3))$allowed$forbidden"
}
# one NUMBER: a container's life; a line `good`, or what it saw. podman may lose what so short a process prints, but not
# how it ended.
one() {
	local name=s$1 awaited targets out
	read -r awaited targets < <(targets_of "$1")
	# shellcheck disable=SC2086 # a list of words
	if out=$(container "$name" "$(network_of "$1")" -- /traffic burst -n $MESSAGES -w "$awaited" $targets 2>&1); then
		echo good
	else
		printf '%s: %s: %s\n' "$name" $? "${out//$'\n'/, }"
	fi
}
# worker FIRST LAST: every second number, so each worker has a network of its own.
worker() {
	local n written
	for ((n = $1; n < $1 + 2 * AHEAD && n <= $2; n += 2)); do object_of "$n"; done
	for ((n = $1; n <= $2; n += 2)); do
		if ! is_stranger "$n" && is_young "$n"; then
			client_policy "s$n"
			written=$EPOCHREALTIME
			one_second_from "$written"
		fi
		one "$n"
		manifest_rm "np-s$n-egress" "pod-s$n"
		[ $((n + 2 * AHEAD)) -gt "$2" ] || object_of $((n + 2 * AHEAD))
	done
}
starts() { # FIRST LAST: two at a time
	worker "$1" "$2" >"$WORK/even" &
	local even=$!
	worker $(($1 + 1)) "$2" >"$WORK/odd" &
	wait $even $!
	cat "$WORK/even" "$WORK/odd"
}
# What the world and the server must have counted after the starts FIRST to LAST.
expected() { # FIRST LAST MESSAGES
	local n families world=0 opened=0 free=0
	for ((n = $1; n <= $2; n++)); do
		families=1
		[ "$(network_of "$n")" = routed ] || families=2
		if is_stranger "$n"; then
			free=$((free + families * MESSAGES))
		else
			world=$((world + families * MESSAGES))
			opened=$((opened + families))
		fi
	done
	echo "$world $opened $free 0 at the server $world $opened 0 0"
}
census() { "$B/tests/runtime/census" "$agent" "$PIN"; }
# shellcheck disable=SC2317 # called by until_true
settled() { census >"$WORK/census" && grep -q 'of gone endpoints: 0 connections' "$WORK/census"; }
# shellcheck disable=SC2317 # called by until_true
as_before() { diff <(head -n -1 "$WORK/census") <(census | head -n -1) >"$WORK/difference"; }

# phase WITH FIRST N: six starts, for what is made at its first use, and N that count.
phase() {
	local with=$1 first=$2 last=$(($2 + 5 + $3)) before was is i rss
	starts "$first" $((first + 5)) >"$WORK/first"
	equal "$with: the first starts" "$(sort "$WORK/first" | uniq -c | xargs)" "6 good"
	sync
	until_true 20 settled
	before="$(counted world) $(counted server)"
	first=$((first + 6))

	starts "$first" "$last" >"$WORK/said"
	sync
	equal "$with: r1_r3_what_is_allowed_is_answered_from_the_first_packet_on" "$(grep -vc '^good$' "$WORK/said") $(grep -v '^good$' "$WORK/said" | head -n 20)" "0 "
	equal "$with: r1_each_container_has_started" "$(wc -l <"$WORK/said")" $((last - first + 1))
	read -ra was <<<"$before"
	read -ra is <<<"$(counted world) $(counted server)"
	for i in "${!is[@]}"; do is[i]=$((is[i] - was[i])); done
	equal "$with: r1_no_leaked_packet_and_none_lost" "${is[*]:0:4} at the server ${is[*]:4:4}" "$(expected "$first" "$last")"

	until_true 60 as_before
	equal "$with: r33_maps_programs_links_and_descriptors_are_back" "$(cat "$WORK/difference")" ""
	rss=$(($(census | tail -n 1) - $(tail -n 1 "$WORK/census")))
	check "$with: r33_memory_is_back (it grew by $rss KiB)" [ $rss -le $RSS_GROWTH_KIB ]
	equal "$with: r33_no_record_is_left" "$(ls "$RECORDS")" "$(podman_do inspect --format '{{.Id}}' server)@eth0"
}

node_up
podman_up
network bare 0.4.0 "$(bridge_plugin)"
network bridged 0.4.0 "$(bridge_plugin)" "$(our_plugin)"
network routed 0.4.0 "$(ptp_plugin)" "$(our_plugin)"
serve world 53/udp 80/tcp 81/udp 81/tcp 82/udp
container_object server "app: server"
policy ingress server <<<'{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {role: client}}}]}]}'
agent_start --sweep-interval 1
sync
serving server bridged 53/udp 80/tcp 81/udp 81/tcp 83/udp 83/tcp || die "the server does not start"
watch_from world
watch_from server

if [ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ]; then
	phase "$ATTACH" 1 $((STARTS - STARTS / 5))
	agent_stop
	ATTACH=tcx
	agent_start --sweep-interval 1
	sync
	phase tcx $((STARTS + 7)) $((STARTS / 5))
	object_of 9
	sync
	serving s9 routed 80/tcp || die "s9 does not start"
	equal "tcx: they are links" "$(bh endpoint get s9/s9 -o json | jq -r .attach)" tcx
	container_rm s9
else
	phase "$ATTACH" 1 "$STARTS"
fi

# ---- that all this can be seen: without our plugin ----------------------------------------------------------------------
object_of 10
sync
before=$(counted world)
container s10 bare --ip "10.$NET_A.$NET_B.99" -- /traffic burst -n $MESSAGES -w 0 "$WORLD4" 81 udp "$WORLD4" 80 tcp >"$WORK/bare"
check "without the plugin what is forbidden arrives" [ "$(counted world)" != "$before" ]
matches "and is counted" "$(counted world)" " [1-9][0-9]*\$"
container_rm server
end
