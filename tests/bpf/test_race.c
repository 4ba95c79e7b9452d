/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows made on two processors at once: the same flow on both, flows of one endpoint,
 * of one remote, of nothing in common, and more than there is room for. Whoever loses a
 * race goes on with what the winner made; afterwards no entry is without its twin, no slot
 * and no port is lost.
 *
 * Each round both threads wait for each other and then push one packet each. How often
 * they really meet is the machine's; a round has nothing else to do, so it is often.
 */
#include <pthread.h>
#include <sched.h>

#include "sound.h"

#define THREADS 2

struct race {
	const char *name;
	uint8_t proto;
	/* The packet of thread @who in @round. */
	struct shape (*packet)(const struct family *f, const struct race *race, uint32_t round, uint32_t who);
	uint32_t rounds;
	uint16_t ports; /* of the egress address */
	bool same;	/* both packets are of one flow: they leave alike */
	bool lacks;	/* there is not enough for all of them */
};

struct runner {
	pthread_t thread;
	struct scratch *s;
	const struct race *race;
	struct family family;
	uint32_t who;
	uint32_t *at;	/* how many threads have come to each round; shared */
	uint16_t *left; /* by round: the source port that the packet left with, 0: dropped */
};

/* ---- running -------------------------------------------------------------------------- */

static void wait_for_all(uint32_t *at)
{
	__atomic_add_fetch(at, 1, __ATOMIC_SEQ_CST);
	for (uint32_t spins = 0; __atomic_load_n(at, __ATOMIC_SEQ_CST) < THREADS; spins++)
		if (spins % 1024 == 1023)
			sched_yield();
}

static uint16_t push(struct runner *r, const struct frame *in)
{
	struct frame out = *in;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = (uint32_t)in->len, .data_out = out.b,
		    .data_size_out = sizeof(out.b));

	if (bpf_prog_test_run_opts(maps_program(r->s->m, PROGRAM_TAP_IN), &opts) || opts.retval != REDIRECT)
		return 0;
	return frame_sport(&out);
}

