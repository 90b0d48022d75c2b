// SPDX-License-Identifier: Apache-2.0
// control_test.c - what the link needs passes under default deny, what only network equipment may send
// does not: a test per line of the table in the design.
#include "tests/bpf/scene.h"

#include <bulkhead/wire.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS
#define NEIGHBOUR6 "fd00:1::9" // in the pod's /64

static const uint8_t everyone[6] = { 255, 255, 255, 255, 255, 255 };
static const uint8_t group6[6] = { 0x33, 0x33, 0, 0, 0, 1 };

static int setup(void **state)
{
	scene_setup(state);
	isolate_both(*state);
	bpfprog_enforce(*state, IN, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	bpfprog_enforce(*state, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	return 0;
}

static struct bpfprog_result run(struct bpfprog *prog, enum bh_dir dir, const struct packet *p)
{
	return bpfprog_run(prog, dir, p, NULL);
}

static struct bpfprog_result bare(struct bpfprog *prog, enum bh_dir dir, uint16_t type,
				  const uint8_t *dst)
{
	struct packet p;

	packet_eth(&p, dir == OUT ? pod_mac : peer_mac, dst, type);
	packet_data(&p, 60);
	return run(prog, dir, &p);
}

// An ICMPv6 message of the link: type, addresses, a target where the kind has one.
static struct bpfprog_result link6(struct bpfprog *prog, enum bh_dir dir, uint8_t type,
				   const char *const addrs[static 3], uint8_t hops)
{
	bool mld = type < 133 || type == 143;
	struct bh_addr target;
	struct packet p;

	packet_eth(&p, dir == OUT ? pod_mac : peer_mac, group6, 0);
	packet_ip(&p, addrs[0], addrs[1], IPPROTO_ICMPV6);
	if (mld)
		packet_ext(&p, BH_NEXT_HOP, 0); // router alert
	packet_icmp(&p, type, 0, 0);
	if (addrs[2]) {
		target = packet_addr(addrs[2]);
		packet_bytes(&p, &target, sizeof(target));
	}
	packet_data(&p, 16);
	packet_end(&p);
	p.data[p.l3 + 7] = hops;
	return run(prog, dir, &p);
}

#define A(...) ((const char *const[3]){ __VA_ARGS__ })

static void r25_arp_of_the_pods_own_address_passes(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	packet_arp(&p, pod_mac, 1, POD4, GATEWAY4);
	assert_silent(run(prog, OUT, &p));
	packet_arp(&p, pod_mac, 2, POD4, GATEWAY4);
	assert_silent(run(prog, OUT, &p));
	packet_arp(&p, pod_mac, 1, "0.0.0.0", POD4); // a probe
	assert_silent(run(prog, OUT, &p));
	packet_arp(&p, peer_mac, 1, PEER4, POD4);
	assert_silent(run(prog, IN, &p));
}

static void r25_arp_that_claims_another_address_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	packet_arp(&p, pod_mac, 2, GATEWAY4, PEER4);
	assert_drops(run(prog, OUT, &p), SPOOFED_ARP);
	packet_arp(&p, pod_mac, 2, POD4, PEER4);
	p.data[14 + 8] ^= 4; // sender MAC inside
	assert_drops(run(prog, OUT, &p), SPOOFED_ARP);
	packet_arp(&p, peer_mac, 2, POD4, PEER4);
	assert_drops(run(prog, OUT, &p), SPOOFED_MAC);
	packet_arp(&p, pod_mac, 2, POD4, PEER4);
	p.data[14 + 5] = 8; // protocol addresses of 8 bytes
	assert_drops(run(prog, OUT, &p), BAD_HEADER);
	p.len = 14 + 20;
	assert_drops(run(prog, OUT, &p), SHORT);
}

static void r28_neighbour_discovery_passes(void **state)
{
	struct bpfprog *prog = *state;

	assert_silent(link6(prog, OUT, 135, A(POD6, "ff02::1:ff00:9", PEER6), 255));
	assert_silent(link6(prog, OUT, 135, A("fe80::5", "ff02::1:ff00:1", GATEWAY6), 255));
	assert_silent(link6(prog, OUT, 136, A(POD6, NEIGHBOUR6, POD6), 255));
	assert_silent(link6(prog, OUT, 136, A("fe80::5", "ff02::1", "fe80::5"), 255));
	assert_silent(link6(prog, OUT, 133, A("fe80::5", "ff02::2"), 255));
	assert_silent(link6(prog, IN, 135, A(PEER6, "ff02::1:ff00:5", POD6), 255));
	assert_silent(link6(prog, IN, 136, A(GATEWAY6, POD6, GATEWAY6), 255));
	assert_silent(link6(prog, IN, 136, A(GATEWAY6, "fe80::5", GATEWAY6), 255));
}

// Routers forward it, and who receives it need not mind its hop limit: so it is a way out like any other.
static void r28_neighbour_discovery_goes_no_further_than_the_link(void **state)
{
	static const char *const far[] = { PEER6, "2001:db8::1", "ff0e::1", "ff05::2" };
	static const uint8_t types[] = { 133, 135, 136 };
	struct bpfprog *prog = *state;

	for (size_t i = 0; i < ARRAY_SIZE(far); i++)
		for (size_t k = 0; k < ARRAY_SIZE(types); k++)
			assert_drops(link6(prog, OUT, types[k], A(POD6, far[i], POD6), 255),
				     POLICY_DENIED);
	assert_silent(link6(prog, OUT, 135, A(POD6, NEIGHBOUR6, NEIGHBOUR6), 255));
	assert_silent(link6(prog, OUT, 135, A(POD6, GATEWAY6, GATEWAY6), 255));
	assert_drops(link6(prog, OUT, 136, A(POD6, NODE6, POD6), 255), POLICY_DENIED);
	bpfprog_host(prog, NODE6, BH_HOST_LOCAL);
	assert_silent(link6(prog, OUT, 136, A(POD6, NODE6, POD6), 255));
	isolate(prog, OUT); // where a rule allows the peer all of ICMP, this too
	assert_passes(link6(prog, OUT, 136, A(POD6, FRIEND6, POD6), 255), ALLOWED);
}

static void r28_listener_report_to_one_address_is_judged(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(link6(prog, OUT, 143, A(POD6, NEIGHBOUR6), 1), POLICY_DENIED);
	assert_drops(link6(prog, OUT, 131, A(POD6, NEIGHBOUR6), 1), POLICY_DENIED);
	assert_drops(link6(prog, IN, 143, A(NEIGHBOUR6, POD6), 1), POLICY_DENIED);
	assert_drops(link6(prog, IN, 130, A(NEIGHBOUR6, POD6), 1), POLICY_DENIED);
}

static void r28_duplicate_address_detection_passes(void **state)
{
	struct bpfprog *prog = *state;

	assert_silent(link6(prog, OUT, 135, A("::", "ff02::1:ff00:5", POD6), 255));
	assert_silent(link6(prog, OUT, 135, A("::", "ff02::1:ff00:5", "fe80::5"), 255));
	assert_silent(link6(prog, IN, 135, A("::", "ff02::1:ff00:9", PEER6), 255));
	assert_drops(link6(prog, OUT, 135, A("::", "ff02::1:ff00:9", PEER6), 255), SPOOFED_ARP);
}

static void r28_echo_is_no_neighbour_discovery(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(link6(prog, OUT, 128, A(POD6, PEER6), 255), POLICY_DENIED);
	assert_drops(link6(prog, IN, 128, A(PEER6, POD6), 255), POLICY_DENIED);
	assert_drops(link6(prog, OUT, 128, A("fe80::5", PEER6), 255), SPOOFED_ADDR);
}

static void neighbour_discovery_from_afar_is_dropped(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(link6(prog, OUT, 135, A(POD6, "ff02::1:ff00:9", PEER6), 254), BAD_HEADER);
	assert_drops(link6(prog, IN, 136, A(PEER6, POD6, PEER6), 64), BAD_HEADER);
}

static void advertisement_of_another_address_is_dropped(void **state)
{
	struct bpfprog *prog = *state;

	bpfprog_host(prog, "fe80::77", BH_HOST_LOCAL);
	assert_drops(link6(prog, OUT, 136, A(POD6, "ff02::1", PEER6), 255), SPOOFED_ARP);
	assert_drops(link6(prog, OUT, 136, A("fe80::5", "ff02::1", GATEWAY6), 255), SPOOFED_ARP);
	assert_drops(link6(prog, OUT, 136, A("fe80::5", "ff02::1", "fe80::77"), 255), SPOOFED_ARP);
	assert_drops(link6(prog, OUT, 136, A(PEER6, "ff02::1", POD6), 255), SPOOFED_ADDR);
}

// A solicitation or report tells the link its sender's MAC, as an advertisement does.
static void link_packets_from_another_address_are_dropped(void **state)
{
	static const uint8_t types[] = { 133, 135, 143 };
	struct bpfprog *prog = *state;

	bpfprog_host(prog, "fe80::77", BH_HOST_LOCAL);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t hops = types[i] == 143 ? 1 : 255;

		assert_drops(link6(prog, OUT, types[i], A(PEER6, "ff02::1", POD6), hops),
			     SPOOFED_ADDR);
		assert_drops(link6(prog, OUT, types[i], A(GATEWAY6, "ff02::1", POD6), hops),
			     SPOOFED_ADDR);
		assert_drops(link6(prog, OUT, types[i], A("fe80::77", "ff02::1", POD6), hops),
			     SPOOFED_ADDR);
	}
}

