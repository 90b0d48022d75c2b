// SPDX-License-Identifier: Apache-2.0
// engine.c - what stands between the pods: nothing, the yardsticks, the product; others in engine_netfilter.c.
#include "tests/harness/test.h"

#include "tests/bench/traffic/traffic.h"

#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/bpf/attach.h"
#include "tests/harness/live.h"
#include "tests/harness/net.h"

#define RULES 100 // of a pod's policy, one direction
#define CT_SCALE 2 // closed connections go four times as soon: many more are made than a pod would

static const char *object_dir;
static const char *const devices[BED_ENDS] = { "ha", "hb" };

static bool put_nothing(struct bed *bed, const struct engine *engine)
{
	return true;
}

// ---- one program for all hooks --------------------------------------------------------------------------------------
static int program_of(const char *name)
{
	char path[PATH_MAX];
	struct bpf_object *obj;

	snprintf(path, sizeof(path), "%s/%s", object_dir, name);
	obj = bpf_object__open_file(path, NULL);
	if (!obj || bpf_object__load(obj))
		traffic_die(path);
	return bpf_program__fd(bpf_object__next_program(obj, NULL)); // lives as long as the process
}

static bool put_file(struct bed *bed, const struct engine *engine)
{
	const struct attach *way = engine->way == BH_ATTACH_TCX ? &attach_tcx : &attach_clsact;
	int program = program_of(engine->file);
	char folder[64] = "/run/bpf/yardstick-XXXXXX", path[80];
	struct err err = { 0 };

	bed->programs[0] = program;
	if (!mkdtemp(folder))
		traffic_die(folder);
	for (int hook = 0; hook < 2 * BED_ENDS; hook++) {
		struct hook at = { path, net_ifindex(devices[hook / 2]), hook % 2 };

		snprintf(path, sizeof(path), "%s/%d", folder, hook / 2);
		if (hook % 2 == 0 && mkdir(path, 0700))
			traffic_die(path);
		assert_ok_err(way->put(&at, program, &err), &err);
	}
	return true;
}

// ---- the product -------------------------------------------------------------------------------------------------------
// Each rule selects a pod of another node by its label, the last one the two pods.
static void put_policy(struct live *live, enum bh_dir dir)
{
	const char *list = dir == BH_EGRESS ? "to" : "from";
	char *rules = NULL;
	size_t len;
	FILE *f = open_memstream(&rules, &len);

	if (!f)
		traffic_die("memory");
	for (int i = 1; i < RULES; i++)
		fprintf(f, "{'%s':[{'podSelector':{'matchLabels':{'id':'%d'}}}]},", list, i);
	fprintf(f, "{'%s':[{'podSelector':{'matchLabels':{'app':'traffic'}}}]}", list);
	fclose(f);
	live_policy(live, "bench", list, "traffic", dir, rules);
	free(rules);
}

static void put_peers(struct live *live)
{
	char name[16], labels[32], addr[32];

	for (int i = 1; i < RULES; i++) {
		snprintf(name, sizeof(name), "peer-%d", i);
		snprintf(labels, sizeof(labels), "'id':'%d'", i);
		snprintf(addr, sizeof(addr), "10.64.0.%d", i);
		judge_pod(&live->judge, "bench", name, labels, addr, "");
	}
}

static void put_pod(struct live *live, int end)
{
	static const char *const names[] = { "a", "b" };
	char addr4[32], addr6[32];
	struct bh_endpoint *ep;
	uint32_t slot;

	snprintf(addr4, sizeof(addr4), "10.%d.0.2", end + 1);
	snprintf(addr6, sizeof(addr6), "fd00:%d::2", end + 1);
	slot = live_pod(live, "bench", names[end], "'app':'traffic'", addr4, addr6);
	ep = (void *)tables_endpoint(live->tables, slot);
	memcpy(ep->mac, (uint8_t[]){ 2, 0, 0, 0, end + 1, 2 }, sizeof(ep->mac));
	ep->ifindex = net_ifindex(devices[end]);
	ep->gateway4 = packet_addr(end == BED_A ? "10.1.0.1" : "10.2.0.1").w[3];
}

