#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The DaemonSet's container with the manifest's own arguments, as a kubelet starts it: the service account's token, the
# ConfigMap, the rendered roles; beside an API server. It is ready by the manifest's probe, enforces, and asks exactly
# what the roles grant. With everything switched on: the startup taint, too.
export UNDER=tests/deploy/contain
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/../e2e/_init.sh"
# shellcheck source=tests/e2e/_cni.sh
. "$(dirname "$0")/../e2e/_cni.sh"
UNDER=$ROOT/tests/deploy/contain
. "$ROOT/tests/deploy/_render.sh"
folder=deploy/overlays/startup-taint
render $folder >"$WORK/objects" || die "$folder does not render"
export DAEMONSET=$WORK/daemonset.json ACCOUNT=$API/serviceaccount NODE
objects DaemonSet <"$WORK/objects" >"$DAEMONSET"
NETD=$WORK/net.d BIN=$WORK/cni-bin
mkdir -p "$WORK/config" "$RUN" "$BULKHEAD_STATE_DIR" "$NETD" "$BIN"
printf '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"}]}' >"$NETD/10-n.conflist"
objects ConfigMap <"$WORK/objects" | jq -r '.data["bulkheadd.conf"]' >"$WORK/config/bulkheadd.conf"
printf 'report-lease=2\nreport-repeat=1\n' >>"$WORK/config/bulkheadd.conf" # so as not to wait for half an hour
jq -s '{apiVersion: "v1", kind: "List", items: map(select(.kind | test("Role")))}' "$WORK/objects" >"$WORK/rbac.yaml"
VOLUMES=$(jq -nc --arg bpf "$WORK/bpf" --arg run "$RUN" --arg config "$WORK/config" --arg state "$BULKHEAD_STATE_DIR" \
	--arg conf "$NETD" --arg bin "$BIN" \
	'{bpf: $bpf, run: $run, config: $config, state: $state, "cni-conf": $conf, "cni-bin": $bin}')
export VOLUMES
ask_probe() { # NAME: the answer to the manifest's probe, as the kubelet asks
	local url
	url=$(jq -r --arg probe "$1" '.spec.template.spec.containers[] | select(.name == "agent") | .[$probe].httpGet |
		"http://\(.host):\(.port)\(.path)"' "$DAEMONSET")
	in_ns node curl -s -o /dev/null -w '%{http_code}' "$url"
}
contained() { # as agent_start, by the manifest's arguments
	# shellcheck disable=SC2086 # a list of words
	nsenter --net="/run/netns/$NODE_NS" $UNDER bulkheadd >>"$WORK/agent.log" 2>&1 </dev/null &
	agent=$!
	"$TRAFFIC" ask -t 20000 "$SOCKET" '{"op":"version"}' >/dev/null 2>&1 ||
		die "the agent does not answer: $(tail -n 5 "$WORK/agent.log")"
}
executed() { # COMMAND...: in the container, with its environment, as `kubectl exec` does it
	local pid variables
	pid=$(pidof -s bulkheadd)
	mapfile -td '' variables <"/proc/$pid/environ"
	env -i "${variables[@]}" /usr/bin/nsenter -t "$pid" -m -r -w "$@"
}
asked() { api '{"op":"asked"}'; }
# shellcheck disable=SC2317 # called by until_true
all_asked() { [ "$(asked | jq -c .unused)" = '[]' ]; }
taints() { api "{\"op\":\"get\",\"resource\":\"nodes\",\"name\":\"$NODE\"}" | jq -r '[.spec.taints[]?.key] | join(" ")'; }

node_up
manifest node <<-EOT
	apiVersion: v1
	kind: Node
	metadata: {name: $NODE}
	spec: {taints: [{key: mine, effect: NoSchedule}, {key: bulkhead.io/agent-not-ready, effect: NoSchedule}]}
	status: {addresses: [{type: InternalIP, address: $NODE4}, {type: InternalIP, address: "$NODE6"}]}
EOT
namespace shop
pod web shop
pod api shop
default_deny shop
policy broken shop <<<'{podSelector: {}, ingress: [{ports: [{port: 90000}]}]}'
manifest cnp <<-EOT
	apiVersion: policy.networking.k8s.io/v1alpha2
	kind: ClusterNetworkPolicy
	metadata: {name: none}
	spec: {tier: Baseline, priority: 10, subject: {namespaces: {}}, ingress: []}
EOT
api_start --rbac "$WORK/rbac.yaml" --no-watchlist
api_show
KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=${API_URL##*:}
export KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT
contained
api_sync
expect "enforced" <<-EOT
	silent web   api 80 tcp
	silent world web 80 tcp
	open   node  web 80 tcp
EOT
equal "it knows its node by the manifest" "$(bh status -o json | jq -r .node)" "$NODE"
equal "alive, as the manifest asks" "$(ask_probe livenessProbe)" 200
check "ready, as the manifest asks" until_true 20 eval '[ "$(ask_probe readinessProbe)" = 200 ]'
equal "pods start by the plugin, as the plugin's own defaults are" "$(cat "$NETD/10-n.conflist")" \
	'{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},{ "type": "bulkhead-cni" }]}'
equal "and one can see it in the container" "$(executed /bulkhead cni status -o json | jq -c '[.conf_dir, .entry, .program, .agent.placed]')" \
	'["/host/etc/cni/net.d",true,true,true]'
matches "a pod that the watch has not shown is asked for" "$(cni_unknown web 20000)" '"ENOENT"'
until_true 30 all_asked
equal "pods may come to the node, as far as we are concerned" "$(taints)" mine
equal "everything that is granted is asked" "$(asked | jq -c .unused)" '[]'
equal "nothing else is" "$(asked | jq -c '[.asked[] | select(.allowed | not) | "\(.verb) \(.group)/\(.resource)"] | unique')" '[]'
agent_stop
expect "and enforced without it" <<<'silent web api 80 tcp'
end
