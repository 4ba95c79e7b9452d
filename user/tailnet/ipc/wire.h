/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TAILNET_WIRE_H
#define SLUICE_TAILNET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/bytes.h"
#include "user/tailnet/types/derpmap.h"
#include "user/tailnet/types/node.h"
#include "user/tailnet/types/health.h"
#include "policy/filter.h"
#include "user/tailnet/types/conn_error.h"

/*
 * What the gateway and its network process say to each other, one message a
 * datagram of a SOCK_SEQPACKET pair. The network process faces the world, so the
 * gateway takes a message only if it is exactly of its form: known type, right
 * direction, every count within its bound, every prefix canonical, not a byte
 * left over. The encoding is not for other machines or versions: both ends are
 * one binary. The same messages are the netmap kept on disk. Pure.
 *
 *   who holds which secret    gateway: node key, disco key
 *                             network process: machine key, the auth key
 *   so the box that a relay wants from the node key is made by the gateway
 *   (WIRE_RELAY_HELLO, WIRE_RELAY_BOX).
 *
 * A change of the netmap is a transaction: WIRE_MAP_BEGIN, what changes,
 * WIRE_MAP_END. Nothing of it counts before its end.
 */
enum wire_type {
	/* network process to gateway */
	WIRE_STATUS = 1, /* how we stand with the coordination server */
	WIRE_CLOCK,	 /* what time it is there */
	WIRE_HEALTH,	 /* what it wants people to know, all of it */
	WIRE_LOGIN,	 /* somebody has to open this URL */
	WIRE_MAP_BEGIN,
	WIRE_SELF, /* our own node */
	WIRE_PEER, /* a new peer, or what it is now */
	WIRE_PEER_GONE,
	WIRE_RULE,     /* a piece of a rule; pieces with one id in a row are one rule */
	WIRE_LEFT_OUT, /* rules that cannot be understood are left out */
	WIRE_MAP_END,
	WIRE_RELAY_HELLO, /* a relay told its key and wants a WIRE_RELAY_BOX */
	WIRE_RELAY_STATE, /* a relay can be used, or not, and why */
	/* both ways */
	WIRE_REGION,	   /* of the DERP map; told back to a new network process, until it knows more */
	WIRE_RELAY_PACKET, /* from, or to, a peer by a relay */
	/* gateway to network process */
	WIRE_CONFIG,	/* first of all, once */
	WIRE_KEYS,	/* public node and disco keys; again after a rotation */
	WIRE_ROUTES,	/* that we advertise */
	WIRE_ENDPOINTS, /* where we can be reached */
	WIRE_NETINFO,	/* what STUN has found */
	WIRE_RELAY_BOX,
	WIRE_LOGOUT,
	WIRE_RECONNECT, /* now, whatever is waited for; with the auth key as it is by now */
};

enum wire_direction { WIRE_TO_GATEWAY, WIRE_TO_NETWORK };

enum wire_state {
	WIRE_STATE_CONNECTING,
	WIRE_STATE_CONNECTED,  /* the netmap is current */
	WIRE_STATE_LOGIN,      /* waits for a person */
	WIRE_STATE_APPROVAL,   /* waits for an administrator */
	WIRE_STATE_EXPIRED,    /* the node key; a new one has to log in */
	WIRE_STATE_OFFLINE,    /* tries again by itself; text says why */
	WIRE_STATE_REFUSED,    /* tries again, but rarely: somebody has to change something; text says what */
	WIRE_STATE_UNREADABLE, /* tries again; the server's netmap cannot be read, or not all of it: text says what */
	WIRE_STATE_LOGGED_OUT,
	WIRE_STATES
};

const char *wire_state_name(enum wire_state state);

