// SPDX-License-Identifier: Apache-2.0
// policy_test.c - from an address and a port to a verdict: classes, dense and sparse matrices, what happens
// where a table does not know; exemptions of the own node.
#include "tests/bpf/scene.h"

#include <bpf/bpf.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS

static struct bpfprog_result try(struct bpfprog *prog, enum bh_dir dir, const char *remote,
				 uint16_t port)
{
	static uint16_t other = 20000;
	struct flow f = { remote, dir == OUT ? port : ++other, dir == OUT ? ++other : port,
			  IPPROTO_TCP };

	return send_tcp(prog, dir, &f, P_SYN);
}

static struct bpfprog_result from_host(struct bpfprog *prog, const char *remote, uint16_t port,
				       uint32_t ifindex)
{
	struct bpfprog_ctx ctx = { .ingress_ifindex = ifindex };
	static uint16_t other = 30000;
	struct packet p;

	segment(&p, IN, &(struct flow){ remote, ++other, port, IPPROTO_TCP }, P_SYN, 0);
	return bpfprog_run(prog, IN, &p, &ctx);
}

static void cells_decide_and_name_their_rule(void **state)
{
	static const struct {
		const char *remote[2];
		uint32_t cls;
		uint16_t port;
		bool allow;
	} cases[] = {
		{ { FRIEND4, FRIEND6 }, 1, 80, true },
		{ { FRIEND4, FRIEND6 }, 1, 81, true },
		{ { WEB4, WEB6 }, 2, 80, true },
		{ { WEB4, WEB6 }, 2, 81, false },
		{ { FOE4, FOE6 }, 3, 80, false },
		{ { "10.77.0.1", "fd77::1" }, 3, 80, false },
		{ { BANNED4, BANNED6 }, 4, 80, false },
	};
	struct bpfprog *prog = *state;
	struct bpfprog_result result;

	isolate_both(prog);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int j = 0; j < 4; j++) {
			enum bh_dir dir = j & 1;

			result = try(prog, dir, cases[i].remote[j >> 1], cases[i].port);
			assert_int_equal(result.pass, cases[i].allow);
			assert_int_equal(result.reason, cases[i].allow ? BH_REASON_ALLOWED :
									 BH_REASON_POLICY_DENIED);
			assert_int_equal(result.rule,
					 rule_of(dir, cases[i].cls, cases[i].port == 80));
		}
}

static void r26_the_other_family_is_denied_by_default(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	bpfprog_peer(prog, WEB4, 2); // a policy that names only IPv4 addresses
	assert_passes(try(prog, IN, WEB4, 80), ALLOWED);
	assert_drops(try(prog, IN, "fd00:99::2", 80), POLICY_DENIED);
}

static void longest_prefix_wins_and_an_exact_address_over_it(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	bpfprog_cidr(prog, "10.50.0.0", 16, 1);
	bpfprog_cidr(prog, "10.50.1.0", 24, 3);
	bpfprog_peer(prog, "10.50.1.7", 1);
	bpfprog_cidr(prog, "fd50::", 16, 1);
	bpfprog_cidr(prog, "fd50:1::", 32, 3);
	assert_passes(try(prog, OUT, "10.50.2.1", 81), ALLOWED);
	assert_drops(try(prog, OUT, "10.50.1.1", 81), POLICY_DENIED);
	assert_passes(try(prog, OUT, "10.50.1.7", 81), ALLOWED);
	assert_passes(try(prog, OUT, "fd50:2::1", 81), ALLOWED);
	assert_drops(try(prog, OUT, "fd50:1::1", 81), POLICY_DENIED);
}

static void families_have_a_root_each(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	bpfprog_cidr(prog, "::", 0, 1); // everything of IPv6, nothing of IPv4
	assert_passes(try(prog, OUT, "2001:db8::1", 81), ALLOWED);
	assert_drops(try(prog, OUT, "203.0.113.1", 81), POLICY_DENIED);
}

