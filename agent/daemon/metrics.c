// SPDX-License-Identifier: Apache-2.0
// metrics.c - the page /metrics: every number that the agent has, as docs/metrics.md explains them. Collectors write
// when they are asked, from what is there.
#include <stddef.h>
#include <string.h>

#include "agent/daemon/health.h"
#include "agent/daemon/json.h"
#include "agent/daemon/meter.h"
#include "agent/metrics/expo.h"
#include "agent/metrics/process.h"
#include "agent/recorder/recorder.h"
#include "commit.h"

#define GAUGE(id, what, ...) { .name = "bulkhead_" id, .type = METRIC_GAUGE, .help = what, __VA_ARGS__ }
#define COUNTER(id, what, ...) { .name = "bulkhead_" id, .type = METRIC_COUNTER, .help = what, __VA_ARGS__ }
#define HISTOGRAM(id, what, ...) \
	{ .name = "bulkhead_" id, .type = METRIC_HISTOGRAM, .unit = "seconds", .help = what, __VA_ARGS__ }
#define INFO(id, what, ...) { .name = "bulkhead_" id, .type = METRIC_INFO, .help = what, __VA_ARGS__ }
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define UNIT(word) .unit = word
#define BY(...) .labels = { __VA_ARGS__ }

static void one_count(struct expo *expo, const struct metric *metric, uint64_t value)
{
	expo_metric(expo, metric);
	expo_count(expo, value, NULL);
}

static void one_real(struct expo *expo, const struct metric *metric, double value)
{
	expo_metric(expo, metric);
	expo_real(expo, value, NULL);
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

// ---- verdicts ------------------------------------------------------------------------------------------------------

enum verdict_part { PACKETS, BYTES };

static uint64_t part_of(const struct bh_count *count, enum verdict_part part)
{
	return part == PACKETS ? count->packets : count->bytes;
}

static void passed(struct expo *expo, const struct meter *meter, const struct metric *metric, enum verdict_part part)
{
	expo_metric(expo, metric);
	for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++) {
		struct bh_count sum = verdicts_sum(meter->verdicts, dir, BH_REASON_NONE);

		expo_count(expo, part_of(&sum, part), LABELS(dir_name(dir)));
	}
}

// Also those that never were, so that the first one is seen as a rise.
static void by_reason(struct expo *expo, const struct meter *meter, const struct metric *metric, int from, int to,
		      enum verdict_part part)
{
	expo_metric(expo, metric);
	for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++)
		for (int reason = from; reason < to; reason++) {
			struct bh_count sum = verdicts_sum(meter->verdicts, dir, (enum bh_reason)reason);

			if (strcmp(reason_name((uint32_t)reason), "unknown") != 0 && reason != BH_REASON_AUDIT)
				expo_count(expo, part_of(&sum, part), LABELS(dir_name(dir), reason_name((uint32_t)reason)));
		}
}

struct by_policy {
	struct expo *expo;
	enum verdict_part part;
	bool drops, audit; // else judgements that allowed
};

static void add_policy_verdict(void *arg, enum bh_dir dir, enum bh_reason reason, const struct verdict_name *name,
			       const struct bh_count *count)
{
	const struct by_policy *by = arg;
	uint64_t value = part_of(count, by->part);

	if ((reason == BH_REASON_AUDIT) != by->audit || (reason >= BH_REASON_DROP) != by->drops)
		return;
	if (by->audit)
		expo_count(by->expo, value, LABELS(dir_name(dir), name->kind, name->policy, name->rule));
	else
		expo_count(by->expo, value, LABELS(dir_name(dir), reason_name(reason), name->kind, name->policy));
}

static void by_policy(struct expo *expo, const struct meter *meter, const struct metric *metric, struct by_policy by)
{
	by.expo = expo;
	expo_metric(expo, metric);
	verdicts_each(meter->verdicts, add_policy_verdict, &by);
}

