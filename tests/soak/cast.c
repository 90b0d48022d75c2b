// SPDX-License-Identifier: Apache-2.0
// cast.c - what may happen to an object, and how often.
#include "tests/soak/cast.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/diff/world_private.h"

const struct cast_name cast_keepers[CAST_KEEPERS] = {
	{ KIND_POD, CAST_KEEP, "a" },
	{ KIND_POD, CAST_KEEP, "b" },
	{ KIND_POD, CAST_KEEP, "c" },
	{ KIND_POD, CAST_HOLD, "d" },
};
const struct cast_name cast_still[CAST_STILL] = {
	{ KIND_NAMESPACE, NULL, CAST_KEEP }, { KIND_CLUSTERNETPOL, NULL, CAST_KEEP },
	{ KIND_NAMESPACE, NULL, CAST_HOLD }, { KIND_CLUSTERNETPOL, NULL, CAST_HOLD },
	{ KIND_NETPOL, CAST_HOLD, "only" },
};
#define HOLD_POLICY (CAST_STILL - 1)
#define NAMESPACE(name) "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name "\"}}"

static const char keep_rule[] =
	"{\"apiVersion\":\"policy.networking.k8s.io/v1alpha2\",\"kind\":\"ClusterNetworkPolicy\","
	"\"metadata\":{\"name\":\"keep\"},\"spec\":{\"tier\":\"Admin\",\"priority\":0,"
	"\"subject\":{\"namespaces\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"keep\"}}},"
	"\"ingress\":[{\"action\":\"Accept\",\"from\":[{\"pods\":{"
	"\"namespaceSelector\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"keep\"}},"
	"\"podSelector\":{\"matchLabels\":{\"keep\":\"pair\"}}}}]},"
	"{\"action\":\"Deny\",\"from\":[{\"namespaces\":{}}]}],"
	"\"egress\":[{\"action\":\"Accept\",\"to\":[{\"namespaces\":{}}]}]}}";
static const char pass_rule[] =
	"{\"apiVersion\":\"policy.networking.k8s.io/v1alpha2\",\"kind\":\"ClusterNetworkPolicy\","
	"\"metadata\":{\"name\":\"hold\"},\"spec\":{\"tier\":\"Admin\",\"priority\":0,"
	"\"subject\":{\"namespaces\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"hold\"}}},"
	"\"ingress\":[{\"action\":\"Pass\",\"from\":[{\"namespaces\":{}}]}]}}";
#define ONLY_53(selector, ingress)                                                                   \
	"{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\","                       \
	"\"metadata\":{\"name\":\"only\",\"namespace\":\"hold\"},\"spec\":{\"podSelector\":" selector  \
	",\"policyTypes\":[\"Ingress\"],\"ingress\":[" ingress "]}}"
#define PORT_53 "{\"ports\":[{\"protocol\":\"UDP\",\"port\":53}]}"
static const char *const hold_policies[] = { // of one meaning
	ONLY_53("{}", PORT_53),
	ONLY_53("{\"matchExpressions\":[{\"key\":\"nobody-has-it\",\"operator\":\"DoesNotExist\"}]}", PORT_53),
	ONLY_53("{}", "{\"ports\":[{\"protocol\":\"UDP\",\"port\":53,\"endPort\":53}],\"from\":[]}"),
	ONLY_53("{}", PORT_53 "," PORT_53),
};

static struct bh_addr addr_number(const char *fmt, unsigned number)
{
	struct bh_addr addr = { 0 };
	char text[64];

	snprintf(text, sizeof(text), fmt, number);
	addr_parse(text, &addr);
	return addr;
}

struct bh_addr cast_addr(unsigned seat, int family)
{
	return addr_number(family ? "fd00:1::%x" : "10.1.0.%u", seat + 2);
}

struct bh_addr cast_keeper_addr(unsigned keeper, int family)
{
	return addr_number(family ? "fd00:9::%x" : "10.9.0.%u", keeper + 2);
}

const struct seat_pod *cast_owner(const struct seat *seat)
{
	if (seat->now.json && seat->now.running)
		return &seat->now;
	return seat->late.json && seat->late.running ? &seat->late : NULL;
}

// ---- pods of this node ------------------------------------------------------------------------------------------

static struct json_object *pod_json(const char *ns, const char *name, const char *uid,
				    int64_t created, struct bh_addr (*addr)(unsigned, int),
				    unsigned number)
{
	struct json_object *json = json_object_new_object(), *metadata, *status, *ips;
	time_t time = (time_t)created;
	struct tm tm;
	char text[64];

	world_put(json, "apiVersion", world_text("v1"));
	world_put(json, "kind", world_text("Pod"));
	metadata = world_put_object(json, "metadata");
	world_put(metadata, "namespace", world_text(ns));
	world_put(metadata, "name", world_text(name));
	world_put(metadata, "uid", world_text(uid));
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
	world_put(metadata, "creationTimestamp", world_text(text));
	world_put(world_put_object(json, "spec"), "nodeName", world_text(CAST_NODE));
	status = world_put_object(json, "status");
	world_put(status, "phase", world_text("Running"));
	ips = world_put_array(status, "podIPs");
	for (int family = 0; family < 2; family++) {
		struct bh_addr one = addr(number, family);

		addr_format(&one, text, sizeof(text));
		world_put(world_add_object(ips), "ip", world_text(text));
	}
	return json;
}

