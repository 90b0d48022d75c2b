// SPDX-License-Identifier: Apache-2.0
// scene.c - the rooms of the agent, wired for one thread.
#include "tests/diff/scene.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>

#include "agent/bpf/program.h"
#include "tests/diff/frame.h"

#define IFINDEX_POD 42 // no device has it: hairpins are not asked
#define SPARSE_CELLS 48 // beyond so many a matrix is sparse
#define IFINDEX_LO 1 // where packets that the host did not make come from

struct scene {
	char pin_dir[64];
	struct tables *tables;
	struct store *store;
	struct policy *policy;
	struct program_pair programs[WORLD_LOCAL];
};

static void on_change(void *arg, const struct object *before, const struct object *after)
{
	struct scene *scene = arg;

	policy_changed(scene->policy, before, after);
}

static int open_compiler(struct scene *scene, bool sparse, struct err *reterr)
{
	struct policy_limits limits = { .dense_cells = sparse ? SPARSE_CELLS : 0 };
	char name[16];
	int r = store_new(&scene->store);

	if (r == 0)
		r = policy_new(scene->store, &limits, &scene->policy);
	if (r == 0)
		r = store_subscribe(scene->store, on_change, scene);
	if (r == 0)
		policy_set_node(scene->policy, "n0");
	for (uint32_t slot = 0; r == 0 && slot < WORLD_LOCAL; slot++)
		r = policy_endpoint_add(scene->policy, world_pod_ns(slot),
					world_pod_name(slot, name), slot);
	return r < 0 ? err_set(reterr, r, "compiler: %s", strerror(-r)) : 0;
}

static void close_compiler(struct scene *scene)
{
	policy_free(TAKE_PTR(scene->policy));
	store_free(TAKE_PTR(scene->store));
}

static int open_endpoint(struct scene *scene, uint32_t slot, struct err *reterr)
{
	volatile struct bh_endpoint *ep = tables_endpoint(scene->tables, slot);
	uint32_t ident = BH_IDENT(slot, tables_next_incarnation(scene->tables));
	struct program_config config = { .variant = PROGRAM_TRACK, .ident = ident };
	struct bh_addr addr6 = world_pod_addr(slot, 0, 1);
	struct bh_addr gateway4 = frame_gateway(0), gateway6 = frame_gateway(1);

	for (int i = 0; i < 6; i++)
		ep->mac[i] = frame_pod_mac[i];
	ep->addr4 = world_pod_addr(slot, 0, 0).w[3];
	ep->gateway4 = gateway4.w[3];
	for (int i = 0; i < 4; i++) {
		ep->addr6[i] = addr6.w[i];
		ep->gateway6[i] = gateway6.w[i];
	}
	ep->ifindex = IFINDEX_POD;
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		ep->policy[dir] = BH_POLICY_ALLOW;
		ep->gen[dir] = BH_GEN_OF(BH_POLICY_ALLOW);
	}
	ep->ident = ident;
	ep->state = BH_STATE_ACTIVE;
	return program_load(scene->tables, &config, &scene->programs[slot], reterr);
}

