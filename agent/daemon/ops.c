// SPDX-License-Identifier: Apache-2.0
// ops.c - the control socket's operations: the table, status, version, sync.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/daemon/health.h"
#include "agent/daemon/install.h"
#include "agent/daemon/json.h"
#include "agent/daemon/report.h"
#include "agent/metrics/process.h"
#include "agent/recorder/recorder.h"
#include "commit.h"

static void add_endpoints(struct json_object *json, struct daemon *daemon)
{
	struct json_object *counts = add_object(json, "endpoints");
	uint64_t total = 0, waiting = 0, quarantine = 0, open = 0, enforce = 0;
	const struct endpoint *e;
	size_t attachments = 0;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++) {
		const char *state = endpoint_state(daemon, e);

		total++;
		waiting += strcmp(state, "waiting") == 0;
		quarantine += strcmp(state, "quarantine") == 0;
		open += strcmp(state, "open") == 0;
		enforce += strcmp(state, "enforce") == 0;
	}
	add_number(counts, "total", total);
	add_number(counts, "waiting", waiting);
	add_number(counts, "quarantine", quarantine);
	add_number(counts, "open", open);
	add_number(counts, "enforce", enforce);
	while (endpoints_attachment_at(daemon->endpoints, attachments))
		attachments++;
	add_number(counts, "attachments", attachments);
}

static void add_policy(struct json_object *json, const struct daemon *daemon)
{
	struct json_object *sizes = add_object(json, "policy");
	struct policy_stats stats;

	policy_stats(daemon->policy, &stats);
	add_number(sizes, "peer_classes", stats.peer_classes);
	add_number(sizes, "port_classes", stats.port_classes);
	add_number(sizes, "peers", stats.peers);
	add_number(sizes, "cidrs", stats.cidrs);
	add_number(sizes, "matrices", stats.matrices);
	add_number(sizes, "matrix_bytes", stats.matrix_bytes);
	add_number(sizes, "sparse_cells", stats.sparse_cells);
	add_number(sizes, "rules", stats.rules);
	add_number(sizes, "services", stats.services);
	add_number(sizes, "service_keys", stats.service_keys);
	add_number(sizes, "service_keys_mixed", stats.mixed);
	add_number(sizes, "service_selves", stats.selves);
	add_number(sizes, "compiles", stats.compiles);
}

static void add_stats(struct json_object *json, const struct daemon *daemon)
{
	static const char *const names[BH_STAT_MAX] = {
		[BH_STAT_TOTAL_OVERFLOW] = "total_overflow",
		[BH_STAT_DENIED_OVERFLOW] = "denied_overflow",
		[BH_STAT_CT_FULL] = "connections_table_full",
		[BH_STAT_CT_QUOTA] = "connections_over_quota",
		[BH_STAT_CT_REJUDGED] = "connections_rejudged",
		[BH_STAT_CT_CUT] = "connections_cut",
		[BH_STAT_CLASS_RETRY] = "class_retries",
		[BH_STAT_NO_JUDGE] = "no_judge",
		[BH_STAT_TRANSLATED] = "translated_judged",
		[BH_STAT_FLOW_LOST] = "flows_lost",
	};
	struct json_object *stats = add_object(json, "stats");
	uint64_t values[BH_STAT_MAX] = { 0 };

	tables_stats_get(daemon->tables, values);
	for (int i = 0; i < BH_STAT_MAX; i++) {
		if (names[i])
			add_number(stats, names[i], values[i]);
	}
	add_number(stats, "namespace_scans", daemon->scans);
	add_number(stats, "namespace_scans_incomplete", daemon->scans_incomplete);
	add_number(stats, "processes_hidden", daemon->strangers);
	add_number(stats, "attach_rounds", daemon->round);
	add_number(stats, "attach_failures", daemon->attach_failures);
	add_number(stats, "watchdog_repairs", daemon->watchdog_repairs);
	add_number(stats, "half_open_evicted", daemon->meter.sweeps ? daemon->sweep.half_evicted : daemon->meter.half_evicted);
	add_number(stats, "swept_expired", daemon->sweep.expired);
	add_number(stats, "denied_forgotten", daemon->meter.denied_forgotten);
}

