// SPDX-License-Identifier: Apache-2.0
// daemon.c - opens the rooms in order, wires their events, takes them down in reverse.
#include "agent/daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/bpf/feature.h"
#include "agent/daemon/cycle.h"
#include "agent/daemon/health.h"
#include "agent/daemon/install.h"
#include "agent/daemon/report.h"
#include "agent/recorder/recorder.h"
#include "agent/source/keep.h"

LOG_ROOM("daemon");

#define KEEP_NAME "last-good" // in the run folder: see keep.h
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 25600

enum daemon_timer { TIMER_SWEEP, TIMER_WATCH, TIMER_RETRY, TIMER_PLAN, TIMER_MOVE, TIMER_SUSPECT, TIMER_MAX };

// ---- events of the rooms ----------------------------------------------------------------------------------

static void on_store(void *arg, const struct object *before, const struct object *after)
{
	struct daemon *daemon = arg;
	const struct object *any = after ? after : before;

	pthread_mutex_lock(&daemon->naming);
	policy_changed(daemon->policy, before, after);
	pthread_mutex_unlock(&daemon->naming);
	if (daemon->recorder)
		recorder_changed(daemon->recorder, before, after);
	endpoints_changed(daemon->endpoints, before, after);
	if (any->kind == KIND_POD)
		daemon_retry_soon(daemon);
	if (any->kind == KIND_NODE && strcmp(any->name, daemon->config->node) == 0)
		daemon_node_changed(daemon, (const struct node *)before, (const struct node *)after);
	if (any->kind == KIND_CLUSTERNETPOL || any->kind == KIND_NETPOL)
		daemon_report_policy(daemon);
	if (daemon->source && source_synced(daemon->source))
		meter_changed(&daemon->meter, store_generation(daemon->store), any->kind);
	daemon->dirty = true;
}

static void on_batch(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->held)
		daemon_plan_in(daemon, PLAN_CHANGED_MS);
	daemon_cni_ask(daemon);
	daemon_kick(daemon);
	daemon_sync_answer(daemon);
	daemon_cni_answer(daemon);
}

static void on_problem(void *arg, const char *where, const char *text)
{
	daemon_problem(arg, where, text);
	if (strncmp(where, "ClusterNetworkPolicy ", 21) == 0) // maybe one that never gets into the store
		daemon_report_policy(arg);
}

static void on_joined(void *arg, const struct endpoint *e)
{
	struct daemon *daemon = arg;
	int r = policy_endpoint_add(daemon->policy, e->ns, e->name, e->slot);

	if (r < 0)
		log_error("'%s/%s' cannot be compiled: %s", e->ns, e->name, strerror(-r));
	daemon->dirty = true;
}

static void on_left(void *arg, const struct endpoint *e)
{
	struct daemon *daemon = arg;

	policy_endpoint_remove(daemon->policy, e->slot);
	daemon->dirty = true;
}

static void on_refused(void *arg, const struct attachment *attachment, int r, const char *why)
{
	daemon_cni_refused(arg, attachment, r, why);
}

static void on_fetched(void *arg, const char *ns, const char *name, const char *uid, int r, const char *why)
{
	daemon_cni_fetched(arg, ns, name, uid, r, why);
}

static void on_address(void *arg, const struct bh_addr *addr, bool present)
{
	struct daemon *daemon = arg;

	daemon_host_addr(daemon, addr, present);
	if (daemon->recorder)
		recorder_host(daemon->recorder, addr, present);
	daemon->readdressed = true;
}

// Else a device that comes is looked at with the next watch: a pod that it will be given to is not known yet, and by
// the CNI plugin nobody looks for it at all.
static bool awaits_device(const struct daemon *daemon)
{
	return endpoints_waiting(daemon->endpoints) || endpoints_unowned(daemon->endpoints) || !daemon->scanned;
}

static void on_device(void *arg, int ifindex, bool present)
{
	struct daemon *daemon = arg;

	daemon_early_device(daemon, ifindex, present);
	if (!present)
		endpoints_device_gone(daemon->endpoints, ifindex);
	if (awaits_device(daemon))
		endpoints_devices_changed(daemon->endpoints);
	else
		daemon->device_due = true;
	daemon_retry_soon(daemon);
	daemon_kick(daemon);
}

