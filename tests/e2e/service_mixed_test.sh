#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Service of which policy allows some backends: those are reached through its address and no others, wherever they
# run and by whatever way the address is reached. The netfilter program is there while such a Service is.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
pod web shop
pod free shop
pod near shop
pod other shop
remote_pod far shop
remote_pod wrong shop
serve node 8080/tcp 80/udp 8081/tcp
serve remote 8080/tcp 80/udp 30080/tcp
hairpin web near other
service db shop "sql:5432/tcp:8080:30080 dns:53/udp:80:30053" '.spec.externalIPs = ["198.51.100.7", "2001:db8::7"] |
	.status.loadBalancer.ingress = [{ip: "198.51.100.8"}, {ip: "2001:db8::8"}]'
slice db shop db "sql:8080/tcp dns:80/udp" near other far wrong
service host shop "sql:5432/tcp:8080 dns:53/udp:80"
slice host shop host "sql:8080/tcp dns:80/udp" node remote other
host_port near shop 31000 8080
host_port other shop 31001 8080
egress() { # what web may reach besides the apps
	policy web shop <<-EOT
		podSelector: {matchLabels: {app: web}}
		policyTypes: [Egress]
		egress:
		- to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [near, far]}]}}$1]
		  ports: [{port: 8080}, {port: 80, protocol: UDP}]
	EOT
}
# Ways from web; $1: of what is forbidden, $2: of what is allowed behind a mixed Service.
by_cluster_ip() {
	cat <<-EOT
		$2 web db 5432@near tcp
		$2 web db 5432@far tcp
		$2 web db 53@near udp
		$2 web db 53@far udp
		$1 web db 5432@other tcp
		$1 web db 5432@wrong tcp
		$1 web db 53@other udp
		$1 web db 53@wrong udp
	EOT
}
by_host_network() {
	cat <<-EOT
		$2 web host 5432@node tcp
		$2 web host 53@node udp
		$1 web host 5432@remote tcp
		$1 web host 53@remote udp
		$1 web host 5432@other tcp
	EOT
}
by_node_port() {
	cat <<-EOT
		$2 web node 30080@near tcp
		$2 web node 30080@far tcp
		$2 web node 30053@near udp
		$1 web node 30080@other tcp
		$1 web node 30080@wrong tcp
		$1 web node 30053@wrong udp
		$2 web $GW4 30080@near tcp 4
		$1 web $GW4 30080@other tcp 4
	EOT
}
by_host_port() {
	cat <<-EOT
		open web node 31000 tcp
		$1   web node 31001 tcp
	EOT
}
by_external_address() {
	cat <<-EOT
		$2 web 198.51.100.7 5432@near tcp 4
		$1 web 198.51.100.7 5432@other tcp 4
		$2 web 2001:db8::7 53@far udp 6
		$1 web 2001:db8::7 53@wrong udp 6
	EOT
}
by_load_balancer() {
	cat <<-EOT
		$2 web 198.51.100.8 53@near udp 4
		$1 web 198.51.100.8 53@other udp 4
		$2 web 2001:db8::8 5432@far tcp 6
		$1 web 2001:db8::8 5432@wrong tcp 6
	EOT
}
ways="cluster_ip host_network node_port host_port external_address load_balancer"
all() { local way; for way in $ways; do "by_$way" "$@"; done; }
judged() { # MODE: a check for each
	local way
	for way in $ways; do
		expect "service_mixed_by_$way, $1" < <("by_$way" silent open)
	done
}
hook_is_off() { ! hook_in_force && [ -z "$(hook_links)" ]; }
to() { # FAMILY PORT [OPTIONS]: what becomes of a datagram to the Service from this port
	local f=$1 port=$2
	shift 2
	in_ns web "$TRAFFIC" probe -t "$PROBE_MS" "$@" "$(address db "$f")" "53@$port" udp
}

egress ""
proxies
for mode in $PROXIES; do
	proxy "$mode"
	expect "$mode, no agent: every way is open" < <(all open open)
