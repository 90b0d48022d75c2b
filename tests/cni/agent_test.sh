#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The plugin beside the real agent: every command, agent up and down, and packets that pass or do not.
# shellcheck source=tests/cni/_plugin.sh
. "$(dirname "$0")/_plugin.sh"

node_up
tool_start serve-world world serve 80/tcp 81/tcp 53/udp 80/udp
serve_pod() { serve "$1" 80/tcp 53/udp; }
namespace shop
# object NAME [UID]: the pod as the API has it before its runtime has told an address.
object() {
	NAMESPACE[$1]=shop
	manifest "pod-$1" <<-EOT
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: shop, uid: ${2:-uid-$1}, labels: {app: $1}}
		spec: {nodeName: $NODE, containers: [{name: main}]}
		status: {phase: Pending}
	EOT
}
policy client shop <<-EOT
	podSelector: {matchLabels: {app: client}}
	policyTypes: [Ingress, Egress]
	egress: [{ports: [{port: 80}, {port: 53, protocol: UDP}]}]
EOT
for pod in free client; do link_up $pod; object $pod; serve_pod $pod; done
agent_start
sync

# ---- a pod's start -----------------------------------------------------------------------------------------
# One try each, shorter than the time after which TCP would send its SYN again.
with_prev free '.onTimeout = "fail"'
pod_plugin ADD free
echoed "ADD of a pod that no policy selects gives prevResult back"
equal "R2 an unselected pod reaches and is reached from its first packet on" \
	"$(probe free world 80 tcp 4) $(probe free world 53 udp 6) $(probe world free 80 tcp 4)" "open open open"
with_prev client '.onTimeout = "fail"'
pod_plugin ADD client
echoed "ADD of a selected pod gives prevResult back"
equal "R3 replies to what a selected pod sends first pass" \
	"$(probe client world 53 udp 4) $(probe client world 80 tcp 6)" "open open"
expect "its policy judges" <<-EOT
	open   client world 80 tcp
	silent client world 81 tcp
	silent world client 80 tcp
EOT
equal "the record names the pod and its device" \
	"$(jq -c '[.version, .container, .ifname, .network, .namespace, .name, .device, .addresses]' "$RECORDS/c-client@eth0")" \
	"[1,\"c-client\",\"eth0\",\"net\",\"shop\",\"client\",\"v${NUMBER[client]}\",[\"${POD4[client]}\",\"${POD6[client]}\"]]"
equal "the record is root's alone" "$(stat -c '%a %u' "$RECORDS" "$RECORDS/c-client@eth0" | tr '\n' ' ')" "700 0 600 0 "

# A device on which others hold the place of filters is shut at the head of tcx, and the agent takes that away.
if [ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ]; then
	link_up held
	object held
	in_ns node tc qdisc add dev "v${NUMBER[held]}" ingress
	with_prev held '.onTimeout = "fail"'
	pod_plugin ADD held
	echoed "ADD of a pod whose device has an ingress qdisc"
	equal "it reaches the world from its first packet on" "$(probe held world 53 udp 4) $(probe held world 80 tcp 6)" "open open"
	pod_plugin CHECK held
	quiet "CHECK of that pod"
	pod_plugin DEL held
	link_down held
	manifest_rm pod-held
fi

# ---- CHECK and STATUS --------------------------------------------------------------------------------------
pod_plugin CHECK client
quiet "CHECK of a pod whose policy is in force"
pod_plugin CHECK client CNI_CONTAINERID=c-other
refused "CHECK of a container that nobody knows" 3 c-other
plugin STATUS
quiet "STATUS with an agent that is ready"

# The agent's word is not enough. It speaks of this container, with a device of this number: in another namespace there is
# another one.
ns_new aside
ns_new inside
ip -n "$P-aside" link add name double index "$(ip -n "$NODE_NS" -j link show "v${NUMBER[client]}" | jq '.[0].ifindex')" \
	type veth peer name eth0 netns "$P-inside"
