// SPDX-License-Identifier: Apache-2.0
// history.c - a ring of records.
#include "agent/recorder/history.h"

#include <assert.h>
#include <pthread.h>

struct history {
	pthread_mutex_t lock; // of all below
	uint32_t cap;
	uint64_t newest; // seq; 0: none yet
	struct flow_record v[]; // by seq % cap
};

int history_new(uint32_t records, struct history **ret)
{
	struct history *history = calloc(1, sizeof(*history) + records * sizeof(history->v[0]));

	assert(records);

	if (!history)
		return -ENOMEM;
	pthread_mutex_init(&history->lock, NULL);
	history->cap = records;
	*ret = history;
	return 0;
}

static uint64_t oldest(const struct history *history)
{
	if (!history->newest)
		return 0;
	return history->newest > history->cap ? history->newest - history->cap + 1 : 1;
}

static struct flow_record *at(struct history *history, uint64_t seq)
{
	return &history->v[seq % history->cap];
}

void history_free(struct history *history)
{
	if (!history)
		return;
	for (uint64_t seq = oldest(history); seq && seq <= history->newest; seq++)
		flow_record_fini(at(history, seq));
	pthread_mutex_destroy(&history->lock);
	free(history);
}

void history_put(struct history *history, struct flow_record *record)
{
	struct flow_record gone = { 0 };

	pthread_mutex_lock(&history->lock);
	record->seq = ++history->newest;
	if (record->seq > history->cap)
		gone = *at(history, record->seq);
	flow_record_copy(at(history, record->seq), record);
	pthread_mutex_unlock(&history->lock);
	flow_record_fini(&gone);
}

static int collect(struct history *history, const struct flow_filter *filter, uint32_t max, struct history_page *ret)
{
	uint64_t seq = ret->next + 1;

	for (; seq <= history->newest && ret->records.n < max; seq++) {
		if (!flow_filter_match(filter, at(history, seq)))
			continue;
		if (vec_reserve(&ret->records, 1) < 0)
			return -ENOMEM;
		flow_record_copy(&ret->records.v[ret->records.n++], at(history, seq));
	}
	ret->next = seq - 1;
	return 0;
}

int history_read(struct history *history, const struct flow_filter *filter, uint64_t after, uint32_t max,
		 struct history_page *ret)
{
	int r;

	*ret = (struct history_page){ 0 };
	pthread_mutex_lock(&history->lock);
	ret->oldest = oldest(history);
	ret->newest = history->newest;
	ret->anew = after > history->newest;
	ret->next = ret->anew ? 0 : after;
	if (ret->next + 1 < ret->oldest) {
		ret->lost = ret->next ? ret->oldest - ret->next - 1 : 0;
		ret->next = ret->oldest - 1;
	}
	r = collect(history, filter, max, ret);
	pthread_mutex_unlock(&history->lock);
	if (r < 0)
		history_page_fini(ret);
	return r;
}

void history_page_fini(struct history_page *page)
{
	vec_each(struct flow_record, record, &page->records)
		flow_record_fini(record);
	vec_fini(&page->records);
}
