// SPDX-License-Identifier: Apache-2.0
// attach_clsact.c - programs as filters of a clsact qdisc: put there quickly, and by every kernel.
//
// Ours stand at priority 1, the lowest there is, under two handles of their own; cls_bpf runs the newest
// filter of a priority first. A filter is replaced in its place; when a foreign one came in front, ours is
// made anew under the other handle and the old one goes after it.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"
#include "agent/bpf/attach.h"
#include "agent/bpf/nl.h"
#include "agent/bpf/ours.h"
#include "agent/bpf/pin.h"
#include "agent/bpf/sys.h"

#define PRIORITY 1
#define HANDLE_A 0x62680001u // "bh"
#define HANDLE_B 0x62680002u
#define QDISC_MARKS "../../" PIN_QDISCS // beside ep/: a folder per device whose qdisc we made
#define DUMP_TRIES 5

struct filter {
	uint32_t priority, handle;
	uint32_t program; // id
	char kind[16];
	enum ours ours;
};
typedef VEC(struct filter) filters_t;

// ---- listing ----------------------------------------------------------------------------------------

static enum ours whose(const struct nlattr *options, uint32_t *retprogram)
{
	const struct nlattr *attrs[TCA_BPF_MAX + 1];

	if (!options)
		return OURS_NOT;
	nl_nested(options, attrs, TCA_BPF_MAX);
	if (attrs[TCA_BPF_ID])
		*retprogram = mnl_attr_get_u32(attrs[TCA_BPF_ID]);
	return attrs[TCA_BPF_NAME] ? ours_named(mnl_attr_get_str(attrs[TCA_BPF_NAME])) : OURS_NOT;
}

bool attach_is_our_place(uint32_t info, uint32_t handle)
{
	return TC_H_MAJ(info) >> 16 == PRIORITY && (handle == HANDLE_A || handle == HANDLE_B);
}

static int add_filter(void *arg, const struct nlmsghdr *nlh)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[TCA_MAX + 1];
	struct filter filter = { .priority = TC_H_MAJ(tc->tcm_info) >> 16,
				 .handle = tc->tcm_handle };

	nl_attrs(nlh, sizeof(*tc), attrs, TCA_MAX);
	if (nlh->nlmsg_type != RTM_NEWTFILTER || !tc->tcm_handle || !attrs[TCA_KIND])
		return 0;
	if (attrs[TCA_CHAIN] && mnl_attr_get_u32(attrs[TCA_CHAIN])) // reached by a goto only
		return 0;
	snprintf(filter.kind, sizeof(filter.kind), "%.15s", mnl_attr_get_str(attrs[TCA_KIND]));
	if (!strcmp(filter.kind, "bpf") && attach_is_our_place(tc->tcm_info, tc->tcm_handle))
		filter.ours = whose(attrs[TCA_OPTIONS], &filter.program);
	return vec_push((filters_t *)arg, filter);
}

// In the order in which they run. A device without such a qdisc has none.
static int filters_list(const struct hook *hook, filters_t *ret)
{
	_cleanup_nl_ struct nl nl = { 0 };
	int r = nl_open(&nl, NETLINK_ROUTE, 0);

	if (r < 0)
		return r;
	r = -EAGAIN;
	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		char buf[NL_REQUEST_BYTES];
		struct tcmsg *tc;
		struct nlmsghdr *nlh =
			nl_request(buf, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*tc), &tc);

		tc->tcm_ifindex = hook->ifindex;
		tc->tcm_parent =
			TC_H_MAKE(TC_H_CLSACT, hook->egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
		vec_clear(ret);
		r = nl_talk(&nl, nlh, add_filter, ret);
	}
	return r == -ENODEV || r == -EINVAL ? 0 : r;
}

static const struct filter *first_of(const filters_t *filters, enum ours ours)
{
	vec_each(const struct filter, filter, filters)
		if (filter->ours == ours)
			return filter;
	return NULL;
}

static int is_ingress(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[TCA_MAX + 1];
	bool *ret = arg;

	nl_attrs(nlh, sizeof(struct tcmsg), attrs, TCA_MAX);
	*ret |= attrs[TCA_KIND] && !strcmp(mnl_attr_get_str(attrs[TCA_KIND]), "ingress");
	return 0;
}

// It stands where a clsact qdisc would, and has no egress side: a filter for that is one more of its ingress.
static bool has_ingress_qdisc(int ifindex)
{
	_cleanup_nl_ struct nl nl = { 0 };
	char buf[NL_REQUEST_BYTES];
	bool found = false;
	struct nlmsghdr *nlh;
	struct tcmsg *tc;

	if (nl_open(&nl, NETLINK_ROUTE, 0) < 0)
		return false;
	nlh = nl_request(buf, RTM_GETQDISC, NLM_F_ECHO, sizeof(*tc), &tc); // else only listeners are told
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = TC_H_INGRESS;
	nl_talk(&nl, nlh, is_ingress, &found);
	return found;
}

