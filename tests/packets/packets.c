// SPDX-License-Identifier: Apache-2.0
// packets.c - the kernel's reading of a packet against the host's: hostile frames through the real programs, and
// through the same headers built for the host. Each must give the same reason or the same connection.
//
// Policies allow everything, so what is dropped is dropped for what it is. A packet is run twice. First with empty
// tables: the one total that grows names the reason, and a new flow's entry stands under the key that the
// host computed. Then with an entry written under the host's key: now the packet must be a hit.
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bulkhead/half.h>

#include "agent/base/option.h"
#include "tests/harness/bpfprog.h"
#include "tests/packets/expect.h"
#include "tests/packets/roll.h"

#define MATRIX 10 // and the next: policies, one a direction
#define GEN 100
#define TOTALS_MAX 64
#define SHOWN_MAX 10
#define FRAME_FULL 54 // the kernel's test run refuses frames that end within the IP header

struct flags {
	uint64_t packets, seed;
};

static const struct option options[] = {
	{ "packets", 'n', OPTION_NUMBER, offsetof(struct flags, packets), "N",
	  "how many random packets", .fallback = "20000" },
	{ "seed", 's', OPTION_NUMBER, offsetof(struct flags, seed), "S",
	  "the same seed makes the same packets", .fallback = "1" },
	{ "help", 'h', OPTION_HELP, .help = "this text" },
	{ NULL },
};
static const struct option *const tables[] = { options, NULL };
static const struct option_page page = {
	.program = "packets",
	.arguments = "[FOLDER...]",
	.max_args = 8,
	.summary = "compare what the kernel reads in hostile packets with what the host reads",
	.text = "Runs random packets, and those in the folders named, through the real programs. A mismatch is "
		"printed with the packet's bytes.",
	.tables = tables,
	.section = 1,
};

struct run {
	struct bpfprog *prog;
	bool can_split;
	struct rng rng;
	uint64_t passed, failed, split, refused;
	uint64_t reasons[BH_REASON_MAX]; // of what was seen at first sight
	uint64_t hits, recalled;
};

static const char *reason_name(enum bh_reason reason)
{
	switch (reason) {
#define REASON_CASE(sym, num, name, text)                                                          \
	case BH_REASON_##sym:                                                                      \
		return name;
		BH_REASONS(REASON_CASE)
#undef REASON_CASE
	default:
		return "?";
	}
}

// ---- the scene ---------------------------------------------------------------------------------------------------
// One class, one port class, allowed. A real matrix: the fixed ALLOW would let answers without a flow pass.
static void open_scene(struct run *run)
{
	static const uint32_t words[2] = { BPFPROG_NO_ROW, BH_CELL_WORD(BH_VERDICT_ALLOW, 7) };

	// One bucket holds what is half open: a packet leaves one flow there, or none.
	if (bpfprog_new(&(struct bpfprog_options){ .half = BH_HALF_WAYS }, &run->prog)) {
		fprintf(stderr, "packets: the programs do not load\n");
		exit(1);
	}
	run->can_split = bpfprog_can_split(run->prog);
	bpfprog_cidr(run->prog, "0.0.0.0", 0, 1);
	bpfprog_cidr(run->prog, "::", 0, 1);
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		bpfprog_dense(run->prog, MATRIX + dir, GEN + dir, 2, 1, words);
		bpfprog_enforce(run->prog, dir, MATRIX + dir, GEN + dir);
	}
}

// What the totals counted since the last call; they are emptied. False: more than one, or torn.
static bool harvest(struct run *run, enum bh_reason *ret)
{
	static struct bh_total_key keys[TOTALS_MAX];
	static struct bh_count counts[TOTALS_MAX * 256];
	uint32_t n = TOTALS_MAX, batch;
	int r = bpf_map_lookup_and_delete_batch(bpfprog_map(run->prog, "bh_total"), NULL, &batch,
						keys, counts, &n, NULL);

	*ret = BH_REASON_NONE;
	if (r && errno != ENOENT) {
		fprintf(stderr, "packets: reading the totals: %s\n", strerror(errno));
		exit(1);
	}
	if (n)
		*ret = keys[0].reason;
	return n <= 1;
}

