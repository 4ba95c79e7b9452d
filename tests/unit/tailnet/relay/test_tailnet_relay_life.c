/* SPDX-License-Identifier: BSD-2-Clause */
/* T9: relays come, go, fall silent and are left (relay_stand.h). */
#include "relay_stand.h"

static void pass(struct us *us, unsigned seconds)
{
	struct pollfd fds[CONNS_MAX];
	uint64_t deadline;

	us->now += seconds * NS_PER_SEC;
	relays_tick(us->relays, us->now);
	conns_handle(&us->conns, fds, conns_prepare(&us->conns, fds, &deadline), us->now);
}

/* Of several nodes the first that lets us in is it, and one try is told once: by what the first failed. */
static void nodes_in_turn(void **state)
{
	static const struct {
		enum manner first, second;
		enum wire_relay_standing state;
		enum conn_error_kind why;
		const char *host;
	} cases[] = {
		{REFUSES, ADMITS, WIRE_RELAY_UP, CONN_ERROR_NONE, "b.test"},
		{ADMITS, REFUSES, WIRE_RELAY_UP, CONN_ERROR_NONE, HOST},
		{PLAIN, REFUSES, WIRE_RELAY_AWAY, CONN_ERROR_TLS, HOST},
		{REFUSES, PLAIN, WIRE_RELAY_AWAY, CONN_ERROR_TCP, HOST},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_at first = {.manner = cases[i].first, TEXT(UPGRADE KEY)};
		struct relay_at second = {.manner = cases[i].second, .certs = {ELSEWHERE}, TEXT(UPGRADE KEY)};
		struct us us;

		stand(&first);
		stand(&second);
		begin(&us, &first, &second, NULL);
		await(&us, 1, NULL);
		assert_int_equal(us.last.state, cases[i].state);
		assert_int_equal(us.last.why.kind, cases[i].why);
		assert_string_equal(us.host, cases[i].host);
		if (cases[i].state == WIRE_RELAY_AWAY) {
			pass(&us, 46); /* the longest pause */
			await(&us, 2, NULL);
			assert_int_equal(us.last.why.kind, cases[i].why);
		}
		finish(&us);
		fall(&first);
		fall(&second);
	}
}

/* A relay that was there and is not any more; what is left; what is logged out. */
static void comes_and_goes(void **state)
{
	struct relay_at r = {.manner = ADMITS, TEXT(UPGRADE KEY)};
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	assert_int_equal(us.last.state, WIRE_RELAY_UP);
	fall(&r);
	await(&us, 2, NULL);
	assert_int_equal(us.last.state, WIRE_RELAY_AWAY);
	assert_int_equal(us.last.why.kind, CONN_ERROR_CLOSED);
	relays_retry(us.relays, us.now);
	await(&us, 3, NULL);
	assert_int_equal(us.last.why.kind, CONN_ERROR_TCP);
	relays_tick(us.relays, us.now);
	assert_int_equal(us.told, 3); /* it waits */
	relays_set_key(us.relays, (uint8_t[KEY_LEN]){0}, us.now);
	assert_int_equal(us.told, 4);
	assert_int_equal(us.last.state, WIRE_RELAY_LEFT);
	pass(&us, 60);
	assert_int_equal(us.told, 4); /* nobody asks for it */
	finish(&us);
}

/* A relay says something every minute; one that says nothing for two is gone, whatever TCP thinks. */
static void goes_silent(void **state)
{
	struct relay_at r = {.manner = ADMITS, TEXT(UPGRADE KEY)};
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	pass(&us, DERP_WATCHDOG - 1);
	assert_int_equal(us.told, 1);
	pass(&us, 1);
	assert_int_equal(us.told, 2);
	assert_int_equal(us.last.state, WIRE_RELAY_AWAY);
	assert_int_equal(us.last.why.kind, CONN_ERROR_SILENT);
	finish(&us);
	fall(&r);
}

/* Others look for us at our old home until they have heard of the new one. */
static void an_old_home_is_left_late(void **state)
{
	struct relay_at r = {.manner = ADMITS, TEXT(UPGRADE KEY)};
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	pass(&us, 100);
	relays_set_home(us.relays, 0, us.now);
	pass(&us, 10);
	assert_int_equal(us.told, 1);
	finish(&us);
	fall(&r);
}

/* One round of the loop, without time. */
static void round_of(struct us *us)
{
	struct pollfd fds[CONNS_MAX];
	uint64_t deadline;
	size_t n;

	relays_tick(us->relays, us->now);
	n = conns_prepare(&us->conns, fds, &deadline);
	poll(fds, n, 20);
	conns_handle(&us->conns, fds, n, us->now);
}

static struct wire_relay_packet hello_to(const char *key, uint16_t region)
{
	struct wire_relay_packet p = {.region = region, .bytes = (const uint8_t *)"hello", .len = 5};

	memcpy(p.node_key, key, KEY_LEN);
	return p;
}

/*
 * Whoever came to us by our relay is answered there, as long as his own is not open, and until our
 * relay says that he is gone. What is not sent there is seen by what comes next on that connection.
 */
static void answered_where_heard(void **state)
{
	static const struct {
		const char *name;
		enum manner ours, his;
	} cases[] = {
		{"he leaves our relay", CARRIES, REFUSES},
		{"his own relay opens", CLAIMS, ADMITS},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct relay_at ours = {.manner = cases[i].ours, TEXT(UPGRADE KEY)};
		struct relay_at his = {.manner = cases[i].his, .certs = {ELSEWHERE}, TEXT(UPGRADE KEY)};
		const struct wire_relay_packet hello = hello_to(PEER, REGION + 1), other = hello_to(OTHER, 0);
		struct derp_region regions[2];
		struct us us;

		print_message("  %s\n", cases[i].name);
		stand(&ours);
		stand(&his);
		begin(&us, &ours, &his, NULL);
		regions[0] = us.region;
		regions[0].n_nodes = 1;
		regions[1] = (struct derp_region){.id = REGION + 1, .nodes = &us.nodes[1], .n_nodes = 1};
		us.map = (struct derpmap){.regions = regions, .n = 2};
		relays_set_map(us.relays, &us.map, us.now);
		while (!us.packets)
			round_of(&us);
		assert_int_equal(us.told, 1);
		relays_send(us.relays, &hello, us.now);
		while (!atomic_load(&ours.carried) || us.packets < 2 || us.told < 2)
			round_of(&us);
		assert_int_equal(us.last.region, REGION + 1);
		assert_int_equal(us.last.state, cases[i].his == ADMITS ? WIRE_RELAY_UP : WIRE_RELAY_AWAY);
		relays_send(us.relays, &hello, us.now);
		relays_send(us.relays, &other, us.now);
		while (!atomic_load(&ours.then_to))
			round_of(&us);
		assert_int_equal(atomic_load(&ours.then_to), OTHER[0]);
		finish(&us);
		fall(&ours);
		fall(&his);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_in_turn),	cmocka_unit_test(comes_and_goes),
		cmocka_unit_test(goes_silent),		cmocka_unit_test(an_old_home_is_left_late),
		cmocka_unit_test(answered_where_heard),
	};

	return cmocka_run_group_tests_name("tailnet_relay_life", tests, setup, teardown);
}
