// SPDX-License-Identifier: Apache-2.0
// tables.c - maps as hashes and lists, steps as the kernel room would run them, reads load by load.
#include "tests/harness/test.h"

#include <arpa/inet.h>

#include "tests/harness/tables.h"

static bool is_peer(const void *item, const void *key)
{
	return bh_addr_equal(&((const struct mempeer *)item)->cidr.addr, key);
}

static bool is_cell(const void *item, const void *key)
{
	return !memcmp(&((const struct memcell *)item)->key, key, sizeof(struct bh_cell_key));
}

static bool is_service(const void *item, const void *key)
{
	return !memcmp(&((const struct memservice *)item)->key, key, sizeof(struct bh_service_key));
}

static bool is_self(const void *item, const void *key)
{
	return !memcmp(&((const struct memself *)item)->key, key, sizeof(struct bh_self_key));
}

static uint64_t addr_hash(const struct bh_addr *addr)
{
	return hash_bytes(addr, sizeof(*addr));
}

static uint64_t key_hash(const struct bh_cell_key *key)
{
	return hash_bytes(key, sizeof(*key));
}

struct memtables *memtables_new(void)
{
	struct memtables *tables = calloc(1, sizeof(*tables));

	assert_non_null(tables);
	tables->ports = calloc(65536, sizeof(*tables->ports));
	assert_non_null(tables->ports);
	return tables;
}

// Poisons what it frees, so that a late reader fails without a sanitizer, too.
static void matrix_end(struct memmatrix *matrix)
{
	if (!matrix)
		return;
	memset(matrix->units, 0xa5, matrix->nunits * sizeof(*matrix->units));
	free(matrix->units);
	free(matrix);
}

void memtables_free(struct memtables *tables)
{
	size_t at = 0;
	void *item;

	if (!tables)
		return;
	while ((item = hash_next(&tables->peers, &at)))
		free(item);
	for (at = 0; (item = hash_next(&tables->cells, &at));)
		free(item);
	for (at = 0; (item = hash_next(&tables->services, &at));)
		free(item);
	for (at = 0; (item = hash_next(&tables->selves, &at));)
		free(item);
	vec_each(struct memmatrix *, matrix, &tables->matrices)
		matrix_end(*matrix);
	vec_each(struct memmatrix *, matrix, &tables->dying)
		matrix_end(*matrix);
	hash_fini(&tables->services);
	hash_fini(&tables->selves);
	hash_fini(&tables->peers);
	hash_fini(&tables->cells);
	vec_fini(&tables->cidrs);
	vec_fini(&tables->matrices);
	vec_fini(&tables->dying);
	free(tables->ports);
	free(tables);
}

// ---- steps --------------------------------------------------------------------------------------------------

static struct memmatrix *matrix_at(const struct memtables *tables, uint32_t policy)
{
	return policy < tables->matrices.n ? tables->matrices.v[policy] : NULL;
}

static void step_matrix(struct memtables *tables, const struct step *step)
{
	struct memmatrix *matrix = matrix_at(tables, step->matrix.policy);
	size_t bytes = step->matrix.nunits * sizeof(union bh_unit);

	assert_true(step->matrix.policy >= BH_POLICY_FIRST);
	while (tables->matrices.n <= step->matrix.policy)
		assert_ok(vec_push(&tables->matrices, NULL));
	switch (step->kind) {
	case STEP_MATRIX_NEW:
		if (matrix) { // a larger image of the same
			assert_int_equal(matrix->units->head.gen, step->matrix.units->head.gen);
			assert_ok(vec_push(&tables->dying, matrix));
		}
		matrix = calloc(1, sizeof(*matrix));
		matrix->policy = step->matrix.policy;
		matrix->nunits = step->matrix.nunits;
		matrix->units = malloc(bytes);
		memcpy(matrix->units, step->matrix.units, bytes);
		tables->matrices.v[step->matrix.policy] = matrix;
		break;
	case STEP_MATRIX_UNIT:
		assert_non_null(matrix);
		assert_true(step->matrix.index < matrix->nunits);
		matrix->units[step->matrix.index] = step->matrix.unit;
		break;
	default:
		assert_non_null(matrix);
		for (int i = 0; i < MEMTABLES_SLOTS; i++)
			for (int d = 0; d < BH_DIR_MAX; d++)
				assert_true(tables->endpoints[i].policy[d] != step->matrix.policy);
		assert_ok(vec_push(&tables->dying, matrix));
		tables->matrices.v[step->matrix.policy] = NULL;
	}
}

