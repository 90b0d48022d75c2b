// SPDX-License-Identifier: Apache-2.0
// config.c - the option table of bulkheadd and its file.
#include "agent/daemon/config.h"

#include <errno.h>
#include <string.h>

#include <bulkhead/abi.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/base/option.h"
#include "agent/kube/config.h"
#include "agent/metrics/http.h"
#include "agent/metrics/verdicts.h"
#include "agent/flow/book.h"
#include "agent/recorder/recorder.h"

#define CONFIG_FILE_BYTES 65536
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define FIELD(field) offsetof(struct config, field)
#define LIMIT(option, field, value, what)                                                          \
	{                                                                                          \
		option, 0, OPTION_NUMBER, FIELD(field), "N", what, TEXT(value), .min = 1,          \
			.max = UINT32_MAX                                                          \
	}

static const struct option options[] = {
	{ "source", 's', OPTION_TEXT, FIELD(source), "dir:PATH|kube[:FILE]",
	  "where objects come from: a directory of manifests, or the API server of the pod that this "
	  "runs in or of a kubeconfig", .env = "BULKHEAD_SOURCE" },
	{ "node", 'n', OPTION_TEXT, FIELD(node), "NAME", "this node's name, as in spec.nodeName",
	  .env = "BULKHEAD_NODE" },
	{ "config", 'c', OPTION_TEXT, FIELD(file), "FILE",
	  "read options from FILE, one NAME=VALUE a line", .complete = "file" },
	{ "pin-dir", 0, OPTION_TEXT, FIELD(pin_dir), "DIR", "folder of the pinned tables on a bpffs",
	  BH_PIN_DIR, .env = "BULKHEAD_PIN_DIR", .complete = "directory" },
	{ "run-dir", 0, OPTION_TEXT, FIELD(run_dir), "DIR", "folder of the control socket", BH_RUN_DIR,
	  .env = "BULKHEAD_RUN_DIR", .complete = "directory" },
	{ "state-dir", 0, OPTION_TEXT, FIELD(state_dir), "DIR",
	  "folder that outlives a reboot: it says whether this node enforced before", BH_STATE_DIR,
	  .env = "BULKHEAD_STATE_DIR", .complete = "directory" },
	{ "cni-records", 0, OPTION_TEXT, FIELD(cni_records), "DIR",
	  "folder in which the CNI plugin keeps what it gave to whom; default: cni in the folder of the control socket",
	  .env = "BULKHEAD_CNI_RECORDS", .complete = "directory" },
	{ "before-sync", 0, OPTION_CHOICE, FIELD(before_sync), "HOW",
	  "what becomes of devices that may be pods' until the source has been read: those that come "
	  "meanwhile, and after a reboot of a node that enforced all, are shut, or they stay open",
	  "shut", .choices = "shut|open" },
	{ "attach", 0, OPTION_CHOICE, FIELD(attach), "HOW",
	  "how programs are put on a veth; auto begins with clsact filters, which are there at once, and moves them to "
	  "tcx, which costs a packet less, one device a second where the kernel has it", "auto",
	  .choices = "auto|tcx|clsact" },
	{ "mode", 0, OPTION_CHOICE, FIELD(policies_mode), "HOW",
	  "what becomes of policies: enforced, or compiled only, so that nothing is denied by them", "enforce",
	  .choices = "enforce|audit" },
	{ "router-advertisements", 0, OPTION_CHOICE, FIELD(router_advertisements), "HOW",
	  "what becomes of router advertisements and redirects to pods", "pass",
	  .choices = "pass|drop" },
	{ "source-checks", 0, OPTION_CHOICE, FIELD(source_checks), "HOW",
	  "what becomes of packets with a foreign source MAC, address or neighbour claim: dropped, or "
	  "only counted", "drop", .choices = "drop|report" },
	{ "log-level", 0, OPTION_TEXT, FIELD(log_level), "SPEC",
	  "error, warn, info or debug, per room too: info,bpf=debug", "info",
	  .env = "BULKHEAD_LOG_LEVEL" },
	{ "log-format", 0, OPTION_CHOICE, FIELD(log_format), "FORMAT", "shape of log lines", "text",
	  .choices = "text|json" },
	{ "http", 0, OPTION_TEXT, FIELD(http), "ADDRESS:PORT",
	  "where /healthz, /readyz and /metrics are answered, to whoever asks; or off", "127.0.0.1:9964",
	  .env = "BULKHEAD_HTTP" },
	{ "http-cert", 0, OPTION_TEXT, FIELD(http_tls.cert), "FILE",
	  "answer there by TLS with this certificate, its chain behind it; read anew when it changes",
	  .complete = "file" },
	{ "http-key", 0, OPTION_TEXT, FIELD(http_tls.key), "FILE", "the certificate's key", .complete = "file" },
	{ "http-client-ca", 0, OPTION_TEXT, FIELD(http_tls.client_ca), "FILE",
	  "answer only clients that have a certificate of these CAs", .complete = "file" },
	{ "cleanup", 0, OPTION_FLAG, FIELD(cleanup), NULL,
	  "remove programs, links, tables and files of this node, then leave", NULL },
	{ "version", 0, OPTION_FLAG, FIELD(version), NULL, "print the version and leave", NULL },
	{ "help", 'h', OPTION_HELP, 0, NULL, "print this page and leave", NULL },
	{ "force-off", 0, OPTION_TEXT, FIELD(force_off), "LIST",
	  "kernel features to do without, comma-separated: tcx, membarrier, batch, netfilter", NULL },
	{ NULL },
};

