// SPDX-License-Identifier: Apache-2.0
// clusterpart.c - the parts of a ClusterNetworkPolicy that are read whole or not at all.
#include <errno.h>

#include "agent/object/clusterrule.h"
#include "agent/object/kind.h"

static const char *const pods_fields[] = { "namespaceSelector", "podSelector", NULL };
static const char *const protocol_fields[] = { "destinationPort", NULL };
static const char *const port_fields[] = { "number", "range", NULL };
static const char *const range_fields[] = { "start", "end", NULL };

struct err *trouble_refused(struct trouble *trouble)
{
	return trouble->refused.code ? &trouble->spare : &trouble->refused;
}

struct err *trouble_unknown(struct trouble *trouble)
{
	return trouble->unknown.code ? &trouble->spare : &trouble->unknown;
}

const char *trouble_text(const struct trouble *trouble)
{
	if (trouble->refused.code)
		return trouble->refused.text;
	return trouble->unknown.code ? trouble->unknown.text : NULL;
}

int cluster_pods_read(const struct at *at, struct selector *namespaces, struct selector *pods,
		      struct err *reterr)
{
	struct at ns_selector = at_field(at, "namespaceSelector");
	struct at pod_selector = at_field(at, "podSelector");
	int r = at_only(at, pods_fields, reterr);

	if (r < 0)
		return r;
	if (!pod_selector.json)
		return at_fail(&pod_selector, reterr, "is missing");
	r = selector_read(&ns_selector, namespaces, reterr);
	return r < 0 ? r : selector_read(&pod_selector, pods, reterr);
}

static int read_range(const struct at *range, struct port *port, struct err *reterr)
{
	struct at start = at_field(range, "start");
	struct at end = at_field(range, "end");
	int64_t lo = 0, hi = 0;
	int r = at_only(range, range_fields, reterr);

	if (r >= 0)
		r = at_int(&start, 1, UINT16_MAX, &lo, reterr);
	if (r >= 0)
		r = at_int(&end, 1, UINT16_MAX, &hi, reterr);
	if (r < 0)
		return r;
	if (!lo || !hi)
		return at_fail(lo ? &end : &start, reterr, "is missing");
	if (lo >= hi)
		return at_fail(range, reterr, "start %lld must be less than end %lld",
			       (long long)lo, (long long)hi);
	port->lo = (uint16_t)lo;
	port->hi = (uint16_t)hi;
	return 0;
}

int cluster_port_read(const struct at *protocol, struct port *port, struct err *reterr)
{
	struct at destination = at_field(protocol, "destinationPort");
	struct at number = at_field(&destination, "number");
	struct at range = at_field(&destination, "range");
	int64_t value = 0;
	int r = at_only(protocol, protocol_fields, reterr);

	if (r >= 0)
		r = at_only(&destination, port_fields, reterr);
	if (r < 0)
		return r;
	if (!destination.json)
		return at_fail(&destination, reterr, "is missing");
	if (!number.json == !range.json)
		return at_fail(&destination, reterr, "must be exactly one of number and range");
	if (range.json)
		return read_range(&range, port, reterr);
	r = at_int(&number, 1, UINT16_MAX, &value, reterr);
	port->lo = port->hi = (uint16_t)value;
	return r;
}
