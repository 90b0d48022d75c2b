// SPDX-License-Identifier: Apache-2.0
// node.c - objects to tables by the agent's own rooms, for the benchmark.
#include "tests/bench/node.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/bpf/program.h"
#include "agent/bpf/tables.h"
#include "agent/policy/policy.h"
#include "agent/store/store.h"
#include "tests/bench/bench.h"
#include "tests/harness/world.h"

#define SLOT 3
#define ROOM 16384 // of what is counted by rules
#define POLICY_RULES 2500 // of one object: it has a limit

static void on_change(void *arg, const struct object *before, const struct object *after)
{
	policy_changed(arg, before, after);
}

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench: %s\n", err->text[0] ? err->text : strerror(-r));
	exit(1);
}

static void write_rule(FILE *f, enum node_rules rules, uint32_t i)
{
	switch (rules) {
	case NODE_SELECTORS:
		fprintf(f, "{'from':[{'podSelector':{'matchLabels':{'id':'%u'}}}]}", i);
		break;
	case NODE_PORTS:
		fprintf(f, "{'from':[{'namespaceSelector':{}}],'ports':[{'port':%u}]}",
			NODE_PORT + i);
		break;
	default:
		fprintf(f, "{'from':[{'ipBlock':{'cidr':'10.%u.%u.0/24'}}]}", 128 + i / 256,
			i % 256);
	}
}

// A policy of the rules [from, to).
static void put_policy(struct store *store, enum node_rules rules, uint32_t from, uint32_t to)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		bench_die("memory");
	fprintf(f,
		"{'metadata':{'name':'rules-%u','namespace':'bench'},'spec':"
		"{'podSelector':{'matchLabels':{'app':'local'}},'ingress':[",
		from);
	for (uint32_t i = from; i < to; i++) {
		fputs(i > from ? "," : "", f);
		write_rule(f, rules, i);
	}
	fputs("]}}", f);
	fclose(f);
	world_put(store, KIND_NETPOL, "%s", text);
	free(text);
}

static void put_objects(struct store *store, enum node_rules rules, uint32_t n)
{
	world_put(store, KIND_NAMESPACE, "{'metadata':{'name':'bench'}}");
	world_put(store, KIND_POD,
		  "{'metadata':{'name':'local','namespace':'bench','labels':{'app':'local'}},"
		  "'spec':{'nodeName':'here'},'status':{'phase':'Running','podIP':'" NODE_POD "'}}");
	for (uint32_t i = 0; i < (rules == NODE_SELECTORS ? n : 1); i++)
		world_put(store, KIND_POD,
			  "{'metadata':{'name':'p%u','namespace':'bench','labels':{'id':'%u'}},"
			  "'spec':{'nodeName':'there'},'status':{'phase':'Running','podIP':'10.64.%u.%u'}}",
			  i, i, i / 256, i % 256);
	for (uint32_t i = 0; i < n; i += POLICY_RULES)
		put_policy(store, rules, i, i + POLICY_RULES < n ? i + POLICY_RULES : n);
}

static uint32_t matrix_bytes(const struct tables *tables, uint32_t policy)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), id;
	int fd;

	if (bpf_map_lookup_elem(tables_fd(tables, "bh_policy"), &policy, &id))
		bench_die("the pod has no matrix");
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		bench_die("matrix");
	close(fd);
	return info.max_entries * info.value_size;
}

static struct tables *make_tables(void)
{
	static int made;
	struct tables_config config = { .peers = ROOM, .cidrs = ROOM, .policies = 64 };
	struct tables *tables;
	struct err err = { 0 };
	char dir[32];
	bool adopted;

	snprintf(dir, sizeof(dir), "/run/bpf/bench%d", made++);
	config.pin_dir = dir;
	check(tables_open(&config, &tables, &adopted, &err), &err);
	return tables;
}

static void compile(struct tables *tables, enum node_rules rules, uint32_t n)
{
	struct policy_limits limits = {
		.port_classes = ROOM, .object_share = 100, .namespace_share = 100
	};
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct apply_stats stats;
	struct store *store;
	struct policy *policy;
	struct err err = { 0 };

	check(store_new(&store), &err);
	check(policy_new(store, &limits, &policy), &err);
	check(store_subscribe(store, on_change, policy), &err);
	check(policy_endpoint_add(policy, "bench", "local", SLOT), &err);
	put_objects(store, rules, n);
	check(policy_compile(policy, &plan), &err);
	check(tables_apply(tables, plan, &stats, &err), &err);
}

void node_pod(enum node_rules rules, uint32_t n, struct node_pod *ret)
{
	struct tables *tables = make_tables();
	struct program_config config = { .variant = PROGRAM_TRACK,
					 .ident = BH_IDENT(SLOT, tables_next_incarnation(tables)) };
	struct bh_endpoint *ep = (void *)tables_endpoint(tables, SLOT);
	struct program_pair pair;
	struct err err = { 0 };

	*ret = (struct node_pod){ .half = tables_fd(tables, "bh_half") };
	compile(tables, rules, n);
	check(program_load(tables, &config, &pair, &err), &err);
	ret->fd = pair.to_pod;
	ret->matrix_bytes = matrix_bytes(tables, ep->policy[BH_INGRESS]);
	inet_pton(AF_INET, NODE_POD, &ep->addr4);
	ep->mac[0] = 2;
	ep->state = BH_STATE_ACTIVE;
	ep->ident = config.ident;
}
