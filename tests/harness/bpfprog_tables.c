// SPDX-License-Identifier: Apache-2.0
// bpfprog_tables.c - writing and reading the tables by hand.
#include <bulkhead/service.h>

#include "tests/harness/bpfprog_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bulkhead/half.h>

static void set(const struct bpfprog *prog, const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpfprog_map(prog, map), key, value, BPF_ANY))
		bpfprog_die("%s", map);
}

void bpfprog_peer(const struct bpfprog *prog, const char *addr, uint32_t cls)
{
	struct bh_addr key = packet_addr(addr);
	struct bh_peer peer = { .cls = cls, .check = bh_addr_check(&key) };

	set(prog, "bh_peer", &key, &peer);
}

static uint32_t mapped_len(const struct bh_addr *addr, uint32_t len)
{
	return bh_addr_is4(addr) ? BH_V4_PREFIX + len : len;
}

void bpfprog_cidr(const struct bpfprog *prog, const char *addr, uint32_t len, uint32_t cls)
{
	struct bh_cidr key = { .addr = packet_addr(addr) };

	key.prefixlen = mapped_len(&key.addr, len);
	set(prog, "bh_cidr", &key, &cls);
}

void bpfprog_port(const struct bpfprog *prog, uint8_t proto, uint16_t lo, uint16_t hi, uint16_t cls)
{
	int lane = proto == IPPROTO_TCP ? BH_PORT_TCP :
		   proto == IPPROTO_UDP ? BH_PORT_UDP :
					  BH_PORT_SCTP;

	for (uint32_t port = lo; port <= hi; port++)
		prog->ports[port].cls[lane] = cls;
}

void bpfprog_host(const struct bpfprog *prog, const char *addr, uint32_t flags)
{
	struct bh_addr key = packet_addr(addr);
	struct bh_host host = { .flags = flags, .check = bh_addr_check(&key) };

	set(prog, "bh_host", &key, &host);
}

void bpfprog_node(const struct bpfprog *prog, uint32_t flags)
{
	struct bh_node node;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpfprog_map(prog, "bh_node"), &zero, &node))
		bpfprog_die("bh_node");
	node.flags = flags;
	node.any_ports = flags & BH_NODE_SERVICES ? 0xffffu << 16 : BH_ANY_PORTS_NONE;
	set(prog, "bh_node", &zero, &node);
}

void bpfprog_any_ports(const struct bpfprog *prog, uint16_t lo, uint16_t hi)
{
	struct bh_node node;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpfprog_map(prog, "bh_node"), &zero, &node))
		bpfprog_die("bh_node");
	node.any_ports = bh_any_ports_add(bh_any_ports_add(BH_ANY_PORTS_NONE, lo), hi);
	set(prog, "bh_node", &zero, &node);
}

static struct bh_service_key service_key(const char *addr, uint8_t proto, uint16_t port)
{
	struct bh_addr at = addr ? packet_addr(addr) : (struct bh_addr){ { 0 } };
	struct bh_service_key key = { .port = htons(port), .proto = proto };

	memcpy(key.addr, &at, sizeof(key.addr));
	return key;
}

void bpfprog_service(const struct bpfprog *prog, const char *addr, uint8_t proto, uint16_t port,
		     uint32_t word)
{
	struct bh_service_key key = service_key(addr, proto, port);
	struct bh_service service = { word, bh_service_check(&key) };

	set(prog, "bh_service", &key, &service);
}

void bpfprog_service_del(const struct bpfprog *prog, const char *addr, uint8_t proto, uint16_t port)
{
	struct bh_service_key key = service_key(addr, proto, port);

	if (bpf_map_delete_elem(bpfprog_map(prog, "bh_service"), &key))
		bpfprog_die("bh_service");
}

void bpfprog_self(const struct bpfprog *prog, const char *addr, uint8_t proto, uint16_t port,
		  uint32_t how)
{
	struct bh_self_key key = { BH_SLOT(prog->ident), service_key(addr, proto, port) };
	struct bh_self self = { how, bh_self_check(&key) };

	set(prog, "bh_self", &key, &self);
}

void bpfprog_local(const struct bpfprog *prog, const char *addr, uint32_t ident)
{
	struct bh_addr key = packet_addr(addr);
	struct bh_local local = { ident, bh_addr_check(&key) };

	set(prog, "bh_local", &key, &local);
}

