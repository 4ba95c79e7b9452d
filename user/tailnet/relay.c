/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to relays (relay.h). A region has several nodes; they are tried in
 * turn. Packets that come before a connection is there wait for it, a few of
 * them: first contact should not have to wait for a retransmission.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/alloc.h"
#include "relay.h"
#include "user/messages.h"

#define RELAYS_MAX    32
#define WAITING_MAX   32		/* packets */
#define IDLE_TIME     (90 * NS_PER_SEC) /* then a region that is not home is left */
#define RETRY_MIN     (1 * NS_PER_SEC)
#define RETRY_MAX     (30 * NS_PER_SEC)
#define LOGIN_TIMEOUT (10 * NS_PER_SEC)
#define BACKLOG_MAX   (512u << 10) /* bytes in front of a packet; what comes then is dropped */

struct waiting {
	uint8_t to[KEY_LEN];
	uint8_t *bytes;
	size_t len;
};

struct relay {
	struct relays *all;
	uint16_t region;   /* 0: free */
	struct conn *conn; /* NULL: none, try at retry_at */
	struct http1 http;
	struct derp derp;
	bool upgraded;
	uint64_t used, heard, opened, retry_at;
	unsigned failures;
	struct waiting waiting[WAITING_MAX];
	size_t n_waiting;
};

struct relays {
	struct conns *conns;
	void (*tell)(void *ctx, const struct wire_message *m);
	void *ctx;
	const struct derpmap *map;
	uint16_t home;
	uint64_t now;
	struct relay relay[RELAYS_MAX];
};

static void tell_state(struct relay *r, bool up)
{
	struct wire_message m = {.type = WIRE_RELAY_STATE};

	m.relay = (struct wire_relay_state){.region = r->region, .up = up};
	r->all->tell(r->all->ctx, &m);
}

static void drop_waiting(struct relay *r)
{
	for (size_t i = 0; i < r->n_waiting; i++)
		free(r->waiting[i].bytes);
	r->n_waiting = 0;
}

/* Ends the connection, if there is one; the relay stays, to be tried again. */
static void disconnect(struct relay *r)
{
	if (!r->conn)
		return;
	if (r->derp.state == DERP_OPEN)
		tell_state(r, false);
	conn_close(r->conn);
	r->conn = NULL;
	http1_free(&r->http);
	derp_free(&r->derp);
}

static void leave(struct relay *r)
{
	disconnect(r);
	drop_waiting(r);
	*r = (struct relay){.all = r->all};
}

static void retry_later(struct relay *r)
{
	uint64_t pause = RETRY_MIN << (r->failures < 5 ? r->failures : 5);

	disconnect(r);
	r->failures++;
	r->retry_at = r->all->now + (pause < RETRY_MAX ? pause : RETRY_MAX);
}

/* ---- the protocol's calls ------------------------------------------------------------ */

static bool on_send(void *ctx, const uint8_t *bytes, size_t len)
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

static void on_ready(void *ctx)
{
	struct relay *r = ctx;

	r->failures = 0;
	derp_send_preferred(&r->derp, r->region == r->all->home);
	for (size_t i = 0; i < r->n_waiting; i++)
		derp_send_packet(&r->derp, r->waiting[i].to, r->waiting[i].bytes, r->waiting[i].len);
	drop_waiting(r);
	tell_state(r, true);
}

static void on_packet(void *ctx, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len)
{
	struct relay *r = ctx;
	struct wire_message m = {.type = WIRE_RELAY_PACKET};

	r->used = r->all->now;
	m.packet = (struct wire_relay_packet){.region = r->region, .bytes = bytes, .len = len};
	memcpy(m.packet.node_key, from, KEY_LEN);
	r->all->tell(r->all->ctx, &m);
}

static void on_gone(void *ctx, const uint8_t key[KEY_LEN])
{
	/* WireGuard and disco notice by themselves, and a relay's word is no proof of anything. */
}

static void on_restarting(void *ctx, uint32_t wait_ms)
{
	/* It closes when it does; the retry then is soon enough. */
}

/* ---- the connection's calls ------------------------------------------------------------ */

static void on_opened(void *ctx)
{
	const struct http1_header headers[] = {{"Upgrade", "DERP"}, {"Connection", "Upgrade"}};
	const struct derp_region *region;
	struct relay *r = ctx;
	struct url to = {.tls = true, .path = "/derp"};
	char request[1024];
	size_t len;

	region = derpmap_region(r->all->map, r->region);
	if (!region || !region->n_nodes) {
		retry_later(r);
		return;
	}
	strcpy(to.host, region->nodes[r->failures % region->n_nodes].host);
	to.port = region->nodes[r->failures % region->n_nodes].derp_port;
	len = http1_request(request, sizeof(request), "GET", &to, headers, 2);
	conn_send(r->conn, request, len);
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay *r = ctx;
	size_t used = 0;

	r->heard = r->all->now;
	if (!r->upgraded) {
		used = http1_receive(&r->http, (const char *)bytes, len);
		r->upgraded = r->http.state == HTTP1_UPGRADED;
		if (r->http.state == HTTP1_BAD || r->http.state == HTTP1_DONE) {
			retry_later(r);
			return;
		}
	}
	if (r->upgraded && !derp_receive(&r->derp, bytes + used, len - used))
		retry_later(r);
}

