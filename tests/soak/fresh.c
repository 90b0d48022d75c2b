// SPDX-License-Identifier: Apache-2.0
// fresh.c - a whole compile from nothing.
#include "tests/soak/fresh.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void changed(void *arg, const struct object *before, const struct object *after)
{
	policy_changed(((struct fresh *)arg)->policy, before, after);
}

bool live_is_judged(const struct live *live)
{
	return !strcmp(live->state, "open") || !strcmp(live->state, "enforce");
}

static bool is_local(void *arg, const struct pod *pod)
{
	const struct fresh *fresh = arg;

	for (size_t i = 0; i < fresh->nlive; i++)
		if (live_is_judged(&fresh->live[i]) &&
		    !strcmp(fresh->live[i].name, pod->object.name) &&
		    !strcmp(fresh->live[i].ns, pod->object.ns))
			return true;
	return false;
}

static int put(struct fresh *fresh, const struct case_object *item, struct err *reterr)
{
	struct object *object;
	int r = object_parse(item->kind, item->json, &object, reterr);

	if (r < 0)
		return err_wrap(reterr, "%s", item->name);
	r = store_put(fresh->store, object);
	return r < 0 ? err_set(reterr, r, "%s: %s", item->name, strerror(-r)) : 0;
}

static int compile(struct fresh *fresh, struct err *reterr)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	int r = policy_compile(fresh->policy, &plan);

	if (r < 0)
		return err_set(reterr, r, "compiling: %s", strerror(-r));
	memtables_run(fresh->tables, plan);
	return 0;
}

int fresh_open(struct fresh *fresh, const struct state *force, const struct live *live,
	       size_t nlive, struct err *reterr)
{
	int r;

	*fresh = (struct fresh){ .live = live, .nlive = nlive, .tables = memtables_new() };
	r = store_new(&fresh->store);
	if (r == 0)
		r = policy_new(fresh->store, NULL, &fresh->policy);
	if (r == 0)
		r = store_subscribe(fresh->store, changed, fresh);
	if (r == 0)
		policy_set_node(fresh->policy, CAST_NODE);
	if (r < 0)
		return err_set(reterr, r, "a fresh compiler: %s", strerror(-r));
	fresh->naive = (struct naive){ .store = fresh->store, .local = is_local, .arg = fresh, .node = CAST_NODE };
	for (size_t i = 0; r == 0 && i < force->c.nobjects; i++)
		r = put(fresh, &force->objects[i], reterr);
	for (size_t i = 0; r == 0 && i < nlive; i++) {
		if (!live_is_judged(&live[i]))
			continue;
		r = policy_endpoint_add(fresh->policy, live[i].ns, live[i].name, live[i].slot);
		if (r < 0)
			err_set(reterr, r, "%s/%s: %s", live[i].ns, live[i].name, strerror(-r));
	}
	return r < 0 ? r : compile(fresh, reterr);
}

void fresh_close(struct fresh *fresh)
{
	policy_free(TAKE_PTR(fresh->policy));
	store_free(TAKE_PTR(fresh->store));
	memtables_free(TAKE_PTR(fresh->tables));
}

// ---- sizes ------------------------------------------------------------------------------------------------------

static void count_class(uint8_t *seen, uint32_t cls, uint32_t *count)
{
	if (seen[cls])
		return;
	seen[cls] = 1;
	(*count)++;
}

struct sizes sizes_of(const struct policy_tables *tables)
{
	static uint8_t peers[BH_MAX_CLASSES], ports[BH_MAX_CLASSES];
	struct sizes sizes = { .peers = tables->npeers,
			       .cidrs = tables->ncidrs,
			       .cells = tables->ncells };

	memset(peers, 0, sizeof(peers));
	memset(ports, 0, sizeof(ports));
	for (uint32_t i = 0; i < tables->npeers; i++)
		count_class(peers, tables->peers[i].cls, &sizes.peer_classes);
	for (uint32_t i = 0; i < tables->ncidrs; i++)
		count_class(peers, tables->cidrs[i].cls, &sizes.peer_classes);
	for (uint32_t port = 0; tables->ports && port < 65536; port++)
		for (int proto = 0; proto < BH_PORT_PROTO_MAX; proto++)
			count_class(ports, tables->ports[port].cls[proto], &sizes.port_classes);
	for (uint32_t i = 0; i < tables->nmatrices; i++)
		sizes.matrices += tables->matrices[i].policy >= BH_POLICY_FIRST;
	return sizes;
}

const char *sizes_text(const struct sizes *sizes, char *buf, size_t bytes)
{
	snprintf(
		buf, bytes,
		"%u addresses, %u prefixes, %u peer classes, %u port classes, %u matrices, %u cells",
		sizes->peers, sizes->cidrs, sizes->peer_classes, sizes->port_classes,
		sizes->matrices, sizes->cells);
	return buf;
}