static void add_policy_problem(void *arg, enum kind kind, const char *ns, const char *name,
			       const char *text)
{
	struct json_object *one = json_object_new_object();
	char where[400];

	snprintf(where, sizeof(where), "%s %s%s%s", object_kind(kind)->name, ns ? ns : "",
		 ns ? "/" : "", name);
	add_text(one, "where", where);
	add_text(one, "text", text);
	json_object_array_add(arg, one);
}

static void add_problems(struct json_object *json, const struct daemon *daemon)
{
	struct json_object *list = add_array(json, "problems");

	vec_each(const struct problem, p, &daemon->problems) {
		struct json_object *one = json_object_new_object();

		add_text(one, "where", p->where);
		add_text(one, "text", p->text);
		json_object_array_add(list, one);
	}
	if (daemon->problems_more) {
		struct json_object *one = json_object_new_object();

		add_text(one, "where", "problems");
		add_text(one, "text", "there were more than are listed: mend these first");
		json_object_array_add(list, one);
	}
	policy_problem_each(daemon->policy, add_policy_problem, list);
}

static void add_apply(struct json_object *json, const struct daemon *daemon)
{
	struct json_object *last = add_object(json, "last_apply"), *generation;

	add_number(last, "steps", daemon->last.steps);
	add_number(last, "waits", daemon->last.waits);
	add_number(last, "work_us", daemon->last.work_ns / 1000);
	add_number(last, "wait_us", daemon->last.wait_ns / 1000);
	if (daemon->applied_ms)
		add_number(last, "age_sec", (uint64_t)(daemon_now_ms() - daemon->applied_ms) / 1000);
	generation = add_object(json, "generation");
	add_number(generation, "seen", store_generation(daemon->store));
	add_number(generation, "applied", daemon->applied);
}

static void add_repair(struct json_object *json, const struct daemon *daemon)
{
	struct json_object *repair;

	if (!daemon->repair.ms)
		return;
	repair = add_object(json, "last_repair");
	add_text(repair, "where", daemon->repair.what);
	add_text(repair, "text", daemon->repair.why);
	add_number(repair, "age_sec", (uint64_t)(daemon_now_ms() - daemon->repair.ms) / 1000);
}

static void add_unready_one(void *arg, const char *name, const char *text)
{
	struct json_object *one = json_object_new_object();

	add_text(one, "name", name);
	add_text(one, "text", text);
	json_object_array_add(arg, one);
}

// Judges behind the translation of Services: in force or not, and where.
static void add_hook(struct json_object *json, const struct daemon *daemon)
{
	struct json_object *hook = json_object_new_object(), *priorities = json_object_new_object();
	struct hook_place places[HOOK_PLACES];

	hook_places(daemon->tables, places);
	add_bool(hook, "needed", daemon->mixed > 0);
	add_bool(hook, "in_force", tables_node_has(daemon->tables, BH_NODE_HOOK));
	for (int i = 0; i < HOOK_PLACES; i++)
		if (places[i].attached)
			json_object_object_add(priorities, places[i].name,
					       json_object_new_int(places[i].priority));
	json_object_object_add(hook, "priorities", priorities);
	json_object_object_add(json, "netfilter", hook);
}

