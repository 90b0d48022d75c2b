// SPDX-License-Identifier: Apache-2.0
// overflow.c - what only shows to be too much when everything is put together, who pays for it, and who may
// come back when there is room again.
//
// A tenant is a namespace; the ClusterNetworkPolicies together are one, too. What a tenant takes is what
// there would have to be for its policies alone. The one that takes most pays, with its largest policies, so
// nobody who takes less than an equal part can lose anything through others. A refused policy is tried again
// once so much is gone that it may fit; trying changes nothing in the tables unless it does.
#include "agent/policy/must.h"
#include "agent/policy/room.h"

typedef VEC(struct cls *) cls_list;
typedef VEC(uint64_t) hashes;

struct demand {
	uint64_t n[SCARCE_MAX];
	uint32_t round;
	uint32_t services; // classes of Services, part of SCARCE_CLASSES
	cls_list peers, ports; // classes that something is to be shown as
};

static void demand_fini(struct demand *demand)
{
	vec_fini(&demand->peers);
	vec_fini(&demand->ports);
}

static uint64_t limit_of(const struct policy *policy, enum scarce scarce)
{
	const uint64_t limits[SCARCE_MAX] = {
		[SCARCE_CLASSES] = policy->limits.peer_classes,
		[SCARCE_PEERS] = policy->limits.peers,
		[SCARCE_CIDRS] = policy->limits.cidrs,
		[SCARCE_PORT_CLASSES] = policy->limits.port_classes,
		[SCARCE_CELLS] = policy->limits.sparse_cells,
		[SCARCE_DENSE] = policy->limits.dense_total,
	};

	return limits[scarce];
}

uint64_t overflow_cells_used(const struct policy *policy)
{
	uint64_t cells = 0;

	for (size_t i = 0; i < policy->matrices.n; i++)
		if (!policy->matrices.v[i]->hopeless)
			cells += policy->matrices.v[i]->sparse_cells;
	return cells;
}

static uint64_t dense_used(const struct policy *policy)
{
	uint64_t cells = 0;

	for (size_t i = 0; i < policy->matrices.n; i++)
		if (policy->matrices.v[i]->installed)
			cells += matrix_dense(policy->matrices.v[i], policy->limits.dense_cells);
	return cells;
}

// Of what the last plan left.
static uint64_t used(const struct policy *policy, enum scarce scarce)
{
	const uint64_t n[SCARCE_MAX] = {
		[SCARCE_CLASSES] = policy->classes.by_sig.n,
		[SCARCE_PEERS] = policy->cluster.space.peers,
		[SCARCE_CIDRS] = policy->cluster.space.cidrs,
		[SCARCE_PORT_CLASSES] = policy->ports.classes.by_sig.n,
		[SCARCE_CELLS] = overflow_cells_used(policy),
		[SCARCE_DENSE] = dense_used(policy),
	};

	return n[scarce];
}

// ---- what is wanted ---------------------------------------------------------------------------------------------

static void want(struct demand *demand, cls_list *list, struct cls *cls, uint32_t addresses)
{
	if (!cls)
		return;
	if (cls->counted != demand->round) {
		cls->counted = demand->round;
		cls->addresses = 0;
		must_push(list, cls);
	}
	cls->addresses += addresses;
}

static void want_below(struct demand *demand, struct spot *spot)
{
	const struct loc *exact, *prefix;

	if (!spot)
		return;
	exact = spot_loc(spot, true);
	prefix = spot_loc(spot, false);
	if (exact && exact->live) {
		bool element = exact->want != space_live_above(spot, true)->want;

		want(demand, &demand->peers, exact->want, element);
		demand->n[SCARCE_PEERS] += element;
	}
	if (prefix && prefix->live) {
		want(demand, &demand->peers, prefix->want, 0);
		demand->n[SCARCE_CIDRS]++;
	}
	want_below(demand, spot_child(spot, 0));
	want_below(demand, spot_child(spot, 1));
}