# look: CHECK of the one in place of the other.
look() {
	with_prev client
	FROM=aside pod_plugin CHECK client CNI_NETNS="/run/netns/$P-inside"
}
look
refused "CHECK of a device without programs" 104 "the agent's programs are not on both sides of 'double'"
if [ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ]; then
	# shellcheck disable=SC2317 # called by until_true
	by_tcx() { [ "$(bh endpoint get shop/client -o json | jq -r .attach)" = tcx ]; }
	until_true 30 by_tcx || die "its programs are still filters"
	bpftool prog pin id "$(in_ns node "$TRAFFIC" tcx "v${NUMBER[client]}" ingress list)" "$WORK/bpf/gate" || die "no program of the agent's"
	in_ns aside "$TRAFFIC" tcx double ingress first "$WORK/bpf/gate" "$WORK/bpf/gate-in"
	look
	refused "CHECK of a device with a program on one side" 104 "the agent's programs are not on both sides of 'double'"
	in_ns aside "$TRAFFIC" tcx double egress first "$WORK/bpf/gate" "$WORK/bpf/gate-out"
	look
	quiet "CHECK of a device with programs on both sides"
fi
with_prev client ".onAgentDown = \"quarantine\" | .socket = \"$WORK/none\" | .records = \"$WORK/aside\""
FROM=aside pod_plugin ADD client CNI_NETNS="/run/netns/$P-inside"
echoed "ADD without an agent shuts it"
look
refused "CHECK of a device that is shut" 104 "'double' is closed: the agent has not taken it over yet"
rm -f "$WORK"/bpf/gate*
ip -n "$P-aside" link del double
with_prev client
pod_plugin CHECK client
quiet "CHECK of the right one"
conf '.onAgentDown = "maybe"'
plugin STATUS
refused "STATUS with a key's wrong value" 7 "'onAgentDown': 'maybe' is none of fail|quarantine"

# ---- pods that are not known, or others ------------------------------------------------------------------------
link_up stranger
with_prev stranger '.timeoutSeconds = 1'
pod_plugin ADD stranger
echoed "ADD of a pod that the agent does not find in time succeeds"
matches "it says that the pod is closed" "$NOTE" "pod 'shop/stranger' starts closed"
expect "it is closed both ways" <<-EOT
	silent stranger world 53 udp
	silent world stranger 0 icmp
EOT
pod_plugin CHECK stranger
refused "CHECK of a closed pod" 104 "'eth0' of container 'c-stranger'"
with_prev stranger '.timeoutSeconds = 60'
(pod_plugin CHECK stranger && echo "$CODE $SAID" >"$WORK/checked") &
checking=$!
object stranger
wait $checking
equal "CHECK waits for a pod that is on its way" "$(cat "$WORK/checked")" "0 "
pod_plugin DEL stranger
manifest_rm pod-stranger
sync
with_prev stranger '.timeoutSeconds = 1 | .onTimeout = "fail"'
pod_plugin ADD stranger
refused "ADD with onTimeout fail" 11 "policy of pod 'shop/stranger' is not in force yet"
equal "a failed ADD leaves no record" "$(record stranger)" no
pod_plugin CHECK stranger
refused "nor does the agent know it" 3 c-stranger
pod_plugin DEL stranger
quiet "DEL after a failed ADD"

# ---- no agent ----------------------------------------------------------------------------------------------
agent_stop
for pod in late never; do link_up $pod; object $pod; done
with_prev never
pod_plugin ADD never
refused "ADD without an agent" 11 "no agent answers on"
equal "a refused ADD leaves no record" "$(record never)" no
with_prev late '.onAgentDown = "quarantine"'
pod_plugin ADD late
echoed "ADD without an agent succeeds where the configuration says so"
expect "the pods are closed both ways" <<-EOT
	silent late world 53 udp
	silent never world 53 udp
	silent world late 0 icmp
	silent world never 0 icmp
