/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of a million flows, full. One client cannot fill it; when all together have,
 * new flows are refused, with one event, and those that live go on.
 *
 * Where memory is short (the virtual machine of check-kernels) the table is smaller, and
 * says so.
 */
#include <sys/sysinfo.h>

#include "slots.h"

#define MILLION	   1048576
#define SMALL	   16384
#define BYTES_FLOW 512ull /* with room for what else there is */
#define SHARE	   25
#define LEFT	   3000 /* slots that other clients left */
#define OF_ONE	   700	/* flows to one remote, of its PORT_COUNT ports */

static uint32_t slots_for_memory(void)
{
	struct sysinfo i;

	sysinfo(&i);
	return (uint64_t)i.freeram * i.mem_unit > 3 * MILLION * BYTES_FLOW ? MILLION : SMALL;
}

static int open_full(void **state)
{
	struct maps_options o = {.flows = slots_for_memory() - 1, .no_sweep = true};
	struct scratch *s = calloc(1, sizeof(*s));
	char *error = NULL;

	s->m = maps_open(&o, &error);
	if (!s->m) {
		print_error("%s\n", error);
		return -1;
	}
	s->notices = ring_buffer__new(maps_notices_fd(s->m), throw_away, NULL, NULL);
	*state = s;
	scratch_settings(s);
	scratch_addresses(s);
	scratch_policy(s, false);
	print_message("  %u flows\n", maps_flows_max(s->m));
	return 0;
}

/* The @i-th flow of @client: other remotes every OF_ONE flows. */
static struct shape nth(uint32_t client, uint32_t i)
{
	struct family f = family_of(false);
	struct shape shape = shape_of(&f, IPPROTO_TCP, (uint16_t)(1024 + i % 60000), 0);
	uint32_t remote = i / OF_ONE * CLIENTS + client; /* no two clients have the same */

	shape.src.b[14] = (uint8_t)client;
	shape.dst.b[15] = (uint8_t)(100 + remote / 1000);
	shape.dport = (uint16_t)(8000 + remote % 1000);
	return shape;
}

/* As out_of(), without a look at the counters. */
static bool opens(struct scratch *s, uint32_t client, uint32_t i)
{
	struct shape shape = nth(client, i);
	struct frame f;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.b);

	frame_build(&f, &shape);
	from_client(&f, client);
	opts.data_size_in = (uint32_t)f.len;
	must(bpf_prog_test_run_opts(maps_program(s->m, PROGRAM_TAP_IN), &opts));
	return opts.retval == REDIRECT;
}

/* Opens flows until one is refused, for @why; how many came about. */
static uint32_t fill(struct scratch *s, uint32_t client, enum drop_reason why)
{
	uint32_t n = 0;
	struct shape shape;

	while (opens(s, client, n))
		n++;
	shape = nth(client, n);
	assert_dropped(out_of(s, &shape, client), why);
	return n;
}

/* As if other clients had all slots up to @high: a million packets take the time of all other tests. */
static void set_used(struct scratch *s, uint32_t high)
{
	struct flow_table t;
	uint32_t zero = 0;

	must(bpf_map_lookup_elem(bpf_map__fd(s->m->skel->maps.flow_table), &zero, &t));
	t.used += high - t.high;
	t.high = high;
	must(bpf_map_update_elem(bpf_map__fd(s->m->skel->maps.flow_table), &zero, &t, BPF_EXIST));
}

static int count_full(void *ctx, void *data, size_t size)
{
	const struct notice *n = data;

	if (n->kind == NOTICE_FULL && n->reason == DROP_FLOWS_FULL)
		++*(uint32_t *)ctx;
	return 0;
}

static void test_full(void **state)
{
	struct scratch *s = *state;
	uint32_t max = maps_flows_max(s->m), quarter = (max + 1) * SHARE / 100, events = 0;
	struct ring_buffer *ring = ring_buffer__new(maps_notices_fd(s->m), count_full, &events, NULL);
	struct shape shape;

	s->settings.client_share = SHARE;
	must(maps_settings_set(s->m, &s->settings));
	assert_int_equal(fill(s, 1, DROP_QUOTA_FLOWS), quarter); /* the greedy one is held */
	set_used(s, max + 1 - LEFT);
	assert_int_equal(fill(s, 4, DROP_FLOWS_FULL), LEFT);
	for (uint32_t client = 7; client < 17; client++) {
		shape = nth(client, 0);
		assert_dropped(out_of(s, &shape, client), DROP_FLOWS_FULL);
	}
	ring_buffer__consume(ring);
	assert_int_equal(events, 1);
	for (uint32_t i = 0; i < quarter; i += quarter / 100) { /* nobody was evicted */
		shape = nth(1, i);
		shape.flags = TH_ACK;
		assert_sent(out_of(s, &shape, 1));
	}
	ring_buffer__free(ring);
}

/* What ends makes room, to the last slot; nothing was lost on the way. */
static void test_emptied(void **state)
{
	struct scratch *s = *state;
	uint32_t max = maps_flows_max(s->m), n;
	struct shape shape = nth(9, 0);

	maps_flows(s->m, &n);
	for (uint32_t i = 1; i < n; i++)
		s->m->flows[i].expires = 1;
	sweep(s);
	for (uint32_t i = 1; i < n; i++) {
		assert_true(flow_state(&s->m->flows[i]) == FLOW_DEAD || flow_state(&s->m->flows[i]) == FLOW_FREE);
		s->m->flows[i].expires -= 2 * SECOND;
	}
	sweep(s);
	assert_int_equal(maps_flows_used(s->m), max - (max + 1) * SHARE / 100 - LEFT); /* those of set_used() */
	assert_int_equal(entries(s->m->skel->maps.flow_index), 0);
	assert_int_equal(entries(s->m->skel->maps.pairs), 0);
	for (uint32_t client = 1; client < 17; client++)
		assert_int_equal(maps_client_flows(s->m, client), 0);
	assert_sent(out_of(s, &shape, 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_full), cmocka_unit_test(test_emptied)};

	return cmocka_run_group_tests(tests, open_full, scratch_close);
}
