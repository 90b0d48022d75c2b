#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `bulkhead report` of a running agent says what it says of the same manifests: objects of every kind, such that are not
# enforced as written, page by page, by way of a folder and of an API server. And it says what it is of.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

said() { sed '/^Scope: /d; /^  - /d' "$1"; } # a report but for what it is of
same_report() { # WHAT: the agent's report and that of the files
	bh report "$@" >"$WORK/live.txt"
	local live=$?
	bh report "$@" "$MANIFESTS" >"$WORK/files.txt"
	equal "$what: exit status" $live $?
	check "$what: the same text" diff <(said "$WORK/live.txt") <(said "$WORK/files.txt")
	check "$what: the same JSON" diff <(bh report -o json "$@" | jq 'del(.scope, .written)') \
		<(bh report -o json "$@" "$MANIFESTS" | jq 'del(.scope, .written)')
}
scope() { bh report -o json | jq -r ".scope | $1"; } # FILTER
others() { ask '{"op":"objects","max":1}' | jq -c '[.scope.problems[].where]'; } # problems that no object says itself

bare_pod() { # NAME NAMESPACE ADDRESS LABELS [SPEC]: of another node
	local spec=${5:-'containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]'}
	manifest "pod-$2-$1" <<-EOT
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: $2, uid: uid-$2-$1, labels: {$4}}
		spec: {nodeName: other, $spec}
		status: {phase: Running, podIPs: [{ip: $3}]}
	EOT
}

node_up
namespace shop "team: a"
namespace bank "team: b"
namespace empty
manifest ns-audit <<<'{apiVersion: v1, kind: Namespace, metadata: {name: audit, labels: {bulkhead.io/audit: "true"}}}'
pod web shop
bare_pod db shop 10.200.0.7 "app: db"
bare_pod till bank 10.200.0.8 "app: till"
bare_pod odd audit 10.200.0.9 "app: odd"
bare_pod host bank 10.200.0.10 "app: host" "hostNetwork: true"
manifest pod-done <<<'{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: shop, labels: {app: done}}, spec: {}, status: {phase: Failed}}'
for i in $(seq 40); do bare_pod "n$i" bank "10.201.0.$i" "app: many, n: \"$i\""; done
default_deny shop
default_deny audit
policy db shop <<-'EOT'
	podSelector: {matchLabels: {app: db}}
	ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.201.0.0/24]}}], ports: [{port: 1, endPort: 99, protocol: UDP}]}]
EOT
policy bad shop <<<'{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 0}]}]}'
manifest np-audit <<<'{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: tried, namespace: bank, annotations: {bulkhead.io/audit: "true"}}, spec: {podSelector: {}}}'
manifest cnp <<-'EOT'
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: teams}
	spec:
	  tier: Admin
	  priority: 5
	  subject: {namespaces: {matchLabels: {team: b}}}
	  ingress:
	  - {name: own, action: Pass, from: [{namespaces: {matchLabels: {team: b}}}]}
	  - {name: others, action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 1000, end: 6000}}}}]}
	  egress:
	  - {name: names, action: Accept, to: [{domainNames: [example.org]}, {networks: [192.0.2.0/24, "2001:db8::/32"]}]}
	  - {name: out, action: Deny, to: [{nodes: {}}, {networks: [0.0.0.0/0]}]}
EOT

what="no agent"
check "$what: an agent that cannot be reached" test "$(bh report >/dev/null 2>&1; echo $?)" = 3

agent_start
sync
what="a folder"
same_report --fail-on error
what="without a namespace"
same_report -i bank -i audit
matches "the bad policy is told" "$(said "$WORK/live.txt")" 'not enforced as written: NetworkPolicy shop/bad: spec.ingress\[0\]'
equal "what it is of" "$(scope '"\(.of) \(.node) \(.source) \(.path)"')" "agent $NODE dir $MANIFESTS"
matches "what it is not" "$(bh report | grep -E '^(Scope|  - )')" 'whole cluster cannot be told'
equal "what an object says itself is told once" "$(others)" "[]"
matches "a page says it, too" "$(bh report -o html)" "the agent of node $NODE holds it"

# ---- pages are of one moment --------------------------------------------------------------------------------
first=$(ask '{"op":"objects","max":7}')
id=$(jq .snapshot <<<"$first") total=$(jq .total <<<"$first")
policy_rm db shop
manifest_rm pod-shop-db
sync
next=$(jq .next <<<"$first") names=$(jq -c '.objects[] | [.kind, .metadata.namespace, .metadata.name]' <<<"$first")
while [ "$next" -lt "$total" ]; do
	page=$(ask "{\"op\":\"objects\",\"snapshot\":$id,\"after\":$next,\"max\":7}") || die "$page"
	names+=$'\n'$(jq -c '.objects[] | [.kind, .metadata.namespace, .metadata.name]' <<<"$page")
	next=$(jq .next <<<"$page")
done
equal "pages: each object once" "$(sort -u <<<"$names" | wc -l) $(wc -l <<<"$names")" "$total $total"
matches "pages: what has gone meanwhile is there" "$names" '\["Pod","shop","db"\]'
matches "pages: and gone afterwards" "$(ask "{\"op\":\"objects\",\"snapshot\":$id}")" '"ESTALE"'

snapshot() { ask '{"op":"objects","max":1}' | jq .snapshot; }
page() { ask "{\"op\":\"objects\",\"snapshot\":$1,\"after\":1,\"max\":1}" | jq -r '.code // .next'; } # SNAPSHOT
left=()
for i in 0 1 2 3; do left[i]=$(snapshot); done
equal "left behind: the first is asked for again" "$(page "${left[0]}")" 2
new=$(snapshot)
equal "left behind: of four, the one not asked for longest goes" \
	"$(for i in 1 0 2 3; do page "${left[i]}"; done; page "$new")" "ESTALE"$'\n2\n2\n2\n2'
for i in 1 2 3 4; do snapshot >/dev/null; done
matches "left behind: they keep nobody out" "$(bh report)" '^Scope: the cluster as the agent'
agent_stop

# ---- what cannot be read, and an agent that enforces nothing -------------------------------------------------
manifest np-worse <<<'{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: worse, namespace: shop}, spec: {podSelector: 7}}'
agent_start --mode audit
sync
matches "what cannot be read is told" "$(bh report)" 'not enforced as written: .*NetworkPolicy shop/worse: '
matches "and nothing else" "$(others)" '^\["[^"]*/np-worse.yaml: NetworkPolicy shop/worse"\]$'
matches "audit mode is told" "$(scope '.notes[]')" 'no policy isolates'
equal "and nothing is isolated" "$(bh report -o json | jq '[.namespaces[].workloads[] | .ingress.isolated, .egress.isolated] | any')" false
agent_stop
manifest_rm np-worse

# ---- an API server -------------------------------------------------------------------------------------------
api_start
agent_start_kube
api_sync
namespace "sync-$syncs" # what api_sync added
what="a server"
same_report
equal "what it is of" "$(scope '"\(.of) \(.source)"')" "agent kube"
equal "$what: what an object says itself is told once" "$(others)" "[]"
end
