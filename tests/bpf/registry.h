// SPDX-License-Identifier: Apache-2.0
// registry.h - a registry of endpoints on real tables, and what objects and scans tell it.
//
// World: host, tests. Pure: no. Owns: its world.
#pragma once

#include "tests/harness/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/endpoint/endpoint.h"
#include "agent/endpoint/slot.h"

struct world {
	char pins[64];
	struct tables *tables;
	struct store *store;
	struct endpoints *endpoints;
	unsigned joined, left;
	char problem[256];
	int refused; // what the last attachment was refused with
};

static inline void joined(void *arg, const struct endpoint *e)
{
	((struct world *)arg)->joined++;
}

static inline void left(void *arg, const struct endpoint *e)
{
	((struct world *)arg)->left++;
}

static inline void problem(void *arg, const char *where, const char *text)
{
	struct world *world = arg;

	if (strncmp(where, "Namespace ", 10) == 0 && !text)
		return;
	snprintf(world->problem, sizeof(world->problem), "%s: %s", where, text ? text : "gone");
}

static inline void refused(void *arg, const struct attachment *attachment, int r, const char *why)
{
	((struct world *)arg)->refused = r;
}

static inline void changed(void *arg, const struct object *before, const struct object *after)
{
	endpoints_changed(((struct world *)arg)->endpoints, before, after);
}

static inline void open_tables(struct world *world)
{
	struct tables_config config = { .pin_dir = world->pins, .endpoints = 4, .peers = 64, .cidrs = 64,
					.policies = 16, .sparse_cells = 16, .ct = 64, .frags = 16,
					.denied = 16, .totals = 64 };
	struct err err = { 0 };
	bool adopted;

	assert_ok_err(tables_open(&config, &world->tables, &adopted, &err), &err);
}

static inline void open_registry(struct world *world)
{
	struct endpoint_events events = { world, joined, left, problem, refused };

	struct endpoint_config config = { .node = "n1", .attach = BH_ATTACH_TCX };

	assert_ok(endpoints_new(world->tables, world->store, &config, &events, &world->endpoints));
}

static inline int setup(void **state)
{
	static unsigned count;
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->pins, sizeof(world->pins), "/sys/fs/bpf/bulkhead-endpoint-%d-%u", getpid(),
		 count++);
	open_tables(world);
	assert_ok(store_new(&world->store));
	open_registry(world);
	assert_ok(store_subscribe(world->store, changed, world));
	*state = world;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *world = *state;
	struct err err = { 0 };

	endpoints_free(world->endpoints);
	store_free(world->store);
	tables_close(world->tables);
	assert_ok_err(tables_unpin(world->pins, &err), &err);
	free(world);
	return 0;
}

static inline void put(struct world *world, enum kind kind, const char *json)
{
	_cleanup_json_ struct json_object *parsed = json_tokener_parse(json);
	struct object *object;
	struct err err = { 0 };

	assert_non_null(parsed);
	assert_ok_err(object_parse(kind, parsed, &object, &err), &err);
	assert_ok(store_put(world->store, object));
}

static inline void put_pod(struct world *world, const char *name, const char *node, const char *ip,
		    const char *phase)
{
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\"},\"spec\":{\"nodeName\":\"%s\","
		 "\"containers\":[{\"name\":\"c\"}]},\"status\":{\"phase\":\"%s\",\"podIP\":\"%s\","
		 "\"podIPs\":[{\"ip\":\"%s\"}]}}",
		 name, node, phase, ip, ip);
	put(world, KIND_POD, json);
}

// As real objects are: with a UID and a birthday.
static inline void put_pod_uid(struct world *world, const char *name, const char *uid, const char *ip, int born)
{
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\",\"uid\":\"%s\","
		 "\"creationTimestamp\":\"2026-01-01T00:00:%02dZ\"},"
		 "\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\"}]},"
		 "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"%s\"}]}}",
		 name, uid, born, ip);
	put(world, KIND_POD, json);
}

static inline struct link_pod link_at(const char *ip, int ifindex)
{
	struct link_pod link = { .ifindex = ifindex, .peer_ifindex = 2, .naddrs = 1,
				 .mac = { 2, 0, 0, 0, 0, (uint8_t)ifindex } };

	assert_ok(addr_parse(ip, &link.addrs[0]));
	return link;
}

static inline void link_uid(struct link_pod *link, const char *uid)
{
	snprintf(link->uids[link->nuids++], LINK_UID_BYTES, "%s", uid);
}

static inline void link_route(struct link_pod *link, const char *ip)
{
	assert_ok(addr_parse(ip, &link->routed[link->nrouted++]));
}

// The host has these devices and no others; some of them may be unread.
static inline void see(struct link_view *view, const struct link_pod *links, size_t n)
{
	*view = (struct link_view){ .ephemeral_lo = 32768, .ephemeral_hi = 60999 };
	for (size_t i = 0; i < n; i++) {
		assert_ok(vec_push(&view->devices, links[i].ifindex));
		assert_ok(vec_push(&view->pods, links[i]));
		view->unread += links[i].unread;
	}
}

static inline void scan_at(struct world *world, const struct link_pod *links, size_t n, int64_t now_ms)
{
	struct link_view view;

	see(&view, links, n);
	endpoints_scanned(world->endpoints, &view, now_ms);
	link_view_fini(&view);
}

static inline void scan(struct world *world, const struct link_pod *links, size_t n)
{
	scan_at(world, links, n, 1);
}

static inline bool is_seven(const void *arg, int ifindex)
{
	return ifindex == 7;
}

// Before any pod is known; device 7 was there when the agent started.
static inline void scan_early(struct world *world, const struct link_pod *links, size_t n)
{
	struct link_view view;

	see(&view, links, n);
	endpoints_shut_early(world->endpoints, &view, is_seven, NULL);
	link_view_fini(&view);
}

static inline struct endpoint *endpoint_of(struct world *world, const char *name)
{
	return endpoints_find(world->endpoints, "x", name);
}

static inline uint8_t state_of(struct world *world, const struct endpoint *e)
{
	return tables_endpoint(world->tables, e->slot)->state;
}
