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
lines() { grep -c . "$1"; }
passed_packets() { in_ns node nft -j list counter ip seen datagrams | jq '.nftables[].counter // empty | .packets'; } # behind the pod's programs
# All that was made is in the file, or was lost before any sink saw it.
told() { [ $(($(lines "$ALL") + $(status .flows.lost.ends))) = $N ]; }
handed_on() { [ "$(sink unix queued)" = 0 ]; }

node_up
namespace shop
pod web shop
policy web shop <<<'{podSelector: {}, policyTypes: [Egress], egress: [{}]}'
in_ns world nft -f - <<<'table ip quiet { chain in { type filter hook input priority 0; meta l4proto udp drop; }; }'
in_ns node nft -f - <<<"table ip seen { counter datagrams { }; chain in { type filter hook prerouting priority 0; udp dport >= $FIRST counter name datagrams; }; }"
collector_start
agent_start --max-half-open 256 \
	--flow-sinks "json+unix://$WORK/sock?filter=type%3Dend%20protocol%3DUDP&queue=4096 json+file://$ALL?filter=type%3Dend%20protocol%3DUDP"
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
full=$(sink unix lost_full)
check "the collector's queue was full" [ "$full" -gt 0 ]
exec {go}>"$WORK/go"
exec {go}>&-
check "it takes what waits" until_true 30 handed_on
delivered=$(sink unix delivered) failed_by_error=$(sink unix lost_error)
agent_stop
wait $collector
equal "it has read what counts as delivered" "$(lines "$READ")" "$delivered"
equal "whole records" "$(jq -c .type "$READ" | wc -l)" "$delivered"
equal "delivered and lost in the ring, the queue and the sink is what was made" \
	"$((delivered + full + failed_by_error + lost))" $N