static void collect_verdicts(struct expo *expo, struct daemon *daemon)
{
	static const struct metric passed_packets = COUNTER(
		"passed_packets", "Packets that passed a pod's programs.", UNIT("packets"), BY("direction"));
	static const struct metric passed_bytes = COUNTER(
		"passed_bytes", "Bytes of packets that passed, of their IP part.", UNIT("bytes"), BY("direction"));
	static const struct metric dropped_packets = COUNTER(
		"dropped_packets", "Packets that were dropped; with --source-checks report those of spoofed-* passed.",
		UNIT("packets"), BY("direction", "reason"));
	static const struct metric dropped_bytes = COUNTER(
		"dropped_bytes", "Bytes of packets that were dropped.", UNIT("bytes"), BY("direction", "reason"));
	static const struct metric judgements = COUNTER(
		"judgements", "New flows, and flows judged again after a change, that may pass.", BY("direction", "reason"));
	static const struct metric policy_packets = COUNTER(
		"policy_dropped_packets", "Packets that a policy dropped.", UNIT("packets"),
		BY("direction", "reason", "kind", "policy"));
	static const struct metric policy_bytes = COUNTER(
		"policy_dropped_bytes", "Bytes of packets that a policy dropped.", UNIT("bytes"),
		BY("direction", "reason", "kind", "policy"));
	static const struct metric policy_judgements = COUNTER(
		"policy_judgements", "Judgements by which a policy allowed a flow.",
		BY("direction", "reason", "kind", "policy"));
	static const struct metric audit = COUNTER(
		"audit_denies", "Judgements that let a flow pass which policies in audit mode would deny, were they enforced.",
		BY("direction", "kind", "policy", "rule"));
	const struct meter *meter = &daemon->meter;

	passed(expo, meter, &passed_packets, PACKETS);
	passed(expo, meter, &passed_bytes, BYTES);
	by_reason(expo, meter, &dropped_packets, BH_REASON_DROP, BH_REASON_MAX, PACKETS);
	by_reason(expo, meter, &dropped_bytes, BH_REASON_DROP, BH_REASON_MAX, BYTES);
	by_reason(expo, meter, &judgements, BH_REASON_ALLOWED, BH_REASON_DROP, PACKETS);
	by_policy(expo, meter, &policy_packets, (struct by_policy){ .part = PACKETS, .drops = true });
	by_policy(expo, meter, &policy_bytes, (struct by_policy){ .part = BYTES, .drops = true });
	by_policy(expo, meter, &policy_judgements, (struct by_policy){ .part = PACKETS });
	by_policy(expo, meter, &audit, (struct by_policy){ .part = PACKETS, .audit = true });
}

// ---- what the programs could not do ------------------------------------------------------------------------------------

static uint64_t stat_since(const struct meter *meter, const uint64_t now[BH_STAT_MAX], enum bh_stat stat)
{
	return now[stat] - meter->stats[stat];
}

static void collect_stats(struct expo *expo, struct daemon *daemon)
{
	static const struct metric refused = COUNTER(
		"connections_refused", "Flows refused for lack of room: the table is full, or the pod's share of it.",
		BY("reason"));
	static const struct {
		struct metric metric;
		enum bh_stat stat;
	} single[] = {
		{ COUNTER("connections_rejudged", "Connections judged again after a change of policy."), BH_STAT_CT_REJUDGED },
		{ COUNTER("connections_cut", "Connections that such a judgement cut."), BH_STAT_CT_CUT },
		{ COUNTER("translated_judgements", "Judgements behind the translation of a Service."), BH_STAT_TRANSLATED },
		{ COUNTER("class_retries", "Lookups done again, as an element was reused meanwhile."), BH_STAT_CLASS_RETRY },
		{ COUNTER("no_judge_packets", "Packets dropped, as no program was there to judge them.", UNIT("packets")),
		  BH_STAT_NO_JUDGE },
		{ COUNTER("uncounted_packets", "Packets whose exact counter found no room: missing in all others.",
			  UNIT("packets")), BH_STAT_TOTAL_OVERFLOW },
		{ COUNTER("undetailed_packets", "Denied packets of which no detail was kept.", UNIT("packets")),
		  BH_STAT_DENIED_OVERFLOW },
	};
	const struct meter *meter = &daemon->meter;
	uint64_t now[BH_STAT_MAX] = { 0 };

	tables_stats_get(daemon->tables, now);
	expo_metric(expo, &refused);
	expo_count(expo, stat_since(meter, now, BH_STAT_CT_FULL), LABELS(reason_name(BH_REASON_CT_FULL)));
	expo_count(expo, stat_since(meter, now, BH_STAT_CT_QUOTA), LABELS(reason_name(BH_REASON_CT_QUOTA)));
	for (size_t i = 0; i < ARRAY_SIZE(single); i++)
		one_count(expo, &single[i].metric, stat_since(meter, now, single[i].stat));
}

