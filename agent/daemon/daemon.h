// SPDX-License-Identifier: Apache-2.0
// daemon.h - bulkheadd: how the rooms hang together, and the one cycle that keeps the kernel up to date.
//
// World: host, one loop and one helper thread. Pure: no. Owns: every room's object, in the order in which
// they stand in struct daemon; taken down in reverse.
//
// Data flows one way: source -> store -> policy -> plan -> tables -> kernel. The cycle (cycle.c) runs
// whenever something changed: scan for new pods if needed, compile, then on the helper thread attach what
// must be attached, run the plan, take off what is no longer needed. One plan is in flight at a time; what
// changes meanwhile goes into the next.
#pragma once

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/worker.h"
#include "agent/bpf/hook.h"
#include "agent/bpf/link.h"
#include "agent/bpf/program.h"
#include "agent/bpf/tables.h"
#include "agent/control/control.h"
#include "agent/daemon/config.h"
#include "agent/daemon/meter.h"
#include "agent/endpoint/endpoint.h"
#include "agent/metrics/http.h"
#include "agent/policy/policy.h"
#include "agent/source/source.h"
#include "agent/store/store.h"

#define HUNG_AFTER_MS 30000 // one job of the helper thread: a problem, not ready
#define LEAVE_AFTER_MS 5000 // its job does not come back at the end: left behind

#define PROBLEMS_MAX 1000 // told one by one; status says when there are more

struct report;
struct install;
struct recorder;
struct flows_request;
struct snapshot;

#define DAEMON_PROBLEM_HOOK "netfilter" // where: the hook for mixed Services cannot be had

struct problem {
	char *where, *text;
};

// A `sync` request: answered when its namespace is in the store and all that was seen is in force.
struct sync_request {
	struct control_deferred *answer;
	char *namespace;
};

// A `cni.add` request: answered when the pod's policy is in force, or cannot be in time.
struct add_request {
	struct daemon *daemon;
	struct control_deferred *answer;
	struct attachment name; // its container and interface count
	uint64_t generation; // the store's, when it came
	int64_t since_ns; // when it came
	struct event *late;
	char why[ERR_TEXT_BYTES]; // its object could not be asked for; "": it was not, or it is there
};

// What the helper thread does in rounds, and gives up for a pod that starts: but never twice in a row.
enum daemon_round { DAEMON_ROUND_SCAN, DAEMON_ROUND_SWEEP, DAEMON_ROUND_WATCH, DAEMON_ROUND_MAX };

struct daemon {
	const struct config *config;
	char keep[256]; // source_events.keep
	struct event_base *base;
	struct worker *worker;
	struct event *worker_event;
	struct tables *tables;
	struct program_pair closed; // let nothing pass: for a new pod whose own cannot be loaded
	bool adopted; // the tables hold a previous agent's state
	struct store *store;
	struct policy *policy;
	pthread_mutex_t naming; // held while names of rules change: the recorder asks for them
	struct endpoints *endpoints;
	struct link_monitor *links;
	struct event *links_event;
	struct source *source;
	struct report *report; // NULL: nobody to report to
	struct install *install; // NULL: the CNI plugin is others' care
	struct recorder *recorder; // NULL: flows are not recorded
	struct event *flows_event;
	struct control_server *control;
	struct http_server *http; // NULL: off, or it cannot listen
	struct event *timers[6]; // enum daemon_timer; NULL: never
	struct event *signals[2];

	// cycle.c
	bool busy; // a scan or a plan is on the helper thread
	bool dirty; // something changed since the last compile
	bool scanned; // at least one scan is done
	bool scan_failed; // or part of it, since the last retry
	bool readdressed; // an address of the host came or went: it may be a pod's gateway
	bool device_due; // a device came or went that nobody waited for
	bool hurry; // a pod's start waits for the helper thread; it reads this
	bool gave_way[DAEMON_ROUND_MAX];
	bool look_failed; // at devices of attachments, since the last retry
	bool tables_adopted; // what the tables hold is what policy knows
	bool stale; // policy is not as fresh as policy_adopt() wants it
	bool stopped; // a plan did, and none has run to its end since
	bool held; // a plan stopped: until the timer says so, only programs are attached
	int mixed; // whether plans want the netfilter program, as the helper thread was told; -1: not yet
	bool lacking; // some endpoint is not in force as it should be
	bool sweeping, watching; // such a round is on the helper thread
	bool shut_suspect; // filters changed on a device that the CNI plugin shut and that has no slot
	int64_t reshut_ms; // when such a one was shut again, last; 0: never
	uint64_t applied; // store generation in force, for every endpoint
	uint64_t planned; // the same for every endpoint that has its programs
	unsigned retry_ms; // until the next retry, doubling
	unsigned plan_ms; // the same for plans
	uint32_t round; // of retries: each failed endpoint has one turn in each
	int64_t started_ms, applied_ms;
	struct apply_stats last;
	uint64_t scans, scans_incomplete, watchdog_repairs, attach_failures;
	struct {
		char what[400], why[ERR_TEXT_BYTES];
		int64_t ms; // 0: there was none
	} repair; // the watchdog's last
	uint32_t strangers; // processes that the last scan could not ask whose they are
	struct ct_sweep_stats sweep;
	struct meter meter;

