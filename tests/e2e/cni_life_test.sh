#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod's life by way of the CNI plugin: its policy is in force when ADD returns, with an agent, without one that has read
# anything yet, and without one that runs; and nothing of it outlives DEL.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_cni.sh
. "$(dirname "$0")/_cni.sh"

status() { bh status -o json | jq -r "$1"; }
problems() { status '.problems[] | "\(.where): \(.text)"'; }
# shellcheck disable=SC2317 # called by until_true
told() { problems | grep -qE -- "$1"; }
# shellcheck disable=SC2317 # called by until_true
in_state() { [ "$(endpoint "$1" .state)" = "$2" ]; }

node_up
namespace shop
pod web shop
pod other shop
policy web-only shop <<-EOT
	podSelector: {matchLabels: {tier: back}}
	policyTypes: [Ingress]
	ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
EOT
policy to-back shop <<-EOT
	podSelector: {matchLabels: {app: other}}
	policyTypes: [Egress]
	egress: [{to: [{podSelector: {matchLabels: {tier: back}}}]}]
EOT
agent_start
sync

# ---- an agent that is ready --------------------------------------------------------------------------------
born db shop "app: db, tier: back"
sync
link_up db
serve db 80/tcp
out=$(cni ADD db)
equal "ADD answers what it was given" "$out" "$(cni_result db)"
equal "in force, by the address of the attachment" "$(endpoint db '"\(.state) \(.addresses[0]) \(.cni.container)"')" \
	"enforce ${POD4[db]} container-db"
expect "policed when ADD returns, before its object has an address" <<-EOT
	open   web   db 80 tcp
	silent other db 80 tcp
	silent world db 80 tcp
EOT
policy web-only shop <<-EOT
	podSelector: {matchLabels: {tier: back}}
	policyTypes: [Ingress]
	ingress: [{from: [{podSelector: {}}]}]
EOT
sync
expect "its peers know it by that address" <<-EOT
	open   other db 80 tcp
	silent other web 80 tcp
EOT
equal "CHECK is content" "$(cni CHECK db)" ""
equal "one attachment, one record" "$(status .endpoints.attachments) $(ls "$RECORDS")" "1 container-db@eth0"
stream hold web db 80 tcp 4
equal "ADD again changes nothing" "$(cni ADD db)" "$(cni_result db)"
tool_ask hold "drain 5000"
equal "and cuts nothing" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
pod_manifest db shop "app: db, tier: back"
sync
equal "the object's addresses win" "$(endpoint db '.addresses | length')" 2
tool_stop hold

# ---- no object: closed, in time --------------------------------------------------------------------------------
NAMESPACE[late]=shop
link_up late
serve late 80/tcp
err=$(CNI_CONF=',"timeoutSeconds":1' cni ADD late 2>&1 >/dev/null)
matches "ADD without an object ends in time, closed" "$err" 'starts closed.*its object is not known'
PROBE_MS=300 expect "closed" <<-EOT
	silent web  late 80 tcp
	silent late web  80 tcp
EOT
# shellcheck disable=SC2317 # called by name
repaired() { [ "$(status .stats.watchdog_repairs)" -gt "$1" ]; }
repairs=$(status .stats.watchdog_repairs)
in_ns node tc qdisc del dev "v${NUMBER[late]}" clsact
check "what shuts it is put back when somebody takes it off" until_true 20 repaired "$repairs"
PROBE_MS=300 expect "closed again" <<-EOT
	silent web  late 80 tcp
	silent late web  80 tcp
EOT
matches "CHECK knows it as closed" "$(CNI_CONF=',"timeoutSeconds":1' cni CHECK late)" 'its object is not known'
out=$(CNI_CONF=',"timeoutSeconds":1,"onTimeout":"fail"' CONTAINER=second cni ADD late)
equal "or as an error, as configured" "$(cni_code "$out")" 11
CONTAINER=second cni DEL late
born late shop "app: late, tier: back"
check "in force by itself once the object comes" until_true 20 in_state late enforce
expect "with its policy" <<-EOT
	open   web   late 80 tcp
	silent world late 80 tcp
EOT

# ---- a second interface --------------------------------------------------------------------------------------------
# Both ends have addresses of their own, which lead nowhere else.
there=10.$NET_A.$NET_B.251
ip -n "$NODE_NS" -b - <<-EOT
	link add second type veth peer name net1 netns $P-late
	addr add 10.$NET_A.$NET_B.250 peer $there dev second
	link set second up
EOT
ip -n "$P-late" -b - <<-EOT
	addr add $there peer 10.$NET_A.$NET_B.250 dev net1
	link set net1 up
EOT
equal "a second device of a pod is open before ADD" "$(probe node "$there" 0 icmp 4)" open
out=$(IFNAME=net1 cni ADD late)
matches "a second device of a pod is refused, by the agent" "$(cni_said "$out")" '^103 .*the pod has a device already'
equal "it stays shut, without a record" "$(PROBE_MS=300 probe node "$there" 0 icmp 4) $(find "$RECORDS" -name '*net1')" "silent "
expect "the first one is what it was" <<<'open web late 80 tcp'
ip -n "$NODE_NS" link del second

