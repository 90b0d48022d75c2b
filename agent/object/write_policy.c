// SPDX-License-Identifier: Apache-2.0
// write_policy.c - policies as manifests. What was made of rules that cannot be enforced as written is written so that its
// reading makes the same of it: a peer that nobody knows, or a value where an object should be.
#include <bulkhead/abi.h>

#include "agent/object/kind.h"
#include "agent/object/write_private.h"

static const char *const lists[BH_DIR_MAX] = { [BH_INGRESS] = "ingress", [BH_EGRESS] = "egress" };
static const char *const peers[BH_DIR_MAX] = { [BH_INGRESS] = "from", [BH_EGRESS] = "to" };

// ---- NetworkPolicy ---------------------------------------------------------------------------------

static void write_peer(struct jsonw *w, const struct peer *peer)
{
	jsonw_open(w, NULL, '{');
	if (peer->kind == PEER_CIDR) {
		jsonw_open(w, "ipBlock", '{');
		write_cidr(w, "cidr", &peer->cidr);
		if (peer->nexcepts)
			jsonw_open(w, "except", '[');
		for (uint32_t i = 0; i < peer->nexcepts; i++)
			write_cidr(w, NULL, &peer->excepts[i]);
		if (peer->nexcepts)
			jsonw_close(w, ']');
		jsonw_close(w, '}');
	} else {
		if (!peer->own_namespace)
			write_selector(w, "namespaceSelector", &peer->namespaces);
		if (peer->own_namespace || peer->pods.nterms)
			write_selector(w, "podSelector", &peer->pods);
	}
	jsonw_close(w, '}');
}

static void write_port(struct jsonw *w, const struct port *port)
{
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "protocol", protocol_name(port->protocol));
	if (port->name)
		jsonw_text(w, "port", port->name);
	else if (port->lo)
		jsonw_number(w, "port", port->lo);
	if (port->lo != port->hi)
		jsonw_number(w, "endPort", port->hi);
	jsonw_close(w, '}');
}

static void write_rule(struct jsonw *w, const struct rule *rule, enum bh_dir dir)
{
	jsonw_open(w, NULL, '{');
	if (rule->npeers)
		jsonw_open(w, peers[dir], '[');
	for (uint32_t i = 0; i < rule->npeers; i++)
		write_peer(w, &rule->peers[i]);
	if (rule->npeers)
		jsonw_close(w, ']');
	if (rule->nports)
		jsonw_open(w, "ports", '[');
	for (uint32_t i = 0; i < rule->nports; i++)
		write_port(w, &rule->ports[i]);
	if (rule->nports)
		jsonw_close(w, ']');
	jsonw_close(w, '}');
}

void write_netpol(struct jsonw *w, const struct object *object)
{
	const struct netpol *policy = (const struct netpol *)object;

	jsonw_open(w, "spec", '{');
	write_selector(w, "podSelector", &policy->pods);
	jsonw_open(w, "policyTypes", '[');
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		if (policy->isolates[dir])
			jsonw_text(w, NULL, dir == BH_EGRESS ? "Egress" : "Ingress");
	jsonw_close(w, ']');
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		const struct rules *rules = &policy->rules[dir];

		if (!rules->n)
			continue;
		jsonw_open(w, lists[dir], '[');
		for (uint32_t i = 0; i < rules->n; i++)
			write_rule(w, &rules->v[i], (enum bh_dir)dir);
		jsonw_close(w, ']');
	}
	jsonw_close(w, '}');
}

// ---- ClusterNetworkPolicy ----------------------------------------------------------------------------

static void write_pods(struct jsonw *w, const char *key, const struct selector *namespaces,
		       const struct selector *pods)
{
	jsonw_open(w, key, '{');
	jsonw_open(w, "pods", '{');
	write_selector(w, "namespaceSelector", namespaces);
	write_selector(w, "podSelector", pods);
	jsonw_close(w, '}');
	jsonw_close(w, '}');
}

// Blocks that stand together are one peer, of as many as one may have. Returns how many peers were written.
static uint32_t write_networks(struct jsonw *w, const struct rule *rule, uint32_t first)
{
	uint32_t i = first;

	jsonw_open(w, NULL, '{');
	jsonw_open(w, "networks", '[');
	for (; i < rule->npeers && rule->peers[i].kind == PEER_CIDR && i - first < CNP_MAX_NETWORKS; i++)
		write_cidr(w, NULL, &rule->peers[i].cidr);
	jsonw_close(w, ']');
	jsonw_close(w, '}');
	return i - first;
}

