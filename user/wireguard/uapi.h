/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_UAPI_H
#define SLUICE_UAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/*
 * The cross-platform configuration protocol (wireguard.com/xplatform), which the
 * stock `wg` speaks over a UNIX socket: "get=1" or "set=1" and key=value lines up
 * to an empty line; the answer ends in "errno=N" and an empty line. Pure: bytes
 * in, changes of the engine and bytes out.
 *
 * A request is read as a whole and every line checked before the first change is
 * made. What can still fail then is memory.
 */
#define UAPI_MAX_REQUEST (4u << 20)

struct uapi_request { /* one connection's input; zero initialised */
	char *text;
	size_t len, cap;
};

enum uapi_status {
	UAPI_MORE,     /* not a whole request yet */
	UAPI_READY,    /* one request is whole: answer it */
	UAPI_TOO_LONG, /* more than UAPI_MAX_REQUEST, or no memory: close the connection */
};

enum uapi_status uapi_feed(struct uapi_request *r, const char *bytes, size_t len);
void uapi_request_free(struct uapi_request *r); /* wipes: it held keys */

/* The part of the device that is not the engine's. */
struct uapi_device {
	void *ctx;
	uint16_t listen_port;
	uint32_t fwmark;
	/* Return 0 or an errno. NULL: the setting cannot be changed here (EOPNOTSUPP,
	 * unless it is the one already in use). Called last, after the engine changed. */
	int (*set_listen_port)(void *ctx, uint16_t port);
	int (*set_fwmark)(void *ctx, uint32_t mark);
	/* Keys in answers to get=1: the private key and preshared keys too, or not (W18). */
	bool show_secrets;
	/*
	 * Not NULL: peers, keys and addresses have another owner, who points to them. Then no request makes, removes
	 * or alters them (EOPNOTSUPP, and @name of the line is told here); the keepalive of a peer may be set.
	 */
	void (*refused)(void *ctx, const char *name);
};

/*
 * Carries out the first whole request of @r and takes it out, so that
 * uapi_feed(r, NULL, 0) tells of a next one. Returns the answer, @len bytes, which
 * the caller wipes and frees with uapi_answer_free(); NULL: no memory.
 */
char *uapi_answer(struct uapi_request *r, struct engine *e, struct uapi_device *device, const struct engine_time *now,
		  size_t *len);
void uapi_answer_free(char *answer, size_t len);

#endif
