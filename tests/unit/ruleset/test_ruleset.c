/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A policy worked out for a place: what the block lists' files and their copies give,
 * what is remembered of the last policy. Files are
 * in a folder of the test's own.
 */
#include "tests/unit/emulated.h"
#include "ruleset_setup.h"

#define B2SUM "60998efedfb4000cb64da5fe9d4a89432de2824adf4e4fc5f56d336a2ebfa07f"

/* ---- block lists ------------------------------------------------------------------------- */

#define LISTED "acls: []\nblocklists: [{name: ../../x, file: drop.txt, max_age: 1h}]\n"

static void spoil(const struct setup *s, int how)
{
	char *path = mem_printf("%s/drop.txt", s->folder);

	if (how == 0)
		unlink(path);
	if (how == 1)
		age_file(s, "drop.txt", 3601);
	if (how == 2)
		write_file(s, "drop.txt", "203.0.113.7\n203.0.113.0/33\n");
	free(path);
}

static void test_block_list_copies(void **state)
{
	struct setup *s = *state;

	if (lacks_openat2())
		skip();
	write_file(s, "drop.txt", "# bad\n203.0.113.9\n");
	struct ruleset *first = build(s, LISTED, s->folder);

	assert_non_null(first);
	assert_int_equal(first->blocked.all.n, 1);
	assert_int_equal(blocklists_keep(&first->blocked, s->folder), 0);
	for (int how = 0; how < 3; how++) {
		struct ruleset *again;

		write_file(s, "drop.txt", "203.0.113.7\n"); /* another one: what follows must not be it */
		spoil(s, how);
		again = build(s, LISTED, s->folder);
		assert_non_null(again);
		assert_true(said(s, DIAG_WARNING, "last good copy"));
		assert_true(blocklists_same(&first->blocked, &again->blocked));
		assert_int_equal(blocklists_keep(&again->blocked, s->folder), 0); /* must not copy what was spoilt */
		ruleset_free(again);
	}
	write_file(s, "drop.txt", "203.0.113.7\n");
	age_file(s, "drop.txt", 3600);
	struct ruleset *fresh = build(s, LISTED, s->folder);

	assert_false(blocklists_same(&first->blocked, &fresh->blocked));
	assert_int_equal(s->d.n, 0);
	ruleset_free(fresh);
	ruleset_free(first);
}

static void shell(const struct setup *s, const char *commands)
{
	char *command = mem_printf("cd %s && %s", s->folder, commands);

	assert_int_equal(system(command), 0);
	free(command);
}

/* What a policy's author may name: a policy in the folder "policy", with "lists" by gateway.yaml. */
#define NO_FILE "it is no regular file"
#define OUT	"it leads out of the folders"

static const struct {
	const char *file;	    /* %s: the folder of the test */
	const char *before, *words; /* NULL: nothing; accepted */
	bool input;		    /* the policy came by standard input */
} list_names[] = {
	{"own.txt", NULL, NULL, false},
	{"own.txt", NULL, "No such file", true},
	{"named.txt", NULL, NULL, false},
	{"named.txt", NULL, NULL, true},
	{"sub/../own.txt", NULL, NULL, false},
	{"%s/policy/own.txt", NULL, NULL, false},
	{"%s/lists/named.txt", NULL, NULL, true},
	{"%s/lists//sub/deep.txt", NULL, NULL, true},
	{"%s/policy/own.txt", NULL, OUT, true},
	{"%s/private.key", NULL, OUT, false},
	{"../private.key", NULL, OUT, false},
	{"../lists/named.txt", NULL, OUT, false},
	{"%s/lists/../private.key", NULL, OUT, false},
	{"%s/listsof/x.txt", NULL, OUT, false},
	{"/proc/self/environ", NULL, OUT, false},
	{"/dev/stdin", NULL, OUT, false},
	{"link.txt", "ln -s ../private.key policy/link.txt", OUT, false},
	{"link.txt", "ln -sfn $PWD/policy/own.txt policy/link.txt", OUT, false}, /* an absolute one, too */
	{"away/private.key", "ln -s .. policy/away", OUT, false},
	{"link.txt", "ln -sfn sub/../own.txt policy/link.txt", NULL, false},
	{"pipe.txt", "mkfifo policy/pipe.txt", NO_FILE, false},
	{"sub", NULL, NO_FILE, false},
	{"link.txt", "ln -sfn pipe.txt policy/link.txt", NO_FILE, false},
	/* a folder that is exchanged as a whole, as git-sync does it */
	{"own.txt", "mv policy release-1 && ln -s release-1 policy", NULL, false},
	{"own.txt", "cp -r release-1 release-2 && ln -sfn release-2 policy && rm -r release-1", NULL, false},
};

