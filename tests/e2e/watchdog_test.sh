#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What somebody takes off a pod's device, puts in front of ours, or does to the pins is noticed, put back, counted and named.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
policy all shop <<<'{podSelector: {}, ingress: [{ports: [{port: 80}]}], egress: [{ports: [{port: 80}]}], policyTypes: [Ingress, Egress]}'
device=v${NUMBER[api]}
repairs() { bh status -o json | jq .stats.watchdog_repairs; }
put_back() { # CASE WHERE PATTERN: since `before` there was a repair, told as this; and judged as before
	check "$1: noticed and put back" until_true 30 eval '[ "$(repairs)" -gt "$before" ]'
	sync
	matches "$1: named" "$(bh status -o json | jq -r '.last_repair | "\(.where): \(.text)"')" "^$2: .*$3"
	expect "$1: judged again" <<-EOT
		open   web api 80 tcp
		silent web api 81 tcp
		silent api web 81 tcp
	EOT
	before=$(repairs)
}
in_front() { # HOOK: somebody's program in front of ours
	bpftool prog load "$FOREIGN" "$WORK/bpf/foreign" type classifier || die "the foreign program"
	if [ "$ATTACH" = clsact ]; then
		in_ns node tc filter add dev "$device" "$1" prio 1 handle 1 bpf da pinned "$WORK/bpf/foreign"
	else
		in_ns node "$TRAFFIC" tcx "$device" "$1" first "$WORK/bpf/foreign" "$WORK/bpf/foreign-link"
	fi || die "in front"
}

# Filters: the kernel says so, and the timer has nothing to do with it.
if [ "$ATTACH" = clsact ]; then
	agent_start --watch-interval 3600
	sync
	before=$(repairs)
	in_ns node tc qdisc del dev "$device" clsact
	put_back qdisc_deleted endpoint\ shop/api "device '$device': our filter is not on its"
	in_ns node tc filter del dev "$device" egress
	put_back filters_deleted endpoint\ shop/api "our filter is not on its egress"
	in_front ingress
	put_back foreign_filter_in_front endpoint\ shop/api "a foreign 'bpf' filter of priority 1 is in front of ours on its ingress"
	equal "r40_filter: the foreign filter stays" "$(in_ns node tc filter show dev "$device" ingress | grep -c foreign)" 1
	# Again and again: at the timer's pace, by the next agent here.
	in_ns node tc filter del dev "$device" ingress
	agent_kill
fi

agent_start --watch-interval 1
sync
before=$(repairs)
if [ "$ATTACH" = tcx ]; then
	for slot in "$PIN"/ep/*; do
		[ "$(readlink "$slot/device")" != "$(ip -n "$NODE_NS" -j link show "$device" | jq '.[0].ifindex')" ] || break
	done
	in_ns node bpftool link detach pinned "$slot/to_link" >/dev/null || die "bpftool link detach"
	put_back link_detached endpoint\ shop/api "our program is not on its egress"
	rm "$slot/from_link"
	put_back link_pin_deleted endpoint\ shop/api "our program is not on its ingress"
	in_front egress
	put_back foreign_program_in_front endpoint\ shop/api "in front of ours on its egress"
	check "r40_link: the foreign program stays" in_ns node bpftool link show pinned "$WORK/bpf/foreign-link"
fi

# Pins: of all kinds, or another bpffs over them. What is in force stays so, and the next agent takes it over.
stream t web api 80 tcp 4 -i 1
tool_ask t "echoed 20 5000"
kept=$(pinned_ids | grep '^map')
rm -r "$PIN"/bh_*
check "table_pins_deleted: pinned again" until_true 30 eval '[ "$(pinned_ids | grep "^map")" = "$kept" ]'
kept=$(pinned_ids | grep -E '^(map|link)')
before=$(repairs)
mount -t bpf bpf "$WORK/bpf" || die "another bpffs"
check "bpffs_remounted_empty: every pin made again, of the same objects" \
	until_true 30 eval '[ "$(pinned_ids | grep -E "^(map|link)")" = "$kept" ]'
matches "bpffs_remounted_empty: counted" "$(($(repairs) - before))" '^[1-9]'
tool_ask t "echoed 20 5000"
agent_kill
expect "bpffs_remounted_empty: in force without an agent" <<-EOT
	open   web api 80 tcp
	silent web api 81 tcp
EOT
agent_start --watch-interval 1
sync
equal "bpffs_remounted_empty: the next agent takes over" "$(pinned_ids | grep -E '^(map|link)')" "$kept"
tool_ask t "drain 3000"
equal "bpffs_remounted_empty: the flow lost nothing" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"
agent_stop
umount "$WORK/bpf"
agent_start
end
