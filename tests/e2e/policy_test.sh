#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Peers by label, namespace and both; ports by number, range, name and protocol; relabelling.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop "team: retail"
namespace ops "team: ops"
pod web shop "app: web, tier: front"
pod api shop "app: api"
pod tool ops "app: tool"
pod probe ops "app: probe"
default_deny shop
agent_start
sync

policy api shop <<-EOT
	podSelector: {matchLabels: {app: api}}
	policyTypes: [Ingress]
	ingress:
	- from: [{podSelector: {matchLabels: {app: web}}}]
	  ports: [{port: 8080}]
	- from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchExpressions: [{key: app, operator: In, values: [probe]}]}}]
	  ports: [{port: http}, {port: 53, protocol: UDP}]
EOT
sync
expect "ingress is allowed, egress of the isolated peer is not" <<-EOT
	silent web api 8080 tcp
	open   probe api 80 tcp
	open   probe api 53 udp
	silent probe api 53 tcp
	silent probe api 8080 tcp
	silent probe api 80 udp
	silent probe api 0 icmp
	silent tool api 80 tcp
EOT

policy web shop <<-EOT
	podSelector: {matchLabels: {tier: front}}
	policyTypes: [Egress]
	egress:
	- to: [{podSelector: {matchLabels: {app: api}}}]
	  ports: [{port: 8000, endPort: 8100}]
	- to: [{namespaceSelector: {}}]
	  ports: [{port: dns, protocol: UDP}]
EOT
sync
expect "R7 R19 both sides allow: a range, a named port" <<-EOT
	open   web api 8080 tcp
	silent web api 80 tcp
	open   web tool 53 udp
	silent web tool 80 tcp
	silent web api 53 udp
	silent api web 8080 tcp
EOT

# reaches_peers WHAT OUTCOME FROM TO: after a change that was just written connections to port 80 end so, tried one by one. The
# bound is for slow machines: what is usual is told.
REACHES_MS=5000
# shellcheck disable=SC2317 # called by until_true
ends() { [ "$(PROBE_MS=50 probe "$2" "$3" 80 tcp 4)" = "$1" ]; } # OUTCOME FROM TO
reaches_peers() {
	local what=$1 begun=${EPOCHREALTIME/./} ms
	shift
	until_true $((REACHES_MS / 1000 + 5)) ends "$@"
	ms=$(((${EPOCHREALTIME/./} - begun) / 1000))
	if [ $ms -le $REACHES_MS ]; then pass "$what ($ms ms)"; else fail "$what" "$ms ms, at most $REACHES_MS"; fi
}
pod_manifest tool ops "app: probe"
reaches_peers "R36 a pod's label reaches its peers" open tool api
pod_manifest web shop "app: web, tier: back"
sync
expect "R36 relabelled: what the labels say now" <<-EOT
	open   tool api 80 tcp
	open   probe api 80 tcp
	silent web api 8080 tcp
	silent web tool 53 udp
EOT

namespace ops "team: strangers"
reaches_peers "R36 and a namespace's" silent tool api
sync
expect "R36 the namespace is relabelled" <<-EOT
	silent tool api 80 tcp
	silent probe api 53 udp
EOT

policy open shop <<<'{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}'
sync
expect "R42 an empty rule allows everything" <<-EOT
	open web api 80 tcp
	open tool api 0 icmp
	open api tool 53 udp
EOT
end
