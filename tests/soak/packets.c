// SPDX-License-Identifier: Apache-2.0
// packets.c - new flows between the pods that are there, and standing ones, whose next packet is judged again.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tests/diff/world_private.h"
#include "tests/soak/soak.h"

#define PROBES 64 // a family
#define STANDING_FIRST 10000 // source ports of standing flows
#define ENDS (CAST_SEATS + WORLD_REMOTE)

struct end {
	const struct live *live; // whose tables judge; NULL: a pod of another node
	struct bh_addr addr;
	struct probe_end *probe;
	char title[130];
};

struct ends {
	size_t n;
	struct end v[ENDS];
};

static const struct live *live_of(const struct fresh *fresh, const struct seat_pod *pod)
{
	for (size_t i = 0; pod && i < fresh->nlive; i++)
		if (live_is_judged(&fresh->live[i]) && !strcmp(fresh->live[i].ns, pod->ns) &&
		    !strcmp(fresh->live[i].name, pod->name))
			return &fresh->live[i];
	return NULL;
}

// Every device with a pod that is judged, and those of the other node.
static int find_ends(struct soak *soak, const struct state *force, const struct fresh *fresh,
		     int family, struct ends *ret, struct err *reterr)
{
	ret->n = 0;
	for (size_t i = 0; i < force->c.npods; i++) {
		const struct case_pod *pod = &force->pods[i];
		struct end *end = &ret->v[ret->n];
		int r;

		if (!strcmp(pod->ns, CAST_KEEP) || !strcmp(pod->ns, CAST_HOLD))
			continue;
		*end = (struct end){ 0 };
		snprintf(end->title, sizeof(end->title), "%s/%s", pod->ns, pod->name);
		for (unsigned seat = 0; seat < CAST_SEATS; seat++) {
			char name[24];

			snprintf(name, sizeof(name), "device%u", soak->cast.seats[seat].device);
			if (!strcmp(pod->ns, "seat") && !strcmp(pod->name, name))
				end->live = live_of(fresh, cast_owner(&soak->cast.seats[seat]));
		}
		if (!strcmp(pod->ns, "seat") && !end->live)
			continue;
		r = rig_end(soak->stage.rig, &force->c, end->title, family, &end->probe, &end->addr,
			    reterr);
		if (r < 0)
			return r;
		ret->n++;
	}
	return 0;
}

static bool side_allows(const struct fresh *fresh, const struct end *own, const struct end *remote,
			enum bh_dir dir, const struct flow *flow)
{
	struct bh_judgement judgement;

	return !own->live ||
	       policy_eval(fresh->policy, own->live->slot, dir, &remote->addr, flow->proto,
			   flow->port, false, &judgement) == BH_REASON_ALLOWED;
}

// A flow between two addresses that is always the same one: pods come and go at both ends.
static uint16_t standing_port(const struct end *a, const struct end *b)
{
	unsigned from = (ntohl(a->addr.w[3]) & 31) + (a->live ? 0 : 32);
	unsigned to = (ntohl(b->addr.w[3]) & 31) + (b->live ? 0 : 32);

	return (uint16_t)(STANDING_FIRST + from * 64 + to);
}

static struct flow new_flow(struct rng *rng, const struct end *a, const struct end *b)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	return (struct flow){ .src = a->addr,
			      .dst = b->addr,
			      .proto = rng_pick(rng, protos),
			      .port = world_some_port(rng) };
}

static struct flow standing_flow(const struct end *a, const struct end *b)
{
	uint16_t port = standing_port(a, b);

	return (struct flow){ .src = a->addr,
			      .dst = b->addr,
			      .proto = IPPROTO_UDP,
			      .source_port = port,
			      .port = world_ports[port % 10] };
}

struct batch {
	size_t n;
	const struct end *from[PROBES], *to[PROBES];
	struct probe probes[PROBES];
	bool wants[PROBES];
};

static bool is_asked(const struct batch *batch, const struct flow *flow)
{
	for (size_t i = 0; flow->source_port && i < batch->n; i++)
		if (batch->probes[i].flow.source_port == flow->source_port)
			return true;
	return false;
}

