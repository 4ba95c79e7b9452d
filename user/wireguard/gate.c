/* SPDX-License-Identifier: BSD-2-Clause */
/* Decides which messages are worth a handshake (gate.h). */
#include <endian.h>
#include <string.h>

#include "gate.h"
#include "user/base/clock.h"

/* ---- keys ---------------------------------------------------------------------- */

void gate_keys_init(struct gate_keys *k, const uint8_t our_public[KEY_LEN], bool valid)
{
	memset(k, 0, sizeof(*k));
	cookie_checker_init(&k->of[0], our_public);
	k->of[1] = k->of[0];
	k->valid = valid;
}

static bool alive(const struct cookie_checker *c, uint64_t now)
{
	return !cookie_checker_stale(c, now);
}

bool gate_keys_stale(const struct gate_keys *k, uint64_t now)
{
	return now >= gate_keys_next(k);
}

void gate_keys_renew(struct gate_keys *k, const uint8_t secret[KEY_LEN], uint64_t now)
{
	k->young = !k->young;
	cookie_checker_renew(&k->of[k->young], secret, now);
}

const uint8_t *gate_keys_mac1(const struct gate_keys *k)
{
	return k->valid ? k->of[0].mac1_key : NULL;
}

const uint8_t *gate_keys_secret(const struct gate_keys *k, unsigned older)
{
	const struct cookie_checker *c = &k->of[older ? !k->young : k->young];

	return c->secret_birth ? c->secret : NULL;
}

uint64_t gate_keys_next(const struct gate_keys *k)
{
	uint64_t birth = k->of[k->young].secret_birth;

	return birth ? birth + GATE_SECRET_TURN : 0;
}

/* ---- budgets ------------------------------------------------------------------- */

/*
 * Takes one from a bucket that holds @burst and fills with @rate a second. What is refused
 * counts, too, up to @debt ns: as long as more is asked for than flows in, nothing comes
 * out. With a debt of 0 the bucket gives what it has.
 */
static bool gate_take(_Atomic uint64_t *full_at, uint64_t rate, uint64_t burst, uint64_t debt, uint64_t now)
{
	const uint64_t price = NS_PER_SEC / rate, depth = burst * price;
	uint64_t was = atomic_load_explicit(full_at, memory_order_relaxed), next;
	bool has;

	do {
		next = (was > now ? was : now) + price;
		has = next <= now + depth;
		if (!has && next > now + depth + debt)
			next = now + depth + debt;
		if (!has && (!debt || next <= was))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(full_at, &was, next, memory_order_relaxed,
							memory_order_relaxed));
	return has;
}

static bool take_stranger(_Atomic uint64_t *full_at, struct gate_load *load, uint64_t now)
{
	if (gate_take(full_at, GATE_STRANGERS_PER_SECOND, GATE_STRANGERS_BURST, NS_PER_SEC, now))
		return true;
	atomic_store_explicit(&load->seen, now, memory_order_relaxed);
	return false;
}

bool gate_is_loaded(const struct gate_load *load, uint64_t now)
{
	uint64_t seen = atomic_load_explicit(&load->seen, memory_order_relaxed);

	return seen && (now < seen || now - seen < GATE_LOAD_MEMORY);
}

bool gate_source_allow(struct ratelimit *sources, const struct endpoint *from, uint64_t now)
{
	struct addr source = from->addr;
	uint32_t peer;

	if (endpoint_is_relay(from) && endpoint_relay_peer(from, &peer))
		source = (struct addr){.w = {0, peer, 0, 0}}; /* ::PEER:0:0 is nobody's address */
	return ratelimit_allow(sources, &source, now);
}

/* ---- the judgement --------------------------------------------------------------- */

static size_t gate_length_of(const uint8_t *msg, size_t len)
{
	uint32_t type;

	if (len < sizeof(type))
		return 0;
	memcpy(&type, msg, sizeof(type));
	switch (le32toh(type)) {
	case MESSAGE_INITIATION:
		return sizeof(struct message_initiation);
	case MESSAGE_RESPONSE:
		return sizeof(struct message_response);
	default:
		return 0;
	}
}

static bool check_mac2(const struct gate_keys *k, const void *msg, size_t len, const struct endpoint *from,
		       uint64_t now)
{
	static const uint8_t none[MAC_LEN];

	if (!memcmp((const uint8_t *)msg + len - MAC_LEN, none, MAC_LEN))
		return false;
	for (int i = 0; i < 2; i++)
		if (alive(&k->of[i], now) && cookie_check_mac2(&k->of[i], msg, len, from))
			return true;
	return false;
}

static enum engine_result judge_initiation(const struct gate_keys *k, struct ratelimit *sources, struct gate_load *load,
					   const void *msg, size_t len, const struct endpoint *from, uint64_t now,
					   bool *proven)
{
	bool real = check_mac2(k, msg, len, from, now);

	*proven = real && gate_source_allow(sources, from, now);
	if (*proven || take_stranger(&load->strangers, load, now))
		return ENGINE_OK;
	if (!real && gate_take(&load->cookies, GATE_COOKIES_PER_SECOND, GATE_COOKIES_BURST, 0, now))
		return ENGINE_COOKIE_SENT;
	return ENGINE_RATE_LIMITED;
}

enum engine_result gate_judge(const struct gate_keys *k, struct ratelimit *sources, struct gate_load *load,
			      const void *msg, size_t len, const struct endpoint *from, uint64_t now, bool *proven)
{
	size_t expected = gate_length_of(msg, len);

	*proven = false;
	if (!expected || len != expected)
		return ENGINE_OK;
	if (!k->valid)
		return ENGINE_NO_IDENTITY;
	if (!cookie_check_mac1(&k->of[0], msg, len)) {
		take_stranger(&load->junk, load, now);
		return ENGINE_BAD_MAC1;
	}
	if (len == sizeof(struct message_response))
		return ENGINE_OK;
	return judge_initiation(k, sources, load, msg, len, from, now, proven);
}

void gate_cookie(const struct gate_keys *k, struct message_cookie *reply, const void *msg, size_t len,
		 const struct endpoint *from, const uint8_t nonce[XNONCE_LEN])
{
	cookie_reply_write(&k->of[k->young], reply, msg, len, from, nonce);
}
