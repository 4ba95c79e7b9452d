/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * T1-T3, T7: a session with a coordination server (coord_server.h) comes about, or is tried again: servers that
 * misbehave, refuse, go away, or say when to come back.
 */
#include "coord_world.h"

/* ---- the tests ------------------------------------------------------------------------------- */

static void connects(void **state)
{
	static const size_t chunks[] = {BUFFER, 1, 7, 1000};

	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		struct world *w = begin();

		w->chunk = chunks[i];
		w->registration = wants_login;
		w->keyed = (struct answer){200, "{\"MachineAuthorized\":true}", 0, false};
		w->map = good_map;
		pump(w);
		assert_int_equal(w->opens, 0); /* without keys there is nobody to register */
		start(w);
		assert_int_equal(w->opens, 2); /* the key, then the session */
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
		assert_int_equal(w->roster.map.n_peers, 2);
		assert_non_null(netmap_peer(&w->roster.map, 4));
		assert_int_equal(w->relays, 1);
		assert_non_null(find_request(w, "/machine/register", "\"Auth\":{\"AuthKey\":\"key-123\"}"));
		assert_non_null(find_request(w, "/machine/register", "\"Hostname\":\"gw-1\""));
		assert_non_null(find_request(w, "/machine/map", "\"Stream\":true"));
		assert_non_null(find_request(w, "/machine/map", "\"DiscoKey\":\"discokey:4242"));
		assert_non_null(find_request(w, "/machine/map", "\"Compress\":\"\""));
		end(w);
	}
}

