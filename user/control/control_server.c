/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket, the gateway's side (protocol and bounds: control.h); what is
 * asked and answered is control_answer.c's.
 *
 * An epoll set of its own holds the listening socket, the connections, a timer and
 * an eventfd, so the daemon's loop watches one descriptor. A connection is reading a
 * request, has one that waits for its turn, waits for an answer that takes long, or
 * writes it, never two of them: what a client sends meanwhile waits in the kernel,
 * which is all the back pressure there is to make.
 *
 * The thread has other work, so each call of control_serve() answers one request and
 * writes WRITE_STEP bytes of an answer. The users take turns, and so do the
 * connections of each: nobody waits longer because another asks much.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "control_private.h"
#include "user/base/log.h"
#include "user/base/unix_socket.h"

#define GROUP	   "sluice"
#define READ_STEP  16384u
#define WRITE_STEP (256u << 10)
#define EVENTS	   16
#define USERS	   16 /* whose last turn is remembered; who is forgotten comes first */

struct connection {
	int fd; /* -1: free */
	uid_t uid;
	uint64_t ticket;   /* of the answer that comes later; 0: none is awaited */
	uint64_t progress; /* monotonic seconds of the last byte in or out */
	uint64_t turn;	   /* when it last had one, counted */
	char *in;	   /* the request so far */
	size_t in_len, in_cap;
	size_t line; /* length of the request that waits for its turn, newline included; 0: none does */
	char *out;   /* the answer; NULL: reading */
	size_t out_len, out_sent;
};

struct control {
	int epoll, listener, timer;
	int again; /* eventfd, readable while requests wait for their turn */
	char *path;
	const struct control_verb *verbs;
	void *gateway;
	struct connection *asking; /* whose request a handler works on */
	uint64_t tickets;	   /* given out so far */
	uint64_t turns;		   /* so far */
	struct user {
		uid_t uid;
		uint64_t turn; /* the last one; 0: a free place */
	} users[USERS];
	struct connection connections[CONTROL_CONNECTIONS];
};

static uint64_t now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec;
}

/* ---- opening ---------------------------------------------------------------- */

/* A user who may rename in the socket's folder may answer in our place; /tmp's sticky bit prevents it. */
static bool check_folder(const char *folder, char *error, size_t size)
{
	struct stat st;

	if (stat(folder, &st)) {
		snprintf(error, size, "control socket: %s: %s", folder, strerror(errno));
		return false;
	}
	if ((!st.st_uid || st.st_uid == geteuid()) && (!(st.st_mode & 022) || st.st_mode & S_ISVTX))
		return true;
	snprintf(error, size,
		 "control socket: %s belongs to uid %u, mode %04o: others than this program could put a socket of "
		 "theirs there: chown root, chmod 755",
		 folder, st.st_uid, st.st_mode & 07777);
	return false;
}

static bool make_folder(const char *path, char *error, size_t size)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	bool done = true;

	if (slash && slash != folder) {
		*slash = 0;
		done = !mkdir(folder, 0755) || errno == EEXIST;
		if (!done)
			snprintf(error, size, "control socket: cannot make %s: %s", folder, strerror(errno));
		else
			done = check_folder(folder, error, size);
	}
	free(folder);
	return done;
}

/* Removes a socket that is left over; anything else at the name is not ours to remove. */
static bool control_clear_name(const struct sockaddr_un *sa, char *error, size_t size)
{
	struct stat st;

	if (lstat(sa->sun_path, &st))
		return true;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, size, "control socket: %s is there and is not a socket", sa->sun_path);
		return false;
	}
	if (unix_is_live(sa)) {
		snprintf(error, size, "another gateway runs: it answers on %s (`sluice status`)", sa->sun_path);
		return false;
	}
	unlink(sa->sun_path);
	return true;
}

