#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R40: other products' tc and tcx programs on a pod's veth are neither removed nor skipped.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
policy api shop <<<'{podSelector: {}, ingress: [{ports: [{port: 80}]}], egress: [{ports: [{port: 80}]}], policyTypes: [Ingress, Egress]}'
device=v${NUMBER[api]}
load() { # NAME: a program of its own with a counter of its own
	bpftool prog load "$FOREIGN" "$WORK/bpf/$1" type classifier pinmaps "$WORK/bpf/$1-maps" ||
		die "the foreign program $1"
}
seen() { bpftool -j map dump pinned "$WORK/bpf/$1-maps/seen" | jq '.[0].formatted.value // (.[0].value | map(ltrimstr("0x")) | reverse | add)'; }
counts() { # WHAT NAME...: each counter rises with a new allowed connection
	local what=$1 name
	local -A before
	shift
	for name; do before[$name]=$(seen "$name"); done
	equal "$what: an allowed connection opens" "$(probe web api 80 tcp 4)" open
	for name; do
		if [ "$(seen "$name")" != "${before[$name]}" ]; then pass "R40 $what: $name sees packets"; else fail "R40 $what: $name sees packets" "still $(seen "$name")"; fi
	done
}
tc_on() { # NAME HOOK PREFERENCE
	load "$1"
	in_ns node tc qdisc add dev "$device" clsact 2>/dev/null
	in_ns node tc filter add dev "$device" "$2" prio "$3" bpf da pinned "$WORK/bpf/$1" || die "tc filter $1"
}
tcx_on() { # NAME HOOK first|last
	load "$1"
	in_ns node "$TRAFFIC" tcx "$device" "$2" "$3" "$WORK/bpf/$1" "$WORK/bpf/$1-link" || die "tcx $1"
}
tcx=yes
[ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ] || tcx=''

tc_on tc-in ingress 10
tc_on tc-out egress 10
list="tc-in tc-out"
if [ $tcx ]; then
	tcx_on tcx-in ingress last
	tcx_on tcx-out egress last
	list+=" tcx-in tcx-out"
fi
# shellcheck disable=SC2086 # a list of words
counts "alone" $list
agent_start
sync
# shellcheck disable=SC2086
counts "attached before ours" $list
expect "ours judge" <<-EOT
	silent web api 81 tcp
	open   web api 80 tcp
EOT

tc_on tc-late ingress 20
list+=" tc-late"
if [ $tcx ]; then
	tcx_on tcx-late egress last
	list+=" tcx-late"
fi
# shellcheck disable=SC2086
counts "attached after ours" $list
expect "ours judge still" <<<'silent web api 81 tcp'

policy_rm api shop
policy_rm default-deny shop
sync
# shellcheck disable=SC2086
counts "no policy" $list
agent_stop
check "--cleanup" agent_cleanup
# shellcheck disable=SC2086
counts "after --cleanup" $list
equal "the foreign filters stand" "$(in_ns node tc filter show dev "$device" ingress | grep -c 'tc-in\|tc-late\|foreign')" 2
equal "our pins are gone" "$(find "$PIN" 2>/dev/null)" ""
end