// ---- tables --------------------------------------------------------------------------------------------------------

// What is known without counting. false: nothing.
static bool entries_of(const struct daemon *daemon, const struct policy_stats *stats, const char *table, uint64_t *ret)
{
	const struct {
		const char *table;
		uint64_t entries;
	} known[] = {
		{ "bh_endpoint", stats->endpoints },	 { "bh_policy", stats->matrices },
		{ "bh_peer", stats->peers },		 { "bh_cidr", stats->cidrs },
		{ "bh_cell", stats->sparse_cells },	 { "bh_service", stats->service_keys },
		{ "bh_self", stats->selves },		 { "bh_total", daemon->meter.totals },
		{ "bh_ct", daemon->sweep.live[0] },	 { "bh_ct6", daemon->sweep.live[1] },
		{ "bh_half", daemon->sweep.half },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].table, table) == 0) {
			*ret = known[i].entries;
			return true;
		}
	return false;
}

static void collect_tables(struct expo *expo, struct daemon *daemon)
{
	static const struct metric entries = GAUGE(
		"table_entries", "Elements in use, where the agent knows; those of connections as of the last sweep.",
		BY("table"));
	static const struct metric most = GAUGE("table_max_entries", "Elements that the table has room for.", BY("table"));
	static const struct metric bytes =
		GAUGE("table_bytes", "Memory of the kernel that the table takes.", UNIT("bytes"), BY("table"));
	struct policy_stats stats;
	struct table_use use;
	uint64_t n;

	policy_stats(daemon->policy, &stats);
	expo_metric(expo, &entries);
	for (int i = 0; tables_use(daemon->tables, i, &use); i++)
		if (entries_of(daemon, &stats, use.name, &n))
			expo_count(expo, n, LABELS(use.name));
	expo_metric(expo, &most);
	for (int i = 0; tables_use(daemon->tables, i, &use); i++)
		expo_count(expo, use.max_entries, LABELS(use.name));
	expo_metric(expo, &bytes);
	for (int i = 0; tables_use(daemon->tables, i, &use); i++)
		expo_count(expo, tables_use_bytes(daemon->tables, i), LABELS(use.name));
	expo_count(expo, stats.matrix_bytes, LABELS("matrices"));
}

static void collect_policy(struct expo *expo, struct daemon *daemon)
{
	static const struct metric peers = GAUGE("peer_classes", "Sets of addresses that policies tell apart.");
	static const struct metric ports = GAUGE("port_classes", "Sets of ports that policies tell apart.");
	static const struct metric rules = GAUGE("rules", "Rules in force on this node.");
	static const struct metric services = GAUGE("services", "Services that lead somewhere else than to themselves.");
	struct policy_stats stats;

	policy_stats(daemon->policy, &stats);
	one_count(expo, &peers, stats.peer_classes);
	one_count(expo, &ports, stats.port_classes);
	one_count(expo, &rules, stats.rules);
	one_count(expo, &services, stats.services);
}

// ---- connections and endpoints -------------------------------------------------------------------------------------

static void collect_connections(struct expo *expo, struct daemon *daemon)
{
	static const struct metric all = GAUGE("connections", "Connections of this node's pods that are tracked.");
	static const struct metric most =
		GAUGE("connections_of_pod_max", "Connections of the pod that has most of them: to be seen beside its quota.");
	static const struct metric quota = GAUGE("connections_of_pod_quota", "Connections that one pod may have.");
	static const struct metric sweeps = COUNTER("sweeps", "Sweeps of the connection tables that were finished.");
	static const struct metric swept =
		COUNTER("connections_swept", "Connections taken out by sweeps: idle for too long, or of a pod that is gone.",
			BY("cause"));
	static const struct metric evicted =
		COUNTER("half_open_evicted", "Half-open flows that lost their place to others; as of the last sweep.");
	static const struct metric forgotten =
		COUNTER("denied_details_forgotten", "Kinds of denied flows whose detail made room, silent for --denied-forget.");
	uint64_t sum = 0, max = 0;
	const struct endpoint *e;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++) {
		uint64_t n = e->phase == ENDPOINT_WAITING ? 0 : tables_endpoint(daemon->tables, e->slot)->ct_count;

		sum += n;
		max = n > max ? n : max;
	}
	one_count(expo, &all, sum);
	one_count(expo, &most, max);
	one_count(expo, &quota, tables_ct_quota(daemon->tables));
	one_count(expo, &sweeps, daemon->meter.sweeps);
	expo_metric(expo, &swept);
	expo_count(expo, daemon->meter.swept_expired, LABELS("expired"));
	expo_count(expo, daemon->meter.swept_orphans, LABELS("pod-gone"));
	one_count(expo, &evicted, daemon->meter.sweeps ? daemon->sweep.half_evicted - daemon->meter.half_evicted : 0);
	one_count(expo, &forgotten, daemon->meter.denied_forgotten);
}

