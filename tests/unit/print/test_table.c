/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for people: numbers, names that would harm a terminal, tables, the log's
 * bounds, and the counters of the last minute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "user/answers/rates.h"
#include "user/base/log.h"
#include "user/print/table.h"
#include "user/base/text.h"

/* ---- names ----------------------------------------------------------------------------- */

static const struct {
	const char *in, *out;
} escapes[] = {
	{"", ""},
	{"alice", "alice"},
	{"a b", "a b"},
	{"grüße 東京", "grüße 東京"},
	{"a\nb", "a\\x0ab"},
	{"\033[31mred", "\\x1b[31mred"},
	{"\x7f", "\\x7f"},
	{"\xc2\x9b"
	 "31m",
	 "\\xc2\\x9b31m"}, /* C1: CSI */
	{"a\xe2\x80\xae"
	 "gpj.exe",
	 "a\\xe2\\x80\\xaegpj.exe"}, /* right-to-left override */
	{"\xe2\x81\xa6x", "\\xe2\\x81\\xa6x"},
	{"\xff\xfe", "\\xff\\xfe"},
	{"\xc0\x80", "\\xc0\\x80"},		      /* overlong */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* past U+10FFFF */
	{"cut\xe6\x9d", "cut\\xe6\\x9d"},
};

static void test_escape(void **state)
{
	char buf[128];

	for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++)
		assert_string_equal(text_escape(escapes[i].in, buf, sizeof(buf)), escapes[i].out);
}

static void test_escape_never_cuts_a_character(void **state)
{
	char buf[8];

	assert_string_equal(text_escape("東京都", buf, 8), "東京");
	assert_string_equal(text_escape("東京都", buf, 7), "東京");
	assert_string_equal(text_escape("東京都", buf, 6), "東");
	assert_string_equal(text_escape("ab\n", buf, 6), "ab");
	assert_string_equal(text_escape("x", buf, 1), "");
	assert_string_equal(text_escape(NULL, buf, 8), "");
	assert_int_equal(text_width("東京 grüße"), 8);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
	static const struct {
		const char *(*print)(uint64_t, char *);
		uint64_t n;
		const char *text;
	} cases[] = {
		{text_number, 0, "0"},
		{text_number, 999, "999"},
		{text_number, 1000, "1,000"},
		{text_number, 1048576, "1,048,576"},
		{text_number, UINT64_MAX, "18,446,744,073,709,551,615"},
		{text_bytes, 0, "0 B"},
		{text_bytes, 1023, "1023 B"},
		{text_bytes, 1024, "1.0 KiB"},
		{text_bytes, 10 << 10, "10 KiB"},
		{text_bytes, 1258291, "1.2 MiB"},
		{text_bytes, 985661440, "940 MiB"},
		{text_bytes, 1048575, "1.0 MiB"},
		{text_bytes, UINT64_MAX, "16 EiB"},
		{text_bits, 2310000000, "2.31 Gbit/s"},
		{text_bits, 23100000, "23.1 Mbit/s"},
		{text_bits, 231000, "231 kbit/s"},
		{text_bits, 12, "12 bit/s"},
		{text_packets, 212000, "212 kpps"},
		{text_packets, 2120, "2.1 kpps"},
		{text_duration, 0, "0s"},
		{text_duration, 59, "59s"},
		{text_duration, 62, "1m 2s"},
		{text_duration, 7439, "2h 3m"},
		{text_duration, 273600, "3d 4h"},
	};
	char buf[TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(cases[i].print(cases[i].n, buf), cases[i].text);
}

static void test_protocols(void **state)
{
	char buf[TEXT_SIZE];

	assert_string_equal(text_proto(6, buf), "tcp");
	assert_string_equal(text_proto(99, buf), "99");
	assert_int_equal(text_proto_parse("TCP"), 6);
	assert_int_equal(text_proto_parse("ipv6-icmp"), 58);
	assert_int_equal(text_proto_parse("255"), 255);
	assert_int_equal(text_proto_parse("256"), 0);
	assert_int_equal(text_proto_parse("0"), 0);
	assert_int_equal(text_proto_parse("6x"), 0);
	assert_int_equal(text_proto_parse(""), 0);
	for (int i = 1; i < 256; i++)
		assert_int_equal(text_proto_parse(text_proto((uint8_t)i, buf)), i);
}

/* ---- tables ------------------------------------------------------------------------------------ */

static char *print(const struct table *t)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	table_print(t, f);
	fclose(f);
	return out;
}

static void test_table(void **state)
{
	static const char *const heads[] = {"NAME", ">BYTES", "STATE", NULL};
	struct table t;
	char *out;

	table_init(&t, heads);
	table_add(&t, "alice");
	table_addf(&t, "%d", 7);
	table_add(&t, "up");
	table_add(&t, "grüße\n");
	table_add(&t, "123456");
	table_add(&t, NULL);
	assert_int_equal(table_rows(&t), 2);
	out = print(&t);
	assert_string_equal(out, "NAME        BYTES  STATE\n"
				 "alice           7  up\n"
				 "grüße\\x0a  123456  -\n");
	free(out);
	table_free(&t);
}

