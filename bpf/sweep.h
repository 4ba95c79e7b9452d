/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef SLUICE_SWEEP_H
#define SLUICE_SWEEP_H

/*
 * One timer walks the slots in turn, a bounded number a tick, and ends what has
 * expired, what a new policy no longer allows and what lost its egress address; dead
 * slots it frees. So state ages with the daemon gone. That a flow has expired is seen
 * at lookup, too: the sweep is for tidiness, not for truth.
 *
 * All slots that were ever used are visited every 2 to 3 s: 1M slots in 512 ticks of
 * 5 ms; a gateway with few flows wakes up once in that time. To look at a slot takes
 * nanoseconds, to end what is in it a microsecond, in which this core forwards nothing:
 * so a tick stops after SWEEP_DONE of those, and the next one follows sooner.
 */
#include "out.h"

#define CLOCK_MONOTONIC 1
#define SWEEP_SLOTS	2048 /* a tick looks at so many at most */
#define SWEEP_DONE	64   /* and ends, frees or decides so many again at most */
#define SWEEP_PERIOD	(2 * SECOND)
#define SWEEP_TICK_MIN	(SECOND / 200)
#define SWEEP_TICK_BUSY (SECOND / 8000) /* behind a tick that did all it may */

struct sweep_state {
	struct bpf_timer timer;
	__u32 next; /* slot */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sweep_state);
} sweep SEC(".maps");

struct sweep_walk {
	__u64 now, word;
	__u32 first;
	__u32 done;
};

static __always_inline bool has_egress(const struct flow *f)
{
	struct egress *e = element(&egresses, f->egress);

	return e && e->state != EGRESS_GONE;
}

static __always_inline bool is_outdated(const struct flow *f, __u64 word)
{
	return flow_is_live(flow_state(f)) && f->generation != POLICY_GENERATION(word);
}

/* One slot of the walk; 1 ends it: enough was done. */
static long sweep_slot(__u32 i, struct sweep_walk *w)
{
	__u32 slot = w->first + i;
	struct flow *f = flow_at(slot);
	struct decision d;
	__u32 state;

	if (!f)
		return loop_on();
	state = flow_state(f);
	if (state == FLOW_FREE)
		return loop_on();
	if (state == FLOW_DEAD) {
		if (f->expires > w->now) /* written just as it died */
			f->expires = w->now;
		if (w->now - f->expires <= SECOND || is_shared(f))
			return loop_on();
		flow_free(f, slot);
	} else if (state == FLOW_KILLED || f->expires <= w->now || !has_egress(f)) {
		flow_end(slot, w->now);
	} else if (is_outdated(f, w->word)) {
		decide_again(slot, w->word, w->now, &d);
	} else {
		return loop_on();
	}
	return ++w->done == SWEEP_DONE ? loop_end() : loop_on();
}

/* Visits the next slots. Returns how long to wait for the following tick. */
static __noinline __u64 sweep_some(struct sweep_state *s)
{
	struct flow_table *table = element(&flow_table, 0);
	struct sweep_walk w = {.now = bpf_ktime_get_ns(), .word = policy_word(), .first = s->next};
	__u32 high, n;
	__u64 wait;

	if (!table)
		return SWEEP_PERIOD;
	high = table->high < flow_slots ? table->high : flow_slots;
	n = high > s->next ? high - s->next : 0;
	if (n > SWEEP_SLOTS)
		n = SWEEP_SLOTS;
	n = bpf_loop(n, sweep_slot, &w, 0);
	s->next = s->next + n < high ? s->next + n : 0;
	if (w.done == SWEEP_DONE)
		return SWEEP_TICK_BUSY;
	wait = SWEEP_PERIOD / (high / SWEEP_SLOTS + 1);
	return wait > SWEEP_TICK_MIN ? wait : SWEEP_TICK_MIN;
}

static int sweep_tick(void *map, __u32 *key, struct sweep_state *s)
{
	bpf_timer_start(&s->timer, sweep_some(s), 0);
	return 0;
}

/*
 * Starts the timer, or has the one that an older program started call this one: the
 * old program is then free to go. 0, or what the kernel said.
 */
static __always_inline long sweep_begin(void)
{
	struct sweep_state *s = element(&sweep, 0);
	long err;

	if (!s)
		return -1;
	bpf_timer_init(&s->timer, &sweep, CLOCK_MONOTONIC); /* EBUSY: it is there */
	err = bpf_timer_set_callback(&s->timer, sweep_tick);
	return err ?: bpf_timer_start(&s->timer, SWEEP_TICK_MIN, 0);
}

#endif
