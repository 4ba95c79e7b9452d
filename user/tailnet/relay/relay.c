/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to relays (relay.h), one to a region:
 *
 *   PAUSED -> CONNECTING -> UPGRADING -> LOGIN -> OPEN
 *                TCP, TLS     HTTP        DERP
 *
 * From each of them a failure leads back to PAUSED. One try goes over the nodes of
 * the region in the order of the DERP map and ends with the first that lets us in;
 * what is told of a try that failed is what the first node failed by, for that is
 * where all the others of the tailnet go.
 *
 * Packets that come before a connection is there wait for it, a few of them: first
 * contact should not have to wait for a retransmission. And who has come to us by a relay
 * that we are connected to is answered there until we have a connection to its own: no
 * longer, for whose packets a relay hands out is its word only.
 */
#include <stdlib.h>
#include <string.h>

#include "user/tailnet/transport/backoff.h"
#include "derp.h"
#include "policy/alloc.h"
#include "relay.h"
#include "user/wireguard/crypto.h"
#include "user/base/key.h"
#include "user/base/clock.h"
#include "user/base/url.h"
#include "user/base/http1.h"

#define RELAYS_MAX    32
#define WAITING_MAX   32		/* packets */
#define HEARD_MAX     1024		/* peers; of two in one place the later one is known */
#define IDLE_TIME     (90 * NS_PER_SEC) /* then a region that is not home is left */
#define ANSWER_TIME   (10 * NS_PER_SEC) /* to the upgrade, and to the login */
#define WATCHDOG_TIME (DERP_WATCHDOG * NS_PER_SEC)
#define STEADY_TIME   (60 * NS_PER_SEC) /* open for so long: the next pause is a short one again */
#define BACKLOG_MAX   (512u << 10)	/* bytes in front of a packet; what comes then is dropped */

enum relay_state {
	RELAY_PAUSED, /* until due */
	RELAY_CONNECTING,
	RELAY_UPGRADING, /* due: no answer */
	RELAY_LOGIN,	 /* due: no answer */
	RELAY_OPEN,	 /* due: nothing heard */
};

struct waiting {
	uint8_t to[KEY_LEN];
	uint8_t *bytes;
	size_t len;
};

struct relay {
	struct relays *all;
	uint16_t region; /* 0: free */
	enum relay_state state;
	uint64_t due;			 /* of the state */
	uint64_t used;			 /* a packet went or came */
	uint64_t opened;		 /* if open */
	unsigned failures;		 /* tries, in a row */
	size_t next;			 /* node of this try */
	struct derp_node to;		 /* the node before that: whom we speak with */
	struct wire_relay_state outcome; /* of this try as far as it is known; its host is in here: */
	char host[URL_HOST_MAX + 1];
	struct conn *conn; /* NULL when paused, as is what follows */
	struct http1 http;
	struct derp derp;
	struct waiting waiting[WAITING_MAX];
	size_t n_waiting;
};

struct heard {
	uint8_t key[KEY_LEN];
	uint16_t region; /* 0: nobody */
};

struct relays {
	struct conns *conns;
	void (*tell)(void *ctx, const struct wire_message *m);
	void *ctx;
	const struct derpmap *map;
	uint8_t node_key[KEY_LEN]; /* all zero: none yet, or no more */
	uint16_t home;
	uint64_t now; /* of the call, the owner's or a connection's */
	struct relay relay[RELAYS_MAX];
	struct heard heard[HEARD_MAX]; /* where peers were heard last */
};

static void tell_outcome(struct relay *r)
{
	const struct wire_message m = {.type = WIRE_RELAY_STATE, .relay = r->outcome};

	r->all->tell(r->all->ctx, &m);
}

static void drop_waiting(struct relay *r)
{
	for (size_t i = 0; i < r->n_waiting; i++)
		free(r->waiting[i].bytes);
	r->n_waiting = 0;
}

