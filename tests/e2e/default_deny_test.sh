#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Default deny isolates both ways, both families, every protocol; pods that no policy selects stay open.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
namespace other
pod web shop
pod api shop
pod tool other
serve world 80/tcp 53/udp
agent_start
sync
expect "no policy: everything is open" <<-EOT
	open web api 80 tcp
	open api web 53 udp
	open tool web 80 icmp
	open world web 80 tcp
	open web world 53 udp
EOT

policy default-deny shop <<<'{podSelector: {}, policyTypes: [Ingress, Egress]}'
sync
expect "R26 R29 default deny: silence both ways, the node and the others pass" <<-EOT
	silent web api 80 tcp
	silent api web 53 udp
	silent web api 0 icmp
	silent tool web 80 tcp
	silent web tool 80 tcp
	silent world web 80 tcp
	silent web world 53 udp
	open   node web 80 tcp
	open   node api 53 udp
	open   node web 0 icmp
	open   world tool 80 tcp
	open   tool world 53 udp
EOT

policy default-deny shop <<<'{podSelector: {}, policyTypes: [Ingress]}'
sync
expect "R12 ingress only: egress is free, replies come" <<-EOT
	silent tool web 80 tcp
	silent web api 80 tcp
	open   web tool 80 tcp
	open   web world 53 udp
EOT

policy default-deny shop <<<'{podSelector: {}, policyTypes: [Egress]}'
sync
expect "egress only: ingress is free, replies go" <<-EOT
	open   tool web 80 tcp
	open   world api 80 tcp
	silent web tool 80 tcp
	silent api world 53 udp
EOT

policy default-deny shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}'
sync
expect "a selector: only what it selects is isolated" <<-EOT
	silent tool web 80 tcp
	open   tool api 80 tcp
	open   api tool 80 tcp
	silent api web 80 tcp
EOT

tracked web api >"$WORK/before"
matches "R32 under the policy its flows were kept track of" "$(cat "$WORK/before")" "^web "
policy_rm default-deny shop
sync
expect "R32 the policy is gone: everything is open again" <<-EOT
	open web api 80 tcp
	open api web 53 udp
	open world web 80 tcp
	open web world 53 udp
EOT
equal "R32 no program judges or tracks any more" \
	"$(state_of web) $(state_of api) $(tracked web api | comm -13 "$WORK/before" - | wc -l)" "open open 0"
end
