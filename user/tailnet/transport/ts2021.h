/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_TS2021_H
#define SLUICE_TAILNET_TS2021_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noise_control.h"
#include "user/base/url.h"

/*
 * The way to a coordination server, layer on layer over one connection (TCP or
 * TLS, not our business here):
 *
 *   HTTP/1.1 upgrade -> Noise records -> early payload -> HTTP/2 requests
 *
 * Pure: bytes come in by ts2021_receive(), bytes go out by ops->send.
 */
struct ts2021;

struct ts2021_ops { /* may make requests, must not free; see http2.h for the last three */
	bool (*send)(void *ctx, const uint8_t *bytes, size_t len);
	void (*ready)(void *ctx);						     /* requests can be made */
	void (*status)(void *ctx, int32_t stream, int status, unsigned retry_after); /* http2.h */
	bool (*body)(void *ctx, int32_t stream, const uint8_t *bytes, size_t len);
	void (*closed)(void *ctx, int32_t stream, bool whole);
};

struct ts2021_keys {
	uint8_t machine[KEY_LEN];   /* secret: who we are */
	uint8_t server[KEY_LEN];    /* public: whom we want to talk to */
	uint8_t ephemeral[KEY_LEN]; /* secret: fresh random bytes */
};

/* Sends the first bytes; the connection is open. NULL: the server's key is no key, or ops->send refused. */
struct ts2021 *ts2021_new(const struct url *server, const struct ts2021_keys *keys, const struct ts2021_ops *ops,
			  void *ctx);
void ts2021_free(struct ts2021 *c); /* NULL is fine; wipes */

/* False: it is over, ts2021_error() says why. */
bool ts2021_receive(struct ts2021 *c, const uint8_t *bytes, size_t len);
int32_t ts2021_request(struct ts2021 *c, const char *method, const char *path, const char *body, size_t len);
/* Takes @json over (NULL: -1), and wipes it: an auth key may be in it. */
int32_t ts2021_post(struct ts2021 *c, const char *path, char *json);
void ts2021_cancel(struct ts2021 *c, int32_t stream); /* ops->closed follows */
const char *ts2021_error(const struct ts2021 *c);

#endif
