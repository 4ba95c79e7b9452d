/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_H
#define SLUICE_POLICY_H

#include "addr.h"
#include "alloc.h"
#include "diag.h"
#include "doc.h"

/*
 * A policy file as a tree: who may reach what, before anybody knows which
 * addresses that means. The language is Tailscale's policy file (acls, grants,
 * groups, hosts, tagOwners, autoApprovers, ipsets, tests) and four sections of
 * our own: deny, blocklists, egress, quotas.
 *
 * A struct policy that exists has no mistake that can be seen without an
 * inventory: every name in it is defined, every port is one.
 */
enum policy_sel_kind {
	SEL_PREFIX,	/* address or CIDR */
	SEL_ANY,	/* * */
	SEL_USER,	/* alice@example.com */
	SEL_DOMAIN,	/* user:*@example.com: everybody of a domain */
	SEL_GROUP,	/* group:x */
	SEL_TAG,	/* tag:x */
	SEL_IPSET,	/* ipset:x */
	SEL_HOST,	/* a name of section hosts */
	SEL_MEMBER,	/* autogroup:member: untagged nodes */
	SEL_TAGGED,	/* autogroup:tagged */
	SEL_ROLE,	/* autogroup:admin and the like: users by role */
	SEL_INTERNET,	/* autogroup:internet, as a destination */
	SEL_SELF,	/* autogroup:self, as a destination: the user's own nodes */
	SEL_DANGER_ALL, /* autogroup:danger-all, as a source: anything at all */
	SEL_SHARED,	/* autogroup:shared, as a source: guests of a tailnet, nobody here */
	SEL_SERVICE,	/* svc:x, as a destination: a service of Tailscale's own, nothing here */
};

struct policy_sel {
	enum policy_sel_kind kind;
	bool any_case;	      /* of a deny or a quota: it is for every login that differs by capitals alone, too */
	uint32_t def;	      /* group, tag, ipset, host: index of its definition */
	struct prefix prefix; /* SEL_PREFIX */
	const char *text;     /* as written, trimmed, without ports */
	struct diag_at at;
};

struct policy_sels {
	struct policy_sel *v;
	size_t n;
};

struct policy_text {
	const char *text;
	struct diag_at at;
};

struct policy_texts {
	struct policy_text *v;
	size_t n;
};

struct policy_ports { /* inclusive; "*" is 0-65535 */
	uint16_t first, last;
};

struct policy_portlist {
	struct policy_ports *v;
	size_t n;
};

#define POLICY_PROTO_DEFAULT 0 /* none written: TCP, UDP, ICMP, ICMPv6 */

struct policy_ip {		      /* what a rule lets through: a protocol and ports */
	uint8_t proto;		      /* IP protocol number, or POLICY_PROTO_DEFAULT */
	struct policy_portlist ports; /* of a grant; empty in acls and deny */
};

struct policy_dst {
	struct policy_sel sel;
	struct policy_portlist ports; /* of an acl or deny; empty in a grant */
};

enum policy_rule_kind { POLICY_ACL, POLICY_GRANT, POLICY_DENY };

struct policy_rule {
	enum policy_rule_kind kind;
	uint32_t id; /* from 1, in file order; the id of the filter rules made of it */
	struct policy_sels src;
	struct policy_dst *dst;
	size_t n_dst;
	struct policy_ip *ip; /* acl, deny: exactly one */
	size_t n_ip;
	struct policy_sels via;	 /* grant: tags of the routers that may carry it */
	struct policy_texts app; /* grant: names of capabilities, ignored */
	/* srcPosture: conditions on a client's device, which no gateway can see. The rule holds for nobody. */
	struct policy_texts posture;
	struct diag_at at;
};

struct policy_group {
	const char *name; /* with its prefix "group:" */
	struct policy_sels users;
	struct diag_at at;
};

struct policy_host {
	const char *name;
	struct prefix prefix;
	struct diag_at at;
};

struct policy_tag {
	const char *name; /* with its prefix "tag:" */
	struct policy_sels owners;
	struct diag_at at;
};

struct policy_ipset_op {
	bool remove;
	struct policy_sel target; /* prefix, host, ipset, internet */
};

struct policy_ipset {
	const char *name;	     /* with its prefix "ipset:" */
	struct policy_ipset_op *ops; /* in order */
	size_t n;
	struct diag_at at;
};

struct policy_approver { /* autoApprovers.routes; autoApprovers.exitNode is two of them */
	struct prefix prefix;
	struct policy_sels who;
	struct diag_at at;
};

struct policy_assertion {	       /* one of section tests; checked when it is run */
	struct policy_text src, proto; /* text NULL: absent */
	struct policy_texts accept, deny;
	bool posture; /* srcPostureAttrs: of a device that fulfils conditions, which no client does here */
	struct diag_at at;
};

struct policy_blocklist {
	const char *name, *file;
	uint64_t max_age; /* seconds, 0: any */
	struct diag_at at;
};

struct policy_egress {	       /* the first that names a client gives it its pool */
	struct policy_sel who; /* user, group, tag */
	const char *pool;
	struct diag_at at;
};

struct policy_quota { /* the first that names a client holds for it; 0: no limit */
	struct policy_sels src;
	uint64_t flows;
	uint64_t new_flows, packets, bytes; /* a second */
	struct diag_at at;
};

#define POLICY_LIST(type, name) \
	struct type *name;      \
	size_t n_##name

struct policy {
	bool has_rules;			 /* acls or grants is there, be it empty */
	POLICY_LIST(policy_rule, rules); /* acls, grants and deny, in file order */
	POLICY_LIST(policy_group, groups);
	POLICY_LIST(policy_host, hosts);
	POLICY_LIST(policy_tag, tags);
	POLICY_LIST(policy_ipset, ipsets);
	POLICY_LIST(policy_approver, approvers);
	struct policy_sels exit_approvers;
	POLICY_LIST(policy_assertion, tests);
	POLICY_LIST(policy_blocklist, blocklists);
	POLICY_LIST(policy_egress, egress);
	POLICY_LIST(policy_quota, quotas);
	struct policy_texts ignored; /* sections that were read over */
	struct arena mem;
	struct doc *doc;
};

/*
 * The policy of a document, which it takes over (also on failure): strings point
 * into it. Reports every mistake and returns NULL if there was one. Sections that
 * are accepted and ignored give a warning each.
 */
struct policy *policy_parse(struct doc *doc, struct diags *d);
void policy_free(struct policy *p);

/* A host of the policy by its name, which "host:" may precede; NULL: there is none. */
const struct policy_host *policy_host_named(const struct policy *p, const char *name, size_t len);

/* The protocol's name ("tcp"), or its number in @buf (4 bytes) where it has none. */
const char *policy_proto_name(uint8_t proto, char *buf);

#endif
