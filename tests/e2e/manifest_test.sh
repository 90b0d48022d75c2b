#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A manifest with a mistake: one sentence names file, object and field; its isolation holds; others load.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
agent_start
sync
problems() { ask '{"op":"status"}' | jq -r '.problems[] | "\(.where): \(.text)"'; }
equal "no problem to begin with" "$(problems)" ""

policy broken shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{ports: [{port: 0}]}]}'
policy fine shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}'
sync
said=$(problems)
matches "the sentence names file, object and field" "$said" 'np-shop-broken\.yaml.*shop/broken.*spec\.ingress\[0\]\.ports\[0\]\.port'
expect "the bad policy isolates and allows nothing; the good one is in force" <<-EOT
	silent web api 80 tcp
	open   api web 80 tcp
	silent api web 81 tcp
	open   node api 80 tcp
EOT

# No YAML at all: what the file held before stays.
printf 'kind: NetworkPolicy\n  metadata: [\n' | manifest np-shop-fine
sync
matches "a file that is no YAML is named" "$(problems)" 'np-shop-fine\.yaml'
expect "its last good content stays in force" <<-EOT
	open   api web 80 tcp
	silent api web 81 tcp
EOT

# A selector that cannot be read: nobody knows whom it isolates, so the predecessor stays.
policy broken shop <<<'{podSelector: {matchExpressions: [{key: app, operator: Resembles}]}, policyTypes: [Ingress]}'
policy fine shop <<<'{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: 81}]}]}'
sync
matches "an unreadable selector is named" "$(problems)" 'shop/broken.*spec\.podSelector'
expect "the predecessor isolates still; the mended file is in force" <<-EOT
	silent web api 80 tcp
	silent api web 80 tcp
	open   api web 81 tcp
EOT

# Several objects in a file, one of them bad, one of a kind that is not ours.
manifest mixed <<-EOT
	apiVersion: v1
	kind: ConfigMap
	metadata: {name: c, namespace: shop}
	---
	apiVersion: networking.k8s.io/v1
	kind: NetworkPolicy
	metadata: {name: bad, namespace: shop}
	spec: {podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingres]}
	---
	apiVersion: networking.k8s.io/v1
	kind: NetworkPolicy
	metadata: {name: good, namespace: shop}
	spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}
EOT
sync
matches "the bad one of several is named" "$(problems)" 'mixed\.yaml.*shop/bad.*spec\.policyTypes\[0\]'
expect "the good one of several is in force" <<<'open api web 8080 tcp'

manifest_rm mixed np-shop-broken np-shop-fine
sync
equal "mended: no problem is left" "$(problems)" ""
expect "and everything is open" <<-EOT
	open web api 80 tcp
	open api web 80 tcp
EOT
# Names of any bytes, and texts that were cut inside of a character, leave the answers JSON.
echo '{{' >"$MANIFESTS/"$'\xff\xfe.yaml'
manifest odd <<<"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: 'x$(printf 'é%.0s' {1..60})'}, spec: 5}"
sync
check "status is told of odd names" bh status
matches "bytes that are no text are spelled" "$(bh status -o json | jq -r '.problems[].where')" 'xff.xfe.yaml'
rm "$MANIFESTS/"$'\xff\xfe.yaml'
manifest_rm odd
sync

end
