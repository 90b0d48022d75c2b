// SPDX-License-Identifier: Apache-2.0
// cmd_lint.c - `bulkhead lint`: what is odd about policies in files.
#include "agent/cli/verbs.h"

#include <limits.h>
#include <string.h>

#include "agent/review/lint.h"

enum lint_output { LINT_TEXT, LINT_JSON, LINT_SARIF };

struct lint_options {
	struct cli_common common;
	struct option_list disabled;
	int fail_on;
};

static const struct option options[] = {
	{ "disable", 'd', OPTION_LIST, offsetof(struct lint_options, disabled), "CODE",
	  "leave out findings of this code (BH103) or name (no-pods-given); may be given many times" },
	{ "fail-on", 0, OPTION_CHOICE, offsetof(struct lint_options, fail_on), "SEVERITY",
	  "exit with 1 if there is a finding of this severity or a graver one", "error",
	  .choices = "info|warning|error|never" },
	{ "output", 'o', OPTION_CHOICE, offsetof(struct lint_options, common.output), "FORMAT",
	  "print text for people, JSON for programs, or SARIF 2.1.0 for code hosts", "text",
	  .choices = "text|json|sarif" },
	{ "help", 'h', OPTION_HELP, .help = "print this help" },
	{ NULL },
};
static const struct option *const tables[] = { options, NULL };

static const struct option_note notes[] = {
	{ "EXAMPLES", "  bulkhead lint deploy/\n"
		      "  kustomize build overlays/prod | bulkhead lint --fail-on warning -\n"
		      "  bulkhead lint -d no-pods-given -o sarif deploy/ > lint.sarif" },
	{ "ANNOTATIONS", "  bulkhead.io/lint-ignore: BH102, host-network   not to be told of this object\n"
			 "  bulkhead.io/lint-ignore: all                   nothing of it" },
	{ "EXIT STATUS", "  0  no finding is as grave as --fail-on says\n"
			 "  1  one is\n"
			 "  2  wrong usage, or a PATH that cannot be read" },
	{ "SEE ALSO", "bulkhead(1), bulkhead-simulate(1)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead",
	.verb = "lint",
	.arguments = "PATH...",
	.summary = "tell what is odd about policies in files, without agent or cluster",
	.text = "PATH is a file or folder of manifests (YAML or JSON), or - for standard input. "
		"Give the namespaces and workloads with the policies: a selector is checked against the pods "
		"that are given, and a Deployment, StatefulSet, DaemonSet, Job or CronJob counts as the pod of its "
		"template.\n\n"
		"Each finding has a code that never changes its meaning.",
	.tables = tables,
	.notes = notes,
	.complete = "file",
	.min_args = 1,
	.max_args = OPTION_LIST_MAX,
	.section = 1,
};

static void put_number(struct json_object *json, const char *field, size_t n)
{
	json_object_object_add(json, field, json_object_new_int64((int64_t)n));
}

static void put_text(struct json_object *json, const char *field, const char *text)
{
	json_object_object_add(json, field, text ? json_object_new_string(text) : NULL);
}

static size_t count(const struct findings *findings, enum severity severity)
{
	size_t n = 0;

	vec_each(struct finding, finding, findings)
		n += finding->severity == severity;
	return n;
}

// "NetworkPolicy shop/web" into buf; of a whole file nothing.
static const char *title(const struct finding *finding, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s%s%s%s%s", finding->kind ? finding->kind : "", finding->kind ? " " : "",
		 finding->ns ? finding->ns : "", finding->ns ? "/" : "",
		 finding->name ? finding->name : "");
	return buf;
}

// ---- text --------------------------------------------------------------------------------------

static const enum cli_colour colours[SEVERITY_MAX] = {
	[SEVERITY_INFO] = CLI_FAINT, [SEVERITY_WARNING] = CLI_BOLD, [SEVERITY_ERROR] = CLI_BAD
};

