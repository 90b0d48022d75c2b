#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R29: what the node itself sends reaches its pods under default deny, in whatever name of the node's; nothing else does
# by looking like the node, and a pod on the host's network is no more than its node.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
pod web shop
pod api shop
serve node 8080/tcp
serve remote 8080/tcp
default_deny shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: agent}}}]}]}'
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: agent}}}]}]}'
host_pod() { # NAME NODE NODENAME: a pod on that node's own network
	manifest "pod-$1" <<-EOT
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: shop, uid: uid-$P-$1, labels: {app: agent}}
		spec: {nodeName: $3, hostNetwork: true, containers: [{name: main, ports: [{containerPort: 8080, hostPort: 8080}]}]}
		status: {phase: Running, podIP: $(address "$2" 4), podIPs: [{ip: $(address "$2" 4)}, {ip: "$(address "$2" 6)"}]}
	EOT
}
host_pod here node "$NODE"
host_pod there remote remote
agent_start
sync

# What kubelet sends: an HTTP request, a connection that is only opened, the first bytes of HTTP/2 (gRPC).
ask_pod() { # FAMILY PORT TEXT: what the pod answers; its server sends back what it got
	in_ns node bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf %b "$3" >&3 && IFS= read -rt 5 line <&3 && echo "${line%$'"'\r'"'}"' \
		_ "$(address api "$1")" "$2" "$3" 2>&1
}
for f in 4 6; do
	equal "r29_probe_http, v$f" "$(ask_pod $f 80 'GET /healthz HTTP/1.1\r\nHost: api\r\nUser-Agent: kube-probe/1.36\r\n\r\n')" "GET /healthz HTTP/1.1"
	equal "r29_probe_grpc, v$f" "$(ask_pod $f 8080 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')" "PRI * HTTP/2.0"
	check "r29_probe_tcp, v$f" in_ns node bash -c 'exec 3<>"/dev/tcp/$1/81"' _ "$(address api $f)"
	equal "r29_another_process_of_the_node, v$f" "$(in_ns node setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$TRAFFIC" probe "$(address api $f)" 80 tcp)" open
done

# Whatever the node is called: its addresses are followed as they come and go.
# shellcheck disable=SC2317 # called by name
as_node() { # OUTCOME FAMILY SOURCE
	[ "$(PROBE_MS=500 probe node api 80 tcp "$2" -s "$3" 2>&1)" = "$1" ]
}
for pair in "4 192.0.2.77/32" "6 2001:db8::77/128"; do
	read -r f cidr <<<"$pair"
	ip -n "$NODE_NS" addr add "$cidr" dev up1
	check "r29_an_address_that_comes, v$f" until_true 10 as_node open "$f" "${cidr%/*}"
	ip -n "$NODE_NS" addr del "$cidr" dev up1
	# Somebody else has it now.
	ip -n "$P-world" addr add "$cidr" dev lo
	ip -n "$NODE_NS" route add "$cidr" via "$(address world "$f")"
done
PROBE_MS=500
for pair in "4 192.0.2.77" "6 2001:db8::77"; do
	read -r f addr <<<"$pair"
	equal "r29_an_address_that_goes, v$f" "$(probe world api 80 tcp "$f" -s "$addr")" silent
done

# Forwarded, and masqueraded as the node.
in_ns node nft -f - <<-EOT || die "nft"
	table inet masq {
		chain post {
			type nat hook postrouting priority srcnat;
			iifname "up*" oifname { "v*", "cbr0" } masquerade
		}
	}
EOT
expect "r29_forwarded_and_masqueraded_is_not_the_node" <<-EOT
	silent world  api 80 tcp
	silent remote api 80 tcp
	silent world  api 80 udp
	open   node   api 80 tcp
EOT
# A pod selector that matches host-network pods gives their nodes' addresses nothing.
expect "r29_host_network_pods_are_never_enrolled" <<-EOT
	silent web remote 8080 tcp
	open   web node 8080 tcp
EOT
in_ns node nft delete table inet masq
expect "r29_host_network_pods_are_never_enrolled, as sources" <<-EOT
	silent remote api 80 tcp
	silent world api 80 tcp
EOT
equal "r29_host_network_pods_are_no_endpoints" \
	"$(bh endpoint list -o json | jq -r '[.. | .name? // empty] | map(select(. == "here" or . == "there")) | length')" 0
end
