/* SPDX-License-Identifier: BSD-2-Clause */
/* The section "tests" of a policy: what is a case, what passes, what is said. */
#include "policy/compile.h"
#include "policy/test.h"
#include "policy_load.h"

static const char inventory_text[] =
	"users: [{name: alice@example.com}, {name: bob@example.com}]\n"
	"nodes:\n"
	"- {name: laptop, user: alice@example.com, addresses: [100.64.0.5, 'fd7a:115c:a1e0::5']}\n"
	"- {name: phone, user: alice@example.com, addresses: [100.64.0.6]}\n"
	"- {name: desk, user: bob@example.com, addresses: [100.64.0.7]}\n"
	"- {name: six, tags: ['tag:six'], addresses: ['fd7a::7']}\n"
	"- {name: ci, tags: ['tag:ci'], addresses: [100.64.0.9]}\n";

/* On one line, so that the tests are on line 2. */
#define RULES                                                                                     \
	"{groups: {'group:both': [alice@example.com, bob@example.com], 'group:none': [eve@x.y]}," \
	" hosts: {web: 10.0.0.1, net: 10.0.0.0/8, desk6: 'fd7a::7'},"                             \
	" tagOwners: {'tag:ci': [], 'tag:free': []},"                                             \
	" ipsets: {'ipset:a': [add 10.0.0.1]},"                                                   \
	" acls: [{action: accept, src: [alice@example.com], dst: ['web:80,443']},"                \
	" {action: accept, proto: udp, src: ['group:both'], dst: ['web:53']},"                    \
	" {action: accept, src: ['autogroup:member'], dst: ['autogroup:self:22']},"               \
	" {action: accept, proto: icmp, src: ['tag:ci'], dst: ['web:*']},"                        \
	" {action: accept, src: [100.64.0.7], dst: ['net:8080']}],"                               \
	" deny: [{src: [bob@example.com], dst: ['web:8080']}],\n"                                 \
	"tests: ["

static bool run(const char *tests, size_t *passed, struct diags *d)
{
	char *yaml = mem_printf(RULES "%s]}", tests);
	struct policy *p = load_policy(yaml);
	struct inventory inv;
	struct resolver *r;
	struct filter *f;
	bool ok;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
	ok = policy_run_tests(p, r, &(struct policy_test_place){.inv = &inv, .f = f}, passed, d);
	filter_free(f);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
	free(yaml);
	return ok;
}

static const char *const passing[] = {
	"{src: alice@example.com, accept: ['web:443']}",
	"{src: alice@example.com, proto: tcp, accept: ['web:443', '10.0.0.1:80']}",
	"{src: alice@example.com, proto: '6', accept: ['web:443'], deny: ['web:22']}",
	"{src: alice@example.com, deny: ['10.0.0.2:443', 'web:22']}", /* a ping gets there, port 22 does not */
	"{src: bob@example.com, proto: udp, accept: ['web:53']}",
	"{src: bob@example.com, proto: tcp, deny: ['web:53']}",
	"{src: bob@example.com, proto: sctp, deny: ['web:53']}",
	"{src: bob@example.com, accept: ['web:53']}",				 /* TCP or UDP */
	"{src: bob@example.com, accept: ['10.0.0.2:8080'], deny: ['web:8080']}", /* deny wins */
	"{src: 'group:both', proto: udp, accept: ['web:53']}",
	"{src: 'tag:ci', deny: ['web:1']}", /* a ping is no connection to a port */
	"{src: 'tag:ci', proto: tcp, deny: ['web:1']}",
	"{src: 'tag:ci', proto: icmp, accept: ['web:0'], deny: ['10.0.0.2:0']}",
	"{src: 'tag:ci', proto: ipv6-icmp, accept: ['web:1']}", /* either word is either family's ping */
	"{src: alice@example.com, proto: icmp, accept: ['web:0'], deny: ['10.0.0.9:0']}", /* where anything may pass */
	"{src: 100.64.0.7, proto: udp, accept: ['web:53']}",
	"{src: alice@example.com, accept: ['autogroup:self:22', '100.64.0.6:22']}",
	"{src: alice@example.com, deny: ['bob@example.com:22', 'autogroup:self:23']}",
	"{src: 'autogroup:member', accept: ['autogroup:self:22']}",
};