static void test_fault_23_what_a_block_list_may_be(void **state)
{
	struct setup *s = *state;

	if (lacks_openat2())
		skip();
	shell(s, "mkdir -p policy/sub lists/sub listsof && echo 203.0.113.9 | tee policy/own.txt lists/named.txt "
		 "lists/sub/deep.txt private.key listsof/x.txt > /dev/null");
	for (size_t i = 0; i < N(list_names); i++) {
		char *file = mem_printf(list_names[i].file, s->folder), *folder = mem_printf("%s/policy", s->folder);
		char *lists = mem_printf("%s/lists/", s->folder);
		char *text = mem_printf("acls: []\nblocklists: [{name: x, file: %s}]\n", file);
		struct ruleset_place place = {.config = s->config};
		struct ruleset_source source = {"p.yaml",  text, strlen(text), list_names[i].input ? NULL : folder,
						s->folder, NOW,	 false,	       NULL};
		struct ruleset *r;

		if (list_names[i].before)
			shell(s, list_names[i].before);
		s->config->blocklist_folders = (struct config_names){(const char *[]){lists}, 1};
		diags_free(&s->d);
		r = ruleset_build(&place, &source, &s->d);
		if (!!r != !list_names[i].words || (!r && !said(s, DIAG_ERROR, list_names[i].words)) ||
		    (r && r->blocked.all.n != 1)) {
			diags_print(&s->d, stderr, true);
			fail_msg("%s%s", file, list_names[i].input ? " of standard input" : "");
		}
		s->config->blocklist_folders = (struct config_names){0};
		ruleset_free(r);
		free(text);
		free(lists);
		free(folder);
		free(file);
	}
}

static void test_block_list_without_a_copy(void **state)
{
	struct setup *s = *state;
	static const struct {
		int how;
		bool kept, accepted;
		const char *words;
	} cases[] = {
		{0, true, false, "no earlier copy"},
		{0, false, true, "cannot be read"},
		{1, true, true, "used as it is"},
		{1, false, true, "used as it is"},
		{2, true, false, "expected an address or a CIDR"},
		{2, false, false, "expected an address or a CIDR"},
	};

	if (lacks_openat2())
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ruleset *r;

		write_file(s, "drop.txt", "203.0.113.9\n");
		spoil(s, cases[i].how);
		r = build(s, LISTED, cases[i].kept ? s->folder : NULL);
		if (!!r != cases[i].accepted ||
		    !said(s, cases[i].accepted ? DIAG_WARNING : DIAG_ERROR, cases[i].words)) {
			diags_print(&s->d, stderr, true);
			fail_msg("case %zu", i);
		}
		ruleset_free(r);
	}
}

/* Nothing to read is sound, but hardly meant. */
static void test_empty_block_list(void **state)
{
	static const char *const empty[] = {"", "\n", "# nothing yet\n"};
	struct setup *s = *state;

	if (lacks_openat2())
		skip();
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		write_file(s, "drop.txt", empty[i]);
		struct ruleset *r = build(s, LISTED, NULL);

		assert_non_null(r);
		assert_int_equal(s->d.warnings, 1);
		assert_true(said(s, DIAG_WARNING, "drop.txt has no entry, so it blocks nothing"));
		ruleset_free(r);
	}
}

