// SPDX-License-Identifier: Apache-2.0
// option_completion.c - a bash completion out of the tables of options.
#include "agent/base/option.h"

#include <string.h>

// What answers "which words may stand here": a bash command that fills COMPREPLY.
static void print_words(FILE *out, const char *program, const char *choices, const char *complete)
{
	if (choices) {
		fputs("COMPREPLY=($(compgen -W \"", out);
		for (const char *c = choices; *c; c++)
			fputc(*c == '|' ? ' ' : *c, out);
		fputs("\" -- \"$cur\"))", out);
	} else if (complete && !strcmp(complete, "file")) {
		fputs("compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))", out);
	} else if (complete && !strcmp(complete, "directory")) {
		fputs("compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))", out);
	} else if (complete) {
		fprintf(out,
			"COMPREPLY=($(compgen -W \"$(%s __complete %s 2>/dev/null)\" -- \"$cur\"))",
			program, complete);
	} else {
		fputs("COMPREPLY=()", out);
	}
}

static const char *verb_of(const struct option_page *page)
{
	return page->verb ? page->verb : "";
}

// `case` arms for what follows an option that takes a value.
static void print_values(FILE *out, const struct option_page *page)
{
	for (const struct option *const *table = page->tables; *table; table++) {
		for (const struct option *o = *table; o->name; o++) {
			if (o->hidden || !o->arg)
				continue;
			fprintf(out, "\t\"%s --%s\"", verb_of(page), o->name);
			if (o->letter)
				fprintf(out, " | \"%s -%c\"", verb_of(page), o->letter);
			fputs(") ", out);
			print_words(out, page->program, o->choices, o->complete);
			fputs("; return ;;\n", out);
		}
	}
}

// `case` arms for the options themselves.
static void print_options(FILE *out, const struct option_page *page)
{
	fprintf(out, "\t\"%s\") opts=\"", verb_of(page));
	for (const struct option *const *table = page->tables; *table; table++) {
		for (const struct option *o = *table; o->name; o++) {
			if (o->hidden)
				continue;
			fprintf(out, "--%s ", o->name);
			if (o->letter)
				fprintf(out, "-%c ", o->letter);
		}
	}
	fputs("\" ;;\n", out);
}

static void print_arguments(FILE *out, const struct option_page *page)
{
	if (!page->verb || !page->complete)
		return;
	fprintf(out, "\t\"%s\") ", page->verb);
	print_words(out, page->program, NULL, page->complete);
	fputs(" ;;\n", out);
}

static size_t first_word(const struct option_page *page)
{
	return strcspn(verb_of(page), " ");
}

// Verbs, and the first words of verbs of two words once for a run of them.
static void print_verbs(FILE *out, const struct option_page *const *pages, size_t npages)
{
	fputs("\tlocal verbs=\"", out);
	for (size_t i = 0; i < npages; i++) {
		const char *verb = verb_of(pages[i]);
		size_t len = first_word(pages[i]);
		bool known = i > 0 && first_word(pages[i - 1]) == len &&
			     !memcmp(verb_of(pages[i - 1]), verb, len);

		if (!*verb)
			continue;
		if (verb[len] && !known)
			fprintf(out, "|%.*s", (int)len, verb);
		fprintf(out, "|%s", verb);
	}
	fputs("|\"\n", out);
}

void option_completion(FILE *out, const struct option_page *const *pages, size_t npages)
{
	const char *program = pages[0]->program;

	fprintf(out, "# bash completion for %s, generated from its own table of options\n_%s() {\n",
		program, program);
	fputs("\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal verb=\"\" opts=\"\" next=\"\" word i IFS=$' \\t\\n'\n",
	      out);
	print_verbs(out, pages, npages);
	fputs("\tCOMPREPLY=()\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tword=${COMP_WORDS[i]}\n"
	      "\t\tcase \"$verbs\" in *\"|${verb:+$verb }$word|\"*) verb=${verb:+$verb }$word ;; "
	      "esac\n"
	      "\tdone\n"
	      "\tcase \"$verb $prev\" in\n",
	      out);
	for (size_t i = 0; i < npages; i++)
		print_values(out, pages[i]);
	fputs("\tesac\n\tcase \"$verb\" in\n", out);
	for (size_t i = 0; i < npages; i++)
		print_options(out, pages[i]);
	fputs("\tesac\n"
	      "\tif [[ $cur == -* ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tIFS='|'\n"
	      "\tfor word in $verbs; do\n"
	      "\t\t[[ $word == \"${verb:+$verb }\"* ]] || continue\n"
	      "\t\tword=${word#\"${verb:+$verb }\"}\n"
	      "\t\t[[ \" $next\" == *\" ${word%% *} \"* ]] || next+=\"${word%% *} \"\n"
	      "\tdone\n"
	      "\tIFS=$' \\t\\n'\n"
	      "\tif [[ ${next// /} && $next != \"$verb \" ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$next\" -- \"$cur\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tcase \"$verb\" in\n",
	      out);
	for (size_t i = 0; i < npages; i++)
		print_arguments(out, pages[i]);
	fprintf(out, "\tesac\n}\ncomplete -F _%s %s\n", program, program);
}
