// SPDX-License-Identifier: Apache-2.0
// records.h - flow records for the verbs that read them: from the agent's history, or from files of a json sink.
//
// World: host, one thread. Pure: no (the control socket, files). Owns: nothing between calls.
// Filters given as options become the text of agent/flow/filter.h: the agent applies it to its history, this side to
// files. What the history lost meanwhile is said on standard error.
#pragma once

#include "agent/cli/cli.h"
#include "agent/flow/record.h"

// First member of a verb's options.
struct records_options {
	struct cli_common common;
	struct option_list inputs; // files; none: the agent
	struct option_named terms; // of the filter, in the order of the command line
	const char *filter; // more terms, as they are
};

extern const struct option records_input_options[]; // --input, --filter, --since, --until
extern const struct option records_term_options[]; // what a record can be asked for; --not

// The filter in words of agent/flow/filter.h, checked. CLI_OK or CLI_USAGE; malloc'd.
int records_filter(const struct cli *cli, const struct records_options *options, char **ret);

// record: what json tells, by node; NULL when `raw`. Not CLI_OK: stops, and is returned.
struct records_reader {
	int (*take)(void *arg, struct json_object *json, const struct flow_record *record, const char *node);
	void *arg;
	bool raw; // records are not looked into
	uint64_t after, lost; // where reading goes on, records that were overwritten unseen
};

// All that there is: the files, or the agent's history.
int records_read(const struct cli *cli, const struct records_options *options, const char *filter,
		 struct records_reader *reader);

// What comes behind: returns when there was something, or after wait_ms.
int records_wait(const struct cli *cli, const char *filter, int64_t wait_ms, struct records_reader *reader);

bool records_unread(const struct cli *cli); // whoever read our output has gone

// ---- printing ----------------------------------------------------------------------------------

#define RECORD_TEXT_BYTES 1024
// "shop/web:80", "node:n1:22", "service:shop/db:5432", "192.0.2.7:443"
const char *record_end(const struct flow_record *record, const struct flow_end *end, char buf[static RECORD_TEXT_BYTES]);
// Where it went really, and the Service behind it.
const char *record_destination(const struct flow_record *record, char buf[static RECORD_TEXT_BYTES]);
// "NetworkPolicy shop/db rule 0"; "" without a policy
const char *record_policy(const struct flow_policy *policy, char buf[static RECORD_TEXT_BYTES]);
const struct flow_end *record_answers(const struct flow_record *record); // backend, or destination
enum cli_colour record_colour(const struct flow_record *record);
