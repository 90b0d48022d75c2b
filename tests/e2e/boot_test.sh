#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R5: a node starts, and its agent cannot read the objects yet. Pods that start meanwhile are shut, and after a reboot of
# a node that enforced before, those that are there already, too; a node that never enforced is not disturbed.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

MARK=$BULKHEAD_STATE_DIR/enforced-in
status() { bh status -o json | jq -r "$1"; }
unsynced() { bh status -o json | jq -r '[.problems[] | select(.where == "unsynced") | .text][0] // ""'; }
# shellcheck disable=SC2317 # called by until_true
shut_are() { unsynced | grep -q "^$1 devices shut"; } # N
# shellcheck disable=SC2317 # called by until_true
looked() { [ "$(status .stats.attach_rounds)" -gt 4 ]; }
# The source cannot be read: nothing at all is known while a manifest is being written.
cut_off() { exec 9>>"$MANIFESTS/unread.yaml"; }
back() {
	exec 9>&-
	manifest_rm unread
	sync
}
start() { agent_start "$@" 9>&-; } # 9: held by the test alone
# reboot: pods and the bpffs are new, nothing of /run is left, and the boot has another id.
reboot() {
	local ids dev
	ids=$(pinned_ids)
	agent_kill
	umount "$WORK/bpf"
	for dev in $(in_ns node tc -j qdisc show | jq -r '.[] | select(.kind == "clsact") | .dev'); do
		in_ns node tc qdisc del dev "$dev" clsact
	done
	until_true 5 gone "$ids"
	mount -t bpf bpf "$WORK/bpf" || die "no bpffs can be mounted"
	rm -r "$RUN"
	check "the state folder says in which boot the node enforced" cmp "$MARK" /proc/sys/kernel/random/boot_id
	echo 00000000-0000-4000-8000-000000000000 >"$MARK"
}
programs() { # POD: how many are on its veth
	in_ns node bpftool -j net show dev "v${NUMBER[$1]}" | jq '[.[] | .tc[]?] | length'
}

node_up
namespace shop
pod web shop
pod db shop
default_deny shop

# ---- the first start on a live node ----------------------------------------------------------------------------------
cut_off
start
equal "nothing is synced" "$(status '"\(.synced) \(.ready)"')" "false false"
link_up fresh
serve fresh 80/tcp
check "a device that comes is shut" until_true 20 shut_are 1
PROBE_MS=300 expect "r5_a_pod_that_starts_before_the_source_is_read_is_shut" <<-EOT
	silent web fresh 80 tcp
	silent world fresh 80 tcp
	silent fresh web 80 tcp
	silent fresh world 80 tcp
EOT
check "its node reaches it" until_true 20 eval '[ "$(probe node fresh 80 tcp 4)$(probe node fresh 80 tcp 6)" = openopen ]'
expect "r5_a_first_start_disturbs_nobody_that_was_there" <<-EOT
	open web db 80 tcp
	open world db 80 tcp
EOT
matches "r5_status_says_so" "$(bh endpoint list)" "\\(device\\).*v${NUMBER[fresh]}.*quarantine"
equal "the node does not count as one that enforces" "$([ -e "$MARK" ] || echo no)" no

# One that is no pod of this node is open again, one that is gets its policy.
link_up other
serve other 80/tcp
check "another device is shut" until_true 20 shut_are 2
pod_manifest fresh shop
NAMESPACE[fresh]=shop
back
check "what no pod has is open again" until_true 20 eval '[ "$(probe world other 80 tcp 4)" = open ]'
expect "r5_a_device_that_is_no_pods_is_open_again" <<-EOT
	open world other 80 tcp
	refused other world 9 tcp
EOT
equal "no program is left on it" "$(programs other)" 0
expect "r5_the_first_policy_takes_over_what_is_shut" <<-EOT
	silent web fresh 80 tcp
	silent world fresh 80 tcp
	silent web db 80 tcp
	open   node fresh 80 tcp
