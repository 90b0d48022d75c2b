// SPDX-License-Identifier: Apache-2.0
// tracked_test.c - flows that the host's connection tracking knows are seeded as each pod sees them, translated or not.
#include "tests/bpf/rig.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "agent/bpf/nfct.h"

#define A 3 // slots
#define B 4
#define A4 "10.41.0.2"
#define B4 "10.42.0.2"
#define A6 "fd00:29::2"
#define B6 "fd00:2a::2"
#define SERVICE "10.96.0.1"

static uint32_t ident_of(uint32_t slot)
{
	return BH_IDENT(slot, 1);
}

static void pod(struct tables *tables, uint32_t slot, const char *name, unsigned int net, const char *addr4,
		const char *addr6)
{
	struct bh_addr addrs[] = { rig_addr(addr4), rig_addr(addr6) };

	net_pod(name, name, net);
	tables_endpoint(tables, slot)->ident = ident_of(slot);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		assert_ok(tables_local_set(tables, &addrs[i], ident_of(slot)));
}

static int setup(void **state)
{
	if (rig_setup(state))
		return -1;
	pod(*state, A, "poda", 41, A4, A6);
	pod(*state, B, "podb", 42, B4, B6);
	net_run("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	// a Service in front of b, and all that leaves for b's port 9000 is masqueraded
	net_run("nft 'table inet t { chain pre { type nat hook prerouting priority dstnat; ip daddr " SERVICE
		" udp dport 80 dnat ip to " B4 ":8080; ip daddr " SERVICE " tcp dport 80 dnat ip to " B4 ":8080; }; "
		"chain post { type nat hook postrouting priority srcnat; udp dport 9000 masquerade; }; }'");
	return 0;
}

// ---- flows ------------------------------------------------------------------------------------------------

// A datagram from a to addr:port arrives at b's `at`; answered if asked for. The sender's port.
static uint16_t datagram(const char *addr, uint16_t port, const char *b, uint16_t at, bool answered)
{
	_cleanup_close_ int a = net_open("poda"), there = net_open("podb"), server = net_listen(there, SOCK_DGRAM, b, at),
			    client = net_connect(a, SOCK_DGRAM, addr, port);
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t got = -1;
	char buf[8];

	for (int i = 0; i < 5 && got < 0; i++) { // a path that is young may lose the first
		assert_int_equal(send(client, "x", 1, 0), 1);
		got = recvfrom(server, buf, sizeof(buf), 0, (void *)&from, &len);
	}
	assert_int_equal(got, 1);
	if (answered) {
		assert_int_equal(sendto(server, "y", 1, 0, (void *)&from, len), 1);
		assert_int_equal(recv(client, buf, sizeof(buf), 0), 1);
	}
	return net_port(client);
}

static void seed(struct tables *tables, uint32_t slot)
{
	uint32_t ident = ident_of(slot);

	assert_ok(tables_seed_tracked(tables, &ident, 1));
}

// ---- what is in the table -----------------------------------------------------------------------------------

struct found {
	struct ct_entry entry;
	int n;
};

static int count_udp(void *arg, const struct ct_entry *entry)
{
	struct found *found = arg;

	if (entry->proto != BH_PROTO_UDP && entry->proto != BH_PROTO_TCP)
		return 0;
	found->entry = *entry;
	found->n++;
	return 0;
}

// The only entry is this one.
static void assert_only(struct tables *tables, uint32_t slot, const char *remote, uint16_t remote_port,
			uint16_t local_port, uint8_t state, uint8_t flags)
{
	struct bh_addr addr = rig_addr(remote);
	struct found found = { .n = 0 };

	assert_ok(tables_ct_each(tables, count_udp, &found));
	assert_int_equal(found.n, 1);
	assert_int_equal(found.entry.ident, ident_of(slot));
	assert_memory_equal(&found.entry.remote, &addr, sizeof(addr));
	assert_int_equal(found.entry.remote_port, remote_port);
	assert_int_equal(found.entry.local_port, local_port);
	assert_int_equal(found.entry.value.state, state);
	assert_int_equal(found.entry.value.flags, BH_CT_SEEDED | flags);
	assert_int_equal(found.entry.value.gen, 0);
	assert_true(tables_ct_flush(tables, 0) >= 0);
}

static void test_a_flow_to_a_service(void **state)
{
	uint16_t port = datagram(SERVICE, 80, B4, 8080, true);

	seed(*state, A); // towards the address that it chose
	assert_only(*state, A, SERVICE, 80, port, BH_CT_REPLY, BH_CT_EGRESS);
	seed(*state, B); // from the pod, to the port that it listens on
	assert_only(*state, B, A4, port, 8080, BH_CT_REPLY, 0);
}

static void test_a_masqueraded_flow(void **state)
{
	uint16_t port = datagram(B4, 9000, B4, 9000, true);
	struct found found = { .n = 0 };
	struct bh_addr node = rig_addr("10.42.0.1");

	seed(*state, A);
	assert_only(*state, A, B4, 9000, port, BH_CT_REPLY, BH_CT_EGRESS);
	seed(*state, B); // from the node
	assert_ok(tables_ct_each(*state, count_udp, &found));
	assert_int_equal(found.n, 1);
	assert_memory_equal(&found.entry.remote, &node, sizeof(node));
	assert_int_equal(found.entry.local_port, 9000);
	assert_int_equal(found.entry.value.flags, BH_CT_SEEDED);
}

static void test_ipv6_and_what_nobody_answered(void **state)
{
	uint16_t port = datagram(B6, 5000, B6, 5000, false);

	seed(*state, A);
	assert_only(*state, A, B6, 5000, port, BH_CT_NEW, BH_CT_EGRESS);
	seed(*state, B);
	assert_only(*state, B, A6, port, 5000, BH_CT_NEW, 0);
}

// Begun by b, closed by one side, then by both.
static void test_tcp_and_its_end(void **state)
{
	_cleanup_close_ int a = net_open("poda"), b = net_open("podb"), listener = net_listen(a, SOCK_STREAM, A4, 7000),
			    client = net_connect(b, SOCK_STREAM, A4, 7000), server = -1;
	uint16_t port;
	char buf[8];

	assert_true(client >= 0);
	port = net_port(client);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	seed(*state, A);
	assert_only(*state, A, B4, port, 7000, BH_CT_ESTABLISHED, 0);
	seed(*state, B);
	assert_only(*state, B, A4, 7000, port, BH_CT_ESTABLISHED, BH_CT_EGRESS);
	shutdown(client, SHUT_WR);
	assert_int_equal(recv(server, buf, sizeof(buf), 0), 0);
	seed(*state, B);
	assert_only(*state, B, A4, 7000, port, BH_CT_FIN, BH_CT_EGRESS);
	closep(&server);
	assert_int_equal(recv(client, buf, sizeof(buf), 0), 0);
	for (int i = 0; i < 2; i++) { // over: nothing is left to seed
		struct found found = { .n = 0 };

		seed(*state, i ? A : B);
		assert_ok(tables_ct_each(*state, count_udp, &found));
		assert_int_equal(found.n, 0);
	}
}

static void test_nobody_elses_and_nothing_that_is_there(void **state)
{
	uint32_t other = ident_of(7);
	struct ct_entry there = {
		.ident = ident_of(A),
		.remote = rig_addr(B4),
		.remote_port = 5000,
		.proto = BH_PROTO_UDP,
		.value = { .state = BH_CT_NEW, .last = tables_now(), .flags = BH_CT_CUT },
	};
	struct found found = { .n = 0 };

	there.local_port = datagram(B4, 5000, B4, 5000, true);
	assert_ok(tables_seed_tracked(*state, &other, 1));
	assert_ok(tables_seed_tracked(*state, NULL, 0));
	assert_ok(tables_ct_each(*state, count_udp, &found));
	assert_int_equal(found.n, 0);
	assert_ok(tables_ct_seed(*state, &there));
	seed(*state, A);
	assert_ok(tables_ct_each(*state, count_udp, &found));
	assert_int_equal(found.n, 1);
	assert_int_equal(found.entry.value.flags, BH_CT_CUT);
	assert_int_equal(found.entry.value.state, BH_CT_NEW);
}

static int count(void *arg, const struct nlmsghdr *nlh)
{
	++*(int *)arg;
	return 0;
}

static int told_of(bool reply, const char *from)
{
	struct nfct_side side = { .src = rig_addr(from) };
	_cleanup_nl_ struct nl nl = { 0 };
	char buf[NL_REQUEST_BYTES];
	struct nlmsghdr *nlh = nfct_request(buf, AF_INET);
	int n = 0;

	nfct_only(nlh, reply, &side, NFCT_IPV4_SRC);
	assert_ok(nl_open(&nl, NETLINK_NETFILTER, 0));
	assert_ok(nl_talk(&nl, nlh, count, &n));
	return n;
}

static void test_the_kernel_tells_of_one_address_alone(void **state)
{
	datagram(SERVICE, 80, B4, 8080, true);
	assert_int_equal(told_of(false, A4), 1);
	assert_int_equal(told_of(true, B4), 1);
	assert_int_equal(told_of(false, B4), 0);
	assert_int_equal(told_of(true, A4), 0);
}

// Few addresses are asked for one by one, of more the whole table is told: the same is seeded.
static void test_few_addresses_and_many(void **state)
{
	uint32_t idents[] = { ident_of(A), ident_of(B) };

	datagram(SERVICE, 80, B4, 8080, true);
	datagram(B6, 5000, B6, 5000, true);
	for (int extra = 0; extra < 8; extra++) {
		struct bh_addr addr = rig_addr("10.43.0.1");
		struct found found = { .n = 0 };

		((uint8_t *)&addr)[15] += (uint8_t)extra;
		assert_ok(tables_seed_tracked(*state, idents, ARRAY_SIZE(idents)));
		assert_ok(tables_ct_each(*state, count_udp, &found));
		assert_int_equal(found.n, 4);
		assert_true(tables_ct_flush(*state, 0) >= 0);
		assert_ok(tables_local_set(*state, &addr, extra % 2 ? ident_of(A) : ident_of(B)));
	}
}

// ---- how long it takes ----------------------------------------------------------------------------------------

static void put_direction(struct nlmsghdr *nlh, uint16_t kind, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, kind), *part = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	mnl_attr_put_u32(nlh, CTA_IP_V4_SRC, htonl(src));
	mnl_attr_put_u32(nlh, CTA_IP_V4_DST, htonl(dst));
	mnl_attr_nest_end(nlh, part);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, IPPROTO_UDP);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(sport));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(dport));
	mnl_attr_nest_end(nlh, part);
	mnl_attr_nest_end(nlh, tuple);
}

