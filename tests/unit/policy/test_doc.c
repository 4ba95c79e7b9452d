/* SPDX-License-Identifier: BSD-2-Clause */
/* Documents: what YAML and HuJSON give as a tree, and what is said about bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/doc.h"

static char *messages(struct diags *d)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	diags_print(d, f, false);
	fclose(f);
	return text;
}

/* One line for a tree: maps {k:v}, lists [..], scalars plain or 'quoted', null. */
static void dump(const struct doc_node *n, FILE *f)
{
	if (n->kind == DOC_NULL)
		fputs("null", f);
	else if (n->kind == DOC_SCALAR)
		fprintf(f, n->quoted ? "'%s'" : "%s", n->text);
	if (n->kind < DOC_LIST)
		return;
	fputc(n->kind == DOC_LIST ? '[' : '{', f);
	for (size_t i = 0; i < n->n; i++) {
		if (i)
			fputc(',', f);
		if (n->kind == DOC_MAP)
			fprintf(f, "%s:", n->keys[i].text);
		dump(&n->items[i], f);
	}
	fputc(n->kind == DOC_LIST ? ']' : '}', f);
}

struct good {
	enum doc_format format;
	const char *text, *tree;
};

static const struct good good[] = {
	{DOC_YAML, "", "null"},
	{DOC_YAML, "# only a comment\n", "null"},
	{DOC_YAML, "---\n...\n", "null"},
	{DOC_YAML, "{}", "{}"},
	{DOC_YAML, "a: 1\r\nb: two\r\n", "{a:1,b:two}"},
	{DOC_YAML,
	 "\xef\xbb\xbf"
	 "a: 1",
	 "{a:1}"},
	{DOC_YAML, "a:\n- tag:x:22\n- \"*:*\"\n- group:eng:*\n", "{a:[tag:x:22,'*:*',group:eng:*]}"},
	{DOC_YAML, "a: [tag:x:22, '*', fd7a::1]", "{a:[tag:x:22,'*',fd7a::1]}"},
	{DOC_YAML, "a: ~\nb: \nc: null\nd: 'null'", "{a:null,b:null,c:null,d:'null'}"},
	{DOC_YAML, "::/0: [x]\n10.0.0.0/8: [y]", "{::/0:[x],10.0.0.0/8:[y]}"},
	{DOC_YAML, "{\"a\": [1, \"x\\u00e9\"], \"b\": {\"c\": null}}", "{a:[1,'x\u00e9'],b:{c:null}}"},
	{DOC_YAML, "a: |\n  x\n  y\n", "{a:'x\ny\n'}"},
	{DOC_HUJSON, "", "null"},
	{DOC_HUJSON, " // nothing\n", "null"},
	{DOC_HUJSON, "{}", "{}"},
	{DOC_HUJSON, "[]", "[]"},
	{DOC_HUJSON, "\"text\"", "'text'"},
	{DOC_HUJSON, "{\"a\": [1, -2.5e3, true, null, \"x\"]}", "{a:[1,-2.5e3,true,null,'x']}"},
	{DOC_HUJSON, "{\"a\":1,}", "{a:1}"},
	{DOC_HUJSON, "[1,2 , /* c */ ]", "[1,2]"},
	{DOC_HUJSON, "{ // c\n\"a\" /* b */ : /* c\n */ 1 // d\n}", "{a:1}"},
	{DOC_HUJSON, "{\"a\": \"http://x/*y*/,]\"}", "{a:'http://x/*y*/,]'}"},
	{DOC_HUJSON, "{\"a\\\"\\\\\": \"\\ud83d\\ude00\\n\\/\"}", "{a\"\\:'\U0001F600\n/'}"},
	{DOC_HUJSON, "{\"a\"\n:\n1}", "{a:1}"},
	{DOC_HUJSON, "\t{\r\n\t\"a\":\t1\r\n}\r\n", "{a:1}"},
	{DOC_HUJSON, "[[],{},[[1,],],]", "[[],{},[[1]]]"},
};