	// early.c
	VEC(int) spared; // devices that were there when it started: left as they are until pods are known
	bool bereft; // this node enforced before it started anew, or before its tables were lost: none is spared
	bool marked; // the state folder says what it does now
	bool early_due; // devices came or went since the last early scan

	// hosts.c
	VEC(struct bh_addr) host_addrs; // on this host's devices

	// what is not enforced as written, by where
	VEC(struct problem) problems;
	bool problems_more; // there have been more than can be told

	VEC(struct sync_request) syncs; // not answered yet
	VEC(struct add_request *) adds;
	VEC(struct flows_request *) flows; // that wait for records
	VEC(struct snapshot *) snapshots; // that somebody reads page by page
};

// Opens everything and registers its events; on failure reterr says what to do and *daemon is taken down.
int daemon_open(struct daemon *daemon, const struct config *config, struct err *reterr);

// Leaves pins, links and programs as they are: they keep enforcing.
void daemon_close(struct daemon *daemon);

int daemon_run(struct daemon *daemon); // until SIGTERM or SIGINT

// Removes every trace: programs, links, pins, the run folder.
int daemon_cleanup(const struct config *config, struct err *reterr);

// cycle.c: something changed; does what there is to do, now or when the helper thread is back.
void daemon_kick(struct daemon *daemon);
// Something happened that a waiting pod may have waited for.
void daemon_retry_soon(struct daemon *daemon);
// The next plan may be tried in so many ms; sooner than was said before, never later.
void daemon_plan_in(struct daemon *daemon, unsigned ms);
int daemon_policy_new(struct daemon *daemon, struct policy **ret);
// A pod's start waits: what can wait gives way. What a round is to read; NULL: it must not.
void daemon_hurry(struct daemon *daemon);
const bool *daemon_round(struct daemon *daemon, enum daemon_round round);
void daemon_sweep(struct daemon *daemon);

// watch.c: looks whether all programs and pins are in their place; at one device, whose filters changed.
void daemon_watch(struct daemon *daemon);
void daemon_suspect(struct daemon *daemon, int ifindex);
void daemon_suspects_due(struct daemon *daemon);
void daemon_suspects_in(struct daemon *daemon, unsigned ms); // daemon.c: sooner if it was said before

// Moves one device from filters to tcx, if nothing else is on the helper thread, and the next one MOVE_PAUSE_MS later: a
// link holds the kernel's network lock for a grace period. Programs that are put on devices put it off.
#define MOVE_PAUSE_MS 1000
void daemon_move(struct daemon *daemon);
void daemon_move_later(struct daemon *daemon);

// health.c
bool daemon_hung(const struct daemon *daemon); // its helper thread
// All that was read is in force, or on its way, and nothing is known to fail.
bool daemon_ready(const struct daemon *daemon);

// early.c: what is done before the source was read, and what of this node outlives a reboot.
int daemon_early_open(struct daemon *daemon, struct err *reterr);
void daemon_early_device(struct daemon *daemon, int ifindex, bool present); // before links_event: was there
bool daemon_early_shuts(const struct daemon *daemon);
void daemon_early_scanned(struct daemon *daemon, const struct link_view *view);
void daemon_early_tell(struct daemon *daemon); // how many are shut
void daemon_enforces(struct daemon *daemon);
int daemon_forget(const struct config *config, struct err *reterr); // for --cleanup

// hosts.c: addresses of this host and of its Node object, into bh_host.
void daemon_host_addr(struct daemon *daemon, const struct bh_addr *addr, bool present);
void daemon_hosts_sync(struct daemon *daemon);
void daemon_node_changed(struct daemon *daemon, const struct node *before, const struct node *after);

// problems.c
void daemon_problem(struct daemon *daemon, const char *where, const char *text); // text NULL: gone

// ops.c: the control socket's operations.
extern const struct control_op daemon_ops[];
// Answers sync requests whose time has come; all of them, with an error, before the end.
void daemon_sync_answer(struct daemon *daemon);
void daemon_sync_refuse(struct daemon *daemon);

// flows.c: the recorder, and who waits for its records.
int daemon_flows_open(struct daemon *daemon, struct err *reterr);
void daemon_flows_refuse(struct daemon *daemon); // all of them, before the end
void daemon_flows_close(struct daemon *daemon); // once nothing runs on the helper thread

// ops_objects.c
void daemon_objects_close(struct daemon *daemon);

// cni.c: what the CNI plugin says, and what it waits for.
#define CNI_WAIT_MAX_MS 600000
const char *daemon_cni_folder(const struct config *config, char *buf, size_t bytes); // of the plugin's records
int daemon_cni_open(struct daemon *daemon, struct err *reterr); // once the socket listens
int daemon_cni_add(struct daemon *daemon, const struct attachment *attachment, int64_t wait_ms, struct err *reterr);
// NULL: its pod's policy is in force. Else why not, in one sentence.
const char *daemon_cni_why(struct daemon *daemon, const struct attachment *attachment);
void daemon_cni_answer(struct daemon *daemon); // whose time has come
void daemon_cni_ask(struct daemon *daemon); // for pods that a name alone was said of
void daemon_cni_refuse(struct daemon *daemon); // all of them, before the end
void daemon_cni_refused(struct daemon *daemon, const struct attachment *attachment, int r, const char *why);
void daemon_cni_fetched(struct daemon *daemon, const char *ns, const char *name, const char *uid, int r, const char *why);

int64_t daemon_now_ms(void); // CLOCK_MONOTONIC
