// SPDX-License-Identifier: Apache-2.0
// deferred_test.c - answers that come later than their requests.
#include "tests/harness/test.h"

#include "agent/control/control.h"
#include "tests/harness/raw_client.h"

static struct control_deferred *waiting;

static int op_echo(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct json_object *value = NULL;

	*ret = json_object_new_object();
	json_object_object_get_ex(request, "value", &value);
	json_object_object_add(*ret, "value", json_object_get(value));
	return 0;
}

static int op_later(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	struct control_server *const *server = arg;

	waiting = control_defer(*server);
	return -EINPROGRESS;
}

static int op_now(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	struct control_deferred *deferred = TAKE_PTR(waiting);

	if (!deferred)
		return err_set(reterr, -EAGAIN, "nobody waits");
	control_answer(deferred, test_json("{'late': true}"), NULL);
	return 0;
}

struct place {
	char folder[PATH_MAX], path[PATH_MAX + 32];
	struct event_base *base;
};

static void place_init(struct place *place)
{
	test_mkdir(place->folder);
	snprintf(place->path, sizeof(place->path), "%s/control.sock", place->folder);
	place->base = event_base_new();
}

static void place_fini(struct place *place)
{
	event_base_free(place->base);
	test_rmdir(place->folder);
}

static const struct control_op late_ops[] = {
	{ "later", op_later },
	{ "now", op_now },
	{ "echo", op_echo },
	{ NULL },
};

// One thread: the loop is driven step by step.
static void turn(struct event_base *base)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void a_deferred_answer_keeps_its_place(void **state)
{
	struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	int asks, other;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, late_ops, &server, &server, &err),
		      &err);
	asks = raw_open(place.path);
	other = raw_open(place.path);
	raw_say(asks, "{\"op\":\"later\"}\n{\"op\":\"echo\",\"value\":\"second\"}\n");
	turn(place.base);
	assert_non_null(waiting);
	raw_say(other, "{\"op\":\"now\"}\n");
	turn(place.base);
	raw_expect(other, "true");
	raw_expect(asks, "late");
	raw_expect(asks, "second");
	close(asks);
	close(other);
	turn(place.base);
	control_server_free(server);
	place_fini(&place);
}

static void a_deferred_answer_outlives_its_client(void **state)
{
	struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	int asks, other;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, late_ops, &server, &server, &err),
		      &err);
	asks = raw_open(place.path);
	raw_say(asks, "{\"op\":\"later\"}\n");
	turn(place.base);
	close(asks);
	turn(place.base);
	other = raw_open(place.path);
	raw_say(other, "{\"op\":\"now\"}\n");
	turn(place.base);
	raw_expect(other, "true");
	close(other);
	control_server_free(server);
	place_fini(&place);
}

static void an_answer_at_the_end_is_heard(void **state)
{
	struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	int asks;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, late_ops, &server, &server, &err),
		      &err);
	asks = raw_open(place.path);
	raw_say(asks, "{\"op\":\"later\"}\n");
	turn(place.base);
	assert_non_null(waiting);
	err_set(&err, -ECANCELED, "it is leaving");
	control_answer(TAKE_PTR(waiting), NULL, &err);
	control_server_free(server);
	raw_expect(asks, "it is leaving");
	turn(place.base); // a callback put off holds its connection
	raw_expect_end(asks);
	close(asks);
	place_fini(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deferred_answer_keeps_its_place),
		cmocka_unit_test(a_deferred_answer_outlives_its_client),
		cmocka_unit_test(an_answer_at_the_end_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
