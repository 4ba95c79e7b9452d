/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_POLICY_PARSE_H
#define SLUICE_POLICY_PARSE_H

#include "policy.h"

/* Private to the readers of the policy: parse*.c, selector.c, validate.c. */
#define PARSER_TOLD_MAX 8

struct parser {
	struct policy *p;
	struct diags *d;
	const char *told[PARSER_TOLD_MAX]; /* old words that a hint was given about: one for each is enough */
	bool told_capitals;
};

/* ---- selector.c: the small languages inside strings ------------------------ */

/*
 * A selector from @len bytes at @text, trimmed. @what ("src", "dst") opens the
 * message when it is none. Names are not looked up: that is validate.c's.
 */
bool parse_selector(struct parser *x, const char *what, const char *text, size_t len, struct diag_at at,
		    struct policy_sel *out);
/* "selector:ports" of an acl: splits at the last colon; brackets go around IPv6 only. */
bool parse_target(struct parser *x, const char *what, const char *text, struct diag_at at, struct policy_dst *out);
/* The same for a test of ICMP, which has no ports: any single number is right, 0 too. */
bool parse_icmp_target(struct parser *x, const char *what, const char *text, struct diag_at at, struct policy_dst *out);
/* "*", "ports" or "proto:ports" of a grant. */
bool parse_ip(struct parser *x, const char *text, struct diag_at at, struct policy_ip *out);
/* A name of a protocol or its number 1-255; "" is POLICY_PROTO_DEFAULT. */
bool parse_proto(const char *text, size_t len, uint8_t *out);
bool proto_has_ports(uint8_t proto);

/* ---- fields.c: lists and maps of a document --------------------------------- */

/* @n if it is a list or a map, NULL (an absent section) for nothing; else reports and returns NULL. */
const struct doc_node *want_list(struct parser *x, const struct doc_node *n, const char *what);
const struct doc_node *want_map(struct parser *x, const struct doc_node *n, const char *what);
bool is_empty(const struct doc_node *n); /* absent, null, or without items */
/* Reports the keys that are not in @known; one that is but for its capitals ("ACLs") gets the name of today. */
void want_keys(struct parser *x, const struct doc_node *map, const char *what, const char *const *known);
/* The field by its name of today or by its old one. */
const struct doc_node *get_renamed(struct parser *x, const struct doc_node *map, const char *name, const char *old);
/* A word that still works, and what to write today. */
void hint_old(struct parser *x, struct diag_at at, const char *old, const char *now);
void read_texts(struct parser *x, const struct doc_node *list, const char *what, struct policy_texts *out);
void read_selectors(struct parser *x, const struct doc_node *list, const char *what, struct policy_sels *out);

/* ---- the sections ------------------------------------------------------------ */

/* parse_rules.c: appends to x->p->rules, for which there is room. */
void read_acls(struct parser *x, const struct doc_node *list, enum policy_rule_kind kind);
void read_grants(struct parser *x, const struct doc_node *list);
/* parse_own.c: what is not in Tailscale's language */
void read_blocklists(struct parser *x, const struct doc_node *list);
void read_egress(struct parser *x, const struct doc_node *n);
void read_quotas(struct parser *x, const struct doc_node *list);

/* ---- validate.c ---------------------------------------------------------------- */

/* Looks every name up and checks what may stand where. */
void validate_policy(struct parser *x);

/* The same for one selector: where it stands, and (into sel->def) what it names. */
enum stands { STANDS_SRC, STANDS_DST, STANDS_VIA, STANDS_OWNER, STANDS_CLIENT, STANDS_IPSET };

struct validator;
struct validator *validator_new(struct parser *x);
bool validator_check(struct validator *v, struct policy_sel *sel, enum stands stands);
void validator_free(struct validator *v);

#endif
