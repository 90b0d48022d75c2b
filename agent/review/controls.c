// SPDX-License-Identifier: Apache-2.0
// controls.c - what frameworks ask for, in our own words, and how a survey answers it. docs/report.md has the mapping.
#include <string.h>

#include "agent/review/lint.h"
#include "agent/review/posture_private.h"

#define CIS "CIS Kubernetes Benchmark"
#define NSA "NSA/CISA Kubernetes Hardening Guide"
#define PCI "PCI DSS 4.0.1"

// ---- what a workload may do ------------------------------------------------------------------------

static bool open_in(const struct survey *survey, const struct workload *workload)
{
	return !workload->isolated[BH_INGRESS];
}

static bool open_out(const struct survey *survey, const struct workload *workload)
{
	return !workload->isolated[BH_EGRESS];
}

static bool whole_from_others(const struct survey *survey, const struct workload *workload)
{
	vec_each(struct link, link, &workload->view.realms[BH_INGRESS])
		if (link->to != workload->realm && reach_is_whole(&link->reach))
			return true;
	return false;
}

// The block of a whole family: what no policy names.
static bool is_world(const struct survey *survey, uint32_t index)
{
	const struct block *blocks;

	exposure_blocks(survey->exposure, &blocks);
	return blocks[index].cidr.prefixlen == (blocks[index].family ? 0 : BH_V4_PREFIX);
}

static const struct reach *world(const struct survey *survey, const struct workload *workload,
				 enum bh_dir dir, bool whole)
{
	vec_each(struct link, link, &workload->view.blocks[dir])
		if (is_world(survey, link->to) && (!whole || reach_is_whole(&link->reach)))
			return &link->reach;
	return NULL;
}

static bool whole_from_world(const struct survey *survey, const struct workload *workload)
{
	return world(survey, workload, BH_INGRESS, true);
}

static bool any_from_world(const struct survey *survey, const struct workload *workload)
{
	return world(survey, workload, BH_INGRESS, false);
}

static bool unlimited_out(const struct survey *survey, const struct workload *workload)
{
	return open_out(survey, workload) || world(survey, workload, BH_EGRESS, true);
}

static bool unnamed_ports(const struct survey *survey, const struct workload *workload)
{
	return whole_from_others(survey, workload) || whole_from_world(survey, workload);
}

// FTP, telnet, TFTP, rexec, rlogin, rsh: without encryption by design.
static bool has_insecure(const struct reach *reach)
{
	static const struct {
		enum reach_proto proto;
		uint16_t port;
	} ports[] = { { REACH_TCP, 21 },  { REACH_TCP, 23 },  { REACH_UDP, 69 },
		      { REACH_TCP, 512 }, { REACH_TCP, 513 }, { REACH_TCP, 514 } };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		if (reach_has(reach, ports[i].proto, ports[i].port))
			return true;
	return false;
}

static bool insecure(const struct survey *survey, const struct workload *workload)
{
	vec_each(struct link, link, &workload->view.realms[BH_INGRESS])
		if (has_insecure(&link->reach))
			return true;
	vec_each(struct link, link, &workload->view.blocks[BH_INGRESS])
		if (has_insecure(&link->reach))
			return true;
	return false;
}

// ---- the controls ----------------------------------------------------------------------------------