static void test_passing(void **state)
{
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		struct diags d = {0};
		size_t passed;

		if (!run(passing[i], &passed, &d) || d.n || !passed)
			fail_msg("%s: %s", passing[i], said(&d));
		diags_free(&d);
	}
}

/* Under a condition a rule allows nothing, so that what it would let pass cannot be asked; what it must not can. */
static void test_fault_13_conditions(void **state)
{
	static const char yaml[] = "acls: [{action: accept, src: [alice@example.com], dst: ['10.0.0.1:80'], "
				   "srcPosture: ['posture:mac']}]\n"
				   "tests: [{src: alice@example.com, srcPostureAttrs: {'node:os': macos}, accept: "
				   "['10.0.0.1:80', 10.0.0.1:81],\n"
				   "  deny: ['10.0.0.1:82']}, {src: alice@example.com, deny: ['10.0.0.1:80']}]\n";
	struct policy *p = load_policy(yaml);
	struct inventory inv;
	struct diags d = {0};
	size_t passed = 0;
	struct resolver *r;
	struct filter *f;
	char *text;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
	assert_int_equal(f->n, 0);
	assert_true(policy_run_tests(p, r, &(struct policy_test_place){.inv = &inv, .f = f}, &passed, &d));
	assert_int_equal(passed, 2);
	assert_int_equal(d.warnings, 1);
	text = said(&d);
	assert_non_null(strstr(text, "\"srcPostureAttrs\" is a condition that a gateway cannot check"));
	free(text);
	filter_free(f);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
}

static const struct {
	const char *test, *says;
} failing[] = {
	/* wrong */
	{"{src: bob@example.com, accept: ['web:443']}", "bob@example.com does not reach web:443, expected accept"},
	{"{src: alice@example.com, deny: ['web:443']}", "alice@example.com reaches web:443, expected deny"},
	{"{src: alice@example.com, proto: udp, accept: ['10.0.0.2:53']}", "does not reach 10.0.0.2:53"},
	{"{src: 'group:both', accept: ['web:443']}",
	 "1 of 3 addresses of group:both do not reach all of web:443, expected accept"},
	/* fault 41: an accept is for every address that it can mean, a deny for every one, and ICMP is no port */
	{"{src: alice@example.com, accept: ['autogroup:member:22']}",
	 "2 of 3 addresses of alice@example.com do not reach all of autogroup:member:22, expected accept"},
	{"{src: 'group:both', deny: ['web:443']}", "2 of 3 addresses of group:both reach web:443, expected deny"},
	{"{src: alice@example.com, deny: ['autogroup:member:22']}", "alice@example.com reaches autogroup:member:22"},
	{"{src: 'tag:ci', accept: ['web:1']}", "tag:ci does not reach web:1, expected accept"},
	/* fault 13: a ping is what icmp asks */
	{"{src: bob@example.com, proto: icmp, accept: ['100.64.0.9:0']}",
	 "does not reach 100.64.0.9:0, expected accept"},
	{"{src: 'tag:ci', proto: icmp, deny: ['web:0']}", "tag:ci reaches web:0, expected deny"},
	/* not a case */
	{"{src: alice@example.com}", "tests: no assertion"},
	{"{src: alice@example.com, accept: []}", "tests: no assertion"},
	{"{accept: ['web:443']}", "tests: \"src\" is missing"},
	{"{src: '', accept: ['web:443']}", "tests: \"src\" is missing"},
	{"{src: 100.64.0.5/32, accept: ['web:443']}", "src=\"100.64.0.5/32\": expected a single host, not a range"},
	{"{src: net, accept: ['web:443']}", "src=\"net\": this host is a range"},
	{"{src: '*', accept: ['web:443']}", "src=\"*\": expected a single host"},
	{"{src: 'autogroup:danger-all', accept: ['web:443']}", "expected a single host"},
	{"{src: 'ipset:a', accept: ['web:443']}", "expected a single host"},
	{"{src: 'autogroup:internet', accept: ['web:443']}", "not valid on the src side"},
	{"{src: 'autogroup:bogus', accept: ['web:443']}", "unknown autogroup"},
	{"{src: 'group:nix', accept: ['web:443']}", "group not found: \"group:nix\""},
	{"{src: alice@example.com, accept: ['web']}", "dst=\"web\": no ports"},
	{"{src: alice@example.com, accept: ['web:*']}", "dst=\"web:*\": expected a single port"},
	{"{src: alice@example.com, accept: ['web:80,443']}", "expected a single port"},
	{"{src: alice@example.com, accept: ['web:80-443']}", "expected a single port"},
	{"{src: alice@example.com, accept: ['web:http']}", "port range \"http\": invalid first integer"},
	{"{src: alice@example.com, accept: ['net:443']}", "dst=\"net:443\": this host is a range"},
	{"{src: alice@example.com, accept: ['10.0.0.1/32:443']}", "expected a single host, not a range"},
	{"{src: alice@example.com, deny: ['*:443']}", "dst=\"*:443\": expected a single host"},
	{"{src: alice@example.com, deny: ['autogroup:internet:443']}", "expected a single host"},
	{"{src: alice@example.com, deny: ['nix:443']}", "host not found: \"nix\""},
	{"{src: alice@example.com, proto: icmp, accept: ['web:*']}", "ICMP has no ports: expected \":0\" behind"},
	{"{src: alice@example.com, proto: '1', accept: ['web:80-81']}", "ICMP has no ports: expected \":0\" behind"},
	{"{src: alice@example.com, proto: '47', accept: ['web:443']}", "proto=\"47\": expected tcp, udp, sctp or icmp"},
	{"{src: alice@example.com, proto: x, accept: ['web:443']}", "proto=\"x\": expected tcp, udp, sctp or icmp"},
};

