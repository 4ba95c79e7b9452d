/* SPDX-License-Identifier: BSD-2-Clause */
/* Resolution and compilation: which addresses a rule means, and which node gets which rule. */
#include "policy/compile.h"
#include "policy_load.h"

/*
 *	alice	laptop .5 (also ::5), phone .6		admin
 *	bob	desk .7
 *	ci	.9, tag:ci				gw	.1, tag:gw, routes 10.33.0.0/16
 *	exit	.2, tag:exit, approved 0.0.0.0/0 and ::/0
 *	lost	.3, tag:gw, advertises 10.44.0.0/16 without approval
 */
static const char inventory_text[] =
	"tailnet: true\n"
	"users: [{name: alice@example.com, roles: [admin]}, {name: bob@example.org}]\n"
	"nodes:\n"
	"- {name: laptop, user: alice@example.com, addresses: [100.64.0.5, 'fd7a:115c:a1e0::5']}\n"
	"- {name: phone, user: alice@example.com, addresses: [100.64.0.6]}\n"
	"- {name: desk, user: bob@example.org, addresses: [100.64.0.7]}\n"
	"- {name: ci, tags: ['tag:ci'], addresses: [100.64.0.9]}\n"
	"- {name: gw, tags: ['tag:gw'], addresses: [100.64.0.1], routes: [10.33.0.0/16], approved: [10.33.0.0/16]}\n"
	"- {name: exit, tags: ['tag:exit'], addresses: [100.64.0.2], routes: [0.0.0.0/0, '::/0'],\n"
	"   approved: [0.0.0.0/0, '::/0']}\n"
	"- {name: lost, tags: ['tag:gw'], addresses: [100.64.0.3], routes: [10.44.0.0/16]}\n";

#define NAMES                                                                                            \
	"groups: {'group:both': [alice@example.com, bob@example.org], 'group:none': [eve@x.y]}\n"        \
	"hosts: {net: 10.33.5.0/24, web: 10.33.5.9}\n"                                                   \
	"ipsets: {'ipset:a': [add 10.33.0.0/30, remove 10.33.0.1, add ipset:b], 'ipset:b': [add web]}\n" \
	"tagOwners: {'tag:ci': [], 'tag:gw': [], 'tag:exit': []}\n"

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, separated by spaces. */
static char *join(char **words, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	qsort(words, n, sizeof(*words), by_text);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "%s%s", i ? " " : "", words[i]);
		free(words[i]);
	}
	fclose(f);
	return text;
}

static char *prefixes_text(const struct prefix *v, size_t n)
{
	char **words = mem_alloc(n, sizeof(*words)), buf[ADDR_STRLEN], *text;

	for (size_t i = 0; i < n; i++)
		words[i] = mem_strdup(prefix_str(&v[i], buf));
	text = join(words, n);
	free(words);
	return text;
}

/* "SRC.. > DST:FIRST-LAST.. /PROTO", a line a rule. */
static char *rules_text(const struct filter *f)
{
	char *text = NULL, buf[ADDR_STRLEN];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < f->n; i++) {
		const struct filter_rule *r = &f->rules[i];
		char **words = mem_alloc(r->n_dst, sizeof(*words)), *src = prefixes_text(r->src, r->n_src), *dst;

		for (size_t j = 0; j < r->n_dst; j++)
			words[j] = mem_printf("%s:%u-%u", prefix_str(&r->dst[j].prefix, buf), r->dst[j].first,
					      r->dst[j].last);
		dst = join(words, r->n_dst);
		fprintf(out, "%s%s%s > %s", i ? "\n" : "", r->verdict == FILTER_DENY ? "deny " : "", src, dst);
		if (r->n_proto)
			fprintf(out, " /%u", r->proto[0]);
		free(words);
		free(src);
		free(dst);
	}
	fclose(out);
	return text;
}

static char *compile(const char *yaml, const char *node, enum policy_absent absent)
{
	struct policy *p = load_policy(yaml);
	struct inventory inv;
	struct resolver *r;
	struct filter *f;
	char *text;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	f = policy_compile(r, p, *node ? &inv.nodes[inventory_find(&inv, node)] : NULL, absent);
	text = rules_text(f);
	filter_free(f);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
	return text;
}

struct resolution {
	const char *sel;
	bool dst;
	const char *addrs;
};

