/* SPDX-License-Identifier: BSD-2-Clause */
/* Why somebody reaches something or not. */
#include "ruleset_setup.h"

struct explain_case {
	const char *src, *dst, *proto, *port;
	const char *reason; /* NULL: allowed */
};

static const struct explain_case explain_cases[] = {
	{"alice@example.com", "billing", NULL, "443", NULL}, /* lent, which has expired, is hers too */
	{"laptop", "203.0.113.9", "udp", "443", NULL},
	{"100.64.0.5", "billing", "icmp", NULL, NULL},
	{"laptop", "billing", "tcp", "80", "policy"},
	{"laptop", "billing", "tcp", "444", "policy"},
	{"laptop", "billing", "gre", NULL, "policy"},
	{"laptop", "billing6", "icmp", NULL, NULL},
	{"bob@example.com", "billing", "tcp", "443", "policy"},
	{"100.64.0.77", "billing", "tcp", "443", "client"},
	{"laptop", "198.18.0.1", "tcp", "443", "no_route"}, /* no autoApprover names it */
	{"laptop", "meta", "tcp", "80", "reserved"},	    /* a rule names it, but no route leads there */
	{"laptop", "100.100.100.200", "tcp", "80", "reserved"},
	{"laptop", "127.0.0.1", "tcp", "80", "reserved"},
	{"laptop", "100.64.0.1", "tcp", "22", "reserved"},
	{"laptop", "224.0.0.1", "tcp", "80", "multicast"},
	{"laptop", "169.254.1.1", "tcp", "80", "link_local"},
	{"laptop", "fe80::1", "tcp", "80", "link_local"},
	{"laptop", "::1", "tcp", "80", "reserved"},
	{"lent", "billing", "tcp", "443", "wg_handshake"}, /* has expired, whatever the rules say */
};

static json_t *ask(struct setup *s, const struct ruleset *r, const struct explain_case *c, char **error)
{
	struct explain_source source = {.rules = r, .config = s->config, .now = NOW};
	struct explain_question q = {.source = c->src, .destination = c->dst};

	*error = NULL;
	return explain_parse(c->proto, c->port, &q, error) ? explain(&source, &q, error) : NULL;
}

static void test_explain(void **state)
{
	struct setup *s = *state;
	struct ruleset *r = build(s, policy, NULL);

	assert_non_null(r);
	for (size_t i = 0; i < sizeof(explain_cases) / sizeof(explain_cases[0]); i++) {
		const struct explain_case *c = &explain_cases[i];
		char *error;
		json_t *j = ask(s, r, c, &error), *one = json_array_get(json_object_get(j, "answers"), 0);
		const char *reason = json_string_value(json_object_get(one, "reason"));

		if (!j || !reason != !c->reason || (reason && strcmp(reason, c->reason)))
			fail_msg("%s -> %s: %s", c->src, c->dst, error ? error : reason ? reason : "allowed");
		assert_int_equal(json_is_true(json_object_get(j, "allowed")), !c->reason);
		assert_true(json_string_length(json_object_get(one, "why")) > 0);
		json_decref(j);
	}
	ruleset_free(r);
}

static void test_explain_names_rule_route_and_pool(void **state)
{
	struct setup *s = *state;
	struct ruleset *r = build(s, policy, NULL);
	char *error, *text = NULL;
	size_t size;
	json_t *j = ask(s, r, &explain_cases[0], &error);
	const char *pool, *prefix, *by;
	json_int_t line, quota;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(json_unpack(j, "{s:[{s:{s:I}, s:{s:s, s:s}, s:{s:s}, s:{s:I}}]}", "answers", "rule", "line",
				     &line, "route", "prefix", &prefix, "by", &by, "egress", "pool", &pool, "quota",
				     "bytes", &quota),
			 0);
	assert_int_equal(quota, 20000000);
	assert_int_equal(line, 5);
	assert_string_equal(prefix, "203.0.113.0/24");
	assert_string_equal(by, "tag:gw");
	assert_string_equal(pool, "bank");
	print_explain(j, out);
	fclose(out);
	assert_non_null(strstr(text, "allowed  rule 1  p.yaml:5"));
	assert_non_null(strstr(text, "pool bank via eth1"));
	assert_non_null(strstr(text, "p.yaml:11, 2,000 flows, 100 new flows a second, 20,000,000 bytes a second"));
	free(text);
	json_decref(j);
	ruleset_free(r);
}

