// SPDX-License-Identifier: Apache-2.0
// talkers.c - sums of samples by row; a sample that leaves the window is taken off again.
#include "agent/cli/talkers.h"

#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/cli/records.h"

struct row {
	struct talker talker; // first: lists point at it
	char *key; // source, destination and what, each ended by 0
	size_t key_bytes;
};

struct sample {
	int64_t time_ns;
	struct row *row;
	uint64_t bytes, packets, flows;
};

struct flow_seen {
	uint64_t key, bytes, packets;
};

struct talkers {
	struct talkers_config config;
	struct hash rows, flows;
	VEC(struct sample) samples; // a ring once it is full
	size_t first, n; // of the ring
	VEC(const struct talker *) top;
	int64_t begin_ns, earliest_ns, last_ns;
};

int talkers_new(const struct talkers_config *config, struct talkers **ret)
{
	struct talkers *talkers = calloc(1, sizeof(*talkers));

	if (!talkers)
		return -ENOMEM;
	talkers->config = *config;
	if (!talkers->config.max)
		talkers->config.max = TALKERS_MAX;
	talkers->begin_ns = config->begin_ns;
	*ret = talkers;
	return 0;
}

static void row_free(struct row *row)
{
	free(row->key);
	free(row);
}

static void forget_flows(struct talkers *talkers)
{
	struct flow_seen *flow;

	for (size_t at = 0; (flow = hash_next(&talkers->flows, &at));)
		free(flow);
	hash_fini(&talkers->flows);
	talkers->flows = (struct hash){ 0 };
}

void talkers_free(struct talkers *talkers)
{
	struct row *row;

	if (!talkers)
		return;
	for (size_t at = 0; (row = hash_next(&talkers->rows, &at));)
		row_free(row);
	forget_flows(talkers);
	hash_fini(&talkers->rows);
	vec_fini(&talkers->samples);
	vec_fini(&talkers->top);
	free(talkers);
}

// ---- rows --------------------------------------------------------------------------------------

static bool same_row(const void *item, const void *key)
{
	const struct row *a = item, *b = key;

	return a->key_bytes == b->key_bytes && !memcmp(a->key, b->key, a->key_bytes);
}

static void name_workload(const struct flow_card *card, char *buf, size_t bytes)
{
	if (card->workload_name)
		snprintf(buf, bytes, "%s/%s/%s", card->ns, card->workload_kind ? card->workload_kind : "-",
			 card->workload_name);
	else
		snprintf(buf, bytes, "%s/Pod/%s", card->ns, card->name);
}

static void name_end(const struct talkers *talkers, const struct flow_record *record, const struct flow_end *end,
		     char buf[static RECORD_TEXT_BYTES])
{
	const struct flow_card *card = end->card;
	bool pod = card->who == FLOW_POD && card->ns && card->name;
	struct flow_end bare = *end;

	bare.port = 0;
	if (talkers->config.by == BY_ADDRESS)
		addr_format(&end->addr, buf, RECORD_TEXT_BYTES);
	else if (talkers->config.by == BY_WORKLOAD && pod)
		name_workload(card, buf, RECORD_TEXT_BYTES);
	else if (talkers->config.by == BY_NAMESPACE)
		snprintf(buf, RECORD_TEXT_BYTES, "%s", pod ? card->ns : flow_who_name(card->who));
	else
		record_end(record, &bare, buf);
}

static void name_denied(const struct flow_record *record, char *buf, size_t bytes)
{
	char policy[RECORD_TEXT_BYTES];
	uint16_t port = record_answers(record)->port;

	record_policy(record->policy, policy);
	if (port)
		snprintf(buf, bytes, "%u/%s %s%s%s", port, protocol_name(record->proto), flow_reason_name(record->reason),
			 *policy ? ", " : "", policy);
	else
		snprintf(buf, bytes, "%s %s%s%s", protocol_name(record->proto), flow_reason_name(record->reason),
			 *policy ? ", " : "", policy);
}

static struct row *new_row(struct talkers *talkers, const struct row *model, uint64_t hash)
{
	struct row *row = calloc(1, sizeof(*row));