#define INTERNET4                                                                                                     \
	"0.0.0.0/5 100.0.0.0/10 100.128.0.0/9 101.0.0.0/8 102.0.0.0/7 104.0.0.0/5 11.0.0.0/8 112.0.0.0/4 12.0.0.0/6 " \
	"128.0.0.0/3 16.0.0.0/4 160.0.0.0/5 168.0.0.0/8 169.0.0.0/9 169.128.0.0/10 169.192.0.0/11 169.224.0.0/12 "    \
	"169.240.0.0/13 169.248.0.0/14 169.252.0.0/15 169.255.0.0/16 170.0.0.0/7 172.0.0.0/12 172.128.0.0/9 "         \
	"172.32.0.0/11 172.64.0.0/10 173.0.0.0/8 174.0.0.0/7 176.0.0.0/4 192.0.0.0/9 192.128.0.0/11 192.160.0.0/13 "  \
	"192.169.0.0/16 192.170.0.0/15 192.172.0.0/14 192.176.0.0/12 192.192.0.0/10 193.0.0.0/8 194.0.0.0/7 "         \
	"196.0.0.0/6 200.0.0.0/5 2000::/3 208.0.0.0/4 224.0.0.0/3 32.0.0.0/3 64.0.0.0/3 8.0.0.0/7 96.0.0.0/6"

static const struct resolution resolutions[] = {
	{"alice@example.com", false, "100.64.0.5 100.64.0.6 fd7a:115c:a1e0::5"},
	{"eve@x.y", false, ""},
	{"user:*@example.com", false, "100.64.0.5 100.64.0.6 fd7a:115c:a1e0::5"},
	{"user:*@example", false, ""},
	{"group:both", false, "100.64.0.5 100.64.0.6 100.64.0.7 fd7a:115c:a1e0::5"},
	{"group:none", false, ""},
	{"tag:ci", false, "100.64.0.9"},
	{"autogroup:member", false, "100.64.0.5 100.64.0.6 100.64.0.7 fd7a:115c:a1e0::5"},
	{"autogroup:tagged", false, "100.64.0.1 100.64.0.2 100.64.0.3 100.64.0.9"},
	{"autogroup:admin", false, "100.64.0.5 100.64.0.6 fd7a:115c:a1e0::5"},
	{"autogroup:owner", false, ""},
	{"web", false, "10.33.5.9"},
	{"net", true, "10.33.5.0/24"},
	{"10.9.9.9/8", true, "10.0.0.0/8"},
	{"ipset:a", true, "10.33.0.0 10.33.0.2/31 10.33.5.9"},
	{"autogroup:danger-all", false, "0.0.0.0/0 ::/0"},
	{"*", true, "0.0.0.0/0 ::/0"},
	/* the tailnet without ChromeOS's part, and what is routed: neither exits nor what is not approved */
	{"*", false,
	 "10.33.0.0/16 100.112.0.0/15 100.114.0.0/16 100.115.0.0/18 100.115.128.0/17 100.115.64.0/20 "
	 "100.115.80.0/21 100.115.88.0/22 100.115.94.0/23 100.115.96.0/19 100.116.0.0/14 100.120.0.0/13 "
	 "100.64.0.0/11 100.96.0.0/12 fd7a:115c:a1e0::/48"},
	{"autogroup:internet", true, INTERNET4},
};

static void test_resolution(void **state)
{
	for (size_t i = 0; i < sizeof(resolutions) / sizeof(resolutions[0]); i++) {
		const struct resolution *c = &resolutions[i];
		char *yaml = mem_printf(c->dst ? NAMES "acls: [{action: accept, src: [], dst: ['%s:*']}]"
					       : NAMES "acls: [{action: accept, src: ['%s'], dst: []}]",
					c->sel);
		struct policy *p = load_policy(yaml);
		struct prefixes set = {0};
		struct inventory inv;
		struct resolver *r;
		char *got;

		load_inventory(&inv, inventory_text);
		r = resolver_new(p, &inv, NULL);
		if (c->dst)
			resolve_dst(r, &p->rules[0].dst[0].sel, &set);
		else
			resolve_src(r, &p->rules[0].src.v[0], &set);
		got = prefixes_text(set.v, set.n);
		if (strcmp(got, c->addrs))
			fail_msg("%s: %s, expected %s", c->sel, got, c->addrs);
		free(got);
		free(yaml);
		prefixes_free(&set);
		resolver_free(r);
		inventory_free(&inv);
		policy_free(p);
	}
}

