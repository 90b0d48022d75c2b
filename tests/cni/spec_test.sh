#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The plugin by the specification, without an agent: commands, versions, variables, configurations, interfaces and
# folders, each as it should be and as it should not.
# shellcheck source=tests/cni/_plugin.sh
. "$(dirname "$0")/_plugin.sh"

node_up
link_up pod
VALID='.onAgentDown = "quarantine"' # ADD succeeds: nothing but what is tried is wrong

# ---- the program ---------------------------------------------------------------------------------------------
if ! grep -q __asan_init "$PLUGIN"; then # sanitizers come as shared libraries
	equal "one static binary: no shared library, no loader" "$(readelf -dlW "$PLUGIN" | grep -oE 'NEEDED|INTERP|LOAD' | sort -u)" LOAD
fi

# ---- commands and versions -----------------------------------------------------------------------------------
CONF='' && plugin VERSION
equal "VERSION without input" "$CODE $(jq -c . <<<"$SAID")" \
	'0 {"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}'
CONF='{"cniVersion":"0.4.0"}' && plugin VERSION
equal "VERSION in the version of the request" "$CODE $(jq -r .cniVersion <<<"$SAID")" "0 0.4.0"
conf
plugin ''
equal "without a command it says what it is" "$CODE '$SAID' $(grep -c 'bulkhead-cni .*CNI plugin' <<<"$NOTE")" "0 '' 1"
plugin PAUSE
refused "an unknown command" 4 "CNI_COMMAND 'PAUSE'"
for version in $VERSIONS; do
	with_prev pod "$VALID | .cniVersion = \"$version\""
	pod_plugin ADD pod
	echoed "ADD of $version"
	conf ".cniVersion = \"$version\""
	pod_plugin DEL pod
	quiet "DEL of $version"
done
for version in 0.1.0 0.2.0 1.2.0 2.0.0 1 ''; do
	with_prev pod "$VALID | .cniVersion = \"$version\""
	pod_plugin ADD pod
	refused "ADD of '$version'" 1 "1.1.0.1.'cniVersion': '$version'"
done
with_prev pod "$VALID | del(.cniVersion)"
pod_plugin ADD pod
refused "ADD without a version" 1 "has no 'cniVersion'"
with_prev pod '.cniVersion = "0.3.1"'
pod_plugin CHECK pod
refused "CHECK below 0.4.0" 1 "0.3.1.1.CHECK needs cniVersion 0.4.0"
for command in GC STATUS; do
	conf '.cniVersion = "1.0.0"'
	plugin $command
	refused "$command below 1.1.0" 1 "1.0.0.1.$command needs cniVersion 1.1.0"
done
conf
for command in ADD CHECK; do
	pod_plugin $command pod
	refused "$command as the first plugin" 7 "must be called as chained plugin"
done

# ---- variables -----------------------------------------------------------------------------------------------
with_prev pod "$VALID"
for name in CONTAINERID NETNS IFNAME; do
	pod_plugin ADD pod CNI_$name=
	refused "ADD without CNI_$name" 4 "CNI_$name is not set"
done
for name in CONTAINERID IFNAME; do
	pod_plugin DEL pod CNI_$name=
	refused "DEL without CNI_$name" 4 "CNI_$name is not set"
done
for id in ../etc .hidden a/b 'a b' "$(printf '%0240d' 0)" $'a\nb' é; do
	pod_plugin ADD pod CNI_CONTAINERID="$id"
	refused "container '$(printf %s "${id:0:20}" | LC_ALL=C tr -c " -~" "?")'" 4 CNI_CONTAINERID
done
for name in . .. a/b a:b 'a b' sixteen-letters- $'e\t0' é; do
	pod_plugin ADD pod CNI_IFNAME="$name"
	refused "interface '$(printf %s "$name" | LC_ALL=C tr -c " -~" "?")'" 4 CNI_IFNAME
done
K8S='K8S_POD_NAMESPACE=shop;K8S_POD_NAME=pod'
while IFS='|' read -r what args pattern; do
	pod_plugin ADD pod CNI_ARGS="$args"
	refused "CNI_ARGS: $what" 4 "CNI_ARGS.*$pattern"
