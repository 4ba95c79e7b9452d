/* SPDX-License-Identifier: BSD-2-Clause */
/* What people are told about a policy: check, explain, diff, matrix. */
#include <netinet/in.h>

#include "policy/check.h"
#include "policy/diff.h"
#include "policy/matrix.h"
#include "policy_load.h"

static const char inventory_text[] =
	"users: [{name: alice@example.com}, {name: bob@example.com}, {name: carol@example.com}]\n"
	"nodes:\n"
	"- {name: gw, tags: ['tag:gw'], addresses: [100.64.0.1], routes: [203.0.113.0/24, '2001:db8::/32'],\n"
	"   approved: [203.0.113.0/24, '2001:db8::/32']}\n"
	"- {name: laptop, user: alice@example.com, addresses: [100.64.0.5, 'fd7a::5']}\n"
	"- {name: phone, user: alice@example.com, addresses: [100.64.0.6]}\n"
	"- {name: bobs, user: bob@example.com, addresses: [100.64.0.7]}\n"
	"- {name: carols, user: carol@example.com, addresses: [100.64.0.8]}\n"
	"- {name: ci-1, tags: ['tag:ci'], addresses: [100.64.0.9]}\n"
	"- {name: ci-2, tags: ['tag:ci'], addresses: [100.64.0.10]}\n";

#define NAMES                                                                                    \
	"groups: {'group:eng': [alice@example.com, bob@example.com], 'group:gone': [eve@x.y]}\n" \
	"hosts: {web: 203.0.113.9, far: 10.8.0.0/16}\n"                                          \
	"tagOwners: {'tag:ci': [], 'tag:gw': [], 'tag:free': []}\n"

/* ---- check ------------------------------------------------------------------------------ */

static const struct {
	const char *yaml, *says; /* all of it */
} checks[] = {
	{NAMES "acls:\n- {action: accept, src: ['group:eng'], dst: ['web:443']}\n", ""},
	{"groups: {}\n", "p: warning: no acls and no grants: everything is denied\n"},
	{"", "p: warning: no acls and no grants: everything is denied\n"},
	{"acls: []\n", ""},
	{NAMES "acls:\n- {action: accept, src: ['group:gone'], dst: ['web:443']}\n",
	 "p:5:3: warning: can never match: nobody is its source\n"
	 "p:5:26: warning: src=\"group:gone\": nobody has this now\n"},
	{NAMES "acls:\n- {action: accept, src: ['tag:ci', 'tag:free'], dst: ['web:443']}\n",
	 "p:5:36: warning: src=\"tag:free\": nobody has this now\n"},
	{NAMES "acls:\n- {action: accept, src: [], dst: []}\n",
	 "p:5:3: warning: can never match: dst is empty\np:5:3: warning: can never match: src is empty\n"},
	{NAMES "acls:\n- {action: accept, src: ['*'], dst: ['far:443', 'tag:free:1', 'tag:ci:22', '8.8.8.8:53']}\n",
	 "p:5:38: warning: can never match: far lies outside every route (routes: 2001:db8::/32, 203.0.113.0/24)\n"
	 "p:5:49: warning: dst=\"tag:free\": nothing has this now\n"
	 "p:5:76: warning: can never match: 8.8.8.8 lies outside every route (routes: 2001:db8::/32, "
	 "203.0.113.0/24)\n"},
	/* a deny that covers all of a rule, and some that do not */
	{NAMES "acls:\n- {action: accept, src: ['group:eng'], dst: ['web:443']}\n"
	       "deny:\n- {src: ['autogroup:member'], dst: ['203.0.113.0/24:400-500']}\n",
	 "p:5:3: warning: can never match: the deny on line 7 covers it (deny autogroup:member -> "
	 "203.0.113.0/24:400-500)\n"},
	{NAMES "acls:\n- {action: accept, src: ['group:eng', 'tag:ci'], dst: ['web:443']}\n"
	       "deny:\n- {src: ['autogroup:member'], dst: ['203.0.113.0/24:400-500']}\n",
	 ""},
	{NAMES "acls:\n- {action: accept, src: ['group:eng'], dst: ['web:443']}\n"
	       "deny:\n- {src: ['autogroup:member'], dst: ['203.0.113.0/24:400-500'], proto: tcp}\n",
	 ""},
	{NAMES "acls:\n- {action: accept, src: ['group:eng'], dst: ['web:443,600']}\n"
	       "deny:\n- {src: ['autogroup:member'], dst: ['203.0.113.0/24:400-500']}\n",
	 ""},
};

