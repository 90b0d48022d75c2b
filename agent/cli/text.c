// SPDX-License-Identifier: Apache-2.0
// text.c - what people read: safe text, colour, tables, sizes.
#include "agent/cli/cli.h"

#include <stdarg.h>
#include <string.h>

#include "agent/base/vec.h"

struct cell {
	char *text;
	enum cli_colour colour;
};

struct table {
	size_t columns;
	const char *heads[TABLE_COLUMNS];
	VEC(struct cell) cells;
};

static const char *const colours[] = {
	[CLI_PLAIN] = "",        [CLI_GOOD] = "\033[32m", [CLI_BAD] = "\033[31m",
	[CLI_WARN] = "\033[33m", [CLI_FAINT] = "\033[2m", [CLI_BOLD] = "\033[1m",
};

// Control characters, and the bytes of UTF-8 that encode C1 ones.
static void make_safe(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if ((*c < ' ' && *c != '\n') || *c == 0x7f)
			*c = '?';
		if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
}

// A name must not begin a row of its own.
static void make_safe_line(char *text)
{
	make_safe(text);
	for (; *text; text++)
		if (*text == '\n')
			*text = '?';
}

static void print_coloured(const struct cli *cli, enum cli_colour colour, const char *text)
{
	bool on = cli->colour && colour != CLI_PLAIN;

	fprintf(cli->out, "%s%s%s", on ? colours[colour] : "", text, on ? "\033[0m" : "");
}

void cli_text(const struct cli *cli, enum cli_colour colour, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	make_safe(text);
	print_coloured(cli, colour, text);
	free(text);
}

void cli_json(const struct cli *cli, struct json_object *json)
{
	fprintf(cli->out, "%s\n",
		json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY |
							     JSON_C_TO_STRING_SPACED |
							     JSON_C_TO_STRING_NOSLASHESCAPE));
}

// ---- tables ------------------------------------------------------------------------------------

struct table *table_new(const char *const *heads)
{
	struct table *table = calloc(1, sizeof(*table));

	while (table && table->columns < TABLE_COLUMNS && heads[table->columns]) {
		table->heads[table->columns] = heads[table->columns];
		table->columns++;
	}
	return table;
}

void table_cell(struct table *table, enum cli_colour colour, const char *fmt, ...)
{
	struct cell cell = { .colour = colour };
	va_list args;
	int n;

	if (!table)
		return;
	va_start(args, fmt);
	n = vasprintf(&cell.text, fmt, args);
	va_end(args);
	if (n < 0)
		cell.text = NULL;
	else
		make_safe_line(cell.text);
	if (vec_push(&table->cells, cell) < 0)
		free(cell.text);
}

static const char *cell_text(const struct cell *cell)
{
	return cell->text && *cell->text ? cell->text : "-";
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = strlen(table->heads[column]);

	for (size_t i = column; i < table->cells.n; i += table->columns) {
		size_t len = strlen(cell_text(&table->cells.v[i]));

		if (len > width)
			width = len;
	}
	return width;
}

static void print_row(const struct table *table, const struct cli *cli, const struct cell *row,
		      const size_t *widths)
{
	for (size_t c = 0; c < table->columns; c++) {
		const char *text = cell_text(&row[c]);

		print_coloured(cli, row[c].colour, text);
		if (c + 1 < table->columns)
			fprintf(cli->out, "%*s", (int)(widths[c] - strlen(text) + 2), "");
	}
	fputc('\n', cli->out);
}

static void print_table(const struct table *table, const struct cli *cli)
{
	struct cell heads[TABLE_COLUMNS] = { 0 };
	size_t widths[TABLE_COLUMNS];

	for (size_t c = 0; c < table->columns; c++) {
		widths[c] = column_width(table, c);
		heads[c] = (struct cell){ (char *)table->heads[c], CLI_BOLD };
	}
	if (table->heads[0][0])
		print_row(table, cli, heads, widths);
	for (size_t i = 0; i + table->columns <= table->cells.n; i += table->columns)
		print_row(table, cli, &table->cells.v[i], widths);
}

void table_end(struct table *table, const struct cli *cli)
{
	if (!table)
		return;
	print_table(table, cli);
	vec_each(struct cell, cell, &table->cells)
		free(cell->text);
	vec_fini(&table->cells);
	free(table);
}

// ---- fields ------------------------------------------------------------------------------------

struct json_object *json_at(struct json_object *json, const char *way)
{
	while (json && *way) {
		char field[64];
		size_t len = strcspn(way, ".");

		snprintf(field, sizeof(field), "%.*s", (int)len, way);
		if (!json_object_is_type(json, json_type_object) ||
		    !json_object_object_get_ex(json, field, &json))
			return NULL;
		way += len + (way[len] == '.');
	}
	return json;
}

const char *json_text(struct json_object *json, const char *way)
{
	struct json_object *value = json_at(json, way);

	return value && json_object_is_type(value, json_type_string) ?
		       json_object_get_string(value) :
		       "-";
}

int64_t json_number(struct json_object *json, const char *way)
{
	return json_object_get_int64(json_at(json, way));
}

bool json_true(struct json_object *json, const char *way)
{
	return json_object_get_boolean(json_at(json, way));
}

size_t json_length(struct json_object *json, const char *way)
{
	struct json_object *list = json_at(json, way);

	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

struct json_object *json_item(struct json_object *json, const char *way, size_t index)
{
	return json_object_array_get_idx(json_at(json, way), index);
}

const char *json_joined(struct json_object *json, const char *way, char *buf, size_t bytes)
{
	size_t len = 0;

	snprintf(buf, bytes, "-");
	for (size_t i = 0; i < json_length(json, way) && len < bytes; i++)
		len += (size_t)snprintf(buf + len, bytes - len, "%s%s", i ? ", " : "",
					json_text(json_item(json, way, i), ""));
	return buf;
}

// ---- sizes -------------------------------------------------------------------------------------

const char *format_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

const char *format_age(int64_t seconds, char *buf, size_t size)
{
	if (seconds < 60)
		snprintf(buf, size, "%llds", (long long)seconds);
	else if (seconds < 3600)
		snprintf(buf, size, "%lldm %llds", (long long)seconds / 60,
			 (long long)seconds % 60);
	else if (seconds < 86400)
		snprintf(buf, size, "%lldh %lldm", (long long)seconds / 3600,
			 (long long)seconds / 60 % 60);
	else
		snprintf(buf, size, "%lldd %lldh", (long long)seconds / 86400,
			 (long long)seconds / 3600 % 24);
	return buf;
}
