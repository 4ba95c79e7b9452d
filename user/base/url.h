/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SLUICE_URL_H
#define SLUICE_URL_H

#include <stdbool.h>
#include <stdint.h>

#define URL_HOST_MAX 253
#define URL_PATH_MAX 1024

struct url {
	bool tls;
	char host[URL_HOST_MAX + 1]; /* a name, or an address without brackets */
	uint16_t port;
	char path[URL_PATH_MAX + 1]; /* with query, starts with a slash */
};

/* http or https; no user name, no fragment, no character that would end a request's line. */
bool url_parse(const char *text, struct url *out);

#endif
