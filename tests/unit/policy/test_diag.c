/* SPDX-License-Identifier: BSD-2-Clause */
/* Mistakes: their order, how they print, and what was probably meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/diag.h"

static char *printed(struct diags *d, bool summary)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	diags_print(d, f, summary);
	fclose(f);
	return text;
}

static struct diag_at at(const char *file, unsigned line, unsigned column)
{
	return (struct diag_at){file, line, column};
}

static void test_print_sorted(void **state)
{
	struct diags d = {0};
	char file[] = "b.yaml", *text;

	diag_error(&d, at(file, 9, 1), "ninth");
	diag_warning(&d, at(file, 2, 14), "found %d", 7);
	file[0] = 'a'; /* the list keeps names of its own */
	diag_error(&d, at(file, 10, 0), "no column");
	diag_error(&d, at(file, 0, 0), "no line");
	diag_error(&d, at(NULL, 0, 0), "no file");
	text = printed(&d, true);
	assert_string_equal(text, "no file\na.yaml: no line\na.yaml:10: no column\n"
				  "b.yaml:2:14: warning: found 7\nb.yaml:9:1: ninth\n4 errors, 1 warning\n");
	free(text);
	diags_free(&d);
	assert_int_equal(d.n + d.errors + d.warnings, 0);
}

static void test_escape(void **state)
{
	struct diags d = {0};
	char *text;

	diag_error(&d, at("a\x1b[31m", 1, 1), "x\x1b]0;t\x07\r\n\ty\x7f\xc2\x9b z\u00e9");
	text = printed(&d, false);
	assert_string_equal(text, "a\\x1b[31m:1:1: x\\x1b]0;t\\x07\\x0d\\n\\ty\\x7f\\u009b z\u00e9\n");
	free(text);
	diags_free(&d);
}

static void test_bounded(void **state)
{
	struct diags d = {0};
	char *text;

	for (unsigned i = 1; i <= DIAG_MAX + 5; i++)
		diag_error(&d, at("f", i, 1), "wrong");
	assert_int_equal(d.n, DIAG_MAX);
	assert_int_equal(d.errors, DIAG_MAX + 5);
	assert_true(d.truncated);
	text = printed(&d, true);
	assert_non_null(strstr(text, "\n5 more are not shown\n1005 errors, 0 warnings\n"));
	free(text);
	diags_free(&d);
}

static void test_nearest(void **state)
{
	static const char *const known[] = {"interface", "listen", "addresses", "tag:ci", "mtu", "ip", NULL};
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{"intreface", "interface"},
		{"lisen", "listen"},
		{"addreses", "addresses"},
		{"tag:cl", "tag:ci"},
		{"mut", "mtu"},
		{"pi", "ip"},
		{"xyz", NULL},
		{"", NULL},
		{"q", NULL},
		{"listening-on", NULL},
		{"inter", "interface"}, /* a beginning, too far for edits */
		{"ta", NULL},		/* of too little */
	};
	char huge[10001];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = diag_nearest(cases[i].word, known);

		if (!!got != !!cases[i].nearest || (got && strcmp(got, cases[i].nearest)))
			fail_msg("%s: %s", cases[i].word, got ? got : "nothing");
	}
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_null(diag_nearest(huge, known));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print_sorted),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
