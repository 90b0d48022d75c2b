// SPDX-License-Identifier: Apache-2.0
// link_test.c - host addresses are told once each, pods are found from any node, sockets are
// listed.
#include "tests/bpf/rig.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/base/vec.h"
#include "agent/bpf/link.h"
#include "agent/bpf/netns.h"

typedef VEC(struct link_pod) pods_t;

static int keep_pod(void *arg, const struct link_pod *pod)
{
	return vec_push((pods_t *)arg, *pod);
}

static pods_t scan(void)
{
	pods_t pods = { 0 };
	struct err err = { 0 };

	assert_ok_err(link_scan(keep_pod, &pods, &err), &err);
	return pods;
}

static const struct link_pod *pod_of(const pods_t *pods, const char *name)
{
	uint64_t inode = net_inode(name);

	vec_each(const struct link_pod, pod, pods)
		if (pod->netns == inode)
			return pod;
	return NULL;
}

static bool has_addr(const struct link_pod *pod, const char *text)
{
	struct bh_addr addr = rig_addr(text);

	for (uint32_t i = 0; i < pod->naddrs; i++)
		if (bh_addr_equal(&pod->addrs[i], &addr))
			return true;
	return false;
}

static void test_scan_finds_pods_of_both_families(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 11, 2 };
	struct bh_addr gw4 = rig_addr("10.11.0.1"), gw6 = rig_addr("fd00:b::1");
	const struct link_pod *a, *b;
	pods_t pods;

	net_pod("a", "va", 11);
	net_pod("b", "vb", 12);
	net_run("ip netns exec a sysctl -qw net.ipv4.ip_local_port_range='20000 30000'");
	pods = scan();
	assert_int_equal(pods.n, 2);
	a = pod_of(&pods, "a");
	b = pod_of(&pods, "b");
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(a->ifindex, net_ifindex("va"));
	assert_int_equal(b->ifindex, net_ifindex("vb"));
	assert_memory_equal(a->mac, mac, 6);
	assert_true(has_addr(a, "10.11.0.2") && has_addr(a, "fd00:b::2"));
	assert_false(has_addr(a, "10.12.0.2"));
	assert_false(has_addr(a, "127.0.0.1"));
	assert_true(bh_addr_equal(&a->gateway4, &gw4));
	assert_true(bh_addr_equal(&a->gateway6, &gw6));
	assert_int_equal(a->ephemeral_lo, 20000);
	assert_int_equal(a->ephemeral_hi, 30000);
	vec_fini(&pods);
}

static void test_scan_finds_namespaces_by_mount_and_by_process(void **state)
{
	pods_t pods;
	pid_t pid;

	net_pod("m", "vm", 13);
	net_pod("p", "vp", 14);
	net_run("touch '/run/a mount' && mount --bind /run/netns/m '/run/a mount' && "
		"umount -l /run/netns/m && rm /run/netns/m");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		net_enter(net_open("p"));
		pause();
		_exit(0);
	}
	usleep(50000); // the child enters
	net_run("umount -l /run/netns/p && rm /run/netns/p");
	pods = scan();
	assert_int_equal(pods.n, 2);
	vec_fini(&pods);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

// The agent in a namespace that plays the node, pods of two nodes on one machine, same device
// names, same ifindexes, same addresses.
static void test_scan_inside_a_node_namespace_sees_its_own_pods_only(void **state)
{
	static const char *const nodes[] = { "n1", "n2" };
	_cleanup_close_ int self = net_self();

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		_cleanup_close_ int node = -1;
		char name[16];

		net_run("ip netns add %s", nodes[i]);
		node = net_open(nodes[i]);
		net_enter(node);
		snprintf(name, sizeof(name), "%sp", nodes[i]);
		net_pod(name, "veth0", 21);
		net_enter(self);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		_cleanup_close_ int node = net_open(nodes[i]);
		char name[16];
		pods_t pods;

		net_enter(node);
		pods = scan();
		snprintf(name, sizeof(name), "%sp", nodes[i]);
		assert_int_equal(pods.n, 1);
		assert_non_null(pod_of(&pods, name));
		assert_int_equal(pods.v[0].ifindex, net_ifindex("veth0"));
		vec_fini(&pods);
		net_enter(self);
	}
}

static void test_scan_ignores_what_is_no_pod(void **state)
{
	pods_t pods;

	net_run("ip netns add e && ip link add x0 type veth peer name x1");
	net_run("ip link add y0 netns e type veth peer name y1 netns e");
	pods = scan();
	assert_int_equal(pods.n, 0);
	vec_fini(&pods);
}