static const struct option limits[] = {
	LIMIT("max-endpoints", endpoints, BH_LIMIT_ENDPOINTS, "pods of this node"),
	LIMIT("max-peers", peers, BH_LIMIT_PEERS, "exact addresses that policies tell apart"),
	LIMIT("max-cidrs", cidrs, BH_LIMIT_CIDRS, "prefixes that policies tell apart"),
	LIMIT("max-peer-classes", peer_classes, BH_LIMIT_PEER_CLASSES, "sets of addresses told apart"),
	LIMIT("max-port-classes", port_classes, BH_LIMIT_PORT_CLASSES, "sets of ports told apart"),
	LIMIT("max-policies", policies, BH_LIMIT_POLICIES, "compiled policies at once"),
	LIMIT("max-dense-cells", dense_cells, BH_LIMIT_DENSE_CELLS,
	      "cells of a compiled policy, before it is stored sparse"),
	LIMIT("max-dense-total", dense_total, BH_LIMIT_DENSE_TOTAL,
	      "cells of all compiled policies that are not stored sparse"),
	LIMIT("max-services", services, BH_LIMIT_SERVICES, "addresses and ports of Services"),
	LIMIT("max-service-selves", selves, BH_LIMIT_SELF,
	      "Services of which a pod of this node is itself a backend"),
	LIMIT("max-backends", backends, BH_LIMIT_BACKENDS,
	      "flows to Services whose backend is remembered"),
	LIMIT("max-sparse-cells", sparse_cells, BH_LIMIT_SPARSE_CELLS,
	      "exceptions of all sparse policies"),
	LIMIT("max-connections", ct, BH_LIMIT_CT, "tracked connections per address family"),
	LIMIT("max-half-open", half, BH_LIMIT_HALF, "flows that only one side has spoken in"),
	LIMIT("max-fragments", frags, BH_LIMIT_FRAGS, "fragmented datagrams in flight"),
	LIMIT("max-denied", denied, BH_LIMIT_DENIED, "kinds of denied flows kept in detail"),
	LIMIT("max-totals", totals, BH_LIMIT_TOTALS, "exact counters"),
	{ "metrics-policies", 0, OPTION_NUMBER, FIELD(metrics_policies), "N",
	  "policies (in audit mode: rules) with numbers of their own in /metrics; those of all others are summed",
	  TEXT(VERDICTS_POLICIES),
	  .max = 100000 },
	{ "policy-share", 0, OPTION_NUMBER, FIELD(policy_share), "PERCENT",
	  "of a table, for one policy", TEXT(BH_LIMIT_SHARE), .min = 1, .max = 100 },
	{ "namespace-share", 0, OPTION_NUMBER, FIELD(namespace_share), "PERCENT",
	  "of a table, for all policies of one namespace", TEXT(BH_LIMIT_SHARE), .min = 1, .max = 100 },
	{ "sweep-interval", 0, OPTION_NUMBER, FIELD(sweep_sec), "SEC",
	  "how often expired connections are removed", "10", .min = 1, .max = 3600 },
	{ "denied-forget", 0, OPTION_NUMBER, FIELD(denied_forget_sec), "SEC",
	  "how long a kind of denied flows may be silent until its detail makes room; 0: until its pod goes", "600",
	  .max = 1000000 },
	{ "hook-grace", 0, OPTION_NUMBER, FIELD(hook_grace_sec), "SEC",
	  "how long the netfilter program stays behind the last change of a Service, or the last mixed one",
	  "60", .max = 86400 },
	{ "watch-interval", 0, OPTION_NUMBER, FIELD(watch_sec), "SEC",
	  "how often the programs' place on every veth is checked", "5", .min = 1, .max = 3600 },
	{ NULL },
};

