/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_MEMBERSHIP_H
#define SLUICE_MEMBERSHIP_H

#include "user/gateway/changes.h"
#include "user/gateway/host.h"
#include "user/gateway/origin.h"
#include "user/gateway/running.h"
#include "user/tailnet/disco/disco.h"
#include "user/tailnet/disco/netcheck.h"
#include "user/tailnet/ipc/relay_states.h"
#include "user/tailnet/tailnet.h"

/*
 * The gateway as a node of a tailnet, for the files that make it one:
 *
 *   membership.c     life; the netmap becomes clients, addresses and rules
 *   membership_report.c   how it stands, for reports
 *   doubt.c          what hints at a netmap that is old
 *   paths.c          how peers are reached: disco, STUN, relays
 *   verbs_tailnet.c  what commands may ask (user/handlers)
 *
 * All of it belongs to the control thread.
 */
#define NEWS_WAITERS  8
#define NEWS_WAIT_MAX 60 /* seconds */
#define PONGS_KEPT    64

struct pong {		 /* for `sluice ping` */
	uint64_t number; /* from 1; 0: none yet */
	uint8_t node[KEY_LEN];
	struct disco_result result;
};

struct known { /* the peers of the last netmap, by id */
	uint64_t id;
	uint8_t key[KEY_LEN];
};

struct membership {
	struct origin_host host; /* of the gateway */
	struct tailnet *tailnet;
	struct loop_watch link; /* with the network process; fd -1: none */
	bool forwarding;	/* the start is over: what the netmap says is made so at once */
	bool following;		/* a netmap is on its way into force */
	bool behind;		/* there is a newer one than that */
	bool unsettled;		/* the last could not be put into force */
	bool waits;		/* for the first one: the service manager does not call us ready yet */
	enum wire_state state;	/* how we stand with the coordination server */
	char *text, *url;	/* what it says, where to log in; NULL: nothing */
	struct health health;	/* what it wants people to know */
	uint64_t news;		/* changes of state, text and url, counted; from 1 */
	struct news_waiter {
		uint64_t ticket; /* 0: a free place */
		uint64_t until;	 /* ns */
	} waiters[NEWS_WAITERS]; /* commands that hear of the next one */
	char home[64];		 /* a buffer for reports */
	struct known *known;
	size_t n_known;
	uint64_t doubt_at, doubt_pause; /* no earlier is the netmap asked for again; ns */
	uint64_t newcomer, newcomer_at; /* a node that no rule names, 0: none; when that is odd */

	/* paths.c */
	struct disco *disco;
	struct netcheck *netcheck;
	struct netcheck_result seen;
	bool looked; /* that is a result */
	struct relay_states relays;
	struct map_endpoint endpoints[WIRE_ENDPOINTS_MAX]; /* as last told */
	size_t n_endpoints;
	bool told_endpoints;
	struct pong pongs[PONGS_KEPT];
	uint64_t n_pongs;
};

/* The origin of clients that are nodes of a tailnet. */
extern const struct origin_ops membership_origin;
/* NULL: it is another one. */
struct membership *membership_of(const struct origin *o);

/* state, text or url has changed: who waits for that hears of it. */
void membership_changed(struct membership *m);
/* Once a second: who has waited long enough hears that nothing has changed. */
void membership_tire(struct membership *m);
/* The command with this ticket hears of the next change, or after so many seconds that there was none. */
void membership_await(struct membership *m, uint64_t ticket, int64_t seconds);

/* For struct origin_ops, membership_report.c. */
bool membership_report(void *membership, struct report_tailnet *out);
void membership_primary(const void *membership, struct report_route *route);
bool membership_relay_away(const void *membership, uint16_t region, char *name, size_t size);

/*
 * `up`: the auth key is read again, and there is a new attempt (tailnet_up()). False: @error says
 * why not. True: @error is empty, or says why there is no auth key though a file of it is named.
 */
bool membership_up(struct membership *m, bool new_key, char *error, size_t size);

const struct netmap *membership_netmap(const struct membership *m); /* the newest */

/* ---- doubt.c: what hints at a netmap that is old ---------------------------------- */

/* A node that the netmap does not have speaks with us. */
void doubt_stranger(struct membership *m, const uint8_t node[KEY_LEN]);
/* For struct origin_ops. */
void doubt_unrouted(void *membership, const struct addr *dst);
/* A netmap has come, whose nodes are not known yet. */
void doubt_watch(struct membership *m, const struct netmap *map);
void doubt_second(struct membership *m); /* once a second */

/* ---- paths.c ----------------------------------------------------------------- */

void paths_open(struct membership *m);
void paths_close(struct membership *m);
/* The node key or the disco key is another one. */
void paths_identity(struct membership *m, const struct tailnet_secrets *secrets, const uint8_t node[KEY_LEN]);
void paths_place(void *membership, const struct client *c);
void paths_second(struct membership *m); /* once a second: who is being talked to, and our own addresses */
uint64_t paths_tick(struct membership *m, uint64_t now);

/* For struct origin_ops. */
void paths_other(void *membership, const uint8_t *bytes, size_t len, const struct endpoint *from);
void paths_relay(void *membership, uint32_t peer, uint16_t region, const uint8_t *bytes, size_t len);
/* For struct tailnet_ops. */
void paths_relayed(void *membership, uint16_t region, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len);

void paths_relay_state(void *membership, const struct wire_relay_state *s);

/* How relays stand, our home first; at most @max. Returns how many. */
struct report_relay;
size_t paths_report_relays(const struct membership *m, struct report_relay *out, size_t max);

/* Of a relay's region, for people. Into @buf. */
const char *paths_region_name(const struct membership *m, uint16_t region, char *buf, size_t size);

#endif