static uint32_t count_services(const struct policy *policy, uint32_t round)
{
	const struct svckey *key;
	uint32_t n = 0;
	size_t at = 0;

	while ((key = hash_next(&policy->services.keys, &at))) {
		if (!key->loc.live || !key->loc.want || key->loc.want->counted == round)
			continue;
		key->loc.want->counted = round;
		n++;
	}
	return n;
}

static void measure(struct policy *policy, struct demand *ret)
{
	const struct portset *ports = &policy->ports;
	static uint32_t round;

	*ret = (struct demand){ .round = ++round };
	want_below(ret, policy->cluster.space.root);
	for (int proto = 0; proto < BH_PORT_PROTO_MAX; proto++) {
		const port_spans *spans =
			ports->wanted[proto].n ? &ports->wanted[proto] : &ports->shown[proto];

		for (size_t i = 0; i < spans->n; i++)
			if (spans->v[i].cls->n)
				want(ret, &ret->ports, spans->v[i].cls, 0);
	}
	ret->services = count_services(policy, ret->round);
	ret->n[SCARCE_CLASSES] = ret->peers.n + ret->services;
	ret->n[SCARCE_PORT_CLASSES] = ret->ports.n;
}

// ---- who takes how much -----------------------------------------------------------------------------------------

static uint32_t weight(const struct polent *polent)
{
	if (!polent || polent->refusal == REFUSAL_ALL)
		return 0;
	return 1 + (uint32_t)(polent->rules[0].n + polent->rules[1].n) + polent->usage.cidrs;
}

struct payer {
	struct polent *polent;
	uint64_t cost;
};
typedef VEC(struct payer) payers;
typedef VEC(bool) marks; // by atom id

static void mark(const struct polent *polent, enum scarce scarce, bool on, marks *marked)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		for (size_t i = 0; i < polent->rules[dir].n; i++) {
			const struct lowered *rule = &polent->rules[dir].v[i];

			if (scarce == SCARCE_PORT_CLASSES && rule->ports)
				marked->v[rule->ports->id] = on;
			else if (scarce != SCARCE_PORT_CLASSES && rule->peer)
				marked->v[rule->peer->id] = on;
		}
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

// How many classes there would be for the marked atoms alone; of addresses, those that they match.
static uint64_t weigh(const cls_list *classes, enum scarce scarce, const marks *marked)
{
	hashes seen = { 0 };
	uint64_t n = 0;

	vec_each(struct cls *, at, classes) {
		uint64_t hash = 0;

		for (uint32_t i = 0; i < (*at)->n; i++)
			if (marked->v[(*at)->sig[i]])
				hash = hash_mix(hash + 1, (*at)->sig[i]);
		if (hash && scarce == SCARCE_PEERS)
			n += (*at)->addresses;
		else if (hash)
			must_push(&seen, hash);
	}
	vec_sort(&seen, by_hash);
	for (size_t i = 0; i < seen.n; i++)
		n += !i || seen.v[i] != seen.v[i - 1];
	vec_fini(&seen);
	return n;
}

static uint64_t cost(const struct payer *from, size_t n, const struct demand *demand,
		     enum scarce scarce, marks *marked)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += from[i].polent->usage.cidrs;
	if (scarce == SCARCE_CIDRS)
		return sum;
	for (size_t i = 0; i < n; i++)
		mark(from[i].polent, scarce, true, marked);
	sum = weigh(scarce == SCARCE_PORT_CLASSES ? &demand->ports : &demand->peers, scarce,
		    marked);
	for (size_t i = 0; i < n; i++)
		mark(from[i].polent, scarce, false, marked);
	return sum;
}

static int by_tenant(const void *a, const void *b)
{
	const char *x = ((const struct payer *)a)->polent->ns;
	const char *y = ((const struct payer *)b)->polent->ns;

	return x < y ? -1 : x > y;
}

static int by_cost(const void *a, const void *b) // the dearest first
{
	const struct payer *x = a, *y = b;

	return x->cost > y->cost ? -1 : x->cost < y->cost;
}

static void list_payers(struct policy *policy, payers *out)
{
	struct polent *polent;
	size_t at = 0;

	while ((polent = hash_next(&policy->polents, &at)))
		if (polent->lowered && polent->refusal != REFUSAL_ALL)
			must_push(out, (struct payer){ polent, 0 });
	vec_sort(out, by_tenant);
}

