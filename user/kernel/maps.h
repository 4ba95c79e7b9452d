/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_MAPS_H
#define SLUICE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/contract.h"
#include "policy/addr.h"

/*
 * The BPF programs and maps, loaded: all that the daemon says to the kernel's side
 * and hears from it, typed. Keys and values are contract.h's.
 *
 * Pinned, the maps outlive the daemon: the next one takes them over with every
 * flow, and brings its own programs (attach.h puts them in the place of the old
 * ones). Not pinned, it is a scratch instance for tests and for `policy test --maps`.
 *
 * Functions returning int return 0 or -errno. Those with @error set *error to a
 * text for people (freed by the caller) when they fail, else leave it alone.
 * Setters may be called from any thread; the policy's one at a time.
 */
struct maps;

#define MAPS_PINS	   "/sys/fs/bpf/sluice"
#define MAPS_LAYOUT_OLDEST 6	  /* that a start takes flows over from; the newest is SLUICE_LAYOUT */
#define MAPS_FLOWS_DEFAULT 262144 /* about 440 bytes each, allocated at once */

struct maps_options {
	const char *pins; /* folder on a bpffs, made when absent; NULL: scratch, nothing is pinned */
	uint32_t flows;	  /* slots, 0: as the pinned table has, or MAPS_FLOWS_DEFAULT */
	bool no_sweep;	  /* do not start the timer: for tests that age state by hand */
};

/*
 * Loads programs and maps and starts the sweep. From pins of an earlier layout, or of
 * another number of flows, live flows and mappings with their ports are taken over into
 * new maps; from those of a layout that this program does not read nothing is
 * (maps_carried() tells). The old ones are replaced once the new ones are whole: when
 * this fails, they are as they were; but where there is no memory for both, a table that was to have another size goes
 * on as it is, and one of another form goes with all its flows. Pins of a first start that was interrupted are made
 * anew. NULL on failure.
 */
struct maps *maps_open(const struct maps_options *o, char **error);

/* For a device without a gateway: PROGRAM_FRONT_SOCKET and PROGRAM_LOOP_TAP, and what they need; pinned nowhere. */
struct maps *maps_open_plain(char **error);

struct maps_carried {
	uint32_t layout; /* of the maps that were replaced; 0: there were none */
	uint32_t flows;	 /* that lived there, with mappings */
	uint32_t taken;	 /* of them */
	int error;	 /* -errno that ended it early */
	uint32_t wanted; /* flows that the table was to have, for which there was no memory; 0: it has them */
};

const struct maps_carried *maps_carried(const struct maps *m);

struct maps_pinned {
	uint32_t layout;
	uint32_t slots; /* of the flow table, slot 0 included */
	uint32_t used;
	bool readable; /* a start takes its flows over */
};

/* What lies under @pins, for those who look before a start. -ENOENT: nothing that is whole. */
int maps_look(const char *pins, struct maps_pinned *out);

/* Closes; pinned maps and attached programs stay, and state goes on ageing. NULL is fine. */
void maps_close(struct maps *m);

/* Makes the folder of the pins, and mounts a bpf file system where there is none. 0 or -errno with *error. */
int maps_make_pins(const char *pins, char **error);

/* `sluice down`: removes the pins under @pins, whichever their layout. 0 also when there are none. */
int maps_unpin(const char *pins);

bool maps_reused(const struct maps *m); /* the maps were there already, just as they are */

enum program {
	PROGRAM_TAP_IN,	       /* TC ingress of the TAP */
	PROGRAM_NIC_IN,	       /* TC ingress of an egress NIC */
	PROGRAM_NIC_OUT,       /* TC egress of a NIC: the guard */
	PROGRAM_FRONT,	       /* XDP on the underlay, in the driver */
	PROGRAM_FRONT_GENERIC, /* XDP on the underlay, in the stack */
	PROGRAM_FRONT_SOCKET,  /* the same checks, SO_ATTACH_BPF on the WireGuard sockets */
	PROGRAM_STEER_UDP,     /* SO_ATTACH_REUSEPORT_EBPF on the WireGuard sockets */
	PROGRAM_STEER_TAP,     /* TUNSETSTEERINGEBPF on the TAP */
	PROGRAM_FENCE_TAP,     /* TUNSETFILTEREBPF on the TAP */
	PROGRAM_NIC_FENCE,     /* TC ingress of every other NIC */
	PROGRAM_LOOP_TAP,      /* TUNSETFILTEREBPF on the TAP of a device without a gateway */
	PROGRAM_MAX
};