#define ACL(rest)   NAMES "acls: [{action: accept, src: [tag:ci], " rest "}]"
#define GRANT(rest) NAMES "grants: [{src: [tag:ci], " rest "}]"
#define DENY(rest)  NAMES "deny: [{src: [tag:ci], " rest "}]"

static const struct {
	const char *node, *yaml, *rules;
} compilations[] = {
	/* (a) destinations that contain an address of the node */
	{"gw", ACL("dst: ['tag:gw:22']"), "100.64.0.9 > 100.64.0.1:22-22"},
	{"desk", ACL("dst: ['tag:gw:22']"), ""},
	{"desk", ACL("dst: ['100.64.0.0/24:22']"), "100.64.0.9 > 100.64.0.0/24:22-22"},
	{"desk", ACL("dst: ['*:22']"), "100.64.0.9 > 0.0.0.0/0:22-22 ::/0:22-22"},
	/* (b) that overlap an approved route, literally */
	{"gw", ACL("dst: ['net:22']"), "100.64.0.9 > 10.33.5.0/24:22-22"},
	{"gw", ACL("dst: ['10.32.0.0/14:22,80-81']"), "100.64.0.9 > 10.32.0.0/14:22-22 10.32.0.0/14:80-81"},
	{"gw", ACL("dst: ['10.44.0.0/16:22']"), ""},
	{"lost", ACL("dst: ['10.44.0.0/16:22']"), ""},
	{"desk", ACL("dst: ['net:22']"), ""},
	/* (c) inside the internet, on an exit node */
	{"exit", ACL("dst: ['8.8.8.8:53']"), "100.64.0.9 > 8.8.8.8:53-53"},
	{"exit", ACL("dst: ['2001:db8::/32:53']"), "100.64.0.9 > 2001:db8::/32:53-53"},
	{"exit", ACL("dst: ['10.99.0.0/16:53']"), ""},
	{"exit", ACL("dst: ['8.0.0.0/6:53']"), ""}, /* partly private */
	{"gw", ACL("dst: ['8.8.8.8:53']"), ""},
	{"gw", ACL("dst: ['autogroup:internet:*']"), ""},
	/* via: only nodes with the tag, only by their routes */
	{"gw", GRANT("dst: [net], ip: ['*'], via: ['tag:gw']"), "100.64.0.9 > 10.33.5.0/24:0-65535"},
	{"gw", GRANT("dst: [net], ip: ['*'], via: ['tag:exit']"), ""},
	{"gw", GRANT("dst: [100.64.0.1], ip: ['*'], via: ['tag:gw']"), ""},
	{"lost", GRANT("dst: [net], ip: ['*'], via: ['tag:gw']"), ""},
	{"exit", GRANT("dst: [8.8.8.8], ip: ['*'], via: ['tag:exit']"), ""},
	{"exit", GRANT("dst: [autogroup:internet], ip: ['*'], via: ['tag:gw']"), ""},
	/* protocols and ports of a grant */
	{"gw", GRANT("dst: [web], ip: ['tcp:80', 'udp:53', 'tcp:443', '22', 'icmp:*']"),
	 "100.64.0.9 > 10.33.5.9:443-443 10.33.5.9:80-80 /6\n"
	 "100.64.0.9 > 10.33.5.9:53-53 /17\n"
	 "100.64.0.9 > 10.33.5.9:22-22\n"
	 "100.64.0.9 > 10.33.5.9:0-65535 /1"},
	{"gw", GRANT("dst: [web], app: {example.com/x: []}"), ""},
	{"gw", ACL("proto: udp, dst: ['web:53']"), "100.64.0.9 > 10.33.5.9:53-53 /17"},
	/* autogroup:self */
	{"laptop", NAMES "acls: [{action: accept, src: ['*'], dst: ['autogroup:self:22']}]",
	 "100.64.0.5 100.64.0.6 fd7a:115c:a1e0::5 > 100.64.0.5:22-22 fd7a:115c:a1e0::5:22-22"},
	{"desk", NAMES "acls: [{action: accept, src: [alice@example.com], dst: ['autogroup:self:22']}]", ""},
	{"ci", NAMES "acls: [{action: accept, src: ['*'], dst: ['autogroup:self:22']}]", ""},
	{"", NAMES "grants: [{src: ['group:both'], dst: ['autogroup:self'], ip: ['tcp:22']}]",
	 "100.64.0.5 100.64.0.6 fd7a:115c:a1e0::5 > 100.64.0.5:22-22 100.64.0.6:22-22 fd7a:115c:a1e0::5:22-22 /6\n"
	 "100.64.0.7 > 100.64.0.7:22-22 /6"},
	/* no source, no destination, no rule */
	{"gw", NAMES "acls: [{action: accept, src: ['group:none'], dst: ['*:*']}]", ""},
	{"gw", NAMES "acls: [{action: accept, src: [], dst: ['*:*']}, {action: accept, src: ['*'], dst: []}]", ""},
	{"gw", NAMES "acls: [{action: accept}]", ""},
	/* a deny is kept wherever it may matter: also where it reaches beyond the internet */
	{"gw", DENY("dst: ['net:22']"), "deny 100.64.0.9 > 10.33.5.0/24:22-22"},
	{"exit", DENY("dst: ['8.0.0.0/6:53']"), "deny 100.64.0.9 > 8.0.0.0/6:53-53"},
	{"exit", DENY("dst: ['10.0.0.0/8:53']"), "deny 100.64.0.9 > 10.0.0.0/8:53-53"},
	{"gw", DENY("dst: ['8.8.8.8:53']"), ""},
};

