#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Behind real plugins: ptp and bridge with host-local make the pod's interface, ours is the last of the chain; what they
# answered comes out as they wrote it, and their DEL leaves nothing.
# shellcheck source=tests/cni/_plugin.sh
. "$(dirname "$0")/_plugin.sh"

PLUGINS=/usr/lib/cni
node_up
tool_start serve-world world serve 80/tcp 81/tcp
namespace shop
policy out shop <<<'{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{ports: [{port: 80}]}]}'
agent_start
sync

# link COMMAND PLUGIN POD CONF: one plugin of a chain, run as a runtime does.
link() {
	in_ns node env -i PATH="$PATH" CNI_COMMAND="$1" CNI_PATH="$PLUGINS" CNI_CONTAINERID="c-$3" CNI_IFNAME=eth0 \
		CNI_NETNS="/run/netns/$P-$3" CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=$3" \
		"$PLUGINS/$2" <<<"$4" 2>"$WORK/$2.err"
}
# chain POD VERSION CONF: its interface by the plugin of CONF, then ours; and all of it back.
chain() {
	local pod=$1 version=$2 first=$3 plugin
	plugin=$(jq -r .type <<<"$first")
	ns_new "$pod"
	NAMESPACE[$pod]=shop
	manifest "pod-$pod" <<<"{apiVersion: v1, kind: Pod, metadata: {name: $pod, namespace: shop}, spec: {nodeName: $NODE}, status: {phase: Pending}}"
	first=$(jq -c --arg v "$version" --arg data "$WORK/ipam" \
		'. + {cniVersion: $v, name: "net"} | .ipam += {type: "host-local", dataDir: $data, routes: [{dst: "0.0.0.0/0"}]}' <<<"$first")
	PREV=$(link ADD "$plugin" "$pod" "$first") || die "$plugin: $PREV"
	conf ".cniVersion = \"$version\" | .onTimeout = \"fail\""
	CONF="${CONF%\}},\"prevResult\":$PREV}"
	pod_plugin ADD "$pod"
	echoed "$plugin $version: ADD"
	in_ns "$pod" "$TRAFFIC" probe -t 700 "$WORLD4" 80 tcp "$WORLD4" 81 tcp >"$WORK/probes"
	equal "$plugin $version: its policy judges from the first packet on" "$(awk '{ print $NF }' "$WORK/probes" | tr '\n' ' ')" "open silent "
	if [ "$version" != 0.3.1 ]; then
		pod_plugin CHECK "$pod"
		quiet "$plugin $version: CHECK"
	fi
	pod_plugin DEL "$pod"
	quiet "$plugin $version: DEL"
	check "$plugin $version: DEL of the first plugin" link DEL "$plugin" "$pod" "$first"
	manifest_rm "pod-$pod"
	ip netns del "$P-$pod"
}
ptp='{"type": "ptp", "ipam": {"subnet": "10.'$NET_A.$NET_B'.128/25"}}'
bridge='{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipam": {"subnet": "10.'$NET_A.$NET_B'.0/25"}}'
ip -n "$P-world" route add "$SUBNET4" via "$NODE4" 2>/dev/null
chain p031 0.3.1 "$ptp"
chain p100 1.0.0 "$ptp"
chain b040 0.4.0 "$bridge"
chain b100 1.0.0 "$bridge"
sync
equal "no record is left" "$(ls -A "$RECORDS")" ""
equal "the agent knows no pod any more" "$(ask '{"op":"endpoint.list"}' | jq '.endpoints | length')" 0
end
