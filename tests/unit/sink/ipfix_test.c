// SPDX-License-Identifier: Apache-2.0
// ipfix_test.c - messages, read back by their templates alone.
#include "tests/harness/test.h"

#include <netinet/in.h>

#include "agent/sink/field.h"
#include "agent/sink/ipfix.h"
#include "tests/harness/flows.h"
#include "tests/harness/ipfix_reader.h"

#define REVERSE IPFIX_REVERSE_PEN

struct read {
	struct ipfix_reader reader;
	unsigned char *message;
};

static struct ipfix_reader known; // with the templates of the encoder under test

static void take(struct read *read, struct evbuffer *from, const struct ipfix *ipfix)
{
	size_t len = evbuffer_get_length(from);

	assert_true(len <= ipfix->max_bytes);
	read->message = malloc(len);
	assert_int_equal(evbuffer_remove(from, read->message, len), len);
	ipfix_read(&read->reader, read->message, len);
	assert_int_equal(read->reader.domain, ipfix->domain);
}

static void read_templates(const struct ipfix *ipfix)
{
	struct evbuffer *buffer = evbuffer_new();
	struct read read = { 0 };

	for (unsigned int i = 0; i < IPFIX_TEMPLATES; i++) {
		assert_ok(ipfix_template(buffer, ipfix, i));
		assert_true(evbuffer_get_length(buffer) <= IPFIX_MIN_BYTES);
		take(&read, buffer, ipfix);
		assert_int_equal(read.reader.set, 2);
		free(read.message);
	}
	evbuffer_free(buffer);
	known = read.reader;
}

// Encodes and reads back. Returns the template's number; the caller frees read->message.
static uint16_t there_and_back(struct read *read, const struct ipfix *ipfix, const struct flow_record *record)
{
	struct evbuffer *buffer = evbuffer_new();

	read->reader = known;
	assert_ok(ipfix_record(buffer, ipfix, record));
	take(read, buffer, ipfix);
	evbuffer_free(buffer);
	return read->reader.set;
}

static const struct ipfix_value *value_of(const struct read *read, uint32_t pen, uint16_t element)
{
	return ipfix_value(&read->reader, pen, element);
}

static uint64_t number_of(const struct read *read, uint32_t pen, uint16_t element)
{
	return ipfix_value_number(&read->reader, pen, element);
}

static void assert_word(const struct read *read, uint32_t pen, const char *name, const char *want)
{
	for (size_t i = 0; i < nfields; i++) {
		const struct ipfix_value *value;

		if (strcmp(fields[i].name, name))
			continue;
		value = value_of(read, pen, fields[i].number);
		if (!value || value->n != strlen(want) || memcmp(value->bytes, want, value->n))
			fail_msg("%s: \"%.*s\", expected \"%s\"", name, value ? (int)value->n : 0,
				 value ? (const char *)value->bytes : "", want);
		return;
	}
	fail_msg("there is no field %s", name);
}

static void assert_address(const struct read *read, uint16_t element, const struct bh_addr *want)
{
	const struct ipfix_value *value = value_of(read, 0, element);

	assert_non_null(value);
	assert_memory_equal(value->bytes, value->n == 4 ? &want->w[3] : want->w, value->n);
}

// ---- tests -----------------------------------------------------------------------------------------------------------

static const struct ipfix usual = { .node = "node-1", .pen = FIELD_PEN, .domain = 77, .max_bytes = 1352 };

static int setup(void **state)
{
	read_templates(&usual);
	return 0;
}

static void numbers_are_those_of_the_record(void **state)
{
	for (uint32_t n = 1; n <= 30; n++) {
		struct flows flows;
		const struct flow_record *r = flows_record(&flows, n);
		bool v4 = n % 2;
		struct read read;

		assert_int_equal(there_and_back(&read, &usual, r), 256 + !v4 + (n % 3 ? 0 : 2));
		assert_int_equal(number_of(&read, 0, 148), r->id);
		assert_int_equal(number_of(&read, 0, 152), r->first_ns / 1000000);
		assert_int_equal(number_of(&read, 0, 153), r->last_ns / 1000000);
		assert_int_equal(number_of(&read, 0, 7), r->src.port);
		assert_int_equal(number_of(&read, 0, 11), r->dst.port);
		assert_int_equal(number_of(&read, 0, 4), IPPROTO_TCP);
		assert_int_equal(number_of(&read, 0, 2), r->packets[FLOW_FORWARD]);
		assert_int_equal(number_of(&read, 0, 1), r->bytes[FLOW_FORWARD]);
		assert_int_equal(number_of(&read, REVERSE, 2), r->packets[FLOW_REVERSE]);
		assert_int_equal(number_of(&read, REVERSE, 1), r->bytes[FLOW_REVERSE]);
		assert_int_equal(number_of(&read, 0, 6), n % 5 ? 0x13 : 0);
		assert_int_equal(number_of(&read, REVERSE, 6), n % 5 ? 0x12 : 0);
		assert_int_equal(number_of(&read, 0, 61), 1);
		assert_int_equal(number_of(&read, 0, 239), 1);
		assert_int_equal(number_of(&read, 0, 233), n % 5 ? 2 : 3);
		assert_address(&read, v4 ? 8 : 27, &r->src.addr);
		assert_address(&read, v4 ? 12 : 28, &r->dst.addr);
		if (n % 3 == 0) {
			assert_address(&read, v4 ? 226 : 282, &r->backend.addr);
			assert_int_equal(number_of(&read, 0, 228), r->backend.port);
		}
		free(read.message);
	}
}

