// SPDX-License-Identifier: Apache-2.0
// forbidden.c - a thousand datagrams a second, family and receiver, and whether one ever came.
#include "tests/soak/forbidden.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/conformance/sandbox.h"

#define PORT 54
#define PAUSE_NS 1000000

static socklen_t name(const struct bh_addr *addr, int family, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (!family) {
		in->sin_family = AF_INET;
		in->sin_port = htons(PORT);
		memcpy(&in->sin_addr, &addr->w[3], 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(PORT);
	memcpy(&in6->sin6_addr, addr->w, 16);
	return sizeof(*in6);
}

static void try(struct forbidden_pair *pair, int family)
{
	struct sockaddr_storage ss;
	socklen_t len = name(&pair->addrs[family], family, &ss);
	char buf[64];

	if (sendto(pair->from[family], "no", 2, MSG_DONTWAIT, (struct sockaddr *)&ss, len) == 2)
		atomic_fetch_add(&pair->sent, 1);
	while (recv(pair->to[family], buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		atomic_fetch_add(&pair->arrived, 1);
}

static void *run(void *arg)
{
	struct forbidden *forbidden = arg;
	struct timespec pause = { .tv_nsec = PAUSE_NS };

	while (!atomic_load(&forbidden->ending)) {
		for (int i = 0; i < FORBIDDEN_PAIRS; i++)
			for (int family = 0; family < 2; family++)
				try(&forbidden->pairs[i], family);
		nanosleep(&pause, NULL); // a rate, not a wait
	}
	return NULL;
}

static int open_in(int netns, int family, const struct bh_addr *bound, struct err *reterr)
{
	_cleanup_close_ int here = sandbox_here();
	struct sockaddr_storage ss;
	int fd, r = sandbox_enter(netns);

	if (r < 0)
		return err_set(reterr, r, "a keeper's namespace: %s", strerror(-r));
	fd = socket(family ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || (bound && bind(fd, (struct sockaddr *)&ss, name(bound, family, &ss)) < 0))
		r = err_set(reterr, -errno, "a keeper's socket: %s", strerror(errno));
	sandbox_enter(here);
	return r < 0 ? r : fd;
}

static int open_pair(struct forbidden_pair *pair, struct rig *rig, const struct state *state,
		     struct err *reterr)
{
	struct probe_end *from, *to;
	struct bh_addr own;
	int r;

	for (int family = 0; family < 2; family++) {
		if ((r = rig_end(rig, &state->c, CAST_KEEP "/c", family, &from, &own, reterr)) <
			    0 ||
		    (r = rig_end(rig, &state->c, pair->to_name, family, &to, &pair->addrs[family],
				 reterr)) < 0 ||
		    (r = pair->from[family] = open_in(from->netns, family, NULL, reterr)) < 0 ||
		    (r = pair->to[family] =
			     open_in(to->netns, family, &pair->addrs[family], reterr)) < 0)
			return r;
	}
	return 0;
}

int forbidden_open(struct forbidden *forbidden, struct rig *rig, const struct state *state,
		   struct err *reterr)
{
	static const char *const to[FORBIDDEN_PAIRS] = { CAST_KEEP "/a", CAST_HOLD "/d" };
	int r;

	*forbidden = (struct forbidden){ 0 };
	for (int i = 0; i < FORBIDDEN_PAIRS; i++) {
		forbidden->pairs[i] = (struct forbidden_pair){ .to_name = to[i] };
		r = open_pair(&forbidden->pairs[i], rig, state, reterr);
		if (r < 0)
			return r;
	}
	r = -pthread_create(&forbidden->thread, NULL, run, forbidden);
	forbidden->running = r == 0;
	return r < 0 ? err_set(reterr, r, "a thread: %s", strerror(-r)) : 0;
}

void forbidden_close(struct forbidden *forbidden)
{
	if (!forbidden->running)
		return;
	atomic_store(&forbidden->ending, true);
	pthread_join(forbidden->thread, NULL);
	forbidden->running = false;
	for (int i = 0; i < FORBIDDEN_PAIRS; i++) {
		for (int family = 0; family < 2; family++) {
			close(forbidden->pairs[i].from[family]);
			close(forbidden->pairs[i].to[family]);
		}
	}
}
