# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# _cni.sh - pods that start by way of the CNI plugin; sourced after _init.sh. The test is the runtime: it makes a pod's
# namespace and veth as a plugin before ours does, and runs ours as the last of the chain.

RECORDS=$RUN/cni

cni_result() { # POD: what the plugin before ours made of it
	printf '{"cniVersion":"1.1.0","interfaces":[{"name":"v%s"},{"name":"eth0","sandbox":"/run/netns/%s"}],' \
		"${NUMBER[$1]}" "$P-$1"
	printf '"ips":[{"interface":1,"address":"%s/32"},{"interface":1,"address":"%s/128"}]}' "${POD4[$1]}" "${POD6[$1]}"
}

# cni COMMAND POD: as a runtime runs the plugin. CONTAINER, IFNAME, CNI_UID and CNI_CONF (further keys,
# `,"onAgentDown":"fail"`) may be set.
cni() {
	local command=$1 pod=$2
	printf '{"cniVersion":"1.1.0","name":"test","type":"bulkhead-cni","socket":"%s","records":"%s","prevResult":%s%s}' \
		"$SOCKET" "$RECORDS" "$(cni_result "$pod")" "${CNI_CONF:-}" |
		in_ns node env CNI_COMMAND="$command" CNI_CONTAINERID="${CONTAINER:-container-$pod}" \
			CNI_NETNS="/run/netns/$P-$pod" CNI_IFNAME="${IFNAME:-eth0}" CNI_PATH="$B" \
			CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=${NAMESPACE[$pod]};K8S_POD_NAME=$pod;K8S_POD_UID=${CNI_UID-uid-$P-$pod}" \
			"$B/bulkhead-cni"
}

# born POD NAMESPACE [LABELS]: its object as it is while the sandbox is being made: bound to this node, without an address.
born() {
	NAMESPACE[$1]=$2
	manifest "pod-$1" <<-EOT
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: $2, uid: ${CNI_UID-uid-$P-$1}, labels: {${3:-app: $1}}}
		spec:
		  nodeName: $NODE
		  containers:
		  - {name: main, ports: [{name: http, containerPort: 80}]}
		status: {phase: Pending}
	EOT
}
cni_code() { jq -r '.code // 0' <<<"$1"; } # of an error
cni_said() { jq -r '"\(.code) \(.msg)"' <<<"$1"; } # likewise: its code and its sentence
endpoint() { # POD FILTER
	ask "{\"op\":\"endpoint.get\",\"namespace\":\"${NAMESPACE[$1]}\",\"name\":\"$1\"}" | jq -r "$2"
}

# cni_unknown POD WAIT_MS: an ADD for a pod that nobody knows, on the device of POD.
cni_unknown() {
	ask "{\"op\":\"cni.add\",\"container\":\"unknown\",\"ifname\":\"eth0\",\"namespace\":\"shop\",\"name\":\"unknown\",\"uid\":\"u\",\"ifindex\":$(
		ip -n "$NODE_NS" -j link show "v${NUMBER[$1]}" | jq '.[0].ifindex'),\"wait_ms\":$2}"
}
