/* SPDX-License-Identifier: BSD-2-Clause */
#include "uapi_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/log.h"
#include "user/base/unix_socket.h"
#include "user/base/clock.h"

#define ANSWER_SECONDS 5 /* a reader slower than that is cut off */

struct connection {
	struct uapi_socket *socket;
	struct loop_watch watch;
	struct uapi_request request;
	bool open;
};

struct uapi_socket {
	struct device *device;
	struct uapi_device settings;
	struct loop_watch watch;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct connection connections[UAPI_CONNECTIONS];
};

static void hang_up(struct connection *c)
{
	loop_remove(c->socket->device->loop, &c->watch);
	close(c->watch.fd);
	uapi_request_free(&c->request);
	c->request = (struct uapi_request){0};
	c->open = false;
}

/* An answer fits the socket's buffer but for thousands of peers: a short wait is fair, `wg` reads at once. */
static bool uapi_socket_send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool uapi_socket_answer(struct connection *c)
{
	struct uapi_socket *s = c->socket;
	struct engine_time time = {.mono = clock_now(), .wall = clock_wall()};
	char *text;
	size_t len;
	bool sent;

	s->settings.listen_port = s->device->options.listen;
	s->settings.fwmark = s->device->options.mark;
	text = uapi_answer(&c->request, s->device->engine, &s->settings, &time, &len);
	if (!text)
		return false;
	sent = uapi_socket_send_all(c->watch.fd, text, len);
	uapi_answer_free(text, len);
	return sent;
}

static void uapi_socket_readable(void *context)
{
	struct connection *c = context;
	char bytes[4096];
	ssize_t n = recv(c->watch.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	enum uapi_status status;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	status = uapi_feed(&c->request, bytes, (size_t)n);
	explicit_bzero(bytes, sizeof(bytes)); /* keys */
	while (status == UAPI_READY) {
		if (!uapi_socket_answer(c)) {
			hang_up(c);
			return;
		}
		status = uapi_feed(&c->request, NULL, 0);
	}
	if (status == UAPI_TOO_LONG)
		hang_up(c);
}

static void accept_one(void *context)
{
	struct uapi_socket *s = context;
	struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	for (int i = 0; i < UAPI_CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];

		if (c->open)
			continue;
		if (loop_add(s->device->loop, &c->watch, fd, uapi_socket_readable, c))
			break;
		c->socket = s;
		c->open = true;
		return;
	}
	close(fd);
}

static int open_listener(struct uapi_socket *s)
{
	struct sockaddr_un name;
	mode_t mask;
	int err = 0;

	if (!unix_address(&name, s->path))
		return -ENAMETOOLONG;
	if (mkdir(UAPI_FOLDER, 0755) && errno != EEXIST)
		return -errno;
	if (unix_is_live(&name))
		return -EADDRINUSE;
	unlink(s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	mask = umask(0077);
	if (bind(s->fd, (void *)&name, sizeof(name)) || listen(s->fd, UAPI_CONNECTIONS))
		err = -errno;
	umask(mask);
	return err ?: loop_add(s->device->loop, &s->watch, s->fd, accept_one, s);
}

struct uapi_socket *uapi_socket_open(struct device *d, const struct uapi_device *settings, char *error, size_t size)
{
	struct uapi_socket *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		snprintf(error, size, "out of memory");
		return NULL;
	}
	s->device = d;
	s->settings = *settings;
	s->fd = -1;
	snprintf(s->path, sizeof(s->path), UAPI_FOLDER "/%s.sock", d->tap.name);
	err = open_listener(s);
	if (!err)
		return s;
	snprintf(error, size, "%s: %s%s", s->path, strerror(-err),
		 err == -EADDRINUSE ? " (another WireGuard answers there)" : "");
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return NULL;
}

void uapi_socket_close(struct uapi_socket *s)
{
	if (!s)
		return;
	for (int i = 0; i < UAPI_CONNECTIONS; i++)
		if (s->connections[i].open)
			hang_up(&s->connections[i]);
	loop_remove(s->device->loop, &s->watch);
	close(s->fd);
	unlink(s->path);
	free(s);
}
