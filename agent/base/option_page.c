// SPDX-License-Identifier: Apache-2.0
// option_page.c - help, man pages and completion out of a table of options.
#include "agent/base/option.h"

#include <string.h>

#define HELP_COLUMN 28
#define HELP_WIDTH 96

const char *option_page_name(const struct option_page *page, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s%s%s", page->program, page->verb ? "-" : "",
		 page->verb ? page->verb : "");
	for (char *c = buf; *c; c++) {
		if (*c == ' ')
			*c = '-';
	}
	return buf;
}

// Calls fn for every option that people are told of.
static void each_shown(const struct option_page *page, FILE *out,
		       void (*fn)(FILE *out, const struct option *option))
{
	for (const struct option *const *table = page->tables; *table; table++) {
		for (const struct option *option = *table; option->name; option++) {
			if (!option->hidden)
				fn(out, option);
		}
	}
}

// The next paragraph of *text: its length; *text moves behind it. 0: no more.
static size_t next_paragraph(const char **text, const char **retpart)
{
	const char *end;

	if (!*text || !**text)
		return 0;
	*retpart = *text;
	end = strstr(*text, "\n\n");
	*text = end ? end + 2 : *text + strlen(*text);
	return end ? (size_t)(end - *retpart) : strlen(*retpart);
}

// ---- help -----------------------------------------------------------------------------------

// Prints words from `column` on, breaking lines at HELP_WIDTH with `indent` blanks.
static void wrap(FILE *out, size_t column, size_t indent, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		size_t word = strcspn(text, " \n");

		if (word > (size_t)(end - text))
			word = (size_t)(end - text);
		if (column > indent && column + 1 + word > HELP_WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, word, out);
		column += word;
		text += word;
		text += text < end;
	}
	fputc('\n', out);
}

static void help_option(FILE *out, const struct option *option)
{
	char left[128], right[1024];
	char letter[8] = "    ";
	int len;

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	len = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, option->name,
		       option->arg ? " " : "", option->arg ? option->arg : "");
	snprintf(right, sizeof(right), "%s%s%s%s%s%s%s", option->help,
		 option->fallback ? " (default: " : "", option->fallback ? option->fallback : "",
		 option->fallback ? ")" : "", option->env ? " [" : "",
		 option->env ? option->env : "", option->env ? "]" : "");
	fputs(left, out);
	if (len + 2 > HELP_COLUMN)
		fprintf(out, "\n%*s", HELP_COLUMN, "");
	else
		fprintf(out, "%*s", HELP_COLUMN - len, "");
	wrap(out, HELP_COLUMN, HELP_COLUMN, right, strlen(right));
}

static void help_text(FILE *out, const char *text, bool apart)
{
	const char *part;
	size_t len;

	while ((len = next_paragraph(&text, &part)) > 0) {
		if (apart)
			fputc('\n', out);
		apart = true;
		if (part[0] == ' ')
			fprintf(out, "%.*s\n", (int)len, part);
		else
			wrap(out, 0, 0, part, len);
	}
}

static void usage(FILE *out, const struct option_page *page)
{
	fprintf(out, "usage: %s%s%s [OPTION...]%s%s\n", page->program, page->verb ? " " : "",
		page->verb ? page->verb : "", page->arguments ? " " : "",
		page->arguments ? page->arguments : "");
}

void option_help(FILE *out, const struct option_page *page)
{
	usage(out, page);
	fputc('\n', out);
	wrap(out, 0, 0, page->summary, strlen(page->summary));
	help_text(out, page->text, true);
	fputs("\nOptions:\n", out);
	each_shown(page, out, help_option);
	for (const struct option_note *note = page->notes; note && note->title; note++) {
		fprintf(out, "\n%s:\n", note->title);
		help_text(out, note->text, false);
	}
}

// ---- man ------------------------------------------------------------------------------------

static void roff(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool first = i == 0 || text[i - 1] == '\n';

		if (first && (text[i] == '.' || text[i] == '\''))
			fputs("\\&", out);
		if (text[i] == '\\')
			fputs("\\e", out);
		else if (text[i] == '-')
			fputs("\\-", out);
		else
			fputc(text[i], out);
	}
}

static void roff_string(FILE *out, const char *text)
{
	roff(out, text, strlen(text));
}

static void man_name(FILE *out, const struct option *option, const char *dashes)
{
	fputs(".TP\n", out);
	if (option->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
	fprintf(out, "\\fB%s", dashes);
	roff_string(out, option->name);
	fputs("\\fR", out);
}

static void man_rest(FILE *out, const struct option *option)
{
	if (option->arg) {
		fputs(" \\fI", out);
		roff_string(out, option->arg);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	roff_string(out, option->help);
	if (option->fallback) {
		fputs(" (default: ", out);
		roff_string(out, option->fallback);
		fputc(')', out);
	}
	fputs(".\n", out);
	if (option->env)
		fprintf(out, "Environment: \\fB%s\\fR.\n", option->env);
}

static void man_option(FILE *out, const struct option *option)
{
	man_name(out, option, "\\-\\-");
	man_rest(out, option);
}

static void man_key(FILE *out, const struct option *option)
{
	man_name(out, option, "");
	man_rest(out, option);
}

static void man_text(FILE *out, const char *text)
{
	const char *part;
	bool first = true;
	size_t len;

	while ((len = next_paragraph(&text, &part)) > 0) {
		if (!first)
			fputs(".PP\n", out);
		first = false;
		if (part[0] == ' ')
			fputs(".nf\n", out);
		roff(out, part, len);
		fputs(part[0] == ' ' ? "\n.fi\n" : "\n", out);
	}
}

void option_man(FILE *out, const struct option_page *page, const char *version)
{
	char name[128];

	option_page_name(page, name, sizeof(name));
	fputs(".\\\" Generated from the program's own table of options.\n.TH \"", out);
	for (const char *c = name; *c; c++)
		fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, out);
	fprintf(out, "\" %d \"\" \"Bulkhead %s\" \"Bulkhead\"\n.SH NAME\n", page->section, version);
	roff_string(out, name);
	fputs(" \\- ", out);
	roff_string(out, page->summary);
	fprintf(out, "\n.SH SYNOPSIS\n\\fB%s%s%s\\fR%s", page->program, page->verb ? " " : "",
		page->verb ? page->verb : "", page->keys ? "" : " [\\fIOPTION\\fR...]");
	if (page->arguments) {
		fputs(" \\fI", out);
		roff_string(out, page->arguments);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	if (page->text) {
		fputs(".SH DESCRIPTION\n", out);
		man_text(out, page->text);
	}
	fputs(page->keys ? ".SH CONFIGURATION\n" : ".SH OPTIONS\n", out);
	each_shown(page, out, page->keys ? man_key : man_option);
	for (const struct option_note *note = page->notes; note && note->title; note++) {
		fprintf(out, ".SH \"%s\"\n", note->title);
		man_text(out, note->text);
	}
}
