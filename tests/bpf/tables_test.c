// SPDX-License-Identifier: Apache-2.0
// tables_test.c - tables are created, adopted, refused; endpoints, hosts, counters; what a kernel must have.
#include "tests/bpf/rig.h"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "agent/bpf/program.h"

static int open_with(struct tables_config config, struct tables **ret, bool *retadopted,
		     struct err *reterr)
{
	memset(reterr, 0, sizeof(*reterr));
	return tables_open(&config, ret, retadopted, reterr);
}

static void test_created_once_then_adopted(void **state)
{
	struct bh_addr addr = rig_addr("10.0.0.1");
	struct bh_host host;
	bool adopted = false;
	struct stat st;

	assert_ok(tables_host_set(*state, &addr, BH_HOST_LOCAL));
	tables_endpoint(*state, 5)->ident = BH_IDENT(5, 9);
	tables_close(*state);
	assert_int_equal(stat(RIG_DIR, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	*state = rig_open(&adopted);
	assert_true(adopted);
	assert_int_equal(tables_endpoint(*state, 5)->ident, BH_IDENT(5, 9));
	assert_ok(bpf_map_lookup_elem(tables_fd(*state, "bh_host"), &addr, &host));
	assert_int_equal(host.flags, BH_HOST_LOCAL);
	assert_int_equal(host.check, bh_addr_check(&addr));
	assert_err(tables_fd(*state, "nothing"), -ENOENT);
	assert_null(tables_endpoint(*state, rig_config.endpoints));
}

// No program reads it, so it may be missing in what an earlier version pinned, while pods depend on the rest.
static void test_what_was_told_is_made_beside_the_tables_of_an_earlier_version(void **state)
{
	bool adopted = false;

	tables_endpoint(*state, 5)->ident = BH_IDENT(5, 9);
	tables_close(*state);
	net_run("rm " RIG_DIR "/bh_denied_told && mkdir -p " RIG_DIR "/ep/5");
	*state = rig_open(&adopted);
	assert_true(adopted);
	assert_int_equal(tables_endpoint(*state, 5)->ident, BH_IDENT(5, 9));
	tables_close(*state);
	net_run("test -e " RIG_DIR "/bh_denied_told");
	*state = rig_open(&adopted);
	assert_true(adopted);
}

struct told {
	uint32_t n;
	uint64_t packets;
	struct denied_entry last;
};

static int count_told(void *arg, const struct denied_entry *entry)
{
	struct told *told = arg;

	told->n++;
	told->packets += entry->value.packets;
	told->last = *entry;
	return 0;
}

static struct told told_of(struct tables *tables)
{
	struct told told = { 0 };

	assert_ok(tables_denied_told_each(tables, count_told, &told));
	return told;
}

// Written over, kept by the next agent, and taken back by packets 0, also where there is none.
static void test_what_was_told_outlives_its_agent(void **state)
{
	struct denied_entry entries[3] = { 0 };
	bool adopted = false;
	struct told told;

	for (uint32_t i = 0; i < 3; i++)
		entries[i] = (struct denied_entry){ { .ident = BH_IDENT(5, 9), .rule = i + 1 }, { i + 1, 100, 7, 0 } };
	assert_ok(tables_denied_told_set(*state, entries, 3));
	entries[2].value.packets = 30;
	assert_ok(tables_denied_told_set(*state, entries + 2, 1));
	tables_close(*state);
	*state = rig_open(&adopted);
	assert_true(adopted);
	assert_int_equal(told_of(*state).n, 3);
	assert_int_equal(told_of(*state).packets, 33);
	entries[0].value.packets = entries[2].value.packets = 0;
	assert_ok(tables_denied_told_set(*state, entries, 3));
	assert_ok(tables_denied_told_set(*state, entries, 1));
	told = told_of(*state);
	assert_int_equal(told.n, 1);
	assert_memory_equal(&told.last, &entries[1], sizeof(entries[1]));
	assert_ok(tables_denied_told_set(*state, NULL, 0));
}

static void write_denied(struct tables *tables, uint32_t rule, uint32_t last)
{
	struct bh_denied_key key = { .ident = BH_IDENT(5, 9), .rule = rule };
	struct bh_denied denied = { 10 * rule, 100, 7, last };

	assert_ok(bpf_map_update_elem(tables_fd(tables, "bh_denied"), &key, &denied, BPF_ANY));
}

// By an agent that kept no such table: what came since its last reading, or has no time yet, it did not tell.
static void test_what_was_told_by_an_earlier_version_is_known_by_its_time(void **state)
{
	struct denied_entry taken_back = { .key = { .ident = BH_IDENT(5, 9), .rule = 1 } };
	struct told told;

	tables_set_told(*state, 5); // the clock has just wrapped
	write_denied(*state, 1, 0xffffff00);
	write_denied(*state, 2, 5);
	write_denied(*state, 3, 6);
	write_denied(*state, 4, 0);
	tables_close(*state);
	net_run("rm " RIG_DIR "/bh_denied_told");
	*state = rig_open(NULL);
	assert_int_equal(told_of(*state).n, 2);
	assert_int_equal(told_of(*state).packets, 30);
	assert_ok(tables_denied_told_set(*state, &taken_back, 1));
	told = told_of(*state);
	assert_int_equal(told.n, 1);
	assert_int_equal(told.last.key.rule, 2);
	assert_true(told.last.value.packets == 20 && told.last.value.bytes == 100 && told.last.value.first == 7);
	tables_close(*state);
	*state = rig_open(NULL); // only when it is made
	assert_int_equal(told_of(*state).n, 1);
	tables_set_told(*state, 0);
	tables_close(*state);
	net_run("rm " RIG_DIR "/bh_denied_told");
	*state = rig_open(NULL);
	assert_int_equal(told_of(*state).n, 0);
}

struct left {
	uint32_t n;
	struct bh_identity identity;
	struct bh_addr addr[2];
};

static void hear_left(void *arg, const struct bh_identity *identity, const struct bh_addr addr[2])
{
	struct left *left = arg;

	left->n++;
	left->identity = *identity;
	memcpy(left->addr, addr, sizeof(left->addr));
}

// By another pod in its slot, or by nobody; not by what is said of the same one.
static void test_who_leaves_is_told_before_it_is_forgotten(void **state)
{
	struct bh_identity first = { .ident = BH_IDENT(5, 9), .ns = "shop", .name = "web" };
	struct bh_identity next = { .ident = BH_IDENT(5, 10), .ns = "shop", .name = "api" };
	struct bh_addr addr = rig_addr("10.0.0.7");
	struct left left = { 0 };

	tables_on_left(*state, hear_left, &left);
	tables_endpoint(*state, 5)->ident = first.ident;
	tables_endpoint(*state, 5)->addr4 = addr.w[3];
	assert_ok(tables_identity_set(*state, 5, &first));
	first.ifindex = 3;
	assert_ok(tables_identity_set(*state, 5, &first));
	assert_int_equal(left.n, 0);
	assert_ok(tables_identity_set(*state, 5, &next));
	assert_int_equal(left.n, 1);
	assert_str(left.identity.name, "web");
	assert_true(bh_addr_equal(&left.addr[0], &addr));
	assert_ok(tables_identity_del(*state, 5)); // the slot still says the one before: no address of its own
	assert_int_equal(left.n, 2);
	assert_str(left.identity.name, "api");
	assert_int_equal(left.addr[0].w[3], 0);
	assert_ok(tables_identity_del(*state, 5));
	assert_int_equal(left.n, 2);
	tables_on_left(*state, NULL, NULL);
	assert_ok(tables_identity_set(*state, 5, &first));
	assert_ok(tables_identity_del(*state, 5));
	assert_int_equal(left.n, 2);
}

static void test_half_made_tables_are_made_anew(void **state)
{
	struct bh_node none = { 0 };
	uint32_t zero = 0;
	bool adopted = true;

	assert_ok(bpf_map_update_elem(tables_fd(*state, "bh_node"), &zero, &none, BPF_ANY));
	tables_close(*state);
	net_run("rm " RIG_DIR "/bh_ct6 " RIG_DIR "/bh_stat");
	*state = rig_open(&adopted);
	assert_false(adopted);
}

static void test_other_layout_is_refused_while_pods_depend_on_it(void **state)
{
	struct tables_config config = rig_config;
	struct tables *tables = NULL;
	struct err err;
	bool adopted = true;

	tables_close(*state);
	*state = NULL;
	net_run("mkdir -p " RIG_DIR "/ep/3");
	config.ct = 8192;
	assert_err(open_with(config, &tables, &adopted, &err), -ESTALE);
	assert_str_contains(err.text, "bh_ct");
	assert_str_contains(err.text, "--cleanup");
	assert_null(tables);

	net_run("rmdir " RIG_DIR "/ep/3");
	assert_ok_err(open_with(config, &tables, &adopted, &err), &err);
	assert_false(adopted);
	*state = tables;
}

static void test_other_version_and_other_boot_are_refused(void **state)
{
	struct tables *tables = NULL;
	struct bh_node node, wrong;
	uint32_t zero = 0;
	struct err err;
	bool adopted;
	int fd = dup(tables_fd(*state, "bh_node"));

	net_run("mkdir -p " RIG_DIR "/ep/3");
	tables_close(*state);
	*state = NULL;
	assert_ok(bpf_map_lookup_elem(fd, &zero, &node));
	assert_int_equal(node.abi_version, BH_ABI_VERSION);
	wrong = node;
	wrong.abi_version++;
	assert_ok(bpf_map_update_elem(fd, &zero, &wrong, BPF_ANY));
	assert_err(open_with(rig_config, &tables, &adopted, &err), -ESTALE);
	wrong = node;
	wrong.boot_id++;
	assert_ok(bpf_map_update_elem(fd, &zero, &wrong, BPF_ANY));
	assert_err(open_with(rig_config, &tables, &adopted, &err), -ESTALE);
	close(fd);
}

static void test_a_second_agent_is_kept_out(void **state)
{
	struct tables *second = NULL;
	struct err err = { 0 };
	bool adopted;

	assert_err(open_with(rig_config, &second, &adopted, &err), -EBUSY);
	assert_str_contains(err.text, "another agent");
	assert_err(tables_unpin(RIG_DIR, &err), -EBUSY);
	assert_err(program_detach_all(RIG_DIR, &err), -EBUSY);
	tables_close(*state);
	*state = rig_open(&adopted);
	assert_true(adopted);
}

static void test_others_pins_in_the_folder_stay(void **state)
{
	struct err err = { 0 };

	net_run("mkdir -p " RIG_DIR "/foreign");
	assert_ok(bpf_obj_pin(tables_fd(*state, "bh_stat"), RIG_DIR "/foreign/map"));
	assert_ok(bpf_obj_pin(tables_fd(*state, "bh_stat"), RIG_DIR "/map"));
	tables_close(*state);
	*state = NULL;
	assert_ok_err(tables_unpin(RIG_DIR, &err), &err);
	net_run("test $(ls " RIG_DIR " | tr '\\n' +) = foreign+map+ && rm -r " RIG_DIR "/foreign/map " RIG_DIR "/map "
		RIG_DIR "/foreign");
}

static void test_a_folder_that_is_not_ours_is_refused(void **state)
{
	struct tables_config config = rig_config;
	struct tables *tables = NULL;
	struct err err;
	bool adopted;
	struct stat st;

	config.pin_dir = RIG_DIR "_squat";
	net_run("mkdir -m 755 " RIG_DIR "_squat && chown 65534 " RIG_DIR "_squat");
	assert_err(open_with(config, &tables, &adopted, &err), -EPERM);
	assert_str_contains(err.text, "65534");
	net_run("rmdir " RIG_DIR "_squat && ln -s " RIG_DIR "_victim " RIG_DIR "_squat && mkdir -m 755 " RIG_DIR
		"_victim");
	assert_err(open_with(config, &tables, &adopted, &err), -ENOTDIR);
	assert_int_equal(stat(RIG_DIR "_victim", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	net_run("rm " RIG_DIR "_squat && rmdir " RIG_DIR "_victim");
}

// Whatever keeps a pin from being opened: pods may depend on the tables behind it.
static void test_tables_that_cannot_be_opened_are_not_replaced(void **state)
{
	struct tables *tables = NULL;
	struct err err;
	bool adopted;

	tables_close(*state);
	*state = NULL;
	net_run("mv " RIG_DIR "/bh_node " RIG_DIR "/bh_aside && mkdir " RIG_DIR "/bh_node");
	assert_err(open_with(rig_config, &tables, &adopted, &err), -EACCES);
	assert_str_contains(err.text, "bh_node");
	net_run("rmdir " RIG_DIR "/bh_node && mv " RIG_DIR "/bh_aside " RIG_DIR "/bh_node");
	*state = rig_open(&adopted);
	assert_true(adopted);
}

static void test_a_bpffs_is_mounted_where_there_is_none(void **state)
{
	struct tables_config config = rig_config;
	struct tables *tables = NULL;
	struct err err;
	struct statfs fs;
	bool adopted;

	config.pin_dir = "/run/plain/pins";
	assert_ok_err(open_with(config, &tables, &adopted, &err), &err);
	assert_int_equal(statfs(config.pin_dir, &fs), 0);
	assert_int_equal(fs.f_type, BPF_FS_MAGIC);
	tables_close(tables);
	assert_ok_err(open_with(config, &tables, &adopted, &err), &err);
	assert_true(adopted);
	tables_close(tables);
	assert_ok_err(tables_unpin(config.pin_dir, &err), &err);
	assert_int_equal(access(config.pin_dir, F_OK), -1);
	assert_int_equal(access("/run/plain", F_OK),
			 0); // not the folder's, and no mount is left on it
	assert_ok_err(tables_unpin(config.pin_dir, &err), &err);
	config.pin_dir = "relative";
	assert_err(open_with(config, &tables, &adopted, &err), -EINVAL);
}

static void test_the_system_mount_is_made_and_left_to_others(void **state)
{
	struct tables_config config = rig_config;
	struct tables *tables = NULL;
	struct err err;
	bool adopted;

	net_run("mount -t tmpfs none /sys/fs/bpf");
	config.pin_dir = "/sys/fs/bpf/bulkhead-test";
	assert_ok_err(open_with(config, &tables, &adopted, &err), &err);
	tables_close(tables);
	net_run("mkdir /sys/fs/bpf/other");
	assert_ok_err(tables_unpin(config.pin_dir, &err), &err);
	assert_int_equal(access("/sys/fs/bpf/other", F_OK), 0); // somebody uses it: it stays
	net_run("rmdir /sys/fs/bpf/other");
	assert_ok_err(tables_unpin(config.pin_dir, &err), &err);
	net_run("test $(stat -f -c %%T /sys/fs/bpf) = tmpfs && umount /sys/fs/bpf");
}

static void test_limits_of_the_layout(void **state)
{
	struct tables_config config = rig_config;
	struct tables *tables = NULL;
	struct err err;
	bool adopted;

	config.endpoints = BH_MAX_ENDPOINTS + 1;
	assert_err(open_with(config, &tables, &adopted, &err), -EINVAL);
	assert_str_contains(err.text, "4096");
}

static void test_identities_and_incarnations(void **state)
{
	struct bh_identity identity = { .ns = "a", .name = "b", .ident = BH_IDENT(4, 2) }, got;
	uint32_t first = tables_next_incarnation(*state), max = (1u << 20) - 1;
	struct bh_node node;
	uint32_t zero = 0;

	assert_err(tables_identity_get(*state, 4, &got), -ENOENT);
	assert_ok(tables_identity_set(*state, 4, &identity));
	assert_ok(tables_identity_get(*state, 4, &got));
	assert_memory_equal(&got, &identity, sizeof(got));
	assert_err(tables_identity_set(*state, rig_config.endpoints, &identity), -ERANGE);
	assert_ok(tables_identity_del(*state, 4));
	assert_ok(tables_identity_del(*state, 4));

	tables_close(*state);
	*state = rig_open(NULL);
	assert_int_equal(tables_next_incarnation(*state), first + 1);
	assert_ok(bpf_map_lookup_elem(tables_fd(*state, "bh_node"), &zero, &node));
	node.next_incarnation = max;
	assert_ok(bpf_map_update_elem(tables_fd(*state, "bh_node"), &zero, &node, BPF_ANY));
	assert_int_equal(tables_next_incarnation(*state), max);
	assert_int_equal(tables_next_incarnation(*state), 1); // never 0
}

static void test_hosts_are_kept_and_removed(void **state)
{
	struct bh_addr a = rig_addr("10.0.0.1"), b = rig_addr("fd00::1"), c = rig_addr("10.0.0.3");
	struct bh_addr keep[] = { a, c };
	int fd = tables_fd(*state, "bh_host");
	struct bh_host host;

	assert_ok(tables_host_set(*state, &a, BH_HOST_LOCAL));
	assert_ok(tables_host_set(*state, &b, BH_HOST_LOCAL | BH_HOST_NODE));
	assert_ok(tables_host_set(*state, &c, BH_HOST_NODE));
	assert_ok(tables_host_keep(*state, keep, 2));
	assert_err(bpf_map_lookup_elem(fd, &b, &host), -ENOENT);
	assert_ok(bpf_map_lookup_elem(fd, &a, &host));
	assert_ok(tables_host_set(*state, &a, 0));
	assert_ok(tables_host_set(*state, &a, 0));
	assert_err(bpf_map_lookup_elem(fd, &a, &host), -ENOENT);
}

static struct bh_extra extra_of(struct tables *tables, uint32_t ident, const char *text)
{
	struct bh_addr addr = rig_addr(text);
	struct bh_extra_key key = { .prefixlen = 160, .ident = ident };
	struct bh_extra extra = { 0 };

	memcpy(key.addr, &addr, sizeof(addr));
	bpf_map_lookup_elem(tables_fd(tables, "bh_extra"), &key, &extra);
	return extra;
}

static void test_extra_addresses_of_one_ident(void **state)
{
	struct bh_cidr vip = { 128, rig_addr("10.5.0.1") }, net = { 120, rig_addr("10.6.0.0") };
	struct bh_cidr wide = { 64, rig_addr("fd06::") };

	assert_ok(tables_extra_set(*state, 77, &vip, 1));
	assert_ok(tables_extra_set(*state, 77, &net, 2));
	assert_ok(tables_extra_set(*state, 77, &wide, 300));
	assert_ok(tables_extra_set(*state, 78, &vip, 9));
	assert_err(tables_extra_set(*state, 78, &vip, 0), -ERANGE);
	assert_int_equal(extra_of(*state, 77, "10.5.0.1").number, 1);
	assert_int_equal(extra_of(*state, 77, "10.6.0.200").mask, 0xff);
	assert_int_equal(extra_of(*state, 77, "fd06::99").number, 300);
	assert_int_equal(extra_of(*state, 77, "fd06::99").mask, 0);
	assert_ok(tables_extra_clear(*state, 77));
	assert_int_equal(extra_of(*state, 77, "10.6.0.200").number, 0);
	assert_int_equal(extra_of(*state, 78, "10.5.0.1").number, 9);
}

static int add_total(void *arg, const struct total_entry *entry)
{
	*(uint64_t *)arg += entry->packets;
	return 0;
}

static int count_denied(void *arg, const struct denied_entry *entry)
{
	++*(int *)arg;
	return 0;
}

static void test_totals_sum_all_cpus_and_go_with_their_ident(void **state)
{
	int fd = tables_fd(*state, "bh_total"), cpus = sysconf(_SC_NPROCESSORS_CONF);
	_cleanup_free_ struct bh_count *values = calloc((size_t)cpus + 64, sizeof(*values));
	struct bh_total_key mine = { .ident = 1, .reason = 32 },
			    other = { .ident = 2, .reason = 32 };
	uint64_t packets = 0;

	for (int i = 0; i < cpus; i++)
		values[i].packets = 10;
	assert_ok(bpf_map_update_elem(fd, &mine, values, BPF_ANY));
	assert_ok(bpf_map_update_elem(fd, &other, values, BPF_ANY));
	assert_ok(tables_total_each(*state, add_total, &packets));
	assert_int_equal(packets, 20 * cpus);
	assert_ok(tables_total_clear(*state, 1));
	packets = 0;
	assert_ok(tables_total_each(*state, add_total, &packets));
	assert_int_equal(packets, 10 * cpus);
}

static int add_denied(void *arg, const struct denied_entry *entry)
{
	*(uint64_t *)arg += entry->value.packets;
	return 0;
}

static void test_denies_go_by_age_and_ident(void **state)
{
	volatile struct bh_endpoint *endpoint = tables_endpoint(*state, 1);
	uint64_t told = 0;
	int fd = tables_fd(*state, "bh_denied"), n = 0;

	endpoint->ident = BH_IDENT(1, 1);
	endpoint->denied_count = 3;
	for (uint32_t i = 0; i < 4; i++) {
		struct bh_denied_key key = { .ident = i < 3 ? BH_IDENT(1, 1) : BH_IDENT(2, 1),
					     .rule = i };
		struct bh_denied value = { .first = 50, .last = i ? 100 * i : 0, .packets = 1u << i };

		assert_ok(bpf_map_update_elem(fd, &key, &value, BPF_ANY));
	}
	tables_on_denied_gone(*state, add_denied, &told);
	assert_ok(tables_denied_clear(*state, 0, 150)); // last 0 (first 50) and last 100
	assert_ok(tables_denied_each(*state, count_denied, &n));
	assert_int_equal(n, 2);
	assert_int_equal(endpoint->denied_count, 1);
	assert_int_equal(told, 1 + 2);
	assert_ok(tables_denied_clear(*state, BH_IDENT(1, 1), 0));
	assert_int_equal(told, 1 + 2 + 4);
	tables_on_denied_gone(*state, NULL, NULL);
	assert_int_equal(endpoint->denied_count, 0);
	n = 0;
	assert_ok(tables_denied_each(*state, count_denied, &n));
	assert_int_equal(n, 1);
}

static void test_denies_that_are_silent_make_room(void **state)
{
	volatile struct bh_endpoint *endpoint = tables_endpoint(*state, 1);
	uint32_t silent[] = { 700, 601, 599, 0, 650 }; // seconds
	uint64_t told = 0;
	int fd = tables_fd(*state, "bh_denied"), n = 0;

	endpoint->ident = BH_IDENT(1, 1);
	endpoint->denied_count = ARRAY_SIZE(silent);
	for (uint32_t i = 0; i < ARRAY_SIZE(silent); i++) {
		struct bh_denied_key key = { .ident = BH_IDENT(1, 1), .rule = i };
		struct bh_denied value = { .packets = 1u << i, .first = tables_now() - 800 * (uint32_t)BH_TIME_HZ };

		value.last = tables_now() - silent[i] * (uint32_t)BH_TIME_HZ;
		assert_ok(bpf_map_update_elem(fd, &key, &value, BPF_ANY));
	}
	tables_on_denied_gone(*state, add_denied, &told);
	assert_int_equal(tables_denied_age(*state, 600, 2), 2);
	assert_int_equal(endpoint->denied_count, 3);
	assert_int_equal(tables_denied_age(*state, 600, 2), 1);
	assert_int_equal(tables_denied_age(*state, 600, 2), 0);
	tables_on_denied_gone(*state, NULL, NULL);
	assert_int_equal(told, 1 + 2 + 16);
	assert_int_equal(endpoint->denied_count, 2);
	assert_ok(tables_denied_each(*state, count_denied, &n));
	assert_int_equal(n, 2);
}

static void test_counts_and_memory(void **state)
{
	_cleanup_json_ struct json_object *memory = tables_memory(*state);
	uint64_t stats[BH_STAT_MAX] = { 1 };
	struct bh_count count = { 1, 1 };
	struct json_object *ct;

	assert_ok(tables_count_clear(*state, 3));
	assert_ok(tables_count_get(*state, 3, BH_EGRESS, &count));
	assert_int_equal(count.packets + count.bytes, 0);
	assert_ok(tables_stats_get(*state, stats));
	assert_int_equal(stats[0], 0);
	assert_true(json_object_object_get_ex(memory, "bh_ct", &ct));
	assert_true(json_object_get_int64(ct) > 4096 * 64);
}

static void test_features_by_name(void **state)
{
	struct err err = { 0 };

	assert_ok_err(feature_check(&err), &err);
	assert_true(feature_have(FEATURE_BATCH));
	assert_ok_err(feature_force_off("tcx,batch", &err), &err);
	assert_false(feature_have(FEATURE_TCX) || feature_have(FEATURE_BATCH));
	assert_err(feature_force_off("batch,nonsense", &err), -EINVAL);
	assert_str_contains(err.text, "'nonsense'");
	assert_str_contains(err.text, "membarrier");
	assert_ok_err(feature_force_off(NULL, &err), &err);
	assert_true(feature_have(FEATURE_BATCH));
}

// R41: without the floor nothing starts, and the sentence says what is missing.
static void test_r41_refuses_a_kernel_below_the_floor(void **state)
{
	struct tables *tables = NULL;
	struct err err;
	bool adopted;

	feature_force_mask(FEATURE_BIT(FEATURE_LOOKUP_DELETE));
	assert_err(open_with(rig_config, &tables, &adopted, &err), -ENOSYS);
	assert_null(tables);
	assert_str_contains(err.text, "cannot enforce");
	assert_str_contains(err.text, "'lookup-delete'");
	assert_str_contains(err.text, "5.14");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_created_once_then_adopted),
		TEST(test_what_was_told_is_made_beside_the_tables_of_an_earlier_version),
		TEST(test_what_was_told_outlives_its_agent),
		TEST(test_what_was_told_by_an_earlier_version_is_known_by_its_time),
		TEST(test_who_leaves_is_told_before_it_is_forgotten),
		TEST(test_half_made_tables_are_made_anew),
		TEST(test_other_layout_is_refused_while_pods_depend_on_it),
		TEST(test_other_version_and_other_boot_are_refused),
		TEST(test_a_second_agent_is_kept_out),
		TEST(test_others_pins_in_the_folder_stay),
		TEST(test_a_folder_that_is_not_ours_is_refused),
		TEST(test_tables_that_cannot_be_opened_are_not_replaced),
		TEST(test_a_bpffs_is_mounted_where_there_is_none),
		TEST(test_the_system_mount_is_made_and_left_to_others),
		TEST(test_limits_of_the_layout),
		TEST(test_identities_and_incarnations),
		TEST(test_hosts_are_kept_and_removed),
		TEST(test_extra_addresses_of_one_ident),
		TEST(test_totals_sum_all_cpus_and_go_with_their_ident),
		TEST(test_denies_go_by_age_and_ident),
		TEST(test_denies_that_are_silent_make_room),
		TEST(test_counts_and_memory),
		TEST(test_features_by_name),
		TEST(test_r41_refuses_a_kernel_below_the_floor),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