/* The beginning of a client's or a user's name is no name, but tells which was meant. */
static void test_explain_knows_the_longer_name(void **state)
{
	static const struct {
		const char *src, *says;
	} cases[] = {
		{"alice", "src=host not found: \"alice\"; did you mean \"alice@example.com\"?"},
		{"lap", "src=host not found: \"lap\"; did you mean \"laptop\"?"},
		{"bililng", "src=host not found: \"bililng\"; did you mean \"billing\"? (hosts, line 1)"},
		{"zoe", "src=host not found: \"zoe\""},
	};
	struct setup *s = *state;
	struct ruleset *r = build(s, policy, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct explain_case c = {cases[i].src, "billing", "tcp", "443", NULL};
		char *error;

		assert_null(ask(s, r, &c, &error));
		assert_string_equal(error, cases[i].says);
		free(error);
	}
	ruleset_free(r);
}

/* A prefix is asked about by its first address alone, and that is said. */
static void test_explain_of_a_prefix(void **state)
{
	static const struct explain_case whole = {"laptop", "203.0.113.0/24", "tcp", "443", NULL};
	struct setup *s = *state;
	struct ruleset *r = build(s, policy, NULL);
	char *error, *text = NULL;
	size_t size;
	json_t *j = ask(s, r, &whole, &error), *a = json_array_get(json_object_get(j, "answers"), 0);
	FILE *out = open_memstream(&text, &size);

	assert_true(json_is_null(json_object_get(a, "source_of")));
	assert_string_equal(json_string_value(json_object_get(a, "destination_of")), "203.0.113.0/24");
	print_explain(j, out);
	fclose(out);
	assert_non_null(strstr(text, "service   203.0.113.0 (the first of 203.0.113.0/24, alone) tcp 443"));
	free(text);
	json_decref(j);
	ruleset_free(r);
}

static void test_explain_refuses(void **state)
{
	static const struct explain_case cases[] = {
		{"nobody@example.com", "billing", NULL, "80", ""},
		{"laptop", "nowhere", NULL, "80", ""},
		{"phone", "billing6", NULL, "80", ""}, /* no address of one family */
		{"laptop", "billing", "tcp", NULL, ""},
		{"laptop", "billing", "icmp", "8", ""},
		{"laptop", "billing", "tcp", "0", ""},
		{"laptop", "billing", "tcp", "65536", ""},
		{"laptop", "billing", "tcp", "-1", ""},
		{"laptop", "billing", "nonsense", "1", ""},
	};
	struct setup *s = *state;
	struct ruleset *r = build(s, policy, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *error;

		assert_null(ask(s, r, &cases[i], &error));
		assert_non_null(error);
		free(error);
	}
	ruleset_free(r);
}

