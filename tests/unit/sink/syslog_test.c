// SPDX-License-Identifier: Apache-2.0
// syslog_test.c - messages, read back by the grammar of RFC 5424.
#include "tests/harness/test.h"

#include <netinet/in.h>

#include "agent/sink/field.h"
#include "agent/sink/syslog.h"
#include "tests/harness/flows.h"
#include "tests/harness/syslog_reader.h"

struct read {
	struct syslog_reader reader;
	char *text;
};

// Encodes and reads back. The caller frees read->text.
static void there_and_back(struct read *read, const struct syslog *syslog, const struct flow_record *record)
{
	struct evbuffer *buffer = evbuffer_new();
	size_t len;

	assert_ok(syslog_record(buffer, syslog, record));
	len = evbuffer_get_length(buffer);
	assert_in_range(len, 1, syslog->max_bytes);
	read->text = calloc(1, len + 1);
	evbuffer_remove(buffer, read->text, len);
	evbuffer_free(buffer);
	assert_int_equal(strlen(read->text), len);
	syslog_read(&read->reader, read->text);
}

static const char *param(const struct read *read, const char *name)
{
	return syslog_param(&read->reader, name);
}

// ---- tests -----------------------------------------------------------------------------------------------------------

static const struct syslog usual = { .node = "node-1", .pen = FIELD_PEN, .facility = SYSLOG_FACILITY, .max_bytes = 8192 };

static void a_record_is_all_there(void **state)
{
	struct flows flows;
	struct read read;

	there_and_back(&read, &usual, flows_record(&flows, 3));
	assert_int_equal(read.reader.pri, 16 * 8 + 6);
	assert_str(read.reader.timestamp, "2026-09-21T14:13:25.000000Z");
	assert_str(read.reader.hostname, "node-1");
	assert_str(read.reader.app, "bulkheadd");
	assert_str(read.reader.procid, "-");
	assert_str(read.reader.msgid, "end");
	assert_str(read.reader.id, "flow@32473");
	assert_str(param(&read, "seq"), "3");
	assert_str(param(&read, "id"), "1000003");
	assert_str(param(&read, "first"), "2026-09-21T14:13:20.003000Z");
	assert_str(param(&read, "last"), "2026-09-21T14:13:22.003000Z");
	assert_str(param(&read, "direction"), "egress");
	assert_str(param(&read, "protocol"), "TCP");
	assert_str(param(&read, "src-address"), "10.0.0.3");
	assert_str(param(&read, "src-port"), "10003");
	assert_str(param(&read, "dst-address"), "20.0.0.3");
	assert_str(param(&read, "dst-port"), "5432");
	assert_str(param(&read, "backend-address"), "30.0.0.3");
	assert_str(param(&read, "backend-port"), "15432");
	assert_str(param(&read, "packets"), "13");
	assert_str(param(&read, "bytes"), "1021");
	assert_str(param(&read, "packets-back"), "23");
	assert_str(param(&read, "bytes-back"), "5000000003");
	assert_str(param(&read, "tcp"), "SAF");
	assert_str(param(&read, "tcp-back"), "SA");
	assert_str(param(&read, "src-namespace"), "shop");
	assert_str(param(&read, "src-name"), "web-3");
	assert_str(param(&read, "src-labels"), "app=web");
	assert_str(param(&read, "service"), "db");
	assert_str(param(&read, "policy"), "shop/web-out");
	assert_str(param(&read, "policy-rule"), "2");
	assert_null(param(&read, "audit"));
	assert_null(param(&read, "dst-workload")); // what is not known is not said
	assert_str(read.reader.sentence, "allowed 10.0.0.3 -> 20.0.0.3 port 5432 TCP egress: allowed");
	free(read.text);
}

