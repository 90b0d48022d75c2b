# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# _limits.sh - what the tests of limits ask of `status`, after _init.sh.

named() { # WHERE TEXT: `status` has such a problem
	bh status -o json | jq -e --arg where "$1" --arg text "$2" \
		'.problems[] | select(.where | test($where)) | select(.text | test($text))'
}
wheres() { bh status -o json | jq -rc '[.problems[].where] | sort | join(", ")'; }
others() { # WHEN
	PROBE_MS=300 expect "$1: others notice nothing" <<-EOT
		open   web api 80 tcp
		silent web api 81 tcp
		silent bad api 80 tcp
	EOT
}