static void test_good(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct diags d = {0};
		struct doc *doc = doc_parse("f", good[i].text, strlen(good[i].text), good[i].format, &d);
		char *tree = NULL, *said;
		size_t size;
		FILE *f = open_memstream(&tree, &size);

		if (doc)
			dump(&doc->root, f);
		fclose(f);
		said = messages(&d);
		assert_string_equal(said, "");
		assert_string_equal(tree, good[i].tree);
		free(said);
		free(tree);
		doc_free(doc);
		diags_free(&d);
	}
}

struct bad {
	enum doc_format format;
	const char *text;
	const char *says; /* the whole output, or its beginning when it ends with '~' */
};

static const struct bad bad[] = {
	{DOC_YAML, "a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key \"a\", first on line 1\n"},
	{DOC_YAML, "a: {x: 1, y: 2, x: 3, x: 4}",
	 "f:1:17: duplicate key \"x\", first on line 1\nf:1:23: duplicate key \"x\", first on line 1\n"},
	{DOC_YAML, "a: &x 1\nb: *x\n",
	 "f:1:4: anchors are not supported: found \"&x\"\n"
	 "f:2:4: aliases are not supported: if the text *x is meant, quote it\n"},
	{DOC_YAML, "a: !!int 1\nb: !foo [1]\nc: ! x\n",
	 "f:1:4: tags are not supported: found \"tag:yaml.org,2002:int\"\n"
	 "f:2:4: tags are not supported: found \"!foo\"\n"
	 "f:3:4: tags are not supported: found \"!\"\n"},
	{DOC_YAML, "a:\n  <<: {b: 1}\n", "f:2:3: merge keys (<<) are not supported\n"},
	{DOC_YAML, "a: 1\n---\nb: 2\n", "f:2:1: only one document in a file\n"},
	{DOC_YAML, "{a: 1}: 2\n", "f:1:1: a key must be text\n"},
	{DOC_YAML, "~: 2\n", "f:1:1: a key must be text\n"},
	{DOC_YAML, "a: \"x\\0y\"", "f:1:4: NUL byte in a text\n"},
	{DOC_YAML, "src: *\n",
	 "f:1:7: not valid YAML: did not find expected alphabetic or numeric character while scanning an alias; "
	 "a text that begins with * must be quoted: \"*\"\n"},
	{DOC_YAML, "dst: [tag:x:1, *:22]\n",
	 "f:1:17: not valid YAML: did not find expected alphabetic or numeric character while scanning an alias; "
	 "a text that begins with * must be quoted: \"*\"\n"},
	{DOC_YAML, "dst:\n- [::1]:80\n",
	 "f:2:4: not valid YAML: did not find expected node content while parsing a flow node; "
	 "an IPv6 address here must be quoted: \"[::1]:80\"\n"},
	{DOC_YAML, "dst: [[fd7a::1]:80]\n", "f:1:7: a key must be text (an address in brackets must be quoted)\n"},
	{DOC_YAML, "a: [x,\n ::1]",
	 "f:2:2: not valid YAML: did not find expected node content while parsing a flow node; "
	 "an IPv6 address here must be quoted: \"[::1]:80\"\n"},
	{DOC_YAML, "a:\n\tb: 1\n",
	 "f:2:1: not valid YAML: found character that cannot start any token while scanning for the next token; "
	 "a tab cannot indent YAML, use spaces\n"},
	{DOC_YAML, "a: @x\n",
	 "f:1:4: not valid YAML: found character that cannot start any token while scanning for the next token; "
	 "a text that begins with this character must be quoted\n"},
	{DOC_YAML, "a: [1, 2\n",
	 "f:2:1: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence\n"},
	{DOC_YAML, "a: \xff\n", "f:1:4: not UTF-8: byte 0xff\n"},
	{DOC_YAML, "a: \xc0\xaf\n", "f:1:4: not UTF-8: byte 0xc0\n"},
	{DOC_YAML, "a: \xed\xa0\x80\n", "f:1:4: not UTF-8: byte 0xed\n"},
	{DOC_YAML, "a: \xf4\x90\x80\x80\n", "f:1:4: not UTF-8: byte 0xf4\n"},
	{DOC_YAML, "a: x\nb: \xe2\x82", "f:2:4: not UTF-8: byte 0xe2\n"},
	{DOC_YAML, "a: \x01\n", "f:1:4: control character 0x01\n"},
	{DOC_HUJSON, "{\"a\": 1,\n \"b\": 2,\n \"a\": 3}", "f:3:2: duplicate key \"a\", first on line 1\n"},
	{DOC_HUJSON, "{\"\\u0061\": 1, \"a\": 3}", "f:1:15: duplicate key \"a\", first on line 1\n"},
	{DOC_HUJSON, "[,]", "f:1:2: not valid HuJSON~"},
	{DOC_HUJSON, "[1,,]", "f:1:4: not valid HuJSON~"},
	{DOC_HUJSON, "{\"a\":,}", "f:1:6: not valid HuJSON~"},
	{DOC_HUJSON, "{,}", "f:1:2: not valid HuJSON~"},
	{DOC_HUJSON, "{\"a\" 1}", "f:1:6: not valid HuJSON~"},
	{DOC_HUJSON, "{a: 1}", "f:1:2: not valid HuJSON~"},
	{DOC_HUJSON, "{'a': 1}", "f:1:2: not valid HuJSON~"},
	{DOC_HUJSON, "{\"a\": 01}", "f:1:~"},
	{DOC_HUJSON, "{\"a\": 1} x", "f:1:10: not valid HuJSON~"},
	{DOC_HUJSON, "{\"a\": 1}}", "f:1:9: not valid HuJSON~"},
	{DOC_HUJSON, "{\"a\": \"x\ny\"}", "f:1:~"},
	{DOC_HUJSON, "{\"a\": \"\\u0000\"}", "f:1:~"},
	{DOC_HUJSON, "{\"a\": \"\\ud800\"}", "f:1:~"},
	{DOC_HUJSON, "{\"a\": \"x", "f:1:~"},
	{DOC_HUJSON, "{\"a\": \"x\\", "f:1:~"},
	{DOC_HUJSON, "{\"a\": /* x", "f:1:7: comment without an end\n"},
	{DOC_HUJSON, "{\"a\": /*/ 1}", "f:1:7: comment without an end\n"},
	{DOC_HUJSON, "{\"a\": / 1}", "f:1:~"},
	{DOC_HUJSON, "[1] // c\n]", "f:2:1: not valid HuJSON~"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct diags d = {0};
		struct doc *doc = doc_parse("f", bad[i].text, strlen(bad[i].text), bad[i].format, &d);
		char *said = messages(&d);
		size_t n = strlen(bad[i].says);
		bool prefix = bad[i].says[n - 1] == '~';

		if (doc || strncmp(said, bad[i].says, prefix ? n - 1 : n + 1))
			fail_msg("\"%s\": said %s, expected %s", bad[i].text, said, bad[i].says);
		free(said);
		diags_free(&d);
	}
}