int maps_program(const struct maps *m, enum program p); /* a descriptor that @m owns */
const char *maps_program_name(enum program p);		/* "tap_in", ... */

/* The ring buffer of struct notice, for ring_buffer__new(); owned by @m. */
int maps_notices_fd(const struct maps *m);

/* ---- settings, clients, sessions, egress ------------------------------------ */

/* A change of filtering ends the flows on mappings, whose permissions have another form: a client's next packet
 * makes its own anew. So does the end of endpoint-independent TCP. */
int maps_settings_set(struct maps *m, const struct settings *s);
void maps_settings_get(const struct maps *m, struct settings *s);

/* An inner address or prefix is @client's, whose packets @worker handles. */
int maps_client_set(struct maps *m, const struct prefix *p, uint32_t client, uint32_t worker);
int maps_client_delete(struct maps *m, const struct prefix *p); /* 0 also when it was not there */
/* Calls @each for every prefix until it returns false; the map must not change meanwhile. */
void maps_client_each(struct maps *m, bool (*each)(void *arg, const struct prefix *p, uint32_t client), void *arg);

/* Destinations that only a rule naming them opens. RESERVED_TUNNEL and RESERVED_OWN are the host's. */
int maps_reserved_set(struct maps *m, const struct prefix *p, enum reserved kind);
int maps_reserved_delete(struct maps *m, const struct prefix *p); /* 0 also when it was not there */
/* Loopback of both families and the clouds' metadata addresses. */
int maps_reserved_defaults(struct maps *m);
enum reserved maps_reserved_default(const struct addr *a); /* pure: the same for one address; 0: none */

/*
 * The key that mac1 is made with, 32 bytes (NULL: none, nothing is checked), and the secrets that cookies are, the
 * young one first, NULL behind the last. A message that comes at that very moment may be refused.
 */
int maps_gate_set(struct maps *m, const uint8_t *mac1, const uint8_t *const secrets[2]);

/* A peer has answered from there: its disco and STUN do not share strangers' budget. 0 also when it was known. */
int maps_known_set(struct maps *m, const struct addr *addr, uint16_t port);

/* @index: receiver index as it stands in messages (little-endian). */
int maps_session_set(struct maps *m, uint32_t index, uint32_t worker, uint32_t client);
int maps_session_delete(struct maps *m, uint32_t index);
/* Forgets all: for a start that takes pinned maps over. */
int maps_sessions_clear(struct maps *m);

/* A worker's WireGuard socket, which must already be bound with SO_REUSEPORT. */
int maps_worker_socket(struct maps *m, uint32_t worker, bool v6, int fd);

/*
 * @e->range, addr, state, ifindex, answers, mtu, exclusive as wanted; ports and prime are computed.
 * An id once used for an address is never used for another. EGRESS_GONE ends an
 * address's flows.
 */
int maps_egress_set(struct maps *m, uint32_t id, const struct egress *e);
int maps_egress_get(struct maps *m, uint32_t id, struct egress *e);
int maps_pool_set(struct maps *m, uint32_t id, const struct pool *p);

/* Fragments to the egress address @a come to the daemon until @until (monotonic ns). */
int maps_reassemble(struct maps *m, const struct addr *a, uint64_t until);
int maps_reassemble_none(struct maps *m); /* any more: they are the host's */

struct maps_ports {
	uint16_t first, last; /* host order, inclusive */
};

/*
 * Pure: the ranges of 1024-65535 that are not in @taken (any order, overlaps allowed:
 * ephemeral range, reserved ports). At most MAX_PORT_RANGES, the largest; the rest of
 * @out is zero. Returns how many ports they have.
 */
uint32_t maps_port_ranges(const struct maps_ports *taken, size_t n, struct port_range out[MAX_PORT_RANGES]);

/* ---- flows ------------------------------------------------------------------ */

/*
 * The mapped array of slots, read while programs write it: copy a slot, then see
 * that its id is still the same. Slot 0 is not used. *n: slots ever used (the
 * rest is zero), at most maps_flows_max().
 */
const struct flow *maps_flows(const struct maps *m, uint32_t *n);
uint32_t maps_flows_max(const struct maps *m);
uint32_t maps_flows_used(const struct maps *m);

/* A walk through the table, begun with zeros. Connections made since may be missed. */
struct flow_walk {
	uint32_t slot; /* of the connection that is looked at */
	uint32_t end;
};