EOT
pod_plugin CHECK late
refused "CHECK of a pod that waits for the agent" 11 "no agent answers"
with_prev client
pod_plugin CHECK client
refused "CHECK without an agent" 11 "no agent answers"
conf
plugin STATUS
refused "STATUS without an agent" 50 "no agent answers"
conf '.onAgentDown = "quarantine"'
plugin STATUS
refused "STATUS without an agent where pods start closed" 51 "no agent answers"
with_prev free
pod_plugin DEL free
quiet "DEL without an agent"
equal "its record is gone" "$(record free)" no

agent_start
sync
expect "an agent that starts takes over who waited" <<-EOT
	open   late world 53 udp
	open   client world 80 tcp
	silent client world 81 tcp
EOT

# ---- DEL and GC --------------------------------------------------------------------------------------------
conf
pod_plugin DEL free
quiet "DEL a second time, without prevResult"
pod_plugin DEL late CNI_NETNS=/run/netns/gone
quiet "DEL of a pod whose namespace is gone"
equal "its record is gone, too" "$(record late)" no
for netns in empty absent; do
	with_prev never
	pod_plugin ADD never
	echoed "ADD before DEL with CNI_NETNS $netns"
	conf
	if [ $netns = empty ]; then
		pod_plugin DEL never CNI_NETNS=
	else
		plugin DEL CNI_CONTAINERID=c-never CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
	fi
	quiet "DEL with CNI_NETNS $netns"
	equal "its record is gone: $netns" "$(record never)" no
	with_prev never
	pod_plugin CHECK never
	refused "and the agent was told: $netns" 3 c-never
done
jq -c '.container = "c-else" | .network = "other"' "$RECORDS/c-client@eth0" >"$RECORDS/c-else@eth0"
printf broken >"$RECORDS/c-broken@eth0"
conf '."cni.dev/valid-attachments" = [{containerID: "c-client", ifname: "eth0"}]'
plugin GC
quiet "GC"
equal "GC keeps what is valid and what is another network's" \
	"$(find "$RECORDS" -type f -printf '%f\n' | sort | tr '\n' ' ')" "c-client@eth0 c-else@eth0 "
with_prev client
pod_plugin CHECK client
quiet "the agent knows what is valid still"
# What cannot be removed, before and behind what can: the rest goes all the same.
mkdir "$RECORDS"/{a,m,z}-dir@eth0
for n in {1..8}; do cp "$RECORDS/c-client@eth0" "$RECORDS/c-gone$n@eth0"; done
conf '."cni.dev/valid-attachments" = []'
plugin GC
refused "GC tells of a record that it cannot remove" 5 "cannot remove the record '[amz]-dir@eth0'"
equal "and goes on with all others" "$(find "$RECORDS" -type f -printf '%f ')" "c-else@eth0 "
with_prev client
pod_plugin CHECK client
quiet "an agent forgets nothing while a record cannot be read"
rmdir "$RECORDS"/*-dir@eth0
conf '."cni.dev/valid-attachments" = []'
plugin GC
quiet "GC of all"
with_prev client
pod_plugin CHECK client
refused "the agent forgets what GC removed" 3 c-client
cp "$RECORDS/c-else@eth0" "$WORK/record"
left() { jq '.network = "net"' "$WORK/record" >"$RECORDS/c-left@eth0"; }
left
conf '."cni.dev/valid-attachments" = null'
plugin GC
quiet "GC with null"
equal "is GC of all" "$(find "$RECORDS" -type f -printf '%f ')" "c-else@eth0 "
left
conf
plugin GC
refused "GC without a list" 7 cni.dev/valid-attachments
equal "removes nothing" "$(find "$RECORDS" -type f -printf '%f ' | wc -w)" 2
rm "$RECORDS"/*
for pod in free client late never stranger; do link_down $pod; manifest_rm "pod-$pod"; done
sync
end