EOT
equal "nobody is shut any more" "$(status '"\(.ready) \(.problems | length)"')" "true 0"

# ---- a reboot ----------------------------------------------------------------------------------------------------------
reboot
cut_off
expect "before the agent starts all is open" <<<"open world db 80 tcp"
start
check "every device is shut" until_true 20 shut_are 4
PROBE_MS=300 expect "r5_after_a_reboot_pods_that_are_there_already_are_shut" <<-EOT
	silent web db 80 tcp
	silent world db 80 tcp
	silent db world 80 tcp
	silent world fresh 80 tcp
	silent other db 80 tcp
EOT
expect "r5_the_node_keeps_its_way_out" <<-EOT
	refused node world 9 tcp
	open    node db 80 tcp
EOT

agent_kill
start
check "another start keeps them shut" until_true 20 shut_are 4
PROBE_MS=300 expect "r5_another_start_keeps_them_shut" <<-EOT
	silent web db 80 tcp
	silent world db 80 tcp
EOT
policy web shop <<<'{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
policy out shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
back
expect "r5_after_a_reboot_the_first_sync_opens_what_policy_allows" <<-EOT
	open   web db 80 tcp
	silent world db 80 tcp
	silent web fresh 80 tcp
	open   world other 80 tcp
EOT
equal "all is well" "$(status '"\(.ready) \(.problems | length)"')" "true 0"
check "the state folder names this boot" cmp "$MARK" /proc/sys/kernel/random/boot_id

# ---- a pod whose address is not known when the source is -------------------------------------------------------------
reboot
cut_off
start
check "every device is shut again" until_true 20 shut_are 4
manifest pod-db <<-EOT
	apiVersion: v1
	kind: Pod
	metadata: {name: db, namespace: shop, uid: uid-$P-db, labels: {app: db}}
	spec: {nodeName: $NODE, containers: [{name: main}]}
	status: {phase: Pending}
EOT
back
PROBE_MS=300 expect "r5_a_pod_without_an_address_stays_shut" <<<"silent world db 80 tcp"
matches "and is told of" "$(unsynced)" "have no address yet"
pod_manifest db shop
sync
expect "r5_until_its_address_is_known" <<-EOT
	open   web db 80 tcp
	silent world db 80 tcp
EOT

# ---- an API server that is cut off -----------------------------------------------------------------------------------
reboot
api_start
sed "s|https://[^ \"]*|https://$WORLD4:6443|" "$API/kubeconfig" >"$WORK/kubeconfig"
agent_start --source "kube:$WORK/kubeconfig"
check "r5_a_server_that_is_cut_off_shuts_all" until_true 20 shut_are 4
equal "nothing is synced" "$(status '"\(.synced) \(.ready)"')" "false false"
PROBE_MS=300 expect "r5_cut_off_pods_stay_shut" <<-EOT
	silent web db 80 tcp
	silent world db 80 tcp
	refused node world 6443 tcp
EOT
agent_kill
agent_start_kube
api_sync
expect "r5_until_the_server_has_told_of_them" <<-EOT
	open   web db 80 tcp
	silent world db 80 tcp
	open   world other 80 tcp
EOT

# ---- off, and gone -----------------------------------------------------------------------------------------------------
reboot
cut_off
start --before-sync open
link_up more
serve more 80/tcp
check "devices were looked for again and again" until_true 20 looked
expect "--before-sync open shuts nobody" <<-EOT
	open world more 80 tcp
	open world db 80 tcp
EOT
agent_kill
start --mode audit
check "devices were looked for again and again" until_true 20 looked
expect "nor does --mode audit" <<<"open world db 80 tcp"
agent_kill
start
check "a start with the default does" until_true 20 shut_are 5
agent_stop
ids=$(pinned_ids)
agent_cleanup
until_true 5 gone "$ids"
equal "r5_cleanup_takes_all_of_it" "$(traces "$ids")" ""
expect "and all is open" <<-EOT
	open world more 80 tcp
	open world db 80 tcp
EOT
exec 9>&-
end
