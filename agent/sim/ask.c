// SPDX-License-Identifier: Apache-2.0
// ask.c - the ends of a question, and what judges it at each.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/vec.h"
#include "agent/sim/sim_private.h"

// ---- ends --------------------------------------------------------------------------------------

struct address_search {
	const struct bh_addr *addr;
	struct sim_end *end;
};

static int pod_has_address(void *arg, const struct object *object)
{
	const struct address_search *search = arg;
	const struct pod *pod = (const struct pod *)object;

	if (pod->host_network || pod->finished)
		return 0;
	for (uint32_t i = 0; i < pod->naddrs; i++) {
		if (bh_addr_equal(&pod->addrs[i], search->addr)) {
			search->end->pod = pod;
			return 1;
		}
	}
	return 0;
}

static int node_has_address(void *arg, const struct object *object)
{
	const struct address_search *search = arg;
	const struct node *node = (const struct node *)object;

	for (uint32_t i = 0; i < node->naddrs; i++) {
		if (bh_addr_equal(&node->addrs[i], search->addr)) {
			search->end->node = node;
			return 1;
		}
	}
	return 0;
}

static void find_owner(const struct sim *sim, struct sim_end *end)
{
	struct address_search search = { &end->addr, end };

	if (!store_each(sim_store(sim), KIND_POD, NULL, pod_has_address, &search))
		store_each(sim_store(sim), KIND_NODE, NULL, node_has_address, &search);
}

static const struct object *find(const struct sim *sim, enum kind kind, const char *ns,
				 const char *name)
{
	return store_find(sim_store(sim), kind, ns, name);
}

static int parse_node(const struct sim *sim, const char *name, struct sim_end *end,
		      struct err *reterr)
{
	end->node = (const struct node *)find(sim, KIND_NODE, NULL, name);
	if (!end->node)
		return err_set(reterr, -ENOENT, "there is no node '%s'", name);
	return 0;
}

static int parse_pod(const struct sim *sim, const char *text, const char *slash,
		     struct sim_end *end, struct err *reterr)
{
	const struct pod *pod;
	char ns[256];

	if (slash == text || !slash[1] || (size_t)(slash - text) >= sizeof(ns))
		return err_set(reterr, -EINVAL, "'%s' is no NS/POD", text);
	snprintf(ns, sizeof(ns), "%.*s", (int)(slash - text), text);
	pod = (const struct pod *)find(sim, KIND_POD, ns, slash + 1);
	if (!pod)
		return err_set(reterr, -ENOENT, "there is no pod '%s'", text);
	if (pod->finished)
		return err_set(reterr, -EADDRNOTAVAIL, "pod '%s' has finished and has no traffic",
			       text);
	if (!pod->host_network) {
		end->pod = pod;
		return 0;
	}
	// A pod on its node's network is that node.
	if (pod->node)
		end->node = (const struct node *)find(sim, KIND_NODE, NULL, pod->node);
	if (pod->naddrs)
		end->addr = pod->addrs[0];
	if (!end->node && !pod->naddrs)
		return err_set(reterr, -EADDRNOTAVAIL,
			       "pod '%s' is on its node's network and its node is not known", text);
	if (end->node)
		memset(&end->addr, 0, sizeof(end->addr));
	return 0;
}

int sim_end_parse(const struct sim *sim, const char *text, struct sim_end *ret, struct err *reterr)
{
	const char *slash = strchr(text, '/');
	struct sim_end end = { 0 };
	int r = 0;

	assert(sim);
	assert(ret);

	snprintf(end.text, sizeof(end.text), "%s", text);
	if (!strncmp(text, "node:", 5))
		r = parse_node(sim, text + 5, &end, reterr);
	else if (!strncmp(text, "ip:", 3))
		r = addr_parse(text + 3, &end.addr) < 0 ?
			    err_set(reterr, -EINVAL, "'%s' is no address", text + 3) :
			    0;
	else if (slash)
		r = parse_pod(sim, text, slash, &end, reterr);
	else if (addr_parse(text, &end.addr) == 0)
		find_owner(sim, &end);
	else
		r = err_set(reterr, -EINVAL, "'%s' is neither NS/POD nor an address nor node:NAME",
			    text);
	if (r < 0)
		return r;
	*ret = end;
	return 0;
}

// ---- addresses ---------------------------------------------------------------------------------

static bool is_family(const struct bh_addr *addr, int family)
{
	return !!bh_addr_is4(addr) == (family == 4);
}

static bool is_zero(const struct bh_addr *addr)
{
	return !(addr->w[0] | addr->w[1] | addr->w[2] | addr->w[3]);
}

static bool end_address(const struct sim_end *end, int family, struct bh_addr *ret)
{
	const struct bh_addr *addrs = end->pod ? end->pod->addrs : NULL;
	uint32_t n = end->pod ? end->pod->naddrs : 0;

	if (end->node) {
		addrs = end->node->addrs;
		n = end->node->naddrs;
	}
	if (!is_zero(&end->addr) || (!end->pod && !end->node)) {
		addrs = &end->addr;
		n = 1;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (is_family(&addrs[i], family)) {
			*ret = addrs[i];
			return true;
		}
	}
	return false;
}

static int pick_family(const struct sim_end *from, const struct sim_end *to, int family,
		       struct bh_addr addrs[2], struct err *reterr)
{
	static const int families[] = { 4, 6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if (family && family != families[i])
			continue;
		if (end_address(from, families[i], &addrs[0]) &&
		    end_address(to, families[i], &addrs[1]))
			return families[i];
	}
	if (!family)
		return err_set(reterr, -EADDRNOTAVAIL, "'%s' and '%s' share no address family",
			       from->text, to->text);
	return err_set(reterr, -EADDRNOTAVAIL, "'%s' has no IPv%d address",
		       end_address(from, family, &addrs[0]) ? to->text : from->text, family);
}

