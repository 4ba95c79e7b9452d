/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration protocol: requests as tables of text, and what `wg` depends on. Key text. */
#include <errno.h>
#include <stdio.h>

#include "wg_sim.h"

#include "user/base/key.h"
#include "user/wireguard/uapi.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define PRIV  "e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a"
#define ZERO  "0000000000000000000000000000000000000000000000000000000000000000"

struct desk {
	struct sim *s;
	struct engine *e;
	struct uapi_request r;
	struct uapi_device device;
	int port_calls, mark_calls;
	char text[65536]; /* the last answer */
};

static int set_port(void *ctx, uint16_t port)
{
	struct desk *d = ctx;

	d->port_calls++;
	if (port == 1)
		return EADDRINUSE;
	d->device.listen_port = port;
	return 0;
}

static int set_mark(void *ctx, uint32_t mark)
{
	struct desk *d = ctx;

	d->mark_calls++;
	d->device.fwmark = mark;
	return 0;
}

/* An engine without peers or identity. */
static struct desk *desk_new(void)
{
	struct desk *d = calloc(1, sizeof(*d));

	d->s = sim_new();
	d->e = d->s->nodes[0].engine;
	engine_remove_all(d->e);
	engine_set_identity(d->e, (uint8_t[KEY_LEN]){0});
	sim_work(&d->s->nodes[0]);
	d->device = (struct uapi_device){.ctx = d,
					 .listen_port = 51820,
					 .set_listen_port = set_port,
					 .set_fwmark = set_mark,
					 .show_secrets = true};
	return d;
}

static void desk_free(struct desk *d)
{
	sim_work(&d->s->nodes[0]);
	uapi_request_free(&d->r);
	sim_free(d->s);
	free(d);
}

static const char *ask_bytes(struct desk *d, const char *request, size_t request_len)
{
	struct engine_time now = sim_time(d->s);
	size_t len;
	char *answer;

	assert_int_equal(uapi_feed(&d->r, request, request_len), UAPI_READY);
	answer = uapi_answer(&d->r, d->e, &d->device, &now, &len);
	assert_non_null(answer);
	assert_true(len < sizeof(d->text));
	memcpy(d->text, answer, len + 1);
	uapi_answer_free(answer, len);
	sim_work(&d->s->nodes[0]);
	return d->text;
}

static const char *ask(struct desk *d, const char *request)
{
	return ask_bytes(d, request, strlen(request));
}

static int errno_of(const char *answer)
{
	const char *at = strstr(answer, "errno=");
	int n = 1;

	assert_non_null(at);
	assert_int_equal(sscanf(at, "errno=%d", &n), 1);
	assert_string_equal(at + strlen(at) - 2, "\n\n");
	return -n;
}

static void test_set_then_get(void **state)
{
	struct desk *d = desk_new();

	assert_string_equal(ask(d, "get=1\n\n"), "listen_port=51820\nerrno=0\n\n");
	assert_string_equal(ask(d, "set=1\nprivate_key=" PRIV "\nlisten_port=12912\nfwmark=7\nreplace_peers=true\n"
				   "public_key=" KEY_A "\npreshared_key=" KEY_B "\nendpoint=[2001:db8::1]:51820\n"
				   "replace_allowed_ips=true\nallowed_ip=192.168.4.4/32\nallowed_ip=fd00::/64\n"
				   "public_key=" KEY_B "\nendpoint=192.0.2.1:1\npersistent_keepalive_interval=111\n"
				   "allowed_ip=0.0.0.0/0\nallowed_ip=::/0\n\n"),
			    "errno=0\n\n");
	assert_string_equal(ask(d, "get=1\n\n"),
			    "private_key=" PRIV "\nlisten_port=12912\nfwmark=7\n"
			    "public_key=" KEY_A "\npreshared_key=" KEY_B
			    "\nprotocol_version=1\nendpoint=[2001:db8::1]:51820\n"
			    "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
			    "persistent_keepalive_interval=0\nallowed_ip=fd00::/64\nallowed_ip=192.168.4.4/32\n"
			    "public_key=" KEY_B "\npreshared_key=" ZERO "\nprotocol_version=1\nendpoint=192.0.2.1:1\n"
			    "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
			    "persistent_keepalive_interval=111\nallowed_ip=::/0\nallowed_ip=0.0.0.0/0\n"
			    "errno=0\n\n");
	assert_int_equal(d->port_calls, 1);
	assert_int_equal(d->mark_calls, 1);
	desk_free(d);
}

