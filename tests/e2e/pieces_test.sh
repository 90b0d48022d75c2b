#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One pod sends datagrams in pieces without end, many more than the table remembers: another pod's still arrive.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod evil shop
pod web shop
pod api shop
default_deny shop
policy evil shop <<<'{podSelector: {matchLabels: {app: evil}}, policyTypes: [Egress], egress: [{}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 53, protocol: UDP}]}]}'
agent_start --max-fragments 64 # 8 a pod
sync
in_ns evil "$TRAFFIC" flood -b 4000 -n 50 "$WORLD4" 10000 10015 >"$WORK/flood" &
flood=$!
for i in 1 2 3 4 5; do
	equal "r22_datagrams_in_pieces_arrive_while_another_pod_floods ($i)" \
		"$(probe web api 53 udp 4 -b 4000) $(probe web api 53 udp 6 -b 4000)" "open open"
done
wait $flood
equal "the flood was complete" "$(cat "$WORK/flood")" "sent=800"
