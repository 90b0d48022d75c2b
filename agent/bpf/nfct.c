// SPDX-License-Identifier: Apache-2.0
// nfct.c - messages of ctnetlink.
#include "agent/bpf/nfct.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <libmnl/libmnl.h>

bool nfct_side(const struct nlattr *attr, struct nfct_side *ret)
{
	const struct nlattr *tuple[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1], *proto[CTA_PROTO_MAX + 1];

	if (!attr)
		return false;
	nl_nested(attr, tuple, CTA_TUPLE_MAX);
	if (!tuple[CTA_TUPLE_IP] || !tuple[CTA_TUPLE_PROTO])
		return false;
	nl_nested(tuple[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	nl_nested(tuple[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
	if (!proto[CTA_PROTO_NUM] || !proto[CTA_PROTO_SRC_PORT] || !proto[CTA_PROTO_DST_PORT])
		return false;
	ret->proto = mnl_attr_get_u8(proto[CTA_PROTO_NUM]);
	ret->sport = mnl_attr_get_u16(proto[CTA_PROTO_SRC_PORT]);
	ret->dport = mnl_attr_get_u16(proto[CTA_PROTO_DST_PORT]);
	return nl_addr(ip[CTA_IP_V4_SRC] ? ip[CTA_IP_V4_SRC] : ip[CTA_IP_V6_SRC], &ret->src) &&
	       nl_addr(ip[CTA_IP_V4_DST] ? ip[CTA_IP_V4_DST] : ip[CTA_IP_V6_DST], &ret->dst);
}

struct nlmsghdr *nfct_request(char buf[static NL_REQUEST_BYTES], uint8_t family)
{
	struct nfgenmsg *request;
	struct nlmsghdr *nlh = nl_request(buf, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP,
					  sizeof(*request), &request);

	request->nfgen_family = family;
	request->version = NFNETLINK_V0;
	return nlh;
}
