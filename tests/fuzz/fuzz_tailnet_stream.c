/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of servers before anything is authenticated, and behind it: HTTP/1.1
 * answers, a coordination server's connection (whole, and its HTTP/2 alone), a
 * relay's frames, registrations.
 */
#include <stdlib.h>
#include <string.h>

#include "user/tailnet/transport/ts2021.h"
#include "user/tailnet/relay/derp.h"
#include "user/tailnet/transport/http2.h"
#include "user/tailnet/coord/register.h"
#include "user/tailnet/coord/server_key.h"
#include "user/base/url.h"

static bool eat(void *ctx, const uint8_t *bytes, size_t len)
{
	return true;
}

static void on_ready(void *ctx)
{
}

static void on_status(void *ctx, int32_t stream, int status, unsigned retry_after)
{
}

static bool on_body(void *ctx, int32_t stream, const uint8_t *bytes, size_t len)
{
	return len % 7 != 3;
}

static void on_closed(void *ctx, int32_t stream, bool whole)
{
}

static void fuzz_channel(const uint8_t *data, size_t size)
{
	static const struct ts2021_ops ops = {eat, on_ready, on_status, on_body, on_closed};
	const struct url url = {.tls = true, .host = "h", .port = 443, .path = "/"};
	const struct ts2021_keys keys = {{1}, {9}, {3}};
	struct ts2021 *c = ts2021_new(&url, &keys, &ops, NULL);

	if (c)
		ts2021_receive(c, data, size);
	ts2021_free(c);
}

static void fuzz_http2(const uint8_t *data, size_t size)
{
	static const struct http2_ops ops = {eat, on_status, on_body, on_closed};
	struct http2 *h = http2_new("h", &ops, NULL);

	http2_request(h, "POST", "/", "{}", 2);
	http2_request(h, "HEAD", "/", NULL, 0);
	http2_receive(h, data, size);
	http2_free(h);
}

static void derp_key(void *ctx, const uint8_t key[KEY_LEN])
{
}

static void derp_packet(void *ctx, const uint8_t from[KEY_LEN], const uint8_t *bytes, size_t len)
{
	volatile uint8_t sum = from[31];

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
}

static void derp_restarting(void *ctx, uint32_t wait_ms)
{
}

static void fuzz_derp(const uint8_t *data, size_t size)
{
	static const struct derp_ops ops = {eat, derp_key, on_ready, derp_packet, derp_key, derp_restarting};
	size_t half = size / 2;
	struct derp d;

	derp_init(&d, &ops, NULL);
	if (derp_receive(&d, data, half)) {
		derp_login(&d, (const uint8_t *)"x", 1);
		derp_receive(&d, data + half, size - half);
	}
	derp_free(&d);
}

static void fuzz_answers(const uint8_t *data, size_t size)
{
	const struct url url = {.tls = true, .host = "h", .port = 443, .path = "/"};
	struct register_response response;
	struct server_key key;
	char buf[512], *text = malloc(size + 1);
	struct url parsed;

	memcpy(text, data, size);
	text[size] = 0;
	url_parse(text, &parsed);
	register_response_read(text, size, &response);
	refusal_text("it is", 400, text, size, buf, sizeof(buf));
	free(text);
	server_key_start(&key, &url, buf, sizeof(buf));
	if (server_key_receive(&key, data, size) == SERVER_KEY_MORE)
		server_key_receive(&key, NULL, 0);
	server_key_free(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(const uint8_t *, size_t) = {fuzz_channel, fuzz_http2, fuzz_derp, fuzz_answers};

	if (size)
		targets[data[0] % 4](data + 1, size - 1);
	return 0;
}