# ---- hostile records -----------------------------------------------------------------------------------------------
agent_stop
echo '{"version":1' >"$RECORDS/broken@eth0"
ln -s container-db@eth0 "$RECORDS/link@eth0"
head -c 20000 /dev/zero >"$RECORDS/long@eth0"
jq -c '.boot = "00000000-0000-4000-8000-000000000000"' "$RECORDS/container-db@eth0" >"$RECORDS/old@eth0"
sed 's/container-db/other/' "$RECORDS/container-db@eth0" >"$RECORDS/alias@eth0"
cp "$RECORDS/container-db@eth0" "$RECORDS/shared@eth0" && chmod 666 "$RECORDS/shared@eth0"
agent_start
sync
for what in 'broken@eth0: no JSON object' 'link@eth0: is a link' 'long@eth0: has more than' 'alias@eth0: is the record of other' \
	'shared@eth0: others than root may write it'; do
	matches "refused: ${what%%@*}" "$(problems)" "record $what.*it is not used"
done
equal "the record of another boot is gone" "$([ -e "$RECORDS/old@eth0" ] || echo gone)" gone
equal "the good ones count" "$(status .endpoints.attachments)" 2
rm -f "$RECORDS"/{broken,link,long,alias,shared}@eth0

# ---- DEL, and an address that is used again -------------------------------------------------------------------------
# The old pod's policy lets web in; the new one's, at the same address, nobody. Its object is still to come.
policy closed shop <<<'{podSelector: {matchLabels: {app: next}}, policyTypes: [Ingress, Egress]}'
sync
stream held web db 80 tcp 4
tool_ask held report
addr4=${POD4[db]} addr6=${POD6[db]}
tool_stop serve-db
cni DEL db
link_down db
pods=$((NUMBER[db] - 10)) link_up next
equal "the next pod has the address" "${POD4[next]} ${POD6[next]}" "$addr4 $addr6"
born next shop
serve next 80/tcp
cni ADD next >/dev/null
equal "r9_in_force_with_the_old_object_still_there" "$(endpoint next .state)" enforce
PROBE_MS=300 expect "r9_an_address_used_again_has_its_new_pods_policy_alone" <<-EOT
	silent web  next 80 tcp
	silent next web  80 tcp
EOT
equal "r9_no_old_connection_is_the_new_pods" "$(connections next)" 0
tool_stop held
manifest_rm pod-db
sync
PROBE_MS=300 expect "r9_and_still_when_the_old_object_goes" <<<'silent web next 80 tcp'

# ---- no agent: at ADD, at DEL -----------------------------------------------------------------------------------------
agent_kill
born down shop "app: down, tier: back"
link_up down
serve down 80/tcp
out=$(cni ADD down)
equal "no agent: an error, try again later" "$(cni_code "$out")" 11
err=$(CNI_CONF=',"onAgentDown":"quarantine"' cni ADD down 2>&1 >/dev/null)
matches "or closed, as configured" "$err" 'starts closed'
PROBE_MS=300 expect "closed without an agent" <<<'silent web down 80 tcp'
cni DEL late
agent_start
sync
check "taken over by the agent that starts" until_true 20 in_state down enforce
expect "with its policy" <<-EOT
	open   web   down 80 tcp
	silent world down 80 tcp
EOT
equal "a DEL that found no agent counts" "$(bh endpoint list -o json | jq -c '[.endpoints[] | select(.cni) | .name] | sort')" '["down","next"]'

# ---- an agent that ends while ADD waits for it ---------------------------------------------------------------------
# shellcheck disable=SC2317 # called by name
known() { [ "$(status .endpoints.attachments)" = "$1" ]; }
# ends HOW POD: ADD of a pod without an object, which therefore waits, while the agent ends.
ends() {
	local adding
	CNI_CONF="${CNI_CONF:-},\"timeoutSeconds\":60" cni ADD "$2" >"$WORK/ended" 2>"$WORK/ended.note" &
	adding=$!
	check "$1: ADD waits" until_true 20 known $((before + 1))
	"agent_$1"
	wait $adding
}
for how in kill stop; do
	pod=by-$how
	NAMESPACE[$pod]=shop
	link_up "$pod"
	serve "$pod" 80/tcp
	before=$(status .endpoints.attachments)
	ends $how "$pod"
	equal "$how: an error, try again later, and no record" \
		"$(cni_code "$(cat "$WORK/ended")") $(find "$RECORDS" -name "*$pod@*")" "11 "
	agent_start
	sync
	equal "$how: the next agent does not know it" "$(status .endpoints.attachments)" "$before"
	CNI_CONF=',"onAgentDown":"quarantine"' ends $how "$pod"
	equal "$how: or it succeeds, as configured" "$(cat "$WORK/ended")" "$(cni_result "$pod")"
	matches "$how: and says so" "$(cat "$WORK/ended.note")" "'shop/$pod' starts closed, until an agent takes it over"
	PROBE_MS=300 expect "$how: closed" <<-EOT
		silent web    $pod 80 tcp
		silent $pod   web  80 tcp
	EOT
	agent_start
	born "$pod" shop "app: $pod, tier: back"
	sync
	check "$how: taken over by the next agent" until_true 20 in_state "$pod" enforce
	expect "$how: with its policy" <<-EOT
		open   web   $pod 80 tcp
		silent world $pod 80 tcp
	EOT
	cni DEL "$pod"
	link_down "$pod"
	manifest_rm "pod-$pod"
