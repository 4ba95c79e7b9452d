/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy changes while a packet is being decided: before its first lookup in a map,
 * before its second, and so on to its last, each once (swap.bpf.c). A packet that has
 * read the word is decided by the policy that it began under, its next one by the new.
 *
 * The two policies number everything differently, and whatever one's class or entry
 * means in the other's tables is wrong: a packet that mixed them would show.
 */
#include "slots.h"
#include "tests/bpf/swap.skel.h"

#define CLASS_A 1
#define CLASS_B 2

enum { RULE_A = 1, RULE_B, RULE_MIXED };

static struct bpf_map *outer_of(struct scratch *s, enum maps_table t)
{
	return s->m->tables[t].outer;
}

static uint64_t word_get(struct scratch *s)
{
	uint32_t zero = 0;
	uint64_t word = 0;

	must(bpf_map_lookup_elem(bpf_map__fd(s->m->skel->maps.policy), &zero, &word));
	return word;
}

static void word_set(struct scratch *s, uint64_t word)
{
	uint32_t zero = 0;

	must(bpf_map_update_elem(bpf_map__fd(s->m->skel->maps.policy), &zero, &word, BPF_ANY));
}

/* ---- two policies -------------------------------------------------------------------- */

enum says { ALLOWS, DENIES, BLOCKS };

struct side { /* one of the two */
	enum says says;
	uint32_t class, rule, route;
	uint64_t word;
	int tables[MAPS_TABLES]; /* held, so that they can be hung up again */
};

static uint8_t verdict_of(enum says says)
{
	return says == DENIES ? VERDICT_DENY : VERDICT_ACCEPT;
}

/*
 * Under @side's own class its rule is found; under the other's class what the other would
 * not say. For both families at once.
 */
static void apply(struct scratch *s, const struct side *side, const struct side *other)
{
	bool first = side->class == CLASS_A;
	struct client_class classes[2] = {[1] = {.class = side->class}};
	struct acl_rule own = rule_of(IPPROTO_TCP, 0, 65535, verdict_of(side->says), side->rule);
	struct acl_rule mixed = rule_of(IPPROTO_TCP, 0, 65535, !verdict_of(other->says), RULE_MIXED);
	struct acl_rule rules[2] = {first ? own : mixed, first ? mixed : own};
	struct maps_route routes[2];
	struct prefix list[2];
	struct maps_blocked *blocked;
	struct maps_acl acl[4];
	struct maps_policy p = {.classes = classes,
				.n_classes = 2,
				.acl = acl,
				.n_acl = 4,
				.rules = rules,
				.n_rules = 2,
				.routes = routes,
				.n_routes = 2};
	char *error = NULL;

	for (int v6 = 0; v6 < 2; v6++) {
		struct prefix remote = {family_of(v6).remote, 128};

		acl[2 * v6] = (struct maps_acl){CLASS_A, remote, 0, 1, ACL_ACCEPTS};
		acl[2 * v6 + 1] = (struct maps_acl){CLASS_B, remote, 1, 1, ACL_ACCEPTS};
		routes[v6] = (struct maps_route){remote, {0, side->route}};
		list[v6] = remote;
	}
	p.blocked = blocked = maps_blocked_make(s->m, list, side->says == BLOCKS ? 2 : 0, &error);
	if (!blocked || maps_policy_apply(s->m, &p, NULL, &error))
		fail_msg("%s", error);
	maps_blocked_free(blocked);
}

static bool is_block_table(int t)
{
	return t != MAPS_CLASSES && t != MAPS_ACL && t != MAPS_RULES && t != MAPS_ROUTES;
}

static uint32_t slot_in(uint64_t word, int table)
{
	return is_block_table(table) ? POLICY_BLOCK_SLOT(word) : POLICY_SLOT(word);
}

static void hold_tables(struct scratch *s, struct side *side)
{
	side->word = word_get(s);
	for (int t = 0; t < MAPS_TABLES; t++) {
		uint32_t slot = slot_in(side->word, t), id;

		must(bpf_map_lookup_elem(bpf_map__fd(outer_of(s, t)), &slot, &id));
		side->tables[t] = bpf_map_get_fd_by_id(id);
		assert_true(side->tables[t] >= 0);
	}
}

/* As it is right before the word is written: @a is live, @b is built and in its place. */
static void about_to_swap(struct scratch *s, struct side *a, struct side *b)
{
	apply(s, a, b);
	hold_tables(s, a);
	apply(s, b, a);
	b->word = word_get(s);
	assert_int_not_equal(POLICY_SLOT(a->word), POLICY_SLOT(b->word));
	assert_int_not_equal(POLICY_BLOCK_SLOT(a->word), POLICY_BLOCK_SLOT(b->word));
	for (int t = 0; t < MAPS_TABLES; t++) {
		uint32_t slot = slot_in(a->word, t);

		must(bpf_map_update_elem(bpf_map__fd(outer_of(s, t)), &slot, &a->tables[t], BPF_ANY));
		close(a->tables[t]);
	}
	word_set(s, a->word);
}

/* ---- the moment ------------------------------------------------------------------------- */

static struct swap_bpf *moments; /* the programs with their moments, on the scratch instance's maps */

