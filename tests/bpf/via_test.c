// SPDX-License-Identifier: Apache-2.0
// via_test.c - what the recorder cannot tell it counts: backends of Services that nobody gives or that find no room, denies
// that were cleared faster than they are told.
#include "tests/bpf/rig.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bulkhead/service.h>

#include "agent/bpf/state.h"
#include "agent/recorder/private.h"

static struct recorder *recorder_of(struct tables *tables)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	assert_non_null(recorder);
	pthread_mutex_init(&recorder->lock, NULL);
	recorder->config.tables = tables;
	assert_ok(book_new(&(struct book_limits){ 0 }, &recorder->book));
	return recorder;
}

static void let_go(struct recorder *recorder)
{
	recorder_via_fini(recorder);
	book_free(recorder->book);
	vec_fini(&recorder->denied_gone);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder);
}

// A flow of a pod to a Service's address.
static const struct ct_entry entry = { .ident = 7, .remote_port = 5432, .local_port = 40000, .proto = IPPROTO_TCP };

static struct bh_ct6_key key_of(const struct bh_addr *service)
{
	struct bh_ct6_key key = { .ident = entry.ident, .remote_port = htons(entry.remote_port),
				  .local_port = htons(entry.local_port), .proto = entry.proto };

	memcpy(key.remote, service, sizeof(key.remote));
	return key;
}

// What is told of the flow's backend in a record: its port, 0: nothing.
static uint16_t backend(struct recorder *recorder, uint64_t id, enum flow_type type)
{
	struct flow_record record = { .id = id, .type = type, .proto = IPPROTO_TCP,
				      .src = { rig_addr("10.1.0.5"), 40000, NULL },
				      .dst = { rig_addr("10.96.0.1"), 5432, NULL } };
	struct ct_entry flow = entry;
	uint16_t port;

	flow.remote = record.dst.addr;
	recorder_via(recorder, &flow, 0, &record);
	port = record.backend.card ? record.backend.port : 0;
	flow_record_fini(&record);
	return port;
}

static uint64_t lost(struct recorder *recorder)
{
	return recorder->stats.lost_backends;
}

static void backends_that_find_no_room_are_forgotten_and_counted(void **state)
{
	struct tables *tables = *state;
	struct recorder *recorder = recorder_of(tables);
	struct bh_addr service = rig_addr("10.96.0.1"), pod = rig_addr("10.2.0.9");
	struct bh_ct6_key key = key_of(&service);
	struct bh_backend value = { .port = htons(8080) };
	uint64_t id = 0;

	memcpy(value.addr, &pod, sizeof(pod));
	assert_ok(bpf_map_update_elem(tables->maps[TABLE_BACKEND].fd, &key, &value, BPF_ANY));
	while (++id <= VIAS_MAX)
		assert_int_equal(backend(recorder, id, FLOW_START), 8080);
	assert_int_equal(recorder->vias.n, VIAS_MAX);
	assert_int_equal(backend(recorder, 1, FLOW_UPDATE), 8080);
	assert_int_equal(lost(recorder), 0);
	assert_int_equal(backend(recorder, id, FLOW_START), 8080); // one more
	assert_int_equal(lost(recorder), VIAS_MAX);
	assert_int_equal(recorder->vias.n, 1);

	assert_ok(bpf_map_delete_elem(tables->maps[TABLE_BACKEND].fd, &key));
	assert_int_equal(backend(recorder, id, FLOW_END), 8080);
	assert_int_equal(backend(recorder, 1, FLOW_END), 0); // conntrack knows no such flow either
	assert_int_equal(recorder->vias.n, 0);
	assert_int_equal(lost(recorder), VIAS_MAX);
	let_go(recorder);
}

static void a_backend_that_conntrack_cannot_be_asked_for_is_counted(void **state)
{
	struct recorder *recorder = recorder_of(*state);
	struct rlimit files, none;

	assert_int_equal(backend(recorder, 1, FLOW_START), 0);
	assert_int_equal(lost(recorder), 0); // it was asked, and there is no such flow
	nl_close(&recorder->nl);
	recorder->nl = (struct nl){ 0 };
	assert_ok(getrlimit(RLIMIT_NOFILE, &files));
	none = (struct rlimit){ 0, files.rlim_max };
	assert_ok(setrlimit(RLIMIT_NOFILE, &none));
	assert_int_equal(backend(recorder, 1, FLOW_START), 0);
	assert_int_equal(backend(recorder, 1, FLOW_END), 0);
	assert_ok(setrlimit(RLIMIT_NOFILE, &files));
	assert_int_equal(lost(recorder), 2);
	assert_int_equal(backend(recorder, 2, FLOW_START), 0);
	assert_int_equal(lost(recorder), 2);
	let_go(recorder);
}

static void denies_beyond_those_that_may_wait_are_counted(void **state)
{
	struct recorder *recorder = recorder_of(*state);
	struct denied_entry denied = { .value = { .packets = 1 } };

	for (denied.key.rule = 0; denied.key.rule < RECORDER_GONE; denied.key.rule++)
		assert_ok(recorder_denied_gone(recorder, &denied));
	assert_int_equal(recorder->stats.lost_denies, 0);
	for (int i = 0; i < 3; i++)
		assert_ok(recorder_denied_gone(recorder, &denied));
	assert_int_equal(recorder->stats.lost_denies, 3);
	assert_int_equal(recorder->denied_gone.n, RECORDER_GONE);
	assert_int_equal(recorder->denied_gone.v[RECORDER_GONE - 1].key.rule, RECORDER_GONE - 1); // those that wait stay
	let_go(recorder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backends_that_find_no_room_are_forgotten_and_counted),
		cmocka_unit_test(a_backend_that_conntrack_cannot_be_asked_for_is_counted),
		cmocka_unit_test(denies_beyond_those_that_may_wait_are_counted),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests_name("via", tests, rig_setup, rig_teardown);
}
