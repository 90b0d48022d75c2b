// SPDX-License-Identifier: Apache-2.0
// flows_test.c - the sockets of a pod's namespace, and which of its ports listen.
#include "tests/bpf/rig.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/base/vec.h"
#include "agent/bpf/link.h"

typedef VEC(struct link_flow) flows_t;

static int keep_flow(void *arg, const struct link_flow *flow)
{
	return vec_push((flows_t *)arg, *flow);
}

// ----------------------------------------------------------------------------------------

static flows_t flows_of(const char *device)
{
	flows_t flows = { 0 };
	struct err err = { 0 };

	assert_ok_err(link_flows(net_ifindex(device), keep_flow, &flows, &err), &err);
	return flows;
}

static void check_flows(const char *here, const char *there)
{
	_cleanup_close_ int pod = net_open("f");
	_cleanup_close_ int server = net_listen(pod, SOCK_STREAM, there, 8080);
	_cleanup_close_ int client = net_connect(-1, SOCK_STREAM, there, 8080);
	_cleanup_close_ int outside = net_listen(-1, SOCK_STREAM, here, 9090);
	_cleanup_close_ int inside = net_connect(pod, SOCK_STREAM, here, 9090);
	struct bh_addr local = rig_addr(there), remote = rig_addr(here);
	flows_t flows;
	int udp[2];

	assert_ok(client);
	assert_ok(inside);
	net_udp(pod, here, there, udp);
	flows = flows_of("f0");
	assert_int_equal(flows.n, 3);
	vec_each(struct link_flow, flow, &flows) {
		assert_true(bh_addr_equal(&flow->local, &local));
		assert_true(bh_addr_equal(&flow->remote, &remote));
		assert_int_equal(flow->tcp_state, TCP_ESTABLISHED);
		if (flow->proto == IPPROTO_UDP)
			assert_int_equal(flow->local_port, net_port(udp[1]));
		else if (flow->listening)
			assert_int_equal(flow->remote_port, net_port(client));
		else
			assert_int_equal(flow->remote_port, 9090);
		assert_int_equal(flow->listening, flow->local_port == 8080);
	}
	vec_fini(&flows);
	close(udp[0]);
	close(udp[1]);
}

static void test_flows_of_both_families_and_who_listens(void **state)
{
	net_pod("f", "f0", 16);
	usleep(20000);
	check_flows("10.16.0.1", "10.16.0.2");
	check_flows("fd00:10::1", "fd00:10::2");
}

// By a process, by a mount, by nothing.
static void test_flows_of_a_namespace_by_every_name(void **state)
{
	_cleanup_close_ int there = -1, sock = -1; // the socket keeps the namespace, and is no name of it
	struct err err = { 0 };
	flows_t flows;
	pid_t pid;

	assert_err(link_flows(net_ifindex("lo"), keep_flow, NULL, &err), -ESRCH);
	assert_str_contains(err.text, "cannot be found");
	net_pod("f", "f0", 16);
	there = net_open("f");
	sock = net_listen(there, SOCK_DGRAM, "10.16.0.2", 0);
	closep(&there);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		net_enter(net_open("f"));
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid); // it is there
	net_run("touch '/run/a mount' && mount --bind /run/netns/f '/run/a mount' && "
		"umount -l /run/netns/f && rm /run/netns/f");
	flows = flows_of("f0");
	assert_int_equal(flows.n, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	flows = flows_of("f0");
	assert_int_equal(flows.n, 0);
	net_run("umount -l '/run/a mount'");
	assert_err(link_flows(net_ifindex("f0"), keep_flow, NULL, &err), -ESRCH);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_flows_of_both_families_and_who_listens, net_fresh),
		cmocka_unit_test_setup(test_flows_of_a_namespace_by_every_name, net_fresh),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
