// SPDX-License-Identifier: Apache-2.0
// clusterrule.c - one rule of a ClusterNetworkPolicy: action, peers, protocols.
#include "agent/object/clusterrule.h"

#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"
#include "agent/object/names.h"

#define NETWORK_TEXT_MAX 43

static const struct direction {
	const char *peers;
	const char *rule_fields[5];
} directions[BH_DIR_MAX] = {
	[BH_INGRESS] = { "from", { "name", "action", "from", "protocols", NULL } },
	[BH_EGRESS] = { "to", { "name", "action", "to", "protocols", NULL } },
};

// A rule while it is read.
struct reading {
	struct trouble *trouble;
	enum bh_dir dir;
	struct rule *rule;
	peer_vec peers;
	port_vec ports;
	bool no_pods; // a peer has no named ports
	bool named; // a port is named
	bool unknown; // a peer is of an unknown kind
};

static int add_peer(struct reading *reading, const struct peer *peer)
{
	return vec_push(&reading->peers, *peer);
}

// A peer that does not say whom it means.
static int add_closed(struct reading *reading)
{
	bool accept = reading->rule->action == ACTION_ACCEPT;
	struct peer peer = { .kind = accept ? PEER_NONE : PEER_ANY };

	return add_peer(reading, &peer);
}

static int read_selectors(struct reading *reading, const struct at *at, const char *field)
{
	struct peer peer = { .kind = PEER_PODS };
	int r;

	if (!strcmp(field, "pods")) {
		r = cluster_pods_read(at, &peer.namespaces, &peer.pods,
				      trouble_refused(reading->trouble));
	} else if (!strcmp(field, "nodes")) {
		peer.kind = PEER_NODES;
		reading->no_pods = true;
		r = selector_read(at, &peer.nodes, trouble_refused(reading->trouble));
	} else {
		r = selector_read(at, &peer.namespaces, trouble_refused(reading->trouble));
	}
	if (r >= 0)
		r = add_peer(reading, &peer);
	if (r >= 0)
		return 0;
	peer_fini(&peer);
	return r == -EBADMSG ? add_closed(reading) : r;
}

static int read_network(struct reading *reading, const struct at *at)
{
	struct err *refused = trouble_refused(reading->trouble);
	struct peer peer = { .kind = PEER_CIDR };
	const char *text = "";

	if (at_string(at, &text, refused) < 0)
		return add_closed(reading);
	if (strlen(text) > NETWORK_TEXT_MAX || cidr_parse(text, &peer.cidr) < 0) {
		at_fail(at, refused, "\"%.80s\" is no CIDR", text);
		return add_closed(reading);
	}
	return add_peer(reading, &peer);
}

static int read_networks(struct reading *reading, const struct at *list)
{
	struct err *refused = trouble_refused(reading->trouble);
	uint32_t n = 0;
	int r = at_list(list, CNP_MAX_NETWORKS, &n, refused);

	reading->no_pods = true;
	if (r < 0)
		return add_closed(reading);
	if (!n) {
		at_fail(list, refused, "must not be empty");
		return add_closed(reading);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);

		r = read_network(reading, &item);
		if (r < 0)
			return r;
	}
	return 0;
}

// Names are not resolved: an Accept rule accepts nothing by them; the API wants them in no other
// rule.
static int read_domains(struct reading *reading, const struct at *list)
{
	struct err *refused = trouble_refused(reading->trouble);
	uint32_t n = 0;

	reading->no_pods = true;
	if (at_list(list, CNP_MAX_DOMAINS, &n, refused) >= 0 && !n)
		at_fail(list, refused, "must not be empty");
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);
		const char *text = "", *wrong;

		if (at_string(&item, &text, refused) < 0)
			break;
		wrong = name_check_domain(text);
		if (wrong) {
			at_fail(&item, refused, "\"%.80s\" %s", text, wrong);
			break;
		}
	}
	if (reading->rule->action != ACTION_ACCEPT) {
		at_fail(list, trouble_unknown(reading->trouble),
			"domain names are for Accept rules only: the rule denies everything");
		reading->unknown = true;
		return 0;
	}
	at_fail(list, trouble_unknown(reading->trouble),
		"domain names are not supported: they match nothing");
	return add_closed(reading);
}

static int read_unknown(struct reading *reading, const struct at *at)
{
	at_fail(at, trouble_unknown(reading->trouble),
		reading->rule->action == ACTION_ACCEPT ?
			"is a peer of an unknown kind: the rule accepts nothing" :
			"is a peer of an unknown kind: the rule denies everything");
	reading->unknown = true;
	return 0;
}

static int read_peer(struct reading *reading, const struct at *at)
{
	struct at namespaces = at_field(at, "namespaces"), pods = at_field(at, "pods");
	struct at networks = at_field(at, "networks"), nodes = at_field(at, "nodes");
	struct at domains = at_field(at, "domainNames");
	struct err *refused = trouble_refused(reading->trouble);

	if (at_object(at, refused) < 0)
		return add_closed(reading);
	if (at->json && json_object_object_length(at->json) > 1) {
		at_fail(at, refused, "must be exactly one kind of peer");
		return add_closed(reading);
	}
	if (namespaces.json)
		return read_selectors(reading, &namespaces, "namespaces");
	if (pods.json)
		return read_selectors(reading, &pods, "pods");
	if (reading->dir == BH_EGRESS && networks.json)
		return read_networks(reading, &networks);
	if (reading->dir == BH_EGRESS && nodes.json)
		return read_selectors(reading, &nodes, "nodes");
	if (reading->dir == BH_EGRESS && domains.json)
		return read_domains(reading, &domains);
	return read_unknown(reading, at);
}

