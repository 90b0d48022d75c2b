#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rig itself, with no agent: everything reaches everything, streams count, foreign programs see packets.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up "${1:-routed}"
pod web shop
pod api shop
serve world 80/tcp 53/udp
expect "all is open without an agent" <<-EOT
	open    web api 80 tcp
	open    web api 53 udp
	open    api web 80 icmp
	refused api web 99 tcp
	open    node web 80 tcp
	open    world web 80 tcp
	open    web world 53 udp
EOT
equal "an address that nobody has is silent" \
	"$(in_ns web "$TRAFFIC" probe -t 200 "10.$NET_A.$NET_B.250" 80 udp)" silent

for proto in tcp udp; do
	for family in 4 6; do
		stream "s-$proto$family" web api 80 $proto $family
		tool_ask "s-$proto$family" "echoed 20 5000"
		tool_ask "s-$proto$family" "drain 2000"
		equal "$proto v$family: all that was sent came back" "${R[echoed]} ${R[gaps]} ${R[state]}" "${R[sent]} 0 open"
		matches "$proto v$family: the server talks, too" "${R[heard]}" '^[1-9]'
	done
	server_report api 80
done
server_report api 80
equal "the server counted every stream" "${R[flows]} ${R[gaps]}" "4 0"

# Cutting the wire shows in the reports as the policies' cuts will.
ip -n "$NODE_NS" link set "v${NUMBER[api]}" down
tool_ask s-udp4 report
before=${R[echoed]}
tool_ask s-udp4 "sent 20"
equal "a cut wire: nothing comes back" "${R[echoed]}" "$before"
ip -n "$NODE_NS" link set "v${NUMBER[api]}" up
end