static void on_overrun(void *arg)
{
	struct daemon *daemon = arg;

	log_warn("network events were lost: looking at everything again");
	endpoints_devices_changed(daemon->endpoints);
	on_device(daemon, 0, true);
}

static void on_filters(void *arg, int ifindex)
{
	daemon_suspect(arg, ifindex);
}

static void worker_ready(evutil_socket_t fd, short what, void *arg)
{
	worker_dispatch(((struct daemon *)arg)->worker);
}

static void links_ready(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *daemon = arg;
	int r = link_monitor_read(daemon->links);

	if (r < 0)
		log_warn("reading network events: %s", strerror(-r));
}

static void signalled(evutil_socket_t number, short what, void *arg)
{
	struct daemon *daemon = arg;

	log_info("%s: leaving, what is in force stays in force",
		 number == SIGTERM ? "SIGTERM" : "SIGINT");
	event_base_loopbreak(daemon->base);
}

static void sweep_due(evutil_socket_t fd, short what, void *arg)
{
	daemon_sweep(arg);
}

static void watch_due(evutil_socket_t fd, short what, void *arg)
{
	daemon_watch(arg);
}

// Pods that wait for their veth or its address, attachments and plans that failed: soon after something
// happened, then less and less often.
static void retry_arm(struct daemon *daemon)
{
	struct timeval delay = { daemon->retry_ms / 1000, daemon->retry_ms % 1000 * 1000 };

	if (daemon->timers[TIMER_RETRY])
		event_add(daemon->timers[TIMER_RETRY], &delay);
}

void daemon_retry_soon(struct daemon *daemon)
{
	if (daemon->retry_ms == RETRY_MIN_MS)
		return;
	daemon->retry_ms = RETRY_MIN_MS;
	retry_arm(daemon);
}

static void retry_due(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *daemon = arg;

	daemon_retry(daemon);
	if (daemon->retry_ms < RETRY_MAX_MS)
		daemon->retry_ms *= 2;
	retry_arm(daemon);
}

void daemon_plan_in(struct daemon *daemon, unsigned ms)
{
	struct timeval delay = { ms / 1000, ms % 1000 * 1000 }, now, then, due;
	struct event *timer = daemon->timers[TIMER_PLAN];

	if (!timer)
		return;
	evutil_gettimeofday(&now, NULL);
	evutil_timeradd(&now, &delay, &then);
	if (!event_pending(timer, EV_TIMEOUT, &due) || evutil_timercmp(&then, &due, <))
		event_add(timer, &delay);
}

static void plan_due(evutil_socket_t fd, short what, void *arg)
{
	daemon_plan_due(arg);
}

static void suspects_due(evutil_socket_t fd, short what, void *arg)
{
	daemon_suspects_due(arg);
}

void daemon_suspects_in(struct daemon *daemon, unsigned ms)
{
	struct timeval delay = { ms / 1000, ms % 1000 * 1000 };
	struct event *timer = daemon->timers[TIMER_SUSPECT];

	if (timer && !event_pending(timer, EV_TIMEOUT, NULL))
		event_add(timer, &delay);
}

static void move_due(evutil_socket_t fd, short what, void *arg)
{
	daemon_move(arg);
}

// Also puts off what was to come sooner.
void daemon_move_later(struct daemon *daemon)
{
	struct timeval pause = { MOVE_PAUSE_MS / 1000, MOVE_PAUSE_MS % 1000 * 1000 };

	if (daemon->timers[TIMER_MOVE])
		event_add(daemon->timers[TIMER_MOVE], &pause);
}

// ---- opening ----------------------------------------------------------------------------------------------

static int timer_add(struct daemon *daemon, enum daemon_timer which, event_callback_fn fn,
		     struct timeval period)
{
	daemon->timers[which] = event_new(daemon->base, -1, EV_PERSIST, fn, daemon);
	if (!daemon->timers[which] || event_add(daemon->timers[which], &period) < 0)
		return -ENOMEM;
	return 0;
}

