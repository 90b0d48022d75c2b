// SPDX-License-Identifier: Apache-2.0
// status.c - Status objects and what else comes in their place.
#include "agent/kube/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// One line of printable characters: what a server says may end up on a terminal.
static void clean(char *ret, size_t bytes, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < bytes && text[i] != '\n' && text[i]; i++)
		ret[n++] = (unsigned char)text[i] < ' ' || (unsigned char)text[i] >= 0x7f ? '?' : text[i];
	ret[n] = '\0';
}

static struct json_object *field(struct json_object *json, const char *key)
{
	return json_object_is_type(json, json_type_object) ? json_object_object_get(json, key) : NULL;
}

void kube_status_read(struct json_object *json, struct kube_status *ret)
{
	struct json_object *message = field(json, "message"), *details = field(json, "details");

	memset(ret, 0, sizeof(*ret));
	// 504s of filters have no kind, but all that fails has a status.
	if (!json_object_is_type(field(json, "status"), json_type_string) ||
	    strcmp(json_object_get_string(field(json, "status")), "Failure"))
		return;
	ret->code = json_object_get_int(field(json, "code"));
	ret->retry_after_sec = (long)json_object_get_int64(field(details, "retryAfterSeconds"));
	if (json_object_is_type(message, json_type_string))
		clean(ret->message, sizeof(ret->message), json_object_get_string(message),
		      (size_t)json_object_get_string_len(message));
}

void kube_status_of(const struct http_answer *answer, struct kube_status *ret)
{
	_cleanup_json_ struct json_object *json = answer->len ? json_tokener_parse(answer->body) : NULL;
	char message[sizeof(ret->message) - 16];

	kube_status_read(json, ret);
	clean(message, sizeof(message), ret->message, strlen(ret->message));
	if (!answer->status)
		clean(message, sizeof(message), answer->text, strlen(answer->text));
	else if (!message[0])
		clean(message, sizeof(message), answer->body, answer->len);
	if (answer->status)
		snprintf(ret->message, sizeof(ret->message), "HTTP %d: %s", answer->status, message);
	else
		snprintf(ret->message, sizeof(ret->message), "%s", message);
	ret->code = answer->status;
	if (answer->retry_after_sec > ret->retry_after_sec)
		ret->retry_after_sec = answer->retry_after_sec;
}

void kube_status_forbidden(const struct kube_status *status, struct err *reterr)
{
	static const char before[] = "User \"";
	const char *user = strstr(status->message, before);

	user = user ? user + strlen(before) : "this user";
	err_set(reterr, -EACCES,
		"is forbidden for %.*s: grant it in the ClusterRole that is bound to this user",
		(int)strcspn(user, "\""), user);
}
