// SPDX-License-Identifier: Apache-2.0
// url.c - libcurl takes the URL apart; here is what a sink's URL is beyond that.
#include "agent/sink/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define NO_MEMORY "no memory"

// libcurl knows no scheme of a sink's, and a sink may be on no host.
#define CURL_FLAGS (CURLU_NON_SUPPORT_SCHEME | CURLU_NO_AUTHORITY)

static void curl_url_cleanupp(CURLU **curl)
{
	curl_url_cleanup(*curl);
}

static void curl_freep(char **text)
{
	curl_free(*text);
}

// A copy that free() takes; "" where the URL has no such part.
static int part(CURLU *curl, CURLUPart which, unsigned int flags, char **ret, struct err *reterr)
{
	_cleanup_(curl_freep) char *text = NULL;
	CURLUcode code = curl_url_get(curl, which, &text, flags);
	bool none = code == CURLUE_NO_HOST || code == CURLUE_NO_PORT || code == CURLUE_NO_QUERY || code == CURLUE_NO_ZONEID;

	if (code && !none)
		return err_set(reterr, -EINVAL, "%s", curl_url_strerror(code));
	*ret = strdup(text ? text : "");
	return *ret ? 0 : err_set(reterr, -ENOMEM, NO_MEMORY);
}

static int refuse(CURLU *curl, CURLUPart which, const char *what, struct err *reterr)
{
	_cleanup_(curl_freep) char *text = NULL;

	if (curl_url_get(curl, which, &text, 0) == CURLUE_OK)
		return err_set(reterr, -EINVAL, "%s has no meaning in it", what);
	return 0;
}

static int read_port(CURLU *curl, uint16_t *ret, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	int r = part(curl, CURLUPART_PORT, 0, &text, reterr);
	unsigned long port;

	if (r < 0 || !*text)
		return r;
	port = strtoul(text, NULL, 10);
	if (!port || port > UINT16_MAX)
		return err_set(reterr, -EINVAL, "port %s is not in 1..65535", text);
	*ret = (uint16_t)port;
	return 0;
}

// [fe80::1] becomes fe80::1, with %eth0 behind it where a zone is named.
static int read_host(CURLU *curl, char **ret, struct err *reterr)
{
	_cleanup_free_ char *host = NULL, *zone = NULL;
	int r = part(curl, CURLUPART_HOST, 0, &host, reterr);
	size_t len;

	if (r == 0)
		r = part(curl, CURLUPART_ZONEID, 0, &zone, reterr);
	if (r < 0)
		return r;
	len = strlen(host);
	if (host[0] == '[' && host[len - 1] == ']') {
		memmove(host, host + 1, len - 2);
		host[len - 2] = 0;
	}
	if (asprintf(ret, "%s%s%s", host, *zone ? "%" : "", zone) < 0) {
		*ret = NULL;
		return err_set(reterr, -ENOMEM, NO_MEMORY);
	}
	return 0;
}

static int decode(const char *text, char **ret, struct err *reterr)
{
	_cleanup_(curl_freep) char *plain = NULL;
	int len = 0;

	plain = curl_easy_unescape(NULL, text, 0, &len);
	if (plain && strlen(plain) != (size_t)len)
		return err_set(reterr, -EINVAL, "option '%.64s' has a zero byte", text);
	*ret = plain ? strdup(plain) : NULL;
	return *ret ? 0 : err_set(reterr, -ENOMEM, NO_MEMORY);
}

static int add_option(struct sink_url *url, char *text, struct err *reterr)
{
	struct sink_url_option option = { 0 };
	char *value = strchr(text, '=');
	int r;

	if (!value || value == text)
		return err_set(reterr, -EINVAL, "option '%.64s' is not NAME=VALUE", text);
	*value++ = 0;
	r = decode(text, &option.name, reterr);
	if (r == 0)
		r = decode(value, &option.value, reterr);
	if (r == 0 && vec_push(&url->options, option) < 0)
		r = err_set(reterr, -ENOMEM, NO_MEMORY);
	if (r < 0) {
		free(option.name);
		free(option.value);
	}
	return r;
}