static const struct option server[] = {
	{ "service-account-dir", 0, OPTION_TEXT, FIELD(service_account), "DIR",
	  "folder of the token and the CA, for --source kube", KUBE_SERVICE_ACCOUNT,
	  .complete = "directory" },
	{ "api-pause", 0, OPTION_NUMBER, FIELD(api_pause_sec), "SEC",
	  "the longest between two tries to reach the API server", "30", .min = 1, .max = 3600 },
	{ "api-watch", 0, OPTION_NUMBER, FIELD(api_watch_sec), "SEC",
	  "how long a watch is asked for: at random so long to twice as long", "300", .min = 1,
	  .max = 3600 },
	{ "api-absent", 0, OPTION_NUMBER, FIELD(api_absent_sec), "SEC",
	  "the pause until a resource is asked for again that the API server does not have: at random so "
	  "long to twice as long", "60", .min = 1,
	  .max = 86400 },
	{ "api-cut-off", 0, OPTION_NUMBER, FIELD(api_cut_off_sec), "SEC",
	  "cut off from the API server for so long the agent is not ready any more, though it goes on "
	  "enforcing; 0: it stays ready", "0", .max = UINT32_MAX },
	{ "report", 0, OPTION_CHOICE, FIELD(report), "HOW",
	  "whether conditions of ClusterNetworkPolicies and Events are written to the API server", "on",
	  .choices = "off|on" },
	{ "report-namespace", 0, OPTION_TEXT, FIELD(report_namespace), "NAMESPACE",
	  "where the Lease is by which agents agree on who reports for all; default: the service account's, "
	  "else bulkhead-system",
	  .env = "POD_NAMESPACE" },
	{ "report-lease", 0, OPTION_NUMBER, FIELD(report_lease_sec), "SEC",
	  "how long that agent may be silent until another one takes its place", "60", .min = 2,
	  .max = 3600 },
	{ "report-repeat", 0, OPTION_NUMBER, FIELD(report_repeat_sec), "SEC",
	  "how often an Event is said again of what lasts; API servers forget Events after an hour", "1800",
	  .min = 1, .max = 86400 },
	{ "startup-taint", 0, OPTION_TEXT, FIELD(startup_taint), "KEY",
	  "taint to take off this node once the agent is ready, as bulkhead.io/agent-not-ready; needs the right "
	  "to patch nodes", .env = "BULKHEAD_STARTUP_TAINT" },
	{ NULL },
};

