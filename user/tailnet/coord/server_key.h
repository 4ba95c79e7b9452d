/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_SERVER_KEY_H
#define SLUICE_TAILNET_SERVER_KEY_H

#include "user/base/http1.h"
#include "user/base/key.h"
#include "user/base/url.h"

/* GET /key: the coordination server's public key, on a connection that is verified otherwise. Pure. */
struct server_key {
	struct http1 http;
	uint8_t key[KEY_LEN]; /* when done */
	char error[240];      /* when failed */
};

enum server_key_result { SERVER_KEY_MORE, SERVER_KEY_DONE, SERVER_KEY_FAILED };

/* Writes the request; returns its length. */
size_t server_key_start(struct server_key *k, const struct url *server, char *buf, size_t size);
/* @len 0: the connection is closed. */
enum server_key_result server_key_receive(struct server_key *k, const uint8_t *bytes, size_t len);
void server_key_free(struct server_key *k); /* NULL is fine */

#endif
