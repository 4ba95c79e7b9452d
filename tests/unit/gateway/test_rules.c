/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy of a running gateway, from file to maps and over restarts: files, history and compiler are real; the maps
 * are a counter here, which refuses when it is told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/emulated.h"
#include "user/answers/report.h"
#include "user/base/clock.h"
#include "user/base/file.h"
#include "user/gateway/changes.h"
#include "user/gateway/rules.h"
#include "user/ruleset/policy_store.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))
#define LATER	(1000 * NS_PER_SEC)

/* ---- the maps ----------------------------------------------------------------------------------- */

struct maps_swap {
	bool done;
};

struct maps_blocked {
	size_t n;
};

static struct {
	uint32_t generation;
	size_t rules;	/* of the policy in force */
	size_t next;	/* of the one that is laid out */
	size_t blocked; /* prefixes */
	int lay, swap;	/* errors of the next steps */
	int open;	/* swaps that were not ended */
} kernel;

int maps_policy_prepare(struct maps *m, const struct maps_policy *p, struct maps_swap **out, char **error)
{
	if (kernel.lay)
		return kernel.lay;
	kernel.next = p->n_rules;
	kernel.open++;
	*out = calloc(1, sizeof(**out));
	return 0;
}

int maps_swap_do(struct maps *m, struct maps_swap *s, uint32_t *generation, char **error)
{
	if (kernel.swap)
		return kernel.swap;
	kernel.rules = kernel.next;
	*generation = ++kernel.generation;
	return 0;
}

void maps_swap_end(struct maps *m, struct maps_swap *s)
{
	kernel.open -= s != NULL;
	free(s);
}

int maps_policy_apply(struct maps *m, const struct maps_policy *p, uint32_t *generation, char **error)
{
	return -ENOSYS;
}

struct maps_blocked *maps_blocked_make(struct maps *m, const struct prefix *list, size_t n, char **error)
{
	struct maps_blocked *b = calloc(1, sizeof(*b));

	b->n = n;
	return b;
}

void maps_blocked_free(struct maps_blocked *b)
{
	free(b);
}

int maps_blocked_put(struct maps *m, struct maps_blocked *b, uint32_t *generation, char **error)
{
	kernel.blocked = b->n;
	*generation = ++kernel.generation;
	return 0;
}

/* ---- a gateway ---------------------------------------------------------------------------------- */

#define ALLOW(port) "acls: [{action: accept, src: ['*'], dst: ['203.0.113.9:" port "']}]\n"
#define HEAD	    "tagOwners: {'tag:gw': []}\nautoApprovers: {routes: {203.0.113.0/24: ['tag:gw']}}\n"

static const char web[] = HEAD ALLOW("443");
static const char ssh[] = HEAD ALLOW("22");
static const char nonsense[] = "acls: [{action: perhaps}]\n";
static const char failing[] = HEAD ALLOW("443") "tests: [{src: alice@example.com, accept: ['203.0.113.9:22']}]\n";

struct setup {
	char folder[64];
	struct config *config;
	struct site site;
	struct clients clients;
	struct rules rules;
	struct diags d;
};

static char *path_in(const struct setup *s, const char *name)
{
	return mem_printf("%s/%s", s->folder, name);
}

static void put_file(const struct setup *s, const char *name, const char *text)
{
	char *path = path_in(s, name);

	assert_int_equal(file_write(path, text, strlen(text)), 0);
	free(path);
}

/* As it was written so many seconds ago: one that may still be written is not looked at. */
static void put_list(const struct setup *s, const char *text, time_t ago)
{
	time_t at = (time_t)(clock_wall() / NS_PER_SEC) - ago;
	struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};
	char *path = path_in(s, "bad.txt");

	put_file(s, "bad.txt", text);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	free(path);
}