static void pause_until(struct relay *r, uint64_t due)
{
	if (r->state != RELAY_PAUSED) {
		conn_close(r->conn);
		http1_free(&r->http);
		derp_free(&r->derp);
	}
	r->conn = NULL;
	r->state = RELAY_PAUSED;
	r->due = due;
}

static void relay_leave(struct relay *r)
{
	pause_until(r, 0);
	drop_waiting(r);
	r->outcome = (struct wire_relay_state){.region = r->region, .state = WIRE_RELAY_LEFT};
	if (r->region)
		tell_outcome(r);
	*r = (struct relay){.all = r->all};
}

/* ---- one try ----------------------------------------------------------------------------- */

/* A relay that lets everybody in, and then hangs up, is not to be called every second. */
static void end_try(struct relay *r)
{
	uint32_t random;

	crypto_random(&random, sizeof(random));
	pause_until(r, r->all->now + backoff(r->failures++, random));
	tell_outcome(r);
}

static void set_outcome(struct relay *r, enum wire_relay_standing state, struct conn_error why)
{
	strcpy(r->host, r->to.host);
	r->outcome = (struct wire_relay_state){.region = r->region, .state = state, .why = why, .host = r->host};
}

/* Of the node that is being tried; what is known of one before it counts. */
static void relay_note(struct relay *r, enum conn_error_kind kind, int number)
{
	if (r->outcome.state != WIRE_RELAY_AWAY)
		set_outcome(r, WIRE_RELAY_AWAY, (struct conn_error){kind, number});
}

static const struct conn_ops conn_ops;
static const struct derp_ops derp_ops;

/* False: not even begun. */
static bool relay_call(struct relay *r)
{
	const struct derp_node *node = &r->to;
	struct addr addrs[2];
	struct conn_target to = {.url = {.tls = true, .port = node->derp_port},
				 .cert = node->cert,
				 .unverified = node->unverified,
				 .addrs = addrs};

	strcpy(to.url.host, node->host);
	/* The addresses may be old; but the name alone would bring back a family that is not to be tried. */
	if (node->has_v4 && (!node->looked_up || node->no_v6))
		addrs[to.n_addrs++] = node->v4;
	if (node->has_v6 && (!node->looked_up || node->no_v4))
		addrs[to.n_addrs++] = node->v6;
	r->conn = conn_open(r->all->conns, &to, &conn_ops, r, r->all->now);
	if (!r->conn)
		return false;
	http1_init(&r->http, false);
	derp_init(&r->derp, &derp_ops, r);
	r->state = RELAY_CONNECTING;
	r->due = UINT64_MAX; /* conn.h has a bound */
	return true;
}

static void relay_try_next(struct relay *r)
{
	const struct derp_region *region = derpmap_region(r->all->map, r->region);

	while (region && r->next < region->n_nodes) {
		r->to = region->nodes[r->next++];
		if (!r->to.derp_port)
			continue; /* speaks STUN only */
		if (relay_call(r))
			return;
		relay_note(r, CONN_ERROR_BUSY, 0);
	}
	relay_note(r, CONN_ERROR_NO_RELAY, 0); /* if there was none to be tried */
	end_try(r);
}

static void begin_try(struct relay *r)
{
	drop_waiting(r); /* what has waited for a whole pause nobody waits for */
	r->next = 0;
	r->to = (struct derp_node){0};
	r->outcome = (struct wire_relay_state){0};
	relay_try_next(r);
}

/* The connection is of no use, or no more. */
static void relay_fail(struct relay *r, enum conn_error_kind kind, int number)
{
	bool was_open = r->state == RELAY_OPEN;

	if (was_open)
		r->outcome = (struct wire_relay_state){0};
	if (was_open && r->all->now - r->opened >= STEADY_TIME)
		r->failures = 0;
	relay_note(r, kind, number);
	pause_until(r, 0);
	if (was_open)
		end_try(r);
	else
		relay_try_next(r);
}

