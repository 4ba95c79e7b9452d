/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The session with the coordination server (coord.h).
 *
 *   IDLE -> [KEY] -> UPGRADE -> REGISTER -> [LOGIN] -> MAP
 *     ^        any of them, when something breaks       |
 *     +------------- WAIT, longer every time -----------+
 *
 * KEY is left out where the server's key is pinned, or is known from before. REGISTER offers the auth key
 * only when the server asks for a login: a node that it knows needs no key, and a key that was used up or deleted must
 * not keep that node out. LOGIN waits for a person with the same request as REGISTER and the URL as its follow-up.
 * PARKED waits for the gateway: new keys, or the wish to try again.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/bytes.h"
#include "user/base/secret.h"
#include "user/tailnet/transport/backoff.h"
#include "user/tailnet/transport/ts2021.h"
#include "coord.h"
#include "follow.h"
#include "ourselves.h"
#include "policy/alloc.h"
#include "register.h"
#include "server_key.h"
#include "user/wireguard/crypto.h"
#include "user/base/clock.h"

enum state {
	STATE_IDLE, /* no keys yet */
	STATE_WAIT,
	STATE_KEY,
	STATE_UPGRADE,
	STATE_REGISTER,
	STATE_LOGIN,
	STATE_MAP,
	STATE_LOGOUT,
	STATE_PARKED,
};

#define STEP_TIMEOUT  (20 * NS_PER_SEC)	 /* for everything but a login and the map */
#define LOGIN_TIMEOUT (600 * NS_PER_SEC) /* then a new URL */
#define MAP_WATCHDOG  (120 * NS_PER_SEC) /* the server sends something every minute */
#define SENT_AWAY     (300 * NS_PER_SEC) /* for so long, unless somebody says `up` */
#define LONG_SESSION  (30 * NS_PER_SEC)	 /* a session this long shows that backing off is over */
#define ANSWER_MAX    (256u << 10)

/* The end of the connection, and why. Somewhere in the channel's callbacks it is only written down, for whoever
 * called is not done yet; carry_out() does it. */
struct outcome {
	bool is;
	enum state next;
	uint64_t deadline; /* of it */
	enum wire_state says;
	char text[WIRE_TEXT_MAX + 1];
};

struct coord {
	struct ourselves self;
	const struct coord_ops *ops;
	void *ctx;
	bool logout; /* is wanted */

	uint64_t now; /* of the call that is being answered */
	enum state state;
	uint64_t deadline; /* of the state */
	unsigned failures; /* in a row */
	bool has_server_key;
	uint8_t server_key[KEY_LEN];

	/* the connection */
	bool connected;
	struct server_key *fetch; /* of the server's key; NULL: none under way */
	struct ts2021 *ts2021;
	int32_t request; /* register, or the map */
	int status;	 /* HTTP's, of request */
	uint64_t rest;	 /* for so long its answer wants us to leave the server alone; ns */
	struct writer answer;
	bool with_key;	/* the auth key has been asked for, on this connection */
	char *followup; /* URL of the login */
	uint64_t map_since;
	struct follow follow;
	struct outcome outcome;
};

static void tell_status(struct coord *c, enum wire_state state, const char *text)
{
	struct wire_message m = {.type = WIRE_STATUS};

	m.status = (struct wire_status){.state = state, .text = (char *)text};
	c->ops->tell(c->ctx, &m);
}

static void drop_connection(struct coord *c)
{
	if (c->connected)
		c->ops->close(c->ctx);
	c->connected = false;
	server_key_free(c->fetch);
	free(c->fetch);
	c->fetch = NULL;
	follow_stop(&c->follow);
	ts2021_free(c->ts2021);
	c->ts2021 = NULL;
	c->request = 0;
	c->answer = writer_to(c->answer.start, ANSWER_MAX);
	c->rest = 0;
	c->with_key = false;
}

