// SPDX-License-Identifier: Apache-2.0
// scale.c - what large clusters cost: time and memory to compile them, time of one event.
//
// Each line is measured in a process of its own. All of it is one thread's work, so processor time is what it takes
// on a machine that does nothing else.
//   scale [EVENTS]                         the tables, of so many changes each
//   scale write SHAPE FOLDER files|docs|list  its objects as manifests: a YAML file each, one of all, a JSON List
//   scale read FOLDER                      a directory source on them
//   scale run COMMAND...                   time and peak memory of another program
#include "tests/bench/scale/scale.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/source/source.h"

void scale_die(const char *what)
{
	fprintf(stderr, "scale: %s: %s\n", what, strerror(errno));
	exit(1);
}

double scale_cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

double scale_rss_mib(const char *field)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t len = strlen(field);
	double kib = 0;
	char line[256];

	if (!file)
		scale_die("/proc/self/status");
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, field, len) && line[len] == ':')
			kib = strtod(line + len + 1, NULL);
	fclose(file);
	return kib / 1024;
}

struct object *scale_parse(enum kind kind, const char *text)
{
	struct json_object *json = json_tokener_parse(text);
	struct object *object = NULL;
	struct err err = { 0 };

	if (!json || object_parse(kind, json, &object, &err) < 0 || object->problem) {
		fprintf(stderr, "scale: %s: %s\n", err.text, text);
		exit(1);
	}
	json_object_put(json);
	return object;
}

// ---- a cluster ------------------------------------------------------------------------------------------------

static int keep(void *arg, enum kind kind, const char *text)
{
	struct scale *scale = arg;

	scale->objects[scale->nobjects++] = scale_parse(kind, text);
	return 0;
}

static void changed(void *arg, const struct object *before, const struct object *after)
{
	policy_changed(((struct scale *)arg)->policy, before, after);
}

void scale_open(struct scale *scale, const struct shape *shape)
{
	uint32_t n =
		shape_namespaces(shape) + shape_nodes(shape) + shape->pods + shape_policies(shape);
	double start = scale_cpu_ms();

	*scale = (struct scale){ .shape = shape, .objects = calloc(n, sizeof(*scale->objects)) };
	if (!scale->objects)
		scale_die("memory");
	shape_each(shape, keep, scale);
	scale->parse_ms = scale_cpu_ms() - start;
}

void scale_feed(struct scale *scale)
{
	double start = scale_cpu_ms();

	if (store_new(&scale->store) < 0 || policy_new(scale->store, NULL, &scale->policy) < 0 ||
	    store_subscribe(scale->store, changed, scale) < 0)
		scale_die("memory");
	for (uint32_t i = 0; i < scale->nobjects; i++)
		if (store_put(scale->store, scale->objects[i]) < 0)
			scale_die("store");
	free(scale->objects);
	scale->objects = NULL;
	scale->put_ms = scale_cpu_ms() - start;
}

void scale_close(struct scale *scale)
{
	policy_free(scale->policy);
	store_free(scale->store);
}

void scale_enroll(struct scale *scale, uint32_t first, uint32_t step, uint32_t n)
{
	char ns[16], name[16];

	for (uint32_t i = first; i < scale->shape->pods && scale->slots < n; i += step) {
		snprintf(ns, sizeof(ns), "ns%u", shape_ns_of(scale->shape, i));
		snprintf(name, sizeof(name), "p%u", i);
		if (policy_endpoint_add(scale->policy, ns, name, scale->slots++) < 0)
			scale_die("endpoint");
	}
}

void scale_dismiss(struct scale *scale)
{
	while (scale->slots)
		policy_endpoint_remove(scale->policy, --scale->slots);
}

struct plan *scale_compile(struct scale *scale)
{
	struct plan *plan;

	if (policy_compile(scale->policy, &plan) < 0)
		scale_die("compile");
	return plan;
}

// ---- one line of the first table ------------------------------------------------------------------------------

// Pods of one node, or of the whole cluster in portions, namespace by namespace.
static uint32_t compile_pods(struct scale *scale, bool whole)
{
	const struct shape *shape = scale->shape;
	uint32_t end = whole ? shape->pods : 1, steps = 0;

	for (uint32_t first = 0; first < end; first += SHAPE_NODE_PODS) {
		struct plan *plan;

		scale_dismiss(scale);
		scale_enroll(scale, first, whole ? 1 : shape_nodes(shape), SHAPE_NODE_PODS);
		plan = scale_compile(scale);
		steps += plan->nsteps;
		plan_free(plan);
	}
	return steps;
}

static void print_aim(const char *aim, bool met)
{
	printf("  %s: %s", aim, met ? "met" : "MISSED");
}