static const struct option flows[] = {
	{ "flows", 0, OPTION_CHOICE, FIELD(flows), "HOW",
	  "whether the flows of pods are recorded: packets and bytes of each, who with whom, and what decided; on: of "
	  "pods that a policy selects; all: of the others, too, whose connections are kept track of then", "on",
	  .choices = "off|on|all", .env = "BULKHEAD_FLOWS" },
	{ "flow-sinks", 0, OPTION_TEXT, FIELD(flow_sinks), "URLS",
	  "where records go, URLs separated by spaces, as json+file:///var/log/flows.json or ipfix+udp://HOST:PORT",
	  .env = "BULKHEAD_FLOW_SINKS" },
	{ "flow-history", 0, OPTION_NUMBER, FIELD(flow_history), "N",
	  "records kept in memory for `bulkhead flows`", TEXT(RECORDER_HISTORY), .min = 1, .max = 1048576 },
	{ "flow-labels", 0, OPTION_NUMBER, FIELD(flow_labels), "BYTES",
	  "of a pod's labels in records: keys, values and 16 for each; those that do not fit are left out, and counted",
	  TEXT(BOOK_LABELS), .min = 16, .max = 1048576 },
	{ "flow-update", 0, OPTION_NUMBER, FIELD(flow_update_sec), "SEC",
	  "how often a flow that lasts is told again while it is used", TEXT(RECORDER_UPDATE_SEC), .min = 1,
	  .max = 86400 },
	{ NULL },
};

static const struct option cni[] = {
	{ "cni-conf-dir", 0, OPTION_TEXT, FIELD(cni_conf_dir), "DIR",
	  "folder of the runtime's network configurations, mostly /etc/cni/net.d: bulkhead-cni is kept the last "
	  "plugin of the one that it takes; without this option nothing is installed",
	  .env = "BULKHEAD_CNI_CONF_DIR", .complete = "directory" },
	{ "cni-bin-dir", 0, OPTION_TEXT, FIELD(cni_bin_dir), "DIR",
	  "folder of the runtime's CNI plugins, into which bulkhead-cni is put first; default: /opt/cni/bin, with "
	  "--cni-conf-dir",
	  .env = "BULKHEAD_CNI_BIN_DIR", .complete = "directory" },
	{ "cni-on-agent-down", 0, OPTION_CHOICE, FIELD(cni_on_agent_down), "HOW",
	  "what becomes of a pod that starts while no agent runs: it does not start and is tried again, or it "
	  "starts shut and is opened by the next agent", "fail", .choices = "fail|quarantine" },
	{ "cni-on-other-interface", 0, OPTION_CHOICE, FIELD(cni_on_other_interface), "HOW",
	  "what becomes of a pod whose interface is no veth of this node, so that nothing can be enforced on it: "
	  "it does not start, or it starts without", "fail", .choices = "fail|pass" },
	{ "cni-timeout", 0, OPTION_NUMBER, FIELD(cni_timeout_sec), "SEC",
	  "how long the start of a pod waits for its policies to be in force", TEXT(CNI_TIMEOUT_SEC), .min = 1,
	  .max = 120 },
	{ NULL },
};

static const struct option *const tables[] = { options, flows, cni, server, limits, NULL };

