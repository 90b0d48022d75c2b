// SPDX-License-Identifier: Apache-2.0
// probe.h - new connections between namespaces, judged by what is delivered at the destination.
//
// World: host, tests. Pure: no (sockets). Owns: an end its sockets; a prober its barrier.
// Everything runs on one CPU: a packet crosses a veth through that CPU's backlog, which is first in, first
// out. A datagram over lo that came back therefore proves that each packet before it went one device
// further; as many of them as a path has devices prove that all probes ended, without waiting for time
// to pass.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "tests/conformance/flow.h"

#define PROBE_PORT_FIRST 20000

// A namespace that probes leave from and arrive at. Sockets are opened at their first use.
struct probe_end {
	int netns; // borrowed
	int send[2], recv[2]; // by family: 0 IPv4, 1 IPv6
	bool used; // in the batch that runs
};

void probe_end_init(struct probe_end *end, int netns);
void probe_end_fini(struct probe_end *end);

struct probe {
	struct probe_end *from, *to;
	struct flow flow; // source_port 0: chosen by probe_run()
	bool delivered; // seen in the destination's namespace
	bool answered; // a reply or an ICMP error about it came back to the source
};

struct prober;
// Pins the process to one CPU (the index'th it may use) and works from the namespace it is in.
int prober_new(unsigned index, struct prober **ret, struct err *reterr);
void prober_free(struct prober *prober);
DEFINE_CLEANUP(struct prober *, prober_free)

// Sends all probes, of one family, and fills in what became of them. Every probe without a source port gets
// one that none of the last 32,000 had; the others have one below these, each its own.
int probe_run(struct prober *prober, struct probe *probes, size_t n, struct err *reterr);
