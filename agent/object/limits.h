// SPDX-License-Identifier: Apache-2.0
// limits.h - how large the parts of one object may be. Beyond: one sentence that names the limit.
//
// World: host. Pure: yes. Owns: nothing.
// The API limits objects by bytes only; these keep one tenant's object from using up the agent. A
// policy beyond a limit is invalid (see object.h); an object of another kind is refused.
#pragma once

#define OBJECT_MAX_BYTES                                                                           \
	(4u << 20)          // text of one object; the API server's own limit is about 1.5 MiB
#define OBJECT_MAX_DEPTH 64 // nesting of JSON and YAML

#define OBJECT_MAX_LABELS 1024
#define OBJECT_MAX_TERMS 1024           // of one selector
#define OBJECT_MAX_VALUES 4096          // of one selector term
#define OBJECT_MAX_RULES 4096           // of one direction
#define OBJECT_MAX_PEERS 65536          // of one rule
#define OBJECT_MAX_PORTS 8192           // of one rule
#define OBJECT_MAX_EXCEPTS 8192         // of one ipBlock
#define OBJECT_MAX_CONTAINERS 1024      // of one pod
#define OBJECT_MAX_CONTAINER_PORTS 4096 // of one pod
#define OBJECT_MAX_ADDRS 1024           // of one node, Service or endpoint
#define OBJECT_MAX_SERVICE_PORTS 1024   // of one Service or EndpointSlice
#define OBJECT_MAX_ENDPOINTS 4096       // of one EndpointSlice; the API allows 1000

// ClusterNetworkPolicy: its schema's own
#define CNP_MAX_RULES 25
#define CNP_MAX_PEERS 25
#define CNP_MAX_NETWORKS 25
#define CNP_MAX_PROTOCOLS 25
#define CNP_MAX_DOMAINS 25
#define CNP_MAX_NAME 100
#define CNP_MAX_PRIORITY 1000
