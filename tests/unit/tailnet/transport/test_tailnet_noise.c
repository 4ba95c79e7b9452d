/* SPDX-License-Identifier: BSD-2-Clause */
/* T2, T3: the Noise stream to the coordination server, against a responder of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/tailnet/tailnet_server.h"

struct pair {
	struct noise_control client;
	struct noise_server server;
	uint8_t init[NOISE_CONTROL_INIT_LEN], response[NOISE_RESPONSE_LEN];
	uint8_t machine[32];
	uint8_t got[65536]; /* what came out */
	size_t n;
	bool refuse;
};

static bool collect(void *ctx, const uint8_t *bytes, size_t len)
{
	struct pair *p = ctx;

	if (p->refuse || p->n + len > sizeof(p->got))
		return false;
	memcpy(p->got + p->n, bytes, len);
	p->n += len;
	return true;
}

static bool receive(struct pair *p, const void *bytes, size_t len)
{
	const struct sink sink = {collect, p};

	return noise_control_receive(&p->client, bytes, len, &sink);
}

static void start(struct pair *p)
{
	uint8_t ephemeral[32];

	*p = (struct pair){0};
	crypto_random(p->machine, 32);
	crypto_random(p->server.secret, 32);
	crypto_random(ephemeral, 32);
	crypto_public_key(p->server.secret, p->server.public);
	assert_true(noise_control_start(&p->client, p->machine, p->server.public, ephemeral, p->init));
	assert_true(noise_server_respond(&p->server, p->init, p->response));
}

static void open_pair(struct pair *p)
{
	start(p);
	assert_true(receive(p, p->response, sizeof(p->response)));
	assert_int_equal(p->client.state, NOISE_CONTROL_OPEN);
}

static void handshake(void **state)
{
	uint8_t public[32];
	struct pair p;

	open_pair(&p);
	crypto_public_key(p.machine, public);
	assert_memory_equal(p.server.client, public, 32);
	assert_int_equal(p.server.version, CAPABILITY_VERSION);
	assert_memory_equal(p.client.send_key, p.server.c2s, 32);
	assert_memory_equal(p.client.receive_key, p.server.s2c, 32);
	assert_true(sodium_is_zero(p.client.machine, 32)); /* no longer needed, no longer there */
}

/* Every byte of the answer counts. */
static void forged_response(void **state)
{
	for (size_t i = 0; i < NOISE_RESPONSE_LEN; i++) {
		struct pair p;
		bool ok;

		start(&p);
		p.response[i] ^= 0x10;
		ok = receive(&p, p.response, sizeof(p.response));
		assert_int_not_equal(p.client.state, NOISE_CONTROL_OPEN);
		if (i < 1 || i > 2) { /* a wrong length may be waited for */
			assert_false(ok);
			assert_true(strlen(p.client.error) > 8);
			assert_true(sodium_is_zero(p.client.machine, 32));
		}
	}
}

static void version_changed_on_the_way(void **state)
{
	struct pair p;

	start(&p);
	p.init[1]++;
	assert_false(noise_server_respond(&p.server, p.init, p.response));
}

static void low_order_server_key(void **state)
{
	uint8_t init[NOISE_CONTROL_INIT_LEN], machine[32] = {8}, zero[32] = {0};
	struct noise_control n;

	assert_false(noise_control_start(&n, machine, zero, machine, init));
	assert_int_equal(n.state, NOISE_CONTROL_DEAD);
}

/* One byte at a time, and many records at once, come to the same. */
static void records_in(void **state)
{
	static const size_t sizes[] = {1, 0, 5, NOISE_CONTROL_PLAIN_MAX, 100};

	for (int split = 0; split < 2; split++) {
		uint8_t wire[3 * NOISE_CONTROL_FRAME_MAX], plain[2 * NOISE_CONTROL_FRAME_MAX];
		size_t n = 0, total = 0;
		struct pair p;

		open_pair(&p);
		randombytes_buf(plain, sizeof(plain));
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			n += noise_server_seal(&p.server, plain + total, sizes[i], wire + n);
			total += sizes[i];
		}
		for (size_t i = 0; i < n; i += split ? 1 : n)
			assert_true(receive(&p, wire + i, split ? 1 : n));
		assert_int_equal(p.n, total);
		assert_memory_equal(p.got, plain, total);
	}
}

static bool to_server(void *ctx, const uint8_t *bytes, size_t len)
{
	uint8_t plain[NOISE_CONTROL_FRAME_MAX];
	struct pair *p = ctx;
	int n = noise_server_open(&p->server, bytes, len, plain);

	assert_true(len <= NOISE_CONTROL_FRAME_MAX);
	assert_true(n >= 0);
	return collect(p, plain, (size_t)n);
}

