// SPDX-License-Identifier: Apache-2.0
// stub_agent.c - a control server in a thread.
#include "tests/harness/test.h"

#include <fcntl.h>
#include <pthread.h>

#include "tests/harness/stub_agent.h"

struct stub_agent {
	char folder[PATH_MAX], path[PATH_MAX + 16];
	struct event_base *base;
	struct event *stop;
	int stop_fds[2];
	struct control_server *server;
	const struct stub_answer *answers;
	pthread_t thread;
	pthread_mutex_t lock; // of `last`
	char *last;
};

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static void *serve(void *arg)
{
	struct stub_agent *agent = arg;

	event_base_dispatch(agent->base);
	return NULL;
}

struct stub_agent *stub_agent_start(const struct control_op *ops, void *arg)
{
	struct stub_agent *agent = calloc(1, sizeof(*agent));
	struct err err = { 0 };

	assert_non_null(agent);
	test_mkdir(agent->folder);
	snprintf(agent->path, sizeof(agent->path), "%s/control.sock", agent->folder);
	pthread_mutex_init(&agent->lock, NULL);
	assert_int_equal(pipe2(agent->stop_fds, O_CLOEXEC), 0);
	agent->base = event_base_new();
	agent->stop = event_new(agent->base, agent->stop_fds[0], EV_READ, on_stop, agent->base);
	event_add(agent->stop, NULL);
	assert_ok_err(control_server_new(agent->base, agent->path, ops, arg ? arg : agent,
					 &agent->server, &err),
		      &err);
	assert_int_equal(pthread_create(&agent->thread, NULL, serve, agent), 0);
	return agent;
}

static void keep(struct stub_agent *agent, struct json_object *request)
{
	pthread_mutex_lock(&agent->lock);
	free(agent->last);
	agent->last = strdup(json_object_to_json_string(request));
	pthread_mutex_unlock(&agent->lock);
}

static int canned(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	struct stub_agent *agent = arg;
	const char *op;

	keep(agent, request);
	if (control_string(request, "op", &op, reterr) < 0)
		return reterr->code;
	for (const struct stub_answer *answer = agent->answers; answer->op; answer++) {
		if (strcmp(answer->op, op))
			continue;
		if (answer->code < 0)
			return err_set(reterr, answer->code, "%s", answer->json);
		*ret = test_json(answer->json);
		return 0;
	}
	return err_set(reterr, -EOPNOTSUPP, "no canned answer to %s", op);
}

struct stub_agent *stub_agent_canned(const struct stub_answer *answers)
{
	static const struct control_op ops[] = {
		{ "status", canned },       { "endpoint.list", canned },
		{ "endpoint.get", canned }, { "policy.list", canned },
		{ "policy.show", canned },  { "explain", canned },
		{ "ct.list", canned },      { "ct.flush", canned },
		{ "version", canned },      { NULL },
	};
	struct stub_agent *agent = stub_agent_start(ops, NULL);

	agent->answers = answers;
	return agent;
}

const char *stub_agent_path(const struct stub_agent *agent)
{
	return agent->path;
}

struct json_object *stub_agent_request(struct stub_agent *agent)
{
	struct json_object *json;

	pthread_mutex_lock(&agent->lock);
	json = agent->last ? json_tokener_parse(agent->last) : NULL;
	pthread_mutex_unlock(&agent->lock);
	return json;
}

void stub_agent_stop(struct stub_agent *agent)
{
	assert_int_equal(write(agent->stop_fds[1], "", 1), 1);
	pthread_join(agent->thread, NULL);
	control_server_free(agent->server);
	event_free(agent->stop);
	event_base_loop(agent->base, EVLOOP_NONBLOCK); // a callback put off holds its connection
	event_base_free(agent->base);
	close(agent->stop_fds[0]);
	close(agent->stop_fds[1]);
	pthread_mutex_destroy(&agent->lock);
	free(agent->last);
	test_rmdir(agent->folder);
	free(agent);
}
