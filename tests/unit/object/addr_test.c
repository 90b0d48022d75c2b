// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "agent/object/object.h"

static void cidrs_are_masked_and_canonical(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.0.0.1/8", "10.0.0.0/8" },
		{ "010.0.0.0/08", "10.0.0.0/8" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "255.255.255.255/32", "255.255.255.255/32" },
		{ "203.0.113.77/26", "203.0.113.64/26" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
		{ "::ffff:10.1.2.3/128", "10.1.2.3/32" },
		{ "::FFFF:010.1.2.3/128", "10.1.2.3/32" },
		{ "::/0", "::/0" },
		{ "2001:DB8:0:0::/64", "2001:db8::/64" },
		{ "2001:db8::1/33", "2001:db8::/33" },
		{ "fe80::1/128", "fe80::1/128" },
	};
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bh_cidr cidr;

		assert_ok(cidr_parse(cases[i].text, &cidr));
		assert_str(cidr_format(&cidr, buf, sizeof(buf)), cases[i].want);
	}
}

static void other_text_is_no_cidr(void **state)
{
	static const char *const cases[] = {
		"",
		"/",
		"10.0.0.1",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0/8",
		"10.0.0.0.0/8",
		"256.0.0.0/8",
		"::/129",
		"10.0.0.0/8 ",
		" 10.0.0.0/8",
		"1.2.3.4/0x8",
		"fe80::1%eth0/64",
		"::g/64",
		"10.0.0.0/",
		"10.0.0.0/99999999999999999999",
		"12345::/16",
		"1:2:3:4:5:6:7:8:9/64",
		"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff:0000:1111:2222:3333:4444:5555:6666:7777/1",
	};
	struct bh_cidr cidr;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (cidr_parse(cases[i], &cidr) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
}

static bool contains(const char *cidr_text, const char *addr_text)
{
	struct bh_cidr cidr;
	struct bh_addr addr;

	assert_ok(cidr_parse(cidr_text, &cidr));
	assert_ok(addr_parse(addr_text, &addr));
	return cidr_contains(&cidr, &addr);
}

static void a_block_is_of_one_family(void **state)
{
	assert_true(contains("0.0.0.0/0", "10.1.2.3"));
	assert_false(contains("::/0", "10.1.2.3"));
	assert_false(contains("0.0.0.0/0", "2001:db8::1"));
	assert_true(contains("::/0", "2001:db8::1"));
	assert_true(contains("10.0.0.0/8", "::ffff:10.9.9.9"));
	assert_false(contains("10.0.0.0/9", "10.128.0.0"));
	assert_true(contains("10.0.0.0/9", "10.127.255.255"));
	assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
}

static void addresses_round_trip(void **state)
{
	struct bh_addr addr, again;
	char buf[64];

	assert_ok(addr_parse("fd00:10:244::1:2", &addr));
	assert_str(addr_format(&addr, buf, sizeof(buf)), "fd00:10:244::1:2");
	assert_ok(addr_parse(buf, &again));
	assert_true(bh_addr_equal(&addr, &again));
	assert_ok(addr_parse("10.244.1.2", &addr));
	assert_true(bh_addr_is4(&addr));
	assert_str(addr_format(&addr, buf, sizeof(buf)), "10.244.1.2");
	assert_err(addr_parse("10.0.0.0/8", &addr), -EINVAL);
	assert_err(addr_parse("", &addr), -EINVAL);
	assert_err(addr_parse("1.2.3", &addr), -EINVAL);
	assert_err(addr_parse(":", &addr), -EINVAL);
}

static void protocols_by_name_and_number(void **state)
{
	uint8_t protocol = 0;

	assert_ok(protocol_parse("tcp", &protocol));
	assert_int_equal(protocol, PROTOCOL_TCP);
	assert_ok(protocol_parse("SCTP", &protocol));
	assert_int_equal(protocol, PROTOCOL_SCTP);
	assert_ok(protocol_parse("47", &protocol));
	assert_int_equal(protocol, 47);
	assert_err(protocol_parse("256", &protocol), -EINVAL);
	assert_err(protocol_parse("gre4", &protocol), -EINVAL);
	assert_err(protocol_parse("", &protocol), -EINVAL);
	assert_str(protocol_name(PROTOCOL_UDP), "UDP");
	assert_str(protocol_name(47), "47");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cidrs_are_masked_and_canonical),
		cmocka_unit_test(other_text_is_no_cidr),
		cmocka_unit_test(a_block_is_of_one_family),
		cmocka_unit_test(addresses_round_trip),
		cmocka_unit_test(protocols_by_name_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
