// SPDX-License-Identifier: Apache-2.0
// link_test.c - host addresses are told once each, pods are found from any node, sockets are
// listed.
#include "tests/bpf/rig.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "agent/bpf/link.h"

static struct link_view scan_as(const struct link_known *known)
{
	struct link_view view;
	struct err err = { 0 };

	assert_ok_err(link_scan(known, &view, &err), &err);
	return view;
}

static void know(struct link_known *known, const char *addr, bool asked)
{
	assert_ok(vec_push(&known->addrs, rig_addr(addr)));
	vec_sort(&known->addrs, link_addr_order);
	if (asked)
		assert_ok(vec_push(&known->asked, rig_addr(addr)));
}

static struct link_view scan(void)
{
	return scan_as(&(struct link_known){ 0 });
}

static const struct link_pod *pod_at(const struct link_view *view, const char *device)
{
	int ifindex = net_ifindex(device);

	vec_each(const struct link_pod, pod, &view->pods)
		if (pod->ifindex == ifindex)
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
	struct link_known known = { 0 };
	const struct link_pod *a, *b;
	struct link_view view;

	net_pod("a", "va", 11);
	net_pod("b", "vb", 12);
	know(&known, "10.11.0.2", true);
	know(&known, "fd00:b::2", true);
	know(&known, "10.12.0.2", false);
	view = scan_as(&known);
	assert_int_equal(view.pods.n, 2);
	assert_int_equal(view.unread, 0);
	assert_int_equal(view.hidden, 0);
	a = pod_at(&view, "va");
	b = pod_at(&view, "vb");
	assert_non_null(a);
	assert_non_null(b);
	assert_false(a->unread || b->unread);
	assert_memory_equal(a->mac, mac, 6);
	assert_true(has_addr(a, "10.11.0.2") && has_addr(a, "fd00:b::2"));
	assert_int_equal(a->naddrs, 2); // what no pod has is not worth a place
	assert_true(has_addr(b, "10.12.0.2"));
	assert_true(bh_addr_equal(&a->gateway4, &gw4));
	assert_true(bh_addr_equal(&a->gateway6, &gw6));
	assert_int_equal(a->nrouted, 0); // a subnet's route says nothing of one address
	link_view_fini(&view);
	link_known_fini(&known);
}

// What a pod with all rights in its own namespace can say there changes nothing of the host's word.
static void test_scan_takes_gateway_and_ports_from_the_host(void **state)
{
	struct bh_addr gateway = rig_addr("10.11.0.1");
	struct link_view view;
	const struct link_pod *a;

	net_pod("a", "va", 11);
	net_run("ip -n a route replace default via 10.99.9.9 dev eth0 onlink");
	net_run("ip netns exec a sysctl -qw net.ipv4.ip_local_port_range='1024 2000'");
	view = scan();
	a = pod_at(&view, "va");
	assert_true(bh_addr_equal(&a->gateway4, &gateway));
	assert_int_equal(view.ephemeral_lo, 32768);
	assert_int_equal(view.ephemeral_hi, 60999);
	link_view_fini(&view);
}

static void test_scan_takes_the_gateway_from_the_bridge(void **state)
{
	struct bh_addr gateway = rig_addr("10.11.0.254");
	struct link_known known = { 0 };
	struct link_view view;

	net_pod("a", "va", 11);
	net_run("ip link add br0 type bridge && ip addr flush dev va && ip link set va master br0 && "
		"ip addr add 192.0.2.1/24 dev br0 && ip addr add 10.11.0.254/24 dev br0 && ip link set br0 up");
	know(&known, "10.11.0.2", true);
	view = scan_as(&known);
	assert_true(bh_addr_equal(&pod_at(&view, "va")->gateway4, &gateway));
	link_view_fini(&view);
	link_known_fini(&known);
}

