// SPDX-License-Identifier: Apache-2.0
// hook.c - attach the netfilter program, keep it attached, take it off.
//
// A netfilter link takes no other program: a new one is attached beside the old one, which then goes. For a moment
// both judge a packet, none goes unjudged. Priorities are unique to such programs, so the two take turns. What an
// earlier agent attached stays where it is the same program: it works on the same tables.
#include "agent/bpf/hook.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "agent/bpf/feature.h"
#include "agent/bpf/pin.h"
#include "agent/bpf/state.h"
#include "agent/bpf/sys.h"
#include "bpf/translated.skel.h"

#define FOLDER "bh_hook"
#define TRIES 32 // priorities
#define SEC_NS 1000000000ull

enum { FAMILY_4 = 2, FAMILY_6 = 10, HOOK_LOCAL_IN = 1, HOOK_POST_ROUTING = 4 };

// In front of source NAT on the way out; behind IPVS on the way in.
static const struct place {
	const char *pin, *name;
	struct sys_netfilter first;
	int step;
} places[HOOK_PLACES] = {
	{ "post4", "ipv4 postrouting", { FAMILY_4, HOOK_POST_ROUTING, 99 }, -1 },
	{ "in4", "ipv4 input", { FAMILY_4, HOOK_LOCAL_IN, 99 }, 1 },
	{ "post6", "ipv6 postrouting", { FAMILY_6, HOOK_POST_ROUTING, 99 }, -1 },
	{ "in6", "ipv6 input", { FAMILY_6, HOOK_LOCAL_IN, 99 }, 1 },
};

typedef struct translated_bpf *skel_t;
static void skel_freep(skel_t *skel)
{
	translated_bpf__destroy(*skel);
}

static void path_of(const char *pin_dir, const struct place *place, char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/" FOLDER "/%s", pin_dir, place->pin);
}

static int link_open(const char *pin_dir, const struct place *place)
{
	char path[PATH_MAX];

	path_of(pin_dir, place, path);
	return bpf_obj_get(path);
}

// ---- attaching --------------------------------------------------------------------------------------

static int load(const struct tables *tables, skel_t skel)
{
	int r;

	skel->rodata->denied_quota = tables->maps[TABLE_DENIED].max_entries / 8;
	// by number: this libbpf may not know the kind
	bpf_program__set_type(skel->progs.bh_translated, (enum bpf_prog_type)SYS_PROG_NETFILTER);
	bpf_program__set_expected_attach_type(skel->progs.bh_translated,
					      (enum bpf_attach_type)SYS_NETFILTER);
	r = tables_reuse(tables, skel->obj);
	return r < 0 ? r : translated_bpf__load(skel);
}

static int attach_first_free(int program, const struct place *place)
{
	struct sys_netfilter where = place->first;
	int r = -EBUSY;

	for (int i = 0; i < TRIES && r == -EBUSY; i++, where.priority += place->step)
		r = sys_netfilter_attach(program, &where);
	return r;
}

static int put(const struct tables *tables, int program, const struct place *place)
{
	_cleanup_close_ int before = link_open(tables->pin_dir, place), link = -1;
	char path[PATH_MAX];
	int r;

	link = attach_first_free(program, place);
	if (link < 0)
		return link;
	path_of(tables->pin_dir, place, path);
	r = pin_replace(link, path);
	if (r == 0 && before >= 0)
		r = bpf_link_detach(before);
	return r == -ENOLINK ? 0 : r;
}

static int count_places(const struct tables *tables)
{
	struct hook_place found[HOOK_PLACES];
	int n = 0;

	hook_places(tables, found);
	for (int i = 0; i < HOOK_PLACES; i++)
		n += found[i].attached;
	return n;
}

static bool whole(const struct tables *tables)
{
	return count_places(tables) == HOOK_PLACES;
}

// Of the same instructions, by their hash.
static bool same_program(int program, uint32_t id)
{
	_cleanup_close_ int other = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info mine = { 0 }, theirs = { 0 };
	uint32_t bytes = sizeof(mine);

	return other >= 0 && bpf_obj_get_info_by_fd(program, &mine, &bytes) == 0 &&
	       bpf_obj_get_info_by_fd(other, &theirs, &bytes) == 0 &&
	       !memcmp(mine.tag, theirs.tag, sizeof(mine.tag));
}

static bool is_put(const struct tables *tables, int program, const struct place *place)
{
	_cleanup_close_ int link = link_open(tables->pin_dir, place);
	struct sys_netfilter where;
	struct sys_link info;

	return link >= 0 && sys_netfilter_info(link, &where) == 0 &&
	       where.family == place->first.family && where.hook == place->first.hook &&
	       sys_link_info(link, &info) == 0 && same_program(program, info.program);
}