/* ---- what is remembered --------------------------------------------------------------------- */

static void save_and_load(struct setup *s, struct policy_store *store)
{
	char why[512];

	assert_int_equal(policy_store_save(s->folder, store), 0);
	policy_store_free(store);
	assert_int_equal(policy_store_load(s->folder, store, why, sizeof(why)), KEPT_OK);
	assert_string_equal(why, "");
}

/* Faults 3: what ran has a number; going back does not make what was left the one to go back to. */
static void test_fault_3_history(void **state)
{
	struct setup *s = *state;
	struct policy_store store;
	struct ruleset *a = build(s, policy, NULL), *b = build(s, "acls: [] # \"\\ ä\n", NULL);
	struct ruleset *c = build(s, "acls: []\n", NULL);
	char why[512];

	assert_int_equal(policy_store_load(s->folder, &store, why, sizeof(why)), KEPT_ABSENT);
	assert_string_equal(why, "");
	write_file(s, "policy.json", "{}");
	assert_int_equal(policy_store_load(s->folder, &store, why, sizeof(why)), KEPT_ABSENT);
	assert_non_null(strstr(why, "policy.json is of an earlier build and is not read"));
	assert_null(policy_store_running(&store));
	assert_null(policy_store_before(&store));
	assert_true(policy_store_add(&store, a, 0, false, 7));
	assert_false(policy_store_add(&store, a, 0, false, 8)); /* the same again: nothing to go back to */
	assert_null(policy_store_before(&store));
	assert_true(policy_store_add(&store, a, 0, true, 8)); /* but from elsewhere */
	assert_true(policy_store_add(&store, b, 0, true, 9));
	save_and_load(s, &store);
	assert_int_equal(policy_store_running(&store)->number, 2);
	assert_string_equal(policy_store_running(&store)->text, b->text);
	assert_true(policy_store_running(&store)->by_hand);
	assert_int_equal(policy_store_running(&store)->time, 9);
	assert_string_equal(policy_store_before(&store)->text, policy);
	assert_true(policy_store_add(&store, a, 1, false, 10)); /* back, */
	assert_null(policy_store_before(&store));
	assert_true(policy_store_add(&store, c, 0, false, 11)); /* and another way: what it replaced is 1, not 2 */
	save_and_load(s, &store);
	assert_int_equal(store.running, 3);
	assert_int_equal(policy_store_before(&store)->number, 1);
	assert_string_equal(policy_store_find(&store, 2)->hash, b->hash);
	assert_null(policy_store_find(&store, 4));
	policy_store_free(&store);
	ruleset_free(a);
	ruleset_free(b);
	ruleset_free(c);
}

static void test_history_is_bounded(void **state)
{
	struct policy_store store = {0};
	struct setup *s = *state;

	for (unsigned i = 1; i <= 2 * POLICY_STORE_MAX; i++) {
		char text[32];
		struct ruleset *r;

		snprintf(text, sizeof(text), "acls: [] # %u\n", i);
		r = build(s, text, NULL);
		assert_true(policy_store_add(&store, r, 0, true, i));
		if (i == 3)
			assert_true(policy_store_add(&store, r, 3, false, i));
		ruleset_free(r);
	}
	assert_int_equal(store.n, POLICY_STORE_MAX);
	assert_int_equal(store.running, 2 * POLICY_STORE_MAX);
	assert_int_equal(store.list[0].number, POLICY_STORE_MAX + 1);
	save_and_load(s, &store);
	assert_int_equal(store.n, POLICY_STORE_MAX);
	policy_store_free(&store);
}