/* ---- the protocol's calls ------------------------------------------------------------ */

static bool relay_on_send(void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay *r = ctx;

	conn_send(r->conn, bytes, len);
	return true;
}

static void on_server_key(void *ctx, const uint8_t key[KEY_LEN])
{
	struct relay *r = ctx;
	struct wire_message m = {.type = WIRE_RELAY_HELLO};

	m.hello.region = r->region;
	memcpy(m.hello.server_key, key, KEY_LEN);
	r->all->tell(r->all->ctx, &m);
}

static void relay_on_ready(void *ctx)
{
	struct relay *r = ctx;

	r->state = RELAY_OPEN;
	r->opened = r->all->now;
	r->due = r->opened + WATCHDOG_TIME;
	derp_send_preferred(&r->derp, r->region == r->all->home);
	for (size_t i = 0; i < r->n_waiting; i++)
		derp_send_packet(&r->derp, r->waiting[i].to, r->waiting[i].bytes, r->waiting[i].len);
	drop_waiting(r);
	set_outcome(r, WIRE_RELAY_UP, (struct conn_error){0});
	tell_outcome(r);
}

/* Keys are as good as random, and who makes his meet another's disturbs but the two. */
static struct heard *heard_place(struct relays *r, const uint8_t key[KEY_LEN])
{
	uint16_t hash;

	memcpy(&hash, key, sizeof(hash));
	return &r->heard[hash % HEARD_MAX];
}

static void on_packet(void *ctx, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len)
{
	struct relay *r = ctx;
	struct heard *heard = heard_place(r->all, from);
	struct wire_message m = {.type = WIRE_RELAY_PACKET};

	memcpy(heard->key, from, KEY_LEN);
	heard->region = r->region;
	r->used = r->all->now;
	m.packet = (struct wire_relay_packet){.region = r->region, .bytes = bytes, .len = len};
	memcpy(m.packet.node_key, from, KEY_LEN);
	r->all->tell(r->all->ctx, &m);
}

static void on_gone(void *ctx, const uint8_t key[KEY_LEN])
{
	struct relay *r = ctx;
	struct heard *heard = heard_place(r->all, key);

	/* WireGuard and disco find out by themselves if the peer is gone altogether. */
	if (heard->region == r->region && !memcmp(heard->key, key, KEY_LEN))
		heard->region = 0;
}

static void on_restarting(void *ctx, uint32_t wait_ms)
{
	/* It closes when it does; the retry then is soon enough. */
}

static const struct derp_ops derp_ops = {relay_on_send, on_server_key, relay_on_ready,
					 on_packet,	on_gone,       on_restarting};

/* ---- the connection's calls ------------------------------------------------------------ */

static struct relay *called(void *ctx)
{
	struct relay *r = ctx;

	r->all->now = r->all->conns->now;
	return r;
}

static void on_opened(void *ctx)
{
	const struct http1_header headers[] = {{"Upgrade", "DERP"}, {"Connection", "Upgrade"}};
	struct relay *r = called(ctx);
	struct url to = {.tls = true, .port = r->to.derp_port, .path = "/derp"};
	char request[1024];

	strcpy(to.host, r->to.host);
	conn_send(r->conn, request, http1_request(request, sizeof(request), "GET", &to, headers, 2));
	r->state = RELAY_UPGRADING;
	r->due = r->all->now + ANSWER_TIME;
}

