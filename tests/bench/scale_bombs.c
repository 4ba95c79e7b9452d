/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scale_bombs [JSON]
 *
 * What policies cost that are small and mean much (tests/unit/policy/policy_bombs.h), for 10,000 clients: half of each,
 * and all of it, to see how the cost grows. What is refused has spent its budget or has filled the tables; the
 * last column says how long that was looked at in vain.
 */
#include "scale.h"
#include "policy/check.h"
#include "policy/reach.h"
#include "tests/unit/policy/policy_bombs.h"

#define POPULATION 10000

struct cost {
	double parse, build, check; /* ms of CPU */
	uint64_t steps;
	bool refused;
	size_t peak, text;
};

static struct policy *read_policy(const char *text, struct diags *d)
{
	struct policy *p = policy_parse(doc_parse("bomb", text, strlen(text), DOC_YAML, d), d);

	if (!p) {
		diags_print(d, stderr, true);
		die("the policy is not sound");
	}
	return p;
}

static double cpu_ms(double began)
{
	return (cpu_ns() - began) / 1e6;
}

static struct cost work_out(const struct bomb *b, unsigned n, const struct inventory *inv)
{
	char *text = bomb_text(b, n);
	struct budget budget = budget_usual(), check = budget_usual();
	struct tables_limits limits = {.ids = 65535, .rules = 1 << 20, .entries = 4 << 20, .budget = &budget};
	struct cost c = {.text = strlen(text)};
	struct diags d = {0};
	struct policy *p;
	struct reach reach;
	double began;

	peak_reset();
	began = cpu_ns();
	p = read_policy(text, &d);
	c.parse = cpu_ms(began);
	began = cpu_ns();
	c.refused = !reach_build(&reach, p, inv, &inv->nodes[0], &limits, &d);
	c.build = cpu_ms(began);
	c.steps = BUDGET_STEPS - budget.steps;
	began = cpu_ns();
	policy_check(p, &(struct policy_check_place){.inv = inv}, &check, &d);
	c.check = cpu_ms(began);
	c.peak = peak_rss();
	if (!c.refused)
		reach_free(&reach);
	policy_free(p);
	diags_free(&d);
	free(text);
	return c;
}

static void bench(json_t *document, const struct inventory *inv)
{
	static const char *const heads[] = {"policy",	 ">parts",    ">KiB",	 ">parse ms",
					    ">build ms", ">check ms", ">growth", ">steps/1000",
					    ">peak MiB", "",	      NULL};
	struct sheet sheet = sheet_begin("policies that mean much (none may take more than 10,000 ms)", heads);

	for (size_t i = 0; i < N_BOMBS; i++) {
		double before = 0;

		for (unsigned part = 2; part; part--) {
			unsigned n = bombs[i].large / part;
			struct cost c = work_out(&bombs[i], n, inv);
			double all = c.parse + c.build + c.check;

			table_addf(&sheet.table, "%s", bombs[i].name);
			table_addf(&sheet.table, "%u", n);
			table_addf(&sheet.table, "%zu", c.text >> 10);
			table_addf(&sheet.table, "%.0f", c.parse);
			table_addf(&sheet.table, "%.0f", c.build);
			table_addf(&sheet.table, "%.0f", c.check);
			if (part == 1)
				table_addf(&sheet.table, "n^%.2f", growth(n / 2, before, n, all));
			else
				table_add(&sheet.table, NULL);
			table_addf(&sheet.table, "%.0f", c.steps / 1e3);
			table_addf(&sheet.table, "%.0f", mib(c.peak));
			table_add(&sheet.table, c.refused ? "refused" : NULL);
			if (all > 10000)
				die("%s took %.0f ms", bombs[i].name, all);
			before = all;
		}
	}
	sheet_end(&sheet, document);
}

int main(int argc, char **argv)
{
	json_t *document = json_object();
	char *people = bomb_inventory(POPULATION);
	struct inventory inv = {0};
	struct diags d = {0};
	struct doc *doc = doc_parse("people", people, strlen(people), DOC_YAML, &d);

	if (!doc || !inventory_read(&inv, doc, &d))
		die("the inventory is not sound");
	bench(document, &inv);
	inventory_free(&inv);
	doc_free(doc);
	free(people);
	sheets_save(document, argc, argv);
	return 0;
}
