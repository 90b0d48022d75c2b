// SPDX-License-Identifier: Apache-2.0
// svcbudget.c - how many keys and classes Services may use, and which are refused.
//
// A Service over its share, or its namespace's, is refused: of its backends nothing is told but that they are denied.
// Where another Service has the same key, that makes it mixed, so each flow is judged on where it really goes.
// Keys of refused Services are in the table as well, up to twice the limit; beyond, the address is judged as such.
#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/policy/room.h"

struct svcshare {
	const char *ns; // interned
	uint32_t keys; // of Services that are not refused
	uint64_t backends;
	uint32_t classes; // scratch of one count
};

static bool is_share(const void *item, const void *key)
{
	return ((const struct svcshare *)item)->ns == key;
}

static struct svcshare *share_of(struct services *services, const char *ns)
{
	struct svcshare *share = hash_find(&services->shares, hash_pointer(ns), is_share, ns);

	if (share)
		return share;
	share = must_new(sizeof(*share));
	share->ns = intern_get(ns);
	must_ok(hash_add(&services->shares, hash_pointer(ns), share));
	return share;
}

static void share_tidy(struct services *services, struct svcshare *share)
{
	if (share->keys || share->backends)
		return;
	hash_remove(&services->shares, hash_pointer(share->ns), share);
	intern_put(share->ns);
	free(share);
}

void svcbudget_fini(struct services *services)
{
	struct svcshare *share;
	size_t at = 0;

	while ((share = hash_next(&services->shares, &at))) {
		intern_put(share->ns);
		free(share);
	}
	hash_fini(&services->shares);
}

static uint32_t count_keys(const struct svcent *service)
{
	size_t n = 0;

	for (size_t i = 0; i < service->fronts.n; i++)
		n += service->fronts.v[i]->keys.n;
	return (uint32_t)n;
}

static bool exceeds(uint64_t keys, uint32_t limit, uint32_t percent)
{
	return keys * 100 > (uint64_t)limit * percent;
}

static const char *find_excess(struct policy *policy, const struct svcent *service, uint32_t keys)
{
	const struct policy_limits *limits = &policy->limits;
	uint64_t ns = share_of(&policy->services, service->ns)->keys;

	if (exceeds(keys, limits->services, limits->object_share))
		return "one Service's share of the table allows";
	if (exceeds(ns + keys, limits->services, limits->namespace_share))
		return "its namespace's share of the table allows";
	return exceeds((uint64_t)policy->services.admitted + keys, limits->services, 100) ?
		       "the table has room for" :
		       NULL;
}

static void admit(struct policy *policy, struct svcent *service, uint32_t keys)
{
	service->refused = NULL;
	service->admitted = keys;
	share_of(&policy->services, service->ns)->keys += keys;
	policy->services.admitted += keys;
}

void svcbudget_admit(struct policy *policy, struct svcent *service)
{
	uint32_t keys = count_keys(service);
	const char *excess = find_excess(policy, service, keys);

	if (excess)
		service->refused = excess;
	else
		admit(policy, service, keys);
}

void svcbudget_leave(struct policy *policy, struct svcent *service)
{
	struct svcshare *share = share_of(&policy->services, service->ns);

	share->keys -= service->admitted;
	share_tidy(&policy->services, share);
	policy->services.admitted -= service->admitted;
	policy->services.room_came |= service->admitted || service->refused;
	service->admitted = 0;
	service->refused = NULL;
}

static void touch_all(struct services *services, const struct svcent *service)
{
	for (size_t i = 0; i < service->fronts.n; i++)
		for (size_t k = 0; k < service->fronts.v[i]->keys.n; k++)
			svckey_touch(services, service->fronts.v[i]->keys.v[k]);
}

void svcbudget_retry(struct policy *policy)
{
	struct services *services = &policy->services;
	struct svcent *service;
	size_t at = 0;

	if (!services->room_came)
		return;
	services->room_came = false;
	while ((service = hash_next(&services->by_name, &at))) {
		uint32_t keys = service->refused ? count_keys(service) : 0;

		if (service->overgrown)
			service_touch(services, service);
		if (!service->refused || find_excess(policy, service, keys))
			continue;
		admit(policy, service, keys);
		touch_all(services, service);
	}
}

// ---- places, backends ---------------------------------------------------------------------------------------

bool svcbudget_has_place(const struct policy *policy)
{
	return policy->services.linked < 2ull * policy->limits.services;
}

// An address costs about what one of a policy's does, so there may be as many.
bool svcbudget_allows(struct policy *policy, const struct front *front, size_t backends)
{
	const struct policy_limits *limits = &policy->limits;
	struct services *services = &policy->services;
	uint64_t more = backends, all = services->backends - front->counted, ns = 0;

	if (!more)
		return true;
	ns = share_of(services, front->service->ns)->backends - front->counted;
	share_tidy(services, share_of(services, front->service->ns));
	return !exceeds(ns + more, limits->peers, limits->namespace_share) &&
	       !exceeds(all + more, limits->peers, 100);
}

void svcbudget_count(struct policy *policy, struct front *front, size_t backends)
{
	struct services *services = &policy->services;
	struct svcshare *share;

	if (!front->service || front->counted == backends)
		return;
	share = share_of(services, front->service->ns);
	services->room_came |= backends < front->counted;
	services->backends += backends - front->counted;
	share->backends += backends - front->counted;
	front->counted = (uint32_t)backends;
	share_tidy(services, share);
}

// ---- classes ------------------------------------------------------------------------------------------------

static uint32_t count_classes(const struct svcent *service)
{
	uint32_t n = 0;

	for (size_t i = 0; i < service->fronts.n; i++)
		for (size_t k = 0; k < service->fronts.v[i]->keys.n; k++) {
			const struct loc *loc = &service->fronts.v[i]->keys.v[k]->loc;

			n += loc->live && loc->want && !cls_is_empty_service(loc->want);
		}
	return n;
}

static struct svcshare *largest(struct services *services)
{
	struct svcshare *share, *most = NULL;
	struct svcent *service;
	size_t at = 0;

	while ((share = hash_next(&services->shares, &at)))
		share->classes = 0;
	for (at = 0; (service = hash_next(&services->by_name, &at));)
		if (!service->refused)
			share_of(services, service->ns)->classes += count_classes(service);
	for (at = 0; (share = hash_next(&services->shares, &at));)
		if (!most || share->classes > most->classes)
			most = share;
	return most && most->classes ? most : NULL;
}

bool svcbudget_shed(struct policy *policy, uint32_t excess)
{
	struct services *services = &policy->services;
	struct svcshare *share = largest(services);
	const char *ns = share ? share->ns : NULL; // the share goes with its last Service
	struct svcent *service;
	uint32_t paid = 0;
	size_t at = 0;

	while (ns && paid < excess && (service = hash_next(&services->by_name, &at))) {
		uint32_t classes = count_classes(service);

		if (service->ns != ns || service->refused || !classes)
			continue;
		svcbudget_leave(policy, service);
		service->refused = "there are peer classes for";
		paid += classes;
		touch_all(services, service);
	}
	services->room_came = false;
	return paid > 0;
}
