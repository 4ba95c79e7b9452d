/* SPDX-License-Identifier: BSD-2-Clause */
/* The coordination server's key (server_key.h). */
#include <stdio.h>

#include "user/tailnet/types/json_fields.h"
#include "user/tailnet/transport/noise_control.h"
#include "server_key.h"
#include "user/base/url.h"

size_t server_key_start(struct server_key *k, const struct url *server, char *buf, size_t size)
{
	const struct http1_header headers[] = {{"Connection", "close"}, {"Accept", "application/json"}};
	struct url to = *server;

	http1_init(&k->http, false);
	snprintf(to.path, sizeof(to.path), "/key?v=%d", CAPABILITY_VERSION);
	return http1_request(buf, size, "GET", &to, headers, 2);
}

static enum server_key_result server_key_read(struct server_key *k)
{
	struct fields f = {0};
	json_t *root = fields_parse(&f, k->http.body, k->http.body_len);

	if (root && !field_key(&f, root, "publicKey", TAILKEY_MACHINE, k->key))
		fields_mistake(&f, "publicKey", "absent");
	json_decref(root);
	if (!fields_bad(&f))
		return SERVER_KEY_DONE;
	snprintf(k->error, sizeof(k->error), "its answer to /key: %s", f.error);
	return SERVER_KEY_FAILED;
}

enum server_key_result server_key_receive(struct server_key *k, const uint8_t *bytes, size_t len)
{
	if (len)
		http1_receive(&k->http, (const char *)bytes, len);
	else
		http1_end(&k->http);
	if (k->http.state == HTTP1_HEAD || k->http.state == HTTP1_BODY)
		return SERVER_KEY_MORE;
	if (k->http.state == HTTP1_DONE && k->http.status == 200)
		return server_key_read(k);
	if (k->http.state == HTTP1_DONE)
		snprintf(k->error, sizeof(k->error), "does not tell its key (HTTP status %d): is this a login_server?",
			 k->http.status);
	else
		snprintf(k->error, sizeof(k->error), len ? "does not speak HTTP" : "broke off its answer to /key");
	return SERVER_KEY_FAILED;
}

void server_key_free(struct server_key *k)
{
	if (k)
		http1_free(&k->http);
}
