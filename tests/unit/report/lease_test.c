// SPDX-License-Identifier: Apache-2.0
// lease_test.c - one Lease among several agents whose clocks differ, in memory.
#include "tests/harness/test.h"

#include "agent/report/lease.h"

// The server's side: one object, a version that every write changes, conflicts.
struct server {
	struct json_object *lease;
	int version;
	unsigned reads, writes, conflicts;
};

static void version_set(struct json_object *object, int version)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", version);
	json_object_object_add(json_object_object_get(object, "metadata"), "resourceVersion",
			       json_object_new_string(text));
}

static const char *version_of(struct json_object *object)
{
	return json_object_get_string(json_object_object_get(json_object_object_get(object, "metadata"),
							     "resourceVersion"));
}

static struct json_object *copy(struct json_object *object)
{
	struct json_object *same = NULL;

	if (object)
		assert_ok(json_object_deep_copy(object, &same, NULL));
	return same;
}

static bool server_put(struct server *server, struct json_object *body, bool create)
{
	bool fits = create ? !server->lease :
			     server->lease && !strcmp(version_of(body), version_of(server->lease));

	server->writes += fits;
	server->conflicts += !fits;
	if (!fits) {
		json_object_put(body);
		return false;
	}
	json_object_put(server->lease);
	server->lease = body;
	version_set(body, ++server->version);
	return true;
}

// An agent with a clock of its own: `skew` for the wall, `offset` for the other, both arbitrary.
struct agent {
	struct lease lease;
	int64_t offset_ms, skew_us;
};

#define AGENT(name, sec, offset, skew) { .lease = { .identity = (name), .namespace = "ns", .duration_sec = (sec) }, \
					 .offset_ms = (offset), .skew_us = (skew) }

static void step(struct agent *agent, struct server *server, int64_t t, size_t nodes)
{
	int64_t now = t + agent->offset_ms, wall = t * 1000 + agent->skew_us;
	enum lease_step what = lease_step(&agent->lease, now);
	_cleanup_json_ struct json_object *seen = NULL;
	struct json_object *body;

	if (what == LEASE_WAIT)
		return;
	if (what == LEASE_LOOK) {
		server->reads++;
		seen = copy(server->lease);
		lease_seen(&agent->lease, seen, now);
		if (lease_step(&agent->lease, now) != LEASE_LOOK)
			return; // at once
	} else {
		body = lease_body(&agent->lease, wall);
		if (!server_put(server, body, what == LEASE_CREATE)) {
			lease_conflicted(&agent->lease, now);
			return;
		}
		seen = copy(server->lease);
		lease_written(&agent->lease, seen, now);
	}
	lease_plan(&agent->lease, nodes, 500, false, now);
}

static bool held(const struct agent *agent, int64_t t)
{
	return lease_held(&agent->lease, t + agent->offset_ms);
}

static int holders(const struct agent *agents, size_t n, int64_t t)
{
	int count = 0;

	for (size_t i = 0; i < n; i++)
		count += held(&agents[i], t);
	return count;
}

static void fini(struct agent *agents, size_t n, struct server *server)
{
	for (size_t i = 0; i < n; i++)
		lease_fini(&agents[i].lease);
	json_object_put(server->lease);
}

// Clocks hours apart, agents that step in any order: one holder at every moment, and it stays.
static void one_of_many_whatever_the_clocks(void **state)
{
	struct agent agents[] = { AGENT("a", 15, 0, 0), AGENT("b", 15, 99999999, 7200ll * 1000000),
				  AGENT("c", 15, 5, -7200ll * 1000000) };
	struct server server = { 0 };
	const char *holder = NULL;

	for (int64_t t = 1000; t < 600000; t += 100) {
		for (size_t i = 0; i < 3; i++)
			step(&agents[(i + (size_t)t / 100) % 3], &server, t, 3);
		assert_true(holders(agents, 3, t) <= 1);
		for (size_t i = 0; t > 5000 && i < 3; i++) {
			if (!held(&agents[i], t))
				continue;
			if (holder)
				assert_str(agents[i].lease.identity, holder);
			holder = agents[i].lease.identity;
		}
		assert_int_equal(holders(agents, 3, t), t > 5000 ? 1 : holders(agents, 3, t));
	}
	assert_int_equal(json_object_get_int(json_object_object_get(
				 json_object_object_get(server.lease, "spec"), "leaseTransitions")), 0);
	fini(agents, 3, &server);
}

