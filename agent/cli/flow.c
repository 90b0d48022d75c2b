// SPDX-License-Identifier: Apache-2.0
// flow.c - options that name a flow.
#include "agent/cli/flow.h"

#include <ctype.h>
#include <string.h>

#include "agent/object/object.h"

static bool has_ports(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static int check_port(const struct cli *cli, const struct flow_options *flow, uint8_t protocol,
		      uint16_t *ret)
{
	char *end = NULL;
	unsigned long port;

	if (!has_ports(protocol) && flow->port && strcmp(flow->port, "0"))
		return cli_fail(cli, CLI_USAGE, "--port: protocol %s has no ports", flow->protocol);
	if (!has_ports(protocol)) {
		*ret = 0;
		return CLI_OK;
	}
	if (!flow->port)
		return cli_fail(cli, CLI_USAGE, "--port N is missing");
	port = strtoul(flow->port, &end, 10);
	if (!isdigit((unsigned char)flow->port[0]) || *end || port < 1 || port > 65535)
		return cli_fail(cli, CLI_USAGE, "--port: '%s' is not in 1..65535", flow->port);
	*ret = (uint16_t)port;
	return CLI_OK;
}

int flow_check(const struct cli *cli, const struct flow_options *flow, struct flow_question *ret)
{
	static const int families[] = { 0, 4, 6 };
	int r;

	if (!flow->from || !flow->to)
		return cli_fail(cli, CLI_USAGE, "--%s is missing: NAMESPACE/POD or an address",
				flow->from ? "to" : "from");
	if (protocol_parse(flow->protocol, &ret->protocol) < 0)
		return cli_fail(cli, CLI_USAGE,
				"--protocol: '%s' is unknown: say TCP, UDP, SCTP or a number",
				flow->protocol);
	r = check_port(cli, flow, ret->protocol, &ret->port);
	if (r != CLI_OK)
		return r;
	ret->family = families[flow->family];
	snprintf(ret->text, sizeof(ret->text), "%.256s -> %.256s %u/%s", flow->from, flow->to,
		 ret->port, protocol_name(ret->protocol));
	return CLI_OK;
}
