// SPDX-License-Identifier: Apache-2.0
// stage.h - a node with a running agent: shows it states, ends and starts it, asks it and probes its pods.
//
// World: host, tests; in a sandbox. Pure: no. Owns: rig, manifests, the agent.
#pragma once

#include "tests/conformance/agent.h"
#include "tests/conformance/feed.h"
#include "tests/conformance/rig.h"
#include "tests/soak/api.h"
#include "tests/soak/cast.h"

#define STAGE_PINS "/sys/fs/bpf/node1"

struct stage {
	struct kernel_config config;
	struct prober *prober;
	struct rig *rig;
	struct feed *feed;
	struct api *api; // NULL: the agent reads files
	struct agent *agent; // NULL: none runs
	const char *marker; // of what was shown last
	uint64_t garbage; // a file that is no manifest, anew each time
};

// One pod as the agent tells of it.
struct live {
	char ns[64], name[64], state[16];
	uint32_t slot;
};

int stage_open(struct stage *stage, const char *bulkheadd, const char *options, bool verbose,
	       struct err *reterr);
void stage_close(struct stage *stage);

// Devices first, then files; waits for nobody.
int stage_show(struct stage *stage, const struct state *shown, struct err *reterr);
// Everything shown is in force and exactly these pods are enforced: `n` sorted "ns/name". Waits for it.
int stage_sync(struct stage *stage, char (*want)[128], size_t n, struct err *reterr);
// The pods that the agent tells of; malloc'd.
int stage_live(struct stage *stage, struct live **ret, size_t *retn, struct err *reterr);

// How many problems `status` tells of, but for those of the file that is no manifest; the first one.
int stage_problems(struct stage *stage, char *retfirst, size_t bytes, struct err *reterr);

// What the agent says of a pod, for whoever reads a failure.
void stage_tell(struct stage *stage, const char *ns, const char *name);

// The node that the agent runs on.
struct rig_node *stage_node(struct stage *stage);
int stage_agent_start(struct stage *stage, struct err *reterr);
// Its wait status.
int stage_agent_end(struct stage *stage, int signal);
// Runs `bulkheadd --cleanup`; its wait status.
int stage_agent_cleanup(struct stage *stage);

// Lines of the agent's log that tell of a failure or of what sanitizers found; *retfirst: the first one.
size_t stage_complaints(char *retfirst, size_t bytes);

// Asks all probes. Those of wants[] that should be delivered are asked again until they are, at the latest
// after some seconds: a new device takes a moment.
int stage_probe(struct stage *stage, struct probe *probes, const bool *wants, size_t n,
		struct err *reterr);
