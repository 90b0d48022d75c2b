#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R30: a pod cannot be blocked from itself: by its own address, and by every address of a Service that leads back to it.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
namespace depot
pod web shop
pod other shop
pod tool depot
hairpin web other
service self shop "http:80/tcp:8080:30080 dns:53/udp:53:30053" '.spec.externalIPs = ["198.51.100.7", "2001:db8::7"]'
slice self shop self "http:8080/tcp dns:53/udp" web
service pair shop "http:80/tcp:8080 dns:53/udp"
slice pair shop pair "http:8080/tcp dns:53/udp" web other
host_port web shop 31000 8080
to_itself() { # OUTCOME
	cat <<-EOT
		open web web 8080 tcp
		open web web 53 udp
		$1 web self 80 tcp
		$1 web self 53 udp
		$1 web node 30080 tcp
		$1 web node 30053 udp
		$1 web node 31000 tcp
		$1 web 198.51.100.7 80 tcp 4
		$1 web 2001:db8::7 53 udp 6
		$1 web pair 80@web tcp
		$1 web pair 53@web udp
	EOT
}
to_others() { # OUTCOME
	cat <<-EOT
		$1 web pair 80@other tcp
		$1 web pair 53@other udp
		$1 other pair 80@web tcp
		$1 other self 80 tcp
		$1 other node 31000 tcp
		$1 tool self 53 udp
		$1 world node 30080 tcp
	EOT
}
proxy iptables
expect "without an agent every way is open" < <(to_itself open; to_others open)
default_deny shop
agent_start
sync
PROBE_MS=500
for mode in iptables nft; do
	proxy $mode
	expect "r30_a_pod_reaches_itself, ${1:-routed}, $mode" < <(to_itself open)
	expect "r30_others_do_not, ${1:-routed}, $mode" < <(to_others silent)
done
# One stream for long: later packets, and a change of policy, meet the entry of the first.
for f in 4 6; do
	via web
	stream "t$f" web pair 80 tcp $f -p "$VIA" -i 2
	stream "u$f" web self 53 udp $f -i 2
done
namespace depot "team: other"
policy more shop <<<'{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}'
sync
for s in t4 t6 u4 u6; do
	tool_ask $s "echoed 20 5000"
	tool_ask $s "drain 3000"
	equal "r30_a_change_does_not_cut_it: $s" "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]}" "open 0 0"
done

manifest cnp <<-EOT
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: forbid}
	spec:
	  tier: Admin
	  priority: 1
	  subject: {pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: web}}}}
	  egress: [{name: none, action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {}}}]}]
EOT
sync
expect "r30_a_cluster_policy_binds_it" < <(to_itself silent)
end