static int rules_setup(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));
	char *text, *folder;

	memset(&kernel, 0, sizeof(kernel));
	strcpy(s->folder, "/tmp/sluice-unit-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	folder = path_in(s, "state");
	assert_int_equal(file_folder(folder), 0);
	free(folder);
	text = mem_printf("version: 1\nname: gw\nstate: %s/state\npolicy: %s/policy.yaml\ntags: ['tag:gw']\n"
			  "tunnel: {addresses: [100.64.0.1/10]}\nroutes: [203.0.113.0/24]\nclients:\n"
			  "- {name: laptop, user: alice@example.com, addresses: [100.64.0.5],\n"
			  "   public_key: zwRL3/KjvQoKf5skYdjEPd+vb0rbEcNFOVteKbGkjCs=}\n",
			  s->folder, s->folder);
	s->config = config_parse(doc_parse("gateway.yaml", text, strlen(text), DOC_YAML, &s->d), "gw", &s->d);
	free(text);
	diags_print(&s->d, stderr, false);
	assert_int_equal(s->d.errors, 0);
	s->site.config = s->config;
	assert_true(clients_open(&s->clients, NULL, NULL));
	put_file(s, "policy.yaml", web);
	*state = s;
	return 0;
}

static int rules_teardown(void **state)
{
	struct setup *s = *state;
	char *command = mem_printf("rm -r %s", s->folder);

	rules_close(&s->rules);
	clients_close(&s->clients);
	config_free(s->config);
	diags_free(&s->d);
	assert_int_equal(system(command), 0);
	assert_int_equal(kernel.open, 0);
	free(command);
	free(s);
	return 0;
}

/* The gateway stops, and starts anew. False: it does not. */
static bool restart(struct setup *s)
{
	rules_close(&s->rules);
	diags_free(&s->d);
	s->rules.running = rules_prepare(s->config, &s->d);
	return s->rules.running && rules_start(&s->rules, &s->site, &s->clients, &s->d);
}

/* As `policy apply` does. False with what stood in the way. */
static bool apply(struct setup *s, const char *text)
{
	struct ruleset *r;
	size_t passed;

	diags_free(&s->d);
	r = rules_build(&s->site, "by-hand.yaml", text, strlen(text), &passed, &s->d);
	if (r && rules_lay(&s->rules, &s->site, &s->clients, s->config, r, &s->d) &&
	    rules_swap(&s->rules, &s->site, r, &s->d))
		return true;
	ruleset_free(r);
	return false;
}

static void take_note(void *ctx, const char *line)
{
	char *notes = ctx;

	snprintf(notes + strlen(notes), 1024 - strlen(notes), "%s|", line);
}

/* @words "": anything. */
static bool noted(const struct setup *s, const char *words)
{
	char notes[1024] = "";

	rules_each_note(&s->rules, take_note, notes);
	return *words ? strstr(notes, words) != NULL : *notes != 0;
}

static void assert_runs(const struct setup *s, const char *text, const char *source)
{
	assert_non_null(rules_running(&s->rules));
	assert_string_equal(rules_running(&s->rules)->text, text);
	assert_string_equal(s->rules.report->source, source);
	assert_string_equal(s->rules.report->hash, rules_running(&s->rules)->hash);
	assert_int_equal(s->rules.report->generation, kernel.generation);
}

/* ---- the start ------------------------------------------------------------------------------------- */

static void a_first_start(void **state)
{
	struct setup *s = *state;

	assert_true(restart(s));
	assert_runs(s, web, "file");
	assert_int_equal(rules_number(&s->rules), 1);
	rules_compare(&s->rules, &s->site);
	assert_false(s->rules.report->differs);
	assert_true(s->rules.report->kept);
	put_file(s, "policy.yaml", ssh);
	rules_compare(&s->rules, &s->site);
	assert_true(s->rules.report->differs);
}

static void a_first_start_with_mistakes(void **state)
{
	static const char *const texts[] = {nonsense, failing, "acls: ["};
	struct setup *s = *state;

	for (size_t i = 0; i < N(texts); i++) {
		put_file(s, "policy.yaml", texts[i]);
		assert_false(restart(s));
		assert_null(s->rules.running);
		assert_true(s->d.errors > 0);
		assert_int_equal(kernel.generation, 0);
	}
}

/* One that ran here before starts nevertheless, and lets pass no more than both allow. */
static void a_later_start_with_mistakes(void **state)
{
	struct setup *s = *state;

	assert_true(restart(s));
	put_file(s, "policy.yaml", nonsense);
	assert_true(restart(s));
	assert_int_equal(kernel.rules, 0); /* nothing: nobody knows whom it takes out */
	assert_true(noted(s, "policy.yaml"));
	put_file(s, "policy.yaml", web);
	assert_true(restart(s));
	assert_true(kernel.rules > 0);
	assert_false(noted(s, ""));
}

