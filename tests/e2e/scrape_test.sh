#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real Prometheus asks the agent by TLS, with a certificate of its own: series arrive, with the values of status; who has
# no certificate gets nothing; a new certificate counts without a restart. All that alerts, dashboard and docs/metrics.md
# speak of is on the page, and the page has nothing else.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

T=$WORK/tls
URL=https://127.0.0.1:9964/metrics
mkdir "$T"
certify() { # NAME CA [EXTENSION]: a key and a certificate of it
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$T/$1.key.new" -out "$T/$1.csr" 2>/dev/null || die "openssl req"
	openssl x509 -req -in "$T/$1.csr" -CA "$T/$2.crt" -CAkey "$T/$2.key" -CAcreateserial -days 2 \
		-extfile <(echo "${3:-}") -out "$T/$1.crt.new" 2>/dev/null || die "openssl x509"
	mv "$T/$1.key.new" "$T/$1.key"
	mv "$T/$1.crt.new" "$T/$1.crt"
}
for ca in ca other; do
	openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=$ca" -days 2 -keyout "$T/$ca.key" -out "$T/$ca.crt" 2>/dev/null || die "openssl"
done
certify server ca "subjectAltName=IP:127.0.0.1"
certify client ca
certify stranger other
ask_page() { in_ns node curl -s --max-time 10 --cacert "$T/ca.crt" "$@" "$URL"; } # further arguments of curl
as() { ask_page --cert "$T/$1.crt" --key "$T/$1.key" "${@:2}"; } # NAME
query() { # EXPRESSION: the value of its first sample
	in_ns node curl -s --max-time 10 -G --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query |
		jq -r '.data.result[0].value[1] // "-"'
}
# shellcheck disable=SC2317 # called by name
is() { [ "$(query "$1")" = "$2" ]; } # EXPRESSION VALUE
status() { bh status -o json | jq -r "$1"; }

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
agent_start --flows on --http-cert "$T/server.crt" --http-key "$T/server.key" --http-client-ca "$T/ca.crt"
sync

# ---- who is answered -------------------------------------------------------------------------------------------------------
matches "who has a certificate of the CA" "$(as client)" '^bulkhead_ready 1$'
equal "nobody else: without one" "$(ask_page)" ""
equal "of another CA" "$(as stranger)" ""
equal "not by TLS 1.1" "$(as client --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0)" ""
matches "by TLS 1.2" "$(as client --tls-max 1.2)" '^bulkhead_ready 1$'
equal "nor without TLS" "$(in_ns node curl -s --max-time 10 http://127.0.0.1:9964/metrics)" ""

# ---- Prometheus ------------------------------------------------------------------------------------------------------------
sed "s|@|$T|g" >"$WORK/prometheus.yml" <<-EOT
	global: {scrape_interval: 1s, evaluation_interval: 1s}
	rule_files: ["$ROOT/deploy/monitoring/alerts.yaml"]
	scrape_configs:
	- job_name: bulkhead
	  scheme: https
	  tls_config: {ca_file: @/ca.crt, cert_file: @/client.crt, key_file: @/client.key}
	  static_configs: [{targets: ["127.0.0.1:9964"]}]
EOT
check "promtool accepts the configuration" promtool check config "$WORK/prometheus.yml"
nsenter --net="/run/netns/$NODE_NS" prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
	--web.listen-address=127.0.0.1:9090 >"$WORK/prometheus.log" 2>&1 </dev/null &
