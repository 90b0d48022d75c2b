// SPDX-License-Identifier: Apache-2.0
// filter.c - terms over the fields of a record.
#include "agent/flow/filter.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "agent/base/moment.h"
#include "agent/base/vec.h"

#define PORT_MAX 65535

// A text, or with a * behind it all that begin so.
struct pattern {
	const char *text; // NULL: anything, also nothing
	size_t len;
	bool prefix;
};

struct value {
	struct pattern head, tail; // "head/tail"; of "tail" the head is anything
	int64_t lo, hi; // number, range, time
	struct bh_cidr cidr;
};

struct field {
	const char *name;
	const char *what; // '...' is not <what>
	int (*parse)(char *text, int64_t now_ns, struct value *ret);
	bool (*record)(const struct flow_record *record, const struct value *value);
	bool (*end)(const struct flow_end *end, const struct value *value); // of ends: from-NAME and to-NAME, too
};

enum side { SIDE_ANY, SIDE_FROM, SIDE_TO };

struct term {
	const struct field *field;
	enum side side;
	bool not;
	uint32_t first, n; // its values
};

struct flow_filter {
	char *text; // what patterns point into
	VEC(struct term) terms;
	VEC(struct value) values;
};

// ---- values ----------------------------------------------------------------------------------------------------------

static struct pattern pattern_of(char *text)
{
	size_t len = strlen(text);
	bool prefix = len && text[len - 1] == '*';

	return (struct pattern){ text, len - prefix, prefix };
}

static bool pattern_match(const struct pattern *pattern, const char *text)
{
	if (!pattern->text)
		return true;
	return text && !strncmp(text, pattern->text, pattern->len) && (pattern->prefix || !text[pattern->len]);
}

static int parse_pair(char *text, char between, struct value *ret)
{
	char *middle = strchr(text, between);

	if (middle) {
		*middle++ = 0;
		if (!*text || !*middle)
			return -EINVAL;
		ret->head = pattern_of(text);
	}
	ret->tail = pattern_of(middle ? middle : text);
	return 0;
}

static int parse_name(char *text, int64_t now_ns, struct value *ret)
{
	return parse_pair(text, '/', ret);
}

static int parse_word(char *text, int64_t now_ns, struct value *ret)
{
	ret->tail = pattern_of(text);
	return 0;
}

// "key" alone: whatever its value.
static int parse_label(char *text, int64_t now_ns, struct value *ret)
{
	char *colon = strchr(text, ':');

	if (colon)
		*colon++ = 0;
	ret->head = pattern_of(text);
	if (colon)
		ret->tail = pattern_of(colon);
	return *text ? 0 : -EINVAL;
}

static int parse_cidr(char *text, int64_t now_ns, struct value *ret)
{
	return cidr_parse(text, &ret->cidr);
}

static int parse_address(char *text, int64_t now_ns, struct value *ret)
{
	ret->cidr.prefixlen = 128;
	return addr_parse(text, &ret->cidr.addr);
}

static int parse_port_number(const char *text, int64_t *ret)
{
	int64_t port = 0;

	for (; isdigit((unsigned char)*text) && port <= PORT_MAX; text++)
		port = port * 10 + (*text - '0');
	if (*text || !port || port > PORT_MAX)
		return -EINVAL;
	*ret = port;
	return 0;
}

static int parse_port(char *text, int64_t now_ns, struct value *ret)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash++ = 0;
	if (parse_port_number(text, &ret->lo) < 0 || parse_port_number(dash ? dash : text, &ret->hi) < 0)
		return -EINVAL;
	return ret->lo <= ret->hi ? 0 : -EINVAL;
}

static int parse_protocol(char *text, int64_t now_ns, struct value *ret)
{
	uint8_t number;

	if (protocol_parse(text, &number) < 0)
		return -EINVAL;
	ret->lo = number;
	return 0;
}

