// SPDX-License-Identifier: Apache-2.0
// read.c - a record out of its JSON: the other half of json.c. Fields that are not known are passed over.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/moment.h"
#include "agent/base/vec.h"
#include "agent/flow/json.h"

struct reader {
	const char *where; // "source.", "" at the top
	struct err *err;
};

// ---- fields --------------------------------------------------------------------------------------------------------

static int bad(const struct reader *reader, const char *field, const char *what)
{
	return err_set(reader->err, -EBADMSG, "no flow record: %s%s %s", reader->where, field, what);
}

static struct json_object *field_of(struct json_object *json, const char *field)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(json, field, &value);
	return value;
}

// NULL: not there, or no text.
static const char *text_of(struct json_object *json, const char *field)
{
	struct json_object *value = field_of(json, field);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static uint64_t number_of(struct json_object *json, const char *field)
{
	struct json_object *value = field_of(json, field);

	return json_object_is_type(value, json_type_int) ? json_object_get_uint64(value) : 0;
}

static const char *direction_name(enum bh_dir dir)
{
	return dir == BH_EGRESS ? "egress" : "ingress";
}

// A word of a list; fails where the field is missing or another word.
#define READ_WORD(noun, type, name, max)                                                                               \
	static int read_##noun(const struct reader *reader, struct json_object *json, const char *field, type *ret)    \
	{                                                                                                              \
		const char *text = text_of(json, field);                                                               \
                                                                                                                       \
		if (!text)                                                                                             \
			return bad(reader, field, "is missing");                                                       \
		for (int i = 0; i < (int)(max); i++) {                                                                 \
			if (!strcmp(text, name((type)i))) {                                                            \
				*ret = (type)i;                                                                        \
				return 0;                                                                              \
			}                                                                                              \
		}                                                                                                      \
		return bad(reader, field, "is a word that is not known");                                              \
	}

READ_WORD(type, enum flow_type, flow_type_name, FLOW_TYPE_MAX)
READ_WORD(verdict, enum flow_verdict, flow_verdict_name, FLOW_VERDICT_MAX)
READ_WORD(reason, enum bh_reason, flow_reason_name, BH_REASON_MAX)
READ_WORD(direction, enum bh_dir, direction_name, BH_DIR_MAX)
READ_WORD(over, enum flow_over, flow_over_name, FLOW_OVER_MAX)
READ_WORD(who, enum flow_who, flow_who_name, FLOW_WHO_MAX)
READ_WORD(kind, enum flow_policy_kind, flow_policy_kind_name, FLOW_POLICY_KIND_MAX)

static int read_time(const struct reader *reader, struct json_object *json, const char *field, int64_t *ret)
{
	const char *text = text_of(json, field);

	if (!text || moment_parse(text, ret) < 0)
		return bad(reader, field, text ? "is no time" : "is missing");
	return 0;
}

// ---- ends ----------------------------------------------------------------------------------------------------------

static int read_labels(struct json_object *json, struct flow_card *card, struct label **ret)
{
	struct json_object *labels = field_of(json, "labels");
	uint32_t n = 0;

	if (!json_object_is_type(labels, json_type_object))
		return 0;
	*ret = calloc((size_t)json_object_object_length(labels) + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	json_object_object_foreach(labels, key, value) {
		if (json_object_is_type(value, json_type_string))
			(*ret)[n++] = (struct label){ key, json_object_get_string(value) };
	}
	card->labels = *ret;
	card->nlabels = n;
	return 0;
}

static int read_card(const struct reader *reader, struct json_object *json, const struct flow_card **ret)
{
	_cleanup_free_ struct label *labels = NULL;
	struct flow_card card = { 0 };
	struct json_object *workload = field_of(json, "workload");
	int r = read_who(reader, json, "kind", &card.who);

	if (r < 0)
		return r;
	if (card.who == FLOW_POD) {
		card.ns = text_of(json, "namespace");
		card.name = text_of(json, "pod");
		card.uid = text_of(json, "uid");
		card.workload_kind = text_of(workload, "kind");
		card.workload_name = text_of(workload, "name");
		card.node = text_of(json, "node");
		card.labels_cut = (uint32_t)number_of(json, "labels_cut");
		r = read_labels(json, &card, &labels);
	} else if (card.who == FLOW_NODE) {
		card.name = text_of(json, "node");
	}
	if (r == 0)
		*ret = flow_card_new(&card);
	return r < 0 || !*ret ? err_set(reader->err, -ENOMEM, "out of memory") : 0;
}

static int read_end(const struct reader *reader, struct json_object *json, struct flow_end *ret)
{
	const char *address = text_of(json, "address");
	uint64_t port = number_of(json, "port");

	if (!address || addr_parse(address, &ret->addr) < 0)
		return bad(reader, "address", address ? "is no address" : "is missing");
	if (port > UINT16_MAX)
		return bad(reader, "port", "is not in 0..65535");
	ret->port = (uint16_t)port;
	return read_card(reader, json, &ret->card);
}

static int read_service(const struct reader *reader, struct json_object *json, const struct flow_card **ret)
{
	struct flow_card card = { .who = FLOW_SERVICE, .ns = text_of(json, "namespace"), .name = text_of(json, "name") };

	*ret = flow_card_new(&card);
	return *ret ? 0 : err_set(reader->err, -ENOMEM, "out of memory");
}

static int read_ends(struct json_object *json, struct flow_record *ret, struct err *reterr)
{
	struct json_object *dst = field_of(json, "destination"), *backend = field_of(dst, "backend");
	struct json_object *service = field_of(json, "service");
	int r = read_end(&(struct reader){ "source.", reterr }, field_of(json, "source"), &ret->src);

	if (r == 0)
		r = read_end(&(struct reader){ "destination.", reterr }, dst, &ret->dst);
	if (r == 0 && backend)
		r = read_end(&(struct reader){ "destination.backend.", reterr }, backend, &ret->backend);
	if (r == 0 && service)
		r = read_service(&(struct reader){ "service.", reterr }, service, &ret->service);
	return r;
}

// ---- what decided --------------------------------------------------------------------------------------------------

static int read_policy(const struct reader *reader, struct json_object *json, const struct flow_policy **ret)
{
	struct json_object *list = field_of(json, "policies");
	struct flow_policy policy = { .index = (uint32_t)number_of(json, "rule"), .rule_name = text_of(json, "rule_name"),
				      .tier = text_of(json, "tier") };
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	_cleanup_free_ const char **names = calloc(n + 1, sizeof(*names));
	int r = read_kind(reader, json, "kind", &policy.kind);

	if (r == 0)
		r = read_direction(reader, json, "direction", &policy.dir);
	if (r < 0)
		return r;
	for (size_t i = 0; names && i < n; i++) {
		names[i] = json_object_get_string(json_object_array_get_idx(list, i));
		if (!names[i])
			return bad(reader, "policies", "holds no text");
	}
	policy.policies = names;
	policy.npolicies = (uint32_t)n;
	*ret = names ? flow_policy_new(&policy) : NULL;
	return *ret ? 0 : err_set(reader->err, -ENOMEM, "out of memory");
}

static int read_policies(struct json_object *json, struct flow_record *ret, struct err *reterr)
{
	struct json_object *policy = field_of(json, "policy"), *audit = field_of(json, "audit");
	int r = policy ? read_policy(&(struct reader){ "policy.", reterr }, policy, &ret->policy) : 0;

	if (r == 0 && audit)
		r = read_policy(&(struct reader){ "audit.", reterr }, audit, &ret->audit);
	return r;
}

// ---- the record ----------------------------------------------------------------------------------------------------

static int read_words(const struct reader *reader, struct json_object *json, struct flow_record *ret)
{
	const char *protocol = text_of(json, "protocol");
	int r = read_type(reader, json, "type", &ret->type);

	if (r == 0)
		r = read_verdict(reader, json, "verdict", &ret->verdict);
	if (r == 0)
		r = read_reason(reader, json, "reason", &ret->reason);
	if (r == 0)
		r = read_direction(reader, json, "direction", &ret->dir);
	if (r == 0 && field_of(json, "over"))
		r = read_over(reader, json, "over", &ret->over);
	if (r == 0 && (!protocol || protocol_parse(protocol, &ret->proto) < 0))
		r = bad(reader, "protocol", protocol ? "is not known" : "is missing");
	return r;
}

static int read_times(const struct reader *reader, struct json_object *json, struct flow_record *ret)
{
	int r = read_time(reader, json, "time", &ret->time_ns);

	if (r == 0)
		r = read_time(reader, json, "first", &ret->first_ns);
	return r == 0 ? read_time(reader, json, "last", &ret->last_ns) : r;
}

static uint8_t read_flags(struct json_object *list)
{
	static const char *const names[] = { "SYN", "ACK", "FIN", "RST" };
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	uint8_t flags = 0;

	for (size_t i = 0; i < n * ARRAY_SIZE(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(list, i / ARRAY_SIZE(names)));

		if (name && !strcmp(name, names[i % ARRAY_SIZE(names)]))
			flags |= (uint8_t)(1 << i % ARRAY_SIZE(names));
	}
	return flags;
}

static void read_counts(struct json_object *json, struct flow_record *ret)
{
	static const char *const ways[] = { "forward", "reverse" };
	struct json_object *packets = field_of(json, "packets"), *bytes = field_of(json, "bytes");
	struct json_object *flags = field_of(json, "tcp_flags");
	const char *id = text_of(json, "id");

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		ret->packets[i] = number_of(packets, ways[i]);
		ret->bytes[i] = number_of(bytes, ways[i]);
		ret->tcp[i] = read_flags(field_of(flags, ways[i]));
	}
	ret->seq = number_of(json, "seq");
	ret->id = id ? strtoull(id, NULL, 16) : 0;
}

int flow_json_read(struct json_object *json, struct flow_record *ret, const char **retnode, struct err *reterr)
{
	const struct reader top = { "", reterr };
	struct flow_record record = { 0 };
	const char *node = text_of(json, "node");
	int r = 0;

	if (number_of(json, "version") != FLOW_SCHEMA_VERSION)
		return bad(&top, "version", field_of(json, "version") ? "is not 1" : "is missing");
	if (!node)
		return bad(&top, "node", "is missing");
	read_counts(json, &record);
	r = read_words(&top, json, &record);
	if (r == 0)
		r = read_times(&top, json, &record);
	if (r == 0)
		r = read_ends(json, &record, reterr);
	if (r == 0)
		r = read_policies(json, &record, reterr);
	if (r < 0) {
		flow_record_fini(&record);
		return r;
	}
	*ret = record;
	*retnode = node;
	return 0;
}
