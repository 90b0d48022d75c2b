#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel without the netfilter program: a mixed Service is denied, and of the flows that were there before, conntrack
# says whose backend is forbidden. Then one that gets the program, which ends what is forbidden from either end.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-routed}"
remote_up
namespace shop
pod web shop
pod near shop
pod other shop
remote_pod far shop
service db shop "sql:5432/tcp:8080 dns:53/udp:80"
slice db shop db "sql:8080/tcp dns:80/udp" near other far
allow() { # apps that web may reach
	policy web shop <<-EOT
		podSelector: {matchLabels: {app: web}}
		policyTypes: [Egress]
		egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [$1]}]}}]}]
	EOT
}

allow "near, other, far"
proxy iptables
agent_start --force-off netfilter
sync
for backend in near other far; do
	flow "$backend-t4" web db 5432 tcp 4 $backend 8080
	flow "$backend-t6" web db 5432 tcp 6 $backend 8080
done
flow other-u4 web db 53 udp 4 other 80
flow other-u6 web db 53 udp 6 other 80
allow "near, far"
sync
flows_cut "service_resolve_cuts_whose_backend_became_forbidden" other-t4 other-t6 other-u4 other-u6
flows_live "service_resolve_cuts_no_allowed_flow" near-t4 near-t6 far-t4 far-t6
PROBE_MS=400 expect "service_resolve: without the program mixed is denied" <<-EOT
	silent web db 5432@near tcp
	silent web db 53@near udp
	silent web db 5432@other tcp
EOT
check "service_resolve: and that is the reason" reaches web egress service-mixed 2

# With the program, and without what the agent knew of the flows. The client says nothing; the server goes on.
agent_stop
agent_start
sync
flows_live "service_hook_after_all: allowed flows go on" near-t4 near-t6 far-t4 far-t6
allow "near, other, far"
sync
flows_again "service_hook_after_all: allowed again" other-u4 other-u6
quiet() { in_ns web nft -f - <<<'table inet quiet { chain out { type filter hook output priority 0; udp dport 53 drop; }; }'; }
quiet
allow "near, far"
sync
flows_cut "service_replies_of_a_forbidden_backend_die" other-u4 other-u6
ask '{"op":"ct.flush","namespace":"shop","name":"web"}' >/dev/null # of policy's own memory, not conntrack's
equal "nobody knows these flows any more" "$(connections web '.protocol == "UDP"')" 0
flows_cut "service_unknown_replies_of_a_forbidden_backend_die" other-u4 other-u6
in_ns web nft delete table inet quiet
flows_cut "service_unknown_flow_to_a_forbidden_backend_dies" other-u4 other-u6

# Without the program again: what comes from a Service's address begins nothing, though the pod's ingress is open.
agent_stop
agent_start --force-off netfilter
sync
quiet
ask '{"op":"ct.flush","namespace":"shop","name":"web"}' >/dev/null
counted=$(total web ingress service-unasked)
flows_cut "service_without_hook_unknown_replies_of_a_forbidden_backend_die" other-u4 other-u6
check "service_without_hook_unknown_replies: and that is the reason" reaches web ingress service-unasked $((counted + 2))
end