static void compile_line(const struct shape *shape, bool whole)
{
	double start, compile_ms, before = scale_rss_mib("VmRSS"), parsed, after;
	struct scale scale;
	uint32_t steps;

	scale_open(&scale, shape);
	parsed = scale_rss_mib("VmRSS");
	scale_feed(&scale);
	start = scale_cpu_ms();
	steps = compile_pods(&scale, whole);
	compile_ms = scale_cpu_ms() - start;
	after = scale_rss_mib("VmRSS");
	printf("%-7s %-5s %6u %6u %7u %7.0f %7.0f %8.0f %9.0f %9.1f %9.0f %9.0f %8u", shape->name,
	       whole ? "all" : "node", shape_namespaces(shape), shape_policies(shape), shape->pods,
	       scale.parse_ms, scale.put_ms, compile_ms, scale.put_ms + compile_ms,
	       scale_rss_mib("VmHWM"), (parsed - before) * 1048576 / scale.nobjects,
	       (after - before) * 1048576 / scale.nobjects, steps);
	if (!strcmp(shape->name, "antrea")) {
		print_aim("< 1500 ms", scale.put_ms + compile_ms < 1500);
		print_aim("< 400 MB", scale_rss_mib("VmHWM") * 1.048576 < 400);
	}
	putchar('\n');
	scale_close(&scale);
}

static const char head[] =
	"\nA cluster compiled. node: as the agent of one node does it, for at most 110 pods, each of another namespace.\n"
	"all: every pod of the cluster is an endpoint once, 110 at a time in one process, those of a namespace together,\n"
	"so that each policy is compiled. Processor time in ms: read (texts to objects), feed (objects into store and\n"
	"compiler), compile (first plan made). Memory of the process: peak in MiB; bytes an object, as parsed and in all.\n"
	"shape   view      ns policy    pods    read    feed  compile feed+comp  peak MiB B/object  B in all    steps  aim: feed+comp, peak\n";

// ---- processes --------------------------------------------------------------------------------------------------

static void line(const char *mode, const char *shape, const char *arg)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		scale_die("fork");
	if (!pid) {
		execl("/proc/self/exe", "scale", mode, shape, arg, NULL);
		scale_die("exec");
	}
	if (waitpid(pid, &status, 0) < 0 || status)
		exit(1);
}

static void tables(const char *count)
{
	static const struct {
		const char *shape, *view;
	} lines[] = {
		{ "1k", "node" }, { "10k", "node" },    { "100k", "node" },
		{ "1k", "all" },  { "antrea", "node" }, { "antrea", "all" },
	};
	static const char *const shapes[] = { "1k", "10k", "100k", "antrea" };

	fputs(head, stdout);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		line("compile", lines[i].shape, lines[i].view);
	scale_events_head();
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		line("events", shapes[i], count);
}

// ---- the directory source, other programs -------------------------------------------------------------------------

static void read_folder(const char *folder)
{
	struct event_base *base = event_base_new();
	struct source *source;
	struct store *store;
	struct err err = { 0 };
	double start;
	char spec[512];
	size_t n = 0;

	snprintf(spec, sizeof(spec), "dir:%s", folder);
	if (!base || store_new(&store) < 0)
		scale_die("memory");
	start = scale_cpu_ms();
	if (source_open(spec, base, store, NULL, &source, &err) < 0) {
		fprintf(stderr, "scale: %s\n", err.text);
		exit(1);
	}
	for (int kind = 0; kind < KIND_MAX; kind++)
		n += store_count(store, kind);
	printf("read %s: %zu objects, %.0f ms, %.1f MiB at its peak, %.1f MiB then\n", folder, n,
	       scale_cpu_ms() - start, scale_rss_mib("VmHWM"), scale_rss_mib("VmRSS"));
	source_close(source);
	store_free(store);
	event_base_free(base);
}

static double timeval_ms(const struct timeval *time)
{
	return (double)time->tv_sec * 1e3 + (double)time->tv_usec / 1e3;
}

static int run_program(char **argv)
{
	struct rusage usage;
	pid_t pid = fork();
	int status;

	if (pid < 0)
		scale_die("fork");
	if (!pid) {
		execvp(argv[0], argv);
		scale_die(argv[0]);
	}
	if (wait4(pid, &status, 0, &usage) < 0)
		scale_die("wait4");
	printf("run %s: %.0f ms, %.1f MiB at its peak\n", argv[0],
	       timeval_ms(&usage.ru_utime) + timeval_ms(&usage.ru_stime),
	       (double)usage.ru_maxrss / 1024);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int write_manifests(const struct shape *shape, const char *folder, const char *form)
{
	static const char *const forms[] = { "files", "docs", "list" };

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (!strcmp(forms[i], form)) {
			scale_write(shape, folder, (enum manifest_form)i);
			return 0;
		}
	return 2;
}

int main(int argc, char **argv)
{
	const struct shape *shape = argc > 2 ? shape_find(argv[2]) : NULL;
	const char *mode = argc > 2 ? argv[1] : "";

	if (argc <= 2)
		tables(argc > 1 ? argv[1] : "200");
	else if (!strcmp(mode, "compile") && shape && argc == 4)
		compile_line(shape, !strcmp(argv[3], "all"));
	else if (!strcmp(mode, "events") && shape && argc == 4)
		scale_events(shape, (uint32_t)strtoul(argv[3], NULL, 10));
	else if (!strcmp(mode, "write") && shape && argc == 5)
		return write_manifests(shape, argv[3], argv[4]);
	else if (!strcmp(mode, "read") && argc == 3)
		read_folder(argv[2]);
	else if (!strcmp(mode, "run"))
		return run_program(argv + 2);
	else
		return fprintf(stderr, "usage: see tests/bench/scale/scale.c\n"), 2;
	return 0;
}
