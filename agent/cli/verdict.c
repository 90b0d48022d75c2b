// SPDX-License-Identifier: Apache-2.0
// verdict.c - a verdict for people: what decided at each end.
#include <string.h>

#include "agent/cli/cli.h"

static enum cli_colour verdict_colour(const char *verdict)
{
	if (!strcmp(verdict, "allow"))
		return CLI_GOOD;
	return strcmp(verdict, "deny") ? CLI_FAINT : CLI_BAD;
}

static void side_row(struct table *table, const char *name, struct json_object *side)
{
	const char *verdict = json_text(side, "verdict"), *reason = json_text(side, "reason");

	table_cell(table, CLI_FAINT, "  %s", name);
	table_cell(table, verdict_colour(verdict), "%s", verdict);
	// The rule says it all, unless something else than a rule decided.
	if (!json_at(side, "why") || !strcmp(reason, "allowed") || !strcmp(reason, "policy-denied"))
		table_cell(table, CLI_PLAIN, "%s", json_text(side, "text"));
	else
		table_cell(table, CLI_PLAIN, "%s: %s", reason, json_text(side, "why"));
}

static void backend_rows(struct table *table, struct json_object *side)
{
	for (size_t i = 0; i < json_length(side, "backends"); i++) {
		struct json_object *backend = json_item(side, "backends", i);
		const char *verdict = json_text(backend, "verdict");
		const char *addr = json_text(backend, "address");

		table_cell(table, CLI_FAINT, strchr(addr, ':') ? "    [%s]:%d" : "    %s:%d", addr,
			   (int)json_number(backend, "port"));
		table_cell(table, verdict_colour(verdict), "%s", verdict);
		table_cell(table, CLI_PLAIN, "%s",
			   json_at(backend, "text") ? json_text(backend, "text") :
						      json_text(backend, "egress.text"));
	}
}

static void audit_row(struct table *table, struct json_object *side)
{
	struct json_object *audit = json_at(side, "audit");

	if (!audit)
		return;
	table_cell(table, CLI_FAINT, "  with audit");
	table_cell(table, verdict_colour(json_text(audit, "verdict")), "%s",
		   json_text(audit, "verdict"));
	table_cell(table, CLI_PLAIN, "%s", json_text(audit, "rule.text"));
}

void cli_verdict(const struct cli *cli, const char *question, struct json_object *answer)
{
	static const char *const heads[] = { "", "", "", NULL };
	static const char *const sides[] = { "egress", "ingress" };
	const char *verdict = json_text(answer, "verdict");
	struct table *table = table_new(heads);

	cli_text(cli, CLI_PLAIN, "%s: ", question);
	cli_text(cli, verdict_colour(verdict), "%s\n", verdict);
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		side_row(table, sides[i], json_at(answer, sides[i]));
		backend_rows(table, json_at(answer, sides[i]));
		audit_row(table, json_at(answer, sides[i]));
	}
	table_end(table, cli);
}
