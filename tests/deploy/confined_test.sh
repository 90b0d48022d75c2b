#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent in the DaemonSet's container, by an OCI runtime: it has what the manifest says and no more, and does its
# work. Each capability less, and the part of the work that its comment names is not done.
export UNDER=tests/deploy/contain CAPS=.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/../e2e/_init.sh"
UNDER=$ROOT/tests/deploy/contain
. "$ROOT/tests/deploy/_render.sh"
export DAEMONSET=$WORK/daemonset.json
render deploy/base | objects DaemonSet >"$DAEMONSET" || die "deploy/base does not render"

# ---- what it is given ---------------------------------------------------------------------------------------------
inside() { pidof -s bulkheadd; } # this PID namespace is the test's own
said() { sed -nE "s/^$1:\s*//p" "/proc/$(inside)/status"; }
mask() { # CAPABILITY...: as /proc says it
	local name bits=0
	for name; do
		bits=$((bits | 1 << $(sed -nE "s/^#define CAP_$name\s+([0-9]+)$/\1/p" /usr/include/linux/capability.h)))
	done
	printf '%016x\n' "$bits"
}
mapfile -t caps < <(jq -r '.spec.template.spec.containers[].securityContext.capabilities.add[]' "$DAEMONSET")

node_up
namespace shop
pod web shop
pod api shop
stream old web api 80 tcp 4
tool_ask old "echoed 5 5000"
default_deny shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
agent_start
sync
equal "it has the capabilities of the manifest, and no other" "$(said CapEff) $(said CapBnd)" "$(mask "${caps[@]}") $(mask "${caps[@]}")"
equal "it gains none by what it executes" "$(said NoNewPrivs)" 1
equal "it is under a seccomp filter" "$(said Seccomp)" 2
matches "its root is read-only" "$(awk '$5 == "/" { print $6 }' "/proc/$(inside)/mountinfo")" '^ro,'
equal "it is in the node's network" "$(readlink "/proc/$(inside)/ns/net")" "$(in_ns node readlink /proc/self/ns/net)"

# ---- and what it does with it -----------------------------------------------------------------------------------------
expect "it enforces" <<-EOT
	open   web api 80 tcp
	open   web api 80 udp
	silent web api 81 tcp
	silent api web 80 tcp
EOT
tool_ask old "echoed 10 5000"
equal "a connection older than the agent goes on" "${R[state]}" open
equal "it is ready" "$(bh status -o json | jq .ready)" true
agent_stop
agent_start
sync
expect "the next container takes over" <<-EOT
	open   web api 80 tcp
	silent web api 81 tcp
EOT
policy_rm api shop
sync
expect "and changes what the first one wrote" <<<'silent web api 80 tcp'
audit

# ---- each capability less -----------------------------------------------------------------------------------------------
less() { export CAPS="map(select(. != \"$1\"))"; }
less NET_ADMIN
agent_start
until_true 10 eval '[ "$(bh status -o json | jq .ready)" = false ]'
matches "without NET_ADMIN nothing behind a veth can be asked for" \
	"$(bh status -o json | jq -r '.problems[] | select(.where == "scan") | .text')" 'what is behind it cannot be read: .*not permitted|Permission denied'
equal "and it says that it is not ready" "$(bh status -o json | jq .ready)" false
CAPS=.
audit

less SYS_ADMIN
run_once() { # the agent's last words; it is not expected to stay
	# shellcheck disable=SC2086 # a list of words
	in_ns node $UNDER "$B/bulkheadd" --source "dir:$MANIFESTS" --node "$NODE" --pin-dir "$PIN" --run-dir "$RUN" 2>&1
}
words=$(run_once)
equal "without SYS_ADMIN it does not start" $? 1
matches "and says what it needs" "$words" 'CAP_SYS_ADMIN'

# What kernels have split off from it is enough to load and to write, but not to enter a pod's namespace, nor to open
# what another process made.
CAPS='map(if . == "SYS_ADMIN" then "BPF", "PERFMON" else . end)'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}'
agent_start
namespace late
pod free late
pod guest late
sync
equal "with BPF and PERFMON in its place it has these" "$(said CapEff)" "$(mask BPF PERFMON NET_ADMIN SYS_PTRACE)"
equal "with BPF and PERFMON in its place it is ready" "$(bh status -o json | jq .ready)" true
expect "with BPF and PERFMON in its place it enforces" <<-EOT
	open   web api 80 tcp
	silent web api 81 tcp
	silent api web 80 tcp
EOT
stream older free guest 80 tcp 4 -i 2
tool_ask older "echoed 20 5000"
policy all late <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{to: [{podSelector: {}}]}]}'
sync
tool_ask older report
heard="${R[heard]} ${R[echoed]}"
tool_ask older "sent 100"
equal "but a connection older than a pod's isolation is cut" "${R[heard]} ${R[echoed]} ${R[state]}" "$heard open"
expect "and a new one is not" <<<'open free guest 80 tcp'
agent_stop
agent_start
# shellcheck disable=SC2317 # called by check
adopt_says() { bh status -o json | jq -e --arg text "$1" '.problems[] | select(.where == "adopt") | .text | test($text)'; }
check "and what an earlier one wrote cannot be taken over" until_true 10 adopt_says 'cannot be taken over: Operation not permitted'
expect "but stays in force" <<-EOT
	open   web api 80 tcp
	silent web api 81 tcp
EOT
equal "and the agent says that it is not ready" "$(bh status -o json | jq .ready)" false
agent_stop
CAPS=.
audit

# A pod that waits for its device, and a device without a pod: processes are asked whose it is.
link_up spare
POD4[ghost]=10.$NET_A.$NET_B.200 POD6[ghost]=fd00:$HEX::200
pod_manifest ghost shop
stat() { bh status -o json | jq ".stats.$1"; }
agent_start
until_true 10 eval '[ "$(stat namespace_scans)" -ge 3 ]'
equal "it can look at every process" "$(stat processes_hidden)" 0
audit
less SYS_PTRACE
agent_start
until_true 10 eval '[ "$(stat processes_hidden)" -gt 0 ]'
matches "without SYS_PTRACE nobody tells whose a veth is" "$(stat processes_hidden)" '^[1-9]'
CAPS=.
audit

# ---- what the profile refuses --------------------------------------------------------------------------------------------
# A bpffs of its own would be gone with the container, and enforcement with it.
mkdir -p "$WORK/plain/bulkhead"
words=$(PIN=$WORK/plain/bulkhead run_once)
equal "without the node's bpffs it does not start" $? 1
matches "and says so" "$words" 'cannot mount a bpffs'
end
