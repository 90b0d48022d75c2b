// SPDX-License-Identifier: Apache-2.0
// cut.c - the ports of a cohort, cut where rules that select it begin and end.
#include "agent/policy/must.h"
#include "agent/review/exposure_private.h"

static void cut(cut_list *cuts, enum reach_proto proto, uint32_t port)
{
	if (port <= UINT16_MAX)
		must_push(cuts, (uint32_t)proto << 16 | (port ? port : 1));
}

static void cut_range(cut_list *cuts, uint8_t protocol, uint32_t lo, uint32_t hi)
{
	for (int proto = 0; proto < REACH_OTHER; proto++) {
		if (protocol && protocol != reach_protocol((enum reach_proto)proto))
			continue;
		cut(cuts, (enum reach_proto)proto, lo);
		cut(cuts, (enum reach_proto)proto, hi + 1);
	}
}

// What the name means somewhere: each pod has its own.
static void cut_name(const struct exposure *exposure, cut_list *cuts, const struct port *port)
{
	vec_each(struct group *const, group, &exposure->crowd.groups) {
		const struct pod *pod = (*group)->pod;

		for (uint32_t i = 0; i < pod->nports; i++)
			if (pod->ports[i].name == port->name)
				cut_range(cuts, pod->ports[i].protocol, pod->ports[i].port,
					  pod->ports[i].port);
	}
}

static void cut_rules(const struct exposure *exposure, cut_list *cuts, const struct rules *rules)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		for (uint32_t k = 0; k < rules->v[i].nports; k++) {
			const struct port *port = &rules->v[i].ports[k];

			if (port->name)
				cut_name(exposure, cuts, port);
			else if (port->lo)
				cut_range(cuts, port->protocol, port->lo, port->hi);
		}
	}
}

static int compare_cuts(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void settle_cuts(cut_list *cuts)
{
	size_t n = 0;

	vec_sort(cuts, compare_cuts);
	for (size_t i = 0; i < cuts->n; i++)
		if (!n || cuts->v[n - 1] != cuts->v[i])
			cuts->v[n++] = cuts->v[i];
	cuts->n = n;
}

void cuts_find(const struct exposure *exposure, struct member *member)
{
	const struct realm *realm = member->cohort.realm;
	const struct labels *labels = &member->cohort.pod->labels;

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		cut_list *cuts = &member->cuts[dir];

		for (int proto = 0; proto < REACH_PROTO_MAX; proto++)
			cut(cuts, (enum reach_proto)proto, 1);
		vec_each(const struct netpol *const, netpol, &realm->policies) {
			if (!selector_match(&(*netpol)->pods, labels))
				continue;
			cut_rules(exposure, cuts, &(*netpol)->rules[dir]);
			member->cohort.isolated[dir] |=
				(*netpol)->isolates[dir] && !(*netpol)->audit &&
				!(realm->object && realm->object->audit);
		}
		vec_each(const struct clusternetpol *const, policy, &exposure->crowd.policies)
			if (selector_match(&(*policy)->namespaces, &realm->labels) &&
			    selector_match(&(*policy)->pods, labels))
				cut_rules(exposure, cuts, &(*policy)->rules[dir]);
		settle_cuts(cuts);
	}
}