static int no_egress(const struct hook *hook, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];

	return err_set(reterr, -EXDEV,
		       "%s: an 'ingress' qdisc of others has no egress side for our filter; "
		       "make it a 'clsact' qdisc",
		       attach_device(hook->ifindex, device));
}

// ---- attaching --------------------------------------------------------------------------------------

// libbpf wants the padding at the end to be 0, too.
static void tc_hook(const struct hook *hook, struct bpf_tc_hook *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sz = sizeof(*ret);
	ret->ifindex = hook->ifindex;
	ret->attach_point = hook->egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

// The mark is the device's and not the endpoint's: a device may pass from one endpoint to another.
static const char *qdisc_mark(const struct hook *hook, char buf[static PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s/" QDISC_MARKS "/%d", hook->folder, hook->ifindex);
	return buf;
}

// *retmade: it was not there before.
static int qdisc_make(const struct hook *hook, bool *retmade)
{
	struct bpf_tc_hook tc;
	int r;

	tc_hook(hook, &tc);
	r = bpf_tc_hook_create(&tc);
	*retmade = r == 0;
	return r == -EEXIST ? 0 : r;
}

// Devices whose qdisc is ours though no mark could be made, for as long as this process lives.
static VEC(int) unmarked;

static size_t unmarked_at(int ifindex)
{
	size_t at = 0;

	while (at < unmarked.n && unmarked.v[at] != ifindex)
		at++;
	return at;
}

static void forget_unmarked(int ifindex)
{
	size_t at = unmarked_at(ifindex);

	if (at < unmarked.n)
		vec_drop(&unmarked, at);
}

static int qdisc_note(const struct hook *hook)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/" QDISC_MARKS, hook->folder);
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		if (mkdir(qdisc_mark(hook, path), 0700) == 0 || errno == EEXIST) {
			forget_unmarked(hook->ifindex);
			return 0;
		}
	r = -errno;
	if (unmarked_at(hook->ifindex) == unmarked.n)
		vec_push(&unmarked, hook->ifindex); // without memory an empty qdisc stays
	return r;
}

static int filter_put(const struct hook *hook, int program, uint32_t handle, bool replace)
{
	struct bpf_tc_hook tc;
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = PRIORITY, .prog_fd = program,
		    .flags = replace ? BPF_TC_F_REPLACE : 0);

	tc_hook(hook, &tc);
	return bpf_tc_attach(&tc, &opts);
}

static int filter_take(const struct hook *hook, uint32_t handle)
{
	struct bpf_tc_hook tc;
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = PRIORITY);
	int r;

	tc_hook(hook, &tc);
	r = bpf_tc_detach(&tc, &opts);
	return r == -ENOENT || r == -ENODEV || r == -EINVAL ? 0 : r;
}

// Ours of either kind.
static const struct filter *ours_at(const filters_t *filters, uint32_t handle)
{
	vec_each(const struct filter, filter, filters)
		if (filter->ours && filter->handle == handle)
			return filter;
	return NULL;
}

// In the place of ours if that is first, else in front of all; then what else is ours goes.
static int put_filter(const struct hook *hook, int program, const filters_t *filters)
{
	bool first = filters->n && filters->v[0].ours;
	uint32_t handle = ours_at(filters, HANDLE_A) ? HANDLE_B : HANDLE_A;
	int r = 0;

	if (first)
		handle = filters->v[0].handle;
	else if (ours_at(filters, handle)) // both are in use: HANDLE_A still judges
		r = filter_take(hook, handle);
	if (r == 0)
		r = filter_put(hook, program, handle, first);
	vec_each(const struct filter, filter, filters)
		if (r == 0 && filter->ours && filter->handle != handle)
			r = filter_take(hook, filter->handle);
	return r;
}

// A priority is of one kind of filter.
static bool is_held(const filters_t *filters)
{
	const struct filter *first = filters->n ? &filters->v[0] : NULL;

	return first && !first->ours && first->priority == PRIORITY && strcmp(first->kind, "bpf") != 0;
}

static int refused(const struct hook *hook, const filters_t *filters, int r, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];

	attach_device(hook->ifindex, device);
	if (is_held(filters))
		return err_set(reterr, -EXDEV,
			       "%s: a foreign '%s' filter holds priority %d of its %s: nothing can "
			       "stand in front of it; give it another priority",
			       device, filters->v[0].kind, PRIORITY, hook->egress ? "egress" : "ingress");
	return err_set(reterr, r, "%s: cannot attach a filter to its %s: %s", device,
		       hook->egress ? "egress" : "ingress", strerror(-r));
}