static void test_failing(void **state)
{
	for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
		struct diags d = {0};
		size_t passed;
		bool ok = run(failing[i].test, &passed, &d);
		char *text = said(&d);

		if (ok || passed || !strstr(text, failing[i].says) || !strstr(text, "1 of 1 test(s) failed"))
			fail_msg("%s: %s", failing[i].test, text);
		free(text);
	}
}

/* Faults 2: who was removed, or is not there yet, makes no test fail, and none pass. */
static const struct {
	const char *test, *says;
} of_nobody[] = {
	{"{src: eve@x.y, accept: ['web:443', 'web:80']}", "p:2:15: warning: tests: src=\"eve@x.y\": nobody has this "
							  "address, so this was not asked\n"},
	{"{src: eve@x.y, deny: ['web:443']}", "src=\"eve@x.y\": nobody has this address"},
	{"{src: 'group:none', accept: ['web:443']}", "nobody has this address"},
	{"{src: 'tag:free', accept: ['web:443']}", "nobody has this address"},
	{"{src: alice@example.com, deny: ['tag:free:443']}", "dst=\"tag:free:443\": nothing has this address"},
	{"{src: web, deny: ['alice@example.com:1']}", "src=\"web\": no client has this address, so this was"},
	{"{src: desk6, deny: ['web:1']}", "desk6 and web:1 have no addresses of the same family, so"},
	{"{src: 'tag:ci', accept: ['autogroup:self:22']}", "no addresses of the same family"},
};

static void test_fault_2_nobody_fails_no_test(void **state)
{
	for (size_t i = 0; i < sizeof(of_nobody) / sizeof(of_nobody[0]); i++) {
		struct diags d = {0};
		size_t passed;
		bool ok = run(of_nobody[i].test, &passed, &d);
		char *text;

		if (d.n != 1 || d.errors)
			fail_msg("%s: %zu messages", of_nobody[i].test, d.n);
		text = said(&d);
		if (!ok || passed || !strstr(text, of_nobody[i].says))
			fail_msg("%s: %s", of_nobody[i].test, text);
		free(text);
	}
}

