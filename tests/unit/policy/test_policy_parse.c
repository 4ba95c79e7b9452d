/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy's language: what is accepted, and what is said about what is not. */
#include "policy/policy_parse.h"
#include "policy_load.h"
#include "policy_same.h"

/* Names that the cases below refer to. */
#define NAMES                                          \
	"groups: {'group:eng': [alice@example.com]}\n" \
	"hosts: {web: 10.0.0.1, net: 10.0.0.0/8}\n"    \
	"tagOwners: {'tag:ci': [alice@example.com], 'tag:gw': []}\n"
#define ACL(rest)   NAMES "acls:\n- {action: accept, " rest "}\n"
#define GRANT(rest) NAMES "grants:\n- {" rest "}\n"

struct bad {
	const char *yaml;
	const char *says; /* one message, without its place */
};

static const struct bad bad[] = {
	/* the messages that people know from the service */
	{NAMES "acls: [{action: deny, src: ['*'], dst: ['*:*']}]", "action=\"deny\" is not supported"},
	{NAMES "acls: [{src: ['*'], dst: ['*:*']}]", "action=\"\" is not supported"},
	{ACL("src: ['tag:x'], dst: ['*:*']"), "src=tag not found: \"tag:x\""},
	{ACL("src: ['*'], dst: ['tag:x:22']"), "dst=\"tag:x\": tag not found: \"tag:x\""},
	{ACL("src: ['*'], dst: ['tag:ci:ssh']"), "dst=\"tag:ci:ssh\": port range \"ssh\": invalid first integer"},
	{ACL("src: ['*'], dst: ['tag:ci']"), "dst=\"tag:ci\": port range \"ci\": invalid first integer"},
	{ACL("src: ['*'], dst: ['web:0']"), "port range \"0\": first port must be >0, or use '*' for wildcard"},
	{ACL("src: ['autogroup:self'], dst: ['*:*']"), "\"autogroup:self\" not valid on the src side of a rule"},
	{ACL("src: ['autogroup:internet'], dst: ['*:*']"),
	 "\"autogroup:internet\" not valid on the src side of a rule"},
	{ACL("src: ['*'], dst: ['autogroup:danger-all:*']"), "cannot use autogroup:danger-all as a dst"},
	{ACL("src: ['tag:ci'], dst: ['autogroup:self:*']"),
	 "autogroup:self can only be used with users, groups, or supported autogroups"},
	{GRANT("src: ['*'], dst: ['autogroup:self'], ip: ['*']"),
	 "autogroup:self can only be used with users, groups, or supported autogroups"},
	{GRANT("src: ['*'], dst: ['*']"), "ip and app can not both be empty"},
	{GRANT("src: ['*'], dst: ['*'], ip: []"), "ip and app can not both be empty"},
	{GRANT("src: ['*'], dst: ['*'], ip: ['*'], via: [web]"), "via can only be a tag"},
	{GRANT("src: ['*'], dst: ['*'], ip: ['*'], via: ['tag:x']"), "tag \"tag:x\" not found"},
	{GRANT("src: ['*'], dst: [0.0.0.0/0], ip: ['*']"),
	 "dst \"0.0.0.0/0\": to allow all IP addresses, use \"*\" or \"autogroup:internet\""},
	{GRANT("src: ['*'], dst: ['::/0'], ip: ['*']"),
	 "dst \"::/0\": to allow all IP addresses, use \"*\" or \"autogroup:internet\""},
	{"groups: {'group:a': [], 'group:b': ['group:a']}",
	 "groups[\"group:b\"]: \"group:a\": group members cannot be recursive"},
	{GRANT("src: ['*'], dst: [web], ip: [icmp]"), "port range \"icmp\": invalid first integer"},
	{GRANT("src: ['*'], dst: [web], app: {noslash: []}"), "capability name must have the form {domain}/{path}"},
	{GRANT("src: ['*'], dst: [web], app: {tailscale.com/cap/other: []}"),
	 "capability name must not be in the tailscale.com domain"},

	/* selectors */
	{ACL("src: [''], dst: ['*:*']"), "src=\"\": expected an address, a CIDR, *, a user"},
	{ACL("src: ['10.0.0.1-10.0.0.9'], dst: ['*:*']"), "src=host not found: \"10.0.0.1-10.0.0.9\""},
	{ACL("src: ['foo:bar'], dst: ['*:*']"), "src=\"foo:bar\": expected an address"},
	{ACL("src: ['autogroup:membr'], dst: ['*:*']"), "unknown autogroup; did you mean \"autogroup:member\"?"},
	{ACL("src: ['group:egn'], dst: ['*:*']"),
	 "src=group not found: \"group:egn\"; did you mean \"group:eng\"? (groups, line 1)"},
	{ACL("src: ['*'], dst: ['wbe:1']"),
	 "dst=\"wbe\": host not found: \"wbe\"; did you mean \"web\"? (hosts, line 2)"},
	{ACL("src: ['tag:cl'], dst: ['*:*']"), "did you mean \"tag:ci\"? (tagOwners, line 3)"},
	{ACL("src: ['ipset:x'], dst: ['*:*']"), "src=ipset not found: \"ipset:x\""},

	/* destinations and ports */
	{ACL("src: ['*'], dst: [web]"), "dst=\"web\": no ports: write \"web:*\" for all of them"},
	{ACL("src: ['*'], dst: ['[web]:1']"), "brackets go around an IPv6 address only"},
	{ACL("src: ['*'], dst: ['[10.0.0.1]:1']"), "brackets go around an IPv6 address only"},
	{ACL("src: ['*'], dst: ['[::1:80']"), "brackets go around an IPv6 address only"},
	{ACL("src: ['*'], dst: ['[::1]x:80']"), "brackets go around an IPv6 address only"},
	{ACL("src: ['*'], dst: ['web:80-22']"), "port range \"80-22\": first port is greater than the last"},
	{ACL("src: ['*'], dst: ['web:80-']"), "port range \"80-\": invalid last integer"},
	{ACL("src: ['*'], dst: ['web:65536']"), "port range \"65536\": invalid first integer"},
	{ACL("src: ['*'], dst: ['web:22,,80']"), "port range \"\": invalid first integer"},
	{ACL("src: ['*'], dst: ['web:22,*']"), "port range \"*\": invalid first integer"},
	{ACL("src: ['*'], dst: ['web:']"), "port range \"\": invalid first integer"},
	{ACL("src: ['*'], dst: ['web:-1']"), "port range \"-1\": invalid first integer"},

	/* protocols */
	{ACL("proto: tpc, src: ['*'], dst: ['web:1']"), "proto=\"tpc\": unknown protocol"},
	{ACL("proto: '06', src: ['*'], dst: ['web:1']"), "proto=\"06\": unknown protocol"},
	{ACL("proto: '0', src: ['*'], dst: ['web:1']"), "proto=\"0\": unknown protocol"},
	{ACL("proto: '256', src: ['*'], dst: ['web:1']"), "proto=\"256\": unknown protocol"},
	{ACL("proto: icmp, src: ['*'], dst: ['web:22']"), "protocol \"icmp\" does not support specific ports"},
	{GRANT("src: ['*'], dst: [web], ip: ['gre:22']"), "protocol \"gre\" does not support specific ports"},
	{GRANT("src: ['*'], dst: [web], ip: ['tcp:22:23']"), "expected only one colon"},
	{GRANT("src: ['*'], dst: [web], ip: [':22']"), "unknown protocol \"\""},

	/* fields and sections */
	{"acl: []", "policy: unknown field \"acl\"; did you mean \"acls\"?"},
	{ACL("source: ['*'], dst: ['*:*']"), "acls: unknown field \"source\""},
	{ACL("src: '*', dst: ['*:*']"), "src: found \"*\", expected a list"},
	{ACL("src: [['*']], dst: ['*:*']"), "src: found a list, expected text"},
	{ACL("src: ['*'], users: ['*'], dst: ['*:*']"), "\"users\" is the old name of \"src\": found both"},
	{"acls: {}", "acls: found a map, expected a list"},
	{"acls: [x]", "acls: found \"x\", expected a map"},
	{"acls: [~]", "acls: found nothing, expected a map"},
	{"[1]", "policy: found a list, expected a map"},
	{"defaultSrcPosture: ['posture:x']",
	 "\"defaultSrcPosture\" is not supported: to ignore a condition would widen"},
	{NAMES "deny: [{src: ['*'], dst: ['*:*'], srcPosture: ['posture:x']}]",
	 "\"srcPosture\" is not supported in a deny"},
	{"ACLs: []\nacls: []", "policy: \"ACLs\" and \"acls\" are the same field: found both"},
	{ACL("src: ['*'], Src: ['*'], dst: ['*:*']"), "acls: \"Src\" and \"src\" are the same field: found both"},
	{"tests: [{src: a@b.c, allow: [], accept: []}]", "\"allow\" is the old name of \"accept\": found both"},

	/* what is nobody here: in an accept it is left out, elsewhere it would hold for nothing */
	{NAMES "deny: [{src: ['autogroup:shared'], dst: ['*:*']}]",
	 "deny: \"autogroup:shared\": guests of a tailnet are no clients of a gateway"},
	{NAMES "deny: [{src: ['*'], dst: ['svc:db:443']}]",
	 "deny: \"svc:db\": a service of Tailscale's own has no address here"},
	{"quotas: [{src: ['autogroup:shared'], flows: 1}]", "quotas: \"autogroup:shared\": guests of a tailnet"},
	{"egress: {'autogroup:shared': pool}", "egress=\"autogroup:shared\": not valid here"},
	{ACL("src: ['svc:db'], dst: ['*:*']"), "\"svc:db\" not valid on the src side of a rule"},
	{ACL("src: ['*'], dst: ['autogroup:shared:*']"), "dst=\"autogroup:shared\": not valid here"},
	{ACL("src: ['*'], dst: ['host:wbe:1']"), "dst=\"wbe\": host not found: \"wbe\"; did you mean \"web\"?"},
	{ACL("src: ['host:'], dst: ['*:*']"), "src=\"host:\": expected an address"},

	/* names */
	{"groups: {eng: []}", "groups: found \"eng\", expected \"group:\" and a name"},
	{"groups: {'group:': []}", "groups: found \"group:\", expected \"group:\" and a name"},
	{"groups: {'group:x': [bob]}", "groups[\"group:x\"]: \"bob\": group members must be users"},
	{"tagOwners: {'tag:1': []}", "expected \"tag:\" and a name that begins with a letter"},
	{"tagOwners: {'tag:a': ['tag:b']}", "owner=\"tag:b\": tag not found: \"tag:b\""},
	{"tagOwners: {'tag:a': ['*']}", "owner=\"*\": not valid here"},
	{"hosts: {'a:b': 10.0.0.1}", "hosts: \"a:b\" cannot be a name"},
	{"hosts: {'a@b': 10.0.0.1}", "hosts: \"a@b\" cannot be a name"},
	{"hosts: {10.0.0.1: 10.0.0.1}", "hosts: \"10.0.0.1\" cannot be a name"},
	{"hosts: {a: b}", "hosts[\"a\"]: found \"b\", expected an address or a CIDR"},
	{"autoApprovers: {routes: {x: []}}", "autoApprovers.routes: found \"x\", expected a CIDR"},
	{"autoApprovers: {routes: {10.0.0.0/8: ['group:x']}}", "owner=\"group:x\": group not found"},
	{"autoApprovers: {exitNodes: []}", "autoApprovers: unknown field \"exitNodes\"; did you mean \"exitNode\"?"},
	{"ipsets: {'ipset:a': ['take 10.0.0.0/8']}",
	 "found \"take 10.0.0.0/8\", expected \"add\" or \"remove\" and a target"},
	{"ipsets: {'ipset:a': ['add group:x']}", "ipsets=\"group:x\": not valid here"},
	{"ipsets: {'ipset:a': ['add ipset:b'], 'ipset:b': ['add ipset:a']}", "contains itself"},
	{"ipsets: {'ipset:a': ['add ipset:a']}", "ipsets[\"ipset:a\"]: contains itself"},

	/* our own sections */
	{NAMES "deny: [{action: accept, src: ['*'], dst: ['*:*']}]", "action=\"accept\" is not supported"},
	{NAMES "deny: [{src: ['*'], dst: ['web']}]", "dst=\"web\": no ports"},
	{"blocklists: [{name: x}]", "blocklists: \"file\" is missing"},
	{"blocklists: [{name: x, file: f, max_age: 7}]", "max_age: found \"7\", expected a unit with it"},
	{"blocklists: [{name: x, file: f}, {name: x, file: g}]", "\"x\" is there twice, first on line 1"},
	{"egress: {10.0.0.1: pool}", "egress=\"10.0.0.1\": not valid here"},
	{"egress: {'x:y': pool}", "egress=\"x:y\": expected an address"},
	{"egress: {a@b: []}", "egress: found a list, expected text"},
	{"egress: {'group:x': pool}", "egress=\"group:x\": group not found"},
	{"quotas: [{src: ['*']}]", "quotas: no limit"},
	{"quotas: [{flows: 10}]", "quotas: \"src\" is missing or empty"},
	{"quotas: [{src: ['*'], bytes: 1.5M/s}]", "quotas: bytes: found \"1.5M/s\", expected a number above 0"},
	{"quotas: [{src: ['*'], flows: 0}]", "quotas: flows: found \"0\", expected a number above 0"},
	{"quotas: [{src: ['*'], bytes: 999999999999999G}]", "quotas: bytes: found"},
	{"tests: [{sorc: x}]", "tests: unknown field \"sorc\"; did you mean \"src\"?"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct diags d = {0};
		struct policy *p = read_policy(bad[i].yaml, DOC_YAML, &d);
		size_t errors = d.errors;
		char *text = said(&d);

		if (p || !strstr(text, bad[i].says))
			fail_msg("%s: said %s, expected %s", bad[i].yaml, text, bad[i].says);
		if (errors != 1 && !strstr(bad[i].says, "action=\"\""))
			fail_msg("%s: %zu errors: %s", bad[i].yaml, errors, text);
		free(text);
	}
}

