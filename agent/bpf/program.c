// SPDX-License-Identifier: Apache-2.0
// program.c - load a pod's gates; attach, check and detach both.
#include "agent/bpf/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "agent/bpf/attach.h"
#include "agent/bpf/feature.h"
#include "agent/bpf/hook.h"
#include "agent/bpf/judge.h"
#include "agent/bpf/pin.h"
#include "agent/bpf/state.h"
#include "agent/bpf/sys.h"
#include "bpf/gate.skel.h"

#define DEVICE "device" // symbolic link in the endpoint's folder, to the host side's ifindex

// ---- loading ----------------------------------------------------------------------------------------

typedef struct gate_bpf *skel_t;
static void skel_freep(skel_t *skel)
{
	gate_bpf__destroy(*skel);
}

static uint32_t features_of(const struct program_config *config)
{
	return (config->variant == PROGRAM_TRACK ? BH_FEATURE_TRACK : 0) |
	       (config->record ? BH_FEATURE_RECORD : 0) | (config->extra ? BH_FEATURE_EXTRA : 0);
}

static int keep_fd(const struct bpf_program *program)
{
	int fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}

static int gate_load(struct tables *tables, uint32_t ident, uint32_t features, skel_t skel)
{
	int r;

	skel->rodata->ident = ident;
	skel->rodata->features = features;
	r = tables_reuse(tables, skel->obj);
	return r < 0 ? r : gate_bpf__load(skel);
}

int program_load(struct tables *tables, const struct program_config *config,
		 struct program_pair *ret, struct err *reterr)
{
	_cleanup_(skel_freep) skel_t skel = NULL;
	uint32_t features = features_of(config);
	struct program_pair pair = { -1, -1 };
	int r = judge_need(tables, features, reterr); // a gate never leads to nobody

	if (r < 0)
		return r;
	skel = gate_bpf__open();
	if (!skel)
		return err_set(reterr, -errno, "cannot read the built-in programs: %s",
			       strerror(errno));
	r = gate_load(tables, config->ident, features, skel);
	if (r < 0)
		return err_set(reterr, r, "the kernel refuses a pod's programs: %s", strerror(-r));
	pair.from_pod = keep_fd(skel->progs.bh_from_pod);
	pair.to_pod = keep_fd(skel->progs.bh_to_pod);
	if (pair.from_pod < 0 || pair.to_pod < 0) {
		program_pair_close(&pair);
		return err_set(reterr, -EMFILE, "no file descriptors left for programs");
	}
	*ret = pair;
	return 0;
}

void program_pair_close(struct program_pair *pair)
{
	closep(&pair->from_pod);
	closep(&pair->to_pod);
	*pair = (struct program_pair){ -1, -1 };
}

bool program_can_move(void)
{
	return feature_have(FEATURE_TCX);
}

enum bh_attach program_attach_first(int ifindex, bool runs)
{
	return feature_have(FEATURE_TCX) && (runs || attach_needs_tcx(ifindex)) ? BH_ATTACH_TCX :
										   BH_ATTACH_CLSACT;
}

// ---- the folder of an endpoint ----------------------------------------------------------------------

static const struct attach *const ways[BH_ATTACH_MAX] = {
	[BH_ATTACH_TCX] = &attach_tcx,
	[BH_ATTACH_CLSACT] = &attach_clsact,
};

static const struct attach *way_of(enum bh_attach mode)
{
	return mode < BH_ATTACH_MAX ? ways[mode] : NULL;
}

static void folder_of(const struct tables *tables, uint32_t slot, char ret[static PIN_FOLDER_BYTES])
{
	snprintf(ret, PIN_FOLDER_BYTES, "%s/" PIN_ENDPOINTS "/%u", tables->pin_dir, slot);
}

static int folder_ifindex(const char *folder)
{
	char path[PATH_MAX], text[16];
	ssize_t len;

	snprintf(path, sizeof(path), "%s/" DEVICE, folder);
	len = readlink(path, text, sizeof(text) - 1);
	if (len <= 0)
		return 0;
	text[len] = 0;
	return (int)strtol(text, NULL, 10);
}