/* The first counts: what comes after it follows from it. */
static void conclude(struct coord *c, enum state next, uint64_t deadline, enum wire_state says, const char *text)
{
	if (c->outcome.is)
		return;
	c->outcome = (struct outcome){.is = true, .next = next, .deadline = deadline, .says = says};
	snprintf(c->outcome.text, sizeof(c->outcome.text), "%s", text);
}

static void carry_out(struct coord *c)
{
	if (!c->outcome.is)
		return;
	c->outcome.is = false;
	c->failures += c->outcome.next == STATE_WAIT;
	drop_connection(c);
	c->state = c->outcome.next;
	c->deadline = c->outcome.deadline;
	tell_status(c, c->outcome.says, c->outcome.text);
}

static uint64_t coord_next_try(struct coord *c)
{
	uint32_t random;

	c->ops->random(c->ctx, &random, sizeof(random));
	return c->now + c->rest + backoff(c->failures, random);
}

/* Says what has happened and tries again later, later every time. */
static void __attribute__((format(printf, 2, 3))) coord_fail(struct coord *c, const char *fmt, ...)
{
	char text[WIRE_TEXT_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->state == STATE_UPGRADE) /* perhaps it is another server by now, with another key */
		c->has_server_key = c->self.config.pinned;
	conclude(c, STATE_WAIT, coord_next_try(c), WIRE_STATE_OFFLINE, text);
}

/* Somebody has to change something first, as a rule; but a server that is going down (headscale) refuses, too. */
static void coord_refuse(struct coord *c, const char *text)
{
	conclude(c, STATE_WAIT, coord_next_try(c), WIRE_STATE_REFUSED, text);
}

static void park(struct coord *c, enum wire_state state, const char *text)
{
	conclude(c, STATE_PARKED, UINT64_MAX, state, text);
}

static void coord_enter(struct coord *c, enum state state, uint64_t timeout)
{
	c->state = state;
	c->deadline = c->now + timeout;
}

static void send_register(struct coord *c)
{
	c->answer = writer_to(c->answer.start, ANSWER_MAX);
	c->status = 0;
	c->request = ts2021_post(c->ts2021, "/machine/register",
				 c->logout ? ourselves_logout_json(&c->self)
					   : ourselves_register_json(&c->self, c->followup, c->with_key));
	if (c->request < 0)
		coord_fail(c, "cannot send a registration");
}

static void forget_login(struct coord *c)
{
	free(c->followup);
	c->followup = NULL;
}

static void start_map(struct coord *c)
{
	forget_login(c);
	c->status = 0;
	c->map_since = c->now;
	coord_enter(c, STATE_MAP, STEP_TIMEOUT);
	c->request = follow_start(&c->follow, c->ts2021);
	if (c->request < 0)
		coord_fail(c, "cannot ask for the netmap");
}

/* Told again on every connection: who asks meanwhile has not heard it. */
static void wait_for_login(struct coord *c)
{
	const struct wire_message login = {.type = WIRE_LOGIN, .url = c->followup};

	tell_status(c, WIRE_STATE_LOGIN, "waits for somebody to log in");
	c->ops->tell(c->ctx, &login);
	coord_enter(c, STATE_LOGIN, LOGIN_TIMEOUT);
	send_register(c);
}

static void log_in(struct coord *c, const char *url)
{
	if (c->state == STATE_LOGIN) { /* has not waited, or has forgotten the first */
		forget_login(c);
		coord_fail(c, "the server wants another login before the first is done");
	} else if (*c->self.config.auth_key && !c->with_key) {
		c->with_key = true;
		coord_enter(c, STATE_REGISTER, STEP_TIMEOUT);
		send_register(c);
	} else {
		c->followup = mem_strdup(url);
		wait_for_login(c);
	}
}

