// SPDX-License-Identifier: Apache-2.0
// judge.c - load the judges of a set of features and put them into bh_judge.
#include "agent/bpf/judge.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include <bulkhead/fragment.h>

#include "agent/bpf/state.h"
#include "bpf/pod.skel.h"

typedef struct pod_bpf *skel_t;
static void skel_freep(skel_t *skel)
{
	pod_bpf__destroy(*skel);
}

static void set_knobs(struct pod_bpf *skel, const struct tables *tables, uint32_t features)
{
	skel->rodata->features = features;
	skel->rodata->ct_scale = tables->ct_scale;
	skel->rodata->ct_quota = tables_ct_quota(tables);
	skel->rodata->half_buckets = tables->maps[TABLE_HALF].max_entries;
	skel->rodata->half_scale = tables->ct_scale;
	skel->rodata->frag_share = BH_FRAG_SHARE(tables->maps[TABLE_FRAG].max_entries);
	skel->rodata->denied_quota = tables->maps[TABLE_DENIED].max_entries / 8;
}

static int put(const struct tables *tables, uint32_t features, enum bh_dir dir,
	       const struct bpf_program *program)
{
	uint32_t index = BH_JUDGE(features, dir);
	int fd = bpf_program__fd(program);

	return bpf_map_update_elem(tables->maps[TABLE_JUDGE].fd, &index, &fd, BPF_ANY);
}

int judge_need(struct tables *tables, uint32_t features, struct err *reterr)
{
	_cleanup_(skel_freep) skel_t skel = NULL;
	int r;

	if (tables->judges >> features & 1)
		return 0;
	skel = pod_bpf__open();
	if (!skel)
		return err_set(reterr, -errno, "cannot read the built-in programs: %s",
			       strerror(errno));
	set_knobs(skel, tables, features);
	r = tables_reuse(tables, skel->obj);
	if (r == 0)
		r = pod_bpf__load(skel);
	if (r < 0)
		return err_set(reterr, r, "the kernel refuses the programs: %s", strerror(-r));
	r = put(tables, features, BH_INGRESS, skel->progs.bh_judge_to);
	if (r == 0)
		r = put(tables, features, BH_EGRESS, skel->progs.bh_judge_from);
	if (r < 0)
		return err_set(reterr, r, "cannot put the programs where pods find them: %s",
			       strerror(-r));
	tables->judges |= 1u << features;
	return 0;
}
