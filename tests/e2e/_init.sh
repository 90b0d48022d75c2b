# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# SPDX-License-Identifier: Apache-2.0
# _init.sh - the rig of the end-to-end tests: a node, its pods and the world around them, made of network
# namespaces; an agent on the node; traffic between them; what it leaves behind.
#
# A test sources this file first. It then runs as process 1 of its own PID and mount namespace, with its own
# /run/netns and its own bpffs: whatever happens to the test, nothing of it can stay on the machine, and
# tests cannot see each other. Names and subnets still come from the test's file name and process id.
#
# Environment: ATTACH=auto|tcx|clsact, B=build folder, KEEP=1 leaves the logs, LOG_LEVEL for the agent, UNDER a
# command that runs the agent (one that ends in exec of its arguments, as setpriv).
# Waits are for facts (a line on a pipe, an answer on the control socket), never for time to pass.
set -u

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$ROOT/$B ;; esac
TRAFFIC=$B/tests/harness/traffic
BULKHEADD=$B/bulkheadd # the agent that agent_start starts
FOREIGN=$B/tests/harness/foreign.bpf.o
ATTACH=${ATTACH:-auto}
TITLE=$(basename "$0" .sh)

if [ -z "${E2E_WORK:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "$TITLE: needs root"; exit 1; }
	for tool in ip tc nft jq bpftool unshare nsenter; do
		PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null || {
			echo "$TITLE: '$tool' is missing: make deps"
			exit 1
		}
	done
	E2E_WORK=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead-e2e-XXXXXX")
	export E2E_WORK E2E_PID=$$
	trap : TERM INT # who is told to end, as its time is over, cleans up as well
	unshare --mount --pid --fork --kill-child --mount-proc --propagation private \
		"$BASH" "$0" "$@"
	code=$?
	# control groups of containers are the machine's
	find /sys/fs/cgroup{,/*}/"$(basename "$E2E_WORK")" -depth -type d -exec rmdir {} + 2>/dev/null
	if [ "${KEEP:-0}" = 1 ]; then echo "logs: $E2E_WORK"; else rm -rf "$E2E_WORK"; fi
	exit $code
fi

export PATH=$PATH:/usr/sbin:/sbin
WORK=$E2E_WORK
MANIFESTS=$WORK/manifests
RUN=$WORK/run
SOCKET=$RUN/control.sock
export BULKHEAD_STATE_DIR=$WORK/state
PIN=$WORK/bpf/bulkhead
mkdir -p "$MANIFESTS" "$WORK/bpf" "$WORK/netns" /run/netns
mount -t tmpfs tmpfs /run/netns
mount -t bpf bpf "$WORK/bpf" || { echo "$TITLE: no bpffs can be mounted"; exit 1; }

# ---- names and subnets --------------------------------------------------------------------------------
HASH=$(printf '%s-%s' "$TITLE" "$E2E_PID" | cksum | cut -d' ' -f1)
NET_A=$((64 + HASH % 64)) NET_B=$((HASH / 64 % 256))
P=$(printf 'e%04x' $((HASH % 65536)))
HEX=$(printf '%02x%02x' $NET_A $NET_B)
SUBNET4=10.$NET_A.$NET_B.0/24 SUBNET6=fd00:$HEX::/64
GW4=10.$NET_A.$NET_B.1 GW6=fd00:$HEX::1
NODE4=172.20.$NET_B.1 NODE6=fd01:$HEX::1
WORLD4=172.20.$NET_B.9 WORLD6=fd01:$HEX::9
WORLD_SUBNET4=172.20.$NET_B.0/24
NODE=node-$P
NODE_NS=$P-node
declare -A POD4 POD6 NUMBER NAMESPACE IN OUT PIDS R
pods=0 syncs=0 passed=0 failed=0 agent='' MODE=routed

# ---- checks -----------------------------------------------------------------------------------------------
pass() { passed=$((passed + 1)); echo "ok    $1"; }
fail() { # what [detail]
	failed=$((failed + 1))
	echo "FAIL  $1"
	[ -z "${2:-}" ] || printf '      %s\n' "${2//$'\n'/$'\n      '}"
}

# check WHAT COMMAND...: the command succeeds.
check() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then pass "$what"; else fail "$what" "$* : $out"; fi
}

# equal WHAT GOT WANT
equal() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got '$2', want '$3'"; fi; }

# matches WHAT TEXT PATTERN (extended regular expression)
matches() {
	if grep -qE -- "$3" <<<"$2"; then pass "$1"; else fail "$1" "got '$2', want /$3/"; fi
}

# all_valid FILE...: each line of them is a record as docs/flow.schema.json has it, and there are some.
all_valid() {
	matches "all records are as the schema says, in$(printf ' %s' "${@##*/}")" \
		"$(cat "$@" | python3 tests/harness/validate.py docs/flow.schema.json 2>&1)" '^[1-9][0-9]*$'
}

