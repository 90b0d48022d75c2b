#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a record says of time, growth and end is what happened: updates of a flow that lasts, its duration, the flags of TCP,
# when packets were dropped; and the history keeps the newest.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

RECORDS=$WORK/records.json HISTORY=200
# of JQ: its value over the array of all records of egress that are there.
of() { jq -cs "map(select(.direction == \"egress\")) | $1" "$RECORDS"; }
says() { [ "$(of "$1")" = true ]; } # JQ
ms() { echo $(($(date +%s%N) / 1000000)); }
# Times of records as milliseconds; `since` and `to` are the test's own: exact to about a second.
JQ='def ms: (.[:19] + "Z" | fromdate) * 1000 + (.[20:23] | tonumber);
	def within($from; $to): ms as $at | $at > $from - 1500 and $at < $to + 1500;'
# The whole history, page by page, by who has read the first record: how many records, the first one's number and the last one's, how many were overwritten.
history() {
	local after=1 page n=0 oldest='' newest='' lost=0
	while page=$(ask "{\"op\":\"flows\",\"after\":$after}") && [ "$(jq '.records | length' <<<"$page")" -gt 0 ]; do
		n=$((n + $(jq '.records | length' <<<"$page"))) lost=$((lost + $(jq .lost <<<"$page")))
		oldest=${oldest:-$(jq '.records[0].seq' <<<"$page")} newest=$(jq '.records[-1].seq' <<<"$page") after=$(jq .next <<<"$page")
	done
	echo "$n $oldest $newest $lost"
}
flush() { ask '{"op":"ct.flush"}' >/dev/null; } # all flows end
closed() { [ -z "$(in_ns web ss -Htn state established state fin-wait-1 state fin-wait-2 state last-ack state closing; in_ns api ss -Htn state established state fin-wait-1 state close-wait state last-ack)" ]; }

node_up
namespace shop
pod web shop
pod api shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: 80}, {port: 8080}]}]}'
agent_start --sweep-interval 1 --flow-update 1 --flow-history $HISTORY --flow-sinks "json+file://$RECORDS"
sync

# ---- a flow that lasts ------------------------------------------------------------------------------------------------
before=$(ms)
stream kept web api 80 tcp 4
begun=$(ms)
updates='map(select(.type == "update" and .destination.port == 80))'
goes_on() { tool_ask kept "echoed 20 5000" && says "$updates | length >= 3"; }
check "a flow that lasts is told again and again" until_true 60 goes_on
ending=$(ms)
tool_stop kept
check "it is closed by both" until_true 20 closed
flush
check "and told as over" until_true 20 says 'any(.type == "end")'
ended=$(ms)
equal "one flow, in order" "$(of '[(map(.id) | unique | length), .[0].type, .[-1].type, (.[1:-1] | map(.type) | unique[])]')" '[1,"start","end","update"]'
grows='. as $r | [range(1; length)] | all($r[.].packets.forward > $r[. - 1].packets.forward and $r[.].bytes.reverse > $r[. - 1].bytes.reverse)'
equal "counts grow from update to update" "$(of "$updates | $grows")" true
equal "and the end has all of it" "$(of '.[-1].packets.forward >= .[-2].packets.forward and .[-1].bytes.reverse >= .[-2].bytes.reverse')" true
# The two clocks that give a moment are read one after the other, and a busy machine may come between.
equal "last packets come later and later" "$(of "$JQ"' map(.last | ms) as $t | [range(1; $t | length)] | all($t[.] >= $t[. - 1] - 200)')" true
equal "of the same first packet" "$(of "$JQ"' map(.first | ms) | (max - min) <= 200')" true
equal "it began when it did" "$(of "$JQ .[-1].first | within($before; $begun)")" true
equal "and its last packet was when it was" "$(of "$JQ .[-1].last | within($ending; $ended)")" true
equal "its duration is from first to last" \
	"$(of "$JQ"' map(select(.duration_ms)) | length >= 4 and all((.last | ms) - (.first | ms) - .duration_ms | . >= -1 and . <= 1)')" true
lasted=$(of '.[-1].duration_ms') least=$((ending - begun - 1000)) most=$((ended - before + 1500))
check "and as long as it lasted: $lasted ms, $least to $most" test "$lasted" -ge $least -a "$lasted" -le $most
equal "TCP: both began and both ended" "$(of '.[-1].tcp_flags')" '{"forward":["SYN","ACK","FIN"],"reverse":["SYN","ACK","FIN"]}'
equal "which is closed" "$(of '.[-1].over')" '"closed"'

# ---- one that is torn down --------------------------------------------------------------------------------------------
in_ns web python3 - "${POD4[api]}" <<-'EOT'
	import socket, struct, sys
	with socket.create_connection((sys.argv[1], 8080)) as s:
	    s.send(b"." * 16)
	    s.recv(16, socket.MSG_WAITALL)
	    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) # closes by a reset
EOT
flush
torn='map(select(.destination.port == 8080 and .type == "end"))'
check "it is told as over" until_true 20 says "$torn | length == 1"
equal "by a reset, and whose" "$(of "$torn | .[0] | [.over, .tcp_flags.forward, .tcp_flags.reverse]")" \
	'["reset",["SYN","ACK","RST"],["SYN","ACK"]]'

# ---- what was denied ---------------------------------------------------------------------------------------------------
before=$(ms)
in_ns web "$TRAFFIC" flood -n 3 "${POD4[api]}" 9000 9000 >/dev/null
check "what is denied is told" until_true 20 says 'map(select(.type == "deny") | .packets.forward) | add == 3'
in_ns web "$TRAFFIC" flood -n 4 "${POD4[api]}" 9000 9000 >/dev/null
check "what comes later as well" until_true 20 says 'map(select(.type == "deny") | .packets.forward) | add == 7'
equal "from the first dropped packet to the last" \
	"$(of "$JQ"' map(select(.type == "deny")) | all(.first <= .last) and (map(.last) | . == sort)')" true
equal "as it was" "$(of "$JQ map(select(.type == \"deny\")) | all((.first, .last) | within($before; $(ms)))")" true

# ---- the history is as long as it is said to be ---------------------------------------------------------------------------
in_ns web "$TRAFFIC" flood -n 1 "${POD4[api]}" 9001 9300 >/dev/null
check "there are more records than it holds" until_true 30 says 'map(select(.destination.port > 9000)) | length == 300'
read -r n oldest newest lost <<<"$(history)"
equal "the history has so many" "$n $((newest - oldest + 1))" "$HISTORY $HISTORY"
equal "the newest" "$newest" "$(jq -s '.[-1].seq' "$RECORDS")"
equal "and says how many it has overwritten" "$lost" $((oldest - 2)) # behind the first
agent_stop # it hands on what waits
equal "nothing is missing in the file" "$(jq -cs '. as $r | [length == $r[-1].seq, ($r[-1].seq > 300)]' "$RECORDS")" '[true,true]'
all_valid "$RECORDS"
