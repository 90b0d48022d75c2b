// SPDX-License-Identifier: Apache-2.0
// report_html.c - the page: controls, the picture, and what it shows as tables.
#include "agent/cli/report_html.h"

#include <math.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "agent/cli/cli.h"

#define BOX_WIDTH 168
#define BOX_HEIGHT 56
#define GAP 64
#define NAME_MAX_SHOWN 20 // letters that fit a box

static const char style[] =
	":root{color-scheme:light dark;--ink:#1b1f24;--page:#fff;--faint:#5b6470;--line:#c8ced6;--box:#f2f5f8;"
	"--good:#17692f;--bad:#b3201a;--ask:#7a5200;--flow:#2c6fbb}"
	"@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--page:#14171b;--faint:#9aa4b1;--line:#3a424d;"
	"--box:#20262d;--good:#6fcf8a;--bad:#ff8a80;--ask:#e9b959;--flow:#7db4f0}}"
	"body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:2rem auto;max-width:76rem;padding:0 1rem}"
	"table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;vertical-align:top;"
	"border-bottom:1px solid var(--line);padding:.35rem .6rem}caption{text-align:left;font-weight:600;padding:.3rem 0}"
	".pass,.closed{color:var(--good)}.fail,.open{color:var(--bad)}.review{color:var(--ask)}.faint{color:var(--faint)}"
	".fail,.pass,.review{font-weight:600}svg{max-width:100%;height:auto}svg text{font:13px system-ui,sans-serif;fill:var(--ink)}"
	"svg .small{font-size:11px;fill:var(--faint)}rect{fill:var(--box);stroke:var(--line)}rect.open{stroke:var(--bad);stroke-width:2}"
	"rect.closed{stroke:var(--good);stroke-width:2}path.flow{fill:none;stroke:var(--flow);stroke-width:1.5;opacity:.75}"
	"path.whole{stroke:var(--bad);opacity:.4}#tip path{fill:var(--flow)}#whole path{fill:var(--bad)}";

// ---- texts ---------------------------------------------------------------------------------------

static void put_char(FILE *out, char c)
{
	static const struct {
		char c;
		const char *text;
	} entities[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };

	for (size_t i = 0; i < ARRAY_SIZE(entities); i++) {
		if (entities[i].c == c) {
			fputs(entities[i].text, out);
			return;
		}
	}
	fputc(((unsigned char)c < ' ' && c != '\n') || c == 0x7f ? '?' : c, out);
}

// What is no UTF-8 is shown byte by byte as '?'.
static void put(FILE *out, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		size_t n = utf8_character((const unsigned char *)text, left);

		if (n > 1)
			fwrite(text, 1, n, out);
		else
			put_char(out, n ? *text : '?');
		text += n ? n : 1;
		left -= n ? n : 1;
	}
}

static void tag(FILE *out, const char *name, const char *class, const char *text)
{
	fprintf(out, "<%s", name);
	if (class)
		fprintf(out, " class=\"%s\"", class);
	fputc('>', out);
	put(out, text);
	fprintf(out, "</%s>", name);
}

// ---- controls ------------------------------------------------------------------------------------

static void put_objects(FILE *out, struct json_object *control)
{
	size_t n = json_length(control, "objects");

	fputs("<td>", out);
	put(out, json_text(control, "text"));
	if (n)
		fprintf(out, "<details><summary>%zu named</summary><ul>", n);
	for (size_t i = 0; i < n; i++)
		tag(out, "li", NULL, json_text(json_item(control, "objects", i), ""));
	fputs(n ? "</ul></details></td>" : "</td>", out);
}