static void print_finding(const struct cli *cli, const struct finding *finding)
{
	const struct lint_rule *rule = &lint_rules[finding->code];
	char object[640];

	title(finding, object, sizeof(object));
	if (*finding->path)
		cli_text(cli, CLI_PLAIN, "%s:%zu: ", finding->path, finding->line);
	cli_text(cli, colours[finding->severity], "%s %s %s", severity_name(finding->severity), rule->id,
		 rule->name);
	cli_text(cli, CLI_PLAIN, ": %s%s%s%s%s\n", object, *object && *finding->field ? " " : "",
		 finding->field, *object || *finding->field ? ": " : "", finding->text);
	cli_text(cli, CLI_FAINT, "    %s\n", rule->advice);
}

static void print_text(const struct cli *cli, const struct findings *findings)
{
	vec_each(struct finding, finding, findings)
		print_finding(cli, finding);
	cli_text(cli, CLI_PLAIN, "%zu errors, %zu warnings, %zu notes", count(findings, SEVERITY_ERROR),
		 count(findings, SEVERITY_WARNING), count(findings, SEVERITY_INFO));
	if (findings->ignored)
		cli_text(cli, CLI_PLAIN, "; %zu ignored by annotations", findings->ignored);
	cli_text(cli, CLI_PLAIN, "\n");
}

// ---- JSON --------------------------------------------------------------------------------------

static struct json_object *finding_json(const struct finding *finding)
{
	struct json_object *json = json_object_new_object(), *object = NULL;

	put_text(json, "code", lint_rules[finding->code].id);
	put_text(json, "name", lint_rules[finding->code].name);
	put_text(json, "severity", severity_name(finding->severity));
	if (finding->kind) {
		object = json_object_new_object();
		put_text(object, "kind", finding->kind);
		put_text(object, "namespace", finding->ns);
		put_text(object, "name", finding->name);
	}
	json_object_object_add(json, "object", object);
	put_text(json, "field", finding->field);
	put_text(json, "text", finding->text);
	put_text(json, "advice", lint_rules[finding->code].advice);
	put_text(json, "path", finding->path);
	put_number(json, "line", finding->line);
	return json;
}

static void print_json(const struct cli *cli, const struct findings *findings)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();
	struct json_object *list = json_object_new_array();

	vec_each(struct finding, finding, findings)
		json_object_array_add(list, finding_json(finding));
	put_number(json, "errors", count(findings, SEVERITY_ERROR));
	put_number(json, "warnings", count(findings, SEVERITY_WARNING));
	put_number(json, "notes", count(findings, SEVERITY_INFO));
	put_number(json, "ignored", findings->ignored);
	json_object_object_add(json, "findings", list);
	cli_json(cli, json);
}

// ---- SARIF 2.1.0 -------------------------------------------------------------------------------

static const char *sarif_level(enum severity severity)
{
	return severity == SEVERITY_INFO ? "note" : severity_name(severity);
}

static struct json_object *message(const char *text)
{
	struct json_object *json = json_object_new_object();

	put_text(json, "text", text);
	return json;
}

static struct json_object *one(struct json_object *json)
{
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, json);
	return list;
}

static struct json_object *in(const char *field, struct json_object *json)
{
	struct json_object *outer = json_object_new_object();

	json_object_object_add(outer, field, json);
	return outer;
}

static struct json_object *sarif_rule(enum lint_code code)
{
	const struct lint_rule *rule = &lint_rules[code];
	struct json_object *json = json_object_new_object();

	put_text(json, "id", rule->id);
	put_text(json, "name", rule->name);
	json_object_object_add(json, "shortDescription", message(rule->name));
	json_object_object_add(json, "help", message(rule->advice));
	json_object_object_add(json, "defaultConfiguration",
			       in("level", json_object_new_string(sarif_level(rule->severity))));
	return json;
}

// A path as the reference of an URI: what does not stand for itself there is written by its bytes.
static struct json_object *sarif_uri(const char *path)
{
	char text[3 * PATH_MAX + 1];
	size_t len = 0;

