// SPDX-License-Identifier: Apache-2.0
// sinks.c - where records go besides the history: as many sinks as there are URLs.
#include "agent/recorder/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/sink/sink.h"

// Of the recorder's thread, but for the copy: what others may read of it, as it was at the end of the last reading.
struct one {
	struct sink *sink;
	struct sink_stats copy; // under recorder->lock
};

struct sinks {
	size_t n;
	struct one v[SINKS_MAX];
};

static int open_one(void *arg, const char *url, struct err *reterr)
{
	struct recorder *recorder = arg;
	struct sinks *sinks = recorder->sinks;
	int r = sink_new(recorder->base, url, recorder->node, &sinks->v[sinks->n].sink, reterr);

	if (r >= 0)
		sinks->n++;
	return r;
}

int recorder_sinks_open(struct recorder *recorder, struct err *reterr)
{
	recorder->sinks = calloc(1, sizeof(*recorder->sinks));
	if (!recorder->sinks)
		return err_set(reterr, -ENOMEM, "out of memory");
	return recorder_each_url(recorder->config.sinks, open_one, recorder, reterr);
}

void recorder_sinks_put(struct recorder *recorder, const struct flow_record *record)
{
	for (size_t i = 0; i < recorder->sinks->n; i++)
		sink_put(recorder->sinks->v[i].sink, record);
}

void recorder_sinks_flush(struct recorder *recorder)
{
	for (size_t i = 0; i < recorder->sinks->n; i++) {
		struct one *one = &recorder->sinks->v[i];

		sink_flush(one->sink);
		pthread_mutex_lock(&recorder->lock);
		one->copy = *sink_stats(one->sink);
		pthread_mutex_unlock(&recorder->lock);
	}
}

void recorder_sinks_free(struct recorder *recorder)
{
	for (size_t i = 0; recorder->sinks && i < recorder->sinks->n; i++)
		sink_free(recorder->sinks->v[i].sink);
	free(recorder->sinks);
}

// ---- status ------------------------------------------------------------------------------------------------------

// Two to one place, with filters of their own, are told apart by their number.
static struct json_object *name_json(const struct recorder *recorder, const struct one *one)
{
	const char *name = sink_name(one->sink);
	char numbered[512];
	int same = 1;

	for (const struct one *other = recorder->sinks->v; other < one; other++)
		same += !strcmp(sink_name(other->sink), name);
	if (same == 1)
		return json_object_new_string(name);
	snprintf(numbered, sizeof(numbered), "%.480s#%d", name, same);
	return json_object_new_string(numbered);
}

static struct json_object *one_json(struct recorder *recorder, const struct one *one)
{
	struct json_object *json = json_object_new_object();
	struct sink_stats stats;

	pthread_mutex_lock(&recorder->lock);
	stats = one->copy;
	pthread_mutex_unlock(&recorder->lock);
	json_object_object_add(json, "name", name_json(recorder, one));
	recorder_add(json, "offered", stats.offered);
	recorder_add(json, "delivered", stats.delivered);
	recorder_add(json, "lost_full", stats.lost_full);
	recorder_add(json, "lost_error", stats.lost_error);
	recorder_add(json, "queued", stats.queued);
	recorder_add(json, "queued_bytes", stats.queued_bytes);
	recorder_add(json, "bytes", stats.bytes);
	recorder_add(json, "connects", stats.connects);
	recorder_add(json, "failures", stats.failures);
	json_object_object_add(json, "problem", *stats.problem ? json_object_new_string(stats.problem) : NULL);
	return json;
}

struct json_object *recorder_sinks_json(struct recorder *recorder)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < recorder->sinks->n; i++)
		json_object_array_add(list, one_json(recorder, &recorder->sinks->v[i]));
	return list;
}
