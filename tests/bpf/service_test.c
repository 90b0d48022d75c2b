// SPDX-License-Identifier: Apache-2.0
// service_test.c - flows to Services: by the row, by the backend, by nobody yet; what is told and what is not known.
#include "tests/bpf/scene.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bulkhead/service.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS

// Services of TCP 80 and UDP 53, by the class of their row.
enum { ROW_ALL = 5, ROW_NONE, ROW_MIXED, ROW_BANNED, ROWS };
static const char *const vips[ROWS][2] = {
	[ROW_ALL] = { "10.96.0.5", "fd00:96::5" },
	[ROW_NONE] = { "10.96.0.6", "fd00:96::6" },
	[ROW_MIXED] = { "10.96.0.7", "fd00:96::7" },
	[ROW_BANNED] = { "10.96.0.8", "fd00:96::8" },
};
static const enum bh_verdict verdicts[ROWS] = {
	[ROW_ALL] = BH_VERDICT_ALLOW,
	[ROW_NONE] = BH_VERDICT_DENY,
	[ROW_MIXED] = BH_VERDICT_MIXED,
	[ROW_BANNED] = BH_VERDICT_DENY_CLUSTER,
};

// Classes of addresses as in scene.h, and a class for each Service.
static void enforce(struct bpfprog *prog, uint32_t n)
{
	uint32_t words[ROWS * 2] = { BPFPROG_NO_ROW, BPFPROG_NO_ROW };

	for (uint32_t cls = 1; cls < ROWS; cls++)
		for (uint32_t pcls = 0; pcls < 2; pcls++)
			words[cls * 2 + pcls] =
				cls < 5 ? word_of(OUT, cls, pcls, false) :
					  BH_CELL_WORD(verdicts[cls], rule_of(OUT, cls, 0));
	bpfprog_dense(prog, 40 + n, GEN(OUT, 20 + n), ROWS, 2, words);
	bpfprog_enforce(prog, OUT, 40 + n, GEN(OUT, 20 + n));
}

static void put(struct bpfprog *prog, uint32_t row, uint32_t word)
{
	for (int v6 = 0; v6 < 2; v6++) {
		bpfprog_service(prog, vips[row][v6], IPPROTO_TCP, 80, word);
		bpfprog_service(prog, vips[row][v6], IPPROTO_UDP, 53, word);
	}
}

static int services_setup(void **state)
{
	struct bpfprog *prog;

	scene_setup(state);
	prog = *state;
	isolate(prog, IN); // nothing begins from outside
	install_classes(prog);
	enforce(prog, 0);
	for (uint32_t row = ROW_ALL; row < ROWS; row++)
		put(prog, row, row);
	bpfprog_node(prog, BH_NODE_SERVICES);
	bpfprog_local(prog, POD4, bpfprog_ident(prog));
	bpfprog_local(prog, POD6, bpfprog_ident(prog));
	return 0;
}

static void hook(struct bpfprog *prog, bool in_force)
{
	bpfprog_node(prog, BH_NODE_SERVICES | (in_force ? BH_NODE_HOOK : 0));
}

static struct flow to(const char *remote, uint16_t port, uint8_t proto)
{
	static uint16_t local = 40000;

	return (struct flow){ remote, port, ++local, proto };
}

static struct bpfprog_result begin(struct bpfprog *prog, const char *remote, uint16_t port,
				   uint8_t proto)
{
	struct flow f = to(remote, port, proto);

	return send_tcp(prog, OUT, &f, P_SYN);
}

static struct bpfprog_result begin_in(struct bpfprog *prog, const char *remote)
{
	struct flow f = to(remote, 53, IPPROTO_UDP);

	return send_tcp(prog, BH_INGRESS, &f, 0);
}

static void behind(struct bpfprog *prog, const struct flow *f, const char *addr, uint16_t port)
{
	bpfprog_backend(prog, f->proto, f->remote, f->remote_port, f->local_port, addr, port);
}