static void add_probe(struct batch *batch, const struct fresh *fresh, const struct end *a,
		      const struct end *b, const struct flow *flow)
{
	size_t n = batch->n;

	if (a == b || (!a->live && !b->live) || is_asked(batch, flow))
		return;
	batch->from[n] = a;
	batch->to[n] = b;
	batch->wants[n] = side_allows(fresh, a, b, BH_EGRESS, flow) &&
			  side_allows(fresh, b, a, BH_INGRESS, flow);
	batch->probes[n] = (struct probe){ .from = a->probe, .to = b->probe, .flow = *flow };
	batch->n++;
}

static void tell(struct soak *soak, const struct batch *batch, int family)
{
	char first[512] = "";
	size_t wrong = 0;

	for (size_t i = 0; i < batch->n; i++) {
		const struct probe *probe = &batch->probes[i];

		if (probe->delivered == batch->wants[i])
			continue;
		if (!wrong++)
			snprintf(first, sizeof(first),
				 "%s -> %s from port %u to %u/%u IPv%d %s delivered",
				 batch->from[i]->title, batch->to[i]->title,
				 probe->flow.source_port, probe->flow.port, probe->flow.proto,
				 family ? 6 : 4, probe->delivered ? "was" : "was not");
	}
	soak->probes += batch->n;
	soak_result(soak, "packets go where the tables say", !wrong, "%zu of %zu: %s", wrong,
		    batch->n, first);
}

static int check_family(struct soak *soak, const struct state *force, const struct fresh *fresh,
			int family, struct err *reterr)
{
	struct batch batch = { 0 };
	struct ends ends;
	int r = find_ends(soak, force, fresh, family, &ends, reterr);

	for (int i = 0; r == 0 && ends.n > 1 && i < PROBES; i++) {
		const struct end *a = &ends.v[rng_below(&soak->rng, ends.n)];
		const struct end *b = &ends.v[rng_below(&soak->rng, ends.n)];
		struct flow flow = i % 2 ? standing_flow(a, b) : new_flow(&soak->rng, a, b);

		add_probe(&batch, fresh, a, b, &flow);
	}
	if (r == 0)
		r = stage_probe(&soak->stage, batch.probes, batch.wants, batch.n, reterr);
	if (r == 0)
		tell(soak, &batch, family);
	return r;
}

int packets_check(struct soak *soak, const struct state *force, const struct fresh *fresh,
		  struct err *reterr)
{
	int r = 0;

	for (int family = 0; r == 0 && family < 2; family++)
		r = check_family(soak, force, fresh, family, reterr);
	return r;
}

// Of the keepers; the ports that others do not use.
static const struct always {
	const char *from, *to;
	uint16_t port;
	bool allowed;
} always[] = {
	{ CAST_KEEP "/c", CAST_KEEP "/a", 53, false },
	{ CAST_KEEP "/b", CAST_KEEP "/a", 53, true },
	{ CAST_KEEP "/c", CAST_HOLD "/d", 55, false },
	{ CAST_KEEP "/c", CAST_HOLD "/d", 53, true },
};

static int keepers_family(struct soak *soak, const struct state *state, int family, struct err *reterr)
{
	struct probe probes[ARRAY_SIZE(always)];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(always); i++) {
		probes[i] = (struct probe){ .flow = { .proto = IPPROTO_UDP, .port = always[i].port } };
		r = rig_end(soak->stage.rig, &state->c, always[i].from, family, &probes[i].from,
			    &probes[i].flow.src, reterr);
		if (r >= 0)
			r = rig_end(soak->stage.rig, &state->c, always[i].to, family, &probes[i].to,
				    &probes[i].flow.dst, reterr);
	}
	if (r >= 0)
		r = probe_run(soak->stage.prober, probes, ARRAY_SIZE(always), reterr);
	if (r < 0)
		return r;
	soak->probes += ARRAY_SIZE(always);
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		soak_result(soak,
			    always[i].allowed ? "what is always allowed always passes" :
						"what is never allowed never passes",
			    probes[i].delivered == always[i].allowed, "%s to %s port %u IPv%d",
			    always[i].from, always[i].to, always[i].port, family ? 6 : 4);
	return 0;
}

int packets_keepers(struct soak *soak, struct err *reterr)
{
	struct state state;
	int r = 0;

	cast_state(&soak->cast, true, &state);
	for (int family = 0; r >= 0 && family < 2; family++)
		r = keepers_family(soak, &state, family, reterr);
	return r < 0 ? r : 0;
}
