#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Backends come, go and change under streams that run for long: a flow whose own backend stays allowed loses nothing,
# one whose backend becomes forbidden is cut, and a Service without endpoints, or that is gone, cuts nobody.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_services.sh
. tests/e2e/_services.sh

node_up "${1:-bridged}" # the other tests of Services are on routed pods
remote_up
namespace shop
pod web shop
pod near shop
pod other shop
pod later shop
remote_pod far shop
remote_pod wrong shop
service db shop "sql:5432/tcp:8080 dns:53/udp:80"
backends() { slice db shop db "sql:8080/tcp dns:80/udp" "$@"; }
backends near other far
allow() { # apps that web may reach
	policy web shop <<-EOT
		podSelector: {matchLabels: {app: web}}
		policyTypes: [Egress]
		egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [$1]}]}}]}]
	EOT
}
new() { # WHAT: standard input as of expect, from now on with rules for the objects as they are
	PROBE_MS=400 expect "$1"
}
allow "near, other, far"
proxy nft
agent_start
sync
for backend in near other far; do
	flow "$backend-t4" web db 5432 tcp 4 $backend 8080
	flow "$backend-t6" web db 5432 tcp 6 $backend 8080
	flow "$backend-u4" web db 53 udp 4 $backend 80
	flow "$backend-u6" web db 53 udp 6 $backend 80
done
near="near-t4 near-t6 near-u4 near-u6" other="other-t4 other-t6 other-u4 other-u6" far="far-t4 far-t6 far-u4 far-u6"
# shellcheck disable=SC2086 # lists of words
{
	flows_live "service_rollout: all backends are allowed" $near $other $far

	backends near other far wrong
	proxy
	sync
	flows_live "service_rollout_a_forbidden_backend_joins: nobody is cut" $near $other $far
	new "service_rollout_a_forbidden_backend_joins: new flows" <<-EOT
		open   web db 5432@near tcp
		open   web db 53@far udp
		silent web db 5432@wrong tcp
		silent web db 53@wrong udp
	EOT

	allow "near, far"
	sync
	flows_cut "service_rollout_cuts_whose_backend_became_forbidden" $other
	flows_live "service_rollout_cuts_no_allowed_flow" $near $far
	allow "near, other, far, more"
	sync
	flows_again "service_rollout: allowed again, they go on" $other

	# A rollout: each backend gives way to another. The proxy leaves connections where they are.
	backends near=terminating other far later
	proxy
	sync
	flows_live "service_rollout_a_backend_ends: its flows go on" $near $far
	backends far later wrong
	proxy
	sync
	flows_live "service_rollout_a_backend_is_gone: its flows go on" $near $far
	new "service_rollout_what_replaces_it_is_judged_by_itself" <<-EOT
		silent web db 5432@later tcp
		silent web db 53@wrong udp
		open   web db 53@far udp
	EOT
	allow "far"
	sync
	flows_cut "service_rollout_gone_from_the_service_and_forbidden" $near
	flows_live "service_rollout_gone_from_the_service_and_forbidden: others" $far

	# None is left.
	backends far=notready
	proxy
	sync
	flows_live "service_empty_cuts_nobody" $far
	new "service_empty_denies_new_flows" <<-EOT
		silent web db 5432@far tcp
		silent web db 53@far udp
	EOT
	check "service_empty_is_the_reason" reaches web egress service-empty 2
	backends far
	proxy
	sync
	flows_live "service_empty_no_more" $far
	new "service_empty_no_more: new flows" <<<"open web db 5432 tcp"
}
end