/* Returns how many of the bytes were HTTP's. */
static size_t take_http(struct relay *r, const uint8_t *bytes, size_t len)
{
	size_t used = http1_receive(&r->http, (const char *)bytes, len);

	if (r->http.state == HTTP1_UPGRADED) {
		r->state = RELAY_LOGIN;
		r->due = r->all->now + ANSWER_TIME;
	} else if (r->http.state != HTTP1_HEAD && r->http.status) {
		relay_fail(r, CONN_ERROR_HTTP, r->http.status);
	} else if (r->http.state == HTTP1_BAD) {
		relay_fail(r, CONN_ERROR_NO_HTTP, 0);
	}
	return used;
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay *r = called(ctx);
	size_t used = r->state == RELAY_UPGRADING ? take_http(r, bytes, len) : 0;

	if (r->state == RELAY_OPEN)
		r->due = r->all->now + WATCHDOG_TIME;
	if ((r->state == RELAY_LOGIN || r->state == RELAY_OPEN) && !derp_receive(&r->derp, bytes + used, len - used))
		relay_fail(r, CONN_ERROR_NO_DERP, 0);
}

/* A relay that closes after it has our login refuses this node. */
static void relay_on_closed(void *ctx, const struct conn_error *why)
{
	struct relay *r = called(ctx);
	bool refused = r->state == RELAY_LOGIN && r->derp.state == DERP_INFO;

	if (refused && (why->kind == CONN_ERROR_CLOSED || why->kind == CONN_ERROR_BROKEN))
		relay_fail(r, CONN_ERROR_LOGIN, 0);
	else
		relay_fail(r, why->kind, why->number);
}

static const struct conn_ops conn_ops = {on_opened, on_received, relay_on_closed};

/* ---- all of them ------------------------------------------------------------------------ */

static struct relay *relay_find(struct relays *r, uint16_t region)
{
	for (size_t i = 0; i < RELAYS_MAX; i++)
		if (r->relay[i].region == region)
			return &r->relay[i];
	return NULL;
}

/* The relay of @region, begun if need be; NULL: no such region, too many, or nobody to say that we are. */
static struct relay *relay_get(struct relays *r, uint16_t region)
{
	struct relay *found = region ? relay_find(r, region) : NULL;

	if (found || key_is_zero(r->node_key) || !derpmap_region(r->map, region))
		return found;
	found = relay_find(r, 0);
	if (found) {
		*found = (struct relay){.all = r, .region = region, .used = r->now};
		begin_try(found);
	}
	return found;
}

struct relays *relays_new(struct conns *conns, void (*tell)(void *ctx, const struct wire_message *m), void *ctx)
{
	struct relays *r = mem_alloc(1, sizeof(*r));

	r->conns = conns;
	r->tell = tell;
	r->ctx = ctx;
	for (size_t i = 0; i < RELAYS_MAX; i++)
		r->relay[i].all = r;
	return r;
}

void relays_free(struct relays *r)
{
	for (size_t i = 0; r && i < RELAYS_MAX; i++)
		relay_leave(&r->relay[i]);
	free(r);
}

/* Is the node that we speak with, or shall, still what it was? */
static bool relay_is_in(const struct derp_region *region, const struct derp_node *node)
{
	for (size_t i = 0; i < region->n_nodes; i++) {
		const struct derp_node *n = &region->nodes[i];

		if (!strcmp(n->host, node->host) && !strcmp(n->cert, node->cert) && n->derp_port == node->derp_port)
			return true;
	}
	return false;
}

void relays_set_map(struct relays *r, const struct derpmap *map, uint64_t now)
{
	r->map = map;
	r->now = now;
	for (size_t i = 0; i < RELAYS_MAX; i++) {
		struct relay *relay = &r->relay[i];
		const struct derp_region *region = derpmap_region(map, relay->region);

		if (relay->region && !region)
			relay_leave(relay);
		else if (relay->region && !relay_is_in(region, &relay->to))
			pause_until(relay, now);
	}
}

void relays_set_home(struct relays *r, uint16_t region, uint64_t now)
{
	struct relay *old = r->home ? relay_find(r, r->home) : NULL, *new;

	r->now = now;
	if (region == r->home)
		return;
	r->home = region;
	if (old)
		old->used = now; /* until others have heard of it they look for us there */
	if (old && old->state == RELAY_OPEN)
		derp_send_preferred(&old->derp, false);
	new = relay_get(r, region);
	if (new && new->state == RELAY_OPEN)
		derp_send_preferred(&new->derp, true);
}