static void put_controls(FILE *out, struct json_object *report)
{
	fputs("<section><h2>Controls</h2><table><thead><tr><th scope=\"col\">Framework</th><th scope=\"col\">Item</th>"
	      "<th scope=\"col\">Asks for</th><th scope=\"col\">Status</th><th scope=\"col\">Found</th></tr></thead><tbody>\n",
	      out);
	for (size_t i = 0; i < json_length(report, "controls"); i++) {
		struct json_object *control = json_item(report, "controls", i);

		fputs("<tr>", out);
		tag(out, "td", NULL, json_text(control, "framework"));
		tag(out, "td", NULL, json_text(control, "id"));
		tag(out, "td", NULL, json_text(control, "title"));
		tag(out, "td", json_text(control, "status"), json_text(control, "status"));
		put_objects(out, control);
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table></section>\n", out);
}

static void put_scope(FILE *out, struct json_object *report)
{
	fputs("<section><h2>Scope</h2><p>", out);
	put(out, json_text(report, "scope.text"));
	fputs("</p><ul>", out);
	for (size_t i = 0; i < json_length(report, "scope.notes"); i++)
		tag(out, "li", NULL, json_text(json_item(report, "scope.notes", i), ""));
	fputs("</ul></section>\n", out);
}

static void put_problems(FILE *out, struct json_object *report)
{
	size_t n = json_length(report, "problems");

	if (!n)
		return;
	fputs("<section><h2>Not enforced as written</h2><ul>", out);
	for (size_t i = 0; i < n; i++) {
		fputs("<li>", out);
		put(out, json_text(json_item(report, "problems", i), "object"));
		fputs(": ", out);
		put(out, json_text(json_item(report, "problems", i), "text"));
		fputs("</li>\n", out);
	}
	fputs("</ul></section>\n", out);
}

// ---- the picture -----------------------------------------------------------------------------------

// Boxes in a square, the outside above them all.
struct picture {
	FILE *out;
	struct json_object *report;
	size_t n, columns;
};

struct spot {
	double x, y; // middle
};

static struct spot box_spot(const struct picture *picture, size_t i)
{
	return (struct spot){ GAP + (double)(i % picture->columns) * (BOX_WIDTH + GAP) + BOX_WIDTH / 2.0,
			      2 * GAP + BOX_HEIGHT + (double)(i / picture->columns) * (BOX_HEIGHT + GAP) +
				      BOX_HEIGHT / 2.0 };
}

static double picture_width(const struct picture *picture)
{
	return (double)(GAP + picture->columns * (BOX_WIDTH + GAP));
}

static struct spot outside_spot(const struct picture *picture)
{
	return (struct spot){ picture_width(picture) / 2, GAP / 2.0 + BOX_HEIGHT / 2.0 };
}

// Namespaces are sorted by name.
static size_t box_of(const struct picture *picture, const char *name)
{
	size_t lo = 0, hi = picture->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = strcmp(json_text(json_item(picture->report, "namespaces", mid), "name"), name);

		if (r == 0)
			return mid;
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return picture->n;
}

// Where the line from the middle leaves the box.
static struct spot rim(struct spot from, struct spot to)
{
	double dx = to.x - from.x, dy = to.y - from.y;
	double sx = dx ? BOX_WIDTH / 2.0 / fabs(dx) : 1, sy = dy ? BOX_HEIGHT / 2.0 / fabs(dy) : 1;
	double s = sx < sy ? sx : sy;

	return (struct spot){ from.x + dx * s, from.y + dy * s };
}

// Bent to its left, so that both directions are seen.
static void put_arrow(const struct picture *picture, struct spot from, struct spot to, bool whole,
		      const char *text)
{
	struct spot a = rim(from, to), b = rim(to, from);
	struct spot bend = { (a.x + b.x) / 2 + (b.y - a.y) * 0.12, (a.y + b.y) / 2 - (b.x - a.x) * 0.12 };

	fprintf(picture->out,
		"<path class=\"flow%s\" d=\"M%.0f %.0fQ%.0f %.0f %.0f %.0f\" marker-end=\"url(#%s)\"><title>",
		whole ? " whole" : "", a.x, a.y, bend.x, bend.y, b.x, b.y, whole ? "whole" : "tip");
	put(picture->out, text);
	fputs("</title></path>\n", picture->out);
}

static void put_flow(const struct picture *picture, struct json_object *flow)
{
	size_t from = box_of(picture, json_text(flow, "from")), to = box_of(picture, json_text(flow, "to"));
	char text[1024];

	if (from == to || from == picture->n || to == picture->n)
		return;
	snprintf(text, sizeof(text), "%s to %s: %s", json_text(flow, "from"), json_text(flow, "to"),
		 json_text(flow, "ports"));
	put_arrow(picture, box_spot(picture, from), box_spot(picture, to), json_true(flow, "whole"), text);
}

static void put_outside(const struct picture *picture, struct json_object *flow)
{
	bool in = !strcmp(json_text(flow, "direction"), "ingress");
	size_t at = box_of(picture, json_text(flow, "namespace"));
	struct spot spot = box_spot(picture, at), outside = outside_spot(picture);
	char text[1024];

	if (at == picture->n)
		return;
	snprintf(text, sizeof(text), "%s%s%s: %s", in ? "outside to " : "", json_text(flow, "namespace"),
		 in ? "" : " to outside", json_text(flow, "ports"));
	put_arrow(picture, in ? outside : spot, in ? spot : outside, json_true(flow, "whole"), text);
}

static bool all_isolated(struct json_object *namespace)
{
	for (size_t i = 0; i < json_length(namespace, "workloads"); i++)
		if (!json_true(json_item(namespace, "workloads", i), "ingress.isolated"))
			return false;
	return true;
}

static void put_box(const struct picture *picture, struct spot spot, const char *name, const char *small,
		    const char *class)
{
	char shown[NAME_MAX_SHOWN + 4];

	snprintf(shown, sizeof(shown), "%.*s%s", NAME_MAX_SHOWN, name, strlen(name) > NAME_MAX_SHOWN ? "..." : "");
	fputs("<g><title>", picture->out);
	put(picture->out, name);
	fprintf(picture->out,
		"</title><rect class=\"%s\" x=\"%.0f\" y=\"%.0f\" width=\"%d\" height=\"%d\" rx=\"6\"/>"
		"<text text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">",
		class, spot.x - BOX_WIDTH / 2.0, spot.y - BOX_HEIGHT / 2.0, BOX_WIDTH, BOX_HEIGHT, spot.x,
		spot.y - 2);
	put(picture->out, shown);
	fprintf(picture->out, "</text><text class=\"small\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">",
		spot.x, spot.y + 16);
	put(picture->out, small);
	fputs("</text></g>\n", picture->out);
}

static void put_boxes(const struct picture *picture)
{
	put_box(picture, outside_spot(picture), "outside", "addresses of no pod", "faint");
	for (size_t i = 0; i < picture->n; i++) {
		struct json_object *namespace = json_item(picture->report, "namespaces", i);
		bool empty = !json_length(namespace, "workloads");
		char small[96];

		snprintf(small, sizeof(small), "%d pods, %d policies", (int)json_number(namespace, "pods"),
			 (int)json_number(namespace, "policies"));
		put_box(picture, box_spot(picture, i), json_text(namespace, "name"), small,
			empty ? "faint" : all_isolated(namespace) ? "closed" : "open");
	}
}

static void put_picture(FILE *out, struct json_object *report)
{
	struct picture picture = { out, report, json_length(report, "namespaces"), 1 };
	size_t rows;

	while (picture.columns * picture.columns < picture.n)
		picture.columns++;
	rows = (picture.n + picture.columns - 1) / picture.columns;
	fprintf(out,
		"<section><h2>Segments</h2><p>Each box is a namespace; its rim is green when every workload in it is isolated "
		"for ingress, red when one is not. An arrow is what may pass: red on every port of a protocol, blue on some. The "
		"tables below say the same in words.</p>\n<svg role=\"img\" aria-labelledby=\"segments-title\" viewBox=\"0 0 %.0f "
		"%zu\"><title id=\"segments-title\">Namespaces and what passes between them</title><defs>",
		picture_width(&picture), 2 * GAP + BOX_HEIGHT + rows * (BOX_HEIGHT + GAP));
	for (int i = 0; i < 2; i++)
		fprintf(out,
			"<marker id=\"%s\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
			"orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker>",
			i ? "whole" : "tip");
	fputs("</defs>\n", out);
	for (size_t i = 0; i < json_length(report, "flows"); i++)
		put_flow(&picture, json_item(report, "flows", i));
	for (size_t i = 0; i < json_length(report, "outside"); i++)
		put_outside(&picture, json_item(report, "outside", i));
	put_boxes(&picture);
	fputs("</svg></section>\n", out);
}

// ---- workloads -------------------------------------------------------------------------------------

static void put_links(FILE *out, struct json_object *side, const char *list, const char *name)
{
	for (size_t i = 0; i < json_length(side, list); i++) {
		struct json_object *link = json_item(side, list, i);

		fputs("<li>", out);
		put(out, json_text(link, name));
		fputs(": ", out);
		tag(out, "span", json_true(link, "whole") ? "open" : NULL, json_text(link, "ports"));
		fputs("</li>", out);
	}
}

static void put_side(FILE *out, struct json_object *side)
{
	bool isolated = json_true(side, "isolated");
	size_t n = json_length(side, "namespaces") + json_length(side, "blocks");
	char policies[512];

	fprintf(out, "<td><span class=\"%s\">%s</span>", isolated ? "closed" : "open",
		isolated ? "deny by default" : "open by default");
	if (isolated) {
		fputs(" <span class=\"faint\">(", out);
		put(out, json_joined(side, "policies", policies, sizeof(policies)));
		fputs(")</span>", out);
	}
	if (n)
		fprintf(out, "<details><summary>%zu ends</summary><ul>", n);
	put_links(out, side, "namespaces", "name");
	put_links(out, side, "blocks", "block");
	fputs(n ? "</ul></details></td>" : "</td>", out);
}

static void put_namespace(FILE *out, struct json_object *namespace)
{
	if (!json_length(namespace, "workloads"))
		return;
	fputs("<table><caption>", out);
	put(out, json_text(namespace, "name"));
	fputs("</caption><thead><tr><th scope=\"col\">Workload</th><th scope=\"col\">Pods</th><th scope=\"col\">Who may reach it"
	      "</th><th scope=\"col\">Whom it may reach</th></tr></thead><tbody>\n",
	      out);
	for (size_t i = 0; i < json_length(namespace, "workloads"); i++) {
		struct json_object *workload = json_item(namespace, "workloads", i);

		fputs("<tr><th scope=\"row\">", out);
		put(out, json_text(workload, "kind"));
		fputc(' ', out);
		put(out, json_text(workload, "name"));
		fprintf(out, "</th><td>%d</td>", (int)json_number(workload, "pods"));
		put_side(out, json_at(workload, "ingress"));
		put_side(out, json_at(workload, "egress"));
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table>\n", out);
}

void report_html(FILE *out, struct json_object *report)
{
	fprintf(out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		"content=\"width=device-width\"><title>Network separation</title><style>%s</style></head><body>\n<main><h1>Network "
		"separation</h1><p>%d pods in %zu namespaces under %d policies, as of ",
		style, (int)json_number(report, "pods"), json_length(report, "namespaces"),
		(int)json_number(report, "policies"));
	put(out, json_text(report, "written"));
	fputs(". A pod's own node always reaches it.</p>\n", out);
	put_scope(out, report);
	put_problems(out, report);
	put_controls(out, report);
	put_picture(out, report);
	fputs("<section><h2>Workloads</h2>\n", out);
	for (size_t i = 0; i < json_length(report, "namespaces"); i++)
		put_namespace(out, json_item(report, "namespaces", i));
	fputs("</section></main></body></html>\n", out);
}
