#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory runs out under a policy that is too much for it: the agent is ended by the kernel, again at every start,
# while the tables go on enforcing and no flow notices. With memory given back the next start takes all over.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# A memory cgroup of this test's own, of version 2 where its controller is there, else 1; it is gone at the end.
group() {
	local root
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
		grep -qw memory "$root/cgroup.controllers" 2>/dev/null || continue
		echo +memory >"$root/cgroup.subtree_control" 2>/dev/null
		GROUP=$root/bulkhead-$P LIMIT=memory.max USED=memory.current EVENTS=memory.events KILLS='oom_kill '
		mkdir "$GROUP" 2>/dev/null && [ -e "$GROUP/$LIMIT" ] && return 0
		rmdir "$GROUP" 2>/dev/null
	done
	GROUP=/sys/fs/cgroup/memory/bulkhead-$P LIMIT=memory.limit_in_bytes USED=memory.usage_in_bytes
	EVENTS=memory.oom_control KILLS='oom_kill '
	mkdir "$GROUP" 2>/dev/null && [ -e "$GROUP/$LIMIT" ]
}
group_end() {
	[ ! -d "$GROUP" ] || until_true 5 rmdir "$GROUP"
}
finish() { # however the test ends
	local code=$?
	[ ! -d "${GROUP:-}" ] || agent_kill
	group_end
	(exit $code)
	end
}
limit() { echo "$1" >"$GROUP/$LIMIT"; }
kills() { sed -n "s/^$KILLS//p" "$GROUP/$EVENTS"; }
# The agent from now on is born in the group.
start() {
	(echo 0 >"$GROUP/cgroup.procs" && exec nsenter --net="/run/netns/$NODE_NS" "$B/bulkheadd" --source "dir:$MANIFESTS" \
		--node "$NODE" --pin-dir "$PIN" --run-dir "$RUN" --attach "$ATTACH" --max-peers 4096 --max-cidrs 131072 \
		--policy-share 100 --namespace-share 100 \
		--max-connections 4096 --max-denied 512 --max-totals 512) >>"$WORK/agent.log" 2>&1 </dev/null &
	agent=$!
}
ended() { ! kill -0 "$agent" 2>/dev/null; }
huge() { # 24,000 prefixes in six policies
	local i j
	for i in {0..5}; do
		{
			echo 'podSelector: {matchLabels: {app: api}}'
			echo 'ingress:'
			for ((j = 0; j < 4000; j++)); do
				echo "- {from: [{ipBlock: {cidr: 100.$((64 + i)).$((j / 250)).$((j % 250))/32}}], ports: [{port: $((1000 + j % 50))}]}"
			done
		} | policy "huge$i" shop
	done
}

node_up
namespace shop
pod web shop
pod api shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
if ! group; then
	echo "skip  no memory cgroup can be made here"
	exit 0
fi
trap finish EXIT
start
sync
stream s web api 80 tcp 4 -i 2
enforced() { # WHEN
	PROBE_MS=300 expect "r34_$1" <<-EOT
		open   web api 80 tcp
		silent web api 81 tcp
	EOT
}
enforced "before"

limit $(($(cat "$GROUP/$USED") + 6000000))
huge
check "r34_the_kernel_ends_an_agent_without_memory" until_true 30 ended
wait "$agent" 2>/dev/null
equal "as it does with such" "$([ "$(kills)" -ge 1 ] && echo killed)" killed
enforced "without_an_agent_the_tables_enforce"
start
check "r34_and_the_next_one" until_true 30 ended
wait "$agent" 2>/dev/null
enforced "a_start_that_fails_opens_nothing"
limit 1000000000
start
sync
equal "r34_with_memory_all_is_in_force" "$(bh status -o json | jq -c '[.generation.seen == .generation.applied, (.policy.cidrs > 24000), (.problems | length)]')" '[true,true,0]'
enforced "what_was_allowed_is_and_nothing_else"
tool_ask s "drain 3000"
equal "r34_the_flow_lost_nothing" "${R[state]} lost $((R[sent] - R[echoed])) gaps ${R[gaps]}" "open lost 0 gaps 0"
agent_stop
group_end
check "the group is gone" test ! -e "$GROUP"
