#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Service appears over flows that exist, and is deleted under flows that go through it.
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
allow() { # what web may reach besides near
	policy web shop <<-EOT
		podSelector: {matchLabels: {app: web}}
		policyTypes: [Egress]
		egress: [{to: [{podSelector: {matchLabels: {app: near}}}$1]}]
	EOT
}
allow ", {ipBlock: {cidr: $SERVICES4.0/24}}, {ipBlock: {cidr: '$SERVICES6:/64'}}"
# The proxy knows of the Service before the agent does: its address is an address like others, and allowed.
service db shop "sql:5432/tcp:8080 dns:53/udp:80"
slice db shop db "sql:8080/tcp dns:80/udp" near other
proxy nft
mkdir "$WORK/later"
mv "$MANIFESTS"/*-shop-db.yaml "$WORK/later"
agent_start
sync
for backend in near other; do
	flow "$backend-t4" web db 5432 tcp 4 $backend 8080
	flow "$backend-t6" web db 5432 tcp 6 $backend 8080
	flow "$backend-u4" web db 53 udp 4 $backend 80
	flow "$backend-u6" web db 53 udp 6 $backend 80
done
near="near-t4 near-t6 near-u4 near-u6" other="other-t4 other-t6 other-u4 other-u6"
# shellcheck disable=SC2086 # lists of words
{
	flows_live "service_unknown_is_an_address" $near $other
	mv "$WORK"/later/* "$MANIFESTS"
	sync
	flows_cut "service_appears_for_flows_that_exist: forbidden" $other
	flows_live "service_appears_for_flows_that_exist: allowed" $near
	PROBE_MS=400 expect "service_appears" <<-EOT
		open   web db 5432@near tcp
		silent web db 53@other udp
	EOT

	# Deleted, it is an address again; this policy allows that address, whatever is behind it.
	slice_rm db shop
	service_rm db shop
	sync
	flows_live "service_deleted_under_live_flows" $near
	flows_again "service_deleted: judged as an address" $other

	# Its address allowed by nobody, a connection that began through the Service is judged on the backend it has.
	service db shop "sql:5432/tcp:8080 dns:53/udp:80"
	slice db shop db "sql:8080/tcp dns:80/udp" near
	sync
	allow ""
	sync
	flow began-t4 web db 5432 tcp 4 near 8080
	flow began-t6 web db 5432 tcp 6 near 8080
	flows_live "service_with_one_backend" $near began-t4 began-t6
	slice_rm db shop
	service_rm db shop
	sync
	flows_live "service_deleted_under_live_flows: by their backends" began-t4 began-t6
	PROBE_MS=400 expect "service_deleted: its address is nobody's" <<<"silent web db 5432@near tcp"
}
end