static void read_registration(struct coord *c)
{
	struct register_response r;

	switch (register_response_read((const char *)c->answer.start, writer_len(&c->answer), &r)) {
	case REGISTER_DONE:
		start_map(c);
		return;
	case REGISTER_LOGIN:
		log_in(c, r.url);
		return;
	case REGISTER_EXPIRED:
		park(c, WIRE_STATE_EXPIRED, "the node key has expired: log in again with `sluice up`");
		return;
	case REGISTER_REFUSED:
		coord_refuse(c, r.text);
		return;
	case REGISTER_BAD:
		coord_fail(c, "%s", r.text);
	}
}

static void read_refusal(struct coord *c, const char *what)
{
	char text[WIRE_TEXT_MAX + 1];

	refusal_text(what, c->status, (const char *)c->answer.start, writer_len(&c->answer), text, sizeof(text));
	if (c->status >= 400 && c->status < 500)
		coord_refuse(c, text);
	else
		coord_fail(c, "%s", text);
}

static void end_request(struct coord *c, bool whole)
{
	bool ok = whole && c->status == 200;

	c->request = 0;
	if (c->state == STATE_LOGOUT)
		park(c, WIRE_STATE_LOGGED_OUT, ok ? "logged out" : "logged out here; the server did not confirm it");
	else if (c->state == STATE_MAP && ok)
		coord_fail(c, "the server ended the netmap");
	else if (c->state == STATE_MAP && whole)
		read_refusal(c, "the netmap is");
	else if (ok)
		read_registration(c);
	else if (whole && c->status)
		read_refusal(c, "registration is");
	else
		coord_fail(c, "the server broke off its answer");
}

void coord_relays_filled(struct coord *c)
{
	c->follow.map.derpmap_changed = true;
	follow_tell(&c->follow, false);
}

static void coord_end_map(struct coord *c)
{
	char text[WIRE_TEXT_MAX + 1];

	switch (c->follow.end) {
	case FOLLOW_LOCKED:
		coord_refuse(c, "this tailnet uses tailnet lock, which Sluice does not support");
		return;
	case FOLLOW_SENT_AWAY:
		conclude(c, STATE_WAIT, c->now + SENT_AWAY, WIRE_STATE_REFUSED, "the server wants this node to stop");
		return;
	case FOLLOW_UNKNOWN:
		coord_fail(c, "the server does not know this node any more");
		return;
	default:
		snprintf(text, sizeof(text), "the server's netmap cannot be read: %s", c->follow.error);
		conclude(c, STATE_WAIT, coord_next_try(c), WIRE_STATE_UNREADABLE, text);
	}
}

static bool coord_take_map(struct coord *c, const uint8_t *bytes, size_t len)
{
	c->deadline = c->now + MAP_WATCHDOG;
	if (follow_receive(&c->follow, bytes, len, c->now))
		return true;
	coord_end_map(c);
	return false;
}

static bool coord_on_send(void *ctx, const uint8_t *bytes, size_t len)
{
	struct coord *c = ctx;

	c->ops->send(c->ctx, bytes, len);
	return true;
}

static void coord_on_ready(void *ctx)
{
	struct coord *c = ctx;

	if (c->followup && !c->logout) {
		wait_for_login(c);
		return;
	}
	coord_enter(c, c->logout ? STATE_LOGOUT : STATE_REGISTER, STEP_TIMEOUT);
	send_register(c);
}

static void coord_on_status(void *ctx, int32_t stream, int status, unsigned retry_after)
{
	struct coord *c = ctx;

	if (stream == c->request) {
		c->status = status;
		c->rest = status == 429 || status == 503 ? retry_after * NS_PER_SEC : 0; /* RFC 6585, RFC 9110 */
		return;
	}
	follow_status(&c->follow, stream, status);
}

static bool coord_on_body(void *ctx, int32_t stream, const uint8_t *bytes, size_t len)
{
	struct coord *c = ctx;

	if (c->outcome.is)
		return false;
	if (stream != c->request)
		return true; /* nothing of interest is in the other answers */
	if (c->state == STATE_MAP && c->status == 200)
		return coord_take_map(c, bytes, len);
	write_bytes(&c->answer, bytes, len);
	return !c->answer.bad;
}