void relays_set_key(struct relays *r, const uint8_t node[KEY_LEN], uint64_t now)
{
	bool none = key_is_zero(node);

	r->now = now;
	if (!memcmp(r->node_key, node, KEY_LEN))
		return;
	memcpy(r->node_key, node, KEY_LEN);
	for (size_t i = 0; i < RELAYS_MAX; i++) {
		if (none)
			relay_leave(&r->relay[i]);
		else
			pause_until(&r->relay[i], now);
		drop_waiting(&r->relay[i]);
	}
}

void relays_retry(struct relays *r, uint64_t now)
{
	for (size_t i = 0; i < RELAYS_MAX; i++) {
		if (r->relay[i].state == RELAY_PAUSED)
			r->relay[i].due = now;
		r->relay[i].failures = 0;
	}
}

void relays_box(struct relays *r, const struct wire_relay_box *box)
{
	struct relay *relay = box->region ? relay_find(r, box->region) : NULL;

	if (relay && relay->state == RELAY_LOGIN)
		derp_login(&relay->derp, box->bytes, box->len);
}

static void keep_waiting(struct relay *r, const struct wire_relay_packet *p)
{
	struct waiting *w;

	if (r->n_waiting == WAITING_MAX)
		return;
	w = &r->waiting[r->n_waiting++];
	memcpy(w->to, p->node_key, KEY_LEN);
	w->bytes = mem_alloc(p->len, 1);
	w->len = p->len;
	memcpy(w->bytes, p->bytes, p->len);
}

static struct relay *way_to(struct relays *r, const struct wire_relay_packet *p)
{
	struct relay *home = relay_get(r, p->region), *other;
	const struct heard *heard = heard_place(r, p->node_key);

	if (home && home->state == RELAY_OPEN)
		return home;
	other = heard->region && !memcmp(heard->key, p->node_key, KEY_LEN) ? relay_find(r, heard->region) : NULL;
	return other && other->state == RELAY_OPEN ? other : home;
}

void relays_send(struct relays *r, const struct wire_relay_packet *p, uint64_t now)
{
	struct relay *relay;

	r->now = now;
	relay = way_to(r, p);
	if (!relay)
		return;
	relay->used = now;
	if (relay->state != RELAY_OPEN)
		keep_waiting(relay, p);
	else if (conn_queued(relay->conn) < BACKLOG_MAX)
		derp_send_packet(&relay->derp, p->node_key, p->bytes, p->len);
}

static void do_what_is_due(struct relay *r)
{
	static const enum conn_error_kind late[] = {
		/* while connecting nothing is due */
		[RELAY_UPGRADING] = CONN_ERROR_HTTP_SILENT,
		[RELAY_LOGIN] = CONN_ERROR_DERP_SILENT,
		[RELAY_OPEN] = CONN_ERROR_SILENT,
	};

	if (r->state == RELAY_PAUSED)
		begin_try(r);
	else
		relay_fail(r, late[r->state], 0);
}

/* The next time at which something is due; what is due is done. */
static uint64_t tick_one(struct relay *r, uint64_t now)
{
	bool home = r->region == r->all->home;

	if (!home && now - r->used >= IDLE_TIME) {
		relay_leave(r);
		return UINT64_MAX;
	}
	if (now >= r->due)
		do_what_is_due(r);
	return home || r->due < r->used + IDLE_TIME ? r->due : r->used + IDLE_TIME;
}

uint64_t relays_tick(struct relays *r, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	r->now = now;
	if (r->home)
		relay_get(r, r->home);
	for (size_t i = 0; i < RELAYS_MAX; i++) {
		uint64_t due = r->relay[i].region ? tick_one(&r->relay[i], now) : UINT64_MAX;

		next = due < next ? due : next;
	}
	return next;
}
