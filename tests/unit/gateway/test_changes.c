/* SPDX-License-Identifier: BSD-2-Clause */
/* The queue of changes: their order, which thread does what, and that nobody who waits is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "policy/alloc.h"
#include "user/base/exit.h"
#include "user/gateway/changes.h"
#include "user/gateway/running.h"

#define CHANGES_AT_ONCE 16

static struct {
	struct loop loop;
	struct running running;
	struct changes queue;
	pthread_t control;
	char said[1024];  /* what happened, a word each */
	unsigned answers; /* to commands */
	unsigned freed;
} t;

static void say(const char *word, const char *name)
{
	size_t len = strlen(t.said);

	snprintf(t.said + len, sizeof(t.said) - len, "%s%s(%s)", len ? " " : "", word, name);
}

struct named { /* a change that tells what is done with it */
	struct change change;
	const char *name;
	int status;
	bool same_thread; /* as the control thread's, when it worked */
	const struct running *seen;
	struct change *follows; /* added first when it finishes; NULL: none */
};

static void named_begin(struct change *c, const struct running *now)
{
	say("begin", ((struct named *)c)->name);
}

static void named_work(struct change *c, const struct running *now)
{
	struct named *n = (struct named *)c;

	n->same_thread = pthread_equal(pthread_self(), t.control);
	n->seen = now;
}

static int named_finish(struct change *c, struct running *now, json_t **result, char **error)
{
	struct named *n = (struct named *)c;

	say("finish", n->name);
	assert_true(pthread_equal(pthread_self(), t.control));
	assert_false(n->same_thread);
	assert_ptr_equal(n->seen, &t.running);
	assert_ptr_equal(now, &t.running);
	if (n->follows)
		changes_add_first(&t.queue, n->follows);
	if (n->status)
		return exit_fail(error, n->status, "%s failed", n->name);
	*result = json_string(n->name);
	return EXIT_YES;
}

static void named_free(struct change *c)
{
	t.freed++;
	free(c);
}

static const struct change_kind named_kind = {"named", named_begin, named_work, named_finish, named_free};

static struct named *named(const char *name, uint64_t ticket)
{
	struct named *n = mem_alloc(1, sizeof(*n));

	n->change.kind = &named_kind;
	n->change.ticket = ticket;
	n->name = name;
	return n;
}

static void take_answer(void *ctx, uint64_t ticket, int status, json_t *result, char *error)
{
	char word[64];

	assert_ptr_equal(ctx, &t);
	if (ticket) {
		snprintf(word, sizeof(word), "%d:%d", (int)ticket, status);
		say("answer", word);
		t.answers++;
		assert_true((status == EXIT_YES) == (result != NULL));
		assert_true((status == EXIT_YES) == (error == NULL));
	}
	json_decref(result);
	free(error);
}

static int changes_setup(void **state)
{
	memset(&t, 0, sizeof(t));
	t.control = pthread_self();
	assert_int_equal(loop_init(&t.loop), 0);
	assert_int_equal(changes_open(&t.queue, &t.loop, &t.running, (struct changes_answer){take_answer, &t}), 0);
	return 0;
}

static int changes_teardown(void **state)
{
	changes_close(&t.queue);
	loop_free(&t.loop);
	return 0;
}

static void until_idle(void)
{
	for (int i = 0; i < 1000 && t.queue.n; i++)
		loop_run_once(&t.loop, UINT64_MAX);
	assert_int_equal(t.queue.n, 0);
}

static void one_after_the_other_in_turn(void **state)
{
	assert_true(changes_add(&t.queue, &named("a", 0)->change));
	assert_true(changes_add(&t.queue, &named("b", 0)->change));
	assert_true(changes_add(&t.queue, &named("c", 0)->change));
	assert_string_equal(t.said, ""); /* the caller goes on before anything happens */
	until_idle();
	assert_string_equal(t.said, "begin(a) finish(a) begin(b) finish(b) begin(c) finish(c)");
	assert_int_equal(t.freed, 3);
}

/* What revokes something waits for the change under way, not for those behind it. */
static void what_is_added_first_comes_before_those_that_wait(void **state)
{
	struct named *a = named("a", 0);

	a->follows = &named("x", 0)->change;
	assert_true(changes_add(&t.queue, &a->change));
	assert_true(changes_add(&t.queue, &named("b", 0)->change));
	until_idle();
	assert_string_equal(t.said, "begin(a) finish(a) begin(x) finish(x) begin(b) finish(b)");
}

static void under_way_it_is_not_overtaken(void **state)
{
	assert_true(changes_add(&t.queue, &named("a", 0)->change));
	assert_true(changes_add(&t.queue, &named("b", 0)->change));
	loop_run_once(&t.loop, UINT64_MAX); /* a is begun */
	assert_true(t.queue.working);
	changes_add_first(&t.queue, &named("x", 0)->change);
	until_idle();
	assert_string_equal(t.said, "begin(a) finish(a) begin(x) finish(x) begin(b) finish(b)");
}

static void each_command_has_its_answer(void **state)
{
	struct named *b = named("b", 8);

	b->status = EXIT_USAGE;
	assert_true(changes_add(&t.queue, &named("a", 7)->change));
	assert_true(changes_add(&t.queue, &b->change));
	until_idle();
	assert_string_equal(t.said, "begin(a) finish(a) answer(7:0) begin(b) finish(b) answer(8:2)");
}

static void too_many_are_refused_but_not_what_goes_first(void **state)
{
	for (int i = 0; i < CHANGES_AT_ONCE; i++)
		assert_true(changes_add(&t.queue, &named("a", 0)->change));
	assert_false(changes_add(&t.queue, &named("over", 0)->change));
	assert_int_equal(t.freed, 1); /* it was taken over */
	changes_add_first(&t.queue, &named("x", 0)->change);
	assert_int_equal(t.queue.n, CHANGES_AT_ONCE + 1);
	until_idle();
	assert_int_equal(t.freed, CHANGES_AT_ONCE + 2);
}

/* Whoever waits when the gateway stops hears that nothing was changed; finish() does not come. */
static void who_waits_at_the_end_is_answered(void **state)
{
	assert_true(changes_add(&t.queue, &named("a", 1)->change));
	assert_true(changes_add(&t.queue, &named("b", 2)->change));
	loop_run_once(&t.loop, UINT64_MAX);
	changes_close(&t.queue);
	assert_string_equal(t.said, "begin(a) answer(1:1) answer(2:1)");
	assert_int_equal(t.freed, 2);
	changes_close(&t.queue); /* once more does nothing */
}

/* The eventfd's wake-up was lost: the next second finds what is to be done. */
static void a_lost_wake_up_costs_a_second_at_most(void **state)
{
	uint64_t count;

	assert_true(changes_add(&t.queue, &named("a", 0)->change));
	assert_true(read(t.queue.event.fd, &count, sizeof(count)) > 0);
	for (int i = 0; i < 5000 && t.queue.n; i++) {
		changes_go_on(&t.queue);
		usleep(1000);
	}
	assert_string_equal(t.said, "begin(a) finish(a)");
}

#define changes_test(f) cmocka_unit_test_setup_teardown(f, changes_setup, changes_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		changes_test(one_after_the_other_in_turn),
		changes_test(what_is_added_first_comes_before_those_that_wait),
		changes_test(under_way_it_is_not_overtaken),
		changes_test(each_command_has_its_answer),
		changes_test(too_many_are_refused_but_not_what_goes_first),
		changes_test(who_waits_at_the_end_is_answered),
		changes_test(a_lost_wake_up_costs_a_second_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
