/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: does a firewall of the host stand in front of the WireGuard port
 * (doctor.h)? Asks nftables for its base chains and their rules (NFT_MSG_GETCHAIN,
 * NFT_MSG_GETRULE over nfnetlink): a chain refuses by default by its policy, as ufw's,
 * or by a last rule without a condition, as firewalld's. Whether a rule before it lets
 * the port through is not worked out; a handshake that arrived tells. Forwarded packets
 * never pass nftables here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"

#define CHAINS_MAX 64

struct chain {
	uint8_t family;
	char table[64], name[64];
	uint32_t hook;
	bool is_base, refuses; /* by default */
};

struct ruleset {
	struct chain chain[CHAINS_MAX]; /* base chains that our packets pass */
	size_t n;
	bool ufw, tailscale;	/* chains of theirs were seen */
	struct chain publishes; /* the first whose rules lead ports elsewhere; without a name: none does */
};

/* ---- chains --------------------------------------------------------------------------- */

static int read_hook(const struct nlattr *a, void *data)
{
	struct chain *c = data;

	if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM && mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
		c->hook = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int read_chain_attribute(const struct nlattr *a, void *data)
{
	struct chain *c = data;

	switch (mnl_attr_get_type(a)) {
	case NFTA_CHAIN_TABLE:
		snprintf(c->table, sizeof(c->table), "%s", mnl_attr_get_str(a));
		break;
	case NFTA_CHAIN_NAME:
		snprintf(c->name, sizeof(c->name), "%s", mnl_attr_get_str(a));
		break;
	case NFTA_CHAIN_POLICY:
		c->refuses = ntohl(mnl_attr_get_u32(a)) == NF_DROP;
		break;
	case NFTA_CHAIN_HOOK:
		c->is_base = true;
		return mnl_attr_parse_nested(a, read_hook, c);
	}
	return MNL_CB_OK;
}

static bool concerns_us(const struct chain *c)
{
	bool ip = c->family == NFPROTO_IPV4 || c->family == NFPROTO_IPV6 || c->family == NFPROTO_INET;

	return c->is_base && ip &&
	       (c->hook == NF_INET_PRE_ROUTING || c->hook == NF_INET_LOCAL_IN || c->hook == NF_INET_LOCAL_OUT);
}

static uint8_t family_of(const struct nlmsghdr *header)
{
	const struct nfgenmsg *message = mnl_nlmsg_get_payload(header);

	return message->nfgen_family;
}

static int read_chain(const struct nlmsghdr *header, void *data)
{
	struct chain c = {.family = family_of(header)};
	struct ruleset *r = data;

	mnl_attr_parse(header, sizeof(struct nfgenmsg), read_chain_attribute, &c);
	r->ufw |= !strcmp(c.name, "ufw-user-input");
	r->tailscale |= !strcmp(c.name, "ts-input");
	if (concerns_us(&c) && r->n < CHAINS_MAX)
		r->chain[r->n++] = c;
	return MNL_CB_OK;
}

/* ---- rules ---------------------------------------------------------------------------- */

static const struct nlattr *child(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	if (!nest)
		return NULL;
	mnl_attr_for_each_nested (a, nest)
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

/* `drop`, as the expression "immediate" carries it. */
static bool is_drop(const struct nlattr *immediate)
{
	const struct nlattr *data = child(immediate, NFTA_IMMEDIATE_DATA);
	const struct nlattr *code = child(child(data, NFTA_DATA_VERDICT), NFTA_VERDICT_CODE);

	return code && mnl_attr_validate(code, MNL_TYPE_U32) >= 0 && ntohl(mnl_attr_get_u32(code)) == NF_DROP;
}

/* Does the rule refuse whatever reaches it? Counting and logging are no conditions. */
static bool refuses_all(const struct nlattr *expressions)
{
	const struct nlattr *e;
	bool refuses = false;

	mnl_attr_for_each_nested (e, expressions) {
		const struct nlattr *name = child(e, NFTA_EXPR_NAME);
		const char *word = name ? mnl_attr_get_str(name) : "";

		if (!strcmp(word, "reject"))
			refuses = true;
		else if (!strcmp(word, "immediate"))
			refuses = is_drop(child(e, NFTA_EXPR_DATA));
		else if (strcmp(word, "counter") != 0 && strcmp(word, "log") != 0)
			return false;
	}
	return refuses;
}

/* Does the rule lead what comes for this host to somebody else, a container say (DNAT)? As nft or iptables-nft has it.
 */
static bool publishes(const struct nlattr *expressions)
{
	const struct nlattr *e, *type, *target;

	mnl_attr_for_each_nested (e, expressions) {
		const struct nlattr *name = child(e, NFTA_EXPR_NAME), *data = child(e, NFTA_EXPR_DATA);
		const char *word = name ? mnl_attr_get_str(name) : "";

		if (!strcmp(word, "redir"))
			return true;
		type = strcmp(word, "nat") ? NULL : child(data, NFTA_NAT_TYPE);
		if (type && mnl_attr_validate(type, MNL_TYPE_U32) >= 0 && ntohl(mnl_attr_get_u32(type)) == NFT_NAT_DNAT)
			return true;
		target = strcmp(word, "target") ? NULL : child(data, NFTA_TARGET_NAME);
		if (target &&
		    (!strcmp(mnl_attr_get_str(target), "DNAT") || !strcmp(mnl_attr_get_str(target), "REDIRECT")))
			return true;
	}
	return false;
}

static void note_publishing(struct ruleset *r, uint8_t family, const char *table, const char *name)
{
	if (*r->publishes.name)
		return;
	r->publishes.family = family;
	snprintf(r->publishes.table, sizeof(r->publishes.table), "%s", table);
	snprintf(r->publishes.name, sizeof(r->publishes.name), "%s", name);
}

/* Rules come in their order: behind one that refuses all, none matters. */
static int read_rule(const struct nlmsghdr *header, void *data)
{
	const struct nlattr *a, *expressions = NULL;
	const char *table = "", *name = "";
	struct ruleset *r = data;

	mnl_attr_for_each (a, header, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(a) == NFTA_RULE_TABLE)
			table = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == NFTA_RULE_CHAIN)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == NFTA_RULE_EXPRESSIONS)
			expressions = a;
	}
	if (expressions && publishes(expressions))
		note_publishing(r, family_of(header), table, name);
	for (size_t i = 0; i < r->n; i++) {
		struct chain *c = &r->chain[i];

		if (c->family == family_of(header) && !strcmp(c->table, table) && !strcmp(c->name, name))
			c->refuses |= expressions && refuses_all(expressions);
	}
	return MNL_CB_OK;
}

