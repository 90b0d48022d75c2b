#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# /metrics of an agent that watches an API server: how often it asked, what it read, when it heard last; and, when the server
# is gone, for how long nothing has come.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

page() { in_ns node curl -s --max-time 10 http://127.0.0.1:9964/metrics; }
watch() { page | awk -v name="bulkhead_watch_$1{resource=\"pods\"}" '$1 == name { print $2 }'; } # METRIC, of pods
resource() { bh status -o json | jq ".source.resources[] | select(.name == \"pods\") | .$1"; } # FIELD
is() { test "$(watch "$1")" "$2" "$3"; } # METRIC -op NUMBER
paged() { # what the page says; nothing happens between it and status
	local row
	for row in starts_total:watches lists_total:lists events_total:events failures_total:failures; do
		echo "$row $(watch "${row%:*}")"
	done
}
stated() {
	local row
	for row in starts_total:watches lists_total:lists events_total:events failures_total:failures; do
		echo "$row $(resource "${row#*:}")"
	done
}

node_up
namespace shop
pod web shop
api_start
agent_start_kube
api_sync
check "it has listed" is lists_total -ge 1
starts=$(watch starts_total) # a list that goes on as a watch is none
api '{"op":"end","how":"clean"}' >/dev/null
check "a watch that ends begins anew" until_true 20 is starts_total -gt "$starts"
equal "nothing of it is missing" "$(watch cut_off_seconds)" 0
before=$(watch events_total)
pod api shop
api_sync
check "a change that was read is counted" is events_total -gt "$before"
equal "status says the same" "$(paged)" "$(stated)"
check "it was heard just now" is age_seconds -le 30
equal "how many pods are known" "$(page | awk '$1 == "bulkhead_objects{kind=\"Pod\"}" { print $2 }')" 2
failures=$(watch failures_total)
kill "$api_pid"
wait "$api_pid"
check "the server is gone: requests fail" until_true 60 is failures_total -gt "$failures"
check "nothing comes" until_true 60 is cut_off_seconds -ge 2
check "nor was it heard since" is age_seconds -ge 2
