/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts of a tailnet: keys, addresses with ports, URLs, HTTP/1.1 answers, typed JSON fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "user/base/bytes.h"
#include "user/base/http1.h"
#include "user/tailnet/types/json_fields.h"
#include "user/base/keys.h"
#include "user/base/url.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void keys(void **state)
{
	static const struct {
		enum tailkey kind;
		const char *text;
		bool ok;
	} cases[] = {
		{TAILKEY_MACHINE, "mkey:" HEX, true},
		{TAILKEY_NODE, "nodekey:" HEX, true},
		{TAILKEY_DISCO, "discokey:" HEX, true},
		{TAILKEY_NODE, "mkey:" HEX, false},
		{TAILKEY_NODE, "discokey:" HEX, false},
		{TAILKEY_NODE, HEX, false},
		{TAILKEY_NODE, "nodekey:" HEX "0", false},
		{TAILKEY_NODE, "nodekey:", false},
		{TAILKEY_NODE, "nodekey:0001", false},
		{TAILKEY_NODE, "nodekey:g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
		{TAILKEY_NODE, "", false},
	};
	char text[TAILKEY_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t key[KEY_LEN] = {0xee};

		assert_int_equal(tailkey_parse(cases[i].kind, cases[i].text, key), cases[i].ok);
		if (cases[i].ok)
			assert_string_equal(tailkey_text(cases[i].kind, key, text), cases[i].text);
		else
			assert_int_equal(key[0], 0xee);
	}
}

static void addr_ports(void **state)
{
	static const struct {
		const char *text;
		uint16_t port; /* 0: refused */
	} cases[] = {
		{"192.0.2.1:41641", 41641},
		{"[2001:db8::1]:1", 1},
		{"192.0.2.1:65535", 65535},
		{"192.0.2.1:0", 0},
		{"192.0.2.1:65536", 0},
		{"192.0.2.1:", 0},
		{"192.0.2.1", 0},
		{"2001:db8::1:80", 0},
		{"[2001:db8::1]80", 0},
		{"[2001:db8::1:80", 0},
		{":80", 0},
		{"", 0},
		{"192.0.2.1:8 ", 0},
		{"192.0.2.1:-8", 0},
		{"[::1%lo]:80", 0},
		{"192.0.2.1:080000", 0},
		{"[]:80", 0},
		{"[:80", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr_port ap = {.port = 7};

		assert_int_equal(addr_port_parse(cases[i].text, &ap), cases[i].port != 0);
		assert_int_equal(ap.port, cases[i].port ? cases[i].port : 7);
	}
}

static void urls(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL: refused */
		uint16_t port;
		const char *path;
		bool tls;
	} cases[] = {
		{"https://headscale.example.com", "headscale.example.com", 443, "/", true},
		{"http://h:8080/", "h", 8080, "/", false},
		{"https://[2001:db8::1]:8443/a/b?c=d", "2001:db8::1", 8443, "/a/b?c=d", true},
		{.text = "https://user@h/"},
		{.text = "https://h/#x"},
		{.text = "ftp://h/"},
		{.text = "h:443"},
		{.text = "/path"},
		{.text = "https://"},
		{.text = "https://h:0/"},
		{.text = "https://h:65536/"},
		{.text = "https://h/a b"},
		{.text = "https://h/a\r\nX: y"},
		{.text = ""},
	};
	char longer[2048] = "https://h/";

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct url url = {.port = 7};

		assert_int_equal(url_parse(cases[i].text, &url), cases[i].host != NULL);
		if (!cases[i].host)
			continue;
		assert_string_equal(url.host, cases[i].host);
		assert_string_equal(url.path, cases[i].path);
		assert_int_equal(url.port, cases[i].port);
		assert_int_equal(url.tls, cases[i].tls);
	}
	memset(longer + strlen(longer), 'x', sizeof(longer) - 11);
	longer[sizeof(longer) - 1] = 0;
	assert_false(url_parse(longer, &(struct url){0}));
}

