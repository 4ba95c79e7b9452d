/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netmap on disk (kept_netmap.h): the server's URL with its zero, then the roster's bytes.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kept_netmap.h"
#include "policy/alloc.h"
#include "user/base/kept.h"
#include "user/base/log.h"
#include "user/base/url.h"

#define FILE_MAX (256u << 20)

static char *path_in(const char *folder)
{
	return mem_printf("%s/netmap", folder);
}

static char *same_spelling(const char *server)
{
	struct url u;

	if (!url_parse(server, &u))
		return mem_strdup(server);
	for (char *c = u.host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return mem_printf("%s://%s:%u%s", u.tls ? "https" : "http", u.host, u.port, u.path);
}

void kept_netmap_save(const char *folder, const char *server, const struct netmap_copy *r)
{
	char *path = path_in(folder), *whose = same_spelling(server);
	size_t len, head = strlen(whose) + 1;
	uint8_t *bytes = netmap_copy_save(r, &len), *file = mem_alloc(head + len, 1);
	int rc;

	memcpy(file, whose, head);
	memcpy(file + head, bytes, len);
	rc = kept_write(path, 1, 0, (const char *)file, head + len);
	if (rc) { /* an older one may hold nodes that are out by now */
		log_warning("tailnet: %s: %s: a start will serve nobody before the server's netmap", path,
			    strerror(-rc));
		unlink(path);
	}
	free(file);
	free(bytes);
	free(whose);
	free(path);
}

bool kept_netmap_load(const char *folder, const char *server, struct netmap_copy *r)
{
	char *path = path_in(folder), *whose = same_spelling(server), *bytes, why[512];
	size_t len, head = strlen(whose) + 1;
	uint64_t serial;
	enum kept_result result = kept_read(path, 1, FILE_MAX, &bytes, &len, &serial, why, sizeof(why));
	bool loaded = result == KEPT_OK && len >= head && !memcmp(bytes, whose, head) &&
		      netmap_copy_load(r, (uint8_t *)bytes + head, len - head);

	if (!loaded && *why)
		log_warning("tailnet: %s; waiting for the server's netmap", why);
	else if (!loaded && result != KEPT_ABSENT)
		log_warning("tailnet: %s: not a netmap that was kept of %s; waiting for the server's", path, whose);
	free(bytes);
	free(whose);
	free(path);
	return loaded;
}

void kept_netmap_drop(const char *folder)
{
	char *path = path_in(folder);

	unlink(path);
	free(path);
}
