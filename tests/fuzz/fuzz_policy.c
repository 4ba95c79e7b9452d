/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two targets in one, by the first byte of the input:
 *
 * text	a policy file: whatever parses must compile, print to the same policy,
 *	and answer every question without falling over;
 * random	the rest seeds a generator of rules, clients and packets; tables and plain
 *	evaluator must say the same about each packet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/matrix.h"
#include "policy/print.h"
#include "policy/test.h"
#include "tests/unit/policy/policy_same.h"
#include "tests/unit/policy/random_filter.h"

#define CLIENTS 8
#define PACKETS 1000

static void fail(const char *why)
{
	fputs(why, stderr);
	fputc('\n', stderr);
	abort();
}

/* ---- text ------------------------------------------------------------------------------- */

static void make_inventory(struct inventory *inv)
{
	static const char *const users[] = {"alice@example.com", "bob@example.com", "a@b"};
	static const char *const tags[] = {"tag:ci", "tag:gateway", "tag:a"};
	struct prefix route = {.addr = addr_from_v4(htonl(0x0a000000)), .len = 104};

	for (unsigned i = 0; i < 3; i++) {
		struct inventory_node *node;
		struct prefix p = {.addr = addr_from_v4(htonl(0x64400001 + i)), .len = 128};

		inventory_add_role(inv, inventory_add_user(inv, users[i]), "admin");
		node = inventory_add_node(inv, users[i]);
		inventory_set_user(inv, node, users[i]);
		prefixes_add(&node->addrs, &p);
		node = inventory_add_node(inv, tags[i]);
		inventory_add_tag(inv, node, tags[i]);
		p.addr = addr_from_v4(htonl(0x64400101 + i));
		prefixes_add(&node->addrs, &p);
		prefixes_add(&node->approved, &route);
	}
}

static void check_print(const struct policy *p)
{
	char *text = policy_print(p);
	struct diags d = {0};
	struct doc *doc = doc_parse("printed", text, strlen(text), DOC_YAML, &d);
	struct policy *again = doc ? policy_parse(doc, &d) : NULL;

	if (!again || !same_policy(p, again)) {
		diags_print(&d, stderr, true);
		fail(text);
	}
	policy_free(again);
	free(text);
	diags_free(&d);
}

static void look_around(const struct policy *p)
{
	struct inventory inv = {0};
	struct reach reach;
	struct diags d = {0};
	struct matrix m;
	size_t passed;
	FILE *null = fopen("/dev/null", "w");

	make_inventory(&inv);
	policy_check(p, &(struct policy_check_place){.inv = &inv}, NULL, &d);
	if (null && reach_build(&reach, p, &inv, &inv.nodes[1], NULL, &d)) {
		policy_run_tests(p, reach.r, &(struct policy_test_place){.inv = &inv, .f = reach.f}, &passed, &d);
		matrix_build(&m, &reach, NULL, NULL);
		matrix_html(&m, "title", null);
		matrix_free(&m);
		reach_free(&reach);
	}
	if (null) {
		diags_print(&d, null, true);
		fclose(null);
	}
	inventory_free(&inv);
	diags_free(&d);
}

static void try_text(const char *text, size_t len, enum doc_format format)
{
	struct diags d = {0};
	struct doc *doc = doc_parse("f", text, len, format, &d);
	struct policy *p = doc ? policy_parse(doc, &d) : NULL;

	if (!p != !!d.errors)
		fail("refused without a word, or accepted with an error");
	if (p) {
		check_print(p);
		look_around(p);
	}
	policy_free(p);
	diags_free(&d);
}

/* ---- random ------------------------------------------------------------------------------ */

static void try_random(struct rng *rng, size_t n_rules, unsigned packets)
{
	static const struct tables_limits none;
	struct filter *f = random_filter(rng, n_rules);
	struct prefix addrs[CLIENTS][2];
	struct tables_client clients[CLIENTS];
	struct diags d = {0};
	struct tables *t;

	for (unsigned i = 0; i < CLIENTS; i++) {
		addrs[i][0] = (struct prefix){random_addr(rng, true), 128};
		addrs[i][1] = (struct prefix){random_addr(rng, false), 128};
		clients[i] = (struct tables_client){addrs[i], 2};
	}
	t = tables_build(f, clients, CLIENTS, &none, &d);
	if (!t)
		fail("tables without limits refused");
	for (unsigned i = 0; i < packets; i++) {
		unsigned c = rng_below(rng, CLIENTS);
		struct filter_packet pkt = random_packet(rng, &addrs[c][rng_below(rng, 2)].addr);
		struct filter_answer want = filter_verdict(f, &pkt);
		const struct acl_rule *got = tables_find(t, t->class_of[c], &pkt.dst, pkt.proto, pkt.port);

		if (!want.rule != !got || (got && got->id != want.rule->id) ||
		    (got && (got->verdict == VERDICT_ACCEPT) != (want.verdict == FILTER_ACCEPT)))
			fail("tables and evaluator disagree");
	}
	tables_free(t);
	filter_free(f);
	diags_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rng rng = {0};

	if (size < 2)
		return 0;
	if (data[0] % 4 < 2) {
		try_text((const char *)data + 1, size - 1, data[0] % 4 ? DOC_HUJSON : DOC_YAML);
		return 0;
	}
	memcpy(&rng.state, data + 1, size - 1 < sizeof(rng.state) ? size - 1 : sizeof(rng.state));
	if (rng.state)
		try_random(&rng, data[0] / 4, PACKETS);
	return 0;
}