	for (const unsigned char *c = (const unsigned char *)path; *c && len + 4 < sizeof(text); c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || strchr("-._~/", *c);

		len += (size_t)snprintf(text + len, sizeof(text) - len, plain ? "%c" : "%%%02X", *c);
	}
	return json_object_new_string_len(text, (int)len);
}

static struct json_object *sarif_result(const struct finding *finding)
{
	struct json_object *json = json_object_new_object(), *place = json_object_new_object();
	char object[640], text[2048];

	title(finding, object, sizeof(object));
	snprintf(text, sizeof(text), "%s%s%s%s%s", object, *object && *finding->field ? " " : "",
		 finding->field, *object || *finding->field ? ": " : "", finding->text);
	put_text(json, "ruleId", lint_rules[finding->code].id);
	put_number(json, "ruleIndex", (size_t)finding->code);
	put_text(json, "level", sarif_level(finding->severity));
	json_object_object_add(json, "message", message(text));
	json_object_object_add(place, "artifactLocation", in("uri", sarif_uri(finding->path)));
	json_object_object_add(place, "region",
			       in("startLine", json_object_new_int64((int64_t)(finding->line ?: 1))));
	json_object_object_add(json, "locations", one(in("physicalLocation", place)));
	return json;
}

static void print_sarif(const struct cli *cli, const struct findings *findings)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();
	struct json_object *driver = json_object_new_object(), *run = json_object_new_object();
	struct json_object *rules = json_object_new_array(), *results = json_object_new_array();

	for (int i = 0; i < LINT_MAX; i++)
		json_object_array_add(rules, sarif_rule((enum lint_code)i));
	vec_each(struct finding, finding, findings)
		json_object_array_add(results, sarif_result(finding));
	put_text(driver, "name", "bulkhead lint");
	put_text(driver, "version", VERSION);
	json_object_object_add(driver, "rules", rules);
	json_object_object_add(run, "tool", in("driver", driver));
	json_object_object_add(run, "results", results);
	put_text(json, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
	put_text(json, "version", "2.1.0");
	json_object_object_add(json, "runs", one(run));
	cli_json(cli, json);
}

// ---- the verb ----------------------------------------------------------------------------------

static int read_disabled(const struct cli *cli, const struct option_list *list, bool *disabled)
{
	for (size_t i = 0; i < list->n; i++) {
		enum lint_code code = lint_code_find(list->v[i]);

		if (code == LINT_MAX)
			return cli_fail(cli, CLI_USAGE, "--disable: there is no code '%s'", list->v[i]);
		disabled[code] = true;
	}
	return CLI_OK;
}

static int load(const struct cli *cli, struct review *review, const struct option_list *paths)
{
	struct err err = { 0 };

	for (size_t i = 0; i < paths->n; i++)
		if (review_load(review, paths->v[i], &err) < 0)
			return cli_fail(cli, CLI_USAGE, "%s", err.text);
	return CLI_OK;
}

static int run(struct cli *cli, const void *arg, const struct option_list *args)
{
	static void (*const print[])(const struct cli *, const struct findings *) = {
		[LINT_TEXT] = print_text, [LINT_JSON] = print_json, [LINT_SARIF] = print_sarif
	};
	_cleanup_(review_freep) struct review *review = review_new();
	const struct lint_options *lint = arg;
	_cleanup_(findings_fini) struct findings findings = { 0 };
	bool disabled[LINT_MAX] = { false };
	int r = read_disabled(cli, &lint->disabled, disabled);

	if (r == CLI_OK)
		r = load(cli, review, args);
	if (r != CLI_OK)
		return r;
	lint_run(review, disabled, &findings);
	print[lint->common.output](cli, &findings);
	vec_each(struct finding, finding, &findings)
		if ((int)finding->severity >= lint->fail_on)
			return CLI_NEGATIVE;
	return CLI_OK;
}

const struct cli_verb cmd_lint = { &page, sizeof(struct lint_options), run, false };
