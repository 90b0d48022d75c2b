// SPDX-License-Identifier: Apache-2.0
// events.c - one change after the other on a node: the work from the parsed object until it is in force, apart from
// the grace periods that the plan waits for. Compiled by the agent's compiler, applied to tables of the kernel.
#include "tests/bench/scale/scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bpf/tables.h"
#include "tests/harness/net.h"

#define PIN_DIR "/run/bpf/bulkhead"
#define AIM_POD_US 1000 // of the worst hundredth

struct trial {
	struct scale scale;
	struct tables *tables;
	uint64_t random;
	uint32_t version;
};

struct cost {
	double compile_us, apply_us, wait_ms;
	uint32_t steps;
};

static uint32_t below(struct trial *trial, uint32_t n)
{
	trial->random = trial->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(trial->random >> 33) % n;
}

static void apply(struct trial *trial, struct plan *plan, struct cost *cost)
{
	struct apply_stats stats;
	struct err err = { 0 };

	if (tables_apply(trial->tables, plan, &stats, &err) < 0) {
		fprintf(stderr, "scale: %s\n", err.text);
		exit(1);
	}
	cost->apply_us = (double)stats.work_ns / 1e3;
	cost->wait_ms = (double)stats.wait_ns / 1e6;
	cost->steps = plan->nsteps;
	plan_free(plan);
}

// object NULL: the one of this kind and name goes.
static struct cost change(struct trial *trial, struct object *object, enum kind kind,
			  const char *ns, const char *name)
{
	struct cost cost = { 0 };
	double start = scale_cpu_ms();
	struct plan *plan;
	int r = object ? store_put(trial->scale.store, object) :
			 store_remove(trial->scale.store, kind, ns, name);

	if (r != 1) {
		fprintf(stderr, "scale: an event changed nothing\n");
		exit(1);
	}
	plan = scale_compile(&trial->scale);
	cost.compile_us = (scale_cpu_ms() - start) * 1e3;
	apply(trial, plan, &cost);
	return cost;
}

// ---- events -----------------------------------------------------------------------------------------------------

static uint32_t a_local_pod(struct trial *trial)
{
	const struct shape *shape = trial->scale.shape;

	return below(trial, shape->pods / shape_nodes(shape)) * shape_nodes(shape);
}

// A policy that selects a pod of this node.
static uint32_t a_local_policy(struct trial *trial)
{
	uint32_t ns = shape_ns_of(trial->scale.shape, a_local_pod(trial));

	return ns * SHAPE_POLICIES_PER_NS + 1 + below(trial, SHAPE_POLICIES_PER_NS - 1);
}

static struct cost put_pod(struct trial *trial, uint32_t pod, uint32_t version)
{
	char text[SHAPE_TEXT_BYTES];

	shape_pod(trial->scale.shape, pod, version, text);
	return change(trial, scale_parse(KIND_POD, text), KIND_POD, NULL, NULL);
}

static struct cost relabel_pod(struct trial *trial, uint32_t pod)
{
	struct cost cost = put_pod(trial, pod, 1);

	put_pod(trial, pod, 0);
	return cost;
}

static struct cost any_pod(struct trial *trial)
{
	return relabel_pod(trial, below(trial, trial->scale.shape->pods));
}

static struct cost local_pod(struct trial *trial)
{
	return relabel_pod(trial, a_local_pod(trial));
}

static struct cost remove_pod(struct trial *trial, uint32_t pod)
{
	char ns[16], name[16];

	snprintf(ns, sizeof(ns), "ns%u", shape_ns_of(trial->scale.shape, pod));
	snprintf(name, sizeof(name), "p%u", pod);
	return change(trial, NULL, KIND_POD, ns, name);
}

static uint32_t a_remote_pod(struct trial *trial)
{
	const struct shape *shape = trial->scale.shape;
	uint32_t pod;

	do
		pod = below(trial, shape->pods);
	while (!shape_node_of(shape, pod));
	return pod;
}

static struct cost pod_goes(struct trial *trial)
{
	uint32_t pod = a_remote_pod(trial);
	struct cost cost = remove_pod(trial, pod);

	put_pod(trial, pod, 0);
	return cost;
}

static struct cost pod_comes(struct trial *trial)
{
	uint32_t pod = a_remote_pod(trial);

	remove_pod(trial, pod);
	return put_pod(trial, pod, 0);
}

static struct cost put_policy(struct trial *trial, uint32_t policy, uint32_t version)
{
	char text[SHAPE_TEXT_BYTES];

	shape_policy(trial->scale.shape, policy, version, text);
	return change(trial, scale_parse(KIND_NETPOL, text), KIND_NETPOL, NULL, NULL);
}

static struct cost policy_edit(struct trial *trial)
{
	uint32_t policy = a_local_policy(trial);
	struct cost cost = put_policy(trial, policy, 1 + 2 * below(trial, 12));

	put_policy(trial, policy, 0);
	return cost;
}

