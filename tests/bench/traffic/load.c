// SPDX-License-Identifier: Apache-2.0
// load.c - loads of traffic. Pod a's end is this thread, pod b's a second one that stays for all of them.
#include "tests/bench/traffic/traffic.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/harness/net.h"

#define DATAGRAM 18 // frames of 64 bytes
#define BULK (1 << 20)
#define BATCHES_MAX 16384
#define PATIENCE_SEC 20

#define MORE 'm' // the byte that goes both ways
#define LAST 'l' // and its last

static atomic_bool stop; // for the receiver of datagrams

static struct {
	sem_t begin, end;
	const struct load *load;
	const struct bed *bed;
} partner;

static void must(bool fine)
{
	if (fine)
		return;
	fprintf(stderr, "traffic: %s: ", partner.bed->engine->name);
	traffic_die(partner.load->name);
}

// ---- one way ------------------------------------------------------------------------------------------------------
static void udp(const struct bed *bed, bool last)
{
	static const char bytes[DATAGRAM];

	must(send(bed->udp[BED_A], bytes, sizeof(bytes), 0) == sizeof(bytes));
	stop = last; // not told by the datagram, which may be lost
}

static void serve_udp(const struct bed *bed)
{
	char bytes[DATAGRAM];

	while (recv(bed->udp[BED_B], bytes, sizeof(bytes), MSG_DONTWAIT) > 0 || !stop)
		;
}

// ---- question and answer -------------------------------------------------------------------------------------------
static char receive(int sock, int flags)
{
	char byte;
	ssize_t n;

	do
		n = recv(sock, &byte, 1, flags);
	while (n < 0 && (flags & MSG_DONTWAIT) && errno == EAGAIN);
	must(n == 1);
	return byte;
}

static void ask(int sock, int flags, bool last)
{
	must(send(sock, last ? (char[]){ LAST } : (char[]){ MORE }, 1, 0) == 1);
	receive(sock, flags);
}

static void answer(int sock, int flags)
{
	char byte;

	do {
		byte = receive(sock, flags);
		must(send(sock, &byte, 1, 0) == 1);
	} while (byte != LAST);
}

static void rr(const struct bed *bed, bool last)
{
	ask(bed->tcp[BED_A], 0, last);
}

static void serve_rr(const struct bed *bed)
{
	answer(bed->tcp[BED_B], 0);
}

static void rrspin(const struct bed *bed, bool last)
{
	ask(bed->tcp[BED_A], MSG_DONTWAIT, last);
}

static void serve_rrspin(const struct bed *bed)
{
	answer(bed->tcp[BED_B], MSG_DONTWAIT);
}

// ---- a mebibyte, then a byte back -----------------------------------------------------------------------------------
static void stream(const struct bed *bed, bool last)
{
	static char bytes[BULK];

	bytes[0] = last ? LAST : MORE;
	must(send(bed->tcp[BED_A], bytes, BULK, 0) == BULK);
	receive(bed->tcp[BED_A], 0);
}

static void serve_stream(const struct bed *bed)
{
	static char bytes[BULK];

	do {
		must(recv(bed->tcp[BED_B], bytes, BULK, MSG_WAITALL) == BULK);
		must(send(bed->tcp[BED_B], bytes, 1, 0) == 1);
	} while (bytes[0] != LAST);
}

// ---- connections: the server closes first ---------------------------------------------------------------------------
static void crr(const struct bed *bed, bool last)
{
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bytes[2] = { last ? LAST : MORE };

	must(sock >= 0 && !connect(sock, (const void *)&bed->at, sizeof(bed->at)));
	must(send(sock, bytes, 1, 0) == 1);
	must(recv(sock, bytes, 2, MSG_WAITALL) == 1);
	close(sock);
}

static void serve_crr(const struct bed *bed)
{
	char byte;
	int sock;

	do {
		sock = accept4(bed->listener, NULL, NULL, SOCK_CLOEXEC);
		must(sock >= 0);
		byte = receive(sock, 0);
		must(send(sock, &byte, 1, 0) == 1);
		close(sock);
	} while (byte != LAST);
}

// Ends that spin have a CPU each, those that sleep share one, so that nothing has to wake it. A batch takes
// some tenths of a millisecond.
static const struct load loads[] = {
	{ .name = "udp",
	  .unit = "us",
	  .partner_cpu = 1,
	  .batch = 64,
	  .per = 1,
	  .op = udp,
	  .serve = serve_udp,
	  .aimed = true },
	{ .name = "rr",
	  .unit = "us",
	  .partner_cpu = 0,
	  .batch = 16,
	  .per = 1,
	  .op = rr,
	  .serve = serve_rr,
	  .aimed = true },
	{ .name = "rrspin",
	  .unit = "us",
	  .partner_cpu = 1,
	  .batch = 16,
	  .per = 1,
	  .op = rrspin,
	  .serve = serve_rrspin,
	  .shared = true },
	{ .name = "crr",
	  .unit = "us",
	  .partner_cpu = 0,
	  .batch = 4,
	  .per = 1,
	  .op = crr,
	  .serve = serve_crr },
	{ .name = "stream",
	  .unit = "us/KiB",
	  .partner_cpu = 0,
	  .batch = 1,
	  .per = BULK / 1024.0,
	  .op = stream,
	  .serve = serve_stream,
	  .bulk = true },
};

const struct load *load_list(int *retn)
{
	*retn = sizeof(loads) / sizeof(*loads);
	return loads;
}

const struct load *load_find(const char *name)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++)
		if (!strcmp(loads[i].name, name))
			return &loads[i];
	return NULL;
}

// ---- slices ---------------------------------------------------------------------------------------------------------
static void stay_on(int cpu)
{
	if (!measure_stay_on(cpu))
		traffic_die("two CPUs are needed");
}

static void *partner_main(void *arg)
{
	for (;;) {
		sem_wait(&partner.begin);
		stay_on(partner.load->partner_cpu);
		partner.load->serve(partner.bed);
		sem_post(&partner.end);
	}
	return arg;
}

static void on_alarm(int signal)
{
	static const char text[] = "traffic: nothing arrives any more: ";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)!write(STDERR_FILENO, partner.bed->engine->name, strlen(partner.bed->engine->name));
	(void)!write(STDERR_FILENO, "\n", 1);
	_exit(1);
}

static void partner_start(void)
{
	pthread_t thread;

	sem_init(&partner.begin, 0, 0);
	sem_init(&partner.end, 0, 0);
	signal(SIGALRM, on_alarm);
	stay_on(0);
	if (pthread_create(&thread, NULL, partner_main, NULL))
		traffic_die("a second thread");
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int run(double *values, double us)
{
	const struct load *load = partner.load;
	double begin = now_us(), from = begin, to = begin;
	int n = 0;

	for (; (to < begin + us || !n) && n < BATCHES_MAX; from = to) {
		for (int i = 0; i < load->batch; i++)
			load->op(partner.bed, false);
		to = now_us();
		if (from >= begin + us / 10)
			values[n++] = (to - from) * 1e3 / load->batch / load->per;
	}
	return n;
}

double load_slice(const struct load *load, const struct bed *bed, double ms)
{
	static double values[BATCHES_MAX];
	int n;

	if (!partner.load)
		partner_start();
	partner.load = load;
	partner.bed = bed;
	stop = false;
	net_enter(bed->ns[BED_A]);
	alarm(PATIENCE_SEC);
	sem_post(&partner.begin);
	n = run(values, ms * 1e3);
	load->op(bed, true);
	sem_wait(&partner.end);
	alarm(0);
	return measure_of(values, n).quarter;
}
