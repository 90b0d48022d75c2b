#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rig's own kube-proxy on a bridge.
set -- bridged
# shellcheck source=tests/e2e/proxy_test.sh
. "$(dirname "$0")/proxy_test.sh"