static void collect_endpoints(struct expo *expo, struct daemon *daemon)
{
	static const struct metric metric = GAUGE("endpoints", "Pods of this node by what becomes of their packets.", BY("state"));
	static const char *const states[] = { "waiting", "quarantine", "open", "enforce" };
	uint64_t counts[ARRAY_SIZE(states)] = { 0 };
	const struct endpoint *e;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++)
		for (size_t s = 0; s < ARRAY_SIZE(states); s++)
			counts[s] += strcmp(endpoint_state(daemon, e), states[s]) == 0;
	expo_metric(expo, &metric);
	for (size_t s = 0; s < ARRAY_SIZE(states); s++)
		expo_count(expo, counts[s], LABELS(states[s]));
}

// ---- latency -------------------------------------------------------------------------------------------------------

static void collect_times(struct expo *expo, struct daemon *daemon)
{
	static const struct metric delays =
		HISTOGRAM("policy_delay_seconds", "From the arrival of an object's change until it is in force in the kernel.",
			  BY("kind"));
	static const struct metric compile = HISTOGRAM("compile_seconds", "Compiling what changed.");
	static const struct metric work = HISTOGRAM("apply_work_seconds", "Writing a plan into the kernel's tables, without its waits.");
	static const struct metric grace = HISTOGRAM("apply_grace_seconds", "Waits of a plan for programs that still read what was before.");
	static const struct metric adds =
		HISTOGRAM("pod_add_wait_seconds", "How long the CNI plugin's ADD waited for a pod's policies, by how it ended.",
			  BY("outcome"));
	static const struct metric untimed =
		COUNTER("policy_delay_untimed", "Changes of objects whose delay was not measured, as too many were under way.");
	static const struct metric stopped = COUNTER("plans_stopped", "Plans that could not run to their end.");
	static const char *const outcomes[] = { "enforced", "quarantine", "failed" };
	const struct meter *meter = &daemon->meter;

	expo_metric(expo, &delays);
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		expo_histogram(expo, &meter->delays[kind], LABELS(object_kind(kind)->name));
	expo_metric(expo, &compile);
	expo_histogram(expo, &meter->compile, NULL);
	expo_metric(expo, &work);
	expo_histogram(expo, &meter->work, NULL);
	expo_metric(expo, &grace);
	expo_histogram(expo, &meter->grace, NULL);
	expo_metric(expo, &adds);
	for (int i = 0; i < METER_ADD_MAX; i++)
		expo_histogram(expo, &meter->adds[i], LABELS(outcomes[i]));
	one_count(expo, &untimed, meter->events_untimed);
	one_count(expo, &stopped, meter->plans_stopped);
}

// ---- the source ----------------------------------------------------------------------------------------------------

// One number of every part, by its name, as status has it.
static void by_name(struct expo *expo, const struct metric *metric, struct json_object *parts, const char *field)
{
	size_t n = parts ? json_object_array_length(parts) : 0;
	struct json_object *name, *value;

	expo_metric(expo, metric);
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(parts, i);

		if (json_object_object_get_ex(one, "name", &name) && json_object_object_get_ex(one, field, &value))
			expo_count(expo, (uint64_t)json_object_get_int64(value), LABELS(json_object_get_string(name)));
	}
}

