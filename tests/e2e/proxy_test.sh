#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rig's own kube-proxy, with no agent: the rules that it makes of objects lead where they should, in both modes.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
pod web shop
pod near shop
pod gone shop
remote_pod far shop
hairpin web near
in_ns node sh -c "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit"
serve node 8080/tcp 80/udp
serve remote 8080/tcp 80/udp
service db shop "sql:5432/tcp:main:30080 dns:53/udp" '.spec.externalIPs = ["198.51.100.7", "2001:db8::7"] |
	.status.loadBalancer.ingress = [{ip: "198.51.100.8"}, {ip: "198.51.100.9", ipMode: "Proxy"}]'
slice db shop db "sql:8080/tcp dns:53/udp" near far gone=notready
service host shop "web:80/tcp udp:80/udp"
slice host shop host "web:8080/tcp udp:80/udp" node remote
service self shop "web:80/tcp udp:53/udp"
slice self shop self "web:8080/tcp udp:53/udp" web
service none shop "udp:80/udp:80:30081"
slice none shop none "udp:80/udp" gone=ended
service ending shop "web:80/tcp"
slice ending shop ending "web:80/tcp" near=terminating
host_port near shop 31000 8080

proxies
for mode in $PROXIES; do
	proxy "$mode"
	expect "$mode: every way to a backend" <<-EOT
		open web db 5432@near tcp
		open web db 5432@far tcp
		open web db 53@near udp
		open web db 53@far udp
		open web db 5432 tcp
		open web 198.51.100.7 5432@near tcp 4
		open web 2001:db8::7 5432@far tcp 6
		open web 198.51.100.8 5432 tcp 4
		open web node 30080@near tcp
		open world node 30080@near tcp
		open world node 30080@far tcp
		open node db 5432@far tcp
		open web host 80@node tcp
		open web host 80@remote tcp
		open web host 80@node udp
		open web host 80@remote udp
		open web self 80 tcp
		open web self 53 udp
		open web ending 80 tcp
		open web node 31000 tcp
		open world node 31000 tcp
		open near node 31000 tcp
	EOT
	expect "$mode: no endpoints, or no such port" <<-EOT
		refused web none 80 udp
		refused world node 30081 udp
		refused web node 5432 tcp
	EOT
	# Who answers: its server counts streams.
	for f in 4 6; do
		for backend in near far; do
			via $backend
			stream "s-$f" web db 5432 tcp $f -p "$VIA"
			tool_ask "s-$f" "echoed 5 5000"
			tool_stop "s-$f"
		done
	done
done
for backend in near far; do
	server_report $backend 8080
	equal "a source port chooses $backend" "${R[flows]}" $((2 * $(wc -w <<<"$PROXIES")))
done
proxy off
PROBE_MS=200 expect "no rules, no Service" <<<"silent web db 53 udp"
end
