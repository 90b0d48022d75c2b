#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits of the tables that policies are compiled into, each reached through a running agent: what a policy, a namespace and
# all together may have of prefixes and port classes, exact addresses, cells of dense and of sparse matrices. Who goes
# over is refused and named, isolates and allows nothing; others notice nothing; what fits again is in force.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_limits.sh
. "$(dirname "$0")/_limits.sh"

prefixes() { # NAMESPACE NAME FIRST COUNT: pods of the namespace, and so many blocks
	local i
	{
		printf 'podSelector: {}\ningress:\n- from:\n  - {podSelector: {}}\n'
		for ((i = $3; i < $3 + $4; i++)); do echo "  - {ipBlock: {cidr: 192.0.2.$i/32}}"; done
	} | policy "$2" "$1"
}
ports() { # NAMESPACE NAME FIRST COUNT: so many ports, each a rule
	local i
	{
		printf 'podSelector: {}\ningress:\n'
		for ((i = $3; i < $3 + $4; i++)); do echo "- {from: [{podSelector: {}}], ports: [{port: $i}]}"; done
	} | policy "$2" "$1"
}
grid() { # NAME APP COUNT WIDTH: COUNT peers, number i at WIDTH ports from 80 + i on
	local i j some
	{
		printf 'podSelector: {matchLabels: {app: %s}}\ningress:\n' "$2"
		for ((i = 0; i < $3; i++)); do
			some=''
			for ((j = 0; j < $4; j++)); do some+="${some:+, }{port: $((80 + i + j))}"; done
			echo "- {from: [{podSelector: {matchLabels: {n: x$i}}}], ports: [$some]}"
		done
	} | policy "$1" evil
}
far() { # COUNT: so many pods of another node, numbered by their label
	local i
	for ((i = 0; i < $1; i++)); do
		cat <<-EOT
			---
			{apiVersion: v1, kind: Pod, metadata: {name: far-$i, namespace: evil, labels: {far: x, n: x$i}}, spec: {nodeName: far},
			 status: {phase: Running, podIPs: [{ip: 172.31.0.$i}]}}
		EOT
	done | manifest far
}
refused() { # LIMIT WHO WHAT: the policy WHO needs more WHAT
	sync
	check "$1: who goes over it is named" named "$2\$" "needs more $3 of the table allows"
	equal "$1: nobody else is" "$(wheres | grep -cE 'shop/|,')" 0
	others "$1"
}
fits() { # LIMIT
	sync
	equal "$1: what fits is in force" "$(wheres)" ""
	expect "$1: and allows" <<<"open worse bad 80 tcp"
}
nothing() { # LIMIT: of what is allowed by the policy that is refused
	PROBE_MS=300 expect "$1: it isolates and allows nothing" <<<"silent worse bad 80 tcp"
}

node_up
namespace shop
namespace evil
namespace tenant
pod web shop
pod api shop
pod bad evil
pod worse evil "app: worse, n: x0"
pod guest tenant
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
agent_start --max-cidrs 40 --max-port-classes 60 --policy-share 50 --namespace-share 75 --max-peers 50 \
	--max-dense-cells 200 --max-dense-total 300 --max-sparse-cells 60
sync
stream s web api 80 tcp 4 -i 2

# ---- prefixes: 20 a policy, 30 a namespace, 40 in all ---------------------------------------------------------------------
prefixes evil one 0 20
prefixes evil two 20 11
refused "a namespace's prefixes" evil/two "address blocks than its namespace's share"
policy_rm two evil
prefixes tenant three 20 17
fits "all prefixes"
prefixes tenant four 40 4
refused "all prefixes" tenant/four "address blocks than the whole"
PROBE_MS=300 expect "all prefixes: the policy isolates" <<<"silent web guest 80 tcp"
policy_rm one evil
# shellcheck disable=SC2317 # called by until_true
fits_again() { [ -z "$(wheres)" ]; }
sync
check "all prefixes: with room it is back by itself" until_true 10 fits_again
policy_rm three tenant
policy_rm four tenant

# ---- port classes: 30 a policy, 45 a namespace, 60 in all ------------------------------------------------------------------
ports evil one 80 31
refused "a policy's port classes" evil/one "port classes than one policy's share"
nothing "a policy's port classes"
ports evil one 80 30
fits "a policy's port classes"
ports evil two 200 16
refused "a namespace's port classes" evil/two "port classes than its namespace's share"
policy_rm two evil
ports tenant three 300 30 # and one of shop
refused "all port classes" tenant/three "port classes than the whole"
ports tenant three 300 29
fits "all port classes"
policy_rm one evil
policy_rm three tenant

# ---- exact addresses ------------------------------------------------------------------------------------------------------------
far 60
policy far evil <<<'{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {far: x}}}, {podSelector: {matchLabels: {app: worse}}}]}]}'
refused "exact addresses" evil/far "peers than the whole"
nothing "exact addresses"
far 20
fits "exact addresses"
policy_rm far evil

# ---- cells: 200 of a dense matrix, 300 of all dense ones, 60 exceptions of sparse ones --------------------------------------------
grid wide bad 16 1
fits "a dense matrix's cells: beyond them it is sparse"
equal "a dense matrix's cells: only its exceptions are stored" "$(bh status -o json | jq .policy.sparse_cells)" 16
PROBE_MS=300 expect "a dense matrix's cells: as its rules say" <<<"silent worse bad 81 tcp"
grid wide bad 16 5
refused "exceptions of sparse matrices" evil/wide "cells than the whole"
nothing "exceptions of sparse matrices"
grid wide bad 12 1
fits "exceptions of sparse matrices"
grid twin worse 13 1
refused "cells of dense matrices" 'evil/(wide|twin)' "dense cells than the whole"
policy_rm twin evil
fits "cells of dense matrices"
tool_ask s "drain 5000"
equal "nothing of all that touched the flow" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"
end
