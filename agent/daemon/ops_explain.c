// SPDX-License-Identifier: Apache-2.0
// ops_explain.c - explain: what the kernel's tables say now about a new flow, for the ends on this node.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/daemon/json.h"

struct end {
	const struct pod *pod; // NULL: an address, or a node's
	uint32_t naddrs; // to choose from; addrs is borrowed from the pod or node
	const struct bh_addr *addrs;
	struct bh_addr addr;
};

struct question {
	struct daemon *daemon;
	struct end from, to;
	uint8_t proto;
	uint16_t port;
};

static const struct pod *pod_find(const struct daemon *daemon, const char *text)
{
	const char *slash = strchr(text, '/');
	_cleanup_free_ char *ns = NULL;

	if (!slash)
		return NULL;
	ns = strndup(text, (size_t)(slash - text));
	return ns ? (const struct pod *)store_find(daemon->store, KIND_POD, ns, slash + 1) : NULL;
}

static int end_node(const struct daemon *daemon, const char *field, const char *name, struct end *ret,
		    struct err *reterr)
{
	const struct node *node = (const struct node *)store_find(daemon->store, KIND_NODE, NULL, name);

	if (!node)
		return err_set(reterr, -ENOENT, "%s: no node '%s' was seen", field, name);
	ret->naddrs = node->naddrs;
	ret->addrs = node->addrs;
	return 0;
}

static int end_parse(const struct daemon *daemon, struct json_object *request, const char *field,
		     struct end *ret, struct err *reterr)
{
	const char *text;
	int r;

	r = control_string(request, field, &text, reterr);
	if (r < 0)
		return r;
	if (strncmp(text, "node:", 5) == 0)
		return end_node(daemon, field, text + 5, ret, reterr);
	ret->naddrs = 1;
	ret->addrs = &ret->addr;
	if (addr_parse(strncmp(text, "ip:", 3) == 0 ? text + 3 : text, &ret->addr) >= 0)
		return 0;
	ret->pod = pod_find(daemon, text);
	if (!ret->pod)
		return err_set(reterr, -ENOENT, "%s: '%s' is neither an address nor a pod that was seen",
			       field, text);
	if (!ret->pod->naddrs)
		return err_set(reterr, -ENOENT, "%s: pod '%s' has no address yet", field, text);
	ret->naddrs = ret->pod->naddrs;
	ret->addrs = ret->pod->addrs;
	return 0;
}

static bool pick(struct end *end, bool v4)
{
	for (uint32_t i = 0; i < end->naddrs; i++) {
		if (bh_addr_is4(&end->addrs[i]) != v4)
			continue;
		end->addr = end->addrs[i];
		return true;
	}
	return false;
}

static int question_parse(struct question *q, struct json_object *request, struct err *reterr)
{
	struct json_object *number = NULL, *family = NULL;
	const char *proto = "TCP";
	int r, only = 0;

	r = end_parse(q->daemon, request, "from", &q->from, reterr);
	if (r >= 0)
		r = end_parse(q->daemon, request, "to", &q->to, reterr);
	if (r >= 0 && json_object_object_get_ex(request, "protocol", NULL))
		r = control_string(request, "protocol", &proto, reterr);
	if (r < 0)
		return r;
	if (protocol_parse(proto, &q->proto) < 0)
		return err_set(reterr, -EINVAL, "protocol: '%s' is unknown", proto);
	if (json_object_object_get_ex(request, "port", &number)) {
		if (json_object_get_int64(number) < 0 || json_object_get_int64(number) > 65535)
			return err_set(reterr, -EINVAL, "port: not in 0..65535");
		q->port = (uint16_t)json_object_get_int64(number);
	}
	if (json_object_object_get_ex(request, "family", &family))
		only = json_object_get_int(family);
	if (only != 6 && pick(&q->from, true) && pick(&q->to, true))
		return 0;
	if (only != 4 && pick(&q->from, false) && pick(&q->to, false))
		return 0;
	return err_set(reterr, -EINVAL, "the two ends have no address of one family");
}

static bool is_node_addr(const struct daemon *daemon, enum bh_dir dir, const struct bh_addr *addr)
{
	const struct node *node = (const struct node *)store_find(daemon->store, KIND_NODE, NULL,
								  daemon->config->node);

	vec_each(const struct bh_addr, a, &daemon->host_addrs) {
		if (dir == BH_INGRESS && bh_addr_equal(a, addr))
			return true;
	}
	for (uint32_t i = 0; node && dir == BH_EGRESS && i < node->naddrs; i++) {
		if (bh_addr_equal(&node->addrs[i], addr))
			return true;
	}
	return false;
}

static void side_unjudged(struct json_object *json, const char *why)
{
	add_text(json, "verdict", "unjudged");
	add_text(json, "policy", NULL);
	json_object_object_add(json, "rule", NULL);
	add_text(json, "reason", "unjudged");
	add_text(json, "text", why);
}

static void side_judged(struct json_object *json, const struct question *q, uint32_t rule,
			enum bh_reason reason)
{
	struct json_object *text = rule_json(q->daemon->policy, rule), *field;

	add_text(json, "verdict", reason < BH_REASON_DROP ? "allow" : "deny");
	json_object_object_get_ex(text, "policy", &field);
	json_object_object_add(json, "policy", json_object_get(field));
	json_object_object_get_ex(text, "policies", &field);
	json_object_object_add(json, "policies", json_object_get(field));
	json_object_object_get_ex(text, "text", &field);
	json_object_object_add(json, "text", json_object_get(field));
	json_object_object_add(json, "rule", text);
	add_text(json, "reason", reason_name(reason));
	add_text(json, "why", reason_text(reason));
}

