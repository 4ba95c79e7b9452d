/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole node (gate, engine and worker) against a peer whose messages the input spoils.
 * The input is a list of steps, each an operation byte, a length byte and that
 * many bytes: garbage as it is, or flipped into a good handshake message, or sealed
 * as the content of a good data message, so that what lies behind the
 * authentication is reached, too.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "user/wireguard/cookie.h"
#include "user/wireguard/crypto.h"
#include "user/wireguard/engine.h"
#include "user/wireguard/gate.h"
#include "user/wireguard/noise.h"
#include "user/base/clock.h"

#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

enum { RAW, INITIATION, RESPONSE, DATA, TIME, BEGIN, LOAD, SAY, OPERATIONS };

struct node {
	struct engine *e;
	struct transport_set set;
	struct allowedips *allowed;
	struct transport_command commands[256];
	size_t n_commands;
	long indices;
	unsigned sent;
	uint64_t now, seed;
	uint32_t peer;
	struct endpoint from;
	bool under_load;
	struct gate_keys keys;
	struct gate_load load;
	struct ratelimit *sources;

	/* the other side */
	struct noise_identity id;
	struct noise_peer noise;
	struct cookie_maker cookies;
	uint64_t stamp;
	struct message_initiation theirs; /* the node's last initiation */
	struct noise_state answering;
	struct message_response response; /* the node's last response */
	struct noise_state waiting;
	struct session session; /* of the other side */
	bool has_session;
	uint64_t counter;
};

static uint8_t next_byte(struct node *n)
{
	n->seed = n->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint8_t)(n->seed >> 56);
}

static void op_random(void *ctx, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = next_byte(ctx);
}

static void op_send(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
	struct node *n = ctx;

	n->sent++;
	if (len == sizeof(n->theirs))
		memcpy(&n->theirs, msg, len);
	else if (len == sizeof(n->response))
		memcpy(&n->response, msg, len);
}

static void op_command(void *ctx, unsigned worker, const struct transport_command *c)
{
	struct node *n = ctx;

	MUST(n->n_commands < sizeof(n->commands) / sizeof(n->commands[0]));
	n->commands[n->n_commands++] = *c;
}

static void op_index(void *ctx, uint32_t index, unsigned worker, bool used)
{
	struct node *n = ctx;

	n->indices += used ? 1 : -1;
	MUST(index && n->indices >= 0 && n->indices < 16);
}

static void op_allowed(void *ctx, struct allowedips *snapshot)
{
	struct node *n = ctx;

	allowedips_free(n->allowed);
	n->allowed = snapshot;
}

static unsigned op_worker(void *ctx, uint32_t peer)
{
	return 0;
}

static void op_identity(void *ctx, const uint8_t public[KEY_LEN], bool valid)
{
	gate_keys_init(&((struct node *)ctx)->keys, public, valid);
}

static const struct engine_ops ops = {op_send,	 op_command, op_index, op_allowed,
				      op_worker, op_random,  NULL,     op_identity};

static struct engine_time time_of(const struct node *n)
{
	return (struct engine_time){n->now, 1700000000ull * NS_PER_SEC + n->now};
}

/* ---- the worker ---- */

static void seal(struct node *n, struct transport *t, const uint8_t *packet, size_t len)
{
	uint8_t out[512];
	uint64_t before = t->current ? t->current->send_counter : 0;

	if (transport_seal_begin(&n->set, t, len > 0, n->now) != SEAL_OK)
		return;
	MUST(transport_seal(t, out, packet, len, 400) == session_sealed_len(len, 400));
	MUST(t->current->send_counter == before + 1);
}