/*
 * What people have published and Tailscale documents is accepted: @says is one of the @warnings; what it comes
 * to is @same, written in the words of today.
 */
static const struct published {
	const char *yaml, *same;
	size_t warnings;
	const char *says;
} published[] = {
	{ACL("users: ['group:eng'], ports: ['web:22']"), ACL("src: ['group:eng'], dst: ['web:22']"), 2,
	 "\"users\" is an old word: write \"src\""},
	{NAMES "ACLs: [{Action: accept, Users: ['*'], Ports: ['web:22']}]", ACL("src: ['*'], dst: ['web:22']"), 3,
	 "policy: \"ACLs\" is read as \"acls\": keys have these capitals today"},
	{"Groups: {'group:x': [a@b.c]}\nTagOwners: {'tag:x': ['group:x']}\nHosts: {A: 10.0.0.1}\n",
	 "groups: {'group:x': [a@b.c]}\ntagOwners: {'tag:x': ['group:x']}\nhosts: {A: 10.0.0.1}\n", 1, "capitals"},
	{ACL("src: ['autogroup:members'], dst: ['web:22']"), ACL("src: ['autogroup:member'], dst: ['web:22']"), 1,
	 "\"autogroup:members\" is an old word: write \"autogroup:member\""},
	{"tests: [{user: a@b.c, allow: ['10.0.0.1:1'], deny: ['10.0.0.2:1']}]",
	 "tests: [{src: a@b.c, accept: ['10.0.0.1:1'], deny: ['10.0.0.2:1']}]", 2,
	 "\"allow\" is an old word: write \"accept\""},
	{NAMES "ipsets: {'ipset:a': [10.0.0.0/8, 'host:web', 'remove host:net']}",
	 NAMES "ipsets: {'ipset:a': [add 10.0.0.0/8, add web, remove net]}", 0, ""},
	{GRANT("src: ['host:web'], dst: ['host:net'], ip: ['22']"), GRANT("src: [web], dst: [net], ip: ['22']"), 0, ""},
	{ACL("src: ['*'], dst: ['host:net:22']"), ACL("src: ['*'], dst: ['net:22']"), 0, ""},
	{NAMES "autoApprovers: {routes: {10.0.0.0/8: ['tag:gw']}, services: {'svc:db': ['tag:gw']}}",
	 NAMES "autoApprovers: {routes: {10.0.0.0/8: ['tag:gw']}}", 1, "\"autoApprovers.services\" is ignored"},
	{"attrConfig: {}\nextraDNSRecords: []\n", "", 2, "\"attrConfig\" is ignored"},
	{"postures: {'posture:mac': [\"node:os == 'macos'\"]}\n", "", 1, "\"postures\" is ignored"},
	{"defaultSrcPosture: []\n", "", 0, ""},
	{ACL("src: ['*'], dst: ['web:1'], srcPosture: []"), ACL("src: ['*'], dst: ['web:1']"), 0, ""},
	{ACL("src: ['*'], dst: ['web:1'], srcPosture: ['posture:mac']"), NULL, 1, "this rule allows nothing here"},
	{GRANT("src: ['*'], dst: [web], ip: ['1'], srcPosture: ['posture:mac']"), NULL, 1, "allows nothing here"},
	{GRANT("src: ['autogroup:shared'], dst: ['svc:db'], ip: ['443']"), NULL, 2,
	 "\"svc:db\" is ignored: a service of Tailscale's own has no address here"},
	{ACL("src: ['autogroup:shared'], dst: ['svc:db:443']"), NULL, 2, "\"autogroup:shared\" is ignored"},
	{GRANT("src: ['*'], dst: [web], app: {tailscale.com/cap/tailsql: [], tailscale.com/cap/secrets: []}"), NULL, 1,
	 "\"app\" of grants is ignored"},
	{"tests: [{src: a@b.c, srcPostureAttrs: {'node:os': macos}, accept: ['10.0.0.1:1']}]", NULL, 0, ""},
};

