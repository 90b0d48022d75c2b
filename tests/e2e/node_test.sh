#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The own node reaches its pods under default deny; what it forwards or masquerades does not pass as the node.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
serve node 80/tcp 53/udp
ip netns exec "$NODE_NS" nft -f - <<-EOT || die "nft"
	table inet nat {
		chain post {
			type nat hook postrouting priority srcnat;
			iifname "up0" oifname "v*" masquerade
		}
	}
EOT
agent_start
sync
expect "masqueraded traffic reaches an open pod" <<<'open world web 80 tcp'
default_deny shop
sync
expect "R29 the node passes in every family and protocol" <<-EOT
	open node web 80 tcp
	open node web 53 udp
	open node web 0 icmp
EOT
for f in 4 6; do
	source=$NODE4
	[ $f = 4 ] || source=$NODE6
	equal "from the node's own address, v$f" "$(probe node web 80 tcp $f -s "$source")" open
done
expect "the world, masqueraded as the node, does not" <<-EOT
	silent world web 80 tcp
	silent world web 53 udp
	silent world web 0 icmp
EOT
expect "a pod reaches its node, by its status address and by the gateway" <<-EOT
	open web node 80 tcp
	open web node 53 udp
	open web $GW4 80 tcp 4
EOT
end
