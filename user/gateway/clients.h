/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CLIENTS_H
#define SLUICE_CLIENTS_H

#include "origin.h"
#include "routing.h"
#include "state.h"

/* The clients as peers, addresses and routes. */
struct client {
	uint32_t id; /* as maps and frames carry it; stays while its flows may live */
	struct peer *peer;
	uint32_t worker;
	const struct config_client *config; /* in the running configuration */
	uint64_t seen;			    /* its last handshake before this run, Unix seconds; 0: there was none */
	int64_t until; /* UTC seconds, when it expires by a configuration that could not be put into force; 0: none */
	bool revoked;  /* by a configuration that is not in force yet, or could not be put into force */
	bool refused;  /* there was no memory for its peer, which is in the log */
	bool out;      /* it is revoked, its date has passed, or the netmap has it no more: it has no peer */
};

struct clients {
	struct client *list; /* in the order of the configuration */
	size_t n;
	struct client **by_id;		/* MAX_CLIENTS */
	size_t added, removed, changed; /* by the last clients_take() */
	bool orphans;			/* the flow table may hold flows of a client, or an address, that is gone */
	struct routing routing;
	const struct origin *origin;
	const struct state *remembered; /* of the run before */
};

/* @origin and @remembered outlive them. False: out of memory. */
bool clients_open(struct clients *all, const struct origin *origin, const struct state *remembered);
void clients_close(struct clients *all);

/*
 * Two steps to other clients, so that what can fail comes before what cannot: rules that
 * may be refused go between them.
 *
 * What @next needs. NULL with a logged reason: out of memory, or a preshared key file that
 * cannot be read. Nothing is changed.
 */
struct clients_plan *clients_plan(const struct clients *all, const struct site *s, const struct config *next);
void clients_plan_free(struct clients_plan *p); /* NULL is fine */
/*
 * Makes peers, maps and routes what the plan says, and frees it; those that did not change
 * lose nothing, those that are gone pass nothing more when this returns. The plan's is the
 * running configuration then.
 */
void clients_take(struct clients *all, const struct site *s, struct clients_plan *p);

/* Which id each client of @next has, or will have by clients_take(); 0: none is free. To be freed. Any thread
 * that may read the clients. */
uint32_t *clients_ids(const struct clients *all, const struct config *next);
/* NULL: nobody has this id. */
const struct client *clients_by_id(const struct clients *all, uint32_t id);
struct client *clients_by_name(const struct clients *all, const char *name);

/* Once a second: clients_settle(), and routes that could not be made or removed. */
void clients_second(struct clients *all, const struct site *s);
/* When a netmap has come: disconnects those whose date has passed and those that the netmap has no more, ahead
 * of the change that says so; lets in again those that are not out after all (clocks are set back, too). */
void clients_settle(struct clients *all, const struct site *s);
/* How many clients cannot connect, since there was no memory for them; clients_settle() tries again. */
size_t clients_without_peer(const struct clients *all);
/* Ends a client's sessions and flows; it may come again at once. */
void clients_kick(struct clients *all, const struct site *s, struct client *c);
/* Routes to the clients' addresses again, for a TAP that was made anew, or when somebody removed some. */
void clients_route(struct clients *all, const struct site *s);

#endif