static void test_check(void **state)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct policy *p = load_policy(checks[i].yaml);
		struct inventory inv;
		struct diags d = {0};
		char *text;

		load_inventory(&inv, inventory_text);
		policy_check(p, &(struct policy_check_place){.inv = &inv}, NULL, &d);
		text = said(&d);
		if (strcmp(text, checks[i].says))
			fail_msg("%s: said %s, expected %s", checks[i].yaml, text, checks[i].says);
		free(text);
		inventory_free(&inv);
		policy_free(p);
	}
}

/* What a gateway with a default route alone, and clients with two addresses, takes out of a policy without a word. */
static const struct {
	const char *yaml, *says; /* all of it */
} dropped[] = {
	{"acls: [{action: accept, src: ['*'], dst: ['10.9.0.0/16:443']}]",
	 "p:1:43: warning: can never match: 10.9.0.0/16 is not the internet, and only a default route leads there: "
	 "name it in routes\n"},
	{"acls: [{action: accept, src: ['*'], dst: ['192.0.0.0/8:443']}]",
	 "p:1:43: warning: can never match: 192.0.0.0/8 is not wholly the internet, and only a default route leads "
	 "there: write autogroup:internet, or name it in routes\n"},
	{"ipsets: {'ipset:a': [add 8.8.8.8, add 192.168.0.0/24]}\n"
	 "acls: [{action: accept, src: ['*'], dst: ['ipset:a:443']}]",
	 "p:2:43: warning: 1 of 2 prefixes of ipset:a have no effect: 192.168.0.0/24 is not the internet, and only a "
	 "default route leads there: name it in routes\n"},
	{"acls: [{action: accept, src: ['*'], dst: ['8.8.8.8:443', '*:80', 'autogroup:internet:1', "
	 "'172.16.9.9:1', '10.8.0.1:53']}]\n"
	 "deny: [{src: ['*'], dst: ['10.9.0.0/16:443']}]",
	 ""},
	{"acls: [{action: accept, src: ['*'], dst: ['bob@x.y:22']}]",
	 "p:1:43: warning: can never match: bob@x.y is a client's address: a gateway passes nothing from client to "
	 "client\n"},
	{"tagOwners: {'tag:gw': [], 'tag:b': []}\n"
	 "grants: [{src: ['*'], dst: [8.8.8.8], ip: ['53'], via: ['tag:b']}, "
	 "{src: ['*'], dst: [8.8.8.8], ip: ['53'], via: ['tag:gw']}, "
	 "{src: ['*'], dst: ['autogroup:internet'], ip: ['53'], via: ['tag:gw']}]",
	 "p:2:57: warning: can never match: this gateway has no tag that via names\n"
	 "p:2:87: warning: can never match: only a default route leads to 8.8.8.8, and a grant with via uses none\n"},
	{"acls: [{action: accept, src: [10.8.0.2], dst: ['8.8.8.8:53']}, "
	 "{action: accept, src: [10.8.0.0/24], dst: ['8.8.8.8:54']}]\n"
	 "deny: [{src: [10.8.0.3], dst: ['8.8.8.8:99']}]",
	 "p:1:8: warning: its sources have 1 of the 2 IPv4 addresses of two: an accept must name all of them, so it "
	 "does not hold for that client\n"
	 "p:2:8: warning: its sources have 1 of the 2 IPv4 addresses of two: a deny holds for all of them\n"},
};

