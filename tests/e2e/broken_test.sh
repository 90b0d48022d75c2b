#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent starts again while a policy's file is broken, being written, unreadable or holds a mistake: what it
# said before stays in force.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

FILE=$MANIFESTS/np-shop-default-deny.yaml
status() { bh status -o json | jq -r "$1"; }
# shellcheck disable=SC2317 # called by until_true
is() { [ "$(status "$1")" = true ]; }
restart() { agent_kill; agent_start 9>&-; } # 9: held by the test alone
protected() { # WHEN
	expect "$1: protected" <<-EOT
		silent web db 80 tcp
		silent world late 80 tcp
	EOT
}
told() { # WHEN PATTERN: status names the file and is not ready
	matches "$1: the file is named" "$(status '.problems[] | "\(.where) \(.text)"')" "$FILE.*$2"
	equal "$1: not ready" "$(status .ready)" false
	if bh status --check >/dev/null; then fail "$1: status --check says no"; else pass "$1: status --check says no"; fi
}
mended() { # WHEN
	sync
	equal "$1, mended: ready" "$(status '"\(.ready) \(.problems | length)"')" "true 0"
	protected "$1, mended"
}

node_up
namespace shop
pod web shop
pod db shop
default_deny shop
agent_start
sync
good=$(<"$FILE")
echo "{ [ broken" >>"$FILE"
until_true 10 is '.problems | length == 1'
equal "a file that breaks while the agent runs is a problem" "$(status '"\(.ready) \(.problems | length)"')" "true 1"
restart
sync
pod late shop
sync
protected "a broken file"
told "a broken file" 'the objects that it held stay'
restart
sync
protected "a second start"
manifest np-shop-default-deny <<<"$good"
mended "a broken file"

exec 9>>"$FILE"
restart
sync
protected "a file that is being written"
told "a file that is being written" 'the objects that it held stay'
exec 9>&-
mended "a file that is being written"

agent_kill
mv "$FILE" "$WORK/aside"
mkdir "$FILE.d"
ln -s "$FILE.d" "$FILE"
agent_start
sync
protected "something else in its place"
told "something else in its place" 'the objects that it held stay'
rm "$FILE"
rmdir "$FILE.d"
mv "$WORK/aside" "$FILE"
mended "something else in its place"

policy default-deny shop <<<'{podSelector: {matchExpressions: [{key: app, operator: Bogus}]}, policyTypes: [Ingress]}'
sync
restart
sync
protected "an object that cannot be read"
told "an object that cannot be read" 'operator'
manifest np-shop-default-deny <<<"$good"
mended "an object that cannot be read"

# A file that was broken from its beginning: nothing of it is in force, and a start does not wait for it.
new() { # WHEN POD TEXT: the agent goes on with all else
	pod "$2" shop
	sync
	expect "$1: a new pod is protected" <<<"silent web $2 80 tcp"
	matches "$1: the file is named" "$(status '.problems[] | "\(.where) \(.text)"')" "$MANIFESTS/new.yaml.*$3"
	equal "$1: ready" "$(status .ready)" true
}
selecting() { # NAME OPERATOR
	echo "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: $1, namespace: shop}," \
		"spec: {podSelector: {matchExpressions: [{key: app, operator: $2}]}, policyTypes: [Ingress]}}"
}
selecting odd Bogus | manifest new
sync
restart
new "a policy that could never be read" new1 operator
manifest new <<<'{ [ broken'
sync
restart
new "a file that could never be read" new2 'nothing of it is in force'
manifest_rm new
sync
agent_kill
manifest new <<<'{ [ broken'
agent_start
new "a broken file that came while no agent ran" new3 'nothing of it is in force'

# What could be read of it is in force, and stays when nothing of it can be read any more.
namespace solo
pod alone solo
isolated() { expect "$1: what could be read of a file stays" <<<'silent world alone 80 tcp'; }
{ selecting all Exists | sed 's/shop/solo/'; echo ---; selecting odd Bogus; } | manifest new
sync
isolated "while the agent runs"
echo "{ [ broken" >>"$MANIFESTS/new.yaml"
restart
sync
isolated "after a restart"
matches "a file that can be read no more is named" "$(status '.problems[] | "\(.where) \(.text)"')" \
	"$MANIFESTS/new.yaml.*the objects that it held stay"
manifest_rm new
sync

# Nothing is known of the file: the tables stay as they are until it can be read or is gone.
agent_kill
rm -r "$RUN/last-good"
echo "{ [ broken" >>"$FILE"
agent_start
protected "a broken file of which nothing is known"
told "a broken file of which nothing is known" 'nothing is known'
equal "nothing is touched" "$(status '"\(.synced) \(.generation.applied)"')" "false 0"
strip db
# shellcheck disable=SC2317 # called by until_true
noticed() { [ "$(status .stats.watchdog_repairs)" -gt 0 ]; }
# shellcheck disable=SC2317 # called by until_true
shut_again() { [ "$(probe world db 80 tcp 4)$(probe world db 80 tcp 6)" = silentsilent ]; }
check "programs that somebody takes off are missed" until_true 20 noticed
check "what was in force is put back even so" until_true 20 shut_again
equal "and nothing else is touched" "$(status '"\(.synced) \(.generation.applied)"')" "false 0"
matches "what is waited for is said" "$(status '.problems[] | "\(.where) \(.text)"')" "source waits for 1 files"
manifest np-shop-default-deny <<<"$good"
mended "a broken file of which nothing is known"

# What went while no agent ran is gone.
agent_kill
rm "$FILE"
agent_start
sync
expect "a file that is gone isolates nobody" <<<'open web db 80 tcp'
end
