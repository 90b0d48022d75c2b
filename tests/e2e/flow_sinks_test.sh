#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One connection through all sinks at once: each tells the packets and bytes that the pod's own kernel counted, and a
# denied one is told as often as it knocked.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

COLLECT=$WORK/collect
IPFIX=4739 SYSLOG=5514
mkdir -p "$COLLECT/nfcapd"

# ---- collectors, on the node ---------------------------------------------------------------------------------
udp_listens() { in_ns node ss -Hlun "sport = :$1" | grep -q .; }
tcp_listens() { in_ns node ss -Hltn "sport = :$1" | grep -q .; }

nfcapd_has_read() { [ "$(in_ns node ss -Hlun "sport = :$IPFIX" | awk '{ print $2 }')" = 0 ]; }

collectors_start() {
	nsenter --net="/run/netns/$NODE_NS" nfcapd -w "$COLLECT/nfcapd" -b 127.0.0.1 -p $IPFIX -t 86400 >"$WORK/nfcapd.log" 2>&1 &
	nfcapd=$!
	cat >"$COLLECT/rsyslog.conf" <<-EOT
		global(workDirectory="$COLLECT")
		module(load="imptcp")
		template(name="line" type="string" string="%syslogseverity-text% %structured-data%\n")
		ruleset(name="all") { action(type="omfile" file="$COLLECT/syslog" template="line" flushOnTXEnd="on") }
		input(type="imptcp" address="127.0.0.1" port="$SYSLOG" ruleset="all")
	EOT
	nsenter --net="/run/netns/$NODE_NS" rsyslogd -n -f "$COLLECT/rsyslog.conf" -i NONE >"$WORK/rsyslog.log" 2>&1 &
	nsenter --net="/run/netns/$NODE_NS" python3 - "$COLLECT/unix.sock" "$COLLECT/unix" >"$WORK/unix.log" 2>&1 <<-'EOT' &
		import socket, sys
		listening = socket.socket(socket.AF_UNIX)
		listening.bind(sys.argv[1])
		listening.listen()
		connection = listening.accept()[0]
		with open(sys.argv[2], "wb", buffering=0) as out:
		    while data := connection.recv(65536):
		        out.write(data)
	EOT
	until_true 20 udp_listens $IPFIX || die "nfcapd: $(cat "$WORK/nfcapd.log")"
	until_true 20 tcp_listens $SYSLOG || die "rsyslogd: $(cat "$WORK/rsyslog.log")"
	until_true 20 test -S "$COLLECT/unix.sock" || die "unix socket: $(cat "$WORK/unix.log")"
}

# What one pod's kernel counts of TCP to a port: lines of a table of its own.
meter() { # POD PORT
	in_ns "$1" nft -f - <<-EOT
		table inet counts {
			counter there {}
			counter back {}
			chain out { type filter hook postrouting priority 300; tcp dport $2 counter name there; }
			chain in { type filter hook prerouting priority -400; tcp sport $2 counter name back; }
		}
	EOT
}
metered() { # POD: packets and bytes there, and back
	in_ns "$1" nft -j list counters table inet counts |
		jq -r '[.nftables[].counter // empty] | (map(select(.name == "there")) + map(select(.name == "back")))
			| map("\(.packets) \(.bytes)") | join(" ")'
}

# ---- what each sink has, as: SOURCE SPORT DESTINATION DPORT PACKETS BYTES BACK-PACKETS BACK-BYTES ----------------
of_json() { # FILE TYPE
	jq -r --arg t "$2" 'select(.type == $t) | [.source.address, .source.port // 0, .destination.address, .destination.port,
		.packets.forward, .bytes.forward, .packets.reverse // 0, .bytes.reverse // 0] | map(tostring) | join(" ")' "$1"
}
of_nfdump() { # FILTER
	nfdump -R "$COLLECT/nfcapd" -q -N -o 'fmt:%sa %sp %da %dp %ipkt %ibyt %opkt %obyt' "$1" | awk 'NF == 8 { $1 = $1; print }'
}
of_syslog() { # TYPE
	grep -F " type=\"$1\"" "$COLLECT/syslog" | sed -E 's/\] ?$/ /' | awk '{
		delete v
		while (match($0, / [a-z-]+="[^"]*"/)) {
			pair = substr($0, RSTART + 1, RLENGTH - 1); $0 = substr($0, RSTART + RLENGTH)
			at = index(pair, "="); v[substr(pair, 1, at - 1)] = substr(pair, at + 2, length(pair) - at - 2)
		}
		print v["src-address"], v["src-port"], v["dst-address"], v["dst-port"], v["packets"], v["bytes"], v["packets-back"], v["bytes-back"]
	}'
}
has() { grep -qs "\"type\":\"$1\"" "$COLLECT/file"; }
syslog_has_both() { grep -qF ' type="end"' "$COLLECT/syslog" && grep -qF ' type="deny"' "$COLLECT/syslog"; }
delivered() { # every sink has handed on what it was offered
	ask '{"op":"status"}' | jq -e '[.. | objects | select(has("offered"))] | length == 5 and all(.offered == .delivered and .offered >= 2)'
}

node_up
namespace shop
pod web shop
pod api shop
policy api shop <<<'{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}'
collectors_start
FILTER='filter=type%3Dend,deny%20direction%3Dingress'
agent_start --flow-sinks "json+file://$COLLECT/file?$FILTER json+unix://$COLLECT/unix.sock?$FILTER
	hubble+file://$COLLECT/hubble?$FILTER ipfix+udp://127.0.0.1:$IPFIX?$FILTER syslog+tcp://127.0.0.1:$SYSLOG?$FILTER"
sync
meter web 80
equal "the connection is allowed" "$(probe web api 80 tcp 4)" open
equal "the other port is denied" "$(probe web api 81 tcp 4)" silent
flow=$(metered web)

check "the file has the deny" until_true 30 has deny

# The pod goes: all its flows are over, at once.
manifest_rm pod-api
sync
link_down api
check "the file has the end" until_true 30 has end
check "every sink has handed on all of it" until_true 30 delivered
check "syslog has both" until_true 30 syslog_has_both
check "nfcapd has read all" until_true 30 nfcapd_has_read
kill -TERM $nfcapd && wait $nfcapd

want="${POD4[web]} $(jq -r 'select(.type == "end") | .source.port' "$COLLECT/file") $(jq -r 'select(.type == "end") | .destination.address' "$COLLECT/file") 80 $flow"
equal "json in a file tells what the pod's kernel counted" "$(of_json "$COLLECT/file" end)" "$want"
equal "json over a unix socket" "$(of_json "$COLLECT/unix" end)" "$want"
equal "ipfix at nfcapd" "$(of_nfdump 'port 80')" "$want"
equal "syslog at rsyslog" "$(of_syslog end)" "$want"
equal "hubble has one record of each" "$(jq -r '.flow.verdict' "$COLLECT/hubble" | sort | tr '\n' ' ')" "DROPPED FORWARDED "

deny=$(of_json "$COLLECT/file" deny)
matches "a deny tells the packets that were dropped" "$deny" "^${POD4[web]} 0 [0-9.]+ 81 [1-9][0-9]* [1-9][0-9]+ 0 0\$"
equal "the same over a unix socket" "$(of_json "$COLLECT/unix" deny)" "$deny"
equal "the same at nfcapd" "$(of_nfdump 'port 81')" "$deny"
equal "the same at rsyslog" "$(of_syslog deny)" "$deny"