static void words_are_in_the_enterprise_set(void **state)
{
	struct ipfix own = usual;
	struct flows flows;
	struct read read;

	own.pen = 4242;
	read_templates(&own);
	there_and_back(&read, &own, flows_record(&flows, 3));
	assert_word(&read, 4242, "type", "end");
	assert_word(&read, 4242, "verdict", "allowed");
	assert_word(&read, 4242, "reason", "allowed");
	assert_word(&read, 4242, "over", "closed");
	assert_word(&read, 4242, "node", "node-1");
	assert_word(&read, 4242, "src-kind", "pod");
	assert_word(&read, 4242, "src-namespace", "shop");
	assert_word(&read, 4242, "src-name", "web-3");
	assert_word(&read, 4242, "src-workload-kind", "Deployment");
	assert_word(&read, 4242, "src-workload", "web");
	assert_word(&read, 4242, "src-node", "node-1");
	assert_word(&read, 4242, "src-labels", "app=web");
	assert_word(&read, 4242, "dst-kind", "service");
	assert_word(&read, 4242, "dst-workload", "");
	assert_word(&read, 4242, "backend-kind", "pod");
	assert_word(&read, 4242, "backend-node", "node-2");
	assert_word(&read, 4242, "service-namespace", "data");
	assert_word(&read, 4242, "service", "db");
	assert_word(&read, 4242, "policy", "shop/web-out");
	assert_word(&read, 4242, "policy-kind", "NetworkPolicy");
	assert_word(&read, 4242, "policy-rule", "2");
	assert_word(&read, 4242, "audit", "");
	free(read.message);
	read_templates(&usual);
}

// Whoever sums delta counts must not see a flow twice.
static void a_flow_that_lasts_is_told_in_totals(void **state)
{
	struct flows flows;
	struct read read;

	flows_record(&flows, 7);
	for (int type = FLOW_START; type <= FLOW_UPDATE; type++) {
		flows.record.type = type;
		flows.record.over = FLOW_NOT_OVER;
		assert_int_equal(there_and_back(&read, &usual, &flows.record), 256 + 4);
		assert_null(value_of(&read, 0, 1));
		assert_null(value_of(&read, 0, 2));
		assert_null(value_of(&read, REVERSE, 1));
		assert_int_equal(number_of(&read, 0, 86), flows.record.packets[FLOW_FORWARD]);
		assert_int_equal(number_of(&read, 0, 85), flows.record.bytes[FLOW_FORWARD]);
		assert_int_equal(number_of(&read, REVERSE, 85), flows.record.bytes[FLOW_REVERSE]);
		assert_int_equal(number_of(&read, 0, 136), 2);
		assert_int_equal(number_of(&read, 0, 233), type == FLOW_START ? 1 : 5);
		free(read.message);
	}
}

static void ends_have_their_reason(void **state)
{
	static const uint8_t want[] = { [FLOW_NOT_OVER] = 2, [FLOW_CLOSED] = 3,	  [FLOW_RESET] = 3,   [FLOW_IDLE] = 1,
					[FLOW_CUT] = 4,	     [FLOW_REPLACED] = 3, [FLOW_EVICTED] = 5, [FLOW_POD_GONE] = 4, [FLOW_FORGOTTEN] = 4 };
	struct flows flows;
	struct read read;

	flows_record(&flows, 1);
	for (int over = 0; over < FLOW_OVER_MAX; over++) {
		flows.record.over = over;
		there_and_back(&read, &usual, &flows.record);
		assert_int_equal(number_of(&read, 0, 136), want[over]);
		free(read.message);
	}
}

// The id of an echo is no port.
static void protocols_without_ports_tell_none(void **state)
{
	struct flows flows;
	struct read read;

	flows_record(&flows, 1);
	flows.record.proto = IPPROTO_ICMP;
	there_and_back(&read, &usual, &flows.record);
	assert_int_equal(number_of(&read, 0, 7), 0);
	assert_int_equal(number_of(&read, 0, 11), 0);
	assert_int_equal(number_of(&read, 0, 4), IPPROTO_ICMP);
	free(read.message);
}

