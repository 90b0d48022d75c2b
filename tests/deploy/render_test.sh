#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every folder of deploy/ that kustomize knows renders, says only what the API has, and holds together.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/deploy/_render.sh
B=${B:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
# result WHAT: standard input is what is wrong; nothing is fine.
result() {
	local found
	found=$(cat)
	if [ -z "$found" ]; then
		passed=$((passed + 1))
		echo "ok    $1"
	else
		failed=$((failed + 1))
		echo "FAIL  $1"
		printf '      %s\n' "${found//$'\n'/$'\n      '}"
	fi
}
shopt -s lastpipe

version=$("$B/bulkheadd" --version | awk '{ sub(",", ""); print $2 }')
find deploy -name kustomization.yaml -printf '%h\n' | sort >"$work/folders"
[ "$(wc -l <"$work/folders")" -ge 8 ] || echo "found only: $(tr '\n' ' ' <"$work/folders")" | result "all folders are found"

while read -r folder; do
	render "$folder" >"$work/objects" 2>"$work/said"
	{ [ -s "$work/objects" ] || { echo "nothing"; cat "$work/said"; }; } | result "$folder renders"
	[ -s "$work/objects" ] || continue
	jq -r -f tests/deploy/shape.jq "$work/objects" 2>&1 | result "$folder: every field is one of the API's"
	jq -rs --arg version "$version" -f tests/deploy/whole.jq "$work/objects" 2>&1 | result "$folder: its parts fit together"

	# The options that the agent will read are options that it has.
	objects ConfigMap <"$work/objects" | jq -r '.data["bulkheadd.conf"]' >"$work/bulkheadd.conf"
	mapfile -t args < <(objects DaemonSet <"$work/objects" |
		jq -r --arg conf "$work/bulkheadd.conf" '.spec.template.spec.containers[] | select(.name == "agent") | .args[] |
			sub("/etc/bulkhead/bulkheadd.conf"; $conf)')
	if [ "${#args[@]}" -gt 0 ]; then
		BULKHEAD_NODE=node "$B/bulkheadd" "${args[@]}" --version 2>&1 >/dev/null | result "$folder: the agent knows its options"
	fi
done <"$work/folders"

# What an overlay has on a node, its uninstall finds there.
paths() { # FOLDER: of the volumes that are folders of the node's own software
	render "$1" 2>/dev/null | objects DaemonSet |
		jq -r '.spec.template.spec.volumes[] | select(.name | test("^(cni-|kubelet-)")) | "\(.name) \(.hostPath.path)"' | sort
}
for folder in deploy/overlays/*; do
	uninstall=deploy/uninstall-$(basename "$folder")
	[ -d "$uninstall" ] || uninstall=deploy/uninstall
	diff <(paths "$folder") <(paths "$uninstall") | sed "s|^|$folder, $uninstall: |"
done | result "an uninstall looks where its overlay put things"

# Capabilities: each with its reason beside it, and the page says the same ones.
awk '/^ *add:$/ { on = 1; next } on && /^ *#/ { why = 1; next }
	on && /^ *- [A-Z_]+$/ { if (!why) print $2 ": no reason beside it"; why = 0; next } { on = 0 }' \
	deploy/base/daemonset.yaml | result "every capability names its reason"
for cap in $(render deploy/base | objects DaemonSet | jq -r '.spec.template.spec.containers[].securityContext.capabilities.add[]'); do
	grep -q "^| \`$cap\`" docs/kubernetes.md || echo "$cap: not in the table of docs/kubernetes.md"
	grep -qE "^CapabilityBoundingSet=.*CAP_$cap" deploy/systemd/bulkheadd.service || echo "$cap: not in the unit"
done | result "the page and the unit have the same capabilities"

# The profile: no name that the architecture does not have hides a mistyped one.
jq -r '.syscalls[].names[]' deploy/seccomp/bulkhead.json | sort | uniq -d | grep -vE '^(socket|ioctl)$' |
	result "no system call is in the profile twice"
# known to the kernel's headers, or older calls that only some architectures have
jq -r '.syscalls[].names[]' deploy/seccomp/bulkhead.json | sort -u | while read -r name; do
	grep -qw "__NR_$name" /usr/include/*/asm/unistd*.h || echo "$name: no system call"
done | result "every system call of the profile exists"

# What the threat model says is shown by a test is.
sed -nE '/^\|/s/.*\|([^|]*)\|$/\1/p' docs/threat-model.md | grep -oE '`[a-z0-9_]+`' | tr -d '`' | sort -u | while read -r name; do
	[ -n "$(find tests -name "$name.sh" -o -name "$name.c")" ] || grep -rqw --include='*.c' --include='*.sh' -- "$name" tests ||
		echo "$name: no such test"
done | result "every test that the threat model names exists"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
