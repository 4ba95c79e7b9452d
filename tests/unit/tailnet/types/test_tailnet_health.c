/* SPDX-License-Identifier: BSD-2-Clause */
/* T6: what the server wants people to know: Health, DisplayMessages, pages to open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/tailnet/netmap/netmap_text.h"

static const char *shown(const struct health *list, char *buf)
{
	char *p = buf;

	*p = 0;
	for (size_t i = 0; i < list->n; i++)
		p += sprintf(p, "%s%s: %s", i ? " | " : "", health_severity_name(list->v[i].severity), list->v[i].text);
	return buf;
}

static void changes(void **state)
{
	static const struct {
		const char *json, *shown;
		bool changed;
	} steps[] = {
		{"{" SELF "}", "", false},
		{"{\"Health\":[\"a\",\"b\"]}", "medium: a | medium: b", true},
		{"{\"Health\":[\"a\",\"b\"]}", "medium: a | medium: b", false},
		{"{\"Health\":null}", "medium: a | medium: b", false},
		{"{\"PeersRemoved\":[9]}", "medium: a | medium: b", false},
		{"{\"Health\":[\"b\"]}", "medium: b", true},
		{"{\"Health\":[]}", "", true},
		{"{\"DisplayMessages\":{\"x\":{\"Title\":\"T\",\"Text\":\"t\",\"Severity\":\"high\"}}}", "high: T: t",
		 true},
		{"{\"DisplayMessages\":{\"y\":{\"Title\":\"\",\"Text\":\"u\",\"Severity\":\"low\",\"PrimaryAction\":{"
		 "\"URL\":"
		 "\"https://h/\",\"Label\":\"l\"}}}}",
		 "high: T: t | low: u (https://h/)", true},
		{"{\"DisplayMessages\":{}}", "high: T: t | low: u (https://h/)", false},
		{"{\"DisplayMessages\":{\"x\":{\"Title\":\"T\",\"Text\":\"new\",\"Severity\":\"odd\"},\"z\":null}}",
		 "medium: T: new | low: u (https://h/)", true},
		{"{\"DisplayMessages\":{\"x\":null}}", "low: u (https://h/)", true},
		{"{\"DisplayMessages\":{\"*\":null,\"v\":{\"Title\":\"only\"}}}", "medium: only", true},
		{"{\"KeepAlive\":true,\"DisplayMessages\":{\"*\":null}}", "medium: only", false},
		/* of a wrong form: left out, and the rest of the message counts */
		{"{\"DisplayMessages\":{\"a\":7,\"b\":{\"Title\":[]},\"c\":{},\"d\":{\"Title\":\"d\\n\\u001b[31m\"}}}",
		 "medium: only | medium: d\\x0a\\x1b[31m", true},
		{"{\"DisplayMessages\":[],\"Health\":{}}", "medium: only | medium: d\\x0a\\x1b[31m", false},
		{"{\"Health\":[1,\"c\"]}", "medium: c", true},
		{"{\"PopBrowserURL\":\"https://h/1\"}", "medium: c | medium: somebody has to open https://h/1", true},
		{"{\"PopBrowserURL\":\"https://h/1\"}", "medium: c | medium: somebody has to open https://h/1", false},
		{"{\"PopBrowserURL\":\"https://h/2\"}", "medium: c | medium: somebody has to open https://h/2", true},
		{"{\"PopBrowserURL\":\"javascript:x\"}", "medium: c | medium: somebody has to open https://h/2", false},
	};
	struct netmap m = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		char buf[1000];

		apply(&m, steps[i].json);
		if (strcmp(shown(&m.health, buf), steps[i].shown) || m.health_changed != steps[i].changed)
			fail_msg("step %zu: %s, changed %d", i, buf, m.health_changed);
		netmap_settle(&m);
	}
	netmap_free(&m);
}

/* However many and however long, what is shown is bounded; and goes to the gateway as it is. */
static void bounds(void **state)
{
	char *list = many(300, "\"problem %zu-%zu\""), *json = mem_printf("{\"Health\":[%s]}", list), *text;
	static uint8_t bytes[WIRE_MAX];
	struct wire_message m = {.type = WIRE_HEALTH}, copy;
	struct netmap map = {0};
	size_t len;

	apply(&map, json);
	assert_int_equal(map.health.n, HEALTH_MAX);
	free(list);
	free(json);
	text = mem_alloc(5000, 1);
	memset(text, 'x', 4999);
	json = mem_printf("{\"DisplayMessages\":{\"*\":null,\"%s\":{\"Title\":\"%s\"}}}", text, text);
	apply(&map, json);
	assert_int_equal(map.health.n, 1);
	assert_in_range(strlen(map.health.v[0].text), 100, HEALTH_TEXT_MAX);
	m.health = map.health;
	len = wire_encode(&m, bytes, sizeof(bytes));
	assert_true(len && wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy));
	assert_true(health_equal(&copy.health, &map.health));
	wire_message_free(&copy);
	bytes[3] = 9; /* a severity that there is not */
	assert_false(wire_decode(bytes, len, WIRE_TO_GATEWAY, &copy));
	free(text);
	free(json);
	netmap_free(&map);
}

/* One is over, behind many others that are, too, and before one that is new: neither is overlooked. */
static void many_are_over(void **state)
{
	char *list = many(300, "\"gone %zu-%zu\":null"), buf[1000];
	char *json = mem_printf("{\"DisplayMessages\":{%s,\"x\":null,\"z\":{\"Title\":\"Z\"}}}", list);
	struct netmap m = {0};

	apply(&m, "{" SELF ",\"DisplayMessages\":{\"x\":{\"Title\":\"X\"},\"y\":{\"Title\":\"Y\"}}}");
	assert_string_equal(shown(&m.health, buf), "medium: X | medium: Y");
	apply(&m, json);
	assert_string_equal(shown(&m.health, buf), "medium: Y | medium: Z");
	netmap_free(&m);
	free(list);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes),
		cmocka_unit_test(bounds),
		cmocka_unit_test(many_are_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