static void a_dead_holder_is_followed_within_the_time(void **state)
{
	struct agent agents[] = { AGENT("a", 15, 0, 0), AGENT("b", 15, 1234567, 3600ll * 1000000),
				  AGENT("c", 15, 77, 0) };
	struct server server = { 0 };
	int64_t t, died = 0;

	for (t = 1000; t < 60000; t += 100)
		for (size_t i = 0; i < 3; i++)
			step(&agents[i], &server, t, 3);
	assert_true(held(&agents[0], t));
	for (died = t; !held(&agents[1], t) && !held(&agents[2], t); t += 100) {
		assert_true(t < died + 120000);
		for (size_t i = 1; i < 3; i++)
			step(&agents[i], &server, t, 3);
		assert_true(holders(agents, 3, t) <= 1); // the dead one's belief ends before another's begins
	}
	assert_true(t - died <= 15000 + 2 * 4500); // the lease, and two looks of 3.75 s and a fifth
	assert_true(t - died >= 15000 - 5000); // not before what the last renewal granted
	fini(agents, 3, &server);
}

// Whoever waits to write while another one was faster finds out by the version.
static void of_two_at_once_one_conflicts(void **state)
{
	struct agent agents[] = { AGENT("a", 15, 0, 0), AGENT("b", 15, 0, 0) };
	struct server server = { 0 };

	for (size_t i = 0; i < 2; i++)
		step(&agents[i], &server, 1000, 2); // both see that there is none
	for (size_t i = 0; i < 2; i++)
		step(&agents[i], &server, 1000, 2);
	assert_int_equal(server.conflicts, 1);
	assert_true(held(&agents[0], 1001) && !held(&agents[1], 1001));
	step(&agents[1], &server, 1001, 2);
	assert_str(lease_holder(&agents[1].lease), "a");
	fini(agents, 2, &server);
}

static void a_farewell_is_taken_at_the_next_look(void **state)
{
	struct agent agents[] = { AGENT("a", 15, 0, 0), AGENT("b", 15, 0, 0) };
	struct server server = { 0 };
	int64_t t;

	for (t = 1000; t < 9000; t += 100)
		for (size_t i = 0; i < 2; i++)
			step(&agents[i], &server, t, 2);
	assert_true(held(&agents[0], t));
	assert_true(server_put(&server, lease_farewell(&agents[0].lease, 0), false));
	for (int64_t left = t; !held(&agents[1], t); t += 100) {
		assert_true(t - left <= 4600);
		step(&agents[1], &server, t, 2);
	}
	fini(agents, 2, &server);
}

static void an_agent_that_starts_again_goes_on(void **state)
{
	struct agent before = AGENT("a", 15, 0, 0), after = AGENT("a", 15, -555, 0);
	struct server server = { 0 };

	step(&before, &server, 1000, 1);
	step(&before, &server, 1000, 1);
	assert_true(held(&before, 1000));
	assert_false(held(&after, 2000));
	step(&after, &server, 2000, 1);
	step(&after, &server, 2000, 1);
	assert_true(held(&after, 2000));
	assert_int_equal(server.conflicts, 0);
	fini(&before, 1, &server);
	lease_fini(&after.lease);
}

// Labels and owners of others are not ours to drop.
static void the_rest_of_the_object_stays(void **state)
{
	struct agent agent = AGENT("a", 15, 0, 0);
	struct server server = { .lease = test_json(
		"{'metadata': {'name': 'bulkhead', 'namespace': 'ns', 'labels': {'team': 'x'}, 'resourceVersion': '0'},"
		" 'spec': {'holderIdentity': '', 'leaseTransitions': 4, 'strategy': 'OldestEmulationVersion'}}") };
	struct json_object *spec;

	step(&agent, &server, 1000, 1);
	step(&agent, &server, 1000, 1);
	spec = json_object_object_get(server.lease, "spec");
	assert_str_contains(json_object_to_json_string(server.lease), "team");
	assert_str_contains(json_object_to_json_string(spec), "OldestEmulationVersion");
	assert_int_equal(json_object_get_int(json_object_object_get(spec, "leaseTransitions")), 5);
	assert_str(json_object_get_string(json_object_object_get(spec, "renewTime")), "1970-01-01T00:00:01.000000Z");
	fini(&agent, 1, &server);
}

