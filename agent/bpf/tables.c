// SPDX-License-Identifier: Apache-2.0
// tables.c - open the kernel's tables: adopt what is pinned, or create and pin.
//
// The one definition of the tables is datapath/maps.bpf.h: its object is opened without its programs and
// either creates the maps, or says what adopted ones must look like. The element of bh_node is written last
// when creating; without it what is pinned is half made and is made anew.
#include "agent/bpf/tables.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <bpf/bpf.h>

#include <bulkhead/half.h>
#include <bulkhead/service.h>

#include "agent/base/log.h"
#include "agent/bpf/feature.h"
#include "agent/bpf/pin.h"
#include "agent/bpf/state.h"
#include "bpf/pod.skel.h"

LOG_ROOM("bpf");

const char *const table_names[TABLE_MAX] = {
	[TABLE_NODE] = "bh_node",         [TABLE_ENDPOINT] = "bh_endpoint",
	[TABLE_POLICY] = "bh_policy",     [TABLE_PEER] = "bh_peer",
	[TABLE_CIDR] = "bh_cidr",         [TABLE_PORT] = "bh_port",
	[TABLE_CELL] = "bh_cell",         [TABLE_CT] = "bh_ct",
	[TABLE_CT6] = "bh_ct6",           [TABLE_HALF] = "bh_half",
	[TABLE_HALF_COUNT] = "bh_half_count", [TABLE_GONE] = "bh_gone",
	[TABLE_FRAG] = "bh_frag",         [TABLE_EXTRA] = "bh_extra",
	[TABLE_HOST] = "bh_host",         [TABLE_SERVICE] = "bh_service",
	[TABLE_SELF] = "bh_self",         [TABLE_LOCAL] = "bh_local",
	[TABLE_BACKEND] = "bh_backend",   [TABLE_IDENTITY] = "bh_identity",
	[TABLE_TOTAL] = "bh_total",       [TABLE_DENIED] = "bh_denied",
	[TABLE_DENIED_TOLD] = "bh_denied_told",
	[TABLE_COUNT] = "bh_count",       [TABLE_STAT] = "bh_stat",
	[TABLE_JUDGE] = "bh_judge",
};

typedef struct pod_bpf *skel_t;
static void skel_freep(skel_t *skel)
{
	pod_bpf__destroy(*skel);
}

// libbpf tells people about every probe that fails: one level down.
static int libbpf_line(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char text[512];
	size_t len;

	if (!log_enabled(&log_room_, LOG_DEBUG) || level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), fmt, args);
	len = strlen(text);
	if (len && text[len - 1] == '\n')
		text[len - 1] = 0;
	log_debug("%s", text);
	return 0;
}

static int boot_id(uint64_t *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	uint32_t hi, mid, low;

	if (!f || fscanf(f, "%8x-%4x-%4x", &hi, &mid, &low) != 3)
		return -EIO;
	*ret = (uint64_t)hi << 32 | (mid & 0xffff) << 16 | (low & 0xffff);
	return 0;
}

// ---- sizes ------------------------------------------------------------------------------------------

// A plan writes what is new before it removes what is old: a full table may be replaced by another full one.
static uint32_t with_headroom(uint32_t size, uint32_t standard)
{
	return 2 * (size ? size : standard);
}

// 0: as the object says.
static uint32_t half_buckets(const struct tables_config *config)
{
	return config->half && config->half < BH_HALF_WAYS ? 1 : config->half / BH_HALF_WAYS;
}

