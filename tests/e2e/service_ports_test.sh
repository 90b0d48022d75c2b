#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R18: egress to a Service's address is judged on the pods and ports behind it: by what EndpointSlices say, whatever
# the Service's own ports, names and selectors are.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

# client NAME: standard input is the list of its policy's egress rules.
client() {
	pod "$1" shop
	{
		printf 'podSelector: {matchLabels: {app: %s}}\npolicyTypes: [Egress]\negress:\n' "$1"
		cat
	} | policy "$1" shop
}
backends="to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [near, far]}]}}]"

node_up "${1:-routed}"
remote_up
namespace shop
namespace depot
pod near shop "app: near, track: stable"
pod other shop
remote_pod far shop "app: far"
sed -i 's/name: http, containerPort: 80/name: http, containerPort: 8080/' "$MANIFESTS/pod-far.yaml"
serve world 80/tcp 80/udp

client target <<<"- {$backends, ports: [{port: 8080}]}"
client number <<<"- {$backends, ports: [{port: 5432}, {port: 1000}, {port: 1001}, {port: 80}, {port: 53, protocol: UDP}]}"
client named <<<"- {$backends, ports: [{port: http}]}"
client range <<<"- {to: [{podSelector: {matchLabels: {app: near}}}], ports: [{port: 8000, endPort: 8100}]}"
client label <<<'- {to: [{podSelector: {matchLabels: {track: stable}}}]}'
client block <<<"- {to: [{ipBlock: {cidr: $WORLD4/32}}, {ipBlock: {cidr: $WORLD6/128}}]}"
client virtual <<<"- {to: [{ipBlock: {cidr: $SERVICES4.0/24}}, {ipBlock: {cidr: '$SERVICES6:/64'}}]}"

service db shop "sql:5432/tcp:8080"
slice db shop db "sql:8080/tcp" near far
service multi shop "a:1000/tcp:80 b:1001/tcp:81 c:1002/udp:53"
slice multi shop multi "a:80/tcp b:81/tcp c:53/udp" near
service web shop "http:80/tcp:http"
slice web-old shop web "http:80/tcp" near
slice web-new shop web "http:8080/tcp" far
service some shop "http:80/tcp:8080"
slice some shop some "http:8080/tcp" near other
service six shop "http:80/tcp:8080" '.spec.clusterIPs |= reverse | .spec.clusterIP = .spec.clusterIPs[0]'
slice six shop six "http:8080/tcp" far
service picky shop "http:80/tcp:8080" '.spec.selector = {app: "near", track: "stable"}'
slice picky shop picky "http:8080/tcp" near
service outside shop "http:80/tcp" 'del(.spec.selector)'
slice outside shop outside "http:80/tcp" world
service aside shop "http:80/tcp:8080" 'del(.spec.selector)'
slice aside shop aside "http:8080/tcp" other
service single shop "http:80/tcp:8080:30099" '.spec.clusterIPs = [$v4] | .spec.ipFamilies = ["IPv4"]'
slice single shop single "http:8080/tcp" other
serve node 30099/tcp

ways() { # OUTCOME of what no policy allows
	cat <<-EOT
		open target db 5432@near tcp
		open target db 5432@far tcp
		$1   number db 5432@near tcp
		$1   number db 5432@far tcp
		open number multi 1000 tcp
		$1   number multi 1001 tcp
		open number multi 1002 udp
		$1   target multi 1000 tcp
		$1   target multi 1002 udp
		open named web 80@near tcp
		open named web 80@far tcp
		open named multi 1000 tcp
		$1   named db 5432@near tcp
		open named db 5432@far tcp
		$1   target web 80@near tcp
		open target web 80@far tcp
		open target some 80@near tcp
		$1   target some 80@other tcp
		open target six 80 tcp
		$1   number six 80 tcp
		open range db 5432@near tcp
		$1   range db 5432@far tcp
		open range picky 80 tcp
		$1   range multi 1000 tcp
		open label picky 80 tcp
		open label some 80@near tcp
		$1   label some 80@other tcp
		$1   label db 5432@far tcp
		open block outside 80 tcp
		$1   block aside 80 tcp
		$1   target outside 80 tcp
		$1   target aside 80 tcp
		$1   virtual db 5432 tcp
		$1   virtual outside 80 tcp
		$1   target node 30099 tcp 4
		open target node 30099 tcp 6
	EOT
}
check_ways() { # one check for each part of R18
	local name part
	while IFS=';' read -r name part; do
		expect "r18_$name, iptables" < <(ways silent | grep -E " ($part) [0-9]")
	done <<-EOT
		port_is_not_target_port;(target|number|range) db
		named_target_port;[a-z]+ web|named [a-z]+
		several_ports;[a-z]+ multi
		partly_allowed;[a-z]+ some
		secondary_cluster_ip;[a-z]+ six
		extra_label_selector;label [a-z]+|[a-z]+ picky
		no_selector;[a-z]+ (outside|aside)
		end_port_range;range [a-z]+
		node_port_of_one_family;target node
		the_address_itself_allows_nothing;virtual [a-z]+
	EOT
}

proxy iptables
expect "without an agent every way is open" < <(ways open)
agent_start
sync
PROBE_MS=300 check_ways
proxy nft
expect "r18_every_part, nft" < <(ways silent)
end