static const struct control {
	const char *framework, *id, *title, *text;
	enum severity severity;
	bool review; // a person decides; who is named is a hint
	bool (*fails)(const struct survey *survey, const struct workload *workload); // NULL: by namespaces, or nobody
	bool namespaces; // those without a policy fail
} controls[] = {
	{ CIS, "5.3.2", "Every namespace has a NetworkPolicy",
	  "namespaces with pods and without a NetworkPolicy", SEVERITY_ERROR, .namespaces = true },
	{ NSA, "default deny, ingress", "Nothing comes in that no policy allows",
	  "workloads that no policy isolates for ingress", SEVERITY_ERROR, .fails = open_in },
	{ NSA, "default deny, egress", "Nothing goes out that no policy allows",
	  "workloads that no policy isolates for egress", SEVERITY_WARNING, .fails = open_out },
	{ NSA, "separation", "Namespaces are kept apart",
	  "workloads that another namespace reaches on every port of a protocol", SEVERITY_WARNING,
	  .fails = whole_from_others },
	{ PCI, "1.2.3", "An accurate diagram of the networks", "the picture of this report, as of its day",
	  SEVERITY_INFO, .review = true },
	{ PCI, "1.2.4", "An accurate diagram of the data flows",
	  "flows between namespaces in this report; which of them carry account data is known elsewhere",
	  SEVERITY_INFO, .review = true },
	{ PCI, "1.2.5", "Ports and protocols that are allowed are known and needed",
	  "workloads that others reach on every port of a protocol, so that no need is stated",
	  SEVERITY_WARNING, .fails = unnamed_ports },
	{ PCI, "1.2.6", "Insecure protocols that are allowed are made safe",
	  "workloads reached on ports of FTP, telnet, TFTP or the r-commands", SEVERITY_WARNING,
	  .fails = insecure },
	{ PCI, "1.2.7", "Rules are reviewed every six months at least", "keep this report as its record",
	  SEVERITY_INFO, .review = true },
	{ PCI, "1.3.1", "Inbound traffic is limited to what is needed, the rest is denied",
	  "workloads that no policy isolates for ingress", SEVERITY_ERROR, .fails = open_in },
	{ PCI, "1.3.2", "Outbound traffic is limited to what is needed, the rest is denied",
	  "workloads that no policy isolates for egress, or that may send everywhere on every port",
	  SEVERITY_WARNING, .fails = unlimited_out },
	{ PCI, "1.4.1", "Something stands between trusted and untrusted networks",
	  "workloads that any address outside reaches on every port of a protocol", SEVERITY_ERROR,
	  .fails = whole_from_world },
	{ PCI, "1.4.2", "From untrusted networks only what is meant to be public is reached",
	  "workloads that any address outside reaches: are they meant to be public?", SEVERITY_INFO,
	  .review = true, .fails = any_from_world },
	{ PCI, "1.4.3", "Forged source addresses are dropped",
	  "the agent drops what a pod sends under an address that is not its own, on each node that it runs on",
	  SEVERITY_INFO, .review = true },
	{ PCI, "1.4.4", "What stores cardholder data is not reached from untrusted networks",
	  "none of the workloads named here may store such data", SEVERITY_INFO, .review = true,
	  .fails = any_from_world },
};

static void add(struct json_object *list, const char *fmt, const char *a, const char *b, const char *c)
{
	char text[640];

	snprintf(text, sizeof(text), fmt, a, b, c);
	json_object_array_add(list, json_object_new_string(text));
}

static struct json_object *offenders(const struct survey *survey, const struct control *control)
{
	const struct crowd *crowd = exposure_crowd(survey->exposure);
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; control->namespaces && i < crowd->realms.n; i++)
		if (crowd->realms.v[i]->groups.n && !crowd->realms.v[i]->policies.n &&
		    !survey_ignores(survey, i))
			add(list, "%s %s%s", "Namespace", crowd->realms.v[i]->name, "");
	vec_each(struct workload, workload, &survey->workloads)
		if (control->fails && !survey_ignores(survey, workload->realm) &&
		    control->fails(survey, workload))
			add(list, "%s %s/%s", workload->kind, survey_realm(survey, workload->realm)->name,
			    workload->name);
	return list;
}

static struct json_object *control_json(const struct survey *survey, const struct control *control)
{
	struct json_object *json = json_object_new_object(), *list = offenders(survey, control);
	const char *status = control->review			? "review" :
			     json_object_array_length(list) ? "fail" :
							      "pass";

	json_object_object_add(json, "framework", json_object_new_string(control->framework));
	json_object_object_add(json, "id", json_object_new_string(control->id));
	json_object_object_add(json, "title", json_object_new_string(control->title));
	json_object_object_add(json, "severity", json_object_new_string(severity_name(control->severity)));
	json_object_object_add(json, "status", json_object_new_string(status));
	json_object_object_add(json, "text", json_object_new_string(control->text));
	json_object_object_add(json, "objects", list);
	return json;
}

struct json_object *controls_json(const struct survey *survey)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		json_object_array_add(list, control_json(survey, &controls[i]));
	return list;
}