static int read_options(CURLU *curl, struct sink_url *url, struct err *reterr)
{
	_cleanup_free_ char *query = NULL;
	int r = part(curl, CURLUPART_QUERY, 0, &query, reterr);
	char *rest = query, *text;

	while (r == 0 && (text = strsep(&rest, "&")))
		r = *text ? add_option(url, text, reterr) : 0;
	return r;
}

static int read_parts(CURLU *curl, struct sink_url *url, struct err *reterr)
{
	int r = refuse(curl, CURLUPART_USER, "a user", reterr);

	if (r == 0)
		r = refuse(curl, CURLUPART_PASSWORD, "a password", reterr);
	if (r == 0)
		r = refuse(curl, CURLUPART_FRAGMENT, "a fragment (#...)", reterr);
	if (r == 0)
		r = read_host(curl, &url->host, reterr);
	if (r == 0)
		r = part(curl, CURLUPART_PATH, CURLU_URLDECODE, &url->path, reterr);
	if (r == 0)
		r = read_port(curl, &url->port, reterr);
	if (r == 0)
		r = read_options(curl, url, reterr);
	return r;
}

// "FORMAT+TRANSPORT:"; *retrest is behind it.
static int read_scheme(const char *text, struct sink_url *url, const char **retrest, struct err *reterr)
{
	const char *plus = strchr(text, '+'), *colon = strchr(text, ':');

	if (!plus || !colon || plus > colon || plus == text || plus + 1 == colon)
		return err_set(reterr, -EINVAL, "it has to begin with FORMAT+TRANSPORT:, as json+stdout: does");
	url->name = strndup(text, strcspn(text, "?#"));
	url->format = strndup(text, (size_t)(plus - text));
	url->transport = strndup(plus + 1, (size_t)(colon - plus - 1));
	*retrest = colon + 1;
	return url->name && url->format && url->transport ? 0 : err_set(reterr, -ENOMEM, NO_MEMORY);
}

// Only of file: does libcurl know that three slashes are a path on no host. What has no address at all
// ("json+stdout:?queue=1M") is none to libcurl: it gets an empty one.
static int set_text(CURLU *curl, const char *rest, struct err *reterr)
{
	_cleanup_free_ char *full = NULL;
	bool bare = !*rest || *rest == '?', local = bare || !strncmp(rest, "///", 3);
	CURLUcode code;

	if (!bare && strncmp(rest, "//", 2))
		return err_set(reterr, -EINVAL, "// has to follow the colon");
	if (asprintf(&full, "%s:%s%s", local ? "file" : "sink", bare ? "///" : "", rest) < 0) {
		full = NULL;
		return err_set(reterr, -ENOMEM, NO_MEMORY);
	}
	code = curl_url_set(curl, CURLUPART_URL, full, CURL_FLAGS);
	return code ? err_set(reterr, -EINVAL, "%s", curl_url_strerror(code)) : 0;
}

int sink_url_parse(const char *text, struct sink_url *ret, struct err *reterr)
{
	_cleanup_(curl_url_cleanupp) CURLU *curl = NULL;
	const char *rest = NULL;
	int r;

	if (strlen(text) >= SINK_URL_BYTES)
		return err_set(reterr, -EINVAL, "longer than %d bytes", SINK_URL_BYTES - 1);
	r = read_scheme(text, ret, &rest, reterr);
	if (r < 0)
		return r;
	curl = curl_url();
	if (!curl)
		return err_set(reterr, -ENOMEM, NO_MEMORY);
	r = set_text(curl, rest, reterr);
	return r < 0 ? r : read_parts(curl, ret, reterr);
}

void sink_url_fini(struct sink_url *url)
{
	vec_each(struct sink_url_option, option, &url->options) {
		free(option->name);
		free(option->value);
	}
	vec_fini(&url->options);
	free(url->name);
	free(url->format);
	free(url->transport);
	free(url->host);
	free(url->path);
	memset(url, 0, sizeof(*url));
}