static void test_fault_13_published_words(void **state)
{
	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
		const struct published *c = &published[i];
		struct policy *p, *same = c->same ? load_policy(c->same) : NULL;
		struct diags d = {0};
		size_t warnings;
		char *text;

		p = read_policy(c->yaml, DOC_YAML, &d);
		warnings = d.warnings;
		text = said(&d);
		if (!p || warnings != c->warnings || !strstr(text, c->says))
			fail_msg("%s: said %s, expected %zu warnings, %s", c->yaml, text, c->warnings, c->says);
		if (same && !same_policy(p, same))
			fail_msg("%s is not %s", c->yaml, c->same);
		free(text);
		policy_free(p);
		policy_free(same);
	}
}

/* All mistakes at once, each with its own place. */
static void test_all_at_once(void **state)
{
	static const char text[] = "acls:\n"
				   "- action: accept\n"
				   "  src: [tag:x, group:y]\n"
				   "  dst: [foo:1, '*:x']\n"
				   "groups:\n"
				   "  group:z: [bob]\n"
				   "ssh: []\n";
	struct diags d = {0};
	char *out;

	assert_null(read_policy(text, DOC_YAML, &d));
	out = said(&d);
	assert_string_equal(
		out, "p:3:9: src=tag not found: \"tag:x\"\n"
		     "p:3:16: src=group not found: \"group:y\"; did you mean \"group:z\"? (groups, line 6)\n"
		     "p:4:9: dst=\"foo\": host not found: \"foo\"\n"
		     "p:4:16: dst=\"*:x\": port range \"x\": invalid first integer\n"
		     "p:6:13: groups[\"group:z\"]: \"bob\": group members must be users, such as alice@example.com\n"
		     "p:7:1: warning: \"ssh\" is ignored: a gateway has no use for it\n");
	free(out);
}