static void step_cell(struct memtables *tables, const struct step *step)
{
	uint64_t hash = key_hash(&step->cell.key);
	struct memcell *cell = hash_find(&tables->cells, hash, is_cell, &step->cell.key);

	if (step->kind == STEP_CELL_DEL) {
		assert_non_null(cell);
		hash_remove(&tables->cells, hash, cell);
		free(cell);
		return;
	}
	if (!cell) {
		cell = calloc(1, sizeof(*cell));
		cell->key = step->cell.key;
		assert_ok(hash_add(&tables->cells, hash, cell));
	}
	cell->cell = step->cell.cell;
}

static void step_peer(struct memtables *tables, const struct step *step)
{
	uint64_t hash = addr_hash(&step->peer.cidr.addr);
	struct mempeer *peer = hash_find(&tables->peers, hash, is_peer, &step->peer.cidr.addr);

	assert_int_equal(step->peer.cidr.prefixlen, 128);
	if (step->kind == STEP_PEER_DEL) {
		assert_non_null(peer);
		hash_remove(&tables->peers, hash, peer);
		free(peer);
		return;
	}
	assert_int_not_equal(step->peer.cls, BH_CLASS_NONE);
	if (!peer) {
		peer = calloc(1, sizeof(*peer));
		peer->cidr = step->peer.cidr;
		assert_ok(hash_add(&tables->peers, hash, peer));
	}
	peer->cls = step->peer.cls;
}

static void step_service(struct memtables *tables, const struct step *step)
{
	const struct bh_service_key *key = &step->service.key;
	uint64_t hash = hash_bytes(key, sizeof(*key));
	struct memservice *service = hash_find(&tables->services, hash, is_service, key);

	if (step->kind == STEP_SERVICE_DEL) {
		assert_non_null(service);
		hash_remove(&tables->services, hash, service);
		free(service);
		return;
	}
	assert_int_not_equal(BH_SERVICE_CLASS(step->service.word), BH_CLASS_NONE);
	if (!service) {
		service = calloc(1, sizeof(*service));
		service->key = *key;
		assert_ok(hash_add(&tables->services, hash, service));
	}
	service->word = step->service.word;
}

static void step_self(struct memtables *tables, const struct step *step)
{
	struct bh_self_key key = { step->service.slot, step->service.key };
	uint64_t hash = hash_bytes(&key, sizeof(key));
	struct memself *self = hash_find(&tables->selves, hash, is_self, &key);

	if (step->kind == STEP_SELF_DEL) {
		assert_non_null(self);
		hash_remove(&tables->selves, hash, self);
		free(self);
		return;
	}
	assert_int_not_equal(step->service.how, BH_SELF_NOT);
	if (!self) {
		self = calloc(1, sizeof(*self));
		self->key = key;
		assert_ok(hash_add(&tables->selves, hash, self));
	}
	self->how = step->service.how;
}

static void step_cidr(struct memtables *tables, const struct step *step)
{
	struct mempeer *found = NULL;

	vec_each(struct mempeer, cidr, &tables->cidrs)
		if (!memcmp(&cidr->cidr, &step->peer.cidr, sizeof(cidr->cidr)))
			found = cidr;
	if (step->kind == STEP_CIDR_DEL) {
		assert_non_null(found);
		assert_true(step->peer.cidr.prefixlen != 0);
		vec_drop(&tables->cidrs, (size_t)(found - tables->cidrs.v));
		return;
	}
	assert_int_not_equal(step->peer.cls, BH_CLASS_NONE);
	if (found)
		found->cls = step->peer.cls;
	else
		assert_ok(vec_push(&tables->cidrs,
				   (struct mempeer){ step->peer.cidr, step->peer.cls }));
}

static void step_wait(struct memtables *tables)
{
	vec_each(struct memmatrix *, matrix, &tables->dying)
		matrix_end(*matrix);
	vec_clear(&tables->dying);
	tables->waits++;
}

static void step_endpoint(struct memtables *tables, const struct step *step)
{
	assert_true(step->endpoint.slot < MEMTABLES_SLOTS);
	for (int d = 0; d < BH_DIR_MAX; d++) {
		uint32_t policy = step->endpoint.policy[d];

		assert_int_not_equal(step->endpoint.gen[d], 0);
		if (policy >= BH_POLICY_FIRST) {
			assert_non_null(matrix_at(tables, policy));
			assert_int_equal(matrix_at(tables, policy)->units->head.gen,
					 step->endpoint.gen[d]);
		}
		tables->endpoints[step->endpoint.slot].policy[d] = policy;
		tables->endpoints[step->endpoint.slot].gen[d] = step->endpoint.gen[d];
	}
}