static void test_compilation(void **state)
{
	for (size_t i = 0; i < sizeof(compilations) / sizeof(compilations[0]); i++) {
		char *got = compile(compilations[i].yaml, compilations[i].node, POLICY_DENY_ALL);

		if (strcmp(got, compilations[i].rules))
			fail_msg("%s %s: compiled\n%s\nexpected\n%s", compilations[i].node, compilations[i].yaml, got,
				 compilations[i].rules);
		free(got);
	}
}

/* Without acls and grants: everything in the service's semantics, nothing on a gateway. */
static void test_absent(void **state)
{
	static const struct {
		const char *yaml;
		enum policy_absent absent;
		const char *rules;
	} cases[] = {
		{"{}", POLICY_ALLOW_ALL, "0.0.0.0/0 ::/0 > 0.0.0.0/0:0-65535 ::/0:0-65535"},
		{"{}", POLICY_DENY_ALL, ""},
		{"acls: []", POLICY_ALLOW_ALL, ""},
		{"grants: []", POLICY_ALLOW_ALL, ""},
		{"deny: [{src: [10.0.0.1], dst: ['*:1']}]", POLICY_ALLOW_ALL,
		 "0.0.0.0/0 ::/0 > 0.0.0.0/0:0-65535 ::/0:0-65535\ndeny 10.0.0.1 > 0.0.0.0/0:1-1 ::/0:1-1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *got = compile(cases[i].yaml, "gw", cases[i].absent);

		assert_string_equal(got, cases[i].rules);
		free(got);
	}
}

/* Without "tailnet" it is a gateway with clients of its own, and "*" is whoever sends. */
static void test_fault_39_everybody(void **state)
{
	static const char *const inventories[] = {"nodes: [{name: a, user: a@b, addresses: [10.8.0.5]}]",
						  "{tailnet: false, nodes: [{name: a, user: a@b}]}",
						  "{tailnet: true, nodes: [{name: a, user: a@b}]}",
						  "{Peers: [], Node: null}"};

	for (size_t i = 0; i < 4; i++) {
		struct policy *p = load_policy("acls: []");
		struct policy_sel any = {.kind = SEL_ANY, .text = "*"};
		struct prefixes set = {0};
		struct inventory inv;
		struct resolver *r;
		char *text;

		load_inventory(&inv, inventories[i]);
		r = resolver_new(p, &inv, NULL);
		resolve_src(r, &any, &set);
		text = prefixes_text(set.v, set.n);
		if (i < 2)
			assert_string_equal(text, "0.0.0.0/0 ::/0");
		else
			assert_non_null(strstr(text, "fd7a:115c:a1e0::/48"));
		free(text);
		prefixes_free(&set);
		resolver_free(r);
		inventory_free(&inv);
		policy_free(p);
	}
}

/* What the rules of a file say of themselves. */
static void test_identity(void **state)
{
	struct policy *p =
		load_policy(NAMES "acls:\n"
				  "- {action: accept, src: ['group:none'], dst: ['*:*']}\n"
				  "- {action: accept, src: ['*', tag:ci], dst: ['web:80,443']}\n"
				  "deny:\n"
				  "- {src: [tag:ci, tag:gw, tag:exit, web, net], dst: ['[fd7a::1]:*'], proto: tcp}\n");
	struct inventory inv;
	struct resolver *r;
	struct filter *f;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
	assert_int_equal(f->n, 2);
	assert_int_equal(f->rules[0].id, 2);
	assert_int_equal(f->rules[0].line, 7);
	assert_int_equal(f->rules[0].column, 3);
	assert_string_equal(f->rules[0].file, "p");
	assert_string_equal(f->rules[0].text, "*, tag:ci -> web:80,443");
	assert_string_equal(f->rules[1].text, "deny tag:ci, tag:gw, tag:exit, web and 1 more -> [fd7a::1]:* tcp");
	filter_free(f);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
}

/* Rules with the same sources share them; nothing is freed twice (ASan says). */
static void test_shared_sources(void **state)
{
	struct policy *p = load_policy(NAMES "acls: [{action: accept, src: ['*'], dst: ['8.8.8.8:1']},\n"
					     "{action: accept, src: ['*'], dst: ['web:1']},\n"
					     "{action: accept, src: ['*'], dst: ['web:2', 'autogroup:self:3']}]\n");
	struct inventory inv;
	struct resolver *r;
	struct filter *f;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	f = policy_compile(r, p, &inv.nodes[inventory_find(&inv, "gw")], POLICY_DENY_ALL);
	assert_int_equal(f->n, 2);
	assert_ptr_equal(f->rules[0].src, f->rules[1].src);
	assert_false(f->rules[0].shares_src);
	assert_true(f->rules[1].shares_src);
	filter_free(f);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
}

static void test_approval(void **state)
{
	static const struct {
		const char *node, *route;
		const char *by; /* NULL: nobody */
	} cases[] = {
		{"gw", "10.33.0.0/16", "tag:gw"},
		{"gw", "10.33.5.0/24", "tag:gw"},
		{"gw", "10.32.0.0/15", NULL},
		{"ci", "10.33.0.0/16", NULL},
		{"laptop", "10.50.0.0/16", "group:both"},
		{"desk", "10.50.0.0/16", "group:both"},
		{"gw", "10.50.0.0/16", NULL},
		{"exit", "0.0.0.0/0", "tag:exit"},
		{"exit", "::/0", "tag:exit"},
		{"gw", "0.0.0.0/0", NULL}, /* routes has it, exitNode has not */
		{"laptop", "10.60.0.0/16", "autogroup:admin"},
		{"desk", "10.60.0.0/16", NULL},
		{"gw", "10.34.1.0/24", "tag:gw"},
	};
	struct policy *p = load_policy(
		NAMES "autoApprovers:\n"
		      "  routes: {10.33.0.0/16: ['tag:gw'], 10.34.0.0/16: ['tag:ci'], 10.34.0.0/15: ['tag:gw'],\n"
		      "    10.50.0.0/16: ['group:both'], 10.60.0.0/16: ['autogroup:admin'],\n"
		      "    0.0.0.0/0: ['tag:exit']}\n"
		      "  exitNode: ['tag:exit']\n");
	struct inventory inv;
	struct resolver *r;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct policy_sel *by;
		struct prefix route;

		assert_true(prefix_parse(cases[i].route, strlen(cases[i].route), &route, NULL));
		by = resolve_approval(r, &inv.nodes[inventory_find(&inv, cases[i].node)], &route);
		if (!by != !cases[i].by || (by && strcmp(by->text, cases[i].by)))
			fail_msg("%s %s: by %s", cases[i].node, cases[i].route, by ? by->text : "nobody");
	}
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
}