static void sparse_matrix_finds_its_exceptions(void **state)
{
	uint32_t defaults[3] = { BPFPROG_NO_ROW, BH_CELL_WORD(BH_VERDICT_DENY, 71),
				 BH_CELL_WORD(BH_VERDICT_ALLOW, 72) };
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	bpfprog_sparse(prog, 40, 140, 3, 2, defaults);
	bpfprog_cell(prog, 40, 1, 1, BH_CELL_WORD(BH_VERDICT_ALLOW, 73));
	bpfprog_cell(prog, 40, 2, 0, BH_CELL_WORD(BH_VERDICT_DENY_CLUSTER, 74));
	bpfprog_cell(prog, 41, 1, 0, BH_CELL_WORD(BH_VERDICT_ALLOW, 75)); // another matrix's
	bpfprog_enforce(prog, IN, 40, 140);
	assert_int_equal(try(prog, IN, FRIEND4, 81).rule, 71);
	assert_drops(try(prog, IN, FRIEND4, 81), POLICY_DENIED);
	assert_passes(try(prog, IN, FRIEND4, 80), ALLOWED);
	assert_int_equal(try(prog, IN, FRIEND4, 80).rule, 73);
	assert_passes(try(prog, IN, WEB4, 80), ALLOWED);
	assert_drops(try(prog, IN, WEB4, 81), POLICY_DENIED);
	assert_int_equal(try(prog, IN, WEB4, 81).rule, 74);
}

static void class_that_a_matrix_does_not_know_is_denied(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	bpfprog_peer(prog, "10.60.0.1", 5); // within the last unit of the row map, without a row
	bpfprog_peer(prog, "10.60.0.2", 9); // beyond the row map
	bpfprog_peer(prog, "10.60.0.3", 0xfffffff0u);
	bpfprog_peer(prog, "10.60.0.4", BH_CLASS_NONE);
	for (int i = 1; i < 5; i++) {
		char addr[16];

		snprintf(addr, sizeof(addr), "10.60.0.%d", i);
		assert_drops(try(prog, IN, addr, 80), CLASS_UNKNOWN);
	}
	bpfprog_port(prog, IPPROTO_TCP, 82, 82, 7); // a column that the matrix has no cells for
	assert_drops(try(prog, IN, FRIEND4, 82), CLASS_UNKNOWN);
	bpfprog_port(prog, IPPROTO_TCP, 82, 82, 4000);
	assert_drops(try(prog, IN, FRIEND4, 82), CLASS_UNKNOWN);
}

static void matrix_with_lying_offsets_is_denied(void **state)
{
	union bh_unit units[3] = { { .head = { 150, 0xffff, 2, 3 } },
				   { .lane = { 0 } },
				   { .lane = { 0 } } };
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	bpfprog_matrix(prog, 41, units, 3); // cells would begin behind its end
	bpfprog_enforce(prog, IN, 41, 150);
	assert_drops(try(prog, IN, FRIEND4, 80), CLASS_UNKNOWN);
}

static void missing_matrix_is_denied(void **state)
{
	struct bpfprog *prog = *state;

	bpfprog_enforce(prog, IN, 42, 160);
	assert_drops(try(prog, IN, FRIEND4, 80), NO_POLICY);
	bpfprog_enforce(prog, IN, 0xffffff, 160);
	assert_drops(try(prog, IN, FRIEND4, 80), NO_POLICY);
}

static void torn_element_is_looked_up_again_and_denied(void **state)
{
	struct bh_addr addr = packet_addr("10.61.0.1");
	struct bh_peer torn = { .cls = 1, .check = bh_addr_check(&addr) + 1 };
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	assert_ok(bpf_map_update_elem(bpfprog_map(prog, "bh_peer"), &addr, &torn, BPF_ANY));
	assert_drops(try(prog, IN, "10.61.0.1", 80), CLASS_UNKNOWN);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CLASS_RETRY), 2);
}

