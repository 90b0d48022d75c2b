// SPDX-License-Identifier: Apache-2.0
// inner.c - matrices are inner maps of bh_policy: made aside, put in by one call, changed by stores.
//
// Each update of bh_policy by system call waits for a grace period in the kernel, a batch of updates once
// (Linux 6.8; before, once per element). An array of maps knows no batched removal: a slot is freed by an
// update to one empty matrix (generation 0, no classes: it denies), so that this is batched too.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/feature.h"
#include "agent/bpf/state.h"

#define INSTALL_BATCH 256 // fds held at once

static int inner_new(uint32_t nunits)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "bh_matrix", sizeof(uint32_t),
			      sizeof(union bh_unit), nunits, &opts);
}

static int inner_map(int fd, struct matrix *ret)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);
	void *units;
	int r = bpf_obj_get_info_by_fd(fd, &info, &bytes);

	if (r < 0)
		return r;
	units = mmap(NULL, sizeof(union bh_unit) * info.max_entries, PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, 0);
	if (units == MAP_FAILED)
		return -errno;
	*ret = (struct matrix){ .units = units, .nunits = info.max_entries, .id = info.id };
	return 0;
}

static void unmap(struct matrix *matrix)
{
	if (matrix->units)
		munmap(matrix->units, sizeof(union bh_unit) * matrix->nunits);
	*matrix = (struct matrix){ 0 };
}

void inner_unmap_all(struct tables *tables)
{
	for (uint32_t i = 0; tables->matrices && i < tables->maps[TABLE_POLICY].max_entries; i++)
		unmap(&tables->matrices[i]);
}

// ---- installing -------------------------------------------------------------------------------------

// Updates of bh_policy; *retdone: how many are in force.
static int put(struct tables *tables, const uint32_t *policies, const int *fds, uint32_t n,
	       uint32_t *retdone)
{
	int outer = tables->maps[TABLE_POLICY].fd, r = 0;
	uint32_t done = 0;

	if (n > 1 && feature_have(FEATURE_BATCH_POLICY)) {
		done = n;
		r = bpf_map_update_batch(outer, policies, fds, &done, NULL);
		*retdone = done;
		return r;
	}
	while (done < n && r == 0) {
		r = bpf_map_update_elem(outer, &policies[done], &fds[done], BPF_ANY);
		done += r == 0;
	}
	*retdone = done;
	return r;
}

static int make(const struct step *step, int *retfd, struct matrix *ret)
{
	_cleanup_close_ int fd = inner_new(step->matrix.nunits);
	int r;

	if (fd < 0)
		return fd;
	r = inner_map(fd, ret);
	if (r < 0)
		return r;
	memcpy(ret->units, step->matrix.units, sizeof(union bh_unit) * step->matrix.nunits);
	*retfd = TAKE_FD(fd);
	return 0;
}

struct install {
	uint32_t policies[INSTALL_BATCH];
	int fds[INSTALL_BATCH];
	struct matrix matrices[INSTALL_BATCH];
	uint32_t n;
};

// Those that are in force replace the mappings, the others go.
static void install_end(struct tables *tables, struct install *install, uint32_t done)
{
	for (uint32_t i = 0; i < install->n; i++) {
		struct matrix *matrix = &install->matrices[i];

		if (i < done) {
			unmap(&tables->matrices[install->policies[i]]);
			tables->matrices[install->policies[i]] = *matrix;
		} else {
			unmap(matrix);
		}
		close(install->fds[i]);
	}
}

static int install_batch(struct tables *tables, const struct step *steps, uint32_t n,
			 uint32_t *retdone)
{
	_cleanup_free_ struct install *install = calloc(1, sizeof(*install));
	int r = install ? 0 : -ENOMEM;

	*retdone = 0;
	while (install && r == 0 && install->n < n) {
		const struct step *step = &steps[install->n];
		uint32_t i = install->n;

		install->policies[i] = step->matrix.policy;
		if (step->matrix.policy >= tables->maps[TABLE_POLICY].max_entries)
			r = -ERANGE;
		else
			r = make(step, &install->fds[i], &install->matrices[i]);
		install->n += r == 0;
	}
	if (install && r == 0)
		r = put(tables, install->policies, install->fds, n, retdone);
	if (install)
		install_end(tables, install, *retdone);
	return r;
}