/* Pools and quotas: the first that names the client. */
static void test_pool_and_quota(void **state)
{
	struct policy *p =
		load_policy(NAMES "egress: {'tag:ci': builds, bob@example.org: bobs, 'group:both': people}\n"
				  "quotas: [{src: ['tag:ci', bob@example.org], flows: 1}, {src: ['*'], flows: 2},\n"
				  "{src: [100.64.0.5], flows: 3}]\n");
	struct inventory inv;
	struct resolver *r;
	struct inventory_node *ci, *desk, *laptop, *gw;

	load_inventory(&inv, inventory_text);
	r = resolver_new(p, &inv, NULL);
	ci = &inv.nodes[inventory_find(&inv, "ci")];
	desk = &inv.nodes[inventory_find(&inv, "desk")];
	laptop = &inv.nodes[inventory_find(&inv, "laptop")];
	gw = &inv.nodes[inventory_find(&inv, "gw")];
	assert_string_equal(resolve_pool(r, ci), "builds");
	assert_string_equal(resolve_pool(r, desk), "bobs");
	assert_string_equal(resolve_pool(r, laptop), "people");
	assert_null(resolve_pool(r, gw));
	assert_int_equal(resolve_quota(r, ci)->flows, 1);
	assert_int_equal(resolve_quota(r, desk)->flows, 1);
	assert_int_equal(resolve_quota(r, laptop)->flows, 2);
	resolver_free(r);
	inventory_free(&inv);
	policy_free(p);
}