/* ---- what there is ---------------------------------------------------------------------- */

static int doctor_firewall_dump(struct mnl_socket *socket, uint16_t type, mnl_cb_t each, struct ruleset *r)
{
	char buf[32768];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof(*family));
	uint32_t seq = (uint32_t)time(NULL) + type;
	ssize_t n;
	int result = MNL_CB_OK;

	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = seq;
	family->nfgen_family = NFPROTO_UNSPEC;
	family->version = NFNETLINK_V0;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -1;
	while (result > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(socket, buf, sizeof(buf));
		result = n <= 0 ? -1 : mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(socket), each, r);
	}
	return result;
}

static int read_ruleset(struct ruleset *r)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int result = -1, err;

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) >= 0) {
		result = doctor_firewall_dump(socket, NFT_MSG_GETCHAIN, read_chain, r);
		if (result >= 0)
			result = doctor_firewall_dump(socket, NFT_MSG_GETRULE, read_rule, r);
	}
	err = errno;
	if (socket)
		mnl_socket_close(socket);
	errno = err;
	return result;
}

/* ---- what to do ----------------------------------------------------------------------------- */

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
}

/* The command that opens the port, in the words of who made the chain. */
static void how_to_open(const struct ruleset *r, const struct chain *c, uint16_t port, char *to, size_t size)
{
	bool out = c->hook == NF_INET_LOCAL_OUT;

	if (!strcmp(c->table, "firewalld"))
		snprintf(to, size, "firewall-cmd --permanent --add-port=%u/udp && firewall-cmd --reload", port);
	else if (r->ufw && !strcmp(c->table, "filter"))
		snprintf(to, size, out ? "ufw allow out from any port %u proto udp" : "ufw allow %u/udp", port);
	else
		snprintf(to, size, "nft insert rule %s %s %s udp %cport %u accept", family_name(c->family), c->table,
			 c->name, out ? 's' : 'd', port);
}