static int listen_at(const char *path, char *error, size_t size)
{
	const struct group *group = getgrnam(GROUP);
	struct sockaddr_un sa;
	mode_t mask;
	int fd;

	if (!unix_address(&sa, path)) {
		snprintf(error, size, "control socket: %s is too long a name (%zu bytes at most)", path,
			 sizeof(sa.sun_path) - 1);
		return -1;
	}
	if (!make_folder(path, error, size) || !control_clear_name(&sa, error, size))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0117); /* 0660 from the first moment */
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 32)) {
		snprintf(error, size, "control socket: %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	umask(mask);
	if (fd >= 0 && group && lchown(path, (uid_t)-1, group->gr_gid))
		log_warning("control socket: cannot give %s to the group %s: %s", path, GROUP, strerror(errno));
	return fd;
}

static bool control_watch(struct control *c, int fd, uint32_t events, void *what, int op)
{
	struct epoll_event e = {.events = events, .data.ptr = what};

	return !epoll_ctl(c->epoll, op, fd, &e);
}

static bool open_rest(struct control *c)
{
	static const struct itimerspec every_second = {{1, 0}, {1, 0}};

	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	c->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c->epoll >= 0 && c->timer >= 0 && c->again >= 0 && !timerfd_settime(c->timer, 0, &every_second, NULL) &&
	       control_watch(c, c->listener, EPOLLIN, &c->listener, EPOLL_CTL_ADD) &&
	       control_watch(c, c->timer, EPOLLIN, &c->timer, EPOLL_CTL_ADD) &&
	       control_watch(c, c->again, EPOLLIN, &c->again, EPOLL_CTL_ADD);
}

struct control *control_open(const char *path, const struct control_verb *verbs, void *gateway, char *error,
			     size_t size)
{
	struct control *c = calloc(1, sizeof(*c));
	char *own = strdup(path);
	int fd;

	if (!c || !own) {
		snprintf(error, size, "control socket: out of memory");
		goto fail;
	}
	fd = listen_at(path, error, size);
	if (fd < 0)
		goto fail;
	*c = (struct control){
		.listener = fd, .epoll = -1, .timer = -1, .again = -1, .path = own, .verbs = verbs, .gateway = gateway};
	for (int i = 0; i < CONTROL_CONNECTIONS; i++)
		c->connections[i].fd = -1;
	if (open_rest(c))
		return c;
	snprintf(error, size, "control socket: %s", strerror(errno));
	control_close(c);
	return NULL;
fail:
	free(own);
	free(c);
	return NULL;
}

int control_fd(const struct control *c)
{
	return c->epoll;
}

/* ---- connections ---------------------------------------------------------------- */

static void control_drop(struct control *c, struct connection *k)
{
	if (k->fd < 0)
		return;
	close(k->fd); /* leaves the epoll set with it */
	free(k->in);
	free(k->out);
	*k = (struct connection){.fd = -1};
}

static unsigned connections_of(const struct control *c, uid_t uid)
{
	unsigned n = 0;

	for (const struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++)
		n += k->fd >= 0 && k->uid == uid;
	return n;
}

/* Is @a to go rather than @b? Whose user has most of them, then whose answer is not awaited, then who idles longest. */
static bool goes_first(const struct control *c, const struct connection *a, const struct connection *b)
{
	unsigned of_a = connections_of(c, a->uid), of_b = connections_of(c, b->uid);

	if (of_a != of_b)
		return of_a > of_b;
	if (!a->ticket != !b->ticket)
		return !a->ticket;
	return a->progress < b->progress;
}

static struct connection *free_place(struct control *c)
{
	struct connection *goes = &c->connections[0];

	for (struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++) {
		if (k->fd < 0)
			return k;
		if (goes_first(c, k, goes))
			goes = k;
	}
	control_drop(c, goes);
	return goes;
}

static void accept_all(struct control *c)
{
	int fd;

	while ((fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct ucred who = {0};
		socklen_t len = sizeof(who);
		struct connection *k;

		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len)) {
			close(fd);
			continue;
		}
		k = free_place(c);
		*k = (struct connection){.fd = fd, .uid = who.uid, .progress = now_seconds()};
		if (!control_watch(c, fd, EPOLLIN, k, EPOLL_CTL_ADD))
			control_drop(c, k);
	}
}

static size_t request_max(const struct connection *k)
{
	return k->uid == 0 ? CONTROL_REQUEST_MAX_ROOT : CONTROL_REQUEST_MAX;
}

