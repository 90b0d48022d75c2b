// SPDX-License-Identifier: Apache-2.0
// rig.c - which nodes, pods and outside addresses there are, and which end is which.
#include "tests/conformance/rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/rig_private.h"
#include "tests/conformance/sandbox.h"

int rig_new(struct rig **ret, struct err *reterr)
{
	_cleanup_(rig_freep) struct rig *rig = calloc(1, sizeof(*rig));
	int r;

	if (!rig)
		return err_set(reterr, -ENOMEM, "out of memory");
	rig->netns = sandbox_here();
	rig->nl = netlink_open();
	if (rig->netns < 0 || rig->nl < 0)
		return err_set(reterr, -errno, "hub: %s", strerror(errno));
	probe_end_init(&rig->end, rig->netns);
	for (int family = 0; family < 2; family++) {
		rig->addrs[family] = wire_addr(family, WIRE_HUB, 0);
		r = netlink_addr_add(rig->nl, 1, &rig->addrs[family]);
		if (r < 0)
			return err_set(reterr, r, "hub: %s", strerror(-r));
	}
	*ret = TAKE_PTR(rig);
	return 0;
}

void rig_free(struct rig *rig)
{
	if (!rig)
		return;
	vec_each(struct rig_pod *, pod, &rig->pods)
		pod_free(*pod);
	vec_fini(&rig->pods);
	for (size_t i = 0; i < rig->nnodes; i++) {
		probe_end_fini(&rig->nodes[i].end);
		closep(&rig->nodes[i].nl);
		closep(&rig->nodes[i].netns);
	}
	vec_fini(&rig->outside);
	probe_end_fini(&rig->end);
	closep(&rig->nl);
	closep(&rig->netns);
	free(rig);
}

size_t rig_nodes(const struct rig *rig)
{
	return rig->nnodes;
}

struct rig_node *rig_node(struct rig *rig, size_t index)
{
	return &rig->nodes[index];
}

static struct rig_node *node_find(struct rig *rig, const char *name)
{
	for (size_t i = 0; i < rig->nnodes; i++)
		if (!strcmp(rig->nodes[i].name, name))
			return &rig->nodes[i];
	return NULL;
}

static int node_add(struct rig *rig, struct prober *prober, const char *name, struct err *reterr)
{
	unsigned id = (unsigned)rig->nnodes + 1;
	struct bh_addr addrs[2] = { wire_addr(0, WIRE_NODE, id), wire_addr(1, WIRE_NODE, id) };
	struct rig_node *node = &rig->nodes[rig->nnodes];
	int r;

	if (rig->nnodes == RIG_NODES_MAX)
		return err_set(reterr, -ENOSPC, "more than %d nodes", RIG_NODES_MAX);
	r = wire_node(rig, node, name, id, reterr);
	if (r < 0)
		return r;
	rig->nnodes++;
	return wire_try(rig, prober, &node->end, addrs, reterr);
}

static int node_get(struct rig *rig, struct prober *prober, const char *name, struct rig_node **ret,
		    struct err *reterr)
{
	struct rig_node *node = node_find(rig, name);
	int r;

	if (!node) {
		r = node_add(rig, prober, name, reterr);
		if (r < 0)
			return r;
		node = &rig->nodes[rig->nnodes - 1];
	}
	node->active = true;
	*ret = node;
	return 0;
}

// ---- one state --------------------------------------------------------------------------------------------------

static struct bh_addr addr_or_none(const char *text)
{
	struct bh_addr addr = { 0 };

	if (text)
		addr_parse(text, &addr);
	return addr;
}

static int set_nodes(struct rig *rig, struct prober *prober, const struct sim_case *c,
		     struct err *reterr)
{
	struct rig_node *node;
	int r = 0;

	for (size_t i = 0; i < rig->nnodes; i++)
		rig->nodes[i].active = false;
	for (size_t i = 0; r == 0 && i < c->npods; i++)
		r = node_get(rig, prober, c->pods[i].node ? c->pods[i].node : RIG_DEFAULT_NODE,
			     &node, reterr);
	for (size_t i = 0; r == 0 && i < c->nnodes; i++) {
		struct bh_addr addrs[2] = { addr_or_none(c->nodes[i].ipv4),
					    addr_or_none(c->nodes[i].ipv6) };

		r = node_get(rig, prober, c->nodes[i].name, &node, reterr);
		for (int family = 0; r == 0 && family < 2; family++)
			r = wire_node_addr(rig, node, family, &addrs[family], reterr);
	}
	return r;
}

