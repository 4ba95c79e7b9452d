/* SPDX-License-Identifier: BSD-2-Clause */
/* Fault 34: whom a login means: its capitals, names that nobody has, characters that nobody sees. */
#include "policy/check.h"
#include "policy/compile.h"
#include "policy_load.h"

#define PEOPLE                                                                  \
	"users: [{name: listed@example.com}]\n"                                 \
	"nodes:\n"                                                              \
	"- {name: bob, user: bob@example.com, addresses: [100.64.0.1]}\n"       \
	"- {name: eve, user: eve@example.com, addresses: [100.64.0.2]}\n"       \
	"- {name: ann, user: ann@example.com, addresses: [100.64.0.3]}\n"       \
	"- {name: other-ann, user: Ann@example.com, addresses: [100.64.0.4]}\n" \
	"- {name: ci, tags: ['tag:ci'], addresses: [100.64.0.5]}\n"
#define ALL "acls: [{action: accept, src: ['*'], dst: ['10.0.0.1:80']}]\n"

/* Who reaches 10.0.0.1:80: a letter for each of bob, eve, ann, other-ann, ci. */
static const struct {
	const char *policy, *reach;
} meanings[] = {
	{ALL, "beaAc"},
	{ALL "deny: [{src: [bob@example.com], dst: ['*:*']}]", "eaAc"},
	{ALL "deny: [{src: [Bob@Example.COM], dst: ['*:*']}]", "eaAc"},
	{ALL "deny: [{src: [ANN@example.com], dst: ['*:*']}]", "bec"},
	{ALL "deny: [{src: [ann@example.com], dst: ['*:*']}]", "bec"},
	{"groups: {'group:g': [BOB@example.com, Eve@example.com]}\n" ALL "deny: [{src: ['group:g'], dst: ['*:*']}]",
	 "aAc"},
	{ALL "deny: [{src: ['user:*@EXAMPLE.com'], dst: ['*:*']}]", "c"},
	/* an accept and a deny of the same words are two lists */
	{"acls: [{action: accept, src: [BOB@example.com, eve@example.com], dst: ['10.0.0.1:80']}]\n"
	 "deny: [{src: [BOB@example.com, eve@example.com], dst: ['10.0.0.2:80']}]",
	 "e"},
	{"acls: [{action: accept, src: [Bob@example.com], dst: ['10.0.0.1:80']}]", ""},
	{"acls: [{action: accept, src: [bob@example.com, ann@example.com], dst: ['10.0.0.1:80']}]", "b"},
	{"acls: [{action: accept, src: [bob@example.com, Ann@example.com], dst: ['10.0.0.1:80']}]", "b"},
	{"groups: {'group:g': [bob@example.com, ann@example.com]}\n"
	 "acls: [{action: accept, src: ['group:g'], dst: ['10.0.0.1:80']}]",
	 "b"},
	{"acls: [{action: accept, src: ['autogroup:member'], dst: ['10.0.0.1:80']}]", "beaA"},
};

static void test_fault_34_capitals(void **state)
{
	static const char letters[] = "beaAc";

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		struct policy *p = load_policy(meanings[i].policy);
		char got[sizeof(letters)] = "";
		struct inventory inv;
		struct resolver *r;
		struct filter *f;

		load_inventory(&inv, PEOPLE);
		r = resolver_new(p, &inv, NULL);
		f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
		for (size_t k = 0; k < inv.n_nodes; k++) {
			struct filter_packet pkt = {.src = inv.nodes[k].addrs.v[0].addr, .proto = 6, .port = 80};

			addr_parse("10.0.0.1", 8, &pkt.dst);
			if (filter_verdict(f, &pkt).verdict == FILTER_ACCEPT)
				got[strlen(got)] = letters[k]; /* the rest is zero */
		}
		if (strcmp(got, meanings[i].reach))
			fail_msg("%s: %s reach it, expected %s", meanings[i].policy, got, meanings[i].reach);
		filter_free(f);
		resolver_free(r);
		inventory_free(&inv);
		policy_free(p);
	}
}

/* @says NULL: nothing. In a tailnet each is a warning: the netmap does not show everybody. */
static const struct {
	const char *policy, *says;
} owners[] = {
	{"deny: [{src: [bob@example.com, BOB@example.com, listed@example.com], dst: ['eve@example.com:1']}]", NULL},
	{"deny: [{src: [boob@example.com], dst: ['*:*']}]",
	 "deny: \"boob@example.com\": nobody has this login, so this holds for nobody"},
	{"deny: [{src: ['*'], dst: ['boob@example.com:*']}]", "deny: \"boob@example.com\": nobody has this login"},
	{"quotas: [{src: [boob@example.com], flows: 1}]", "quotas: \"boob@example.com\": nobody has this login"},
	{"quotas: [{src: [BOB@example.com], flows: 1}]", NULL},
	{"egress: {boob@example.com: bank}", "egress: \"boob@example.com\": nobody has this login"},
	{"egress: {Bob@example.com: bank}",
	 "nobody has this login, so this holds for nobody; did you mean \"bob@example.com\"?"},
	{"acls: [{action: accept, src: [boob@example.com], dst: ['*:*']}]", NULL},
	{"acls: [{action: accept, src: [ann@example.com], dst: ['*:*']}]",
	 "\"Ann@example.com\" differs from it by capitals alone"},
	{"acls: [{action: accept, src: [ANN@example.com], dst: ['*:*']}]", "by capitals alone"},
	{"grants: [{src: ['*'], dst: [Ann@example.com], ip: ['*']}]", "by capitals alone"},
	{"groups: {'group:g': [ann@example.com]}\nacls: [{action: accept, src: ['group:g'], dst: ['*:*']}]",
	 "by capitals alone"},
	{"groups: {'group:g': [ann@example.com]}\ndeny: [{src: ['group:g'], dst: ['*:*']}]", NULL},
};