static void test_peers_are_changed_live(void **state)
{
	struct desk *d = desk_new();

	ask(d, "set=1\nprivate_key=" PRIV "\npublic_key=" KEY_A "\nallowed_ip=10.0.0.0/8\npublic_key=" KEY_B
	       "\nallowed_ip=10.1.0.0/16\n\n");
	assert_int_equal(engine_peer_count(d->e), 2);
	assert_int_equal(errno_of(ask(d, "set=1\npublic_key=" KEY_A "\nallowed_ip=10.1.0.0/16\n\n")), 0);
	assert_null(strstr(strstr(ask(d, "get=1\n\n"), KEY_B), "allowed_ip")); /* last writer wins */
	ask(d, "set=1\npublic_key=" KEY_A "\nallowed_ip=-10.0.0.0/8\n\n");
	assert_null(strstr(ask(d, "get=1\n\n"), "10.0.0.0/8"));
	ask(d, "set=1\npublic_key=" KEY_A "\nreplace_allowed_ips=true\n\n");
	assert_null(strstr(ask(d, "get=1\n\n"), "allowed_ip"));
	assert_int_equal(errno_of(ask(d, "set=1\npublic_key=" KEY_A "\nremove=true\n\n")), 0);
	assert_int_equal(engine_peer_count(d->e), 1);
	/* neither of these makes one */
	assert_int_equal(errno_of(ask(d, "set=1\npublic_key=" KEY_A "\nremove=true\n\n")), 0);
	assert_int_equal(errno_of(ask(d, "set=1\npublic_key=" KEY_A "\nupdate_only=true\nallowed_ip=1.1.1.1/32\n\n")),
			 0);
	assert_int_equal(engine_peer_count(d->e), 1);
	assert_int_equal(errno_of(ask(d, "set=1\npublic_key=" KEY_B "\nupdate_only=true\nallowed_ip=1.1.1.1/32\n\n")),
			 0);
	assert_non_null(strstr(ask(d, "get=1\n\n"), "allowed_ip=1.1.1.1/32"));
	ask(d, "set=1\nreplace_peers=true\npublic_key=" KEY_A "\n\n");
	assert_int_equal(engine_peer_count(d->e), 1);
	assert_non_null(strstr(ask(d, "get=1\n\n"), KEY_A));
	ask(d, "set=1\nprivate_key=" ZERO "\n\n");
	assert_null(strstr(ask(d, "get=1\n\n"), "private_key"));
	desk_free(d);
}

/* Our own key as a peer is skipped, as other implementations do. */
static void test_own_key(void **state)
{
	struct desk *d = desk_new();
	char request[300], hex[KEY_LEN_HEX + 1];
	uint8_t public[KEY_LEN];

	ask(d, "set=1\nprivate_key=" PRIV "\n\n");
	assert_true(engine_public_key(d->e, public));
	snprintf(request, sizeof(request), "set=1\npublic_key=%s\nallowed_ip=10.0.0.0/8\n\n", key_to_hex(public, hex));
	assert_int_equal(errno_of(ask(d, request)), 0);
	assert_int_equal(engine_peer_count(d->e), 0);
	desk_free(d);
}

#define PEER "public_key=" KEY_A "\n"

