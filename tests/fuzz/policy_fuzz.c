// SPDX-License-Identifier: Apache-2.0
// policy_fuzz.c - any objects, one a line after a digit for its kind: what the compiler answers is what
// the naive evaluator does, after every line.
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/policy.h"
#include "tests/harness/naive.h"

#define SLOTS 4
#define NODE "n" // the own one
#define LINES_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct store *store;
	struct policy *policy;
	struct naive naive;
	uint32_t n;
	struct {
		const char *ns, *name;
	} local[SLOTS];
	bool refused;
};

static void changed(void *arg, const struct object *before, const struct object *after)
{
	policy_changed(((struct run *)arg)->policy, before, after);
}

static bool is_local(void *arg, const struct pod *pod)
{
	const struct run *run = arg;

	for (uint32_t i = 0; i < run->n; i++)
		if (run->local[i].ns == pod->object.ns && run->local[i].name == pod->object.name)
			return true;
	return false;
}

// Addresses of the node's devices: NodePorts and hostPorts are there.
static bool is_host(void *arg, const struct bh_addr *addr)
{
	struct bh_addr four, six;

	addr_parse("172.18.0.2", &four);
	addr_parse("fd18::2", &six);
	return bh_addr_equal(addr, &four) || bh_addr_equal(addr, &six);
}

static void add_local(struct run *run, const struct object *object)
{
	if (object->kind != KIND_POD || run->n == SLOTS ||
	    is_local(run, (const struct pod *)object))
		return;
	if (policy_endpoint_add(run->policy, object->ns, object->name, run->n) < 0)
		return;
	// strings live as long as the input's store holds the pod: nothing is ever removed here
	run->local[run->n].ns = object->ns;
	run->local[run->n++].name = object->name;
}

static void note_problem(void *arg, enum kind kind, const char *ns, const char *name,
			 const char *text)
{
	((struct run *)arg)->refused |= strstr(text, "needs more") != NULL;
}

static void ask(struct run *run, uint32_t slot, enum bh_dir dir, const struct bh_addr *remote)
{
	static const uint16_t ports[] = { 53, 80, 81, 8080, 30080, 65535 };
	static const uint8_t protocols[] = { 1, 6, 17, 132 };
	struct bh_judgement judgement;

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		for (size_t k = 0; k < sizeof(protocols); k++) {
			policy_eval(run->policy, slot, dir, remote, protocols[k], ports[i],
				    is_host(NULL, remote), &judgement);
			assert(BH_CELL_VERDICT(judgement.verdict) ==
			       naive_verdict(&run->naive, run->local[slot].ns,
					     run->local[slot].name, dir, remote, protocols[k],
					     ports[i], false));
			assert(BH_CELL_VERDICT(judgement.shadow) ==
			       naive_verdict(&run->naive, run->local[slot].ns,
					     run->local[slot].name, dir, remote, protocols[k],
					     ports[i], true));
		}
}

static void ask_all(struct run *run)
{
	static const char *const remotes[] = { "10.0.0.1", "10.0.0.2",    "10.0.1.1",  "8.8.8.8",
					       "fd00::1",  "2001:db8::1", "172.18.0.2", "fd18::2",
					       "10.96.0.1", "fd96::1", "198.51.100.1" };
	struct bh_addr addr;

	for (uint32_t slot = 0; slot < run->n; slot++)
		for (int dir = 0; dir < BH_DIR_MAX; dir++)
			for (size_t i = 0; i < sizeof(remotes) / sizeof(*remotes); i++) {
				addr_parse(remotes[i], &addr);
				ask(run, slot, dir, &addr);
			}
}

static void put_line(struct run *run, const char *line)
{
	enum kind kind = (enum kind)(line[0] - '0');
	struct json_object *json;
	struct object *object;
	struct plan *plan;
	struct err err;

	if ((int)kind < 0 || kind >= KIND_MAX)
		return;
	json = json_tokener_parse(line + 1);
	if (!json)
		return;
	if (object_parse(kind, json, &object, &err) == 0) {
		add_local(run, object);
		store_put(run->store, object);
		assert(policy_compile(run->policy, &plan) == 0);
		plan_free(plan);
		policy_problem_each(run->policy, note_problem, run);
		if (!run->refused)
			ask_all(run);
	}
	json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { 0 };
	char *text = malloc(size + 1), *at = text, *line;

	memcpy(text, data, size);
	text[size] = 0;
	assert(store_new(&run.store) == 0);
	assert(policy_new(run.store, NULL, &run.policy) == 0);
	assert(store_subscribe(run.store, changed, &run) == 0);
	policy_set_node(run.policy, NODE);
	run.naive = (struct naive){ .store = run.store, .local = is_local, .host = is_host,
				    .arg = &run, .node = NODE };
	for (int i = 0; i < LINES_MAX && (line = strsep(&at, "\n")); i++)
		put_line(&run, line);
	policy_free(run.policy);
	store_free(run.store);
	free(text);
	return 0;
}