static const struct option_note notes[] = {
	{ "SIGNALS", "SIGTERM and SIGINT end the daemon; what is in force stays in force, and the next "
		     "start takes it over. Use --cleanup to remove it." },
	{ "EXIT STATUS", "  0  ended as asked\n  1  could not start; standard error says why\n"
			 "  2  wrong options" },
	{ "SEE ALSO", "bulkhead(1)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkheadd",
	.summary = "enforce NetworkPolicy on this node's pods",
	.text = "Watches Pod, Namespace, Node, Service, EndpointSlice, NetworkPolicy and "
		"ClusterNetworkPolicy objects, compiles "
		"them and enforces them by eBPF programs on the host side of every pod's veth. It "
		"replaces neither the CNI nor kube-proxy.",
	.tables = tables,
	.notes = notes,
	.section = 8,
};

static int file_line(struct config *config, char *line, unsigned number, struct err *reterr)
{
	const struct option *option;
	char *value;
	int r;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 0;
	value = strchr(line, '=');
	if (!value)
		return err_set(reterr, -EINVAL, "%s:%u: not NAME=VALUE", config->file, number);
	*value++ = 0;
	option = option_find(tables, line);
	if (!option || option->offset == FIELD(file))
		return err_set(reterr, -EINVAL, "%s:%u: no option '%s'", config->file, number, line);
	r = option_set(option, config, value, reterr);
	return r < 0 ? err_wrap(reterr, "%s:%u", config->file, number) : 0;
}

static int file_load(struct config *config, struct err *reterr)
{
	unsigned number = 0;
	char *rest, *line;
	size_t len;
	int r;

	r = file_read(config->file, CONFIG_FILE_BYTES, &config->text, &len);
	if (r < 0)
		return err_set(reterr, r, "--config %s: %s", config->file, strerror(-r));
	rest = config->text;
	while ((line = strsep(&rest, "\n"))) {
		r = file_line(config, line, ++number, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check(const struct config *config, struct err *reterr)
{
	if (config->cleanup || config->version)
		return 0;
	if (!config->source)
		return err_set(reterr, -EINVAL, "--source is missing: say dir:PATH or kube");
	if (!config->node || !*config->node)
		return err_set(reterr, -EINVAL,
			       "--node is missing: say this node's name as pods have it in spec.nodeName");
	if (config->endpoints > BH_MAX_ENDPOINTS)
		return err_set(reterr, -EINVAL, "--max-endpoints: at most %u", BH_MAX_ENDPOINTS);
	if (config->peer_classes > BH_MAX_PEER_CLASSES)
		return err_set(reterr, -EINVAL, "--max-peer-classes: at most %u", BH_MAX_PEER_CLASSES);
	if (config->port_classes > BH_MAX_PORT_CLASSES)
		return err_set(reterr, -EINVAL, "--max-port-classes: at most %u", BH_MAX_PORT_CLASSES);
	if (recorder_check_sinks(config->flow_sinks, reterr) < 0)
		return err_wrap(reterr, "--flow-sinks");
	if (http_address_check(config->http, reterr) < 0)
		return err_wrap(reterr, "--http");
	if (!config->http_tls.cert != !config->http_tls.key)
		return err_set(reterr, -EINVAL, "--http-cert and --http-key: one without the other");
	if (config->http_tls.client_ca && !config->http_tls.cert)
		return err_set(reterr, -EINVAL, "--http-client-ca: needs --http-cert");
	return 0;
}

// Pages for `make man` and `make completion`; hidden, as only the build uses them.
static int print_page(const char *verb)
{
	if (strcmp(verb, "__man") == 0)
		option_man(stdout, &page, VERSION);
	else if (strcmp(verb, "__completion") == 0)
		option_completion(stdout, (const struct option_page *[]){ &page }, 1);
	else
		return 0;
	return 1;
}

int config_parse(struct config *ret, int argc, char *const *argv, struct err *reterr)
{
	struct option_list args;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (argc == 2 && print_page(argv[1]))
		return 1;
	r = option_defaults(tables, ret, reterr);
	if (r < 0)
		return r;
	// Once to learn of --config and --help, then again so that the command line goes before the file.
	r = option_parse(&page, argc, argv, ret, &args, reterr);
	if (r == OPTION_WANTS_HELP) {
		option_help(stdout, &page);
		return 1;
	}
	if (r >= 0 && ret->file)
		r = file_load(ret, reterr);
	if (r >= 0 && ret->file)
		r = option_parse(&page, argc, argv, ret, &args, reterr);
	return r < 0 ? r : check(ret, reterr);
}

void config_fini(struct config *config)
{
	free(config->text);
	config->text = NULL;
}
