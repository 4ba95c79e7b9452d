/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault 4: a start that finds maps of another form takes their live flows over, with ports,
 * permissions and ids: of layout N-1, of another size. Of what it cannot read it takes
 * nothing, says so, and starts. A start that is cut off anywhere on this way harms nothing.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sound.h"
#include "user/kernel/maps_layout6.h"

#define FLOWS	 2048
#define PER_KIND 40 /* ports of the client, each with flows of all kinds */

struct conversation { /* a flow, as its two ends know it */
	struct shape out, back;
	uint16_t port;
	uint64_t id;
};

struct carried {
	struct scratch s;
	char pins[128];
	struct conversation talk[2 * PER_KIND * 5];
	size_t n;
};

static void open_maps(struct carried *c, uint32_t flows)
{
	struct maps_options o = {.pins = c->pins, .flows = flows, .no_sweep = true};
	char *error = NULL;

	c->s.m = maps_open(&o, &error);
	if (!c->s.m)
		fail_msg("%s", error);
}

static void talk(struct carried *c, const struct family *f, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct conversation *t = &c->talk[c->n++];
	struct ran r;

	*t = (struct conversation){.out = shape_of(f, proto, sport, dport)};
	r = out_of(&c->s, &t->out, 1);
	assert_sent(r);
	t->port = frame_sport(&r.out);
	t->back = answer_to(&t->out, &r);
	t->back.seq = 5000;
	t->back.ack = t->out.seq + 1 + t->out.payload;
	assert_sent(into(&c->s, &t->back));
	t->id = LIFE_ID(slot_of(&c->s, &t->out)->life);
	if (proto == IPPROTO_TCP) {
		t->out.flags = t->back.flags = TH_ACK;
		t->out.seq = t->back.ack;
		t->out.ack = t->back.seq + 1 + t->back.payload;
	}
}

/* TCP, echo, and UDP: two flows of one permission, one of another remote; all of one mapping. */
static void talk_much(struct carried *c)
{
	for (int v6 = 0; v6 < 2; v6++)
		for (uint16_t i = 0; i < PER_KIND; i++) {
			struct family f = family_of(v6), g = f;

			g.remote = f.remote2;
			talk(c, &f, IPPROTO_TCP, (uint16_t)(2000 + i), 443);
			talk(c, &f, IPPROTO_ICMP, (uint16_t)(2000 + i), 0);
			talk(c, &f, IPPROTO_UDP, (uint16_t)(2000 + i), 53);
			talk(c, &f, IPPROTO_UDP, (uint16_t)(2000 + i), 4000);
			talk(c, &g, IPPROTO_UDP, (uint16_t)(2000 + i), 53);
		}
}

static struct carried *begin(void)
{
	struct carried *c = calloc(1, sizeof(*c));

	snprintf(c->pins, sizeof(c->pins), MAPS_PINS "-carry-%d", getpid());
	maps_unpin(c->pins);
	open_maps(c, FLOWS);
	scratch_settings(&c->s);
	scratch_addresses(&c->s);
	scratch_policy(&c->s, false);
	talk_much(c);
	assert_sound(&c->s);
	return c;
}

static void end(struct carried *c)
{
	maps_close(c->s.m);
	must(maps_unpin(c->pins));
	assert_int_equal(access(c->pins, F_OK), -1);
	free(c);
}

/* Every flow goes on in both directions, from the port that it had. */
static void assert_goes_on(struct carried *c, bool same_ids)
{
	for (size_t i = 0; i < c->n; i++) {
		struct conversation *t = &c->talk[i];
		struct ran r = into(&c->s, &t->back);
		uint64_t id = LIFE_ID(slot_of(&c->s, &t->out)->life);

		assert_sent(r);
		r = out_of(&c->s, &t->out, 1);
		assert_sent(r);
		assert_int_equal(frame_sport(&r.out), t->port);
		assert_true(same_ids ? id == t->id : id != 0);
	}
	assert_sound(&c->s);
}

static void assert_carried(struct carried *c, uint32_t layout, uint32_t flows, uint32_t taken)
{
	const struct maps_carried *k = maps_carried(c->s.m);

	assert_int_equal(k->layout, layout);
	assert_int_equal(k->flows, flows);
	assert_int_equal(k->taken, taken);
	assert_int_equal(k->error, 0);
}

