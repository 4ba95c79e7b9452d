/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of a server and of a local policy, which may only take away: random ones against filter_verdict(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/narrow.h"
#include "random_filter.h"

#define ROUNDS	400
#define PACKETS 400

static bool is_icmp(const struct filter_packet *p)
{
	return p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
}

static bool accepts(const struct filter *f, const struct filter_packet *p)
{
	return filter_verdict(f, p).verdict == FILTER_ACCEPT;
}

static void without_accepts(struct filter *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->rules[i].verdict = FILTER_DENY;
}

static bool denies(const struct filter *f, const struct filter_packet *p)
{
	struct filter_answer a = filter_verdict(f, p);

	return a.verdict == FILTER_DENY && a.rule;
}

/* @both: the local policy has accepts, and both must agree. */
static void compare(bool both)
{
	struct rng rng = {both ? 11 : 12};
	size_t accepted = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct filter *server = random_filter(&rng, 1 + rng_below(&rng, 8));
		struct filter *local = random_filter(&rng, 1 + rng_below(&rng, 8)), *f;

		if (!both)
			without_accepts(local);
		f = filter_narrow(server, local, both, NULL);
		for (int i = 0; i < PACKETS; i++) {
			struct addr src = random_addr(&rng, rng_below(&rng, 2));
			struct filter_packet p = random_packet(&rng, &src);
			bool want = accepts(server, &p) && (both ? accepts(local, &p) : !denies(local, &p));
			bool got = accepts(f, &p);

			accepted += got;
			if (both && is_icmp(&p))
				assert_true(!got || want); /* with a common rule only */
			else
				assert_int_equal(got, want);
		}
		filter_free(server);
		filter_free(local);
		filter_free(f);
	}
	assert_true(accepted > 1000);
}

static void test_both_must_accept(void **state)
{
	compare(true);
}

static void test_denies_only(void **state)
{
	compare(false);
}

static struct filter_rule *add(struct filter *f, const char *src, const char *dst, uint16_t port)
{
	struct filter_rule *r;

	f->rules = mem_grow(f->rules, f->n, sizeof(*f->rules));
	r = &f->rules[f->n++];
	*r = (struct filter_rule){.id = (uint32_t)f->n, .n_src = 1, .n_dst = 1};
	r->src = mem_alloc(1, sizeof(*r->src));
	r->dst = mem_alloc(1, sizeof(*r->dst));
	assert_true(prefix_parse(src, strlen(src), &r->src[0], NULL));
	assert_true(prefix_parse(dst, strlen(dst), &r->dst[0].prefix, NULL));
	r->dst[0].first = port;
	r->dst[0].last = port ? port : UINT16_MAX;
	return r;
}

/* What decides is told by the local rule where there is one, and ids of the two never meet. */
static void test_names(void **state)
{
	struct filter *server = mem_alloc(1, sizeof(*server)), *local = mem_alloc(1, sizeof(*local)), *f;
	struct filter_rule *r;

	add(server, "100.64.0.0/10", "203.0.113.0/24", 0)->text = mem_strdup("server");
	r = add(local, "100.64.0.7", "0.0.0.0/0", 443);
	r->text = mem_strdup("local");
	r->file = "p.yaml";
	r->line = 7;
	f = filter_narrow(server, local, true, NULL);
	assert_int_equal(f->n, 1);
	assert_string_equal(f->rules[0].text, "local");
	assert_string_equal(f->rules[0].file, "p.yaml");
	assert_int_equal(f->rules[0].line, 7);
	assert_int_equal(f->rules[0].id, 1);
	assert_int_equal(f->rules[0].src[0].len, 128);
	assert_int_equal(f->rules[0].dst[0].prefix.len, 120);
	assert_int_equal(f->rules[0].dst[0].first, 443);
	filter_free(f);
	f = filter_narrow(server, local, false, NULL);
	assert_int_equal(f->n, 1);
	assert_string_equal(f->rules[0].text, "server");
	assert_int_equal(f->rules[0].id, 2);
	filter_free(f);
	filter_free(server);
	filter_free(local);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_must_accept),
		cmocka_unit_test(test_denies_only),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
