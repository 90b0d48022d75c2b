#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make install DESTDIR=` puts everything where it belongs, keeps a configuration that is there, and what it installs
# works: man pages, completion, the unit.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
equal() { # WHAT GOT WANT
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
		echo "ok    $1"
	else
		failed=$((failed + 1))
		printf 'FAIL  %s\n      got:  %s\n      want: %s\n' "$1" "$2" "$3"
	fi
}
install_to() { make --no-print-directory -s B="$B" DESTDIR="$1" install 2>&1; }

said=$(install_to "$work/a")
equal "it installs" "$?" 0
[ -z "$said" ] || echo "$said"
equal "programs, pages, completion, unit, configuration" \
	"$(cd "$work/a" && find . -type f ! -name 'bulkhead-*.1' -printf '%P %m\n' | sort | tr '\n' ';')" \
	"etc/bulkhead/bulkheadd.conf 600;opt/cni/bin/bulkhead-cni 755;usr/bin/bulkhead 755;usr/lib/systemd/system/bulkheadd.service 644;usr/sbin/bulkheadd 755;usr/share/bash-completion/completions/bulkhead 644;usr/share/bash-completion/completions/bulkheadd 644;usr/share/bulkhead/flow.schema.json 644;usr/share/man/man1/bulkhead.1 644;usr/share/man/man8/bulkhead-cni.8 644;usr/share/man/man8/bulkheadd.8 644;"
equal "a page for every verb" \
	"$(find "$work/a/usr/share/man/man1" -name 'bulkhead-*.1' -printf '%f\n' | sed 's/^bulkhead-//; s/\.1$//' | sort | tr '\n' ' ')" \
	"$("$B/bulkhead" help | sed -nE '1,/^Verbs:/d; s/^  ([a-z]+( [a-z]+)?) .*/\1/p' | tr ' ' - | sort | tr '\n' ' ')"
page=$work/a/usr/share/man/man8/bulkhead-cni.8
equal "every key of the plugin is in its page" "$(sed -n 's/^\t{ "\([a-zA-Z]*\)", 0, OPTION.*/\1/p' cni/conf.c | sort)" \
	"$(sed -n 's/^\\fB\([a-zA-Z]*\)\\fR .*/\1/p' "$page" | sort)"
equal "and every code of its errors" "$(sed -n 's/^\tCNI_[A-Z_]* = \([0-9]*\).*/\1/p' cni/result.h)" \
	"$(sed -n 's/^  \([0-9][0-9]*\) .*/\1/p' "$page")"
equal "the daemon is the one that was built" "$("$work/a/usr/sbin/bulkheadd" --version)" "$("$B/bulkheadd" --version)"

echo 'node=mine' >"$work/a/etc/bulkhead/bulkheadd.conf"
install_to "$work/a" >/dev/null
equal "a configuration that is there stays" "$(cat "$work/a/etc/bulkhead/bulkheadd.conf")" node=mine

make --no-print-directory -s B="$B" DESTDIR="$work/b" PREFIX=/usr/local SYSCONFDIR=/usr/local/etc install >/dev/null 2>&1
equal "PREFIX reaches the unit" "$(grep -o '^ExecStart=.*' "$work/b/usr/local/lib/systemd/system/bulkheadd.service")" \
	"ExecStart=/usr/local/sbin/bulkheadd --config /usr/local/etc/bulkhead/bulkheadd.conf"

# A host without containers: the plugin is where runtimes look, the verb puts its name into their configuration.
mkdir "$work/net.d"
printf '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge"}]}' >"$work/net.d/10-n.conflist"
"$work/a/usr/bin/bulkhead" cni install --conf-dir "$work/net.d" --bin-dir "$work/a/opt/cni/bin" --on-agent-down quarantine >/dev/null
equal "cni install takes the plugin that was installed" "$? $(cat "$work/net.d/10-n.conflist")" \
	'0 {"cniVersion":"1.0.0","name":"n","plugins":[{"type":"bridge"},{ "type": "bulkhead-cni", "onAgentDown": "quarantine" }]}'

# The shipped configuration names no source: the daemon says so, in a sentence, and so knows the rest of the file.
equal "the configuration is one that the daemon reads" \
	"$("$B/bulkheadd" --config deploy/systemd/bulkheadd.conf 2>&1 | grep -c -- '--source is missing')" 1
# shellcheck disable=SC2016 # the other shell's words
equal "completion completes" "$(bash -c '. "$1"; complete -p bulkhead && . "$2" && complete -p bulkheadd' _ \
	"$work/a/usr/share/bash-completion/completions/bulkhead" "$work/a/usr/share/bash-completion/completions/bulkheadd" >/dev/null 2>&1; echo $?)" 0
# With the program where the unit says that it is.
make --no-print-directory -s B="$B" PREFIX="$work/c" SYSCONFDIR="$work/c/etc" install >/dev/null 2>&1
equal "systemd takes the unit" "$(systemd-analyze verify --man=no "$work/c/lib/systemd/system/bulkheadd.service" 2>&1 | grep -F bulkheadd)" ""
echo "$passed passed, $failed failed"
[ $failed = 0 ]
