// SPDX-License-Identifier: Apache-2.0
// lint_open.c - rules that allow too much, and DNS, which they forget.
#include <string.h>

#include "agent/review/lint_private.h"

// ---- too much ----------------------------------------------------------------------------------

static bool is_world(const struct bh_cidr *cidr)
{
	return !cidr->prefixlen || (cidr->prefixlen == BH_V4_PREFIX && bh_addr_is4(&cidr->addr));
}

static void open_peer(struct lint *lint, const struct subject *subject, const struct rule *rule,
		      const struct peer *peer, const char *field)
{
	char block[64];

	if (peer->kind == PEER_CIDR && is_world(&peer->cidr) && rule->any_port)
		lint_add(lint, subject, LINT_OPEN_TO_WORLD,
			 peer->nexcepts ? SEVERITY_INFO : SEVERITY_WARNING, field,
			 "allows %s%s on every port",
			 cidr_format(&peer->cidr, block, sizeof(block)),
			 peer->nexcepts ? " but for its excepts" : "");
	if (peer->kind == PEER_PODS && !peer->own_namespace && !peer->namespaces.nterms &&
	    !peer->pods.nterms)
		lint_add(lint, subject, LINT_ALL_NAMESPACES,
			 rule->any_port ? SEVERITY_WARNING : SEVERITY_INFO, field,
			 "allows every pod of every namespace%s",
			 rule->any_port ? " on every port" : "");
}

static void open_rule(struct lint *lint, const struct subject *subject, enum bh_dir dir, uint32_t index)
{
	const struct rule *rule = &subject->rules[dir].v[index];
	char field[LINT_FIELD_BYTES];

	if (!rule_accepts(rule) || (subject->netpol && !subject->netpol->isolates[dir]))
		return;
	if (rule->any_peer && rule->any_port)
		lint_add(lint, subject, LINT_ALLOWS_ALL, SEVERITY_WARNING,
			 lint_peer_field(field, subject, dir, index, -1),
			 "allows everything %s",
			 dir == BH_INGRESS ? "from everywhere" : "to everywhere");
	for (uint32_t i = 0; i < rule->npeers; i++)
		open_peer(lint, subject, rule, &rule->peers[i],
			  lint_peer_field(field, subject, dir, index, i));
}

void lint_openness(struct lint *lint, const struct subject *subject)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		for (uint32_t i = 0; i < subject->rules[dir].n; i++)
			open_rule(lint, subject, (enum bh_dir)dir, i);
}

// ---- DNS ---------------------------------------------------------------------------------------

#define DNS_PORT 53
#define DNS_NAMESPACE "kube-system"

// What a group may ask for. Whoever speaks first about its silence is the only one.
struct lint_dns {
	const struct group *group;
	unsigned allowed;
	bool told;
};

static bool is_group(const void *item, const void *key)
{
	return ((const struct lint_dns *)item)->group == key;
}

static struct lint_dns *dns_of(struct lint *lint, const struct group *group)
{
	struct lint_dns *dns = hash_find(&lint->group_dns, hash_pointer(group), is_group, group);

	if (dns)
		return dns;
	dns = must_new(sizeof(*dns));
	dns->group = group;
	must_ok(hash_add(&lint->group_dns, hash_pointer(group), dns));
	return dns;
}

static unsigned protocol_bits(uint8_t protocol)
{
	return protocol == PROTOCOL_UDP ? DNS_UDP : protocol == PROTOCOL_TCP ? DNS_TCP : 0;
}

// A port that is named is DNS's if its name says so.
static unsigned port_bits(const struct port *port)
{
	bool whole = !port->name && !port->lo && !port->hi;

	if (port->name)
		return !strstr(port->name, "dns") ? 0 :
		       port->protocol		  ? protocol_bits(port->protocol) :
						    DNS_BOTH;
	return whole || (port->lo <= DNS_PORT && DNS_PORT <= port->hi) ? protocol_bits(port->protocol) : 0;
}

// Of a namespace that is not given no more than its name is known.
static bool could_be_named(const struct lint *lint, const struct selector *namespaces, const char *name)
{
	for (uint32_t i = 0; i < namespaces->nterms; i++) {
		const struct selector_term *term = &namespaces->terms[i];

		if (term->key != lint->crowd.name_label || term->op != SELECTOR_IN)
			continue;
		for (uint32_t k = 0; k < term->nvalues; k++)
			if (!strcmp(term->values[k], name))
				return true;
		return false;
	}
	return true;
}

