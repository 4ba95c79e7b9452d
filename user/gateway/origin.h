/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_ORIGIN_H
#define SLUICE_ORIGIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr;
struct changes;
struct client;
struct config;
struct config_client;
struct endpoint;
struct host;
struct report_route;
struct report_tailnet;
struct running;
struct site;

/*
 * Where the clients come from: the configuration (origin.c), or a tailnet of which the gateway is a node
 * (user/tailnet_gateway). cmd_run.c chooses; the gateway asks without knowing which it is.
 */
struct origin {
	const struct origin_ops *ops;
	void *ctx; /* of open(); the first argument of all others */
};

/* What the gateway has for an origin. It outlives it. */
struct origin_host {
	const struct site *site;
	struct running *running;
	struct changes *changes;
	const struct host *host;
	/* control_finish(): @result and @error are taken over. */
	void (*answer)(void *ctx, uint64_t ticket, int status, json_t *result, char *error);
	void *ctx;
};

struct origin_ops {
	bool netmap; /* the clients are a netmap's: the file alone does not say who is one */

	/* Before there is a device. False with one line in @error; close() comes nevertheless. */
	bool (*open)(struct origin *o, const struct origin_host *host, char *error, size_t size);
	/* There is a device: what is known of the run before goes into the configuration. */
	void (*begin)(void *o);
	/* All is there: what is heard from now on is put into force at once. */
	void (*forward)(void *o);
	/* Nobody is served, since it is not known yet who is a client. */
	bool (*waits)(const void *o);
	uint64_t (*tick)(void *o); /* when to call again, monotonic ns */
	void (*second)(void *o);   /* once a second */
	void (*close)(void *o);

	int64_t (*time)(const void *o); /* Unix time as clients' keys expire */
	/* Is a client of the running configuration none any more? */
	bool (*revokes)(const void *o, const struct config_client *c);
	/* Tells the engine how a new peer is reached. */
	void (*place)(void *o, const struct client *c);
	/* A configuration that was read again gets what does not stand in its file. */
	void (*configure)(const void *o, struct config *next);
	void (*reloaded)(void *o); /* such a one is in force */
	/* A client has sent to @dst, which no route of ours that is in force has. */
	void (*unrouted)(void *o, const struct addr *dst);

	/* For reports; strings live until the next event. False: it is no tailnet. */
	bool (*report)(void *o, struct report_tailnet *out);
	void (*primary)(const void *o, struct report_route *route);
	/* The name of a client's relay, into @name. False: it can be reached now; true: it cannot. */
	bool (*relay_away)(const void *o, uint16_t region, char *name, size_t size);

	/* For struct device_options; both or none. */
	void (*other)(void *o, const uint8_t *bytes, size_t len, const struct endpoint *from);
	void (*relay)(void *o, uint32_t peer, uint16_t region, const uint8_t *bytes, size_t len);
};

extern const struct origin_ops origin_configuration;

#endif
