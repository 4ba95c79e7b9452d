/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: does a firewall of the host stand in front of the WireGuard port
 * (doctor.h)? Asks nftables for its base chains (NFT_MSG_GETCHAIN over
 * nfnetlink). Forwarded packets never pass nftables here, so only input matters.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/doctor.h"

struct found {
	struct doctor *doctor;
	uint16_t port;
	unsigned chains;
};

struct chain {
	const char *table, *name;
	uint32_t hook, policy;
	bool is_base;
};

static int read_hook(const struct nlattr *a, void *data)
{
	struct chain *c = data;

	if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM && mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
		c->hook = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *a, void *data)
{
	struct chain *c = data;

	switch (mnl_attr_get_type(a)) {
	case NFTA_CHAIN_TABLE:
		c->table = mnl_attr_get_str(a);
		break;
	case NFTA_CHAIN_NAME:
		c->name = mnl_attr_get_str(a);
		break;
	case NFTA_CHAIN_POLICY:
		c->policy = ntohl(mnl_attr_get_u32(a));
		break;
	case NFTA_CHAIN_HOOK:
		c->is_base = true;
		return mnl_attr_parse_nested(a, read_hook, c);
	}
	return MNL_CB_OK;
}

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
}

static int read_chain(const struct nlmsghdr *header, void *data)
{
	struct chain c = {.table = "?", .name = "?", .policy = NF_ACCEPT};
	struct found *found = data;
	const struct nfgenmsg *family = mnl_nlmsg_get_payload(header);
	char advice[256];

	mnl_attr_parse(header, sizeof(struct nfgenmsg), read_attribute, &c);
	if (!c.is_base || c.hook != NF_INET_LOCAL_IN || c.policy != NF_DROP)
		return MNL_CB_OK;
	found->chains++;
	snprintf(advice, sizeof(advice), "unless it accepts it already: nft add rule %s %s %s udp dport %u accept",
		 family_name(family->nfgen_family), c.table, c.name, found->port);
	doctor_say(found->doctor, "firewall", DOCTOR_WARN, advice,
		   "chain %s of table %s drops by default: it must accept UDP port %u", c.name, c.table, found->port);
	return MNL_CB_OK;
}

static int dump_chains(struct mnl_socket *socket, struct found *found)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof(*family));
	uint32_t seq = (uint32_t)time(NULL);
	ssize_t n;
	int result = MNL_CB_OK;

	header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = seq;
	family->nfgen_family = NFPROTO_UNSPEC;
	family->version = NFNETLINK_V0;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -1;
	while (result > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(socket, buf, sizeof(buf));
		result =
			n <= 0 ? -1 : mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(socket), read_chain, found);
	}
	return result;
}

void doctor_firewall(struct doctor *doctor, const struct config *cfg)
{
	struct found found = {.doctor = doctor, .port = cfg->tunnel.listen};
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int result = -1;

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) >= 0)
		result = dump_chains(socket, &found);
	if (result < 0 && errno == EPERM)
		doctor_say(doctor, "firewall", DOCTOR_WARN, "sudo sluice doctor", "nftables can only be seen by root");
	else if (!found.chains)
		doctor_say(doctor, "firewall", DOCTOR_OK, NULL, "no nftables chain drops what comes in by default");
	if (socket)
		mnl_socket_close(socket);
}