static void test_refused_and_nothing_changed(void **state)
{
	static const struct {
		const char *lines;
		int error;
	} cases[] = {
		{"private_key=abc\n", EINVAL},
		{"private_key=" PRIV "00\n", EINVAL},
		{"private_key=" KEY_A " \n", EINVAL},
		{"listen_port=65536\n", EINVAL},
		{"listen_port=-1\n", EINVAL},
		{"listen_port=\n", EINVAL},
		{"listen_port=1x\n", EINVAL},
		{"fwmark=4294967296\n", EINVAL},
		{"fwmark=99999999999999999999\n", EINVAL},
		{"replace_peers=false\n", EINVAL},
		{"what=ever\n", EINVAL},
		{"no equals sign\n", EPROTO},
		{"=\n", EINVAL},
		{"get=1\n", EINVAL},
		{"public_key=zz\n", EINVAL},
		{"endpoint=192.0.2.1:1\n", EINVAL}, /* whose? */
		{PEER "listen_port=1\n", EINVAL},   /* the device's, behind a peer's */
		{PEER "endpoint=192.0.2.1\n", EINVAL},
		{PEER "endpoint=192.0.2.1:\n", EINVAL},
		{PEER "endpoint=192.0.2.1:0\n", EINVAL},
		{PEER "endpoint=192.0.2.1:65536\n", EINVAL},
		{PEER "endpoint=2001:db8::1:80\n", EINVAL},
		{PEER "endpoint=[192.0.2.1]:80\n", EINVAL},
		{PEER "endpoint=[]:80\n", EINVAL},
		{PEER "endpoint=example.org:80\n", EINVAL},
		{PEER "persistent_keepalive_interval=65536\n", EINVAL},
		{PEER "persistent_keepalive_interval=off\n", EINVAL},
		{PEER "allowed_ip=10.0.0.0/33\n", EINVAL},
		{PEER "allowed_ip=::/129\n", EINVAL},
		{PEER "allowed_ip=\n", EINVAL},
		{PEER "allowed_ip=-\n", EINVAL},
		{PEER "allowed_ip=--10.0.0.0/8\n", EINVAL},
		{PEER "remove=1\n", EINVAL},
		{PEER "update_only=yes\n", EINVAL},
		{PEER "replace_allowed_ips=\n", EINVAL},
		{PEER "protocol_version=2\n", EPROTONOSUPPORT},
		{PEER "preshared_key=\n", EINVAL},
	};
	struct desk *d = desk_new();
	char request[1000];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(request, sizeof(request), "set=1\nprivate_key=" PRIV "\n%s\n", cases[i].lines);
		if (errno_of(ask(d, request)) != cases[i].error)
			fail_msg("%s: %s", cases[i].lines, d->text);
		assert_string_equal(ask(d, "get=1\n\n"), "listen_port=51820\nerrno=0\n\n");
	}
	desk_free(d);
}

static void test_not_requests(void **state)
{
	static const char *const cases[] = {"\n\n", "set=2\n\n", "get=2\n\n", "get=1\nx=y\n\n", "set=1 \n\n", "x\n\n"};
	struct desk *d = desk_new();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(errno_of(ask(d, cases[i])), EPROTO);
	assert_int_equal(errno_of(ask_bytes(d, "get=1\0\n\n", 8)), EPROTO);
	assert_int_equal(errno_of(ask_bytes(d, "set=1\nlisten_port=7\0\n\n", 22)), EPROTO);
	assert_int_equal(errno_of(ask(d, "set=1\n\n")), 0); /* nothing to do is fine */
	assert_int_equal(d->device.listen_port, 51820);
	desk_free(d);
}

static void test_device_settings(void **state)
{
	struct desk *d = desk_new();

	assert_int_equal(errno_of(ask(d, "set=1\nlisten_port=1\n\n")), EADDRINUSE);
	assert_int_equal(errno_of(ask(d, "set=1\nlisten_port=51820\n\n")), 0); /* as it is: not asked */
	assert_int_equal(d->port_calls, 1);
	d->device.set_listen_port = NULL;
	d->device.set_fwmark = NULL;
	assert_int_equal(errno_of(ask(d, "set=1\nlisten_port=2\n\n")), EOPNOTSUPP);
	assert_int_equal(errno_of(ask(d, "set=1\nfwmark=2\n\n")), EOPNOTSUPP);
	assert_int_equal(errno_of(ask(d, "set=1\nlisten_port=51820\nfwmark=0\n\n")), 0);
	desk_free(d);
}

