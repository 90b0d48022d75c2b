#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# /metrics: what the page says is what promtool accepts, in both formats; its sums are those of status, grow while pods
# leave, begin anew with an agent, and stay exact when policies are more than are told one by one.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

TEXT='text/plain;version=0.0.4'
OPEN='application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5'

page() { in_ns node curl -s --max-time 10 ${2:+-H "Accept: $2"} "http://127.0.0.1:9964$1"; } # PATH [ACCEPT]
# number NAME [LABELS]: the sum of the samples whose labels hold this text; -: there is none.
number() {
	page /metrics "$TEXT" | awk -v name="$1" -v labels="${2:-}" '
		{ split($1, part, "{") }
		part[1] == name && (labels == "" || index($0, labels)) { sum += $NF; n++ }
		END { if (n) printf "%.0f\n", sum; else print "-" }'
}
status() { bh status -o json | jq -r "$1"; }
counted() { total "$1" ingress policy-denied; } # POD: what endpoint.get says

node_up
namespace shop
pod web shop
pod api shop
pod job shop
default_deny shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}'
agent_start --sweep-interval 1
sync

# ---- formats ---------------------------------------------------------------------------------------------------------------
check "promtool accepts the text" bash -c "$(declare -f page in_ns); P=$P; page /metrics '$TEXT' | promtool check metrics"
in_ns node curl -s -D "$WORK/head" -o "$WORK/open" -H "Accept: $OPEN" http://127.0.0.1:9964/metrics
matches "OpenMetrics is what is asked for" "$(tr -d '\r' <"$WORK/head")" '^Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8$'
equal "and ends as it must" "$(tail -n 1 "$WORK/open")" '# EOF'
matches "a counter's family has no _total there" "$(cat "$WORK/open")" '^# TYPE bulkhead_dropped_packets counter$'
matches "and has its unit" "$(cat "$WORK/open")" '^# UNIT bulkhead_dropped_packets packets$'
in_ns node curl -s -D "$WORK/head" -o /dev/null http://127.0.0.1:9964/metrics
matches "text is what is not asked for" "$(tr -d '\r' <"$WORK/head")" '^Content-Type: text/plain; version=0.0.4'
equal "every series is told once" "$(page /metrics "$TEXT" | grep -v '^#' | sed 's/ [^ ]*$//' | sort | uniq -d)" ""

# ---- the same numbers as status --------------------------------------------------------------------------------------------
equal "memory of the kernel" "$(number bulkhead_table_bytes 'table="bh_ct"')" "$(status .tables.bh_ct)"
equal "room" "$(number bulkhead_table_max_entries 'table="bh_ct"')" "$(bpftool -j map show pinned "$PIN/bh_ct" | jq .max_entries)"
equal "pods by state" "$(number bulkhead_endpoints 'state="enforce"')" "$(status .endpoints.enforce)"
equal "the generation" "$(number bulkhead_generation_applied)" "$(status .generation.applied)"
equal "ready" "$(number bulkhead_ready) $(number bulkhead_ready_condition 'condition="tables"')" "1 1"
equal "rules" "$(number bulkhead_rules)" "$(status .policy.rules)"

# ---- denies are counted, by reason and by policy --------------------------------------------------------------------------
expect "traffic, some of it denied" <<-EOT
	open   web api 80 tcp
	silent web api 81 tcp
	silent world api 80 udp
	silent job web 80 tcp
