// SPDX-License-Identifier: Apache-2.0
// notice_test.c - which Events are sent and when, on a clock of the test's own.
#include "tests/harness/test.h"

#include "agent/report/notice.h"

#define HOUR (60 * 60 * 1000)

static void mark(struct notices *n, const char *name, const char *text, int64_t now)
{
	struct notice what = { .kind = KIND_NETPOL, .local = true, .ns = (char *)"shop", .name = (char *)name,
			       .uid = (char *)"u", .text = (char *)text };

	notices_mark(n, &what, now, 0);
}

static void one(struct notices *n, const char *name, const char *text, int64_t now)
{
	notices_begin(n);
	mark(n, name, text, now);
	notices_end(n);
}

// Sends whatever may be sent now; how many.
static unsigned send_all(struct notices *n, int64_t now)
{
	struct notice *notice;
	unsigned sent = 0;
	int64_t wait;

	while ((notice = notices_due(n, now, &wait))) {
		notice_said(n, notice, now, now * 1000);
		sent++;
	}
	return sent;
}

static void what_lasts_is_said_once_and_then_seldom(void **state)
{
	struct notices n;
	unsigned sent = 0;

	notices_init(&n, HOUR / 2, 0);
	for (int64_t now = 0; now < 5ll * HOUR; now += 1000) {
		one(&n, "p", "invalid", now);
		sent += send_all(&n, now);
		if (now == 10 * 60 * 1000)
			assert_int_equal(sent, 1);
	}
	assert_int_equal(sent, 10); // each half hour of five
	assert_int_equal(n.v.v[0].count, 10);
	notices_fini(&n);
}

static void what_is_gone_is_forgotten(void **state)
{
	struct notices n;

	notices_init(&n, HOUR / 2, 0);
	one(&n, "p", "invalid", 0);
	notices_begin(&n);
	notices_end(&n);
	assert_int_equal(n.v.n, 0);
	assert_int_equal(send_all(&n, 0), 0);
	notices_fini(&n);
}

// A sentence with a number in it that changes every second.
static void a_restless_sentence_is_said_once_a_minute(void **state)
{
	struct notices n;
	unsigned sent = 0;
	char text[32];

	notices_init(&n, HOUR / 2, 1000);
	for (int64_t now = 1000; now < 10 * 60 * 1000; now += 1000) {
		snprintf(text, sizeof(text), "needs %lld cells", (long long)now);
		one(&n, "p", text, now);
		sent += send_all(&n, now);
	}
	assert_in_range(sent, 9, 10);
	notices_fini(&n);
}

// One tenant's hundred broken policies are no storm, and all of them get their turn.
static void a_flood_comes_slowly_and_whole(void **state)
{
	struct notices n;
	unsigned sent = 0;
	char name[16];

	notices_init(&n, HOUR / 2, 0);
	for (int64_t now = 0; now < 20 * 60 * 1000; now += 1000) {
		notices_begin(&n);
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "p%d", i);
			mark(&n, name, "invalid", now);
		}
		notices_end(&n);
		sent += send_all(&n, now);
		assert_true(sent <= NOTICE_BURST + now / NOTICE_REFILL_MS);
	}
	assert_int_equal(sent, 100);
	notices_fini(&n);
}

static void what_finds_no_room_is_counted(void **state)
{
	struct notices n;
	char name[16];

	notices_init(&n, HOUR / 2, 0);
	notices_begin(&n);
	for (int i = 0; i < NOTICES_MAX + 7; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		mark(&n, name, "invalid", 0);
	}
	notices_end(&n);
	assert_int_equal(n.v.n, NOTICES_MAX);
	assert_int_equal(n.dropped, 7);
	notices_fini(&n);
}

static void two_sentences_about_one_object_do_not_alternate(void **state)
{
	struct notices n;
	unsigned sent = 0;

	notices_init(&n, HOUR / 2, 0);
	for (int64_t now = 0; now < 20 * 60 * 1000; now += 1000) {
		notices_begin(&n);
		mark(&n, "p", "first", now);
		mark(&n, "p", "second", now);
		notices_end(&n);
		sent += send_all(&n, now);
	}
	assert_int_equal(sent, 1);
	notices_fini(&n);
}

static void one_that_failed_has_its_turn_later(void **state)
{
	struct notices n;
	struct notice *notice;
	int64_t wait;

	notices_init(&n, HOUR / 2, 0);
	one(&n, "p", "invalid", 0);
	notice = notices_due(&n, 0, &wait);
	assert_non_null(notice);
	notice_put_off(notice, 0);
	assert_null(notices_due(&n, NOTICE_GAP_MS - 1, &wait));
	assert_int_equal(wait, 1);
	assert_non_null(notices_due(&n, NOTICE_GAP_MS, &wait));
	notices_fini(&n);
}

// The name is what keeps thousands of nodes at one Event; it must be a name that the API takes.
static void names_are_the_same_everywhere_and_valid(void **state)
{
	struct notice a = { .kind = KIND_NETPOL, .name = (char *)"web", .uid = (char *)"u1", .text = (char *)"t" }, b = a;
	char x[254], y[254], longest[254];

	notice_event_name(&a, x);
	assert_str(x, "web.bulkhead.d50c0c6fef5ce1bd");
	b.text = (char *)"other";
	notice_event_name(&b, y);
	assert_string_not_equal(x, y);
	memset(longest, 'a', 253);
	longest[219] = longest[218] = '-';
	longest[217] = '.';
	longest[253] = 0;
	a.name = longest;
	notice_event_name(&a, x);
	assert_true(strlen(x) <= 253);
	assert_null(strstr(x, "-."));
	assert_null(strstr(x, ".."));
}

static void an_event_says_whom_it_is_about(void **state)
{
	struct notice wide = { .kind = KIND_CLUSTERNETPOL, .name = (char *)"c", .uid = (char *)"u", .text = (char *)"why" };
	_cleanup_json_ struct json_object *event = notice_event(&wide, "node-a", 1000000), *again = NULL;
	const char *text = json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	assert_str_contains(text, "\"namespace\":\"default\"");
	assert_str_contains(text, "\"involvedObject\":{\"apiVersion\":\"policy.networking.k8s.io/v1alpha2\",\"kind\":"
				  "\"ClusterNetworkPolicy\",\"name\":\"c\",\"uid\":\"u\"}");
	assert_str_contains(text, "\"source\":{\"component\":\"bulkhead\",\"host\":\"node-a\"}");
	assert_str_contains(text, "\"firstTimestamp\":\"1970-01-01T00:00:01Z\"");
	assert_str_contains(text, "\"count\":1");
	wide.count = 4;
	again = notice_again(&wide, 2000000);
	assert_str(json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN),
		   "{\"count\":5,\"lastTimestamp\":\"1970-01-01T00:00:02Z\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lasts_is_said_once_and_then_seldom),
		cmocka_unit_test(what_is_gone_is_forgotten),
		cmocka_unit_test(a_restless_sentence_is_said_once_a_minute),
		cmocka_unit_test(a_flood_comes_slowly_and_whole),
		cmocka_unit_test(what_finds_no_room_is_counted),
		cmocka_unit_test(two_sentences_about_one_object_do_not_alternate),
		cmocka_unit_test(one_that_failed_has_its_turn_later),
		cmocka_unit_test(names_are_the_same_everywhere_and_valid),
		cmocka_unit_test(an_event_says_whom_it_is_about),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
