/* SPDX-License-Identifier: BSD-2-Clause */
/* T9: why a relay cannot be reached (relay_stand.h): the gateway is told the kind of trouble, once a try. */
#include "relay_stand.h"

static struct {
	const char *name;
	struct relay_at relay;
	const char *pin; /* of the DERP map */
	struct conn_error why;
	bool unverified;
} reasons[] = {
	{"a firewall rejects", {.manner = REFUSES}, NULL, {CONN_ERROR_TCP, ECONNREFUSED}, false},
	{"a firewall drops", {.manner = DEAF}, NULL, {CONN_ERROR_TCP_SILENT, 0}, false},
	{"TLS is swallowed", {.manner = MUTE}, NULL, {CONN_ERROR_TLS_SILENT, 0}, false},
	{"hangs up", {.manner = HANGS_UP}, NULL, {CONN_ERROR_TLS, 0}, false},
	{"no TLS", {.manner = PLAIN}, NULL, {CONN_ERROR_TLS, 0}, false},
	{"nobody vouches", {.manner = ANSWERS, .certs = {UNKNOWN}}, NULL, {CONN_ERROR_CERT_UNTRUSTED, 0}, false},
	{"expired", {.manner = ANSWERS, .certs = {EXPIRED}}, NULL, {CONN_ERROR_CERT_EXPIRED, 0}, false},
	{"our clock is behind", {.manner = ANSWERS, .certs = {EARLY}}, NULL, {CONN_ERROR_CERT_NOT_YET, 0}, false},
	{"of another", {.manner = ANSWERS, .certs = {ELSEWHERE}}, NULL, {CONN_ERROR_CERT_NAME, 0}, false},
	{"of another, named", {.manner = ADMITS, .certs = {ELSEWHERE}, TEXT(UPGRADE KEY)}, "b.test", {0}, false},
	{"untested", {.manner = ADMITS, .certs = {UNKNOWN}, TEXT(UPGRADE KEY)}, NULL, {0}, true},
	{"untested, pinned", {.manner = ANSWERS, .certs = {UNKNOWN}}, pki.pin[GOOD], {CONN_ERROR_CERT_HASH, 0}, true},
	{"pinned", {.manner = ADMITS, .certs = {UNKNOWN}, TEXT(UPGRADE KEY)}, pki.pin[UNKNOWN], {0}, false},
	{"pinned, and its key's certificate",
	 {.manner = ADMITS, .certs = {UNKNOWN, META}, .n_certs = 2, TEXT(UPGRADE KEY)},
	 pki.pin[UNKNOWN],
	 {0},
	 false},
	{"pinned, shown behind a key's own by who has no key to it",
	 {.manner = ANSWERS, .certs = {META, UNKNOWN}, .n_certs = 2},
	 pki.pin[UNKNOWN],
	 {CONN_ERROR_CERT_HASH, 0},
	 false},
	{"pinned, and another",
	 {.manner = ANSWERS, .certs = {UNKNOWN, GOOD}, .n_certs = 2},
	 pki.pin[UNKNOWN],
	 {CONN_ERROR_CERT_MANY, 0},
	 false},
	{"pinned, another shown", {.manner = ANSWERS}, pki.pin[UNKNOWN], {CONN_ERROR_CERT_HASH, 0}, false},
	{"pinned, only its key's",
	 {.manner = ANSWERS, .certs = {META}},
	 pki.pin[META],
	 {CONN_ERROR_CERT_HASH, 0},
	 false},
	{"pinned, expired",
	 {.manner = ANSWERS, .certs = {EXPIRED}},
	 pki.pin[EXPIRED],
	 {CONN_ERROR_CERT_EXPIRED, 0},
	 false},
	{"pinned, our clock is behind",
	 {.manner = ANSWERS, .certs = {EARLY}},
	 pki.pin[EARLY],
	 {CONN_ERROR_CERT_NOT_YET, 0},
	 false},
	{"pinned, of another",
	 {.manner = ANSWERS, .certs = {ELSEWHERE}},
	 pki.pin[ELSEWHERE],
	 {CONN_ERROR_CERT_NAME, 0},
	 false},
	{"no answer", {.manner = NO_REQUEST}, NULL, {CONN_ERROR_HTTP_SILENT, 0}, false},
	{"not found",
	 {.manner = ANSWERS, TEXT("HTTP/1.1 404 Not Found\r\nContent-Length: 5000\r\n\r\n<html>")},
	 NULL,
	 {CONN_ERROR_HTTP, 404},
	 false},
	{"a portal",
	 {.manner = ANSWERS, TEXT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")},
	 NULL,
	 {CONN_ERROR_HTTP, 200},
	 false},
	{"no HTTP", {.manner = ANSWERS, TEXT("220 mail.test ESMTP\r\n")}, NULL, {CONN_ERROR_NO_HTTP, 0}, false},
	{"no DERP",
	 {.manner = HEARS,
	  TEXT(UPGRADE "\x89"
		       "websocket?")},
	 NULL,
	 {CONN_ERROR_NO_DERP, 0},
	 false},
	{"leaves", {.manner = ANSWERS, TEXT(UPGRADE)}, NULL, {CONN_ERROR_CLOSED, 0}, false},
	{"no answer to the login", {.manner = HEARS, TEXT(UPGRADE KEY)}, NULL, {CONN_ERROR_DERP_SILENT, 0}, false},
	{"does not want us", {.manner = DENIES, TEXT(UPGRADE KEY)}, NULL, {CONN_ERROR_LOGIN, 0}, false},
	{"all is well", {.manner = ADMITS, TEXT(UPGRADE KEY)}, NULL, {0}, false},
};

static void says_why(void **state)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		struct relay_at *r = &reasons[i].relay;
		bool silent = r->manner == DEAF || r->manner == MUTE || r->manner == NO_REQUEST || r->manner == HEARS;
		struct us us;

		stand(r);
		begin(&us, r, NULL, reasons[i].pin);
		us.nodes[0].unverified = reasons[i].unverified;
		await(&us, 1, silent ? r : NULL);
		if (us.last.why.kind != reasons[i].why.kind)
			fail_msg("%s: %s", reasons[i].name, conn_error_name(&us.last.why));
		if (reasons[i].why.number)
			assert_int_equal(us.last.why.number, reasons[i].why.number);
		assert_int_equal(us.last.state, reasons[i].why.kind ? WIRE_RELAY_AWAY : WIRE_RELAY_UP);
		assert_int_equal(us.last.region, REGION);
		assert_string_equal(us.host, HOST);
		finish(&us);
		fall(r);
	}
}

