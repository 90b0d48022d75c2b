// SPDX-License-Identifier: Apache-2.0
// source_test.c - a pod speaks with its own addresses only and hears what is for it; states of an endpoint;
// what the open variant still checks.
#include "tests/bpf/scene.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS
#define EXTRA4 "10.9.9.0" // a /28
#define EXTRA6 "fd00:9::"

static const struct flow out4 = { PEER4, 443, 40000, IPPROTO_TCP };
static const struct flow out6 = { PEER6, 443, 40000, IPPROTO_TCP };

static struct bpfprog_result from(struct bpfprog *prog, const char *src, const char *dst)
{
	struct packet p;

	packet_eth(&p, pod_mac, peer_mac, 0);
	packet_ip(&p, src, dst, IPPROTO_UDP);
	packet_udp(&p, 1000, 2000);
	packet_end(&p);
	return bpfprog_run(prog, OUT, &p, NULL);
}

static struct bpfprog_result to(struct bpfprog *prog, const char *src, const char *dst,
				const struct bpfprog_ctx *ctx)
{
	struct packet p;

	packet_eth(&p, peer_mac, pod_mac, 0);
	packet_ip(&p, src, dst, IPPROTO_UDP);
	packet_udp(&p, 1000, 2000);
	packet_end(&p);
	return bpfprog_run(prog, IN, &p, ctx);
}

static void spoofed_sources_are_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	assert_drops(from(prog, PEER4, "10.2.0.1"), SPOOFED_ADDR);
	assert_drops(from(prog, PEER6, "fd00:2::1"), SPOOFED_ADDR);
	assert_drops(from(prog, "0.0.0.0", PEER4), BAD_ADDR);
	assert_drops(from(prog, "::", PEER6), BAD_ADDR);
	assert_drops(from(prog, "fe80::5", PEER6), SPOOFED_ADDR); // link-local: for the link only
	segment(&p, OUT, &out4, P_SYN, 0);
	p.data[11] ^= 1;
	assert_drops(bpfprog_run(prog, OUT, &p, NULL), SPOOFED_MAC);
}

// Of a kind that the fast parser leaves alone, so that only the thorough checks see it.
static struct bpfprog_result nobody(struct bpfprog *prog, enum bh_dir dir, bool v6)
{
	const char *zero = v6 ? "::" : "0.0.0.0", *to = v6 ? POD6 : POD4;
	struct packet p;

	packet_eth(&p, dir == OUT ? pod_mac : peer_mac, dir == OUT ? peer_mac : pod_mac, 0);
	packet_ip(&p, zero, dir == OUT ? (v6 ? PEER6 : PEER4) : to, IPPROTO_SCTP);
	packet_sctp(&p, 1000, 2000, 1);
	packet_end(&p);
	return bpfprog_run(prog, dir, &p, NULL);
}

static void nobodys_address_is_nobodys(void **state)
{
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		assert_drops(nobody(prog, IN, v6), BAD_ADDR);
		assert_drops(nobody(prog, OUT, v6), BAD_ADDR);
	}
	// a pod without addresses of a family has none in it, not even this one
	bpfprog_endpoint(prog)->addr4 = 0;
	memset(bpfprog_endpoint(prog)->addr6, 0, sizeof(bpfprog_endpoint(prog)->addr6));
	assert_drops(nobody(prog, OUT, false), BAD_ADDR);
	assert_drops(nobody(prog, OUT, true), BAD_ADDR);
}

static void spoofs_are_dropped_by_the_open_variant_too(void **state)
{
	struct bpfprog_options options = { .open = true };
	struct bpfprog *prog = prog_new(&options);
	struct packet p;

	assert_silent(from(prog, POD4, PEER4));
	assert_silent(from(prog, POD6, PEER6));
	assert_silent(to(prog, PEER4, POD4, NULL));
	assert_silent(send_data(prog, IN, &out4)); // nothing is tracked
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	assert_drops(from(prog, PEER4, "10.2.0.1"), SPOOFED_ADDR);
	assert_drops(to(prog, PEER4, "10.1.0.6", NULL), NOT_MINE);
	segment(&p, OUT, &out4, P_SYN, 0);
	p.data[11] ^= 1;
	assert_drops(bpfprog_run(prog, OUT, &p, NULL), SPOOFED_MAC);
	bpfprog_free(prog);
}