static void test_W18_secrets_are_not_shown(void **state)
{
	struct desk *d = desk_new();

	d->device.show_secrets = false;
	ask(d, "set=1\nprivate_key=" PRIV "\npublic_key=" KEY_A "\npreshared_key=" KEY_B "\n\n");
	ask(d, "get=1\n\n");
	assert_non_null(strstr(d->text, "public_key=" KEY_A));
	assert_null(strstr(d->text, PRIV));
	assert_null(strstr(d->text, KEY_B));
	desk_free(d);
}

struct refusal {
	int calls;
	char name[40];
};

static void note_refusal(void *ctx, const char *name)
{
	struct refusal *r = ctx;

	r->calls++;
	snprintf(r->name, sizeof(r->name), "%s", name);
}

/* A gateway's clients point to its peers: `wg set` and `wg setconf` neither make nor remove nor alter one. */
static void test_fault_20_peers_of_another_owner(void **state)
{
	static const struct {
		const char *lines, *refused; /* NULL: done */
	} cases[] = {
		{"replace_peers=true\n", "replace_peers"},
		{"private_key=" ZERO "\n", "private_key"},
		{"public_key=" KEY_A "\nremove=true\n", "remove"},
		{"public_key=" KEY_A "\nupdate_only=true\nremove=true\n", "remove"},
		{"public_key=" KEY_A "\nallowed_ip=10.0.0.0/8\n", "allowed_ip"},
		{"public_key=" KEY_A "\nallowed_ip=-192.0.2.1/32\n", "allowed_ip"},
		{"public_key=" KEY_A "\nreplace_allowed_ips=true\n", "replace_allowed_ips"},
		{"public_key=" KEY_A "\npreshared_key=" KEY_B "\n", "preshared_key"},
		{"public_key=" KEY_A "\nendpoint=192.0.2.9:9\n", "endpoint"},
		{"public_key=" KEY_A "\npersistent_keepalive_interval=7\nremove=true\n", "remove"},
		{"public_key=" KEY_B "\n", "a new peer"},
		{"public_key=" KEY_B "\npersistent_keepalive_interval=7\n", "a new peer"},
		{"public_key=" KEY_B "\npublic_key=" KEY_A "\n", "a new peer"},
		{"public_key=" KEY_B "\nupdate_only=true\npersistent_keepalive_interval=7\n", NULL},
		{"public_key=" KEY_A "\nprotocol_version=1\npersistent_keepalive_interval=25\n", NULL},
	};
	struct desk *d = desk_new();
	char before[1000], request[1000];

	ask(d, "set=1\nprivate_key=" PRIV "\npublic_key=" KEY_A "\nallowed_ip=192.0.2.1/32\n"
	       "persistent_keepalive_interval=25\n\n");
	snprintf(before, sizeof(before), "%s", ask(d, "get=1\n\n"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct refusal refusal = {0};

		d->device.ctx = &refusal;
		d->device.refused = note_refusal;
		snprintf(request, sizeof(request), "set=1\n%s\n", cases[i].lines);
		if (errno_of(ask(d, request)) != (cases[i].refused ? EOPNOTSUPP : 0) ||
		    refusal.calls != !!cases[i].refused || (cases[i].refused && strcmp(refusal.name, cases[i].refused)))
			fail_msg("%s: %s, refused %d times: %s", cases[i].lines, d->text, refusal.calls, refusal.name);
		assert_string_equal(ask(d, "get=1\n\n"), before);
	}
	desk_free(d);
}

static void test_input_in_pieces(void **state)
{
	static const char request[] = "set=1\nlisten_port=4\n\nget=1\n\nget";
	struct engine_time now;
	struct desk *d = desk_new();
	size_t len;
	char *answer;

	for (size_t i = 0; i < 20; i++)
		assert_int_equal(uapi_feed(&d->r, request + i, 1), UAPI_MORE);
	assert_int_equal(uapi_feed(&d->r, request + 20, strlen(request) - 20), UAPI_READY);
	now = sim_time(d->s);
	answer = uapi_answer(&d->r, d->e, &d->device, &now, &len);
	assert_string_equal(answer, "errno=0\n\n");
	uapi_answer_free(answer, len);
	assert_int_equal(uapi_feed(&d->r, NULL, 0), UAPI_READY); /* two in one piece */
	answer = uapi_answer(&d->r, d->e, &d->device, &now, &len);
	assert_string_equal(answer, "listen_port=4\nerrno=0\n\n");
	uapi_answer_free(answer, len);
	assert_int_equal(uapi_feed(&d->r, "=1\n", 3), UAPI_MORE);
	assert_non_null(strstr(ask(d, "\n"), "listen_port=4"));
	assert_null(uapi_answer(&d->r, d->e, &d->device, &now, &len)); /* nothing there */
	desk_free(d);
}

static void test_input_is_bounded(void **state)
{
	static char junk[65536];
	struct uapi_request r = {0};
	size_t total = 0;

	memset(junk, 'x', sizeof(junk));
	while (uapi_feed(&r, junk, sizeof(junk)) == UAPI_MORE)
		total += sizeof(junk);
	assert_true(total <= UAPI_MAX_REQUEST && total >= UAPI_MAX_REQUEST - sizeof(junk));
	uapi_request_free(&r);
}

/* What get prints, set takes: the same state again. */
static void test_round_trip(void **state)
{
	struct desk *d = desk_new(), *other = desk_new();
	char request[65536 + 32] = "set=1\n", first[65536], *line, *save = NULL;

	ask(d, "set=1\nprivate_key=" PRIV "\npublic_key=" KEY_A "\npreshared_key=" KEY_B "\nendpoint=1.2.3.4:5\n"
	       "allowed_ip=10.0.0.0/8\npersistent_keepalive_interval=3\npublic_key=" KEY_B "\n\n");
	strcpy(first, ask(d, "get=1\n\n"));
	for (line = strtok_r(d->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "last_", 5) || !strncmp(line, "tx_", 3) || !strncmp(line, "rx_", 3) ||
		    !strncmp(line, "errno", 5))
			continue;
		strcat(strcat(request, line), "\n");
	}
	assert_int_equal(errno_of(ask(other, strcat(request, "\n"))), 0);
	assert_string_equal(ask(other, "get=1\n\n"), first);
	desk_free(d);
	desk_free(other);
}