static int loop_open(struct daemon *daemon)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	int r;

	daemon->base = http_loop_new();
	if (!daemon->base)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		daemon->signals[i] = evsignal_new(daemon->base, numbers[i], signalled, daemon);
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	r = worker_new("bulkhead-tables", &daemon->worker);
	if (r < 0)
		return r;
	daemon->worker_event = event_new(daemon->base, worker_fd(daemon->worker),
					 EV_READ | EV_PERSIST, worker_ready, daemon);
	if (!daemon->worker_event || event_add(daemon->worker_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int daemon_policy_new(struct daemon *daemon, struct policy **ret)
{
	const struct config *c = daemon->config;
	struct policy_limits limits = {
		.endpoints = (uint32_t)c->endpoints, .peers = (uint32_t)c->peers,
		.cidrs = (uint32_t)c->cidrs, .peer_classes = (uint32_t)c->peer_classes,
		.port_classes = (uint32_t)c->port_classes, .policies = (uint32_t)c->policies,
		.dense_cells = (uint32_t)c->dense_cells, .dense_total = (uint32_t)c->dense_total,
		.sparse_cells = (uint32_t)c->sparse_cells,
		.services = (uint32_t)c->services, .selves = (uint32_t)c->selves,
		.object_share = (uint32_t)c->policy_share,
		.namespace_share = (uint32_t)c->namespace_share,
		.audit = c->policies_mode == 1,
	};
	int r;

	r = policy_new(daemon->store, &limits, ret);
	if (r >= 0)
		policy_set_node(*ret, daemon->config->node);
	return r;
}

static int tables_and_policy_open(struct daemon *daemon, struct err *reterr)
{
	const struct config *c = daemon->config;
	struct tables_config sizes = {
		.pin_dir = c->pin_dir, .endpoints = (uint32_t)c->endpoints,
		.peers = (uint32_t)c->peers, .cidrs = (uint32_t)c->cidrs,
		.policies = (uint32_t)c->policies, .sparse_cells = (uint32_t)c->sparse_cells,
		.ct = (uint32_t)c->ct, .half = (uint32_t)c->half, .frags = (uint32_t)c->frags,
		.denied = (uint32_t)c->denied, .totals = (uint32_t)c->totals,
		.services = (uint32_t)c->services, .selves = (uint32_t)c->selves,
		.backends = (uint32_t)c->backends,
	};
	int r;

	r = tables_open(&sizes, &daemon->tables, &daemon->adopted, reterr);
	if (r < 0)
		return r;
	r = meter_open(&daemon->meter, daemon->tables, (uint32_t)c->metrics_policies);
	if (r >= 0)
		r = store_new(&daemon->store);
	if (r >= 0)
		r = daemon_policy_new(daemon, &daemon->policy);
	return r < 0 ? err_set(reterr, r, "%s", strerror(-r)) : 0;
}

// Loaded while there is room. Nobody's ident: whatever passes them is dropped as stale.
static int closed_open(struct daemon *daemon, struct err *reterr)
{
	return program_load(daemon->tables, &(struct program_config){ .variant = PROGRAM_TRACK },
			    &daemon->closed, reterr);
}

// Where it is chosen for each device, most begin with filters.
static enum bh_attach attach_mode(const struct config *config)
{
	static const enum bh_attach modes[] = { BH_ATTACH_CLSACT, BH_ATTACH_TCX, BH_ATTACH_CLSACT };

	return modes[config->attach];
}

static int endpoints_open(struct daemon *daemon, struct err *reterr)
{
	struct endpoint_events events = { daemon, on_joined, on_left, on_problem, on_refused };
	const struct config *c = daemon->config;
	struct endpoint_config config = {
		.node = c->node,
		.attach = attach_mode(c),
		.flags = (c->router_advertisements ? BH_EP_RA_OFF : 0) |
			 (c->source_checks ? BH_EP_REPORT_SPOOF : 0),
	};
	int r;

	r = endpoints_new(daemon->tables, daemon->store, &config, &events, &daemon->endpoints);
	if (r >= 0 && daemon->adopted)
		r = endpoints_inherit(daemon->endpoints);
	if (r >= 0)
		r = store_subscribe(daemon->store, on_store, daemon);
	return r < 0 ? err_set(reterr, r, "%s", strerror(-r)) : 0;
}

static int links_open(struct daemon *daemon, struct err *reterr)
{
	struct link_events events = { daemon, on_address, on_device, on_overrun, on_filters };
	int r;

	r = link_monitor_new(&events, &daemon->links, reterr);
	if (r < 0)
		return r;
	r = link_monitor_dump(daemon->links);
	if (r < 0)
		return err_set(reterr, r, "reading the host's addresses: %s", strerror(-r));
	daemon->links_event = event_new(daemon->base, link_monitor_fd(daemon->links),
					EV_READ | EV_PERSIST, links_ready, daemon);
	if (!daemon->links_event || event_add(daemon->links_event, NULL) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

static int socket_open(struct daemon *daemon, struct err *reterr)
{
	char path[256];

	if (mkdir(daemon->config->run_dir, 0700) < 0 && errno != EEXIST)
		return err_set(reterr, -errno, "--run-dir %s: %s", daemon->config->run_dir,
			       strerror(errno));
	snprintf(path, sizeof(path), "%s/%s", daemon->config->run_dir, BH_SOCKET_NAME);
	return control_server_new(daemon->base, path, daemon_ops, daemon, &daemon->control, reterr);
}

static int timers_open(struct daemon *daemon)
{
	const struct config *c = daemon->config;
	int r;

	r = timer_add(daemon, TIMER_SWEEP, sweep_due, (struct timeval){ (time_t)c->sweep_sec, 0 });
	if (r >= 0)
		r = timer_add(daemon, TIMER_WATCH, watch_due,
			      (struct timeval){ (time_t)c->watch_sec, 0 });
	daemon->timers[TIMER_RETRY] = evtimer_new(daemon->base, retry_due, daemon);
	daemon->timers[TIMER_PLAN] = evtimer_new(daemon->base, plan_due, daemon);
	daemon->timers[TIMER_SUSPECT] = evtimer_new(daemon->base, suspects_due, daemon);
	if (program_can_move() && c->attach != CONFIG_ATTACH_CLSACT)
		daemon->timers[TIMER_MOVE] = evtimer_new(daemon->base, move_due, daemon);
	if (!daemon->timers[TIMER_RETRY] || !daemon->timers[TIMER_PLAN] || !daemon->timers[TIMER_SUSPECT])
		return -ENOMEM;
	daemon_move_later(daemon);
	daemon->plan_ms = PLAN_RETRY_MIN_MS;
	daemon->retry_ms = 0; // objects that came before could not arm it
	daemon_retry_soon(daemon);
	return r;
}

static int open_all(struct daemon *daemon, struct err *reterr)
{
	const struct config *c = daemon->config;
	struct source_events events = {
		.arg = daemon,
		.batch = on_batch,
		.problem = on_problem,
		.fetched = on_fetched,
		.keep = daemon->keep,
		.server = { c->service_account, (uint32_t)c->api_pause_sec, (uint32_t)c->api_watch_sec,
			    (uint32_t)c->api_absent_sec, (uint32_t)c->api_cut_off_sec },
	};
	int r;

	r = feature_force_off(daemon->config->force_off, reterr);
	if (r >= 0)
		r = feature_check(reterr);
	if (r < 0)
		return r;
	r = loop_open(daemon);
	if (r < 0)
		return err_set(reterr, r, "event loop: %s", strerror(-r));
	r = tables_and_policy_open(daemon, reterr); // first: no other agent runs here from now on
	if (r >= 0)
		r = socket_open(daemon, reterr);
	if (r >= 0)
		r = closed_open(daemon, reterr);
	if (r >= 0)
		r = daemon_flows_open(daemon, reterr);
	if (r >= 0)
		r = endpoints_open(daemon, reterr);
	if (r >= 0)
		r = daemon_cni_open(daemon, reterr);
	if (r >= 0)
		r = daemon_early_open(daemon, reterr);
	if (r >= 0)
		r = links_open(daemon, reterr);
	if (r < 0)
		return r;
	events.in_force = daemon->adopted;
	r = source_open(daemon->config->source, daemon->base, daemon->store, &events,
				&daemon->source, reterr);
	if (r < 0)
		return err_wrap(reterr, "--source %s", daemon->config->source);
	r = timers_open(daemon);
	if (r >= 0)
		r = daemon_report_open(daemon);
	if (r < 0)
		return err_set(reterr, r, "timers: %s", strerror(-r));
	daemon_http_open(daemon);
	daemon->dirty = true;
	daemon_kick(daemon);
	r = install_open(daemon, &daemon->install); // last: from here on pods ask while they start
	if (r < 0)
		return err_set(reterr, r, "--cni-conf-dir: %s", strerror(-r));
	return 0;
}

int daemon_open(struct daemon *daemon, const struct config *config, struct err *reterr)
{
	int r;

	memset(daemon, 0, sizeof(*daemon));
	daemon->config = config;
	snprintf(daemon->keep, sizeof(daemon->keep), "%s/" KEEP_NAME, config->run_dir);
	daemon->closed = (struct program_pair){ -1, -1 };
	daemon->mixed = -1;
	daemon->started_ms = daemon_now_ms();
	pthread_mutex_init(&daemon->naming, NULL);
	r = open_all(daemon, reterr);
	if (r < 0) {
		bool fresh = daemon->tables && !daemon->adopted;
		struct err ignored = { 0 };

		daemon_close(daemon);
		if (fresh) // nobody's state: a start that failed leaves nothing
			tables_unpin(config->pin_dir, &ignored);
	}
	return r;
}

static void event_drop(struct event *event)
{
	if (event)
		event_free(event);
}

void daemon_close(struct daemon *daemon)
{
	for (size_t i = 0; i < ARRAY_SIZE(daemon->timers); i++)
		event_drop(TAKE_PTR(daemon->timers[i]));
	daemon_sync_refuse(daemon);
	daemon_cni_refuse(daemon);
	daemon_flows_refuse(daemon);
	daemon_objects_close(daemon);
	install_close(daemon->install);
	daemon->install = NULL;
	control_server_free(daemon->control);
	daemon->control = NULL;
	http_server_free(daemon->http);
	daemon->http = NULL;
	report_free(daemon->report);
	daemon->report = NULL;
	source_close(daemon->source);
	daemon->source = NULL; // no further cycle begins
	if (!worker_stop(daemon->worker, LEAVE_AFTER_MS)) {
		log_error("the helper thread does not come back: leaving without it");
		_exit(EXIT_FAILURE);
	}
	worker_free(daemon->worker);
	event_drop(daemon->worker_event);
	event_drop(daemon->links_event);
	link_monitor_free(daemon->links);
	daemon_flows_close(daemon);
	endpoints_free(daemon->endpoints);
	policy_free(daemon->policy);
	store_free(daemon->store);
	program_pair_close(&daemon->closed);
	meter_close(&daemon->meter);
	tables_close(daemon->tables);
	for (size_t i = 0; i < ARRAY_SIZE(daemon->signals); i++)
		event_drop(daemon->signals[i]);
	if (daemon->base) {
		event_base_loop(daemon->base, EVLOOP_NONBLOCK); // a callback put off holds its connection: event_base_free leaks it
		event_base_free(daemon->base);
	}
	while (daemon->problems.n)
		daemon_problem(daemon, daemon->problems.v[0].where, NULL);
	vec_fini(&daemon->problems);
	vec_fini(&daemon->spared);
	vec_fini(&daemon->host_addrs);
	vec_fini(&daemon->syncs);
	vec_fini(&daemon->adds);
	pthread_mutex_destroy(&daemon->naming);
}

int daemon_run(struct daemon *daemon)
{
	int r = event_base_dispatch(daemon->base);

	if (r >= 0 && daemon->report)
		report_leave(daemon->report);
	return r < 0 ? -EIO : 0;
}

static bool agent_runs(const char *path)
{
	_cleanup_json_ struct json_object *request = json_object_new_object(), *answer = NULL;
	struct err ignored = { 0 };

	if (!request || access(path, F_OK) < 0)
		return false;
	json_object_object_add(request, "op", json_object_new_string("version"));
	return control_call(path, request, 5, &answer, &ignored) >= 0;
}

int daemon_cleanup(const struct config *config, struct err *reterr)
{
	char path[256];
	int r;

	snprintf(path, sizeof(path), "%s/%s", config->run_dir, BH_SOCKET_NAME);
	if (agent_runs(path))
		return err_set(reterr, -EBUSY,
			       "an agent is running on %s: stop it first, it would attach again", path);
	r = install_undo(config, reterr); // first: a plugin without an agent starts no pod
	if (r >= 0)
		r = program_detach_all(config->pin_dir, reterr);
	if (r >= 0)
		r = tables_unpin(config->pin_dir, reterr);
	if (r >= 0)
		r = daemon_forget(config, reterr);
	if (r >= 0)
		r = records_remove(daemon_cni_folder(config, path, sizeof(path)), reterr);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/%s", config->run_dir, BH_SOCKET_NAME);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s" CONTROL_UNNAMED, config->run_dir, BH_SOCKET_NAME);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" KEEP_NAME, config->run_dir);
	keep_remove(path);
	rmdir(config->run_dir);
	return 0;
}