static void router_advertisement_and_redirect_of_a_pod_are_dropped(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(link6(prog, OUT, 134, A("fe80::5", "ff02::1"), 255), LINK_CONTROL);
	assert_drops(link6(prog, OUT, 137, A("fe80::5", PEER6), 255), LINK_CONTROL);
	assert_drops(send_icmp(prog, OUT, PEER4, 5, 0), LINK_CONTROL);
	assert_drops(send_icmp(prog, OUT, PEER4, 9, 0), LINK_CONTROL);
}

static void router_advertisement_to_the_pod_passes_unless_off(void **state)
{
	struct bpfprog *prog = *state;

	assert_silent(link6(prog, IN, 134, A(GATEWAY6, "ff02::1"), 255));
	bpfprog_endpoint(prog)->flags |= BH_EP_RA_OFF;
	assert_drops(link6(prog, IN, 134, A(GATEWAY6, "ff02::1"), 255), LINK_CONTROL);
	assert_silent(link6(prog, IN, 136, A(GATEWAY6, POD6, GATEWAY6), 255));
}

static void r28_multicast_listeners_pass(void **state)
{
	struct bpfprog *prog = *state;

	assert_silent(link6(prog, OUT, 143, A("fe80::5", "ff02::16"), 1));
	assert_silent(link6(prog, OUT, 131, A("::", "ff02::1:ff00:5"), 1));
	assert_silent(link6(prog, IN, 130, A(GATEWAY6, "ff02::1"), 1));
	assert_drops(link6(prog, OUT, 130, A("fe80::5", "ff02::1"), 1), LINK_CONTROL);
	assert_drops(link6(prog, OUT, 143, A("fe80::5", "ff02::16"), 2), BAD_HEADER);
	assert_drops(link6(prog, OUT, 143, A(PEER6, "ff02::16"), 1), SPOOFED_ADDR);
}