// Flows of others that the host tracks.
static void strangers(uint32_t n)
{
	_cleanup_nl_ struct nl nl = { 0 };

	assert_ok(nl_open(&nl, NETLINK_NETFILTER, 0));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t src = 0x0a640000 + i / 5000, dst = 0x0a650001;
		uint16_t port = (uint16_t)(1024 + i % 5000);
		char buf[NL_REQUEST_BYTES];
		struct nfgenmsg *request;
		struct nlmsghdr *nlh = nl_request(buf, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW,
						  NLM_F_CREATE, sizeof(*request), &request);

		request->nfgen_family = AF_INET;
		put_direction(nlh, CTA_TUPLE_ORIG, src, dst, port, 53);
		put_direction(nlh, CTA_TUPLE_REPLY, dst, src, 53, port);
		mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(600));
		mnl_attr_put_u32(nlh, CTA_STATUS, htonl(IPS_CONFIRMED | IPS_SEEN_REPLY));
		assert_ok(nl_talk(&nl, nlh, NULL, NULL));
	}
}

static void timed(struct tables *tables, const char *what)
{
	struct found found = { .n = 0 };
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	seed(tables, A);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	print_message("seeding %s: %.1f ms of processor time\n", what,
		      (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
	assert_ok(tables_ct_each(tables, count_udp, &found));
	assert_int_equal(found.n, 1);
	assert_true(tables_ct_flush(tables, 0) >= 0);
}

// STRANGERS=n: beside so many flows of others.
static void test_figures(void **state)
{
	const char *n = getenv("STRANGERS");

	datagram(SERVICE, 80, B4, 8080, true);
	strangers(n ? (uint32_t)atoi(n) : 2000);
	timed(*state, "a pod");
	for (int i = 0; i < 110; i++) {
		struct bh_addr addr = rig_addr("10.43.0.1");

		((uint8_t *)&addr)[15] += (uint8_t)i;
		assert_ok(tables_local_set(*state, &addr, ident_of(A)));
	}
	timed(*state, "110 addresses");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_flow_to_a_service),
		TEST(test_a_masqueraded_flow),
		TEST(test_ipv6_and_what_nobody_answered),
		TEST(test_tcp_and_its_end),
		TEST(test_nobody_elses_and_nothing_that_is_there),
		TEST(test_the_kernel_tells_of_one_address_alone),
		TEST(test_few_addresses_and_many),
		TEST(test_figures),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