static void test_fault_42_nothing_is_dropped_without_a_word(void **state)
{
	struct inventory inv;

	load_inventory(&inv, "nodes:\n"
			     "- {name: two, user: a@x.y, addresses: [10.8.0.2, 10.8.0.3, 'fd00::2']}\n"
			     "- {name: bobs, user: bob@x.y, addresses: [10.8.0.4]}\n"
			     "- {name: gw, tags: ['tag:gw'], addresses: [10.8.0.1],\n"
			     "   approved: [0.0.0.0/0, 172.16.0.0/12]}\n");
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
		struct policy *p = load_policy(dropped[i].yaml);
		struct policy_check_place place = {.inv = &inv, .gateway = &inv.nodes[2]};
		struct diags d = {0};
		char *text;

		policy_check(p, &place, NULL, &d);
		text = said(&d);
		if (strcmp(text, dropped[i].says))
			fail_msg("%s: said %s, expected %s", dropped[i].yaml, text, dropped[i].says);
		free(text);
		policy_free(p);
	}
	inventory_free(&inv);
}

/* In CI, far from any inventory, nobody is missed. */
static void test_check_without_inventory(void **state)
{
	struct policy *p = load_policy(NAMES "acls:\n- {action: accept, src: ['group:gone'], dst: ['far:443']}\n");
	struct inventory none = {0};
	struct diags d = {0};

	policy_check(p, &(struct policy_check_place){.inv = &none}, NULL, &d);
	assert_int_equal(d.n, 0);
	policy_free(p);
	diags_free(&d);
}

/* Only a policy that stands alone has to allow something. */
static void test_check_of_denials(void **state)
{
	struct policy *p = load_policy(NAMES "deny:\n- {src: ['group:gone'], dst: ['far:443']}\n");
	struct inventory none = {0};
	struct diags d = {0};

	policy_check(p, &(struct policy_check_place){.inv = &none, .narrows = true}, NULL, &d);
	assert_int_equal(d.n, 0);
	policy_check(p, &(struct policy_check_place){.inv = &none}, NULL, &d);
	assert_int_equal(d.n, 1);
	policy_free(p);
	diags_free(&d);
}

/* ---- explain ------------------------------------------------------------------------------ */

struct world {
	struct policy *p;
	struct inventory inv;
	struct reach reach;
};

static void make_world(struct world *w, const char *yaml)
{
	struct diags d = {0};

	w->p = load_policy(yaml);
	load_inventory(&w->inv, inventory_text);
	assert_true(reach_build(&w->reach, w->p, &w->inv, &w->inv.nodes[0], NULL, &d));
}

static void free_world(struct world *w)
{
	reach_free(&w->reach);
	inventory_free(&w->inv);
	policy_free(w->p);
}

static const char explained[] = NAMES "acls:\n"
				      "- {action: accept, src: ['group:eng'], dst: ['web:443'], proto: tcp}\n"
				      "- {action: accept, src: ['group:eng'], dst: ['203.0.113.10:80-90,443', "
				      "'203.0.113.12:1,3,5,7,9,11,13,15,17']}\n"
				      "- {action: accept, src: ['tag:ci'], dst: ['203.0.113.64/26:*'], proto: gre}\n"
				      "deny:\n"
				      "- {src: [bob@example.com], dst: ['web:443']}\n";

static const struct {
	const char *src, *dst;
	uint8_t proto;
	uint16_t port;
	const char *text;
} explanations[] = {
	{"100.64.0.5", "203.0.113.9", IPPROTO_TCP, 443, "rule 1 (p:5) group:eng -> web:443 tcp"},
	{"100.64.0.5", "203.0.113.9", IPPROTO_ICMP, 0, "rule 1 (p:5) group:eng -> web:443 tcp"},
	{"100.64.0.7", "203.0.113.9", IPPROTO_TCP, 443, "rule 4 (p:9) deny bob@example.com -> web:443"},
	{"100.64.0.5", "203.0.113.9", IPPROTO_TCP, 22, "default deny; nearest rule 1 (p:5) allows only tcp 443"},
	{"100.64.0.5", "203.0.113.9", IPPROTO_UDP, 443, "default deny; nearest rule 1 (p:5) allows only tcp 443"},
	{"100.64.0.5", "203.0.113.10", IPPROTO_TCP, 22,
	 "default deny; nearest rule 2 (p:6) allows only tcp and udp 80-90, 443"},
	{"100.64.0.5", "203.0.113.12", IPPROTO_TCP, 22,
	 "default deny; nearest rule 2 (p:6) allows only tcp and udp 1, 3, 5, 7, 9, 11, 13, 15, ..."},
	{"100.64.0.9", "203.0.113.65", IPPROTO_TCP, 22, "default deny; nearest rule 3 (p:7) allows only gre"},
	{"100.64.0.8", "203.0.113.9", IPPROTO_TCP, 443,
	 "default deny; nearest rule 1 (p:5) is for others: group:eng -> web:443 tcp"},
	{"100.64.0.8", "203.0.113.9", IPPROTO_TCP, 22, "default deny"},
	{"100.64.0.5", "203.0.113.200", IPPROTO_TCP, 443, "default deny"},
};