struct outcome {
	bool pass;
	enum bh_reason reason;
};

// False: the kernel refuses to run such a frame.
static bool run_once(struct run *run, const struct rolled *r, uint32_t linear, struct outcome *ret)
{
	struct __sk_buff skb = {
		.ingress_ifindex = 1,
		.gso_size = r->gso ? 100 : 0,
		.data_end = linear,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = r->frame.data, .data_size_in = r->frame.len,
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	if (bpf_prog_test_run_opts(bpfprog_fd(run->prog, r->dir), &opts)) {
		if (errno == EINVAL && r->frame.len < FRAME_FULL)
			return false;
		fprintf(stderr, "packets: test run of %u bytes: %s\n", r->frame.len, strerror(errno));
		exit(1);
	}
	ret->pass = (int)opts.retval == TC_ACT_UNSPEC;
	if (!harvest(run, &ret->reason))
		ret->reason = BH_REASON_MAX;
	return true;
}

// ---- what is expected --------------------------------------------------------------------------------------------
// Of a packet that meets empty tables. NONE: it passes and nothing was judged.
static enum bh_reason first_sight(const struct expect *e)
{
	if (e->parse)
		return e->parse;
	if (e->door)
		return e->door == BH_REASON_CONTROL ? BH_REASON_NONE : e->door;
	if (e->pkt.flags & BH_PKT_LATER)
		return BH_REASON_FRAG_UNKNOWN;
	if (e->pkt.flags & BH_PKT_ERROR)
		return BH_REASON_ICMP_UNRELATED;
	if (e->pkt.flags & BH_PKT_ANSWER)
		return e->pkt.proto == BH_PROTO_TCP ? BH_REASON_NOT_SYN : BH_REASON_ICMP_UNRELATED;
	return BH_REASON_ALLOWED;
}

struct keys {
	union expect_key ct;
	struct bh_ct6_key half;
	struct bh_datagram datagram;
	struct bh_frag_key frag;
	uint32_t check;
	const char *map;
};

static struct keys keys_of(const struct run *run, const struct expect *e, enum bh_dir dir)
{
	struct keys keys = { .map = e->pkt.flags & BH_PKT_V4 ? "bh_ct" : "bh_ct6" };
	uint32_t ident = bpfprog_ident(run->prog);

	expect_key(e, dir, ident, &keys.ct, &keys.check);
	bh_ct6_key_of(&e->pkt, dir, ident, /* local= */ 0, &keys.half);
	bh_datagram_of(&e->pkt, dir, ident, &keys.datagram);
	bh_frag_key_of(&keys.datagram, BH_FRAG_SHARE(BPFPROG_FRAGS), &keys.frag);
	return keys;
}

static void put_entry(const struct run *run, const struct keys *keys, enum bh_dir dir)
{
	struct bh_ct ct = {
		.check = keys->check,
		.last = bpfprog_now(),
		.gen = GEN + dir,
		.rule = BH_CELL_WORD(BH_VERDICT_ALLOW, 7),
		.flags = (dir == BH_EGRESS ? BH_CT_EGRESS : 0),
	};

	bpf_map_update_elem(bpfprog_map(run->prog, keys->map), &keys->ct, &ct, BPF_ANY);
}

static void put_fragment(const struct run *run, const struct keys *keys, const struct bh_pkt *first)
{
	struct bh_frag frag = { 0 };

	bh_frag_of(first, &keys->datagram, bpfprog_now(), &frag);
	bpf_map_update_elem(bpfprog_map(run->prog, "bh_frag"), &keys->frag, &frag, BPF_ANY);
}

// The bucket, which is empty afterwards.
static struct bh_half_bucket take_half(const struct run *run)
{
	static const struct bh_half_bucket none;
	struct bh_half_bucket bucket = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(bpfprog_map(run->prog, "bh_half"), &zero, &bucket);
	bpf_map_update_elem(bpfprog_map(run->prog, "bh_half"), &zero, &none, BPF_ANY);
	return bucket;
}

static const char *check_half(const struct run *run, const struct keys *keys, bool made)
{
	struct bh_half_bucket bucket = take_half(run);
	const struct bh_half *flow = NULL;

	for (int i = 0; i < BH_HALF_WAYS; i++) {
		if (bucket.tag[i] && flow)
			return "two flows were begun";
		if (bucket.tag[i])
			flow = &bucket.place[i];
	}
	if (!flow || !made)
		return made ? "no flow was begun" : flow ? "a flow was begun" : NULL;
	if (!bh_half_key_equal(&flow->key, &keys->half))
		return "the flow has another key";
	return flow->check != bh_half_check(&keys->half, &flow->flow) ? "the flow has another check word" :
									NULL;
}

// The flow and the remembered fragment are where the host says, or neither is anywhere.
static const char *check_tables(const struct run *run, const struct expect *e,
				const struct keys *keys, enum bh_reason seen)
{
	bool made = seen == BH_REASON_ALLOWED && !e->stateless;
	bool keeps = !e->parse && (e->pkt.flags & (BH_PKT_FIRST | BH_PKT_ERROR)) == BH_PKT_FIRST &&
		     seen < BH_REASON_DROP;
	struct bh_frag want = { 0 }, frag;
	const char *wrong = check_half(run, keys, made);

	if (wrong)
		return wrong;
	if (bpfprog_endpoint(run->prog)->ct_count)
		return "an entry was made";
	if (bpf_map_lookup_elem(bpfprog_map(run->prog, "bh_frag"), &keys->frag, &frag))
		return keeps ? "the first fragment is not remembered" : NULL;
	bh_frag_of(&e->pkt, &keys->datagram, frag.created, &want);
	if (!keeps)
		return "a fragment is remembered";
	return memcmp(&want, &frag, sizeof(want)) ? "another fragment is remembered" : NULL;
}

static void clear(const struct run *run, const struct keys *keys)
{
	bpf_map_delete_elem(bpfprog_map(run->prog, keys->map), &keys->ct);
	bpf_map_delete_elem(bpfprog_map(run->prog, "bh_frag"), &keys->frag);
	bpfprog_endpoint(run->prog)->ct_count = 0;
	take_half(run);
	bpfprog_endpoint(run->prog)->denied_count = 0;
}

// ---- one packet ------------------------------------------------------------------------------------------------------
// Runs it and compares; NULL: as expected.
static const char *check_run(struct run *run, const struct rolled *r, uint32_t linear,
			     const char *when, enum bh_reason want)
{
	bool pass = want < BH_REASON_DROP;
	struct outcome got = { pass, want };
	static char text[160];

	run->refused += !run_once(run, r, linear, &got);
	if (got.pass == pass && got.reason == want)
		return NULL;
	snprintf(text, sizeof(text), "%s: the kernel %s it by %s, the host %s by %s", when,
		 got.pass ? "passes" : "drops", reason_name(got.reason),
		 pass ? "passes" : "drops", reason_name(want));
	return text;
}

// A later fragment's flow is its first one's: one is put, of a flow that this packet could belong to.
static const char *check_later(struct run *run, const struct rolled *r, struct expect *e,
			       struct keys *keys)
{
	struct bh_pkt first = e->pkt;
	enum bh_reason want = BH_REASON_NONE;

	first.proto = BH_PROTO_UDP;
	first.ports = BH_PORTS(1000, 2000);
	first.flags &= ~BH_PKT_LATER;
	first.tcp = 0;
	first.fragment = (uint16_t)(8 * rng_below(&run->rng, 4));
	put_fragment(run, keys, &first);
	e->pkt.proto = first.proto;
	e->pkt.ports = first.ports;
	expect_key(e, r->dir, bpfprog_ident(run->prog), &keys->ct, &keys->check);
	put_entry(run, keys, r->dir);
	if (e->pkt.fragment < first.fragment)
		want = BH_REASON_FRAG_OVERLAP;
	else if (e->stateless)
		want = BH_REASON_ALLOWED;
	run->recalled++;
	return check_run(run, r, 0, "behind its first fragment", want);
}

static const char *check_hit(struct run *run, const struct rolled *r, const struct expect *e,
			     const struct keys *keys)
{
	uint32_t linear = 0;

	put_entry(run, keys, r->dir);
	if (run->can_split)
		linear = 14 + (uint32_t)rng_below(&run->rng, r->frame.len - 14);
	run->split += linear > 0;
	run->hits++;
	return check_run(run, r, linear, "with an entry", BH_REASON_NONE);
}

static const char *check_packet(struct run *run, const struct rolled *r)
{
	enum bh_reason want;
	struct expect e;
	struct keys keys;
	const char *wrong;

	if (!expect_frame(r->frame.data, r->frame.len, r->dir, r->gso, &e))
		return "the two parsers disagree";
	keys = keys_of(run, &e, r->dir);
	want = first_sight(&e);
	run->reasons[want]++;
	wrong = check_run(run, r, 0, "at first sight", want);
	if (!wrong)
		wrong = check_tables(run, &e, &keys, want);
	if (!wrong && want == BH_REASON_FRAG_UNKNOWN)
		wrong = check_later(run, r, &e, &keys);
	else if (!wrong && !e.parse && !e.door && !e.stateless)
		wrong = check_hit(run, r, &e, &keys);
	clear(run, &keys);
	return wrong;
}

static void ask(struct run *run, const struct rolled *r, const char *name, uint64_t number)
{
	const char *wrong = check_packet(run, r);

	if (!wrong) {
		run->passed++;
		return;
	}
	if (run->failed++ >= SHOWN_MAX)
		return;
	printf("FAIL  %s %" PRIu64 ", %s%s: %s\n     ", name, number,
	       r->dir == BH_EGRESS ? "from the pod" : "to the pod", r->gso ? ", GSO" : "", wrong);
	for (uint32_t i = 0; i < r->frame.len; i++)
		printf(" %02x%s", r->frame.data[i], i % 32 == 31 ? "\n     " : "");
	printf("\n");
}

// Files of the fuzzer's corpus: see tests/fuzz/packet_fuzz.c.
static void ask_folder(struct run *run, const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		struct rolled r = { .frame = { .len = 0 } };
		char file[512];
		uint8_t how;
		FILE *in;

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		in = names[i]->d_name[0] == '.' ? NULL : fopen(file, "re");
		if (in && fread(&how, 1, 1, in) == 1) {
			r.dir = how & 1 ? BH_EGRESS : BH_INGRESS;
			r.gso = how & 2;
			r.frame.len = (uint32_t)fread(r.frame.data, 1, 3000, in);
			ask(run, &r, file, 0);
		}
		if (in)
			fclose(in);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void print_reasons(const struct run *run)
{
	for (int i = 0; i < BH_REASON_MAX; i++)
		if (run->reasons[i])
			printf("%10" PRIu64 "  %s\n", run->reasons[i], reason_name(i));
	printf("%" PRIu64 " hits under the host's key, %" PRIu64 " later fragments, %" PRIu64
	       " packets in two parts%s, %" PRIu64 " too short for the kernel's test run\n",
	       run->hits, run->recalled, run->split,
	       run->can_split ? "" : " (this kernel's test run makes none)", run->refused);
}

int main(int argc, char **argv)
{
	struct option_list folders = { 0 };
	struct flags flags = { 0 };
	struct run run = { 0 };
	struct err err = { 0 };
	int r = option_defaults(tables, &flags, &err);

	if (r == 0)
		r = option_parse(&page, argc, argv, &flags, &folders, &err);
	if (r == OPTION_WANTS_HELP) {
		option_help(stdout, &page);
		return 0;
	}
	if (r < 0) {
		fprintf(stderr, "packets: %s\n", err.text);
		return 2;
	}
	open_scene(&run);
	run.rng.state = flags.seed;
	for (size_t i = 0; i < folders.n; i++)
		ask_folder(&run, folders.v[i]);
	for (uint64_t i = 0; i < flags.packets; i++) {
		static struct rolled rolled;

		roll(&run.rng, &rolled);
		ask(&run, &rolled, "packet", i);
	}
	print_reasons(&run);
	bpfprog_free(run.prog);
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", run.passed, run.failed);
	return run.failed > 0;
}
