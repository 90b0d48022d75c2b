// SPDX-License-Identifier: Apache-2.0
// conflist.c - cutting and putting in. json-c judges the text and says what the plugins are, a scan of what is then
// known to be JSON says where they stand.
#include "agent/conflist/conflist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"

#define VERSION_MIN 300u // 0.3.0: the first that hands a plugin the result of those before it
#define VERSION_MAX 10100u // 1.1.0

struct span {
	size_t from, to; // to: behind its last byte
};

struct list {
	const char *text;
	size_t len;
	struct json_object *json, *plugins; // plugins: borrowed
	VEC(struct span) spans; // of each plugin
};

static void list_fini(struct list *list)
{
	json_object_put(list->json);
	vec_fini(&list->spans);
}
#define _cleanup_list_ _cleanup_(list_fini)

static void tokener_freep(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

// ---- names -------------------------------------------------------------------------------------

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len >= n && strcmp(name + len - n, end) == 0;
}

bool conflist_is_list(const char *name)
{
	return ends_with(name, ".conflist");
}

bool conflist_is_name(const char *name)
{
	return conflist_is_list(name) || ends_with(name, ".conf") || ends_with(name, ".json");
}

bool conflist_is_made(const char *name)
{
	return ends_with(name, CONFLIST_MADE);
}

// ".bulkhead" sorts before ".conf" and ".json".
const char *conflist_made_name(const char *name, char *buf, size_t bytes)
{
	const char *dot = strrchr(name, '.');
	int stem = dot ? (int)(dot - name) : (int)strlen(name);

	return (size_t)snprintf(buf, bytes, "%.*s" CONFLIST_MADE, stem, name) < bytes ? buf : NULL;
}

// ---- the entry ---------------------------------------------------------------------------------

char *conflist_entry(const struct conflist_entry *entry)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();

	if (!json)
		return NULL;
	json_object_object_add(json, "type", json_object_new_string(CONFLIST_PLUGIN));
	if (entry->socket)
		json_object_object_add(json, "socket", json_object_new_string(entry->socket));
	if (entry->records)
		json_object_object_add(json, "records", json_object_new_string(entry->records));
	if (entry->quarantine)
		json_object_object_add(json, "onAgentDown", json_object_new_string("quarantine"));
	if (entry->pass)
		json_object_object_add(json, "onOtherInterface", json_object_new_string("pass"));
	if (entry->timeout_sec)
		json_object_object_add(json, "timeoutSeconds",
				       json_object_new_uint64(entry->timeout_sec));
	return strdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_SPACED |
								   JSON_C_TO_STRING_NOSLASHESCAPE));
}

// ---- reading -----------------------------------------------------------------------------------

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int parse(const char *text, size_t len, struct json_object **ret, struct err *reterr)
{
	_cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(CONFLIST_DEPTH);
	_cleanup_json_ struct json_object *json = NULL;
	enum json_tokener_error error;

	if (!tokener)
		return err_set(reterr, -ENOMEM, "out of memory");
	while (len > 0 && is_space(text[len - 1])) // strictly nothing may follow
		len--;
	if (len == 0)
		return err_set(reterr, -EINVAL, "it is empty");
	if (len > CONFLIST_BYTES || memchr(text, '\0', len))
		return err_set(reterr, -EINVAL, "it is too long, or holds a zero byte");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	json = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue)
		return err_set(reterr, -EINVAL, "it is no JSON: it ends too early");
	if (error != json_tokener_success)
		return err_set(reterr, -EINVAL, "it is no JSON: %s, byte %zu",
			       json_tokener_error_desc(error), json_tokener_get_parse_end(tokener));
	if (!json_object_is_type(json, json_type_object))
		return err_set(reterr, -EINVAL, "it is no JSON object");
	*ret = TAKE_PTR(json);
	return 0;
}