static void work(struct node *n)
{
	struct engine_time now = time_of(n);
	struct garbage garbage;
	struct transport *t;
	unsigned todo;

	for (size_t i = 0; i < n->n_commands; i++)
		MUST(transport_apply(&n->set, &n->commands[i], n->now));
	n->n_commands = 0;
	while ((t = transport_take_todo(&n->set, &todo))) {
		struct staged *s;

		while (todo & TRANSPORT_FLUSH && (s = transport_unstage(t))) {
			seal(n, t, s->packet, s->len);
			free(s);
		}
		if (todo & TRANSPORT_KEEPALIVE)
			seal(n, t, NULL, 0);
		if (todo & TRANSPORT_HANDSHAKE)
			engine_initiate(n->e, t->peer, &now);
	}
	if (transport_take_garbage(&n->set, &garbage))
		engine_release(n->e, &garbage);
}

static enum engine_result input(struct node *n, const uint8_t *msg, size_t len)
{
	struct engine_time now = time_of(n);
	struct message_cookie reply;
	uint8_t random[KEY_LEN];
	enum engine_result r;
	bool proven;

	op_random(n, random, sizeof(random));
	if (gate_keys_stale(&n->keys, n->now))
		gate_keys_renew(&n->keys, random, n->now);
	r = gate_judge(&n->keys, n->sources, &n->load, msg, len, &n->from, n->now, &proven);
	if (r == ENGINE_OK)
		return engine_input(n->e, msg, len, &n->from, &now);
	if (r == ENGINE_COOKIE_SENT) {
		gate_cookie(&n->keys, &reply, msg, len, &n->from, random);
		MUST(!cookie_reply_read(&n->cookies, &reply, n->now) || n->cookies.cookie_birth == n->now);
	}
	return r;
}

/* Copies into memory of exactly this length, so that one byte too far is seen. */
static void receive(struct node *n, const void *bytes, size_t len)
{
	uint8_t *msg = malloc(len ? len : 1);
	struct opened opened;
	unsigned before = n->sent;

	memcpy(msg, bytes, len);
	if (len && msg[0] == MESSAGE_DATA) {
		enum open_result r = transport_open(&n->set, n->allowed, msg, len, &n->from, 3, n->now, &opened);

		if (r == OPEN_OK)
			MUST(opened.packet.data == msg + DATA_HEADER_LEN && opened.packet.len <= len - DATA_MIN_LEN);
	} else if (input(n, msg, len) != ENGINE_OK) {
		MUST(n->sent == before);
	}
	free(msg);
	work(n);
}

/* ---- the other side ---- */

static void flip(void *msg, size_t len, const uint8_t *bytes, size_t n_bytes)
{
	for (size_t i = 1; i < n_bytes; i++)
		((uint8_t *)msg)[(bytes[0] + i) % len] ^= bytes[i];
}

static void start_session(struct node *n, const struct noise_keys *keys, bool initiator)
{
	session_init(&n->session, keys, 77, initiator, NULL, n->now);
	n->has_session = true;
	n->counter = 0;
}

static void step_initiation(struct node *n, const uint8_t *bytes, size_t len)
{
	uint8_t stamp[TIMESTAMP_LEN] = {0x50}, ephemeral[KEY_LEN];
	uint64_t count = htobe64(++n->stamp);
	struct message_initiation msg;
	struct noise_keys keys;
	struct noise_state copy;

	memcpy(stamp + 4, &count, sizeof(count));
	op_random(n, ephemeral, sizeof(ephemeral));
	MUST(noise_initiation_write(&n->waiting, &msg, &n->id, &n->noise, 77, ephemeral, stamp));
	flip(&msg, offsetof(struct message_initiation, macs), bytes, len);
	cookie_macs_write(&n->cookies, &msg, sizeof(msg), n->now);
	memset(&n->response, 0, sizeof(n->response));
	receive(n, &msg, sizeof(msg));
	copy = n->waiting;
	if (noise_response_read(&copy, &n->response, &keys, &n->id, &n->noise))
		start_session(n, &keys, true);
}