static int clsact_put(const struct hook *hook, int program, struct err *reterr)
{
	filters_t filters = { 0 };
	char path[PATH_MAX];
	bool made;
	int r = qdisc_make(hook, &made);

	if (r == 0 && hook->egress && has_ingress_qdisc(hook->ifindex))
		return no_egress(hook, reterr);
	if (r == 0)
		r = filters_list(hook, &filters);
	made |= first_of(&filters, OURS_SHUT) != NULL; // then the CNI plugin made it, if nobody was there before
	if (r == 0)
		r = put_filter(hook, program, &filters);
	if (r == 0 && (made || unmarked_at(hook->ifindex) < unmarked.n)) // after the filter: what has no record judges all the same
		r = qdisc_note(hook);
	if (r == 0) {
		snprintf(path, sizeof(path), "%s/%s", hook->folder,
			 attach_clsact.pins[hook->egress]);
		r = pin_replace(program, path);
	}
	if (r < 0)
		r = refused(hook, &filters, r, reterr);
	vec_fini(&filters);
	return r;
}

static enum sys_tcx tcx_of(const struct hook *hook)
{
	return hook->egress ? SYS_TCX_EGRESS : SYS_TCX_INGRESS;
}

// A foreign tcx program runs before every filter; ours may be there while a device moves from one way to the other.
static uint32_t foreign_tcx(const struct hook *hook)
{
	struct sys_tcx_order order;

	if (sys_tcx_order(hook->ifindex, tcx_of(hook), &order) < 0)
		return 0;
	for (uint32_t i = 0; i < order.n; i++)
		if (!ours_program(order.program[i]))
			return order.program[i];
	return 0;
}

static int check_tcx(const struct hook *hook, const char *device, struct err *reterr)
{
	uint32_t program = foreign_tcx(hook);

	if (!program)
		return 0;
	return err_set(reterr, -EXDEV, "%s: tcx program %u is in front of our filter on its %s",
		       device, program, hook->egress ? "egress" : "ingress");
}

static bool needs_tcx(const struct hook *hook)
{
	filters_t filters = { 0 };
	bool held = filters_list(hook, &filters) == 0 && is_held(&filters);

	vec_fini(&filters);
	return held || foreign_tcx(hook) || attach_tcx.shut(hook) != SHUT_NOT;
}

bool attach_needs_tcx(int ifindex)
{
	struct hook from = { NULL, ifindex, false }, to = { NULL, ifindex, true };

	return needs_tcx(&from) || needs_tcx(&to) || has_ingress_qdisc(ifindex);
}

static int clsact_check(const struct hook *hook, struct err *reterr)
{
	const char *side = hook->egress ? "egress" : "ingress";
	char device[ATTACH_DEVICE_BYTES];
	filters_t filters = { 0 };
	int r;

	if (hook->egress && has_ingress_qdisc(hook->ifindex))
		return no_egress(hook, reterr);
	r = filters_list(hook, &filters);
	attach_device(hook->ifindex, device);
	if (r < 0)
		r = err_set(reterr, r, "%s: cannot list filters: %s", device, strerror(-r));
	else if (!first_of(&filters, OURS_GATE))
		r = err_set(reterr, -ENOENT, "%s: our filter is not on its %s", device, side);
	else if (!filters.v[0].ours)
		r = err_set(
			reterr, -EXDEV,
			"%s: a foreign '%s' filter of priority %u is in front of ours on its %s",
			device, filters.v[0].kind, filters.v[0].priority, side);
	else
		r = check_tcx(hook, device, reterr);
	vec_fini(&filters);
	return r;
}

// ---- detaching --------------------------------------------------------------------------------------

// Only if we made it and nobody's filter is left on either side.
static int qdisc_remove(const struct hook *hook)
{
	struct hook side = *hook;
	struct bpf_tc_hook tc;
	filters_t filters = { 0 };
	char mark[PATH_MAX];
	size_t left = 0;
	int r = 0;

	if (access(qdisc_mark(hook, mark), F_OK) < 0 && unmarked_at(hook->ifindex) == unmarked.n)
		return 0;
	for (int egress = 0; egress < 2 && r == 0; egress++) {
		side.egress = egress;
		r = filters_list(&side, &filters);
		left += filters.n;
		vec_clear(&filters);
	}
	vec_fini(&filters);
	if (r < 0 || left)
		return r;
	tc_hook(hook, &tc);
	tc.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	r = bpf_tc_hook_destroy(&tc);
	if (r < 0 && r != -ENODEV && r != -ENOENT && r != -EINVAL)
		return r;
	forget_unmarked(hook->ifindex);
	return rmdir(mark) < 0 && errno != ENOENT ? -errno : 0;
}

