#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R38: A and AAAA asked at once on one socket, under default deny and a rule that allows DNS, through a Service's
# address: every question is answered, none has to be asked again.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
namespace kube-system
pod web shop
pod dns-a kube-system "k8s-app: kube-dns"
remote_pod dns-b kube-system "k8s-app: kube-dns"
pod stray kube-system
service dns kube-system "dns:53/udp dns-tcp:80/tcp"
slice dns kube-system dns "dns:53/udp dns-tcp:80/tcp" dns-a dns-b
pairs() { # WHAT [OPTIONS]
	local what=$1 f
	shift
	for f in 4 6; do
		equal "$what, v$f" "$(in_ns web "$TRAFFIC" pair -n 100 "$@" "$(address dns $f)" 53)" "rounds=100 lost=0"
	done
}
proxy iptables
pairs "without an agent"
default_deny shop
default_deny kube-system
policy dns shop <<-EOT
	podSelector: {}
	policyTypes: [Egress]
	egress:
	- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
	  ports: [{port: 53, protocol: UDP}, {port: 53}]
EOT
policy dns kube-system <<'EOT'
podSelector: {matchLabels: {k8s-app: kube-dns}}
ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]
EOT
agent_start
sync
pairs "r38_dns_pairs, all backends allowed, iptables"
# Mixed: one backend more, which nobody allows. Who asks the others does not notice.
slice stray kube-system dns "dns:53/udp dns-tcp:80/tcp" stray
sync
proxy
via dns-a
pairs "r38_dns_pairs, mixed, local, iptables" -p $((VIA - VIA % 200))
via dns-b
pairs "r38_dns_pairs, mixed, remote, iptables" -p $((VIA - VIA % 200))
proxy nft
via dns-a
pairs "r38_dns_pairs, mixed, local, nft" -p $((VIA - VIA % 200 + 100))
via dns-b
pairs "r38_dns_pairs, mixed, remote, nft" -p $((VIA - VIA % 200 + 100))
PROBE_MS=300 expect "r38_the_backend_that_nobody_allows_is_silent" <<<"silent web dns 53@stray udp"
slice_rm stray kube-system
sync
proxy
pairs "r38_dns_pairs, all backends allowed, nft"
equal "r38_nothing_else_was_dropped" "$(total dns-a ingress '.*') $(total web ingress 'policy-denied|cut')" "$(total dns-a ingress 'allowed|established') 0"
end
