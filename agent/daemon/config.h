// SPDX-License-Identifier: Apache-2.0
// config.h - bulkheadd's options, from the command line, a file of NAME=VALUE lines, or the environment.
//
// World: host. Pure: reads the file. Owns: the file's text.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/metrics/tls.h"

#define CNI_TIMEOUT_SEC 10 // the plugin's own default

enum config_attach { CONFIG_ATTACH_AUTO, CONFIG_ATTACH_TCX, CONFIG_ATTACH_CLSACT };
enum config_flows { FLOWS_OFF, FLOWS_ON, FLOWS_ALL }; // ON: of pods that a policy selects
enum before_sync { BEFORE_SYNC_SHUT, BEFORE_SYNC_OPEN };

struct config {
	const char *source, *node, *pin_dir, *run_dir, *state_dir, *cni_records, *log_level, *file, *http;
	struct tls_files http_tls; // cert NULL: plain HTTP
	int attach; // enum config_attach
	int log_format; // index in "text|json"
	int router_advertisements; // index in "pass|drop"
	int source_checks; // index in "drop|report"
	int policies_mode; // index in "enforce|audit"
	int before_sync; // enum before_sync
	bool cleanup, version;
	const char *force_off; // kernel features not to use, comma-separated
	uint64_t endpoints, peers, cidrs, policies, peer_classes, port_classes, sparse_cells, dense_cells, dense_total,
		ct, half, frags, denied, totals, services, selves, backends;
	uint64_t policy_share, namespace_share;
	uint64_t sweep_sec, denied_forget_sec, watch_sec, hook_grace_sec, metrics_policies;

	const char *service_account;
	int report; // index in "off|on"
	const char *report_namespace, *startup_taint;
	uint64_t report_lease_sec, report_repeat_sec;
	uint64_t api_pause_sec, api_watch_sec, api_absent_sec, api_cut_off_sec;

	int flows; // enum config_flows
	const char *flow_sinks; // URLs, separated by spaces; NULL: none
	uint64_t flow_history, flow_update_sec, flow_labels;

	const char *cni_conf_dir, *cni_bin_dir; // NULL: not given; without the first no plugin is installed
	int cni_on_agent_down; // index in "fail|quarantine"
	int cni_on_other_interface; // index in "fail|pass"
	uint64_t cni_timeout_sec;

	char *text; // of the file
};

// 0; 1: --help, --version or a page was printed, leave with success; -EINVAL with a sentence.
int config_parse(struct config *ret, int argc, char *const *argv, struct err *reterr);
void config_fini(struct config *config);
