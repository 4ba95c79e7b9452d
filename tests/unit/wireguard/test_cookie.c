/* SPDX-License-Identifier: BSD-2-Clause */
/* Macs and cookies: W9, and the cookie's part of W12. */
#include <arpa/inet.h>

#include "wg_test.h"

#include "user/wireguard/cookie.h"
#include "user/base/clock.h"

#define T0 (1000 * NS_PER_SEC)

struct both {
	struct cookie_checker checker;
	struct cookie_maker maker;
	struct endpoint from;
	struct message_initiation msg;
};

static void setup(struct both *b)
{
	uint8_t public[KEY_LEN], secret[KEY_LEN];

	memset(b, 0, sizeof(*b));
	memset(public, 0x42, KEY_LEN);
	memset(secret, 0x17, KEY_LEN);
	cookie_checker_init(&b->checker, public);
	assert_true(cookie_checker_stale(&b->checker, T0));
	cookie_checker_renew(&b->checker, secret, T0);
	cookie_maker_init(&b->maker, public);
	b->from = (struct endpoint){.addr = addr_from_v4(htonl(0xc0000201)), .port = 51820};
	memset(&b->msg, 0x5a, sizeof(b->msg));
}

static void send_msg(struct both *b, uint64_t now)
{
	cookie_macs_write(&b->maker, &b->msg, sizeof(b->msg), now);
}

static bool accepted(struct both *b, const struct endpoint *from)
{
	return cookie_check_mac2(&b->checker, &b->msg, sizeof(b->msg), from);
}

static struct message_cookie ask_cookie(struct both *b)
{
	struct message_cookie reply;
	uint8_t nonce[XNONCE_LEN] = {9};

	cookie_reply_write(&b->checker, &reply, &b->msg, sizeof(b->msg), &b->from, nonce);
	return reply;
}

/* A message has gone, a cookie came for it, and a message with the cookie has gone. */
static void with_cookie(struct both *b)
{
	struct message_cookie reply;

	setup(b);
	send_msg(b, T0);
	reply = ask_cookie(b);
	assert_true(cookie_reply_read(&b->maker, &reply, T0));
	send_msg(b, T0);
}

static void test_W10_mac1(void **state)
{
	struct both b;

	setup(&b);
	send_msg(&b, T0);
	assert_true(cookie_check_mac1(&b.checker, &b.msg, sizeof(b.msg)));
	for (size_t at = 0; at < offsetof(struct message_initiation, macs.mac2); at++) {
		((uint8_t *)&b.msg)[at] ^= 1;
		assert_false(cookie_check_mac1(&b.checker, &b.msg, sizeof(b.msg)));
		((uint8_t *)&b.msg)[at] ^= 1;
	}
}

static void test_W9_cookie_round_trip(void **state)
{
	static const uint8_t zero[MAC_LEN];
	struct message_cookie reply;
	struct both b;

	setup(&b);
	send_msg(&b, T0);
	assert_memory_equal(b.msg.macs.mac2, zero, MAC_LEN);
	assert_false(accepted(&b, &b.from));
	reply = ask_cookie(&b);
	assert_int_equal(reply.receiver_index, b.msg.sender_index);
	assert_true(cookie_reply_read(&b.maker, &reply, T0));
	assert_false(cookie_reply_read(&b.maker, &reply, T0)); /* once */
	send_msg(&b, T0);
	assert_true(accepted(&b, &b.from));
}

static void test_W9_cookie_is_for_one_address_and_port(void **state)
{
	struct endpoint other;
	struct both b;

	with_cookie(&b);
	assert_true(accepted(&b, &b.from));
	other = b.from;
	other.port ^= 0x100;
	assert_false(accepted(&b, &other));
	other.port = b.from.port ^ 1;
	assert_false(accepted(&b, &other));
	for (size_t i = 0; i < sizeof(other.addr); i++) {
		other = b.from;
		other.addr.b[i] ^= 1;
		assert_false(accepted(&b, &other));
	}
	other = b.from; /* what we are called and which way it came is of no account */
	other.local.b[3] = 1;
	other.ifindex = 7;
	assert_true(accepted(&b, &other));
}

static void test_W9_secret_rotates(void **state)
{
	uint8_t secret[KEY_LEN] = {3};
	struct both b;

	with_cookie(&b);
	assert_false(cookie_checker_stale(&b.checker, T0 + 120 * NS_PER_SEC - 1));
	assert_true(cookie_checker_stale(&b.checker, T0 + 120 * NS_PER_SEC));
	cookie_checker_renew(&b.checker, secret, T0 + 120 * NS_PER_SEC);
	assert_false(accepted(&b, &b.from));
}

static void test_W9_maker_drops_old_cookie(void **state)
{
	static const uint8_t zero[MAC_LEN];
	const uint64_t life = COOKIE_SECRET_MAX_AGE - COOKIE_LATENCY;
	struct message_cookie reply;
	struct both b;

	setup(&b);
	send_msg(&b, T0);
	reply = ask_cookie(&b);
	assert_true(cookie_reply_read(&b.maker, &reply, T0));
	send_msg(&b, T0 + life - 1);
	assert_memory_not_equal(b.msg.macs.mac2, zero, MAC_LEN);
	send_msg(&b, T0 + life);
	assert_memory_equal(b.msg.macs.mac2, zero, MAC_LEN);
}

static void test_forged_replies(void **state)
{
	struct message_cookie reply, bad;
	struct cookie_maker before;
	struct both b;

	setup(&b);
	memset(&reply, 0, sizeof(reply));
	assert_false(cookie_reply_read(&b.maker, &reply, T0)); /* nothing was sent */
	send_msg(&b, T0);
	reply = ask_cookie(&b);
	before = b.maker;
	for (size_t at = offsetof(struct message_cookie, nonce); at < sizeof(reply); at++) {
		bad = reply;
		((uint8_t *)&bad)[at] ^= 1;
		assert_false(cookie_reply_read(&b.maker, &bad, T0));
	}
	assert_memory_equal(&before, &b.maker, sizeof(before));
	b.msg.sender_index ^= 1; /* the next message: an answer to the one before is too late */
	send_msg(&b, T0);
	assert_false(cookie_reply_read(&b.maker, &reply, T0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W10_mac1),
		cmocka_unit_test(test_W9_cookie_round_trip),
		cmocka_unit_test(test_W9_cookie_is_for_one_address_and_port),
		cmocka_unit_test(test_W9_secret_rotates),
		cmocka_unit_test(test_W9_maker_drops_old_cookie),
		cmocka_unit_test(test_forged_replies),
	};

	return cmocka_run_group_tests_name("cookie", tests, test_init, NULL);
}