static bool pod_is(const struct rig_pod *pod, const struct case_pod *want)
{
	struct bh_addr addr4 = addr_or_none(want->ipv4), addr6 = addr_or_none(want->ipv6);

	return !strcmp(pod->ns, want->ns) && !strcmp(pod->name, want->name) &&
	       !strcmp(pod->node->name, want->node ? want->node : RIG_DEFAULT_NODE) &&
	       bh_addr_equal(&pod->addrs[0], &addr4) && bh_addr_equal(&pod->addrs[1], &addr6);
}

static int drop_pods(struct rig *rig, const struct sim_case *c, struct err *reterr)
{
	for (size_t i = rig->pods.n; i-- > 0;) {
		struct rig_pod *pod = rig->pods.v[i];
		bool kept = false;
		int r;

		for (size_t j = 0; !kept && j < c->npods; j++)
			kept = pod_is(pod, &c->pods[j]);
		if (kept)
			continue;
		pod->node->npods--;
		r = unwire_pod(rig, pod, reterr);
		vec_drop(&rig->pods, i);
		pod_free(pod);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct rig_pod *pod_find(const struct rig *rig, const struct case_pod *want)
{
	vec_each(struct rig_pod *, pod, &rig->pods)
		if (pod_is(*pod, want))
			return *pod;
	return NULL;
}

static int add_pod(struct rig *rig, struct prober *prober, const struct case_pod *want,
		   struct err *reterr)
{
	struct rig_pod *pod;
	int r;

	if (pod_find(rig, want))
		return 0;
	pod = calloc(1, sizeof(*pod));
	if (!pod || vec_push(&rig->pods, pod) < 0) {
		free(pod);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	snprintf(pod->ns, sizeof(pod->ns), "%s", want->ns);
	snprintf(pod->name, sizeof(pod->name), "%s", want->name);
	pod->id = ++rig->next_pod;
	pod->netns = -1;
	probe_end_init(&pod->end, -1);
	pod->addrs[0] = addr_or_none(want->ipv4);
	pod->addrs[1] = addr_or_none(want->ipv6);
	pod->node = node_find(rig, want->node ? want->node : RIG_DEFAULT_NODE);
	pod->node->npods++;
	r = wire_pod(rig, pod, reterr);
	if (r == 0)
		r = wire_try(rig, prober, &pod->end, pod->addrs, reterr);
	if (r < 0)
		err_wrap(reterr, "pod %s/%s", want->ns, want->name);
	return r;
}

int rig_set(struct rig *rig, struct prober *prober, const struct sim_case *c, struct err *reterr)
{
	int r = set_nodes(rig, prober, c, reterr);

	if (r == 0)
		r = drop_pods(rig, c, reterr);
	for (size_t i = 0; r == 0 && i < c->npods; i++)
		r = add_pod(rig, prober, &c->pods[i], reterr);
	return r;
}

// ---- ends -------------------------------------------------------------------------------------------------------

static int end_outside(struct rig *rig, const char *text, int family, struct bh_addr *ret,
		       struct err *reterr)
{
	struct bh_addr addr;
	int r;

	if (addr_parse(text, &addr) < 0)
		return err_set(reterr, -EINVAL, "'%s' is no address", text);
	if (!!bh_addr_is4(&addr) == family)
		return 1;
	*ret = addr;
	vec_each(struct bh_addr, known, &rig->outside)
		if (bh_addr_equal(known, &addr))
			return 0;
	r = netlink_addr_add(rig->nl, 1, &addr);
	if (r < 0)
		return err_set(reterr, r, "address %s outside: %s", text, strerror(-r));
	return vec_push(&rig->outside, addr) < 0 ? err_set(reterr, -ENOMEM, "out of memory") : 0;
}

int rig_end(struct rig *rig, const struct sim_case *c, const char *text, int family,
	    struct probe_end **ret, struct bh_addr *retaddr, struct err *reterr)
{
	static const struct bh_addr none;
	const struct case_pod *want;
	struct rig_node *node;
	struct rig_pod *pod;

	if (!strncmp(text, "ip:", 3)) {
		*ret = &rig->end;
		return end_outside(rig, text + 3, family, retaddr, reterr);
	}
	if (!strncmp(text, "node:", 5)) {
		node = node_find(rig, text + 5);
		if (!node || !node->active)
			return err_set(reterr, -ENOENT, "no such node: %s", text);
		*ret = &node->end;
		*retaddr = node->addrs[family];
	} else {
		want = case_pod_find(c, text);
		pod = want ? pod_find(rig, want) : NULL;
		if (!pod)
			return err_set(reterr, -ENOENT, "no such pod: %s", text);
		*ret = &pod->end;
		*retaddr = pod->addrs[family];
	}
	return bh_addr_equal(retaddr, &none) ? 1 : 0;
}