static void test_explain(void **state)
{
	struct world w;

	make_world(&w, explained);
	for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
		struct filter_packet pkt = {.proto = explanations[i].proto, .port = explanations[i].port};
		struct explanation e;
		char *text;

		assert_true(addr_parse(explanations[i].src, strlen(explanations[i].src), &pkt.src));
		assert_true(addr_parse(explanations[i].dst, strlen(explanations[i].dst), &pkt.dst));
		policy_explain(w.reach.f, &pkt, &e);
		text = policy_explain_text(&e);
		assert_string_equal(text, explanations[i].text);
		free(text);
	}
	free_world(&w);
}

static void test_lookup(void **state)
{
	static const struct {
		const char *word;
		size_t n; /* addresses; 0: refused */
		const char *says;
	} cases[] = {
		{"laptop", 2, ""}, /* a node's name */
		{"alice@example.com", 3, ""},
		{"group:eng", 4, ""},
		{"web", 1, ""},
		{"192.0.2.1", 1, ""},
		{"eve@x.y", 0, "\"eve@x.y\": nobody has this address\n"},
		{"wbe", 0, "dst=\"wbe\": host not found: \"wbe\"; did you mean \"web\"? (hosts, line 2)\n"},
	};
	struct world w;

	make_world(&w, explained);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefixes set = {0};
		struct diags d = {0};
		bool ok = reach_lookup(&w.reach, cases[i].word, true, &set, &d);
		char *text = said(&d);

		assert_int_equal(ok, cases[i].n > 0);
		assert_int_equal(set.n, cases[i].n);
		assert_string_equal(text, cases[i].says);
		free(text);
		prefixes_free(&set);
	}
	free_world(&w);
}

/* More port ranges at one destination than an entry of the maps can count. */
static void test_too_many_ports(void **state)
{
	struct inventory inv;
	struct diags d = {0};
	struct policy *p;
	struct reach reach;
	char *yaml = NULL, *text;
	size_t size;
	FILE *f = open_memstream(&yaml, &size);

	fputs("acls: [{action: accept, src: [100.64.0.5], dst: ['203.0.113.1:1", f);
	for (int port = 3; port < 65536; port += 2)
		fprintf(f, ",%d", port);
	fputs("']}]", f);
	fclose(f);
	p = load_policy(yaml);
	load_inventory(&inv, inventory_text);
	assert_false(reach_build(&reach, p, &inv, &inv.nodes[0], NULL, &d));
	text = said(&d);
	assert_string_equal(text, "p:1:8: the policy does not fit: it needs more port ranges at one destination than "
				  "there is room for (65535); the last rule that was looked at: 100.64.0.5 -> "
				  "203.0.113.1:1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 and 32752 more\n");
	free(text);
	free(yaml);
	inventory_free(&inv);
	policy_free(p);
}

/* ---- diff ---------------------------------------------------------------------------------- */

