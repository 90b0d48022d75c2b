// SPDX-License-Identifier: Apache-2.0
// verbs.h - every verb, one file each.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include "agent/cli/cli.h"

extern const struct cli_verb cmd_status;
extern const struct cli_verb cmd_endpoint_list;
extern const struct cli_verb cmd_endpoint_get;
extern const struct cli_verb cmd_policy_list;
extern const struct cli_verb cmd_policy_show;
extern const struct cli_verb cmd_policy_suggest;
extern const struct cli_verb cmd_flows;
extern const struct cli_verb cmd_top;
extern const struct cli_verb cmd_explain;
extern const struct cli_verb cmd_simulate;
extern const struct cli_verb cmd_lint;
extern const struct cli_verb cmd_report;
extern const struct cli_verb cmd_ct_list;
extern const struct cli_verb cmd_ct_flush;
extern const struct cli_verb cmd_cni_install;
extern const struct cli_verb cmd_cni_uninstall;
extern const struct cli_verb cmd_cni_status;
extern const struct cli_verb cmd_version;
extern const struct cli_verb cmd_completion;
extern const struct cli_verb cmd_help;
extern const struct cli_verb cmd_complete; // hidden: words for the shell
extern const struct cli_verb cmd_man; // hidden: writes the man pages
