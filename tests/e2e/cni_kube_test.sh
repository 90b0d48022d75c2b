#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods that start by way of the CNI plugin beside an API server: none of them waits for the watch, and what was asked
# for and what the watch says later are one.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"
# shellcheck source=tests/e2e/_cni.sh
. "$(dirname "$0")/_cni.sh"

asked() { api '{"op":"status"}' | jq '.requests["get pods"] // 0'; }
silence() { api '{"op":"end","on":"watch pods","how":"silent"}' >/dev/null; } # until `drop`
# shellcheck disable=SC2317 # called by until_true
has_label() { bh endpoint list -o json | jq -e --arg n "$1" '.endpoints[] | select(.name == $n) | .ingress.isolated' >/dev/null; }

node_up
namespace shop
pod web shop
policy web-only shop <<-EOT
	podSelector: {matchLabels: {tier: back}}
	policyTypes: [Ingress]
	ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
EOT
api_start
api_show
agent_start_kube
api_sync

# ---- the watch has not shown it -----------------------------------------------------------------------------
silence
born db shop "app: db, tier: back"
api_show
link_up db
serve db 80/tcp
equal "ADD of a pod that the watch has not shown" "$(cni ADD db)" "$(cni_result db)"
equal "it was asked for" "$(asked)" 1
equal "in force, by its labels and the attachment's address" "$(endpoint db '"\(.state) \(.ingress.isolated) \(.addresses[0])"')" \
	"enforce true ${POD4[db]}"
expect "policed when ADD returns" <<-EOT
	open   web   db 80 tcp
	silent world db 80 tcp
EOT
api '{"op":"drop"}' >/dev/null
pod_manifest db shop "app: db, tier: back"
api_sync
equal "what the watch says later is the same pod" "$(endpoint db '"\(.state) \(.slot)"')" "$(endpoint db '"enforce \(.slot)"')"
expect "and policed as before" <<-EOT
	open   web   db 80 tcp
	silent world db 80 tcp
EOT
born next shop "app: next, tier: back"
api_sync
link_up next
cni ADD next >/dev/null
equal "shown by the watch, none is asked for" "$(asked)" 1

# ---- the watch shows the pod before it, and the runtime says no UID ---------------------------------------------------
CNI_UID=first born heir shop "app: heir, tier: back"
api_sync
silence
api_delete pods shop heir
CNI_UID=second born heir shop "app: heir"
api_show
link_up heir
serve heir 80/tcp
equal "ADD of a pod whose name was another's" "$(CNI_UID='' cni ADD heir)" "$(cni_result heir)"
equal "it is the new one" "$(endpoint heir '"\(.state) \(.ingress.isolated)"')" "open false"
expect "with its policy" <<<'open world heir 80 tcp'
api '{"op":"drop"}' >/dev/null
api_sync
equal "and stays the new one" "$(endpoint heir '"\(.state) \(.ingress.isolated)"')" "open false"

# ---- what the API says no to -----------------------------------------------------------------------------------
NAMESPACE[ghost]=shop
link_up ghost
out=$(cni ADD ghost)
matches "a pod that the API server does not know is refused" "$(cni_said "$out")" '^102 .*knows no such pod'
silence
CNI_UID=another born reborn shop "app: reborn"
api_show
link_up reborn
out=$(CNI_UID=first cni ADD reborn)
matches "or knows by another UID" "$(cni_said "$out")" '^102 .*another UID'
equal "neither has a record" "$(find "$RECORDS" -name '*ghost*' -o -name '*reborn*')" ""

# ---- an API server that is slow, and then is not -----------------------------------------------------------------
born slow shop "app: slow, tier: back"
api_show
link_up slow
serve slow 80/tcp
api '{"op":"fault","on":"get pods","status":429,"times":-1}' >/dev/null
err=$(CNI_CONF=',"timeoutSeconds":1' cni ADD slow 2>&1 >/dev/null)
matches "too many requests: closed, in time" "$err" 'starts closed.*HTTP 429'
PROBE_MS=300 expect "closed" <<<'silent web slow 80 tcp'
api '{"op":"clear"}' >/dev/null
api '{"op":"drop"}' >/dev/null
api_sync
check "in force once the watch shows it" until_true 20 has_label slow
expect "with its policy" <<-EOT
	open   web   slow 80 tcp
	silent world slow 80 tcp
EOT
end