static void test_ignored_once(void **state)
{
	static const char text[] =
		"{\"ssh\": [{}], \"sshTests\": [], \"nodeAttrs\": [], \"randomizeClientPort\": true, \"derpMap\": {},\n"
		"\"disableIPv4\": false, \"OneCGNATRoute\": \"\", \"acls\": [],\n"
		"\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"app\": {\"example.com/a\": []}},\n"
		"{\"src\": [\"*\"], \"dst\": [\"*\"], \"app\": {\"example.com/a\": [{}], \"tailscale.com/cap/drive\": "
		"[]}}]}";
	struct diags d = {0};
	struct policy *p = read_policy(text, DOC_HUJSON, &d);

	assert_non_null(p);
	assert_int_equal(d.warnings, 8);
	assert_int_equal(p->ignored.n, 7);
	assert_int_equal(p->n_rules, 2);
	assert_int_equal(p->rules[1].app.n, 2);
	policy_free(p);
	diags_free(&d);
}

static void test_selectors(void **state)
{
	static const struct {
		const char *text;
		enum policy_sel_kind kind;
	} cases[] = {
		{"10.0.0.1", SEL_PREFIX},
		{" 10.0.0.0/8 ", SEL_PREFIX},
		{"fd7a::1", SEL_PREFIX},
		{"*", SEL_ANY},
		{"a@b.c", SEL_USER},
		{"group:x@y", SEL_USER},
		{"user:*@b.c", SEL_DOMAIN},
		{"group:x", SEL_GROUP},
		{"tag:x", SEL_TAG},
		{"ipset:x", SEL_IPSET},
		{"autogroup:member", SEL_MEMBER},
		{"autogroup:tagged", SEL_TAGGED},
		{"autogroup:admin", SEL_ROLE},
		{"autogroup:auditor", SEL_ROLE},
		{"autogroup:internet", SEL_INTERNET},
		{"autogroup:self", SEL_SELF},
		{"web", SEL_HOST},
		{"host:web", SEL_HOST},
		{"svc:web", SEL_SERVICE},
		{"autogroup:members", SEL_MEMBER},
		{"autogroup:shared", SEL_SHARED},
		{"autogroup:danger-all", SEL_DANGER_ALL},
	};
	struct policy p = {0};
	struct diags d = {0};
	struct parser x = {.p = &p, .d = &d};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].text);
		struct policy_sel sel;

		assert_true(parse_selector(&x, "src", cases[i].text, len, (struct diag_at){0}, &sel));
		if (sel.kind != cases[i].kind)
			fail_msg("%s is %d", cases[i].text, sel.kind);
	}
	arena_free(&p.mem);
	diags_free(&d);
}

