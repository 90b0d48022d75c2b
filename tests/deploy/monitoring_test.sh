#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The alerts of deploy/monitoring: promtool reads them, each fires and does not, and the operator's object holds the same.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
result() { # WHAT: standard input is what is wrong; nothing is fine
	local found
	found=$(cat)
	if [ -z "$found" ]; then passed=$((passed + 1)); echo "ok    $1"; else
		failed=$((failed + 1))
		echo "FAIL  $1"
		printf '      %s\n' "${found//$'\n'/$'\n      '}"
	fi
}
shopt -s lastpipe

{ promtool check rules deploy/monitoring/alerts.yaml 2>&1 || echo failed; } | grep -v -e '^Checking' -e SUCCESS -e '^$' |
	result "promtool reads the alerts"
cp deploy/monitoring/alerts.yaml tests/deploy/alerts/cases.yaml "$work"
{ promtool test rules "$work/cases.yaml" 2>&1 || echo failed; } | grep -v -e '^Unit Testing' -e SUCCESS -e '^$' |
	result "each alert fires for one node and not for another"
diff <(yq -r '.groups[].rules[].alert' deploy/monitoring/alerts.yaml | sort) \
	<(yq -r '.tests[].alert_rule_test[].alertname' tests/deploy/alerts/cases.yaml | sort) | result "no alert is without its test"
diff <(yq -S .groups deploy/monitoring/alerts.yaml) \
	<(yq -S 'select(.kind == "PrometheusRule") | .spec.groups' deploy/monitoring/operator.yaml) |
	result "the operator's object has the same alerts"
jq -r '.panels[] | select(.type != "row") | select((.targets | length) == 0 or .title == "") | .id' deploy/monitoring/dashboard.json 2>&1 |
	result "every panel of the dashboard shows something"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