done <<-EOT
	an unknown key|$K8S;OTHER=1|'OTHER' is unknown
	no pod|IgnoreUnknown=1|K8S_POD_NAME
	a long name without a namespace|K8S_POD_NAME=$(printf '%064d' 0)|longer than 63
	no name|K8S_POD_NAMESPACE=shop;IgnoreUnknown=1|K8S_POD_NAME
	no value|$K8S;IgnoreUnknown|KEY=VALUE
	a name that leaves its folder|K8S_POD_NAMESPACE=shop;K8S_POD_NAME=../../x|K8S_POD_NAME
	a name twice|$K8S;K8S_POD_NAME=other|twice
	a second '='|K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a=b|K8S_POD_NAME
	a long namespace|K8S_POD_NAMESPACE=$(printf '%064d' 0);K8S_POD_NAME=a|longer than 63
	IgnoreUnknown of no kind|$K8S;IgnoreUnknown=perhaps|IgnoreUnknown
EOT
for args in "X=1;IgnoreUnknown=true;$K8S" "$K8S;K8S_POD_UID=u-1;K8S_POD_INFRA_CONTAINER_ID=c;"; do
	pod_plugin ADD pod CNI_ARGS="$args"
	echoed "CNI_ARGS $args"
done
equal "the record has the UID" "$(jq -r .uid "$RECORDS/c-pod@eth0")" u-1
pod_plugin DEL pod

touch "$WORK/file"
for path in "$WORK/none" "$WORK/file" "$WORK" "$WORK/never"; do
	pod_plugin ADD pod CNI_NETNS="$path"
	refused "namespace ${path##*/}" 8 "CNI_NETNS '$path'"
done
for command in ADD CHECK DEL; do
	pod_plugin $command pod CNI_NETNS="/run/netns/$NODE_NS"
	refused "$command in the plugin's own namespace" 8 "plugin's own network namespace"
done

# ---- configurations ------------------------------------------------------------------------------------------
for CONF in '' '{' '[]' 'null' '{"cniVersion":"1.0.0","name":"net"} x' "{'name': 1}" $'{"name":"\xff"}' '{"a":1,}' '{"a" 1}' '{1:1}'; do
	pod_plugin ADD pod
	refused "not JSON: ${CONF:0:40}" 6 "not JSON"
done
CONF='{"cniVersion":"0.4.0","name":"'$(head -c 1048576 /dev/zero | tr '\0' a)'"}'
pod_plugin ADD pod
refused "more than a configuration may have" 6 "longer than 1048576 bytes"
while IFS=@ read -r change pattern; do
	with_prev pod "$VALID | $change"
	pod_plugin ADD pod
	refused "configuration: $change" 7 "$pattern"
done <<-EOT
	del(.name)@no 'name'
	.name = "a b"@'name': 'a b'
	.name = 1@'name' is no text
	.socket = "x"@'socket': 'x' is no path
	.socket = "/" * 2000@'socket' is longer
	.records = 5@'records' is no text
	.timeoutSeconds = 0@'timeoutSeconds': 0 is no whole number in 1..300
	.timeoutSeconds = 1.5@'timeoutSeconds': 1.5
	.timeoutSeconds = "10"@'timeoutSeconds': "10"
	.onAgentDown = "open"@'onAgentDown': 'open' is none of fail.quarantine
	.onTimeout = null@'onTimeout' is no text
	.onOtherInterface = "skip"@'onOtherInterface': 'skip'
EOT
while IFS=@ read -r result pattern; do
	conf "$VALID | .prevResult = $result"
	pod_plugin ADD pod
	refused "prevResult: $result" 7 "$pattern"
done <<-'EOT'
	[]@'prevResult' is no object
	{interfaces: {}}@'prevResult.interfaces' is no list
	{interfaces: [{name: "../x"}]}@'prevResult.interfaces\[0\].name'
	{interfaces: [range(65) | {name: "a"}]}@more than 64
	{ips: 1}@'prevResult.ips' is no list
	{ips: [{address: "10.0.0.1/24", interface: 3}]}@'prevResult.ips\[0\].interface'
	{ips: [{address: "10.0.0.1/24", interface: -1}]}@'prevResult.ips\[0\].interface'
	{ips: [{address: "10.0.0.256/24"}]}@'10.0.0.256/24' is no address
	{ips: [range(9) | {address: "10.0.0.1/24"}]}@more than 8
