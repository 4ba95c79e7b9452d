/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How we are, for the service manager: sd_notify(3), whose protocol is one
 * datagram of KEY=VALUE lines. A name that begins with @ is in the abstract space.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "systemd.h"
#include "text.h"

static bool send_state(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	ssize_t sent;
	int fd;

	if (!len || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return false;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
	return sent >= 0;
}

static bool send_with_status(const char *state, const char *status)
{
	char text[512], escaped[400] = "";

	snprintf(text, sizeof(text), "%s%sSTATUS=%s", state, *state ? "\n" : "",
		 text_escape(status, escaped, sizeof(escaped)));
	return send_state(text);
}

bool systemd_ready(const char *status)
{
	return status ? send_with_status("READY=1", status) : send_state("READY=1");
}

bool systemd_status(const char *status)
{
	return send_with_status("", status);
}

bool systemd_stopping(void)
{
	return send_state("STOPPING=1");
}

bool systemd_reloading(uint64_t monotonic_ns)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(monotonic_ns / 1000));
	return send_state(text);
}
