/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket over a real socket in a folder of its own: the protocol, the
 * bounds, and clients that do not behave. The server runs in this process; it is
 * served by hand between the client's steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/control/control.h"
#include "user/base/exit.h"

struct fixture {
	char folder[64], path[128];
	struct control *control;
	uint64_t ticket; /* of the last request for "later" */
	int calls;
};

/* ---- the gateway -------------------------------------------------------------------------- */

static int verb_echo(void *gateway, const json_t *args, json_t **result, char **error)
{
	((struct fixture *)gateway)->calls++;
	*result = json_deep_copy(args);
	return EXIT_YES;
}

static int verb_fail(void *gateway, const json_t *args, json_t **result, char **error)
{
	return exit_fail(error, EXIT_USAGE, "no such client: \"%s\"", "bob");
}

static int verb_huge(void *gateway, const json_t *args, json_t **result, char **error)
{
	size_t size = (size_t)json_integer_value(json_object_get(args, "size"));
	char *text = malloc(size + 1);

	memset(text, 'x', size);
	text[size] = 0;
	*result = json_string(text);
	free(text);
	return EXIT_YES;
}

static int verb_null(void *gateway, const json_t *args, json_t **result, char **error)
{
	return EXIT_YES;
}

static int verb_mute(void *gateway, const json_t *args, json_t **result, char **error)
{
	return EXIT_NO;
}

static int verb_later(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct fixture *f = gateway;

	f->ticket = control_later(f->control);
	return EXIT_LATER;
}

/* As a handler whose queue turns out to be full. */
static int verb_not_later(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct fixture *f = gateway;

	f->ticket = control_later(f->control);
	return exit_fail(error, EXIT_NO, "too many wait");
}

static const struct control_verb verbs[] = {
	{"later", false, verb_later}, {"not later", false, verb_not_later}, {"echo", false, verb_echo},
	{"change", true, verb_echo},  {"fail", false, verb_fail},	    {"huge", false, verb_huge},
	{"null", false, verb_null},   {"mute", false, verb_mute},	    {0},
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char error[256];

	strcpy(f->folder, "/tmp/sluice-control-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/run/s.sock", f->folder);
	f->control = control_open(f->path, verbs, f, error, sizeof(error));
	assert_non_null(f->control);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char run[80];

	control_close(f->control);
	assert_int_equal(access(f->path, F_OK), -1);
	snprintf(run, sizeof(run), "%s/run", f->folder);
	rmdir(run);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

/* ---- a client ------------------------------------------------------------------------------- */

static int connect_client(const struct fixture *f)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Serves while there is something to do. */
static void serve(struct fixture *f)
{
	struct pollfd p = {.fd = control_fd(f->control), .events = POLLIN};

	for (int i = 0; i < 1000 && poll(&p, 1, 0) > 0; i++)
		control_serve(f->control);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What came, terminated; -1 in *n: the connection was closed. */
static void hear(int fd, char *buf, size_t size, ssize_t *n)
{
	errno = 0;
	*n = recv(fd, buf, size - 1, 0);
	buf[*n > 0 ? *n : 0] = 0;
	if (*n == 0)
		*n = -1;
}

static void ask_and_expect(struct fixture *f, const char *request, const char *answer)
{
	int fd = connect_client(f);
	char buf[4096];
	ssize_t n;

	say(fd, request);
	serve(f);
	hear(fd, buf, sizeof(buf), &n);
	assert_string_equal(buf, answer);
	close(fd);
	serve(f);
}

/* ---- the protocol ---------------------------------------------------------------------------- */

#define REFUSED(text, status) "{\"schema\":1,\"ok\":false,\"error\":\"" text "\",\"exit\":" status "}\n"
#define FORM		      "expected {\\\"schema\\\": 1, \\\"command\\\": \\\"...\\\", \\\"args\\\": {...}}"

static const struct {
	const char *request, *answer;
} exchanges[] = {
	{"{\"schema\":1,\"command\":\"echo\",\"args\":{\"a\":1}}\n",
	 "{\"schema\":1,\"ok\":true,\"result\":{\"a\":1}}\n"},
	{"{\"schema\":1,\"command\":\"echo\"}\n", "{\"schema\":1,\"ok\":true,\"result\":{}}\n"},
	{"{\"schema\":1,\"command\":\"null\"}\n", "{\"schema\":1,\"ok\":true,\"result\":null}\n"},
	{"{\"schema\":1,\"command\":\"fail\"}\n", REFUSED("no such client: \\\"bob\\\"", "2")},
	{"{\"schema\":1,\"command\":\"mute\"}\n", REFUSED("failed", "1")},
	{"{\"schema\":2,\"command\":\"echo\"}\n",
	 REFUSED("this gateway speaks schema 1: the command is of another version", "2")},
	{"{\"command\":\"echo\"}\n", REFUSED("this gateway speaks schema 1: the command is of another version", "2")},
	{"{\"schema\":1}\n", REFUSED(FORM, "2")},
	{"{\"schema\":1,\"command\":7}\n", REFUSED(FORM, "2")},
	{"{\"schema\":1,\"command\":\"echo\",\"args\":[1]}\n", REFUSED(FORM, "2")},
	{"[]\n", REFUSED("this gateway speaks schema 1: the command is of another version", "2")},
	{"{\"schema\":1,\"command\":\"boom\"}\n",
	 REFUSED("the running gateway does not know this command: is it of an older version?", "2")},
};

static void test_exchanges(void **state)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(*exchanges); i++)
		ask_and_expect(*state, exchanges[i].request, exchanges[i].answer);
}

