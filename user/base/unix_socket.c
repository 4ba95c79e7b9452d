/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of sockets in the file system, and whether somebody is behind them (unix_socket.h). */
#include "unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool unix_address(struct sockaddr_un *sa, const char *path)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sa->sun_path))
		return false;
	strcpy(sa->sun_path, path);
	return true;
}

bool unix_is_live(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: so many wait to be accepted that there is no room for one more */
	bool live = fd >= 0 &&
		    (!connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) || errno == EAGAIN || errno == EACCES);

	if (fd >= 0)
		close(fd);
	return live;
}
