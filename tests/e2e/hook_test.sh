#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The netfilter program outlives its agent, comes back when somebody takes it away, and goes with --cleanup.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
pod web shop
pod near shop
pod other shop
service db shop "sql:5432/tcp:8080 dns:53/udp:80"
slice db shop db "sql:8080/tcp dns:80/udp" near other
policy web shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Egress]
	egress: [{to: [{podSelector: {matchLabels: {app: near}}}]}]
EOT
links() { hook_links | wc -l; }
pins() { find "$PIN" -type f | wc -l; }
status() { bh status -o json | jq -c "$1"; }
# shellcheck disable=SC2317 # called by until_true
repaired() { [ "$(status .stats.watchdog_repairs)" -gt "$1" ]; } # more often than so
judged() {
	PROBE_MS=300 expect "$1" <<-EOT
		open   web db 5432@near tcp
		open   web db 53@near udp
		silent web db 5432@other tcp
		silent web db 53@other udp
	EOT
}

proxy nft
agent_start --watch-interval 1
sync
judged "one backend is reached, the other is not"
equal "attached at two places of each family" "$(links) $(status .netfilter.in_force)" "4 true"
equal "in front of source NAT" "$(status '.netfilter.priorities | [."ipv4 postrouting", ."ipv6 postrouting"]')" "[99,99]"

flow t4 web db 5432 tcp 4 near 8080
flow u6 web db 53 udp 6 near 80
kept=$(hook_links | sort)
agent_kill
judged "r4_no_agent: the same"
flows_live "r4_no_agent: flows go on" t4 u6
agent_start --watch-interval 1
sync
flows_live "r4_another_agent: flows go on" t4 u6
judged "r4_another_agent: the same"
equal "r4_another_agent: the program stays" "$(hook_links | sort)" "$kept"

rm -r "$PIN/bh_hook"
check "what was taken away comes back" until_true 20 eval '[ "$(links)" = 4 ] && [ "$(status .netfilter.in_force)" = true ]'
matches "and that is told" "$(status .stats.watchdog_repairs)" '^[1-9]'
judged "judged again"
flows_live "what was taken away cut no flow" t4 u6

# Detached by hand a link stays where it is pinned, and says of itself what it said before.
for place in post4 in6; do
	repairs=$(status .stats.watchdog_repairs)
	dead=$(bpftool -j link show pinned "$PIN/bh_hook/$place" | jq .id)
	bpftool link detach pinned "$PIN/bh_hook/$place" || die "bpftool link detach"
	check "$place: what was detached comes back, counted" until_true 20 repaired "$repairs"
	check "$place: by another link" [ "$(bpftool -j link show pinned "$PIN/bh_hook/$place" | jq .id)" != "$dead" ]
	equal "$place: in force" "$(links) $(status .netfilter.in_force)" "4 true"
	judged "$place: judged again"
	flows_live "$place: what was detached cut no flow" t4 u6
done

# Pins: another bpffs in place of theirs, which the agent alone holds then; or all of them deleted.
kept=$(hook_links | sort)
umount -l "$WORK/bpf" || die "umount"
mount -t bpf bpf "$WORK/bpf" || die "another bpffs"
check "bpffs_remounted_empty: the same links are pinned again" until_true 20 eval '[ "$(hook_links | sort)" = "$kept" ]'
judged "bpffs_remounted_empty: judged as before"
flows_live "bpffs_remounted_empty: no flow was cut" t4 u6
repairs=$(status .stats.watchdog_repairs)
# shellcheck disable=SC2034 # read by eval
all=$(pins)
find "$PIN" -mindepth 1 -delete
check "pins_deleted: what they held comes back, counted" until_true 20 repaired "$repairs"
check "pins_deleted: all of it" until_true 20 eval '[ "$(links) $(status .netfilter.in_force) $(pins)" = "4 true $all" ]'
judged "pins_deleted: judged as before"
flows_live "pins_deleted: no flow was cut" t4 u6

agent_kill
bpftool link detach pinned "$PIN/bh_hook/post6" || die "bpftool link detach"
agent_start --watch-interval 3600
sync
judged "detached while no agent was there: attached by the next one"

ids=$(hook_links)
agent_stop
agent_start --watch-interval 1 --force-off netfilter
sync
PROBE_MS=300 expect "forced off, what is mixed is denied" <<-EOT
	silent web db 5432@near tcp
	silent web db 5432@other tcp
EOT
matches "forced off is a problem" "$(bh status -o json | jq -r '.problems[].text')" 'netfilter programs'
agent_stop
agent_cleanup
equal "nothing of it is pinned" "$(hook_links)" ""
check "and nothing is left of it" until_true 20 gone "$ids"
end
