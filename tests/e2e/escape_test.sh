#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod that may do anything in its own network namespace tries to get out of its policy by what it says there:
# names without end, a namespace of its own, routes, ports, addresses. And an agent that cannot see much.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# shellcheck disable=SC2317 # called by check and until_true
problem() { # WHERE TEXT: `status` has such a problem, by patterns
	bh status -o json | jq -e --arg where "$1" --arg text "$2" \
		'.problems[] | select(.where | test($where)) | select(.text | test($text))'
}
stat() { bh status -o json | jq ".stats.$1"; }
scans=0
scan() { # whatever a device of the node does leads to one
	local before
	before=$(stat namespace_scans)
	ip -n "$NODE_NS" link add "t$((++scans))" type veth peer name "u$scans"
	until_true 10 eval '[ "$(stat namespace_scans)" -gt '"$before"' ]'
	sync
}
slots() { bh endpoint list -o json | jq -r '.endpoints[] | select(.name == "evil" or .name == "db") | "\(.name) \(.slot) \(.ifindex)"'; }
fds() { # N: the agent may open N more file descriptors than it has
	local limit=0 left
	for ((left = $1; left >= 0; limit++)); do
		[ -e "/proc/$agent/fd/$limit" ] || left=$((left - 1))
	done
	prlimit --pid "$agent" --nofile=$((limit - 1)):
}

node_up
namespace shop
pod evil shop
pod db shop
pod vm shop
serve world 80/tcp 53/udp
default_deny shop
# as a machine in a pod has it: the pod's address is not on its veth, but the host's route to it leads there
ip -n "$P-vm" -b - <<-EOT
	addr del ${POD4[vm]}/32 dev eth0
	addr del ${POD6[vm]}/128 dev eth0
	addr add ${POD4[vm]}/32 dev lo
	addr add ${POD6[vm]}/128 dev lo nodad
	route replace default via $GW4 dev eth0 onlink src ${POD4[vm]}
EOT
agent_start
sync
expect "before" <<-EOT
	silent evil world 80 tcp
	silent world evil 80 tcp
	silent world db 80 tcp
	open   node evil 80 tcp
EOT
expect "a_pod_whose_address_is_not_on_its_veth_is_found_by_the_hosts_route" <<-EOT
	silent world vm 80 tcp
EOT
before=$(slots)
manifest pod-ghost <<-EOT # asked about at the end: it takes its time
	apiVersion: v1
	kind: Pod
	metadata: {name: ghost, namespace: shop, uid: uid-ghost}
	spec: {nodeName: $NODE, containers: [{name: main}]}
	status: {phase: Running, podIPs: [{ip: 10.$NET_A.$NET_B.250}]}
EOT

# ---- a device whose message is larger than any buffer --------------------------------------------------------------
for i in {1..450}; do printf 'link property add dev eth0 altname x%03d%s\n' "$i" "$(printf 'a%.0s' {1..120})"; done |
	ip -n "$P-evil" -b - || fail "altnames"
scan
expect "names_without_end_hide_no_device" <<-EOT
	silent evil world 80 tcp
	silent world evil 80 tcp
EOT
equal "nothing changed hands: names" "$(slots)" "$before"

# ---- routes ------------------------------------------------------------------------------------------------------------
ip -n "$P-evil" -b - <<-EOT
	route replace default via ${POD4[db]} dev eth0 onlink
	route replace ${POD4[db]}/32 via $GW4 dev eth0 onlink
	route replace default via ${POD6[db]} dev eth0 onlink
	route replace ${POD6[db]}/128 via $GW6 dev eth0 onlink
EOT
scan
expect "r29_a_route_makes_nobody_the_own_node" <<-EOT
	silent evil db 80 tcp
	silent evil db 53 udp
EOT

# ---- a namespace of its own, which no name leads to but a process -------------------------------------------------------
nsenter --net="/run/netns/$P-evil" unshare --net sh -c 'echo in; exec sleep 1000' >"$WORK/nested.out" &
nested=$!
until_true 10 grep -q in "$WORK/nested.out"
ip -n "$P-evil" link set eth0 netns "$nested" || fail "moving eth0"
inner() { nsenter --net="/proc/$nested/ns/net" "$@"; }
inner ip -b - <<-EOT
	link set lo up
	addr add ${POD4[evil]}/32 dev lo
	link set eth0 up
	route add $GW4 dev eth0
	route add default via $GW4 src ${POD4[evil]}
EOT
scan
equal "a_namespace_of_its_own_is_no_way_out" "$(inner "$TRAFFIC" probe -t 700 "$WORLD4" 80 tcp)" silent
equal "nor a way in" "$(probe world evil 80 tcp 4)" silent
equal "nothing changed hands: namespaces" "$(slots)" "$before"
agent_kill
agent_start
sync
equal "the next agent sees it as well" "$(inner "$TRAFFIC" probe -t 700 "$WORLD4" 80 tcp)" silent
equal "nothing changed hands: agents" "$(slots)" "$before"
kill "$nested"
wait "$nested" 2>/dev/null
manifest_rm pod-evil
until_true 10 eval '[ "$(slots | wc -l)" = 1 ]' # the device went with its namespace

# ---- an agent without file descriptors --------------------------------------------------------------------------------
link_up late
pod_manifest late shop
sync
before=$(slots)
link_up last
for few in 1 2 3; do # one is what a question to the agent takes
	fds $few
	count=$(stat namespace_scans)
	pod_manifest last shop "app: last, turn: n$few"
	ip -n "$NODE_NS" link add "f$few" type veth peer name "g$few"
	until_true 10 eval '[ "$(stat namespace_scans)" -gt '"$count"' ]'
	expect "a_scan_with_$few descriptors ends nothing" <<-EOT
		silent world db 80 tcp 4
		silent world late 80 tcp 4
	EOT
	prlimit --pid "$agent" --nofile=20000:
done
equal "nothing changed hands: descriptors" "$(slots)" "$before"
equal "no device was said to be gone" "$(grep -c "db.*its device is gone" "$WORK/agent.log")" 0
fds 1
count=$(stat namespace_scans_incomplete) lines=$(wc -l <"$WORK/agent.log")
ip -n "$NODE_NS" link add h0 type veth peer name h1
check "r41_a_scan_that_sees_nothing_says_so" until_true 10 problem '^scan$' 'stays as it was'
until_true 10 eval '[ "$(stat namespace_scans_incomplete)" -ge '$((count + 4))' ]'
equal "and is tried again without a flood of words" "$(($(wc -l <"$WORK/agent.log") - lines < 12))" 1
prlimit --pid "$agent" --nofile=20000:
pod_manifest last shop "app: last"
sync
expect "and goes on when it can" <<<'silent world last 80 tcp'
check "the problem is gone" eval '! problem "^scan$" .'

# ---- a pod whose device is nowhere --------------------------------------------------------------------------------------
check "r41_a_pod_that_waits_for_its_device_is_a_problem" \
	until_true 30 problem 'pod shop/ghost waiting' 'nothing is enforced'
equal "r41_and_the_agent_not_ready" "$(bh status -o json | jq .ready)" false
manifest_rm pod-ghost
check "r41_until_it_is_gone" until_true 20 eval '[ "$(bh status -o json | jq ".ready, (.problems | length)" | xargs)" = "true 0" ]'
end
