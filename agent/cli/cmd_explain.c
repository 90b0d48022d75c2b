// SPDX-License-Identifier: Apache-2.0
// cmd_explain.c - `bulkhead explain`: what the running agent and its kernel tables say of a flow.
#include "agent/cli/verbs.h"

#include "agent/cli/flow.h"
#include "agent/object/object.h"

struct explain_options {
	struct cli_common common;
	struct flow_options flow;
};

static const struct option options[] = {
	FLOW_OPTIONS(struct explain_options),
	{ NULL },
};
static const struct option *const tables[] = { options, cli_common_options, NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES", "  bulkhead explain --from shop/web-0 --to shop/db-0 --port 5432\n"
		      "  bulkhead explain --from 10.0.0.7 --to shop/web-0 --port 80 -o json" },
	{ "EXIT STATUS", CLI_EXIT_TEXT },
	{ "SEE ALSO", "bulkhead(1), bulkhead-simulate(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "explain",
	.summary = "tell whether this node would let a new connection pass, and which rule decides",
	.text = "Each end that is a pod of this node is judged by the tables that its programs read at "
		"this moment; an end elsewhere is judged by its own node and shown as unjudged.",
	.tables = tables,
	.notes = notes,
	.section = 1,
};

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct explain_options *explain = arg;
	_cleanup_json_ struct json_object *answer = NULL;
	struct flow_question question;
	struct json_object *request;
	int r = flow_check(cli, &explain->flow, &question);

	if (r != CLI_OK)
		return r;
	request = cli_request("explain");
	cli_put_text(request, "from", explain->flow.from);
	cli_put_text(request, "to", explain->flow.to);
	cli_put_text(request, "protocol", protocol_name(question.protocol));
	json_object_object_add(request, "port", json_object_new_int(question.port));
	if (question.family)
		json_object_object_add(request, "family", json_object_new_int(question.family));
	r = cli_ask(cli, request, &answer);
	if (r != CLI_OK)
		return r;
	if (cli->common->output == CLI_JSON)
		cli_json(cli, answer);
	else
		cli_verdict(cli, question.text, answer);
	return CLI_OK;
}

const struct cli_verb cmd_explain = { &page, sizeof(struct explain_options), run, false };