static void on_closed(void *ctx, const char *why)
{
	retry_later(ctx);
}

static void connect_relay(struct relay *r)
{
	static const struct conn_ops conn_ops = {on_opened, on_received, on_closed};
	static const struct derp_ops derp_ops = {on_send, on_server_key, on_ready, on_packet, on_gone, on_restarting};
	const struct derp_region *region = derpmap_region(r->all->map, r->region);
	struct conn_target to = {.url = {.tls = true}};
	const struct derp_node *node;
	struct addr addrs[2];

	if (!region || !region->n_nodes) {
		retry_later(r);
		return;
	}
	node = &region->nodes[r->failures % region->n_nodes];
	if (!node->derp_port) { /* speaks STUN only: the next one */
		r->failures++;
		r->retry_at = r->all->now + RETRY_MIN;
		return;
	}
	strcpy(to.url.host, node->host);
	to.url.port = node->derp_port;
	to.cert = node->cert;
	to.addrs = addrs;
	/* What was looked up may be old; but where a family is not to be tried, the name alone would bring it back. */
	if (node->has_v4 && (!node->looked_up || node->no_v6))
		addrs[to.n_addrs++] = node->v4;
	if (node->has_v6 && (!node->looked_up || node->no_v4))
		addrs[to.n_addrs++] = node->v6;
	r->conn = conn_open(r->all->conns, &to, &conn_ops, r, r->all->now);
	if (!r->conn) {
		retry_later(r);
		return;
	}
	r->upgraded = false;
	r->opened = r->heard = r->all->now;
	http1_init(&r->http, false);
	derp_init(&r->derp, &derp_ops, r);
}

/* ---- all of them ------------------------------------------------------------------------ */

static struct relay *find(struct relays *r, uint16_t region)
{
	for (size_t i = 0; i < RELAYS_MAX; i++)
		if (r->relay[i].region == region)
			return &r->relay[i];
	return NULL;
}

/* The relay of @region, begun if need be; NULL: no such region, or too many. */
static struct relay *get(struct relays *r, uint16_t region)
{
	struct relay *found = region ? find(r, region) : NULL;

	if (found || !region || !derpmap_region(r->map, region))
		return found;
	found = find(r, 0);
	if (found) {
		*found = (struct relay){.all = r, .region = region, .used = r->now, .retry_at = r->now};
		connect_relay(found);
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
		leave(&r->relay[i]);
	free(r);
}

void relays_set_map(struct relays *r, const struct derpmap *map)
{
	r->map = map;
	for (size_t i = 0; i < RELAYS_MAX; i++)
		if (r->relay[i].region && !derpmap_region(map, r->relay[i].region))
			leave(&r->relay[i]);
}

void relays_set_home(struct relays *r, uint16_t region, uint64_t now)
{
	struct relay *old = r->home ? find(r, r->home) : NULL, *new;

	r->now = now;
	if (region == r->home && (!region || find(r, region)))
		return;
	r->home = region;
	if (old && old->conn)
		derp_send_preferred(&old->derp, false);
	new = get(r, region);
	if (new &&new->conn)
		derp_send_preferred(&new->derp, true);
}

void relays_reset(struct relays *r)
{
	for (size_t i = 0; i < RELAYS_MAX; i++) {
		disconnect(&r->relay[i]);
		drop_waiting(&r->relay[i]);
		r->relay[i].retry_at = 0;
	}
}

void relays_box(struct relays *r, const struct wire_relay_box *box)
{
	struct relay *relay = box->region ? find(r, box->region) : NULL;

	if (relay && relay->conn)
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

void relays_send(struct relays *r, const struct wire_relay_packet *p, uint64_t now)
{
	struct relay *relay;

	r->now = now;
	relay = get(r, p->region);
	if (!relay)
		return;
	relay->used = now;
	if (!relay->conn || relay->derp.state != DERP_OPEN)
		keep_waiting(relay, p);
	else if (conn_queued(relay->conn) < BACKLOG_MAX)
		derp_send_packet(&relay->derp, p->node_key, p->bytes, p->len);
}

/* The next time at which something is due; what is due is done. */
static uint64_t tick_one(struct relay *r, uint64_t now)
{
	bool home = r->region == r->all->home;
	uint64_t due;

	if (!home && now - r->used >= IDLE_TIME) {
		leave(r);
		return UINT64_MAX;
	}
	if (!r->conn && now >= r->retry_at) {
		drop_waiting(r);
		connect_relay(r);
	}
	if (!r->conn)
		return r->retry_at;
	due = r->derp.state == DERP_OPEN ? r->heard + DERP_WATCHDOG * NS_PER_SEC
					 : r->opened + LOGIN_TIMEOUT + RETRY_MIN;
	if (now >= due) {
		retry_later(r);
		return r->retry_at;
	}
	return home || r->used + IDLE_TIME > due ? due : r->used + IDLE_TIME;
}

uint64_t relays_tick(struct relays *r, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	r->now = now;
	if (r->home)
		get(r, r->home);
	for (size_t i = 0; i < RELAYS_MAX; i++) {
		uint64_t due = r->relay[i].region ? tick_one(&r->relay[i], now) : UINT64_MAX;

		next = due < next ? due : next;
	}
	return next;
}
