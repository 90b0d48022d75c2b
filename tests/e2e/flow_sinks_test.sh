#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hundred connections, TCP and UDP, of both families, each of other numbers, through sinks of all formats and transports at once: every sink has
# every one of them, with the packets and bytes that the pod's own kernel counted, and what was denied to the packet.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

COLLECT=$WORK/collect
IPFIX=4739 SYSLOG=5514 SYSLOG_TLS=6514 JSON=5170 JSON_TLS=5171
mkdir -p "$COLLECT/nfcapd"

# ---- collectors, on the node ---------------------------------------------------------------------------------
udp_listens() { in_ns node ss -Hlun "sport = :$1" | grep -q .; }
tcp_listens() { in_ns node ss -Hltn "sport = :$1" | grep -q .; }

nfcapd_has_read() { [ "$(in_ns node ss -Hlun "sport = :$IPFIX" | awk '{ print $2 }')" = 0 ]; }

collectors_start() {
	nsenter --net="/run/netns/$NODE_NS" nfcapd -w "$COLLECT/nfcapd" -b 127.0.0.1 -p $IPFIX -t 86400 >"$WORK/nfcapd.log" 2>&1 &
	nfcapd=$!
	cat >"$COLLECT/rsyslog.conf" <<-EOT
		global(workDirectory="$COLLECT" defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="$COLLECT/server.crt"
		  defaultNetstreamDriverCertFile="$COLLECT/server.crt" defaultNetstreamDriverKeyFile="$COLLECT/server.key")
		module(load="imudp")
		module(load="imptcp")
		module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
		template(name="line" type="string" string="%syslogseverity-text% %structured-data%\n")
		ruleset(name="tcp") { action(type="omfile" file="$COLLECT/syslog-tcp" template="line" flushOnTXEnd="on") }
		ruleset(name="udp") { action(type="omfile" file="$COLLECT/syslog-udp" template="line" flushOnTXEnd="on") }
		ruleset(name="tls") { action(type="omfile" file="$COLLECT/syslog-tls" template="line" flushOnTXEnd="on") }
		input(type="imptcp" address="127.0.0.1" port="$SYSLOG" ruleset="tcp")
		input(type="imudp" address="127.0.0.1" port="$SYSLOG" ruleset="udp" rcvbufSize="4m")
		input(type="imtcp" address="127.0.0.1" port="$SYSLOG_TLS" ruleset="tls")
	EOT
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$COLLECT/server.key" -out "$COLLECT/server.crt" \
		-days 2 -subj /CN=collector -addext subjectAltName=IP:127.0.0.1 2>"$WORK/openssl.log" || die "$(cat "$WORK/openssl.log")"
	nsenter --net="/run/netns/$NODE_NS" rsyslogd -n -f "$COLLECT/rsyslog.conf" -i NONE >"$WORK/rsyslog.log" 2>&1 &
	nsenter --net="/run/netns/$NODE_NS" python3 tests/e2e/_collect.py "$COLLECT" unix:0:unix unix:0:hubble-unix \
		tcp:$JSON:tcp tls:$JSON_TLS:tls ipfix:$IPFIX:ipfix-tcp >"$WORK/readers.log" 2>&1 &
	until_true 20 udp_listens $IPFIX || die "nfcapd: $(cat "$WORK/nfcapd.log")"
	until_true 20 udp_listens $SYSLOG || die "rsyslogd: $(cat "$WORK/rsyslog.log")"
	until_true 20 tcp_listens $SYSLOG || die "rsyslogd: $(cat "$WORK/rsyslog.log")"
	until_true 20 tcp_listens $SYSLOG_TLS || die "rsyslogd: $(cat "$WORK/rsyslog.log")"
	until_true 20 grep -q ready "$WORK/readers.log" || die "readers: $(cat "$WORK/readers.log")"
}

# What one pod's kernel counts of each connection to port 80, both ways.
meter() { # POD
	local v
	for v in 4 6; do
		in_ns "$1" nft -f - <<-EOT
			table ip${v/4/} counts {
				set there { typeof ip${v/4/} saddr . meta l4proto . th sport . ip${v/4/} daddr; size 4096; flags dynamic; }
				set back { typeof ip${v/4/} daddr . meta l4proto . th dport . ip${v/4/} saddr; size 4096; flags dynamic; }
				chain out {
					type filter hook postrouting priority 300;
					th dport 80 meta l4proto { tcp, udp } add @there { ip${v/4/} saddr . meta l4proto . th sport . ip${v/4/} daddr counter }
				}
				chain in {
					type filter hook prerouting priority -400;
					th sport 80 meta l4proto { tcp, udp } add @back { ip${v/4/} daddr . meta l4proto . th dport . ip${v/4/} saddr counter }
				}
			}
		EOT
	done
}
metered() { # POD: lines PROTOCOL SOURCE SPORT DESTINATION PACKETS BYTES BACK-PACKETS BACK-BYTES
	local v
	for v in ip ip6; do
		in_ns "$1" nft -j list table $v counts | jq -r '
			def of($n): [.nftables[].set // empty | select(.name == $n) | .elem[]?.elem
				| { key: (.val.concat | "\(.[1]) \(.[0]) \(.[2]) \(.[3])"), value: "\(.counter.packets) \(.counter.bytes)" }] | from_entries;
			of("there") as $there | of("back") as $back | $there | keys[] | "\(.) \($there[.]) \($back[.])"'
	done | sed 's/^tcp/TCP/; s/^udp/UDP/' | sort
}

