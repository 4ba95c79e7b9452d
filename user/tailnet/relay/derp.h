/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_DERP_H
#define SLUICE_TAILNET_DERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/base/key.h"

/*
 * A client of a relay, behind the HTTP upgrade. Packets go to node keys and come
 * from node keys; what is in them the relay cannot read. Pure.
 */
#define DERP_PACKET_MAX 65536
#define DERP_WATCHDOG	120 /* seconds; the relay sends a keepalive at least once in 60 */

struct derp_ops { /* must not call back, but derp_login() from server_key is fine */
	bool (*send)(void *ctx, const uint8_t *bytes, size_t len);
	void (*server_key)(void *ctx, const uint8_t key[KEY_LEN]); /* derp_login() is expected */
	void (*ready)(void *ctx);
	void (*packet)(void *ctx, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len);
	void (*gone)(void *ctx, const uint8_t key[KEY_LEN]); /* is not, or no longer, at this relay */
	void (*restarting)(void *ctx, uint32_t wait_ms);     /* about to close */
};

enum derp_state { DERP_KEY, DERP_LOGIN, DERP_INFO, DERP_OPEN, DERP_DEAD };

struct derp {
	enum derp_state state;
	const struct derp_ops *ops;
	void *ctx;
	uint8_t header[5];
	size_t header_len;
	uint8_t type;
	uint32_t wants; /* bytes of the frame */
	uint32_t got;
	uint8_t *frame; /* what is kept of it */
	const char *error;
};

void derp_init(struct derp *d, const struct derp_ops *ops, void *ctx);
void derp_free(struct derp *d);

/* False: it is over, error says why. */
bool derp_receive(struct derp *d, const uint8_t *bytes, size_t len);

/* Answers the relay's key with what relay_box_seal() made (relay_box.h). */
bool derp_login(struct derp *d, const uint8_t *info, size_t len);
bool derp_send_packet(struct derp *d, const uint8_t to[KEY_LEN], const uint8_t *bytes, size_t len);
bool derp_send_preferred(struct derp *d, bool home);

#endif
