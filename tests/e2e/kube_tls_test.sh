#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An API server that cannot prove who it is gets no token and is not believed: a certificate of another CA or
# of another name, or less than TLS 1.2. What is in force stays in force meanwhile.
# shellcheck source=tests/e2e/_init.sh
. "$(dirname "$0")/_init.sh"

# kubeconfig NAME FILTER: the stand-in's, changed by a jq filter, as kubeconfig-NAME
kubeconfig() { yq -y "$2" "$API/kubeconfig" >"$API/kubeconfig-$1"; }
# shellcheck disable=SC2317 # called by check and until_true
told() { bh status -o json | jq -e --arg text "$1" '[.source.problems[] | select(.text | test($text))] | length > 0'; }

node_up
namespace shop
pod web shop
pod api shop
default_deny shop
api_start
api_show
kubeconfig good .
agent_start_kube
api_sync
expect "enforced" <<<'silent web api 80 tcp'
agent_stop

openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -days 2 -keyout "$WORK/other.key" -out "$WORK/other.crt" 2>/dev/null ||
	die "openssl"
# whom the system believes is nobody here
mkdir "$WORK/certs"
yq -r '.clusters[0].cluster."certificate-authority-data"' "$API/kubeconfig" | base64 -d >"$WORK/system.crt" || die "the CA"
cp "$WORK/system.crt" "$WORK/certs/$(openssl x509 -hash -noout -in "$WORK/system.crt").0" || die "the CA"
mount --bind "$WORK/certs" "$(openssl version -d | sed 's/.*"\(.*\)"/\1/')/certs" || die "the system's certificates"
kubeconfig ca ".clusters[0].cluster |= (del(.\"certificate-authority-data\") | .\"certificate-authority\" = \"$WORK/other.crt\")"
kubeconfig name '.clusters[0].cluster."tls-server-name" = "elsewhere"'
before=$(api '{"op":"status"}' | jq .requests)
for how in ca name; do
	agent_start --source "kube:$API/kubeconfig-$how" --api-pause 1
	check "another $how: the problem is told" until_true 20 told '[Cc]ertificate'
	equal "another $how: nothing is read" "$(bh status -o json | jq .synced)" false
	equal "another $how: nor asked, so no token is sent" "$(api '{"op":"status"}' | jq .requests)" "$before"
	expect "another $how: what is in force stays" <<<'silent web api 80 tcp'
	agent_stop
done

# TLS 1.1, though this system's OpenSSL may speak it and takes any cipher.
cat >"$WORK/openssl.cnf" <<-EOT
	openssl_conf = all
	[all]
	ssl_conf = modules
	[modules]
	system_default = any
	[any]
	MinProtocol = TLSv1
	CipherString = ALL:@SECLEVEL=0
EOT
export OPENSSL_CONF=$WORK/openssl.cnf
API=$WORK/api-old
api_start --old-tls
matches "TLS 1.1: others get on with such a server" "$(in_ns node openssl s_client -CAfile "$API/ca.crt" \
	-connect "${API_URL#https://}" </dev/null 2>&1 | tr '\n' ' ')" 'TLSv1\.1.*Verify return code: 0'
agent_start --source "kube:$API/kubeconfig" --api-pause 1
check "TLS 1.1: the problem is told" until_true 20 told 'protocol'
equal "TLS 1.1: nothing is read, nor asked" "$(bh status -o json | jq .synced) $(api '{"op":"status"}' | jq -c .requests)" "false {}"
expect "TLS 1.1: what is in force stays" <<<'silent web api 80 tcp'
end
