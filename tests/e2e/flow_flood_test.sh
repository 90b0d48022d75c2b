#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# More flows than any place of the way has room for: an agent that does not run while they come, a ring that overflows, a
# collector that takes nothing behind a queue of 4 KiB. What was made is what was delivered and what was counted as lost.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

FIRST=20000 FLOWS=9000 ROUNDS=2
N=$((FLOWS * ROUNDS))
ALL=$WORK/all.json READ=$WORK/read.json

# A collector that takes nothing before its standard input ends.
collector_start() {
	mkfifo "$WORK/go"
	nsenter --net="/run/netns/$NODE_NS" python3 - "$WORK/sock" "$READ" "$WORK/go" >"$WORK/collector.log" 2>&1 <<-'EOT' &
		import socket, sys
		listening = socket.socket(socket.AF_UNIX)
		listening.bind(sys.argv[1])
		listening.listen()
		connection = listening.accept()[0]
		open(sys.argv[3]).read()
		with open(sys.argv[2], "wb", buffering=0) as out:
		    while data := connection.recv(65536):
		        out.write(data)
	EOT
	collector=$!
	until_true 20 test -S "$WORK/sock" || die "collector: $(cat "$WORK/collector.log")"
}
status() { ask '{"op":"status"}' | jq "$1"; }
sink() { status ".flows.sinks[] | select(.name | contains(\"$1\")) | .$2"; }
page() { in_ns node curl -s --max-time 10 http://127.0.0.1:9964/metrics; }
number() { page | grep -v "^#" | grep -F "$1" | grep -F "${2:-}" | sed 's/.* //'; } # SERIES [TEXT OF ITS LABELS]
lines() { grep -c . "$1"; }
passed_packets() { in_ns node nft -j list counter ip seen datagrams | jq '.nftables[].counter // empty | .packets'; } # behind the pod's programs
# All that was made is in the file, or was lost before any sink saw it.
told() { [ $(($(lines "$ALL") + $(status .flows.lost.ends))) = $N ]; }
handed_on() { [ "$(sink /sock queued)" = 0 ]; }

node_up
namespace shop
pod web shop
policy web shop <<<'{podSelector: {}, policyTypes: [Egress], egress: [{}]}'
in_ns world nft -f - <<<'table ip quiet { chain in { type filter hook input priority 0; meta l4proto udp drop; }; }'
in_ns node nft -f - <<<"table ip seen { counter datagrams { }; chain in { type filter hook prerouting priority 0; udp dport >= $FIRST counter name datagrams; }; }"
collector_start
FILTER=filter=type%3Dend%20protocol%3DUDP
agent_start --max-half-open 256 --sweep-interval 1 \
	--flow-sinks "json+unix://$WORK/sock?$FILTER&queue=4096 json+unix://$WORK/nobody?$FILTER&queue=4096 json+file://$ALL?$FILTER"
sync
for ((round = 0; round < ROUNDS; round++)); do
	kill -STOP "$agent"
	first=$((FIRST + round * FLOWS))
	in_ns web "$TRAFFIC" flood "$WORLD4" $first $((first + FLOWS - 1)) >/dev/null
	kill -CONT "$agent"
done
equal "each flow was a packet that passed" "$(passed_packets)" $N
ask '{"op":"ct.flush"}' >/dev/null # those that are still half open
check "what was made is told or was lost in the ring" until_true 30 told
lost=$(status .flows.lost.ends)
check "some was lost there" [ "$lost" -gt 0 ]
check "some was told" [ "$(lines "$ALL")" -gt 0 ]
equal "by a packet each" "$(jq -s 'map(.packets.forward + .packets.reverse) | add' "$ALL")" "$(lines "$ALL")"
equal "each flow once" "$(jq -r .id "$ALL" | sort -u | wc -l)" "$(lines "$ALL")"
full=$(sink /sock lost_full)
check "the collector's queue was full" [ "$full" -gt 0 ]
unsent=$(sink /nobody lost_error)
check "where nobody listens, too" [ "$unsent" -gt 0 ]
equal "the page says so, of the ring" "$(number 'bulkhead_flow_records_lost_total{cause="ends"}')" "$lost"
equal "of the queue" "$(number bulkhead_sink_lost_full_total /sock)" "$full"
equal "and of what could not be sent" "$(number bulkhead_sink_lost_error_total /nobody)" "$unsent"
# Places there are 256, and each of the flows wanted one.
evictions() { n=$(number 'bulkhead_half_open_evicted_total ') && [ "$n" -ge $((N - 512)) ] && [ "$n" -le $N ]; }
check "that half-open flows lost their places is counted" until_true 20 evictions
equal "as it is in status" "$(status .stats.half_open_evicted)" "$(number 'bulkhead_half_open_evicted_total ')"
exec {go}>"$WORK/go"
exec {go}>&-
check "it takes what waits" until_true 30 handed_on
delivered=$(sink /sock delivered) failed_by_error=$(sink /sock lost_error)
agent_stop
wait $collector
equal "it has read what counts as delivered" "$(lines "$READ")" "$delivered"
equal "whole records" "$(jq -c .type "$READ" | wc -l)" "$delivered"
equal "delivered and lost in the ring, the queue and the sink is what was made" \
	"$((delivered + full + failed_by_error + lost))" $N
