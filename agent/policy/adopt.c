// SPDX-License-Identifier: Apache-2.0
// adopt.c - takes tables found in the kernel for what is shown; the first compile finds out what they mean.
#include <errno.h>
#include <string.h>

#include "agent/policy/must.h"
#include "agent/policy/room.h"

static struct cls *adopted_class(struct classes *classes, uint32_t id)
{
	struct cls *cls = id < classes->by_id.n ? classes->by_id.v[id] : NULL;

	if (cls)
		return cls;
	cls = cls_loose(classes, NULL, 0);
	cls->adopted = true;
	ids_claim(&classes->ids, id);
	cls_number_as(classes, cls, id);
	return cls;
}

// An id that no class can have is written over by the first plan.
static void show(struct policy *policy, struct spot *spot, struct loc *loc, uint32_t id)
{
	if (id != BH_CLASS_NONE && id < BH_MAX_CLASSES)
		loc_show(&policy->classes, loc, adopted_class(&policy->classes, id));
	loc->in_table = true;
	space_touch(&policy->cluster.space, spot);
}

static void adopt_locations(struct policy *policy, const struct policy_tables *tables)
{
	struct space *space = &policy->cluster.space;

	for (uint32_t i = 0; i < tables->ncidrs; i++) {
		struct spot *spot = space_get(space, &tables->cidrs[i].cidr);

		show(policy, spot, &spot_extend(spot)->prefix, tables->cidrs[i].cls);
	}
	for (uint32_t i = 0; i < tables->npeers; i++) {
		struct spot *spot =
			space_get(space, &(struct bh_cidr){ 128, tables->peers[i].cidr.addr });

		show(policy, spot, spot_loc(spot, true), tables->peers[i].cls);
	}
	space->cidrs = tables->ncidrs;
	space->peers = tables->npeers;
}

static void adopt_ports(struct policy *policy, const struct bh_port *ports)
{
	struct portset *set = &policy->ports;

	for (uint32_t proto = 0; ports && proto < BH_PORT_PROTO_MAX; proto++) {
		port_spans *spans = &set->shown[proto];

		cls_leave(&set->classes, set->none);
		vec_clear(spans);
		for (uint32_t port = 0; port <= UINT16_MAX; port++) {
			uint16_t id = ports[port].cls[proto];

			if (port && ports[port - 1].cls[proto] == id) {
				spans->v[spans->n - 1].hi = port;
				continue;
			}
			must_push(spans, (struct port_span){ port, port,
							     adopted_class(&set->classes, id) });
			cls_join(spans->v[spans->n - 1].cls);
		}
	}
}

static void adopt_services(struct policy *policy, const struct policy_tables *tables)
{
	struct services *services = &policy->services;

	for (uint32_t i = 0; i < tables->nservices; i++) {
		struct svckey *key = svckey_get(services, &tables->services[i].key);
		uint32_t id = BH_SERVICE_CLASS(tables->services[i].word);

		if (id != BH_CLASS_NONE)
			loc_show(&policy->classes, &key->loc, adopted_class(&policy->classes, id));
		key->loc.in_table = true;
		key->word = tables->services[i].word;
		svckey_touch(services, key);
	}
	for (uint32_t i = 0; i < tables->nselves; i++) {
		struct svckey *key = svckey_get(services, &tables->selves[i].key.service);

		must_push(&key->selves, (struct svcself){ tables->selves[i].key.slot,
							  tables->selves[i].how });
		svckey_touch(services, key);
	}
	services->in_table = tables->nservices;
	services->selves = tables->nselves;
}

static int by_key(const void *a, const void *b)
{
	const struct bh_cell_key *x = &((const struct policy_tables_cell *)a)->key;
	const struct bh_cell_key *y = &((const struct policy_tables_cell *)b)->key;

	if (x->matrix != y->matrix)
		return x->matrix < y->matrix ? -1 : 1;
	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	return (int)x->col - (int)y->col;
}

// An image that is none stays where it is, its id is not used: endpoints that use it flip away.
static void adopt_matrix(struct policy *policy, const struct policy_tables_matrix *from,
			 const struct policy_tables_cell *cells, uint32_t ncells)
{
	struct matrix *matrix;
	uint32_t n = 0;

	if (from->policy < BH_POLICY_FIRST || !ids_claim(&policy->policy_ids, from->policy))
		return;
	while (ncells && cells->key.matrix < from->policy) {
		cells++;
		ncells--;
	}
	while (n < ncells && cells[n].key.matrix == from->policy)
		n++;
	matrix = matrix_new();
	matrix->id = from->policy;
	if (matrix_read(matrix, from->units, from->nunits, cells, n) < 0) {
		matrix_free(matrix);
		return;
	}
	must_push(&policy->matrices, matrix);
	if (matrix->gen > policy->last_gen)
		policy->last_gen = matrix->gen;
}

static struct matrix *matrix_by_id(struct policy *policy, uint32_t id)
{
	if (id < ARRAY_SIZE(policy->fixed))
		return &policy->fixed[id];
	vec_each(struct matrix *, matrix, &policy->matrices)
		if ((*matrix)->id == id)
			return *matrix;
	return NULL;
}

// A slot whose endpoint is not back: it will fall to deny-all.
static struct endpoint *endpoint_at(struct policy *policy, uint32_t slot)
{
	struct endpoint *endpoint;

	while (policy->slots.n <= slot)
		must_push(&policy->slots, NULL);
	endpoint = policy->slots.v[slot];
	if (endpoint)
		return endpoint;
	endpoint = policy->slots.v[slot] = must_new(sizeof(*endpoint));
	endpoint->slot = slot;
	endpoint->gone = true;
	endpoint_touch(policy, endpoint);
	return endpoint;
}

static void adopt_endpoint(struct policy *policy, const struct policy_tables_endpoint *from)
{
	struct endpoint *endpoint = endpoint_at(policy, from->slot);

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		struct matrix *matrix = matrix_by_id(policy, from->policy[dir]);

		endpoint->shown[dir] = matrix;
		endpoint->policy[dir] = from->policy[dir];
		endpoint->gen[dir] = from->gen[dir];
		if (from->gen[dir] > policy->last_gen)
			policy->last_gen = from->gen[dir];
	}
}

int policy_adopt(struct policy *policy, const struct policy_tables *tables)
{
	struct policy_tables_cell *cells = NULL;

	if (policy->compiles || policy->adopting)
		return -EBUSY;
	if (tables->ncells) {
		cells = must(malloc(tables->ncells * sizeof(*cells)));
		memcpy(cells, tables->cells, tables->ncells * sizeof(*cells));
		qsort(cells, tables->ncells, sizeof(*cells), by_key);
	}
	for (uint32_t i = 0; i < tables->nmatrices; i++)
		adopt_matrix(policy, &tables->matrices[i], cells, tables->ncells);
	free(cells);
	adopt_locations(policy, tables);
	adopt_ports(policy, tables->ports);
	adopt_services(policy, tables);
	for (uint32_t i = 0; i < tables->nendpoints; i++)
		if (tables->endpoints[i].slot < policy->limits.endpoints)
			adopt_endpoint(policy, &tables->endpoints[i]);
	gen_hold(policy);
	policy->halfway = tables->halfway;
	policy->adopting = true;
	return 0;
}
