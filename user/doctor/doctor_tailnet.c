/* SPDX-License-Identifier: BSD-2-Clause */
/* doctor: how a node of a tailnet stands with its coordination server (doctor.h). */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor.h"
#include "user/print/print.h"
#include "user/base/text.h"
#include "user/base/url.h"

#define CONNECT_WAIT_MS 3000

/* 0, or what stood in the way. */
static int try_connect(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(err);

	if (fd < 0)
		return errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
		err = errno;
	else if (poll(&wait, 1, CONNECT_WAIT_MS) <= 0)
		err = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
	close(fd);
	return err;
}

/* Without a gateway that could tell: has the server's name an address, and does one take connections? */
static void look_for_server(struct doctor *d, const char *server)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	struct url url;
	char port[8];
	int err;

	if (!url_parse(server, &url))
		return;
	snprintf(port, sizeof(port), "%u", url.port);
	err = getaddrinfo(url.host, port, &hints, &list);
	if (err) {
		doctor_say(d, "tailnet", DOCTOR_FAIL, "is tailnet.login_server right, and /etc/resolv.conf?", "%s: %s",
			   url.host, gai_strerror(err));
		return;
	}
	err = EHOSTUNREACH;
	for (const struct addrinfo *a = list; a && err; a = a->ai_next)
		err = try_connect(a);
	freeaddrinfo(list);
	if (err)
		doctor_say(d, "tailnet", DOCTOR_FAIL, "is the server up, and may this machine reach it?", "%s: %s",
			   server, strerror(err));
	else
		doctor_say(d, "tailnet", DOCTOR_OK, NULL, "%s takes connections", server);
}

/* Peers look for us at our home; at other relays we look for peers. */
static void say_relays(struct doctor *d, const json_t *relays)
{
	const json_t *r;
	size_t i;

	json_array_foreach (relays, i, r) {
		const char *trouble = field_text(r, "trouble"), *host = field_text(r, "host");

		if (*trouble)
			doctor_say(d, "relay", DOCTOR_WARN, field_text(r, "advice"), "%s%s%s cannot be reached: %s",
				   field_text(r, "name"), *host ? ", " : "", host, field_text(r, "reason"));
		else
			doctor_say(d, "relay", DOCTOR_OK, NULL, "%s%s: %s", field_text(r, "name"),
				   json_is_true(json_object_get(r, "home")) ? ", our home" : "",
				   field_text(r, "state"));
	}
}

static void say_state(struct doctor *d, const json_t *tailnet)
{
	const char *state = field_text(tailnet, "state"), *text = field_text(tailnet, "text");
	const char *home = field_text(tailnet, "home"), *login = field_text(tailnet, "login");

	if (!strcmp(state, "connected"))
		doctor_say(d, "tailnet", DOCTOR_OK, NULL, "connected to %s as %s, %u nodes, home relay %s",
			   field_text(tailnet, "server"), field_text(tailnet, "node"),
			   (unsigned)field_number(tailnet, "peers"), *home ? home : "none");
	else if (*login)
		doctor_say(d, "tailnet", DOCTOR_WARN, "open it, and log in", "waits for a login: %s", login);
	else
		doctor_say(d, "tailnet", DOCTOR_WARN,
			   field_number(tailnet, "peers")
				   ? "sluice up tries again at once and tells what happens; traffic goes on by the "
				     "last netmap"
				   : "sluice up tries again at once and tells what happens",
			   "%s: %s", state, *text ? text : field_text(tailnet, "server"));
}

void doctor_tailnet(struct doctor *doctor, const struct config *cfg, const json_t *status)
{
	if (!cfg->tailnet.node)
		return;
	if (status) {
		say_state(doctor, json_object_get(status, "tailnet"));
		say_relays(doctor, json_object_get(json_object_get(status, "tailnet"), "relays"));
	} else {
		look_for_server(doctor, cfg->tailnet.login_server);
	}
}
