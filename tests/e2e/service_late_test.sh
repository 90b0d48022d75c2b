#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who translates is behind what the API says: nobody reaches by that what he may not reach.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
namespace shop
pod web shop
pod db shop
pod ok shop
policy web shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Egress]
	egress: [{to: [{podSelector: {matchLabels: {app: ok}}}]}]
EOT
service s shop "sql:5432/tcp:8080"
slice s shop s "sql:8080/tcp" db
proxy iptables
agent_start
sync
PROBE_MS=400
expect "before" <<-EOT
	silent web db 5432 tcp
	silent web s 5432@db tcp
EOT

slice s shop s "sql:8080/tcp" ok # the rules still lead to db
sync
expect "service_rules_of_before_lead_to_nobody_forbidden" <<<"silent web s 5432@db tcp"
proxy iptables
expect "service_rules_of_now_lead_to_who_is_allowed" <<<"open web s 5432@ok tcp"

service x shop "sql:5433/tcp:8080 dns:5434/udp:80" ".spec.externalIPs = [\"${POD4[db]}\", \"${POD6[db]}\"]"
slice x shop x "sql:8080/tcp dns:80/udp" ok # there are no rules for it yet
in_ns db "$TRAFFIC" serve 5433/tcp &
sync
expect "service_without_rules_is_what_its_address_is" <<<"silent web db 5433 tcp"
# What conntrack is told to leave alone is read as it is on the wire, whatever stands before its ports.
in_ns node nft -f - <<<'table inet untracked { chain pre { type filter hook prerouting priority raw; udp dport 5434 notrack; }; }'
wire web db
link="eth $(mac web) $(ip -n "$NODE_NS" -j link show "v${NUMBER[web]}" | jq -r '.[0].address')"
frames web db web egress <<-EOT
	backend-unknown | untracked                       | $link 0x0800 ip ${POD4[web]} ${POD4[db]} 17 udp 4001 5434 data 8
	backend-unknown | untracked                       | $link 0x86dd ip ${POD6[web]} ${POD6[db]} 17 udp 4001 5434 data 8
	backend-unknown | untracked, destination options  | $link 0x86dd ip ${POD6[web]} ${POD6[db]} 17 ext 60 udp 4001 5434 data 8
	backend-unknown | untracked, several headers      | $link 0x86dd ip ${POD6[web]} ${POD6[db]} 17 ext 0 ext 60 ext 43 ext 60 udp 4001 5434 data 8
EOT
in_ns node nft delete table inet untracked
proxy iptables
expect "service_with_rules_is_its_backend" <<-EOT
	open web db 5433@ok tcp
EOT
end
