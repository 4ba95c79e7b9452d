/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handshake and what it is made of. Answers for HMAC, HKDF and Noise were
 * computed by a program of its own (Python's hashlib and hmac, X25519 and the AEAD
 * written out from their RFCs).
 */
#include "wg_test.h"

#include "user/wireguard/cookie.h"
#include "user/wireguard/noise.h"

static void test_rfc7748(void **state)
{
	static const struct {
		const char *scalar, *point, *product;
	} cases[] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	};
	uint8_t k[KEY_LEN] = {9}, u[KEY_LEN] = {9}, r[KEY_LEN], want[KEY_LEN];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t scalar[KEY_LEN], point[KEY_LEN];

		unhex(scalar, KEY_LEN, cases[i].scalar);
		unhex(point, KEY_LEN, cases[i].point);
		unhex(want, KEY_LEN, cases[i].product);
		assert_true(crypto_x25519(scalar, point, r));
		assert_memory_equal(r, want, KEY_LEN);
	}
	for (int i = 0; i < 1000; i++) { /* section 5.2, iterated */
		assert_true(crypto_x25519(k, u, r));
		memcpy(u, k, KEY_LEN);
		memcpy(k, r, KEY_LEN);
	}
	unhex(want, KEY_LEN, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
	assert_memory_equal(k, want, KEY_LEN);
}

/* Every u of small order (https://cr.yp.to/ecdh.html), with and without the top bit. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void test_W11_low_order_points(void **state)
{
	uint8_t secret[KEY_LEN] = {1, 2, 3}, point[KEY_LEN], shared[KEY_LEN];

	for (size_t i = 0; i < 2 * ARRAY_LEN(low_order); i++) {
		unhex(point, KEY_LEN, low_order[i / 2]);
		point[31] |= (uint8_t)(i % 2 << 7);
		memset(shared, 0xaa, KEY_LEN);
		assert_false(crypto_x25519(secret, point, shared));
		assert_true(key_is_zero(shared));
	}
}

static void test_rfc7693_blake2s(void **state)
{
	uint8_t got[HASH_LEN], want[HASH_LEN];

	crypto_blake2s(got, (struct span[]){{"a", 1}, {"", 0}, {"bc", 2}}, 3);
	unhex(want, HASH_LEN, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
	assert_memory_equal(got, want, HASH_LEN);
}

static void test_hmac_and_hkdf(void **state)
{
	static const struct {
		const char *key, *in, *out;
	} cases[] = {
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "",
		 "e2641d24dfa8dd89e8cb77f1cdc77d8c006e5bebdfc4d6a3a3a6f8d5b7586fb0"},
		{"6b", "what do ya want for nothing?",
		 "9cebebe35ce6c0ab314459840a0045b178f11b78bec78ed046025f06aea9c120"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		 "202122232425262728292a2b2c2d2e2f"
		 "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
		 "long key", "94437c34dcdc7b0e1aa2fbbcb1c9251d3e8f7a2b1a4d366a05fde321008bc3f9"},
	};
	static const char *const outputs[] = {
		"93e2a65883e34ac95485f5d0aa4b09163a4e944dab8cf9406d3a138e362851c6",
		"dd6fae42afdb2a41170f44dc5b885ec4cfd17c8dd324d38b390c548630dd0a83",
		"4125e0adfa9b7e736615e99dde6f3f0b64b949d8b480e82cab2e685dc286e45d",
	};
	uint8_t key[80], got[HASH_LEN], want[HASH_LEN], out[3][HASH_LEN];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t key_len = unhex(key, sizeof(key), cases[i].key);

		crypto_hmac(got, key, key_len, cases[i].in, strlen(cases[i].in));
		unhex(want, HASH_LEN, cases[i].out);
		assert_memory_equal(got, want, HASH_LEN);
	}
	for (size_t n = 1; n <= 3; n++) {
		crypto_kdf((uint8_t *[]){out[0], out[1], out[2]}, n, key, "input key material", 18);
		for (size_t i = 0; i < n; i++) {
			unhex(want, HASH_LEN, outputs[i]);
			assert_memory_equal(out[i], want, HASH_LEN);
		}
	}
}

/* ---- the handshake ---- */

struct side {
	struct noise_identity id;
	struct noise_peer peer; /* the other one */
	struct noise_state state;
	struct noise_keys keys;
	uint8_t ephemeral[KEY_LEN];
};

#define INDEX_I 0x11223344
#define INDEX_R 0x55667788

