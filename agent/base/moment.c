// SPDX-License-Identifier: Apache-2.0
// moment.c - RFC 3339 without the C library's time zones, which take a lock and as long as a whole record.
#include "agent/base/moment.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define DAY_SEC 86400
#define DURATION_MAX_SEC (100LL * 366 * DAY_SEC)
#define MOMENT_MAX_SEC 9214646400LL // 2262: the last whole year whose nanoseconds 63 bits hold is before it

static char *digits(char *at, unsigned int value, int n)
{
	for (int i = n - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + n;
}

// Counted in years that begin in March: then the leap day is the last of its year, and months follow one formula.
static char *format_day(char *at, int64_t day)
{
	int64_t shifted = day + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	unsigned int of_era = (unsigned int)(shifted - era * 146097);
	unsigned int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned int of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned int from_march = (5 * of_year + 2) / 153;
	unsigned int month = from_march < 10 ? from_march + 3 : from_march - 9;

	at = digits(at, year + (unsigned int)(era * 400) + (month <= 2), 4);
	*at++ = '-';
	at = digits(at, month, 2);
	*at++ = '-';
	return digits(at, of_year - (153 * from_march + 2) / 5 + 1, 2);
}

const char *moment_format(int64_t ns, char buf[static MOMENT_BYTES])
{
	int64_t sec = ns / MOMENT_SEC_NS - (ns % MOMENT_SEC_NS < 0);
	int64_t day = sec / DAY_SEC - (sec % DAY_SEC < 0);
	unsigned int of_day = (unsigned int)(sec - day * DAY_SEC);
	char *at = format_day(buf, day);

	*at++ = 'T';
	at = digits(at, of_day / 3600, 2);
	*at++ = ':';
	at = digits(at, of_day / 60 % 60, 2);
	*at++ = ':';
	at = digits(at, of_day % 60, 2);
	*at++ = '.';
	at = digits(at, (unsigned int)(ns - sec * MOMENT_SEC_NS), 9);
	*at++ = 'Z';
	*at = 0;
	return buf;
}

static int unit_sec(char unit)
{
	return unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : unit == 'd' ? DAY_SEC : 0;
}

int duration_parse(const char *text, int64_t *ret_ns)
{
	int64_t sum = 0;

	do {
		int64_t number = 0;

		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		for (; isdigit((unsigned char)*text) && number <= DURATION_MAX_SEC; text++)
			number = number * 10 + (*text - '0');
		if (number > DURATION_MAX_SEC || (*text && !unit_sec(*text)))
			return -EINVAL;
		sum += number * (*text ? unit_sec(*text) : 1);
		text += *text != 0;
		if (sum > DURATION_MAX_SEC)
			return -EINVAL;
	} while (*text);
	if (!sum)
		return -EINVAL;
	*ret_ns = sum * MOMENT_SEC_NS;
	return 0;
}

// ".123" behind the second; absent is fine.
static const char *parse_fraction(const char *text, int64_t *ret)
{
	int64_t unit = MOMENT_SEC_NS / 10;

	if (*text != '.')
		return text;
	for (text++; isdigit((unsigned char)*text); text++, unit /= 10)
		*ret += (*text - '0') * unit;
	return text;
}

// "Z" or "+01:30", and nothing behind it.
static int parse_offset(const char *text, int64_t *ret_sec)
{
	bool minus = *text == '-';
	const char *end;
	struct tm tm = { 0 };

	if (!strcmp(text, "Z") || !strcmp(text, "z"))
		return 0;
	if (*text != '+' && !minus)
		return -EINVAL;
	end = isdigit((unsigned char)text[1]) ? strptime(text + 1, "%H:%M", &tm) : NULL;
	if (!end || *end)
		return -EINVAL;
	*ret_sec = (tm.tm_hour * 3600 + tm.tm_min * 60) * (minus ? -1 : 1);
	return 0;
}

int moment_parse(const char *text, int64_t *ret)
{
	int64_t sec, fraction = 0, offset = 0;
	struct tm tm = { 0 };
	const char *rest = isdigit((unsigned char)*text) ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!rest)
		return -EINVAL;
	rest = parse_fraction(rest, &fraction);
	if (parse_offset(rest, &offset) < 0)
		return -EINVAL;
	sec = timegm(&tm) - offset;
	if (sec < 0 || sec >= MOMENT_MAX_SEC)
		return -EINVAL;
	*ret = sec * MOMENT_SEC_NS + fraction;
	return 0;
}

int moment_parse_ago(const char *text, int64_t now_ns, int64_t *ret)
{
	int64_t duration;

	if (duration_parse(text, &duration) < 0)
		return moment_parse(text, ret);
	*ret = now_ns - duration;
	return 0;
}
