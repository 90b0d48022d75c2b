# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# SPDX-License-Identifier: Apache-2.0
# _podman.sh - real containers on the rig's node: podman with runc and CNI networks, the plugins of
# containernetworking-plugins, and ours chained behind them.
#
# Sourced in place of tests/e2e/_init.sh. podman runs in the node's network namespace and in the test's PID and mount
# namespace, with every folder of its own, so all that it starts ends with the test; only control groups are the
# machine's, in one folder that the rig removes. Its container's name is what podman tells plugins: it is the pod's name,
# and its namespace's.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/_init.sh"

PODMAN=$WORK/podman
CNI=$B/bulkhead-cni
RECORDS=$RUN/cni
# Bridge has the lower half of the pods' subnet and IPv6, ptp the upper half, without IPv6: it waits more than a second
# until the kernel has seen that nobody else has the address.
BRIDGE4=10.$NET_A.$NET_B.0/25 BRIDGE6=$SUBNET6
PTP4=10.$NET_A.$NET_B.128/25

podman_up() {
	local folder
	for folder in /dev/shm /run/lock; do mount -t tmpfs tmpfs "$folder" || die "no tmpfs on $folder"; done
	for folder in /run/libpod /run/containers /var/lib/cni; do
		mkdir -p "$folder"
		mount -t tmpfs tmpfs "$folder" || die "no tmpfs on $folder"
	done
	mkdir -p "$PODMAN"/{bin,net.d,tmp,rootfs/bin}
	ln -s "$CNI" "$PODMAN/bin/bulkhead-cni"
	cat >"$PODMAN/containers.conf" <<-EOT
		[containers]
		cgroups = "no-conmon"
		default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "none"
		runtime = "runc"
		lock_type = "file"
		tmp_dir = "$PODMAN/tmp"
		[network]
		network_backend = "cni"
		cni_plugin_dirs = ["$PODMAN/bin", "/usr/lib/cni"]
	EOT
	export CONTAINERS_CONF=$PODMAN/containers.conf
	install "$B/tests/harness/traffic-static" "$PODMAN/rootfs/traffic" || die "no $B/tests/harness/traffic-static"
	install /bin/busybox "$PODMAN/rootfs/bin/busybox" || die "no busybox"
	tar -C "$PODMAN/rootfs" -c . | podman_do import -q - pod:1 >"$WORK/import" 2>&1 || die "$(cat "$WORK/import")"
}
podman_do() {
	in_ns node podman --root "$PODMAN/root" --runroot "$PODMAN/runroot" --storage-driver vfs --runtime runc \
		--cni-config-dir "$PODMAN/net.d" "$@"
}

# The plugins that make devices, as configurations.
bridge_plugin() {
	jq -nc --arg v4 "$BRIDGE4" --arg v6 "$BRIDGE6" --arg data "$PODMAN/ipam" '
		{type: "bridge", bridge: "cni0", isGateway: true, ipam: {type: "host-local", dataDir: $data,
			ranges: [[{subnet: $v4}], [{subnet: $v6}]], routes: [{dst: "0.0.0.0/0"}, {dst: "::/0"}]}}'
}
ptp_plugin() {
	jq -nc --arg v4 "$PTP4" --arg data "$PODMAN/ipam" '
		{type: "ptp", ipam: {type: "host-local", dataDir: $data, ranges: [[{subnet: $v4}]], routes: [{dst: "0.0.0.0/0"}]}}'
}
# our_plugin [JSON]: ours, with these keys besides.
our_plugin() {
	jq -nc --arg socket "$SOCKET" --arg records "$RECORDS" --argjson more "${1:-{\}}" \
		'{type: "bulkhead-cni", socket: $socket, records: $records, timeoutSeconds: 20} + $more'
}
# network NAME VERSION PLUGIN...: a conflist.
network() {
	local name=$1 version=$2
	shift 2
	printf '%s\n' "$@" | jq -s --arg name "$name" --arg version "$version" \
		'{cniVersion: $version, name: $name, plugins: .}' >"$PODMAN/net.d/.$name.tmp"
	mv "$PODMAN/net.d/.$name.tmp" "$PODMAN/net.d/$name.conflist"
}

# container NAME NETWORK [OPTION...] -- COMMAND...: runs to its end.
container() {
	local name=$1 network=$2 options=()
	shift 2
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	podman_do run --rm --name "$name" --net "$network" --cgroup-parent "/$(basename "$WORK")" "${options[@]}" pod:1 "$@"
}
container_rm() { # NAME...
	local name
	podman_do rm -f -t 0 "$@" >/dev/null
	for name; do
		[ ! -e "/run/netns/$P-$name" ] || ip netns del "$P-$name"
		unset "POD4[$name]" "POD6[$name]"
	done
}
# serving NAME NETWORK PORT/PROTO...: one that stays and echoes; for the rig it is a pod like others.
serving() {
	local name=$1 network=$2 pid
	shift 2
	container "$name" "$network" -d -- /traffic serve "$@" >/dev/null || return 1
	pid=$(podman_do inspect --format '{{.State.Pid}}' "$name")
	ip netns attach "$P-$name" "$pid" || die "the network namespace of $name"
	POD4[$name]=$(own_address "$name" 4) POD6[$name]=$(own_address "$name" 6)
}
own_address() { # NAME FAMILY
	ip -n "$P-$1" -j -"$2" addr show dev eth0 scope global | jq -r '[.[].addr_info[]? | .local // empty][0] // empty'
}

# container_object NAME LABELS: its namespace and its pod as an API server has them while the container starts:
# without an address.
container_object() {
	NAMESPACE[$1]=$1
	manifest "pod-$1" <<-EOT
		{apiVersion: v1, kind: Namespace, metadata: {name: $1}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: $1, uid: uid-$P-$1, labels: {$2}}
		spec: {nodeName: $NODE, containers: [{name: main}]}
		status: {phase: Pending}
	EOT
}