static void collect_source(struct expo *expo, struct daemon *daemon)
{
	static const struct {
		struct metric metric;
		const char *field;
	} rows[] = {
		{ GAUGE("watch_age_seconds", "Since the API server was heard last about the resource.", UNIT("seconds"),
			BY("resource")), "heard_sec" },
		{ GAUGE("watch_cut_off_seconds", "For how long nothing of the resource has reached the agent; 0: it does.",
			UNIT("seconds"), BY("resource")), "cut_off_sec" },
		{ COUNTER("watch_starts", "Watches that were begun.", BY("resource")), "watches" },
		{ COUNTER("watch_lists", "Lists that were begun: the first one, and each after a watch that was lost.",
			  BY("resource")), "lists" },
		{ COUNTER("watch_events", "Changes that were read.", BY("resource")), "events" },
		{ COUNTER("watch_failures", "Requests that failed.", BY("resource")), "failures" },
	};
	static const struct metric objects = GAUGE("objects", "Objects known, by kind.", BY("kind"));
	static const struct metric synced = GAUGE("source_synced", "1: what is there has been read whole.");
	static const struct metric current = GAUGE("source_current", "0: some input cannot be read, or not for too long.");
	_cleanup_json_ struct json_object *source =
		daemon->source ? daemon->source->ops->describe(daemon->source) : NULL;
	struct json_object *resources = NULL;

	json_object_object_get_ex(source, "resources", &resources);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		by_name(expo, &rows[i].metric, resources, rows[i].field);
	expo_metric(expo, &objects);
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		expo_count(expo, store_count(daemon->store, kind), LABELS(object_kind(kind)->name));
	one_count(expo, &synced, daemon->source && source_synced(daemon->source));
	one_count(expo, &current, daemon->source && source_current(daemon->source));
}

// ---- flows ---------------------------------------------------------------------------------------------------------

// Each number of an object, by its key.
static void by_key(struct expo *expo, const struct metric *metric, struct json_object *object)
{
	expo_metric(expo, metric);
	if (!object)
		return;
	json_object_object_foreach(object, key, value)
		expo_count(expo, (uint64_t)json_object_get_int64(value), LABELS(key));
}