static void test_embedded_nul(void **state)
{
	struct diags d = {0};
	char *said;

	assert_null(doc_parse("f", "a: x\0y", 6, DOC_YAML, &d));
	assert_null(doc_parse("g", "\"x\0y\"", 5, DOC_HUJSON, &d));
	said = messages(&d);
	assert_string_equal(said, "f:1:5: NUL byte\ng:1:3: NUL byte\n");
	free(said);
	diags_free(&d);
}

static char *repeat(const char *unit, size_t n, const char *end)
{
	size_t len = strlen(unit);
	char *text = malloc(n * len + strlen(end) + 1), *p = text;

	for (size_t i = 0; i < n; i++, p += len)
		memcpy(p, unit, len);
	strcpy(p, end);
	return text;
}

static void expect_refusal(const char *text, size_t len, enum doc_format format, const char *part)
{
	struct diags d = {0};
	struct doc *doc = doc_parse("f", text, len, format, &d);
	char *said = messages(&d);

	assert_null(doc);
	if (!strstr(said, part))
		fail_msg("said %s, expected %s", said, part);
	free(said);
	diags_free(&d);
}

static void test_bounds(void **state)
{
	char *deep = repeat("[", 64, ""), *deeper = repeat("[", 65, ""),
	     *wide = repeat(" 1,\n", DOC_MAX_NODES + 1, "]");
	char *huge = repeat(" ", DOC_MAX_SIZE + 1, ""), *abyss = repeat("[", 100000, "");
	struct diags d = {0};
	char text[256] = "";
	struct doc *doc;

	for (int format = DOC_YAML; format <= DOC_HUJSON; format++) {
		memset(text, ']', 200);
		memcpy(text, deep, 64);
		doc = doc_parse("f", text, 128, format, &d);
		assert_non_null(doc);
		doc_free(doc);
		memcpy(text, deeper, 65);
		expect_refusal(text, 130, format, "nested too deeply");
		expect_refusal(abyss, 100000, format, "f:1:");
		expect_refusal(huge, DOC_MAX_SIZE + 1, format, "too large: 16777217 bytes");
		wide[0] = '[';
		expect_refusal(wide, strlen(wide), format, "too large: more than");
	}
	diags_free(&d);
	free(deep);
	free(deeper);
	free(wide);
	free(huge);
	free(abyss);
}

