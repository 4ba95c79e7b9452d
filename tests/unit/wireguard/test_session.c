/* SPDX-License-Identifier: BSD-2-Clause */
/* The data path without handshakes (session_bench.h): W1 to W4, W15, W16: when sessions are used, renewed, given back.
 */
#include "session_bench.h"

static unsigned todo_of(struct bench *b)
{
	unsigned todo = 0;

	transport_take_todo(&b->set, &todo);
	return todo;
}

static void test_W2_time_limits(void **state)
{
	struct bench b;

	setup(&b);
	install(&b, 1, true);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	assert_int_equal(receive(&b, 1, 1, T0 + 180 * NS_PER_SEC - 1), OPEN_OK);
	assert_int_equal(seal(&b, 1, T0 + 180 * NS_PER_SEC - 1), SEAL_OK);
	todo_of(&b);
	assert_int_equal(receive(&b, 1, 2, T0 + 180 * NS_PER_SEC), OPEN_EXPIRED);
	assert_int_equal(seal(&b, 1, T0 + 190 * NS_PER_SEC), SEAL_NO_SESSION);
	assert_int_equal(todo_of(&b), TRANSPORT_HANDSHAKE);
	teardown(&b);
}

/* The control thread makes sessions while a worker is at a batch, whose time is that of its beginning. */
static void test_W2_younger_than_the_batch(void **state)
{
	for (int initiator = 0; initiator < 2; initiator++) {
		struct bench b;

		setup(&b);
		install(&b, 1, initiator);
		assert_int_equal(receive(&b, 1, 0, T0 - 1), OPEN_OK);
		assert_int_equal(seal(&b, 1, T0 - 1), SEAL_OK);
		assert_int_equal(todo_of(&b) & TRANSPORT_HANDSHAKE, 0);
		teardown(&b);
	}
}

static void test_W1_when_to_ask_for_a_handshake(void **state)
{
	static const struct {
		bool initiator, sending;
		uint64_t age;
		unsigned todo;
	} cases[] = {
		{true, true, 120 * NS_PER_SEC - 1, 0},
		{true, true, 120 * NS_PER_SEC, TRANSPORT_HANDSHAKE},
		{false, true, 179 * NS_PER_SEC, 0},
		{true, false, 165 * NS_PER_SEC - 1, 0},
		{true, false, 165 * NS_PER_SEC, TRANSPORT_HANDSHAKE},
		{false, false, 179 * NS_PER_SEC, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bench b;

		setup(&b);
		install(&b, 1, cases[i].initiator);
		assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK); /* confirms a responder's */
		todo_of(&b);
		if (cases[i].sending)
			assert_int_equal(seal(&b, 1, T0 + cases[i].age), SEAL_OK);
		else
			assert_int_equal(receive(&b, 1, 1, T0 + cases[i].age), OPEN_OK);
		assert_int_equal(todo_of(&b), cases[i].todo);
		/* asked once, then not for five seconds */
		if (cases[i].sending && cases[i].todo) {
			assert_int_equal(seal(&b, 1, T0 + cases[i].age + 4 * NS_PER_SEC), SEAL_OK);
			assert_int_equal(todo_of(&b), 0);
			assert_int_equal(seal(&b, 1, T0 + cases[i].age + 5 * NS_PER_SEC), SEAL_OK);
			assert_int_equal(todo_of(&b), TRANSPORT_HANDSHAKE);
		}
		teardown(&b);
	}
}

static void test_W3_message_limits(void **state)
{
	struct session *session;
	struct bench b;

	setup(&b);
	session = install(&b, 1, false);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	todo_of(&b);
	session->send_counter = REKEY_AFTER_MESSAGES - 2;
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_int_equal(todo_of(&b), 0);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_int_equal(todo_of(&b), 0);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK); /* by count the responder rekeys, too */
	assert_int_equal(todo_of(&b), TRANSPORT_HANDSHAKE);

	session->send_counter = REJECT_AFTER_MESSAGES - 3;
	assert_int_equal(seal(&b, 3, T0), SEAL_OK);
	assert_int_equal(seal(&b, 1, T0), SEAL_NO_SESSION);
	assert_int_equal(receive(&b, 1, REJECT_AFTER_MESSAGES, T0), OPEN_EXPIRED);
	assert_int_equal(receive(&b, 1, UINT64_MAX, T0), OPEN_EXPIRED);
	assert_int_equal(receive(&b, 1, REJECT_AFTER_MESSAGES - 1, T0), OPEN_OK);
	teardown(&b);
}

/* A counter is given once. Who asks for more, or has no session, gets nothing, and nothing is written. */
static void test_fault_14_refusal_to_seal(void **state)
{
	uint8_t packet[60], out[DATA_MIN_LEN + 64], before[sizeof(out)];
	struct session *session;
	struct bench b;

	setup(&b);
	memset(before, 0xa5, sizeof(before));
	memcpy(out, before, sizeof(out));
	sim_packet4(packet, 0x0a000001, 0x0a000005, 0, sizeof(packet));
	assert_int_equal(transport_seal(b.t, out, packet, sizeof(packet), MTU), 0);
	assert_memory_equal(out, before, sizeof(out));
	session = install(&b, 1, true);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	session->send_counter = REJECT_AFTER_MESSAGES - 1;
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(transport_seal(b.t, out, packet, sizeof(packet), MTU), 0);
		assert_memory_equal(out, before, sizeof(out));
		assert_int_equal(session->send_counter, REJECT_AFTER_MESSAGES);
	}
	assert_int_equal(atomic_load(&b.t->stamps.tx_packets), 1);
	assert_int_equal(atomic_load(&b.t->stamps.tx_bytes), sizeof(out));
	teardown(&b);
}

