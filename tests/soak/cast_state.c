// SPDX-License-Identifier: Apache-2.0
// cast_state.c - the cast as one state: objects and devices.
#include <stdio.h>
#include <string.h>

#include "tests/diff/world_private.h"
#include "tests/soak/cast.h"

static void state_object(struct state *state, enum kind kind, const char *ns, const char *name,
			 struct json_object *json)
{
	if (json)
		state->objects[state->c.nobjects++] = (struct case_object){ kind, ns, name, json };
}

static const char *state_addr(struct state *state, size_t row, int family,
			      const struct bh_addr *addr)
{
	return addr_format(addr, state->addrs[row][family], sizeof(state->addrs[row][family]));
}

static void state_device(struct state *state, const char *ns, const char *name, const char *node,
			 const struct bh_addr *addr4, const struct bh_addr *addr6)
{
	size_t row = state->c.npods++;

	snprintf(state->names[row], sizeof(state->names[row]), "%s", name);
	state->pods[row] = (struct case_pod){
		.ns = ns,
		.name = state->names[row],
		.node = node,
		.ipv4 = state_addr(state, row, 0, addr4),
		.ipv6 = state_addr(state, row, 1, addr6),
	};
}

static void add_seat(struct cast *cast, unsigned number, struct state *state)
{
	struct seat *seat = &cast->seats[number];
	struct bh_addr addr4 = cast_addr(number, 0), addr6 = cast_addr(number, 1);
	char name[24];

	state_object(state, KIND_POD, seat->now.ns, seat->now.name, seat->now.json);
	state_object(state, KIND_POD, seat->late.ns, seat->late.name, seat->late.json);
	snprintf(name, sizeof(name), "device%u", seat->device);
	if (seat->device)
		state_device(state, "seat", name, CAST_NODE, &addr4, &addr6);
}

// Pods of the other node have devices, too: packets come from there.
static void add_remote(struct state *state, const struct world_item *item)
{
	struct json_object *status = world_get(item->json, "status"),
			   *ips = world_get(status, "podIPs");
	struct bh_addr addrs[2] = { 0 };

	if (world_get(world_get(item->json, "spec"), "hostNetwork") ||
	    strcmp(json_object_get_string(world_get(status, "phase")), "Running"))
		return;
	for (size_t i = 0; i < 2; i++)
		addr_parse(
			json_object_get_string(world_get(json_object_array_get_idx(ips, i), "ip")),
			&addrs[i]);
	state_device(state, item->ns, item->name, "n1", &addrs[0], &addrs[1]);
}

static void add_node(struct state *state, const struct world_item *item)
{
	size_t row = CAST_DEVICES + item->index;
	struct bh_addr addr4 = world_node_addr(item->index, 0),
		       addr6 = world_node_addr(item->index, 1);

	state->nodes[state->c.nnodes++] = (struct case_node){
		.name = item->name,
		.ipv4 = state_addr(state, row, 0, &addr4),
		.ipv6 = state_addr(state, row, 1, &addr6),
	};
}

static void add_keepers(struct cast *cast, struct state *state)
{
	for (unsigned i = 0; i < CAST_STILL; i++)
		state_object(state, cast_still[i].kind, cast_still[i].ns, cast_still[i].name,
			     cast->still[i]);
	for (unsigned i = 0; i < CAST_KEEPERS; i++) {
		const struct cast_name *keeper = &cast_keepers[i];
		struct bh_addr addr4 = cast_keeper_addr(i, 0), addr6 = cast_keeper_addr(i, 1);

		state_object(state, keeper->kind, keeper->ns, keeper->name, cast->keepers[i]);
		state_device(state, keeper->ns, keeper->name, CAST_NODE, &addr4, &addr6);
	}
}

void cast_state(struct cast *cast, bool shown, struct state *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->c.objects = ret->objects;
	ret->c.pods = ret->pods;
	ret->c.nodes = ret->nodes;
	if (cast->kept)
		add_keepers(cast, ret);
	for (size_t i = 0; i < WORLD_ITEMS; i++) {
		const struct world_item *item = &cast->world.items[i];

		state_object(ret, item->kind, item->ns, item->name,
			     shown && cast->broken[i] ? cast->broken[i] : item->json);
		if (item->kind == KIND_POD && item->json)
			add_remote(ret, item);
		if (item->kind == KIND_NODE)
			add_node(ret, item);
	}
	for (unsigned i = 0; i < CAST_SEATS; i++)
		add_seat(cast, i, ret);
}
