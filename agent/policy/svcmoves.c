// SPDX-License-Identifier: Apache-2.0
// svcmoves.c - keys of Services go to their classes, come and go; pods of this node among their backends.
#include "agent/policy/must.h"
#include "agent/policy/publish.h"

// ---- which move ---------------------------------------------------------------------------------------------

bool matrix_is_real(const struct policy *policy, const struct matrix *matrix)
{
	return matrix && !matrix_fixed(policy, matrix);
}

// A matrix that endpoints leave knows no row for what comes, and its readers must not miss what goes.
static bool some_leave(const struct policy *policy)
{
	for (size_t i = 0; i < policy->slots.n; i++) {
		const struct endpoint *endpoint = policy->slots.v[i];

		if (endpoint && endpoint->next[BH_EGRESS] != endpoint->shown[BH_EGRESS] &&
		    matrix_is_real(policy, endpoint->shown[BH_EGRESS]))
			return true;
	}
	return false;
}

void svcmoves_find(struct publish *pub)
{
	struct services *services = &pub->policy->services;
	bool leave = some_leave(pub->policy);

	services->deferred = false;
	vec_each(struct svckey *, at, &services->dirty_keys) {
		struct loc *loc = &(*at)->loc;
		struct key_move move = { .key = *at,
					 .pair = PAIR_NONE,
					 .comes = loc->live && !loc->in_table,
					 .goes = !loc->live && loc->in_table };

		if (leave && (move.comes || move.goes)) {
			services->deferred = true;
			continue;
		}
		if (loc->live && loc->cls != loc->want)
			move.pair = shift_add(&pub->peers, loc->cls, loc->want);
		must_push(&pub->keys, move);
	}
}

// ---- what gets less free ------------------------------------------------------------------------------------------

uint32_t service_word(const struct matrix *matrix, uint32_t row)
{
	return row == BH_ROW_NONE ? BH_CELL_WORD(BH_VERDICT_DENY_CLUSTER, BH_RULE_NONE) :
				    matrix->rows.v[row]->def.verdict;
}

// A row of Services is one cell.
uint32_t service_word_at(const struct matrix *matrix, const struct cls *cls)
{
	return service_word(matrix,
			    cls->id == IDS_NONE ? BH_ROW_NONE : matrix_row_of(matrix, cls->id));
}

static bool self_shrinks(const struct svckey *key, const struct svcself *self)
{
	for (size_t i = 0; i < key->wanted.n; i++)
		if (key->wanted.v[i].slot == self->slot)
			return key->wanted.v[i].how > self->how; // BH_SELF_ONE lets less pass
	return true;
}

static bool selves_tighten(const struct policy *policy, const struct svckey *key,
			   const struct matrix *matrix)
{
	for (size_t i = 0; i < key->selves.n; i++) {
		uint32_t slot = key->selves.v[i].slot;
		const struct endpoint *endpoint =
			slot < policy->slots.n ? policy->slots.v[slot] : NULL;

		if (endpoint && endpoint->next[BH_EGRESS] == matrix &&
		    self_shrinks(key, &key->selves.v[i]))
			return true;
	}
	return false;
}

// To addresses of a family there is such a port now, or none any more.
static bool families_change(const struct svckey *key)
{
	return key->loc.live && key->loc.in_table &&
	       ((key->word ^ svckey_flags(key)) & (BH_SERVICE_NOT4 | BH_SERVICE_NOT6));
}

// What the address itself was or is going to be judged as may be anything.
bool svcmoves_tighten(struct publish *pub, struct matrix *matrix)
{
	if (matrix->dir != BH_EGRESS)
		return false;
	vec_each(struct key_move, move, &pub->keys) {
		const struct loc *loc = &move->key->loc;

		if (move->comes &&
		    BH_CELL_VERDICT(service_word(matrix, matrix_row(matrix, loc->want))) !=
			    BH_VERDICT_ALLOW)
			return true;
		if (move->goes && loc->cls && cell_freedom(service_word_at(matrix, loc->cls)) > 1)
			return true;
		if (selves_tighten(pub->policy, move->key, matrix) || families_change(move->key))
			return true;
	}
	return false;
}

// ---- steps ----------------------------------------------------------------------------------------------------------