done
agent_start --hook-grace 0 --watch-interval 1
sync
PROBE_MS=400
judged nft
check "service_hook_is_there_while_mixed" hook_in_force
links=$(hook_links)
equal "service_hook_is_there_while_mixed: two places, two families" "$(wc -l <<<"$links")" 4
for f in 4 6; do
	via near
	equal "service_mixed_datagrams_in_pieces, v$f" "$(to $f "$VIA" -b 4000)" open
	# The same ports, and by now they lead to another backend.
	equal "service_mixed_same_ports: one backend, v$f" "$(to $f "$VIA")" open
	v=$([ $f = 4 ] && echo ip || echo ip6)
	in_ns node nft insert rule "$v" kube-proxy service-SHOP-DB-DNS th sport "$VIA" goto "endpoint-SHOP-DB-DNS-${NUMBER[other]}"
	forget db near
	equal "service_mixed_same_ports: another that is forbidden, v$f" "$(to $f "$VIA")" silent
	proxy
	equal "service_mixed_same_ports: the first again, v$f" "$(to $f "$VIA")" open
	via other
	equal "service_mixed_datagrams_in_pieces: forbidden, v$f" "$(to $f "$VIA" -b 4000)" silent
done
expect "nobody else is concerned" <<-EOT
	open free db 5432@other tcp
	open free node 30080@wrong tcp
	open node db 5432@other tcp
	open web node 8081 tcp
EOT
expect "service_unknown_port_and_icmp_are_judged_as_an_address" <<-EOT
	silent web db 5433 tcp
	silent web db 0 icmp
EOT
expect "service_port_of_another_node_is_judged_as_an_address" <<<"silent web remote 30080 tcp"
for mode in ${PROXIES/nft/}; do
	proxy "$mode"
	judged "$mode"
done
proxy iptables
flow long4 web db 5432 tcp 4 near 8080
flow long6 web db 5432 tcp 6 far 8080

egress ", {ipBlock: {cidr: $REMOTE4/32}}, {ipBlock: {cidr: $REMOTE6/128}}"
sync
expect "a host-network backend of another node, by its address" <<-EOT
	open   web host 5432@remote tcp
	open   web host 53@remote udp
	silent web host 5432@other tcp
EOT

# Masqueraded on its way to a policed backend, a packet from afar is not the node's.
policy near shop <<<'{podSelector: {matchLabels: {app: near}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
sync
expect "r29_masqueraded_by_a_node_port_is_not_the_node" <<-EOT
	silent world node 30080@near tcp
	silent free  db 5432@near tcp
	open   web   db 5432@near tcp
	open   node  db 5432@near tcp
	open   world node 30080@other tcp
EOT
policy_rm near shop

# Nothing is mixed any more: the program leaves.
egress ", {podSelector: {}}"
slice host shop host "sql:8080/tcp dns:80/udp" remote
sync
proxy
check "service_hook_leaves_when_nothing_is_mixed" until_true 20 hook_is_off
check "service_hook_leaves_when_nothing_is_mixed: the kernel's, too" until_true 5 gone "$links"
expect "all backends are allowed" <<-EOT
	open web db 5432@other tcp
	open web db 53@wrong udp
	silent web host 5432 tcp
EOT
egress ""
slice host shop host "sql:8080/tcp dns:80/udp" node remote other
sync
proxy
check "service_hook_comes_back" hook_in_force
expect "service_mixed_by_every_way, mixed again" < <(all silent open)
flows_live "service_mixed: who is allowed has noticed nothing of all that" long4 long6

agent_stop
agent_start --force-off netfilter
sync
check "service_without_hook: the program is not there" until_true 10 hook_is_off
expect "service_mixed_by_every_way, no hook" < <(all silent silent)
flows_live "service_without_hook: connections that were there go on" long4 long6
matches "service_without_hook_is_a_problem" "$(bh status -o json | jq -r '.problems[].text')" 'netfilter'
end