static void both_speak(struct bpfprog *prog, const struct flow *f)
{
	if (f->proto == IPPROTO_TCP)
		assert_true(send_tcp(prog, OUT, f, P_SYN).pass);
	assert_true(send_tcp(prog, f->proto == IPPROTO_TCP ? IN : OUT, f, P_SYN | P_ACK).pass);
	assert_true(send_tcp(prog, f->proto == IPPROTO_TCP ? OUT : IN, f, P_ACK).pass);
}

static struct bh_ct entry(struct bpfprog *prog, const struct flow *f)
{
	struct bh_ct ct;

	assert_true(bpfprog_ct(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct));
	return ct;
}

// ---- by the row -----------------------------------------------------------------------------------------------------------

static void rows_decide_and_name_their_rule(void **state)
{
	struct bpfprog *prog = *state;
	struct bpfprog_result result;

	for (int v6 = 0; v6 < 2; v6++) {
		result = begin(prog, vips[ROW_ALL][v6], 80, IPPROTO_TCP);
		assert_passes(result, ALLOWED);
		assert_int_equal(result.rule, rule_of(OUT, ROW_ALL, 0));
		assert_passes(begin(prog, vips[ROW_ALL][v6], 53, IPPROTO_UDP), ALLOWED);
		assert_drops(begin(prog, vips[ROW_NONE][v6], 80, IPPROTO_TCP), POLICY_DENIED);
		assert_drops(begin(prog, vips[ROW_BANNED][v6], 80, IPPROTO_TCP), POLICY_DENIED);
		result = begin(prog, vips[ROW_MIXED][v6], 80, IPPROTO_TCP);
		assert_drops(result, SERVICE_MIXED);
		assert_int_equal(result.rule, rule_of(OUT, ROW_MIXED, 0));
		put(prog, ROW_NONE, ROW_NONE | BH_SERVICE_EMPTY);
		assert_drops(begin(prog, vips[ROW_NONE][v6], 53, IPPROTO_UDP), SERVICE_EMPTY);
		put(prog, ROW_NONE, ROW_NONE);
	}
}

// Another port of its address, another protocol, ICMP: an address like any other.
static void r18_what_is_no_port_of_a_service_is_an_address(void **state)
{
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		const char *vip = vips[ROW_ALL][v6];

		assert_drops(begin(prog, vip, 81, IPPROTO_TCP), POLICY_DENIED);
		assert_drops(begin(prog, vip, 80, IPPROTO_UDP), POLICY_DENIED);
		assert_drops(send_icmp(prog, OUT, vip, v6 ? 128 : 8, 7), POLICY_DENIED);
		bpfprog_peer(prog, vip, 1);
		assert_passes(begin(prog, vip, 81, IPPROTO_TCP), ALLOWED);
		assert_passes(send_icmp(prog, OUT, vip, v6 ? 128 : 8, 8), ALLOWED);
	}
}

// The pod is not told of Services by who speaks to it: a source that happens to be one is an address.
static void only_what_a_pod_begins_is_to_a_service(void **state)
{
	struct flow f = to(vips[ROW_ALL][0], 80, IPPROTO_TCP);
	struct bpfprog *prog = *state;

	assert_drops(send_tcp(prog, IN, &f, P_SYN), POLICY_DENIED);
}

static void without_services_nothing_is_looked_up(void **state)
{
	struct bpfprog *prog = *state;

	bpfprog_node(prog, 0);
	assert_drops(begin(prog, vips[ROW_ALL][0], 80, IPPROTO_TCP), POLICY_DENIED);
}