static void requests(void **state)
{
	const struct http1_header header = {"Upgrade", "DERP"};
	struct url url;
	char buf[256];

	assert_true(url_parse("https://[2001:db8::1]:8443/derp", &url));
	assert_int_not_equal(http1_request(buf, sizeof(buf), "GET", &url, &header, 1), 0);
	assert_string_equal(buf, "GET /derp HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\nUpgrade: DERP\r\n\r\n");
	for (size_t size = 0; size < strlen(buf) + 1; size++) {
		char small[256];

		assert_int_equal(http1_request(small, size, "GET", &url, &header, 1), 0);
	}
}

/* Each answer whole, and in two parts cut at every place: the same outcome, and the bytes behind it untouched. */
static void answers(void **state)
{
	static const struct {
		const char *text;
		enum http1_state end;
		int status;
		const char *body;
		size_t rest; /* bytes of the other protocol */
		bool head;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", HTTP1_DONE, 200, "hi", 0, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", HTTP1_DONE, 200, "hi", 0,
		 false},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", HTTP1_DONE, 404, "", 0, false},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n\x01\x02\x03",
		 HTTP1_UPGRADED, 101, "", 3, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP1_DONE, 200, "", 0, true},
		{"HTTP/1.1 200 OK\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx", HTTP1_DONE,
		 200, "x", 0, false},
		{.text = "HTTP/1.1 OK\r\n\r\n", .end = HTTP1_BAD},
		{.text = "SSH-2.0-OpenSSH_9.2\r\n", .end = HTTP1_BAD},
		{.text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", .end = HTTP1_BAD},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			struct http1 h;
			size_t used;

			http1_init(&h, cases[i].head);
			used = http1_receive(&h, cases[i].text, cut);
			used += http1_receive(&h, cases[i].text + cut, len - cut);
			assert_int_equal(h.state, cases[i].end);
			if (h.state != HTTP1_BAD) {
				assert_int_equal(h.status, cases[i].status);
				assert_string_equal(h.body, cases[i].body);

				assert_int_equal(used, len - cases[i].rest);
			}
			http1_free(&h);
		}
	}
}

static void answer_that_ends_with_the_connection(void **state)
{
	struct http1 h;

	http1_init(&h, false);
	http1_receive(&h, "HTTP/1.1 200 OK\r\n\r\nabc", 22);
	assert_int_equal(h.state, HTTP1_BODY);
	http1_end(&h);
	assert_int_equal(h.state, HTTP1_DONE);
	assert_string_equal(h.body, "abc");
	http1_free(&h);

	http1_init(&h, false);
	http1_receive(&h, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 41);
	http1_end(&h);
	assert_int_equal(h.state, HTTP1_BAD);
	http1_free(&h);
}

static void huge_answers(void **state)
{
	static char block[8192];
	struct http1 h;

	memset(block, 'x', sizeof(block));
	http1_init(&h, false);
	http1_receive(&h, "HTTP/1.1 200 OK\r\n\r\n", 19);
	for (int i = 0; i < 8; i++)
		http1_receive(&h, block, sizeof(block));
	assert_int_equal(h.state, HTTP1_BODY);
	http1_receive(&h, block, 1);
	assert_int_equal(h.state, HTTP1_BAD);
	http1_free(&h);

	http1_init(&h, false); /* an endless header */
	http1_receive(&h, "HTTP/1.1 200 OK\r\nX: ", 20);
	for (int i = 0; i < 20 && h.state == HTTP1_HEAD; i++)
		http1_receive(&h, block, sizeof(block));
	assert_int_equal(h.state, HTTP1_BAD);
	http1_free(&h);
}

static json_t *parse(struct fields *f, const char *text)
{
	*f = (struct fields){0};
	return fields_parse(f, text, strlen(text));
}

