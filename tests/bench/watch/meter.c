// SPDX-License-Identifier: Apache-2.0
// meter.c - the tool of `tests/bench/watch/run`: writes a cluster's objects, times events until a packet passes, and
// sends events at a rate.
//
//	meter objects SHAPE TEMPLATE >FILE		pods' mean size to standard error
//	meter latency pod|policy COUNT API AGENT TEMPLATE FROM-NETNS FROM-ADDRESS TO-NETNS TO-ADDRESS
//	meter rate SHAPE TEMPLATE API PER-SECOND SECONDS
//
// An event lets the pod bench/peer reach the pod bench/target, or no longer. All the time datagrams are sent; the first
// that arrives says that the event is in force. What precedes: the moment in which the server had written
// the event's last byte into its connection's buffer.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/control/control.h"
#include "tests/bench/watch/objects.h"

#define PORT 7777
#define SEND_NS 50000
#define QUIET_NS 40000000 // without a datagram: the change to "no" is in force
#define LOST_NS 5000000000ll

static struct json_object *ask(const char *socket, struct json_object *request)
{
	struct json_object *answer = NULL;
	struct err err = { 0 };

	if (control_call(socket, request, 60, &answer, &err) < 0)
		objects_die(err.text);
	json_object_put(request);
	return answer;
}