// ---- asking ------------------------------------------------------------------------------------

static bool own_node(const struct pod *pod, const struct sim_end *other)
{
	// Names are interned.
	return other->node && pod->node == other->node->object.name;
}

static int judge(struct sim *sim, enum bh_dir dir, const struct sim_end *end,
		 const struct sim_end *other, const struct bh_addr *remote, uint8_t proto,
		 uint16_t port, struct sim_side *ret)
{
	int slot;

	if (!end->pod)
		return 0;
	slot = sim_slot(sim, end->pod);
	if (slot < 0)
		return slot;
	ret->judged = true;
	ret->reason = policy_eval(sim_policy(sim), (uint32_t)slot, dir, remote, proto, port,
				  own_node(end->pod, other), &ret->judgement);
	return 0;
}

static bool passes(const struct sim_side *side)
{
	return !side->judged || side->reason < BH_REASON_DROP;
}

// The second pod may have got the first one's seat, then the first gets another.
static int enroll(struct sim *sim, const struct pod *from, const struct pod *to)
{
	const struct pod *const pods[] = { from, to, from };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pods); i++)
		r = pods[i] ? sim_enroll(sim, pods[i]) : 0;
	return r;
}

// ---- Services -----------------------------------------------------------------------------------

typedef VEC(struct sim_backend) backend_list;

static void add_backend(void *arg, const struct bh_addr *addr, uint16_t port, enum bh_reason reason,
			const struct bh_judgement *judgement)
{
	backend_list *list = arg;
	struct sim_backend backend = {
		.addr = *addr,
		.port = port,
		.side[BH_EGRESS] = { true, reason, *judgement },
	};

	if (vec_push(list, backend) < 0)
		abort();
}

// Its own policy judges it as well. A pod that is its own backend is kept from nothing.
static int judge_backend(struct sim *sim, const struct sim_end *from, const struct bh_addr *source,
			 uint8_t proto, struct sim_backend *backend)
{
	struct sim_end end = { .addr = backend->addr };
	int r = 0;

	find_owner(sim, &end);
	backend->pod = end.pod;
	if (end.pod && end.pod != from->pod) {
		r = enroll(sim, from->pod, end.pod);
		if (r == 0)
			r = sim_compile(sim);
		if (r == 0)
			r = judge(sim, BH_INGRESS, &end, from, source, proto, backend->port,
				  &backend->side[BH_INGRESS]);
	}
	backend->allow = passes(&backend->side[BH_EGRESS]) && passes(&backend->side[BH_INGRESS]);
	return r;
}

static int judge_service(struct sim *sim, const struct sim_end *from, const struct sim_end *to,
			 const struct bh_addr addrs[2], uint8_t proto, uint16_t port,
			 struct sim_answer *answer)
{
	bool as_node = own_node(from->pod, to);
	backend_list list = { 0 };
	uint32_t allowed = 0;
	int r = 0;

	answer->is_service = policy_service_find(sim_policy(sim), &addrs[1], proto, port, as_node,
						 &answer->service);
	if (!answer->is_service)
		return 0;
	policy_backend_each(sim_policy(sim), (uint32_t)sim_slot(sim, from->pod), &addrs[1], proto,
			    port, as_node, add_backend, &list);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		r = judge_backend(sim, from, &addrs[0], proto, &list.v[i]);
		allowed += list.v[i].allow;
	}
	answer->nbackends = (uint32_t)list.n;
	answer->backends = list.v;
	answer->mixed = allowed && allowed < list.n;
	answer->allow = allowed == list.n && (list.n || answer->allow);
	return r;
}

void sim_answer_fini(struct sim_answer *answer)
{
	free(answer->backends);
	answer->backends = NULL;
	answer->nbackends = 0;
}

int sim_ask(struct sim *sim, const struct sim_end *from, const struct sim_end *to, uint8_t proto,
	    uint16_t port, int family, struct sim_answer *ret, struct err *reterr)
{
	struct sim_answer answer = { 0 };
	struct bh_addr addrs[2];
	int r;

	assert(from);
	assert(to);
	assert(ret);

	r = sim_view(sim, from->pod);
	if (r == 0)
		r = enroll(sim, from->pod, to->pod);
	if (r == 0)
		r = sim_compile(sim);
	if (r < 0)
		return err_set(reterr, r, "cannot compile the policies: %s", strerror(-r));
	r = pick_family(from, to, family, addrs, reterr);
	if (r < 0)
		return r;
	answer.family = r;
	answer.loopback = from->pod && from->pod == to->pod;
	if (!answer.loopback) {
		r = judge(sim, BH_EGRESS, from, to, &addrs[1], proto, port,
			  &answer.side[BH_EGRESS]);
		if (r == 0)
			r = judge(sim, BH_INGRESS, to, from, &addrs[0], proto, port,
				  &answer.side[BH_INGRESS]);
		if (r < 0)
			return err_set(reterr, r, "cannot judge: %s", strerror(-r));
	}
	answer.allow = passes(&answer.side[BH_EGRESS]) && passes(&answer.side[BH_INGRESS]);
	if (from->pod && !answer.loopback)
		r = judge_service(sim, from, to, addrs, proto, port, &answer);
	*ret = answer;
	return r < 0 ? err_set(reterr, r, "cannot judge: %s", strerror(-r)) : 0;
}