static void test_key_text(void **state)
{
	static const char base64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	static const char *const bad[] = {
		"",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH===",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH-8=",
		" AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
	};
	char text[KEY_LEN_BASE64 + 1], hex[KEY_LEN_HEX + 1];
	uint8_t key[KEY_LEN], again[KEY_LEN] = {0};

	assert_true(key_from_base64(base64, strlen(base64), key));
	assert_string_equal(key_to_hex(key, hex), KEY_A);
	assert_string_equal(key_to_base64(key, text), base64);
	assert_true(key_from_hex(KEY_A, KEY_LEN_HEX, again));
	assert_memory_equal(key, again, KEY_LEN);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(key_from_base64(bad[i], strlen(bad[i]), again));
	for (size_t len = 0; len < KEY_LEN_HEX; len++)
		assert_false(key_from_hex(KEY_A, len, again));
	assert_false(key_from_hex("0x" KEY_A, KEY_LEN_HEX, again));
	assert_memory_equal(key, again, KEY_LEN); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_then_get),
		cmocka_unit_test(test_peers_are_changed_live),
		cmocka_unit_test(test_own_key),
		cmocka_unit_test(test_refused_and_nothing_changed),
		cmocka_unit_test(test_not_requests),
		cmocka_unit_test(test_device_settings),
		cmocka_unit_test(test_W18_secrets_are_not_shown),
		cmocka_unit_test(test_fault_20_peers_of_another_owner),
		cmocka_unit_test(test_input_in_pieces),
		cmocka_unit_test(test_input_is_bounded),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_key_text),
	};

	return cmocka_run_group_tests_name("uapi", tests, test_init, NULL);
}