// A record may grant itself anything, or nonsense.
static void what_others_wrote_is_bounded(void **state)
{
	struct agent agent = AGENT("a", 15, 0, 0);
	_cleanup_json_ struct json_object *greedy = test_json(
		"{'metadata': {}, 'spec': {'holderIdentity': 'x', 'leaseDurationSeconds': 2000000000}}");
	_cleanup_json_ struct json_object *odd = test_json(
		"{'metadata': {}, 'spec': {'holderIdentity': 7, 'leaseDurationSeconds': 'y'}}");

	lease_seen(&agent.lease, greedy, 1000);
	assert_int_equal(lease_step(&agent.lease, 1000 + LEASE_SEC_MAX * 1000ll - 1), LEASE_LOOK);
	assert_int_equal(lease_step(&agent.lease, 1000 + LEASE_SEC_MAX * 1000ll), LEASE_WRITE);
	lease_seen(&agent.lease, odd, 2000);
	assert_str(lease_holder(&agent.lease), "");
	assert_int_equal(lease_step(&agent.lease, 2000), LEASE_WRITE);
	lease_fini(&agent.lease);
}

// Who holds it stops before another one may begin, also when its writes fail.
static void a_holder_that_cannot_write_gives_up_first(void **state)
{
	struct agent agent = AGENT("a", 15, 0, 0);
	struct server server = { 0 };

	step(&agent, &server, 1000, 1);
	step(&agent, &server, 1000, 1);
	lease_plan(&agent.lease, 1, 0, true, 6000);
	assert_int_equal(agent.lease.next_ms, 7000);
	assert_true(held(&agent, 10999));
	assert_false(held(&agent, 11000));
	assert_int_equal(lease_step(&agent.lease, 12000), LEASE_WRITE); // it may still be the first
	fini(&agent, 1, &server);
}

// The load on the server, for any size of cluster: looks of all together, measured over ten minutes of theirs.
static void all_agents_together_look_seldom(void **state)
{
	static const size_t sizes[] = { 3, 100, 1000, 5000 };

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct agent *agents = calloc(sizes[s], sizeof(*agents));
		struct server server = { 0 };
		double looks;

		for (size_t i = 0; i < sizes[s]; i++) {
			agents[i] = (struct agent)AGENT(i ? "other" : "first", 60, 0, 0);
			lease_begin(&agents[i].lease, sizes[s], (unsigned)(i * 1000 / sizes[s]), 1000);
		}
		for (int64_t t = 1000; t < 601000; t += 200)
			for (size_t i = 0; i < sizes[s]; i++)
				if (lease_step(&agents[i].lease, t) != LEASE_WAIT)
					step(&agents[i], &server, t, sizes[s]);
		looks = server.reads / 600.0;
		print_message("%zu agents: %.2f looks and %.3f writes a second\n", sizes[s], looks,
			      server.writes / 600.0);
		assert_true(looks <= LEASE_LOOKS_PER_SEC * 1.05);
		assert_true(server.writes <= 35);
		fini(agents, sizes[s], &server);
		free(agents);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_many_whatever_the_clocks),
		cmocka_unit_test(a_dead_holder_is_followed_within_the_time),
		cmocka_unit_test(of_two_at_once_one_conflicts),
		cmocka_unit_test(a_farewell_is_taken_at_the_next_look),
		cmocka_unit_test(an_agent_that_starts_again_goes_on),
		cmocka_unit_test(the_rest_of_the_object_stays),
		cmocka_unit_test(what_others_wrote_is_bounded),
		cmocka_unit_test(a_holder_that_cannot_write_gives_up_first),
		cmocka_unit_test(all_agents_together_look_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
