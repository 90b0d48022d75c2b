# shellcheck shell=bash disable=SC2034,SC2154,SC2004 # variables of _init.sh, and for the tests
# SPDX-License-Identifier: Apache-2.0
# _services.sh - Services for end-to-end tests: their objects, and on the node the rules that a kube-proxy makes
# of them (real iptables or nftables, see _proxy.jq); a second node with pods of its own. Sourced after _init.sh.
#
# Agent and proxy read the same objects, each when it is told to: `sync` and `proxy`.
SERVICES4=10.32.$NET_B SERVICES6=fd0f:$HEX:
REMOTE4=172.21.$NET_B.2 REMOTE6=fd03:$HEX::2
REMOTE_NET=10.$((NET_A + 64)).$NET_B REMOTE_NET6=fd02:$HEX:
PROXY='' services=0 remotes=0 steers=0
NUMBER[node]=1 NUMBER[remote]=2 NUMBER[world]=9

for tool in iptables-restore ip6tables-restore conntrack; do
	command -v $tool >/dev/null || die "'$tool' is missing: make deps"
done

# ---- objects ------------------------------------------------------------------------------------------------
# service NAME NAMESPACE "PORT..." [JQ]: a Service with a ClusterIP of each family, which are then the addresses of
# NAME, as a pod's are. PORT is NAME:NUMBER/PROTO[:TARGET[:NODEPORT]]; JQ changes the object.
service() {
	local n
	[ -n "${NUMBER[$1]:-}" ] || NUMBER[$1]=$((++services))
	n=${NUMBER[$1]}
	POD4[$1]=$SERVICES4.$n POD6[$1]=$SERVICES6:$(printf %x "$n")
	jq -n --arg name "$1" --arg ns "$2" --arg ports "$3" --arg v4 "${POD4[$1]}" --arg v6 "${POD6[$1]}" '
		def port: split("/") as [$left, $right] | ($left | split(":")) as [$name, $port]
			| ($right | split(":")) as [$proto, $target, $node]
			| {name: $name, port: ($port | tonumber), protocol: ($proto | ascii_upcase)}
			  + if $target then {targetPort: ($target | tonumber? // .)} else {} end
			  + if $node then {nodePort: ($node | tonumber)} else {} end;
		{apiVersion: "v1", kind: "Service", metadata: {name: $name, namespace: $ns},
		 spec: {type: "ClusterIP", selector: {app: $name}, clusterIP: $v4, clusterIPs: [$v4, $v6],
			ipFamilies: ["IPv4", "IPv6"], ports: [$ports | splits(" +") | select(. != "") | port]}}
		| if any(.spec.ports[]; .nodePort) then .spec.type = "NodePort" else . end | '"${4:-.}" |
		manifest "svc-$2-$1"
}
service_rm() { manifest_rm "svc-$2-$1"; } # NAME NAMESPACE

# slice NAME NAMESPACE SERVICE "PORT..." [BACKEND...]: its EndpointSlices, one a family. PORT is NAME:NUMBER/PROTO,
# BACKEND a pod, node, remote, world, or an address; with =notready, =terminating (and serving) or =ended behind it.
slice() {
	local name=$1 ns=$2 service=$3 ports=$4 backend f
	shift 4
	for f in 4 6; do
		for backend; do
			printf '%s %s %s\n' "$f" "$(address "${backend%%=*}" $f)" "${backend#"${backend%%=*}"}"
		done
	done | jq -nR --arg name "$name" --arg ns "$ns" --arg service "$service" --arg ports "$ports" '
		def conditions: {
			"": {ready: true, serving: true, terminating: false},
			"=notready": {ready: false, serving: false, terminating: false},
			"=terminating": {ready: false, serving: true, terminating: true},
			"=ended": {ready: false, serving: false, terminating: true}
		}[.];
		def port: split("/") as [$left, $proto] | ($left | split(":")) as [$name, $port]
			| {name: $name, port: ($port | tonumber), protocol: ($proto | ascii_upcase)};
		[inputs | split(" ") | {v: .[0], addr: .[1], how: .[2]}
		 | select(if .v == "6" then .addr | test(":") else .addr | test(":") | not end)] as $all
		| {apiVersion: "v1", kind: "List", items: [("4", "6") as $v | {
			apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: ("IPv" + $v),
			metadata: {name: "\($name)-\($v)", namespace: $ns, labels: {"kubernetes.io/service-name": $service}},
			ports: [$ports | splits(" +") | select(. != "") | port],
			endpoints: [$all[] | select(.v == $v) | {addresses: [.addr], conditions: (.how | conditions)}]}]}' |
		manifest "slice-$ns-$name"
}
slice_rm() { manifest_rm "slice-$2-$1"; } # NAME NAMESPACE

# host_port NAME NAMESPACE HOSTPORT PORT [HOSTIP]: the pod's object once more, with TCP and UDP hostPorts.
host_port() {
	jq -n --arg name "$1" --arg ns "$2" --arg host "$3" --arg port "$4" --arg ip "${5:-}" --arg node "$NODE" \
		--arg uid "uid-$P-$1" --arg v4 "${POD4[$1]}" --arg v6 "${POD6[$1]}" '
		{apiVersion: "v1", kind: "Pod", metadata: {name: $name, namespace: $ns, uid: $uid, labels: {app: $name}},
		 spec: {nodeName: $node, containers: [{name: "main", ports: [("TCP", "UDP")
			| {containerPort: ($port | tonumber), hostPort: ($host | tonumber), protocol: .}
			  + if $ip != "" then {hostIP: $ip} else {} end]}]},
		 status: {phase: "Running", podIP: $v4, podIPs: [{ip: $v4}, {ip: $v6}]}}' |
		manifest "pod-$1"
	HOST_PORTS[$1]=$MANIFESTS/pod-$1.yaml
}
declare -A HOST_PORTS=()

# xtables has one lock on a machine, whatever the namespace.
XTABLES_SEC=60

# ---- the proxy ------------------------------------------------------------------------------------------------
# proxies: the modes that this kernel can, once there is a node. What xtables was before nf_tables, some kernels lack.
proxies() {
	PROXIES="iptables nft"
	{ in_ns node iptables-legacy -w $XTABLES_SEC -t nat -L && in_ns node ip6tables-legacy -w $XTABLES_SEC -t nat -L; } >/dev/null 2>&1 &&
		PROXIES="iptables legacy nft"
	echo "      proxies: $PROXIES"
}
# no_rules: nft knows nothing of xtables' rules of old.
no_rules() {
	local tool
	in_ns node nft flush ruleset
	[ "$PROXY" != legacy ] || for tool in iptables ip6tables; do
		printf '%s\n' '*nat' COMMIT '*filter' COMMIT | in_ns node $tool-legacy-restore -w $XTABLES_SEC || die "the proxy's rules stay"
	done
}
# proxy [iptables|legacy|nft|off]: makes the node's rules say what the objects say now; changing the mode removes the
# other's. iptables: as the machine has it, mostly by nf_tables; legacy: the same rules by xtables.
proxy() {
	local v rules shape
	if [ -n "${1:-}" ] && [ "$1" != "$PROXY" ]; then
		no_rules
		PROXY=$1
	fi
	[ "$PROXY" != off ] || return 0
	for v in 4 6; do
		rules=$WORK/rules-$v
		shape=${PROXY/legacy/iptables}
		# shellcheck disable=SC2046 # a list of files
		jq -rs -f tests/e2e/_proxy.jq --arg mode "$shape" --arg v $v --arg node "$NODE" \
			--arg pods "$([ $v = 4 ] && echo "$SUBNET4" || echo "$SUBNET6")" \
			<(cat $(find "$MANIFESTS" -name 'svc-*.yaml' -o -name 'slice-*.yaml') "${HOST_PORTS[@]}" /dev/null |
				jq -c 'if .kind == "List" then .items[] else . end') >"$rules" || die "the proxy's rules"
		case $PROXY-$v in
		nft-*) in_ns node nft -f "$rules" ;;
		legacy-4) in_ns node iptables-legacy-restore -w $XTABLES_SEC "$rules" ;;
		legacy-6) in_ns node ip6tables-legacy-restore -w $XTABLES_SEC "$rules" ;;
		*-4) in_ns node iptables-restore "$rules" ;;
		*-6) in_ns node ip6tables-restore "$rules" ;;
		esac || die "the proxy's rules do not load: $(cat "$rules")"
	done
}

