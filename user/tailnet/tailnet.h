/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_TAILNET_H
#define SLUICE_TAILNET_TAILNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tailnet/confirmation.h"
#include "user/tailnet/ipc/netmap_copy.h"
#include "user/tailnet/ipc/wire.h"

/*
 * The gateway's side of being a node of a tailnet: our keys, the network process
 * and what it tells, the netmap kept over restarts. One thread owns it. It waits
 * for nothing: watch tailnet_fd() and call tailnet_tick() when it says.
 */
struct tailnet;

struct tailnet_ops { /* called from tailnet_start(), tailnet_ready() and tailnet_tick(); must not free */
	void (*status)(void *ctx, enum wire_state state, const char *text);
	void (*login)(void *ctx, const char *url);
	/* What the server wants people to know now; what is needed of @list is moved out. */
	void (*health)(void *ctx, struct health *list);
	/* The netmap has changed: what did is marked in @r->map, and is settled when this
	 * returns. First of all, after a start, the one kept on disk. */
	void (*map)(void *ctx, const struct netmap_copy *r);
	/* A packet for us by a relay: WireGuard's or disco's; from this node key if the relay is honest. */
	void (*relayed)(void *ctx, uint16_t region, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len);
	void (*relay)(void *ctx, const struct wire_relay_state *s);
	/* tailnet_fd() is another now (-1: none): watch it instead. What was said of relays is no longer so. */
	void (*fd)(void *ctx, int fd);
	/* The node key has changed: engine_set_identity() and disco take it from tailnet_secrets(). */
	void (*identity)(void *ctx);
};

/* The state to report when the network process has @said something, and whether our own node's key has
 * @expired. Pure. */
enum wire_state tailnet_standing(enum wire_state said, bool expired);

struct tailnet_config {
	const char *state;    /* existing folder, 0700; ours is STATE/tailnet */
	const char *server;   /* login_server */
	const char *auth_key; /* NULL: interactive */
	const char *hostname, *version;
	const char *ca;		   /* PEM, NULL: the system's roots only */
	const uint8_t *server_key; /* control_key, NULL: not pinned */
	bool relays;
};

/* Reads or makes the keys. @config is copied. NULL: @error says why. */
struct tailnet *tailnet_new(const struct tailnet_config *config, const struct tailnet_ops *ops, void *ctx, char *error,
			    size_t size);
/* Tells the netmap kept on disk, then starts the network process. */
void tailnet_start(struct tailnet *t, uint64_t now);
/* Ends the network process, keeps the netmap, wipes. NULL is fine. */
void tailnet_free(struct tailnet *t);

int tailnet_fd(const struct tailnet *t); /* to be watched for reading; -1: none */
void tailnet_ready(struct tailnet *t, uint64_t now);
/* Starts the network process anew when it has ended, writes the netmap, sends what
 * is queued. Returns when to call again, monotonic ns. */
uint64_t tailnet_tick(struct tailnet *t, uint64_t now);

struct tailnet_secrets { /* wipe it */
	uint8_t node[KEY_LEN], disco[KEY_LEN];
};

void tailnet_secrets(const struct tailnet *t, struct tailnet_secrets *out);
const struct netmap_copy *tailnet_netmap(const struct tailnet *t);

/* Unix time at the coordination server, where keys expire, as far as it is known. */
int64_t tailnet_time(const struct tailnet *t);
/* Seconds that this machine's clock is ahead of it; 0: they agree, or it is not known. */
int64_t tailnet_clock_ahead(const struct tailnet *t);

/* For how long the server has not confirmed the netmap though it answers, ns (confirmation.h); 0: it has. */
uint64_t tailnet_unconfirmed(const struct tailnet *t, uint64_t now);
/* For so long that the netmap was given up. */
bool tailnet_is_unserved(const struct tailnet *t);

/* Facts about us for the server and for peers; told again after every restart of the network process. */
void tailnet_set_routes(struct tailnet *t, const struct prefix *routes, size_t n);
void tailnet_set_endpoints(struct tailnet *t, const struct map_endpoint *endpoints, size_t n);
void tailnet_set_netinfo(struct tailnet *t, uint16_t home, bool udp, bool ipv6);

/* May be lost, as any packet. */
void tailnet_relay(struct tailnet *t, uint16_t region, const uint8_t to[KEY_LEN], const void *bytes, size_t len);

/* For the next login that the server wants. NULL: interactive. */
void tailnet_set_auth_key(struct tailnet *t, const char *key);
/* `sluice up`: tries again at once; with a new node key when @new_key, or when the old one has
 * expired or was logged out. The old one stays in force until the server has taken the new one.
 * False: the key cannot be written, @error says why. */
bool tailnet_up(struct tailnet *t, bool new_key, char *error, size_t size);
/* Gives the node up and forgets the netmap, until tailnet_up(), over restarts too. False: it cannot be written
 * down, @error says why, and nothing has changed. */
bool tailnet_logout(struct tailnet *t, char *error, size_t size);
/* Asks for the whole netmap again, by a new connection. */
void tailnet_refresh(struct tailnet *t);

#endif