static void attach_pod(struct bed *bed, uint32_t slot)
{
	struct live_pod *pod = &bed->live->pods[slot];
	struct program_config config = { .variant =
						 bed->engine->open ? PROGRAM_OPEN : PROGRAM_TRACK,
					 .ident = pod->ident };
	struct err err = { 0 };

	program_pair_close(&pod->programs);
	assert_ok_err(program_load(bed->live->tables, &config, &pod->programs, &err), &err);
	assert_ok_err(program_attach(bed->live->tables, slot, net_ifindex(devices[slot]),
				     bed->engine->way, &pod->programs, &err),
		      &err);
	bed->programs[2 * slot] = pod->programs.from_pod;
	bed->programs[2 * slot + 1] = pod->programs.to_pod;
}

static bool put_ours(struct bed *bed, const struct engine *engine)
{
	static int made;
	struct tables_config config = { .ct_scale = CT_SCALE };
	char *dir;

	bed->live = calloc(1, sizeof(*bed->live));
	if (!bed->live || asprintf(&dir, "/run/bpf/traffic-%d", made++) < 0)
		traffic_die("memory");
	config.pin_dir = dir;
	live_start(bed->live, &config);
	judge_put(&bed->live->judge, KIND_NAMESPACE, "{'metadata':{'name':'bench'}}");
	for (int end = 0; end < BED_ENDS; end++)
		put_pod(bed->live, end);
	put_peers(bed->live);
	for (int way = 0; way < BH_DIR_MAX && !engine->open; way++)
		put_policy(bed->live, way);
	live_apply(bed->live);
	for (uint32_t slot = 0; slot < BED_ENDS; slot++)
		attach_pod(bed, slot);
	return true;
}

void engine_tidy(const struct bed *bed)
{
	struct ct_sweep_stats stats;

	if (bed->live && tables_ct_sweep(bed->live->tables, NULL, &stats) < 0)
		traffic_die("sweeping");
}

static const struct engine engines[] = {
	{ "no policy", ENGINE_NONE, put_nothing },
	{ "no policy, once more", ENGINE_ANY, put_nothing },
	{ "empty programs, tcx", ENGINE_EMPTY, put_file, "empty.bpf.o", BH_ATTACH_TCX,
	  .timed = true },
	{ "empty programs, clsact", ENGINE_ANY, put_file, "empty.bpf.o", BH_ATTACH_CLSACT },
	{ "floor, tcx", ENGINE_FLOOR, put_file, "floor.bpf.o", BH_ATTACH_TCX, .timed = true },
	{ "floor, a hit writes no entry, tcx", ENGINE_FLOOR_READS, put_file, "floor_ro.bpf.o",
	  BH_ATTACH_TCX, .timed = true, .only_timed = true },
	{ "bulkhead, 100 rules each way, tcx", ENGINE_OURS, put_ours, .way = BH_ATTACH_TCX,
	  .denies = true, .timed = true },
	{ "bulkhead, 100 rules each way, clsact", ENGINE_ANY, put_ours, .way = BH_ATTACH_CLSACT,
	  .denies = true },
	{ "bulkhead, unselected pods, tcx", ENGINE_ANY, put_ours, .way = BH_ATTACH_TCX,
	  .open = true, .denies = true, .timed = true }, // the stranger's address is none of the pod's
	{ "nft, verdict map, 10,000 pairs", ENGINE_ANY, engine_put_nft_sets, .denies = true },
	{ "nft, 1,000 rules in line", ENGINE_ANY, engine_put_nft_line, .denies = true },
	{ "iptables, 110 pods' chains, ipset", ENGINE_ANY, engine_put_iptables, .denies = true },
};

const struct engine *engine_list(const char *dir, int *retn)
{
	object_dir = dir;
	libbpf_set_print(NULL); // it tells of qdiscs that are there already
	*retn = sizeof(engines) / sizeof(*engines);
	return engines;
}