# A proxy forgets the UDP flows to backends that are gone: forget SERVICE BACKEND
forget() {
	local f
	for f in 4 6; do
		in_ns node conntrack -D -p udp --orig-dst "$(address "$1" $f)" --reply-src "$(address "$2" $f)"
	done >/dev/null 2>&1
}

# A bridge sends a packet back where it came from only for devices in hairpin mode.
hairpin() { # POD...
	local name
	[ "$MODE" = routed ] || for name; do
		ip -n "$NODE_NS" link set "v${NUMBER[$name]}" type bridge_slave hairpin on
	done
}

# via BACKEND: a source port that leads to it. Those of one backend begin anew after 200 connections.
via() { VIA=$((20000 + 200 * ${NUMBER[$1]} + steers++ % 200)); }

# ---- the other node ------------------------------------------------------------------------------------------
remote_up() {
	ns_new remote
	in_ns remote sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	ip -n "$NODE_NS" -b - <<-EOT || die "the link to the other node"
		link add up1 type veth peer name eth0 netns $P-remote
		addr add 172.21.$NET_B.1/24 dev up1
		addr add fd03:$HEX::1/64 dev up1 nodad
		link set up1 up
		route add $REMOTE_NET.0/24 via $REMOTE4
		route add $REMOTE_NET6:/64 via $REMOTE6
		route add default via $WORLD4
		route add default via $WORLD6
	EOT
	ip -n "$P-remote" -b - <<-EOT || die "the other node's link"
		addr add $REMOTE4/24 dev eth0
		addr add $REMOTE6/64 dev eth0 nodad
		link set eth0 up
		route add default via 172.21.$NET_B.1
		route add default via fd03:$HEX::1
	EOT
	POD4[remote]=$REMOTE4 POD6[remote]=$REMOTE6
	manifest node-remote <<-EOT
		apiVersion: v1
		kind: Node
		metadata: {name: remote, labels: {kubernetes.io/hostname: remote}}
		status: {addresses: [{type: InternalIP, address: $REMOTE4}, {type: InternalIP, address: "$REMOTE6"}]}
	EOT
}