/* Faults 51: what cannot be understood is not the same as nothing. */
static void test_fault_51_a_damaged_store(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"schema\": 1, \"running\": 0, \"policies\": []}",
		"{\"schema\": 2, \"running\": 0, \"policies\": []}",
		"{\"schema\": 2, \"running\": 1, \"policies\": [{\"number\": 1}]}",
		"{\"schema\": 2, \"running\": 1, \"policies\": [{\"number\": 1, \"before\": 0, \"file\": \"p\", "
		"\"text\": \"acls: []\", \"hash\": \"00\", \"by_hand\": true, \"time\": 1}]}",
	};
	struct setup *s = *state;
	struct policy_store read;
	char why[512], path[128];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(s, POLICY_STORE_FILE, texts[i]);
		assert_int_equal(policy_store_load(s->folder, &read, why, sizeof(why)), KEPT_DAMAGED);
		assert_non_null(strstr(why, POLICY_STORE_FILE ": damaged"));
		assert_null(policy_store_running(&read));
		snprintf(path, sizeof(path), "%s/" POLICY_STORE_FILE, s->folder);
		assert_int_equal(kept_write(path, 1, 1, texts[i], strlen(texts[i])), 0);
		assert_int_equal(policy_store_load(s->folder, &read, why, sizeof(why)), KEPT_DAMAGED);
		assert_non_null(strstr(why, POLICY_STORE_FILE ": not understood"));
		assert_null(policy_store_running(&read));
	}
}

static bool allows(const struct ruleset *r, const char *src, const char *dst, uint16_t port)
{
	struct filter_packet pkt = {.proto = 6, .port = port};

	assert_true(addr_parse(src, strlen(src), &pkt.src));
	assert_true(addr_parse(dst, strlen(dst), &pkt.dst));
	return filter_verdict(r->reach.f, &pkt).verdict == FILTER_ACCEPT;
}

/* Faults 2: what either policy refuses is refused, with its routes and block lists too. */
static void test_fault_2_what_both_policies_allow(void **state)
{
	static const char old[] = "blocklists: [{name: a, file: old.txt}]\n"
				  "autoApprovers: {routes: {203.0.113.0/24: ['tag:gw'], 198.18.0.0/15: ['tag:gw']}}\n"
				  "tagOwners: {'tag:gw': []}\n"
				  "acls:\n- {action: accept, src: ['alice@example.com', 'bob@example.com'], "
				  "dst: ['203.0.113.9:443', '203.0.113.10:*']}\n"
				  "deny:\n- {src: ['*'], dst: ['203.0.113.10:25']}\n";
	static const char new[] = "blocklists: [{name: a, file: new.txt}]\n"
				  "autoApprovers: {routes: {203.0.113.0/24: ['tag:gw'], "
				  "'2001:db8:3::/64': ['tag:gw']}}\n"
				  "tagOwners: {'tag:gw': []}\n"
				  "acls:\n- {action: accept, src: ['alice@example.com'], "
				  "dst: ['203.0.113.9:*', '203.0.113.10:*', '203.0.113.11:443']}\n"
				  "deny:\n- {src: ['*'], dst: ['203.0.113.10:110']}\n";
	struct setup *s = *state;
	struct ruleset_source bound = {.file = "old.yaml", .text = old, .len = strlen(old), .folder = s->folder};
	struct ruleset_source source = {
		.file = "new.yaml", .text = new, .len = strlen(new), .folder = s->folder, .now = NOW, .bound = &bound};
	struct ruleset *r;

	if (lacks_openat2())
		skip();
	write_file(s, "old.txt", "203.0.113.77\n");
	write_file(s, "new.txt", "203.0.113.78\n");
	r = ruleset_build(&(struct ruleset_place){.config = s->config}, &source, &s->d);
	if (!r)
		fail_msg("%s", s->d.n ? s->d.list[0].text : "");
	assert_true(allows(r, "100.64.0.5", "203.0.113.9", 443));
	assert_false(allows(r, "100.64.0.5", "203.0.113.9", 80));   /* old refuses */
	assert_false(allows(r, "100.64.0.5", "203.0.113.11", 443)); /* old refuses */
	assert_false(allows(r, "100.64.0.6", "203.0.113.9", 443));  /* new refuses bob */
	assert_true(allows(r, "100.64.0.5", "203.0.113.10", 80));
	assert_false(allows(r, "100.64.0.5", "203.0.113.10", 25));  /* old denies */
	assert_false(allows(r, "100.64.0.5", "203.0.113.10", 110)); /* new denies */
	assert_non_null(r->approved_by[0]);			    /* by both */
	assert_null(r->approved_by[1]);				    /* by the old one alone */
	assert_null(r->approved_by[2]);				    /* by the new one alone */
	assert_int_equal(r->blocked.all.n, 2);
	ruleset_free(r);
}

