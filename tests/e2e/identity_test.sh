#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whose a device is, on a bridge, where no route of the host tells: several objects with one address, several
# devices with one address, one name with two UIDs, processes that tell what addresses do not.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# shellcheck disable=SC2317 # called by check and until_true
problem() { # WHERE TEXT: `status` has such a problem, by patterns
	bh status -o json | jq -e --arg where "$1" --arg text "$2" \
		'.problems[] | select(.where | test($where)) | select(.text | test($text))'
}
scans=0
scan() { # whatever a device of the node does leads to one
	local before
	before=$(bh status -o json | jq .stats.namespace_scans)
	ip -n "$NODE_NS" link add "t$((++scans))" type veth peer name "u$scans"
	until_true 10 eval '[ "$(bh status -o json | jq .stats.namespace_scans)" -gt '"$before"' ]'
	sync
}
get() { bh endpoint list -o json | jq -r ".endpoints[] | select(.name == \"$1\") | \"\(.state) \(.slot // \"-\") \(.ifindex // \"-\")\""; }
object() { # NAME UID BORN POD [LABELS]: the object of a pod with the addresses of POD's link
	manifest "pod-$1" <<-EOT
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: shop, uid: $2, labels: {${5:-app: $1}}, creationTimestamp: "2026-01-01T00:00:${3}Z"}
		spec: {nodeName: $NODE, containers: [{name: main}]}
		status: {phase: Running, podIPs: [{ip: ${POD4[$4]}}, {ip: "${POD6[$4]}"}]}
	EOT
}
NAMESPACE[api]=shop

node_up bridged
namespace shop
link_up api
serve api 80/tcp 81/tcp
serve world 80/tcp
pod web shop
default_deny shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}'
object api uid-api 05 api

# ---- several objects, one address ------------------------------------------------------------------------------------
object azombie uid-old 01 api # both are there before the agent is
agent_start
sync
expect "r09_the_younger_of_two_objects_is_enforced" <<-EOT
	open   world api 80 tcp
	silent world api 81 tcp
EOT
matches "r09_and_the_older_waits" "$(get azombie)" "^waiting"
check "with a problem that names both" problem 'shop/azombie' 'shop/api'
stream live world api 80 tcp 4 -i 5
before=$(get api)
object zzombie uid-older 02 api
for turn in 1 2 3; do
	object zzombie uid-older 02 api "app: z, turn: n$turn"
	scan
done
equal "r09_the_device_does_not_change_hands" "$(get api)" "$before"
expect "r09_whatever_objects_come" <<<'silent world api 81 tcp'
tool_ask live "drain 3000"
equal "and no packet is lost" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
tool_stop live
manifest_rm pod-azombie pod-zzombie
sync
# shellcheck disable=SC2317 # called by until_true
no_problem() { [ "$(bh status -o json | jq '.problems | length')" = 0 ]; }
check "no problem is left of them" until_true 10 no_problem # the one of a device goes with a look at it

# ---- an object that goes and comes back while the agent is busy --------------------------------------------------------
for turn in 1 2 3; do
	manifest ns-shop <<<"{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: {bulkhead.io/allowed-addresses: 10.99.$turn.0/28}}}"
	manifest_rm pod-api
	object api uid-api 05 api
	sync
	expect "an_object_that_comes_back_is_judged_again ($turn)" <<-EOT
		open   world api 80 tcp
		silent world api 81 tcp
	EOT
done
matches "on its slot" "$(get api)" "${before#* }"

# ---- further addresses that the namespace allows -----------------------------------------------------------------------
POD4[vip]=10.200.$NET_B.5 POD6[vip]=fd01:98::5
policy vip shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 80}]}], egress: [{ports: [{port: 80}]}]}'
for f in 4 6; do
	ip -n "$P-web" addr add "$(address vip $f)" dev eth0
	ip -n "$NODE_NS" "-$f" route add "$(address vip $f)" dev cbr0
done
vip() { # WHAT OUTCOME: of flows to it and from it
	local f
	ip -n "$NODE_NS" neigh flush dev cbr0
	expect "allowed_addresses: $1: to it" <<-EOT
		$2     world vip 80 tcp
		silent world vip 81 tcp
	EOT
	for f in 4 6; do
		equal "allowed_addresses: $1: from it, v$f" "$(probe web world 80 tcp $f -s "$(address vip $f)")" "$2"
		equal "allowed_addresses: $1: from it, denied by policy, v$f" "$(probe web world 81 tcp $f -s "$(address vip $f)")" silent
	done
}
sync
vip "not listed" silent
check "allowed_addresses: not listed: counted as foreign" reaches web egress spoofed-address 2
allow() { # PREFIXES
	manifest ns-shop <<<"{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: {bulkhead.io/allowed-addresses: '$1'}}}"
	sync
}
allow "10.200.$NET_B.0/28, fd01:98::/64"
check "allowed_addresses: a list beyond the limit is named" problem 'Namespace shop' 'beyond 64 prefixes or 65535 addresses'
expect "allowed_addresses: and allows nothing" <<<'silent world vip 80 tcp'
allow "10.200.$NET_B.0/28, fd01:98::/120"
foreign=$(total web egress spoofed-address)
vip "listed" open
equal "allowed_addresses: listed: nothing of it is foreign" "$(total web egress spoofed-address)" "$foreign"
stream kept web world 80 tcp 4 -i 5 -s "${POD4[vip]}"
namespace shop
sync
tool_ask kept report
heard="${R[heard]} ${R[echoed]}"
tool_ask kept "sent 50"
equal "allowed_addresses: listed no more: cut" "${R[heard]} ${R[echoed]}" "$heard"
tool_stop kept
vip "listed no more" silent
policy_rm vip shop