static int folder_make(const struct tables *tables, const char *folder, int ifindex)
{
	char path[PATH_MAX], text[16];

	snprintf(path, sizeof(path), "%s/" PIN_ENDPOINTS, tables->pin_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (folder_ifindex(folder) == ifindex)
		return 0;
	snprintf(path, sizeof(path), "%s/" DEVICE, folder);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	snprintf(text, sizeof(text), "%d", ifindex);
	return symlink(text, path) < 0 ? -errno : 0;
}

static bool has_pin(const char *folder, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

// Takes off what one way left of one hook in the folder; forced: also without a record of it.
static int take_hook(const struct hook *hook, const struct attach *way, bool forced, struct err *reterr)
{
	return forced || has_pin(hook->folder, way->pins[hook->egress]) ? way->take(hook, reterr) : 0;
}

static int take(const char *folder, int ifindex, const struct attach *way, bool forced,
		struct err *reterr)
{
	int r = 0;

	for (int egress = 0; egress < 2 && r == 0; egress++)
		r = take_hook(&(struct hook){ folder, ifindex, egress }, way, forced, reterr);
	return r;
}

static bool lives(int ifindex)
{
	char device[IF_NAMESIZE];

	return if_indextoname((unsigned int)ifindex, device) || errno == EMFILE || errno == ENFILE;
}

static int leave(const char *folder, int ifindex, struct err *reterr)
{
	int r = 0;

	for (int i = 0; i < BH_ATTACH_MAX && r == 0; i++)
		if (ways[i] && ways[i]->leave)
			r = ways[i]->leave(&(struct hook){ folder, ifindex, false }, reterr);
	return r;
}

// A device that lives keeps what leave() takes: the CNI plugin may be about to shut it there.
static int take_folder(const char *folder, int ifindex, enum bh_attach mode, struct err *reterr)
{
	int r = 0;

	for (int i = 0; i < BH_ATTACH_MAX && r == 0; i++)
		if (ways[i])
			r = take(folder, ifindex, ways[i], mode == (enum bh_attach)i, reterr);
	if (r == 0 && !lives(ifindex))
		r = leave(folder, ifindex, reterr);
	if (r < 0)
		return r;
	r = pin_remove(folder);
	return r < 0 ? err_set(reterr, r, "%s: %s", folder, strerror(-r)) : 0;
}

// ---- attaching --------------------------------------------------------------------------------------

// The device that the folder speaks of was another one: what is left there goes first.
static int folder_open(const struct tables *tables, const char *folder, int ifindex,
		       struct err *reterr)
{
	int before = folder_ifindex(folder);
	int r = 0;

	if (before && before != ifindex)
		r = take_folder(folder, before, BH_ATTACH_NONE, reterr);
	if (r < 0)
		return r;
	r = folder_make(tables, folder, ifindex);
	return r < 0 ? err_set(reterr, r, "%s: %s", folder, strerror(-r)) : 0;
}

static bool has_other(const struct hook *hook, const struct attach *way)
{
	for (int i = 0; i < BH_ATTACH_MAX; i++)
		if (ways[i] && ways[i] != way && has_pin(hook->folder, ways[i]->pins[hook->egress]))
			return true;
	return false;
}

// After put(): a filter has taken the place of the filter that the quarantine was.
static bool is_shut(const struct hook *hook, const struct attach *way)
{
	return attach_tcx.shut(hook) != SHUT_NOT ||
	       (way != &attach_clsact && attach_clsact.shut(hook) != SHUT_NOT);
}

// What the other way has there, after a change of it or program_shut(), judges until ours is in front of all that is not
// ours, and then goes. Where nothing stands there yet, the watch tells of what is in front. *retshut: the quarantine of
// the pod's start is there still.
static int put_hook(const struct hook *hook, const struct attach *way, int program, bool *retshut,
		    struct err *reterr)
{
	bool fresh = !has_pin(hook->folder, way->pins[hook->egress]);
	int r = way->put(hook, program, reterr);

	*retshut = r == 0 && is_shut(hook, way);
	if (r == 0 && (*retshut || has_other(hook, way)))
		r = way->check(hook, reterr);
	for (int i = 0; i < BH_ATTACH_MAX && r == 0; i++)
		if (ways[i] && ways[i] != way)
			r = take_hook(hook, ways[i], fresh, reterr);
	return r;
}

static int unshut_hook(const struct hook *hook, struct err *reterr)
{
	int r = 0;

	for (int i = 0; i < BH_ATTACH_MAX && r == 0; i++)
		if (ways[i])
			r = ways[i]->unshut(hook, reterr);
	return r;
}

// Both, whatever comes of the first: one that stands behind another's judges still what that passes on. The quarantine
// goes from neither before both are in force.
static int put_hooks(const struct hook *from, const struct hook *to, const struct attach *way,
		     const struct program_pair *pair, struct err *reterr)
{
	struct err ignored = { 0 };
	bool shut_from, shut_to;
	int r = put_hook(from, way, pair->from_pod, &shut_from, reterr);
	int also = put_hook(to, way, pair->to_pod, &shut_to, r < 0 ? &ignored : reterr);

	r = r < 0 ? r : also;
	if (r == 0 && shut_from)
		r = unshut_hook(from, reterr);
	if (r == 0 && shut_to)
		r = unshut_hook(to, reterr);
	return r;
}

int program_attach(struct tables *tables, uint32_t slot, int ifindex, enum bh_attach mode,
		   const struct program_pair *pair, struct err *reterr)
{
	const struct attach *way = way_of(mode);
	char folder[PIN_FOLDER_BYTES];
	struct hook from = { folder, ifindex, false }, to = { folder, ifindex, true };
	int r;

	if (!way)
		return err_set(reterr, -EINVAL, "no way to attach programs was chosen");
	folder_of(tables, slot, folder);
	r = folder_open(tables, folder, ifindex, reterr);
	if (r == 0 && way->place && has_other(&from, way))
		r = way->place(&from, reterr);
	if (r == 0 && way->place && has_other(&to, way))
		r = way->place(&to, reterr);
	return r == 0 ? put_hooks(&from, &to, way, pair, reterr) : r;
}

static int pair_of_pins(const char *folder, const struct attach *way, struct program_pair *ret)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, way->pins[0]);
	ret->from_pod = bpf_obj_get(path);
	snprintf(path, sizeof(path), "%s/%s", folder, way->pins[1]);
	ret->to_pod = bpf_obj_get(path);
	return ret->from_pod < 0 || ret->to_pod < 0 ? -ENOENT : 0;
}