static int set_sizes(struct bpf_object *object, const struct tables_config *config)
{
	const uint32_t sizes[TABLE_MAX] = {
		[TABLE_ENDPOINT] = config->endpoints,
		[TABLE_IDENTITY] = config->endpoints,
		[TABLE_COUNT] = config->endpoints * BH_DIR_MAX,
		[TABLE_PEER] = with_headroom(config->peers, BH_LIMIT_PEERS),
		[TABLE_CIDR] = with_headroom(config->cidrs, BH_LIMIT_CIDRS),
		// those of refused Services are there as well
		[TABLE_SERVICE] = 2 * with_headroom(config->services, BH_LIMIT_SERVICES),
		[TABLE_SELF] = with_headroom(config->selves, BH_LIMIT_SELF),
		[TABLE_LOCAL] = config->endpoints * 2,
		[TABLE_BACKEND] = config->backends,
		[TABLE_POLICY] = config->policies,
		[TABLE_CELL] = config->sparse_cells,
		[TABLE_CT] = config->ct,
		[TABLE_CT6] = config->ct,
		[TABLE_HALF] = half_buckets(config),
		[TABLE_HALF_COUNT] = half_buckets(config),
		[TABLE_GONE] = config->gone,
		[TABLE_FRAG] = config->frags,
		[TABLE_DENIED] = config->denied,
		[TABLE_DENIED_TOLD] = config->denied,
		[TABLE_TOTAL] = config->totals,
	};

	for (int i = 0; i < TABLE_MAX; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, table_names[i]);
		int r = map ? 0 : -ENOENT;

		if (r == 0 && sizes[i])
			r = bpf_map__set_max_entries(map, sizes[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_object(const struct tables_config *config, skel_t *ret, struct err *reterr)
{
	_cleanup_(skel_freep) skel_t skel = pod_bpf__open();
	struct bpf_program *program;
	int r;

	if (!skel)
		return err_set(reterr, -errno, "cannot read the built-in programs: %s",
			       strerror(errno));
	bpf_object__for_each_program(program, skel->obj) bpf_program__set_autoload(program, false);
	r = set_sizes(skel->obj, config);
	if (r < 0)
		return err_set(reterr, r, "cannot size the tables: %s", strerror(-r));
	*ret = TAKE_PTR(skel);
	return 0;
}

// ---- adopting ---------------------------------------------------------------------------------------

static bool same_layout(int fd, const struct bpf_map *want)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 && info.type == bpf_map__type(want) &&
	       info.key_size == bpf_map__key_size(want) &&
	       info.value_size == bpf_map__value_size(want) &&
	       info.max_entries == bpf_map__max_entries(want) &&
	       info.map_flags == bpf_map__map_flags(want);
}

static int get_pin(const struct tables *tables, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", tables->pin_dir, name);
	return bpf_obj_get(path);
}

// What an earlier version did not pin, and no program reads: made beside the rest.
static int add_own(struct tables *tables, enum table table, const struct bpf_map *want)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = bpf_map__map_flags(want));
	char path[PATH_MAX];
	int r, fd;

	if (table != TABLE_DENIED_TOLD || tables->lock < 0)
		return -ENOENT;
	fd = bpf_map_create(bpf_map__type(want), table_names[table], bpf_map__key_size(want),
			    bpf_map__value_size(want), bpf_map__max_entries(want), &opts);
	if (fd < 0)
		return fd;
	r = denied_told_seed(tables, fd); // before the pin: half of it is never adopted
	if (r < 0)
		log_warn("denies that were told before may be told again: %s", strerror(-r));
	snprintf(path, sizeof(path), "%s/%s", tables->pin_dir, table_names[table]);
	r = bpf_obj_pin(fd, path);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

// -ENOENT: nothing (whole) is pinned. -ESTALE: something else is; *rettable names it, *retabi is its layout if that is
// what differs.
static int adopt_maps(struct tables *tables, struct bpf_object *object, const char **rettable, uint32_t *retabi)
{
	uint64_t boot;
	struct bh_node node;
	uint32_t zero = 0;
	int r;

	for (int i = 0; i < TABLE_MAX; i++) {
		const struct bpf_map *want = bpf_object__find_map_by_name(object, table_names[i]);
		int fd = get_pin(tables, table_names[i]);

		if (fd == -ENOENT && i != TABLE_NODE)
			fd = add_own(tables, i, want);
		*rettable = table_names[i];
		if (fd < 0 && fd != -ENOENT)
			return fd;
		if (fd < 0)
			return i == TABLE_NODE ? -ENOENT : -ESTALE;
		if (!same_layout(fd, want) || map_info(fd, &tables->maps[i]) < 0) {
			close(fd);
			return -ESTALE;
		}
	}
	*rettable = table_names[TABLE_NODE];
	r = bpf_map_lookup_elem(tables->maps[TABLE_NODE].fd, &zero, &node);
	if (r < 0 || boot_id(&boot) < 0)
		return -ESTALE;
	if (!node.abi_version)
		return -ENOENT;
	*retabi = node.abi_version != BH_ABI_VERSION ? node.abi_version : 0;
	return node.abi_version == BH_ABI_VERSION && node.boot_id == boot ? 0 : -ESTALE;
}

static void close_maps(struct tables *tables)
{
	for (int i = 0; i < TABLE_MAX; i++) {
		if (tables->maps[i].fd >= 0)
			close(tables->maps[i].fd);
		tables->maps[i].fd = -1;
	}
}

// Attached endpoints have a folder each, whatever the layout of the tables.
static bool has_endpoints(const struct tables *tables)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" PIN_ENDPOINTS, tables->pin_dir);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

// ---- creating ---------------------------------------------------------------------------------------

static int pin_map(struct tables *tables, enum table table, const struct bpf_map *map)
{
	char path[PATH_MAX];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", tables->pin_dir, table_names[table]);
	r = pin_remove(path);
	if (r < 0)
		return r;
	fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	r = map_info(fd, &tables->maps[table]);
	if (r < 0) {
		close(fd);
		return r;
	}
	return bpf_obj_pin(fd, path);
}

static int create_maps(struct tables *tables, struct bpf_object *object)
{
	struct bh_node node = { .abi_version = BH_ABI_VERSION,
				.next_incarnation = 1,
				.any_ports = BH_ANY_PORTS_NONE };
	uint64_t boot;
	uint32_t zero = 0;
	int r = bpf_object__load(object);

	for (int i = 0; r == 0 && i < TABLE_MAX; i++)
		r = pin_map(tables, i, bpf_object__find_map_by_name(object, table_names[i]));
	if (r == 0)
		r = boot_id(&boot);
	if (r < 0)
		return r;
	node.boot_id = boot;
	if (getrandom(node.secret, sizeof(node.secret), 0) != sizeof(node.secret))
		return -EIO;
	return bpf_map_update_elem(tables->maps[TABLE_NODE].fd, &zero, &node, BPF_ANY);
}

static int refuse(const struct tables *tables, const char *table, uint32_t abi, struct err *reterr)
{
	if (abi)
		return err_set(reterr, -ESTALE,
			       "the tables in '%s' have layout %u, this version's is %u, and pods depend on them: start the "
			       "version that made them, or take every program off first with 'bulkheadd --cleanup'",
			       tables->pin_dir, abi, (uint32_t)BH_ABI_VERSION);
	return err_set(reterr, -ESTALE,
		       "the tables in '%s' have another layout or size (%s) and pods depend on "
		       "them: set the sizes back, or take every program off first with "
		       "'bulkheadd --cleanup'",
		       tables->pin_dir, table);
}

static int adopt_or_create(struct tables *tables, const struct tables_config *config,
			   bool *retadopted, struct err *reterr)
{
	_cleanup_(skel_freep) skel_t skel = NULL;
	const char *table;
	uint32_t abi = 0;
	int r = open_object(config, &skel, reterr);

	if (r < 0)
		return r;
	r = adopt_maps(tables, skel->obj, &table, &abi);
	*retadopted = r == 0;
	if (r == 0)
		return 0;
	if (config->beside || (r != -ENOENT && r != -ESTALE)) // pods may depend on what cannot be seen now
		return err_set(reterr, r, "cannot open the pinned '%s/%s': %s", tables->pin_dir,
			       table, strerror(-r));
	if (r == -ESTALE && has_endpoints(tables))
		return refuse(tables, table, abi, reterr);
	close_maps(tables);
	r = create_maps(tables, skel->obj);
	if (r < 0)
		return err_set(reterr, r, "cannot create the tables in '%s': %s", tables->pin_dir,
			       strerror(-r));
	return 0;
}

// ---- opening ----------------------------------------------------------------------------------------

static int map_memory(const struct tables *tables, enum table table, size_t element, void **ret)
{
	const struct map *map = &tables->maps[table];
	void *memory = mmap(NULL, element * map->max_entries, PROT_READ | PROT_WRITE, MAP_SHARED,
			    map->fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret = memory;
	return 0;
}

static int open_memory(struct tables *tables)
{
	int r = map_memory(tables, TABLE_NODE, sizeof(struct bh_node), (void **)&tables->node);

	if (r == 0)
		r = map_memory(tables, TABLE_ENDPOINT, sizeof(struct bh_endpoint),
			       (void **)&tables->endpoints);
	if (r == 0)
		r = map_memory(tables, TABLE_PORT, sizeof(struct bh_port), (void **)&tables->ports);
	if (r < 0)
		return r;
	tables->matrices =
		calloc(tables->maps[TABLE_POLICY].max_entries, sizeof(*tables->matrices));
	tables->drift = calloc(tables_nendpoints(tables), sizeof(*tables->drift));
	return tables->matrices && tables->drift ? 0 : -ENOMEM;
}

static const char *pin_dir_of(const struct tables_config *config)
{
	return config->pin_dir ? config->pin_dir : BH_PIN_DIR;
}

static struct tables *tables_new(const struct tables_config *config)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return NULL;
	for (int i = 0; i < TABLE_MAX; i++)
		tables->maps[i].fd = -1;
	tables->lock = tables->lock_before = tables->empty = tables->wait_outer = tables->wait_inner = -1;
	tables->ct_scale = config->ct_scale;
	snprintf(tables->pin_dir, sizeof(tables->pin_dir), "%s", pin_dir_of(config));
	return tables;
}

int tables_open(const struct tables_config *config, struct tables **ret, bool *retadopted,
		struct err *reterr)
{
	_cleanup_(tables_closep) struct tables *tables = tables_new(config);
	bool adopted;
	int r;

	if (!tables)
		return err_set(reterr, -ENOMEM, "no memory");
	if (config->endpoints > BH_MAX_ENDPOINTS)
		return err_set(reterr, -EINVAL, "%u endpoints: at most %u are possible",
			       config->endpoints, BH_MAX_ENDPOINTS);
	libbpf_set_print(libbpf_line);
	r = feature_check(reterr);
	if (r < 0)
		return r;
	if (!config->beside) {
		tables->lock = pin_dir_open(pin_dir_of(config), reterr);
		if (tables->lock < 0)
			return tables->lock;
	}
	r = adopt_or_create(tables, config, &adopted, reterr);
	if (r < 0)
		return r;
	r = open_memory(tables);
	if (r < 0)
		return err_set(reterr, r, "cannot map the tables: %s", strerror(-r));
	*retadopted = adopted;
	*ret = TAKE_PTR(tables);
	return 0;
}

void tables_close(struct tables *tables)
{
	if (!tables)
		return;
	inner_unmap_all(tables);
	free(tables->matrices);
	free(tables->drift);
	if (tables->node)
		munmap(tables->node, sizeof(*tables->node));
	if (tables->endpoints)
		munmap(tables->endpoints, sizeof(*tables->endpoints) * tables_nendpoints(tables));
	if (tables->ports)
		munmap(tables->ports,
		       sizeof(*tables->ports) * tables->maps[TABLE_PORT].max_entries);
	closep(&tables->empty);
	closep(&tables->wait_outer);
	closep(&tables->wait_inner);
	close_maps(tables);
	closep(&tables->lock_before);
	closep(&tables->lock); // last: the next agent may begin
	free(tables);
}

int tables_unpin(const char *pin_dir, struct err *reterr)
{
	return pin_dir_remove(pin_dir, reterr);
}

int tables_reuse(const struct tables *tables, struct bpf_object *object)
{
	for (int i = 0; i < TABLE_MAX; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, table_names[i]);
		int r = map ? bpf_map__reuse_fd(map, tables->maps[i].fd) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int tables_fd(const struct tables *tables, const char *map_name)
{
	for (int i = 0; i < TABLE_MAX; i++)
		if (!strcmp(map_name, table_names[i]))
			return tables->maps[i].fd;
	return -ENOENT;
}
