// SPDX-License-Identifier: Apache-2.0
// name.c - what suggested policies are called: "suggested-deployment-web", and each by a name of its own.
#include <ctype.h>
#include <string.h>

#include "agent/object/names.h"
#include "agent/suggest/suggest_private.h"

#define NAME_LEN 253 // as long as the API allows
#define TAIL_LEN 17 // of a name that had to be changed: a number by its workload

// FNV-1a: the same in every run, as hash.h's are not.
static uint64_t number_of(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	return hash * 0x100000001b3; // an end
}

// Names that had to be cut or written otherwise could be another's.
static char *numbered(const struct group *group, char *text)
{
	uint64_t number = number_of(number_of(0xcbf29ce484222325, group->kind ?: ""), group->name);
	char *name = NULL;

	for (char *c = text; *c; c++)
		*c = (char)(isalnum((unsigned char)*c) ? *c : '-');
	if (asprintf(&name, "%.*s-%016llx", NAME_LEN - TAIL_LEN, text, (unsigned long long)number) < 0)
		name = NULL;
	free(text);
	return name;
}

static bool is_named(const void *item, const void *key)
{
	const struct group *a = item, *b = key;

	return !strcmp(a->policy, b->policy) && !strcmp(a->ns, b->ns);
}

static int name_group(struct hash *names, struct group *group)
{
	uint64_t hash;
	bool whole;

	if (asprintf(&group->policy, "suggested-%s-%s", group->kind ?: "workload", group->name) < 0) {
		group->policy = NULL;
		return -ENOMEM;
	}
	for (char *c = group->policy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	whole = !name_check_subdomain(group->policy);
	hash = hash_mix(hash_string(group->ns), hash_string(group->policy));
	if (!whole || hash_find(names, hash, is_named, group)) {
		group->policy = numbered(group, group->policy);
		if (!group->policy)
			return -ENOMEM;
		hash = hash_mix(hash_string(group->ns), hash_string(group->policy));
	}
	return hash_add(names, hash, group);
}

int suggest_names(struct suggest *suggest)
{
	struct hash names = { 0 };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < suggest->groups.n; i++)
		if (group_has_policy(suggest, suggest->groups.v[i]))
			r = name_group(&names, suggest->groups.v[i]);
	hash_fini(&names);
	return r < 0 ? r : 0;
}