static const uint8_t timestamp[TIMESTAMP_LEN] = {0x40, 0, 0, 0, 0x65, 0x53, 0xf1, 0, 0x12};

static void make_sides(struct side *i, struct side *r)
{
	uint8_t secret[KEY_LEN];

	memset(i, 0, sizeof(*i));
	memset(r, 0, sizeof(*r));
	memset(secret, 0xe8, KEY_LEN);
	noise_identity_init(&i->id, secret);
	memset(secret, 0xa0, KEY_LEN);
	noise_identity_init(&r->id, secret);
	assert_true(noise_peer_init(&i->peer, r->id.public, &i->id));
	assert_true(noise_peer_init(&r->peer, i->id.public, &r->id));
	for (uint8_t n = 0; n < KEY_LEN; n++)
		i->peer.psk[n] = r->peer.psk[n] = n;
	memset(i->ephemeral, 0x38, KEY_LEN);
	memset(r->ephemeral, 0x5c, KEY_LEN);
}

static bool write_initiation(struct side *i, struct message_initiation *msg)
{
	return noise_initiation_write(&i->state, msg, &i->id, &i->peer, INDEX_I, i->ephemeral, timestamp);
}

static bool read_initiation(struct side *r, const struct message_initiation *msg)
{
	uint8_t public[KEY_LEN], when[TIMESTAMP_LEN];

	if (!noise_initiation_read_static(&r->state, msg, &r->id, public))
		return false;
	if (memcmp(public, r->peer.public, KEY_LEN))
		return false;
	return noise_initiation_read_timestamp(&r->state, msg, &r->peer, when) &&
	       !memcmp(when, timestamp, sizeof(when));
}

static bool write_response(struct side *r, struct message_response *msg)
{
	return noise_response_write(&r->state, msg, &r->keys, &r->peer, INDEX_R, r->ephemeral);
}

static bool read_response(struct side *i, const struct message_response *msg)
{
	return noise_response_read(&i->state, msg, &i->keys, &i->id, &i->peer);
}

static void assert_hex(const void *got, const char *hex)
{
	uint8_t want[256];
	size_t n = unhex(want, sizeof(want), hex);

	assert_memory_equal(got, want, n);
}

static void test_known_handshake(void **state)
{
	static const struct noise_state wiped;
	struct message_initiation m1;
	struct message_response m2;
	struct cookie_maker cookies;
	struct side i, r;

	make_sides(&i, &r);
	assert_true(write_initiation(&i, &m1));
	assert_hex(&m1, "010000004433221195f3c97784c7a161c9e9b1c334384f625f0b9f872424ecf49d20ca8fc674fe420bb4905d36"
			"46c39c5198578d150946e4655e8692c69e9d53ad6ffef3a5443f353b8e92248bd164bd9ca2afcc7102fa07c573"
			"83e9f2d44b76f9b6592863c80405a93c03deae76ff042c79c4f8");
	cookie_maker_init(&cookies, r.id.public);
	cookie_macs_write(&cookies, &m1, sizeof(m1), 1);
	assert_hex(m1.macs.mac1, "bc4432c4d5d72769ab5606d2a96b8336");
	assert_true(read_initiation(&r, &m1));
	assert_true(write_response(&r, &m2));
	assert_hex(&m2, "020000008877665544332211d3baf56cb00bfcbb41a459bd640f05a77ed6110809bf5f21be1a08e51dff7409c9"
			"08eb5c482c0bc24880f8d55d0d5671");
	assert_true(read_response(&i, &m2));
	assert_hex(i.keys.send, "a20c1133de51ea5a55bb9e2dcd26c7959b9243438aadb8e5dc90ccda850d9d73");
	assert_hex(i.keys.receive, "2a53e607da0fc242c3c6a5112cc181c59eb2aac6d2a18050fa7e1ed46992d757");
	assert_memory_equal(i.keys.send, r.keys.receive, KEY_LEN);
	assert_memory_equal(i.keys.receive, r.keys.send, KEY_LEN);
	assert_int_equal(i.keys.remote_index, INDEX_R);
	assert_int_equal(r.keys.remote_index, INDEX_I);
	assert_memory_equal(&i.state, &wiped, sizeof(wiped)); /* W18 */
	assert_memory_equal(&r.state, &wiped, sizeof(wiped));
}