static void expect_mistakes(const char *file, const char *text, const char *expected)
{
	struct inventory inv = {0};
	struct diags d = {0};
	struct doc *doc = doc_parse(file, text, strlen(text), doc_format_of(file), &d);
	char *out;

	assert_false(inventory_read(&inv, doc, &d));
	out = said(&d);
	assert_string_equal(out, expected);
	free(out);
	doc_free(doc);
	inventory_free(&inv);
}

static void test_inventory_mistakes(void **state)
{
	static const char text[] = "users: [{name: a@b, roles: admin}]\n"
				   "nodes:\n"
				   "- {name: both, user: a@b, tags: [tag:x]}\n"
				   "- {name: neither}\n"
				   "- {user: a@b}\n"
				   "- {name: bad, user: a@b, addresses: [x], route: []}\n";

	expect_mistakes("i.yaml", text,
			"i.yaml:1:28: roles: found \"admin\", expected a list\n"
			"i.yaml:3:3: nodes: \"both\": expected either \"user\" or \"tags\"\n"
			"i.yaml:4:3: nodes: \"neither\": expected either \"user\" or \"tags\"\n"
			"i.yaml:5:3: nodes: \"name\" is missing\n"
			"i.yaml:6:38: addresses: found \"x\", expected an address or a CIDR\n"
			"i.yaml:6:42: nodes: unknown field \"route\"; did you mean \"routes\"?\n");
}

/* Fault 43: of two with one name or address every answer would be about one of them. */
static void test_fault_43_an_inventory_has_everything_once(void **state)
{
	struct inventory inv;

	expect_mistakes("i.yaml",
			"users: [{name: a@b}, {name: a@b}]\n"
			"nodes:\n"
			"- {name: one, user: a@b, addresses: [100.64.0.1]}\n"
			"- {name: one, user: a@b, addresses: [100.64.0.2]}\n"
			"- {name: two, user: a@b, addresses: [100.64.0.1, 'fd7a::1', 'fd7a::1']}\n"
			"- {name: net, user: a@b, addresses: [100.64.0.0/30]}\n",
			"i.yaml:1:8: users: \"a@b\" is there twice\n"
			"i.yaml:4:3: nodes: \"one\" is there twice, first on line 3\n"
			"i.yaml:5:3: nodes: fd7a::1 is an address of \"two\" and of \"two\"\n"
			"i.yaml:6:3: nodes: 100.64.0.1 is an address of \"net\" and of \"one\"\n"
			"i.yaml:6:3: nodes: 100.64.0.1 is an address of \"net\" and of \"two\"\n"
			"i.yaml:6:3: nodes: 100.64.0.2 is an address of \"net\" and of \"one\"\n");
	load_inventory(&inv, "{\"Peers\": [{\"ID\": 4, \"Name\": \"gw.a.ts.net.\", \"Tags\": [\"tag:x\"]},"
			     "{\"ID\": 5, \"Name\": \"gw.b.ts.net.\", \"Tags\": [\"tag:x\"]}]}");
	assert_string_equal(inv.nodes[0].name, "gw");
	assert_string_equal(inv.nodes[1].name, "gw#5");
	inventory_free(&inv);
}