void memtables_step(struct memtables *tables, const struct step *step)
{
	tables->steps++;
	switch (step->kind) {
	case STEP_WAIT:
		step_wait(tables);
		break;
	case STEP_MATRIX_NEW:
	case STEP_MATRIX_UNIT:
	case STEP_MATRIX_FREE:
		step_matrix(tables, step);
		break;
	case STEP_CELL_SET:
	case STEP_CELL_DEL:
		step_cell(tables, step);
		break;
	case STEP_PEER_SET:
	case STEP_PEER_DEL:
		step_peer(tables, step);
		break;
	case STEP_CIDR_SET:
	case STEP_CIDR_DEL:
		step_cidr(tables, step);
		break;
	case STEP_PORT_SET:
		for (uint32_t p = step->port.lo; p <= step->port.hi; p++)
			tables->ports[p].cls[step->port.proto] = step->port.cls;
		break;
	case STEP_ENDPOINT:
		step_endpoint(tables, step);
		break;
	case STEP_SERVICE_SET:
	case STEP_SERVICE_DEL:
		step_service(tables, step);
		break;
	case STEP_SELF_SET:
	case STEP_SELF_DEL:
		step_self(tables, step);
		break;
	case STEP_FORGET: // connections are not modelled
	case STEP_RESOLVE:
		break;
	default:
		fail_msg("step of kind %d", step->kind);
	}
}

void memtables_run(struct memtables *tables, const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->nsteps; i++)
		memtables_step(tables, &plan->steps[i]);
}

// ---- dump ---------------------------------------------------------------------------------------------------

static void dump_matrices(const struct memtables *tables, struct policy_tables *ret)
{
	ret->matrices = calloc(tables->matrices.n + 1, sizeof(*ret->matrices));
	for (size_t i = 0; i < tables->matrices.n; i++) {
		const struct memmatrix *from = tables->matrices.v[i];
		struct policy_tables_matrix *to;

		if (!from)
			continue;
		to = &ret->matrices[ret->nmatrices++];
		to->policy = from->policy;
		to->nunits = from->nunits;
		to->units = malloc(from->nunits * sizeof(*to->units));
		memcpy(to->units, from->units, from->nunits * sizeof(*to->units));
	}
}

static void dump_endpoints(const struct memtables *tables, struct policy_tables *ret)
{
	ret->endpoints = calloc(MEMTABLES_SLOTS, sizeof(*ret->endpoints));
	for (uint32_t i = 0; i < MEMTABLES_SLOTS; i++) {
		struct policy_tables_endpoint *to = &ret->endpoints[ret->nendpoints];

		if (!tables->endpoints[i].gen[0])
			continue;
		to->slot = i;
		memcpy(to->policy, tables->endpoints[i].policy, sizeof(to->policy));
		memcpy(to->gen, tables->endpoints[i].gen, sizeof(to->gen));
		ret->nendpoints++;
	}
}

static void dump_services(const struct memtables *tables, struct policy_tables *ret)
{
	const struct memservice *service;
	const struct memself *self;
	size_t at = 0;

	ret->services = calloc(tables->services.n + 1, sizeof(*ret->services));
	while ((service = hash_next(&tables->services, &at)))
		ret->services[ret->nservices++] =
			(struct policy_tables_service){ service->key, service->word };
	ret->selves = calloc(tables->selves.n + 1, sizeof(*ret->selves));
	for (at = 0; (self = hash_next(&tables->selves, &at));)
		ret->selves[ret->nselves++] = (struct policy_tables_self){ self->key, self->how };
}

void memtables_dump(const struct memtables *tables, struct policy_tables *ret)
{
	const struct mempeer *peer;
	const struct memcell *cell;
	size_t at = 0;

	*ret = (struct policy_tables){ 0 };
	ret->peers = calloc(tables->peers.n + 1, sizeof(*ret->peers));
	while ((peer = hash_next(&tables->peers, &at)))
		ret->peers[ret->npeers++] = (struct policy_tables_peer){ peer->cidr, peer->cls };
	ret->cidrs = calloc(tables->cidrs.n + 1, sizeof(*ret->cidrs));
	for (size_t i = 0; i < tables->cidrs.n; i++)
		ret->cidrs[ret->ncidrs++] = (struct policy_tables_peer){ tables->cidrs.v[i].cidr,
									 tables->cidrs.v[i].cls };
	ret->ports = malloc(65536 * sizeof(*ret->ports));
	memcpy(ret->ports, tables->ports, 65536 * sizeof(*ret->ports));
	ret->cells = calloc(tables->cells.n + 1, sizeof(*ret->cells));
	for (at = 0; (cell = hash_next(&tables->cells, &at));)
		ret->cells[ret->ncells++] = (struct policy_tables_cell){ cell->key, cell->cell };
	dump_services(tables, ret);
	dump_matrices(tables, ret);
	dump_endpoints(tables, ret);
}

