#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R5: a node boots, and containers are started before the agent is. The conflist is there, pins and state are not. By
# configuration such a start is refused, to be tried again, or the container is closed until the agent knows its policy.
# shellcheck source=tests/runtime/_podman.sh
. "$(dirname "$0")/_podman.sh"

MARK=$BULKHEAD_STATE_DIR/enforced-in
# The source cannot be read: nothing at all is known while a manifest is being written.
cut_off() { exec 9>>"$MANIFESTS/unread.yaml"; }
back() {
	exec 9>&-
	manifest_rm unread
	sync
}
# reboot: containers and the bpffs are new, nothing of /run is left, and the boot has another id.
reboot() {
	local ids
	container_rm "$@"
	ids=$(pinned_ids)
	agent_kill
	umount "$WORK/bpf"
	until_true 5 gone "$ids"
	mount -t bpf bpf "$WORK/bpf" || die "no bpffs can be mounted"
	rm -r "$RUN"
	echo 00000000-0000-4000-8000-000000000000 >"$MARK"
}
serves() { # WHAT NETWORK CODE: a container is started there, and that ends with this code
	serving web "$2" 80/tcp 81/tcp >"$WORK/serves" 2>&1
	equal "$1" "$?" "$3"
}
# shellcheck disable=SC2317 # called by until_true
one_is_shut() { bh status -o json | jq -e '.problems[] | select(.where == "unsynced") | .text | startswith("1 devices shut")'; }
veths() { in_ns node ip -o link show type veth | grep -c veth; }
closed() { # WHAT
	PROBE_MS=300 expect "$1" <<-EOT
		silent world web 80 tcp
		silent world web 81 tcp
		silent web world 80 tcp
		silent web world 81 tcp
	EOT
}
judged() { # WHAT
	expect "$1" <<-EOT
		open   world web 80 tcp
		silent world web 81 tcp
		open   web world 80 tcp
		silent web world 81 tcp
	EOT
}

node_up
podman_up
network failing 0.4.0 "$(bridge_plugin)" "$(our_plugin)"
network closing 0.4.0 "$(bridge_plugin)" "$(our_plugin '{"onAgentDown": "quarantine"}')"
serve world 80/tcp 81/tcp
container_object web "app: web"
policy web web <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 80}]}], egress: [{ports: [{port: 80}]}]}'
agent_start
sync
serves "a container starts" failing 0
judged "before the reboot"
reboot web

# ---- refused -----------------------------------------------------------------------------------------------------------------
before=$(veths)
serves "r5_without_an_agent_a_start_is_refused" failing 1
matches "r5_and_it_says_why" "$(cat "$WORK/serves")" "agent"
equal "r5_nothing_is_left_of_it" "$(veths) $(ls "$RECORDS" 2>/dev/null)" "$before "
container_rm web 2>/dev/null
agent_start
sync
serves "r5_a_second_try_succeeds_with_the_agent" failing 0
judged "r5_and_is_judged"
reboot web

# ---- closed ------------------------------------------------------------------------------------------------------------------
serves "r5_without_an_agent_a_container_starts_closed" closing 0
closed "r5_it_is_closed_without_an_agent"
cut_off
agent_start 9>&-
closed "r5_and_while_the_agent_knows_nothing"
agent_kill
agent_start 9>&-
closed "r5_and_after_another_start_of_it"
back
judged "r5_until_its_policy_is_in_force"

# ---- the bpffs alone is emptied, under a running agent's containers ---------------------------------------------------------
ids=$(pinned_ids)
agent_kill
umount "$WORK/bpf"
mount -t bpf bpf "$WORK/bpf" || die "no bpffs can be mounted"
cut_off
agent_start 9>&-
check "r5_who_was_judged_is_shut" until_true 20 one_is_shut
PROBE_MS=300 expect "r5_an_emptied_bpffs_opens_nothing" <<-EOT
	silent world web 80 tcp
	silent world web 81 tcp
	silent web world 81 tcp
EOT
back
judged "r5_and_its_policy_returns"

# ---- gone while the agent is ----------------------------------------------------------------------------------------------------
agent_kill
container_rm web
equal "r5_a_record_goes_without_an_agent" "$(ls "$RECORDS")" ""
agent_start
sync
equal "r5_and_the_agent_knows_no_device" "$(bh endpoint list -o json | jq -r '.endpoints[].name')" ""
end