die() { # the test cannot go on
	fail "$TITLE: $1"
	exit 1
}

# until_true SECONDS COMMAND...: polls for facts that only the kernel knows.
until_true() {
	local end=$((SECONDS + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		read -rt 0.02 <>"$WORK/never" || true
	done
}
mkfifo "$WORK/never"

# ---- the node, pods, the world -------------------------------------------------------------------------
in_ns() { # NAME COMMAND...: `node`, `world` or a pod
	local name=$1
	shift
	nsenter --net="/run/netns/$P-$name" "$@"
}

ns_new() { # NAME
	ip netns add "$P-$1" || die "ip netns add $1"
	in_ns "$1" sh -c 'cd /proc/sys/net
		echo 0 >ipv6/conf/default/accept_dad; echo 0 >ipv6/conf/all/accept_dad
		echo 0 >ipv4/conf/all/rp_filter; echo 0 >ipv4/conf/default/rp_filter
		ip link set lo up'
}

# node_up [routed|bridged]: the node and, behind its uplink, the world.
node_up() {
	MODE=${1:-routed}
	ns_new node
	ns_new world
	in_ns node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	ip -n "$NODE_NS" -b - <<-EOT || die "the node's uplink"
		link add up0 type veth peer name eth0 netns $P-world
		addr add $NODE4/24 dev up0
		addr add $NODE6/64 dev up0 nodad
		link set up0 up
	EOT
	ip -n "$P-world" -b - <<-EOT || die "the world's link"
		addr add $WORLD4/24 dev eth0
		addr add $WORLD6/64 dev eth0 nodad
		link set eth0 up
		route add default via $NODE4
		route add default via $NODE6
	EOT
	# Its own address, as it would change with its ports otherwise and pods' neighbour entries be wrong.
	[ "$MODE" = routed ] || ip -n "$NODE_NS" -b - <<-EOT || die "the bridge"
		link add cbr0 address 02:00:00:00:00:01 type bridge
		addr add $GW4/24 dev cbr0
		addr add $GW6/64 dev cbr0 nodad
		link set cbr0 up
	EOT
	manifest node <<-EOT
		apiVersion: v1
		kind: Node
		metadata: {name: $NODE, labels: {kubernetes.io/hostname: $NODE}}
		status: {addresses: [{type: InternalIP, address: $NODE4}, {type: InternalIP, address: "$NODE6"}]}
	EOT
}

# link_up NAME: the namespace and veth of a pod; NAME gets POD4[NAME], POD6[NAME].
link_up() {
	local name=$1 n=$((++pods + 9)) bits4=32 bits6=128
	ns_new "$name"
	NUMBER[$name]=$n POD4[$name]=10.$NET_A.$NET_B.$n POD6[$name]=fd00:$HEX::$(printf %x $n)
	[ "$MODE" = routed ] || bits4=24 bits6=64
	ip -n "$NODE_NS" link add "v$n" type veth peer name eth0 netns "$P-$name" || die "veth of $name"
	if [ "$MODE" = routed ]; then
		ip -n "$NODE_NS" -b - <<-EOT
			addr add $GW4/32 dev v$n
			addr add $GW6/128 dev v$n nodad
			link set v$n up
			route add ${POD4[$name]}/32 dev v$n
			route add ${POD6[$name]}/128 dev v$n
		EOT
	else
		ip -n "$NODE_NS" link set "v$n" master cbr0 up
	fi || die "host side of $name"
	ip -n "$P-$name" -b - <<-EOT || die "pod side of $name"
		addr add ${POD4[$name]}/$bits4 dev eth0
		addr add ${POD6[$name]}/$bits6 dev eth0 nodad
		link set eth0 up
	EOT
	[ "$MODE" = bridged ] || ip -n "$P-$name" -b - <<-EOT || die "routes of $name"
		route add $GW4 dev eth0
		route add $GW6 dev eth0
	EOT
	ip -n "$P-$name" -b - <<-EOT || die "default routes of $name"
		route add default via $GW4
		route add default via $GW6
	EOT
	# IPv6 addresses and routes work once the kernel has seen the carrier.
	until_true 10 in_ns node "$TRAFFIC" probe -t 200 "${POD4[$name]}" 0 icmp "${POD6[$name]}" 0 icmp ||
		die "pod $name does not answer its node"
}
link_down() { # the device first: a namespace may outlive its name for a while
	ip -n "$NODE_NS" link del "v${NUMBER[$1]}"
	ip netns del "$P-$1"
	unset "POD4[$1]" "POD6[$1]"
}

# ---- manifests --------------------------------------------------------------------------------------------
# manifest NAME: standard input becomes NAME.yaml, by rename.
manifest() {
	cat >"$MANIFESTS/.$1.tmp"
	mv "$MANIFESTS/.$1.tmp" "$MANIFESTS/$1.yaml"
}
manifest_rm() { local n; for n; do rm -f "$MANIFESTS/$n.yaml"; done; }

namespace() { # NAME [LABEL: VALUE, ...]
	manifest "ns-$1" <<-EOT
		{apiVersion: v1, kind: Namespace, metadata: {name: $1, labels: {${2:-}}}}
	EOT
}

# pod_manifest NAME NAMESPACE [LABELS [NODE]]: the object of a pod whose link is up.
pod_manifest() {
	NAMESPACE[$1]=$2
	manifest "pod-$1" <<-EOT
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: $2, uid: uid-$P-$1, labels: {${3:-app: $1}}}
		spec:
		  nodeName: ${4:-$NODE}
		  containers:
		  - {name: main, ports: [{name: http, containerPort: 80}, {name: dns, containerPort: 53, protocol: UDP}]}
		status: {phase: Running, podIP: ${POD4[$1]}, podIPs: [{ip: ${POD4[$1]}}, {ip: "${POD6[$1]}"}]}
	EOT
}

# pod NAME NAMESPACE [LABELS]: link, object, and an echo server on TCP 80, 81, 8080 and UDP 53, 80.
pod() {
	link_up "$1"
	pod_manifest "$@"
	serve "$1" 80/tcp 81/tcp 8080/tcp 53/udp 80/udp
}

# policy NAME NAMESPACE: standard input is the spec.
policy() {
	{
		printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n'
		printf 'metadata: {name: %s, namespace: %s}\nspec:\n' "$1" "$2"
		sed 's/^/  /'
	} | manifest "np-$2-$1"
}
policy_rm() { manifest_rm "np-$2-$1"; }
default_deny() { # NAMESPACE
	policy default-deny "$1" <<<'{podSelector: {}, policyTypes: [Ingress, Egress]}'
}

# ---- the agent ---------------------------------------------------------------------------------------------
agent_start() { # further arguments of bulkheadd
	# no function here: the process in the background must be the agent itself
	# shellcheck disable=SC2086 # a list of words
	nsenter --net="/run/netns/$NODE_NS" ${UNDER:-} "$BULKHEADD" --source "dir:$MANIFESTS" --node "$NODE" --pin-dir "$PIN" \
		--run-dir "$RUN" --state-dir "$BULKHEAD_STATE_DIR" --attach "$ATTACH" --log-level "${LOG_LEVEL:-info}" "$@" \
		>>"$WORK/agent.log" 2>&1 </dev/null &
	agent=$!
	"$TRAFFIC" ask -t 20000 "$SOCKET" '{"op":"version"}' >/dev/null 2>&1 ||
		die "the agent does not answer: $(tail -n 5 "$WORK/agent.log")"
}
agent_end() { # SIGNAL
	local pid=$agent
	[ -n "$pid" ] || return 0
	agent=''
	kill "-$1" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	local code=$?
	# A killed agent says nothing; one that is asked to end leaves with 0.
	[ "$1" = KILL ] || [ $code = 0 ] || fail "the agent ends with 0" "$code: $(tail -n 5 "$WORK/agent.log")"
}
agent_stop() { agent_end TERM; }
agent_kill() { agent_end KILL; }
agent_cleanup() {
	# shellcheck disable=SC2086 # a list of words
	in_ns node ${UNDER:-} "$B/bulkheadd" --cleanup --node "$NODE" --pin-dir "$PIN" --run-dir "$RUN" \
		--state-dir "$BULKHEAD_STATE_DIR" --attach "$ATTACH" >>"$WORK/agent.log" 2>&1
}

ask() { "$TRAFFIC" ask -t 20000 "$SOCKET" "$1"; } # one request to the control socket
bh() { in_ns node "$B/bulkhead" --socket "$SOCKET" "$@"; }

# total POD DIRECTION REASON: packets counted so far; REASON may be a pattern.
total() {
	ask "{\"op\":\"endpoint.get\",\"namespace\":\"${NAMESPACE[$1]}\",\"name\":\"$1\"}" |
		jq --arg d "$2" --arg r "^($3)\$" \
			'[.totals[] | select(.direction == $d and (.reason | test($r))) | .packets] | add // 0'
}
reaches() { [ "$(total "$1" "$2" "$3")" -ge "$4" ]; } # POD DIRECTION REASON COUNT
connections() { # POD [FILTER]: how many of its connections the agent knows, but for half-open flows
	ask "{\"op\":\"ct.list\",\"namespace\":\"${NAMESPACE[$1]}\",\"name\":\"$1\"}" |
		jq "[.connections[] | select(.state != \"half-open\") | select(${2:-true})] | length"
}
state_of() { # POD: as `endpoint get` says
	ask "{\"op\":\"endpoint.get\",\"namespace\":\"${NAMESPACE[$1]}\",\"name\":\"$1\"}" | jq -r .state
}
tracked() { # POD...: the flows that `ct list` has of it, half open or not
	local of
	for of; do
		ask "{\"op\":\"ct.list\",\"namespace\":\"${NAMESPACE[$of]}\",\"name\":\"$of\"}" |
			jq -r --arg of "$of" '.connections[] | "\($of) \(.protocol) \(.local_port) \(.remote) \(.remote_port)"'
	done | sort
}

# Everything written so far is in force when this returns: a marker object goes the same way.
sync() {
	local marker=sync-$((++syncs)) answer
	namespace marker-file
	manifest ns-marker-file <<<"{apiVersion: v1, kind: Namespace, metadata: {name: $marker}}"
	answer=$(ask "{\"op\":\"sync\",\"namespace\":\"$marker\"}") ||
		die "sync: $answer $(tail -n 5 "$WORK/agent.log")"
}

# ---- a stand-in API server (tests/apiserver/README.md) in the node's namespace ------------------------------
API=$WORK/api
api_start() { # further arguments
	mkdir -p "$API"
	rm -f "$WORK/api.ready"
	mkfifo "$WORK/api.ready"
	nsenter --net="/run/netns/$NODE_NS" "$B/tests/apiserver/apiserver" --dir "$API" "$@" \
		>"$WORK/api.ready" 2>>"$WORK/api.log" </dev/null &
	api_pid=$!
	read -rt 20 API_URL <"$WORK/api.ready" || die "the stand-in server does not start: $(tail -n 3 "$WORK/api.log")"
	API_URL=${API_URL#ready }
}
api() { "$TRAFFIC" ask -t 30000 "$API/control.sock" "$1"; } # one operation of its control socket
# The agent watches it instead of the manifests' folder; further arguments are the agent's.
agent_start_kube() { agent_start --source "kube:$API/kubeconfig" --api-pause 1 --api-absent 1 "$@"; }
# api_show: what the manifests say is there, each object as a change of its own.
api_show() {
	local answer
	answer=$(api "{\"op\":\"load\",\"path\":\"$MANIFESTS\"}") || die "api_show: $answer"
}
api_delete() { # RESOURCE NAMESPACE NAME
	api "{\"op\":\"delete\",\"resource\":\"$1\",\"namespace\":\"$2\",\"name\":\"$3\"}" >/dev/null
}
# As sync, by way of the server: what the manifests say and all that was changed there is in force. Each kind has a
# connection of its own: all must have been sent everything before the marker is.
API_WATCHES=7
api_sync() {
	local marker=sync-$((++syncs)) answer
	api_show
	answer=$(api "{\"op\":\"await\",\"watches\":\"watch *\",\"count\":$API_WATCHES}") ||
		die "api_sync: $answer $(tail -n 5 "$WORK/agent.log")"
	api "{\"op\":\"put\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"$marker\"}}}" >/dev/null
	answer=$(ask "{\"op\":\"sync\",\"namespace\":\"$marker\"}") ||
		die "api_sync: $answer $(tail -n 5 "$WORK/agent.log")"
}

# ---- traffic -----------------------------------------------------------------------------------------------
line() { # ID: the next line of a tool's output into LINE
	read -rt 60 -u "${OUT[$1]}" LINE || die "$1 says nothing: $(cat "$WORK/$1.err")"
}
tool_start() { # ID NAME ARGS...
	local id=$1 name=$2 in out
	shift 2
	mkfifo "$WORK/$id.in" "$WORK/$id.out"
	exec {in}<>"$WORK/$id.in" {out}<>"$WORK/$id.out"
	IN[$id]=$in OUT[$id]=$out
	# no function here: tool_stop must end the tool itself
	nsenter --net="/run/netns/$P-$name" "$TRAFFIC" "$@" <&"$in" >&"$out" 2>"$WORK/$id.err" &
	PIDS[$id]=$!
	line "$id"
	[ "$LINE" = ready ] || die "$id: $LINE"
}
tool_stop() { # ID
	local in=${IN[$1]} out=${OUT[$1]}
	kill "${PIDS[$1]}" 2>/dev/null
	wait "${PIDS[$1]}" 2>/dev/null
	exec {in}>&- {out}>&-
	rm -f "$WORK/$1.in" "$WORK/$1.out"
	unset "PIDS[$1]" "IN[$1]" "OUT[$1]"
}
# tool_ask ID COMMAND: its report's fields into R[...].
tool_ask() {
	local pair
	echo "$2" >&"${IN[$1]}"
	line "$1"
	R=()
	for pair in $LINE; do R[${pair%%=*}]=${pair#*=}; done
}

serve() { local name=$1; shift; tool_start "serve-$name" "$name" serve "$@"; }
server_report() { tool_ask "serve-$1" "report $2"; } # NAME PORT -> R[got] R[gaps] R[said]
address() { # NAME FAMILY: a pod's, the node's or the world's address; else NAME itself
	case $1-$2 in
	node-4) echo "$NODE4" ;; node-6) echo "$NODE6" ;;
	world-4) echo "$WORLD4" ;; world-6) echo "$WORLD6" ;;
	*-4) echo "${POD4[$1]:-$1}" ;; *-6) echo "${POD6[$1]:-$1}" ;;
	esac
}
stream() { # ID FROM TO PORT PROTO FAMILY [OPTIONS]
	local id=$1 from=$2 to=$3 port=$4 proto=$5 family=$6
	shift 6
	tool_start "$id" "$from" stream "$@" "$(address "$to" "$family")" "$port" "$proto"
}