static void say_chain(struct doctor *doctor, const struct ruleset *r, const struct chain *c, uint16_t port)
{
	bool out = c->hook == NF_INET_LOCAL_OUT;
	char advice[256];

	how_to_open(r, c, port, advice, sizeof(advice));
	doctor_say(doctor, "firewall", DOCTOR_WARN, advice,
		   "chain %s of table %s %s refuses what %s by default, and no handshake has come: it must let UDP "
		   "port %u pass",
		   c->name, family_name(c->family), c->table, out ? "goes out" : "comes in", port);
}

/* tailscaled lets its own addresses in by its own interface only. */
static void check_tailscale(struct doctor *doctor, const struct config *cfg)
{
	char advice[64 + IFNAMSIZ];

	for (size_t i = 0; i < cfg->tunnel.n_addresses; i++) {
		const struct addr *a = &cfg->tunnel.addresses[i].host;

		if (addr_is_v4(a) && a->b[12] == 100 && (a->b[13] & 0xc0) == 64) {
			snprintf(advice, sizeof(advice), "iptables -I INPUT -i %s -j ACCEPT", cfg->tunnel.interface);
			doctor_say(doctor, "firewall", DOCTOR_WARN, advice,
				   "tailscaled drops what comes from 100.64.0.0/10 to this host by another "
				   "interface than its own: services pass, the gateway's own do not");
			return;
		}
	}
}

/*
 * A port that is led to a container has no socket here, so the
 * programs take it for translation's. Which ports these are is not worked out.
 */
static void check_published(struct doctor *doctor, const struct ruleset *r, const struct config *cfg)
{
	bool shared = false;

	for (size_t i = 0; i < cfg->n_pools; i++)
		shared |= !cfg->pools[i].exclusive;
	if (!shared || !*r->publishes.name)
		return;
	doctor_say(doctor, "ports", DOCTOR_WARN,
		   "name them, and those of the chains beside it, in sysctl net.ipv4.ip_local_reserved_ports=8080,...",
		   "chain %s of table %s %s leads ports of this host elsewhere (DNAT): of those from 1024 on, sluice "
		   "leaves to it what the sysctl net.ipv4.ip_local_reserved_ports names, or the host's ephemeral range "
		   "holds",
		   r->publishes.name, family_name(r->publishes.family), r->publishes.table);
}

/* Tables of the old interface are not nftables'; their names are all that is told. */
static bool has_legacy(void)
{
	FILE *in = fopen("/proc/net/ip_tables_names", "re");
	char name[64];
	bool yes = in && fgets(name, sizeof(name), in);

	if (in)
		fclose(in);
	return yes;
}

void doctor_firewall(struct doctor *doctor, const struct config *cfg, bool arrives)
{
	struct ruleset *r = calloc(1, sizeof(*r));
	unsigned refusing = 0;

	if (!r || read_ruleset(r) < 0) {
		doctor_say(doctor, "firewall", DOCTOR_WARN, errno == EPERM ? "sudo sluice doctor" : NULL,
			   errno == EPERM ? "nftables can only be seen by root" : "nftables: %s", strerror(errno));
		free(r);
		return;
	}
	for (size_t i = 0; i < r->n; i++) {
		refusing += r->chain[i].refuses;
		if (r->chain[i].refuses && !arrives)
			say_chain(doctor, r, &r->chain[i], cfg->tunnel.listen);
	}
	if (has_legacy() && !arrives)
		doctor_say(doctor, "firewall", DOCTOR_WARN, "iptables-legacy -S INPUT",
			   "there are rules of iptables-legacy, which cannot be seen here");
	if (r->tailscale)
		check_tailscale(doctor, cfg);
	check_published(doctor, r, cfg);
	if (refusing && arrives)
		doctor_say(doctor, "firewall", DOCTOR_OK, NULL, "it refuses by default, but handshakes arrive");
	else if (!refusing)
		doctor_say(doctor, "firewall", DOCTOR_OK, NULL, "no nftables chain refuses what comes in by default");
	free(r);
}
