/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mac1 = MAC(HASH("mac1----" || responder's key), message up to mac1)
 * cookie = MAC(secret of two minutes, source address and port)
 * mac2 = MAC(cookie, message up to mac2)
 *
 * A cookie travels sealed under HASH("cookie--" || our key), bound to the mac1 of
 * the message it answers: only who saw that message gets one or can fake one.
 */
#include <endian.h>
#include <string.h>

#include "cookie.h"
#include "crypto.h"

static void derive(uint8_t key[KEY_LEN], const char label[8], const uint8_t public[KEY_LEN])
{
	crypto_blake2s(key, (struct span[]){{label, 8}, {public, KEY_LEN}}, 2);
}

/* Macs stand at the end of both messages that have them. */
static size_t macs_at(size_t len)
{
	return len - sizeof(struct message_macs);
}

static void compute_mac1(uint8_t mac[MAC_LEN], const uint8_t key[KEY_LEN], const uint8_t *msg, size_t len)
{
	crypto_mac(mac, key, KEY_LEN, &(struct span){msg, macs_at(len)}, 1);
}

static void compute_mac2(uint8_t mac[MAC_LEN], const uint8_t cookie[MAC_LEN], const uint8_t *msg, size_t len)
{
	crypto_mac(mac, cookie, MAC_LEN, &(struct span){msg, macs_at(len) + MAC_LEN}, 1);
}

static void make_cookie(uint8_t cookie[MAC_LEN], const struct cookie_checker *c, const struct endpoint *from)
{
	uint8_t port[2] = {(uint8_t)(from->port >> 8), (uint8_t)from->port};

	crypto_mac(cookie, c->secret, KEY_LEN, (struct span[]){{&from->addr, sizeof(from->addr)}, {port, sizeof(port)}},
		   2);
}

void cookie_checker_init(struct cookie_checker *c, const uint8_t our_public[KEY_LEN])
{
	memset(c, 0, sizeof(*c));
	derive(c->mac1_key, "mac1----", our_public);
	derive(c->cookie_key, "cookie--", our_public);
}

bool cookie_checker_stale(const struct cookie_checker *c, uint64_t now)
{
	return !c->secret_birth || now - c->secret_birth >= COOKIE_SECRET_MAX_AGE;
}

void cookie_checker_renew(struct cookie_checker *c, const uint8_t secret[KEY_LEN], uint64_t now)
{
	memcpy(c->secret, secret, KEY_LEN);
	c->secret_birth = now;
}

bool cookie_check_mac1(const struct cookie_checker *c, const void *msg, size_t len)
{
	uint8_t mac[MAC_LEN];

	compute_mac1(mac, c->mac1_key, msg, len);
	return crypto_equal(mac, (const uint8_t *)msg + macs_at(len), MAC_LEN);
}

bool cookie_check_mac2(const struct cookie_checker *c, const void *msg, size_t len, const struct endpoint *from)
{
	uint8_t cookie[MAC_LEN], mac[MAC_LEN];
	bool ok;

	make_cookie(cookie, c, from);
	compute_mac2(mac, cookie, msg, len);
	ok = crypto_equal(mac, (const uint8_t *)msg + macs_at(len) + MAC_LEN, MAC_LEN);
	crypto_wipe(cookie, sizeof(cookie));
	return ok;
}

void cookie_reply_write(const struct cookie_checker *c, struct message_cookie *reply, const void *msg, size_t len,
			const struct endpoint *from, const uint8_t nonce[XNONCE_LEN])
{
	const struct message_initiation *m = msg; /* a response has its sender's index at the same place */
	uint8_t cookie[MAC_LEN];

	static_assert(offsetof(struct message_initiation, sender_index) ==
			      offsetof(struct message_response, sender_index),
		      "same place");
	make_cookie(cookie, c, from);
	reply->type = htole32(MESSAGE_COOKIE);
	reply->receiver_index = m->sender_index;
	memcpy(reply->nonce, nonce, XNONCE_LEN);
	crypto_xseal(reply->sealed_cookie, cookie, MAC_LEN, (const uint8_t *)msg + macs_at(len), MAC_LEN, nonce,
		     c->cookie_key);
	crypto_wipe(cookie, sizeof(cookie));
}

void cookie_maker_init(struct cookie_maker *m, const uint8_t their_public[KEY_LEN])
{
	memset(m, 0, sizeof(*m));
	derive(m->mac1_key, "mac1----", their_public);
	derive(m->cookie_key, "cookie--", their_public);
}

void cookie_macs_write(struct cookie_maker *m, void *msg, size_t len, uint64_t now)
{
	struct message_macs macs = {0};

	compute_mac1(macs.mac1, m->mac1_key, msg, len);
	memcpy((uint8_t *)msg + macs_at(len), &macs, sizeof(macs));
	if (m->cookie_birth && now - m->cookie_birth < COOKIE_SECRET_MAX_AGE - COOKIE_LATENCY)
		compute_mac2(macs.mac2, m->cookie, msg, len);
	memcpy((uint8_t *)msg + macs_at(len), &macs, sizeof(macs));
	memcpy(m->last_mac1, macs.mac1, MAC_LEN);
	m->sent_mac1 = true;
}

bool cookie_reply_read(struct cookie_maker *m, const struct message_cookie *reply, uint64_t now)
{
	uint8_t cookie[MAC_LEN];

	if (!m->sent_mac1)
		return false;
	if (!crypto_xopen(cookie, reply->sealed_cookie, sizeof(reply->sealed_cookie), m->last_mac1, MAC_LEN,
			  reply->nonce, m->cookie_key))
		return false;
	memcpy(m->cookie, cookie, MAC_LEN);
	m->cookie_birth = now;
	m->sent_mac1 = false;
	crypto_wipe(cookie, sizeof(cookie));
	return true;
}
