// SPDX-License-Identifier: Apache-2.0
// sim.c - a store and a compiled policy in which the pods asked about are endpoints.
#include "agent/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/source/manifest.h"
#include "agent/sim/sim_private.h"

struct problem {
	char *where, *text;
};

// A pod becomes an endpoint when it is asked about: of a cluster with more pods than a node can have, a
// question needs two. The seat taken longest ago is given up for a new one.
struct seat {
	const struct pod *pod; // NULL: free
	uint32_t slot;
};

struct sim {
	struct store *store;
	struct policy *policy;
	struct hash by_pod; // taken seats
	struct seat seats[BH_LIMIT_ENDPOINTS];
	uint32_t next; // seat to take
	const char *node; // whose view is compiled; borrowed from the policy
	bool dirty;
	int error; // what a change could not do; the next question says it
	VEC(struct problem) problems;
};

// ---- endpoints ---------------------------------------------------------------------------------

static uint64_t pod_hash(const struct pod *pod)
{
	return hash_mix(hash_pointer(pod->object.ns), hash_pointer(pod->object.name));
}

// Names are interned: the same name is the same pointer.
static bool seat_is(const void *item, const void *key)
{
	const struct seat *seat = item;
	const struct pod *pod = key;

	return seat->pod->object.ns == pod->object.ns && seat->pod->object.name == pod->object.name;
}

static struct seat *seat_of(const struct sim *sim, const struct pod *pod)
{
	return hash_find(&sim->by_pod, pod_hash(pod), seat_is, pod);
}

static int seat_leave(struct sim *sim, struct seat *seat)
{
	hash_remove(&sim->by_pod, pod_hash(seat->pod), seat);
	seat->pod = NULL;
	sim->dirty = true;
	return policy_endpoint_remove(sim->policy, seat->slot);
}

static int seat_take(struct sim *sim, const struct pod *pod)
{
	uint32_t slot = sim->next++ % ARRAY_SIZE(sim->seats);
	struct seat *seat = &sim->seats[slot];
	int r = seat->pod ? seat_leave(sim, seat) : 0;

	if (r == 0)
		r = policy_endpoint_add(sim->policy, pod->object.ns, pod->object.name, slot);
	if (r < 0)
		return r;
	*seat = (struct seat){ pod, slot };
	sim->dirty = true;
	r = hash_add(&sim->by_pod, pod_hash(pod), seat);
	if (r < 0) {
		policy_endpoint_remove(sim->policy, slot);
		seat->pod = NULL;
	}
	return r;
}

int sim_enroll(struct sim *sim, const struct pod *pod)
{
	return seat_of(sim, pod) ? 0 : seat_take(sim, pod);
}

int sim_slot(const struct sim *sim, const struct pod *pod)
{
	const struct seat *seat = seat_of(sim, pod);

	return seat ? (int)seat->slot : -ENOENT;
}

static int enroll_host_ports(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct sim *sim = arg;

	if (!pod->nhost_ports || pod->host_network || pod->finished || !pod->node ||
	    pod->node != sim->node)
		return 0;
	return sim_enroll(sim, pod);
}

int sim_view(struct sim *sim, const struct pod *pod)
{
	if (!pod || !pod->node)
		return 0;
	if (sim->node != pod->node) {
		sim->node = pod->node;
		sim->dirty = true;
		policy_set_node(sim->policy, pod->node);
	}
	return store_each(sim->store, KIND_POD, NULL, enroll_host_ports, sim);
}

static int pod_changed(struct sim *sim, const struct pod *before, const struct pod *after)
{
	struct seat *seat = before ? seat_of(sim, before) : NULL;

	if (!seat)
		return 0;
	if (!after || after->host_network || after->finished)
		return seat_leave(sim, seat);
	seat->pod = after;
	return 0;
}

static void on_change(void *arg, const struct object *before, const struct object *after)
{
	struct sim *sim = arg;
	int r = 0;

	sim->dirty = true;
	policy_changed(sim->policy, before, after);
	if ((after ? after : before)->kind == KIND_POD)
		r = pod_changed(sim, (const struct pod *)before, (const struct pod *)after);
	if (r < 0)
		sim->error = r;
}

// ---- life --------------------------------------------------------------------------------------