static void key_step(struct publish *pub, enum step_kind kind, const struct svckey *key,
		     uint32_t word)
{
	struct step step = { .kind = kind };

	step.service.key = key->key;
	step.service.word = word;
	plan_add(pub->plan, step);
}

static void self_step(struct publish *pub, enum step_kind kind, const struct svckey *key,
		      const struct svcself *self)
{
	struct step step = { .kind = kind };

	step.service.key = key->key;
	step.service.slot = self->slot;
	step.service.how = kind == STEP_SELF_SET ? self->how : BH_SELF_NOT;
	plan_add(pub->plan, step);
}

static struct svcself *self_find(svcselves *list, uint32_t slot)
{
	vec_each(struct svcself, self, list)
		if (self->slot == slot)
			return self;
	return NULL;
}

// What a pod may no longer do goes first, what it may comes last.
static void selves_shrink(struct publish *pub, struct svckey *key)
{
	for (size_t i = key->selves.n; i--;) {
		struct svcself *self = &key->selves.v[i];
		const struct svcself *want = self_find(&key->wanted, self->slot);

		if (want && want->how <= self->how)
			continue;
		self_step(pub, want ? STEP_SELF_SET : STEP_SELF_DEL, key, want ? want : self);
		if (want) {
			*self = *want;
			continue;
		}
		vec_cut(&key->selves, i);
		pub->policy->services.selves--;
	}
}

static void selves_grow(struct publish *pub, struct svckey *key)
{
	vec_each(struct svcself, want, &key->wanted) {
		struct svcself *self = self_find(&key->selves, want->slot);

		if (self && self->how == want->how)
			continue;
		if (!self && pub->policy->services.selves >= pub->policy->limits.selves)
			continue; // no room: it stays denied
		self_step(pub, STEP_SELF_SET, key, want);
		if (self) {
			*self = *want;
			continue;
		}
		must_push(&key->selves, *want);
		pub->policy->services.selves++;
	}
}

void svcmoves_before(struct publish *pub)
{
	svcmoves_resolve(pub);
	vec_each(struct key_move, move, &pub->keys)
		selves_shrink(pub, move->key);
}

static uint32_t key_word(const struct svckey *key, const struct cls *cls)
{
	if (!cls || cls->id == IDS_NONE)
		return BH_CLASS_NONE;
	return cls->id | svckey_flags(key) | (cls_is_empty_service(cls) ? BH_SERVICE_EMPTY : 0);
}

static void set_key(struct publish *pub, struct svckey *key, const struct cls *cls)
{
	uint32_t word = key_word(key, cls);

	if (key->loc.in_table && key->word == word)
		return;
	key_step(pub, STEP_SERVICE_SET, key, word);
	pub->policy->services.in_table += !key->loc.in_table;
	key->loc.in_table = true;
	key->word = word;
}

static const struct cls *way_of(const struct publish *pub, const struct key_move *move)
{
	return move->pair == PAIR_NONE ? move->key->loc.cls : pub->peers.pairs.v[move->pair].p;
}

void svcmoves_run(struct publish *pub)
{
	vec_each(struct key_move, move, &pub->keys) {
		if (move->key->loc.live)
			set_key(pub, move->key, way_of(pub, move));
		if (!move->goes)
			continue;
		key_step(pub, STEP_SERVICE_DEL, move->key, 0);
		move->key->loc.in_table = false;
		pub->policy->services.in_table--;
	}
	vec_each(struct key_move, move, &pub->keys)
		selves_grow(pub, move->key);
}

// Fragments are merged.
void svcmoves_clean(struct publish *pub)
{
	vec_each(struct key_move, move, &pub->keys)
		if (move->key->loc.live && move->pair != PAIR_NONE)
			set_key(pub, move->key, move->key->loc.want);
}

static void list_own(struct services *services, struct svckey *key)
{
	size_t at = key->self_at;

	if (!key->selves.n == !at)
		return;
	if (!at) {
		must_push(&services->of_own, key);
		key->self_at = services->of_own.n;
		return;
	}
	vec_drop(&services->of_own, at - 1);
	if (at <= services->of_own.n)
		services->of_own.v[at - 1]->self_at = at;
	key->self_at = 0;
}