/* Places are counted in characters, through comments, tabs, CRLF and wide characters alike. */
static void test_places(void **state)
{
	static const char *const texts[] = {"{\n  # \u00e9\n  \"\u00e9\u00e9\": [1,\r\n\t2]}",
					    "{\n  // \u00e9\n  \"\u00e9\u00e9\": [1,\r\n\t2]}"};

	for (int format = DOC_YAML; format <= DOC_HUJSON; format++) {
		struct diags d = {0};
		struct doc *doc = doc_parse("f", texts[format], strlen(texts[format]), format, &d);
		const struct doc_node *list;

		assert_non_null(doc);
		assert_int_equal(doc->root.at.line, 1);
		assert_int_equal(doc->root.keys[0].at.line, 3);
		assert_int_equal(doc->root.keys[0].at.column, 3);
		list = doc_get(&doc->root, "\u00e9\u00e9");
		assert_non_null(list);
		assert_int_equal(list->at.column, 9);
		assert_int_equal(list->items[0].at.column, 10);
		assert_int_equal(list->items[1].at.line, 4);
		assert_int_equal(list->items[1].at.column, 2);
		assert_null(doc_get(&doc->root, "x"));
		assert_null(doc_get(list, "x"));
		doc_free(doc);
		diags_free(&d);
	}
}