static void test_not_json(void **state)
{
	static const char *const lines[] = {"", "x", "{", "{\"schema\":1,\"schema\":1}", "\xff\xfe", "null", "{}}"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		json_t *answer = control_answer(verbs, *state, 0, lines[i], strlen(lines[i]));

		assert_true(json_is_false(json_object_get(answer, "ok")));
		assert_int_equal(json_integer_value(json_object_get(answer, "exit")), EXIT_USAGE);
		assert_true(json_is_string(json_object_get(answer, "error")));
		json_decref(answer);
	}
	assert_int_equal(((struct fixture *)*state)->calls, 0);
}

static void test_only_root_changes(void **state)
{
	static const char line[] = "{\"schema\":1,\"command\":\"change\",\"args\":{\"name\":\"a\\u001b[31m\"}}";
	struct fixture *f = *state;
	json_t *answer = control_answer(verbs, f, 1000, line, sizeof(line) - 1);

	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_int_equal(json_integer_value(json_object_get(answer, "exit")), EXIT_NO);
	assert_int_equal(f->calls, 0);
	json_decref(answer);
	answer = control_answer(verbs, f, 0, line, sizeof(line) - 1);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_int_equal(f->calls, 1);
	json_decref(answer);
}

/* ---- the socket -------------------------------------------------------------------------------- */

static void test_mode_and_folder(void **state)
{
	struct fixture *f = *state;
	char run[80];
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	snprintf(run, sizeof(run), "%s/run", f->folder);
	assert_int_equal(stat(run, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
}

static void test_live_socket_is_refused(void **state)
{
	struct fixture *f = *state;
	char error[256];

	assert_null(control_open(f->path, verbs, f, error, sizeof(error)));
	assert_non_null(strstr(error, "another gateway runs"));
	ask_and_expect(f, exchanges[0].request, exchanges[0].answer); /* and the one that runs goes on */
}

/* Whoever lives there is so busy that it accepts nobody: it is there all the same, and is not waited for. */
static void test_a_socket_whose_queue_is_full_is_live(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int busy = socket(AF_UNIX, SOCK_STREAM, 0), waiting[64], n = 0;
	char error[256];

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/busy", f->folder);
	assert_int_equal(bind(busy, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(busy, 0), 0);
	do {
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (!connect(waiting[n++], (struct sockaddr *)&sa, sizeof(sa)) && n < 64);
	assert_int_equal(errno, EAGAIN);
	assert_null(control_open(sa.sun_path, verbs, f, error, sizeof(error)));
	assert_non_null(strstr(error, "another gateway runs"));
	while (n)
		close(waiting[--n]);
	close(busy);
	assert_int_equal(unlink(sa.sun_path), 0);
}

static void test_stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char error[256];

	control_close(f->control);
	strcpy(sa.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); /* as kill -9 leaves it */
	f->control = control_open(f->path, verbs, f, error, sizeof(error));
	assert_non_null(f->control);
	ask_and_expect(f, exchanges[0].request, exchanges[0].answer);
}

static void test_other_file_is_not_removed(void **state)
{
	struct fixture *f = *state;
	char path[160], error[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/precious", f->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	assert_null(control_open(path, verbs, f, error, sizeof(error)));
	assert_non_null(strstr(error, "is there and is not a socket"));
	assert_int_equal(unlink(path), 0);
}

static void test_too_long_a_name(void **state)
{
	char path[200], error[256];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_null(control_open(path, verbs, NULL, error, sizeof(error)));
	assert_non_null(strstr(error, "too long a name"));
}

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

/* ---- the commands' side ---------------------------------------------------------------------------- */

struct server {
	struct fixture *f;
	atomic_bool stop;
};

static void *serve_until_stopped(void *arg)
{
	struct server *s = arg;
	struct pollfd p = {.fd = control_fd(s->f->control), .events = POLLIN};

	while (!s->stop)
		if (poll(&p, 1, 10) > 0)
			control_serve(s->f->control);
	return NULL;
}

static void test_call(void **state)
{
	struct server s = {.f = *state};
	json_t *result;
	char *error;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, serve_until_stopped, &s), 0);
	assert_int_equal(control_call(s.f->path, "echo", json_pack("{s:s}", "a", "b"), &result, &error), EXIT_YES);
	assert_string_equal(json_string_value(json_object_get(result, "a")), "b");
	assert_null(error);
	json_decref(result);
	assert_int_equal(control_call(s.f->path, "fail", NULL, &result, &error), EXIT_USAGE);
	assert_null(result);
	assert_string_equal(error, "no such client: \"bob\"");
	free(error);
	assert_int_equal(control_call(s.f->path, "huge", json_pack("{s:i}", "size", 3000000), &result, &error),
			 EXIT_YES);
	assert_int_equal(json_string_length(result), 3000000);
	json_decref(result);
	s.stop = true;
	pthread_join(thread, NULL);
}

static void test_call_without_gateway(void **state)
{
	json_t *result;
	char *error;

	assert_int_equal(control_call("/nonexistent/s.sock", "status", NULL, &result, &error), EXIT_NOT_RUNNING);
	assert_non_null(strstr(error, "no gateway runs"));
	assert_null(result);
	free(error);
}

int main(void)
{
#define WITH_SOCKET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SOCKET(test_exchanges),
		WITH_SOCKET(test_not_json),
		WITH_SOCKET(test_only_root_changes),
		WITH_SOCKET(test_mode_and_folder),
		WITH_SOCKET(test_live_socket_is_refused),
		WITH_SOCKET(test_a_socket_whose_queue_is_full_is_live),
		WITH_SOCKET(test_stale_socket_is_replaced),
		WITH_SOCKET(test_other_file_is_not_removed),
		WITH_SOCKET(test_too_long_a_name),
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
		WITH_SOCKET(test_call),
		cmocka_unit_test(test_call_without_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
