#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One agent at a time works on a pin folder, whatever it calls its run folder; and what others pin is theirs.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod db shop
default_deny shop
agent_start
sync
mkdir "$WORK/open"
cp "$MANIFESTS"/* "$WORK/open/"
rm "$WORK/open/np-shop-default-deny.yaml"
second() { # ARGS...: another agent, from a container with a /run of its own and an older folder
	in_ns node "$B/bulkheadd" --source "dir:$WORK/open" --node "$NODE" --pin-dir "$PIN" --run-dir "$WORK/run2" "$@" 2>&1
}
said=$(second)
equal "a second agent on the pins does not start" $? 1
matches "and says why in one sentence" "$said" "another agent .* the pin folder '$PIN': stop it first"
said=$(second --cleanup)
equal "its --cleanup does not start either" $? 1
matches "and says why, too" "$said" "another agent"
expect "enforced by the first one" <<<'silent web db 80 tcp'
agent_kill
agent_start
sync
expect "after kill -9 the next one starts at once" <<<'silent web db 80 tcp'

# A start that fails, and --cleanup, in a folder that others use, too.
mkdir -p "$WORK/bpf/shared/foreign"
bpftool map create "$WORK/bpf/shared/foreign/m" type array key 4 value 4 entries 1 name foreign
bpftool map create "$WORK/bpf/shared/m2" type array key 4 value 4 entries 1 name foreign2
foreign() { find "$WORK/bpf/shared" -type f | sort | xargs; }
theirs=$(foreign)
in_ns node "$B/bulkheadd" --source dir:/nowhere --node x --pin-dir "$WORK/bpf/shared" --run-dir "$WORK/run3" >/dev/null 2>&1
equal "a start that fails leaves others' pins" "$(foreign)" "$theirs"
in_ns node "$B/bulkheadd" --cleanup --node x --pin-dir "$WORK/bpf/shared" --run-dir "$WORK/run3" >/dev/null 2>&1
equal "--cleanup with others' pins ends with 0" $? 0
equal "and leaves them" "$(foreign)" "$theirs"
rm -r "$WORK/bpf/shared"
end