// The servers may be anywhere an address says, and where the cluster has its own.
static bool could_be_server(const struct lint *lint, const struct subject *subject,
			    const struct peer *peer)
{
	const struct realm *realm = crowd_realm(&lint->crowd, DNS_NAMESPACE);

	if (peer->kind == PEER_CIDR || peer->kind == PEER_NODES || peer->kind == PEER_ANY)
		return true;
	if (peer->kind != PEER_PODS)
		return false;
	if (peer->own_namespace)
		return subject->realm && !strcmp(subject->realm->name, DNS_NAMESPACE);
	if (realm && realm->object)
		return selector_match(&peer->namespaces, &realm->labels);
	return could_be_named(lint, &peer->namespaces, DNS_NAMESPACE);
}

// Port 53 said aloud is enough, whoever the peers are: some run servers of their own.
static unsigned rule_dns(const struct lint *lint, const struct subject *subject, const struct rule *rule)
{
	unsigned bits = 0;
	bool aloud = false;

	for (uint32_t i = 0; i < rule->nports; i++) {
		bits |= port_bits(&rule->ports[i]);
		aloud |= rule->ports[i].name || rule->ports[i].lo == DNS_PORT;
	}
	if (rule->any_port)
		bits = DNS_BOTH;
	if (rule->any_peer || (aloud && bits))
		return bits;
	for (uint32_t i = 0; i < rule->npeers; i++)
		if (could_be_server(lint, subject, &rule->peers[i]))
			return bits;
	return 0;
}

unsigned lint_dns_of(const struct lint *lint, const struct subject *subject)
{
	const struct rules *rules = &subject->rules[BH_EGRESS];
	unsigned bits = 0;

	for (uint32_t i = 0; i < rules->n; i++)
		if (rule_accepts(&rules->v[i]))
			bits |= rule_dns(lint, subject, &rules->v[i]);
	return bits;
}

static void gather(struct lint *lint)
{
	vec_each(struct subject *, subject, &lint->subjects)
		vec_each(struct group *, group, &(*subject)->selected)
			dns_of(lint, *group)->allowed |= (*subject)->dns;
}

static void say(struct lint *lint, const struct subject *subject, const char *who, unsigned allowed)
{
	bool closed = !subject->rules[BH_EGRESS].n;

	if (allowed & DNS_UDP)
		lint_add(lint, subject, LINT_NO_DNS, SEVERITY_INFO, "spec.egress",
			 "isolates egress of %s, which may ask for names over UDP, not over TCP: long answers fail",
			 who);
	else
		lint_add(lint, subject, LINT_NO_DNS, closed ? SEVERITY_INFO : SEVERITY_WARNING,
			 "spec.egress", "isolates egress of %s, and nothing allows it DNS (port 53)", who);
}

// Its own pods: those of which nobody spoke yet.
static void dns_of_pods(struct lint *lint, const struct subject *subject)
{
	const struct lint_dns *first = NULL;
	char title[640];

	vec_each(struct group *const, group, &subject->selected) {
		struct lint_dns *dns = dns_of(lint, *group);

		if (dns->told || dns->allowed == DNS_BOTH || (*group)->pod->host_network)
			continue;
		dns->told = true;
		first = first ? first : dns;
	}
	if (first)
		say(lint, subject, lint_title(first->group, title, sizeof(title)), first->allowed);
}

// No pods are given: what the namespace's policies for all of these pods allow, whoever they are.
static void dns_of_nobody(struct lint *lint, const struct subject *subject)
{
	unsigned allowed = 0;

	vec_each(struct subject *, other, &lint->subjects) {
		if ((*other)->realm == subject->realm &&
		    selector_implies(&subject->netpol->pods, &(*other)->netpol->pods))
			allowed |= (*other)->dns;
		if ((*other)->cluster)
			allowed |= (*other)->dns;
	}
	if (allowed != DNS_BOTH)
		say(lint, subject, "the pods that it selects", allowed);
}

// Policies with rules speak first: to them it matters.
static void speak(struct lint *lint, bool with_rules)
{
	vec_each(struct subject *, item, &lint->subjects) {
		const struct subject *subject = *item;

		if (!subject->netpol || !subject->netpol->isolates[BH_EGRESS] || subject->object->problem ||
		    !subject->rules[BH_EGRESS].n == with_rules)
			continue;
		if (subject->selected.n)
			dns_of_pods(lint, subject);
		else if (!subject->pods_known)
			dns_of_nobody(lint, subject);
	}
}

void lint_dns(struct lint *lint)
{
	gather(lint);
	speak(lint, true);
	speak(lint, false);
}