int program_move(struct tables *tables, uint32_t slot, int ifindex, struct err *reterr)
{
	struct program_pair pair = { -1, -1 };
	char folder[PIN_FOLDER_BYTES];
	struct err ignored = { 0 };
	int r = program_check(tables, slot, ifindex, BH_ATTACH_CLSACT, reterr);

	folder_of(tables, slot, folder);
	if (r == 0 && pair_of_pins(folder, &attach_clsact, &pair) < 0)
		r = err_set(reterr, -ENOENT, "%s: its programs cannot be opened", folder);
	if (r == 0) {
		r = program_attach(tables, slot, ifindex, BH_ATTACH_TCX, &pair, reterr);
		if (r < 0)
			program_attach(tables, slot, ifindex, BH_ATTACH_CLSACT, &pair, &ignored);
	}
	program_pair_close(&pair);
	return r;
}

static int check_hooks(const char *folder, int ifindex, const struct attach *way, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];
	int r = 0;

	if (!lives(ifindex))
		return err_set(reterr, -ENODEV, "device %d is gone", ifindex);
	for (int egress = 0; egress < 2 && r == 0; egress++) {
		struct hook hook = { folder, ifindex, egress };

		if (attach_tcx.shut(&hook) != SHUT_NOT || attach_clsact.shut(&hook) != SHUT_NOT)
			return err_set(reterr, -ENOENT, "%s: the quarantine of its pod's start is still on its %s",
				       attach_device(ifindex, device), egress ? "egress" : "ingress");
		r = way->check(&hook, reterr);
	}
	return r;
}

// The quarantine of its start does as well, where it still holds.
static int shut_hook(const struct hook *hook, int closed, struct err *reterr)
{
	struct err ignored = { 0 };

	attach_clsact.put(hook, closed, &ignored);
	for (int i = 0; i < BH_ATTACH_MAX; i++)
		if (ways[i] && ways[i]->shut(hook) == SHUT_FIRST)
			return 0;
	return attach_clsact.check(hook, reterr);
}

int program_shut(struct tables *tables, uint32_t slot, int ifindex, const struct program_pair *closed,
		 struct err *reterr)
{
	char folder[PIN_FOLDER_BYTES];
	struct hook from = { folder, ifindex, false }, to = { folder, ifindex, true };
	struct err ignored = { 0 };
	int r;

	folder_of(tables, slot, folder);
	folder_open(tables, folder, ifindex, &ignored);
	if (!lives(ifindex))
		return err_set(reterr, -ENODEV, "device %d is gone", ifindex);
	r = shut_hook(&from, closed->from_pod, reterr);
	return shut_hook(&to, closed->to_pod, r < 0 ? &ignored : reterr) ?: r;
}

static bool is_kept(const struct hook *hook)
{
	for (int i = 0; i < BH_ATTACH_MAX; i++)
		if (ways[i] && (ways[i]->gated(hook) || ways[i]->shut(hook) == SHUT_FIRST))
			return true;
	return false;
}

// As the plugin does: by filters, and at tcx where these would not be first.
static int reshut(const struct hook *hook, int program, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];
	int r = attach_clsact.reshut(hook, program);

	if (r == 0 && attach_clsact.shut(hook) == SHUT_FIRST)
		return 0;
	r = attach_tcx.reshut(hook, program);
	return r < 0 ? err_set(reterr, r, "%s: cannot shut its %s again: %s", attach_device(hook->ifindex, device),
			       hook->egress ? "egress" : "ingress", strerror(-r)) :
		       0;
}