static void report_mode_counts_and_passes(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	bpfprog_endpoint(prog)->flags |= BH_EP_REPORT_SPOOF;
	assert_passes(from(prog, PEER4, "10.2.0.1"), ALLOWED);
	assert_int_equal(bpfprog_total(prog, OUT, BH_REASON_SPOOFED_ADDR, 0).packets, 1);
	packet_arp(&p, pod_mac, 2, PEER4, POD4); // what is of the link stays of the link
	assert_passes(bpfprog_run(prog, OUT, &p, NULL), SPOOFED_ARP); // what was counted
	packet_arp(&p, peer_mac, 2, POD4, POD4);
	assert_passes(bpfprog_run(prog, OUT, &p, NULL), SPOOFED_MAC);
	assert_int_equal(bpfprog_total(prog, OUT, BH_REASON_SPOOFED_ARP, 0).packets, 1);
	assert_int_equal(bpfprog_total(prog, OUT, BH_REASON_SPOOFED_MAC, 0).packets, 1);
}

static void extra_addresses_are_the_pods_when_switched_on(void **state)
{
	struct bpfprog_options options = { .features = BH_FEATURE_TRACK | BH_FEATURE_EXTRA };
	struct bpfprog *prog = prog_new(&options);

	bpfprog_extra(prog, EXTRA4, 28, 1);
	bpfprog_extra(prog, EXTRA6, 64, 100);
	assert_drops(from(prog, "10.9.9.3", PEER4), SPOOFED_ADDR);
	bpfprog_endpoint(prog)->flags |= BH_EP_EXTRA;
	assert_passes(from(prog, "10.9.9.3", PEER4), ALLOWED);
	assert_passes(from(prog, "10.9.9.4", PEER4), ALLOWED); // another address, another flow
	assert_silent(from(prog, "10.9.9.4", PEER4));
	assert_passes(from(prog, POD4, PEER4), ALLOWED);
	assert_drops(from(prog, "10.9.9.16", PEER4), SPOOFED_ADDR);
	assert_passes(from(prog, "fd00:9::7", PEER6), ALLOWED);
	assert_passes(to(prog, PEER4, "10.9.9.5", NULL), ALLOWED);
	assert_int_equal(bpfprog_half_open(prog), 5);
	bpfprog_free(prog);
}

static void extra_addresses_are_no_other_pods(void **state)
{
	struct bpfprog_options options = { .features = BH_FEATURE_TRACK | BH_FEATURE_EXTRA };
	struct bpfprog *a = prog_new(&options), *b;

	options.slot = 9;
	options.share = a;
	b = prog_new(&options);
	bpfprog_extra(a, EXTRA4, 28, 1);
	bpfprog_endpoint(a)->flags |= BH_EP_EXTRA;
	bpfprog_endpoint(b)->flags |= BH_EP_EXTRA;
	assert_drops(from(b, "10.9.9.3", PEER4), SPOOFED_ADDR);
	bpfprog_free(b);
	bpfprog_free(a);
}

static void what_a_bridge_floods_is_dropped(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(to(prog, PEER4, "10.1.0.6", NULL), NOT_MINE);
	assert_drops(to(prog, PEER6, "fd00:1::6", NULL), NOT_MINE);
	assert_drops(to(prog, PEER6, "fe80::5", NULL), NOT_MINE);
}

static void r30_own_address_passes_only_by_the_own_veth(void **state)
{
	struct bpfprog_ctx own = { .ingress_ifindex = POD_IFINDEX };
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_silent(to(prog, POD4, POD4, &own));
	assert_silent(to(prog, POD6, POD6, &own));
	assert_drops(to(prog, POD4, POD4, NULL), SPOOFED_ADDR);
	assert_drops(to(prog, POD6, POD6, &(struct bpfprog_ctx){ 0 }), SPOOFED_ADDR);
}

static void multicast_is_judged_packet_by_packet(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	bpfprog_cidr(prog, "224.0.0.0", 4, 1);
	bpfprog_cidr(prog, "255.255.255.255", 32, 1);
	bpfprog_cidr(prog, "ff00::", 8, 1);
	assert_passes(from(prog, POD4, "239.1.1.1"), ALLOWED);
	assert_passes(from(prog, POD4, "239.1.1.1"), ALLOWED);
	assert_passes(from(prog, POD4, "255.255.255.255"), ALLOWED);
	assert_passes(from(prog, POD6, "ff05::1"), ALLOWED);
	assert_passes(to(prog, FRIEND4, "239.1.1.1", NULL), ALLOWED);
	assert_drops(to(prog, FOE4, "239.1.1.1", NULL), POLICY_DENIED);
	assert_drops(to(prog, POD4, "239.1.1.1", NULL), SPOOFED_ADDR);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	bpfprog_cidr(prog, "224.0.0.0", 4, 3);
	assert_drops(from(prog, POD4, "239.1.1.1"), POLICY_DENIED);
}

static void subnet_broadcast_is_told_by_its_mac(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	segment(&p, IN, &(struct flow){ FRIEND4, 1000, 2000, IPPROTO_UDP }, 0, 0);
	memset(p.data, 0xff, 6);
	p.data[p.l3 + 19] = 255; // 10.1.0.255
	assert_passes(bpfprog_run(prog, IN, &p, NULL), ALLOWED);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	p.data[0] = 2;
	assert_drops(bpfprog_run(prog, IN, &p, NULL), NOT_MINE);
}

