// SPDX-License-Identifier: Apache-2.0
// linear_test.c - R25: packets of which only the Ethernet header lies in the linear part, on a real device. Test runs
// of older kernels cannot make them; a packet socket with a virtio header does.
#include "tests/bpf/pod.h"

#include <bulkhead/half.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/uio.h>

#include <bpf/libbpf.h>

#include "tests/bpf/linear.skel.h"
#include "tests/harness/packet.h"

#define LOOK "/run/bpf/look"
#define THERE6 "fd00:1f::2"
#define HERE6 "fd00:1f::1"
#define FILL 4000 // with it a frame is more than a page: the kernel leaves the rest of such a frame in pages
#define PORT_HERE 1000
#define PORT_THERE 2000

static struct linear_bpf *skel;

// The host's device tells what the packets were like behind the pod's programs.
static int setup(void **state)
{
	cpu_set_t one;
	int cpu = sched_getcpu();

	if (pod_setup(state))
		return -1;
	CPU_ZERO(&one); // what is sent after a frame then arrives after it
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	net_run("ip link set %s mtu 9000 && ip -n pod link set eth0 mtu 9000", DEVICE);
	skel = linear_bpf__open_and_load();
	assert_non_null(skel);
	assert_ok(bpf_program__pin(skel->progs.linear_look, LOOK));
	net_run("tc qdisc add dev %s clsact && tc filter add dev %s ingress bpf da pinned " LOOK
		" && tc filter add dev %s egress bpf da pinned " LOOK,
		DEVICE, DEVICE, DEVICE);
	attach(*state, BH_ATTACH_TCX, 1);
	return 0;
}

static int teardown(void **state)
{
	unlink(LOOK);
	linear_bpf__destroy(skel);
	return rig_teardown(state);
}

// Onto a device of namespace `fd` (-1: here), with only the Ethernet header in the linear part.
static void send_frame(int fd, const char *device, const struct packet *p)
{
	struct virtio_net_hdr how = { .hdr_len = ETH_HLEN };
	struct iovec iov[] = { { &how, sizeof(how) }, { (void *)p->data, p->len } };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = ETH_ALEN };
	struct msghdr msg = { &to, sizeof(to), iov, 2 };
	_cleanup_close_ int self = net_self(), sock = -1;
	int one = 1;

	if (fd >= 0)
		net_enter(fd);
	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = net_ifindex(device);
	if (fd >= 0)
		net_enter(self);
	assert_true(sock >= 0);
	assert_ok(setsockopt(sock, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	assert_int_equal(sendmsg(sock, &msg, 0), sizeof(how) + p->len);
}

static void build(struct packet *p, enum bh_dir dir, bool v6, uint8_t proto)
{
	static const uint8_t pod_mac[6] = { 2, 0, 0, 0, NET, 2 }, host_mac[6] = { 2, 9, 9, 9, 9, 9 };
	const char *here = v6 ? HERE6 : HERE, *there = v6 ? THERE6 : THERE;
	bool out = dir == BH_EGRESS;

	packet_eth(p, out ? pod_mac : host_mac, out ? host_mac : pod_mac, 0);
	packet_ip(p, out ? there : here, out ? here : there, proto);
	if (v6)
		packet_ext(p, IPPROTO_DSTOPTS, 3);
	if (proto == IPPROTO_TCP)
		packet_tcp(p, out ? PORT_THERE : PORT_HERE, out ? PORT_HERE : PORT_THERE, P_SYN);
	else if (proto == IPPROTO_UDP)
		packet_udp(p, out ? PORT_THERE : PORT_HERE, out ? PORT_HERE : PORT_THERE);
	else
		packet_sctp(p, out ? PORT_THERE : PORT_HERE, out ? PORT_HERE : PORT_THERE, 1);
	packet_data(p, FILL - p->len + 92);
	packet_end(p);
}

// Was a flow of these begun? It is forgotten then.
static bool begun(const struct tables *tables, bool v6, uint8_t proto)
{
	static const struct bh_half_bucket none;
	int fd = tables_fd(tables, "bh_half");
	struct bh_half_bucket bucket;

	for (uint32_t i = 0; bpf_map_lookup_elem(fd, &i, &bucket) == 0; i++)
		for (int way = 0; way < BH_HALF_WAYS; way++) {
			const struct bh_ct6_key *key = &bucket.place[way].key;

			if (!bucket.tag[way] || key->proto != proto || (key->remote[0] != 0) != v6 ||
			    key->remote_port != htons(PORT_HERE) || key->local_port != htons(PORT_THERE))
				continue;
			assert_ok(bpf_map_update_elem(fd, &i, &none, BPF_ANY));
			return true;
		}
	return false;
}

static void check_frame(struct tables *tables, enum bh_dir dir, bool v6, uint8_t proto)
{
	const struct timeval patience = { .tv_sec = 10 };
	_cleanup_close_ int pod = net_open("pod");
	struct pair after = traffic();
	struct packet p;

	for (int i = 0; i < 2; i++)
		setsockopt(after.sock[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	build(&p, dir, v6, proto);
	skel->data->linear_least = ~0u;
	if (dir == BH_EGRESS)
		send_frame(pod, "eth0", &p);
	else
		send_frame(-1, DEVICE, &p);
	assert_true(passes(&after, dir == BH_EGRESS)); // what came before it is through
	assert_int_equal(skel->data->linear_least, ETH_HLEN);
	assert_true(begun(tables, v6, proto));
	traffic_end(&after);
}

static void r25_headers_in_pages_are_read(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	for (int i = 0; i < 12; i++)
		check_frame(*state, i & 1, i >> 1 & 1, protos[i >> 2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(r25_headers_in_pages_are_read, setup, teardown),
	};

	if (net_private())
		return 1;
	return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