/* ---- another policy ----------------------------------------------------------------------------------- */

static const struct failure {
	const char *name, *text;
	int lay, swap;
} failures[] = {
	{"mistakes", nonsense, 0, 0},
	{"its tests fail", failing, 0, 0},
	{"no memory for the tables", ssh, -ENOMEM, 0},
	{"too many rules for the map", ssh, -E2BIG, 0},
	{"another was put in since", ssh, 0, -ESTALE},
	{"the word cannot be written", ssh, 0, -EPERM},
};

static void what_cannot_be_applied_changes_nothing(void **state)
{
	struct setup *s = *state;

	assert_true(restart(s));
	for (size_t i = 0; i < N(failures); i++) {
		print_message("%s\n", failures[i].name);
		kernel.lay = failures[i].lay;
		kernel.swap = failures[i].swap;
		assert_false(apply(s, failures[i].text));
		assert_true(s->d.errors > 0);
		assert_runs(s, web, "file");
		assert_int_equal(kernel.generation, 1);
		assert_int_equal(kernel.open, 0);
	}
	kernel.lay = kernel.swap = 0;
	assert_true(apply(s, ssh));
	assert_int_equal(kernel.generation, 2);
}

static void what_was_applied_by_hand_goes_on(void **state)
{
	struct setup *s = *state;
	struct ruleset *r;
	bool earlier, stays;

	assert_true(restart(s));
	assert_true(apply(s, ssh));
	assert_int_equal(rules_took_by_hand(&s->rules, &s->site, 0, true, &earlier), 0);
	assert_runs(s, ssh, "apply");
	assert_int_equal(rules_number(&s->rules), 2);
	diags_free(&s->d);
	r = rules_build_configured(&s->rules, s->config, &stays, &s->d); /* a reload */
	assert_true(stays);
	assert_string_equal(r->text, ssh);
	assert_int_equal(s->d.n, 1); /* that the file is not taken */
	ruleset_free(r);
	assert_true(restart(s));
	assert_runs(s, ssh, "apply");
	assert_int_equal(rules_number(&s->rules), 2);
}

/* Whoever applies what the file holds returns to the file. */
static void applying_the_file_returns_to_it(void **state)
{
	struct setup *s = *state;
	struct ruleset *r;
	bool earlier, stays;

	assert_true(restart(s));
	assert_true(apply(s, ssh));
	assert_int_equal(rules_took_by_hand(&s->rules, &s->site, 0, true, &earlier), 0);
	assert_true(apply(s, web));
	assert_int_equal(rules_took_by_hand(&s->rules, &s->site, 0, true, &earlier), 0);
	assert_runs(s, web, "file");
	put_file(s, "policy.yaml", ssh);
	r = rules_build_configured(&s->rules, s->config, &stays, &s->d);
	assert_false(stays);
	assert_string_equal(r->text, ssh);
	ruleset_free(r);
}

static void until_the_next_start_only(void **state)
{
	struct setup *s = *state;
	bool earlier;

	assert_true(restart(s));
	assert_true(apply(s, ssh));
	assert_int_equal(rules_took_by_hand(&s->rules, &s->site, 0, false, &earlier), 0);
	assert_runs(s, ssh, "apply");
	assert_true(noted(s, "--not-kept"));
	assert_true(restart(s));
	assert_runs(s, web, "file");
}

static void one_of_the_history_has_its_number_again(void **state)
{
	struct setup *s = *state;
	const struct policy_saved *first;
	bool earlier;

	assert_true(restart(s));
	assert_true(apply(s, ssh));
	assert_int_equal(rules_took_by_hand(&s->rules, &s->site, 0, true, &earlier), 0);
	first = policy_store_before(rules_history(&s->rules));
	assert_string_equal(first->text, web);
	assert_true(apply(s, first->text));
	assert_int_equal(rules_took_by_hand(&s->rules, &s->site, first->number, true, &earlier), 0);
	assert_int_equal(rules_number(&s->rules), 1);
	assert_int_equal(rules_history(&s->rules)->n, 2);
}

/* ---- the disk ----------------------------------------------------------------------------------------- */

