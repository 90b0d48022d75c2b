#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --cleanup removes every trace, twice without complaint, and traffic is open again.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
said=$(in_ns node "$B/bulkheadd" --source dir:/nowhere --node "$NODE" --pin-dir "$PIN" --run-dir "$RUN" 2>&1)
equal "a start without its folder fails" $? 1
matches "and says which option is wrong" "$said" '--source dir:/nowhere: .*No such file'
equal "and leaves no table behind" "$(find "$PIN" 2>/dev/null)" ""
agent_start
sync
expect "enforced" <<-EOT
	silent web api 80 tcp
	silent api web 53 udp
EOT
agent_stop
expect "enforced without an agent" <<<'silent web api 80 tcp'
ids=$(pinned_ids)
matches "there is something to remove" "$ids" 'map '
check "--cleanup ends with 0" agent_cleanup
until_true 5 gone "$ids"
equal "no pin, file, qdisc, map, program or link is left" "$(traces "$ids")" ""
expect "open again" <<-EOT
	open web api 80 tcp
	open api web 53 udp
	open world web 80 tcp
EOT
check "--cleanup of nothing ends with 0" agent_cleanup

# After a crash in the middle of a life, and with a pod that went away while nobody looked.
agent_start
sync
expect "enforced by a fresh agent" <<<'silent web api 80 tcp'
agent_kill
link_down web
ids=$(pinned_ids)
check "--cleanup after a crash ends with 0" agent_cleanup
until_true 5 gone "$ids"
equal "nothing is left of the crashed one" "$(traces "$ids")" ""
expect "open again" <<<'open node api 80 tcp'
end
