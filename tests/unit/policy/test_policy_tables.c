/* SPDX-License-Identifier: BSD-2-Clause */
/* Filter rules -> tables: small cases by hand, and random ones against filter_verdict(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "policy/ports.h"
#include "policy/tables.h"
#include "random_filter.h"

static const struct tables_limits no_limits;

/* ---- port ranges ------------------------------------------------------------------- */

/* Random overlays on few ports against an array with one cell a port. */
static void test_ports_against_cells(void **state)
{
	struct rng rng = {7};

	for (int round = 0; round < 3000; round++) {
		const struct acl_rule *cell[2][16] = {0};
		struct acl_rule rules[12];
		struct ports l = {0};

		for (int i = 0; i < 12; i++) {
			uint32_t a = rng_below(&rng, 16), b = rng_below(&rng, 16);
			struct acl_rule *r = &rules[i];

			*r = (struct acl_rule){.first = (uint16_t)(a < b ? a : b),
					       .last = (uint16_t)(a < b ? b : a),
					       .proto = (uint8_t)(6 + rng_below(&rng, 2)),
					       .verdict = rng_below(&rng, 3) ? VERDICT_ACCEPT : VERDICT_DENY,
					       .id = 1 + rng_below(&rng, 20)};
			ports_overlay(&l, r);
			for (unsigned p = r->first; p <= r->last; p++) {
				const struct acl_rule **c = &cell[r->proto - 6][p];

				if (!*c ||
				    (r->verdict != (*c)->verdict ? r->verdict == VERDICT_DENY : r->id < (*c)->id))
					*c = r;
			}
		}
		ports_join(&l);
		for (size_t i = 1; i < l.n; i++) {
			assert_true(l.v[i - 1].proto <= l.v[i].proto);
			if (l.v[i - 1].proto == l.v[i].proto)
				assert_true(l.v[i - 1].last < l.v[i].first);
		}
		for (unsigned p = 0; p < 32; p++) {
			const struct acl_rule *got = ports_find(l.v, l.n, (uint8_t)(6 + p / 16), (uint16_t)(p % 16));
			const struct acl_rule *want = cell[p / 16][p % 16];

			assert_int_equal(!got, !want);
			if (got) {
				assert_int_equal(got->id, want->id);
				assert_int_equal(got->verdict, want->verdict);
			}
		}
		ports_free(&l);
	}
}

static void test_ports_edges(void **state)
{
	struct acl_rule all = {0, 65535, 6, VERDICT_ACCEPT, 0, 2}, one = {65535, 65535, 6, VERDICT_DENY, 0, 9};
	struct acl_rule low = {0, 0, 6, VERDICT_ACCEPT, 0, 1};
	struct ports l = {0};

	ports_overlay(&l, &all);
	ports_overlay(&l, &one);
	ports_overlay(&l, &low);
	ports_overlay(&l, &all);
	ports_join(&l);
	assert_int_equal(l.n, 3);
	assert_int_equal(ports_find(l.v, l.n, 6, 0)->id, 1);
	assert_int_equal(ports_find(l.v, l.n, 6, 65534)->id, 2);
	assert_int_equal(ports_find(l.v, l.n, 6, 65535)->id, 9);
	assert_null(ports_find(l.v, l.n, 7, 1));
	assert_null(ports_find(NULL, 0, 6, 1));
	ports_free(&l);
}

/* ---- by hand ------------------------------------------------------------------------- */

static struct prefix pfx(const char *text)
{
	struct prefix p;

	if (!prefix_parse(text, strlen(text), &p, NULL))
		fail_msg("not a prefix: %s", text);
	return p;
}

