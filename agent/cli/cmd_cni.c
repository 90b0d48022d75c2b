// SPDX-License-Identifier: Apache-2.0
// cmd_cni.c - `bulkhead cni install|uninstall|status`: the plugin in this node's folders, with or without an agent.
#include "agent/cli/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/conflist/conflist.h"
#include "agent/conflist/place.h"
#include "agent/control/control.h"

struct cni_options {
	struct cli_common common;
	const char *conf_dir, *bin_dir, *plugin;
	int on_agent_down; // index in "fail|quarantine"
	int on_other_interface; // index in "fail|pass"
	uint64_t add_timeout_sec; // 0: the plugin's default
};

#define FIELD(field) offsetof(struct cni_options, field)

static const struct option folders[] = {
	{ "conf-dir", 0, OPTION_TEXT, FIELD(conf_dir), "DIR",
	  "folder of the runtime's network configurations", PLACE_CONF_DIR,
	  .env = "BULKHEAD_CNI_CONF_DIR", .complete = "directory" },
	{ "bin-dir", 0, OPTION_TEXT, FIELD(bin_dir), "DIR", "folder of the runtime's CNI plugins",
	  PLACE_BIN_DIR, .env = "BULKHEAD_CNI_BIN_DIR", .complete = "directory" },
	{ NULL },
};

static const struct option entry_options[] = {
	{ "plugin", 0, OPTION_TEXT, FIELD(plugin), "FILE",
	  "the program to put into the folder; default: the one beside this program, else the one that is there",
	  .complete = "file" },
	{ "on-agent-down", 0, OPTION_CHOICE, FIELD(on_agent_down), "HOW",
	  "what becomes of a pod that starts while no agent runs: it does not start, or it starts shut",
	  "fail", .choices = "fail|quarantine" },
	{ "on-other-interface", 0, OPTION_CHOICE, FIELD(on_other_interface), "HOW",
	  "what becomes of a pod whose interface is no veth: it does not start, or it starts unenforced", "fail",
	  .choices = "fail|pass" },
	{ "add-timeout", 0, OPTION_NUMBER, FIELD(add_timeout_sec), "SEC",
	  "how long the start of a pod waits for its policies; default: the plugin's own",
	  .max = 120 },
	{ NULL },
};

static const struct option *const tables[] = { folders, cli_common_options, NULL };
static const struct option *const install_tables[] = { entry_options, folders, cli_common_options,
						       NULL };

// ---- the agent, if there is one ------------------------------------------------------------------

// What it says of the plugin in `status`, NULL: nothing, or no agent.
static struct json_object *agent_view(const struct cli *cli)
{
	_cleanup_json_ struct json_object *request = cli_request("status"), *answer = NULL;
	struct err ignored = { 0 };

	if (control_call(cli->common->socket, request, (unsigned)cli->common->timeout_sec, &answer,
			 &ignored) < 0)
		return NULL;
	return json_object_get(json_at(answer, "cni"));
}

// ---- install -----------------------------------------------------------------------------------

static const struct option_page install_page = {
	.program = "bulkhead",
	.verb = "cni install",
	.summary = "put bulkhead-cni into this node's CNI folders",
	.text = "The program goes into the folder of plugins, and its name behind the last plugin of the configuration "
		"that the runtime takes: the first, by its name, of the folder. A single configuration (.conf, .json) "
		"stays as it is and gets a list that sorts before it.\n\n"
		"An agent with --cni-conf-dir does this by itself, and follows what others change. Without one it is "
		"done once, by this verb.",
	.tables = install_tables,
	.notes = cli_exit_notes,
	.section = 1,
};

// The plugin's own defaults need not be said.
static char *entry_of(const struct cni_options *options)
{
	struct conflist_entry entry = { .quarantine = options->on_agent_down == 1,
					.pass = options->on_other_interface == 1,
					.timeout_sec = options->add_timeout_sec };
	const char *socket = options->common.socket, *slash = strrchr(socket, '/');
	char records[4096];

	snprintf(records, sizeof(records), "%.*s/cni", (int)(slash ? slash - socket : 0), socket);
	if (strcmp(socket, CLI_SOCKET) != 0) {
		entry.socket = socket;
		entry.records = records;
	}
	return conflist_entry(&entry);
}

static int install_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct cni_options *options = arg;
	_cleanup_free_ char *entry = entry_of(options);
	struct placed placed;
	struct err err = { 0 };
	bool changed;

	if (!entry)
		return cli_fail(cli, CLI_USAGE, "out of memory");
	if (place_plugin(options->bin_dir, options->plugin, false, &changed, &err) < 0 ||
	    place_entry(options->conf_dir, entry, false, &placed, &err) < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	cli_text(cli, CLI_PLAIN, "%s/" CONFLIST_PLUGIN " %s, %s/%s %s\n", options->bin_dir,
		 changed ? "written" : "was there", options->conf_dir, placed.file,
		 placed.changes ? "names it now" : "names it already");
	return CLI_OK;
}

const struct cli_verb cmd_cni_install = { &install_page, sizeof(struct cni_options), install_run,
					  false };