/* It runs, says that it cannot be kept, and is kept as soon as there is room. */
static void a_disk_that_cannot_be_written(void **state)
{
	struct setup *s = *state;
	char *folder = path_in(s, "state"), *away = path_in(s, "away");
	bool earlier;

	assert_true(restart(s));
	assert_true(apply(s, ssh));
	assert_int_equal(rename(folder, away), 0);
	assert_true(rules_took_by_hand(&s->rules, &s->site, 0, true, &earlier) < 0);
	assert_runs(s, ssh, "apply");
	assert_true(noted(s, "cannot be kept"));
	rules_compare(&s->rules, &s->site);
	assert_false(s->rules.report->kept);
	assert_false(rules_second(&s->rules, &s->site, clock_now() + LATER, true));
	assert_true(noted(s, "cannot be kept"));
	assert_int_equal(rename(away, folder), 0);
	rules_second(&s->rules, &s->site, clock_now(), true); /* not at once, not every second */
	assert_true(noted(s, "cannot be kept"));
	rules_second(&s->rules, &s->site, clock_now() + LATER, true);
	assert_false(noted(s, "cannot be kept"));
	assert_true(restart(s));
	assert_runs(s, ssh, "apply");
	free(folder);
	free(away);
}

/* ---- once more, for other clients ------------------------------------------------------------------------ */

static void the_running_policy_for_other_clients(void **state)
{
	struct setup *s = *state;
	struct config nobody = *s->config;
	struct changes changes = {0};
	struct ruleset *r;

	assert_true(restart(s));
	assert_true(kernel.rules > 0);
	nobody.n_clients = 0;
	put_file(s, "policy.yaml", nonsense); /* which is not asked */
	r = rules_build_again(&s->rules, &nobody, &s->d);
	assert_non_null(r);
	assert_true(rules_lay(&s->rules, &s->site, &s->clients, &nobody, r, &s->d));
	kernel.swap = -ESTALE;
	assert_false(rules_replace(&s->rules, &s->site, &changes, r, &s->d));
	assert_runs(s, web, "file");
	ruleset_free(r);
	kernel.swap = 0;
	assert_false(rules_shut(&s->rules));
}

/* ---- block lists ----------------------------------------------------------------------------------------- */

static void block_lists_that_change(void **state)
{
	struct setup *s = *state;
	struct blocklists lists = {0};
	char *text = mem_printf("%sblocklists: [{name: bad, file: bad.txt}]\n", web);

	if (lacks_openat2()) {
		free(text);
		skip();
	}
	put_list(s, "203.0.113.128/25\n", 300);
	put_file(s, "policy.yaml", text);
	assert_true(restart(s));
	assert_false(rules_lists_changed(&s->rules, &s->site));
	put_list(s, "203.0.113.128/25\n203.0.113.7\n", 0);
	assert_false(rules_lists_changed(&s->rules, &s->site));
	put_list(s, "203.0.113.128/25\n203.0.113.7\n", 200);
	assert_true(rules_lists_changed(&s->rules, &s->site));
	assert_true(rules_lists_read(&s->rules, &s->site, &lists, &s->d));
	assert_int_equal(lists.all.n, 2);
	assert_int_equal(rules_running(&s->rules)->blocked.all.n, 1); /* until they are swapped in */
	rules_lists_swap(&s->rules, &lists, 7);
	assert_int_equal(rules_running(&s->rules)->blocked.all.n, 2);
	assert_int_equal(s->rules.report->generation, 7);
	assert_false(rules_lists_changed(&s->rules, &s->site));
	put_list(s, "what is this?\n", 100);
	assert_true(rules_lists_changed(&s->rules, &s->site));
	rules_lists_seen(&s->rules, &s->site); /* they cannot be taken: no more is said of them */
	assert_false(rules_lists_changed(&s->rules, &s->site));
	blocklists_free(&lists);
	free(text);
}

#define rules_test(f) cmocka_unit_test_setup_teardown(f, rules_setup, rules_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rules_test(a_first_start),
		rules_test(a_first_start_with_mistakes),
		rules_test(a_later_start_with_mistakes),
		rules_test(what_cannot_be_applied_changes_nothing),
		rules_test(what_was_applied_by_hand_goes_on),
		rules_test(applying_the_file_returns_to_it),
		rules_test(until_the_next_start_only),
		rules_test(one_of_the_history_has_its_number_again),
		rules_test(a_disk_that_cannot_be_written),
		rules_test(the_running_policy_for_other_clients),
		rules_test(block_lists_that_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