int inner_install(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	uint32_t done = 0;
	int r = 0;

	while (done < n && r == 0) {
		uint32_t some, count = n - done < INSTALL_BATCH ? n - done : INSTALL_BATCH;

		r = install_batch(tables, steps + done, count, &some);
		done += some;
	}
	*retdone = done;
	return r;
}

// ---- freeing ----------------------------------------------------------------------------------------

int inner_free(struct tables *tables, const struct step *steps, uint32_t n, uint32_t *retdone)
{
	_cleanup_free_ uint32_t *policies = calloc(n, sizeof(*policies));
	_cleanup_free_ int *fds = calloc(n, sizeof(*fds));
	int r;

	*retdone = 0;
	if (!policies || !fds)
		return -ENOMEM;
	if (tables->empty < 0)
		tables->empty = inner_new(1);
	if (tables->empty < 0)
		return tables->empty;
	for (uint32_t i = 0; i < n; i++) {
		policies[i] = steps[i].matrix.policy;
		fds[i] = tables->empty;
	}
	r = put(tables, policies, fds, n, retdone);
	for (uint32_t i = 0; i < *retdone; i++)
		unmap(&tables->matrices[policies[i]]);
	return r;
}

// ---- changing ---------------------------------------------------------------------------------------

int inner_open(const struct tables *tables, uint32_t policy)
{
	uint32_t id;
	int r = bpf_map_lookup_elem(tables->maps[TABLE_POLICY].fd, &policy, &id);

	return r < 0 ? r : bpf_map_get_fd_by_id(id);
}

// A matrix that an earlier agent installed is mapped when it is first changed.
static int mapped(struct tables *tables, uint32_t policy)
{
	_cleanup_close_ int fd = -1;

	if (policy >= tables->maps[TABLE_POLICY].max_entries)
		return -ERANGE;
	if (tables->matrices[policy].units)
		return 0;
	fd = inner_open(tables, policy);
	return fd < 0 ? fd : inner_map(fd, &tables->matrices[policy]);
}

// A lane, a generation and a cell each lie within one half, so a reader sees all of a change or nothing.
int inner_store(struct tables *tables, uint32_t policy, uint32_t index, const union bh_unit *unit)
{
	uint64_t *to, want[2];
	int r = mapped(tables, policy);

	if (r < 0)
		return r;
	if (index >= tables->matrices[policy].nunits)
		return -ERANGE;
	to = (uint64_t *)&tables->matrices[policy].units[index];
	memcpy(want, unit, sizeof(want));
	for (int i = 0; i < 2; i++)
		if (to[i] != want[i])
			__atomic_store_n(&to[i], want[i], __ATOMIC_RELEASE);
	return 0;
}

int inner_copy(const struct tables *tables, uint32_t policy, union bh_unit **ret,
	       uint32_t *retnunits)
{
	_cleanup_close_ int fd = inner_open(tables, policy);
	_cleanup_free_ union bh_unit *units = NULL;
	struct matrix matrix;
	bool empty;
	int r;

	if (fd < 0)
		return fd;
	r = inner_map(fd, &matrix);
	if (r < 0)
		return r;
	empty = !matrix.units->head.gen;
	units = malloc(sizeof(*units) * matrix.nunits);
	if (units)
		memcpy(units, matrix.units, sizeof(*units) * matrix.nunits);
	*retnunits = matrix.nunits;
	unmap(&matrix);
	if (empty)
		return -ENOENT;
	*ret = TAKE_PTR(units);
	return *ret ? 0 : -ENOMEM;
}
