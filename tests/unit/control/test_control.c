/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: its protocol, the file it is, and the commands' side of it (control_server.h).
 */
#include "control_server.h"

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
		WITH_SOCKET(test_call),
		cmocka_unit_test(test_call_without_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
