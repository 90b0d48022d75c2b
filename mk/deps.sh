#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building, testing and the demo need and what is missing of it; Debian 12. `deps.sh build`: what
# building alone needs.
set -eu

building="gcc libc6-dev make clang llvm pkg-config git
libbpf-dev bpftool libelf-dev zlib1g-dev
libnl-3-dev libnl-route-3-dev libmnl-dev
libjson-c-dev libevent-dev libyaml-dev libcurl4-openssl-dev libssl-dev"
testing="libcmocka-dev
iproute2 nftables iptables conntrack ipset jq nghttp2-proxy procps util-linux shellcheck clang-format libclang-rt-14-dev libasan8 libubsan1
yq runc systemd curl openssl
podman conmon containernetworking-plugins busybox-static
prometheus python3-jsonschema nfdump rsyslog rsyslog-openssl"
packages=$building
[ "${1:-}" = build ] || packages="$building $testing"
# Manifests are rendered by whatever kubectl there is, else by Debian's.
[ "${1:-}" = build ] || command -v kubectl >/dev/null || packages="$packages kubernetes-client"

missing=""
for package in $packages; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages:$missing" >&2
	echo "run: sudo make deps" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Some bring a daemon: tests start it themselves, where and how they want it.
policy=/usr/sbin/policy-rc.d
[ -e "$policy" ] || {
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
}
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update -qq
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
# Nor does one that is new here start with the machine.
for daemon in prometheus nfdump rsyslog; do
	case " $missing " in
	*" $daemon "*) systemctl disable --quiet "$daemon" 2>/dev/null || true ;;
	esac
done
