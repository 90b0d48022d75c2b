// SPDX-License-Identifier: Apache-2.0
// clusterrule.h - one rule of a ClusterNetworkPolicy.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include <bulkhead/abi.h>

#include "agent/object/at.h"
#include "agent/object/object.h"

// The first sentence of each kind of trouble that a policy has; see clusternetpol.c.
struct trouble {
	struct err refused; // the schema does not allow it: the whole policy closes
	struct err unknown; // a peer of a kind that is not known: its rule closes
	struct err spare;   // where later sentences go
};

struct err *trouble_refused(struct trouble *trouble);
struct err *trouble_unknown(struct trouble *trouble);
const char *trouble_text(const struct trouble *trouble); // NULL: none

// Reads what can be read and makes the rest fail closed. 0 or -ENOMEM; trouble is not a failure.
int clusterrule_read(struct trouble *trouble, const struct at *at, enum bh_dir dir,
		     struct rule *rule);

// {namespaceSelector, podSelector}; podSelector is required. 0 or more, -EBADMSG, -ENOMEM.
int cluster_pods_read(const struct at *at, struct selector *namespaces, struct selector *pods,
		      struct err *reterr);

// {destinationPort: {number | range}}; on trouble *port is every port. 0 or more, -EBADMSG.
int cluster_port_read(const struct at *protocol, struct port *port, struct err *reterr);
