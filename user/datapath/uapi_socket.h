/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_UAPI_SOCKET_H
#define SLUICE_UAPI_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "device.h"
#include "user/base/unix_socket.h"
#include "user/wireguard/uapi.h"

/*
 * /var/run/wireguard/NAME.sock, where the stock `wg` finds us. Root only; a few
 * connections at a time, each bounded by what uapi.h allows.
 */
#define UAPI_CONNECTIONS 16

struct uapi_socket;

/*
 * A socket that nobody answers on is replaced. The functions of @settings may be NULL
 * (uapi.h). NULL with one line in @error.
 */
struct uapi_socket *uapi_socket_open(struct device *d, const struct uapi_device *settings, char *error, size_t size);
void uapi_socket_close(struct uapi_socket *s); /* NULL is fine */

#endif
