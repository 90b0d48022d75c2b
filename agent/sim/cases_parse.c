// SPDX-License-Identifier: Apache-2.0
// cases_parse.c - one line of a file of cases: its JSON, checked.
#include "agent/sim/cases.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/sim/cases_private.h"

#define CASE_DEPTH 64 // of JSON

// ---- reading fields -------------------------------------------------------------------------

int case_field(struct json_object *json, const char *field, enum json_type type, bool required,
	       struct json_object **ret, struct err *reterr)
{
	*ret = NULL;
	json_object_object_get_ex(json, field, ret);
	if (!*ret && !required)
		return 0;
	if (!*ret)
		return err_set(reterr, -EBADMSG, "%s is missing", field);
	if (!json_object_is_type(*ret, type))
		return err_set(reterr, -EBADMSG, "%s is no %s", field, json_type_to_name(type));
	return 0;
}

int case_text(struct json_object *json, const char *field, bool required, const char **ret,
	      struct err *reterr)
{
	struct json_object *value;
	int r = case_field(json, field, json_type_string, required, &value, reterr);

	if (r < 0)
		return r;
	*ret = value ? json_object_get_string(value) : NULL;
	return 0;
}

int case_number(struct json_object *json, const char *field, uint64_t max, uint64_t *ret,
		struct err *reterr)
{
	struct json_object *value;
	int64_t number;
	int r = case_field(json, field, json_type_int, true, &value, reterr);

	if (r < 0)
		return r;
	number = json_object_get_int64(value);
	if (number < 1 || (uint64_t)number > max)
		return err_set(reterr, -EBADMSG, "%s: %lld is not in 1..%llu", field,
			       (long long)number, (unsigned long long)max);
	*ret = (uint64_t)number;
	return 0;
}

int case_port_get(struct json_object *json, uint16_t *retport, uint8_t *retproto,
		  struct err *reterr)
{
	const char *protocol = NULL;
	uint64_t port;
	int r;

	r = case_number(json, "port", 65535, &port, reterr);
	if (r == 0)
		r = case_text(json, "protocol", true, &protocol, reterr);
	if (r < 0)
		return r;
	if (protocol_parse(protocol, retproto) < 0)
		return err_set(reterr, -EBADMSG, "protocol: '%s' is unknown", protocol);
	*retport = (uint16_t)port;
	return 0;
}

// ---- what is expected -----------------------------------------------------------------------

static int parse_verdict(struct json_object *item, bool *ret, struct err *reterr)
{
	const char *verdict;
	int r = case_text(item, "verdict", true, &verdict, reterr);

	if (r < 0)
		return r;
	if (strcmp(verdict, "allow") && strcmp(verdict, "deny"))
		return err_set(reterr, -EBADMSG, "verdict: '%s' is neither allow nor deny",
			       verdict);
	*ret = verdict[0] == 'a';
	return 0;
}

// An end must be a pod or a node of the state, or an address.
static int check_end(const struct sim_case *c, const char *field, const char *end, bool external,
		     struct err *reterr)
{
	struct bh_addr addr;

	if (case_pod_find(c, end))
		return 0;
	if (external && (case_node_find(c, end) ||
			 (!strncmp(end, "ip:", 3) && addr_parse(end + 3, &addr) == 0)))
		return 0;
	return err_set(reterr, -EBADMSG, "%s: '%s' is not in the case", field, end);
}

static int parse_expect(const struct sim_case *c, struct json_object *item,
			struct case_expect *expect, struct err *reterr)
{
	struct json_object *loopback;
	int r;

	r = case_text(item, "from", true, &expect->from, reterr);
	if (r == 0)
		r = case_text(item, "to", true, &expect->to, reterr);
	if (r == 0)
		r = case_port_get(item, &expect->port, &expect->protocol, reterr);
	if (r == 0)
		r = parse_verdict(item, &expect->allow, reterr);
	if (r == 0)
		r = case_field(item, "loopback", json_type_boolean, false, &loopback, reterr);
	if (r == 0)
		r = check_end(c, "from", expect->from, expect->external, reterr);
	if (r == 0)
		r = check_end(c, "to", expect->to, expect->external, reterr);
	if (r < 0)
		return r;
	expect->loopback =
		loopback ? json_object_get_boolean(loopback) : !strcmp(expect->from, expect->to);
	return 0;
}

static int parse_expects(struct sim_case *c, struct json_object *array, const char *field,
			 struct err *reterr)
{
	size_t n = array ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		struct case_expect *expect = &c->expects[c->nexpects];
		struct json_object *item = json_object_array_get_idx(array, i);
		int r;

		expect->external = !strcmp(field, "expectExternal");
		r = json_object_is_type(item, json_type_object) ?
			    parse_expect(c, item, expect, reterr) :
			    err_set(reterr, -EBADMSG, "is no object");
		if (r < 0) {
			err_wrap(reterr, "%s[%zu]", field, i);
			return r;
		}
		c->nexpects++;
	}
	return 0;
}