static const struct {
	const char *before, *after, *diff;
} diffs[] = {
	{"acls: [{action: accept, src: ['group:eng'], dst: ['web:443']}]",
	 "grants: [{src: [bob@example.com], dst: [web], ip: ['443']}, {src: [alice@example.com], dst: [203.0.113.9], "
	 "ip: ['443']}]",
	 ""}, /* said otherwise, and the same */
	{"acls: []", "acls: [{action: accept, proto: tcp, src: ['group:eng'], dst: ['web:22']}]",
	 "+ group:eng (2 users)  web 203.0.113.9  tcp 22\n"},
	{"acls: [{action: accept, src: ['group:eng'], dst: ['web:443']}]",
	 "acls: [{action: accept, src: [alice@example.com], dst: ['web:443']}]",
	 "- bob@example.com  web 203.0.113.9  tcp udp 443\n"},
	{"acls: []", "acls: [{action: accept, src: ['*'], dst: ['web:1-10,20']}]",
	 "+ autogroup:member (3 users)  web 203.0.113.9  tcp udp 1-10,20\n"
	 "+ tag:ci (2 nodes)            web 203.0.113.9  tcp udp 1-10,20\n"
	 "+ tag:gw (1 node)             web 203.0.113.9  tcp udp 1-10,20\n"},
	{"acls: []", "acls: [{action: accept, src: [100.64.0.9, 100.64.0.6], dst: ['web:9'], proto: udp}]",
	 "+ ci-1   web 203.0.113.9  udp 9\n+ phone  web 203.0.113.9  udp 9\n"},
	{"acls: [{action: accept, src: [carol@example.com], dst: ['203.0.113.0/24:*']}]",
	 "acls: [{action: accept, src: [carol@example.com], dst: ['203.0.113.0/24:*']}]\n"
	 "deny: [{src: ['*'], dst: ['web:25'], proto: tcp}]",
	 "- carol@example.com  web 203.0.113.9  tcp 25\n"},
	{"acls: [{action: accept, src: [carol@example.com], dst: ['203.0.113.0/26:1', '203.0.113.128/26:1', "
	 "'203.0.113.200:1']}]",
	 "acls: []", "- carol@example.com  203.0.113.0/26, 203.0.113.128/26 and 1 more  tcp udp 1\n"},
	{"acls: []", "acls: [{action: accept, src: ['group:eng'], dst: ['[2001:db8::1]:1'], proto: tcp}]",
	 "+ alice@example.com  2001:db8::1  tcp 1\n"}, /* who has IPv6; her phone has not */
	{"acls: []", "acls: [{action: accept, src: [carol@example.com], dst: ['web:*'], proto: icmp}]",
	 "+ carol@example.com  web 203.0.113.9  icmp\n"},
	{"acls: []",
	 "acls: [{action: accept, src: [carol@example.com], dst: ['web:*'], proto: gre},"
	 "{action: accept, src: [carol@example.com], dst: ['web:53'], proto: udp},"
	 "{action: accept, src: [carol@example.com], dst: ['web:80'], proto: tcp}]",
	 "+ carol@example.com  web 203.0.113.9  tcp 80, udp 53, gre\n"},
	{"acls: [{action: accept, src: [carol@example.com], dst: ['web:1-100'], proto: tcp}]",
	 "acls: [{action: accept, src: [carol@example.com], dst: ['web:50-200'], proto: tcp}]",
	 "+ carol@example.com  web 203.0.113.9  tcp 101-200\n- carol@example.com  web 203.0.113.9  tcp 1-49\n"},
};

static void test_diff(void **state)
{
	for (size_t i = 0; i < sizeof(diffs) / sizeof(diffs[0]); i++) {
		char *before = mem_printf(NAMES "%s\n", diffs[i].before),
		     *after = mem_printf(NAMES "%s\n", diffs[i].after);
		char *text = NULL;
		struct policy_diff diff;
		struct world old, new;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		make_world(&old, before);
		make_world(&new, after);
		policy_diff(&diff, &old.reach, &new.reach, NULL);
		policy_diff_print(&diff, f);
		fclose(f);
		if (strcmp(text, diffs[i].diff))
			fail_msg("%s to %s:\n%sexpected\n%s", diffs[i].before, diffs[i].after, text, diffs[i].diff);
		policy_diff_free(&diff);
		free_world(&old);
		free_world(&new);
		free(before);
		free(after);
		free(text);
	}
}

/* What counts live flows: nodes and ranges. */
static void test_diff_parts(void **state)
{
	struct policy_diff diff;
	struct world old, new;

	make_world(&old, NAMES "acls: []");
	make_world(&new, NAMES "acls: [{action: accept, proto: tcp, src: ['group:eng'], dst: ['web:22']}]");
	policy_diff(&diff, &old.reach, &new.reach, NULL);
	assert_int_equal(diff.n, 1);
	assert_true(diff.v[0].gains);
	assert_int_equal(diff.v[0].members, 2);
	assert_int_equal(diff.v[0].n_clients, 3);
	assert_int_equal(diff.v[0].clients[0], 1);
	assert_int_equal(diff.v[0].clients[2], 3);
	assert_int_equal(diff.v[0].ports.n, 1);
	assert_int_equal(diff.v[0].ports.v[0].proto, IPPROTO_TCP);
	assert_string_equal(diff.v[0].service, "web");
	policy_diff_free(&diff);
	free_world(&old);
	free_world(&new);
}