static void stale_program_drops_everything(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	bpfprog_endpoint(prog)->ident = BH_IDENT(3, 8);
	assert_drops(send_tcp(prog, OUT, &out4, P_SYN), STALE_PROGRAM);
	assert_drops(send_tcp(prog, IN, &out6, P_SYN), STALE_PROGRAM);
	packet_arp(&p, pod_mac, 1, POD4, GATEWAY4);
	assert_drops(bpfprog_run(prog, OUT, &p, NULL), STALE_PROGRAM);
	bpfprog_endpoint(prog)->ident = bpfprog_ident(prog);
	bpfprog_endpoint(prog)->state = BH_STATE_NONE;
	assert_drops(send_tcp(prog, OUT, &out4, P_SYN), STALE_PROGRAM);
}

static void r1_quarantine_lets_only_the_link_and_the_node_through(void **state)
{
	struct bpfprog_ctx host = { .ingress_ifindex = 0 };
	struct bpfprog *prog = *state;
	struct packet p;

	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	bpfprog_endpoint(prog)->state = BH_STATE_QUARANTINE;
	bpfprog_enforce(prog, IN, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	bpfprog_enforce(prog, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	assert_drops(send_tcp(prog, OUT, &out4, P_SYN), QUARANTINE);
	assert_drops(send_tcp(prog, IN, &out6, P_SYN), QUARANTINE);
	assert_drops(from(prog, POD4, "239.1.1.1"), QUARANTINE);
	packet_arp(&p, pod_mac, 1, POD4, GATEWAY4);
	assert_silent(bpfprog_run(prog, OUT, &p, NULL));
	assert_passes(to(prog, NODE4, POD4, &host), OWN_NODE);
	assert_silent(send_tcp(prog, OUT, &(struct flow){ NODE4, 1000, 2000, IPPROTO_UDP }, 0));
	assert_drops(to(prog, PEER4, POD4, &host), QUARANTINE);
	assert_passes(from(prog, POD4, NODE4), OWN_NODE);
}

static void quarantine_holds_what_was_open_before(void **state)
{
	struct bpfprog *prog = *state;

	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	bpfprog_endpoint(prog)->state = BH_STATE_QUARANTINE;
	assert_drops(send_tcp(prog, IN, &out4, P_SYN | P_ACK), QUARANTINE);
	bpfprog_endpoint(prog)->state = BH_STATE_ACTIVE;
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
}

static void quarantine_holds_in_the_open_variant(void **state)
{
	struct bpfprog_options options = { .open = true };
	struct bpfprog *prog = prog_new(&options);

	bpfprog_endpoint(prog)->state = BH_STATE_QUARANTINE;
	assert_drops(from(prog, POD4, PEER4), QUARANTINE);
	assert_drops(to(prog, PEER6, POD6, NULL), QUARANTINE);
	bpfprog_free(prog);
}

// Whose tracking programs could not be loaded: by direction, and the link goes on working.
static void what_the_open_variant_cannot_judge_is_held(void **state)
{
	struct bpfprog_options options = { .open = true };
	struct bpfprog *prog = prog_new(&options);

	bpfprog_endpoint(prog)->policy[BH_INGRESS] = BH_POLICY_FIRST;
	assert_silent(from(prog, POD4, PEER4));
	assert_drops(to(prog, PEER4, POD4, NULL), QUARANTINE);
	assert_drops(to(prog, PEER6, POD6, NULL), QUARANTINE);
	bpfprog_endpoint(prog)->policy[BH_EGRESS] = BH_POLICY_DENY;
	assert_drops(from(prog, POD6, PEER6), QUARANTINE);
	bpfprog_free(prog);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(spoofed_sources_are_dropped),
		TEST(nobodys_address_is_nobodys),
		TEST(spoofs_are_dropped_by_the_open_variant_too),
		TEST(report_mode_counts_and_passes),
		TEST(extra_addresses_are_the_pods_when_switched_on),
		TEST(extra_addresses_are_no_other_pods),
		TEST(what_a_bridge_floods_is_dropped),
		TEST(r30_own_address_passes_only_by_the_own_veth),
		TEST(multicast_is_judged_packet_by_packet),
		TEST(subnet_broadcast_is_told_by_its_mac),
		TEST(stale_program_drops_everything),
		TEST(r1_quarantine_lets_only_the_link_and_the_node_through),
		TEST(quarantine_holds_what_was_open_before),
		TEST(quarantine_holds_in_the_open_variant),
		TEST(what_the_open_variant_cannot_judge_is_held),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
