# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# SPDX-License-Identifier: Apache-2.0
# _plugin.sh - the plugin run directly, as the specification says a runtime does. Sourced in place of
# tests/e2e/_init.sh, whose node and pods it uses.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/_init.sh"

PLUGIN=${PLUGIN:-$B/bulkhead-cni}
RECORDS=$RUN/cni
VERSIONS="0.3.0 0.3.1 0.4.0 1.0.0 1.1.0"

# conf [FILTER]: the configuration CONF; FILTER (of jq) changes it.
conf() {
	CONF=$(jq -nc --arg socket "$SOCKET" --arg records "$RECORDS" \
		"{cniVersion: \"1.1.0\", name: \"net\", type: \"bulkhead-cni\", socket: \$socket, records: \$records} | ${1:-.}")
}

# plugin COMMAND [VARIABLE=VALUE...]: in the node's namespace, or that of FROM, with CONF on standard input, and no
# other variable.
# CODE, SAID (standard output, byte for byte), NOTE (standard error).
plugin() {
	local command=$1
	shift
	printf %s "$CONF" | in_ns "${FROM:-node}" env -i CNI_COMMAND="$command" "$@" "$PLUGIN" >"$WORK/said" 2>"$WORK/note"
	CODE=$?
	SAID=$(cat "$WORK/said" && echo .) SAID=${SAID%.}
	NOTE=$(cat "$WORK/note")
}

# pod_plugin COMMAND POD [VARIABLE=VALUE...]: of a pod whose link is up; its container is c-POD.
pod_plugin() {
	local command=$1 pod=$2
	shift 2
	plugin "$command" CNI_CONTAINERID="c-$pod" CNI_NETNS="/run/netns/$P-$pod" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=${NAMESPACE[$pod]:-shop};K8S_POD_NAME=$pod;K8S_POD_INFRA_CONTAINER_ID=c-$pod" "$@"
}

# prev POD: what the plugins before ours say of it, with blanks and numbers as nobody would print them again.
prev() {
	local n=${NUMBER[$1]}
	printf '{ "cniVersion":"1.1.0",\n\t"interfaces":[{"name":"v%s", "mtu":1.5e3},{"name":"eth0","sandbox":"/run/netns/%s"}],  "ips": [{"address":"%s/24","interface":1},\r\n{"address":"%s/64","interface":1}], "dns":{}, "x":[1.0,1e2,"\\u00e9\\/"]}' \
		"$n" "$P-$1" "${POD4[$1]}" "${POD6[$1]}"
}
# with_prev POD [FILTER]: a configuration with it. jq would print it anew: it is put in as text.
with_prev() {
	PREV=$(prev "$1")
	conf "${2:-.}"
	CONF="${CONF%\}},\"prevResult\" : $PREV }"
}

# refused WHAT CODE PATTERN: the plugin ended with an error object of this code, whose sentence is like PATTERN.
refused() {
	local got
	got=$(jq -r '[.cniVersion, .code, .msg] | @tsv' <<<"$SAID" 2>/dev/null)
	if [ "$CODE" != 0 ] && [ "$(cut -f2 <<<"$got")" = "$2" ] && grep -qE -- "$3" <<<"$got"; then
		pass "$1"
	else
		fail "$1" "exit $CODE, '$SAID', standard error '$NOTE', want code $2 and /$3/"
	fi
}
# quiet WHAT: it ended well and said nothing.
quiet() { equal "$1" "$CODE '$SAID' $NOTE" "0 '' "; }
# echoed WHAT: it ended well and gave prevResult back as it was.
echoed() { equal "$1" "$CODE $SAID" "0 $PREV"; }
record() { [ -f "$RECORDS/c-$1@eth0" ] && echo yes || echo no; } # POD
