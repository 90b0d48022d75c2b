#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods that live for less than a reading of the tables takes place: one connection, one datagram that is denied, and they are
# gone. Their records, and those of whom they spoke to, name them all the same.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

RECORDS=$WORK/flows.json PODS=6
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# What the records say, each once: TYPE DIRECTION SOURCE DESTINATION
says() {
	jq -r '"\(.type) \(.direction) \(.source.pod // .source.kind)/\(.source.labels.app // "-") \(.destination.pod // .destination.kind)"' "$RECORDS" | sort -u
}
wanted() {
	local i
	for ((i = 0; i < PODS; i++)); do
		printf '%s\n' "start egress brief$i/job api" "end egress brief$i/job api" "deny egress brief$i/job api" \
			"start ingress brief$i/job api" "end ingress brief$i/job api"
	done | sort
}
told() { [ "$(says)" = "$(wanted)" ]; }

node_up
namespace shop
pod api shop
policy all shop <<<'{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{ports: [{port: 80}]}], ingress: [{ports: [{port: 80}]}]}'
agent_start --sweep-interval 1 --flow-sinks "json+file://$RECORDS"
sync
longest=0
for ((i = 0; i < PODS; i++)); do
	link_up brief$i
	pod_manifest brief$i shop "app: job"
	sync
	began=$(now_ms)
	outcome=$(probe brief$i api 80 tcp 4)
	in_ns brief$i "$TRAFFIC" flood "${POD4[api]}" 9000 9000 >/dev/null
	link_down brief$i
	took=$(($(now_ms) - began))
	manifest_rm pod-brief$i
	[ "$outcome" = open ] || fail "brief$i reaches api" "$outcome"
	[ $took -le $longest ] || longest=$took
done
sync
ask '{"op":"ct.flush"}' >/dev/null # what api still has of them
check "pods that are gone within a reading are named, at both ends (the longest lived $longest ms)" until_true 20 told
equal "all of them" "$(says)" "$(wanted)"
equal "their owner's numbers are right" \
	"$(jq -rs '[.[] | select(.direction == "egress") | .source.uid] | unique | length' "$RECORDS")" $PODS
equal "no name is lost" "$(ask '{"op":"status"}' | jq -c .flows.lost)" '{"ends":0,"denies":0,"names":0,"backends":0,"memory":0}'
