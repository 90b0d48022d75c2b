#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Work that fails is tried again by a timer, counts as not done, and holds up nobody else.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

status() { bh status -o json | jq -r "$1"; }
# shellcheck disable=SC2317 # called by until_true
is() { [ "$(status "$1")" = true ]; } # FILTER
# shellcheck disable=SC2317 # called by check
waiting_sync() { # NAMESPACE: a sync request is not answered
	! "$TRAFFIC" ask -t 300 "$SOCKET" "{\"op\":\"sync\",\"namespace\":\"$1\"}" >/dev/null 2>&1
}
starve() { # so few descriptors that no program can be loaded
	local n=0 left=6
	while [ $left -gt 0 ]; do
		[ -e "/proc/$agent/fd/$n" ] || left=$((left - 1))
		n=$((n + 1))
	done
	prlimit --pid "$agent" --nofile=$n:4096
}
feed() { prlimit --pid "$agent" --nofile=1024:4096; }
state() { ask '{"op":"endpoint.list"}' | jq -r ".endpoints[] | select(.name == \"$1\") | .state"; }

node_up
namespace shop
pod web shop
pod db shop
agent_start --max-cidrs 64 --watch-interval 3600 --sweep-interval 3600
sync
equal "all is well: ready" "$(status .ready)" true

# A pod is selected while its programs cannot be loaded: it is shut in, and nothing says that all is in force.
starve
default_deny shop
until_true 20 is '[.problems[] | select(.where == "endpoint shop/db")] | length == 1' || fail "the failure is told" "$(status .problems)"
equal "a policy that cannot be judged yet: not ready" "$(status .ready)" false
equal "nor applied" "$(status '.generation.applied < .generation.seen')" true
check "nor in sync" waiting_sync shop
equal "and the pod is shut in" "$(state db)" quarantine
expect "nobody passes" <<-EOT
	silent web db 80 tcp
	silent world db 80 tcp
EOT
feed
sync
equal "once it can be loaded: ready" "$(status '"\(.ready) \(.problems | length) \(.generation.applied == .generation.seen)"')" "true 0 true"
equal "and enforced" "$(state db)" enforce

# Many pods whose programs find no place: each has its turn, nobody spins, and each failure is told once.
for i in $(seq 2 40); do ln -s nowhere "$PIN/ep/$i"; done # where their pins would be
for i in $(seq 20); do link_up "p$i"; pod_manifest "p$i" shop; done
until_true 30 is '[.problems[] | select(.where | startswith("endpoint shop/p"))] | length == 20' || fail "each of them is told" "$(status .problems)"
equal "pods without programs: not ready" "$(status '"\(.ready) \(.generation.applied < .generation.seen)"')" "false true"
rounds=$(status .stats.attach_rounds)
tried=$(status .stats.attach_failures)
until_true 30 is ".stats.attach_rounds >= $((rounds + 4))" || fail "rounds of retries go on" "$(status .stats)"
now=$(status '"\(.stats.attach_rounds) \(.stats.attach_failures)"')
check "each is tried once in a round" test $((${now#* } - tried)) -le $(((${now% *} - rounds + 1) * 22))
equal "each is logged once" "$(grep -c 'endpoint shop/p' "$WORK/agent.log")" 20
rm "$PIN/ep"/{2..40}
sync
equal "all 22 are enforced" "$(status '"\(.ready) \(.endpoints.enforce)"')" "true 22"

# A table is full: the plan stops. What is in force stays, new pods are found and shut in, and it heals by itself.
junk() { # update|delete: 128 prefixes that nobody knows of
	local i key
	for i in $(seq 0 127); do
		key="80 00 00 00 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 00 $(printf %02x "$i")"
		[ "$1" = delete ] || key+=" value hex 01 00 00 00"
		echo "map $1 pinned $PIN/bh_cidr key hex $key"
	done >"$WORK/junk"
	bpftool batch file "$WORK/junk" >"$WORK/junk.out" 2>&1
}
blocks() { # NAMESPACE OCTET: fifteen of them
	{
		printf 'podSelector: {}\npolicyTypes: [Egress]\negress:\n- to:\n'
		for i in $(seq 0 2 28); do echo "  - ipBlock: {cidr: 100.$2.$i.0/24}"; done
	} | policy blocks "$1"
}
junk update
blocks shop 50
until_true 20 is '[.problems[] | select(.where == "tables" and (.text | test("table is full")))] | length == 1' || fail "the full table is told" "$(status .problems)"
equal "a plan that stops: not ready" "$(status '"\(.ready) \(.generation.applied < .generation.seen)"')" "false true"
namespace late
pod late late
default_deny late
until_true 20 grep -q "'late/late' found" "$WORK/agent.log" || fail "a new pod is found" "$(status .endpoints)"
until_true 20 is '.endpoints.waiting == 0' || fail "and has programs" "$(status .endpoints)"
expect "it is shut in, and the others are as before" <<-EOT
	silent world late 80 tcp
	silent late world 80 tcp
	silent web db 80 tcp
EOT
junk delete
sync
equal "once there is room: ready" "$(status '"\(.ready) \(.problems | length)"')" "true 0"
expect "and everything is in force" <<-EOT
	silent world late 80 tcp
	open node late 80 tcp
	silent web db 80 tcp
EOT
equal "the late pod under its policy" "$(state late)" enforce

# A tenant may replace all of its prefixes at once while every other tenant has used up its own share.
policy_rm blocks shop
for n in a b c d; do
	namespace $n
	link_up in-$n
	pod_manifest in-$n $n
	blocks $n "$(printf %d "'$n")"
done
sync
full=$(status '"\(.ready) \(.policy.cidrs) \(.problems | length)"')
matches "the table is full" "$full" '^true 6[0-4] 0$'
for n in a b c d; do blocks $n "$((1 + $(printf %d "'$n")))"; done
sync
equal "and is replaced" "$(status '"\(.ready) \(.policy.cidrs) \(.problems | length)"')" "$full"
end