// The id of the program that the endpoint's folder says is in the filter; 0: it does not say.
static uint32_t pinned_program(const char *path)
{
	_cleanup_close_ int program = bpf_obj_get(path);
	uint32_t id = 0;

	if (program < 0 || sys_program_id(program, &id) < 0)
		return 0;
	return id;
}

// A device may have passed to another endpoint, whose program then replaced ours in the filter: that one
// stays.
static int clsact_take(const struct hook *hook, struct err *reterr)
{
	char path[PATH_MAX], device[ATTACH_DEVICE_BYTES];
	filters_t filters = { 0 };
	int r = filters_list(hook, &filters);
	uint32_t program;

	snprintf(path, sizeof(path), "%s/%s", hook->folder, attach_clsact.pins[hook->egress]);
	program = pinned_program(path);
	for (size_t i = 0; i < filters.n && r == 0; i++)
		if (filters.v[i].ours == OURS_GATE && (!program || filters.v[i].program == program))
			r = filter_take(hook, filters.v[i].handle);
	vec_fini(&filters);
	if (unmarked_at(hook->ifindex) < unmarked.n)
		qdisc_note(hook); // the qdisc may stay for longer than this process
	if (r == 0)
		r = pin_remove(path);
	if (r < 0)
		return err_set(reterr, r, "%s: cannot take our filter off: %s",
			       attach_device(hook->ifindex, device), strerror(-r));
	return 0;
}

static int clsact_leave(const struct hook *hook, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];
	int r = qdisc_remove(hook);

	return r < 0 ? err_set(reterr, r, "%s: cannot take our qdisc off: %s", attach_device(hook->ifindex, device),
			       strerror(-r)) :
		       0;
}

static int clsact_leave_all(const char *pin_dir, bool (*spared)(int ifindex), struct err *reterr)
{
	char path[PATH_MAX], folder[PATH_MAX + NAME_MAX + 2];
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" PIN_QDISCS, pin_dir);
	dir = opendir(path);
	while (dir && r == 0 && (entry = readdir(dir))) {
		int ifindex = (int)strtol(entry->d_name, NULL, 10); // 0: of no device

		snprintf(folder, sizeof(folder), "%s/%s", path, entry->d_name); // as deep as an endpoint's
		if (ifindex > 0 && !(spared && spared(ifindex)))
			r = clsact_leave(&(struct hook){ folder, ifindex, false }, reterr);
	}
	if (dir)
		closedir(dir);
	return r;
}

// ---- the quarantine of a pod's start -------------------------------------------------------------------

// What is listed for the egress of an `ingress` qdisc stands at its ingress.
static bool has(const struct hook *hook, const filters_t *filters, enum ours ours)
{
	return first_of(filters, ours) && !(hook->egress && has_ingress_qdisc(hook->ifindex));
}

static enum shut clsact_shut(const struct hook *hook)
{
	filters_t filters = { 0 };
	enum shut is = SHUT_NOT;

	if (filters_list(hook, &filters) == 0 && has(hook, &filters, OURS_SHUT))
		is = filters.v[0].ours && !foreign_tcx(hook) ? SHUT_FIRST : SHUT_BEHIND;
	vec_fini(&filters);
	return is;
}

// The CNI plugin made its qdisc, too, if nobody was there before.
static int clsact_unshut(const struct hook *hook, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];
	filters_t filters = { 0 };
	bool any = false;
	int r = filters_list(hook, &filters);

	for (size_t i = 0; i < filters.n && r == 0; i++) {
		if (filters.v[i].ours != OURS_SHUT)
			continue;
		r = filter_take(hook, filters.v[i].handle);
		any = true;
	}
	vec_fini(&filters);
	if (any)
		qdisc_note(hook); // without a record it is known until this process ends
	if (r < 0)
		return err_set(reterr, r, "%s: cannot take the quarantine of its start off: %s",
			       attach_device(hook->ifindex, device), strerror(-r));
	return 0;
}

static int clsact_reshut(const struct hook *hook, int program)
{
	bool made;
	int r = qdisc_make(hook, &made);

	if (r == 0 && hook->egress && has_ingress_qdisc(hook->ifindex))
		return -EXDEV;
	return r < 0 ? r : filter_put(hook, program, HANDLE_A, true);
}

static bool clsact_gated(const struct hook *hook)
{
	filters_t filters = { 0 };
	bool gated = filters_list(hook, &filters) == 0 && has(hook, &filters, OURS_GATE);

	vec_fini(&filters);
	return gated;
}

const struct attach attach_clsact = {
	.put = clsact_put,
	.check = clsact_check,
	.take = clsact_take,
	.leave = clsact_leave,
	.leave_all = clsact_leave_all,
	.shut = clsact_shut,
	.unshut = clsact_unshut,
	.reshut = clsact_reshut,
	.gated = clsact_gated,
	.pins = { "from_program", "to_program" },
};
