#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent puts the plugin into the node's CNI folders and keeps it there while others write, podman's libcni reads what it
# wrote and starts containers by it, and leaving gives everything back as it was.
# shellcheck source=tests/runtime/_podman.sh
. "$(dirname "$0")/_podman.sh"

NETD=$PODMAN/net.d BIN=$PODMAN/bin
export BULKHEAD_CNI_CONF_DIR=$NETD BULKHEAD_CNI_BIN_DIR=$BIN # of the agent and of the command line, as in the DaemonSet
portmap='{"type": "portmap", "capabilities": {"portMappings": true}}'

# theirs NAME [VERSION]: a list as a network plugin writes it, and a copy of it in ORIGINAL.
ORIGINAL=$WORK/original
mkdir -p "$WORK/aside/net.d"
theirs() {
	PODMAN=$WORK/aside network "$1" "${2:-0.4.0}" "$(bridge_plugin)" "$portmap"
	cp "$WORK/aside/net.d/$1.conflist" "$ORIGINAL"
	mv "$WORK/aside/net.d/$1.conflist" "$NETD"
}
# The tests of a file's content are made by jq and cmp, not by what is tested.
# shellcheck disable=SC2317 # called by until_true
placed() { jq -e '[.plugins[].type] | index("bulkhead-cni") == length - 1' "$NETD/$1"; }
# shellcheck disable=SC2317
original() { cmp "$NETD/$1" "$ORIGINAL"; }
problem() { bh status -o json | jq -r '.problems[] | select(.where == "cni").text'; }
has_problem() { grep -qE -- "$1" <<<"$(problem)"; }
# shellcheck disable=SC2317
no_problem() { [ -z "$(problem)" ]; }
written() { bh status -o json | jq ".cni.$1"; }
# libcni reads the folder, and asks each plugin of each list for its versions.
libcni() { podman_do network ls --format '{{.Name}}' 2>&1; }

node_up
podman_up
rm "$BIN/bulkhead-cni"
serve world 53/udp

# ---- it comes ------------------------------------------------------------------------------------------------------------
agent_start --cni-timeout 20
check "no configuration yet is said" until_true 20 has_problem 'no network configuration yet'
check "the program is there" cmp "$BIN/bulkhead-cni" "$CNI"
equal "and may be run by all" "$(stat -c %a "$BIN/bulkhead-cni")" 755
theirs 20-node
check "the entry is the last of a list that comes" until_true 20 placed 20-node.conflist
check "which ends the problem" until_true 20 no_problem
equal "it names this agent" "$(jq -c '.plugins[-1]' "$NETD/20-node.conflist")" \
	"{\"type\":\"bulkhead-cni\",\"socket\":\"$SOCKET\",\"records\":\"$RECORDS\",\"timeoutSeconds\":20}"
equal "what was there before it is as it was" "$(jq -c '.plugins[:-1]' "$NETD/20-node.conflist")" "$(jq -c .plugins "$ORIGINAL")"
equal "libcni takes it" "$(libcni)" 20-node$'\n'podman

container_object shut "app: shut"
default_deny shut
container_object open "app: open"
sync
equal "a container that starts by it is judged" "$(container shut 20-node -- /traffic burst -w 0 "$WORLD4" 53 udp | grep -o 'back=.*')" back=0
equal "and one that may send does" "$(container open 20-node -- /traffic burst "$WORLD4" 53 udp | grep -o 'back=.*')" back=1
equal "all by one change" "$(written entries_written) $(written programs_written)" "1 1"

# ---- others write ----------------------------------------------------------------------------------------------------------
cat "$ORIGINAL" >"$NETD/20-node.conflist"
check "a list that was written over gets it again" until_true 20 placed 20-node.conflist
theirs 20-node 1.0.0
check "and one that was replaced" until_true 20 placed 20-node.conflist
cp "$NETD/20-node.conflist" "$WORK/placed"
network 10-before 0.4.0 "$(ptp_plugin)"
check "one that sorts before it gets it" until_true 20 placed 10-before.conflist
check "and the other is as it was" until_true 20 original 20-node.conflist
rm "$NETD/10-before.conflist"
check "once that is gone it comes back" until_true 20 placed 20-node.conflist
rm "$BIN/bulkhead-cni"
check "a program that was removed is put back" until_true 20 cmp "$BIN/bulkhead-cni" "$CNI"
agent_kill
agent_start --cni-timeout 20
sync
equal "the next agent finds all in place" "$(written entries_written) $(written programs_written)" "0 0"
check "byte for byte" cmp "$NETD/20-node.conflist" "$WORK/placed"

bridge_plugin | jq '. + {name: "single", cniVersion: "0.4.0"}' >"$WORK/single"
cp "$WORK/single" "$NETD/05-single.conf"
check "a single configuration gets a list" until_true 20 placed 05-single.bulkhead.conflist
equal "which is the first that a runtime finds" "$(cd "$NETD" && printf "%s\n" *.conf* | LC_ALL=C sort | head -n 1)" 05-single.bulkhead.conflist
equal "libcni takes it, too" "$(libcni)" 20-node$'\n'podman$'\n'single
equal "a container that starts by it is judged, too" "$(container shut single -- /traffic burst -w 0 "$WORLD4" 53 udp | grep -o 'back=.*')" back=0
equal "and one that may send does" "$(container open single -- /traffic burst "$WORLD4" 53 udp | grep -o 'back=.*')" back=1
check "it is itself as it was" cmp "$NETD/05-single.conf" "$WORK/single"
rm "$NETD/05-single.conf"
check "and the list goes with it" until_true 20 placed 20-node.conflist
check "altogether" [ ! -e "$NETD/05-single.bulkhead.conflist" ]