// A link that somebody detached stays pinned and says of itself what it said before: only its place tells, which no
// other program of the kind can have while the link lives. So the place is asked for; whoever gets it stands there. 1: it
// was free. Should another product's program have taken just this priority meanwhile, that is not noticed.
static int revive(const struct tables *tables, const struct place *place)
{
	_cleanup_close_ int link = link_open(tables->pin_dir, place), program = -1, again = -1;
	struct sys_netfilter where;
	struct sys_link info;
	char path[PATH_MAX];
	int r;

	if (link < 0 || sys_netfilter_info(link, &where) < 0 || sys_link_info(link, &info) < 0)
		return 0; // it is not there at all
	program = bpf_prog_get_fd_by_id(info.program);
	if (program < 0)
		return program;
	again = sys_netfilter_attach(program, &where);
	if (again < 0)
		return again == -EBUSY ? 0 : again;
	path_of(tables->pin_dir, place, path);
	r = pin_replace(again, path);
	return r < 0 ? r : 1;
}

static int make_folder(const struct tables *tables, struct err *reterr)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/" FOLDER, tables->pin_dir);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_set(reterr, -errno, "%s: %s", folder, strerror(errno));
	return 0;
}

static bool same_link(int a, int b)
{
	struct sys_link mine, other;

	return sys_link_info(a, &mine) == 0 && sys_link_info(b, &other) == 0 && mine.id == other.id;
}

// Another bpffs may be over the folder, and what is pinned in the one before judges on where nobody finds it: our lock of
// that folder leads there. It is pinned here, or goes where a new one was attached meanwhile.
static int bring_over(const struct tables *tables, const struct place *place, struct err *reterr)
{
	char before[PIN_DIR_BYTES], path[PATH_MAX];
	_cleanup_close_ int link = -1, here = -1;
	int r;

	snprintf(before, sizeof(before), "/proc/self/fd/%d", tables->lock_before);
	link = link_open(before, place);
	here = link_open(tables->pin_dir, place);
	if (link < 0 || (here >= 0 && same_link(link, here)))
		return 0;
	path_of(tables->pin_dir, place, path);
	r = here >= 0 ? 0 : make_folder(tables, reterr);
	if (r < 0)
		return r;
	r = here >= 0 ? bpf_link_detach(link) : pin_replace(link, path);
	return r < 0 ? err_set(reterr, r, "'%s' cannot be pinned again: %s", path, strerror(-r)) : 0;
}

// All that can be; the first error.
static int bring_all_over(const struct tables *tables, struct err *reterr)
{
	struct err err = { 0 };
	int first = 0;

	for (int i = 0; i < HOOK_PLACES && tables->lock_before >= 0; i++) {
		int r = bring_over(tables, &places[i], first ? &err : reterr);

		first = first ?: r;
	}
	return first;
}

static int revive_all(const struct tables *tables)
{
	int n = 0;

	for (int i = 0; i < HOOK_PLACES; i++) {
		int r = revive(tables, &places[i]);

		if (r < 0)
			return r;
		n += r;
	}
	return n;
}

static int put_all(const struct tables *tables, int program, struct err *reterr)
{
	int r = make_folder(tables, reterr);

	if (r < 0)
		return r;
	for (int i = 0; i < HOOK_PLACES; i++) {
		r = is_put(tables, program, &places[i]) ? revive(tables, &places[i]) :
							  put(tables, program, &places[i]);
		if (r < 0)
			return err_set(reterr, r, "the netfilter program cannot be attached to %s: %s",
				       places[i].name, strerror(-r));
	}
	return 0;
}

static int attach(struct tables *tables, struct err *reterr)
{
	_cleanup_(skel_freep) skel_t skel = NULL;
	int r;

	skel = translated_bpf__open();
	if (!skel)
		return err_set(reterr, -errno, "cannot read the built-in programs: %s",
			       strerror(errno));
	r = load(tables, skel);
	if (r < 0)
		return err_set(reterr, r,
			       "the kernel refuses the netfilter program (is its conntrack there, with BTF?): %s",
			       strerror(-r));
	return put_all(tables, bpf_program__fd(skel->progs.bh_translated), reterr);
}

// ---- taking off ---------------------------------------------------------------------------------------

