// SPDX-License-Identifier: Apache-2.0
// cmd_version.c - `bulkhead version`: of the command line and of the agent.
#include "agent/cli/verbs.h"

#include <bulkhead/abi.h>

#include "agent/control/control.h"

static const struct option *const tables[] = { cli_common_options, NULL };

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "version",
	.summary = "print the version of this program and of the running agent",
	.text = "An agent that cannot be reached is no error here.",
	.tables = tables,
	.notes = cli_exit_notes,
	.section = 1,
};

// The agent's answer, or NULL.
static struct json_object *agent_version(const struct cli *cli)
{
	_cleanup_json_ struct json_object *request = cli_request("version");
	struct json_object *answer = NULL;

	if (control_call(cli->common->socket, request, (int)cli->common->timeout_sec, &answer,
			 NULL) < 0)
		return NULL;
	return answer;
}

static int run(struct cli *cli, const void *options, const struct option_list *args)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();
	struct json_object *agent = agent_version(cli);

	cli_put_text(json, "version", VERSION);
	cli_put_text(json, "commit", cli->commit);
	json_object_object_add(json, "abi", json_object_new_int(BH_ABI_VERSION));
	json_object_object_add(json, "agent", agent);
	if (cli->common->output == CLI_JSON) {
		cli_json(cli, json);
		return CLI_OK;
	}
	cli_text(cli, CLI_PLAIN, "bulkhead   %s (%s)\n", VERSION, cli->commit);
	if (agent)
		cli_text(cli, CLI_PLAIN, "bulkheadd  %s (%s)\n", json_text(agent, "version"),
			 json_text(agent, "commit"));
	else
		cli_text(cli, CLI_PLAIN, "bulkheadd  not reached\n");
	return CLI_OK;
}

const struct cli_verb cmd_version = { &page, sizeof(struct cli_common), run, false };
