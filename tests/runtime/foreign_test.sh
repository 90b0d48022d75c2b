#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R40 with real containers: a plugin before ours puts programs of its own on the container's veth, as filters of a clsact
# qdisc, by tcx, or both. Ours neither removes nor skips them, and judges.
# shellcheck source=tests/runtime/_podman.sh
. "$(dirname "$0")/_podman.sh"

# The foreign plugin: its configuration says `how`. Programs are loaded by the test, one each.
foreign_plugin() { # HOW...
	cat >"$PODMAN/bin/foreign" <<-EOT
		#!/bin/bash
		set -eu
		conf=\$(cat)
		case \$CNI_COMMAND in
		VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}' ;;
		ADD)
			device=\$(jq -r '[.prevResult.interfaces[] | select(.name | startswith("veth")) | select(.sandbox // "" == "")][0].name' <<<"\$conf")
			for how in \$(jq -r '.how[]' <<<"\$conf"); do
				case \$how in
				tc)
					tc qdisc add dev "\$device" clsact
					tc filter add dev "\$device" ingress prio 10 bpf da pinned "$WORK/bpf/tc-in"
					tc filter add dev "\$device" egress prio 10 bpf da pinned "$WORK/bpf/tc-out"
					;;
				tcx)
					"$TRAFFIC" tcx "\$device" ingress last "$WORK/bpf/tcx-in" "$WORK/bpf/tcx-in-link"
					"$TRAFFIC" tcx "\$device" egress last "$WORK/bpf/tcx-out" "$WORK/bpf/tcx-out-link"
					;;
				esac
			done >&2
			jq -c .prevResult <<<"\$conf"
			;;
		DEL) rm -f "$WORK"/bpf/*-link ;;
		esac
	EOT
	chmod +x "$PODMAN/bin/foreign"
}
load() { # NAME: a program of its own with a counter of its own
	bpftool prog load "$FOREIGN" "$WORK/bpf/$1" type classifier pinmaps "$WORK/bpf/$1-maps" ||
		die "the foreign program $1"
}
seen() { bpftool -j map dump pinned "$WORK/bpf/$1-maps/seen" | jq '.[0].formatted.value // (.[0].value | map(ltrimstr("0x")) | reverse | add)'; }

# beside HOW...: a container on such a veth.
beside() {
	local how="$*" name names=''
	local -A before=()
	[[ " $how " != *" tc "* ]] || names+=" tc-in tc-out"
	[[ " $how " != *" tcx "* ]] || names+=" tcx-in tcx-out"
	network mixed 0.4.0 "$(bridge_plugin)" "$(jq -nc '{type: "foreign", how: $ARGS.positional}' --args "$@")" "$(our_plugin)"
	serving web mixed 80/tcp 81/tcp || die "$how: the container does not start"
	for name in $names; do before[$name]=$(seen "$name"); done
	expect "r40_ours_judge_beside_$how" <<-EOT
		open   world web 80 tcp
		silent world web 81 tcp
		silent web world 81 tcp
		open   web world 80 tcp
	EOT
	for name in $names; do
		check "r40_$name is there and sees packets beside $how" [ "$(seen "$name")" != "${before[$name]}" ]
	done
	sync
	check "r40_and after another look at its place" [ "$(bh endpoint list -o json | jq -r '.. | objects | select(.name? == "web") | .state')" = enforce ]
	container_rm web
}

node_up
podman_up
foreign_plugin
serve world 80/tcp 81/tcp
container_object web "app: web"
policy web web <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 80}]}], egress: [{ports: [{port: 80}]}]}'
agent_start
sync
load tc-in
load tc-out
beside tc
if [ "$(printf '%s\n' 6.6 "$(uname -r)" | sort -V | head -n 1)" = 6.6 ]; then
	load tcx-in
	load tcx-out
	beside tcx
	beside tc tcx
fi
end
