#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the agent cannot do, by real means: no file descriptors, no bpffs to write to, a kernel that lacks what is
# needed. New pods are closed, old ones keep their policy, `status` says why, and it mends itself.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# fds N: the agent may open N more file descriptors than it has; `fds all`: as before.
fds() {
	local limit=0 left
	if [ "$1" = all ]; then
		prlimit --pid "$agent" --nofile=20000:
		return
	fi
	for ((left = $1; left >= 0; limit++)); do
		[ -e "/proc/$agent/fd/$limit" ] || left=$((left - 1))
	done
	prlimit --pid "$agent" --nofile=$((limit - 1)):
}
problem() { # WHERE TEXT: `status` has such a problem, by patterns
	bh status -o json | jq -e --arg where "$1" --arg text "$2" \
		'.problems[] | select(.where | test($where)) | select(.text | test($text))'
}
no_problem() { bh status -o json | jq -e ".problems | if length == 0 then true else (., false) end"; }
unsettled() { bh status -o json | jq -e '.generation.seen != .generation.applied'; }
# alerted READY TABLES PROBLEMS: what the alerts look at: bulkhead_ready, its condition "tables", whether there are
# problems of the agent.
# shellcheck disable=SC2317 # called by check and until_true
alerted() {
	in_ns node curl -s --max-time 10 http://127.0.0.1:9964/metrics | awk -v want="$*" '
		$1 == "bulkhead_ready" { ready = $2 }
		$1 == "bulkhead_ready_condition{condition=\"tables\"}" { tables = $2 }
		$1 == "bulkhead_problems{origin=\"agent\"}" { problems = $2 > 0 }
		END { got = ready " " tables " " problems; print got; exit got != want }'
}
nudge() { pod_manifest old shop "app: old, turn: n$((++turns))"; } # whatever happens ends a pause
turns=0

node_up
namespace shop
pod web shop
pod old shop
policy old shop <<<'{podSelector: {matchLabels: {app: old}}, ingress: [{ports: [{port: 80}]}]}'
agent_start --max-cidrs 16
sync
expect "before" <<-EOT
	open   web old 80 tcp
	silent web old 81 tcp
EOT
stream s web old 80 tcp 4 -i 2

# ---- no file descriptors for a new pod's programs, none for a changed policy's matrix ------------------------------
link_up new
serve new 80/tcp 81/tcp
policy new shop <<<'{podSelector: {matchLabels: {app: new}}, ingress: [{ports: [{port: 80}]}]}'
sync
expect "a pod that nobody told of is open" <<<"open web new 81 tcp"
fds 6
pod_manifest new shop
check "r34_the_new_pod_is_named" until_true 20 problem 'endpoint shop/new' 'closed'
check "r34_seen_is_not_applied" unsettled
PROBE_MS=300 expect "r34_programs_that_do_not_load_leave_the_new_pod_closed" <<-EOT
	silent web new 80 tcp
	silent web new 81 tcp
	silent new web 80 tcp
	open   web old 80 tcp
	silent web old 81 tcp
EOT
fds 0
policy old shop <<<'{podSelector: {matchLabels: {app: old}}, ingress: [{ports: [{port: 80}, {port: 8080}]}]}'
check "r34_the_plan_that_stopped_is_named" until_true 20 problem '^(tables|scan)$' .
PROBE_MS=300 expect "r34_old_pods_keep_their_policy" <<-EOT
	open   web old 80 tcp
	silent web old 8080 tcp
	silent web old 81 tcp
	silent web new 80 tcp
EOT
fds all
nudge
sync
check "r34_what_is_mended_is_no_problem_any_more" no_problem
expect "r34_tried_again_until_all_is_in_force" <<-EOT
	open   web old 80 tcp
	open   web old 8080 tcp
	silent web old 81 tcp
	open   web new 80 tcp
	silent web new 81 tcp
	open   new web 80 tcp
EOT

# ---- a table that is full, though the agent's reckoning says otherwise ---------------------------------------------------
# strangers set|del: thirty prefixes of nobody in bh_cidr, which has room for twice the limit.
strangers() {
	local i value=()
	[ "$1" = del ] && set -- delete || value=(value 0 0 0 0)
	[ "$1" = delete ] || set -- update
	for i in {1..30}; do
		bpftool map "$1" pinned "$PIN/bh_cidr" key 128 0 0 0 0 0 0 0 0 0 0 0 0 0 255 255 203 0 113 "$i" "${value[@]}"
	done
}
link_up late
serve late 80/tcp
check "r34_no_alert_before" until_true 20 alerted 1 1 0
strangers set
policy block shop <<<'{podSelector: {matchLabels: {app: old}}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 81}]}]}'
check "r34_the_full_table_is_named" until_true 20 problem '^tables$' 'the table is full'
check "r34_the_full_table_alerts" until_true 20 alerted 0 0 1
pod_manifest late shop
check "a later pod is found" until_true 20 grep -q "'shop/late' found" "$WORK/agent.log"
check "and closed" until_true 20 eval '[ "$(probe web late 80 tcp 4)" = silent ]'
PROBE_MS=300 expect "r34_behind_a_plan_that_stopped_a_new_pod_is_closed" <<-EOT
	silent web late 80 tcp
	silent late web 80 tcp
	open   web old 80 tcp
	silent web old 81 tcp
EOT
strangers del
nudge
sync
expect "and open when it goes on" <<<"open web late 80 tcp"
check "r34_no_alert_when_it_goes_on" until_true 20 alerted 1 1 0

# ---- a bpffs that cannot be written ---------------------------------------------------------------------------------
mount -o remount,ro "$WORK/bpf"
pod other shop
check "r34_a_read_only_bpffs_is_named" until_true 20 problem 'endpoint shop/other' '[Rr]ead-only'
PROBE_MS=300 expect "r34_a_read_only_bpffs_leaves_the_new_pod_closed" <<-EOT
	silent web other 80 tcp
	silent other web 80 tcp
	open   web old 80 tcp
EOT
mount -o remount,rw "$WORK/bpf"
nudge
sync
expect "r34_and_writable_again_it_is_open" <<-EOT
	open web other 80 tcp
	open other web 80 tcp
EOT
until_true 30 no_problem
check "no problem is left" no_problem
tool_ask s "drain 3000"
equal "nothing of all that touched the flow" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"

# ---- a kernel without what is needed ------------------------------------------------------------------------------------
agent_stop
for feature in mmap inner-array lookup-delete coarse-clock; do
	out=$(in_ns node "$B/bulkheadd" --source "dir:$MANIFESTS" --node "$NODE" --pin-dir "$PIN" --run-dir "$RUN" \
		--force-off $feature 2>&1)
	equal "r41_without_${feature}_it_does_not_start" $? 1
	matches "r41_and_says_so" "$out" "cannot enforce network policy: '$feature' is missing"
done
check "r41_nobody_says_ready" test ! -e "$SOCKET"
expect "r41_what_was_in_force_stays" <<-EOT
	open   web old 80 tcp
	silent web old 81 tcp
EOT
agent_start --max-cidrs 16
sync