static void node_ports_are_services_at_every_address_of_the_host(void **state)
{
	struct flow f = to(NODE4, 30081, IPPROTO_TCP);
	struct bpfprog *prog = *state;

	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	bpfprog_service(prog, NULL, IPPROTO_TCP, 30080, ROW_NONE);
	bpfprog_service(prog, NULL, IPPROTO_TCP, 30081, ROW_ALL);
	assert_passes(begin(prog, NODE4, 22, IPPROTO_TCP), OWN_NODE);
	assert_drops(begin(prog, NODE4, 30080, IPPROTO_TCP), POLICY_DENIED);
	assert_passes(begin(prog, NODE4, 30081, IPPROTO_TCP), ALLOWED);
	assert_passes(begin(prog, FRIEND4, 30080, IPPROTO_TCP), ALLOWED); // another host's is not ours
	bpfprog_any_ports(prog, 30081, 32767);
	assert_passes(begin(prog, NODE4, 30080, IPPROTO_TCP), OWN_NODE); // nobody said that there was such a port
	bpfprog_any_ports(prog, 30080, 32767);
	both_speak(prog, &f);
	bpfprog_service(prog, NULL, IPPROTO_TCP, 30081, ROW_NONE);
	enforce(prog, 1);
	assert_drops(send_data(prog, OUT, &f), CUT); // at the node's address it is still no flow to the node
	assert_drops(send_data(prog, IN, &f), CUT);
	bpfprog_service(prog, NULL, IPPROTO_TCP, 30081, ROW_ALL);
	bpfprog_enforce(prog, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	assert_passes(begin(prog, NODE4, 22, IPPROTO_TCP), OWN_NODE);
	assert_drops(begin(prog, NODE4, 30080, IPPROTO_TCP), POLICY_DENIED);
	bpfprog_endpoint(prog)->state = BH_STATE_QUARANTINE;
	assert_passes(begin(prog, NODE4, 22, IPPROTO_TCP), OWN_NODE);
	assert_drops(begin(prog, NODE4, 30081, IPPROTO_TCP), QUARANTINE);
}

static void node_ports_are_of_the_families_that_they_are_said_to_be(void **state)
{
	static const char *const nodes[] = { NODE4, NODE6 };
	static const uint32_t nots[] = { BH_SERVICE_NOT4, BH_SERVICE_NOT6 };
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++)
		bpfprog_host(prog, nodes[v6], BH_HOST_LOCAL | BH_HOST_NODE);
	for (int v6 = 0; v6 < 2; v6++) {
		bpfprog_service(prog, NULL, IPPROTO_TCP, 30080, ROW_NONE | nots[v6]);
		assert_passes(begin(prog, nodes[v6], 30080, IPPROTO_TCP), OWN_NODE);
		assert_drops(begin(prog, nodes[!v6], 30080, IPPROTO_TCP), POLICY_DENIED);
		bpfprog_enforce(prog, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
		assert_passes(begin(prog, nodes[v6], 30080, IPPROTO_TCP), OWN_NODE);
		assert_drops(begin(prog, nodes[!v6], 30080, IPPROTO_TCP), POLICY_DENIED);
		enforce(prog, 1 + v6);
	}
}

// What a backend goes on to send in a flow that was forgotten comes from the Service's address: the pod's ingress, which
// would take it for a stranger's, is not asked.
static void nothing_begins_at_a_cluster_ip(void **state)
{
	struct bpfprog_ctx host = { .ingress_ifindex = 0 };
	struct bpfprog *prog = *state;

	bpfprog_enforce(prog, IN, BH_POLICY_ALLOW, BH_GEN_OF(BH_POLICY_ALLOW));
	put(prog, ROW_ALL, ROW_ALL | BH_SERVICE_CLUSTER_IP);
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow tcp = to(vips[ROW_ALL][v6], 80, IPPROTO_TCP);
		struct flow udp = to(vips[ROW_ALL][v6], 53, IPPROTO_UDP);
		struct flow port = to(vips[ROW_ALL][v6], 54, IPPROTO_UDP);
		struct flow external = to(vips[ROW_MIXED][v6], 53, IPPROTO_UDP);
		struct packet p;

		assert_drops(send_tcp(prog, IN, &tcp, P_SYN), SERVICE_UNASKED);
		assert_drops(send_tcp(prog, IN, &udp, 0), SERVICE_UNASKED);
		assert_drops(send_tcp(prog, IN, &udp, 0), SERVICE_UNASKED); // nothing was kept
		assert_passes(send_tcp(prog, IN, &port, 0), ALLOWED);
		assert_passes(send_tcp(prog, IN, &external, 0), ALLOWED); // somebody's own address
		assert_passes(send_tcp(prog, OUT, &udp, 0), ALLOWED); // asked: it answers
		assert_true(send_tcp(prog, IN, &udp, 0).pass);

		bpfprog_host(prog, vips[ROW_ALL][v6], BH_HOST_LOCAL); // as IPVS has them
		udp.local_port++;
		segment(&p, IN, &udp, 0, 0);
		assert_passes(bpfprog_run(prog, IN, &p, &host), OWN_NODE);
		udp.local_port++;
		assert_drops(send_tcp(prog, IN, &udp, 0), SERVICE_UNASKED); // forwarded
	}
	bpfprog_enforce(prog, OUT, BH_POLICY_ALLOW, BH_GEN_OF(BH_POLICY_ALLOW)); // what it may ask may ask it
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow f = to(vips[ROW_ALL][v6], 53, IPPROTO_UDP);

		assert_passes(send_tcp(prog, IN, &f, 0), ALLOWED);
	}
	bpfprog_enforce(prog, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	assert_drops(begin_in(prog, vips[ROW_ALL][0]), SERVICE_UNASKED);
	bpfprog_node(prog, 0);
	assert_passes(begin_in(prog, vips[ROW_ALL][0]), ALLOWED);
}