int op_status(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	static const char *const attaches[] = { "auto", "tcx", "clsact" };
	struct daemon *daemon = arg;
	struct json_object *json = json_object_new_object();

	add_text(json, "version", VERSION);
	add_text(json, "commit", COMMIT);
	add_text(json, "node", daemon->config->node);
	add_number(json, "uptime_sec", (uint64_t)(daemon_now_ms() - daemon->started_ms) / 1000);
	add_bool(json, "synced", daemon->source && source_synced(daemon->source));
	add_text(json, "mode", daemon->config->policies_mode ? "audit" : "enforce");
	add_bool(json, "ready", daemon_ready(daemon));
	daemon_unready_each(daemon, add_unready_one, add_array(json, "unready"));
	add_apply(json, daemon);
	if (daemon->source)
		json_object_object_add(json, "source", daemon->source->ops->describe(daemon->source));
	if (daemon->report)
		json_object_object_add(json, "report", report_describe(daemon->report));
	if (daemon->install)
		json_object_object_add(json, "cni", install_describe(daemon->install));
	add_endpoints(json, daemon);
	add_text(json, "attach", attaches[daemon->config->attach]);
	add_hook(json, daemon);
	add_repair(json, daemon);
	add_policy(json, daemon);
	json_object_object_add(json, "tables", tables_memory(daemon->tables));
	add_number(json, "rss_bytes", process_rss_bytes());
	if (daemon->recorder)
		json_object_object_add(json, "flows", recorder_status(daemon->recorder));
	add_stats(json, daemon);
	add_problems(json, daemon);
	*ret = json;
	return 0;
}

int op_version(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct json_object *json = json_object_new_object();

	add_text(json, "version", VERSION);
	add_text(json, "commit", COMMIT);
	add_number(json, "abi", BH_ABI_VERSION);
	*ret = json;
	return 0;
}

static bool in_force(const struct daemon *daemon, const char *namespace)
{
	return store_find(daemon->store, KIND_NAMESPACE, NULL, namespace) && !daemon->busy &&
	       !daemon->dirty && !daemon->held && !daemon->lacking &&
	       daemon->applied == store_generation(daemon->store) &&
	       !endpoints_want_scan(daemon->endpoints);
}

static struct json_object *sync_json(const struct daemon *daemon)
{
	struct json_object *json = json_object_new_object();

	add_number(json, "applied", daemon->applied);
	return json;
}

int op_sync(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	struct sync_request sync = { 0 };
	const char *namespace;
	int r;

	r = control_string(request, "namespace", &namespace, reterr);
	if (r < 0)
		return r;
	if (in_force(daemon, namespace)) {
		*ret = sync_json(daemon);
		return 0;
	}
	sync.namespace = strdup(namespace);
	if (!sync.namespace || vec_reserve(&daemon->syncs, 1) < 0) {
		free(sync.namespace);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	sync.answer = control_defer(daemon->control);
	if (!sync.answer) {
		free(sync.namespace);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	vec_push(&daemon->syncs, sync);
	return -EINPROGRESS;
}

void daemon_sync_answer(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->syncs.n; i++) {
		struct sync_request sync = daemon->syncs.v[i];

		if (!in_force(daemon, sync.namespace))
			continue;
		vec_drop(&daemon->syncs, i--);
		control_answer(sync.answer, sync_json(daemon), NULL);
		free(sync.namespace);
	}
}

void daemon_sync_refuse(struct daemon *daemon)
{
	struct err err = { 0 };

	err_set(&err, -ECANCELED, "the agent is leaving");
	vec_each(struct sync_request, sync, &daemon->syncs) {
		control_answer(sync->answer, NULL, &err);
		free(sync->namespace);
	}
	vec_clear(&daemon->syncs);
}

const struct control_op daemon_ops[] = {
	{ "status", op_status },
	{ "version", op_version },
	{ "sync", op_sync },
	{ "endpoint.list", op_endpoint_list },
	{ "endpoint.get", op_endpoint_get },
	{ "policy.list", op_policy_list },
	{ "policy.show", op_policy_show },
	{ "explain", op_explain },
	{ "ct.list", op_ct_list },
	{ "ct.flush", op_ct_flush },
	{ "flows", op_flows },
	{ "objects", op_objects },
	{ "cni.add", op_cni_add },
	{ "cni.del", op_cni_del },
	{ "cni.check", op_cni_check },
	{ "cni.gc", op_cni_gc },
	{ "cni.status", op_cni_status },
	{ NULL },
};
