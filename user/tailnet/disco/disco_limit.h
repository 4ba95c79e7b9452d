/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DISCO_LIMIT_H
#define SLUICE_TAILNET_DISCO_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/addr.h"
#include "user/wireguard/crypto.h"
#include "user/base/key.h"
#include "user/base/clock.h"

/*
 * How many disco datagrams are opened, for opening costs a microsecond and anybody may send them in the name of a
 * disco key. A source, an IPv4 address or an IPv6 /64, from which a box was opened lately has a bucket of its
 * own; all others share one. So whoever makes sources up takes nothing from those who are known, and only who holds a
 * disco key gets a place in the table. Pure.
 */
/* A second, and as many at once. */
#define DISCO_LIMIT_KNOWN    2000  /* of one known source, which may be a NAT before many */
#define DISCO_LIMIT_UNKNOWN  20000 /* of all others together */
#define DISCO_LIMIT_PEER     500   /* opened ones of one peer */
#define DISCO_LIMIT_REMEMBER (60 * NS_PER_SEC)

struct disco_limit;

struct disco_limit *disco_limit_new(const uint8_t hash_key[CRYPTO_SHORT_KEY_LEN]);
void disco_limit_free(struct disco_limit *l); /* NULL is fine */
/* May one from @source be opened? */
bool disco_limit_take(struct disco_limit *l, const struct addr *source, uint64_t now);
/* One from there was what it said. */
void disco_limit_opened(struct disco_limit *l, const struct addr *source, uint64_t now);

/* A bucket that holds what a second brings, as the time at which it is full again. False: it is empty. */
bool disco_limit_spend(uint64_t *full_at, unsigned per_second, uint64_t now);

#endif
