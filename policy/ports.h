/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_PORTS_H
#define SLUICE_PORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "bpf/contract.h"

/*
 * What one destination allows: protocols and ports with a verdict, as the BPF map
 * `rules` holds them: sorted by protocol and port, never overlapping, so that a
 * search by halving finds the one that decides. Where rules overlap, a deny wins,
 * then the smaller id. A port in no range is denied by default.
 */
struct ports {
	struct acl_rule *v;
	size_t n;
};

/* Lays one range over the list. */
void ports_overlay(struct ports *l, const struct acl_rule *r);
/*
 * Lays @n ranges over the list @around at once, in n log n, and joins neighbours that say the same. Sorts @v.
 * The result is in @out.
 */
void ports_lay(struct ports *out, const struct acl_rule *around, size_t n_around, struct acl_rule *v, size_t n);
/* Joins neighbours that say the same. To be called after a series of overlays. */
void ports_join(struct ports *l);
void ports_copy(struct ports *to, const struct ports *from);
void ports_free(struct ports *l);

/* The first range of the protocol that begins behind @port; NULL: none. */
const struct acl_rule *ports_next(const struct acl_rule *v, size_t n, __u8 proto, __u16 port);

/* The range that decides, NULL: none. Protocols without ports are asked for port 0. */
const struct acl_rule *ports_find(const struct acl_rule *v, size_t n, __u8 proto, __u16 port);

#endif