# ---- nobody fights ------------------------------------------------------------------------------------------------------------
for _ in {1..20}; do
	cat "$ORIGINAL" >"$NETD/20-node.conflist"
	until_true 20 eval 'placed 20-node.conflist || has_problem "something else undoes"'
	! has_problem "something else undoes" || break
done
matches "who takes it out again and again is told of" "$(problem)" '20-node.conflist: something else undoes'
equal "after as many tries as it has at once" "$(written entries_written)" 5
check "and left alone for a while" original 20-node.conflist
agent_stop

# ---- what the agent is told --------------------------------------------------------------------------------------------------------
agent_start --cni-timeout 20 --cni-on-agent-down quarantine --cni-on-other-interface pass
check "an agent of other options puts it in" placed 20-node.conflist
equal "as they say" "$(jq -c '.plugins[-1]' "$NETD/20-node.conflist")" \
	"{\"type\":\"bulkhead-cni\",\"socket\":\"$SOCKET\",\"records\":\"$RECORDS\",\"onAgentDown\":\"quarantine\",\"onOtherInterface\":\"pass\",\"timeoutSeconds\":20}"
agent_stop
equal "so that pods start shut without an agent" "$(container open 20-node -- /traffic burst -w 0 "$WORLD4" 53 udp | grep -o 'back=.*')" back=0

# ---- what is broken ------------------------------------------------------------------------------------------------------------
agent_start --cni-timeout 20
check "an agent that starts puts it in" placed 20-node.conflist
echo '{"cniVersion": "0.4.0", "plugins": [' >"$NETD/20-node.conflist"
check "what is no JSON is said" until_true 20 has_problem '20-node.conflist: it is no JSON'
equal "and not touched" "$(cat "$NETD/20-node.conflist")" '{"cniVersion": "0.4.0", "plugins": ['
theirs 20-node 0.2.0
check "so is a version that chains nothing" until_true 20 has_problem '20-node.conflist: cniVersion is below 0.3.0'
check "and not touched either" original 20-node.conflist
theirs 20-node
check "and mended it is well" until_true 20 no_problem
check "with the entry" placed 20-node.conflist

# ---- by hand ---------------------------------------------------------------------------------------------------------------------
said=$(bh cni status)
equal "cni status says that pods start by it" "$? $(grep -c 'its last plugin is bulkhead-cni' <<<"$said")" "0 1"
said=$(bh cni uninstall 2>&1)
equal "beside an agent that keeps it, it is not taken out" "$? $said" \
	"2 bulkhead: an agent is running that keeps it in $NETD: stop it first, or start it without --cni-conf-dir"
agent_stop
check "an agent that ends leaves it" placed 20-node.conflist
check "with its program" cmp "$BIN/bulkhead-cni" "$CNI"
container open 20-node -- /traffic burst "$WORLD4" 53 udp >"$WORK/said" 2>&1
equal "so that no pod starts without an agent" "$(grep -c 'bulkhead-cni.*failed' "$WORK/said")" 1
said=$(bh cni uninstall)
equal "by hand it is taken out" "$? $said" "0 bulkhead-cni is gone from this node"
check "and everything is as it was" original 20-node.conflist
equal "without the program" "$(ls "$BIN")" ""
equal "then pods start" "$(container open 20-node -- /traffic burst "$WORLD4" 53 udp | grep -o 'back=.*')" back=1
bh cni status >/dev/null
equal "cni status says so" $? 1
check "and put in" bh cni install --plugin "$CNI"
check "at the end" placed 20-node.conflist
equal "libcni takes that" "$(libcni)" 20-node$'\n'podman
rm "$BIN/bulkhead-cni"
matches "and would say if the program were missing" "$(libcni)" 'failed to find plugin .*bulkhead-cni'
check "a second time" bh cni install --plugin "$CNI"
agent_cleanup
check "--cleanup gives everything back" original 20-node.conflist
equal "and takes the program" "$(ls "$BIN")" ""

# ---- a runtime that starts pods meanwhile ----------------------------------------------------------------------------------------
cp "$CNI" "$WORK/other"
printf 'another build' >>"$WORK/other"
bh cni install --plugin "$CNI" >/dev/null
( for _ in {1..500}; do CNI_COMMAND=VERSION "$BIN/bulkhead-cni" </dev/null >/dev/null 2>&1 || echo "$?"; done ) >"$WORK/busy" &
running=$!
for _ in {1..100}; do
	bh cni install --plugin "$WORK/other" && bh cni install --plugin "$CNI"
done >"$WORK/said" 2>&1
wait $running
equal "while the program is replaced 200 times, it starts each time" \
	"$(sort "$WORK/busy" | uniq -c) $(grep -c 'bulkhead-cni written' "$WORK/said")" " 200"
agent=''
end
