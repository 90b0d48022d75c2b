// SPDX-License-Identifier: Apache-2.0
// eval.c - asking the compiled state: verdicts by the datapath's own lines, rules by name, numbers.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/policy/must.h"
#include "agent/policy/room.h"

static const union bh_unit *unit_at(const struct matrix *matrix, uint32_t index)
{
	return index < matrix->nunits ? &matrix->units[index] : NULL;
}

static const struct bh_cell *exception_at(const struct matrix *matrix,
					  const struct bh_cell_key *key)
{
	const struct row *row = key->row < matrix->rows.n ? matrix->rows.v[key->row] : NULL;

	for (uint32_t i = 0; row && i < row->n; i++)
		if (row->v[i].col == key->col)
			return &row->v[i].cell;
	return NULL;
}

BH_DEFINE_MATRIX_READ(read_matrix, const struct matrix *, unit_at, exception_at)

static const struct cls *class_of(const struct policy *policy, const struct bh_addr *addr)
{
	const struct spot *spot = space_reach(&policy->cluster.space, addr);
	const struct loc *above;

	if (spot->len == 128 && spot_loc(spot, true)->in_table)
		return spot_loc(spot, true)->cls;
	above = space_shown_above((struct spot *)spot, true);
	return above ? above->cls : NULL;
}

static enum bh_reason judge_fixed(const struct matrix *matrix, struct bh_judgement *ret)
{
	bool allow = matrix->id == BH_POLICY_ALLOW;

	ret->gen = matrix->gen;
	ret->verdict = ret->shadow =
		BH_CELL_WORD(allow ? BH_VERDICT_ALLOW : BH_VERDICT_DENY, BH_RULE_NONE);
	return allow ? BH_REASON_ALLOWED : BH_REASON_POLICY_DENIED;
}

static const struct matrix *judge_of(const struct policy *policy, uint32_t slot, enum bh_dir dir)
{
	const struct endpoint *endpoint = slot < policy->slots.n ? policy->slots.v[slot] : NULL;

	return endpoint ? endpoint->shown[dir] : NULL;
}

static enum bh_reason judge_address(const struct policy *policy, const struct matrix *matrix,
				    const struct bh_addr *remote, uint8_t proto, uint16_t port,
				    bool as_node, struct bh_judgement *ret)
{
	const struct cls *pcls = portset_find(&policy->ports, proto, port);
	enum bh_reason reason;

	reason = read_matrix(matrix, &matrix->units->head, matrix->id, policy_peer_class(policy, remote),
			     pcls->id, ret);
	if (as_node && reason == BH_REASON_POLICY_DENIED &&
	    BH_CELL_VERDICT(ret->verdict) == BH_VERDICT_DENY)
		return BH_REASON_OWN_NODE;
	return reason;
}

uint32_t policy_peer_class(const struct policy *policy, const struct bh_addr *addr)
{
	const struct cls *cls = class_of(policy, addr);

	return cls && cls->id != IDS_NONE ? cls->id : BH_CLASS_NONE;
}

uint32_t policy_row(const struct policy *policy, uint32_t slot, enum bh_dir dir, uint32_t cls)
{
	const struct matrix *matrix = judge_of(policy, slot, dir);

	if (!matrix)
		return BH_ROW_NONE;
	return matrix_fixed(policy, matrix) ? 0 : matrix_row_of(matrix, cls);
}

// ---- Services -----------------------------------------------------------------------------------------------

static const struct svckey *key_in_table(const struct policy *policy, const struct bh_addr *addr,
					 uint8_t proto, uint16_t port)
{
	struct bh_service_key key = { .port = htons(port), .proto = proto };
	const struct svckey *found;

	memcpy(key.addr, addr, sizeof(key.addr));
	found = svckey_find(&policy->services, &key);
	return found && found->loc.in_table ? found : NULL;
}

static const struct svckey *service_key(const struct policy *policy, const struct bh_addr *addr,
					uint8_t proto, uint16_t port, bool as_node)
{
	const struct bh_addr any = { 0 };
	const struct svckey *key;

	if (portset_proto(proto) < 0)
		return NULL;
	key = key_in_table(policy, addr, proto, port);
	if (key || !as_node)
		return key;
	key = key_in_table(policy, &any, proto, port);
	return key && bh_service_has(key->word, bh_addr_is4(addr)) ? key : NULL;
}

static uint32_t self_of(const struct svckey *key, uint32_t slot)
{
	for (size_t i = 0; i < key->selves.n; i++)
		if (key->selves.v[i].slot == slot)
			return key->selves.v[i].how;
	return BH_SELF_NOT;
}

static enum bh_reason judge_service(const struct policy *policy, const struct matrix *matrix,
				    const struct svckey *key, uint32_t slot,
				    struct bh_judgement *ret)
{
	enum bh_reason reason;
	uint32_t how;