done
matches "an agent that is told to end tells who waits" "$(cat "$WORK/ended.note")" 'takes it over: the agent is leaving$'

# ---- an agent that has read nothing ---------------------------------------------------------------------------------
agent_stop
agent_cleanup
equal "nothing of the plugin is left either" "$(find "$RECORDS" 2>/dev/null; in_ns node bpftool -j net show | jq -c '[.[].tc[]? | select(.name | startswith("bh_"))]')" '[]'
exec 9>>"$MANIFESTS/unread.yaml"
agent_start 9>&-
born early shop "app: early, tier: back"
link_up early
serve early 80/tcp
# shellcheck disable=SC2317 # called by until_true
says() { [ "$(cni_code "$(cni STATUS early)")" = "$1" ]; }
check "STATUS: no pod can start, and devices that are there are shut" until_true 20 says 51
err=$(CNI_CONF=',"timeoutSeconds":1' cni ADD early 2>&1 >/dev/null)
matches "before anything is read a pod starts closed" "$err" 'starts closed.*has not read yet'
PROBE_MS=300 expect "closed before the first sync" <<<'silent web early 80 tcp'
exec 9>&-
manifest_rm unread
sync
check "in force by itself afterwards" until_true 20 in_state early enforce
expect "with its policy" <<-EOT
	open   web   early 80 tcp
	silent world early 80 tcp
EOT
equal "STATUS is content" "$(cni STATUS early)" ""

# ---- a pod that moves its side of the veth ---------------------------------------------------------------------------
# Out and back, while another device takes its index: it comes back with another one, and with the address of a pod that
# waits. All that before its own object is known.
namespace bank
NAMESPACE[mover]=shop
link_up mover
CNI_CONF=',"timeoutSeconds":1' cni ADD mover >/dev/null 2>&1
ns_new aside
index=$(ip -n "$P-mover" -j link show eth0 | jq '.[0].ifindex')
ip -n "$P-mover" link set eth0 netns "$P-aside"
ip -n "$P-mover" link add index "$index" taken type bridge
ip -n "$P-aside" link set eth0 netns "$P-mover"
POD4[victim]=10.$NET_A.$NET_B.200 POD6[victim]=fd00:$HEX::c8
ip -n "$P-mover" -b - <<-EOT
	addr add ${POD4[mover]}/32 dev eth0
	addr add ${POD6[mover]}/128 dev eth0 nodad
	addr add ${POD4[victim]}/32 dev eth0
	link set eth0 up
	route add $GW4 dev eth0
	route add $GW6 dev eth0
	route add default via $GW4 src ${POD4[mover]}
	route add default via $GW6 src ${POD6[mover]}
EOT
serve mover 80/tcp
pod_manifest victim bank
sync
born mover shop "app: mover, tier: back"
check "a device stays its pod's wherever its other side was" until_true 20 in_state mover enforce
check "and gives no other pod a device" until_true 20 told "carries ${POD4[victim]}, the address of pod bank/victim, which waits"
expect "with its policy" <<-EOT
	open   web   mover 80 tcp
	silent world mover 80 tcp
EOT
cni DEL mover
manifest_rm pod-victim

# ---- many at once -------------------------------------------------------------------------------------------------------
many=()
for i in $(seq 12); do many+=("many$i"); done
pods=40
for i in "${many[@]}"; do
	born "$i" shop "app: many, tier: back"
	link_up "$i"
done
sync
before=$(grep -c 'in force' "$WORK/agent.log")
adds=()
for i in "${many[@]}"; do
	cni ADD "$i" >/dev/null 2>"$WORK/$i.err" &
	adds+=($!)
done
wait "${adds[@]}"
equal "many at once, all in force" "$(cat "$WORK"/many*.err; for i in "${many[@]}"; do endpoint "$i" .state; done | sort | uniq -c | xargs)" "12 enforce"
cycles=$(($(grep -c 'in force' "$WORK/agent.log") - before))
check "in fewer cycles than pods ($cycles)" [ $cycles -lt 12 ]

# ---- GC ---------------------------------------------------------------------------------------------------------------
CNI_CONF=',"cni.dev/valid-attachments":[{"containerID":"container-early","ifname":"eth0"}]' cni GC early
equal "GC leaves what is valid" "$(status .endpoints.attachments) $(ls "$RECORDS")" "1 container-early@eth0"
end