static int parse_time(char *text, int64_t now_ns, struct value *ret)
{
	return moment_parse_ago(text, now_ns, &ret->lo);
}

// A parser of words that stand for numbers: those of name(0) to name(max - 1).
#define PARSE_CHOICE(noun, type, name, max)                                                                            \
	static int parse_##noun(char *text, int64_t now_ns, struct value *ret)                                         \
	{                                                                                                              \
		for (ret->lo = 0; ret->lo < (max); ret->lo++)                                                          \
			if (!strcmp(text, name((type)ret->lo)) && strcmp(text, "unknown"))                             \
				return 0;                                                                              \
		return -EINVAL;                                                                                        \
	}

static const char *direction_name(enum bh_dir dir)
{
	return dir == BH_EGRESS ? "egress" : "ingress";
}

PARSE_CHOICE(type, enum flow_type, flow_type_name, FLOW_TYPE_MAX)
PARSE_CHOICE(verdict, enum flow_verdict, flow_verdict_name, FLOW_VERDICT_MAX)
PARSE_CHOICE(reason, enum bh_reason, flow_reason_name, BH_REASON_MAX)
PARSE_CHOICE(direction, enum bh_dir, direction_name, BH_DIR_MAX)
PARSE_CHOICE(over, enum flow_over, flow_over_name, FLOW_OVER_MAX)
PARSE_CHOICE(kind, enum flow_who, flow_who_name, FLOW_WHO_MAX)

// ---- fields of a record -------------------------------------------------------------------------------------------------

static bool match_type(const struct flow_record *record, const struct value *value)
{
	return record->type == value->lo;
}

static bool match_verdict(const struct flow_record *record, const struct value *value)
{
	return record->verdict == value->lo;
}

static bool match_reason(const struct flow_record *record, const struct value *value)
{
	return record->reason == value->lo;
}

static bool match_direction(const struct flow_record *record, const struct value *value)
{
	return record->dir == value->lo;
}

static bool match_protocol(const struct flow_record *record, const struct value *value)
{
	return record->proto == value->lo;
}

static bool match_over(const struct flow_record *record, const struct value *value)
{
	return record->type == FLOW_END && record->over == value->lo;
}

static bool match_since(const struct flow_record *record, const struct value *value)
{
	return record->time_ns >= value->lo;
}

static bool match_until(const struct flow_record *record, const struct value *value)
{
	return record->time_ns <= value->lo;
}

// The text is "head/tail"; "tail" alone has no head.
static bool match_path(const struct value *value, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;
	const struct pattern *head = &value->head;

	if (head->text && (len < head->len || strncmp(text, head->text, head->len) || (len > head->len && !head->prefix)))
		return false;
	return (slash || !head->text) && pattern_match(&value->tail, slash ? slash + 1 : text);
}

static bool names_policy(const struct flow_policy *policy, const struct value *value)
{
	for (uint32_t i = 0; policy && i < policy->npolicies; i++)
		if (match_path(value, policy->policies[i]))
			return true;
	return false;
}

static bool match_policy(const struct flow_record *record, const struct value *value)
{
	return names_policy(record->policy, value) || names_policy(record->audit, value);
}

// ---- fields of an end ---------------------------------------------------------------------------------------------------

static bool is_named(const struct flow_card *card, enum flow_who who, const struct value *value)
{
	return card->who == who && pattern_match(&value->head, card->ns) && pattern_match(&value->tail, card->name);
}

static bool match_pod(const struct flow_end *end, const struct value *value)
{
	return is_named(end->card, FLOW_POD, value);
}

static bool match_service(const struct flow_end *end, const struct value *value)
{
	return is_named(end->card, FLOW_SERVICE, value);
}

static bool match_namespace(const struct flow_end *end, const struct value *value)
{
	return end->card->ns && pattern_match(&value->tail, end->card->ns);
}