// A peer of an unknown kind closes the rule whole; domain names match nothing by themselves.
static void write_closed(struct jsonw *w, const struct rule *rule, const struct peer *peer, enum bh_dir dir)
{
	if (peer->kind == PEER_ANY && (rule->npeers > 1 || !rule->any_port)) {
		jsonw_bool(w, NULL, false);
		return;
	}
	jsonw_open(w, NULL, '{');
	if (peer->kind == PEER_NONE && dir == BH_EGRESS) {
		jsonw_open(w, "domainNames", '[');
		jsonw_text(w, NULL, "nobody.invalid");
		jsonw_close(w, ']');
	} else {
		jsonw_open(w, "unknown", '{');
		jsonw_close(w, '}');
	}
	jsonw_close(w, '}');
}

static void write_peers(struct jsonw *w, const struct rule *rule, enum bh_dir dir)
{
	jsonw_open(w, peers[dir], '[');
	for (uint32_t i = 0; i < rule->npeers;) {
		const struct peer *peer = &rule->peers[i];

		if (peer->kind == PEER_CIDR) {
			i += write_networks(w, rule, i);
			continue;
		}
		i++;
		if (peer->kind == PEER_PODS) {
			write_pods(w, NULL, &peer->namespaces, &peer->pods);
		} else if (peer->kind == PEER_NODES) {
			jsonw_open(w, NULL, '{');
			write_selector(w, "nodes", &peer->nodes);
			jsonw_close(w, '}');
		} else {
			write_closed(w, rule, peer, dir);
		}
	}
	jsonw_close(w, ']');
}

static void write_destination(struct jsonw *w, const struct port *port)
{
	jsonw_open(w, "destinationPort", '{');
	if (port->lo == port->hi) {
		jsonw_number(w, "number", port->lo);
	} else {
		jsonw_open(w, "range", '{');
		jsonw_number(w, "start", port->lo);
		jsonw_number(w, "end", port->hi);
		jsonw_close(w, '}');
	}
	jsonw_close(w, '}');
}

static void write_protocol(struct jsonw *w, const struct port *port)
{
	const char *name = port->protocol == PROTOCOL_TCP ? "tcp" : port->protocol == PROTOCOL_UDP ? "udp" : "sctp";

	jsonw_open(w, NULL, '{');
	if (port->name) {
		jsonw_text(w, "destinationNamedPort", port->name);
	} else if (!port->lo) { // its port could not be read: all of them
		jsonw_bool(w, name, false);
	} else {
		jsonw_open(w, name, '{');
		write_destination(w, port);
		jsonw_close(w, '}');
	}
	jsonw_close(w, '}');
}

static void write_clusterrule(struct jsonw *w, const struct rule *rule, enum bh_dir dir)
{
	static const char *const actions[] = {
		[ACTION_ACCEPT] = "Accept",
		[ACTION_DENY] = "Deny",
		[ACTION_PASS] = "Pass",
	};

	jsonw_open(w, NULL, '{');
	jsonw_text(w, "name", rule->name);
	jsonw_text(w, "action", actions[rule->action]);
	write_peers(w, rule, dir);
	if (!rule->any_port) {
		jsonw_open(w, "protocols", '[');
		for (uint32_t i = 0; i < rule->nports; i++)
			write_protocol(w, &rule->ports[i]);
		jsonw_close(w, ']');
	}
	jsonw_close(w, '}');
}

static void write_clusterrules(struct jsonw *w, const struct rules *rules, enum bh_dir dir)
{
	if (!rules->n)
		return;
	if (rules->v[0].any_peer) { // the list could not be read: nothing passes
		jsonw_bool(w, lists[dir], false);
		return;
	}
	jsonw_open(w, lists[dir], '[');
	for (uint32_t i = 0; i < rules->n; i++)
		write_clusterrule(w, &rules->v[i], dir);
	jsonw_close(w, ']');
}

void write_clusternetpol(struct jsonw *w, const struct object *object)
{
	const struct clusternetpol *policy = (const struct clusternetpol *)object;

	jsonw_open(w, "spec", '{');
	jsonw_text(w, "tier", policy->tier == TIER_ADMIN ? "Admin" : "Baseline");
	jsonw_number(w, "priority", (uint64_t)policy->priority);
	write_pods(w, "subject", &policy->namespaces, &policy->pods);
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		write_clusterrules(w, &policy->rules[dir], (enum bh_dir)dir);
	jsonw_close(w, '}');
}