// The host's route to an address is its word on where the pod is.
static void test_scan_follows_the_hosts_route_to_one_address(void **state)
{
	struct link_known known = { 0 };
	struct link_view view;

	net_pod("a", "va", 11);
	net_pod("b", "vb", 12);
	net_run("ip route add 10.7.7.7/32 dev va && ip route add fd07::7/128 dev vb && "
		"ip route add 10.7.7.8/32 via 10.11.0.2");
	know(&known, "10.7.7.7", true);
	know(&known, "fd07::7", true);
	know(&known, "10.7.7.8", true);
	view = scan_as(&known);
	assert_int_equal(pod_at(&view, "va")->nrouted, 1);
	assert_int_equal(pod_at(&view, "vb")->nrouted, 1);
	link_view_fini(&view);
	link_known_fini(&known);
}

// A pod's message on its device does not fit the buffer that every reader begins with.
static void test_scan_reads_a_device_of_many_names(void **state)
{
	struct link_known known = { 0 };
	struct link_view view;

	net_pod("a", "va", 11);
	net_run("for i in $(seq 1 450); do printf 'link property add dev eth0 altname x%%03d%%s\n' $i "
		"$(printf 'a%%.0s' $(seq 1 120)); done | ip -n a -b -");
	know(&known, "10.11.0.2", true);
	view = scan_as(&known);
	assert_int_equal(view.pods.n, 1);
	assert_int_equal(view.unread, 0);
	assert_false(view.pods.v[0].unread);
	assert_true(has_addr(&view.pods.v[0], "10.11.0.2"));
	link_view_fini(&view);
	link_known_fini(&known);
}

// In a namespace that only a socket keeps, which no name and no process leads to.
static void test_scan_reads_behind_a_veth_in_a_namespace_without_a_name(void **state)
{
	_cleanup_close_ int sock = -1;
	struct link_known known = { 0 };
	struct link_view view;

	net_pod("a", "va", 11);
	{
		_cleanup_close_ int self = net_self(), there = net_open("a");

		net_enter(there);
		sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		net_enter(self);
	}
	net_run("umount -l /run/netns/a && rm /run/netns/a");
	know(&known, "10.11.0.2", true);
	view = scan_as(&known);
	assert_int_equal(view.pods.n, 1);
	assert_true(has_addr(&view.pods.v[0], "10.11.0.2"));
	link_view_fini(&view);
	link_known_fini(&known);
}

static void test_scan_says_every_device_of_the_host(void **state)
{
	struct link_view view;
	int gone;

	net_run("ip netns add e && ip link add x0 type veth peer name x1 && ip link add d0 type bridge");
	net_run("ip link add y0 netns e type veth peer name y1 netns e");
	gone = net_ifindex("d0");
	view = scan();
	assert_int_equal(view.pods.n, 0);
	assert_true(link_view_has(&view, net_ifindex("x0")) && link_view_has(&view, gone));
	link_view_fini(&view);
	net_run("ip link del d0");
	view = scan();
	assert_false(link_view_has(&view, gone));
	link_view_fini(&view);
}

// No descriptor is left for /proc: the scan says so, and does not take it for "nobody lives there".
static void test_scan_without_descriptors_says_what_it_could_not_ask(void **state)
{
	struct rlimit before, few;
	struct link_known known = { 0 };
	struct link_view view;
	struct err err = { 0 };
	int next, r;

	net_pod("a", "va", 11);
	know(&known, "10.11.0.2", true);
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){ (rlim_t)next + 1, before.rlim_max }; // the netlink socket, and no more
	setrlimit(RLIMIT_NOFILE, &few);
	r = link_scan(&known, &view, &err);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_ok_err(r, &err);
	assert_int_equal(view.hidden, -EMFILE);
	assert_str_contains(view.why.text, "processes");
	assert_int_equal(view.pods.n, 1);
	link_view_fini(&view);
	few.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &few);
	r = link_scan(&known, &view, &err);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_err(r, -EMFILE); // not even that: nothing at all is said
	link_known_fini(&known);
}

