// SPDX-License-Identifier: Apache-2.0
// bpfprog.c - loading, and what surrounds it; the tables are in bpfprog_tables.c.
#include "tests/harness/bpfprog_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bulkhead/half.h>

const uint8_t pod_mac[6] = { 2, 0, 0, 0, 1, 5 };
const uint8_t peer_mac[6] = { 2, 0, 0, 0, 2, 9 };

void bpfprog_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "bpfprog: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(errno));
	va_end(args);
	abort();
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value ? value : fallback;
}

static void set_knobs(struct pod_bpf *skel, const struct bpfprog_options *o)
{
	skel->rodata->features = o->open ? 0 : or_default(o->features, BH_FEATURE_TRACK);
	skel->rodata->ct_scale = o->ct_scale;
	if (o->ct_quota)
		skel->rodata->ct_quota = o->ct_quota;
	skel->rodata->half_buckets = or_default(o->half, BPFPROG_HALF) / BH_HALF_WAYS;
	skel->rodata->half_scale = o->settles ? 0 : 31;
	skel->rodata->frag_share = BH_FRAG_SHARE(or_default(o->frags, BPFPROG_FRAGS));
	if (o->denied_quota)
		skel->rodata->denied_quota = o->denied_quota;
}

static void set_sizes(struct pod_bpf *skel, const struct bpfprog_options *o)
{
	bpf_map__set_max_entries(skel->maps.bh_ct, or_default(o->ct, 4096));
	bpf_map__set_max_entries(skel->maps.bh_ct6, or_default(o->ct, 4096));
	bpf_map__set_max_entries(skel->maps.bh_half, or_default(o->half, BPFPROG_HALF) / BH_HALF_WAYS);
	bpf_map__set_max_entries(skel->maps.bh_half_count, or_default(o->half, BPFPROG_HALF) / BH_HALF_WAYS);
	bpf_map__set_max_entries(skel->maps.bh_gone, or_default(o->gone, BPFPROG_GONE));
	bpf_map__set_max_entries(skel->maps.bh_frag, or_default(o->frags, BPFPROG_FRAGS));
	bpf_map__set_max_entries(skel->maps.bh_denied, or_default(o->denied, 1024));
	bpf_map__set_max_entries(skel->maps.bh_total, or_default(o->totals, 1024));
	bpf_map__set_max_entries(skel->maps.bh_peer, or_default(o->peers, 1024));
	bpf_map__set_max_entries(skel->maps.bh_cidr, or_default(o->cidrs, 1024));
	bpf_map__set_max_entries(skel->maps.bh_policy, 64);
}

static int reuse_maps(struct bpf_object *object, const struct bpf_object *from)
{
	struct bpf_map *map, *other;
	int r;

	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__is_internal(map))
			continue;
		other = bpf_object__find_map_by_name(from, bpf_map__name(map));
		r = bpf_map__reuse_fd(map, bpf_map__fd(other));
		if (r)
			return r;
	}
	return 0;
}

static void *map_memory(int fd, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		bpfprog_die("mmap");
	return memory;
}

static void set_secret(struct bpfprog *prog)
{
	struct bh_node node = { .secret = { 0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f,
					    0x165667b1, 0x7feb352d, 0x846ca68b, 0x94d049bb } };
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpfprog_map(prog, "bh_node"), &zero, &node, BPF_ANY))
		bpfprog_die("bh_node");
}

static void set_scene(struct bpfprog *prog)
{
	struct bh_addr own6 = packet_addr(POD6), gateway6 = packet_addr(GATEWAY6);
	struct bh_endpoint *ep = bpfprog_endpoint(prog);

	*ep = (struct bh_endpoint){
		.policy = { BH_POLICY_ALLOW, BH_POLICY_ALLOW },
		.gen = { BH_GEN_OF(BH_POLICY_ALLOW), BH_GEN_OF(BH_POLICY_ALLOW) },
		.ident = prog->ident,
		.state = BH_STATE_ACTIVE,
		.addr4 = packet_addr(POD4).w[3],
		.ifindex = POD_IFINDEX,
		.ephemeral_lo = 32768,
		.ephemeral_hi = 60999,
		.gateway4 = packet_addr(GATEWAY4).w[3],
	};
	memcpy(ep->mac, pod_mac, sizeof(ep->mac));
	memcpy(ep->addr6, &own6, sizeof(ep->addr6));
	memcpy(ep->gateway6, &gateway6, sizeof(ep->gateway6));
}

static int put_judge(const struct bpfprog *prog, enum bh_dir dir, const struct bpf_program *judge)
{
	uint32_t index = BH_JUDGE(prog->skel->rodata->features, dir);
	int fd = bpf_program__fd(judge);

	return bpf_map_update_elem(bpf_map__fd(prog->skel->maps.bh_judge), &index, &fd, BPF_ANY);
}

static int load_judges(struct bpfprog *prog, const struct bpfprog_options *o)
{
	int r;

	prog->shares = o->share;
	prog->skel = o->share ? o->share->skel : pod_bpf__open();
	if (o->share || !prog->skel)
		return prog->skel ? 0 : -errno;
	set_knobs(prog->skel, o);
	set_sizes(prog->skel, o);
	bpf_program__set_log_level(prog->skel->progs.bh_judge_from, o->log_level);
	bpf_program__set_log_level(prog->skel->progs.bh_judge_to, o->log_level);
	r = pod_bpf__load(prog->skel);
	if (r == 0)
		r = put_judge(prog, BH_EGRESS, prog->skel->progs.bh_judge_from);
	return r ? r : put_judge(prog, BH_INGRESS, prog->skel->progs.bh_judge_to);
}