EOT
equal "none of them left a record" "$(ls -A "$RECORDS")" ""

# ---- interfaces ----------------------------------------------------------------------------------------------
ip -n "$P-pod" link add other0 type bridge
ip -n "$P-pod" link add in0 type veth peer name in1
ip -n "$P-pod" link add link eth0 name mac0 type macvlan
while IFS='|' read -r name pattern; do
	with_prev pod "$VALID"
	pod_plugin ADD pod CNI_IFNAME="$name"
	refused "interface $name" 100 "$pattern"
	with_prev pod "$VALID | .onOtherInterface = \"pass\""
	pod_plugin ADD pod CNI_IFNAME="$name"
	echoed "interface $name, which may pass"
	matches "it says that $name is not protected" "$NOTE" "pod 'shop/pod' is not protected: .*$name"
done <<-'EOT'
	other0|'other0' is no veth but bridge
	mac0|'mac0' is no veth but macvlan
	in0|the other side of 'in0' is not in this network namespace
EOT
with_prev pod "$VALID"
pod_plugin ADD pod CNI_IFNAME=net7
echoed "an interface of another name is found by the host's devices in prevResult"
equal "it is the host's device" "$(jq -r .device "$RECORDS/c-pod@net7")" "v${NUMBER[pod]}"
pod_plugin DEL pod CNI_IFNAME=net7
conf "$VALID | .prevResult = {}"
pod_plugin ADD pod CNI_IFNAME=net7
refused "an interface that nobody has" 100 "there is no 'net7'"
ip -n "$NODE_NS" link add v-more type veth peer name more netns "$P-pod"
for other in fail pass; do
	conf "$VALID | .onOtherInterface = \"$other\" | .prevResult = {interfaces: [{name: \"v${NUMBER[pod]}\"}, {name: \"v-more\"}]}"
	for command in ADD CHECK; do
		pod_plugin $command pod CNI_IFNAME=net7
		refused "$command: two veths lead to the pod, onOtherInterface $other" 105 "more than one veth"
	done
done
ip -n "$NODE_NS" link del v-more
conf "$VALID | .prevResult = {interfaces: [{name: \"cbr\"}, {name: \"eth0\", sandbox: \"x\"}, {name: \"net1\", sandbox: \"x\"}]}"
pod_plugin ADD pod
matches "a second interface is not protected, and that is said" "$CODE $NOTE" "^0 .*not on its 'net1'"
pod_plugin DEL pod

# ---- folders that others may write ---------------------------------------------------------------------------
mkdir -p "$WORK/real" "$WORK/theirs" "$WORK/loose"
ln -s "$WORK/real" "$WORK/link"
chown 1 "$WORK/theirs"
chmod 0777 "$WORK/loose"
while IFS='|' read -r what records pattern; do
	with_prev pod "$VALID | .records = \"$records\""
	for command in ADD DEL; do
		pod_plugin $command pod
		refused "$command: records $what" 5 "$pattern"
	done
done <<-EOT
	behind a symlink|$WORK/link|'$WORK/link' is a symlink
	below a symlink|$WORK/link/cni|'$WORK/link' is a symlink
	that are another user's|$WORK/theirs|belongs to user 1
	below another user's folder|$WORK/theirs/cni|belongs to user 1
	that anybody may write|$WORK/loose|may be written by others
	in a file|$WORK/file|'$WORK/file' is a symlink or no folder
EOT
equal "nothing was written through them" "$(find "$WORK/real" "$WORK/theirs" "$WORK/loose" -mindepth 1)" ""
touch "$WORK/target"
ln -s "$WORK/target" "$RECORDS/c-pod@eth0"
with_prev pod "$VALID"
pod_plugin ADD pod
echoed "ADD where a record's name is a symlink"
equal "the record takes its place and what it led to is untouched" \
	"$(stat -c %F "$RECORDS/c-pod@eth0") $(stat -c %s "$WORK/target")" "regular file 0"
pod_plugin DEL pod
ln -s "$WORK/target" "$RECORDS/c-pod@eth0"
pod_plugin DEL pod
quiet "DEL of a record that is a symlink"
equal "the link is gone and what it led to is there" "$(ls -A "$RECORDS") $(stat -c %s "$WORK/target")" " 0"
pod_plugin DEL pod
quiet "DEL again"
end
