/* SPDX-License-Identifier: BSD-2-Clause */
/* T1, T9: the server and relays are reached while one of their addresses is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/wireguard/messages.h"
#include "user/tailnet/transport/conn.h"
#include "user/tailnet/transport/lookup.h"
#include "user/base/clock.h"

static struct addr address(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

/* ---- order ------------------------------------------------------------------------- */

#define ANSWERS_MAX 24

struct resolver { /* as getaddrinfo(3) answers */
	struct addrinfo info[ANSWERS_MAX];
	struct sockaddr_storage at[ANSWERS_MAX];
};

static const struct addrinfo *answer_of(struct resolver *r, const char *const *texts)
{
	size_t n = 0;

	for (; n < ANSWERS_MAX && texts[n]; n++) {
		struct addr a = address(texts[n]);
		struct sockaddr_in6 *in6 = (void *)&r->at[n];
		struct sockaddr_in *in = (void *)&r->at[n];
		bool v4 = addr_is_v4(&a);

		if (v4)
			memcpy(&in->sin_addr, &a.w[3], sizeof(in->sin_addr));
		else
			memcpy(&in6->sin6_addr, &a, sizeof(a));
		r->info[n] = (struct addrinfo){.ai_family = v4 ? AF_INET : AF_INET6, .ai_addr = (void *)&r->at[n]};
		if (n)
			r->info[n - 1].ai_next = &r->info[n];
	}
	return n ? r->info : NULL;
}

static void families_in_turn(void **state)
{
	static const struct {
		const char *answer[ANSWERS_MAX], *order[ANSWERS_MAX];
	} cases[] = {
		{{NULL}, {NULL}},
		{{"192.0.2.1"}, {"192.0.2.1"}},
		{{"2001:db8::1", "2001:db8::2"}, {"2001:db8::1", "2001:db8::2"}},
		{{"192.0.2.1", "192.0.2.2", "2001:db8::1"}, {"192.0.2.1", "2001:db8::1", "192.0.2.2"}},
		{{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "192.0.2.1", "192.0.2.2"},
		 {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3", "2001:db8::4"}},
		{{"fd00::1", "fd00::2", "fd00::3", "fd00::4", "fd00::5", "fd00::6", "fd00::7", "fd00::8", "fd00::9",
		  "fd00::a", "fd00::b", "fd00::c", "fd00::d", "fd00::e", "fd00::f", "fd00::10", "192.0.2.1"},
		 {"fd00::1", "192.0.2.1", "fd00::2", "fd00::3", "fd00::4", "fd00::5", "fd00::6", "fd00::7", "fd00::8",
		  "fd00::9", "fd00::a", "fd00::b", "fd00::c", "fd00::d", "fd00::e", "fd00::f"}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct lookup_answer answer = {0};
		struct resolver r = {0};
		size_t n = 0;

		lookup_take(&answer, answer_of(&r, cases[i].answer));
		for (; n < answer.n && cases[i].order[n]; n++) {
			char text[ADDR_STRLEN];

			assert_string_equal(addr_str(&answer.addrs[n], text), cases[i].order[n]);
		}
		assert_int_equal(n, answer.n);
		assert_null(cases[i].order[n]);
	}
}

/* ---- connections --------------------------------------------------------------------- */

static int listen_at(const char *text, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, text, &at.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static void on_opened(void *ctx)
{
	fail();
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	fail();
}

static void on_closed(void *ctx, const struct conn_error *why)
{
	*(bool *)ctx = true;
}

/* Rounds of the loop at times of ours, until there is somebody at @listener or the connection is given up. */
static bool arrives(struct conns *all, int listener, uint64_t *now, const bool *closed)
{
	struct pollfd fds[CONNS_MAX], at = {.fd = listener, .events = POLLIN};
	uint64_t deadline;

	while (!*closed) {
		size_t n = conns_prepare(all, fds, &deadline);

		if (poll(fds, n, 100) == 0 && deadline > *now)
			*now = deadline; /* nothing happens any more before that */
		conns_handle(all, fds, n, *now);
		if (poll(&at, 1, 0) == 1)
			return true;
	}
	return false;
}

/* The first address lets us connect and then never says a word: the second has its turn. */
static void silent_address(void **state)
{
	static const struct conn_ops ops = {on_opened, on_received, on_closed};
	int first = listen_at("127.0.0.1", 0), second = listen_at("127.0.0.2", port_of(first));
	const struct addr addrs[] = {address("127.0.0.1"), address("127.0.0.2")};
	struct conn_target to = {
		.url = {.tls = true, .host = "relay.test", .port = port_of(first)}, .addrs = addrs, .n_addrs = 2};
	struct conns all;
	char error[128];
	bool closed = false;
	uint64_t now = NS_PER_SEC;

	assert_true(conns_init(&all, "", error, sizeof(error)));
	assert_non_null(conn_open(&all, &to, &ops, &closed, now));
	assert_true(arrives(&all, second, &now, &closed));
	assert_true(now < 15 * NS_PER_SEC);
	conns_free(&all);
	close(first);
	close(second);
}

struct caller {
	bool opened, closed;
};

static void note_opened(void *ctx)
{
	((struct caller *)ctx)->opened = true;
}

static void note_closed(void *ctx, const struct conn_error *why)
{
	((struct caller *)ctx)->closed = true;
}

static void run_until_opened(struct conns *all, const struct caller *caller)
{
	struct pollfd fds[CONNS_MAX];
	uint64_t deadline;

	while (!caller->opened) {
		size_t n = conns_prepare(all, fds, &deadline);

		assert_true(poll(fds, n, deadline > NS_PER_SEC ? 5000 : 0) >= 0);
		conns_handle(all, fds, n, NS_PER_SEC);
		assert_false(caller->closed);
	}
}

/* The last word meets an end that has reset the connection: whoever closes hears nothing of it (conn.h). */
static void closing_what_was_reset(void **state)
{
	static const struct conn_ops ops = {note_opened, on_received, note_closed};
	int listener = listen_at("127.0.0.1", 0), peer;
	struct conn_target to = {.url = {.host = "127.0.0.1", .port = port_of(listener)}};
	const struct linger reset = {.l_onoff = 1};
	struct caller caller = {0};
	struct pollfd gone;
	struct conns all;
	struct conn *c;
	char error[128];

	assert_true(conns_init(&all, "", error, sizeof(error)));
	c = conn_open(&all, &to, &ops, &caller, NS_PER_SEC);
	assert_non_null(c);
	run_until_opened(&all, &caller);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(peer);
	assert_int_equal(conns_prepare(&all, &gone, &(uint64_t){0}), 1);
	assert_int_equal(poll(&gone, 1, 5000), 1); /* the reset is here */
	conn_send(c, "bye", 3);
	conn_close(c);
	assert_false(caller.closed);
	conns_free(&all);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_in_turn),
		cmocka_unit_test(silent_address),
		cmocka_unit_test(closing_what_was_reset),
	};

	return cmocka_run_group_tests_name("tailnet_conn", tests, NULL, NULL);
}