static void test_targets(void **state)
{
	static const struct {
		const char *text, *sel, *ports; /* ports: first-last of each */
	} cases[] = {
		{"tag:x:22", "tag:x", "22-22 "},
		{"*:*", "*", "0-65535 "},
		{"web: 22 , 80-443", "web", "22-22 80-443 "},
		{"10.0.0.0/8:0-9", "10.0.0.0/8", "0-9 "},
		{"[fd7a::1]:443", "fd7a::1", "443-443 "},
		{"[fd7a::]/16:443", "fd7a::/16", "443-443 "},
		{"fd7a::1:443", "fd7a::1", "443-443 "},
		{"fd7a::/16:*", "fd7a::/16", "0-65535 "},
		{"autogroup:self:1-65535", "autogroup:self", "1-65535 "},
	};
	struct policy p = {0};
	struct diags d = {0};
	struct parser x = {.p = &p, .d = &d};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_dst dst;
		char ports[64] = "";

		if (!parse_target(&x, "dst", cases[i].text, (struct diag_at){0}, &dst))
			fail_msg("%s refused", cases[i].text);
		assert_string_equal(dst.sel.text, cases[i].sel);
		for (size_t j = 0; j < dst.ports.n; j++)
			sprintf(ports + strlen(ports), "%u-%u ", dst.ports.v[j].first, dst.ports.v[j].last);
		assert_string_equal(ports, cases[i].ports);
	}
	arena_free(&p.mem);
	diags_free(&d);
}