static struct cost policy_goes(struct trial *trial)
{
	uint32_t policy = a_local_policy(trial);
	struct cost cost;
	char ns[16], name[16];

	snprintf(ns, sizeof(ns), "ns%u", policy / SHAPE_POLICIES_PER_NS);
	snprintf(name, sizeof(name), "np-%u", policy % SHAPE_POLICIES_PER_NS);
	cost = change(trial, NULL, KIND_NETPOL, ns, name);
	put_policy(trial, policy, 0);
	return cost;
}

static struct cost elsewhere(struct trial *trial)
{
	const struct shape *shape = trial->scale.shape;
	uint32_t policy = below(trial, shape_policies(shape) / SHAPE_POLICIES_PER_NS) *
				  SHAPE_POLICIES_PER_NS +
			  1;
	struct cost cost = put_policy(trial, policy, 1);

	put_policy(trial, policy, 0);
	return cost;
}

static struct cost put_ns(struct trial *trial, uint32_t ns, uint32_t version)
{
	char text[SHAPE_TEXT_BYTES];

	shape_ns(trial->scale.shape, ns, version, text);
	return change(trial, scale_parse(KIND_NAMESPACE, text), KIND_NAMESPACE, NULL, NULL);
}

static struct cost namespace_relabel(struct trial *trial)
{
	uint32_t ns = below(trial, shape_namespaces(trial->scale.shape));
	struct cost cost = put_ns(trial, ns, 1 + below(trial, 9));

	put_ns(trial, ns, 0);
	return cost;
}

static const struct {
	const char *name;
	struct cost (*run)(struct trial *trial);
	bool waits; // for grace periods: fewer are measured
} events[] = {
	{ "pod relabelled", any_pod, false },
	{ "pod of the node relabelled", local_pod, true },
	{ "pod gone", pod_goes, false },
	{ "pod new", pod_comes, false },
	{ "policy edited", policy_edit, true },
	{ "policy deleted", policy_goes, true },
	{ "policy edited, any namespace's", elsewhere, true },
	{ "namespace relabelled", namespace_relabel, false },
};

// ---- the table --------------------------------------------------------------------------------------------------

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double part(double *values, uint32_t n, double of)
{
	qsort(values, n, sizeof(*values), by_number);
	return values[(uint32_t)((n - 1) * of + 0.5)];
}

static void measure(struct trial *trial, size_t event, uint32_t n)
{
	double *total = calloc(n, sizeof(*total)), *compile = calloc(n, sizeof(*compile)),
	       *wait = calloc(n, sizeof(*wait));
	uint32_t steps = 0;

	if (!total || !compile || !wait)
		scale_die("memory");
	for (uint32_t i = 0; i < n; i++) {
		struct cost cost = events[event].run(trial);

		total[i] = cost.compile_us + cost.apply_us;
		compile[i] = cost.compile_us;
		wait[i] = cost.wait_ms;
		steps = cost.steps > steps ? cost.steps : steps;
	}
	printf("%-7s %-32s %5u %9.0f %9.0f %9.0f %9.0f %9.1f %7u%s\n", trial->scale.shape->name,
	       events[event].name, n, part(total, n, 0.5), part(total, n, 0.99),
	       part(compile, n, 0.5), part(compile, n, 0.99), part(wait, n, 0.5), steps,
	       strncmp(events[event].name, "pod ", 4) ? "" :
	       part(total, n, 0.99) < AIM_POD_US       ? "  < 1 ms: met" :
							 "  < 1 ms: MISSED");
	fflush(stdout);
	free(total);
	free(compile);
	free(wait);
}

static const char head[] =
	"\nOne change on a node of up to 110 pods, from the parsed object until it is in force in the kernel's tables:\n"
	"processor time of the compiler and time of the writes in us; grace periods apart, in ms. Policies are those that\n"
	"select pods of this node where nothing else is said.\n"
	"shape   change                           times work p50  work p99 comp. p50 comp. p99  grace ms max steps  aim: work p99 of pods\n";

void scale_events_head(void)
{
	fputs(head, stdout);
}

void scale_events(const struct shape *shape, uint32_t count)
{
	struct tables_config config = { .pin_dir = PIN_DIR };
	struct trial trial = { .random = 1 };
	struct err err = { 0 };
	struct cost first = { 0 };
	bool adopted;

	if (net_private())
		scale_die("namespaces");
	if (tables_open(&config, &trial.tables, &adopted, &err) < 0)
		scale_die(err.text);
	scale_open(&trial.scale, shape);
	scale_feed(&trial.scale);
	scale_enroll(&trial.scale, 0, shape_nodes(shape), SHAPE_NODE_PODS);
	apply(&trial, scale_compile(&trial.scale), &first);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		measure(&trial, i, events[i].waits ? (count + 3) / 4 : count);
	scale_close(&trial.scale);
	tables_close(trial.tables);
	tables_unpin(PIN_DIR, &err);
}
