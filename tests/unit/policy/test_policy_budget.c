/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policies that are small and mean much (policy_bombs.h): each is worked out or refused within its budget, with the
 * place where that was spent; and what grows with the length of the text costs no more than that, counted in steps.
 */
#include "policy/check.h"
#include "policy/diff.h"
#include "policy/matrix.h"
#include "policy/test.h"
#include "policy_bombs.h"
#include "policy_load.h"

#define NODES 300

struct cost {
	uint64_t build, check, tests; /* steps */
	bool refused;
	char *says; /* of the refusal */
};

static uint64_t spent_steps(const struct budget *given, const struct budget *left)
{
	return left->spent ? given->steps : given->steps - left->steps;
}

static bool run_its_tests(const struct policy *p, const struct inventory *inv, struct budget *b, struct diags *d)
{
	struct resolver *r = resolver_new(p, inv, b);
	struct filter *f = policy_compile(r, p, NULL, POLICY_DENY_ALL);
	size_t passed;
	bool ok = policy_run_tests(p, r, &(struct policy_test_place){.inv = inv, .f = f}, &passed, d);

	filter_free(f);
	resolver_free(r);
	return ok;
}

/* What people are shown ends, too; cells and changes that are left out are told. */
static void picture(const struct reach *reach, const struct budget *given)
{
	struct budget cells = *given, changes = *given;
	struct policy_diff diff;
	struct matrix m;

	matrix_build(&m, reach, NULL, &cells);
	for (size_t i = 0; i < m.n_rows * m.n_columns; i++)
		assert_true(m.cells[i].cell != MATRIX_UNKNOWN || cells.spent);
	matrix_free(&m);
	policy_diff(&diff, reach, reach, &changes);
	assert_int_equal(diff.n, 0);
	assert_true(diff.cut == changes.spent);
	policy_diff_free(&diff);
}

/* All that a start or an apply asks of a policy. */
static struct cost work_out(const struct bomb *bomb, unsigned n, const struct budget *given)
{
	char *text = bomb_text(bomb, n), *people = bomb_inventory(NODES);
	struct budget build = *given, check = *given, tests = *given;
	struct tables_limits limits = {.ids = 65535, .rules = 1 << 20, .entries = 4 << 20, .budget = &build};
	struct policy *p = load_policy(text);
	struct diags d = {0}, warnings = {0};
	struct cost cost = {0};
	struct inventory inv;
	struct reach reach;

	load_inventory(&inv, people);
	cost.refused = !reach_build(&reach, p, &inv, &inv.nodes[0], &limits, &d);
	if (!cost.refused) {
		if (given->steps <= BUDGET_STEPS)
			picture(&reach, given);
		policy_check(p, &(struct policy_check_place){.inv = &inv}, &check, &warnings);
		assert_int_equal(warnings.errors, 0);
		cost.refused = p->n_tests && !run_its_tests(p, &inv, &tests, &d);
		reach_free(&reach);
	}
	cost.build = spent_steps(given, &build);
	cost.check = spent_steps(given, &check);
	cost.tests = spent_steps(given, &tests);
	cost.says = said(&d);
	diags_free(&warnings);
	inventory_free(&inv);
	policy_free(p);
	free(people);
	free(text);
	return cost;
}

/* A tenth of the usual: the tests are run slowly, too, by sanitizers. */
static const struct budget small = {.steps = BUDGET_STEPS / 10, .bytes = BUDGET_BYTES / 4};

static void test_fault_40_every_bomb_ends(void **state)
{
	for (size_t i = 0; i < N_BOMBS; i++) {
		struct cost c = work_out(&bombs[i], bombs[i].large, &small);

		if (c.refused && (!strstr(c.says, "p:1:") ||
				  !(strstr(c.says, "too much to work out") || strstr(c.says, "does not fit"))))
			fail_msg("%s: %s", bombs[i].name, c.says);
		if (c.refused && bombs[i].linear)
			fail_msg("%s: %s", bombs[i].name, c.says);
		free(c.says);
	}
}

/* Twice the text is at most a little more than twice the work: n log n. */
static void test_fault_40_work_grows_with_the_text(void **state)
{
	static const struct budget ample = {.steps = UINT64_MAX / 2, .bytes = UINT64_MAX / 2};

	for (size_t i = 0; i < N_BOMBS; i++) {
		struct cost half, whole;

		if (!bombs[i].linear)
			continue;
		half = work_out(&bombs[i], bombs[i].large / 2, &ample);
		whole = work_out(&bombs[i], bombs[i].large, &ample);
		if (half.refused || whole.refused || whole.build > half.build * 23 / 10 + 1000 ||
		    whole.check > half.check * 23 / 10 + 1000)
			fail_msg("%s: building %zu steps, then %zu; checking %zu, then %zu; %s", bombs[i].name,
				 (size_t)half.build, (size_t)whole.build, (size_t)half.check, (size_t)whole.check,
				 whole.says);
		free(half.says);
		free(whole.says);
	}
}

/* Whatever the step at which it ends, nothing is lost (ASan says) and the end is told. */
static void test_fault_40_ends_anywhere(void **state)
{
	for (size_t i = 0; i < N_BOMBS; i++)
		for (uint64_t steps = 1; steps < 1u << 17; steps = steps * 5 / 2 + 1) {
			struct budget few = {.steps = steps, .bytes = BUDGET_BYTES};
			struct budget little = {.steps = BUDGET_STEPS, .bytes = steps * 16};
			struct cost a = work_out(&bombs[i], 60, &few), b = work_out(&bombs[i], 60, &little);

			assert_true(a.refused ? strstr(a.says, "more steps") || strstr(a.says, "does not fit")
					      : !*a.says);
			assert_true(b.refused ? strstr(b.says, "more memory") || strstr(b.says, "does not fit")
					      : !*b.says);
			free(a.says);
			free(b.says);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_40_every_bomb_ends),
		cmocka_unit_test(test_fault_40_work_grows_with_the_text),
		cmocka_unit_test(test_fault_40_ends_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