mac() { ip -n "$P-$1" -j link show eth0 | jq -r '.[0].address'; } # of a pod or the world

# Raw frames from inside a namespace, see traffic_frame.c: `tool_ask wire-NAME "send 1 FRAME"`.
wire() { local name; for name; do tool_start "wire-$name" "$name" frame eth0; done; }

# frames FROM TO POD DIRECTION: lines `REASON | WHAT | FRAME` on standard input. FROM sends the frame; it is
# dropped at POD by this reason, counted once, or arrives at TO as it was sent (REASON pass). NOISY=1: POD's own
# kernel may send frames that count as well.
frames() {
	local from=$1 to=$2 pod=$3 direction=$4 reason what frame before counted
	while IFS='|' read -r reason what frame; do
		read -r reason <<<"$reason"
		read -r what <<<"$what"
		[ -n "$reason" ] || continue
		before=$(total "$pod" "$direction" "$reason")
		tool_ask "wire-$to" "watch $frame"
		tool_ask "wire-$from" "send 1 $frame"
		if [ "$reason" = pass ]; then
			tool_ask "wire-$to" "got 1 5000"
			equal "passes: $what" "${R[got]}" 1
		else
			until_true 5 reaches "$pod" "$direction" "$reason" $((before + 1))
			tool_ask "wire-$to" "got 1 0"
			counted=$(($(total "$pod" "$direction" "$reason") - before))
			[ -z "${NOISY:-}" ] || [ $counted -le 1 ] || counted=1
			equal "$reason: $what" "counted $counted, arrived ${R[got]}" "counted 1, arrived 0"
		fi
	done
}

