#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What probes are told: alive, ready, and by name what is missing while a plan cannot go on.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

page() { # PATH [PORT]: status line and body, from the node's own address 127.0.0.1
	# shellcheck disable=SC2016 # expands in the shell that runs it
	in_ns node timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$2" && printf "GET %s HTTP/1.1\r\nHost: x\r\n\r\n" "$1" >&3 &&
		cat <&3' _ "$1" "${2:-9964}" | tr -d '\r'
}
says() { grep -qE -- "$2" <<<"$(page "$1")"; } # PATH PATTERN
no_fds() { # the agent may open no further file descriptor but those of a visit
	local limit=0
	while [ -e "/proc/$agent/fd/$limit" ]; do limit=$((limit + 1)); done
	prlimit --pid "$agent" --nofile=$((limit + 1)):
}

node_up
namespace shop
pod web shop
agent_start
sync
check "alive" says /healthz '^HTTP/1.1 200 OK$'
check "ready" until_true 20 says /readyz '^HTTP/1.1 200 OK$'
matches "ready says what holds" "$(page /readyz)" '^\[\+\]tables ok$'
matches "other pages are not there" "$(page /metrics/../control)" '^HTTP/1.1 404 '
equal "status lists no reason" "$(bh status -o json | jq -c .unready)" '[]'

no_fds
policy web shop <<<'{podSelector: {}, ingress: [{ports: [{port: 80}]}]}'
check "not ready while a plan cannot go on" until_true 20 says /readyz '^HTTP/1.1 503 '
matches "the reason is named" "$(page /readyz)" '^\[-\](tables|devices-seen|pods-attached) failed: '
check "alive all the same" says /healthz '^HTTP/1.1 200 OK$'
matches "status names it too" "$(bh status)" 'no, (tables|devices-seen|pods-attached): '
prlimit --pid "$agent" --nofile=20000:
pod_manifest web shop "app: web, turn: again"
check "ready again" until_true 30 says /readyz '^HTTP/1.1 200 OK$'

# ---- an address that another process has ---------------------------------------------------------------------------
agent_stop
serve node 9964/tcp
agent_start
sync
equal "a taken port is a problem, not an end" \
	"$(bh status -o json | jq -r '.problems[] | select(.where == "http") | .text')" '127.0.0.1:9964: Address already in use'
equal "the agent is ready all the same" "$(bh status -o json | jq .ready)" true
tool_stop serve-node
check "the port is taken when it is free" until_true 20 says /healthz '^HTTP/1.1 200 OK$'
agent_stop
agent_start --http off
sync
equal "off is off" "$(page /healthz 2>/dev/null)" ""