static struct bpfprog_result dhcp(struct bpfprog *prog, enum bh_dir dir, const char *src,
				  const char *dst, const uint16_t ports[static 2])
{
	struct packet p;

	packet_eth(&p, dir == OUT ? pod_mac : peer_mac, everyone, 0);
	packet_ip(&p, src, dst, IPPROTO_UDP);
	packet_udp(&p, ports[0], ports[1]);
	packet_data(&p, 240);
	packet_end(&p);
	return run(prog, dir, &p);
}

#define PORTS(a, b) ((const uint16_t[2]){ a, b })

static void dhcp_client_passes(void **state)
{
	struct bpfprog *prog = *state;

	assert_silent(dhcp(prog, OUT, "0.0.0.0", "255.255.255.255", PORTS(68, 67)));
	assert_silent(dhcp(prog, OUT, POD4, "255.255.255.255", PORTS(68, 67)));
	assert_silent(dhcp(prog, IN, GATEWAY4, "255.255.255.255", PORTS(67, 68)));
	assert_silent(dhcp(prog, OUT, "fe80::5", "ff02::1:2", PORTS(546, 547)));
	assert_silent(dhcp(prog, IN, GATEWAY6, "fe80::5", PORTS(547, 546)));
}

static void dhcp_ports_open_no_way_out(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(dhcp(prog, OUT, "0.0.0.0", PEER4, PORTS(68, 67)), SPOOFED_ADDR);
	assert_drops(dhcp(prog, OUT, POD4, PEER4, PORTS(68, 67)), POLICY_DENIED);
	assert_drops(dhcp(prog, OUT, POD6, PEER6, PORTS(546, 547)), POLICY_DENIED);
	assert_drops(dhcp(prog, IN, PEER4, POD4, PORTS(67, 68)), POLICY_DENIED);
	assert_drops(dhcp(prog, IN, PEER6, POD6, PORTS(547, 546)), POLICY_DENIED);
	assert_drops(dhcp(prog, OUT, "0.0.0.0", "255.255.255.255", PORTS(68, 53)), BAD_ADDR);
}