static void test_W15_responder_waits_for_data(void **state)
{
	struct session *first, *second, *third;
	struct garbage garbage;
	struct bench b;

	setup(&b);
	first = install(&b, 1, false);
	assert_null(b.t->current);
	assert_ptr_equal(b.t->next, first);
	assert_int_equal(receive(&b, 1, 0, T0), OPEN_OK);
	assert_int_equal(todo_of(&b), TRANSPORT_FLUSH);
	assert_ptr_equal(b.t->current, first);
	second = install(&b, 3, false);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_ptr_equal(b.t->current, first);
	assert_int_equal(receive(&b, 1, 1, T0), OPEN_OK); /* on the old one: no change */
	assert_ptr_equal(b.t->current, first);
	assert_int_equal(open_msg(&b, from_remote(&b, 3, 0, NULL, 0), 0, T0), OPEN_KEEPALIVE); /* that is data, too */
	assert_int_equal(todo_of(&b), TRANSPORT_FLUSH);
	assert_int_equal(seal(&b, 1, T0), SEAL_OK);
	assert_ptr_equal(b.t->current, second);
	assert_ptr_equal(b.t->previous, first);
	assert_int_equal(receive(&b, 1, 2, T0), OPEN_OK); /* in flight */
	assert_false(transport_take_garbage(&b.set, &garbage));

	third = install(&b, 5, false);
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, first);
	assert_int_equal(receive(&b, 1, 3, T0), OPEN_NO_SESSION);
	install(&b, 7, false); /* a newer answer replaces one that was never used */
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, third);
	assert_null(garbage.sessions->next);
	teardown(&b);
}

static void test_W15_initiator_sends_at_once(void **state)
{
	struct session *first, *second, *answered;
	struct garbage garbage;
	struct bench b;

	setup(&b);
	first = install(&b, 1, true);
	assert_ptr_equal(b.t->current, first);
	second = install(&b, 3, true);
	assert_ptr_equal(b.t->current, second);
	assert_ptr_equal(b.t->previous, first);
	answered = install(&b, 5, false); /* both began: answered first, then our own is answered */
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, first);
	install(&b, 7, true);
	assert_ptr_equal(b.t->previous, answered);
	assert_null(b.t->next);
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.sessions, second);
	assert_int_equal(receive(&b, 5, 0, T0), OPEN_OK); /* the peer sends on the one it began */
	assert_int_equal(receive(&b, 7, 0, T0), OPEN_OK);
	teardown(&b);
}

static void test_W4_staged_packets(void **state)
{
	uint8_t byte;
	struct bench b;

	setup(&b);
	for (unsigned i = 0; i < MAX_STAGED; i++) {
		byte = (uint8_t)i;
		assert_true(transport_stage(b.t, &byte, 1));
	}
	byte = 200;
	assert_false(transport_stage(b.t, &byte, 1)); /* the oldest goes */
	assert_int_equal(b.t->n_staged, MAX_STAGED);
	for (unsigned i = 1; i <= MAX_STAGED; i++) {
		struct staged *s = transport_unstage(b.t);

		assert_int_equal(s->packet[0], i < MAX_STAGED ? i : 200);
		free(s);
	}
	assert_null(transport_unstage(b.t));
	assert_true(transport_stage(b.t, &byte, 1));
	teardown(&b);
}

static void test_W16_remove_gives_everything_back(void **state)
{
	struct transport_command c = {.op = TRANSPORT_REMOVE};
	struct garbage garbage;
	unsigned todo, n = 0;
	struct bench b;
	uint8_t byte = 0;

	setup(&b);
	c.transport = b.t;
	install(&b, 1, true);
	install(&b, 3, true);
	install(&b, 5, false);
	assert_true(transport_take_garbage(&b.set, &garbage));
	transport_stage(b.t, &byte, 1);
	assert_true(transport_apply(&b.set,
				    &(struct transport_command){.op = TRANSPORT_SEND_KEEPALIVE, .transport = b.t}, T0));
	assert_true(transport_apply(&b.set, &c, T0));
	assert_null(transport_take_todo(&b.set, &todo));
	assert_null(transport_find(&b.set, 7));
	assert_int_equal(b.t->n_staged, 0);
	assert_true(transport_take_garbage(&b.set, &garbage));
	assert_ptr_equal(garbage.transports, b.t);
	for (struct session *s = garbage.sessions; s; s = s->next)
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(receive(&b, 3, 0, T0), OPEN_NO_SESSION);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W1_when_to_ask_for_a_handshake),
		cmocka_unit_test(test_W2_time_limits),
		cmocka_unit_test(test_W2_younger_than_the_batch),
		cmocka_unit_test(test_W3_message_limits),
		cmocka_unit_test(test_fault_14_refusal_to_seal),
		cmocka_unit_test(test_W4_staged_packets),
		cmocka_unit_test(test_W15_responder_waits_for_data),
		cmocka_unit_test(test_W15_initiator_sends_at_once),
		cmocka_unit_test(test_W16_remove_gives_everything_back),
	};

	return cmocka_run_group_tests_name("session", tests, test_init, NULL);
}