static int read_peers(struct reading *reading, const struct at *list)
{
	struct err *refused = trouble_refused(reading->trouble);
	uint32_t n = 0;
	int r = at_list(list, CNP_MAX_PEERS, &n, refused);

	if (r < 0)
		return add_closed(reading);
	if (!n) {
		at_fail(list, refused, r ? "must not be empty" : "is missing");
		return add_closed(reading);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);

		r = read_peer(reading, &item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_named(struct reading *reading, const struct at *at, struct port *port)
{
	int r = at_intern(at, &port->name, trouble_refused(reading->trouble));

	reading->named = true;
	if (r > 0 && !*port->name) {
		intern_put(TAKE_PTR(port->name));
		r = at_fail(at, trouble_refused(reading->trouble), "must not be empty");
	}
	return r;
}

// -EBADMSG: not even the protocol is known.
static int read_port(struct reading *reading, const struct at *at, struct port *port)
{
	static const struct {
		const char *field;
		uint8_t protocol;
	} protocols[] = { { "tcp", PROTOCOL_TCP },
			  { "udp", PROTOCOL_UDP },
			  { "sctp", PROTOCOL_SCTP } };
	struct err *refused = trouble_refused(reading->trouble);
	struct at named = at_field(at, "destinationNamedPort");
	int r = at_object(at, refused);

	if (r < 0)
		return r;
	if (!r || json_object_object_length(at->json) != 1)
		return at_fail(at, refused, "must be exactly one protocol");
	if (named.json)
		return read_named(reading, &named, port);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		struct at protocol = at_field(at, protocols[i].field);

		if (!protocol.json)
			continue;
		port->protocol = protocols[i].protocol;
		cluster_port_read(&protocol, port, refused);
		return 0;
	}
	return at_fail(at, refused, "is none of tcp, udp, sctp, destinationNamedPort");
}

// Every port: then none needs to be named.
static void forget_ports(struct reading *reading)
{
	vec_each(struct port, port, &reading->ports)
		intern_put(port->name);
	vec_clear(&reading->ports);
}

static int read_ports(struct reading *reading, const struct at *list)
{
	struct err *refused = trouble_refused(reading->trouble);
	uint32_t n = 0;
	int r = at_list(list, CNP_MAX_PROTOCOLS, &n, refused);

	reading->rule->any_port = r <= 0 || !n;
	if (r > 0 && !n)
		at_fail(list, refused, "must not be empty");
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);
		struct port port = { 0 };

		r = read_port(reading, &item, &port);
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			reading->rule->any_port = true;
			continue;
		}
		if (vec_push(&reading->ports, port) < 0) {
			intern_put(port.name);
			return -ENOMEM;
		}
	}
	if (reading->rule->any_port)
		forget_ports(reading);
	return 0;
}

static int read_action(struct reading *reading, const struct at *at)
{
	static const char *const actions[] = {
		[ACTION_ACCEPT] = "Accept",
		[ACTION_DENY] = "Deny",
		[ACTION_PASS] = "Pass",
	};
	struct err *refused = trouble_refused(reading->trouble);
	const char *text = NULL;
	int r = at_string(at, &text, refused);

	reading->rule->action = ACTION_DENY;
	if (r < 0)
		return r;
	if (!text)
		return at_fail(at, refused, "is missing");
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (!strcmp(actions[i], text)) {
			reading->rule->action = (enum action)i;
			return 0;
		}
	}
	return at_fail(at, refused, "\"%.80s\" is none of Accept, Deny, Pass", text);
}

static int read_name(struct reading *reading, const struct at *at)
{
	struct err *refused = trouble_refused(reading->trouble);
	int r = at_intern(at, &reading->rule->name, refused);

	if (r > 0 && strlen(reading->rule->name) > CNP_MAX_NAME)
		at_fail(at, refused, "is longer than %d characters", CNP_MAX_NAME);
	return r == -ENOMEM ? r : 0;
}

static int read_parts(struct reading *reading, const struct at *at)
{
	const struct direction *direction = &directions[reading->dir];
	struct at name = at_field(at, "name");
	struct at action = at_field(at, "action");
	struct at peers = at_field(at, direction->peers);
	struct at protocols = at_field(at, "protocols");
	int r;

	at_only(at, direction->rule_fields, trouble_refused(reading->trouble));
	read_action(reading, &action);
	r = read_name(reading, &name);
	if (r >= 0)
		r = read_peers(reading, &peers);
	if (r >= 0)
		r = read_ports(reading, &protocols);
	if (r >= 0 && reading->no_pods && reading->named)
		at_fail(at, trouble_refused(reading->trouble),
			"destinationNamedPort needs peers that are pods");
	return r;
}

// The API's words: an Accept rule matches no traffic, a Deny or Pass rule is a "Deny all" rule.
static int close_rule(struct rule *rule)
{
	bool accept = rule->action == ACTION_ACCEPT;
	const char *name = TAKE_PTR(rule->name);

	rule_fini(rule);
	*rule = (struct rule){
		.name = name,
		.action = accept ? ACTION_ACCEPT : ACTION_DENY,
		.any_port = true,
	};
	rule->peers = calloc(1, sizeof(*rule->peers));
	if (!rule->peers)
		return -ENOMEM;
	rule->peers[0].kind = accept ? PEER_NONE : PEER_ANY;
	rule->npeers = 1;
	return 0;
}

int clusterrule_read(struct trouble *trouble, const struct at *at, enum bh_dir dir,
		     struct rule *rule)
{
	struct reading reading = { .trouble = trouble, .dir = dir, .rule = rule };
	int r = read_parts(&reading, at);

	rule_take_peers(rule, &reading.peers);
	rule_take_ports(rule, &reading.ports);
	return r >= 0 && reading.unknown ? close_rule(rule) : r;
}