static void check_owners_of(const char *yaml, const char *says, bool tailnet)
{
	struct policy *p = load_policy(yaml);
	struct inventory inv;
	struct diags d = {0};
	bool ok;
	char *text;

	load_inventory(&inv, PEOPLE);
	inv.tailnet = tailnet;
	ok = policy_check_owners(p, &inv, &d);
	if (ok != (!says || tailnet) || d.errors + d.warnings != (says != NULL))
		fail_msg("%s: %zu errors, %zu warnings", yaml, d.errors, d.warnings);
	text = said(&d);
	if (says && !tailnet && !strstr(text, says))
		fail_msg("%s: said %s, expected %s", yaml, text, says);
	free(text);
	inventory_free(&inv);
	policy_free(p);
}

static void test_fault_34_names_that_nobody_has(void **state)
{
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		check_owners_of(owners[i].policy, owners[i].says, false);
		check_owners_of(owners[i].policy, owners[i].says, true);
	}
}

#define ZWSP "\xe2\x80\x8b"
#define NBSP "\xc2\xa0"

static const struct {
	const char *yaml, *says; /* NULL: nobody minds */
} unseen[] = {
	{"deny: [{src: [bob" ZWSP "@example.com], dst: ['*:*']}]",
	 "p:1:15: \"bob<U+200B>@example.com\": U+200B is a character that nobody sees: take it out"},
	{"groups: {'group:g" NBSP "': []}", "\"group:g<U+00A0>\": U+00A0 is a character"},
	{"hosts: {\"a\\u2060b\": 10.0.0.1}", "\"a<U+2060>b\""},
	{"hosts: {\"\\ufeffa\": 10.0.0.1}", "U+FEFF"},
	{"hosts: {\"a\\u202eb\": 10.0.0.1}", "U+202E"},
	{"hosts: {\"a\\u00adb\": 10.0.0.1}", "U+00AD"},
	{"hosts: {\"a\\u0085b\": 10.0.0.1}", "U+0085"},
	{"hosts: {\"a\\u2028b\": 10.0.0.1}", "U+2028"},
	{"hosts: {\"a\\u3164b\": 10.0.0.1}", "U+3164"},
	{"hosts: {\"a\\U000e0041b\": 10.0.0.1}", "U+E0041"},
	{"quotas: [{src: ['" ZWSP "*'], flows: 1}]", "U+200B"},
	{"tests: [{src: \"a@b.c\\u200d\", deny: []}]", "U+200D"},
	{"hosts: {b\xc3\xbcro: 10.0.0.1, \xe7\xbb\xb4\xe5\x9f\xba: 10.0.0.2}", NULL},
	{"# a" NBSP "comment\nnodeAttrs: [{target: ['\xe2\x9d\xa4\xef\xb8\x8f']}]", NULL}, /* read over */
};

static void test_fault_34_characters_that_nobody_sees(void **state)
{
	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++) {
		struct diags d = {0};
		struct policy *p = read_policy(unseen[i].yaml, DOC_YAML, &d);
		size_t errors = d.errors;
		char *text = said(&d);

		if (unseen[i].says ? p || errors != 1 || !strstr(text, unseen[i].says) : !p)
			fail_msg("%s: said %s, expected %s", unseen[i].yaml, text, unseen[i].says);
		free(text);
		policy_free(p);
	}
}

static void test_fault_34_an_inventory_is_read_as_it_looks(void **state)
{
	static const char yaml[] = "nodes: [{name: a, user: \"bob\\u200b@example.com\", addresses: [100.64.0.1]}]";
	struct inventory inv = {0};
	struct diags d = {0};
	struct doc *doc = doc_parse("i", yaml, strlen(yaml), DOC_YAML, &d);
	char *text;

	assert_false(inventory_read(&inv, doc, &d));
	text = said(&d);
	assert_non_null(strstr(text, "\"bob<U+200B>@example.com\""));
	free(text);
	inventory_free(&inv);
	doc_free(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_34_capitals),
		cmocka_unit_test(test_fault_34_names_that_nobody_has),
		cmocka_unit_test(test_fault_34_characters_that_nobody_sees),
		cmocka_unit_test(test_fault_34_an_inventory_is_read_as_it_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
