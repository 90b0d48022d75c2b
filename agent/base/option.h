// SPDX-License-Identifier: Apache-2.0
// option.h - a program's options as one table: parsing, --help, man pages and completion all read it,
// so that none of them can tell another story.
//
// World: host. Pure: no (option_defaults() reads the environment, the pages write to a FILE). Owns:
// nothing; texts are borrowed from argv, the environment and the table.
//
//	struct flags { bool follow; const char *node; uint64_t port; };
//	static const struct option options[] = {
//		{ "follow", 'f', OPTION_FLAG, offsetof(struct flags, follow), .help = "go on printing" },
//		{ "node", 0, OPTION_TEXT, offsetof(struct flags, node), "NAME", "this node's name" },
//		{ "port", 'p', OPTION_NUMBER, offsetof(struct flags, port), "N", "the port", .max = 65535 },
//		{ NULL },
//	};
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/base/err.h"

#define OPTION_LIST_MAX 256 // values of one OPTION_LIST, and arguments that are no options

enum option_kind {
	OPTION_FLAG, // bool; given: true. "true" and "false" where a value is set by name
	OPTION_TEXT, // const char *, borrowed
	OPTION_NUMBER, // uint64_t in min..max (max 0: no bound)
	OPTION_SIZE, // the same in bytes: "64K", "10M", "1G"
	OPTION_DURATION, // the same in seconds: "90", "30s", "5m", "1h30m", "7d"
	OPTION_CHOICE, // int: index into choices
	OPTION_LIST, // struct option_list; may be given many times
	OPTION_NAMED, // struct option_named, which several options share; without `arg`: takes no value
	OPTION_HELP, // no value: option_parse() stops and returns OPTION_WANTS_HELP
};

struct option_list {
	size_t n;
	const char *v[OPTION_LIST_MAX];
};

// What was given of several options, in its order.
struct option_named {
	size_t n;
	struct {
		const char *name; // the option's
		const char *value; // NULL: it takes none
	} v[OPTION_LIST_MAX];
};

struct option {
	const char *name; // long name without dashes; NULL ends a table
	char letter; // 0: none
	enum option_kind kind;
	size_t offset; // of the value in the caller's struct
	const char *arg; // what the argument is called; NULL for flags
	const char *help; // one sentence: small first letter, no full stop
	const char *fallback; // default as text, set by option_defaults(); NULL: the value stays as it is
	const char *env; // environment variable that goes before the fallback
	const char *choices; // "json|text": OPTION_CHOICE, and what completion offers
	const char *complete; // what completion offers: "file", "directory", or a word of the program's own
	uint64_t min, max;
	bool required;
	bool hidden; // in no help, page or completion
};

// A section of a page; "\n\n" parts paragraphs, a line that begins with two spaces stands as it is.
struct option_note {
	const char *title; // "EXIT STATUS"; NULL ends a list
	const char *text;
};

// What a program (or one verb of it) is: the frame of its help and its man page.
struct option_page {
	const char *program; // "bulkhead"
	const char *verb; // NULL: the program itself; "endpoint get"
	const char *arguments; // "[NS/]NAME", NULL: none
	bool keys; // the options are keys of a configuration and stand on no command line
	const char *summary; // one line: small first letter, no full stop
	const char *text; // paragraphs, may be NULL
	const struct option *const *tables; // ended by NULL; names differ among them
	const struct option_note *notes; // ended by {NULL}, may be NULL
	const char *complete; // what completion offers for arguments, as in struct option
	unsigned min_args, max_args; // arguments that are no options
	int section; // of the manual: 1 or 8
};

#define OPTION_WANTS_HELP 1

// The option of this name (with or without its dashes); NULL: none.
const struct option *option_find(const struct option *const *tables, const char *name);

// Sets one value from text, as a configuration file does: -EINVAL with a sentence that names the option.
int option_set(const struct option *option, void *values, const char *text, struct err *reterr);

// Sets every value that has an environment variable which is set, or else a fallback.
int option_defaults(const struct option *const *tables, void *values, struct err *reterr);

// Reads argv[1..]: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, joined flags, "--" ends options.
// Options and arguments may be mixed. 0; OPTION_WANTS_HELP; -EINVAL with a sentence (unknown options,
// missing values and required options, too few or many arguments).
int option_parse(const struct option_page *page, int argc, char *const *argv, void *values,
		 struct option_list *retargs, struct err *reterr);

// "usage: ..." and the tables. Man pages are roff (man macros) of `page->section`, see-also taken from
// a NOTE. version is printed in the footer.
void option_help(FILE *out, const struct option_page *page);
void option_man(FILE *out, const struct option_page *page, const char *version);

// "bulkhead-endpoint-get" for a verb, "bulkhead" for the program: the page's file name without section.
const char *option_page_name(const struct option_page *page, char *buf, size_t bytes);

// A bash completion of one program: pages[0] is the program, the others its verbs. Words that are not
// "file" or "directory" in `complete` are asked from `PROGRAM __complete WORD`.
void option_completion(FILE *out, const struct option_page *const *pages, size_t npages);