static bool match_workload(const struct flow_end *end, const struct value *value)
{
	const struct flow_card *card = end->card;

	return card->workload_name && pattern_match(&value->head, card->workload_kind) &&
	       pattern_match(&value->tail, card->workload_name);
}

static bool match_label(const struct flow_end *end, const struct value *value)
{
	const struct flow_card *card = end->card;

	for (uint32_t i = 0; i < card->nlabels; i++)
		if (pattern_match(&value->head, card->labels[i].key) &&
		    pattern_match(&value->tail, card->labels[i].value))
			return true;
	return false;
}

static bool match_node(const struct flow_end *end, const struct value *value)
{
	const char *node = end->card->who == FLOW_NODE ? end->card->name : end->card->node;

	return node && pattern_match(&value->tail, node);
}

static bool match_kind(const struct flow_end *end, const struct value *value)
{
	return end->card->who == value->lo;
}

static bool match_cidr(const struct flow_end *end, const struct value *value)
{
	return cidr_contains(&value->cidr, &end->addr);
}

static bool match_port(const struct flow_end *end, const struct value *value)
{
	return end->port >= value->lo && end->port <= value->hi;
}

// ---- terms --------------------------------------------------------------------------------------------------------------

#define A_NAME "a name or NAMESPACE/NAME"
#define A_TIME "a time (2026-01-31T12:00:00Z) or a duration (30s, 5m, 2h, 7d)"

static const struct field fields[] = {
	{ "verdict", "allowed, denied or audit", parse_verdict, .record = match_verdict },
	{ "type", "start, update, end or deny", parse_type, .record = match_type },
	{ "reason", "the name of a reason", parse_reason, .record = match_reason },
	{ "direction", "ingress or egress", parse_direction, .record = match_direction },
	{ "protocol", "TCP, UDP, SCTP, ICMP, ICMPv6 or a number up to 255", parse_protocol, .record = match_protocol },
	{ "over", "closed, reset, idle, cut, replaced, evicted, pod-gone or forgotten", parse_over, .record = match_over },
	{ "policy", A_NAME, parse_name, .record = match_policy },
	{ "since", A_TIME, parse_time, .record = match_since },
	{ "until", A_TIME, parse_time, .record = match_until },
	{ "pod", A_NAME, parse_name, .end = match_pod },
	{ "namespace", "a name", parse_word, .end = match_namespace },
	{ "workload", "a name or KIND/NAME", parse_name, .end = match_workload },
	{ "label", "KEY or KEY:VALUE", parse_label, .end = match_label },
	{ "node", "a name", parse_word, .end = match_node },
	{ "service", A_NAME, parse_name, .end = match_service },
	{ "kind", "pod, node, service or world", parse_kind, .end = match_kind },
	{ "address", "an IPv4 or IPv6 address", parse_address, .end = match_cidr },
	{ "cidr", "a prefix as 10.0.0.0/8 or 2001:db8::/32", parse_cidr, .end = match_cidr },
	{ "port", "a port or a range of ports, 1 to 65535", parse_port, .end = match_port },
};

const char *flow_filter_fields(void)
{
	return "verdict, type, reason, direction, protocol, over, policy, since, until, and of either end (from-X: of the "
	       "source, to-X: of the destination) pod, namespace, workload, label, node, service, kind, address, cidr, port";
}

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static const struct field *find_field(const char *name, enum side *retside)
{
	enum side side = starts(name, "from-") ? SIDE_FROM : starts(name, "to-") ? SIDE_TO : SIDE_ANY;

	name += side == SIDE_FROM ? strlen("from-") : side == SIDE_TO ? strlen("to-") : 0;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strcmp(fields[i].name, name) || (side && !fields[i].end))
			continue;
		*retside = side;
		return &fields[i];
	}
	return NULL;
}

static int parse_values(struct flow_filter *filter, struct term *term, const char *name, char *text, int64_t now_ns,
			struct err *reterr)
{
	char *part, said[FLOW_FILTER_SAID_BYTES];

