/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_RELAY_H
#define SLUICE_TAILNET_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/transport/conn.h"
#include "user/tailnet/types/derpmap.h"
#include "user/tailnet/ipc/wire.h"

/*
 * Our connections to relays: always one to our home region, where others look
 * for us, and one to every other region for as long as somebody there is being
 * talked to. How each stands is told as it changes, WIRE_RELAY_STATE.
 */
struct relays;

/* @tell: to the gateway. */
struct relays *relays_new(struct conns *conns, void (*tell)(void *ctx, const struct wire_message *m), void *ctx);
void relays_free(struct relays *r); /* NULL is fine */

/* All of these may be told again at any time; there are no connections before the first key. */
void relays_set_map(struct relays *r, const struct derpmap *map, uint64_t now); /* lives until the next call */
void relays_set_home(struct relays *r, uint16_t region, uint64_t now);		/* 0: none */
/* Of our node, by which relays know us. All zero: it has logged out, so every relay is left. */
void relays_set_key(struct relays *r, const uint8_t node[KEY_LEN], uint64_t now);
void relays_retry(struct relays *r, uint64_t now); /* what cannot be reached is tried again at once */

void relays_box(struct relays *r, const struct wire_relay_box *box);
void relays_send(struct relays *r, const struct wire_relay_packet *p, uint64_t now);

/* Opens, closes, gives up. Returns when to call again. */
uint64_t relays_tick(struct relays *r, uint64_t now);

#endif