/* "*" is every client of this gateway, wherever its address is: a deny refuses all, an accept admits all. */
static void test_fault_39_everybody_is_every_client(void **state)
{
	static const char elsewhere[] = "version: 1\n"
					"tunnel: {addresses: [10.8.0.1/24, 'fd00:8::1/64']}\n"
					"routes: [203.0.113.0/24, '2001:db8:3::/64']\n"
					"clients:\n"
					"- {name: laptop, user: alice@example.com, "
					"public_key: zwRL3/KjvQoKf5skYdjEPd+vb0rbEcNFOVteKbGkjCs=,\n"
					"   addresses: [10.8.0.5, 'fd00:8::5']}\n";
	static const char *const rules[] = {
		"acls: [{action: accept, src: ['*'], dst: ['*:443']}]\n"
		"deny: [{src: ['*'], dst: ['*:25']}]\n",
		"acls: [{action: accept, src: [alice@example.com], dst: ['*:*']}]\n"
		"deny: [{src: ['*'], dst: ['*:25']}]\n",
	};
	static const struct explain_case cases[] = {
		{"laptop", "203.0.113.9", "tcp", "443", NULL},
		{"laptop", "2001:db8:3::9", "tcp", "443", NULL},
		{"laptop", "203.0.113.9", "tcp", "25", "policy"},
		{"laptop", "2001:db8:3::9", "tcp", "25", "policy"},
	};
	struct setup *s = *state;

	config_free(s->config);
	s->config =
		config_parse(doc_parse("gateway.yaml", elsewhere, strlen(elsewhere), DOC_YAML, &s->d), "host", &s->d);
	for (size_t i = 0; i < 2 * N(cases); i++) {
		const struct explain_case *c = &cases[i % N(cases)];
		struct ruleset *r = build(s, rules[i / N(cases)], NULL);
		char *error;
		json_t *j = ask(s, r, c, &error);
		json_t *one = json_array_get(json_object_get(j, "answers"), 0);
		const char *reason = json_string_value(json_object_get(one, "reason"));

		if (!j || !reason != !c->reason || (reason && strcmp(reason, c->reason)))
			fail_msg("%s -> %s %s: %s", c->src, c->dst, c->port, reason ? reason : "allowed");
		json_decref(j);
		ruleset_free(r);
	}
}

static const char two_addresses[] =
	"version: 1\n"
	"tunnel: {addresses: [10.8.0.1/24]}\n"
	"routes: [0.0.0.0/0]\n"
	"clients:\n"
	"- {name: two, user: a@x.y, public_key: zwRL3/KjvQoKf5skYdjEPd+vb0rbEcNFOVteKbGkjCs=, "
	"addresses: [10.8.0.2, 10.8.0.3]}\n";

/* What check warns of, explain does not contradict: it names no accept as the reason of a refusal. */
static void test_fault_42_explain_of_a_client_with_two_addresses(void **state)
{
	static const struct {
		const char *src, *port, *why;
	} cases[] = {
		{"10.8.0.2", "80",
		 "default deny; nearest rule 1 (p.yaml:2) names only a part of this client's "
		 "addresses, so it does not hold for it: 10.8.0.2 -> 203.0.113.9:80"},
		{"10.8.0.2", "99",
		 "rule 3 (p.yaml:4) deny 10.8.0.3 -> 203.0.113.9:99 (by another address of this "
		 "client: a deny holds for all of them)"},
		{"10.8.0.3", "99", "rule 3 (p.yaml:4) deny 10.8.0.3 -> 203.0.113.9:99"},
	};
	static const char text[] = "acls:\n"
				   "- {action: accept, src: [10.8.0.2], dst: ['203.0.113.9:80']}\n"
				   "- {action: accept, src: [10.8.0.0/24], dst: ['203.0.113.9:99'], proto: tcp}\n"
				   "deny: [{src: [10.8.0.3], dst: ['203.0.113.9:99']}]\n";
	struct setup *s = *state;
	struct ruleset *r;

	config_free(s->config);
	s->config = config_parse(doc_parse("gateway.yaml", two_addresses, strlen(two_addresses), DOC_YAML, &s->d),
				 "host", &s->d);
	r = build(s, text, NULL);
	assert_non_null(r);
	assert_true(said(s, DIAG_WARNING, "an accept must name all of them"));
	for (size_t i = 0; i < N(cases); i++) {
		struct explain_case c = {cases[i].src, "203.0.113.9", "tcp", cases[i].port, NULL};
		char *error;
		json_t *j = ask(s, r, &c, &error), *one = json_array_get(json_object_get(j, "answers"), 0);

		assert_true(json_is_false(json_object_get(one, "allowed")));
		assert_string_equal(json_string_value(json_object_get(one, "why")), cases[i].why);
		json_decref(j);
	}
	ruleset_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		setup_test(test_explain),
		setup_test(test_explain_names_rule_route_and_pool),
		setup_test(test_explain_knows_the_longer_name),
		setup_test(test_explain_of_a_prefix),
		setup_test(test_explain_refuses),
		setup_test(test_fault_39_everybody_is_every_client),
		setup_test(test_fault_42_explain_of_a_client_with_two_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