static void coord_on_closed(void *ctx, int32_t stream, bool whole)
{
	struct coord *c = ctx;

	if (c->outcome.is)
		return;
	if (stream == c->request)
		end_request(c, whole);
	else if (!follow_closed(&c->follow, stream, whole, c->now))
		coord_end_map(c);
}

/*
 * Every other time, when it fails by the name: who answers there, or nobody, may be another's
 * doing. Not where the key is pinned: certificates are not asked for then, and we are not to
 * send requests to whatever address a server names.
 */
static const struct dial_plan *plan_of(const struct coord *c)
{
	const struct dial_plan *plan = &c->follow.map.dial_plan;

	return plan->n && c->failures % 2 && !c->self.config.pinned ? plan : NULL;
}

static void open_connection(struct coord *c)
{
	coord_enter(c, c->has_server_key ? STATE_UPGRADE : STATE_KEY, STEP_TIMEOUT);
	c->connected = true;
	tell_status(c, WIRE_STATE_CONNECTING, c->self.server.host);
	c->ops->open(c->ctx, &c->self.server, plan_of(c));
}

static void ask_key(struct coord *c)
{
	char request[1024];
	size_t len;

	c->fetch = mem_alloc(1, sizeof(*c->fetch));
	len = server_key_start(c->fetch, &c->self.server, request, sizeof(request));
	c->ops->send(c->ctx, (const uint8_t *)request, len);
}

static void start_channel(struct coord *c)
{
	static const struct ts2021_ops ops = {coord_on_send, coord_on_ready, coord_on_status, coord_on_body,
					      coord_on_closed};
	struct ts2021_keys keys;

	memcpy(keys.machine, c->self.config.machine, KEY_LEN);
	memcpy(keys.server, c->server_key, KEY_LEN);
	c->ops->random(c->ctx, keys.ephemeral, KEY_LEN);
	c->ts2021 = ts2021_new(&c->self.server, &keys, &ops, c);
	crypto_wipe(&keys, sizeof(keys));
	if (!c->ts2021)
		coord_fail(c, "the server's key is not a usable key");
}

void coord_opened(struct coord *c, uint64_t now)
{
	c->now = now;
	if (c->state == STATE_KEY)
		ask_key(c);
	else if (c->state == STATE_UPGRADE)
		start_channel(c);
	carry_out(c);
}

static void coord_read_key(struct coord *c, const uint8_t *bytes, size_t len)
{
	enum server_key_result result = server_key_receive(c->fetch, bytes, len);

	if (result == SERVER_KEY_FAILED)
		coord_fail(c, "%s: %s", c->self.server.host, c->fetch->error);
	if (result != SERVER_KEY_DONE)
		return;
	memcpy(c->server_key, c->fetch->key, KEY_LEN);
	c->has_server_key = true;
	drop_connection(c);
	open_connection(c);
}

void coord_received(struct coord *c, const uint8_t *bytes, size_t len, uint64_t now)
{
	c->now = now;
	if (c->fetch)
		coord_read_key(c, bytes, len);
	else if (c->ts2021 && !ts2021_receive(c->ts2021, bytes, len))
		coord_fail(c, "%s", ts2021_error(c->ts2021));
	carry_out(c);
}

void coord_closed(struct coord *c, const char *why, uint64_t now)
{
	c->now = now;
	c->connected = false;
	if (c->fetch)
		coord_read_key(c, NULL, 0);
	else if (c->state == STATE_LOGOUT)
		park(c, WIRE_STATE_LOGGED_OUT, "logged out here; the server could not be told");
	else
		coord_fail(c, "%s: %s", c->self.server.host, why);
	carry_out(c);
}

/* ---- the gateway's wishes --------------------------------------------------------------------- */

/* From the start, now; unless there is nothing to start with. */
static void restart(struct coord *c)
{
	drop_connection(c);
	c->failures = 0;
	c->state = key_is_zero(c->self.keys.node) ? STATE_IDLE : STATE_WAIT;
	c->deadline = c->state == STATE_IDLE ? UINT64_MAX : c->now;
}