	term->first = (uint32_t)filter->values.n;
	while ((part = strsep(&text, ","))) {
		struct value value = { 0 };

		snprintf(said, sizeof(said), "%s", part);
		if (!*part || term->field->parse(part, now_ns, &value) < 0)
			return err_set(reterr, -EINVAL, "filter: %s: '%s' is not %s", name, said, term->field->what);
		if (vec_push(&filter->values, value) < 0)
			return err_set(reterr, -ENOMEM, "filter: no memory");
		term->n++;
	}
	return 0;
}

static int parse_term(struct flow_filter *filter, char *text, int64_t now_ns, struct err *reterr)
{
	struct term term = { .not = *text == '!' };
	char *name = text + term.not, *values = strchr(name, '=');
	int r;

	if (!values)
		return err_set(reterr, -EINVAL, "filter: '%.*s' is no term: it has to be [!]FIELD=VALUE[,VALUE...]",
			       FLOW_FILTER_SAID_BYTES, text);
	*values++ = 0;
	term.field = find_field(name, &term.side);
	if (!term.field)
		return err_set(reterr, -EINVAL, "filter: there is no field '%.*s'; fields are %s", FLOW_FILTER_SAID_BYTES, name,
			       flow_filter_fields());
	r = parse_values(filter, &term, name, values, now_ns, reterr);
	if (r < 0)
		return r;
	return vec_push(&filter->terms, term) < 0 ? err_set(reterr, -ENOMEM, "filter: no memory") : 0;
}

int flow_filter_parse(const char *text, int64_t now_ns, struct flow_filter **ret, struct err *reterr)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = calloc(1, sizeof(*filter));
	char *rest, *term;
	int r;

	if (text && strlen(text) >= FLOW_FILTER_BYTES)
		return err_set(reterr, -EINVAL, "filter: longer than %d bytes", FLOW_FILTER_BYTES - 1);
	if (filter)
		filter->text = rest = strdup(text ? text : "");
	if (!filter || !filter->text)
		return err_set(reterr, -ENOMEM, "filter: no memory");
	while ((term = strsep(&rest, " \t\n"))) {
		r = *term ? parse_term(filter, term, now_ns, reterr) : 0;
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(filter);
	return 0;
}

void flow_filter_free(struct flow_filter *filter)
{
	if (!filter)
		return;
	vec_fini(&filter->terms);
	vec_fini(&filter->values);
	free(filter->text);
	free(filter);
}

// ---- matching -----------------------------------------------------------------------------------------------------------

static bool end_has(const struct term *term, const struct flow_end *end, const struct value *value)
{
	return end->card && term->field->end(end, value);
}

// The destination has up to three faces: what the pod addressed, the Service that this was, the backend it went to.
static bool destination_has(const struct term *term, const struct flow_record *record, const struct value *value)
{
	struct flow_end service = { record->dst.addr, record->dst.port, record->service };

	return end_has(term, &record->dst, value) || end_has(term, &record->backend, value) || end_has(term, &service, value);
}

static bool record_has(const struct term *term, const struct flow_record *record, const struct value *value)
{
	if (term->field->record)
		return term->field->record(record, value);
	return (term->side != SIDE_TO && end_has(term, &record->src, value)) ||
	       (term->side != SIDE_FROM && destination_has(term, record, value));
}

static bool term_match(const struct flow_filter *filter, const struct term *term, const struct flow_record *record)
{
	for (uint32_t i = 0; i < term->n; i++)
		if (record_has(term, record, &filter->values.v[term->first + i]))
			return !term->not;
	return term->not;
}

bool flow_filter_match(const struct flow_filter *filter, const struct flow_record *record)
{
	for (size_t i = 0; filter && i < filter->terms.n; i++)
		if (!term_match(filter, &filter->terms.v[i], record))
			return false;
	return true;
}