static void *run_race(void *arg)
{
	struct runner *r = arg;
	struct frame frame;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(r->who, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (uint32_t i = 0; i < r->race->rounds; i++) {
		struct shape shape = r->race->packet(&r->family, r->race, i, r->who);

		frame_build(&frame, &shape);
		from_client(&frame, 1);
		wait_for_all(&r->at[i]);
		r->left[i] = push(r, &frame);
	}
	return NULL;
}

static void run_both(struct scratch *s, const struct family *f, const struct race *race, struct runner r[THREADS])
{
	uint32_t *at = calloc(race->rounds, sizeof(*at));

	for (uint32_t i = 0; i < THREADS; i++) {
		r[i] = (struct runner){.s = s,
				       .race = race,
				       .family = *f,
				       .who = i,
				       .at = at,
				       .left = calloc(race->rounds, sizeof(uint16_t))};
		assert_int_equal(pthread_create(&r[i].thread, NULL, run_race, &r[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(r[i].thread, NULL);
	free(at);
}

/* ---- what must hold ---------------------------------------------------------------------- */

static void assert_outcome(const struct race *race, const struct runner r[THREADS])
{
	for (uint32_t i = 0; i < race->rounds; i++) {
		for (uint32_t k = 0; k < THREADS && !race->lacks; k++)
			if (!r[k].left[i])
				fail_msg("round %u: the packet of thread %u was dropped", i, k);
		if (race->same && r[0].left[i] && r[1].left[i])
			assert_int_equal(r[0].left[i], r[1].left[i]);
	}
}

static void race(struct scratch *s, const struct race *race)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct family f = family_of(v6);
		struct runner r[THREADS];

		scratch_egress(s, v6 ? 2 : 1, f.external, 2, PORT_FIRST, race->ports);
		run_both(s, &f, race, r);
		print_message("  %s, %s\n", f.name, race->name);
		assert_sound(s);
		assert_outcome(race, r);
		for (uint32_t i = 0; i < THREADS; i++)
			free(r[i].left);
		expire_all(s);
		sweep(s);
		assert_empty(s);
		scratch_egress(s, v6 ? 2 : 1, f.external, 2, PORT_FIRST, PORT_COUNT);
	}
}

/* ---- packets -------------------------------------------------------------------------------- */

/* One flow a round, from both. */
static struct shape same_flow(const struct family *f, const struct race *race, uint32_t round, uint32_t who)
{
	return shape_of(f, race->proto, (uint16_t)(1024 + round), race->proto == IPPROTO_UDP ? 53 : 80);
}

/* One endpoint a round, each thread to a port of its own. */
static struct shape same_endpoint(const struct family *f, const struct race *race, uint32_t round, uint32_t who)
{
	return shape_of(f, race->proto, (uint16_t)(1024 + round), (uint16_t)(4000 + who));
}

/* Endpoints of their own, one remote. */
static struct shape same_remote(const struct family *f, const struct race *race, uint32_t round, uint32_t who)
{
	return shape_of(f, race->proto, (uint16_t)(1024 + 2 * round + who), race->proto == IPPROTO_UDP ? 53 : 80);
}

static struct shape nothing_same(const struct family *f, const struct race *race, uint32_t round, uint32_t who)
{
	uint16_t first = race->proto == IPPROTO_UDP ? 4000 : 8000;

	return shape_of(f, race->proto, (uint16_t)(1024 + 2 * round + who),
			(uint16_t)(first + 2 * (round % 500) + who));
}

#define MANY 40000 /* ports */

static const struct race races[] = {
	{"TCP, the same flow", IPPROTO_TCP, same_flow, 2000, MANY, .same = true},
	{"UDP, the same flow", IPPROTO_UDP, same_flow, 1000, MANY, .same = true},
	{"echo, the same flow", IPPROTO_ICMP, same_flow, 2000, MANY, .same = true},
	{"UDP, the same endpoint", IPPROTO_UDP, same_endpoint, 1000, MANY, .same = true},
	{"TCP, the same remote", IPPROTO_TCP, same_remote, 1000, MANY, .same = false},
	{"UDP, the same remote", IPPROTO_UDP, same_remote, 500, MANY, .same = false},
	{"TCP, nothing in common", IPPROTO_TCP, nothing_same, 1000, MANY, .same = false},
	{"TCP, the same flow, the last ports", IPPROTO_TCP, same_flow, 300, 200, .same = true, .lacks = true},
	{"TCP, the same remote, the last ports", IPPROTO_TCP, same_remote, 300, 200, .same = false, .lacks = true},
	{"TCP, more flows than slots", IPPROTO_TCP, same_remote, 3000, MANY, .same = false, .lacks = true},
	{"UDP, more endpoints than slots", IPPROTO_UDP, same_endpoint, 2000, MANY, .same = true, .lacks = true},
};

static void test_races(void **state)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < THREADS)
		skip();
	for (size_t i = 0; i < N(races); i++)
		race(*state, &races[i]);
}

struct reaper {
	pthread_t thread;
	struct scratch *s;
	bool done; /* shared */
};

static bool is_any(const void *none, const struct flow *f)
{
	return true;
}

static bool is_flow(const void *none, const struct flow *f)
{
	return !flow_is_mapping(f);
}

/* Kills whatever lives, now with mappings, now without, and sweeps it away. */
static void *reap(void *arg)
{
	struct reaper *r = arg;

	for (uint32_t i = 0; !__atomic_load_n(&r->done, __ATOMIC_SEQ_CST); i++) {
		maps_flows_end(r->s->m, i % 2 ? is_any : is_flow, NULL);
		sweep_tick(r->s);
	}
	return NULL;
}

#define PORTS_ASKED 8

/* Flows that share permissions end on one CPU while others are made on the other. */
static void test_ends_and_begins(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct reaper r = {.s = s};
	uint32_t sent = 0;

	scratch_egress(s, 1, f.external, 2, PORT_FIRST, MANY);
	assert_int_equal(pthread_create(&r.thread, NULL, reap, &r), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		struct shape shape = shape_of(&f, IPPROTO_UDP, (uint16_t)(1024 + i / PORTS_ASKED % 16),
					      (uint16_t)(4000 + i % PORTS_ASKED));

		sent += out_of(s, &shape, 1).verdict == REDIRECT;
	}
	__atomic_store_n(&r.done, true, __ATOMIC_SEQ_CST);
	pthread_join(r.thread, NULL);
	assert_true(sent > 1000);
	sweep(s); /* what was killed */
	assert_sound(s);
	empty_table(s);
	assert_empty(s);
}

/* ---- killing ------------------------------------------------------------------------------------ */

#define KILLS 4000

struct talker { /* sends on one connection, as fast as it can */
	pthread_t thread;
	struct scratch *s;
	struct frame frame; /* of the connection */
	bool talks;	    /* shared, as what follows */
	bool silent;
	uint32_t sent; /* packets whose programs have ended */
	bool passes;   /* the last of them did */
	bool done;
};

static void *talk(void *arg)
{
	struct talker *t = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!__atomic_load_n(&t->done, __ATOMIC_ACQUIRE)) {
		struct runner r = {.s = t->s};
		bool talks = __atomic_load_n(&t->talks, __ATOMIC_ACQUIRE);

		__atomic_store_n(&t->silent, !talks, __ATOMIC_RELEASE);
		if (!talks)
			continue;
		__atomic_store_n(&t->passes, push(&r, &t->frame) != 0, __ATOMIC_RELAXED);
		__atomic_add_fetch(&t->sent, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void be_silent(struct talker *t)
{
	__atomic_store_n(&t->talks, false, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t->silent, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void wait_for_packets(struct talker *t, uint32_t n)
{
	uint32_t from = __atomic_load_n(&t->sent, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&t->sent, __ATOMIC_ACQUIRE) - from < n)
		sched_yield();
}

/* True: a flow that was killed in the middle of its packets is none afterwards. */
static bool stays_dead(struct talker *t, const struct shape *syn, uint32_t spin)
{
	struct shape shape = *syn, back;
	struct flow_walk walk = {};
	struct flow copy;
	struct ran r = out_of(t->s, syn, 1);

	assert_sent(r);
	back = answer_to(syn, &r);
	back.seq = 5000;
	back.ack = syn->seq + 11;
	assert_sent(into(t->s, &back));
	shape.flags = TH_ACK;
	shape.seq = syn->seq + 11;
	shape.ack = 5001;
	frame_build(&t->frame, &shape);
	from_client(&t->frame, 1);
	__atomic_store_n(&t->silent, false, __ATOMIC_RELAXED);
	__atomic_store_n(&t->talks, true, __ATOMIC_RELEASE);
	while (!maps_flow_next(t->s->m, &walk, &copy) || copy.out.sport != htons(shape.sport))
		assert_true(walk.slot < walk.end);
	wait_for_packets(t, 1);
	for (uint32_t i = 0; i < spin; i++) /* somewhere in a packet */
		__asm__ volatile("" ::: "memory");
	must(maps_flow_kill(t->s->m, walk.slot, LIFE_ID(copy.life)));
	wait_for_packets(t, 3); /* what had begun, and what began after */
	be_silent(t);
	return !__atomic_load_n(&t->passes, __ATOMIC_RELAXED) && !slot_of(t->s, &shape);
}

/* Fault 24: of 4,146 flows killed under traffic 82 lived on. */
static void test_fault_24_killed_under_traffic(void **state)
{
	struct scratch *s = *state;
	struct family f = family_of(false);
	struct talker t = {.s = s};
	uint32_t undone = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < THREADS)
		skip();
	scratch_egress(s, 1, f.external, 2, PORT_FIRST, MANY);
	assert_int_equal(pthread_create(&t.thread, NULL, talk, &t), 0);
	for (uint32_t i = 1; i <= KILLS; i++) {
		struct shape syn = shape_of(&f, IPPROTO_TCP, (uint16_t)(1024 + i), 443);

		undone += !stays_dead(&t, &syn, i % 64);
		if (i % 1000 == 0)
			empty_table(s);
	}
	__atomic_store_n(&t.done, true, __ATOMIC_RELEASE);
	pthread_join(t.thread, NULL);
	print_message("  %u of %u kills undone\n", undone, KILLS);
	assert_int_equal(undone, 0);
	sweep(s);
	assert_sound(s);
	empty_table(s);
	assert_empty(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_races), T(test_ends_and_begins),
					   T(test_fault_24_killed_under_traffic)};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