/* False: there is no room for one more step. */
static bool control_make_room(struct connection *k)
{
	size_t cap = k->in_cap ? 2 * k->in_cap : READ_STEP;
	char *in;

	if (k->in_cap - k->in_len > 1)
		return true;
	if (cap > request_max(k))
		cap = request_max(k);
	in = cap > k->in_cap ? realloc(k->in, cap) : NULL;
	if (!in)
		return false;
	k->in = in;
	k->in_cap = cap;
	return true;
}

/* Puts an answer into k->out, and releases it. */
static void put_answer(struct connection *k, json_t *answer)
{
	k->out = control_dump(answer, k->uid ? CONTROL_ANSWER_MAX : CONTROL_ANSWER_MAX_ROOT, &k->out_len);
	json_decref(answer);
	if (!k->out) {
		answer = control_refusal(EXIT_NO, "the answer is too large: ask for less (--limit)");
		k->out = control_dump(answer, CONTROL_ANSWER_MAX, &k->out_len);
		json_decref(answer);
	}
	k->out_sent = 0;
}

static void refuse_too_long(struct control *c, struct connection *k)
{
	static const char text[] = "{\"schema\":1,\"ok\":false,\"error\":\"request too long\",\"exit\":2}\n";

	if (send(k->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control: uid %u did not take its refusal", k->uid);
	control_drop(c, k);
}

/* Does a whole request stand in k->in? Then it waits for its turn, and nothing is read meanwhile. */
static void look_for_request(struct control *c, struct connection *k)
{
	const char *end = k->in_len ? memchr(k->in, '\n', k->in_len) : NULL;

	k->line = end ? (size_t)(end - k->in) + 1 : 0;
	control_watch(c, k->fd, k->line ? 0 : EPOLLIN, k, EPOLL_CTL_MOD);
}

/* Writes a step of the answer; behind its end comes the next request. */
static void control_flush(struct control *c, struct connection *k)
{
	size_t left = k->out_len - k->out_sent, step = left < WRITE_STEP ? left : WRITE_STEP;
	ssize_t n = send(k->fd, k->out + k->out_sent, step, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		control_drop(c, k);
		return;
	}
	if (n > 0) {
		k->out_sent += (size_t)n;
		k->progress = now_seconds();
	}
	if (k->out_sent < k->out_len) {
		control_watch(c, k->fd, EPOLLOUT, k, EPOLL_CTL_MOD);
		return;
	}
	free(k->out);
	k->out = NULL;
	look_for_request(c, k);
}

static void begin_answer(struct control *c, struct connection *k, json_t *answer)
{
	put_answer(k, answer);
	if (k->out)
		control_flush(c, k);
	else
		control_drop(c, k); /* no memory even for a refusal */
}

/* ---- whose turn it is ----------------------------------------------------------- */

static struct user *control_find_user(struct control *c, uid_t uid)
{
	struct user *oldest = c->users;

	for (struct user *u = c->users; u < c->users + USERS; u++) {
		if (u->turn && u->uid == uid)
			return u;
		if (u->turn < oldest->turn)
			oldest = u;
	}
	*oldest = (struct user){.uid = uid};
	return oldest;
}

static uint64_t turn_of(const struct control *c, uid_t uid)
{
	for (const struct user *u = c->users; u < c->users + USERS; u++)
		if (u->turn && u->uid == uid)
			return u->turn;
	return 0;
}

/* Bytes of answers that are held for a user, because he does not read them. */
static size_t bytes_held(const struct control *c, uid_t uid)
{
	size_t held = 0;

	for (const struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++)
		if (k->fd >= 0 && k->uid == uid && k->out)
			held += k->out_len - k->out_sent;
	return held;
}

/* The request that is next; NULL: none can be answered. */
static struct connection *next_in_turn(struct control *c)
{
	struct connection *next = NULL;
	uint64_t next_turn = 0;

	for (struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++) {
		uint64_t turn;

		if (k->fd < 0 || !k->line || (k->uid && bytes_held(c, k->uid) >= CONTROL_HELD_MAX))
			continue;
		turn = turn_of(c, k->uid);
		if (!next || turn < next_turn || (turn == next_turn && k->turn < next->turn)) {
			next = k;
			next_turn = turn;
		}
	}
	return next;
}

static void answer_one(struct control *c, struct connection *k)
{
	json_t *answer;
	size_t line = k->line;

	k->turn = control_find_user(c, k->uid)->turn = ++c->turns;
	k->line = 0;
	c->asking = k;
	answer = control_answer(c->verbs, c->gateway, k->uid, k->in, line - 1);
	c->asking = NULL;
	k->in_len -= line;
	memmove(k->in, k->in + line, k->in_len);
	if (k->ticket && !answer) {
		control_watch(c, k->fd, 0, k, EPOLL_CTL_MOD); /* only its end is of interest now */
		return;
	}
	k->ticket = 0; /* a handler that took one may have answered all the same */
	begin_answer(c, k, answer);
}

/* Keeps the eventfd readable exactly while a request could be answered. */
static void take_turn(struct control *c)
{
	struct connection *k = next_in_turn(c);
	uint64_t count;

	if (k)
		answer_one(c, k);
	if (next_in_turn(c))
		eventfd_write(c->again, 1);
	else
		eventfd_read(c->again, &count);
}

uint64_t control_later(struct control *c)
{
	return c->asking ? c->asking->ticket = ++c->tickets : 0;
}

void control_finish(struct control *c, uint64_t ticket, int status, json_t *result, char *error)
{
	json_t *answer = control_answer_of(status, result, error);

	for (struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++) {
		if (!ticket || k->fd < 0 || k->ticket != ticket)
			continue;
		k->ticket = 0;
		k->progress = now_seconds();
		begin_answer(c, k, json_incref(answer));
		if (k->line)
			eventfd_write(c->again, 1);
		break;
	}
	json_decref(answer);
}

static void control_read_some(struct control *c, struct connection *k)
{
	ssize_t n;

	if (!control_make_room(k)) {
		refuse_too_long(c, k);
		return;
	}
	n = recv(k->fd, k->in + k->in_len, k->in_cap - k->in_len, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		control_drop(c, k);
		return;
	}
	if (n < 0)
		return;
	k->in_len += (size_t)n;
	k->progress = now_seconds();
	if (memchr(k->in + k->in_len - n, '\n', (size_t)n)) /* what came before holds no whole line */
		look_for_request(c, k);
}

static void drop_idle(struct control *c)
{
	uint64_t now = now_seconds(), fired;

	if (read(c->timer, &fired, sizeof(fired)) < 0)
		return;
	for (struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++)
		if (k->fd >= 0 && !k->ticket && now - k->progress > CONTROL_PATIENCE)
			control_drop(c, k);
}

static void serve_connection(struct control *c, struct connection *k, uint32_t events)
{
	if (k->fd < 0) /* dropped by an event before this one */
		return;
	if (k->ticket || (k->line && events & (EPOLLHUP | EPOLLERR)))
		control_drop(c, k); /* it hung up */
	else if (k->out)
		control_flush(c, k);
	else if (!k->line && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		control_read_some(c, k);
}

void control_serve(struct control *c)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(c->epoll, e, EVENTS, 0);
	bool incoming = false;

	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr == &c->listener)
			incoming = true;
		else if (e[i].data.ptr == &c->timer)
			drop_idle(c);
		else if (e[i].data.ptr != &c->again)
			serve_connection(c, e[i].data.ptr, e[i].events);
	}
	if (incoming) /* behind the others: it may give a place of this round to somebody else */
		accept_all(c);
	take_turn(c);
}

void control_close(struct control *c)
{
	if (!c)
		return;
	for (struct connection *k = c->connections; k < c->connections + CONTROL_CONNECTIONS; k++) {
		if (k->fd >= 0 && k->out)
			control_flush(c, k);
		control_drop(c, k);
	}
	if (c->again >= 0)
		close(c->again);
	if (c->epoll >= 0)
		close(c->epoll);
	if (c->timer >= 0)
		close(c->timer);
	close(c->listener);
	unlink(c->path);
	free(c->path);
	free(c);
}
