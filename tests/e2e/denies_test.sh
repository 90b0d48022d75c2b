#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is denied is kept in detail as far as there is room, and makes room when it has been silent: nothing of it is lost
# to the records, and what comes again is told again.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

status() { ask '{"op":"status"}' | jq -c "$1"; }
kinds() { ask '{"op":"endpoint.get","namespace":"shop","name":"api"}' | jq '.denied | length'; }
try() { # PORT...: web's, all denied
	local port
	for port; do PROBE_MS=20 probe web api "$port" udp 4 >/dev/null; done
}
no_kinds() { [ "$(kinds)" = 0 ]; }
# The packets that records told of, and those that the exact counter has.
told() { jq -cs 'map(select(.destination.pod == "api") | .packets.forward) | add // 0' "$WORK/denies.json"; }
all_told() { [ "$(told)" = "$1" ]; }

node_up
namespace shop
pod web shop
pod api shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: []}'
agent_start --max-denied 64 --denied-forget 3600 --sweep-interval 1 --flow-sinks "json+file://$WORK/denies.json?filter=type%3Ddeny"
sync

try {1..12} # a pod's share is 8
equal "a pod has its share of the detail" "$(kinds)" 8
equal "what is beyond it is counted" "$(status .stats.denied_overflow)" 4
equal "totals are exact" "$(total api ingress policy-denied)" 12
check "what has detail is told" until_true 30 all_told 8
equal "nothing is forgotten before its time" "$(status .stats.denied_forgotten)" 0

agent_stop
agent_start --max-denied 64 --denied-forget 1 --sweep-interval 1 --flow-sinks "json+file://$WORK/denies.json?filter=type%3Ddeny"
sync
check "detail of what is silent makes room" until_true 30 no_kinds
equal "which is counted" "$(status .stats.denied_forgotten)" 8
try {9..16}
check "and there is room" until_true 30 all_told 16
check "which it makes again" until_true 30 no_kinds
try {13..16}
check "what comes again is told again" until_true 30 all_told 20
equal "totals are exact" "$(total api ingress policy-denied)" 24
equal "no more went without detail" "$(status .stats.denied_overflow)" 4
equal "nothing is lost" "$(status .flows.lost)" '{"ends":0,"denies":0,"names":0,"backends":0,"memory":0}'