/* ---- matrix ---------------------------------------------------------------------------------- */

static const char pictured[] = NAMES "acls:\n"
				     "- {action: accept, src: ['group:eng'], dst: ['web:443'], proto: tcp}\n"
				     "- {action: accept, src: [bob@example.com, 'tag:ci'], dst: ['203.0.113.10:80']}\n"
				     "deny: [{src: [bob@example.com], dst: ['web:443']}]\n";

static void test_matrix(void **state)
{
	struct matrix m;
	struct world w;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	make_world(&w, pictured);
	matrix_build(&m, &w.reach, NULL, NULL);
	matrix_print(&m, f);
	fclose(f);
	assert_string_equal(text, "                    1   2   3\n"
				  "group:eng           o   o   o\n"
				  "group:gone          .   .   .\n"
				  "tag:ci              .   #   .\n"
				  "tag:gw              .   .   .\n"
				  "tag:free            .   .   .\n"
				  "alice@example.com   #   .   o\n" /* by TCP alone */
				  "bob@example.com     x   #   x\n"
				  "carol@example.com   .   .   .\n"
				  "\n# all   o some   . none   x denied by a rule or a block list\n"
				  "  1  web  tcp 443\n"
				  "  2  203.0.113.10  80\n"
				  "  3  web  443\n");
	free(text);
	matrix_free(&m);
	free_world(&w);
}

/* The page: every cell says why, nothing from elsewhere, and no text becomes markup. */
static void test_page(void **state)
{
	struct matrix m;
	struct world w;
	char *text = NULL;
	size_t size, cells = 0;
	FILE *f = open_memstream(&text, &size);

	make_world(&w, "hosts: {'<b>\"': 203.0.113.9}\n"
		       "acls: [{action: accept, src: ['*'], dst: ['<b>\":443']}]\n");
	matrix_build(&m, &w.reach, NULL, NULL);
	matrix_html(&m, "a & <script>", f);
	fclose(f);
	for (const char *c = text; (c = strstr(c, "<td ")); c++)
		cells++;
	assert_int_equal(cells, 3);
	assert_non_null(strstr(text, "a &amp; &lt;script&gt;"));
	assert_non_null(strstr(text, "title=\"alice@example.com reaches &lt;b&gt;&quot; 443&#10;"
				     "rule 1 (p:2): * -&gt; &lt;b&gt;&quot;:443\""));
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "<b>"));
	assert_null(strstr(text, "http"));
	free(text);
	matrix_free(&m);
	free_world(&w);
}

static void test_matrix_bounded(void **state)
{
	char *yaml = NULL;
	size_t size;
	FILE *f = open_memstream(&yaml, &size);
	struct matrix m;
	struct world w;

	fputs("groups:\n", f);
	for (int i = 0; i < MATRIX_MAX + 7; i++)
		fprintf(f, "  group:g%d: [alice@example.com]\n", i);
	fputs("acls:\n", f);
	for (int i = 0; i < MATRIX_MAX + 5; i++)
		fprintf(f, "- {action: accept, src: ['*'], dst: ['203.0.113.1:%d']}\n", i + 1);
	fclose(f);
	make_world(&w, yaml);
	matrix_build(&m, &w.reach, NULL, NULL);
	assert_int_equal(m.n_rows, MATRIX_MAX);
	assert_int_equal(m.n_columns, MATRIX_MAX);
	assert_int_equal(m.rows_left_out, 7 + 3);
	assert_int_equal(m.columns_left_out, 5);
	matrix_free(&m);
	free_world(&w);
	free(yaml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_without_inventory),
		cmocka_unit_test(test_check_of_denials),
		cmocka_unit_test(test_fault_42_nothing_is_dropped_without_a_word),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_diff_parts),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_matrix_bounded),
		cmocka_unit_test(test_too_many_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