static void dhcp_server_in_a_pod_is_dropped(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(dhcp(prog, OUT, POD4, "255.255.255.255", PORTS(67, 68)), LINK_CONTROL);
	assert_drops(dhcp(prog, OUT, POD4, PEER4, PORTS(67, 68)), LINK_CONTROL);
	assert_drops(dhcp(prog, OUT, "fe80::5", "fe80::9", PORTS(547, 546)), LINK_CONTROL);
}

static void frames_of_bridges_and_switches_are_dropped(void **state)
{
	static const uint16_t types[] = { BH_ETH_LLDP, BH_ETH_SLOW, BH_ETH_EAPOL, BH_ETH_CFM,
					  BH_ETH_PAUSE };
	static const uint8_t bridges[6] = { 1, 0x80, 0xc2, 0, 0, 0 };
	struct bpfprog *prog = *state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_drops(bare(prog, OUT, types[i], bridges), LINK_CONTROL);
	assert_drops(bare(prog, OUT, 38, bridges), LINK_CONTROL); // STP: a length
	assert_drops(bare(prog, IN, 38, bridges), LINK_CONTROL);
}

// A packet that would pass does not behind one tag, nor behind two.
static void r25_tagged_packet_of_an_allowed_flow_is_dropped(void **state)
{
	static const uint16_t tags[] = { 0x88a8, 0x8100 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		segment(&p, dir, &(struct flow){ FRIEND4, 1000, 2000, IPPROTO_UDP }, 0, 20);
		assert_true(run(prog, dir, &p).pass);
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
			memmove(p.data + 16, p.data + 12, p.len - 12);
			p.data[12] = tags[i] >> 8;
			p.data[13] = tags[i] & 0xff;
			p.data[14] = 0;
			p.data[15] = 5;
			p.len += 4;
			assert_drops(run(prog, dir, &p), VLAN);
		}
	}
}

static void r25_tags_and_unknown_ethertypes_are_dropped(void **state)
{
	static const uint16_t tags[] = { 0x8100, 0x88a8, 0x9100 };
	static const uint16_t unknown[] = { 0x8847, 0x8863, 0x8035, 0x22f3, 0x6558, 0xffff };
	struct bpfprog *prog = *state;

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		assert_drops(bare(prog, OUT, tags[i], peer_mac), VLAN);
		assert_drops(bare(prog, IN, tags[i], pod_mac), VLAN);
	}
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_drops(bare(prog, OUT, unknown[i], peer_mac), ETHERTYPE);
		assert_drops(bare(prog, IN, unknown[i], pod_mac), ETHERTYPE);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(r25_arp_of_the_pods_own_address_passes),
		TEST(r25_arp_that_claims_another_address_is_dropped),
		TEST(r28_neighbour_discovery_passes),
		TEST(r28_neighbour_discovery_goes_no_further_than_the_link),
		TEST(r28_listener_report_to_one_address_is_judged),
		TEST(r28_duplicate_address_detection_passes),
		TEST(r28_echo_is_no_neighbour_discovery),
		TEST(neighbour_discovery_from_afar_is_dropped),
		TEST(advertisement_of_another_address_is_dropped),
		TEST(link_packets_from_another_address_are_dropped),
		TEST(router_advertisement_and_redirect_of_a_pod_are_dropped),
		TEST(router_advertisement_to_the_pod_passes_unless_off),
		TEST(r28_multicast_listeners_pass),
		TEST(dhcp_client_passes),
		TEST(dhcp_ports_open_no_way_out),
		TEST(dhcp_server_in_a_pod_is_dropped),
		TEST(frames_of_bridges_and_switches_are_dropped),
		TEST(r25_tagged_packet_of_an_allowed_flow_is_dropped),
		TEST(r25_tags_and_unknown_ethertypes_are_dropped),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