// R30: a pod cannot block itself, whichever way it comes to itself.
static void r30_a_pod_reaches_itself_by_a_service(void **state)
{
	struct bpfprog *prog = *state;
	const char *none = vips[ROW_NONE][0];

	bpfprog_self(prog, none, IPPROTO_TCP, 80, BH_SELF_ONLY);
	bpfprog_self(prog, vips[ROW_BANNED][0], IPPROTO_TCP, 80, BH_SELF_ONLY);
	assert_passes(begin(prog, none, 80, IPPROTO_TCP), ALLOWED);
	assert_drops(begin(prog, none, 53, IPPROTO_UDP), POLICY_DENIED);
	assert_drops(begin(prog, vips[ROW_BANNED][0], 80, IPPROTO_TCP), POLICY_DENIED);
	bpfprog_self(prog, none, IPPROTO_TCP, 80, BH_SELF_ONE);
	assert_drops(begin(prog, none, 80, IPPROTO_TCP), SERVICE_MIXED);
	hook(prog, true);
	assert_passes(begin(prog, none, 80, IPPROTO_TCP), SERVICE);
	bpfprog_self(prog, none, IPPROTO_TCP, 80, BH_SELF_ONLY);
	bpfprog_enforce(prog, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	assert_passes(begin(prog, none, 80, IPPROTO_TCP), ALLOWED);
	assert_drops(begin(prog, vips[ROW_ALL][0], 80, IPPROTO_TCP), POLICY_DENIED);
}

// ---- by nobody yet --------------------------------------------------------------------------------------------------------

static void what_is_mixed_passes_only_to_who_judges_it(void **state)
{
	struct bpfprog *prog = *state;
	const char *vip = vips[ROW_MIXED][0];

	hook(prog, true);
	assert_passes(begin(prog, vip, 80, IPPROTO_TCP), SERVICE);
	assert_passes(begin(prog, vips[ROW_MIXED][1], 53, IPPROTO_UDP), SERVICE);
	bpfprog_local(prog, POD4, bpfprog_ident(prog) + 1); // an address that the other program takes for another pod's
	assert_drops(begin(prog, vip, 80, IPPROTO_TCP), SERVICE_MIXED);
	bpfprog_local(prog, POD4, bpfprog_ident(prog));
	hook(prog, false);
	assert_drops(begin(prog, vip, 80, IPPROTO_TCP), SERVICE_MIXED);
}

// With source checks that only count, a pod may send from elsewhere: nobody would judge that behind the translation.
static void r8_a_foreign_source_is_not_let_through_unjudged(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	hook(prog, true);
	bpfprog_endpoint(prog)->flags = BH_EP_REPORT_SPOOF;
	packet_eth(&p, pod_mac, peer_mac, 0);
	packet_ip(&p, "10.1.0.66", vips[ROW_MIXED][0], IPPROTO_TCP);
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_false(bpfprog_run(prog, OUT, &p, NULL).pass);
}

static void an_unjudged_flow_is_judged_when_its_backend_is_known(void **state)
{
	struct bpfprog *prog = *state;

	hook(prog, true);
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow f = to(vips[ROW_MIXED][v6], 80, IPPROTO_TCP);
		struct bh_ct ct;

		assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
		assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
		assert_drops(send_tcp(prog, IN, &f, P_SYN | P_ACK), BACKEND_UNKNOWN);
		behind(prog, &f, v6 ? WEB6 : WEB4, 80);
		assert_passes(send_tcp(prog, IN, &f, P_SYN | P_ACK), ALLOWED);
		assert_silent(send_tcp(prog, OUT, &f, P_ACK));
		assert_silent(send_data(prog, IN, &f));
		ct = entry(prog, &f);
		assert_int_equal(ct.gen, GEN(OUT, 20));
		assert_int_equal(ct.rule, BH_CELL_WORD(BH_VERDICT_ALLOW, rule_of(OUT, 2, 1)));
		assert_int_equal(ct.flags, BH_CT_EGRESS | BH_CT_SERVICE);
		behind(prog, &f, NULL, 0); // forgotten: it is known to be allowed
		assert_silent(send_data(prog, OUT, &f));
	}
}

