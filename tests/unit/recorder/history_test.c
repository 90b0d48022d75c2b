// SPDX-License-Identifier: Apache-2.0
// The history: read on from where one was, what was overwritten is counted for each reader, filters move it on.
#include "tests/harness/test.h"

#include "agent/recorder/history.h"

static void put(struct history *history, int n, enum flow_type type)
{
	struct flow_card *card = flow_card_new(&(struct flow_card){ .who = FLOW_WORLD });

	for (int i = 0; i < n; i++) {
		struct flow_record record = { .type = type, .src.card = flow_card_get(card), .dst.card = flow_card_get(card) };

		history_put(history, &record);
		flow_record_fini(&record);
	}
	flow_card_put(card);
}

static void assert_page(struct history *history, const char *filter_text, uint64_t after, uint32_t max, const char *want)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	struct history_page page;
	struct err err = { 0 };
	char got[128];

	assert_ok_err(flow_filter_parse(filter_text, 0, &filter, &err), &err);
	assert_ok(history_read(history, filter, after, max, &page));
	snprintf(got, sizeof(got), "%zu from %llu, next %llu lost %llu of %llu..%llu%s", page.records.n,
		 page.records.n ? (unsigned long long)page.records.v[0].seq : 0ull, (unsigned long long)page.next,
		 (unsigned long long)page.lost, (unsigned long long)page.oldest, (unsigned long long)page.newest,
		 page.anew ? " anew" : "");
	history_page_fini(&page);
	assert_str(got, want);
}

static void read_on(void **state)
{
	_cleanup_(history_freep) struct history *history = NULL;

	assert_ok(history_new(4, &history));
	assert_page(history, "", 0, 10, "0 from 0, next 0 lost 0 of 0..0");
	put(history, 3, FLOW_START);
	assert_page(history, "", 0, 2, "2 from 1, next 2 lost 0 of 1..3");
	assert_page(history, "", 2, 2, "1 from 3, next 3 lost 0 of 1..3");
	assert_page(history, "", 3, 2, "0 from 0, next 3 lost 0 of 1..3");
}

static void what_was_overwritten_is_counted(void **state)
{
	_cleanup_(history_freep) struct history *history = NULL;

	assert_ok(history_new(4, &history));
	put(history, 10, FLOW_START);
	assert_page(history, "", 0, 10, "4 from 7, next 10 lost 0 of 7..10"); // nobody asked for more than there is
	assert_page(history, "", 2, 10, "4 from 7, next 10 lost 4 of 7..10");
	assert_page(history, "", 6, 10, "4 from 7, next 10 lost 0 of 7..10");
	assert_page(history, "", 7, 10, "3 from 8, next 10 lost 0 of 7..10");
}

static void a_filter_moves_on(void **state)
{
	_cleanup_(history_freep) struct history *history = NULL;

	assert_ok(history_new(8, &history));
	put(history, 3, FLOW_START);
	put(history, 2, FLOW_DENY);
	put(history, 1, FLOW_START);
	assert_page(history, "type=deny", 0, 10, "2 from 4, next 6 lost 0 of 1..6");
	assert_page(history, "type=deny", 0, 1, "1 from 4, next 4 lost 0 of 1..6");
	assert_page(history, "type=end", 0, 10, "0 from 0, next 6 lost 0 of 1..6");
}

static void of_an_earlier_agent(void **state)
{
	_cleanup_(history_freep) struct history *history = NULL;

	assert_ok(history_new(8, &history));
	put(history, 2, FLOW_START);
	assert_page(history, "", 900, 10, "2 from 1, next 2 lost 0 of 1..2 anew");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_on),
		cmocka_unit_test(what_was_overwritten_is_counted),
		cmocka_unit_test(a_filter_moves_on),
		cmocka_unit_test(of_an_earlier_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