static int parse_all_expects(struct sim_case *c, struct err *reterr)
{
	struct json_object *own, *external;
	size_t n;
	int r;

	r = case_field(c->json, "expect", json_type_array, true, &own, reterr);
	if (r == 0)
		r = case_field(c->json, "expectExternal", json_type_array, false, &external,
			       reterr);
	if (r < 0)
		return r;
	n = json_object_array_length(own) + (external ? json_object_array_length(external) : 0);
	c->expects = calloc(n + 1, sizeof(*c->expects));
	if (!c->expects)
		return err_set(reterr, -ENOMEM, "out of memory");
	r = parse_expects(c, own, "expect", reterr);
	return r < 0 ? r : parse_expects(c, external, "expectExternal", reterr);
}

// ---- the case -------------------------------------------------------------------------------

static int parse_families(struct sim_case *c, struct err *reterr)
{
	struct json_object *array;
	int r = case_field(c->json, "families", json_type_array, true, &array, reterr);

	for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++) {
		const char *family = json_object_get_string(json_object_array_get_idx(array, i));

		if (family && !strcmp(family, "IPv4"))
			c->families |= CASE_IPV4;
		else if (family && !strcmp(family, "IPv6"))
			c->families |= CASE_IPV6;
		else
			r = err_set(reterr, -EBADMSG, "families: '%s' is neither IPv4 nor IPv6",
				    family ? family : "null");
	}
	if (r == 0 && !c->families)
		r = err_set(reterr, -EBADMSG, "families is empty");
	return r;
}

static int parse_tags(struct sim_case *c, struct err *reterr)
{
	struct json_object *array;
	int r = case_field(c->json, "tags", json_type_array, false, &array, reterr);

	for (size_t i = 0; array && i < json_object_array_length(array); i++) {
		const char *tag = json_object_get_string(json_object_array_get_idx(array, i));

		if (tag && !strcmp(tag, "noncanonical"))
			c->noncanonical = true;
	}
	return r;
}

static int parse_sequence(struct sim_case *c, struct err *reterr)
{
	struct json_object *sequence;
	uint64_t step = 0, of = 0;
	int r = case_field(c->json, "sequence", json_type_object, false, &sequence, reterr);

	if (r < 0 || !sequence)
		return r;
	r = case_text(sequence, "id", true, &c->sequence, reterr);
	if (r == 0)
		r = case_number(sequence, "step", UINT16_MAX, &step, reterr);
	if (r == 0)
		r = case_number(sequence, "of", UINT16_MAX, &of, reterr);
	if (r == 0 && step > of)
		r = err_set(reterr, -EBADMSG, "step %u is beyond of %u", (unsigned)step,
			    (unsigned)of);
	c->step = (unsigned)step;
	c->of = (unsigned)of;
	if (r < 0)
		err_wrap(reterr, "sequence");
	return r;
}

static int parse_case(struct sim_case *c, struct err *reterr)
{
	int r;

	r = case_text(c->json, "name", true, &c->name, reterr);
	if (r == 0)
		r = parse_families(c, reterr);
	if (r == 0)
		r = parse_tags(c, reterr);
	if (r == 0)
		r = parse_sequence(c, reterr);
	if (r == 0)
		r = case_parse_state(c, reterr);
	return r < 0 ? r : parse_all_expects(c, reterr);
}

static int read_json(const char *text, size_t len, struct json_object **ret, struct err *reterr)
{
	struct json_tokener *tokener = json_tokener_new_ex(CASE_DEPTH);
	enum json_tokener_error error;

	if (!tokener)
		return err_set(reterr, -ENOMEM, "out of memory");
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	*ret = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (error != json_tokener_success)
		return err_set(reterr, -EBADMSG, "no JSON: %s", json_tokener_error_desc(error));
	if (!json_object_is_type(*ret, json_type_object))
		return err_set(reterr, -EBADMSG, "no JSON object");
	return 0;
}

int case_parse(const char *text, size_t len, struct sim_case **ret, struct err *reterr)
{
	_cleanup_(case_freep) struct sim_case *c = calloc(1, sizeof(*c));
	int r;

	assert(text);
	assert(ret);

	if (!c)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (len > CASE_LINE_BYTES)
		return err_set(reterr, -EBADMSG, "longer than %u bytes", CASE_LINE_BYTES);
	r = read_json(text, len, &c->json, reterr);
	if (r < 0)
		return r;
	r = parse_case(c, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

void case_free(struct sim_case *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->npods; i++)
		free(c->pods[i].ports);
	for (size_t i = 0; i < c->nobjects; i++)
		json_object_put(c->objects[i].json);
	free(c->pods);
	free(c->nodes);
	free(c->expects);
	free(c->objects);
	json_object_put(c->json);
	free(c);
}
