// SPDX-License-Identifier: Apache-2.0
// page.c - bulkhead-cni(8), from the table of keys that reads them.
#include "cni/page.h"

#include "cni/conf.h"

static const struct option *const tables[] = { conf_keys, NULL };

static const struct option_note notes[] = {
	{ "ENVIRONMENT",
	  "CNI_COMMAND (ADD, DEL, CHECK, GC, STATUS or VERSION; without it the program says what it is), CNI_CONTAINERID, "
	  "CNI_NETNS, CNI_IFNAME and CNI_ARGS, of which K8S_POD_NAME, K8S_POD_NAMESPACE (absent: as the name) and "
	  "K8S_POD_UID say which pod it is." },
	{ "FILES", "  /run/bulkhead/cni/CONTAINER@INTERFACE   the record of an attachment\n"
		   "  /run/bulkhead/control.sock              the agent's control socket\n"
		   "  /opt/cni/bin/bulkhead-cni               where runtimes look for plugins" },
	{ "EXIT STATUS",
	  "0, or 1 with an error object on standard output, whose code is one of\n\n"
	  "  1    the configuration's version is none of 0.3.0 to 1.1.0, or older than the command\n"
	  "  3    CHECK: the agent knows no such container\n"
	  "  4    a variable of the environment is missing or wrong\n"
	  "  5    the folder of records cannot be used\n"
	  "  6    the configuration is not JSON\n"
	  "  7    a field of the configuration is missing or wrong\n"
	  "  8    CNI_NETNS is no network namespace, or the plugin's own\n"
	  "  11   no agent answers, or not in time\n"
	  "  50   STATUS: pods cannot be added\n"
	  "  51   STATUS: nor are those that are there all served\n"
	  "  100  the pod's interface is no veth of this node\n"
	  "  101  the interface cannot be shut\n"
	  "  102  the API server knows no such pod\n"
	  "  103  the agent refused\n"
	  "  104  CHECK: the pod's policy is not in force\n"
	  "  105  the pod has no interface of this name, and several veths lead to it" },
	{ "SEE ALSO", "bulkheadd(8), bulkhead(1)" },
	{ NULL },
};

static const struct option_page page = {
	.program = "bulkhead-cni",
	.keys = true,
	.summary = "the CNI plugin that puts NetworkPolicy on a pod before it starts",
	.text = "Stands behind the plugins that make a pod's interface, in the same list. On ADD it shuts the host's side of the "
		"pod's veth, both ways, writes the attachment down and asks bulkheadd(8) to enforce the pod's policy; it "
		"answers when that is in force. Container runtimes run it; it takes no arguments.\n\n"
		"Versions 0.3.0 to 1.1.0 of the CNI specification.",
	.tables = tables,
	.notes = notes,
	.section = 8,
};

void page_print(FILE *out)
{
	option_man(out, &page, VERSION);
}