/* One bit of the initiation is wrong: from the ephemeral key on every byte is covered. */
static void test_changed_initiation(void **state)
{
	static const struct noise_state wiped;
	struct message_initiation m, bad;
	struct side i, r;

	make_sides(&i, &r);
	assert_true(write_initiation(&i, &m));
	for (size_t at = offsetof(struct message_initiation, ephemeral); at < offsetof(struct message_initiation, macs);
	     at++) {
		if (at == offsetof(struct message_initiation, ephemeral) + 31)
			continue; /* its top bit is ignored by X25519, though not by the hash; below */
		bad = m;
		((uint8_t *)&bad)[at] ^= (uint8_t)(1 << at % 8);
		assert_false(read_initiation(&r, &bad));
		assert_memory_equal(&r.state, &wiped, sizeof(wiped));
	}
	bad = m;
	bad.ephemeral[31] ^= 0x80;
	assert_false(read_initiation(&r, &bad));
	assert_true(read_initiation(&r, &m));
}

/* A forged answer does not spoil the handshake for the true one. */
static void test_changed_response(void **state)
{
	struct message_initiation m1;
	struct message_response m, bad;
	struct noise_state before;
	struct side i, r;

	make_sides(&i, &r);
	assert_true(write_initiation(&i, &m1));
	assert_true(read_initiation(&r, &m1));
	assert_true(write_response(&r, &m));
	before = i.state;
	for (size_t at = offsetof(struct message_response, ephemeral); at < offsetof(struct message_response, macs);
	     at++) {
		bad = m;
		((uint8_t *)&bad)[at] ^= (uint8_t)(1 << at % 8);
		assert_false(read_response(&i, &bad));
		assert_memory_equal(&i.state, &before, sizeof(before));
	}
	assert_true(read_response(&i, &m));
}

static void test_W16_psk_must_match(void **state)
{
	struct message_initiation m1;
	struct message_response m2;
	struct side i, r;

	make_sides(&i, &r);
	r.peer.psk[0] ^= 1;
	assert_true(write_initiation(&i, &m1));
	assert_true(read_initiation(&r, &m1));
	assert_true(write_response(&r, &m2));
	assert_false(read_response(&i, &m2));
}

static void test_W11_low_order_in_handshake(void **state)
{
	for (size_t n = 0; n < ARRAY_LEN(low_order); n++) {
		struct message_initiation m1, bad;
		struct message_response m2;
		struct side i, r;

		make_sides(&i, &r);
		assert_true(write_initiation(&i, &m1));
		bad = m1;
		unhex(bad.ephemeral, KEY_LEN, low_order[n]);
		assert_false(read_initiation(&r, &bad));

		assert_true(read_initiation(&r, &m1));
		assert_true(write_response(&r, &m2));
		unhex(m2.ephemeral, KEY_LEN, low_order[n]);
		assert_false(read_response(&i, &m2));

		/* as somebody's static key */
		unhex(i.peer.public, KEY_LEN, low_order[n]);
		assert_false(noise_peer_init(&i.peer, i.peer.public, &i.id));
		assert_false(write_initiation(&i, &m1));
		for (size_t at = 0; at < sizeof(m1); at++)
			assert_int_equal(((uint8_t *)&m1)[at], 0);
	}
}

/* The responder is asked by somebody who knows its key but is nobody's peer, or for another key. */
static void test_W10_strangers(void **state)
{
	struct message_initiation m;
	struct side i, r, other;
	uint8_t secret[KEY_LEN];

	make_sides(&i, &r);
	make_sides(&i, &other);
	memset(secret, 0x77, KEY_LEN);
	noise_identity_init(&other.id, secret);
	assert_true(write_initiation(&i, &m));
	assert_false(read_initiation(&other, &m)); /* not for this key */

	/* claims i's static key without having its secret */
	assert_true(noise_peer_init(&other.peer, r.id.public, &other.id));
	memcpy(other.id.public, i.id.public, KEY_LEN);
	memcpy(other.ephemeral, i.ephemeral, KEY_LEN);
	assert_true(write_initiation(&other, &m));
	assert_false(read_initiation(&r, &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc7748),
		cmocka_unit_test(test_W11_low_order_points),
		cmocka_unit_test(test_rfc7693_blake2s),
		cmocka_unit_test(test_hmac_and_hkdf),
		cmocka_unit_test(test_known_handshake),
		cmocka_unit_test(test_changed_initiation),
		cmocka_unit_test(test_changed_response),
		cmocka_unit_test(test_W16_psk_must_match),
		cmocka_unit_test(test_W11_low_order_in_handshake),
		cmocka_unit_test(test_W10_strangers),
	};

	return cmocka_run_group_tests_name("noise", tests, test_init, NULL);
}
