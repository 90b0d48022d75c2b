// SPDX-License-Identifier: Apache-2.0
// exposure.c - the questions to the matrices.
#include "agent/review/exposure_private.h"

#include "agent/policy/must.h"

// ---- asking --------------------------------------------------------------------------------------

static const struct judge *judge_of(const struct exposure *exposure, const struct cohort *cohort)
{
	return &exposure->judges.v[cohort->index / BH_MAX_ENDPOINTS];
}

static bool passes(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		   const struct bh_addr *remote, uint32_t from)
{
	struct bh_judgement judgement;

	return policy_eval(judge_of(exposure, cohort)->policy, cohort->index % BH_MAX_ENDPOINTS, dir, remote,
			   reach_protocol((enum reach_proto)(from >> 16)), (uint16_t)from, false,
			   &judgement) < BH_REASON_DROP;
}

static struct reach_span span_until(uint32_t from, uint32_t next)
{
	uint8_t proto = (uint8_t)(from >> 16);
	uint16_t hi = proto == REACH_OTHER ? 1 : UINT16_MAX;

	if (next >> 16 == proto)
		hi = (uint16_t)(next - 1);
	return (struct reach_span){ proto, (uint16_t)from, hi };
}

// One end alone.
static void ask(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		const struct bh_addr *remote, struct reach *ret)
{
	const struct member *member = exposure->members.v[cohort->index];
	struct reach found = { 0 };

	for (size_t i = 0; i < member->cuts[dir].n; i++) {
		uint32_t from = member->cuts[dir].v[i];
		uint32_t next = i + 1 < member->cuts[dir].n ? member->cuts[dir].v[i + 1] : UINT32_MAX;

		if (passes(exposure, cohort, dir, remote, from))
			must_push(&found, span_until(from, next));
	}
	reach_union(ret, &found);
	reach_fini(&found);
}

static const struct reach *ask_once(const struct exposure *exposure, const struct cohort *cohort,
				    enum bh_dir dir, const struct cohort *other, int family)
{
	static const struct reach nothing;
	const struct judge *judge = judge_of(exposure, cohort);
	struct member *member = exposure->members.v[cohort->index];
	uint32_t row = policy_row(judge->policy, cohort->index % BH_MAX_ENDPOINTS, dir,
				  judge->classes[other->index][family]);

	if (row == BH_ROW_NONE)
		return &nothing;
	while (member->rows[dir].n <= row)
		must_push(&member->rows[dir], NULL);
	if (!member->rows[dir].v[row]) {
		member->rows[dir].v[row] = must_new(sizeof(struct reach));
		ask(exposure, cohort, dir, &other->addr[family], member->rows[dir].v[row]);
	}
	return member->rows[dir].v[row];
}

void exposure_pair(const struct exposure *exposure, const struct cohort *from, const struct cohort *to,
		   int family, struct reach *ret)
{
	const struct reach *out, *in;

	if (!from->has[family] || !to->has[family])
		return;
	out = ask_once(exposure, from, BH_EGRESS, to, family);
	if (!out->n)
		return;
	in = ask_once(exposure, to, BH_INGRESS, from, family);
	if (in->n)
		reach_common(out, in, ret);
}

void exposure_outside(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		      const struct block *block, struct reach *ret)
{
	if (cohort->has[block->family] && !block->empty)
		ask(exposure, cohort, dir, &block->addr, ret);
}

void exposure_isolating(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
			exposure_fn fn, void *arg)
{
	const struct realm *realm = cohort->realm;

	if (!cohort->isolated[dir])
		return;
	vec_each(const struct netpol *const, netpol, &realm->policies)
		if ((*netpol)->isolates[dir] && !(*netpol)->audit &&
		    selector_match(&(*netpol)->pods, &cohort->pod->labels))
			fn(arg, *netpol);
}

void exposure_problems(const struct exposure *exposure, policy_problem_fn fn, void *arg)
{
	if (exposure->judges.n)
		policy_problem_each(exposure->judges.v[0].policy, fn, arg);
}

// ---- life ----------------------------------------------------------------------------------------

// A node full of cohorts, as if it had them all; nothing is refused for its share.
static void compile(struct exposure *exposure, size_t first, size_t end)
{
	static const struct policy_limits limits = { .object_share = 100, .namespace_share = 100 };
	struct judge judge = { .classes = must_new(exposure->members.n * sizeof(*judge.classes)) };
	struct plan *plan = NULL;

	must_ok(policy_new(review_store(exposure->review), &limits, &judge.policy));
	must_push(&exposure->judges, judge);
	for (size_t i = first; i < end; i++) {
		const struct object *pod = &exposure->members.v[i]->cohort.pod->object;

		must_ok(policy_endpoint_add(judge.policy, pod->ns, pod->name, (uint32_t)(i - first)));
	}
	must_ok(policy_compile(judge.policy, &plan));
	plan_free(plan);
	vec_each(struct member *, member, &exposure->members)
		for (int family = 0; family < 2; family++)
			judge.classes[(*member)->cohort.index][family] =
				policy_peer_class(judge.policy, &(*member)->cohort.addr[family]);
}

static void compile_all(struct exposure *exposure)
{
	size_t n = exposure->members.n, end;

	for (size_t first = 0; first < n; first = end) {
		end = n - first > BH_MAX_ENDPOINTS ? first + BH_MAX_ENDPOINTS : n;
		compile(exposure, first, end);
	}
}

struct exposure *exposure_new(struct review *review)
{
	struct exposure *exposure = must_new(sizeof(*exposure));

	exposure->review = review;
	cohorts_find(exposure);
	compile_all(exposure);
	return exposure;
}

void exposure_free(struct exposure *exposure)
{
	if (!exposure)
		return;
	vec_each(struct judge, judge, &exposure->judges) {
		policy_free(judge->policy);
		free(judge->classes);
	}
	vec_fini(&exposure->judges);
	cohorts_fini(exposure);
	free(exposure);
}

const struct block *exposure_block(const struct exposure *exposure, const struct bh_addr *addr)
{
	return blocks_find(&exposure->blocks, addr);
}

const struct crowd *exposure_crowd(const struct exposure *exposure)
{
	return &exposure->crowd;
}

size_t exposure_cohorts(const struct exposure *exposure, const struct cohort **ret)
{
	*ret = exposure->cohorts.v;
	return exposure->cohorts.n;
}

size_t exposure_blocks(const struct exposure *exposure, const struct block **ret)
{
	*ret = exposure->blocks.v;
	return exposure->blocks.n;
}