void svcmoves_settle(struct publish *pub, bool taken)
{
	struct services *services = &pub->policy->services;
	size_t kept = 0;

	if (!taken)
		return;
	vec_each(struct key_move, move, &pub->keys) {
		struct loc *loc = &move->key->loc;

		if (loc->cls != (loc->live ? loc->want : NULL))
			loc_show(&pub->policy->classes, loc, loc->live ? loc->want : NULL);
		if (!loc->live)
			loc->want = NULL;
		move->key->dirty = move->key->lost = false;
		list_own(services, move->key);
	}
	for (size_t i = 0; i < services->dirty_keys.n; i++)
		if (services->dirty_keys.v[i]->dirty)
			services->dirty_keys.v[kept++] = services->dirty_keys.v[i];
	services->dirty_keys.n = kept;
	vec_each(struct key_move, move, &pub->keys)
		svckey_put(services, move->key);
}

// ---- what needs the netfilter program ------------------------------------------------------------------------------------

static bool class_is_mixed(const struct matrix *matrix, const struct cls *cls)
{
	return BH_CELL_VERDICT(service_word_at(matrix, cls)) == BH_VERDICT_MIXED;
}

static bool judges_mixed(const struct matrix *matrix)
{
	return matrix->mixed && matrix->users && matrix->installed && matrix->dir == BH_EGRESS;
}

static bool matrix_has_mixed(const struct policy *policy, const struct matrix *matrix)
{
	if (!judges_mixed(matrix))
		return false;
	for (size_t i = 0; i < policy->classes.by_id.n; i++) {
		const struct cls *cls = policy->classes.by_id.v[i];

		if (cls && cls->locs[LOC_SERVICE] && class_is_mixed(matrix, cls))
			return true;
	}
	return false;
}

// One of several backends, and no other is allowed.
static bool key_is_mixed(const struct policy *policy, const struct svckey *key)
{
	for (size_t i = 0; i < key->selves.n; i++) {
		uint32_t slot = key->selves.v[i].slot;
		const struct endpoint *endpoint =
			slot < policy->slots.n ? policy->slots.v[slot] : NULL;
		const struct matrix *matrix = endpoint ? endpoint->shown[BH_EGRESS] : NULL;

		if (key->selves.v[i].how == BH_SELF_ONE && matrix_is_real(policy, matrix) &&
		    key->loc.cls &&
		    BH_CELL_VERDICT(service_word_at(matrix, key->loc.cls)) == BH_VERDICT_DENY)
			return true;
	}
	return false;
}

static bool class_is_mixed_somewhere(const struct policy *policy, const struct cls *cls)
{
	for (size_t i = 0; i < policy->matrices.n; i++)
		if (judges_mixed(policy->matrices.v[i]) &&
		    class_is_mixed(policy->matrices.v[i], cls))
			return true;
	return false;
}

uint32_t services_mixed(const struct policy *policy)
{
	uint32_t n = 0;

	for (size_t i = 0; i < policy->classes.by_id.n; i++) {
		const struct cls *cls = policy->classes.by_id.v[i];
		bool mixed = cls && cls->locs[LOC_SERVICE] && class_is_mixed_somewhere(policy, cls);

		for (struct loc *loc = cls ? cls->locs[LOC_SERVICE] : NULL; loc; loc = loc->next)
			n += mixed || key_is_mixed(policy, svckey_of(loc));
	}
	return n;
}

bool svcmoves_unsettled(const struct policy *policy, const struct plan *plan)
{
	bool judged = false;

	for (size_t i = 0; !judged && i < policy->matrices.n; i++) {
		const struct matrix *matrix = policy->matrices.v[i];

		judged = matrix->users && matrix->dir == BH_EGRESS && matrix_is_real(policy, matrix);
	}
	for (uint32_t i = 0; judged && i < plan->nsteps; i++)
		if (plan->steps[i].kind == STEP_SERVICE_SET)
			return true;
	return false;
}

bool svcmoves_mixed(const struct policy *policy)
{
	for (size_t i = 0; i < policy->matrices.n; i++)
		if (matrix_has_mixed(policy, policy->matrices.v[i]))
			return true;
	for (size_t i = 0; i < policy->services.of_own.n; i++)
		if (key_is_mixed(policy, policy->services.of_own.v[i]))
			return true;
	return false;
}