// ---- refusing -----------------------------------------------------------------------------------------------------

// The dearest policies of one tenant, until the excess is paid.
static bool charge(struct policy *policy, payers *tenant, enum scarce scarce, uint64_t excess)
{
	uint64_t paid = 0;
	size_t n = 0;

	vec_sort(tenant, by_cost);
	while (n < tenant->n && paid < excess && tenant->v[n].cost) {
		budget_force(policy, tenant->v[n].polent, scarce, excess);
		paid += tenant->v[n++].cost;
	}
	for (size_t i = 0; n > 1 && i < n; i++)
		tenant->v[i].polent->shortage.excess = 0;
	return n > 0;
}

static bool blame(struct policy *policy, const struct demand *demand, enum scarce scarce)
{
	size_t first = 0, worst = 0, nworst = 0;
	payers all = { 0 }, tenant = { 0 };
	marks marked = { 0 };
	uint64_t most = 0;
	bool any;

	list_payers(policy, &all);
	while (marked.n < policy->cluster.atoms.by_id.n + policy->ports.atoms.n)
		must_push(&marked, false);
	for (size_t i = 1; i <= all.n; i++) {
		uint64_t taken;

		if (i < all.n && all.v[i].polent->ns == all.v[first].polent->ns)
			continue;
		taken = cost(all.v + first, i - first, demand, scarce, &marked);
		if (taken > most) {
			most = taken;
			worst = first;
			nworst = i - first;
		}
		first = i;
	}
	for (size_t i = worst; i < worst + nworst; i++) {
		all.v[i].cost = cost(&all.v[i], 1, demand, scarce, &marked);
		must_push(&tenant, all.v[i]);
	}
	for (size_t i = 0; !most && i < all.n; i++) { // nobody's rules as they stand: named ports
		all.v[i].cost = weight(all.v[i].polent);
		must_push(&tenant, all.v[i]);
	}
	any = charge(policy, &tenant, scarce, demand->n[scarce] - limit_of(policy, scarce));
	vec_fini(&tenant);
	vec_fini(&marked);
	vec_fini(&all);
	return any;
}

static bool could_overflow(const struct policy *policy)
{
	const struct space *space = &policy->cluster.space;

	return policy->classes.by_sig.n > policy->limits.peer_classes ||
	       space->peers + space->dirty.n > policy->limits.peers ||
	       space->cidrs + space->dirty.n > policy->limits.cidrs ||
	       policy->ports.classes.by_sig.n > policy->limits.port_classes;
}

// Services may have what addresses leave of the classes, and a quarter at least.
static bool shed_services(struct policy *policy, const struct demand *demand)
{
	uint32_t limit = policy->limits.peer_classes, room = limit / 4;

	if (demand->peers.n + room < limit)
		room = limit - (uint32_t)demand->peers.n;
	return demand->services > room && svcbudget_shed(policy, demand->services - room);
}

bool overflow_check(struct policy *policy)
{
	struct demand demand;
	bool again = false;

	if (!could_overflow(policy))
		return false;
	measure(policy, &demand);
	again = shed_services(policy, &demand);
	for (int scarce = 0; scarce < SCARCE_CELLS && !again; scarce++)
		if (demand.n[scarce] > limit_of(policy, scarce))
			again = blame(policy, &demand, scarce);
	demand_fini(&demand);
	return again;
}

// ---- cells --------------------------------------------------------------------------------------------------------

static const struct endpoint *user_of(const struct policy *policy, const struct matrix *matrix,
				      enum bh_dir *retdir)
{
	for (size_t i = 0; i < policy->slots.n; i++)
		for (int dir = 0; policy->slots.v[i] && dir < BH_DIR_MAX; dir++)
			if (policy->slots.v[i]->next[dir] == matrix) {
				*retdir = (enum bh_dir)dir;
				return policy->slots.v[i];
			}
	return NULL;
}

