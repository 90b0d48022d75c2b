// SPDX-License-Identifier: Apache-2.0
// nfct.c - messages of ctnetlink.
#include "agent/bpf/nfct.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

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

static void put_addr(struct nlmsghdr *nlh, uint16_t v4, uint16_t v6, const struct bh_addr *addr)
{
	if (bh_addr_is4(addr))
		mnl_attr_put_u32(nlh, v4, addr->w[3]);
	else
		mnl_attr_put(nlh, v6, sizeof(*addr), addr);
}

void nfct_only(struct nlmsghdr *nlh, bool reply, const struct nfct_side *side, uint32_t parts)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG), *part;

	part = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	if (parts & NFCT_IPV4_SRC)
		mnl_attr_put_u32(nlh, CTA_IP_V4_SRC, side->src.w[3]);
	if (parts & NFCT_IPV4_DST)
		mnl_attr_put_u32(nlh, CTA_IP_V4_DST, side->dst.w[3]);
	mnl_attr_nest_end(nlh, part);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	if (parts & NFCT_PROTO)
		mnl_attr_put_u8(nlh, CTA_PROTO_NUM, side->proto);
	if (parts & NFCT_DPORT)
		mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, side->dport);
	mnl_attr_nest_end(nlh, part);
	mnl_attr_nest_end(nlh, tuple);
	part = mnl_attr_nest_start(nlh, CTA_FILTER);
	mnl_attr_put_u32(nlh, CTA_FILTER_ORIG_FLAGS, reply ? 0 : parts);
	mnl_attr_put_u32(nlh, CTA_FILTER_REPLY_FLAGS, reply ? parts : 0);
	mnl_attr_nest_end(nlh, part);
}

struct nlmsghdr *nfct_request_one(char buf[static NL_REQUEST_BYTES], const struct nfct_side *orig)
{
	struct nlmsghdr *nlh = nfct_request(buf, bh_addr_is4(&orig->dst) ? AF_INET : AF_INET6);
	struct nlattr *tuple, *part;

	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	tuple = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	put_addr(nlh, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &orig->src);
	put_addr(nlh, CTA_IP_V4_DST, CTA_IP_V6_DST, &orig->dst);
	mnl_attr_nest_end(nlh, part);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, orig->proto);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, orig->sport);
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, orig->dport);
	mnl_attr_nest_end(nlh, part);
	mnl_attr_nest_end(nlh, tuple);
	return nlh;
}

struct answer {
	struct nfct_side *reply;
	bool told;
};

static int told(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[CTA_MAX + 1];
	struct answer *answer = arg;

	nl_attrs(nlh, sizeof(struct nfgenmsg), attrs, CTA_MAX);
	answer->told = nfct_side(attrs[CTA_TUPLE_REPLY], answer->reply);
	return 0;
}

int nfct_find(struct nl *nl, const struct nfct_side *orig, struct nfct_side *retreply)
{
	struct answer answer = { .reply = retreply };
	char buf[NL_REQUEST_BYTES];
	int r = nl_talk(nl, nfct_request_one(buf, orig), told, &answer);

	if (r < 0)
		return r;
	return answer.told ? 0 : -ENOENT;
}