/*
 * The old key is for the next registration alone. A step back to it, where the
 * new one was refused, waits for its turn as any other try after a refusal.
 */
static void take_keys(struct coord *c, const struct wire_keys *keys)
{
	bool same =
		!memcmp(c->self.keys.node, keys->node, KEY_LEN) && !memcmp(c->self.keys.disco, keys->disco, KEY_LEN);
	bool back = !key_is_zero(keys->node) && !memcmp(c->self.keys.old_node, keys->node, KEY_LEN);

	c->self.keys = *keys;
	if (same || (back && c->state == STATE_WAIT))
		return;
	c->logout = false;
	forget_login(c); /* of another key */
	restart(c);
}

static void log_out(struct coord *c)
{
	c->logout = true;
	if (c->ts2021 && (c->state == STATE_MAP || c->state == STATE_LOGIN)) {
		coord_enter(c, STATE_LOGOUT, STEP_TIMEOUT);
		follow_stop(&c->follow);
		send_register(c);
	} else {
		restart(c);
	}
}

static void coord_reconnect(struct coord *c, char **auth_key)
{
	const char *mistake = ourselves_set_auth_key(&c->self, auth_key);

	c->logout = false;
	restart(c);
	if (mistake)
		coord_refuse(c, mistake);
}

void coord_told(struct coord *c, struct wire_message *m, uint64_t now)
{
	c->now = now;
	if (m->type == WIRE_KEYS) {
		take_keys(c, &m->keys);
	} else if (m->type == WIRE_LOGOUT) {
		log_out(c);
	} else if (m->type == WIRE_RECONNECT) {
		coord_reconnect(c, &m->auth_key);
	} else if (ourselves_take(&c->self, m)) {
		follow_changed(&c->follow);
		follow_tick(&c->follow, now);
	}
	carry_out(c);
}

static void coord_time_out(struct coord *c)
{
	switch (c->state) {
	case STATE_WAIT:
		open_connection(c);
		return;
	case STATE_LOGOUT:
		park(c, WIRE_STATE_LOGGED_OUT, "logged out here; the server did not answer");
		return;
	case STATE_LOGIN:
		forget_login(c);
		coord_fail(c, "nobody has logged in; there will be a new URL");
		return;
	case STATE_MAP:
		coord_fail(c, "%s: nothing was heard for too long", c->self.server.host);
		return;
	default:
		coord_fail(c, "%s: no answer", c->self.server.host);
	}
}

uint64_t coord_tick(struct coord *c, uint64_t now)
{
	uint64_t next;

	c->now = now;
	if (c->follow.current && now - c->map_since > LONG_SESSION)
		c->failures = 0;
	if (now >= c->deadline)
		coord_time_out(c);
	carry_out(c);
	next = follow_tick(&c->follow, now);
	return next < c->deadline ? next : c->deadline;
}

struct coord *coord_new(struct wire_config *config, const struct coord_ops *ops, void *ctx, char error[200])
{
	struct coord *c = secret_memory(sizeof(*c)); /* the machine's key is in it */
	const char *mistake = ourselves_init(&c->self, config);

	if (mistake) {
		snprintf(error, 200, "%s", mistake);
		secret_memory_free(c);
		return NULL;
	}
	c->ops = ops;
	c->ctx = ctx;
	c->deadline = UINT64_MAX;
	c->follow = (struct follow){.ops = ops, .ctx = ctx, .self = &c->self};
	c->answer = writer_to(mem_alloc(ANSWER_MAX, 1), ANSWER_MAX);
	c->has_server_key = c->self.config.pinned;
	memcpy(c->server_key, c->self.config.server_key, KEY_LEN);
	return c;
}

void coord_free(struct coord *c)
{
	if (!c)
		return;
	drop_connection(c);
	ourselves_free(&c->self);
	free(c->answer.start);
	free(c->followup);
	follow_free(&c->follow);
	secret_memory_free(c);
}
