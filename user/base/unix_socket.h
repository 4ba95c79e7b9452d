/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_UNIX_SOCKET_H
#define SLUICE_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/un.h>

/* Stream sockets with a name in the file system: of commands (control.h) and of `wg` (uapi_socket.h). */

/* Where `wg` looks for NAME.sock of an interface; its lock is held by the process that has the interface. */
#define UAPI_FOLDER "/var/run/wireguard"
#define UAPI_LOCK   UAPI_FOLDER "/%s.lock"

/* False: @path is too long (sizeof(sun_path) - 1 bytes at most). */
bool unix_address(struct sockaddr_un *sa, const char *path);

/*
 * Whether a process has the socket open; what nobody answers on is left over, and may be
 * replaced. Never waits, however busy that process is. True where we may not ask.
 */
bool unix_is_live(const struct sockaddr_un *sa);

#endif