# ---- one name, two UIDs ---------------------------------------------------------------------------------------------------
link_up next # the pod that is to be db-0's successor runs before the old one has ended
link_up db-0
serve db-0 80/tcp
serve next 80/tcp
policy db shop <<<'{podSelector: {matchLabels: {app: db-0}}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 80}]}], egress: [{}]}'
object db-0 uid-db-1 10 db-0
sync
expect "the first" <<<'open world db-0 80 tcp'
object db-0 uid-db-2 11 next
sync
until_true 10 eval '[ "$(bh endpoint list -o json | jq "[.endpoints[] | select(.name == \"db-0\")] | length")" = 2 ]'
expect "a_new_uid_of_the_same_name: the old one is shut in, the new one judged" <<-EOT
	silent world db-0 80 tcp
	silent db-0 world 80 tcp
	open   world next 80 tcp
EOT
tool_stop serve-db-0
link_down db-0
until_true 10 eval '[ "$(bh endpoint list -o json | jq "[.endpoints[] | select(.name == \"db-0\")] | length")" = 1 ]'
expect "and stays when the old device goes" <<<'open world next 80 tcp'

# ---- two devices, one address, nothing decides -------------------------------------------------------------------------------
link_up twin
link_up claim
ip -n "$P-claim" -b - <<-EOT
	addr flush dev eth0
	addr add ${POD4[twin]}/24 dev eth0
	addr add ${POD6[twin]}/64 dev eth0 nodad
	route replace default via $GW4
	route replace default via $GW6
EOT
serve twin 80/tcp
policy twin shop <<<'{podSelector: {matchLabels: {app: twin}}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}'
object twin uid-twin 20 twin
sync
check "two_devices_with_one_address: told" until_true 10 problem 'shop/twin' 'nothing decides'
until_true 10 eval '[ "$(get twin | grep -c quarantine)" = 2 ]'
expect "two_devices_with_one_address: both are shut" <<-EOT
	silent world twin 80 tcp
	silent twin world 80 tcp
	silent claim world 80 tcp
EOT
agent_kill
agent_start
sync
expect "two_devices_with_one_address: by the next agent too" <<<'silent world twin 80 tcp'
ip -n "$NODE_NS" link del "v${NUMBER[claim]}"
until_true 20 eval 'get twin | grep -q enforce'
ip -n "$NODE_NS" neigh flush dev cbr0
expect "until one is left" <<<'open node twin 80 tcp'

# ---- whose processes live there -----------------------------------------------------------------------------------------------
group=$(awk '$3 == "cgroup2" || ($3 == "cgroup" && $4 ~ /pids/) { print $2; exit }' /proc/mounts)/$(basename "$E2E_WORK")
uid=0d6e7d3c-95a5-4d7a-8b1d-0000$P
mkdir -p "$group/kubepods.slice/kubepods-pod${uid//-/_}.slice/x.scope" || die "no control group can be made"
leave_group() {
	sleep_pid=${sleeper:-}
	[ -z "$sleep_pid" ] || { kill "$sleep_pid"; wait "$sleep_pid" 2>/dev/null; }
	find "$group" -depth -type d -exec rmdir {} \;
}
link_up mine
link_up other
ip -n "$P-other" -b - <<-EOT
	addr flush dev eth0
	addr add ${POD4[mine]}/24 dev eth0
	addr add ${POD6[mine]}/64 dev eth0 nodad
EOT
nsenter --net="/run/netns/$P-mine" sh -c \
	"echo \$\$ >'$group/kubepods.slice/kubepods-pod${uid//-/_}.slice/x.scope/cgroup.procs'; echo in; exec sleep 1000" >"$WORK/mine.out" &
sleeper=$!
until_true 10 grep -q in "$WORK/mine.out"
object mine "$uid" 30 mine
sync
until_true 10 eval '[ "$(get mine | cut -d" " -f1)" = enforce ]'
equal "the_processes_of_a_pod_tell_its_device" "$(get mine | cut -d' ' -f3)" \
	"$(ip -n "$NODE_NS" -j link show "v${NUMBER[mine]}" | jq '.[0].ifindex')"
leave_group
end