static int take(const char *pin_dir, const struct place *place)
{
	_cleanup_close_ int link = link_open(pin_dir, place);
	char path[PATH_MAX];
	int r = link >= 0 ? bpf_link_detach(link) : 0; // by itself, not by its last reference: that one goes later

	path_of(pin_dir, place, path);
	return r == 0 || r == -ENOLINK ? pin_remove(path) : r;
}

int hook_remove(const char *pin_dir, struct err *reterr)
{
	char folder[PATH_MAX];
	int r = 0;

	for (int i = 0; i < HOOK_PLACES && r == 0; i++)
		r = take(pin_dir, &places[i]);
	snprintf(folder, sizeof(folder), "%s/" FOLDER, pin_dir);
	if (r == 0)
		r = pin_remove(folder);
	return r < 0 ? err_set(reterr, r, "the netfilter program cannot be taken off: %s", strerror(-r)) :
		       0;
}

// Nobody lets anything pass to it any more, and whatever has passed is through, before it goes.
static int detach(struct tables *tables, struct err *reterr)
{
	int r;

	tables_node_flag(tables, BH_NODE_HOOK, false);
	r = tables_wait(tables);
	if (r < 0)
		return err_set(reterr, r, "no grace period: %s", strerror(-r));
	return hook_remove(tables->pin_dir, reterr);
}

// ---- wanting ------------------------------------------------------------------------------------------

// One of an earlier agent, which had the feature, goes as well.
static int do_without(struct tables *tables, struct err *reterr)
{
	int r = count_places(tables) ? detach(tables, reterr) : 0;

	return r < 0 ? r :
		       err_set(reterr, -EOPNOTSUPP,
			       "this kernel has no netfilter programs (Linux %s), or they are forced off",
			       feature_info(FEATURE_NETFILTER_LINK)->kernel);
}

// Where one of an earlier agent stands everywhere, and this one's cannot be attached, the earlier one goes on.
static int need(struct tables *tables, struct err *reterr)
{
	int r = 0;

	if (!feature_have(FEATURE_NETFILTER_LINK))
		return do_without(tables, reterr);
	if (!tables->hook_ours || !whole(tables))
		r = attach(tables, reterr);
	tables->hook_ours = r == 0;
	tables_node_flag(tables, BH_NODE_HOOK, whole(tables));
	return r;
}

int hook_want(struct tables *tables, bool wanted, struct err *reterr)
{
	if (!wanted && tables->hook != HOOK_UNWANTED)
		tables->hook_unwanted_ns = sys_now_ns();
	tables->hook = wanted ? HOOK_WANTED : HOOK_UNWANTED;
	return wanted ? need(tables, reterr) : 0;
}

static int watch(struct tables *tables, uint32_t grace_sec, bool *retrepaired, struct err *reterr)
{
	int r = tables->hook == HOOK_UNSAID ? 0 : revive_all(tables);
	bool there = r >= 0 && whole(tables);

	*retrepaired = r > 0;
	if (r < 0) {
		tables_node_flag(tables, BH_NODE_HOOK, false);
		return err_set(reterr, r, "whether the netfilter program is attached cannot be told: %s",
			       strerror(-r));
	}
	if (!there) // whoever took it off: nothing goes unjudged meanwhile
		tables_node_flag(tables, BH_NODE_HOOK, false);
	if (tables->hook == HOOK_WANTED) {
		r = need(tables, reterr);
		*retrepaired |= r == 0 && !there;
		return r;
	}
	if (tables->hook != HOOK_UNWANTED || !count_places(tables) ||
	    sys_now_ns() - tables->hook_unwanted_ns < grace_sec * SEC_NS)
		return 0;
	tables->hook_ours = false;
	return detach(tables, reterr);
}

int hook_watch(struct tables *tables, uint32_t grace_sec, bool *retrepaired, struct err *reterr)
{
	struct err err = { 0 };
	int brought = bring_all_over(tables, &err), r = watch(tables, grace_sec, retrepaired, reterr);

	if (r < 0 || brought >= 0)
		return r;
	*reterr = err;
	return brought;
}

void hook_places(const struct tables *tables, struct hook_place ret[static HOOK_PLACES])
{
	for (int i = 0; i < HOOK_PLACES; i++) {
		_cleanup_close_ int link = link_open(tables->pin_dir, &places[i]);
		struct sys_netfilter where = { 0 };

		ret[i] = (struct hook_place){ .name = places[i].name };
		if (link < 0 || sys_netfilter_info(link, &where) < 0)
			continue;
		ret[i].attached = where.family == places[i].first.family &&
				  where.hook == places[i].first.hook;
		ret[i].priority = where.priority;
	}
}