static void moments_open(struct scratch *s)
{
	struct bpf_map *map, *of_scratch;

	moments = swap_bpf__open();
	assert_non_null(moments);
	moments->rodata->flow_slots = s->m->slots;
	bpf_object__for_each_map(map, moments->obj)
	{
		of_scratch = bpf_object__find_map_by_name(s->m->skel->obj, bpf_map__name(map));
		if (of_scratch && !strchr(bpf_map__name(map), '.'))
			must(bpf_map__reuse_fd(map, bpf_map__fd(of_scratch)));
	}
	must(swap_bpf__load(moments));
}

static int open_all(void **state)
{
	int err = scratch_open(state);

	if (!err)
		moments_open(*state);
	return err;
}

static int close_all(void **state)
{
	swap_bpf__destroy(moments);
	return scratch_close(state);
}

/* Pushes the packet; before its @at-th lookup @word is written. */
static struct ran push_through(struct scratch *s, uint32_t at, uint64_t word, const struct shape *shape)
{
	struct frame f;

	frame_build(&f, shape);
	from_client(&f, 1);
	moments->bss->swap_word = word;
	moments->bss->swap_seen = 0;
	moments->bss->swap_reads = 0;
	moments->bss->swap_at = at;
	return run_fd(s, bpf_program__fd(moments->progs.tap_in), false, &f, (struct push){});
}

/* ---- cases -------------------------------------------------------------------------------- */

struct swap_case {
	const char *name;
	enum says old, new;
};

static const struct swap_case cases[] = {
	{"allowed, then denied", ALLOWS, DENIES},  {"denied, then allowed", DENIES, ALLOWS},
	{"denied by both", DENIES, DENIES},	   {"allowed by both", ALLOWS, ALLOWS},
	{"allowed, then blocked", ALLOWS, BLOCKS}, {"blocked, then allowed", BLOCKS, ALLOWS},
};

static enum drop_reason reason_of(enum says says)
{
	return says == ALLOWS ? DROP_NONE : says == DENIES ? DROP_POLICY : DROP_BLOCKED;
}

static void assert_decided_by(struct scratch *s, const struct side *side, const struct ran *r,
			      const struct shape *shape)
{
	struct flow *f = slot_of(s, shape);

	assert_ran(*r, side->says == ALLOWS ? REDIRECT : SHOT, reason_of(side->says));
	assert_int_equal(!f, side->says != ALLOWS);
	if (!f)
		return;
	assert_int_equal(f->rule, side->rule);
	assert_int_equal(f->route, side->route);
	assert_int_equal(f->generation, POLICY_GENERATION(side->word));
}

#define MOMENTS 64 /* more lookups than a packet needs */

struct swap {
	struct side first; /* allowed the known flows */
	struct side a, b;
	bool known;
};

static struct shape flow_of(const struct family *f, uint32_t at)
{
	return shape_of(f, IPPROTO_TCP, (uint16_t)(40000 + at), 443);
}

/* The two policies in place, and a known flow for each moment. */
static void swap_prepare(struct scratch *s, struct swap *w)
{
	if (w->known) {
		apply(s, &w->first, &w->a);
		for (uint32_t i = 0; i < 2 * MOMENTS; i++) {
			struct family f = family_of(i % 2);
			struct shape shape = flow_of(&f, i / 2);

			assert_sent(out_of(s, &shape, 1));
		}
	}
	about_to_swap(s, &w->a, &w->b);
}

/*
 * A packet with the swap before its @at-th lookup, then the flow's next packet. False:
 * there are fewer lookups.
 */
static bool swap_before(struct scratch *s, const struct family *f, const struct swap *w, uint32_t at)
{
	struct shape shape = flow_of(f, at);
	uint32_t lookups;
	struct ran r;

	word_set(s, w->a.word);
	r = push_through(s, at, w->b.word, &shape);
	lookups = moments->bss->swap_seen;
	assert_int_equal(moments->bss->swap_reads, 1);
	assert_int_equal(word_get(s), at <= lookups ? w->b.word : w->a.word);
	assert_decided_by(s, at > moments->bss->swap_read ? &w->a : &w->b, &r, &shape);
	word_set(s, w->b.word);
	r = out_of(s, &shape, 1);
	assert_decided_by(s, &w->b, &r, &shape);
	return at <= lookups;
}

/* Every moment of every case. */
static void swap_everywhere(void **state, bool known)
{
	for (size_t i = 0; i < N(cases); i++) {
		struct swap w = {.first = {.says = ALLOWS, .class = CLASS_B, .rule = RULE_B, .route = 9},
				 .a = {.says = cases[i].old, .class = CLASS_A, .rule = RULE_A, .route = 7},
				 .b = {.says = cases[i].new, .class = CLASS_B, .rule = RULE_B, .route = 8},
				 .known = known};

		swap_prepare(*state, &w);
		for (int v6 = 0; v6 < 2; v6++) {
			struct family f = family_of(v6);
			uint32_t at = 1;

			while (swap_before(*state, &f, &w, at))
				at++;
			print_message("  %s, %s: before each of %u lookups\n", f.name, cases[i].name, at - 1);
			assert_in_range(at, 10, MOMENTS - 1);
		}
		empty_table(*state);
	}
}

static void test_new_flow(void **state)
{
	swap_everywhere(state, false);
}

static void test_known_flow(void **state)
{
	swap_everywhere(state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_new_flow), T(test_known_flow)};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