// ---- uninstall ---------------------------------------------------------------------------------

static const struct option_page uninstall_page = {
	.program = "bulkhead",
	.verb = "cni uninstall",
	.summary = "take bulkhead-cni out of this node's CNI folders",
	.text = "Its entry goes from every configuration, which is then as it was before; then the program. Pods start "
		"without it from then on, so this is what mends a node whose agent is gone for good. Needs no agent, "
		"and refuses beside one that would put it back.",
	.tables = tables,
	.notes = cli_exit_notes,
	.section = 1,
};

static int uninstall_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	const struct cni_options *options = arg;
	_cleanup_json_ struct json_object *view = agent_view(cli);
	struct placed placed;
	struct err err = { 0 };

	if (view)
		return cli_fail(
			cli, CLI_USAGE,
			"an agent is running that keeps it in %s: stop it first, or start it without --cni-conf-dir",
			json_text(view, "conf_dir"));
	if (place_remove(options->conf_dir, options->bin_dir, &placed, &err) < 0)
		return cli_fail(cli, CLI_USAGE, "%s", err.text);
	cli_text(cli, CLI_PLAIN, "%s\n",
		 placed.changes ? "bulkhead-cni is gone from this node" :
				  "bulkhead-cni was not on this node");
	return CLI_OK;
}

const struct cli_verb cmd_cni_uninstall = { &uninstall_page, sizeof(struct cni_options),
					    uninstall_run, false };

// ---- status ------------------------------------------------------------------------------------

static const struct option_note status_notes[] = {
	{ "EXIT STATUS",
	  "  0  the runtime's configuration ends in bulkhead-cni, and the program is there\n"
	  "  1  one of them is not so\n"
	  "  2  wrong usage" },
	{ "SEE ALSO", "bulkhead(1), bulkheadd(8)" },
	{ NULL },
};

static const struct option_page status_page = {
	.program = "bulkhead",
	.verb = "cni status",
	.summary = "show whether pods of this node start by bulkhead-cni",
	.text = "Reads the folders itself, so it needs no agent; says what a running one tells of them.",
	.tables = tables,
	.notes = status_notes,
	.section = 1,
};

static void put_text(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, text ? json_object_new_string(text) : NULL);
}

// {"conf_dir","file","entry","problem","bin_dir","program","agent"}: see docs/json.md.
static struct json_object *status_json(const struct cli *cli, const struct cni_options *options)
{
	struct json_object *json = json_object_new_object();
	struct placed placed;
	struct err err = { 0 };
	int r = place_entry(options->conf_dir, NULL, true, &placed, &err);

	put_text(json, "conf_dir", options->conf_dir);
	put_text(json, "file", *placed.file ? placed.file : NULL);
	json_object_object_add(json, "entry", json_object_new_boolean(r >= 0 && !placed.changes));
	put_text(json, "problem", r < 0 ? err.text : NULL);
	put_text(json, "bin_dir", options->bin_dir);
	json_object_object_add(json, "program",
			       json_object_new_boolean(place_has_plugin(options->bin_dir)));
	json_object_object_add(json, "agent", agent_view(cli));
	return json;
}

static void row(struct table *table, const char *name, bool good, const char *text)
{
	table_cell(table, CLI_FAINT, "%s", name);
	table_cell(table, good ? CLI_GOOD : CLI_BAD, "%s", text);
}

static void status_show(struct cli *cli, struct json_object *json)
{
	static const char *const heads[] = { "", "", NULL };
	bool entry = json_true(json, "entry"), program = json_true(json, "program");
	const char *problem = json_text(json, "problem");
	struct table *table = table_new(heads);
	char text[1024];

	snprintf(text, sizeof(text), "%s/%s", json_text(json, "conf_dir"), json_text(json, "file"));
	row(table, "configuration", true, text);
	row(table, "entry", entry,
	    entry ? "its last plugin is bulkhead-cni" :
	    strcmp(problem, "-") != 0 ?
		    problem :
		    "bulkhead-cni is not its last plugin, or is in another one, too");
	snprintf(text, sizeof(text), "%s/" CONFLIST_PLUGIN "%s", json_text(json, "bin_dir"),
		 program ? "" : " is not there");
	row(table, "program", program, text);
	if (json_at(json, "agent"))
		snprintf(text, sizeof(text),
			 "keeps it so; entry written: %lld, program written: %lld",
			 (long long)json_number(json, "agent.entries_written"),
			 (long long)json_number(json, "agent.programs_written"));
	else
		snprintf(text, sizeof(text), "none that keeps it so");
	row(table, "agent", json_at(json, "agent") != NULL, text);
	table_end(table, cli);
}

static int status_run(struct cli *cli, const void *arg, const struct option_list *args)
{
	_cleanup_json_ struct json_object *json = status_json(cli, arg);

	if (cli->common->output == CLI_JSON)
		cli_json(cli, json);
	else
		status_show(cli, json);
	return json_true(json, "entry") && json_true(json, "program") ? CLI_OK : CLI_NEGATIVE;
}

const struct cli_verb cmd_cni_status = { &status_page, sizeof(struct cni_options), status_run,
					 false };