probe() { # FROM TO PORT PROTO FAMILY [OPTIONS]: prints the outcome of one new connection
	local from=$1 to=$2 port=$3 proto=$4 family=$5
	shift 5
	in_ns "$from" "$TRAFFIC" probe -t "${PROBE_MS:-700}" "$@" "$(address "$to" "$family")" "$port" "$proto"
}

# expect WHAT: lines `OUTCOME FROM TO PORT PROTO [FAMILY]` on standard input, all tried at once, on both
# families unless one is named. PORT@BACKEND: by that backend of a Service. One check for all; a failure names each
# that differs.
expect() {
	local what=$1 outcome from to port proto family f by i=0 n=0 bad=''
	local -A targets=() wants=()
	while read -r outcome from to port proto family; do
		[ -n "$outcome" ] || continue
		for f in ${family:-4 6}; do
			by=''
			if [[ $port = *@* ]]; then via "${port#*@}" && by=@$VIA; fi
			targets[$from]+=" $(address "$to" "$f") ${port%@*}$by $proto"
			wants[$from]+="$outcome $to $port $proto $f"$'\n'
		done
	done
	for from in "${!targets[@]}"; do
		# shellcheck disable=SC2086 # a list of words
		in_ns "$from" "$TRAFFIC" probe -t "${PROBE_MS:-700}" ${targets[$from]} >"$WORK/expect.$from" 2>&1 &
		PROBES[i++]=$!
	done
	wait "${PROBES[@]}"
	PROBES=()
	for from in "${!targets[@]}"; do
		while read -r outcome to port proto family f; do
			n=$((n + 1))
			[ "${f##* }" = "$outcome" ] ||
				bad+="$from to $to $port/$proto v$family: want $outcome, got ${f##* }"$'\n'
		done < <(printf %s "${wants[$from]}" | paste -d' ' - "$WORK/expect.$from")
	done
	[ $n -gt 0 ] || bad="nothing was tried"
	if [ -z "$bad" ]; then pass "$what ($n)"; else fail "$what" "$bad$(denied)"; fi
}
PROBES=()
denied() { # what the agent has counted, for whoever reads a failure
	local pod
	[ -z "$agent" ] || for pod in "${!NAMESPACE[@]}"; do
		"$TRAFFIC" ask "$SOCKET" "{\"op\":\"endpoint.get\",\"namespace\":\"${NAMESPACE[$pod]}\",\"name\":\"$pod\"}" |
			jq -r --arg pod "$pod" '"\($pod): \(.state)", (.denied[]? | "  \(.direction) \(.reason) \(.remote) \(.port)/\(.protocol) \(.rule.text) \(.packets) packets, \(.age_sec) s ago")'
		in_ns "$pod" cat /proc/net/snmp6 | awk '/Udp6.*Errors|Ip6.*Discards/ && $2 > 0 { print " ", $0 }'
	done 2>/dev/null
}