static void test_protocols(void **state)
{
	static const struct {
		const char *name;
		uint8_t number;
	} cases[] = {
		{"", 0},	   {"icmp", 1},	  {"IGMP", 2}, {"ipv4", 4},  {"ip-in-ip", 4}, {"Tcp", 6},
		{"egp", 8},	   {"igp", 9},	  {"udp", 17}, {"gre", 47},  {"esp", 50},     {"ah", 51},
		{"ipv6-icmp", 58}, {"sctp", 132}, {"1", 1},    {"255", 255},
	};
	uint8_t number;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(parse_proto(cases[i].name, strlen(cases[i].name), &number));
		assert_int_equal(number, cases[i].number);
	}
}

/* An empty file and one without rules are policies; "[]" is said, nothing is not. */
static void test_empty(void **state)
{
	static const struct {
		const char *text;
		bool has_rules;
	} cases[] = {{"", false},	 {"{}", false},	       {"groups: {}", false}, {"acls:", false},
		     {"acls: []", true}, {"grants: []", true}, {"deny: []", false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy *p = load_policy(cases[i].text);

		assert_int_equal(p->has_rules, cases[i].has_rules);
		assert_int_equal(p->n_rules, 0);
		policy_free(p);
	}
}

static void test_own_sections(void **state)
{
	struct policy *p = load_policy(
		NAMES "blocklists: [{name: a, file: b.txt, max_age: 7d}]\n"
		      "egress: {'group:eng': bank, bob@example.com: other, 'tag:ci': third}\n"
		      "quotas: [{src: ['tag:ci'], flows: 2k, new_flows: 5/s, packets: 3k, bytes: 20M/s}]\n");

	assert_int_equal(p->blocklists[0].max_age, 7 * 86400);
	assert_int_equal(p->n_egress, 3);
	assert_string_equal(p->egress[1].pool, "other");
	assert_int_equal(p->quotas[0].flows, 2000);
	assert_int_equal(p->quotas[0].new_flows, 5);
	assert_int_equal(p->quotas[0].packets, 3000);
	assert_int_equal(p->quotas[0].bytes, 20000000);
	policy_free(p);
}

/* Ids follow the file, whatever the section. */
static void test_ids(void **state)
{
	struct policy *p = load_policy("deny: [{src: ['*'], dst: ['*:1']}]\n"
				       "grants: [{src: ['*'], dst: ['*'], ip: ['2']}]\n"
				       "acls: [{action: accept, users: ['*'], ports: ['*:3']}]\n");

	assert_int_equal(p->n_rules, 3);
	assert_int_equal(p->rules[0].kind, POLICY_DENY);
	assert_int_equal(p->rules[1].kind, POLICY_GRANT);
	assert_int_equal(p->rules[2].kind, POLICY_ACL);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(p->rules[i].id, i + 1);
	assert_int_equal(p->rules[2].at.line, 3);
	policy_free(p);
}

/* A chain of sets that nests beyond reason, and one that doubles at every step. */
static void test_ipset_bombs(void **state)
{
	char *text = NULL, *out;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct diags d = {0};

	fputs("ipsets:\n", f);
	for (int i = 0; i < 5000; i++)
		fprintf(f, "  ipset:s%d: [add ipset:s%d, add ipset:s%d]\n", i, i + 1, i + 1);
	fputs("  ipset:s5000: [add 10.0.0.1]\n", f);
	fclose(f);
	assert_null(read_policy(text, DOC_YAML, &d));
	out = said(&d);
	assert_non_null(strstr(out, "nested too deeply"));
	free(out);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_13_published_words),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_ignored_once),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_own_sections),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_ipset_bombs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
