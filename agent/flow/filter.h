// SPDX-License-Identifier: Apache-2.0
// filter.h - which records are wanted: the same words for sinks, the command line and the control socket.
//
// World: host. Pure: yes. Owns: a filter its terms.
//
// A filter is terms separated by spaces; a term is [!]field=value[,value...]. All terms must hold; of one term's
// values one must; `!` turns the term round. Fields: verdict, type, reason, direction, protocol (name or number),
// pod ("ns/name", or "name" in any namespace; a trailing * is a prefix), namespace, workload ("Kind/name" or "name"),
// label ("key" or "key:value"), node, service ("ns/name" or "name"), address, cidr, port, policy ("ns/name" or
// "name"), each meaning either end, and from-X / to-X of all that ends have, meaning the source or the destination
// (its backend included). since and until take RFC 3339 or a duration before now ("5m").
#pragma once

#include "agent/base/err.h"
#include "agent/flow/record.h"

struct flow_filter;

// "" and NULL match everything. now_ns: for durations. -EINVAL with a sentence that names the term.
int flow_filter_parse(const char *text, int64_t now_ns, struct flow_filter **ret, struct err *reterr);
void flow_filter_free(struct flow_filter *filter); // NULL is fine
DEFINE_CLEANUP(struct flow_filter *, flow_filter_free)

bool flow_filter_match(const struct flow_filter *filter, const struct flow_record *record); // NULL: true
const char *flow_filter_fields(void); // "verdict, type, ..." for help and completion