static uint32_t all_of(const struct carried *c)
{
	return (uint32_t)c->n + 2 * PER_KIND; /* mappings */
}

/* ---- the maps of layout 6, made of ours ------------------------------------------------ */

static int open_pinned(const struct carried *c, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", c->pins, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

/* A map of @type in the place of the one that is pinned as @name; a descriptor. */
static int put_pin(const struct carried *c, const char *name, enum bpf_map_type type, uint32_t value, uint32_t entries,
		   uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, name, sizeof(uint32_t), value, entries, &opts);
	char path[256];

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/%s", c->pins, name);
	assert_int_equal(unlink(path), 0);
	must(bpf_obj_pin(fd, path));
	return fd;
}

static struct flow6 flow6_of(const struct flow *f)
{
	return (struct flow6){.out = f->out,
			      .back = f->back,
			      .serial = 1,
			      .client = f->client,
			      .generation = f->generation,
			      .rule = f->rule,
			      .state = flow_state(f) == FLOW_DEAD ? 6 : flow_state(f),
			      .mapping = f->mapping,
			      .egress = f->egress,
			      .pool = f->pool,
			      .route = f->route,
			      .flags = f->flags,
			      .traits = f->traits,
			      .sharers = f->sharers,
			      .seen = f->seen,
			      .created = f->created,
			      .expires = f->expires,
			      .packets_out = f->packets_out,
			      .bytes_out = f->bytes_out,
			      .packets_in = f->packets_in,
			      .bytes_in = f->bytes_in,
			      .end_out = f->end_out,
			      .end_in = f->end_in,
			      .ack_out = f->ack_out,
			      .ack_in = f->ack_in};
}