static void json_types(void **state)
{
	static const char *const wrong[] = {
		"{\"s\":1}",
		"{\"s\":[]}",
		"{\"i\":\"1\"}",
		"{\"i\":1.5}",
		"{\"i\":101}",
		"{\"i\":-1}",
		"{\"b\":1}",
		"{\"b\":\"true\"}",
		"{\"o\":[]}",
		"{\"a\":{}}",
		"{\"k\":\"nodekey:12\"}",
		"{\"k\":7}",
		"{\"t\":\"noon\"}",
		"{\"t\":5}",
		"{\"t\":\"2026-01-01T00:00:00\"}",
		"[]",
		"1",
		"\"x\"",
		"null",
		"",
		"{",
		"{}x",
		"{\"a\":}",
	};
	struct fields f;
	uint8_t key[KEY_LEN];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		json_t *root = parse(&f, wrong[i]);

		if (root) {
			assert_false(fields_bad(&f));
			field_string(&f, root, "s");
			field_int(&f, root, "i", 0, 100);
			field_bool(&f, root, "b");
			field_object(&f, root, "o");
			field_array(&f, root, "a");
			field_key(&f, root, "k", TAILKEY_NODE, key);
			field_time(&f, root, "t");
		}
		assert_true(fields_bad(&f));
		assert_true(strlen(f.error) > 4);
		json_decref(root);
	}
}

static void json_absent_is_null_is_default(void **state)
{
	struct fields f;
	json_t *root = parse(&f, "{\"s\":null,\"i\":null,\"b\":null,\"o\":null,\"a\":null,\"k\":null,\"t\":null}");
	uint8_t key[KEY_LEN];

	for (int i = 0; i < 2; i++) {
		assert_null(field_string(&f, root, i ? "s" : "x"));
		assert_int_equal(field_int(&f, root, i ? "i" : "x", 1, 9), 0);
		assert_false(field_bool(&f, root, i ? "b" : "x"));
		assert_null(field_object(&f, root, i ? "o" : "x"));
		assert_null(field_array(&f, root, i ? "a" : "x"));
		assert_false(field_key(&f, root, i ? "k" : "x", TAILKEY_NODE, key));
		assert_int_equal(field_time(&f, root, i ? "t" : "x"), 0);
	}
	assert_false(fields_bad(&f));
	json_decref(root);
}

static void json_times(void **state)
{
	static const struct {
		const char *json;
		int64_t seconds;
	} cases[] = {
		{"{\"t\":\"1970-01-01T00:00:01Z\"}", 1},
		{"{\"t\":\"2026-11-22T14:34:44.015744932Z\"}", 1795358084},
		{"{\"t\":\"1970-01-01T02:00:05+02:00\"}", 5},
		{"{\"t\":\"1969-06-01T00:00:00Z\"}", 1}, /* past, not "never" */
		{"{\"t\":\"1969-12-31T23:00:00-02:00\"}", 3600},
		{"{\"t\":\"0001-01-01T00:00:00Z\"}", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fields f;
		json_t *root = parse(&f, cases[i].json);

		assert_int_equal(field_time(&f, root, "t"), cases[i].seconds);
		assert_false(fields_bad(&f));
		json_decref(root);
	}
}

/* A cursor that ran out stays bad and gives zeros; nothing behind the end is touched. */
static void cursors(void **state)
{
	const uint8_t in[] = {1, 2, 3};
	struct reader r = reader_of(in, sizeof(in));
	uint8_t out[5] = {9, 9, 9, 9, 9};
	struct writer w = writer_to(out, 4);

	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(read_be32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(read_u8(&r), 0);
	assert_int_equal(reader_left(&r), 0);
	write_be16(&w, 0x0102);
	assert_int_equal(writer_len(&w), 2);
	write_be32(&w, 5);
	assert_true(w.bad);
	write_u8(&w, 7);
	assert_int_equal(writer_len(&w), 0);
	assert_memory_equal(out, ((uint8_t[]){1, 2, 9, 9, 9}), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(addr_ports),
		cmocka_unit_test(urls),
		cmocka_unit_test(requests),
		cmocka_unit_test(answers),
		cmocka_unit_test(answer_that_ends_with_the_connection),
		cmocka_unit_test(huge_answers),
		cmocka_unit_test(json_types),
		cmocka_unit_test(json_absent_is_null_is_default),
		cmocka_unit_test(json_times),
		cmocka_unit_test(cursors),
	};

	return cmocka_run_group_tests_name("tailnet_text", tests, NULL, NULL);
}
