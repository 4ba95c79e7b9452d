/* SPDX-License-Identifier: BSD-2-Clause */
/* T13: who may log in, and how: by a URL, after an expiry or a logout, once an administrator approves. */
#include "coord_world.h"

#include "user/tailnet/tailnet.h"

/* People take their time. */
static void somebody_logs_in(struct world *w)
{
	w->now += 300 * NS_PER_SEC;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	answer(w, find_request(w, "/machine/register", "Followup")->stream,
	       (struct answer){200, "{\"MachineAuthorized\":true}", 0, false});
	flush_http2(w);
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
}

static void interactive_login(void **state)
{
	struct world *w = begin();

	w->registration = wants_login;
	w->map = good_map;
	start(w);
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	assert_string_equal(w->url, "https://hs.test/register/abc");
	assert_non_null(find_request(w, "/machine/register", "\"Followup\":\"https://hs.test/register/abc\""));
	somebody_logs_in(w);
	end(w);
}

/* The connection breaks, or `up` asks for another one, while somebody logs in: the same URL counts on. */
static void login_over_two_connections(void **state)
{
	struct wire_message again = {.type = WIRE_RECONNECT};
	struct world *w = begin();

	w->registration = wants_login;
	w->map = good_map;
	start(w);
	memset(w->url, 0, sizeof(w->url));
	w->n_requests = 0;
	coord_told(w->coord, &again, w->now);
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	assert_string_equal(w->url, "https://hs.test/register/abc");
	somebody_logs_in(w);
	end(w);
}

/* A server that does not wait must not make us ask without end. */
static void login_without_waiting(void **state)
{
	struct world *w = begin();

	w->registration = w->followup = wants_login;
	start(w);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_int_equal(w->n_requests, 3); /* plain, with the auth key, to follow up */
	end(w);
}

/* T13 */
static void expired_key(void **state)
{
	struct wire_message keys = {.type = WIRE_KEYS};
	struct world *w = begin();

	w->registration = (struct answer){200, "{\"NodeKeyExpired\":true}", 0, false};
	w->map = good_map;
	start(w);
	assert_int_equal(w->state, WIRE_STATE_EXPIRED);
	assert_int_equal(w->deadline, UINT64_MAX); /* nothing but a new key helps */
	w->registration = (struct answer){200, "{}", 0, false};
	memset(keys.keys.node, 0x51, KEY_LEN);
	memset(keys.keys.old_node, 0x41, KEY_LEN);
	w->n_requests = 0;
	coord_told(w->coord, &keys, w->now);
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	assert_non_null(find_request(w, "/machine/register", "\"OldNodeKey\":\"nodekey:4141"));
	end(w);
}

static void logout(void **state)
{
	struct world *w = connected();

	w->n_requests = 0;
	told(w, WIRE_LOGOUT);
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_LOGGED_OUT);
	assert_non_null(find_request(w, "/machine/register", "\"Expiry\":\"19"));
	assert_null(find_request(w, "/machine/register", "AuthKey"));
	assert_false(w->open);
	told(w, WIRE_RECONNECT);
	w->n_requests = 0;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_CONNECTED);
	end(w);
}

/* T6: headscale goes on with keep-alives to a node that was deleted; only who asks hears of it. */
static void deleted_on_the_server(void **state)
{
	uint64_t since;
	struct world *w = connected();

	for (size_t told = 1; told < 4; told++) { /* it asks, though nothing changes here */
		assert_int_equal(count_updates(w), told);
		since = w->now;
		while (count_updates(w) == told && w->now < since + 3600 * NS_PER_SEC)
			pass_time(w);
		assert_in_range(w->now - since, 300 * NS_PER_SEC, 900 * NS_PER_SEC);
	}
	assert_int_equal(w->opens, 2);
	w->update = (struct answer){404, "node not found", 0, false};
	w->registration = wants_login;
	w->followup.status = 0;
	while (w->state == WIRE_STATE_CONNECTED)
		pass_time(w);
	assert_int_equal(w->state, WIRE_STATE_OFFLINE);
	assert_string_equal(w->text, "the server does not know this node any more");
	assert_non_null(netmap_peer(&w->roster.map, 2)); /* nobody is cut off */
	w->now = w->deadline;
	pump(w);
	assert_int_equal(w->state, WIRE_STATE_LOGIN);
	end(w);
}

/* Servers leave the field away where it is false; it changes while the netmap is being followed, both ways. */
static void approval(void **state)
{
	static const struct {
		const char *message;
		enum wire_state state;
		unsigned told;
	} steps[] = {
		{NODE("") ",\"Peers\":[]}", WIRE_STATE_APPROVAL, 1},
		{NODE(",\"MachineAuthorized\":false") "}", WIRE_STATE_APPROVAL, 0},
		{SELF "}", WIRE_STATE_CONNECTED, 1},
		{"{\"PeersChanged\":[" PEER("2") "]}", WIRE_STATE_CONNECTED, 0}, /* says nothing of us */
		{SELF "}", WIRE_STATE_CONNECTED, 0},
		{NODE("") "}", WIRE_STATE_APPROVAL, 1},
		{SELF "}", WIRE_STATE_CONNECTED, 1},
	};
	struct world *w = begin();

	w->map = (struct answer){200, "", 0, true};
	start(w);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		unsigned before = w->told[WIRE_STATUS];

		say_on_map(w, steps[i].message);
		if (w->state != steps[i].state || w->told[WIRE_STATUS] - before != steps[i].told)
			fail_msg("step %zu: state %d, told %u times", i, w->state, w->told[WIRE_STATUS] - before);
	}
	end(w);
}

/* T13: an expired key is what is to be known of a session that is fine otherwise, and of nothing else. */
static void standing(void **state)
{
	static const struct {
		enum wire_state said, expired;
	} cases[] = {
		{WIRE_STATE_CONNECTED, WIRE_STATE_EXPIRED},	{WIRE_STATE_APPROVAL, WIRE_STATE_EXPIRED},
		{WIRE_STATE_EXPIRED, WIRE_STATE_EXPIRED},	{WIRE_STATE_CONNECTING, WIRE_STATE_CONNECTING},
		{WIRE_STATE_LOGIN, WIRE_STATE_LOGIN},		{WIRE_STATE_OFFLINE, WIRE_STATE_OFFLINE},
		{WIRE_STATE_REFUSED, WIRE_STATE_REFUSED},	{WIRE_STATE_LOGGED_OUT, WIRE_STATE_LOGGED_OUT},
		{WIRE_STATE_UNREADABLE, WIRE_STATE_UNREADABLE},
	};

	assert_int_equal(sizeof(cases) / sizeof(*cases), WIRE_STATES);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(tailnet_standing(cases[i].said, false), cases[i].said);
		assert_int_equal(tailnet_standing(cases[i].said, true), cases[i].expired);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interactive_login),
		cmocka_unit_test(login_over_two_connections),
		cmocka_unit_test(login_without_waiting),
		cmocka_unit_test(expired_key),
		cmocka_unit_test(logout),
		cmocka_unit_test(deleted_on_the_server),
		cmocka_unit_test(approval),
		cmocka_unit_test(standing),
	};

	return cmocka_run_group_tests_name("tailnet_login", tests, setup, NULL);
}