static void test_the_pod_of_a_control_group(void **state)
{
	static const struct {
		const char *line, *uid; // NULL: none
	} cases[] = {
		{ "0::/kubepods/burstable/pod0d6e7d3c-95a5-4d7a-8b1d-000000000001/c1\n",
		  "0d6e7d3c-95a5-4d7a-8b1d-000000000001" },
		{ "0::/kubepods.slice/kubepods-besteffort.slice/"
		  "kubepods-besteffort-pod0d6e7d3c_95a5_4d7a_8b1d_000000000002.slice/cri-containerd-x.scope\n",
		  "0d6e7d3c-95a5-4d7a-8b1d-000000000002" },
		{ "0::/kubepods.slice/kubepods-pod0d6e7d3c_95a5_4d7a_8b1d_000000000003.slice/crio-x.scope",
		  "0d6e7d3c-95a5-4d7a-8b1d-000000000003" },
		{ "0::/../../pod0d6e7d3c-95a5-4d7a-8b1d-000000000004/c1", // seen from a group of its own
		  "0d6e7d3c-95a5-4d7a-8b1d-000000000004" },
		{ "4:memory:/docker/abc/kubelet/kubepods/podaaaa/c1/kubepods/podbbbb/c2", "aaaa" },
		{ "0::/", NULL },
		{ "0::/system.slice/podman.service", NULL },
		{ "0::/system.slice/x-podaaaa.slice", NULL },
		{ "0::/user.slice/pod/c", NULL },
		{ "0::/kubepods/podaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/c", NULL },
		{ "nothing", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char uid[LINK_UID_BYTES];

		assert_int_equal(link_cgroup_uid(cases[i].line, uid), cases[i].uid != NULL);
		if (cases[i].uid)
			assert_string_equal(uid, cases[i].uid);
	}
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
		net_run("ip -n %s link set eth0 address 02:00:00:00:0%zu:99", name, i);
		net_enter(self);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		_cleanup_close_ int node = net_open(nodes[i]);
		struct link_view view;

		net_enter(node);
		view = scan();
		assert_int_equal(view.pods.n, 1);
		assert_int_equal(view.pods.v[0].mac[4], i);
		assert_int_equal(view.pods.v[0].ifindex, net_ifindex("veth0"));
		link_view_fini(&view);
		net_enter(self);
	}
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void test_scan_of_many_namespaces_is_quick(void **state)
{
	struct link_known known = { 0 };
	struct link_view view;
	double start, took;

	net_run("for i in $(seq 60); do ip netns add q$i && "
		"ip link add q$i type veth peer name eth0 netns q$i || exit 1; done");
	know(&known, "10.1.1.1", true);
	start = now_ms();
	view = scan_as(&known);
	took = now_ms() - start;
	assert_int_equal(view.pods.n, 60);
	print_message("60 pods: %.1f ms\n", took);
	assert_true(took < 2000);
	link_view_fini(&view);
	link_known_fini(&known);
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
		cmocka_unit_test_setup(test_scan_takes_gateway_and_ports_from_the_host, net_fresh),
		cmocka_unit_test_setup(test_scan_takes_the_gateway_from_the_bridge, net_fresh),
		cmocka_unit_test_setup(test_scan_follows_the_hosts_route_to_one_address, net_fresh),
		cmocka_unit_test_setup(test_scan_reads_a_device_of_many_names, net_fresh),
		cmocka_unit_test_setup(test_scan_reads_behind_a_veth_in_a_namespace_without_a_name, net_fresh),
		cmocka_unit_test_setup(test_scan_says_every_device_of_the_host, net_fresh),
		cmocka_unit_test_setup(test_scan_without_descriptors_says_what_it_could_not_ask, net_fresh),
		cmocka_unit_test_setup(test_scan_inside_a_node_namespace_sees_its_own_pods_only, net_fresh),
		cmocka_unit_test(test_the_pod_of_a_control_group),
		cmocka_unit_test_setup(test_scan_of_many_namespaces_is_quick, net_fresh),
		cmocka_unit_test_setup(test_monitor_tells_addresses_once, net_fresh),
		cmocka_unit_test_setup(test_monitor_keeps_a_device_that_leaves_a_bridge, net_fresh),
		cmocka_unit_test_setup(test_monitor_survives_an_overrun, net_fresh),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