static void put_flows6(const struct carried *c)
{
	uint32_t slots = FLOWS + 1;
	int old = open_pinned(c, "flows");
	int fd = put_pin(c, "flows", BPF_MAP_TYPE_ARRAY, sizeof(struct flow6), slots, BPF_F_MMAPABLE);
	const struct flow *from = mmap(NULL, slots * sizeof(*from), PROT_READ, MAP_SHARED, old, 0);
	struct flow6 *to = mmap(NULL, slots * sizeof(*to), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(from != MAP_FAILED && to != MAP_FAILED);
	for (uint32_t i = 0; i < slots; i++)
		to[i] = flow6_of(&from[i]);
	munmap((void *)from, slots * sizeof(*from));
	munmap(to, slots * sizeof(*to));
	close(old);
	close(fd);
}

static void put_egresses6(const struct carried *c)
{
	int old = open_pinned(c, "egresses");
	int fd = put_pin(c, "egresses", BPF_MAP_TYPE_ARRAY, sizeof(struct egress6), MAX_EGRESS, 0);

	for (uint32_t id = 0; id < MAX_EGRESS; id++) {
		struct egress6 e = {};
		struct egress now;

		must(bpf_map_lookup_elem(old, &id, &now));
		e = (struct egress6){.addr = now.addr,
				     .ifindex = now.state == EGRESS_HERE ? TEST_IFINDEX : 0,
				     .ports = now.ports,
				     .prime = now.prime,
				     .mtu = now.mtu,
				     .exclusive = now.exclusive};
		memcpy(e.range, now.range, sizeof(e.range));
		must(bpf_map_update_elem(fd, &id, &e, BPF_ANY));
	}
	close(old);
	close(fd);
}

static void write_layout(const struct carried *c, uint32_t layout)
{
	int fd = open_pinned(c, "layout");
	uint32_t zero = 0;

	must(bpf_map_update_elem(fd, &zero, &layout, BPF_ANY));
	close(fd);
}

static void make_layout_6(const struct carried *c)
{
	int old = open_pinned(c, "flow_table"), fd;
	struct flow_table6 table6;
	struct flow_table table;
	uint32_t zero = 0;

	must(bpf_map_lookup_elem(old, &zero, &table));
	table6 = (struct flow_table6){table.high, table.used, table.refused};
	fd = put_pin(c, "flow_table", BPF_MAP_TYPE_ARRAY, sizeof(table6), 1, 0);
	must(bpf_map_update_elem(fd, &zero, &table6, BPF_ANY));
	close(old);
	close(fd);
	put_flows6(c);
	put_egresses6(c);
	close(put_pin(c, "drops", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint64_t), DROP_MAX - 3, 0));
	write_layout(c, 6);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_fault_4_layout_before(void **state)
{
	struct carried *c = begin();
	struct flow *f;

	f = slot_of(&c->s, &c->talk[0].out);
	f->expires = 1; /* this one is not taken */
	maps_close(c->s.m);
	make_layout_6(c);
	open_maps(c, 0);
	scratch_settings(&c->s); /* made anew with a layout: the start writes them */
	assert_carried(c, 6, all_of(c) - 1, all_of(c) - 1);
	assert_int_equal(maps_generation(c->s.m), c->s.generation);
	assert_null(slot_of(&c->s, &c->talk[0].out));
	assert_dropped(out_of(&c->s, &c->talk[0].out, 1), DROP_NO_FLOW);
	c->talk[0] = c->talk[--c->n];
	sweep(&c->s);
	assert_goes_on(c, false);
	scratch_policy(&c->s, true); /* the next policy meets them, too */
	assert_dropped(out_of(&c->s, &c->talk[5].out, 1), DROP_POLICY);
	maps_close(c->s.m);
	open_maps(c, 0); /* now it is ours */
	assert_true(maps_reused(c->s.m));
	assert_carried(c, 0, 0, 0);
	end(c);
}

static void test_fault_4_other_size(void **state)
{
	struct carried *c = begin();
	struct flow *f = slot_of(&c->s, &c->talk[0].out);
	uint64_t id = LIFE_ID(f->life);
	struct shape more;

	must(maps_flow_kill(c->s.m, (uint32_t)(f - c->s.m->flows), id)); /* and stays dead */
	maps_close(c->s.m);
	open_maps(c, 2 * FLOWS);
	assert_int_equal(maps_flows_max(c->s.m), 2 * FLOWS);
	assert_carried(c, SLUICE_LAYOUT, all_of(c) - 1, all_of(c) - 1);
	assert_dropped(out_of(&c->s, &c->talk[0].out, 1), DROP_NO_FLOW);
	more = c->talk[0].out;
	c->talk[0] = c->talk[--c->n];
	assert_goes_on(c, true);
	more.flags = TH_SYN;
	assert_sent(out_of(&c->s, &more, 1));
	for (size_t i = 0; i < c->n; i++) /* ids are given once */
		assert_true(LIFE_ID(slot_of(&c->s, &more)->life) > c->talk[i].id);
	end(c);
}

/* What has no room ends, and nothing else does. */
static void test_fault_4_smaller(void **state)
{
	struct carried *c = begin();
	uint32_t more = 0, all;

	for (uint16_t i = 0; i < 1000; i++) {
		struct family f = family_of(false);
		struct shape shape = shape_of(&f, IPPROTO_TCP, (uint16_t)(5000 + i), 80);

		more += out_of(&c->s, &shape, 1).verdict == REDIRECT;
	}
	all = all_of(c) + more;
	assert_true(all > 1024);
	maps_close(c->s.m);
	open_maps(c, 1024);
	assert_carried(c, SLUICE_LAYOUT, all, 1024);
	assert_sound(&c->s);
	end(c);
}

/* One of before N-1, or of a later program: nothing can be taken, and the gateway starts all the same. */
static void test_fault_4_unknown_layout(void **state)
{
	static const uint32_t unknown[] = {5, SLUICE_LAYOUT + 1};

	for (size_t i = 0; i < N(unknown); i++) {
		struct carried *c = begin();
		struct maps_pinned found;

		write_layout(c, unknown[i]);
		maps_close(c->s.m);
		must(maps_look(c->pins, &found));
		assert_int_equal(found.layout, unknown[i]);
		assert_false(found.readable);
		assert_int_equal(found.used, all_of(c));
		open_maps(c, 0);
		assert_carried(c, unknown[i], all_of(c), 0);
		assert_int_equal(maps_flows_used(c->s.m), 0);
		assert_int_equal(maps_flows_max(c->s.m), FLOWS);
		assert_int_equal(maps_generation(c->s.m), 0);
		must(maps_look(c->pins, &found));
		assert_int_equal(found.layout, SLUICE_LAYOUT);
		assert_true(found.readable);
		end(c);
	}
}

/* A map that has grown, a drop reason more say, without another layout. */
static void test_fault_4_map_has_grown(void **state)
{
	struct carried *c = begin();

	maps_close(c->s.m);
	close(put_pin(c, "drops", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint64_t), DROP_MAX - 1, 0));
	open_maps(c, 0);
	assert_carried(c, SLUICE_LAYOUT, all_of(c), all_of(c));
	assert_goes_on(c, true);
	end(c);
}