# remote_pod NAME NAMESPACE [LABELS]: a pod there, with the same servers as others have.
remote_pod() {
	local name=$1 n=$((++remotes + 29))
	ns_new "$name"
	NUMBER[$name]=$n
	POD4[$name]=$REMOTE_NET.$n POD6[$name]=$REMOTE_NET6:$(printf %x "$n")
	ip -n "$P-remote" -b - <<-EOT || die "veth of $name"
		link add v$n type veth peer name eth0 netns $P-$name
		addr add $GW4/32 dev v$n
		addr add $GW6/128 dev v$n nodad
		link set v$n up
		route add ${POD4[$name]}/32 dev v$n
		route add ${POD6[$name]}/128 dev v$n
	EOT
	ip -n "$P-$name" -b - <<-EOT || die "pod side of $name"
		addr add ${POD4[$name]}/32 dev eth0
		addr add ${POD6[$name]}/128 dev eth0 nodad
		link set eth0 up
		route add $GW4 dev eth0
		route add $GW6 dev eth0
		route add default via $GW4
		route add default via $GW6
	EOT
	until_true 10 in_ns node "$TRAFFIC" probe -t 200 "${POD4[$name]}" 0 icmp "${POD6[$name]}" 0 icmp ||
		die "pod $name does not answer the node"
	pod_manifest "$name" "$2" "${3:-app: $name}" remote
	serve "$name" 80/tcp 81/tcp 8080/tcp 53/udp 80/udp
}

# ---- the netfilter program ------------------------------------------------------------------------------------
hook_links() { # the kernel's numbers of its links, as pinned_ids names them
	find "$PIN/bh_hook" -type f 2>/dev/null | while read -r path; do
		bpftool -j link show pinned "$path" 2>/dev/null | jq -r '"link \(.id)"'
	done
}
hook_in_force() { bh status -o json | jq -e '.netfilter.in_force' >/dev/null; }

# ---- streams through Services -------------------------------------------------------------------------------
declare -A FAR=() # stream -> "SERVER PORT" behind the Service
flow() { # ID FROM SERVICE PORT PROTO FAMILY BACKEND TARGETPORT
	via "$7"
	FAR[$1]="$7 $8"
	stream "$1" "$2" "$3" "$4" "$5" "$6" -p "$VIA" -i 5
	tool_ask "$1" "echoed 5 5000"
}
flows_live() { # WHAT ID...: all goes on, and nothing was lost
	local what=$1 s bad=''
	shift
	for s; do
		tool_ask "$s" "echoed 20 10000"
		tool_ask "$s" "drain 5000"
		[ "${R[state]} $((R[sent] - R[echoed])) ${R[gaps]} ${R[heard_gaps]}" = "open 0 0 0" ] ||
			bad+="$s: ${R[state]}, lost $((R[sent] - R[echoed])), gaps ${R[gaps]} ${R[heard_gaps]}"$'\n'
	done
	if [ -z "$bad" ]; then pass "$what ($*)"; else fail "$what" "$bad$(denied)"; fi
}
flows_again() { # WHAT ID...: those that were cut go on; TCP sends once more what was lost
	local what=$1 s before bad=''
	shift
	for s; do
		tool_ask "$s" report
		before=${R[echoed]}
		tool_ask "$s" "echoed 20 40000"
		[ "${R[state]}" = open ] && [ "${R[echoed]}" -ge $((before + 20)) ] ||
			bad+="$s: ${R[state]}, $((R[echoed] - before)) echoes more"$'\n'
	done
	if [ -z "$bad" ]; then pass "$what ($*)"; else fail "$what" "$bad$(denied)"; fi
}
crossed() { # ID: what has got through so far, both ways, into CROSSED; what the server tried to say into SAID
	local place
	read -ra place <<<"${FAR[$1]}"
	tool_ask "$1" report
	CROSSED="${R[heard]} ${R[echoed]}"
	server_report "${place[@]}"
	CROSSED+=" ${R[got]}" SAID=${R[said]}
}
flows_cut() { # WHAT ID...: both ends keep sending, for many packets, and nothing crosses
	local what=$1 s bad=''
	local -A before=() said=()
	shift
	for s; do
		crossed "$s"
		before[$s]=$CROSSED said[$s]=$SAID
	done
	for s; do tool_ask "$s" "sent 60"; done
	for s; do
		crossed "$s"
		[ "$CROSSED" = "${before[$s]}" ] || bad+="$s: ${before[$s]} -> $CROSSED crossed"$'\n'
		[ "$SAID" -gt "${said[$s]}" ] || bad+="$s: the server said nothing"$'\n'
	done
	if [ -z "$bad" ]; then pass "$what ($*)"; else fail "$what" "$bad$(denied)"; fi
}