static void an_unjudged_flow_to_a_forbidden_backend_ends(void **state)
{
	struct bpfprog *prog = *state;

	hook(prog, true);
	for (int v6 = 0; v6 < 2; v6++) {
		struct flow f = to(vips[ROW_MIXED][v6], 80, IPPROTO_TCP);
		struct flow wrong_port = to(vips[ROW_MIXED][v6], 80, IPPROTO_TCP);

		assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
		behind(prog, &f, v6 ? FOE6 : FOE4, 80);
		assert_drops(send_tcp(prog, IN, &f, P_SYN | P_ACK), POLICY_DENIED);
		assert_false(send_tcp(prog, OUT, &f, P_SYN).pass);
		assert_passes(send_tcp(prog, OUT, &wrong_port, P_SYN), SERVICE);
		behind(prog, &wrong_port, v6 ? WEB6 : WEB4, 81); // the port that counts is the backend's
		assert_false(send_tcp(prog, OUT, &wrong_port, P_SYN).pass);
	}
}

static void the_pod_itself_and_its_node_pass_as_backends(void **state)
{
	struct bpfprog *prog = *state;
	struct flow f;

	hook(prog, true);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	bpfprog_host(prog, "192.168.8.1", BH_HOST_LOCAL); // another address of the host is one like any other
	f = to(vips[ROW_MIXED][0], 80, IPPROTO_TCP);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
	behind(prog, &f, POD4, 80);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), ALLOWED);
	f = to(vips[ROW_MIXED][0], 80, IPPROTO_TCP);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
	behind(prog, &f, NODE4, 80);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), ALLOWED);
	f = to(vips[ROW_MIXED][0], 80, IPPROTO_TCP);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
	behind(prog, &f, "192.168.8.1", 80);
	assert_false(send_tcp(prog, OUT, &f, P_SYN).pass);
	bpfprog_peer(prog, NODE4, 4); // a ClusterNetworkPolicy denies the node
	f = to(vips[ROW_MIXED][0], 80, IPPROTO_TCP);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
	behind(prog, &f, NODE4, 80);
	assert_false(send_tcp(prog, OUT, &f, P_SYN).pass);
}

// ---- known flows ----------------------------------------------------------------------------------------------------------

