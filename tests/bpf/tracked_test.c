// SPDX-License-Identifier: Apache-2.0
// tracked_test.c - flows that the host's connection tracking knows are seeded as each pod sees them, translated or not.
#include "tests/bpf/rig.h"

#include <sys/socket.h>
#include <unistd.h>

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_flow_to_a_service),
		TEST(test_a_masqueraded_flow),
		TEST(test_ipv6_and_what_nobody_answered),
		TEST(test_tcp_and_its_end),
		TEST(test_nobody_elses_and_nothing_that_is_there),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
