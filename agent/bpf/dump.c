// SPDX-License-Identifier: Apache-2.0
// dump.c - what the tables hold, for an agent that takes them over; what they cost.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "agent/base/vec.h"
#include "agent/bpf/state.h"

typedef VEC(struct policy_tables_peer) peers_t;
typedef VEC(struct policy_tables_cell) cells_t;
typedef VEC(struct policy_tables_service) services_t;
typedef VEC(struct policy_tables_self) selves_t;

static int dump_peer(void *arg, const void *key, const void *value)
{
	const struct bh_peer *peer = value;
	struct policy_tables_peer one = { .cidr.prefixlen = 128, .cls = peer->cls };

	memcpy(&one.cidr.addr, key, sizeof(one.cidr.addr));
	return vec_push((peers_t *)arg, one);
}

static int dump_cidr(void *arg, const void *key, const void *value)
{
	struct policy_tables_peer one;

	memcpy(&one.cidr, key, sizeof(one.cidr));
	memcpy(&one.cls, value, sizeof(one.cls));
	return vec_push((peers_t *)arg, one);
}

static int dump_cell(void *arg, const void *key, const void *value)
{
	struct policy_tables_cell one;

	memcpy(&one.key, key, sizeof(one.key));
	memcpy(&one.cell, value, sizeof(one.cell));
	return vec_push((cells_t *)arg, one);
}

static int dump_peers(struct tables *tables, struct policy_tables *ret)
{
	peers_t peers = { 0 }, cidrs = { 0 };
	cells_t cells = { 0 };
	int r = map_each(&tables->maps[TABLE_PEER], dump_peer, &peers);

	if (r == 0)
		r = map_each(&tables->maps[TABLE_CIDR], dump_cidr, &cidrs);
	if (r == 0)
		r = map_each(&tables->maps[TABLE_CELL], dump_cell, &cells);
	ret->peers = peers.v;
	ret->npeers = (uint32_t)peers.n;
	ret->cidrs = cidrs.v;
	ret->ncidrs = (uint32_t)cidrs.n;
	ret->cells = cells.v;
	ret->ncells = (uint32_t)cells.n;
	return r;
}

static int dump_service(void *arg, const void *key, const void *value)
{
	struct policy_tables_service one = { .word = ((const struct bh_service *)value)->cls };

	memcpy(&one.key, key, sizeof(one.key));
	return vec_push((services_t *)arg, one);
}

static int dump_self(void *arg, const void *key, const void *value)
{
	struct policy_tables_self one = { .how = ((const struct bh_self *)value)->how };

	memcpy(&one.key, key, sizeof(one.key));
	return vec_push((selves_t *)arg, one);
}

static int dump_services(struct tables *tables, struct policy_tables *ret)
{
	services_t services = { 0 };
	selves_t selves = { 0 };
	int r = map_each(&tables->maps[TABLE_SERVICE], dump_service, &services);

	if (r == 0)
		r = map_each(&tables->maps[TABLE_SELF], dump_self, &selves);
	ret->services = services.v;
	ret->nservices = (uint32_t)services.n;
	ret->selves = selves.v;
	ret->nselves = (uint32_t)selves.n;
	return r;
}

static int dump_ports(struct tables *tables, struct policy_tables *ret)
{
	size_t bytes = sizeof(*tables->ports) * tables->maps[TABLE_PORT].max_entries;

	ret->ports = malloc(bytes);
	if (!ret->ports)
		return -ENOMEM;
	memcpy(ret->ports, tables->ports, bytes);
	return 0;
}

static int dump_matrices(struct tables *tables, struct policy_tables *ret)
{
	VEC(struct policy_tables_matrix) matrices = { 0 };
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < tables->maps[TABLE_POLICY].max_entries; i++) {
		struct policy_tables_matrix one = { .policy = i };

		r = inner_copy(tables, i, &one.units, &one.nunits);
		if (r == 0)
			r = vec_push(&matrices, one);
		else if (r == -ENOENT)
			r = 0;
	}
	ret->matrices = matrices.v;
	ret->nmatrices = (uint32_t)matrices.n;
	return r;
}

static int dump_endpoints(struct tables *tables, struct policy_tables *ret)
{
	VEC(struct policy_tables_endpoint) endpoints = { 0 };
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < tables_nendpoints(tables); i++) {
		const struct bh_endpoint *e = &tables->endpoints[i];

		if (e->ident)
			r = vec_push(&endpoints, (struct policy_tables_endpoint){
							 i,
							 { e->policy[0], e->policy[1] },
							 { e->gen[0], e->gen[1] } });
	}
	ret->endpoints = endpoints.v;
	ret->nendpoints = (uint32_t)endpoints.n;
	return r;
}

int tables_dump(struct tables *tables, struct policy_tables *ret)
{
	struct policy_tables dump = { .halfway = tables_node_has(tables, BH_NODE_PLAN) };
	int r = dump_peers(tables, &dump);

	if (r == 0)
		r = dump_ports(tables, &dump);
	if (r == 0)
		r = dump_services(tables, &dump);
	if (r == 0)
		r = dump_matrices(tables, &dump);
	if (r == 0)
		r = dump_endpoints(tables, &dump);
	if (r == 0)
		*ret = dump;
	else
		policy_tables_fini(&dump);
	return r;
}

// ---- what they cost ---------------------------------------------------------------------------------

// "memlock:\t123" of the fd's proc file; 0 when it cannot be read.
static int64_t kernel_bytes(int fd)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[128];
	long bytes = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %ld", &bytes) == 1)
			break;
	return bytes;
}

static int64_t matrices_bytes(const struct tables *tables)
{
	int64_t bytes = 0;

	for (uint32_t i = 0; i < tables->maps[TABLE_POLICY].max_entries; i++) {
		_cleanup_close_ int fd = inner_open(tables, i);

		if (fd >= 0)
			bytes += kernel_bytes(fd);
	}
	return bytes;
}

bool tables_use(const struct tables *tables, int index, struct table_use *ret)
{
	if (index < 0 || index >= TABLE_MAX)
		return false;
	*ret = (struct table_use){ table_names[index], tables->maps[index].max_entries };
	if (index == TABLE_HALF)
		ret->max_entries *= BH_HALF_WAYS;
	return true;
}

uint64_t tables_use_bytes(const struct tables *tables, int index)
{
	return (uint64_t)kernel_bytes(tables->maps[index].fd);
}

struct json_object *tables_memory(const struct tables *tables)
{
	struct json_object *json = json_object_new_object();

	for (int i = 0; json && i < TABLE_MAX; i++)
		json_object_object_add(json, table_names[i],
				       json_object_new_int64(kernel_bytes(tables->maps[i].fd)));
	if (json)
		json_object_object_add(json, "matrices",
				       json_object_new_int64(matrices_bytes(tables)));
	return json;
}
