// SPDX-License-Identifier: Apache-2.0
// report_test.c - how long a write that failed waits.
#include "tests/harness/test.h"

#include "agent/report/report_private.h"

static void writes_wait_as_long_as_the_server_asks(void **state)
{
	for (int i = 0; i < 100; i++) {
		assert_in_range(report_pause_ms(0), REPORT_PAUSE_MS, 2 * REPORT_PAUSE_MS);
		assert_in_range(report_pause_ms(5), 5000, 6000);
		assert_in_range(report_pause_ms(120), 120000, 121000);
		assert_in_range(report_pause_ms(1000000), 300000, 301000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_wait_as_long_as_the_server_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
