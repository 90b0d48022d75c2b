#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Datagrams in pieces: those of an allowed port pass whole, of another port not one piece, with and without a
# node that puts pieces together. A pod that calls its own Service reaches itself.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

VIP4=10.96.$NET_A.$NET_B VIP6=fd96:$HEX::80

node_up
namespace shop
pod web shop
pod api shop
policy web shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}'
policy api shop <<-EOT
	podSelector: {matchLabels: {app: api}}
	policyTypes: [Ingress]
	ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 53, protocol: UDP}]}]
EOT
agent_start
sync

pieces() { # HOW REASON COUNT: by which a datagram of 9000 bytes to another port is dropped at least so often
	local family bytes before
	for family in 4 6; do
		for bytes in 1473 9000 60000; do
			equal "R22 $bytes bytes in pieces pass, v$family, $1" \
				"$(PROBE_MS=3000 probe web api 53 udp $family -b $bytes)" open
		done
		before=$(total api ingress "$2")
		equal "R22 ... but not to another port, v$family, $1" \
			"$(PROBE_MS=500 probe web api 80 udp $family -b 9000)" silent
		check "R22 ... and counted, v$family, $1" reaches api ingress "$2" $((before + $3))
	done
}
pieces "as they are sent" fragment-unknown 6
equal "R22 pieces that the pod did not have to lose" "$(total api ingress fragment-overlap)" 0

# A Service in front of api, as nftables makes it: connection tracking joins pieces before they are forwarded.
in_ns node nft -f - <<-EOT || die "nftables"
	table inet service {
		chain before {
			type nat hook prerouting priority dstnat
			ip daddr $VIP4 dnat ip to ${POD4[api]}
			ip6 daddr $VIP6 dnat ip6 to ${POD6[api]}
		}
		chain after {
			type nat hook postrouting priority srcnat
			ip saddr ${POD4[api]} ip daddr ${POD4[api]} masquerade
			ip6 saddr ${POD6[api]} ip6 daddr ${POD6[api]} masquerade
		}
	}
EOT
# The kernel gives up on a datagram whose first piece is dropped.
pieces "joined on the way" policy-denied 1

POD4[service]=$VIP4 POD6[service]=$VIP6
expect "R30 a pod reaches itself by its address and by its Service, others do not by these ports" <<-EOT
	open   api api 80 tcp
	open   api api 80 udp
	open   api service 80 tcp
	open   api service 80 udp
	silent web api 80 tcp
	silent world service 80 tcp
	silent world service 80 udp
EOT
check "R30 which is what was counted" reaches api ingress hairpin 4
end