/* Adds a rule with one source and one destination. proto 0: the usual four. */
static void add_rule(struct filter *f, enum filter_verdict v, const char *src, const char *dst, unsigned first,
		     unsigned last, uint8_t proto)
{
	struct filter_rule *r;

	f->rules = mem_grow(f->rules, f->n, sizeof(*f->rules));
	r = &f->rules[f->n++];
	*r = (struct filter_rule){.id = (uint32_t)f->n, .verdict = v, .n_src = 1, .n_dst = 1, .n_proto = proto != 0};
	r->src = mem_alloc(1, sizeof(*r->src));
	r->dst = mem_alloc(1, sizeof(*r->dst));
	r->proto = mem_alloc(1, 1);
	*r->src = pfx(src);
	*r->dst = (struct filter_dst){pfx(dst), (uint16_t)first, (uint16_t)last};
	*r->proto = proto;
}

static uint32_t id_of(const struct tables *t, uint32_t class, const char *dst, uint8_t proto, uint16_t port)
{
	struct prefix p = pfx(dst);
	const struct acl_rule *r = tables_find(t, class, &p.addr, proto, port);

	return r ? r->id : 0;
}

static void test_by_hand(void **state)
{
	struct prefix alice[] = {pfx("100.64.0.1"), pfx("fd7a::1")}, bob[] = {pfx("100.64.0.2")},
		      eve[] = {pfx("1.1.1.1")};
	struct prefix carol[] = {pfx("100.64.0.3")};
	struct tables_client clients[] = {{alice, 2}, {bob, 1}, {eve, 1}, {carol, 1}};
	struct filter *f = mem_alloc(1, sizeof(*f));
	struct diags d = {0};
	struct tables *t;

	add_rule(f, FILTER_ACCEPT, "100.64.0.0/10", "10.0.0.0/8", 443, 443, 0);
	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "10.1.0.0/16", 0, 65535, IPPROTO_TCP);
	add_rule(f, FILTER_DENY, "100.64.0.0/10", "10.1.2.3", 22, 22, IPPROTO_TCP);
	add_rule(f, FILTER_ACCEPT, "fd7a::1", "::/0", 53, 53, IPPROTO_UDP);
	t = tables_build(f, clients, 4, &no_limits, &d);
	assert_non_null(t);
	assert_int_equal(t->n_classes, 3); /* bob and carol are one */
	assert_int_equal(t->class_of[1], t->class_of[3]);
	assert_int_not_equal(t->class_of[0], t->class_of[1]);

	assert_int_equal(id_of(t, t->class_of[0], "10.2.0.1", IPPROTO_TCP, 443), 1);
	assert_int_equal(id_of(t, t->class_of[0], "10.1.0.1", IPPROTO_TCP, 443), 1); /* the first of two accepts */
	assert_int_equal(id_of(t, t->class_of[0], "10.1.0.1", IPPROTO_TCP, 80), 2);
	assert_int_equal(id_of(t, t->class_of[1], "10.1.0.1", IPPROTO_TCP, 80), 0);
	assert_int_equal(id_of(t, t->class_of[0], "10.1.2.3", IPPROTO_TCP, 22), 3);
	assert_int_equal(id_of(t, t->class_of[0], "10.1.2.3", IPPROTO_TCP, 23), 2);
	assert_int_equal(id_of(t, t->class_of[1], "10.9.9.9", IPPROTO_ICMP, 0), 1); /* some rule lets him there */
	assert_int_equal(id_of(t, t->class_of[1], "11.0.0.1", IPPROTO_ICMP, 0), 0);
	assert_int_equal(id_of(t, t->class_of[0], "2001:db8::1", IPPROTO_UDP, 53), 4);
	assert_int_equal(id_of(t, t->class_of[0], "11.0.0.1", IPPROTO_UDP, 53), 0); /* ::/0 is not IPv4 */
	assert_int_equal(id_of(t, t->class_of[2], "10.0.0.1", IPPROTO_TCP, 443), 0);
	assert_int_equal(id_of(t, t->class_of[0], "10.0.0.1", IPPROTO_SCTP, 443), 0);
	tables_free(t);
	filter_free(f);
	diags_free(&d);
}