static void a_connection_is_judged_on_its_backend_whatever_the_row_says(void **state)
{
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++)
		for (int side = 0; side < 2; side++) {
			struct flow kept = to(vips[ROW_ALL][v6], 80, IPPROTO_TCP);
			struct flow cut = to(vips[ROW_ALL][v6], 80, IPPROTO_TCP);

			both_speak(prog, &kept);
			both_speak(prog, &cut);
			behind(prog, &kept, v6 ? WEB6 : WEB4, 80);
			behind(prog, &cut, v6 ? FOE6 : FOE4, 80);
			put(prog, ROW_ALL, ROW_NONE);
			enforce(prog, 1 + 4 * v6 + 2 * side);
			assert_passes(send_data(prog, side, &kept), ALLOWED);
			assert_drops(send_data(prog, side, &cut), CUT);
			assert_silent(send_data(prog, !side, &kept));
			assert_drops(send_data(prog, !side, &cut), CUT);
			put(prog, ROW_ALL, ROW_ALL); // the row allows again, the backend does not
			enforce(prog, 2 + 4 * v6 + 2 * side);
			assert_true(send_data(prog, !side, &kept).pass);
			assert_drops(send_data(prog, side, &cut), CUT);
			assert_true(entry(prog, &cut).flags & BH_CT_CUT);
		}
}

static void a_connection_without_a_known_backend_follows_the_row(void **state)
{
	struct flow f = to(vips[ROW_ALL][0], 80, IPPROTO_TCP);
	struct bpfprog *prog = *state;

	both_speak(prog, &f);
	put(prog, ROW_ALL, ROW_MIXED);
	enforce(prog, 1);
	assert_drops(send_data(prog, IN, &f), CUT);
	assert_drops(send_data(prog, OUT, &f), SERVICE_MIXED);
	hook(prog, true); // from here on somebody judges it behind the translation
	assert_drops(send_data(prog, IN, &f), BACKEND_UNKNOWN);
	assert_passes(send_data(prog, OUT, &f), SERVICE);
	assert_int_equal(BH_CELL_VERDICT(entry(prog, &f).rule), BH_VERDICT_MIXED);
	behind(prog, &f, WEB4, 80);
	assert_passes(send_data(prog, IN, &f), ALLOWED);
	assert_silent(send_data(prog, OUT, &f));
}

// What conntrack may forget may get another backend: only who sees each packet behind the translation can tell.
static void datagrams_have_no_backend_for_life(void **state)
{
	struct flow f = to(vips[ROW_ALL][0], 53, IPPROTO_UDP);
	struct bpfprog *prog = *state;

	both_speak(prog, &f);
	behind(prog, &f, FOE4, 53);
	enforce(prog, 1);
	assert_true(send_tcp(prog, OUT, &f, 0).pass); // by the row
	assert_true(send_tcp(prog, IN, &f, 0).pass);
	hook(prog, true);
	enforce(prog, 2);
	assert_drops(send_tcp(prog, IN, &f, 0), CUT); // who sent this is not allowed
	assert_true(send_tcp(prog, OUT, &f, 0).pass); // who gets this is judged behind the translation
	behind(prog, &f, WEB4, 53);
	enforce(prog, 3);
	assert_true(send_tcp(prog, IN, &f, 0).pass);
	put(prog, ROW_ALL, ROW_NONE);
	enforce(prog, 4);
	assert_true(send_tcp(prog, IN, &f, 0).pass);
	hook(prog, false);
	enforce(prog, 5);
	assert_drops(send_tcp(prog, OUT, &f, 0), CUT);
}

