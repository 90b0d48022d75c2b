// SPDX-License-Identifier: Apache-2.0
// attachment.c - reads what the plugin sends.
#include "agent/endpoint/attachment.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/object/at.h"

// Container ids and names as CNI has them. None begins with a dot, and none has a slash: they become names of files
// and parts of paths.
static bool is_word(const char *text)
{
	if (!isalnum((unsigned char)*text))
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("_.-", *text))
			return false;
	return true;
}

static bool is_ifname(const char *text)
{
	if (!strcmp(text, ".") || !strcmp(text, ".."))
		return false;
	for (const char *c = text; *c; c++)
		if (!isgraph((unsigned char)*c) || *c == '/' || *c == ':')
			return false;
	return *text;
}

static int read_text(const struct at *root, const char *field, bool (*fits)(const char *text), char *ret,
		     size_t bytes, struct err *reterr)
{
	struct at at = at_field(root, field);
	const char *text = "";
	int r = at_string(&at, &text, reterr);

	if (r < 0)
		return r;
	if (!r)
		return at_fail(&at, reterr, "is missing");
	if (strlen(text) >= bytes)
		return at_fail(&at, reterr, "has more than %zu bytes", bytes - 1);
	if (!fits(text))
		return at_fail(&at, reterr, "\"%.80s\" is no such name", text);
	snprintf(ret, bytes, "%s", text);
	return 0;
}

static int read_index(const struct at *root, const char *field, int *ret, struct err *reterr)
{
	struct at at = at_field(root, field);
	int64_t number = 0;
	int r = at_int(&at, 1, INT32_MAX, &number, reterr);

	*ret = (int)number;
	if (r < 0)
		return r;
	return r ? 0 : at_fail(&at, reterr, "is missing");
}

static int read_addrs(const struct at *root, struct attachment *ret, struct err *reterr)
{
	struct at list = at_field(root, "addresses");
	uint32_t n = 0;
	int r = at_list(&list, POD_ADDRS_MAX, &n, reterr);

	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);
		const char *text = "";

		r = at_string(&item, &text, reterr);
		if (r >= 0 && addr_parse(text, &ret->addrs[ret->naddrs++]) < 0)
			r = at_fail(&item, reterr, "\"%.80s\" is no address", text);
	}
	return r;
}

static int read_made(const struct at *root, struct attachment *ret, struct err *reterr)
{
	struct at at = at_field(root, "made");

	return at_int(&at, 0, INT64_MAX, &ret->made_ms, reterr);
}

bool uid_is_static(const char *uid)
{
	size_t n = 0;

	while (isxdigit((unsigned char)uid[n]))
		n++;
	return n == 32 && !uid[n];
}

static int read_uid(const struct at *root, struct attachment *ret, struct err *reterr)
{
	struct at at = at_field(root, "uid");
	const char *text = NULL;
	int r = at_string(&at, &text, reterr);

	if (r <= 0 || !*text)
		return r;
	r = read_text(root, "uid", is_word, ret->uid, sizeof(ret->uid), reterr);
	ret->is_static = r >= 0 && uid_is_static(ret->uid);
	if (ret->is_static)
		ret->uid[0] = '\0';
	return r;
}

static int read_name(const struct at *root, struct attachment *ret, struct err *reterr)
{
	int r = read_text(root, "container", is_word, ret->container, sizeof(ret->container), reterr);

	if (r >= 0)
		r = read_text(root, "ifname", is_ifname, ret->ifname, sizeof(ret->ifname), reterr);
	return r;
}

int attachment_parse_name(struct json_object *json, struct attachment *ret, struct err *reterr)
{
	struct at root = at_root(json);

	memset(ret, 0, sizeof(*ret));
	return read_name(&root, ret, reterr) < 0 ? -EINVAL : 0;
}

int attachment_parse(struct json_object *json, struct attachment *ret, struct err *reterr)
{
	struct at root = at_root(json);
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_name(&root, ret, reterr);
	if (r >= 0)
		r = read_text(&root, "namespace", is_word, ret->ns, sizeof(ret->ns), reterr);
	if (r >= 0)
		r = read_text(&root, "name", is_word, ret->name, sizeof(ret->name), reterr);
	if (r >= 0)
		r = read_uid(&root, ret, reterr);
	if (r >= 0)
		r = read_index(&root, "ifindex", &ret->ifindex, reterr);
	if (r >= 0)
		r = read_addrs(&root, ret, reterr);
	if (r >= 0)
		r = read_made(&root, ret, reterr);
	return r < 0 ? -EINVAL : 0;
}

bool attachment_same(const struct attachment *a, const struct attachment *b)
{
	return !strcmp(a->container, b->container) && !strcmp(a->ifname, b->ifname);
}

void attachment_bind(struct attachment *attachment, const char *uid)
{
	if (!attachment->uid[0] && !attachment->is_static && uid)
		snprintf(attachment->uid, sizeof(attachment->uid), "%s", uid);
}

bool attachment_fits(const struct attachment *attachment, const struct pod *pod)
{
	const struct object *object = &pod->object;

	return !attachment->undecided && !strcmp(attachment->name, object->name) &&
	       !strcmp(attachment->ns, object->ns) &&
	       (!attachment->uid[0] || (object->uid && !strcmp(attachment->uid, object->uid)));
}
