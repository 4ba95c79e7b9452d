/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explain says what the programs do: the same policy in both, and for every source,
 * destination, protocol and port of a grid the same verdict for the same reason. (The
 * decision is written twice, in bpf/decide.h and user/ruleset/decide.c; this keeps them one.)
 */
#include "scratch.h"

#include "user/answers/report_explain.h"

static const char gateway[] =
	"version: 1\n"
	"tunnel: {addresses: [100.64.0.1/10, 'fd7a:115c:a1e0::1/48']}\n"
	"routes: [203.0.113.0/24, '2001:db8:9::/48', 169.254.169.254]\n"
	"clients:\n"
	"- {name: one, user: alice@example.com, public_key: zwRL3/KjvQoKf5skYdjEPd+vb0rbEcNFOVteKbGkjCs=,\n"
	"   addresses: [100.64.0.5, 'fd7a:115c:a1e0::5']}\n"
	"- {name: two, user: bob@example.com, public_key: f+GfXmGYxHAEf6UfJkUmE0Hv+cSb5pVRqeyF3qDAFSo=,\n"
	"   addresses: [100.64.0.6, 'fd7a:115c:a1e0::6']}\n";

static const char policy[] =
	"acls:\n"
	"- {action: accept, src: [alice@example.com], dst: ['203.0.113.0/24:80-443', '[2001:db8:9::]/64:443']}\n"
	"- {action: accept, src: [alice@example.com], dst: ['203.0.113.9:*'], proto: udp}\n"
	"- {action: accept, src: [bob@example.com], dst: ['169.254.169.254:80', '100.64.0.1:22', '100.64.0.1:53']}\n"
	"- {action: accept, src: ['*'], dst: ['2001:db8:9::10:53'], proto: udp}\n"
	"deny:\n"
	"- {src: ['*'], dst: ['203.0.113.66:*', '203.0.113.9:100-110']}\n"
	"- {src: [alice@example.com], dst: ['[2001:db8:9::10]:*'], proto: tcp}\n"
	"blocklists: [{name: drop, file: drop.txt}]\n";

static const char *const destinations[] = {
	"203.0.113.9",	     "203.0.113.10",
	"203.0.113.66",	     "203.0.113.77",
	"203.0.113.78",	     "192.0.2.1",
	"169.254.169.254",   "169.254.1.1",
	"127.0.0.1",	     "100.64.0.1",
	"224.0.0.1",	     "0.1.2.3",
	"255.255.255.255",   "100.100.100.200",
	"2001:db8:9::9",     "2001:db8:9::10",
	"2001:db8:9:1::9",   "2001:db8:aaaa::1",
	"fd00:ec2::254",     "fe80::1",
	"ff02::1",	     "::1",
	"fd7a:115c:a1e0::1",
};

static const uint16_t ports[] = {22, 53, 79, 80, 100, 110, 111, 443, 444, 65535};

struct both {
	struct scratch *s;
	struct config *config;
	struct ruleset *rules;
	size_t asked, passed;
};

static void open_both(struct both *b, struct scratch *s, const char *folder)
{
	static const uint32_t ids[] = {1, 2};
	struct ruleset_source source = {"p.yaml", policy, strlen(policy), folder, NULL, 0, false, NULL};
	struct ruleset_place place;
	struct diags d = {0};
	char *error = NULL;

	*b = (struct both){.s = s};
	b->config = config_parse(doc_parse("gateway.yaml", gateway, strlen(gateway), DOC_YAML, &d), "host", &d);
	place = (struct ruleset_place){.config = b->config};
	b->rules = ruleset_build(&place, &source, &d);
	if (d.errors || !b->rules) {
		diags_print(&d, stderr, true);
		fail_msg("the policy is not sound");
	}
	diags_free(&d);
	if (ruleset_apply(b->rules, b->config, ids, true, s->m, NULL, &error))
		fail_msg("%s", error);
}

/* What the program says. A flow that is there already would pass unasked, so each packet has another source port. */
static const char *by_program(struct both *b, const struct shape *shape, uint32_t client)
{
	struct ran r = out_of(b->s, shape, client);

	if (r.verdict == REDIRECT || (r.verdict == OK && !r.reason))
		return "none";
	return reason_names[r.reason];
}

static const char *by_explain(struct both *b, const char *name, const char *dst, uint8_t proto, uint16_t port)
{
	struct explain_source source = {.rules = b->rules, .config = b->config};
	struct explain_question q = {name, dst, proto, proto == IPPROTO_ICMP ? 0 : port};
	static char reason[64];
	char *error = NULL;
	json_t *j = explain(&source, &q, &error), *one = json_array_get(json_object_get(j, "answers"), 0);
	const char *text = json_string_value(json_object_get(one, "reason"));

	if (!one)
		fail_msg("%s -> %s: %s", name, dst, error);
	snprintf(reason, sizeof(reason), "%s", text ? text : "none");
	json_decref(j);
	return reason;
}

static void compare(struct both *b, uint32_t client, const char *dst, uint8_t proto, uint16_t port)
{
	struct addr to = addr_of(dst);
	bool v6 = !addr_is_v4(&to);
	struct family f = family_of(v6);
	struct shape shape = {.v6 = v6,
			      .proto = proto,
			      .src = client == 1 ? f.client : f.client2,
			      .dst = to,
			      .sport = (uint16_t)(1024 + b->asked),
			      .dport = proto == IPPROTO_ICMP ? 0 : port,
			      .flags = TH_SYN};
	const char *program = by_program(b, &shape, client);
	const char *said = by_explain(b, client == 1 ? "one" : "two", dst, proto, port);

	b->asked++;
	b->passed += !strcmp(said, "none");
	if (strcmp(program, said))
		fail_msg("client %u -> %s proto %u port %u: the program says %s, explain says %s", client, dst, proto,
			 port, program, said);
}

static void test_explain_is_what_happens(void **state)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	char folder[] = "/tmp/sluice-bpf-XXXXXX", path[64];
	struct both b;
	FILE *list;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/drop.txt", folder);
	list = fopen(path, "w");
	fputs("203.0.113.77\n203.0.113.78/31\n", list);
	fclose(list);
	open_both(&b, *state, folder);
	for (uint32_t client = 1; client <= 2; client++)
		for (size_t i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++)
			for (size_t k = 0; k < sizeof(ports) / sizeof(ports[0]); k++)
				for (size_t p = 0; p < sizeof(protos); p++)
					compare(&b, client, destinations[i], protos[p], ports[k]);
	assert_true(b.passed > 30); /* the grid asks about both */
	ruleset_free(b.rules);
	config_free(b.config);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_explain_is_what_happens, scratch_open, scratch_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