static void who_has_no_endpoints_any_more_loses_no_flow(void **state)
{
	struct flow f = to(vips[ROW_ALL][0], 80, IPPROTO_TCP), unjudged;
	struct bpfprog *prog = *state;

	both_speak(prog, &f);
	put(prog, ROW_ALL, ROW_NONE | BH_SERVICE_EMPTY);
	enforce(prog, 1);
	assert_passes(send_data(prog, IN, &f), ALLOWED);
	assert_silent(send_data(prog, OUT, &f));
	assert_drops(begin(prog, vips[ROW_ALL][0], 80, IPPROTO_TCP), SERVICE_EMPTY);
	put(prog, ROW_ALL, ROW_NONE); // endpoints again, all forbidden
	enforce(prog, 2);
	assert_drops(send_data(prog, OUT, &f), CUT);
	put(prog, ROW_ALL, ROW_NONE | BH_SERVICE_EMPTY); // what is cut does not come back by that
	enforce(prog, 3);
	assert_false(send_data(prog, OUT, &f).pass);
	hook(prog, true);
	unjudged = to(vips[ROW_MIXED][0], 80, IPPROTO_TCP);
	assert_passes(send_tcp(prog, OUT, &unjudged, P_SYN), SERVICE);
	put(prog, ROW_MIXED, ROW_NONE | BH_SERVICE_EMPTY);
	enforce(prog, 4);
	assert_drops(send_tcp(prog, IN, &unjudged, P_SYN | P_ACK), SERVICE_EMPTY);
}

static void a_service_that_is_gone_leaves_flows_with_their_backend(void **state)
{
	struct flow kept = to(vips[ROW_ALL][0], 80, IPPROTO_TCP);
	struct flow cut = to(vips[ROW_ALL][0], 80, IPPROTO_TCP);
	struct flow unknown = to(vips[ROW_ALL][0], 80, IPPROTO_TCP);
	struct bpfprog *prog = *state;

	both_speak(prog, &kept);
	both_speak(prog, &cut);
	both_speak(prog, &unknown);
	behind(prog, &kept, WEB4, 80);
	behind(prog, &cut, FOE4, 80);
	bpfprog_service_del(prog, vips[ROW_ALL][0], IPPROTO_TCP, 80);
	enforce(prog, 1);
	assert_passes(send_data(prog, IN, &kept), ALLOWED);
	assert_drops(send_data(prog, IN, &cut), CUT);
	assert_drops(send_data(prog, IN, &unknown), CUT); // its address is nobody's that is allowed
}

// A backend that those ports had once is no backend of an address that never was a Service.
static void what_was_never_a_service_has_no_backend(void **state)
{
	struct flow f = to(FRIEND4, 80, IPPROTO_TCP);
	struct bpfprog *prog = *state;

	both_speak(prog, &f);
	behind(prog, &f, FOE4, 80);
	enforce(prog, 1);
	assert_passes(send_data(prog, IN, &f), ALLOWED);
	bpfprog_peer(prog, FRIEND4, 3);
	behind(prog, &f, WEB4, 80);
	enforce(prog, 2);
	assert_drops(send_data(prog, IN, &f), CUT);
}

// ---- elements under a reader ----------------------------------------------------------------------------------------------

static void spoil(struct bpfprog *prog, const char *map, const void *key, size_t check)
{
	uint32_t value[16] = { 0 };

	assert_ok(bpf_map_lookup_elem(bpfprog_map(prog, map), key, value));
	value[check] ^= 1;
	assert_ok(bpf_map_update_elem(bpfprog_map(prog, map), key, value, BPF_ANY));
}

static void an_element_of_another_key_is_not_believed(void **state)
{
	struct bh_service_key service = { .port = htons(80), .proto = IPPROTO_TCP };
	struct bh_addr vip = packet_addr(vips[ROW_ALL][0]), pod = packet_addr(POD4);
	struct bpfprog *prog = *state;
	struct bh_self_key self = { .slot = BH_SLOT(bpfprog_ident(prog)) };

	memcpy(service.addr, &vip, sizeof(vip));
	spoil(prog, "bh_service", &service, 1);
	assert_drops(begin(prog, vips[ROW_ALL][0], 80, IPPROTO_TCP), CLASS_UNKNOWN);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CLASS_RETRY), 2);
	vip = packet_addr(vips[ROW_NONE][0]);
	memcpy(service.addr, &vip, sizeof(vip));
	bpfprog_self(prog, vips[ROW_NONE][0], IPPROTO_TCP, 80, BH_SELF_ONLY);
	self.service = service;
	spoil(prog, "bh_self", &self, 1);
	assert_drops(begin(prog, vips[ROW_NONE][0], 80, IPPROTO_TCP), POLICY_DENIED);
	hook(prog, true);
	spoil(prog, "bh_local", &pod, 1);
	assert_drops(begin(prog, vips[ROW_MIXED][0], 80, IPPROTO_TCP), SERVICE_MIXED);
}