// ---- reading ------------------------------------------------------------------------------------------------

static uint32_t read_peer(const struct memtables *tables, const struct bh_addr *addr)
{
	const struct mempeer *peer = hash_find(&tables->peers, addr_hash(addr), is_peer, addr);

	return peer ? peer->cls : BH_CLASS_NONE;
}

// BH_CLASS_NONE: it is no Service's.
static uint32_t read_service(const struct memtables *tables, enum bh_dir dir,
			     const struct bh_addr *addr, uint8_t proto, uint16_t port)
{
	struct bh_service_key key = { .port = htons(port), .proto = proto };
	const struct memservice *service;

	if (dir != BH_EGRESS || (proto != 6 && proto != 17 && proto != 132))
		return BH_CLASS_NONE;
	memcpy(key.addr, addr, sizeof(key.addr));
	service = hash_find(&tables->services, hash_bytes(&key, sizeof(key)), is_service, &key);
	memset(key.addr, 0, sizeof(key.addr));
	if (!service && tables->is_host && tables->is_host(addr))
		service = hash_find(&tables->services, hash_bytes(&key, sizeof(key)), is_service, &key);
	if (service && !bh_service_has(service->word, bh_addr_is4(addr)))
		return BH_CLASS_NONE;
	return service ? BH_SERVICE_CLASS(service->word) : BH_CLASS_NONE;
}

static bool covers(const struct bh_cidr *cidr, const struct bh_addr *addr)
{
	for (uint32_t i = 0; i < cidr->prefixlen; i++) {
		uint32_t mask = htonl(0x80000000u >> (i % 32));

		if ((cidr->addr.w[i / 32] ^ addr->w[i / 32]) & mask)
			return false;
	}
	return true;
}

static uint32_t read_cidr(const struct memtables *tables, const struct bh_addr *addr)
{
	const struct mempeer *best = NULL;

	for (size_t i = 0; i < tables->cidrs.n; i++) {
		const struct mempeer *cidr = &tables->cidrs.v[i];

		if (covers(&cidr->cidr, addr) &&
		    (!best || cidr->cidr.prefixlen > best->cidr.prefixlen))
			best = cidr;
	}
	return best ? best->cls : BH_CLASS_NONE;
}

static uint32_t read_port(const struct memtables *tables, uint8_t proto, uint16_t port)
{
	switch (proto) {
	case 6:
		return tables->ports[port].cls[BH_PORT_TCP];
	case 17:
		return tables->ports[port].cls[BH_PORT_UDP];
	case 132:
		return tables->ports[port].cls[BH_PORT_SCTP];
	default:
		return BH_PORT_CLASS_NONE;
	}
}

static enum bh_reason fixed(uint32_t policy, struct bh_judgement *ret)
{
	bool allow = policy == BH_POLICY_ALLOW;

	ret->gen = BH_GEN_OF(policy);
	ret->verdict = ret->shadow = BH_CELL_WORD(allow ? BH_VERDICT_ALLOW : BH_VERDICT_DENY, 0);
	return allow ? BH_REASON_ALLOWED : BH_REASON_POLICY_DENIED;
}

struct view {
	const struct memtables *tables;
	const struct memmatrix *matrix;
};

static const union bh_unit *unit_at(const struct view *view, uint32_t index)
{
	return index < view->matrix->nunits ? &view->matrix->units[index] : NULL;
}

static const struct bh_cell *exception_at(const struct view *view, const struct bh_cell_key *key)
{
	const struct memcell *cell = hash_find(&view->tables->cells, key_hash(key), is_cell, key);

	return cell ? &cell->cell : NULL;
}

BH_DEFINE_MATRIX_READ(read_matrix, const struct view *, unit_at, exception_at)

enum bh_reason memtables_ask(const struct memtables *tables, uint32_t slot, enum bh_dir dir,
			     const struct bh_addr *remote, uint8_t proto, uint16_t port,
			     struct bh_judgement *ret)
{
	uint32_t policy = tables->endpoints[slot].policy[dir], cls;
	struct view view = { tables, matrix_at(tables, policy) };