int sim_new(struct sim **ret)
{
	_cleanup_(sim_freep) struct sim *sim = calloc(1, sizeof(*sim));
	int r;

	assert(ret);

	if (!sim)
		return -ENOMEM;
	sim->dirty = true;
	r = store_new(&sim->store);
	if (r == 0)
		r = policy_new(sim->store, NULL, &sim->policy);
	if (r == 0)
		r = store_subscribe(sim->store, on_change, sim);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(sim);
	return 0;
}

void sim_free(struct sim *sim)
{
	if (!sim)
		return;
	policy_free(sim->policy);
	hash_fini(&sim->by_pod);
	store_free(sim->store);
	vec_each(struct problem, problem, &sim->problems) {
		free(problem->where);
		free(problem->text);
	}
	vec_fini(&sim->problems);
	free(sim);
}

const struct store *sim_store(const struct sim *sim)
{
	return sim->store;
}

int sim_put(struct sim *sim, struct object *object)
{
	int r = store_put(sim->store, object);

	return r < 0 ? r : 0;
}

int sim_remove(struct sim *sim, enum kind kind, const char *ns, const char *name)
{
	store_remove(sim->store, kind, ns, name);
	return 0;
}

// ---- compiling ---------------------------------------------------------------------------------

int sim_compile(struct sim *sim)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	int r = sim->error;

	if (r < 0 || !sim->dirty)
		return r;
	r = policy_compile(sim->policy, &plan);
	if (r == 0)
		sim->dirty = false;
	return r;
}

const struct policy *sim_policy(struct sim *sim)
{
	return sim_compile(sim) < 0 ? NULL : sim->policy;
}

// ---- problems ----------------------------------------------------------------------------------

static void add_problem(void *arg, const char *where, const char *text)
{
	struct sim *sim = arg;
	struct problem problem = { 0 };

	if (!text)
		return;
	problem.where = strdup(where);
	problem.text = strdup(text);
	if (!problem.where || !problem.text || vec_push(&sim->problems, problem) < 0) {
		free(problem.where);
		free(problem.text);
		sim->error = -ENOMEM;
	}
}

struct problem_sink {
	sim_problem_fn fn;
	void *arg;
};

static void compiler_problem(void *arg, enum kind kind, const char *ns, const char *name,
			     const char *text)
{
	const struct problem_sink *sink = arg;
	char where[640];

	snprintf(where, sizeof(where), "%s '%s%s%s'", object_kind(kind)->name, ns ? ns : "",
		 ns ? "/" : "", name);
	sink->fn(sink->arg, where, text);
}

void sim_problem_each(struct sim *sim, sim_problem_fn fn, void *arg)
{
	struct problem_sink sink = { fn, arg };
	const struct policy *policy = sim_policy(sim);

	vec_each(struct problem, problem, &sim->problems)
		fn(arg, problem->where, problem->text);
	if (policy)
		policy_problem_each(policy, compiler_problem, &sink);
}

// ---- files -------------------------------------------------------------------------------------

static int load_object(void *arg, struct object *object)
{
	return sim_put(arg, object);
}

static int load_file(struct sim *sim, const char *path, struct err *reterr)
{
	struct source_events events = { .arg = sim, .problem = add_problem };

	return manifest_read(path, &events, load_object, sim, reterr);
}

// A file of a folder that cannot be read is a problem and no more, as in the agent.
static int load_one(void *arg, const char *path)
{
	struct err err = { 0 };

	if (load_file(arg, path, &err) < 0)
		add_problem(arg, path, err.text);
	return 0;
}

static int skip_one(void *arg, const char *path, int error)
{
	add_problem(arg, path, manifest_skip_text(error));
	return 0;
}

int sim_load(struct sim *sim, const char *path, struct err *reterr)
{
	struct manifest_walk walk = { .arg = sim, .file = load_one, .skipped = skip_one };
	struct stat st;
	int r;

	assert(sim);
	assert(path);

	if (stat(path, &st) < 0)
		return err_set(reterr, -errno, "cannot read '%s': %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return load_file(sim, path, reterr);
	r = manifest_walk(path, &walk);
	return r < 0 ? err_set(reterr, r, "cannot read folder '%s': %s", path, strerror(-r)) : 0;
}
