#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What deploy/base puts on a node, deploy/uninstall takes off it: the containers of both DaemonSets, in their order, by
# an OCI runtime, on a node with pods. Nothing stays.
export UNDER=tests/deploy/contain
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/../e2e/_init.sh"
UNDER=$ROOT/tests/deploy/contain
. "$ROOT/tests/deploy/_render.sh"
KUBELET=$WORK/kubelet HOST_RUN=$WORK/host-run HOST_LIB=$WORK/host-lib
STATE=$HOST_LIB/bulkhead
export BULKHEAD_STATE_DIR=$STATE
RUN=$HOST_RUN/bulkhead SOCKET=$HOST_RUN/bulkhead/control.sock
NETD=$WORK/net.d BIN=$WORK/cni-bin
mkdir -p "$KUBELET" "$RUN" "$STATE" "$WORK/config" "$NETD" "$BIN" # as a kubelet makes folders of volumes
for folder in base uninstall; do
	render deploy/$folder | objects DaemonSet >"$WORK/$folder.json" || die "deploy/$folder does not render"
done
VOLUMES=$(jq -nc --arg bpf "$WORK/bpf" --arg run "$RUN" --arg host "$HOST_RUN" --arg kubelet "$KUBELET" --arg config "$WORK/config" \
	--arg state "$STATE" --arg lib "$HOST_LIB" \
	--arg conf "$NETD" --arg bin "$BIN" \
	'{bpf: $bpf, run: $run, "host-run": $host, state: $state, "host-lib": $lib, "kubelet-seccomp": $kubelet, config: $config,
		"cni-conf": $conf, "cni-bin": $bin}')
export VOLUMES
# pod_setup FOLDER: its init containers, one after the other, as a kubelet runs them
pod_setup() {
	local name
	while read -r name; do
		check "$1: $name ends with 0" env DAEMONSET="$WORK/$1.json" CONTAINER="$name" \
			nsenter --net="/run/netns/$NODE_NS" "$UNDER" bulkheadd </dev/null
	done < <(jq -r '.spec.template.spec.initContainers[].name' "$WORK/$1.json")
}
export DAEMONSET=$WORK/base.json

# A network plugin's own, as its installer may have written it.
cat >"$NETD/10-net.conflist" <<-EOT
	{ "name":"net" ,"cniVersion": "0.3.1",
	   "plugins": [ {"type":"bridge","mtu": 1500.0},
	{"type":"portmap","capabilities":{"portMappings":true}} ]}
EOT
chmod 600 "$NETD/10-net.conflist"
cp "$NETD/10-net.conflist" "$WORK/original"
touch "$BIN/bridge"

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
pod_setup base
check "the seccomp profile is where the kubelet looks" cmp "$KUBELET/bulkhead.json" deploy/seccomp/bulkhead.json
agent_start
sync
expect "enforced" <<<'silent web api 80 tcp'
equal "a pod starts by the plugin of the image" "$(jq -c '.plugins[-1]' "$NETD/10-net.conflist") $(cd "$BIN" && printf '%s ' *)" \
	"{\"type\":\"bulkhead-cni\",\"socket\":\"$SOCKET\",\"records\":\"$RUN/cni\"} bridge bulkhead-cni "
check "which runs outside of it" env CNI_COMMAND=VERSION "$BIN/bulkhead-cni" </dev/null
DAEMONSET=$WORK/uninstall.json CONTAINER=cleanup in_ns node "$UNDER" bulkheadd >"$WORK/said" 2>&1
equal "beside an agent nothing is cleaned up" $? 1
matches "and it says why" "$(cat "$WORK/said")" 'an agent is running'
expect "so it is enforced as before" <<<'silent web api 80 tcp'
agent_stop
ids=$(pinned_ids)
matches "there is something to remove" "$ids" 'map '

pod_setup uninstall
until_true 5 gone "$ids"
equal "no pin, file, qdisc, map, program or link is left" "$(traces "$ids")" ""
check "the node's configuration is as it was" cmp "$NETD/10-net.conflist" "$WORK/original"
equal "with its mode, and the programs beside" "$(cd "$NETD" && stat -c '%n %a' -- * "$BIN"/*)" "10-net.conflist 600
$BIN/bridge 644"
equal "nor a file or folder of the node" "$(find "$KUBELET" "$HOST_RUN" "$HOST_LIB" -mindepth 1)" ""
expect "open again" <<-EOT
	open web api 80 tcp
	open api web 53 udp
EOT
mkdir -p "$RUN" "$STATE" # as a kubelet would for the next pod
pod_setup uninstall
equal "a second time there is nothing to do" "$(find "$KUBELET" "$HOST_RUN" "$HOST_LIB" -mindepth 1)" ""

# The pod stays until it is deleted, and leaves at once then.
DAEMONSET=$WORK/uninstall.json CONTAINER=wait nsenter --net="/run/netns/$NODE_NS" "$UNDER" bulkheadd >"$WORK/said" 2>&1 &
waiting=$!
until_true 20 pidof bulkhead-node
kill "$waiting"
wait "$waiting"
equal "the last container waits to be asked to end" "$? $(cat "$WORK/said")" "0 "
agent=''
end
