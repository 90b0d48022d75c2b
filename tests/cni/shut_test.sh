#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A device is shut before the agent is asked, whatever others have put on it: no packet passes, either way, and nothing
# of theirs is taken away.
# shellcheck source=tests/cni/_plugin.sh
. "$(dirname "$0")/_plugin.sh"

node_up
tool_start serve-world world serve 80/tcp 53/udp
tcx=yes
[ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ] || tcx=''

# programs POD SIDE: the names of the tc programs on its device in the order in which they run, each with its kind.
programs() {
	local device=v${NUMBER[$1]} id
	[ -z $tcx ] || in_ns node "$TRAFFIC" tcx "$device" "$2" list | while read -r id; do
		printf 'tcx:%s ' "$(bpftool -j prog show id "$id" | jq -r .name)"
	done
	in_ns node tc -j filter show dev "$device" "$2" 2>/dev/null |
		jq -j '.[] | select(.options) | "\(.kind):\(.options.prog.name // "") "'
}
# What a pod's own device has received, and what the node has passed on: silence alone may be the other side's.
arrived() { ip -n "$P-$1" -j -s link show eth0 | jq '.[0].stats64.rx.packets'; }
forwarded() { in_ns node cat /proc/net/snmp /proc/net/snmp6 | awk '/^Ip:/ { v4 = $7 } /^Ip6OutForwDatagrams/ { v6 = $2 } END { print v4 + v6 }'; }
# shuts POD INGRESS EGRESS: ADD without an agent; what stands on the two sides of its device then.
shuts() {
	local before
	equal "$1: open before ADD" "$(probe "$1" world 80 tcp 4) $(probe world "$1" 0 icmp 6)" "open open"
	with_prev "$1" '.onAgentDown = "quarantine"'
	pod_plugin ADD "$1"
	echoed "$1: ADD"
	pod_plugin ADD "$1"
	echoed "$1: ADD again"
	before=$(arrived "$1")
	expect "$1: nobody reaches it" <<-EOT
		silent world $1 0 icmp
		silent world $1 80 udp
		silent node $1 0 icmp
	EOT
	equal "$1: no packet arrives" "$(arrived "$1")" "$before"
	before=$(forwarded)
	expect "$1: it reaches nobody" <<-EOT
		silent $1 world 80 tcp
		silent $1 world 53 udp
		silent $1 node 0 icmp
	EOT
	equal "$1: no packet leaves" "$(forwarded)" "$before"
	equal "$1: ours is first, once, and theirs stand" "$(programs "$1" ingress)| $(programs "$1" egress)" "$2 | $3 "
}

link_up plain
shuts plain bpf:bh_shut bpf:bh_shut

link_up filters
device=v${NUMBER[filters]}
bpftool prog load "$FOREIGN" "$WORK/bpf/foreign" type classifier || die "the foreign program"
theirs=$(bpftool -j prog show pinned "$WORK/bpf/foreign" | jq -r .name)
in_ns node tc qdisc add dev "$device" clsact
for side in ingress egress; do in_ns node tc filter add dev "$device" $side prio 1 bpf da pinned "$WORK/bpf/foreign"; done
shuts filters "bpf:bh_shut bpf:$theirs" "bpf:bh_shut bpf:$theirs"

if [ $tcx ]; then
	link_up qdisc
	in_ns node tc qdisc add dev "v${NUMBER[qdisc]}" ingress
	in_ns node tc filter add dev "v${NUMBER[qdisc]}" ingress prio 1 bpf da pinned "$WORK/bpf/foreign"
	# Its one list of filters answers for either side.
	shuts qdisc "tcx:bh_shut bpf:$theirs" "tcx:bh_shut bpf:$theirs"

	link_up tcx
	in_ns node "$TRAFFIC" tcx "v${NUMBER[tcx]}" ingress last "$WORK/bpf/foreign" "$WORK/bpf/tcx-link" || die "tcx"
	shuts tcx "tcx:bh_shut tcx:$theirs" tcx:bh_shut

	# A filter of another kind holds our priority and lets everything pass.
	u32=' u32: u32: u32: u32:' # with its tables
	link_up held
	device=v${NUMBER[held]}
	in_ns node tc qdisc add dev "$device" clsact
	for side in ingress egress; do in_ns node tc filter add dev "$device" $side prio 1 u32 match u32 0 0 flowid 1:1; done
	shuts held "tcx:bh_shut$u32" "tcx:bh_shut$u32"
	rm "$WORK/bpf/tcx-link"
fi
rm "$WORK/bpf/foreign"

# ---- who may load no program -----------------------------------------------------------------------------------
link_up unable
printf '#!/bin/sh\nexec %s --bounding-set -sys_admin,-bpf "%s"\n' "$(command -v setpriv)" "$PLUGIN" >"$WORK/unable"
chmod +x "$WORK/unable"
with_prev unable '.onAgentDown = "quarantine"'
PLUGIN=$WORK/unable pod_plugin ADD unable
refused "a device that cannot be shut is an error, also where pods may start closed" 101 \
	"cannot load the program that shuts 'v${NUMBER[unable]}': Operation not permitted"
equal "and leaves no record" "$(record unable)" no
pod_plugin ADD unable
echoed "by the same command with that right it can be"
end