static void test_hash_is_b2sum(void **state)
{
	char hash[RULESET_HASH_LEN + 1];

	ruleset_hash("acls: []\n", 9, hash); /* printf 'acls: []\n' | b2sum -l 256 */
	assert_string_equal(hash, B2SUM);
}

/* ---- what changes ---------------------------------------------------------------------------------- */

static void test_diff_counts_live_flows(void **state)
{
	struct setup *s = *state;
	struct ruleset *old = build(s, policy, NULL), *new = build(s, "acls: []\n", NULL);
	uint32_t *client_of = malloc(MAX_CLIENTS * sizeof(*client_of));
	struct flow flows[6] = {0};
	struct policy_live live = {flows, 6, client_of};
	json_int_t ends = 0;
	json_t *diff, *change;
	size_t i;

	memset(client_of, 0xff, MAX_CLIENTS * sizeof(*client_of));
	client_of[40] = 0; /* laptop */
	client_of[41] = 1;
	for (i = 1; i < 6; i++) {
		flows[i] = (struct flow){
			.client = 40, .life = LIFE(1, FLOW_ESTABLISHED), .out = {.proto = 6, .dport = htons(443)}};
		assert_true(addr_parse("203.0.113.9", 11, &flows[i].out.dst));
	}
	flows[2].client = 41;
	flows[3].life = LIFE(3, FLOW_DEAD);
	flows[4].out.dport = htons(80);
	diff = policy_diff_json(old, new, s->config, &live);
	json_array_foreach (json_object_get(diff, "changes"), i, change) {
		assert_string_equal(json_string_value(json_object_get(change, "change")), "loss");
		ends += json_integer_value(json_object_get(change, "flows"));
	}
	assert_int_equal(ends, 2);
	assert_int_equal(json_array_size(json_object_get(diff, "other")), 4); /* two clients' pool, a route, quotas */
	assert_false(policy_diff_is_empty(diff));
	json_decref(diff);
	diff = policy_diff_json(old, old, s->config, &live);
	assert_true(policy_diff_is_empty(diff));
	json_decref(diff);
	free(client_of);
	ruleset_free(old);
	ruleset_free(new);
}

static void test_an_unknown_pool_is_said(void **state)
{
	struct setup *s = *state;
	struct ruleset *r = build(s, "acls: []\negress: {alice@example.com: banc}\n", NULL);

	assert_non_null(r);
	assert_true(said(s, DIAG_WARNING, "banc"));
	assert_int_equal(ruleset_pool(r, s->config, 0), 0);
	ruleset_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		setup_test(test_block_list_copies),	    setup_test(test_fault_23_what_a_block_list_may_be),
		setup_test(test_block_list_without_a_copy), setup_test(test_empty_block_list),
		setup_test(test_fault_3_history),	    setup_test(test_history_is_bounded),
		setup_test(test_fault_51_a_damaged_store),  setup_test(test_fault_2_what_both_policies_allow),
		cmocka_unit_test(test_hash_is_b2sum),	    setup_test(test_diff_counts_live_flows),
		setup_test(test_an_unknown_pool_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
