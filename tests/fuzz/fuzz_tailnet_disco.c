/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disco: what a peer of the tailnet may say inside its boxes, and what anybody may
 * send around them. The input is plaintexts that are sealed here as a peer would.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "user/wireguard/crypto.h"
#include "user/tailnet/disco/disco.h"

static struct disco *d;
static uint8_t last[DISCO_MAX]; /* what we have sent last */
static size_t last_len;

static void on_send(void *ctx, const void *bytes, size_t len, const struct endpoint *to)
{
	if (!to->port || len > sizeof(last))
		abort();
	memcpy(last, bytes, len);
	last_len = len;
}

static void on_relay(void *ctx, uint16_t region, const uint8_t node[KEY_LEN], const void *bytes, size_t len)
{
}

static void on_path(void *ctx, const uint8_t node[KEY_LEN], const struct endpoint *to, uint16_t region)
{
	if (to && !to->port)
		abort();
}

static void on_pong(void *ctx, const uint8_t node[KEY_LEN], const struct disco_result *r)
{
}

static void on_random(void *ctx, void *buf, size_t len)
{
	memset(buf, 7, len); /* so that the fuzzer can find our transactions */
}

static size_t seal(const uint8_t *plain, size_t len, const uint8_t shared[32], const uint8_t public[32], uint8_t *out)
{
	memcpy(out, "TS\xf0\x9f\x92\xac", 6);
	memcpy(out + 6, public, 32);
	memset(out + 38, 0, 24);
	crypto_box_easy_afternm(out + 62, plain, len, out + 38, shared);
	return 62 + len + 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct disco_ops ops = {on_send, on_relay, on_path, on_pong, on_random};
	static uint8_t bytes[65536];
	uint8_t ours[32] = {8}, theirs[32] = {16}, our_public[32], public[32], shared[32], node[32] = {5};
	struct tailnet_node *n = node_new();
	uint64_t now = 1;

	crypto_public_key(ours, our_public);
	crypto_public_key(theirs, public);
	disco_shared(theirs, our_public, shared);
	d = disco_new(&ops, NULL);
	disco_set_identity(d, ours, our_public);
	n->id = 1;
	n->region = 3;
	memcpy(n->node_key, node, 32);
	memcpy(n->disco_key, public, 32);
	disco_peer_set(d, n, now);
	/* kind, length, that many bytes, again and again */
	for (size_t at = 0; at + 2 <= size;) {
		uint8_t kind = data[at];
		size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
		struct endpoint from = {.addr = {.b = {0x20, 1, [15] = kind}}, .port = (uint16_t)(kind + 1)};
		size_t sealed = seal(data + at + 2, len, shared, public, bytes);

		now += (uint64_t)kind << 24;
		if (kind & 1)
			disco_input(d, bytes, sealed, &from, now);
		else if (kind & 2)
			disco_input_relayed(d, bytes, sealed, kind, node, now);
		else
			disco_input(d, data + at, size - at, &from, now);
		if (kind & 4)
			disco_traffic(d, node, now);
		disco_tick(d, now);
		at += 2 + len;
	}
	disco_free(d);
	node_free(n);
	return 0;
}
