/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket, the commands' side (protocol: control.h): one request, one
 * answer. Blocking; a gateway that does not answer is waited for, for a reload may
 * compile a large policy, until the socket's own timeout.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "user/base/unix_socket.h"
#include "user/base/exit.h"

#define WAIT_SECONDS 120

/* Says why there is no connection. */
static int control_client_explain(const char *path, int why, char **error)
{
	switch (why) {
	case ENOENT:
	case ECONNREFUSED:
		return exit_fail(error, EXIT_NOT_RUNNING,
				 "no gateway runs: nobody answers on %s (`systemctl start sluice`, or `sluice run`)",
				 path);
	case EACCES:
		return exit_fail(error, EXIT_NO, "%s: permission denied: try sudo, or join the group sluice", path);
	default:
		return exit_fail(error, EXIT_NO, "%s: %s", path, strerror(why));
	}
}

static int control_client_connect_to(const char *path, int *fd, char **error)
{
	struct sockaddr_un sa;
	struct timeval wait = {.tv_sec = WAIT_SECONDS};
	int status;

	if (!unix_address(&sa, path))
		return exit_fail(error, EXIT_USAGE, "%s: too long for the name of a socket", path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd >= 0 && !setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) &&
	    !connect(*fd, (struct sockaddr *)&sa, sizeof(sa)))
		return EXIT_YES;
	status = control_client_explain(path, errno, error);
	if (*fd >= 0)
		close(*fd);
	return status;
}

static bool control_client_send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EPIPE; /* refused early; the answer says why */
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_request(int fd, const char *command, json_t *args)
{
	json_t *request = json_pack("{s:i, s:s, s:O}", "schema", CONTROL_SCHEMA, "command", command, "args", args);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	bool sent = text && control_client_send_all(fd, text, strlen(text)) && control_client_send_all(fd, "\n", 1);

	free(text);
	json_decref(request);
	return sent;
}

static json_t *read_answer(int fd, char **error)
{
	FILE *in = fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	json_t *answer = NULL;
	json_error_t e;
	ssize_t n;

	if (!in) {
		close(fd);
		return NULL;
	}
	n = getline(&line, &cap, in);
	if (n <= 0)
		exit_fail(error, 0, "the gateway did not answer (it may have stopped)");
	else if (!(answer = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &e)))
		exit_fail(error, 0, "the gateway's answer is not JSON: %s", e.text);
	free(line);
	fclose(in);
	return answer;
}

static int unpack(const json_t *answer, json_t **result, char **error)
{
	const char *text = json_string_value(json_object_get(answer, "error"));
	json_int_t status = json_integer_value(json_object_get(answer, "exit"));

	if (json_is_true(json_object_get(answer, "ok"))) {
		*result = json_incref(json_object_get(answer, "result"));
		return *result ? EXIT_YES : exit_fail(error, EXIT_NO, "the gateway's answer has no result");
	}
	return exit_fail(error, status >= 1 && status <= 3 ? (int)status : EXIT_NO, "%s",
			 text ? text : "the gateway refused");
}

int control_call(const char *path, const char *command, json_t *args, json_t **result, char **error)
{
	json_t *own = args ? args : json_object(), *answer = NULL;
	int fd = -1, status;

	*result = NULL;
	*error = NULL;
	status = control_client_connect_to(path, &fd, error);
	if (status == EXIT_YES) {
		status = EXIT_NO;
		if (send_request(fd, command, own))
			answer = read_answer(fd, error);
		else
			close(fd);
		if (answer)
			status = unpack(answer, result, error);
		else if (!*error)
			exit_fail(error, status, "%s: cannot send the request", path);
	}
	json_decref(answer);
	json_decref(own);
	return status;
}

/* ---- pages -------------------------------------------------------------------- */

/* Puts what came before, which it takes over, in front of what @page has. */
static void control_client_join(json_t *before, json_t *page, const char *list)
{
	json_t *entries = json_object_get(before, list);
	json_int_t matched = json_integer_value(json_object_get(before, "matched"));

	json_array_extend(entries, json_object_get(page, list));
	json_object_set(page, list, entries);
	if (json_object_get(page, "matched"))
		json_integer_set(json_object_get(page, "matched"),
				 matched + json_integer_value(json_object_get(page, "matched")));
	json_decref(before);
}

/* A hash whose entries come and go may begin anew: never more than it can hold. */
static uint64_t room_of(const json_t *page, uint64_t limit)
{
	json_int_t most = json_integer_value(json_object_get(page, "max_entries"));

	return most > 0 && (uint64_t)most < limit ? (uint64_t)most : limit;
}

int control_call_pages(const char *path, const char *command, json_t *args, const char *list, uint64_t limit,
		       json_t **result, char **error)
{
	json_t *own = args ? args : json_object(), *so_far = NULL, *next;
	size_t n = 0;
	int status;

	while ((status = control_call(path, command, json_incref(own), result, error)) == EXIT_YES) {
		if (so_far)
			control_client_join(so_far, *result, list);
		so_far = *result;
		n = json_array_size(json_object_get(so_far, list));
		next = json_object_get(so_far, "next");
		limit = room_of(so_far, limit);
		if (!next || json_is_null(next) || (n >= limit && !json_object_get(so_far, "matched")))
			break;
		json_object_set(own, "after", next);
		if (limit != UINT64_MAX)
			json_object_set_new(own, "limit", json_integer((json_int_t)(n < limit ? limit - n : 0)));
	}
	if (status != EXIT_YES)
		json_decref(so_far);
	json_decref(own);
	return status;
}