	if (row) {
		*row = *model;
		row->key = malloc(model->key_bytes);
	}
	if (!row || !row->key || hash_add(&talkers->rows, hash, row) < 0) {
		if (row)
			row_free(row);
		return NULL;
	}
	memcpy(row->key, model->key, model->key_bytes);
	row->talker.source = row->key;
	row->talker.destination = row->talker.source + strlen(row->talker.source) + 1;
	row->talker.what = row->talker.destination + strlen(row->talker.destination) + 1;
	return row;
}

static struct row *find_row(struct talkers *talkers, const struct flow_record *record)
{
	char src[RECORD_TEXT_BYTES], dst[RECORD_TEXT_BYTES], what[2 * RECORD_TEXT_BYTES] = "";
	char key[4 * RECORD_TEXT_BYTES];
	struct row model = { .talker.denied = record->type == FLOW_DENY, .key = key }, *row;
	uint64_t hash;

	name_end(talkers, record, &record->src, src);
	name_end(talkers, record, record_answers(record), dst);
	if (model.talker.denied)
		name_denied(record, what, sizeof(what));
	model.key_bytes = (size_t)snprintf(key, sizeof(key), "%s%c%s%c%s", src, 0, dst, 0, what) + 1;
	hash = hash_bytes(key, model.key_bytes);
	row = hash_find(&talkers->rows, hash, same_row, &model);
	return row ? row : new_row(talkers, &model, hash);
}

// A row without samples is gone.
static void leave_row(struct talkers *talkers, struct row *row)
{
	const struct talker *talker = &row->talker;

	if (talker->bytes || talker->packets || talker->flows)
		return;
	hash_remove(&talkers->rows, hash_bytes(row->key, row->key_bytes), row);
	row_free(row);
}

// ---- samples -----------------------------------------------------------------------------------

static struct sample *sample_at(struct talkers *talkers, size_t index)
{
	return &talkers->samples.v[(talkers->first + index) % talkers->samples.n];
}

static void drop_oldest(struct talkers *talkers)
{
	struct sample *sample = sample_at(talkers, 0);
	struct talker *talker = &sample->row->talker;

	talker->bytes -= sample->bytes;
	talker->packets -= sample->packets;
	talker->flows -= sample->flows;
	leave_row(talkers, sample->row);
	talkers->first = (talkers->first + 1) % talkers->samples.n;
	talkers->n--;
}

// The ring grows while it is not as large as it may be; it is turned so that its first stands first then.
static int make_room(struct talkers *talkers)
{
	struct sample none = { 0 };
	size_t size = talkers->samples.n;

	if (talkers->n < size)
		return 0;
	if (size >= talkers->config.max) {
		talkers->begin_ns = sample_at(talkers, 0)->time_ns;
		drop_oldest(talkers);
		return 0;
	}
	if (talkers->first) {
		// Full, and not as it began: samples left before. Put what is behind the end in front.
		VEC(struct sample) turned = { 0 };

		if (vec_reserve(&turned, size + 1) < 0)
			return -ENOMEM;
		for (size_t i = 0; i < size; i++)
			vec_push(&turned, *sample_at(talkers, i));
		vec_fini(&talkers->samples);
		talkers->samples.v = turned.v;
		talkers->samples.n = turned.n;
		talkers->samples.cap = turned.cap;
		talkers->first = 0;
	}
	return vec_push(&talkers->samples, none);
}

static int add_sample(struct talkers *talkers, const struct flow_record *record, struct sample sample)
{
	struct talker *talker;

	if (!sample.bytes && !sample.packets && !sample.flows)
		return 0;
	if (make_room(talkers) < 0)
		return -ENOMEM;
	sample.time_ns = record->time_ns;
	sample.row = find_row(talkers, record);
	if (!sample.row)
		return -ENOMEM;
	talker = &sample.row->talker;
	talker->bytes += sample.bytes;
	talker->packets += sample.packets;
	talker->flows += sample.flows;
	talkers->n++;
	*sample_at(talkers, talkers->n - 1) = sample;
	return 0;
}

void talkers_expire(struct talkers *talkers, int64_t before_ns)
{
	if (before_ns > talkers->begin_ns)
		talkers->begin_ns = before_ns;
	while (talkers->n && sample_at(talkers, 0)->time_ns < before_ns)
		drop_oldest(talkers);
}

