/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket and its clients: those that do not behave, whose turn it is, and answers that come later
 * (control_server.h).
 */
#include "control_server.h"

/* ---- clients that do not behave ------------------------------------------------------------------ */

static void test_byte_by_byte_and_pipelined(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f);
	char buf[4096];
	ssize_t n;

	for (const char *p = exchanges[0].request; *p; p++) {
		assert_int_equal(send(fd, p, 1, 0), 1);
		serve(f);
	}
	hear(fd, buf, sizeof(buf), &n);
	assert_string_equal(buf, exchanges[0].answer);
	say(fd, "{\"schema\":1,\"command\":\"null\"}\n{\"schema\":1,\"command\":\"null\"}\n{\"sch");
	serve(f);
	hear(fd, buf, sizeof(buf), &n);
	assert_string_equal(buf,
			    "{\"schema\":1,\"ok\":true,\"result\":null}\n{\"schema\":1,\"ok\":true,\"result\":null}\n");
	say(fd, "ema\":1,\"command\":\"null\"}\n");
	serve(f);
	hear(fd, buf, sizeof(buf), &n);
	assert_string_equal(buf, "{\"schema\":1,\"ok\":true,\"result\":null}\n");
	close(fd);
}

/* Sends @total bytes that never become a line; true: it was cut off before all were taken. */
static bool is_cut_off(struct fixture *f, size_t total)
{
	static char junk[65536];
	int fd = connect_client(f);
	size_t sent = 0;
	char buf[256];
	ssize_t n = 0;

	memset(junk, 'x', sizeof(junk));
	while (sent < total) {
		ssize_t k = send(fd, junk, sizeof(junk), MSG_NOSIGNAL);

		if (k < 0 && errno != EAGAIN)
			break;
		sent += k > 0 ? (size_t)k : 0;
		serve(f);
	}
	hear(fd, buf, sizeof(buf), &n);
	close(fd);
	serve(f);
	return sent < total;
}

/* Root sends policies, others questions; the test runs as either. */
static void test_request_is_bounded(void **state)
{
	size_t max = geteuid() ? CONTROL_REQUEST_MAX : CONTROL_REQUEST_MAX_ROOT;

	assert_true(is_cut_off(*state, 2 * max));
	ask_and_expect(*state, exchanges[0].request, exchanges[0].answer);
}

static void test_hang_up_while_answering(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		int fd = connect_client(f);

		say(fd, "{\"schema\":1,\"command\":\"huge\",\"args\":{\"size\":1000000}}\n");
		if (i % 2)
			serve(f);
		close(fd);
		if (i % 5 == 4)
			serve(f);
	}
	serve(f);
	ask_and_expect(f, exchanges[0].request, exchanges[0].answer);
}

static void test_slow_reader_gets_all(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f);
	static char buf[65536];
	size_t got = 0;
	ssize_t n = 1;

	say(fd, "{\"schema\":1,\"command\":\"huge\",\"args\":{\"size\":2000000}}\n");
	serve(f);
	ask_and_expect(f, exchanges[0].request, exchanges[0].answer); /* others do not wait for it */
	for (int i = 0; i < 100000 && got < 2000000; i++) {
		hear(fd, buf, sizeof(buf), &n);
		got += n > 0 ? (size_t)n : 0;
		serve(f);
	}
	assert_true(got >= 2000000);
	assert_int_equal(buf[n - 1], '\n');
	close(fd);
}

static void test_many_idle_clients_make_room(void **state)
{
	struct fixture *f = *state;
	int fds[2 * CONTROL_CONNECTIONS];
	char buf[16];
	ssize_t n;

	for (int i = 0; i < 2 * CONTROL_CONNECTIONS; i++) {
		fds[i] = connect_client(f);
		serve(f);
	}
	ask_and_expect(f, exchanges[0].request, exchanges[0].answer);
	hear(fds[0], buf, sizeof(buf), &n);
	assert_true(n == -1 && errno != EAGAIN); /* closed: it had idled longest */
	for (int i = 0; i < 2 * CONTROL_CONNECTIONS; i++)
		close(fds[i]);
	serve(f);
}

/* ---- turns (item 21) ---------------------------------------------------------------------------- */

#define MANY 20 /* requests of a connection */

/* Whoever asks much, by many connections and many requests of each, gets one answer a turn. */
static void test_fault_21_one_request_a_turn(void **state)
{
	struct fixture *f = *state;
	int fds[4];

	for (int i = 0; i < 4; i++) {
		fds[i] = connect_client(f);
		for (int k = 0; k < MANY; k++)
			say(fds[i], exchanges[0].request);
	}
	for (int i = 0; i < 4 * MANY; i++) {
		struct pollfd p = {.fd = control_fd(f->control), .events = POLLIN};
		int before = f->calls;

		assert_int_equal(poll(&p, 1, 0), 1);
		control_serve(f->control);
		assert_true(f->calls <= before + 1);
	}
	serve(f);
	assert_int_equal(f->calls, 4 * MANY);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	serve(f);
}

/* One that came last waits for one request of each of the others, not for all that they have asked. */
static void test_fault_21_a_late_request_has_its_turn(void **state)
{
	struct fixture *f = *state;
	int fds[8], late;
	char buf[256];
	ssize_t n;

	for (int i = 0; i < 8; i++) {
		fds[i] = connect_client(f);
		for (int k = 0; k < MANY; k++)
			say(fds[i], exchanges[0].request);
	}
	control_serve(f->control); /* they are connected, */
	control_serve(f->control); /* and have been read */
	late = connect_client(f);
	say(late, "{\"schema\":1,\"command\":\"null\"}\n");
	for (int turn = 0; turn < 8 + 3; turn++)
		control_serve(f->control);
	hear(late, buf, sizeof(buf), &n);
	assert_string_equal(buf, "{\"schema\":1,\"ok\":true,\"result\":null}\n");
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(late);
	serve(f);
}