/* What a server sends, and what `tailscale debug netmap` prints of it, mean the same people. */
static void test_inventory_of_a_netmap(void **state)
{
#define PEERS                                                                                                     \
	"\"Peers\":[{\"ID\":2,\"Name\":\"gw.t.ts.net.\",\"User\":9,\"Tags\":[\"tag:gw\"],\"Key\":\"nodekey:00\"," \
	"\"Addresses\":[\"100.64.0.1/32\"],"                                                                      \
	"\"AllowedIPs\":[\"100.64.0.1/32\",\"10.33.0.0/16\",\"0.0.0.0/0\",\"::/0\"],"                             \
	"\"Hostinfo\":{\"RoutableIPs\":[\"10.33.0.0/16\",\"10.44.0.0/16\",\"0.0.0.0/0\",\"::/0\"]}},"             \
	"{\"ID\":3,\"Name\":\"\",\"User\":7,\"Addresses\":[\"100.64.0.6/32\"],\"AllowedIPs\":null,"               \
	"\"Hostinfo\":{\"Hostname\":\"phone\"},\"SomethingNew\":{\"a\":[1.5]}}]"
#define SELF                                                           \
	"{\"ID\":1,\"Name\":\"laptop.t.ts.net.\",\"User\":7,"          \
	"\"Addresses\":[\"100.64.0.5/32\",\"fd7a:115c:a1e0::5/128\"]," \
	"\"AllowedIPs\":[\"100.64.0.5/32\",\"fd7a:115c:a1e0::5/128\"]}"
#define ALICE "{\"ID\":7,\"LoginName\":\"alice@example.com\"}"
	static const char *const netmaps[] = {
		"{\"Node\":" SELF "," PEERS ",\"UserProfiles\":[" ALICE "]}",
		"{\"SelfNode\":" SELF "," PEERS ",\"UserProfiles\":"
		"{\"7\":" ALICE ",\"9\":{\"ID\":9,\"LoginName\":\"tagged-devices\"}}}",
	};

	for (size_t i = 0; i < 2; i++) {
		const struct inventory_node *gw;
		struct inventory inv;
		char *text;

		load_inventory(&inv, netmaps[i]);
		assert_int_equal(inv.n_nodes, 3);
		assert_int_equal(inv.n_users, 1);
		assert_string_equal(inv.nodes[inventory_find(&inv, "laptop")].user, "alice@example.com");
		assert_string_equal(inv.nodes[inventory_find(&inv, "phone")].user, "alice@example.com");
		assert_int_equal(inv.nodes[inventory_find(&inv, "laptop")].addrs.n, 2);
		assert_int_equal(inv.nodes[inventory_find(&inv, "laptop")].approved.n, 0);
		gw = &inv.nodes[inventory_find(&inv, "gw")];
		assert_null(gw->user);
		assert_string_equal(gw->tags[0], "tag:gw");
		text = prefixes_text(gw->approved.v, gw->approved.n);
		assert_string_equal(text, "0.0.0.0/0 10.33.0.0/16 ::/0");
		free(text);
		assert_int_equal(gw->routable.n, 4);
		inventory_free(&inv);
	}
}

static void test_netmap_mistakes(void **state)
{
	static const char text[] = "{\"Peers\": [\n"
				   "{\"Name\": \"lost\", \"User\": 5},\n"
				   "7,\n"
				   "{\"Name\": \"bad\", \"Tags\": [\"tag:x\"], \"Addresses\": [\"x\"]}]}";

	expect_mistakes("n.json", text,
			"n.json:2:1: netmap: node \"lost\" is user 5's, who has no login name in UserProfiles\n"
			"n.json:3:1: netmap: expected a node\n"
			"n.json:4:50: Addresses: found \"x\", expected an address or a CIDR\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolution),
		cmocka_unit_test(test_compilation),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_fault_39_everybody),
		cmocka_unit_test(test_shared_sources),
		cmocka_unit_test(test_approval),
		cmocka_unit_test(test_pool_and_quota),
		cmocka_unit_test(test_inventory_mistakes),
		cmocka_unit_test(test_fault_43_an_inventory_has_everything_once),
		cmocka_unit_test(test_inventory_of_a_netmap),
		cmocka_unit_test(test_netmap_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