void bpfprog_backend(const struct bpfprog *prog, uint8_t proto, const char *remote,
		     uint16_t remote_port, uint16_t local_port, const char *addr, uint16_t port)
{
	struct bh_addr to = packet_addr(remote), at = packet_addr(addr ? addr : remote);
	struct bh_backend backend = { .port = htons(port) };
	struct bh_ct6_key key = {
		.ident = prog->ident,
		.remote_port = htons(remote_port),
		.local_port = htons(local_port),
		.proto = proto,
	};

	memcpy(key.remote, &to, sizeof(key.remote));
	memcpy(backend.addr, &at, sizeof(backend.addr));
	backend.check = bh_backend_check(&key, &backend);
	if (addr)
		set(prog, "bh_backend", &key, &backend);
	else if (bpf_map_delete_elem(bpfprog_map(prog, "bh_backend"), &key))
		bpfprog_die("bh_backend");
}

void bpfprog_extra(const struct bpfprog *prog, const char *addr, uint32_t len, uint16_t number)
{
	struct bh_addr prefix = packet_addr(addr);
	uint32_t mapped = mapped_len(&prefix, len), host = 128 - mapped;
	struct bh_extra_key key = { .prefixlen = 32 + mapped, .ident = prog->ident };
	struct bh_extra extra = {
		.number = number,
		.mask = host >= 16 ? 0xffff : (1u << host) - 1,
	};

	memcpy(key.addr, &prefix, sizeof(key.addr));
	set(prog, "bh_extra", &key, &extra);
}

void bpfprog_matrix(const struct bpfprog *prog, uint32_t policy, const union bh_unit *units,
		    uint32_t nunits)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bh_matrix", sizeof(uint32_t), sizeof(*units),
				nunits, &opts);

	if (fd < 0)
		bpfprog_die("matrix");
	for (uint32_t i = 0; i < nunits; i++)
		if (bpf_map_update_elem(fd, &i, &units[i], BPF_ANY))
			bpfprog_die("matrix unit");
	set(prog, "bh_policy", &policy, &fd);
	close(fd);
}

// Row and column maps are the identity. Cells: rows * per_row.
static void matrix_of(const struct bpfprog *prog, uint32_t policy, struct bh_matrix_head head,
		      uint32_t rows, const uint32_t *words, uint32_t per_row)
{
	uint32_t columns = head.columns & 0xffff, row_units = (rows + 7) / 8;
	uint32_t col_units = (columns + 7) / 8, cells = rows * per_row, nunits;
	union bh_unit *units;

	head.col_off = 1 + row_units;
	head.cell_off = head.col_off + col_units;
	nunits = head.cell_off + (cells + 1) / 2;
	units = calloc(nunits, sizeof(*units));
	if (!units)
		bpfprog_die("matrix");
	units[0].head = head;
	for (uint32_t i = 0; i < row_units * 8; i++)
		units[1 + i / 8].lane[i % 8] =
			i < rows && words[i * per_row] != BPFPROG_NO_ROW ? i : BH_ROW_NONE;
	for (uint32_t i = 0; i < col_units * 8; i++)
		units[head.col_off + i / 8].lane[i % 8] = i;
	for (uint32_t i = 0; i < cells; i++)
		units[head.cell_off + i / 2].cell[i % 2] = (struct bh_cell){ words[i], words[i] };
	bpfprog_matrix(prog, policy, units, nunits);
	free(units);
}

void bpfprog_dense(const struct bpfprog *prog, uint32_t policy, uint32_t gen, uint32_t rows,
		   uint32_t columns, const uint32_t *words)
{
	struct bh_matrix_head head = { .gen = gen, .columns = columns };

	matrix_of(prog, policy, head, rows, words, columns);
}

void bpfprog_sparse(const struct bpfprog *prog, uint32_t policy, uint32_t gen, uint32_t rows,
		    uint32_t columns, const uint32_t *defaults)
{
	struct bh_matrix_head head = { .gen = gen, .columns = columns | BH_MATRIX_SPARSE };

	matrix_of(prog, policy, head, rows, defaults, 1);
}

void bpfprog_cell(const struct bpfprog *prog, uint32_t policy, uint16_t row, uint16_t col,
		  uint32_t word)
{
	struct bh_cell_key key = { .matrix = policy, .row = row, .col = col };
	struct bh_cell cell = { word, word };

	set(prog, "bh_cell", &key, &cell);
}

void bpfprog_enforce(const struct bpfprog *prog, enum bh_dir dir, uint32_t policy, uint32_t gen)
{
	struct bh_endpoint *ep = bpfprog_endpoint(prog);

	__atomic_store_n(&ep->policy[dir], policy, __ATOMIC_RELEASE);
	__atomic_store_n(&ep->gen[dir], gen, __ATOMIC_RELEASE);
}

