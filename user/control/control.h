/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_CONTROL_H
#define SLUICE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/exit.h"

/*
 * The control socket: how commands talk to a running gateway. A UNIX stream
 * socket; a request is one line of JSON, its answer is one line:
 *
 *	{"schema": 1, "command": "flows", "args": {"user": "alice@example.com"}}
 *	{"schema": 1, "ok": true, "result": {...}}
 *	{"schema": 1, "ok": false, "error": "no such client: \"bob\"", "exit": 1}
 *
 * A connection may carry many requests, one after the other. Whoever may open the
 * socket (mode 0660, group "sluice") may ask; only uid 0 may change, as the kernel
 * tells (SO_PEERCRED), and every change is logged with its uid.
 *
 * Bounds: CONTROL_CONNECTIONS at once (the user who has most makes room, by the one
 * that idles longest), a request of CONTROL_REQUEST_MAX bytes (root:
 * CONTROL_REQUEST_MAX_ROOT, policies come this way), an answer of CONTROL_ANSWER_MAX
 * (root: CONTROL_ANSWER_MAX_ROOT), CONTROL_HELD_MAX bytes of answers that one user other
 * than root has not read yet (his further requests wait, nobody else's), and CONTROL_PATIENCE
 * seconds without progress until a connection is dropped.
 *
 * Time is shared, too: the thread answers one request a turn, users in turn. What
 * could be long comes in pages: an answer with "next" goes on with that as "after".
 */
#define CONTROL_SCHEMA		 1
#define CONTROL_CONNECTIONS	 64
#define CONTROL_REQUEST_MAX	 (64u << 10)
#define CONTROL_REQUEST_MAX_ROOT (20u << 20)
#define CONTROL_ANSWER_MAX	 (8u << 20)
#define CONTROL_ANSWER_MAX_ROOT	 (64u << 20)
#define CONTROL_HELD_MAX	 (16u << 20)
#define CONTROL_PATIENCE	 10

#define EXIT_LATER (-1) /* of a handler: control_finish() will bring the answer */

/* ---- in the gateway ---------------------------------------------------------- */

struct control_verb {
	const char *name; /* as commands send it: "clients kick" */
	bool changes;	  /* only uid 0; logged */
	/*
	 * @args is an object. Returns EXIT_YES with *result (a new reference; NULL
	 * gives null), or another exit status with *error (from malloc; one line
	 * that says what to do). Runs in the thread that calls control_serve(). What
	 * takes long is done elsewhere: the handler takes a ticket by control_later()
	 * and returns EXIT_LATER; its connection hears nothing until then. With any
	 * other status the ticket is void.
	 */
	int (*handler)(void *gateway, const json_t *args, json_t **result, char **error);
};

struct control;

/*
 * Opens the socket at @path: the folder is made (0755) if absent, a socket that
 * nobody answers on is replaced, one that is answered is refused (another gateway
 * runs). @verbs ends with a NULL name and must outlive the result. NULL with a
 * message in @error on failure.
 */
struct control *control_open(const char *path, const struct control_verb *verbs, void *gateway, char *error,
			     size_t size);

/* One descriptor for the caller's epoll: readable (EPOLLIN) when control_serve()
 * has something to do, its own timeouts included. */
int control_fd(const struct control *c);

/* One turn: what can be done without waiting, and one request. */
void control_serve(struct control *c);

/* In a handler: names who asks, so that the answer can come later. Never 0 but in control_answer(). */
uint64_t control_later(struct control *c);
/*
 * The answer to a handler that returned EXIT_LATER; not from within a handler. Takes over
 * @result and @error. It is dropped where whoever asked has gone, and with a ticket of 0.
 */
void control_finish(struct control *c, uint64_t ticket, int status, json_t *result, char *error);

/* In a handler: the uid of who asks. Root's alone is what opens more than a view, such as a login's URL. */
uint32_t control_asker(void);

/* Closes all connections and removes the socket. A last answer that is still
 * unsent gets one more try. NULL is fine. */
void control_close(struct control *c);

/* Pure: one request line (@len bytes, without the newline) of a caller with this
 * uid to one answer object (new reference; NULL: it comes later, or there is no
 * memory). Here for tests and the fuzzer. */
json_t *control_answer(const struct control_verb *verbs, void *gateway, uint32_t uid, const char *line, size_t len);

/* ---- in commands --------------------------------------------------------------- */

/*
 * Asks the gateway at @path. @args (NULL: none) is stolen. Returns EXIT_YES with
 * *result (new reference), EXIT_NOT_RUNNING when nobody listens, or the exit
 * status of the answer; in both last cases *error has the message (from malloc).
 */
int control_call(const char *path, const char *command, json_t *args, json_t **result, char **error);

/*
 * The same, page after page, for a command that lists: *result is the last page with all
 * entries in its array @list, at most @limit of them (UINT64_MAX: all), and with the sum of
 * "matched". Others are answered between two pages, so the list is not of one moment.
 */
int control_call_pages(const char *path, const char *command, json_t *args, const char *list, uint64_t limit,
		       json_t **result, char **error);

#endif