/* A long answer is written in steps, so that its reader cannot hold the thread. */
static void test_fault_21_a_long_answer_goes_in_steps(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f), size = 16 << 20;
	static char buf[1 << 20];
	size_t got = 0, most = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	say(fd, "{\"schema\":1,\"command\":\"huge\",\"args\":{\"size\":4000000}}\n");
	for (int i = 0; i < 100000 && got < 4000000; i++) {
		size_t before = got;
		ssize_t n;

		control_serve(f->control);
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
			got += (size_t)n;
		most = got - before > most ? got - before : most;
	}
	assert_true(got > 4000000);
	assert_true(most <= 256 << 10);
	close(fd);
	serve(f);
}

/* ---- answers that come later ------------------------------------------------------------------- */

#define LATER "{\"schema\":1,\"command\":\"later\"}\n"

static void expect_nothing(int fd)
{
	char buf[16];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect(struct fixture *f, int fd, const char *answer)
{
	char buf[4096];
	ssize_t n;

	serve(f);
	hear(fd, buf, sizeof(buf), &n);
	assert_string_equal(buf, answer);
}

/* What stands behind the request waits with it, others do not. */
static void test_an_answer_that_comes_later(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f);
	uint64_t first;

	say(fd, LATER);
	serve(f);
	first = f->ticket;
	say(fd, exchanges[0].request);
	serve(f);
	expect_nothing(fd);
	ask_and_expect(f, exchanges[0].request, exchanges[0].answer);
	control_finish(f->control, first + 1, EXIT_YES, json_true(), NULL); /* nobody's */
	control_finish(f->control, 0, EXIT_YES, json_true(), NULL);
	expect_nothing(fd);
	control_finish(f->control, first, EXIT_YES, json_pack("[i]", 7), NULL);
	expect(f, fd, "{\"schema\":1,\"ok\":true,\"result\":[7]}\n{\"schema\":1,\"ok\":true,\"result\":{\"a\":1}}\n");
	say(fd, LATER);
	serve(f);
	assert_int_not_equal(f->ticket, first);
	control_finish(f->control, f->ticket, EXIT_USAGE, NULL, strdup("no"));
	expect(f, fd, REFUSED("no", "2"));
	close(fd);
	serve(f);
}

/* It has said all it had to say, and listens. */
static void test_a_ticket_and_then_a_refusal(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f);

	say(fd, "{\"schema\":1,\"command\":\"not later\"}\n");
	expect(f, fd, REFUSED("too many wait", "1"));
	control_finish(f->control, f->ticket, EXIT_YES, NULL, NULL); /* void: it was answered */
	expect_nothing(fd);
	say(fd, exchanges[0].request);
	expect(f, fd, exchanges[0].answer);
	close(fd);
	serve(f);
}

static void test_a_half_closed_connection_hears_its_answer(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f);

	say(fd, LATER);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	serve(f);
	control_finish(f->control, f->ticket, EXIT_YES, NULL, NULL);
	expect(f, fd, "{\"schema\":1,\"ok\":true,\"result\":null}\n");
	close(fd);
	serve(f);
}

/* Neither the one that hung up nor the next one at its place hears of it. */
static void test_who_hangs_up_gets_no_answer(void **state)
{
	struct fixture *f = *state;
	int fd = connect_client(f), other;

	say(fd, LATER);
	serve(f);
	close(fd);
	serve(f);
	other = connect_client(f);
	serve(f);
	control_finish(f->control, f->ticket, EXIT_YES, NULL, NULL);
	serve(f);
	expect_nothing(other);
	close(other);
	serve(f);
}

static void test_who_waits_does_not_make_room(void **state)
{
	struct fixture *f = *state;
	int fds[2 * CONTROL_CONNECTIONS], fd = connect_client(f);

	say(fd, LATER);
	serve(f);
	for (int i = 0; i < 2 * CONTROL_CONNECTIONS; i++) {
		fds[i] = connect_client(f);
		serve(f);
	}
	control_finish(f->control, f->ticket, EXIT_YES, NULL, NULL);
	expect(f, fd, "{\"schema\":1,\"ok\":true,\"result\":null}\n");
	for (int i = 0; i < 2 * CONTROL_CONNECTIONS; i++)
		close(fds[i]);
	close(fd);
	serve(f);
}

int main(void)
{
#define WITH_SOCKET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SOCKET(test_byte_by_byte_and_pipelined),
		WITH_SOCKET(test_request_is_bounded),
		WITH_SOCKET(test_hang_up_while_answering),
		WITH_SOCKET(test_slow_reader_gets_all),
		WITH_SOCKET(test_many_idle_clients_make_room),
		WITH_SOCKET(test_fault_21_one_request_a_turn),
		WITH_SOCKET(test_fault_21_a_late_request_has_its_turn),
		WITH_SOCKET(test_fault_21_a_long_answer_goes_in_steps),
		WITH_SOCKET(test_an_answer_that_comes_later),
		WITH_SOCKET(test_a_ticket_and_then_a_refusal),
		WITH_SOCKET(test_a_half_closed_connection_hears_its_answer),
		WITH_SOCKET(test_who_hangs_up_gets_no_answer),
		WITH_SOCKET(test_who_waits_does_not_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