// What the policies in audit mode would make of it, were they enforced; where that is the same, nothing.
static void side_audit(struct json_object *json, const struct question *q, const struct bh_judgement *judgement)
{
	struct json_object *audit;

	if (judgement->shadow == judgement->verdict)
		return;
	audit = add_object(json, "audit");
	add_text(audit, "verdict", BH_CELL_VERDICT(judgement->shadow) == BH_VERDICT_ALLOW ? "allow" : "deny");
	json_object_object_add(audit, "rule", rule_json(q->daemon->policy, BH_CELL_RULE(judgement->shadow)));
}

// ---- Services -------------------------------------------------------------------------------------------

struct backends {
	const struct question *q;
	struct json_object *list;
	uint32_t n, allowed;
};

static void backend_judged(void *arg, const struct bh_addr *addr, uint16_t port,
			   enum bh_reason reason, const struct bh_judgement *judgement)
{
	struct json_object *json = json_object_new_object();
	struct backends *backends = arg;
	char text[64];

	add_text(json, "address", addr_format(addr, text, sizeof(text)));
	add_number(json, "port", port);
	side_judged(json, backends->q, BH_CELL_RULE(judgement->verdict), reason);
	json_object_array_add(backends->list, json);
	backends->n++;
	backends->allowed += reason < BH_REASON_DROP;
}

// A Service is judged on its backends: allowed only if whichever is chosen is.
static bool judge_service(struct json_object *json, const struct question *q, uint32_t slot)
{
	bool as_node = is_node_addr(q->daemon, BH_EGRESS, &q->to.addr);
	struct backends backends = { .q = q };
	struct policy_service service;
	struct json_object *named;

	if (!policy_service_find(q->daemon->policy, &q->to.addr, q->proto, q->port, as_node, &service))
		return true;
	named = add_object(json, "service");
	add_text(named, "kind", object_kind(service.kind)->name);
	add_text(named, "namespace", service.ns);
	add_text(named, "name", service.name);
	add_text(named, "port", service.port);
	backends.list = json_object_new_array();
	policy_backend_each(q->daemon->policy, slot, &q->to.addr, q->proto, q->port, as_node,
			    backend_judged, &backends);
	json_object_object_add(json, "mixed",
			       json_object_new_boolean(backends.allowed && backends.allowed < backends.n));
	json_object_object_add(json, "backends", backends.list);
	return backends.allowed == backends.n;
}

// Answers for one end and returns whether it lets the flow pass.
static bool judge(struct json_object *json, const struct question *q, enum bh_dir dir)
{
	const struct end *own = dir == BH_EGRESS ? &q->from : &q->to;
	const struct end *remote = dir == BH_EGRESS ? &q->to : &q->from;
	struct tables_answer answer = { 0 };
	const struct endpoint *e = NULL;
	enum bh_reason reason;

	if (own->pod)
		e = endpoints_find(q->daemon->endpoints, own->pod->object.ns, own->pod->object.name);
	if (!e || e->phase != ENDPOINT_ATTACHED) {
		side_unjudged(json, !own->pod ? "no pod: nothing to judge" :
				    e	      ? "this pod of this node is not enforced (see endpoint get)" :
						"not a pod of this node: its own node judges");
		return true;
	}
	if (strcmp(endpoint_state(q->daemon, e), "open") == 0) {
		side_judged(json, q, BH_RULE_NONE, BH_REASON_OPEN);
		return true;
	}
	reason = tables_ask(q->daemon->tables, e->slot, dir, &remote->addr, q->proto, q->port, &answer);
	if (reason == BH_REASON_POLICY_DENIED && is_node_addr(q->daemon, dir, &remote->addr) &&
	    BH_CELL_VERDICT(answer.judgement.verdict) == BH_VERDICT_DENY)
		reason = BH_REASON_OWN_NODE;
	side_judged(json, q, BH_CELL_RULE(answer.judgement.verdict), reason);
	side_audit(json, q, &answer.judgement);
	add_number(json, "matrix", answer.policy);
	add_number(json, "generation", answer.judgement.gen);
	add_number(json, "peer_class", answer.cls);
	add_number(json, "port_class", answer.pcls);
	if (answer.service && !judge_service(json, q, e->slot)) {
		add_text(json, "verdict", "deny");
		return false;
	}
	return reason < BH_REASON_DROP;
}

int op_explain(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct question q = { .daemon = arg };
	struct json_object *json, *side;
	bool allow = true;
	int r;

	r = question_parse(&q, request, reterr);
	if (r < 0)
		return r;
	json = json_object_new_object();
	if (q.from.pod && q.from.pod == q.to.pod) {
		add_text(json, "verdict", "allow");
		for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++)
			side_unjudged(add_object(json, dir_name(dir)),
				      "a pod's traffic to itself never leaves it");
		*ret = json;
		return 0;
	}
	json_object_object_add(json, "verdict", NULL); // keeps its place in front
	side = add_object(json, "egress");
	allow &= judge(side, &q, BH_EGRESS);
	side = add_object(json, "ingress");
	allow &= judge(side, &q, BH_INGRESS);
	json_object_object_add(json, "verdict", json_object_new_string(allow ? "allow" : "deny"));
	*ret = json;
	return 0;
}