static void test_typed(void **state)
{
	static const char text[] =
		"s: x\nt: true\nf: 'true'\nn: 12\nq: '12'\nneg: -1\nz: 012\nd: 5m\nbare: 300\n"
		"big: 99999999999999999999\nover: 999999999999999999d\nl: [1]\nm: {}\nnone:\nyes: yes\n";
	struct diags d = {0};
	struct doc *doc = doc_parse("f", text, strlen(text), DOC_YAML, &d);
	const struct doc_node *r = &doc->root;
	const char *s;
	uint64_t u;
	char *said;
	bool b;

	assert_true(doc_string(doc_get(r, "s"), "s", &s, &d) && !strcmp(s, "x"));
	assert_true(doc_bool(doc_get(r, "t"), "t", &b, &d) && b);
	assert_true(doc_uint(doc_get(r, "n"), "n", 0, 12, &u, &d) && u == 12);
	assert_true(doc_duration(doc_get(r, "d"), "d", &u, &d) && u == 300);
	assert_int_equal(d.errors, 0);
	assert_false(doc_bool(doc_get(r, "f"), "f", &b, &d));
	assert_false(doc_bool(doc_get(r, "yes"), "yes", &b, &d));
	assert_false(doc_uint(doc_get(r, "n"), "n", 0, 11, &u, &d));
	assert_false(doc_uint(doc_get(r, "q"), "q", 0, 99, &u, &d));
	assert_false(doc_uint(doc_get(r, "neg"), "neg", 0, 99, &u, &d));
	assert_false(doc_uint(doc_get(r, "z"), "z", 0, 99, &u, &d));
	assert_false(doc_uint(doc_get(r, "big"), "big", 0, UINT64_MAX, &u, &d));
	assert_false(doc_duration(doc_get(r, "bare"), "bare", &u, &d));
	assert_false(doc_duration(doc_get(r, "over"), "over", &u, &d));
	assert_false(doc_duration(doc_get(r, "s"), "s", &u, &d));
	assert_false(doc_string(doc_get(r, "l"), "l", &s, &d));
	assert_false(doc_string(doc_get(r, "none"), "none", &s, &d));
	assert_false(doc_uint(doc_get(r, "m"), "m", 0, 1, &u, &d));
	said = messages(&d);
	assert_string_equal(
		said, "f:1:4: s: found \"x\", expected a duration such as 300s, 5m, 2h or 1d\n"
		      "f:3:4: f: found \"true\", expected true or false, without quotes\n"
		      "f:4:4: n: found \"12\", expected a number from 0 to 11\n"
		      "f:5:4: q: found \"12\", expected a number, without quotes\n"
		      "f:6:6: neg: found \"-1\", expected a number from 0 to 99\n"
		      "f:7:4: z: found \"012\", expected a number from 0 to 99\n"
		      "f:9:7: bare: found \"300\", expected a unit with it: 300s, 300m, 300h or 300d\n"
		      "f:10:6: big: found \"99999999999999999999\", expected a number from 0 to 18446744073709551615\n"
		      "f:11:7: over: found \"999999999999999999d\", expected a duration such as 300s, 5m, 2h or 1d\n"
		      "f:12:4: l: found a list, expected text (an address in brackets must be quoted)\n"
		      "f:13:4: m: found a map, expected a number from 0 to 1\n"
		      "f:14:6: none: found nothing, expected text\n"
		      "f:15:6: yes: found \"yes\", expected true or false\n");
	free(said);
	doc_free(doc);
	diags_free(&d);
}

static void test_unknown_fields(void **state)
{
	static const char *const known[] = {"listen", "interface", NULL};
	static const char text[] = "lisen: 1\nintreface: 2\nlisten: 3\nzzz: 4\n";
	struct diags d = {0};
	struct doc *doc = doc_parse("f", text, strlen(text), DOC_YAML, &d);
	char *said;

	doc_only_keys(&doc->root, "tunnel", known, &d);
	said = messages(&d);
	assert_string_equal(said, "f:1:1: tunnel: unknown field \"lisen\"; did you mean \"listen\"?\n"
				  "f:2:1: tunnel: unknown field \"intreface\"; did you mean \"interface\"?\n"
				  "f:4:1: tunnel: unknown field \"zzz\"\n");
	free(said);
	doc_free(doc);
	diags_free(&d);
}

static void test_found(void **state)
{
	char long_text[200], buf[100];
	struct doc_node n = {.kind = DOC_SCALAR, .text = long_text};

	memset(long_text, 'x', sizeof(long_text));
	long_text[199] = '\0';
	memcpy(long_text + 59, "\u20ac", 3); /* a cut at 60 bytes would be in its middle */
	n.len = 199;
	doc_found(&n, buf, sizeof(buf));
	assert_int_equal(strlen(buf), 1 + 59 + 4);
	assert_string_equal(buf + 58, "xx...\"");
}

static void test_format(void **state)
{
	assert_int_equal(doc_format_of("a/policy.hujson"), DOC_HUJSON);
	assert_int_equal(doc_format_of("policy.JSON"), DOC_HUJSON);
	assert_int_equal(doc_format_of("policy.yaml"), DOC_YAML);
	assert_int_equal(doc_format_of("a.json/policy"), DOC_YAML);
	assert_int_equal(doc_format_of("-"), DOC_YAML);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	       cmocka_unit_test(test_bad),
		cmocka_unit_test(test_embedded_nul),   cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_places),	       cmocka_unit_test(test_typed),
		cmocka_unit_test(test_unknown_fields), cmocka_unit_test(test_found),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