// ---- flows -------------------------------------------------------------------------------------

static bool same_flow(const void *item, const void *key)
{
	return ((const struct flow_seen *)item)->key == *(const uint64_t *)key;
}

static int remember(struct talkers *talkers, uint64_t key, struct flow_seen **ret)
{
	if (talkers->flows.n >= talkers->config.max)
		forget_flows(talkers);
	*ret = calloc(1, sizeof(**ret));
	if (!*ret || hash_add(&talkers->flows, key, *ret) < 0) {
		free(*ret);
		return -ENOMEM;
	}
	(*ret)->key = key;
	return 0;
}

static uint64_t both(const uint64_t counts[FLOW_WAY_MAX])
{
	return counts[FLOW_FORWARD] + counts[FLOW_REVERSE];
}

static uint64_t growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static int add_flow(struct talkers *talkers, const struct flow_record *record, const char *node)
{
	uint64_t key = hash_mix(record->id, hash_string(node));
	struct flow_seen *flow = hash_find(&talkers->flows, key, same_flow, &key);
	bool known = flow || record->first_ns >= talkers->begin_ns;
	struct sample sample = { .flows = !flow && known };
	int r;

	if (!flow) {
		r = remember(talkers, key, &flow);
		if (r < 0)
			return r;
	}
	if (known) {
		sample.bytes = growth(both(record->bytes), flow->bytes);
		sample.packets = growth(both(record->packets), flow->packets);
	}
	flow->bytes = both(record->bytes);
	flow->packets = both(record->packets);
	if (record->type == FLOW_END) {
		hash_remove(&talkers->flows, key, flow);
		free(flow);
	}
	return add_sample(talkers, record, sample);
}

static bool told_by_sender(const struct flow_record *record, const char *node)
{
	const struct flow_card *src = record->src.card;

	return record->dir == BH_INGRESS && src->who == FLOW_POD && src->node && !strcmp(src->node, node);
}

int talkers_add(struct talkers *talkers, const struct flow_record *record, const char *node)
{
	const struct sample denied = { .bytes = record->bytes[FLOW_FORWARD], .packets = record->packets[FLOW_FORWARD] };

	if (!talkers->earliest_ns || record->first_ns < talkers->earliest_ns)
		talkers->earliest_ns = record->first_ns;
	if (record->time_ns > talkers->last_ns)
		talkers->last_ns = record->time_ns;
	if (record->type == FLOW_DENY)
		return record->time_ns < talkers->begin_ns ? 0 : add_sample(talkers, record, denied);
	return told_by_sender(record, node) ? 0 : add_flow(talkers, record, node);
}

// ---- answers -----------------------------------------------------------------------------------

int64_t talkers_first_ns(const struct talkers *talkers)
{
	return talkers->begin_ns ? talkers->begin_ns : talkers->earliest_ns;
}

int64_t talkers_last_ns(const struct talkers *talkers)
{
	return talkers->last_ns;
}

static uint64_t weight(const struct talker *talker, enum talkers_sort sort)
{
	if (sort == SORT_FLOWS)
		return talker->flows;
	return sort == SORT_PACKETS ? talker->packets : talker->bytes;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct talker *x = *(const struct talker *const *)a, *y = *(const struct talker *const *)b;
	const enum talkers_sort *sort = arg;
	uint64_t left = weight(x, *sort), right = weight(y, *sort);
	int order = left > right ? -1 : left < right;

	if (!order)
		order = strcmp(x->source, y->source);
	if (!order)
		order = strcmp(x->destination, y->destination);
	return order ? order : strcmp(x->what, y->what);
}

const struct talker *const *talkers_top(struct talkers *talkers, bool denied, enum talkers_sort sort, size_t max, size_t *retn)
{
	const struct row *row;

	vec_clear(&talkers->top);
	for (size_t at = 0; (row = hash_next(&talkers->rows, &at));) {
		if (row->talker.denied == denied && vec_push(&talkers->top, &row->talker) < 0)
			break;
	}
	if (talkers->top.n > 1)
		qsort_r(talkers->top.v, talkers->top.n, sizeof(*talkers->top.v), compare, &sort);
	*retn = talkers->top.n < max ? talkers->top.n : max;
	return talkers->top.v;
}