static void severity_follows_the_verdict(void **state)
{
	static const unsigned int want[] = { [FLOW_ALLOWED] = 6, [FLOW_DENIED] = 4, [FLOW_AUDIT] = 5 };
	struct syslog syslog = usual;
	struct flows flows;
	struct read read;

	flows_record(&flows, 2);
	for (int verdict = 0; verdict < FLOW_VERDICT_MAX; verdict++) {
		flows.record.verdict = verdict;
		syslog.facility = (uint8_t)syslog_facility("authpriv");
		there_and_back(&read, &syslog, &flows.record);
		assert_int_equal(read.reader.pri, 10 * 8 + want[verdict]);
		assert_str(param(&read, "src-address"), "fd00:a::2");
		free(read.text);
	}
	assert_int_equal(syslog_facility("local7"), 23);
	assert_int_equal(syslog_facility("kern"), 0);
	assert_int_equal(syslog_facility("local8"), -1);
}

static void hostile_words_stay_values(void **state)
{
	struct syslog syslog = usual;
	struct flows flows;
	struct read read;

	flows_record(&flows, 3);
	syslog.node = "no de\n\xc3\xbc";
	flows.src.name = "a\"] x\\\n<13>1 - - - - - -";
	flows.src.ns = "\xff\"\\]";
	flows.src.workload_name = "\\";
	there_and_back(&read, &syslog, &flows.record);
	assert_str(read.reader.hostname, "no?de???");
	assert_str(param(&read, "src-name"), "a\"] x\\\xef\xbf\xbd<13>1 - - - - - -");
	assert_str(param(&read, "src-namespace"), "\xef\xbf\xbd\"\\]");
	assert_str(param(&read, "src-workload"), "\\");
	free(read.text);
	syslog.node = "";
	there_and_back(&read, &syslog, &flows.record);
	assert_str(read.reader.hostname, "-");
	free(read.text);
}

static void long_words_are_cut_until_it_fits(void **state)
{
	_cleanup_free_ char *huge = malloc(65537);
	struct flows flows;
	struct read read;

	memset(huge, ']', 65536); // escaped, each needs two bytes
	huge[65536] = 0;
	flows_record(&flows, 6);
	flows.src.name = flows.dst.ns = flows.label.value = flows.policies[0] = huge;
	for (size_t max = SYSLOG_MIN_BYTES; max <= SYSLOG_MAX_BYTES; max += 97) {
		struct syslog syslog = usual;

		syslog.max_bytes = max;
		there_and_back(&read, &syslog, &flows.record);
		assert_str(param(&read, "bytes"), "1042");
		assert_str(read.reader.sentence, "allowed fd00:a::6 -> fd00:14::6 port 5432 TCP egress: allowed");
		if (max > 2000) {
			assert_str_contains(param(&read, "src-name"), "]...");
			assert_str(param(&read, "src-namespace"), "shop");
		}
		free(read.text);
	}
}

static void the_least_message_holds_the_longest_record(void **state)
{
	_cleanup_free_ char *huge = malloc(65537);
	struct syslog least = { huge, UINT32_MAX, 23, SYSLOG_MIN_BYTES };
	struct bh_addr addr = { { ~0u, ~0u, ~0u, ~0u } };
	struct flows flows;
	struct flow_record *r = &flows.record;
	struct read read;

	memset(huge, 'h', 65536);
	huge[65536] = 0;
	flows_record(&flows, 6);
	flows.src.ns = flows.src.name = flows.policies[0] = huge;
	r->src.addr = r->dst.addr = r->backend.addr = addr;
	r->src.port = r->dst.port = r->backend.port = UINT16_MAX;
	r->seq = r->id = r->packets[0] = r->packets[1] = r->bytes[0] = r->bytes[1] = UINT64_MAX;
	r->tcp[0] = r->tcp[1] = 15;
	r->proto = IPPROTO_ICMPV6;
	r->reason = BH_REASON_CT_FULL;
	there_and_back(&read, &least, r);
	assert_int_equal(strlen(read.reader.hostname), 255);
	assert_str(param(&read, "bytes-back"), "18446744073709551615");
	free(read.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_all_there),
		cmocka_unit_test(severity_follows_the_verdict),
		cmocka_unit_test(hostile_words_stay_values),
		cmocka_unit_test(long_words_are_cut_until_it_fits),
		cmocka_unit_test(the_least_message_holds_the_longest_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