/* Whoever is known needs no auth key: one that was deleted on the server keeps no node out. */
static void known_without_key(void **state)
{
	struct world *w = begin();

	w->keyed = (struct answer){401, "auth-key not found", 0, false};
	w->map = good_map;
	start(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_null(find_request(w, "/machine/register", "AuthKey"));
	end(w);
}

/* `up` has read its file again. */
static void another_auth_key(void **state)
{
	struct wire_message again = {.type = WIRE_RECONNECT, .auth_key = secret_strndup("key-456", 7)};
	struct world *w = begin();

	w->registration = wants_login;
	w->keyed = (struct answer){401, "authkey already used", 0, false};
	w->map = good_map;
	start(w);
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_non_null(strstr(w->text, "authkey already used"));
	w->keyed = (struct answer){200, "{}", 0, false};
	coord_told(w->coord, &again, w->now);
	assert_null(again.auth_key);
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_non_null(find_request(w, "/machine/register", "key-456"));
	again.auth_key = secret_strndup("key\x01", 4);
	coord_told(w->coord, &again, w->now);
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_non_null(strstr(w->text, "auth key"));
	wire_message_free(&again);
	end(w);
}

static void pinned_key(void **state)
{
	struct wire_config config = make_config();
	char error[200];
	struct world *w = begin();

	coord_free(w->coord);
	config.pinned = true;
	free(config.server);
	config.server = mem_strdup("http://hs.test"); /* Noise proves who it is, TLS is not needed */
	crypto_public_key(w->noise.secret, config.server_key);
	w->coord = coord_new(&config, &ops, w, error);
	w->map = good_map;
	start(w);
	assert_int_equal(w->opens, 1);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end(w);
}

static void refused_configurations(void **state)
{
	static const struct {
		const char *server, *hostname, *key, *says;
	} cases[] = {
		{"http://hs.test", "gw", "", "plain HTTP"},	   {"hs.test", "gw", "", "login_server"},
		{"https://hs.test", "", "", "hostname"},	   {"https://hs.test", "g\nw", "", "hostname"},
		{"https://hs.test", "gw", "a\"b\x01", "auth key"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wire_message m = {.type = WIRE_CONFIG, .config = make_config()};
		char error[200];

		free(m.config.server);
		free(m.config.hostname);
		secret_memory_free(m.config.auth_key);
		m.config.server = mem_strdup(cases[i].server);
		m.config.hostname = mem_strdup(cases[i].hostname);
		m.config.auth_key = secret_strndup(cases[i].key, strlen(cases[i].key));
		assert_null(coord_new(&m.config, &ops, NULL, error));
		assert_non_null(strstr(error, cases[i].says));
		wire_message_free(&m);
	}
}

static const struct {
	const char *name;
	struct answer registration, map;
	bool old, wrong_key, garbage;
	const char *key;
	enum wire_state state;
	const char *says;
} misbehaviours[] = {
	{.name = "old", .old = true, .state = WIRE_STATE_OFFLINE, .says = "404"},
	{.name = "no key", .key = "{}", .state = WIRE_STATE_OFFLINE, .says = "publicKey"},
	{.name = "bad key", .key = "{\"publicKey\":7}", .state = WIRE_STATE_OFFLINE, .says = "publicKey"},
	{.name = "zero key", .key = "{\"publicKey\":\"mkey:" HEX62 "00\"}", .state = WIRE_STATE_OFFLINE, .says = "key"},
	{.name = "no JSON", .key = "<html>", .state = WIRE_STATE_OFFLINE, .says = "JSON"},
	{.name = "another server", .wrong_key = true, .state = WIRE_STATE_OFFLINE, .says = "nope"},
	{.name = "garbage", .garbage = true, .state = WIRE_STATE_OFFLINE, .says = "HTTP/2"},
	{.name = "refuses",
	 .registration = {200, "{\"Error\":\"go \\u001b[31maway\"}", 0, false},
	 .state = WIRE_STATE_REFUSED,
	 .says = "go \\x1b[31maway"},
	{.name = "401",
	 .registration = {401, "invalid pre auth key\nx", 0, false},
	 .state = WIRE_STATE_REFUSED,
	 .says = "invalid pre auth key"},
	{.name = "500", .registration = {500, "oops", 0, false}, .state = WIRE_STATE_OFFLINE, .says = "500"},
	{.name = "register garbage",
	 .registration = {200, "nonsense", 0, false},
	 .state = WIRE_STATE_OFFLINE,
	 .says = "answer to register"},
	{.name = "register types",
	 .registration = {200, "{\"AuthURL\":7}", 0, false},
	 .state = WIRE_STATE_OFFLINE,
	 .says = "AuthURL"},
	{.name = "bad URL",
	 .registration = {200, "{\"AuthURL\":\"javascript:x\"}", 0, false},
	 .state = WIRE_STATE_OFFLINE,
	 .says = "AuthURL"},
	{.name = "map 404", .map = {404, "who?", 0, false}, .state = WIRE_STATE_REFUSED, .says = "who?"},
	{.name = "map ends", .map = {200, "", 0, false}, .state = WIRE_STATE_OFFLINE, .says = "ended"},
	{.name = "map garbage", .map = {200, "nonsense", 0, true}, .state = WIRE_STATE_UNREADABLE, .says = "JSON"},
	{.name = "map types",
	 .map = {200, SELF ",\"Peers\":7}", 0, true},
	 .state = WIRE_STATE_UNREADABLE,
	 .says = "Peers"},
	{.name = "map without us",
	 .map = {200, "{\"Peers\":[]}", 0, true},
	 .state = WIRE_STATE_UNREADABLE,
	 .says = "our own node"},
	{.name = "map too long",
	 .map = {200, "\xff\xff\xff\xff", 0, false},
	 .state = WIRE_STATE_UNREADABLE,
	 .says = "too long"},
	{.name = "lock",
	 .map = {200, SELF ",\"TKAInfo\":{\"Head\":\"x\"}}", 0, true},
	 .state = WIRE_STATE_REFUSED,
	 .says = "tailnet lock"},
	{.name = "later garbage",
	 .map = {200, SELF "}\n{\"PeersRemoved\":\"x\"}", 0, true},
	 .state = WIRE_STATE_UNREADABLE,
	 .says = "PeersRemoved"},
};

/* Whatever the server does: a state and a text, and another try, later every time. */
static void servers_that_misbehave(void **state)
{
	for (size_t i = 0; i < sizeof(misbehaviours) / sizeof(*misbehaviours); i++) {
		size_t opens;
		struct world *w = begin();

		w->old_server = misbehaviours[i].old;
		w->wrong_noise_key = misbehaviours[i].wrong_key;
		w->garbage = misbehaviours[i].garbage;
		w->key_answer = misbehaviours[i].key;
		if (misbehaviours[i].registration.status)
			w->registration = misbehaviours[i].registration;
		w->map = misbehaviours[i].map.status ? misbehaviours[i].map : good_map;
		start(w);
		if (w->state != misbehaviours[i].state || !strstr(w->text, misbehaviours[i].says))
			fail_msg("%s: state %d, \"%s\"", misbehaviours[i].name, w->state, w->text);
		assert_false(w->open);
		assert_in_range(w->deadline - w->now, NS_PER_SEC / 2, 90 * NS_PER_SEC);
		opens = w->opens;
		w->now = w->deadline;
		pump(w);
		assert_true(w->opens > opens); /* it has tried again */
		end(w);
	}
}

/* A server that is going down refuses, too (headscale): soon it is another one. */
static void refused_once(void **state)
{
	struct world *w = begin();

	w->registration = (struct answer){200, "{\"Error\":\"sql: database is closed\"}", 0, false};
	start(w);
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_in_range(coord_tick(w->coord, w->now) - w->now, 1, 2 * NS_PER_SEC);
	end(w);
}

static void backs_off(void **state)
{
	uint64_t longest = 0, waited = 0;
	struct world *w = begin();

	told(w, WIRE_KEYS);
	for (int i = 0; i < 12; i++) {
		uint64_t pause;

		coord_tick(w->coord, w->now);
		assert_true(w->open);
		break_connection(w, "refused");
		w->deadline = coord_tick(w->coord, w->now);
		pause = w->deadline - w->now;
		longest = pause > longest ? pause : longest;
		waited += pause;
		w->now = w->deadline;
	}
	assert_in_range(longest, 15 * NS_PER_SEC, 45 * NS_PER_SEC);
	assert_in_range(waited, 60 * NS_PER_SEC, 400 * NS_PER_SEC);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_string_equal(w->text, "hs.test: refused");
	end(w);
}

/* The server goes away and comes back: the netmap stays meanwhile, and is then told whole. */
static void server_restarts(void **state)
{
	struct world *w = connected();

	w->server_closes = true;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_int_equal(w->roster.map.n_peers, 2);
	netmap_settle(&w->roster.map);
	w->map = (struct answer){200, SELF ",\"Peers\":[" PEER("4") "]}", 0, true};
	w->now = w->deadline;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_int_equal(w->roster.map.n_peers, 1);
	assert_int_equal(w->roster.map.n_removed, 1);
	assert_false(netmap_peer(&w->roster.map, 4)->changed);
	end(w);
}

/* It comes back with another key: the old one fails once, then the new one is asked for. */
static void server_key_changes(void **state)
{
	struct world *w = connected();

	memset(w->noise.secret, 0x56, 32);
	w->server_closes = true;
	pump(w);
	w->now = w->deadline;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	w->now = w->deadline;
	w->n_requests = 0;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end(w);
}

/* T6: nothing for 120 s. */
static void silence(void **state)
{
	struct world *w = connected();

	assert_int_equal(w->deadline, w->now + 120 * NS_PER_SEC);
	w->now = w->deadline - 1;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	w->now++;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_false(w->open);
	end(w);
}

static void never_answers(void **state)
{
	struct world *w = begin();

	told(w, WIRE_KEYS);
	w->deadline = coord_tick(w->coord, w->now);
	assert_true(w->open);
	w->now = coord_tick(w->coord, w->now);
	coord_tick(w->coord, w->now);
	assert_false(w->open);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	end(w);
}

/* It is not an end: who is in goes on by the last netmap. But the server is left alone for a while. */
static void sent_away(void **state)
{
	uint64_t since;
	struct world *w = connected();

	say_on_map(w, "{\"Debug\":{\"DisableLogTail\":true,\"SleepSeconds\":1.5}}");
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	since = w->now;
	say_on_map(w, "{\"Debug\":{\"Exit\":0},\"PeersRemoved\":[2]}");
	assert_int_equal(w->state, WIRE_STATE_REFUSED);
	assert_string_equal(w->text, "the server wants this node to stop");
	assert_non_null(netmap_peer(&w->roster.map, 2));
	assert_int_equal(w->deadline, since + 300 * NS_PER_SEC);
	w->now = w->deadline;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end(w);
}

/* A server that is asked too often, or is busy, says how long it wants to be left alone; within reason. */
static void told_to_wait(void **state)
{
	static const struct {
		int status;
		const char *retry_after;
		unsigned waits; /* s, beside the usual pause */
	} cases[] = {
		{429, "600", 600}, {503, "7", 7},	    {429, "3600", 3600},
		{429, "3601", 0},  {429, "99999999999", 0}, {429, NULL, 0},
		{429, "", 0},	   {429, "-5", 0},	    {429, "Wed, 21 Oct 2026 07:28:00 GMT", 0},
		{403, "600", 0},   {500, "600", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int map = 0; map <= 1; map++) {
			const struct answer refusal = {cases[i].status, "too often", 0, false};
			struct world *w = begin();

			w->retry_after = cases[i].retry_after;
			w->map = map ? refusal : good_map;
			if (!map)
				w->registration = refusal;
			start(w);
			assert_int_equal(w->state, refusal.status < 500 ? WIRE_STATE_REFUSED : WIRE_STATE_OFFLINE);
			assert_in_range(w->deadline, w->now + cases[i].waits * NS_PER_SEC,
					w->now + (cases[i].waits + 2) * NS_PER_SEC);
			w->registration = (struct answer){200, "{\"MachineAuthorized\":true}", 0, false};
			w->map = good_map;
			if (cases[i].waits)
				told(w, WIRE_RECONNECT); /* somebody does not want to wait */
			else
				w->now = w->deadline;
			pump(w);
			assert_int_equal(w->state, WIRE_STATE_CONNECTED);
			end(w);
		}
	}
}

/* The connection breaks at every byte of a whole session: never a crash, always another try. */
static void broken_anywhere(void **state)
{
	for (size_t n = 0; n < 900; n += 7) {
		size_t left = n;
		struct world *w = begin();

		w->map = good_map;
		w->chunk = 1;
		told(w, WIRE_KEYS);
		for (int i = 0; i < 3000 && left; i++) {
			coord_tick(w->coord, w->now);
			if (w->open_pending) {
				w->open_pending = false;
				coord_opened(w->coord, w->now);
			}
			if (w->open && w->to_server.len)
				serve(w);
			for (; w->open && !w->open_pending && w->to_client.len && left; left--) {
				uint8_t byte = w->to_client.bytes[0];

				consume(&w->to_client, 1);
				coord_received(w->coord, &byte, 1, w->now);
			}
		}
		if (w->open) {
			break_connection(w, "broken off");
			assert_int_equal(w->state, WIRE_STATE_OFFLINE);
			w->now = coord_tick(w->coord, w->now);
		}
		w->chunk = BUFFER;
		w->n_requests = 0;
		pump(w);
		assert_int_equal(w->state, WIRE_STATE_CONNECTED);
		end(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects),
		cmocka_unit_test(known_without_key),
		cmocka_unit_test(another_auth_key),
		cmocka_unit_test(pinned_key),
		cmocka_unit_test(refused_configurations),
		cmocka_unit_test(servers_that_misbehave),
		cmocka_unit_test(refused_once),
		cmocka_unit_test(backs_off),
		cmocka_unit_test(server_restarts),
		cmocka_unit_test(server_key_changes),
		cmocka_unit_test(silence),
		cmocka_unit_test(never_answers),
		cmocka_unit_test(sent_away),
		cmocka_unit_test(told_to_wait),
		cmocka_unit_test(broken_anywhere),
	};

	return cmocka_run_group_tests_name("tailnet_coord", tests, setup, NULL);
}