EOT
denied_in=$(($(counted api) + $(counted web)))
out=$(total job egress policy-denied)
check "something was denied" [ $denied_in -gt 0 ]
equal "denied packets in" "$(number bulkhead_dropped_packets_total 'direction="ingress",reason="policy-denied"')" "$denied_in"
equal "and out" "$(number bulkhead_dropped_packets_total 'direction="egress",reason="policy-denied"')" "$out"
equal "the sum over policies is the same" "$(number bulkhead_policy_dropped_packets_total 'reason="policy-denied"')" "$((denied_in + out))"
equal "two policies isolate the pod: their namespace's" \
	"$(number bulkhead_policy_dropped_packets_total 'kind="default-deny",policy="shop/*"')" "$(counted api)"
equal "one isolates it: its name" \
	"$(number bulkhead_policy_dropped_packets_total 'direction="egress",reason="policy-denied",kind="default-deny",policy="shop/default-deny"')" "$out"
check "an allowing policy is named" [ "$(number bulkhead_policy_judgements_total 'kind="NetworkPolicy",policy="shop/api"')" -gt 0 ]
check "passes are counted" [ "$(number bulkhead_passed_packets_total 'direction="ingress"')" -gt 0 ]
check "and their bytes" [ "$(number bulkhead_passed_bytes_total 'direction="egress"')" -gt 100 ]

# ---- connections: of two streams each of both pods has its own entry -------------------------------------------------------
equal "none is left" "$(ask '{"op":"ct.flush"}' | jq .code)" null
stream four web api 80 tcp 4
stream six web api 80 tcp 6
tool_ask four "echoed 5 5000"
tool_ask six "echoed 5 5000"
tracked() { # what the page says of them
	[ "$(number bulkhead_table_entries 'table="bh_ct"') $(number bulkhead_table_entries 'table="bh_ct6"')" = "2 2" ] &&
		[ "$(number bulkhead_connections) $(number bulkhead_connections_of_pod_max)" = "4 2" ]
}
check "entries and connections are as many as there are" until_true 20 tracked
equal "a pod may have an eighth of the table" "$(number bulkhead_connections_of_pod_quota)" \
	"$(($(number bulkhead_table_max_entries 'table="bh_ct"') / 8))"
tool_stop four
tool_stop six

# ---- the process -----------------------------------------------------------------------------------------------------------
rss=$(number bulkhead_process_resident_memory_bytes) resident=$(status .rss_bytes)
check "memory is what status says, give or take a quarter" [ $((rss * 4 >= resident * 3 && rss * 3 <= resident * 4)) = 1 ]
cpu=$(page /metrics "$TEXT" | awk '$1 == "bulkhead_process_cpu_seconds_total" { print $2 }')
check "processor time is some, and no more than the kernel counts, who cuts two numbers to ticks" \
	awk -v page="$cpu" -v tick="$(getconf CLK_TCK)" '{ exit !(page > 0 && page <= ($14 + $15 + 2) / tick) }' "/proc/$agent/stat"

# ---- latency ---------------------------------------------------------------------------------------------------------------
before=$(number bulkhead_policy_delay_seconds_count 'kind="NetworkPolicy"')
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}'
sync
equal "a policy's way into the kernel is timed" "$(number bulkhead_policy_delay_seconds_count 'kind="NetworkPolicy"')" "$((before + 1))"
check "so are compiles" [ "$(number bulkhead_compile_seconds_count)" -gt 0 ]
check "and plans" [ "$(number bulkhead_apply_work_seconds_count)" -gt 0 ]

# ---- a pod leaves: what it was denied stays --------------------------------------------------------------------------------
sum=$(number bulkhead_dropped_packets_total 'reason="policy-denied"')
passes=$(number bulkhead_passed_packets_total)
manifest_rm pod-job
link_down job
check "a pod leaves" until_true 20 bash -c "$(declare -f ask); TRAFFIC=$TRAFFIC SOCKET=$SOCKET; ! ask '{\"op\":\"endpoint.get\",\"namespace\":\"shop\",\"name\":\"job\"}' >/dev/null 2>&1"
sync
equal "its denies do not" "$(number bulkhead_dropped_packets_total 'reason="policy-denied"')" "$sum"
check "nor its passes" [ "$(number bulkhead_passed_packets_total)" -ge "$passes" ]
equal "its policy keeps its own" \
	"$(number bulkhead_policy_dropped_packets_total 'direction="egress",reason="policy-denied",kind="default-deny",policy="shop/default-deny"')" "$out"

# ---- the next agent begins at 0, though tables hold what was ----------------------------------------------------------------
agent_stop
agent_start --metrics-policies 1 --flow-sinks "json+file://$WORK/flows.json"
sync
check "the tables still hold denies" [ "$(counted api)" -gt 0 ]
equal "an agent that starts counts from 0" "$(number bulkhead_dropped_packets_total 'reason="policy-denied"')" 0
expect "more is denied, by two policies' namespaces" <<-EOT
	silent web api 81 tcp
	silent api web 80 tcp
EOT
sum=$(number bulkhead_dropped_packets_total 'reason="policy-denied"')
check "it is counted" [ "$sum" -gt 0 ]
equal "with the others together the sum over policies is exact" "$(number bulkhead_policy_dropped_packets_total 'reason="policy-denied"')" "$sum"
check "one policy has its own" [ "$(page /metrics "$TEXT" | grep '^bulkhead_policy_.*policy="' | grep -v 'policy="other"' | sed 's/.*kind=/kind=/; s/}.*//' | sort -u | wc -l)" = 1 ]
check "the others are one" [ "$(number bulkhead_policy_dropped_packets_total 'kind="other",policy="other"')" != - ]

# ---- flows ------------------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2317 # called by until_true
sunk() { # all that the denied flows are told by is in the file, and counted so
	local lines
	lines=$(wc -l <"$WORK/flows.json") && [ "$lines" -gt 0 ] && [ "$(number bulkhead_sink_delivered_total)" = "$lines" ] &&
		[ "$(number bulkhead_sink_offered_total)" = "$lines" ] && [ "$(number bulkhead_sink_lost_full_total)" = 0 ] &&
		[ "$(number bulkhead_flow_records_total 'type="deny"')" -ge 4 ]
}
check "records of flows, and what a sink made of them" until_true 20 sunk
# ---- on the node's own address ------------------------------------------------------------------------------------------------
answer() { in_ns "$1" curl -s --max-time 10 "http://$2/$3" || echo "curl $?"; } # FROM ADDRESS:PORT PATH
for address in "$NODE4" "[$NODE6]"; do
	agent_stop
	agent_start --http "$address:9964"
	sync
	matches "from elsewhere at $address" "$(answer world "$address:9964" metrics)" '^bulkhead_ready 1$'
	matches "probes, too" "$(answer world "$address:9964" healthz)" '^ok'
	equal "and nowhere else" "$(answer node 127.0.0.1:9964 metrics) $(answer node '[::1]:9964' metrics)" "curl 7 curl 7"
done
