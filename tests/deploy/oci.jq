# SPDX-License-Identifier: Apache-2.0
# A container of a rendered DaemonSet as a configuration for an OCI runtime, as a kubelet and its runtime make it:
# the pod's namespaces, the container's securityContext, its volumes. Input: the DaemonSet. Arguments: name (of
# the container), args (its arguments; null: its own), host (volume name -> path on this machine; a volume that
# is not there is an error), mounts (further bind mounts), env (what a kubelet adds), rootfs, netns, profiles (localhostProfile -> OCI
# seccomp object, "" for RuntimeDefault, which every runtime has of its own), cgroup.

def caps($sc): ($sc.capabilities.add // []) | map("CAP_" + .);

.spec.template.spec as $pod
| ([$pod.initContainers[]?, $pod.containers[]?][] | select(.name == $name)) as $c
| $c.securityContext as $sc
| if $sc.privileged then error("privileged") else . end
| if $sc.capabilities.drop != ["ALL"] then error("not all capabilities are dropped") else . end
| {
	ociVersion: "1.0.2",
	process: {
		terminal: false,
		user: { uid: $sc.runAsUser, gid: 0 },
		cwd: "/",
		args: (if $args then $c.command + $args else $c.command + ($c.args // []) end),
		env: (["PATH=/"] + $env + [$c.env[]? | .name + "=" + (.value // $node)]),
		capabilities: (caps($sc) as $caps | if $sc.runAsUser == 0
			then { bounding: $caps, effective: $caps, permitted: $caps }
			else { bounding: $caps, effective: [], permitted: [] } end),
		noNewPrivileges: ($sc.allowPrivilegeEscalation == false)
	},
	root: { path: $rootfs, readonly: $sc.readOnlyRootFilesystem },
	mounts: ([
		{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
		{ destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
		{ destination: "/sys", type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"] }
	] + [$c.volumeMounts[]? | .name as $volume | {
		destination: .mountPath, type: "none",
		source: ($host[$volume] // error("volume " + $volume)),
		options: ["rbind", (if .readOnly then "ro" else "rw" end),
			  (if .mountPropagation == "HostToContainer" then "rslave" else "rprivate" end)]
	}] + $mounts),
	linux: {
		cgroupsPath: $cgroup,
		namespaces: [
			{ type: "mount" }, { type: "ipc" }, { type: "uts" }, { type: "cgroup" },
			(if $pod.hostPID then empty else { type: "pid" } end),
			(if $pod.hostNetwork then { type: "network", path: $netns } else { type: "network" } end)
		],
		# what runtimes hide from containers that are not privileged
		maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			      "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
		readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
		seccomp: (if $sc.seccompProfile.type == "Localhost"
			then $profiles[$sc.seccompProfile.localhostProfile] // error("no such profile")
			else $profiles[""] end)
	}
}