/* A client with two addresses of which a rule names one is refused, and a block list is behind every rule. */
static void test_fault_41_as_the_gateway_decides(void **state)
{
	static const struct {
		const char *test, *says; /* NULL: it passes */
	} cases[] = {
		{"{src: 10.8.0.2, accept: ['10.0.0.1:80']}", "does not reach 10.0.0.1:80, expected accept"},
		{"{src: 10.8.0.2, deny: ['10.0.0.1:80']}", NULL},
		{"{src: 10.8.0.4, accept: ['10.0.0.1:80']}", NULL},
		{"{src: 10.8.0.4, accept: ['10.0.0.2:80']}", "expected accept: a block list has it"},
		{"{src: 10.8.0.4, deny: ['10.0.0.2:80']}", NULL},
	};
	struct prefix blocked = {.len = 128};
	struct inventory inv;

	load_inventory(&inv, "nodes: [{name: two, user: a@b, addresses: [10.8.0.2, 10.8.0.3]}, "
			     "{name: one, user: a@b, addresses: [10.8.0.4]}]");
	assert_true(addr_parse("10.0.0.2", 8, &blocked.addr));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *yaml = mem_printf("{acls: [{action: accept, src: [10.8.0.2, 10.8.0.4], dst: ['10.0.0.0/8:80']}],"
					" tests: [%s]}",
					cases[i].test);
		struct prefixes list = {&blocked, 1};
		struct policy *p = load_policy(yaml);
		struct resolver *r = resolver_new(p, &inv, NULL);
		struct filter *f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
		struct diags d = {0};
		size_t passed;
		bool ok = policy_run_tests(p, r, &(struct policy_test_place){.inv = &inv, .f = f, .blocked = &list},
					   &passed, &d);
		char *text = said(&d);

		if (ok != !cases[i].says || passed != ok || (!ok && !strstr(text, cases[i].says)))
			fail_msg("%s: %s", cases[i].test, text);
		free(text);
		filter_free(f);
		resolver_free(r);
		policy_free(p);
		free(yaml);
	}
	inventory_free(&inv);
}

static void test_places(void **state)
{
	struct diags d = {0};
	size_t passed;
	char *text;

	assert_false(run("\n{src: bob@example.com, accept: ['web:53', 'web:443'], deny: ['web:9']},\n"
			 "{src: x@y.z, deny: ['web:9']}, {src: web}",
			 &passed, &d));
	assert_int_equal(passed, 2);
	assert_int_equal(d.errors, 2);
	text = said(&d);
	assert_string_equal(text, "p: 2 of 4 test(s) failed\n"
				  "p:3:43: tests: bob@example.com does not reach web:443, expected accept\n"
				  "p:4:7: warning: tests: src=\"x@y.z\": nobody has this address, so this was not "
				  "asked\n"
				  "p:4:32: tests: no assertion: expected \"accept\" or \"deny\"\n");
	free(text);
}

/* The example that is shipped passes its own tests and has nothing to complain about. */
static void test_example(void **state)
{
	char *yaml = load_file("policy/example.yaml"), *inventory = load_file("tests/policy/inventory.yaml");
	struct policy *p = load_policy(yaml);
	struct inventory inv;
	struct resolver *r;
	struct filter *f;
	struct diags d = {0};
	size_t passed;

	load_inventory(&inv, inventory);
	r = resolver_new(p, &inv, NULL);
	f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
	if (!policy_run_tests(p, r, &(struct policy_test_place){.inv = &inv, .f = f}, &passed, &d) || d.n)
		fail_msg("%s", said(&d));
	assert_int_equal(passed, 11);
	filter_free(f);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
	free(yaml);
	free(inventory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_13_conditions),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_fault_41_as_the_gateway_decides),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_fault_2_nobody_fails_no_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
