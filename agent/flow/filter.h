// SPDX-License-Identifier: Apache-2.0
// filter.h - which records are wanted: the same words for sinks, the command line and the control socket.
//
// World: host. Pure: yes. Owns: a filter its terms.
//
// A filter is terms separated by spaces; a term is [!]field=value[,value...]. All terms must hold; of one term's
// values one must; `!` turns the term round. Fields of the record: verdict, type, reason, direction, protocol (name or
// number), over, policy ("ns/name" or "name": what decided, or would by audit), since and until (RFC 3339, or a duration
// before now: "5m"). Fields of its ends: pod and service ("ns/name", or "name" in any namespace), namespace, workload
// ("Kind/name" or "name"), label ("key" or "key:value"), node, kind (pod, node, service, world), address, cidr, port (or a
// range): X means either end, from-X the source, to-X the destination, which is also its Service and its backend. Names
// and values of labels may end in *: all that begin so.
#pragma once

#include "agent/base/err.h"
#include "agent/flow/record.h"

#define FLOW_FILTER_BYTES 4096 // of a text, with its end
#define FLOW_FILTER_SAID_BYTES 64 // of a term, in the sentence that refuses it

struct flow_filter;

// "" and NULL match everything. now_ns: for durations. -EINVAL with a sentence that names the term.
int flow_filter_parse(const char *text, int64_t now_ns, struct flow_filter **ret, struct err *reterr);
void flow_filter_free(struct flow_filter *filter); // NULL is fine
DEFINE_CLEANUP(struct flow_filter *, flow_filter_free)

bool flow_filter_match(const struct flow_filter *filter, const struct flow_record *record); // NULL: true
const char *flow_filter_fields(void); // "verdict, type, ..." for help and completion