int program_keep_shut(int ifindex, struct err *reterr)
{
	_cleanup_close_ int program = -1;
	int r = 0;

	if (!lives(ifindex))
		return err_set(reterr, -ENODEV, "device %d is gone", ifindex);
	for (int egress = 0; egress < 2 && r >= 0; egress++) {
		struct hook hook = { NULL, ifindex, egress };

		if (is_kept(&hook))
			continue;
		if (program < 0)
			program = sys_program_load("bh_shut", 2); // TC_ACT_SHOT
		if (program < 0)
			return err_set(reterr, program, "cannot load the program that shuts it: %s", strerror(-program));
		r = reshut(&hook, program, reterr) ?: 1;
	}
	return r;
}

// A next agent finds what is attached by them.
static int check_pins(const char *folder, int ifindex, const struct attach *way, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];

	if (folder_ifindex(folder) == ifindex && has_pin(folder, way->pins[0]) && has_pin(folder, way->pins[1]))
		return 0;
	return err_set(reterr, -ENOENT, "%s: pins of its programs are gone from %s", attach_device(ifindex, device), folder);
}

int program_check(struct tables *tables, uint32_t slot, int ifindex, enum bh_attach mode,
		  struct err *reterr)
{
	const struct attach *way = way_of(mode);
	char folder[PIN_FOLDER_BYTES];
	int r;

	if (!way)
		return err_set(reterr, -ENOENT, "nothing is attached");
	folder_of(tables, slot, folder);
	r = check_hooks(folder, ifindex, way, reterr);
	return r < 0 ? r : check_pins(folder, ifindex, way, reterr);
}

int program_detach(struct tables *tables, uint32_t slot, int ifindex, enum bh_attach mode,
		   struct err *reterr)
{
	char folder[PIN_FOLDER_BYTES];

	folder_of(tables, slot, folder);
	return take_folder(folder, ifindex, mode, reterr);
}

static int unshut(const char *folder, int ifindex, struct err *reterr)
{
	int r = 0;

	for (int egress = 0; egress < 2 && r == 0; egress++)
		r = unshut_hook(&(struct hook){ folder, ifindex, egress }, reterr);
	return r == 0 ? leave(folder, ifindex, reterr) : r;
}

// Of every device here: of many the plugin alone knows.
static int unshut_all(const char *pin_dir, struct err *reterr)
{
	struct if_nameindex *devices = if_nameindex();
	char folder[PIN_FOLDER_BYTES];
	int r = 0;

	if (!devices)
		return err_set(reterr, -errno, "cannot list devices: %s", strerror(errno));
	snprintf(folder, sizeof(folder), "%s/" PIN_ENDPOINTS "/0", pin_dir);
	for (const struct if_nameindex *device = devices; device->if_index && r == 0; device++)
		r = unshut(folder, (int)device->if_index, reterr);
	if_freenameindex(devices);
	return r;
}

// Each way is asked for every device that it has a record of.
static int leave_all(const char *pin_dir, bool gone, struct err *reterr)
{
	int r = 0;

	for (int i = 0; i < BH_ATTACH_MAX && r == 0; i++)
		if (ways[i] && ways[i]->leave_all)
			r = ways[i]->leave_all(pin_dir, gone ? lives : NULL, reterr);
	return r;
}

void program_forget_gone(struct tables *tables)
{
	struct err ignored = { 0 };

	leave_all(tables->pin_dir, true, &ignored);
}

int program_detach_all(const char *pin_dir, struct err *reterr)
{
	_cleanup_close_ int lock = pin_dir_lock(pin_dir, reterr);
	char path[PIN_FOLDER_BYTES];
	struct dirent *entry;
	int r = lock < 0 && lock != -ENOENT ? lock : unshut_all(pin_dir, reterr);
	DIR *dir;

	if (r < 0 || lock < 0)
		return r;
	snprintf(path, sizeof(path), "%s/" PIN_ENDPOINTS, pin_dir);
	r = hook_remove(pin_dir, reterr);
	dir = r == 0 ? opendir(path) : NULL;
	if (!dir)
		return r;
	while (r == 0 && (entry = readdir(dir))) {
		char folder[PIN_FOLDER_BYTES + sizeof(entry->d_name)];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), "%s/%s", path, entry->d_name);
		r = take_folder(folder, folder_ifindex(folder), BH_ATTACH_NONE, reterr);
	}
	closedir(dir);
	return r == 0 ? leave_all(pin_dir, false, reterr) : r;
}
