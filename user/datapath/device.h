/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_DEVICE_H
#define SLUICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/wireguard/engine.h"
#include "user/base/loop.h"
#include "handshakes.h"
#include "retired.h"
#include "tap.h"
#include "worker.h"

/*
 * A WireGuard interface: the engine, its workers and the TAP, put together. It
 * is all of `sluice wireguard`, and what the gateway builds on. Three kinds of thread:
 * workers have the packets (worker.h), one has the handshakes (handshakes.h), and the
 * control thread has all else, and makes every call in this file that is not said to be
 * another's.
 */
struct device_options {
	char interface[IFNAMSIZ]; /* a copy: it outlives the configuration that said it */
	uint16_t listen;	  /* 0: the kernel chooses */
	unsigned workers;
	uint32_t mtu;
	uint32_t mark; /* of what goes to the underlay (SO_MARK), 0: none; device_set_mark() keeps it here */
	bool to_host;  /* a plain device: what was opened is handed to the host */
	/* A receiver index came into use or went out of it. NULL: not wanted. */
	void (*index)(void *ctx, uint32_t index, unsigned worker, bool used);
	/* Sockets of the port are open, and nothing came by them yet: 0, or -errno, then they are closed. NULL: not
	 * wanted. */
	int (*opened)(void *ctx, const struct underlay *u);
	/* Macs are checked by these from now on: with a lock held, by either thread. NULL: not wanted. */
	void (*gate)(void *ctx, const struct gate_keys *keys);
	/* The worker of a new peer. NULL: in turn. */
	unsigned (*worker)(void *ctx, uint32_t peer);
	/*
	 * In a tailnet, both or none: a datagram on our port that is not WireGuard's (disco, STUN, nonsense),
	 * and one that is to go to a peer by the relay of a region. Endpoints are then set by the owner alone.
	 */
	void (*other)(void *ctx, const uint8_t *bytes, size_t len, const struct endpoint *from);
	void (*relay)(void *ctx, uint32_t peer, uint16_t region, const uint8_t *bytes, size_t len);
	/* An ICMP error that a worker wants sent. NULL: none is. */
	void (*notice)(void *ctx, const struct notice *n);
	void *ctx;
};

struct device {
	struct device_options options;
	struct loop *loop;
	struct tap tap;
	struct engine *engine;
	struct worker_shared shared;
	struct worker *workers;
	unsigned n_workers;
	unsigned n_running; /* of them: all, or none */
	struct handshakes handshakes;
	struct retired_list retired; /* snapshots that a worker may still read */
	struct loop_watch mail;
	_Atomic uint64_t drops[DROP_MAX]; /* of the control thread and of handshakes */
};

/* Opens everything, runs nothing yet. False with one line in @error, and nothing left behind. */
bool device_open(struct device *d, struct loop *loop, const struct device_options *options, char *error, size_t size);

/* Starts the workers and the handshakes. 0 or -errno, then none runs. */
int device_start(struct device *d);

/* A WireGuard message for us that a relay brought from @peer. */
void device_relayed(struct device *d, const struct peer *peer, uint16_t region, const uint8_t *msg, size_t len);
/* Sends a datagram from our port; false: it did not go out. */
bool device_send(struct device *d, const struct endpoint *to, const void *bytes, size_t len);
/* A message of a handshake; it may be lost. Control and handshake thread. */
void device_send_handshake(struct device *d, const void *msg, size_t len, const struct endpoint *to);
void device_drop(struct device *d, enum drop_reason reason); /* of control and handshake thread */

/* Whose packets a peer's are; 0: nobody's. */
void device_set_client(struct device *d, uint32_t peer, uint32_t client);
void device_set_mtu(struct device *d, uint32_t mtu);

/* Somebody deleted the interface. */
bool device_tap_gone(const struct device *d);
/* Makes it anew, bare: without addresses or routes. False with one line in @error. */
bool device_replace_tap(struct device *d, char *error, size_t size);

/* Moves to another port: workers pause. 0 or -errno, then the old port stays. */
int device_set_port(struct device *d, uint16_t port);
/* Marks what is sent from now on, from other ports, too. 0 or -errno. */
int device_set_mark(struct device *d, uint32_t mark);

/* Drops by reason, of workers and control. */
void device_drops(const struct device *d, uint64_t out[DROP_MAX]);

/* Stops the workers and wipes all keys. The TAP goes if it is not persistent. */
void device_close(struct device *d);

#endif
