// SPDX-License-Identifier: Apache-2.0
// lint_port.c - ports that nobody has.
#include <string.h>

#include "agent/review/lint_private.h"

static bool has_name(const struct pod *pod, const struct port *port)
{
	for (uint32_t i = 0; i < pod->nports; i++)
		if (pod->ports[i].name == port->name &&
		    (!port->protocol || pod->ports[i].protocol == port->protocol))
			return true;
	return false;
}

static bool group_has_name(void *arg, struct group *group)
{
	return has_name(group->pod, arg);
}

// At whom a rule's ports are: the selected pods, or of egress the peers.
static bool anybody_has_name(const struct lint *lint, const struct subject *subject, enum bh_dir dir,
			     const struct rule *rule, const struct port *port)
{
	void *arg = (void *)(uintptr_t)port;

	if (dir == BH_INGRESS) {
		vec_each(struct group *const, group, &subject->selected)
			if (group_has_name(arg, *group))
				return true;
		return !subject->selected.n;
	}
	if (!lint->crowd.groups.n)
		return true;
	for (size_t i = 0; rule->any_peer && i < lint->crowd.groups.n; i++)
		if (group_has_name(arg, lint->crowd.groups.v[i]))
			return true;
	for (uint32_t i = 0; i < rule->npeers; i++)
		if (rule->peers[i].kind == PEER_PODS &&
		    crowd_peer_any(&lint->crowd, subject->object->ns, &rule->peers[i], group_has_name, arg))
			return true;
	return false;
}

// Declaring ports is of free will: somebody who declares none may have it.
static bool may_have_number(const struct review_place *place, const struct port *port)
{
	if (!place || !place->nports)
		return true;
	for (uint32_t i = 0; i < place->nports; i++)
		if (place->ports[i].protocol == port->protocol && place->ports[i].port >= port->lo &&
		    place->ports[i].port <= port->hi)
			return true;
	return false;
}

static const struct review_place *place_of(const struct lint *lint, const struct pod *pod)
{
	const struct review_place *place =
		review_place(lint->review, "Pod", pod->object.ns, pod->object.name);

	if (place || !pod->owner_kind || !pod->owner_name)
		return place;
	return review_place(lint->review, pod->owner_kind, pod->object.ns, pod->owner_name);
}

static bool anybody_has_number(const struct lint *lint, const struct subject *subject,
			       const struct port *port)
{
	vec_each(struct group *const, group, &subject->selected)
		if (may_have_number(place_of(lint, (*group)->pod), port))
			return true;
	return !subject->selected.n;
}

static void check_port(struct lint *lint, const struct subject *subject, enum bh_dir dir,
		       const struct rule *rule, const struct port *port, const char *field)
{
	const char *protocol = port->protocol ? protocol_name(port->protocol) : "any protocol";

	if (port->name && !anybody_has_name(lint, subject, dir, rule, port))
		lint_add(lint, subject, LINT_UNKNOWN_PORT_NAME, SEVERITY_WARNING, field,
			 "no %s has a port named %s of %s, so it matches nothing",
			 dir == BH_INGRESS ? "selected pod" : "pod that the rule means", port->name, protocol);
	if (!port->name && port->lo && dir == BH_INGRESS && !anybody_has_number(lint, subject, port))
		lint_add(lint, subject, LINT_UNDECLARED_PORT, SEVERITY_INFO, field,
			 "no selected pod declares port %u of %s", port->lo, protocol);
}

void lint_ports(struct lint *lint, const struct subject *subject)
{
	char field[LINT_FIELD_BYTES];

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		for (uint32_t i = 0; i < subject->rules[dir].n; i++) {
			const struct rule *rule = &subject->rules[dir].v[i];

			for (uint32_t k = 0; k < rule->nports; k++)
				check_port(lint, subject, (enum bh_dir)dir, rule, &rule->ports[k],
					   lint_port_field(field, subject, (enum bh_dir)dir, i, k));
		}
	}
}