	*ret = (struct bh_judgement){ 0 };
	if (policy < BH_POLICY_FIRST)
		return fixed(policy, ret);
	if (!view.matrix)
		return BH_REASON_NO_POLICY;
	ret->gen = view.matrix->units->head.gen;
	cls = read_service(tables, dir, remote, proto, port);
	if (cls != BH_CLASS_NONE)
		return read_matrix(&view, &view.matrix->units->head, policy, cls,
				   BH_PORT_CLASS_NONE, ret);
	cls = read_peer(tables, remote);
	if (cls == BH_CLASS_NONE)
		cls = read_cidr(tables, remote);
	return read_matrix(&view, &view.matrix->units->head, policy, cls,
			   read_port(tables, proto, port), ret);
}

static void finish(struct memread *read, enum bh_reason reason)
{
	read->reason = reason;
	read->stage = MEMREAD_DONE;
}

static void finish_cell(struct memread *read, const struct bh_cell *cell)
{
	read->judgement.verdict = cell->verdict;
	read->judgement.shadow = cell->shadow;
	finish(read, BH_CELL_VERDICT(cell->verdict) == BH_VERDICT_ALLOW ? BH_REASON_ALLOWED :
									  BH_REASON_POLICY_DENIED);
}

static void load_lane(struct memread *read, uint32_t off, uint32_t end, uint32_t cls, uint32_t *out)
{
	uint32_t index = off + (cls >> 3);

	if (index >= end)
		finish(read, BH_REASON_CLASS_UNKNOWN);
	else
		*out = read->matrix->units[index].lane[cls & 7];
}

static void load_cell(const struct memtables *tables, struct memread *read)
{
	struct bh_cell_key key = { read->policy, (uint16_t)read->row, (uint16_t)read->col };
	struct view view = { tables, read->matrix };
	uint32_t index = read->row * (read->head.columns & 0xffff) + read->col;
	const struct bh_cell *cell = NULL;

	if (read->row == BH_ROW_NONE || read->col >= (read->head.columns & 0xffff)) {
		finish(read, BH_REASON_CLASS_UNKNOWN);
		return;
	}
	if (read->head.columns & BH_MATRIX_SPARSE) {
		if (read->stage == MEMREAD_EXCEPTION)
			cell = exception_at(&view, &key);
		index = read->row;
	}
	if (!cell && read->stage == MEMREAD_CELL)
		cell = &read->matrix->units[read->head.cell_off + index / 2].cell[index & 1];
	if (cell)
		finish_cell(read, cell);
}

bool memread_step(const struct memtables *tables, struct memread *read)
{
	enum memread_stage stage = read->stage;

	switch (stage) {
	case MEMREAD_ENDPOINT:
		read->policy = tables->endpoints[read->slot].policy[read->dir];
		if (read->policy < BH_POLICY_FIRST)
			finish(read, fixed(read->policy, &read->judgement));
		break;
	case MEMREAD_MATRIX:
		read->matrix = matrix_at(tables, read->policy);
		if (!read->matrix)
			finish(read, BH_REASON_NO_POLICY);
		break;
	case MEMREAD_HEAD:
		read->head = read->matrix->units->head;
		read->judgement.gen = read->head.gen;
		break;
	case MEMREAD_SERVICE:
		read->cls = read_service(tables, read->dir, &read->remote, read->proto, read->port);
		read->pcls = BH_PORT_CLASS_NONE;
		if (read->cls != BH_CLASS_NONE)
			read->stage = MEMREAD_ROW;
		break;
	case MEMREAD_PEER:
		read->cls = read_peer(tables, &read->remote);
		break;
	case MEMREAD_CIDR:
		if (read->cls == BH_CLASS_NONE)
			read->cls = read_cidr(tables, &read->remote);
		break;
	case MEMREAD_PORT:
		read->pcls = read_port(tables, read->proto, read->port);
		break;
	case MEMREAD_ROW:
		load_lane(read, 1, read->head.col_off, read->cls, &read->row);
		break;
	case MEMREAD_COLUMN:
		load_lane(read, read->head.col_off, read->head.cell_off, read->pcls, &read->col);
		break;
	case MEMREAD_EXCEPTION:
	case MEMREAD_CELL:
		load_cell(tables, read);
		break;
	case MEMREAD_DONE:
		return false;
	}
	if (read->stage == stage)
		read->stage++;
	return true;
}