static void a_torn_backend_is_not_known(void **state)
{
	struct flow f = to(vips[ROW_MIXED][0], 80, IPPROTO_TCP);
	struct bh_addr vip = packet_addr(f.remote);
	struct bpfprog *prog = *state;
	struct bh_ct6_key key = {
		.ident = bpfprog_ident(prog), .remote_port = htons(80),
		.local_port = htons(f.local_port), .proto = f.proto,
	};

	memcpy(key.remote, &vip, sizeof(vip));
	hook(prog, true);
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), SERVICE);
	for (size_t word = 0; word < 9; word++) {
		behind(prog, &f, WEB4, 80);
		spoil(prog, "bh_backend", &key, word);
		assert_drops(send_tcp(prog, IN, &f, P_SYN | P_ACK), BACKEND_UNKNOWN);
	}
	behind(prog, &f, WEB4, 80);
	assert_true(send_tcp(prog, IN, &f, P_SYN | P_ACK).pass);
}

// ---- pieces ---------------------------------------------------------------------------------------------------------------

static void r22_pieces_go_where_the_first_went(void **state)
{
	static const uint32_t rows[] = { ROW_ALL, ROW_MIXED, ROW_NONE };
	struct bpfprog *prog = *state;
	struct packet p;

	hook(prog, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (uint32_t offset = 0; offset < 128; offset += 64) {
			frame(&p, OUT, vips[rows[i]][0], IPPROTO_UDP);
			if (!offset)
				packet_udp(&p, 40000, 53);
			packet_data(&p, offset ? 64 : 56);
			packet_fragment4(&p, 7 + i, offset, !offset);
			packet_end(&p);
			if (!offset) {
				p.data[p.l4 + 4] = 0;
				p.data[p.l4 + 5] = 8 + 56 + 64;
			}
			assert_int_equal(bpfprog_run(prog, OUT, &p, NULL).pass, rows[i] != ROW_NONE);
		}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, services_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_decide_and_name_their_rule),
		TEST(r18_what_is_no_port_of_a_service_is_an_address),
		TEST(only_what_a_pod_begins_is_to_a_service),
		TEST(without_services_nothing_is_looked_up),
		TEST(node_ports_are_services_at_every_address_of_the_host),
		TEST(node_ports_are_of_the_families_that_they_are_said_to_be),
		TEST(nothing_begins_at_a_cluster_ip),
		TEST(r30_a_pod_reaches_itself_by_a_service),
		TEST(what_is_mixed_passes_only_to_who_judges_it),
		TEST(r8_a_foreign_source_is_not_let_through_unjudged),
		TEST(an_unjudged_flow_is_judged_when_its_backend_is_known),
		TEST(an_unjudged_flow_to_a_forbidden_backend_ends),
		TEST(the_pod_itself_and_its_node_pass_as_backends),
		TEST(a_connection_is_judged_on_its_backend_whatever_the_row_says),
		TEST(a_connection_without_a_known_backend_follows_the_row),
		TEST(datagrams_have_no_backend_for_life),
		TEST(who_has_no_endpoints_any_more_loses_no_flow),
		TEST(a_service_that_is_gone_leaves_flows_with_their_backend),
		TEST(what_was_never_a_service_has_no_backend),
		TEST(an_element_of_another_key_is_not_believed),
		TEST(a_torn_backend_is_not_known),
		TEST(r22_pieces_go_where_the_first_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