bool overflow_starve(struct policy *policy, const struct matrix *matrix, enum scarce scarce,
		     uint64_t excess)
{
	enum bh_dir dir = BH_INGRESS;
	const struct endpoint *endpoint = user_of(policy, matrix, &dir);
	struct polent *largest = NULL;

	for (size_t i = 0; endpoint && i < endpoint->selecting[dir].n; i++)
		if (weight(endpoint->selecting[dir].v[i]) > weight(largest))
			largest = endpoint->selecting[dir].v[i];
	return largest && budget_force(policy, largest, scarce, excess);
}

struct share {
	struct matrix *matrix;
	uint64_t cells;
};
typedef VEC(struct share) shares;

static int by_owner(const void *a, const void *b) // within one, the largest first
{
	const struct share *x = a, *y = b;

	if (x->matrix->ns != y->matrix->ns)
		return x->matrix->ns < y->matrix->ns ? -1 : 1;
	return x->cells > y->cells ? -1 : x->cells < y->cells;
}

// One tenant's matrices, the largest first, until the excess is paid.
static void starve(struct policy *policy, const struct share *from, size_t n, enum scarce scarce,
		   uint64_t excess)
{
	bool alone = from->cells >= excess;
	uint64_t paid = 0;

	for (size_t i = 0; i < n && (!i || paid < excess); i++) {
		if (!overflow_starve(policy, from[i].matrix, scarce, alone ? excess : 0))
			from[i].matrix->hopeless = true;
		paid += from[i].cells;
	}
}

void overflow_cells(struct policy *policy, const uint64_t *needs, enum scarce scarce,
		    uint64_t excess)
{
	size_t first = 0, worst = 0, nworst = 0;
	uint64_t sum = 0, most = 0;
	shares all = { 0 };

	for (size_t i = 0; i < policy->matrices.n; i++)
		if (policy->matrices.v[i]->users && needs[i])
			must_push(&all, (struct share){ policy->matrices.v[i], needs[i] });
	vec_sort(&all, by_owner);
	for (size_t i = 0; i < all.n; i++) {
		if (all.v[i].matrix->ns != all.v[first].matrix->ns) {
			first = i;
			sum = 0;
		}
		sum += all.v[i].cells;
		if (sum > most) {
			most = sum;
			worst = first;
			nworst = i + 1 - first;
		}
	}
	if (nworst)
		starve(policy, all.v + worst, nworst, scarce, excess);
	vec_fini(&all);
}

// ---- coming back ----------------------------------------------------------------------------------------------------

#define POD_ADDRESSES 2

static void note(const struct policy *policy, struct shortage *shortage)
{
	shortage->noted = true;
	shortage->used = used(policy, shortage->scarce);
	shortage->pods = policy->cluster.pods.n;
}

// How many classes or cells a policy needs depends on all others, so whatever is gone may be enough.
static bool may_fit(const struct policy *policy, const struct shortage *shortage)
{
	uint64_t now = used(policy, shortage->scarce), gone;
	size_t pods = policy->cluster.pods.n;

	if (!shortage->excess || !shortage->noted)
		return !shortage->excess;
	if (now < shortage->used && shortage->scarce != SCARCE_PEERS &&
	    shortage->scarce != SCARCE_CIDRS)
		return true;
	gone = now < shortage->used ? shortage->used - now : 0;
	gone += pods < shortage->pods ? POD_ADDRESSES * (shortage->pods - pods) : 0;
	return gone >= shortage->excess;
}

bool overflow_retry(struct policy *policy)
{
	struct polent *found = NULL;

	vec_each(struct polent *, at, &policy->refused)
		if (!found && (*at)->forced && (*at)->retried_in != policy->compiles + 1 &&
		    may_fit(policy, &(*at)->shortage))
			found = *at;
	if (!found || policy->retry_failed) {
		vec_each(struct polent *, at, &policy->refused)
			if (!(*at)->shortage.noted)
				note(policy, &(*at)->shortage);
		return false;
	}
	policy->retried = found;
	found->retried_in = policy->compiles + 1;
	found->forced = REFUSAL_NONE;
	polent_touch(policy, found);
	return true;
}
