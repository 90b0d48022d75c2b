#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# R30 on a bridge whose devices are in hairpin mode.
set -- bridged
# shellcheck source=tests/e2e/service_hairpin_test.sh
. "$(dirname "$0")/service_hairpin_test.sh"
