/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ADDR_H
#define SLUICE_ADDR_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/addr.h"

/* Longest text of an address or a prefix, terminator included. */
#define ADDR_STRLEN 64

/*
 * Reads an address in its own family's notation ("192.0.2.1", "2001:db8::1";
 * an IPv4-mapped IPv6 text is the IPv4 address). Exactly @len bytes, no white
 * space, no zone, no leading zeros in IPv4. False: not an address, @out untouched.
 */
bool addr_parse(const char *text, size_t len, struct addr *out);

/* Reads "addr" (a full-length prefix) or "addr/len". Host bits are kept as they
 * are in @host when it is not NULL and are zeroed in @out. */
bool prefix_parse(const char *text, size_t len, struct prefix *out, struct addr *host);

bool addr_is_v4(const struct addr *a);
bool prefix_is_v4(const struct prefix *p); /* inside ::ffff:0:0/96 */
struct addr addr_from_v4(__be32 v4);
bool addr_is_zero(const struct addr *a);
bool addr_is_in(const struct addr *a, const struct addr *list, int n); /* @n below 0: a list that failed */
int addr_cmp(const struct addr *a, const struct addr *b);	       /* order of the 128-bit number */
int prefix_cmp(const struct prefix *a, const struct prefix *b);	       /* by address, then shorter first */

/* The families are apart: ::/0 neither contains nor covers nor overlaps anything of
 * IPv4. (A kernel LPM map does not know that: give it ::ffff:0:0/96 of its own
 * beside a shorter prefix of zeros.) Two prefixes overlap when one covers the other. */
bool prefix_contains(const struct prefix *p, const struct addr *a);
bool prefix_covers(const struct prefix *outer, const struct prefix *inner); /* equal counts */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
struct addr prefix_first(const struct prefix *p);
struct addr prefix_last(const struct prefix *p);
/* An address in it that a host may have: not the network's own, nor ::1 in ::/0. */
struct addr prefix_host(const struct prefix *p);

/* Write into @buf (ADDR_STRLEN bytes) and return it, for use in a printf argument.
 * A prefix of full length prints as a bare address; an IPv4 one with its IPv4 length. */
const char *addr_str(const struct addr *a, char *buf);
const char *prefix_str(const struct prefix *p, char *buf);

#endif
