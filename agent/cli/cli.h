// SPDX-License-Identifier: Apache-2.0
// cli.h - `bulkhead`: verbs, each a table of options and a function that runs.
//
// World: host, one thread. Pure: no (the control socket, files, two streams). Owns: struct cli its
// connection. A verb is a file cmd_<verb>.c: options struct, option table, page, run; verbs.c lists them.
//
// Exit status: 0 answered, whatever the verdict; 1 a negative answer of a check (failed cases, `status
// --check`); 2 wrong usage or input; 3 the agent cannot be reached; 4 the agent answered with an error.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include <bulkhead/abi.h>

#include "agent/base/cleanup.h"
#include "agent/base/option.h"

#define CLI_SOCKET BH_RUN_DIR "/" BH_SOCKET_NAME

enum cli_exit { CLI_OK, CLI_NEGATIVE, CLI_USAGE, CLI_UNREACHABLE, CLI_AGENT };

enum cli_output { CLI_TEXT, CLI_JSON };

// Options of every verb; the first member of each verb's own options.
struct cli_common {
	int output; // enum cli_output
	const char *socket;
	uint64_t timeout_sec;
};

struct cli {
	FILE *out, *err;
	const char *commit;
	const struct cli_common *common; // of the verb that runs
	bool colour;
};

struct cli_verb {
	const struct option_page *page; // its `verb` is the name, "endpoint get"
	size_t bytes; // of the options struct
	int (*run)(struct cli *cli, const void *options, const struct option_list *args);
	bool hidden;
};

#define CLI_EXIT_TEXT                                                                              \
	"  0  answered; a verdict of deny is an answer, too\n"                                      \
	"  1  a check failed: cases that failed, or `status --check` found the agent not ready\n"   \
	"  2  wrong usage or unreadable input\n"                                                    \
	"  3  the agent cannot be reached\n"                                                        \
	"  4  the agent answered with an error"

extern const struct option cli_common_options[];
extern const struct option cli_agent_options[]; // the same without --output, for verbs with other formats
extern const struct option_note cli_exit_notes[]; // of pages that have no others

const struct cli_verb *const *cli_verbs(void); // ended by NULL
extern const struct option_page cli_page; // the program's own

// The whole program but for main(): an exit status.
int cli_run(int argc, char *const *argv, FILE *out, FILE *err, const char *commit);

// "bulkhead: sentence" on err; returns status.
int cli_fail(const struct cli *cli, enum cli_exit status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// ---- asking the agent --------------------------------------------------------------------------

// Sends the request (taken over) and gives the answer. CLI_OK, or the failure's exit status, which was
// told on err already. A request is {"op": op} to begin with.
struct json_object *cli_request(const char *op);
int cli_ask(const struct cli *cli, struct json_object *request, struct json_object **ret);

// Sends the request and prints the answer: as JSON, or by show().
int cli_show(struct cli *cli, struct json_object *request,
	     void (*show)(struct cli *cli, struct json_object *answer));

// Splits "NS/NAME" into fields `namespace` and `name` of a request; a bare name has no namespace where
// `bare` allows that. CLI_OK or CLI_USAGE.
int cli_put_name(const struct cli *cli, struct json_object *request, const char *text, bool bare);
void cli_put_text(struct json_object *json, const char *field, const char *text);

// Drops the elements of a list that are of another namespace. NULL: keeps all.
void cli_keep_namespace(struct json_object *answer, const char *list, const char *namespace);

// ---- printing ----------------------------------------------------------------------------------

enum cli_colour { CLI_PLAIN, CLI_GOOD, CLI_BAD, CLI_WARN, CLI_FAINT, CLI_BOLD };

// Prints with the bytes that a terminal would obey replaced: names and sentences come from objects that
// tenants wrote.
void cli_text(const struct cli *cli, enum cli_colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void cli_json(const struct cli *cli, struct json_object *json);

// A field by its way ("generation.seen"); NULL: not there.
struct json_object *json_at(struct json_object *json, const char *way);
const char *json_text(struct json_object *json, const char *way); // "-": not there, or no text
int64_t json_number(struct json_object *json, const char *way); // 0: not there
bool json_true(struct json_object *json, const char *way);
size_t json_length(struct json_object *json, const char *way); // of a list
struct json_object *json_item(struct json_object *json, const char *way, size_t index);
// All texts of a list with ", " between, "-" for none.
const char *json_joined(struct json_object *json, const char *way, char *buf, size_t bytes);

// "allow" or "deny" of a question with what decided at each end: see explain in docs/json.md.
void cli_verdict(const struct cli *cli, const char *question, struct json_object *answer);

const char *format_bytes(uint64_t bytes, char *buf, size_t size); // "12.3 MiB"
const char *format_age(int64_t seconds, char *buf, size_t size); // "3h 12m"

// A table: rows are kept and printed with aligned columns by table_end().
struct table;
#define TABLE_COLUMNS 12
struct table *table_new(const char *const *heads); // ended by NULL; all NULL: no head line
void table_cell(struct table *table, enum cli_colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_end(struct table *table, const struct cli *cli); // prints and frees