static void test_flags(void **state)
{
	struct prefix one[] = {pfx("100.64.0.1")};
	struct tables_client client = {one, 1};
	struct filter *f = mem_alloc(1, sizeof(*f));
	struct diags d = {0};
	struct addr metadata = pfx("169.254.169.254").addr, other = pfx("169.254.1.1").addr,
		    denied = pfx("10.0.0.1").addr;
	struct tables *t;

	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "0.0.0.0/0", 0, 65535, 0);
	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "169.254.169.254", 0, 65535, 0); /* says nothing new, but names it */
	add_rule(f, FILTER_DENY, "100.64.0.1", "10.0.0.1", 0, 65535, 0);
	t = tables_build(f, &client, 1, &no_limits, &d);
	assert_non_null(t);
	assert_int_equal(tables_match(t, 1, &metadata)->value.flags, ACL_EXACT | ACL_ACCEPTS);
	assert_int_equal(tables_match(t, 1, &other)->value.flags, ACL_ACCEPTS);
	assert_int_equal(tables_match(t, 1, &denied)->value.flags, 0);
	tables_free(t);
	filter_free(f);
	diags_free(&d);
}

/* Prefixes that say what the shorter one says need no entry; equal lists are stored once. */
static void test_compact(void **state)
{
	struct prefix one[] = {pfx("100.64.0.1")};
	struct tables_client client = {one, 1};
	struct filter *f = mem_alloc(1, sizeof(*f));
	struct diags d = {0};
	struct tables *t;

	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "10.0.0.0/8", 0, 65535, 0);
	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "10.1.0.0/16", 80, 80, IPPROTO_TCP);
	t = tables_build(f, &client, 1, &no_limits, &d);
	assert_int_equal(t->n_entries, 1);
	assert_int_equal(t->n_rules, 3); /* TCP, UDP, ICMP */
	tables_free(t);
	filter_free(f);
	diags_free(&d);
}

/* A client with two addresses of a family: only what both may do. */
static void test_divided(void **state)
{
	struct prefix two[] = {pfx("100.64.0.1"), pfx("100.64.0.2")}, net[] = {pfx("10.5.0.0/24")};
	struct tables_client clients[] = {{two, 2}, {net, 1}};
	struct filter *f = mem_alloc(1, sizeof(*f));
	struct diags d = {0};
	struct tables *t;

	add_rule(f, FILTER_ACCEPT, "100.64.0.0/24", "8.8.8.8", 53, 53, 0);
	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "8.8.8.8", 443, 443, 0);
	add_rule(f, FILTER_DENY, "100.64.0.2", "8.8.8.8", 99, 99, 0);
	add_rule(f, FILTER_ACCEPT, "100.64.0.2", "8.8.8.8", 98, 98, 0); /* the same source, the other verdict */
	add_rule(f, FILTER_ACCEPT, "10.5.0.0/16", "8.8.8.8", 53, 53, 0);
	add_rule(f, FILTER_ACCEPT, "10.5.0.0/25", "8.8.8.8", 80, 80, 0);
	t = tables_build(f, clients, 2, &no_limits, &d);
	assert_int_equal(t->n_divided, 1);
	assert_int_equal(t->first_divided, 0);
	assert_int_equal(id_of(t, 1, "8.8.8.8", IPPROTO_UDP, 53), 1);
	assert_int_equal(id_of(t, 1, "8.8.8.8", IPPROTO_TCP, 443), 0);
	assert_int_equal(id_of(t, 1, "8.8.8.8", IPPROTO_TCP, 99), 3);
	assert_int_equal(id_of(t, 1, "8.8.8.8", IPPROTO_TCP, 98), 0);
	assert_int_equal(id_of(t, 2, "8.8.8.8", IPPROTO_UDP, 53), 5);
	assert_int_equal(id_of(t, 2, "8.8.8.8", IPPROTO_TCP, 80), 0);
	tables_free(t);
	filter_free(f);
	diags_free(&d);
}

