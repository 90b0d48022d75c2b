#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --attach auto: a pod that comes begins with filters and is moved to tcx under traffic, nothing lost, nothing leaked; one that
# runs already, or whose device bears what would be in front of filters, begins with tcx. Without tcx filters stay.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

tcx=yes
[ "$ATTACH" != clsact ] || tcx=''
ATTACH=auto
node_up
namespace shop
pod old shop
default_deny shop
policy all shop <<<'{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 80, protocol: UDP}]}], egress: [{ports: [{port: 80}, {port: 80, protocol: UDP}]}], policyTypes: [Ingress, Egress]}'
# shellcheck disable=SC2046 # two words or none
agent_start $([ $tcx ] || echo --force-off tcx)
sync
way() { ask "{\"op\":\"endpoint.get\",\"namespace\":\"shop\",\"name\":\"$1\"}" | jq -r .attach; }
judged() {
	expect "$1" <<-EOT
		open   new old 80 tcp
		open   old new 80 udp
		silent new old 81 tcp
		silent old new 81 tcp
	EOT
}

if [ ! $tcx ]; then
	pod new shop
	sync
	equal "without tcx: filters, on all" "$(way old) $(way new)" "clsact clsact"
	judged "without tcx"
	end
fi
equal "a pod that ran before begins with tcx: no qdisc comes that would lose packets" "$(way old)" tcx

pod new shop
sync
first=$(way new)
judged "begun"
stream t new old 80 tcp 4 -i 1
stream u old new 80 udp 6 -i 1
matches "a pod that comes begins with filters" "$first" clsact
check "and is moved in quiet" until_true 60 eval '[ "$(way new)" = tcx ]'
for s in t u; do
	tool_ask $s "echoed 20 5000"
	tool_ask $s "drain 3000"
	equal "r4_move: $s lost nothing" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]} ${R[heard_gaps]}" "open lost 0 gaps 0 0"
done
judged "moved"
equal "no filter is left" "$(in_ns node tc filter show dev "v${NUMBER[new]}" ingress)$(in_ns node tc filter show dev "v${NUMBER[new]}" egress)" ""

link_up late
bpftool prog load "$FOREIGN" "$WORK/bpf/foreign" type classifier || die "the foreign program"
in_ns node "$TRAFFIC" tcx "v${NUMBER[late]}" egress first "$WORK/bpf/foreign" "$WORK/bpf/foreign-link" || die "tcx"
pod_manifest late shop
sync
equal "a foreign tcx program is on the device: tcx at once" "$(way late)" tcx

agent_kill
agent_start
sync
equal "the next agent goes on with what there is" "$(way old) $(way new) $(way late)" "tcx tcx tcx"
judged "after kill -9"
end