# CONNECTIONS to port 80 of an address, one after the other; the n-th has so many messages of so many bytes as n says.
CLIENT='
import socket, sys
kind, address, first, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
for i in range(first, first + n):
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.bind(("", 10000 + i)) # each its own: two on the same port would be one flow
        s.connect((address, 80))
        for message in range(i % 7 + 1):
            size = 16 + i * 37 % 1000 + message
            s.send(b"." * size)
            while size:
                size -= len(s.recv(size if kind == "tcp" else 2048))
'
talk() { in_ns web python3 -c "$CLIENT" "$@"; } # tcp|udp ADDRESS FIRST N
closed() { [ -z "$(in_ns web ss -Htn state established state fin-wait-1 state fin-wait-2 state last-ack state closing)" ]; }

# ---- what each sink has, as: PROTOCOL SOURCE SPORT DESTINATION DPORT PACKETS BYTES BACK-PACKETS BACK-BYTES, sorted -----
of_json() { # FILE TYPE
	jq -r --arg t "$2" 'select(.type == $t) | [.protocol, .source.address, .source.port // 0, .destination.address, .destination.port,
		.packets.forward, .bytes.forward, .packets.reverse // 0, .bytes.reverse // 0] | map(tostring) | join(" ")' "$1" | sort
}
of_nfdump() { # FILTER
	nfdump -6 -R "$COLLECT/nfcapd" -q -N -o 'fmt:%pr %sa %sp %da %dp %ipkt %ibyt %opkt %obyt' "$1" | awk 'NF == 9 { $1 = $1 == 6 ? "TCP" : $1 == 17 ? "UDP" : $1; print }' | sort
}
of_syslog() { # FILE TYPE
	grep -F " type=\"$2\"" "$1" | sed -E 's/\] ?$/ /' | awk '{
		delete v
		while (match($0, / [a-z-]+="[^"]*"/)) {
			pair = substr($0, RSTART + 1, RLENGTH - 1); $0 = substr($0, RSTART + RLENGTH)
			at = index(pair, "="); v[substr(pair, 1, at - 1)] = substr(pair, at + 2, length(pair) - at - 2)
		}
		print v["protocol"], v["src-address"], v["src-port"], v["dst-address"], v["dst-port"], v["packets"], v["bytes"], v["packets-back"], v["bytes-back"]
	}' | sort
}
of_hubble() { # FILE TYPE VERDICT: as above
	jq -r --arg t "$2" --arg v "$3" '.flow | .extensions.value as $x | select($x.type == $t and .verdict == $v) | (.l4 | to_entries[0]) as $l
		| [$l.key, .IP.source, $l.value.source_port // 0, .IP.destination, $l.value.destination_port, $x.packets.forward, $x.bytes.forward,
			$x.packets.reverse // 0, $x.bytes.reverse // 0] | map(tostring) | join(" ")' "$1" | sort
}
of_ipfix() { sed -n "s/^$2 //p" "$1" | sort; } # FILE TYPE
READERS=(file stdout unix tcp tls hubble hubble-unix syslog-tcp syslog-udp syslog-tls ipfix-tcp)
lines_of() { # READER TYPE VERDICT
	case $1 in
	hubble*) of_hubble "$COLLECT/$1" "$2" "$3" ;;
	syslog*) of_syslog "$COLLECT/$1" "$2" ;;
	ipfix*) of_ipfix "$COLLECT/$1" "$2" ;;
	*) of_json "$COLLECT/$1" "$2" ;;
	esac
}
# READER TYPE COUNT: it has so many, and the last one wholly.
has() { [ -z "$(tail -c 1 "$COLLECT/$1")" ] && [ "$(grep -cE "\"type\":\"$2\"| type=\"$2\"|^$2 " "$COLLECT/$1")" -ge "$3" ]; }
# What sinks were offered they have handed on: all of it, and as much of it in those of one filter.
delivered() {
	ask '{"op":"status"}' | jq -e '[.. | objects | select(has("offered"))] | length == 12 and all(.offered == .delivered and .offered > 0)'
}
sums() { awk '{ n++; p += $6; b += $7; rp += $8; rb += $9 } END { print n + 0, p, b, rp, rb }'; }
by_port() { awk '{ k = $1 " " $2 " " $5; p[k] += $6; b[k] += $7 } END { for (k in p) print k, p[k], b[k] }' | sort; } # denies

SERVERS=(api db cache mail) EACH=50 # connections of a server, so that no collector's buffer is too small for the ends of one
TOTAL=$((EACH * ${#SERVERS[@]}))
node_up
namespace shop
pod web shop
for s in "${SERVERS[@]}"; do pod "$s" shop "tier: server"; done
policy servers shop <<<'{podSelector: {matchLabels: {tier: server}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}]}'
collectors_start
FILTER='filter=type%3Dend,deny%20direction%3Dingress' DIRECTION='filter=direction%3Dingress'
# shellcheck disable=SC2016 # the script's own
echo 'exec "$@" >>"$COLLECT/stdout"' >"$WORK/under"
export COLLECT
UNDER="sh $WORK/under" agent_start --flow-sinks "json+file://$COLLECT/file?$FILTER json+stdout:?$FILTER json+unix://$COLLECT/unix.sock?$FILTER
	json+tcp://127.0.0.1:$JSON?$FILTER json+tls://127.0.0.1:$JSON_TLS?ca=$COLLECT/server.crt&$FILTER
	hubble+file://$COLLECT/hubble?$DIRECTION hubble+unix://$COLLECT/hubble-unix.sock?$DIRECTION
	ipfix+udp://127.0.0.1:$IPFIX?$FILTER ipfix+tcp://127.0.0.1:$IPFIX?$FILTER
	syslog+udp://127.0.0.1:$SYSLOG?$FILTER syslog+tcp://127.0.0.1:$SYSLOG?$FILTER
	syslog+tls://127.0.0.1:$SYSLOG_TLS?ca=$COLLECT/server.crt&$FILTER"
sync
meter web
n=0
for s in "${SERVERS[@]}"; do
	check "tcp to $s over IPv4" talk tcp "${POD4[$s]}" $n 13
	check "tcp over IPv6" talk tcp "${POD6[$s]}" $((n + 13)) 12
	check "udp over IPv4" talk udp "${POD4[$s]}" $((n + 25)) 13
	check "udp over IPv6" talk udp "${POD6[$s]}" $((n + 38)) 12
	n=$((n + EACH))
	in_ns web "$TRAFFIC" flood -n $n "${POD4[$s]}" 9000 9001 >/dev/null
	in_ns web "$TRAFFIC" flood -n $n "${POD6[$s]}" 9001 9002 >/dev/null
done
check "all connections are closed" until_true 20 closed
flows=$(metered web)
equal "there were as many" "$(wc -l <<<"$flows")" $TOTAL

# A pod goes: all its flows are over, at once.
ends=0
for s in "${SERVERS[@]}"; do
	ends=$((ends + EACH))
	manifest_rm "pod-$s"
	tool_stop "serve-$s"
	link_down "$s"
	check "the file has the ends of $s" until_true 30 has file end $ends
	check "every sink has handed on all of it" until_true 30 delivered
	check "nfcapd has read them" until_true 30 nfcapd_has_read
done
for reader in "${READERS[@]}"; do
	until_true 30 has "$reader" end $TOTAL || fail "$reader has all ends"
done
kill -TERM $nfcapd && wait $nfcapd

want=$(sed -E 's/^(\S+ \S+ \S+ \S+) /\1 80 /' <<<"$flows" | sort)
same() { # WHERE GOT
	equal "each connection as the pod's kernel counted it, $1" "$2" "$want"
	equal "and the sum of all" "$(sums <<<"$2")" "$(sums <<<"$want")"
}
for reader in "${READERS[@]}"; do
	same "at $reader" "$(lines_of "$reader" end FORWARDED)"
done
same "at nfcapd" "$(of_nfdump 'port 80')"
equal "in Hubble's shape each has begun once" "$(lines_of hubble start FORWARDED | cut -d' ' -f1-5)" "$(cut -d' ' -f1-5 <<<"$want")"

# n = 50, 100, 150 and 200 rounds of datagrams of a byte: 29 and 49 bytes long
denies=$(for port in 9000 9001 9002; do
	[ $port = 9002 ] || echo "UDP WEB4 $port 500 14500"
	[ $port = 9000 ] || echo "UDP WEB6 $port 500 24500"
done | sed "s/WEB4/${POD4[web]}/; s/WEB6/${POD6[web]}/" | sort)
for reader in "${READERS[@]}"; do
	equal "denied packets, at $reader" "$(lines_of "$reader" deny DROPPED | by_port)" "$denies"
done
equal "at nfcapd" "$(of_nfdump 'dst port > 8999' | by_port)" "$denies"
all_valid "$COLLECT/file" "$COLLECT/stdout" "$COLLECT/unix" "$COLLECT/tcp" "$COLLECT/tls"
equal "nothing is lost" "$(ask '{"op":"status"}' | jq -c '[.flows.lost, ([.flows.sinks[] | .lost_full + .lost_error] | add)]')" \
	'[{"ends":0,"denies":0,"names":0,"backends":0,"memory":0},0]'
