/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_NODE_H
#define SLUICE_TAILNET_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "policy/addr.h"
#include "user/base/key.h"

/*
 * A node of the tailnet, we ourselves or a peer, as everything behind the
 * coordination client sees it. All memory is the node's own.
 */
struct tailnet_node {
	uint64_t id;		    /* stable, never 0 */
	char *stable_id;	    /* the same for people and files; may be "" */
	char *name;		    /* first label of its DNS name */
	char *user;		    /* login name; "" for a tagged node */
	uint8_t node_key[KEY_LEN];  /* WireGuard's public key */
	uint8_t disco_key[KEY_LEN]; /* all zero: it has none, so no paths are looked for */
	struct prefix *addresses;
	size_t n_addresses;
	struct prefix *allowed; /* what it may send from: its addresses and the routes it serves */
	size_t n_allowed;
	struct prefix *primary; /* routes that it is the one to serve, of all nodes that could */
	size_t n_primary;
	struct addr_port *endpoints;
	size_t n_endpoints;
	char **tags;
	size_t n_tags;
	uint16_t region;    /* home relay; 0: none */
	int64_t key_expiry; /* Unix seconds; 0: never */
	bool expired;	    /* the server says so */
	bool online;
};

#define NODE_ADDRESSES_MAX 16
#define NODE_ALLOWED_MAX   1024
#define NODE_ENDPOINTS_MAX 64
#define NODE_TAGS_MAX	   64
#define NODE_TEXT_MAX	   255 /* bytes of each text, without its terminator */

struct tailnet_node *node_new(void);	/* texts are "" */
void node_free(struct tailnet_node *n); /* NULL is fine */
bool node_equal(const struct tailnet_node *a, const struct tailnet_node *b);
/* Its key is of no use any more at @wall (Unix seconds). */
bool node_is_expired(const struct tailnet_node *n, int64_t wall);

/* Replaces a text by a copy of at most NODE_TEXT_MAX bytes of @text, NULL: of none. */
void node_set_text(char **field, const char *text);

/* An address at which we say that we can be reached, and how it is known. */
enum endpoint_type { ENDPOINT_LOCAL = 1, ENDPOINT_STUN = 2, ENDPOINT_CONFIGURED = 5 };

struct map_endpoint {
	struct addr_port at;
	enum endpoint_type type;
};

#endif
