// SPDX-License-Identifier: Apache-2.0
// Filters: each field of a record and of its ends, negation, lists, prefixes, and one sentence for what is no term.
#include "tests/harness/test.h"

#include "agent/flow/filter.h"
#include "tests/harness/record.h"

#define NOW_NS 1795222860000000000LL // 2026-11-21T01:01:00Z: a minute after the record's flow began

static bool matches(const char *text, const struct flow_record *record)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	struct err err = { 0 };

	assert_ok_err(flow_filter_parse(text, NOW_NS, &filter, &err), &err);
	return flow_filter_match(filter, record);
}

static void assert_matches(const struct flow_record *record, const char *const *yes, const char *const *no)
{
	char turned[256];

	for (; *yes; yes++) {
		if (!matches(*yes, record))
			fail_msg("'%s' does not match", *yes);
		snprintf(turned, sizeof(turned), "!%s", *yes);
		if (matches(turned, record))
			fail_msg("'%s' matches", turned);
	}
	for (; *no; no++) {
		if (matches(*no, record))
			fail_msg("'%s' matches", *no);
		snprintf(turned, sizeof(turned), "!%s", *no);
		if (!matches(turned, record))
			fail_msg("'%s' does not match", turned);
	}
}

static void fields_of_the_record(void **state)
{
	static const char *const yes[] = {
		"verdict=allowed", "verdict=denied,allowed", "type=end", "reason=allowed", "reason=cut,allowed", "direction=egress",
		"protocol=TCP", "protocol=tcp", "protocol=6", "over=closed", "policy=databases", "policy=data*", "policy=*",
		"since=1m", "since=2026-11-21T01:00:03Z", "since=2026-11-21T02:00:03+01:00", "since=2026-11-21T01:00:03.000000042Z",
		"until=2026-11-21T01:00:04Z", "until=30s", NULL,
	};
	static const char *const no[] = {
		"verdict=denied,audit", "type=start,update,deny", "reason=cut", "direction=ingress", "protocol=UDP,17", "over=reset,cut",
		"policy=database", "policy=shop/databases", "policy=*/databases", "since=56s", "since=2026-11-21T01:00:03.000000043Z",
		"until=2026-11-21T01:00:03Z", "until=1m", NULL,
	};
	struct flow_record record;

	record_full(&record);
	assert_matches(&record, yes, no);
	flow_record_fini(&record);
}

static void fields_of_ends(void **state)
{
	static const char *const yes[] = {
		"pod=web-7d4b9", "pod=shop/web-7d4b9", "pod=shop/web*", "pod=web*", "pod=db-0", "from-pod=web*", "to-pod=shop/db-0",
		"pod=sh*/*", "namespace=shop", "from-namespace=s*", "to-namespace=shop", "workload=web", "workload=Deployment/web",
		"from-workload=Deployment/*", "to-workload=StatefulSet/db", "label=app", "label=app:web", "label=tier:fr*",
		"to-label=app:db", "from-label=tier", "label=t*", "node=node-a", "from-node=node-a", "to-node=node-b",
		"service=db", "service=shop/db", "to-service=shop/d*", "kind=pod", "kind=service", "from-kind=pod", "to-kind=service",
		"to-kind=pod", "address=10.0.1.5", "address=10.96.0.10", "address=10.0.2.7", "from-address=10.0.1.5",
		"to-address=10.0.2.7,fe80::1", "cidr=10.0.0.0/8", "to-cidr=10.0.2.0/24", "from-cidr=10.0.1.5/32", "port=5432",
		"port=15432", "from-port=43210", "to-port=5000-6000", "to-port=1,15432", NULL,
	};
	static const char *const no[] = {
		"pod=web", "pod=shop/web", "pod=hop/web*", "pod=db", "to-pod=web*", "from-pod=db-0", "namespace=sho", "namespace=shop2",
		"workload=Deployment/db", "workload=we", "from-workload=db", "label=ap", "label=app:we", "label=tier:back", "to-label=tier",
		"from-label=app:db", "node=node", "from-node=node-b", "to-node=node-a", "service=web-7d4b9", "service=other/db",
		"from-service=db", "kind=world,node", "from-kind=service", "address=10.0.1.6", "from-address=10.0.2.7", "to-address=10.0.1.5",
		"cidr=0.0.0.0/32,192.168.0.0/16,::/0", "from-cidr=10.0.2.0/24", "port=80,443", "from-port=5432", "to-port=43210",
		"to-port=5433-15431", NULL,
	};
	struct flow_record record;

	record_full(&record);
	assert_matches(&record, yes, no);
	flow_record_fini(&record);
}

static void terms_hold_together(void **state)
{
	struct flow_record record;

	record_full(&record);
	assert_true(matches(NULL, &record));
	assert_true(matches("", &record));
	assert_true(matches("  ", &record));
	assert_true(matches(" pod=web*  !verdict=denied \t to-port=5432", &record));
	assert_false(matches("pod=web* verdict=denied", &record));
	assert_false(matches("!pod=nobody !to-port=5432", &record));
	assert_true(flow_filter_match(NULL, &record));
	flow_record_fini(&record);
}

