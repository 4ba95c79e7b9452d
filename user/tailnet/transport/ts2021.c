/* SPDX-License-Identifier: BSD-2-Clause */
/* The layers between a connection and a coordination server's requests (ts2021.h). */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ts2021.h"
#include "http2.h"
#include "policy/alloc.h"
#include "user/base/secret.h"
#include "user/wireguard/crypto.h"
#include "user/base/text.h"
#include "user/base/url.h"
#include "user/base/http1.h"

struct ts2021 {
	const struct ts2021_ops *ops;
	void *ctx;
	char authority[URL_HOST_MAX + 1];
	struct http1 upgrade;
	struct noise_control noise;
	struct early early;
	struct http2 *http2; /* NULL until the handshake is done */
	char error[200];
};

static bool ts2021_fail(struct ts2021 *c, const char *why)
{
	if (!*c->error)
		snprintf(c->error, sizeof(c->error), "%s", why);
	return false;
}

static bool send_upgrade(struct ts2021 *c, const struct url *server, const uint8_t init[NOISE_CONTROL_INIT_LEN])
{
	char base64[sodium_base64_ENCODED_LEN(NOISE_CONTROL_INIT_LEN, sodium_base64_VARIANT_ORIGINAL)];
	const struct http1_header headers[] = {
		{"Upgrade", "tailscale-control-protocol"},
		{"Connection", "upgrade"},
		{"X-Tailscale-Handshake", base64},
		{"Content-Length", "0"},
	};
	struct url to = *server;
	char request[1024];
	size_t len;

	sodium_bin2base64(base64, sizeof(base64), init, NOISE_CONTROL_INIT_LEN, sodium_base64_VARIANT_ORIGINAL);
	strcpy(to.path, "/ts2021");
	len = http1_request(request, sizeof(request), "POST", &to, headers, 4);
	return len && c->ops->send(c->ctx, (const uint8_t *)request, len);
}

struct ts2021 *ts2021_new(const struct url *server, const struct ts2021_keys *keys, const struct ts2021_ops *ops,
			  void *ctx)
{
	struct ts2021 *c = secret_memory(sizeof(*c)); /* the machine's key and the session's are in it */
	uint8_t init[NOISE_CONTROL_INIT_LEN];

	c->ops = ops;
	c->ctx = ctx;
	strcpy(c->authority, server->host);
	http1_init(&c->upgrade, false);
	if (noise_control_start(&c->noise, keys->machine, keys->server, keys->ephemeral, init) &&
	    send_upgrade(c, server, init))
		return c;
	ts2021_free(c);
	return NULL;
}

void ts2021_free(struct ts2021 *c)
{
	if (!c)
		return;
	http2_free(c->http2);
	noise_control_wipe(&c->noise);
	http1_free(&c->upgrade);
	secret_memory_free(c);
}

/* ---- outward: HTTP/2 bytes become records --------------------------------- */

static bool send_wire(void *ctx, const uint8_t *bytes, size_t len)
{
	struct ts2021 *c = ctx;

	return c->ops->send(c->ctx, bytes, len);
}

static bool send_plain(void *ctx, const uint8_t *bytes, size_t len)
{
	struct ts2021 *c = ctx;
	const struct sink wire = {send_wire, c};

	return noise_control_send(&c->noise, bytes, len, &wire);
}

/* ---- inward ------------------------------------------------------------------ */

static void ts2021_on_status(void *ctx, int32_t stream, int status, unsigned retry_after)
{
	struct ts2021 *c = ctx;

	c->ops->status(c->ctx, stream, status, retry_after);
}

static bool ts2021_on_body(void *ctx, int32_t stream, const uint8_t *bytes, size_t len)
{
	struct ts2021 *c = ctx;

	return c->ops->body(c->ctx, stream, bytes, len);
}

static void ts2021_on_closed(void *ctx, int32_t stream, bool whole)
{
	struct ts2021 *c = ctx;

	c->ops->closed(c->ctx, stream, whole);
}

static bool take_http2(void *ctx, const uint8_t *bytes, size_t len)
{
	struct ts2021 *c = ctx;

	return http2_receive(c->http2, bytes, len) || ts2021_fail(c, http2_error(c->http2));
}

static bool take_plain(void *ctx, const uint8_t *bytes, size_t len)
{
	struct ts2021 *c = ctx;
	const struct sink http2 = {take_http2, c};

	return early_receive(&c->early, bytes, len, &http2) || ts2021_fail(c, "the server's early payload is too long");
}

static bool start_http2(struct ts2021 *c)
{
	static const struct http2_ops ops = {send_plain, ts2021_on_status, ts2021_on_body, ts2021_on_closed};

	c->http2 = http2_new(c->authority, &ops, c);
	if (!c->http2)
		return ts2021_fail(c, "HTTP/2 does not start");
	c->ops->ready(c->ctx);
	return true;
}

static bool take_records(struct ts2021 *c, const uint8_t *bytes, size_t len)
{
	const struct sink plain = {take_plain, c};

	while (len) {
		/* The handshake's answer alone first: what follows it may be for HTTP/2 already. */
		size_t part = c->http2 ? len : 1;

		if (!noise_control_receive(&c->noise, bytes, part, &plain))
			return ts2021_fail(c, c->noise.error);
		bytes += part;
		len -= part;
		if (!c->http2 && c->noise.state == NOISE_CONTROL_OPEN && !start_http2(c))
			return false;
	}
	return true;
}

static bool refuse_upgrade(struct ts2021 *c)
{
	char shown[100], why[sizeof(c->error)];

	if (c->upgrade.state == HTTP1_BAD)
		return ts2021_fail(c, "the server does not speak HTTP");
	snprintf(why, sizeof(why), "the server refuses the protocol (HTTP status %d%s%s)", c->upgrade.status,
		 c->upgrade.body_len ? ": " : "", text_escape(c->upgrade.body, shown, sizeof(shown)));
	return ts2021_fail(c, why);
}

bool ts2021_receive(struct ts2021 *c, const uint8_t *bytes, size_t len)
{
	size_t used = 0;

	if (c->upgrade.state != HTTP1_UPGRADED) {
		used = http1_receive(&c->upgrade, (const char *)bytes, len);
		if (c->upgrade.state == HTTP1_BAD || c->upgrade.state == HTTP1_DONE)
			return refuse_upgrade(c);
	}
	return c->upgrade.state != HTTP1_UPGRADED || take_records(c, bytes + used, len - used);
}

int32_t ts2021_request(struct ts2021 *c, const char *method, const char *path, const char *body, size_t len)
{
	return c->http2 ? http2_request(c->http2, method, path, body, len) : -1;
}

int32_t ts2021_post(struct ts2021 *c, const char *path, char *json)
{
	int32_t stream = json ? ts2021_request(c, "POST", path, json, strlen(json)) : -1;

	if (json)
		crypto_wipe(json, strlen(json));
	free(json);
	return stream;
}

void ts2021_cancel(struct ts2021 *c, int32_t stream)
{
	if (c->http2)
		http2_cancel(c->http2, stream);
}

const char *ts2021_error(const struct ts2021 *c)
{
	return c->error;
}