static void step_response(struct node *n, const uint8_t *bytes, size_t len)
{
	uint8_t public[KEY_LEN], stamp[TIMESTAMP_LEN], ephemeral[KEY_LEN];
	struct message_response msg;
	struct noise_keys keys;

	if (!noise_initiation_read_static(&n->answering, &n->theirs, &n->id, public) ||
	    !noise_initiation_read_timestamp(&n->answering, &n->theirs, &n->noise, stamp))
		return;
	op_random(n, ephemeral, sizeof(ephemeral));
	if (!noise_response_write(&n->answering, &msg, &keys, &n->noise, 78, ephemeral))
		return;
	if (len < 2)
		start_session(n, &keys, false);
	flip(&msg, offsetof(struct message_response, macs), bytes, len);
	cookie_macs_write(&n->cookies, &msg, sizeof(msg), n->now);
	receive(n, &msg, sizeof(msg));
}

static void step_data(struct node *n, const uint8_t *bytes, size_t len)
{
	uint8_t msg[512];

	if (!n->has_session)
		return;
	receive(n, msg, session_seal(&n->session, n->counter++, msg, bytes, len, 400));
}

static void step(struct node *n, unsigned op, const uint8_t *bytes, size_t len)
{
	struct engine_time now = time_of(n);
	struct transport *t = transport_find(&n->set, n->peer);

	switch (op) {
	case RAW:
		receive(n, bytes, len);
		break;
	case INITIATION:
		step_initiation(n, bytes, len);
		break;
	case RESPONSE:
		step_response(n, bytes, len);
		break;
	case DATA:
		step_data(n, bytes, len);
		break;
	case TIME:
		n->now += (len ? bytes[0] + 1 : 1000) * 100 * NS_PER_MS;
		break;
	case BEGIN:
		engine_initiate(n->e, n->peer, &now);
		break;
	case LOAD:
		n->under_load = !n->under_load;
		n->load.strangers = n->under_load ? UINT64_MAX / 2 : 0;
		break;
	case SAY:
		transport_stage(t, bytes, len);
		break;
	}
	now = time_of(n);
	work(n);
	MUST(engine_tick(n->e, &now) > n->now);
	work(n);
}

static void setup(struct node *n)
{
	uint8_t ours[KEY_LEN] = {8}, theirs[KEY_LEN] = {16}, public[KEY_LEN];
	struct prefix everything = {.addr.w[2] = htobe32(0xffff), .len = ADDR_V4_BITS};
	struct peer *p;

	n->now = 1000 * NS_PER_SEC;
	n->from = (struct endpoint){.addr = addr_from_v4(htobe32(0xc0000201)), .port = 5};
	n->sources = ratelimit_new(theirs);
	n->e = engine_new(&ops, n);
	MUST(n->e && n->sources);
	engine_set_identity(n->e, ours);
	MUST(engine_public_key(n->e, public));
	noise_identity_init(&n->id, theirs);
	MUST(noise_peer_init(&n->noise, public, &n->id));
	cookie_maker_init(&n->cookies, public);
	p = engine_peer_add(n->e, n->id.public);
	MUST(p);
	n->peer = engine_peer_id(p);
	engine_peer_set_endpoint(n->e, p, &n->from);
	MUST(engine_peer_allow(n->e, p, &everything) && engine_publish_allowed(n->e));
	work(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct node n = {0};
	const char *what;

	if (!ready)
		MUST(crypto_init(&what));
	ready = true;
	setup(&n);
	for (size_t at = 0; at + 2 <= size;) {
		size_t len = data[at + 1];

		len = len < size - at - 2 ? len : size - at - 2;
		step(&n, data[at] % OPERATIONS, data + at + 2, len);
		at += 2 + len;
	}
	engine_remove_all(n.e);
	work(&n);
	MUST(n.indices == 0);
	engine_free(n.e);
	transport_set_free(&n.set);
	allowedips_free(n.allowed);
	ratelimit_free(n.sources);
	return 0;
}