static const char *text_of(struct json_object *json, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(json, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static int version_check(struct json_object *value, unsigned *highest, struct err *reterr)
{
	unsigned major, minor, patch, number;
	const char *text;
	char behind;

	if (!json_object_is_type(value, json_type_string))
		return err_set(reterr, -EINVAL, "cniVersion is no text");
	text = json_object_get_string(value);
	if (sscanf(text, "%3u.%2u.%2u%c", &major, &minor, &patch, &behind) != 3)
		return err_set(reterr, -EINVAL, "cniVersion '%.20s' is no version", text);
	number = major * 10000 + minor * 100 + patch;
	if (number > VERSION_MAX)
		return err_set(reterr, -EINVAL,
			       "cniVersion %s is above 1.1.0, the newest that " CONFLIST_PLUGIN
			       " knows",
			       text);
	if (number > *highest)
		*highest = number;
	return 0;
}

// A runtime takes the highest that it knows of cniVersion and cniVersions; without any it is 0.1.0.
static int versions_check(struct json_object *json, struct err *reterr)
{
	struct json_object *one = NULL, *many = NULL;
	unsigned highest = 0;
	int r = 0;

	if (json_object_object_get_ex(json, "cniVersion", &one))
		r = version_check(one, &highest, reterr);
	if (r >= 0 && json_object_object_get_ex(json, "cniVersions", &many) &&
	    json_object_is_type(many, json_type_array)) {
		for (size_t i = 0; r >= 0 && i < json_object_array_length(many); i++)
			r = version_check(json_object_array_get_idx(many, i), &highest, reterr);
	}
	if (r >= 0 && highest < VERSION_MIN)
		return err_set(reterr, -EINVAL,
			       "cniVersion is below 0.3.0, so plugins cannot be chained in it");
	return r;
}

// ---- where the plugins stand -------------------------------------------------------------------
// All of it on text that json-c took, so nothing here has to end for another reason than the text's own; `at`
// is bounded all the same.

static size_t skip_space(const struct list *list, size_t at)
{
	while (at < list->len && is_space(list->text[at]))
		at++;
	return at;
}

static size_t skip_string(const struct list *list, size_t at)
{
	for (at++; at < list->len && list->text[at] != '"'; at++) {
		if (list->text[at] == '\\')
			at++;
	}
	return at + 1;
}

// Behind a value: a text, whatever stands between brackets, or what ends before a delimiter.
static size_t skip_value(const struct list *list, size_t at)
{
	size_t depth = 0;

	do {
		char c = at < list->len ? list->text[at] : '\0';

		if (c == '"') {
			at = skip_string(list, at);
			continue;
		}
		if (!depth && !strchr("{[", c)) // a number, true, false or null
			return at + strcspn(list->text + at, ",]} \t\r\n");
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		at++;
	} while (depth && at < list->len);
	return at;
}

static int spans_read(struct list *list, size_t at)
{
	for (at = skip_space(list, at + 1); at < list->len && list->text[at] != ']';) {
		struct span span = { .from = at };
		int r;

		span.to = at = skip_value(list, at);
		r = vec_push(&list->spans, span);
		if (r < 0)
			return r;
		at = skip_space(list, at);
		if (at < list->len && list->text[at] == ',')
			at = skip_space(list, at + 1);
	}
	return 0;
}

// Finds "plugins" among the outermost keys. A second one, or one in other letters (\u0070), leaves the spans
// and json-c's plugins unequal, which list_read() looks for.
static int spans_find(struct list *list)
{
	static const char key[] = "\"plugins\"";
	size_t at = skip_space(list, 0);

	for (at = skip_space(list, at + 1); at < list->len && list->text[at] == '"';) {
		size_t name = at;
		int r;

		at = skip_space(list, skip_string(list, at));
		at = skip_space(list, at + 1); // behind the colon
		if (strncmp(list->text + name, key, sizeof(key) - 1) == 0 &&
		    list->text[at] == '[') {
			r = list->spans.n ? -EEXIST : spans_read(list, at);
			if (r < 0)
				return r;
		}
		at = skip_space(list, skip_value(list, at));
		if (at < list->len && list->text[at] == ',')
			at = skip_space(list, at + 1);
	}
	return 0;
}

static int list_read(struct list *list, const char *text, size_t len, struct err *reterr)
{
	size_t n;
	int r;

	list->text = text;
	list->len = len;
	r = parse(text, len, &list->json, reterr);
	if (r < 0)
		return r;
	if (!json_object_object_get_ex(list->json, "plugins", &list->plugins) ||
	    !json_object_is_type(list->plugins, json_type_array))
		return err_set(reterr, -EINVAL, "it has no list of plugins");
	n = json_object_array_length(list->plugins);
	for (size_t i = 0; i < n; i++) {
		if (!text_of(json_object_array_get_idx(list->plugins, i), "type"))
			return err_set(reterr, -EINVAL, "plugins[%zu] has no type", i);
	}
	r = spans_find(list);
	if (r == -ENOMEM)
		return err_set(reterr, r, "out of memory");
	if (r < 0 || list->spans.n != n)
		return err_set(reterr, -EINVAL,
			       "its plugins are there more than once, or spelled oddly");
	return 0;
}

static bool is_ours(const struct list *list, size_t index)
{
	return strcmp(text_of(json_object_array_get_idx(list->plugins, index), "type"),
		      CONFLIST_PLUGIN) == 0;
}

static size_t count_ours(const struct list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->spans.n; i++)
		n += is_ours(list, i);
	return n;
}

// ---- changing ----------------------------------------------------------------------------------

// text with `put` in place of the span.
static int splice(const char *text, size_t len, struct span span, const char *put, char **ret,
		  size_t *retlen)
{
	size_t put_len = strlen(put);
	char *out = malloc(len - (span.to - span.from) + put_len + 1);

	if (!out)
		return -ENOMEM;
	memcpy(out, text, span.from);
	memcpy(out + span.from, put, put_len);
	memcpy(out + span.from + put_len, text + span.to, len - span.to);
	*retlen = len - (span.to - span.from) + put_len;
	out[*retlen] = '\0';
	*ret = out;
	return 0;
}

// With the comma and the space that part it from the one before, which is what came in with it.
static struct span span_of_ours(const struct list *list)
{
	size_t i = 0;

	while (!is_ours(list, i))
		i++;
	if (i > 0)
		return (struct span){ list->spans.v[i - 1].to, list->spans.v[i].to };
	if (list->spans.n > 1)
		return (struct span){ list->spans.v[0].from, list->spans.v[1].from };
	return list->spans.v[0];
}

int conflist_remove(const char *text, size_t len, char **ret, size_t *retlen, struct err *reterr)
{
	_cleanup_free_ char *now = NULL;

	for (;;) {
		_cleanup_list_ struct list list = { 0 };
		char *next = NULL;
		int r = list_read(&list, now ? now : text, len, reterr);

		if (r < 0)
			return r;
		if (!count_ours(&list))
			break;
		if (splice(list.text, list.len, span_of_ours(&list), "", &next, &len) < 0)
			return err_set(reterr, -ENOMEM, "out of memory");
		free(now);
		now = next;
	}
	*ret = TAKE_PTR(now);
	*retlen = len;
	return 0;
}

// As the last one stands to what is before it, so does the entry to the last one.
static int append(const struct list *list, const char *entry, char **ret, size_t *retlen)
{
	const struct span *last = &list->spans.v[list->spans.n - 1];
	_cleanup_free_ char *put = NULL;
	size_t from = last->from;

	while (is_space(list->text[from - 1]))
		from--;
	if (asprintf(&put, ",%.*s%s", (int)(last->from - from), list->text + from, entry) < 0)
		return -ENOMEM;
	return splice(list->text, list->len, (struct span){ last->to, last->to }, put, ret, retlen);
}

static bool in_place(const struct list *list, const char *entry)
{
	const struct span *last = &list->spans.v[list->spans.n - 1];

	if (count_ours(list) != 1 || !is_ours(list, list->spans.n - 1))
		return false;
	return !entry || (strlen(entry) == last->to - last->from &&
			  memcmp(entry, list->text + last->from, last->to - last->from) == 0);
}

int conflist_insert(const char *text, size_t len, const char *entry, char **ret, size_t *retlen,
		    struct err *reterr)
{
	_cleanup_list_ struct list list = { 0 }, bare = { 0 };
	_cleanup_free_ char *without = NULL;
	int r;

	r = list_read(&list, text, len, reterr);
	if (r >= 0)
		r = versions_check(list.json, reterr);
	if (r < 0)
		return r;
	if (list.spans.n == count_ours(&list))
		return err_set(reterr, -EINVAL, "it has no plugin to be chained to");
	if (in_place(&list, entry)) {
		*ret = NULL;
		return 0;
	}
	if (!entry)
		return err_set(reterr, -ENOENT, CONFLIST_PLUGIN " is not its last plugin");
	r = conflist_remove(text, len, &without, &len, reterr);
	if (r >= 0)
		r = list_read(&bare, without ? without : text, len, reterr);
	if (r < 0)
		return r;
	r = append(&bare, entry, ret, retlen);
	return r < 0 ? err_set(reterr, r, "out of memory") : 0;
}

int conflist_wrap(const char *text, size_t len, const char *entry, char **ret, size_t *retlen,
		  struct err *reterr)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct json_object *name = NULL, *version = NULL;
	int n, r;

	r = parse(text, len, &json, reterr);
	if (r >= 0)
		r = versions_check(json, reterr);
	if (r < 0)
		return r;
	if (!text_of(json, "type"))
		return err_set(reterr, -EINVAL, "it has no type%s",
			       json_object_object_get_ex(json, "plugins", NULL) ?
				       ": a list of plugins belongs into a file .conflist" :
				       "");
	// It takes the first configuration for the one that it delegates to, so a list before its own would be called
	// by itself.
	if (strcmp(text_of(json, "type"), "multus") == 0)
		return err_set(reterr, -EINVAL,
			       "it is multus', behind which nothing is chained: " CONFLIST_PLUGIN
			       " belongs into what it delegates to");
	if (!text_of(json, "name") || !text_of(json, "cniVersion"))
		return err_set(reterr, -EINVAL, "it has no %s",
			       text_of(json, "name") ? "cniVersion" : "name");
	json_object_object_get_ex(json, "name", &name);
	json_object_object_get_ex(json, "cniVersion", &version);
	while (len > 0 && is_space(text[len - 1]))
		len--;
	n = asprintf(
		ret,
		"{\n  \"cniVersion\": %s,\n  \"name\": %s,\n  \"plugins\": [\n%.*s,\n%s\n  ]\n}\n",
		json_object_to_json_string_ext(version, JSON_C_TO_STRING_NOSLASHESCAPE),
		json_object_to_json_string_ext(name, JSON_C_TO_STRING_NOSLASHESCAPE), (int)len,
		text, entry);
	if (n < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	*retlen = (size_t)n;
	return 0;
}

bool conflist_stands_for(const char *text, size_t len, const char *conf, size_t conf_len)
{
	_cleanup_list_ struct list list = { 0 };
	_cleanup_json_ struct json_object *json = NULL;
	struct err ignored = { 0 };

	return list_read(&list, text, len, &ignored) == 0 && list.spans.n &&
	       parse(conf, conf_len, &json, &ignored) == 0 &&
	       json_object_equal(json_object_array_get_idx(list.plugins, 0), json);
}
