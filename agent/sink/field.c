// SPDX-License-Identifier: Apache-2.0
// field.c - the table of fields, and their text.
#include "agent/sink/field.h"

#include <stdio.h>
#include <string.h>

enum what {
	TYPE,
	VERDICT,
	REASON,
	OVER,
	NODE, // that tells
	KIND,
	NAMESPACE,
	NAME,
	WORKLOAD_KIND,
	WORKLOAD,
	CARD_NODE,
	LABELS,
	POLICY_KIND,
	POLICIES,
	RULE,
	RULE_NAME,
	TIER,
};

#define END(name, part, first)                                                                                       \
	{ name "-kind", (first), part, KIND },                                                                       \
	{ name "-namespace", (first) + 1, part, NAMESPACE },                                                         \
	{ name "-name", (first) + 2, part, NAME },                                                                   \
	{ name "-workload-kind", (first) + 3, part, WORKLOAD_KIND },                                                 \
	{ name "-workload", (first) + 4, part, WORKLOAD },                                                           \
	{ name "-node", (first) + 5, part, CARD_NODE },                                                              \
	{ name "-labels", (first) + 6, part, LABELS }
#define POLICY(name, part, first)                                                                                    \
	{ name, (first), part, POLICIES },                                                                           \
	{ name "-kind", (first) + 1, part, POLICY_KIND },                                                            \
	{ name "-rule", (first) + 2, part, RULE },                                                                   \
	{ name "-rule-name", (first) + 3, part, RULE_NAME },                                                         \
	{ name "-tier", (first) + 4, part, TIER }

const struct field fields[] = {
	{ "type", 1, FIELD_RECORD, TYPE },
	{ "verdict", 2, FIELD_RECORD, VERDICT },
	{ "reason", 3, FIELD_RECORD, REASON },
	{ "over", 4, FIELD_RECORD, OVER },
	{ "node", 5, FIELD_RECORD, NODE },
	END("src", FIELD_SRC, 16),
	END("dst", FIELD_DST, 32),
	END("backend", FIELD_BACKEND, 48),
	{ "service-namespace", 64, FIELD_SERVICE, NAMESPACE },
	{ "service", 65, FIELD_SERVICE, NAME },
	POLICY("policy", FIELD_POLICY, 80),
	POLICY("audit", FIELD_AUDIT, 96),
};
const size_t nfields = ARRAY_SIZE(fields);
_Static_assert(ARRAY_SIZE(fields) <= FIELDS_MAX, "FIELDS_MAX is too small");

// ---- text that is clean and fits -----------------------------------------------------------------------------------

#define CUT_MARK "..."
#define CUT_BYTES (sizeof(CUT_MARK) - 1)

struct text {
	char *buf;
	size_t n, max;
	size_t safe; // up to here the text and the mark of a cut fit
	bool cut;
};

static void put(struct text *text, const char *bytes, size_t n)
{
	if (text->cut)
		return;
	if (text->n + n > text->max) {
		text->cut = true;
		return;
	}
	memcpy(text->buf + text->n, bytes, n);
	text->n += n;
	if (text->n + CUT_BYTES <= text->max)
		text->safe = text->n;
}

// Bytes of the character that begins here, 0: there is none. Overlong forms, surrogates and what is beyond Unicode
// are none. The terminating 0 is no continuation, so nothing behind it is read.
static size_t character(const unsigned char *at)
{
	size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

static bool control(const unsigned char *at)
{
	return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

static void add(struct text *text, const char *string)
{
	const unsigned char *at = (const unsigned char *)(string ? string : "");

	while (*at && !text->cut) {
		size_t n = character(at);

		if (n && !control(at))
			put(text, (const char *)at, n);
		else
			put(text, "\xef\xbf\xbd", 3);
		at += n ? n : 1;
	}
}

static size_t finish(struct text *text)
{
	if (!text->cut)
		return text->n;
	if (text->max < CUT_BYTES)
		return 0;
	memcpy(text->buf + text->safe, CUT_MARK, CUT_BYTES);
	return text->safe + CUT_BYTES;
}

// ---- fields --------------------------------------------------------------------------------------------------------

static void add_labels(struct text *text, const struct flow_card *card)
{
	for (uint32_t i = 0; i < card->nlabels && !text->cut; i++) {
		if (i)
			put(text, ",", 1);
		add(text, card->labels[i].key);
		put(text, "=", 1);
		add(text, card->labels[i].value);
	}
}

static void add_card(struct text *text, const struct flow_card *card, enum what what)
{
	if (!card)
		return;
	switch (what) {
	case KIND:
		return add(text, flow_who_name(card->who));
	case NAMESPACE:
		return add(text, card->ns);
	case NAME:
		return add(text, card->name);
	case WORKLOAD_KIND:
		return add(text, card->workload_kind);
	case WORKLOAD:
		return add(text, card->workload_name);
	case CARD_NODE:
		return add(text, card->node);
	default:
		return add_labels(text, card);
	}
}

static bool is_rule(const struct flow_policy *policy)
{
	return policy->kind == FLOW_POLICY_NETPOL || policy->kind == FLOW_POLICY_CLUSTERNETPOL;
}

static void add_policies(struct text *text, const struct flow_policy *policy)
{
	for (uint32_t i = 0; i < policy->npolicies && !text->cut; i++) {
		if (i)
			put(text, ",", 1);
		add(text, policy->policies[i]);
	}
}

static void add_policy(struct text *text, const struct flow_policy *policy, enum what what)
{
	char number[16];

	if (!policy)
		return;
	switch (what) {
	case POLICY_KIND:
		return add(text, flow_policy_kind_name(policy->kind));
	case RULE:
		snprintf(number, sizeof(number), "%u", policy->index);
		return add(text, is_rule(policy) ? number : NULL);
	case RULE_NAME:
		return add(text, policy->rule_name);
	case TIER:
		return add(text, policy->tier);
	default:
		return add_policies(text, policy);
	}
}

static void add_record(struct text *text, const struct flow_record *record, const char *node, enum what what)
{
	switch (what) {
	case TYPE:
		return add(text, flow_type_name(record->type));
	case VERDICT:
		return add(text, flow_verdict_name(record->verdict));
	case REASON:
		return add(text, flow_reason_name(record->reason));
	case OVER:
		return add(text, flow_over_name(record->over));
	default:
		return add(text, node);
	}
}

size_t field_text(const struct field *field, const struct flow_record *record, const char *node, char *buf, size_t max)
{
	const struct flow_card *cards[] = {
		[FIELD_SRC] = record->src.card,
		[FIELD_DST] = record->dst.card,
		[FIELD_BACKEND] = record->backend.card,
		[FIELD_SERVICE] = record->service,
	};
	struct text text = { .buf = buf, .max = max < FIELD_MAX_BYTES ? max : FIELD_MAX_BYTES };

	switch ((enum field_part)field->part) {
	case FIELD_RECORD:
		add_record(&text, record, node, field->what);
		break;
	case FIELD_POLICY:
		add_policy(&text, record->policy, field->what);
		break;
	case FIELD_AUDIT:
		add_policy(&text, record->audit, field->what);
		break;
	default:
		add_card(&text, cards[field->part], field->what);
	}
	return finish(&text);
}