// ---- reading --------------------------------------------------------------------------------------------------------------
union ct_key {
	struct bh_ct_key v4;
	struct bh_ct6_key v6;
};

// Fills the key, returns its map; *retcheck is its check word.
static const char *ct_key(const struct bpfprog *prog, uint8_t proto, const char *remote,
			  const uint16_t ports[static 2], union ct_key *key, uint32_t *retcheck)
{
	struct bh_addr addr = packet_addr(remote);

	memset(key, 0, sizeof(*key));
	if (bh_addr_is4(&addr)) {
		key->v4.ident = prog->ident;
		key->v4.remote = addr.w[3];
		key->v4.remote_port = htons(ports[0]);
		key->v4.local_port = htons(ports[1]);
		key->v4.proto = proto;
		*retcheck = bh_ct_check(&key->v4);
		return "bh_ct";
	}
	key->v6.ident = prog->ident;
	memcpy(key->v6.remote, &addr, sizeof(addr));
	key->v6.remote_port = htons(ports[0]);
	key->v6.local_port = htons(ports[1]);
	key->v6.proto = proto;
	*retcheck = bh_ct6_check(&key->v6);
	return "bh_ct6";
}

bool bpfprog_ct(const struct bpfprog *prog, uint8_t proto, const char *remote, uint16_t remote_port,
		uint16_t local_port, struct bh_ct *ret)
{
	uint16_t ports[2] = { remote_port, local_port };
	union ct_key key;
	uint32_t check;
	const char *map = ct_key(prog, proto, remote, ports, &key, &check);

	return !bpf_map_lookup_elem(bpfprog_map(prog, map), &key, ret);
}

void bpfprog_ct_set(const struct bpfprog *prog, uint8_t proto, const char *remote,
		    uint16_t remote_port, uint16_t local_port, const struct bh_ct *ct)
{
	uint16_t ports[2] = { remote_port, local_port };
	struct bh_ct value = *ct;
	union ct_key key;
	const char *map = ct_key(prog, proto, remote, ports, &key, &value.check);

	set(prog, map, &key, &value);
}

uint32_t bpfprog_half_open(const struct bpfprog *prog)
{
	struct bh_half_bucket bucket;
	uint32_t found = 0;

	for (uint32_t i = 0; i < prog->skel->rodata->half_buckets; i++) {
		if (bpf_map_lookup_elem(bpfprog_map(prog, "bh_half"), &i, &bucket))
			bpfprog_die("bh_half");
		for (int way = 0; way < BH_HALF_WAYS; way++)
			found += bucket.tag[way] != 0;
	}
	return found;
}

#define CPUS_MAX 1024

static int cpus_count(void)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 1 || cpus > CPUS_MAX)
		bpfprog_die("%d CPUs", cpus);
	return cpus;
}

static struct bh_count sum_cpus(const struct bpfprog *prog, const char *map, const void *key)
{
	static struct bh_count values[CPUS_MAX];
	struct bh_count sum = {};
	int cpus = cpus_count();

	if (bpf_map_lookup_elem(bpfprog_map(prog, map), key, values))
		return sum;
	for (int i = 0; i < cpus; i++) {
		sum.packets += values[i].packets;
		sum.bytes += values[i].bytes;
	}
	return sum;
}

struct bh_count bpfprog_total_of(const struct bpfprog *prog, const struct bh_total_key *key)
{
	return sum_cpus(prog, "bh_total", key);
}

struct bh_count bpfprog_total(const struct bpfprog *prog, enum bh_dir dir, enum bh_reason reason,
			      uint32_t rule)
{
	struct bh_total_key key = {
		.ident = prog->ident,
		.reason = reason,
		.dir = dir,
		.rule = rule,
	};

	return bpfprog_total_of(prog, &key);
}

struct bh_count bpfprog_count(const struct bpfprog *prog, enum bh_dir dir)
{
	uint32_t key = BH_SLOT(prog->ident) * BH_DIR_MAX + dir;

	return sum_cpus(prog, "bh_count", &key);
}

uint64_t bpfprog_stat(const struct bpfprog *prog, enum bh_stat stat)
{
	static uint64_t values[CPUS_MAX];
	uint32_t key = stat;
	uint64_t sum = 0;
	int cpus = cpus_count();

	if (bpf_map_lookup_elem(bpfprog_map(prog, "bh_stat"), &key, values))
		bpfprog_die("bh_stat");
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

uint32_t bpfprog_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec) >> BH_TIME_SHIFT;
}