/* Who lets us in and hangs up again is not called every second for ever. */
static void pauses_grow(void **state)
{
	struct relay_at r = {.manner = GREETS, TEXT(UPGRADE KEY)};
	uint64_t pause = 0;
	struct us us;

	stand(&r);
	begin(&us, &r, NULL, NULL);
	for (unsigned told = 2; told < 14; told += 2) {
		await(&us, told, NULL);
		assert_int_equal(us.last.state, WIRE_RELAY_AWAY);
		pause = relays_tick(us.relays, us.now) - us.now;
		us.now += pause;
	}
	assert_true(pause >= 15 * NS_PER_SEC && pause <= 45 * NS_PER_SEC);
	finish(&us);
	fall(&r);
}

static void no_relay_in_the_map(void **state)
{
	struct relay_at r = {.manner = REFUSES};
	struct us us;

	stand(&r);
	r.port = 0; /* STUN only */
	begin(&us, &r, NULL, NULL);
	await(&us, 1, NULL);
	assert_int_equal(us.last.why.kind, CONN_ERROR_NO_RELAY);
	finish(&us);
	fall(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_why),
		cmocka_unit_test(pauses_grow),
		cmocka_unit_test(no_relay_in_the_map),
	};

	return cmocka_run_group_tests_name("tailnet_reach", tests, setup, teardown);
}