/* Where what the flows speak of has another form, they mean nothing. */
static void test_fault_4_other_policy(void **state)
{
	struct carried *c = begin();

	maps_close(c->s.m);
	close(put_pin(c, "client_worker", BPF_MAP_TYPE_ARRAY, 4, 1000, 0));
	open_maps(c, 0);
	assert_carried(c, SLUICE_LAYOUT, all_of(c), 0);
	assert_int_equal(maps_generation(c->s.m), 0);
	end(c);
}

static void pin_again(const struct carried *c, const char *name, const char *folder)
{
	int fd = open_pinned(c, name);
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", c->pins, folder, name);
	must(bpf_obj_pin(fd, path));
	close(fd);
}

static void make_within(const struct carried *c, const char *folder)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", c->pins, folder);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void assert_none_within(const struct carried *c)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/new", c->pins);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/ready", c->pins);
	assert_int_equal(access(path, F_OK), -1);
}

/* Cut off before the new maps were whole: the old ones are as they were. Behind that: the new ones go on. */
static void test_fault_4_cut_off(void **state)
{
	struct carried *c = begin();
	char from[256], to[256];

	maps_close(c->s.m);
	make_layout_6(c);
	make_within(c, "new");
	pin_again(c, "layout", "new");
	pin_again(c, "clients", "new");
	open_maps(c, 0);
	scratch_settings(&c->s);
	assert_carried(c, 6, all_of(c), all_of(c));
	assert_none_within(c);
	assert_goes_on(c, false);
	maps_close(c->s.m);

	make_within(c, "new"); /* half of the maps are moved, and the layout first */
	pin_again(c, "flows", "new");
	pin_again(c, "flow_index", "new");
	pin_again(c, "flow_table", "new");
	snprintf(from, sizeof(from), "%s/new", c->pins);
	snprintf(to, sizeof(to), "%s/ready", c->pins);
	assert_int_equal(rename(from, to), 0);
	close(put_pin(c, "flows", BPF_MAP_TYPE_ARRAY, sizeof(struct flow6), FLOWS + 1, BPF_F_MMAPABLE));
	close(put_pin(c, "flow_table", BPF_MAP_TYPE_ARRAY, sizeof(struct flow_table6), 1, 0));
	open_maps(c, 0);
	assert_true(maps_reused(c->s.m));
	assert_none_within(c);
	assert_goes_on(c, false);
	make_within(c, "new"); /* `down` removes it, too */
	pin_again(c, "layout", "new");
	end(c);
}

/* A size for which there is no memory: the old table goes on, with every flow, and what was wanted is known. */
static void test_fault_4_no_memory_for_the_size(void **state)
{
	struct carried *c = begin();

	maps_close(c->s.m);
	open_maps(c, 1u << 30);
	assert_int_equal(maps_flows_max(c->s.m), FLOWS);
	assert_int_equal(maps_carried(c->s.m)->wanted, 1u << 30);
	assert_none_within(c);
	assert_goes_on(c, true);
	end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_4_layout_before), cmocka_unit_test(test_fault_4_other_size),
		cmocka_unit_test(test_fault_4_smaller),	      cmocka_unit_test(test_fault_4_unknown_layout),
		cmocka_unit_test(test_fault_4_map_has_grown), cmocka_unit_test(test_fault_4_other_policy),
		cmocka_unit_test(test_fault_4_cut_off),	      cmocka_unit_test(test_fault_4_no_memory_for_the_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
