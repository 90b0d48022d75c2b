#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# STATUS beside an agent that runs and yet cannot take pods: which code, and why.
# shellcheck source=tests/cni/_plugin.sh
. "$(dirname "$0")/_plugin.sh"

# shellcheck disable=SC2317 # called by until_true
says() { # CODE
	plugin STATUS
	[ "$(jq -r .code <<<"$SAID")" = "$1" ]
}

node_up
namespace shop
conf

# ---- nothing has been read -----------------------------------------------------------------------------------
exec 9>>"$MANIFESTS/unread.yaml" # being written still
agent_start 9>&-
plugin STATUS
refused "nothing is read: no pod can start" 50 'has not read yet what is there'
link_up pod
until_true 20 says 51
refused "nor is that device served" 51 'has not read yet what is there'
exec 9>&-
manifest_rm unread
pod_manifest pod shop
sync
plugin STATUS
quiet "all is read"
end
