/* SPDX-License-Identifier: BSD-2-Clause */
/* Printing is the inverse of parsing: the same tree, and a fixed point. */
#include "policy/print.h"
#include "policy_load.h"
#include "policy_same.h"

static void round_trip(const char *text, enum doc_format format)
{
	struct diags d = {0};
	struct policy *first = read_policy(text, format, &d), *second;
	char *once, *twice;

	if (!first)
		fail_msg("%s: %s", text, said(&d));
	diags_free(&d);
	once = policy_print(first);
	second = read_policy(once, DOC_YAML, &d);
	if (!second)
		fail_msg("%s: printed as %s: %s", text, once, said(&d));
	if (!same_policy(first, second))
		fail_msg("%s: printed as %s", text, once);
	twice = policy_print(second);
	assert_string_equal(twice, once);
	free(once);
	free(twice);
	policy_free(first);
	policy_free(second);
	diags_free(&d);
}

#define NAMES \
	"groups: {'group:eng': [a@b.c, d@e.f]}\ntagOwners: {'tag:ci': ['group:eng', 'tag:ci', 'autogroup:admin']}\n"

static const char *const yaml[] = {
	"",
	"acls: []",
	"deny: []",
	NAMES "hosts: {web: 10.0.0.1/8, v6: 'fd7a::1', 'null': 1.2.3.4, 'true': 1.2.3.4, '12': 1.1.1.1}\n"
	      "ipsets: {'ipset:a': [add web, 'remove fd7a::/16', add autogroup:internet, add ipset:b], 'ipset:b': []}\n"
	      "autoApprovers: {routes: {10.1.2.3/8: ['tag:ci', a@b.c], '::/0': []}, exitNode: ['autogroup:member']}\n",
	NAMES "acls: [{action: accept, users: ['*', a@b.c], ports: ['*:*', '10.0.0.0/8:22,80-90',\n"
	      "'[fd7a::1]:1', '[fd7a::]/16:0-65535', 'fd7a::2:3', 'autogroup:self:1', 'tag:ci:1']}]\n",
	"acls: [{action: accept, proto: UDP, src: ['*'], dst: ['*:53']},\n"
	"{action: accept, proto: '99', src: ['*'], dst: ['*:*']}, {action: accept, proto: '', src: [10.0.0.1/32, "
	"'fd7a::/16'], dst: []}]\n",
	"deny: [{src: ['*'], dst: ['*:1']}]\n"
	"grants: [{src: ['*'], dst: ['*', 10.0.0.0/8, 'fd7a::1'], ip: ['*', '22,80-90', 'tcp:1', '99:*', 'ICMP:*']}]\n"
	"acls: [{action: accept, src: ['*'], dst: ['*:2']}]\n",
	NAMES "grants: [{src: ['*'], dst: ['*'], app: {example.com/x: [{a: 1}], example.com/y: []}},\n"
	      "{src: ['group:eng'], dst: [10.0.0.1], ip: ['443'], via: ['tag:ci']}]\n",
	NAMES "blocklists: [{name: drop, file: a/b.txt, max_age: 90m}, {name: x, file: 'y z: #'}]\n"
	      "egress: {'group:eng': bank, a@b.c: '1'}\n"
	      "quotas: [{src: ['*', 'tag:ci'], flows: 3, new_flows: 5/s, packets: 7k/s, bytes: 20M/s}, {src: ['*'], "
	      "bytes: 1}]\n",
	NAMES "acls: [{action: accept, src: ['autogroup:shared', 'host:web'], dst: ['svc:x:1'], srcPosture: [p]}]\n"
	      "grants: [{src: ['*'], dst: ['svc:x'], ip: ['*'], srcPosture: [p, q]}]\nhosts: {web: 10.0.0.1}\n"
	      "tests: [{user: a@b.c, srcPostureAttrs: {a: b}, allow: ['x:1']}]\n",
	NAMES "tests: [{src: a@b.c, proto: tcp, accept: ['x:1', '*:*'], deny: ['[::1]:2']}, {}, {src: ''}]\n",
};

static void test_yaml(void **state)
{
	for (size_t i = 0; i < sizeof(yaml) / sizeof(yaml[0]); i++)
		round_trip(yaml[i], DOC_YAML);
}

/* Texts that JSON can hold and YAML would rather not. */
static void test_odd_texts(void **state)
{
	static const char *const names[] = {
		"a b",
		"#x",
		"a #b",
		"- a",
		"? a",
		"!x",
		"&x",
		"%x",
		"'q'",
		"\\\"q\\\"",
		"a\\nb",
		"a\\tb",
		"\\u00e9",
		"\\ud83d\\ude00",
		"\\u0007",
		"~",
		"Null",
		"yes",
		"{",
		"[",
		"a,b",
		"|",
		">",
		"<<",
		"=",
		"x ",
		"-",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaa",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *text = mem_printf(
			"{\"hosts\": {\"%s\": \"1.1.1.1\"}, \"blocklists\": [{\"name\": \"%s\", \"file\": \"%s\"}],"
			"\"acls\": [{\"action\": \"accept\", \"src\": [\"%s@x\"], \"dst\": []}]}",
			names[i], names[i], names[i], names[i]);

		round_trip(text, DOC_HUJSON);
		free(text);
	}
}

static void test_example(void **state)
{
	char *text = load_file("policy/example.yaml");

	round_trip(text, DOC_YAML);
	free(text);
}

/* Spelled one way, whatever way they were written. */
static void test_canonical(void **state)
{
	static const char text[] =
		"acls: [{action: accept, proto: TCP, users: [' 10.1.2.3/8 '], ports: ['[fd7a::0]:1, 2-3']}]\n";
	struct policy *p = load_policy(text);
	char *out = policy_print(p);

	assert_string_equal(out, "acls:\n"
				 "- action: accept\n"
				 "  proto: tcp\n"
				 "  src: [10.0.0.0/8]\n"
				 "  dst: ['[fd7a::]:1,2-3']\n");
	free(out);
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_yaml),
		cmocka_unit_test(test_odd_texts),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