static void test_scan_comes_back(void **state)
{
	uint64_t before = netns_self();
	pods_t pods;

	net_pod("c", "vc", 15);
	pods = scan();
	assert_int_equal(netns_self(), before);
	vec_fini(&pods);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void test_scan_of_many_namespaces_is_quick(void **state)
{
	double start, took;
	pods_t pods;

	net_run("for i in $(seq 60); do ip netns add q$i && "
		"ip link add q$i type veth peer name eth0 netns q$i || exit 1; done");
	start = now_ms();
	pods = scan();
	took = now_ms() - start;
	assert_int_equal(pods.n, 60);
	print_message("60 pods: %.1f ms\n", took);
	assert_true(took < 2000);
	vec_fini(&pods);
}

// ---- the monitor
// ------------------------------------------------------------------------------------

struct seen {
	VEC(struct bh_addr) present;
	VEC(int) devices;
	int told; // all events
	int overruns;
};

static void on_address(void *arg, const struct bh_addr *addr, bool present)
{
	struct seen *seen = arg;

	seen->told++;
	for (size_t i = 0; i < seen->present.n; i++) {
		if (!bh_addr_equal(&seen->present.v[i], addr))
			continue;
		assert_false(present); // told twice
		vec_drop(&seen->present, i);
		return;
	}
	assert_true(present); // gone, but was never told
	vec_push(&seen->present, *addr);
}

static void on_device(void *arg, int ifindex, bool present)
{
	struct seen *seen = arg;

	seen->told++;
	for (size_t i = 0; i < seen->devices.n; i++) {
		if (seen->devices.v[i] != ifindex)
			continue;
		assert_false(present);
		vec_drop(&seen->devices, i);
		return;
	}
	assert_true(present);
	vec_push(&seen->devices, ifindex);
}

static void on_overrun(void *arg)
{
	((struct seen *)arg)->overruns++;
}

static bool sees(const struct seen *seen, const char *text)
{
	struct bh_addr addr = rig_addr(text);

	vec_each(const struct bh_addr, a, &seen->present)
		if (bh_addr_equal(a, &addr))
			return true;
	return false;
}

static void drain(struct link_monitor *monitor)
{
	struct pollfd ready = { .fd = link_monitor_fd(monitor), .events = POLLIN };

	while (poll(&ready, 1, 100) > 0)
		assert_ok(link_monitor_read(monitor));
}

static struct link_monitor *monitor_start(struct seen *seen)
{
	struct link_events events = { seen, on_address, on_device, on_overrun };
	struct link_monitor *monitor;
	struct err err = { 0 };

	assert_ok_err(link_monitor_new(&events, &monitor, &err), &err);
	assert_ok(link_monitor_dump(monitor));
	return monitor;
}

static void seen_fini(struct seen *seen)
{
	vec_fini(&seen->present);
	vec_fini(&seen->devices);
}

static void test_monitor_tells_addresses_once(void **state)
{
	_cleanup_(link_monitor_freep) struct link_monitor *monitor = NULL;
	struct seen seen = { 0 };
	int told;

	net_run("ip link add w0 type veth peer name w1 && ip addr add 10.9.0.1/32 dev w0");
	monitor = monitor_start(&seen);
	assert_true(sees(&seen, "10.9.0.1") && sees(&seen, "127.0.0.1") && sees(&seen, "::1"));
	assert_int_equal(seen.devices.n, 2);
	told = seen.told;
	assert_ok(link_monitor_dump(monitor)); // nothing new: nothing told
	assert_int_equal(seen.told, told);

	net_run("ip addr add 10.9.0.1/32 dev w1 && ip addr add fd09::1/128 dev w1");
	drain(monitor);
	assert_true(sees(&seen, "fd09::1"));
	net_run("ip addr del 10.9.0.1/32 dev w0");
	drain(monitor);
	assert_true(sees(&seen, "10.9.0.1")); // w1 has it still
	net_run("ip link del w0");
	drain(monitor);
	assert_false(sees(&seen, "10.9.0.1") || sees(&seen, "fd09::1"));
	assert_int_equal(seen.devices.n, 0);
	seen_fini(&seen);
}

static void test_monitor_keeps_a_device_that_leaves_a_bridge(void **state)
{
	_cleanup_(link_monitor_freep) struct link_monitor *monitor = NULL;
	struct seen seen = { 0 };

	net_run("ip link add w0 type veth peer name w1 && ip link add br0 type bridge && "
		"ip link set w0 master br0");
	monitor = monitor_start(&seen);
	net_run("ip link set w0 nomaster");
	drain(monitor);
	assert_int_equal(seen.devices.n, 2);
	seen_fini(&seen);
}

static void test_monitor_survives_an_overrun(void **state)
{
	_cleanup_(link_monitor_freep) struct link_monitor *monitor = NULL;
	struct seen seen = { 0 };
	int bytes = 4096;

	net_run("ip link add w0 type veth peer name w1 && ip addr add 10.9.1.1/32 dev w0");
	monitor = monitor_start(&seen);
	setsockopt(link_monitor_fd(monitor), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	net_run("for i in $(seq 2 60); do ip addr add 10.9.1.$i/32 dev w0; done; "
		"ip addr del 10.9.1.1/32 dev w0");
	drain(monitor);
	assert_int_equal(seen.overruns, 1);
	assert_true(sees(&seen, "10.9.1.60"));
	assert_false(sees(&seen, "10.9.1.1")); // its removal was among the lost ones
	seen_fini(&seen);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_scan_finds_pods_of_both_families, net_fresh),
		cmocka_unit_test_setup(test_scan_finds_namespaces_by_mount_and_by_process,
				       net_fresh),
		cmocka_unit_test_setup(test_scan_inside_a_node_namespace_sees_its_own_pods_only,
				       net_fresh),
		cmocka_unit_test_setup(test_scan_ignores_what_is_no_pod, net_fresh),
		cmocka_unit_test_setup(test_scan_comes_back, net_fresh),
		cmocka_unit_test_setup(test_scan_of_many_namespaces_is_quick, net_fresh),
		cmocka_unit_test_setup(test_monitor_tells_addresses_once, net_fresh),
		cmocka_unit_test_setup(test_monitor_keeps_a_device_that_leaves_a_bridge, net_fresh),
		cmocka_unit_test_setup(test_monitor_survives_an_overrun, net_fresh),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
