// SPDX-License-Identifier: Apache-2.0
// feature.c - one probe per feature; a table says what each is good for.
#include "agent/bpf/feature.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/sys.h"

#define MAP_NAME "bh_probe"
#define FUNC_KTIME_COARSE 160 // BPF_FUNC_ktime_get_coarse_ns

static int array_new(uint32_t flags, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, MAP_NAME, 4, 16, entries, &opts);
}

static int hash_new(void)
{
	return bpf_map_create(BPF_MAP_TYPE_HASH, MAP_NAME, 4, 4, 4, NULL);
}

static bool probe_mmap(void)
{
	_cleanup_close_ int fd = array_new(BPF_F_MMAPABLE, 1);
	void *page;

	if (fd < 0)
		return false;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return false;
	munmap(page, 4096);
	return true;
}

static int policy_new(int inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (uint32_t)inner);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, MAP_NAME, 4, 4, 2, &opts);
}

// batch: by bpf_map_update_batch(), else one by one. An inner map of another size than the
// template's.
static bool probe_policy(bool batch)
{
	_cleanup_close_ int inner = array_new(BPF_F_INNER_MAP | BPF_F_MMAPABLE, 1);
	_cleanup_close_ int other = array_new(BPF_F_INNER_MAP | BPF_F_MMAPABLE, 9);
	_cleanup_close_ int outer = -1;
	uint32_t key = 1, n = 1;

	if (inner < 0 || other < 0)
		return false;
	outer = policy_new(inner);
	if (outer < 0)
		return false;
	if (batch)
		return bpf_map_update_batch(outer, &key, &other, &n, NULL) == 0;
	return bpf_map_update_elem(outer, &key, &other, BPF_ANY) == 0;
}

static bool probe_inner_array(void)
{
	return probe_policy(false);
}

static bool probe_batch_policy(void)
{
	return probe_policy(true);
}

static bool probe_lookup_delete(void)
{
	_cleanup_close_ int fd = hash_new();
	uint32_t key = 1, value = 2;

	return fd >= 0 && bpf_map_update_elem(fd, &key, &value, BPF_ANY) == 0 &&
	       bpf_map_lookup_and_delete_elem(fd, &key, &value) == 0;
}

static bool probe_batch(void)
{
	_cleanup_close_ int fd = hash_new();
	uint32_t keys[2] = { 1, 2 }, values[2] = { 1, 2 }, n = 2;

	return fd >= 0 && bpf_map_update_batch(fd, keys, values, &n, NULL) == 0 &&
	       bpf_map_delete_batch(fd, keys, &n, NULL) == 0;
}

// r0 = coarse clock; r0 = 0; exit
static bool probe_coarse_clock(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = FUNC_KTIME_COARSE },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, MAP_NAME, "GPL", insns,
					       ARRAY_SIZE(insns), NULL);

	return fd >= 0;
}

// The order of a hook can be asked where tcx exists; the loopback device is always number 1.
static bool probe_tcx(void)
{
	struct sys_tcx_order order;

	return sys_tcx_order(1, SYS_TCX_INGRESS, &order) == 0;
}

// A barrier waits for a grace period: the price of knowing is paid once.
static bool probe_membarrier(void)
{
	return sys_membarrier() == 0;
}

static bool probe_netfilter_link(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = SYS_NETFILTER);
	_cleanup_close_ int fd = bpf_prog_load((enum bpf_prog_type)SYS_PROG_NETFILTER, MAP_NAME,
					       "GPL", insns, ARRAY_SIZE(insns), &opts);

	return fd >= 0;
}

static const struct {
	struct feature_info info;
	bool (*probe)(void);
} features[FEATURE_MAX] = {
	[FEATURE_MMAP] = { { "mmap", "5.5", "refuses to start" }, probe_mmap },
	[FEATURE_INNER_ARRAY] = { { "inner-array", "5.10", "refuses to start" },
				  probe_inner_array },
	[FEATURE_LOOKUP_DELETE] = { { "lookup-delete", "5.14", "refuses to start" },
				    probe_lookup_delete },
	[FEATURE_COARSE_CLOCK] = { { "coarse-clock", "5.11", "refuses to start" },
				   probe_coarse_clock },
	[FEATURE_TCX] = { { "tcx", "6.6", "programs are filters of a clsact qdisc" }, probe_tcx },
	[FEATURE_MEMBARRIER] = { { "membarrier", "4.16", "waits by an update of an array of maps" },
				 probe_membarrier },
	[FEATURE_BATCH] = { { "batch", "5.6", "one system call per table element" }, probe_batch },
	[FEATURE_BATCH_POLICY] = { { "batch-policy", "5.13", "one grace period per matrix" },
				   probe_batch_policy },
	[FEATURE_NETFILTER_LINK] = { { "netfilter", "6.4",
				       "Services whose backends differ in verdict are denied" },
				     probe_netfilter_link },
};

static uint32_t forced_off;
static uint32_t probed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void probe_all(void)
{
	for (int i = 0; i < FEATURE_MAX; i++)
		if (features[i].probe())
			probed |= FEATURE_BIT(i);
}

const struct feature_info *feature_info(enum feature feature)
{
	return &features[feature].info;
}

bool feature_have(enum feature feature)
{
	pthread_once(&once, probe_all);
	return probed & ~__atomic_load_n(&forced_off, __ATOMIC_RELAXED) & FEATURE_BIT(feature);
}

void feature_force_mask(uint32_t mask)
{
	__atomic_store_n(&forced_off, mask, __ATOMIC_RELAXED);
}

static int feature_unknown(const char *name, size_t len, struct err *reterr)
{
	char known[256] = "";
	size_t at = 0;

	for (int i = 0; i < FEATURE_MAX; i++)
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", i ? ", " : "",
				       features[i].info.name);
	return err_set(reterr, -EINVAL, "unknown kernel feature '%.*s' (known: %s)", (int)len, name,
		       known);
}

int feature_force_off(const char *names, struct err *reterr)
{
	uint32_t mask = 0;

	while (names && *names) {
		size_t len = strcspn(names, ",");
		int i = 0;

		while (i < FEATURE_MAX && (strlen(features[i].info.name) != len ||
					   strncmp(features[i].info.name, names, len) != 0))
			i++;
		if (i == FEATURE_MAX)
			return feature_unknown(names, len, reterr);
		mask |= FEATURE_BIT(i);
		names += len + (names[len] == ',');
	}
	feature_force_mask(mask);
	return 0;
}

int feature_check(struct err *reterr)
{
	struct utsname name = { 0 };

	uname(&name);
	for (int i = 0; i < FEATURE_FLOOR; i++)
		if (!feature_have(i))
			return err_set(
				reterr, -ENOSYS,
				"kernel %s cannot enforce network policy: '%s' is missing, which "
				"Linux has since %s; Bulkhead needs Linux 5.15 or later, CAP_BPF, "
				"CAP_NET_ADMIN and CAP_SYS_ADMIN",
				name.release, features[i].info.name, features[i].info.kernel);
	return 0;
}