static void collect_sinks(struct expo *expo, struct json_object *sinks)
{
	static const struct {
		struct metric metric;
		const char *field;
	} rows[] = {
		{ COUNTER("sink_offered", "Records that the sink's filter let through.", BY("sink")), "offered" },
		{ COUNTER("sink_delivered", "Of those, records that were handed on.", BY("sink")), "delivered" },
		{ COUNTER("sink_lost_full", "Of those, records lost as the sink's queue was full.", BY("sink")), "lost_full" },
		{ COUNTER("sink_lost_error", "Of those, records lost as the transport failed.", BY("sink")), "lost_error" },
		{ COUNTER("sink_failures", "Tries to connect or to write that failed.", BY("sink")), "failures" },
		{ COUNTER("sink_bytes", "What the sink handed on.", UNIT("bytes"), BY("sink")), "bytes" },
		{ GAUGE("sink_queued_bytes", "What waits in the sink's queue.", UNIT("bytes"), BY("sink")), "queued_bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		by_name(expo, &rows[i].metric, sinks, rows[i].field);
}

// Not with --flows off.
static void collect_flows(struct expo *expo, struct daemon *daemon)
{
	static const struct metric told = COUNTER("flow_records", "Records of flows that were told, by type.", BY("type"));
	static const struct metric lost = COUNTER("flow_records_lost", "What was not told of flows, or without names.", BY("cause"));
	static const struct metric flows = GAUGE("flows", "Flows that are recorded now.");
	_cleanup_json_ struct json_object *status = daemon->recorder ? recorder_status(daemon->recorder) : NULL;
	struct json_object *part = NULL;

	if (!status)
		return;
	json_object_object_get_ex(status, "told", &part);
	by_key(expo, &told, part);
	part = NULL;
	json_object_object_get_ex(status, "lost", &part);
	by_key(expo, &lost, part);
	part = NULL;
	json_object_object_get_ex(status, "flows", &part);
	one_count(expo, &flows, (uint64_t)json_object_get_int64(part));
	part = NULL;
	json_object_object_get_ex(status, "sinks", &part);
	collect_sinks(expo, part);
}

// ---- the agent -----------------------------------------------------------------------------------------------------

static void count_problem(void *arg, enum kind kind, const char *ns, const char *name, const char *text)
{
	++*(uint64_t *)arg;
}

static void add_condition(void *arg, const char *name, bool holds)
{
	expo_count(arg, holds, LABELS(name));
}

static void collect_health(struct expo *expo, struct daemon *daemon)
{
	static const struct metric ready = GAUGE("ready", "1: all that was read is in force or on its way, and nothing is known to fail.");
	static const struct metric conditions = GAUGE("ready_condition", "1: this part of readiness holds.", BY("condition"));
	static const struct metric problems =
		GAUGE("problems", "What is not enforced or not read as written: status lists them.", BY("origin"));
	static const struct metric seen = GAUGE("generation_seen", "Number of the last change that was read.");
	static const struct metric applied = GAUGE("generation_applied", "Number of the change up to which all is in force.");
	static const struct {
		struct metric metric;
		size_t offset;
	} rows[] = {
		{ COUNTER("watchdog_repairs", "Programs or pins that somebody had removed and that were put back."),
		  offsetof(struct daemon, watchdog_repairs) },
		{ COUNTER("attach_failures", "Programs that could not be put on a pod's device; each is tried again."),
		  offsetof(struct daemon, attach_failures) },
		{ COUNTER("device_scans", "Looks at this node's devices."), offsetof(struct daemon, scans) },
		{ COUNTER("device_scans_incomplete", "Such looks that did not see all."),
		  offsetof(struct daemon, scans_incomplete) },
	};
	uint64_t of_policies = 0;

	one_count(expo, &ready, daemon_ready(daemon));
	expo_metric(expo, &conditions);
	daemon_condition_each(daemon, add_condition, expo);
	policy_problem_each(daemon->policy, count_problem, &of_policies);
	expo_metric(expo, &problems);
	expo_count(expo, daemon->problems.n, LABELS("agent"));
	expo_count(expo, of_policies, LABELS("policy"));
	one_count(expo, &seen, store_generation(daemon->store));
	one_count(expo, &applied, daemon->applied);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		one_count(expo, &rows[i].metric, *(const uint64_t *)((const char *)daemon + rows[i].offset));
}

static void collect_process(struct expo *expo, struct daemon *daemon)
{
	static const struct metric build =
		INFO("build", "This agent's version, commit, and layout of tables.", BY("version", "commit", "abi"));
	static const struct metric settings = INFO("agent", "This node's name and how the agent was started.", BY("node", "mode"));
	static const struct metric start =
		GAUGE("process_start_time_seconds", "When the agent started, since 1970; its counters begin then.", UNIT("seconds"));
	static const struct metric cpu = COUNTER("process_cpu_seconds", "Processor time of the agent.", UNIT("seconds"));
	static const struct metric rss =
		GAUGE("process_resident_memory_bytes", "Memory of the agent, without the kernel's tables.", UNIT("bytes"));
	static const struct metric fds = GAUGE("process_open_fds", "File descriptors in use.");
	static const struct metric most = GAUGE("process_max_fds", "File descriptors that may be in use.");
	struct process_use use;

	process_use(&use);
	expo_metric(expo, &build);
	expo_count(expo, 1, LABELS(VERSION, COMMIT, TEXT(BH_ABI_VERSION)));
	expo_metric(expo, &settings);
	expo_count(expo, 1, LABELS(daemon->config->node, daemon->config->policies_mode ? "audit" : "enforce"));
	one_count(expo, &start, (uint64_t)daemon->meter.started_sec);
	one_real(expo, &cpu, seconds(use.cpu_ns));
	one_count(expo, &rss, use.rss_bytes);
	one_count(expo, &fds, use.fds);
	one_count(expo, &most, use.fds_max);
}

static void collect_pages(struct expo *expo, struct daemon *daemon)
{
	static const struct metric pages = HISTOGRAM("metrics_page_seconds", "Writing this page, which takes the agent's loop so long; all but the last one.");

	expo_metric(expo, &pages);
	expo_histogram(expo, &daemon->meter.pages, NULL);
}

int daemon_metrics(void *arg, struct http_reply *reply)
{
	static void (*const collectors[])(struct expo *expo, struct daemon *daemon) = {
		collect_process, collect_health,    collect_endpoints, collect_verdicts, collect_connections,
		collect_stats,	 collect_tables,    collect_policy,    collect_times,	 collect_source,
		collect_flows,	 collect_pages,
	};
	struct expo expo = { .page = reply->page, .open = expo_wants_open(reply->accept) };
	int64_t start = meter_now_ns();
	struct daemon *daemon = arg;

	reply->type = expo.open ? EXPO_TYPE_OPEN : EXPO_TYPE_TEXT;
	meter_read(&daemon->meter, daemon);
	for (size_t i = 0; i < ARRAY_SIZE(collectors); i++)
		collectors[i](&expo, daemon);
	expo_end(&expo);
	meter_since(&daemon->meter.pages, start);
	return 200;
}
