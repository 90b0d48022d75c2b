// SPDX-License-Identifier: Apache-2.0
// ipfix_reader.c - templates, and records by them.
#include "tests/harness/ipfix_reader.h"

uint64_t ipfix_number(const unsigned char *at, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | at[i];
	return value;
}

static void read_template(struct ipfix_reader *reader, const unsigned char *at, const unsigned char *end)
{
	size_t id = ipfix_number(at, 2) - 256, n = ipfix_number(at + 2, 2);

	assert_in_range(id, 0, IPFIX_READER_TEMPLATES - 1);
	assert_in_range(n, 1, IPFIX_DEFS_MAX);
	reader->templates[id].n = n;
	at += 4;
	for (size_t i = 0; i < n; i++) {
		struct ipfix_def *def = &reader->templates[id].defs[i];

		assert_true(at + 4 <= end);
		*def = (struct ipfix_def){ (uint16_t)ipfix_number(at, 2), (uint16_t)ipfix_number(at + 2, 2), 0 };
		at += 4;
		if (def->number & 0x8000) {
			assert_true(at + 4 <= end);
			def->number &= 0x7fff;
			def->pen = (uint32_t)ipfix_number(at, 4);
			at += 4;
		}
	}
	assert_ptr_equal(at, end);
}

static void read_record(struct ipfix_reader *reader, const unsigned char *at, const unsigned char *end)
{
	size_t id = reader->set - 256u;

	assert_in_range(id, 0, IPFIX_READER_TEMPLATES - 1);
	assert_int_not_equal(reader->templates[id].n, 0);
	for (size_t i = 0; i < reader->templates[id].n; i++) {
		struct ipfix_value *value = &reader->values[reader->nvalues++];

		value->def = reader->templates[id].defs[i];
		value->n = value->def.bytes;
		if (value->n == 0xffff) {
			assert_true(at < end);
			value->n = *at++;
			if (value->n == 255) {
				assert_true(at + 2 <= end);
				value->n = ipfix_number(at, 2);
				at += 2;
			}
		}
		value->bytes = at;
		assert_true(value->n <= (size_t)(end - at));
		at += value->n;
	}
	assert_ptr_equal(at, end);
}

void ipfix_read(struct ipfix_reader *reader, const unsigned char *message, size_t len)
{
	assert_true(len >= 20);
	assert_int_equal(ipfix_number(message, 2), 10);
	assert_int_equal(ipfix_number(message + 2, 2), len);
	assert_int_equal(ipfix_number(message + 18, 2), len - 16);
	reader->time_sec = (uint32_t)ipfix_number(message + 4, 4);
	reader->sequence = (uint32_t)ipfix_number(message + 8, 4);
	reader->domain = (uint32_t)ipfix_number(message + 12, 4);
	reader->set = (uint16_t)ipfix_number(message + 16, 2);
	reader->nvalues = 0;
	if (reader->set == 2)
		read_template(reader, message + 20, message + len);
	else
		read_record(reader, message + 20, message + len);
}

const struct ipfix_value *ipfix_value(const struct ipfix_reader *reader, uint32_t pen, uint16_t element)
{
	const struct ipfix_value *found = NULL;

	for (size_t i = 0; i < reader->nvalues; i++) {
		if (reader->values[i].def.pen != pen || reader->values[i].def.number != element)
			continue;
		assert_null(found); // none twice
		found = &reader->values[i];
	}
	return found;
}

uint64_t ipfix_value_number(const struct ipfix_reader *reader, uint32_t pen, uint16_t element)
{
	const struct ipfix_value *value = ipfix_value(reader, pen, element);

	if (!value)
		fail_msg("element %u/%u is missing", pen, element);
	return ipfix_number(value->bytes, value->n);
}