static struct json_object *request_put(struct json_object *object)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "op", json_object_new_string("put"));
	json_object_object_add(request, "object", object);
	return request;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void nap(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

// ---- datagrams ---------------------------------------------------------------------------------------------------
static struct {
	const char *netns[2], *addr[2]; // from, to
	atomic_llong last, first; // arrivals; first: since it was set to 0
	atomic_bool ending;
} wire;

static int open_in(const char *netns, const char *addr, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval tv = { .tv_usec = 100000 };
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0 || inet_pton(AF_INET, addr, &in.sin_addr) != 1)
		objects_die(netns);
	close(ns);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		objects_die(addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

static void *send_all(void *arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = open_in(wire.netns[0], wire.addr[0], PORT);

	inet_pton(AF_INET, wire.addr[1], &to.sin_addr);
	while (!atomic_load(&wire.ending)) {
		sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
		nap(SEND_NS);
	}
	close(fd);
	return NULL;
}

static void *take_all(void *arg)
{
	int fd = open_in(wire.netns[1], wire.addr[1], PORT);
	long long none;
	char c;

	while (!atomic_load(&wire.ending)) {
		if (recv(fd, &c, 1, 0) != 1)
			continue;
		none = 0;
		atomic_store(&wire.last, now_ns());
		atomic_compare_exchange_strong(&wire.first, &none, atomic_load(&wire.last));
	}
	close(fd);
	return NULL;
}

// ---- latency ---------------------------------------------------------------------------------------------------------
static struct json_object *peer(bool allowed)
{
	char text[1024];

	snprintf(
		text, sizeof(text),
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"peer\",\"namespace\":\"bench\","
		"\"uid\":\"peer\",\"labels\":{\"turn\":\"%s\"}},\"spec\":{\"nodeName\":\"elsewhere\",\"containers\":"
		"[{\"name\":\"main\",\"ports\":[{\"containerPort\":80}]}]},\"status\":{\"phase\":\"Running\","
		"\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}]}}",
		allowed ? "yes" : "no", wire.addr[0], wire.addr[0]);
	return objects_dress(json_tokener_parse(text), 1, 0);
}

static struct json_object *policy(bool allowed)
{
	char text[1024];

	snprintf(
		text, sizeof(text),
		"{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"edited\","
		"\"namespace\":\"bench\"},\"spec\":{\"podSelector\":{\"matchLabels\":{\"app\":\"target\"}},\"ingress\":["
		"{\"from\":[{\"podSelector\":{\"matchLabels\":{\"never\":\"%s\"}}}%s]}]}}",
		allowed ? "now" : "ever",
		allowed ? ",{\"podSelector\":{\"matchLabels\":{\"turn\":\"no\"}}}" : "");
	return json_tokener_parse(text);
}

static void until_quiet(void)
{
	int64_t end = now_ns() + LOST_NS;

	while (now_ns() - atomic_load(&wire.last) < QUIET_NS)
		if (now_ns() > end)
			objects_die("the event \"no\" is not in force after 5 s");
		else
			nap(1000000);
}

static int64_t until_first(int64_t sent)
{
	while (!atomic_load(&wire.first))
		if (now_ns() > sent + LOST_NS)
			objects_die("the event \"yes\" is not in force after 5 s");
		else
			nap(200000);
	return atomic_load(&wire.first) - sent;
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double part(double *values, size_t n, double of)
{
	qsort(values, n, sizeof(*values), by_number);
	return values[(size_t)((double)(n - 1) * of + 0.5)];
}

// The last plan's grace periods: how long one took in the mean; 0: it had none.
static double grace_ms(const char *agent)
{
	struct json_object *request = json_object_new_object(), *answer, *apply;
	double waits, ms;

	json_object_object_add(request, "op", json_object_new_string("status"));
	answer = ask(agent, request);
	apply = json_object_object_get(answer, "last_apply");
	waits = json_object_get_double(json_object_object_get(apply, "waits"));
	ms = json_object_get_double(json_object_object_get(apply, "wait_us")) / 1e3;
	json_object_put(answer);
	return waits > 0 ? ms / waits : 0;
}

static int latency(char **argv)
{
	struct json_object *(*make)(bool allowed) = strcmp(argv[0], "pod") ? policy : peer;
	size_t n = strtoul(argv[1], NULL, 10);
	double *total = calloc(n, sizeof(*total)), *grace = calloc(n, sizeof(*grace));
	pthread_t threads[2];

	objects_open(argv[4]);
	wire.netns[0] = argv[5], wire.addr[0] = argv[6], wire.netns[1] = argv[7],
	wire.addr[1] = argv[8];
	json_object_put(ask(argv[2], request_put(peer(false))));
	if (make == policy)
		json_object_put(ask(argv[2], request_put(policy(false))));
	pthread_create(&threads[0], NULL, take_all, NULL);
	pthread_create(&threads[1], NULL, send_all, NULL);
	atomic_store(&wire.last, now_ns());
	for (size_t i = 0; i < n; i++) {
		struct json_object *answer;

		until_quiet();
		atomic_store(&wire.first, 0);
		answer = ask(argv[2], request_put(make(true)));
		total[i] = (double)until_first(
				   json_object_get_int64(json_object_object_get(answer, "ns"))) /
			   1e6;
		json_object_put(answer);
		nap(60000000); // the plan ends behind what is in force
		grace[i] = grace_ms(argv[3]);
		json_object_put(ask(argv[2], request_put(make(false))));
	}
	atomic_store(&wire.ending, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("p50 %.2f ms, p99 %.2f ms of %zu events; a grace period p50 %.2f ms, p99 %.2f ms\n",
	       part(total, n, 0.5), part(total, n, 0.99), n, part(grace, n, 0.5),
	       part(grace, n, 0.99));
	return 0;
}

// ---- a rate ------------------------------------------------------------------------------------------------------------
// One in two changes a label that policies name, the other only what nobody reads.
static int rate(char **argv)
{
	const struct shape *shape = shape_find(argv[0]);
	unsigned int per_second = (unsigned int)atoi(argv[3]),
		     seconds = (unsigned int)atoi(argv[4]);
	int64_t begin = now_ns(), gap = 1000000000ll / per_second;

	objects_open(argv[1]);
	for (uint32_t i = 0; i < per_second * seconds; i++) {
		uint32_t pod = (uint32_t)((uint64_t)i * 7919 % shape->pods);
		int64_t next = begin + i * gap;

		while (now_ns() < next)
			nap(200000);
		json_object_put(ask(argv[2], request_put(objects_pod(shape, pod, i % 2, i + 1))));
	}
	printf("%.1f\n", (double)per_second * seconds / ((double)(now_ns() - begin) / 1e9));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "objects") && shape_find(argv[2])) {
		objects_open(argv[3]);
		objects_write(shape_find(argv[2]), stdout);
		return 0;
	}
	if (argc == 11 && !strcmp(argv[1], "latency"))
		return latency(argv + 2);
	if (argc == 7 && !strcmp(argv[1], "rate") && shape_find(argv[2]))
		return rate(argv + 2);
	fprintf(stderr, "meter: see the head of meter.c\n");
	return 2;
}
