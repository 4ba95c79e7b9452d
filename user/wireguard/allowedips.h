/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ALLOWEDIPS_H
#define SLUICE_ALLOWEDIPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/addr.h"

/*
 * Which inner addresses are whose (W13, W16). The control thread owns the set,
 * in which a prefix belongs to one peer, the last that was given it. Workers read
 * snapshots: immutable, a hash for each prefix length in use, longest first. A
 * new snapshot is published by exchanging a pointer; the old one is freed when
 * every worker has passed a quiet point.
 */
#define ALLOWEDIPS_NONE UINT32_MAX /* no peer */

struct allowedips_set;
struct allowedips;

struct allowedips_set *allowedips_set_new(void); /* NULL: no memory */
void allowedips_set_free(struct allowedips_set *s);
/* Host bits of @p must be zero. False, with errno ENOMEM: nothing changed. */
bool allowedips_give(struct allowedips_set *s, const struct prefix *p, uint32_t peer);
/* Only when it is the peer's. */
void allowedips_take(struct allowedips_set *s, const struct prefix *p, uint32_t peer);
void allowedips_take_all(struct allowedips_set *s, uint32_t peer);
/* Walks a peer's prefixes, newest first: *@cursor starts as NULL. NULL: no more.
 * The set must not change meanwhile. */
const struct prefix *allowedips_each(const struct allowedips_set *s, uint32_t peer, const void **cursor);

struct allowedips *allowedips_snapshot(const struct allowedips_set *s); /* NULL: no memory */
void allowedips_free(struct allowedips *a);
/* The peer of the longest prefix that holds @addr, or ALLOWEDIPS_NONE. Any thread.
 * An IPv4 address is held by IPv4 prefixes only: ::/0 is not 0.0.0.0/0. */
uint32_t allowedips_lookup(const struct allowedips *a, const struct addr *addr);

#endif
