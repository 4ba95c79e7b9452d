/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of prefixes, against a naive set on a small world; block lists. */
#include "policy/blocklist.h"
#include "policy_load.h"
#include "tests/unit/random.h"

static struct prefix pfx(const char *text)
{
	struct prefix p;

	if (!prefix_parse(text, strlen(text), &p, NULL))
		fail_msg("not a prefix: %s", text);
	return p;
}

static char *list(const struct prefixes *s)
{
	char *text = NULL, buf[ADDR_STRLEN];
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; i < s->n; i++)
		fprintf(f, "%s%s", i ? " " : "", prefix_str(&s->v[i], buf));
	fclose(f);
	return text;
}

static void read_set(struct prefixes *s, const char *text)
{
	char copy[512], *save;

	*s = (struct prefixes){0};
	strcpy(copy, text);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct prefix p = pfx(word);

		prefixes_add(s, &p);
	}
}

static void test_merge(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"10.0.0.0/8 10.0.0.0/8", "10.0.0.0/8"},
		{"10.1.0.0/16 10.0.0.0/8 10.255.0.1", "10.0.0.0/8"},
		{"10.0.0.0/9 10.128.0.0/9", "10.0.0.0/8"},
		{"10.0.0.0/10 10.64.0.0/10 10.128.0.0/10 10.192.0.0/10", "10.0.0.0/8"},
		{"10.128.0.0/9 11.0.0.0/9", "10.128.0.0/9 11.0.0.0/9"},
		{"0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0"},
		{"::/1 8000::/1", "::/0"},
		{"::fffe:0:0/96 0.0.0.0/0", "::fffe:0:0/96 0.0.0.0/0"}, /* halves by number, not by family */
		{"::/0 0.0.0.0/0 10.0.0.0/8 2001:db8::1", "::/0 0.0.0.0/0"},
		{"::/0 10.0.0.0/8", "::/0 10.0.0.0/8"},
		{"2001:db8::1 2001:db8:: 10.0.0.1 10.0.0.0", "2001:db8::/127 10.0.0.0/31"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefixes s;
		char *got;

		read_set(&s, cases[i][0]);
		prefixes_merge(&s);
		got = list(&s);
		assert_string_equal(got, cases[i][1]);
		free(got);
		prefixes_free(&s);
	}
}

static void test_subtract(void **state)
{
	static const char *const cases[][3] = {
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"10.0.0.0/8", "0.0.0.0/0", ""},
		{"10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8"},
		{"10.0.0.0/30", "10.0.0.2", "10.0.0.0/31 10.0.0.3"},
		{"100.64.0.0/10", "100.115.92.0/23",
		 "100.64.0.0/11 100.96.0.0/12 100.112.0.0/15 100.114.0.0/16 "
		 "100.115.0.0/18 100.115.64.0/20 100.115.80.0/21 100.115.88.0/22 100.115.94.0/23 100.115.96.0/19 "
		 "100.115.128.0/17 100.116.0.0/14 100.120.0.0/13"},
		{"::/0", "10.0.0.0/8", "::/0"},
		{"10.0.0.0/8 2001:db8::/127", "2001:db8::", "10.0.0.0/8 2001:db8::1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix hole = pfx(cases[i][1]);
		struct prefixes s;
		char *got;

		read_set(&s, cases[i][0]);
		prefixes_subtract(&s, &hole);
		prefixes_sort(&s);
		got = list(&s);
		assert_string_equal(got, cases[i][2]);
		free(got);
		prefixes_free(&s);
	}
}

/* ::/0 without the number next to the mapped addresses must not come to contain IPv4. */
static void test_subtract_beside_v4(void **state)
{
	struct prefix hole = pfx("::fffe:0:0/96"), v4 = pfx("10.0.0.1");
	struct prefixes s;

	read_set(&s, "::/0");
	prefixes_subtract(&s, &hole);
	assert_false(prefixes_overlap(&s, &v4));
	assert_false(prefixes_overlap(&s, &hole));
	prefixes_free(&s);
}

/* Random adds and removes on 256 addresses, against a bitmap. */
static void test_against_bitmap(void **state)
{
	struct rng rng = {4711};

	for (int round = 0; round < 500; round++) {
		struct prefixes s = {0};
		bool in[256] = {false};

		for (int op = 0; op < 20; op++) {
			struct prefix p = {.addr = addr_from_v4(0), .len = 120 + rng_below(&rng, 9)};
			bool remove = rng_below(&rng, 3) == 0;

			p.addr.b[15] = (uint8_t)rng_below(&rng, 256);
			p.addr = prefix_first(&p);
			if (remove)
				prefixes_subtract(&s, &p);
			else
				prefixes_add(&s, &p);
			if (rng_below(&rng, 2))
				prefixes_merge(&s);
			for (unsigned i = p.addr.b[15]; i < p.addr.b[15] + (1u << (128 - p.len)); i++)
				in[i] = !remove;
		}
		prefixes_merge(&s);
		for (unsigned i = 0; i < 256; i++) {
			struct prefix a = {.addr = addr_from_v4(0), .len = 128};

			a.addr.b[15] = (uint8_t)i;
			assert_int_equal(prefixes_cover(&s, &a), in[i]);
			assert_int_equal(prefixes_overlap(&s, &a), in[i]);
		}
		for (size_t i = 1; i < s.n; i++)
			assert_false(prefix_overlaps(&s.v[i - 1], &s.v[i]));
		prefixes_free(&s);
	}
}

/* ---- block lists ------------------------------------------------------------------------ */

static void test_blocklist(void **state)
{
	static const char text[] = "# a list\r\n"
				   "192.0.2.0/24 ; SBL1\r\n"
				   "  2001:db8::/32\t# two\n"
				   "\n"
				   "198.51.100.7";
	struct prefixes s = {0};
	struct diags d = {0};
	char *got;

	assert_true(blocklist_read("l", text, strlen(text), &s, &d));
	prefixes_merge(&s);
	got = list(&s);
	assert_string_equal(got, "2001:db8::/32 192.0.2.0/24 198.51.100.7");
	free(got);
	assert_true(blocklist_read("l", "", 0, &s, &d));
	assert_int_equal(s.n, 3);
	prefixes_free(&s);
	diags_free(&d);
}

static void test_blocklist_broken(void **state)
{
	static const char text[] = "192.0.2.0/24\nevil.example\n10.0.0.0/8\n10.0.0.1 10.0.0.2\n1.2.3.4/33\n\0\n"
				   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";
	struct prefixes s = {0};
	struct diags d = {0};
	char *out;

	read_set(&s, "127.0.0.1");
	assert_false(blocklist_read("l", text, sizeof(text) - 1, &s, &d));
	assert_int_equal(s.n, 1); /* nothing of it */
	out = said(&d);
	assert_string_equal(out, "l:2: expected an address or a CIDR\n" /* and not a word of what is there */
				 "l:4: expected an address or a CIDR\n"
				 "l:5: expected an address or a CIDR\n"
				 "l:6: expected an address or a CIDR\n"
				 "l:7: expected an address or a CIDR\n");
	free(out);
	prefixes_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_subtract),
		cmocka_unit_test(test_subtract_beside_v4),
		cmocka_unit_test(test_against_bitmap),
		cmocka_unit_test(test_blocklist),
		cmocka_unit_test(test_blocklist_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
