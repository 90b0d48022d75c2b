// SPDX-License-Identifier: Apache-2.0
// verbs.c - the table of verbs.
#include "agent/cli/verbs.h"

static const struct cli_verb *const verbs[] = {
	&cmd_status,     &cmd_endpoint_list, &cmd_endpoint_get, &cmd_policy_list, &cmd_policy_show,
	&cmd_policy_suggest, &cmd_flows,     &cmd_top,
	&cmd_explain,    &cmd_simulate,      &cmd_lint,         &cmd_report,      &cmd_ct_list,
	&cmd_ct_flush,
	&cmd_cni_install, &cmd_cni_uninstall, &cmd_cni_status, &cmd_version,
	&cmd_completion, &cmd_help,          &cmd_complete,     &cmd_man,         NULL,
};

const struct cli_verb *const *cli_verbs(void)
{
	return verbs;
}