#define WIRE_TEXT_MAX	      511
#define WIRE_CA_MAX	      49152
#define WIRE_ROUTES_MAX	      256
#define WIRE_ENDPOINTS_MAX    32
#define WIRE_RULE_ENTRIES_MAX 1024 /* sources, and destinations, of one piece */
#define WIRE_RELAY_BOX_MAX    256
#define WIRE_PACKET_MAX	      65536		     /* a relay's longest */
#define WIRE_MAX	      (WIRE_PACKET_MAX + 64) /* longest message */

struct wire_status {
	enum wire_state state;
	char *text; /* for people, escaped */
};

struct wire_map_begin {
	bool full;   /* peers that do not follow are gone */
	bool rules;  /* all rules follow; else they are unchanged */
	bool relays; /* all regions of the DERP map follow, by id; else they are unchanged */
};

struct wire_self {
	struct tailnet_node *node;
	bool authorized;
};

struct wire_left_out {
	uint32_t n; /* not 0 */
	char *why;  /* of the first, for people */
};

struct wire_relay_hello {
	uint16_t region;
	uint8_t server_key[KEY_LEN];
};

enum wire_relay_standing {
	WIRE_RELAY_LEFT, /* nobody there is talked to, so it is not looked for */
	WIRE_RELAY_UP,
	WIRE_RELAY_AWAY, /* tried again by itself */
	WIRE_RELAY_STANDINGS
};

struct wire_relay_state {
	uint16_t region;
	enum wire_relay_standing state;
	struct conn_error why; /* if away */
	char *host;	       /* of the relay itself; NULL: none */
};

struct wire_relay_packet {
	uint16_t region;
	uint8_t node_key[KEY_LEN]; /* of the other end */
	const uint8_t *bytes;	   /* in the datagram, never owned */
	size_t len;
};

struct wire_config {
	char *server;	/* URL */
	char *auth_key; /* in secret_memory(); "": interactive */
	char *hostname, *version, *os_version;
	char *ca; /* PEM; "": the system's */
	bool pinned;
	uint8_t server_key[KEY_LEN]; /* if pinned */
	uint8_t machine[KEY_LEN];    /* secret */
	bool relays;
};

struct wire_keys {
	uint8_t node[KEY_LEN], old_node[KEY_LEN], disco[KEY_LEN]; /* old_node all zero: none */
};

struct wire_routes {
	struct prefix *v;
	size_t n;
};

struct wire_endpoints {
	struct map_endpoint *v;
	size_t n;
};

struct wire_netinfo {
	uint16_t region; /* home; 0: not known */
	bool udp, ipv6;
};

struct wire_relay_box { /* the body of the relay protocol's ClientInfo */
	uint16_t region;
	uint8_t *bytes;
	size_t len;
};

struct wire_message {
	enum wire_type type;
	union {
		struct wire_status status;
		char *url;	      /* WIRE_LOGIN */
		struct health health; /* without ids */
		int64_t clock;	      /* Unix seconds, not before SERVER_CLOCK_EPOCH */
		struct wire_map_begin begin;
		struct wire_self self;
		struct tailnet_node *peer;
		uint64_t gone;
		struct filter_rule rule;
		struct wire_left_out left_out;
		struct derp_region region;
		struct wire_relay_hello hello;
		struct wire_relay_state relay;
		struct wire_relay_packet packet;
		struct wire_config config;
		struct wire_keys keys;
		struct wire_routes routes;
		struct wire_endpoints endpoints;
		struct wire_netinfo netinfo;
		struct wire_relay_box box;
		char *auth_key; /* WIRE_RECONNECT; in secret_memory(); "": interactive */
	};
};

/* Returns the length, 0: @m has more in it than its bounds allow, or @size is too small. */
size_t wire_encode(const struct wire_message *m, uint8_t *buf, size_t size);

/* False: malformed; @out is empty. Else free it with wire_message_free(). */
bool wire_decode(const uint8_t *bytes, size_t len, enum wire_direction direction, struct wire_message *out);

/* Frees (and wipes, where secret) what a decoded message owns; a taken pointer is set to NULL before. */
void wire_message_free(struct wire_message *m);

#endif