check "Prometheus reaches the agent" until_true 60 is 'up{job="bulkhead"}' 1
check "it knows that the agent is ready" until_true 20 is bulkhead_ready 1
equal "room of a table, as status has it" "$(query 'bulkhead_table_bytes{table="bh_ct"}')" "$(status .tables.bh_ct)"
equal "pods" "$(query 'bulkhead_endpoints{state="enforce"}')" "$(status .endpoints.enforce)"
expect "denied traffic" <<<'silent world web 80 tcp'
denied=$(total web ingress policy-denied)
check "as many denies as were counted" until_true 20 is 'bulkhead_dropped_packets_total{direction="ingress",reason="policy-denied"}' "$denied"
check "by the policy" until_true 20 is 'bulkhead_policy_dropped_packets_total{policy="shop/default-deny"}' "$denied"
equal "it knows the units" "$(in_ns node curl -s --max-time 10 'http://127.0.0.1:9090/api/v1/metadata?metric=bulkhead_dropped_packets' |
	jq -r '.data.bulkhead_dropped_packets[0] | "\(.type) \(.unit)"')" "counter packets"
equal "all alerts are loaded, none is in error" "$(in_ns node curl -s --max-time 10 http://127.0.0.1:9090/api/v1/rules |
	jq -r '[.data.groups[].rules[] | select(.health == "err")] | length')" 0

# ---- a new certificate --------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2317 # called in a shell of the node
serial() { openssl s_client -connect 127.0.0.1:9964 -CAfile "$T/ca.crt" -cert "$T/client.crt" -key "$T/client.key" </dev/null 2>/dev/null |
	openssl x509 -noout -serial; }
shown() { in_ns node bash -c "$(declare -f serial); T=$T; serial"; }
before=$(shown)
certify server ca "subjectAltName=IP:127.0.0.1"
equal "a new certificate is shown at once" "$(shown)" "$(openssl x509 -noout -serial -in "$T/server.crt")"
check "it is another one" [ "$(shown)" != "$before" ]
before=$(shown)
echo nonsense >"$T/server.crt"
equal "what is none changes nothing" "$(shown)" "$before"
check "and is a problem" until_true 20 bash -c "$(declare -f bh in_ns status); B=$B P=$P SOCKET=$SOCKET; status '.problems[].text' | grep -q 'server.crt: no certificate'"
certify server ca "subjectAltName=IP:127.0.0.1"
equal "until it is one again" "$(shown)" "$(openssl x509 -noout -serial -in "$T/server.crt")"

# ---- what is spoken of ---------------------------------------------------------------------------------------------------------
as client | sed -nE 's/^# TYPE (bulkhead_[a-z0-9_]+) (.*)/\1 \2/p' | while read -r name type; do
	echo "$name"
	[ "$type" != histogram ] || printf '%s\n' "$name"_{bucket,sum,count}
done | sort -u >"$WORK/names"
check "the page has names" [ "$(wc -l <"$WORK/names")" -gt 50 ]
spoken() { grep -ohE '\bbulkhead_[a-z0-9_]+' "$@" | sort -u; }
equal "alerts speak of what is there" "$(spoken deploy/monitoring/alerts.yaml | comm -23 - "$WORK/names")" ""
equal "so does the dashboard" "$(jq -r '.. | .expr? // empty' deploy/monitoring/dashboard.json | spoken | comm -23 - "$WORK/names")" ""
equal "so does docs/metrics.md" "$(spoken docs/metrics.md | comm -23 - "$WORK/names")" ""
equal "which explains all of it" "$(grep -vE '_(bucket|sum|count)$' "$WORK/names" | comm -23 - <(grep -oE '^\| `bulkhead_[a-z0-9_]+' docs/metrics.md | cut -c4- | sort -u))" ""
check "Prometheus reads every expression of the dashboard" bash -c "$(declare -f in_ns); P=$P
	jq -r '.. | .expr? // empty' deploy/monitoring/dashboard.json | sed 's/\\\$__rate_interval/1m/g; s/\\\$instance/.*/g' | while read -r e; do
		in_ns node curl -s --max-time 10 -G --data-urlencode \"query=\$e\" http://127.0.0.1:9090/api/v1/query | grep -q '\"status\":\"success\"' || { echo \"\$e\"; exit 1; }
	done"
kill %1 2>/dev/null
wait %1 2>/dev/null
end