static void fixed_policies_need_no_classes(void **state)
{
	struct bpfprog *prog = *state;

	assert_passes(try(prog, IN, "203.0.113.9", 1), ALLOWED);
	assert_passes(try(prog, OUT, "2001:db8::9", 1), ALLOWED);
	bpfprog_enforce(prog, IN, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	assert_drops(try(prog, IN, "203.0.113.9", 1), POLICY_DENIED);
	assert_passes(try(prog, OUT, "2001:db8::9", 1), ALLOWED);
}

// ---- own node -----------------------------------------------------------------------------------------------------------------
static void r29_host_made_packets_pass_default_deny(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	bpfprog_host(prog, NODE6, BH_HOST_LOCAL | BH_HOST_NODE);
	assert_passes(from_host(prog, NODE4, 8080, 0), OWN_NODE);
	assert_passes(from_host(prog, NODE6, 8080, 0), OWN_NODE);
	assert_drops(from_host(prog, NODE4, 8080, 7), POLICY_DENIED); // forwarded, masqueraded
	assert_drops(from_host(prog, FOE4, 8080, 0),
		     POLICY_DENIED); // host-made with another address
}

static void r29_replies_to_the_node_pass_and_survive_changes(void **state)
{
	struct flow probe = { NODE4, 40000, 8080, IPPROTO_TCP };
	struct bpfprog_ctx host = { .ingress_ifindex = 0 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL);
	segment(&p, IN, &probe, P_SYN, 0);
	assert_passes(bpfprog_run(prog, IN, &p, &host), OWN_NODE);
	assert_silent(send_tcp(prog, OUT, &probe, P_SYN | P_ACK));
	change(prog, IN, 1, true);
	assert_passes(send_data(prog, OUT, &probe), ALLOWED); // judged again, still exempt
	assert_silent(send_data(prog, OUT, &probe));
	bpfprog_peer(prog, NODE4, 4); // a ClusterNetworkPolicy denies the node
	change(prog, IN, 2, false);
	assert_drops(send_data(prog, OUT, &probe), CUT);
}

static void cluster_policy_binds_the_node_too(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	bpfprog_host(prog, BANNED4, BH_HOST_LOCAL | BH_HOST_NODE);
	assert_drops(from_host(prog, BANNED4, 8080, 0), POLICY_DENIED);
	assert_drops(try(prog, OUT, BANNED4, 10250), POLICY_DENIED);
}

static void egress_to_the_node_and_a_gateway_of_the_host_passes(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	bpfprog_host(prog, "10.96.0.1", BH_HOST_LOCAL); // a ClusterIP that IPVS put on a device
	assert_passes(try(prog, OUT, NODE4, 10250), OWN_NODE);
	assert_drops(try(prog, OUT, GATEWAY4, 53), POLICY_DENIED); // a route of the pod's own making
	bpfprog_host(prog, GATEWAY4, BH_HOST_LOCAL);
	assert_passes(try(prog, OUT, GATEWAY4, 53), OWN_NODE);
	assert_drops(try(prog, OUT, "10.96.0.1", 443), POLICY_DENIED);
}

static void egress_to_the_node_survives_tightening(void **state)
{
	struct flow api = { NODE4, 6443, 40000, IPPROTO_TCP };
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	bpfprog_peer(prog, NODE4, 1); // a rule allows it, too
	assert_passes(send_tcp(prog, OUT, &api, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, &api, P_SYN | P_ACK));
	change(prog, OUT, 1, true);
	assert_passes(send_data(prog, IN, &api), ALLOWED);
	assert_silent(send_data(prog, OUT, &api));
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL); // the Node has lost that address
	change(prog, OUT, 2, true);
	assert_drops(send_data(prog, IN, &api), CUT);
}

static void hairpin_through_the_host_passes_the_networkpolicy_tier(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL);
	assert_passes(from_host(prog, NODE4, 8080, POD_IFINDEX), HAIRPIN);
	assert_drops(from_host(prog, FOE4, 8080, POD_IFINDEX), POLICY_DENIED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(cells_decide_and_name_their_rule),
		TEST(r26_the_other_family_is_denied_by_default),
		TEST(longest_prefix_wins_and_an_exact_address_over_it),
		TEST(families_have_a_root_each),
		TEST(sparse_matrix_finds_its_exceptions),
		TEST(class_that_a_matrix_does_not_know_is_denied),
		TEST(matrix_with_lying_offsets_is_denied),
		TEST(missing_matrix_is_denied),
		TEST(torn_element_is_looked_up_again_and_denied),
		TEST(fixed_policies_need_no_classes),
		TEST(r29_host_made_packets_pass_default_deny),
		TEST(r29_replies_to_the_node_pass_and_survive_changes),
		TEST(cluster_policy_binds_the_node_too),
		TEST(egress_to_the_node_and_a_gateway_of_the_host_passes),
		TEST(egress_to_the_node_survives_tightening),
		TEST(hairpin_through_the_host_passes_the_networkpolicy_tier),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