static void test_empty_table_has_heads(void **state)
{
	static const char *const heads[] = {"A", "B", NULL};
	struct table t;
	char *out;

	table_init(&t, heads);
	out = print(&t);
	assert_string_equal(out, "A  B\n");
	free(out);
	table_free(&t);
}

static void test_no_colour_but_on_a_terminal(void **state)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	setenv("TERM", "xterm", 1);
	colour_print(f, COLOUR_RED, "plain");
	fclose(f);
	assert_string_equal(out, "plain");
	free(out);
}

/* ---- the log -------------------------------------------------------------------------------------- */

static void test_log_site_is_bounded(void **state)
{
	struct log_site site = {0};
	uint32_t left_out;

	for (int i = 0; i < LOG_BURST; i++)
		assert_true(log_site_allows(&site, 100, &left_out));
	for (int i = 0; i < 1000; i++)
		assert_false(log_site_allows(&site, 100 + LOG_WINDOW - 1, &left_out));
	assert_true(log_site_allows(&site, 100 + LOG_WINDOW, &left_out));
	assert_int_equal(left_out, 1000);
	assert_true(log_site_allows(&site, 100 + LOG_WINDOW, &left_out));
	assert_int_equal(left_out, 0);
	assert_true(log_site_allows(&site, 1000, &left_out)); /* quiet in between: nothing was left out */
	assert_int_equal(left_out, 0);
}

/* ---- the last minute -------------------------------------------------------------------------------- */

static struct rates_sample sample(uint64_t second, uint64_t scale)
{
	struct rates_sample s = {.ns = second * 1000000000};

	s.out = (struct traffic){.packets = 10 * scale, .bytes = 1000 * scale};
	s.in = (struct traffic){.packets = 30 * scale, .bytes = 3000 * scale};
	s.drops[DROP_POLICY] = scale;
	return s;
}

static void test_history(void **state)
{
	struct rates_sample first = sample(1, 1), now = sample(300, 307);
	struct rates h = {0};
	uint64_t drops[DROP_MAX];

	rates_drops(&h, now.drops, drops); /* no sample yet: what died before is not known */
	assert_int_equal(drops[DROP_POLICY], 0);
	rates_add(&h, &first);
	rates_drops(&h, now.drops, drops); /* from the first one on */
	assert_int_equal(drops[DROP_POLICY], 306);
	rates_drops(&h, first.drops, drops);
	assert_int_equal(drops[DROP_POLICY], 0);
	for (uint64_t i = 1; i <= 300; i++) {
		struct rates_sample s = sample(i, i);

		rates_add(&h, &s);
		s.ns += 100000000; /* too soon: ignored */
		s.drops[DROP_POLICY] += 1000;
		rates_add(&h, &s);
	}
	rates_drops(&h, now.drops, drops);
	assert_int_equal(drops[DROP_POLICY], 67); /* 7 of them since the last sample */
	assert_int_equal(drops[DROP_TTL], 0);
	assert_int_equal(rates_now(&h).bits_out, 8000);
	assert_int_equal(rates_now(&h).bits_in, 24000);
	assert_int_equal(rates_now(&h).packets, 40);
}

static void test_history_starts_again_with_new_maps(void **state)
{
	struct rates h = {0};
	uint64_t drops[DROP_MAX];

	for (uint64_t i = 1; i <= 30; i++) {
		struct rates_sample s = sample(i, i < 20 ? 1000 * i : i);

		rates_add(&h, &s);
	}
	rates_drops(&h, sample(30, 30).drops, drops);
	assert_int_equal(drops[DROP_POLICY], 10);
}

static void test_host_and_port(void **state)
{
	static const struct {
		const char *text, *host; /* NULL: refused */
		uint16_t port;
	} cases[] = {
		{"gw.example.com:51820", "gw.example.com", 51820},
		{"198.51.100.1:1", "198.51.100.1", 1},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535},
		{"[x]:080", "x", 80},
		{"", NULL, 0},
		{"host", NULL, 0},
		{":80", NULL, 0},
		{"[]:80", NULL, 0},
		{"host:", NULL, 0},
		{"host:0", NULL, 0},
		{"host:65536", NULL, 0},
		{"host:99999999999999999999", NULL, 0},
		{"host:80x", NULL, 0},
		{"host: 80", NULL, 0},
		{"host:+80", NULL, 0},
		{"2001:db8::1:80", NULL, 0},
		{"[2001:db8::1]", NULL, 0},
		{"[2001:db8::1:80", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *want = cases[i].host, *host;
		size_t len = 0;
		uint16_t port = 0;

		host = text_host_port(cases[i].text, &len, &port);
		if (!host != !want ||
		    (want && (len != strlen(want) || memcmp(host, want, len) || port != cases[i].port)))
			fail_msg("%s", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_never_cuts_a_character),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_host_and_port),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_empty_table_has_heads),
		cmocka_unit_test(test_no_colour_but_on_a_terminal),
		cmocka_unit_test(test_log_site_is_bounded),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_history_starts_again_with_new_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