# ---- what is left --------------------------------------------------------------------------------------------
# strip POD: somebody takes our programs off its veth.
strip() {
	local dev=v${NUMBER[$1]} ifindex slot
	ifindex=$(ip -n "$NODE_NS" -j link show "$dev" | jq '.[0].ifindex')
	for slot in "$PIN"/ep/*; do
		[ "$(readlink "$slot/device")" = "$ifindex" ] || continue
		rm -f "$slot"/*_link # the last reference of a link, if there is one
	done
	in_ns node tc qdisc del dev "$dev" clsact 2>/dev/null || true
}

# Ids of the maps, programs and links that are pinned now, for gone_ids later.
pinned_ids() {
	local kind path
	find "$PIN" -type f 2>/dev/null | while read -r path; do
		for kind in map prog link; do
			bpftool -j $kind show pinned "$path" 2>/dev/null |
				jq -r --arg kind $kind 'select(.id) | "\($kind) \(.id)"' 2>/dev/null
		done
	done | sort -u
}
ids_alive() { # the list: prints those that still exist
	# shellcheck disable=SC2086 # a list of words
	"$TRAFFIC" alive $1
}
gone() { [ -z "$(ids_alive "$1")" ]; } # the kernel frees programs after a grace period
# What an agent left in the node: pins, run files, tc objects, kernel objects of the list $1.
traces() {
	find "$PIN" 2>/dev/null
	find "$RUN" -mindepth 1 2>/dev/null
	find "$BULKHEAD_STATE_DIR" -mindepth 1 2>/dev/null
	in_ns node tc qdisc show | grep -E 'clsact|ingress'
	ids_alive "$1"
}
audit() { # the agent takes everything away and nothing is left
	local ids
	ids=$(pinned_ids)
	if [ -z "$agent" ] && [ ! -e "$PIN" ]; then return 0; fi
	agent_stop
	agent_cleanup || fail "--cleanup ends with 0" "$(tail -n 5 "$WORK/agent.log")"
	until_true 5 gone "$ids"
	equal "nothing is left of the agent" "$(traces "$ids")" ""
}

end() {
	local code=$?
	trap - EXIT
	[ $failed = 0 ] || { echo "--- what did not pass"; denied; }
	audit
	if [ $failed -gt 0 ] && [ -s "$WORK/agent.log" ]; then
		echo "--- the agent's last lines"
		tail -n 30 "$WORK/agent.log"
	fi
	if grep -qE 'Sanitizer|runtime error:' "$WORK/agent.log" 2>/dev/null; then
		fail "the sanitizers are silent" "$(grep -m3 -aE 'Sanitizer|runtime error:' "$WORK/agent.log")"
	fi
	[ $code = 0 ] || [ $failed -gt 0 ] || fail "the script ends with 0" "$code"
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
	exit
}
trap end EXIT
trap 'exit 1' TERM INT