static void pod_leave(struct seat_pod *pod)
{
	json_object_put(pod->json);
	*pod = (struct seat_pod){ 0 };
}

static void pod_label(struct cast *cast, struct seat_pod *pod)
{
	world_labels(&cast->rng, world_get(pod->json, "metadata"), "labels");
}

static void pod_come(struct cast *cast, unsigned seat, bool same_name)
{
	struct seat_pod *pod = &cast->seats[seat].now;
	char uid[24];

	cast->seats[seat].device = ++cast->lives;
	snprintf(uid, sizeof(uid), "uid-%u", cast->lives);
	if (same_name)
		snprintf(pod->name, sizeof(pod->name), "s%u", seat);
	else
		snprintf(pod->name, sizeof(pod->name), "s%u-%u", seat, cast->lives);
	pod->ns = world_pod_ns(seat);
	pod->json = pod_json(pod->ns, pod->name, uid, ++cast->clock, cast_addr, seat);
	pod->running = true;
	pod_label(cast, pod);
	world_put(world_get(pod->json, "spec"), "containers", world_containers(&cast->rng));
}

static void pod_finish(struct seat_pod *pod)
{
	world_put(world_get(pod->json, "status"), "phase", world_text("Succeeded"));
	pod->running = false;
}

// The next pod takes the place; of the one before, sometimes nobody has told yet that it is gone.
static void pod_replace(struct cast *cast, unsigned number)
{
	struct seat *seat = &cast->seats[number];

	pod_leave(&seat->late);
	if (rng_chance(&cast->rng, 30)) {
		pod_leave(&seat->now);
		pod_come(cast, number, true);
		return;
	}
	seat->late = seat->now;
	memset(&seat->now, 0, sizeof(seat->now));
	if (rng_chance(&cast->rng, 50))
		pod_finish(&seat->late);
	pod_come(cast, number, false);
}

static void seat_clear(struct seat *seat)
{
	seat->device = 0;
	pod_leave(&seat->now);
	pod_leave(&seat->late);
}

static void seat_roll(struct cast *cast, unsigned number)
{
	struct seat *seat = &cast->seats[number];
	size_t what = rng_below(&cast->rng, 12);

	if (rng_chance(&cast->rng, 50))
		pod_leave(&seat->late);
	if (!seat->now.json || !seat->device) {
		pod_leave(&seat->now);
		pod_come(cast, number, !seat->late.json && rng_chance(&cast->rng, 30));
	} else if (what < 5) {
		pod_label(cast, &seat->now);
	} else if (what < 8) {
		pod_replace(cast, number);
	} else if (what == 8) {
		pod_finish(&seat->now);
	} else if (what == 9) {
		pod_leave(&seat->now); // its device stays
	} else if (what == 10) {
		seat->device = 0; // its object stays
	} else {
		seat_clear(seat);
	}
}

// ---- everything else --------------------------------------------------------------------------------------------

static void item_clear(struct cast *cast, size_t i)
{
	json_object_put(cast->world.items[i].json);
	json_object_put(cast->broken[i]);
	cast->world.items[i].json = NULL;
	cast->broken[i] = NULL;
}

// Nobody goes before the keepers' rule.
static void put_behind_keepers(struct json_object *json)
{
	struct json_object *spec = world_get(json, "spec");

	world_put(spec, "priority",
		  json_object_new_int(json_object_get_int(world_get(spec, "priority")) + 1));
}

// Some faults cost a policy its rules, some make it unreadable: object_parse() says which.
static void make_invalid(struct rng *rng, const struct world_item *item)
{
	struct json_object *spec = world_get(item->json, "spec"), *term, *rule;

	if (item->kind == KIND_CLUSTERNETPOL && rng_chance(rng, 50)) {
		// Not its priority: without one it goes before all, the keepers' rule too.
		rule = world_add_object(world_put_array(spec, "ingress"));
		world_put(rule, "action", world_text("Deny"));
		world_put_object(world_add_object(world_put_array(rule, "from")), "namespaces");
		world_put(world_put_object(world_put_object(world_add_object(world_put_array(
								    rule, "protocols")),
							    "tcp"),
					   "destinationPort"),
			  "number", json_object_new_int(70000));
	} else if (item->kind == KIND_CLUSTERNETPOL) {
		world_put(world_put_object(spec, "subject"), "pods", world_text("all"));
	} else if (rng_chance(rng, 50)) {
		term = world_add_object(
			world_put_array(world_put_object(spec, "podSelector"), "matchExpressions"));
		world_put(term, "key", world_text("app"));
		world_put(term, "operator", world_text("Like"));
	} else {
		rule = world_add_object(world_put_array(spec, "ingress"));
		world_put(world_add_object(world_put_array(rule, "ports")), "port",
			  json_object_new_int(rng_chance(rng, 50) ? 0 : 70000));
	}
}

