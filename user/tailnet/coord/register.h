/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_REGISTER_H
#define SLUICE_TAILNET_REGISTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hostinfo.h"
#include "user/base/key.h"
#include "user/base/url.h"
#include "user/tailnet/types/node.h"

/*
 * POST /machine/register: makes the machine (known by its Noise key) a node with
 * a node key. With a pre-authorized key it is done at once; without, the answer
 * is a URL for a person to open, and the same request with that URL as its
 * follow-up is answered when that has happened. Pure.
 */
struct register_request {
	uint8_t node_key[KEY_LEN];
	uint8_t old_node_key[KEY_LEN]; /* that it replaces; all zero: none */
	const char *auth_key;	       /* NULL: interactive */
	const char *followup;	       /* the URL of an earlier answer, or NULL */
	bool logout;		       /* give the node up instead: its key expires now */
	struct hostinfo host;
};

char *register_request_json(const struct register_request *r); /* freed by the caller */

enum register_result {
	REGISTER_DONE,
	REGISTER_LOGIN,	  /* somebody has to open url */
	REGISTER_EXPIRED, /* the node key has expired: a new one and a login are needed */
	REGISTER_REFUSED, /* text says why, in the server's words */
	REGISTER_BAD,	  /* not an answer; text says what is wrong with it */
};

struct register_response {
	char url[URL_PATH_MAX + URL_HOST_MAX];
	char text[240];	 /* escaped */
	bool authorized; /* false: an administrator has to approve the machine first */
};

enum register_result register_response_read(const char *json, size_t len, struct register_response *out);

/* An answer that is not 200, for people: "registration is refused: HTTP status 401: invalid key". The
 * server's words are the first line of @body, shortened and escaped. */
void refusal_text(const char *what, int status, const char *body, size_t len, char *out, size_t size);

/* ---- POST /machine/map --------------------------------------------------- */

struct map_request {
	uint8_t node_key[KEY_LEN], disco_key[KEY_LEN];
	bool stream; /* the netmap and what becomes of it; false: only tells what is in here */
	const struct map_endpoint *endpoints;
	size_t n_endpoints;
	struct hostinfo host;
};

char *map_request_json(const struct map_request *r); /* freed by the caller */

#endif