static void long_words_are_cut_and_short_ones_stay(void **state)
{
	_cleanup_free_ char *huge = malloc(65537);
	struct flows flows;

	memset(huge, 'x', 65536);
	huge[65536] = 0;
	flows_record(&flows, 3);
	flows.src.name = flows.dst.ns = flows.dst.workload_name = flows.label.value = huge;
	flows.policies[0] = huge;
	for (size_t max = IPFIX_MIN_BYTES; max <= IPFIX_MAX_BYTES; max += 13) {
		struct ipfix ipfix = usual;
		const struct ipfix_value *name;
		struct read read;

		ipfix.max_bytes = max;
		there_and_back(&read, &ipfix, &flows.record);
		name = value_of(&read, FIELD_PEN, 18);
		assert_in_range(name->n, 4, FIELD_MAX_BYTES);
		assert_memory_equal(name->bytes + name->n - 3, "...", 3);
		assert_word(&read, FIELD_PEN, "src-namespace", "shop");
		if (max > 800)
			assert_word(&read, FIELD_PEN, "policy-kind", "NetworkPolicy");
		free(read.message);
	}
}

static void every_word_at_its_longest_fits_the_least_message(void **state)
{
	_cleanup_free_ char *huge = malloc(65537);
	struct ipfix least = { huge, UINT32_MAX, UINT32_MAX, IPFIX_MIN_BYTES };
	struct flows flows;
	struct read read;

	memset(huge, '\n', 65536);
	huge[65536] = 0;
	flows_record(&flows, 6);
	flows.src.ns = flows.src.name = flows.src.workload_kind = flows.src.workload_name = flows.src.node = huge;
	flows.label = (struct label){ huge, huge };
	flows.dst = flows.backend = flows.service = flows.src;
	flows.policy.rule_name = flows.policy.tier = flows.policies[0] = huge;
	flows.record.audit = &flows.policy;
	read_templates(&least);
	there_and_back(&read, &least, &flows.record);
	assert_int_equal(number_of(&read, 0, 1), flows.record.bytes[FLOW_FORWARD]);
	free(read.message);
	read_templates(&usual);
}

static void words_are_clean_text(void **state)
{
	struct flows flows;
	struct read read;

	flows_record(&flows, 1);
	flows.src.name = "a\nb\x7f\xff\xc0\xaf\xed\xa0\x80z";
	flows.src.ns = "gr\xc3\xbc\xc3\x9f\xc2\x85";
	flows.src.node = "\xf0\x9f\x90\xb3\xe2\x82";
	there_and_back(&read, &usual, &flows.record);
#define BAD "\xef\xbf\xbd"
	assert_word(&read, FIELD_PEN, "src-name", "a" BAD "b" BAD BAD BAD BAD BAD BAD BAD "z");
	assert_word(&read, FIELD_PEN, "src-namespace", "gr\xc3\xbc\xc3\x9f" BAD);
	assert_word(&read, FIELD_PEN, "src-node", "\xf0\x9f\x90\xb3" BAD BAD);
	free(read.message);
}

// A cut never leaves half a character.
static void cuts_respect_characters(void **state)
{
	struct flow_card card = { .name = "\xc3\xa4\xc3\xb6\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xb3!" };
	struct flow_record record = { .src.card = &card };
	char text[FIELD_MAX_BYTES];
	size_t whole = strlen(card.name);

	for (size_t i = 0; i < nfields; i++) {
		if (strcmp(fields[i].name, "src-name"))
			continue;
		for (size_t max = 0; max <= whole; max++) {
			size_t n = field_text(&fields[i], &record, "", text, max);

			assert_true(n <= max);
			if (max < 3)
				assert_int_equal(n, 0);
			else if (max < whole)
				assert_memory_equal(text + n - 3, "...", 3);
			else
				assert_memory_equal(text, card.name, whole);
			if (n > 3 && max < whole)
				assert_memory_equal(text, card.name, n - 3);
			if (n > 3 && max < whole)
				assert_int_not_equal((unsigned char)card.name[n - 3] & 0xc0, 0x80);
		}
	}
}

static void a_stamp_is_time_and_sequence(void **state)
{
	unsigned char header[IPFIX_HEADER_BYTES] = { 0, 10, 0, 99, [12] = 1, 2, 3, 4 };

	ipfix_stamp(header, 0x65432100, 0xfffffffe);
	assert_int_equal(ipfix_number(header, 4), 0x000a0063);
	assert_int_equal(ipfix_number(header + 4, 4), 0x65432100);
	assert_int_equal(ipfix_number(header + 8, 4), 0xfffffffe);
	assert_int_equal(ipfix_number(header + 12, 4), 0x01020304);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_those_of_the_record),
		cmocka_unit_test(words_are_in_the_enterprise_set),
		cmocka_unit_test(a_flow_that_lasts_is_told_in_totals),
		cmocka_unit_test(ends_have_their_reason),
		cmocka_unit_test(protocols_without_ports_tell_none),
		cmocka_unit_test(long_words_are_cut_and_short_ones_stay),
		cmocka_unit_test(every_word_at_its_longest_fits_the_least_message),
		cmocka_unit_test(words_are_clean_text),
		cmocka_unit_test(cuts_respect_characters),
		cmocka_unit_test(a_stamp_is_time_and_sequence),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