int scene_new(const char *pin_dir, uint32_t mask, struct scene **ret, struct err *reterr)
{
	_cleanup_(scene_freep) struct scene *scene = calloc(1, sizeof(*scene));
	struct tables_config config = { .pin_dir = pin_dir, .ct = 32768 };
	bool adopted;
	int r;

	if (!scene)
		return err_set(reterr, -ENOMEM, "out of memory");
	for (int slot = 0; slot < WORLD_LOCAL; slot++)
		scene->programs[slot] = (struct program_pair){ -1, -1 };
	snprintf(scene->pin_dir, sizeof(scene->pin_dir), "%s", pin_dir);
	r = tables_open(&config, &scene->tables, &adopted, reterr);
	for (int family = 0; r == 0 && family < 2; family++) {
		struct bh_addr addr = world_node_addr(0, family);

		r = tables_host_set(scene->tables, &addr, BH_HOST_LOCAL | BH_HOST_NODE);
		addr = frame_gateway(family);
		if (r == 0)
			r = tables_host_set(scene->tables, &addr, BH_HOST_LOCAL);
	}
	for (uint32_t slot = 0; r == 0 && slot < WORLD_LOCAL; slot++)
		if (mask >> slot & 1)
			r = open_endpoint(scene, slot, reterr);
	if (r == 0)
		r = open_compiler(scene, /* sparse= */ false, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(scene);
	return 0;
}

void scene_free(struct scene *scene)
{
	if (!scene)
		return;
	for (int slot = 0; slot < WORLD_LOCAL; slot++)
		program_pair_close(&scene->programs[slot]);
	close_compiler(scene);
	tables_close(scene->tables);
	tables_unpin(scene->pin_dir, NULL);
	free(scene);
}

// ---- objects ----------------------------------------------------------------------------------------------------

static int put_item(struct scene *scene, const struct world_item *item, struct err *reterr)
{
	struct object *object;
	int r;

	if (!item->json) {
		r = store_remove(scene->store, item->kind, item->ns, item->name);
		return r < 0 ? err_set(reterr, r, "removing %s", item->name) : 0;
	}
	r = object_parse(item->kind, item->json, &object, reterr);
	if (r < 0)
		return r;
	if (object->problem) {
		r = err_set(reterr, -EINVAL, "%s: %s", item->name, object->problem);
		object_put(object);
		return r;
	}
	r = store_put(scene->store, object);
	return r < 0 ? err_set(reterr, r, "adding %s", item->name) : 0;
}

static int run_plan(struct scene *scene, struct err *reterr)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct apply_stats stats;
	int r = policy_compile(scene->policy, &plan);

	if (r < 0)
		return err_set(reterr, r, "compiling: %s", strerror(-r));
	return tables_apply(scene->tables, plan, &stats, reterr);
}

int scene_apply(struct scene *scene, const struct world *world, bool all, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < WORLD_ITEMS; i++)
		if (all || world->items[i].changed)
			r = put_item(scene, &world->items[i], reterr);
	return r < 0 ? r : run_plan(scene, reterr);
}

int scene_restart(struct scene *scene, const struct world *world, bool sparse, struct err *reterr)
{
	struct policy_tables held = { 0 };
	int r = tables_dump(scene->tables, &held);

	if (r < 0)
		return err_set(reterr, r, "reading the tables: %s", strerror(-r));
	close_compiler(scene);
	r = open_compiler(scene, sparse, reterr);
	for (size_t i = 0; r == 0 && i < WORLD_ITEMS; i++)
		r = put_item(scene, &world->items[i], reterr);
	if (r == 0)
		r = policy_adopt(scene->policy, &held);
	policy_tables_fini(&held);
	return r < 0 ? r : run_plan(scene, reterr);
}

// ---- asking -----------------------------------------------------------------------------------------------------

int scene_ask(struct scene *scene, const struct question *question, bool *retpass,
	      struct err *reterr)
{
	const struct program_pair *pair = &scene->programs[question->slot];
	struct __sk_buff skb = { .ingress_ifindex = question->from_host ? 0 : IFINDEX_LO };
	static struct packet frame;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data, .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb));

	frame_build(&frame, question);
	opts.data_size_in = frame.len;
	if (bpf_prog_test_run_opts(question->dir == BH_EGRESS ? pair->from_pod : pair->to_pod,
				   &opts))
		return err_set(reterr, -errno, "test run: %s", strerror(errno));
	if ((int)opts.retval != TC_ACT_SHOT && (int)opts.retval != TC_ACT_UNSPEC)
		return err_set(reterr, -EPROTO, "a program returned %d", (int)opts.retval);
	*retpass = (int)opts.retval == TC_ACT_UNSPEC;
	return 0;
}

enum bh_reason scene_eval(const struct scene *scene, const struct question *question,
			  uint32_t *retrule)
{
	struct bh_judgement judgement = { 0 };
	enum bh_reason reason;

	reason = policy_eval(scene->policy, question->slot, question->dir, &question->remote,
			     question->proto, question->port, question_as_node(question),
			     &judgement);
	*retrule = BH_CELL_RULE(judgement.verdict);
	return reason;
}

const struct store *scene_store(const struct scene *scene)
{
	return scene->store;
}

const struct policy *scene_policy(const struct scene *scene)
{
	return scene->policy;
}

struct tables *scene_tables(const struct scene *scene)
{
	return scene->tables;
}

int scene_flush(struct scene *scene)
{
	int r = tables_ct_flush(scene->tables, 0);

	return r < 0 ? r : tables_denied_clear(scene->tables, 0, 0);
}
