/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration protocol. The first byte says in what pieces the rest comes in.
 * Every answer is well formed; a refused request leaves no change behind.
 */
#include <stdlib.h>
#include <string.h>

#include "user/wireguard/crypto.h"
#include "user/wireguard/uapi.h"
#include "user/base/clock.h"

#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void op_send(void *ctx, const void *msg, size_t len, const struct endpoint *to)
{
}

/* A worker that keeps nothing: what is removed comes back at once. */
static void op_command(void *ctx, unsigned worker, const struct transport_command *c)
{
	struct garbage *garbage = ctx;

	if (c->op != TRANSPORT_REMOVE)
		return;
	c->transport->next_gone = garbage->transports;
	garbage->transports = c->transport;
}

static void op_index(void *ctx, uint32_t index, unsigned worker, bool used)
{
}

static void op_allowed(void *ctx, struct allowedips *snapshot)
{
	allowedips_free(snapshot);
}

static unsigned op_worker(void *ctx, uint32_t peer)
{
	return 0;
}

static void op_random(void *ctx, void *buf, size_t len)
{
	static unsigned char next;

	for (size_t i = 0; i < len; i++)
		((unsigned char *)buf)[i] = (unsigned char)(next = (unsigned char)(next * 5 + 1) ^ (unsigned char)i);
}

static const struct engine_ops ops = {.send = op_send,
				      .command = op_command,
				      .index = op_index,
				      .allowed = op_allowed,
				      .worker = op_worker,
				      .random = op_random};

static char *answer(struct uapi_request *r, struct engine *e, size_t *len)
{
	const struct engine_time now = {1000 * NS_PER_SEC, 1700000000ull * NS_PER_SEC};
	struct uapi_device device = {.listen_port = 1, .show_secrets = true};
	char *text = uapi_answer(r, e, &device, &now, len);

	MUST(text && *len >= strlen("errno=0\n\n") && !memcmp(text + *len - 2, "\n\n", 2));
	MUST(strlen(text) == *len);
	return text;
}

static char *state_of(struct engine *e, size_t *len)
{
	struct uapi_request r = {0};
	char *text;

	MUST(uapi_feed(&r, "get=1\n\n", 7) == UAPI_READY);
	text = answer(&r, e, len);
	uapi_request_free(&r);
	return text;
}

static void run_requests(struct uapi_request *r, struct engine *e)
{
	while (uapi_feed(r, NULL, 0) == UAPI_READY) {
		size_t before_len, after_len, len;
		char *before = state_of(e, &before_len), *text = answer(r, e, &len), *after = state_of(e, &after_len);

		if (strcmp(text + len - strlen("errno=0\n\n"), "errno=0\n\n"))
			MUST(!strcmp(before, after));
		uapi_answer_free(before, before_len);
		uapi_answer_free(after, after_len);
		uapi_answer_free(text, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nobody[KEY_LEN];
	static struct garbage garbage;
	static struct engine *e;
	struct uapi_request r = {0};
	size_t piece;

	if (!e) {
		const char *what;

		MUST(crypto_init(&what));
		e = engine_new(&ops, &garbage);
	}
	if (!size)
		return 0;
	piece = data[0] ? data[0] : size;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		MUST(uapi_feed(&r, (const char *)data + at, n) != UAPI_TOO_LONG);
		run_requests(&r, e);
	}
	uapi_request_free(&r);
	engine_remove_all(e);
	engine_set_identity(e, nobody);
	engine_release(e, &garbage);
	return 0;
}