// The item as rolled is not in force if it makes no sense: then the one before is.
static void item_break(struct cast *cast, size_t i, struct json_object *before)
{
	struct world_item *item = &cast->world.items[i];
	struct object *object = NULL;
	struct err err;

	make_invalid(&cast->rng, item);
	if (object_parse(item->kind, item->json, &object, &err) < 0) {
		cast->broken[i] = item->json;
		item->json = json_object_get(before);
	}
	object_put(object);
}

static void item_roll(struct cast *cast, size_t i, bool calm)
{
	struct world_item *item = &cast->world.items[i];
	struct json_object *before = json_object_get(item->json);
	bool may_break = calm && !cast->broken[i] && !item->changed; // `before` was in force

	json_object_put(cast->broken[i]);
	cast->broken[i] = NULL;
	world_roll(&cast->world, &cast->rng, i);
	if (item->kind == KIND_NAMESPACE && rng_chance(&cast->rng, 20))
		item_clear(cast, i);
	if (item->json && item->kind == KIND_CLUSTERNETPOL)
		put_behind_keepers(item->json);
	if (item->json && may_break && rng_chance(&cast->rng, 15) &&
	    (item->kind == KIND_NETPOL || item->kind == KIND_CLUSTERNETPOL))
		item_break(cast, i, before);
	json_object_put(before);
}

static bool is_local_pod(const struct world_item *item)
{
	return item->kind == KIND_POD && item->index < WORLD_LOCAL;
}

static void hold_again(struct cast *cast, unsigned turn)
{
	cast->turn = turn;
	json_object_put(cast->still[HOLD_POLICY]);
	cast->still[HOLD_POLICY] = json_tokener_parse(hold_policies[turn % ARRAY_SIZE(hold_policies)]);
}

void cast_churn(struct cast *cast, bool calm)
{
	size_t n = rng_chance(&cast->rng, 6) ? 60 : rng_below(&cast->rng, 6) + 1;

	world_settle(&cast->world);
	hold_again(cast, cast->turn + 1);
	for (; n > 0; n--) {
		size_t i = rng_below(&cast->rng, WORLD_ITEMS);

		if (rng_chance(&cast->rng, 40))
			seat_roll(cast, (unsigned)rng_below(&cast->rng, CAST_SEATS));
		else if (!is_local_pod(&cast->world.items[i]))
			item_roll(cast, i, calm);
	}
}

void cast_fill(struct cast *cast)
{
	for (unsigned i = 0; i < CAST_SEATS; i++) {
		seat_clear(&cast->seats[i]);
		pod_come(cast, i, false);
	}
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		if (!is_local_pod(&cast->world.items[i]))
			item_roll(cast, i, false);
}

void cast_clear(struct cast *cast)
{
	hold_again(cast, 0);
	for (unsigned i = 0; i < CAST_SEATS; i++)
		seat_clear(&cast->seats[i]);
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		if (cast->world.items[i].kind != KIND_NODE)
			item_clear(cast, i);
}

void cast_init(struct cast *cast, uint64_t seed)
{
	memset(cast, 0, sizeof(*cast));
	cast->rng.state = seed;
	cast->clock = 1767225600;
	world_init(&cast->world);
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		if (cast->world.items[i].kind == KIND_NODE)
			world_roll(&cast->world, &cast->rng, i);
	for (unsigned i = 0; i < CAST_KEEPERS; i++) {
		struct json_object *labels;

		cast->keepers[i] = pod_json(cast_keepers[i].ns, cast_keepers[i].name,
					    cast_keepers[i].name, cast->clock, cast_keeper_addr, i);
		labels = world_put_object(world_get(cast->keepers[i], "metadata"), "labels");
		world_put(labels, "keep", world_text(i < 2 ? "pair" : "out"));
	}
	cast->still[0] = json_tokener_parse(NAMESPACE(CAST_KEEP));
	cast->still[1] = json_tokener_parse(keep_rule);
	cast->still[2] = json_tokener_parse(NAMESPACE(CAST_HOLD));
	cast->still[3] = json_tokener_parse(pass_rule);
	hold_again(cast, 0);
}

void cast_fini(struct cast *cast)
{
	for (unsigned i = 0; i < CAST_SEATS; i++)
		seat_clear(&cast->seats[i]);
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		json_object_put(cast->broken[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cast->keepers); i++)
		json_object_put(cast->keepers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cast->still); i++)
		json_object_put(cast->still[i]);
	world_fini(&cast->world);
}
