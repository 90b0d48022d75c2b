// SPDX-License-Identifier: Apache-2.0
// cluster.c - states into manifests and namespaces, expectations into probes.
#include "tests/conformance/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/conformance/agent.h"
#include "tests/conformance/feed.h"
#include "tests/conformance/rig.h"

// One folder for all agents, as all nodes of a cluster have one API server.
#define MANIFESTS "/run/manifests"
#define MANIFESTS_TEMP "/run/manifests.new"
// Connections that nobody answers fill a pod's share of the table: they are forgotten from time to time.
#define FLUSH_PROBES 8000

struct cluster {
	const struct kernel_config *config;
	struct prober *prober;
	struct rig *rig;
	struct feed *feed;
	struct agent *agents[RIG_NODES_MAX]; // by index of the node
	size_t probes; // since the last flush
};

int cluster_new(const struct kernel_config *config, struct cluster **ret, struct err *reterr)
{
	_cleanup_(cluster_freep) struct cluster *cluster = calloc(1, sizeof(*cluster));
	int r;

	if (!cluster)
		return err_set(reterr, -ENOMEM, "out of memory");
	cluster->config = config;
	r = prober_new(config->worker, &cluster->prober, reterr);
	if (r == 0)
		r = rig_new(&cluster->rig, reterr);
	if (r == 0 && (mkdir(MANIFESTS, 0755) < 0 || mkdir(MANIFESTS_TEMP, 0755) < 0))
		r = err_set(reterr, -errno, "%s: %s", MANIFESTS, strerror(errno));
	if (r == 0)
		r = feed_new(MANIFESTS, MANIFESTS_TEMP, &cluster->feed, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(cluster);
	return 0;
}

void cluster_free(struct cluster *cluster)
{
	if (!cluster)
		return;
	for (size_t i = 0; i < RIG_NODES_MAX; i++)
		agent_free(cluster->agents[i]);
	feed_free(cluster->feed);
	rig_free(cluster->rig);
	prober_free(cluster->prober);
	free(cluster);
}

// ---- a state --------------------------------------------------------------------------------------------------

// An agent is started once; again only when it crashed, so that one bad case does not fail all others.
static int start_agents(struct cluster *cluster, struct err *reterr)
{
	for (size_t i = 0; i < rig_nodes(cluster->rig); i++) {
		const struct rig_node *node = rig_node(cluster->rig, i);
		int r;

		if (cluster->agents[i] && agent_lives(cluster->agents[i]))
			continue;
		agent_free(TAKE_PTR(cluster->agents[i]));
		r = agent_start(cluster->config, node->name, node->id, node->netns, MANIFESTS,
				&cluster->agents[i], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int sync_agents(struct cluster *cluster, const char *marker, struct err *reterr)
{
	bool flush = cluster->probes > FLUSH_PROBES;

	for (size_t i = 0; i < rig_nodes(cluster->rig); i++) {
		const struct rig_node *node = rig_node(cluster->rig, i);
		int r = 0;

		if (node->active)
			r = agent_sync(cluster->agents[i], marker, node->npods, reterr);
		if (r == 0 && flush)
			r = agent_flush(cluster->agents[i], reterr);
		if (r < 0)
			return r;
	}
	if (flush)
		cluster->probes = 0;
	return 0;
}

int cluster_apply(struct cluster *cluster, const struct sim_case *c, struct err *reterr)
{
	const char *marker;
	int r;

	r = rig_set(cluster->rig, cluster->prober, c, reterr);
	if (r < 0 || !cluster->config->bulkheadd)
		return r;
	r = feed_apply(cluster->feed, c, RIG_DEFAULT_NODE, &marker, reterr);
	if (r == 0)
		r = start_agents(cluster, reterr);
	if (r == 0)
		r = sync_agents(cluster, marker, reterr);
	return r;
}

// ---- asking ---------------------------------------------------------------------------------------------------

struct batch {
	size_t n;
	struct probe *probes;
	size_t *index; // of the expectation that a probe is for
};

static int add_probe(struct cluster *cluster, const struct sim_case *c, size_t index, int family,
		     struct batch *batch, struct err *reterr)
{
	const struct case_expect *expect = &c->expects[index];
	struct probe *probe = &batch->probes[batch->n];
	int r;

	*probe = (struct probe){ .flow = { .port = expect->port, .proto = expect->protocol } };
	r = rig_end(cluster->rig, c, expect->from, family, &probe->from, &probe->flow.src, reterr);
	if (r == 0)
		r = rig_end(cluster->rig, c, expect->to, family, &probe->to, &probe->flow.dst,
			    reterr);
	if (r == 0)
		batch->index[batch->n++] = index;
	return r;
}

// A TCP connection needs its answer, too: the kernel of the destination sends a reset. A deny must be
// silence.
static struct verdict judge(const struct probe *probe)
{
	struct verdict verdict = { .asked = true, .allow = probe->delivered };

	if (probe->delivered && probe->flow.proto == PROTOCOL_TCP && !probe->answered) {
		verdict.allow = false;
		verdict.wrong = "it was delivered, but its answer was not";
	}
	if (!probe->delivered && probe->answered)
		verdict.wrong = "the deny was answered";
	return verdict;
}

// All expectations, or in the second turn those that should have passed and did not.
static int ask_turn(struct cluster *cluster, const struct sim_case *c, int family, bool second,
		    struct batch *batch, struct verdict *verdicts, struct err *reterr)
{
	int r = 0;

	batch->n = 0;
	for (size_t i = 0; r >= 0 && i < c->nexpects; i++) {
		bool missing = verdicts[i].asked && !verdicts[i].allow && c->expects[i].allow;

		if (!second || missing)
			r = add_probe(cluster, c, i, family, batch, reterr);
	}
	if (r >= 0)
		r = probe_run(cluster->prober, batch->probes, batch->n, reterr);
	if (r < 0)
		return r;
	cluster->probes += batch->n;
	for (size_t i = 0; i < batch->n; i++)
		verdicts[batch->index[i]] = judge(&batch->probes[i]);
	return 0;
}

int cluster_ask(struct cluster *cluster, const struct sim_case *c, int family,
		struct verdict *verdicts, struct err *reterr)
{
	_cleanup_free_ struct probe *probes = calloc(c->nexpects + 1, sizeof(*probes));
	_cleanup_free_ size_t *index = calloc(c->nexpects + 1, sizeof(*index));
	struct batch batch = { .probes = probes, .index = index };
	int r;

	if (!probes || !index)
		return err_set(reterr, -ENOMEM, "out of memory");
	r = ask_turn(cluster, c, family, /* second= */ false, &batch, verdicts, reterr);
	if (r == 0)
		r = ask_turn(cluster, c, family, /* second= */ true, &batch, verdicts, reterr);
	return r;
}
