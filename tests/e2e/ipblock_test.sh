#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ipBlock with except, both families, both directions; a block matches pods, too.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
EXCEPT4=172.20.$NET_B.10 EXCEPT6=fd01:$HEX::10
ip -n "$P-world" -b - <<-EOT
	addr add $EXCEPT4/24 dev eth0
	addr add $EXCEPT6/64 dev eth0 nodad
EOT
serve world 80/tcp 53/udp
until_true 5 in_ns world "$TRAFFIC" probe -s "$EXCEPT6" "${POD6[web]}" 80 tcp
default_deny shop
policy web shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Ingress, Egress]
	ingress:
	- from: [{ipBlock: {cidr: 172.20.$NET_B.0/24, except: [$EXCEPT4/32]}}]
	  ports: [{port: 80}]
	egress:
	- to: [{ipBlock: {cidr: "$WORLD6/128"}}, {ipBlock: {cidr: "$SUBNET6", except: ["${POD6[api]}/128"]}}, {ipBlock: {cidr: 0.0.0.0/0, except: [$WORLD_SUBNET4]}}]
EOT
agent_start
sync
expect "ingress: the block, not its exception, not the other family" <<-EOT
	open   world web 80 tcp 4
	silent world web 81 tcp 4
	silent world web 80 tcp 6
EOT
equal "ingress: the exception is denied" "$(probe world web 80 tcp 4 -s "$EXCEPT4")" silent
expect "egress: blocks and exceptions" <<-EOT
	open   web world 80 tcp 6
	open   web world 53 udp 6
	silent web world 80 tcp 4
	silent web $EXCEPT6 80 tcp 6
	silent web $EXCEPT4 80 tcp 4
EOT

# The excepted address may be allowed by another item; a block that holds a pod's address matches the pod.
policy api shop <<-EOT
	podSelector: {matchLabels: {app: api}}
	policyTypes: [Ingress]
	ingress:
	- from: [{ipBlock: {cidr: 10.$NET_A.0.0/16}}, {ipBlock: {cidr: 172.20.$NET_B.0/28, except: [$EXCEPT4/32]}}, {ipBlock: {cidr: $EXCEPT4/32}}]
EOT
sync
equal "R13 another item allows what one excepts" "$(probe world api 80 tcp 4 -s "$EXCEPT4")" open
expect "a block that holds a pod's address matches the pod" <<-EOT
	open   web api 80 tcp 4
	silent web api 80 tcp 6
	open   world api 53 udp 4
EOT
end
