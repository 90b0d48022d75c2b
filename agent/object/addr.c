// SPDX-License-Identifier: Apache-2.0
// addr.c - text of addresses, prefixes and protocols, as lenient as stored objects need.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/object/object.h"

#define ADDR_TEXT_MAX 64

// Decimal digits, leading zeros included, up to max; *text moves behind them.
static int parse_number(const char **text, unsigned int max, unsigned int *ret)
{
	const char *c = *text;
	unsigned int value = 0;

	if (!isdigit((unsigned char)*c))
		return -EINVAL;
	for (; isdigit((unsigned char)*c); c++) {
		value = value * 10 + (unsigned int)(*c - '0');
		if (value > max)
			return -EINVAL;
	}
	*text = c;
	*ret = value;
	return 0;
}

static int parse_dotted(const char *text, uint8_t bytes[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned int value;

		if (i > 0 && *text++ != '.')
			return -EINVAL;
		if (parse_number(&text, 255, &value) < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)value;
	}
	return *text ? -EINVAL : 0;
}

static int parse_colons(const char *text, struct bh_addr *ret)
{
	const char *last = strrchr(text, ':') + 1;
	char plain[ADDR_TEXT_MAX];
	uint8_t bytes[4];

	snprintf(plain, sizeof(plain), "%s", text);
	if (strchr(last, '.')) {
		if (parse_dotted(last, bytes) < 0)
			return -EINVAL;
		snprintf(plain, sizeof(plain), "%.*s%02x%02x:%02x%02x", (int)(last - text), text,
			 bytes[0], bytes[1], bytes[2], bytes[3]);
	}
	return inet_pton(AF_INET6, plain, ret->w) == 1 ? 0 : -EINVAL;
}

int addr_parse(const char *text, struct bh_addr *ret)
{
	struct bh_addr addr;
	uint8_t bytes[4];
	__be32 word;

	if (strlen(text) >= ADDR_TEXT_MAX / 2 + 16)
		return -EINVAL;
	if (strchr(text, ':')) {
		if (parse_colons(text, &addr) < 0)
			return -EINVAL;
	} else {
		if (parse_dotted(text, bytes) < 0)
			return -EINVAL;
		memcpy(&word, bytes, sizeof(word));
		addr = bh_addr_from4(word);
	}
	*ret = addr;
	return 0;
}

static void mask_addr(struct bh_addr *addr, unsigned int prefixlen)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int bits = prefixlen > i * 32 ? prefixlen - i * 32 : 0;

		if (bits < 32)
			addr->w[i] &= bits ? htonl(~0u << (32 - bits)) : 0;
	}
}

int cidr_parse(const char *text, struct bh_cidr *ret)
{
	const char *slash = strchr(text, '/');
	char head[ADDR_TEXT_MAX];
	struct bh_cidr cidr;
	unsigned int length;
	bool v4;

	if (!slash || (size_t)(slash - text) >= sizeof(head))
		return -EINVAL;
	memcpy(head, text, (size_t)(slash - text));
	head[slash - text] = '\0';
	if (addr_parse(head, &cidr.addr) < 0)
		return -EINVAL;
	v4 = !strchr(head, ':');
	slash++;
	if (parse_number(&slash, v4 ? 32 : 128, &length) < 0 || *slash)
		return -EINVAL;
	cidr.prefixlen = v4 ? BH_V4_PREFIX + length : length;
	mask_addr(&cidr.addr, cidr.prefixlen);
	*ret = cidr;
	return 0;
}

const char *addr_format(const struct bh_addr *addr, char *buf, size_t bytes)
{
	const char *text;

	if (bh_addr_is4(addr))
		text = inet_ntop(AF_INET, &addr->w[3], buf, (socklen_t)bytes);
	else
		text = inet_ntop(AF_INET6, addr->w, buf, (socklen_t)bytes);
	if (!text && bytes)
		buf[0] = '\0';
	return buf;
}

static bool cidr_is4(const struct bh_cidr *cidr)
{
	return cidr->prefixlen >= BH_V4_PREFIX && bh_addr_is4(&cidr->addr);
}

const char *cidr_format(const struct bh_cidr *cidr, char *buf, size_t bytes)
{
	unsigned int length = cidr_is4(cidr) ? cidr->prefixlen - BH_V4_PREFIX : cidr->prefixlen;
	size_t len;

	addr_format(&cidr->addr, buf, bytes);
	len = strnlen(buf, bytes);
	if (len < bytes)
		snprintf(buf + len, bytes - len, "/%u", length);
	return buf;
}

// A block is of one family: ::/0 does not contain IPv4 addresses, though its bits do.
bool cidr_contains(const struct bh_cidr *cidr, const struct bh_addr *addr)
{
	struct bh_addr masked = *addr;

	if (bh_addr_is4(addr) != cidr_is4(cidr))
		return false;
	mask_addr(&masked, cidr->prefixlen);
	return bh_addr_equal(&masked, &cidr->addr);
}

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"TCP", PROTOCOL_TCP}, {"UDP", PROTOCOL_UDP}, {"SCTP", PROTOCOL_SCTP},
	{"ICMP", 1},           {"ICMPv6", 58},
};

const char *protocol_name(uint8_t protocol)
{
	static _Thread_local char number[4];

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	snprintf(number, sizeof(number), "%u", protocol);
	return number;
}

int protocol_parse(const char *text, uint8_t *ret)
{
	unsigned int number;

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (!strcasecmp(protocols[i].name, text)) {
			*ret = protocols[i].number;
			return 0;
		}
	}
	if (parse_number(&text, 255, &number) < 0 || *text)
		return -EINVAL;
	*ret = (uint8_t)number;
	return 0;
}