static void records_out(void **state)
{
	static uint8_t plain[20000];
	struct pair p;
	const struct sink wire = {to_server, &p};

	open_pair(&p);
	randombytes_buf(plain, sizeof(plain));
	assert_true(noise_control_send(&p.client, plain, sizeof(plain), &wire));
	assert_int_equal(p.server.received, (sizeof(plain) + NOISE_CONTROL_PLAIN_MAX - 1) / NOISE_CONTROL_PLAIN_MAX);
	assert_int_equal(p.n, sizeof(plain));
	assert_memory_equal(p.got, plain, sizeof(plain));
	p.refuse = true;
	assert_false(noise_control_send(&p.client, plain, 10, &wire));
}

static void send_before_the_handshake(void **state)
{
	struct pair p;
	const struct sink wire = {to_server, &p};

	start(&p);
	assert_false(noise_control_send(&p.client, (const uint8_t *)"x", 1, &wire));
}

/* After each of these nothing more comes out, and no key is left. */
static void hostile_records(void **state)
{
	static const char *const names[] = {"flipped", "replayed", "type", "too long", "short", "a second response"};
	uint8_t wire[NOISE_CONTROL_FRAME_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct pair p;
		size_t n;

		open_pair(&p);
		n = noise_server_seal(&p.server, "hello", 5, wire);
		if (i == 0)
			wire[5] ^= 1;
		if (i == 1)
			assert_true(receive(&p, wire, n));
		if (i == 2)
			wire[0] = 9;
		if (i == 3)
			memcpy(wire, "\x04\xff\xff", 3);
		if (i == 4)
			memcpy(wire, "\x04\x00\x00", n = 3);
		if (i == 5)
			memcpy(wire, p.response, n = sizeof(p.response));
		p.n = 0;
		assert_false(receive(&p, wire, n));
		assert_int_equal(p.n, 0);
		assert_int_equal(p.client.state, NOISE_CONTROL_DEAD);
		assert_true(sodium_is_zero(p.client.receive_key, 32));
		n = noise_server_seal(&p.server, "again", 5, wire);
		assert_false(receive(&p, wire, n));
	}
}

static void servers_words(void **state)
{
	struct pair p;

	start(&p);
	assert_false(receive(&p,
			     "\x03\x00\x09"
			     "go\x1b[31m!!",
			     12));
	assert_string_equal(p.client.error, "the server says: go\\x1b[31m!!");
}

/* T3: cut anywhere, with and without the payload, the rest arrives untouched. */
static void early_payload(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
		size_t out_len;
	} cases[] = {
		{"\xff\xff\xffTS\x00\x00\x00\x02{}http2", 16, "http2", 5},
		{"\xff\xff\xffTS\x00\x00\x00\x00http2", 14, "http2", 5},
		{"\x00\x00\x12\x04\x00\x00\x00\x00\x00rest", 13, "\x00\x00\x12\x04\x00\x00\x00\x00\x00rest", 13},
		{"\xff\xff\xffTX\x00\x00\x00\x02rest", 13, "\xff\xff\xffTX\x00\x00\x00\x02rest", 13},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t cut = 0; cut <= cases[i].len; cut++) {
			struct early e = {0};
			struct pair p = {0};
			const struct sink rest = {collect, &p};

			assert_true(early_receive(&e, (const uint8_t *)cases[i].in, cut, &rest));
			assert_true(early_receive(&e, (const uint8_t *)cases[i].in + cut, cases[i].len - cut, &rest));
			assert_int_equal(p.n, cases[i].out_len);
			assert_memory_equal(p.got, cases[i].out, cases[i].out_len);
		}
	}
}

static void early_payload_too_long(void **state)
{
	struct early e = {0};
	struct pair p = {0};
	const struct sink rest = {collect, &p};

	assert_false(early_receive(&e, (const uint8_t *)"\xff\xff\xffTS\x00\x01\x00\x01xx", 11, &rest));
	assert_int_equal(p.n, 0);
}

static int setup(void **state)
{
	const char *what;

	return crypto_init(&what) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake),
		cmocka_unit_test(forged_response),
		cmocka_unit_test(version_changed_on_the_way),
		cmocka_unit_test(low_order_server_key),
		cmocka_unit_test(records_in),
		cmocka_unit_test(records_out),
		cmocka_unit_test(send_before_the_handshake),
		cmocka_unit_test(hostile_records),
		cmocka_unit_test(servers_words),
		cmocka_unit_test(early_payload),
		cmocka_unit_test(early_payload_too_long),
	};

	return cmocka_run_group_tests_name("tailnet_noise", tests, setup, NULL);
}
