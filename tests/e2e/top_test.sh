#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `bulkhead top` at a terminal beside a running agent: it prints anew with numbers that change, and it ends when it is
# interrupted or the agent goes, with the terminal as it was.
# shellcheck disable=SC2317 # until_true and check call by name
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# top_start ID [ARGUMENTS]: at a terminal of its own, whose settings are told before and after. What is written into
# $WORK/ID.keys is typed.
top_start() {
	local id=$1
	shift
	cat >"$WORK/$id.sh" <<-EOT
		trap : INT
		echo "before \$(stty -g)"
		$B/bulkhead --socket $SOCKET top --by pod --interval 1 $*
		echo "status \$?"
		echo "after \$(stty -g)"
	EOT
	mkfifo "$WORK/$id.keys"
	exec {keys}<>"$WORK/$id.keys"
	# what bash starts in the background would not hear of an interrupt
	nsenter --net="/run/netns/$NODE_NS" env --default-signal=INT TERM=xterm script -qefc "sh $WORK/$id.sh" "$WORK/$id.seen" \
		<&"$keys" >"$WORK/$id.out" 2>&1 &
	terminal=$!
}
top_end() { # ID: what is seen of its end
	if until_true 20 grep -aq '^after ' "$WORK/$1.seen"; then pass "$1: it ends"; else
		fail "$1: it ends" "$(tail -c 600 "$WORK/$1.seen")"
		kill "$terminal"
	fi
	wait "$terminal"
	exec {keys}>&-
	seen=$(tr -d '\r' <"$WORK/$1.seen")
	equal "$1: the terminal is as it was" "$(sed -n 's/^after //p' <<<"$seen")" "$(sed -n 's/^before //p' <<<"$seen")"
	# what the last line of ours leaves switched on: colours, another screen, a hidden cursor
	equal "$1: nothing stays switched on" "$(grep -aoE $'\e\\[(\\?[0-9]+[hl]|[0-9;]*m)' <<<"$seen" | tail -n 1)" "$(printf '\e[0m')"
}
# The bytes of web's stream, as each printing has it.
numbers() { tr -d '\r' <"$WORK/$1.seen" | sed 's/\x1b\[[0-9;]*m//g' | awk '$1 == "shop/web" && $2 == "shop/api" { print $3, $4, $6 }' | uniq; }
changed() { [ "$(numbers "$1" | wc -l)" -ge "$2" ]; } # ID TIMES
printed() { [ "$(grep -ao $'\e\\[H\e\\[J' "$WORK/$1.seen" | wc -l)" -ge "$2" ]; }
goes_on() { # ID TIMES: traffic until so many different numbers were seen
	tool_ask s "echoed 20 5000" && changed "$1" "$2"
}

node_up
namespace shop
pod web shop
pod api shop
pod tool shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}'
agent_start --flows all --flow-update 1
sync
stream s web api 80 tcp 4
expect "something that is denied" <<<"silent tool api 80 tcp"

top_start interrupted
until_true 30 goes_on interrupted 3 || fail "numbers change" "$(numbers interrupted)"
pass "numbers change: $(numbers interrupted | tr '\n' ';')"
check "it is printed anew each time" printed interrupted 3
until_true 20 grep -aq 'shop/tool .*shop/api' "$WORK/interrupted.seen" || fail "who is denied is named" "$(tail -c 600 "$WORK/interrupted.seen")"
printf '\003' >&"$keys"
top_end interrupted
equal "interrupted: status of an interrupt" "$(sed -n 's/.*status //p' <<<"$seen")" 130

top_start left
until_true 30 printed left 2 || fail "it is printed twice" "$(tail -c 600 "$WORK/left.seen")"
agent_stop
top_end left
equal "left: status of an agent that cannot be reached" "$(sed -n 's/^status //p' <<<"$seen")" 3
matches "left: a sentence says so" "$seen" 'bulkhead: .*(agent|listens)'
end
