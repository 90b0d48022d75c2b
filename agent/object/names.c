// SPDX-License-Identifier: Apache-2.0
// names.c - the API's rules of how names, labels and ports are written.
#include "agent/object/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SUBDOMAIN_MAX 253
#define LABEL_MAX 63
#define PORT_NAME_MAX 15

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

// One label of a DNS name: [a-z0-9]([-a-z0-9]*[a-z0-9])?
static bool is_dns_label(const char *text, size_t len)
{
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool edge = i == 0 || i == len - 1;

		if (!is_lower(text[i]) && !is_digit(text[i]) && (edge || text[i] != '-'))
			return false;
	}
	return true;
}

static bool is_subdomain(const char *text, size_t len)
{
	const char *end = text + len;

	if (!len || len > SUBDOMAIN_MAX)
		return false;
	for (;;) {
		const char *dot = memchr(text, '.', (size_t)(end - text));

		if (!is_dns_label(text, (size_t)((dot ? dot : end) - text)))
			return false;
		if (!dot)
			return true;
		text = dot + 1;
	}
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
static bool is_qualified(const char *text)
{
	size_t len = strlen(text);

	if (!len || len > LABEL_MAX || !is_alnum(text[0]) || !is_alnum(text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(text[i]) && !strchr("-_.", text[i]))
			return false;
	return true;
}

const char *name_check_subdomain(const char *text)
{
	if (is_subdomain(text, strlen(text)))
		return NULL;
	return "is no name: at most 253 lower case letters, digits, '-' or '.'";
}

const char *name_check_label(const char *text)
{
	size_t len = strlen(text);

	if (len <= LABEL_MAX && is_dns_label(text, len))
		return NULL;
	return "is no name: at most 63 lower case letters, digits or '-'";
}

const char *name_check_port(const char *text)
{
	size_t len = strlen(text);
	bool letter = false;

	for (size_t i = 0; i < len; i++)
		letter |= is_lower(text[i]);
	if (len <= PORT_NAME_MAX && letter && is_dns_label(text, len) && !strstr(text, "--"))
		return NULL;
	return "is no port name: at most 15 lower case letters, digits or single '-', at least one "
	       "letter";
}

const char *name_check_label_key(const char *text)
{
	const char *slash = strchr(text, '/');

	if (slash ? is_subdomain(text, (size_t)(slash - text)) && is_qualified(slash + 1)
		  : is_qualified(text))
		return NULL;
	return "is no label key: [prefix/]name of at most 63 letters, digits, '-', '_' or '.'";
}

const char *name_check_label_value(const char *text)
{
	if (!*text || is_qualified(text))
		return NULL;
	return "is no label value: at most 63 letters, digits, '-', '_' or '.', a letter or digit "
	       "at both ends";
}

// The schema's pattern writes [a-zA-z0-9] for the first character: that includes [ \ ] ^ _ `.
static bool is_domain_edge(char c)
{
	return is_alnum(c) || (c > 'Z' && c < 'a');
}

static bool is_domain_label(const char *text, size_t len)
{
	if (!len || !is_domain_edge(text[0]) || (len > 1 && !is_alnum(text[len - 1])))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_alnum(text[i]) && text[i] != '-' && text[i] != '_')
			return false;
	return true;
}

const char *name_check_domain(const char *text)
{
	static const char *const wrong = "is no domain name: [*.]name.name";
	size_t labels = 0;

	if (!strncmp(text, "*.", 2))
		text += 2;
	while (*text) {
		size_t len = strcspn(text, ".");

		if (!is_domain_label(text, len))
			return wrong;
		labels++;
		text += len;
		text += *text == '.';
	}
	return labels >= 2 ? NULL : wrong;
}