	if (matrix_fixed(policy, matrix))
		reason = judge_fixed(matrix, ret);
	else
		reason = read_matrix(matrix, &matrix->units->head, matrix->id,
				     BH_SERVICE_CLASS(key->word), BH_PORT_CLASS_NONE, ret);
	if (reason != BH_REASON_POLICY_DENIED)
		return reason;
	if (key->word & BH_SERVICE_EMPTY)
		return BH_REASON_SERVICE_EMPTY;
	how = BH_CELL_VERDICT(ret->verdict) == BH_VERDICT_DENY ? self_of(key, slot) : BH_SELF_NOT;
	if (how == BH_SELF_ONLY)
		return BH_REASON_HAIRPIN;
	if (how == BH_SELF_ONE || BH_CELL_VERDICT(ret->verdict) == BH_VERDICT_MIXED)
		return BH_REASON_SERVICE_MIXED;
	return reason;
}

enum bh_reason policy_eval(const struct policy *policy, uint32_t slot, enum bh_dir dir,
			   const struct bh_addr *remote, uint8_t proto, uint16_t port, bool as_node,
			   struct bh_judgement *ret)
{
	const struct matrix *matrix = judge_of(policy, slot, dir);
	const struct svckey *key;
	enum bh_reason reason;

	*ret = (struct bh_judgement){ 0 };
	if (!matrix)
		return BH_REASON_NO_POLICY;
	ret->gen = matrix->gen;
	key = dir == BH_EGRESS ? service_key(policy, remote, proto, port, as_node) : NULL;
	if (key)
		return judge_service(policy, matrix, key, slot, ret);
	if (matrix_fixed(policy, matrix)) {
		reason = judge_fixed(matrix, ret);
		return as_node && reason == BH_REASON_POLICY_DENIED ? BH_REASON_OWN_NODE : reason;
	}
	return judge_address(policy, matrix, remote, proto, port, as_node, ret);
}

bool policy_service_find(const struct policy *policy, const struct bh_addr *addr, uint8_t proto,
			 uint16_t port, bool as_node, struct policy_service *ret)
{
	const struct svckey *key = service_key(policy, addr, proto, port, as_node);
	const struct front *front;

	if (!key || !key->fronts.n)
		return false;
	front = key->fronts.v[0];
	*ret = (struct policy_service){
		.kind = front->service ? KIND_SERVICE : KIND_POD,
		.ns = front->service ? front->service->ns : front->pod->ns->name,
		.name = front->service ? front->service->name : front->pod->name,
		.port = front->name,
		.any = svckey_is_any(&key->key),
	};
	for (size_t i = 0; i < key->fronts.n; i++)
		ret->nbackends += (uint32_t)key->fronts.v[i]->backends.n;
	return true;
}

static enum bh_reason judge_backend(const struct policy *policy, uint32_t slot,
				    const struct backend *backend, struct bh_judgement *ret)
{
	const struct matrix *matrix = judge_of(policy, slot, BH_EGRESS);
	const struct podent *pod = spot_winner(backend->spot);
	enum bh_reason reason;

	*ret = (struct bh_judgement){ 0 };
	if (!matrix)
		return BH_REASON_NO_POLICY;
	if (matrix_fixed(policy, matrix))
		return judge_fixed(matrix, ret);
	ret->gen = matrix->gen;
	reason = judge_address(policy, matrix, &backend->spot->addr, backend->target->protocol,
			       backend->target->port, spot_is_own_node(policy, backend->spot), ret);
	if (reason == BH_REASON_POLICY_DENIED && pod && pod->endpoint &&
	    pod->endpoint->slot == slot && BH_CELL_VERDICT(ret->verdict) == BH_VERDICT_DENY)
		return BH_REASON_HAIRPIN;
	return reason;
}

void policy_backend_each(const struct policy *policy, uint32_t slot, const struct bh_addr *addr,
			 uint8_t proto, uint16_t port, bool as_node, policy_backend_fn fn, void *arg)
{
	const struct svckey *key = service_key(policy, addr, proto, port, as_node);

	for (size_t i = 0; key && i < key->fronts.n; i++)
		for (size_t j = 0; j < key->fronts.v[i]->backends.n; j++) {
			const struct backend *backend = &key->fronts.v[i]->backends.v[j];
			struct bh_judgement judgement;
			enum bh_reason reason;

			if (!svckey_has(&key->key, &backend->spot->addr))
				continue;
			reason = judge_backend(policy, slot, backend, &judgement);
			fn(arg, &backend->spot->addr, backend->target->port, reason,
			   &judgement);
		}
}

// ---- names --------------------------------------------------------------------------------------------------

bool policy_rule_info(const struct policy *policy, uint32_t rule, struct rule_info *ret)
{
	const struct ruleid *ruleid;

	*ret = (struct rule_info){ .kind = RULE_NONE };
	if (rule == BH_RULE_NONE)
		return true;
	ruleid = ruleid_find(&policy->ruleids, rule);
	if (!ruleid) {
		ret->kind = RULE_UNKNOWN;
		return false;
	}
	*ret = ruleid->info;
	return true;
}

