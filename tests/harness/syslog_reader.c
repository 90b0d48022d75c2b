// SPDX-License-Identifier: Apache-2.0
// syslog_reader.c - header, structured data, sentence.
#include "tests/harness/syslog_reader.h"

// The word up to the next space, which becomes its end.
static char *word(char **at)
{
	char *start = *at, *space = strchr(start, ' ');

	assert_non_null(space);
	assert_ptr_not_equal(space, start);
	for (char *c = start; c < space; c++)
		assert_in_range((unsigned char)*c, 33, 126);
	*space = 0;
	*at = space + 1;
	return start;
}

// One ` name="value"`, unescaped in place.
static void read_param(struct syslog_reader *reader, char **at)
{
	char *name = *at, *equals = strchr(name, '='), *from, *to;

	assert_non_null(equals);
	assert_in_range(equals - name, 1, 32);
	for (char *c = name; c < equals; c++)
		assert_true(*c > ' ' && *c < 127 && *c != ']' && *c != '"');
	*equals = 0;
	assert_int_equal(equals[1], '"');
	for (from = to = equals + 2; *from != '"'; from++) {
		assert_int_not_equal(*from, 0);
		assert_int_not_equal(*from, ']');
		assert_false((unsigned char)*from < 32 || *from == 127);
		if (*from == '\\') {
			from++;
			assert_true(*from == '"' || *from == '\\' || *from == ']');
		}
		*to++ = *from;
	}
	*to = 0;
	*at = from + 1;
	assert_in_range(reader->nparams, 0, SYSLOG_PARAMS_MAX - 1);
	reader->params[reader->nparams].name = name;
	reader->params[reader->nparams++].value = equals + 2;
}

void syslog_read_data(struct syslog_reader *reader, char *at)
{
	reader->nparams = 0;
	assert_int_equal(*at++, '[');
	reader->id = at;
	at += strcspn(at, " ]");
	while (*at == ' ') {
		*at++ = 0;
		read_param(reader, &at);
	}
	assert_memory_equal(at, "] ", 2);
	*at = 0;
	reader->sentence = at + 2;
}

void syslog_read(struct syslog_reader *reader, char *message)
{
	char *at = message;

	assert_int_equal(*at, '<');
	reader->pri = (unsigned int)strtoul(at + 1, &at, 10);
	assert_memory_equal(at, ">1 ", 3);
	at += 3;
	reader->timestamp = word(&at);
	reader->hostname = word(&at);
	reader->app = word(&at);
	reader->procid = word(&at);
	reader->msgid = word(&at);
	syslog_read_data(reader, at);
}

const char *syslog_param(const struct syslog_reader *reader, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < reader->nparams; i++) {
		if (strcmp(reader->params[i].name, name))
			continue;
		assert_null(found); // none twice
		found = reader->params[i].value;
	}
	return found;
}
