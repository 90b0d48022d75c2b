#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R37 SCTP: associations that either side begins, chunk by chunk, on a real bridge. The chunks are made by hand,
# since not every kernel has SCTP.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up bridged
namespace shop
pod web shop
pod api shop
default_deny shop
policy web shop <<-EOT
	podSelector: {matchLabels: {app: web}}
	policyTypes: [Ingress, Egress]
	ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 9, protocol: SCTP}]}]
	egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 7, protocol: SCTP}]}]
EOT
policy api shop <<-EOT
	podSelector: {matchLabels: {app: api}}
	policyTypes: [Ingress, Egress]
	ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 7, protocol: SCTP}]}]
	egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 9, protocol: SCTP}]}]
EOT
agent_start
sync
wire web api

for family in 4 6; do
	type=$([ $family = 4 ] && echo 0x0800 || echo 0x86dd)
	out="eth $(mac web) $(mac api) $type ip $(address web $family) $(address api $family) 132 sctp"
	back="eth $(mac api) $(mac web) $type ip $(address api $family) $(address web $family) 132 sctp"
	# INIT 1, INIT ACK 2, COOKIE ECHO 10, COOKIE ACK 11, DATA 0, SHUTDOWN 7
	frames web api web egress <<-EOT
		policy-denied | a port that no rule has, v$family    | $out 40000 8 1
		policy-denied | a TCP port is none of SCTP, v$family | $out 40000 80 1
		pass          | INIT, v$family                       | $out 40000 7 1
	EOT
	frames api web api egress <<-EOT
		pass          | its answer, v$family                 | $back 7 40000 2
		policy-denied | the responder's own INIT, v$family   | $back 7 40000 1
	EOT
	frames web api web egress <<<"pass | the cookie, v$family | $out 40000 7 10"
	frames api web api egress <<<"pass | its answer, v$family | $back 7 40000 11"
	frames web api web egress <<<"pass | data, v$family | $out 40000 7 0 data 400"
	frames api web api egress <<<"pass | data the other way, v$family | $back 7 40000 0 data 400"
	frames api web api egress <<-EOT
		pass          | the other side begins, v$family      | $back 41000 9 1
		policy-denied | ... but not at this port, v$family   | $back 41000 7 1
	EOT
	frames web api web egress <<-EOT
		pass          | and is answered, v$family            | $out 9 41000 2
		policy-denied | by no INIT, v$family                 | $out 9 41000 1
	EOT
	frames api web api egress <<<"pass | its cookie, v$family | $back 41000 9 10"
	frames web api web egress <<<"pass | SHUTDOWN, v$family | $out 9 41000 7"
done
equal "one entry per association and pod" "$(connections web '.protocol == "SCTP"')-$(connections api '.protocol == "SCTP"')" 4-4
end