static void test_limits(void **state)
{
	struct prefix one[] = {pfx("100.64.0.1")}, two[] = {pfx("100.64.0.2")};
	struct tables_client clients[] = {{one, 1}, {two, 1}};
	struct filter *f = mem_alloc(1, sizeof(*f));
	static const struct {
		struct tables_limits limits;
		const char *says;
	} cases[] = {
		{{.ids = 1}, "it needs more rules than there is room for (1)"},
		{{.classes = 1}, "it needs more classes of clients than there is room for (1)"},
		{{.entries = 2},
		 "it needs more destinations (each counted in every class of clients) than there is room for (2)"},
		{{.rules = 3}, "it needs more port ranges than there is room for (3)"},
	};

	add_rule(f, FILTER_ACCEPT, "100.64.0.0/10", "10.0.0.0/8", 80, 80, IPPROTO_TCP);
	add_rule(f, FILTER_ACCEPT, "100.64.0.1", "11.0.0.0/8", 0, 65535, IPPROTO_TCP);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct diags d = {0};

		assert_null(tables_build(f, clients, 2, &cases[i].limits, &d));
		assert_int_equal(d.errors, 1);
		if (!strstr(d.list[0].text, cases[i].says))
			fail_msg("%s", d.list[0].text);
		diags_free(&d);
	}
	filter_free(f);
}

static void test_empty(void **state)
{
	struct prefix one[] = {pfx("100.64.0.1")};
	struct tables_client clients[] = {{one, 1}, {NULL, 0}};
	struct filter f = {0};
	struct diags d = {0};
	struct tables *t = tables_build(&f, clients, 2, &no_limits, &d);

	assert_int_equal(t->n_entries, 0);
	assert_int_equal(t->class_of[0], 1); /* known, and nothing allowed */
	assert_int_equal(t->class_of[1], 1);
	assert_null(tables_match(t, 1, &one[0].addr));
	tables_free(t);
	t = tables_build(&f, NULL, 0, &no_limits, &d);
	assert_int_equal(t->n_classes, 0);
	tables_free(t);
	diags_free(&d);
}

/* ---- random ------------------------------------------------------------------------------- */

#define CLIENTS 12

static void compare(struct rng *rng, const struct filter *f, const struct tables *t, const struct prefix addrs[][2],
		    unsigned packets)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	for (unsigned i = 0; i < packets; i++) {
		uint32_t client = rng_below(rng, CLIENTS);
		struct filter_packet pkt = random_packet(rng, &addrs[client][rng_below(rng, 2)].addr);
		struct filter_answer want = filter_verdict(f, &pkt);
		const struct acl_rule *got = tables_find(t, t->class_of[client], &pkt.dst, pkt.proto, pkt.port);

		if (want.rule ? got && got->id == want.rule->id &&
					(got->verdict == VERDICT_ACCEPT) == (want.verdict == FILTER_ACCEPT)
			      : !got)
			continue;
		fail_msg("%s -> %s proto %u port %u: rule %u, tables say %u", addr_str(&pkt.src, src),
			 addr_str(&pkt.dst, dst), pkt.proto, pkt.port, want.rule ? want.rule->id : 0,
			 got ? got->id : 0);
	}
}

static void test_against_reference(void **state)
{
	struct rng rng = {20260};

	for (int round = 0; round < 400; round++) {
		struct filter *f = random_filter(&rng, rng_below(&rng, 24));
		struct prefix addrs[CLIENTS][2];
		struct tables_client clients[CLIENTS];
		struct diags d = {0};
		struct tables *t;

		for (int i = 0; i < CLIENTS; i++) {
			addrs[i][0] = (struct prefix){random_addr(&rng, true), 128};
			addrs[i][1] = (struct prefix){random_addr(&rng, false), 128};
			clients[i] = (struct tables_client){addrs[i], 2};
		}
		t = tables_build(f, clients, CLIENTS, &no_limits, &d);
		compare(&rng, f, t, addrs, 500);
		tables_free(t);
		filter_free(f);
		diags_free(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports_against_cells),
		cmocka_unit_test(test_ports_edges),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_divided),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_against_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
