/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_TEST_CONTROL_SERVER_H
#define SLUICE_TEST_CONTROL_SERVER_H

/* A control socket in a folder of its own, served by hand between the steps of a client, and commands of every kind. */
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

static inline int verb_echo(void *gateway, const json_t *args, json_t **result, char **error)
{
	((struct fixture *)gateway)->calls++;
	*result = json_deep_copy(args);
	return EXIT_YES;
}

static inline int verb_fail(void *gateway, const json_t *args, json_t **result, char **error)
{
	return exit_fail(error, EXIT_USAGE, "no such client: \"%s\"", "bob");
}

static inline int verb_huge(void *gateway, const json_t *args, json_t **result, char **error)
{
	size_t size = (size_t)json_integer_value(json_object_get(args, "size"));
	char *text = malloc(size + 1);

	memset(text, 'x', size);
	text[size] = 0;
	*result = json_string(text);
	free(text);
	return EXIT_YES;
}

static inline int verb_null(void *gateway, const json_t *args, json_t **result, char **error)
{
	return EXIT_YES;
}

static inline int verb_mute(void *gateway, const json_t *args, json_t **result, char **error)
{
	return EXIT_NO;
}

static inline int verb_later(void *gateway, const json_t *args, json_t **result, char **error)
{
	struct fixture *f = gateway;

	f->ticket = control_later(f->control);
	return EXIT_LATER;
}

/* As a handler whose queue turns out to be full. */
static inline int verb_not_later(void *gateway, const json_t *args, json_t **result, char **error)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

static inline int connect_client(const struct fixture *f)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Serves while there is something to do. */
static inline void serve(struct fixture *f)
{
	struct pollfd p = {.fd = control_fd(f->control), .events = POLLIN};

	for (int i = 0; i < 1000 && poll(&p, 1, 0) > 0; i++)
		control_serve(f->control);
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What came, terminated; -1 in *n: the connection was closed. */
static inline void hear(int fd, char *buf, size_t size, ssize_t *n)
{
	errno = 0;
	*n = recv(fd, buf, size - 1, 0);
	buf[*n > 0 ? *n : 0] = 0;
	if (*n == 0)
		*n = -1;
}

static inline void ask_and_expect(struct fixture *f, const char *request, const char *answer)
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

#endif