static int load_gate(struct bpfprog *prog, const struct bpfprog_options *o)
{
	int r;

	prog->gate = gate_bpf__open();
	if (!prog->gate)
		return -errno;
	prog->ident = BH_IDENT(or_default(o->slot, 3), or_default(o->incarnation, 7));
	prog->gate->rodata->ident = prog->ident;
	prog->gate->rodata->features = prog->skel->rodata->features;
	r = reuse_maps(prog->gate->obj, prog->skel->obj);
	return r ? r : gate_bpf__load(prog->gate);
}

int bpfprog_new(const struct bpfprog_options *options, struct bpfprog **ret)
{
	static const struct bpfprog_options defaults;
	const struct bpfprog_options *o = options ? options : &defaults;
	struct bpfprog *prog = calloc(1, sizeof(*prog));
	int r;

	if (!prog)
		return -ENOMEM;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	r = load_judges(prog, o);
	if (r == 0)
		r = load_gate(prog, o);
	if (r) {
		bpfprog_free(prog);
		return r;
	}
	prog->endpoints = map_memory(bpfprog_map(prog, "bh_endpoint"),
				     BH_LIMIT_ENDPOINTS * sizeof(*prog->endpoints));
	prog->ports = map_memory(bpfprog_map(prog, "bh_port"), 65536 * sizeof(*prog->ports));
	set_secret(prog);
	set_scene(prog);
	*ret = prog;
	return 0;
}

void bpfprog_free(struct bpfprog *prog)
{
	if (!prog)
		return;
	if (prog->endpoints)
		munmap(prog->endpoints, BH_LIMIT_ENDPOINTS * sizeof(*prog->endpoints));
	if (prog->ports)
		munmap(prog->ports, 65536 * sizeof(*prog->ports));
	gate_bpf__destroy(prog->gate);
	if (!prog->shares)
		pod_bpf__destroy(prog->skel);
	free(prog);
}

int bpfprog_fd(const struct bpfprog *prog, enum bh_dir dir)
{
	return bpf_program__fd(dir == BH_EGRESS ? prog->gate->progs.bh_from_pod :
						  prog->gate->progs.bh_to_pod);
}

int bpfprog_map(const struct bpfprog *prog, const char *name)
{
	return bpf_object__find_map_fd_by_name(prog->skel->obj, name);
}

uint32_t bpfprog_ident(const struct bpfprog *prog)
{
	return prog->ident;
}

struct bh_endpoint *bpfprog_endpoint(const struct bpfprog *prog)
{
	return &prog->endpoints[BH_SLOT(prog->ident)];
}

// ---- packets ------------------------------------------------------------------------------------------------------------
#define TOTALS_MAX 512

struct totals {
	uint32_t n;
	struct bh_total_key key[TOTALS_MAX];
	struct bh_count count[TOTALS_MAX];
};

static void read_totals(const struct bpfprog *prog, struct totals *t)
{
	int fd = bpfprog_map(prog, "bh_total");
	struct bh_total_key *last = NULL;

	for (t->n = 0; t->n < TOTALS_MAX; t->n++) {
		if (bpf_map_get_next_key(fd, last, &t->key[t->n]))
			return;
		last = &t->key[t->n];
		t->count[t->n] = bpfprog_total_of(prog, last);
	}
	errno = E2BIG;
	bpfprog_die("more than %d totals", TOTALS_MAX);
}

static struct bh_count count_before(const struct totals *t, const struct bh_total_key *key)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (!memcmp(&t->key[i], key, sizeof(*key)))
			return t->count[i];
	return (struct bh_count){};
}

// The one total that grew. A source check in report mode counts besides the judgement: a drop wins, then
// what is no spoof.
static void find_reason(const struct totals *before, const struct totals *after,
			struct bpfprog_result *ret)
{
	for (uint32_t i = 0; i < after->n; i++) {
		struct bh_count old = count_before(before, &after->key[i]);
		enum bh_reason reason = after->key[i].reason;

		if (after->count[i].packets == old.packets)
			continue;
		if (ret->reason && ret->pass == (reason >= BH_REASON_DROP))
			continue;
		ret->reason = reason;
		ret->rule = after->key[i].rule;
		ret->packets = after->count[i].packets - old.packets;
		ret->bytes = after->count[i].bytes - old.bytes;
	}
}

bool bpfprog_can_split(const struct bpfprog *prog)
{
	struct __sk_buff skb = { .data_end = 64 };
	uint8_t frame[128] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	return !bpf_prog_test_run_opts(bpfprog_fd(prog, BH_INGRESS), &opts);
}

struct bpfprog_result bpfprog_run(struct bpfprog *prog, enum bh_dir dir, const struct packet *p,
				  const struct bpfprog_ctx *ctx)
{
	static struct totals before, after;
	struct __sk_buff skb = { .ingress_ifindex = 1 };
	struct bpfprog_result result = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len,
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	if (ctx) {
		skb.ingress_ifindex = ctx->ingress_ifindex;
		skb.gso_size = ctx->gso_size;
		skb.gso_segs = ctx->gso_segs;
		skb.data_end = ctx->linear;
	}
	read_totals(prog, &before);
	if (bpf_prog_test_run_opts(bpfprog_fd(prog, dir), &opts))
		bpfprog_die("test run");
	read_totals(prog, &after);
	result.pass = (int)opts.retval != TC_ACT_SHOT;
	if (result.pass && (int)opts.retval != TC_ACT_UNSPEC) {
		errno = EPROTO;
		bpfprog_die("verdict %d", (int)opts.retval);
	}
	find_reason(&before, &after, &result);
	return result;
}
