// SPDX-License-Identifier: Apache-2.0
// lint_block.c - blocks of addresses that mean something else than they seem to.
#include <string.h>

#include "agent/review/lint_private.h"

static bool is4(const struct bh_cidr *cidr)
{
	return cidr->prefixlen >= BH_V4_PREFIX && bh_addr_is4(&cidr->addr);
}

static bool is_whole_family(const struct bh_cidr *cidr)
{
	return cidr->prefixlen == (is4(cidr) ? BH_V4_PREFIX : 0);
}

static void covers_pods(struct lint *lint, const struct subject *subject, const struct peer *peer,
			const char *field)
{
	char block[64];

	if (!crowd_has_address(&lint->crowd, peer))
		return;
	lint_add(lint, subject, LINT_BLOCK_OF_PODS,
		 is_whole_family(&peer->cidr) ? SEVERITY_INFO : SEVERITY_WARNING, field,
		 "%s holds addresses of the cluster's pods, whatever their labels",
		 cidr_format(&peer->cidr, block, sizeof(block)));
}

static bool dual_stack(const struct subject *subject)
{
	vec_each(struct group *const, group, &subject->selected)
		if ((*group)->families[0] && (*group)->families[1])
			return true;
	return false;
}

// Blocks of one family alone, where another rule does not open the direction to everybody.
static void families(struct lint *lint, const struct subject *subject, enum bh_dir dir)
{
	const struct rules *rules = &subject->rules[dir];
	bool seen[2] = { false, false };

	for (uint32_t i = 0; i < rules->n; i++) {
		if (rules->v[i].any_peer)
			return;
		for (uint32_t k = 0; k < rules->v[i].npeers; k++)
			if (rules->v[i].peers[k].kind == PEER_CIDR)
				seen[!is4(&rules->v[i].peers[k].cidr)] = true;
	}
	if (seen[0] == seen[1] || !dual_stack(subject))
		return;
	lint_add(lint, subject, LINT_ONE_FAMILY, SEVERITY_INFO,
		 dir == BH_INGRESS ? "spec.ingress" : "spec.egress",
		 "has blocks of %s alone, and selected pods have addresses of both families",
		 seen[0] ? "IPv4" : "IPv6");
}

static struct json_object *item(struct json_object *list, size_t i)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_get_idx(list, i) : NULL;
}

static struct json_object *field_of(struct json_object *json, const char *name)
{
	return json_object_is_type(json, json_type_object) ? json_object_object_get(json, name) : NULL;
}

// As it was written: what is kept has no host bits.
static const char *block_text(const struct lint *lint, const struct subject *subject, enum bh_dir dir,
			      uint32_t rule, uint32_t peer)
{
	const struct object *object = subject->object;
	const struct review_place *place =
		review_place(lint->review, object_kind(object->kind)->name, object->ns, object->name);
	struct json_object *json = place ? field_of(place->json, "spec") : NULL;

	json = item(field_of(json, dir == BH_INGRESS ? "ingress" : "egress"), rule);
	json = item(field_of(json, dir == BH_INGRESS ? "from" : "to"), peer);
	json = field_of(field_of(json, "ipBlock"), "cidr");
	return json ? json_object_get_string(json) : NULL;
}

static void host_bits(struct lint *lint, const struct subject *subject, const struct peer *peer,
		      const char *text, const char *field)
{
	char head[64], block[64];
	struct bh_addr addr;

	if (!text)
		return;
	snprintf(head, sizeof(head), "%.*s", (int)strcspn(text, "/"), text);
	if (addr_parse(head, &addr) < 0 || bh_addr_equal(&addr, &peer->cidr.addr))
		return;
	lint_add(lint, subject, LINT_HOST_BITS, SEVERITY_WARNING, field, "%s means all of %s", text,
		 cidr_format(&peer->cidr, block, sizeof(block)));
}

void lint_blocks(struct lint *lint, const struct subject *subject)
{
	char field[LINT_FIELD_BYTES];

	for (int d = 0; d < BH_DIR_MAX; d++) {
		enum bh_dir dir = (enum bh_dir)d;

		families(lint, subject, dir);
		for (uint32_t i = 0; i < subject->rules[dir].n; i++) {
			const struct rule *rule = &subject->rules[dir].v[i];

			for (uint32_t k = 0; k < rule->npeers; k++) {
				if (rule->peers[k].kind != PEER_CIDR)
					continue;
				lint_peer_field(field, subject, dir, i, k);
				covers_pods(lint, subject, &rule->peers[k], field);
				host_bits(lint, subject, &rule->peers[k],
					  block_text(lint, subject, dir, i, k), field);
			}
		}
	}
}