// Policies of namespaces, by audit as well; a denied record has no end reason and no Service.
static void policies_and_the_world(void **state)
{
	static const char *const yes[] = { "policy=shop/strict", "policy=strict", "policy=shop/*", "policy=open", "to-kind=world",
					   "to-cidr=::/0", NULL };
	static const char *const no[] = { "policy=sho/strict", "policy=shop", "over=closed", "service=*", "to-namespace=*", "node=*",
					  "label=*", "pod=*", "workload=*", "port=1-65535", "cidr=0.0.0.0/0", NULL };
	struct flow_card world = { .refs = 1, .who = FLOW_WORLD };
	struct flow_policy strict = { .refs = 1, .kind = FLOW_POLICY_DEFAULT_DENY, .npolicies = 2,
				      .policies = (const char *[]){ "shop/other", "shop/strict" } };
	struct flow_policy open = { .refs = 1, .kind = FLOW_POLICY_NETPOL, .npolicies = 1, .policies = (const char *[]){ "a/open" } };
	struct flow_record record = { .src.card = &world, .dst.card = &world, .policy = &open, .audit = &strict,
				      .src.addr.w[3] = 1, .dst.addr.w[3] = 2, .over = FLOW_CLOSED };

	assert_matches(&record, yes, no);
}

static void each_name_is_a_value(void **state)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	struct flow_record record;
	char text[64];

	record_full(&record);
	for (record.reason = 0; record.reason < BH_REASON_MAX; record.reason++) {
		if (!strcmp(flow_reason_name(record.reason), "unknown"))
			continue;
		snprintf(text, sizeof(text), "reason=%s", flow_reason_name(record.reason));
		assert_true(matches(text, &record));
	}
	for (record.over = FLOW_CLOSED; record.over < FLOW_OVER_MAX; record.over++) {
		snprintf(text, sizeof(text), "over=%s", flow_over_name(record.over));
		assert_true(matches(text, &record));
	}
	assert_err(flow_filter_parse("reason=unknown", NOW_NS, &filter, NULL), -EINVAL);
	flow_record_fini(&record);
}

static void a_bad_term_is_named(void **state)
{
	static const char *const cases[][2] = {
		{ "pod", "filter: 'pod' is no term: it has to be [!]FIELD=VALUE[,VALUE...]" },
		{ "pd=x", "filter: there is no field 'pd'; fields are verdict, type, " },
		{ "from-verdict=allowed", "filter: there is no field 'from-verdict'; " },
		{ "verdict=allow", "filter: verdict: 'allow' is not allowed, denied or audit" },
		{ "type=end,begin", "filter: type: 'begin' is not start, update, end or deny" },
		{ "port=0", "filter: port: '0' is not a port or a range of ports, 1 to 65535" },
		{ "to-port=65536", "filter: to-port: '65536' is not a port" },
		{ "port=9-8", "filter: port: '9-8' is not a port" },
		{ "port=", "filter: port: '' is not a port" },
		{ "port=80,", "filter: port: '' is not a port" },
		{ "pod=a/", "filter: pod: 'a/' is not a name or NAMESPACE/NAME" },
		{ "pod=/a", "filter: pod: '/a' is not a name" },
		{ "label=:x", "filter: label: ':x' is not KEY or KEY:VALUE" },
		{ "cidr=10.0.0.1", "filter: cidr: '10.0.0.1' is not a prefix" },
		{ "address=10.0.0.0/8", "filter: address: '10.0.0.0/8' is not an IPv4 or IPv6 address" },
		{ "protocol=256", "filter: protocol: '256' is not TCP" },
		{ "since=5x", "filter: since: '5x' is not a time" },
		{ "since=0", "filter: since: '0' is not a time" },
		{ "until=2026-11-21", "filter: until: '2026-11-21' is not a time" },
		{ "over=", "filter: over: '' is not closed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
		struct err err = { 0 };

		assert_err(flow_filter_parse(cases[i][0], NOW_NS, &filter, &err), -EINVAL);
		assert_str_starts(err.text, cases[i][1]);
	}
}

static void a_filter_has_its_length(void **state)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	char text[FLOW_FILTER_BYTES + 1];
	struct err err = { 0 };

	memset(text, ' ', sizeof(text));
	text[FLOW_FILTER_BYTES] = 0;
	assert_err(flow_filter_parse(text, NOW_NS, &filter, &err), -EINVAL);
	assert_str(err.text, "filter: longer than 4095 bytes");
	text[FLOW_FILTER_BYTES - 1] = 0;
	assert_ok(flow_filter_parse(text, NOW_NS, &filter, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_the_record),
		cmocka_unit_test(fields_of_ends),
		cmocka_unit_test(terms_hold_together),
		cmocka_unit_test(policies_and_the_world),
		cmocka_unit_test(each_name_is_a_value),
		cmocka_unit_test(a_bad_term_is_named),
		cmocka_unit_test(a_filter_has_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
