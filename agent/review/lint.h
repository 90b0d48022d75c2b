// SPDX-License-Identifier: Apache-2.0
// lint.h - what is odd about policies as written: each oddity has a code that never changes its meaning.
//
// World: host, one thread. Pure: yes. Owns: the findings. Lack of memory ends the process.
//
// Codes are numbers in other people's settings: add, never renumber. docs/lint.md explains each.
#pragma once

#include "agent/base/vec.h"
#include "agent/review/review.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_MAX };
const char *severity_name(enum severity severity); // "info", "warning", "error"

// number, name, severity, what it is about, what to do
#define LINT_CODES(X)                                                                              \
	X(INVALID, "BH101", "invalid-object", ERROR,                                               \
	  "mend it: until then a policy isolates what it selects and allows nothing")              \
	X(SELECTS_NOTHING, "BH102", "selects-nothing", WARNING,                                    \
	  "correct the selector, or remove the policy")                                            \
	X(NO_PODS_GIVEN, "BH103", "no-pods-given", INFO,                                           \
	  "give the namespace's workloads, too, so that selectors can be checked")                 \
	X(LABEL_TYPO, "BH104", "label-typo", WARNING, "write the label as the pods bear it")       \
	X(HOST_NETWORK, "BH105", "host-network", WARNING,                                          \
	  "protect pods on the host's network by the host's means: no policy holds for them")      \
	X(RULES_IGNORED, "BH106", "rules-ignored", WARNING,                                        \
	  "add the direction to policyTypes, or remove its rules")                                 \
	X(IMPLIED_INGRESS, "BH107", "implied-ingress", WARNING,                                    \
	  "write policyTypes: [Egress] if ingress is to stay as it is, else name both")            \
	X(WRITTEN_TWICE, "BH108", "written-twice", WARNING, "keep one of the two")                 \
	X(ALLOWS_ALL, "BH201", "allows-everything", WARNING,                                       \
	  "name peers or ports, or remove the policy if everything is meant")                      \
	X(OPEN_TO_WORLD, "BH202", "open-to-world", WARNING,                                        \
	  "name the ports, or a smaller block")                                                    \
	X(ALL_NAMESPACES, "BH203", "all-namespaces", WARNING,                                      \
	  "name the namespaces by kubernetes.io/metadata.name, or the pods by a podSelector")      \
	X(NO_DNS, "BH204", "dns-forgotten", WARNING,                                               \
	  "allow egress to port 53, UDP and TCP, of the cluster's DNS pods in kube-system")        \
	X(SHADOWED, "BH301", "shadowed", WARNING, "remove it: nothing changes")                    \
	X(EQUAL, "BH302", "equal-policies", WARNING, "keep one of the two")                        \
	X(REPEATED_RULE, "BH303", "repeated-rule", WARNING, "remove the rule: nothing changes")    \
	X(NEVER_MATCHES, "BH304", "never-matches", WARNING,                                        \
	  "move the rule in front of the other, or remove it")                                     \
	X(PRIORITY_TIE, "BH305", "priority-tie", WARNING, "give each policy a priority of its own") \
	X(UNKNOWN_PORT_NAME, "BH401", "unknown-port-name", WARNING,                                \
	  "name the port in the container, or write its number")                                   \
	X(UNDECLARED_PORT, "BH402", "undeclared-port", INFO,                                       \
	  "check the number: a Service's port is not the pod's")                                   \
	X(BLOCK_OF_PODS, "BH501", "block-covers-pods", WARNING,                                    \
	  "select pods by labels; leave the cluster's ranges out by except")                       \
	X(ONE_FAMILY, "BH502", "one-family", INFO,                                                 \
	  "add blocks of the other family, or know that it is denied")                             \
	X(HOST_BITS, "BH503", "host-bits", WARNING, "write the block's first address, or a longer prefix") \
	X(NO_SUCH_NAMESPACE, "BH601", "no-such-namespace", WARNING,                                \
	  "correct the namespaceSelector, or give the namespace with its labels")                  \
	X(NO_SUCH_PEER, "BH602", "no-such-peer", WARNING, "correct the podSelector, or give the pods")

enum lint_code {
#define LINT_ENUM(sym, id, name, severity, advice) LINT_##sym,
	LINT_CODES(LINT_ENUM)
#undef LINT_ENUM
		LINT_MAX
};

struct lint_rule {
	const char *id, *name, *advice;
	enum severity severity; // usually
};
extern const struct lint_rule lint_rules[LINT_MAX];
enum lint_code lint_code_find(const char *id); // "BH101" or "invalid-object"; LINT_MAX: none

struct finding {
	enum lint_code code;
	enum severity severity;
	const char *kind, *ns, *name; // NULL: a whole file
	const char *path; // "": not of a file
	size_t line;
	char *field; // "spec.ingress[0].from[1]", "": the object
	char *text;
};

struct findings {
	size_t n, cap;
	struct finding *v; // by path, line, kind, namespace, name, code, field
	size_t ignored; // by annotations
};

// Names in findings are borrowed from the review. disabled[LINT_MAX] may be NULL.
void lint_run(const struct review *review, const bool *disabled, struct findings *ret);
void findings_fini(struct findings *findings);