/* The next live connection, copied whole. False: there is none. */
bool maps_flow_next(const struct maps *m, struct flow_walk *walk, struct flow *out);

/* The live flow of a client's side tuple, copied whole. False: there is none. */
bool maps_flow_find(const struct maps *m, const struct tuple *out_tuple, uint32_t *slot, struct flow *out);

/* Ends a flow for good: no packet passes any more, in either direction. -ENOENT: it is not there any more. */
int maps_flow_kill(struct maps *m, uint32_t slot, uint64_t id);
/* Ends the flows and mappings of which @which says so. One walk: the table may hold a million. */
void maps_flows_end(struct maps *m, bool (*which)(const void *arg, const struct flow *f), const void *arg);

/* The fullest pair of egress and remote, and how many ports it could use. False: no port is in use. */
bool maps_busiest(const struct maps *m, struct pair *pair, uint32_t *used, uint32_t *ports);

/* ---- the policy ------------------------------------------------------------- */

struct maps_acl { /* what a class may reach at the addresses under @dst */
	uint32_t class;
	struct prefix dst;
	uint32_t first, count; /* into rules */
	uint16_t flags;	       /* ACL_EXACT, ACL_ACCEPTS */
};

struct maps_route {
	struct prefix prefix;
	struct route route;
};

/* A policy as the maps take it. Borrowed for the call. */
struct maps_policy {
	const struct client_class *classes; /* by client id, n_classes of them; the rest is class 0 */
	size_t n_classes;
	const struct maps_acl *acl;
	size_t n_acl;
	const struct acl_rule *rules; /* of one acl entry sorted by (proto, first), disjoint */
	size_t n_rules;
	const struct maps_route *routes;
	size_t n_routes;
	struct maps_blocked *blocked; /* the block lists too, by the same write; NULL: they stay as they are */
};

/*
 * Block lists laid out in tables of their own, which takes a second for a million
 * prefixes: so from any thread, and in place later. @list: merged, any order. NULL
 * on failure. Those that were put in place live on in the maps; to be freed in any case (NULL is fine).
 */
struct maps_blocked *maps_blocked_make(struct maps *m, const struct prefix *list, size_t n, char **error);
void maps_blocked_free(struct maps_blocked *b);

/*
 * Builds the tables aside, freezes them, and makes them live by writing one word;
 * then waits until no program reads the old ones, and drops them. Live flows are
 * decided again at their next packet. On failure the old policy goes on. *generation
 * (may be NULL) gets the new one.
 *
 * Building and waiting take their time, a tenth of a second with thousands of clients.
 * So that nobody else has to wait, it may be done in three steps, the first and the last
 * on another thread than the one in the middle, but never two of these functions at once.
 */
int maps_policy_apply(struct maps *m, const struct maps_policy *p, uint32_t *generation, char **error);

struct maps_swap;
/* 1. Builds them, where no program looks. *@out: to be ended. */
int maps_policy_prepare(struct maps *m, const struct maps_policy *p, struct maps_swap **out, char **error);
/* 2. The word. -ESTALE: another policy was put in since. */
int maps_swap_do(struct maps *m, struct maps_swap *s, uint32_t *generation, char **error);
/* 3. Waits, and drops what is not used any more: the old tables, or, where step 2 did not come, the new. */
void maps_swap_end(struct maps *m, struct maps_swap *s); /* NULL is fine */

/* Replaces the block lists alone, in the same way. */
int maps_blocked_put(struct maps *m, struct maps_blocked *b, uint32_t *generation, char **error);

/* Makes them and puts them in place. */
int maps_blocked_apply(struct maps *m, const struct prefix *list, size_t n, uint32_t *generation, char **error);

uint32_t maps_generation(const struct maps *m); /* 0: no policy was ever applied */

/* ---- counters: sums over all CPUs since the maps were made --------------------- */

int maps_drops(const struct maps *m, uint64_t out[DROP_MAX]);
int maps_totals(const struct maps *m, struct traffic out[TOTAL_MAX]);
int maps_rule_use(const struct maps *m, uint32_t rule, struct rule_use *out); /* live flows not included */
uint32_t maps_client_flows(const struct maps *m, uint32_t client);	      /* that live now */
int maps_client_use(const struct maps *m, uint32_t client, struct client_use *out);
/* Adds to the daemon's own drops, which maps_drops() includes. Any thread, no system call. */
void maps_drops_add(struct maps *m, enum drop_reason reason, uint64_t n);

#endif