static void print_info(FILE *out, const struct rule_info *info)
{
	switch (info->kind) {
	case RULE_NONE:
		fputs("no policy", out);
		break;
	case RULE_NETPOL:
		fprintf(out, "NetworkPolicy %s rule %u", info->policies[0], info->index);
		break;
	case RULE_CLUSTERNETPOL:
		fprintf(out, "ClusterNetworkPolicy %s rule %u", info->policies[0], info->index);
		if (info->name)
			fprintf(out, " '%s'", info->name);
		break;
	case RULE_DEFAULT_DENY:
		fputs("default deny (", out);
		for (uint32_t i = 0; i < info->npolicies; i++)
			fprintf(out, "%s%s", i ? ", " : "", info->policies[i]);
		fputc(')', out);
		break;
	case RULE_UNKNOWN:
		fputs("unknown rule", out);
		break;
	}
}

const char *policy_rule_text(const struct policy *policy, uint32_t rule, char *buf, size_t bytes)
{
	struct rule_info info;
	char *text = NULL;
	size_t len = 0;
	FILE *out = must(open_memstream(&text, &len));

	policy_rule_info(policy, rule, &info);
	print_info(out, &info);
	if (fclose(out))
		abort();
	snprintf(buf, bytes, "%s", text);
	free(text);
	return buf;
}

// An endpoint that nothing may enter or leave, as no matrix could be made for it.
static void problem_of(const struct endpoint *endpoint, policy_problem_fn fn, void *arg)
{
	static const char *const what[BH_DIR_MAX] = { "enter", "leave" };

	for (int dir = 0; endpoint->pod && dir < BH_DIR_MAX; dir++) {
		const struct matrix *matrix = endpoint->next[dir];
		char text[128];

		if (!matrix || matrix->id != IDS_NONE)
			continue;
		snprintf(text, sizeof(text), "%s: nothing may %s it",
			 matrix->hopeless ? "its policies need more cells than the table has left" :
					    "the table of compiled policies is full",
			 what[dir]);
		fn(arg, KIND_POD, endpoint->pod->ns->name, endpoint->pod->name, text);
	}
}

static void service_problems(const struct policy *policy, policy_problem_fn fn, void *arg)
{
	const struct svcent *service;
	char text[160];
	size_t at = 0;

	while ((service = hash_next(&policy->services.by_name, &at))) {
		if (service->refused) {
			snprintf(text, sizeof(text),
				 "has more addresses and ports, or kinds of backends, than %s: it is denied",
				 service->refused);
			fn(arg, KIND_SERVICE, service->ns, service->name, text);
		}
		if (service->overgrown)
			fn(arg, KIND_SERVICE, service->ns, service->name,
			   "has more backends than its namespace's share allows: it is denied");
		if (service->homeless)
			fn(arg, KIND_SERVICE, service->ns, service->name,
			   "finds no room in the table: it is judged as an address is");
	}
}

void policy_problem_each(const struct policy *policy, policy_problem_fn fn, void *arg)
{
	struct polent *polent;
	size_t at = 0;

	while ((polent = hash_next(&policy->polents, &at))) {
		if (polent->object && polent->object->problem)
			fn(arg, polent->kind, polent->ns, polent->name, polent->object->problem);
		if (polent->object && polent->lowered && polent->refusal)
			fn(arg, polent->kind, polent->ns, polent->name, polent->problem);
	}
	service_problems(policy, fn, arg);
	for (size_t i = 0; i < policy->slots.n; i++)
		if (policy->slots.v[i])
			problem_of(policy->slots.v[i], fn, arg);
}

void policy_selecting_each(const struct policy *policy, uint32_t slot, enum bh_dir dir,
			   policy_selecting_fn fn, void *arg)
{
	const struct endpoint *endpoint = slot < policy->slots.n ? policy->slots.v[slot] : NULL;

	for (size_t i = 0; endpoint && i < endpoint->selecting[dir].n; i++)
		if (endpoint->selecting[dir].v[i]->object)
			fn(arg, endpoint->selecting[dir].v[i]->object);
}

// ---- numbers ------------------------------------------------------------------------------------------------

static uint32_t count_classes(const struct classes *classes)
{
	uint32_t n = 0;

	for (size_t i = 0; i < classes->by_id.n; i++)
		n += classes->by_id.v[i] != NULL;
	return n;
}

void policy_stats(const struct policy *policy, struct policy_stats *ret)
{
	*ret = (struct policy_stats){
		.peer_classes = count_classes(&policy->classes),
		.port_classes = count_classes(&policy->ports.classes),
		.peers = policy->cluster.space.peers,
		.cidrs = policy->cluster.space.cidrs,
		.matrices = (uint32_t)policy->matrices.n,
		.rules = (uint32_t)policy->ruleids.by_id.n,
		.compiles = policy->compiles,
		.lookups = policy->lookups,
		.services = services_count(policy),
		.service_keys = policy->services.in_table,
		.selves = policy->services.selves,
		.mixed = services_mixed(policy),
	};
	for (size_t i = 0; i < policy->slots.n; i++)
		ret->endpoints += policy->slots.v[i] && !policy->slots.v[i]->gone;
	for (size_t i = 0; i < policy->matrices.n; i++) {
		ret->matrix_bytes +=
			(uint64_t)policy->matrices.v[i]->nunits * sizeof(union bh_unit);
		ret->sparse_cells += policy->matrices.v[i]->sparse_cells;
	}
}
